"""OKX over REST: what is asked, what comes of it, and what its errors become."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from bt_api_base import exceptions
from bt_api_base.containers import (
    AssetType,
    InstrumentStatus,
    LiquidityType,
    MarginType,
    OptionType,
    OrderStatus,
    OrderType,
    PositionSide,
    Side,
    TimeInForce,
)
from bt_api_base.exceptions import (
    ConfigurationError,
    DataParseError,
    InsufficientBalanceError,
    InvalidOrderError,
    InvalidSymbolError,
    OrderNotFoundError,
    OrderUnknownError,
)
from bt_api_base.feeds.order_request import OrderRequest
from bt_api_base.rate_limiter import RateLimiter
from bt_api_base.security import Credentials
from bt_api_base.security.recipes import okx_signature
from bt_api_base.venues.okx.rest import (
    OKX_APIS,
    OkxApi,
    OkxFuturesApi,
    OkxOptionApi,
    OkxSpotApi,
    OkxSwapApi,
)
from bt_api_base.venues.okx.rest_endpoints import OKX_RULES
from bt_api_base.venues.okx.rest_errors import read_okx_error
from tests.rest_answers import Answer, FakeTransport, handmade

if TYPE_CHECKING:
    from bt_api_base.feeds.http_call import CallInfo

pytestmark = pytest.mark.anyio

MS = 1_000_000
SECRET = "22582BD0CFF14C41EDBF1AB98506286D"  # the sample of the documentation
CREDENTIALS = Credentials("an-api-key-1234", SECRET, "a-pass-phrase")
DONE = "GET_api_v5_trade_order"


def answer(endpoint: str, index: int = 0) -> Answer:
    """Return a hand-made answer."""
    return handmade("okx", endpoint)[index]


def api_with(
    *answers: Answer | str | tuple[int, str], kind: type[OkxApi] = OkxSpotApi, **options: Any
) -> tuple[OkxApi, FakeTransport]:
    """Return an API and what answers it."""
    transport = FakeTransport(*answers)
    return kind(CREDENTIALS, transport=transport, **options), transport


def request(**options: Any) -> OrderRequest:
    """Return an order."""
    usual = {"symbol": "BTC-USDT", "side": "buy", "order_type": "limit", "quantity": "0.03", "price": "61837.6"}
    return OrderRequest(**{**usual, "client_order_id": "mine1", **options})


async def test_signed_requests_carry_the_headers() -> None:
    """Time, path with query, and body are signed as they are sent; the key and the passphrase go along."""
    api, transport = api_with(answer("POST_api_v5_trade_order"), answer("GET_api_v5_trade_order"), demo=True)
    async with api:
        await api.place(request())
        await api.query("BTC-USDT", client_order_id="mine1")
    placed, asked = transport.requests
    for sent, path, body in (
        (placed, "/api/v5/trade/order", placed.content.decode()),
        (asked, "/api/v5/trade/order?instId=BTC-USDT&clOrdId=mine1", ""),
    ):
        headers = sent.headers
        expected = okx_signature(SECRET, headers["OK-ACCESS-TIMESTAMP"], sent.method, path, body)
        assert expected == headers["OK-ACCESS-SIGN"]
        assert ("an-api-key-1234", "a-pass-phrase") == (headers["OK-ACCESS-KEY"], headers["OK-ACCESS-PASSPHRASE"])
        assert "1" == headers["x-simulated-trading"]
    assert "application/json" == placed.headers["Content-Type"]
    assert "openapi.okx.com" == placed.url.host


async def test_a_passphrase_that_no_header_can_have_is_not_shown() -> None:
    """Nothing is sent, and the error is none that quotes what it could not write."""
    transport = FakeTransport(answer("POST_api_v5_trade_order"))
    async with OkxSpotApi(Credentials("key", "secret", "pässphräse"), transport=transport) as api:
        for call in (api.balances(), api.place(request())):
            with pytest.raises(ConfigurationError, match="copied right") as caught:
                await call
            assert (None, None) == (caught.value.__cause__, caught.value.__context__)
    assert [] == transport.requests


async def test_public_requests_carry_no_key() -> None:
    """Who asks for public data shows no key, and needs none."""
    transport = FakeTransport(answer("GET_api_v5_public_time"))
    async with OkxSpotApi(transport=transport) as api:
        assert 1790000000123 * MS == await api.server_time()
        with pytest.raises(ConfigurationError, match="needs credentials"):
            await api.balances()
    assert not [name for name in transport.requests[0].headers if name.startswith("ok-access")]
    assert "x-simulated-trading" not in transport.requests[0].headers


def test_there_is_an_api_for_each_type_of_instrument() -> None:
    """The name of an exchange finds its API."""
    assert {
        "OKX___SPOT": OkxSpotApi,
        "OKX___SWAP": OkxSwapApi,
        "OKX___FUTURES": OkxFuturesApi,
        "OKX___OPTION": OkxOptionApi,
    } == OKX_APIS


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {"side": "buy", "ordType": "limit", "px": "61837.6", "sz": "0.03"}),
        ({"time_in_force": TimeInForce.IOC}, {"side": "buy", "ordType": "ioc", "px": "61837.6", "sz": "0.03"}),
        ({"time_in_force": TimeInForce.FOK}, {"side": "buy", "ordType": "fok", "px": "61837.6", "sz": "0.03"}),
        ({"time_in_force": TimeInForce.GTX}, {"side": "buy", "ordType": "post_only", "px": "61837.6", "sz": "0.03"}),
        ({"order_type": "limit_maker"}, {"side": "buy", "ordType": "post_only", "px": "61837.6", "sz": "0.03"}),
        (
            {"order_type": "market", "price": None},
            {"side": "buy", "ordType": "market", "sz": "0.03", "tgtCcy": "base_ccy"},
        ),
        (
            {"order_type": "market", "price": None, "quantity": None, "quote_quantity": "100.5"},
            {"side": "buy", "ordType": "market", "sz": "100.5", "tgtCcy": "quote_ccy"},
        ),
        (
            {"price": Decimal("1E-8"), "parameters": {"tdMode": "cross", "stpMode": "cancel_both"}},
            {
                "side": "buy",
                "ordType": "limit",
                "px": "0.00000001",
                "sz": "0.03",
                "tdMode": "cross",
                "stpMode": "cancel_both",
            },
        ),
    ],
)
async def test_spot_orders_are_asked_for_in_the_venues_words(options: dict[str, Any], expected: dict[str, str]) -> None:
    """The time in force is part of the type; of a market order, it is always said what its size is in."""
    api, transport = api_with(answer("POST_api_v5_trade_order"))
    async with api:
        await api.place(request(**options))
    assert {"instId": "BTC-USDT", "tdMode": "cash", "clOrdId": "mine1", **expected} == transport.body()


async def test_orders_of_contracts_say_what_pays_for_them() -> None:
    """Derivatives are on cross margin unless told otherwise, in contracts, and may belong to a position."""
    api, transport = api_with(answer("POST_api_v5_trade_order"), kind=OkxSwapApi)
    async with api:
        await api.place(request(symbol="BTC-USDT", position_side=PositionSide.SHORT))
        await api.place(request(symbol="BTC-USDT-SWAP", reduce_only=True, order_type="market", price=None))
    assert {"instId": "BTC-USDT-SWAP", "tdMode": "cross", "posSide": "short"}.items() <= transport.body(0).items()
    assert {"ordType": "market", "reduceOnly": True, "sz": "0.03"}.items() <= transport.body(1).items()
    assert "tgtCcy" not in transport.body(1)
    api, transport = api_with(answer("POST_api_v5_trade_order"), kind=OkxSwapApi, trade_mode="isolated")
    async with api:
        await api.place(request(symbol="BTC-USDT-SWAP"))
    assert "isolated" == transport.body()["tdMode"]


@pytest.mark.parametrize(
    "options",
    [
        {"client_order_id": "with-hyphen"},
        {"client_order_id": "x" * 33},
        {"client_order_id": ""},
        {"parameters": {"clOrdId": "other"}},
        {"parameters": {"side": "other"}},
        {"parameters": {"instId": "other"}},
        {"order_type": "stop"},
        {"time_in_force": TimeInForce.GTD},
        {"quantity": None},
        {"quantity": None, "quote_quantity": 100},
    ],
    ids=str,
)
async def test_what_cannot_be_an_order_is_not_sent(options: dict[str, Any]) -> None:
    """What the venue could only refuse is refused here, before anything is sent."""
    api, transport = api_with(answer("POST_api_v5_trade_order"))
    async with api:
        with pytest.raises(InvalidOrderError):
            await api.place(request(**options))
        with pytest.raises(InvalidOrderError):
            await api.cancel("BTC-USDT")
        with pytest.raises(InvalidSymbolError):
            await api.ticker("BTC-USDT-SWAP")
        assert api.client_order_ids.fullmatch(api.new_client_order_id())
    assert [] == transport.requests


async def test_a_new_order_is_accepted_and_no_more() -> None:
    """The answer tells the venue's id, and nothing of fills: neither do we."""
    api, _ = api_with(answer("POST_api_v5_trade_order"))
    async with api:
        order = await api.place(request())
    assert ("680800019749904384", "mine1", OrderStatus.ACCEPTED) == (
        order.order_id,
        order.client_order_id,
        order.order_status,
    )
    assert (1789999990000 * MS, TimeInForce.GTC, None) == (
        order.order_time,
        order.order_time_in_force,
        order.executed_qty,
    )


