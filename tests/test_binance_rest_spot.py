"""Binance spot over REST: what is asked, what it costs, and what its errors become."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from bt_api_base import exceptions
from bt_api_base.containers import AssetType, InstrumentStatus, OrderStatus, OrderType, PositionSide, TimeInForce
from bt_api_base.exceptions import (
    ConfigurationError,
    DataParseError,
    InvalidOrderError,
    InvalidSymbolError,
    OrderNotFoundError,
    OrderUnknownError,
)
from bt_api_base.feeds.order_request import OrderRequest
from bt_api_base.security import Credentials
from bt_api_base.security.recipes import binance_query_signature
from bt_api_base.venues.binance.rest_limits import SPOT_RULES
from bt_api_base.venues.binance.rest_spot import BinanceSpotApi
from tests.rest_answers import Answer, FakeTransport, handmade

if TYPE_CHECKING:
    from bt_api_base.rate_limiter import Permit

pytestmark = pytest.mark.anyio

MS = 1_000_000
SECRET = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"  # the sample of the documentation
CREDENTIALS = Credentials("an-api-key-1234", SECRET)


def answer(endpoint: str, index: int = 0) -> Answer:
    """Return a hand-made answer."""
    return handmade("binance_spot", endpoint)[index]


def api_with(*answers: Answer | str | tuple[int, str], **options: Any) -> tuple[BinanceSpotApi, FakeTransport]:
    """Return an API and what answers it."""
    transport = FakeTransport(*answers)
    return BinanceSpotApi(CREDENTIALS, transport=transport, **options), transport


def request(**options: Any) -> OrderRequest:
    """Return an order."""
    usual = {"symbol": "BTC-USDT", "side": "buy", "order_type": "limit", "quantity": "0.03", "price": "61837.64"}
    return OrderRequest(**{**usual, "client_order_id": "mine-1", **options})


async def test_signed_requests_carry_key_time_and_signature() -> None:
    """A signed request has the key in a header, and in the query everything that is signed, the signature last."""
    api, transport = api_with(answer("POST_api_v3_order"), recv_window_ms=1500)
    async with api:
        await api.place(request())
    (sent,) = transport.requests
    query = sent.url.query.decode()
    payload, _, signature = query.partition("&signature=")
    assert "an-api-key-1234" == sent.headers["X-MBX-APIKEY"]
    assert binance_query_signature(SECRET, payload) == signature
    assert "1500" == transport.params()["recvWindow"]
    assert abs(int(transport.params()["timestamp"]) - api.clock.now_ms()) < 60_000
    assert b"" == sent.content


async def test_public_requests_carry_no_key() -> None:
    """Who asks for public data shows no key, and needs none."""
    api, transport = api_with(answer("GET_api_v3_time"))
    async with api:
        assert 1790000000123 * MS == await api.server_time()
    assert "X-MBX-APIKEY" not in transport.requests[0].headers
    async with BinanceSpotApi(transport=FakeTransport(answer("GET_api_v3_account"))) as nobody:
        with pytest.raises(ConfigurationError, match="needs credentials"):
            await nobody.balances()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.03&price=61837.64"),
        ({"time_in_force": "ioc"}, "side=BUY&type=LIMIT&timeInForce=IOC&quantity=0.03&price=61837.64"),
        ({"time_in_force": "gtx"}, "side=BUY&type=LIMIT_MAKER&quantity=0.03&price=61837.64"),
        ({"order_type": "limit_maker"}, "side=BUY&type=LIMIT_MAKER&quantity=0.03&price=61837.64"),
        ({"order_type": "market", "price": None, "side": "sell"}, "side=SELL&type=MARKET&quantity=0.03"),
        ({"price": Decimal("1E-8")}, "side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.03&price=0.00000001"),
    ],
)
async def test_orders_are_asked_for_in_the_venues_words(options: dict[str, Any], expected: str) -> None:
    """Types, times in force and amounts are written as the venue wants them; amounts never with an exponent."""
    if "time_in_force" in options:
        options = {**options, "time_in_force": TimeInForce(options["time_in_force"])}
    api, transport = api_with(answer("POST_api_v3_order"))
    async with api:
        await api.place(request(**options))
    expected = f"POST /api/v3/order?symbol=BTCUSDT&{expected}&newClientOrderId=mine-1&newOrderRespType=FULL"
    assert [expected] == transport.asked


async def test_orders_by_amount_and_with_parameters_of_the_venue() -> None:
    """An amount to spend and the venue's own parameters go along; what is taken for a type of stop is written so."""
    api, transport = api_with(answer("POST_api_v3_order"))
    async with api:
        await api.place(request(order_type="market", quantity=None, price=None, quote_quantity="100.50"))
        await api.place(request(order_type="stop_limit", parameters={"stopPrice": "60000"}))
    assert ("100.50", "MARKET") == (transport.params(0)["quoteOrderQty"], transport.params(0)["type"])
    assert "quantity" not in transport.params(0)
    assert ("60000", "STOP_LOSS_LIMIT") == (transport.params(1)["stopPrice"], transport.params(1)["type"])


