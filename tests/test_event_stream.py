"""The hand-over between a producer and a slow consumer: policies, counters, waiting, ending, cancellation."""

from __future__ import annotations

import asyncio
import gc
import math
import warnings
from collections import OrderedDict, deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, settings, strategies as st

from bt_api_base.containers import Bar, Tick
from bt_api_base.event_stream import EventStream, Overflow, conflation_key
from bt_api_base.exceptions import SlowConsumerError, WebSocketError
from bt_api_base.testing.cancellation import sweep_cancellation

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable

pytestmark = pytest.mark.anyio


def drain(stream: EventStream[Any]) -> list[Any]:
    """Take all that waits."""
    items = []
    while True:
        try:
            items.append(stream.receive_nowait())
        except (anyio.WouldBlock, anyio.EndOfStream, SlowConsumerError):
            return items


async def settle() -> None:
    """Let the other tasks get to where they wait. (`anyio.wait_all_tasks_blocked` takes 0.1 s on asyncio.)."""
    for _ in range(8):
        await anyio.lowlevel.checkpoint()


def balance(stream: EventStream[Any]) -> int:
    """Return how many of the offered items are accounted for by the other counters."""
    s = stream.statistics()
    return s.delivered + s.pending + s.dropped + s.conflated + s.discarded


class TestPolicies:
    """What a full stream does with one more item."""

    @pytest.mark.parametrize(
        ("overflow", "kept", "dropped", "conflated"),
        [
            (Overflow.BLOCK, ["a1", "b1", "a2", "c1", "a3"], 0, 0),
            (Overflow.DROP_OLDEST, ["a2", "c1", "a3"], 2, 0),
            (Overflow.DROP_NEWEST, ["a1", "b1", "a2"], 2, 0),
            (Overflow.CONFLATE, ["a3", "b1", "c1"], 0, 2),
        ],
    )
    def test_keeps_and_counts(self, overflow: Overflow, kept: list[str], dropped: int, conflated: int) -> None:
        """Of five items for three places, each policy keeps its own and counts the others."""
        stream: EventStream[str] = EventStream(3, overflow=overflow, key=lambda item: item[0])
        stream.offer("a1")
        stream.offer_many(["b1", "a2", "c1"])
        stream.offer("a3")
        assert (len(kept), dropped, conflated) == (stream.pending, stream.dropped, stream.conflated)
        assert kept == drain(stream)
        assert (5, 5 - dropped - conflated) == (stream.statistics().offered, stream.delivered)

    def test_conflation_drops_the_oldest_key_when_there_are_too_many(self) -> None:
        """More keys than places: the key that has waited longest goes, and is counted as dropped."""
        stream: EventStream[str] = EventStream(2, overflow=Overflow.CONFLATE, key=lambda item: item[0])
        stream.offer_many(["a1", "b1", "c1", "b2"])
        assert ["b2", "c1"] == drain(stream)
        assert (1, 1) == (stream.dropped, stream.conflated)

    def test_conflation_tells_markets_apart(self) -> None:
        """Without a key, the latest is kept per type, venue, symbol and a bar's period."""
        other = Tick("OKX___SPOT", "BTC-USDT", 3, 3)
        bars = [
            Bar("BINANCE___SPOT", "BTC-USDT", 1, 1, period, 0, 1, 1.0, 1.0, 1.0, 1.0, 1.0) for period in ("1m", "1h")
        ]
        ticks = [Tick("BINANCE___SPOT", symbol, time, time) for time in (1, 2) for symbol in ("BTC-USDT", "ETH-USDT")]
        stream: EventStream[Tick | Bar] = EventStream(10, overflow=Overflow.CONFLATE)
        stream.offer_many([*ticks, other, *bars])
        assert [*ticks[2:], other, *bars] == drain(stream)

    def test_what_is_no_container_is_told_apart_by_type(self) -> None:
        """Items without venue and symbol still have a key."""
        assert conflation_key(1) == conflation_key(2)
        assert conflation_key(1) != conflation_key("1")

    def test_a_broken_key_fails_the_stream_and_not_the_producer(self) -> None:
        """The consumer chose the key, so the consumer gets its error."""
        stream: EventStream[Any] = EventStream(2, overflow=Overflow.CONFLATE, key=lambda item: item["key"])
        stream.offer({"key": 1})
        stream.offer({})
        stream.offer({"key": 2})
        assert {"key": 1} == stream.receive_nowait()
        with pytest.raises(KeyError):
            stream.receive_nowait()

    def test_a_lossless_stream_fails_at_its_hard_limit(self) -> None:
        """All that fits below the hard limit is delivered, and then the error that says whose fault it was."""
        stream: EventStream[int] = EventStream(2, hard_limit=4, exchange_name="BINANCE___SPOT", name="orders")
        stream.offer_many(range(7))
        assert [0, 1, 2, 3] == [stream.receive_nowait() for _ in range(4)]
        with pytest.raises(SlowConsumerError, match="orders") as caught:
            stream.receive_nowait()
        assert ("BINANCE___SPOT", 4) == (caught.value.exchange_name, caught.value.limit)
        assert stream.is_over

    def test_the_hard_limit_has_a_default(self) -> None:
        """Ten times the buffer, and at least a thousand."""
        assert [1_000, 50_000] == [EventStream[int](size).statistics().hard_limit for size in (5, 5_000)]

    @pytest.mark.parametrize(
        "options", [{"max_buffer_size": 0}, {"max_buffer_size": -1}, {"max_buffer_size": 5, "hard_limit": 4}]
    )
    def test_limits_that_make_no_sense_are_refused(self, options: dict[str, int]) -> None:
        """A stream holds at least one item, and its hard limit is no tighter than the other."""
        with pytest.raises(ValueError, match="must be at least"):
            EventStream[int](**options)

    def test_only_a_lossless_stream_is_ever_full(self) -> None:
        """What would wait for room is known without waiting."""
        for overflow in Overflow:
            stream: EventStream[int] = EventStream(1, overflow=overflow)
            stream.offer(1)
            assert (overflow is Overflow.BLOCK) == stream.is_full


