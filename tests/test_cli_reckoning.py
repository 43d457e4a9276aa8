"""The comparison of what a view was given with what happened at the venue."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from bt_api_base._cli.demo import check_hand_over
from bt_api_base._cli.model import Flow, ViewModel
from bt_api_base._cli.reckoning import Reckoning, StreamReckoning
from bt_api_base._cli.tally import TallyAdapter, TallyBook
from bt_api_base.containers import Gap, GapReason, OrderBook, Side, Tick, Trade
from bt_api_base.venues import stream_adapter

VENUE = "BINANCE___SPOT"
SYMBOL = "BTC-USDT"
GAP = None


def reckoned(happened: list[int], seen: list[int | None]) -> StreamReckoning:
    """Compare one stream to its end; ``None`` in what was seen is a gap."""
    stream = StreamReckoning("s")
    for number in seen:
        stream.see(number)
    stream.compare(happened, final=True)
    return stream


def trade(number: int) -> Trade:
    """Make a trade."""
    return Trade(VENUE, SYMBOL, 0, 1, str(number), 1.0, 1.0, Side.BUY, 0)


def gap(topic: str) -> Gap:
    """Make a gap."""
    return Gap(VENUE, SYMBOL, 0, 2, since=1, until=2, reason=GapReason.DISCONNECTED, topic=topic)


@pytest.mark.parametrize(
    ("happened", "seen", "expected"),
    [
        ([1, 2, 3], [1, 2, 3], (3, 0, 0)),
        ([1, 2, 3, 4], [1, GAP, 4], (2, 2, 1)),
        ([1, 2, 3], [1, GAP, 2, 3], (3, 0, 1)),  # a gap is where something may be missing
        ([1, 2, 3, 4], [1, 2, GAP], (2, 2, 1)),
        ([1, 2, 3], [2, 3], (2, 0, 0)),  # what was before the first one, nobody had asked for
        ([1, 2], [], (0, 0, 0)),
        ([1, 3, 9], [1, 3, 9], (3, 0, 0)),
    ],
)
def test_what_is_missing_must_be_in_a_gap(
    happened: list[int], seen: list[int | None], expected: tuple[int, int, int]
) -> None:
    """Then it is lost, and everybody knows."""
    stream = reckoned(happened, seen)
    assert (expected, []) == ((stream.shown, stream.lost, stream.gaps), stream.problems)


@pytest.mark.parametrize(
    ("happened", "seen", "problem"),
    [
        ([1, 2, 3], [1, 3], "s: 1 from 2 on are missing, and no gap was told"),
        ([1, 2, 3], [1], "s: 2 from 2 on are missing, and no gap was told"),
        ([1, 2, 3, 4], [1, GAP, 2, 4], "s: 1 from 3 on are missing, and no gap was told"),
        ([1, 2], [1, 1, 2], "s: 1 was shown and had not happened, or had been shown before"),
        ([1, 2], [2, 1], "s: 1 was shown and had not happened, or had been shown before"),
        ([1, 3], [1, 2, 3], "s: 2 was shown and had not happened, or had been shown before"),
    ],
)
def test_silent_losses_and_repetitions_are_found(happened: list[int], seen: list[int | None], problem: str) -> None:
    """Missing without a gap, twice, out of order, or out of thin air."""
    assert reckoned(happened, seen).problems == [problem]


def test_a_comparison_may_be_made_at_any_time() -> None:
    """What has not been shown yet may still be."""
    stream = StreamReckoning("s")
    stream.see(1)
    stream.compare([1, 2])
    stream.compare([3])
    for number in (2, 3):
        stream.see(number)
    stream.compare([], final=True)
    assert (3, []) == (stream.shown, stream.problems)


def test_events_and_gaps_are_reckoned_by_stream() -> None:
    """Whatever numbers the kind of event has."""
    adapter = stream_adapter(VENUE)
    channels = [adapter.channel("ticker", SYMBOL), adapter.channel("trade", SYMBOL), adapter.channel("depth", SYMBOL)]
    reckoning = Reckoning(channels)
    reckoning.observe([trade(1), Tick(VENUE, SYMBOL, 0, 1, 1.0, 2.0, sequence=7), gap("trade"), trade(4)])
    reckoning.observe([OrderBook(VENUE, SYMBOL, 0, 1, (), (), sequence=7), gap("ticker")])
    happened = {"btcusdt@trade": [1, 2, 3, 4], "btcusdt@bookTicker": [7], "btcusdt@depth20": [7, 9]}
    reckoning.compare(lambda stream: happened[stream], final=True)
    assert (4, 2, 1, 2) == (reckoning.shown, reckoning.lost, reckoning.untold, reckoning.gaps)
    assert reckoning.problems == ["btcusdt@depth20: 1 from 9 on are missing, and no gap was told"]
    out = Console(width=100, color_system=None, record=True, file=StringIO())
    out.print(reckoning.table())
    rows = [line.split() for line in out.export_text().splitlines()]
    assert ["btcusdt@trade", "4", "2", "2", "1"] in rows
    assert ["btcusdt@depth20", "2", "1", "1", "0"] in rows


def test_every_event_decoded_is_somewhere() -> None:
    """Delivered, dropped as a repetition, left unused with its connection, for nobody: and the sum is right."""
    book, model = TallyBook(), ViewModel()
    adapter = TallyAdapter(stream_adapter(VENUE), book)
    frame = '{"stream":"btcusdt@trade","data":{"e":"trade","E":1,"s":"BTCUSDT","t":%d,"p":"1","q":"1","T":1,"m":true}}'
    adapter.endpoint("ws://h/stream")
    for number in range(10):
        adapter.decode_frame(frame % number, 1)
    model.feed([trade(0), gap("trade"), trade(3), trade(4)], 1)
    flow = Flow(frames=10, events=4, gaps=2, duplicates=3, abandoned=2, unrouted_frames=1, dropped=2)
    assert check_hand_over(book, flow, model) == []
    assert check_hand_over(book, Flow(frames=9, events=4, gaps=1, duplicates=2), model) == [
        "10 frames were decoded, the connection counted 9",
        (
            "10 events were decoded, 4 delivered, 2 came twice, 0 came over a connection that did not take over,"
            " 0 were for nobody"
        ),
        "4 events and 1 gaps were delivered, 3 and 1 reached the view, 0 were dropped",
    ]
