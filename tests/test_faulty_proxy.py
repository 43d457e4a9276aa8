"""The faulty proxy: bytes go through it unchanged, and each fault does what it says, once and on record."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
import pytest

from bt_api_base.exceptions import WebSocketError
from bt_api_base.testing import FaultyProxy, SimulatedVenue, assert_no_leaks
from bt_api_base.testing.proxy_faults import (
    AcceptThenClose,
    After,
    Corrupt,
    CutFrame,
    Delay,
    Direction,
    Drop,
    Duplicate,
    HalfClose,
    Refuse,
    Reorder,
    Reset,
    Stall,
    Step,
    Throttle,
    random_script,
)
from bt_api_base.testing.proxy_frames import MAX_HELD_BYTES, FrameCutter, Handshake, Piece
from bt_api_base.websocket import open_websocket
from bt_api_base.websocket_manager import WebSocketConfig, WebSocketManager
from tests.websocket_server import ServerConnection, echo, serve, serve_streams

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from anyio.abc import ByteStream, SocketStream

    from bt_api_base.testing.proxy_faults import Fault
    from bt_api_base.websocket import WebSocket

pytestmark = [pytest.mark.anyio, pytest.mark.bt_api_no_leaks]


async def echo_bytes(stream: ByteStream) -> None:
    """Send every byte back; end when the client ends."""
    async with stream:
        try:
            async for data in stream:
                await stream.send(data)
        except anyio.BrokenResourceError:
            pass


@asynccontextmanager
async def through_proxy(**options: object) -> AsyncGenerator[FaultyProxy]:
    """Run a proxy in front of a server that sends bytes back."""
    async with (
        serve_streams(echo_bytes) as server,
        FaultyProxy(server.host, server.port, **options) as proxy,  # type: ignore[arg-type]
    ):
        yield proxy


async def connect(proxy: FaultyProxy) -> SocketStream:
    """Connect to a proxy."""
    return await anyio.connect_tcp(proxy.host, proxy.port)


async def receive_all(stream: SocketStream) -> bytes:
    """Return everything to the end."""
    return b"".join([data async for data in stream])


def numbers(count: int) -> Callable[[ServerConnection], object]:
    """Make a handler that sends so many numbered messages, closes, and waits for the answer."""

    async def send(connection: ServerConnection) -> None:
        for number in range(count):
            await connection.send(f"message {number:04}")
        await connection.close()

    return send


async def received(ws: WebSocket) -> list[int]:
    """Return the numbers of all messages to the end."""
    found: list[int] = []
    try:
        while True:
            found.append(int((await ws.receive())[-4:]))
    except (anyio.EndOfStream, WebSocketError):
        return found


async def numbers_through(fault: Fault, *, count: int = 10, seed: int = 1) -> tuple[list[int], FaultyProxy]:
    """Return the messages that arrive of ``count`` with a fault armed before the first."""
    async with (
        serve(numbers(count)) as server,  # type: ignore[arg-type]
        FaultyProxy(server.host, server.port, seed=seed) as proxy,
    ):
        proxy.apply(fault)
        async with open_websocket(proxy.url_for(server.url)) as ws:
            return await received(ws), proxy


def frames(proxy: FaultyProxy, kind: str) -> list[int | None]:
    """Return the numbers of the frames that something happened to."""
    return [event.frame for event in proxy.log if event.kind == kind]


class TestPassingOn:
    """Without faults, nobody notices the proxy."""

    async def test_bytes_go_both_ways(self) -> None:
        """What is sent comes back, whatever its size, and the end is passed on as well."""
        payload = bytes(range(256)) * 8_000
        async with through_proxy() as proxy, await connect(proxy) as stream:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(stream.send, payload)
                echoed = b""
                while len(echoed) < len(payload):
                    echoed += await stream.receive()
            await stream.send_eof()
            assert payload == echoed
            assert b"" == await receive_all(stream)
            assert len(payload) == proxy.bytes_to_client

    async def test_a_websocket_goes_through_without_compression(self) -> None:
        """The offer of compression is taken out of the handshake, so that frames can be told apart."""
        async with (
            serve(echo, compression=True) as server,
            FaultyProxy(server.host, server.port) as proxy,
            open_websocket(proxy.url_for(server.url)) as ws,
        ):
            for message in ("", "x", "y" * 200, "z" * 70_000):
                await ws.send(message)
                assert message == await ws.receive()
            assert 4 == proxy.frames_to_client
        assert ["accepting", "accepted", "closed"] == [event.kind for event in proxy.log]

    async def test_a_message_too_long_to_hold_goes_through(self) -> None:
        """A frame longer than what is held is passed on while it arrives."""
        message = "x" * (3 * MAX_HELD_BYTES)
        async with (
            serve(echo) as server,
            FaultyProxy(server.host, server.port) as proxy,
            open_websocket(proxy.url_for(server.url), compression=False) as ws,
        ):
            await ws.send(message)
            assert message == await ws.receive()
            await ws.send("short")
            assert "short" == await ws.receive()

    async def test_a_server_that_is_not_there_is_a_reset(self) -> None:
        """A client whose connection cannot be passed on is reset, and the log says why."""
        async with serve_streams(echo_bytes) as server:
            pass
        async with FaultyProxy(server.host, server.port) as proxy:
            async with await connect(proxy) as stream:
                with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                    await stream.receive()
            assert "upstream-failed" in [event.kind for event in proxy.log]

    async def test_leaving_ends_connections(self) -> None:
        """Nothing is left when the block ends, whatever the connections were doing."""
        async with serve_streams(echo_bytes) as server:
            async with FaultyProxy(server.host, server.port) as proxy:
                stream = await connect(proxy)
                await stream.send(b"x")
                assert b"x" == await stream.receive()
                proxy.stall(60)
                await stream.send(b"y")
            with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                await stream.receive()
            await stream.aclose()

    async def test_cancelled_it_leaves_nothing(self) -> None:
        """A cancelled block closes its sockets."""
        async with assert_no_leaks(), serve_streams(echo_bytes) as server:
            with anyio.move_on_after(0.02):
                async with FaultyProxy(server.host, server.port) as proxy, await connect(proxy):
                    await anyio.sleep_forever()

    async def test_it_has_to_be_running(self) -> None:
        """A fault outside the block is a programming error, and says so."""
        proxy = FaultyProxy("127.0.0.1", 1)
        with pytest.raises(RuntimeError, match="not running"):
            proxy.reset()

    async def test_the_seed_is_shown(self) -> None:
        """Where none is given a seed is chosen, and in either case the repr shows it."""
        assert "seed=42" in repr(FaultyProxy("127.0.0.1", 1, seed=42))
        proxy = FaultyProxy("127.0.0.1", 1)
        assert f"seed={proxy.seed}" in repr(proxy)
        assert proxy.seed != FaultyProxy("127.0.0.1", 1).seed


class TestConnections:
    """Faults of whole connections."""

    async def test_refuse(self) -> None:
        """Connections are refused by the system for a time, those there are go on, and the port stays the same."""
        async with through_proxy() as proxy, await connect(proxy) as stream:
            port = proxy.port
            proxy.refuse()
            with pytest.raises(OSError):
                await connect(proxy)
            await stream.send(b"still here")
            assert b"still here" == await stream.receive()
            proxy.accept()
            async with await connect(proxy):
                assert port == proxy.port
            proxy.refuse(0.02)
            with pytest.raises(OSError):
                await connect(proxy)
            await anyio.sleep(0.04)
            async with await connect(proxy):
                pass

    async def test_accept_then_close(self) -> None:
        """So many connections are closed without a byte; the next one is served."""
        async with through_proxy() as proxy:
            proxy.accept_then_close(2)
            for _ in range(2):
                async with await connect(proxy) as stream:
                    with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                        await stream.receive()
            async with await connect(proxy) as stream:
                await stream.send(b"x")
                assert b"x" == await stream.receive()
            assert 3 == proxy.connections

    async def test_reset(self) -> None:
        """A reset reaches both sides as an error, not as an end."""
        sides: list[BaseException] = []

        async def wait(stream: ByteStream) -> None:
            async with stream:
                try:
                    await stream.receive()
                except anyio.BrokenResourceError as error:
                    sides.append(error)

        async with serve_streams(wait) as server, FaultyProxy(server.host, server.port) as proxy:
            async with await connect(proxy) as stream:
                while not proxy.open_connections:  # noqa: ASYNC110
                    await anyio.sleep(0.001)
                proxy.reset()
                with pytest.raises(anyio.BrokenResourceError):
                    await stream.receive()
            while not sides:  # noqa: ASYNC110
                await anyio.sleep(0.001)
            assert "reset" == proxy.log[-1].kind

    async def test_reset_of_one_connection(self) -> None:
        """A fault can be for one connection only."""
        async with through_proxy() as proxy, await connect(proxy) as first, await connect(proxy) as second:
            for stream in (first, second):
                await stream.send(b"x")
                await stream.receive()
            proxy.reset(connection=1)
            with pytest.raises(anyio.BrokenResourceError):
                await first.receive()
            await second.send(b"y")
            assert b"y" == await second.receive()
            assert (2,) == proxy.open_connections

    async def test_half_close(self) -> None:
        """One way ends after what was sent, the other one goes on."""
        heard: list[bytes] = []

        async def listen(stream: ByteStream) -> None:
            async with stream:
                await stream.send(b"first")
                heard.extend([data async for data in stream])

        async with serve_streams(listen) as server, FaultyProxy(server.host, server.port) as proxy:
            async with await connect(proxy) as stream:
                assert b"first" == await stream.receive()
                proxy.half_close()
                with pytest.raises(anyio.EndOfStream):
                    await stream.receive()
                await stream.send(b"still heard")
            while not heard:  # noqa: ASYNC110
                await anyio.sleep(0.001)
            assert [b"still heard"] == heard


class TestTime:
    """Faults of pace. Everything arrives, and in order."""

    async def test_stall(self) -> None:
        """Nothing comes while it lasts, and everything afterwards."""
        async with through_proxy() as proxy, await connect(proxy) as stream:
            await stream.send(b"x")
            await stream.receive()
            began = anyio.current_time()
            proxy.stall(0.05, Direction.TO_CLIENT)
            await stream.send(b"late")
            assert b"late" == await stream.receive()
            assert anyio.current_time() - began >= 0.045

    async def test_a_stall_holds_for_new_connections(self) -> None:
        """A connection made meanwhile is silent as well: not even its handshake is answered."""
        async with (
            serve(echo) as server,
            FaultyProxy(server.host, server.port) as proxy,
        ):
            proxy.stall(60)
            with pytest.raises(WebSocketError):
                async with open_websocket(proxy.url_for(server.url), connect_timeout=0.05):
                    pass
            proxy.heal()
            async with open_websocket(proxy.url_for(server.url)) as ws:
                await ws.send("x")
                assert "x" == await ws.receive()

    async def test_delay(self) -> None:
        """Each byte comes later, and many do not wait for one another."""
        async with through_proxy() as proxy, await connect(proxy) as stream:
            proxy.delay(0.03, jitter=0.005)
            began = anyio.current_time()
            echoed = b""
            for number in range(10):
                await stream.send(b"%d" % number)
                await anyio.sleep(0.001)
            while len(echoed) < 10:
                echoed += await stream.receive()
            assert b"0123456789" == echoed
            assert 0.055 <= anyio.current_time() - began < 0.3

    async def test_throttle(self) -> None:
        """So many bytes a second come through."""
        async with through_proxy() as proxy, await connect(proxy) as stream:
            proxy.throttle(100_000, Direction.TO_CLIENT)
            began = anyio.current_time()
            await stream.send(b"x" * 8_000)
            count = 0
            while count < 8_000:
                count += len(await stream.receive())
            assert anyio.current_time() - began >= 0.05
            proxy.throttle(None)
            await stream.send(b"y")
            assert b"y" == await stream.receive()


class TestFrames:
    """Faults of single frames. What arrives is a well-formed WebSocket, and the log says what was done to it."""

    async def test_drop(self) -> None:
        """Dropped frames are those that do not arrive."""
        arrived, proxy = await numbers_through(Drop(3))
        assert [3, 4, 5, 6, 7, 8, 9] == arrived
        assert [0, 1, 2] == frames(proxy, "dropped")
        assert b"message 0000" == next(event.payload for event in proxy.log if event.kind == "dropped")

    async def test_duplicate(self) -> None:
        """Duplicated frames arrive twice, one after the other."""
        arrived, proxy = await numbers_through(Duplicate(2), count=4)
        assert [0, 0, 1, 1, 2, 3] == arrived
        assert [0, 1] == frames(proxy, "duplicated")

    async def test_reorder(self) -> None:
        """A displaced frame arrives behind as many later ones as was said."""
        arrived, proxy = await numbers_through(Reorder(1, 3), count=6)
        assert [1, 2, 3, 0, 4, 5] == arrived
        assert [0] == frames(proxy, "reordered")

    async def test_reorder_at_the_end(self) -> None:
        """A displaced frame arrives before the close frame even if too few come after it."""
        arrived, _ = await numbers_through(Reorder(1, 30, patience=60), count=3)
        assert [1, 2, 0] == arrived

    async def test_reorder_has_patience_only(self) -> None:
        """A displaced frame that nothing follows is sent after a time."""
        async with (
            serve(echo) as server,
            FaultyProxy(server.host, server.port) as proxy,
            open_websocket(proxy.url_for(server.url)) as ws,
        ):
            proxy.reorder(patience=0.02)
            await ws.send("x")
            assert "x" == await ws.receive()

    async def test_by_chance_and_for_good(self) -> None:
        """What is lost at random follows from the seed, and is on record."""
        arrived, proxy = await numbers_through(Drop(None, chance=0.3), count=200, seed=5)
        lost = frames(proxy, "dropped")
        assert sorted(set(range(200)) - set(arrived)) == lost
        assert 30 < len(lost) < 90
        _, again = await numbers_through(Drop(None, chance=0.3), count=200, seed=5)
        assert lost == frames(again, "dropped")
        _, other = await numbers_through(Drop(None, chance=0.3), count=200, seed=6)
        assert lost != frames(other, "dropped")

    async def test_cut_frame(self) -> None:
        """The stream ends in the middle of a frame."""
        arrived, proxy = await numbers_through(CutFrame(5, reset=False))
        assert [] == arrived
        assert ["after 5 of 14 bytes"] == [event.detail for event in proxy.log if event.kind == "cut"]

    async def test_to_the_server(self) -> None:
        """The client's frames, which are masked, can be dropped and read as well."""
        async with (
            serve(echo) as server,
            FaultyProxy(server.host, server.port) as proxy,
            open_websocket(proxy.url_for(server.url)) as ws,
        ):
            proxy.drop(direction=Direction.TO_SERVER)
            await ws.send("lost")
            await ws.send("kept")
            assert "kept" == await ws.receive()
            (event,) = (event for event in proxy.log if event.kind == "dropped")
            assert (b"lost", Direction.TO_SERVER) == (event.payload, event.direction)

    async def test_control_frames_and_fragments_are_left_alone(self) -> None:
        """Pings are answered and fragmented messages arrive while every data frame is dropped."""

        async def fragments(connection: ServerConnection) -> None:
            await connection.send("lost")
            connection.protocol.send_text(b"in ", fin=False)
            connection.protocol.send_continuation(b"parts", fin=True)
            await connection.flush()
            await connection.wait_closed()

        async with serve(fragments) as server, FaultyProxy(server.host, server.port) as proxy:
            proxy.drop(None)
            async with open_websocket(proxy.url_for(server.url)) as ws:
                assert "in parts" == await ws.receive()


