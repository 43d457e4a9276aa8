"""Binance's dialect as the simulated venue speaks it: URLs, stream names, requests and frames."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from bt_api_base.testing.binance_dialect import BinanceClient, Target, parse_target
from bt_api_base.testing.binance_frames import (
    MICROSECONDS,
    StreamName,
    aggregate_trade_data,
    array_data,
    average_price_data,
    book_ticker_data,
    combined_data,
    depth_data,
    is_stream_name,
    kline_data,
    mini_ticker_data,
    parse_stream_name,
    partial_depth_data,
    ticker_data,
    trade_data,
    window_ticker_data,
)
from bt_api_base.testing.dialect import ReplyKind
from bt_api_base.testing.market import AggregateTrade, BestQuote, Market
from bt_api_base.testing.market_bars import DayStatistics, MarketBar, MarketTrade
from bt_api_base.testing.market_book import DepthChange, DepthSnapshot
from bt_api_base.testing.venue_faults import Refused, RequestFaults
from tests.corpora import corpora_path

TRADE = MarketTrade(3735683260, 1723161255619_123, 61_837_63000000, 4_800_000, buyer_is_maker=True)
QUOTE = BestQuote(50093239212, 61_837_63000000, 3_78826000, 61_837_64000000, 1_54698000)
BAR = MarketBar(
    1633998480000_000,
    1633998540000_000,
    open=35_270_000,
    high=35_280_000,
    low=35_220_000,
    close=35_280_000,
    volume=25_877_00000000,
    quote_volume=9_116_04600000,
    taker_volume=58_00000000,
    taker_quote_volume=20_46240000,
    count=30,
    first_trade_id=19862761,
    last_trade_id=19862790,
)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/ws", Target(combined=False)),
        ("/ws/", Target(combined=False)),
        ("/ws/btcusdt@trade", Target(combined=False, streams=("btcusdt@trade",))),
        ("/ws/btcusdt@trade/ethusdt@trade", Target(combined=False, streams=("btcusdt@trade", "ethusdt@trade"))),
        ("/stream", Target(combined=True)),
        ("/stream?streams=btcusdt@trade", Target(combined=True, streams=("btcusdt@trade",))),
        ("/stream?streams=a@b/c@d&timeUnit=MICROSECOND", Target(True, ("a@b", "c@d"), MICROSECONDS)),
        ("/stream?streams=btcusdt%40trade", Target(combined=True, streams=("btcusdt@trade",))),
        ("/", None),
        ("/ws-api/v3", None),
        ("/streams", None),
    ],
)
def test_urls(target: str, expected: Target | None) -> None:
    """Raw and combined endpoints, with and without streams; anything else is not there."""
    assert expected == parse_target(target)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("btcusdt@trade", StreamName("btcusdt", "trade")),
        ("btcusdt@aggTrade", StreamName("btcusdt", "aggTrade")),
        ("btcusdt@bookTicker", StreamName("btcusdt", "bookTicker")),
        ("btcusdt@ticker", StreamName("btcusdt", "ticker", period_ms=1_000)),
        ("btcusdt@miniTicker", StreamName("btcusdt", "miniTicker", period_ms=1_000)),
        ("btcusdt@depth", StreamName("btcusdt", "depth", period_ms=1_000)),
        ("btcusdt@depth@100ms", StreamName("btcusdt", "depth", period_ms=100)),
        ("btcusdt@depth5", StreamName("btcusdt", "partialDepth", levels=5, period_ms=1_000)),
        ("btcusdt@depth20@100ms", StreamName("btcusdt", "partialDepth", levels=20, period_ms=100)),
        ("btcusdt@kline_1s", StreamName("btcusdt", "kline", interval="1s", period_ms=1_000)),
        ("btcusdt@kline_1M", StreamName("btcusdt", "kline", interval="1M", period_ms=2_000)),
        ("btcusdt@kline_1m@+08:00", StreamName("btcusdt", "kline", interval="1m", period_ms=2_000, is_shifted=True)),
        ("btcusdt@avgPrice", StreamName("btcusdt", "avgPrice", period_ms=1_000)),
        ("btcusdt@ticker_1h", StreamName("btcusdt", "windowTicker", interval="1h", period_ms=1_000)),
        ("btcusdt@ticker_1d", StreamName("btcusdt", "windowTicker", interval="1d", period_ms=1_000)),
        ("!miniTicker@arr", StreamName("", "miniTicker", period_ms=1_000)),
        ("!ticker_4h@arr", StreamName("", "windowTicker", interval="4h", period_ms=1_000)),
        ("!ticker@arr", None),
        ("!ticker_2h@arr", None),
        ("!miniTicker", None),
        ("btcusdt@ticker_2h", None),
        ("btcusdt@kline_1m@+09:00", None),
        ("btcusdt@kline_7m", None),
        ("btcusdt@depth7", None),
        ("btcusdt@depth@50ms", None),
        ("btcusdt@trade@100ms", None),
        ("btcusdt", None),
    ],
)
def test_stream_names(name: str, expected: StreamName | None) -> None:
    """The channels this venue has data for, and their periods."""
    assert expected == parse_stream_name(name)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("btcusdt@trade", True),
        ("nosuch@channel", True),
        ("BTCUSDT@trade", True),
        ("!miniTicker@arr", True),
        ("", False),
        ("btcusdt", False),
        ("@trade", False),
        ("btcusdt@", False),
        ("btcusdt @trade", False),
    ],
)
def test_well_formed_names(name: str, expected: bool) -> None:
    """A name is well-formed by its shape; whether anything is behind it is another question."""
    assert expected == is_stream_name(name)


def talk(*requests: str, **options: Any) -> list[str]:
    """Return the replies to requests on one combined connection."""
    client = BinanceClient(combined=True, **options)
    return [client.answer(request.encode()).replies[0].payload.decode() for request in requests]


def test_the_documentation_s_dialogue() -> None:
    """The requests of the venue's documentation get its replies, byte for byte."""
    assert [
        '{"result":null,"id":1}',
        '{"result":null,"id":312}',
        '{"result":["btcusdt@aggTrade"],"id":3}',
        '{"result":null,"id":5}',
        '{"result":true,"id":2}',
    ] == talk(
        '{"method":"SUBSCRIBE","params":["btcusdt@aggTrade","btcusdt@depth"],"id":1}',
        '{"method":"UNSUBSCRIBE","params":["btcusdt@depth"],"id":312}',
        '{"method":"LIST_SUBSCRIPTIONS","id":3}',
        '{"method":"SET_PROPERTY","params":["combined",true],"id":5}',
        '{"method":"GET_PROPERTY","params":["combined"],"id":2}',
    )


