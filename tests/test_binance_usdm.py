"""Binance USD-M futures: naming channels on split endpoints, and decoding market streams."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bt_api_base.containers import (
    Bar,
    FundingRate,
    Liquidation,
    MarkPrice,
    OrderBook,
    OrderBookDelta,
    OrderStatus,
    Side,
    Tick,
    Trade,
)
from bt_api_base.exceptions import DataParseError, InvalidSymbolError, SubscribeError
from bt_api_base.venues import stream_adapter
from bt_api_base.venues.binance import BinanceUsdmAdapter
from bt_api_base.venues.binance.usdm_symbols import split_contract
from bt_api_base.websocket.adapter import Ack, Continuity, Malformed, Notice, StreamAdapter, Unrecognized
from tests.binance_frames import all_handmade, handmade
from tests.corpora import corpora_path

MS = 1_000_000
E = 1_700_000_000_003 * MS
HEAD = ("BINANCE___SWAP", "BTC-USDT-SWAP", E, 5)


@pytest.fixture
def adapter() -> BinanceUsdmAdapter:
    """An adapter that has been asked for nothing."""
    return BinanceUsdmAdapter()


def usdm(channel: str) -> list[bytes]:
    """Return the hand-made frames of a channel."""
    return handmade(channel, "binance_usdm")


def test_adapter_is_known_by_the_ecosystems_name() -> None:
    """Perpetual swaps are what the market is about."""
    assert isinstance(stream_adapter("BINANCE___SWAP"), BinanceUsdmAdapter)


# -- channels --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("topic", "params", "key", "endpoint"),
    [
        ("ticker", None, "btcusdt@bookTicker", "public"),
        ("depth", None, "btcusdt@depth20", "public"),
        ("depth", {"levels": 5, "speed": "500ms"}, "btcusdt@depth5@500ms", "public"),
        ("depth_diff", None, "btcusdt@depth", "public"),
        ("depth_diff", {"speed": 100}, "btcusdt@depth@100ms", "public"),
        ("ticker_24h", None, "btcusdt@ticker", "market"),
        ("mini_ticker", None, "btcusdt@miniTicker", "market"),
        ("agg_trade", None, "btcusdt@aggTrade", "market"),
        ("trade", None, "btcusdt@aggTrade", "market"),
        ("kline", {"interval": "4h"}, "btcusdt@kline_4h", "market"),
        ("mark_price", None, "btcusdt@markPrice@1s", "market"),
        ("mark_price", {"speed": 3000}, "btcusdt@markPrice", "market"),
        ("funding_rate", None, "btcusdt@markPrice@1s", "market"),
        ("liquidation", None, "btcusdt@forceOrder", "market"),
        ("markPrice@1s", None, "btcusdt@markPrice@1s", "market"),
        ("depth10@100ms", None, "btcusdt@depth10@100ms", "public"),
    ],
)
def test_topic_becomes_a_stream_at_an_endpoint(
    adapter: BinanceUsdmAdapter, topic: str, params: dict[str, Any] | None, key: str, endpoint: str
) -> None:
    """What is of the book comes from one endpoint, everything else from another."""
    channel = adapter.channel(topic, "BTC-USDT-SWAP", params)
    assert ("BTC-USDT-SWAP", key, endpoint) == (channel.symbol, channel.key, channel.endpoint)


@pytest.mark.parametrize(
    ("topic", "params", "key"),
    [
        ("ticker", None, "!bookTicker"),
        ("ticker_24h", None, "!ticker@arr"),
        ("mini_ticker", None, "!miniTicker@arr"),
        ("mark_price", None, "!markPrice@arr@1s"),
        ("funding_rate", {"speed": 3000}, "!markPrice@arr"),
        ("liquidation", None, "!forceOrder@arr"),
    ],
)
def test_all_symbols_at_once(adapter: BinanceUsdmAdapter, topic: str, params: dict[str, Any] | None, key: str) -> None:
    """The empty symbol asks for the whole market, in which nothing has an order."""
    channel = adapter.channel(topic, "", params)
    assert ("", key, Continuity.NONE) == (channel.symbol, channel.key, channel.continuity)


def test_mark_price_and_funding_share_a_channel(adapter: BinanceUsdmAdapter) -> None:
    """Their stream has both, each under its own name, and consumers say which they want."""
    mark, funding = adapter.channel("mark_price", "BTC-USDT"), adapter.channel("funding", "BTC-USDT")
    assert (mark.key, "", "") == (funding.key, mark.event_name, funding.event_name)
    assert ((MarkPrice,), (FundingRate,)) == (mark.event_types, funding.event_types)


@pytest.mark.parametrize(
    ("topic", "continuity"),
    [
        ("ticker", Continuity.INCREASING),
        ("depth", Continuity.INCREASING),
        ("depth_diff", Continuity.CONSECUTIVE),
        ("agg_trade", Continuity.CONSECUTIVE),
        ("kline", Continuity.NONE),
        ("mark_price", Continuity.NONE),
        ("liquidation", Continuity.NONE),
    ],
)
def test_continuity(adapter: BinanceUsdmAdapter, topic: str, continuity: Continuity) -> None:
    """What the venue numbers one by one can be checked for holes."""
    assert continuity is adapter.channel(topic, "BTC-USDT").continuity


@pytest.mark.parametrize(
    ("symbol", "internal", "key"),
    [
        ("BTC-USDT-SWAP", "BTC-USDT-SWAP", "btcusdt"),
        ("btc-usdt", "BTC-USDT-SWAP", "btcusdt"),
        ("BTCUSDT", "BTC-USDT-SWAP", "btcusdt"),
        ("BTC-USDT-260626", "BTC-USDT-260626", "btcusdt_260626"),
        ("BTCUSDT_260626", "BTC-USDT-260626", "btcusdt_260626"),
        ("1000SHIB-USDC", "1000SHIB-USDC-SWAP", "1000shibusdc"),
        ("FOO-NEWQUOTE", "FOO-NEWQUOTE-SWAP", "foonewquote"),
    ],
)
def test_symbols(adapter: BinanceUsdmAdapter, symbol: str, internal: str, key: str) -> None:
    """A pair stands for its perpetual; a date for the delivery contract."""
    channel = adapter.channel("agg_trade", symbol)
    assert (internal, f"{key}@aggTrade") == (channel.symbol, channel.key)


@pytest.mark.parametrize(
    "symbol",
    [
        "",
        "BTC-",
        "-USDT",
        "BTC-USDT-",
        "BTC-USDT-PERP",
        "BTC-USDT-26",
        "BTC-USDT-SWAP-SWAP",
        "BTC-USDT-260626-SWAP-X",
        "BTC/USDT",
        "BTCUSDT_26",
        "BTCUSD_PERP",
        "btcusdt@trade",
        "a_b_260626",
        "BTC-USDT-260626-X",
        "BTC--SWAP",
    ],
)
def test_what_cannot_be_a_symbol(adapter: BinanceUsdmAdapter, symbol: str) -> None:
    """Anything else is refused before it gets into a stream's name."""
    with pytest.raises(InvalidSymbolError, match="SWAP"):
        adapter.channel("agg_trade", symbol)


