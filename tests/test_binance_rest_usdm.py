"""Binance USD-M futures over REST: what is asked, what comes of it, and what its errors become.

There are no recordings: the answers are hand-made, after the venue's documentation.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from bt_api_base import exceptions
from bt_api_base.containers import (
    AssetType,
    InstrumentStatus,
    LiquidityType,
    MarginType,
    OrderStatus,
    OrderType,
    PositionSide,
    Side,
    TimeInForce,
    TriggerPriceType,
)
from bt_api_base.exceptions import InvalidOrderError, OrderUnknownError
from bt_api_base.feeds.order_request import OrderRequest
from bt_api_base.security import Credentials
from bt_api_base.venues.binance.rest_endpoints import usdm_depth_weight, usdm_klines_weight
from bt_api_base.venues.binance.rest_limits import USDM_RULES
from bt_api_base.venues.binance.rest_usdm import BinanceUsdmApi
from tests.rest_answers import Answer, FakeTransport, handmade

pytestmark = pytest.mark.anyio

MS = 1_000_000
SYMBOL = "BTC-USDT-SWAP"
CREDENTIALS = Credentials("an-api-key-1234", "a-secret-5678")


def answer(endpoint: str, index: int = 0) -> Answer:
    """Return a hand-made answer."""
    return handmade("binance_usdm", endpoint)[index]


def api_with(*answers: Answer | str | tuple[int, str], **options: Any) -> tuple[BinanceUsdmApi, FakeTransport]:
    """Return an API and what answers it."""
    transport = FakeTransport(*answers)
    return BinanceUsdmApi(CREDENTIALS, transport=transport, **options), transport


def request(**options: Any) -> OrderRequest:
    """Return an order."""
    usual = {"symbol": SYMBOL, "side": "sell", "order_type": "limit", "quantity": "0.03", "price": "61837.6"}
    return OrderRequest(**{**usual, "client_order_id": "mine.1", **options})


async def test_instruments_are_perpetuals_and_dated_contracts() -> None:
    """Contracts have their symbols, their rules, and an end only where they have one."""
    api, _ = api_with(answer("GET_fapi_v1_exchangeInfo"))
    async with api:
        perpetual, dated, leaving = await api.instruments()
    assert (SYMBOL, AssetType.SWAP, None) == (perpetual.internal, perpetual.asset_type, perpetual.expiry)
    assert ("BTC-USDT-261225", AssetType.FUTURE, 1798185600000 * MS) == (
        dated.internal,
        dated.asset_type,
        dated.expiry,
    )
    assert (InstrumentStatus.SETTLING, 1790000000000 * MS) == (leaving.status, leaving.expiry)
    assert (Decimal("0.10"), Decimal("0.001"), Decimal(100)) == (
        perpetual.tick_size,
        perpetual.step_size,
        perpetual.min_notional,
    )
    assert ("USDT", "BTC", Decimal(1), False) == (
        perpetual.settle_currency,
        perpetual.contract_unit,
        perpetual.contract_multiplier,
        perpetual.is_inverse,
    )
    assert 0 == perpetual.server_time  # the one in the answer means nothing
    assert {"BTCUSDT_261225": "BTC-USDT-261225"}.items() <= api.symbols.items()


async def test_a_ticker_is_of_two_answers() -> None:
    """Bid and ask come from one endpoint, the last trade and the last day from another."""
    api, transport = api_with(answer("GET_fapi_v1_ticker_24hr"), answer("GET_fapi_v1_ticker_bookTicker"))
    async with api:
        tick = await api.ticker("btc-usdt")
    assert [
        "GET /fapi/v1/ticker/24hr?symbol=BTCUSDT",
        "GET /fapi/v1/ticker/bookTicker?symbol=BTCUSDT",
    ] == transport.asked
    assert (SYMBOL, 1790000000000 * MS) == (tick.symbol, tick.server_time)
    assert (61837.5, 0.5, 61837.6, 123456.789) == (tick.bid_price, tick.ask_volume, tick.last_price, tick.volume)


async def test_books_have_the_depths_that_there_are() -> None:
    """The venue has books of some depths only: the next one up is asked for, and the rest cut off."""
    api, transport = api_with(answer("GET_fapi_v1_depth"))
    async with api:
        book = await api.depth("BTC-USDT-261225", 1)
        await api.depth(SYMBOL, 51)
        await api.depth(SYMBOL, 9999)
    assert (((61837.5, 3.788),), ((61837.6, 0.5),)) == (book.bids, book.asks)
    assert (1790000000050 * MS, 1027024) == (book.server_time, book.sequence)
    assert [
        "GET /fapi/v1/depth?symbol=BTCUSDT_261225&limit=5",
        "GET /fapi/v1/depth?symbol=BTCUSDT&limit=100",
        "GET /fapi/v1/depth?symbol=BTCUSDT&limit=1000",
    ] == transport.asked
    assert [2, 5, 10, 20] == [usdm_depth_weight(limit) for limit in (50, 100, 500, 1000)]
    assert [1, 2, 5, 10] == [usdm_klines_weight(count) for count in (99, 499, 1000, 1500)]


async def test_bars_trades_and_the_clock() -> None:
    """What both markets have is read as on spot."""
    api, _ = api_with(answer("GET_fapi_v1_klines"))
    async with api:
        (bar,) = await api.klines(SYMBOL, "1m")
    api, _ = api_with(answer("GET_fapi_v1_trades"))
    async with api:
        (trade,) = await api.trades(SYMBOL)
    api, _ = api_with(answer("GET_fapi_v1_time"))
    async with api:
        assert 1790000000123 * MS == await api.server_time()
    assert ("BINANCE___SWAP", 1789999920000 * MS, 321) == (bar.exchange_name, bar.open_time, bar.trade_count)
    assert ("28457", Side.SELL, 61837.5) == (trade.trade_id, trade.trade_side, trade.trade_price)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "type=LIMIT&timeInForce=GTC&quantity=0.03&price=61837.6"),
        ({"order_type": "limit_maker"}, "type=LIMIT&timeInForce=GTX&quantity=0.03&price=61837.6"),
        ({"time_in_force": TimeInForce.GTX}, "type=LIMIT&timeInForce=GTX&quantity=0.03&price=61837.6"),
        ({"order_type": "market", "price": None}, "type=MARKET&quantity=0.03"),
    ],
)
async def test_orders_are_asked_for_in_the_venues_words(options: dict[str, Any], expected: str) -> None:
    """Post-only is a time in force here."""
    api, transport = api_with(answer("POST_fapi_v1_order"))
    async with api:
        await api.place(request(**options))
    expected = (
        f"POST /fapi/v1/order?symbol=BTCUSDT&side=SELL&{expected}&newClientOrderId=mine.1&newOrderRespType=RESULT"
    )
    assert [expected] == transport.asked


async def test_orders_may_belong_to_a_position() -> None:
    """The side of a position and whether it may only get smaller go along."""
    api, transport = api_with(answer("POST_fapi_v1_order"))
    async with api:
        await api.place(request(position_side=PositionSide.SHORT))
        await api.place(request(position_side=PositionSide.NET, reduce_only=True))
    assert ("SHORT", None) == (transport.params(0)["positionSide"], transport.params(0).get("reduceOnly"))
    assert ("BOTH", "true") == (transport.params(1)["positionSide"], transport.params(1)["reduceOnly"])


@pytest.mark.parametrize(
    "options", [{"order_type": "stop"}, {"quantity": None, "quote_quantity": 5}, {"client_order_id": "ö"}], ids=str
)
async def test_what_cannot_be_an_order_is_not_sent(options: dict[str, Any]) -> None:
    """Conditional orders have endpoints of their own, which are not here."""
    api, transport = api_with(answer("POST_fapi_v1_order"))
    async with api:
        with pytest.raises(InvalidOrderError):
            await api.place(request(**options))
    assert [] == transport.requests


async def test_an_order_is_read_whole() -> None:
    """Ids beyond 2**53, averages, sides of positions and triggers come through."""
    api, _ = api_with(answer("GET_fapi_v1_order"), answer("GET_fapi_v1_order", 1), answer("POST_fapi_v1_order", 1))
    async with api:
        order = await api.query(SYMBOL, client_order_id="mine.1")
        trailing = await api.query(SYMBOL, client_order_id="mine.1")
        placed = await api.place(request())
    assert ("8389765494000000001", SYMBOL, "mine.1") == (order.order_id, order.symbol, order.client_order_id)
    assert (OrderStatus.PARTIAL, Side.SELL, PositionSide.SHORT) == (
        order.order_status,
        order.order_side,
        order.position_side,
    )
    assert (Decimal("61837.60"), Decimal("618.37600"), TimeInForce.GTX) == (
        order.order_avg_price,
        order.cum_quote,
        order.order_time_in_force,
    )
    assert (1789999980000 * MS, 1789999990000 * MS) == (order.order_time, order.server_time)
    assert (OrderType.MARKET, OrderType.TRAILING_STOP) == (trailing.order_type, trailing.origin_order_type)
    assert (Decimal("0.003"), Decimal(62000), TriggerPriceType.MARK) == (
        trailing.trailing_stop_callback_rate,
        trailing.trailing_stop_trigger_price,
        trailing.trailing_stop_trigger_price_type,
    )
    # Since 2026-07 acknowledgements have neither an average nor an amount.
    assert (None, None, 1789999990000 * MS) == (placed.order_avg_price, placed.cum_quote, placed.order_time)


async def test_canceling_all_reads_back_what_became_of_the_orders() -> None:
    """The venue's answer names no order; those that were open are looked up after it, in one call."""
    api, transport = api_with(
        answer("GET_fapi_v1_openOrders"), answer("DELETE_fapi_v1_allOpenOrders"), answer("GET_fapi_v1_allOrders")
    )
    async with api:
        orders = await api.cancel_all(SYMBOL)
    assert ["8389765494000000001", "8389765494000000003"] == [order.order_id for order in orders]
    assert {OrderStatus.CANCELED} == {order.order_status for order in orders}
    assert [
        "GET /fapi/v1/openOrders?symbol=BTCUSDT",
        "DELETE /fapi/v1/allOpenOrders?symbol=BTCUSDT",
        "GET /fapi/v1/allOrders?symbol=BTCUSDT&orderId=8389765494000000001&limit=1000",
    ] == transport.asked


