"""From a stream of bytes to the payloads of messages, without a parser call per message.

`websockets`' Sans-I/O protocol is the authority on RFC 6455, and parsing a frame with it costs about two microseconds.
A venue's frames are nearly all of one kind, though: complete, unfragmented, unmasked and uncompressed data frames.
Those can be cut out of the read buffer for a tenth of that, provided that the cut is made *at a frame boundary*.

So `FrameReader` keeps to one rule: it always knows where the next frame begins. There

* a frame of that kind, of an acceptable length, with no fragmented message open, is sliced out (the fast lane);
* any other frame goes to the protocol, exactly its bytes and no more, so that the next boundary is known again;
* once the protocol has failed, or has seen a close frame, nothing further is looked at (RFC 6455, 1.4 and 7.1.7).

What comes out is what the protocol alone would have produced from the same bytes, wherever the network cut them.
"""

from __future__ import annotations

import struct
from typing import Final, Literal, cast

from typing_extensions import override
from websockets.client import ClientProtocol
from websockets.frames import CloseCode, Frame, Opcode

Decode = Literal[False] | None
"""How payloads are handed out: ``None``: text as `str`, binary as `bytes`; ``False``: all as unchecked `bytes`."""

# RFC 6455, 5.2: FIN, three reserved bits, opcode; then MASK and the 7-bit length, of which 126 and 127 announce a
# 16-bit and a 64-bit length. A client must never be sent a masked frame.
_FINAL_TEXT: Final = 0x81
_FINAL_BINARY: Final = 0x82
_FAST: Final = frozenset({_FINAL_TEXT, _FINAL_BINARY})
_OPCODE_BITS: Final = 0x0F
_MASK_BIT: Final = 0x80
_LENGTH_BITS: Final = 0x7F
_LENGTH_16: Final = 126
_LENGTH_64: Final = 127
_OPCODES: Final = frozenset(Opcode)

_unpack_two_shorts: Final = struct.Struct("!HH").unpack_from
_unpack_short: Final = struct.Struct("!H").unpack_from
_unpack_long: Final = struct.Struct("!Q").unpack_from


class LenientCloseProtocol(ClientProtocol):
    """The Sans-I/O protocol, with a close frame accepted in the middle of a fragmented message.

    RFC 6455, 5.4: "Control frames MAY be injected in the middle of a fragmented message", and a close frame (5.5.1) is
    a control frame. A peer that gives up half-way through a message is thus answered with the code it sent, where the
    base class would fail the connection with 1002.
    """

    @override
    def recv_frame(self, frame: Frame) -> None:
        if frame.opcode is Opcode.CLOSE:
            self.current_size = None
        super().recv_frame(frame)