@pytest.mark.parametrize(
    ("venue_symbol", "internal"),
    [
        ("ETHBTC", "ETH-BTC-SWAP"),
        ("BTCUSD_PERP", "BTC-USD-SWAP"),
        ("BTCUSDT_260626", "BTC-USDT-260626"),
        ("FOOBAR", "FOOBAR"),
        ("FOOBAR_260626", "FOOBAR_260626"),
    ],
)
def test_splitting(venue_symbol: str, internal: str) -> None:
    """A symbol nobody asked for is split like one of the spot market."""
    assert internal == split_contract(venue_symbol)


def test_unknown_topic_is_refused_with_those_there_are(adapter: BinanceUsdmAdapter) -> None:
    """Market and account alike."""
    with pytest.raises(SubscribeError, match=r"liquidation.*position"):
        adapter.channel("open_interest", "BTC-USDT")
    with pytest.raises(SubscribeError, match="15m"):
        adapter.channel("kline", "BTC-USDT", {"interval": "1s"})
    with pytest.raises(SubscribeError, match="1000, 3000"):
        adapter.channel("mark_price", "", {"speed": 5})


# -- endpoints -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "wss://fstream.binance.com",
        "wss://fstream.binance.com/",
        "wss://fstream.binance.com/ws",
        "wss://fstream.binance.com/stream",
        "wss://fstream.binance.com/market",
        "wss://fstream.binance.com/public/ws/",
        "wss://fstream.binance.com/private/stream",
    ],
)
@pytest.mark.parametrize("name", ["public", "market"])
def test_endpoint_is_the_one_of_the_channels(adapter: BinanceUsdmAdapter, url: str, name: str) -> None:
    """However the host is written, also as it was before the endpoints were split."""
    adapter.endpoint_name = name
    assert f"wss://fstream.binance.com/{name}/stream" == adapter.endpoint(url)


def test_other_urls(adapter: BinanceUsdmAdapter) -> None:
    """A path of a gateway stays; a URL that names streams itself is left alone."""
    adapter.endpoint_name = "public"
    assert "ws://127.0.0.1:9/gate/public/stream" == adapter.endpoint("ws://127.0.0.1:9/gate/ws")
    for url in ("wss://fstream.binance.com/market/ws/btcusdt@aggTrade", "wss://h/public/stream?streams=btcusdt@depth"):
        assert url == adapter.endpoint(url)