@pytest.mark.parametrize(
    "options",
    [
        {"client_order_id": "not:spot"},
        {"client_order_id": "x" * 37},
        {"client_order_id": ""},
        {"parameters": {"newClientOrderId": "other"}},
        {"parameters": {"side": "other"}},
        {"parameters": {"symbol": "other"}},
        {"order_type": "liquidation"},
        {"reduce_only": True},
        {"position_side": PositionSide.LONG},
    ],
    ids=str,
)
async def test_what_cannot_be_an_order_is_not_sent(options: dict[str, Any]) -> None:
    """What the venue could only refuse is refused here, before anything is sent."""
    api, transport = api_with(answer("POST_api_v3_order"))
    async with api:
        with pytest.raises(InvalidOrderError):
            await api.place(request(**options))
        with pytest.raises(InvalidOrderError):
            await api.query("BTC-USDT")
        with pytest.raises(InvalidSymbolError):
            await api.ticker("BTC-USDT-SWAP")
    assert [] == transport.requests


async def test_new_ids_are_the_venues_and_new() -> None:
    """Ids made here have the venue's form, and no two are the same."""
    api, _ = api_with(answer("GET_api_v3_time"))
    ids = {api.new_client_order_id() for _ in range(1000)}
    assert 1000 == len(ids)
    assert all(api.client_order_ids.fullmatch(each) for each in ids)
    await api.client.aclose()


async def test_an_order_is_found_by_either_id() -> None:
    """The venue's id goes before ours, for it is checked against the other where both are there."""
    api, transport = api_with(answer("GET_api_v3_order"))
    async with api:
        await api.query("BTC-USDT", client_order_id="mine-1")
        await api.query("BTC-USDT", order_id="42", client_order_id="mine-1")
    assert [
        "GET /api/v3/order?symbol=BTCUSDT&origClientOrderId=mine-1",
        "GET /api/v3/order?symbol=BTCUSDT&orderId=42",
    ] == transport.asked


async def test_a_canceled_order_keeps_its_own_id() -> None:
    """In the answer to a cancellation, the order's id is the original one; the other is the cancellation's."""
    api, _ = api_with(answer("DELETE_api_v3_order"))
    async with api:
        order = await api.cancel("BTC-USDT", client_order_id="mine-1")
    assert ("mine-1", OrderStatus.CANCELED, None) == (order.client_order_id, order.order_status, order.order_time)