class Model:
    """What a stream is, said as simply as possible."""

    def __init__(self, overflow: Overflow, size: int, hard_limit: int) -> None:
        self.overflow, self.size, self.hard_limit = overflow, size, hard_limit
        self.items: OrderedDict[Any, tuple[int, int]] = OrderedDict()
        self.lost = 0
        self.failed = False

    def offer(self, item: tuple[int, int]) -> None:
        """Apply the policy."""
        if self.failed:
            return
        limit = self.hard_limit if self.overflow is Overflow.BLOCK else self.size
        key = item[0] if self.overflow is Overflow.CONFLATE else item
        if key in self.items:
            self.lost += 1
            self.items[key] = item
        elif len(self.items) < limit:
            self.items[key] = item
        else:
            self.lost += 1
            if self.overflow is Overflow.BLOCK:
                self.failed = True
            elif self.overflow is not Overflow.DROP_NEWEST:
                self.items.popitem(last=False)
                self.items[key] = item

    def take(self, count: float) -> list[tuple[int, int]]:
        """Take the first items."""
        return [self.items.popitem(last=False)[1] for _ in range(int(min(count, len(self.items))))]


LOOPS = pytest.mark.parametrize(
    "loop",
    [
        pytest.param({"backend": "asyncio"}, id="asyncio"),
        pytest.param({"backend": "asyncio", "backend_options": {"use_uvloop": True}}, id="asyncio+uvloop"),
        pytest.param({"backend": "trio"}, id="trio"),
    ],
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("offer"), st.integers(0, 4)),
        st.tuples(st.just("offer_many"), st.lists(st.integers(0, 4), max_size=8)),
        st.tuples(st.just("receive"), st.none()),
        st.tuples(st.just("batch"), st.one_of(st.none(), st.integers(1, 5))),
    ),
    max_size=40,
)


