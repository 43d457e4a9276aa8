"""What the consumer is told in band: markers where items were dropped, and markers that the producer puts in."""

from __future__ import annotations

import math
import operator
from contextlib import asynccontextmanager, suppress
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, settings, strategies as st

from bt_api_base.containers import Gap, GapReason, Tick
from bt_api_base.event_stream import EventStream, Overflow
from bt_api_base.event_stream.losses import Losses
from bt_api_base.exceptions import SlowConsumerError, WebSocketError
from bt_api_base.testing.cancellation import sweep_cancellation

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

pytestmark = pytest.mark.anyio

DROPPING = [Overflow.DROP_OLDEST, Overflow.DROP_NEWEST, Overflow.CONFLATE]

LOOPS = pytest.mark.parametrize(
    "loop",
    [
        pytest.param({"backend": "asyncio"}, id="asyncio"),
        pytest.param({"backend": "asyncio", "backend_options": {"use_uvloop": True}}, id="asyncio+uvloop"),
        pytest.param({"backend": "trio"}, id="trio"),
    ],
)


class Missing(NamedTuple):
    """The marker of these tests: it has all that the stream says about what it dropped."""

    last: Any
    next: Any
    count: int


def marked(size: int, overflow: Overflow = Overflow.DROP_OLDEST, **options: Any) -> EventStream[Any]:
    """A stream that tells its consumer what it dropped."""
    return EventStream(size, overflow=overflow, on_drop=Missing, **options)


def drain(stream: EventStream[Any], count: float = math.inf) -> list[Any]:
    """Take all that there is, or so many."""
    taken: list[Any] = []
    with suppress(anyio.WouldBlock, anyio.EndOfStream):
        while len(taken) < count:
            taken.append(stream.receive_nowait())
    return taken


async def settle() -> None:
    """Let the other tasks get to where they wait."""
    for _ in range(8):
        await anyio.lowlevel.checkpoint()


def expand(taken: list[Any]) -> list[int]:
    """Return the numbers that were offered, if those at a marker are the ones that are missing there."""
    numbers: list[int] = []
    for item in taken:
        numbers.extend(range(len(numbers), len(numbers) + item.count) if isinstance(item, Missing) else [item])
    return numbers


