"""Turning what went wrong with a frame into one `DataParseError` that says where."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from bt_api_base._redaction import excerpt
from bt_api_base.exceptions import DataParseError

if TYPE_CHECKING:
    from bt_api_base.venues.binance.table import TopicTable

__all__ = ("MALFORMED", "FieldError", "parse_error")

MALFORMED = (msgspec.MsgspecError, ValueError, OverflowError, RecursionError)
"""What foreign bytes can make a decoder raise: bad syntax or types, bad UTF-8, huge numbers, deep nesting."""

_HEAD_BYTES = 256
"""Where in a frame its stream's name is looked for."""

_LONGEST_DETAIL = 400
"""Characters of a decoder's explanation that are kept."""

_STREAM = re.compile(rb'"stream"\s*:\s*"([^"\\]{1,100})"')
_OPAQUE = re.compile(rb"[A-Za-z0-9_-]{32,}")
_PLACE = re.compile(r"^(?P<detail>.*) - at `\$\.?(?P<path>.*)`$", re.DOTALL)
_MISSING = re.compile(r"missing required field `(?P<name>[^`]+)`")


class FieldError(ValueError):
    """A frame is well-formed JSON, and one of its fields is not what it has to be.

    Attributes:
        field: The field's name; empty if it is the frame as a whole.
    """

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(detail)
        self.field = field


def parse_error(table: TopicTable, frame: bytes | str, error: Exception, *, private: bool = False) -> DataParseError:
    """Describe a bad frame: its channel and field as far as they can be told, and its beginning.

    Args:
        table: The market's topics.
        frame: The frame.
        error: What decoding it raised: one of `MALFORMED`.
        private: Whether it is of a private endpoint, where the name of a stream may be a key to it.
    """
    payload = frame if isinstance(frame, bytes) else frame.encode("utf-8", "replace")
    found = None if private else _STREAM.search(payload, 0, _HEAD_BYTES)
    channel = found[1].decode("utf-8", "replace") if found else ""
    stream = table.streams.get(channel.partition("@")[2])
    detail, field = _explain(error)
    detail = excerpt(detail, _LONGEST_DETAIL)  # a decoder may repeat what it was given
    return DataParseError(
        "frame" if stream is None else stream[0].event_type.__name__,
        detail,
        exchange_name=table.exchange_name,
        channel=channel,
        field=field,
        payload=_OPAQUE.sub(b"***", payload) if private else payload,  # a listen key, wherever it stands
    )


def _explain(error: Exception) -> tuple[str, str]:
    """Return what is wrong, and the path of the field that is, without the envelope around it."""
    if isinstance(error, FieldError):
        return str(error), error.field
    if isinstance(error, UnicodeError):
        return f"not valid UTF-8: {error.reason}" if isinstance(error, UnicodeDecodeError) else "not valid UTF-8", ""
    if isinstance(error, RecursionError):
        return "nested too deeply", ""
    place = _PLACE.match(str(error))
    detail, path = (place["detail"], place["path"]) if place else (str(error), "")
    if "..." in path:
        return detail, ""  # the decoder of any JSON does not keep track of where it is
    missing = _MISSING.search(detail)
    if missing:
        path = f"{path}.{missing['name']}" if path else missing["name"]
    return detail, path.removeprefix("data.").removeprefix("event.")
