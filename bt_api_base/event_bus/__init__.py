"""Events by name, by type or by pattern: to callbacks at once, to coroutines, and into bounded streams."""

from __future__ import annotations

from bt_api_base.event_bus.bus import EventBus, EventBusStatistics, Registration
from bt_api_base.event_bus.errors import ErrorHandlerMode, ErrorSeverity, error_severity
from bt_api_base.event_bus.publishers import Outlet, Publisher
from bt_api_base.event_bus.routes import Subscription

__all__ = (
    "ErrorHandlerMode",
    "ErrorSeverity",
    "EventBus",
    "EventBusStatistics",
    "Outlet",
    "Publisher",
    "Registration",
    "Subscription",
    "error_severity",
)
