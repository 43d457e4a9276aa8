"""Binance spot: several frames at once mean what they mean one by one."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, strategies as st

from bt_api_base.venues.binance import BinanceSpotAdapter
from bt_api_base.websocket.adapter import Malformed, StreamAdapter
from tests.binance_frames import all_handmade, recorded
from tests.test_binance_fuzz import SEED, mutate, sources

if TYPE_CHECKING:
    from collections.abc import Sequence

SYMBOLS = ("BTC-USDT", "ETH-USDT", "NKN-USDT")


def adapter() -> BinanceSpotAdapter:
    """Return an adapter that was asked for a few channels."""
    made = BinanceSpotAdapter()
    topics = ("ticker", "trade", "depth_diff", "depth", "kline")
    made.subscribe_frame(1, [made.channel(topic, symbol) for topic in topics for symbol in SYMBOLS])
    return made


def one_by_one(frames: Sequence[bytes | str]) -> list[Any]:
    """Decode without looking for a quicker way."""
    return comparable(StreamAdapter.decode_batch(adapter(), frames, 7))


def comparable(decoded: Sequence[Any]) -> list[Any]:
    """Errors are equal if they say the same."""
    return [
        (key, [str(item.error) if isinstance(item, Malformed) else item for item in items]) for key, items in decoded
    ]


def ticker(number: int, symbol: str = "BTCUSDT") -> bytes:
    """Return a numbered book ticker."""
    return b'{"stream":"%b@bookTicker","data":{"u":%d,"s":"%b","b":"1.5","B":"2.0","a":"1.6","A":"3.0"}}' % (
        symbol.lower().encode(),
        number,
        symbol.encode(),
    )


def test_frames_of_one_kind_and_several_symbols() -> None:
    """The usual batch in a flood."""
    frames = [ticker(number, ("BTCUSDT", "ETHUSDT", "NKNUSDT")[number % 3]) for number in range(300)]
    assert one_by_one(frames) == comparable(adapter().decode_batch(frames, 7))


@pytest.mark.parametrize(
    "odd",
    [
        b'{"result":null,"id":1}',
        b'{"stream":"btcusdt@trade","data":{"e":"trade","E":1,"s":"BTCUSDT","t":1,"p":"1","q":"1","T":1,"m":true}}',
        b'{"stream":"newusdt@bookTicker","data":{"u":1,"s":"NEWUSDT","b":"1","B":"1","a":"1","A":"1"}}',
        b'{"stream":"btcusdt@trade","data":{"u":1,"s":"BTCUSDT","b":"1","B":"1","a":"1","A":"1"}}',
        b'{"stream":"btcusdt@bookTicker","data":{"u":1,"s":"BTCUSDT","b":"nan","B":"1","a":"1","A":"1"}}',
        b"",
        b"\xff",
        b"{}",
        ticker(1) + b"," + ticker(2),
        ticker(1)[:40],
        ticker(1).decode(),
    ],
)
@pytest.mark.parametrize("position", [0, 1, 10, 19])
def test_an_odd_frame_in_between(odd: bytes | str, position: int) -> None:
    """It is what it is alone, wherever it stands, and the others are not touched."""
    frames: list[bytes | str] = [ticker(number) for number in range(20)]
    frames[position] = odd
    assert one_by_one(frames) == comparable(adapter().decode_batch(frames, 7))


@given(st.lists(st.integers(0, 10_000), max_size=40), st.integers(0, 3))
def test_any_selection_of_frames(choices: list[int], damaged: int) -> None:
    """Batches of handmade frames, some of them damaged."""
    frames = all_handmade()
    batch: list[bytes | str] = [frames[choice % len(frames)] for choice in choices]
    rng = random.Random(damaged + len(choices))
    for _ in range(min(damaged, len(batch))):
        batch[rng.randrange(len(batch))] = mutate(frames, rng)
    assert one_by_one(batch) == comparable(adapter().decode_batch(batch, 7))


def test_batches_of_damaged_frames() -> None:
    """Thousands of damaged frames, in batches with sound ones of one kind."""
    rng, frames = random.Random(SEED), sources()
    for _ in range(200):
        batch: list[bytes | str] = [ticker(number) for number in range(20)]
        batch[rng.randrange(20)] = mutate(frames, rng)
        assert one_by_one(batch) == comparable(adapter().decode_batch(batch, 7))


@pytest.mark.parametrize("name", ["bookTicker.btcusdt-20240808", "depth.multi-20211012", "trade.btcusdt-20240808"])
def test_recorded_frames(name: str) -> None:
    """Real frames, in batches as a socket would bring them."""
    frames = recorded(name)[:2000]
    quick = adapter()
    for start in range(0, len(frames), 200):
        batch = frames[start : start + 200]
        assert one_by_one(batch) == comparable(quick.decode_batch(batch, 7))
