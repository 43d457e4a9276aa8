"""Orders whose answer is lost: each is looked for, never sent again, and never lost sight of."""

from __future__ import annotations

from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from bt_api_base.containers import OrderStatus
from bt_api_base.exceptions import (
    DataParseError,
    DuplicateOrderError,
    InsufficientBalanceError,
    NetworkError,
    OrderError,
    OrderNotFoundError,
    OrderUnknownError,
    RateLimitError,
    RequestTimeoutError,
)
from bt_api_base.feeds.order_resolver import ResolvePolicy, surely_not_done
from bt_api_base.feeds.orders_tracker import OrderFate
from bt_api_base.testing import sweep_cancellation
from tests.fake_venue_api import EXCHANGE, FAST, SYMBOL, FakeVenueApi, open_feed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from bt_api_base.containers import Order
    from bt_api_base.feeds.native import NativeFeed

pytestmark = [pytest.mark.anyio, pytest.mark.virtual_time]


async def buy(feed: NativeFeed, own_id: str = "a1", **options: Any) -> Order:
    """Place an order that rests."""
    return await feed.async_make_order(SYMBOL, "0.01", "50000", "buy-limit", client_order_id=own_id, **options)


async def test_a_lost_reply_is_looked_for_and_the_order_returned() -> None:
    """The order was placed and its answer lost: it is returned, and was sent once."""
    api = FakeVenueApi(script=["lose_reply"])
    async with open_feed(api) as feed:
        order = await buy(feed)
        assert "a1" == order.client_order_id
        assert OrderStatus.ACCEPTED is order.order_status
        assert () == feed.unknown_orders
    assert {"a1": 1} == api.sent
    assert 1 == len(api.book)


async def test_a_lost_request_is_told_when_the_venue_surely_does_not_have_it() -> None:
    """The order never arrived: after the settle time, and not before, that is believed."""
    api = FakeVenueApi(script=["lose_request"])
    async with open_feed(api) as feed:
        started = anyio.current_time()
        with pytest.raises(OrderError, match="was not placed") as caught:
            await buy(feed)
        assert not isinstance(caught.value, OrderUnknownError)
        assert FAST.settle_time == pytest.approx(anyio.current_time() - started, abs=0.2)
        assert isinstance(caught.value.__cause__, OrderUnknownError)
    assert {"a1": 1} == api.sent


async def test_an_order_that_arrives_late_is_found() -> None:
    """Not-found is not believed while the order may still be on its way."""
    api = FakeVenueApi(script=["late:1.5"])
    async with open_feed(api) as feed:
        order = await buy(feed)
        assert api.book[order.order_id].client_order_id == order.client_order_id
    assert {"a1": 1} == api.sent


async def test_an_order_that_the_venue_does_not_show_at_once_is_found() -> None:
    """It is in the book, and queries do not find it for a while."""
    api = FakeVenueApi(script=["lose_reply"], hidden_for=1.9)
    async with open_feed(api) as feed:
        assert OrderStatus.ACCEPTED is (await buy(feed)).order_status


async def test_more_answers_can_be_asked_for_before_not_found_is_believed() -> None:
    """Where one answer is not enough, the next ones can still find the order."""
    policy = ResolvePolicy(settle_time=1.0, confirmations=3, timeout=10.0, max_delay=0.5)
    async with open_feed(FakeVenueApi(script=["lose_reply"], hidden_for=1.4), policy=policy) as feed:
        assert OrderStatus.ACCEPTED is (await buy(feed)).order_status
    async with open_feed(FakeVenueApi(script=["lose_request"]), policy=policy) as feed:
        with pytest.raises(OrderError, match="was not placed"):
            await buy(feed)
        assert 2.0 == pytest.approx(anyio.current_time() - 1.5, abs=1.0)


