"""Binance spot over REST: every answer, hand-made and recorded, read by the API.

Answers of the endpoints that the API asks become containers, and those are compared with the standard library's reading
of the same body, and with what another library made of it. All others are read as far as they go: as JSON; they are of
endpoints that the API does not have.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import anyio
import msgspec
import pytest

from bt_api_base.containers import InstrumentStatus, Order, OrderStatus, Side, Tick
from bt_api_base.exceptions import (
    BannedError,
    InvalidSymbolError,
    OrderError,
    OrderNotFoundError,
    OrderUnknownError,
    RateLimitError,
    RequestFailedError,
)
from bt_api_base.feeds.http_decoding import decode_body
from bt_api_base.feeds.order_request import OrderRequest
from bt_api_base.security import Credentials
from bt_api_base.venues.binance import rest_convert, rest_wire
from bt_api_base.venues.binance.rest_spot import BinanceSpotApi
from bt_api_base.venues.binance.symbols import split_venue_symbol
from tests.rest_answers import (
    Answer,
    FakeTransport,
    all_handmade,
    all_recorded,
    expectations,
    instruments_of_another_library,
)

if TYPE_CHECKING:
    from collections.abc import Callable

VENUE = "binance_spot"
MS = 1_000_000
STATUSES = {
    "NEW": OrderStatus.ACCEPTED,
    "PARTIALLY_FILLED": OrderStatus.PARTIAL,
    "FILLED": OrderStatus.COMPLETED,
    "CANCELED": OrderStatus.CANCELED,
    "EXPIRED_IN_MATCH": OrderStatus.EXPIRED_IN_MATCH,
}
REQUEST = OrderRequest(symbol="BTC-USDT", side="buy", order_type="limit", quantity=1, price=1, client_order_id="mine-1")


def symbol_of(venue_symbol: str) -> str:
    """Return the internal symbol of an answer's own."""
    return split_venue_symbol(venue_symbol)


def check_time(body: Any, found: int) -> None:
    """Compare a time."""
    assert body["serverTime"] * MS == found


def check_instruments(body: Any, found: list[Any]) -> None:
    """Compare the names, states and rules of all symbols."""
    assert [row["symbol"] for row in body["symbols"]] == [instrument.venue_symbol for instrument in found]
    for row, instrument in zip(body["symbols"], found, strict=True):
        assert f"{row['baseAsset']}-{row['quoteAsset']}" == instrument.internal
        assert (row["status"] == "TRADING") == (instrument.status is InstrumentStatus.ACTIVE)
        rules = {rule["filterType"]: rule for rule in row["filters"]}
        price, lot = rules.get("PRICE_FILTER", {}), rules.get("LOT_SIZE", {})
        notional = rules.get("NOTIONAL", rules.get("MIN_NOTIONAL", {}))
        for text, value in (
            (price.get("tickSize"), instrument.tick_size),
            (price.get("maxPrice"), instrument.max_price),
            (lot.get("stepSize"), instrument.step_size),
            (lot.get("minQty"), instrument.min_qty),
            (lot.get("maxQty"), instrument.max_qty),
            (notional.get("minNotional"), instrument.min_notional),
        ):
            assert (None if text is None or not Decimal(text) else Decimal(text)) == value


def check_ticker(body: Any, found: Tick) -> None:
    """Compare the prices of a ticker."""
    assert float(body["bidPrice"]) == found.bid_price
    assert float(body["askQty"]) == found.ask_volume
    assert float(body["lastPrice"]) == found.last_price
    assert float(body["quoteVolume"]) == found.turnover
    assert body["closeTime"] * MS == found.server_time


def check_book(body: Any, found: Any) -> None:
    """Compare all levels of a book."""
    for side in ("bids", "asks"):
        assert tuple((float(price), float(volume)) for price, volume in body[side]) == getattr(found, side)
    assert body["lastUpdateId"] == found.sequence


