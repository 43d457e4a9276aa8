"""Where WebSocket frames begin and end in a stream of bytes, for a proxy that takes single ones out.

It is no protocol implementation: nothing is checked, and what cannot be followed is passed on as it is.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import attrs

from bt_api_base.testing.proxy_faults import Direction

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

MAX_HELD_BYTES: Final = 1 << 20
"""A longer frame is passed on while it arrives, and no fault looks at it."""

_MAX_HEAD_BYTES: Final = 65_536
"""A longer HTTP head is none."""

_END_OF_HEAD: Final = b"\r\n\r\n"
_SWITCHING: Final = re.compile(rb"HTTP/1\.1 101 ")
_OFFER: Final = re.compile(rb"\r\nSec-WebSocket-Extensions:[^\r\n]*", re.IGNORECASE)

_CLOSE: Final = 8


@attrs.frozen
class Piece:
    """Some bytes of a stream.

    Attributes:
        data: The bytes.
        payload_at: Where a data frame's payload begins in them; 0 if this is no whole unfragmented data frame.
        mask: What its payload is masked with; empty for no mask.
        is_close: Whether this is a close frame.
    """

    data: bytes
    payload_at: int = 0
    mask: bytes = b""
    is_close: bool = False

    @property
    def is_data(self) -> bool:
        """Whether this is a whole message in one frame: what can be dropped without breaking the protocol."""
        return self.payload_at > 0

    @property
    def payload(self) -> bytes:
        """A data frame's payload, unmasked."""
        payload = self.data[self.payload_at :]
        if not self.mask:
            return payload
        length = len(payload)
        key = (self.mask * (length // 4 + 1))[:length]
        return (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(length, "big")


@attrs.define(eq=False)
class Handshake:
    """What the two ways of a connection know in common: whether it has become a WebSocket."""

    upgraded: bool = False


@attrs.define(eq=False)
class FrameCutter:
    """Cuts one way of a connection into frames, once both ways have agreed that it is a WebSocket.

    Before that, and for good where it is none, bytes are passed on as they come. The request's offer of compression is
    taken out: in a compressed stream each frame needs those before it, so none could be dropped.

    Args:
        direction: Which way.
        handshake: The connection's, the same one for both ways.
    """

    direction: Direction
    handshake: Handshake
    _head: bytearray = attrs.field(factory=bytearray, init=False)
    _is_head: bool = attrs.field(default=True, init=False)
    _is_foreign: bool = attrs.field(default=False, init=False)
    _rest: bytearray = attrs.field(factory=bytearray, init=False)
    _passing: int = attrs.field(default=0, init=False)
    """Bytes still to come of a frame that is too long to be held."""

    def feed(self, data: bytes) -> Iterator[Piece]:
        """Take bytes that came, and yield what is complete."""
        if self._is_head:
            data = yield from self._feed_head(data)
        if not data:
            return
        if self._is_foreign or not self.handshake.upgraded:
            yield Piece(data)
            return
        self._rest += data
        while (piece := self._next_piece()) is not None:
            yield piece

    def finish(self) -> Iterator[Piece]:
        """Yield what is left when nothing more comes."""
        left = bytes(self._head + self._rest)
        self._head.clear()
        self._rest.clear()
        if left:
            yield Piece(left)

    def _feed_head(self, data: bytes) -> Generator[Piece, None, bytes]:
        """Collect the HTTP head, and return what follows it."""
        self._head += data
        head, found, rest = bytes(self._head).partition(_END_OF_HEAD)
        if not found:
            if len(self._head) > _MAX_HEAD_BYTES or not self._could_be_head():
                yield from self._give_up()
            return b""
        self._head.clear()
        self._is_head = False
        if self.direction is Direction.TO_SERVER:
            yield Piece(_OFFER.sub(b"", head) + found)
        else:
            self.handshake.upgraded = _SWITCHING.match(head) is not None
            self._is_foreign = not self.handshake.upgraded
            yield Piece(head + found)
        return rest

    def _could_be_head(self) -> bool:
        begin = b"GET " if self.direction is Direction.TO_SERVER else b"HTTP/1.1 101 "
        return begin.startswith(self._head[: len(begin)])

    def _give_up(self) -> Iterator[Piece]:
        self._is_head, self._is_foreign = False, True
        yield from self.finish()

    def _next_piece(self) -> Piece | None:
        rest = self._rest
        if self._passing:
            passed = self._take(min(self._passing, len(rest)))
            self._passing -= len(passed)
            return Piece(passed) if passed else None
        if len(rest) < 2:
            return None
        first, second = rest[0], rest[1]
        length, head = second & 0x7F, 2
        if length == 126:
            length, head = int.from_bytes(rest[2:4], "big"), 4
        elif length == 127:
            length, head = int.from_bytes(rest[2:10], "big"), 10
        mask_at = head
        if second & 0x80:
            head += 4
        if len(rest) < head:
            return None
        if head + length > MAX_HELD_BYTES:
            self._passing = head + length
            return self._next_piece()
        if len(rest) < head + length:
            return None
        mask = bytes(rest[mask_at:head])
        opcode = first & 0x0F
        is_data = bool(first & 0x80) and opcode in {1, 2}
        return Piece(self._take(head + length), head if is_data else 0, mask, opcode == _CLOSE)

    def _take(self, count: int) -> bytes:
        taken = bytes(self._rest[:count])
        del self._rest[:count]
        return taken


__all__ = ("MAX_HELD_BYTES", "FrameCutter", "Handshake", "Piece")