@pytest.mark.parametrize(
    ("request_text", "reply"),
    [
        ('{"method":"SET_PROPERTY","params":["color",true],"id":1}', {"code": 0, "msg": "Unknown property", "id": 1}),
        ('{"method":"GET_PROPERTY","params":["color"],"id":1}', {"code": 0, "msg": "Unknown property", "id": 1}),
        (
            '{"method":"SET_PROPERTY","params":["combined","yes"],"id":1}',
            {"code": 1, "msg": "Invalid value type: expected Boolean", "id": 1},
        ),
        (
            '{"method":"SET_PROPERTY","params":["combined"],"id":1}',
            {"code": 1, "msg": "Invalid value type: expected Boolean", "id": 1},
        ),
        (
            '{"method":"GET_PROPERTY","params":[5],"id":1}',
            {"code": 2, "msg": "Invalid request: property name must be a string", "id": 1},
        ),
        (
            '{"method":"GET_PROPERTY","params":["combined",true],"id":1}',
            {"code": 2, "msg": "Invalid request: too many parameters", "id": 1},
        ),
        (
            '{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":1.5}',
            {"code": 2, "msg": "Invalid request: request ID must be an unsigned integer"},
        ),
        (
            '{"method":1,"params":["btcusdt@depth"],"id":1}',
            {
                "code": 2,
                "msg": "Invalid request: unknown variant 1, expected one of `SUBSCRIBE`, `UNSUBSCRIBE`, "
                "`LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY` at line 1 column 11",
                "id": 1,
            },
        ),
        (
            '{"params":["btcusdt@depth"],"id":1}',
            {"code": 2, "msg": "Invalid request: missing field `method` at line 1 column 35", "id": 1},
        ),
        (
            '{"method":"SUBSCRIBE","id":1}',
            {"code": 2, "msg": "Invalid request: missing field `params` at line 1 column 29", "id": 1},
        ),
        ('{"method":"SUBSCRIBE","params":[7],"id":1}', {"code": 2, "msg": "Invalid request: invalid stream", "id": 1}),
        ("hello", {"code": 3, "msg": "Invalid JSON: expected value at line 1 column 1"}),
        ("", {"code": 3, "msg": "Invalid JSON: EOF while parsing a value at line 1 column 0"}),
        ("[]", {"code": 2, "msg": "Invalid request: request must be an object"}),
    ],
)
def test_refusals(request_text: str, reply: dict[str, Any]) -> None:
    """A request that cannot be served is refused in the venue's words, with its id once that is known."""
    assert [reply] == [json.loads(text) for text in talk(request_text)]


