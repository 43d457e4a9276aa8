"""One WebSocket connection: what goes through it, how it ends, and what it never does."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from websockets.frames import Opcode

from bt_api_base.exceptions import WebSocketError
from bt_api_base.testing.leaks import assert_no_leaks
from bt_api_base.websocket import WebSocketState, open_websocket
from tests.test_frames import close_frame, frame
from tests.websocket_pair import connected_pair
from tests.websocket_server import ServerConnection, echo, serve

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bt_api_base.websocket import WebSocket

pytestmark = pytest.mark.anyio


async def collect(ws: WebSocket, decode: Any = None) -> list[str | bytes]:
    """Return all messages up to a normal close."""
    return [message async for batch in ws.batches(decode) for message in batch]


async def sent_at_once(server: ServerConnection, frames: Iterable[bytes]) -> None:
    """Send several frames so that one read brings them all."""
    await server.send_bytes(b"".join(frames))


# What goes through


@pytest.mark.parametrize("message", ["", "text", "häß€😀", b"", b"\x00\xff", "x" * 126, b"y" * 70_000], ids=repr)
async def test_messages_come_back_as_they_were_sent(message: str | bytes) -> None:
    """Text arrives as text and binary as binary, whatever its size."""
    async with serve(echo) as server, open_websocket(server.url) as ws:
        await ws.send(message)
        assert message == await ws.receive()


async def test_messages_come_back_through_compression() -> None:
    """permessage-deflate is offered, agreed on and used, in both directions."""
    async with serve(echo, compression=True) as server, open_websocket(server.url) as ws:
        assert "permessage-deflate" in ws.response_headers["sec-websocket-extensions"]
        await ws.send("ab" * 5000)
        assert "ab" * 5000 == await ws.receive()
        statistics = ws.statistics()
        assert statistics.bytes_received < 1000
        assert statistics.bytes_sent < 1000


async def test_compression_is_not_offered_where_it_is_not_wanted() -> None:
    """With ``compression=False`` the server cannot agree on it."""
    async with serve(echo, compression=True) as server, open_websocket(server.url, compression=False) as ws:
        assert "sec-websocket-extensions" not in ws.response_headers


async def test_a_batch_is_what_one_read_brought() -> None:
    """Messages that arrive together are handed out together."""
    async with connected_pair() as pair:
        batches = pair.client.batches()
        await sent_at_once(pair.server, [frame(b"a"), frame(b"\x01", opcode=2), frame("ü".encode())])
        assert ["a", b"\x01", "ü"] == await anext(batches)
        await pair.server.send("next")
        assert ["next"] == await anext(batches)
        statistics = pair.client.statistics()
        assert (4, 4, 2) == (
            statistics.messages_received,
            statistics.messages_received_fast,
            statistics.reads,
        )


async def test_bytes_are_handed_out_unchecked_where_asked_for() -> None:
    """With ``decode=False`` all payloads are bytes, and text need not be UTF-8."""
    async with connected_pair() as pair:
        await sent_at_once(pair.server, [frame(b"a"), frame(b"\xff"), frame(b"b", opcode=2)])
        assert [b"a", b"\xff", b"b"] == await anext(pair.client.batches(decode=False))
        await pair.server.send("ü")
        assert "ü".encode() == await pair.client.receive(decode=False)


async def test_receive_and_batches_may_be_mixed() -> None:
    """What a read brought and `receive` did not return is the next batch."""
    async with connected_pair() as pair:
        await sent_at_once(pair.server, map(frame, [b"a", b"b", b"c"]))
        assert "a" == await pair.client.receive()
        assert ["b", "c"] == await anext(pair.client.batches())


async def test_ways_of_decoding_may_be_mixed() -> None:
    """Each message is handed out in the way the call asks for, also if it was read by a call that asked otherwise."""
    messages = [frame("ü".encode()), frame(b"\xff", opcode=2), frame(b"c"), frame(b"\x00", opcode=2), frame(b"e")]
    async with connected_pair() as pair:
        await sent_at_once(pair.server, messages)
        assert "ü".encode() == await pair.client.receive(decode=False)
        assert b"\xff" == await pair.client.receive()
        assert b"c" == await pair.client.receive(decode=False)
        assert [b"\x00", "e"] == await anext(pair.client.batches())


async def test_messages_read_as_text_are_handed_out_as_bytes() -> None:
    """Also when an earlier call had them decoded."""
    async with connected_pair() as pair:
        await sent_at_once(pair.server, [frame(b"a"), frame("ü".encode()), frame(b"\xff", opcode=2), frame(b"d")])
        assert "a" == await pair.client.receive()
        assert "ü".encode() == await pair.client.receive(decode=False)
        assert [b"\xff", "d"] == await anext(pair.client.batches())


async def test_invalid_text_is_found_also_if_it_was_read_as_bytes() -> None:
    """Text that an earlier call read unchecked is checked when it is handed out as text."""
    async with connected_pair() as pair:
        await sent_at_once(pair.server, map(frame, [b"a", b"b", b"\xff", b"never"]))
        assert b"a" == await pair.client.receive(decode=False)
        assert "b" == await pair.client.receive()
        await pair.server.hang_up()
        with pytest.raises(WebSocketError) as caught:
            await pair.client.receive()
        assert 1007 == caught.value.close_code == pair.client.close_code


async def test_many_messages_at_hand_do_not_starve_other_tasks() -> None:
    """`receive` lets others run from time to time, also if it need not wait."""
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await checkpoint()

    async with connected_pair() as pair, anyio.create_task_group() as tasks:
        await sent_at_once(pair.server, [frame(b"x")] * 1000)
        await pair.client.receive()
        tasks.start_soon(other)
        before = turns
        for _ in range(999):
            await pair.client.receive()
        tasks.cancel_scope.cancel()
        assert turns >= before + 10


async def test_two_readers_at_once_are_one_too_many() -> None:
    """The second gets an error, the first its message."""
    async with connected_pair() as pair, anyio.create_task_group() as tasks:
        received: list[Any] = []

        async def read() -> None:
            received.append(await pair.client.receive())

        tasks.start_soon(read)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(anyio.BusyResourceError):
            await pair.client.receive()
        with pytest.raises(anyio.BusyResourceError):
            await anext(pair.client.batches())
        await pair.server.send("a")
        await anyio.wait_all_tasks_blocked()
        assert ["a"] == received


async def test_messages_of_many_senders_arrive_whole() -> None:
    """Concurrent sends, larger than what the network takes at once, do not mix."""
    async with connected_pair(max_buffer_bytes=1000) as pair, anyio.create_task_group() as tasks:
        messages = [os.urandom(200 + 300 * i) for i in range(10)]
        for message in messages:
            tasks.start_soon(pair.client.send, message)
        received = [await pair.server.receive() for _ in messages]
        assert sorted(messages) == sorted(map(bytes, received))  # type: ignore[arg-type]


async def test_one_senders_messages_arrive_in_order() -> None:
    """What a task sends one after the other arrives so."""
    async with serve(echo) as server, open_websocket(server.url) as ws:
        for number in range(100):
            await ws.send(str(number))
        assert [str(number) for number in range(100)] == [await ws.receive() for _ in range(100)]


async def test_a_message_beyond_the_send_limit_is_refused() -> None:
    """It is an error of the caller's, and the connection goes on."""
    async with connected_pair(max_send_size=10) as pair:
        with pytest.raises(ValueError, match="11 bytes exceeds max_send_size=10"):
            await pair.client.send("ü" * 5 + "x")
        await pair.client.send("x" * 10)
        assert "x" * 10 == await pair.server.receive()