async def test_canceling_all_asks_even_if_nothing_seems_open() -> None:
    """An order may have come in between."""
    api, transport = api_with(answer("GET_fapi_v1_openOrders", 1), answer("DELETE_fapi_v1_allOpenOrders"))
    async with api:
        assert [] == await api.cancel_all(SYMBOL)
    assert 2 == len(transport.requests)


async def test_canceled_orders_that_cannot_be_read_back_are_unknown() -> None:
    """They were canceled, but who asks is not told how: that is no success."""
    api, _ = api_with(answer("GET_fapi_v1_openOrders"), answer("DELETE_fapi_v1_allOpenOrders"), answer("errors", 13))
    async with api:
        with pytest.raises(OrderUnknownError):
            await api.cancel_all(SYMBOL)


async def test_long_ranges_are_asked_for_week_by_week() -> None:
    """The venue takes ranges of a week; the last one is open, so that nothing that comes meanwhile is missed."""
    api, transport = api_with("[]", "[]", "[]", answer("GET_fapi_v1_userTrades"))
    week = 7 * 86_400_000
    start = api.clock.now_ms() - 4 * week + 5000
    async with api:
        (fill,) = await api.fills(SYMBOL, since=start * MS)
        transport.answers = ["[]"]
        assert [] == await api.orders(SYMBOL, since=(start + 3 * week) * MS)
    asked = [(params["startTime"], params.get("endTime")) for params in map(transport.params, range(5))]
    weeks = [(str(start + index * week), str(start + index * week + week - 1)) for index in range(3)]
    assert [*weeks, *2 * [(str(start + 3 * week), None)]] == asked
    assert ("698759", Decimal("-0.07819010"), LiquidityType.MAKER) == (fill.trade_id, fill.trade_fee, fill.trade_type)
    assert (PositionSide.SHORT, Decimal("-0.91539999")) == (fill.position_side, fill.realized_pnl)


