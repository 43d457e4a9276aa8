"""What the live view knows: percentiles, price histories, gaps, rates and the log of connections."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, strategies as st

from bt_api_base._cli import format as fmt
from bt_api_base._cli.histogram import DurationHistogram
from bt_api_base._cli.history import PriceHistory, sparkline
from bt_api_base._cli.interruptions import Interruptions
from bt_api_base._cli.log import EventLog, describe
from bt_api_base._cli.model import Flow, RateMeter, ViewModel
from bt_api_base._cli.symbol import PriceRange, SymbolState
from bt_api_base.containers import Bar, Gap, GapReason, OrderBook, OrderBookDelta, Side, Tick, Trade
from bt_api_base.websocket import events

VENUE = "BINANCE___SPOT"
SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND


def tick(time_ns: int, bid: float, ask: float, *, symbol: str = "BTC-USDT", server_time: int = 0) -> Tick:
    """Make a quote."""
    return Tick(VENUE, symbol, server_time, time_ns, bid, ask)


def trade(time_ns: int, price: float, volume: float = 1.0) -> Trade:
    """Make a trade."""
    return Trade(VENUE, "BTC-USDT", time_ns, time_ns, "1", price, volume, Side.BUY, time_ns)


def gap(
    since: int,
    until: int,
    *,
    topic: str = "ticker",
    symbol: str = "BTC-USDT",
    reason: GapReason = GapReason.DISCONNECTED,
) -> Gap:
    """Make a gap."""
    return Gap(VENUE, symbol, 0, until, since=since, until=until, reason=reason, topic=topic)


def happened(event_type: type[events.ConnectionEvent], time_ns: int, **fields: object) -> events.ConnectionEvent:
    """Make an event of a connection."""
    return event_type(exchange_name=VENUE, connection_id="one", local_time=time_ns, **fields)


def lost(time_ns: int) -> events.ConnectionEvent:
    """Make the loss of a connection."""
    return happened(
        events.Disconnected, time_ns, generation=1, reason="reset", close_code=1006, last_frame_time=time_ns
    )


# -- percentiles -------------------------------------------------------------------------------------


@given(st.lists(st.integers(min_value=0, max_value=10**15), min_size=1), st.floats(min_value=0, max_value=100))
def test_a_percentile_is_off_by_at_most_a_64th(durations: list[int], percent: float) -> None:
    """Whatever is filed, a percentile is within 1/64 of the exact one."""
    histogram = DurationHistogram()
    for duration in durations:
        histogram.add(duration)
    exact = sorted(durations)[max(1, math.ceil(len(durations) * percent / 100)) - 1]
    found = histogram.percentile_ns(percent)
    assert found is not None
    assert abs(found - exact) <= exact / 64


def test_small_durations_are_exact() -> None:
    """Below 64 ns there is a bucket for each nanosecond."""
    histogram = DurationHistogram()
    for duration in range(64):
        histogram.add(duration)
    assert [0, 31, 62] == [histogram.percentile_ns(percent) for percent in (1, 50, 98)]


def test_extremes_are_filed() -> None:
    """Negative durations count as zero and are reported; a duration beyond all buckets goes into the last one."""
    histogram = DurationHistogram()
    histogram.add(-5, times=3)
    histogram.add(1 << 80)
    assert (4, 3, 1 << 80) == (histogram.count, histogram.negative, histogram.largest_ns)
    assert histogram.percentile_ns(50) == 0
    assert (1 << 61) < (histogram.percentile_ns(100) or 0)


def test_an_empty_histogram_has_no_percentiles() -> None:
    """Nothing filed, nothing known."""
    assert DurationHistogram().percentile_ns(50) is None
    assert fmt.percentiles(DurationHistogram()) == "-"


def test_percentiles_share_the_unit_of_the_largest() -> None:
    """They are easier to compare that way."""
    histogram = DurationHistogram()
    histogram.add(1_000, times=50)
    histogram.add(2_000_000, times=50)
    assert fmt.percentiles(histogram).startswith("p50 0.001")
    assert fmt.percentiles(histogram).endswith(" ms")


def test_clocks_that_disagree_are_called_out() -> None:
    """Most durations below zero are no durations."""
    histogram = DurationHistogram()
    histogram.add(-1, times=2)
    histogram.add(5)
    assert fmt.percentiles(histogram) == "below zero: clocks disagree"


# -- histories ---------------------------------------------------------------------------------------


def test_a_history_keeps_the_last_price_of_each_bucket() -> None:
    """Buckets without a price carry the one before on."""
    history = PriceHistory(8, 10)
    for time_ns, price in ((100, 1.0), (105, 2.0), (110, 3.0), (139, 4.0)):
        history.add(time_ns, price)
    assert history.prices == [2.0, 3.0, 3.0, 4.0]


def test_a_full_history_forgets_its_oldest_bucket() -> None:
    """That is what a live chart wants."""
    history = PriceHistory(4, 10)
    for index in range(10):
        history.add(index * 10, float(index))
    assert history.prices == [6.0, 7.0, 8.0, 9.0]


def test_a_late_price_counts_for_the_last_bucket() -> None:
    """Events of two connections may come out of order."""
    history = PriceHistory(4, 10)
    history.add(50, 1.0)
    history.add(20, 2.0)
    assert history.prices == [2.0]


@given(st.lists(st.integers(min_value=0, max_value=10_000), min_size=1, max_size=60).map(sorted))
def test_a_whole_history_covers_everything_in_bounded_memory(times: list[int]) -> None:
    """However long it goes on, it ends with the last price and never exceeds its capacity."""
    history = PriceHistory(8, 10, whole=True)
    for time_ns in times:
        history.add(time_ns, float(time_ns))
    assert len(history.prices) == len(history.gaps) <= 8
    assert history.prices[-1] == float(times[-1])
    assert (len(history.prices) + 1) * history.bucket_ns >= times[-1] - times[0]


def test_a_whole_history_joins_buckets_in_pairs() -> None:
    """When it is full its buckets become twice as long, and a pair that touches a gap is a gap."""
    history = PriceHistory(4, 10, whole=True)
    for index in range(4):
        history.add(index * 10, float(index))
    history.mark_gap(10, 10)
    history.add(40, 4.0)
    assert history.bucket_ns == 20
    assert history.prices == [1.0, 3.0, 4.0]
    assert history.gaps == [True, False, False]


def test_a_jump_over_years_costs_nothing() -> None:
    """Recordings of two years in one run do not fill the memory, or the time, in between."""
    recent, whole = PriceHistory(64, 10), PriceHistory(64, 10, whole=True)
    for history in (recent, whole):
        history.add(0, 1.0)
        history.add(10**17, 2.0)
        assert len(history.prices) <= 64
        assert history.prices[-1] == 2.0


def test_a_gap_marks_the_buckets_it_touches() -> None:
    """Also those that come into being by it."""
    history = PriceHistory(8, 10)
    history.add(5, 1.0)
    history.add(15, 2.0)
    history.mark_gap(15, 38)
    assert history.gaps == [False, True, True, True]
    assert sparkline(history, 8) == "▁×××"


def test_a_gap_before_the_first_price_is_not_drawn() -> None:
    """Where there never was a price, none is missing."""
    history = PriceHistory(8, 10)
    history.mark_gap(0, 100)
    assert history.prices == []
    assert sparkline(history, 8) == ""


def test_a_sparkline_spans_lowest_to_highest() -> None:
    """The lowest price takes the lowest bar, the highest the highest."""
    history = PriceHistory(16, 1)
    for index in range(8):
        history.add(index, 100.0 + index)
    assert sparkline(history, 16) == "▁▂▃▄▅▆▇█"
    assert sparkline(history, 4) == "▁▃▆█"


def test_a_price_that_stands_still_is_a_line() -> None:
    """Half-way up: neither lowest nor highest."""
    history = PriceHistory(4, 1)
    history.add(0, 5.0)
    history.advance(2)
    assert sparkline(history, 4) == "▄▄▄"


def test_a_whole_history_is_drawn_whole() -> None:
    """More buckets than columns share bars, and a bar that holds a gap is a gap."""
    history = PriceHistory(8, 1, whole=True)
    for index in range(8):
        history.add(index, float(index))
    history.mark_gap(2, 2)
    assert sparkline(history, 4, gap="x") == "▁x▆█"


# -- symbols -----------------------------------------------------------------------------------------


def test_each_kind_of_event_tells_its_price() -> None:
    """Quotes and books give bid and ask, trades a price and a volume; deltas only count."""
    state = SymbolState(VENUE, "BTC-USDT")
    state.take(tick(START, 99.0, 101.0))
    state.take(OrderBook(VENUE, "BTC-USDT", 0, START + 1, ((98.0, 1.0),), ((102.0, 1.0),)))
    state.take(trade(START + 2, 100.5, 2.0))
    state.take(OrderBookDelta(VENUE, "BTC-USDT", 0, START + 3, (), (), 1, 2))
    assert (98.0, 102.0, 4.0) == (state.bid_price, state.ask_price, state.spread)
    assert (100.5, 2.0, 4) == (state.last_price, state.volume, state.events)
    assert (START, START + 3) == (state.first_time, state.last_time)
    assert (2.0, 4.0, 3.0) == (state.spreads.low, state.spreads.high, state.spreads.mean)


def test_without_quotes_other_prices_are_drawn() -> None:
    """A trade's, a bar's or a 24-hour ticker's."""
    traded, barred, day = (SymbolState(VENUE, "BTC-USDT") for _ in range(3))
    traded.take(trade(START, 100.0))
    barred.take(Bar(VENUE, "BTC-USDT", 0, START, "1m", START, START, 1.0, 2.0, 0.5, 1.5, 1.0))
    day.take(Tick(VENUE, "BTC-USDT", 0, START, last_price=7.0))
    assert [[100.0], [1.5], [7.0]] == [state.whole.prices for state in (traded, barred, day)]


