"""A simulated venue: where it is, what it did, and everything that can go wrong with it.

How a venue speaks is its `bt_api_base.testing.dialect.Dialect`, where its events come from is the subclass: markets of
its own (`bt_api_base.testing.market_venue`) or a recording (`bt_api_base.testing.replay_venue`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bt_api_base.testing.connection_controls import ConnectionControls
from bt_api_base.testing.stream_controls import StreamControls

if TYPE_CHECKING:
    from bt_api_base.testing.streams import MemoryByteStream


class Venue(ConnectionControls, StreamControls):
    """A venue on loopback. Enter it to run it; leaving it closes everything.

    Its faults are methods; every one leaves its trace in the records, so that a client's account can be checked against
    what was really sent and what was not.

    Args:
        dialect: How it speaks.
        exchange_name: Venue and asset type it stands in for.
        seed: What its random faults follow from.
        **given: See `bt_api_base.testing.venue_options.VenueOptions`; what is left out is the dialect's own.
    """

    # Where it is.

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

    def connect_in_memory(self) -> MemoryByteStream:
        """Serve a new connection in memory; together with ``listen=False`` it suits virtual time.

        Returns:
            The client's end of a byte stream, to speak WebSocket over.

        Raises:
            ConnectionRefusedError: The venue is dead, or refuses connections.
        """
        return self._server.connect_in_memory()

    # What it did.

    @property
    def connections(self) -> int:
        """Number of connections that are open now."""
        return len(self._connections)

    @property
    def subscriptions(self) -> tuple[str, ...]:
        """Names of all streams that somebody listens to."""
        return tuple(name for name, feed in self._feeds.items() if feed.groups)

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

    # What was sent and what was not, event by event, where the ids are kept.

    def existing_ids(self, stream: str) -> list[int]:
        """Return the ids of all events of a stream since it was first subscribed to, sent or not, in order.

        Args:
            stream: The stream's name.

        Raises:
            RuntimeError: The venue does not keep ids, see `keep_ids` among its options.
        """
        self._require_ids()
        feed = self._feeds.get(stream)
        return [] if feed is None else list(feed.existing)

    def take_existing_ids(self, stream: str) -> list[int]:
        """Return what `existing_ids` does, and forget it, so that a venue that keeps ids can run for days.

        Args:
            stream: The stream's name.

        Raises:
            RuntimeError: The venue does not keep ids, see `keep_ids` among its options.
        """
        self._require_ids()
        feed = self._feeds.get(stream)
        if feed is None:
            return []
        taken, feed.existing = feed.existing, []
        return taken

    def sent_ids(self, stream: str) -> dict[int, list[int]]:
        """Return the ids that were sent of a stream, in the order of sending, by the number of the connection.

        Args:
            stream: The stream's name.

        Raises:
            RuntimeError: The venue does not keep ids, see `keep_ids` among its options.
        """
        self._require_ids()
        return {
            session.number: list(session.streams[stream].ids or ())
            for session in self.sessions
            if stream in session.streams
        }

    def missing_ids(self, stream: str) -> list[int]:
        """Return the ids of the events of a stream that were sent over no connection at all, in order.

        Args:
            stream: The stream's name.

        Raises:
            RuntimeError: The venue does not keep ids, see `keep_ids` among its options.
        """
        sent = {event_id for ids in self.sent_ids(stream).values() for event_id in ids}
        return [event_id for event_id in self.existing_ids(stream) if event_id not in sent]

    def _require_ids(self) -> None:
        if not self._keep_ids:
            raise RuntimeError("the venue keeps no ids: make it with keep_ids=True")


__all__ = ("Venue",)
