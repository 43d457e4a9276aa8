"""Recording what a venue sends, and taking recordings through the same way again."""

from __future__ import annotations

import inspect
import json
import os
import signal
import sys
from collections import Counter
from typing import TYPE_CHECKING

import anyio
import pytest

from bt_api_base._cli.recording import FrameRecorder, meta_path
from bt_api_base._cli.replay import Recording, ReplayAdapter, ReplayBook, ReplayOptions, run_replay
from bt_api_base._cli.runtime import CommandError, expected_errors, wait_until
from bt_api_base._cli.taps import AdapterTap, RecordingAdapter
from bt_api_base._cli.watch import WatchOptions, run_watch
from bt_api_base.exceptions import BtApiError
from bt_api_base.security import Credentials
from bt_api_base.testing.replay_venue import ReplayVenue
from bt_api_base.testing.simulated_venue import SimulatedVenue
from bt_api_base.transport import TransportPolicy
from bt_api_base.venues import stream_adapter
from bt_api_base.websocket.adapter import Notice, StreamAdapter
from tests.corpora import corpora_path

if sys.version_info < (3, 11):
    from exceptiongroup import BaseExceptionGroup

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Room for every column of the tables, whatever the tests run in."""
    monkeypatch.setenv("COLUMNS", "120")


VENUE = "BINANCE___SPOT"
QUOTE = '{"stream":"btcusdt@bookTicker","data":{"u":%d,"s":"BTCUSDT","b":"%.2f","B":"3.5","a":"%.2f","A":"1.5"}}'
TRADE = (
    '{"stream":"nknusdt@trade","data":{"e":"trade","E":1723161255343,"s":"NKNUSDT","t":%d,"p":"0.35210000",'
    '"q":"2.00000000","T":1723161255342,"m":true,"M":true}}'
)
ACK = '{"result":null,"id":1}'


def watching(url: str, **changes: object) -> WatchOptions:
    """Make options to watch a venue on loopback."""
    options: dict[str, object] = {
        "exchange_name": VENUE,
        "symbols": ("BTC-USDT",),
        "topics": ("ticker", "trade"),
        "url": url,
        "record": None,
        "backend": "asyncio",
        "duration": 0.2,
        "attempts": 2,
        "plain": True,
    }
    return WatchOptions(**{**options, **changes})  # type: ignore[arg-type]


def replaying(*files: Path, speed: float | None = None) -> ReplayOptions:
    """Make options to replay files."""
    return ReplayOptions(files=files, exchange_name=VENUE, backend="asyncio", speed=speed, plain=True)


def write(path: Path, *lines: str, times: tuple[float, ...] = ()) -> Path:
    """Write a recording."""
    path.write_text("".join(f"{line}\n" for line in lines))
    if times:
        meta_path(path).write_text("".join(f"[{number},{time:.9f}]\n" for number, time in enumerate(times)))
    return path


# -- recording ---------------------------------------------------------------------------------------


async def test_frames_are_recorded_as_they_came(tmp_path: Path) -> None:
    """One a line, byte for byte, with the nanosecond they came at beside them."""
    recorder = FrameRecorder(tmp_path / "frames.jsonl")
    async with anyio.create_task_group() as tasks:
        await tasks.start(recorder.run)
        recorder.take(b'{"a": 1}', 1_723_161_254_087_891_268)
        recorder.take('{"b":"ü"}', 1_723_161_255_000_000_001)
        tasks.cancel_scope.cancel()
    assert (tmp_path / "frames.jsonl").read_bytes() == '{"a": 1}\n{"b":"ü"}\n'.encode()
    assert (tmp_path / "frames.meta.jsonl").read_text() == "[0,1723161254.087891268]\n[1,1723161255.000000001]\n"
    assert (2, 0) == (recorder.frames, recorder.altered)


async def test_what_was_taken_is_written_while_it_runs(tmp_path: Path) -> None:
    """A recording is of use also when the machine dies: it is written several times a second."""
    recorder = FrameRecorder(tmp_path / "frames.jsonl", flush_interval=0.001)
    async with anyio.create_task_group() as tasks:
        await tasks.start(recorder.run)
        recorder.take(b"{}", 1)
        assert await wait_until(lambda: (tmp_path / "frames.jsonl").read_bytes() != b"", 5.0)
        tasks.cancel_scope.cancel()
    assert (tmp_path / "frames.jsonl").read_bytes() == b"{}\n"


async def test_a_frame_stays_on_its_line(tmp_path: Path) -> None:
    """A line break between JSON tokens becomes a space, and is counted."""
    recorder = FrameRecorder(tmp_path / "frames.jsonl")
    async with anyio.create_task_group() as tasks:
        await tasks.start(recorder.run)
        recorder.take(b'{\n"a":\r\n1}', 1)
        tasks.cancel_scope.cancel()
    assert (tmp_path / "frames.jsonl").read_bytes() == b'{ "a":  1}\n'
    assert recorder.altered == 1


@pytest.mark.parametrize("name", ["frames.jsonl", "frames.meta.jsonl"])
async def test_a_recording_never_overwrites_another(tmp_path: Path, name: str) -> None:
    """Neither its frames nor its times."""
    (tmp_path / name).write_text("precious")
    with pytest.raises(CommandError, match="exists already"):
        await FrameRecorder(tmp_path / "frames.jsonl").run()
    assert (tmp_path / name).read_text() == "precious"


async def test_a_recording_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    """In the system's words."""
    with pytest.raises(CommandError, match=r"cannot record to .*: No such file or directory"):
        await FrameRecorder(tmp_path / "missing" / "frames.jsonl").run()