def test_with_quotes_their_middle_is_drawn() -> None:
    """A chart of trades would jump between bid and ask."""
    state = SymbolState(VENUE, "BTC-USDT")
    state.take(tick(START, 99.0, 101.0))
    state.take(trade(START, 101.0))
    assert state.whole.prices == [100.0]


def test_nothing_is_known_of_a_new_symbol() -> None:
    """It has no price, no spread and no gap."""
    state = SymbolState(VENUE, "BTC-USDT")
    assert (None, None, 0) == (state.last_price, state.spread, state.gaps.count)
    assert PriceRange().mean == 0.0


# -- gaps --------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20)), max_size=24))
def test_gaps_that_touch_are_one_interruption(gaps: list[tuple[int, int]]) -> None:
    """In whatever order they are told, count and length are those of their union."""
    interruptions = Interruptions()
    for since, length in gaps:
        interruptions.add(since, since + length)
    # Half units, so that gaps that touch are told from those with a unit between them.
    covered = {half for since, length in gaps for half in range(2 * since, 2 * (since + length) + 1)}
    begins = sorted(half for half in covered if half - 1 not in covered)
    ends = sorted(half for half in covered if half + 1 not in covered)
    lengths = [(end - begin) // 2 for begin, end in zip(begins, ends, strict=True)]
    expected = (len(lengths), sum(lengths), max(lengths, default=0))
    assert expected == (interruptions.count, interruptions.total_ns, interruptions.longest_ns)


def test_a_gap_is_drawn_where_it_is() -> None:
    """In the past, between the events before it and after it, however much later it was told."""
    model = ViewModel(bucket_ns=SECOND)
    for second in (0, 1, 2, 6, 7, 8, 9):
        model.feed([tick(START + second * SECOND, 99.0, 101.0)], START + second * SECOND)
    model.feed([gap(START + 2 * SECOND, START + 6 * SECOND)], START + 9 * SECOND)
    state = model.symbols[VENUE, "BTC-USDT"]
    assert sparkline(state.recent, 64) == "▄▄×××××▄▄▄"
    assert (1, 4 * SECOND, 4 * SECOND) == (state.gaps.count, state.gaps.total_ns, state.gaps.longest_ns)


def test_the_gaps_of_a_symbols_channels_are_one_interruption() -> None:
    """Quotes and trades were lost with the same connection; every one of the gaps is counted as told."""
    model = ViewModel()
    model.feed([tick(START, 99.0, 101.0)], START)
    model.feed([gap(START, START + 4 * SECOND), gap(START + SECOND, START + 5 * SECOND, topic="trade")], START)
    state = model.symbols[VENUE, "BTC-USDT"]
    assert (2, 1, 5 * SECOND) == (model.gaps, state.gaps.count, state.gaps.total_ns)


def test_a_gap_is_no_event() -> None:
    """It is in no count of events, and has no lag."""
    model = ViewModel()
    model.feed([gap(START, START + SECOND), tick(START + SECOND, 99.0, 101.0)], START + SECOND)
    assert (1, {"Tick": 1}, 1) == (model.events, model.kinds, model.handover_lag.count)
    assert [1] == [state.events for state in model.symbols.values()]


def test_a_gap_of_which_the_beginning_is_not_known_is_drawn_at_its_end() -> None:
    """Nothing had come before it."""
    model = ViewModel(bucket_ns=SECOND)
    model.feed([tick(START, 99.0, 101.0), gap(0, START)], START)
    state = model.symbols[VENUE, "BTC-USDT"]
    assert (1, 0, "×") == (state.gaps.count, state.gaps.total_ns, sparkline(state.recent, 8))


def test_a_gap_of_all_symbols_is_counted() -> None:
    """There is no row to draw it in."""
    model = ViewModel()
    model.feed([gap(START, START + SECOND, symbol="")], START)
    assert (1, {}) == (model.gaps, model.symbols)


def test_a_lost_connection_is_shown_until_it_is_back() -> None:
    """What is missing for it is told later, by gaps; of another venue's symbols nothing is missing."""
    model = ViewModel()
    model.feed([tick(START, 99.0, 101.0), Tick("OTHER___SPOT", "BTC-USDT", 0, START, 1.0, 2.0)], START)
    model.note(lost(START))
    assert [True, False] == [model.is_down(state) for state in model.symbols.values()]
    model.note(happened(events.Connected, START + SECOND, generation=2))
    assert not any(model.is_down(state) for state in model.symbols.values())
    assert model.gaps == 0


def test_a_rotation_is_no_loss() -> None:
    """The connection stays up all the time."""
    model = ViewModel()
    model.feed([tick(START, 99.0, 101.0)], START)
    model.note(happened(events.Rotated, START, generation=2, reason="age", channels=1, overlap=1.0))
    assert not model.is_down(model.symbols[VENUE, "BTC-USDT"])


# -- model -------------------------------------------------------------------------------------------


def test_lags_are_taken_from_the_stamps() -> None:
    """From the venue to the socket where the venue stamps, and from the socket to here for every event."""
    model = ViewModel()
    model.feed([tick(START + 40, 1.0, 2.0, server_time=START), tick(START + 40, 1.0, 2.0)], START + 60)
    assert (1, 2) == (model.venue_lag.count, model.handover_lag.count)
    assert (40, 20) == (model.venue_lag.percentile_ns(50), model.handover_lag.percentile_ns(50))


def test_events_are_counted_by_kind_and_symbol() -> None:
    """Symbols appear with their first event."""
    model = ViewModel()
    model.feed([tick(START, 1.0, 2.0), trade(START, 1.0), tick(START, 1.0, 2.0, symbol="ETH-USDT")], START)
    assert ({"Tick": 2, "Trade": 1}, 3) == (model.kinds, model.events)
    assert [2, 1] == [state.events for state in model.symbols.values()]


def test_a_recording_shows_its_own_clock() -> None:
    """What happens to the connection now has no place in the time of the recording."""
    model = ViewModel(live=False)
    model.feed([tick(START, 99.0, 101.0)], START + 10**17)
    model.feed([gap(START, START + 10**17)], START + 10**17)
    model.advance(1.0, START + 10**17)
    state = model.symbols[VENUE, "BTC-USDT"]
    assert (START, 1, 0, 0) == (model.clock_ns, model.gaps, state.gaps.count, model.handover_lag.count)
    assert sparkline(state.whole, 8) == "▄"
    model.feed([gap(START - SECOND, START, reason=GapReason.SEQUENCE)], START + 10**17)
    assert (1, "×") == (state.gaps.count, sparkline(state.whole, 8))


def test_a_rate_looks_back_two_seconds() -> None:
    """Older looks do not count."""
    rate = RateMeter()
    for second, count in ((0.0, 0), (1.0, 1_000), (2.0, 2_000), (3.0, 2_010), (4.0, 2_020)):
        rate.look(second, count)
    assert rate.per_second == pytest.approx(10.0)


def test_rates_are_per_symbol() -> None:
    """Each symbol has its own."""
    model = ViewModel()
    state = model.add_symbol(VENUE, "BTC-USDT")
    model.advance(0.0, START)
    model.feed([tick(START, 1.0, 2.0)] * 50, START)
    model.advance(1.0, START + SECOND, Flow(frames=50))
    assert (50.0, 50.0, 50) == (model.rate.per_second, model.rate_of(state), model.flow.frames)
    assert model.elapsed == 1.0


# -- log ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "severity", "text"),
    [
        (happened(events.Connected, 0, generation=1), "good", "one is up"),
        (happened(events.Connected, 0, generation=3), "good", "one is up, connection 3"),
        (lost(0), "error", "one lost connection 1: reset"),
        (
            happened(events.Reconnecting, 0, attempt=1, delay=0.25, reason="reset"),
            "warning",
            "one tries again in 0.25 s",
        ),
        (
            happened(events.Reconnecting, 0, attempt=2, delay=0.25, reason="refused"),
            "warning",
            "one tries again in 0.25 s (failure 2: refused)",
        ),
        (
            happened(events.Resubscribed, 0, generation=2, restored=3, total=3),
            "good",
            "one has 3 of 3 channels back",
        ),
        (
            happened(events.Resubscribed, 0, generation=2, restored=2, total=3),
            "warning",
            "one has 2 of 3 channels back",
        ),
        (
            happened(events.Rotated, 0, generation=3, reason="age", channels=9, overlap=1.25),
            "good",
            "one was taken over by connection 3 (age): 9 channels, both were open for 1.25 s",
        ),
        (
            happened(events.RotationFailed, 0, reason="age: refused", delay=0.5),
            "warning",
            "one could not be rotated (age: refused); the next attempt comes in 0.50 s at the earliest",
        ),
        (happened(events.Authenticated, 0, generation=2), "good", "one is logged in, connection 2"),
        (
            happened(
                events.Quiet,
                0,
                topic="trade",
                symbol="BTC-USDT",
                silence=45.02,
                limit=30.0,
                learned=True,
                action="probe",
            ),
            "warning",
            "one has heard nothing of trade BTC-USDT for 45.0 s (limit 30 s, learned): probe",
        ),
        (
            happened(events.Subscribing, 0, done=40, failed=0, total=200, remaining=3.21),
            "info",
            "one has 40 of 200 channels, 3.2 s to go",
        ),
        (
            happened(events.Subscribing, 0, done=40, failed=2, total=200, remaining=3.21),
            "error",
            "one has 40 of 200 channels, 2 refused, 3.2 s to go",
        ),
        (
            happened(events.Moved, 0, moved=9, failed=0),
            "warning",
            "one is given up: others carry 9 of its channels",
        ),
        (
            happened(events.Moved, 0, moved=7, failed=2),
            "error",
            "one is given up: others carry 7 of its channels, 2 found no place",
        ),
        (happened(events.Stale, 0, silence=1.25), "warning", "one has been silent for 1.2 s and is replaced"),
        (
            happened(events.Failed, 0, attempts=4, reason="refused"),
            "error",
            "one is given up after 4 failures: refused",
        ),
        (happened(events.BadFrame, 0, reason="no JSON"), "warning", "one skipped a frame: no JSON"),
        (
            happened(events.VenueNotice, 0, kind="shutdown", message="", closing=True),
            "warning",
            "one was told by the venue: shutdown",
        ),
        (happened(events.ConnectionEvent, 0), "info", "one ConnectionEvent"),
    ],
)
def test_what_happens_is_put_in_words(event: events.ConnectionEvent, severity: str, text: str) -> None:
    """One line each."""
    assert describe(event) == (severity, text)


