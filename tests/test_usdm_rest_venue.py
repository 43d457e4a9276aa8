"""Binance's simulated USD-M futures over REST: forms, rules, positions, listen keys, and events of the same orders."""

from __future__ import annotations

from contextlib import asynccontextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest

from bt_api_base.containers import Order, OrderStatus, Position
from bt_api_base.testing.market import MarketSpec
from bt_api_base.testing.rest_clock import LoopClock
from bt_api_base.testing.usdm_venue import SimulatedUsdmVenue
from bt_api_base.venues.binance import BinanceUsdmAdapter
from bt_api_base.websocket_manager import WebSocketConfig, WebSocketManager
from tests.binance_rest_client import SignedClient

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

pytestmark = pytest.mark.anyio

ORDER = "/fapi/v1/order"
SPEC = MarketSpec("BTC-USDT-SWAP", 61_837_60000000, 10_000_000, 100_000)
START_MS = 1_767_225_600_000


@asynccontextmanager
async def ground(**options: Any) -> AsyncGenerator[tuple[SimulatedUsdmVenue, SignedClient]]:
    """Run a venue that stands still, and a client of it in memory."""
    settings = {"seed": 1, "paused": True, "listen": False, "clock_ns": LoopClock(), **options}
    async with SimulatedUsdmVenue((SPEC,), **settings) as venue, SignedClient(venue) as client:
        yield venue, client


def limit(side: str = "BUY", quantity: str = "0.01", price: str = "60000", **more: Any) -> dict[str, Any]:
    """Return the parameters of a limit order."""
    terms = {"symbol": "BTCUSDT", "side": side, "type": "LIMIT", "timeInForce": "GTC"}
    return {**terms, "quantity": quantity, "price": price, **more}


def market(side: str = "BUY", quantity: str = "0.1", **more: Any) -> dict[str, Any]:
    """Return the parameters of a market order."""
    return {"symbol": "BTCUSDT", "side": side, "type": "MARKET", "quantity": quantity, **more}


async def test_public_endpoints_tell_of_the_same_market() -> None:
    """Contracts, book, trades, bars, tickers and mark price."""
    async with ground() as (venue, client):
        await venue.step(40)
        best = venue.markets["BTC-USDT-SWAP"].best
        info = (await client.get("/fapi/v1/exchangeInfo"))["symbols"][0]
        assert ("BTCUSDT", "PERPETUAL", "USDT", 1, 3) == tuple(
            info[name] for name in ("symbol", "contractType", "marginAsset", "pricePrecision", "quantityPrecision")
        )
        filters = {row["filterType"]: row for row in info["filters"]}
        assert ("0.1", "0.001", "5") == (
            filters["PRICE_FILTER"]["tickSize"],
            filters["LOT_SIZE"]["stepSize"],
            filters["MIN_NOTIONAL"]["notional"],
        )
        book = await client.get("/fapi/v1/depth", symbol="BTCUSDT", limit=5)
        assert best.bid_price == int(Decimal(book["bids"][0][0]) * 10**8)
        assert {"E", "T", "lastUpdateId"} < set(book)
        assert -1130 == (await client.get("/fapi/v1/depth", symbol="BTCUSDT", limit=7))["code"]
        assert -1120 == (await client.get("/fapi/v1/klines", symbol="BTCUSDT", interval="1s"))["code"]
        assert 1500 == len(await client.get("/fapi/v1/klines", symbol="BTCUSDT", interval="1m", limit=1500))
        assert "isBestMatch" not in (await client.get("/fapi/v1/trades", symbol="BTCUSDT"))[-1]
        assert "M" not in (await client.get("/fapi/v1/aggTrades", symbol="BTCUSDT"))[-1]
        day = await client.get("/fapi/v1/ticker/24hr", symbol="BTCUSDT")
        assert "bidPrice" not in day
        (quote,) = await client.get("/fapi/v1/ticker/bookTicker")
        assert best.ask_price == int(Decimal(quote["askPrice"]) * 10**8)
        mark = await client.get("/fapi/v1/premiumIndex", symbol="BTCUSDT")
        assert best.bid_price < Decimal(mark["markPrice"]) * 10**8 < best.ask_price
        unknown = await client.http.get("/fapi/v1/nothing")
        assert (404, -5000) == (unknown.status_code, unknown.json()["code"])


