"""What Binance says besides market data: answers, refusals, notices.

Sources: Binance spot API documentation, "WebSocket Streams" (answers to SUBSCRIBE and its kin,
``{"code", "msg"}`` errors, ``serverShutdown``) and "WebSocket API" (answers with a ``status``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from bt_api_base.venues.binance.malformed import FieldError
from bt_api_base.websocket.adapter import Ack, Control, Notice, Refusal, Unrecognized

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ("SHUTDOWN", "read_control", "read_event", "unrecognized")

SHUTDOWN = Notice("serverShutdown", "the venue is about to close its connections", closing=True)
"""The venue's notice that it restarts; it gives no fixed lead time."""

_LONGEST_NAME = 64
"""Characters of a foreign name that are kept: it goes into counters and logs."""


def read_control(message: Mapping[str, Any]) -> Control:  # noqa: PLR0911 - one return per kind
    """Read a message that is not market data.

    Raises:
        FieldError: A field is of the wrong type.
    """
    if isinstance(message.get("event"), dict):  # around private events, and notices on the WebSocket API
        return read_event(cast("Mapping[str, Any]", message["event"]))
    if message.get("error") is not None:
        return _refusal(message, message["error"])
    if "code" in message and "msg" in message:
        return _refusal(message, message)
    status = message.get("status")
    if "result" in message or ("id" in message and status is not None):
        if isinstance(status, int) and status >= 400:
            return Refusal(_request_id(message), code=status, message=f"status {status}")
        return Ack(_request_id(message), result=message.get("result"))
    if "e" in message:
        return read_event(message)
    if isinstance(message.get("method"), str):
        return unrecognized(message["method"])
    return unrecognized("object with " + ", ".join(message) if message else "empty object")


def read_event(event: Mapping[str, Any]) -> Control:
    """Read an event that is not market data: the shutdown notice, or one that is not translated.

    Raises:
        FieldError: Its name is no text.
    """
    name = event.get("e")
    if name == "serverShutdown":
        return SHUTDOWN
    if name is None:
        return unrecognized("event without a name")
    if not isinstance(name, str):
        raise FieldError("e", "the event's name is no text")
    return unrecognized(name)


def _refusal(message: Mapping[str, Any], error: object) -> Refusal:
    if not isinstance(error, dict):
        raise FieldError("error", "expected an object with code and msg")
    error = cast("dict[str, Any]", error)
    code, text = error.get("code"), error.get("msg", "")
    if isinstance(code, bool) or not isinstance(code, (int, str, type(None))):
        raise FieldError("code", "expected a number")
    if not isinstance(text, str):
        raise FieldError("msg", "expected a text")
    return Refusal(_request_id(message), code=code, message=text)


def _request_id(message: Mapping[str, Any]) -> int | str | None:
    request_id = message.get("id")
    if isinstance(request_id, bool) or not isinstance(request_id, (int, str, type(None))):
        raise FieldError("id", "expected a whole number, a text or null")
    return request_id


def unrecognized(kind: str) -> Unrecognized:
    """Report a kind of message that is not translated."""
    return Unrecognized(kind if len(kind) <= _LONGEST_NAME else kind[: _LONGEST_NAME - 1] + "…")
