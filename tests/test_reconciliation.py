"""An account's events as one stream without holes: what a connection missed is asked for, and told once."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import anyio
import msgspec
import pytest

from bt_api_base.containers import Balance, Event, Fill, Gap, Order, OrderStatus, Position, PositionSide
from bt_api_base.exceptions import AuthenticationError, ConfigurationError, OrderUnknownError, SlowConsumerError
from bt_api_base.feeds.account_ledger import AccountLedger
from bt_api_base.feeds.order_states import is_later, with_known
from bt_api_base.feeds.reconciliation import fills_since
from tests.fake_venue_api import EPOCH, EXCHANGE, SECOND, SYMBOL, FakeManager, FakeVenueApi, open_feed

if TYPE_CHECKING:
    from bt_api_base.feeds.native import NativeFeed
    from bt_api_base.feeds.user_data import UserData

pytestmark = [pytest.mark.anyio, pytest.mark.virtual_time]


async def drained(user: UserData) -> list[Event]:
    """Return what the stream has told so far."""
    await anyio.sleep(0.001)
    events: list[Event] = []
    while True:
        try:
            events.append(user.receive_nowait())
        except anyio.WouldBlock:
            return events


def shown(events: list[Event]) -> list[str]:
    """Return orders and fills, in short."""
    texts: list[str] = []
    for event in events:
        if isinstance(event, Order):
            texts.append(f"{event.client_order_id} {event.order_status.value} {event.executed_qty}")
        elif isinstance(event, Fill):
            texts.append(f"{event.client_order_id} fill {event.trade_volume}")
    return texts


async def buy(feed: NativeFeed, own_id: str, **options: Any) -> Order:
    """Place an order that rests."""
    return await feed.async_make_order(SYMBOL, "0.03", "50000", "buy-limit", client_order_id=own_id, **options)


async def test_it_begins_with_the_account_as_it_is() -> None:
    """Open orders, the fills of the feed's own orders, balances; others' past is left out."""
    api = FakeVenueApi()
    async with open_feed(api, manager=FakeManager(api)) as feed, open_feed(api) as other:
        foreign = await buy(other, "foreign-done")
        api.fill(foreign.order_id)
        await buy(other, "foreign-open")
        await anyio.sleep(1)
        own = await buy(feed, "own")
        api.fill(own.order_id, "0.01")
        async with feed.user_data() as user:
            events = await drained(user)
            assert ["foreign-open new 0", "own fill 0.01", "own partially_filled 0.01"] == shown(events)
            assert {"USDT", "BTC"} == {event.currency for event in events if isinstance(event, Balance)}
            assert "start" == user.history[0].reason


async def test_what_happens_is_told_once_and_the_tracker_follows() -> None:
    """Live events go through, and the feed's own orders are kept up to date by them."""
    api = FakeVenueApi()
    async with open_feed(api, manager=FakeManager(api)) as feed, feed.user_data((Order, Fill)) as user:
        order = await buy(feed, "a")
        api.fill(order.order_id)
        assert ["a new 0", "a fill 0.03", "a filled 0.03"] == shown(await drained(user))
        entry = feed.tracker.get("a")
        assert entry is not None
        assert entry.order is not None
        assert OrderStatus.COMPLETED is entry.order.order_status


async def test_a_stream_event_tells_the_fate_of_an_order() -> None:
    """The answer is lost and the venue cannot be asked, but its stream says that the order was placed."""
    api = FakeVenueApi(script=["lose_reply"], queries_fail=1000)
    manager = FakeManager(api)
    api.queries_fail = 0
    async with open_feed(api, manager=manager) as feed, feed.user_data():
        api.queries_fail = 1000
        order = await buy(feed, "a")
        assert OrderStatus.ACCEPTED is order.order_status
        assert anyio.current_time() < 1.0


async def test_what_a_gap_swallowed_is_told_in_order_before_anything_else() -> None:
    """Fills, ends, and orders that came and went, by the venue's time; then the stream goes on."""
    api = FakeVenueApi()
    manager = FakeManager(api)
    async with (
        open_feed(api, manager=manager) as feed,
        open_feed(api) as other,
        feed.user_data((Order, Fill), show_gaps=True, recheck_after=None) as user,
    ):
        first, second = await buy(feed, "a"), await buy(feed, "b")
        api.fill(first.order_id, "0.01")
        await drained(user)
        await anyio.sleep(1)
        manager.cut()
        api.fill(first.order_id, "0.01")
        await anyio.sleep(1)
        api.fill(first.order_id, "0.01")
        await anyio.sleep(1)
        api.cancel_by_itself(second.order_id)
        await anyio.sleep(1)
        third = await buy(other, "c")
        await anyio.sleep(1)
        api.fill(third.order_id)
        await anyio.sleep(1)
        manager.mend()
        events = await drained(user)
        await buy(feed, "d")
        events += await drained(user)
        missed = ["a fill 0.01", "a fill 0.01", "a filled 0.03", "b canceled 0", "c fill 0.03", "c filled 0.03"]
        assert [*missed, "d new 0"] == shown(events)
        assert isinstance(events[0], Gap)
        assert 1 == user.get_stats().gaps
        assert len(missed) == user.history[-1].told