class TestModel:
    """Any sequence of offers and receives gives what the simplest possible stream gives."""

    @LOOPS
    @settings(max_examples=60)
    @given(steps=STEPS, overflow=st.sampled_from(Overflow), size=st.integers(1, 5), slack=st.integers(0, 5))
    def test_delivers_what_the_model_delivers(
        self, loop: dict[str, Any], steps: list[tuple[str, Any]], overflow: Overflow, size: int, slack: int
    ) -> None:
        """Items, their order, the losses and the state agree after every step, and nothing is unaccounted for."""
        anyio.run(self._compare, steps, overflow, size, slack, **loop)

    async def _compare(self, steps: list[tuple[str, Any]], overflow: Overflow, size: int, slack: int) -> None:
        stream: EventStream[tuple[int, int]] = EventStream(
            size, overflow=overflow, hard_limit=size + slack, key=lambda item: item[0]
        )
        model = Model(overflow, size, size + slack)
        numbers = iter(range(10_000))
        offered = 0
        for step, argument in steps:
            if step == "offer":
                item = (argument, next(numbers))
                offered += not model.failed
                stream.offer(item)
                model.offer(item)
            elif step == "offer_many":
                items = [(key, next(numbers)) for key in argument]
                for item in items:
                    offered += not model.failed
                    model.offer(item)
                stream.offer_many(items)
            elif stream.pending and step == "receive":
                assert model.take(1) == [await stream.receive()]
            elif stream.pending:
                assert model.take(math.inf if argument is None else argument) == await stream.receive_batch(argument)
            statistics = stream.statistics()
            assert len(model.items) == stream.pending
            assert model.lost == stream.dropped + stream.conflated
            assert model.failed == stream.is_over
            assert offered == statistics.offered == balance(stream)
        assert model.take(math.inf) == drain(stream)

    @LOOPS
    @settings(max_examples=40)
    @given(
        bursts=st.lists(st.integers(0, 6), max_size=30),
        cancels=st.lists(st.booleans(), max_size=30),
        batched=st.booleans(),
    )
    def test_no_cancellation_loses_or_doubles_an_item(
        self, loop: dict[str, Any], bursts: list[int], cancels: list[bool], batched: bool
    ) -> None:
        """A consumer that is cancelled over and over, whatever the producer does meanwhile, gets every item once."""
        anyio.run(self._cancel_over_and_over, bursts, cancels, batched, **loop)

    async def _cancel_over_and_over(self, bursts: list[int], cancels: list[bool], batched: bool) -> None:
        stream: EventStream[int] = EventStream(1_000)
        received: list[int] = []
        total = 0

        async def consume() -> None:
            while True:
                received.extend(await stream.receive_batch(2) if batched else [await stream.receive()])

        cancelling = iter(cancels)
        async with anyio.create_task_group() as tasks:
            scope = anyio.CancelScope()

            async def consume_in_scope(scope: anyio.CancelScope) -> None:
                with scope:
                    await consume()

            tasks.start_soon(consume_in_scope, scope)
            for burst in bursts:
                stream.offer_many(range(total, total + burst))
                total += burst
                if next(cancelling, False):
                    scope.cancel()
                    scope = anyio.CancelScope()
                    await settle()
                    tasks.start_soon(consume_in_scope, scope)
                else:
                    await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        received.extend(drain(stream))
        assert list(range(total)) == received


