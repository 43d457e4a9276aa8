"""What the venues that speak Binance's dialect share: connections, subscriptions, requests, faults and records.

`SimulatedVenue` and `ReplayVenue` differ in where their frames come from only.
"""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from itertools import count
from typing import TYPE_CHECKING, Final

import anyio
from anyio import AsyncContextManagerMixin
from typing_extensions import Self, Unpack, override

from bt_api_base.testing.binance_dialect import MAX_MESSAGES_PER_SECOND, MAX_STREAMS, BinanceClient, parse_target
from bt_api_base.testing.binance_frames import combined_data, shutdown_data
from bt_api_base.testing.garbage import GARBAGE_KINDS, GarbageKind
from bt_api_base.testing.peer import Ending, Peer
from bt_api_base.testing.server import WebSocketServer
from bt_api_base.testing.venue_connection import Feed, VenueConnection
from bt_api_base.testing.venue_options import VenueOptions, server_settings
from bt_api_base.testing.venue_records import StreamRecord, VenueSession

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable

    from anyio.abc import TaskGroup

    from bt_api_base.testing.streams import MemoryByteStream

_NO_CODE: Final = (1005, 1006)


class BinanceVenue(AsyncContextManagerMixin):
    """A venue on loopback in Binance's dialect. Enter it to run it; leaving it closes everything.

    Args:
        exchange_name: Venue and asset type it stands in for.
        **options: See `VenueOptions`.
    """

    def __init__(self, *, exchange_name: str = "BINANCE___SPOT", **options: Unpack[VenueOptions]) -> None:
        self.exchange_name = exchange_name
        """Venue and asset type it stands in for."""
        self.max_messages_per_second = options.get("max_messages_per_second", MAX_MESSAGES_PER_SECOND)
        """Messages a client may send in a second; None for no limit."""
        self.sessions: list[VenueSession] = []
        """All connections that completed the handshake, the oldest first."""
        self.withheld = 0
        """Data frames that were not sent because of a stall."""
        self._max_streams = options.get("max_streams", MAX_STREAMS)
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
        """Where to connect for combined streams, ``ws://127.0.0.1:port/stream``."""
        return f"{self._base_url}/stream"

    @property
    def ws_url(self) -> str:
        """Where to connect for raw streams, ``ws://127.0.0.1:port/ws``."""
        return f"{self._base_url}/ws"

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
            client = connection.client
            data = shutdown_data(self._clock_ns() // 1_000, client.divisor)
            connection.send_control(combined_data("!serverShutdown", data) if client.combined else data)
        return len(self._connections)

    # Between the connections and the subclass.

    def answer(self, connection: VenueConnection, message: bytes) -> None:
        """Answer a request of a connection. For the connection's use."""
        client, session = connection.client, connection.session
        combined = client.combined
        answer = client.answer(message)
        session.requests += 1
        session.refusals += answer.is_error
        for name in answer.removed:
            self._leave(connection, name, combined=combined)
        if client.combined != combined:
            for name in client.streams:
                self._leave(connection, name, combined=combined)
                self._join(connection, name)
        connection.send_control(answer.reply)
        for name in answer.added:
            self._join(connection, name)
        if answer.added:
            self._subscribed(connection)

    def ended(self, connection: VenueConnection) -> None:
        """Forget a connection that is gone. For the connection's use."""
        peer, session = connection.peer, connection.session
        for name in connection.client.streams:
            self._leave(connection, name, combined=connection.client.combined)
        self._connections.pop(connection, None)
        session.closed_at = anyio.current_time()
        session.ending = peer.ending
        session.close_code = None if peer.close_code in _NO_CODE else peer.close_code
        session.close_reason = peer.close_reason
        session.is_exact = peer.ending is Ending.CLOSED_BY_VENUE and peer.confirmed

    def _publish(self, feed: Feed, event_id: int | None, event: bytes | Callable[[int], bytes]) -> None:
        """Send an event to whoever listens to a stream, unless the venue is stalled.

        Args:
            feed: The stream.
            event_id: What the records remember of it.
            event: Its data, or what makes them from the divisor of a connection's timestamps.
        """
        if self._server.is_stalled:
            self.withheld += feed.listeners
        else:
            feed.send(event_id, event)

    def _feed_opened(self, feed: Feed) -> None:
        """Take note that a stream has its first listener."""

    def _feed_closed(self, feed: Feed) -> None:
        """Take note that a stream has lost its last listener."""

    def _subscribed(self, connection: VenueConnection) -> None:
        """Take note that a connection listens to more streams, and has been told so."""

    @property
    def _base_url(self) -> str:
        host = f"[{self._server.host}]" if ":" in self._server.host else self._server.host
        return f"ws://{host}:{self._server.port}"

    def _accept(self, peer: Peer, path: str) -> VenueConnection | None:
        target = parse_target(path)
        if target is None:
            return None
        client = BinanceClient(target.combined, target.divisor, self._max_streams)
        session = VenueSession(number=next(self._numbers), target=path, opened_at=anyio.current_time())
        connection = VenueConnection(peer=peer, client=client, session=session, venue=self)
        self._connections[connection] = None
        self.sessions.append(session)
        for name in client.add(target.streams):
            self._join(connection, name)
        if client.streams:
            self._subscribed(connection)
        return connection

    def _join(self, connection: VenueConnection, name: str) -> None:
        client = connection.client
        if name not in connection.session.streams:
            connection.session.streams[name] = StreamRecord(name, ids=[] if self._keep_ids else None)
        feed = self._feeds.get(name)
        if feed is None:
            feed = self._feeds[name] = Feed(name)
            self._feed_opened(feed)
        feed.groups.setdefault((client.combined, client.divisor), {})[connection] = None

    def _leave(self, connection: VenueConnection, name: str, *, combined: bool) -> None:
        feed = self._feeds[name]
        key = (combined, connection.client.divisor)
        group = feed.groups[key]
        del group[connection]
        if not group:
            del feed.groups[key]
        if not feed.groups:
            del self._feeds[name]
            self._feed_closed(feed)


__all__ = ("BinanceVenue",)
