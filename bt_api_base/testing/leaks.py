"""The assertion that a block of code left nothing behind: no task, no open socket, no thread."""

from __future__ import annotations

import gc
import os
import socket
import stat
import threading
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio
import anyio.lowlevel
import attrs

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

_DESCRIPTOR_DIRECTORIES: Final = ("/proc/self/fd", "/dev/fd")
"""Where Linux and macOS list the open file descriptors of this process."""

_POOLED_THREAD_NAMES: Final = ("AnyIO worker thread", "Trio thread ", "asyncio_")
"""Names of idle threads that belong to an event loop's own pool: the loop joins them, not the code that used one."""

_POLL_INTERVAL: Final = 0.005
"""Seconds between two looks while something is still going away."""


class LeakError(AssertionError):
    """Something that was started or opened inside a block outlived it.

    Args:
        tasks: A description of each task left running, with the line where it waits.
        sockets: A description of each socket left open, with its addresses.
        threads: The name of each thread left running.
    """

    def __init__(
        self, *, tasks: tuple[str, ...] = (), sockets: tuple[str, ...] = (), threads: tuple[str, ...] = ()
    ) -> None:
        self.tasks = tasks
        self.sockets = sockets
        self.threads = threads
        left = [
            *(f"task {task}" for task in tasks),
            *(f"socket {sock}" for sock in sockets),
            *(f"thread {thread}" for thread in threads),
        ]
        super().__init__("left behind: " + "; ".join(left))


@attrs.frozen(eq=False)
class _Snapshot:
    """What is alive at one moment. It holds the objects themselves, so that no identity is reused meanwhile."""

    tasks: dict[int, tuple[str | None, object]] = attrs.field(factory=lambda: dict(_tasks()))
    sockets: dict[tuple[int, int], object] = attrs.field(factory=lambda: dict(_sockets()))
    threads: frozenset[threading.Thread] = attrs.field(factory=lambda: frozenset(threading.enumerate()))

    def leaks_since(self, earlier: _Snapshot) -> LeakError | None:
        """Return what is alive here and was not in an earlier snapshot, or None."""
        tasks = tuple(
            f"{name} at {_location(coroutine)}"
            for key, (name, coroutine) in self.tasks.items()
            if key not in earlier.tasks
        )
        sockets = tuple(_socket_description(key[0]) for key in self.sockets if key not in earlier.sockets)
        threads = tuple(
            sorted(
                thread.name
                for thread in self.threads - earlier.threads
                if not thread.name.startswith(_POOLED_THREAD_NAMES)
            )
        )
        return LeakError(tasks=tasks, sockets=sockets, threads=threads) if tasks or sockets or threads else None


def _tasks() -> Iterator[tuple[int, tuple[str | None, object]]]:
    # Keyed by the coroutine and not by the task: it is kept alive here, so a later task cannot get the same key.
    for task in anyio.get_running_tasks():
        yield id(task.coro), (task.name, task.coro)


def _sockets() -> Iterator[tuple[tuple[int, int], object]]:
    """Yield descriptor and inode of each open socket, also of those that are no Python objects, as uvloop's are not."""
    for directory in _DESCRIPTOR_DIRECTORIES:
        try:
            descriptors = [int(entry.name) for entry in Path(directory).iterdir()]
        except OSError:
            continue
        for descriptor in descriptors:
            try:
                status = os.fstat(descriptor)
            except OSError:  # the descriptor of the listing itself
                continue
            if stat.S_ISSOCK(status.st_mode):
                yield (descriptor, status.st_ino), None
        return
    for candidate in gc.get_objects():
        if isinstance(candidate, socket.socket) and candidate.fileno() != -1:
            yield (candidate.fileno(), id(candidate)), candidate


def _location(coroutine: object) -> str:
    """Return file, line and function of the innermost frame in which a coroutine waits."""
    location = "an unknown place"
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None) or getattr(coroutine, "gi_frame", None)
        if frame is not None:
            location = f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"
        coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "gi_yieldfrom", None)
    return location


def _socket_description(descriptor: int) -> str:
    try:
        with socket.socket(fileno=os.dup(descriptor)) as duplicate:
            try:
                peer = f" connected to {duplicate.getpeername()}"
            except OSError:
                peer = ""
            return f"{descriptor} {duplicate.family.name} at {duplicate.getsockname()}{peer}"
    except OSError:
        return str(descriptor)


@asynccontextmanager
async def assert_no_leaks(*, settle: float = 0.5) -> AsyncGenerator[None]:
    """Assert that when the block ends, no task, socket or thread is left that was not there when it began.

    All of the event loop, and all of the process, is watched: run nothing else beside the block. Threads that wait in
    an event loop's own pool do not count. A block that raises is not examined, so that its error is seen.

    Args:
        settle: Seconds that what is ending may take to be gone (a loop closes a socket one turn after it was told).

    Raises:
        LeakError: Something is left. The error names each task with the line where it waits, each socket with its
            addresses, and each thread.

    Cancellation:
        Cancelled while it waits for things to settle, it gives no verdict.
    """
    before = _Snapshot()
    yield
    deadline = anyio.current_time() + settle
    await anyio.lowlevel.checkpoint()
    while (leaks := _Snapshot().leaks_since(before)) is not None:
        if anyio.current_time() >= deadline:
            raise leaks
        await anyio.sleep(_POLL_INTERVAL)


__all__ = ("LeakError", "assert_no_leaks")
