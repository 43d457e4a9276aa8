"""Binance USD-M futures: account events, and the listen key they take."""

from __future__ import annotations

import json
import logging
import pickle
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from bt_api_base.containers import (
    Balance,
    Fill,
    Income,
    IncomeType,
    LiquidityType,
    MarginType,
    Order,
    OrderStatus,
    OrderType,
    Position,
    PositionSide,
    Side,
    TimeInForce,
    TriggerPriceType,
)
from bt_api_base.exceptions import (
    AuthenticationError,
    BannedError,
    BtApiError,
    ConfigurationError,
    DataParseError,
    NetworkError,
    RateLimitError,
    RequestFailedError,
    RequestTimeoutError,
)
from bt_api_base.security import Credentials
from bt_api_base.venues.binance import BinanceUsdmAdapter, UsdmListenKeyLease
from bt_api_base.websocket.adapter import Ack, LeaseExpired, LoginRefused, Notice, Refusal, Unrecognized
from tests.binance_frames import handmade

if TYPE_CHECKING:
    from collections.abc import Callable

MS = 1_000_000
API_KEY = "planted-api-key-1234567890"
CREDENTIALS = Credentials(API_KEY, "planted-secret-0987654321")
LISTEN_KEY = "pqia91ma19a5s61cv6a81va65sdf19v8a65a1a5s61cv6a81va65sdf19v8a65a1"
URL = "wss://fstream.binance.com"


def private(**options: Any) -> BinanceUsdmAdapter:
    """Return an adapter of a connection to the endpoint of account events."""
    adapter = BinanceUsdmAdapter(**options)
    adapter.endpoint_name = "private"
    adapter.credentials = CREDENTIALS
    return adapter


def events(channel: str) -> list[Any]:
    """Return what the hand-made frames of a channel become."""
    adapter = private()
    decoded = [adapter.decode_frame(frame, 5) for frame in handmade(channel, "binance_usdm")]
    assert {"user"} == {key for key, _ in decoded}
    return [items for _, items in decoded]


# -- channels and requests -------------------------------------------------------------------------


def test_topics_are_views_of_one_channel() -> None:
    """A futures account has positions as well."""
    adapter = BinanceUsdmAdapter()
    channel = adapter.channel("position", "")
    assert ("user", "private", (Position,)) == (channel.key, channel.endpoint, channel.event_types)
    assert (Balance, Position, Income) == adapter.channel("account", "").event_types


def test_listen_key_is_subscribed_to_like_a_stream() -> None:
    """The key is not in the URL then, and nowhere but in this frame."""
    adapter = private()
    assert f"{URL}/private/stream" == adapter.endpoint(URL, LISTEN_KEY)
    channel = adapter.channel("order", "")
    assert LISTEN_KEY not in repr(adapter) + repr(channel)
    assert {"method": "SUBSCRIBE", "params": [LISTEN_KEY], "id": 1} == json.loads(adapter.subscribe_frame(1, [channel]))
    request = {"method": "UNSUBSCRIBE", "params": [LISTEN_KEY], "id": 2}
    assert request == json.loads(adapter.unsubscribe_frame(2, [channel]))
    assert {"method": "LIST_SUBSCRIPTIONS", "id": 3} == json.loads(adapter.probe_frame(3, channel))


def test_listen_key_in_the_url_starts_events_at_once() -> None:
    """Then there is nothing to subscribe to, and a harmless request finds out whether the connection works."""
    adapter = private(listen_key_in_url=True, private_events=("ORDER_TRADE_UPDATE", "ACCOUNT_UPDATE"))
    expected = f"{URL}/private/ws?listenKey={LISTEN_KEY}&events=ORDER_TRADE_UPDATE/ACCOUNT_UPDATE"
    assert expected == adapter.endpoint(f"{URL}/ws", LISTEN_KEY)
    channel = adapter.channel("user", "")
    for frame in (adapter.subscribe_frame(1, [channel]), adapter.unsubscribe_frame(1, [channel])):
        assert {"method": "LIST_SUBSCRIPTIONS", "id": 1} == json.loads(frame)


# -- events ----------------------------------------------------------------------------------------


