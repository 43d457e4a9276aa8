"""The generic adapter: venues that are described and not programmed."""

from __future__ import annotations

from functools import partial
from typing import Any

import attrs
import msgspec
import pytest

from bt_api_base.containers import Bar, Order, OrderBook, OrderBookDelta, Side, Tick, Trade
from bt_api_base.exceptions import ConfigurationError, DataParseError, InvalidSymbolError, SubscribeError
from bt_api_base.testing import check_stream_adapter, stream_adapter_test
from bt_api_base.venues import register_stream_adapter, stream_adapter
from bt_api_base.venues.generic import Field, GenericAdapter, GenericTopic, GenericVenue, Message
from bt_api_base.websocket.adapter import Ack, Continuity, Heartbeat, Notice, Refusal, StreamLimits, Unrecognized

NOW = 1_777_777_777_000_000_000

# Bybit v5 documentation, "WebSocket Stream", "Public": spot.
BYBIT = GenericVenue(
    exchange_name="BYBIT___SPOT",
    default_url="wss://stream.bybit.com/v5/public/spot",
    limits=StreamLimits(max_channels_per_request=10, max_connects=500, connect_window=300.0, max_idle=600.0),
    subscribe={"op": "subscribe", "args": "{arguments}", "req_id": "{id}"},
    unsubscribe={"op": "unsubscribe", "args": "{arguments}", "req_id": "{id}"},
    ping={"op": "ping"},
    frame_keys=("{topic}",),
    topics=(
        GenericTopic(
            name="ticker_24h",
            key="tickers.{symbol}",
            event_type=Tick,
            symbol="symbol",
            fields={
                "server_time": "$.ts",
                "last_price": "lastPrice",
                "open_price": "prevPrice24h",
                "high_price": "highPrice24h",
                "low_price": "lowPrice24h",
                "volume": "volume24h",
                "turnover": "turnover24h",
                "sequence": "$.cs",
            },
            other_names=("tickers",),
            continuity=Continuity.INCREASING,
            recoverable=True,
        ),
        GenericTopic(
            name="trade",
            key="publicTrade.{symbol}",
            event_type=Trade,
            symbol="s",
            fields={
                "server_time": "$.ts",
                "trade_id": "i",
                "trade_price": "p",
                "trade_volume": "v",
                "trade_side": Field("S", words={"Buy": "buy", "Sell": "sell"}),
                "trade_time": "T",
            },
        ),
        GenericTopic(
            name="depth",
            key="orderbook.{levels}.{symbol}",
            parameters={"levels": ("1",)},  # the others begin with a snapshot and go on with differences
            event_type=OrderBook,
            symbol="s",
            fields={"server_time": "$.ts", "bids": "b", "asks": "a", "sequence": "u"},
            recoverable=True,
        ),
        GenericTopic(
            name="kline",
            key="kline.{interval}.{symbol}",
            parameters={"interval": ("1", "5", "60", "D")},
            event_type=Bar,
            fields={
                "server_time": "$.ts",
                "period": Field("interval", words={"1": "1m", "5": "5m", "60": "1h", "D": "1d"}),
                "open_time": "start",
                "close_time": "end",
                "open_price": "open",
                "high_price": "high",
                "low_price": "low",
                "close_price": "close",
                "volume": "volume",
                "turnover": "turnover",
                "is_closed": "confirm",
            },
        ),
    ),
    messages=(
        Message(kind="heartbeat", where={"op": ("ping", "pong")}),
        Message(kind="ack", where={"success": True}, request_id="req_id"),
        Message(kind="refusal", where={"success": False}, request_id="req_id", text="ret_msg"),
    ),
)

