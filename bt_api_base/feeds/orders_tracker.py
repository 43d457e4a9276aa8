"""What is known of every order of a feed, by the id that the feed gave it.

The id is chosen before an order is sent, so an order can be found by it whatever happens on the way. The tracker is
told everything that is heard of an order, by whatever way, and keeps the latest state of it.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any, Final

import anyio
import attrs

from bt_api_base.exceptions import DuplicateOrderError
from bt_api_base.feeds.order_states import is_later, with_known
from bt_api_base.logging_factory import get_logger

if TYPE_CHECKING:
    from bt_api_base.containers import Order
    from bt_api_base.feeds.order_request import OrderRequest

__all__ = ("OrderFate", "OrderTracker", "TrackedOrder")


class OrderFate(enum.Enum):
    """Whether an order was placed."""

    SENDING = "sending"
    """It is being sent, and has not been answered."""
    PLACED = "placed"
    """The venue has it, or had it: its state says which."""
    UNKNOWN = "unknown"
    """It was sent, and no answer came. It may be in the venue's book."""
    NOT_PLACED = "not_placed"
    """The venue refused it, or surely does not have it."""


_EARLIER: Final = 100

_SETTLED = frozenset({OrderFate.PLACED, OrderFate.NOT_PLACED})


@attrs.define(eq=False)
class TrackedOrder:
    """One order of a feed, and what is known of it.

    Attributes:
        request: What was asked for.
        fate: Whether it was placed.
        order: The latest state that was told; ``None`` while none was.
        error: Why its fate is unknown, or why it was not placed.
        sent_at: When it was sent, in the event loop's time, seconds.
        sent_ns: The same by the venue's clock as it was known then, nanoseconds since the epoch (UTC); ``None``: the
            venue's API has no clock.
        unknown_since: Since when its fate has been unknown, in the same time; ``None`` if it never was.
        queries: How often the venue was asked for it because of that.
        earlier_ids: The venue's ids of earlier orders that had the same id of ours, the newest last; a hundred at most.
    """

    request: OrderRequest
    fate: OrderFate = OrderFate.SENDING
    order: Order | None = None
    error: Exception | None = None
    sent_at: float = 0.0
    sent_ns: int | None = None
    unknown_since: float | None = None
    queries: int = 0
    earlier_ids: tuple[str, ...] = ()
    _changed: anyio.Event | None = attrs.field(default=None, init=False, repr=False)

    @property
    def client_order_id(self) -> str:
        """The id that it has from us."""
        return self.request.client_order_id

    @property
    def symbol(self) -> str:
        """Internal symbol."""
        return self.request.symbol

    @property
    def is_settled(self) -> bool:
        """Whether it is known if it was placed."""
        return self.fate in _SETTLED

    @property
    def is_open(self) -> bool:
        """Whether the venue has it, and it can still be filled."""
        return self.fate is OrderFate.PLACED and (self.order is None or not self.order.order_status.is_final)

    @property
    def may_be_filled(self) -> bool:
        """Whether it can still be filled as far as is known: it is open, or its fate is not known."""
        return not self.is_settled or self.is_open

    async def wait_changed(self) -> None:
        """Wait until something else is known of it.

        Cancellation: nothing is lost.
        """
        if self._changed is None:
            self._changed = anyio.Event()
        await self._changed.wait()

    async def wait_settled(self) -> None:
        """Wait until it is known whether it was placed.

        Cancellation: nothing is lost.
        """
        while not self.is_settled:
            await self.wait_changed()

    def change(self, **values: Any) -> None:  # noqa: ANN401 - attributes of several types
        """Note what is known now, and wake those who wait for that."""
        for name, value in values.items():
            setattr(self, name, value)
        changed, self._changed = self._changed, None
        if changed is not None:
            changed.set()


