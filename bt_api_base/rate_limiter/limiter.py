"""All the limits of a venue together."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import anyio.lowlevel

from bt_api_base.exceptions import ConfigurationError
from bt_api_base.rate_limiter.permit import Permit, Slot
from bt_api_base.rate_limiter.priority import Priority
from bt_api_base.rate_limiter.routes import Routes
from bt_api_base.rate_limiter.rule import DEFAULT_RULE, RateLimitRule
from bt_api_base.rate_limiter.waiters import TaskWaiter, ThreadWaiter, Waiter, WaiterState
from bt_api_base.rate_limiter.waiting_room import WaitingRoom

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType

    from typing_extensions import Self

    from bt_api_base.rate_limiter.buckets import RuleStatus
    from bt_api_base.rate_limiter.line import Charges
    from bt_api_base.rate_limiter.meters import Meter, Ticket

__all__ = ("RateLimiter",)


class RateLimiter(WaitingRoom):
    """Keeps calls within the limits of a venue.

    A call must have room in every rule that matches it, and counts in all of them or in none. Threads and the tasks of
    any event loop use the same limiter, and wait in the same line: see `bt_api_base.rate_limiter.line`. All who share
    what the venue counts by (an address, an account) should share the limiter.

    Args:
        rules: The limits. None at all: nothing is limited but by `close_gate`.
        default: What limits the calls that no rule matches; ``None``: nothing does.
        exchange_name: For errors.
        clock: A monotonic clock, seconds. It must run as fast as those of the event loops.
        wall_clock: Tells the seconds since the epoch, the venue's if possible; for aligned windows.
        patience: How many calls of higher lanes may pass one that waits for the same rule.

    Raises:
        ConfigurationError: Two rules have the same name.
    """

    __slots__ = ("_known", "_routes")

    def __init__(
        self,
        rules: Iterable[RateLimitRule] | None = None,
        *,
        default: RateLimitRule | None = DEFAULT_RULE,
        exchange_name: str = "",
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        patience: int = 8,
    ) -> None:
        super().__init__(clock, patience, exchange_name)
        self._routes = Routes(rules or (), default, wall_clock)
        self._known = self._routes.known

    # -- without waiting ---------------------------------------------------------------------------

    def acquire(self, method: str = "", path: str = "", weight: int = 1) -> bool:
        """Count a call if there is room for it at once; never wait.

        What others wait for already is not taken from them.

        Args:
            method: Its HTTP method.
            path: Its path.
            weight: How many such calls at once: the weights that the rules know are multiplied by it.

        Returns:
            Whether there was room. If not, nothing is counted.
        """
        lock = self._lock
        lock.acquire()
        try:
            now = self._clock()
            charges = self._known.get((method, path, weight))
            if charges is None:
                charges = self._routes.find((method, path, weight), now)
            if now < self._opens_at:
                return False
            for meter, cost in charges:
                if now >= meter.turn:
                    meter.advance(now)
                if meter.used + cost > meter.ceiling:
                    break
            else:
                for meter, cost in charges:
                    meter.take(now, cost)
                return True
            return self._line.waiting > 0 and self._overtake(charges, now)
        finally:
            lock.release()

    # -- waiting -----------------------------------------------------------------------------------

    def wait_and_acquire(
        self,
        method: str = "",
        path: str = "",
        weight: int = 1,
        timeout: float | None = None,
        *,
        priority: Priority = Priority.QUERY,
    ) -> bool:
        """Wait until there is room for a call, and count it. For threads; it would stop an event loop.

        Args:
            method: Its HTTP method.
            path: Its path.
            weight: How many such calls at once: the weights that the rules know are multiplied by it.
            timeout: Seconds to wait at most; ``None``: for ever.
            priority: Its lane.

        Returns:
            Whether there was room in time. ``False`` at once if there can never be, or the gate is closed for longer.
        """
        call = (method, path, weight)
        if self._has_room(call):
            return True
        waiter = ThreadWaiter()
        self._join_for(waiter, call, timeout, priority)
        return self._wait_in_thread(waiter)

    async def async_acquire(
        self,
        method: str = "",
        path: str = "",
        weight: int = 1,
        timeout: float | None = None,  # noqa: ASYNC109 - in the limiter's clock, which threads have too
        *,
        priority: Priority = Priority.QUERY,
    ) -> bool:
        """Wait until there is room for a call, and count it.

        When there is room at once, it does not yield to other tasks.

        Args:
            method: Its HTTP method.
            path: Its path.
            weight: How many such calls at once: the weights that the rules know are multiplied by it.
            timeout: Seconds to wait at most; ``None``: for ever.
            priority: Its lane.

        Returns:
            Whether there was room in time. ``False`` at once if there can never be, or the gate is closed for longer.

        Cancellation: nothing is counted.
        """
        await anyio.lowlevel.checkpoint_if_cancelled()
        call = (method, path, weight)
        if self._has_room(call):
            return True
        waiter = TaskWaiter()
        self._join_for(waiter, call, timeout, priority)
        return await self._wait_in_task(waiter)

    def permit(
        self,
        method: str = "",
        path: str = "",
        weight: int | None = None,
        *,
        priority: Priority = Priority.QUERY,
        timeout: float | None = None,
        key: str = "",
        orders: int = 1,
    ) -> Permit:
        """Wait until a call may be sent. For threads; it would stop an event loop.

        See `async_permit`.
        """
        call = (method, path, weight, orders, key)
        permit = self._permit_at_once(call)
        if permit is not None:
            return permit
        waiter = ThreadWaiter()
        self._join_for(waiter, call, timeout, priority)
        if not self._wait_in_thread(waiter):
            raise self._refusal(waiter.charges)
        return self._permit_of(waiter, key)

    async def async_permit(
        self,
        method: str = "",
        path: str = "",
        weight: int | None = None,
        *,
        priority: Priority = Priority.QUERY,
        timeout: float | None = None,  # noqa: ASYNC109 - in the limiter's clock, which threads have too
        key: str = "",
        orders: int = 1,
    ) -> Permit:
        """Wait until a call may be sent.

        When it may be sent at once, this does not yield to other tasks.

        Args:
            method: Its HTTP method.
            path: Its path.
            weight: What it costs in rules that count weights; ``None``: as they say themselves.
            priority: Its lane.
            timeout: Seconds to wait at most; ``None``: for ever.
            key: What it is counted by in rules that count by key: an instrument, an account.
            orders: How many orders it places, for rules that count orders.

        Returns:
            The permit; `Permit.give_back` if the call is not sent after all.

        Raises:
            RateLimitError: There was no room in time, or never can be.
            BannedError: The venue has locked us out for longer than `timeout`.

        Cancellation: nothing is counted.
        """
        await anyio.lowlevel.checkpoint_if_cancelled()
        call = (method, path, weight, orders, key)
        permit = self._permit_at_once(call)
        if permit is not None:
            return permit
        waiter = TaskWaiter()
        self._join_for(waiter, call, timeout, priority)
        if not await self._wait_in_task(waiter):
            raise self._refusal(waiter.charges)
        return self._permit_of(waiter, key)

    def slot(
        self,
        method: str = "",
        path: str = "",
        weight: int | None = None,
        *,
        priority: Priority = Priority.QUERY,
        timeout: float | None = None,
        key: str = "",
        orders: int = 1,
    ) -> Slot:
        """Return a context manager, for ``with`` in threads and ``async with`` in tasks, that waits for a permit.

        See `async_permit`.
        """
        return Slot(self, method, path, weight, priority, timeout, key, orders)

    def __enter__(self) -> Self:
        self.permit()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_value: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    async def __aenter__(self) -> Self:
        await self.async_permit()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_value: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    # -- what the venue says -----------------------------------------------------------------------

    def report(self, headers: Mapping[str, str], *, key: str = "", permit: Permit | None = None) -> None:
        """Correct what is used by the headers of an answer.

        With the permit of the call, more is known (see `Permit.report`). Without, the venue's figures only ever raise
        what is used.

        Args:
            headers: The answer's.
            key: What the call was counted by; the permit knows it.
            permit: The call's.
        """
        find = _finder(headers)
        settled: dict[Meter, tuple[Ticket, float]] = {}
        with self._lock:
            now = self._clock()
            if permit is not None:
                key, settled = permit.key, permit.settle()
            for bucket in self._routes.reporting:
                figure = bucket.rule.used(find)
                meter = bucket.meter(key, now)
                mine = settled.get(meter)
                if figure is not None:
                    meter.report(now, figure, mine)
                elif mine is not None:
                    meter.settle_unanswered(*mine)
            self._serve(now)

    def give_back(self, permit: Permit) -> None:
        """Let others have what a call was granted that was not sent. The same as `Permit.give_back`."""
        with self._lock:
            now = self._clock()
            for meter, (ticket, cost) in permit.settle().items():
                meter.settle_unanswered(ticket, cost)
                meter.give_back(now, ticket, cost)
            self._serve(now)

    def set_limit(self, name: str, limit: int) -> None:
        """Allow more, or less, from now on: venues tell their limits.

        Args:
            name: The rule's.
            limit: What may be used in an interval; of a token bucket, what it holds, and its rate changes alike.

        Raises:
            ConfigurationError: There is no such rule, or no such limit.
        """
        bucket = next((bucket for bucket in self._routes.buckets if bucket.rule.name == name), None)
        if bucket is None or not limit > 0:
            raise ConfigurationError(f"no rate limit {name!r} that could be {limit!r}")
        with self._lock:
            bucket.set_limit(limit)
            self._serve(self._clock())

    # -- what is seen from outside -----------------------------------------------------------------

    def get_status(self) -> dict[str, RuleStatus]:
        """Return how each rule stands, by its name."""
        with self._lock:
            now = self._clock()
            return {bucket.rule.name: bucket.status(now) for bucket in self._routes.buckets}

    def __repr__(self) -> str:
        name = f" of {self.exchange_name}" if self.exchange_name else ""
        return f"<RateLimiter{name}: {', '.join(bucket.rule.name for bucket in self._routes.buckets)}>"

    # -- the line ----------------------------------------------------------------------------------

    def _overtake(self, charges: Charges, now: float) -> bool:
        """Count a call that has room although others wait, which are of lower lanes or wait for other rules."""
        waiter = Waiter()
        self._join(waiter, charges, Priority.QUERY, 0, now)
        self._leave(waiter, now)
        return waiter.state is WaiterState.GRANTED

    def _join_for(self, waiter: Waiter, call: tuple[Any, ...], timeout: float | None, priority: Priority) -> None:
        with self._lock:
            now = self._clock()
            waiter.charges = self._routes.charges(call, now)
            self._join(waiter, waiter.charges, priority, timeout, now)

    def _has_room(self, call: tuple[Any, ...]) -> bool:
        """Count a call if there is room for it beyond what others wait for."""
        with self._lock:
            now = self._clock()
            return self._take(self._routes.charges(call, now), now) is not None

    def _permit_at_once(self, call: tuple[Any, ...]) -> Permit | None:
        with self._lock:
            now = self._clock()
            charges = self._routes.charges(call, now)
            tickets = self._take(charges, now)
            return None if tickets is None else self._new_permit(charges, tickets, call[-1])

    def _permit_of(self, waiter: Waiter, key: str) -> Permit:
        with self._lock:
            return self._new_permit(waiter.charges, waiter.tickets, key)

    def _new_permit(self, charges: Charges, tickets: tuple[Ticket, ...], key: str) -> Permit:
        if self._routes.reporting:
            for (meter, cost), ticket in zip(charges, tickets, strict=True):
                meter.expect_answer(ticket, cost)
        return Permit(self, charges, tickets, key)


def _finder(headers: Mapping[str, str]) -> Callable[[str], str | None]:
    """Return what finds a header by its name in any case, also in a mapping that tells cases apart."""

    def find(name: str) -> str | None:
        value = headers.get(name)
        if value is None and isinstance(headers, dict):
            folded = name.lower()
            value = next((value for other, value in headers.items() if other.lower() == folded), None)
        return value

    return find
