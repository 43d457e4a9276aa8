"""The venue that plays recorded frames back: each frame once, in order, to whoever listens."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import anyio
import pytest

from bt_api_base.testing.leaks import assert_no_leaks
from bt_api_base.testing.recorded_frames import ArrivalError, RecordedFrame, recorded_frames
from bt_api_base.testing.replay_venue import ReplayVenue
from tests.corpora import corpora_path
from tests.venue_peers import memory_client, open_client

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.anyio


def frame(stream: str, number: int) -> bytes:
    """Return a combined frame with a number and a peculiar layout, which must survive."""
    return f'{{"stream":"{stream}", "data":{{"e":"x","E":{1_700_000_000_000 + number},"n":{number}}}}}'.encode()


def subscription(*streams: str) -> str:
    """Return a request to subscribe."""
    return json.dumps({"method": "SUBSCRIBE", "params": list(streams), "id": 1})


async def test_every_frame_once_in_order_as_recorded() -> None:
    """Once all streams are subscribed to, the frames come byte for byte, and at the end the connection is closed."""
    frames = [frame("btcusdt@trade" if number % 3 else "ethusdt@trade", number) for number in range(1_000)]
    async with assert_no_leaks(), ReplayVenue(frames, start_after=2) as venue, open_client(venue.url) as client:
        await client.send(subscription("btcusdt@trade"))
        assert '{"result":null,"id":1}' == await client.receive()
        assert 0 == venue.frames_sent
        await client.send(subscription("ethusdt@trade"))
        assert '{"result":null,"id":1}' == await client.receive()
        received = [str(await client.receive()).encode() for _ in frames]
        assert frames == received
        assert 1000 == (await client.wait_closed()).code
        await venue.wait_finished()
        assert (1_000, 0, 1_000) == (venue.frames_sent, venue.frames_skipped, venue.sent_total)
        assert venue.is_finished


async def test_frames_may_be_text_and_start_on_demand() -> None:
    """Frames are text or bytes; without a number of streams to wait for, it starts when told."""
    frames = [frame("a@b", 0).decode(), frame("a@b", 1)]
    async with ReplayVenue(frames) as venue, open_client(f"{venue.url}?streams=a@b") as client:
        assert 0 == venue.frames_sent
        await venue.start_replay()
        assert [0, 1] == [message["data"]["n"] async for message in client.messages()]


async def test_frames_are_read_as_they_are_sent() -> None:
    """An endless recording does not fill the memory: frames are read at the pace of the client."""
    read = 0

    def endless() -> Iterator[bytes]:
        nonlocal read
        while True:
            read += 1
            yield frame("a@b", read) + b" " * 1_000

    async with ReplayVenue(endless(), start_after=1) as venue:
        client = await memory_client(venue)
        await client.request("SUBSCRIBE", ["a@b"])
        for _ in range(100):
            await anyio.lowlevel.checkpoint()
        assert 0 < read < 3_000
        for number in range(1, 2_000):
            assert number == json.loads(await client.receive())["data"]["n"]
        await client.aclose()


async def test_frames_nobody_asked_for_are_skipped() -> None:
    """Streams that were never subscribed to do not hold up the others."""
    frames = [frame("a@b", 0), frame("c@d", 1), frame("a@b", 2)]
    async with ReplayVenue(frames, start_after=1) as venue, open_client(f"{venue.url}?streams=a@b") as client:
        assert [0, 2] == [message["data"]["n"] async for message in client.messages()]
        assert (2, 1) == (venue.frames_sent, venue.frames_skipped)


async def test_a_lost_listener_is_waited_for() -> None:
    """When the connection goes in the middle, what is left comes after the client has subscribed again."""
    frames = [RecordedFrame(frame("a@b", number), float(number)) for number in range(20)]
    async with ReplayVenue(frames, speed=1_000, start_after=1) as venue:
        async with open_client(f"{venue.url}?streams=a@b") as client:
            first = [(await client.receive_json())["data"]["n"]]
            await venue.disconnect_all()
            first += [message["data"]["n"] async for message in client.messages()]
        async with open_client(f"{venue.url}?streams=a@b") as client:
            second = [message["data"]["n"] async for message in client.messages()]
        assert list(range(first[-1] + 1)) == first
        assert second == list(range(second[0], 20))
        assert 20 == venue.frames_sent
        assert len(first) + len(second) <= venue.sessions[0].sent + venue.sessions[1].sent <= 20  # a cut loses some


async def test_raw_connections_get_raw_frames() -> None:
    """A connection that is not combined gets the data alone; a frame without a stream's name goes to the oldest."""
    frames = [frame("a@b", 0), b'{"lastUpdateId":1,"bids":[],"asks":[]}']
    async with ReplayVenue(frames, start_after=1) as venue, open_client(f"{venue.ws_url}/a@b") as client:
        assert '{"e":"x","E":1700000000000,"n":0}' == await client.receive()
        assert '{"lastUpdateId":1,"bids":[],"asks":[]}' == await client.receive()