BYBIT_FRAMES = (
    (
        b'{"topic":"tickers.BTCUSDT","ts":1673853746003,"type":"snapshot","cs":2588407389,"data":{"symbol":"BTCUSDT",'
        b'"lastPrice":"21109.77","highPrice24h":"21426.99","lowPrice24h":"20575","prevPrice24h":"20704.93",'
        b'"volume24h":"6780.866843","turnover24h":"141946527.22907118","price24hPcnt":"0.0196","usdIndexPrice":""}}'
    ),
    (
        b'{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":1672304486868,"data":[{"T":1672304486865,"s":"BTCUSDT",'
        b'"S":"Buy","v":"0.001","p":"16578.50","L":"PlusTick","i":"20f43950-d8dd-5b31-9112-a178eb6023af","BT":false},'
        b'{"T":1672304486866,"s":"BTCUSDT","S":"Sell","v":"2","p":"16578.00","i":"2290000000061666327","BT":false}]}'
    ),
    (
        b'{"topic":"orderbook.1.BTCUSDT","type":"snapshot","ts":1672304484978,"data":{"s":"BTCUSDT",'
        b'"b":[["16493.50","0.006"]],"a":[["16611.00","0.029"]],"u":18521288,"seq":7961638724},"cts":1672304484976}'
    ),
    (
        b'{"type":"snapshot","topic":"kline.5.BTCUSDT","data":[{"start":1672324800000,"end":1672325099999,"interval":"5",'
        b'"open":"16649.5","close":"16677","high":"16677","low":"16608","volume":"2.081","turnover":"34666.4005",'
        b'"confirm":false,"timestamp":1672324988882}],"ts":1672324988882}'
    ),
)

# Kraken documentation, "WebSocket API v2".
KRAKEN = GenericVenue(
    exchange_name="KRAKEN___SPOT",
    default_url="wss://ws.kraken.com/v2",
    limits=StreamLimits(max_channels_per_request=1, max_connects=150, connect_window=600.0, max_idle=60.0),
    symbol_format="{base}/{quote}",
    time_unit="iso",
    subscribe={"method": "subscribe", "params": "{argument}", "req_id": "{id}"},
    unsubscribe={"method": "unsubscribe", "params": "{argument}", "req_id": "{id}"},
    argument={"channel": "{topic}", "symbol": ["{symbol}"]},
    ping={"method": "ping"},
    frame_keys=("{channel}:{data.0.symbol}",),
    topics=(
        GenericTopic(
            name="ticker",
            key="ticker:{symbol}",
            event_type=Tick,
            symbol="symbol",
            fields={
                "server_time": "timestamp",
                "bid_price": "bid",
                "ask_price": "ask",
                "bid_volume": "bid_qty",
                "ask_volume": "ask_qty",
                "last_price": "last",
                "high_price": "high",
                "low_price": "low",
                "volume": "volume",
            },
        ),
        GenericTopic(
            name="trade",
            key="trade:{symbol}",
            event_type=Trade,
            symbol="symbol",
            fields={
                "server_time": "timestamp",
                "trade_id": "trade_id",
                "trade_price": "price",
                "trade_volume": "qty",
                "trade_side": "side",
                "trade_time": "timestamp",
            },
            continuity=Continuity.CONSECUTIVE,
            recoverable=True,
        ),
    ),
    messages=(
        Message(kind="heartbeat", where={"channel": "heartbeat"}),
        Message(kind="heartbeat", where={"method": "pong"}),
        Message(kind="notice", where={"channel": "status"}, code="data.0.system"),
        Message(kind="refusal", where={"success": False}, request_id="req_id", text="error"),
        Message(kind="ack", where={"success": True}, request_id="req_id"),
    ),
)

KRAKEN_FRAMES = (
    (
        b'{"channel":"ticker","type":"snapshot","data":[{"symbol":"BTC/USD","bid":27000.1,"bid_qty":740.0,"ask":27000.2,'
        b'"ask_qty":740.5,"last":27000.2,"volume":997038.98383185,"vwap":27000.0,"low":26000.5,"high":28000.0,'
        b'"change":-0.00017,"change_pct":-0.17,"timestamp":"2023-09-25T09:04:31.742648Z"}]}'
    ),
    (
        b'{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","side":"sell","price":27000.5,"qty":0.1,'
        b'"ord_type":"market","trade_id":4665846,"timestamp":"2023-09-25T07:48:36.925533Z"},{"symbol":"BTC/USD",'
        b'"side":"buy","price":27001,"qty":1,"ord_type":"limit","trade_id":4665847,"timestamp":"2023-09-25T07:49:36Z"}]}'
    ),
)

