"""Events by name, by type or by pattern: to callbacks at once, to coroutines, and into bounded streams."""

from __future__ import annotations

from bt_api_base.event_bus.bus import EventBus
from bt_api_base.event_bus.errors import ErrorHandlerMode, ErrorSeverity, error_severity
from bt_api_base.event_bus.publishers import Outlet, Publisher
from bt_api_base.event_bus.routes import Registration, Subscription
from bt_api_base.event_bus.statistics import EventBusStatistics

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
