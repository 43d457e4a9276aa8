"""What a message costs to route when there are 5,000 subscriptions on 5 connections, against a single one.

Frames are handed to the connections' sessions as their readers do, in batches of a socket read; what is measured is
processor time of decoding, routing, and handing over to the bus in queue mode. Sockets are left out, because they cost
the same in both. The memory is what 5,000 subscriptions add to the process, each with a stream of its own.

    python benchmarks/subscriptions.py [--frames 100000] [--rounds 5]
"""

from __future__ import annotations

import argparse
import gc
import time
import tracemalloc
from typing import TYPE_CHECKING, Any

import anyio

from bt_api_base.event_bus import EventBus
from bt_api_base.event_stream import Overflow
from bt_api_base.venues import stream_adapter
from bt_api_base.websocket.channels import ChannelTable
from bt_api_base.websocket.config import WebSocketConfig
from bt_api_base.websocket.pool import ConnectionPool
from bt_api_base.websocket.session import Session, SessionObserver, SessionStats
from bt_api_base.websocket.subscription import Subscription

if TYPE_CHECKING:
    from collections.abc import Sequence

EXCHANGE = "BINANCE___SPOT"
BATCH = 200
"""Frames of a socket read: 64 KiB hold some 400."""

_FRAME = (
    '{{"stream":"{key}","data":{{"u":{number},"s":"{symbol}","b":"25.35190000","B":"31.21000000","a":"25.36520000",'
    '"A":"40.66000000"}}}}'
)


class _NoWebSocket:
    """Stands where the session expects its connection: nothing is sent here."""


def _ignore(*_: Any) -> None:
    """Take a report of a session that has nobody to report to."""


def _symbols(number: int) -> list[str]:
    return [f"A{index:04d}-USDT" for index in range(number)]


def _session(bus: EventBus, symbols: Sequence[str]) -> tuple[Session, list[bytes]]:
    """Return a session with a subscription of the bus to each symbol, and a frame of each."""
    adapter = stream_adapter(EXCHANGE)
    table = ChannelTable(bus, EXCHANGE)
    reports = dict.fromkeys(SessionObserver.__annotations__, _ignore)
    websocket: Any = _NoWebSocket()
    config = WebSocketConfig(adapter.default_url, EXCHANGE)
    session = Session(websocket, config, adapter, table, SessionStats(), SessionObserver(**reports))
    pool = ConnectionPool(config, lambda: stream_adapter(EXCHANGE), bus)
    channels = [adapter.channel("ticker", symbol) for symbol in symbols]
    adapter.subscribe_frame(1, channels)
    for number, channel in enumerate(channels):
        subscription = Subscription(pool, channel, str(number), callback=None, max_buffer_size=0, overflow=None)
        table.add(channel, subscription)
    frames = [
        _FRAME.format(key=channel.key, number=number + 1, symbol=channel.symbol.replace("-", "")).encode()
        for number, channel in enumerate(channels)
    ]
    return session, frames


async def _nanoseconds(connections: int, subscriptions: int, frames: int, rounds: int) -> float:
    """Return the processor time of a message, the best of all rounds."""
    bus = EventBus()
    share = subscriptions // connections
    symbols = _symbols(subscriptions)
    sessions = [_session(bus, symbols[start : start + share]) for start in range(0, subscriptions, share)]
    batches = []
    for session, own in sessions:
        many = own * (frames // connections // len(own) + 1)
        batches.append([(session, many[at : at + BATCH]) for at in range(0, frames // connections, BATCH)])
    turns = [turn for together in zip(*batches, strict=True) for turn in together]
    best = float("inf")
    with bus.open_stream("tick.*", max_buffer_size=2 * frames, overflow=Overflow.BLOCK) as ticks:
        for _ in range(rounds):
            gc.collect()
            started = time.process_time_ns()
            for session, batch in turns:
                session.route(batch, 1)
            taken = time.process_time_ns() - started
            received = len(await ticks.receive_batch())
            best = min(best, taken / received)
    return best


def _bytes_each(number: int) -> float:
    """Return the memory that a subscription with a stream of its own takes."""
    bus = EventBus()
    adapter = stream_adapter(EXCHANGE)
    pool = ConnectionPool(WebSocketConfig(adapter.default_url, EXCHANGE), lambda: stream_adapter(EXCHANGE), bus)
    channels = [adapter.channel("ticker", symbol) for symbol in _symbols(number)]
    table = ChannelTable(bus, EXCHANGE)
    gc.collect()
    tracemalloc.start()
    kept = [
        Subscription(pool, channel, channel.key, callback=None, max_buffer_size=1_000, overflow=None)
        for channel in channels
    ]
    for channel, subscription in zip(channels, kept, strict=True):
        table.add(channel, subscription)
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return size / number


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    one = anyio.run(_nanoseconds, 1, 1, options.frames, options.rounds)
    many = anyio.run(_nanoseconds, 5, 5_000, options.frames, options.rounds)
    print(f"one subscription on one connection: {one:,.0f} ns of processor time a message")
    print(f"5,000 subscriptions on 5 connections: {many:,.0f} ns, {many / one:.2f} x")
    print(f"memory of a subscription: {_bytes_each(5_000):,.0f} bytes")


if __name__ == "__main__":
    main()
