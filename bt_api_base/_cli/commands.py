"""The commands that ask a venue over REST, and trade there."""

from __future__ import annotations

import os
import sys
from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import attrs
from cyclopts import App, Parameter, validators

from bt_api_base._cli.runtime import Backend, run
from bt_api_base.containers.decimals import decimal_text
from bt_api_base.logging_factory import configure_logging

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from cyclopts import Token

    from bt_api_base._cli.access import Access

__all__ = ("register",)

FileFormat = Literal["csv", "jsonl"]

_Switch = Parameter(negative=(), show_default=False)
_Positive = validators.Number(gt=0)


def _http_url(_: type, value: str | None) -> None:
    if value is not None and not value.startswith(("http://", "https://")):
        raise ValueError("Must start with http:// or https://.")


def _amount(_: object, tokens: Sequence[Token]) -> Decimal:
    """Read an exact number as it was typed."""
    text = tokens[0].value
    try:
        value = Decimal(text)
        decimal_text(value)
    except (InvalidOperation, ValueError):
        raise ValueError(f'"{text}" is no number.') from None
    return value


_Amount = Parameter(converter=_amount)


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class Way:
    """What every command can be told about the way to the venue."""

    sim: Annotated[bool, _Switch, Parameter(help="Use a simulated venue in this process: no account, no network.")] = (
        False
    )
    account: Annotated[
        str, Parameter(help="Which of several accounts, as their credentials are named.", show_default=False)
    ] = ""
    demo: Annotated[bool, _Switch, Parameter(help="Use the venue's demonstration environment.")] = False
    rest_url: Annotated[
        str | None, Parameter(validator=_http_url, help="REST host to use in place of the venue's own.")
    ] = None
    timeout: Annotated[float, Parameter(validator=_Positive, help="Seconds a call may take in all.")] = 10.0
    backend: Annotated[Backend, Parameter(help="Event loop to run on.")] = "asyncio"
    seed: Annotated[int, Parameter(help="What the simulated venue follows from.")] = 1

    def access(self, exchange: str) -> Access:
        """Return the same for a venue."""
        from bt_api_base._cli.access import Access

        return Access(
            exchange_name=exchange.upper(),
            simulated=self.sim,
            account=self.account,
            demo=self.demo,
            rest_url=self.rest_url,
            timeout=self.timeout,
            backend=self.backend,
            seed=self.seed,
        )


_WAY = Way()


def _ask(way: Way, command: Callable[[], Awaitable[int]]) -> int:
    """Run a command that changes nothing: what is tried again in vain is told once, as the error that it ends with."""
    if not os.environ.get("BT_API_LOG_LEVEL"):
        configure_logging(level="error")
    return run(way.backend, command)


def ticker(
    exchange: str,
    /,
    *symbols: Annotated[str, Parameter(required=True)],
    json: Annotated[bool, _Switch] = False,
    way: Way = _WAY,
) -> int:
    """Print the latest prices of symbols.

    Args:
        exchange: Venue and asset type, such as BINANCE___SPOT.
        symbols: Symbols, such as BTC-USDT.
        json: Print one JSON object a line.
        way: The way to the venue.
    """
    from bt_api_base._cli.account import run_ticker

    async def command() -> int:
        return await run_ticker(way.access(exchange), symbols, as_json=json)

    return _ask(way, command)


def klines(
    exchange: str,
    symbol: str,
    /,
    *,
    period: str = "1m",
    start: datetime | None = None,
    end: datetime | None = None,
    count: Annotated[int, Parameter(validator=_Positive)] = 100,
    output: Annotated[Path | None, Parameter(alias="-o")] = None,
    format: FileFormat | None = None,  # noqa: A002 - the option's name
    way: Way = _WAY,
) -> int:
    """Download bars of any time range as CSV or JSON lines.

    Page after page, within the venue's limits; a file is complete or not there. Times are in UTC, those in the rows
    nanoseconds since 1970.

    Args:
        exchange: Venue and asset type, such as BINANCE___SPOT.
        symbol: Symbol, such as BTC-USDT.
        period: Length of a bar: 1m, 1h, 1d, ….
        start: Earliest open time, included, such as 2026-01-31 or 2026-01-31T12:00:00. Default: the newest bars.
        end: Open times before this. Default: now.
        count: How many of the newest bars, without --start.
        output: File to write, *.csv or *.jsonl. Default: standard output.
        format: csv, or jsonl: an object a line, each with the same columns, ready for Parquet. Default: as the file is
            named.
        way: The way to the venue.
    """
    from bt_api_base._cli.klines import KlinesOptions, run_klines

    options = KlinesOptions(
        symbol=symbol, period=period, start=start, end=end, count=count, output=output, file_format=format
    )

    async def command() -> int:
        return await run_klines(way.access(exchange), options)

    return _ask(way, command)


