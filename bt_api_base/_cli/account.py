"""``ticker``, ``orders``, ``balance`` and ``order``: what a person asks a venue, and what they tell it."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import attrs
import msgspec
from rich import box
from rich.table import Table

from bt_api_base._cli.access import open_feed
from bt_api_base._cli.format import price, quantity, timestamp
from bt_api_base._cli.runtime import EXIT_FAILURE, EXIT_OK, CommandError, interrupts
from bt_api_base._cli.screen import console
from bt_api_base.containers import Order
from bt_api_base.containers.decimals import decimal_text
from bt_api_base.containers.enums import OrderStatus
from bt_api_base.exceptions import BtApiError, OrderUnknownError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from decimal import Decimal

    from bt_api_base._cli.access import Access
    from bt_api_base.containers import Balance, Event, Tick
    from bt_api_base.feeds import NativeFeed

__all__ = ("PlaceOptions", "run_balance", "run_cancel", "run_orders", "run_place", "run_ticker")

_NONE = "-"
_REFUSED = frozenset({OrderStatus.REJECTED, OrderStatus.MARGIN})


async def run_ticker(access: Access, symbols: Sequence[str], *, as_json: bool) -> int:
    """Print the latest prices of symbols.

    Raises:
        BtApiError: The venue refuses, or cannot be reached.

    Cancellation: Nothing is lost.
    """
    async with open_feed(access, symbols, private=False) as feed:
        ticks = [await feed.async_get_tick(symbol) for symbol in symbols]
    _show(ticks, _tick_table(access, ticks), as_json=as_json)
    return EXIT_OK


async def run_orders(access: Access, symbol: str | None, *, as_json: bool) -> int:
    """Print the orders that can still be filled.

    Raises:
        BtApiError: See `run_ticker`.

    Cancellation: Nothing is lost.
    """
    async with open_feed(access, _listed(symbol), private=True) as feed:
        orders = await feed.async_get_open_orders(symbol)
    _show(orders, _order_table(f"Open orders at {access.place}", orders), as_json=as_json)
    return EXIT_OK


async def run_balance(access: Access, currency: str | None, *, as_json: bool) -> int:
    """Print what the account holds.

    Raises:
        BtApiError: See `run_ticker`.

    Cancellation: Nothing is lost.
    """
    async with open_feed(access, private=True) as feed:
        balances = await feed.async_get_balance(currency)
    _show(balances, _balance_table(access, balances), as_json=as_json)
    return EXIT_OK


@attrs.frozen(kw_only=True)
class PlaceOptions:
    """An order as it was typed.

    Attributes:
        side: ``"buy"`` or ``"sell"``.
        symbol: Internal symbol.
        quantity: In the venue's quantity unit.
        price: Limit price; ``None``: at the market.
        time_in_force: Or ``None``: what is usual.
        post_only: Whether it must not take.
        reduce_only: Whether it may only make a position smaller.
        client_order_id: Or ``None``: a new one.
    """

    side: str
    symbol: str
    quantity: Decimal
    price: Decimal | None = None
    time_in_force: str | None = None
    post_only: bool = False
    reduce_only: bool = False
    client_order_id: str | None = None

    @property
    def words(self) -> str:
        """What it says, for whoever has to agree."""
        limit = "at the market" if self.price is None else f"at {decimal_text(self.price)}"
        more = [
            word
            for word, applies in (
                (self.time_in_force or "", self.time_in_force),
                ("post only", self.post_only),
                ("reduce only", self.reduce_only),
            )
            if applies
        ]
        return " ".join((self.side, decimal_text(self.quantity), self.symbol, limit, *(f"({word})" for word in more)))


async def run_place(access: Access, options: PlaceOptions, *, agreed: bool, as_json: bool) -> int:
    """Place an order, once it is agreed to, and print what became of it.

    Raises:
        CommandError: It is not agreed to.
        BtApiError: It was refused, or nobody knows what became of it.

    Cancellation: If it was sent, nobody knows what became of it; the log says so, with its id.
    """

    async def place(feed: NativeFeed) -> Order:
        extra: dict[str, Any] = {"reduce_only": True} if options.reduce_only else {}
        if options.time_in_force is not None:
            extra["time_in_force"] = options.time_in_force
        order: Order = await feed.async_make_order(
            options.symbol,
            options.quantity,
            options.price,
            f"{options.side}-{'market' if options.price is None else 'limit'}",
            post_only=options.post_only,
            client_order_id=options.client_order_id,
            **extra,
        )
        if order.executed_qty is None:
            # OKX answers with the id and nothing else. That the order is placed is known, whatever comes of asking.
            with suppress(BtApiError):
                order = await feed.async_query_order(options.symbol, order.order_id)
        return order

    return await _carry_out(
        access, options.symbol, f"{options.words} at {access.place}", place, agreed=agreed, as_json=as_json
    )


async def run_cancel(
    access: Access, symbol: str, order_id: str | None, client_order_id: str | None, *, agreed: bool, as_json: bool
) -> int:
    """Cancel an order, or all of a symbol, once that is agreed to, and print what became of it.

    Raises:
        CommandError: It is not agreed to.
        BtApiError: There is no such order, or the venue refuses.

    Cancellation: Nobody knows whether they were canceled.
    """

    async def cancel(feed: NativeFeed) -> Order | list[Order]:
        if order_id is None and client_order_id is None:
            canceled: list[Order] = await feed.async_cancel_all(symbol)
            return canceled
        order: Order = await feed.async_cancel_order(symbol, order_id, client_order_id=client_order_id)
        return order

    what = f"order {order_id or client_order_id}" if order_id or client_order_id else "all orders"
    return await _carry_out(
        access, symbol, f"cancel {what} of {symbol} at {access.place}", cancel, agreed=agreed, as_json=as_json
    )


async def _carry_out(
    access: Access,
    symbol: str,
    what: str,
    action: Callable[[NativeFeed], Any],
    *,
    agreed: bool,
    as_json: bool,
) -> int:
    if not agreed:
        _ask(what)
    outcome: list[Order] = []
    async with interrupts() as stop, open_feed(access, (symbol,), private=True) as feed:

        async def act() -> None:
            done = await action(feed)
            outcome.extend([done] if isinstance(done, Order) else done)

        if not await stop.run_until(None, act):
            unknown = feed.unknown_orders
            if unknown:
                raise OrderUnknownError(
                    access.exchange_name,
                    symbol,
                    unknown[0].client_order_id,
                    "interrupted after it was sent: look it up",
                )
            return stop.exit_status(bounded=True)
    _show(outcome, _order_table(what, outcome), as_json=as_json)
    return EXIT_FAILURE if any(order.order_status in _REFUSED for order in outcome) else EXIT_OK


def _ask(what: str) -> None:
    """Have a person agree."""
    print(f"{what}\nGo on? [y/N] ", end="", flush=True, file=sys.stderr)
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise CommandError(f"not done: {what}. It takes a yes; --yes says so beforehand")


def _listed(symbol: str | None) -> tuple[str, ...]:
    return () if symbol is None else (symbol,)


def _show(events: Sequence[Event], table: Table, *, as_json: bool) -> None:
    """Print a table, or one JSON object a line."""
    if as_json:
        for event in events:
            print(msgspec.json.encode(event).decode())
    else:
        console().print(table)


def _table(title: str, *columns: str, left: int = 1) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number < left else "right")
    return table


def _tick_table(access: Access, ticks: Sequence[Tick]) -> Table:
    where = "simulated " * access.simulated + access.exchange_name
    table = _table(f"Prices at {where}", "symbol", "last", "bid", "ask", "24 h high", "24 h low", "24 h volume")
    for tick in ticks:
        figures = (tick.last_price, tick.bid_price, tick.ask_price, tick.high_price, tick.low_price)
        volume = _NONE if tick.volume is None else quantity(tick.volume)
        table.add_row(tick.symbol, *(price(figure, like=tick.last_price) for figure in figures), volume)
    return table


def _order_table(title: str, orders: Sequence[Order]) -> Table:
    table = _table(
        title,
        "order",
        "symbol",
        "side",
        "type",
        "status",
        "quantity",
        "price",
        "filled",
        "average",
        "client id",
        left=5,
    )
    for order in orders:
        table.add_row(
            order.order_id or _NONE,
            order.symbol,
            str(order.order_side),
            str(order.order_type),
            str(order.order_status),
            _amount(order.order_size),
            _amount(order.order_price),
            _amount(order.executed_qty),
            _average(order),
            order.client_order_id or _NONE,
        )
    if not orders:
        table.caption = "none"
    return table


def _balance_table(access: Access, balances: Sequence[Balance]) -> Table:
    table = _table(f"Balances at {access.place}", "currency", "total", "available", "locked", "unrealized profit")
    for balance in balances:
        figures = (balance.margin, balance.available_margin, balance.used_margin, balance.unrealized_profit)
        table.add_row(balance.currency, *map(_amount, figures))
    if not balances:
        table.caption = "none"
    elif balances[0].server_time:
        table.caption = f"as of {timestamp(balances[0].server_time)}"
    return table


def _average(order: Order) -> str:
    """Return an order's average price, as the venue says it, or else to eight digits after the point."""
    average = order.order_avg_price
    if average is None and order.cum_quote and order.executed_qty:
        average = round(order.cum_quote / order.executed_qty, 8)
    return _amount(average)


def _amount(value: Decimal | None) -> str:
    """Return an amount exactly, without zeros at its end."""
    if value is None:
        return _NONE
    text = decimal_text(value)
    return text.rstrip("0").rstrip(".") if "." in text else text
