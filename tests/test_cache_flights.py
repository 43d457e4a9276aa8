"""Single flight: however many want the same at the same time, one goes and gets it for all of them."""

from __future__ import annotations

import gc
import threading
from collections import Counter
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar, copy_context
from typing import TYPE_CHECKING, Any

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread
import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from bt_api_base.cache import SimpleCache, cached
from bt_api_base.testing.cancellation import sweep_cancellation
from bt_api_base.testing.clock import virtual_backend

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator

pytestmark = pytest.mark.anyio

STAMPEDE = 1_000


@contextmanager
def threads(*functions: Callable[[], object]) -> Generator[None]:
    """Run functions in threads of their own until the block is left."""
    running = [threading.Thread(target=function, daemon=True) for function in functions]
    for thread in running:
        thread.start()
    yield
    for thread in running:
        thread.join(10)
    assert [] == [thread for thread in running if thread.is_alive()]


def wait_until(condition: Callable[[], object]) -> None:
    """Wait, in a thread, until something is so."""
    waiting = threading.Event()
    for _ in range(5000):
        if condition():
            return
        waiting.wait(0.001)
    raise AssertionError("it did not come about in time")


class TestTasks:
    """Tasks of one event loop."""

    async def test_a_stampede_calls_the_function_once(self) -> None:
        """A thousand tasks ask for the same, and all get what one call returned."""
        calls: list[str] = []
        results: list[object] = []

        @cached(ttl=60)
        async def fetch(symbol: str) -> object:
            calls.append(symbol)
            await anyio.sleep(0.01)
            return object()

        async def ask() -> None:
            results.append(await fetch("BTC-USDT"))

        async with anyio.create_task_group() as tasks:
            for _ in range(STAMPEDE):
                tasks.start_soon(ask)
        assert ["BTC-USDT"] == calls
        assert STAMPEDE == len(results)
        assert 1 == len(set(map(id, results)))
        assert (0, STAMPEDE) == (fetch.cache_stats()["hits"], fetch.cache_stats()["misses"])

    async def test_different_arguments_do_not_wait_for_each_other(self) -> None:
        """Each has a flight of its own."""
        together = 0
        most = 0

        @cached(ttl=60)
        async def fetch(number: int) -> int:
            nonlocal together, most
            together += 1
            most = max(most, together)
            await anyio.sleep(0.01)
            together -= 1
            return number

        async with anyio.create_task_group() as tasks:
            for number in range(10):
                for _ in range(3):
                    tasks.start_soon(fetch, number)
        assert 10 == most

    async def test_an_exception_reaches_everybody(self) -> None:
        """One call fails, all who waited raise it, each a copy of their own, and the next call tries again."""
        calls: list[int] = []
        errors: list[Exception] = []

        @cached(ttl=60)
        async def fetch() -> None:
            calls.append(1)
            await anyio.sleep(0.005)
            raise LookupError("no such thing")

        async def ask() -> None:
            try:
                await fetch()
            except LookupError as error:
                errors.append(error)

        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(ask)
        assert (1, 20) == (len(calls), len(errors))
        assert {"no such thing"} == set(map(str, errors))
        assert 20 == len(set(map(id, errors)))
        with pytest.raises(LookupError):
            await fetch()
        assert 2 == len(calls)

    async def test_clearing_parts_those_before_from_those_after(self) -> None:
        """A call under way is not joined by those who ask after a clear, and what it brings is not kept."""
        release = anyio.Event()
        results: list[int] = []
        calls: list[int] = []

        @cached(ttl=60)
        async def fetch() -> int:
            calls.append(len(calls))
            number = calls[-1]
            if not number:
                await release.wait()
            return number

        async def ask() -> None:
            results.append(await fetch())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            tasks.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            fetch.clear_cache()
            assert 1 == await fetch()
            release.set()
        assert [0, 0] == results
        assert 1 == await fetch()

    async def test_a_hit_does_not_give_way(self) -> None:
        """It costs no turn of the event loop."""

        @cached(ttl=60)
        async def fetch() -> int:
            await anyio.lowlevel.checkpoint()
            return 1

        await fetch()
        coroutine: Any = fetch()
        with pytest.raises(StopIteration):
            coroutine.send(None)


