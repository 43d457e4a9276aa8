"""Waiting for room: threads and tasks in one line, fair, in lanes, and with nothing left behind."""

from __future__ import annotations

import random
import threading
import time
from contextlib import asynccontextmanager
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from bt_api_base.exceptions import BannedError, RateLimitError
from bt_api_base.rate_limiter import Priority, RateLimiter, waiting_room
from bt_api_base.testing.cancellation import sweep_cancellation
from tests.rate_limits import BUCKET, FIXED, Ledger, rule

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

pytestmark = pytest.mark.anyio


def limiter_of(*rules: Any, **options: Any) -> RateLimiter:
    """Return a limiter without a default, on the clock of the event loop."""
    return RateLimiter(
        rules, **{"default": None, "clock": anyio.current_time, "wall_clock": anyio.current_time, **options}
    )


def used(limiter: RateLimiter) -> float:
    """Return what is used of the first rule."""
    return next(iter(limiter.get_status().values()))["current"]


@pytest.mark.virtual_time
class TestTasks:
    """Tasks of an event loop, in virtual time."""

    async def test_a_task_waits_until_there_is_room(self) -> None:
        """And not a moment longer."""
        limiter = limiter_of(rule(2, 10.0))
        start = anyio.current_time()
        times = []
        for _ in range(5):
            async with limiter:
                times.append(round(anyio.current_time() - start, 3))
        assert [0.0, 0.0, 10.0, 10.0, 20.0] == times

    @pytest.mark.parametrize(("kind", "expected"), [(FIXED, 60.0), (BUCKET, 12.0)])
    async def test_the_other_two_ways_of_counting(self, kind: Any, expected: float) -> None:
        """A window ends, a token comes."""
        limiter = limiter_of(rule(5, 60.0, kind))
        assert await limiter.async_acquire(weight=5)
        start = anyio.current_time()
        assert await limiter.async_acquire()
        assert expected == pytest.approx(anyio.current_time() - start, abs=1e-3)

    async def test_a_wait_ends_with_its_time(self) -> None:
        """The three ways to wait say so in theirs."""
        limiter = limiter_of(rule(1, 60.0))
        start = anyio.current_time()
        assert await limiter.async_acquire(timeout=5)
        assert not await limiter.async_acquire(timeout=5)
        assert 5.0 == pytest.approx(anyio.current_time() - start)
        with pytest.raises(RateLimitError, match="'rule'") as caught:
            await limiter.async_permit(timeout=15)
        assert 40.0 == pytest.approx(caught.value.retry_after)
        with pytest.raises(RateLimitError):
            async with limiter.slot(timeout=0):
                pass
        assert await limiter.async_acquire(timeout=41)
        assert {} == limiter.waiting

    async def test_who_came_first_goes_first(self) -> None:
        """Also when those behind want less."""
        limiter = limiter_of(rule(10, 10.0))
        assert limiter.acquire(weight=8)
        times = [0.0] * 5

        async def call(number: int, weight: int) -> None:
            await limiter.async_permit(weight=weight)
            times[number] = round(anyio.current_time() - start, 2)

        start = anyio.current_time()

        async with anyio.create_task_group() as tasks:
            for number, weight in enumerate((5, 1, 9, 1, 1)):
                tasks.start_soon(call, number, weight)
                await anyio.wait_all_tasks_blocked()
            assert {Priority.QUERY: 5} == limiter.waiting
            assert not limiter.acquire()
            assert 5 == limiter.get_status()["rule"]["waiting"]
        assert [10.0, 10.0, 20.0, 20.0, 30.0] == times

    async def test_lanes(self) -> None:
        """Taking risk away goes before placing orders, that before questions, and market data come last."""
        limiter = limiter_of(rule(1, 10.0))
        assert limiter.acquire()
        order: list[Priority] = []

        async def call(lane: Priority) -> None:
            await limiter.async_permit(priority=lane)
            order.append(lane)

        async with anyio.create_task_group() as tasks:
            for lane in (*reversed(Priority), *reversed(Priority)):
                tasks.start_soon(call, lane)
                await anyio.wait_all_tasks_blocked()
            assert dict.fromkeys(Priority, 2) == limiter.waiting
        assert sorted(order) == order

    async def test_a_higher_lane_takes_what_lower_ones_wait_for(self) -> None:
        """There is room for a cancel while a snapshot waits for more."""
        limiter = limiter_of(rule(100, 10.0))
        assert limiter.acquire(weight=60)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: limiter.async_permit(weight=50, priority=Priority.SNAPSHOT))
            await anyio.wait_all_tasks_blocked()
            await limiter.async_permit(priority=Priority.CANCEL, timeout=0)
            assert limiter.acquire()  # a query's lane
            assert not await limiter.async_acquire(timeout=0, priority=Priority.SNAPSHOT)

    @pytest.mark.parametrize("patience", [3, 8])
    async def test_lower_lanes_do_not_starve(self, patience: int) -> None:
        """However many cancels there are, so many go first and no more."""
        limiter = limiter_of(rule(1, 1.0), patience=patience)
        order: list[str] = []

        async def cancel_on_and_on() -> None:
            while len(order) < 60:
                await limiter.async_permit(priority=Priority.CANCEL)
                order.append("cancel")

        async def look() -> None:
            await limiter.async_permit(priority=Priority.SNAPSHOT)
            order.append("snapshot")

        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(cancel_on_and_on)
            await anyio.wait_all_tasks_blocked()
            for _ in range(3):
                tasks.start_soon(look)
            await anyio.wait_all_tasks_blocked()
        places = [place for place, name in enumerate(order) if name == "snapshot"]
        assert 3 == len(places)
        assert max(later - earlier for earlier, later in pairwise((0, *places))) <= patience + 1

    async def test_who_waits_for_another_rule_is_passed(self) -> None:
        """An order count that is used up does not stop questions."""
        limiter = limiter_of(rule(100, 60.0, name="weight"), rule(1, 60.0, name="orders", endpoint="POST *"))
        assert limiter.acquire("POST", "/order")
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(lambda: limiter.async_permit("POST", "/order", priority=Priority.ORDER))
            await anyio.wait_all_tasks_blocked()
            for _ in range(10):
                await limiter.async_permit("GET", "/order", timeout=0)
            tasks.cancel_scope.cancel()
        assert {} == limiter.waiting
        assert limiter.acquire("GET", "/order", 89)

    async def test_two_rules_that_take_turns_starve_nobody(self) -> None:
        """What a call needs of both is set aside for it, though each is wanted by others all the time."""
        limiter = limiter_of(
            rule(1, 1.0, name="a", endpoint=("/a", "/both")), rule(1, 1.5, name="b", endpoint=("/b", "/both"))
        )
        done = anyio.Event()

        async def call_on_and_on(path: str) -> None:
            while not done.is_set():
                await limiter.async_permit("GET", path)

        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(call_on_and_on, "/a")
                tasks.start_soon(call_on_and_on, "/b")
            await anyio.sleep(0.1)
            with anyio.fail_after(20):
                await limiter.async_permit("GET", "/both")
            done.set()

    async def test_what_is_given_back_is_for_who_waits(self) -> None:
        """At once."""
        limiter = limiter_of(rule(1, 1000.0))
        permit = await limiter.async_permit()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(limiter.async_permit)
            await anyio.wait_all_tasks_blocked()
            start = anyio.current_time()
            permit.give_back()
        assert start == anyio.current_time()
        assert 1 == used(limiter)

    async def test_a_raised_limit_is_for_who_waits(self) -> None:
        """As a figure of the venue is that lowers what is used; and a lowered limit refuses what no longer fits."""
        limiter = limiter_of(rule(1, 1000.0, FIXED, header="used"))
        permit = await limiter.async_permit()
        start = anyio.current_time()
        async with anyio.create_task_group() as tasks:
            for _ in range(2):
                tasks.start_soon(limiter.async_permit)
            await anyio.wait_all_tasks_blocked()
            limiter.set_limit("rule", 2)
            await anyio.wait_all_tasks_blocked()
            assert {Priority.QUERY: 1} == limiter.waiting
            permit.report({"used": "0"})
        assert start == anyio.current_time()

        async with anyio.create_task_group() as tasks:

            async def want_two() -> None:
                with pytest.raises(RateLimitError, match="never fits"):
                    await limiter.async_permit(weight=2)

            tasks.start_soon(want_two)
            await anyio.wait_all_tasks_blocked()
            limiter.set_limit("rule", 1)
        assert start == anyio.current_time()

    async def test_a_ban_stops_all_who_wait_and_all_who_come(self) -> None:
        """Until the time that the venue names; who cannot wait so long learns it at once."""
        limiter = limiter_of(rule(2, 10.0))
        start = anyio.current_time()
        granted: list[float] = []
        refused: list[tuple[float, float | None]] = []

        async def call(timeout: float | None) -> None:  # noqa: ASYNC109 - it is the limiter's
            try:
                await limiter.async_permit("GET", "/x", timeout=timeout, priority=Priority.CANCEL)
                granted.append(round(anyio.current_time() - start, 3))
            except BannedError as error:
                refused.append((round(anyio.current_time() - start, 3), round(error.retry_after or 0, 3)))

        async with anyio.create_task_group() as tasks:
            for timeout in (None, 200.0, None, 15.0, None):
                tasks.start_soon(call, timeout)
                await anyio.wait_all_tasks_blocked()
            await anyio.sleep(5.0)
            limiter.close_gate(120.0, banned=True, reason="418")
            tasks.start_soon(call, None)
            tasks.start_soon(call, 100.0)
            await anyio.sleep(1.0)
            assert not limiter.acquire()
        assert [0.0, 0.0, 125.0, 125.0, 135.0] == granted
        assert [(5.0, 120.0), (5.0, 120.0)] == refused

    async def test_the_keeper_may_be_cancelled(self) -> None:
        """Somebody else looks at the clock then."""
        limiter = limiter_of(rule(1, 10.0))
        assert limiter.acquire()
        start = anyio.current_time()
        async with anyio.create_task_group() as tasks:
            keeper = anyio.CancelScope()

            async def keep() -> None:
                with keeper:
                    await limiter.async_permit()

            tasks.start_soon(keep)
            await anyio.wait_all_tasks_blocked()
            tasks.start_soon(limiter.async_permit)
            await anyio.wait_all_tasks_blocked()
            keeper.cancel()
        assert 10.0 == pytest.approx(anyio.current_time() - start, abs=1e-3)

    @pytest.mark.parametrize("cancel_first", [True, False])
    async def test_what_is_granted_to_somebody_just_cancelled_goes_to_the_next(self, cancel_first: bool) -> None:
        """The two may come in the same moment, in either order: one of the two who wait has it then, never none."""
        limiter = limiter_of(rule(1, 1000.0))
        permit = await limiter.async_permit()
        scope = anyio.CancelScope()
        got: list[str] = []

        async def first() -> None:
            with scope:
                await limiter.async_permit()
                got.append("first")

        async def second() -> None:
            await limiter.async_permit(priority=Priority.SNAPSHOT)
            got.append("second")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(first)
            await anyio.wait_all_tasks_blocked()
            tasks.start_soon(second)
            await anyio.wait_all_tasks_blocked()
            if cancel_first:
                scope.cancel()
            permit.give_back()
            scope.cancel()
            await anyio.wait_all_tasks_blocked()
            assert 1 == len(got)
            assert 1 == used(limiter)
            tasks.cancel_scope.cancel()
        assert {} == limiter.waiting

    @pytest.mark.parametrize("seed", range(2))
    async def test_a_thousand_who_wait_and_some_who_give_up(self, seed: int) -> None:
        """Never over a limit in any window, nobody starves, lanes keep their order, what is cancelled is given back."""
        chance = random.Random(seed)
        start = anyio.current_time()
        limiter = limiter_of(
            rule(200, 10.0, name="weight"), rule(20, 1.0, name="orders", endpoint="POST *", weight=1, counts="orders")
        )
        weights, orders = Ledger(), Ledger()
        came: dict[tuple[Priority, str, int], list[int]] = {}
        went: dict[int, float] = {}
        cancelled = finished = 0

        async def call(number: int) -> None:
            nonlocal cancelled, finished
            await anyio.sleep(chance.choice((0, 0, chance.uniform(0, 30))))
            lane = chance.choice(tuple(Priority))
            method = chance.choice(("GET", "POST"))
            weight = chance.choice((1, 2, 5, 20))
            kind = (lane, method, weight)
            with anyio.CancelScope() as scope:
                if chance.random() < 0.3:
                    scope.deadline = anyio.current_time() + chance.expovariate(0.1)
                came.setdefault(kind, []).append(number)
                permit = await limiter.async_permit(method, "/x", weight, priority=lane)
                now = anyio.current_time()
                if chance.random() < 0.1:
                    permit.give_back()
                else:
                    weights.add(now, weight)
                    if method == "POST":
                        orders.add(now, 1)
                went[number] = now
            finished += 1
            cancelled += scope.cancelled_caught

        async with anyio.create_task_group() as tasks:
            for number in range(1000):
                tasks.start_soon(call, number)
        seconds = anyio.current_time() - start
        assert 1000 == finished
        assert 100 < cancelled < 500
        assert weights.most_in_any_window(10.0) <= 200
        assert orders.most_in_any_window(1.0) <= 20
        for numbers in came.values():
            times = [went[number] for number in numbers if number in went]
            assert sorted(times) == times
        total = sum(weight for _, weight in weights.grants)
        assert seconds <= total / 200 * 10.0 * 1.1 + 40.0
        assert {} == limiter.waiting
        assert limiter._line.keeper is None
        await anyio.sleep(10.0)
        assert all(status["current"] == 0 for status in limiter.get_status().values())
        for bucket in limiter._routes.buckets:
            assert all((0, 0) == (meter.claims, meter.waiting) for meter in bucket.meters())


