"""The documentation's programs run, print what the pages say they print, and its tables say what the code does.

Every block fenced as ``python`` in README.md, CONTRIBUTING.md and docs is run, a page's blocks one after another in one
namespace, and so is every file in examples; each on asyncio, uvloop and trio. A block fenced as ``text`` with the title
"Output" is what the ``python`` block before it has to print.
"""

from __future__ import annotations

import inspect
import io
import re
import sys
from contextlib import redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, get_args

import anyio
import attrs
import pytest

from bt_api_base import exceptions, feeds, venues
from bt_api_base.containers import Event, Gap
from bt_api_base.containers.enums import GapReason
from bt_api_base.event_stream import Overflow
from bt_api_base.feeds.error_table import ErrorKind
from bt_api_base.rate_limiter import RateLimitUnit
from bt_api_base.testing.connection_controls import ConnectionControls
from bt_api_base.testing.faulty_proxy import FaultyProxy
from bt_api_base.testing.proxy_calls import FaultCalls
from bt_api_base.testing.rest_log import RestLog
from bt_api_base.testing.rest_side import RestSide
from bt_api_base.testing.stream_controls import StreamControls
from bt_api_base.transport import TransportPolicy
from bt_api_base.venues.binance.rest_endpoints import SPOT as SPOT_REST, USDM as USDM_REST
from bt_api_base.venues.binance.rest_errors import SPOT_ERRORS
from bt_api_base.venues.binance.rest_limits import SPOT_RULES, USDM_RULES
from bt_api_base.venues.binance.topics import TABLE as SPOT
from bt_api_base.venues.binance.usdm_topics import TABLE as USDM
from bt_api_base.venues.okx.rest_endpoints import OKX_RULES
from bt_api_base.venues.okx.rest_errors import OKX_ERRORS
from bt_api_base.venues.okx.topics import TOPICS as OKX
from bt_api_base.websocket import adapter as contract, events
from bt_api_base.websocket.adapter import Channel, Continuity, StreamAdapter
from bt_api_base.websocket.channels import SubscriptionState
from bt_api_base.websocket.config import WebSocketConfig
from bt_api_base.websocket.connection_stats import ConnectionState, ConnectionStats
from bt_api_base.websocket.subscription import SubscriptionStats

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bt_api_base.rate_limiter import RateLimitRule

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
    monkeypatch.setattr(feeds, "_feeds", dict(feeds._feeds))
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


def rows(page: str, heading: str, number: int = 0) -> dict[str, list[str]]:
    """Return the rows of a table below a heading, the first unless said, without backticks, by their first cell."""
    text = (DOCS / page).read_text(encoding="utf-8")
    assert heading in text, f"{page} has no heading {heading!r}"
    tables = re.findall(r"(?:^\|.*\|\n)+", text.partition(heading)[2], flags=re.MULTILINE)
    assert len(tables) > number, f"no table below {heading!r}"
    cells = [
        [cell.strip().replace("`", "") for cell in line.strip("|").split("|")]
        for line in tables[number].splitlines()[2:]
    ]
    return {first: rest for first, *rest in cells}


def defaults(settings: type[Any]) -> dict[str, str]:
    """Return how the defaults of a class of settings are written."""
    return {
        field.name: "required"
        if field.default is attrs.NOTHING
        else "{}"
        if isinstance(field.default, attrs.Factory)  # type: ignore[arg-type]
        else repr(field.default).replace('"', "'").replace("_", "")
        for field in attrs.fields(settings)
    }


def documented_defaults(page: str, heading: str) -> dict[str, str]:
    """Return the defaults in a table of settings."""
    return {
        name: cells[0].replace('"', "'").replace("_", "").replace(" ", "")
        for name, cells in rows(page, heading).items()
    }


def names_in(page: str, heading: str) -> set[str]:
    """Return the names in the first column of a table, of which a cell may have several."""
    return set(", ".join(rows(page, heading)).split(", "))


@pytest.mark.parametrize(
    ("settings", "heading"), [(WebSocketConfig, "## Settings"), (TransportPolicy, "## The way out")], ids=str
)
def test_the_settings_on_the_page_are_those_of_the_code(settings: type[Any], heading: str) -> None:
    """A table of settings names every attribute, with its default."""
    assert defaults(settings) == documented_defaults("connections.md", heading)


