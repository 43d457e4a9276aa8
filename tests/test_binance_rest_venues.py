"""Binance over REST against the simulated venues: a trader's day, and what goes wrong in it."""

from __future__ import annotations

from decimal import ROUND_FLOOR, Decimal
from typing import TYPE_CHECKING, Any

import pytest

from bt_api_base.containers import OrderStatus
from bt_api_base.exceptions import (
    DuplicateOrderError,
    InsufficientBalanceError,
    InvalidOrderError,
    OrderNotFoundError,
    OrderUnknownError,
)
from bt_api_base.feeds.order_request import OrderRequest
from bt_api_base.testing.simulated_venue import SimulatedVenue
from bt_api_base.testing.usdm_venue import SimulatedUsdmVenue
from bt_api_base.venues.binance.rest_spot import BinanceSpotApi
from bt_api_base.venues.binance.rest_usdm import BinanceUsdmApi

if TYPE_CHECKING:
    from bt_api_base.venues.binance.rest_common import BinanceApi

pytestmark = pytest.mark.anyio

MARKETS: list[tuple[Any, type[BinanceApi], str]] = [
    (SimulatedVenue, BinanceSpotApi, "BTC-USDT"),
    (SimulatedUsdmVenue, BinanceUsdmApi, "BTC-USDT-SWAP"),
]
BOTH = pytest.mark.parametrize(("venue_type", "api_type", "symbol"), MARKETS, ids=["spot", "usdm"])


async def usual(api: BinanceApi, symbol: str) -> dict[str, Any]:
    """Return an order that rests in the book, far from the best price."""
    (instrument,) = [each for each in await api.instruments() if each.internal == symbol]
    book = await api.depth(symbol, 5)
    price = instrument.quantize_price(Decimal(str(book.bids[0][0])) * Decimal("0.9"), ROUND_FLOOR)
    return {"symbol": symbol, "side": "buy", "order_type": "limit", "quantity": Decimal("0.1"), "price": price}


@BOTH
async def test_orders_live_and_end(venue_type: Any, api_type: type[BinanceApi], symbol: str) -> None:
    """Placed, asked for, canceled, filled: the API and the venue agree, to the last digit."""
    async with venue_type((symbol,), paused=True, seed=1) as venue:
        await venue.step(50)
        async with api_type(venue.credentials, transport=venue.rest_transport(), rest_url=venue.rest_url) as api:
            order = await usual(api, symbol)
            placed = await api.place(OrderRequest(**order, client_order_id="a"))
            assert OrderStatus.ACCEPTED is placed.order_status
            assert [placed.order_id] == [each.order_id for each in await api.open_orders(symbol)]
            with pytest.raises(DuplicateOrderError):
                await api.place(OrderRequest(**order, client_order_id="a"))
            canceled = await api.cancel(symbol, client_order_id="a")
            assert (OrderStatus.CANCELED, "a") == (canceled.order_status, canceled.client_order_id)
            with pytest.raises(OrderNotFoundError):
                await api.cancel(symbol, client_order_id="a")
            taken = await api.place(
                OrderRequest(**{**order, "order_type": "market", "price": None}, client_order_id="b")
            )
            fills = await api.fills(symbol)
            assert OrderStatus.COMPLETED is taken.order_status
            assert taken.executed_qty == sum(fill.trade_volume for fill in fills)
            assert taken.cum_quote == sum(fill.trade_volume * fill.trade_price for fill in fills)
            venue_fills = {str(fill.trade_id): (fill.price, fill.quantity, fill.fee) for fill in venue.exchange.fills}
            assert venue_fills == {
                fill.trade_id: (fill.trade_price, fill.trade_volume, fill.trade_fee) for fill in fills
            }
            assert ["a", "b"] == [each.client_order_id for each in await api.orders(symbol)]
            assert {name: holding.free for name, holding in venue.exchange.balances.items() if holding.free} == {
                balance.currency: balance.available_margin for balance in await api.balances()
            }
            assert {"a": 2, "b": 1} == venue.rest.log.placements


