"""Items from any thread, handled in the thread of an event loop.

Venue libraries call back in threads of their own and expect to be called back no more than they are: the callback may
neither wait nor raise. So it puts its item into a ring and, if nobody has done so yet, asks the event loop to empty it:
one wake-up for however many items come until the loop gets to it. A ring that is full forgets its oldest item.

There is no lock. `collections.deque` and `itertools.count` do each of their steps at once, and the two orders that
matter are kept everywhere: an item is put in before the flag is read, and the flag is taken down before items are taken
out. An item can therefore wait for a wake-up that is on its way, but never for one that nobody asked for.
"""

from __future__ import annotations

from collections import deque
from itertools import count
from threading import get_ident
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import anyio.lowlevel
import attrs

from bt_api_base.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ("ThreadBridge",)

T = TypeVar("T")

_PASS = 1_000
"""Items handled before the event loop may turn to something else."""


@attrs.define(eq=False)
class ThreadBridge(Generic[T]):
    """A bounded ring with one event loop at its end. See the module's docstring.

    Args:
        handle: Called with each item, in the event loop's thread and outside of any task. Must not raise.
        max_buffer_size: Items the ring holds.

    Attributes:
        home: The identity of the event loop's thread; ``None`` while there is none.
    """

    _handle: Callable[[T], object]
    _max_buffer_size: int
    home: int | None = attrs.field(default=None, init=False)
    _loop: object | None = attrs.field(default=None, init=False)
    _call_soon: Callable[[Callable[[], None]], object] | None = attrs.field(default=None, init=False)
    _ring: deque[tuple[int, T]] = attrs.field(init=False)
    _numbers: count[int] = attrs.field(factory=lambda: count(1), init=False)
    _is_called: bool = attrs.field(default=False, init=False)
    _last_number: int = attrs.field(default=0, init=False)
    _handled: int = attrs.field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self._ring = deque(maxlen=self._max_buffer_size)

    @property
    def pending(self) -> int:
        """Items in the ring."""
        return len(self._ring)

    @property
    def handled(self) -> int:
        """Items that were handled."""
        return self._handled

    @property
    def dropped(self) -> int:
        """Items that were forgotten: the ring was full, or its event loop gone."""
        try:
            last_number = max(self._last_number, self._ring[-1][0])
        except IndexError:
            last_number = self._last_number
        return max(0, last_number - self._handled - len(self._ring))

    def bind(self) -> None:
        """Make the running event loop the one that handles the items. The loop before must be gone.

        Raises:
            ConfigurationError: No event loop runs in this thread, or the bridge leads to another that is still there.
        """
        try:
            loop: Any = anyio.lowlevel.current_token().native_token
        except Exception as error:  # of another type in every other version of anyio
            raise ConfigurationError("an event bus can belong to an event loop only where one is running") from error
        if loop is self._loop:
            return
        if self._call_soon is not None and self._reaches(self._call_soon):
            raise ConfigurationError("an event bus belongs to one event loop at a time, and this one has another")
        self._forget()
        self._is_called = False
        self._loop = loop
        # The one name is asyncio's (and uvloop's), the other one trio's.
        self._call_soon = loop.call_soon_threadsafe if hasattr(loop, "call_soon_threadsafe") else loop.run_sync_soon
        self.home = get_ident()

    def unbind(self) -> None:
        """Handle what is in the ring, and then belong to no event loop. Call it in the event loop's thread."""
        for _ in range(0, len(self._ring), _PASS):  # and no more: threads may go on for ever
            self._empty()
        self.home = self._loop = self._call_soon = None
        self._forget()
        self._is_called = False

    def push(self, item: T) -> None:
        """Put an item into the ring, from any thread. Never waits, never raises."""
        self._ring.append((next(self._numbers), item))
        if not self._is_called:
            self._is_called = True
            call_soon = self._call_soon
            if call_soon is None or not self._reaches(call_soon, self._empty):
                self._is_called = False
                self._forget()

    def _empty(self) -> None:
        if self.home != get_ident():
            return  # a call from an event loop that the bridge has left meanwhile
        self._is_called = False
        ring = self._ring
        for _ in range(_PASS):
            try:
                number, item = ring.popleft()
            except IndexError:
                return
            self._last_number = max(self._last_number, number)
            self._handled += 1
            self._handle(item)
        if ring and not self._is_called and self._call_soon is not None:
            self._is_called = True
            self._call_soon(self._empty)

    def _forget(self) -> None:
        while True:
            try:
                number, _ = self._ring.popleft()
            except IndexError:
                return
            self._last_number = max(self._last_number, number)

    @staticmethod
    def _reaches(
        call_soon: Callable[[Callable[[], None]], object], function: Callable[[], None] = lambda: None
    ) -> bool:
        """Ask an event loop to call a function; return whether it is still there to do so."""
        try:
            call_soon(function)
        except RuntimeError:  # asyncio's and uvloop's for a closed loop, and the base of trio's RunFinishedError
            return False
        return True
