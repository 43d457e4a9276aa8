"""How the fate of an order is found out: by asking for it, never by sending it again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import anyio
import attrs

from bt_api_base.exceptions import (
    AuthenticationError,
    ConfigurationError,
    CurrencyNotFoundError,
    DataParseError,
    ExchangeConnectionError,
    InvalidSymbolError,
    NetworkError,
    NotSupportedError,
    OrderError,
    OrderNotFoundError,
    OrderUnknownError,
    RateLimitError,
    RequestFailedError,
    RequestTimeoutError,
    TimestampError,
    WebSocketError,
)
from bt_api_base.feeds.orders_tracker import OrderFate
from bt_api_base.logging_factory import get_logger

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bt_api_base.containers import Order
    from bt_api_base.feeds.orders_tracker import OrderTracker, TrackedOrder
    from bt_api_base.feeds.venue_api import VenueApi

__all__ = ("ResolvePolicy", "Resolver", "surely_not_done", "venue_time", "wait_before_asking")

_BEFORE_NS: Final = 120_000_000_000
"""By how much an order has to be older than its request to be another one: no venue takes clocks that differ more."""

_NOTHING_DONE: Final = (
    AuthenticationError,
    ConfigurationError,
    CurrencyNotFoundError,
    ExchangeConnectionError,
    InvalidSymbolError,
    NetworkError,
    NotSupportedError,
    OrderError,
    RateLimitError,
    RequestFailedError,
    TimestampError,
)
"""What is raised where the venue refused, or nothing reached it."""

_DONE_OR_NOT: Final = (DataParseError, OrderUnknownError, RequestTimeoutError, WebSocketError)
"""What is raised where something may have been done: an answer that cannot be read is an answer all the same."""


def surely_not_done(error: BaseException) -> bool:
    """Tell whether an error of a request proves that the venue did nothing. Anything unforeseen proves nothing."""
    return isinstance(error, _NOTHING_DONE) and not isinstance(error, _DONE_OR_NOT)


def wait_before_asking(error: Exception | None) -> float:
    """Return for how many seconds the venue wants to be left alone."""
    return (error.retry_after or 0.0) if isinstance(error, RateLimitError) else 0.0


def venue_time(api: VenueApi) -> int | None:
    """Return the venue's time, nanoseconds since the epoch (UTC); ``None`` if its API has no clock."""
    now_ns: Any = getattr(getattr(api, "clock", None), "now_ns", None)
    return None if now_ns is None else int(now_ns())


@attrs.frozen(kw_only=True)
class ResolvePolicy:
    """How long and how often a venue is asked for an order of unknown fate. All times are seconds.

    Attributes:
        settle_time: For how long after it was sent an order may still turn up at the venue: on the way there, in a
            queue, or placed and not shown yet. Before, "there is no such order" proves nothing.
        confirmations: How many answers "there is no such order" after that it takes to believe it.
        timeout: How long `NativeFeed.async_make_order` and `async_cancel_order` wait until they know.
        first_delay: Upper bound of the pause after the first query; each one after it is twice as long.
        max_delay: Upper bound of every pause.
    """

    settle_time: float = 10.0
    confirmations: int = 1
    timeout: float = 30.0
    first_delay: float = 0.1
    max_delay: float = 5.0

    def delays(self) -> Iterator[float]:
        """Yield the pauses between queries, without end; the first query is made at once.

        There is no jitter: only orders of one account are asked for, and the rate limit spreads them.
        """
        yield 0.0
        delay = self.first_delay
        while True:
            yield delay
            delay = min(self.max_delay, delay * 2.0)


@attrs.define(eq=False)
class Resolver:
    """Asks a venue for orders of unknown fate until it is known."""

    api: VenueApi
    tracker: OrderTracker
    policy: ResolvePolicy
    _slots: anyio.CapacityLimiter | None = attrs.field(default=None, init=False, repr=False)
    _log: Any = attrs.field(factory=lambda: get_logger("feed"), init=False, repr=False)

    async def run(self, entry: TrackedOrder) -> None:
        """Ask for one order until its fate is known, by this or because a stream told it.

        Never raises: what goes wrong is noted as the order's ``error``, and it is asked for again.

        Cancellation: The fate stays unknown.
        """
        misses = failures = 0
        pause = 0.0
        for delay in self.policy.delays():
            await self._pause(entry, max(delay, pause))
            if entry.fate is not OrderFate.UNKNOWN:
                return
            pause = 0.0
            asked_at = anyio.current_time()
            try:
                order = await self._query(entry)
            except OrderNotFoundError as error:
                misses += self._settled_at(entry) <= asked_at
                if misses >= self.policy.confirmations:
                    self._log.info("an order of unknown fate was not placed", order=entry.client_order_id)
                    self.tracker.not_placed(entry, error)
            except Exception as error:  # noqa: BLE001 - whatever it is, the fate of the order is still unknown
                failures += 1
                if not failures & (failures - 1):  # the first, the second, the fourth…: an outage can be long
                    self._log.warning(
                        "the fate of an order is still unknown",
                        order=entry.client_order_id,
                        error=str(error),
                        failures=failures,
                    )
                entry.error = error
                pause = wait_before_asking(error)
            else:
                self._log.info("an order of unknown fate was placed", order=entry.client_order_id)
                self.tracker.placed(entry, order)

    async def _query(self, entry: TrackedOrder) -> Order:
        """Ask for an order; one that is not this one, although it has its id, is as good as none."""
        if self._slots is None:
            self._slots = anyio.CapacityLimiter(8)  # orders asked for at the same time
        async with self._slots:
            entry.queries += 1
            order = await self.api.query(entry.symbol, client_order_id=entry.client_order_id)
        is_another = order.order_id in entry.earlier_ids or order.order_side is not entry.request.side
        if is_another or self._is_older(order, entry):
            raise OrderNotFoundError(self.api.exchange_name, entry.client_order_id, entry.symbol, "only an earlier one")
        return order

    def _is_older(self, order: Order, entry: TrackedOrder) -> bool:
        """Tell whether an order was there long before this one was sent, such as one of another day."""
        now = venue_time(self.api)
        if entry.sent_ns is None or now is None or not order.order_time:
            return False
        # The clock may have been set since, and the loop's stands still while the machine sleeps: the earlier one is
        # on the safe side.
        sent_ns = min(entry.sent_ns, now - round((anyio.current_time() - entry.sent_at) * 1e9))
        return order.order_time < sent_ns - _BEFORE_NS

    async def _pause(self, entry: TrackedOrder, delay: float) -> None:
        """Wait, but not beyond the moment at which "there is no such order" counts, nor when something was told."""
        now = anyio.current_time()
        settled_at = self._settled_at(entry)
        if now < settled_at < now + delay:
            delay = settled_at - now
        with anyio.move_on_after(delay):
            while entry.fate is OrderFate.UNKNOWN:
                await entry.wait_changed()

    def _settled_at(self, entry: TrackedOrder) -> float:
        since = entry.sent_at if entry.unknown_since is None else entry.unknown_since
        return since + self.policy.settle_time