def test_limits() -> None:
    """1024 streams a connection, 10 messages a second, 24 hours."""
    limits = BinanceUsdmAdapter().limits
    assert (1024, 10.0, 86_400.0) == (
        limits.max_channels_per_connection,
        limits.messages_per_second,
        limits.max_connection_age,
    )


# -- decoding --------------------------------------------------------------------------------------


def decoded(adapter: BinanceUsdmAdapter, channel: str) -> list[Any]:
    """Return what the frames of a channel become, with their keys."""
    return [adapter.decode_frame(frame, 5) for frame in usdm(channel)]


def test_book_ticker(adapter: BinanceUsdmAdapter) -> None:
    """Best bid and ask with the venue's time; of all symbols, coin-margined ones are left out."""
    single, of_all, coin, delivery = decoded(adapter, "bookTicker")
    tick = Tick(*HEAD, 37000.1, 37000.2, 31.21, 40.66, sequence=400900217)
    assert ("btcusdt@bookTicker", (tick,)) == single
    assert ("!bookTicker", "ETH-USDT-SWAP") == (of_all[0], of_all[1][0].symbol)
    assert ("!bookTicker", ()) == coin
    assert "BTC-USDT-260626" == delivery[1][0].symbol


def test_book(adapter: BinanceUsdmAdapter) -> None:
    """Changes are chained by the id of the one before; the best levels look the same, and only their stream tells."""
    diff, fast, levels, slow = decoded(adapter, "depth")
    bids, asks = ((37000.1, 10.0), (37000.0, 0.0)), ((37000.2, 5.0),)
    assert ("btcusdt@depth", (OrderBookDelta(*HEAD, bids, asks, 157, 160, 149),)) == diff
    assert ("btcusdt@depth@100ms", (OrderBookDelta(*HEAD, bids, asks, 161, 170, 160),)) == fast
    assert ("btcusdt@depth20", (OrderBook(*HEAD, bids, asks, 171),)) == levels
    assert ("btcusdt@depth5@500ms", (OrderBook(*HEAD, bids, asks, 172),)) == slow


def test_aggregate_trades(adapter: BinanceUsdmAdapter) -> None:
    """Aggregates with the ids of their trades."""
    (key, (sold,)), (_, (bought,)) = decoded(adapter, "aggTrade")
    assert "btcusdt@aggTrade" == key
    assert Trade(*HEAD, "5933014", 37000.1, 0.1, Side.SELL, E - MS, "100", "105") == sold
    assert (Side.BUY, "5933015") == (bought.trade_side, bought.trade_id)


def test_mark_price(adapter: BinanceUsdmAdapter) -> None:
    """A frame has two events; a delivery contract has no funding, and no estimate of its settlement price yet."""
    fast, slow, delivery, of_all, nothing = decoded(adapter, "markPrice")
    mark = MarkPrice(*HEAD, 37000.12345678, 36990.0, 36995.5)
    paid = 1_700_006_400_000 * MS
    assert ("btcusdt@markPrice@1s", (mark, FundingRate(*HEAD, -0.00038167, paid))) == fast
    assert ("btcusdt@markPrice", (mark, FundingRate(*HEAD, 0.0001, paid))) == slow
    assert (MarkPrice("BINANCE___SWAP", "BTC-USDT-260626", E, 5, 37000.12345678, 36990.0),) == delivery[1]
    assert ["BTC-USDT-SWAP", "BTC-USDT-SWAP", "ETH-USDT-SWAP", "ETH-USDT-SWAP"] == [e.symbol for e in of_all[1]]
    assert ("!markPrice@arr", ()) == nothing


def test_tickers(adapter: BinanceUsdmAdapter) -> None:
    """The ticker of this market has no bid and ask."""
    full, mini, of_all, mini_of_all = decoded(adapter, "ticker")
    window = {"open_price": 36000.0, "high_price": 38000.0, "low_price": 35000.0, "volume": 12345.678}
    tick = Tick(*HEAD, last_price=37000.1, last_volume=0.01, turnover=456789012.34, **window)
    assert ("btcusdt@ticker", (tick,)) == full
    assert (Tick(*HEAD, last_price=37000.1, turnover=456789012.34, **window),) == mini[1]
    assert ["BTC-USDT-SWAP", "ETH-USDT-SWAP"] == [event.symbol for event in of_all[1]]
    assert ["BTC-USDT-SWAP"] == [event.symbol for event in mini_of_all[1]]


def test_bar(adapter: BinanceUsdmAdapter) -> None:
    """As on the spot market."""
    ((key, (bar,)),) = decoded(adapter, "kline")
    assert isinstance(bar, Bar)
    assert ("btcusdt@kline_1m", "BINANCE___SWAP", "1m", 37001.0) == (
        key,
        bar.exchange_name,
        bar.period,
        bar.close_price,
    )


