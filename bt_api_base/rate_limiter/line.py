"""The line of those who wait for room, threads and tasks alike.

Who wants the same (the same charges, in the same lane) stands in one group, first come, first served. Groups are
served in the order of their lanes, and within a lane in the order in which their first ones came. Somebody whose rules
have room goes although others wait for other rules; but what the first of those others want is set aside before, so a
call that needs much, or several rules at once, is not overtaken for ever by calls that need little.

Nor does a lower lane starve: a group that has been passed by a number of calls of higher lanes which took from a rule
that it waits for is served before all others, once.

The line has no clock and no thread of its own. One of those who wait, the keeper, looks at it when something is due.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

import attrs

from bt_api_base.rate_limiter.waiters import Waiter, WaiterState

if TYPE_CHECKING:
    from bt_api_base.rate_limiter.meters import Meter
    from bt_api_base.rate_limiter.priority import Priority

__all__ = ("Charges", "Group", "Line")

Charges = tuple[tuple["Meter", int], ...]
"""What a call costs: meters, and how much of each."""

_PROMOTED = -1


@attrs.define(eq=False)
class Group:
    """Those of a lane who want the same.

    Attributes:
        lane: Which one.
        charges: What each of them costs.
        meters: Where.
        waiters: Who, in order.
        passed: How many calls of higher lanes went first.
        rank: When its turn is, among groups: its lane, or before all.
    """

    lane: Priority
    charges: Charges
    meters: frozenset[Meter] = attrs.field(init=False)
    waiters: OrderedDict[Waiter, None] = attrs.field(factory=OrderedDict[Waiter, None], init=False)
    passed: int = attrs.field(default=0, init=False)
    rank: int = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.meters = frozenset(meter for meter, _ in self.charges)
        self.rank = self.lane

    @property
    def head(self) -> Waiter:
        """Who is first."""
        return next(iter(self.waiters))


@attrs.define(eq=False)
class Line:
    """Everybody who waits. All of it is guarded by the limiter's lock.

    Args:
        patience: How many calls of higher lanes may pass a group.

    Attributes:
        waiting: How many wait.
        due: When somebody can go, as far as is known.
        keeper: Who looks at the line when something is due.
    """

    _patience: int
    waiting: int = attrs.field(default=0, init=False)
    due: float = attrs.field(default=math.inf, init=False)
    keeper: Waiter | None = attrs.field(default=None, init=False)
    _groups: dict[tuple[Priority, Charges], Group] = attrs.field(
        factory=dict[tuple["Priority", Charges], Group], init=False
    )
    _last_number: int = attrs.field(default=0, init=False)

    def lanes(self) -> dict[Priority, int]:
        """Return how many wait in each lane."""
        counts: dict[Priority, int] = {}
        for group in self._groups.values():
            counts[group.lane] = counts.get(group.lane, 0) + len(group.waiters)
        return counts

    def everybody(self) -> list[Waiter]:
        """Return all who wait."""
        return [waiter for group in self._groups.values() for waiter in group.waiters]

    def join(self, waiter: Waiter, lane: Priority, charges: Charges) -> bool:
        """Let somebody stand in line; return whether it may be its turn at once."""
        self._last_number += 1
        waiter.number = self._last_number
        group = self._groups.get((lane, charges))
        is_first = group is None
        if group is None:
            group = self._groups[lane, charges] = Group(lane, charges)
        group.waiters[waiter] = None
        waiter.group = group
        self.waiting += 1
        for meter, cost in charges:
            meter.claim(cost)
        if self.keeper is None:
            self.keeper = waiter
        return is_first

    def leave(self, waiter: Waiter) -> None:
        """Let somebody go who stands in line."""
        group = waiter.group
        if group is None:
            return
        waiter.group = None
        del group.waiters[waiter]
        self.waiting -= 1
        for meter, cost in group.charges:
            meter.drop_claim(cost)
        if not group.waiters:
            del self._groups[group.lane, group.charges]
        if self.keeper is waiter:
            self._appoint()

    def dismiss(self, waiter: Waiter, state: WaiterState) -> None:
        """Let somebody go, and say how his wait has ended."""
        waiter.state = state
        self.leave(waiter)
        waiter.wake()

    def serve(self, now: float) -> None:
        """Let all go whose turn it is, and find out when that will be for the next one."""
        due = math.inf
        claims: dict[Meter, float] = {}  # of those who are before the one looked at
        heap = [(group.rank, group.head.number, group) for group in self._groups.values()]
        heapify(heap)
        while heap:
            rank, number, group = heappop(heap)
            if not group.waiters or (rank, number) != (group.rank, group.head.number):
                continue  # it was promoted meanwhile, and has another place
            lacking = self._lacking(group, claims, now)
            if lacking is None:
                self.dismiss(group.head, WaiterState.REFUSED)
            elif not lacking:
                waiter = group.head
                waiter.tickets = tuple([meter.take(now, cost) for meter, cost in group.charges])
                self.dismiss(waiter, WaiterState.GRANTED)
                for promoted in self._count_passing(group):
                    heappush(heap, (_PROMOTED, promoted.head.number, promoted))
            else:
                due = min(due, max(self._due(meter, claims.get(meter, 0) + cost, now) for meter, cost in lacking))
                for meter, cost in group.charges:
                    claims[meter] = claims.get(meter, 0) + cost
                if any(meter.waiting == self.waiting for meter, _ in lacking):
                    break  # nobody can go without a rule that has no room
                continue
            if group.waiters:
                heappush(heap, (group.rank, group.head.number, group))
        self._expect(due)

    def wait_until(self, due: float) -> None:
        """Let nobody go before some time."""
        self._expect(due)

    def _lacking(self, group: Group, claims: dict[Meter, float], now: float) -> list[tuple[Meter, int]] | None:
        """Return where there is no room for a group's first one; ``None`` if there never will be."""
        lacking: list[tuple[Meter, int]] = []
        for charge in group.charges:
            meter, cost = charge
            if cost > meter.limit:
                return None
            if now >= meter.turn:
                meter.advance(now)
            if meter.used + claims.get(meter, 0) + cost > meter.limit:
                lacking.append(charge)
        return lacking

    @staticmethod
    def _due(meter: Meter, wanted: float, now: float) -> float:
        """Return when there is room, also for those before; never, as far as is known, if they have to go first."""
        return meter.due(now, wanted) if wanted <= meter.limit else math.inf

    def _count_passing(self, granted: Group) -> list[Group]:
        """Note who was passed; return the groups that will not be passed again."""
        granted.passed = 0
        granted.rank = granted.lane
        promoted: list[Group] = []
        if len(self._groups) > 1:
            for group in self._groups.values():
                if (
                    group.lane > granted.lane
                    and group.rank != _PROMOTED
                    and not granted.meters.isdisjoint(group.meters)
                ):
                    group.passed += 1
                    if group.passed >= self._patience:
                        group.rank = _PROMOTED
                        promoted.append(group)
        return promoted

    def _appoint(self) -> None:
        """Make somebody else the keeper."""
        self.keeper = next((group.head for group in self._groups.values()), None)
        if self.keeper is not None:
            self.keeper.wake()

    def _expect(self, due: float) -> None:
        self.due = due
        if self.keeper is not None and due < self.keeper.sleeps_until:
            self.keeper.wake()