class TestConsuming:
    """One consumer, one by one or several at a time."""

    async def test_iterates_until_the_end(self) -> None:
        """The loop gets every item in order and ends when the producer does."""
        stream: EventStream[int] = EventStream(1_000)
        stream.offer_many(range(600))
        stream.end()
        assert list(range(600)) == [item async for item in stream]

    async def test_a_waiting_consumer_is_woken(self) -> None:
        """Items offered while the consumer waits arrive, however they are offered."""
        for overflow in Overflow:
            stream: EventStream[int] = EventStream(10, overflow=overflow, key=lambda item: item)
            received: list[int] = []

            async def consume(stream: EventStream[int] = stream, received: list[int] = received) -> None:
                received.extend([item async for item in stream])

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(consume)
                await settle()
                stream.offer(1)
                await settle()
                stream.offer_many((2, 3))
                await settle()
                stream.offer_many([])
                stream.end()
            assert [1, 2, 3] == received

    async def test_batches_are_all_that_waits(self) -> None:
        """A batch is as long as it can be, and no longer than asked for."""
        stream: EventStream[int] = EventStream(100)
        stream.offer_many(range(10))
        stream.end()
        assert [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]] == [batch async for batch in stream.batches(4)]
        stream = EventStream(100)
        stream.offer_many(range(10))
        stream.end()
        assert [list(range(10))] == [batch async for batch in stream.batches()]

    @pytest.mark.parametrize("overflow", Overflow)
    async def test_batches_under_every_policy(self, overflow: Overflow) -> None:
        """A batch empties the stream, so that the next items find room."""
        stream: EventStream[int] = EventStream(3, overflow=overflow, key=lambda item: item)
        for start in (0, 3, 6):
            stream.offer_many(range(start, start + 3))
            assert list(range(start, start + 3)) == await stream.receive_batch()
        assert (0, 9) == (stream.dropped, stream.delivered)

    async def test_a_batch_has_room_for_an_item(self) -> None:
        """Batches of nothing are refused, before anything is awaited."""
        stream: EventStream[int] = EventStream(1)
        with pytest.raises(ValueError, match="max_items"):
            stream.batches(0)
        with pytest.raises(ValueError, match="max_items"):
            await stream.receive_batch(0)

    async def test_leaving_the_loop_leaves_the_stream(self) -> None:
        """After a ``break`` the next loop goes on where the last one stopped."""
        stream: EventStream[int] = EventStream(10)
        stream.offer_many(range(6))
        async for item in stream:
            assert 0 == item
            break
        async for batch in stream.batches(2):
            assert [1, 2] == batch
            break
        assert 3 == await stream.receive()
        assert [4, 5] == drain(stream)

    async def test_receive_nowait_says_when_it_would_wait(self) -> None:
        """There is nothing yet; later there is."""
        stream: EventStream[int] = EventStream(10)
        with pytest.raises(anyio.WouldBlock):
            stream.receive_nowait()
        stream.offer(1)
        assert 1 == stream.receive_nowait()

    @pytest.mark.parametrize("way", ["receive", "receive_batch", "receive_nowait", "__anext__"])
    async def test_there_is_one_consumer_at_a_time(self, way: str) -> None:
        """While one task waits, no other can take what the first one waits for."""
        stream: EventStream[int] = EventStream(10)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stream.receive)
            await settle()
            for _ in range(2):  # before an item is there, and when it is there but not yet taken
                with pytest.raises(anyio.BusyResourceError):
                    result = getattr(stream, way)()
                    await result
                stream.offer(1)
        assert 1 == stream.delivered

    async def test_others_run_while_there_is_always_an_item(self) -> None:
        """A consumer that never has to wait lets other tasks run every few hundred items all the same."""
        stream: EventStream[int] = EventStream(100_000)
        stream.offer_many(range(10_000))
        turns = 0

        async def count_turns() -> None:
            nonlocal turns
            while True:
                await anyio.lowlevel.checkpoint()
                turns += 1

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(count_turns)
            for _ in range(10_000):
                await stream.receive()
            tasks.cancel_scope.cancel()
        assert turns >= 10_000 // 300

    async def test_a_cancelled_task_gets_no_burst(self) -> None:
        """A consumer that never has to wait is cancelled within a few hundred items."""
        stream: EventStream[int] = EventStream(100_000)
        stream.offer_many(range(10_000))
        with anyio.CancelScope() as scope:
            scope.cancel()
            async for _ in stream:
                pass
        assert scope.cancelled_caught
        assert stream.delivered < 300


