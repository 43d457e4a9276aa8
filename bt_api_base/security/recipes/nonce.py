"""Numbers that only grow."""

from __future__ import annotations

import threading

__all__ = ("Nonce",)


class Nonce:
    """Numbers for one API key, each greater than the last, also where a clock goes back or stands still.

    A venue that wants them refuses a request that overtakes another on its way: there, the requests of a key are sent
    one after the other. It may be used from several threads.

    Args:
        last: The greatest number used so far.
    """

    def __init__(self, last: int = 0) -> None:
        self._last = last
        self._lock = threading.Lock()

    def next(self, at_least: int) -> int:
        """Return a number greater than all before.

        Args:
            at_least: The least it may be; the time, say, so that a program that is started again goes on where it was.
        """
        with self._lock:
            self._last = max(self._last + 1, at_least)
            return self._last
