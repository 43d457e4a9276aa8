"""Where in a stream how many items are missing."""

from __future__ import annotations

from collections import deque

import attrs

__all__ = ("Losses",)


@attrs.define(eq=False)
class Losses:
    """Places between the items that wait, at which others are missing.

    A place is the count of items taken by the time the consumer gets there: it stays the same while the consumer
    takes what lies before it, so that the consumer has only to be stopped in time.

    Attributes:
        places: For each, how many items will have been taken, and how many are missing; the next one first.
    """

    places: deque[tuple[int, int]] = attrs.field(factory=deque[tuple[int, int]], init=False)

    def add(self, place: int) -> None:
        """Note that the item at ``place`` is missing. What was behind it has moved up by one."""
        places = self.places
        if not places or places[-1][0] < place:
            places.append((place, 1))
        elif places[-1][0] == place:
            places[-1] = (place, places[-1][1] + 1)
        else:  # the item was before another place, which takes a marker in a stream that conflates: there are few
            counts = {place: 1}
            for other, count in places:
                moved = other - (other > place)
                counts[moved] = counts.get(moved, 0) + count
            places.clear()
            places.extend(sorted(counts.items()))
