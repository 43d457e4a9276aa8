"""OKX: answers, refusals, log-ins, notices."""

from __future__ import annotations

import json

import pytest

from bt_api_base.exceptions import DataParseError
from bt_api_base.security import Credentials
from bt_api_base.venues.okx import OkxSpotAdapter
from bt_api_base.websocket.adapter import Ack, Control, Heartbeat, LoggedIn, LoginRefused, Notice, Refusal, Unrecognized
from tests.okx_frames import handmade


@pytest.fixture
def adapter() -> OkxSpotAdapter:
    """An adapter that has been asked for two channels."""
    adapter = OkxSpotAdapter()
    adapter.subscribe_frame(1, [adapter.channel("depth_diff", "BTC-USDT"), adapter.channel("order", "")])
    return adapter


CONTROL: list[tuple[str, Control]] = [
    ("pong", Heartbeat()),
    ('{"id":"1","event":"subscribe","arg":{"channel":"books","instId":"BTC-USDT"}}', Ack("1", "books:BTC-USDT")),
    ('{"event":"subscribe","arg":{"channel":"books","instId":"BTC-USDT"}}', Ack(None, "books:BTC-USDT")),
    ('{"id":"2","event":"unsubscribe","arg":{"channel":"account","uid":"42"}}', Ack("2", "account")),
    ('{"event":"subscribe","arg":{"channel":"status"}}', Unrecognized("subscribe to an unknown channel")),
    ('{"event":"login","code":"0","msg":"","connId":"a4d3ae55"}', LoggedIn()),
    ('{"event":"login","code":"60009","msg":"Login failed."}', LoginRefused("60009", "Login failed.")),
    ('{"event":"error","code":"60005","msg":"Invalid apiKey"}', LoginRefused("60005", "Invalid apiKey")),
    ('{"event":"error","code":"60007","msg":"Invalid sign"}', LoginRefused("60007", "Invalid sign")),
    ('{"event":"error","code":60024,"msg":"Wrong passphrase"}', LoginRefused("60024", "Wrong passphrase")),
    ('{"event":"error","code":"60006","msg":"expired"}', LoginRefused("60006", "expired", retryable=True)),
    ('{"event":"error","code":"63999","msg":"Login failed"}', LoginRefused("63999", "Login failed", retryable=True)),
    (
        '{"id":"3","event":"error","code":"60012","msg":"Invalid request"}',
        Refusal("3", None, "60012", "Invalid request"),
    ),
    ('{"id":"3","event":"error","code":"60014","msg":"Too many"}', Refusal("3", None, "60014", "Too many")),
    (
        '{"id":"3","event":"error","code":"60018","msg":"channel:books,instId:BTC-USDT doesn\'t exist."}',
        Refusal("3", "books:BTC-USDT", "60018", "channel:books,instId:BTC-USDT doesn't exist."),
    ),
    (
        '{"id":"3","event":"error","code":"60018","msg":"channel:books,instId:FOO-BAR doesn\'t exist."}',
        Refusal("3", None, "60018", "channel:books,instId:FOO-BAR doesn't exist."),
    ),
    (
        '{"id":"3","event":"error","arg":{"channel":"orders","instType":"SPOT"},"code":"60011","msg":"Please log in"}',
        Refusal("3", "orders:SPOT", "60011", "Please log in"),
    ),
    ('{"event":"notice","code":"64008","msg":"Soon"}', Notice("64008", "Soon", closing=True)),
    ('{"event":"notice","code":"64009","msg":"Hello"}', Notice("64009", "Hello")),
    (
        '{"event":"channel-conn-count","channel":"orders","connCount":"2"}',
        Notice("channel-conn-count", "orders: 2 connections of 30"),
    ),
    (
        '{"event":"channel-conn-count-error","channel":"orders","connCount":"30"}',
        Refusal(None, "orders:SPOT", "channel-conn-count-error", "orders: 30 connections of 30"),
    ),
    (
        '{"event":"channel-conn-count-error","channel":"account","connCount":"30"}',
        Refusal(None, None, "channel-conn-count-error", "account: 30 connections of 30"),
    ),
    ('{"id":"4","op":"order","data":[{"sCode":"0"}],"code":"0","msg":""}', Ack("4", result=[{"sCode": "0"}])),
    (
        '{"id":"4","op":"order","data":[{"sCode":"51008","sMsg":"Insufficient"}],"code":"1","msg":""}',
        Refusal("4", None, "51008", "Insufficient"),
    ),
    (
        '{"id":"4","op":"order","data":[],"code":"60013","msg":"Invalid args"}',
        Refusal("4", None, "60013", "Invalid args"),
    ),
    ('{"op":"subscribe","args":[]}', Unrecognized("object with op, args")),
    ('{"event":"fireworks"}', Unrecognized("fireworks")),
    ('{"arg":{"channel":"sprd-tickers","sprdId":"x"},"data":[]}', Unrecognized("sprd-tickers")),
    ('{"arg":{"instId":"BTC-USDT"},"data":[]}', Unrecognized("arg without a channel")),
    ('{"foo":1,"bar":2}', Unrecognized("object with foo, bar")),
    ("{}", Unrecognized("empty object")),
    ('{"event":"%s"}' % ("x" * 500), Unrecognized("x" * 63 + "…")),
]


