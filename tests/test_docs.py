"""The documentation's programs run, print what the pages say they print, and its tables say what the code does.

Every block fenced as ``python`` in README.md, CONTRIBUTING.md and docs is run, a page's blocks one after another in one
namespace, and so is every file in examples; each on asyncio, uvloop and trio. A block fenced as ``text`` with the title
"Output" is what the ``python`` block before it has to print.
"""

from __future__ import annotations

import io
import re
import sys
from contextlib import redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import Any

import anyio
import attrs
import pytest

from bt_api_base import exceptions, venues
from bt_api_base.event_stream import Overflow
from bt_api_base.venues.binance.topics import TOPICS
from bt_api_base.websocket import events
from bt_api_base.websocket.config import WebSocketConfig
from bt_api_base.websocket.connection_stats import ConnectionState, ConnectionStats

REPOSITORY = Path(__file__).resolve().parent.parent
DOCS = REPOSITORY / "docs"
PAGES = sorted([REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *DOCS.rglob("*.md")])
EXAMPLES = sorted((REPOSITORY / "examples").glob("*.py"))

FENCE = re.compile(
    r"^(?P<indent> *)```(?P<info>[^\n`]*)\n(?P<body>.*?)^(?P=indent)```$", flags=re.MULTILINE | re.DOTALL
)
LOOPBACK = ("127.0.0.1", "::1", "localhost")


@attrs.frozen
class Block:
    """A program on a page.

    Attributes:
        code: Its text.
        line: The line of the page it begins at.
        output: What the page says it prints; ``None`` if it does not say.
    """

    code: str
    line: int
    output: str | None = None


def name_of(path: Path) -> str:
    """Return a path as it is known in the repository."""
    return path.relative_to(REPOSITORY).as_posix()


def blocks_of(page: Path) -> list[Block]:
    """Return the programs of a page, in order."""
    text = page.read_text(encoding="utf-8")
    blocks: list[Block] = []
    for match in FENCE.finditer(text):
        indent = len(match["indent"])
        body = "".join(line[indent:] or "\n" for line in match["body"].splitlines(keepends=True))
        language, _, options = match["info"].strip().partition(" ")
        if language == "python":
            blocks.append(Block(body, text.count("\n", 0, match.start()) + 2))
        elif language == "text" and 'title="Output"' in options:
            blocks[-1] = attrs.evolve(blocks[-1], output=body)
    return blocks


PAGES_WITH_PROGRAMS = [page for page in PAGES if blocks_of(page)]


