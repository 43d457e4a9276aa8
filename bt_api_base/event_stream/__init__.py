"""One bounded hand-over between a producer that never waits and a consumer that may be slow."""

from __future__ import annotations

from bt_api_base.event_stream.overflow import EventStreamStatistics, Overflow, conflation_key
from bt_api_base.event_stream.stream import EventStream

__all__ = ("EventStream", "EventStreamStatistics", "Overflow", "conflation_key")
