"""Binance's simulated spot market over REST: forms, rules, limits, faults, and events of the same orders."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest

from bt_api_base.containers import Balance, Order, OrderStatus
from bt_api_base.security import Credentials
from bt_api_base.testing.rest_clock import LoopClock
from bt_api_base.testing.simulated_venue import SimulatedVenue
from bt_api_base.venues.binance import BinanceSpotAdapter
from bt_api_base.websocket_manager import WebSocketConfig, WebSocketManager
from tests.binance_rest_client import SignedClient
from tests.corpora import corpora_path
from tests.test_binance_private import ED25519

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable

pytestmark = pytest.mark.anyio

ORDER = "/api/v3/order"
MINUTE = 60_000
START_MS = 1_767_225_600_000
"""Where `LoopClock` begins: a Thursday, 2026-01-01."""


@asynccontextmanager
async def ground(**options: Any) -> AsyncGenerator[tuple[SimulatedVenue, SignedClient]]:
    """Run a venue that stands still, and a client of it in memory."""
    settings = {"seed": 1, "paused": True, "listen": False, "clock_ns": LoopClock(), **options}
    async with SimulatedVenue(("BTC-USDT",), **settings) as venue, SignedClient(venue) as client:
        yield venue, client


def limit(side: str = "BUY", quantity: str = "0.01", price: str = "60000", **more: Any) -> dict[str, Any]:
    """Return the parameters of a limit order."""
    terms = {"symbol": "BTCUSDT", "side": side, "type": "LIMIT", "timeInForce": "GTC"}
    return {**terms, "quantity": quantity, "price": price, **more}


def post_only(**more: Any) -> dict[str, Any]:
    """Return the parameters of an order that does not take."""
    return {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT_MAKER", "quantity": "0.01", "price": "60000", **more}


def market(side: str = "BUY", **more: Any) -> dict[str, Any]:
    """Return the parameters of a market order."""
    return {"symbol": "BTCUSDT", "side": side, "type": "MARKET", **more}


def recorded(name: str) -> list[Any]:
    """Return the recorded answers of an endpoint, newer forms first."""
    path = corpora_path() / "public" / "rest" / "binance_spot" / f"{name}.json"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    return [json.loads(case["body"]) for case in json.loads(path.read_text())["cases"]]


def keys_of(rows: Iterable[Any]) -> set[str]:
    """Return the names in the first row, or in the object."""
    first = rows[0] if isinstance(rows, list) else rows
    return set(first)


# -- everybody's ------------------------------------------------------------------------------------


async def test_public_answers_have_the_recorded_names() -> None:
    """What the venue's documentation shows of each endpoint is there under the same names."""
    async with ground() as (venue, client):
        await venue.step(40)
        asked: tuple[tuple[str, dict[str, Any]], ...] = (
            ("time", {}),
            ("depth", {"symbol": "BTCUSDT"}),
            ("trades", {"symbol": "BTCUSDT"}),
            ("historicalTrades", {"symbol": "BTCUSDT"}),
            ("aggTrades", {"symbol": "BTCUSDT"}),
            ("avgPrice", {"symbol": "BTCUSDT"}),
            ("ticker/24hr", {"symbol": "BTCUSDT"}),
            ("ticker/price", {"symbol": "BTCUSDT"}),
            ("ticker/bookTicker", {"symbol": "BTCUSDT"}),
        )
        for name, params in asked:
            wanted = keys_of(recorded(f"GET_api_v3_{name.replace('/', '_')}")[0])
            assert wanted <= keys_of(await client.get(f"/api/v3/{name}", **params)), name
        info = await client.get("/api/v3/exchangeInfo")
        documented = recorded("GET_api_v3_exchangeInfo")[0]
        assert keys_of(documented) <= keys_of(info)
        assert keys_of(documented["symbols"]) <= keys_of(info["symbols"])
        bars = await client.get("/api/v3/klines", symbol="BTCUSDT", interval="1m", limit=3)
        assert [12, 12, 12] == [len(bar) for bar in bars]


