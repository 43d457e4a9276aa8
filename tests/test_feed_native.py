"""A native feed: words, rules, market data, pages of bars, the queue of older programs, what it may not do."""

from __future__ import annotations

import queue
from decimal import Decimal
from typing import Any

import anyio
import attrs
import pytest
from hypothesis import given, strategies as st

from bt_api_base.containers import Bar, Instrument, OrderStatus, OrderType, PositionSide, Side, TimeInForce
from bt_api_base.exceptions import (
    ConfigurationError,
    ExchangeNotFoundError,
    InvalidOrderError,
    InvalidSymbolError,
    NetworkError,
    NotSupportedError,
)
from bt_api_base.feeds import register_venue_feed, venue_feed, venue_feed_names
from bt_api_base.feeds.capability import Capability
from bt_api_base.feeds.connection_state import FeedConnectionState
from bt_api_base.feeds.order_check import OrderCheck, checked
from bt_api_base.feeds.order_resolver import ResolvePolicy
from bt_api_base.feeds.order_words import order_request
from bt_api_base.feeds.paging import PagingProgress, period_ns
from bt_api_base.instrument_manager import InstrumentManager
from tests.fake_venue_api import EPOCH, EXCHANGE, SECOND, SYMBOL, FakeVenueApi, make_feed, open_feed

pytestmark = [pytest.mark.anyio, pytest.mark.virtual_time]

MINUTE = 60 * SECOND


def a_bar(number: int, period: str = "1m", length: int = MINUTE) -> Bar:
    """Return the bar of that number."""
    start = EPOCH + number * length
    return Bar(EXCHANGE, SYMBOL, 0, 0, period, start, start + length - 1, 1.0, 1.0, 1.0, 1.0, 1.0)


# -- words ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "side", "kind"),
    [
        ("buy-limit", Side.BUY, OrderType.LIMIT),
        ("SELL-LIMIT", Side.SELL, OrderType.LIMIT),
        ("buy-market", Side.BUY, OrderType.MARKET),
        ("sell-post_only", Side.SELL, OrderType.LIMIT_MAKER),
        ("buy", Side.BUY, OrderType.LIMIT),
        ("buy-stop-limit", Side.BUY, OrderType.STOP_LIMIT),
    ],
)
def test_the_words_of_older_programs(word: str, side: Side, kind: OrderType) -> None:
    """Side and type in one word."""
    request = order_request(EXCHANGE, SYMBOL, 1, 2, word)
    assert (side, kind) == (request.side, request.order_type)
    assert (None if kind is OrderType.MARKET else 2) == request.price


def test_an_order_type_goes_with_a_side() -> None:
    """And with the other options of today."""
    request = order_request(
        EXCHANGE, SYMBOL, 0.1, "2.50", OrderType.LIMIT, side="sell", time_in_force="ioc", position_side="long",
        parameters={"selfTradePreventionMode": "NONE"},
    )  # fmt: skip
    assert (Side.SELL, TimeInForce.IOC, PositionSide.LONG) == (
        request.side, request.time_in_force, request.position_side,
    )  # fmt: skip
    assert (Decimal("0.1"), Decimal("2.50")) == (request.quantity, request.price)


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        ((1, 2, "limit"), {}, "no side"),
        ((1, 2, "buy-limit"), {"side": "sell"}, "contradict"),
        ((1, 2, "buy-nonsense"), {}, "no order type"),
        ((1, 2, "buy-liquidation"), {}, "no order type"),
        ((1, None, "buy-limit"), {}, "needs a price"),
        ((None, 2, "buy-limit"), {}, "neither"),
        ((1, None, "buy-market"), {"quote_quantity": 5}, "both"),
        ((-1, 2, "buy-limit"), {}, "not above zero"),
        (("x", 2, "buy-limit"), {}, "not a finite decimal"),
        ((float("nan"), 2, "buy-limit"), {}, "not a finite decimal"),
        ((Decimal("nan"), 2, "buy-limit"), {}, "not a finite decimal"),
        ((1, Decimal("Infinity"), "buy-limit"), {}, "not a finite decimal"),
        ((Decimal("1E+500"), 2, "buy-limit"), {}, "not a finite decimal"),
        ((1, 2, "buy-limit"), {"reduceonly": True}, "no option 'reduceonly'"),
        ((1, 2, "buy-limit"), {"time_in_force": "soon"}, "time_in_force"),
        ((1, 2, "buy-market"), {"post_only": True}, "post-only"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: tuple[Any, ...], options: dict[str, Any], words: str) -> None:
    """The error says what; nothing is guessed and nothing left out."""
    with pytest.raises(InvalidOrderError, match=words):
        order_request(EXCHANGE, SYMBOL, *arguments, **options)