class TestCorruption:
    """Flipped bits."""

    async def test_of_payloads(self) -> None:
        """Messages are damaged, each in a bit, and the WebSocket is not."""
        sent = bytes(1_000)

        async def binary(connection: ServerConnection) -> None:
            await connection.send(sent)
            await connection.close()

        async with serve(binary) as server, FaultyProxy(server.host, server.port, seed=3) as proxy:
            proxy.corrupt(5, span_bytes=1_000)
            async with open_websocket(proxy.url_for(server.url)) as ws:
                message = await ws.receive()
            assert isinstance(message, bytes)
            assert 5 == sum(byte.bit_count() for byte in message)
            assert 5 == len(frames(proxy, "corrupted"))

    async def test_of_any_bytes(self) -> None:
        """Bytes that are no frames are damaged where the seed says, however they are cut up."""

        async def damaged(chunk: int) -> bytes:
            async with through_proxy(seed=9, frames=False) as proxy, await connect(proxy) as stream:
                proxy.corrupt(8, span_bytes=4_000, payload=False)
                for _ in range(4_000 // chunk):
                    await stream.send(bytes(chunk))
                    await anyio.lowlevel.checkpoint()
                await stream.send_eof()
                return await receive_all(stream)

        whole = await damaged(4_000)
        assert 8 == sum(byte.bit_count() for byte in whole)
        assert whole == await damaged(500)


class TestScript:
    """Faults at moments."""

    async def test_after_frames(self) -> None:
        """A fault is there for the frame that follows so many."""
        async with (
            serve(numbers(10)) as server,  # type: ignore[arg-type]
            FaultyProxy(
                server.host,
                server.port,
                script=[
                    Step(After(frames=2), Drop(1)),
                    Step(After(frames=5), Duplicate()),
                    Step(After(frames=8), Reset()),
                ],
            ) as proxy,
            open_websocket(proxy.url_for(server.url)) as ws,
        ):
            assert [0, 1, 3, 4, 5, 5, 6, 7] == await received(ws)
            assert 8 <= proxy.frames_to_client

    async def test_after_bytes(self) -> None:
        """So many bytes arrive, and not one more."""
        async with (
            through_proxy(script=[Step(After(bytes=1_000), HalfClose())]) as proxy,
            await connect(proxy) as stream,
        ):
            await stream.send(b"x" * 5_000)
            assert 1_000 == len(await receive_all(stream))

    async def test_after_connections(self) -> None:
        """A fault is there for the connection that makes the number full."""
        async with through_proxy(script=[Step(After(connections=2), AcceptThenClose())]) as proxy:
            async with await connect(proxy) as stream:
                await stream.send(b"x")
                assert b"x" == await stream.receive()
            async with await connect(proxy) as stream:
                with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                    await stream.receive()

    async def test_after_seconds(self) -> None:
        """Faults come in the order of their times."""
        script = [Step(After(seconds=0.02), Refuse()), Step(After(seconds=0.01), Throttle(1e6))]
        async with through_proxy(script=script) as proxy:
            await anyio.sleep(0.04)
            assert ["accepting", "throttled", "refusing"] == [event.kind for event in proxy.log]

    async def test_a_random_script_follows_from_its_seed(self) -> None:
        """The same seed makes the same script; another one another."""
        script = random_script(1, seconds=10, faults=20)
        assert script == random_script(1, seconds=10, faults=20)
        assert script != random_script(2, seconds=10, faults=20)
        assert 20 == len(script)
        assert all(0 <= (step.when.seconds or 0) <= 10 for step in script)

    @pytest.mark.parametrize(
        "make",
        [
            After,
            lambda: After(seconds=1, bytes=2),
            lambda: After(bytes=1, direction=Direction.BOTH),
            lambda: Drop(0),
            lambda: Drop(chance=0),
            lambda: Stall(-1),
            lambda: Delay(float("inf")),
            lambda: Throttle(0),
            lambda: Corrupt(10, span_bytes=5),
        ],
    )
    async def test_nonsense_is_refused(self, make: Callable[[], object]) -> None:
        """A fault that cannot be is an error where it is written."""
        with pytest.raises(ValueError, match=r"must be|exactly one|one way|cannot choose"):
            make()


async def test_a_manager_lives_through_it() -> None:
    """Behind a proxy that cuts, stalls and drops, a subscription goes on with the venue's own events."""
    async with (
        SimulatedVenue(("BTC-USDT",), rate=500, seed=2) as venue,
        FaultyProxy(
            "127.0.0.1",
            venue.port,
            seed=7,
            script=[Step(After(frames=20), CutFrame()), Step(After(connections=2), Stall(0.02))],
        ) as proxy,
        WebSocketManager() as manager,
    ):
        config = WebSocketConfig(proxy.url_for(venue.url), venue.exchange_name, reconnect_interval=0.01)
        await manager.add_exchange(config)
        count = 0
        async with await manager.subscribe(venue.exchange_name, "ticker", "BTC-USDT") as subscription:
            async for _ in subscription:
                count += 1
                if count >= 100:
                    break
        assert 2 <= proxy.connections
        assert ["cut"] == [event.kind for event in proxy.log if event.kind == "cut"]


class TestCutter:
    """Where frames begin and end, however the bytes arrive."""

    HEAD = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
    FRAMES = (b"\x81\x02hi", b"\x89\x01p", b"\x82\x7e\x00\x80" + bytes(128), b"\x01\x01a", b"\x80\x01b", b"\x88\x00")

    @pytest.mark.parametrize("size", [1, 2, 3, 7, 1_000])
    async def test_pieces_are_the_same_however_they_are_cut_up(self, size: int) -> None:
        """Heads and frames come out whole, and only whole messages in one frame count as data."""
        stream = self.HEAD + b"".join(self.FRAMES)
        cutter = FrameCutter(Direction.TO_CLIENT, Handshake())
        pieces: list[Piece] = []
        for start in range(0, len(stream), size):
            pieces += cutter.feed(stream[start : start + size])
        assert [self.HEAD, *self.FRAMES] == [piece.data for piece in pieces]
        assert [False, True, False, True, False, False, False] == [piece.is_data for piece in pieces]
        assert b"hi" == pieces[1].payload
        assert pieces[-1].is_close

    async def test_what_is_no_websocket_is_passed_on(self) -> None:
        """Bytes that begin with no handshake are not held up."""
        cutter = FrameCutter(Direction.TO_CLIENT, Handshake())
        assert [b"\x16\x03\x01"] == [piece.data for piece in cutter.feed(b"\x16\x03\x01")]
        assert [b"more"] == [piece.data for piece in cutter.feed(b"more")]

    async def test_an_answer_without_upgrade_is_passed_on(self) -> None:
        """A refused handshake has a body and no frames."""
        cutter = FrameCutter(Direction.TO_CLIENT, Handshake())
        answer = b"HTTP/1.1 503 Service Unavailable\r\n\r\nbusy"
        assert answer == b"".join(piece.data for piece in cutter.feed(answer))