@pytest.mark.parametrize("message", [5, None, {"op": "subscribe"}, ["a"]])
async def test_what_is_neither_text_nor_bytes_cannot_be_sent(message: Any) -> None:
    """A dict wants to be encoded first, and a number is no count of zero bytes."""
    async with connected_pair() as pair:
        with pytest.raises(TypeError):
            await pair.client.send(message)


async def test_the_subprotocol_and_the_response_are_known() -> None:
    """What the server chose is to be seen."""
    async with (
        serve(echo, subprotocols=["v2", "v1"]) as server,
        open_websocket(server.url, subprotocols=["v1"]) as ws,
    ):
        assert "v1" == ws.subprotocol
        assert "websocket" == ws.response_headers["upgrade"].lower()
        assert server.url == ws.url


# Pings


async def test_a_ping_takes_the_time_of_its_round_trip() -> None:
    """`ping` returns seconds once the answer has come."""
    async with serve(echo) as server, open_websocket(server.url) as ws, anyio.create_task_group() as tasks:
        tasks.start_soon(collect, ws)
        round_trip = await ws.ping()
        assert 0 <= round_trip < 5
        assert 0 <= await ws.ping(b"payload")
        assert (2, 2) == (ws.statistics().pings_sent, ws.statistics().pongs_received)
        tasks.cancel_scope.cancel()


