"""The test ground itself: virtual time, leak assertions, the cancellation sweep and in-memory streams."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread
import pytest

from bt_api_base.testing.cancellation import sweep_cancellation
from bt_api_base.testing.clock import virtual_backend
from bt_api_base.testing.leaks import LeakError, assert_no_leaks
from bt_api_base.testing.streams import memory_stream_pair

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

pytestmark = pytest.mark.anyio


class TestBackends:
    """The event loop under a test is the one its name says."""

    async def test_each_loop_is_what_it_is_called(
        self, anyio_backend: tuple[str, dict[str, object]], request: pytest.FixtureRequest
    ) -> None:
        """The id of a test names the library and the loop that it runs on."""
        from anyio import get_current_task  # any backend knows its current task
        from anyio._core._eventloop import current_async_library

        assert get_current_task() is not None
        assert anyio_backend[0] == current_async_library()
        if "uvloop" in request.node.name:
            import asyncio

            assert "uvloop" == type(asyncio.get_running_loop()).__module__.split(".")[0]

    @pytest.mark.virtual_time
    async def test_virtual_time_is_offered_where_a_loop_has_it(self, request: pytest.FixtureRequest) -> None:
        """A test on virtual time runs on asyncio and trio."""
        assert any(f"[{name}+virtual]" in request.node.name for name in ("asyncio", "trio"))


@pytest.mark.virtual_time
class TestVirtualTime:
    """Time that jumps to the next deadline once every task waits."""

    async def test_begins_at_zero_in_each_test(self) -> None:
        """No test sees the time of another, nor the machine's."""
        assert 0.0 == anyio.current_time()
        await anyio.sleep(1.0)

    @pytest.mark.parametrize("again", [1, 2])
    async def test_begins_at_zero_in_each_parametrization(self, again: int) -> None:
        """The variants of a test do not share a clock."""
        assert 0.0 == anyio.current_time()
        await anyio.sleep(again)

    async def test_an_hour_of_sleep_is_instant(self) -> None:
        """Sleeping an hour moves the clock by exactly an hour and takes no time."""
        real_start = time.perf_counter()
        await anyio.sleep(3600.0)
        assert pytest.approx(3600.0) == anyio.current_time()
        assert time.perf_counter() - real_start < 5.0

    async def test_a_year_is_no_longer(self) -> None:
        """Deadlines beyond a loop's longest single wait are reached too."""
        await anyio.sleep(365 * 86_400.0)
        assert pytest.approx(365 * 86_400.0) == anyio.current_time()

    async def test_sleepers_wake_in_the_order_of_their_deadlines(self) -> None:
        """Tasks interleave by deadline, whatever the order they were started in."""
        woken: list[tuple[float, float]] = []

        async def sleeper(duration: float) -> None:
            await anyio.sleep(duration)
            woken.append((duration, round(anyio.current_time(), 6)))

        async with anyio.create_task_group() as group:
            for duration in (30.0, 0.001, 7200.0, 5.0):
                group.start_soon(sleeper, duration)
        assert [(0.001, 0.001), (5.0, 5.0), (30.0, 30.0), (7200.0, 7200.0)] == woken

    async def test_stands_still_while_a_task_can_run(self) -> None:
        """A busy task keeps the clock where it is, however many turns it takes."""
        with anyio.move_on_after(0.001) as scope:
            for _ in range(500):
                await anyio.lowlevel.checkpoint()
        assert not scope.cancelled_caught
        assert 0.0 == anyio.current_time()

    async def test_timeouts_expire(self) -> None:
        """A deadline ends a wait for something that never comes."""
        with anyio.move_on_after(600.0) as scope:
            await anyio.sleep_forever()
        assert scope.cancelled_caught
        assert pytest.approx(600.0) == anyio.current_time()

    async def test_messages_in_memory_beat_the_clock(self) -> None:
        """A reply that another task is about to send arrives before any timeout."""
        ours, theirs = memory_stream_pair()

        async def echo() -> None:
            await theirs.send(await theirs.receive())

        async with anyio.create_task_group() as group, ours, theirs:
            group.start_soon(echo)
            with anyio.fail_after(0.001):
                await ours.send(b"ping")
                assert b"ping" == await ours.receive()
        assert 0.0 == anyio.current_time()

    async def test_another_thread_can_wake_the_loop(self) -> None:
        """A call from a foreign thread reaches a loop that waits without any deadline."""
        arrived = anyio.Event()

        def worker() -> None:
            anyio.from_thread.run_sync(arrived.set)

        async with anyio.create_task_group() as group:
            group.start_soon(anyio.to_thread.run_sync, worker)
            await arrived.wait()