async def test_a_tap_does_as_the_adapter_inside() -> None:
    """Whatever is asked of it."""
    inner = stream_adapter(VENUE)
    tap: StreamAdapter = AdapterTap(stream_adapter(VENUE))
    channel = inner.channel("trade", "BTC-USDT")
    assert (inner.exchange_name, inner.default_url, inner.limits) == (tap.exchange_name, tap.default_url, tap.limits)
    assert tap.channel("trade", "BTC-USDT") == channel
    assert tap.endpoint("ws://h/ws") == inner.endpoint("ws://h/ws")
    assert tap.subscribe_frame(1, [channel]) == inner.subscribe_frame(1, [channel])
    assert tap.decode_frame(ACK, 1) == inner.decode_frame(ACK, 1)
    assert tap.unsubscribe_frame(2, [channel]) == inner.unsubscribe_frame(2, [channel])
    assert tap.ping_frame() == inner.ping_frame()
    assert tap.probe_frame(3, channel) == inner.probe_frame(3, channel)
    assert tap.session_lease("ws://h/ws") == inner.session_lease("ws://h/ws")
    assert tap.login_frame(4) == inner.login_frame(4)


async def test_what_a_connection_sets_reaches_the_adapter_inside() -> None:
    """Endpoint, credentials and clock: limits, URL and log-in depend on them."""
    inner = stream_adapter(VENUE)
    tap: StreamAdapter = AdapterTap(inner)
    tap.credentials = credentials = Credentials("key", "secret")
    tap.now_ns = now_ns = lambda: 1_700_000_000_000_000_000
    tap.transport_policy = policy = TransportPolicy()
    tap.endpoint_name = name = inner.channel("order", "").endpoint
    for adapter in (inner, tap):
        given = (adapter.endpoint_name, adapter.credentials, adapter.transport_policy, adapter.now_ns)
        assert (name, credentials, policy, now_ns) == given
    assert tap.limits.max_channels_per_connection == 1
    channel = tap.channel("order", "")
    assert tap.endpoint(tap.default_url, "lease") == inner.endpoint(tap.default_url, "lease") != tap.default_url
    assert tap.subscribe_frame(1, [channel]) == inner.subscribe_frame(1, [channel])
    assert "1700000000000" in tap.subscribe_frame(1, [channel])


