"""How late events are: on their way to the socket, and from there to the consumer.

A `LagMeter` counts durations in buckets that grow by a tenth each, from a microsecond to an hour: a fixed 2 kB, however
long it runs, and percentiles within 5 % of the truth. A `SubscriptionLag` holds two of them and is fed with samples by
`EventStream.sample`, a few per wake-up and none per item::

    lag = SubscriptionLag()
    stream = EventStream(1_000, sample=lag.sample)
    ...
    lag.socket_to_delivered.snapshot()  # LagPercentiles(count=…, p50=…, p90=…, p99=…, max=…) in seconds, or None
"""

from __future__ import annotations

import math
import time
from array import array
from typing import TYPE_CHECKING

import attrs

from bt_api_base.containers import Gap

if TYPE_CHECKING:
    from collections.abc import Callable

    from bt_api_base.containers import Event

__all__ = ("LagMeter", "LagPercentiles", "SubscriptionLag")

_MIN_NS = 1_000
_MAX_NS = 3_600 * 1_000_000_000
_GROWTH = 1.1
_PER_LOG = 1 / math.log(_GROWTH)
_BUCKETS = math.ceil(math.log(_MAX_NS / _MIN_NS) * _PER_LOG) + 2  # one for less than the range, one for more
_NOTHING = array("Q", [0]) * _BUCKETS
_SECOND_NS = 1e9


@attrs.frozen
class LagPercentiles:
    """A distribution of durations, in seconds.

    Attributes:
        count: How many were recorded.
        p50: Half of them were not longer.
        p90: 90 % of them were not longer.
        p99: 99 % of them were not longer.
        max: The longest, exactly.
        negative: How many were negative, which are counted as zero. More than a few mean that a clock is wrong.
    """

    count: int
    p50: float
    p90: float
    p99: float
    max: float
    negative: int = 0


@attrs.define(eq=False)
class LagMeter:
    """Counts durations. Percentiles are within 5 % between a microsecond and an hour, and exact at both ends.

    Attributes:
        count: Durations recorded.
        negative: How many of them were negative.
    """

    count: int = attrs.field(default=0, init=False)
    negative: int = attrs.field(default=0, init=False)
    _min: int = attrs.field(default=0, init=False)
    _max: int = attrs.field(default=0, init=False)
    _counts: array[int] | None = attrs.field(default=None, init=False, repr=False)  # two kilobytes, once there is a use

    def record(self, duration_ns: int) -> None:
        """Count one duration, in nanoseconds. A negative one is counted as zero."""
        if duration_ns < 0:
            self.negative += 1
            duration_ns = 0
        if not self.count or duration_ns < self._min:
            self._min = duration_ns
        self._max = max(self._max, duration_ns)
        self.count += 1
        if self._counts is None:
            self._counts = _NOTHING[:]
        self._counts[_bucket(duration_ns)] += 1

    def percentile(self, q: float) -> float | None:
        """Return the duration that ``q`` percent of all were not longer than, in seconds; ``None`` if there are none.

        Raises:
            ValueError: ``q`` is not between 0 and 100.
        """
        if not 0 <= q <= 100:
            raise ValueError(f"a percentile is between 0 and 100, not {q}")
        if not self.count:
            return None
        return self._at_rank(math.ceil(self.count * q / 100))

    def snapshot(self) -> LagPercentiles | None:
        """Return the distribution as it is now; ``None`` if nothing was recorded."""
        if not self.count:
            return None
        p50, p90, p99 = (self._at_rank(math.ceil(self.count * q / 100)) for q in (50, 90, 99))
        return LagPercentiles(self.count, p50, p90, p99, self._max / _SECOND_NS, self.negative)

    def add(self, other: LagMeter) -> None:
        """Count all that another meter has counted, as if it had been recorded here."""
        if other._counts is None:
            return
        if self._counts is None:
            self._counts = _NOTHING[:]
        self._min = min(self._min, other._min) if self.count else other._min
        self._max = max(self._max, other._max)
        self.count += other.count
        self.negative += other.negative
        for bucket, count in enumerate(other._counts):
            self._counts[bucket] += count

    def reset(self) -> None:
        """Begin anew."""
        self.count = self.negative = self._min = self._max = 0
        self._counts = None

    def _at_rank(self, rank: int) -> float:
        """Return the duration that so many were not longer than, at least one, in seconds."""
        if rank <= 1:
            return self._min / _SECOND_NS
        if rank >= self.count:
            return self._max / _SECOND_NS
        bucket = 0
        for bucket, count in enumerate(self._counts or ()):  # noqa: B007 - where it stops is what is looked for
            rank -= count
            if rank <= 0:
                break
        # What is in the first or last bucket may be anywhere between its bound and the extreme.
        middle = 0.0 if not bucket else _MAX_NS if bucket == _BUCKETS - 1 else _MIN_NS * _GROWTH ** (bucket - 0.5)
        return min(max(middle, self._min), self._max) / _SECOND_NS


def _bucket(duration_ns: int) -> int:
    if duration_ns < _MIN_NS:
        return 0
    if duration_ns >= _MAX_NS:
        return _BUCKETS - 1
    return 1 + int(math.log(duration_ns / _MIN_NS) * _PER_LOG)


@attrs.define(eq=False)
class SubscriptionLag:
    """How late the events of one subscription are.

    Args:
        clock_offset_ns: How far this machine's clock is ahead of the venue's, in nanoseconds, or what returns it; 0
            where it is not known. It is taken off the first of the two durations.
        now_ns: The clock that ``local_time`` is from, nanoseconds since the epoch (UTC).

    Attributes:
        exchange_to_socket: From the venue's time of an event to its arrival here, where the venue tells its time.
        socket_to_delivered: From there to the consumer that takes it.
    """

    clock_offset_ns: int | Callable[[], int] = attrs.field(default=0, kw_only=True)
    now_ns: Callable[[], int] = attrs.field(default=time.time_ns, kw_only=True)
    exchange_to_socket: LagMeter = attrs.field(factory=LagMeter, init=False)
    socket_to_delivered: LagMeter = attrs.field(factory=LagMeter, init=False)

    def sample(self, event: Event) -> None:
        """Record how late an event is that is being delivered now. One without times says nothing, nor does a gap."""
        local_time = event.local_time
        if not local_time or type(event) is Gap:
            return
        if event.server_time:
            offset = self.clock_offset_ns
            self.exchange_to_socket.record(
                local_time - event.server_time - (offset if isinstance(offset, int) else offset())
            )
        self.socket_to_delivered.record(self.now_ns() - local_time)

    def add(self, other: SubscriptionLag) -> None:
        """Count all that another subscription's lag has counted."""
        self.exchange_to_socket.add(other.exchange_to_socket)
        self.socket_to_delivered.add(other.socket_to_delivered)

    def reset(self) -> None:
        """Begin anew."""
        self.exchange_to_socket.reset()
        self.socket_to_delivered.reset()
