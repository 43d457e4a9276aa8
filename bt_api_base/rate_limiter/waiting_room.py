"""A lock, a clock, a gate and the line of those who wait: what makes meters a limiter."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, TypeVar

from bt_api_base.exceptions import BannedError, RateLimitError
from bt_api_base.rate_limiter.line import Charges, Line
from bt_api_base.rate_limiter.waiters import TaskWaiter, ThreadWaiter, Waiter, WaiterState

if TYPE_CHECKING:
    from collections.abc import Callable

    from bt_api_base.rate_limiter.meters import Ticket
    from bt_api_base.rate_limiter.priority import Priority

__all__ = ("WaitingRoom",)

W = TypeVar("W", bound=Waiter)

_SHORTEST_SLEEP = 1e-5
"""Seconds. Less could be lost in rounding, and the clock would be looked at again and again in vain."""

_STALL = 1.0
"""Seconds after which others look at the line themselves if its keeper does not, because its event loop is busy."""


class WaitingRoom:
    """Those who may go, those who wait until they may, and the gate that stops them all.

    Args:
        clock: A monotonic clock, seconds.
        patience: How many calls of higher lanes may pass one that waits for the same rule.
        exchange_name: For errors.
    """

    __slots__ = ("_clock", "_is_banned", "_line", "_lock", "_opens_at", "_reason", "exchange_name")

    def __init__(self, clock: Callable[[], float], patience: int, exchange_name: str) -> None:
        self.exchange_name = exchange_name
        self._clock = clock
        self._lock = threading.Lock()
        self._line = Line(patience)
        self._opens_at = -math.inf
        self._is_banned = False
        self._reason = ""

    # -- the gate ----------------------------------------------------------------------------------

    def close_gate(self, seconds: float, *, banned: bool = False, reason: str = "") -> None:
        """Let no call go for some time, whoever wants to send it: the venue has said so.

        A gate that is closed for longer already stays so. Who waits already and would have to wait beyond his time-out
        learns so at once.

        Args:
            seconds: How long.
            banned: Whether we are locked out, so that callers get a `BannedError`.
            reason: The venue's words.
        """
        with self._lock:
            now = self._clock()
            opens_at = now + seconds
            is_closed = now < self._opens_at
            if opens_at <= (self._opens_at if is_closed else now):
                return
            self._is_banned = banned or (self._is_banned and is_closed)
            self._opens_at = opens_at
            self._reason = reason
            for waiter in self._line.everybody():
                if waiter.deadline < opens_at:
                    self._line.dismiss(waiter, WaiterState.REFUSED)
            self._line.wait_until(opens_at)

    def open_gate(self) -> None:
        """Let calls go again, whatever the venue has said."""
        with self._lock:
            self._opens_at = -math.inf
            self._serve(self._clock())

    @property
    def closed_for(self) -> float:
        """Seconds until the gate opens; 0.0 if it is open."""
        with self._lock:
            return max(0.0, self._opens_at - self._clock())

    @property
    def is_banned(self) -> bool:
        """Whether the venue has locked us out at the moment."""
        return self._is_banned and self.closed_for > 0

    @property
    def waiting(self) -> dict[Priority, int]:
        """How many wait, by lane, in those lanes where somebody does."""
        with self._lock:
            return self._line.lanes()

    # -- the line; with the lock held --------------------------------------------------------------

    def _take(self, charges: Charges, now: float) -> tuple[Ticket, ...] | None:
        """Count a call, unless there is no room for it beyond what others wait for."""
        if now < self._opens_at:
            return None
        for meter, cost in charges:
            if now >= meter.turn:
                meter.advance(now)
            if meter.used + cost > meter.ceiling:
                return None
        return tuple([meter.take(now, cost) for meter, cost in charges])

    def _join(self, waiter: Waiter, charges: Charges, priority: Priority, timeout: float | None, now: float) -> None:
        """Let somebody wait, or not if that would be in vain."""
        if timeout is not None:
            waiter.deadline = now + timeout
            if waiter.deadline < self._opens_at:
                waiter.state = WaiterState.REFUSED
                return
        is_first = self._line.join(waiter, priority, charges)
        if is_first or now >= self._line.due:
            self._serve(now)

    def _serve(self, now: float) -> None:
        """Let all go whose turn it is."""
        if not self._line.waiting:
            return
        if now < self._opens_at:
            self._line.wait_until(self._opens_at)
        else:
            self._line.serve(now)

    def _leave(self, waiter: Waiter, now: float) -> None:
        """Let somebody go away who has waited in vain."""
        group = waiter.group
        was_first = group is not None and group.head is waiter
        self._line.leave(waiter)
        if was_first:  # what was set aside for it is for others now
            self._serve(now)

    def _undo(self, charges: Charges, tickets: tuple[Ticket, ...], now: float) -> None:
        """Give back what was granted, and let others have it."""
        for (meter, cost), ticket in zip(charges, tickets, strict=True):
            meter.give_back(now, ticket, cost)
        self._serve(now)

    def _refusal(self, charges: Charges) -> RateLimitError:
        """Return why somebody cannot go; the lock must not be held."""
        with self._lock:
            now = self._clock()
            if now < self._opens_at:
                kind = BannedError if self._is_banned else RateLimitError
                return kind(self.exchange_name, self._opens_at - now, self._reason)
            for meter, cost in charges:
                if cost > meter.limit:
                    detail = f"a weight of {cost} never fits into the {meter.limit:g} of {meter.name!r}"
                    return RateLimitError(self.exchange_name, None, detail, retryable=False)
            lacking = [
                (meter.name, meter.due(now, cost) - now) for meter, cost in charges if meter.used + cost > meter.ceiling
            ]
            names = ", ".join(repr(name) for name, _ in lacking)
            return RateLimitError(
                self.exchange_name, max((seconds for _, seconds in lacking), default=None) or None, f"of {names}"
            )

    # -- waiting; without the lock -----------------------------------------------------------------

    def _wait_in_thread(self, waiter: ThreadWaiter) -> bool:
        """Wait until it is a thread's turn; return whether it ever was."""
        is_over = False
        try:
            while (delay := self._nap(waiter)) is not None:
                waiter.sleep(delay)
            is_over = True
            return waiter.state is WaiterState.GRANTED
        finally:
            if not is_over:  # the thread was interrupted, as by KeyboardInterrupt
                self._abandon(waiter)

    async def _wait_in_task(self, waiter: TaskWaiter) -> bool:
        """Wait until it is a task's turn; return whether it ever was.

        Cancellation: what was granted at that moment goes to others.
        """
        is_over = False
        try:
            while (delay := self._nap(waiter)) is not None:
                await waiter.sleep(delay)
            is_over = True
            return waiter.state is WaiterState.GRANTED
        finally:
            if not is_over:
                self._abandon(waiter)

    def _nap(self, waiter: ThreadWaiter | TaskWaiter) -> float | None:
        """Return for how long somebody may sleep before he looks again; ``None``: his wait is over."""
        with self._lock:
            line = self._line
            if waiter.state is WaiterState.WAITING:
                now = self._clock()
                if now >= line.due:
                    self._serve(now)
                if waiter.state is WaiterState.WAITING:
                    if now < waiter.deadline:
                        waiter.rearm()
                        due = line.due if line.keeper is waiter else line.due + _STALL
                        waiter.sleeps_until = min(due, waiter.deadline)
                        return max(waiter.sleeps_until - now, _SHORTEST_SLEEP)
                    waiter.state = WaiterState.REFUSED
                    self._leave(waiter, now)
            return None

    def _abandon(self, waiter: Waiter) -> None:
        with self._lock:
            now = self._clock()
            if waiter.state is WaiterState.GRANTED:
                self._undo(waiter.charges, waiter.tickets, now)
            else:
                self._leave(waiter, now)
