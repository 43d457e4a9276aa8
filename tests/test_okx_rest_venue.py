"""The simulated OKX over REST, asked with plain httpx: what is published of the venue is what it does."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest

from bt_api_base.security import Credentials
from bt_api_base.security.recipes.okx import okx_signature
from bt_api_base.testing.okx_dialect import CREDENTIALS
from bt_api_base.testing.okx_venue import SimulatedOkxVenue
from tests.corpora import corpora_path
from tests.test_okx_venue import ask, login, private
from tests.venue_peers import open_client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio

START = 1_700_000_000
SPOT, SWAP = "BTC-USDT", "BTC-USDT-SWAP"


class Desk:
    """A venue that stands still, and a client with an account there.

    Args:
        venue: The venue.
        client: Speaks to it.
    """

    def __init__(self, venue: SimulatedOkxVenue, client: httpx.AsyncClient) -> None:
        self.venue = venue
        self.client = client
        self.credentials = CREDENTIALS

    async def send(
        self, method: str, path: str, body: object = None, changes: dict[str, str] | None = None, **params: str
    ) -> httpx.Response:
        """Send a signed request; ``changes`` are headers that replace the right ones."""
        content = b"" if body is None else json.dumps(body).encode()
        request = self.client.build_request(method, f"/api/v5/{path}", params=params or None, content=content)
        timestamp = (changes or {}).get("OK-ACCESS-TIMESTAMP", "2023-11-14T22:13:20.000Z")
        target = request.url.raw_path.decode()
        passphrase = self.credentials.passphrase
        assert passphrase is not None
        request.headers.update(
            {
                "OK-ACCESS-KEY": self.credentials.api_key.reveal(),
                "OK-ACCESS-PASSPHRASE": passphrase.reveal(),
                "OK-ACCESS-TIMESTAMP": timestamp,
                "OK-ACCESS-SIGN": okx_signature(self.credentials.secret, timestamp, method, target, content.decode()),
                "Content-Type": "application/json",
                **(changes or {}),
            }
        )
        return await self.client.send(request)

    async def get(self, path: str, **params: str) -> Any:
        """Return the data of a query that succeeds."""
        answer = (await self.send("GET", path, **params)).json()
        assert ("0", "") == (answer["code"], answer["msg"])
        return answer["data"]

    async def refused(self, path: str, **params: str) -> tuple[int, str]:
        """Return the status and the code of a query that is refused."""
        answer = await self.send("GET", path, **params)
        assert [] == answer.json()["data"]
        return answer.status_code, answer.json()["code"]

    async def order(self, **fields: str) -> Any:
        """Place an order, by default of 0.01 BTC at 60,000, and return what the venue says of it."""
        return await self.command("order", **{**ORDER, **fields})

    async def command(self, path: str, **fields: str) -> Any:
        """Do something to an order, and return what the venue says of it."""
        answer = await self.send("POST", f"trade/{path}", fields)
        assert 200 == answer.status_code
        body = answer.json()
        (item,) = body["data"]
        assert ("0" if item["sCode"] == "0" else "1") == body["code"]
        return item

    async def row(self, **ids: str) -> Any:
        """Return an order as the venue has it."""
        (row,) = await self.get("trade/order", **{"instId": SPOT, **ids})
        return row


ORDER = {"instId": SPOT, "tdMode": "cash", "side": "buy", "ordType": "limit", "sz": "0.01", "px": "60000"}
FUTURE = {"instId": SWAP, "tdMode": "cross", "side": "buy", "ordType": "market", "sz": "3", "px": ""}


@asynccontextmanager
async def open_desk(*, memory: bool = True, **options: Any) -> AsyncIterator[Desk]:
    """Open a venue with a spot market and one of contracts, and a client."""
    options = {"paused": True, "clock_ns": lambda: START * 10**9, "listen": not memory, **options}
    async with SimulatedOkxVenue((SPOT, SWAP), **options) as venue:
        transport = venue.rest_transport() if memory else None
        async with httpx.AsyncClient(base_url=venue.rest_url, transport=transport) as client:
            yield Desk(venue, client)


# -- the forms that were recorded ---------------------------------------------------------------------


def recorded(*names: str) -> tuple[set[str], set[str]]:
    """Return the keys of an endpoint's rows that the first recording has, and those that any has.

    Args:
        *names: The endpoint, and others whose rows are of the same kind.
    """
    rows: list[list[str]] = []
    for name in names:
        cases = json.loads(corpora_path("public", "rest", "okx", f"{name}.json").read_text(encoding="utf-8"))["cases"]
        bodies = [json.loads(case["body"]) for case in cases]
        rows += [list(row) for body in bodies for row in body["data"] if isinstance(row, dict)]
    return set(rows[0]), {key for row in rows for key in row}


ORDERS = ("GET_api_v5_trade_order", "GET_api_v5_trade_orders-pending", "GET_api_v5_trade_orders-history")
ROWS: tuple[tuple[str, dict[str, str], tuple[str, ...]], ...] = (
    ("public/time", {}, ("GET_api_v5_public_time",)),
    ("public/instruments", {"instType": "SPOT"}, ("GET_api_v5_public_instruments",)),
    ("public/instruments", {"instType": "SWAP"}, ("GET_api_v5_public_instruments",)),
    ("public/mark-price", {"instType": "SWAP"}, ("GET_api_v5_public_mark-price",)),
    ("public/funding-rate", {"instId": SWAP}, ("GET_api_v5_public_funding-rate",)),
    ("market/ticker", {"instId": SPOT}, ("GET_api_v5_market_ticker",)),
    ("market/tickers", {"instType": "SPOT"}, ("GET_api_v5_market_tickers",)),
    ("market/books", {"instId": SPOT}, ("GET_api_v5_market_books",)),
    ("market/trades", {"instId": SPOT}, ("GET_api_v5_market_trades",)),
    ("account/balance", {}, ("GET_api_v5_account_balance",)),
    ("account/positions", {}, ("GET_api_v5_account_positions",)),
    ("account/config", {}, ("GET_api_v5_account_config",)),
    ("trade/order", {"instId": SPOT, "clOrdId": "mine"}, ORDERS),
    ("trade/orders-pending", {}, (ORDERS[1], ORDERS[0])),
    ("trade/orders-history", {"instType": "SWAP"}, (ORDERS[2], *ORDERS)),
    ("trade/fills", {}, ("GET_api_v5_trade_fills",)),
    ("trade/fills-history", {"instType": "SWAP"}, ("GET_api_v5_trade_fills-history",)),
)


@pytest.mark.parametrize("memory", [True, False], ids=["memory", "sockets"])
async def test_every_endpoint_has_the_form_that_was_recorded(memory: bool) -> None:
    """Rows have the keys of the recordings, and all values are texts."""
    async with open_desk(memory=memory) as desk:
        await desk.order(clOrdId="mine")
        await desk.order(**FUTURE)
        for path, params, names in ROWS:
            data = await desk.get(path, **params)
            first, every = recorded(*names)
            assert data, path
            assert first <= set(data[0]), path
            assert set(data[0]) <= every, path
        detail = recorded_detail()
        (account,) = await desk.get("account/balance", ccy="USDT")
        assert [detail] == [set(one) for one in account["details"]]


def recorded_detail() -> set[str]:
    """Return the keys of what an account has of a currency."""
    path = corpora_path("public", "rest", "okx", "GET_api_v5_account_balance.json")
    case = json.loads(path.read_text(encoding="utf-8"))["cases"][0]
    return set(json.loads(case["body"])["data"][0]["details"][0])


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("order", ORDER),
        ("batch-orders", [ORDER, ORDER]),
        ("cancel-order", {"instId": SPOT, "ordId": "1"}),
        ("cancel-batch-orders", [{"instId": SPOT, "ordId": "1"}]),
        ("amend-order", {"instId": SPOT, "ordId": "1", "newSz": "1"}),
        ("amend-batch-orders", [{"instId": SPOT, "ordId": "1", "newSz": "1"}]),
    ],
)
async def test_what_is_done_is_answered_as_it_was_recorded(path: str, body: object) -> None:
    """Each item has an answer of its own, and the envelope says when the request came and went, in microseconds."""
    async with open_desk() as desk:
        answer = (await desk.send("POST", f"trade/{path}", body)).json()
        name = corpora_path("public", "rest", "okx", f"POST_api_v5_trade_{path}.json")
        known = json.loads(json.loads(name.read_text(encoding="utf-8"))["cases"][0]["body"])
        assert set(known) == set(answer)
        assert set(known["data"][0]) == set(answer["data"][0])
        assert START * 10**6 == int(answer["inTime"])


# -- markets ------------------------------------------------------------------------------------------


async def test_bars_are_paged_back_from_the_newest() -> None:
    """The newest comes first; ``after`` is older than, ``before`` newer than."""
    async with open_desk() as desk:
        newest = await desk.get("market/history-candles", instId=SPOT, bar="1H", limit="3")
        assert [START // 3600 - back for back in range(3)] == [int(row[0]) // 3_600_000 for row in newest]
        assert ["0", "1", "1"] == [row[8] for row in newest]
        older = await desk.get("market/history-candles", instId=SPOT, bar="1H", limit="2", after=newest[1][0])
        assert newest[2] == older[0]
        newer = await desk.get("market/candles", instId=SPOT, bar="1H", before=newest[1][0])
        assert newest[:1] == newer
        assert 100 == len(await desk.get("market/candles", instId=SPOT))
        assert 300 == len(await desk.get("market/candles", instId=SPOT, limit="1000"))


async def test_days_begin_in_hong_kong_or_at_utc() -> None:
    """Bars of six hours and more begin by the venue's own clock, unless their name says otherwise."""
    async with open_desk() as desk:
        (local,) = await desk.get("market/candles", instId=SPOT, bar="1D", limit="1")
        (universal,) = await desk.get("market/candles", instId=SPOT, bar="1Dutc", limit="1")
        assert (16, 0) == (int(local[0]) // 3_600_000 % 24, int(universal[0]) // 3_600_000 % 24)
        assert (200, "51000") == (200, (await desk.refused("market/candles", instId=SPOT, bar="7m"))[1])


async def test_recent_bars_have_an_end_and_history_has_none() -> None:
    """The last 1,440 bars are recent."""
    async with open_desk() as desk:
        past = str((START - 86_400 * 2) * 1_000)
        assert [] == await desk.get("market/candles", instId=SPOT, bar="1m", after=past)
        assert 100 == len(await desk.get("market/history-candles", instId=SPOT, bar="1m", after=past))


async def test_the_book_is_the_markets() -> None:
    """One level unless more are asked for; at most 400."""
    async with open_desk() as desk:
        (top,) = await desk.get("market/books", instId=SPOT)
        (book,) = await desk.get("market/books", instId=SPOT, sz="5")
        assert (1, 1, 5, 5) == tuple(len(one[side]) for one in (top, book) for side in ("asks", "bids"))
        best = desk.venue.markets[SPOT].best
        assert Decimal(best.ask_price).scaleb(-8) == Decimal(top["asks"][0][0])
        assert [Decimal(level[0]) for level in book["bids"]] == sorted(
            (Decimal(level[0]) for level in book["bids"]), reverse=True
        )


@pytest.mark.parametrize(
    ("path", "params", "refusal"),
    [
        ("market/ticker", {}, (400, "50014")),
        ("market/ticker", {"instId": "FOO-BAR"}, (200, "51001")),
        ("market/books", {"instId": SPOT, "sz": "many"}, (400, "51000")),
        ("public/instruments", {}, (400, "51000")),
        ("public/instruments", {"instType": "STOCK"}, (400, "51000")),
        ("public/funding-rate", {"instId": SPOT}, (400, "51000")),
        ("trade/order", {"instId": SPOT}, (400, "51000")),
        ("trade/order", {"instId": SPOT, "ordId": "1"}, (200, "51603")),
        ("trade/order", {"instId": SPOT, "clOrdId": "nobody"}, (200, "51603")),
        ("trade/orders-history", {}, (400, "51000")),
        ("trade/orders-pending", {"after": "x"}, (400, "51000")),
        ("nowhere", {}, (404, "404")),
        ("trade/cancel-order", {}, (405, "50115")),
    ],
)
async def test_queries_that_are_refused(path: str, params: dict[str, str], refusal: tuple[int, str]) -> None:
    """Each has its code, and its status where that is not 200."""
    async with open_desk() as desk:
        assert refusal == await desk.refused(path, **params)


# -- who asks -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"OK-ACCESS-KEY": ""}, "50103"),
        ({"OK-ACCESS-PASSPHRASE": ""}, "50104"),
        ({"OK-ACCESS-PASSPHRASE": "x"}, "50105"),
        ({"OK-ACCESS-SIGN": ""}, "50106"),
        ({"OK-ACCESS-TIMESTAMP": ""}, "50107"),
        ({"OK-ACCESS-KEY": "x"}, "50111"),
        ({"OK-ACCESS-TIMESTAMP": "1700000000"}, "50112"),
        ({"OK-ACCESS-TIMESTAMP": "2023-13-14T22:13:20.000Z"}, "50112"),
        ({"OK-ACCESS-TIMESTAMP": "2023-11-14T22:12:49.999Z"}, "50102"),
        ({"OK-ACCESS-TIMESTAMP": "2023-11-14T22:13:50.001Z"}, "50102"),
        ({"OK-ACCESS-SIGN": "x"}, "50113"),
    ],
)
async def test_who_does_not_sign_is_refused(changes: dict[str, str], code: str) -> None:
    """Every header is needed and checked, and the time may be 30 seconds off; the same to ask and to do."""
    async with open_desk() as desk:
        for method, path in (("GET", "account/balance"), ("POST", "trade/order")):
            answer = await desk.send(method, path, ORDER if method == "POST" else None, changes)
            assert (401, code) == (answer.status_code, answer.json()["code"])
        assert {} == desk.venue.exchange.orders