class TestWhereItemsWereDropped:
    """The marker comes exactly where something is missing, and says how much."""

    @pytest.mark.parametrize(
        ("overflow", "expected"),
        [
            (Overflow.DROP_OLDEST, [0, Missing(0, 3, 2), 3, 4, 5]),
            (Overflow.DROP_NEWEST, [0, 1, 2, 3, Missing(3, None, 2)]),
            (Overflow.CONFLATE, [0, Missing(0, 3, 2), 3, 4, 5]),
        ],
    )
    def test_stands_where_items_are_missing(self, overflow: Overflow, expected: list[Any]) -> None:
        """At the head of the items where the oldest went, behind them where the newest did."""
        stream = marked(3, overflow, key=lambda item: item)
        stream.offer(0)
        taken = [stream.receive_nowait()]
        stream.offer_many(range(1, 6))
        assert expected == [*taken, *drain(stream)]

    def test_stands_before_the_next_item_that_found_room(self) -> None:
        """Where the newest are dropped, several places may wait at once, each with its own count."""
        stream = marked(2, Overflow.DROP_NEWEST)
        stream.offer_many(range(3))
        assert 0 == stream.receive_nowait()
        stream.offer_many(range(3, 6))
        assert 1 == stream.receive_nowait()
        assert Missing(1, 3, 1) == stream.receive_nowait()
        stream.offer_many(range(6, 8))
        assert [3, Missing(3, 6, 2), 6, Missing(6, None, 1)] == drain(stream)

    async def test_there_is_one_for_all_that_vanished_since(self) -> None:
        """A consumer that was away for long gets one marker, not one per item."""
        stream = marked(2)
        stream.offer_many(range(1_000))
        assert [Missing(None, 998, 998), 998, 999] == await stream.receive_batch()
        stream.offer_many(range(1_000, 1_005))
        assert Missing(999, 1_003, 3) == await stream.receive()

    async def test_more_may_vanish_after_the_marker_was_taken(self) -> None:
        """The next item may be gone before the consumer is back: then there is another marker, after the first."""
        stream = marked(2)
        stream.offer_many(range(3))
        assert Missing(None, 1, 1) == await stream.receive()
        stream.offer(3)
        assert [Missing(Missing(None, 1, 1), 2, 1), 2, 3] == await stream.receive_batch()

    async def test_is_the_same_in_every_way_of_consuming(self) -> None:
        """One by one, in batches of any length, in a loop or without waiting."""
        expected = [0, 1, Missing(1, 3, 1), 3, Missing(3, None, 2)]

        def filled() -> EventStream[Any]:
            stream = marked(2, Overflow.DROP_NEWEST)
            stream.offer_many(range(3))
            taken.clear()
            taken.append(stream.receive_nowait())
            stream.offer_many(range(3, 6))
            stream.end()
            return stream

        taken: list[Any] = []
        stream = filled()
        assert expected == [*taken, *drain(stream)]
        stream = filled()
        assert expected == [*taken, *[item async for item in stream]]
        stream = filled()
        assert expected == [*taken, *[await stream.receive() for _ in range(4)]]
        for length in (None, 1, 2, 3, 4, 5):
            stream = filled()
            batches = [batch async for batch in stream.batches(length)]
            assert expected == [*taken, *[item for batch in batches for item in batch]]
            assert [math.ceil(4 / (length or 4)), True] == [len(batches), all(batches)]

    async def test_comes_before_the_end_and_before_the_error(self) -> None:
        """What is over still tells what is missing at its end."""
        for finish, outcome in (
            (lambda stream: stream.end(), anyio.EndOfStream),
            (lambda stream: stream.fail(WebSocketError("V", "gone")), WebSocketError),
        ):
            stream = marked(1, Overflow.DROP_NEWEST)
            stream.offer_many([0, 1])
            finish(stream)
            assert [0, Missing(0, None, 1)] == [await stream.receive(), await stream.receive()]
            with pytest.raises(outcome):
                await stream.receive()

    async def test_a_lossless_stream_has_no_markers(self) -> None:
        """Its error says that something is missing."""
        stream = marked(1, Overflow.BLOCK, hard_limit=2)
        stream.offer_many(range(4))
        assert [0, 1] == await stream.receive_batch()
        with pytest.raises(SlowConsumerError):
            await stream.receive()

    @pytest.mark.parametrize("overflow", DROPPING)
    def test_nobody_is_told_who_did_not_ask(self, overflow: Overflow) -> None:
        """Without a factory there is nothing but the counters."""
        stream: EventStream[int] = EventStream(2, overflow=overflow, key=lambda item: item)
        stream.offer_many(range(4))
        assert 2 == len(drain(stream))
        assert (2, 0) == (stream.dropped, stream.statistics().markers)

    @pytest.mark.parametrize("overflow", DROPPING)
    def test_is_counted_apart(self, overflow: Overflow) -> None:
        """A marker that was never offered is neither delivered nor pending, and it takes nobody's place."""
        stream = marked(2, overflow, key=lambda item: item)
        stream.offer_many(range(5))
        before = stream.statistics()
        assert (5, 0, 2, 3, 0) == (before.offered, before.delivered, before.pending, before.dropped, before.markers)
        assert 3 == len(drain(stream))
        after = stream.statistics()
        assert (5, 2, 0, 3, 1) == (after.offered, after.delivered, after.pending, after.dropped, after.markers)

    def test_conflating_is_no_loss(self) -> None:
        """An item that a later one of its key replaced is not missing: that is what was asked for."""
        stream = marked(2, Overflow.CONFLATE, key=lambda item: item[0])
        stream.offer_many(["a1", "b1", "a2", "b2"])
        assert ["a2", "b2"] == drain(stream)

    def test_the_consumer_gets_the_error_of_its_factory(self) -> None:
        """The producer never does; nothing is forgotten, so that it comes again."""
        stream: EventStream[Any] = EventStream(1, overflow=Overflow.DROP_OLDEST, on_drop=lambda *_: 1 // 0)
        stream.offer_many(range(3))
        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                stream.receive_nowait()
        stream.on_drop = Missing
        assert [Missing(None, 2, 2), 2] == drain(stream)

    def test_closing_forgets_markers_as_well(self) -> None:
        """Who wants no more items wants to know nothing of those that are missing."""
        stream = marked(1)
        stream.offer_many(range(3))
        stream.close()
        stream.offer(3)
        with pytest.raises(anyio.ClosedResourceError):
            stream.receive_nowait()
        assert (3, 2, 1, 0) == (
            stream.statistics().offered,
            stream.dropped,
            stream.statistics().discarded,
            stream.statistics().markers,
        )

    @pytest.mark.parametrize("overflow", DROPPING)
    def test_what_comes_too_late_is_not_missing(self, overflow: Overflow) -> None:
        """A stream that is over ignores what it is offered, in whatever number."""
        stream = marked(2, overflow, key=lambda item: item)
        stream.offer(0)
        stream.end()
        stream.offer_many(range(1, 6))
        stream.offer(6)
        stream.offer_marker(7)
        assert (1, 0) == (stream.statistics().offered, stream.dropped)
        assert [0] == drain(stream)

    def test_places_move_up_with_what_is_behind_a_loss(self) -> None:
        """Items that vanish before another place bring it nearer, at most as near as they were themselves."""
        losses = Losses()
        for place, count in ((3, 1), (3, 2), (8, 1), (9, 1)):
            losses.add(place, count)
        assert [(3, 3), (8, 1), (9, 1)] == losses.places
        losses.add(7, 2)
        assert [(3, 3), (7, 4)] == losses.places
        losses.add(0, 2)
        assert [(0, 2), (1, 3), (5, 4)] == losses.places

    def test_makes_a_gap_of_what_it_is_told(self) -> None:
        """What is missing is between two events, and the gap says when that was."""

        def gap(last: Tick | Gap | None, following: Tick | Gap | None, missing: int) -> Tick | Gap:
            since, until = (0 if event is None else event.local_time for event in (last, following))
            return Gap("V", "S", 0, until, since, until, GapReason.OVERFLOW, missing=missing)

        stream: EventStream[Tick | Gap] = EventStream(2, overflow=Overflow.DROP_OLDEST, on_drop=gap)
        ticks = [Tick("V", "S", time, time) for time in range(10)]
        stream.offer(ticks[0])
        taken = [stream.receive_nowait()]
        stream.offer_many(ticks[1:])
        assert [
            ticks[0],
            Gap("V", "S", 0, 8, 0, 8, GapReason.OVERFLOW, missing=7),
            *ticks[8:],
        ] == [*taken, *drain(stream)]


class TestMarkersOfTheProducer:
    """Items that say something about their place keep it."""

    @pytest.mark.parametrize("overflow", Overflow)
    def test_is_an_item_like_any_other(self, overflow: Overflow) -> None:
        """With room for all, it is where it was put, is counted, and ignored by a stream that is over."""
        stream = marked(5, overflow, key=lambda item: item[0])
        stream.offer("a1")
        stream.offer_marker("marker")
        stream.offer("b1")
        assert ["a1", "marker", "b1"] == drain(stream)
        assert (3, 3, 0) == (stream.statistics().offered, stream.delivered, stream.statistics().markers)
        stream.end()
        stream.offer_marker("late")
        assert 3 == stream.statistics().offered

    def test_nothing_later_is_conflated_into_a_place_before_it(self) -> None:
        """What waits when a marker comes is replaced no more; later items of the same key go behind."""
        stream = marked(10, Overflow.CONFLATE, key=lambda item: item[0])
        stream.offer_many(["a1", "b1", "a2"])
        stream.offer_marker("first")
        stream.offer_many(["a3", "a4"])
        stream.offer_marker("second")
        stream.offer_many(["b2", "a5", "b3"])
        assert ["a2", "b1", "first", "a4", "second", "b3", "a5"] == drain(stream)
        assert 3 == stream.conflated

    def test_the_newest_is_never_dropped_where_items_are_conflated(self) -> None:
        """It has a place besides those of the items, and what is dropped is missing behind it."""
        stream = marked(2, Overflow.CONFLATE, key=lambda item: item)
        stream.offer_many("ab")
        stream.offer_marker("marker")
        assert 3 == stream.pending
        stream.offer_many("cdef")
        assert [Missing(None, "marker", 2), "marker", Missing("marker", "e", 2), "e", "f"] == drain(stream)
        stream.offer_many("gh")
        assert ["g", "h"] == drain(stream)

    def test_an_older_one_may_be_dropped_and_is_covered(self) -> None:
        """Of many markers the last one is kept; two places at which something is missing become one."""
        stream = marked(1, Overflow.CONFLATE, key=lambda item: item)
        stream.offer_marker("first")
        stream.offer_many("ab")
        assert 2 == stream.pending
        stream.offer_marker("second")
        assert [Missing(None, "b", 2), "b", "second"] == drain(stream)

    def test_markers_alone_are_bounded_too(self) -> None:
        """A producer that does nothing but put in markers fills no memory."""
        stream = marked(3, Overflow.CONFLATE)
        for number in range(100):
            stream.offer_marker(number)
        assert 4 == stream.pending
        assert [Missing(None, 96, 96), 96, 97, 98, 99] == drain(stream)

    @pytest.mark.parametrize("overflow", [Overflow.DROP_OLDEST, Overflow.DROP_NEWEST])
    def test_one_that_is_dropped_is_covered(self, overflow: Overflow) -> None:
        """A full stream may drop a marker, but never without one in its place."""
        stream = marked(2, overflow)
        if overflow is Overflow.DROP_OLDEST:
            stream.offer_marker(0)
            stream.offer_many(range(1, 4))
        else:
            stream.offer_many(range(2))
            stream.offer_marker(2)
            stream.offer(3)
        taken = drain(stream)
        assert [0, 1, 2, 3] == expand(taken)
        assert 1 == sum(isinstance(item, Missing) for item in taken)

    async def test_wakes_a_consumer_that_waits(self) -> None:
        """It is news, whatever the policy."""
        for overflow in Overflow:
            stream = marked(2, overflow)
            taken: list[Any] = []

            async def consume(stream: EventStream[Any] = stream, taken: list[Any] = taken) -> None:
                taken.append(await stream.receive())

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(consume)
                await settle()
                stream.offer_marker("marker")
            assert ["marker"] == taken


class Model:
    """What the consumer gets, said as simply as possible: what is dropped leaves a marker in its place."""

    def __init__(self, overflow: Overflow, size: int) -> None:
        self.overflow, self.size = overflow, size
        self.entries: list[list[Any]] = []  # [kind, content] with the kinds "item", "marker" and "missing"
        self.dropped = self.conflated = 0

    def waiting(self) -> list[list[Any]]:
        """All that takes a place."""
        return [entry for entry in self.entries if entry[0] != "missing"]

    def newest(self) -> list[Any] | None:
        """The newest marker."""
        return next((entry for entry in reversed(self.entries) if entry[0] == "marker"), None)

    def offer(self, item: tuple[int, int], kind: str = "item") -> None:
        """Apply the policy."""
        if self.overflow is Overflow.CONFLATE:
            if kind == "item":
                for entry in reversed(self.entries):
                    if entry[0] == "marker":
                        break
                    if entry[0] == "item" and entry[1][0] == item[0]:
                        entry[1] = item
                        self.conflated += 1
                        return
            self.entries.append([kind, item])
            protected = self.newest()
            others = [entry for entry in self.waiting() if entry is not protected]
            if len(others) > self.size:
                self.drop(others[0])
        elif len(self.waiting()) < self.size:
            self.entries.append([kind, item])
        else:
            entry = [kind, item]
            self.entries.append(entry)
            self.drop(entry if self.overflow is Overflow.DROP_NEWEST else self.waiting()[0])

    def drop(self, entry: list[Any]) -> None:
        """Leave a marker in its place, one for several that follow each other."""
        self.dropped += 1
        entry[:] = ["missing", 1]
        merged: list[list[Any]] = []
        for one in self.entries:
            if merged and merged[-1][0] == one[0] == "missing":
                merged[-1][1] += one[1]
            else:
                merged.append(one)
        self.entries = merged

    def take(self, count: float) -> list[Any]:
        """Take the first entries: items, markers, and counts of missing items."""
        taken = self.entries[: int(min(count, len(self.entries)))]
        del self.entries[: len(taken)]
        return [content for _, content in taken]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["offer", "offer", "marker"]), st.integers(0, 3)),
        st.tuples(st.just("offer_many"), st.lists(st.integers(0, 3), max_size=8)),
        st.tuples(st.sampled_from(["receive", "receive_nowait"]), st.none()),
        st.tuples(st.just("batch"), st.none() | st.integers(1, 5)),
    ),
    max_size=60,
)