@pytest.mark.parametrize("message", [b'{"method":"\xff"}', b"[" * 100_000, b'{"method":'], ids=["utf8", "deep", "cut"])
def test_nothing_a_client_sends_breaks_the_venue(message: bytes) -> None:
    """Bytes that no parser likes are refused like any other request that is no JSON."""
    assert b'{"code":3,"msg":"Invalid JSON: ' == BinanceClient(combined=True).answer(message).replies[0].payload[:31]


def test_refusals_change_nothing() -> None:
    """One bad stream in a request refuses all of it."""
    client = BinanceClient(combined=True)
    answer = client.answer(b'{"method":"SUBSCRIBE","params":["btcusdt@trade","bad"],"id":1}')
    assert (1, (), ()) == (answer.refusals, answer.added, client.streams)


@pytest.mark.parametrize("request_id", ["7", "-7", "9223372036854775807", "null", '"a"', f'"{"x" * 36}"'])
def test_ids(request_id: str) -> None:
    """Signed 64-bit integers, up to 36 letters and digits, and null come back as they are."""
    assert [f'{{"result":[],"id":{request_id}}}'] == talk(f'{{"method":"LIST_SUBSCRIPTIONS","id":{request_id}}}')


@pytest.mark.parametrize("request_id", ["9223372036854775808", "1.5", "true", "[]", '""', f'"{"x" * 37}"', '"a b"'])
def test_bad_ids(request_id: str) -> None:
    """Any other id is refused."""
    (reply,) = talk(f'{{"method":"LIST_SUBSCRIPTIONS","id":{request_id}}}')
    assert '{"code":2,"msg":"Invalid request: request ID must be an unsigned integer"}' == reply


def test_a_request_without_an_id_is_answered_with_null() -> None:
    """The id is optional."""
    assert ['{"result":[],"id":null}'] == talk('{"method":"LIST_SUBSCRIPTIONS"}')


def test_unknown_streams_are_acknowledged() -> None:
    """A well-formed name is acknowledged and listed, whether or not there is anything behind it."""
    assert ['{"result":null,"id":1}', '{"result":["nosuch@trade","BTCUSDT@trade"],"id":2}'] == talk(
        '{"method":"SUBSCRIBE","params":["nosuch@trade","BTCUSDT@trade"],"id":1}',
        '{"method":"LIST_SUBSCRIPTIONS","id":2}',
    )


def test_subscribing_twice_is_subscribing_once() -> None:
    """Repeated names, in one request or two, are one subscription; unsubscribing from none is fine."""
    client = BinanceClient(combined=True)
    assert ("a@b",) == client.answer(b'{"method":"SUBSCRIBE","params":["a@b","a@b"],"id":1}').added
    assert () == client.answer(b'{"method":"SUBSCRIBE","params":["a@b"],"id":2}').added
    assert ("a@b",) == client.answer(b'{"method":"UNSUBSCRIBE","params":["a@b","c@d"],"id":3}').removed
    assert () == client.streams