@pytest.mark.virtual_time(autojump_threshold=0.2)
class TestVirtualTimeWithPatience:
    """With a threshold, an idle loop gives real I/O a moment before its clock jumps."""

    async def test_a_reply_through_a_real_socket_comes_before_the_timeout(self) -> None:
        """Bytes on their way through the kernel arrive although every task waits."""

        async def echo(stream: anyio.abc.SocketStream) -> None:
            async with stream:
                await stream.send(await stream.receive())

        async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
            port = listener.extra(anyio.abc.SocketAttribute.local_port)
            async with anyio.create_task_group() as group:
                group.start_soon(listener.serve, echo)
                async with await anyio.connect_tcp("127.0.0.1", port) as stream:
                    with anyio.fail_after(3600.0):
                        await stream.send(b"ping")
                        assert b"ping" == await stream.receive()
                group.cancel_scope.cancel()
        assert anyio.current_time() < 3600.0


class TestVirtualBackendChoice:
    """`virtual_backend` outside of pytest."""

    @pytest.mark.parametrize("name", ["asyncio", "trio"])
    def test_suits_anyio_run(self, name: str) -> None:
        """Its result is what `anyio.run` takes."""
        backend, options = virtual_backend(name)  # type: ignore[arg-type]

        async def main() -> float:
            await anyio.sleep(86_400.0)
            return anyio.current_time()

        assert pytest.approx(86_400.0) == anyio.run(main, backend=backend, backend_options=options)

    def test_refuses_a_loop_without_virtual_time(self) -> None:
        """There is no virtual time on uvloop, and the error says where there is."""
        with pytest.raises(ValueError, match=r"no virtual time on 'uvloop': choose one of asyncio, trio"):
            virtual_backend("uvloop")  # type: ignore[arg-type]


