"""Virtual time for asyncio and trio: an hour of back-off passes in a millisecond, in the same order every time.

On both loops the rule is the same: as long as any task can run, time stands still; once every task waits, the clock
jumps to the next deadline. What a test then sees depends on its deadlines only, never on the speed of the machine.

* On trio this is trio's own `trio.testing.MockClock` with an ``autojump_threshold``.
* On asyncio, `VirtualTimeLoop` is an ordinary selector event loop whose selector does not sleep: asked to wait for
  events at most ``t`` seconds, it looks once for events and, finding none, adds ``t`` to the loop's clock.
* uvloop keeps its timers in C and its own clock, so it stays on real time.

Time starts at 0.0, so a value that is only right by luck of the machine's uptime shows up at once.

What belongs in such a test: tasks, events, in-memory streams. Bytes in flight through the kernel and work in threads
are invisible to the rule ("every task waits"), so the clock jumps past a reply that is on its way. Give such a test a
positive ``autojump_threshold``, the real seconds that an idle loop waits for them before it jumps.

Example:
    ```python
    backend, options = virtual_backend("asyncio")
    anyio.run(anyio.sleep, 3600.0, backend=backend, backend_options=options)  # returns at once
    ```
"""

from __future__ import annotations

import asyncio
import selectors
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from _typeshed import FileDescriptorLike

VIRTUAL_BACKENDS: Final = ("asyncio", "trio")
"""The backends whose time can be virtual, by anyio's names."""


class _JumpingSelector(selectors.BaseSelector):
    """A selector that advances a clock where another would sleep.

    Events always win: file descriptors (the loop's own wake-up socket among them, so `call_soon_threadsafe` works) are
    polled before the clock moves. Without a pending timer there is nowhere to jump, so it really waits for an event.
    """

    def __init__(self, *, autojump_threshold: float) -> None:
        self.now = 0.0
        self._autojump_threshold = autojump_threshold
        self._selector = selectors.DefaultSelector()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            return self._selector.select(None)
        if timeout <= 0:
            return self._selector.select(0)
        events = self._selector.select(self._autojump_threshold)
        if not events:
            self.now += timeout
        return events

    def register(self, fileobj: FileDescriptorLike, events: int, data: object = None) -> selectors.SelectorKey:
        return self._selector.register(fileobj, events, data)

    def unregister(self, fileobj: FileDescriptorLike) -> selectors.SelectorKey:
        return self._selector.unregister(fileobj)

    def modify(self, fileobj: FileDescriptorLike, events: int, data: object = None) -> selectors.SelectorKey:
        return self._selector.modify(fileobj, events, data)

    def get_map(self) -> Mapping[FileDescriptorLike, selectors.SelectorKey]:
        return self._selector.get_map()

    def close(self) -> None:
        self._selector.close()


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An asyncio event loop whose clock starts at 0.0 and jumps to the next timer instead of sleeping.

    Args:
        autojump_threshold: Real seconds to wait for I/O and threads, each time every task waits, before the clock
            jumps. 0.0 suits tests without either; it polls for events once.
    """

    def __init__(self, *, autojump_threshold: float = 0.0) -> None:
        self._clock = _JumpingSelector(autojump_threshold=autojump_threshold)
        super().__init__(self._clock)
        # A timer is due when its time is less than the clock's plus this. After some virtual weeks the system clock's
        # resolution, a nanosecond, is lost in rounding that sum, and a timer that is exactly due would never be run.
        self._clock_resolution = 1e-6

    def time(self) -> float:
        """Return the virtual time in seconds since the loop was made."""
        return self._clock.now


def virtual_backend(name: Literal["asyncio", "trio"], *, autojump_threshold: float = 0.0) -> tuple[str, dict[str, Any]]:
    """Return a backend with virtual time, as `anyio.run` and the ``anyio_backend`` fixture take it.

    Call it anew for each run: on trio the result holds a clock, which must start at 0.0.

    Args:
        name: The event loop, "asyncio" or "trio".
        autojump_threshold: Real seconds that an idle loop waits for I/O and threads before its clock jumps.

    Returns:
        The backend's name and its options.

    Raises:
        ValueError: The backend is unknown or cannot have virtual time.
    """
    if name not in VIRTUAL_BACKENDS:
        raise ValueError(f"no virtual time on {name!r}: choose one of {', '.join(VIRTUAL_BACKENDS)}")
    if name == "asyncio":
        return "asyncio", {"loop_factory": partial(VirtualTimeLoop, autojump_threshold=autojump_threshold)}
    import trio.testing

    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=autojump_threshold)}


__all__ = ("VIRTUAL_BACKENDS", "VirtualTimeLoop", "virtual_backend")
