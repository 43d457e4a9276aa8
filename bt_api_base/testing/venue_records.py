"""What a simulated venue remembers of each connection, so that a client's counts can be checked to the frame.

A frame counts as sent when it is handed to the operating system. Where a connection ended with a close frame that the
client answered (`VenueSession.is_exact`), the client has received exactly what is recorded; where it was cut, at most
that.
"""

from __future__ import annotations

import attrs

from bt_api_base.testing.peer import Ending
from bt_api_base.testing.stream_faults import Fate


@attrs.define(eq=False)
class StreamRecord:
    """What was sent of one stream over one connection, in order."""

    stream: str
    """The stream's name, for example "btcusdt@trade"; "control" and "garbage" for what is of no stream."""
    count: int = 0
    """Frames sent."""
    first_id: int | None = None
    """Id of the first frame sent: trade id, aggregate id, (last) update id of a book, or the event time of a bar or
    ticker in microseconds."""
    last_id: int | None = None
    """Id of the last frame sent."""
    ids: list[int] | None = None
    """All ids, where the venue keeps them (`keep_ids`)."""
    withheld: int = 0
    """Frames that were not sent over this connection because of a fault."""
    repeated: int = 0
    """Frames sent again: they count as sent, too."""
    displaced: int = 0
    """Frames sent later than their turn."""

    def note(self, event_id: int | None) -> None:
        """Count a frame."""
        if not self.count:
            self.first_id = event_id
        self.count += 1
        self.last_id = event_id
        if self.ids is not None and event_id is not None:
            self.ids.append(event_id)


@attrs.frozen(eq=False)
class MarkedRecord:
    """A record for the frames that a fault has sent again, or late."""

    record: StreamRecord
    fate: Fate

    def note(self, event_id: int | None) -> None:
        """Count a frame."""
        self.record.note(event_id)
        if self.fate is Fate.REPEATED:
            self.record.repeated += 1
        else:
            self.record.displaced += 1


@attrs.define(eq=False, kw_only=True)
class VenueSession:
    """One connection, from the handshake to its end."""

    number: int
    """Counts the connections of a venue, from 1."""
    target: str
    """Path and query of the handshake."""
    host: str = "memory"
    """The client's address."""
    opened_at: float
    """When, on the event loop's clock."""
    closed_at: float | None = None
    """When it ended, on the event loop's clock; None while it lives."""
    ending: Ending = Ending.OPEN
    """How it ended."""
    close_code: int | None = None
    """Code of the close frame that began the end, None where there was none."""
    close_reason: str = ""
    """Reason of that frame, or what the venue had against the client."""
    is_exact: bool = False
    """Whether the client has received exactly what was sent: the venue closed, and the client answered."""
    streams: dict[str, StreamRecord] = attrs.field(factory=dict[str, StreamRecord])
    """What was sent of each stream that was ever subscribed to."""
    control: StreamRecord = attrs.field(factory=lambda: StreamRecord("control"))
    """Replies to requests, and notices."""
    garbage: StreamRecord = attrs.field(factory=lambda: StreamRecord("garbage"))
    """What was sent to see whether the client bears it."""
    requests: int = 0
    """Requests received."""
    refusals: int = 0
    """Requests, or parts of requests, answered with an error."""
    acknowledgements: int = 0
    """Replies that say that a subscription or a log-in succeeded; those withheld are not in it."""
    withheld_acknowledgements: int = 0
    """Such replies that were not sent because of a fault."""
    delayed_acknowledgements: int = 0
    """Such replies that are sent late."""

    @property
    def sent(self) -> int:
        """Data frames sent."""
        return sum(record.count for record in self.streams.values())


__all__ = ("MarkedRecord", "StreamRecord", "VenueSession")