class TestLeaks:
    """`assert_no_leaks` sees what is left and nothing else."""

    async def test_a_clean_block_passes(self) -> None:
        """Tasks, sockets and threads that end with the block are no leaks."""
        async with (
            assert_no_leaks(),
            await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
            await anyio.connect_tcp("127.0.0.1", listener.extra(anyio.abc.SocketAttribute.local_port)),
            anyio.create_task_group() as group,
        ):
            group.start_soon(anyio.sleep, 0)
            await anyio.to_thread.run_sync(time.sleep, 0)

    async def test_what_was_there_before_does_not_count(self) -> None:
        """A task, a socket and a thread of the surroundings may go on."""
        end = threading.Event()
        thread = threading.Thread(target=end.wait)
        thread.start()
        try:
            with socket.socket():
                async with anyio.create_task_group() as group:
                    group.start_soon(anyio.sleep_forever)
                    await anyio.lowlevel.checkpoint()
                    async with assert_no_leaks():
                        await anyio.lowlevel.checkpoint()
                    group.cancel_scope.cancel()
        finally:
            end.set()
            thread.join()

    async def test_a_task_left_running_is_named_with_its_place(self) -> None:
        """The report says which task is left and on which line it waits."""

        async def forgotten() -> None:
            await anyio.sleep_forever()

        async with anyio.create_task_group() as group:
            with pytest.raises(LeakError, match=r"left behind: task .*forgotten") as caught:
                async with assert_no_leaks(settle=0.01):
                    group.start_soon(forgotten)
            group.cancel_scope.cancel()
        assert 1 == len(caught.value.tasks)
        assert ".py:" in caught.value.tasks[0]
        assert ((), ()) == (caught.value.sockets, caught.value.threads)

    async def test_a_socket_left_open_is_named_with_its_addresses(self) -> None:
        """The report says where a socket is bound and whom it is connected to."""
        async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
            port = listener.extra(anyio.abc.SocketAttribute.local_port)
            with pytest.raises(LeakError, match="left behind: socket") as caught:
                async with assert_no_leaks(settle=0.01):
                    stream = await anyio.connect_tcp("127.0.0.1", port)
            await stream.aclose()
        assert any(f"('127.0.0.1', {port})" in description for description in caught.value.sockets)
        assert ((), ()) == (caught.value.tasks, caught.value.threads)

    async def test_a_thread_left_running_is_named(self) -> None:
        """A thread that nobody joined is a leak."""
        end = threading.Event()
        thread = threading.Thread(target=end.wait, name="forgotten thread")
        try:
            with pytest.raises(LeakError) as caught:
                async with assert_no_leaks(settle=0.01):
                    thread.start()
        finally:
            end.set()
            thread.join()
        assert ("forgotten thread",) == caught.value.threads
        assert "left behind: thread forgotten thread" == str(caught.value)

    async def test_what_is_ending_may_settle(self) -> None:
        """Something that goes away a moment later is no leak."""
        async with anyio.create_task_group() as group, assert_no_leaks(settle=5.0):
            group.start_soon(anyio.sleep, 0.01)

    async def test_the_error_of_the_block_is_not_hidden(self) -> None:
        """A block that raises is not examined."""
        async with anyio.create_task_group() as group:
            with pytest.raises(KeyError):
                async with assert_no_leaks(settle=0.0):
                    group.start_soon(anyio.sleep_forever)
                    raise KeyError
            group.cancel_scope.cancel()


