"""A place in a stream where data is missing."""

from __future__ import annotations

from enum import Enum

from bt_api_base.containers._base import EventBase

__all__ = ("Gap", "GapReason")


class GapReason(str, Enum):
    """Why data is missing.

    Attributes:
        DISCONNECTED: The connection was interrupted, and the channel's events do not tell what was missed.
        SEQUENCE: The venue's own numbers have a hole.
        RESET: The venue began to count anew.
        OVERFLOW: The consumer was too slow, and its stream had to forget.
    """

    DISCONNECTED = "disconnected"
    SEQUENCE = "sequence"
    RESET = "reset"
    OVERFLOW = "overflow"


class Gap(EventBase, frozen=True, gc=False):
    """Data is missing here: between the event before this one in the stream, and the one after it.

    ``server_time`` is that of the event that follows, 0 if it is not known yet.

    Attributes:
        since: Local time of the last event before, nanoseconds since the epoch (UTC); 0 if there was none.
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