async def test_cancelling_anywhere_leaves_nothing_behind() -> None:
    """No waiter, no claim, and nothing counted that was not granted."""

    @asynccontextmanager
    async def a_wait() -> AsyncGenerator[Callable[[], Awaitable[object]]]:
        limiter = RateLimiter([rule(1, 0.005, FIXED), rule(2, 0.005, name="other")], default=None)
        assert limiter.acquire()
        granted: list[object] = []

        async def operation() -> None:
            for call in (limiter.async_permit, limiter.async_acquire, limiter.__aenter__, limiter.slot().__aenter__):
                granted.append(await call())  # noqa: PERF401

        yield operation
        assert {} == limiter.waiting
        assert limiter._line.keeper is None
        assert all(meter.claims == 0 for bucket in limiter._routes.buckets for meter in bucket.meters())
        permit = await limiter.async_permit(timeout=0.05)
        permit.give_back()

    sweep = await sweep_cancellation(a_wait)
    assert sweep.suspensions >= 4
    assert not sweep.absorbed


class TestThreads:
    """Threads wait as tasks do."""

    def test_a_thread_waits(self) -> None:
        """Without any event loop."""
        limiter = RateLimiter([rule(1, 0.02)], default=None)
        start = time.monotonic()
        with limiter, limiter.slot("GET", "/x"):
            assert time.monotonic() - start >= 0.02
        assert limiter.wait_and_acquire()
        assert not limiter.wait_and_acquire(timeout=0.001)
        assert time.monotonic() - start < 1.0

    def test_give_back_wakes_a_thread(self) -> None:
        """From another one."""
        limiter = RateLimiter([rule(1, 1000.0)], default=None)
        permit = limiter.permit()
        timer = threading.Timer(0.01, permit.give_back)
        timer.start()
        assert limiter.wait_and_acquire(timeout=5)
        timer.join()
        assert 1 == used(limiter)

    def test_an_interrupted_thread_leaves_nothing_behind(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """As by a key that somebody presses."""
        limiter = RateLimiter([rule(1, 1000.0)], default=None)
        assert limiter.acquire()

        def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(threading.Event, "wait", interrupt)
        with pytest.raises(KeyboardInterrupt):
            limiter.permit()
        assert {} == limiter.waiting

    async def test_threads_and_tasks_share_a_line(self) -> None:
        """Never over the limit, and nobody is forgotten."""
        limiter = RateLimiter([rule(10, 0.02)], default=None)
        ledger = Ledger()

        def call_in_a_thread() -> None:
            for _ in range(8):
                assert limiter.wait_and_acquire(timeout=10)
                ledger.add(time.monotonic(), 1)

        async def call_in_a_task() -> None:
            for _ in range(3):
                await limiter.async_permit(timeout=10)
                ledger.add(time.monotonic(), 1)

        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(anyio.to_thread.run_sync, call_in_a_thread)
            for _ in range(12):
                tasks.start_soon(call_in_a_task)
        assert 60 == len(ledger.grants)
        assert {} == limiter.waiting

    async def test_an_event_loop_that_is_busy_does_not_hold_up_others(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Somebody else looks at the clock if the one whose turn it is does not."""
        monkeypatch.setattr(waiting_room, "_STALL", 0.02)
        limiter = RateLimiter([rule(1, 0.01)], default=None)
        assert limiter.acquire()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(limiter.async_permit)
            while not limiter.waiting:
                await anyio.lowlevel.checkpoint()
            thread = threading.Thread(target=limiter.permit)
            thread.start()
            thread.join(5)  # which stops the event loop
            assert not thread.is_alive()

    async def test_tasks_of_another_event_loop_are_woken(self) -> None:
        """From this one's thread, while both run."""
        limiter = RateLimiter([rule(1, 1000.0)], default=None)
        permit = await limiter.async_permit()

        async def wait_there() -> None:
            with anyio.fail_after(5):
                await limiter.async_permit()

        async with anyio.create_task_group() as tasks:
            for backend in ("asyncio", "trio"):
                tasks.start_soon(anyio.to_thread.run_sync, partial(anyio.run, wait_there, backend=backend))
            while sum(limiter.waiting.values()) < 2:  # noqa: ASYNC110 - two other event loops have to get there
                await anyio.sleep(0.001)
            limiter.set_limit("rule", 2)
            permit.give_back()
        assert 2 == used(limiter)
