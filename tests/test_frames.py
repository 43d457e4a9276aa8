"""The frame reader gives what the Sans-I/O protocol gives, whatever the bytes and wherever they are cut."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import example, given, settings, strategies as st
from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Close, Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from bt_api_base.websocket.frames import Decode, FrameReader, LenientCloseProtocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

URI = parse_uri("ws://localhost/")
MAX_SIZE = 300


def make_protocol(
    kind: type[ClientProtocol] = LenientCloseProtocol, *, max_size: int | None = MAX_SIZE, deflate: bool = False
) -> ClientProtocol:
    """Return a client protocol as it is after the opening handshake."""
    protocol = kind(URI, state=State.OPEN, max_size=max_size)
    if deflate:
        protocol.extensions = [PerMessageDeflate(True, True, 15, 15)]
    return protocol


def frame(
    payload: bytes,
    *,
    opcode: int = Opcode.TEXT,
    fin: bool = True,
    rsv: int = 0,
    masked: bool = False,
    length_bits: int | None = None,
    length: int | None = None,
) -> bytes:
    """Build a frame (RFC 6455, 5.2), with whatever is wrong about it.

    Args:
        payload: What follows the header.
        opcode: Four bits.
        fin: Whether it is the last of its message.
        rsv: Three bits.
        masked: Whether to set the mask bit, with a mask of zeros.
        length_bits: 7, 16 or 64: the form of the length; ``None``: the shortest that will do.
        length: The length to declare; ``None``: the true one.
    """
    length = len(payload) if length is None else length
    first = (fin << 7) | (rsv << 4) | opcode
    mask = masked << 7
    if length_bits is None or (length_bits == 7 and length > 125) or (length_bits == 16 and length > 0xFFFF):
        length_bits = 7 if length < 126 else 16 if length < 1 << 16 else 64
    if length_bits == 7:
        header = struct.pack("!BB", first, mask | length)
    elif length_bits == 16:
        header = struct.pack("!BBH", first, mask | 126, length)
    else:
        header = struct.pack("!BBQ", first, mask | 127, length)
    return header + (bytes(4) if masked else b"") + payload


def compress(payload: bytes) -> bytes:
    """Compress a message's payload on its own (RFC 7692, 7.2.1)."""
    compressor = zlib.compressobj(wbits=-15)
    return (compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


def close_frame(code: int, reason: str = "") -> bytes:
    """Build a close frame, valid or not."""
    return frame(struct.pack("!H", code) + reason.encode(), opcode=Opcode.CLOSE)


@attrs.frozen
class Outcome:
    """All that a stream of bytes leads to."""

    payloads: list[str | bytes]
    failure: tuple[str, str] | None
    received_close: Close | None
    pongs: list[bytes]
    replies: list[tuple[int, bytes]]
    state: State


def sent_frames(protocol: ClientProtocol) -> list[tuple[int, bytes]]:
    """Return the frames that a protocol wants to be sent, unmasked."""
    server = ServerProtocol(state=State.OPEN)
    server.receive_data(b"".join(protocol.data_to_send()))
    return [(event.opcode, bytes(event.data)) for event in server.events_received() if isinstance(event, Frame)]


def describe_failure(protocol: ClientProtocol, invalid_text: UnicodeDecodeError | None) -> tuple[str, str] | None:
    """Return the type and text of what failed the connection."""
    failure = invalid_text or protocol.parser_exc
    return None if failure is None else (type(failure).__name__, str(failure))


def outcome_alone(data: bytes, protocol: ClientProtocol, *, decode: Decode, eof: bool) -> Outcome:
    """Feed all the bytes to the Sans-I/O protocol in one go, and put its frames together."""
    protocol.receive_data(data)
    frames = [event for event in protocol.events_received() if isinstance(event, Frame)]
    payloads: list[str | bytes] = []
    pongs: list[bytes] = []
    message, is_text = b"", False
    for received in frames:
        if received.opcode is Opcode.PONG:
            pongs.append(bytes(received.data))
        elif received.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            if received.opcode is not Opcode.CONT:
                message, is_text = b"", received.opcode is Opcode.TEXT
            message += received.data
            if received.fin:
                try:
                    payloads.append(message.decode() if is_text and decode is None else message)
                except UnicodeDecodeError as error:
                    failure = ("UnicodeDecodeError", str(error))
                    return Outcome(payloads, failure, None, pongs, [], State.CLOSED if eof else State.CLOSING)
    if eof:
        protocol.receive_eof()
    failed = describe_failure(protocol, None)
    return Outcome(payloads, failed, protocol.close_rcvd, pongs, sent_frames(protocol), protocol.state)


def outcome_of_reader(chunks: Iterable[bytes], protocol: ClientProtocol, *, decode: Decode, eof: bool) -> Outcome:
    """Feed the bytes to a frame reader, chunk by chunk."""
    reader = FrameReader(protocol)
    payloads: list[str | bytes] = []
    for chunk in chunks:
        batch = reader.feed(chunk, decode)
        if decode is None:
            assert [] == reader.binary_at
        payloads += batch
    if eof:
        reader.feed_eof()
    replies = sent_frames(protocol)
    failure = describe_failure(protocol, reader.invalid_text)
    received_close = protocol.close_rcvd
    assert len(payloads) == reader.fast_messages + reader.slow_messages
    if reader.invalid_text is not None:
        assert 1007 == struct.unpack("!H", replies[-1][1][:2])[0]
        replies = []
    return Outcome(payloads, failure, received_close, reader.pongs, replies, protocol.state)


def cut(data: bytes, sizes: Sequence[int]) -> list[bytes]:
    """Cut bytes into chunks of the given sizes, in turn."""
    chunks: list[bytes] = []
    position = turn = 0
    while position < len(data):
        size = sizes[turn % len(sizes)]
        chunks.append(data[position : position + size])
        position += size
        turn += 1
    return chunks


def assert_same_outcome(
    data: bytes,
    sizes: Sequence[int],
    *,
    decode: Decode = None,
    eof: bool = True,
    max_size: int | None = MAX_SIZE,
    deflate: bool = False,
) -> Outcome:
    """Check the reader against the protocol alone and return what came of it."""
    options: dict[str, Any] = {"max_size": max_size, "deflate": deflate}
    expected = outcome_alone(data, make_protocol(ClientProtocol, **options), decode=decode, eof=eof)
    if expected.failure == ("ProtocolError", "incomplete fragmented message"):
        # The one deviation: see LenientCloseProtocol, which has a test of its own.
        expected = outcome_alone(data, make_protocol(**options), decode=decode, eof=eof)
    actual = outcome_of_reader(cut(data, sizes), make_protocol(**options), decode=decode, eof=eof)
    assert expected == actual
    return actual


texts = st.text(st.characters(codec="utf-8"), max_size=40).map(str.encode)
asciis = st.text(st.characters(codec="ascii"), max_size=200).map(str.encode)
payloads = st.one_of(asciis, asciis, texts, st.binary(max_size=20), st.binary(min_size=120, max_size=320))
ordinary_frames = st.builds(frame, payloads, opcode=st.sampled_from((1, 1, 1, 2)))
fragments = st.builds(frame, payloads, opcode=st.sampled_from((0, 0, 1, 2)), fin=st.booleans())
controls = st.builds(frame, st.binary(max_size=126), opcode=st.sampled_from((9, 10)))
closes = st.builds(
    close_frame, st.sampled_from((1000, 1001, 1002, 1005, 1006, 1011, 2999, 3000, 4999, 5000)), st.text(max_size=20)
)
compressed = st.builds(frame, payloads.map(compress), opcode=st.sampled_from((1, 2)), rsv=st.just(4))
any_frames = st.builds(
    frame,
    payloads,
    opcode=st.integers(0, 15),
    fin=st.booleans(),
    rsv=st.sampled_from((0, 0, 0, 1, 2, 4, 7)),
    masked=st.sampled_from((False, False, False, True)),
    length_bits=st.sampled_from((None, 7, 16, 64)),
    length=st.one_of(st.none(), st.none(), st.integers(0, 400), st.just((1 << 64) - 1)),
)
long_forms = st.builds(frame, payloads, opcode=st.sampled_from((1, 2, 9)), length_bits=st.sampled_from((16, 64)))
slightly_wrong = st.builds(
    frame,
    payloads,
    opcode=st.sampled_from((1, 2, 3)),
    rsv=st.sampled_from((0, 0, 0, 1, 4)),
    masked=st.booleans(),
    length_bits=st.sampled_from((None, 16, 64)),
)
bad_text = st.builds(frame, st.sampled_from((b"\xff", b"ok\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80")))
good_runs = st.lists(st.one_of(ordinary_frames, ordinary_frames, controls, long_forms), max_size=8).map(b"".join)
streams = st.lists(
    st.one_of(
        good_runs,
        good_runs,
        fragments,
        fragments,
        controls,
        compressed,
        closes,
        bad_text,
        slightly_wrong,
        any_frames,
        st.binary(max_size=9),
    ),
    max_size=10,
).map(b"".join)
chunk_sizes = st.lists(st.one_of(st.integers(1, 6), st.integers(1, 500)), min_size=1, max_size=8)


@settings(max_examples=500, deadline=None)
@given(
    data=streams,
    sizes=chunk_sizes,
    decode=st.sampled_from((None, False)),
    eof=st.booleans(),
    max_size=st.sampled_from((MAX_SIZE, None, 0, 125)),
    deflate=st.booleans(),
)
@example(data=b"", sizes=[1], decode=None, eof=True, max_size=MAX_SIZE, deflate=False)
def test_any_stream_cut_anywhere_gives_what_the_protocol_alone_gives(  # noqa: PLR0917
    data: bytes, sizes: list[int], decode: Decode, eof: bool, max_size: int | None, deflate: bool
) -> None:
    """Any frames, valid or not, in any chunks: the same payloads, pongs, replies, failure, close and state."""
    assert_same_outcome(data, sizes, decode=decode, eof=eof, max_size=max_size, deflate=deflate)


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=200), sizes=chunk_sizes, deflate=st.booleans())
def test_arbitrary_bytes_give_what_the_protocol_alone_gives(data: bytes, sizes: list[int], deflate: bool) -> None:
    """Bytes that are no frames at all fail the connection in the same way."""
    assert_same_outcome(data, sizes, deflate=deflate)