@pytest.fixture
def namespace(
    anyio_backend: tuple[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> dict[str, Any]:
    """Return the namespace of a program that lives in an empty directory, on the test's event loop, offline."""
    backend, backend_options = anyio_backend
    run, connect_tcp = anyio.run, anyio.connect_tcp

    def run_on_this_loop(function: Any, *args: object, **options: Any) -> Any:
        return run(function, *args, **(options or {"backend": backend, "backend_options": backend_options}))

    def connect_to_loopback(host: str, *args: Any, **options: Any) -> Any:
        assert str(host) in LOOPBACK, f"a documented program connects to {host}"
        return connect_tcp(host, *args, **options)

    monkeypatch.setattr(anyio, "run", run_on_this_loop)
    monkeypatch.setattr(anyio, "connect_tcp", connect_to_loopback)
    monkeypatch.setattr(sys, "argv", ["program"])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(venues, "_factories", dict(venues._factories))
    # Structs and attrs classes look their annotations up in the module they were made in.
    module = ModuleType("documented_program")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return vars(module)


@pytest.mark.parametrize("page", PAGES_WITH_PROGRAMS, ids=name_of)
def test_programs_on_a_page_run_and_print_what_it_says(page: Path, namespace: dict[str, Any]) -> None:
    """Each program runs to its end, with those above it on the page, and prints what stands below it."""
    for block in blocks_of(page):
        # Blank lines above the code give tracebacks the lines of the page.
        code = compile("\n" * (block.line - 1) + block.code, str(page), "exec", dont_inherit=True)
        with redirect_stdout(io.StringIO()) as printed:
            exec(code, namespace)  # noqa: S102 - the project's own documentation
        if block.output is not None:
            assert block.output == printed.getvalue(), f"{name_of(page)}, line {block.line}"


@pytest.mark.parametrize("example", EXAMPLES, ids=name_of)
def test_an_example_runs(example: Path, namespace: dict[str, Any]) -> None:
    """Each file in examples is a program that ends by itself and prints something."""
    namespace["__name__"] = "__main__"
    with redirect_stdout(io.StringIO()) as printed:
        exec(compile(example.read_text(encoding="utf-8"), str(example), "exec", dont_inherit=True), namespace)  # noqa: S102
    assert printed.getvalue().strip()


def rows(page: str, heading: str) -> dict[str, list[str]]:
    """Return the rows of the first table below a heading, without their backticks, by their first cell."""
    text = (DOCS / page).read_text(encoding="utf-8")
    assert heading in text, f"{page} has no heading {heading!r}"
    table = re.search(r"(?:^\|.*\|\n)+", text.partition(heading)[2], flags=re.MULTILINE)
    assert table is not None, f"no table below {heading!r}"
    cells = [
        [cell.strip().replace("`", "") for cell in line.strip("|").split("|")] for line in table[0].splitlines()[2:]
    ]
    return {first: rest for first, *rest in cells}


def test_the_settings_on_the_page_are_those_of_the_code() -> None:
    """The table of settings names every attribute of `WebSocketConfig`, with its default."""
    documented = {name: cells[0] for name, cells in rows("connections.md", "## Settings").items()}
    expected = {
        field.name: "required" if field.default is attrs.NOTHING else repr(field.default)
        for field in attrs.fields(WebSocketConfig)
    }
    expected["subscription_limits"] = "{}"
    assert {name: value.replace('"', "'").replace("_", "") for name, value in expected.items()} == {
        name: value.replace('"', "'").replace("_", "").replace(" ", "") for name, value in documented.items()
    }


def test_the_connection_events_on_the_page_are_those_of_the_code() -> None:
    """The table of connection events has a row for each, with its class and its own fields."""
    common = set(events.ConnectionEvent.__struct_fields__)
    expected = {
        name: (kind.__name__, {field for field in kind.__struct_fields__ if field not in common})
        for kind, name in events.NAMES.items()
    }
    documented = rows("connections.md", "## Events on the bus")
    assert expected == {name: (cells[0], set(re.findall(r"\w+", cells[1]))) for name, cells in documented.items()}


def test_the_counters_on_the_page_are_those_of_the_code() -> None:
    """The table of counters names every attribute of `ConnectionStats`."""
    expected = {field.name for field in attrs.fields(ConnectionStats)}
    assert expected == set(", ".join(rows("connections.md", "## What a connection counts")).split(", "))


def test_the_states_in_the_diagram_are_those_of_the_code() -> None:
    """The page on connections mentions every state."""
    text = (DOCS / "connections.md").read_text(encoding="utf-8")
    assert [] == [state.name for state in ConnectionState if state.name not in text]


def test_the_overflow_policies_on_the_page_are_those_of_the_code() -> None:
    """The table of policies has a row for each."""
    assert {policy.name for policy in Overflow} == set(rows("events.md", "## When a consumer is slow"))


def test_the_topics_on_the_page_are_those_of_the_code() -> None:
    """The table of Binance's topics has a row for each, with the type of its events and its parameters."""
    expected = {topic.name: (topic.event_type.__name__, set(topic.parameters)) for topic in TOPICS.values()}
    documented = rows("venues.md", "### Topics")
    assert expected == {
        topic: (cells[1], set(re.findall(r"(\w+)=", cells[2])))
        for names, cells in documented.items()
        for topic in names.split(", ")
    }


def test_every_exception_is_on_the_page() -> None:
    """The page on errors has every class and every predicate."""
    text = (DOCS / "errors.md").read_text(encoding="utf-8")
    names = set(exceptions.__all__) - {"ErrorContext"}
    assert set() == {name for name in names if not re.search(rf"\b{name}\b", text)}


def test_the_readme_has_two_commands() -> None:
    """README.md keeps to one command that shows the program and one that runs the checks."""
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    commands = re.findall(r"^```sh\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    assert [
        "python3 -m venv .venv && .venv/bin/python -m pip install -q '.[uvloop]' && .venv/bin/bt-api demo\n",
        "python3 -m venv .venv-test && .venv-test/bin/python -m pip install -q nox && .venv-test/bin/nox\n",
    ] == commands


@pytest.mark.parametrize("page", [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md"], ids=name_of)
def test_links_outside_the_built_pages_lead_somewhere(page: Path) -> None:
    """Files that README.md and CONTRIBUTING.md link to exist; the build checks the links between the pages."""
    links = re.findall(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [] == [link for link in links if not (page.parent / link).exists()]