class TestEnding:
    """Ended by the producer, failed, or closed by the consumer."""

    async def test_end_comes_after_what_waits(self) -> None:
        """The buffered items first, then the end, at every attempt; what is offered later is ignored."""
        stream: EventStream[int] = EventStream(10)
        stream.offer(1)
        stream.end()
        stream.offer(2)
        assert 1 == await stream.receive()
        for _ in range(2):
            with pytest.raises(anyio.EndOfStream):
                await stream.receive()
            with pytest.raises(anyio.EndOfStream):
                stream.receive_nowait()
        assert [] == [item async for item in stream]
        assert 1 == stream.statistics().offered

    async def test_failure_comes_after_what_waits(self) -> None:
        """The buffered items first, then the error, in every way of consuming and at every attempt."""
        stream: EventStream[int] = EventStream(10)
        stream.offer_many([1, 2])
        stream.fail(WebSocketError("BINANCE___SPOT", "gone"))
        assert [1, 2] == await stream.receive_batch()
        for _ in range(2):
            with pytest.raises(WebSocketError, match="gone"):
                await stream.receive()
            with pytest.raises(WebSocketError, match="gone"):
                stream.receive_nowait()
            with pytest.raises(WebSocketError, match="gone"):
                async for _ in stream:
                    pass
            with pytest.raises(WebSocketError, match="gone"):
                async for _ in stream.batches():
                    pass

    async def test_each_raise_is_its_own(self) -> None:
        """One error for two consumers is two exceptions with one cause and one origin, and neither grows."""
        cause = OSError("reset")
        error = WebSocketError("BINANCE___SPOT", "gone")
        try:
            raise error from cause
        except WebSocketError:
            pass
        raised = []
        for stream in (EventStream[int](1), EventStream[int](1)):
            stream.fail(error)
            for _ in range(3):
                with pytest.raises(WebSocketError) as caught:
                    await stream.receive()
                raised.append(caught.value)
        assert 6 == len(set(map(id, raised)))
        assert {id(cause)} == {id(one.__cause__) for one in raised}
        assert 1 == len({len(list(pytest.ExceptionInfo.from_exception(one).traceback)) for one in raised})

    async def test_an_error_that_cannot_be_copied_is_raised_itself(self) -> None:
        """A constructor may want anything; the error arrives all the same."""

        class Peculiar(Exception):  # noqa: N818
            def __init__(self, *, reason: str) -> None:
                super().__init__(f"because {reason}", reason)

        stream: EventStream[int] = EventStream(1)
        stream.fail(Peculiar(reason="it is so"))
        for _ in range(2):
            with pytest.raises(Peculiar, match="it is so"):
                await stream.receive()

    async def test_the_first_ending_counts(self) -> None:
        """What happened first is what the consumer learns."""
        stream: EventStream[int] = EventStream(1)
        stream.end()
        stream.fail(ValueError("too late"))
        with pytest.raises(anyio.EndOfStream):
            await stream.receive()

    async def test_closing_discards_and_says_so(self) -> None:
        """A closed stream gives nothing, takes nothing, and counts what it threw away."""
        stream: EventStream[int] = EventStream(10)
        async with stream:
            stream.offer_many([1, 2, 3])
            assert 1 == await stream.receive()
        stream.offer(4)
        await stream.aclose()
        for way in (stream.receive, stream.__anext__, stream.receive_batch):
            with pytest.raises(anyio.ClosedResourceError):
                await way()
        with pytest.raises(anyio.ClosedResourceError):
            stream.receive_nowait()
        statistics = stream.statistics()
        assert (3, 1, 0, 2) == (statistics.offered, statistics.delivered, statistics.pending, statistics.discarded)

    def test_closes_at_the_end_of_a_with_block(self) -> None:
        """Like a memory object stream, it can be closed without awaiting."""
        with EventStream[int](1) as stream:
            assert not stream.is_over
        assert stream.is_over

    @pytest.mark.parametrize(
        ("how", "outcome"),
        [
            (lambda stream: stream.end(), anyio.EndOfStream),
            (lambda stream: stream.fail(ValueError("no")), ValueError),
            (lambda stream: stream.close(), anyio.ClosedResourceError),
        ],
        ids=["end", "fail", "close"],
    )
    async def test_whoever_waits_learns_of_it(
        self, how: Callable[[EventStream[int]], None], outcome: type[Exception]
    ) -> None:
        """A consumer that waits is woken and gets what it would have got if it had come later."""
        stream: EventStream[int] = EventStream(1)

        async def consume() -> None:
            with pytest.raises(outcome):
                await stream.receive()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(consume)
            await settle()
            how(stream)

    def test_the_owner_is_told_once(self) -> None:
        """Whoever asked is called when the stream is over, or at once if it is already."""
        told: list[str] = []
        stream: EventStream[int] = EventStream(1)
        stream.on_close(lambda: told.append("first"))
        stream.end()
        stream.close()
        stream.on_close(lambda: told.append("late"))
        assert ["first", "late"] == told

    async def test_a_forgotten_stream_leaves_no_warning(self) -> None:
        """A stream holds nothing but memory, so forgetting one is no leak, not even as part of a cycle."""
        stream: EventStream[int] = EventStream(1)
        with anyio.move_on_after(0):
            await stream.receive()
        assert stream._news.channel is not None
        holder = [stream, stream._news, *stream._news.channel]
        gc.collect()  # puts what the list ends with before what it begins with, in the collector's order
        stream.on_close(holder.clear)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            del stream, holder
            gc.collect()
        assert [] == caught

    def test_shows_its_state_and_no_items(self) -> None:
        """What is printed of a stream says how it is doing."""
        stream: EventStream[str] = EventStream(1, overflow=Overflow.DROP_NEWEST, name="tick.*")
        stream.offer_many(["secret", "secret"])
        assert "<EventStream tick.* open drop_newest pending=1 dropped=1>" == repr(stream)


