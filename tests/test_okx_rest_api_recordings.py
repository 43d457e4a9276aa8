"""OKX over REST: every recorded answer, read by the API.

Answers of the endpoints that the API asks become containers, and are compared with the standard library's reading of
the same body and with what another library made of it. All others are read as the envelope that is around everything,
with whatever data; they are of endpoints that the API does not have.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import anyio
import msgspec
import pytest

from bt_api_base.containers import InstrumentStatus, OrderStatus
from bt_api_base.exceptions import AuthenticationError, RateLimitError
from bt_api_base.feeds.http_decoding import decode_body
from bt_api_base.feeds.order_request import OrderRequest
from bt_api_base.security import Credentials
from bt_api_base.venues.okx import rest_endpoints, rest_wire, wire
from bt_api_base.venues.okx.rest import OkxApi, OkxFuturesApi, OkxOptionApi, OkxSpotApi, OkxSwapApi
from bt_api_base.venues.okx.rest_errors import read_okx_error
from tests.rest_answers import Answer, FakeTransport, all_recorded, expectations, instruments_of_another_library

if TYPE_CHECKING:
    from collections.abc import Callable

MS = 1_000_000
REQUEST = OrderRequest(symbol="BTC-USDT", side="buy", order_type="limit", quantity=1, price=1, client_order_id="mine1")
CREDENTIALS = Credentials("an-api-key-1234", "a-secret-5678", "a-pass-phrase")
APIS = {"SPOT": OkxSpotApi, "SWAP": OkxSwapApi, "FUTURES": OkxFuturesApi, "OPTION": OkxOptionApi}


def decimal(text: str) -> Decimal | None:
    """Return a number, or ``None`` where the venue has none."""
    return Decimal(text) if text else None


def kind_of(answer: Answer) -> type[OkxApi]:
    """Return the API of the instruments that an answer is about."""
    data = answer.json["data"]
    return APIS.get(data[0].get("instType", "SPOT") if isinstance(data[0], dict) else "SPOT", OkxSpotApi)


def symbol_of(answer: Answer) -> str:
    """Return the instrument that an answer is about."""
    return str(answer.json["data"][0]["instId"])


def check_time(data: Any, found: int) -> None:
    """Compare a time."""
    assert int(data[0]["ts"]) * MS == found


def check_instruments(data: Any, found: list[Any]) -> None:
    """Compare names, states, rules and sizes of all instruments."""
    assert len(data) == len(found)
    for row, instrument in zip(data, found, strict=True):
        assert row["instId"] == instrument.internal == instrument.venue_symbol
        assert (row["state"] == "live") == (instrument.status is InstrumentStatus.ACTIVE)
        assert decimal(row["tickSz"]) == instrument.tick_size
        assert decimal(row["lotSz"]) == instrument.step_size
        assert decimal(row["minSz"]) == instrument.min_qty
        assert (int(row["expTime"]) * MS if row["expTime"] else None) == instrument.expiry
        size = Decimal(row["ctVal"] or 1) * Decimal(row["ctMult"] or 1)
        assert (size, row["ctType"] == "inverse") == (instrument.contract_multiplier, instrument.is_inverse)
        names = (row["baseCcy"], row["quoteCcy"]) if row["baseCcy"] else tuple(row["uly"].split("-"))
        assert names == (instrument.base_currency, instrument.quote_currency)


def check_ticker(data: Any, found: Any) -> None:
    """Compare a ticker."""
    (row,) = data
    assert (row["instId"], float(row["bidPx"]), float(row["askSz"]), float(row["last"]), int(row["ts"]) * MS) == (
        found.symbol,
        found.bid_price,
        found.ask_volume,
        found.last_price,
        found.server_time,
    )


def check_book(data: Any, found: Any) -> None:
    """Compare all levels of a book."""
    for side in ("bids", "asks"):
        assert tuple((float(row[0]), float(row[1])) for row in data[0][side]) == getattr(found, side)


def check_bars(data: Any, found: list[Any]) -> None:
    """Compare all bars."""
    assert [(int(row[0]) * MS, *(float(text) for text in row[1:6]), row[8] == "1") for row in reversed(data)] == [
        (
            bar.open_time,
            bar.open_price,
            bar.high_price,
            bar.low_price,
            bar.close_price,
            bar.volume,
            bar.is_closed,
        )
        for bar in found
    ]


def check_trades(data: Any, found: list[Any]) -> None:
    """Compare all trades."""
    assert [(row["tradeId"], float(row["px"]), float(row["sz"]), row["side"]) for row in reversed(data)] == [
        (trade.trade_id, trade.trade_price, trade.trade_volume, trade.trade_side) for trade in found
    ]


def check_orders(data: Any, found: Any) -> None:
    """Compare orders."""
    orders = found if isinstance(found, list) else [found]
    for row, order in zip(data, orders, strict=True):
        assert (row["ordId"], row["instId"], row["side"]) == (order.order_id, order.symbol, order.order_side)
        assert (decimal(row["px"]), decimal(row["accFillSz"])) == (order.order_price, order.executed_qty)
        assert (None if row["tgtCcy"] == "quote_ccy" else decimal(row["sz"])) == order.order_size
        assert int(row["cTime"]) * MS == order.order_time
        assert (row["state"] == "filled") == (order.order_status is OrderStatus.COMPLETED)


def check_placed(data: Any, found: Any) -> None:
    """Compare a new order."""
    (row,) = data
    assert (row["ordId"], row["clOrdId"]) == (found.order_id, found.client_order_id)
    assert int(row["ts"]) * MS == found.order_time


def check_fills(data: Any, found: list[Any]) -> None:
    """Compare fills."""
    assert [
        (row["tradeId"], row["ordId"], Decimal(row["fillPx"]), Decimal(row["fillSz"]), -Decimal(row["fee"]))
        for row in reversed(data)
    ] == [(fill.trade_id, fill.order_id, fill.trade_price, fill.trade_volume, fill.trade_fee) for fill in found]


def check_account(data: Any, found: Any) -> None:
    """Compare an account with its balances."""
    assert Decimal(data[0]["totalEq"]) == found.total_margin
    assert [(row["ccy"], Decimal(row["cashBal"]), Decimal(row["availBal"])) for row in data[0]["details"]] == [
        (balance.currency, balance.margin, balance.available_margin) for balance in found.balances
    ]


def check_positions(data: Any, found: list[Any]) -> None:
    """Compare positions."""
    assert [(row["instId"], Decimal(row["pos"]), Decimal(row["avgPx"]), Decimal(row["upl"])) for row in data] == [
        (each.symbol, each.position_volume, each.avg_price, each.position_unrealized_pnl) for each in found
    ]


CALLS: dict[str, tuple[Callable[[Any, Answer], Any], Callable[[Any, Any], None]]] = {
    "GET_api_v5_public_time": (lambda api, answer: api.server_time(), check_time),
    "GET_api_v5_public_instruments": (lambda api, answer: api.instruments(), check_instruments),
    "GET_api_v5_market_ticker": (lambda api, answer: api.ticker(symbol_of(answer)), check_ticker),
    "GET_api_v5_market_books": (lambda api, answer: api.depth("BTC-USDT"), check_book),
    "GET_api_v5_market_candles": (lambda api, answer: api.klines("BTC-USDT", "1m"), check_bars),
    "GET_api_v5_market_history-candles": (lambda api, answer: api.klines("BTC-USDT", "1m"), check_bars),
    "GET_api_v5_market_trades": (lambda api, answer: api.trades("BTC-USDT"), check_trades),
    "GET_api_v5_market_history-trades": (lambda api, answer: api.trades("BTC-USDT"), check_trades),
    "GET_api_v5_trade_order": (lambda api, answer: api.query("BTC-USDT", order_id="1"), check_orders),
    "GET_api_v5_trade_orders-pending": (lambda api, answer: api.open_orders(), check_orders),
    "GET_api_v5_trade_orders-history": (lambda api, answer: api.orders("BTC-USDT"), check_orders),
    "GET_api_v5_trade_orders-history-archive": (lambda api, answer: api.orders("BTC-USDT"), check_orders),
    "GET_api_v5_trade_fills": (lambda api, answer: api.fills("BTC-USDT"), check_fills),
    "GET_api_v5_trade_fills-history": (lambda api, answer: api.fills("BTC-USDT"), check_fills),
    "GET_api_v5_account_balance": (lambda api, answer: api.account(), check_account),
    "GET_api_v5_account_positions": (lambda api, answer: api.positions(), check_positions),
    "POST_api_v5_trade_order": (lambda api, answer: api.place(REQUEST), check_placed),
}
"""What asks an endpoint, and what compares; without the endpoints that the API does not have."""

READ_ALONE: dict[str, Any] = {
    "GET_api_v5_market_tickers": rest_wire.Envelope[wire.Ticker],
    "GET_api_v5_account_config": rest_endpoints.CONFIG.result,
    "POST_api_v5_trade_cancel-order": rest_endpoints.CANCEL.result,
    "POST_api_v5_trade_cancel-batch-orders": rest_endpoints.CANCEL_BATCH.result,
    "POST_api_v5_trade_batch-orders": rest_endpoints.PLACE.result,
    "POST_api_v5_trade_amend-order": rest_endpoints.PLACE.result,
    "POST_api_v5_trade_amend-batch-orders": rest_endpoints.PLACE.result,
    "GET_api_v5_public_funding-rate": rest_wire.Envelope[wire.FundingRate],
    "GET_api_v5_public_mark-price": rest_wire.Envelope[wire.MarkPrice],
}
"""Endpoints whose answers have a type here, and become a container only together with others, or not at all."""


async def _ask(answer: Answer) -> Any:
    """Return what the API makes of an answer."""
    kind = kind_of(answer)
    answers: list[Answer | str] = [answer]
    if kind is OkxOptionApi:  # which asks for the underlyings first
        answers = ['{"code":"0","msg":"","data":[["BTC-USD"]]}', answer]
    if answer.endpoint in ("GET_api_v5_trade_orders-history", "GET_api_v5_trade_orders-history-archive"):
        answers = ['{"code":"0","msg":"","data":[]}', answer]  # there are no open ones
    async with kind(CREDENTIALS, transport=FakeTransport(*answers)) as api:
        return await CALLS[answer.endpoint][0](api, answer)


def ask(answer: Answer) -> Any:
    """Return what the API makes of an answer. What is read is the same on every loop."""
    return anyio.run(_ask, answer)


def test_every_recorded_answer_becomes_containers() -> None:
    """Each recorded answer of an endpoint that the API asks says the same as its containers."""
    answers = [answer for answer in all_recorded("okx") if answer.endpoint in CALLS]
    assert 22 == len(answers)
    for answer in answers:
        CALLS[answer.endpoint][1](answer.json["data"], ask(answer))


def test_every_other_recorded_answer_can_be_read() -> None:
    """The answers of all other endpoints are read: some as what there is a type for, the others as the envelope."""
    others = [answer for answer in all_recorded("okx") if answer.endpoint not in CALLS and answer.endpoint != "errors"]
    typed = 0
    for answer in others:
        body = answer.text.encode()
        envelope = decode_body(body, rest_wire.Failure, exchange_name="OKX", what=answer.endpoint)
        assert (answer.json["code"], answer.json["data"]) == (envelope.code, msgspec.json.decode(envelope.data))
        if answer.endpoint in READ_ALONE:
            found = decode_body(body, READ_ALONE[answer.endpoint], exchange_name="OKX", what=answer.endpoint)
            assert len(answer.json["data"]) == len(found.data)
        assert read_okx_error(answer.status, body) is None
        typed += answer.endpoint in READ_ALONE
    assert (107, 9) == (len(others), typed)


async def place(answer: Answer) -> None:
    """Place an order, and get an answer."""
    async with OkxSpotApi(CREDENTIALS, transport=FakeTransport(answer)) as api:
        await api.place(REQUEST)


def test_recorded_errors_have_their_classes() -> None:
    """Each recorded error is the exception of its class."""
    answers = [answer for answer in all_recorded("okx") if answer.endpoint == "errors"]
    for answer, expected in zip(answers, (RateLimitError, AuthenticationError), strict=True):
        with pytest.raises(expected):
            anyio.run(place, answer)


def prices(found: Any) -> dict[str, Any]:
    """Return a ticker in the other library's words."""
    return {
        "bid": found.bid_price,
        "ask": found.ask_price,
        "last": found.last_price,
        "open": found.open_price,
        "timestamp": found.server_time // MS,
    }


