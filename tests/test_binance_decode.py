"""Binance spot: frames in, events out."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from bt_api_base.containers import Bar, Event, OrderBook, OrderBookDelta, Side, Tick, Trade, event_name
from bt_api_base.exceptions import DataParseError
from bt_api_base.venues.binance import BinanceSpotAdapter
from bt_api_base.venues.binance.topics import TOPICS
from bt_api_base.websocket.adapter import Unrecognized
from tests.binance_frames import all_handmade, handmade

VENUE = "BINANCE___SPOT"
MS = 1_000_000
EVENT_MS = 1_700_000_000_000
LOCAL = 1_700_000_000_123_456_789


@pytest.fixture
def adapter() -> BinanceSpotAdapter:
    """An adapter that has been asked for nothing."""
    return BinanceSpotAdapter()


def decode(adapter: BinanceSpotAdapter, frame: bytes | str) -> tuple[str | None, list[Any]]:
    """Decode a frame that arrived at LOCAL."""
    key, items = adapter.decode_frame(frame, LOCAL)
    return key, list(items)


def raw(frame: bytes) -> bytes:
    """Return a combined frame's payload: the frame a raw stream would have sent."""
    return bytes(msgspec.json.decode(frame, type=dict[str, msgspec.Raw])["data"])


def ask(adapter: BinanceSpotAdapter, topic: str, symbol: str = "BTC-USDT", **params: Any) -> str:
    """Ask for a channel and return its key."""
    channel = adapter.channel(topic, symbol, params)
    adapter.subscribe_frame(1, [channel])
    return channel.key


# -- what each topic's frames become -----------------------------------------------------------------

WINDOW: dict[str, float] = {
    "last_price": 37000.02,
    "open_price": 37012.52,
    "high_price": 37500.0,
    "low_price": 36500.0,
    "volume": 12345.678,
    "turnover": 455555555.5,
}

EXPECTED: dict[tuple[str, int], tuple[str, list[Event]]] = {
    ("bookTicker", 0): (
        "btcusdt@bookTicker",
        [
            Tick(
                VENUE,
                "BTC-USDT",
                0,
                LOCAL,
                bid_price=37000.01,
                bid_volume=1.5,
                ask_price=37000.02,
                ask_volume=0.25,
                sequence=1001,
            )
        ],
    ),
    ("ticker", 0): (
        "btcusdt@ticker",
        [
            Tick(
                VENUE,
                "BTC-USDT",
                (EVENT_MS + 7) * MS,
                LOCAL,
                bid_price=37000.01,
                bid_volume=1.5,
                ask_price=37000.02,
                ask_volume=0.25,
                last_volume=0.25,
                **WINDOW,
            )
        ],
    ),
    ("miniTicker", 0): ("btcusdt@miniTicker", [Tick(VENUE, "BTC-USDT", (EVENT_MS + 8) * MS, LOCAL, **WINDOW)]),
    ("miniTicker", 1): (
        "!miniTicker@arr",
        [
            Tick(VENUE, "BTC-USDT", (EVENT_MS + 8) * MS, LOCAL, **WINDOW),
            Tick(VENUE, "ETH-BTC", (EVENT_MS + 8) * MS, LOCAL, **{**WINDOW, "last_price": 0.054}),
        ],
    ),
    ("miniTicker", 2): ("!miniTicker@arr", []),
    ("ticker_window", 0): ("btcusdt@ticker_1h", [Tick(VENUE, "BTC-USDT", (EVENT_MS + 8) * MS, LOCAL, **WINDOW)]),
    ("ticker_window", 2): ("btcusdt@ticker_1d", [Tick(VENUE, "BTC-USDT", (EVENT_MS + 8) * MS, LOCAL, **WINDOW)]),
    ("ticker_window", 3): (
        "!ticker_1h@arr",
        [Tick(VENUE, symbol, (EVENT_MS + 8) * MS, LOCAL, **WINDOW) for symbol in ("BTC-USDT", "ETH-BTC")],
    ),
    ("trade", 0): (
        "btcusdt@trade",
        [
            Trade(
                VENUE,
                "BTC-USDT",
                (EVENT_MS + 3) * MS,
                LOCAL,
                trade_id="501",
                trade_price=37000.02,
                trade_volume=0.005,
                trade_side=Side.BUY,
                trade_time=(EVENT_MS + 1) * MS,
            )
        ],
    ),
    ("aggTrade", 0): (
        "btcusdt@aggTrade",
        [
            Trade(
                VENUE,
                "BTC-USDT",
                (EVENT_MS + 3) * MS,
                LOCAL,
                trade_id="90",
                trade_price=37000.01,
                trade_volume=0.3,
                trade_side=Side.SELL,
                trade_time=(EVENT_MS + 1) * MS,
                first_trade_id="501",
                last_trade_id="503",
            )
        ],
    ),
    ("depth_partial", 0): (
        "btcusdt@depth5@100ms",
        [
            OrderBook(
                VENUE,
                "BTC-USDT",
                0,
                LOCAL,
                bids=((37000.01, 1.5), (37000.0, 3.0)),
                asks=((37000.02, 0.25), (37000.05, 4.0)),
                sequence=1001,
            )
        ],
    ),
    ("depth", 0): (
        "btcusdt@depth@100ms",
        [
            OrderBookDelta(
                VENUE,
                "BTC-USDT",
                (EVENT_MS + 100) * MS,
                LOCAL,
                bids=((37000.01, 0.0), (36999.99, 2.5)),
                asks=(),
                first_sequence=1001,
                last_sequence=1004,
            )
        ],
    ),
    ("kline", 1): (
        "btcusdt@kline_1m",
        [
            Bar(
                VENUE,
                "BTC-USDT",
                (EVENT_MS + 9) * MS,
                LOCAL,
                period="1m",
                open_time=EVENT_MS * MS,
                close_time=(EVENT_MS + 59_999) * MS,
                open_price=37000.0,
                high_price=37020.0,
                low_price=36990.0,
                close_price=37010.0,
                volume=12.5,
                turnover=462500.25,
                trade_count=5,
                taker_buy_volume=7.5,
                taker_buy_turnover=277500.1,
                is_closed=True,
            )
        ],
    ),
}