async def test_a_tap_leaves_nothing_of_an_adapter_out() -> None:
    """Whatever the contract grows by, a tap passes on; frames it decodes one by one."""
    own = {name for name in vars(StreamAdapter) if not name.startswith("_")} | set(StreamAdapter.__annotations__)
    passed_on = vars(AdapterTap).keys() | vars(AdapterTap(stream_adapter(VENUE))).keys()
    assert own - passed_on == {"decode", "decode_batch"}
    for name in own & passed_on:
        contract, ours = getattr(StreamAdapter, name, None), getattr(AdapterTap, name, None)
        if callable(contract) and callable(ours):
            assert inspect.signature(contract) == inspect.signature(ours)


async def test_frames_that_cannot_be_decoded_are_recorded_too(tmp_path: Path) -> None:
    """They are what a recording is needed for most."""
    recorder = FrameRecorder(tmp_path / "frames.jsonl")
    with pytest.raises(BtApiError):
        RecordingAdapter(stream_adapter(VENUE), recorder).decode_frame(b"<html>", 1)
    assert recorder.frames == 1


# -- watching ----------------------------------------------------------------------------------------


async def record_a_while(venue: SimulatedVenue, path: Path) -> int:
    """Watch a venue until a few dozen frames are recorded, and end as if the user pressed Ctrl-C."""
    statuses: list[int] = []

    async def watch() -> None:
        statuses.append(await run_watch(watching(venue.url, duration=None, record=path)))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch)
        assert await wait_until(lambda: path.exists() and path.stat().st_size > 5_000, 10.0)
        os.kill(os.getpid(), signal.SIGINT)
    return statuses[0]


