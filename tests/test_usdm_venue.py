"""Binance's USD-M futures: the venue that stands in for it, and the whole way from there to consumers."""

from __future__ import annotations

import itertools
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest
from typing_extensions import override

from bt_api_base.containers import (
    Balance,
    Bar,
    Fill,
    FundingRate,
    Gap,
    Income,
    Liquidation,
    MarkPrice,
    Order,
    OrderBook,
    OrderBookDelta,
    Position,
    Tick,
    Trade,
)
from bt_api_base.exceptions import AuthenticationError, RequestFailedError
from bt_api_base.security import Credentials
from bt_api_base.testing.leaks import assert_no_leaks
from bt_api_base.testing.usdm_venue import SimulatedUsdmVenue
from bt_api_base.venues.binance import BinanceUsdmAdapter, UsdmListenKeyLease
from bt_api_base.websocket import open_websocket
from bt_api_base.websocket.adapter import Ack, LeaseExpired
from bt_api_base.websocket_manager import WebSocketConfig, WebSocketManager

if TYPE_CHECKING:
    from collections.abc import Callable

    from bt_api_base.testing import PlantedSecret
    from bt_api_base.websocket_manager import Subscription

pytestmark = pytest.mark.anyio

SWAP = "BINANCE___SWAP"
BTC = "BTC-USDT-SWAP"


def config(venue: SimulatedUsdmVenue, **settings: Any) -> WebSocketConfig:
    """Return settings for the venue."""
    return WebSocketConfig(
        venue.url, SWAP, **{"reconnect_interval": 0.05, "credentials": venue.credentials, **settings}
    )


async def next_of(subscription: Subscription, count: int = 1) -> list[Any]:
    """Return the next events of a subscription."""
    with anyio.fail_after(10):
        return [await subscription.receive() for _ in range(count)]


async def until(condition: Callable[[], object]) -> None:
    """Wait for something that a simulated venue does not announce."""
    with anyio.fail_after(10):
        while not condition():  # noqa: ASYNC110 - see above
            await anyio.sleep(0.01)


def client_for(venue: SimulatedUsdmVenue) -> Callable[[], httpx.AsyncClient]:
    """Return what makes HTTP clients that the venue answers."""

    def answer(request: httpx.Request) -> httpx.Response:
        # The venue has the headers as they are written, httpx as they are compared.
        headers = {"X-MBX-APIKEY": request.headers.get("X-MBX-APIKEY", "")}
        status, body = venue.answer_listen_key(request.method, request.url.path, headers)
        return httpx.Response(status, json=body)

    return lambda: httpx.AsyncClient(transport=httpx.MockTransport(answer))


# -- the market --------------------------------------------------------------------------------------


async def test_every_topic_delivers_its_container() -> None:
    """One subscription for each topic, over the two endpoints of the market."""
    topics: tuple[tuple[str, type, dict[str, Any] | None], ...] = (
        ("ticker", Tick, None),
        ("ticker_24h", Tick, None),
        ("mini_ticker", Tick, None),
        ("agg_trade", Trade, None),
        ("depth", OrderBook, {"speed": 100}),
        ("depth", OrderBook, {"levels": 5}),
        ("depth_diff", OrderBookDelta, None),
        ("depth_diff", OrderBookDelta, {"speed": 500}),
        ("kline", Bar, {"interval": "1m"}),
        ("mark_price", MarkPrice, None),
        ("funding_rate", FundingRate, None),
    )
    async with assert_no_leaks(), SimulatedUsdmVenue(rate=200.0, paused=True) as venue, WebSocketManager() as manager:
        await manager.add_exchange(config(venue))
        subscriptions = [
            (container, await manager.subscribe(SWAP, topic, "BTC-USDT", params=params))
            for topic, container, params in topics
        ]
        await venue.step(500)  # two and a half seconds of the markets' time
        for container, subscription in subscriptions:
            (event,) = await next_of(subscription)
            assert (container, SWAP, BTC) == (type(event), event.exchange_name, event.symbol)
        assert {"/public/stream", "/market/stream"} == {session.target for session in venue.sessions}
        assert 2 == len(venue.sessions)


