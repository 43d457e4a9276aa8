"""OKX: naming channels, asking for them, reaching their endpoint, logging in."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bt_api_base.containers import Balance, Fill, Order
from bt_api_base.exceptions import ConfigurationError, InvalidSymbolError, SubscribeError
from bt_api_base.security import Credentials
from bt_api_base.venues import stream_adapter
from bt_api_base.venues.okx import OkxAdapter, OkxFuturesAdapter, OkxOptionAdapter, OkxSpotAdapter, OkxSwapAdapter
from bt_api_base.venues.okx.bars import CANDLES
from bt_api_base.venues.okx.topics import CHANNELS, TOPICS, channel_key, channel_name
from bt_api_base.websocket.adapter import Channel, Continuity
from tests.corpora import corpora_path


@pytest.fixture
def adapter() -> OkxSpotAdapter:
    """An adapter that has been asked for nothing."""
    return OkxSpotAdapter()


@pytest.mark.parametrize(
    ("name", "adapter_type"),
    [
        ("OKX___SPOT", OkxSpotAdapter),
        ("OKX___SWAP", OkxSwapAdapter),
        ("OKX___FUTURES", OkxFuturesAdapter),
        ("OKX___OPTION", OkxOptionAdapter),
    ],
)
def test_each_type_of_instrument_has_a_name(name: str, adapter_type: type[OkxAdapter]) -> None:
    """The registry knows OKX by its types of instruments."""
    adapter = stream_adapter(name)
    assert adapter_type is type(adapter)
    assert name == adapter.exchange_name


@pytest.mark.parametrize(
    ("topic", "params", "key", "endpoint"),
    [
        ("ticker", None, "tickers:BTC-USDT", "public"),
        ("trade", {}, "trades:BTC-USDT", "public"),
        ("trade_all", None, "trades-all:BTC-USDT", "business"),
        ("depth", None, "books5:BTC-USDT", "public"),
        ("depth", {"levels": 1}, "bbo-tbt:BTC-USDT", "public"),
        ("depth", {"level": "5"}, "books5:BTC-USDT", "public"),
        ("depth_diff", None, "books:BTC-USDT", "public"),
        ("depth_diff", {"speed": "100ms", "levels": None}, "books:BTC-USDT", "public"),
        ("depth_diff", {"speed": 10}, "books-l2-tbt:BTC-USDT", "public+login"),
        ("depth_diff", {"levels": 50, "speed": 10}, "books50-l2-tbt:BTC-USDT", "public+login"),
        ("kline", None, "candle1m:BTC-USDT", "business"),
        ("kline", {"interval": "4h"}, "candle4H:BTC-USDT", "business"),
        ("kline", {"period": "1d"}, "candle1Dutc:BTC-USDT", "business"),
        ("kline", {"bar": "1d", "timezone": "+08:00"}, "candle1D:BTC-USDT", "business"),
        ("kline", {"interval": "3M"}, "candle3Mutc:BTC-USDT", "business"),
        ("mark_price", None, "mark-price:BTC-USDT", "public"),
        ("funding_rate", None, "funding-rate:BTC-USDT", "public"),
        ("order", None, "orders:SPOT:BTC-USDT", "private"),
        ("order", {"instrument_type": "MARGIN"}, "orders:MARGIN:BTC-USDT", "private"),
        ("fill", None, "orders:SPOT:BTC-USDT", "private"),
        ("position", None, "positions:MARGIN:BTC-USDT", "private"),
    ],
)
def test_topic_becomes_the_venues_channel(
    adapter: OkxSpotAdapter, topic: str, params: dict[str, Any] | None, key: str, endpoint: str
) -> None:
    """Topic, symbol and parameters give the channel and say by which endpoint it comes."""
    channel = adapter.channel(topic, "btc-usdt", params)
    assert (topic, "BTC-USDT", key, endpoint) == (channel.topic, channel.symbol, channel.key, channel.endpoint)
    assert (endpoint == "private") == channel.private


@pytest.mark.parametrize(
    ("topic", "symbol", "key"),
    [
        ("liquidation", "", "liquidation-orders:SWAP"),
        ("order", "", "orders:SWAP"),
        ("position", "", "positions:SWAP"),
        ("account", "", "account"),
        ("balance", "", "account"),
        ("balance", "usdt", "account:USDT"),
        ("balance_and_position", "", "balance_and_position"),
    ],
)
def test_some_topics_need_no_symbol(topic: str, symbol: str, key: str) -> None:
    """Liquidations are of all instruments, accounts of all that is in them, and their events name themselves."""
    channel = OkxSwapAdapter().channel(topic, symbol)
    assert (key, "") == (channel.key, channel.event_name)


def test_topics_can_share_a_channel() -> None:
    """Orders and fills come in one channel, balances and the account in another; each topic says what it is about."""
    adapter = OkxSpotAdapter()
    channels = {topic: adapter.channel(topic, "") for topic in ("order", "fill", "account", "balance")}
    assert channels["order"].key == channels["fill"].key
    assert channels["account"].key == channels["balance"].key
    wanted = {topic: channel.event_types for topic, channel in channels.items()}
    assert {"order": (Order,), "fill": (Fill,), "account": (), "balance": (Balance,)} == wanted


@pytest.mark.parametrize(
    ("name", "topic"),
    [
        ("tickers", "ticker"),
        ("bookTicker", "ticker"),
        ("agg_trade", "trade"),
        ("TRADES", "trade"),
        ("trades-all", "trade_all"),
        ("orderbook", "depth"),
        ("diff_depth", "depth_diff"),
        ("candle", "kline"),
        ("orders", "order"),
        ("positions", "position"),
        ("forceOrder", "liquidation"),
    ],
)
def test_topics_have_other_names(name: str, topic: str) -> None:
    """Other libraries' and the venue's words are understood; case, dashes and underscores do not matter."""
    symbol = "" if topic == "liquidation" else "BTC-USDT-SWAP"
    assert topic == OkxSwapAdapter().channel(name, symbol).topic


@pytest.mark.parametrize("name", CHANNELS)
def test_the_venues_own_channel_names_are_understood(name: str) -> None:
    """Every channel of the table can be asked for by its name, and keys lead back to what they stand for."""
    topic, _ = CHANNELS[name]
    symbol = "BTC-USDT-SWAP" if "instId" in topic.arguments else ""
    channel = OkxSwapAdapter().channel(name, symbol)
    if name not in ("orders", "account"):  # a topic's name wins, and means the same here
        assert name == channel.key.partition(":")[0]
    assert channel.key == channel_key(channel_name(channel.key))


def test_every_interval_names_a_channel() -> None:
    """All intervals exist in UTC and, from six hours, once more in UTC+8."""
    assert 18 * 2 == len(CANDLES)
    assert 18 + 9 == len(set(CANDLES.values()))


@pytest.mark.parametrize(
    ("adapter_type", "symbol", "internal"),
    [
        (OkxSpotAdapter, "BTC-USDT", "BTC-USDT"),
        (OkxSpotAdapter, "1inch-usdt", "1INCH-USDT"),
        (OkxSwapAdapter, "BTC-USDT-SWAP", "BTC-USDT-SWAP"),
        (OkxSwapAdapter, "BTC-USDT", "BTC-USDT-SWAP"),
        (OkxSwapAdapter, "btc-usd_um-swap", "BTC-USD_UM-SWAP"),
        (OkxFuturesAdapter, "BTC-USD-260626", "BTC-USD-260626"),
        (OkxOptionAdapter, "BTC-USD-260626-60000-C", "BTC-USD-260626-60000-C"),
    ],
)
def test_symbols_are_the_venues(adapter_type: type[OkxAdapter], symbol: str, internal: str) -> None:
    """Internal symbols and the venue's are the same texts; a swap may be asked for by its underlying."""
    channel = adapter_type().channel("ticker", symbol)
    assert (internal, f"tickers:{internal}") == (channel.symbol, channel.key)
    assert f"tick.{adapter_type.exchange_name}.{internal}" == channel.event_name