async def test_each_order_is_judged_by_its_own_code() -> None:
    """Also where the answer as a whole says that all is well."""
    text = answer("POST_api_v5_trade_order").text
    api, _ = api_with(text.replace('"sCode":"0"', '"sCode":"51008"'))
    async with api:
        with pytest.raises(InsufficientBalanceError):
            await api.place(request())


@pytest.mark.virtual_time
async def test_a_cancellation_is_looked_up() -> None:
    """The venue's answer says that it will be canceled: the order is asked for until it is."""
    api, transport = api_with(answer("POST_api_v5_trade_cancel-order"), answer(DONE), answer(DONE), answer(DONE, 1))
    async with api:
        order = await api.cancel("BTC-USDT", client_order_id="mine1")
    assert OrderStatus.CANCELED is order.order_status
    assert ["POST /api/v5/trade/cancel-order", *3 * ["GET /api/v5/trade/order?instId=BTC-USDT&clOrdId=mine1"]] == (
        transport.asked
    )
    assert {"instId": "BTC-USDT", "clOrdId": "mine1"} == transport.body(0)


@pytest.mark.virtual_time
async def test_a_cancellation_that_takes_long_returns_the_order_as_it_is() -> None:
    """After about a second it is no longer waited for."""
    api, transport = api_with(answer("POST_api_v5_trade_cancel-order"), answer(DONE))
    async with api:
        order = await api.cancel("BTC-USDT", order_id="680800019749904384")
    assert (OrderStatus.PARTIAL, 5) == (order.order_status, len(transport.requests))