async def test_whole_market_at_once() -> None:
    """Streams of all symbols bring the events of each."""
    async with SimulatedUsdmVenue(rate=200.0, paused=True) as venue, WebSocketManager() as manager:
        await manager.add_exchange(config(venue))
        marks = await manager.subscribe(SWAP, "mark_price", "")
        liquidations = await manager.subscribe(SWAP, "liquidation", "")
        await venue.step(300)
        found = {event.symbol for event in await next_of(marks, 2)}
        assert {BTC, "ETH-USDT-SWAP"} == found
        assert 1 == venue.push_liquidation(s="ETHUSDT")
        (liquidation,) = await next_of(liquidations)
        assert (Liquidation, "ETH-USDT-SWAP") == (type(liquidation), liquidation.symbol)


async def test_book_is_chained_by_the_update_before() -> None:
    """Nothing is missing: each update names the one that it follows."""
    async with SimulatedUsdmVenue((BTC,), rate=400.0) as venue, WebSocketManager() as manager:
        await manager.add_exchange(config(venue))
        deltas = await manager.subscribe(SWAP, "depth_diff", BTC, params={"speed": 100})
        await venue.step(500)
        received = await next_of(deltas, 8)
        assert [OrderBookDelta] * 8 == [type(event) for event in received]
        assert all(after.previous_sequence == before.last_sequence for before, after in itertools.pairwise(received))


async def test_trades_missed_in_a_cut_are_counted() -> None:
    """The venue numbers its trades, so the gap says which of them are missing."""
    async with SimulatedUsdmVenue((BTC,), rate=400.0) as venue, WebSocketManager() as manager:
        await manager.add_exchange(config(venue))
        trades = await manager.subscribe(SWAP, "agg_trade", BTC)
        await next_of(trades)
        await venue.kill(0.1)
        with anyio.fail_after(10):
            before: Any = None
            while not isinstance(event := await trades.receive(), Gap):
                before = event
            after = await trades.receive()
        assert isinstance(after, Trade)
        assert before is None or int(before.trade_id) + 1 == event.first_missing
        assert int(after.trade_id) - 1 == event.last_missing


async def test_streams_of_another_endpoint_are_accepted_and_silent() -> None:
    """As at the venue: who connects to the wrong address is not told."""
    async with SimulatedUsdmVenue((BTC,), rate=200.0) as venue:
        for path, heard in (("/market/stream", False), ("/stream", True), ("/public/stream", True)):
            async with open_websocket(venue.url_of(path)) as ws:
                await ws.send('{"method":"SUBSCRIBE","params":["btcusdt@bookTicker"],"id":1}')
                assert '{"result":null,"id":1}' == await ws.receive()
                assert heard == ("btcusdt@bookTicker" in venue.subscriptions)


# -- the account -------------------------------------------------------------------------------------


@pytest.mark.parametrize("in_url", [False, True], ids=["subscribed", "in the URL"])
async def test_account_events_with_a_listen_key(in_url: bool) -> None:
    """Both ways of attaching the key bring orders, fills, balances and positions, until it expires."""
    async with SimulatedUsdmVenue() as venue:
        adapter = BinanceUsdmAdapter(listen_key_in_url=in_url, client=client_for(venue))
        adapter.endpoint_name, adapter.credentials = "private", venue.credentials
        lease = adapter.session_lease(venue.url)
        assert lease is not None
        key = await lease.create()
        async with open_websocket(adapter.endpoint(venue.url, key)) as ws:
            await ws.send(adapter.subscribe_frame(1, [adapter.channel("user", "")]))
            assert (Ack(1),) == adapter.decode(await ws.receive())
            assert 1 == venue.push_order(x="TRADE", X="FILLED", l="0.1", z="0.1", L="60000.1", t=7, n="0.01", N="USDT")
            fill, order = adapter.decode(await ws.receive())
            assert (Fill, Order) == (type(fill), type(order))
            venue.push_account(balances={"USDT": ("100.5", "-0.5")}, s="BTCUSDT", pa="0.1", ep="60000.1")
            balance, income, position = adapter.decode(await ws.receive())
            assert isinstance(balance, Balance)
            assert isinstance(income, Income)
            assert isinstance(position, Position)
            assert (Decimal("100.5"), BTC) == (balance.margin, position.symbol)
            venue.expire_listen_key()
            assert (LeaseExpired(),) == adapter.decode(await ws.receive())
            assert 0 == venue.push_order()