async def test_reconciling_again_tells_nothing_again() -> None:
    """What was told by a reconciliation is not told by the next, nor by a late frame of the stream."""
    api = FakeVenueApi()
    manager = FakeManager(api)
    async with open_feed(api, manager=manager) as feed, feed.user_data() as user:
        order = await buy(feed, "a")
        await drained(user)
        manager.cut()
        fill = api.fill(order.order_id)
        manager.mend()
        assert ["a fill 0.03", "a filled 0.03"] == shown(await drained(user))
        late = msgspec.structs.replace(
            api.book[order.order_id], order_status=OrderStatus.PARTIAL, executed_qty=Decimal("0.01")
        )
        api.tell(fill, api.book[order.order_id], late)
        assert 0 == await user.reconcile()
        assert [] == await drained(user)
        assert user.get_stats().duplicates >= 3


async def test_a_fill_that_the_venue_shows_late_is_told_by_the_recheck() -> None:
    """Right after a gap REST can lag behind: some time later it is compared once more."""
    api = FakeVenueApi()
    manager = FakeManager(api)
    async with open_feed(api, manager=manager) as feed, feed.user_data(recheck_after=5.0) as user:
        order = await buy(feed, "a")
        await drained(user)
        manager.cut()
        before = api.book[order.order_id]
        fill = api.fill(order.order_id)
        after = api.book[order.order_id]
        api.book[order.order_id], api.filled = before, []
        manager.mend()
        assert [] == shown(await drained(user))
        api.book[order.order_id], api.filled = after, [fill]
        await anyio.sleep(6.0)
        assert ["a fill 0.03", "a filled 0.03"] == shown(await drained(user))
        assert ["start", "disconnected", "recheck"] == [entry.reason for entry in user.history]


async def test_balances_and_positions_that_went_to_nothing_are_told_as_zero() -> None:
    """Venues leave out what there is nothing of."""
    api = FakeVenueApi(held_positions={"BTC-USDT-SWAP": Decimal(2)})
    manager = FakeManager(api)
    async with open_feed(api, manager=manager) as feed, feed.user_data((Balance, Position)) as user:
        assert 2 == len(await drained(user))
        manager.cut()
        await anyio.sleep(1)
        api.held = {}
        api.held_positions = {}
        manager.mend()
        amounts = [
            event.margin if isinstance(event, Balance) else event.position_volume
            for event in await drained(user)
            if isinstance(event, (Balance, Position))
        ]
        assert [0, 0] == amounts


async def test_the_venue_is_asked_until_it_answers() -> None:
    """A gap is mended when REST is back; the stream waits, and loses nothing."""
    api = FakeVenueApi()
    manager = FakeManager(api)
    async with open_feed(api, manager=manager) as feed, feed.user_data((Order, Fill), recheck_after=None) as user:
        order = await buy(feed, "a")
        await drained(user)
        manager.cut()
        api.fill(order.order_id, "0.01")
        api.queries_fail = 4
        manager.mend()
        api.fill(order.order_id, "0.02")
        assert [] == await drained(user)
        await anyio.sleep(30)
        told = shown(await drained(user))
        assert ["a fill 0.01", "a fill 0.02", "a filled 0.03"] == told
        assert 5 == user.history[-1].attempts


async def test_an_order_that_the_venue_has_forgotten_is_over() -> None:
    """Some venues drop canceled orders without fills from their books altogether."""
    api = FakeVenueApi()
    manager = FakeManager(api)
    async with open_feed(api, manager=manager) as feed, feed.user_data((Order,), recheck_after=None) as user:
        order = await buy(feed, "a")
        await drained(user)
        manager.cut()
        await anyio.sleep(120)
        del api.book[order.order_id]
        manager.mend()
        assert ["a canceled 0"] == shown(await drained(user))