@pytest.mark.virtual_time
async def test_a_cancellation_that_cannot_be_looked_up_is_unknown() -> None:
    """It was taken, but what became of the order is not known: the caller is not left to think that nothing was."""
    api, _ = api_with(answer("POST_api_v5_trade_cancel-order"), answer("errors", 14))
    async with api:
        with pytest.raises(OrderUnknownError) as caught:
            await api.cancel("BTC-USDT", client_order_id="mine1")
    assert "mine1" == caught.value.client_order_id
    assert isinstance(caught.value.__cause__, OrderNotFoundError)


@pytest.mark.virtual_time
async def test_who_is_cancelled_while_looking_up_leaves_a_note() -> None:
    """A task that is cancelled after the venue took the cancellation tells the feed which order to look at."""
    notes: list[CallInfo] = []
    api, _ = api_with(answer("POST_api_v5_trade_cancel-order"), answer(DONE))
    api.client.on_unknown = notes.append
    async with api:
        with anyio.move_on_after(0.1):
            await api.cancel("BTC-USDT", client_order_id="mine1")
    assert [("mine1", "BTC-USDT", True)] == [(note.client_order_id, note.symbol, note.changes_order) for note in notes]


def pending(count: int, *, first: int = 1) -> str:
    """Return an answer with so many open orders, the newest first."""
    row = json.loads(answer("GET_api_v5_trade_orders-pending", 0).text)["data"][0]
    rows = [{**row, "ordId": str(number), "cTime": str(number)} for number in range(first + count - 1, first - 1, -1)]
    return json.dumps({"code": "0", "msg": "", "data": rows})