async def test_listen_key_at_the_venue() -> None:
    """There is one at a time; who asks again gets the same; one that is gone cannot be prolonged."""
    async with SimulatedUsdmVenue() as venue:
        lease = UsdmListenKeyLease("http://venue", venue.credentials, client=client_for(venue), delete_on_close=True)
        key = await lease.create()
        assert key == await lease.create()
        await lease.renew(key)
        await lease.close(key)
        with pytest.raises(RequestFailedError) as caught:
            await lease.renew(key)
        assert -1125 == caught.value.venue_code
        assert key != await lease.create()
        assert ["POST", "POST", "PUT", "DELETE", "PUT", "POST"] == venue.listen_keys.requests
        stranger = UsdmListenKeyLease("http://venue", Credentials("another-key", "s"), client=client_for(venue))
        with pytest.raises(AuthenticationError):
            await stranger.create()
        assert 404 == venue.answer_listen_key("GET", "/fapi/v1/time", {})[0]


def adapters_for(venue: SimulatedUsdmVenue, **options: Any) -> Callable[[str], BinanceUsdmAdapter]:
    """Return what makes adapters that ask the venue for listen keys."""
    return lambda _: BinanceUsdmAdapter(client=client_for(venue), **options)


@pytest.mark.parametrize("in_url", [False, True], ids=["subscribed", "in the URL"])
async def test_account_events_reach_who_wants_them(in_url: bool) -> None:
    """The manager has a listen key made, and gives each consumer what it asked for."""
    async with assert_no_leaks(), SimulatedUsdmVenue() as venue, WebSocketManager() as manager:
        await manager.add_exchange(config(venue), adapter=adapters_for(venue, listen_key_in_url=in_url))
        orders = await manager.subscribe(SWAP, "order", "")
        account = await manager.subscribe(SWAP, "account", "")
        await until(lambda: venue.push_order(i=7))
        assert "7" == (await next_of(orders))[0].order_id
        venue.push_account("FUNDING_FEE", balances={"USDT": ("99.5", "-0.5")})
        balance, income = await next_of(account, 2)
        assert (Balance, Income) == (type(balance), type(income))
        assert ["POST"] == venue.listen_keys.requests


class _OftenRenewed(BinanceUsdmAdapter):
    """An adapter whose listen keys are renewed all the time, and not every half an hour."""

    @override
    def session_lease(self, url: str) -> UsdmListenKeyLease | None:
        lease = super().session_lease(url)
        if lease is not None:
            lease.renew_interval = 0.05
        return lease


@pytest.mark.parametrize("tell", [True, False], ids=["told", "silent"])
async def test_account_events_go_on_with_another_listen_key(tell: bool) -> None:
    """A key that is lost is replaced, whether the venue says so or a renewal finds out; a gap stands in between."""
    async with SimulatedUsdmVenue() as venue, WebSocketManager() as manager:
        make = adapters_for(venue) if tell else lambda _: _OftenRenewed(client=client_for(venue))
        await manager.add_exchange(config(venue, rotation_overlap=0.0), adapter=make)
        orders = await manager.subscribe(SWAP, "order", "")
        first = venue.listen_keys.current
        venue.expire_listen_key(tell=tell)
        await until(lambda: venue.push_order(i=8))
        with anyio.fail_after(10):
            while not isinstance(event := await orders.receive(), Order):
                assert isinstance(event, Gap)
        assert "8" == event.order_id
        assert first != venue.listen_keys.current


async def test_wrong_api_key_is_not_tried_again(planted_secret: PlantedSecret) -> None:
    """The consumer gets the venue's words, and the venue is left alone."""
    async with SimulatedUsdmVenue() as venue, WebSocketManager() as manager:
        stranger = config(venue, credentials=planted_secret.credentials)
        await manager.add_exchange(stranger, adapter=adapters_for(venue))
        with pytest.raises(AuthenticationError) as caught:
            await manager.subscribe(SWAP, "order", "")
        assert -2015 == caught.value.venue_code
        planted_secret.check(caught.value, manager.get_stats())
        planted_secret.check_reachable(caught.value, manager)
        await anyio.sleep(0.05)
        assert ["POST"] == venue.listen_keys.requests