class TestSweep:
    """`sweep_cancellation` visits every suspension of an operation."""

    async def test_visits_every_await(self) -> None:
        """An operation is interrupted before and behind each of its steps, and at last completes."""
        seen: list[int] = []

        @asynccontextmanager
        async def scenario() -> AsyncGenerator[Callable[[], Awaitable[object]]]:
            steps = 0

            async def operation() -> None:
                nonlocal steps
                for _ in range(3):
                    # Long enough for a cancellation to be there first, however busy the machine.
                    await anyio.sleep(0.03)
                    steps += 1

            yield operation
            seen.append(steps)

        sweep = await sweep_cancellation(scenario)
        assert {0, 1, 2, 3} == set(seen)
        assert sorted(seen) == seen
        assert 3 == seen[-1]
        assert () == sweep.absorbed
        assert tuple(range(sweep.suspensions + 1)) == sweep.cancelled

    async def test_finds_an_item_that_a_cancellation_loses(self) -> None:
        """A receive that waits once more after it has taken the item is caught losing it."""

        @asynccontextmanager
        async def scenario() -> AsyncGenerator[Callable[[], Awaitable[object]]]:
            received: list[int] = []
            send, receive = anyio.create_memory_object_stream[int](1)

            async def careless_receive() -> None:
                item = await receive.receive()
                await anyio.lowlevel.checkpoint()
                received.append(item)

            with send, receive:
                send.send_nowait(1)
                yield careless_receive
                if not received:
                    received.append(receive.receive_nowait())
                assert [1] == received

        with pytest.raises(AssertionError, match=r"with the operation cancelled at suspension \d: WouldBlock"):
            await sweep_cancellation(scenario)

    async def test_passes_a_receive_that_keeps_the_item(self) -> None:
        """The stream's own receive neither loses nor doubles the item at any suspension."""

        @asynccontextmanager
        async def scenario() -> AsyncGenerator[Callable[[], Awaitable[object]]]:
            received: list[int] = []
            send, receive = anyio.create_memory_object_stream[int](1)

            async def operation() -> None:
                received.append(await receive.receive())

            with send, receive:
                send.send_nowait(1)
                yield operation
                if not received:
                    received.append(receive.receive_nowait())
                assert [1] == received

        sweep = await sweep_cancellation(scenario)
        assert sweep.suspensions >= 1
        assert sweep.cancelled

    async def test_reaches_through_task_groups_and_threads(self) -> None:
        """Suspensions in nested scopes, waits for child tasks and worker threads are visited and cancelled too."""
        done: list[str] = []

        @asynccontextmanager
        async def scenario() -> AsyncGenerator[Callable[[], Awaitable[object]]]:
            async def operation() -> None:
                async with anyio.create_task_group() as group:
                    group.start_soon(anyio.sleep, 0.002)
                done.append("group")
                await anyio.to_thread.run_sync(time.sleep, 0.0)
                done.append("thread")

            yield operation

        sweep = await sweep_cancellation(scenario)
        assert sweep.suspensions >= 2
        assert "thread" == done[-1]

    async def test_tells_a_swallowed_cancellation(self) -> None:
        """A run that ends normally although it was cancelled is reported as having absorbed it."""

        @asynccontextmanager
        async def scenario() -> AsyncGenerator[Callable[[], Awaitable[object]]]:
            async def stubborn() -> None:
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(0.001)

            yield stubborn

        sweep = await sweep_cancellation(scenario)
        assert 0 in sweep.absorbed
        assert 1 in sweep.absorbed

    async def test_finds_a_leak(self) -> None:
        """An operation that leaves its socket open when it is cancelled fails the sweep."""
        opened: list[socket.socket] = []

        @asynccontextmanager
        async def scenario() -> AsyncGenerator[Callable[[], Awaitable[object]]]:
            async def careless() -> None:
                sock = socket.socket()
                opened.append(sock)
                await anyio.sleep(0.03)  # as above: no timer may be quicker than the cancellation
                sock.close()

            yield careless

        try:
            with pytest.raises(AssertionError, match="before it started: LeakError: left behind: socket"):
                await sweep_cancellation(scenario)
        finally:
            for sock in opened:
                sock.close()

    async def test_names_the_suspension_of_a_failing_run(self) -> None:
        """An error of the operation is chained, and the message says where the run was cancelled."""

        @asynccontextmanager
        async def scenario() -> AsyncGenerator[Callable[[], Awaitable[object]]]:
            async def operation() -> None:
                try:
                    await anyio.sleep(0.001)
                finally:
                    raise RuntimeError("clean-up failed")

            yield operation

        with pytest.raises(AssertionError, match="clean-up failed") as caught:
            await sweep_cancellation(scenario)
        assert isinstance(caught.value.__cause__, RuntimeError)

    @pytest.mark.virtual_time
    async def test_gives_up_on_a_run_that_hangs(self) -> None:
        """A run has a limit in time."""

        @asynccontextmanager
        async def scenario() -> AsyncGenerator[Callable[[], Awaitable[object]]]:
            yield anyio.sleep_forever

        with pytest.raises(AssertionError, match="TimeoutError"):
            await sweep_cancellation(scenario, time_limit=30.0, limit=5)

    async def test_gives_up_on_an_endless_operation(self) -> None:
        """An operation with more suspensions than the limit fails."""

        @asynccontextmanager
        async def scenario() -> AsyncGenerator[Callable[[], Awaitable[object]]]:
            async def endless() -> None:
                while True:
                    await anyio.lowlevel.checkpoint()

            yield endless

        with pytest.raises(AssertionError, match="did not end within 20 suspensions"):
            await sweep_cancellation(scenario, limit=20, leaks=False)