def orders(
    exchange: str,
    symbol: str | None = None,
    /,
    *,
    json: Annotated[bool, _Switch] = False,
    way: Way = _WAY,
) -> int:
    """Print the orders that can still be filled.

    Args:
        exchange: Venue and asset type, such as BINANCE___SPOT.
        symbol: Only those of this symbol.
        json: Print one JSON object a line.
        way: The way to the venue.
    """
    from bt_api_base._cli.account import run_orders

    async def command() -> int:
        return await run_orders(way.access(exchange), symbol, as_json=json)

    return _ask(way, command)


def balance(
    exchange: str,
    currency: str | None = None,
    /,
    *,
    json: Annotated[bool, _Switch] = False,
    way: Way = _WAY,
) -> int:
    """Print what an account holds.

    Args:
        exchange: Venue and asset type, such as BINANCE___SPOT.
        currency: Only this one, such as USDT.
        json: Print one JSON object a line.
        way: The way to the venue.
    """
    from bt_api_base._cli.account import run_balance

    async def command() -> int:
        return await run_balance(way.access(exchange), currency, as_json=json)

    return _ask(way, command)


def place(
    exchange: str,
    side: Literal["buy", "sell"],
    symbol: str,
    quantity: Annotated[Decimal, _Amount],
    /,
    *,
    price: Annotated[Decimal | None, _Amount] = None,
    time_in_force: Literal["GTC", "IOC", "FOK"] | None = None,
    post_only: Annotated[bool, _Switch] = False,
    reduce_only: Annotated[bool, _Switch] = False,
    client_order_id: str | None = None,
    yes: Annotated[bool, _Switch] = False,
    json: Annotated[bool, _Switch] = False,
    way: Way = _WAY,
) -> int:
    """Place an order, after asking whether to.

    It is sent once. If its answer is lost, the venue is asked what became of it; if nobody knows, the exit status is 1
    and the message has its client order id.

    Args:
        exchange: Venue and asset type, such as BINANCE___SPOT.
        side: buy or sell.
        symbol: Symbol, such as BTC-USDT.
        quantity: In the venue's quantity unit: base currency on spot, contracts on OKX's derivatives.
        price: Limit price. Default: at the market.
        time_in_force: How long it stays. Default: GTC.
        post_only: Refuse it rather than take.
        reduce_only: Only make a position smaller.
        client_order_id: Id to find it by. Default: a new one.
        yes: Do not ask.
        json: Print one JSON object.
        way: The way to the venue.
    """
    from bt_api_base._cli.account import PlaceOptions, run_place

    options = PlaceOptions(
        side=side,
        symbol=symbol,
        quantity=quantity,
        price=price,
        time_in_force=time_in_force,
        post_only=post_only,
        reduce_only=reduce_only,
        client_order_id=client_order_id,
    )

    async def command() -> int:
        return await run_place(way.access(exchange), options, agreed=yes, as_json=json)

    return run(way.backend, command)


def cancel(
    exchange: str,
    symbol: str,
    /,
    *,
    order_id: str | None = None,
    client_order_id: str | None = None,
    all: Annotated[bool, _Switch] = False,  # noqa: A002 - the option's name
    yes: Annotated[bool, _Switch] = False,
    json: Annotated[bool, _Switch] = False,
    way: Way = _WAY,
) -> int:
    """Cancel an order, or all of a symbol, after asking whether to.

    Args:
        exchange: Venue and asset type, such as BINANCE___SPOT.
        symbol: Symbol, such as BTC-USDT.
        order_id: The venue's id of the order.
        client_order_id: The id it was given when it was placed.
        all: Cancel all open orders of the symbol.
        yes: Do not ask.
        json: Print one JSON object a line.
        way: The way to the venue.
    """
    from bt_api_base._cli.account import run_cancel
    from bt_api_base._cli.runtime import EXIT_USAGE

    if sum((order_id is not None, client_order_id is not None, all)) != 1:
        print("error: say which: --order-id, --client-order-id, or --all", file=sys.stderr)
        return EXIT_USAGE

    async def command() -> int:
        return await run_cancel(way.access(exchange), symbol, order_id, client_order_id, agreed=yes, as_json=json)

    return run(way.backend, command)


def register(app: App) -> None:
    """Add the commands to the program."""
    for command in (ticker, klines, orders, balance):
        app.command(command)
    order = App(name="order", help="Place and cancel orders.")
    order.command(place)
    order.command(cancel)
    app.command(order)
