"""Random scripts of orders and faults: no order is sent twice, none is lost, and client and venue agree in the end."""

from __future__ import annotations

from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from bt_api_base.exceptions import OrderError
from bt_api_base.testing import sweep_cancellation
from tests.feed_scripts import SYMBOL, VENUES, ground, random_script, run_script

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("venue_name", VENUES)
def test_client_and_venue_agree_after_a_few_scripts(venue_name: str, backend: str) -> None:
    """A handful for every run of the suite."""
    for seed in range(4):
        outcome = run_script(seed, venue_name, backend=backend, length=20)
        assert [] == outcome.problems, outcome


def test_a_seed_makes_the_same_script_every_time() -> None:
    """So that what was found can be looked at."""
    assert random_script(7) == random_script(7)
    assert random_script(7) != random_script(8)


@asynccontextmanager
async def an_order_over_the_wire(fault: str) -> AsyncIterator[Callable[[], Awaitable[object]]]:
    """Place an order at a simulated venue; afterwards the feed knows what the venue has."""
    async with ground(1) as (venue, feed, _):
        await venue.step(5)
        await feed.async_get_exchange_info()
        if fault:
            getattr(venue.rest, fault)(1, match=lambda request: request.method == "POST")

        async def operation() -> None:
            with suppress(OrderError):
                await feed.async_make_order(SYMBOL, "0.01", "50000", "buy-limit", client_order_id="a1")

        yield operation
        assert () == await feed.resolve_unknown(60.0)
        at_venue = {order.client_order_id for order in venue.exchange.orders.values()}
        assert at_venue == {entry.client_order_id for entry in feed.tracker.open}
        assert venue.rest.log.placed("a1") <= 1


@pytest.mark.anyio
@pytest.mark.virtual_time
@pytest.mark.parametrize("fault", ["", "lose_replies", "lose_requests"])
async def test_cancelled_at_any_await_an_order_is_sent_once_and_never_lost(fault: str) -> None:
    """Through limiter, signature, HTTP client and connection, with everything that they leave behind."""
    sweep = await sweep_cancellation(lambda: an_order_over_the_wire(fault), time_limit=100.0)
    assert sweep.suspensions >= 2
