"""What becomes of an exception that a handler raises."""

from __future__ import annotations

import sys
from collections import Counter, deque
from enum import Enum
from typing import Any

import attrs

from bt_api_base.exceptions import (
    RequestFailedError,
    SubscribeError,
    is_order_error,
    is_rate_limit_error,
    is_user_recoverable,
)

if sys.version_info < (3, 11):
    from exceptiongroup import ExceptionGroup

__all__ = ("ErrorHandlerMode", "ErrorSeverity", "ErrorSink", "error_severity")


class ErrorHandlerMode(str, Enum):
    """What becomes of an exception that a handler raises. Every other handler gets the event in any case.

    Attributes:
        LOG: It is logged: a `ErrorSeverity.USER_ERROR` as a warning, the others as errors, with their traceback.
        RAISE: It is raised when all handlers have run; several are raised as an `ExceptionGroup`.
        COLLECT: It is kept for `EventBus.get_last_errors`.
    """

    LOG = "log"
    RAISE = "raise"
    COLLECT = "collect"


class ErrorSeverity(str, Enum):
    """Whose matter an exception is.

    Attributes:
        USER_ERROR: The user's: settings, credentials, a symbol or an order that cannot be.
        BUSINESS_ERROR: The venue's: it understood and refused, or limits what may be asked of it.
        SYSTEM_ERROR: The network's, the machine's or the program's: everything else.
    """

    USER_ERROR = "user_error"
    BUSINESS_ERROR = "business_error"
    SYSTEM_ERROR = "system_error"


def error_severity(error: Exception) -> ErrorSeverity:
    """Return whose matter an exception is. A group is the system's unless all its members are somebody else's."""
    if is_user_recoverable(error):
        return ErrorSeverity.USER_ERROR
    if is_order_error(error) or is_rate_limit_error(error) or isinstance(error, (SubscribeError, RequestFailedError)):
        return ErrorSeverity.BUSINESS_ERROR
    return ErrorSeverity.SYSTEM_ERROR


@attrs.define(eq=False)
class ErrorSink:
    """Does with handlers' exceptions what the mode says, and counts them.

    Attributes:
        mode: What to do.
        counts: How many there were, by severity.
        collected: Those of the mode ``COLLECT``.
    """

    mode: ErrorHandlerMode
    collected: deque[Exception]
    _logger: Any = None
    counts: Counter[ErrorSeverity] = attrs.field(factory=Counter[ErrorSeverity], init=False)

    def put(self, event: object, handler: object, error: Exception) -> None:
        """Count an exception, and log or collect it."""
        self.counts[error_severity(error)] += 1
        if self.mode is ErrorHandlerMode.COLLECT:
            self.collected.append(error)
        elif self.mode is ErrorHandlerMode.LOG:
            self.log(event, handler, error)

    def finish(self, errors: list[Exception]) -> None:
        """Raise the exceptions of one event, in the mode ``RAISE``."""
        if self.mode is ErrorHandlerMode.RAISE:
            if len(errors) == 1:
                raise errors[0]
            raise ExceptionGroup("event handlers failed", errors)

    def log(self, event: object, handler: object, error: Exception) -> None:
        """Log an exception, naming event and handler."""
        if self._logger is None:
            from bt_api_base.logging_factory import get_logger

            self._logger = get_logger("event_bus")
        severity = error_severity(error)
        log = self._logger.warning if severity is ErrorSeverity.USER_ERROR else self._logger.error
        log("handler %s failed on event %s: %s", _name(handler), _name(event), severity.value, exc_info=error)


def _name(what: object) -> str:
    """Return a name for logs that shows nothing of the object's content."""
    name = what if isinstance(what, str) else getattr(what, "__qualname__", None)
    return name if isinstance(name, str) else type(what).__qualname__