async def test_what_is_signed_is_what_is_sent() -> None:
    """The query and the body belong to the signature, byte for byte."""
    async with open_desk() as desk:
        await desk.get("account/balance", ccy="BTC,USDT")
        stamp = "2023-11-14T22:13:20.000Z"
        for query, body in (("?ccy=BTC", ""), ("", "{}"), ("", "")):
            sign = okx_signature(CREDENTIALS.secret, stamp, "GET", f"/api/v5/account/balance{query}", body)
            answer = await desk.send("GET", "account/balance", None, {"OK-ACCESS-SIGN": sign}, ccy="USDT")
            assert "50113" == answer.json()["code"]


async def test_an_account_has_its_own_credentials() -> None:
    """Another account's are refused, whichever part of them is another."""
    parts = ("key", "secret", "passphrase")
    async with open_desk(credentials=Credentials(*(f"another-{part}-0123456789" for part in parts))) as desk:
        assert (401, "50111") == await desk.refused("account/config")
        desk.credentials = desk.venue.credentials
        assert ["net_mode"] == [one["posMode"] for one in await desk.get("account/config")]


async def test_the_venues_clock_can_be_off() -> None:
    """Whoever signs with a wrong clock is told, and the public time says what the right one is."""
    async with open_desk() as desk:
        desk.venue.rest.skew(31)
        assert (401, "50102") == await desk.refused("account/config")
        assert [{"ts": str((START + 31) * 1_000)}] == await desk.get("public/time")


