"""The simulated market: repeatable from its seed, and consistent with itself whatever the seed."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from hypothesis import given, settings, strategies as st

from bt_api_base.testing.market import Market, MarketSpec, MarketStep
from bt_api_base.testing.market_bars import INTERVALS_US, ClosedBar, MarketTrade, interval_bounds, shifted_interval
from bt_api_base.testing.market_book import ATOMS_PER_UNIT, decimal_text

SECOND = 1_000_000
START_US = 1_700_000_000 * SECOND

seeds = st.integers(min_value=0, max_value=2**32)
symbols = st.sampled_from(["BTC-USDT", "DOGE-USDT", "ETH-BTC", "SOME-THING"])


def utc(*parts: int) -> datetime:
    """Return a moment in UTC."""
    year, month, day, hour, minute, second = (*parts, 0, 0, 0)[:6]
    return datetime(year, month, day, hour, minute, second, tzinfo=timezone.utc)


def run(market: Market, steps: int, *, microseconds: int = 10_000) -> list[MarketStep]:
    """Take steps at a steady pace from START_US."""
    return [market.step(START_US + number * microseconds) for number in range(steps)]


@given(seed=seeds, symbol=symbols)
@settings(max_examples=20, deadline=None)
def test_same_seed_same_market(seed: int, symbol: str) -> None:
    """Two markets of the same seed and symbol live through the same, whatever the time of their steps."""
    one, other = Market(symbol, seed=seed), Market(symbol, seed=seed)
    for number in range(200):
        first, second = one.step(START_US + number), other.step(START_US + 7_777 * number)
        assert [(trade.id, trade.price, trade.quantity) for trade in first.trades] == [
            (trade.id, trade.price, trade.quantity) for trade in second.trades
        ]
    assert one.depth() == other.depth()


def test_another_seed_is_another_market() -> None:
    """The seed and the symbol both matter."""
    books = []
    for symbol, seed in (("BTC-USDT", 1), ("BTC-USDT", 2), ("ETH-USDT", 1)):
        market = Market(symbol, seed=seed)
        run(market, 50)
        books.append(market.depth())
    assert 3 == len(set(books))


@given(seed=seeds, symbol=symbols)
@settings(max_examples=20, deadline=None)
def test_the_book_is_never_crossed_and_deep_enough(seed: int, symbol: str) -> None:
    """After any step the bids are below the asks, in order, on the grid, and at least twenty levels deep."""
    market = Market(symbol, seed=seed)
    spec = market.spec
    for number in range(400):
        market.step(START_US + number)
        book = market.depth(20)
        bids, asks = [price for price, _ in book.bids], [price for price, _ in book.asks]
        assert bids[0] < asks[0]
        assert sorted(set(bids), reverse=True) == bids
        assert sorted(set(asks)) == asks
        assert (20, 20) == (len(bids), len(asks))
        assert all(price > 0 and price % spec.tick == 0 for price in bids + asks)
        assert all(quantity > 0 and quantity % spec.lot == 0 for _, quantity in book.bids + book.asks)


@given(seed=seeds)
@settings(max_examples=20, deadline=None)
def test_best_quote_is_the_top_of_the_book(seed: int) -> None:
    """The best quote equals the first levels, and a step says so exactly when it changes."""
    market = Market("BTC-USDT", seed=seed)
    for number in range(300):
        before = market.depth(1)
        step = market.step(START_US + number)
        after, best = market.depth(1), market.best
        assert step.best_changed == ((before.bids, before.asks) != (after.bids, after.asks))
        assert after.bids[0] == (best.bid_price, best.bid_quantity)
        assert after.asks[0] == (best.ask_price, best.ask_quantity)
        if step.best_changed:
            assert after.last_update_id == best.update_id


@given(seed=seeds, cuts=st.lists(st.integers(min_value=1, max_value=60), min_size=1, max_size=20))
@settings(max_examples=30, deadline=None)
def test_differences_applied_to_a_snapshot_give_the_book(seed: int, cuts: list[int]) -> None:
    """However often they are taken, differences are numbered without a gap and lead from one snapshot to the next."""
    market = Market("ETH-USDT", seed=seed)
    run(market, 30)
    recorder = market.record_depth()
    snapshot = market.depth()
    bids, asks, last = dict(snapshot.bids), dict(snapshot.asks), snapshot.last_update_id
    for steps in cuts:
        run(market, steps)
        change = recorder.take()
        assert change is not None
        assert last + 1 == change.first_update_id
        last = change.last_update_id
        for side, levels in ((bids, change.bids), (asks, change.asks)):
            side.update(levels)
            for price in [price for price, quantity in side.items() if not quantity]:
                del side[price]
        expected = market.depth()
        assert expected.bids == tuple(sorted(bids.items(), reverse=True))
        assert expected.asks == tuple(sorted(asks.items()))
        assert expected.last_update_id == last


def test_nothing_happened_is_no_difference() -> None:
    """A recorder has nothing to tell before the first step and between two steps."""
    market = Market("BTC-USDT")
    recorder = market.record_depth()
    assert recorder.take() is None
    market.step(START_US)
    assert recorder.take() is not None
    assert recorder.take() is None


@given(seed=seeds, symbol=symbols)
@settings(max_examples=20, deadline=None)
def test_trades_happen_at_the_touch_and_take_what_was_there(seed: int, symbol: str) -> None:
    """A taker's first fill is at the best price of the other side, and no price gives more than its level had."""
    market = Market(symbol, seed=seed)
    last_id = None
    for number in range(400):
        before = market.depth()
        for trade in (step := market.step(START_US + number)).trades:
            assert last_id is None or last_id + 1 == trade.id
            last_id = trade.id
        for index, fill in enumerate(step.aggregates):
            side = before.bids if fill.buyer_is_maker else before.asks
            price, quantity = side[index]
            assert price == fill.price
            assert 0 < fill.quantity <= quantity
            if index + 1 < len(step.aggregates):
                assert quantity == fill.quantity  # the level was emptied before the next was reached