async def test_canceling_all_includes_order_lists_and_may_find_none() -> None:
    """Orders of lists are among those canceled; that there was none is no error."""
    api, transport = api_with(answer("DELETE_api_v3_openOrders"), answer("errors", 17))
    async with api:
        orders = await api.cancel_all("BTC-USDT")
        assert [] == await api.cancel_all("BTC-USDT")
    assert [("mine-1", OrderType.LIMIT), ("stop-1", OrderType.STOP_LIMIT), ("maker-1", OrderType.LIMIT_MAKER)] == [
        (order.client_order_id, order.order_type) for order in orders
    ]
    assert Decimal("60000.00000000") == orders[1].stop_loss_trigger_price
    assert 2 * ["DELETE /api/v3/openOrders?symbol=BTCUSDT"] == transport.asked


async def test_canceling_everything_goes_symbol_by_symbol() -> None:
    """Without a symbol, the open orders tell which there are."""
    api, transport = api_with(answer("GET_api_v3_openOrders"), answer("DELETE_api_v3_openOrders"))
    async with api:
        await api.cancel_all()
    assert ["GET /api/v3/openOrders", "DELETE /api/v3/openOrders?symbol=BTCUSDT"] == transport.asked


async def test_times_are_rounded_to_the_range_that_was_asked_for() -> None:
    """A start is included and an end is not, to the nanosecond, though the venue counts milliseconds."""
    api, transport = api_with("[]")
    async with api:
        await api.klines("BTC-USDT", "1m", start=5 * MS, end=7 * MS, count=10)
        await api.klines("BTC-USDT", "1m", start=5 * MS + 1, end=7 * MS + 1)
        assert [] == await api.klines("BTC-USDT", "1m", start=5 * MS + 1, end=6 * MS)
        await api.klines("BTC-USDT", "1m", count=5000)
        await api.fills("BTC-USDT", since=5 * MS + 1, count=7)
        await api.orders("BTC-USDT", since=5 * MS)
        await api.fills("BTC-USDT", since=5 * MS, order_id="42")
        with pytest.raises(ConfigurationError, match="no bars"):
            await api.klines("BTC-USDT", "7m")
    market = "GET /api/v3/klines?symbol=BTCUSDT&interval=1m"
    assert [
        f"{market}&startTime=5&endTime=6&limit=10",
        f"{market}&startTime=6&endTime=7&limit=1000",
        f"{market}&limit=1000",
        "GET /api/v3/myTrades?symbol=BTCUSDT&startTime=6&limit=7",
        "GET /api/v3/allOrders?symbol=BTCUSDT&startTime=5&limit=1000",
        "GET /api/v3/myTrades?symbol=BTCUSDT&orderId=42&limit=500",
    ] == transport.asked


async def test_what_follows_a_full_page_is_asked_for_by_id() -> None:
    """A thousand orders, or fills, can be of one moment: a time would not lead on from there."""
    (fill,), (order, *_) = answer("GET_api_v3_myTrades").json[:1], answer("GET_api_v3_allOrders").json
    fills, orders = (
        [json.dumps([{**row, name: number} for number in numbers]) for numbers in (range(1000), range(1000, 1300))]
        for row, name in ((fill, "id"), (order, "orderId"))
    )
    api, transport = api_with(*fills, *orders)
    async with api:
        assert list(map(str, range(1300))) == [
            each.trade_id for each in await api.fills("BTC-USDT", since=0, count=1500)
        ]
        assert list(map(str, range(1300))) == [each.order_id for each in await api.orders("BTC-USDT", since=0)]
    assert [
        "GET /api/v3/myTrades?symbol=BTCUSDT&startTime=0&limit=1000",
        "GET /api/v3/myTrades?symbol=BTCUSDT&fromId=1000&limit=500",
        "GET /api/v3/allOrders?symbol=BTCUSDT&startTime=0&limit=1000",
        "GET /api/v3/allOrders?symbol=BTCUSDT&orderId=1000&limit=1000",
    ] == transport.asked


async def test_only_bars_of_the_past_are_closed() -> None:
    """Whether a bar is over is told by the venue's clock: the answer does not say."""
    api, _ = api_with(answer("GET_api_v3_klines"))
    async with api:
        bars = await api.klines("BTC-USDT", "1m")
    assert [True, True, False] == [bar.is_closed for bar in bars]


