"""The times of which something is missing: the gaps of a symbol's channels, put together.

Each channel tells its own gaps. When a connection is lost, those of a symbol's quotes, trades and book are about the
same time, and they are told one after another; to who looks at the symbol they are one interruption.
"""

from __future__ import annotations

from collections import deque

import attrs

__all__ = ("Interruptions",)

_KEPT = 32
"""Interruptions that a gap told later can still be part of."""


@attrs.define(eq=False)
class Interruptions:
    """Times that touch no other, from gaps in any order. All times are nanoseconds since the epoch (UTC).

    Attributes:
        count: How many there are.
        total_ns: How long they are together.
        longest_ns: How long the longest is.
    """

    count: int = 0
    total_ns: int = 0
    longest_ns: int = 0
    _latest: deque[tuple[int, int]] = attrs.field(factory=lambda: deque[tuple[int, int]](maxlen=_KEPT), repr=False)

    def add(self, since: int, until: int) -> None:
        """Note a gap."""
        apart: list[tuple[int, int]] = []
        for begin, end in self._latest:
            if end < since or until < begin:
                apart.append((begin, end))
            else:  # they are one
                since, until = min(since, begin), max(until, end)
                self.count -= 1
                self.total_ns -= end - begin
        self._latest.clear()
        self._latest.extend(sorted([*apart, (since, until)]))
        self.count += 1
        self.total_ns += until - since
        self.longest_ns = max(self.longest_ns, until - since)
