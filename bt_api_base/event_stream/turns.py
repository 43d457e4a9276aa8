"""Tasks that wait for the same thing, first come, first served."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import anyio
import attrs

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ("Turns",)


@attrs.define(eq=False)
class Turns:
    """A queue of waiting tasks.

    Attributes:
        queue: The wake-up of each, the first one's first.
    """

    queue: deque[anyio.Event] = attrs.field(factory=deque[anyio.Event], init=False)

    async def wait(self, is_ready: Callable[[], bool]) -> None:
        """Wait until the condition holds and everybody who came earlier has had a turn.

        It holds until the caller awaits something else.

        Cancellation: the next one has its turn.
        """
        turn = anyio.Event()
        self.queue.append(turn)
        try:
            # The first in the queue stays there until it has what it waited for, so nobody gets ahead of it.
            while self.queue[0] is not turn or not is_ready():
                await turn.wait()
                if not is_ready():  # somebody who does not wait was quicker
                    turn = self.queue[0] = anyio.Event()
        finally:
            self.queue.remove(turn)
            self.wake(is_ready)

    def wake(self, is_ready: Callable[[], bool]) -> None:
        """Wake the first one, if the condition holds."""
        if self.queue and is_ready():
            self.queue[0].set()

    def wake_all(self) -> None:
        """Wake everybody: there is nothing left to wait for, and the condition holds from now on."""
        for turn in self.queue:
            turn.set()