def test_streams_per_connection() -> None:
    """A request that would exceed the most streams of a connection is refused as a whole."""
    assert ['{"result":null,"id":1}', '{"code":2,"msg":"Invalid request: too many parameters","id":2}'] == talk(
        '{"method":"SUBSCRIBE","params":["a@b","c@d"],"id":1}',
        '{"method":"SUBSCRIBE","params":["c@d","e@f"],"id":2}',
        max_streams=2,
    )


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (
            trade_data("BTCUSDT", TRADE),
            (
                '{"e":"trade","E":1723161255619,"s":"BTCUSDT","t":3735683260,"p":"61837.63000000","q":"0.04800000"'
                ',"T":1723161255619,"m":true,"M":true}'
            ),
        ),
        (
            aggregate_trade_data(
                "LRCBTC", AggregateTrade(9213679, 1633998534486_000, 638, 177_00000000, 12368013, 12368014, False)
            ),
            (
                '{"e":"aggTrade","E":1633998534486,"s":"LRCBTC","a":9213679,"p":"0.00000638","q":"177.00000000"'
                ',"f":12368013,"l":12368014,"T":1633998534486,"m":false,"M":true}'
            ),
        ),
        (
            book_ticker_data("BTCUSDT", QUOTE),
            '{"u":50093239212,"s":"BTCUSDT","b":"61837.63000000","B":"3.78826000","a":"61837.64000000","A":"1.54698000"}',
        ),
        (
            depth_data(
                "OMGBUSD", DepthChange(77819467, 77819468, ((1375700000, 107_84000000),), ()), 1633998275094_000
            ),
            (
                '{"e":"depthUpdate","E":1633998275094,"s":"OMGBUSD","U":77819467,"u":77819468'
                ',"b":[["13.75700000","107.84000000"]],"a":[]}'
            ),
        ),
        (
            partial_depth_data(DepthSnapshot(160, ((240_000, 10_00000000),), ((260_000, 100_00000000),))),
            '{"lastUpdateId":160,"bids":[["0.00240000","10.00000000"]],"asks":[["0.00260000","100.00000000"]]}',
        ),
        (
            kline_data("NKNUSDT", "1m", BAR, 1633998523963_000),
            (
                '{"e":"kline","E":1633998523963,"s":"NKNUSDT","k":{"t":1633998480000,"T":1633998539999,"s":"NKNUSDT"'
                ',"i":"1m","f":19862761,"L":19862790,"o":"0.35270000","c":"0.35280000","h":"0.35280000","l":"0.35220000"'
                ',"v":"25877.00000000","n":30,"x":false,"q":"9116.04600000","V":"58.00000000","Q":"20.46240000","B":"0"}}'
            ),
        ),
        (
            ticker_data("NKNUSDT", DayStatistics(BAR, 35_260_000, 58_00000000), QUOTE, 1633998523963_000),
            (
                '{"e":"24hrTicker","E":1633998523963,"s":"NKNUSDT","p":"0.00010000","P":"0.028","w":"0.35228372"'
                ',"x":"0.35260000","c":"0.35280000","Q":"58.00000000","b":"61837.63000000","B":"3.78826000"'
                ',"a":"61837.64000000","A":"1.54698000","o":"0.35270000","h":"0.35280000","l":"0.35220000"'
                ',"v":"25877.00000000","q":"9116.04600000","O":1633912123963,"C":1633998523963,"F":19862761,"L":19862790'
                ',"n":30}'
            ),
        ),
        (
            mini_ticker_data("NKNUSDT", DayStatistics(BAR, 0, 0), 1633998523963_000),
            (
                '{"e":"24hrMiniTicker","E":1633998523963,"s":"NKNUSDT","c":"0.35280000","o":"0.35270000","h":"0.35280000"'
                ',"l":"0.35220000","v":"25877.00000000","q":"9116.04600000"}'
            ),
        ),
    ],
    ids=["trade", "aggTrade", "bookTicker", "depth", "partialDepth", "kline", "ticker", "miniTicker"],
)
def test_frames(data: bytes, expected: str) -> None:
    """Events print as the venue's recorded frames of the same values do."""
    assert expected == data.decode()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (
            window_ticker_data("BNBBTC", "1h", DayStatistics(BAR, 0, 0), 1675216573749_000),
            (
                '{"e":"1hTicker","E":1675216573749,"s":"BNBBTC","p":"0.00010000","P":"0.028","o":"0.35270000"'
                ',"h":"0.35280000","l":"0.35220000","c":"0.35280000","w":"0.35228372","v":"25877.00000000"'
                ',"q":"9116.04600000","O":1633998480000,"C":1675216573749,"F":19862761,"L":19862790,"n":30}'
            ),
        ),
        (
            average_price_data("BTCUSDT", DayStatistics(BAR, 0, 0, 1693907032213_000), 1693907033000_000),
            '{"e":"avgPrice","E":1693907033000,"s":"BTCUSDT","i":"5m","w":"0.35228372","T":1693907032213}',
        ),
        (array_data([]), "[]"),
        (array_data([lambda divisor: b'{"E":%d}' % divisor, lambda _: b"{}"], MICROSECONDS), '[{"E":1},{}]'),
    ],
    ids=["windowTicker", "avgPrice", "no symbols", "symbols"],
)
def test_documented_frames(data: bytes, expected: str) -> None:
    """Events without recorded frames print as the venue's documentation does."""
    assert expected == data.decode()