class TestCancellation:
    """Whoever is cancelled takes nobody else along."""

    async def test_the_next_one_takes_over_from_a_cancelled_one(self) -> None:
        """Nobody but the cancelled tasks notices, and the function is called once more for each of them."""
        calls: list[int] = []
        results: list[str] = []
        scopes: list[anyio.CancelScope] = []

        @cached(ttl=60)
        async def fetch() -> str:
            calls.append(1)
            await anyio.sleep(0.05 if len(calls) == 4 else 10)
            return "done"

        async def ask() -> None:
            with anyio.CancelScope() as scope:
                scopes.append(scope)
                results.append(await fetch())

        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(ask)
            for number in range(3):
                await anyio.wait_all_tasks_blocked()
                assert number + 1 == len(calls)
                scopes[number].cancel()
        assert (4, ["done"] * 7) == (len(calls), results)
        assert [0, 1, 2] == [number for number, scope in enumerate(scopes) if scope.cancelled_caught]

    async def test_those_that_wait_can_be_cancelled(self) -> None:
        """They are gone at once, and the call goes on."""
        calls: list[int] = []
        release = anyio.Event()

        @cached(ttl=60)
        async def fetch() -> str:
            calls.append(1)
            await release.wait()
            return "done"

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(fetch)
            await anyio.wait_all_tasks_blocked()
            async with anyio.create_task_group() as waiters:
                for _ in range(10):
                    waiters.start_soon(fetch)
                await anyio.wait_all_tasks_blocked()
                waiters.cancel_scope.cancel()
            release.set()
        assert (1, "done") == (len(calls), await fetch())

    async def test_all_cancelled_leave_nothing_behind(self) -> None:
        """The next call starts anew."""
        calls: list[int] = []

        @cached(ttl=60)
        async def fetch() -> str:
            calls.append(1)
            if len(calls) == 1:
                await anyio.sleep_forever()
            return "done"

        with anyio.move_on_after(0.01):
            async with anyio.create_task_group() as tasks:
                for _ in range(10):
                    tasks.start_soon(fetch)
        # Cancelled together, none of them gets as far as calling the function again.
        assert 1 == len(calls)
        assert "done" == await fetch()

    async def test_a_time_out_of_the_caller_is_its_own(self) -> None:
        """The one whose patience ends raises; the one that waited for it gets the result."""
        calls: list[int] = []
        results: list[str] = []

        @cached(ttl=60)
        async def fetch() -> str:
            calls.append(1)
            await anyio.sleep(0.02)
            return "done"

        async def impatient() -> None:
            with pytest.raises(TimeoutError):
                with anyio.fail_after(0.005):
                    await fetch()

        async def patient() -> None:
            results.append(await fetch())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(impatient)
            await anyio.wait_all_tasks_blocked()
            tasks.start_soon(patient)
        assert (2, ["done"]) == (len(calls), results)

    @pytest.mark.parametrize("position", ["leader", "first", "second"])
    async def test_cancelled_anywhere(self, position: str) -> None:
        """Cancelled at any suspension, in any place of the queue, the others get their results."""

        @asynccontextmanager
        async def scenario() -> AsyncGenerator[Callable[[], Awaitable[object]]]:
            calls: list[int] = []
            results: list[int] = []

            @cached(ttl=60)
            async def fetch() -> int:
                calls.append(1)
                await anyio.lowlevel.checkpoint()
                await anyio.lowlevel.checkpoint()
                return len(calls)

            async def ask() -> None:
                results.append(await fetch())

            async with anyio.create_task_group() as tasks:

                async def operation() -> None:
                    if position == "leader":
                        tasks.start_soon(ask)
                        tasks.start_soon(ask)
                        await fetch()
                        return
                    coroutines = 1 if position == "first" else 2
                    for _ in range(coroutines):
                        tasks.start_soon(ask)
                    await anyio.lowlevel.checkpoint()
                    await fetch()

                yield operation
            assert len(calls) <= 2
            assert len(set(results)) <= 1
            assert len(calls) == 0 or len(calls) == await fetch()

        await sweep_cancellation(scenario)

    async def test_a_coroutine_that_is_thrown_away_hands_over(self) -> None:
        """What never runs to its end, because its event loop or its owner is gone, lets nobody wait."""
        calls: list[int] = []
        results: list[str] = []

        class Suspended:
            def __await__(self) -> Generator[None]:
                yield

        @cached(ttl=60)
        async def fetch() -> str:
            calls.append(1)
            if len(calls) == 1:
                await Suspended()
            return "done"

        async def ask() -> None:
            results.append(await fetch())

        coroutine: Any = fetch()
        copy_context().run(coroutine.send, None)  # up to where it waits, in nobody's task
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            assert [] == results
            coroutine.close()
        assert (2, ["done"]) == (len(calls), results)


