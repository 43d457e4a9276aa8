"""Binance spot: account events over the WebSocket API."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from bt_api_base.containers import (
    Balance,
    Fill,
    Income,
    IncomeType,
    LiquidityType,
    Order,
    OrderStatus,
    OrderType,
    Side,
    TimeInForce,
)
from bt_api_base.exceptions import ConfigurationError, DataParseError, SubscribeError
from bt_api_base.security import Credentials
from bt_api_base.security.recipes import binance_websocket_signature
from bt_api_base.venues.binance import BinanceSpotAdapter
from bt_api_base.websocket.adapter import Ack, Continuity, LoginRefused, Notice, Unrecognized
from tests.binance_frames import handmade, recorded
from tests.corpora import corpora_path

MS = 1_000_000
NOW_MS = 1_700_000_000_500
API_KEY = "planted-api-key-1234567890"
SECRET = "planted-secret-0987654321"
ED25519 = (
    "-----BEGIN PRIVATE KEY-----\n"
    "MC4CAQAwBQYDK2VwBCIEIPQmzwVKJETqVd7L9E/DFbkvrOigy1tLL+9QF0mSn6dV\n"
    "-----END PRIVATE KEY-----\n"
)
"""The key of a published test vector."""


def private(secret: str = SECRET) -> BinanceSpotAdapter:
    """Return an adapter of a connection to the endpoint of account events."""
    adapter = BinanceSpotAdapter()
    adapter.endpoint_name = "private"
    adapter.credentials = Credentials(API_KEY, secret)
    adapter.now_ns = lambda: NOW_MS * MS + 999_999
    return adapter


def user(adapter: BinanceSpotAdapter) -> Any:
    """Return the channel of everything."""
    return adapter.channel("user", "")


# -- channels --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("topic", "types"),
    [
        ("order", (Order,)),
        ("orders", (Order,)),
        ("fill", (Fill,)),
        ("balance", (Balance,)),
        ("income", (Income,)),
        ("account", (Balance, Income)),
        ("user", ()),
        ("user_data", ()),
    ],
)
def test_topics_are_views_of_one_channel(topic: str, types: tuple[type, ...]) -> None:
    """Every private topic has the same key at the same endpoint; they differ in the types of events wanted."""
    channel = BinanceSpotAdapter().channel(topic, "")
    assert ("user", "private", True, "") == (channel.key, channel.endpoint, channel.private, channel.event_name)
    assert types == channel.event_types
    assert (Continuity.NONE, None, True) == (channel.continuity, channel.quiet_after, channel.recoverable)


def test_private_topics_take_neither_symbol_nor_parameters() -> None:
    """They are of the whole account, and say so; there are no positions on a spot market."""
    adapter = BinanceSpotAdapter()
    with pytest.raises(SubscribeError, match="empty symbol"):
        adapter.channel("order", "BTC-USDT")
    with pytest.raises(SubscribeError, match="no parameters"):
        adapter.channel("order", "", {"speed": 1})
    assert "user" == adapter.channel("order", "", {"speed": None}).key
    with pytest.raises(SubscribeError, match="balance"):
        adapter.channel("position", "")


@pytest.mark.parametrize(
    ("url", "private_url"),
    [
        ("wss://stream.binance.com:9443/stream", "wss://ws-api.binance.com:443/ws-api/v3"),
        ("wss://data-stream.binance.vision/ws", "wss://ws-api.binance.com:443/ws-api/v3"),
        ("wss://stream.testnet.binance.vision/stream", "wss://ws-api.testnet.binance.vision/ws-api/v3"),
        ("wss://demo-stream.binance.com:9443/ws", "wss://demo-ws-api.binance.com/ws-api/v3"),
        ("ws://127.0.0.1:9001/stream?streams=a/b", "ws://127.0.0.1:9001/ws-api/v3"),
        ("wss://ws-api.binance.com/ws-api/v3?timeUnit=MICROSECOND",) * 2,
        (
            "wss://stream.binance.com/stream?streams=a&timeUnit=MICROSECOND",
            "wss://ws-api.binance.com:443/ws-api/v3?timeUnit=MICROSECOND",
        ),
    ],
)
def test_endpoint_of_account_events_follows_from_the_configured_host(url: str, private_url: str) -> None:
    """Production, testnet and demo each have their WebSocket API; another host stands in for both."""
    assert private_url == private().endpoint(url)


def test_endpoint_of_account_events_can_be_given() -> None:
    """What is given wins, and only for account events."""
    adapter = BinanceSpotAdapter(private_url="wss://gate.example/ws-api/v3")
    assert "wss://stream.binance.com/stream" == adapter.endpoint("wss://stream.binance.com/ws")
    adapter.endpoint_name = "private"
    assert "wss://gate.example/ws-api/v3" == adapter.endpoint("wss://stream.binance.com/ws")


def test_one_connection_carries_one_account() -> None:
    """The venue allows one subscription for an account and connection."""
    assert (1, 1024) == (
        private().limits.max_channels_per_connection,
        BinanceSpotAdapter().limits.max_channels_per_connection,
    )


# -- requests --------------------------------------------------------------------------------------


def test_subscription_is_signed() -> None:
    """With a shared secret there is no log-in: the subscription itself says who asks."""
    adapter = private()
    assert adapter.login_frame(1) is None
    request = json.loads(adapter.subscribe_frame(2, [user(adapter)]))
    params = request["params"]
    assert ("userDataStream.subscribe.signature", 2) == (request["method"], request["id"])
    assert {"apiKey": API_KEY, "timestamp": NOW_MS, "signature": params["signature"]} == params
    assert binance_websocket_signature(SECRET, {"apiKey": API_KEY, "timestamp": NOW_MS}) == params["signature"]


def test_ed25519_key_logs_in() -> None:
    """The venue has a log-in for these keys; the subscription is then not signed again."""
    adapter = private(ED25519)
    frame = adapter.login_frame(1)
    assert frame is not None
    request = json.loads(frame)
    assert "session.logon" == request["method"]
    expected = binance_websocket_signature(ED25519, {"apiKey": API_KEY, "timestamp": NOW_MS})
    assert expected == request["params"]["signature"]
    assert {"method": "userDataStream.subscribe", "id": 2} == json.loads(adapter.subscribe_frame(2, [user(adapter)]))


def test_rsa_key_signs_the_subscription() -> None:
    """An encrypted PEM is opened with the passphrase."""
    vectors = json.loads(corpora_path("public", "signing", "binance.json").read_text())["vectors"]
    vector = next(vector for vector in vectors if vector["id"] == "rsa-encrypted-pem")
    adapter = private()
    adapter.credentials = Credentials(API_KEY, vector["private_key_pem"], vector["password"])
    assert adapter.login_frame(1) is None
    request = json.loads(adapter.subscribe_frame(2, [user(adapter)]))
    assert ("userDataStream.subscribe.signature", 344) == (request["method"], len(request["params"]["signature"]))


def test_account_events_need_credentials() -> None:
    """Without them the error says what is missing."""
    adapter = private()
    adapter.credentials = None
    with pytest.raises(ConfigurationError, match="credentials"):
        adapter.subscribe_frame(1, [user(adapter)])


def test_unsubscribing_names_the_subscription() -> None:
    """The venue gives each subscription a number; before it is known, all of the connection's are ended."""
    adapter = private()
    channel = user(adapter)
    assert {"method": "userDataStream.unsubscribe", "id": 3} == json.loads(adapter.unsubscribe_frame(3, [channel]))
    adapter.decode('{"id":2,"status":200,"result":{"subscriptionId":7}}')
    request = json.loads(adapter.unsubscribe_frame(4, [channel]))
    assert {"method": "userDataStream.unsubscribe", "params": {"subscriptionId": 7}, "id": 4} == request