async def test_symbols_are_learned_from_the_venue() -> None:
    """Where a symbol is split is learned from the list of all; new words and filters there break nothing."""
    row = json.loads(answer("GET_api_v3_order").text)
    orders = [{**row, "symbol": symbol} for symbol in ("AEURUSDT", "USDTUSD", "币安人生USDT")]
    api, transport = api_with(answer("GET_api_v3_exchangeInfo"), json.dumps(orders))
    async with api:
        instruments = await api.instruments()
        found = await api.open_orders()
        await api.open_orders("币安人生-USDT")
    assert ["BTC-USDT", "AEUR-USDT", "USDT-USD", "币安人生-USDT"] == [each.internal for each in instruments]
    assert ["AEUR-USDT", "USDT-USD", "币安人生-USDT"] == [order.symbol for order in found]
    assert "币安人生USDT" == transport.params()["symbol"]
    assert [
        InstrumentStatus.ACTIVE,
        InstrumentStatus.HALTED,
        InstrumentStatus.UNKNOWN,
        InstrumentStatus.PENDING,
    ] == [each.status for each in instruments]
    first, second = instruments[:2]
    assert AssetType.SPOT is first.asset_type
    assert (Decimal("5.00000000"), Decimal("9000000.00000000")) == (first.min_notional, first.max_notional)
    assert (None, Decimal("10.00000000")) == (second.min_price, second.min_notional)


async def test_conditional_orders_say_what_sets_them_off() -> None:
    """Triggers and trailing distances are where the streams have them; an amount nobody knows is none."""
    api, _ = api_with(answer("GET_api_v3_order", 2), answer("GET_api_v3_order", 1))
    async with api:
        order = await api.query("BTC-USDT", order_id="40")
        old = await api.query("BTC-USDT", order_id="41")
    assert OrderStatus.EXPIRED_IN_MATCH is order.order_status
    assert Decimal("70000.00000000") == order.take_profit_trigger_price
    assert Decimal("0.0050") == order.trailing_stop_callback_rate
    assert (None, None) == (old.cum_quote, old.order_price)


async def test_money_keeps_every_digit() -> None:
    """Amounts of any size come through exactly, and their sums are exact."""
    api, _ = api_with(answer("GET_api_v3_account"))
    async with api:
        balances = {balance.currency: balance for balance in await api.balances()}
        account = await api.account()
    assert Decimal("123456789012345678.12345679") == balances["USDT"].margin
    assert Decimal("0.30000000") == balances["BTC"].margin
    assert ["BTC", "USDT"] == list(balances)
    assert (True, False, "354937868") == (account.can_trade, account.can_withdraw, account.account_id)


ERRORS = handmade("binance_spot", "errors")


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: f"{error.index}-{error.expected}")
async def test_errors_have_their_classes(error: Answer) -> None:
    """Each error is the exception of its class, and none that may have placed the order says that it has not."""
    expected = getattr(exceptions, error.expected)
    api, _ = api_with(error)
    api.client.server_time = None
    async with api:
        with pytest.raises(expected) as caught:
            await api.place(request())
    assert expected is type(caught.value)
    assert "BINANCE___SPOT" == caught.value.exchange_name
    if isinstance(caught.value, OrderUnknownError):
        assert ("mine-1", False) == (caught.value.client_order_id, caught.value.retryable)


async def test_a_wait_is_what_the_venue_says() -> None:
    """How long a limit or a ban lasts is in a header; of a ban, else in the words."""
    for index, expected in ((0, 120.0), (1, 7.0)):
        api, _ = api_with(ERRORS[index])
        async with api:
            with pytest.raises(exceptions.RateLimitError) as caught:
                await api.place(request())
        assert expected == caught.value.retry_after