@settings(max_examples=100, deadline=None)
@given(data=good_runs, sizes=chunk_sizes, decodes=st.lists(st.sampled_from((None, False)), min_size=1))
def test_each_chunk_may_be_decoded_differently(data: bytes, sizes: list[int], decodes: list[Decode]) -> None:
    """Changing ``decode`` between reads changes the payloads' type only; ``binary_at`` tells which were binary."""
    outcome = assert_same_outcome(data, sizes, decode=False)
    reader = FrameReader(make_protocol())
    received: list[bytes] = []
    for index, chunk in enumerate(cut(data, sizes)):
        decode = decodes[index % len(decodes)]
        batch = reader.feed(chunk, decode)
        if decode is False:
            assert all(isinstance(payload, bytes) for payload in batch)
            assert set(reader.binary_at) <= set(range(len(batch)))
        received += [payload.encode() if isinstance(payload, str) else payload for payload in batch]
        if reader.invalid_text:
            return
    assert outcome.payloads == received


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 128, 65535, 65536, 100_000])
@pytest.mark.parametrize("sizes", [[10**6], [1000], [7, 65536]], ids=str)
@pytest.mark.parametrize("decode", [None, False])
def test_every_form_of_length(size: int, sizes: list[int], decode: Decode) -> None:
    """Payloads on both sides of each change of the length's form come through the fast lane, whole."""
    data = frame(b"x" * size) + frame(b"y" * size, opcode=Opcode.BINARY) + frame(b"z")
    reader = FrameReader(make_protocol(max_size=None))
    received = [payload for chunk in cut(data, sizes) for payload in reader.feed(chunk, decode)]
    text, end = ("x" * size, "z") if decode is None else (b"x" * size, b"z")
    assert [text, b"y" * size, end] == received
    assert 3 == reader.fast_messages