@pytest.mark.virtual_time
async def test_frames_that_are_no_json_are_replayed_too() -> None:
    """A recording may hold anything; what tells no stream's name goes to the oldest connection as it is."""
    frames = [b"\xff\xfe", b'{"stream":"a@b","data"', b"[" * 100_000, b'{"stream":"\xff","data":{}}']
    async with ReplayVenue(frames, speed=1.0, listen=False) as venue:
        client = await memory_client(venue)
        await venue.start_replay()
        assert frames == [await client.receive() for _ in frames]
        await client.aclose()


async def test_a_stall_only_delays() -> None:
    """Nothing of a recording is lost in a stall."""
    frames = [frame("a@b", number) for number in range(10)]
    async with ReplayVenue(frames) as venue, open_client(f"{venue.url}?streams=a@b") as client:
        venue.stall(0.02)
        await venue.start_replay()
        assert list(range(10)) == [message["data"]["n"] async for message in client.messages()]


async def test_faults_of_a_stream() -> None:
    """What is recorded can be withheld, repeated and sent out of order like what is made up."""
    frames = [frame(stream, number) for number in range(6) for stream in ("a@b", "c@d")]
    async with ReplayVenue(frames, listen=False) as venue:
        client = await memory_client(venue, target="/stream?streams=a@b/c@d")
        venue.skip("a@b")
        venue.repeat("a@b")
        venue.reorder("a@b")
        venue.mute("c@d")
        await venue.start_replay()
        received = await client.messages()
        assert [1, 1, 3, 2, 4, 5] == [message["data"]["n"] for message in received]
        records = venue.sessions[0].streams
        assert (6, 1, 1, 1) == (
            records["a@b"].count,
            records["a@b"].withheld,
            records["a@b"].repeated,
            records["a@b"].displaced,
        )
        assert (0, 6) == (records["c@d"].count, records["c@d"].withheld)


@pytest.mark.virtual_time
async def test_a_silence_only_delays_too() -> None:
    """Nothing of a recording is lost while a connection looks alive and is silent."""
    async with ReplayVenue([frame("a@b", 0)], listen=False) as venue:
        client = await memory_client(venue, target="/stream?streams=a@b")
        venue.stall(10, answers_pings=True)
        begin = anyio.current_time()
        await venue.start_replay()
        await client.receive()
        assert 10 == pytest.approx(anyio.current_time() - begin)
        await client.aclose()


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("times", "speed", "expected"),
    [
        ([100.0, 101.0, 103.0, 103.0], 1.0, [0, 1, 3, 3]),
        ([100.0, 101.0, 103.0, 103.0], 2.0, [0, 0.5, 1.5, 1.5]),
        ([100.0, 101.0, 100.5, 101.5], 1.0, [0, 1, 1, 2]),
        ([100.0, 101.0, 90_000.0, 90_001.0], 1.0, [0, 1, 1, 2]),
        ([None, None, None, None], 0.001, [0, 1, 2, 3]),
        ([100.0, 101.0, 103.0, 104.0], None, [0, 0, 0, 0]),
    ],
    ids=["real time", "twice as fast", "out of order", "two recordings", "times in the frames", "at once"],
)
async def test_speed(times: list[float | None], speed: float | None, expected: list[float]) -> None:
    """Frames come at the recorded distances, scaled; gaps between recordings are skipped."""
    frames = [RecordedFrame(frame("a@b", number), time) for number, time in enumerate(times)]
    async with ReplayVenue(frames, speed=speed, start_after=1, listen=False) as venue:
        client = await memory_client(venue)
        await client.request("SUBSCRIBE", ["a@b"])
        begin, arrivals = anyio.current_time(), []
        for _ in times:
            await client.receive()
            arrivals.append(anyio.current_time() - begin)
        assert expected == pytest.approx(arrivals, abs=1e-3)  # stamps have milliseconds
        await client.aclose()