async def test_an_order_that_the_venue_does_not_show_yet_is_not_over() -> None:
    """It was placed a moment ago, and neither the open orders nor a query have it: that proves nothing."""
    api = FakeVenueApi()
    manager = FakeManager(api)
    async with open_feed(api, manager=manager) as feed, feed.user_data((Order,), recheck_after=None) as user:
        manager.cut()
        order = await buy(feed, "a")
        hidden = api.book.pop(order.order_id)
        manager.mend()
        assert [] == shown(await drained(user))
        assert ["a"] == [entry.client_order_id for entry in feed.tracker.open]
        api.book[order.order_id] = hidden
        api.fill(order.order_id, "0.01")
        assert ["a partially_filled 0.01"] == shown(await drained(user))


async def test_an_order_of_unknown_fate_is_looked_for_in_its_instrument() -> None:
    """It was filled in the gap that took its answer, and nothing else was ever traded in that instrument."""
    api = FakeVenueApi()
    manager = FakeManager(api)
    async with open_feed(api, manager=manager) as feed, feed.user_data((Fill,), recheck_after=None) as user:
        manager.cut()
        api.script.append("lose_reply")
        with pytest.raises(OrderUnknownError):
            await buy(feed, "a", resolve=False)
        (placed,) = api.book.values()
        api.fill(placed.order_id)
        api.hidden_for = 5.0
        manager.mend()
        assert ["a fill 0.03"] == shown(await drained(user))


async def test_a_gap_is_mended_also_after_the_wall_clock_was_set_back() -> None:
    """What was covered "until tomorrow" says nothing about a gap of today."""
    api = FakeVenueApi()
    manager = FakeManager(api)
    async with open_feed(api, manager=manager) as feed, feed.user_data((Fill,), recheck_after=None) as user:
        user._covered_until = 10**19
        manager.cut()
        order = await buy(feed, "a")
        api.fill(order.order_id)
        manager.mend(until=EPOCH)
        assert ["a fill 0.03"] == shown(await drained(user))


async def test_refused_credentials_end_the_stream() -> None:
    """Asking again would not help."""
    api = FakeVenueApi()
    manager = FakeManager(api)

    async def refuse(symbol: str | None = None) -> list[Order]:
        raise AuthenticationError(EXCHANGE, "revoked")

    async with open_feed(api, manager=manager) as feed, feed.user_data() as user:
        await drained(user)
        api.open_orders = refuse  # type: ignore[method-assign]
        manager.mend()
        with pytest.raises(AuthenticationError):
            await user.receive()


async def test_a_consumer_that_is_far_too_slow_gets_an_error() -> None:
    """Memory is bounded; nothing is left out silently."""
    api = FakeVenueApi()
    async with open_feed(api, manager=FakeManager(api)) as feed, feed.user_data(max_buffer_size=1) as user:
        for number in range(1200):
            api.held["USDT"] = Decimal(number)
            api.tell(api._balance("USDT"))
            if number % 100 == 0:
                await anyio.sleep(0.001)
        await anyio.sleep(0.001)
        with pytest.raises(SlowConsumerError):
            while True:
                await user.receive()


async def test_without_a_way_to_the_streams_it_says_so() -> None:
    """The feed was given neither a manager nor settings."""
    async with open_feed(FakeVenueApi()) as feed:
        with pytest.raises(ConfigurationError, match="stream="):
            async with feed.user_data():
                pass


async def test_an_error_inside_of_the_stream_comes_out_as_it_is() -> None:
    """A program's own errors are not wrapped in groups."""
    api = FakeVenueApi()
    with pytest.raises(ZeroDivisionError):
        async with open_feed(api, manager=FakeManager(api)) as feed, feed.user_data():
            raise ZeroDivisionError


async def test_fills_of_many_pages_come_once_each() -> None:
    """Also where a page ends in the middle of a moment."""
    api = FakeVenueApi()
    now = EPOCH
    for number in range(1700):
        now += SECOND if number % 7 == 0 else 0
        api.filled.append(
            Fill(EXCHANGE, SYMBOL, now, now, str(number), "v1", "buy", Decimal(1), Decimal(1), now)  # type: ignore[arg-type]
        )
    fills = await fills_since(api, SYMBOL, EPOCH)
    assert [str(number) for number in range(1700)] == [fill.trade_id for fill in fills]