def test_faults_change_answers() -> None:
    """A refused stream refuses its request in the venue's form, an ignored one is left out, each so many times."""
    faults = RequestFaults()
    client = BinanceClient(combined=True, faults=faults)
    faults.refuse_stream("a@b", Refused(-1_121, "Invalid symbol."), 1)
    faults.refuse_stream("a@b", Refused("51001"), 1)
    faults.ignore_stream("a@b", 1)
    request = b'{"method":"SUBSCRIBE","params":["c@d","a@b"],"id":1}'
    answers = [client.answer(request) for _ in range(4)]
    assert [-1_121, 2, None, None] == [json.loads(one.replies[0].payload).get("code") for one in answers]
    assert [(), (), ("c@d",), ("a@b",)] == [one.added for one in answers]
    assert [ReplyKind.REFUSAL, ReplyKind.REFUSAL, ReplyKind.ACK, ReplyKind.ACK] == [
        one.replies[0].kind for one in answers
    ]


def test_microseconds() -> None:
    """A connection can have its timestamps in microseconds."""
    assert b'"E":1723161255619123,' in trade_data("BTCUSDT", TRADE, MICROSECONDS)
    assert b'"T":1633998539999999,' in kline_data("NKNUSDT", "1m", BAR, 1633998523963_000, MICROSECONDS)


def test_combined_frames() -> None:
    """A combined stream wraps the data with its name."""
    assert b'{"stream":"btcusdt@trade","data":{"e":1}}' == combined_data("btcusdt@trade", b'{"e":1}')


def shape(value: Any) -> Any:
    """Return names, order and form of a decoded frame's fields, without their values."""
    if isinstance(value, dict):
        return [(key, shape(item)) for key, item in value.items()]
    if isinstance(value, list):
        return "levels"
    if isinstance(value, str) and re.fullmatch(r"-?\d+\.\d{8}", value):
        return "decimal"
    return type(value).__name__


@pytest.mark.parametrize(
    ("recording", "channel"),
    [
        ("trade.btcusdt-20240808", "trade"),
        ("bookTicker.btcusdt-20240808", "bookTicker"),
        ("depth.btcusdt-20240808", "depth@100ms"),
        ("aggTrade.us-20211012", "aggTrade"),
        ("kline_1m.us-20211012", "kline_1m"),
    ],
)
def test_frames_have_the_form_of_the_recorded_ones(recording: str, channel: str) -> None:
    """Fields, their order, their types and the compact form are those of the venue's real frames."""
    folder = corpora_path("public", "ws", "binance_spot")
    lines = (folder / f"{recording}.jsonl").read_text().splitlines()
    assert all(json.dumps(json.loads(line), separators=(",", ":")) == line for line in lines)  # they are compact, too
    market = Market("BTC-USDT")
    recorder = market.record_depth()
    steps = [market.step(1_700_000_000_000_000 + number) for number in range(40)]
    bar, change = market.bar("1m"), recorder.take()
    assert bar is not None
    assert change is not None
    data = {
        "trade": trade_data("BTCUSDT", TRADE),
        "aggTrade": aggregate_trade_data("BTCUSDT", next(step.aggregates[0] for step in steps if step.aggregates)),
        "bookTicker": book_ticker_data("BTCUSDT", market.best),
        "depth@100ms": depth_data("BTCUSDT", change, market.time_us),
        "kline_1m": kline_data("BTCUSDT", "1m", bar, market.time_us),
    }[channel]
    frame = combined_data(f"btcusdt@{channel}", data).decode()
    assert {str(shape(json.loads(line))) for line in lines} == {str(shape(json.loads(frame)))}
    assert json.dumps(json.loads(frame), separators=(",", ":")) == frame