def check_bars(body: Any, found: list[Any]) -> None:
    """Compare all bars."""
    assert [(row[0] * MS, *(float(text) for text in row[1:6]), row[6] * MS, float(row[7]), row[8]) for row in body] == [
        (
            bar.open_time,
            bar.open_price,
            bar.high_price,
            bar.low_price,
            bar.close_price,
            bar.volume,
            bar.close_time,
            bar.turnover,
            bar.trade_count,
        )
        for bar in found
    ]


def check_trades(body: Any, found: list[Any]) -> None:
    """Compare all trades."""
    assert [
        (str(row["id"]), float(row["price"]), float(row["qty"]), row["time"] * MS, row["isBuyerMaker"]) for row in body
    ] == [
        (
            trade.trade_id,
            trade.trade_price,
            trade.trade_volume,
            trade.trade_time,
            trade.trade_side is Side.SELL,
        )
        for trade in found
    ]


def check_order(row: Any, found: Order) -> None:
    """Compare an order."""
    assert str(row["orderId"]) == found.order_id
    assert symbol_of(row["symbol"]) == found.symbol
    assert row.get("origClientOrderId", row["clientOrderId"]) == found.client_order_id
    assert row["side"].lower() == found.order_side
    assert STATUSES[row["status"]] is found.order_status
    assert Decimal(row["origQty"]) == found.order_size
    assert (Decimal(row["price"]) or None) == found.order_price
    assert row["executedQty"] == str(found.executed_qty) or Decimal(row["executedQty"]) == found.executed_qty
    filled = Decimal(row["cummulativeQuoteQty"])
    assert (filled if filled >= 0 else None) == found.cum_quote
    assert (row["time"] * MS if "time" in row else found.order_time) == found.order_time


def check_orders(body: Any, found: list[Order]) -> None:
    """Compare orders, those of order lists among them."""
    rows = [row for item in body for row in item.get("orderReports", (item,))]
    assert len(rows) == len(found)
    for row, order in zip(rows, found, strict=True):
        check_order(row, order)


def check_placed(row: Any, found: tuple[Order, tuple[Any, ...]]) -> None:
    """Compare a new order, and the fills it had at once."""
    order, fills = found
    check_order(row, order)
    assert row["transactTime"] * MS == order.order_time
    assert [
        (str(fill["tradeId"]), Decimal(fill["price"]), Decimal(fill["qty"]), Decimal(fill["commission"]))
        for fill in row["fills"]
    ] == [(fill.trade_id, fill.trade_price, fill.trade_volume, fill.trade_fee) for fill in fills]


def check_fills(body: Any, found: list[Any]) -> None:
    """Compare the account's fills."""
    assert [
        (str(row["id"]), str(row["orderId"]), Decimal(row["price"]), Decimal(row["qty"]), Decimal(row["commission"]))
        for row in body
    ] == [(fill.trade_id, fill.order_id, fill.trade_price, fill.trade_volume, fill.trade_fee) for fill in found]


def check_account(body: Any, found: Any) -> None:
    """Compare an account's balances."""
    rows = [row for row in body["balances"] if Decimal(row["free"]) + Decimal(row["locked"])]
    assert [(row["asset"], Decimal(row["free"]), Decimal(row["locked"])) for row in rows] == [
        (balance.currency, balance.available_margin, balance.used_margin) for balance in found.balances
    ]