# Two that are invented: one with text and levels that are objects, one whose channels are objects and confirm by name.
PLAIN = GenericVenue(
    exchange_name="PLAIN___SPOT",
    default_url="wss://plain.invalid/ws",
    limits=StreamLimits(max_channels_per_request=1),
    lower_case=True,
    symbol_format="{base}_{quote}",
    time_unit="s",
    subscribe="SUB {id} {argument}",
    unsubscribe="UNSUB {id} {argument}",
    ping="ping",
    frame_keys=("{c}",),
    topics=(
        GenericTopic(
            name="depth",
            key="book-{symbol}",
            event_type=OrderBook,
            data="d",
            fields={
                "server_time": "at",
                "bids": Field("buy", level=("price", "size")),
                "asks": Field("sell", level=("price", "size")),
                "sequence": "n",
            },
            continuity=Continuity.INCREASING,
        ),
        GenericTopic(
            name="depth_diff",
            key="changes-{symbol}",
            event_type=OrderBookDelta,
            data="d",
            fields={
                "server_time": Field("$.us", unit="us"),
                "bids": "b",
                "asks": "a",
                "first_sequence": "n",
                "last_sequence": "n",
            },
            continuity=Continuity.CONSECUTIVE,
        ),
    ),
    messages=(
        Message(kind="heartbeat", where="pong"),
        Message(kind="heartbeat", where={"beat": ...}, reply="beat {beat}"),
        Message(kind="ack", where={"ok": ...}, request_id="ok"),
        Message(kind="refusal", where={"bad": ...}, request_id="bad", code="code", text="why"),
        Message(kind="notice", where={"bye": ...}, text="bye", closing=True),
    ),
)

PLAIN_FRAMES = (
    b'{"c":"book-btc_usdt","d":{"at":1700000000.25,"n":7,"buy":[{"price":"1.5","size":2}],"sell":[]}}',
    b'{"c":"book-btc_usdt","d":{"at":"1700000001.5","n":9,"buy":[],"sell":[{"price":"1.5","size":2}]}}',
    b'{"c":"changes-btc_usdt","us":1700000000000001,"d":[{"n":1,"b":[["1","2"]],"a":[]},{"n":2,"b":[],"a":[[3,0]]}]}',
)

NESTED = GenericVenue(
    exchange_name="NESTED___SWAP",
    default_url="wss://nested.invalid/ws",
    symbol_format="{base}-{quote}-PERP",
    time_unit="ns",
    subscribe={"do": "add", "what": "{arguments}", "ref": "r{id}"},
    unsubscribe={"do": "drop", "what": "{arguments}", "ref": "r{id}"},
    argument={"kind": "trades", "name": "{symbol}"},
    frame_keys=("{head.kind}|{head.name}",),
    topics=(
        GenericTopic(
            name="trade",
            key="trades|{symbol}",
            event_type=Trade,
            data="body.list",
            fields={
                "trade_id": "0",
                "trade_price": "1",
                "trade_volume": "2",
                "trade_side": Field("3", words={1: Side.BUY, -1: Side.SELL}),
                "trade_time": "4",
            },
            continuity=Continuity.CONSECUTIVE,
        ),
    ),
    messages=(
        Message(kind="ack", where={"done": "add"}, key="{head.kind}|{head.name}"),
        Message(kind="refusal", where={"done": "error"}, code="code"),
    ),
)

NESTED_FRAMES = (
    b'{"head":{"kind":"trades","name":"BTC-USD-PERP"},"body":{"list":[[1,100,2,1,1700000000000000001]]}}',
    b'{"head":{"kind":"trades","name":"BTC-USD-PERP"},"body":{"list":[[2,100.5,2,-1,1700000000000000002]]}}',
)

test_bybit = stream_adapter_test(
    partial(GenericAdapter, BYBIT),
    channels=[
        ("ticker_24h", "BTC-USDT"),
        ("trade", "BTC-USDT"),
        ("depth", "BTC-USDT"),
        ("kline", "BTC-USDT", {"interval": 5}),
    ],
    frames=BYBIT_FRAMES,
    acks=['{"success":true,"ret_msg":"","conn_id":"2324d924","req_id":"10001","op":"subscribe"}'],
    refusals=['{"success":false,"ret_msg":"error:handler not found","req_id":"2","op":"subscribe"}'],
    heartbeats=['{"success":true,"ret_msg":"pong","conn_id":"0970e817","req_id":"","op":"ping"}', '{"op":"pong"}'],
    bad_symbols=["", "BTC", "BTC/USDT", "BTC-USDT-SWAP"],
    seed=1,
)

test_kraken = stream_adapter_test(
    partial(GenericAdapter, KRAKEN),
    channels=[("ticker", "BTC-USD"), ("trade", "BTC-USD")],
    frames=KRAKEN_FRAMES,
    acks=['{"method":"subscribe","result":{"channel":"ticker","symbol":"BTC/USD"},"success":true,"req_id":1}'],
    refusals=['{"error":"Currency pair not supported","method":"subscribe","success":false,"req_id":2}'],
    heartbeats=['{"channel":"heartbeat"}', '{"method":"pong","req_id":3}'],
    notices=['{"channel":"status","type":"update","data":[{"system":"online","api_version":"v2"}]}'],
    seed=1,
)

