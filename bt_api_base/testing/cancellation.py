"""Cancel an operation at each of its suspensions, one run for each, and check what is left after every one.

Whether a coroutine keeps its promises when it is cancelled is decided at the few places where it waits. A sweep visits
all of them: the first run is cancelled before it starts, the second at its first suspension, and so on, until a run
gets to its end before its turn to be cancelled comes.

A scenario is an async context manager that sets the stage, yields the operation to be cancelled, and checks the
invariants when the operation is over:

Example:
    ```python
    @asynccontextmanager
    async def a_cancelled_receive_loses_nothing():
        send, receive = anyio.create_memory_object_stream[int](1)
        received = []

        async def operation():
            received.append(await receive.receive())

        with send, receive:
            await send.send(1)
            yield operation
            if not received:
                received.append(receive.receive_nowait())
            assert received == [1]


    await sweep_cancellation(a_cancelled_receive_loses_nothing)
    ```
"""

from __future__ import annotations

import types
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import attrs

from bt_api_base.testing.leaks import assert_no_leaks

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Generator
    from contextlib import AbstractAsyncContextManager

T = TypeVar("T")


@attrs.frozen
class CancellationSweep:
    """What a sweep saw.

    Attributes:
        suspensions: How many times the operation was suspended in the run that was left to complete.
        cancelled: The suspensions at which a run was cancelled and ended so; 0 stands for "before it started".
        absorbed: The suspensions at which a run was cancelled and ended normally all the same, as is right where the
            result was already certain, and wrong where a cancellation was swallowed.
    """

    suspensions: int
    cancelled: tuple[int, ...]
    absorbed: tuple[int, ...]


@types.coroutine
def _drive(coroutine: Coroutine[Any, Any, T], before_suspension: Callable[[], None]) -> Generator[Any, Any, T]:
    """Run a coroutine in the calling task, with a call of a function before each suspension.

    It hands everything on as ``yield from`` does. Called before the event loop sees what the coroutine waits for, the
    function can cancel a scope of this task, and the cancellation arrives at this very suspension: asyncio delivers it
    in its next turn, trio when it looks at the wait.
    """
    step: Callable[[Any], Any] = coroutine.send
    value: Any = None
    try:
        while True:
            try:
                trap = step(value)
            except StopIteration as stop:
                return stop.value  # type: ignore[no-any-return]
            before_suspension()
            try:
                value = yield trap
                step = coroutine.send
            except GeneratorExit:
                raise
            except BaseException as exception:  # noqa: BLE001  # goes to the coroutine, which decides
                step, value = coroutine.throw, exception
    finally:
        coroutine.close()


async def sweep_cancellation(
    make_scenario: Callable[[], AbstractAsyncContextManager[Callable[[], Awaitable[object]]]],
    *,
    limit: int = 1000,
    time_limit: float = 5.0,
    leaks: bool = True,
) -> CancellationSweep:
    """Run a scenario once for each suspension of its operation, cancelled there, and once to its end.

    Works on asyncio, uvloop and trio alike: suspensions are counted where the operation's own task yields to the event
    loop. Tasks that it starts in a task group of its own are cancelled with it.

    Args:
        make_scenario: Returns an async context manager for one run. It sets up, yields the operation (a coroutine
            function without arguments), and checks the invariants after the yield. Neither set-up nor check is ever
            cancelled. It is called anew for each run and must do the same every time.
        limit: Suspensions after which an operation is taken to be endless.
        time_limit: Seconds that one run of the operation may take.
        leaks: Assert after each run that no task, socket or thread is left.

    Returns:
        The suspensions visited, and how the run cancelled at each of them ended.

    Raises:
        AssertionError: A run raised, took too long, left something behind or failed its check (the cause is chained
            and the message tells at which suspension the run was cancelled), or the operation is endless.

    Cancellation:
        Ends the current run like any cancellation; the scenario's exit still runs.
    """
    cancelled: list[int] = []
    absorbed: list[int] = []
    for cancel_at in range(limit + 1):
        try:
            run = await _run(make_scenario, cancel_at=cancel_at, time_limit=time_limit, leaks=leaks)
        except Exception as exception:
            place = f"at suspension {cancel_at}" if cancel_at else "before it started"
            msg = f"with the operation cancelled {place}: {type(exception).__name__}: {exception}"
            raise AssertionError(msg) from exception
        if not run.reached:
            return CancellationSweep(suspensions=run.suspensions, cancelled=tuple(cancelled), absorbed=tuple(absorbed))
        (cancelled if run.caught else absorbed).append(cancel_at)
    raise AssertionError(f"the operation did not end within {limit} suspensions")


@attrs.frozen
class _Run:
    suspensions: int
    reached: bool
    caught: bool


async def _run(
    make_scenario: Callable[[], AbstractAsyncContextManager[Callable[[], Awaitable[object]]]],
    *,
    cancel_at: int,
    time_limit: float,
    leaks: bool,
) -> _Run:
    suspensions = 0
    scope = anyio.CancelScope()

    def count() -> None:
        nonlocal suspensions
        suspensions += 1
        if suspensions == cancel_at:
            scope.cancel()

    async def run_operation(operation: Callable[[], Awaitable[object]]) -> None:
        await operation()

    async with AsyncExitStack() as stack:
        if leaks:
            await stack.enter_async_context(assert_no_leaks())
        operation = await stack.enter_async_context(make_scenario())
        with anyio.fail_after(time_limit), scope:
            if cancel_at == 0:
                scope.cancel()
            await _drive(run_operation(operation), count)
    return _Run(suspensions=suspensions, reached=suspensions >= cancel_at, caught=scope.cancelled_caught)


__all__ = ("CancellationSweep", "sweep_cancellation")