async def test_a_position_is_opened_reduced_and_closed() -> None:
    """Balance, account, position and fills say the same, to the last digit."""
    async with ground(balances={"USDT": "10000"}) as (venue, client):
        opened = await client.json("POST", ORDER, **market("SELL", newOrderRespType="RESULT"))
        assert ("FILLED", "0.1") == (opened["status"], opened["executedQty"])
        (position,) = await client.json("GET", "/fapi/v3/positionRisk")
        assert ("-0.1", "BOTH") == (position["positionAmt"], position["positionSide"])
        assert Decimal(opened["avgPrice"]) == Decimal(position["entryPrice"])
        await client.json("POST", ORDER, **market("BUY", "1", reduceOnly="true"))
        assert [] == await client.json("GET", "/fapi/v3/positionRisk")
        refused = (400, -2022, "ReduceOnly Order is rejected.")
        assert refused == await client.error("POST", ORDER, **market("BUY", reduceOnly="true"))
        fills = await client.json("GET", "/fapi/v1/userTrades", symbol="BTCUSDT")
        bought = [fill for fill in fills if fill["buyer"]]
        assert Decimal("0.1") == sum(Decimal(fill["qty"]) for fill in bought)
        won = sum(Decimal(fill["realizedPnl"]) - Decimal(fill["commission"]) for fill in fills)
        (balance,) = await client.json("GET", "/fapi/v3/balance")
        assert 10_000 + won == Decimal(balance["balance"]) == venue.exchange.balances["USDT"].total
        account = await client.json("GET", "/fapi/v3/account")
        assert balance["balance"] == account["totalWalletBalance"] == account["availableBalance"]


async def test_an_acknowledgement_tells_nothing_of_what_happened() -> None:
    """Orders are NEW in it, even where they are filled at once."""
    async with ground() as (_, client):
        answer = await client.json("POST", ORDER, **market(newClientOrderId="a.b/c:d"))
        assert ("NEW", "0") == (answer["status"], answer["executedQty"])
        assert not {"avgPrice", "cumQuote"} & set(answer)
        order = await client.json("GET", ORDER, symbol="BTCUSDT", origClientOrderId="a.b/c:d")
        assert "FILLED" == order["status"]
        assert -2013 == (await client.error("GET", "/fapi/v1/openOrder", symbol="BTCUSDT", orderId=order["orderId"]))[1]


@pytest.mark.parametrize(
    ("params", "code"),
    [
        (limit(price="60000.01"), -4014),
        (limit(price="0.01"), -4013),
        (limit(price="99999999"), -4002),
        (limit(quantity="0.0001"), -4003),
        (limit(quantity="0.0011"), -1111),
        (limit(quantity="0.001", price="100"), -4164),
        (limit(newClientOrderId="a b"), -4015),
        (limit(newClientOrderId="taken"), -4116),
        (limit(timeInForce="GTX", price="70000"), -5022),
        (limit(timeInForce="GTT"), -1115),
        (limit(type="STOP_MARKET"), -4120),
        (limit(type="LIMIT_MAKER"), -1116),
        (limit(positionSide="LONG"), -4061),
        (limit(symbol="BTCUSD"), -1121),
        (limit(quantity="100"), -2019),
        (market(price="1"), -1106),
    ],
)
async def test_a_wrong_order_is_refused_under_the_venues_code(params: dict[str, Any], code: int) -> None:
    """Nothing changes by it."""
    async with ground() as (venue, client):
        await client.signed("POST", ORDER, **limit(newClientOrderId="taken"))
        assert (400, code) == (await client.error("POST", ORDER, **params))[:2]
        assert 1 == len(venue.exchange.orders)