test_plain = stream_adapter_test(
    partial(GenericAdapter, PLAIN),
    channels=[("depth", "BTC-USDT"), ("depth_diff", "BTC-USDT")],
    frames=PLAIN_FRAMES,
    acks=['{"ok":1}'],
    refusals=['{"bad":1,"code":7,"why":"no"}'],
    heartbeats=["pong", '{"beat":17}'],
    notices=['{"bye":"maintenance"}'],
    seed=1,
)

test_nested = stream_adapter_test(
    partial(GenericAdapter, NESTED),
    channels=[("trade", "BTC-USD")],
    frames=NESTED_FRAMES,
    acks=['{"done":"add","head":{"kind":"trades","name":"BTC-USD-PERP"}}'],
    refusals=['{"done":"error","code":"E5"}'],
    seed=1,
)


class TestAsking:
    """What is sent."""

    @pytest.mark.parametrize(
        ("venue", "topic", "symbol", "expected"),
        [
            (BYBIT, "trade", "btc-usdt", '{"op":"subscribe","args":["publicTrade.BTCUSDT"],"req_id":7}'),
            (
                KRAKEN,
                "trade",
                "BTC-USD",
                '{"method":"subscribe","params":{"channel":"trade","symbol":["BTC/USD"]},"req_id":7}',
            ),
            (PLAIN, "depth", "BTC-USDT", "SUB 7 book-btc_usdt"),
            (NESTED, "trade", "BTC-USD", '{"do":"add","what":[{"kind":"trades","name":"BTC-USD-PERP"}],"ref":"r7"}'),
        ],
    )
    def test_requests(self, venue: GenericVenue, topic: str, symbol: str, expected: str) -> None:
        """A request is the template with the channel and the id in it."""
        adapter = GenericAdapter(venue)
        assert expected == adapter.subscribe_frame(7, [adapter.channel(topic, symbol)])

    def test_several_channels(self) -> None:
        """A request names as many channels as it is given."""
        adapter = GenericAdapter(BYBIT)
        channels = [adapter.channel("trade", "BTC-USDT"), adapter.channel("kline", "ETH-USDT", {"interval": "D"})]
        request = msgspec.json.decode(adapter.unsubscribe_frame(1, channels))
        assert {"op": "unsubscribe", "args": ["publicTrade.BTCUSDT", "kline.D.ETHUSDT"], "req_id": 1} == request

    def test_pings(self) -> None:
        """A ping is a template as well, or WebSocket's own."""
        assert '{"op":"ping"}' == GenericAdapter(BYBIT).ping_frame()
        assert "ping" == GenericAdapter(PLAIN).ping_frame()
        assert GenericAdapter(NESTED).ping_frame() is None

    def test_unknown_things_are_refused_with_what_there_is(self) -> None:
        """Topics, parameters and symbols that there are not are errors that list what there is."""
        adapter = GenericAdapter(BYBIT)
        with pytest.raises(SubscribeError, match="topics are: ticker_24h, trade, depth, kline"):
            adapter.channel("funding", "BTC-USDT")
        with pytest.raises(SubscribeError, match=r"parameters of 'kline' are: interval \(1, 5, 60, D\)"):
            adapter.channel("kline", "BTC-USDT", {"interval": "2"})
        with pytest.raises(SubscribeError, match="parameters of 'trade' are: none"):
            adapter.channel("trade", "BTC-USDT", {"interval": "1"})
        with pytest.raises(InvalidSymbolError, match="base and quote"):
            adapter.channel("trade", "BTCUSDT")
        assert adapter.channel("tickers", "BTC-USDT") == adapter.channel("ticker_24h", "BTC-USDT")


def decode(venue: GenericVenue, frame: bytes, *asked: tuple[str, str]) -> tuple[str | None, list[Any]]:
    """Decode a frame after asking for channels."""
    adapter = GenericAdapter(venue)
    for topic, symbol in asked:
        adapter.subscribe_frame(1, [adapter.channel(topic, symbol)])
    key, items = adapter.decode_frame(frame, NOW)
    return key, list(items)