async def test_failing_queries_do_not_end_the_search() -> None:
    """The venue cannot be asked for a while; then the order is found."""
    api = FakeVenueApi(script=["lose_reply"], queries_fail=5)
    async with open_feed(api) as feed:
        assert OrderStatus.ACCEPTED is (await buy(feed)).order_status
    assert 6 == api.calls.count("query")


async def test_a_long_search_does_not_flood_the_log() -> None:
    """The venue cannot be asked for an hour: that is said ever more rarely."""
    api = FakeVenueApi(script=["lose_reply"], queries_fail=10**6)
    said: list[str] = []

    class FakeLog:
        def warning(self, text: str, **_values: Any) -> None:
            said.append(text)

        info = warning

    async with open_feed(api) as feed:
        feed._orders._resolver._log = FakeLog()
        with pytest.raises(OrderUnknownError):
            await buy(feed)
        await anyio.sleep(3600)
        assert 12 >= len(said)
        api.queries_fail = 0
        assert () == await feed.resolve_unknown(5.0)


async def test_beyond_the_deadline_the_fate_is_told_as_unknown_and_found_out_later() -> None:
    """The caller gets an error of its own type with the id; in the background the search goes on."""
    api = FakeVenueApi(script=["lose_reply"], queries_fail=20)
    async with open_feed(api) as feed:
        with pytest.raises(OrderUnknownError) as caught:
            await buy(feed)
        assert "a1" == caught.value.client_order_id
        assert ["a1"] == [entry.client_order_id for entry in feed.unknown_orders]
        assert () == await feed.resolve_unknown()
        entry = feed.tracker.get("a1")
        assert entry is not None
        assert OrderFate.PLACED is entry.fate


async def test_the_error_can_be_had_at_once() -> None:
    """Who does not want to wait gets the error at once, and the order is found out all the same."""
    api = FakeVenueApi(script=["lose_reply"])
    async with open_feed(api) as feed:
        with pytest.raises(OrderUnknownError):
            await buy(feed, resolve=False)
        assert 0.0 == anyio.current_time()
        assert () == await feed.resolve_unknown(5.0)
        assert 1 == len(feed.tracker.open)


async def test_resolving_can_be_given_a_time() -> None:
    """What is still unknown then is returned."""
    api = FakeVenueApi(script=["lose_reply"], queries_fail=1000)
    async with open_feed(api) as feed:
        with pytest.raises(OrderUnknownError):
            await buy(feed, resolve=False)
        assert ["a1"] == [entry.client_order_id for entry in await feed.resolve_unknown(3.0)]


async def test_an_id_that_is_open_or_unknown_is_refused_before_anything_is_sent() -> None:
    """The same id twice is a mistake, or a resend: neither is sent."""
    api = FakeVenueApi(script=["ok", "lose_request"])
    async with open_feed(api) as feed:
        await buy(feed, "open")
        with pytest.raises(OrderUnknownError):
            await buy(feed, "unknown", resolve=False)
        for own_id in ("open", "unknown"):
            with pytest.raises(DuplicateOrderError):
                await buy(feed, own_id)
    assert {"open": 1, "unknown": 1} == api.sent


async def test_an_id_may_be_used_again_when_its_order_is_done() -> None:
    """And an order that was not placed is not taken for the earlier one of the same id."""
    api = FakeVenueApi(script=["ok", "ok", "lose_request"])
    async with open_feed(api) as feed:
        first = await buy(feed)
        await feed.async_cancel_order(SYMBOL, first.order_id)
        with pytest.raises(OrderError, match="was not placed"):
            await buy(feed)
        second = await buy(feed)
        assert first.order_id != second.order_id


@pytest.mark.parametrize("script", ["lose_request", "lose_reply"])
async def test_an_order_of_another_day_with_the_same_id_is_not_this_one(script: str) -> None:
    """A program that was started again uses its ids again, and its tracker knows of no earlier order."""
    api = FakeVenueApi()
    async with open_feed(api) as feed:
        yesterday = await buy(feed)
        api.fill(yesterday.order_id)
    await anyio.sleep(86_400)
    api.clock = FakeClock(api)  # type: ignore[attr-defined]
    api.script.append(script)
    async with open_feed(api) as feed:
        if script == "lose_reply":
            assert yesterday.order_id != (await buy(feed)).order_id
        else:
            with pytest.raises(OrderError, match="was not placed"):
                await buy(feed)


