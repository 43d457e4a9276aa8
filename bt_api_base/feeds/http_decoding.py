"""From what came over the wire to the type that an endpoint returns."""

from __future__ import annotations

import re
import zlib
from functools import lru_cache
from typing import Any, Final

import msgspec

from bt_api_base.exceptions import DataParseError

__all__ = ("ACCEPTED_ENCODINGS", "BodyError", "BodyTooLongError", "decode_body", "decompress")

ACCEPTED_ENCODINGS: Final = "gzip, deflate"
"""What bodies may be compressed with."""

_PATH: Final = re.compile(r" - at `(.*)`$", re.DOTALL)
"""Where msgspec names the place of what it did not expect."""


class BodyError(Exception):
    """A body cannot be taken as it came."""


class BodyTooLongError(BodyError):
    """A body is longer than is taken."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"the body is longer than {limit_bytes} bytes")


def decompress(data: bytes, encoding: str, limit_bytes: int) -> bytes:
    """Return a body as it was before it was compressed.

    It is done here and not by httpx, because a few kilobytes can become gigabytes: this stops at the limit.

    Args:
        data: The body.
        encoding: The header ``Content-Encoding``; empty if there is none.
        limit_bytes: The longest body that is taken.

    Raises:
        BodyTooLongError: It is longer.
        BodyError: It is damaged, or compressed in a way that was not asked for.
    """
    for name in reversed(encoding.lower().split(",")):
        coding = name.strip()
        if coding in {"gzip", "x-gzip", "deflate"}:
            data = _inflated(data, limit_bytes)
        elif coding not in {"", "identity"}:
            raise BodyError(f"compressed with {coding!r}, which was not asked for")
    return data


def _inflated(data: bytes, limit_bytes: int) -> bytes:
    # 15 + 32: tells gzip and zlib apart itself. Some send deflate without the zlib around it (RFC 9110, 8.4.1.2).
    is_bare = data[:1] not in {b"\x1f", b"\x78"}
    inflater = zlib.decompressobj(-zlib.MAX_WBITS if is_bare else zlib.MAX_WBITS + 32)
    try:
        inflated = inflater.decompress(data, limit_bytes + 1)
    except zlib.error as error:
        raise BodyError(f"damaged: {error}") from None
    if len(inflated) > limit_bytes:
        raise BodyTooLongError(limit_bytes)
    if not inflater.eof:
        raise BodyError("damaged: the end is missing")
    return inflated


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
