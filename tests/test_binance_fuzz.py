"""Binance spot: damaged frames. Whatever the bytes, decoding raises nothing but `DataParseError`."""

from __future__ import annotations

import math
import os
import random
from collections import Counter
from typing import TYPE_CHECKING, Any, get_args

import msgspec
import pytest
from hypothesis import example, given, settings, strategies as st

from bt_api_base.containers import Event, Tick
from bt_api_base.exceptions import DataParseError
from bt_api_base.venues.binance import BinanceSpotAdapter
from bt_api_base.websocket.adapter import Ack, Heartbeat, Notice, Refusal, Unrecognized
from tests.binance_frames import all_handmade, recorded

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.thorough

MUTATIONS = int(os.environ.get("BT_API_FUZZ_MUTATIONS", "100000"))
SEED = int(os.environ.get("BT_API_FUZZ_SEED", "20261122"))

ANSWERS = {"refused", "control", "event"}
MEANINGS = (*get_args(Event), Ack, Heartbeat, Notice, Refusal, Unrecognized)

# fmt: off
JUNK_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 0.5, -0.0, 1e308, 2**31, 2**63, 2**64, -(2**63), 10**30, "", "x", "nan", "-inf",
    "1e999", "0x10", "\u0000", "\U0001f600", "测试", [], {}, [[]], [{}], {"e": "trade"}, {"": ""}, [["1", "2"]],
    [1, "2", None], {"a": {"b": {"c": [1, 2, 3]}}},
)
JUNK_BYTES = (
    b"\x00", b"\xff", b"\xc3", b"\xed\xa0\x80", b'"', b"\\", b"\\u", b"\\ud800", b"{", b"}", b"[", b"]", b",", b":",
    b"-", b"e9", b"1e999", b"null", b"NaN", b"Infinity", b"[" * 2000, b'{"a":' * 2000, b"9" * 400, b"9" * 5000,
    b" " * 50, "\u2028".encode(), b"\xef\xbb\xbf",
)
# fmt: on


def sources() -> list[bytes]:
    """Return what is damaged: a sample of the recordings where they are, and the hand-made frames."""
    frames = all_handmade()
    try:
        for name in ("bookTicker.btcusdt-20240808", "trade.btcusdt-20240808", "depth.multi-20211012"):
            frames += recorded(name)[:200]
        for name in ("depth.btcusdt-20240808", "depth.us-20211012"):
            frames += recorded(name)[:20]
        for name in ("aggTrade.us-20211012", "kline_1m.us-20211012", "control_frames.examples", "market.examples"):
            frames += recorded(name)
    except pytest.skip.Exception:
        pass  # without the recordings, the hand-made frames have to do
    return frames


# -- damage to bytes -------------------------------------------------------------------------------


def flip(frame: bytes, rng: random.Random) -> bytes:
    """Change one to four bytes."""
    damaged = bytearray(frame)
    for _ in range(rng.randint(1, 4)):
        damaged[rng.randrange(len(damaged))] = rng.randrange(256)
    return bytes(damaged)


def cut(frame: bytes, rng: random.Random) -> bytes:
    """Keep a piece."""
    start, end = sorted((rng.randrange(len(frame) + 1), rng.randrange(len(frame) + 1)))
    return rng.choice((frame[:end], frame[start:], frame[start:end], frame[:start] + frame[end:]))


def insert(frame: bytes, rng: random.Random) -> bytes:
    """Put junk in."""
    place = rng.randrange(len(frame) + 1)
    return frame[:place] + rng.choice(JUNK_BYTES) + frame[place:]


def duplicate(frame: bytes, rng: random.Random) -> bytes:
    """Repeat a piece."""
    start, end = sorted((rng.randrange(len(frame)), rng.randrange(len(frame) + 1)))
    return frame[:end] + frame[start:end] * rng.randint(1, 3) + frame[end:]


def splice(frame: bytes, rng: random.Random, other: bytes) -> bytes:
    """Begin as one frame and end as another."""
    return frame[: rng.randrange(len(frame) + 1)] + other[rng.randrange(len(other) + 1) :]


# -- damage to meaning -----------------------------------------------------------------------------


def containers_of(value: Any) -> list[Any]:
    """Return every object and array inside a decoded value that has anything in it."""
    found, stack = [], [value]
    while stack:
        item = stack.pop()
        if isinstance(item, (dict, list)) and item:
            found.append(item)
            stack.extend(item.values() if isinstance(item, dict) else item)
    return found


def damage_meaning(message: Any, rng: random.Random) -> Any:
    """Change a decoded frame: another value, a missing or strange key, a level more or less."""
    places = containers_of(message)
    if not places:
        return rng.choice(JUNK_VALUES)
    for _ in range(rng.randint(1, 3)):
        place = rng.choice(places)
        keys: list[Any] = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            continue
        key = rng.choice(keys)
        match rng.randrange(6):
            case 0:
                del place[key]
            case 1:
                place[key] = [place[key]]
            case 2 if isinstance(place, dict):
                place[rng.choice(("e", "s", "x", "", "stream", "data", "id", "error", "lastUpdateId"))] = place.pop(key)
            case 3 if isinstance(place, dict):
                place[rng.choice("eEsuUbaBAtTpqmkiohlcv")] = rng.choice(JUNK_VALUES)
            case _:
                place[key] = rng.choice(JUNK_VALUES)
    return message


