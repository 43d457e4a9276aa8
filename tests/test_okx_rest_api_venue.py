"""OKX over REST against the simulated venue: a trader's day, and what goes wrong in it."""

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
from bt_api_base.testing.okx_venue import SimulatedOkxVenue
from bt_api_base.venues.okx.rest import OkxApi, OkxSpotApi, OkxSwapApi

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

pytestmark = pytest.mark.anyio

MINUTE = 60_000_000_000

Market = tuple[SimulatedOkxVenue, OkxApi, dict[str, Any]]


@pytest.fixture(params=[(OkxSpotApi, "BTC-USDT"), (OkxSwapApi, "BTC-USDT-SWAP")], ids=["spot", "swap"])
async def market(request: pytest.FixtureRequest) -> AsyncGenerator[Market]:
    """Yield a venue, an API to it, and an order that rests in its book, far from the best price."""
    api_type, symbol = request.param
    async with SimulatedOkxVenue((symbol,), paused=True, seed=1) as venue:
        await venue.step(50)
        async with api_type(venue.credentials, transport=venue.rest_transport(), rest_url=venue.rest_url) as api:
            (instrument,) = [each for each in await api.instruments() if each.internal == symbol]
            book = await api.depth(symbol, 5)
            price = instrument.quantize_price(Decimal(str(book.bids[0][0])) * Decimal("0.9"), ROUND_FLOOR)
            yield venue, api, {"symbol": symbol, "side": "buy", "order_type": "limit", "quantity": 1, "price": price}


async def test_orders_live_and_end(market: Market) -> None:
    """Placed, asked for, canceled, filled: the API and the venue agree, to the last digit."""
    venue, api, order = market
    symbol = order["symbol"]
    placed = await api.place(OrderRequest(**order, client_order_id="a"))
    assert [placed.order_id] == [each.order_id for each in await api.open_orders(symbol)]
    with pytest.raises(DuplicateOrderError):
        await api.place(OrderRequest(**order, client_order_id="a"))
    canceled = await api.cancel(symbol, client_order_id="a")
    assert (OrderStatus.CANCELED, "a") == (canceled.order_status, canceled.client_order_id)
    with pytest.raises(OrderNotFoundError):
        await api.cancel(symbol, client_order_id="a")
    await api.place(OrderRequest(**{**order, "order_type": "market", "price": None}, client_order_id="b"))
    taken = await api.query(symbol, client_order_id="b")
    fills = await api.fills(symbol)
    assert OrderStatus.COMPLETED is taken.order_status
    assert taken.executed_qty == sum(fill.trade_volume for fill in fills)
    venue_fills = {str(fill.trade_id): (fill.price, fill.quantity, fill.fee) for fill in venue.exchange.fills}
    assert venue_fills == {fill.trade_id: (fill.trade_price, fill.trade_volume, fill.trade_fee) for fill in fills}
    assert ["a", "b"] == [each.client_order_id for each in await api.orders(symbol)]
    assert {"a": 2, "b": 1} == venue.rest.log.placements
    positions = await api.positions()
    assert ([] if symbol == "BTC-USDT" else [Decimal(1)]) == [each.position_volume for each in positions]


async def test_refusals_have_their_classes(market: Market) -> None:
    """What the venue refuses is told apart, and nothing of it is in the book."""
    _, api, order = market
    too_much = Decimal(8000 if order["symbol"] == "BTC-USDT" else 8_000_000)
    for change, expected in (
        ({"quantity": too_much}, InsufficientBalanceError),
        ({"quantity": Decimal("0.0000000001")}, InvalidOrderError),
    ):
        with pytest.raises(expected):
            await api.place(OrderRequest(**{**order, **change}, client_order_id=api.new_client_order_id()))
    # A post-only order that would take is taken, and then canceled by the venue.
    await api.place(
        OrderRequest(**{**order, "order_type": "limit_maker", "price": order["price"] * 2}, client_order_id="post")
    )
    assert OrderStatus.CANCELED is (await api.query(order["symbol"], client_order_id="post")).order_status
    assert [] == await api.open_orders()


async def test_a_lost_answer_leaves_an_order_of_unknown_fate(market: Market) -> None:
    """The order was placed though nobody heard: it is found by its client order id, and was sent once."""
    venue, api, order = market
    venue.rest.lose_replies(1, match="POST *")
    with pytest.raises(OrderUnknownError):
        await api.place(OrderRequest(**order, client_order_id="lost"))
    assert OrderStatus.ACCEPTED is (await api.query(order["symbol"], client_order_id="lost")).order_status
    assert 1 == venue.rest.log.placed("lost")
    venue.rest.lose_replies(1, match="POST *")
    with pytest.raises(OrderUnknownError):
        await api.cancel(order["symbol"], client_order_id="lost")
    assert [] == await api.open_orders()


async def test_a_wrong_clock_is_set_right(market: Market) -> None:
    """A refused time stamp costs one look at the venue's clock, and the order is sent again: it was not taken."""
    venue, api, order = market
    venue.rest.skew(-60)
    assert OrderStatus.ACCEPTED is (await api.place(OrderRequest(**order, client_order_id="late"))).order_status
    assert -61e9 < api.clock.offset_ns < -59e9


async def test_canceling_all_empties_the_book(market: Market) -> None:
    """More than a batch of orders is canceled, and returned as they ended."""
    _, api, order = market
    names = [f"order{number}" for number in range(23)]
    for name in names:
        await api.place(OrderRequest(**{**order, "quantity": "0.01"}, client_order_id=name))
    canceled = await api.cancel_all()
    assert sorted(names) == sorted(str(each.client_order_id) for each in canceled)
    assert {OrderStatus.CANCELED} == {each.order_status for each in canceled}
    assert [] == await api.cancel_all(order["symbol"])


async def test_bars_are_paged_from_any_time(market: Market) -> None:
    """A page begins where it was asked to, with the oldest bars from there, and ends before its end."""
    _, api, order = market
    symbol = order["symbol"]
    (newest,) = await api.klines(symbol, "1m", count=1)
    for start in (newest.open_time - 10 * MINUTE, newest.open_time - 20_000 * MINUTE):
        page = await api.klines(symbol, "1m", start=start, count=3)
        assert [start, start + MINUTE, start + 2 * MINUTE] == [bar.open_time for bar in page]
        until = await api.klines(symbol, "1m", end=start, count=2)
        assert [start - 2 * MINUTE, start - MINUTE] == [bar.open_time for bar in until]
        both = await api.klines(symbol, "1m", start=start + 1, end=start + 3 * MINUTE)
        assert [start + MINUTE, start + 2 * MINUTE] == [bar.open_time for bar in both]