class TestMemoryStreams:
    """Byte streams in memory behave like the two ends of a TCP connection."""

    async def test_carry_bytes_both_ways(self) -> None:
        """What one end sends, the other receives, as one stream of bytes."""
        left, right = memory_stream_pair()
        async with left, right:
            await left.send(b"abc")
            await left.send(b"def")
            assert b"abcdef" == await right.receive()
            await right.send(b"back")
            assert b"ba" == await left.receive(2)
            assert b"ck" == await left.receive()

    async def test_cut_what_arrives_as_scripted(self) -> None:
        """Scripted sizes are used one after another; then chunks are whole again."""
        left, right = memory_stream_pair()
        async with left, right:
            right.chunk([1, 2])
            await left.send(b"abcdefgh")
            assert [b"a", b"bc", b"defgh"] == [await right.receive() for _ in range(3)]

    async def test_a_sender_waits_for_room(self) -> None:
        """No more than the buffer's size is in flight."""
        left, right = memory_stream_pair(max_buffer_bytes=4)
        received = b""
        async with left, right, anyio.create_task_group() as group:
            group.start_soon(left.send, b"0123456789")
            while len(received) < 10:
                chunk = await right.receive()
                assert len(chunk) <= 4
                received += chunk
        assert b"0123456789" == received

    async def test_end_of_stream_comes_after_the_last_byte(self) -> None:
        """A half-closed connection delivers what was sent, then its end, again and again, and goes on the other way."""
        left, right = memory_stream_pair()
        async with left, right:
            await left.send(b"last")
            await left.send_eof()
            assert b"last" == await right.receive()
            for _ in range(2):
                with pytest.raises(anyio.EndOfStream):
                    await right.receive()
            await right.send(b"still here")
            assert b"still here" == await left.receive()
            with pytest.raises(anyio.ClosedResourceError):
                await left.send(b"more")

    async def test_closing_ends_both_directions(self) -> None:
        """The other end reads to the end and breaks when it sends; the closed end refuses everything."""
        left, right = memory_stream_pair()
        await left.send(b"bye")
        await left.aclose()
        await left.aclose()
        assert b"bye" == await right.receive()
        with pytest.raises(anyio.EndOfStream):
            await right.receive()
        with pytest.raises(anyio.BrokenResourceError):
            await right.send(b"anyone?")
        for operation in (left.receive, left.send_eof):
            with pytest.raises(anyio.ClosedResourceError):
                await operation()
        with pytest.raises(anyio.ClosedResourceError):
            await left.send(b"x")
        await right.aclose()

    @pytest.mark.virtual_time
    async def test_a_stall_holds_bytes_and_end_back(self) -> None:
        """Nothing arrives while an end is stalled, and everything afterwards."""
        left, right = memory_stream_pair()
        async with left, right:
            right.stall()
            await left.send(b"late")
            await left.send_eof()
            with anyio.move_on_after(60.0) as scope:
                await right.receive()
            assert scope.cancelled_caught
            with pytest.raises(anyio.WouldBlock):
                right.receive_nowait()
            right.resume()
            assert b"late" == await right.receive()
            with pytest.raises(anyio.EndOfStream):
                right.receive_nowait()

    async def test_a_reset_breaks_waiting_and_later_calls(self) -> None:
        """A receiver and a sender that wait are woken with an error at both ends, and bytes in flight are gone."""
        left, right = memory_stream_pair(max_buffer_bytes=1)
        broken: list[str] = []

        async def expect_broken(name: str, function: Callable[..., Awaitable[object]], *args: object) -> None:
            with pytest.raises(anyio.BrokenResourceError):
                await function(*args)
            broken.append(name)

        async with left, right:
            async with anyio.create_task_group() as group:
                group.start_soon(expect_broken, "receiver", left.receive)
                group.start_soon(expect_broken, "sender", left.send, b"too much")
                await anyio.wait_all_tasks_blocked()
                right.reset()
            await expect_broken("later", right.receive)
            await expect_broken("later", right.send, b"x")
        assert ["later", "later", "receiver", "sender"] == sorted(broken)

    async def test_closing_wakes_ones_own_receiver(self) -> None:
        """A task that waits at the end that is closed gets `ClosedResourceError`."""
        left, right = memory_stream_pair()

        async def receive() -> None:
            with pytest.raises(anyio.ClosedResourceError):
                await left.receive()

        async with right, anyio.create_task_group() as group:
            group.start_soon(receive)
            await anyio.wait_all_tasks_blocked()
            await left.aclose()

    async def test_two_tasks_at_the_same_work_are_refused(self) -> None:
        """The second receiver and the second sender get `BusyResourceError`."""
        left, right = memory_stream_pair(max_buffer_bytes=1)
        async with left, right, anyio.create_task_group() as group:
            group.start_soon(left.receive)
            group.start_soon(left.send, b"too much")
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(anyio.BusyResourceError):
                await left.receive()
            with pytest.raises(anyio.BusyResourceError):
                await left.send(b"x")
            group.cancel_scope.cancel()

    async def test_bytes_can_be_fed_without_a_peer_task(self) -> None:
        """A script can put bytes and their end in place before anything runs."""
        _, right = memory_stream_pair(max_buffer_bytes=1)
        right.feed(b"scripted")
        right.feed_eof()
        assert b"scripted" == await right.receive()
        with pytest.raises(anyio.EndOfStream):
            await right.receive()

    async def test_a_cancelled_receive_loses_nothing(self) -> None:
        """Cancelled at any suspension, a receive has either returned the bytes or left them in place."""

        @asynccontextmanager
        async def scenario() -> AsyncGenerator[Callable[[], Awaitable[object]]]:
            received: list[bytes] = []
            left, right = memory_stream_pair()

            async def send_later() -> None:
                await anyio.lowlevel.checkpoint()
                await left.send(b"precious")

            async def operation() -> None:
                received.append(await right.receive())

            async with left, right, anyio.create_task_group() as group:
                group.start_soon(send_later)
                yield operation
                if not received:
                    received.append(await right.receive())
            assert [b"precious"] == received

        sweep = await sweep_cancellation(scenario)
        assert sweep.suspensions >= 2

    def test_a_buffer_needs_room(self) -> None:
        """A connection that could carry nothing is refused."""
        with pytest.raises(ValueError, match="must be at least 1"):
            memory_stream_pair(max_buffer_bytes=0)