class FrameReader:
    """The receiving half of a WebSocket client connection, without any I/O.

    After `feed` and `feed_eof` the caller sends what ``protocol.data_to_send()`` returns and looks at `pongs` and
    `ended`.

    Args:
        protocol: A client protocol in state OPEN that was fed nothing past the handshake's response.

    Attributes:
        binary_at: Indices of the binary messages among the payloads that the last `feed` returned, if it was called
            with ``decode=False``; otherwise the payload's type tells.
        pongs: Payloads of the pong frames received; the caller takes them out.
        ended: Whether no further message can come: a close frame came, or the connection failed.
        invalid_text: Why a text message was refused, if that is what failed the connection.
        fast_messages: Messages that took the fast lane.
        slow_messages: Messages that went through the protocol.
        pings: Ping frames received (the protocol queued an answer to each).
    """

    __slots__ = (
        "_assembling",
        "_held",
        "_in_protocol",
        "_is_text",
        "_longest",
        "_protocol",
        "_wanted",
        "binary_at",
        "ended",
        "fast_messages",
        "invalid_text",
        "pings",
        "pongs",
        "slow_messages",
    )

    def __init__(self, protocol: ClientProtocol) -> None:
        self._protocol = protocol
        self._longest = (1 << 64) if protocol.max_message_size is None else protocol.max_message_size
        # An incomplete header or fast frame, kept until it is `_wanted` bytes long. Never more than the largest
        # acceptable message, for a longer one is the protocol's to refuse as soon as its header is there.
        self._held = bytearray()
        self._wanted = 0
        # Bytes of the current frame that are still to go to the protocol.
        self._in_protocol = 0
        # A fragmented message's payload so far. One growing buffer: a list would let empty fragments, which no limit
        # counts, eat the memory.
        self._assembling = bytearray()
        self._is_text = False
        self.binary_at: list[int] = []
        self.pongs: list[bytes] = []
        self.ended = False
        self.invalid_text: UnicodeDecodeError | None = None
        self.fast_messages = 0
        self.slow_messages = 0
        self.pings = 0

    def feed(self, chunk: bytes, decode: Decode = None) -> list[str | bytes]:
        """Take in the next bytes of the stream and return the messages they complete.

        Args:
            chunk: What the network delivered, cut anywhere.
            decode: ``None``: text as `str`, checked to be UTF-8; ``False``: all payloads as unchecked `bytes`.
        """
        payloads: list[str | bytes] = []
        self.binary_at = []
        if self.ended:
            return payloads
        if self._wanted:
            self._held += chunk
            if len(self._held) < self._wanted:
                return payloads
            chunk = bytes(self._held)
            self._held = bytearray()
            self._wanted = 0
        try:
            self._take_in(chunk, decode, payloads)
        except UnicodeDecodeError as error:
            self.refuse_text(error)
        return payloads

    def refuse_text(self, error: UnicodeDecodeError) -> None:
        """Fail the connection because of a text message that is not UTF-8 (RFC 6455, 8.1 and 7.4.1)."""
        if not self.ended:
            self._protocol.fail(CloseCode.INVALID_DATA, f"{error.reason} at position {error.start}")
            self.ended = True
        self.invalid_text = error

    def feed_eof(self) -> None:
        """Take in the end of the stream."""
        if self._held:
            held, self._held, self._wanted = bytes(self._held), bytearray(), 0
            self._protocol.receive_data(held)
        self._protocol.receive_eof()
        self.ended = True

    def _take_in(self, chunk: bytes, decode: Decode, payloads: list[str | bytes]) -> None:
        protocol = self._protocol
        position, size = 0, len(chunk)
        text = ""
        while position < size and not self.ended:
            if self._in_protocol:
                end = min(size, position + self._in_protocol)
                self._in_protocol -= end - position
                self._pass_on(chunk[position:end], decode, payloads)
                position = end
            elif protocol.current_size is not None or chunk[position] not in _FAST:
                position = self._take_one(chunk, position, decode, payloads, fast=False)
            else:
                if decode is None and not text:
                    text = chunk.decode("latin-1")
                position = self._slice(chunk, text, position, payloads)
                if position < size:
                    # A frame that is not complete, not for the tight loops, or not for the fast lane at all.
                    position = self._take_one(chunk, position, decode, payloads, fast=chunk[position] in _FAST)

    def _slice(self, chunk: bytes, text: str, position: int, payloads: list[str | bytes]) -> int:
        """Take the tight loop that fits, and return the position of the first byte not taken."""
        before = len(payloads)
        try:
            if text:
                return _slice_decoded(chunk, text, position, self._longest, payloads)
            return _slice_bytes(chunk, position, self._longest, payloads, self.binary_at)
        finally:
            self.fast_messages += len(payloads) - before

    def _take_one(self, chunk: bytes, position: int, decode: Decode, payloads: list[str | bytes], *, fast: bool) -> int:
        """Read the header at ``position``, do what is due with the frame, and return where to go on."""
        size = len(chunk)
        if size - position < 2:
            return self._hold(chunk, position, 2)
        first, second = chunk[position], chunk[position + 1]
        if first & _OPCODE_BITS not in _OPCODES or second & _MASK_BIT:
            # The protocol fails on these two bytes, whatever follows.
            self._pass_on(chunk[position:], decode, payloads)
            return size
        length = second & _LENGTH_BITS
        header_size = 4 if length == _LENGTH_16 else 10 if length == _LENGTH_64 else 2
        if size - position < header_size:
            return self._hold(chunk, position, header_size)
        if length == _LENGTH_16:
            (length,) = _unpack_short(chunk, position + 2)
        elif length == _LENGTH_64:
            (length,) = _unpack_long(chunk, position + 2)
        if not fast or length > self._longest:
            self._in_protocol = header_size + length
            return position
        start, end = position + header_size, position + header_size + length
        if size < end:
            return self._hold(chunk, position, header_size + length)
        self._hand_out(chunk[start:end], first == _FINAL_TEXT, decode, payloads)
        self.fast_messages += 1
        return end

    def _hold(self, chunk: bytes, position: int, wanted: int) -> int:
        """Keep the rest of the chunk until the stream has come that far."""
        self._held += memoryview(chunk)[position:]
        self._wanted = wanted
        return len(chunk)

    def _pass_on(self, data: bytes, decode: Decode, payloads: list[str | bytes]) -> None:
        """Feed the protocol a part of one frame, and act on the frame that this may complete."""
        protocol = self._protocol
        protocol.receive_data(data)
        # The protocol yields nothing but frames once the handshake is done.
        frames = cast("list[Frame]", protocol.events_received())
        for frame in frames:
            opcode = frame.opcode
            if opcode is Opcode.PONG:
                self.pongs.append(bytes(frame.data))
            elif opcode is Opcode.PING:
                self.pings += 1
            elif opcode is not Opcode.CLOSE:
                if opcode is not Opcode.CONT:
                    self._is_text = opcode is Opcode.TEXT
                self._assembling += frame.data
                if frame.fin:
                    payload = bytes(self._assembling)
                    self._assembling = bytearray()
                    self._hand_out(payload, self._is_text, decode, payloads)
                    self.slow_messages += 1
        # parse() swaps itself for discard() in these cases (websockets.protocol).
        self.ended = protocol.close_rcvd is not None or protocol.parser_exc is not None

    def _hand_out(self, payload: bytes, is_text: bool, decode: Decode, payloads: list[str | bytes]) -> None:  # noqa: FBT001
        if decode is None and is_text:
            payloads.append(payload.decode())
            return
        if decode is not None and not is_text:
            self.binary_at.append(len(payloads))
        payloads.append(payload)