class TestItself:
    """Nobody waits for itself."""

    async def test_a_coroutine_function_that_asks_for_its_own_result(self) -> None:
        """Is told so, with its name."""

        @cached(ttl=60)
        async def fetch(number: int) -> int:
            return await fetch(number)

        with pytest.raises(RecursionError, match=r"fetch waits for its own result"):
            await fetch(1)

    async def test_by_way_of_a_task_of_its_own(self) -> None:
        """A task that it has started, and waits for, is no other one."""

        @cached(ttl=60)
        async def fetch(number: int) -> None:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(fetch, number)

        with pytest.raises(BaseException) as caught:
            await fetch(1)
        assert isinstance(caught.value.exceptions[0], RecursionError)  # type: ignore[attr-defined]

    async def test_by_way_of_another_task(self) -> None:
        """Two that wait for each other: one of them is told, and neither waits for ever."""
        outcomes: list[str] = []

        @cached(ttl=60)
        async def fetch(number: int) -> int:
            await anyio.sleep(0.005)
            return await fetch(3 - number)

        async def ask(number: int) -> None:
            try:
                await fetch(number)
            except RecursionError as error:
                outcomes.append(str(error)[-10:])

        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ask, 1)
                tasks.start_soon(ask, 2)
        assert ["own result"] * 2 == outcomes

    async def test_by_way_of_a_thread(self) -> None:
        """A worker thread that comes back into the event loop is still on the same errand."""

        @cached(ttl=60)
        async def fetch() -> int:
            return await anyio.to_thread.run_sync(blocking)

        @cached(ttl=60)
        def blocking() -> int:
            return anyio.from_thread.run(fetch)

        with pytest.raises(RecursionError, match="fetch waits for its own result"):
            await fetch()

    async def test_recursion_with_other_arguments_is_fine(self) -> None:
        """As for any function."""

        @cached(ttl=60)
        async def fibonacci(number: int) -> int:
            if number < 2:
                return number
            return await fibonacci(number - 1) + await fibonacci(number - 2)

        @cached(ttl=60)
        def factorial(number: int) -> int:
            return number * factorial(number - 1) if number else 1

        assert 6765 == await fibonacci(20)
        assert 21 == fibonacci.cache_stats()["size"]
        assert 3628800 == factorial(10)

    async def test_asking_again_later_is_fine(self) -> None:
        """A task that was started on the way may ask once the result is there."""
        results: list[int] = []

        @cached(ttl=0)
        async def fetch(tasks: Any) -> int:
            if tasks is not None:
                tasks.start_soon(ask, tasks)
            return 1

        async def ask(tasks: Any) -> None:
            await anyio.sleep(0.005)
            results.append(await fetch(None))

        async with anyio.create_task_group() as tasks:
            await fetch(tasks)
        assert [1] == results


