"""How a command runs: on which event loop, until when, and with which exit status it ends."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import asynccontextmanager, suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

import anyio
import attrs

from bt_api_base.exceptions import BtApiError, ConfigurationError

if sys.version_info < (3, 11):
    from exceptiongroup import BaseExceptionGroup

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator

    from anyio.abc import TaskStatus

__all__ = (
    "EXIT_FAILURE",
    "EXIT_INTERRUPTED",
    "EXIT_OK",
    "EXIT_PIPE",
    "EXIT_USAGE",
    "Backend",
    "CommandError",
    "Interrupts",
    "discard_output",
    "expected_errors",
    "interrupts",
    "leaves",
    "run",
    "wait_until",
)

Backend = Literal["asyncio", "uvloop", "trio"]

EXIT_OK = 0
EXIT_FAILURE = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 128 + signal.SIGINT
EXIT_PIPE = 141  # 128 + SIGPIPE, which Windows has no name for

_BACKENDS: dict[str, tuple[str, dict[str, Any]]] = {
    "asyncio": ("asyncio", {}),
    "uvloop": ("asyncio", {"use_uvloop": True}),
    "trio": ("trio", {}),
}

_LOOK_INTERVAL = 0.005

T = TypeVar("T")


class CommandError(BtApiError):
    """A command cannot do what it was asked for; the text is the line its user reads."""


def run(backend: Backend, function: Callable[..., Awaitable[T]], *args: object) -> T:
    """Run a coroutine function on an event loop of its own.

    Raises:
        ConfigurationError: uvloop is asked for and not installed.
    """
    if backend == "uvloop":
        try:
            import_module("uvloop")
        except ImportError:
            raise ConfigurationError(
                'uvloop is not installed; install it with: pip install "bt_api_base[uvloop]"'
            ) from None
    name, options = _BACKENDS[backend]
    return anyio.run(function, *args, backend=name, backend_options=options)


@attrs.define(eq=False)
class Interrupts:
    """The signals that asked a command to end.

    Attributes:
        received: The first of them, or ``None``.
    """

    received: signal.Signals | None = None
    _scopes: list[anyio.CancelScope] = attrs.field(factory=list[anyio.CancelScope])

    def exit_status(self, *, bounded: bool) -> int:
        """Return the exit status that a run deserves which did not fail.

        Args:
            bounded: Whether the run would have ended by itself. If not, an interrupt is its proper end.
        """
        return 128 + self.received if bounded and self.received is not None else EXIT_OK

    async def run_until(
        self, duration: float | None, function: Callable[..., Awaitable[object]], *args: object
    ) -> bool:
        """Await a coroutine function until it is done, time is up or a signal comes.

        Args:
            duration: Seconds it may take; ``None``: no limit.
            function: What to run.
            *args: Its arguments.

        Returns:
            Whether it ended by itself.

        Cancellation: passed on to what is run.
        """
        with anyio.CancelScope(deadline=anyio.current_time() + duration if duration is not None else float("inf")) as s:
            if self.received is not None:
                return False
            self._scopes.append(s)
            try:
                await function(*args)
            finally:
                self._scopes.remove(s)
        return not s.cancelled_caught

    def interrupt(self, number: signal.Signals) -> None:
        """Take note of a signal and end what runs."""
        self.received = self.received or number
        for scope in self._scopes:
            scope.cancel()


@asynccontextmanager
async def interrupts() -> AsyncGenerator[Interrupts]:
    """Turn the first SIGINT or SIGTERM into an orderly end; a second one then has its usual effect.

    Where the event loop knows no signals (asyncio on Windows), Ctrl-C has its usual effect at once.

    Cancellation: the signals get their usual effect back.
    """
    state = Interrupts()
    async with anyio.create_task_group() as tasks:
        with suppress(NotImplementedError):  # asyncio on Windows
            await tasks.start(_receive, state)
        yield state
        tasks.cancel_scope.cancel()


async def _receive(state: Interrupts, *, task_status: TaskStatus[None]) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        number = await signals.__anext__()
    state.interrupt(number)


async def wait_until(condition: Callable[[], bool], limit: float) -> bool:
    """Wait until something is so, looking every few milliseconds.

    For counters on the way of every frame, which tell nobody when they change.

    Args:
        condition: Returns whether it is so.
        limit: Seconds to wait at most.

    Returns:
        Whether it was so in time.

    Cancellation: nothing changes.
    """
    with anyio.move_on_after(limit):
        while not condition():  # noqa: ASYNC110 - see above
            await anyio.sleep(_LOOK_INTERVAL)
    return condition()


def leaves(error: BaseException) -> Iterator[BaseException]:
    """Iterate over the exceptions in a group, groups in it included; or over the exception itself."""
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        for inner in group.exceptions:
            yield from leaves(inner)
    else:
        yield error


def expected_errors(error: BaseException) -> list[str] | None:
    """Return a line of text for each failure that is no fault of the program, or ``None`` if any is one."""
    lines: list[str] = []
    for leaf in leaves(error):
        if not isinstance(leaf, (BtApiError, OSError)):
            return None
        line = " ".join(str(leaf).split()) or type(leaf).__name__
        if line not in lines:
            lines.append(line)
    return lines


def discard_output() -> None:
    """Let nothing more be written to a standard output whose reader has gone, not even when Python ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
