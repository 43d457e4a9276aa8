"""Damage to frames: bytes that are cut, flipped and repeated, and messages whose meaning has changed.

The same seed and frames give the same damage.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator, Sequence

# fmt: off
_JUNK_VALUES: Final[tuple[Any, ...]] = (
    None, True, False, 0, -1, 1, 0.5, -0.0, 1e308, 2**31, 2**63, 2**64, -(2**63), 10**30, "", "x", "nan", "-inf",
    "1e999", "0x10", "\u0000", "\U0001f600", [], {}, [[]], [{}], {"": ""}, [["1", "2"]], [1, "2", None],
    {"a": {"b": {"c": [1, 2, 3]}}},
)
_JUNK_BYTES: Final = (
    b"\x00", b"\xff", b"\xc3", b"\xed\xa0\x80", b'"', b"\\", b"\\u", b"\\ud800", b"{", b"}", b"[", b"]", b",", b":",
    b"-", b"e9", b"1e999", b"null", b"NaN", b"Infinity", b"[" * 2000, b'{"a":' * 2000, b"9" * 400, b"9" * 5000,
    b" " * 50, "\u2028".encode(), b"\xef\xbb\xbf",
)
_WHOLE_FRAMES: Final[tuple[bytes, ...]] = (
    b"", b" ", b"\x00", b"null", b"true", b"0", b'""', b"[]", b"{}", b"[[]]", b"[{}]", b"\xff\xfe", b"ping", b"pong",
    b"<html><body>502 Bad Gateway</body></html>", b"9" * 5000, b"[" * 5000, b'{"a":' * 5000, b'"\\ud800"', b"1e999",
    b'[[{"unexpected":[]}],null,3.5]', b'{"no one":"knows","this":1}',
)
# fmt: on


def damaged_frames(frames: Sequence[bytes], rng: random.Random, count: int) -> Iterator[bytes | str]:
    """Yield frames that no venue should send: a few that are none at all, and then damaged ones.

    Args:
        frames: What is damaged.
        rng: What the damage follows from.
        count: How many damaged ones.
    """
    yield from _WHOLE_FRAMES
    yield "\ud800"
    decoded = [(frame, decoded_json(frame)) for frame in frames]
    words = sorted({word for _, message in decoded for word in _words(message)})
    for _ in range(count if frames else 0):
        frame, message = rng.choice(decoded)
        if isinstance(message, (dict, list)) and rng.random() < 0.5:
            changed = msgspec.json.decode(msgspec.json.encode(message))
            damaged = msgspec.json.encode(_change_meaning(changed, rng, words))
            if rng.random() < 0.2:
                damaged = rng.choice(_BYTE_DAMAGE)(damaged or b" ", rng)
        elif rng.random() < 0.2:
            damaged = _splice(frame, rng, rng.choice(frames))
        else:
            damaged = rng.choice(_BYTE_DAMAGE)(frame or b" ", rng)
        if rng.randrange(8) == 0:
            yield damaged.decode("utf-8", rng.choice(("replace", "surrogateescape", "ignore")))
        else:
            yield damaged


def decoded_json(frame: bytes | str) -> Any:  # noqa: ANN401 - JSON is anything
    """Return what a frame says in JSON; None if it is none."""
    try:
        return msgspec.json.decode(frame)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None


def is_finite(value: object) -> bool:
    """Return whether a value, and all it contains, is free of NaN and infinity."""
    if isinstance(value, (tuple, list)):
        return all(map(is_finite, cast("tuple[object, ...]", value)))
    if isinstance(value, msgspec.Struct):
        return is_finite(msgspec.structs.astuple(value))
    return not isinstance(value, float) or math.isfinite(value)


# -- bytes -----------------------------------------------------------------------------------------


def _flip(frame: bytes, rng: random.Random) -> bytes:
    damaged = bytearray(frame)
    for _ in range(rng.randint(1, 4)):
        damaged[rng.randrange(len(damaged))] = rng.randrange(256)
    return bytes(damaged)


def _cut(frame: bytes, rng: random.Random) -> bytes:
    start, end = sorted((rng.randrange(len(frame) + 1), rng.randrange(len(frame) + 1)))
    return rng.choice((frame[:end], frame[start:], frame[start:end], frame[:start] + frame[end:]))


def _insert(frame: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(frame) + 1)
    return frame[:place] + rng.choice(_JUNK_BYTES) + frame[place:]


def _repeat(frame: bytes, rng: random.Random) -> bytes:
    start, end = sorted((rng.randrange(len(frame)), rng.randrange(len(frame) + 1)))
    return frame[:end] + frame[start:end] * rng.randint(1, 3) + frame[end:]


def _splice(frame: bytes, rng: random.Random, other: bytes) -> bytes:
    return frame[: rng.randrange(len(frame) + 1)] + other[rng.randrange(len(other) + 1) :]


_BYTE_DAMAGE: Final[tuple[Callable[[bytes, random.Random], bytes], ...]] = (_flip, _cut, _insert, _repeat)

# -- meaning ---------------------------------------------------------------------------------------


def _places(message: object) -> list[dict[str, Any] | list[Any]]:
    """Return every object and array in a message that has anything in it."""
    found: list[dict[str, Any] | list[Any]] = []
    stack: list[object] = [message]
    while stack:
        item = stack.pop()
        if item and isinstance(item, (dict, list)):
            place = cast("dict[str, Any] | list[Any]", item)
            found.append(place)
            stack.extend(place.values() if isinstance(place, dict) else place)
    return found


def _words(message: object) -> Iterator[str]:
    """Yield the short texts of a message: its names and its values."""
    for place in _places(message):
        items: list[Any] = [*place, *place.values()] if isinstance(place, dict) else place
        yield from (item for item in items if isinstance(item, str) and len(item) <= 24)


def _has_names(place: object) -> bool:
    return isinstance(place, dict)


def _change_meaning(message: object, rng: random.Random, words: Sequence[str]) -> object:
    """Change a message: another value, a missing or strange name, a level more or less."""
    places = _places(message)
    if not places:
        return rng.choice(_JUNK_VALUES)
    for _ in range(rng.randint(1, 3)):
        place: Any = rng.choice(places)
        has_names = _has_names(place)
        keys: list[Any] = list(place) if has_names else list(range(len(place)))
        if not keys:
            continue
        key = rng.choice(keys)
        kind = rng.randrange(7)
        if kind == 0:
            del place[key]
        elif kind == 1:
            place[key] = [place[key]]
        elif kind == 2 and has_names:
            place[rng.choice(words)] = place.pop(key)
        elif kind == 3 and has_names:
            place[rng.choice(words)] = rng.choice(_JUNK_VALUES)
        elif kind == 4 and words:
            place[key] = rng.choice(words)
        else:
            place[key] = rng.choice(_JUNK_VALUES)
    return message


__all__ = ("damaged_frames", "decoded_json", "is_finite")