async def test_a_later_answer_settles_earlier_pings() -> None:
    """RFC 6455, 5.5.3: a peer may answer only the last of several pings."""
    async with connected_pair() as pair, anyio.create_task_group() as tasks:
        settled: list[bytes] = []

        async def ping(payload: bytes) -> None:
            await pair.client.ping(payload)
            settled.append(payload)

        for payload in (b"1", b"2", b"3"):
            tasks.start_soon(ping, payload)
            await anyio.wait_all_tasks_blocked()
        tasks.start_soon(collect, pair.client)
        await sent_at_once(pair.server, [frame(b"?", opcode=Opcode.PONG), frame(b"2", opcode=Opcode.PONG)])
        await anyio.wait_all_tasks_blocked()
        assert [b"1", b"2"] == sorted(settled)
        tasks.cancel_scope.cancel()


async def test_a_ping_fails_when_the_connection_ends() -> None:
    """Nobody waits for an answer that cannot come."""
    async with connected_pair() as pair, anyio.create_task_group() as tasks:
        errors: list[WebSocketError] = []

        async def ping() -> None:
            try:
                await pair.client.ping()
            except WebSocketError as error:
                errors.append(error)

        tasks.start_soon(ping)
        await anyio.wait_all_tasks_blocked()
        await pair.server.hang_up()
        with pytest.raises(WebSocketError):
            await pair.client.receive()
        await anyio.wait_all_tasks_blocked()
        assert [1006] == [error.close_code for error in errors]


async def test_a_ping_too_long_is_refused() -> None:
    """RFC 6455, 5.5: a control frame carries at most 125 bytes."""
    async with connected_pair() as pair:
        with pytest.raises(ValueError, match="125"):
            await pair.client.ping(bytes(126))


async def test_pings_are_answered_while_reading() -> None:
    """RFC 6455, 5.5.2: with the same payload."""
    async with connected_pair() as pair:
        await sent_at_once(pair.server, [frame(b"p1", opcode=Opcode.PING), frame(b"a")])
        assert "a" == await pair.client.receive()
        await pair.server.read()
        assert [(Opcode.PONG, b"p1")] == [(f.opcode, bytes(f.data)) for f in pair.server.frames]


async def test_pings_are_answered_behind_a_sender_that_is_stuck() -> None:
    """The reader goes on reading; the answer goes out with what the sender is at."""
    async with connected_pair(max_buffer_bytes=100) as pair, anyio.create_task_group() as tasks:
        tasks.start_soon(pair.client.send, b"x" * 1000)
        await anyio.wait_all_tasks_blocked()
        for number in range(3):
            await sent_at_once(pair.server, [frame(b"p", opcode=Opcode.PING), frame(b"%d" % number)])
            assert str(number) == await pair.client.receive()
        assert b"x" * 1000 == await pair.server.receive()
        while len(pair.server.frames) < 4:
            await pair.server.read()
        assert [Opcode.BINARY] + [Opcode.PONG] * 3 == [f.opcode for f in pair.server.frames]


