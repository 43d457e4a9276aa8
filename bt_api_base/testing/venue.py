"""What all simulated venues share: connections, subscriptions, requests, faults and records.

How a venue speaks is its `bt_api_base.testing.dialect.Dialect`, where its events come from is the subclass: markets of
its own (`bt_api_base.testing.market_venue`) or a recording (`bt_api_base.testing.replay_venue`).
"""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from itertools import count
from typing import TYPE_CHECKING, Final

import anyio
from anyio import AsyncContextManagerMixin
from typing_extensions import Self, Unpack, override

from bt_api_base.testing.garbage import GARBAGE_KINDS, GarbageKind
from bt_api_base.testing.peer import Ending, Peer
from bt_api_base.testing.server import WebSocketServer
from bt_api_base.testing.venue_connection import Feed, VenueConnection
from bt_api_base.testing.venue_faults import Refused, RequestFaults
from bt_api_base.testing.venue_options import VenueOptions, server_settings
from bt_api_base.testing.venue_records import StreamRecord, VenueSession

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable

    from anyio.abc import TaskGroup

    from bt_api_base.testing.dialect import Dialect, Event
    from bt_api_base.testing.streams import MemoryByteStream

_NO_CODE: Final = (1005, 1006)


class Venue(AsyncContextManagerMixin):
    """A venue on loopback. Enter it to run it; leaving it closes everything.

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
        """Data frames that were not sent because of a stall."""
        self._options = options
        self._request_faults = RequestFaults()
        self._keep_ids = options.get("keep_ids", False)
        self._clock_ns = options.get("clock_ns", time.time_ns)
        self._connections: dict[VenueConnection, None] = {}
        self._feeds: dict[str, Feed] = {}
        self._numbers = count(1)
        self._server = WebSocketServer(
            self._accept,
            host=options.get("host", "127.0.0.1"),
            port=options.get("port", 0),
            listen=options.get("listen", True),
            settings=server_settings(options),
        )

    @asynccontextmanager
    @override
    async def __asynccontextmanager__(self) -> AsyncGenerator[Self]:
        failure: Exception | None = None
        async with self._server:
            async with anyio.create_task_group() as tasks:
                try:
                    self._start(tasks)
                    yield self
                except Exception as error:  # noqa: BLE001  # raised below as it is, not within the groups' errors
                    failure = error
                tasks.cancel_scope.cancel()
            if failure is not None:
                await self._server.cut_all()
        if failure is not None:
            raise failure

    def _start(self, tasks: TaskGroup) -> None:
        """Start what the venue does by itself."""

    # Where it is, and what it did.

    @property
    def url(self) -> str:
        """Where to connect: the usual path of its dialect, for example ``ws://127.0.0.1:port/stream``."""
        return self.url_of(self.dialect.path)

    def url_of(self, path: str) -> str:
        """Return where to connect for another path.

        Args:
            path: The path, with a leading slash, and the query where there is one.
        """
        host = f"[{self._server.host}]" if ":" in self._server.host else self._server.host
        return f"ws://{host}:{self._server.port}{path}"

    @property
    def port(self) -> int:
        """The port it listens at; it stays the same over `kill` and `revive`."""
        return self._server.port

    @property
    def connections(self) -> int:
        """Number of connections that are open now."""
        return len(self._connections)

    @property
    def subscriptions(self) -> tuple[str, ...]:
        """Names of all streams that somebody listens to."""
        return tuple(self._feeds)

    @property
    def sent_total(self) -> int:
        """Data frames sent over all connections so far."""
        return sum(session.sent for session in self.sessions)

    async def drain(self) -> None:
        """Wait until everything sent so far has been handed to the operating system.

        A client that does not read makes this wait until it is cut off.

        Cancellation:
            Safe.
        """
        await self._server.drain()

    def connect_in_memory(self) -> MemoryByteStream:
        """Serve a new connection in memory; together with ``listen=False`` it suits virtual time.

        Returns:
            The client's end of a byte stream, to speak WebSocket over.
        """
        return self._server.connect_in_memory()

    # Faults on request.

    async def disconnect_all(self, *, abort: bool = True) -> int:
        """End every connection and wait until they are gone; new ones are accepted at once.

        Args:
            abort: Whether to reset the connections, or to close them with code 1001.

        Returns:
            The number of connections.

        Cancellation:
            The connections end all the same.
        """
        if not abort:
            return await self.close_with(1001, "Going away")
        number = len(self._server.peers)
        await self._server.cut_all()
        return number

    async def close_with(self, code: int, reason: str = "") -> int:
        """Close every connection with a code and wait until they are gone, at most the close timeout.

        Args:
            code: The close code.
            reason: The reason.

        Returns:
            The number of connections.

        Cancellation:
            The connections go on closing.
        """
        number = len(self._server.peers)
        await self._server.close_all(code, reason)
        return number

    async def kill(self, seconds: float | None = None) -> int:
        """Die: reset every connection and refuse new ones.

        Args:
            seconds: How long to stay dead; None until `revive`.

        Returns:
            The number of connections.

        Cancellation:
            New connections are refused all the same; some old ones may live.
        """
        await self._server.refuse(seconds)
        return await self.disconnect_all()

    async def refuse(self, seconds: float | None = None) -> None:
        """Refuse new connections; those there are go on.

        Args:
            seconds: For how long; None until `revive`.

        Cancellation:
            Refused all the same.
        """
        await self._server.refuse(seconds)

    async def revive(self) -> None:
        """Accept connections again, at the same port.

        Cancellation:
            Either it does or it does not.
        """
        await self._server.listen()

    def stall(self, seconds: float) -> None:
        """Keep connections open and silent. The market goes on, and what happens meanwhile is never sent.

        Args:
            seconds: For how long, from now.
        """
        self._server.stall(seconds)

    def send_garbage(self, count: int = 1, *, kinds: Iterable[GarbageKind] = GARBAGE_KINDS) -> int:
        """Send bad frames to every connection.

        Args:
            count: Number of frames for each connection.
            kinds: What is wrong with them, in turn. A client that checks text for UTF-8 must close on "utf8".

        Returns:
            The number of frames, over all connections.
        """
        kinds = tuple(kinds)
        for connection in self._connections:
            for turn in range(count):
                connection.send_garbage(kinds[turn % len(kinds)])
        return count * len(self._connections)

    def shutdown_notice(self) -> int:
        """Tell every client that the server is about to go, as the venue does before maintenance.

        Returns:
            The number of connections.
        """
        for connection in self._connections:
            connection.send_control(self.dialect.shutdown_notice(connection.client, self._clock_ns() // 1_000))
        return len(self._connections)

    def refuse_logins(self, code: int | str | None = None, message: str = "", *, count: int = 1) -> None:
        """Refuse log-ins that are correct.

        Args:
            code: The venue's code; None for its code of a wrong key or signature.
            message: The venue's words; empty for its usual ones.
            count: How many log-ins.
        """
        self._request_faults.refuse_logins(Refused(code, message), count)

    def refuse_stream(self, stream: str, code: int | str | None = None, message: str = "", *, count: int = 1) -> None:
        """Refuse requests for a stream, on whatever connection; where a venue refuses requests as a whole, all of it.

        Args:
            stream: The stream's name.
            code: The venue's code; None for the usual one.
            message: The venue's words; empty for its usual ones.
            count: How many requests.
        """
        self._request_faults.refuse_stream(stream, Refused(code, message), count)

    def ignore_stream(self, stream: str, *, count: int = 1) -> None:
        """Let requests for a stream go unheeded: nothing is subscribed to, and nothing refused.

        A venue that acknowledges a request as a whole acknowledges it all the same; one that acknowledges each stream
        says nothing about this one.

        Args:
            stream: The stream's name.
            count: How many requests.
        """
        self._request_faults.ignore_stream(stream, count)

    # Between the connections and the subclass.

    def answer(self, connection: VenueConnection, message: bytes) -> None:
        """Answer a request of a connection. For the connection's use."""
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
        for reply in answer.replies:
            connection.send_control(reply.payload)
        for name in answer.added:
            self._join(connection, name)
        if answer.added:
            self._subscribed(connection, answer.added)
        if answer.close is not None:
            connection.peer.close(*answer.close)

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

    def _publish(self, feed: Feed, event_id: int | None, event: Event, *, to: VenueConnection | None = None) -> None:
        """Send an event to whoever listens to a stream, unless a fault says otherwise.

        Args:
            feed: The stream.
            event_id: What the records remember of it.
            event: Its data, or what makes them, see `bt_api_base.testing.dialect.Dialect.payload`.
            to: The only connection that gets it, for example the snapshot after a subscription; None for all.
        """
        if self._server.is_stalled:
            self.withheld += feed.listeners if to is None else 1
        else:
            feed.send(event_id, event, to)

    def _feed_opened(self, feed: Feed) -> None:
        """Take note that a stream has its first listener."""

    def _feed_closed(self, feed: Feed) -> None:
        """Take note that a stream has lost its last listener."""

    def _subscribed(self, connection: VenueConnection, names: tuple[str, ...]) -> None:
        """Take note that a connection listens to more streams, and has been told so; send what comes first of them.

        Args:
            connection: The connection.
            names: The streams that are new, in the order of the request; `_feeds` has them by name.
        """

    def _accept(self, peer: Peer, path: str) -> VenueConnection | None:
        client = self.dialect.client(path, self._options, self._request_faults)
        if client is None:
            return None
        session = VenueSession(number=next(self._numbers), target=path, opened_at=anyio.current_time())
        connection = VenueConnection(peer=peer, client=client, session=session, venue=self)
        self._connections[connection] = None
        self.sessions.append(session)
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
        form = connection.forms.pop(name)
        group = feed.groups[form]
        del group[connection]
        if not group:
            del feed.groups[form]
        if not feed.groups:
            del self._feeds[name]
            self._feed_closed(feed)


__all__ = ("Venue",)
