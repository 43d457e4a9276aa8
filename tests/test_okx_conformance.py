"""OKX: the adapter, held to the rules that any stream adapter is held to."""

from __future__ import annotations

from bt_api_base.security import Credentials
from bt_api_base.testing.conformance import check_stream_adapter
from bt_api_base.venues.okx import OkxSwapAdapter
from tests.okx_frames import handmade

CHANNELS: list[tuple[object, ...]] = [
    ("ticker", "BTC-USDT"),
    ("trade", "BTC-USDT"),
    ("trade_all", "BTC-USDT"),
    ("depth", "BTC-USDT"),
    ("depth", "BTC-USDT", {"levels": 1}),
    ("depth_diff", "BTC-USDT"),
    ("kline", "BTC-USDT"),
    ("kline", "BTC-USDT", {"interval": "1d"}),
    ("mark_price", "BTC-USDT"),
    ("funding_rate", "BTC-USDT"),
    ("liquidation", ""),
    ("order", ""),
    ("account", ""),
    ("position", ""),
    ("balance_and_position", ""),
]


def swaps(name: str) -> list[bytes]:
    """Return the hand-made frames of a file as of swaps."""
    return [
        frame.replace(b'"instId":"BTC-USDT"', b'"instId":"BTC-USDT-SWAP"').replace(b'"SPOT"', b'"SWAP"')
        for frame in handmade(name)
    ]


def test_the_adapter_conforms() -> None:
    """No rule is broken, and none needs an exception."""
    pong, subscribed, unsubscribed, _, _, refused, upgrade, count, *_ = swaps("control")
    names = ("tickers", "trades", "books", "candles", "derivatives", "orders", "account", "positions")
    check_stream_adapter(
        OkxSwapAdapter,
        channels=CHANNELS,
        frames=[frame for name in names for frame in swaps(name)],
        acks=[subscribed, unsubscribed],
        refusals=[refused],
        heartbeats=[pong],
        notices=[upgrade, count],
        bad_symbols=["BTCUSDT", "", "BTC-USDT-260626"],
        credentials=Credentials("k3y" * 8, "s3cr3t" * 4, "p4ssphr4s3" * 2),
        seed=20261122,
    )