class TestThreads:
    """Threads, and event loops in several of them."""

    @pytest.mark.parametrize("count", [100, pytest.param(STAMPEDE, marks=pytest.mark.thorough)])
    def test_a_stampede_of_threads_calls_the_function_once(self, count: int) -> None:
        """All get what one call returned, whenever they come."""
        calls: list[int] = []
        results: list[object] = []

        @cached(ttl=60)
        def fetch(symbol: str) -> object:
            calls.append(1)
            wait_until(lambda: fetch.cache_stats()["misses"] == count)
            return object()

        def ask() -> None:
            results.append(fetch("BTC-USDT"))

        with threads(*[ask] * count):
            pass
        assert (1, count) == (len(calls), len(results))
        assert 1 == len(set(map(id, results)))

    def test_threads_that_come_just_too_late_do_not_call_again(self) -> None:
        """Between two looks, at what is known and at what is under way, nothing is lost."""
        calls: Counter[int] = Counter()

        @cached(ttl=60)
        def fetch(number: int) -> int:
            calls[number] += 1
            return number

        def ask() -> None:
            for number in range(300):
                fetch(number)

        with threads(*[ask] * 6):
            pass
        assert dict.fromkeys(range(300), 1) == calls

    def test_an_exception_reaches_every_thread(self) -> None:
        """And is forgotten."""
        calls: list[int] = []
        errors: list[str] = []

        @cached(ttl=60)
        def fetch() -> None:
            calls.append(1)
            wait_until(lambda: fetch.cache_stats()["misses"] == 5)
            raise LookupError("no such thing")

        def ask() -> None:
            try:
                fetch()
            except LookupError as error:
                errors.append(str(error))

        with threads(*[ask] * 5):
            pass
        assert (1, ["no such thing"] * 5) == (len(calls), errors)

    def test_a_thread_that_ends_in_the_middle_hands_over(self) -> None:
        """An interrupt is for the thread that it hits."""
        calls: list[int] = []
        outcomes: list[str] = []

        @cached(ttl=60)
        def fetch() -> str:
            calls.append(1)
            if len(calls) == 1:
                wait_until(lambda: fetch.cache_stats()["misses"] == 3)
                raise KeyboardInterrupt
            return "done"

        def ask() -> None:
            try:
                outcomes.append(fetch())
            except KeyboardInterrupt:
                outcomes.append("interrupted")

        with threads(*[ask] * 3):
            pass
        assert (2, ["done", "done", "interrupted"]) == (len(calls), sorted(outcomes))

    def test_a_function_that_asks_for_its_own_result(self) -> None:
        """Is told so, and so are two threads that wait for each other."""

        @cached(ttl=60)
        def fetch(number: int) -> int:
            return fetch(number)

        with pytest.raises(RecursionError, match="fetch waits for its own result"):
            fetch(1)
        outcomes: list[str] = []
        start = threading.Barrier(2)

        @cached(ttl=60)
        def cross(number: int) -> int:
            start.wait(5)
            return cross(3 - number)

        def ask(number: int) -> None:
            try:
                cross(number)
            except RecursionError:
                outcomes.append("told")

        with threads(lambda: ask(1), lambda: ask(2)):
            pass
        assert ["told", "told"] == outcomes

    @pytest.mark.parametrize("other", ["asyncio", "trio"])
    async def test_event_loops_share_a_flight(self, other: str) -> None:
        """Tasks in event loops of two threads, even of two kinds, get what one call returned."""
        calls: list[int] = []
        results: list[object] = []

        @cached(ttl=60)
        async def fetch() -> object:
            calls.append(1)
            while fetch.cache_stats()["misses"] < 20:  # noqa: ASYNC110 - of several event loops
                await anyio.sleep(0.001)
            return object()

        async def ask() -> None:
            results.append(await fetch())

        async def ask_often() -> None:
            async with anyio.create_task_group() as tasks:
                for _ in range(10):
                    tasks.start_soon(ask)

        with threads(lambda: anyio.run(ask_often, backend=other)):
            await ask_often()
        assert (1, 20) == (len(calls), len(results))
        assert 1 == len(set(map(id, results)))

    @pytest.mark.parametrize("other", ["asyncio", "trio"])
    async def test_event_loops_hand_over_to_each_other(self, other: str) -> None:
        """Cancelled in one event loop, a call goes on in the other one."""
        calls: list[int] = []
        results: list[str] = []

        @cached(ttl=60)
        async def fetch() -> str:
            calls.append(threading.get_ident())
            if len(calls) == 1:
                await anyio.sleep_forever()
            return "done"

        async def ask() -> None:
            results.append(await fetch())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(fetch)
            await anyio.wait_all_tasks_blocked()
            with threads(lambda: anyio.run(ask, backend=other)):
                while fetch.cache_stats()["misses"] < 2:  # noqa: ASYNC110 - of another event loop
                    await anyio.sleep(0.001)
                tasks.cancel_scope.cancel()
                with anyio.CancelScope(shield=True):
                    while not results:  # noqa: ASYNC110 - the same
                        await anyio.sleep(0.001)
        assert ["done"] == results
        assert 2 == len(set(calls))


