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
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable
from contextlib import suppress
from typing import TYPE_CHECKING, Generic, TypeVar
from weakref import finalize

import anyio
import anyio.lowlevel
import attrs
from anyio.abc import ObjectReceiveStream
from typing_extensions import Self, override

from bt_api_base.event_stream.batches import Batches
from bt_api_base.event_stream.fresh_error import fresh_error
from bt_api_base.event_stream.overflow import EventStreamStatistics, Overflow, conflation_key
from bt_api_base.event_stream.turns import Turns
from bt_api_base.exceptions import SlowConsumerError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable
    from types import TracebackType

    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

__all__ = ("EventStream",)

T = TypeVar("T")

_BURST = 256
"""Items handed out before the consumer lets other tasks run. Measured: a checkpoint costs 20 items on asyncio and 60 on
trio, so this adds at most a quarter to the cost of an item, and 256 items take well under a millisecond."""

_MIN_HARD_LIMIT = 1_000


def _positive(_: object, attribute: attrs.Attribute[int], value: int) -> None:
    if value < 1:
        raise ValueError(f"{attribute.name} must be at least 1, not {value}: a stream that holds nothing loses it all")


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
    """

    max_buffer_size: int = attrs.field(validator=_positive)
    overflow: Overflow = attrs.field(default=Overflow.BLOCK, kw_only=True, converter=Overflow)
    hard_limit: int | None = attrs.field(default=None, kw_only=True)
    key: Callable[[T], Hashable] = attrs.field(default=conflation_key, kw_only=True)
    exchange_name: str = attrs.field(default="", kw_only=True)
    name: str = attrs.field(default="", kw_only=True)
    _items: deque[T] = attrs.field(factory=deque[T], init=False)
    _latest: OrderedDict[Hashable, T] = attrs.field(factory=OrderedDict[Hashable, T], init=False)
    _buffer: deque[T] | OrderedDict[Hashable, T] = attrs.field(init=False)
    _append: Callable[[T], None] = attrs.field(init=False)
    _pop: Callable[[], T] = attrs.field(init=False)
    _limit: int = attrs.field(init=False)  # items there may be at all
    _room: int = attrs.field(init=False)  # items that `offer` appends without a second look
    _delivered: int = attrs.field(default=0, init=False)
    _pause_at: int = attrs.field(default=0, init=False)  # count of delivered items at which the consumer must await
    _dropped: int = attrs.field(default=0, init=False)
    _conflated: int = attrs.field(default=0, init=False)
    _discarded: int = attrs.field(default=0, init=False)
    _busy: bool = attrs.field(default=False, init=False)
    _waiting: bool = attrs.field(default=False, init=False)
    _news: tuple[MemoryObjectSendStream[None], MemoryObjectReceiveStream[None]] | None = attrs.field(
        default=None, init=False
    )
    _turns: Turns = attrs.field(factory=Turns, init=False)
    _senders: deque[anyio.Event] = attrs.field(init=False)  # those of the turns: looked at for every item
    _over: bool = attrs.field(default=False, init=False)
    _closed: bool = attrs.field(default=False, init=False)
    _error: Exception | None = attrs.field(default=None, init=False)
    _on_over: list[Callable[[], object]] = attrs.field(factory=list["Callable[[], object]"], init=False)

    def __attrs_post_init__(self) -> None:
        self._senders = self._turns.queue
        self._append = self._items.append
        self._limit = self.max_buffer_size
        if self.overflow is Overflow.BLOCK:
            self._limit = (
                max(10 * self.max_buffer_size, _MIN_HARD_LIMIT) if self.hard_limit is None else self.hard_limit
            )
            if self._limit < self.max_buffer_size:
                msg = f"hard_limit must be at least max_buffer_size ({self.max_buffer_size}), not {self.hard_limit}"
                raise ValueError(msg)
        if self.overflow is Overflow.CONFLATE:
            latest = self._buffer = self._latest
            self._pop = lambda: latest.popitem(last=False)[1]
            self._room = 0  # every item has to be looked at
        else:
            self._buffer = self._items
            self._pop = self._items.popleft
            self._room = self._limit

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
            self._items.extend(items)
            if self._waiting and items:
                self._wake()
        else:
            for item in items:
                self.offer(item)

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
        item = self._pop()
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
        item = self._pop()
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
        buffer = self._buffer
        if max_items is not None and max_items < len(buffer):
            pop = self._pop
            batch = [pop() for _ in range(max_items)]
        else:
            batch = list(self._items or self._latest.values())
            buffer.clear()
        self._delivered += len(batch)
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
        if not self._buffer:
            self._raise_if_over()
            raise anyio.WouldBlock
        self._delivered += 1
        item = self._pop()
        if self._senders:
            self._turns.wake(self._has_room)
        return item

    def close(self) -> None:
        """Want no more items. Those that wait are discarded. Closing again does nothing."""
        if not self._closed:
            self._closed = True
            self._discarded += len(self._buffer)
            self._buffer.clear()
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
            self._dropped += 1
        elif overflow is Overflow.DROP_OLDEST:
            self._items.popleft()
            self._items.append(item)
            self._dropped += 1
        elif overflow is Overflow.CONFLATE:
            self._conflate(item)
        else:
            self._dropped += 1
            self.fail(SlowConsumerError(self.exchange_name, self.name, pending=len(self._buffer), limit=self._limit))

    def _conflate(self, item: T) -> None:
        latest = self._latest
        try:
            key = self.key(item)
            replaces = key in latest
        except Exception as error:  # noqa: BLE001 - the fault is the consumer's, who chose the key: it gets the error
            self._dropped += 1
            self.fail(error)
            return
        if replaces:
            self._conflated += 1
        elif len(latest) >= self.max_buffer_size:
            latest.popitem(last=False)
            self._dropped += 1
        latest[key] = item
        if self._waiting:
            self._wake()

    def _wake(self) -> None:
        self._waiting = False
        if self._news is not None:
            with suppress(anyio.WouldBlock):  # news for a receiver that was cancelled may lie there still
                self._news[0].send_nowait(None)

    async def _wait_item(self) -> None:
        """Let other tasks run, and wait until there is an item and the caller may take a burst of them."""
        if self._busy:
            raise anyio.BusyResourceError("receiving from")
        self._busy = True
        self._pause_at = 0  # sends a second consumer here
        try:
            if self._buffer:
                await anyio.lowlevel.checkpoint()
            while not self._buffer:
                self._raise_if_over()
                await self._wait_news()
        finally:
            self._busy = False
        self._pause_at = self._delivered + _BURST

    async def _wait_news(self) -> None:
        if self._news is None:
            self._news = anyio.create_memory_object_stream[None](1)
            # A stream that nobody closed holds nothing but memory: no reason for the warning of the streams inside.
            # Not in __del__, because a collector of cycles may come to the streams inside first.
            finalize(self, _close_news, *self._news).atexit = False
        self._waiting = True
        try:
            await self._news[1].receive()
        except (anyio.EndOfStream, anyio.ClosedResourceError):
            pass  # the stream is over, and the caller looks why
        finally:
            self._waiting = False

    def _raise_if_over(self) -> None:
        if self._closed:
            raise anyio.ClosedResourceError
        if self._error is not None:
            raise fresh_error(self._error)
        if self._over:
            raise anyio.EndOfStream

    def _has_room(self) -> bool:
        return self._over or self.overflow is not Overflow.BLOCK or len(self._items) < self.max_buffer_size

    def _finish(self) -> None:
        if self._over:
            return
        self._over = True
        self._room = -1  # sends `offer` to `_overflow`, which ignores the item
        if self._news is not None:
            _close_news(*self._news)
        self._turns.wake_all()
        callbacks, self._on_over = self._on_over, []
        for callback in callbacks:
            callback()


def _close_news(send: MemoryObjectSendStream[None], receive: MemoryObjectReceiveStream[None]) -> None:
    send.close()
    receive.close()
