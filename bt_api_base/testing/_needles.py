"""How a secret may be spelled where it should not be, and looking for all of that in a text at once."""

from __future__ import annotations

import base64
import json
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ("Needles", "needles")

_FRAGMENT: Final = 12
"""Characters of a value that count as a leak, as when a text was cut off in its middle."""

_WINDOW: Final = 8
_STRIDE: Final = _FRAGMENT - _WINDOW + 1
"""Of any fragment, one window that begins at a multiple of this is a part."""


class Needles:
    """The spellings of one value.

    Args:
        value: The value.
        fragments: Whether a part of it is a find, too: not for values that have words in them.
    """

    __slots__ = ("_parts", "_quick", "_spellings")

    def __init__(self, value: str, *, fragments: bool = True) -> None:
        found: dict[str, str] = {}
        for name, spelling in _every_spelling(value):
            found.setdefault(spelling.casefold(), name)
        self._spellings = tuple(found.items())
        folded = value.casefold()
        # What is found in any of these is looked at closely; they are few, and most texts have none of them.
        self._quick = tuple(found)
        self._parts: tuple[str, ...] = ()
        if fragments and len(folded) >= _FRAGMENT:
            self._parts = tuple(folded[start : start + _FRAGMENT] for start in range(len(folded) - _FRAGMENT + 1))
            windows = (folded[start : start + _WINDOW] for start in range(0, len(folded) - _WINDOW + 1, _STRIDE))
            self._quick = (*windows, *(needle for needle in found if folded not in needle))

    def find(self, folded: str) -> str:
        """Return how the value is spelled in a text; nothing if it is not there.

        Args:
            folded: The text, after `str.casefold`.
        """
        for needle in self._quick:
            if needle in folded:
                break
        else:
            return ""
        for needle, name in self._spellings:
            if needle in folded:
                return name
        return "a part of it" if any(part in folded for part in self._parts) else ""

    def masked(self, text: str) -> str:
        """Return a text without any of them."""
        for needle in (*(needle for needle, _ in self._spellings), *self._parts):
            text = re.sub(re.escape(needle), "***", text, flags=re.IGNORECASE)
        return text


@lru_cache(maxsize=512)
def needles(value: str) -> Needles:
    """Return the spellings of a value that may have words in it; those of one are made once."""
    return Needles(value, fragments=False)


def _every_spelling(value: str) -> Iterable[tuple[str, str]]:
    encoded = value.encode()
    yield "plain", value
    yield "URL-quoted", quote(value, safe="")
    yield "URL-quoted", quote(value)
    yield "URL-quoted", quote_plus(value)
    yield "URL-quoted twice", quote(quote(value, safe=""), safe="")
    yield "escaped", json.dumps(value)[1:-1]
    yield "escaped", json.dumps(value, ensure_ascii=False)[1:-1]
    yield "escaped", repr(value)[1:-1]
    yield "escaped", repr(encoded)[2:-1]
    yield "hexadecimal", encoded.hex()
    yield "backwards", value[::-1]
    yield "bytes as characters", encoded.decode("latin-1")
    for alphabet in (base64.b64encode, base64.urlsafe_b64encode):
        for offset in range(3):
            # Three bytes make four characters. The ones at the ends depend on what is before and behind.
            text = alphabet(bytes(offset) + encoded).decode().rstrip("=")
            yield "Base64", text[(0, 2, 3)[offset] : -1 if len(bytes(offset) + encoded) % 3 else None]