@pytest.mark.parametrize("length_bits", [7, 16, 64])
def test_lengths_that_are_longer_than_need_be_are_accepted_as_the_protocol_accepts_them(length_bits: int) -> None:
    """A length that would fit into fewer bits is no reason to fail, as websockets has it."""
    outcome = assert_same_outcome(frame(b"abc", length_bits=length_bits), [3], eof=False)
    assert ["abc"] == outcome.payloads


def test_binary_messages_are_marked_where_all_are_bytes() -> None:
    """With ``decode=False`` the reader tells which of the payloads were binary."""
    reader = FrameReader(make_protocol())
    data = frame(b"a") + frame(b"b", opcode=2) + frame(b"c" * 200) + frame(b"d" * 200, opcode=2) + frame(b"", opcode=2)
    assert [b"a", b"b", b"c" * 200, b"d" * 200, b""] == reader.feed(data, False)
    assert [1, 3, 4] == reader.binary_at


def test_text_in_the_middle_of_a_fragmented_message_is_refused() -> None:
    """RFC 6455, 5.4: fragments of one message must not be interleaved with another message."""
    outcome = assert_same_outcome(frame(b"a", fin=False) + frame(b"b"), [100], eof=False)
    assert ("ProtocolError", "expected a continuation frame") == outcome.failure


