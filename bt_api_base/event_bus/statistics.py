"""What an event bus counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from bt_api_base.event_stream import EventStreamStatistics

__all__ = ("EventBusStatistics",)


@attrs.frozen(kw_only=True)
class EventBusStatistics:
    """An event bus at one moment.

    Attributes:
        emitted: Events that came, by `EventBus.emit` and `EventBus.publish`.
        delivered: Times that a handler or a stream took one.
        errors: Exceptions that handlers raised; the sum of the next three.
        user_errors: Those of `ErrorSeverity.USER_ERROR`.
        business_errors: Those of `ErrorSeverity.BUSINESS_ERROR`.
        system_errors: Those of `ErrorSeverity.SYSTEM_ERROR`.
        handlers: Registered handlers.
        streams: Open streams: what each was opened for, and its counters.
        thread_handled: Events from other threads that the event loop took.
        thread_pending: Events from other threads that it has yet to take.
        thread_dropped: Events from other threads that were forgotten: more came than the buffer holds, or the event
            loop was gone.
    """

    emitted: int
    delivered: int
    errors: int
    user_errors: int
    business_errors: int
    system_errors: int
    handlers: int
    streams: tuple[tuple[str | type, EventStreamStatistics], ...]
    thread_handled: int
    thread_pending: int
    thread_dropped: int