@BOTH
async def test_refusals_have_their_classes(venue_type: Any, api_type: type[BinanceApi], symbol: str) -> None:
    """What the venue refuses is told apart, and nothing of it is in the book."""
    async with venue_type((symbol,), paused=True, seed=1) as venue:
        await venue.step(50)
        async with api_type(venue.credentials, transport=venue.rest_transport(), rest_url=venue.rest_url) as api:
            order = await usual(api, symbol)
            for change, expected in (
                ({"quantity": Decimal(8000), "price": order["price"]}, InsufficientBalanceError),
                ({"quantity": Decimal("0.00000001")}, InvalidOrderError),
                ({"price": order["price"] + Decimal("0.0000001")}, InvalidOrderError),
                ({"order_type": "limit_maker", "price": order["price"] * 2}, InvalidOrderError),
            ):
                with pytest.raises(expected):
                    await api.place(OrderRequest(**{**order, **change}, client_order_id=api.new_client_order_id()))
            assert [] == await api.open_orders()


@BOTH
async def test_a_lost_answer_leaves_an_order_of_unknown_fate(
    venue_type: Any, api_type: type[BinanceApi], symbol: str
) -> None:
    """The order was placed though nobody heard: it is found by its client order id, and was sent once."""
    async with venue_type((symbol,), paused=True, seed=1) as venue:
        await venue.step(50)
        async with api_type(venue.credentials, transport=venue.rest_transport(), rest_url=venue.rest_url) as api:
            order = await usual(api, symbol)
            venue.rest.lose_replies(1, match="POST *")
            with pytest.raises(OrderUnknownError):
                await api.place(OrderRequest(**order, client_order_id="lost"))
            assert OrderStatus.ACCEPTED is (await api.query(symbol, client_order_id="lost")).order_status
            assert 1 == venue.rest.log.placed("lost")
            venue.rest.lose_replies(1, match="DELETE *")
            with pytest.raises(OrderUnknownError):
                await api.cancel(symbol, client_order_id="lost")
            assert [] == await api.open_orders(symbol)


@BOTH
async def test_a_wrong_clock_is_set_right(venue_type: Any, api_type: type[BinanceApi], symbol: str) -> None:
    """A refused time stamp costs one look at the venue's clock, and the order is sent again: it was not taken."""
    async with venue_type((symbol,), paused=True, seed=1) as venue:
        await venue.step(50)
        async with api_type(venue.credentials, transport=venue.rest_transport(), rest_url=venue.rest_url) as api:
            order = await usual(api, symbol)
            venue.rest.skew(-30)
            placed = await api.place(OrderRequest(**order, client_order_id="late"))
            assert OrderStatus.ACCEPTED is placed.order_status
            assert -31e9 < api.clock.offset_ns < -29e9


@BOTH
async def test_canceling_all_empties_the_book(venue_type: Any, api_type: type[BinanceApi], symbol: str) -> None:
    """All orders of a symbol, or of all symbols, are canceled and returned as they ended."""
    async with venue_type((symbol,), paused=True, seed=1) as venue:
        await venue.step(50)
        async with api_type(venue.credentials, transport=venue.rest_transport(), rest_url=venue.rest_url) as api:
            order = await usual(api, symbol)
            for name in ("a", "b", "c"):
                await api.place(OrderRequest(**order, client_order_id=name))
            assert ["a", "b", "c"] == [each.client_order_id for each in await api.cancel_all(symbol)]
            assert [] == await api.cancel_all(symbol)
            await api.place(OrderRequest(**order, client_order_id="d"))
            assert [OrderStatus.CANCELED] == [each.order_status for each in await api.cancel_all()]
            assert [] == await api.open_orders()


@BOTH
async def test_bars_are_paged_from_any_time(venue_type: Any, api_type: type[BinanceApi], symbol: str) -> None:
    """A page begins where it was asked to, with the oldest bars from there, and ends before its end."""
    minute = 60_000_000_000
    async with venue_type((symbol,), paused=True, seed=1) as venue:
        await venue.step(50)
        async with api_type(venue.credentials, transport=venue.rest_transport(), rest_url=venue.rest_url) as api:
            (newest,) = await api.klines(symbol, "1m", count=1)
            start = newest.open_time - 10 * minute
            page = await api.klines(symbol, "1m", start=start, count=3)
            assert [start, start + minute, start + 2 * minute] == [bar.open_time for bar in page]
            until = await api.klines(symbol, "1m", end=start, count=2)
            assert [start - 2 * minute, start - minute] == [bar.open_time for bar in until]
            both = await api.klines(symbol, "1m", start=start + 1, end=start + 3 * minute)
            assert [start + minute, start + 2 * minute] == [bar.open_time for bar in both]