def canceled(order_id: str) -> str:
    """Return an answer with a canceled order."""
    row = json.loads(answer(DONE, 1).text)["data"][0]
    return json.dumps({"code": "0", "msg": "", "data": [{**row, "ordId": order_id}]})


async def test_canceling_all_goes_by_twenty_and_judges_each() -> None:
    """There is no such call: what is open is listed, canceled in batches, and looked up, without what was done."""
    batch = answer("POST_api_v5_trade_cancel-batch-orders")
    api, transport = api_with(pending(23), batch, batch, *(canceled(each) for each in ("1", "3", "1", "3")))
    async with api:
        orders = await api.cancel_all()
    assert ["1", "3", "1", "3"] == [order.order_id for order in orders]
    assert [20, 3] == [len(transport.body(index)) for index in (1, 2)]
    assert {"instId": "BTC-USDT", "ordId": "1"} == transport.body(1)[0]
    assert "GET /api/v5/trade/orders-pending?instType=SPOT&limit=100" == transport.asked[0]


async def test_canceling_all_raises_what_was_refused() -> None:
    """An order that was not canceled for another reason is an error, after all the others were canceled."""
    text = answer("POST_api_v5_trade_cancel-batch-orders").text
    api, transport = api_with(
        pending(3), text.replace("51402", "51412"), pending(1), answer("errors", 15), '{"code":"0","msg":"","data":[]}'
    )
    async with api:
        with pytest.raises(OrderUnknownError):
            await api.cancel_all("BTC-USDT")
        assert [] == await api.cancel_all("BTC-USDT")  # one alone, done already
        assert [] == await api.cancel_all("BTC-USDT")  # none
    assert 5 == len(transport.requests)


async def test_lists_are_paged() -> None:
    """Pages go on from the last id, until one is not full; orders come oldest first, and each once."""
    api, transport = api_with(pending(100, first=101), pending(100), pending(1))
    async with api:
        orders = await api.open_orders("BTC-USDT")
    assert [str(number) for number in range(1, 201)] == [order.order_id for order in orders]
    path = "GET /api/v5/trade/orders-pending?instType=SPOT&instId=BTC-USDT"
    assert [f"{path}&limit=100", f"{path}&after=101&limit=100", f"{path}&after=1&limit=100"] == transport.asked


async def test_a_list_may_have_more_than_ten_thousand_rows() -> None:
    """The pages begin with the newest: to stop before the end would leave out what is wanted first."""
    pages = [pending(100, first=10_300 - 100 * number) for number in range(103)]
    api, _ = api_with(*pages, pending(0), limiter=RateLimiter(default=None))
    async with api:
        assert 10_300 == len(await api.open_orders("BTC-USDT"))


async def test_orders_are_those_that_are_open_and_those_that_are_not() -> None:
    """Two lists make one; open ones are asked for first, so that none that is done meanwhile is missed."""
    api, transport = api_with(answer("GET_api_v5_trade_orders-pending"), answer("GET_api_v5_trade_orders-history"))
    async with api:
        orders = await api.orders("BTC-USDT")
        transport.answers = [pending(0)]
        await api.orders("BTC-USDT", since=api.clock.now_ns())
        await api.orders("BTC-USDT", since=5 * MS + 1)
    assert ["680800019749904383", "680800019749904384", "680800019749904385"] == [order.order_id for order in orders]
    paths = [request.url.path.rpartition("/")[2] for request in transport.requests]
    assert [
        "orders-pending",
        "orders-history",
        "orders-pending",
        "orders-history",
        "orders-pending",
        "orders-history-archive",
    ] == paths
    assert "6" == transport.params()["begin"]


