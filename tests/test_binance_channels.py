"""Binance spot: naming channels, and asking for them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bt_api_base.exceptions import InvalidSymbolError, SubscribeError
from bt_api_base.venues.binance import BinanceSpotAdapter
from bt_api_base.venues.binance.symbols import split_venue_symbol
from bt_api_base.venues.binance.topics import INTERVALS, STREAMS, TOPICS
from bt_api_base.websocket.adapter import Channel, Continuity


@pytest.fixture
def adapter() -> BinanceSpotAdapter:
    """An adapter that has been asked for nothing."""
    return BinanceSpotAdapter()


@pytest.mark.parametrize(
    ("topic", "params", "key"),
    [
        ("ticker", None, "btcusdt@bookTicker"),
        ("ticker_24h", None, "btcusdt@ticker"),
        ("mini_ticker", None, "btcusdt@miniTicker"),
        ("ticker_1h", None, "btcusdt@ticker_1h"),
        ("ticker_4h", None, "btcusdt@ticker_4h"),
        ("ticker_1d", None, "btcusdt@ticker_1d"),
        ("trade", {}, "btcusdt@trade"),
        ("agg_trade", None, "btcusdt@aggTrade"),
        ("depth", None, "btcusdt@depth20"),
        ("depth", {"levels": 5}, "btcusdt@depth5"),
        ("depth", {"levels": "10", "speed": "100ms"}, "btcusdt@depth10@100ms"),
        ("depth", {"speed": 100}, "btcusdt@depth20@100ms"),
        ("depth", {"speed_ms": 1000}, "btcusdt@depth20"),
        ("depth", {"levels": None}, "btcusdt@depth20"),
        ("depth_diff", None, "btcusdt@depth"),
        ("depth_diff", {"speed": "100ms"}, "btcusdt@depth@100ms"),
        ("depth_diff", {"speed": "1000ms"}, "btcusdt@depth"),
        ("kline", None, "btcusdt@kline_1m"),
        ("kline", {"interval": "4h"}, "btcusdt@kline_4h"),
        ("kline", {"period": "1M"}, "btcusdt@kline_1M"),
        ("kline", {"period": "1d", "timezone": "+08:00"}, "btcusdt@kline_1d@+08:00"),
    ],
)
def test_topic_becomes_the_venues_stream(
    adapter: BinanceSpotAdapter, topic: str, params: dict[str, Any] | None, key: str
) -> None:
    """Topic, symbol and parameters give the stream's name."""
    channel = adapter.channel(topic, "BTC-USDT", params)
    assert (topic, "BTC-USDT", key) == (channel.topic, channel.symbol, channel.key)


@pytest.mark.parametrize("interval", INTERVALS)
def test_every_interval_is_known(adapter: BinanceSpotAdapter, interval: str) -> None:
    """All of the venue's intervals name a kline stream, with or without the other time zone."""
    assert f"btcusdt@kline_{interval}" == adapter.channel("kline", "BTC-USDT", {"interval": interval}).key
    params = {"interval": interval, "timezone": "+08:00"}
    assert f"btcusdt@kline_{interval}@+08:00" == adapter.channel("kline", "BTC-USDT", params).key


@pytest.mark.parametrize(
    ("name", "topic"),
    [
        ("bookTicker", "ticker"),
        ("book_ticker", "ticker"),
        ("BOOK_TICKER", "ticker"),
        ("24hrTicker", "ticker_24h"),
        ("24hrMiniTicker", "mini_ticker"),
        ("miniTicker", "mini_ticker"),
        ("1hTicker", "ticker_1h"),
        ("trades", "trade"),
        ("aggTrade", "agg_trade"),
        ("orderbook", "depth"),
        ("order_book", "depth"),
        ("depthUpdate", "depth_diff"),
        ("diff_depth", "depth_diff"),
        ("bar", "kline"),
        ("candle", "kline"),
    ],
)
def test_other_names_of_topics(adapter: BinanceSpotAdapter, name: str, topic: str) -> None:
    """Names people know a topic by lead to the same channel."""
    assert adapter.channel(topic, "BTC-USDT") == adapter.channel(name, "BTC-USDT")


@pytest.mark.parametrize("stream", sorted(set(STREAMS) - {"ticker", "depth"}))
def test_venues_own_stream_names(adapter: BinanceSpotAdapter, stream: str) -> None:
    """What stands behind <symbol>@ in the venue's documentation can be given as it is."""
    channel = adapter.channel(stream, "BTC-USDT")
    assert (STREAMS[stream][0].name, f"btcusdt@{stream}") == (channel.topic, channel.key)


