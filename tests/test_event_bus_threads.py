"""Events from other threads: they land on the event loop, in order, at no risk for the thread that emits."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from bt_api_base.event_bus import ErrorHandlerMode, EventBus
from bt_api_base.event_bus.threads import ThreadBridge
from bt_api_base.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

pytestmark = pytest.mark.anyio


@contextmanager
def threads(*functions: Callable[[], object]) -> Generator[None]:
    """Run functions in threads of their own, which neither asyncio nor trio has heard of."""
    running = [threading.Thread(target=function) for function in functions]
    for thread in running:
        thread.start()
    try:
        yield
    finally:
        for thread in running:
            thread.join()


def run_in_thread(function: Callable[[], Any]) -> Any:
    """Run a function in a thread of its own, wait for it, and return or raise what it does."""
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.extend((True, function()))
        except BaseException as error:  # noqa: BLE001 - raised in the test's thread
            outcome.extend((False, error))

    with threads(run):
        pass
    if not outcome[0]:
        raise outcome[1]
    return outcome[1]


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so, which takes the event loop to do what it was asked for."""
    with anyio.fail_after(5):
        while not condition():  # noqa: ASYNC110 - what is waited for happens outside of any task
            await anyio.sleep(0.001)


class TestFromThreads:
    """Emitting from a thread that is not the event loop's."""

    async def test_handlers_run_in_the_thread_of_the_event_loop(self) -> None:
        """The emitting thread gets an empty list at once; the handler runs in the loop's thread."""
        async with EventBus() as bus:
            where: list[int] = []
            bus.on("x", lambda _: where.append(threading.get_ident()))
            assert [] == run_in_thread(lambda: bus.emit("x"))
            assert [] == where
            await until(lambda: bool(where))
            assert [threading.get_ident()] == where

    async def test_without_an_event_loop_they_run_in_the_thread_that_emits(self) -> None:
        """A bus that belongs to no loop is an ordinary emitter."""
        bus = EventBus()
        where: list[int] = []
        bus.on("x", lambda _: where.append(threading.get_ident()))
        identity = run_in_thread(lambda: (bus.emit("x"), threading.get_ident())[1])
        assert [identity] == where

    async def test_each_threads_order_is_kept_and_nothing_is_lost(self) -> None:
        """Several threads at full speed: every event arrives once, each thread's in order."""
        bus = EventBus(thread_buffer_size=100_000)
        count = 5_000

        def emit_from(thread: int) -> Callable[[], None]:
            return lambda: [bus.emit("x", (thread, number)) for number in range(count)] and None

        received: list[tuple[int, int]] = []
        async with bus.open_stream("x", 100_000) as stream:
            with anyio.fail_after(10):
                starting = [threading.Thread(target=emit_from(number)) for number in range(3)]
                for thread in starting:
                    thread.start()
                async for batch in stream.batches():
                    received.extend(batch)
                    if len(received) == 3 * count:
                        break
            for thread in starting:
                thread.join()
        for thread_number in range(3):
            assert list(range(count)) == [number for thread, number in received if thread == thread_number]
        statistics = bus.statistics()
        assert (3 * count, 0, 0) == (statistics.thread_handled, statistics.thread_pending, statistics.thread_dropped)

    async def test_one_wake_up_for_a_burst(self) -> None:
        """However many events come before the loop gets to them, it is woken once."""
        handled: list[int] = []
        bridge: ThreadBridge[int] = ThreadBridge(handled.append, 10_000)
        bridge.bind()
        wake_ups: list[object] = []
        call_soon = bridge._call_soon
        assert call_soon is not None
        bridge._call_soon = lambda function: (wake_ups.append(function), call_soon(function))
        for _ in range(2):
            run_in_thread(lambda: [bridge.push(number) for number in range(500)])  # the loop's thread waits meanwhile
            await until(lambda: not bridge.pending)
        assert list(range(500)) * 2 == handled
        assert 2 == len(wake_ups)
        bridge.unbind()

    async def test_the_loop_does_other_things_during_a_flood(self) -> None:
        """A long burst is handled in portions."""
        portions: list[int] = []
        bridge: ThreadBridge[int] = ThreadBridge(lambda _: portions.append(turns), 10_000)
        bridge.bind()
        run_in_thread(lambda: [bridge.push(number) for number in range(10_000)])
        turns = 0
        with anyio.fail_after(5):
            while bridge.pending:
                await anyio.lowlevel.checkpoint()
                turns += 1
        assert 10_000 == len(portions)
        assert len(set(portions)) >= 5
        bridge.unbind()

    async def test_a_full_ring_forgets_the_oldest_and_counts(self) -> None:
        """The thread is never held up, and what was lost is known."""
        bus = EventBus(thread_buffer_size=10)
        received: list[int] = []
        bus.on("x", received.append)
        async with bus:
            run_in_thread(lambda: [bus.emit("x", number) for number in range(25)])
            statistics = bus.statistics()
            assert (10, 15) == (statistics.thread_pending, statistics.thread_dropped)
            await until(lambda: not bus.statistics().thread_pending)
            assert list(range(15, 25)) == received
            assert (10, 15) == (bus.statistics().thread_handled, bus.statistics().thread_dropped)

    async def test_what_is_reused_is_copied(self) -> None:
        """A callback's dictionary may change as soon as the callback has returned."""
        received: list[Any] = []

        def call_back() -> None:
            fields: dict[str, int] = {}
            buffer = bytearray(b"old")
            for number in range(3):
                fields["number"] = number
                bus.emit("x", fields)
            bus.emit("x", buffer)
            buffer[:] = b"new"

        async with EventBus() as bus:
            bus.on("x", received.append)
            run_in_thread(call_back)
            await until(lambda: len(received) == 4)
        assert [{"number": 0}, {"number": 1}, {"number": 2}, bytearray(b"old")] == received

    @pytest.mark.parametrize("mode", ErrorHandlerMode)
    async def test_a_failing_handler_harms_neither_thread_nor_loop(
        self, mode: ErrorHandlerMode, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Whatever the mode, the thread sees nothing, the loop goes on, and somebody is told."""
        bus = EventBus(error_mode=mode)

        def handler(number: int) -> None:
            if number == 0:
                raise ValueError("handler failed")
            received.append(number)

        received: list[int] = []
        bus.on("x", handler)
        async with bus:
            assert [[], []] == run_in_thread(lambda: [bus.emit("x", number) for number in range(2)])
            await until(lambda: bool(received))
        assert 1 == bus.statistics().errors
        told = "ValueError" in capsys.readouterr().err or bool(bus.get_last_errors())
        assert told

    async def test_a_bad_event_harms_neither_thread_nor_loop(self, capsys: pytest.CaptureFixture[str]) -> None:
        """What emit would refuse is logged, because nobody is there to be told."""
        async with EventBus() as bus:
            received: list[int] = []
            bus.on("x", received.append)
            run_in_thread(lambda: (bus.emit(1.5, 2.5), bus.emit("x", 1)))
            await until(lambda: bool(received))
        assert "TypeError" in capsys.readouterr().err

    async def test_a_handler_may_emit_again(self) -> None:
        """What a handler emits in the loop's thread goes out at once."""
        async with EventBus() as bus:
            order: list[str] = []
            bus.on("x", lambda _: (order.append("x"), bus.emit("y"), order.append("x done")))
            bus.on("y", lambda _: order.append("y"))
            run_in_thread(lambda: bus.emit("x"))
            await until(lambda: len(order) == 3)
        assert ["x", "y", "x done"] == order

    async def test_wakes_a_consumer_that_waits(self) -> None:
        """A task that waits in a stream gets what a thread emits, from anyio's own threads as well."""
        async with EventBus() as bus, bus.open_stream("x", 10) as stream, anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.to_thread.run_sync, bus.emit, "x", 1)
            with anyio.fail_after(5):
                assert 1 == await stream.receive()

    async def test_handlers_may_be_registered_from_threads(self) -> None:
        """Registering while events go out is safe, and every handler gets what comes after it."""
        bus = EventBus()
        counts = [0] * 4

        def register(number: int) -> None:
            for _ in range(200):
                with bus.on("x", lambda _: counts.__setitem__(number, counts[number] + 1)):
                    bus.emit("x")

        with threads(*(lambda number=number: register(number) for number in range(4))):
            for _ in range(200):
                bus.emit("x")
        assert all(count >= 200 for count in counts)
        assert not bus.has_handlers("x")

    async def test_once_is_once_among_threads(self) -> None:
        """Of several threads that emit at the same moment, one gets through to a once handler."""
        for _ in range(20):
            bus = EventBus()
            calls: list[int] = []
            bus.once("x", calls.append)
            barrier = threading.Barrier(4)
            with threads(*[lambda barrier=barrier, bus=bus: (barrier.wait(), bus.emit("x", 1))] * 4):
                pass
            assert [1] == calls