class TestPytestPlugin:
    """The fixtures for plugin authors."""

    async def test_streams_and_sweep_are_fixtures(
        self, bt_api_memory_streams: Callable[..., object], bt_api_sweep_cancellation: Callable[..., object]
    ) -> None:
        """They hand out the same functions as the modules."""
        assert memory_stream_pair is bt_api_memory_streams
        assert sweep_cancellation is bt_api_sweep_cancellation

    @pytest.mark.bt_api_no_leaks
    async def test_a_clean_test_passes_under_the_leak_marker(self) -> None:
        """Nothing that the event loop or pytest have of their own counts as a leak."""
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.to_thread.run_sync, time.sleep, 0.0)

    def test_the_leak_marker_fails_a_test_that_leaks(self, pytester: pytest.Pytester) -> None:
        """A task that is left running fails the test that is marked, on each loop."""
        pytester.makeini("[pytest]")  # or a temporary directory below this repository would take its configuration
        pytester.makepyfile(
            """
            import anyio, asyncio, pytest

            @pytest.mark.anyio
            @pytest.mark.bt_api_no_leaks
            @pytest.mark.parametrize("anyio_backend", ["asyncio"])
            async def test_leaks(anyio_backend):
                global task
                task = asyncio.get_running_loop().create_task(anyio.sleep_forever())
            """
        )
        result = pytester.runpytest(
            "--disable-plugin-autoload", "-p", "anyio", "-p", "bt_api", "-p", "no:cacheprovider"
        )
        result.assert_outcomes(failed=1)
        result.stdout.fnmatch_lines(["*LeakError: left behind: task *"])

    def test_a_project_that_uses_nothing_of_it_loads_nothing(self, pytester: pytest.Pytester) -> None:
        """Loaded by pytest through its entry point, the plugin imports none of the test ground."""
        pytester.makeini("[pytest]")  # or a temporary directory below this repository would take its configuration
        pytester.makepyfile(
            """
            import sys

            def test_nothing_is_loaded():
                assert "bt_api_base.testing.pytest_plugin" in sys.modules
                assert not {"anyio", "attrs", "msgspec", "bt_api_base.testing.leaks"} & sys.modules.keys()
            """
        )
        result = pytester.runpytest_subprocess("--disable-plugin-autoload", "-p", "bt_api_base.testing.pytest_plugin")
        result.assert_outcomes(passed=1)