async def test_a_flood_of_pings_does_not_fill_the_memory() -> None:
    """RFC 6455, 5.5.3: only the latest need be answered; 16 answers wait at most."""
    async with connected_pair(max_buffer_bytes=100_000) as pair, anyio.create_task_group() as tasks:
        pair.server_stream.stall()
        tasks.start_soon(pair.client.send, b"x" * 200_000)
        await anyio.wait_all_tasks_blocked()
        pings = [frame(b"%d" % number, opcode=Opcode.PING) for number in range(1000)]
        await sent_at_once(pair.server, [*pings, frame(b"a")])
        assert "a" == await pair.client.receive()
        pair.server_stream.resume()
        await pair.server.receive()
        while len(pair.server.frames) < 17:
            await pair.server.read()
        assert [b"%d" % number for number in range(984, 1000)] == [bytes(f.data) for f in pair.server.frames[1:]]
        assert (1000, 984) == (pair.client.statistics().pings_received, pair.client.statistics().pongs_dropped)


async def test_with_a_writer_the_reader_never_waits_for_a_peer_that_takes_nothing() -> None:
    """`run_writer` in a task of its own sends the answers."""
    async with connected_pair(max_buffer_bytes=10) as pair, anyio.create_task_group() as tasks:
        tasks.start_soon(pair.client.run_writer)
        await anyio.wait_all_tasks_blocked()
        for number in range(5):
            pair.client_stream.feed(frame(b"longer than the buffer", opcode=Opcode.PING) + frame(b"%d" % number))
            assert str(number) == await pair.client.receive()
        while len(pair.server.frames) < 5:
            await pair.server.read()
        assert [b"longer than the buffer"] * 5 == [bytes(f.data) for f in pair.server.frames]
        tasks.cancel_scope.cancel()


async def test_the_writer_ends_with_the_connection() -> None:
    """`run_writer` returns when there is nothing more to write to."""
    async with connected_pair() as pair, anyio.create_task_group() as tasks:
        tasks.start_soon(pair.client.run_writer)
        await anyio.wait_all_tasks_blocked()
        await pair.server.hang_up()
        with pytest.raises(WebSocketError):
            await pair.client.receive()


# A peer that takes nothing


@pytest.mark.virtual_time
async def test_a_send_that_makes_no_progress_ends_the_connection() -> None:
    """After ``send_timeout`` seconds without a byte taken, sender and reader get the reason."""
    async with connected_pair(max_buffer_bytes=100, send_timeout=3.0) as pair:
        started = anyio.current_time()
        with pytest.raises(WebSocketError, match="the peer takes nothing") as caught:
            await pair.client.send(b"x" * 1000)
        assert 3.0 == pytest.approx(anyio.current_time() - started, abs=0.2)
        assert isinstance(caught.value.__cause__, TimeoutError)
        with pytest.raises(WebSocketError, match="the peer takes nothing"):
            await pair.client.receive()
        assert (WebSocketState.CLOSED, 1006) == (pair.client.state, pair.client.close_code)


@pytest.mark.virtual_time
async def test_a_large_message_may_take_long_as_long_as_it_moves() -> None:
    """The limit is for a standstill, not for the whole."""
    async with connected_pair(max_buffer_bytes=65_536, send_timeout=3.0) as pair, anyio.create_task_group() as tasks:
        tasks.start_soon(pair.client.send, bytes(1_000_000))
        while not pair.server.frames:
            await anyio.sleep(2.0)
            await pair.server.read()
        assert 1_000_000 == len(pair.server.frames[0].data)


@pytest.mark.virtual_time
async def test_a_reader_stuck_with_an_answer_gives_up() -> None:
    """Without a writer task, the reader waits for a peer that takes nothing, but not for ever."""
    async with connected_pair(max_buffer_bytes=10, send_timeout=3.0) as pair:
        pair.client_stream.feed(frame(b"longer than the buffer", opcode=Opcode.PING) + frame(b"a"))
        assert "a" == await pair.client.receive()
        with pytest.raises(WebSocketError, match="the peer takes nothing"):
            await pair.client.receive()


