"""The package as a whole: what importing it costs, what it exports, and what is shipped with it."""

from __future__ import annotations

import ast
import importlib
import re
import shutil
import subprocess
import sys
import typing
from importlib import metadata, resources
from pathlib import Path

import pytest
import typing_extensions

import bt_api_base

REPOSITORY = Path(__file__).resolve().parent.parent
DISTRIBUTION = "bt_api_base"
_TYPE_PARAMETERS = tuple(
    {getattr(module, name) for module in (typing, typing_extensions) for name in ("TypeVar", "ParamSpec")}
)


def public_modules() -> list[str]:
    """Return the name of each module that is API: what has no underscore at the head of any part of its path."""
    package = REPOSITORY / "bt_api_base"
    paths = (path.relative_to(REPOSITORY).with_suffix("") for path in sorted(package.rglob("*.py")))
    names = (".".join(path.parts).removesuffix(".__init__") for path in paths)
    return [name for name in names if "._" not in name]


def top_level_names(module_name: str) -> tuple[set[str], set[str]]:
    """Return the public names that a module's source defines, and those that it imports."""
    module = importlib.import_module(module_name)
    source = module.__file__
    assert source is not None
    defined: set[str] = set()
    imported: set[str] = set()

    def collect(statements: list[ast.stmt]) -> None:
        for statement in statements:
            if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                defined.add(statement.name)
            elif isinstance(statement, ast.Assign):
                defined.update(target.id for target in statement.targets if isinstance(target, ast.Name))
            elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                defined.add(statement.target.id)
            elif isinstance(statement, (ast.Import, ast.ImportFrom)):
                imported.update(alias.asname or alias.name for alias in statement.names)
            elif isinstance(statement, ast.If):
                collect([*statement.body, *statement.orelse])
            elif isinstance(statement, ast.Try):
                collect([*statement.body, *statement.orelse, *(s for h in statement.handlers for s in h.body)])

    collect(ast.parse(Path(source).read_text(encoding="utf-8")).body)
    public = {name for name in defined if not name.startswith("_")}
    return {name for name in public if not isinstance(getattr(module, name), _TYPE_PARAMETERS)}, imported


