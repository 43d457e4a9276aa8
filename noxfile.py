"""The project's checks. ``nox`` runs them all, ``nox -s tests-3.12`` one of them, ``nox --list`` names them.

What comes after ``--`` goes to pytest or the benchmarks: ``nox -s tests-3.12 -- --backend trio -k reconnect``.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nox

nox.needs_version = ">=2025.11.12"
nox.options.default_venv_backend = "virtualenv"
nox.options.download_python = "never"
nox.options.error_on_missing_interpreters = False  # also where the variable CI is set, which is nox's default
nox.options.sessions = ["lint", "types", "tests", "docs", "lowest"]

PROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = nox.project.python_versions(PROJECT)
# One more than there are processors: a third of their time, the tests wait for sockets and processes.
WORKERS = ("-n", str(min(8, (os.cpu_count() or 1) + 1)))


def find_pyenv_pythons(pattern: str = "3.*") -> list[str]:
    """Return the directories of those of pyenv's interpreters whose version matches, newest first.

    Where pyenv manages the interpreters, ``python3.12`` on the search path is a stand-in that fails for each version
    that is not selected, although it is installed.
    """
    pyenv = shutil.which("pyenv")
    if pyenv is None:
        return []
    root = subprocess.run([pyenv, "root"], capture_output=True, text=True, check=False).stdout.strip()
    directories = Path(root, "versions").glob(f"{pattern}/bin")
    numbers = {str(path): [int(number) for number in re.findall(r"\d+", path.parent.name)] for path in directories}
    return sorted(numbers, key=numbers.__getitem__, reverse=True)


def has_python(version: str) -> bool:
    """Tell whether an interpreter of this version can be run, the current one included."""
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        return True
    for directory in os.get_exec_path():
        python = shutil.which(f"python{version}", path=directory)
        if python and subprocess.run([python, "--version"], capture_output=True, check=False).returncode == 0:
            return True
    return False


def find_python2() -> str | None:
    """Return a Python 2.7, if there is one that runs."""
    for directory in (*find_pyenv_pythons("2.7*"), *os.get_exec_path()):
        python = shutil.which("python2.7", path=directory)
        if python and subprocess.run([python, "--version"], capture_output=True, check=False).returncode == 0:
            return python
    return None


os.environ["PATH"] = os.pathsep.join((os.environ["PATH"], *find_pyenv_pythons()))
OLDEST = next((version for version in PYTHONS if has_python(version)), PYTHONS[0])


NOT_THOROUGH = ("-m", "not thorough")


def which_tests(python: object) -> tuple[str, ...]:
    """Return what chooses the tests for a Python: long searches are for the newest there is."""
    newest = next((version for version in reversed(PYTHONS) if has_python(version)), PYTHONS[-1])
    return () if python == newest else NOT_THOROUGH


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, layout and the direction of imports."""
    session.install("-e", ".[lint]")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("lint-imports")


@nox.session
def types(session: nox.Session) -> None:
    """Check types with mypy and pyright, both strict."""
    session.install("-e", ".[types]")
    session.run("mypy")
    session.run("pyright")


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests on asyncio, asyncio with uvloop, and trio."""
    session.install("-e", ".[test]")
    session.run("pytest", *WORKERS, *which_tests(session.python), *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation; a warning is an error (its examples are run by the tests)."""
    session.install("-e", ".[docs]")
    session.run("mkdocs", "build", "--strict")


@nox.session(python=OLDEST)
def lowest(session: nox.Session) -> None:
    """Run the tests on the oldest Python with each direct dependency as old as pyproject.toml allows."""
    constraints = Path(session.create_tmp(), "lowest.txt")
    constraints.write_text("\n".join(lower_bounds()), encoding="utf-8")
    session.install("--constraint", str(constraints), ".[test]")
    session.run("python", "-I", "-c", "import bt_api_base.cli")  # the wheel, as opposed to the source tree
    session.run("pytest", *WORKERS, *NOT_THOROUGH, *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure against the peers, and print tables of ratios."""
    session.install("-e", ".[bench,uvloop]")
    for script in sorted(Path("benchmarks").glob("[!_]*.py")):
        session.run("python", str(script), *session.posargs)


@nox.session
def autobahn(session: nox.Session) -> None:
    """Run the Autobahn test suite against the client (15 minutes), and write docs/autobahn.md."""
    python2 = find_python2()
    if python2 is None:
        session.skip("the Autobahn test suite needs Python 2.7, which neither pyenv nor the search path has")
    session.install("-e", ".[uvloop]", "virtualenv<20.22")  # the last that makes environments for Python 2.7
    directory = Path(session.create_tmp())
    session.run("virtualenv", "--quiet", "--clear", "--python", python2, str(directory / "python2"))
    python = str(directory / "python2" / "bin" / "python")
    install = (python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps")
    session.run(*install, "-r", "tests/autobahn/requirements.txt", external=True)
    # With it the server is twice as fast, but it takes a C compiler to install.
    session.run(*install, "wsaccel==0.6.6", external=True, success_codes=[0, 1])
    arguments = ("--python2", python, "--reports", str(directory / "reports"))
    what = session.posargs or ("--page", "docs/autobahn.md")
    session.run("python", "-m", "tests.autobahn.run", *arguments, *what)


@nox.session
def soak(session: nox.Session) -> None:
    """Lose a connection 1,000 times and rotate it 50 times (minutes), and write docs/soak.md."""
    session.install("-e", ".[uvloop]")
    session.run("python", "-m", "tests.soak.run", *(session.posargs or ("--page", "docs/soak.md")))


def lower_bounds() -> list[str]:
    """Return pyproject.toml's requirements, with those of the extras for users and tests, at their lower bounds."""
    extras = PROJECT["project"]["optional-dependencies"]
    requirements = [*PROJECT["project"]["dependencies"]]
    for extra in ("proxy", "redis", "signing", "uvloop", "test"):
        requirements.extend(extras[extra])
    bound = re.compile(r"^([\w.-]+)(?:\[[^\]]*\])?>=")
    return [bound.sub(r"\1==", requirement) for requirement in requirements if bound.match(requirement)]