# -- orders -------------------------------------------------------------------------------------------


async def test_an_order_rests_and_is_canceled() -> None:
    """It is found by either id, locks what it needs, and is history once it is canceled."""
    async with open_desk() as desk:
        placed = await desk.order(clOrdId="mine", tag="t1")
        assert ("mine", "t1", "0", "") == tuple(placed[name] for name in ("clOrdId", "tag", "sCode", "sMsg"))
        row = await desk.row(ordId=placed["ordId"])
        assert row == await desk.row(clOrdId="mine")
        assert ("live", "60000", "0.01", "0") == tuple(row[name] for name in ("state", "px", "sz", "accFillSz"))
        assert ("limit", "cash", "t1", "") == tuple(row[name] for name in ("ordType", "tdMode", "tag", "cancelSource"))
        (account,) = await desk.get("account/balance", ccy="USDT")
        assert ("99400", "600") == tuple(account["details"][0][name] for name in ("availBal", "frozenBal"))
        assert [row] == await desk.get("trade/orders-pending", instType="SPOT")
        canceled = await desk.command("cancel-order", instId=SPOT, clOrdId="mine")
        assert ("0", placed["ordId"]) == (canceled["sCode"], canceled["ordId"])
        assert [] == await desk.get("trade/orders-pending")
        (done,) = await desk.get("trade/orders-history", instType="SPOT", state="canceled")
        assert ("canceled", "1") == (done["state"], done["cancelSource"])


