"""One bounded hand-over between a producer that never waits and a consumer that may be slow.

A producer offers items without waiting; one consumer takes them, one by one or all that are there::

    stream: EventStream[Tick] = EventStream(1_000, overflow=Overflow.DROP_OLDEST)
    stream.offer(tick)  # in the producer
    async for tick in stream: ...  # in the consumer
    async for ticks in stream.batches(): ...  # the same, several at a time

Items wait in a batch of the stream's own. Through an anyio memory object stream goes only the news that the batch is no
longer empty, and only when the consumer waits for it, so that the price of an item is an append and a pop, and the
price of a wake-up is paid once for all the items that follow it. It also means that no item is ever in flight: a
consumer that is cancelled while it waits, or just after it was woken, has lost nothing.

Whatever a stream could not keep is counted, and what happens then is chosen with `Overflow`. At any time::

    offered == delivered + pending + dropped + conflated + discarded

Counters are read by people; a consumer is told in band. With `EventStream.on_drop` it gets a marker exactly where items
were dropped, made when it gets there, from the item it took before, the one it takes next, and how many are missing.
Such a marker was never offered and takes no place among the items that wait, so it is in none of those counters; it has
its own, ``markers``. A marker that the producer puts in (`EventStream.offer_marker`) is an item like any other.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Generic, TypeVar

import anyio
import anyio.lowlevel
import attrs
from anyio.abc import ObjectReceiveStream
from typing_extensions import Self, override

from bt_api_base.event_stream.batches import Batches
from bt_api_base.event_stream.conflation import LatestItems
from bt_api_base.event_stream.fifo import Fifo
from bt_api_base.event_stream.fresh_error import fresh_error
from bt_api_base.event_stream.losses import Losses
from bt_api_base.event_stream.news import News
from bt_api_base.event_stream.overflow import EventStreamStatistics, Overflow, conflation_key, effective_limit
from bt_api_base.event_stream.turns import Turns
from bt_api_base.exceptions import SlowConsumerError

if TYPE_CHECKING:
    from collections import OrderedDict, deque
    from collections.abc import AsyncIterator, Callable, Hashable, Iterable, Sequence
    from types import TracebackType

__all__ = ("EventStream",)

T = TypeVar("T")

_BURST = 256
"""Items handed out before the consumer lets other tasks run. Measured: a checkpoint costs 20 items on asyncio and 60 on
trio, so this adds at most a quarter to the cost of an item, and 256 items take well under a millisecond."""


# Without NO_OP, attrs would look at every assignment in Python, which makes a counter as expensive as an item.
@attrs.define(eq=False, on_setattr=attrs.setters.NO_OP)
class EventStream(ObjectReceiveStream[T], Generic[T]):
    """Items on their way to one consumer. See the module's docstring.

    All methods are for the thread of the event loop. The producer's are synchronous and return at once, except `send`
    and `wait_room`; the consumer's are asynchronous, except `receive_nowait` and `close`.

    Args:
        max_buffer_size: Items that may wait, at least 1.
        overflow: What happens to one more.
        hard_limit: Items at which a lossless stream fails; by default ten times ``max_buffer_size``, at least 1,000.
        key: What `Overflow.CONFLATE` tells items apart by.
        exchange_name: Whose items these are, for the error of a slow consumer.
        name: What these items are, for the same.
        on_drop: Makes the marker that the consumer gets where items were dropped, from the last item it took (``None``
            if there was none), the next one it takes (``None`` if none waits) and how many are missing between them.
            It is called by the consumer, who gets its error; without it the consumer is told nothing. A lossless stream
            has no use for it.
        sample: Called with the next item whenever the consumer gets a burst of them: at each wake-up, and every few
            hundred items. For statistics that must not cost anything.
    """

    max_buffer_size: int = attrs.field()
    overflow: Overflow = attrs.field(default=Overflow.BLOCK, kw_only=True, converter=Overflow)
    hard_limit: int | None = attrs.field(default=None, kw_only=True)
    key: Callable[[T], Hashable] = attrs.field(default=conflation_key, kw_only=True)
    exchange_name: str = attrs.field(default="", kw_only=True)
    name: str = attrs.field(default="", kw_only=True)
    on_drop: Callable[[T | None, T | None, int], T] | None = attrs.field(default=None, kw_only=True)
    sample: Callable[[T], object] | None = attrs.field(default=None, kw_only=True)
    _fifo: Fifo[T] = attrs.field(factory=Fifo[T], init=False)
    _latest: LatestItems[T] | None = attrs.field(default=None, init=False)  # for conflation, instead of the other
    _store: Fifo[T] | LatestItems[T] = attrs.field(init=False)  # whichever it is
    _buffer: deque[T] | OrderedDict[Hashable, T] = attrs.field(init=False)  # what is in it
    _append: Callable[[T], None] = attrs.field(init=False)
    _pop: Callable[[], T] = attrs.field(init=False)
    _limit: int = attrs.field(init=False)  # items there may be at all
    _room: int = attrs.field(init=False)  # items that `offer` appends without a second look
    _last: T | None = attrs.field(default=None, init=False)  # the item taken last
    _delivered: int = attrs.field(default=0, init=False)
    _pause_at: int = attrs.field(default=0, init=False)  # count of delivered items at which the consumer must await
    _dropped: int = attrs.field(default=0, init=False)
    _conflated: int = attrs.field(default=0, init=False)
    _discarded: int = attrs.field(default=0, init=False)
    _markers: int = attrs.field(default=0, init=False)
    _losses: Losses = attrs.field(factory=Losses, init=False)
    _lost: list[tuple[int, int]] = attrs.field(init=False)  # their places: looked at by the consumer
    _busy: bool = attrs.field(default=False, init=False)
    _waiting: bool = attrs.field(default=False, init=False)
    _news: News = attrs.field(factory=News, init=False)
    _turns: Turns = attrs.field(factory=Turns, init=False)
    _senders: deque[anyio.Event] = attrs.field(init=False)  # those of the turns: looked at for every item
    _over: bool = attrs.field(default=False, init=False)
    _closed: bool = attrs.field(default=False, init=False)
    _error: Exception | None = attrs.field(default=None, init=False)
    _on_over: list[Callable[[], object]] = attrs.field(factory=list["Callable[[], object]"], init=False)

    def __attrs_post_init__(self) -> None:
        self._senders = self._turns.queue
        self._lost = self._losses.places
        self._append = self._fifo.items.append
        self._limit = effective_limit(self.overflow, self.max_buffer_size, self.hard_limit)
        if self.overflow is Overflow.CONFLATE:
            self._store = self._latest = LatestItems(self.max_buffer_size)
            self._pop = self._latest.pop
            self._room = 0  # every item has to be looked at
        else:
            self._store = self._fifo
            self._pop = self._fifo.items.popleft
            self._room = self._limit
        self._buffer = self._store.items

    def __repr__(self) -> str:
        state = "closed" if self._closed else "over" if self._over else "open"
        return (
            f"<{type(self).__name__} {self.name or hex(id(self))} {state} {self.overflow.value}"
            f" pending={self.pending} dropped={self.dropped}>"
        )

    # -- the producer's side -------------------------------------------------------------------

    def offer(self, item: T) -> None:
        """Hand over an item, or do with it what the overflow policy says. Never waits, never raises.

        A stream that is over ignores it.
        """
        if len(self._buffer) < self._room:
            self._append(item)
            if self._waiting:
                self._wake()
        else:
            self._overflow(item)

    def offer_many(self, items: Iterable[T]) -> None:
        """Hand over several items, in order. The same as `offer` for each, and quicker."""
        if not isinstance(items, (list, tuple)):
            items = list(items)
        if len(self._buffer) + len(items) <= self._room:
            self._fifo.items.extend(items)
            if self._waiting and items:
                self._wake()
        else:
            self._overflow_many(items)

    def offer_marker(self, marker: T) -> None:
        """Hand over an item that says something about its place: what is offered later stays behind it.

        Only in a stream that conflates does that make a difference: what waits is replaced no more, and the newest
        marker is not dropped, however full the stream is. Elsewhere it is the same as `offer`, and if the marker has to
        be dropped, that of `on_drop` covers it.
        """
        if self._latest is None:
            self.offer(marker)
        elif not self._over:
            self._latest.put_marker(marker)
            self._drop_excess(self._latest)
            if self._waiting:
                self._wake()

    async def send(self, item: T) -> None:
        """Hand over an item; if a lossless stream is full, wait for room first. Senders take turns.

        Raises:
            anyio.BrokenResourceError: The consumer closed the stream, or it failed.
            anyio.ClosedResourceError: The stream was ended.

        Cancellation: the item has not been handed over, and the next sender has its turn.
        """
        await self.wait_room()
        self.offer(item)

    async def wait_room(self) -> None:
        """Wait until a lossless stream has room for an item, in turn. Every other stream always has.

        The room is there until the caller awaits something else, so `offer` before that.

        Raises:
            anyio.BrokenResourceError: The consumer closed the stream, or it failed.
            anyio.ClosedResourceError: The stream was ended.

        Cancellation: the next sender has its turn.
        """
        await anyio.lowlevel.checkpoint()
        if self._senders or not self._has_room():
            await self._turns.wait(self._has_room)
        if self._over:
            if self._closed or self._error is not None:
                raise anyio.BrokenResourceError from self._error
            raise anyio.ClosedResourceError

    def end(self) -> None:
        """Let the stream end after the items that wait: the consumer gets no more."""
        self._finish()

    def fail(self, error: Exception) -> None:
        """Let the stream fail after the items that wait: the consumer gets ``error`` then, at every attempt."""
        if not self._over:
            self._error = error
            self._finish()

    def on_close(self, callback: Callable[[], object]) -> None:
        """Have ``callback()`` called once when the stream is closed, ended or failed; at once if it is already."""
        if self._over:
            callback()
        else:
            self._on_over.append(callback)

    # -- the consumer's side -------------------------------------------------------------------

    @override
    async def receive(self) -> T:
        """Take the next item. Lets other tasks run at least every few hundred items.

        Raises:
            anyio.EndOfStream: The stream was ended, and every item taken.
            anyio.ClosedResourceError: The stream was closed.
            anyio.BusyResourceError: Another task is receiving.
            SlowConsumerError: The consumer was too slow for a lossless stream.
            Exception: Whatever the stream failed with.

        Cancellation: no item is lost.
        """
        if self._delivered >= self._pause_at or not self._buffer:
            await self._wait_item()
        self._delivered += 1
        item = self._last = self._pop()
        if self._senders:
            self._turns.wake(self._has_room)
        return item

    @override
    def __aiter__(self) -> Self:
        return self

    @override
    async def __anext__(self) -> T:
        # The same as `receive`, again, because one more coroutine would double the price of an item.
        if self._delivered >= self._pause_at or not self._buffer:
            try:
                await self._wait_item()
            except anyio.EndOfStream:
                raise StopAsyncIteration from None
        self._delivered += 1
        item = self._last = self._pop()
        if self._senders:
            self._turns.wake(self._has_room)
        return item

    async def receive_batch(self, max_items: int | None = None) -> list[T]:
        """Take all items that wait, at most ``max_items``; if none does, wait for the next. Never empty.

        Raises:
            Exception: The same as `receive` raises.

        Cancellation: no item is lost.
        """
        if max_items is not None and max_items < 1:
            raise ValueError(f"max_items must be at least 1, not {max_items}")
        if self._delivered >= self._pause_at or not self._buffer:
            await self._wait_item()
        limit = sys.maxsize if max_items is None else max_items
        batch = self._pop_many(limit)
        while self._lost and len(batch) < limit and self._mark():
            batch += self._pop_many(limit - len(batch))
        if self._senders:
            self._turns.wake(self._has_room)
        return batch

    def batches(self, max_items: int | None = None) -> AsyncIterator[list[T]]:
        """Iterate over lists of the items that wait, each as long as it can be but no longer than ``max_items``.

        Cancellation: no item is lost. Leaving the loop leaves the stream as it is.
        """
        if max_items is not None and max_items < 1:
            raise ValueError(f"max_items must be at least 1, not {max_items}")
        return Batches(self, max_items)

    def receive_nowait(self) -> T:
        """Take the next item if there is one.

        Raises:
            anyio.WouldBlock: There is none yet.
            Exception: The same as `receive` raises, otherwise.
        """
        if self._busy:
            raise anyio.BusyResourceError("receiving from")
        if self._lost:
            self._mark()
        if not self._buffer:
            self._raise_if_over()
            raise anyio.WouldBlock
        self._delivered += 1
        item = self._last = self._pop()
        if self._senders:
            self._turns.wake(self._has_room)
        return item

    def close(self) -> None:
        """Want no more items. Those that wait are discarded. Closing again does nothing."""
        if not self._closed:
            self._closed = True
            self._discarded += len(self._buffer)
            self._buffer.clear()
            self._lost.clear()
            self._last = None
            self._finish()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @override
    async def aclose(self) -> None:
        """Want no more items: the same as `close`.

        Cancellation: does not wait for anything.
        """
        self.close()

    # -- counters ------------------------------------------------------------------------------

    @property
    def pending(self) -> int:
        """Items that wait."""
        return len(self._buffer)

    @property
    def delivered(self) -> int:
        """Items the consumer took."""
        return self._delivered

    @property
    def dropped(self) -> int:
        """Items forgotten because the stream was full."""
        return self._dropped

    @property
    def conflated(self) -> int:
        """Items replaced by a later one of the same key before the consumer took them."""
        return self._conflated

    @property
    def is_full(self) -> bool:
        """Whether `send` would wait: a lossless stream has no room, or others wait for it already."""
        return not self._over and (bool(self._senders) or not self._has_room())

    @property
    def is_over(self) -> bool:
        """Whether the stream was closed, ended or failed, so that offering is of no use."""
        return self._over

    def statistics(self) -> EventStreamStatistics:
        """Return the counters, the limits and the state."""
        lost = self._dropped + self._conflated + self._discarded
        return EventStreamStatistics(
            offered=self._delivered + self.pending + lost,
            delivered=self._delivered,
            pending=self.pending,
            dropped=self._dropped,
            conflated=self._conflated,
            discarded=self._discarded,
            markers=self._markers,
            max_buffer_size=self.max_buffer_size,
            hard_limit=self._limit,
            overflow=self.overflow,
            tasks_waiting_send=len(self._senders),
            is_over=self._over,
        )

    # -- inside --------------------------------------------------------------------------------

    def _overflow(self, item: T) -> None:
        if self._over:
            return
        overflow = self.overflow
        if overflow is Overflow.DROP_NEWEST:
            self._drop(len(self._buffer))
        elif overflow is Overflow.DROP_OLDEST:
            self._pop()
            self._append(item)
            self._drop(0)
        elif self._latest is not None:
            self._conflate(self._latest, item)
        else:
            self._dropped += 1
            self.fail(SlowConsumerError(self.exchange_name, self.name, pending=len(self._buffer), limit=self._limit))

    def _overflow_many(self, items: Sequence[T]) -> None:
        excess = len(self._buffer) + len(items) - self._limit
        if self._over:
            return
        if self.overflow is Overflow.DROP_OLDEST:
            self._fifo.items.extend(items)
            self._fifo.pop_many(excess)
            self._drop(0, excess)
        elif self.overflow is Overflow.DROP_NEWEST:
            self._fifo.items.extend(items[: len(items) - excess])
            self._drop(len(self._buffer), excess)
        else:
            for item in items:
                self.offer(item)
        if self._waiting and self._buffer:
            self._wake()

    def _conflate(self, latest: LatestItems[T], item: T) -> None:
        try:
            key = self.key(item)
            replaces = key in latest.items
        except Exception as error:  # noqa: BLE001 - the fault is the consumer's, who chose the key: it gets the error
            self._dropped += 1
            self.fail(error)
            return
        latest.items[key] = item
        if replaces:
            self._conflated += 1
        else:
            self._drop_excess(latest)
        if self._waiting:
            self._wake()

    def _drop_excess(self, latest: LatestItems[T]) -> None:
        place = latest.drop_excess()
        if place is not None:
            self._drop(place)

    def _drop(self, place: int, count: int = 1) -> None:
        """Count items that were dropped, and stop the consumer before it gets to that place in the buffer."""
        self._dropped += count
        if self.on_drop is not None:
            self._losses.add(self._delivered + place, count)
            self._pause_at = min(self._pause_at, self._delivered + place)

    def _mark(self) -> bool:
        """If items are missing before the next one, put their marker there. The caller takes it at once."""
        place, count = self._lost[0]
        if self.on_drop is None or place > self._delivered:
            return False
        self._store.push(self.on_drop(self._last, self._store.first(), count))
        del self._lost[0]
        self._markers += 1
        self._delivered -= 1  # makes up for taking it
        return True

    def _pop_many(self, count: int) -> list[T]:
        """Take so many items, or all up to the next place at which some are missing. There is at least one."""
        if self._lost:
            count = min(count, self._lost[0][0] - self._delivered)
        batch = self._store.pop_many(count)
        self._delivered += len(batch)
        self._last = batch[-1]
        return batch

    def _wake(self) -> None:
        self._waiting = False
        self._news.tell()

    async def _wait_item(self) -> None:
        """Let other tasks run, and wait until there is an item and the caller may take a burst of them."""
        if self._busy:
            raise anyio.BusyResourceError("receiving from")
        self._busy = True
        self._pause_at = 0  # sends a second consumer here
        try:
            if self._buffer or self._lost:
                await anyio.lowlevel.checkpoint()
            while not (self._buffer or self._lost):
                self._raise_if_over()
                self._waiting = True
                try:
                    await self._news.wait()
                finally:
                    self._waiting = False
        finally:
            self._busy = False
        if self.sample is not None and (first := self._store.first()) is not None:
            self.sample(first)
        if self._lost:
            self._mark()
        self._pause_at = self._delivered + _BURST
        if self._lost:
            self._pause_at = min(self._pause_at, self._lost[0][0])

    def _raise_if_over(self) -> None:
        if self._closed:
            raise anyio.ClosedResourceError
        if self._error is not None:
            raise fresh_error(self._error)
        if self._over:
            raise anyio.EndOfStream

    def _has_room(self) -> bool:
        return self._over or self.overflow is not Overflow.BLOCK or len(self._buffer) < self.max_buffer_size

    def _finish(self) -> None:
        if self._over:
            return
        self._over = True
        self._room = -1  # sends `offer` to `_overflow`, which ignores the item
        self._news.close()
        self._turns.wake_all()
        callbacks, self._on_over = self._on_over, []
        for callback in callbacks:
            callback()
