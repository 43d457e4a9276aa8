"""Who waits: a thread, or a task of an event loop, and how each is woken from any thread."""

from __future__ import annotations

import enum
import math
import threading
from threading import get_ident
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import attrs

if TYPE_CHECKING:
    from collections.abc import Callable

    from bt_api_base.rate_limiter.line import Charges, Group
    from bt_api_base.rate_limiter.meters import Ticket

__all__ = ("TaskWaiter", "ThreadWaiter", "Waiter", "WaiterState")


class WaiterState(enum.Enum):
    """How far somebody who waits has got."""

    WAITING = "waiting"
    GRANTED = "granted"
    REFUSED = "refused"
    """There will never be room, or not in time."""


@attrs.define(eq=False)
class Waiter:
    """Somebody in the line. All of it is guarded by the limiter's lock.

    Attributes:
        deadline: When the wait is over in any case, by the limiter's clock.
        state: How far it has got.
        number: Its place; those who came later have higher ones.
        group: Where it stands; ``None`` while it does not.
        charges: What it wants.
        tickets: What it was granted, for each charge.
        sleeps_until: When it looks at the clock again by itself.
    """

    deadline: float = attrs.field(default=math.inf, init=False)
    state: WaiterState = attrs.field(default=WaiterState.WAITING, init=False)
    number: int = attrs.field(default=0, init=False)
    group: Group | None = attrs.field(default=None, init=False)
    charges: Charges = attrs.field(default=(), init=False)
    tickets: tuple[Ticket, ...] = attrs.field(default=(), init=False)
    sleeps_until: float = attrs.field(default=math.inf, init=False)

    def wake(self) -> None:
        """Make it look at its state. Called from any thread, with the limiter's lock held."""


@attrs.define(eq=False)
class ThreadWaiter(Waiter):
    """A thread that waits."""

    _event: threading.Event = attrs.field(factory=threading.Event, init=False)

    def wake(self) -> None:
        """Make the thread look at its state."""
        self._event.set()

    def rearm(self) -> None:
        """Get ready to sleep, with the limiter's lock held."""
        self._event.clear()

    def sleep(self, delay: float) -> None:
        """Sleep until woken, for at most some seconds."""
        self._event.wait(min(delay, threading.TIMEOUT_MAX))


@attrs.define(eq=False)
class TaskWaiter(Waiter):
    """A task that waits. Made by the task itself."""

    _event: anyio.Event = attrs.field(factory=anyio.Event, init=False)
    _thread: int = attrs.field(factory=get_ident, init=False)
    _call_soon: Callable[[Callable[[], object]], object] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        loop: Any = anyio.lowlevel.current_token().native_token
        # The one name is asyncio's (and uvloop's), the other one trio's.
        self._call_soon = loop.call_soon_threadsafe if hasattr(loop, "call_soon_threadsafe") else loop.run_sync_soon

    def wake(self) -> None:
        """Make the task look at its state."""
        if self._thread == get_ident():
            self._event.set()
            return
        try:
            self._call_soon(self._event.set)
        except RuntimeError:  # the event loop is gone, and its tasks with it
            self.state = WaiterState.REFUSED

    def rearm(self) -> None:
        """Get ready to sleep, with the limiter's lock held."""
        if self._event.is_set():
            self._event = anyio.Event()

    async def sleep(self, delay: float) -> None:
        """Sleep until woken, for at most some seconds.

        Cancellation: as of any sleep.
        """
        if delay == math.inf:
            await self._event.wait()
        else:
            with anyio.move_on_after(delay):
                await self._event.wait()