async def test_a_market_purchase_is_by_what_it_costs() -> None:
    """Its size is in the quote currency, unless it says otherwise; a sale's is in the base currency."""
    async with open_desk() as desk:
        bought = await desk.row(ordId=(await desk.order(ordType="market", sz="1000"))["ordId"])
        assert ("filled", "1000", "quote_ccy", "") == tuple(bought[name] for name in ("state", "sz", "tgtCcy", "px"))
        spent = Decimal(bought["accFillSz"]) * Decimal(bought["avgPx"])
        assert 999 < spent <= 1000
        assert (-Decimal(bought["accFillSz"]) / 1000, "BTC") == (Decimal(bought["fee"]), bought["feeCcy"])
        base = await desk.row(ordId=(await desk.order(ordType="market", sz="0.02", tgtCcy="base_ccy"))["ordId"])
        sold = await desk.row(ordId=(await desk.order(ordType="market", sz="0.03", side="sell"))["ordId"])
        assert [("0.02", "base_ccy"), ("0.03", "base_ccy")] == [
            (row["accFillSz"], row["tgtCcy"]) for row in (base, sold)
        ]
        fills = await desk.get("trade/fills", ordId=sold["ordId"])
        assert Decimal("0.03") == sum(Decimal(fill["fillSz"]) for fill in fills)
        assert {("T", "USDT", "-0.001")} == {(fill["execType"], fill["feeCcy"], fill["feeRate"]) for fill in fills}


