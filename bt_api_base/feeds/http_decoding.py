"""From a body to the type that an endpoint returns."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final

import msgspec

from bt_api_base.exceptions import DataParseError

__all__ = ("decode_body",)

_PATH: Final = re.compile(r" - at `(.*)`$", re.DOTALL)
"""Where msgspec names the place of what it did not expect."""


@lru_cache(maxsize=1024)
def _decoder(result: Any) -> msgspec.json.Decoder[Any]:  # noqa: ANN401 - any type at all
    return msgspec.json.Decoder(result, strict=False)  # venues write numbers as text


def decode_body(body: bytes, result: Any, *, exchange_name: str, what: str) -> Any:  # noqa: ANN401 - any type at all
    """Return a body as the type that was asked for: ``bytes`` as it is, ``None`` for nothing at all, else from JSON.

    Args:
        body: The body.
        result: The type.
        exchange_name: The venue.
        what: The endpoint, as an error names it.

    Raises:
        DataParseError: It is something else. The error names venue, endpoint and field.
    """
    if result is bytes:
        return body
    if result is None:
        return None
    try:
        return _decoder(result).decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        text = str(error)
        place = _PATH.search(text)
        detail = text if place is None else text[: place.start()]
        field = "" if place is None else place[1].removeprefix("$").removeprefix(".")
        problem = DataParseError(
            _name(result), detail, exchange_name=exchange_name, channel=what, field=field, payload=body
        )
    # Outside of the handler: msgspec's exception repeats what came, unmasked, as the context.
    raise problem


def _name(result: Any) -> str:  # noqa: ANN401 - any type at all
    return result.__name__ if isinstance(result, type) else str(result).replace("typing.", "")