# How the peer ends it


@pytest.mark.parametrize("code", [1000, 1001])
async def test_a_normal_close_ends_the_iteration(code: int) -> None:
    """What came before it is delivered, and the answer carries the same code."""

    async def handler(connection: ServerConnection) -> None:
        await connection.send("last")
        await connection.close(code, "bye")
        assert code == connection.close_code

    async with serve(handler) as server, open_websocket(server.url) as ws:
        assert ["last"] == await collect(ws)
        assert (WebSocketState.CLOSED, code, "bye") == (ws.state, ws.close_code, ws.close_reason)
        assert [] == await collect(ws)
        with pytest.raises(WebSocketError) as caught:
            await ws.receive()
        assert code == caught.value.close_code


@pytest.mark.parametrize(("code", "expected"), [(1008, 1008), (1011, 1011), (4001, 4001), (None, 1005)])
async def test_any_other_close_is_an_error(code: int | None, expected: int) -> None:
    """It carries the code and the reason, after what came before it."""
    reason = "" if code is None else "because"

    async def handler(connection: ServerConnection) -> None:
        await connection.send("last")
        await connection.close(code, reason)

    async with serve(handler) as server, open_websocket(server.url) as ws:
        batches = ws.batches()
        assert ["last"] == await anext(batches)
        with pytest.raises(WebSocketError) as caught:
            await anext(batches)
        assert (expected, reason, server.url) == (caught.value.close_code, caught.value.close_reason, caught.value.url)
        with pytest.raises(WebSocketError):
            await ws.send("too late")


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_close_in_the_middle_of_a_message_is_a_close(at_once: bool) -> None:
    """RFC 6455, 5.4: it is answered with its own code; the message is lost, and what follows is not looked at."""

    async def handler(connection: ServerConnection) -> None:
        parts = [frame(b"whole") + frame(b"half", fin=False), close_frame(1000, "bye"), frame(b"rest", opcode=0)]
        for part in [b"".join(parts)] if at_once else parts:
            await connection.send_bytes(part)
        await connection.wait_closed()
        assert (1000, "bye") == (connection.close_code, connection.close_reason)

    async with serve(handler) as server, open_websocket(server.url) as ws:
        assert ["whole"] == await collect(ws)
        assert (WebSocketState.CLOSED, 1000, "bye") == (ws.state, ws.close_code, ws.close_reason)


async def test_a_close_that_came_is_known_before_it_is_read() -> None:
    """A message cannot be sent once the peer's close was seen, and the error tells its code."""
    async with connected_pair() as pair:
        await sent_at_once(pair.server, [frame(b"a"), close_frame(1008, "policy")])
        assert "a" == await pair.client.receive()
        assert (WebSocketState.CLOSING, None) == (pair.client.state, pair.client.close_code)
        with pytest.raises(WebSocketError) as caught:
            await pair.client.send("too late")
        assert 1008 == caught.value.close_code
        await pair.server.hang_up()


async def hang_up(connection: ServerConnection) -> None:
    """End the stream in both directions, without a close frame."""
    await connection.hang_up()


async def half_close(connection: ServerConnection) -> None:
    """End the stream in the server's direction only."""
    await connection.stream.send_eof()
    await connection.wait_closed()


async def reset(connection: ServerConnection) -> None:
    """Reset the connection."""
    await connection.reset()


async def cut_in_a_frame(connection: ServerConnection) -> None:
    """Hang up in the middle of a frame."""
    await connection.send_bytes(frame(b"never complete")[:-1])
    await connection.hang_up()


