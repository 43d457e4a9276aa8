"""The venue's clock is told from round trips, and goes on without the wall clock."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from bt_api_base.exceptions import NetworkError
from bt_api_base.feeds.clock import VenueClock

pytestmark = pytest.mark.anyio

MILLISECOND = 1_000_000
SECOND = 1_000_000_000
EPOCH = 1_700_000_000 * SECOND


class Clocks:
    """A monotonic clock and a wall clock that a test sets."""

    def __init__(self) -> None:
        self.monotonic = 5 * SECOND
        self.wall = EPOCH

    def venue_clock(self, **options: int) -> VenueClock:
        """Return a clock over them."""
        return VenueClock(monotonic_ns=lambda: self.monotonic, wall_ns=lambda: self.wall, **options)


def test_without_a_round_trip_it_is_our_own_clock() -> None:
    """Nothing is known about the venue's, and that is said."""
    clock = Clocks().venue_clock()
    assert (EPOCH, 0, None) == (clock.now_ns(), clock.offset_ns, clock.uncertainty_ns)


def test_a_step_of_the_wall_clock_moves_nothing() -> None:
    """Only the monotonic clock does."""
    clocks = Clocks()
    clock = clocks.venue_clock()
    clocks.wall += 3600 * SECOND
    assert EPOCH == clock.now_ns()
    clocks.monotonic += SECOND
    assert EPOCH + SECOND == clock.now_ns() == clock.local_ns()
    assert (EPOCH + SECOND) // MILLISECOND == clock.now_ms()


def test_the_fastest_round_trip_tells_best() -> None:
    """Slow ones, one way slower than the other, would say something else."""
    clock = Clocks().venue_clock(resolution_ns=0)
    clock.add_sample(EPOCH, EPOCH + 900 * MILLISECOND, EPOCH + 7 * SECOND)
    assert 7 * SECOND - 450 * MILLISECOND == clock.offset_ns
    clock.add_sample(EPOCH + SECOND, EPOCH + SECOND + 10 * MILLISECOND, EPOCH + 8 * SECOND + 5 * MILLISECOND)
    assert 7 * SECOND == clock.offset_ns
    assert EPOCH + 7 * SECOND == clock.now_ns()
    assert 5 * MILLISECOND + 1 == clock.uncertainty_ns


def test_an_answer_does_not_come_before_its_request() -> None:
    """Times of two clocks were mixed up."""
    with pytest.raises(ValueError, match="before the request"):
        VenueClock().add_sample(1, 0, 5)


def test_the_history_is_bounded() -> None:
    """What is old is forgotten."""
    clock = Clocks().venue_clock(history=3)
    for number in range(10):
        clock.add_sample(number, number, number)
    assert [7, 8, 9] == [sample.sent_ns for sample in clock.samples]


@given(
    offset=st.integers(-100 * SECOND, 100 * SECOND),
    ways=st.lists(
        st.tuples(st.integers(0, SECOND), st.integers(0, SECOND), st.integers(0, SECOND)), min_size=1, max_size=40
    ),
)
def test_the_offset_is_as_good_as_it_says(offset: int, ways: list[tuple[int, int, int]]) -> None:
    """However long both ways took, and although the venue tells whole milliseconds."""
    clock = Clocks().venue_clock()
    now = EPOCH
    for pause, there, back in ways:
        now += pause
        server = (now + there + offset) // MILLISECOND * MILLISECOND
        clock.add_sample(now, now + there + back, server)
        now += there + back
    assert clock.uncertainty_ns is not None
    assert abs(clock.offset_ns - offset) <= clock.uncertainty_ns


async def test_synchronizing_forgets_what_was_known() -> None:
    """The venue's clock may have been set."""
    clocks = Clocks()
    clock = clocks.venue_clock(resolution_ns=0)
    clock.add_sample(EPOCH, EPOCH, EPOCH + 100 * SECOND)

    async def fetch() -> int:
        clocks.monotonic += 2 * MILLISECOND
        told = clock.local_ns() + SECOND
        clocks.monotonic += 2 * MILLISECOND
        return told

    assert SECOND == await clock.synchronize(fetch, samples=3) == clock.offset_ns
    assert 3 == len(clock.samples)
    assert 1 == clock.synchronizations


async def test_synchronizing_in_vain_changes_nothing() -> None:
    """The first failure is raised; after a success it only ends the asking."""
    clock = Clocks().venue_clock(resolution_ns=0)
    clock.add_sample(EPOCH, EPOCH, EPOCH + SECOND)
    answers = [EPOCH + 9 * SECOND]

    async def fetch() -> int:
        if not answers:
            raise NetworkError("VENUE", "gone")
        return answers.pop()

    assert 9 * SECOND == await clock.synchronize(fetch)
    with pytest.raises(NetworkError):
        await clock.synchronize(fetch)
    assert 9 * SECOND == clock.offset_ns
    assert 1 == clock.synchronizations