@pytest.mark.parametrize(("channel", "index"), EXPECTED, ids=str)
def test_frame_becomes_its_events(adapter: BinanceSpotAdapter, channel: str, index: int) -> None:
    """Each kind of frame gives exactly these events under exactly this key, the first time and ever after."""
    frame = handmade(channel)[index]
    expected = EXPECTED[channel, index]
    assert expected == decode(adapter, frame)
    assert expected == decode(adapter, frame)
    assert expected == decode(adapter, frame.decode())


ROUND_TRIPS: list[tuple[str, str, dict[str, Any], bytes]] = [
    ("ticker", "BTC-USDT", {}, handmade("bookTicker")[0]),
    ("ticker_24h", "BTC-USDT", {}, handmade("ticker")[0]),
    ("mini_ticker", "BTC-USDT", {}, handmade("miniTicker")[0]),
    ("mini_ticker", "", {}, handmade("miniTicker")[1]),
    ("ticker_1h", "BTC-USDT", {}, handmade("ticker_window")[0]),
    ("ticker_4h", "BTC-USDT", {}, handmade("ticker_window")[1]),
    ("ticker_1d", "BTC-USDT", {}, handmade("ticker_window")[2]),
    ("ticker_1h", "", {}, handmade("ticker_window")[3]),
    ("trade", "BTC-USDT", {}, handmade("trade")[0]),
    ("agg_trade", "BTC-USDT", {}, handmade("aggTrade")[0]),
    ("depth", "BTC-USDT", {"levels": 5, "speed": "100ms"}, handmade("depth_partial")[0]),
    ("depth", "BTC-USDT", {}, handmade("depth_partial")[1]),
    ("depth_diff", "BTC-USDT", {"speed": "100ms"}, handmade("depth")[0]),
    ("depth_diff", "BTC-USDT", {}, handmade("depth")[1]),
    ("kline", "BTC-USDT", {}, handmade("kline")[0]),
    ("kline", "BTC-USDT", {"period": "1d", "timezone": "+08:00"}, handmade("kline")[2]),
    ("kline", "BTC-USDT", {"period": "1M"}, handmade("kline")[3]),
    ("ticker", "测试-USDT", {}, handmade("nonascii")[0]),
]


@pytest.mark.parametrize(("topic", "symbol", "params", "frame"), ROUND_TRIPS)
@pytest.mark.parametrize("as_text", [False, True], ids=["bytes", "str"])
@pytest.mark.parametrize("form", ["combined", "raw"])
def test_channel_to_request_to_event(  # noqa: PLR0917 - one argument per axis
    adapter: BinanceSpotAdapter, topic: str, symbol: str, params: dict[str, Any], frame: bytes, form: str, as_text: bool
) -> None:
    """What is asked for comes back under the key it was asked by, as the type its topic promises."""
    channel = adapter.channel(topic, symbol, params)
    request = json.loads(adapter.subscribe_frame(3, [channel]))
    assert [channel.key] == request["params"]
    if form == "raw":
        frame = raw(frame)
    key, events = decode(adapter, frame.decode() if as_text else frame)
    assert channel.key == key
    assert events
    assert {TOPICS[topic].event_type} == {type(event) for event in events}
    if symbol:
        assert [channel.event_name] == [event_name(event) for event in events]
    assert all(LOCAL == event.local_time and VENUE == event.exchange_name for event in events)


