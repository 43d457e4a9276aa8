"""Random scripts of a trader's calls and of what can go wrong, against simulated venues in virtual time.

Everything follows from a seed: what is asked for and when, what goes wrong, what the markets do, and in which order the
event loop runs its tasks. A seed that fails is run again, with a report, by

    python -m tests.order_scripts SEED [asyncio|trio]

A script has a feed over a venue in memory, and mostly the account's events over a WebSocket in memory as well. In the
end, when nothing goes wrong any more, client and venue have to agree: see `Agreement`.
"""

from __future__ import annotations

import random
import sys
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING

import anyio

from bt_api_base.feeds import venue_feed
from bt_api_base.feeds.clock import VenueClock
from bt_api_base.instrument_manager import InstrumentManager
from bt_api_base.rate_limiter import RateLimiter
from bt_api_base.testing.clock import virtual_backend
from bt_api_base.testing.rest_clock import LoopClock
from bt_api_base.websocket_manager import WebSocketConfig, WebSocketManager
from tests.order_script_player import Player
from tests.order_script_text import Script, make_script
from tests.order_script_venues import SkewedClock, at_venue_time, in_memory

if sys.version_info < (3, 11):
    from exceptiongroup import BaseExceptionGroup

if TYPE_CHECKING:
    from collections import Counter

    from bt_api_base.feeds import NativeFeed
    from bt_api_base.feeds.orders_tracker import OrderTracker


async def run_script(script: Script, log: list[str] | None = None) -> Counter[str]:
    """Play a script, and see that client and venue agree in the end; return what happened how often.

    Raises:
        AssertionError: They do not.
    """
    market = script.market
    before = {task.id for task in anyio.get_running_tasks()}
    now_ns = LoopClock()
    now_ns()
    machine = SkewedClock(now_ns)
    limiter = RateLimiter(market.rules, clock=anyio.current_time, wall_clock=lambda: now_ns() / 1e9)
    random.seed(script.seed)  # what the back-offs are drawn from
    async with AsyncExitStack() as stack:
        venue = await stack.enter_async_context(
            market.venue(
                market.symbols, seed=script.seed, listen=False, paused=True, clock_ns=now_ns, max_connects=None
            )
        )
        manager = None
        if script.streams:
            manager = await stack.enter_async_context(WebSocketManager())
            config = WebSocketConfig(
                f"ws://memory.invalid{market.stream_path}", market.exchange_name, credentials=venue.credentials
            )
            assert market.adapter is not None
            await manager.add_exchange(
                config,
                adapter=at_venue_time(market.adapter, now_ns),
                connector=in_memory(venue.connect_in_memory),
            )

        def make_feed(tracker: OrderTracker) -> NativeFeed:
            feed: NativeFeed = venue_feed(
                market.exchange_name,
                venue.credentials,
                rest_url="https://venue.invalid",
                transport=venue.rest_transport(),
                limiter=limiter,
                manager=manager,
                tracker=tracker,
                timeout=script.timeout,
                instruments=InstrumentManager(),
                api_options={"clock": VenueClock(monotonic_ns=machine, wall_ns=machine)},
            )
            return feed

        player = Player(script, venue, make_feed, machine, limiter, log=[] if log is None else log)
        player.be_strict(script.is_strict)
        await player.play()
    left = [task.name for task in anyio.get_running_tasks() if task.id not in before]
    assert not left, f"tasks are left: {left}"
    player.counts.update(placing.outcome for placing in player.placings)
    player.counts["fills"] += len(venue.exchange.fills)
    return player.counts


def play(seed: int, backend: str = "asyncio", log: list[str] | None = None) -> Counter[str]:
    """Play the script of a seed in an event loop of its own.

    Raises:
        AssertionError: Client and venue do not agree in the end; the message names the seed.
    """
    name, options = virtual_backend(backend)  # type: ignore[arg-type]
    if backend == "trio":
        import trio._core._run as trio_run

        trio_run._ALLOW_DETERMINISTIC_SCHEDULING = True  # type: ignore[attr-defined]
        trio_run._r.seed(seed)
    try:
        return anyio.run(partial(run_script, make_script(seed), log), backend=name, backend_options=options)
    except Exception as error:
        cause = error
        while isinstance(cause, BaseExceptionGroup) and len(cause.exceptions) == 1:
            cause = cause.exceptions[0]
        raise AssertionError(f"seed {seed} on {backend}: {cause!r}") from error


def main(arguments: list[str]) -> None:
    """Play a script and print what happens."""
    seed = int(arguments[0])
    backend = arguments[1] if len(arguments) > 1 else "asyncio"
    script = make_script(seed)
    log: list[str] = []
    print(f"{script.market.exchange_name}, streams: {script.streams}, strict: {script.is_strict}")  # noqa: T201
    try:
        print(dict(play(seed, backend, log)))  # noqa: T201
    finally:
        print("\n".join(log))  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1:])