async def test_times_in_force_end_as_cancellations() -> None:
    """Post-only is accepted and then canceled; so is what cannot be filled at once. The source says why."""
    async with open_desk() as desk:
        ids = [
            (await desk.order(ordType=kind, px=price, sz=size))["ordId"]
            for kind, price, size in (("post_only", "70000", "0.01"), ("fok", "61838", "1.6"), ("ioc", "60000", "0.01"))
        ]
        rows = [await desk.row(ordId=one) for one in ids]
        assert [("canceled", "31"), ("canceled", "13"), ("canceled", "14")] == [
            (row["state"], row["cancelSource"]) for row in rows
        ]
        assert ["post_only", "fok", "ioc"] == [row["ordType"] for row in rows]
        assert [] == desk.venue.exchange.fills


async def test_an_amended_order_keeps_its_id() -> None:
    """Its price and size are the new ones; what is done cannot be amended."""
    async with open_desk() as desk:
        placed = await desk.order(clOrdId="mine")
        amended = await desk.command(
            "amend-order", instId=SPOT, clOrdId="mine", newPx="59000", newSz="0.02", reqId="r1"
        )
        assert ("0", placed["ordId"], "r1") == (amended["sCode"], amended["ordId"], amended["reqId"])
        row = await desk.row(clOrdId="mine")
        assert ("live", "59000", "0.02") == (row["state"], row["px"], row["sz"])
        for changes, code in (({"newSz": "99"}, "51008"), ({}, "50014"), ({"newSz": "0.0200001"}, "51121")):
            assert code == (await desk.command("amend-order", instId=SPOT, clOrdId="mine", **changes))["sCode"]
        await desk.command("cancel-order", instId=SPOT, clOrdId="mine")
        assert "51509" == (await desk.command("amend-order", instId=SPOT, clOrdId="mine", newSz="0.03"))["sCode"]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"instId": "FOO-BAR"}, "51001"),
        ({"instId": ""}, "51000"),
        ({"tdMode": ""}, "51000"),
        ({"side": "both"}, "51000"),
        ({"ordType": "iceberg"}, "51000"),
        ({"posSide": "long"}, "51000"),
        ({"px": ""}, "51000"),
        ({"px": "1e999"}, "51000"),
        ({"px": "60000.001"}, "51000"),
        ({"px": "99999999"}, "51006"),
        ({"sz": "0"}, "51000"),
        ({"sz": "much"}, "51000"),
        ({"sz": "0.0000001"}, "51020"),
        ({"sz": "0.0100001"}, "51121"),
        ({"sz": "99999999"}, "51005"),
        ({"sz": "99"}, "51008"),
        ({"sz": "99", "side": "sell"}, "51008"),
        ({"clOrdId": "with-hyphen"}, "51000"),
        ({"clOrdId": "x" * 33}, "51000"),
        ({"clOrdId": "taken"}, "51016"),
        ({"instId": SWAP, "tdMode": "cash"}, "51000"),
        ({"instId": SWAP, "tdMode": "cross", "px": "174", "sz": "1", "reduceOnly": "true"}, "51169"),
        ({"instId": SWAP, "tdMode": "cross", "px": "174", "sz": "8000000"}, "51008"),
    ],
)
async def test_an_order_that_is_refused(fields: dict[str, str], code: str) -> None:
    """HTTP says 200; the item says why, and nothing has changed."""
    async with open_desk() as desk:
        await desk.order(clOrdId="taken")
        item = await desk.order(**fields)
        assert (code, "") == (item["sCode"], item["ordId"])
        assert item["sMsg"]
        assert 1 == len(desk.venue.exchange.orders)


