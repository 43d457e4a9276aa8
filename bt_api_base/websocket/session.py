"""One established connection: reading, routing, subscribing, heartbeat and watchdog.

A session lives from one handshake to the end of that connection, and its tasks with it: the reader,
the writer of control frames, the reconciler that makes the venue's subscriptions equal the table's,
the heartbeat and the watchdog. The first of them to fail ends the session with its reason; the
supervisor decides what comes next.
"""

from __future__ import annotations

import time
from itertools import count, islice
from typing import TYPE_CHECKING, Any

import anyio
import attrs

from bt_api_base.event_bus import Outlet
from bt_api_base.exceptions import SubscribeError, WebSocketError
from bt_api_base.websocket.adapter import (
    Ack,
    Channel,
    Control,
    Heartbeat,
    Malformed,
    Notice,
    Refusal,
    StreamAdapter,
    Unrecognized,
)
from bt_api_base.websocket.backoff import Pacer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from anyio.abc import TaskGroup

    from bt_api_base.containers import Event
    from bt_api_base.websocket.channels import ChannelEntry, ChannelTable
    from bt_api_base.websocket.client import WebSocket
    from bt_api_base.websocket.config import WebSocketConfig

__all__ = ("Session", "SessionObserver", "SessionStats")


_NOWHERE = Outlet(len)
"""Where the events before the first one go."""


def _message_pacer(messages_per_second: float) -> Pacer:
    """Return what keeps requests within a venue's limit of messages.

    Venues count pings and pongs too; those are not ours to time, so one message a second is left for them.
    """
    limit = max(1.0, messages_per_second - 1.0)
    # A limit that is no whole number a second, or less than one, is one of a longer window.
    return Pacer(int(limit)) if messages_per_second >= 1 else Pacer(1, 1.0 / messages_per_second)


@attrs.define
class SessionStats:
    """Counters of a connection, kept over all its sessions.

    Attributes:
        batches: Socket reads.
        frames: Application frames: each is data for a channel, or one of the following three.
        control_frames: Acknowledgements, refusals, heartbeats, notices, and well-formed frames of
            a kind the adapter does not translate.
        unrouted_frames: Data for a channel nobody wants, such as what is under way while unsubscribing.
        bad_frames: Frames that could not be decoded.
        unrecognized: Of the control frames, those of an unknown kind.
        events: Events delivered to channels.
    """

    batches: int = 0
    frames: int = 0
    control_frames: int = 0
    unrouted_frames: int = 0
    bad_frames: int = 0
    unrecognized: int = 0
    events: int = 0


@attrs.frozen(kw_only=True)
class SessionObserver:
    """What a session reports to its supervisor, each called at once and never raising.

    Attributes:
        bad_frame: A frame could not be decoded.
        notice: The venue tells something to everybody.
        restored: Every channel of the connection before is settled: how many of how many.
        stale: No application frame for so many seconds.
    """

    bad_frame: Callable[[Exception], None]
    notice: Callable[[Notice], None]
    restored: Callable[[int, int], None]
    stale: Callable[[float], None]


@attrs.define(eq=False)
class _Request:
    """One frame sent, and the channels the venue has yet to answer for."""

    request_id: int
    keys: set[str]
    subscribing: bool
    settled: anyio.Event = attrs.field(factory=anyio.Event)


@attrs.define(eq=False)
class _Asked:
    """A channel this connection has asked the venue for."""

    channel: Channel
    confirmed: bool = False
    leaving: bool = False


