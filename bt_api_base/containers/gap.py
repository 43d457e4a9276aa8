"""A place in a stream where data is missing."""

from __future__ import annotations

from bt_api_base.containers._base import EventBase
from bt_api_base.containers.enums import GapReason

__all__ = ("Gap",)


class Gap(EventBase, frozen=True, gc=False):
    """Data is missing here: between the event before this one in the stream, and the one after it.

    It is the only event that no venue sends: it is made here, and stands in a consumer's stream exactly where something
    is missing. A state that was built from the events before it (a book, a running sum, a position) is not to be
    carried over it, unless what follows is a snapshot.

    ``server_time`` is that of the event that follows, 0 if it is not known. ``local_time`` is when the gap was told.

    Attributes:
        since: Local time of the last event before it, nanoseconds since the epoch (UTC); 0 if there was none.
        until: Local time of the first event after it, or of the moment from which events arrive again.
        reason: Why.
        recoverable: Whether what is missing can be fetched by other means, or what follows makes up for it, as the
            snapshot after a book's gap does.
        topic: What the stream is of, such as ``"trade"``.
        first_missing: The venue's number of the first missing item, where it is known.
        last_missing: The same of the last one.
        missing: How many events are missing, where that is known.
    """

    since: int
    until: int
    reason: GapReason
    recoverable: bool = False
    topic: str = ""
    first_missing: int | None = None
    last_missing: int | None = None
    missing: int | None = None
