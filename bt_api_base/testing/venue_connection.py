"""One client of a simulated venue, and the streams that clients listen to."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, cast

import anyio
import attrs
from websockets.frames import Frame, Opcode

from bt_api_base.testing.peer import text_frame

if TYPE_CHECKING:
    from bt_api_base.testing.dialect import Dialect, DialectClient, Event, Form
    from bt_api_base.testing.garbage import GarbageKind
    from bt_api_base.testing.peer import Peer
    from bt_api_base.testing.venue import Venue
    from bt_api_base.testing.venue_records import StreamRecord, VenueSession

_COUNTED: Final = (Opcode.TEXT, Opcode.BINARY, Opcode.PING, Opcode.PONG)
"""Frames that the limit of messages counts. A fragmented message is one."""


@attrs.define(eq=False)
class Feed:
    """One stream and who listens to it, by the form in which they get it."""

    name: str
    dialect: Dialect
    groups: dict[Form, dict[VenueConnection, None]] = attrs.field(factory=dict["Form", dict["VenueConnection", None]])

    def send(self, event_id: int | None, event: Event, to: VenueConnection | None = None) -> None:
        """Have an event sent to all who listen, encoded once for each form that is asked for.

        Args:
            event_id: What the records remember of it.
            event: The event.
            to: The only connection that gets it; None for all.
        """
        if to is not None:
            to.send(self.name, text_frame(self.dialect.payload(self.name, to.forms[self.name], event)), event_id)
            return
        for form, connections in self.groups.items():
            frame = text_frame(self.dialect.payload(self.name, form, event))
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
    client: DialectClient
    session: VenueSession
    venue: Venue
    forms: dict[str, Form] = attrs.field(factory=dict["str", "Form"])
    """The form in which each stream that it listens to is sent."""
    _arrivals: deque[float] = attrs.field(factory=deque[float])

    def send(self, stream: str, frame: bytes, event_id: int | None) -> None:
        """Have a frame of a stream sent."""
        self.peer.send(frame, (self.session.streams[stream], event_id))

    def send_control(self, payload: bytes) -> None:
        """Have a reply or a notice sent."""
        self.peer.send(text_frame(payload), (self.session.control, None))

    def send_garbage(self, kind: GarbageKind) -> None:
        """Have a bad frame sent."""
        payload = self.venue.dialect.garbage(self.client, kind)
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
