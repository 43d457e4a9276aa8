"""In which order calls go that wait for room."""

from __future__ import annotations

import enum

__all__ = ("Priority",)


class Priority(enum.IntEnum):
    """The lane of a call: those of a lower number go first, and within a lane who came first."""

    CANCEL = 0
    """Taking risk away."""
    ORDER = 1
    """Placing or changing an order."""
    QUERY = 2
    """Asking about orders and the account."""
    SNAPSHOT = 3
    """Market data, which can be had again."""