@pytest.mark.parametrize("handler", [hang_up, half_close, reset, cut_in_a_frame])
async def test_a_connection_lost_is_an_error(handler: Any) -> None:
    """Without a close frame the code is 1006 (RFC 6455, 7.1.5), and the cause is chained."""
    async with serve(handler) as server, open_websocket(server.url) as ws:
        for _ in range(2):
            with pytest.raises(WebSocketError) as caught:
                await anext(ws.batches())
            assert (1006, "") == (caught.value.close_code, caught.value.close_reason)
            assert isinstance(caught.value.__cause__, (anyio.EndOfStream, anyio.BrokenResourceError))
        assert 1006 == ws.close_code


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(b"\xff"), 1007),
        (frame(b"x" * 101), 1009),
        (frame(b"x", opcode=3), 1002),
        (frame(b"x", masked=True), 1002),
        (frame(b"x", rsv=1), 1002),
        (frame(b"x", opcode=0), 1002),
        (close_frame(1005), 1002),
        (close_frame(999), 1002),
        (frame(b"\x03", opcode=8), 1002),
        (frame(b"\x03\xe8\xff", opcode=8), 1007),
    ],
)
async def test_what_the_peer_must_not_send_fails_the_connection(data: bytes, code: int) -> None:
    """What came before it is delivered, the peer is told the code, and so is the reader."""
    told: list[int | None] = []

    async def handler(connection: ServerConnection) -> None:
        await connection.send_bytes(frame(b"before") + data)
        await connection.wait_closed()
        told.append(connection.close_code)

    async with serve(handler) as server, open_websocket(server.url, max_message_size=100) as ws:
        batches = ws.batches()
        assert ["before"] == await anext(batches)
        with pytest.raises(WebSocketError) as caught:
            await anext(batches)
        assert code == caught.value.close_code == ws.close_code
    await anyio.wait_all_tasks_blocked()
    assert [code] == told


@pytest.mark.virtual_time
async def test_a_server_that_does_not_hang_up_is_not_waited_for_long() -> None:
    """RFC 6455, 7.1.1 lets the server close TCP first; a second is enough."""
    async with connected_pair() as pair:
        await pair.server.send_bytes(close_frame(1000))
        started = anyio.current_time()
        assert [] == await collect(pair.client)
        assert 1.0 == pytest.approx(anyio.current_time() - started, abs=0.2)


# How this side ends it


async def test_close_tells_the_peer_and_waits_for_it() -> None:
    """The peer sees code and reason; both sides agree."""
    async with connected_pair() as pair, anyio.create_task_group() as tasks:
        tasks.start_soon(pair.server.wait_closed)
        tasks.start_soon(pair.client.close, 4000, "done")
        await anyio.wait_all_tasks_blocked()
        await pair.server.hang_up()
        await anyio.wait_all_tasks_blocked()
        assert (4000, "done") == (pair.server.close_code, pair.server.close_reason)
        assert (WebSocketState.CLOSED, 4000) == (pair.client.state, pair.client.close_code)


async def test_closing_again_does_nothing() -> None:
    """Also while another task is at it."""
    async with serve(echo) as server, open_websocket(server.url) as ws:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ws.close)
            tasks.start_soon(ws.close)
        assert 1000 == ws.close_code
        await ws.close()
        with pytest.raises(WebSocketError):
            await ws.send("too late")
        with pytest.raises(WebSocketError):
            await ws.ping()


@pytest.mark.parametrize("code", [1000, 4000])
async def test_a_reader_ends_quietly_when_this_side_closes(code: int) -> None:
    """The iteration of another task gets what was under way, and then ends, whatever the code."""
    async with serve(echo) as server, open_websocket(server.url) as ws, anyio.create_task_group() as tasks:
        received: list[Any] = []

        async def read() -> None:
            received.extend(await collect(ws))
            received.append("ended")

        tasks.start_soon(read)
        await ws.send("a")
        await anyio.wait_all_tasks_blocked()
        await ws.close(code)
        await anyio.wait_all_tasks_blocked()
        assert ["a", "ended"] == received


async def test_close_reads_on_when_the_reader_stops() -> None:
    """A reader that goes away in the middle of a close does not hold it up."""
    async with connected_pair() as pair, anyio.create_task_group() as tasks:
        tasks.start_soon(pair.client.receive)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(pair.client.close)
        await anyio.wait_all_tasks_blocked()
        await pair.server.send_bytes(frame(b"for the reader"))
        await anyio.wait_all_tasks_blocked()
        await pair.server.wait_closed()
        await pair.server.hang_up()
        await anyio.wait_all_tasks_blocked()
        assert (WebSocketState.CLOSED, 1000) == (pair.client.state, pair.client.close_code)