def test_closing_is_reduce_only_where_there_are_positions() -> None:
    """Unless more is said."""

    def reduce_only(offset: str, *, has_positions: bool, **options: Any) -> bool | None:
        request = order_request(EXCHANGE, SYMBOL, 1, 2, "buy-limit", offset, has_positions=has_positions, **options)
        return request.reduce_only

    assert reduce_only("close", has_positions=True) is True
    assert reduce_only("close_today", has_positions=True) is True
    assert reduce_only("open", has_positions=True) is None
    assert reduce_only("close", has_positions=False) is None
    assert reduce_only("close", has_positions=True, position_side="short") is None


# -- rules ---------------------------------------------------------------------------------------------

RULES = Instrument(
    SYMBOL, EXCHANGE, "BTCUSDT", "spot", "BTC", "USDT", "0.05", "0.01", "10", step_size="0.01", min_notional="5",  # type: ignore[arg-type]
    max_notional="1000000", min_price="1", max_price="200000",
)  # fmt: skip


@pytest.mark.parametrize(
    ("volume", "price", "words"),
    [
        ("1", "100.07", "price 100.07 is no multiple of the tick size, 0.05"),
        ("0.015", "1000", "quantity 0.015 is no multiple of the step size, 0.01"),
        ("20", "100", "above the largest, 10"),
        ("0.04", "100", "amount 4.00 USDT is below the smallest, 5"),
        ("9", "150000", "above the largest, 1000000"),
        ("1", "0.5", "below the smallest, 1"),
    ],
)
def test_an_order_that_breaks_a_rule_is_refused_naming_it(volume: str, price: str, words: str) -> None:
    """Before it is sent, and with the numbers."""
    with pytest.raises(InvalidOrderError, match=words.replace(".", r"\.")):
        checked(order_request(EXCHANGE, SYMBOL, volume, price, "buy-limit"), RULES)


def test_rounding_is_never_to_the_disadvantage_of_who_sends() -> None:
    """Less quantity; a lower price to buy, a higher one to sell."""
    for word, price in (("buy-limit", "100.05"), ("sell-limit", "100.10")):
        fitting = checked(order_request(EXCHANGE, SYMBOL, "1.019", "100.07", word), RULES, OrderCheck.ROUND)
        assert (Decimal("1.01"), Decimal(price)) == (fitting.quantity, fitting.price)
    with pytest.raises(InvalidOrderError, match="not above zero"):
        checked(order_request(EXCHANGE, SYMBOL, "0.009", "100", "buy-limit"), RULES, OrderCheck.ROUND)
    unfit = order_request(EXCHANGE, SYMBOL, "0.009", "100.001", "buy-limit")
    assert unfit is checked(unfit, RULES, OrderCheck.NONE)


async def test_a_feed_checks_what_it_sends() -> None:
    """By default it refuses; it can round, or leave it to the venue."""
    api = FakeVenueApi()
    async with open_feed(api) as feed:
        with pytest.raises(InvalidOrderError, match="tick size"):
            await feed.async_make_order(SYMBOL, "0.01", "50000.001", "buy-limit")
        with pytest.raises(InvalidSymbolError):
            await feed.async_make_order("NO-SUCH", "0.01", "50000", "buy-limit")
        with pytest.raises(InvalidOrderError, match="empty"):
            await feed.async_make_order(SYMBOL, "0.01", "50000", "buy-limit", client_order_id="")
        assert {} == api.sent
        order = await feed.async_make_order(SYMBOL, "0.0123", "50000.001", "buy-limit", check="round")
        assert (Decimal("0.012"), Decimal(50_000)) == (order.order_size, order.order_price)
        order = await feed.async_make_order(SYMBOL, "0.0123", "50000.001", "buy-limit", check=OrderCheck.NONE)
        assert Decimal("0.0123") == order.order_size
        api.instruments_error = NetworkError(EXCHANGE)
        with pytest.raises(InvalidSymbolError):
            await feed.async_make_order("NO-SUCH", "0.01", "50000", "buy-limit")
        assert 1 == api.calls.count("instruments")


# -- calls ---------------------------------------------------------------------------------------------