class TestBelonging:
    """A bus belongs to one event loop at a time."""

    async def test_what_threads_emitted_is_handled_on_leaving(self) -> None:
        """Events that came before the end are not forgotten."""
        bus = EventBus()
        received: list[int] = []
        bus.on("x", received.append)
        async with bus:
            run_in_thread(lambda: [bus.emit("x", number) for number in range(2_500)])
        assert list(range(2_500)) == received

    async def test_another_loop_that_is_alive_is_refused(self, anyio_backend: tuple[str, dict[str, Any]]) -> None:
        """Two loops at once would call handlers in two threads: it is an error, said at once."""
        backend, options = anyio_backend
        async with EventBus() as bus:

            async def publish() -> None:
                await bus.publish("x")

            with pytest.raises(ConfigurationError, match="one event loop"):
                run_in_thread(lambda: anyio.run(publish, backend=backend, backend_options=options))

    def test_when_the_loop_is_gone_nothing_is_raised(self, any_backend: tuple[str, dict[str, Any]]) -> None:
        """A callback thread that outlives the loop does no harm; what it emits is counted as dropped."""
        backend, options = any_backend
        bus = EventBus()
        received: list[int] = []
        bus.on("x", received.append)

        async def bind() -> None:
            bus.bind()

        anyio.run(bind, backend=backend, backend_options=options)
        assert [[], [], []] == run_in_thread(lambda: [bus.emit("x", number) for number in range(3)])
        statistics = bus.statistics()
        assert ([], 0, 3) == (received, statistics.thread_pending, statistics.thread_dropped)

    def test_a_new_loop_may_follow(self, any_backend: tuple[str, dict[str, Any]]) -> None:
        """After one loop is gone, the bus belongs to the next one that uses it, even if both used one thread."""
        backend, options = any_backend
        bus = EventBus()
        received: list[int] = []
        bus.on("x", received.append)

        async def emit_from_thread(number: int) -> None:
            await bus.publish("other")
            run_in_thread(lambda: bus.emit("x", number))
            await until(lambda: number in received)

        for number in range(2):
            anyio.run(emit_from_thread, number, backend=backend, backend_options=options)
        assert [0, 1] == received

    async def test_a_late_call_from_a_loop_that_was_left_does_nothing(self) -> None:
        """The bus may be left between the wake-up of a loop and its call."""
        handled: list[int] = []
        bridge: ThreadBridge[int] = ThreadBridge(handled.append, 10)
        bridge.bind()
        run_in_thread(lambda: bridge.push(1))
        bridge.unbind()
        assert [1] == handled
        bridge.push(2)
        await anyio.lowlevel.checkpoint()
        await anyio.lowlevel.checkpoint()
        assert ([1], 1) == (handled, bridge.dropped)

    async def test_threads_that_go_on_during_the_end(self) -> None:
        """A thread at full speed does not keep the bus from being left."""
        bus = EventBus(thread_buffer_size=100)
        stop = threading.Event()

        def flood() -> None:
            while not stop.is_set():
                bus.emit("x", 1)

        try:
            with anyio.fail_after(5):
                async with bus:
                    thread = threading.Thread(target=flood)
                    thread.start()
                    await anyio.sleep(0.01)
        finally:
            stop.set()
            thread.join()


@pytest.fixture(params=["asyncio", "asyncio+uvloop", "trio"])
def any_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """An event loop for `anyio.run`."""
    name, _, uvloop = request.param.partition("+")
    return name, {"use_uvloop": True} if uvloop else {}