async def test_a_page_may_be_all_of_one_moment() -> None:
    """One order can take more at a time than there are on a page."""
    api = FakeVenueApi()
    for number in range(2600):
        now = EPOCH + SECOND * (number // 1300)
        api.filled.append(
            Fill(EXCHANGE, SYMBOL, now, now, str(number), "v1", "buy", Decimal(1), Decimal(1), now)  # type: ignore[arg-type]
        )
    fills = await fills_since(api, SYMBOL, EPOCH)
    assert [str(number) for number in range(2600)] == [fill.trade_id for fill in fills]


async def test_both_sides_of_a_trade_with_oneself_are_told() -> None:
    """Two orders of the account met: a trade with one id, and two fills."""
    fills = [
        Fill(EXCHANGE, SYMBOL, EPOCH, 0, "7", order_id, side, Decimal(1), Decimal(1), EPOCH)  # type: ignore[arg-type]
        for order_id, side in (("v1", "buy"), ("v2", "sell"))
    ]
    ledger = AccountLedger()
    assert fills == [fill for fill in (*fills, *fills) if ledger.take(fill) is not None]
    api = FakeVenueApi(filled=list(fills))
    assert fills == await fills_since(api, SYMBOL, EPOCH)


def _order(status: OrderStatus, executed: str | None = "0", server_time: int = 1, price: str = "5") -> Order:
    return Order(EXCHANGE, SYMBOL, server_time, 0, "1", "buy", "limit", status, Decimal(3), Decimal(price),  # type: ignore[arg-type]
                 executed_qty=None if executed is None else Decimal(executed), client_order_id="c")  # fmt: skip


@pytest.mark.parametrize(
    ("known", "told", "later"),
    [
        (_order(OrderStatus.ACCEPTED), _order(OrderStatus.ACCEPTED), False),
        (_order(OrderStatus.ACCEPTED), _order(OrderStatus.PARTIAL, "1"), True),
        (_order(OrderStatus.PARTIAL, "2"), _order(OrderStatus.PARTIAL, "1"), False),
        (_order(OrderStatus.PARTIAL, "2"), _order(OrderStatus.CANCELED, "2"), True),
        (_order(OrderStatus.CANCELED, "2"), _order(OrderStatus.PARTIAL, "2"), False),
        (_order(OrderStatus.CANCELED, "1"), _order(OrderStatus.PARTIAL, "2"), False),
        (_order(OrderStatus.SUBMITTED, None), _order(OrderStatus.ACCEPTED), True),
        (_order(OrderStatus.PARTIAL, "1"), _order(OrderStatus.CANCELED, None), True),
        (_order(OrderStatus.ACCEPTED), _order(OrderStatus.ACCEPTED, "0", 2, "6"), True),
        (_order(OrderStatus.ACCEPTED, "0", 2, "6"), _order(OrderStatus.ACCEPTED), False),
    ],
)
def test_which_of_two_states_is_the_later(known: Order, told: Order, later: bool) -> None:
    """Orders only go forward."""
    assert later == is_later(known, told)


def test_a_later_state_keeps_what_it_does_not_tell() -> None:
    """What does not change is known from before; the filled quantity, too."""
    told = msgspec.structs.replace(_order(OrderStatus.CANCELED, None), order_size=None, client_order_id=None)
    whole = with_known(_order(OrderStatus.PARTIAL, "1"), told)
    assert (Decimal(3), "c", Decimal(1)) == (whole.order_size, whole.client_order_id, whole.executed_qty)


def test_the_ledgers_memory_is_bounded() -> None:
    """Done orders and fills are forgotten, the oldest first; forgotten fills are not taken for new ones."""
    ledger = AccountLedger(max_done=10)
    fills = [
        Fill(EXCHANGE, SYMBOL, 0, 0, str(n), "1", "buy", Decimal(1), Decimal(1), n // 2)  # type: ignore[arg-type]
        for n in range(2, 60)
    ]
    assert fills == [fill for fill in fills if ledger.take(fill) is not None]
    assert [] == [fill for fill in fills if ledger.take(fill) is not None]
    for number in range(30):
        ledger.take(msgspec.structs.replace(_order(OrderStatus.COMPLETED, "3"), order_id=str(number)))
    assert len(ledger._fills) <= 10
    assert 10 == len(ledger._done)


def test_the_ledger_tells_positions_by_what_they_hold() -> None:
    """A mark price is no change; a position that was never there does not end."""
    ledger = AccountLedger()
    position = Position(EXCHANGE, SYMBOL, 1, 0, PositionSide.NET, Decimal(1), mark_price=Decimal(5))
    assert ledger.take(msgspec.structs.replace(position, position_volume=Decimal(0))) is None
    assert ledger.take(position) is position
    assert ledger.take(msgspec.structs.replace(position, mark_price=Decimal(6), server_time=2)) is None
    assert ledger.take(msgspec.structs.replace(position, position_volume=Decimal(0), server_time=3)) is not None