async def test_instruments_are_asked_for_once_and_kept_for_a_while() -> None:
    """Any number of tasks ask at the same time; the venue is asked once, and again when they are old."""
    api, manager = FakeVenueApi(), InstrumentManager()
    async with open_feed(api, instruments=manager) as feed, anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(feed.async_get_exchange_info)
    async with open_feed(api, instruments=manager) as feed:
        await feed.async_get_exchange_info()
        await anyio.sleep(3700)
        assert 2 == len(await feed.async_get_exchange_info())
        await feed.async_get_exchange_info()
        await feed.async_get_exchange_info(refresh=True)
    assert 4 == api.calls.count("instruments")
    assert {SYMBOL, "ETH-USDT"} == set(manager.all_internals())


async def test_what_is_returned_is_also_put_into_the_queue() -> None:
    """As older programs expect; a queue that is full does not make a placed order fail."""
    api, containers = FakeVenueApi(), queue.Queue[Any](maxsize=3)
    async with open_feed(api, data_queue=containers) as feed:
        tick = await feed.async_get_tick(SYMBOL)
        order = await feed.async_make_order(SYMBOL, "0.01", None, "buy-market")
        assert OrderStatus.COMPLETED is order.order_status
        await feed.async_get_deals(SYMBOL)
        await feed.async_get_tick(SYMBOL)
        assert 1 == feed.queue_overflows
    assert tick == containers.get_nowait()
    assert order == containers.get_nowait()


async def test_a_full_queue_does_not_flood_the_log() -> None:
    """That containers are left out is said at once, and then ever more rarely."""
    api = FakeVenueApi()
    said: list[int] = []

    class FakeLog:
        def warning(self, _text: str, *, count: int, **_values: Any) -> None:
            said.append(count)

    async with open_feed(api, data_queue=queue.Queue(maxsize=1)) as feed:
        feed._log = FakeLog()
        for _ in range(100):
            await feed.async_get_tick(SYMBOL)
    assert [1, 2, 4, 8, 16, 32, 64] == said
    assert 99 == feed.queue_overflows


async def test_the_account_is_asked_for() -> None:
    """Balances of all currencies or of one, positions, fills, open orders."""
    api = FakeVenueApi(held_positions={"BTC-USDT-SWAP": Decimal(2)})
    async with open_feed(api) as feed:
        order = await feed.async_make_order(SYMBOL, "0.02", "50000", "buy-limit")
        api.fill(order.order_id, "0.01")
        assert {"USDT", "BTC"} == {balance.currency for balance in await feed.async_get_balance()}
        assert ["BTC"] == [balance.currency for balance in await feed.async_get_balance("BTC")]
        assert 2 == (await feed.async_get_position())[0].position_volume
        assert [order.order_id] == [fill.order_id for fill in await feed.async_get_deals(SYMBOL, start_time=EPOCH)]
        assert [] == await feed.async_get_deals(SYMBOL, start_time=EPOCH, end_time=EPOCH)
        assert [OrderStatus.PARTIAL] == [found.order_status for found in await feed.async_get_open_orders()]
        assert order.order_id == (await feed.async_query_order(SYMBOL, order.order_id)).order_id


async def test_a_feed_that_is_not_in_use_says_so() -> None:
    """Before it is entered, and after it was left."""
    feed = make_feed(FakeVenueApi())
    assert FeedConnectionState.DISCONNECTED is feed.connection_state
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="not connected"):
            await feed.async_get_tick(SYMBOL)
        async with feed:
            assert feed.is_connected()
            with pytest.raises(RuntimeError, match="already"):
                async with feed:
                    pass
            await feed.async_get_tick(SYMBOL)
        assert not feed.is_connected()


async def test_what_a_venue_cannot_do_says_so() -> None:
    """And `capabilities` tells beforehand."""
    api = FakeVenueApi()
    api.capabilities = frozenset({Capability.GET_TICK, Capability.CANCEL_ALL_SYMBOL})  # type: ignore[misc]
    async with open_feed(api) as feed:
        assert feed.has_capability(Capability.GET_TICK)
        with pytest.raises(NotSupportedError):
            await feed.async_get_depth(SYMBOL)
        with pytest.raises(NotSupportedError):
            feed.require_capability(Capability.MAKE_ORDER)
        assert [] == await feed.async_cancel_all()


async def test_a_programs_own_error_leaves_the_feed_as_it_is() -> None:
    """It is not wrapped in a group."""
    with pytest.raises(ZeroDivisionError):
        async with open_feed(FakeVenueApi()):
            raise ZeroDivisionError


# -- pages of bars -------------------------------------------------------------------------------------


