"""One established connection: reading, routing, requests, heartbeat and watchdog.

A session lives from one handshake to the end of that connection, and its tasks with it: the reader, the writer of
control frames, the subscriber (`bt_api_base.websocket.subscribing`), the heartbeat and the watchdog. The first of them
to fail ends the session with its reason; the supervisor decides what comes next.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import attrs

from bt_api_base.event_bus import Outlet
from bt_api_base.exceptions import BtApiError, WebSocketError
from bt_api_base.websocket.adapter import (
    Ack,
    Control,
    Decoded,
    Heartbeat,
    LeaseExpired,
    LoggedIn,
    LoginRefused,
    Malformed,
    Notice,
    Refusal,
    StreamAdapter,
    Unrecognized,
)
from bt_api_base.websocket.subscribing import Subscriber, SubscriberObserver

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from anyio.abc import TaskGroup

    from bt_api_base.containers import Event
    from bt_api_base.websocket.adapter import Channel
    from bt_api_base.websocket.channels import ChannelEntry, ChannelTable
    from bt_api_base.websocket.client import WebSocket
    from bt_api_base.websocket.config import WebSocketConfig

__all__ = ("Session", "SessionObserver", "SessionStats")


_HELD_UP = 0.02
"""Seconds by which a deadline is noticed too late when the event loop was held up."""

_MOST_HELD_UP = 3
"""How often an answer may be missed for that: a machine that is always late still finds out who is gone."""

_NOWHERE = Outlet(len)
"""Where the events before the first one go."""


@attrs.define
class SessionStats:
    """Counters of a connection, kept over all its sessions.

    Attributes:
        batches: Socket reads.
        frames: Application frames: each is data for a channel, or one of the following three. Those of a connection
            that another is about to replace, or has not yet replaced, are among them.
        control_frames: Acknowledgements, refusals, heartbeats, notices, and well-formed frames of
            a kind the adapter does not translate.
        unrouted_frames: Data for a channel nobody wants, such as what is under way while unsubscribing.
        bad_frames: Frames that could not be decoded.
        unrecognized: Of the control frames, those of an unknown kind.
        events: Events delivered to channels.
        abandoned: Events that came over a connection that was to take over and did not, or that had been replaced. They
            were not delivered from there.
    """

    batches: int = 0
    frames: int = 0
    control_frames: int = 0
    unrouted_frames: int = 0
    bad_frames: int = 0
    unrecognized: int = 0
    events: int = 0
    abandoned: int = 0


@attrs.frozen(kw_only=True)
class SessionObserver:
    """What a session reports to its supervisor, each called at once and never raising.

    Attributes:
        bad_frame: A frame could not be decoded.
        notice: The venue tells something to everybody.
        restored: Every channel of the connection before is settled: how many of how many.
        stale: No application frame for so many seconds, nor an answer when asked.
        logged_in: The venue accepted the log-in.
        lease_expired: The lease that the connection was opened with is over.
    """

    bad_frame: Callable[[Exception], None]
    notice: Callable[[Notice], None]
    restored: Callable[[int, int], None]
    stale: Callable[[float], None]
    logged_in: Callable[[], None]
    lease_expired: Callable[[], None]


@attrs.define(eq=False)
class Session:
    """The tasks of one established connection. See the module's docstring.

    Attributes:
        held: The events of a connection that is about to take over, by channel key; ``None`` for the connection that
            delivers.
        subscriber: Its requests.
        opened_at: When it was established, in the event loop's time.
        first_event_at: When the first event came, in the event loop's time; ``None`` before it.
        last_event_at: When the last one came.
        opened_time: The same, nanoseconds since the epoch (UTC).
        last_frame_at: When the last application frame came, answers to our own pings excluded.
        last_frame_time: The same of any application frame, nanoseconds since the epoch (UTC); 0 before.
    """

    ws: WebSocket
    config: WebSocketConfig
    adapter: StreamAdapter
    table: ChannelTable
    stats: SessionStats
    observer: SessionObserver
    held: dict[str | None, list[Event]] | None = None
    subscriber: Subscriber = attrs.field(init=False)
    opened_at: float = attrs.field(factory=anyio.current_time, init=False)
    opened_time: int = attrs.field(factory=time.time_ns, init=False)
    first_event_at: float | None = attrs.field(default=None, init=False)
    last_event_at: float = attrs.field(default=0.0, init=False)
    last_frame_at: float = attrs.field(factory=anyio.current_time, init=False)
    last_frame_time: int = attrs.field(default=0, init=False)
    held_events: int = attrs.field(default=0, init=False)
    _pongs: int = attrs.field(default=0, init=False)
    _failure: Exception | None = attrs.field(default=None, init=False)
    _tasks: TaskGroup = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.subscriber = Subscriber(
            self.ws,
            self.config,
            self.adapter,
            self.table,
            SubscriberObserver(
                restored=self.observer.restored,
                refused=lambda refusal: self.observer.notice(Notice(f"error {refusal.code}", refusal.message)),
                start=self.start,
                fail=self.fail,
                is_heard=self._is_heard,
                # Not the time of day: events that came with the answer must not seem to be older than it.
                read_time=lambda: self.last_frame_time or self.opened_time,
            ),
            successor=self.held is not None,
        )

    async def run(self) -> None:
        """Carry the connection until it ends.

        Raises:
            WebSocketError: The connection was lost, closed by the venue, silent or out of step.
            AuthenticationError: The venue refused the log-in.

        Cancellation: ends the session's tasks; closing the socket is the owner's.
        """
        async with anyio.create_task_group() as self._tasks:
            self.start(self.ws.run_writer)
            self.start(self._request)
            self.start(self._beat)
            if self.config.stale_after is not None:
                self.start(self._watch, self.config.stale_after)
            self.start(self._read)
        # The group ends by itself only when a failure has cancelled it.
        raise self._failure or WebSocketError(self.config.exchange_name, "the session ended")

    def fail(self, error: Exception) -> None:
        """End the session with ``error``; the first cause wins."""
        if self._failure is None:
            self._failure = error
        self._tasks.cancel_scope.cancel()

    def start(self, function: Callable[..., Awaitable[None]], *args: object) -> None:
        """Run one of the session's tasks. A failure of the connection ends the session; a bug ends more."""

        async def run() -> None:
            try:
                await function(*args)
            except (BtApiError, anyio.BrokenResourceError, anyio.ClosedResourceError, OSError) as error:
                self.fail(error)

        self._tasks.start_soon(run, name=function.__name__)

    async def _request(self) -> None:
        if await self.subscriber.log_in():
            self.observer.logged_in()
        await self.subscriber.run()

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
                self.last_frame_at = now
        raise WebSocketError(
            self.config.exchange_name,
            "the venue closed the connection",
            close_code=self.ws.close_code,
            close_reason=self.ws.close_reason or "",
        )

    def route(self, batch: Sequence[bytes | str], local_time: int) -> None:
        """Decode a batch of frames and hand their events to whoever wants them. Does not wait."""
        try:
            decoded = self.adapter.decode_batch(batch, local_time)
        except Exception:  # noqa: BLE001 - a fault of an adapter's quicker way is no reason to end a connection
            decoded = StreamAdapter.decode_batch(self.adapter, batch, local_time)
        self.stats.batches += 1
        self.stats.frames += len(batch)
        if self.held is None:
            self._deliver(decoded)
        else:
            self._hold(decoded, self.held)

    def _deliver(self, decoded: Sequence[Decoded]) -> None:
        routes = self.table.routes
        stats = self.stats
        # What goes the same way over the bus is handed over at once. Nothing is late for that: no consumer
        # can run before this method returns.
        outlet, collected = _NOWHERE, list[Any]()
        for key, items in decoded:
            route = routes.get(key)
            if route is None:
                self._not_data(key, items)
                continue
            if route.guard is not None:
                looked_at = route.guard(items)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] - events
                if looked_at is not items:
                    stats.events += len(collected)
                    outlet.take(collected)
                    outlet, collected = _NOWHERE, []
                    stats.events += self.table.entries[key].hand_over(looked_at)
                    continue
            for deliver in route.deliver:
                deliver(items)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] - with a key: events
            if outlet is not route.outlet:
                stats.events += len(collected)
                outlet.take(collected)
                outlet, collected = route.outlet, []
            collected += items
            route.last = items  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
        stats.events += len(collected)
        outlet.take(collected)

    def _hold(self, decoded: Sequence[Decoded], held: dict[str | None, list[Event]]) -> None:
        for key, items in decoded:
            if key in self.table.entries:
                held.setdefault(key, []).extend(items)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
                self.held_events += len(items)
            else:
                self._not_data(key, items)

    def take_over(self) -> None:
        """Deliver from now on. What is held and still wanted has been taken by then."""
        self.abandon_held()
        self.held = None
        self.subscriber.activate_confirmed()

    def retire(self) -> None:
        """Deliver nothing any more, as another connection has taken over: what still arrives is held for nobody."""
        self.held = {}

    def abandon_held(self, *keys: str | None) -> None:
        """Forget what is held, of some channels or of all, and count it."""
        held = self.held or {}
        for key in keys or tuple(held):
            self.stats.abandoned += len(held.pop(key, ()))

    def _is_heard(self, entry: ChannelEntry) -> bool:
        """Whether the connection that is to take over has had events of a channel, or this one since it opened."""
        if self.held is not None:
            return entry.channel.key in self.held
        last = entry.last_event
        return last is not None and entry.interrupted is None and last.local_time >= self.opened_time

    def _not_data(self, key: str | None, items: Sequence[Event | Control]) -> None:
        if key is not None:
            self.stats.unrouted_frames += 1
            return
        self.stats.control_frames += 1
        for message in items:
            self._control(message)

    def _control(self, message: Event | Control) -> None:
        if isinstance(message, Ack):
            self.subscriber.acknowledged(message)
        elif isinstance(message, Refusal):
            self.subscriber.refused(message)
        elif isinstance(message, Heartbeat):
            if message.reply is not None:
                self.start(self.ws.send, message.reply)
            else:
                self._pongs += 1
        elif isinstance(message, Notice):
            self.observer.notice(message)
        elif isinstance(message, LoggedIn):
            self.subscriber.logged_in()
        elif isinstance(message, LoginRefused):
            self.fail(self.subscriber.login_error(message))
        elif isinstance(message, LeaseExpired):
            self.observer.lease_expired()
        elif isinstance(message, Unrecognized):
            self.stats.unrecognized += 1
        elif isinstance(message, Malformed):
            self.stats.control_frames -= 1  # it is none
            self.stats.bad_frames += 1
            self.observer.bad_frame(message.error)

    # -- liveness ------------------------------------------------------------------------------

    async def _beat(self) -> None:
        """Ping at the configured interval; a ping that is not answered in time ends the session."""
        interval = self.config.heartbeat_interval
        if self.adapter.limits.max_idle is not None:
            interval = min(interval, self.adapter.limits.max_idle / 2)
        timeout = min(self.config.heartbeat_timeout, interval)
        await anyio.sleep(interval)
        while True:
            asked_at = anyio.current_time()
            if not await self._is_answered(partial(self._ping, timeout), timeout):
                raise WebSocketError(self.config.exchange_name, f"no pong within {timeout:g} s")
            await anyio.sleep_until(asked_at + interval)

    async def _is_answered(self, ask: Callable[[], Awaitable[bool]], timeout: float) -> bool:  # noqa: ASYNC109 - of `ask`
        """Ask whether anybody is there, again if nobody here could have heard the answer.

        When a deadline is noticed late, the event loop was held up, by a consumer's callback for example, and the
        answer may have arrived in time and wait to be read, behind whatever else came.
        """
        for _ in range(_MOST_HELD_UP):
            deadline, batches = anyio.current_time() + timeout, self.stats.batches
            if await ask():
                return True
            if anyio.current_time() < deadline + _HELD_UP:
                break
            if self.stats.batches > batches:
                return True
        return False

    async def _ping(self, timeout: float) -> bool:  # noqa: ASYNC109 - what it means differs by the kind of ping
        """Ping, by the venue's own message where it has one, and return whether anything came back in time."""
        frame = self.adapter.ping_frame()
        if frame is None:
            with anyio.move_on_after(timeout):
                await self.ws.ping()
                return True
            return False
        frames = self.stats.frames
        await self.ws.send(frame)
        await anyio.sleep(timeout)
        return self.stats.frames > frames

    async def _watch(self, limit: float) -> None:
        """End the session when it is open but carries no application frame for ``limit`` seconds.

        Silence is measured at the socket: consumers that are slow to take what has arrived do not count,
        nor do answers to our own pings. Without a confirmed channel there is nothing to hear. A market may be quiet,
        so the venue is asked first: an answer is an application frame.
        """
        while True:
            active = next((entry for entry in self.table if entry.was_active), None)
            if active is None:
                self.last_frame_at = anyio.current_time()
                await anyio.sleep(limit / 4)
                continue
            due = self.last_frame_at + limit
            if anyio.current_time() < due:
                await anyio.sleep_until(due)  # what is left can be too little time for a sum of floats to move
                continue
            if not await self._is_answered(partial(self._probe, active.channel, limit), self.config.subscribe_timeout):
                silence = anyio.current_time() - self.last_frame_at
                self.observer.stale(silence)
                raise WebSocketError(self.config.exchange_name, f"no data for {silence:.1f} s, and no answer")

    async def _probe(self, channel: Channel, limit: float) -> bool:
        """Ask the venue something, and return whether anything at all came."""
        await self.subscriber.probe(channel)
        return anyio.current_time() - self.last_frame_at < limit