@pytest.mark.virtual_time
@pytest.mark.parametrize("stalled", [False, True], ids=["silent", "stalled"])
async def test_close_is_bounded(stalled: bool) -> None:
    """A peer that answers nothing, or takes nothing, holds it up for ``close_timeout`` seconds at most."""
    async with connected_pair(max_buffer_bytes=4, close_timeout=2.0) as pair:
        if not stalled:
            pair.server_stream.chunk([])
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(pair.server_stream.receive)
                tasks.start_soon(pair.server_stream.receive)
                started = anyio.current_time()
                await pair.client.close()
                tasks.cancel_scope.cancel()
        else:
            started = anyio.current_time()
            await pair.client.close()
        assert 2.0 == pytest.approx(anyio.current_time() - started, abs=0.2)
        assert (WebSocketState.CLOSED, 1006) == (pair.client.state, pair.client.close_code)


async def test_a_peer_that_talks_on_does_not_keep_the_connection_open() -> None:
    """While closing, what still arrives is dropped, and ``close_timeout`` holds."""

    async def handler(connection: ServerConnection) -> None:
        while True:
            await connection.send_bytes(frame(b"x" * 1000))

    async with serve(_until_broken(handler)) as server, open_websocket(server.url, close_timeout=0.05) as ws:
        assert "x" * 1000 == await ws.receive()
        await ws.close()
        assert 1006 == ws.close_code


def _until_broken(handler: Any) -> Any:
    async def run(connection: ServerConnection) -> None:
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            await handler(connection)

    return run


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 2999, 5000])
async def test_close_codes_that_may_not_be_sent_are_refused(code: int) -> None:
    """RFC 6455, 7.4.1 and 7.4.2."""
    async with connected_pair() as pair:
        with pytest.raises(ValueError, match="close code"):
            await pair.client.close(code)
        assert WebSocketState.OPEN is pair.client.state


async def test_a_reason_too_long_is_refused() -> None:
    """RFC 6455, 5.5: a control frame carries at most 125 bytes, two of which are the code."""
    async with connected_pair() as pair:
        with pytest.raises(ValueError, match="123"):
            await pair.client.close(1000, "ü" * 62)


async def test_leaving_the_block_closes_normally() -> None:
    """The server gets 1000, and nothing is left."""
    codes: list[int | None] = []

    async def handler(connection: ServerConnection) -> None:
        await connection.wait_closed()
        codes.append(connection.close_code)

    async with assert_no_leaks(), serve(handler) as server:
        async with open_websocket(server.url) as ws:
            pass
        assert (WebSocketState.CLOSED, 1000) == (ws.state, ws.close_code)
    assert [1000] == codes


async def test_an_exception_leaves_the_block_as_it_is() -> None:
    """It is not wrapped in a group; the server gets 1011."""
    codes: list[int | None] = []

    async def handler(connection: ServerConnection) -> None:
        await connection.wait_closed()
        codes.append(connection.close_code)

    async with assert_no_leaks(), serve(handler) as server:
        with pytest.raises(ZeroDivisionError):
            async with open_websocket(server.url) as ws:
                raise ZeroDivisionError
        assert WebSocketState.CLOSED is ws.state
        await anyio.wait_all_tasks_blocked()
        assert [1011] == codes


async def test_cancellation_closes_at_once() -> None:
    """The server gets 1001 (going away), and its answer is not waited for."""
    codes: list[int | None] = []

    async def handler(connection: ServerConnection) -> None:
        await connection.wait_closed()
        codes.append(connection.close_code)

    async with assert_no_leaks(), serve(handler) as server:
        with anyio.move_on_after(0.05):
            async with open_websocket(server.url) as ws:
                await ws.receive()
        assert WebSocketState.CLOSED is ws.state
        await anyio.wait_all_tasks_blocked()
        assert [1001] == codes