async def test_what_follows_a_full_page_is_asked_for_by_id() -> None:
    """And no other week is asked for then: it leads on to now."""
    fill, order = answer("GET_fapi_v1_userTrades").json[0], answer("GET_fapi_v1_allOrders").json[0]
    fills, orders = (
        [json.dumps([{**row, name: number} for number in numbers]) for numbers in (range(1000), range(1000, 1300))]
        for row, name in ((fill, "id"), (order, "orderId"))
    )
    api, transport = api_with(*fills, *orders)
    since = (api.clock.now_ms() - 20 * 86_400_000) * MS
    async with api:
        assert list(map(str, range(1300))) == [
            each.trade_id for each in await api.fills(SYMBOL, since=since, count=1500)
        ]
        assert list(map(str, range(1300))) == [each.order_id for each in await api.orders(SYMBOL, since=since)]
    asked = [transport.params(index) for index in range(4)]
    assert ["1000", "1000"] == [asked[1]["fromId"], asked[3]["orderId"]]
    assert 4 == len(transport.asked)


async def test_balances_positions_and_the_account() -> None:
    """Money is exact; what there is nothing of is left out."""
    api, _ = api_with(answer("GET_fapi_v3_balance"))
    async with api:
        (balance,) = await api.balances()
    api, transport = api_with(answer("GET_fapi_v3_positionRisk"))
    async with api:
        (position,) = await api.positions()
        await api.positions(SYMBOL)
    api, _ = api_with(answer("GET_fapi_v3_account"))
    async with api:
        account = await api.account()
    assert ("USDT", Decimal("122607.35137903"), Decimal("22.22469206")) == (
        balance.currency,
        balance.margin,
        balance.max_withdraw_amount,
    )
    assert ["GET /fapi/v3/positionRisk", "GET /fapi/v3/positionRisk?symbol=BTCUSDT"] == transport.asked
    assert (SYMBOL, PositionSide.SHORT, Decimal("-0.002")) == (
        position.symbol,
        position.position_side,
        position.position_volume,
    )
    assert (Decimal("-1.50000000"), Decimal("70000.1"), MarginType.ISOLATED) == (
        position.position_unrealized_pnl,
        position.liquidation_price,
        position.margin_type,
    )
    assert (Decimal("101.62345678"), Decimal("89.62345678"), 1789999995000 * MS) == (
        account.total_margin,
        account.total_available_margin,
        account.server_time,
    )
    assert [MarginType.CROSS] == [each.margin_type for each in account.positions]
    assert [Decimal("12.00000000")] == [each.used_margin for each in account.balances]


@pytest.mark.parametrize(
    "error", handmade("binance_usdm", "errors"), ids=lambda error: f"{error.index}-{error.expected}"
)
async def test_errors_have_their_classes(error: Answer) -> None:
    """Each error is the exception of its class; the three kinds of 503 are told apart by their words."""
    expected = getattr(exceptions, error.expected)
    api, _ = api_with(error)
    api.client.server_time = None
    async with api:
        with pytest.raises(expected) as caught:
            await api.place(request())
    assert expected is type(caught.value)


def test_limits_count_what_the_venue_counts() -> None:
    """Every order counts, whatever becomes of it; placing one costs no weight."""
    rules = {rule.name: rule for rule in USDM_RULES}
    assert {"REQUEST_WEIGHT": 2400, "ORDERS_10S": 300, "ORDERS_1M": 1200} == {
        name: rule.limit for name, rule in rules.items()
    }
    assert rules["ORDERS_1M"].match("PUT", "/fapi/v1/order")
    assert 0 == BinanceUsdmApi.endpoints.place.weight