def test_liquidation(adapter: BinanceUsdmAdapter) -> None:
    """The order that closed a position; a state it may be in that nobody knows is none."""
    (key, (sold,)), (_, (bought,)), coin = decoded(adapter, "forceOrder")
    assert "btcusdt@forceOrder" == key
    done = OrderStatus.COMPLETED
    assert Liquidation(*HEAD, Side.SELL, 36900.0, 0.014, E - 10 * MS, None, 36910.5, 0.014, done) == sold
    assert (Side.BUY, None, "ETH-USDT-SWAP") == (bought.liquidation_side, bought.order_status, bought.symbol)
    assert ("!forceOrder@arr", ()) == coin


def test_batches_mean_what_frames_mean_one_by_one() -> None:
    """The quick way of decoding is no other way."""
    frames = [frame for frame in all_handmade("binance_usdm") for _ in range(12)]
    quick, slow = BinanceUsdmAdapter(), BinanceUsdmAdapter()
    for start in range(0, len(frames), 12):
        batch = frames[start : start + 12]
        expected = StreamAdapter.decode_batch(slow, batch, 5)
        found = quick.decode_batch(batch, 5)
        assert [key for key, _ in expected] == [key for key, _ in found]
        for (_, items), (_, others) in zip(expected, found, strict=True):
            assert isinstance(items[0], Malformed) if items and isinstance(others[0], Malformed) else items == others


def test_answers(adapter: BinanceUsdmAdapter) -> None:
    """As on the spot market."""
    assert (Ack(1),) == adapter.decode('{"result":null,"id":1}')
    (notice,) = adapter.decode('{"e":"serverShutdown","E":1}')
    assert isinstance(notice, Notice)
    assert (Unrecognized("compositeIndex"),) == adapter.decode(
        '{"stream":"defiusdt@compositeIndex","data":{"e":"compositeIndex","E":1}}'
    )


def test_subscribing_names_every_stream(adapter: BinanceUsdmAdapter) -> None:
    """Requests are the spot market's."""
    channels = [adapter.channel("ticker", "BTC-USDT"), adapter.channel("depth_diff", "ETH-USDT")]
    request = {"method": "SUBSCRIBE", "params": ["btcusdt@bookTicker", "ethusdt@depth"], "id": 7}
    assert request == json.loads(adapter.subscribe_frame(7, channels))


def test_raw_streams_of_the_book_are_told_apart_by_what_was_asked_for(adapter: BinanceUsdmAdapter) -> None:
    """A raw frame with levels looks like one with changes; if both were asked for, the error says what to do."""
    raw = json.dumps(json.loads(usdm("depth")[0])["data"]).encode()
    assert isinstance(adapter.decode(raw)[0], OrderBookDelta)
    adapter.subscribe_frame(1, [adapter.channel("depth", "BTC-USDT", {"levels": 5})])
    key, (book,) = adapter.decode_frame(raw, 5)
    assert "btcusdt@depth5" == key
    assert isinstance(book, OrderBook)
    adapter.subscribe_frame(2, [adapter.channel("depth_diff", "BTC-USDT")])
    with pytest.raises(DataParseError, match="/stream"):
        adapter.decode(raw)


@pytest.mark.parametrize(
    ("channel", "old", "new", "field"),
    [
        ("bookTicker", '"b":"37000.10"', '"b":"nan"', "b"),
        ("bookTicker", '"E":1700000000003', '"E":-1', "E"),
        ("depth", '"pu":149,', "", "pu"),
        ("markPrice", '"r":"-0.00038167"', '"r":"nan"', "r"),
        ("markPrice", '"r":"-0.00038167"', '"r":"1e400"', "r"),
        ("forceOrder", '"S":"SELL"', '"S":"HOLD"', "o.S"),
        ("ticker", '"e":"24hrTicker"', '"e":"24hrMiniTicker"', "e"),
    ],
)
def test_wrong_frame_is_refused_by_name(
    adapter: BinanceUsdmAdapter, channel: str, old: str, new: str, field: str
) -> None:
    """As on the spot market, with this market's name."""
    frame = usdm(channel)[0].decode()
    assert old in frame
    with pytest.raises(DataParseError) as caught:
        adapter.decode(frame.replace(old, new))
    assert ("BINANCE___SWAP", field) == (caught.value.exchange_name, caught.value.field)


def test_recorded_frames_decode(adapter: BinanceUsdmAdapter) -> None:
    """Whatever was recorded of this market is data, an answer or named; nothing is malformed."""
    root = corpora_path("public", "ws", "binance_usdm")
    count = 0
    for path in sorted(root.glob("*.jsonl")):
        if path.name.endswith(".meta.jsonl") or ".examples." in path.name:
            continue
        for frame in path.read_bytes().splitlines():
            adapter.decode(frame)
            count += 1
    assert count