@pytest.mark.virtual_time
async def test_a_cancelled_block_does_not_wait_for_a_peer_that_takes_nothing() -> None:
    """The farewell is given up after a second."""
    async with connected_pair(max_buffer_bytes=1, close_timeout=60.0) as pair:
        pass_by = anyio.current_time()
        with anyio.CancelScope() as scope:
            scope.cancel()
            try:
                await checkpoint()
            finally:
                await pair.client.abandon(1001)  # type: ignore[attr-defined]
        assert 1.0 >= anyio.current_time() - pass_by
        assert WebSocketState.CLOSED is pair.client.state


async def test_a_sender_cut_off_in_a_frame_loses_the_connection() -> None:
    """Half a frame cannot be taken back, so nothing may follow it."""
    async with connected_pair(max_buffer_bytes=100) as pair:
        with anyio.move_on_after(0.01):
            await pair.client.send(b"x" * 1000)
        with pytest.raises(WebSocketError, match="cut off"):
            await pair.client.send("after it")
        assert (WebSocketState.CLOSED, 1006) == (pair.client.state, pair.client.close_code)


async def test_a_sender_cancelled_while_it_waits_for_another_sends_nothing() -> None:
    """The connection goes on, and the other message is whole."""
    async with connected_pair(max_buffer_bytes=100) as pair, anyio.create_task_group() as tasks:
        tasks.start_soon(pair.client.send, b"x" * 1000)
        await anyio.wait_all_tasks_blocked()
        with anyio.move_on_after(0.01):
            await pair.client.send("never")
        assert b"x" * 1000 == await pair.server.receive()
        await pair.client.send("after it")
        assert "after it" == await pair.server.receive()


async def test_a_ping_cut_off_in_its_frame_loses_the_connection() -> None:
    """As with a message; the ping is forgotten."""
    async with connected_pair(max_buffer_bytes=4) as pair:
        with anyio.move_on_after(0.01):
            await pair.client.ping()
        assert (WebSocketState.CLOSED, 1006) == (pair.client.state, pair.client.close_code)
        with pytest.raises(WebSocketError, match="cut off"):
            await pair.client.receive()


@pytest.mark.virtual_time
async def test_nothing_is_sent_while_closing() -> None:
    """RFC 6455, 5.5.1: no message after the close frame, also while the answer is waited for."""
    async with connected_pair() as pair, anyio.create_task_group() as tasks:
        tasks.start_soon(pair.client.close)
        await anyio.wait_all_tasks_blocked()
        assert WebSocketState.CLOSING is pair.client.state
        with pytest.raises(WebSocketError, match="is being closed"):
            await pair.client.send("too late")
        await pair.server.wait_closed()
        await pair.server.hang_up()


@pytest.mark.virtual_time
async def test_pings_that_arrive_after_sending_failed_are_not_answered() -> None:
    """What the peer said before it went is still read, without a try to answer."""
    async with connected_pair() as pair:
        await pair.server.send_bytes(frame(b"p", opcode=Opcode.PING) + frame(b"last") + close_frame(1008, "why"))
        pair.client_stream.stall()
        await pair.server_stream.aclose()
        with pytest.raises(WebSocketError, match="connection lost while sending") as caught:
            await pair.client.send("into the void")
        assert isinstance(caught.value.__cause__, anyio.BrokenResourceError)
        pair.client_stream.resume()
        batches = pair.client.batches()
        assert ["last"] == await anext(batches)
        with pytest.raises(WebSocketError) as caught:
            await anext(batches)
        assert (1008, "why") == (caught.value.close_code, caught.value.close_reason)


async def test_a_server_gone_is_an_error_for_the_sender_too() -> None:
    """Sending into a connection that the peer reset fails, sooner or later, with the reason."""
    async with serve(reset) as server, open_websocket(server.url) as ws:
        with pytest.raises(WebSocketError) as caught:
            for _ in range(1000):
                await ws.send(b"x" * 10_000)
                await checkpoint()
        assert 1006 == caught.value.close_code