def test_new_order() -> None:
    """An order as the venue accepted it; its id is longer than a float is exact."""
    (order,) = events("orderUpdate")[0]
    assert (
        Order(
            "BINANCE___SWAP",
            "BTC-USDT-SWAP",
            1_700_000_000_103 * MS,
            5,
            "8389765491234567890",
            Side.SELL,
            OrderType.LIMIT,
            OrderStatus.ACCEPTED,
            Decimal("0.001"),
            Decimal("37000.1"),
            executed_qty=Decimal(0),
            client_order_id="mine-1",
            order_time=1_700_000_000_100 * MS,
            order_time_in_force=TimeInForce.GTC,
            origin_order_type=OrderType.LIMIT,
            position_side=PositionSide.NET,
            reduce_only=False,
            close_position=False,
        )
        == order
    )


def test_trade_is_a_fill_and_the_order_after_it() -> None:
    """The fill has the profit it realized."""
    fill, order = events("orderUpdate")[1]
    assert (
        Fill(
            "BINANCE___SWAP",
            "BTC-USDT-SWAP",
            1_700_000_000_103 * MS,
            5,
            "1234",
            "8389765491234567890",
            Side.SELL,
            Decimal("37000.1"),
            Decimal("0.001"),
            1_700_000_000_100 * MS,
            client_order_id="mine-1",
            trade_fee=Decimal("0.0148"),
            trade_fee_symbol="USDT",
            trade_type=LiquidityType.MAKER,
            trade_accumulate_volume=Decimal("0.001"),
            position_side=PositionSide.NET,
            realized_pnl=Decimal("-1.5"),
        )
        == fill
    )
    assert (OrderStatus.COMPLETED, Decimal("37000.1"), "1234") == (
        order.order_status,
        order.order_avg_price,
        order.trade_id,
    )


def test_conditional_orders() -> None:
    """What sets an order off is told of the kind it was placed as."""
    (trailing,), (stop,) = events("orderUpdate")[2:4]
    assert (OrderType.TRAILING_STOP, Decimal("37100.0")) == (trailing.order_type, trailing.trailing_stop_trigger_price)
    assert Decimal("0.015") == trailing.trailing_stop_callback_rate
    assert TriggerPriceType.MARK is trailing.trailing_stop_trigger_price_type
    assert (PositionSide.LONG, True, None) == (trailing.position_side, trailing.reduce_only, trailing.order_price)
    assert (OrderType.MARKET, OrderType.STOP, Decimal(36000)) == (
        stop.order_type,
        stop.origin_order_type,
        stop.stop_loss_trigger_price,
    )
    assert (PositionSide.SHORT, True, None) == (stop.position_side, stop.close_position, stop.order_size)


def test_liquidation_of_our_own_is_a_fill() -> None:
    """The venue's own order closes a position without what it calls a trade."""
    fill, order = events("orderUpdate")[4]
    assert ("0", Decimal(36000)) == (fill.trade_id, fill.trade_price)
    assert (OrderType.LIQUIDATION, "autoclose-1") == (order.order_type, order.client_order_id)


def test_post_only_order_that_expires() -> None:
    """Post only is a time in force here."""
    (order,) = events("orderUpdate")[5]
    assert (TimeInForce.GTX, OrderStatus.EXPIRED, None) == (
        order.order_time_in_force,
        order.order_status,
        order.order_time,
    )


def test_balances_and_positions() -> None:
    """What changed, and money that came or went other than by trading."""
    traded, funding, deposit, other = events("accountUpdate")
    at = 1_700_000_000_200 * MS
    assert (
        Balance("BINANCE___SWAP", "USDT", at, 5, Decimal("122624.12345678")),
        Position(
            "BINANCE___SWAP",
            "BTC-USDT-SWAP",
            at,
            5,
            PositionSide.NET,
            Decimal("-0.001"),
            Decimal("37000.1"),
            position_unrealized_pnl=Decimal("-0.5"),
            position_realized_pnl=Decimal(200),
            margin_type=MarginType.ISOLATED,
        ),
    ) == traded
    head = ("BINANCE___SWAP", "", 1_700_000_000_300 * MS, 5)
    assert Income(*head, IncomeType.FUNDING_FEE, Decimal("-1.12345678"), "USDT") == funding[1]
    assert Income(*head, IncomeType.DEPOSIT, Decimal(77), "USDT") == deposit[1]
    balance, income, position = other
    assert (Decimal(200), IncomeType.UNKNOWN, "ETH-USDT-SWAP") == (balance.margin, income.income_type, income.symbol)
    assert (PositionSide.LONG, Decimal(0), None) == (
        position.position_side,
        position.position_volume,
        position.avg_price,
    )