# The two loops below are the hot path, and written for CPython 3.10-3.13: measured against byte indexing, 32-bit
# unpacking and slices compared with a cached header, unpacking two shorts is the fastest way to read a header. The
# second short is the length only if the first says so. They stop at whatever they cannot slice, the caller goes on.


def _slice_decoded(chunk: bytes, text: str, position: int, longest: int, payloads: list[str | bytes]) -> int:
    """Slice fast frames out of ``chunk``, text as `str`, and return the position of the first byte not taken.

    ``text`` is the whole chunk decoded as Latin-1, in which every character is one byte: a slice of it is the text
    of a frame if it is ASCII (a flag that is set when the slice is made), and costs no more than a slice of bytes.
    """
    append = payloads.append
    size = len(chunk)
    last = size - 4
    while position <= last:
        head, length = _unpack_two_shorts(chunk, position)
        if head == 0x817E:
            start = position + 4
        elif 0x8100 <= head < 0x817E:
            start = position + 2
            length = head & 0x7F
        else:
            if head == 0x827E:
                start = position + 4
            elif 0x8200 <= head < 0x827E:
                start = position + 2
                length = head & 0x7F
            else:
                break
            end = start + length
            if end > size or length > longest:
                break
            append(chunk[start:end])
            position = end
            continue
        end = start + length
        if end > size or length > longest:
            break
        payload = text[start:end]
        append(payload if payload.isascii() else chunk[start:end].decode())
        position = end
    return position


def _slice_bytes(chunk: bytes, position: int, longest: int, payloads: list[str | bytes], binary_at: list[int]) -> int:
    """Slice fast frames out of ``chunk``, unchecked, and return the position of the first byte not taken."""
    append = payloads.append
    size = len(chunk)
    last = size - 4
    while position <= last:
        head, length = _unpack_two_shorts(chunk, position)
        if head == 0x817E:
            start = position + 4
        elif 0x8100 <= head < 0x817E:
            start = position + 2
            length = head & 0x7F
        else:
            if head == 0x827E:
                start = position + 4
            elif 0x8200 <= head < 0x827E:
                start = position + 2
                length = head & 0x7F
            else:
                break
            end = start + length
            if end > size or length > longest:
                break
            binary_at.append(len(payloads))
            append(chunk[start:end])
            position = end
            continue
        end = start + length
        if end > size or length > longest:
            break
        append(chunk[start:end])
        position = end
    return position


__all__ = ("Decode", "FrameReader", "LenientCloseProtocol")