def test_control_frames_in_the_middle_of_a_fragmented_message_are_fine() -> None:
    """RFC 6455, 5.4: a ping may come between fragments, and is answered at once."""
    data = frame(b"a", fin=False) + frame(b"p", opcode=Opcode.PING) + frame(b"b", opcode=Opcode.CONT)
    outcome = assert_same_outcome(data, [1], eof=False)
    assert ["ab"] == outcome.payloads
    assert [(Opcode.PONG, b"p")] == outcome.replies


def test_a_close_in_the_middle_of_a_fragmented_message_is_a_close() -> None:
    """RFC 6455, 5.4 and 5.5.1: a close frame, too, may come between fragments; it is answered with its own code."""
    data = frame(b"a", fin=False) + close_frame(1000, "bye") + frame(b"b", opcode=Opcode.CONT)
    outcome = assert_same_outcome(data, [5], eof=False)
    assert Close(1000, "bye") == outcome.received_close
    assert outcome.failure is None
    assert [(Opcode.CLOSE, b"\x03\xe8bye")] == outcome.replies


def test_nothing_is_taken_in_after_a_close() -> None:
    """RFC 6455, 1.4: what follows a close frame is discarded."""
    outcome = assert_same_outcome(frame(b"a") + close_frame(1000) + frame(b"b"), [1000], eof=False)
    assert ["a"] == outcome.payloads


def test_a_message_too_big_is_refused_by_its_header() -> None:
    """A huge frame fails the connection before any of it is buffered."""
    protocol = make_protocol()
    reader = FrameReader(protocol)
    assert ["a"] == reader.feed(frame(b"a") + frame(b"", length=MAX_SIZE + 1))
    assert reader.ended
    assert [(Opcode.CLOSE, b"\x03\xf1frame with 301 bytes exceeds limit of 300 bytes")] == sent_frames(protocol)


