"""Where in a stream how many items are missing."""

from __future__ import annotations

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

    places: list[tuple[int, int]] = attrs.field(factory=list[tuple[int, int]], init=False)

    def add(self, place: int, count: int = 1) -> None:
        """Note that so many items at ``place`` are missing. What was behind them has moved up."""
        places = self.places
        if not places or places[-1][0] < place:
            places.append((place, count))
        elif places[-1][0] == place:
            places[-1] = (place, places[-1][1] + count)
        else:  # they were before another place: in a stream that conflates, around a marker, so there are few
            counts = {place: count}
            for other, others in places:
                moved = max(place, other - count) if other > place else other
                counts[moved] = counts.get(moved, 0) + others
            places[:] = sorted(counts.items())