class TestSending:
    """Publishers that wait for room."""

    async def test_waits_below_the_limit_and_not_above(self) -> None:
        """A sender waits while the stream is full and goes on when an item has been taken."""
        stream: EventStream[int] = EventStream(2)
        sent: list[int] = []

        async def send_all() -> None:
            for item in range(5):
                await stream.send(item)
                sent.append(item)
            stream.end()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send_all)
            await settle()
            assert ([0, 1], 1) == (sent, stream.statistics().tasks_waiting_send)
            assert 0 == stream.receive_nowait()
            await settle()
            assert [0, 1, 2] == sent
            assert [1, 2, 3, 4] == [item async for item in stream]

    @pytest.mark.parametrize("overflow", [Overflow.DROP_OLDEST, Overflow.DROP_NEWEST, Overflow.CONFLATE])
    async def test_never_waits_where_something_may_be_lost(self, overflow: Overflow) -> None:
        """Only a lossless stream holds anybody back."""
        stream: EventStream[int] = EventStream(1, overflow=overflow)
        for item in range(3):
            await stream.send(item)
        assert 2 == stream.dropped + stream.conflated

    async def test_senders_take_turns(self) -> None:
        """Who waits longest is first, and nobody who comes later gets ahead."""
        stream: EventStream[int] = EventStream(1)
        stream.offer(-1)
        received: list[int] = []
        async with anyio.create_task_group() as tasks:
            for item in range(20):
                tasks.start_soon(stream.send, item)
                await settle()
            for _ in range(21):
                received.append(await stream.receive())
                tasks.start_soon(stream.send, 100)
                await settle()
            tasks.cancel_scope.cancel()
        assert list(range(-1, 20)) == received

    async def test_a_cancelled_sender_passes_its_turn_on(self) -> None:
        """Room that was meant for a sender that gave up goes to the next one."""
        stream: EventStream[int] = EventStream(1)
        stream.offer(0)
        scope = anyio.CancelScope()

        async def send_in_scope() -> None:
            with scope:
                await stream.send(1)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send_in_scope)
            await settle()
            tasks.start_soon(stream.send, 2)
            await settle()
            assert 0 == stream.receive_nowait()  # gives the room to the first sender
            scope.cancel()  # which does not want it any more, or has it already: that is the event loop's choice
            received = [await stream.receive()]
            if scope.cancelled_caught:
                assert [2] == received
            else:
                assert [1, 2] == [*received, await stream.receive()]

    async def test_room_that_an_offer_took_is_waited_for_again(self) -> None:
        """A producer that does not wait may be quicker than a sender that was woken."""
        stream: EventStream[int] = EventStream(1)
        stream.offer(0)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stream.send, 2)
            await settle()
            assert 0 == stream.receive_nowait()
            stream.offer(1)
            await settle()
            assert [1, 2] == [await stream.receive(), await stream.receive()]

    @pytest.mark.parametrize(
        ("how", "outcome"),
        [
            (lambda stream: stream.end(), anyio.ClosedResourceError),
            (lambda stream: stream.fail(ValueError("no")), anyio.BrokenResourceError),
            (lambda stream: stream.close(), anyio.BrokenResourceError),
        ],
        ids=["end", "fail", "close"],
    )
    async def test_learns_that_the_stream_is_over(
        self, how: Callable[[EventStream[int]], None], outcome: type[Exception]
    ) -> None:
        """Closed is what this side did, broken what the other one did; those who wait learn it too."""
        stream: EventStream[int] = EventStream(1)
        stream.offer(0)

        async def send() -> None:
            with pytest.raises(outcome):
                await stream.send(1)

        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(send)
            await settle()
            how(stream)
        await send()

    async def test_many_senders_and_a_slow_consumer_lose_nothing(self) -> None:
        """Every item of every sender arrives once, and each sender's in order."""
        stream: EventStream[tuple[int, int]] = EventStream(3)

        async def send_all(sender: int) -> None:
            for number in range(50):
                await stream.send((sender, number))

        async def send_from_all() -> None:
            async with anyio.create_task_group() as tasks:
                for sender in range(5):
                    tasks.start_soon(send_all, sender)
            stream.end()

        received: list[tuple[int, int]] = []
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send_from_all)
            async for item in stream:
                assert stream.pending <= 3
                received.append(item)
                await anyio.lowlevel.checkpoint()
        assert sorted(received) == [(sender, number) for sender in range(5) for number in range(50)]
        for sender in range(5):
            assert list(range(50)) == [number for who, number in received if who == sender]


