"""OKX through the manager: markets, faults and an account, over real sockets against a venue on loopback."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import anyio
import attrs
import pytest

from bt_api_base.containers import (
    Account,
    Balance,
    Bar,
    Fill,
    FundingRate,
    Gap,
    Liquidation,
    MarkPrice,
    Order,
    OrderBook,
    OrderBookDelta,
    OrderStatus,
    Position,
    Tick,
    Trade,
)
from bt_api_base.event_bus import EventBus
from bt_api_base.event_stream import Overflow
from bt_api_base.exceptions import AuthenticationError, ConfigurationError, SubscribeError
from bt_api_base.testing.leaks import assert_no_leaks
from bt_api_base.testing.okx_venue import SimulatedOkxVenue
from bt_api_base.websocket_manager import WebSocketConfig, WebSocketManager

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable

    from bt_api_base.testing import PlantedSecret

pytestmark = pytest.mark.anyio

SPOT = "OKX___SPOT"
SWAP = "OKX___SWAP"


def config(venue: SimulatedOkxVenue, **settings: Any) -> WebSocketConfig:
    """Return settings for the venue, with what opens its account."""
    given = {"reconnect_interval": 0.05, "credentials": venue.credentials, **settings}
    return WebSocketConfig(venue.url, venue.exchange_name, **given)


async def first(kind: type, stream: AsyncIterable[Any]) -> Any:
    """Return the next event of a kind."""
    with anyio.fail_after(10):
        async for event in stream:
            if isinstance(event, kind):
                return event
    raise AssertionError(f"the stream ended without a {kind.__name__}")


async def until(reached: Callable[[], bool]) -> None:
    """Wait until something has come true."""
    with anyio.fail_after(10):
        while not reached():  # noqa: ASYNC110 - nobody tells when
            await anyio.sleep(0.01)


async def test_every_topic_delivers_its_container() -> None:
    """One subscription for each market topic, over the public and the business endpoint."""
    topics: tuple[tuple[str, type, dict[str, Any] | None], ...] = (
        ("ticker", Tick, None),
        ("trade", Trade, None),
        ("trade_all", Trade, None),
        ("depth", OrderBook, None),
        ("depth", OrderBook, {"levels": 1}),
        ("depth_diff", OrderBook, None),
        ("kline", Bar, {"interval": "1s"}),
        ("kline", Bar, {"interval": "1d"}),
        ("mark_price", MarkPrice, None),
        ("funding_rate", FundingRate, None),
    )
    venue = SimulatedOkxVenue(("BTC-USDT-SWAP",), rate=200.0, exchange_name=SWAP)
    async with assert_no_leaks(), venue, WebSocketManager() as manager:
        await manager.add_exchange(config(venue))
        subscriptions = [
            (container, await manager.subscribe(SWAP, topic, "BTC-USDT", params=params))
            for topic, container, params in topics
        ]
        for container, subscription in subscriptions:
            event = await first(container, subscription)
            assert (SWAP, "BTC-USDT-SWAP") == (event.exchange_name, event.symbol)
            assert event.local_time > 0
        liquidations = await manager.subscribe(SWAP, "liquidation", "")
        assert 1 == venue.push_liquidation(instId="BTC-USDT-SWAP", bkPx="0.5", sz="3")
        assert 3.0 == (await first(Liquidation, liquidations)).liquidation_volume
        assert {"/ws/v5/public", "/ws/v5/business"} == {session.target for session in venue.sessions}


async def test_a_book_is_the_venues_whatever_happens_to_its_numbers() -> None:
    """Snapshot and changes give the venue's book, over a step back of its numbers, without a gap."""
    async with SimulatedOkxVenue(("BTC-USDT",), paused=True, rate=200.0) as venue, WebSocketManager() as manager:
        await manager.add_exchange(config(venue))
        await venue.step(100)
        stream = await manager.subscribe(SPOT, "depth_diff", "BTC-USDT", overflow=Overflow.BLOCK)
        await venue.step(200)
        assert 1 == venue.push_book_reset("BTC-USDT", 5)
        await venue.step(200)
        bids: dict[float, float] = {}
        asks: dict[float, float] = {}
        updates = resets = 0
        final = venue.markets["BTC-USDT"].book.update_id  # what is sent may still be under way
        last = -1
        async for event in stream:
            assert isinstance(event, (OrderBook, OrderBookDelta))
            for side, changes in ((bids, event.bids), (asks, event.asks)):
                side.update(changes)
                for price, volume in changes:
                    if volume == 0:
                        del side[price]
            if isinstance(event, OrderBookDelta):
                updates += 1
                assert last == event.previous_sequence
                resets += event.last_sequence < last
                last = event.last_sequence
                if last == final and resets:
                    break
            else:
                last = event.sequence or 0
        assert 1 == resets
        assert updates > 5
        # The levels beyond the best 100 of the market that this venue has are not in anybody's book.
        best = venue.markets["BTC-USDT"].best
        assert max(bids) < min(asks)
        assert abs(max(bids) * 10**8 - best.bid_price) < best.bid_price / 1000