CALLS: dict[str, tuple[Callable[[BinanceSpotApi, Any], Any], Callable[[Any, Any], None]]] = {
    "GET_api_v3_time": (lambda api, body: api.server_time(), check_time),
    "GET_api_v3_exchangeInfo": (lambda api, body: api.instruments(), check_instruments),
    "GET_api_v3_ticker_24hr": (lambda api, body: api.ticker(symbol_of(body["symbol"])), check_ticker),
    "GET_api_v3_depth": (lambda api, body: api.depth("BTC-USDT", 5000), check_book),
    "GET_depth_snapshot_for_replay": (lambda api, body: api.depth("BTC-USDT", 5000), check_book),
    "GET_api_v3_klines": (lambda api, body: api.klines("BTC-USDT", "1m"), check_bars),
    "GET_api_v3_uiKlines": (lambda api, body: api.klines("BTC-USDT", "1m"), check_bars),
    "GET_api_v3_trades": (lambda api, body: api.trades("BTC-USDT"), check_trades),
    "GET_api_v3_historicalTrades": (lambda api, body: api.trades("BTC-USDT"), check_trades),
    "POST_api_v3_order": (lambda api, body: api.place_with_fills(REQUEST), check_placed),
    "DELETE_api_v3_order": (lambda api, body: api.cancel("BTC-USDT", order_id="1"), check_order),
    "DELETE_api_v3_openOrders": (lambda api, body: api.cancel_all("BTC-USDT"), check_orders),
    "GET_api_v3_order": (lambda api, body: api.query("BTC-USDT", order_id="1"), check_order),
    "GET_api_v3_openOrders": (lambda api, body: api.open_orders(), check_orders),
    "GET_api_v3_allOrders": (lambda api, body: api.orders("BTC-USDT"), check_orders),
    "GET_api_v3_myTrades": (lambda api, body: api.fills("BTC-USDT"), check_fills),
    "GET_api_v3_account": (lambda api, body: api.account(), check_account),
}
"""What asks an endpoint, and what compares; without the endpoints that the API does not have."""

LISTS_OF_TICKERS = "GET_api_v3_ticker_24hr"


async def _ask(answer: Answer) -> Any:
    """Return what the API makes of an answer."""
    credentials = Credentials("an-api-key-1234", "a-secret-5678")
    async with BinanceSpotApi(credentials, transport=FakeTransport(answer)) as api:
        return await CALLS[answer.endpoint][0](api, answer.json)


def ask(answer: Answer) -> Any:
    """Return what the API makes of an answer. What is read is the same on every loop."""
    return anyio.run(_ask, answer)


def is_asked(answer: Answer) -> bool:
    """Whether it is an answer to something the API asks: tickers of several symbols at once are not."""
    if answer.endpoint not in CALLS or answer.json is None:
        return False
    return not (answer.endpoint == LISTS_OF_TICKERS and isinstance(answer.json, list))


@pytest.mark.parametrize("answer", [a for a in all_handmade(VENUE) if a.endpoint in CALLS], ids=repr)
def test_handmade_answer_becomes_containers(answer: Answer) -> None:
    """Each hand-made answer says the same as its containers."""
    CALLS[answer.endpoint][1](answer.json, ask(answer))


def test_every_recorded_answer_becomes_containers() -> None:
    """Each recorded answer of an endpoint that the API asks says the same as its containers."""
    answers = [answer for answer in all_recorded(VENUE) if is_asked(answer)]
    assert 48 == len(answers)
    for answer in answers:
        CALLS[answer.endpoint][1](answer.json, ask(answer))


def test_an_answer_without_an_order_leaves_its_fate_unknown() -> None:
    """One recorded answer to a new order is ``null``: whether it was placed, nobody knows."""
    (answer,) = (answer for answer in all_recorded(VENUE) if answer.endpoint == "POST_api_v3_order" and not answer.json)
    with pytest.raises(OrderUnknownError, match="cannot be read"):
        ask(answer)


READ_ALONE: dict[str, Any] = {
    "GET_api_v3_aggTrades": list[rest_wire.AggregateTrade],
    "GET_api_v3_ticker_bookTicker": rest_wire.BookTicker,
    "GET_api_v3_ticker_24hr": list[rest_wire.Ticker24h],
    "DELETE_api_v3_orderList": rest_wire.CanceledList,
    "POST_api_v3_orderList_oco": rest_wire.CanceledList,
    "POST_api_v3_orderList_oto": rest_wire.CanceledList,
    "POST_api_v3_orderList_otoco": rest_wire.CanceledList,
}
"""Endpoints that the API does not ask, whose answers have a type here all the same."""