def test_a_decompression_bomb_is_refused() -> None:
    """The limit holds for what a compressed message would become."""
    outcome = assert_same_outcome(frame(compress(bytes(100_000)), rsv=4), [50], eof=False, deflate=True)
    assert outcome.failure is not None
    assert "PayloadTooBig" == outcome.failure[0]


def test_uncompressed_messages_between_compressed_ones_take_the_fast_lane() -> None:
    """Where compression was agreed on, a frame with RSV1 clear is as it is (RFC 7692, 6.1)."""
    data = frame(compress(b"abc" * 9), rsv=4) + frame(b"plain") + frame(compress(b"def" * 9), rsv=4)
    reader = FrameReader(make_protocol(deflate=True))
    assert ["abc" * 9, "plain", "def" * 9] == reader.feed(data)
    assert (1, 2) == (reader.fast_messages, reader.slow_messages)


@pytest.mark.parametrize("payload", [b"\xff", b"caf\xc3", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf4\x90\x80\x80"])
@pytest.mark.parametrize("fragmented", [False, True])
def test_invalid_utf8_is_refused_where_text_is_handed_out(payload: bytes, fragmented: bool) -> None:
    """RFC 6455, 8.1: messages before it are delivered, then the connection fails with 1007."""
    last = frame(payload[:1], fin=False) + frame(payload[1:], opcode=0) if fragmented else frame(payload)
    protocol = make_protocol()
    reader = FrameReader(protocol)
    assert ["ok"] == reader.feed(frame(b"ok") + last + frame(b"never"))
    assert isinstance(reader.invalid_text, UnicodeDecodeError)
    ((opcode, data),) = sent_frames(protocol)
    assert (Opcode.CLOSE, 1007) == (opcode, struct.unpack("!H", data[:2])[0])
    assert [] == reader.feed(frame(b"never"))


def test_invalid_utf8_is_none_of_the_readers_business_where_bytes_are_handed_out() -> None:
    """With ``decode=False`` text is not checked."""
    reader = FrameReader(make_protocol())
    assert [b"\xff"] == reader.feed(frame(b"\xff"), False)
    assert not reader.ended


def test_utf8_may_be_cut_between_fragments_and_chunks() -> None:
    """A character is whole again once its message is."""
    euro = "€".encode()
    data = frame(euro[:1], fin=False) + frame(euro[1:2], opcode=0, fin=False) + frame(euro[2:], opcode=0) + frame(euro)
    outcome = assert_same_outcome(data, [1])
    assert ["€", "€"] == outcome.payloads


def test_empty_fragments_take_no_memory() -> None:
    """A message of endless empty fragments, which no size limit stops, is not kept fragment by fragment."""
    reader = FrameReader(make_protocol())
    reader.feed(frame(b"", fin=False))
    for _ in range(100):
        reader.feed(frame(b"", opcode=0, fin=False) * 100)
    assert 0 == len(reader._assembling)
    assert not reader._held


def test_a_large_frame_that_trickles_in_is_buffered_once() -> None:
    """Bytes of an incomplete frame are kept as they are, not per chunk."""
    reader = FrameReader(make_protocol(max_size=None))
    data = frame(b"x" * 5000)
    for position in range(len(data) - 1):
        assert [] == reader.feed(data[position : position + 1])
    assert len(data) - 1 == len(reader._held)
    assert ["x" * 5000] == reader.feed(data[-1:])
    assert not reader._held


def test_recorded_frames_take_the_fast_lane() -> None:
    """An ordinary stream never goes through the protocol."""
    from tests.corpora import corpora_path

    files = sorted(corpora_path("public", "ws", "binance_spot").rglob("*.jsonl"))
    lines = files[0].read_bytes().splitlines()[:500]
    reader = FrameReader(make_protocol(max_size=None))
    data = b"".join(map(frame, lines))
    assert [line.decode() for line in lines] == [text for chunk in cut(data, [1000]) for text in reader.feed(chunk)]
    assert len(lines) == reader.fast_messages