async def test_an_id_is_free_again_when_its_order_is_done() -> None:
    """Then it finds the newer order."""
    async with open_desk() as desk:
        first = await desk.order(clOrdId="mine")
        await desk.command("cancel-order", instId=SPOT, clOrdId="mine")
        second = await desk.order(clOrdId="mine")
        assert first["ordId"] != second["ordId"] == (await desk.row(clOrdId="mine"))["ordId"]


async def test_cancellations_that_come_too_late() -> None:
    """What was canceled, what was filled, and what never was, each has its code."""
    async with open_desk() as desk:
        canceled = (await desk.order())["ordId"]
        filled = (await desk.order(ordType="market", sz="100"))["ordId"]
        answers = [
            (await desk.command("cancel-order", instId=SPOT, ordId=one))["sCode"]
            for one in (canceled, canceled, filled, "1", "")
        ]
        assert ["0", "51401", "51402", "51400", "51000"] == answers


async def test_a_batch_is_judged_item_by_item() -> None:
    """All, some, or none of it succeeds: 0, 2 or 1."""
    async with open_desk() as desk:
        bodies = ([ORDER, ORDER], [ORDER, {**ORDER, "sz": "99"}], [{**ORDER, "sz": "99"}])
        answers = [(await desk.send("POST", "trade/batch-orders", body)).json() for body in bodies]
        assert ["0", "2", "1"] == [answer["code"] for answer in answers]
        assert [["0", "0"], ["0", "51008"], ["51008"]] == [
            [item["sCode"] for item in answer["data"]] for answer in answers
        ]
        orders = [{"instId": SPOT, "ordId": row["ordId"]} for row in await desk.get("trade/orders-pending")]
        assert 3 == len(orders)
        assert "0" == (await desk.send("POST", "trade/cancel-batch-orders", orders)).json()["code"]
        assert [] == await desk.get("trade/orders-pending")


@pytest.mark.parametrize(
    ("path", "body", "changes", "refusal"),
    [
        ("order", [ORDER], {}, (400, "50002")),
        ("order", 7, {}, (400, "50002")),
        ("batch-orders", ORDER, {}, (400, "50002")),
        ("batch-orders", [], {}, (400, "50014")),
        ("batch-orders", [ORDER] * 21, {}, (200, "51111")),
        ("order", ORDER, {"Content-Type": "text/plain"}, (400, "50006")),
        ("order", ORDER, {"expTime": str((START - 1) * 1_000)}, (200, "50036")),
    ],
)
async def test_bodies_that_are_refused(
    path: str, body: object, changes: dict[str, str], refusal: tuple[int, str]
) -> None:
    """A request that is not formed like one, or has expired, does nothing."""
    async with open_desk() as desk:
        answer = await desk.send("POST", f"trade/{path}", body, changes)
        assert refusal == (answer.status_code, answer.json()["code"])
        assert {} == desk.venue.exchange.orders


