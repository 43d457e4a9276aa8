"""What consumers get through any schedule of rotations and faults: everything once and in order, or a gap."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

import anyio
import pytest

from bt_api_base.containers import Gap, GapReason
from bt_api_base.exceptions import WebSocketError
from tests.numbered_venue import NumberedVenue, Recorder, connect, number_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

pytestmark = [pytest.mark.anyio, pytest.mark.virtual_time, pytest.mark.thorough, pytest.mark.timeout(300)]

SCHEDULES = int(os.environ.get("BT_API_SCHEDULES", "200"))
"""Schedules of each kind and loop; set the variable to search for longer."""

AT_ONCE = 100
"""Schedules that run side by side in one event loop: virtual time passes for all of them together."""

TRADE, TICKER, MARK, QUIET = "trade:BTC-USDT", "ticker:BTC-USDT", "mark:BTC-USDT", "trade:QUIET"
KEYS = (TRADE, TICKER, MARK, QUIET)


async def run_all(schedule: Callable[[int], Awaitable[None]], first_seed: int) -> None:
    """Run as many schedules as are asked for; a failure names the seed that repeats it."""

    async def one(seed: int) -> None:
        try:
            await schedule(seed)
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error}") from error

    for start in range(first_seed, first_seed + SCHEDULES, AT_ONCE):
        async with anyio.create_task_group() as tasks:
            for seed in range(start, start + AT_ONCE):
                tasks.start_soon(one, seed)


async def trade_for(venue: NumberedVenue, seconds: float, send: Callable[[str], None] | None = None) -> None:
    """Let the markets move for a while, now and then quickly; one of them hardly at all."""
    end = anyio.current_time() + seconds
    while anyio.current_time() < end:
        await anyio.sleep(venue.random.choice((0.0, 0.01, 0.1, 0.7)))
        for _ in range(venue.random.choice((1, 1, 3))):
            (send or venue.send)(venue.random.choices(KEYS, (10, 10, 10, 1))[0])


def assert_everything_once_in_order(recorder: Recorder, last: int) -> None:
    """Nothing is missing from the first event on, nothing is twice, and no gap is claimed."""
    numbers = recorder.numbers
    assert [] == [item for item in recorder.items if isinstance(item, Gap)]
    if numbers:
        assert list(range(numbers[0], last + 1)) == numbers


async def test_no_schedule_of_rotations_loses_repeats_or_reorders_anything() -> None:
    """Hundreds of schedules: rotations at any moment, connections of any speed, all three kinds of continuity."""

    async def schedule(seed: int) -> None:
        venue = NumberedVenue(random.Random(seed))

        async def rotate_now_and_then() -> None:
            for _ in range(venue.random.randint(1, 4)):
                await anyio.sleep(venue.random.uniform(0.0, 3.0))
                await connection.rotate()

        async with connect(venue, KEYS, rotation_overlap=venue.random.choice((0.5, 1.0))) as (connection, recorders):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(rotate_now_and_then)
                await trade_for(venue, 6.0)
            await anyio.sleep(1.0)
            assert len(venue.lines) == 1, f"{len(venue.lines)} connections are open"
            for key, recorder in recorders.items():
                assert_everything_once_in_order(recorder, venue.numbers[key])
            stats = connection.get_stats()
            assert (0, 0) == (stats.reconnects, stats.gaps)

    await run_all(schedule, 1)


def assert_gaps_where_something_is_missing(recorder: Recorder, last: int) -> None:
    """The numbers go up by one, or there is exactly one gap, which names what is missing."""
    before: int | None = None
    gap: Gap | None = None
    for item in recorder.items:
        if isinstance(item, Gap):
            assert gap is None or before is None, f"two gaps in a row: {gap}, {item}"
            gap = item
            continue
        number = number_of(item)
        if before is None:
            assert gap is None or gap.reason is GapReason.DISCONNECTED
        elif number == before + 1:
            assert gap is None, f"{gap}, but {number} follows {before}"
        else:
            assert number > before, f"{number} came after {before}"
            assert gap is not None, f"{number} follows {before} without a gap"
            missing = (before + 1, number - 1, number - before - 1)
            assert missing == (gap.first_missing, gap.last_missing, gap.missing)
        before, gap = number, None
    assert gap is None or before is None
    if before is not None:
        assert last == before


def assert_gaps_where_something_may_be_missing(recorder: Recorder, last: int, interruptions: int) -> None:
    """The numbers go up; where one is missing there is a gap, and there are no more gaps than interruptions."""
    before: int | None = None
    gaps, gap = 0, False
    until = 0
    for item in recorder.items:
        if isinstance(item, Gap):
            assert item.since >= until, "gaps overlap"
            gaps, gap, until = gaps + 1, True, item.until
            continue
        number = number_of(item)
        if before is not None:
            assert number > before, f"{number} came after {before}"
            assert number == before + 1 or gap, f"{number} follows {before} without a gap"
        before, gap = number, False
    assert gaps <= interruptions
    if before is not None:
        assert last == before


async def test_through_any_schedule_of_faults_there_is_a_gap_exactly_where_something_is_missing() -> None:  # noqa: C901 - a schedule is told in one piece
    """Hundreds of schedules: cuts, refusals, lost answers, lost, repeated and swapped frames, and rotations."""

    async def schedule(seed: int) -> None:  # noqa: C901
        venue = NumberedVenue(random.Random(seed))
        held_back: list[bytes] = []

        def send(key: str) -> None:
            """Send to all, but lose, repeat or swap trades on each connection by itself."""
            if key != TRADE:
                venue.send(key)
                return
            message = venue.next_message(key)
            for line in venue.lines:
                if key in line.subscribed:
                    kind = venue.random.choices(("well", "lost", "twice", "swapped"), (20, 1, 1, 1))[0]
                    if kind == "lost":
                        continue
                    line.put(message)
                    if kind == "twice":
                        line.put(message)
                    elif kind == "swapped" and held_back:
                        line.put(held_back[-1])
            held_back.append(message)

        async def break_things() -> None:
            for _ in range(venue.random.randint(1, 5)):
                await anyio.sleep(venue.random.uniform(0.0, 3.0))
                kind = venue.random.choice(("cut", "cut", "refuse", "rotate", "lost answers"))
                if kind == "rotate":
                    connection.request_rotation("test")
                elif kind == "lost answers":
                    venue.lost_answers = 0.3
                else:
                    venue.cut()
                    venue.refusing = kind == "refuse"
                    await anyio.sleep(venue.random.uniform(0.0, 2.0))
                    venue.refusing = False

        async with connect(venue, KEYS, rotation_overlap=0.5, subscribe_timeout=2.0) as (connection, recorders):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(break_things)
                await trade_for(venue, 12.0, send)
            venue.lost_answers = 0.0
            await anyio.sleep(30.0)
            for key in KEYS:
                venue.send(key)
            await anyio.sleep(1.0)
            for key, recorder in recorders.items():
                assert recorder.error is None, recorder.error
                if key in (TRADE, QUIET):
                    assert_gaps_where_something_is_missing(recorder, venue.numbers[key])
                else:
                    interruptions = connection.get_stats().generation
                    assert_gaps_where_something_may_be_missing(recorder, venue.numbers[key], interruptions)

    await run_all(schedule, 100_000)


async def test_a_rotation_without_a_connection_says_so() -> None:
    """There is nothing to replace."""
    venue = NumberedVenue(random.Random(1))
    async with connect(venue, [TRADE]) as (connection, _):
        venue.refusing = True
        venue.cut()
        await anyio.sleep(1.0)
        with pytest.raises(WebSocketError, match="nothing to rotate"):
            await connection.rotate()
