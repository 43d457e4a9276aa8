"""The test ground itself: virtual time, leak assertions, the cancellation sweep and in-memory streams."""

from __future__ import annotations

import anyio
import pytest

pytestmark = pytest.mark.anyio


@pytest.mark.virtual_time
async def test_an_hour_of_virtual_sleep_is_instant() -> None:
    """Sleeping an hour takes no time and moves the clock by exactly an hour."""
    start = anyio.current_time()
    await anyio.sleep(3600.0)
    assert 3600.0 == anyio.current_time() - start
