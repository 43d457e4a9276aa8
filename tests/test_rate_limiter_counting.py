"""The three ways of counting: never too much in any window, whatever is asked for, and whenever."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from bt_api_base.exceptions import ConfigurationError
from bt_api_base.rate_limiter import (
    FixedWindowLimiter,
    RateLimiter,
    RateLimitType,
    SlidingWindowLimiter,
    TokenBucketLimiter,
)
from bt_api_base.rate_limiter.meters import GRAINS, SlidingWindow
from tests.rate_limits import BUCKET, FIXED, FakeClock, Ledger, rule

KINDS = (SlidingWindowLimiter, FixedWindowLimiter, TokenBucketLimiter)


class TestSlidingWindow:
    """No stretch of the interval's length sees more than the limit."""

    def test_room_comes_back_an_interval_after_each_grant(self) -> None:
        """To the moment, for limits of up to 128."""
        clock = FakeClock(0.0)
        limiter = SlidingWindowLimiter(60, 3, clock=clock)
        assert limiter.acquire(2)
        clock.now = 10.0
        assert limiter.acquire()
        assert not limiter.acquire()
        assert 50.0 == limiter.wait_time()
        assert 60.0 == limiter.wait_time(3)
        clock.now = 59.999
        assert not limiter.acquire()
        clock.now = 60.0
        assert limiter.acquire(2)
        assert 3 == limiter.current_usage

    def test_a_grain_is_forgotten_with_its_last_grant(self) -> None:
        """What came with it earlier counts as long, so that no window is ever over the limit."""
        clock = FakeClock(0.0)
        limiter = SlidingWindowLimiter(128, 200, clock=clock)
        assert limiter.acquire(100)
        clock.now = 0.9
        assert limiter.acquire(100)
        clock.now = 128.8
        assert not limiter.acquire()
        assert 0.1 == pytest.approx(limiter.wait_time())
        clock.now = 128.9
        assert limiter.acquire(200)

    def test_a_release_takes_the_oldest(self) -> None:
        """Which was released nobody knows, and so what is left is forgotten as late as it may have to be."""
        clock = FakeClock(0.0)
        limiter = SlidingWindowLimiter(10, 6, clock=clock)
        assert limiter.acquire(3)
        clock.now = 5.0
        assert limiter.acquire(3)
        limiter.release(3)
        clock.now = 10.0
        assert limiter.acquire(3)
        assert not limiter.acquire()

    @pytest.mark.parametrize("limit", [1000, 100_000])
    def test_large_limits_need_no_more_memory_and_are_late_by_a_grain_at_most(self, limit: int) -> None:
        """However many grants there are, at most 130 moments are remembered."""
        clock = FakeClock(0.0)
        limiter = SlidingWindowLimiter(60, limit, clock=clock)
        granted = 0
        while clock.now < 200:
            granted += limiter.acquire(limit // 1000)
            clock.now += 0.007
        meter = limiter._meter
        assert isinstance(meter, SlidingWindow)
        assert len(meter._grains) <= GRAINS + 2
        late = 60 / GRAINS
        # A window is used up in 7 s, and the next one may begin 60 s after that, or a grain later.
        assert 1000 * 4 - 2 <= granted <= 1000 * 4
        assert limiter.wait_time(limit) is not None
        clock.now += 60 + late
        assert 0 == limiter.current_usage


class TestFixedWindow:
    """A counter for each window."""

    def test_a_window_begins_with_the_first_use(self) -> None:
        """And the next one with the first use after its end."""
        clock = FakeClock(7.0)
        limiter = FixedWindowLimiter(60, 2, clock=clock)
        assert limiter.acquire(2)
        assert not limiter.acquire()
        assert 60.0 == limiter.wait_time()
        clock.now = 67.0
        assert limiter.acquire()
        clock.now = 300.0
        assert limiter.acquire(2)
        assert 60.0 == limiter.wait_time()

    def test_aligned_windows_begin_with_the_wall_clocks_minute(self) -> None:
        """As Binance's do."""
        clock, wall = FakeClock(5.0), FakeClock(1_600_000_055.0)  # 35 s past a minute
        limiter = FixedWindowLimiter(60, 2, clock=clock, aligned=True, wall_clock=wall)
        assert limiter.acquire(2)
        assert 25.0 == limiter.wait_time()
        clock.now += 25.0
        wall.now += 25.0
        assert limiter.acquire(2)
        assert 60.0 == limiter.wait_time()

    def test_a_wall_clock_that_is_set_back_does_not_end_a_window_twice(self) -> None:
        """The last moment of a minute that comes again is still in that minute."""
        clock, wall = FakeClock(0.0), FakeClock(1_600_000_055.0)
        limiter = FixedWindowLimiter(60, 2, clock=clock, aligned=True, wall_clock=wall)
        assert limiter.acquire(2)
        clock.now += 25.0
        wall.now += 24.5  # it was slowed down
        assert not limiter.acquire()
        assert 0.5 == limiter.wait_time()
        clock.now += 0.5
        wall.now += 0.5
        assert limiter.acquire(2)

    def test_what_goes_within_the_margin_of_the_turn_counts_in_both_windows(self) -> None:
        """The venue's clock, or the way there, may put it into either."""
        clock, wall = FakeClock(0.0), FakeClock(1_600_000_020.0)  # a full minute
        limiter = RateLimiter(
            [rule(10, 60, FIXED, aligned=True, margin=1.0)], clock=clock, wall_clock=wall, default=None
        )

        def pass_time(seconds: float) -> None:
            clock.now += seconds
            wall.now += seconds

        pass_time(1.0)
        assert limiter.acquire(weight=3)
        pass_time(58.0)  # one second before the turn
        assert limiter.acquire(weight=5)
        assert not limiter.acquire(weight=3)
        pass_time(1.5)  # half a second after it
        assert limiter.acquire(weight=2)
        pass_time(0.5)
        assert 7 == limiter.get_status()["rule"]["current"]
        assert not limiter.acquire(weight=4)
        assert limiter.acquire(weight=3)

    def test_what_is_given_back_near_the_turn_counts_in_neither_window(self) -> None:
        """Whether before the turn or after it."""
        clock = FakeClock(1_600_000_079.5)  # half a second before a full minute
        limiter = RateLimiter(
            [rule(10, 60, FIXED, aligned=True, margin=1.0)], clock=clock, wall_clock=clock, default=None
        )
        before, after = limiter.permit(weight=3), limiter.permit(weight=4)
        before.give_back()
        assert 4 == limiter.get_status()["rule"]["current"]
        clock.now += 2.0
        assert 4 == limiter.get_status()["rule"]["current"]
        after.give_back()
        assert 0 == limiter.get_status()["rule"]["current"]


class TestTokenBucket:
    """Tokens come at a steady rate."""

    def test_it_is_refilled_steadily(self) -> None:
        """`limit` in each interval, and never beyond what it holds."""
        clock = FakeClock(0.0)
        limiter = TokenBucketLimiter(10, 5, clock=clock)
        assert limiter.acquire(5)
        assert 2.0 == limiter.wait_time()
        clock.now = 2.0
        assert limiter.acquire()
        assert not limiter.acquire()
        clock.now = 1000.0
        assert 0 == limiter.current_usage
        assert limiter.acquire(5)
        assert not limiter.acquire()

    def test_it_may_hold_more_or_less_than_an_intervals_tokens(self) -> None:
        """`burst` says how many."""
        clock = FakeClock(0.0)
        limiter = TokenBucketLimiter(1, 10, clock=clock, burst=15)
        assert limiter.acquire(15)
        assert 0.1 == pytest.approx(limiter.wait_time())
        assert limiter.wait_time(16) is None

    def test_what_is_given_back_late_does_not_overfill_it(self) -> None:
        """A full bucket would not have got the tokens that have come since."""
        clock = FakeClock(100.0)
        limiter = RateLimiter([rule(1, 10.0, BUCKET)], clock=clock, default=None)
        limiter.permit()
        clock.now = 110.0
        unsent = limiter.permit()
        clock.now = 120.0
        limiter.permit()
        unsent.give_back()
        assert not limiter.acquire()
        clock.now = 130.0
        limiter.permit().give_back()
        assert limiter.acquire()


class TestAll:
    """What the three have in common."""

    @pytest.mark.parametrize("kind", KINDS)
    def test_what_is_released_can_be_used(self, kind: Any) -> None:
        """And what never fits does not, however long one waits."""
        clock = FakeClock()
        limiter = kind(60, 10, clock=clock)
        assert limiter.acquire(7)
        assert not limiter.acquire(4)
        limiter.release(7)
        assert 0 == limiter.current_usage
        assert limiter.acquire(10)
        assert limiter.wait_time(11) is None
        limiter.release(100)
        assert 0 == limiter.current_usage

    @pytest.mark.parametrize("kind", KINDS)
    def test_nothing_costs_nothing(self, kind: Any) -> None:
        """A weight of 0 goes through, also when there is no room; less than that is no weight."""
        limiter = kind(60, 1, clock=FakeClock())
        assert limiter.acquire()
        assert limiter.acquire(0)
        assert 0.0 == limiter.wait_time(0)
        with pytest.raises(ValueError, match="negative"):
            limiter.acquire(-1)

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize(("interval", "limit"), [(0, 1), (1, 0), (-1, 5)])
    def test_no_limit_is_refused(self, kind: Any, interval: float, limit: int) -> None:
        """Nothing in no time is not a limit."""
        with pytest.raises(ConfigurationError):
            kind(interval, limit)


# -- properties ------------------------------------------------------------------------------------

steps = st.lists(
    st.tuples(
        st.one_of(st.just(0.0), st.floats(0, 0.3), st.floats(0, 15), st.sampled_from((0.0625, 0.5, 10.0))),
        st.integers(1, 60),
        st.sampled_from(("send", "send", "wait and send", "give back", "give an older one back")),
    ),
    max_size=120,
)
limits = st.sampled_from((1, 10, 60, 128, 129, 500, 6000))


def play(type_: RateLimitType, limit: int, script: list[tuple[float, int, str]], **options: Any) -> Ledger:
    """Ask for permits by a script, and return what was really sent."""
    clock = FakeClock(100.0)
    limiter = RateLimiter(
        [rule(limit, 10.0, type_, **options)], clock=clock, wall_clock=lambda: clock.now + 3, default=None
    )
    ledger = Ledger()
    held: list[tuple[Any, tuple[float, int]]] = []
    for pause, percent, step in script:
        clock.now += pause
        weight = max(1, percent * limit // 100)
        if step == "wait and send":  # to the moment: there, a mistake shows
            clock.now += limiter.get_status()["rule"]["resets_in"]
        if step.endswith("send"):
            permit = limiter._permit_at_once(("", "", weight, 1, ""))
            if permit is not None:
                held.append((permit, ledger.add(clock.now, weight)))
        elif held:
            permit, grant = held.pop(-1 if step == "give back" else len(held) // 2)
            permit.give_back()
            permit.give_back()
            ledger.grants.remove(grant)
        status = limiter.get_status()["rule"]
        assert -1e-6 <= status["current"] <= limit
    return ledger


class TestProperties:
    """Whatever is asked for, given back and waited for."""

    @given(limits, steps)
    @settings(max_examples=80)
    def test_a_sliding_window_is_never_over_its_limit(self, limit: int, script: list[tuple[float, int, str]]) -> None:
        """Wherever the window begins."""
        ledger = play(RateLimitType.SLIDING_WINDOW, limit, script)
        assert ledger.most_in_any_window(10.0) <= limit

    @given(limits, steps)
    @settings(max_examples=80)
    def test_an_aligned_window_is_never_over_its_limit(self, limit: int, script: list[tuple[float, int, str]]) -> None:
        """As the wall clock cuts the time into windows; and two of them together are never over two limits."""
        ledger = play(FIXED, limit, script, aligned=True)
        assert ledger.most_in_an_aligned_window(10.0, 3.0) <= limit
        assert ledger.most_in_any_window(10.0) <= 2 * limit

    @given(limits, steps, st.floats(-0.5, 0.5))
    @settings(max_examples=80)
    def test_a_margin_covers_clocks_that_differ(
        self, limit: int, script: list[tuple[float, int, str]], skew: float
    ) -> None:
        """A venue whose minute turns a little earlier or later than ours counts no more than the limit either."""
        ledger = play(FIXED, limit, script, aligned=True, margin=0.501)
        assert ledger.most_in_an_aligned_window(10.0, 3.0 + skew) <= limit

    @given(limits, steps)
    @settings(max_examples=80)
    def test_a_bucket_gives_no_more_than_it_holds_and_gets(
        self, limit: int, script: list[tuple[float, int, str]]
    ) -> None:
        """In any stretch of time, however long."""
        ledger = play(BUCKET, limit, script)
        for length in (1.0, 10.0, 35.0):
            assert ledger.most_in_any_window(length) <= limit + length * limit / 10.0 + 1e-6

    @given(limits, steps)
    @settings(max_examples=80)
    def test_the_wait_that_is_announced_suffices_and_is_needed(
        self, limit: int, script: list[tuple[float, int, str]]
    ) -> None:
        """Nothing is granted before, and everything then."""
        clock = FakeClock(100.0)
        limiter = SlidingWindowLimiter(10.0, limit, clock=clock)
        for pause, weight, _ in script:
            clock.now += pause
            wait = limiter.wait_time(weight)
            if wait is None:
                assert weight > limit
                continue
            if wait > 1e-3:
                assert not limiter.acquire(weight)
            clock.now += wait + 1e-9
            assert limiter.acquire(weight)

    @given(st.sampled_from((10, 500)), st.lists(st.tuples(st.floats(0, 3), st.integers(1, 9)), max_size=80), st.data())
    @settings(max_examples=80)
    def test_release_without_a_permit_forgets_nothing_too_early(
        self, limit: int, script: list[tuple[float, int]], data: st.DataObject
    ) -> None:
        """Whichever of the calls that still count was the one that was not sent."""
        clock = FakeClock(0.0)
        limiter = SlidingWindowLimiter(10.0, limit, clock=clock)
        ledger = Ledger()
        for pause, percent in script:
            weight = max(1, percent * limit // 10)
            clock.now += pause
            if not limiter.acquire(weight):
                clock.now += limiter.wait_time(weight) or 0
            else:
                ledger.add(clock.now, weight)
            live = [grant for grant in ledger.grants if grant[0] + 10.0 > clock.now]
            if live and data.draw(st.booleans()):
                unsent = data.draw(st.sampled_from(live))
                limiter.release(unsent[1])
                ledger.grants.remove(unsent)
        assert ledger.most_in_any_window(10.0) <= limit
