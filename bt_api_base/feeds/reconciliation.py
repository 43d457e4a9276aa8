"""What an account's stream did not tell, asked for over REST."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs
import msgspec

from bt_api_base.containers import Event, Fill, Order, OrderStatus
from bt_api_base.exceptions import OrderNotFoundError
from bt_api_base.feeds.capability import Capability
from bt_api_base.feeds.order_states import filled, order_key
from bt_api_base.logging_factory import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from bt_api_base.containers import Balance, Position
    from bt_api_base.feeds.account_ledger import AccountLedger
    from bt_api_base.feeds.orders_tracker import OrderTracker
    from bt_api_base.feeds.venue_api import VenueApi

__all__ = ("Reconciler", "fills_since")

_MS: Final = 1_000_000
_PAGE: Final = 500


async def fills_since(api: VenueApi, symbol: str, since: int) -> list[Fill]:
    """Return an account's fills since a time, the oldest first, each once, in as many requests as it takes.

    Args:
        api: The venue.
        symbol: Internal symbol.
        since: Earliest time, included, nanoseconds since the epoch (UTC).

    Raises:
        BtApiError: The venue could not be asked.

    Cancellation: Nothing is kept.
    """
    found: dict[tuple[str, str], Fill] = {}
    count = _PAGE
    seen = 0
    while True:
        page = await api.fills(symbol, since=since, count=count)
        found.update(((fill.trade_id, fill.order_id), fill) for fill in page)
        if len(page) < _PAGE:
            return sorted(found.values(), key=_fill_order)
        # The next page begins with the moment at which this one ends: there may be more of it. If there is nothing
        # else on this page, it takes longer ones, until they get no longer.
        latest = max(fill.trade_time for fill in page)
        if latest > since:
            since, count, seen = latest, _PAGE, 0
        elif len(page) > seen:
            count, seen = 2 * count, len(page)
        else:
            since, count, seen = latest + _MS, _PAGE, 0


def _fill_order(fill: Fill) -> tuple[int, int, str]:
    return fill.trade_time, len(fill.trade_id), fill.trade_id


@attrs.define(eq=False)
class Reconciler:
    """Compares what a consumer was told with what the venue says, and returns the difference.

    Attributes:
        api: The venue.
        ledger: What was told.
        tracker: Orders of the feed.
        baseline: Venue time from which on everything is to be told, nanoseconds since the epoch (UTC). Of what happened
            before, only what concerns orders of the feed is.
        extra_symbols: Instruments to look at besides those that the account was seen to trade.
        overlap_ns: How far before the last thing that was told to look, nanoseconds: a venue's answers can be late.
        may_tell: Whether an event is wanted at all; asked for each.
    """

    api: VenueApi
    ledger: AccountLedger
    tracker: OrderTracker
    baseline: int = 0
    extra_symbols: tuple[str, ...] = ()
    overlap_ns: int = 60_000_000_000
    may_tell: Callable[[Event], bool] = attrs.field(default=lambda _event: True)
    _log: Any = attrs.field(factory=lambda: get_logger("feed"), init=False, repr=False)

    async def missed(self) -> list[Event]:
        """Return what was not told, in the order in which it happened, and take it for told.

        Orders are asked for before fills, so that no state tells of a fill that is not among them.

        Raises:
            BtApiError: The venue could not be asked; nothing is taken for told.

        Cancellation: Nothing is taken for told.
        """
        can = self.api.capabilities
        since = self._since()
        orders = await self._all_orders(since)
        symbols = self._symbols(orders)
        fills: list[Fill] = []
        if Capability.GET_DEALS in can:
            for symbol in symbols:
                fills += await fills_since(self.api, symbol, since)
        balances = await self.api.balances() if Capability.GET_BALANCE in can else []
        positions = await self.api.positions() if Capability.GET_POSITION in can else None
        # From here on nothing is awaited: it is told all together.
        happened: list[Event] = [*orders, *(self._named(fill) for fill in fills if self._is_wanted(fill))]
        happened.sort(key=_moment)
        return self._told(happened, balances, positions, has_balances=Capability.GET_BALANCE in can)

    def _named(self, fill: Fill) -> Fill:
        """Return a fill with the client order id of its order, which some venues tell in their streams only."""
        if fill.client_order_id is not None:
            return fill
        entry = self.tracker.find(fill.symbol, fill.order_id)
        return fill if entry is None else msgspec.structs.replace(fill, client_order_id=entry.client_order_id)

    def _told(
        self,
        happened: Iterable[Event],
        balances: list[Balance],
        positions: list[Position] | None,
        *,
        has_balances: bool,
    ) -> list[Event]:
        states: list[Event] = [*balances, *(positions or ())]
        if has_balances:
            states += self.ledger.closed(balances, positions)
        told: list[Event] = []
        for event in (*happened, *states):
            taken = self.ledger.take(event)
            if taken is not None and self.may_tell(taken):
                told.append(taken)
        return told

    def _since(self) -> int:
        """Return from when on to look, venue time: some time before the last thing that was told."""
        times = [entry.order.order_time for entry in self.tracker.open if entry.order and entry.order.order_time]
        before = max(self.ledger.watermark, self.baseline) - self.overlap_ns
        if not self.ledger.watermark:
            before = min((*times, self.baseline))  # the first time: as far back as the feed's own orders go
        return max(before, self.ledger.forgotten_until, 0)

    async def _all_orders(self, since: int) -> list[Order]:
        """Return the open orders, those that were open, and those that came and went meanwhile."""
        open_orders = await self.api.open_orders()
        found = {order_key(order): order for order in open_orders}
        for symbol in self._symbols(open_orders):
            for order in await self.api.orders(symbol, since=since):
                key = order_key(order)
                if key not in found and self._is_wanted(order):
                    found[key] = order
        for order in self._awaited():
            if order_key(order) not in found:
                ended = await self._ended(order)
                if ended is not None:
                    found[order_key(order)] = ended
        return list(found.values())

    def _awaited(self) -> list[Order]:
        """Return orders that can still be filled as far as was told, here or to the feed."""
        known = {order_key(order): order for order in self.ledger.open_orders}
        for entry in self.tracker.open:
            if entry.order is not None:
                known.setdefault(order_key(entry.order), entry.order)
        return list(known.values())

    async def _ended(self, order: Order) -> Order | None:
        """Return the state of an order that is not open any more, or was placed just now; ``None``: nobody knows."""
        try:
            if order.order_id:
                return await self.api.query(order.symbol, order_id=order.order_id)
            return await self.api.query(order.symbol, client_order_id=order.client_order_id or "")
        except OrderNotFoundError:
            # Venues forget orders that were canceled and never filled, and show others late.
            if await self.api.server_time() < max(order.server_time, order.order_time or 0) + self.overlap_ns:
                return None
            self._log.warning("an order is neither open nor remembered by the venue", order=order.order_id)
            return msgspec.structs.replace(order, order_status=OrderStatus.CANCELED, trade_id=None)

    def _symbols(self, orders: Iterable[Order]) -> list[str]:
        symbols = {*self.extra_symbols, *self.ledger.symbols}
        symbols |= {order.symbol for order in orders}
        symbols |= {entry.symbol for entry in self.tracker.all() if entry.order is not None}
        symbols |= {entry.symbol for entry in self.tracker.unknown}
        return sorted(symbols)

    def _is_wanted(self, event: Order | Fill) -> bool:
        """Tell whether something is of the time that is told, or of an order of the feed."""
        if isinstance(event, Fill):
            key = event.symbol, event.order_id
            moment = event.trade_time
        else:
            key = order_key(event)
            moment = event.order_time or event.server_time
        if moment >= self.baseline or self.ledger.knows(key):
            return True
        entry = self.tracker.find(event.symbol, event.order_id, event.client_order_id or "")
        return entry is not None


def _moment(event: Event) -> tuple[int, int, int, str]:
    """Return where an event stands among others: by the venue's time, and a fill before the state that it led to."""
    if isinstance(event, Fill):
        return event.trade_time, 0, len(event.trade_id), event.trade_id
    if isinstance(event, Order):
        return event.server_time, 1, int(filled(event) > 0), event.order_id
    return event.server_time, 2, 0, ""