async def test_fills_come_oldest_first() -> None:
    """Fees have our sign, profits come through, and who asks for a time gets what is since then."""
    api, transport = api_with(answer("GET_api_v5_trade_fills"))
    async with api:
        fills = await api.fills("BTC-USDT")
        newest = await api.fills("BTC-USDT", count=1)
        since = await api.fills("BTC-USDT", since=1789999995000 * MS)
        await api.fills("BTC-USDT", since=5 * MS, order_id="7")
    assert ["744876980", "744876981"] == [fill.trade_id for fill in fills]
    assert [Decimal("0.00001"), Decimal("-0.0001")] == [fill.trade_fee for fill in fills]
    assert [LiquidityType.TAKER, LiquidityType.MAKER] == [fill.trade_type for fill in fills]
    assert (Side.SELL, Decimal("1.5"), PositionSide.SHORT) == (
        fills[1].trade_side,
        fills[1].realized_pnl,
        fills[1].position_side,
    )
    assert ["744876981"] == [fill.trade_id for fill in newest] == [fill.trade_id for fill in since]
    assert (
        "GET /api/v5/trade/fills-history?instType=SPOT&instId=BTC-USDT&ordId=7&begin=5&limit=100"
        == (transport.asked[-1])
    )


async def test_orders_are_read_as_on_the_streams() -> None:
    """States, types and sides are those of the streams."""
    api, _ = api_with(answer(DONE), answer(DONE, 2))
    async with api:
        order = await api.query("BTC-USDT", order_id="680800019749904384")
        other = await api.query("BTC-USDT", order_id="680800019749904384")
    assert (OrderStatus.PARTIAL, Decimal("0.01"), Decimal("61837.6")) == (
        order.order_status,
        order.executed_qty,
        order.order_avg_price,
    )
    assert (OrderStatus.MMP_CANCELED, OrderType.LIMIT_MAKER, True) == (
        other.order_status,
        other.order_type,
        other.reduce_only,
    )


async def test_an_order_that_is_not_there_is_named() -> None:
    """The error says which order was not found; an empty list is the same as an error."""
    api, _ = api_with(answer("errors", 14), '{"code":"0","msg":"","data":[]}')
    async with api:
        for _ in range(2):
            with pytest.raises(OrderNotFoundError) as caught:
                await api.query("BTC-USDT", order_id="42")
            assert "42" == caught.value.order_id


async def test_instruments_of_every_type() -> None:
    """Sizes of contracts are exact, currencies are found where they are, and words nobody knows break nothing."""
    found = {}
    for index, kind in enumerate((OkxSpotApi, OkxSwapApi, OkxFuturesApi)):
        api, transport = api_with(answer("GET_api_v5_public_instruments", index), kind=kind)
        async with api:
            found |= {each.internal: each for each in await api.instruments()}
        assert [f"GET /api/v5/public/instruments?instType={kind.instrument_type}"] == transport.asked
    api, transport = api_with(
        answer("GET_api_v5_public_underlying"), answer("GET_api_v5_public_instruments", 3), kind=OkxOptionApi
    )
    async with api:
        option = (await api.instruments())[0]
    assert ["BTC-USD", "ETH-USD"] == [transport.params(index)["uly"] for index in (1, 2)]
    assert [InstrumentStatus.ACTIVE, InstrumentStatus.PENDING, InstrumentStatus.UNKNOWN] == [
        found[name].status for name in ("BTC-USDT", "NEW-USDT", "ODD-USDT")
    ]
    linear, inverse, dollars = (found[name] for name in ("BTC-USDT-SWAP", "BTC-USD-SWAP", "BTC-USD_UM-SWAP"))
    assert (Decimal("0.01"), "BTC", False) == (linear.contract_multiplier, linear.contract_unit, linear.is_inverse)
    assert (Decimal(100), "USD", True) == (inverse.contract_multiplier, inverse.contract_unit, inverse.is_inverse)
    assert ("BTC", "USD", InstrumentStatus.HALTED) == (dollars.base_currency, dollars.quote_currency, dollars.status)
    assert (AssetType.FUTURE, 1798185600000 * MS) == (
        found["BTC-USDT-261225"].asset_type,
        found["BTC-USDT-261225"].expiry,
    )
    assert (OptionType.CALL, Decimal(60000), Decimal("0.01")) == (
        option.option_type,
        option.strike_price,
        option.contract_multiplier,
    )