def bars(found: Any) -> Any:
    """Return bars in the other library's form."""
    rows = [
        [bar.open_time // MS, bar.open_price, bar.high_price, bar.low_price, bar.close_price, bar.volume]
        for bar in found
    ]
    return sorted(rows)  # in the documentation's example, both have the same time


def fills(found: Any) -> Any:
    """Return fills in the other library's words."""
    return [
        {
            "id": fill.trade_id,
            "order": fill.order_id,
            "side": fill.trade_side.value,
            "takerOrMaker": fill.trade_type.value,
            "price": float(fill.trade_price),
            "amount": float(fill.trade_volume),
            "fee": {"currency": fill.trade_fee_symbol, "cost": float(fill.trade_fee)},
        }
        for fill in found
    ]


def orders(found: Any) -> Any:
    """Return orders in the other library's words."""
    return [
        {
            "id": order.order_id,
            "side": order.order_side.value,
            "filled": float(order.executed_qty),
            "timestamp": order.order_time // MS,
        }
        for order in (found if isinstance(found, list) else [found])
    ]


CROSS_CHECKS: dict[str, Callable[[Any], Any]] = {
    "fetch_time": lambda found: found // MS,
    "fetch_ticker": prices,
    "fetch_ohlcv": bars,
    "fetch_trades": lambda found: [{"id": each.trade_id, "price": each.trade_price} for each in found],
    "fetch_my_trades": fills,
    "fetch_order": orders,
    "fetch_open_orders": orders,
    "fetch_positions": lambda found: [{"id": each.position_id, "entryPrice": float(each.avg_price)} for each in found],
}
"""What puts a result in the other library's words, by its method."""


def is_part(found: Any, expected: Any) -> None:
    """Compare what both have."""
    if isinstance(found, dict):
        for name, value in found.items():
            is_part(value, expected[name])
    elif isinstance(found, list) and found and isinstance(found[0], dict):
        for row, other in zip(found, expected if isinstance(expected, list) else [expected], strict=True):
            is_part(row, other)
    else:
        assert expected == found


def test_recorded_answers_say_the_same_to_another_library() -> None:
    """Where another library has read the same answer, both found the same."""
    expected = expectations("okx", "rest")
    compared = 0
    for answer in all_recorded("okx"):
        row = expected.get((answer.endpoint, answer.index), {"method": ""})
        if row["method"] in CROSS_CHECKS:
            is_part(CROSS_CHECKS[row["method"]](ask(answer)), row["normalized"])
            compared += 1
    assert 8 == compared


def test_recorded_instruments_say_the_same_to_another_library() -> None:
    """Ticks and steps of the recorded instruments are what another library found."""
    answers = [answer for answer in all_recorded("okx") if answer.endpoint == "GET_api_v5_public_instruments"]
    found = {each.internal: each for answer in answers[1:] for each in ask(answer)}
    compared = 0
    for row in instruments_of_another_library("okx"):
        instrument = found.get(row["id"])
        if instrument is None or instrument.tick_size is None or instrument.step_size is None:
            continue
        assert (row["precision"]["price"], row["precision"]["amount"]) == (
            float(instrument.tick_size),
            float(instrument.step_size),
        )
        compared += 1
    assert compared > 10