@attrs.define(eq=False)
class Session:
    """The tasks of one established connection. See the module's docstring.

    Attributes:
        first_event_at: When the first event came, in the event loop's time; ``None`` before it.
        last_event_at: When the last one came.
        last_frame_time: When the last application frame left the socket, nanoseconds since the epoch (UTC); 0 before.
    """

    ws: WebSocket
    config: WebSocketConfig
    adapter: StreamAdapter
    table: ChannelTable
    stats: SessionStats
    observer: SessionObserver
    first_event_at: float | None = None
    last_event_at: float = 0.0
    last_frame_time: int = 0
    _last_frame_at: float = attrs.field(factory=anyio.current_time)
    _pongs: int = 0
    _asked: dict[str, _Asked] = attrs.field(factory=dict[str, _Asked])
    _requests: dict[int, _Request] = attrs.field(factory=dict[int, _Request])
    _request_ids: count[int] = attrs.field(factory=lambda: count(1))
    _restoring: dict[str, bool] = attrs.field(factory=dict[str, bool])
    _pacer: Pacer = attrs.field(init=False)
    _failure: Exception | None = None
    _tasks: TaskGroup = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._pacer = _message_pacer(self.adapter.limits.messages_per_second)

    async def run(self) -> None:
        """Carry the connection until it ends.

        Raises:
            WebSocketError: The connection was lost, closed by the venue, silent or out of step.

        Cancellation: ends the session's tasks; closing the socket is the owner's.
        """
        self._restoring = {entry.channel.key: False for entry in self.table if entry.was_active}
        try:
            async with anyio.create_task_group() as self._tasks:
                self._start(self.ws.run_writer)
                self._start(self._reconcile)
                self._start(self._beat)
                if self.config.stale_after is not None:
                    self._start(self._watch, self.config.stale_after)
                self._start(self._read)
        finally:
            # Nothing is subscribed on a connection that is gone; whoever waits for that need not wait longer.
            self._asked.clear()
            self.table.notify()
        # The group ends by itself only when a failure has cancelled it.
        raise self._failure or WebSocketError(self.config.exchange_name, "the session ended")

    def fail(self, error: Exception) -> None:
        """End the session with ``error``; the first cause wins."""
        if self._failure is None:
            self._failure = error
        self._tasks.cancel_scope.cancel()

    def _start(self, function: Callable[..., Awaitable[None]], *args: object, **kwargs: object) -> None:
        """Run one of the session's tasks. A failure of the connection ends the session; a bug ends more."""

        async def run() -> None:
            try:
                await function(*args, **kwargs)
            except (WebSocketError, anyio.BrokenResourceError, anyio.ClosedResourceError, OSError) as error:
                self.fail(error)

        self._tasks.start_soon(run, name=function.__name__)

    # -- reading and routing -------------------------------------------------------------------

    async def _read(self) -> None:
        async for batch in self.ws.batches(decode=False):
            self.last_frame_time = time.time_ns()
            events, pongs = self.stats.events, self._pongs
            self.route(batch, self.last_frame_time)
            now = anyio.current_time()
            if self.stats.events > events:
                self.first_event_at = now if self.first_event_at is None else self.first_event_at
                self.last_event_at = now
            if len(batch) > self._pongs - pongs:
                self._last_frame_at = now
        raise WebSocketError(
            self.config.exchange_name,
            "the venue closed the connection",
            close_code=self.ws.close_code,
            close_reason=self.ws.close_reason or "",
        )

    def route(self, batch: Sequence[bytes | str], local_time: int) -> None:
        """Decode a batch of frames and hand their events to whoever wants them. Does not wait."""
        entries = self.table.entries
        stats = self.stats
        # What goes the same way over the bus is handed over at once. Nothing is late for that: no consumer
        # can run before this method returns.
        outlet, collected = _NOWHERE, list[Any]()
        try:
            decoded = self.adapter.decode_batch(batch, local_time)
        except Exception:  # noqa: BLE001 - a fault of an adapter's quicker way is no reason to end a connection
            decoded = StreamAdapter.decode_batch(self.adapter, batch, local_time)
        for key, items in decoded:
            entry = entries.get(key)
            if entry is None:
                if key is None:
                    stats.control_frames += 1
                    self._control(items)
                else:
                    stats.unrouted_frames += 1
                continue
            for deliver in entry.deliver:
                deliver(items)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] - with a key: events
            if outlet is not entry.publisher.outlet:
                stats.events += len(collected)
                outlet.take(collected)
                outlet, collected = entry.publisher.outlet, []
            collected += items
        stats.events += len(collected)
        outlet.take(collected)
        stats.batches += 1
        stats.frames += len(batch)

    def _control(self, messages: Sequence[Event | Control]) -> None:
        for message in messages:
            if isinstance(message, Ack):
                self._acknowledged(message)
            elif isinstance(message, Refusal):
                self._refused(message)
            elif isinstance(message, Heartbeat):
                if message.reply is not None:
                    self._start(self.ws.send, message.reply)
                else:
                    self._pongs += 1
            elif isinstance(message, Notice):
                self.observer.notice(message)
            elif isinstance(message, Unrecognized):
                self.stats.unrecognized += 1
            elif isinstance(message, Malformed):
                self.stats.control_frames -= 1  # it is none
                self.stats.bad_frames += 1
                self.observer.bad_frame(message.error)

    # -- subscribing ---------------------------------------------------------------------------

    async def _reconcile(self) -> None:
        """Make what the venue was asked for equal what the table wants, for as long as the session lives."""
        most = self.adapter.limits.max_channels_per_request
        while True:
            changed = self.table.changed
            wanted = self.table.entries
            surplus = [a.channel for key, a in self._asked.items() if key not in wanted and not a.leaving]
            missing = [entry.channel for entry in self.table if entry.channel.key not in self._asked]
            for entry in self.table:
                self._activate_if_confirmed(entry)
            for subscribing, channels in ((False, surplus), (True, missing)):
                remaining = iter(channels)
                while part := list(islice(remaining, most)):
                    await self._ask(part, subscribing=subscribing)
            self._check_restored()
            if not surplus and not missing:
                await changed.wait()

    async def _ask(self, channels: Sequence[Channel], *, subscribing: bool) -> None:
        """Send one subscribe or unsubscribe frame; a task of its own waits for the answer."""
        await self._pacer.wait()
        # What was wanted when the wait began may have been withdrawn, refused or confirmed since.
        channels = [channel for channel in channels if self._is_due(channel.key, subscribing=subscribing)]
        if not channels:
            return
        request = _Request(next(self._request_ids), {channel.key for channel in channels}, subscribing)
        self._requests[request.request_id] = request
        if subscribing:
            self._asked.update((channel.key, _Asked(channel)) for channel in channels)
            frame = self.adapter.subscribe_frame(request.request_id, channels)
        else:
            for key in request.keys:
                self._asked[key].leaving = True
            frame = self.adapter.unsubscribe_frame(request.request_id, channels)
        self._start(self._await_answer, request)
        await self.ws.send(frame)

    def _is_due(self, key: str, *, subscribing: bool) -> bool:
        """Whether the venue is still to be asked for a channel, or to be told to stop it."""
        asked = self._asked.get(key)
        if subscribing:
            return key in self.table.entries and (asked is None or not (asked.confirmed or asked.leaving))
        return key not in self.table.entries and asked is not None and not asked.leaving

    async def _await_answer(self, request: _Request) -> None:
        with anyio.move_on_after(self.config.subscribe_timeout):
            await request.settled.wait()
            return
        lost = [key for key in request.keys if key in self._restoring]
        if request.subscribing and lost:
            # A first subscription that is not answered is its subscriber's error, and no reason to cut
            # everybody else off. A restored one has nobody waiting, so the connection is the suspect.
            raise WebSocketError(
                self.config.exchange_name,
                f"{len(lost)} restored subscriptions were not acknowledged within "
                f"{self.config.subscribe_timeout:g} s, {lost[0]!r} among them",
            )
        self._settle(request, *request.keys)

    def _acknowledged(self, ack: Ack) -> None:
        request = self._request_of(ack)
        if request is None:
            return
        keys = tuple(request.keys) if ack.key is None else (ack.key,)
        if request.subscribing:
            for key in keys:
                if key in self._asked:
                    self._asked[key].confirmed = True
                if key in self._restoring:
                    self._restoring[key] = True
                entry = self.table.entries.get(key)
                if entry is not None:
                    self._activate_if_confirmed(entry)
        self._settle(request, *keys)

    def _activate_if_confirmed(self, entry: ChannelEntry) -> None:
        asked = self._asked.get(entry.channel.key)
        if asked is not None and asked.confirmed and not asked.leaving:
            entry.activate()

    def _refused(self, refusal: Refusal) -> None:
        request = self._request_of(refusal)
        if request is None:
            # Nothing of ours is pending: the venue complains about something else, which must be seen.
            self.observer.notice(Notice(kind=f"error {refusal.code}", message=refusal.message))
            return
        keys = list(request.keys) if refusal.key is None else [refusal.key]
        if request.subscribing:
            for key in keys:
                if len(keys) == 1:
                    self._refuse_channel(key, refusal)
                else:
                    # The venue refused the whole request for one of its channels and does not say which.
                    self._start(self._ask, [self._asked[key].channel], subscribing=True)
        self._settle(request, *keys)

    def _refuse_channel(self, key: str, refusal: Refusal) -> None:
        del self._asked[key]
        self._restoring.pop(key, None)
        entry = self.table.entries.get(key)
        if entry is None:
            return
        entry.fail(
            SubscribeError(
                self.config.exchange_name,
                refusal.message,
                topic=entry.channel.topic,
                symbol=entry.channel.symbol,
                venue_code=refusal.code,
                venue_message=refusal.message,
            )
        )
        self.table.discard(entry)

    def _request_of(self, answer: Ack | Refusal) -> _Request | None:
        if answer.request_id is not None:
            request_id = str(answer.request_id)
            return self._requests.get(int(request_id)) if request_id.isdecimal() else None
        if answer.key is not None:
            return next((r for r in self._requests.values() if answer.key in r.keys), None)
        # An answer that names nothing: venues answer in order, so it belongs to the oldest request.
        return next(iter(self._requests.values()), None)

    def _settle(self, request: _Request, *keys: str) -> None:
        """The venue has said, or failed to say in time, what there is to say about ``keys``."""
        request.keys.difference_update(keys)
        if not request.subscribing:
            for key in keys:
                self._asked.pop(key, None)
        if not request.keys:
            self._requests.pop(request.request_id, None)
            request.settled.set()
        self._check_restored()
        self.table.notify()

    def _check_restored(self) -> None:
        """Report once that every channel of the connection before is confirmed or no longer wanted."""
        if self._restoring and all(done or key not in self.table.entries for key, done in self._restoring.items()):
            restored, total = sum(self._restoring.values()), len(self._restoring)
            self._restoring = {}
            self.observer.restored(restored, total)

    async def wait_stopped(self, key: str) -> None:
        """Wait until the venue no longer has ``key`` subscribed, or somebody wants it again.

        Cancellation: nothing changes.
        """
        while key in self._asked and key not in self.table.entries:
            await self.table.changed.wait()

    # -- liveness ------------------------------------------------------------------------------

    async def _beat(self) -> None:
        """Ping at the configured interval; a ping that is not answered in time ends the session."""
        while True:
            await anyio.sleep(self.config.heartbeat_interval)
            frame = self.adapter.ping_frame()
            if frame is not None:
                await self.ws.send(frame)
                continue
            with anyio.move_on_after(self.config.heartbeat_timeout) as scope:
                await self.ws.ping()
            if scope.cancelled_caught:
                raise WebSocketError(
                    self.config.exchange_name,
                    f"no pong within {self.config.heartbeat_timeout:g} s",
                )

    async def _watch(self, limit: float) -> None:
        """End the session when it is open but carries no application frame for ``limit`` seconds.

        Silence is measured at the socket: consumers that are slow to take what has arrived do not count,
        nor do answers to our own pings. Without a confirmed channel there is nothing to hear.
        """
        while True:
            if any(entry.was_active for entry in self.table):
                silence = anyio.current_time() - self._last_frame_at
                if silence >= limit:
                    self.observer.stale(silence)
                    raise WebSocketError(self.config.exchange_name, f"no data for {silence:.1f} s")
                await anyio.sleep(limit - silence)
            else:
                self._last_frame_at = anyio.current_time()
                await anyio.sleep(limit / 4)
