"""How late events are: percentiles in little memory, and what is measured of a subscription."""

from __future__ import annotations

import math
import statistics
import sys
import time
from typing import Any

import anyio
import pytest
from hypothesis import given, settings, strategies as st

from bt_api_base.containers import Gap, GapReason, Instrument, Tick
from bt_api_base.containers.enums import AssetType
from bt_api_base.event_stream import EventStream
from bt_api_base.websocket.lag import LagMeter, LagPercentiles, SubscriptionLag

MICROSECOND, SECOND, HOUR = 1_000, 1_000_000_000, 3_600_000_000_000

DURATIONS = st.lists(st.integers(0, 40 * 8).map(lambda eighth: int(1.9**eighth)), min_size=1, max_size=200)
"""From a nanosecond to beyond any range, spread over the orders of magnitude."""

IN_RANGE = st.lists(
    st.floats(math.log(MICROSECOND), math.log(HOUR)).map(lambda power: int(math.exp(power))), min_size=1, max_size=200
)


def meter_of(durations: list[int]) -> LagMeter:
    """A meter that has recorded these, in nanoseconds."""
    meter = LagMeter()
    for duration in durations:
        meter.record(duration)
    return meter


def state(meter: LagMeter) -> tuple[Any, ...]:
    """All that can be asked of a meter."""
    return meter.snapshot(), meter.negative, *(meter.percentile(q) for q in range(0, 101, 5))


class TestMeter:
    """Durations in buckets that grow."""

    @settings(max_examples=200, deadline=None)
    @given(durations=IN_RANGE, q=st.floats(0, 100))
    def test_percentiles_are_within_five_percent(self, durations: list[int], q: float) -> None:
        """Between a microsecond and an hour, each percentile is that of the sorted list, or nearly."""
        truth = sorted(durations)[max(0, math.ceil(len(durations) * q / 100) - 1)]
        found = meter_of(durations).percentile(q)
        assert found is not None
        assert found * SECOND == pytest.approx(truth, rel=0.05)

    @settings(deadline=None)
    @given(durations=DURATIONS)
    def test_percentiles_are_in_order_and_between_the_extremes(self, durations: list[int]) -> None:
        """Whatever was recorded, beyond the range as well: no percentile is less than a lower one, none is made up."""
        meter = meter_of(durations)
        found = [meter.percentile(q) or 0.0 for q in range(101)]
        assert sorted(found) == found
        assert (min(durations) / SECOND, max(durations) / SECOND) == (found[0], found[-1])

    def test_a_snapshot_is_in_seconds(self) -> None:
        """A thousand durations of 1 to 1,000 ms."""
        snapshot = meter_of([milliseconds * 1_000_000 for milliseconds in range(1, 1_001)]).snapshot()
        assert snapshot is not None
        assert (1_000, 1.0, 0) == (snapshot.count, snapshot.max, snapshot.negative)
        assert pytest.approx((0.5, 0.9, 0.99), rel=0.05) == (snapshot.p50, snapshot.p90, snapshot.p99)

    def test_nothing_recorded_is_none_and_not_zero(self) -> None:
        """Nobody takes an idle subscription for a quick one."""
        assert (None, None) == (LagMeter().snapshot(), LagMeter().percentile(99))

    def test_a_negative_duration_is_zero_and_noticed(self) -> None:
        """A clock that is behind does not spoil the percentiles, and shows."""
        meter = meter_of([-5, -7 * SECOND, 0, SECOND])
        assert LagPercentiles(4, 0.0, 1.0, 1.0, 1.0, negative=2) == meter.snapshot()

    def test_beyond_an_hour_it_still_counts(self) -> None:
        """The longest is exact, and what is shorter than a microsecond is next to nothing."""
        meter = meter_of([10, 20, 30, 2 * HOUR, 3 * HOUR])
        assert 3 * 3_600 == meter.percentile(100)
        assert 10e-9 == meter.percentile(50)
        assert 3_600 == meter.percentile(80)

    @pytest.mark.parametrize("q", [-0.1, 100.1, math.nan])
    def test_a_percentile_is_of_a_hundred(self, q: float) -> None:
        """A fraction passes for a low percentile, but nothing outside."""
        with pytest.raises(ValueError, match="between 0 and 100"):
            LagMeter().percentile(q)

    @settings(deadline=None)
    @given(first=DURATIONS | st.just([]), second=DURATIONS | st.just([]))
    def test_adding_is_recording_all_of_it(self, first: list[int], second: list[int]) -> None:
        """Two connections' lag makes an exchange's; the one added is not changed."""
        total, other = meter_of(first), meter_of([*second, -1])
        before = state(other)
        total.add(other)
        assert state(meter_of([*first, *second, -1])) == state(total)
        assert before == state(other)

    def test_resetting_forgets_everything(self) -> None:
        """Afterwards it is as good as new."""
        meter = meter_of([-1, 5, SECOND])
        meter.reset()
        assert state(LagMeter()) == state(meter)
        meter.record(7)
        assert state(meter_of([7])) == state(meter)

    def test_memory_is_small_and_does_not_grow(self) -> None:
        """Less than 2 kB, after a hundred thousand durations as before."""
        meter = LagMeter()
        meter.record(1)
        before = sys.getsizeof(meter._counts)
        for number in range(100_000):
            meter.record(number * 1_000_003)
        assert before == sys.getsizeof(meter._counts)
        assert sys.getsizeof(meter) + before < 2_048