async def test_a_gap_in_a_book_is_told_and_mended() -> None:
    """After an interruption the consumer is told, and gets a new snapshot before any change."""
    async with SimulatedOkxVenue(("BTC-USDT",), rate=200.0) as venue, WebSocketManager() as manager:
        await manager.add_exchange(config(venue))
        stream = await manager.subscribe(SPOT, "depth_diff", "BTC-USDT")
        await first(OrderBookDelta, stream)
        await venue.kill()
        await venue.step(100)
        await venue.revive()
        gap = await first(Gap, stream)
        assert ("depth_diff", True) == (gap.topic, gap.recoverable)
        assert isinstance(await stream.receive(), OrderBook)
        assert isinstance(await first(OrderBookDelta, stream), OrderBookDelta)


async def test_a_symbol_that_does_not_exist_concerns_nobody_else() -> None:
    """The venue's words reach whoever asked, also among others in one request; the others get their data."""
    async with SimulatedOkxVenue(("BTC-USDT",), rate=200.0) as venue, WebSocketManager() as manager:
        await manager.add_exchange(config(venue))
        errors: list[SubscribeError] = []

        async def ask() -> None:
            try:
                await manager.subscribe(SPOT, "ticker", "FOO-BAR")
            except SubscribeError as error:
                errors.append(error)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            stream = await manager.subscribe(SPOT, "ticker", "BTC-USDT")
        assert ["60018"] == [error.venue_code for error in errors]
        assert isinstance(await first(Tick, stream), Tick)


async def test_the_heartbeat_is_a_text_and_its_answer_no_data() -> None:
    """The venue is pinged its own way, and what it answers is no frame of anybody's."""
    async with SimulatedOkxVenue(("BTC-USDT",), paused=True) as venue, WebSocketManager() as manager:
        await manager.add_exchange(config(venue, heartbeat_interval=0.1))
        await manager.subscribe(SPOT, "ticker", "BTC-USDT")
        await until(lambda: manager.get_stats()[SPOT][0].control_frames >= 3)
        (stats,) = manager.get_stats()[SPOT]
        assert (0, 0, 0) == (stats.bad_frames, stats.unrouted_frames, stats.unrecognized)


async def test_a_service_upgrade_is_announced_to_the_bus() -> None:
    """The venue's notice goes over the bus, and the subscription lives on."""
    bus = EventBus()
    async with SimulatedOkxVenue(("BTC-USDT",), rate=200.0) as venue, WebSocketManager(bus) as manager:
        await manager.add_exchange(config(venue))
        stream = await manager.subscribe(SPOT, "trade", "BTC-USDT")
        with bus.open_stream("ws.notice") as notices:
            await first(Trade, stream)
            assert 1 == venue.shutdown_notice()
            with anyio.fail_after(10):
                notice = await notices.receive()
        assert ("64008", True) == (notice.kind, notice.closing)
        await until(lambda: len(venue.sessions) == 2)
        while stream.pending:
            stream.receive_nowait()
        assert isinstance(await first(Trade, stream), Trade)


@pytest.mark.parametrize("topic", ["trade", "depth_diff"])
async def test_a_rotation_loses_and_repeats_nothing(topic: str) -> None:
    """While connections are replaced, every event arrives once and in order, and no gap is told."""
    venue = SimulatedOkxVenue(("BTC-USDT",), rate=300.0, keep_ids=True, max_connects=None)
    async with venue, WebSocketManager() as manager:
        await manager.add_exchange(config(venue))
        stream = await manager.subscribe(SPOT, topic, "BTC-USDT", overflow=Overflow.BLOCK)
        name = "trades:BTC-USDT" if topic == "trade" else "books:BTC-USDT"
        events: list[Any] = []
        for _ in range(2):
            await manager.rotate(SPOT)
            events.extend([await first(object, stream) for _ in range(5)])
        venue.pause()
        expected = venue.existing_ids(name)
        while number_of(events[-1]) != expected[-1]:
            events.append(await first(object, stream))
        assert 3 == sum(session.target == "/ws/v5/public" for session in venue.sessions)
        assert expected == [number_of(event) for event in events if not isinstance(event, OrderBook)]


def number_of(event: Any) -> int:
    """Return a trade's or a book's number; a gap is none."""
    assert not isinstance(event, Gap)
    if isinstance(event, Trade):
        return int(event.trade_id)
    return int(event.last_sequence if isinstance(event, OrderBookDelta) else event.sequence)


# -- an account -------------------------------------------------------------------------------------