def test_probe_changes_nothing() -> None:
    """A second subscription would be refused; asking for the list is harmless, on either endpoint."""
    adapter = private()
    assert {"method": "session.subscriptions", "id": 5} == json.loads(adapter.probe_frame(5, user(adapter)))
    public = BinanceSpotAdapter()
    request = json.loads(public.probe_frame(6, public.channel("trade", "BTC-USDT")))
    assert {"method": "LIST_SUBSCRIPTIONS", "id": 6} == request


# -- events ----------------------------------------------------------------------------------------


def reports() -> list[Any]:
    """Return what the hand-made execution reports become."""
    adapter = private()
    decoded = [adapter.decode_frame(frame, 5) for frame in handmade("executionReport", "binance_spot_private")]
    assert {"user"} == {key for key, _ in decoded}
    return [events for _, events in decoded]


def test_new_order() -> None:
    """An order as the venue accepted it, digit by digit."""
    (order,) = reports()[0]
    assert (
        Order(
            "BINANCE___SPOT",
            "BTC-USDT",
            1_700_000_000_123 * MS,
            5,
            "4293153",
            Side.BUY,
            OrderType.LIMIT,
            OrderStatus.ACCEPTED,
            Decimal("1.00000000"),
            Decimal("37000.01000000"),
            executed_qty=Decimal(0),
            cum_quote=Decimal(0),
            client_order_id="mine-1",
            order_time=1_700_000_000_122 * MS,
            order_time_in_force=TimeInForce.GTC,
        )
        == order
    )
    assert "37000.01000000" == str(order.order_price)


