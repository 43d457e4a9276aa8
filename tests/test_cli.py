"""The command line as its users meet it: arguments, output, exit status, signals, terminals and pipes."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import time
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import pytest

from bt_api_base import __version__, cli
from bt_api_base._cli.chaos import StreamWatch
from bt_api_base._cli.runtime import CommandError, Interrupts, expected_errors, interrupts, run
from bt_api_base._cli.tally import TallyAdapter, TallyBook
from bt_api_base.exceptions import ConfigurationError, WebSocketError
from bt_api_base.testing.venue_records import VenueSession
from bt_api_base.venues import stream_adapter

if sys.version_info < (3, 11):
    from exceptiongroup import ExceptionGroup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bt_api_base._cli.runtime import Backend

BACKENDS = ("asyncio", "uvloop", "trio")
PROGRAM = (sys.executable, "-m", "bt_api_base")
TRADE = (
    '{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":1,"p":"61837.63000000",'
    '"q":"0.02000000","T":1723161255342,"m":true,"M":true}}\n'
)

on_posix = pytest.mark.skipif(os.name != "posix", reason="signals and pseudo-terminals of POSIX")


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Room for every column of the tables, whatever the tests run in."""
    monkeypatch.setenv("COLUMNS", "120")


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start the program as a process of its own, which ends with the test."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str, **options: Any) -> subprocess.Popen[str]:
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
        started.append(subprocess.Popen([*PROGRAM, *arguments], **options))  # noqa: S603 - this very program
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


