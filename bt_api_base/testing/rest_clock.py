"""A venue's clock that follows the event loop's, so that it goes as fast as virtual time does."""

from __future__ import annotations

from typing import Final

import anyio

START_NS: Final = 1_767_225_600_000_000_000
"""2026-01-01, when such clocks begin by default, nanoseconds since the epoch (UTC)."""


class LoopClock:
    """Nanoseconds since the epoch, as the event loop's clock goes; for `clock_ns` of a venue, and of its clients.

    The loop is the one that it is called in first. Until then, and outside of loops, it stands still.

    Args:
        start_ns: What it begins at.

    Example:
        ```python
        clock = LoopClock()
        async with SimulatedVenue(listen=False, clock_ns=clock) as venue:
            ...
        ```
    """

    def __init__(self, start_ns: int = START_NS) -> None:
        self._start_ns = start_ns
        self._origin: float | None = None

    def __call__(self) -> int:
        """Return nanoseconds since the epoch (UTC)."""
        try:
            now = anyio.current_time()
        except anyio.NoEventLoopError:
            return self._start_ns
        if self._origin is None:
            self._origin = now
        return self._start_ns + round((now - self._origin) * 1_000_000_000)


__all__ = ("START_NS", "LoopClock")