class FakeClock:
    """The venue's clock, which is known exactly."""

    def __init__(self, api: FakeVenueApi) -> None:
        self.now_ns = api.time_ns


@pytest.mark.parametrize(
    "error",
    [
        DataParseError("Order", "nonsense"),
        RequestTimeoutError(EXCHANGE, "", 10),
        KeyError("a field that the adapter did not expect"),
        RuntimeError("whatever"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_an_answer_of_no_use_leaves_the_fate_unknown(error: Exception) -> None:
    """Whatever does not prove that nothing was done is looked into, a fault of the adapter included."""
    api = FakeVenueApi(script=[error])
    async with open_feed(api) as feed:
        assert OrderStatus.ACCEPTED is (await buy(feed)).order_status
    assert {"a1": 1} == api.sent


@pytest.mark.parametrize(
    "error",
    [NetworkError(EXCHANGE), RateLimitError(EXCHANGE), InsufficientBalanceError(EXCHANGE, SYMBOL)],
    ids=lambda error: type(error).__name__,
)
async def test_what_proves_that_nothing_was_done_is_raised_as_it_is(error: Exception) -> None:
    """Refusals and requests that never left are no unknown orders, and the id is free again."""
    assert surely_not_done(error)
    api = FakeVenueApi(script=["refuse"])
    async with open_feed(api) as feed:
        with pytest.raises(NetworkError):
            await buy(feed)
        assert () == feed.unknown_orders
        assert OrderStatus.ACCEPTED is (await buy(feed)).order_status


async def test_an_order_given_up_while_it_was_sent_is_found_out_in_the_background() -> None:
    """The caller is cancelled; the order stays in sight."""
    api = FakeVenueApi(script=["hang"])
    async with open_feed(api) as feed:
        with anyio.move_on_after(1.0) as scope:
            await buy(feed)
        assert scope.cancelled_caught
        assert ["a1"] == [entry.client_order_id for entry in feed.unknown_orders]
        assert () == await feed.resolve_unknown(5.0)
        assert ["a1"] == [entry.client_order_id for entry in feed.tracker.open]


async def test_a_feed_left_with_unknown_orders_hands_them_to_the_next_one() -> None:
    """The tracker outlives the feed, and the next feed that has it goes on searching."""
    api = FakeVenueApi(script=["lose_reply"], queries_fail=3)
    async with open_feed(api) as feed:
        with pytest.raises(OrderUnknownError):
            await buy(feed, resolve=False)
    assert ["a1"] == [entry.client_order_id for entry in feed.unknown_orders]
    async with open_feed(api, tracker=feed.tracker) as successor:
        assert () == await successor.resolve_unknown(5.0)
    assert ["a1"] == [entry.client_order_id for entry in feed.tracker.open]


@asynccontextmanager
async def an_order_cancelled_anywhere(script: str) -> AsyncIterator[Callable[[], Awaitable[object]]]:
    """Place an order; afterwards the feed knows what the venue knows."""
    api = FakeVenueApi(script=[script])
    async with open_feed(api) as feed:
        await feed.async_get_exchange_info()

        async def operation() -> None:
            with suppress(OrderError):
                await buy(feed)

        yield operation
        assert () == await feed.resolve_unknown(20.0)
        at_venue = {order.client_order_id for order in api.book.values()}
        assert at_venue == {entry.client_order_id for entry in feed.tracker.open}
        assert api.sent["a1"] <= 1


@pytest.mark.parametrize("script", ["ok", "lose_reply", "lose_request", "late:1", "slow:1"])
async def test_cancelled_anywhere_an_order_is_sent_once_and_never_lost(script: str) -> None:
    """At each of its suspensions: what the feed knows in the end is what the venue has."""
    sweep = await sweep_cancellation(lambda: an_order_cancelled_anywhere(script), time_limit=60.0)
    assert sweep.suspensions >= 2
    assert () == sweep.absorbed


# -- canceling -----------------------------------------------------------------------------------------


async def test_a_cancel_that_comes_too_late_tells_that_the_order_was_filled() -> None:
    """The venue says "no such order", because it has just been filled: the order says so."""
    api = FakeVenueApi()
    async with open_feed(api) as feed:
        order = await buy(feed)
        api.fill(order.order_id)
        done = await feed.async_cancel_order(SYMBOL, order.order_id)
        assert OrderStatus.COMPLETED is done.order_status
        assert done.executed_qty == order.order_size


async def test_a_cancel_whose_answer_is_lost_is_looked_into_and_repeated_if_need_be() -> None:
    """Cancellations may be repeated: they only end what is to be ended."""
    for script, cancels in ((["ok", "lose_reply"], 1), (["ok", "lose_request"], 2), (["ok", "late:0.05"], 2)):
        api = FakeVenueApi(script=list(script))
        async with open_feed(api) as feed:
            order = await buy(feed)
            done = await feed.async_cancel_order(SYMBOL, order.order_id)
            assert OrderStatus.CANCELED is done.order_status
        assert cancels == api.calls.count("cancel")


async def test_a_cancel_that_cannot_be_found_out_is_of_unknown_fate() -> None:
    """Neither the cancellation's answer nor the order can be had in time."""
    api = FakeVenueApi(script=["ok", *["lose_reply"] * 100], queries_fail=100)
    async with open_feed(api) as feed:
        order = await buy(feed)
        with pytest.raises(OrderUnknownError, match="canceled"):
            await feed.async_cancel_order(SYMBOL, order.order_id, resolve_timeout=3.0)


async def test_an_order_of_unknown_fate_is_canceled_when_it_turns_up() -> None:
    """It is canceled by the client order id, as soon as it arrives."""
    api = FakeVenueApi(script=["late:1"])
    async with open_feed(api) as feed:
        with pytest.raises(OrderUnknownError):
            await buy(feed, resolve=False)
        done = await feed.async_cancel_order(SYMBOL, client_order_id="a1")
        assert OrderStatus.CANCELED is done.order_status
    assert [OrderStatus.CANCELED] == [order.order_status for order in api.book.values()]


async def test_canceling_an_order_that_was_never_placed_says_so() -> None:
    """Once it is sure that the order was not placed, there is no such order."""
    api = FakeVenueApi(script=["lose_request"])
    async with open_feed(api) as feed:
        with pytest.raises(OrderUnknownError):
            await buy(feed, resolve=False)
        with pytest.raises(OrderNotFoundError):
            await feed.async_cancel_order(SYMBOL, client_order_id="a1")
        with pytest.raises(OrderNotFoundError):
            await feed.async_cancel_order(SYMBOL, "nothing")


async def test_an_order_that_is_not_shown_yet_is_canceled_when_it_is() -> None:
    """The venue has taken it a moment ago, and does not find it yet: it is not gone."""
    api = FakeVenueApi()
    async with open_feed(api) as feed, anyio.create_task_group() as tasks:
        order = await buy(feed)
        hidden = api.book.pop(order.order_id)

        async def show() -> None:
            await anyio.sleep(1)
            api.book[order.order_id] = hidden

        tasks.start_soon(show)
        assert OrderStatus.CANCELED is (await feed.async_cancel_order(SYMBOL, order.order_id)).order_status
        lost = await buy(feed, "lost")
        del api.book[lost.order_id]
        with pytest.raises(OrderNotFoundError):
            await feed.async_cancel_order(SYMBOL, lost.order_id)
        assert FAST.settle_time + 1.0 == pytest.approx(anyio.current_time(), abs=1.5)


async def test_canceling_what_is_done_asks_nobody() -> None:
    """What is known to be done cannot change any more."""
    api = FakeVenueApi()
    async with open_feed(api) as feed:
        order = await buy(feed)
        await feed.async_cancel_order(SYMBOL, order.order_id)
        before = len(api.calls)
        assert OrderStatus.CANCELED is (await feed.async_cancel_order(SYMBOL, order.order_id)).order_status
        assert before == len(api.calls)


@pytest.mark.parametrize("script", ["ok", "lose_reply", "lose_request"])
async def test_canceling_all_is_made_sure_of(script: str) -> None:
    """A lost answer to "cancel all" is looked into, and repeated while there are open orders."""
    api = FakeVenueApi()
    async with open_feed(api) as feed:
        for own_id in ("a", "b"):
            await buy(feed, own_id)
        api.script.append(script)
        await feed.async_cancel_all(SYMBOL)
        assert () == feed.tracker.open or script == "lose_reply"
    assert {OrderStatus.CANCELED} == {order.order_status for order in api.book.values()}


async def test_canceling_an_earlier_order_leaves_the_next_one_with_its_id_alone() -> None:
    """The id from us is that of two orders, the venue's of one: what was asked for is canceled, and nothing else."""
    api = FakeVenueApi(script=["ok", "hang"])
    async with open_feed(api) as feed, anyio.create_task_group() as tasks:
        first = await buy(feed)
        api.fill(first.order_id)
        await feed.async_query_order(SYMBOL, first.order_id)
        tasks.start_soon(buy, feed)
        await anyio.sleep(0.1)
        canceled = await feed.async_cancel_order(SYMBOL, first.order_id)
        assert (first.order_id, OrderStatus.COMPLETED) == (canceled.order_id, canceled.order_status)
        assert [OrderStatus.COMPLETED, OrderStatus.ACCEPTED] == [order.order_status for order in api.book.values()]
        tasks.cancel_scope.cancel()


async def test_an_id_may_be_used_again_for_ever() -> None:
    """What is remembered of the earlier orders of an id is bounded."""
    api = FakeVenueApi()
    async with open_feed(api) as feed:
        for _ in range(300):
            order = await buy(feed)
            await feed.async_cancel_order(SYMBOL, order.order_id)
    entry = feed.tracker.get("a1")
    assert entry is not None
    assert 100 >= len(entry.earlier_ids)
    assert order.order_id not in entry.earlier_ids
    assert 101 >= len(feed.tracker._by_order_id)


async def test_the_settle_time_begins_anew_in_another_loop() -> None:
    """Each loop counts its time from another moment, so what one says means nothing to the next."""
    api = FakeVenueApi(script=["late:1.5"])
    async with open_feed(api) as feed:
        with pytest.raises(OrderUnknownError):
            await buy(feed, resolve=False)
    for other in (-1e6, 1e6):
        (entry,) = feed.unknown_orders
        entry.unknown_since = entry.sent_at = anyio.current_time() + other
        async with open_feed(api, tracker=feed.tracker) as successor:
            await successor.resolve_unknown(0.5)
    async with open_feed(api, tracker=feed.tracker) as successor:
        assert () == await successor.resolve_unknown(5.0)
    assert ["a1"] == [entry.client_order_id for entry in feed.tracker.open]


async def test_done_orders_are_forgotten_and_open_ones_never() -> None:
    """The tracker's memory is bounded by what can still be filled."""
    api = FakeVenueApi()
    async with open_feed(api) as feed:
        feed.tracker.max_done = 3
        kept = await buy(feed, "kept")
        for number in range(10):
            order = await buy(feed, f"n{number}")
            await feed.async_cancel_order(SYMBOL, order.order_id)
        assert 4 == len(feed.tracker)
        assert ["kept"] == [entry.client_order_id for entry in feed.tracker.open]
        assert feed.tracker.get("n0") is None
        assert kept.order_id in api.book
