"""One client of a simulated venue, and the streams that clients listen to."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Final, cast

import anyio
import attrs
from websockets.frames import Frame, Opcode

from bt_api_base.testing.peer import text_frame
from bt_api_base.testing.stream_faults import Fate, StreamFaults, Verdict
from bt_api_base.testing.venue_records import MarkedRecord

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bt_api_base.testing.dialect import Dialect, DialectClient, Event, Form
    from bt_api_base.testing.garbage import GarbageKind
    from bt_api_base.testing.peer import Peer
    from bt_api_base.testing.venue_core import VenueCore
    from bt_api_base.testing.venue_records import StreamRecord, VenueSession

_COUNTED: Final = (Opcode.TEXT, Opcode.BINARY, Opcode.PING, Opcode.PONG)
"""Frames that the limit of messages counts. A fragmented message is one."""


@attrs.define(eq=False)
class _Held:
    """An event that is sent after later ones."""

    event_id: int | None
    event: Event
    connections: list[VenueConnection]
    left: int
    """How many events are sent before it."""


@attrs.define(eq=False)
class Feed:
    """One stream and who listens to it, by the form in which they get it."""

    name: str
    dialect: Dialect
    groups: dict[Form, dict[VenueConnection, None]] = attrs.field(factory=dict["Form", dict["VenueConnection", None]])
    existing: list[int] = attrs.field(factory=list[int])
    """Ids of all events since the first listener, where the venue keeps them."""
    held: list[_Held] = attrs.field(factory=list[_Held])
    """Events that wait for later ones to be sent before them: at most one."""

    @property
    def listeners(self) -> int:
        """Number of connections that listen."""
        return sum(len(connections) for connections in self.groups.values())

    def __iter__(self) -> Iterator[VenueConnection]:
        """Iterate over the connections that listen."""
        for connections in self.groups.values():
            yield from connections

    def send(self, event_id: int | None, event: Event, to: VenueConnection | None = None) -> None:
        """Have an event sent to all who listen, encoded once for each form that is asked for.

        Args:
            event_id: What the records remember of it.
            event: The event.
            to: The only connection that gets it; None for all.
        """
        if to is not None:
            to.send(self.name, self._frame(to.forms[self.name], event), event_id)
            return
        for form, connections in self.groups.items():
            frame = self._frame(form, event)
            for connection in connections:
                connection.send(self.name, frame, event_id)

    def send_with_faults(
        self, faults: StreamFaults, event_id: int | None, event: Event, to: VenueConnection | None = None
    ) -> int:
        """Do with an event what the stream's faults say.

        Args:
            faults: The faults.
            event_id: What the records remember of it.
            event: The event.
            to: The only connection that gets it; None for all.

        Returns:
            The number of frames withheld.
        """
        now = anyio.current_time()
        heard, withheld = list[VenueConnection](), 0
        for connection in self if to is None else (to,):
            if faults.is_muted(now, connection.session.number):
                withheld += connection.withhold(self.name)
            else:
                heard.append(connection)
        if not heard:
            return withheld
        verdict = Verdict(Fate.SENT)
        if to is None:
            verdict = faults.judge([connection.session.number for connection in heard], may_displace=not self.held)
        concerned = [one for one in heard if verdict.connection in {None, one.session.number}]
        frames: dict[Form, bytes] = {}
        for connection in heard:
            fate = verdict.fate if connection in concerned else Fate.SENT
            if fate is Fate.WITHHELD:
                withheld += connection.withhold(self.name)
                continue
            if fate is Fate.DISPLACED:
                continue
            form = connection.forms[self.name]
            frame = frames.get(form)
            if frame is None:
                frame = frames[form] = self._frame(form, event)
            connection.send(self.name, frame, event_id)
            if fate is Fate.REPEATED:
                connection.send(self.name, frame, event_id, Fate.REPEATED)
        if frames and to is None:
            self._release_held()
        if verdict.fate is Fate.DISPLACED:
            self.held.append(_Held(event_id, event, concerned, verdict.distance))
        return withheld

    def withhold(self, to: VenueConnection | None = None) -> int:
        """Record that an event is not sent, and return the number of frames.

        Args:
            to: The only connection that would have got it; None for all who listen.
        """
        return sum(connection.withhold(self.name) for connection in (self if to is None else (to,)))

    def leave(self, connection: VenueConnection) -> int:
        """Let a connection listen no more; return the number of frames that it is owed and will not get."""
        form = connection.forms.pop(self.name)
        group = self.groups[form]
        del group[connection]
        if not group:
            del self.groups[form]
        withheld = 0
        for held in tuple(self.held):
            if connection in held.connections:
                held.connections.remove(connection)
                withheld += connection.withhold(self.name)
            if not held.connections:
                self.held.remove(held)
        return withheld

    def _release_held(self) -> None:
        for held in tuple(self.held):
            held.left -= 1
            if held.left <= 0:
                self.held.remove(held)
                for connection in held.connections:
                    frame = self._frame(connection.forms[self.name], held.event)
                    connection.send(self.name, frame, held.event_id, Fate.DISPLACED)

    def _frame(self, form: Form, event: Event) -> bytes:
        return text_frame(self.dialect.payload(self.name, form, event))


@attrs.define(eq=False, kw_only=True)
class VenueConnection:
    """One client: its subscriptions and its record. It is the peer's handler."""

    peer: Peer
    client: DialectClient
    session: VenueSession
    venue: VenueCore
    last_traffic: float
    """When a frame last went in whatever direction, on the event loop's clock."""
    expires_at: float = math.inf
    """When it ends, on the event loop's clock."""
    expiry_close: tuple[int, str] | None = None
    """Close code and reason then; None to reset the connection."""
    forms: dict[str, Form] = attrs.field(factory=dict["str", "Form"])
    """The form in which each stream that it listens to is sent."""
    _arrivals: deque[float] = attrs.field(factory=deque[float])

    def send(self, stream: str, frame: bytes, event_id: int | None, fate: Fate = Fate.SENT) -> None:
        """Have a frame of a stream sent."""
        record = self.session.streams[stream]
        self.peer.send(frame, (record if fate is Fate.SENT else MarkedRecord(record, fate), event_id))

    def withhold(self, stream: str) -> int:
        """Record that a frame of a stream is not sent; return 1."""
        self.session.streams[stream].withheld += 1
        return 1

    def send_control(self, payload: bytes) -> None:
        """Have a reply or a notice sent."""
        self.peer.send(text_frame(payload), (self.session.control, None))

    def send_garbage(self, kind: GarbageKind) -> None:
        """Have a bad frame sent."""
        payload = self.venue.dialect.garbage(self.client, kind)
        self.peer.send(text_frame(payload), (self.session.garbage, None))

    def received_frame(self, frame: Frame) -> None:
        """Count a frame against the limit of messages, and close when there are too many."""
        now = self.last_traffic = anyio.current_time()
        limit = self.venue.max_messages_per_second
        if frame.opcode not in _COUNTED or limit is None:
            return
        while self._arrivals and self._arrivals[0] <= now - 1.0:
            self._arrivals.popleft()
        self._arrivals.append(now)
        if len(self._arrivals) > limit:
            self.venue.flooded(self)

    def received_message(self, message: bytes) -> None:
        """Answer a request."""
        self.venue.answer(self, message)

    def sent(self, marks: list[object]) -> None:
        """Record what was sent."""
        self.last_traffic = anyio.current_time()
        for record, event_id in cast("list[tuple[StreamRecord, int | None]]", marks):
            record.note(event_id)

    def ended(self) -> None:
        """Record the end."""
        self.venue.ended(self)


__all__ = ("Feed", "VenueConnection")