def test_this_librarys_words_win_over_the_venues(adapter: BinanceSpotAdapter) -> None:
    """Here "ticker" is the best bid and ask, "depth" the best levels, whatever Binance calls so."""
    assert "btcusdt@bookTicker" == adapter.channel("ticker", "BTC-USDT").key
    assert "btcusdt@depth20" == adapter.channel("depth", "BTC-USDT").key


@pytest.mark.parametrize(
    ("topic", "name"),
    [
        ("ticker", "tick"),
        ("ticker_24h", "tick"),
        ("trade", "trade"),
        ("agg_trade", "trade"),
        ("kline", "bar"),
        ("depth", "order_book"),
        ("depth_diff", "order_book_delta"),
    ],
)
def test_events_go_over_the_bus_under_their_type(adapter: BinanceSpotAdapter, topic: str, name: str) -> None:
    """A channel's events are named by what they are, not by the topic."""
    assert f"{name}.BINANCE___SPOT.BTC-USDT" == adapter.channel(topic, "BTC-USDT").event_name


@pytest.mark.parametrize(
    ("topic", "key"),
    [("mini_ticker", "!miniTicker@arr"), ("ticker_1h", "!ticker_1h@arr"), ("ticker_1d", "!ticker_1d@arr")],
)
def test_all_symbols_at_once(adapter: BinanceSpotAdapter, topic: str, key: str) -> None:
    """Some topics exist for the whole market: the empty symbol asks for that."""
    channel = adapter.channel(topic, "")
    assert Channel(topic, "", key, "tick.BINANCE___SPOT.", quiet_after=30.0, recoverable=True) == channel


@pytest.mark.parametrize("topic", ["ticker", "trade", "depth", "kline"])
def test_all_symbols_at_once_where_there_is_no_such_stream(adapter: BinanceSpotAdapter, topic: str) -> None:
    """Other topics need a symbol."""
    with pytest.raises(InvalidSymbolError):
        adapter.channel(topic, "")


def test_unknown_topic_is_refused_with_those_there_are(adapter: BinanceSpotAdapter) -> None:
    """The error lists every topic."""
    with pytest.raises(SubscribeError) as caught:
        adapter.channel("funding_rate", "BTC-USDT")
    assert all(name in str(caught.value) for name in TOPICS)
    assert ("funding_rate", "BTC-USDT") == (caught.value.topic, caught.value.symbol)


@pytest.mark.parametrize(
    ("topic", "params", "says"),
    [
        ("depth", {"levels": 7}, "5, 10, 20"),
        ("depth", {"speed": "250ms"}, "1000, 100"),
        ("depth", {"depth": 5}, "levels"),
        ("depth_diff", {"levels": 5}, "speed"),
        ("kline", {"interval": "7m"}, "15m"),
        ("kline", {"interval": "1D"}, "1d"),
        ("kline", {"timezone": "+01:00"}, r"\+08:00"),
        ("kline", {"interval": ["1m"]}, "1m"),
        ("trade", {"speed": 100}, "none"),
        ("depth5@100ms", {"levels": 20}, "levels"),
    ],
)
def test_bad_parameter_is_refused_with_those_there_are(
    adapter: BinanceSpotAdapter, topic: str, params: dict[str, Any], says: str
) -> None:
    """An unknown parameter or value is an error that lists what may be given."""
    with pytest.raises(SubscribeError, match=says):
        adapter.channel(topic, "BTC-USDT", params)


@pytest.mark.parametrize(
    ("topic", "continuity", "quiet_after"),
    [
        ("ticker", Continuity.INCREASING, None),
        ("ticker_24h", Continuity.INCREASING, 30.0),
        ("ticker_1h", Continuity.INCREASING, 30.0),
        ("mini_ticker", Continuity.INCREASING, 30.0),
        ("trade", Continuity.CONSECUTIVE, None),
        ("agg_trade", Continuity.CONSECUTIVE, None),
        ("depth", Continuity.INCREASING, None),
        ("depth_diff", Continuity.CONSECUTIVE, None),
        ("kline", Continuity.NONE, None),
    ],
)
def test_what_a_channels_order_and_pace_tell(
    adapter: BinanceSpotAdapter, topic: str, continuity: Continuity, quiet_after: float | None
) -> None:
    """Ids that count up show holes; only what comes by the clock can be too silent."""
    channel = adapter.channel(topic, "BTC-USDT")
    assert (continuity, quiet_after, "", False) == (
        channel.continuity,
        channel.quiet_after,
        channel.endpoint,
        channel.private,
    )