@pytest.mark.parametrize(("frame", "meaning"), CONTROL, ids=[frame[:60] for frame, _ in CONTROL])
def test_control_message(adapter: OkxSpotAdapter, frame: str, meaning: Control) -> None:
    """What is no data has no channel, and says what it is."""
    assert (None, (meaning,)) == adapter.decode_frame(frame, 0)
    assert (None, (meaning,)) == adapter.decode_frame(frame.encode(), 0)


def test_an_error_during_a_login_is_about_it() -> None:
    """A code that says nothing of log-ins refuses one while it has no answer, and nothing afterwards."""
    adapter = OkxSpotAdapter()
    adapter.endpoint_name, adapter.credentials = "private", Credentials("key", "secret", "words")
    adapter.login_frame(1)
    frame = '{"event":"error","code":"60014","msg":"Requests too frequent"}'
    assert (LoginRefused("60014", "Requests too frequent", retryable=True),) == adapter.decode(frame)
    assert (Refusal(None, None, "60014", "Requests too frequent"),) == adapter.decode(frame)


def test_a_channel_that_was_left_is_not_named(adapter: OkxSpotAdapter) -> None:
    """A refusal is of a channel only as long as somebody wants it."""
    frame = '{"event":"channel-conn-count-error","channel":"orders","connCount":"30"}'
    adapter.unsubscribe_frame(2, [adapter.channel("order", "")])
    assert Refusal(None, None, "channel-conn-count-error", "orders: 30 connections of 30") == adapter.decode(frame)[0]


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "pongpong",
        "[]",
        "null",
        '{"arg":7,"data":[]}',
        '{"event":7.5}',
        '{"event":"error","code":[],"msg":""}',
        '{"event":"subscribe","arg":"books"}',
        '{"event":"notice","code":"1","msg":null}',
        '{"arg":{"channel":"books","instId":"BTC-USDT"}}',
        '{"arg":{"channel":"books","instId":"BTC-USDT"},"data":{}}',
        '{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"dance","data":[]}',
    ],
)
def test_nonsense_is_an_error(adapter: OkxSpotAdapter, frame: str) -> None:
    """Frames that are not what they pretend to be are refused with the only error there is."""
    with pytest.raises(DataParseError) as caught:
        adapter.decode_frame(frame, 0)
    assert "OKX___SPOT" == caught.value.exchange_name


def test_handmade_control_frames_are_control() -> None:
    """Every one of them is understood."""
    adapter = OkxSpotAdapter()
    kinds = [type(adapter.decode(frame)[0]) for frame in handmade("control")]
    assert [Heartbeat, Ack, Ack, LoggedIn, LoginRefused, Refusal, Notice, Notice, Refusal, Ack] == kinds


def test_no_secret_is_in_an_error(adapter: OkxSpotAdapter) -> None:
    """A venue that sends a log-in back does not get it into a log."""
    adapter.endpoint_name, adapter.credentials = "private", Credentials("the-key", "the-secret", "the-words")
    frame = adapter.login_frame(1)
    assert frame is not None
    sign = json.loads(frame)["args"][0]["sign"]
    with pytest.raises(DataParseError) as caught:
        adapter.decode(frame + "}")
    assert not any(word in str(caught.value) + repr(caught.value) for word in ("the-key", "the-words", sign))