def test_notices_and_answers() -> None:
    """An expired key is one however it is told; nothing keeps the key."""
    adapter = private()
    meanings = [adapter.decode(frame)[0] for frame in handmade("private_control", "binance_usdm")]
    assert [LeaseExpired(), LeaseExpired()] == meanings[:2]
    notices = [notice for notice in meanings[2:4] if isinstance(notice, Notice)]
    assert [("MARGIN_CALL", False), ("ACCOUNT_CONFIG_UPDATE", False)] == [(n.kind, n.closing) for n in notices]
    refusal = Refusal(3, code=2, message="Invalid request: invalid stream")
    assert [Unrecognized("TRADE_LITE"), Ack(1), Ack(2), refusal, LeaseExpired()] == meanings[4:]
    assert LISTEN_KEY not in repr(meanings)
    (refused,) = adapter.decode('{"code":-2015,"msg":"Invalid API-key","id":5}')
    assert LoginRefused(-2015, "Invalid API-key") == refused


@pytest.mark.parametrize(
    ("frame", "field"),
    [
        ('{"stream":"KEY","data":{"e":"ORDER_TRADE_UPDATE","E":1}}', "o"),
        ('{"stream":"KEY","data":{"e":"ORDER_TRADE_UPDATE","E":1,"o":{"s":7}}}', "o.s"),
        ('{"stream":"KEY","data":{"e":"ACCOUNT_UPDATE","E":1,"a":{"B":[{"a":"USDT","wb":"inf"}]}}}', "a.B[0].wb"),
        ('{"stream":"KEY","data":[]}', "data"),
        ('{"stream":"KEY"}', "data"),
        ('{"stream":"KEY","data":{"e":7}}', "e"),
    ],
)
def test_wrong_frame_is_refused_without_the_key(frame: str, field: str) -> None:
    """The name of the stream is a secret: it gets neither into the error's channel nor into its excerpt."""
    with pytest.raises(DataParseError) as caught:
        private().decode(frame.replace("KEY", LISTEN_KEY))
    error = caught.value
    assert ("BINANCE___SWAP", "", field) == (error.exchange_name, error.channel, error.field)
    assert LISTEN_KEY not in repr(error) + str(error) + repr(pickle.loads(pickle.dumps(error)))  # noqa: S301 - ours


def test_nameless_event_does_not_show_the_key() -> None:
    """It is counted under a name of ours."""
    frame = json.dumps({"stream": LISTEN_KEY, "data": {"x": 1}})
    assert (Unrecognized("account event without a name"),) == private().decode(frame)


# -- the listen key --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "rest"),
    [
        (URL, "https://fapi.binance.com"),
        ("wss://fstream.binancefuture.com/private/stream", "https://demo-fapi.binance.com"),
        ("wss://demo-fstream.binance.com/ws", "https://demo-fapi.binance.com"),
        ("ws://127.0.0.1:9001/stream", "http://127.0.0.1:9001"),
    ],
)
def test_lease_is_asked_for_at_the_host_that_belongs_to_the_streams(url: str, rest: str) -> None:
    """Only connections for account events have one."""
    adapter = private()
    lease = adapter.session_lease(url)
    assert isinstance(lease, UsdmListenKeyLease)
    assert f"{rest}/fapi/v1/listenKey" == lease.url
    assert BinanceUsdmAdapter().session_lease(url) is None


def test_lease_needs_credentials() -> None:
    """Without them the error says what is missing."""
    adapter = private(rest_url="https://gate.example/")
    lease = adapter.session_lease(URL)
    assert lease is not None
    assert "https://gate.example/fapi/v1/listenKey" == lease.url
    adapter.credentials = None
    with pytest.raises(ConfigurationError, match="credentials"):
        adapter.session_lease(URL)


