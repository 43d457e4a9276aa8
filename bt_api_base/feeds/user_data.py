"""An account's events as one stream without holes: what a connection missed is asked for, and told in its place."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import anyio
import attrs

from bt_api_base.containers import Event, Gap, Order
from bt_api_base.event_stream import EventStream
from bt_api_base.exceptions import (
    AuthenticationError,
    BannedError,
    BtApiError,
    ConfigurationError,
    NotSupportedError,
)
from bt_api_base.feeds.order_resolver import ResolvePolicy, wait_before_asking
from bt_api_base.logging_factory import get_logger

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable, Sequence

    from bt_api_base.feeds.order_desk import OrderDesk
    from bt_api_base.feeds.reconciliation import Reconciler

__all__ = ("Reconciliation", "UserData", "UserDataStats")

_FOR_GOOD = (AuthenticationError, BannedError, ConfigurationError, NotSupportedError)
"""After these, asking again is no use, or makes it worse."""


@attrs.frozen(kw_only=True)
class Reconciliation:
    """A comparison of what was told with what the venue says.

    Attributes:
        reason: Why: ``"start"``, the reason of a gap such as ``"disconnected"``, ``"recheck"`` or ``"asked"``.
        told: How many events had been missed, and were told now.
        attempts: How often the venue was asked until it answered.
        took: Seconds.
    """

    reason: str
    told: int
    attempts: int
    took: float


@attrs.frozen(kw_only=True)
class UserDataStats:
    """A stream of an account's events at one moment.

    Attributes:
        told: Events the stream was given, those of reconciliations included.
        duplicates: Events that were left out because they, or something later, had been told.
        gaps: Gaps in the venue's streams.
        reconciliations: Comparisons with what the venue says over REST.
        recovered: Events that were missed and told by them, those at the start included.
    """

    told: int
    duplicates: int
    gaps: int
    reconciliations: int
    recovered: int


class UserData(EventStream[Event]):
    """Orders, fills, balances and positions of an account, from `NativeFeed.user_data`.

    It begins with the account as it is: open orders, balances, positions, and the fills of the feed's own orders. Then
    come the changes. Fills are told once each, by their trade id; orders once in each state, and never an earlier one
    after a later one. Where a connection was interrupted, what the account went through meanwhile is asked for and told
    first. Of several states that an order went through meanwhile only the last is known; the fills are all told.

    It is an `EventStream`: iterate over it. It is lossless; a consumer that is far too slow gets a `SlowConsumerError`.

    Attributes:
        history: The latest reconciliations, the newest last.
    """

    def __init__(
        self,
        reconciler: Reconciler,
        desk: OrderDesk,
        *,
        exchange_name: str,
        max_buffer_size: int,
        show_gaps: bool,
        recheck_after: float | None,
        hand_over: Callable[[Sequence[Event]], None],
    ) -> None:
        super().__init__(max_buffer_size, exchange_name=exchange_name, name="user data")
        self.history: deque[Reconciliation] = deque(maxlen=100)
        self._reconciler = reconciler
        self._desk = desk
        self._show_gaps = show_gaps
        self._recheck_after = recheck_after
        self._hand_over = hand_over
        self._lock = anyio.Lock()
        self._covered_until = 0
        self._told = 0
        self._duplicates = 0
        self._gaps = 0
        self._reconciliations = 0
        self._recovered = 0
        self._recheck_wanted = anyio.Event()
        self._log: Any = get_logger("feed")

    def get_stats(self) -> UserDataStats:
        """Return the counters."""
        return UserDataStats(
            told=self._told,
            duplicates=self._duplicates,
            gaps=self._gaps,
            reconciliations=self._reconciliations,
            recovered=self._recovered,
        )

    async def reconcile(self) -> int:
        """Compare with what the venue says now, and tell what was missed; return how many events that were.

        Raises:
            AuthenticationError: The venue does not accept the credentials.
            BannedError: It has locked this address out.

        Cancellation: Nothing was told.
        """
        async with self._lock:
            return await self._reconcile("asked")

    # -- for the feed ------------------------------------------------------------------------------

    async def start(self, local_time_ns: int) -> None:
        """Tell the account as it is. Called by the feed.

        Cancellation: Nothing was told.
        """
        async with self._lock:
            self._covered_until = local_time_ns
            await self._reconcile("start")

    async def follow(self, events: AsyncIterable[Event], local_time_ns: Callable[[], int]) -> None:
        """Tell what one of the venue's channels tells. Run by the feed.

        Cancellation: What has been taken from the channel was told.
        """
        try:
            async for event in events:
                # Whoever comes upon a gap keeps the others waiting until what was missed is told.
                async with self._lock:
                    if isinstance(event, Gap):
                        await self._mend(event, local_time_ns)
                    else:
                        self._tell(event)
        except anyio.ClosedResourceError:
            self.end()
        except Exception as error:  # noqa: BLE001 - whatever a channel failed with, the consumer gets it
            self.fail(error)
        else:
            self.end()

    async def recheck(self) -> None:
        """Some time after a gap, compare again: what a venue answers can be late. Run by the feed.

        Cancellation: Nothing was told.
        """
        if self._recheck_after is None:
            return
        while True:
            await self._recheck_wanted.wait()
            self._recheck_wanted = anyio.Event()
            await anyio.sleep(self._recheck_after)
            try:
                async with self._lock:
                    await self._reconcile("recheck")
            except Exception as error:  # noqa: BLE001 - the same
                self.fail(error)
                return

    async def _mend(self, gap: Gap, local_time_ns: Callable[[], int]) -> None:
        """Tell what was missed at a gap, unless that was told because of another channel's."""
        self._gaps += 1
        if self._show_gaps:
            self.offer(gap)
        # The wall clock may have been set back since: then nothing is covered.
        if gap.until <= self._covered_until <= local_time_ns():
            return
        covered_until = local_time_ns()
        await self._reconcile(gap.reason.value)
        self._covered_until = covered_until
        self._recheck_wanted.set()

    async def _reconcile(self, reason: str) -> int:
        """Ask until the venue has answered; the streams wait in their own buffers meanwhile."""
        attempts = 0
        pause = 0.0
        started = anyio.current_time()
        for delay in ResolvePolicy(first_delay=0.5, max_delay=30.0).delays():
            await anyio.sleep(max(delay, pause))
            attempts += 1
            try:
                missed = await self._reconciler.missed()
            except _FOR_GOOD:
                raise
            except BtApiError as error:
                self._log.warning("what was missed could not be asked for", reason=reason, error=str(error))
                pause = wait_before_asking(error)
            else:
                break
        else:  # pragma: no cover - the delays have no end
            raise AssertionError
        for event in missed:
            self._note(event)
        self._emit(missed)
        self._reconciliations += 1
        self._recovered += len(missed)
        took = anyio.current_time() - started
        self.history.append(Reconciliation(reason=reason, told=len(missed), attempts=attempts, took=took))
        return len(missed)

    def _tell(self, event: Event) -> None:
        self._note(event)
        taken = self._reconciler.ledger.take(event)
        if taken is None:
            self._duplicates += 1
        elif self._reconciler.may_tell(taken):
            self._emit([taken])

    def _note(self, event: Event) -> None:
        if isinstance(event, Order):
            self._desk.noted(event)

    def _emit(self, events: list[Event]) -> None:
        self._told += len(events)
        self.offer_many(events)
        self._hand_over(events)