def consuming(
    consume: Callable[[EventStream[int], list[int]], Awaitable[None]], bursts: Iterable[int]
) -> Callable[[], Any]:
    """Return a scenario in which a consumer is cancelled and nothing may be lost."""

    @asynccontextmanager
    async def scenario() -> AsyncGenerator[Callable[[], Awaitable[object]]]:
        stream: EventStream[int] = EventStream(10_000)
        received: list[int] = []
        total = sum(bursts)

        async def produce() -> None:
            first = 0
            for burst in bursts:
                stream.offer_many(range(first, first + burst))
                first += burst
                await anyio.lowlevel.checkpoint()
                await anyio.lowlevel.checkpoint()
            stream.end()

        async def operation() -> None:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(produce_shielded)
                await consume(stream, received)

        async def produce_shielded() -> None:
            with anyio.CancelScope(shield=True):
                await produce()

        yield operation
        if not stream.is_over:  # cancelled before it started
            await produce()
        received.extend(drain(stream))
        assert list(range(total)) == received

    return scenario


async def _iterate(stream: EventStream[int], received: list[int]) -> None:
    async for item in stream:
        received.append(item)  # noqa: PERF401 - at once, so that the items before a cancellation are there


async def _batch(stream: EventStream[int], received: list[int]) -> None:
    async for batch in stream.batches(7):
        received.extend(batch)


async def _receive(stream: EventStream[int], received: list[int]) -> None:
    while True:
        try:
            received.append(await stream.receive())
        except anyio.EndOfStream:
            return


class TestCancellation:
    """Cancelled at each place where they wait, the coroutines keep their promises."""

    @pytest.mark.parametrize("consume", [_iterate, _batch, _receive])
    async def test_a_cancelled_consumer_loses_nothing(
        self, consume: Callable[[EventStream[int], list[int]], Awaitable[None]]
    ) -> None:
        """Wherever the consumer is cancelled, what it did not get is still there, and nothing comes twice."""
        sweep = await sweep_cancellation(consuming(consume, [0, 1, 3, 600, 2]))
        assert sweep.suspensions >= 4
        assert sweep.cancelled

    async def test_asyncio_cancelling_a_task_that_was_woken_loses_nothing(self, anyio_backend_name: str) -> None:
        """Asyncio's own ``cancel`` arrives even between the wake-up and the item, and the item stays."""
        if anyio_backend_name != "asyncio":
            pytest.skip("only asyncio cancels a task that has been woken")
        stream: EventStream[int] = EventStream(10)
        task = asyncio.get_running_loop().create_task(stream.receive())
        await settle()
        stream.offer(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert 1 == await stream.receive()

    async def test_a_cancelled_sender_has_sent_nothing(self) -> None:
        """Wherever a sender is cancelled, its item is not there, and the others go on."""
        sent: list[int] = []

        @asynccontextmanager
        async def scenario() -> AsyncGenerator[Callable[[], Awaitable[object]]]:
            stream: EventStream[int] = EventStream(1)
            stream.offer(0)
            sent.clear()

            async def consume(stream: EventStream[int]) -> list[int]:
                return [await stream.receive() for _ in range(2)]

            async def operation() -> None:
                await stream.send(1)
                sent.append(1)

            async with anyio.create_task_group() as tasks:

                async def receive_later() -> None:
                    for _ in range(3):
                        await anyio.lowlevel.checkpoint()
                    received.append(await stream.receive())

                received: list[int] = []
                tasks.start_soon(receive_later)
                yield operation
            assert [0] == received
            assert sent == drain(stream)
            with anyio.fail_after(1):
                await stream.send(2)
            assert not stream.statistics().tasks_waiting_send

        sweep = await sweep_cancellation(scenario)
        assert sweep.suspensions >= 2


def test_the_deque_is_the_model_of_drop_oldest() -> None:
    """What the oldest items give way to is what a bounded deque holds."""
    stream: EventStream[int] = EventStream(4, overflow=Overflow.DROP_OLDEST)
    stream.offer_many(range(11))
    assert list(deque(range(11), maxlen=4)) == drain(stream)