def test_trade_is_a_fill_and_the_order_after_it() -> None:
    """The fill comes first, so that whoever sees the order filled has seen by what."""
    fill, order = reports()[1]
    assert (
        Fill(
            "BINANCE___SPOT",
            "BTC-USDT",
            1_700_000_001_001 * MS,
            5,
            "77",
            "4293153",
            Side.BUY,
            Decimal("37000.01000000"),
            Decimal("0.40000000"),
            1_700_000_001_000 * MS,
            client_order_id="mine-1",
            trade_fee=Decimal("0.00040000"),
            trade_fee_symbol="BTC",
            trade_type=LiquidityType.MAKER,
            trade_accumulate_volume=Decimal("0.40000000"),
        )
        == fill
    )
    assert (OrderStatus.PARTIAL, "77", Decimal("0.4")) == (order.order_status, order.trade_id, order.executed_qty)
    assert Decimal("14800.00400000") == order.cum_quote
    fill, order = reports()[2]
    assert (LiquidityType.TAKER, OrderStatus.COMPLETED) == (fill.trade_type, order.order_status)


def test_canceled_order_keeps_its_own_client_id() -> None:
    """On a cancel the venue sends the cancel request's id as well, in the place where the order's was."""
    (order,) = reports()[3]
    assert ("mine-2", OrderStatus.CANCELED, None) == (order.client_order_id, order.order_status, order.trade_id)


def test_other_orders() -> None:
    """Orders by amount, conditional ones and ended ones: what the venue writes as zero is nothing."""
    rejected, stop, take_profit, expired = (events[0] for events in reports()[4:])
    assert (OrderStatus.REJECTED, OrderType.MARKET) == (rejected.order_status, rejected.order_type)
    assert (None, None) == (rejected.order_size, rejected.order_price)
    assert (OrderType.STOP_LIMIT, Decimal(36000)) == (stop.order_type, stop.stop_loss_trigger_price)
    assert (Decimal("0.0004"), None) == (stop.trailing_stop_callback_rate, stop.take_profit_trigger_price)
    assert (OrderType.TAKE_PROFIT, Decimal(39000)) == (take_profit.order_type, take_profit.take_profit_trigger_price)
    assert (OrderStatus.EXPIRED_IN_MATCH, TimeInForce.FOK) == (expired.order_status, expired.order_time_in_force)


def test_balances_and_changes() -> None:
    """A balance is free plus locked, exact however long; a change says how much, and not why."""
    adapter = private()
    frames = handmade("account", "binance_spot_private")
    btc, usdt = adapter.decode(frames[0], 5)
    total, free, locked = Decimal("0.30000000"), Decimal("0.10000000"), Decimal("0.20000000")
    assert Balance("BINANCE___SPOT", "BTC", 1_700_000_000_123 * MS, 5, total, free, locked) == btc
    assert isinstance(usdt, Balance)
    assert "123456789012345678901234567890.12345679" == str(usdt.margin)
    (income,) = adapter.decode(frames[1], 5)
    head = ("BINANCE___SPOT", "", 1_700_000_000_124 * MS, 5)
    assert Income(*head, IncomeType.UNKNOWN, Decimal("-100.00000000"), "BTC") == income


def test_microseconds() -> None:
    """With ``timeUnit=MICROSECOND`` on the URL, times are the same."""
    frame = handmade("executionReport", "binance_spot_private")[0].replace(b"1700000000122", b"1700000000122000")
    (order,) = private().decode(frame.replace(b"1700000000123", b"1700000000123000"), 5)
    assert reports()[0] == (order,)


