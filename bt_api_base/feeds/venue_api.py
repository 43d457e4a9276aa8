"""What a feed needs of a venue's REST API: one coroutine per call, containers out, no state.

A venue writes a class with these methods over an `HttpClient`; everything else that a feed does (paging, orders of
unknown fate, reconciliation, streams, the blocking methods) is the same for all venues.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol

if TYPE_CHECKING:
    from bt_api_base.containers import Account, Balance, Bar, Fill, Instrument, Order, OrderBook, Position, Tick, Trade
    from bt_api_base.feeds.capability import Capability
    from bt_api_base.feeds.http_client import HttpClient
    from bt_api_base.feeds.order_request import OrderRequest

__all__ = ("VenueApi",)


class VenueApi(Protocol):
    """One venue's REST API. Every method raises what its `ErrorTable` says, and `DataParseError` for a bad body."""

    exchange_name: ClassVar[str]
    """Such as ``"BINANCE___SPOT"``."""
    capabilities: ClassVar[frozenset[Capability]]
    """What it can do."""
    max_klines: ClassVar[int]
    """Most bars in one answer."""
    private_channels: ClassVar[tuple[tuple[str, str], ...]]
    """Topic and symbol of the private channels that a feed subscribes to for its user-data events."""
    client: HttpClient

    def new_client_order_id(self) -> str:
        """Return an id that no other order has, in the form that the venue allows."""
        ...

    async def server_time(self) -> int:
        """Return the venue's clock, nanoseconds since the epoch (UTC)."""
        ...

    async def instruments(self) -> list[Instrument]:
        """Return all that can be traded."""
        ...

    async def ticker(self, symbol: str) -> Tick:
        """Return the latest prices."""
        ...

    async def depth(self, symbol: str, count: int = 20) -> OrderBook:
        """Return the best levels of the book."""
        ...

    async def klines(
        self, symbol: str, period: str, *, start: int | None = None, end: int | None = None, count: int | None = None
    ) -> list[Bar]:
        """Return one page of bars, oldest first.

        Args:
            symbol: Internal symbol.
            period: In the ecosystem's words: ``"1m"``, ``"1h"``, ``"1d"``, ….
            start: Earliest open time, nanoseconds since the epoch (UTC), included; ``None``: the newest bars.
            end: Open times before this, excluded.
            count: At most this many; with ``start``, the oldest of them.
        """
        ...

    async def trades(self, symbol: str, count: int = 100) -> list[Trade]:
        """Return the latest public trades, oldest first."""
        ...

    async def place(self, request: OrderRequest) -> Order:
        """Place an order. Its ``client_order_id`` is never empty here.

        One call does it, and nothing is awaited after its answer: who were cancelled there would leave an order that is
        taken for one that was never sent.

        Raises:
            OrderUnknownError: It was sent, and whether it was placed is not known.
        """
        ...

    async def cancel(self, symbol: str, *, order_id: str = "", client_order_id: str = "") -> Order:
        """Cancel an order, by either id.

        Raises:
            OrderNotFoundError: There is no such order, or it is done already.
            OrderUnknownError: It was sent, and whether the order was canceled is not known.
        """
        ...

    async def cancel_all(self, symbol: str | None = None) -> list[Order]:
        """Cancel all orders of a symbol, or all there are where the venue can."""
        ...

    async def query(self, symbol: str, *, order_id: str = "", client_order_id: str = "") -> Order:
        """Return an order, by either id, done or not.

        Raises:
            OrderNotFoundError: There is no such order.
        """
        ...

    async def open_orders(self, symbol: str | None = None) -> list[Order]:
        """Return the orders that can still be filled."""
        ...

    async def orders(self, symbol: str, *, since: int | None = None) -> list[Order]:
        """Return orders whatever their state, oldest first; ``since``: nanoseconds since the epoch (UTC)."""
        ...

    async def fills(self, symbol: str, *, since: int | None = None, order_id: str = "", count: int = 500) -> list[Fill]:
        """Return the account's fills, oldest first; ``since``: nanoseconds since the epoch (UTC), included."""
        ...

    async def balances(self) -> list[Balance]:
        """Return what the account holds, by currency, without those it has nothing of."""
        ...

    async def account(self) -> Account:
        """Return the account as a whole."""
        ...

    async def positions(self, symbol: str | None = None) -> list[Position]:
        """Return the open positions; none for a spot market."""
        ...