@attrs.define(eq=False)
class OrderTracker:
    """Every order of a feed by its client order id. For the event loop's thread only.

    Orders that are open or of unknown fate are never forgotten; of the others, the oldest are. To carry what is known
    over to another feed for the same account, give that feed the same tracker.

    Attributes:
        max_done: How many orders are remembered that can change no more.
    """

    max_done: int = 10_000
    _live: dict[str, TrackedOrder] = attrs.field(factory=dict[str, TrackedOrder], init=False)
    _done: dict[str, TrackedOrder] = attrs.field(factory=dict[str, TrackedOrder], init=False)
    _by_order_id: dict[tuple[str, str], str] = attrs.field(factory=dict[tuple[str, str], str], init=False)
    _log: Any = attrs.field(factory=lambda: get_logger("feed"), init=False, repr=False)

    def __len__(self) -> int:
        return len(self._live) + len(self._done)

    @property
    def unknown(self) -> tuple[TrackedOrder, ...]:
        """Orders of unknown fate, the oldest first."""
        return tuple(entry for entry in self._live.values() if entry.fate is OrderFate.UNKNOWN)

    @property
    def open(self) -> tuple[TrackedOrder, ...]:
        """Orders that the venue has and that can still be filled, as far as is known."""
        return tuple(entry for entry in self._live.values() if entry.is_open)

    def get(self, client_order_id: str) -> TrackedOrder | None:
        """Return an order by the id that it has from us; ``None`` if it is not known here."""
        return self._live.get(client_order_id) or self._done.get(client_order_id)

    def find(self, symbol: str, order_id: str = "", client_order_id: str = "") -> TrackedOrder | None:
        """Return an order by either id; ``None`` if it is not known here."""
        own_id = client_order_id or self._by_order_id.get((symbol, order_id), "")
        entry = self.get(own_id) if own_id else None
        if entry is not None and order_id in entry.earlier_ids:
            return None
        if entry is None or not order_id or entry.order is None or not entry.order.order_id:
            return entry
        return entry if entry.order.order_id == order_id else None

    def all(self) -> tuple[TrackedOrder, ...]:
        """Return all orders that are remembered: those that can still be filled, then those that are done."""
        return (*self._live.values(), *self._done.values())

    def begin(self, request: OrderRequest, exchange_name: str = "") -> TrackedOrder:
        """Remember an order that is about to be sent.

        Raises:
            DuplicateOrderError: An order with this client order id is open, or may be.
        """
        own_id = request.client_order_id
        before = self.get(own_id)
        if before is not None and before.may_be_filled:
            detail = f"an order with this id is {'open' if before.is_settled else before.fate.value}; nothing was sent"
            raise DuplicateOrderError(exchange_name, request.symbol, own_id, detail)
        entry = TrackedOrder(request, sent_at=anyio.current_time())
        if before is not None:
            self._done.pop(own_id, None)
            entry.earlier_ids = before.earlier_ids
            if before.order is not None and before.order.order_id:
                entry.earlier_ids = (*before.earlier_ids, before.order.order_id)[-_EARLIER:]
                self._by_order_id.pop((before.order.symbol, before.order.order_id), None)
        self._live[own_id] = entry
        return entry

    def note(self, order: Order) -> TrackedOrder | None:
        """Take a state of an order that the venue told; return the order if it is one of this feed's."""
        entry = self.find(order.symbol, order.order_id, order.client_order_id or "")
        if entry is None:
            return None
        self.placed(entry, order)
        return entry

    def placed(self, entry: TrackedOrder, order: Order) -> Order:
        """Take a state of this order that the venue told; return the latest state that is known."""
        known = entry.order
        if known is not None and not is_later(known, order):
            order = known
        elif known is not None:
            order = with_known(known, order)
        if entry.fate is OrderFate.NOT_PLACED:
            self._log.error("an order that was taken for not placed is at the venue", order=entry.client_order_id)
        if order.order_id:
            self._by_order_id[order.symbol, order.order_id] = entry.client_order_id
        if order is not known or entry.fate is not OrderFate.PLACED:
            entry.change(order=order, fate=OrderFate.PLACED, error=None)
        self._file(entry)
        return order

    def not_placed(self, entry: TrackedOrder, error: Exception | None = None) -> None:
        """Note that the venue refused an order, or surely does not have it."""
        if entry.fate is not OrderFate.PLACED:
            entry.change(fate=OrderFate.NOT_PLACED, error=error)
            self._file(entry)

    def lost(self, entry: TrackedOrder, error: Exception | None = None) -> None:
        """Note that an order was sent, or may have been, and was not answered."""
        if entry.fate is OrderFate.SENDING:
            entry.change(fate=OrderFate.UNKNOWN, unknown_since=anyio.current_time(), error=error)

    def _file(self, entry: TrackedOrder) -> None:
        """Put an order among those that can still change or those that cannot, and forget the oldest of these."""
        own_id = entry.client_order_id
        if self.get(own_id) is not entry:
            return  # its id has been given to another one since
        if entry.may_be_filled:
            self._done.pop(own_id, None)
            self._live[own_id] = entry
            return
        self._live.pop(own_id, None)
        self._done[own_id] = entry
        while len(self._done) > self.max_done:
            forgotten = self._done.pop(next(iter(self._done)))
            if forgotten.order is not None:
                self._by_order_id.pop((forgotten.order.symbol, forgotten.order.order_id), None)