async def test_watch_shows_and_records_what_a_venue_sends(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every frame that the venue sent over the connection is in the file, in order."""
    path = tmp_path / "frames.jsonl"
    async with SimulatedVenue(("BTC-USDT",), rate=500, keep_ids=True) as venue:
        assert await record_a_while(venue, path) == 0
        trades = venue.sessions[0].streams["btcusdt@trade"].ids
    frames = [json.loads(line) for line in path.read_text().splitlines()]
    recorded = [frame["data"]["t"] for frame in frames if frame.get("stream") == "btcusdt@trade"]
    assert trades is not None
    assert len(recorded) > 3
    assert recorded == trades[: len(recorded)]
    assert [{"result": None}] == [{"result": frame["result"]} for frame in frames if "stream" not in frame]
    assert len(meta_path(path).read_text().splitlines()) == len(frames)
    output = capsys.readouterr().out
    assert f"recorded {len(frames):,} frames" in " ".join(output.split())
    assert "market" in output


async def test_while_connections_overlap_both_are_recorded(tmp_path: Path) -> None:
    """A recording is what came over the wire: nothing is left out because it came twice."""
    path = tmp_path / "frames.jsonl"
    async with SimulatedVenue(("BTC-USDT",), rate=500, keep_ids=True) as venue, anyio.create_task_group() as tasks:
        tasks.start_soon(run_watch, watching(venue.url, duration=None, record=path))
        assert await wait_until(lambda: venue.sent_total > 20, 5.0)
        venue.shutdown_notice()
        assert await wait_until(lambda: len(venue.sessions) == 2 and venue.sessions[1].sent > 40, 5.0)
        tasks.cancel_scope.cancel()
        sent = Counter(number for ids in venue.sent_ids("btcusdt@trade").values() for number in ids)
    frames = [json.loads(line) for line in path.read_text().splitlines()]
    recorded = Counter(frame["data"]["t"] for frame in frames if frame.get("stream") == "btcusdt@trade")
    assert recorded <= sent
    assert {1, 2} == set(recorded.values())
    assert max(sent) - max(recorded) <= 100


async def test_a_recording_replays_to_the_same_frames(tmp_path: Path) -> None:
    """Record a venue, replay the recording, record the replay: the frames are the same, byte for byte."""
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    async with SimulatedVenue(("BTC-USDT",), rate=500) as venue:
        await record_a_while(venue, first)
    recording = Recording.scan([first], stream_adapter(VENUE))
    async with ReplayVenue(recording.read(), start_after=2) as venue, anyio.create_task_group() as tasks:
        tasks.start_soon(run_watch, watching(venue.url, record=second, duration=None))
        await venue.wait_finished()
        tasks.cancel_scope.cancel()
    frames = first.read_bytes().splitlines()
    assert len(frames) == recording.frames > 10
    assert second.read_bytes().splitlines()[-len(frames) :] == frames


async def test_watch_gives_up_on_a_venue_that_cannot_be_reached(free_tcp_port: int) -> None:
    """After as many attempts as it was told, and says why."""
    with pytest.raises(BaseExceptionGroup) as caught:
        await run_watch(watching(f"ws://127.0.0.1:{free_tcp_port}/stream", attempts=1, duration=None))
    lines = expected_errors(caught.value)
    assert lines is not None
    assert "given up after 2 attempts" in lines[0]


async def test_watch_ends_when_the_venue_is_gone_for_good(capsys: pytest.CaptureFixture[str]) -> None:
    """A connection that was up and is given up ends the command: nothing more will be shown."""
    async with SimulatedVenue(("BTC-USDT",), rate=100) as venue:
        with pytest.raises(BaseExceptionGroup) as caught:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(run_watch, watching(venue.url, attempts=1, duration=None))
                assert await wait_until(lambda: venue.sent_total > 0, 5.0)
                await venue.kill()
    lines = expected_errors(caught.value)
    assert lines is not None
    assert "connection given up after 2 failed attempts" in lines[0]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"exchange_name": "NOWHERE___SPOT"}, "no such exchange"),
        ({"symbols": ("B T C",)}, "invalid symbol"),
        ({"topics": ("weather",)}, "no topic 'weather'"),
    ],
)
async def test_watch_refuses_what_cannot_be_before_it_connects(changes: dict[str, object], text: str) -> None:
    """A wrong name needs no connection to be found out."""
    with pytest.raises(BtApiError, match=text):
        await run_watch(watching("ws://127.0.0.1:1/stream", **changes))


# -- replaying ---------------------------------------------------------------------------------------


async def test_replay_shows_the_market_as_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Files with times are merged; prices and times are those of the recording."""
    quotes = write(
        tmp_path / "quotes.jsonl",
        *(QUOTE % (number, 61_800 + number, 61_801 + number) for number in range(4)),
        times=(1_723_161_254.1, 1_723_161_254.3, 1_723_161_255.5, 1_723_161_259.9),
    )
    trades = write(tmp_path / "trades.jsonl", TRADE % 1, TRADE % 2, times=(1_723_161_254.2, 1_723_161_257.4))
    assert await run_replay(replaying(quotes, trades)) == 0
    output = capsys.readouterr().out
    rows = [line.split() for line in output.splitlines() if line.strip().startswith(("BTC-USDT", "NKN-USDT"))]
    assert rows[0][1:6] == ["2024-08-08", "23:54:14", "23:54:19", "0:00:05.8", "4"]
    assert rows[1][1:6] == ["2024-08-08", "23:54:14", "23:54:17", "0:00:03.2", "2"]
    assert rows[2][1:7] == ["61,800.50", "61,800.50", "61,803.50", "61,803.50", "1.00", "1.00"]
    assert "6: 4 Tick, 2 Trade" in output
    assert "verified: every one of 6 frames is accounted for, 6 events" in output


async def test_replay_accounts_for_every_frame(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Data, answers, frames of an unknown kind and garbage: each is something."""
    path = write(
        tmp_path / "mixed.jsonl",
        ACK,
        QUOTE % (1, 1.0, 2.0),
        "<html>",
        '{"stream":"btcusdt@bookTicker","data":{"u":"x"}}',
        '{"stream":"btcusdt@weather","data":{"e":"weather"}}',
        '{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1}}',
        QUOTE % (2, 1.0, 2.0),
    )
    assert await run_replay(replaying(path)) == 0
    output = " ".join(capsys.readouterr().out.split())
    for expected in (
        "in the files 7",
        "served 7",
        "received 7",
        "of these data 2",
        "of these control, or of no known kind 3",
        "of these bad 2",
        "of these for nobody 0",
        "verified: every one of 7 frames is accounted for, 2 events",
    ):
        assert expected in output


async def test_replay_keeps_the_time_of_the_recording(tmp_path: Path) -> None:
    """At ten times the speed, half a second takes a twentieth of it."""
    path = write(
        tmp_path / "slow.jsonl", *(QUOTE % (n, 1.0, 2.0) for n in range(6)), times=tuple(1e9 + n / 10 for n in range(6))
    )
    begin = anyio.current_time()
    assert await run_replay(replaying(path, speed=10.0)) == 0
    assert 0.05 <= anyio.current_time() - begin < 5.0


async def test_frames_without_the_name_of_a_stream_are_replayed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What they are is found out by their content."""
    raw = json.dumps(json.loads(TRADE % 1)["data"])
    assert await run_replay(replaying(write(tmp_path / "raw.jsonl", raw, raw))) == 0
    assert "verified: every one of 2 frames is accounted for, 2 events" in capsys.readouterr().out


async def test_an_old_notice_does_not_end_a_replay(tmp_path: Path) -> None:
    """The venue that announced its shutdown is long gone."""
    recording = Recording.scan([write(tmp_path / "a.jsonl", ACK)], stream_adapter(VENUE))
    adapter = ReplayAdapter(stream_adapter(VENUE), ReplayBook(recording))
    _, items = adapter.decode_frame('{"e":"serverShutdown","E":1}', 1)
    assert [Notice] == [type(item) for item in items]
    assert not items[0].closing  # type: ignore[union-attr]


async def test_a_recording_of_something_else_is_refused(tmp_path: Path) -> None:
    """With the reason, instead of an empty table."""
    with pytest.raises(CommandError, match=r"no market data of BINANCE___SPOT in .*\(frames: 1\)"):
        await run_replay(replaying(write(tmp_path / "a.jsonl", "hello")))
    with pytest.raises(CommandError, match=r"cannot read .*: No such file or directory"):
        await run_replay(replaying(tmp_path / "missing.jsonl"))
    with pytest.raises(CommandError, match="meta"):
        await run_replay(replaying(write(tmp_path / "b.jsonl", ACK, ACK, times=(1.0,))))


async def test_more_channels_than_a_connection_carries_are_refused(tmp_path: Path) -> None:
    """It would have to be several connections, and they would have no common order."""
    lines = [(TRADE % 1).replace("nknusdt", f"c{number}usdt") for number in range(1_025)]
    with pytest.raises(CommandError, match="1025 channels are more than one connection carries"):
        await run_replay(replaying(write(tmp_path / "a.jsonl", *lines)))


async def test_recorded_captures_of_the_venue_replay_whole(capsys: pytest.CaptureFixture[str]) -> None:
    """About 13,000 frames of three real sessions: every one becomes an event, with the times and prices it had."""
    directory = corpora_path("public", "ws", "binance_spot")
    files = [
        path
        for capture in ("20240808", "20211012")
        for path in sorted(directory.glob(f"*{capture}.jsonl"))
        if not path.name.endswith(".meta.jsonl")
    ]
    assert await run_replay(replaying(*files)) == 0
    output = capsys.readouterr().out
    assert "verified: every one of 12,995 frames is accounted for, 12,995 events" in output
    assert "12,995: 7 Bar, 1,610 OrderBookDelta, 9,036 Tick, 2,342 Trade" in output
    rows = [line.split() for line in output.splitlines() if line.strip().startswith("BTC-USDT")]
    assert rows[0][1:7] == ["2024-08-08", "23:54:13", "23:56:03", "0:01:49.9", "12,250", "2,329"]
    assert rows[1][1:5] == ["61,837.63", "61,759.56", "61,860.80", "61,766.00"]
