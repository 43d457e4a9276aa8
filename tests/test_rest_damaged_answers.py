"""REST answers of venues, damaged: whatever comes, callers get containers or one of the package's exceptions."""

from __future__ import annotations

import contextlib
import copy
import json
from typing import TYPE_CHECKING, Any

import anyio
from hypothesis import given, settings, strategies as st

from bt_api_base.exceptions import BtApiError
from bt_api_base.feeds.order_request import OrderRequest
from bt_api_base.rate_limiter import RateLimiter
from bt_api_base.security import Credentials
from bt_api_base.venues.binance.rest_spot import BinanceSpotApi
from bt_api_base.venues.binance.rest_usdm import BinanceUsdmApi
from bt_api_base.venues.okx.rest import OkxSwapApi
from tests.rest_answers import FakeTransport, all_handmade

if TYPE_CHECKING:
    from bt_api_base.feeds.venue_api import VenueApi

JUNK = [None, "", "NaN", "-1", "1e999", "9" * 120, -1, 2**70, 1e308, True, [], {}, "ö", "\u0000", [[[[]]]], "\ud800"]
APIS: dict[str, Any] = {"binance_spot": BinanceSpotApi, "binance_usdm": BinanceUsdmApi, "okx": OkxSwapApi}
BODIES = [
    (venue, answer.json)
    for venue in APIS
    for answer in all_handmade(venue)
    if answer.endpoint != "errors" and answer.text.startswith(("{", "["))
]
CREDENTIALS = Credentials("an-api-key-1234", "a-secret-5678", "a-pass-phrase")


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of everything in a JSON value."""
    found = [path]
    if isinstance(value, dict):
        found += [place for key in value for place in places(value[key], (*path, key))]
    elif isinstance(value, list):
        found += [place for index, item in enumerate(value) for place in places(item, (*path, index))]
    return found


def damaged(body: Any, path: tuple[Any, ...], junk: Any, *, remove: bool) -> Any:
    """Return a JSON value with something else, or nothing, in one place."""
    if not path:
        return junk
    body = copy.deepcopy(body)
    parent = body
    for step in path[:-1]:
        parent = parent[step]
    if remove:
        del parent[path[-1]]
    else:
        parent[path[-1]] = junk
    return body


async def ask_everything(venue: str, text: str) -> None:
    """Ask all there is, and get the same answer to everything."""
    symbol = "BTC-USDT" if venue == "binance_spot" else "BTC-USDT-SWAP"
    api: VenueApi = APIS[venue](CREDENTIALS, transport=FakeTransport(text), limiter=RateLimiter([]))
    api.client.server_time = None
    order = OrderRequest(symbol=symbol, side="sell", order_type="limit", quantity=1, price=1, client_order_id="mine1")
    calls = [
        api.server_time,
        api.instruments,
        lambda: api.ticker(symbol),
        lambda: api.depth(symbol),
        lambda: api.klines(symbol, "1m"),
        lambda: api.trades(symbol),
        lambda: api.query(symbol, order_id="1"),
        lambda: api.open_orders(symbol),
        lambda: api.orders(symbol),
        lambda: api.fills(symbol),
        api.balances,
        api.account,
        api.positions,
    ]
    async with api.client:
        for call in calls:
            with contextlib.suppress(BtApiError):
                await call()
        with contextlib.suppress(BtApiError):
            placed = await api.place(order)
            assert placed.order_id


@settings(max_examples=60)
@given(st.data())
def test_damaged_answers_break_nothing(data: st.DataObject) -> None:
    """Whatever stands in one place of an answer, no other exception comes out, and no order without an id."""
    venue, body = data.draw(st.sampled_from(BODIES))
    path = data.draw(st.sampled_from(places(body)))
    junk = data.draw(st.sampled_from(JUNK))
    text = json.dumps(damaged(body, path, junk, remove=data.draw(st.booleans())))
    anyio.run(ask_everything, venue, text)


@settings(max_examples=30)
@given(st.sampled_from(sorted(APIS)), st.text(max_size=60))
def test_nonsense_breaks_nothing(venue: str, text: str) -> None:
    """What is no JSON at all is an error of the package, too."""
    anyio.run(ask_everything, venue, text)
