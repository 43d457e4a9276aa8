"""The venue of a soak run, as a process of its own: prints its URL, and cuts all connections for each line it reads."""

from __future__ import annotations

import sys

import anyio

from bt_api_base.testing import SimulatedVenue

SYMBOLS = tuple(f"S{number}-USDT" for number in range(10))
"""What it trades."""


async def main(rate: float) -> None:
    """Serve until there is nothing more to read."""
    async with SimulatedVenue(SYMBOLS, rate=rate, max_connects=None, max_messages_per_second=None) as venue:
        print(venue.url, flush=True)
        while await anyio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True):
            await venue.disconnect_all(abort=True)


if __name__ == "__main__":
    anyio.run(main, float(sys.argv[1]))
