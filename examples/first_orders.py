"""Trade: stream ticks, place, replace and cancel orders while everything goes wrong, and keep exact books.

Run it with ``python examples/first_orders.py [asyncio|uvloop|trio]``.

The venue is simulated, and in trouble: it loses answers, is killed in the middle of it, and says 429. No order is sent
twice, none is lost sight of, and in the end the program's books agree with the venue's to the last digit.
"""

from __future__ import annotations

import sys
from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING

import anyio

from bt_api_base import (
    Fill,
    Gap,
    NetworkError,
    OrderError,
    Overflow,
    RateLimitError,
    SimulatedVenue,
    WebSocketConfig,
    WebSocketManager,
)
from bt_api_base.containers import Side
from bt_api_base.feeds import ResolvePolicy, venue_feed

if TYPE_CHECKING:
    from bt_api_base import Order
    from bt_api_base.feeds import NativeFeed, UserData
    from bt_api_base.websocket_manager import Subscription

EXCHANGE, SYMBOL = "BINANCE___SPOT", "BTC-USDT"
ROUNDS = 24
Books = dict[str, Decimal]


async def keep_books(events: UserData, books: Books) -> None:
    """Book each fill, and what it cost."""
    async for fill in events:
        if isinstance(fill, Fill):
            sign = 1 if fill.trade_side is Side.BUY else -1
            books["BTC"] += sign * fill.trade_volume
            books["USDT"] -= sign * fill.trade_volume * fill.trade_price
            books[fill.trade_fee_symbol or ""] -= fill.trade_fee or 0


async def balances(feed: NativeFeed) -> Books:
    """Return what the account holds, as the venue says."""
    return {balance.currency: balance.margin for balance in await feed.async_get_balance()}


async def make_trouble(venue: SimulatedVenue) -> None:
    """Lose answers, kill the venue, and say 429; twice."""
    for _ in range(2):
        venue.rest.lose_replies(2, match="/api/v3/order")
        await anyio.sleep(0.05)
        await venue.kill(seconds=0.2)
        await anyio.sleep(0.3)
        venue.rest.limit(seconds=0.1)
        await anyio.sleep(0.5)


async def trade(feed: NativeFeed, ticks: Subscription, done: Counter[str]) -> None:
    """Have an order at the best price, buy and sell in turns, and replace it with each tick."""
    order: Order | None = None
    async for tick in ticks:
        if isinstance(tick, Gap):  # the stream was interrupted; the next tick says where the market is now
            continue
        try:
            if order is not None:
                order = await feed.async_cancel_order(SYMBOL, order.order_id)
                done[order.order_status] += 1
                order = None
            side, price = ("buy", tick.bid_price) if done.total() % 2 else ("sell", tick.ask_price)
            order = await feed.async_make_order(SYMBOL, "0.01", price, f"{side}-limit")
        except (NetworkError, OrderError, RateLimitError) as error:
            done[type(error).__name__] += 1  # not done, or being found out: the next tick goes on
        if done["canceled"] + done["filled"] >= ROUNDS:
            return


async def main() -> None:
    """Trade for a while, and compare the books."""
    done: Counter[str] = Counter()
    # For how long an order that the venue does not show may still turn up: this venue is on the same machine.
    patient = ResolvePolicy(settle_time=1, max_delay=0.5)
    async with (
        SimulatedVenue((SYMBOL,), seed=1, rate=200) as venue,
        WebSocketManager() as manager,
        venue_feed(EXCHANGE, venue.credentials, rest_url=venue.rest_url, manager=manager, policy=patient) as feed,
    ):
        config = WebSocketConfig(venue.url, EXCHANGE, credentials=venue.credentials, reconnect_interval=0.1)
        await manager.add_exchange(config)
        ticks = await manager.subscribe(EXCHANGE, "ticker", SYMBOL, overflow=Overflow.CONFLATE)
        books = await balances(feed)
        async with feed.user_data() as events, anyio.create_task_group() as tasks:
            tasks.start_soon(keep_books, events, books)
            async with anyio.create_task_group() as trouble:
                trouble.start_soon(make_trouble, venue)
                await trade(feed, ticks, done)
                trouble.cancel_scope.cancel()
            venue.rest.clear()
            await feed.async_cancel_all(SYMBOL)
            await events.reconcile()
            while events.pending:  # noqa: ASYNC110 - for the one time that somebody wants to know
                await anyio.sleep(0.01)
            tasks.cancel_scope.cancel()
        theirs = await balances(feed)
        print(", ".join(f"{count} {what}" for what, count in done.items()), f"and {len(venue.exchange.fills)} fills")
        for currency, amount in books.items():
            print(f"{currency:5} {amount:f} ours, {theirs[currency]:f} theirs")
        if books != theirs:
            sys.exit("the books differ")


if __name__ == "__main__":
    loop = sys.argv[1] if len(sys.argv) > 1 else "asyncio"
    if loop == "uvloop":
        anyio.run(main, backend="asyncio", backend_options={"use_uvloop": True})
    else:
        anyio.run(main, backend=loop)