# -- symbols ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("symbol", "internal", "key"),
    [
        ("BTC-USDT", "BTC-USDT", "btcusdt@trade"),
        ("btc-usdt", "BTC-USDT", "btcusdt@trade"),
        ("BTCUSDT", "BTC-USDT", "btcusdt@trade"),
        ("1000SATS-FDUSD", "1000SATS-FDUSD", "1000satsfdusd@trade"),
        ("测试-USDT", "测试-USDT", "测试usdt@trade"),
        ("FOO-NEWQUOTE", "FOO-NEWQUOTE", "foonewquote@trade"),
    ],
)
def test_symbols(adapter: BinanceSpotAdapter, symbol: str, internal: str, key: str) -> None:
    """Internal symbols lose their dash; the venue's own are understood, and may be of any script."""
    channel = adapter.channel("trade", symbol)
    assert (internal, key) == (channel.symbol, channel.key)


@pytest.mark.parametrize(
    "symbol", ["BTC-", "-USDT", "-", "BTC-USDT-SWAP", "BTC/USDT", "BTC USDT", "btcusdt@trade", "BTC-US\ud800", "!arr"]
)
def test_what_cannot_be_a_symbol(adapter: BinanceSpotAdapter, symbol: str) -> None:
    """Anything but two assets is refused before it gets into a stream's name."""
    with pytest.raises(InvalidSymbolError, match="BTC-USDT"):
        adapter.channel("trade", symbol)


@pytest.mark.parametrize(
    ("venue_symbol", "internal"),
    [
        ("BTCUSDT", "BTC-USDT"),
        ("ETHBTC", "ETH-BTC"),
        ("BTCFDUSD", "BTC-FDUSD"),
        ("OMGBUSD", "OMG-BUSD"),
        ("BTCTUSD", "BTC-TUSD"),
        ("BTCUSD1", "BTC-USD1"),
        ("ADAEUR", "ADA-EUR"),
        ("BTCEURI", "BTC-EURI"),
        ("TUSDUSDT", "TUSD-USDT"),
        ("USDTTRY", "USDT-TRY"),
        ("DOGEBRL", "DOGE-BRL"),
        ("SHIBDOGE", "SHIB-DOGE"),
        ("BTTTRX", "BTT-TRX"),
        ("USDT", "USDT"),
        ("FOOBAR", "FOOBAR"),
        ("", ""),
    ],
)
def test_splitting_at_the_longest_quote_asset(venue_symbol: str, internal: str) -> None:
    """A symbol nobody asked for is split by what it ends with; one that ends with nothing known is left alone."""
    assert internal == split_venue_symbol(venue_symbol)


# -- requests --------------------------------------------------------------------------------------


def test_subscribe_frame_names_every_stream(adapter: BinanceSpotAdapter) -> None:
    """One request may carry many streams, and the id by which its answer is known."""
    channels = [adapter.channel("ticker", "BTC-USDT"), adapter.channel("kline", "ETH-BTC", {"interval": "1h"})]
    request = adapter.subscribe_frame(17, channels)
    assert '{"method":"SUBSCRIBE","params":["btcusdt@bookTicker","ethbtc@kline_1h"],"id":17}' == request


def test_unsubscribe_frame_names_every_stream(adapter: BinanceSpotAdapter) -> None:
    """Leaving is asked for like joining."""
    channels = [adapter.channel("trade", "测试-USDT")]
    request = adapter.unsubscribe_frame(18, channels)
    assert {"method": "UNSUBSCRIBE", "params": ["测试usdt@trade"], "id": 18} == json.loads(request)


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("wss://stream.binance.com:9443/ws", "wss://stream.binance.com:9443/stream"),
        ("wss://stream.binance.com:9443/ws/", "wss://stream.binance.com:9443/stream"),
        ("wss://stream.binance.com/ws?timeUnit=MICROSECOND", "wss://stream.binance.com/stream?timeUnit=MICROSECOND"),
        ("wss://stream.binance.com:9443/stream", "wss://stream.binance.com:9443/stream"),
        ("wss://stream.binance.com:9443/ws/btcusdt@trade", "wss://stream.binance.com:9443/ws/btcusdt@trade"),
        ("ws://127.0.0.1:9001/stream?streams=a/b", "ws://127.0.0.1:9001/stream?streams=a/b"),
    ],
)
def test_endpoint_is_the_combined_one(adapter: BinanceSpotAdapter, url: str, endpoint: str) -> None:
    """Combined streams name themselves in every frame, which routing needs; one raw stream is left as it is."""
    assert endpoint == adapter.endpoint(url)


def test_limits_are_the_venues() -> None:
    """1024 streams a connection, 5 messages a second, 300 connections in 5 minutes, 24 hours."""
    limits = BinanceSpotAdapter().limits
    assert 1024 == limits.max_channels_per_connection
    assert 5.0 == limits.messages_per_second
    assert (300, 300.0) == (limits.max_connects, limits.connect_window)
    assert 86_400.0 == limits.max_connection_age


def test_connection_is_kept_alive_by_protocol_pings(adapter: BinanceSpotAdapter) -> None:
    """Binance has no ping of its own inside messages."""
    assert adapter.ping_frame() is None