@given(
    numbers=st.sets(st.integers(0, 400), max_size=60),
    start=st.integers(-5, 410),
    length=st.integers(0, 420),
    page_size=st.integers(1, 7),
)
def test_pages_are_the_range_exactly(numbers: set[int], start: int, length: int, page_size: int) -> None:
    """Whatever is there, wherever a page ends: each bar of the range once, in order, and no other."""
    api = FakeVenueApi(bars=[a_bar(number) for number in sorted(numbers)])
    api.max_klines = page_size  # type: ignore[misc]
    reports: list[PagingProgress] = []

    async def collect() -> list[Bar]:
        async with open_feed(api) as feed:
            return await feed.async_get_kline(
                SYMBOL, "1m", start=EPOCH + start * MINUTE, end=EPOCH + (start + length) * MINUTE,
                on_progress=reports.append,
            )  # fmt: skip

    bars = anyio.run(collect)
    assert [number for number in sorted(numbers) if start <= number < start + length] == [
        (bar.open_time - EPOCH) // MINUTE for bar in bars
    ]
    fractions = [report.fraction for report in reports]
    assert sorted(fractions) == fractions
    if length:
        assert 1.0 == fractions[-1]
        assert len(bars) == reports[-1].bars


async def test_the_newest_bars_take_as_many_pages_as_they_need() -> None:
    """Counted back from the end; fewer if the venue has no more."""
    api = FakeVenueApi(bars=[a_bar(number) for number in range(1000)])
    async with open_feed(api) as feed:
        assert [a_bar(number) for number in range(750, 1000)] == await feed.async_get_kline(SYMBOL, "1m", 250)
        assert 1000 == len(await feed.async_get_kline(SYMBOL, "1m", 5000))
        until = await feed.async_get_kline(SYMBOL, "1m", 3, end=EPOCH + 10 * MINUTE)
        assert [a_bar(number) for number in (7, 8, 9)] == until


async def test_the_end_of_a_range_is_now_by_default() -> None:
    """The bar that is open now is the last one, and no request is made beyond it."""
    api = FakeVenueApi(bars=[a_bar(number) for number in range(300)])
    async with open_feed(api) as feed:
        await anyio.sleep(150 * 60 + 1)
        bars = await feed.async_get_kline(SYMBOL, "1m", start=EPOCH)
        assert 151 == len(bars)
        assert 2 == api.calls.count("klines")


async def test_a_page_that_failed_is_asked_for_again() -> None:
    """Nothing is lost by an error or a cancellation between two pages."""
    api = FakeVenueApi(bars=[a_bar(number) for number in range(30)])
    async with open_feed(api) as feed:
        pages = feed.kline_pages(SYMBOL, "1m", start=EPOCH, end=EPOCH + 30 * MINUTE, page_size=10)
        bars = await pages.__anext__()
        with anyio.CancelScope() as scope:
            scope.cancel()
            await pages.__anext__()
        async for page in pages:
            bars += page
        assert api.bars == bars


def test_periods_in_nanoseconds() -> None:
    """A month counts as the shortest there is; what is not known counts as a millisecond."""
    assert [SECOND, MINUTE, 4 * 60 * MINUTE, 28 * 24 * 60 * MINUTE] == [period_ns(p) for p in ("1s", "1m", "4h", "1M")]
    assert 7 * period_ns("1d") == period_ns("1w") == period_ns("1W")
    assert 1_000_000 == period_ns("1month")


# -- finding a feed ------------------------------------------------------------------------------------


def test_an_order_may_turn_up_for_as_long_as_the_venue_takes_its_request() -> None:
    """Who gives requests more time waits longer before an order that is not there counts as not placed."""
    for name in ("BINANCE___SPOT", "BINANCE___SWAP"):
        assert 15.0 == venue_feed(name).policy.settle_time
        assert 15.0 == venue_feed(name, recv_window_ms=100).policy.settle_time
        assert (70.0, 80.0) == attrs.astuple(venue_feed(name, recv_window_ms=60_000).policy)[0:3:2]
    assert 30.0 == venue_feed("OKX___SPOT", recv_window_ms=60_000).policy.settle_time
    policy = ResolvePolicy(settle_time=1.0)
    assert policy is venue_feed("BINANCE___SPOT", recv_window_ms=60_000, policy=policy).policy


def test_feeds_are_found_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """The built-in ones, and those that were registered."""
    from bt_api_base import feeds

    monkeypatch.setattr(feeds, "_feeds", dict(feeds._feeds))
    for name in venue_feed_names():
        feed = venue_feed(name.lower())
        assert name == feed.exchange_name
        assert Capability.MAKE_ORDER in feed.capabilities
    with pytest.raises(ExchangeNotFoundError):
        venue_feed("NOWHERE___SPOT")
    register_venue_feed("nowhere___spot", lambda credentials, **options: (credentials, options))
    assert (None, {"a": 1}) == venue_feed("NOWHERE___SPOT", a=1)
