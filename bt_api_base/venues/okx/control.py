"""What OKX says besides data: answers, refusals, log-ins, notices.

Source: OKX v5 API documentation, "WebSocket": "Login", "Subscribe", "Notification", "Connection count limit", and
"Error codes", "WebSocket".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

from bt_api_base.venues.okx.malformed import FieldError
from bt_api_base.venues.okx.topics import channel_key
from bt_api_base.websocket.adapter import Ack, Control, LoggedIn, LoginRefused, Notice, Refusal, Unrecognized

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ("LOGIN_CODES", "RETRYABLE_CODES", "read_answer", "read_event", "unrecognized")

LOGIN_CODES = frozenset({"60004", "60005", "60006", "60007", "60009", "60022", "60024", "60031", "60032", "63999"})
"""Codes of log-ins only: timestamp invalid or expired, key, signature, failed, bulk log-in partly failed, passphrase,
repeated, no such key, internal error."""

RETRYABLE_CODES = frozenset({"60004", "60006", "60014", "60023", "63999", "64007"})
"""Codes that another attempt, later or with a corrected clock, can overcome. Everything else is about keys."""

_CLOSING = "64008"
"""Notice of a service upgrade: the connection closes in 60 seconds."""

_MOST_CONNECTIONS = 30
"""Connections that may subscribe to one private channel of an account: "Connection count limit"."""

_LONGEST_NAME = 64
"""Characters of a foreign name that are kept: it goes into counters and logs."""

_NAMED = re.compile(r"\b(channel|instType|instFamily|instId|ccy)\s*[:=]\s*([\w.-]+)", re.ASCII)
"""How a refusal spells what it refuses: ``Wrong URL or channel:foo,instId:BTC-USDT doesn't exist.``"""


def read_event(  # noqa: PLR0911 - one return per kind
    message: Mapping[str, Any], asked: Callable[[str], str | None], *, logging_in: bool
) -> Control:
    """Read a message with an ``event``.

    Args:
        message: The message.
        asked: Returns the key of the channel that was asked for and is called so, where it is exactly one.
        logging_in: Whether a log-in has not been answered yet.

    Raises:
        FieldError: A field is of the wrong type.
    """
    event = _text(message, "event")
    if event in ("subscribe", "unsubscribe"):
        key = _key(message)
        return Ack(_request_id(message), key) if key is not None else unrecognized(f"{event} to an unknown channel")
    code, text = _text(message, "code"), _text(message, "msg")
    if event == "login":
        return LoggedIn() if code in ("0", "") else _login_refused(code, text)
    if event == "error":
        request_id = _request_id(message)
        about_login = code in LOGIN_CODES or (logging_in and request_id is None)
        return _login_refused(code, text) if about_login else _refusal(message, request_id, code, text, asked)
    if event == "notice":
        return Notice(code or event, text, closing=code == _CLOSING)
    if event in ("channel-conn-count", "channel-conn-count-error"):
        channel, number = _text(message, "channel"), _text(message, "connCount")
        told = f"{channel}: {number} connections of {_MOST_CONNECTIONS}"
        if event == "channel-conn-count":
            return Notice(event, told)
        # It follows the confirmation, and takes it back.
        return Refusal(None, asked(channel), event, told)
    return unrecognized(event)


def read_answer(message: Mapping[str, Any]) -> Control:
    """Read the answer to an operation (``op``), such as an order.

    Raises:
        FieldError: A field is of the wrong type.
    """
    request_id, code = _request_id(message), _text(message, "code")
    if code in ("0", ""):
        return Ack(request_id, result=message.get("data"))
    text = _text(message, "msg")
    items = message.get("data")
    if isinstance(items, list) and items and isinstance(items[0], dict):  # what failed is said item by item
        item = cast("dict[str, Any]", items[0])
        code, text = _text(item, "sCode") or code, _text(item, "sMsg") or text
    return Refusal(request_id, None, code, text)


def unrecognized(kind: str) -> Unrecognized:
    """Report a kind of message that is not translated."""
    return Unrecognized(kind if len(kind) <= _LONGEST_NAME else kind[: _LONGEST_NAME - 1] + "…")


def _login_refused(code: str, text: str) -> LoginRefused:
    return LoginRefused(code, text, retryable=code in RETRYABLE_CODES)


def _refusal(
    message: Mapping[str, Any], request_id: str | None, code: str, text: str, asked: Callable[[str], str | None]
) -> Refusal:
    """Tell what was refused: the venue repeats no ``arg`` in an error, but it may say so in words."""
    key = _key(message) if "arg" in message else channel_key(dict(_NAMED.findall(text)))
    return Refusal(request_id, None if key is None else asked(key), code, text)


def _key(message: Mapping[str, Any]) -> str | None:
    arg = message.get("arg")
    if not isinstance(arg, dict):
        raise FieldError("arg", "expected an object that names a channel")
    return channel_key(cast("dict[str, Any]", arg))


def _request_id(message: Mapping[str, Any]) -> str | None:
    return _text(message, "id") or None


def _text(message: Mapping[str, Any], field: str) -> str:
    value = message.get(field, "")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise FieldError(field, "expected a text")
    return value