@pytest.mark.parametrize(
    ("adapter_type", "symbol"),
    [
        (OkxSpotAdapter, "BTCUSDT"),
        (OkxSpotAdapter, ""),
        (OkxSpotAdapter, "BTC-USDT-SWAP"),
        (OkxSpotAdapter, "BTC-USDT:X"),
        (OkxSwapAdapter, "BTC-USDT-260626"),
        (OkxFuturesAdapter, "BTC-USDT"),
        (OkxOptionAdapter, "BTC-USD-260626-60000"),
    ],
)
def test_a_symbol_of_another_type_is_refused(adapter_type: type[OkxAdapter], symbol: str) -> None:
    """The error says what a symbol looks like here."""
    with pytest.raises(InvalidSymbolError, match="such as"):
        adapter_type().channel("ticker", symbol)


@pytest.mark.parametrize(
    ("topic", "symbol", "params", "reason"),
    [
        ("greeks", "BTC-USDT", None, "no topic 'greeks'; there are ticker"),
        ("ticker", "BTC-USDT", {"speed": 100}, "parameters are none"),
        ("depth", "BTC-USDT", {"levels": 20}, r"levels \(1, 5\)"),
        ("depth_diff", "BTC-USDT", {"levels": 50}, "there are 400 and 100, 400 and 10, 50 and 10"),
        ("kline", "BTC-USDT", {"interval": "7m"}, "interval='7m'"),
        ("candle1m", "BTC-USDT", {"interval": "5m"}, "the channel 'candle1m' says everything"),
        ("liquidation", "BTC-USDT", None, "all instruments at once"),
        ("order", "BTC-USDT", {"instrument_type": "SWAP"}, "there are SPOT, MARGIN"),
    ],
)
def test_what_there_is_not_is_refused(
    adapter: OkxSpotAdapter, topic: str, symbol: str, params: dict[str, Any] | None, reason: str
) -> None:
    """The error lists what there is."""
    with pytest.raises(SubscribeError, match=reason):
        adapter.channel(topic, symbol, params)