async def test_orders_are_amended_listed_and_canceled() -> None:
    """By either id, one or all."""
    async with ground() as (_, client):
        first = await client.json("POST", ORDER, **limit(newClientOrderId="a"))
        await client.json("POST", ORDER, **limit(newClientOrderId="b"))
        amended = await client.json("PUT", ORDER, **limit(price="60001", quantity="0.02", origClientOrderId="a"))
        assert ("60001", "0.02", "NEW") == tuple(amended[name] for name in ("price", "origQty", "status"))
        names = [order["clientOrderId"] for order in await client.json("GET", "/fapi/v1/openOrders", symbol="BTCUSDT")]
        assert ["a", "b"] == names
        gone = await client.json("DELETE", ORDER, symbol="BTCUSDT", orderId=first["orderId"])
        assert ("a", "CANCELED", "0") == tuple(gone[name] for name in ("clientOrderId", "status", "executedQty"))
        assert -2011 == (await client.error("DELETE", ORDER, symbol="BTCUSDT", origClientOrderId="a"))[1]
        assert 200 == (await client.json("DELETE", "/fapi/v1/allOpenOrders", symbol="BTCUSDT"))["code"]
        orders = await client.json("GET", "/fapi/v1/allOrders", symbol="BTCUSDT", orderId=first["orderId"])
        assert ["CANCELED", "CANCELED"] == [order["status"] for order in orders]
        long = {"startTime": START_MS, "endTime": START_MS + 8 * 86_400_000}
        assert -1127 == (await client.error("GET", "/fapi/v1/allOrders", symbol="BTCUSDT", **long))[1]


async def test_every_order_counts_and_weights_are_the_futures() -> None:
    """Orders weigh nothing, and count whether or not they are filled."""
    async with ground(order_limits=(2, 5)) as (_, client):
        reply = await client.signed("POST", ORDER, **market())
        headers = reply.headers
        assert ("1", "1", "0") == (
            headers["x-mbx-order-count-10s"],
            headers["x-mbx-order-count-1m"],
            headers["x-mbx-used-weight-1m"],
        )
        await client.signed("POST", ORDER, **market())
        assert (429, -1015) == (await client.error("POST", ORDER, **market()))[:2]
        reply = await client.http.get("/fapi/v1/klines?symbol=BTCUSDT&interval=1m&limit=1000")
        assert "5" == reply.headers["x-mbx-used-weight-1m"]


async def test_of_three_kinds_of_503_the_first_says_nothing() -> None:
    """It is the one whose orders are to be asked for."""
    async with ground() as (venue, client):
        venue.rest.fail(503, done=True)
        assert (503, -1000) == (await client.error("POST", ORDER, **limit(newClientOrderId="a")))[:2]
        assert "NEW" == (await client.json("GET", ORDER, symbol="BTCUSDT", origClientOrderId="a"))["status"]


async def test_the_way_of_an_account_over_sockets() -> None:
    """A listen key over REST, the stream with it, and on it what orders over REST do."""
    async with (
        SimulatedUsdmVenue((SPEC,), seed=1, paused=True) as venue,
        SignedClient(venue, in_memory=False) as client,
        WebSocketManager() as manager,
    ):
        settings = WebSocketConfig(venue.url, venue.exchange_name, credentials=venue.credentials)
        await manager.add_exchange(settings, adapter=lambda _: BinanceUsdmAdapter(rest_url=venue.rest_url))
        orders = await manager.subscribe(venue.exchange_name, "order", "")
        positions = await manager.subscribe(venue.exchange_name, "position", "")
        assert venue.rest.log.count("POST", "/fapi/v1/listenKey")
        await client.signed("POST", ORDER, **market("SELL", "0.002", newClientOrderId="a"))
        with anyio.fail_after(10):
            events = [await orders.receive() for _ in range(2)]
            position = await positions.receive()
        assert all(isinstance(event, Order) for event in events)
        assert [OrderStatus.ACCEPTED, OrderStatus.COMPLETED] == [event.order_status for event in events]
        assert isinstance(position, Position)
        await venue.kill()
        with pytest.raises(httpx.TransportError):
            await client.get("/fapi/v1/ping")
