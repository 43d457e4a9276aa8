"""What a venue counts of requests and orders: windows aligned to the clock, and bans for those who go on."""

from __future__ import annotations

import math
from typing import Final

import attrs

_LONGEST_BAN: Final = 3 * 86_400.0


@attrs.define(eq=False)
class AlignedWindow:
    """Counts up to a limit in windows that begin with the clock: a minute's at its first second."""

    limit: int
    """The most in a window."""
    seconds: int
    """Length of a window."""
    count: int = 0
    """How much there was in the window that was looked at last."""
    _number: int = -1

    def used(self, now_ns: int) -> int:
        """Return how much there was in the window so far.

        Args:
            now_ns: Nanoseconds since the epoch.
        """
        number = now_ns // (self.seconds * 1_000_000_000)
        if number != self._number:
            self._number, self.count = number, 0
        return self.count

    def add(self, cost: int, now_ns: int) -> None:
        """Count.

        Args:
            cost: How much; negative takes back, as far as there is any.
            now_ns: Nanoseconds since the epoch.
        """
        self.count = max(0, self.used(now_ns) + cost)

    def left(self, now_ns: int) -> float:
        """Return the seconds until the next window.

        Args:
            now_ns: Nanoseconds since the epoch.
        """
        length = self.seconds * 1_000_000_000
        return (length - now_ns % length) / 1_000_000_000


@attrs.define(eq=False)
class WeightLimit:
    """The weight of an address's requests. Who goes on when it is used up is banned, and the next time for longer."""

    window: AlignedWindow
    offences_until_ban: int | None = 3
    """Refused requests before a ban; None for no bans."""
    ban_time: float = 120.0
    """Seconds of the first ban; each one is twice as long as the one before."""
    banned_until_ns: int = 0
    """When the ban ends, nanoseconds since the epoch."""
    _offences: int = 0
    _bans: int = 0

    def refusal(self, cost: int, now_ns: int) -> tuple[float, bool] | None:
        """Count a request, and return None; or why it is refused.

        Args:
            cost: Its weight.
            now_ns: Nanoseconds since the epoch.

        Returns:
            Seconds that it is going to last, and whether it is a ban.
        """
        if now_ns < self.banned_until_ns:
            self._offences += 1
            if self.offences_until_ban is not None and self._offences > self.offences_until_ban:
                self._ban(now_ns)
            return (self.banned_until_ns - now_ns) / 1e9, True
        if self.window.used(now_ns) + cost <= self.window.limit:
            self._offences = 0
            self.window.add(cost, now_ns)
            return None
        self._offences += 1
        if self.offences_until_ban is not None and self._offences > self.offences_until_ban:
            self._ban(now_ns)
            return (self.banned_until_ns - now_ns) / 1e9, True
        return self.window.left(now_ns), False

    def _ban(self, now_ns: int) -> None:
        seconds = min(_LONGEST_BAN, self.ban_time * 2**self._bans)
        self.banned_until_ns = max(self.banned_until_ns, now_ns + math.ceil(seconds * 1e9))
        self._bans += 1
        self._offences = 0


__all__ = ("AlignedWindow", "WeightLimit")