# -- help and usage ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--help"], ("demo", "watch", "replay", "--version")),
        ([], ("demo", "watch", "replay")),
        (["demo", "--help"], ("--backend", "uvloop", "--duration", "--chaos", "--rotate-every", "--plain", "--seed")),
        (["watch", "--help"], ("EXCHANGE", "SYMBOLS", "--topic", "--record", "--url", "--attempts")),
        (["replay", "--help"], ("FILES", "--speed", "max", "--exchange")),
    ],
)
def test_help_helps(arguments: list[str], expected: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """Each command says what it does and takes."""
    assert cli.main(arguments) == 0
    output = capsys.readouterr().out
    assert output.startswith("Usage: bt-api")
    assert [] == [text for text in expected if text not in output]


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """In one line."""
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"bt-api-base {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["dmeo"], 'Unknown command "dmeo". Did you mean "demo"?'),
        (["demo", "--backend", "curio"], 'Invalid value "curio" for --backend.'),
        (["demo", "--duration", "0"], "Must be > 0."),
        (["demo", "--rate", "0.5"], "Must be >= 1."),
        (["demo", "--rotate-every", "0.5"], "Must be >= 1."),
        (["demo", "--what"], "Unknown option: --what."),
        (["watch"], "EXCHANGE requires an argument"),
        (["watch", "BINANCE___SPOT"], "SYMBOLS requires an argument"),
        (["watch", "BINANCE___SPOT", "BTC-USDT", "--url", "http://h"], "Must start with ws:// or wss://."),
        (["replay"], "FILES requires an argument"),
        (["replay", "f", "--speed", "0"], "Must be > 0, or max."),
        (["replay", "f", "--speed", "fast"], 'unable to convert "fast"'),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(
    arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says what is wrong, and where to read on."""
    assert cli.main(arguments) == 2
    output, errors = capsys.readouterr()
    assert output == ""
    assert errors.startswith("error: bt-api")
    assert text in errors
    assert errors.endswith(" --help\n")
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["watch", "NOWHERE", "BTC-USDT"], "no such exchange"),
        (["watch", "BINANCE___SPOT", "BTC-USDT", "--topic", "weather"], "no topic 'weather'"),
        (["demo", "--symbols", "B T C"], "invalid symbol 'B T C'"),
        (["replay", "missing.jsonl"], "cannot read missing.jsonl: No such file or directory"),
        (["watch", "BINANCE___SPOT", "BTC-USDT", "--url", "ws://127.0.0.1:1/", "--attempts", "1"], "given up after 2"),
        (["watch", "BINANCE___SPOT", "BTC-USDT", "--url", "ws://127.0.0.1:1/", "--duration", "0.3"], "was not reached"),
    ],
)
def test_a_failure_is_one_line_and_status_1(
    arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """No traceback for what is no fault of the program."""
    assert cli.main(arguments) == 1
    errors = capsys.readouterr().err
    assert errors.startswith("error: ")
    assert text in errors
    assert errors.count("\n") == 1


def test_a_missing_extra_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The faster event loop is an extra."""
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert cli.main(["demo", "--backend", "uvloop", "--duration", "1"]) == 1
    assert 'pip install "bt_api_base[uvloop]"' in capsys.readouterr().err


def test_a_fault_of_the_program_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only expected failures lose their traceback."""

    def fail(*_: object) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr(cli, "run", fail)
    with pytest.raises(ZeroDivisionError):
        cli.main(["demo"])


def test_failures_in_groups_are_told_once() -> None:
    """A group is how tasks fail; what the user needs is why."""
    refused = [WebSocketError("V", "refused"), WebSocketError("V", "refused"), OSError(28, "No space left")]
    assert expected_errors(ExceptionGroup("g", [ExceptionGroup("h", refused[:2]), refused[2]])) == [
        str(refused[0]),
        "[Errno 28] No space left",
    ]
    assert expected_errors(ExceptionGroup("g", [CommandError("x"), ZeroDivisionError()])) is None


def test_the_console_script_is_the_same_program() -> None:
    """``bt-api`` and ``python -m bt_api_base``."""
    scripts = {script.name: script.value for script in entry_points(group="console_scripts")}
    assert scripts["bt-api"] == "bt_api_base.cli:main"


# -- demo --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
def test_demo_streams_and_adds_up(backend: str, capsys: pytest.CaptureFixture[str]) -> None:
    """On each event loop: prices, lags, and a summary that agrees with the venue's record; nothing is lost."""
    assert cli.main(["demo", "--backend", backend, "--duration", "2", "--rate", "200", "--plain"]) == 0
    output = capsys.readouterr().out
    assert "ws.connected BINANCE___SPOT-1 is up" in output
    assert re.search(r"BTC-USDT +61,\d{3}\.\d\d +bid 61,.* ask 61,.* spread ", output)
    assert re.search(
        r"total +[\d,]+ ev/s .* lag p50 .* reconnects 0  rotations 0  dropped 0  bad frames 0  gaps 0", output
    )
    verdict = re.search(r"verified: ([\d,]+) frames were sent over 1 connection, ([\d,]+) arrived in order\n", output)
    assert verdict is not None
    assert verdict[1] == verdict[2]
    assert "0 rotations, 0 reconnections, 0 events lost\n" in output


@pytest.mark.parametrize("backend", BACKENDS)
def test_demo_rotates_and_loses_nothing(backend: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One connection takes over from another: what comes over both is shown once, and nothing is missing."""
    arguments = ["--duration", "2.5", "--rate", "300", "--rotate-every", "1", "--symbols", "BTC-USDT"]
    assert cli.main(["demo", "--backend", backend, *arguments]) == 0
    output = capsys.readouterr().out
    assert "ws.rotated BINANCE___SPOT-1 was taken over by connection 2 (age): 3 channels, both were open" in output
    assert "ws.disconnected" not in output
    verdict = re.search(r"([\d,]+) events were shown, each once and in order\n +(\d) rotations?, (.*)\n", output)
    assert verdict is not None
    assert int(verdict[2]) >= 1
    assert verdict[3] == "0 reconnections, 0 events lost"
    duplicates = re.search(r"came over two +([\d,]+) events, shown once", output)
    assert duplicates is not None
    assert int(duplicates[1]) > 0
    assert "×" not in output


@pytest.mark.parametrize("backend", BACKENDS)
def test_demo_survives_chaos_and_adds_up(backend: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Every stream comes back from every fault, whatever is lost is in a gap that was told, and gaps are shown."""
    arguments = ["--duration", "4", "--rate", "300", "--chaos", "--symbols", "BTC-USDT", "ETH-USDT"]
    assert cli.main(["demo", "--backend", backend, *arguments]) == 0
    output = capsys.readouterr().out
    faults = {line.split(maxsplit=2)[2] for line in output.splitlines() if " chaos " in line}
    assert len(faults) >= 3
    assert re.search(r"verified: [\d,]+ frames were sent over \d+ connections", output)
    assert re.search(r"BTC-USDT .* gaps [1-9]", output)
    assert "×" in output
    assert re.search(r"gaps +[1-9]\d* told: [1-9]\d* interruptions of 2 symbols", output)
    assert re.search(r"[1-9]\d* reconnections?, [\d,]+ events lost, all of them in one of \d+ gaps that", output)
    rows = [line.split() for line in output.splitlines()]
    for stream in ("btcusdt@trade", "btcusdt@bookTicker", "btcusdt@depth5@100ms", "ethusdt@trade"):
        over_wire, on_screen = ([int(text.replace(",", "")) for text in row[1:]] for row in rows if row[:1] == [stream])
        sent, received, under_way = over_wire
        happened, shown, lost, gaps = on_screen
        assert sent == received + under_way > 0
        assert happened == shown + lost > shown > 0
        assert received >= shown
        assert gaps > 0


def test_the_same_seed_makes_the_same_faults() -> None:
    """Chaos is a script: what it did once it does again."""
    from bt_api_base._cli.chaos import Chaos

    def script(seed: int) -> list[str]:
        chaos = Chaos(None, None, None, seed, 0.8)  # type: ignore[arg-type]
        chaos.venue = type("FakeVenue", (), {"disconnect_all": None})()
        return [text for (text, _, _), _ in zip(chaos._script(), range(21), strict=False)]

    assert script(1) == script(1) != script(2)
    assert len(set(script(1)[:7])) == 7


@pytest.mark.anyio
async def test_a_stream_that_stays_away_is_named() -> None:
    """Demo fails when a stream does not come back, and says which."""
    book, sessions = TallyBook(), [VenueSession(number=1, target="/stream?attempt=1", opened_at=0.0)]
    tally = TallyAdapter(stream_adapter("BINANCE___SPOT"), book)
    tally.endpoint("ws://h/stream")
    tally.decode_frame(TRADE, 1)
    watch = StreamWatch(book, sessions, frozenset({"btcusdt@trade", "btcusdt@depth"}), patience=0.02)
    with pytest.raises(CommandError, match=r"within 0.02 s: btcusdt@depth$"):
        await watch.wait_back()
    with pytest.raises(CommandError, match=r"btcusdt@depth, btcusdt@trade$"):
        await watch.wait_back(after=watch.newest)
    await StreamWatch(book, sessions, frozenset({"btcusdt@trade"})).wait_back()
    sessions[0].closed_at = 1.0
    with pytest.raises(CommandError, match=r"btcusdt@depth, btcusdt@trade$"):
        await watch.wait_back()


def test_a_mismatch_is_status_1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A frame that arrives and is not counted must not go unnoticed."""
    decode = TallyAdapter.decode_frame
    seen: list[int] = []

    def forgetful(self: TallyAdapter, frame: bytes | str, local_time: int) -> object:
        seen.append(1)
        return self.decode_inner(frame, local_time) if len(seen) == 5 else decode(self, frame, local_time)

    monkeypatch.setattr(TallyAdapter, "decode_frame", forgetful)
    assert cli.main(["demo", "--duration", "0.3", "--rate", "100"]) == 1
    assert "MISMATCH" in capsys.readouterr().out


# -- as a process ------------------------------------------------------------------------------------


def test_where_there_is_no_terminal_lines_are_written(start: Callable[..., subprocess.Popen[str]]) -> None:
    """No control characters in a pipe, and nothing on standard error."""
    process = start("demo", "--duration", "0.5")
    output, errors = process.communicate(timeout=15)
    assert (0, "") == (process.returncode, errors)
    assert "\x1b" not in output
    assert "verified" in output


@on_posix
@pytest.mark.parametrize(
    ("backend", "number"), [*((backend, signal.SIGINT) for backend in BACKENDS), ("trio", signal.SIGTERM)]
)
def test_an_interrupt_ends_with_the_summary(
    start: Callable[..., subprocess.Popen[str]], backend: str, number: signal.Signals
) -> None:
    """Ctrl-C is an orderly end: everything is closed and reported; the status tells that it was an interrupt."""
    process = start("demo", "--backend", backend, "--chaos")
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(number)
    output, errors = process.communicate(timeout=15)
    assert (128 + number, "") == (process.returncode, errors)
    assert "verified" in output


@on_posix
def test_a_reader_that_has_seen_enough_is_no_failure(start: Callable[..., subprocess.Popen[str]]) -> None:
    """As in ``bt-api demo | head -1``."""
    process = start("demo", "--duration", "5")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=15) == 141
    assert process.stderr.read() == ""


@on_posix
def test_on_a_terminal_the_view_is_live(start: Callable[..., subprocess.Popen[str]]) -> None:
    """It is redrawn on the alternate screen until Ctrl-C, which is the proper end of such a run."""
    import pty

    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "30"}
    process = start("demo", stdin=theirs, stdout=theirs, env=environment)
    os.close(theirs)
    screen = b""
    deadline = time.monotonic() + 15
    interrupted = False
    while time.monotonic() < deadline:
        if select.select([ours], [], [], 0.1)[0]:
            try:
                data = os.read(ours, 65_536)
            except OSError:  # Linux's word for the end of a pseudo-terminal
                break
            if not data:
                break
            screen += data
        if not interrupted and screen.count(b"messages/s") >= 3:
            process.send_signal(signal.SIGINT)
            interrupted = True
    os.close(ours)
    assert process.wait(timeout=5) == 0
    text = screen.decode(errors="replace")
    assert text.index("\x1b[?1049h") < text.index("BTC-USDT") < text.index("\x1b[?1049l") < text.index("verified")


# -- signals and loops -------------------------------------------------------------------------------


@on_posix
@pytest.mark.anyio
async def test_a_signal_ends_what_runs_and_nothing_else() -> None:
    """What runs until a signal is cancelled; what comes after it goes on, and knows."""
    async with interrupts() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        assert not await stop.run_until(5.0, anyio.sleep_forever)
        assert not await stop.run_until(None, anyio.sleep_forever)
        await anyio.lowlevel.checkpoint()
    assert stop.received is signal.SIGTERM
    assert (143, 0) == (stop.exit_status(bounded=True), stop.exit_status(bounded=False))


@pytest.mark.anyio
async def test_time_ends_what_runs() -> None:
    """Whatever ends first ends it: time, or the thing itself."""
    stop = Interrupts()
    assert not await stop.run_until(0.01, anyio.sleep_forever)
    assert await stop.run_until(5.0, anyio.lowlevel.checkpoint)
    assert stop.exit_status(bounded=True) == 0


@on_posix
@pytest.mark.anyio
async def test_the_first_signal_gives_the_second_its_usual_effect() -> None:
    """Who presses Ctrl-C again wants out at once."""
    before = signal.getsignal(signal.SIGTERM)
    async with interrupts() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        await stop.run_until(5.0, anyio.sleep_forever)
        await anyio.sleep(0.01)
        assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_command_runs_on_the_loop_asked_for(backend: Backend) -> None:
    """asyncio, asyncio with uvloop, or trio."""
    import asyncio

    import sniffio

    async def loop_of() -> str:
        if sniffio.current_async_library() == "trio":
            return "trio"
        module = type(asyncio.get_running_loop()).__module__
        return "uvloop" if module.startswith("uvloop") else "asyncio"

    assert run(backend, loop_of) == backend


def test_a_loop_that_is_not_there_is_a_matter_of_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a way out."""
    monkeypatch.setitem(sys.modules, "uvloop", None)
    with pytest.raises(ConfigurationError, match="uvloop is not installed"):
        run("uvloop", anyio.sleep, 0)


def test_an_interrupted_start_is_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C before anything runs."""

    def interrupt(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "run", interrupt)
    assert cli.main(["demo"]) == 130


def test_the_command_line_loads_no_venue_until_one_is_needed() -> None:
    """Help must come at once."""
    code = (
        "import sys, bt_api_base.cli;"
        "print(*(name for name in sys.modules if name.startswith(('bt_api_base.venues', 'bt_api_base.testing'))))"
    )
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "\n"  # noqa: S603 - as above
