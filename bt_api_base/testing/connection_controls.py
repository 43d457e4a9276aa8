"""What can go wrong with a simulated venue's connections, on request: methods of every venue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from bt_api_base.testing.doorkeeper import BANNED, RefusedHandshake
from bt_api_base.testing.garbage import GARBAGE_KINDS, GarbageKind
from bt_api_base.testing.peer import HandshakeRefusal
from bt_api_base.testing.venue_core import VenueCore

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bt_api_base.testing.venue_connection import VenueConnection


class ConnectionControls(VenueCore):
    """Ends, silences and refuses connections. Part of `bt_api_base.testing.venue.Venue`."""

    # The end of connections.

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

    def disconnect(self, connection: int, *, abort: bool = True, code: int = 1001, reason: str = "Going away") -> bool:
        """End one connection.

        Args:
            connection: Its number, see `bt_api_base.testing.venue_records.VenueSession.number`.
            abort: Whether to reset it, or to close it with a code.
            code: The close code.
            reason: The reason.

        Returns:
            Whether there was one.
        """
        for candidate in self._connections:
            if candidate.session.number == connection and candidate.peer.is_open:
                if abort:
                    candidate.peer.cut()
                else:
                    candidate.peer.close(code, reason)
                return True
        return False

    def age_connections(self, seconds: float = 0.0, *, abort: bool = False) -> int:
        """Let every connection come to the end of its life, as the venue's do after 24 hours.

        All that happens before is still sent. New connections are not concerned.

        Args:
            seconds: From now to the end.
            abort: Whether to reset them then; otherwise they are closed with the dialect's code.

        Returns:
            The number of connections.
        """
        return self._end_later(seconds, None if abort else self.dialect.age_close)

    def shutdown_notice(self, lead: float | None = None, *, abort: bool = False) -> int:
        """Tell every client that the server is about to go, as the venue does before maintenance.

        Args:
            lead: Seconds from the notice to the end of those connections, until which they get all that happens; None
                for a notice that nothing follows. New connections are not concerned.
            abort: Whether to reset them then; otherwise they are closed with code 1001.

        Returns:
            The number of connections.
        """
        for connection in self._connections:
            connection.send_control(self.dialect.shutdown_notice(connection.client, self._clock_ns() // 1_000))
        if lead is not None:
            self._end_later(lead, None if abort else (1001, "Server shutting down"))
        return len(self._connections)

    # No connections.

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

    def refuse_handshakes(
        self, status: int = 503, *, retry_after: int | None = None, count: int | None = 1, reason: str = ""
    ) -> None:
        """Answer handshakes with an HTTP status instead of a connection.

        Args:
            status: The status.
            retry_after: Seconds of the header "Retry-After"; None for no such header.
            count: How many handshakes; None for all from now on, 0 for none any more.
            reason: Text of the body.
        """
        self._doorkeeper.refuse(HandshakeRefusal(status, reason, retry_after), count)

    def slow_handshakes(self, seconds: float, *, count: int | None = 1) -> None:
        """Answer handshakes late.

        Args:
            seconds: How late.
            count: How many handshakes; None for all from now on, 0 for none any more.
        """
        self._server.slow_handshakes(seconds, count)

    def ban(self, seconds: float, *, status: int = BANNED) -> int:
        """Ban the clients' address, as for messages sent too fast: end its connections, refuse its handshakes.

        Args:
            seconds: For how long; handshakes are told the rest of it in "Retry-After".
            status: The HTTP status of the refusals.

        Returns:
            The number of connections.
        """
        until = anyio.current_time() + seconds
        for host in {connection.session.host for connection in self._connections} | {self._server.host, "memory"}:
            self._doorkeeper.ban(host, until, status)
        return self._close_open(*self.dialect.flood_close)

    @property
    def refused_handshakes(self) -> tuple[RefusedHandshake, ...]:
        """Handshakes that were answered with a refusal, the oldest first; not those at a path that there is not."""
        return tuple(self._doorkeeper.refused)

    # Connections that bring the wrong things, or nothing.

    def stall(self, seconds: float, *, answers_pings: bool = False) -> None:
        """Keep connections open and silent. The market goes on, and what happens meanwhile is never sent.

        Requests are answered when it is over.

        Args:
            seconds: For how long, from now.
            answers_pings: Whether the connections look alive: pings, close frames and handshakes are answered, and only
                data and replies are missing. Otherwise nothing at all is looked at.
        """
        if answers_pings:
            self._begin_silence(seconds)
        else:
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

    # Inside.

    def _end_later(self, seconds: float, close: tuple[int, str] | None) -> int:
        number = 0
        for connection in self._connections:
            if connection.peer.is_open:
                connection.expires_at = min(connection.expires_at, anyio.current_time() + seconds)
                connection.expiry_close = close
                number += 1
        self._housework.set()
        return number

    def _close_open(self, code: int, reason: str) -> int:
        open_connections: list[VenueConnection] = [one for one in self._connections if one.peer.is_open]
        for connection in open_connections:
            connection.peer.close(code, reason)
        return len(open_connections)


__all__ = ("ConnectionControls",)
