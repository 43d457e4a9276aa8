"""The venue's clock, as far as it can be told from here."""

from __future__ import annotations

import time
from collections import deque
from statistics import median_low
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ("ClockSample", "VenueClock")

_RESOLUTION_NS: Final = 1_000_000
_HISTORY: Final = 32


@attrs.frozen
class ClockSample:
    """One round trip to the venue and back. Times are nanoseconds since the epoch (UTC).

    Attributes:
        sent_ns: When it was sent, by `VenueClock.local_ns`.
        received_ns: When the answer was here, by the same clock.
        server_ns: What the venue's clock said in between.
    """

    sent_ns: int
    received_ns: int
    server_ns: int

    @property
    def round_trip_ns(self) -> int:
        """How long it took."""
        return self.received_ns - self.sent_ns


class VenueClock:
    """What time it is at the venue.

    The venue looked at its clock at some moment of a round trip: taken for the middle, the error is at most half of
    the round trip. So the fastest ones tell best, and the offset is the middle one of a few of them.

    Time goes on with a monotonic clock. The wall clock is read once, when this is made, so that a step of it (by
    hand, or when the machine finds a time server) moves nothing here.

    Args:
        history: Round trips that are remembered, the newest ones.
        resolution_ns: The step of what the venue tells: a clock in milliseconds is half a millisecond ahead of its
            text on average.
        monotonic_ns: A clock that never steps, nanoseconds from anywhere.
        wall_ns: The time of day, nanoseconds since the epoch (UTC).
    """

    def __init__(
        self,
        *,
        history: int = _HISTORY,
        resolution_ns: int = _RESOLUTION_NS,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._monotonic_ns = monotonic_ns
        self._base_ns = wall_ns() - monotonic_ns()
        self._resolution_ns = resolution_ns
        self._samples: deque[ClockSample] = deque(maxlen=history)
        self._offset_ns = 0
        self._uncertainty_ns: int | None = None
        self._synchronizations = 0

    def __repr__(self) -> str:
        return f"VenueClock(offset_ns={self._offset_ns}, uncertainty_ns={self._uncertainty_ns})"

    @property
    def offset_ns(self) -> int:
        """The venue's clock minus ours, nanoseconds; 0 before the first round trip."""
        return self._offset_ns

    @property
    def uncertainty_ns(self) -> int | None:
        """How wrong `offset_ns` can be either way, nanoseconds; ``None`` before the first round trip."""
        return self._uncertainty_ns

    @property
    def synchronizations(self) -> int:
        """How often `synchronize` was done: who sees it change knows that somebody else has."""
        return self._synchronizations

    @property
    def samples(self) -> tuple[ClockSample, ...]:
        """The round trips that are remembered, oldest first."""
        return tuple(self._samples)

    def local_ns(self) -> int:
        """Return our own time, which never steps, nanoseconds since the epoch (UTC)."""
        return self._base_ns + self._monotonic_ns()

    def now_ns(self) -> int:
        """Return the venue's time, nanoseconds since the epoch (UTC)."""
        return self._base_ns + self._monotonic_ns() + self._offset_ns

    def now_ms(self) -> int:
        """Return the venue's time, milliseconds since the epoch (UTC), as it goes into requests."""
        return self.now_ns() // 1_000_000

    def add_sample(self, sent_ns: int, received_ns: int, server_ns: int) -> None:
        """Learn from a round trip.

        Args:
            sent_ns: When it was sent, by `local_ns`.
            received_ns: When the answer was here, by `local_ns`.
            server_ns: What the venue's clock said in between, nanoseconds since the epoch (UTC).

        Raises:
            ValueError: It came back before it was sent.
        """
        if received_ns < sent_ns:
            raise ValueError("the answer came before the request: both times are to be taken from local_ns()")
        self._samples.append(ClockSample(sent_ns, received_ns, server_ns))
        self._estimate()

    async def synchronize(self, fetch: Callable[[], Awaitable[int]], *, samples: int = 5) -> int:
        """Ask the venue for its time and estimate the offset from the answers alone: older ones no longer count.

        Args:
            fetch: Asks once, and returns what the venue's clock said, nanoseconds since the epoch (UTC).
            samples: How often it is asked, one time after the other.

        Returns:
            The new `offset_ns`.

        Raises:
            BtApiError: What ``fetch`` raised when it was asked for the first time; later failures only end the asking.

        Cancellation:
            What was known before stays.
        """
        found: list[ClockSample] = []
        for _ in range(max(1, samples)):
            sent_ns = self.local_ns()
            try:
                server_ns = await fetch()
            except Exception:
                if not found:
                    raise
                break
            found.append(ClockSample(sent_ns, self.local_ns(), server_ns))
        self._samples.clear()
        self._samples.extend(found)
        self._estimate()
        self._synchronizations += 1
        return self._offset_ns

    def _estimate(self) -> None:
        fastest = sorted(self._samples, key=_round_trip)[: 1 + len(self._samples) // 4]
        half_step = self._resolution_ns // 2
        self._offset_ns = median_low(
            sample.server_ns + half_step - (sample.sent_ns + sample.received_ns) // 2 for sample in fastest
        )
        self._uncertainty_ns = fastest[-1].round_trip_ns // 2 + half_step + 1


def _round_trip(sample: ClockSample) -> int:
    return sample.round_trip_ns