class TestModel:
    """Any sequence of offers, markers and takes gives the consumer what the simplest possible stream gives."""

    @LOOPS
    @settings(max_examples=150, deadline=None)
    @given(steps=STEPS, overflow=st.sampled_from(DROPPING), size=st.integers(1, 5))
    def test_gives_what_the_model_gives(
        self, loop: dict[str, Any], steps: list[tuple[str, Any]], overflow: Overflow, size: int
    ) -> None:
        """Each item, each marker, its place and its count agree, and so does every counter."""
        anyio.run(self._compare, steps, overflow, size, **loop)

    async def _compare(self, steps: list[tuple[str, Any]], overflow: Overflow, size: int) -> None:
        stream = marked(size, overflow, key=lambda item: item[0])
        model = Model(overflow, size)
        numbers = iter(range(10_000))
        taken: list[Any] = []
        offered = 0
        for step, argument in [*steps, ("batch", None)]:
            if step in ("offer", "offer_many", "marker"):
                items = [(key, next(numbers)) for key in (argument if step == "offer_many" else [argument])]
                offered += len(items)
                for item in items:
                    model.offer(item, "marker" if step == "marker" else "item")
                if step == "offer_many":
                    stream.offer_many(items)
                else:
                    (stream.offer_marker if step == "marker" else stream.offer)(items[0])
            elif not model.entries:
                with pytest.raises(anyio.WouldBlock):
                    stream.receive_nowait()
            else:
                if step == "batch":
                    batch = await stream.receive_batch(argument)
                else:
                    batch = [await stream.receive() if step == "receive" else stream.receive_nowait()]
                assert model.take((argument or math.inf) if step == "batch" else 1) == [
                    item.count if isinstance(item, Missing) else item for item in batch
                ]
                taken.extend(batch)
            statistics = stream.statistics()
            markers = sum(isinstance(item, Missing) for item in taken)
            lost = statistics.dropped + statistics.conflated
            assert len(model.waiting()) == stream.pending
            assert (model.dropped, model.conflated) == (stream.dropped, stream.conflated)
            assert (len(taken) - markers, markers) == (stream.delivered, statistics.markers)
            assert offered == statistics.offered == statistics.delivered + statistics.pending + lost
        check_neighbours(taken, lambda one, other: one[0] == other[0])  # one of its key may have taken its place

    @settings(max_examples=300, deadline=None)
    @given(
        steps=st.lists(st.sampled_from(["offer", "offer", "marker", "take", "drain"]) | st.integers(1, 9), max_size=80),
        overflow=st.sampled_from([Overflow.DROP_OLDEST, Overflow.DROP_NEWEST]),
        size=st.integers(1, 6),
    )
    def test_nothing_is_lost_in_silence(self, steps: list[str | int], overflow: Overflow, size: int) -> None:
        """With each marker's count put in its place, what was taken is what was offered, from first to last."""
        stream = marked(size, overflow)
        taken: list[Any] = []
        offered = 0
        for step in steps:
            if step == "take":
                taken.extend(drain(stream, 1))
            elif step == "drain":
                drained = drain(stream)
                assert not any(both_missing(pair) for pair in pairwise(drained))
                taken.extend(drained)
            else:
                for _ in range(step if isinstance(step, int) else 1):
                    (stream.offer_marker if step == "marker" else stream.offer)(offered)
                    offered += 1
        taken.extend(drain(stream))
        assert list(range(offered)) == expand(taken)
        check_neighbours(taken)
        # Where the oldest go, more may vanish after a marker was taken; where the newest do, what waits stays.
        assert overflow is Overflow.DROP_OLDEST or not any(both_missing(pair) for pair in pairwise(taken))


