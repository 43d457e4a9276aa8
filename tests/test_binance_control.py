"""Binance spot: answers, refusals, notices, and frames that are wrong."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest

from bt_api_base.exceptions import DataParseError
from bt_api_base.venues.binance import BinanceSpotAdapter
from bt_api_base.websocket.adapter import Ack, Control, Notice, Refusal, Unrecognized
from tests.binance_frames import handmade


@pytest.fixture
def adapter() -> BinanceSpotAdapter:
    """An adapter that has been asked for nothing."""
    return BinanceSpotAdapter()


CONTROL: list[tuple[str, Control]] = [
    ('{"result":null,"id":1}', Ack(1)),
    ('{"id":"a-b","result":null}', Ack("a-b")),
    ('{"result":null,"id":null}', Ack(None)),
    ('{"result":["btcusdt@trade"],"id":3}', Ack(3, result=["btcusdt@trade"])),
    ('{"result":true,"id":2}', Ack(2, result=True)),
    ('{"id":4,"status":200,"result":{"subscriptionId":0},"rateLimits":[]}', Ack(4, result={"subscriptionId": 0})),
    ('{"id":4,"status":200,"result":{},"error":null}', Ack(4, result={})),
    ('{"id":4,"status":200}', Ack(4)),
    ('{"code":0,"msg":"Unknown property","id":1}', Refusal(1, code=0, message="Unknown property")),
    ('{"code":3,"msg":"Invalid JSON"}', Refusal(code=3, message="Invalid JSON")),
    ('{"error":{"code":2,"msg":"Invalid request"},"id":5}', Refusal(5, code=2, message="Invalid request")),
    (
        '{"id":"x","status":429,"error":{"code":-1015,"msg":"Too many new orders."},"rateLimits":[]}',
        Refusal("x", code=-1015, message="Too many new orders."),
    ),
    ('{"id":6,"status":503}', Refusal(6, code=503, message="status 503")),
    ('{"e":"balanceUpdate","E":1,"a":"BTC"}', Unrecognized("balanceUpdate")),
    ('{"subscriptionId":0,"event":{"e":"executionReport","E":1}}', Unrecognized("executionReport")),
    ('{"stream":"listenkey","data":{"e":"listStatus","E":1}}', Unrecognized("listStatus")),
    ('{"stream":"btcusdt@avgPrice","data":{"e":"avgPrice","E":1}}', Unrecognized("avgPrice")),
    ('{"stream":"btcusdt@newStream","data":{"x":1}}', Unrecognized("btcusdt@newStream")),
    ('{"stream":"btcusdt@trade","data":{"e":"newTrade","E":1}}', Unrecognized("newTrade")),
    ('{"event":{}}', Unrecognized("event without a name")),
    ('{"method":"SUBSCRIBE","params":[],"id":1}', Unrecognized("SUBSCRIBE")),
    ('{"foo":1,"bar":2}', Unrecognized("object with foo, bar")),
    ("{}", Unrecognized("empty object")),
    ("[]", Unrecognized("array")),
    ('[{"e":"fooTicker"}]', Unrecognized("array of fooTicker")),
    ('{"e":"%s"}' % ("x" * 500), Unrecognized("x" * 63 + "…")),
]


@pytest.mark.parametrize(("frame", "meaning"), CONTROL, ids=[frame[:60] for frame, _ in CONTROL])
def test_control_message(adapter: BinanceSpotAdapter, frame: str, meaning: Control) -> None:
    """What is not market data has no channel, and says what it is."""
    assert (None, (meaning,)) == adapter.decode_frame(frame, 0)
    assert (None, (meaning,)) == adapter.decode_frame(frame.encode(), 0)


@pytest.mark.parametrize(
    "frame",
    [
        '{"e":"serverShutdown","E":1700000000000}',
        '{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1700000000000}}',
        '{"stream":"!serverShutdown","data":{}}',
        '{"event":{"e":"serverShutdown","E":1700000000000}}',
    ],
)
def test_shutdown_notice(adapter: BinanceSpotAdapter, frame: str) -> None:
    """In all its forms the notice says that the connection will be closed."""
    key, (notice,) = adapter.decode_frame(frame, 0)
    assert key is None
    assert isinstance(notice, Notice)
    assert ("serverShutdown", True) == (notice.kind, notice.closing)


def test_handmade_control_frames_decode(adapter: BinanceSpotAdapter) -> None:
    """The frames beside the tests are of these kinds."""
    kinds = [type(adapter.decode(frame)[0]).__name__ for frame in handmade("control")]
    assert ["Ack"] * 2 + ["Refusal"] * 3 + ["Ack", "Refusal"] + ["Notice"] * 3 + ["Unrecognized"] * 3 == kinds


# -- frames that are wrong ---------------------------------------------------------------------------

TICKER = handmade("bookTicker")[0].decode()
TRADE = handmade("trade")[0].decode()
DEPTH = handmade("depth")[0].decode()
KLINE = handmade("kline")[0].decode()
MINI = handmade("miniTicker")[1].decode()

WRONG: list[tuple[str, str, str]] = [
    # frame, channel, field
    (TICKER.replace('"37000.01000000"', '"nan"'), "btcusdt@bookTicker", "b"),
    (TICKER.replace('"37000.01000000"', '"inf"'), "btcusdt@bookTicker", "b"),
    (TICKER.replace('"37000.01000000"', '"-Infinity"'), "btcusdt@bookTicker", "b"),
    (TICKER.replace('"37000.01000000"', '"1e999"'), "btcusdt@bookTicker", "b"),
    (TICKER.replace('"37000.01000000"', "1e999"), "btcusdt@bookTicker", "b"),
    (TICKER.replace('"37000.01000000"', '"1e200"'), "btcusdt@bookTicker", "b"),
    (TICKER.replace('"37000.01000000"', '"-1"'), "btcusdt@bookTicker", "b"),
    (TICKER.replace('"37000.01000000"', '""'), "btcusdt@bookTicker", "b"),
    (TICKER.replace('"37000.01000000"', '"1,5"'), "btcusdt@bookTicker", "b"),
    (TICKER.replace('"37000.01000000"', '"0x1"'), "btcusdt@bookTicker", "b"),
    (TICKER.replace('"37000.01000000"', '" 1"'), "btcusdt@bookTicker", "b"),
    (TICKER.replace('"37000.01000000"', "true"), "btcusdt@bookTicker", "b"),
    (TICKER.replace('"37000.01000000"', "null"), "btcusdt@bookTicker", "b"),
    (TICKER.replace('"37000.01000000"', "{}"), "btcusdt@bookTicker", "b"),
    (TICKER.replace('"b":', '"bb":'), "btcusdt@bookTicker", "b"),
    (TICKER.replace('"s":"BTCUSDT"', '"s":5'), "btcusdt@bookTicker", "s"),
    (TICKER.replace("1001", "-1"), "btcusdt@bookTicker", "u"),
    (TICKER.replace("1001", "1.5"), "btcusdt@bookTicker", "u"),
    (TICKER.replace("1001", str(2**63)), "btcusdt@bookTicker", "u"),
    (TICKER.replace("1001", "9" * 5000), "btcusdt@bookTicker", ""),
    (TICKER.replace("1001", "01"), "btcusdt@bookTicker", ""),
    (TRADE.replace('"m":false', '"m":"maybe"'), "btcusdt@trade", "m"),
    (TRADE.replace('"e":"trade"', '"e":"aggTrade"'), "btcusdt@trade", "e"),
    (TRADE.replace('"e":"trade",', ""), "btcusdt@trade", "e"),
    (TRADE.replace('"E":1700000000003', '"E":99999999999999999'), "btcusdt@trade", "E"),
    (TRADE.replace('"E":1700000000003', '"E":-5'), "btcusdt@trade", "E"),
    (DEPTH.replace('["37000.01","0.00000000"]', '["37000.01","nan"]'), "btcusdt@depth@100ms", "b[0][1]"),
    (DEPTH.replace('["37000.01","0.00000000"]', '["37000.01"]'), "btcusdt@depth@100ms", "b[0]"),
    (DEPTH.replace('["37000.01","0.00000000"]', '["37000.01","1","2"]'), "btcusdt@depth@100ms", "b[0]"),
    (DEPTH.replace('["37000.01","0.00000000"]', "null"), "btcusdt@depth@100ms", "b[0]"),
    (KLINE.replace('"o":"37000.00",', ""), "btcusdt@kline_1m", "k.o"),
    (KLINE.replace('"n":5', '"n":-5'), "btcusdt@kline_1m", "k.n"),
    (MINI.replace('"c":"0.054"', '"c":"x"'), "!miniTicker@arr", "data[1].c"),
    (MINI.replace('"data":[', '"data":[7,'), "!miniTicker@arr", "data[0]"),
    ('{"stream":"btcusdt@trade","data":null}', "btcusdt@trade", "data"),
    ('{"stream":"btcusdt@trade"}', "btcusdt@trade", "data"),
    ('{"stream":7,"data":{}}', "", "stream"),
    ('{"stream":null,"data":{}}', "", "stream"),
    ('{"e":"trade","E":1}', "", "s"),
    ('{"u":1,"s":"BTCUSDT"}', "", "b"),
    ('{"e":7}', "", "e"),
    ('{"event":{"e":[]}}', "", "e"),
    ('{"code":[],"msg":"x"}', "", "code"),
    ('{"code":true,"msg":"x"}', "", "code"),
    ('{"code":1,"msg":null}', "", "msg"),
    ('{"error":"oops","id":1}', "", "error"),
    ('{"result":null,"id":[1]}', "", "id"),
    ('{"result":null,"id":true}', "", "id"),
    ("", "", ""),
    (" ", "", ""),
    ("null", "", ""),
    ("7", "", ""),
    ('"text"', "", ""),
    ("NaN", "", ""),
    ("{", "", ""),
    (TICKER[:-1], "btcusdt@bookTicker", ""),
    (TICKER + "}", "btcusdt@bookTicker", ""),
    ('{"e":"\ud800"}', "", ""),
    ("\ud800", "", ""),
    ('{"e":"\\ud800"}', "", ""),
    ('{"stream":"btcusdt@trade","data":' + "[" * 200_000, "btcusdt@trade", ""),
    ("[" * 200_000, "", ""),
    ('{"a":' * 200_000, "", ""),
    ("9" * 10_000, "", ""),
]


@pytest.mark.parametrize(("frame", "channel", "field"), WRONG, ids=[f"{n}-{w[2]}" for n, w in enumerate(WRONG)])
def test_wrong_frame_is_refused_by_name(adapter: BinanceSpotAdapter, frame: str, channel: str, field: str) -> None:
    """A malformed frame raises one error, which names venue, channel and field as far as they can be told."""
    with pytest.raises(DataParseError) as caught:
        adapter.decode_frame(frame, 0)
    error = caught.value
    assert ("BINANCE___SPOT", channel, field) == (error.exchange_name, error.channel, error.field)
    assert len(str(error)) < 1_000


@pytest.mark.parametrize(
    "frame",
    [
        b"\xff\xfe\x00",
        b"\x00",
        b"\xef\xbb\xbf{}",
        b'{"e":"\xff"}',
        b'{"stream":"\xff@trade","data":{}}',
        TICKER.encode().replace(b'"BTCUSDT"', b'"BTC\xc3("'),
        TICKER.encode("utf-16"),
    ],
)
def test_bytes_that_are_not_utf8_are_refused(adapter: BinanceSpotAdapter, frame: bytes) -> None:
    """Bytes reach the decoder unchecked."""
    with pytest.raises(DataParseError):
        adapter.decode_frame(frame, 0)


def test_error_names_the_container_and_shows_the_beginning(adapter: BinanceSpotAdapter) -> None:
    """The error says what the frame should have become, and has its first characters."""
    with pytest.raises(DataParseError) as caught:
        adapter.decode(TRADE.replace('"37000.02000000"', '"nan"') + " " * 10_000)
    assert "Trade" == caught.value.container_class
    assert caught.value.payload is not None
    assert caught.value.payload.startswith('{"stream":"btcusdt@trade"')
    assert len(caught.value.payload) < 500


def test_error_pickles(adapter: BinanceSpotAdapter) -> None:
    """Errors go between processes."""
    with pytest.raises(DataParseError) as caught:
        adapter.decode(TRADE[:-5])
    copy = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - our own bytes
    assert str(caught.value) == str(copy)


def test_wrong_frame_changes_nothing(adapter: BinanceSpotAdapter) -> None:
    """The frame after a bad one decodes as if there had been none."""
    expected = adapter.decode_frame(TICKER, 7)
    for frame, *_ in WRONG:
        with pytest.raises(DataParseError):
            adapter.decode_frame(frame, 7)
        assert expected == adapter.decode_frame(TICKER, 7)


def test_numbers_may_be_written_as_numbers(adapter: BinanceSpotAdapter) -> None:
    """Prices come as text; the same without quotes is read as the same."""
    message: dict[str, Any] = json.loads(TICKER)
    message["data"]["b"] = 37000.01
    assert adapter.decode(TICKER) == adapter.decode(json.dumps(message))