def test_answers_and_notices() -> None:
    """Everything that is no event of the account means something for the connection."""
    adapter = private()
    adapter.subscribe_frame(8, [user(adapter)])
    meanings = [adapter.decode(frame)[0] for frame in handmade("control", "binance_spot_private")]
    text = "Signature for this request is not valid."
    assert [Ack(1), Ack(2), Ack(3), Ack(4), LoginRefused(-1022, text)] == meanings[:5]
    clock, key, active, busy = meanings[5:9]
    assert isinstance(clock, LoginRefused)
    assert (-1021, True) == (clock.code, clock.retryable)
    assert isinstance(key, LoginRefused)
    assert (-2015, False) == (key.code, key.retryable)
    assert Ack(7) == active, "what was asked for is there"
    assert LoginRefused(-1003, "Too much request weight used.", retryable=True) == busy
    assert [("eventStreamTerminated", True), ("serverShutdown", True)] == [
        (notice.kind, notice.closing) for notice in meanings[9:11] if isinstance(notice, Notice)
    ]
    assert [Unrecognized("listStatus"), Unrecognized("externalLockUpdate")] == meanings[11:]


def test_end_of_a_subscription_that_was_given_up_moves_nobody() -> None:
    """The venue confirms the end of a subscription in the same words as it announces one."""
    adapter = private()
    adapter.decode('{"id":2,"status":200,"result":{"subscriptionId":0}}')
    adapter.unsubscribe_frame(3, [user(adapter)])
    (notice,) = adapter.decode('{"subscriptionId":0,"event":{"e":"eventStreamTerminated","E":1}}')
    assert isinstance(notice, Notice)
    assert not notice.closing


def test_answer_to_the_log_in_does_not_keep_the_key() -> None:
    """The venue repeats the API key in it."""
    (ack,) = private().decode(handmade("control", "binance_spot_private")[3])
    assert Ack(4) == ack


def test_recorded_account_events() -> None:
    """The documentation's examples decode; those of other markets are told apart."""
    adapter = private()
    kinds = [
        type(item).__name__
        for frame in recorded("user_data.examples")
        if b'"method"' not in frame
        for item in adapter.decode(frame)
    ]
    assert {"Ack": 6, "Balance": 1, "Income": 1, "Order": 1, "Unrecognized": 3} == {
        kind: kinds.count(kind) for kind in sorted(set(kinds))
    }


def test_recorded_answers_of_the_websocket_api() -> None:
    """Each is an acknowledgement, whatever it was asked for."""
    adapter = private()
    frames = [frame for frame in recorded("ws_api.examples") if b'"method"' not in frame]
    assert frames
    assert {Ack("|1|")} == {adapter.decode(frame)[0] for frame in frames}


NEW = handmade("executionReport", "binance_spot_private")[0].decode()
WALLET = handmade("account", "binance_spot_private")[0].decode()


@pytest.mark.parametrize(
    ("frame", "field"),
    [
        (NEW.replace('"q":"1.00000000"', '"q":"nan"'), "q"),
        (NEW.replace('"q":"1.00000000"', '"q":"1e5"'), "q"),
        (NEW.replace('"q":"1.00000000"', '"q":1.0'), "q"),
        (NEW.replace('"q":"1.00000000"', '"q":""'), "q"),
        (NEW.replace('"q":"1.00000000"', f'"q":"{"9" * 61}"'), "q"),
        (NEW.replace('"q":"1.00000000",', ""), "q"),
        (NEW.replace('"S":"BUY"', '"S":"HOLD"'), "S"),
        (NEW.replace('"X":"NEW"', '"X":"LOST"'), "X"),
        (NEW.replace('"i":4293153', '"i":-1'), "i"),
        (WALLET.replace('"f":"0.10000000"', '"f":"sNaN"'), "B[0].f"),
        (WALLET.replace('"B":[', '"B":[7,'), "B[0]"),
    ],
)
def test_wrong_account_event_is_refused_by_name(frame: str, field: str) -> None:
    """Money that is no number, and words that decide what happens next, are never guessed at."""
    with pytest.raises(DataParseError) as caught:
        private().decode(frame)
    assert ("BINANCE___SPOT", "", field) == (caught.value.exchange_name, caught.value.channel, caught.value.field)


def test_market_connections_do_not_translate_account_events() -> None:
    """Which endpoint a connection goes to decides what its frames can be."""
    assert (Unrecognized("executionReport"),) == BinanceSpotAdapter().decode(NEW)