def test_every_topic_makes_the_round_trip() -> None:
    """No topic of the table is left out above."""
    assert set(TOPICS) == {topic for topic, *_ in ROUND_TRIPS}


@pytest.mark.parametrize("frame", [frame for frame in all_handmade() if frame.startswith(b'{"stream":')])
def test_white_space_and_order_of_keys_do_not_matter(adapter: BinanceSpotAdapter, frame: bytes) -> None:
    """A frame means the same however its JSON is laid out."""
    expected = decode(adapter, frame)
    message = json.loads(frame)
    assert expected == decode(adapter, json.dumps(message, indent=2))
    assert expected == decode(adapter, json.dumps(dict(reversed(message.items())), separators=(",", ":")))
    assert expected == decode(adapter, b"\n " + frame + b" \r\n")


def test_new_fields_do_not_matter(adapter: BinanceSpotAdapter) -> None:
    """The venue may add fields without notice."""
    frame = handmade("bookTicker")[0]
    assert decode(adapter, frame) == decode(adapter, frame.replace(b'"u":', b'"new":{"deep":[1,"x"]},"u":'))


@pytest.mark.parametrize(("maker_is_buyer", "side"), [(False, Side.BUY), (True, Side.SELL)])
def test_side_is_the_takers(adapter: BinanceSpotAdapter, maker_is_buyer: bool, side: Side) -> None:
    """The venue says whether the buyer was the maker; then the seller crossed the spread."""
    (trade,) = decode(adapter, handmade("trade")[maker_is_buyer])[1]
    assert side is trade.trade_side


def test_microseconds_are_told_from_milliseconds(adapter: BinanceSpotAdapter) -> None:
    """With timeUnit=MICROSECOND on the URL, times have three digits more; events are in nanoseconds either way."""
    (trade,) = decode(adapter, handmade("microsecond")[0])[1]
    assert (EVENT_MS * MS + 3_000, EVENT_MS * MS + 1_000) == (trade.server_time, trade.trade_time)


# -- symbols -----------------------------------------------------------------------------------------


def test_symbol_is_the_one_asked_for(adapter: BinanceSpotAdapter) -> None:
    """A symbol that cannot be split by its quote asset comes back as it was asked for."""
    ask(adapter, "ticker", "FOO-BARBAZ")
    frame = handmade("bookTicker")[0].replace(b"btcusdt", b"foobarbaz").replace(b"BTCUSDT", b"FOOBARBAZ")
    assert "FOO-BARBAZ" == decode(adapter, frame)[1][0].symbol


def test_symbol_nobody_asked_for_is_split(adapter: BinanceSpotAdapter) -> None:
    """Replayed frames and all-market streams have symbols that nobody asked for."""
    assert ["BTC-USDT", "ETH-BTC"] == [tick.symbol for tick in decode(adapter, handmade("miniTicker")[1])[1]]


def test_symbol_without_a_known_quote_asset_stays_the_venues(adapter: BinanceSpotAdapter) -> None:
    """There is no guessing."""
    frame = handmade("bookTicker")[0].replace(b"btcusdt", b"foobarbaz").replace(b"BTCUSDT", b"FOOBARBAZ")
    assert "FOOBARBAZ" == decode(adapter, frame)[1][0].symbol


@pytest.mark.parametrize("frame", handmade("nonascii"), ids=["utf-8", "escaped"])
def test_symbol_of_any_script(adapter: BinanceSpotAdapter, frame: bytes) -> None:
    """Symbols may be non-ASCII, written out or as JSON escapes."""
    key = ask(adapter, "ticker", "测试-USDT")
    assert (key, "测试-USDT") == (decode(adapter, frame)[0], decode(adapter, frame)[1][0].symbol)


def test_payload_says_what_the_numbers_are_about(adapter: BinanceSpotAdapter) -> None:
    """Should a stream ever carry another symbol than its name, its numbers are not passed off as the name's."""
    ask(adapter, "ticker")
    key, (tick,) = decode(adapter, handmade("bookTicker")[0].replace(b"BTCUSDT", b"ETHUSDT"))
    assert ("btcusdt@bookTicker", "ETH-USDT") == (key, tick.symbol)


# -- raw streams -------------------------------------------------------------------------------------