async def test_the_book_is_the_streams_book() -> None:
    """Numbers and levels are the market's."""
    async with ground() as (venue, client):
        await venue.step(30)
        book = await client.get("/api/v3/depth", symbol="BTCUSDT", limit=5)
        snapshot = venue.markets["BTC-USDT"].depth(5)
        assert snapshot.last_update_id == book["lastUpdateId"]
        assert [price for price, _ in snapshot.bids] == [int(Decimal(price) * 10**8) for price, _ in book["bids"]]
        best = await client.get("/api/v3/ticker/bookTicker", symbols='["BTCUSDT"]')
        assert book["asks"][0] == [best[0]["askPrice"], best[0]["askQty"]]


@pytest.mark.parametrize(("interval", "minutes"), [("1m", 1), ("5m", 5), ("1h", 60), ("1d", 1440)])
async def test_bars_can_be_paged_from_before_the_venue_was_there(interval: str, minutes: int) -> None:
    """Pages follow each other without a gap, each bar opens where the one before closed, and all are the same again."""
    async with ground() as (venue, client):
        await venue.step(30)
        bars: list[Any] = []
        start = START_MS - 250 * minutes * MINUTE
        while True:
            page = await client.get("/api/v3/klines", symbol="BTCUSDT", interval=interval, startTime=start, limit=100)
            bars += page
            if len(page) < 100:
                break
            start = page[-1][6] + 1
        assert [START_MS + (i - 250) * minutes * MINUTE for i in range(251)] == [bar[0] for bar in bars]
        assert [bar[4] for bar in bars[:-1]] == [bar[1] for bar in bars[1:]]
        assert all(Decimal(bar[3]) <= Decimal(bar[1]) <= Decimal(bar[2]) for bar in bars)
        before = await client.get("/api/v3/klines", symbol="BTCUSDT", interval=interval, endTime=start - 1, limit=10)
        assert bars[190:200] == before
    async with ground() as (_, client):
        assert before == await client.get(
            "/api/v3/klines", symbol="BTCUSDT", interval=interval, endTime=start - 1, limit=10
        )


