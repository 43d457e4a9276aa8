"""Delays before reconnecting, and the pace of outgoing messages."""

from __future__ import annotations

import random
from itertools import islice

import anyio
import pytest
from hypothesis import given, strategies as st

from bt_api_base.websocket.backoff import Pacer, reconnect_delays


def test_the_first_attempt_is_made_at_once() -> None:
    """A connection that was healthy is replaced without delay."""
    assert 0.0 == next(reconnect_delays(5.0, 60.0))


def test_the_bound_doubles_up_to_the_cap() -> None:
    """With the largest possible jitter the delays are the bounds themselves."""
    delays = reconnect_delays(5.0, 30.0, random=lambda: 1.0)
    assert [0.0, 5.0, 10.0, 20.0, 30.0, 30.0] == list(islice(delays, 6))


@given(seed=st.integers(), interval=st.floats(0.01, 100), cap=st.floats(0.01, 1000))
def test_every_delay_is_jittered_also_at_the_cap(seed: int, interval: float, cap: float) -> None:
    """No delay exceeds the cap, and clients do not meet at it."""
    delays = list(islice(reconnect_delays(interval, cap, random=random.Random(seed).random), 1, 60))
    assert all(0.0 <= delay <= cap for delay in delays)
    assert len(delays) == len(set(delays))


@pytest.mark.anyio
@pytest.mark.virtual_time
@pytest.mark.parametrize(("limit", "window", "messages"), [(5, 1.0, 23), (1, 1.0, 4), (1, 2.0, 3), (300, 300.0, 301)])
async def test_no_window_carries_more_than_the_limit(limit: int, window: float, messages: int) -> None:
    """A burst goes out at once, and what exceeds the limit waits as long as was estimated."""
    pacer = Pacer(limit, window)
    started, estimate = anyio.current_time(), pacer.estimate(messages)
    sent = []
    for _ in range(messages):
        await pacer.wait()
        sent.append(anyio.current_time())
    assert sent[0] == sent[limit - 1]
    assert all(later - earlier >= window - 1e-9 for earlier, later in zip(sent, sent[limit:], strict=False))
    assert pytest.approx(estimate) == sent[-1] - started


@pytest.mark.anyio
@pytest.mark.virtual_time
async def test_a_cancelled_wait_is_not_counted() -> None:
    """Who gives up waiting leaves the slot to the next."""
    pacer = Pacer(1)
    await pacer.wait()
    started = anyio.current_time()
    with anyio.move_on_after(0.5):
        await pacer.wait()
    await pacer.wait()
    assert pytest.approx(1.0) == anyio.current_time() - started
