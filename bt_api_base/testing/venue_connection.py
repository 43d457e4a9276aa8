"""One client of a simulated venue, and the streams that clients listen to."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, cast

import anyio
import attrs
from websockets.frames import Frame, Opcode

from bt_api_base.testing.binance_frames import combined_data
from bt_api_base.testing.garbage import GarbageKind, garbage
from bt_api_base.testing.peer import text_frame

if TYPE_CHECKING:
    from collections.abc import Callable

    from bt_api_base.testing.binance_dialect import BinanceClient
    from bt_api_base.testing.binance_venue import BinanceVenue
    from bt_api_base.testing.peer import Peer
    from bt_api_base.testing.venue_records import StreamRecord, VenueSession

_COUNTED: Final = (Opcode.TEXT, Opcode.BINARY, Opcode.PING, Opcode.PONG)
"""Frames that the limit of messages counts. A fragmented message is one."""


@attrs.define(eq=False)
class Feed:
    """One stream and who listens to it, by the form in which they get it."""

    name: str
    groups: dict[tuple[bool, int], dict[VenueConnection, None]] = attrs.field(
        factory=dict[tuple[bool, int], dict["VenueConnection", None]]
    )

    def send(self, event_id: int | None, event: bytes | Callable[[int], bytes]) -> None:
        """Have an event sent to all who listen, encoded once for each form that is asked for."""
        for (combined, divisor), connections in self.groups.items():
            data = event if isinstance(event, bytes) else event(divisor)
            frame = text_frame(combined_data(self.name, data) if combined else data)
            for connection in connections:
                connection.send(self.name, frame, event_id)

    @property
    def listeners(self) -> int:
        """Number of connections that listen."""
        return sum(len(connections) for connections in self.groups.values())


@attrs.define(eq=False, kw_only=True)
class VenueConnection:
    """One client: its subscriptions and its record. It is the peer's handler."""

    peer: Peer
    client: BinanceClient
    session: VenueSession
    venue: BinanceVenue
    _arrivals: deque[float] = attrs.field(factory=deque[float])

    def send(self, stream: str, frame: bytes, event_id: int | None) -> None:
        """Have a frame of a stream sent."""
        self.peer.send(frame, (self.session.streams[stream], event_id))

    def send_control(self, payload: bytes) -> None:
        """Have a reply or a notice sent."""
        self.peer.send(text_frame(payload), (self.session.control, None))

    def send_garbage(self, kind: GarbageKind) -> None:
        """Have a bad frame sent."""
        stream = next(iter(self.client.streams), "btcusdt@trade")
        payload = garbage(kind, stream, combined=self.client.combined)
        self.peer.send(text_frame(payload), (self.session.garbage, None))

    def received_frame(self, frame: Frame) -> None:
        """Count a frame against the limit of messages, and close when there are too many."""
        limit = self.venue.max_messages_per_second
        if frame.opcode not in _COUNTED or limit is None:
            return
        now = anyio.current_time()
        while self._arrivals and self._arrivals[0] <= now - 1.0:
            self._arrivals.popleft()
        self._arrivals.append(now)
        if len(self._arrivals) > limit:
            self.peer.close(1008, "Too many requests")

    def received_message(self, message: bytes) -> None:
        """Answer a request."""
        self.venue.answer(self, message)

    def sent(self, marks: list[object]) -> None:
        """Record what was sent."""
        for record, event_id in cast("list[tuple[StreamRecord, int | None]]", marks):
            record.note(event_id)

    def ended(self) -> None:
        """Record the end."""
        self.venue.ended(self)


__all__ = ("Feed", "VenueConnection")