@given(seed=seeds)
@settings(max_examples=20, deadline=None)
def test_aggregates_add_up_to_the_trades(seed: int) -> None:
    """Each aggregate covers the next trades by id, at one price and side, and is numbered without a gap."""
    aggregate_id = None
    for step in run(Market("BTC-USDT", seed=seed), 400):
        trades = {trade.id: trade for trade in step.trades}
        for fill in step.aggregates:
            parts = [trades.pop(number) for number in range(fill.first_trade_id, fill.last_trade_id + 1)]
            assert fill.quantity == sum(part.quantity for part in parts)
            assert {(fill.price, fill.buyer_is_maker)} == {(part.price, part.buyer_is_maker) for part in parts}
            assert aggregate_id is None or aggregate_id + 1 == fill.id
            aggregate_id = fill.id
        assert {} == trades


def expected_bar(trades: list[MarketTrade]) -> tuple[int, ...]:
    """Return open, high, low, close, volumes, count and ids of trades, the slow way."""
    prices = [trade.price for trade in trades]
    bought = [trade for trade in trades if not trade.buyer_is_maker]
    return (
        prices[0],
        max(prices),
        min(prices),
        prices[-1],
        sum(trade.quantity for trade in trades),
        sum(trade.quantity * trade.price // ATOMS_PER_UNIT for trade in trades),
        sum(trade.quantity for trade in bought),
        sum(trade.quantity * trade.price // ATOMS_PER_UNIT for trade in bought),
        len(trades),
        trades[0].id,
        trades[-1].id,
    )


def bar_values(closed: ClosedBar) -> tuple[int, ...]:
    """Return the same of a bar."""
    bar = closed.bar
    return (
        bar.open,
        bar.high,
        bar.low,
        bar.close,
        bar.volume,
        bar.quote_volume,
        bar.taker_volume,
        bar.taker_quote_volume,
        bar.count,
        bar.first_trade_id,
        bar.last_trade_id,
    )


@pytest.mark.parametrize("interval", ["1s", "1m", "3m", "1h"])
def test_bars_are_made_of_the_trades_of_their_time(interval: str) -> None:
    """Every closed bar is what the trades between its bounds add up to, and bars follow each other without a gap."""
    market = Market("BTC-USDT", seed=3)
    steps = run(market, 3_000, microseconds=3 * SECOND if interval != "1s" else SECOND // 5)
    trades = [trade for step in steps for trade in step.trades]
    closed = [bar for step in steps for bar in step.closed_bars if bar.interval == interval]
    assert len(closed) > 1
    previous_end = closed[0].bar.open_time_us
    for bar in closed:
        assert previous_end == bar.bar.open_time_us
        previous_end = bar.bar.end_time_us
        within = [trade for trade in trades if bar.bar.open_time_us <= trade.time_us < bar.bar.end_time_us]
        if within:
            assert expected_bar(within) == bar_values(bar)
        else:
            assert (0, -1, -1) == (bar.bar.count, bar.bar.first_trade_id, bar.bar.last_trade_id)
    current = market.bar(interval)
    assert current is not None
    assert previous_end == current.open_time_us


def test_a_bar_without_trades_is_flat_at_the_last_price() -> None:
    """Time without trades closes bars that repeat the close before them."""
    market = Market("BTC-USDT", seed=3)
    steps = run(market, 50)
    last_price = [trade for step in steps for trade in step.trades][-1].price
    market.advance(START_US + 10 * SECOND)
    bars = [closed.bar for closed in market.advance(START_US + 12 * SECOND) if closed.interval == "1s"]
    assert [(last_price,) * 4] * 2 == [(bar.open, bar.high, bar.low, bar.close) for bar in bars]


def test_a_suspended_clock_does_not_yield_a_million_bars() -> None:
    """After a day without a step, some empty bars are made up and the rest is skipped."""
    market = Market("BTC-USDT", seed=3)
    run(market, 50)
    closed = market.advance(START_US + 86_400 * SECOND)
    assert len(closed) < 60 * len(INTERVALS_US)
    current = market.bar("1s")
    assert current is not None
    assert START_US + 86_400 * SECOND == current.open_time_us


def test_time_does_not_run_backwards() -> None:
    """A step with an earlier time counts as one at the time of the last."""
    market = Market("BTC-USDT")
    market.step(START_US)
    assert START_US == market.step(START_US - SECOND).time_us


def test_the_day_forgets_what_is_older() -> None:
    """The 24-hour statistics hold the trades of the last 24 hours, to the minute, and the price before them."""
    market = Market("BTC-USDT", seed=5)
    hour = 3_600 * SECOND
    steps = [market.step(START_US + number * 60 * SECOND) for number in range(30 * 60)]
    day = market.day()
    assert day is not None
    trades = [trade for step in steps for trade in step.trades]
    begin = market.time_us - 24 * hour
    within = [trade for trade in trades if trade.time_us >= begin // (60 * SECOND) * 60 * SECOND]
    before = [trade for trade in trades if trade.time_us < within[0].time_us]
    assert expected_bar(within) == bar_values(ClosedBar("1d", day.bar))
    assert before[-1].price == day.previous_close
    assert trades[-1].quantity == day.last_quantity


@pytest.mark.parametrize("minutes", [5, 60, 240, 1_440])
def test_windows_are_made_of_the_trades_of_their_time(minutes: int) -> None:
    """A window begins with a minute, holds all trades since, and knows the price before them."""
    market = Market("BTC-USDT", seed=5)
    minute = 60 * SECOND
    steps = [market.step(START_US + number * 17 * SECOND) for number in range(26 * 60 * 60 // 17)]
    window = market.window(minutes * minute)
    assert window is not None
    trades = [trade for step in steps for trade in step.trades]
    begin = (market.time_us - minutes * minute) // minute * minute
    within = [trade for trade in trades if trade.time_us >= begin]
    assert begin == window.bar.open_time_us
    assert expected_bar(within) == bar_values(ClosedBar("", window.bar))
    assert trades[-len(within) - 1].price == window.previous_close
    assert trades[-1].time_us == window.last_time_us


def test_a_window_without_trades_is_flat() -> None:
    """Where nothing was traded in the window, all prices are the last one before it."""
    market = Market("BTC-USDT", seed=5)
    run(market, 50)
    last = market.day()
    market.advance(START_US + 7_200 * SECOND)
    window = market.window(3_600 * SECOND)
    assert last is not None
    assert window is not None
    assert (last.bar.close, 0) == (window.bar.open, window.bar.count)


def test_numbers_can_begin_anew() -> None:
    """After renumbering, trades, aggregates and updates go on from a number, and a difference covers them."""
    market = Market("BTC-USDT", seed=5)
    recorder = market.record_depth()
    run(market, 100)
    market.renumber(1)
    steps = run(market, 100)
    assert [*range(1, market.last_trade_id + 1)] == [trade.id for step in steps for trade in step.trades]
    assert 1 == next(fill.id for step in steps for fill in step.aggregates)
    change = recorder.take()
    assert change is not None
    assert (1, market.book.update_id) == (change.first_update_id, change.last_update_id)


def test_a_small_book_takes_less() -> None:
    """A market can have fewer levels, and lives all the same; fewer than the steps reach for are refused."""
    market = Market(MarketSpec.of("BTC-USDT", levels=20))
    for number in range(500):
        market.step(START_US + number)
        assert 20 <= min(len(market.book.bids), len(market.book.asks))
        assert 33 >= max(len(market.book.bids), len(market.book.asks))
    with pytest.raises(ValueError, match="at least 20 levels"):
        MarketSpec.of("SOME-THING", levels=19)


def test_before_the_first_trade_there_are_no_statistics() -> None:
    """A market that has not traded has neither bars nor a day."""
    market = Market("BTC-USDT")
    assert (None, None, None) == (market.bar("1m"), market.day(), market.window(SECOND))


@pytest.mark.parametrize(
    ("interval", "begin", "end"),
    [
        ("1m", utc(2024, 2, 29, 13, 47), utc(2024, 2, 29, 13, 48)),
        ("4h", utc(2024, 2, 29, 12), utc(2024, 2, 29, 16)),
        ("1d", utc(2024, 2, 29), utc(2024, 3, 1)),
        ("1w", utc(2024, 2, 26), utc(2024, 3, 4)),
        ("1M", utc(2024, 2, 1), utc(2024, 3, 1)),
        ("4h@+08:00", utc(2024, 2, 29, 12), utc(2024, 2, 29, 16)),
        ("6h@+08:00", utc(2024, 2, 29, 10), utc(2024, 2, 29, 16)),
        ("1d@+08:00", utc(2024, 2, 28, 16), utc(2024, 2, 29, 16)),
        ("1w@+08:00", utc(2024, 2, 25, 16), utc(2024, 3, 3, 16)),
        ("1M@+08:00", utc(2024, 1, 31, 16), utc(2024, 2, 29, 16)),
    ],
)
def test_bars_begin_on_utc_boundaries(interval: str, begin: datetime, end: datetime) -> None:
    """Days begin at midnight, weeks on Monday, months on the first."""
    moment = utc(2024, 2, 29, 13, 47, 11)
    bounds = interval_bounds(interval, int(moment.timestamp()) * SECOND)
    expected = tuple(int(bound.timestamp()) * SECOND for bound in (begin, end))
    assert expected == bounds


def test_bars_of_utc_8_are_apart_where_they_differ() -> None:
    """Days of UTC+8 are bars of their own; hours are the same everywhere."""
    assert ("1h", "6h@+08:00", "1d@+08:00") == tuple(map(shifted_interval, ("1h", "6h", "1d")))
    market = Market("BTC-USDT", seed=5)
    closed = [bar for number in range(2_000) for bar in market.step(START_US + number * 60 * SECOND).closed_bars]
    days = [(one.interval, one.bar.end_time_us // SECOND % 86_400) for one in closed if one.interval.startswith("1d")]
    assert {("1d", 0), ("1d@+08:00", 16 * 3_600)} == set(days)
    bar = market.bar("1d@+08:00")
    assert bar is not None
    assert 16 * 3_600 == bar.open_time_us // SECOND % 86_400


@pytest.mark.parametrize("symbol", ["BTC-USDT", "DOGE-USDT", "SOME-THING"])
def test_prices_stay_around_home_and_spreads_stay_narrow(symbol: str) -> None:
    """A long run neither runs away nor falls apart: half to one and a half of the start, spreads of a few ticks."""
    market = Market(symbol, seed=11)
    prices = []
    for number in range(20_000):
        market.step(START_US + number)
        best = market.best
        prices.append(best.bid_price)
        assert best.ask_price - best.bid_price <= max(2 * market.spec.tick, best.bid_price // 10_000)
    assert market.spec.price // 2 <= min(prices) < max(prices) <= 3 * market.spec.price // 2
    assert len(set(prices)) > 10


@pytest.mark.parametrize(
    ("price", "tick", "lot"),
    [(0, 1, 1), (1_000_000, 1_000_000, 100), (1_000_000_001, 1_000, 100_000), (1_000_000_000, 1_000, 10)],
    ids=["no price", "too few ticks", "off the grid", "inexact products"],
)
def test_a_specification_that_cannot_work_is_refused(price: int, tick: int, lot: int) -> None:
    """A market's numbers must make an exact market."""
    with pytest.raises(ValueError, match="X-Y"):
        MarketSpec("X-Y", price, tick, lot)


@pytest.mark.parametrize(("atoms", "text"), [(0, "0.00000000"), (1, "0.00000001"), (61_837_63000000, "61837.63000000")])
def test_numbers_print_with_eight_decimals(atoms: int, text: str) -> None:
    """Prices and quantities print as the venue's do."""
    assert text == decimal_text(atoms)
