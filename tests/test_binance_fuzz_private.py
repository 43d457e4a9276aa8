"""Binance's other connections: damaged frames of account events and of futures. See `tests.test_binance_fuzz`."""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING, get_args

import pytest

from bt_api_base.containers import Event
from bt_api_base.exceptions import DataParseError
from bt_api_base.security import Credentials
from bt_api_base.venues.binance import BinanceSpotAdapter, BinanceUsdmAdapter
from bt_api_base.websocket.adapter import (
    Ack,
    Heartbeat,
    LeaseExpired,
    LoginRefused,
    Notice,
    Refusal,
    Unrecognized,
)
from tests.binance_frames import all_handmade
from tests.test_binance_fuzz import MUTATIONS, SEED, mutate

if TYPE_CHECKING:
    from bt_api_base.websocket.adapter import Decoded, StreamAdapter

pytestmark = pytest.mark.thorough

CONNECTIONS = [
    (BinanceSpotAdapter, "private", "binance_spot_private"),
    (BinanceUsdmAdapter, "private", "binance_usdm"),
    (BinanceUsdmAdapter, "market", "binance_usdm"),
]
CONTROLS = (Ack, Heartbeat, LeaseExpired, LoginRefused, Notice, Refusal, Unrecognized)
LISTEN_KEY = "pqia91ma19a5s61cv6a81va65sdf19v8a65a1a5s61cv6a81va65sdf19v8a65a1"


def made(adapter_type: type[StreamAdapter], endpoint: str) -> StreamAdapter:
    """Return an adapter for a connection to an endpoint."""
    adapter = adapter_type()
    adapter.endpoint_name = endpoint
    adapter.credentials = Credentials("key", "secret")
    return adapter


def decode(adapter: StreamAdapter, frame: bytes | str) -> Decoded | DataParseError:
    """Return what a frame says, or what is wrong with it."""
    try:
        return adapter.decode_frame(frame, 1)
    except DataParseError as error:
        return error


@pytest.mark.parametrize(("adapter_type", "endpoint", "market"), CONNECTIONS)
def test_damaged_frames_are_refused_or_mean_something(
    adapter_type: type[StreamAdapter], endpoint: str, market: str
) -> None:
    """Whatever the bytes, decoding raises nothing but `DataParseError`, and its answers keep to their contract."""
    adapter, frames, rng = made(adapter_type, endpoint), all_handmade(market), random.Random(SEED)
    answers: Counter[str] = Counter()
    events, controls = get_args(Event), CONTROLS
    for _ in range(MUTATIONS // 5):
        decoded = decode(adapter, mutate(frames, rng))
        if isinstance(decoded, DataParseError):
            assert adapter.exchange_name == decoded.exchange_name
            assert len(str(decoded)) < 1_000
            answers["refused"] += 1
            continue
        key, items = decoded
        assert all(isinstance(item, controls if key is None else events) for item in items)
        answers["control" if key is None else "event"] += 1
    assert min(answers[kind] for kind in ("refused", "control", "event")) > MUTATIONS // 500


@pytest.mark.parametrize(("adapter_type", "endpoint", "market"), [CONNECTIONS[0], CONNECTIONS[2]])
def test_sound_frames_decode_all(adapter_type: type[StreamAdapter], endpoint: str, market: str) -> None:
    """Every hand-made frame is understood, if only by name."""
    adapter = made(adapter_type, endpoint)
    for frame in all_handmade(market):
        adapter.decode(frame)


def test_errors_of_account_events_do_not_show_the_listen_key() -> None:
    """However a frame is damaged behind it, the name of its stream is masked."""
    adapter, rng = made(BinanceUsdmAdapter, "private"), random.Random(SEED)
    frames = [frame for frame in all_handmade("binance_usdm") if LISTEN_KEY.encode() in frame]
    head = len('{"stream":"",') + len(LISTEN_KEY)
    for _ in range(3_000):
        frame = rng.choice(frames)
        cut = rng.randrange(head, len(frame))
        damaged = frame[:cut] + rng.choice((b"", b"}", b"\xff", b'"x"', b"[[")) + frame[cut + rng.randrange(9) :]
        decoded = decode(adapter, damaged)
        assert not isinstance(decoded, DataParseError) or LISTEN_KEY not in repr(decoded)
