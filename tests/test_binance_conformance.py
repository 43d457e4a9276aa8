"""Binance: its adapters keep the contract that every venue's has to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bt_api_base.testing.conformance import check_stream_adapter
from bt_api_base.venues.binance import BinanceSpotAdapter, BinanceUsdmAdapter
from tests.binance_frames import all_handmade, handmade

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bt_api_base.websocket.adapter import StreamAdapter

MUTATIONS = 2_000

SPOT_CHANNELS: list[tuple[Any, ...]] = [
    ("ticker", "BTC-USDT"),
    ("ticker_24h", "BTC-USDT"),
    ("mini_ticker", "BTC-USDT"),
    ("mini_ticker", ""),
    ("ticker_1h", "BTC-USDT"),
    ("trade", "BTC-USDT"),
    ("agg_trade", "BTC-USDT"),
    ("depth", "BTC-USDT", {"levels": 5, "speed": 100}),
    ("depth_diff", "BTC-USDT", {"speed": 100}),
    ("kline", "BTC-USDT", {"interval": "1m"}),
]

FUTURES_CHANNELS: list[tuple[Any, ...]] = [
    ("ticker", "BTC-USDT-SWAP"),
    ("ticker_24h", "BTC-USDT-SWAP"),
    ("mini_ticker", ""),
    ("agg_trade", "BTC-USDT-SWAP"),
    ("depth", "BTC-USDT-SWAP", {"levels": 5, "speed": 500}),
    ("depth_diff", "BTC-USDT-SWAP"),
    ("kline", "BTC-USDT-SWAP", {"interval": "1m"}),
    ("mark_price", "BTC-USDT-SWAP"),
    ("funding_rate", "BTC-USDT-SWAP"),
    ("liquidation", "BTC-USDT-SWAP"),
    ("liquidation", ""),
]


def of_channels(adapter: StreamAdapter, channels: Sequence[tuple[Any, ...]], frames: Iterable[bytes]) -> list[bytes]:
    """Return those of the frames that belong to one of the channels, and have something in it for this market."""
    keys = {adapter.channel(*channel).key for channel in channels}
    decoded = [(frame, *adapter.decode_frame(frame, 0)) for frame in frames]
    return [frame for frame, key, events in decoded if key in keys and events]


def private_spot() -> StreamAdapter:
    """Return an adapter for a connection to account events."""
    adapter = BinanceSpotAdapter()
    adapter.endpoint_name = "private"
    return adapter


def private_futures() -> StreamAdapter:
    """Return the same for futures."""
    adapter = BinanceUsdmAdapter()
    adapter.endpoint_name = "private"
    return adapter


def test_spot_market() -> None:
    """Every topic, with the frames of each stream."""
    check_stream_adapter(
        BinanceSpotAdapter,
        channels=SPOT_CHANNELS,
        frames=of_channels(BinanceSpotAdapter(), SPOT_CHANNELS, all_handmade()),
        acks=['{"result":null,"id":1}'],
        refusals=['{"code":2,"msg":"Invalid request: unknown stream","id":1}'],
        notices=['{"e":"serverShutdown","E":1700000000000}'],
        bad_symbols=["BTC-", "BTC USDT", "BTC-USDT-SWAP"],
        mutations=MUTATIONS,
        seed=20261122,
    )


def test_spot_account() -> None:
    """Topics share a channel, and mix events."""
    check_stream_adapter(
        private_spot,
        channels=[("order", ""), ("fill", ""), ("balance", ""), ("account", ""), ("user", "")],
        frames=[
            *handmade("executionReport", "binance_spot_private"),
            *handmade("account", "binance_spot_private"),
        ],
        acks=['{"id":1,"status":200,"result":{"subscriptionId":0}}'],
        refusals=['{"id":1,"status":400,"error":{"code":-2036,"msg":"User Data Stream subscription not active."}}'],
        notices=['{"event":{"e":"serverShutdown","E":1700000000000}}'],
        mutations=MUTATIONS,
        seed=20261122,
    )


def test_futures_market() -> None:
    """Every topic, over both of the market's endpoints."""
    market_frames = [frame for frame in all_handmade("binance_usdm") if b'"stream"' in frame and b"@" in frame]
    check_stream_adapter(
        BinanceUsdmAdapter,
        channels=FUTURES_CHANNELS,
        frames=of_channels(BinanceUsdmAdapter(), FUTURES_CHANNELS, market_frames),
        acks=['{"result":null,"id":1}'],
        refusals=['{"error":{"code":2,"msg":"Invalid request: invalid stream"},"id":1}'],
        notices=['{"e":"serverShutdown","E":1700000000000}'],
        bad_symbols=["BTC-", "BTC USDT", "BTC-USDT-PERP"],
        mutations=MUTATIONS,
        seed=20261122,
    )


def test_futures_account() -> None:
    """The listen key shows in nothing but the frames that need it."""
    check_stream_adapter(
        private_futures,
        channels=[("order", ""), ("position", ""), ("user", "")],
        frames=[*handmade("orderUpdate", "binance_usdm"), *handmade("accountUpdate", "binance_usdm")],
        acks=['{"result":null,"id":1}'],
        refusals=['{"error":{"code":2,"msg":"Invalid request: invalid stream"},"id":1}'],
        notices=['{"e":"MARGIN_CALL","E":1587727187525}'],
        mutations=MUTATIONS,
        seed=20261122,
    )