class TestImporting:
    """Importing the package is cheap, and its names are there when they are used."""

    def test_loads_nothing_but_the_package_itself(self) -> None:
        """Neither its parts nor any dependency are loaded, which is what import time is made of."""
        script = "import sys; before = set(sys.modules); import bt_api_base; print(*(set(sys.modules) - before))"
        ran = subprocess.run(  # noqa: S603  # this interpreter
            [sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=True
        )
        loaded = set(ran.stdout.split())
        assert {"bt_api_base", "bt_api_base._lazy"} == {name for name in loaded if name.startswith("bt_api_base")}
        assert set() == {name.partition(".")[0] for name in loaded} - set(sys.stdlib_module_names) - {"bt_api_base"}

    def test_heavy_dependencies_wait_until_they_are_needed(self) -> None:
        """What asks, signs and trades can be imported without httpx and cryptography, the heaviest that there are."""
        parts = ("cache", "feeds", "rate_limiter", "security", "venues")
        imports = "; ".join(f"import bt_api_base.{part}" for part in parts)
        script = (
            f"import sys; {imports}; from bt_api_base import Credentials, RateLimiter, venue_feed; print(*sys.modules)"
        )
        ran = subprocess.run(  # noqa: S603  # this interpreter
            [sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=True
        )
        assert set() == {"cryptography", "httpx", "keyring", "stamina", "structlog"} & set(ran.stdout.split())

    @pytest.mark.parametrize("name", bt_api_base.__all__)
    def test_public_names_resolve(self, name: str) -> None:
        """Each name of the package can be used, and is listed by `dir`."""
        assert getattr(bt_api_base, name) is not None
        assert name in dir(bt_api_base)

    def test_unknown_names_are_attribute_errors(self) -> None:
        """A misspelt name fails as in any module."""
        with pytest.raises(AttributeError, match="module 'bt_api_base' has no attribute 'EventBuss'"):
            _ = bt_api_base.EventBuss  # type: ignore[attr-defined]

    def test_names_are_those_that_type_checkers_see(self) -> None:
        """The names that are loaded lazily, those under TYPE_CHECKING, and `__all__` are the same."""
        _, imported = top_level_names("bt_api_base")
        lazy = set(bt_api_base.__all__) - {"__version__"}
        assert lazy == imported - {"annotations", "TYPE_CHECKING", "lazy_names"}
        assert lazy == bt_api_base._MODULES.keys()


@pytest.mark.parametrize("module_name", public_modules())
class TestPublicModules:
    """Every module that is API says what its API is."""

    def test_all_is_a_tuple_of_the_names_defined(self, module_name: str) -> None:
        """`__all__` holds each public name that the module defines, and beyond those only names that it imports."""
        module = importlib.import_module(module_name)
        exported = module.__all__
        assert isinstance(exported, tuple)
        assert len(exported) == len(set(exported))
        defined, imported = top_level_names(module_name)
        assert set() == defined - set(exported), "defined and not exported"
        assert set() == set(exported) - defined - imported - {"__version__"}, "exported and not there"
        for name in exported:
            assert hasattr(module, name)

    def test_has_a_docstring(self, module_name: str) -> None:
        """The module says what it is about."""
        assert importlib.import_module(module_name).__doc__


class TestDistribution:
    """What is installed is what the repository says."""

    def test_the_version_is_the_same_everywhere(self) -> None:
        """Published plugins require 0.15 or later and less than 1.0; code and metadata agree on what this is."""
        project = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
        assert "0.20.0" == bt_api_base.__version__
        assert f'\nversion = "{bt_api_base.__version__}"\n' in project
        assert bt_api_base.__version__ == metadata.version(DISTRIBUTION)

    def test_types_are_shipped(self) -> None:
        """Type checkers of dependent projects read the annotations."""
        assert resources.files("bt_api_base").joinpath("py.typed").is_file()

    @pytest.mark.parametrize(
        ("group", "name"), [("console_scripts", "bt-api"), ("pytest11", "bt_api")], ids=["command", "pytest"]
    )
    def test_entry_points_lead_somewhere(self, group: str, name: str) -> None:
        """The command and the pytest plugin that are installed can be loaded."""
        points = [
            point
            for point in metadata.distribution(DISTRIBUTION).entry_points
            if (group, name) == (point.group, point.name)
        ]
        assert 1 == len(points)
        assert points[0].load() is not None

    @pytest.mark.parametrize("extra", ["dev", "docs", "proxy", "redis", "uvloop"])
    def test_extras_exist(self, extra: str) -> None:
        """What users install by name is there."""
        assert extra in (metadata.metadata(DISTRIBUTION).get_all("Provides-Extra") or [])


class TestRepository:
    """The repository works for somebody who has just cloned it."""

    def test_checks_run_as_the_readme_says(self) -> None:
        """The command that README.md gives for the tests is the one that is run for every change."""
        command = (REPOSITORY / ".ci" / "run").read_text(encoding="utf-8").strip().splitlines()[-1]
        assert "nox" in command
        assert command in (REPOSITORY / "README.md").read_text(encoding="utf-8").splitlines()

    def test_no_tracked_file_knows_this_machine(self) -> None:
        """No path of a checkout or a home directory is written anywhere."""
        git = shutil.which("git")
        if git is None or not (REPOSITORY / ".git").exists():
            pytest.skip("not a git checkout")
        listed = subprocess.run(  # noqa: S603  # git, found above
            [git, "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=True
        )
        own = "|".join(re.escape(f"{path}/") for path in (REPOSITORY, Path.home()) if len(path.parts) > 1)
        pattern = re.compile(rf"(?<![\w.])(?:{own})|/(?:home|Users)/\w+/")
        found: list[str] = []
        for name in filter(None, listed.stdout.split("\0")):
            path = REPOSITORY / name
            if not path.is_file():
                continue
            text = path.read_bytes().decode("utf-8", errors="ignore")
            found.extend(f"{name}: {match.group()}" for match in pattern.finditer(text))
        assert [] == found
