"""Percentiles of durations at the cost of one list increment each.

A duration is filed by its highest six bits: 32 buckets for each power of two. A percentile is the middle of its bucket,
so it is off by at most 1/64 (1.6 %) of the true value, and exact below 64 ns.
"""

from __future__ import annotations

import attrs

__all__ = ("DurationHistogram",)

_KEPT_BITS = 6
_PER_OCTAVE = 1 << (_KEPT_BITS - 1)
_LARGEST_NS = (1 << 62) - 1
_BUCKETS = (62 - _KEPT_BITS + 2) * _PER_OCTAVE


@attrs.define(eq=False)
class DurationHistogram:
    """A histogram of durations in nanoseconds, with logarithmic buckets.

    Attributes:
        count: Durations filed.
        negative: Of these, how many were below zero (two clocks that disagree); filed as zero.
        largest_ns: The largest one, exactly.
    """

    count: int = 0
    negative: int = 0
    largest_ns: int = 0
    _buckets: list[int] = attrs.field(factory=lambda: [0] * _BUCKETS, repr=False)

    def add(self, duration_ns: int, times: int = 1) -> None:
        """File a duration, or several equal ones at once."""
        self.count += times
        if duration_ns < 0:
            self.negative += times
            duration_ns = 0
        elif duration_ns > self.largest_ns:
            self.largest_ns = duration_ns
            duration_ns = min(duration_ns, _LARGEST_NS)
        shift = duration_ns.bit_length() - _KEPT_BITS
        if shift <= 0:
            self._buckets[duration_ns] += times
        else:
            # The highest bit is always set, so it is left out of the index within the octave.
            self._buckets[(shift << (_KEPT_BITS - 1)) + (duration_ns >> shift)] += times

    def percentile_ns(self, percent: float) -> int | None:
        """Return the duration that ``percent`` of those filed do not exceed, or ``None`` if none was filed."""
        if not self.count:
            return None
        rank = max(1, -int(-self.count * percent // 100))
        for index, filed in enumerate(self._buckets):
            rank -= filed
            if rank <= 0:
                return min(_middle(index), self.largest_ns)
        return self.largest_ns  # pragma: no cover - the buckets add up to the count


def _middle(index: int) -> int:
    """Return the middle of a bucket's range of durations."""
    if index < 2 * _PER_OCTAVE:
        return index
    shift = (index >> (_KEPT_BITS - 1)) - 1
    lowest = (_PER_OCTAVE + (index & (_PER_OCTAVE - 1))) << shift
    return lowest + (1 << shift) // 2