class TestDecoding:
    """What frames become."""

    def test_bybit(self) -> None:
        """Numbers in texts, times at the frame, a word for the side, two trades in a frame."""
        key, (tick,) = decode(BYBIT, BYBIT_FRAMES[0], ("ticker_24h", "BTC-USDT"))
        assert "tickers.BTCUSDT" == key
        assert tick == Tick(
            "BYBIT___SPOT",
            "BTC-USDT",
            1_673_853_746_003_000_000,
            NOW,
            last_price=21109.77,
            open_price=20704.93,
            high_price=21426.99,
            low_price=20575.0,
            volume=6780.866843,
            turnover=141946527.22907118,
            sequence=2588407389,
        )
        _, trades = decode(BYBIT, BYBIT_FRAMES[1], ("trade", "BTC-USDT"))
        assert [Side.BUY, Side.SELL] == [trade.trade_side for trade in trades]
        _, (bar,) = decode(BYBIT, BYBIT_FRAMES[3], ("kline", "BTC-USDT"))
        assert ("5m", 16677.0, False) == (bar.period, bar.close_price, bar.is_closed)

    def test_kraken(self) -> None:
        """Times as text to the microsecond, and a key that is put together."""
        key, (first, second) = decode(KRAKEN, KRAKEN_FRAMES[1])
        assert "trade:BTC/USD" == key
        expected = Trade(
            "KRAKEN___SPOT",
            "BTC-USD",
            1_695_628_116_925_533_000,
            NOW,
            "4665846",
            27000.5,
            0.1,
            Side.SELL,
            1_695_628_116_925_533_000,
        )
        assert expected == first
        assert 1_695_628_176_000_000_000 == second.trade_time

    def test_frames_that_are_the_item(self) -> None:
        """A venue that wraps nothing: the frame itself is the event, and an answer that names the channel is none."""
        flat = GenericVenue(
            exchange_name="FLAT___SPOT",
            default_url="wss://flat.invalid/ws",
            subscribe={"sub": "{arguments}", "id": "{id}"},
            unsubscribe={"unsub": "{arguments}", "id": "{id}"},
            frame_keys=("{ch}",),
            topics=(
                GenericTopic(
                    name="ticker",
                    key="t.{symbol}",
                    event_type=Tick,
                    data="",
                    fields={"server_time": "ts", "last_price": "p", "sequence": "n"},
                ),
            ),
            messages=(Message(kind="ack", where={"ok": ...}, request_id="ok"),),
        )
        key, (tick,) = decode(flat, b'{"ch":"t.BTCUSDT","ts":1,"p":"2.5","n":7}', ("ticker", "BTC-USDT"))
        assert ("t.BTCUSDT", 1_000_000, 2.5, 7) == (key, tick.server_time, tick.last_price, tick.sequence)
        assert (None, [Ack(3)]) == decode(flat, b'{"ch":"t.BTCUSDT","ok":3}', ("ticker", "BTC-USDT"))

    def test_levels(self) -> None:
        """Levels are pairs or objects; times are seconds with a fraction."""
        _, (book,) = decode(PLAIN, PLAIN_FRAMES[0], ("depth", "BTC-USDT"))
        assert OrderBook("PLAIN___SPOT", "BTC-USDT", 1_700_000_000_250_000_000, NOW, ((1.5, 2.0),), (), 7) == book
        _, (_, delta) = decode(PLAIN, PLAIN_FRAMES[2])
        assert (
            OrderBookDelta("PLAIN___SPOT", "BTC-USDT", 1_700_000_000_000_001_000, NOW, (), ((3.0, 0.0),), 2, 2) == delta
        )

    def test_symbols_nobody_asked_for(self) -> None:
        """A symbol that can be split is; one that cannot stays the venue's."""
        assert "BTC-USD" == decode(NESTED, NESTED_FRAMES[0])[1][0].symbol
        assert "BTCUSDT" == decode(BYBIT, BYBIT_FRAMES[0])[1][0].symbol

    @pytest.mark.parametrize(
        ("venue", "frame", "expected"),
        [
            (BYBIT, b'{"success":true,"req_id":"7"}', Ack("7")),
            (BYBIT, b'{"success":false,"req_id":"7","ret_msg":"no"}', Refusal("7", message="no")),
            (BYBIT, b'{"op":"pong"}', Heartbeat()),
            (BYBIT, b'{"hello":1,"world":2}', Unrecognized("hello, world")),
            (PLAIN, b"pong", Heartbeat()),
            (PLAIN, b'{"beat":5}', Heartbeat("beat 5")),
            (PLAIN, b'{"bad":3,"code":-4,"why":"full"}', Refusal(3, code=-4, message="full")),
            (PLAIN, b'{"bye":"soon"}', Notice("soon", "soon", closing=True)),
            (NESTED, b'{"done":"add","head":{"kind":"trades","name":"A-B-PERP"}}', Ack(key="trades|A-B-PERP")),
        ],
    )
    def test_messages(self, venue: GenericVenue, frame: bytes, expected: object) -> None:
        """What is no data is told by what is in it."""
        assert (None, [expected]) == decode(venue, frame)

    @pytest.mark.parametrize(
        ("venue", "frame", "expected"),
        [
            (BYBIT, b"{", ("frame", "", "")),
            (BYBIT, BYBIT_FRAMES[1].replace(b'"16578.50"', b'"NaN"'), ("Trade", "publicTrade.BTCUSDT", "p")),
            (BYBIT, BYBIT_FRAMES[1].replace(b'"S":"Buy"', b'"S":"Bid"'), ("Trade", "publicTrade.BTCUSDT", "S")),
            (BYBIT, BYBIT_FRAMES[1].replace(b'"i":"2290', b'"x":"2290'), ("Trade", "publicTrade.BTCUSDT", "i")),
            (BYBIT, BYBIT_FRAMES[1].replace(b'"s":"BTCUSDT"', b'"s":"ETHUSDT"'), ("Trade", "publicTrade.BTCUSDT", "s")),
            (BYBIT, b'{"topic":"publicTrade.BTCUSDT"}', ("Trade", "publicTrade.BTCUSDT", "data")),
            (BYBIT, b'{"topic":"publicTrade.BTCUSDT","data":7}', ("Trade", "publicTrade.BTCUSDT", "data")),
            (
                BYBIT,
                BYBIT_FRAMES[2].replace(b'["16493.50","0.006"]', b'"12"'),
                ("OrderBook", "orderbook.1.BTCUSDT", "b"),
            ),
            (KRAKEN, KRAKEN_FRAMES[0].replace(b"2023-09-25T", b"25.9.2023 "), ("Tick", "ticker:BTC/USD", "timestamp")),
        ],
    )
    def test_bad_frames_are_told_to_the_field(
        self, venue: GenericVenue, frame: bytes, expected: tuple[str, str, str]
    ) -> None:
        """A frame that cannot be read is an error with venue, channel and field."""
        with pytest.raises(DataParseError) as caught:
            GenericAdapter(venue).decode_frame(frame, NOW)
        error = caught.value
        assert venue.exchange_name == error.exchange_name
        assert expected == (error.container_class, error.channel, error.field)