def both_missing(pair: tuple[Any, Any]) -> bool:
    """Whether two markers follow each other."""
    return all(isinstance(item, Missing) for item in pair)


def check_neighbours(taken: list[Any], alike: Callable[[Any, Any], bool] = operator.eq) -> None:
    """Each marker counts at least one missing item, and knows the ones around."""
    for before, item, after in zip([None, *taken], taken, [*taken[1:], None], strict=False):
        if isinstance(item, Missing):
            assert item.count >= 1
            assert before == item.last
            # None waited, or the one that did was dropped before the consumer came back for it.
            assert item.next is None or isinstance(after, Missing) or alike(item.next, after)


async def _iterate(stream: EventStream[Any], taken: list[Any]) -> None:
    async for item in stream:
        taken.append(item)  # noqa: PERF401 - at once, so that the items before a cancellation are there


async def _batch(stream: EventStream[Any], taken: list[Any]) -> None:
    async for batch in stream.batches(7):
        taken.extend(batch)


async def _receive(stream: EventStream[Any], taken: list[Any]) -> None:
    while True:
        try:
            taken.append(await stream.receive())
        except anyio.EndOfStream:
            return


class TestWaiting:
    """Consumers that wait, are interrupted, and come back."""

    @pytest.mark.parametrize("consume", [_iterate, _batch, _receive])
    @pytest.mark.parametrize("overflow", [Overflow.DROP_OLDEST, Overflow.DROP_NEWEST])
    async def test_a_cancelled_consumer_misses_no_marker(
        self, consume: Callable[[EventStream[Any], list[Any]], Awaitable[None]], overflow: Overflow
    ) -> None:
        """Wherever the consumer is cancelled, what it has and what it did not take yet add up."""
        bursts = [0, 3, 9, 1, 600, 2, 8]

        @asynccontextmanager
        async def scenario() -> AsyncGenerator[Callable[[], Awaitable[object]]]:
            stream = marked(4, overflow)
            taken: list[Any] = []

            async def produce() -> None:
                first = 0
                with anyio.CancelScope(shield=True):
                    for burst in bursts:
                        stream.offer_many(range(first, first + burst))
                        first += burst
                        await anyio.lowlevel.checkpoint()
                        await anyio.lowlevel.checkpoint()
                stream.end()

            async def operation() -> None:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(produce)
                    await consume(stream, taken)

            yield operation
            if not stream.is_over:  # cancelled before it started
                await produce()
            taken.extend(drain(stream))
            assert list(range(sum(bursts))) == expand(taken)
            assert any(isinstance(item, Missing) for item in taken)

        sweep = await sweep_cancellation(scenario)
        assert sweep.suspensions >= 4
        assert sweep.cancelled

    async def test_what_vanishes_while_the_consumer_is_woken_is_told(self) -> None:
        """Between the wake-up and the consumer's turn the producer may go on, and the marker counts that too."""
        stream = marked(2)
        taken: list[Any] = []

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_iterate, stream, taken)
            await settle()
            stream.offer_many(range(2))
            stream.offer_many(range(2, 7))
            await settle()
            assert [Missing(None, 5, 5), 5, 6] == taken
            stream.end()

    @pytest.mark.parametrize("overflow", DROPPING)
    async def test_a_burst_that_is_too_long_wakes_the_consumer(self, overflow: Overflow) -> None:
        """What finds no room in an empty stream is told at once, before or after what did."""
        stream = marked(2, overflow, key=lambda item: item)
        taken: list[Any] = []

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_batch, stream, taken)
            await settle()
            stream.offer_many(range(5))
            await settle()
            missing = Missing(1, None, 3) if overflow is Overflow.DROP_NEWEST else Missing(None, 3, 3)
            assert taken == ([0, 1, missing] if overflow is Overflow.DROP_NEWEST else [missing, 3, 4])
            stream.end()

    async def test_after_a_marker_the_consumer_waits_again(self) -> None:
        """A marker at the end is taken once, and then there is nothing until something comes."""
        stream = marked(1, Overflow.DROP_NEWEST)
        stream.offer_many(range(3))
        assert [0, Missing(0, None, 2)] == await stream.receive_batch()
        with anyio.move_on_after(0) as scope:
            await stream.receive()
        assert scope.cancelled_caught
        stream.offer(3)
        assert 3 == await stream.receive()

    async def test_a_cancelled_consumer_does_not_take_the_last_marker(self) -> None:
        """It is like an item: who is cancelled takes none, and it is there for the next."""
        stream = marked(1, Overflow.DROP_NEWEST)
        stream.offer_many(range(2))
        assert 0 == await stream.receive()
        with anyio.CancelScope() as scope:
            scope.cancel()
            await stream.receive()
        assert scope.cancelled_caught
        assert Missing(0, None, 1) == await stream.receive()

    async def test_other_tasks_run_while_only_markers_come(self) -> None:
        """A consumer that does not keep up is still one that lets others run."""
        stream = marked(1)
        with anyio.CancelScope() as scope:
            scope.cancel()
            for number in range(1_000):
                stream.offer_many([number, number])
                await stream.receive()
        assert scope.cancelled_caught