BYTE_DAMAGE: tuple[Callable[[bytes, random.Random], bytes], ...] = (flip, cut, insert, duplicate)


def mutate(frames: list[bytes], rng: random.Random) -> bytes | str:
    """Damage one of the frames, as bytes or as text."""
    frame = rng.choice(frames)
    kind = rng.randrange(10)
    damaged: bytes
    if kind < 5:
        message = damage_meaning(msgspec.json.decode(frame), rng)
        damaged = msgspec.json.encode(message)
        if kind == 0:
            damaged = rng.choice(BYTE_DAMAGE)(damaged, rng)
    elif kind == 5:
        damaged = splice(frame, rng, rng.choice(frames))
    else:
        damaged = rng.choice(BYTE_DAMAGE)(frame, rng)
    if rng.randrange(8) == 0:
        return damaged.decode("utf-8", rng.choice(("replace", "surrogateescape", "ignore")))
    return damaged


def finite(value: object) -> bool:
    """Return whether a value, and all it contains, is free of NaN and infinity."""
    if isinstance(value, tuple):
        return all(map(finite, value))
    return not isinstance(value, float) or math.isfinite(value)


def check(adapter: BinanceSpotAdapter, frame: bytes | str) -> str:
    """Decode a frame and hold the answer to its contract; return what kind of answer it was."""
    try:
        key, items = adapter.decode_frame(frame, 1)
    except DataParseError as error:
        return "refused" if "BINANCE___SPOT" == error.exchange_name and len(str(error)) < 1_000 else str(error)
    assert isinstance(items, tuple)
    assert all(isinstance(item, MEANINGS) for item in items)
    assert (key is None) == any(isinstance(item, MEANINGS[-5:]) for item in items)
    if key is None:
        return "control"
    assert all(finite(msgspec.structs.astuple(event)) for event in items)
    return "event"


@pytest.mark.timeout(120)
def test_damaged_frames_raise_nothing_but_parse_errors() -> None:
    """100,000 damaged frames, the same ones each time: events, control messages or `DataParseError`."""
    rng = random.Random(SEED)
    frames = sources()
    adapter = BinanceSpotAdapter()
    answers: Counter[str] = Counter()
    for number in range(MUTATIONS):
        frame = mutate(frames, rng)
        try:
            answers[check(adapter, frame)] += 1
        except Exception as error:
            raise AssertionError(f"seed {SEED}, mutation {number}: {frame[:400]!r}") from error
        if number % 10_000 == 0:
            adapter = BinanceSpotAdapter()
            channel = adapter.channel("depth", "BTC-USDT")
            adapter.subscribe_frame(1, [channel])
    print(f"seed {SEED}: {dict(answers)}")  # noqa: T201 - shown with a failure
    assert ANSWERS == answers.keys()
    # The damage is neither so light that nothing is refused, nor so heavy that nothing is read.
    assert min(answers["refused"], answers["event"], answers["control"]) > MUTATIONS / 50


def test_undamaged_frames_decode_after_all_that() -> None:
    """An adapter that has seen junk still reads what is sound."""
    rng = random.Random(SEED + 1)
    frames = sources()
    adapter = BinanceSpotAdapter()
    sound = b'{"stream":"btcusdt@bookTicker","data":{"u":1,"s":"BTCUSDT","b":"1","B":"2","a":"3","A":"4"}}'
    expected = (
        "btcusdt@bookTicker",
        (Tick("BINANCE___SPOT", "BTC-USDT", 0, 9, 1.0, 3.0, 2.0, 4.0, sequence=1),),
    )
    for _ in range(2_000):
        check(adapter, mutate(frames, rng))
        assert expected == adapter.decode_frame(sound, 9)


@given(st.one_of(st.binary(), st.text(), st.text(alphabet=st.characters(categories=["Cs", "L", "P"]))))
@example(b"")
@example("\ud800")
@example(b'{"stream":"')
@example(b'","data":')
def test_arbitrary_bytes_and_text(frame: bytes | str) -> None:
    """No bytes and no text, however made, break the promise."""
    assert check(BinanceSpotAdapter(), frame) in ANSWERS


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from(
    ("stream", "data", "e", "E", "s", "u", "id", "result", "error", "code", "msg", "k", "event", "status")
)
VALUES = JSON | st.sampled_from(
    ("trade", "kline", "serverShutdown", "btcusdt@trade", "!miniTicker@arr", "btcusdt@depth5")
)


@settings(max_examples=300)
@given(st.dictionaries(NAMES, VALUES | st.dictionaries(NAMES, VALUES, max_size=5), max_size=6))
def test_arbitrary_objects_of_the_venues_words(message: dict[str, Any]) -> None:
    """Objects made of the venue's own words, in no order the venue would use, are read or refused."""
    assert check(BinanceSpotAdapter(), msgspec.json.encode(message)) in ANSWERS


def test_memory_stays_bounded_under_damage() -> None:
    """Junk leaves no more behind than the adapter's limits allow."""
    rng = random.Random(SEED + 2)
    adapter = BinanceSpotAdapter()
    frame = b'{"stream":"%susdt@bookTicker","data":{"u":1,"s":"%sUSDT","b":"1","B":"2","a":"3","A":"4"}}'
    for _ in range(20_000):
        name = b"%x" % rng.getrandbits(64)
        check(adapter, frame % (name, name))
    assert len(adapter._routes) <= 4_096
    assert len(adapter._symbols) <= 16_384