async def test_an_order_and_its_fill() -> None:
    """Orders and fills of one channel go to those who asked for them."""
    async with assert_no_leaks(), SimulatedOkxVenue(("BTC-USDT",)) as venue, WebSocketManager() as manager:
        await manager.add_exchange(config(venue))
        orders = await manager.subscribe(SPOT, "order", "")
        fills = await manager.subscribe(SPOT, "fill", "")
        assert 1 == venue.push_order(ordId="7", px="60000.5", sz="0.5")
        venue.push_order(
            ordId="7",
            state="filled",
            sz="0.5",
            accFillSz="0.5",
            fillSz="0.5",
            fillPx="60000.5",
            tradeId="70",
            fillFee="-1",
        )
        new, filled = await first(Order, orders), await first(Order, orders)
        fill = await first(Fill, fills)
        assert [OrderStatus.ACCEPTED, OrderStatus.COMPLETED] == [new.order_status, filled.order_status]
        assert ("7", "70", Decimal("60000.5"), Decimal(1)) == (
            fill.order_id,
            fill.trade_id,
            fill.trade_price,
            fill.trade_fee,
        )
        assert 0 == orders.pending == fills.pending
        assert {"/ws/v5/private"} == {session.target for session in venue.sessions if session.streams}


async def test_balances_and_positions_come_with_a_snapshot() -> None:
    """What the account has is told at once, and again whenever it changes."""
    venue = SimulatedOkxVenue(("BTC-USDT-SWAP",), exchange_name=SWAP)
    async with venue, WebSocketManager() as manager:
        venue.push_balance(ccy="USDT", cashBal="100.000000000000000001", availBal="90")
        venue.push_position(instId="BTC-USDT-SWAP", posId="1", pos="-3", avgPx="60000")
        await manager.add_exchange(config(venue))
        balances = await manager.subscribe(SWAP, "balance", "")
        accounts = await manager.subscribe(SWAP, "account", "")
        positions = await manager.subscribe(SWAP, "position", "")
        balance = await first(Balance, balances)
        assert ("USDT", Decimal("100.000000000000000001"), Decimal(90)) == (
            balance.currency,
            balance.margin,
            balance.available_margin,
        )
        position = await first(Position, positions)
        assert ("BTC-USDT-SWAP", Decimal(-3)) == (position.symbol, position.position_volume)
        venue.push_balance(ccy="USDT", cashBal="50")
        venue.push_position(posId="1", pos="0")
        assert Decimal(50) == (await first(Balance, balances)).margin
        account = await first(Account, accounts)
        assert ["USDT"] == [one.currency for one in account.balances]
        assert Decimal(0) == (await first(Position, positions)).position_volume


async def test_after_a_cut_the_account_is_logged_in_to_again() -> None:
    """A new connection shows who it is before it asks for anything."""
    bus = EventBus()
    async with SimulatedOkxVenue(("BTC-USDT",)) as venue, WebSocketManager(bus) as manager:
        await manager.add_exchange(config(venue))
        orders = await manager.subscribe(SPOT, "order", "")
        with bus.open_stream("ws.resubscribed") as resubscribed:
            await venue.disconnect_all()
            with anyio.fail_after(10):
                await resubscribed.receive()
        assert 1 == venue.push_order(ordId="8")
        assert "8" == (await first(Order, orders)).order_id


@pytest.mark.parametrize(("wrong", "code"), [("api_key", "60005"), ("secret", "60007"), ("passphrase", "60024")])
async def test_wrong_keys_are_an_error_and_not_tried_again(
    wrong: str, code: str, planted_secret: PlantedSecret
) -> None:
    """Whoever subscribes is told in the venue's words, and the venue is not asked a second time."""
    credentials = attrs.evolve(planted_secret.credentials, **{wrong: planted_secret.value})
    venue = SimulatedOkxVenue(("BTC-USDT",), credentials=planted_secret.credentials)
    async with venue, WebSocketManager() as manager:
        await manager.add_exchange(config(venue, credentials=credentials))
        with pytest.raises(AuthenticationError) as caught:
            await manager.subscribe(SPOT, "order", "")
        assert code == caught.value.venue_code
        planted_secret.check(caught.value, manager.get_stats())
        planted_secret.check_reachable(caught.value, manager)
        await anyio.sleep(0.05)
        assert 1 == sum(session.target == "/ws/v5/private" for session in venue.sessions)


async def test_a_venue_that_is_busy_is_asked_again() -> None:
    """A log-in that fails for the venue's own reasons is repeated until it succeeds."""
    async with SimulatedOkxVenue(("BTC-USDT",)) as venue, WebSocketManager() as manager:
        venue.refuse_logins(code="63999", message="Login failed due to internal error")
        await manager.add_exchange(config(venue))
        orders = await manager.subscribe(SPOT, "order", "")
        assert 1 == venue.push_order(ordId="9")
        assert "9" == (await first(Order, orders)).order_id


async def test_an_account_takes_credentials() -> None:
    """Nothing private is asked for without them."""
    async with SimulatedOkxVenue(("BTC-USDT",)) as venue, WebSocketManager() as manager:
        await manager.add_exchange(config(venue, credentials=None))
        with pytest.raises(ConfigurationError, match="credentials"):
            await manager.subscribe(SPOT, "order", "")
