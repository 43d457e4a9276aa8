"""Turning what went wrong with a frame into one `DataParseError` that says where."""

from __future__ import annotations

import re

import msgspec

from bt_api_base._redaction import excerpt
from bt_api_base.exceptions import DataParseError

__all__ = ("MALFORMED", "FieldError", "parse_error")

MALFORMED = (msgspec.MsgspecError, ValueError, OverflowError, RecursionError)
"""What foreign bytes can make a decoder raise: bad syntax or types, bad UTF-8, huge numbers, deep nesting."""

_HEAD_BYTES = 256
"""Where in a frame its channel's name is looked for."""

_LONGEST_DETAIL = 400
"""Characters of a decoder's explanation that are kept."""

_CHANNEL = re.compile(rb'"channel"\s*:\s*"([^"\\]{1,60})"')
_INSTRUMENT = re.compile(rb'"instId"\s*:\s*"([^"\\]{1,60})"')
_PLACE = re.compile(r"^(?P<detail>.*) - at `\$\.?(?P<path>.*)`$", re.DOTALL)
_MISSING = re.compile(r"missing required field `(?P<name>[^`]+)`")
_ITEM = re.compile(r"^data\[0\]\.")


class FieldError(ValueError):
    """A frame is well-formed JSON, and one of its fields is not what it has to be.

    Attributes:
        field: The field's name; empty if it is the frame as a whole.
    """

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(detail)
        self.field = field


def parse_error(exchange_name: str, frame: bytes | str, error: Exception) -> DataParseError:
    """Describe a bad frame: its channel and field as far as they can be told, and its beginning.

    Args:
        exchange_name: The venue.
        frame: The frame.
        error: What decoding it raised: one of `MALFORMED`.
    """
    payload = frame if isinstance(frame, bytes) else frame.encode("utf-8", "replace")
    head = payload[:_HEAD_BYTES].partition(b"}")[0]
    names = (pattern.search(head) for pattern in (_CHANNEL, _INSTRUMENT))
    channel = ":".join(name[1].decode("utf-8", "replace") for name in names if name)
    detail, field = _explain(error)
    detail = excerpt(detail, _LONGEST_DETAIL)  # a decoder may repeat what it was given
    return DataParseError("frame", detail, exchange_name=exchange_name, channel=channel, field=field, payload=payload)


def _explain(error: Exception) -> tuple[str, str]:
    """Return what is wrong, and the path of the field that is, without the envelope."""
    if isinstance(error, FieldError):
        return str(error), error.field
    if isinstance(error, UnicodeError):
        return f"not valid UTF-8: {error.reason}" if isinstance(error, UnicodeDecodeError) else "not valid UTF-8", ""
    if isinstance(error, RecursionError):
        return "nested too deeply", ""
    place = _PLACE.match(str(error))
    detail, path = (place["detail"], place["path"]) if place else (str(error), "")
    missing = _MISSING.search(detail)
    if missing:
        path = f"{path}.{missing['name']}" if path else missing["name"]
    return detail, _ITEM.sub("", path)