async def test_prices_books_and_trades() -> None:
    """Market data are read as on the streams, oldest first, and what does not apply is none."""
    api, transport = api_with(
        answer("GET_api_v5_market_ticker"),
        answer("GET_api_v5_market_books"),
        answer("GET_api_v5_market_books", 1),
        answer("GET_api_v5_market_books-full"),
        answer("GET_api_v5_market_trades"),
    )
    async with api:
        tick = await api.ticker("btc-usdt")
        book = await api.depth("BTC-USDT", 2)
        numbered = await api.depth("BTC-USDT", 1)
        deep = await api.depth("BTC-USDT", 401)
        trades = await api.trades("BTC-USDT", 1000)
    assert (61837.5, None, 1234567.8) == (tick.bid_price, tick.bid_volume, tick.turnover)
    assert (((61837.5, 0.25),), None, 123456) == (book.bids, book.sequence, numbered.sequence)
    assert ((61837.7, 1.5),) == deep.asks
    assert ["242720719", "242720720"] == [trade.trade_id for trade in trades]
    assert ["ticker", "books", "books", "books-full", "trades"] == [
        request.url.path.rpartition("/")[2] for request in transport.requests
    ]
    assert "500" == transport.params()["limit"]


async def test_bars_are_asked_for_by_ranges() -> None:
    """The venue tells the newest of a range: a page from a start is the range that it fills."""
    api, transport = api_with(answer("GET_api_v5_market_candles"))
    async with api:
        bars = await api.klines("BTC-USDT", "1m")
        start = bars[0].open_time
        api.clock.add_sample(api.clock.local_ns(), api.clock.local_ns(), start + 600_000 * MS)
        page = await api.klines("BTC-USDT", "1m", start=start, count=2)
        await api.klines("BTC-USDT", "1d", end=start)
        with pytest.raises(ConfigurationError, match="no bars"):
            await api.klines("BTC-USDT", "7m")
        assert [] == await api.klines("BTC-USDT", "1m", start=start, end=start)
    times = [1789999860000, 1789999920000, 1789999980000]
    assert times == [bar.open_time // MS for bar in bars]
    assert [True, True, False] == [bar.is_closed for bar in bars]
    assert times[:2] == [bar.open_time // MS for bar in page]
    path = "GET /api/v5/market/candles?instId=BTC-USDT"
    assert [
        f"{path}&bar=1m&limit=300",
        f"{path}&bar=1m&after=1789999980000&before=1789999859999&limit=2",
        f"{path}&bar=1Dutc&after=1789999860000&limit=300",
    ] == transport.asked


async def test_bars_from_before_the_listing_begin_with_the_first() -> None:
    """A range before the first bar is empty: months, days and hours tell where the first one is."""

    def candles(*open_times: int) -> str:
        rows = [[str(each), "1", "1", "1", "1", "1", "1", "1", "1"] for each in open_times]
        return json.dumps({"code": "0", "msg": "", "data": rows})

    month, day, hour, minute = 1598918400000, 1600300800000, 1600322400000, 1600322460000
    later = month + 31 * 86_400_000
    api, transport = api_with(
        candles(), candles(later, month), candles(day), candles(hour), candles(minute + 60_000, minute)
    )
    async with api:
        page = await api.klines("BTC-USDT", "1m", start=1_500_000_000_000 * MS, count=10)
    assert [minute, minute + 60_000] == [bar.open_time // MS for bar in page]
    assert ["1m", "1Mutc", "1Dutc", "1H", "1m"] == [transport.params(index)["bar"] for index in range(5)]
    assert {"/api/v5/market/history-candles"} == {request.url.path for request in transport.requests}
    assert str(hour - 1) == transport.params()["before"]


async def test_balances_positions_and_the_account() -> None:
    """Money is exact; what there is nothing of is left out; totals are in dollars."""
    api, _ = api_with(answer("GET_api_v5_account_balance"), kind=OkxSwapApi)
    async with api:
        account = await api.account()
        balances = await api.balances()
    api, transport = api_with(answer("GET_api_v5_account_positions"), kind=OkxSwapApi)
    async with api:
        (position,) = await api.positions()
        await api.positions("BTC-USDT-SWAP")
    assert (Decimal("18551.28"), "USD", None) == (account.total_margin, account.symbol, account.total_used_margin)
    assert [("BTC", Decimal("0.3"), Decimal("0.1"))] == [
        (balance.currency, balance.margin, balance.available_margin) for balance in balances
    ]
    assert ("BTC-USDT-SWAP", Decimal(-2), Decimal("0.5"), MarginType.ISOLATED) == (
        position.symbol,
        position.position_volume,
        position.position_fee,
        position.margin_type,
    )
    path = "GET /api/v5/account/positions?instType=SWAP"
    assert [path, f"{path}&instId=BTC-USDT-SWAP"] == transport.asked
    api, transport = api_with(answer("GET_api_v5_account_positions"))
    async with api:
        assert [] == await api.positions()
    assert [] == transport.requests


@pytest.mark.parametrize("error", handmade("okx", "errors"), ids=lambda error: f"{error.index}-{error.expected}")
async def test_errors_have_their_classes(error: Answer) -> None:
    """Each error is the exception of its class, with whatever HTTP status it comes; an order's own code goes first."""
    expected = getattr(exceptions, error.expected)
    api, _ = api_with(error)
    api.client.server_time = None
    async with api:
        with pytest.raises(expected) as caught:
            await api.place(request())
    assert expected is type(caught.value)
    if isinstance(caught.value, exceptions.RateLimitError):
        assert 2.0 == caught.value.retry_after  # the venue does not say


def test_an_error_is_found_wherever_it_is() -> None:
    """The code of the one order, else that of the whole; several orders answer for themselves."""
    item = '{"sCode":"51008","sMsg":"Insufficient"}'
    good = '{"sCode":"0","sMsg":""}'
    for body, expected in (
        ('{"code":"0","msg":"","data":[]}', None),
        ('{"msg":"","data":[],"code":"0"}', None),
        ('{"msg":"Too Many Requests","code":"50011"}', ("50011", "Too Many Requests")),
        (f'{{"code":"1","msg":"All","data":[{item}]}}', ("51008", "Insufficient")),
        (f'{{"code":"2","msg":"Some","data":[{item},{good}]}}', None),
        (f'{{"code":"1","msg":"All","data":[{item},{item}]}}', None),
        ('{"code":"1","msg":"All","data":[]}', ("1", "All")),
        (f'{{"code":"1","msg":"All","data":[{good}]}}', None),
        ('{"code":"1","msg":"All","data":[{}]}', ("1", "All")),
        ('{"code":"1","msg":"All","data":7}', None),
        ('{"code":50011,"msg":"a number"}', ("50011", "a number")),
        ("[]", None),
        ("", None),
        ("<html>", None),
        ("\ufffd", None),
    ):
        assert expected == read_okx_error(200, body.encode()), body


async def test_words_that_nobody_knows_are_no_order() -> None:
    """A state that is no word of the venue is not guessed at, and neither is a number that is none."""
    text = answer(DONE).text
    api, _ = api_with(text.replace("partially_filled", "another"), text.replace('"px":"61837.6"', '"px":"NaN"'))
    async with api:
        for field in ("state", "px"):
            with pytest.raises(DataParseError) as caught:
                await api.query("BTC-USDT", order_id="1")
            assert field == caught.value.field


async def test_a_batch_tells_what_each_error_means() -> None:
    """The error of one order of several is of the same class as if it had been alone."""
    row = {"sCode": "51008", "sMsg": "Insufficient", "clOrdId": "mine1", "ordId": ""}
    api, _ = api_with(pending(2), json.dumps({"code": "1", "msg": "", "data": [row, {**row, "sCode": "51402"}]}))
    async with api:
        with pytest.raises(InsufficientBalanceError, match="Insufficient") as caught:
            await api.cancel_all()
    assert 51008 == caught.value.venue_code


def test_limits_are_of_each_endpoint() -> None:
    """Each endpoint has its own limit; those that trade have one for each instrument."""
    rules = {rule.name: rule for rule in OKX_RULES}
    place = rules["POST /api/v5/trade/order"]
    assert (60, 2.0, True) == (place.limit, place.interval, place.per_key)
    assert not place.match("GET", "/api/v5/trade/order")
    assert not place.match("POST", "/api/v5/trade/orders-pending")
    assert not rules["GET /api/v5/market/books"].match("GET", "/api/v5/market/books-full")
    assert 1000 == rules["new and amended orders of a sub-account"].limit