async def test_pages_go_back_from_the_newest() -> None:
    """Orders are paged by their ids, fills by their bills, at most a hundred at a time."""
    async with open_desk() as desk:
        ids = [(await desk.order(ordType="market", sz="10"))["ordId"] for _ in range(5)]
        newest = await desk.get("trade/orders-history", instType="SPOT", limit="2")
        assert ids[:-3:-1] == [row["ordId"] for row in newest]
        older = await desk.get("trade/orders-history", instType="SPOT", after=newest[-1]["ordId"], limit="2")
        assert [ids[2], ids[1]] == [row["ordId"] for row in older]
        newer = await desk.get("trade/orders-history", instType="SPOT", before=ids[3])
        assert [ids[4]] == [row["ordId"] for row in newer]
        fills = await desk.get("trade/fills-history", instType="SPOT")
        assert fills[2:] == await desk.get("trade/fills", after=fills[1]["billId"])
        assert fills == await desk.get("trade/fills", begin=str(START * 1_000), end=str(START * 1_000))
        assert [] == await desk.get("trade/fills", begin=str(START * 1_000 + 1))


async def test_contracts_make_a_position() -> None:
    """Sizes are in contracts; the position is told with its profit, and closing it pays it out."""
    async with open_desk() as desk:
        await desk.order(**FUTURE)
        (position,) = await desk.get("account/positions", instType="SWAP")
        assert ("3", "net", "cross", "10") == tuple(position[name] for name in ("pos", "posSide", "mgnMode", "lever"))
        price = Decimal(position["avgPx"])
        assert price * 3 / 100 / 10 == Decimal(position["imr"])
        assert (Decimal(position["markPx"]) - price) * 3 / 100 == Decimal(position["upl"])
        assert [] == await desk.get("account/positions", instId="ETH-USDT-SWAP")
        closed = await desk.order(**{**FUTURE, "side": "sell", "reduceOnly": "true"})
        row = await desk.row(instId=SWAP, ordId=closed["ordId"])
        assert ("filled", "true", "net") == (row["state"], row["reduceOnly"], row["posSide"])
        assert Decimal(row["pnl"]) < 0
        assert [] == await desk.get("account/positions")
        (account,) = await desk.get("account/balance", ccy="USDT")
        paid = sum(fill.fee for fill in desk.venue.exchange.fills)
        assert Decimal(100_000) + Decimal(row["pnl"]) - paid == Decimal(account["details"][0]["cashBal"])


# -- limits and faults --------------------------------------------------------------------------------


async def test_each_endpoint_has_its_limit() -> None:
    """What is beyond it is refused with 429 until the next two seconds begin; others are not concerned."""
    now = [START * 10**9]
    async with open_desk(clock_ns=lambda: now[0]) as desk:
        codes = Counter([(await desk.send("GET", "public/time")).json()["code"] for _ in range(12)])
        assert {"0": 10, "50011": 2} == codes
        assert (429, "50011") == await desk.refused("public/time")
        await desk.get("market/ticker", instId=SPOT)
        now[0] += 2 * 10**9
        await desk.get("public/time")


async def test_orders_are_limited_by_instrument() -> None:
    """Sixty in two seconds for each, placing and canceling apart; a batch counts its orders."""
    async with open_desk() as desk:
        for _ in range(60):
            assert "0" == (await desk.order(sz="0.00001"))["sCode"]
        refused = await desk.send("POST", "trade/order", ORDER)
        assert (429, "50011") == (refused.status_code, refused.json()["code"])
        assert 60 == len(desk.venue.exchange.orders)
        assert "0" == (await desk.order(**FUTURE))["sCode"]
        assert "51400" == (await desk.command("cancel-order", instId=SPOT, ordId="1"))["sCode"]
        assert "0" == (await desk.send("POST", "trade/batch-orders", [ORDER, ORDER])).json()["code"]