def test_order_and_silence_are_told_as_documented() -> None:
    """Updates of a book follow one another; books, mark prices and funding rates are never silent for long."""
    adapter = OkxSwapAdapter()

    def told(topic: str) -> tuple[Continuity, float | None, bool]:
        channel = adapter.channel(topic, "" if topic == "liquidation" else "BTC-USDT")
        return channel.continuity, channel.quiet_after, channel.recoverable

    assert (Continuity.CONSECUTIVE, 90.0, True) == told("depth_diff")
    assert (Continuity.INCREASING, 90.0, True) == told("depth")
    assert (Continuity.NONE, None, True) == told("trade")
    assert (Continuity.NONE, 30.0, True) == told("mark_price")
    assert (Continuity.NONE, 240.0, True) == told("funding_rate")
    assert (Continuity.NONE, None, False) == told("liquidation")
    assert all(topic.quiet_after is None for topic in TOPICS.values() if topic.is_private)


# -- requests ---------------------------------------------------------------------------------------


def test_requests_name_channels_as_the_venue_does(adapter: OkxSpotAdapter) -> None:
    """One frame asks for all, with an id of letters and digits."""
    channels = [adapter.channel("depth_diff", "BTC-USDT"), adapter.channel("order", ""), adapter.channel("balance", "")]
    arguments = [{"channel": "books", "instId": "BTC-USDT"}, {"channel": "orders", "instType": "SPOT"}]
    expected = {"id": "7", "op": "subscribe", "args": [*arguments, {"channel": "account"}]}
    assert expected == json.loads(adapter.subscribe_frame(7, channels))
    expected = {"id": "8", "op": "unsubscribe", "args": arguments[:1]}
    assert expected == json.loads(adapter.unsubscribe_frame(8, channels[:1]))


def test_a_full_request_is_within_the_venues_size(adapter: OkxSpotAdapter) -> None:
    """The longest names there are, as many as fit in a request, stay below 64 KB."""
    option = OkxOptionAdapter()
    channel = option.channel("order", "BTC-USD_UM-260626-1000000.25-C")
    assert len(option.subscribe_frame(2**31, [channel] * option.limits.max_channels_per_request)) < 64 * 1024