def test_a_flood_of_bad_frames_is_one_line() -> None:
    """It must not push what else happened out of sight."""
    log = EventLog()
    log.note(happened(events.Connected, 0, generation=1))
    for _ in range(1_000):
        log.note(happened(events.BadFrame, 0, reason="no JSON"))
    assert [("ws.connected", 1), ("ws.bad_frame", 1_000)] == [(entry.name, entry.count) for entry in log.entries]
    assert log.total == 2


def test_a_log_keeps_the_latest_lines_and_their_numbers() -> None:
    """Who reads along asks for what came after the last line seen."""
    log = EventLog()
    for number in range(300):
        log.add(0, "info", str(number), name="x")
    assert (200, 300) == (len(log.entries), log.total)
    assert ["298", "299"] == [entry.text for entry in log.after(298)]


# -- formats -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (61837.63, "61,837.63"),
        (297.32, "297.320"),
        (13.8048, "13.8048"),
        (0.3521, "0.352100"),
        (0.00000638, "0.00000638"),
        (0.0, "0.00"),
        (math.inf, "inf"),
        (None, "-"),
    ],
)
def test_prices_have_six_digits(value: float | None, text: str) -> None:
    """At least two decimals, at most eight."""
    assert fmt.price(value) == text


def test_a_spread_has_the_decimals_of_its_price() -> None:
    """Else it would look more precise than the price it is of."""
    assert fmt.price(0.01, like=61837.63) == "0.01"


@pytest.mark.parametrize(
    ("value_ns", "text"),
    [
        (0, "0 ns"),
        (999, "999 ns"),
        (12_345, "12.3 µs"),
        (999_600, "1 ms"),
        (1_500_000_000, "1.5 s"),
        (3_600 * SECOND + 61_500_000_000, "1:01:01.5"),
    ],
)
def test_durations_have_three_digits(value_ns: int, text: str) -> None:
    """And the unit they are best read in."""
    assert fmt.duration(value_ns) == text


def test_times_are_utc_to_the_millisecond() -> None:
    """Date and time, or the time alone."""
    assert fmt.timestamp(1_723_161_254_087_891_268) == "2024-08-08 23:54:14.087"
    assert fmt.clock(1_723_161_254_087_891_268) == "23:54:14.087"
    assert ("-", "--:--:--") == (fmt.timestamp(0), fmt.clock(0))


def test_quantities_have_six_digits_and_no_exponent() -> None:
    """Whole units are enough for large ones."""
    assert ["7.99456", "0.0001", "1,928,130"] == [fmt.quantity(v) for v in (7.994561, 0.0001, 1_928_130.4)]
