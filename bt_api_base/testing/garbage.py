"""Frames that no venue should send, and every venue has sent."""

from __future__ import annotations

from typing import Final, Literal

GarbageKind = Literal["text", "truncated", "utf8", "types", "shape"]
"""What is wrong with a frame."""

GARBAGE_KINDS: Final[tuple[GarbageKind, ...]] = ("text", "truncated", "utf8", "types", "shape")
"""All of them: no JSON; JSON that ends early; text that is no UTF-8; wrong types; and JSON of no known shape."""


def garbage(kind: GarbageKind, stream: str, *, combined: bool) -> bytes:
    """Return the payload of a bad text frame.

    Args:
        kind: What is wrong with it.
        stream: A stream that the client has subscribed to.
        combined: Whether the client's data come wrapped with the name of their stream.
    """
    symbol, _, channel = stream.partition("@")
    symbol, event = symbol.upper(), channel.partition("_")[0]
    if kind == "types":
        data = f'{{"e":"{event}","E":"soon","s":"{symbol}","u":"many","t":{{}},"p":[],"q":null,"b":7,"a":7}}'
    else:
        data = f'{{"e":"{event}","E":1700000000000,"s":"{symbol}","t":12345,"p":"0.00100000"}}'
    frame = (f'{{"stream":"{stream}","data":{data}}}' if combined else data).encode()
    if kind == "text":
        return b"<html><body>502 Bad Gateway</body></html>"
    if kind == "truncated":
        return frame[: 2 * len(frame) // 3]
    if kind == "utf8":
        return frame[:-8] + b"\xff\xfe\xc3\x28" + frame[-8:]
    if kind == "shape":
        return b'[[{"unexpected":[]}],null,3.5]'
    return frame


__all__ = ("GARBAGE_KINDS", "GarbageKind", "garbage")