class TestDescribing:
    """Descriptions that contradict themselves are errors when an adapter is made."""

    @pytest.mark.parametrize(
        ("change", "text"),
        [
            ({"key": "trades"}, "has to name the symbol and every parameter"),
            ({"parameters": {"speed": ("1", "2")}}, "has to name the symbol and every parameter"),
            ({"fields": {"trade_id": "0"}}, "lack 'trade_price'"),
            ({"fields": {**NESTED.topics[0].fields, "colour": "5"}}, "Trade has no field 'colour'"),
            (
                {"event_type": Order, "fields": dict.fromkeys(Order.__struct_fields__[4:], "0")},
                "cannot be described",
            ),
        ],
    )
    def test_topics(self, change: dict[str, Any], text: str) -> None:
        """A topic needs a key with everything in it, and every field that its event has to have."""
        venue = attrs.evolve(NESTED, topics=(attrs.evolve(NESTED.topics[0], **change),))
        with pytest.raises(ConfigurationError, match=text):
            GenericAdapter(venue)

    def test_one_channel_a_request(self) -> None:
        """A request for a single channel goes with a limit that says so."""
        with pytest.raises(ConfigurationError, match=r"set limits\.max_channels_per_request to 1"):
            GenericAdapter(attrs.evolve(KRAKEN, limits=StreamLimits()))

    def test_registering(self) -> None:
        """A described venue is known by its name, like any other."""
        register_stream_adapter(PLAIN.exchange_name, partial(GenericAdapter, PLAIN))
        adapter = stream_adapter("plain___spot")
        assert isinstance(adapter, GenericAdapter)
        assert adapter is not stream_adapter("plain___spot")

    def test_it_takes_one_line_to_check(self) -> None:
        """A description is held to the same rules as a program."""
        check_stream_adapter(partial(GenericAdapter, NESTED), channels=[("trade", "BTC-USD")], frames=NESTED_FRAMES)