async def test_a_lost_reply_leaves_an_order() -> None:
    """The client learns nothing; the venue has the order, and knows how often it was asked for it."""
    async with open_desk() as desk:
        desk.venue.rest.lose_replies(match="POST /api/v5/trade/order")
        with pytest.raises(httpx.RemoteProtocolError):
            await desk.order(clOrdId="mine")
        assert "live" == (await desk.row(clOrdId="mine"))["state"]
        assert "51016" == (await desk.order(clOrdId="mine"))["sCode"]
        assert 2 == desk.venue.rest.log.placed("mine")
        await desk.send("POST", "trade/batch-orders", [{**ORDER, "clOrdId": "other"}])
        assert {"mine": 2, "other": 1} == desk.venue.rest.log.placements


@pytest.mark.parametrize(
    ("status", "code"), [(503, "50001"), (500, "50026"), (504, "50004"), (400, "50004"), (429, "50011")]
)
async def test_the_venues_own_problems(status: int, code: str) -> None:
    """They have the venue's codes."""
    async with open_desk() as desk:
        desk.venue.rest.fail(status)
        assert (status, code) == await desk.refused("public/time")
        desk.venue.rest.limit(60)
        assert (429, "50011") == await desk.refused("public/time")


# -- the private channels -----------------------------------------------------------------------------


async def test_what_happens_over_rest_is_told_over_websocket() -> None:
    """Orders with their fills, then balances and positions; each as the exchange has it at that moment."""
    async with open_desk(memory=False) as desk, open_client(private(desk.venue)) as client:
        await ask(client, "login", login())
        names = ({"channel": "orders", "instType": "ANY"}, {"channel": "positions", "instType": "SWAP"})
        for argument in (*names, {"channel": "account", "ccy": "USDT"}):
            assert "subscribe" == (await ask(client, "subscribe", argument))["event"]
            assert "channel-conn-count" == (await client.receive_json())["event"]
        first = await client.receive_json()
        assert ("account", "100000") == (first["arg"]["channel"], first["data"][0]["details"][0]["availBal"])
        placed = await desk.order(**FUTURE, clOrdId="mine")
        events: list[tuple[str, Any]] = []
        for _ in range(4):
            frame = await client.receive_json()
            events.append((frame["arg"]["channel"], frame["data"][0]))
        assert ["orders", "orders", "account", "positions"] == [name for name, _ in events]
        new, filled, account, position = (row for _, row in events)
        assert [("live", "", "0"), ("filled", "T", "3")] == [
            (row["state"], row["execType"], row["fillSz"]) for row in (new, filled)
        ]
        assert {placed["ordId"]} == {row["ordId"] for row in (new, filled)}
        assert Decimal(filled["fillFee"]) < 0
        detail = account["details"][0]
        assert Decimal(detail["availBal"]) + Decimal(detail["frozenBal"]) == Decimal(detail["cashBal"])
        assert ("3", filled["avgPx"]) == (position["pos"], position["avgPx"])


async def test_changes_of_balances_and_positions_together() -> None:
    """The channel begins with what there is, and tells what changes."""
    async with open_desk(memory=False) as desk, open_client(private(desk.venue)) as client:
        await ask(client, "login", login())
        await ask(client, "subscribe", {"channel": "balance_and_position"})
        assert "channel-conn-count" == (await client.receive_json())["event"]
        first = (await client.receive_json())["data"][0]
        assert ("snapshot", {"BTC", "USDT"}) == (first["eventType"], {one["ccy"] for one in first["balData"]})
        await desk.order(**FUTURE)
        changes = [(await client.receive_json())["data"][0] for _ in range(2)]
        assert ["USDT", "3"] == [changes[0]["balData"][0]["ccy"], changes[1]["posData"][0]["pos"]]


async def test_the_crowd_fills_what_waits() -> None:
    """A resting order is filled by the market's own trades, as a maker."""
    async with open_desk() as desk:
        best = desk.venue.markets[SPOT].best
        price = str(Decimal(best.bid_price).scaleb(-8))
        placed = await desk.order(px=price, sz="0.00002")
        with anyio.fail_after(10):
            while (await desk.row(ordId=placed["ordId"]))["state"] != "filled":
                desk.venue.rest.dialect.allow(1_000)
                await desk.venue.step(10)
        (fill,) = (await desk.get("trade/fills", ordId=placed["ordId"]))[:1]
        assert ("M", "-0.0008") == (fill["execType"], fill["feeRate"])