@pytest.mark.parametrize("speed", [0.0, -1.0])
def test_a_speed_must_be_positive(speed: float) -> None:
    """Recordings do not run backwards."""
    with pytest.raises(ValueError, match="speed"):
        ReplayVenue([], speed=speed)


# Files.


def write(path: Path, lines: list[bytes], times: list[float] | None = None) -> Path:
    """Write a recording, with times of arrival or without."""
    path.write_bytes(b"\n".join(lines) + b"\n")
    if times is not None:
        path.with_suffix(".meta.jsonl").write_text("".join(f"[{number},{time}]\n" for number, time in enumerate(times)))
    return path


def test_files_with_times_are_merged(tmp_path: Path) -> None:
    """Several files of one capture come in the order of their times of arrival."""
    one = write(tmp_path / "one.jsonl", [b"1", b"3", b"4"], [1.0, 3.0, 4.0])
    two = write(tmp_path / "two.jsonl", [b"2", b"5"], [2.0, 5.0])
    assert [(b"%d" % number, float(number)) for number in range(1, 6)] == [
        (recorded.payload, recorded.time) for recorded in recorded_frames(one, two)
    ]


def test_files_without_times_follow_each_other(tmp_path: Path) -> None:
    """Where a file has no times, files come one after the other; empty lines are no frames."""
    one = write(tmp_path / "one.jsonl", [b"9", b"", b"8"])
    two = write(tmp_path / "two.jsonl", [b"2"], [2.0])
    assert [(b"9", None), (b"8", None), (b"2", 2.0)] == [
        (recorded.payload, recorded.time) for recorded in recorded_frames(str(one), two)
    ]


@pytest.mark.parametrize("times", ["[0,1.0]\n", "[0,1.0]\n{}\n", "[0,1.0]\nnothing\n"])
def test_times_must_fit(tmp_path: Path, times: str) -> None:
    """A file of times that does not fit its frames is named, with the line."""
    path = write(tmp_path / "one.jsonl", [b"1", b"2"])
    path.with_suffix(".meta.jsonl").write_text(times)
    with pytest.raises(ArrivalError, match=r"one\.meta\.jsonl, line 2"):
        list(recorded_frames(path))


async def test_a_recorded_market() -> None:
    """Real frames of three channels arrive byte for byte, merged into the order in which they were captured."""
    folder = corpora_path("public", "ws", "binance_spot")
    channels = {"bookTicker": "bookTicker", "trade": "trade", "depth": "depth@100ms"}
    paths = [folder / f"{name}.btcusdt-20240808.jsonl" for name in channels]
    async with ReplayVenue(recorded_frames(*paths), start_after=3) as venue, open_client(venue.url) as client:
        await client.send(subscription(*(f"btcusdt@{channel}" for channel in channels.values())))
        await client.receive()
        count = sum(len(path.read_bytes().splitlines()) for path in paths)
        received = [str(await client.receive()).encode() for _ in range(count)]
        await client.wait_closed()
    assert sorted(line for path in paths for line in path.read_bytes().splitlines()) == sorted(received)
    assert [recorded.payload for recorded in recorded_frames(*paths)] == received
    assert (count, 0) == (venue.frames_sent, venue.frames_skipped)
