"""The inside of every simulated venue: its connections, the streams they listen to, and what goes out.

What a user of a venue calls is in `bt_api_base.testing.venue` and the controls that it is made of.
"""

from __future__ import annotations

import heapq
import math
import time
from contextlib import asynccontextmanager
from itertools import count
from typing import TYPE_CHECKING, Final

import anyio
from anyio import AsyncContextManagerMixin
from typing_extensions import Self, Unpack, override

from bt_api_base.testing.dialect import Answer, Reply, ReplyKind
from bt_api_base.testing.doorkeeper import Doorkeeper
from bt_api_base.testing.peer import Ending, HandshakeRefusal, Peer
from bt_api_base.testing.server import WebSocketServer
from bt_api_base.testing.venue_connection import Feed, VenueConnection
from bt_api_base.testing.venue_faults import RequestFaults
from bt_api_base.testing.venue_options import VenueOptions, server_settings
from bt_api_base.testing.venue_records import StreamRecord, VenueSession

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from anyio.abc import TaskGroup

    from bt_api_base.testing.dialect import Dialect, Event
    from bt_api_base.testing.stream_faults import StreamFaults

_NO_CODE: Final = (1005, 1006)


class VenueCore(AsyncContextManagerMixin):
    """What `bt_api_base.testing.venue.Venue` is built on. See there.

    Args:
        dialect: How it speaks.
        exchange_name: Venue and asset type it stands in for.
        seed: What its random faults follow from.
        **given: See `VenueOptions`; what is left out is the dialect's own.
    """

    def __init__(self, dialect: Dialect, *, exchange_name: str, seed: int = 1, **given: Unpack[VenueOptions]) -> None:
        options: VenueOptions = {**dialect.default_options, **given}
        self.dialect = dialect
        """How it speaks."""
        self.exchange_name = exchange_name
        """Venue and asset type it stands in for."""
        self.seed = seed
        """What its markets and its random faults follow from."""
        self.max_messages_per_second = options.get("max_messages_per_second")
        """Messages a client may send in a second; None for no limit."""
        self.sessions: list[VenueSession] = []
        """All connections that completed the handshake, the oldest first."""
        self.withheld = 0
        """Data frames that were not sent because of a fault."""
        self._options = options
        self._max_age = options.get("max_connection_age")
        self._idle_timeout = options.get("idle_timeout")
        self._keep_ids = options.get("keep_ids", False)
        self._clock_ns = options.get("clock_ns", time.time_ns)
        self._doorkeeper = Doorkeeper(
            max_connects=options.get("max_connects"),
            connect_window=options.get("connect_window", 300.0),
            max_connections=options.get("max_connections"),
            offences_until_ban=options.get("offences_until_ban"),
            ban_time=options.get("ban_time", 120.0),
        )
        self._request_faults = RequestFaults()
        self._stream_faults: dict[str, StreamFaults] = {}
        self._connections: dict[VenueConnection, None] = {}
        self._feeds: dict[str, Feed] = {}
        self._numbers = count(1)
        self._late_replies: list[tuple[float, int, VenueConnection, Reply]] = []
        self._late_numbers = count()
        self._silent_until = -math.inf
        self._silence: anyio.Event | None = None
        self._unanswered: list[tuple[VenueConnection, bytes]] = []
        self._housework = anyio.Event()
        self._tasks: TaskGroup | None = None
        self._server = WebSocketServer(
            self._accept,
            host=options.get("host", "127.0.0.1"),
            port=options.get("port", 0),
            listen=options.get("listen", True),
            settings=server_settings(options),
        )

    @override
    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.exchange_name} at port {self._server.port}, seed={self.seed}>"

    @asynccontextmanager
    @override
    async def __asynccontextmanager__(self) -> AsyncGenerator[Self]:
        failure: Exception | None = None
        try:
            async with self._server:
                async with anyio.create_task_group() as tasks:
                    self._tasks = tasks
                    try:
                        tasks.start_soon(self._keep_house)
                        self._start(tasks)
                        yield self
                    except Exception as error:  # noqa: BLE001  # raised below as it is, not within the groups' errors
                        failure = error
                    tasks.cancel_scope.cancel()
                if failure is not None:
                    await self._server.cut_all()
        finally:
            self._tasks = self._silence = None
            self._silent_until = -math.inf
            self._unanswered.clear()
            self._late_replies.clear()
            self._stopped()
        if failure is not None:
            raise failure

    # For subclasses with events of their own.

    def _start(self, tasks: TaskGroup) -> None:
        """Start what the venue does by itself."""

    def _stopped(self) -> None:
        """Clean up after what the venue did by itself; all its tasks have ended."""

    def _publish(self, feed: Feed, event_id: int | None, event: Event, *, to: VenueConnection | None = None) -> None:
        """Send an event to whoever listens to a stream, unless a fault says otherwise.

        Args:
            feed: The stream.
            event_id: What the records remember of it.
            event: Its data, or what makes them, see `bt_api_base.testing.dialect.Dialect.payload`.
            to: The only connection that gets it, for example the snapshot after a subscription; None for all. Such a
                frame is no event of the stream: no fault but silence is for it, and the ledger has it as sent only.
        """
        if self._keep_ids and to is None and event_id is not None:
            feed.existing.append(event_id)
        if self._is_silent:
            self.withheld += feed.withhold(to)
            return
        faults = self._stream_faults.get(feed.name) if self._stream_faults else None
        if faults is None or (faults.is_idle and not feed.held):
            feed.send(event_id, event, to)
        else:
            self.withheld += feed.send_with_faults(faults, event_id, event, to)

    def _feed_opened(self, feed: Feed) -> None:
        """Take note that a stream has its first listener."""

    def _feed_closed(self, feed: Feed) -> None:
        """Take note that a stream has lost its last listener; not so where the ids are kept, as it goes on there."""

    def _subscribed(self, connection: VenueConnection, names: tuple[str, ...]) -> None:
        """Take note that a connection listens to more streams, and has been told so; send what comes first of them.

        Args:
            connection: The connection.
            names: The streams that are new, in the order of the request; `_feeds` has them by name.
        """

    @property
    def _is_silent(self) -> bool:
        return self._server.is_stalled or self._silence is not None

    async def _wait_not_silent(self) -> None:
        """Wait until data are sent again."""
        while self._is_silent:
            await self._server.wait_unstalled()
            if self._silence is not None:
                await self._silence.wait()

    # For connections.

    def answer(self, connection: VenueConnection, message: bytes) -> None:
        """Answer a message of a connection. For the connection's use."""
        if self._silence is not None:
            self._unanswered.append((connection, message))
            return
        client, session = connection.client, connection.session
        form = client.form
        answer = client.answer(message)
        session.requests += answer.is_request
        session.refusals += answer.refusals
        for name in answer.removed:
            self._leave(connection, name)
        if client.form != form:
            for name in tuple(connection.forms):
                self._leave(connection, name)
                self._join(connection, name)
        self._reply(connection, answer)
        for name in answer.added:
            self._join(connection, name)
        if answer.added:
            self._subscribed(connection, answer.added)
        if answer.close is not None:
            connection.peer.close(*answer.close)

    def flooded(self, connection: VenueConnection) -> None:
        """Close a connection that has sent too many messages. For the connection's use."""
        connection.peer.close(*self.dialect.flood_close)
        host = connection.session.host
        if self._doorkeeper.note_offence(host, anyio.current_time()):
            for other in self._connections:
                if other.session.host == host:
                    other.peer.close(*self.dialect.flood_close)

    def ended(self, connection: VenueConnection) -> None:
        """Forget a connection that is gone. For the connection's use."""
        peer, session = connection.peer, connection.session
        for name in tuple(connection.forms):
            self._leave(connection, name)
        self._connections.pop(connection, None)
        session.closed_at = anyio.current_time()
        session.ending = peer.ending
        session.close_code = None if peer.close_code in _NO_CODE else peer.close_code
        session.close_reason = peer.close_reason
        session.is_exact = peer.ending is Ending.CLOSED_BY_VENUE and peer.confirmed

    # Inside.

    def _reply(self, connection: VenueConnection, answer: Answer) -> None:
        faults, session = self._request_faults, connection.session
        for reply in answer.replies:
            if reply.kind not in {ReplyKind.ACK, ReplyKind.LOGIN}:
                connection.send_control(reply.payload)
            elif faults.withholds_ack():
                session.withheld_acknowledgements += 1
            else:
                delay = faults.ack_delay()
                session.acknowledgements += 1
                session.delayed_acknowledgements += delay > 0
                if delay > 0:
                    due = anyio.current_time() + delay
                    heapq.heappush(self._late_replies, (due, next(self._late_numbers), connection, reply))
                    self._housework.set()
                else:
                    connection.send_control(reply.payload)

    def _accept(self, peer: Peer, path: str) -> VenueConnection | HandshakeRefusal | None:
        host, now = peer.host, anyio.current_time()
        connections = sum(connection.session.host == host for connection in self._connections)
        refusal = self._doorkeeper.decide(host, path, connections, now)
        if refusal is not None:
            return refusal
        client = self.dialect.client(path, self._options, self._request_faults)
        if client is None:
            return None
        session = VenueSession(number=next(self._numbers), target=path, host=host, opened_at=now)
        connection = VenueConnection(peer=peer, client=client, session=session, venue=self, last_traffic=now)
        if self._max_age is not None:
            connection.expires_at, connection.expiry_close = now + self._max_age, self.dialect.age_close
        self._connections[connection] = None
        self.sessions.append(session)
        self._housework.set()
        for name in client.streams:
            self._join(connection, name)
        if client.streams:
            self._subscribed(connection, client.streams)
        return connection

    def _join(self, connection: VenueConnection, name: str) -> None:
        if name not in connection.session.streams:
            connection.session.streams[name] = StreamRecord(name, ids=[] if self._keep_ids else None)
        feed = self._feeds.get(name)
        if feed is None:
            feed = self._feeds[name] = Feed(name, self.dialect)
            self._feed_opened(feed)
        form = connection.forms[name] = connection.client.form
        feed.groups.setdefault(form, {})[connection] = None

    def _leave(self, connection: VenueConnection, name: str) -> None:
        feed = self._feeds[name]
        self.withheld += feed.leave(connection)
        if not feed.groups and not self._keep_ids:
            del self._feeds[name]
            self._feed_closed(feed)

    async def _keep_house(self) -> None:
        """Send late replies, and end connections whose time has come."""
        while True:
            now = anyio.current_time()
            while self._late_replies and self._late_replies[0][0] <= now:
                _, _, connection, reply = heapq.heappop(self._late_replies)
                connection.send_control(reply.payload)
            due = self._late_replies[0][0] if self._late_replies else math.inf
            for connection in tuple(self._connections):
                if connection.peer.is_open:
                    due = min(due, self._end_if_due(connection, now))
            with anyio.CancelScope(deadline=due):
                await self._housework.wait()
            self._housework = anyio.Event()

    def _end_if_due(self, connection: VenueConnection, now: float) -> float:
        """End a connection that is too old or idle; return when it is to be looked at again."""
        peer = connection.peer
        if connection.expires_at <= now:
            if connection.expiry_close is None:
                peer.cut()
            else:
                peer.close(*connection.expiry_close)
            return math.inf
        if self._idle_timeout is None:
            return connection.expires_at
        idle_at = connection.last_traffic + self._idle_timeout
        if idle_at <= now:
            peer.close(*self.dialect.idle_close)
            return math.inf
        return min(connection.expires_at, idle_at)

    def _begin_silence(self, seconds: float) -> None:
        self._silent_until = max(self._silent_until, anyio.current_time() + seconds)
        if self._silence is None:
            tasks = self._running_tasks
            self._silence = anyio.Event()
            tasks.start_soon(self._end_silence)

    async def _end_silence(self) -> None:
        while anyio.current_time() < self._silent_until:  # noqa: ASYNC110  # a longer one may have begun meanwhile
            await anyio.sleep_until(self._silent_until)
        silence, self._silence = self._silence, None
        unanswered, self._unanswered = self._unanswered, []
        for connection, message in unanswered:
            if connection in self._connections:
                self.answer(connection, message)
        if silence is not None:
            silence.set()

    @property
    def _running_tasks(self) -> TaskGroup:
        if self._tasks is None:
            raise RuntimeError("the venue is not running: use it in an async with block")
        return self._tasks


__all__ = ("VenueCore",)