def lease_at(answer: Callable[[httpx.Request], httpx.Response], **options: Any) -> UsdmListenKeyLease:
    """Return a lease whose venue is a function."""
    return UsdmListenKeyLease(
        "https://fapi.binance.com",
        CREDENTIALS,
        client=lambda: httpx.AsyncClient(transport=httpx.MockTransport(answer)),
        **options,
    )


@pytest.mark.anyio
async def test_life_of_a_listen_key(caplog: pytest.LogCaptureFixture) -> None:
    """Made, prolonged, and deleted if that was asked for; the key of the account shows in no log line."""
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        assert ("/fapi/v1/listenKey", b"", API_KEY) == (
            request.url.path,
            request.url.query,
            request.headers["X-MBX-APIKEY"],
        )
        seen.append(request.method)
        return httpx.Response(200, json={"listenKey": LISTEN_KEY} if request.method != "DELETE" else {})

    with caplog.at_level(logging.DEBUG):
        lease = lease_at(answer, delete_on_close=True)
        key = await lease.create()
        await lease.renew(key)
        await lease.close(key)
        await lease_at(answer).close(key)  # everybody's key is not to be deleted by one of them
    assert (LISTEN_KEY, ["POST", "PUT", "DELETE"]) == (key, seen)
    assert lease.renew_interval < lease.lifetime
    assert LISTEN_KEY not in caplog.text
    assert API_KEY not in caplog.text


REFUSALS: list[tuple[httpx.Response, type[BtApiError], int | None, bool]] = [
    (httpx.Response(401, json={"code": -2015, "msg": "Invalid API-key"}), AuthenticationError, -2015, False),
    (httpx.Response(400, json={"code": -2014, "msg": "API-key format invalid."}), AuthenticationError, -2014, False),
    (httpx.Response(400, json={"code": -1125, "msg": "no such key"}), RequestFailedError, -1125, False),
    (httpx.Response(429, json={"code": -1003, "msg": "Too many requests"}), RateLimitError, -1003, True),
    (httpx.Response(418, json={"code": -1003, "msg": "banned"}), BannedError, -1003, False),
    (httpx.Response(403, text="<html>"), BannedError, 403, False),
    (httpx.Response(503, text="Service Unavailable"), RequestFailedError, 503, True),
    (httpx.Response(200, text="[" * 100_000), RequestFailedError, None, False),
    (httpx.Response(200, json=[1]), RequestFailedError, None, False),
    (httpx.Response(200, json={"listenKey": ""}), RequestFailedError, None, False),
    (httpx.Response(200, json={"code": -1000, "msg": "unknown"}), RequestFailedError, -1000, False),
]


@pytest.mark.anyio
@pytest.mark.parametrize(("response", "error_type", "code", "retryable"), REFUSALS)
async def test_refused_listen_key(
    response: httpx.Response, error_type: type[BtApiError], code: int | None, retryable: bool
) -> None:
    """What the venue answers with says whether it is worth another attempt."""
    with pytest.raises(BtApiError) as caught:
        await lease_at(lambda _: response).create()
    error = caught.value
    assert (error_type, code, retryable) == (type(error), error.venue_code, error.retryable)
    assert "BINANCE___SWAP" == error.exchange_name


@pytest.mark.anyio
async def test_ban_says_how_long() -> None:
    """This venue's header is in seconds."""
    response = httpx.Response(418, headers={"Retry-After": "120"}, json={"code": -1003, "msg": "banned"})
    with pytest.raises(BannedError) as caught:
        await lease_at(lambda _: response).renew("key")
    assert 120.0 == caught.value.retry_after


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("failure", "error_type"),
    [(httpx.ConnectError("refused"), NetworkError), (httpx.ReadTimeout("slow"), RequestTimeoutError)],
)
async def test_unreachable_venue(failure: Exception, error_type: type[BtApiError]) -> None:
    """What fails on the way can be tried again; no exception drags the request along, which has the API key in it."""

    def fail(request: httpx.Request) -> httpx.Response:
        raise failure

    with pytest.raises(error_type) as caught:
        await lease_at(fail).create()
    assert caught.value.retryable
    assert (None, None) == (caught.value.__cause__, caught.value.__context__)
