"""How long to wait before the next connection attempt, and before the next message."""

from __future__ import annotations

import random as _random
from collections import deque
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ("Pacer", "reconnect_delays")


def reconnect_delays(interval: float, cap: float, *, random: Callable[[], float] = _random.random) -> Iterator[float]:
    """Yield the delays before successive reconnection attempts, in seconds, without end.

    The first attempt is made at once. Attempt *n* (from 1) waits ``random() * min(cap, interval * 2**(n - 1))``:
    exponential back-off with full jitter, also at the cap, so that a thousand clients that lost the
    same venue at the same moment do not come back at the same moment.

    Args:
        interval: Upper bound of the first delay that is not zero, in seconds.
        cap: Upper bound of every delay, in seconds.
        random: Source of uniform numbers in [0, 1); a seeded one makes a schedule repeatable.
    """
    yield 0.0
    bound = min(cap, interval)
    while True:
        yield random() * bound
        bound = min(cap, bound * 2.0)


class Pacer:
    """Keeps something within a venue's limit: at most ``limit`` times in any ``window`` seconds.

    A burst goes out at once; only what would exceed the limit waits, first come, first served.

    Args:
        limit: How often, at least 1.
        window: In how many seconds.
    """

    def __init__(self, limit: int, window: float = 1.0) -> None:
        self._window = window
        self._sent: deque[float] = deque(maxlen=limit)
        self._lock = anyio.Lock()

    async def wait(self) -> None:
        """Wait for the turn of one more, and count it.

        Cancellation: nothing is counted.
        """
        async with self._lock:
            while len(self._sent) == self._sent.maxlen:
                delay = self._sent[0] + self._window - anyio.current_time()
                if delay <= 0:
                    break
                await anyio.sleep(delay)
            self._sent.append(anyio.current_time())

    def estimate(self, further: int) -> float:
        """Return how many seconds ``further`` more take from now, if nobody else asks."""
        now, turns = anyio.current_time(), self._sent.copy()
        for _ in range(further):
            full = len(turns) == turns.maxlen
            turns.append(max(now, turns[0] + self._window) if full else now)
        return turns[-1] - now if further else 0.0