async def test_an_order_that_is_not_there_is_named() -> None:
    """The error says which order was not found, by whichever id it was asked for."""
    api, _ = api_with(ERRORS[17])
    async with api:
        with pytest.raises(OrderNotFoundError) as caught:
            await api.cancel("BTC-USDT", order_id="42")
        assert "42" == caught.value.order_id
        with pytest.raises(OrderNotFoundError) as caught:
            await api.cancel("BTC-USDT", client_order_id="mine-1")
        assert "mine-1" == caught.value.order_id


@pytest.mark.parametrize("body", ["null", "[]", "{}", "", '{"symbol":"BTCUSDT"}', "\ufffd"], ids=repr)
async def test_what_cannot_be_read_is_no_data_and_no_order(body: str) -> None:
    """An unreadable answer is an error; to an order, one of an order that may have been placed."""
    api, _ = api_with(body)
    async with api:
        with pytest.raises(OrderUnknownError):
            await api.place(request())
        with pytest.raises(OrderUnknownError):
            await api.cancel("BTC-USDT", order_id="42")
        with pytest.raises(DataParseError):
            await api.query("BTC-USDT", order_id="42")


async def test_words_that_nobody_knows_are_no_order() -> None:
    """A side or a state that is no word of the venue is not guessed at."""
    row = json.loads(answer("POST_api_v3_order").text)
    api, _ = api_with(json.dumps({**row, "status": "ANOTHER"}))
    async with api:
        with pytest.raises(OrderUnknownError) as caught:
            await api.place(request())
        assert isinstance(caught.value.__cause__, DataParseError)
        with pytest.raises(DataParseError, match="ANOTHER") as unread:
            await api.query("BTC-USDT", order_id="42")
    assert "status" == unread.value.field


class CountingLimiter:
    """Notes what calls cost, and lets all of them go."""

    def __init__(self) -> None:
        self.costs: list[tuple[str, int | None]] = []

    async def async_permit(self, method: str, path: str, weight: int | None = None, **_options: Any) -> Permit:
        """Note a call."""
        from bt_api_base.rate_limiter import RateLimiter

        self.costs.append((f"{method} {path}", weight))
        return await RateLimiter(list(SPOT_RULES)).async_permit(method, path, weight)

    def report(self, headers: Any) -> None:
        """Take no notice."""

    def close_gate(self, seconds: float, **_options: Any) -> None:
        """Take no notice."""


async def test_calls_cost_what_the_documentation_says() -> None:
    """Where a weight depends on parameters, the call says which it is."""
    limiter = CountingLimiter()
    book, rows = answer("GET_api_v3_depth"), "[]"
    api, transport = api_with(book, limiter=limiter)
    async with api:
        for count in (20, 100, 500, 1000, 5000):
            await api.depth("BTC-USDT", count)
        transport.answers = [rows]
        await api.open_orders()
        await api.open_orders("BTC-USDT")
        await api.fills("BTC-USDT")
        await api.fills("BTC-USDT", order_id="1")
    assert [5, 5, 25, 50, 250, 80, 6, 20, 5] == [weight for _, weight in limiter.costs]


def test_limits_count_what_the_venue_counts() -> None:
    """Weight counts for every call, orders for new ones only, and the headers are the venue's."""
    rules = {rule.name: rule for rule in SPOT_RULES}
    assert {"REQUEST_WEIGHT", "RAW_REQUESTS", "ORDERS_10S", "ORDERS_1D"} == rules.keys()
    orders = rules["ORDERS_10S"]
    assert orders.match("POST", "/api/v3/order")
    assert orders.match("POST", "/api/v3/orderList/oco")
    assert not orders.match("DELETE", "/api/v3/order")
    assert not orders.match("POST", "/api/v3/order/test")
    assert "X-MBX-USED-WEIGHT-1M" == rules["REQUEST_WEIGHT"].header
    assert "X-MBX-ORDER-COUNT-10S" == orders.header
