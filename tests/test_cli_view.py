"""How a model looks: the live view at several sizes, lines of text, and the tables at the end of a run."""

from __future__ import annotations

from io import StringIO
from typing import Any

import anyio
import pytest
from rich.console import Console

from bt_api_base._cli import view
from bt_api_base._cli.model import Flow, Progress, ViewModel
from bt_api_base._cli.plain import PlainReport
from bt_api_base._cli.screen import Screen, console
from bt_api_base.containers import Event, Gap, GapReason, Side, Tick, Trade
from bt_api_base.websocket import events

VENUE = "BINANCE___SPOT"
SECOND = 1_000_000_000
START = 1_723_161_254 * SECOND
FLOW = Flow(
    frames=1_010,
    data_frames=1_000,
    control_frames=4,
    unrouted_frames=1,
    bad_frames=5,
    duplicates=6,
    abandoned=3,
    connects=8,
    reconnects=2,
    rotations=5,
    dropped=7,
    states=("connected",),
)


def model_of(symbols: int = 2, *, live: bool = True) -> ViewModel:
    """Make a model of ten seconds with a gap in the middle."""
    model = ViewModel(title="a title", live=live)
    names = ("BTC-USDT", "ETH-USDT", *(f"C{number}-USDT" for number in range(symbols)))[:symbols]
    for name in names:
        model.add_symbol(VENUE, name)
    common = {"exchange_name": VENUE, "connection_id": "one"}
    model.note(events.Connected(**common, local_time=START, generation=1))
    for tenth in range(100):
        time_ns = START + tenth * SECOND // 10
        if tenth == 50:
            model.note(
                events.Disconnected(
                    **common, local_time=time_ns, generation=1, reason="reset", close_code=1006, last_frame_time=0
                )
            )
        if 50 <= tenth < 60:
            continue
        if tenth == 60:
            model.note(events.Connected(**common, local_time=time_ns, generation=2))
            model.feed([gap(name, time_ns - 11 * SECOND // 10, time_ns) for name in names], time_ns)
        price = 61_800.0 + tenth
        model.feed([Tick(VENUE, name, time_ns - 2_000_000, time_ns, price, price + 0.5) for name in names], time_ns)
        model.feed([Trade(VENUE, names[0], 0, time_ns, "1", price, 0.25, Side.BUY, time_ns)], time_ns + 30_000)
        model.advance(tenth / 10, time_ns, FLOW)
    return model


def gap(name: str, since: int, until: int) -> Event:
    """Make the gap of a lost connection."""
    return Gap(VENUE, name, 0, until, since=since, until=until, reason=GapReason.DISCONNECTED, topic="ticker")


def drawn(model: ViewModel, width: int, height: int) -> list[str]:
    """Draw the live view as text."""
    out = Console(width=width, height=height, color_system=None, force_terminal=True, record=True, file=StringIO())
    out.print(view.live_view(model, width=width, height=height))
    return out.export_text(styles=False).splitlines()


def test_the_live_view_shows_prices_flow_and_connections() -> None:
    """Everything at a glance, in a terminal of common size."""
    lines = drawn(model_of(), 120, 30)
    text = "\n".join(lines)
    assert lines[0].startswith("a title")
    assert "23:54:23.900 UTC" in lines[0]
    row = next(line for line in lines if line.lstrip().startswith("BTC-USDT"))
    assert "61,899.00" in row
    assert "61,899.50" in row
    assert " 0.50 " in row
    assert "×" in row
    assert "1 (1.1 s)" in row
    for expected in (
        "messages/s",
        "p50 2  p95 2  p99 2 ms",
        "270 in 1,000 frames, 6 twice",
        "reconnects  2, 5 rotated",
        "dropped     7",
        "5, 2",
        "connected",
    ):
        assert expected in text
    assert "ws.disconnected  one lost connection 1: reset" in text


@pytest.mark.parametrize(("width", "height"), [(160, 50), (120, 30), (100, 24), (80, 24), (60, 20), (40, 20)])
def test_the_live_view_fits_the_terminal(width: int, height: int) -> None:
    """Nothing wraps, nothing is cut off at the bottom, and the screen is used."""
    lines = drawn(model_of(), width, height)
    assert max(map(len, lines)) <= width
    assert len(lines) == height
    assert lines[-1].startswith("╰")


def test_a_narrow_terminal_shows_less() -> None:
    """Bid and ask go first, then age and spread; symbol, price and chart stay."""
    header = {width: drawn(model_of(), width, 24)[2].split() for width in (100, 80, 60, 40)}
    assert header == {
        100: ["symbol", "price", "bid", "ask", "spread", "ev/s", "age", "gaps"],
        80: ["symbol", "price", "spread", "ev/s", "age", "gaps"],
        60: ["symbol", "price", "ev/s", "gaps"],
        40: ["symbol", "price"],
    }


def test_symbols_that_do_not_fit_are_counted() -> None:
    """Instead of pushing the rest off the screen."""
    lines = drawn(model_of(40), 120, 30)
    assert len(lines) == 30
    assert any(line.strip().startswith("+ ") for line in lines)


def test_a_symbol_without_events_is_waited_for() -> None:
    """It is shown from the start."""
    model = ViewModel()
    model.add_symbol(VENUE, "BTC-USDT")
    assert any("BTC-USDT" in line and "waiting" in line for line in drawn(model, 120, 24))


def test_a_recording_shows_its_clock_and_progress() -> None:
    """The time shown is that of the recording, with its date."""
    model = model_of(live=False)
    model.progress = Progress(250, 1_000)
    lines = drawn(model, 120, 30)
    assert "recorded 2024-08-08 23:54:23.900 UTC" in lines[0]
    assert any("25.0%" in line and "250 of 1,000 frames" in line for line in lines)
    assert any("lag to recorder" in line for line in lines)
    assert not any("lag to view" in line for line in lines)


def test_gaps_are_red() -> None:
    """In the chart, so that nobody takes a gap for a price."""
    out = Console(width=120, height=30, force_terminal=True, color_system="standard", record=True, file=StringIO())
    model = model_of()
    out.print(view.Chart(model.symbols[VENUE, "BTC-USDT"].recent))
    assert "\x1b[1;31m××" in out.export_text(styles=True)


def test_drawing_changes_nothing() -> None:
    """The same model always looks the same."""
    model = model_of()
    assert drawn(model, 100, 24) == drawn(model, 100, 24)


def test_the_end_of_a_run_tells_the_market_as_it_was() -> None:
    """Times, prices, spreads, and a picture of each symbol."""
    out = Console(width=120, color_system=None, record=True, file=StringIO())
    out.print(view.market_tables(model_of(live=False), width=120))
    text = out.export_text()
    assert "2024-08-08 23:54:14   23:54:23   0:00:09.9" in text
    row = [line for line in text.splitlines() if line.strip().startswith("BTC-USDT")][1]
    assert row.split()[1:7] == ["61,800.00", "61,800.00", "61,899.00", "61,899.00", "0.50", "0.50"]
    assert row.rstrip().endswith("█")


@pytest.mark.parametrize("width", [100, 80, 60])
def test_tables_at_the_end_fit_the_terminal(width: int) -> None:
    """They have fewer columns instead of columns that say nothing."""
    out = Console(width=width, color_system=None, record=True, file=StringIO())
    out.print(view.market_tables(model_of(), width=width))
    text = out.export_text()
    assert "…" not in text
    for expected in ("BTC-USDT", "2024-08-08 23:54:14", "61,899.00", "×"):
        assert expected in text


def test_the_end_of_a_run_tells_what_flowed() -> None:
    """Events by kind, frames by fate, lags, connections."""
    out = Console(width=120, color_system=None, record=True, file=StringIO())
    out.print(view.connections_table(model_of()))
    text = out.export_text()
    for expected in (
        "270: 180 Tick, 90 Trade",
        "1,010: 1,000 data, 4 control, 5 bad, 1 unrouted",
        "8 made, 2 of them again, 5 by rotation",
        "6 events, shown once; 3 others left unused",
        "7 events",
        "2 told: 2 interruptions of 2 symbols",
        "at most 2 ms",
    ):
        assert expected in text


def test_a_symbol_without_prices_has_none_in_the_end() -> None:
    """Dashes, not zeros: zero would be a price."""
    model = ViewModel()
    model.add_symbol(VENUE, "BTC-USDT")
    out = Console(width=120, color_system=None, record=True, file=StringIO())
    out.print(view.market_tables(model, width=120))
    row = [line for line in out.export_text().splitlines() if line.strip().startswith("BTC-USDT")][1]
    assert row.split() == ["BTC-USDT", *"------"]


# -- lines of text -----------------------------------------------------------------------------------


def test_lines_tell_each_thing_once() -> None:
    """What happened is reported when it is new, where things stand each time."""
    model = model_of()
    report = PlainReport(model)
    first, second = list(report.snapshot()), list(report.snapshot())
    assert first[:3] == [
        "23:54:14.000 ws.connected one is up",
        "23:54:19.000 ws.disconnected one lost connection 1: reset",
        "23:54:20.000 ws.connected one is up, connection 2",
    ]
    assert second == first[3:]
    assert ["BTC-USDT", "ETH-USDT", "total"] == [line.split()[1] for line in second]
    assert "gaps 1  " in second[0]
    assert "x" in second[0].split()[-1]
    assert "reconnects 2  rotations 5  dropped 7  bad frames 5  gaps 2  connected" in second[2]
    assert not list(report.lines())


def test_lines_tell_progress() -> None:
    """Of a run of known length."""
    model = model_of(live=False)
    model.progress = Progress(500, 1_000)
    *_, total = PlainReport(model).snapshot()
    assert "50.0% of 1,000 frames" in total


def test_a_symbol_of_a_lost_connection_says_so() -> None:
    """As long as it is not back; the gap is told then."""
    model = model_of()
    lost: dict[str, Any] = {"generation": 2, "reason": "reset", "close_code": 1006, "last_frame_time": 0}
    model.note(events.Disconnected(exchange_name=VENUE, connection_id="one", local_time=START + 20 * SECOND, **lost))
    assert any("BTC-USDT" in line and "gaps 1 (down)" in line for line in PlainReport(model).snapshot())
    assert any("gaps 1 (down)" in line for line in PlainReport(model).snapshot())


# -- showing it --------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_a_terminal_is_left_as_it_was_found(capsys: pytest.CaptureFixture[str]) -> None:
    """The live view draws on the alternate screen, and leaves it when it is cancelled."""
    out = Console(width=100, height=24, force_terminal=True, _environ={"TERM": "xterm-256color"})
    screen = Screen(model_of(), out, lambda: FLOW, plain=False)
    with anyio.move_on_after(0.03):
        await screen.run()
    text = capsys.readouterr().out
    assert text.index("\x1b[?1049h") < text.index("a title") < text.index("\x1b[?1049l")


def test_a_pipe_gets_a_width_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables need room; who wants another width says so."""
    monkeypatch.delenv("COLUMNS", raising=False)
    assert console().width >= 120
    monkeypatch.setenv("COLUMNS", "70")
    assert console().width == 70


def test_a_reader_that_has_gone_is_an_error_to_handle() -> None:
    """It must not end the program from within a task."""
    with pytest.raises(BrokenPipeError):
        console().on_broken_pipe()