async def test_long_bars_are_what_short_ones_add_up_to() -> None:
    """An hour's bar has its minutes' extremes and volumes; a bar in another time zone begins there."""
    async with ground() as (_, client):
        hour, *_ = await client.get("/api/v3/klines", symbol="BTCUSDT", interval="1h", startTime=START_MS - 60 * MINUTE)
        minutes = await client.get(
            "/api/v3/klines", symbol="BTCUSDT", interval="1m", startTime=hour[0], endTime=hour[6], limit=1000
        )
        assert 60 == len(minutes)
        assert max(Decimal(bar[2]) for bar in minutes) == Decimal(hour[2])
        assert min(Decimal(bar[3]) for bar in minutes) == Decimal(hour[3])
        for column in (5, 7, 8, 9, 10):
            assert sum(Decimal(bar[column]) for bar in minutes) == Decimal(hour[column])
        (day,) = await client.get("/api/v3/klines", symbol="BTCUSDT", interval="1d", timeZone="8", limit=1)
        assert START_MS - 8 * 60 * MINUTE == day[0]
        assert [] == await client.get("/api/v3/klines", symbol="BTCUSDT", interval="1d", endTime=START_MS // 2)


async def test_trades_can_be_followed_back() -> None:
    """By number and by time, over the beginning of the market."""
    async with ground() as (venue, client):
        await venue.step(60)
        recent = await client.get("/api/v3/trades", symbol="BTCUSDT", limit=1000)
        assert 1000 == len(recent)
        assert list(range(recent[0]["id"], recent[0]["id"] + 1000)) == [trade["id"] for trade in recent]
        assert venue.markets["BTC-USDT"].last_trade_id == recent[-1]["id"]
        times = [trade["time"] for trade in recent]
        assert sorted(times) == times
        old = await client.get("/api/v3/historicalTrades", symbol="BTCUSDT", fromId=recent[0]["id"] - 5, limit=10)
        assert recent[:5] == old[5:]
        grouped = await client.get("/api/v3/aggTrades", symbol="BTCUSDT", limit=1000)
        assert grouped[:9] == await client.get("/api/v3/aggTrades", symbol="BTCUSDT", fromId=grouped[0]["a"], limit=9)
        since = await client.get("/api/v3/aggTrades", symbol="BTCUSDT", startTime=START_MS - 3_600_000, limit=2)
        assert START_MS - 3_600_000 == since[0]["T"]
        until = await client.get("/api/v3/aggTrades", symbol="BTCUSDT", endTime=START_MS - 3_600_000, limit=2)
        assert START_MS - 3_600_000 == until[-1]["T"]


# -- orders -----------------------------------------------------------------------------------------


async def test_private_answers_have_the_recorded_names() -> None:
    """What the venue's documentation shows of each endpoint is there under the same names."""
    async with ground() as (_, client):
        placed = await client.json("POST", ORDER, **limit(newClientOrderId="a"))
        assert keys_of(recorded("POST_api_v3_order")[0]) <= keys_of(placed)
        bought = await client.json("POST", ORDER, **market(quantity="0.01"))
        wanted = recorded("POST_api_v3_order")[0]["fills"]
        assert keys_of(wanted) <= keys_of(bought["fills"])
        symbol = {"symbol": "BTCUSDT"}
        for name, params in (
            ("order", {**symbol, "origClientOrderId": "a"}),
            ("openOrders", symbol),
            ("allOrders", symbol),
            ("myTrades", symbol),
            ("account", {}),
            ("account/commission", symbol),
            ("rateLimit/order", {}),
        ):
            answer = await client.json("GET", f"/api/v3/{name}", **params)
            assert keys_of(recorded(f"GET_api_v3_{name.replace('/', '_')}")[0]) <= keys_of(answer), name
        canceled = await client.json("DELETE", ORDER, **symbol, origClientOrderId="a", newClientOrderId="c")
        assert keys_of(recorded("DELETE_api_v3_order")[0]) <= keys_of(canceled)
        assert ("a", "c", "CANCELED") == tuple(
            canceled[name] for name in ("origClientOrderId", "clientOrderId", "status")
        )


async def test_an_order_lives_from_new_to_filled_by_the_crowd() -> None:
    """It rests, is filled in parts by public trades at its price, and the account has the rest of it to the digit."""
    async with ground() as (venue, client):
        best = venue.markets["BTC-USDT"].best.bid_price
        price = Decimal(best).scaleb(-8)
        placed = await client.json("POST", ORDER, **limit(quantity="1", price=str(price)))
        assert "NEW" == placed["status"]
        while venue.exchange.open_orders():
            await venue.step(20)
        order = await client.json("GET", ORDER, symbol="BTCUSDT", orderId=placed["orderId"])
        assert ("FILLED", "1.00000000") == (order["status"], order["executedQty"])
        fills = await client.json("GET", "/api/v3/myTrades", symbol="BTCUSDT", orderId=placed["orderId"])
        assert Decimal(1) == sum(Decimal(fill["qty"]) for fill in fills)
        assert all(fill["isMaker"] and fill["isBuyer"] for fill in fills)
        account = await client.json("GET", "/api/v3/account")
        held = {row["asset"]: (Decimal(row["free"]), Decimal(row["locked"])) for row in account["balances"]}
        fees = sum(Decimal(fill["commission"]) for fill in fills)
        assert (11 - fees, Decimal(0)) == held["BTC"]
        assert (100_000 - sum(Decimal(fill["quoteQty"]) for fill in fills), Decimal(0)) == held["USDT"]


@pytest.mark.parametrize(
    ("params", "code", "words"),
    [
        (limit(price="60000.001"), -1013, "Filter failure: PRICE_FILTER"),
        (limit(price="60000.000000001"), -1111, "Parameter 'price' has too much precision."),
        (limit(quantity="0.000001"), -1013, "Filter failure: LOT_SIZE"),
        (limit(quantity="0.00001"), -1013, "Filter failure: NOTIONAL"),
        (limit(quantity="0"), -1013, "Invalid quantity."),
        (limit(price="1e3"), -1100, "Illegal characters found in parameter 'price'; legal range is "),
        (limit(newClientOrderId="a.b"), -1100, "Illegal characters found in parameter 'newClientOrderId'; legal"),
        (limit(side="HOLD"), -1117, "Invalid side."),
        (limit(type="LIMITED"), -1116, "Invalid orderType."),
        (limit(type="STOP_LOSS"), -1013, "Stop loss orders are not supported for this symbol."),
        (limit(timeInForce="GTX"), -1115, "Invalid timeInForce."),
        (limit(symbol="BTCUSD"), -1121, "Invalid symbol."),
        (limit(symbol=""), -1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed."),
        (limit(quantity="9"), -2010, "Account has insufficient balance for requested action."),
        (limit(newClientOrderId="taken"), -2010, "Duplicate order sent."),
        (post_only(price="70000"), -2010, "Order would immediately match and take."),
        (post_only(timeInForce="GTC"), -1106, "Parameter 'timeInForce' sent when not required."),
        (market(), -1102, "Mandatory parameter 'quantity' was not sent, was empty/null, or malformed."),
        (market(quantity="1", quoteOrderQty="1"), -1128, "Combination of optional parameters invalid."),
        (market(quantity="1", price="1"), -1106, "Parameter 'price' sent when not required."),
        (
            market(quantity="1", newOrderRespType="ALL"),
            -1130,
            "Data sent for parameter 'newOrderRespType' is not valid",
        ),
    ],
)
async def test_a_wrong_order_is_refused_in_the_venues_words(params: dict[str, Any], code: int, words: str) -> None:
    """Nothing changes by it, and it costs its weight."""
    async with ground() as (venue, client):
        await client.signed("POST", ORDER, **limit(newClientOrderId="taken"))
        status, found, text = await client.error("POST", ORDER, **params)
        assert (400, code) == (status, found)
        assert text.startswith(words)
        assert 1 == len(venue.exchange.orders)


async def test_orders_that_are_not_there_are_not_found() -> None:
    """In other words for a query and for a cancel."""
    async with ground() as (_, client):
        names = {"symbol": "BTCUSDT", "origClientOrderId": "nobody"}
        assert (400, -2013, "Order does not exist.") == await client.error("GET", ORDER, **names)
        assert (400, -2011, "Unknown order sent.") == await client.error("DELETE", ORDER, **names)
        assert (400, -2011, "Unknown order sent.") == await client.error(
            "DELETE", "/api/v3/openOrders", symbol="BTCUSDT"
        )
        assert -1102 == (await client.error("GET", ORDER, symbol="BTCUSDT"))[1]


async def test_times_in_force_and_kinds_of_answers() -> None:
    """IOC and FOK leave nothing in the book; ACK, RESULT and FULL say as much as they are called."""
    async with ground() as (venue, client):
        ask = Decimal(venue.markets["BTC-USDT"].best.ask_price).scaleb(-8)
        displayed = Decimal(venue.markets["BTC-USDT"].best.ask_quantity).scaleb(-8)
        some = await client.json("POST", ORDER, **limit(price=str(ask), quantity="1", timeInForce="IOC"))
        assert ("EXPIRED", f"{displayed:.8f}") == (some["status"], some["executedQty"])
        none = await client.json("POST", ORDER, **limit(price=str(ask), quantity="1", timeInForce="FOK"))
        assert ("EXPIRED", "0.00000000") == (none["status"], none["executedQty"])
        brief = await client.json("POST", ORDER, **post_only())
        assert {"symbol", "orderId", "orderListId", "clientOrderId", "transactTime"} == set(brief)
        result = await client.json("POST", ORDER, **limit(newOrderRespType="RESULT"))
        assert "fills" not in result
        assert "NEW" == result["status"]
        spent = await client.json("POST", ORDER, **market(quoteOrderQty="100"))
        assert Decimal(99) < Decimal(spent["cummulativeQuoteQty"]) <= Decimal(100)
        assert {} == await client.json("POST", f"{ORDER}/test", **limit())
        assert -1013 == (await client.error("POST", f"{ORDER}/test", **limit(price="1.001")))[1]


async def test_replacing_succeeds_fails_or_does_half_of_it() -> None:
    """Each of the four ends has its status, and says what became of either order."""
    path = f"{ORDER}/cancelReplace"
    async with ground() as (venue, client):
        stop = {"cancelReplaceMode": "STOP_ON_FAILURE"}
        await client.signed("POST", ORDER, **limit(newClientOrderId="a"))
        both = await client.signed(
            "POST", path, **limit(price="60001", newClientOrderId="b"), **stop, cancelOrigClientOrderId="a"
        )
        assert (200, "SUCCESS", "SUCCESS") == (both.status_code, *_results(both.json()))
        neither = await client.signed("POST", path, **limit(), **stop, cancelOrigClientOrderId="a")
        assert (400, -2022) == (neither.status_code, neither.json()["code"])
        assert ("FAILURE", "NOT_ATTEMPTED") == _results(neither.json()["data"])
        half = await client.signed("POST", path, **limit(quantity="9"), **stop, cancelOrigClientOrderId="b")
        assert (409, -2021) == (half.status_code, half.json()["code"])
        assert ("SUCCESS", "FAILURE") == _results(half.json()["data"])
        other = await client.signed(
            "POST", path, **limit(), cancelReplaceMode="ALLOW_FAILURE", cancelOrigClientOrderId="b"
        )
        assert (409, "FAILURE", "SUCCESS") == (other.status_code, *_results(other.json()["data"]))
        assert 1 == len(venue.exchange.open_orders())


def _results(body: dict[str, Any]) -> tuple[str, str]:
    return body["cancelResult"], body["newOrderResult"]


async def test_lists_are_paged_by_number_and_time() -> None:
    """From a number or a time on the oldest come first; without either the newest come."""
    async with ground() as (_, client):
        ids = [(await client.json("POST", ORDER, **limit()))["orderId"] for _ in range(5)]
        everything = await client.json("GET", "/api/v3/allOrders", symbol="BTCUSDT")
        assert ids == [order["orderId"] for order in everything]
        after = await client.json("GET", "/api/v3/allOrders", symbol="BTCUSDT", orderId=ids[1], limit=2)
        assert ids[1:3] == [order["orderId"] for order in after]
        newest = await client.json("GET", "/api/v3/allOrders", symbol="BTCUSDT", limit=2)
        assert ids[3:] == [order["orderId"] for order in newest]
        none = await client.json("GET", "/api/v3/allOrders", symbol="BTCUSDT", startTime=START_MS + 3_600_000)
        assert [] == none
        day = {"startTime": START_MS, "endTime": START_MS + 86_400_001}
        assert -1127 == (await client.error("GET", "/api/v3/allOrders", symbol="BTCUSDT", **day))[1]
        gone = await client.json("DELETE", "/api/v3/openOrders", symbol="BTCUSDT")
        assert ids == [order["orderId"] for order in gone]


# -- who asks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("credentials", [Credentials("key", "secret"), Credentials("key", ED25519)], ids=["HMAC", "Ed"])
async def test_signatures_are_checked_whatever_the_key(credentials: Credentials) -> None:
    """In the query or in the body; a changed request, another key and another time are refused."""
    async with ground(credentials=credentials) as (_, client):
        assert 200 == (await client.signed("POST", ORDER, **limit())).status_code
        assert 200 == (await client.signed("POST", ORDER, in_body=True, **limit())).status_code
        headers = {"X-MBX-APIKEY": credentials.api_key.reveal()}
        stamped = f"/api/v3/account?timestamp={client.now_ns() // 1_000_000}"
        for url, sent, code, status in (
            (f"{stamped}&signature=00", headers, -1022, 400),
            (stamped, headers, -1102, 400),
            ("/api/v3/account", headers, -1102, 400),
            (stamped, {}, -2014, 401),
            (stamped, {"X-MBX-APIKEY": "other"}, -2015, 401),
        ):
            reply = await client.http.get(url, headers=sent)
            assert (code, status) == (reply.json()["code"], reply.status_code)


async def test_the_venues_clock_decides() -> None:
    """More than a second ahead, or longer ago than the window: refused, and told apart by words."""
    async with ground() as (venue, client):
        venue.rest.skew(-2)
        assert "1000ms ahead" in (await client.error("GET", "/api/v3/account", timestamp=START_MS))[2]
        venue.rest.skew(6)
        status, code, words = await client.error("GET", "/api/v3/account", timestamp=START_MS)
        assert (400, -1021, "Timestamp for this request is outside of the recvWindow.") == (status, code, words)
        wide = {"timestamp": START_MS, "recvWindow": "60000"}
        assert 200 == (await client.signed("GET", "/api/v3/account", **wide)).status_code
        in_us = {"timestamp": START_MS * 1_000, "recvWindow": "6999.999"}
        assert 200 == (await client.signed("GET", "/api/v3/account", **in_us)).status_code
        assert -1131 == (await client.error("GET", "/api/v3/account", timestamp=START_MS, recvWindow=60001))[1]
        assert START_MS + 6_000 <= (await client.get("/api/v3/time"))["serverTime"] < START_MS + 7_000


# -- limits -----------------------------------------------------------------------------------------


@pytest.mark.virtual_time
async def test_weights_count_in_minutes_and_bans_grow() -> None:
    """Used weights are told; 429 lasts until the minute ends; who goes on is banned, and the next time for longer."""
    async with ground(weight_limit=100, ban_time=120.0) as (_, client):

        async def ask() -> httpx.Response:
            return await client.http.get("/api/v3/trades?symbol=BTCUSDT")

        used = [(await ask()).headers["x-mbx-used-weight-1m"] for _ in range(4)]
        assert ["25", "50", "75", "100"] == used
        refused = [await ask() for _ in range(3)]
        assert [429] * 3 == [reply.status_code for reply in refused]
        assert "60" == refused[0].headers["retry-after"]
        assert -1003 == refused[0].json()["code"]
        banned = await ask()
        assert (418, "120") == (banned.status_code, banned.headers["retry-after"])
        assert f"IP banned until {START_MS + 120_000}." in banned.json()["msg"]
        await anyio.sleep(119)
        assert 418 == (await client.http.get("/api/v3/ping")).status_code
        await anyio.sleep(1.1)
        assert 200 == (await ask()).status_code
        statuses = [(await ask()).status_code for _ in range(7)]
        assert [200, 200, 200, 429, 429, 429, 418] == statuses
        assert "240" == (await ask()).headers["retry-after"]


@pytest.mark.virtual_time
async def test_only_unfilled_orders_count() -> None:
    """An order that is filled gives its place back; the ten seconds end with the clock's."""
    async with ground(order_limits=(2, 100)) as (_, client):
        first = await client.signed("POST", ORDER, **limit())
        assert ("1", "1") == (first.headers["x-mbx-order-count-10s"], first.headers["x-mbx-order-count-1d"])
        filled = await client.signed("POST", ORDER, **market(quantity="0.01"))
        assert "1" == filled.headers["x-mbx-order-count-10s"]
        assert "0" == filled.headers["x-mbx-used-weight-1m"]
        await client.signed("POST", ORDER, **limit())
        words = "Too many new orders; current limit is 2 orders per 10 SECOND."
        assert (429, -1015, words) == await client.error("POST", ORDER, **limit())
        await anyio.sleep(10)
        assert 200 == (await client.signed("POST", ORDER, **limit())).status_code


# -- faults -----------------------------------------------------------------------------------------


async def test_a_lost_answer_leaves_an_order_that_can_be_found() -> None:
    """The order is there, sent once, and asking by its id finds it; sent again under its id it is refused."""
    async with ground() as (venue, client):
        venue.rest.lose_replies(match="POST /api/v3/order")
        with pytest.raises(httpx.TransportError):
            await client.signed("POST", ORDER, **limit(newClientOrderId="lost"))
        found = await client.json("GET", ORDER, symbol="BTCUSDT", origClientOrderId="lost")
        assert "NEW" == found["status"]
        assert 1 == venue.rest.log.placed("lost")
        assert -2010 == (await client.error("POST", ORDER, **limit(newClientOrderId="lost")))[1]
        assert 2 == venue.rest.log.placed("lost")
        assert all("signature" not in record.query for record in venue.rest.log.records)


async def test_problems_of_the_venue_have_its_codes() -> None:
    """Whether they are done or not is not told."""
    async with ground() as (venue, client):
        for status, code in ((500, -1000), (502, -1006), (504, -1007)):
            venue.rest.fail(status, done=status == 504)
            assert (status, code) == (await client.error("POST", ORDER, **limit()))[:2]
        venue.rest.fail(503)
        assert b"<html>" in (await client.signed("POST", ORDER, **limit())).content
        assert 1 == len(venue.exchange.orders)


# -- events, and all of it over sockets --------------------------------------------------------------


async def test_orders_come_as_events_too() -> None:
    """What was placed, canceled and filled over REST arrives over the stream, with the venue's balances."""
    async with (
        SimulatedVenue(("BTC-USDT",), seed=1, paused=True) as venue,
        SignedClient(venue, in_memory=False) as client,
        WebSocketManager() as manager,
    ):
        settings = WebSocketConfig(venue.url, venue.exchange_name, credentials=venue.credentials)
        await manager.add_exchange(settings, adapter=lambda _: BinanceSpotAdapter())
        orders = await manager.subscribe(venue.exchange_name, "order", "")
        balances = await manager.subscribe(venue.exchange_name, "balance", "")
        await client.signed("POST", ORDER, **limit(newClientOrderId="a"))
        await client.signed("DELETE", ORDER, symbol="BTCUSDT", origClientOrderId="a")
        await client.signed("POST", ORDER, **market(side="SELL", quantity="0.00100"))
        with anyio.fail_after(10):
            events = [await orders.receive() for _ in range(4)]
            seen: dict[str, Balance] = {}
            while venue.exchange.balances["USDT"].free != getattr(seen.get("USDT"), "available_margin", None):
                balance = await balances.receive()
                assert isinstance(balance, Balance)
                seen[balance.currency] = balance
        assert all(isinstance(event, Order) for event in events)
        assert [
            ("a", OrderStatus.ACCEPTED),
            ("a", OrderStatus.CANCELED),
            (events[2].client_order_id, OrderStatus.ACCEPTED),
            (events[2].client_order_id, OrderStatus.COMPLETED),
        ] == [(event.client_order_id, event.order_status) for event in events]
        assert 1 == venue.rest.connections
        assert await venue.kill() >= 1
        with pytest.raises(httpx.TransportError):
            await client.get("/api/v3/ping")
        await venue.revive()
        assert {} == await client.get("/api/v3/ping")


async def test_who_only_listens_has_no_exchange() -> None:
    """Neither a port nor a matching engine are made for streams."""
    async with SimulatedVenue(("BTC-USDT",), seed=1, paused=True) as venue:
        await venue.step(10)
        assert venue._exchange is None
        assert venue.rest._server is None