def test_the_connection_events_on_the_page_are_those_of_the_code() -> None:
    """The table of connection events has a row for each, with its class and its own fields."""
    common = set(events.ConnectionEvent.__struct_fields__)
    expected = {
        name: (kind.__name__, {field for field in kind.__struct_fields__ if field not in common})
        for kind, name in events.NAMES.items()
    }
    documented = rows("connections.md", "## Events on the bus")
    assert expected == {name: (cells[0], set(re.findall(r"\w+", cells[1]))) for name, cells in documented.items()}


@pytest.mark.parametrize(
    ("counters", "heading"),
    [(ConnectionStats, "## What a connection counts"), (SubscriptionStats, "## What a subscription counts")],
    ids=str,
)
def test_the_counters_on_the_page_are_those_of_the_code(counters: type[Any], heading: str) -> None:
    """A table of counters names every attribute."""
    assert {field.name for field in attrs.fields(counters)} == names_in("connections.md", heading)


def test_the_states_in_the_diagrams_are_those_of_the_code() -> None:
    """The diagrams of connections and subscriptions have every state."""
    text = (DOCS / "supervision.md").read_text(encoding="utf-8")
    diagrams = "".join(re.findall(r"^```mermaid\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL))
    assert [] == [state.name for state in (*ConnectionState, *SubscriptionState) if state.name not in diagrams]


def test_the_overflow_policies_on_the_page_are_those_of_the_code() -> None:
    """The table of policies has a row for each."""
    assert {policy.name for policy in Overflow} == set(rows("flow-control.md", "## Four policies"))


def test_the_gap_on_the_page_is_that_of_the_code() -> None:
    """The tables have every field of a gap, every reason, and every kind of continuity."""
    assert set(Gap.__struct_fields__) == names_in("gaps.md", "## What it says")
    assert {reason.name for reason in GapReason} == set(rows("gaps.md", "### Why"))
    assert {kind.name for kind in Continuity} == set(rows("gaps.md", "## Exact where the venue numbers"))


def parameters_in(cell: str) -> set[str]:
    """Return the parameters that a row's last cell names."""
    return set(re.findall(r"(\w+)=", cell))


def order_and_silence(continuity: Continuity, quiet_after: float | None) -> tuple[str, str]:
    """Return how a topic's continuity and its pace are written."""
    return (
        "-" if continuity is Continuity.NONE else continuity.value,
        "-" if quiet_after is None else f"{quiet_after:g} s",
    )


@pytest.mark.parametrize(
    ("table", "heading", "has_endpoints"),
    [
        pytest.param(SPOT, "### Topics of Binance spot", False, id="spot"),
        pytest.param(USDM, "### Topics of Binance USD-M futures", True, id="futures"),
    ],
)
def test_binances_topics_on_the_page_are_those_of_the_code(table: Any, heading: str, has_endpoints: bool) -> None:
    """A table of topics has a row for each: endpoint, events, order, silence, parameters."""
    expected = {
        topic.name: (
            [topic.endpoint] * has_endpoints,
            topic.event_type.__name__,
            *order_and_silence(topic.continuity, topic.quiet_after),
            set(topic.parameters),
        )
        for topic in table.topics.values()
    }
    assert expected == {
        name: (endpoints, event, order, silence, parameters_in(note))
        for name, (_, *endpoints, event, order, silence, note) in rows("venues.md", heading).items()
    }


def test_okxs_topics_on_the_page_are_those_of_the_code() -> None:
    """The table of OKX's topics has a row for each: endpoint, events, order, silence, parameters."""
    expected = {
        topic.name: (
            topic.endpoint,
            ", ".join(kind.__name__ for kind in topic.wanted or topic.event_types),
            *order_and_silence(topic.continuity, topic.quiet_after),
            set(topic.parameters),
        )
        for topic in OKX.values()
    }
    assert expected == {
        name: (endpoint, types, order, silence, parameters_in(note))
        for name, (_, endpoint, types, order, silence, note) in rows("venues.md", "### Topics of OKX").items()
    }


@pytest.mark.parametrize(
    ("exchange_name", "heading"),
    [
        ("BINANCE___SPOT", "### Account of Binance spot"),
        ("BINANCE___SWAP", "### Account of Binance USD-M futures"),
    ],
)
def test_binances_private_topics_on_the_page_are_those_of_the_code(exchange_name: str, heading: str) -> None:
    """A table of private topics has a row for each, with the types of its events."""
    topics: Any = venues.stream_adapter(exchange_name)
    channels = {name: topics.channel(name, "") for name in topics.private_topics.names}
    assert {
        name: ", ".join(kind.__name__ for kind in channel.event_types) or "all of these"
        for name, channel in channels.items()
    } == {name: cells[0] for name, cells in rows("venues.md", heading).items()}


def test_every_venue_is_on_the_page() -> None:
    """The table of venues names every built-in adapter, and there is a feed for each."""
    assert set(venues.stream_adapter_names()) == names_in("venues.md", "# Venues")
    assert venues.stream_adapter_names() == feeds.venue_feed_names()


FEEDS = ("BINANCE___SPOT", "BINANCE___SWAP", "OKX___SPOT", "OKX___SWAP", "OKX___FUTURES", "OKX___OPTION")
"""By the columns of the tables of feeds, of which the last one is for all of OKX's contracts."""


def test_what_feeds_can_do_on_the_page_is_what_the_code_says() -> None:
    """The table has each feed's capabilities, with the methods that need them; a sentence names what no feed has."""
    documented = rows("venues.md", "## Over REST")
    for number, name in enumerate(FEEDS):
        can = {row for row, cells in documented.items() if cells[1 + min(number, 3)] == "yes"}
        assert {each.name for each in feeds.venue_feed(name).capabilities} == set(", ".join(can).split(", "))
    text = (DOCS / "venues.md").read_text(encoding="utf-8")
    nobody = re.search(r"^No feed has (.*?)\.", text, flags=re.MULTILINE | re.DOTALL)
    assert nobody is not None
    assert {each.name for each in feeds.Capability} - names_in("venues.md", "## Over REST") == set(
        re.findall(r"`(\w+)`", nobody[1])
    )
    methods = {method for cells in documented.values() for method in re.findall(r"async_\w+", cells[0])}
    assert methods <= set(dir(feeds.NativeFeed))


def test_how_feeds_differ_on_the_page_is_how_they_do() -> None:
    """The table has hosts, the form of client order ids, the length of pages, and settle times."""
    documented = rows("venues.md", "## Over REST", 1)
    for number, name in enumerate(FEEDS):
        feed = feeds.venue_feed(name)
        api, column = feed.api_class, min(number, 2)
        assert api.rest_url == documented["host"][column]
        assert getattr(api, "demo_url", "the same, with keys of its own") == documented["with demo=True"][column]
        assert api.client_order_ids.pattern == documented["client order ids"][column]
        assert str(api.max_klines) == documented["bars in an answer"][column]
        assert f"{feed.policy.settle_time:g} s" == documented["settle time"][column]
        assert feed.policy.confirmations == 2


def limits_of(rules: Iterable[RateLimitRule]) -> dict[str, str]:
    """Return how limits are written."""
    return {rule.name: f"{rule.limit:,} in {rule.interval:,g} s" for rule in rules}


@pytest.mark.parametrize(
    ("endpoints", "rules", "heading"),
    [
        pytest.param(SPOT_REST, SPOT_RULES, "### REST of Binance spot", id="spot"),
        pytest.param(USDM_REST, USDM_RULES, "### REST of Binance USD-M futures", id="futures"),
    ],
)
def test_binances_endpoints_and_limits_on_the_page_are_those_of_the_code(
    endpoints: Any, rules: Iterable[RateLimitRule], heading: str
) -> None:
    """A table of endpoints has a row for each with its weight, and one of limits a row for each rule."""
    table: list[Any] = [each for each in attrs.asdict(endpoints, recurse=False).values() if each is not None]
    documented = {name: cells[-1] for name, cells in rows("venues.md", heading).items()}
    assert {f"{each.method} {each.path}" for each in table} == set(documented)
    for each in table:
        assert re.match(rf"{each.weight}\b", documented[f"{each.method} {each.path}"]), each
    assert limits_of(rules) == {name: cells[0] for name, cells in rows("venues.md", heading, 1).items()}


def test_okxs_endpoints_on_the_page_are_those_of_the_code() -> None:
    """The table of OKX's endpoints has a row for each, with its limit and what that is counted by."""
    by = {"IP": "address", "ENDPOINT": "account"}
    expected = {
        rule.name: (
            f"{rule.limit} orders" if rule.counts is RateLimitUnit.ORDERS else str(rule.limit),
            by[rule.scope.name] + " and instrument" * rule.per_key,
        )
        for rule in OKX_RULES
        if rule.name.startswith(("GET", "POST"))
    }
    documented = rows("venues.md", "### REST of OKX")
    assert expected == {name: (cells[1], cells[2]) for name, cells in documented.items()}


@pytest.mark.parametrize(
    ("table", "heading"),
    [(SPOT_ERRORS, "### REST of Binance spot"), (OKX_ERRORS, "### REST of OKX")],
    ids=["Binance", "OKX"],
)
def test_the_codes_of_unknown_fate_on_the_page_are_those_of_the_code(table: Any, heading: str) -> None:
    """The page says after which codes an order's fate is unknown."""
    text = (DOCS / "venues.md").read_text(encoding="utf-8").partition(heading)[2]
    sentence = text.partition("**An order's fate is unknown** after")[2].partition("after a")[0]
    unknown = {code for code, kind in table.codes.items() if kind is ErrorKind.FATE_UNKNOWN}
    assert unknown == set(re.findall(r"`(-?\d+)`", sentence))


def public_methods(*owners: type) -> set[str]:
    """Return the names of methods that classes define themselves."""
    return {
        name
        for owner in owners
        for name, member in vars(owner).items()
        if not name.startswith("_") and inspect.isfunction(member)
    }


def names_called(cells: Iterable[str]) -> set[str]:
    """Return the names of what is called in cells of a table."""
    return set(re.findall(r"(\w+)\(", " ".join(cells)))


def test_the_contract_on_the_page_is_that_of_the_code() -> None:
    """The page for authors has every member of an adapter, every field of a channel, and every control message."""
    members = public_methods(StreamAdapter) - {"decode"} | {"exchange_name", "default_url", "limits"}
    documented = rows("venue-authors.md", "## What an adapter says")
    assert members == set(
        re.findall(r"(\w+)(?=\(|,|$)", ", ".join(re.sub(r"\([^)]*\)", "", cell) for cell in documented))
    )
    text = (DOCS / "venue-authors.md").read_text(encoding="utf-8")
    described = {
        name for cell in re.findall(r"^\| (`.*?) \|", text, flags=re.MULTILINE) for name in re.findall(r"\w+", cell)
    }
    assert set() == {*Channel.__struct_fields__} - described
    messages = {name for name in re.findall(r"\w+", str(contract.Control)) if name != "Malformed"}
    assert set() == messages - described


def test_the_faults_on_the_page_are_those_of_the_code() -> None:
    """The tables of faults have everything that a simulated venue, or the proxy, can be told to do."""
    text = (DOCS / "testing.md").read_text(encoding="utf-8")
    assert set() == public_methods(ConnectionControls, StreamControls) - names_called([text])
    proxy = rows("testing.md", "## A proxy that breaks things")
    assert public_methods(FaultCalls) - {"apply"} | {"heal"} == names_called(proxy)
    assert names_called(proxy) <= set(dir(FaultyProxy))


def test_the_rest_side_on_the_page_is_that_of_the_code() -> None:
    """The tables of a venue's REST side have everything a test can do to it, and read of it."""
    faults = names_called(rows("testing.md", "## A venue over REST"))
    told = names_called(rows("testing.md", "## A venue over REST", 1))
    assert public_methods(RestSide) - {"start", "stop", "handle"} == {*faults, *told} - public_methods(RestLog)
    assert set() == public_methods(RestLog) - {"open"} - told


def test_every_container_is_on_the_page() -> None:
    """The page on containers has every type of event."""
    text = (DOCS / "containers.md").read_text(encoding="utf-8")
    assert [] == [kind.__name__ for kind in get_args(Event) if f"`{kind.__name__}`" not in text]


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