def test_raw_frame_finds_the_channel_asked_for(adapter: BinanceSpotAdapter) -> None:
    """A raw frame does not say its stream's speed or time zone: it belongs to the channel that was asked for."""
    key = ask(adapter, "depth_diff", speed="100ms")
    assert key == decode(adapter, raw(handmade("depth")[1]))[0]
    key = ask(adapter, "kline", period="1d", timezone="+08:00")
    assert key == decode(adapter, raw(handmade("kline")[2]))[0]


def test_raw_frames_of_one_symbols_intervals_are_told_apart(adapter: BinanceSpotAdapter) -> None:
    """The interval is in the payload."""
    minute, month = ask(adapter, "kline", period="1m"), ask(adapter, "kline", period="1M")
    assert minute == decode(adapter, raw(handmade("kline")[0]))[0]
    assert month == decode(adapter, raw(handmade("kline")[3]))[0]


@pytest.mark.parametrize("frame", [frame for frame in all_handmade() if frame.startswith(b'{"stream":"btcusdt@')])
def test_raw_frame_nobody_asked_for(adapter: BinanceSpotAdapter, frame: bytes) -> None:
    """Without a request, a raw frame has the plain name of its stream; partial depth has none."""
    if b"lastUpdateId" in frame:
        with pytest.raises(DataParseError, match="/stream"):
            decode(adapter, raw(frame))
    elif b"avgPrice" not in frame:
        combined, plain = decode(adapter, frame), decode(adapter, raw(frame))
        assert combined[1] == plain[1]
        assert combined[0] is not None
        assert combined[0].replace("@100ms", "").replace("@+08:00", "") == plain[0]


def test_raw_frame_that_could_be_of_two_channels_is_refused(adapter: BinanceSpotAdapter) -> None:
    """Guessing would deliver one channel's events to the other's consumers."""
    ask(adapter, "depth_diff")
    ask(adapter, "depth_diff", speed="100ms")
    with pytest.raises(DataParseError, match=r"btcusdt@depth or btcusdt@depth@100ms.*/stream"):
        decode(adapter, raw(handmade("depth")[0]))


def test_raw_partial_depth_of_the_only_one_subscribed(adapter: BinanceSpotAdapter) -> None:
    """Such a frame names no symbol, so exactly one partial depth must be subscribed; leaving one is enough."""
    frame = raw(handmade("depth_partial")[0])
    btc = adapter.channel("depth", "BTC-USDT")
    foo = adapter.channel("depth", "FOO-BARBAZ")
    adapter.subscribe_frame(1, [btc])
    assert (btc.key, "BTC-USDT") == (decode(adapter, frame)[0], decode(adapter, frame)[1][0].symbol)
    adapter.subscribe_frame(2, [foo])
    with pytest.raises(DataParseError, match="/stream"):
        decode(adapter, frame)
    adapter.unsubscribe_frame(3, [btc])
    assert (foo.key, "FOO-BARBAZ") == (decode(adapter, frame)[0], decode(adapter, frame)[1][0].symbol)


def test_asking_twice_is_asking_once(adapter: BinanceSpotAdapter) -> None:
    """A repeated request does not make a raw frame ambiguous."""
    key = ask(adapter, "depth")
    assert key == ask(adapter, "depth")
    assert key == decode(adapter, raw(handmade("depth_partial")[0]))[0]


def test_frames_under_way_after_leaving_still_decode(adapter: BinanceSpotAdapter) -> None:
    """The venue may send a channel's frames until it has read the request to stop."""
    channel = adapter.channel("ticker", "BTC-USDT")
    adapter.subscribe_frame(1, [channel])
    adapter.unsubscribe_frame(2, [channel])
    assert (channel.key, "BTC-USDT") == (
        decode(adapter, handmade("bookTicker")[0])[0],
        decode(adapter, handmade("bookTicker")[0])[1][0].symbol,
    )


def test_channel_of_another_adapters_making_is_harmless(adapter: BinanceSpotAdapter) -> None:
    """A stream that is not in the table can be asked for and left; its frames are reported as unrecognized."""
    channel = msgspec.structs.replace(adapter.channel("trade", "BTC-USDT"), key="btcusdt@avgPrice")
    adapter.subscribe_frame(1, [channel])
    assert (None, [Unrecognized("avgPrice")]) == decode(adapter, handmade("control")[-2])
    adapter.unsubscribe_frame(2, [channel])


def test_unknown_stream_name_with_a_known_payload(adapter: BinanceSpotAdapter) -> None:
    """A variant of a stream that the venue adds later, such as another time zone, decodes under its own name."""
    frame = handmade("kline")[2].replace(b"+08:00", b"+09:00")
    key, events = decode(adapter, frame)
    assert ("btcusdt@kline_1d@+09:00", [Bar]) == (key, [type(event) for event in events])