def has_all_its_fields(answer: Answer) -> bool:
    """Whether an answer came as it was: of some aggregate trades, the recording has lost the name of a field."""
    return answer.endpoint != "GET_api_v3_aggTrades" or not answer.json or "m" in answer.json[0]


def test_every_other_recorded_answer_can_be_read() -> None:
    """The answers of all other endpoints are read: some as what the API has a type for, the others as JSON."""
    others = [answer for answer in all_recorded(VENUE) if answer.endpoint != "errors" and not is_asked(answer)]
    typed = 0
    for answer in others:
        result = READ_ALONE.get(answer.endpoint, Any) if has_all_its_fields(answer) else Any
        found = decode_body(answer.text.encode(), result, exchange_name="BINANCE___SPOT", what=answer.endpoint)
        assert answer.json == msgspec.json.decode(answer.text) if result is Any else found is not None
        typed += result is not Any
    assert (54, 27) == (len(others), typed)


def test_recorded_aggregates_become_trades() -> None:
    """Aggregate trades say the same as what they become."""
    answers = [answer for answer in all_recorded(VENUE) if answer.endpoint == "GET_api_v3_aggTrades"]
    for answer in filter(has_all_its_fields, answers):
        compare_aggregates(answer)


def compare_aggregates(answer: Answer) -> None:
    """Compare aggregate trades with their answer."""
    rows = decode_body(answer.text.encode(), list[rest_wire.AggregateTrade], exchange_name="", what="")
    trades = [rest_convert.aggregate_trade(row, "BINANCE___SPOT", "BTC-USDT", 1) for row in rows]
    assert [(str(row["a"]), str(row["f"]), str(row["l"]), float(row["p"]), row["m"]) for row in answer.json] == [
        (trade.trade_id, trade.first_trade_id, trade.last_trade_id, trade.trade_price, trade.trade_side is Side.SELL)
        for trade in trades
    ]


def same(expected: dict[str, Any], **found: Any) -> None:
    """Compare what another library found, where it did."""
    for name, value in found.items():
        if name in expected:
            assert (name, expected[name]) == (name, value)


def number(value: Decimal | None) -> float | None:
    """Return a decimal as the other library has it."""
    return None if value is None else float(value)


def cross_time(expected: Any, found: Any) -> None:
    """Compare a time."""
    assert expected * MS == found


def cross_book(expected: Any, found: Any) -> None:
    """Compare the best levels of a book."""
    for side in ("bids", "asks"):
        assert [tuple(level) for level in expected[side][:25]] == list(getattr(found, side)[:25])