class TestSampling:
    """A few items are shown to whoever measures."""

    async def test_shows_the_first_of_each_burst(self) -> None:
        """At least one in 256, and far from all of them."""
        samples: list[int] = []
        stream: EventStream[int] = EventStream(10_000, sample=samples.append)
        stream.offer_many(range(1_000))
        for _ in range(1_000):
            await stream.receive()
        assert [0, 256, 512, 768] == samples

    async def test_shows_the_first_after_each_wait(self) -> None:
        """However few items a wake-up brings, the first one of them is shown, in batches as well."""
        samples: list[int] = []
        stream: EventStream[int] = EventStream(10, sample=samples.append)
        taken: list[int] = []
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_batch, stream, taken)
            for first in (0, 3, 6):
                await settle()
                stream.offer_many(range(first, first + 3))
            await settle()
            stream.end()
        assert list(range(9)) == taken
        assert [0, 3, 6] == samples

    async def test_shows_no_marker_that_the_stream_made(self) -> None:
        """What was never under way has no lag."""
        samples: list[Any] = []
        stream = marked(1, Overflow.DROP_NEWEST, sample=samples.append)
        stream.offer_many(range(2))
        assert [0, Missing(0, None, 1)] == [await stream.receive(), await stream.receive()]
        assert [0] == samples