@pytest.mark.parametrize(
    ("url", "name", "expected"),
    [
        ("wss://ws.okx.com:8443/ws/v5/public", "public", "wss://ws.okx.com:8443/ws/v5/public"),
        ("wss://ws.okx.com:8443/ws/v5/public", "business", "wss://ws.okx.com:8443/ws/v5/business"),
        ("wss://ws.okx.com:8443/ws/v5/public/", "private", "wss://ws.okx.com:8443/ws/v5/private"),
        ("wss://ws.okx.com:8443/ws/v5/private", "public+login", "wss://ws.okx.com:8443/ws/v5/public"),
        ("wss://wspap.okx.com:8443/ws/v5", "business", "wss://wspap.okx.com:8443/ws/v5/business"),
        ("wss://wseea.okx.com:8443", "private", "wss://wseea.okx.com:8443/ws/v5/private"),
        ("ws://proxy.test/okx/public?x=1", "private", "ws://proxy.test/okx/private?x=1"),
        ("ws://proxy.test/okx", "private", "ws://proxy.test/okx"),
        ("wss://ws.okx.com:8443/ws/v5/public", "", "wss://ws.okx.com:8443/ws/v5/public"),
    ],
)
def test_endpoints_differ_in_the_end_of_their_url(adapter: OkxSpotAdapter, url: str, name: str, expected: str) -> None:
    """Whichever endpoint was configured, each connection goes to its own; a path of somebody's own is left alone."""
    adapter.endpoint_name = name
    assert expected == adapter.endpoint(url)


def test_the_heartbeat_is_text(adapter: OkxSpotAdapter) -> None:
    """The venue wants the bare text, and closes what is silent for 30 seconds."""
    assert "ping" == adapter.ping_frame()
    assert 30.0 == adapter.limits.max_idle


def test_limits_are_the_documented_ones(adapter: OkxSpotAdapter) -> None:
    """Three connections a second, 480 requests an hour."""
    limits = adapter.limits
    assert (3, 1.0) == (limits.max_connects, limits.connect_window)
    assert (480, 3600.0) == (limits.max_requests, limits.request_window)


# -- logging in -------------------------------------------------------------------------------------


def logged_in(credentials: Credentials, timestamp: int, endpoint: str = "private") -> dict[str, Any]:
    """Return the log-in that an adapter sends at a time, in seconds."""
    adapter = OkxSpotAdapter()
    adapter.endpoint_name, adapter.credentials = endpoint, credentials
    adapter.now_ns = lambda: timestamp * 1_000_000_000 + 999_999_999
    frame = adapter.login_frame(1)
    assert frame is not None
    return json.loads(frame)  # type: ignore[no-any-return]


@pytest.mark.parametrize("endpoint", ["private", "public+login"])
def test_login_is_signed_over_seconds(endpoint: str) -> None:
    """Key, passphrase, whole seconds, and the Base64 HMAC of seconds, method and path."""
    credentials = Credentials("key", "22582BD0CFF14C41EDBF1AB98506286D", "words")
    expected = {
        "op": "login",
        "args": [
            {
                "apiKey": "key",
                "passphrase": "words",
                "timestamp": "1704876947",
                "sign": "5/36BgGV6m/6pmdc20zdqk0mzF5ZalmzzPD2fo3wavU=",
            }
        ],
    }
    assert expected == logged_in(credentials, 1704876947, endpoint)


def test_login_agrees_with_the_recorded_vector() -> None:
    """The vector of the collection gives the same signature."""
    vectors = json.loads(corpora_path("public", "signing", "okx.json").read_bytes())["vectors"]
    (vector,) = (vector for vector in vectors if vector["id"] == "ws-login")
    credentials = Credentials(vector["key"], vector["secret"], "1234567890")
    (argument,) = logged_in(credentials, int(vector["timestamp"]))["args"]
    assert (vector["timestamp"], vector["signature"]) == (argument["timestamp"], argument["sign"])


@pytest.mark.parametrize("endpoint", ["", "public", "business"])
def test_other_endpoints_need_no_login(adapter: OkxSpotAdapter, endpoint: str) -> None:
    """Nobody shows a key where none is asked for."""
    adapter.endpoint_name, adapter.credentials = endpoint, Credentials("key", "secret", "words")
    assert adapter.login_frame(1) is None


@pytest.mark.parametrize("credentials", [None, Credentials("key", "secret")])
def test_login_takes_three_parts(adapter: OkxSpotAdapter, credentials: Credentials | None) -> None:
    """Without a passphrase there is no log-in, and the error says so without the secret."""
    adapter.endpoint_name, adapter.credentials = "private", credentials
    with pytest.raises(ConfigurationError, match="passphrase"):
        adapter.login_frame(1)


def test_probe_is_a_repeated_subscription(adapter: OkxSpotAdapter) -> None:
    """A subscription that exists is confirmed once more, so it can be asked for to hear whether anybody is there."""
    channel: Channel = adapter.channel("ticker", "BTC-USDT")
    assert adapter.subscribe_frame(3, [channel]) == adapter.probe_frame(3, channel)