def tick(server_time: int, local_time: int) -> Tick:
    """An event with these times."""
    return Tick("BINANCE___SPOT", "BTC-USDT", server_time, local_time)


def maxima(lag: SubscriptionLag) -> tuple[float | None, float | None]:
    """The longest of both ways, in seconds."""
    return lag.exchange_to_socket.percentile(100), lag.socket_to_delivered.percentile(100)


class TestSubscription:
    """Two ways: from the venue to the socket, and from there to the consumer."""

    def test_measures_both_ways(self) -> None:
        """The venue's time, the socket's and the consumer's."""
        lag = SubscriptionLag(now_ns=lambda: 10 * SECOND)
        lag.sample(tick(4 * SECOND, 7 * SECOND))
        assert (3.0, 3.0) == maxima(lag)
        lag.sample(tick(2 * SECOND, 8 * SECOND))
        assert (6.0, 3.0) == maxima(lag)

    def test_a_venue_that_tells_no_time_is_measured_from_the_socket_on(self) -> None:
        """What is not known is not guessed."""
        lag = SubscriptionLag(now_ns=lambda: 10 * SECOND)
        lag.sample(tick(0, 7 * SECOND))
        assert (None, 3.0) == maxima(lag)

    def test_the_clocks_difference_is_taken_off(self) -> None:
        """A clock that is two seconds ahead makes nothing later; the difference may change, too."""
        lag = SubscriptionLag(clock_offset_ns=2 * SECOND, now_ns=lambda: 10 * SECOND)
        lag.sample(tick(4 * SECOND, 7 * SECOND))
        assert (1.0, 3.0) == maxima(lag)
        offsets = iter([0, -SECOND])
        lag = SubscriptionLag(clock_offset_ns=lambda: next(offsets), now_ns=lambda: 10 * SECOND)
        lag.sample(tick(4 * SECOND, 7 * SECOND))
        assert (3.0, 3.0) == maxima(lag)
        lag.sample(tick(4 * SECOND, 7 * SECOND))
        assert (4.0, 3.0) == maxima(lag)

    def test_a_wrong_clock_shows(self) -> None:
        """Events from the future are counted as such."""
        lag = SubscriptionLag(now_ns=lambda: 10 * SECOND)
        lag.sample(tick(9 * SECOND, 7 * SECOND))
        snapshot = lag.exchange_to_socket.snapshot()
        assert snapshot is not None
        assert (1, 0.0) == (snapshot.negative, snapshot.max)

    def test_what_says_nothing_about_lag_is_left_out(self) -> None:
        """A gap comes from no venue, and what has no times was not received."""
        lag = SubscriptionLag()
        lag.sample(Gap("V", "S", 1, 2, 1, 2, GapReason.OVERFLOW))
        lag.sample(Instrument("BTC-USDT", "V", "BTCUSDT", AssetType.SPOT, "BTC", "USDT"))
        assert (None, None) == maxima(lag)

    def test_two_can_be_added_and_one_reset(self) -> None:
        """An exchange's lag is that of all its subscriptions."""
        first, second = (SubscriptionLag(now_ns=lambda: 10 * SECOND) for _ in range(2))
        first.sample(tick(6 * SECOND, 7 * SECOND))
        second.sample(tick(3 * SECOND, 5 * SECOND))
        first.add(second)
        assert (2.0, 5.0) == maxima(first)
        first.reset()
        assert (None, None) == maxima(first)
        assert (2.0, 5.0) == maxima(second)

    @pytest.mark.anyio
    async def test_a_stream_feeds_it_a_sample_per_burst(self) -> None:
        """Of 1,000 events that wait, a handful are looked at, and each wake-up's first one is."""
        lag = SubscriptionLag()
        stream: EventStream[Any] = EventStream(10_000, sample=lag.sample)
        now = time.time_ns()
        stream.offer_many([tick(now - SECOND, now)] * 1_000)
        for _ in range(1_000):
            await stream.receive()
        count = lag.socket_to_delivered.count
        assert 2 <= count <= 6
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stream.receive_batch)
            for _ in range(8):  # until the consumer waits
                await anyio.lowlevel.checkpoint()
            stream.offer_many([tick(now - SECOND, now)] * 50)
        assert count + 1 == lag.socket_to_delivered.count
        snapshot = lag.exchange_to_socket.snapshot()
        assert snapshot is not None
        assert statistics.fmean([snapshot.p50, snapshot.p99]) == pytest.approx(1.0, rel=0.05)