def cross_ticker(expected: Any, found: Any) -> None:
    """Compare a ticker."""
    same(expected, bid=found.bid_price, ask=found.ask_price, last=found.last_price, open=found.open_price)
    same(expected, high=found.high_price, low=found.low_price, baseVolume=found.volume, quoteVolume=found.turnover)
    same(expected, timestamp=found.server_time // MS)


def cross_bars(expected: Any, found: Any) -> None:
    """Compare bars."""
    bars = [
        [bar.open_time // MS, bar.open_price, bar.high_price, bar.low_price, bar.close_price, bar.volume]
        for bar in found
    ]
    assert expected[:25] == bars[: len(expected[:25])]


def cross_trades(expected: Any, found: Any) -> None:
    """Compare public trades."""
    for row, trade in zip(expected, found, strict=False):
        same(row, id=trade.trade_id, price=trade.trade_price, amount=trade.trade_volume, side=trade.trade_side)
        same(row, timestamp=trade.trade_time // MS)


def cross_balances(expected: Any, found: Any) -> None:
    """Compare balances."""
    held = {balance.currency: balance for balance in found.balances}
    for currency, total in expected["total"].items():
        assert total == float(held[currency].margin if currency in held else 0)


def cross_fills(expected: Any, found: Any) -> None:
    """Compare the account's fills."""
    for row, fill in zip(expected, found, strict=True):
        same(row, id=fill.trade_id, order=fill.order_id, side=fill.trade_side, takerOrMaker=fill.trade_type)
        same(row, price=number(fill.trade_price), amount=number(fill.trade_volume))
        same(row["fee"], currency=fill.trade_fee_symbol, cost=number(fill.trade_fee))


def cross_orders(expected: Any, found: Any) -> None:
    """Compare one order or several. The other library takes a cancellation's own client id for the order's."""
    rows, orders = (expected, found) if isinstance(expected, list) else ([expected], [found])
    for row, order in zip(rows, orders, strict=False):
        same(row, id=order.order_id, side=order.order_side, price=number(order.order_price))
        same(row, filled=number(order.executed_qty), amount=number(order.order_size))
        if order.order_status is not OrderStatus.CANCELED:
            same(row, clientOrderId=order.client_order_id, timestamp=order.order_time // MS)


CROSS_CHECKS: dict[str, Callable[[Any, Any], None]] = {
    "fetch_time": cross_time,
    "fetch_order_book": cross_book,
    "fetch_ticker": cross_ticker,
    "fetch_ohlcv": cross_bars,
    "fetch_trades": cross_trades,
    "fetch_balance": cross_balances,
    "fetch_my_trades": cross_fills,
    "fetch_order": cross_orders,
    "fetch_orders": cross_orders,
    "fetch_open_orders": cross_orders,
    "cancel_order": cross_orders,
}
"""What compares with the other library, by its method."""


def test_recorded_answers_say_the_same_to_another_library() -> None:
    """Where another library has read the same answer, both found the same."""
    expected = expectations(VENUE, "rest")
    compared = 0
    for answer in all_recorded(VENUE):
        row = expected.get((answer.endpoint, answer.index), {"method": ""})
        if row["method"] in CROSS_CHECKS and is_asked(answer):
            CROSS_CHECKS[row["method"]](row["normalized"], ask(answer))
            compared += 1
    assert 40 == compared


RENAMED = {"BSV": "BCHSV"}
"""Currencies for which the other library has names of its own."""


def test_recorded_instruments_say_the_same_to_another_library() -> None:
    """The rules of the recorded instruments are what another library found."""
    path = "GET_api_v3_exchangeInfo"
    (answer,) = (answer for answer in all_recorded(VENUE) if answer.endpoint == path and len(answer.text) > 10_000)
    found = {instrument.venue_symbol: instrument for instrument in ask(answer)}
    rows = instruments_of_another_library()
    assert 31 == len(rows)
    for row in rows:
        instrument = found[row["id"]]
        assert RENAMED.get(row["base"], row["base"]) == instrument.base_currency
        assert row["active"] == instrument.is_active(instrument.server_time)
        same(row["precision"], price=number(instrument.tick_size), amount=number(instrument.step_size))
        limits = row["limits"]
        same(limits["amount"], min=number(instrument.min_qty), max=number(instrument.max_qty))
        same(limits["price"], min=number(instrument.min_price), max=number(instrument.max_price))
        same(limits["cost"], min=number(instrument.min_notional))


RECORDED_ERRORS: tuple[type[Exception], ...] = (
    BannedError,
    InvalidSymbolError,
    OrderNotFoundError,
    OrderNotFoundError,
    BannedError,
    InvalidSymbolError,
    RequestFailedError,
    RequestFailedError,
    OrderError,
    OrderError,
    OrderError,
    OrderError,
    OrderError,
    RateLimitError,
    OrderError,
)


async def place(answer: Answer) -> None:
    """Place an order, and get an answer."""
    async with BinanceSpotApi(Credentials("an-api-key-1234", "a-secret-5678"), transport=FakeTransport(answer)) as api:
        await api.place(REQUEST)


def test_recorded_errors_have_their_classes() -> None:
    """Each recorded error is the exception of its class, and of no more particular one; two are not JSON at all."""
    answers = [answer for answer in all_recorded(VENUE) if answer.endpoint == "errors"]
    for answer, expected in zip(answers, RECORDED_ERRORS, strict=True):
        with pytest.raises(expected) as caught:
            anyio.run(place, answer)
        assert expected is type(caught.value)