class TestContext:
    """What a call sees of the world around it."""

    async def test_variables_of_the_context_are_as_before(self) -> None:
        """What the function sets stays set for its caller; what single flight sets does not."""
        variable: ContextVar[int] = ContextVar("variable", default=0)

        @cached(ttl=60)
        async def fetch() -> int:
            await anyio.lowlevel.checkpoint()
            variable.set(5)
            return variable.get()

        await fetch()
        assert 5 == variable.get()

    async def test_a_result_is_not_held_by_those_who_had_it(self) -> None:
        """Once it is forgotten, it is gone, even where tasks started on the way are still there."""

        class Result:
            pass

        @cached(ttl=60)
        async def fetch(tasks: Any) -> Result:
            tasks.start_soon(anyio.sleep_forever)
            await anyio.lowlevel.checkpoint()
            return Result()

        async with anyio.create_task_group() as tasks:
            await fetch(tasks)
            fetch.clear_cache()
            gc.collect()
            assert [] == [thing for thing in gc.get_objects() if type(thing) is Result]
            tasks.cancel_scope.cancel()


ACTIONS = st.lists(
    st.tuples(st.sampled_from(["ask", "cancel", "clear", "sleep"]), st.integers(0, 5), st.integers(0, 2)), max_size=25
)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@given(actions=ACTIONS, failing=st.sets(st.integers(0, 10)))
@settings(max_examples=60)
def test_any_history_ends_well(backend: Any, actions: list[tuple[str, int, int]], failing: set[int]) -> None:
    """Whatever is asked, cancelled, cleared: all who are not cancelled get an answer, and one runs at a time."""
    running: Counter[int] = Counter()
    calls: list[int] = []
    clears = 0
    answers: dict[int, object] = {}
    scopes: list[anyio.CancelScope] = []

    @cached(ttl=3, cache_instance=SimpleCache(clock=anyio.current_time))
    async def fetch(key: int) -> int:
        number = len(calls)
        calls.append(key)
        running[key] += 1
        assert running[key] <= 1 + clears
        try:
            await anyio.sleep(2)
        finally:
            running[key] -= 1
        if number in failing:
            raise LookupError(number)
        return key

    async def ask(number: int, key: int) -> None:
        with anyio.CancelScope() as scope:
            scopes.append(scope)
            try:
                answers[number] = await fetch(key)
            except LookupError:
                answers[number] = key
            assert key == answers[number]
        if scope.cancelled_caught:
            answers[number] = "cancelled"

    async def run() -> None:
        nonlocal clears
        asked = 0
        with anyio.fail_after(1000):
            async with anyio.create_task_group() as tasks:
                for what, which, key in actions:
                    if what == "ask":
                        tasks.start_soon(ask, asked, key)
                        asked += 1
                        await anyio.wait_all_tasks_blocked()
                    elif what == "cancel" and which < len(scopes):
                        scopes[which].cancel()
                    elif what == "clear":
                        fetch.clear_cache()
                        clears += 1
                    elif what == "sleep":
                        await anyio.sleep(which)
        assert asked == len(answers)
        assert not +running

    name, options = virtual_backend(backend)
    anyio.run(run, backend=name, backend_options=options)
