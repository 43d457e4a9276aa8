"""How many WebSocket messages per second reach a program, against other libraries in the same run.

The server is a process of its own and sends ready-made 146-byte book tickers as text frames; the client is this
process, on one core. Every client hands each payload to the program, as `str` or as `bytes`, and counts it; a rate
includes connecting and closing. `picows` is written in Cython and runs on asyncio only; it calls a method for each
frame, and that method takes the payload out of the frame, as any use of it has to.

    python benchmarks/receive.py [--frames 300000] [--rounds 3]
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import time
from typing import TYPE_CHECKING, Any

import aiohttp
import anyio
import attrs
import picows
import trio
import trio_websocket
import uvloop
import websockets.asyncio.client
import websockets.trio.client
from _report import Report
from _server import frame_server, ticker_payloads

from bt_api_base.exceptions import WebSocketError
from bt_api_base.websocket import open_websocket

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Client = Callable[[str], Awaitable[int]]


async def ours_str(url: str) -> int:
    """Take batches of `str`, all of it checked to be UTF-8."""
    received = 0
    async with open_websocket(url) as ws:
        async for batch in ws.batches():
            received += len(batch)
    return received


async def ours_bytes(url: str) -> int:
    """Take batches of `bytes`, as decoders do."""
    received = 0
    async with open_websocket(url) as ws:
        async for batch in ws.batches(decode=False):
            received += len(batch)
    return received


async def ours_one_by_one(url: str) -> int:
    """Await each message."""
    received = 0
    async with open_websocket(url) as ws:
        try:
            while True:
                await ws.receive()
                received += 1
        except WebSocketError:
            return received


class _TextCounter(picows.WSListener):  # type: ignore[misc]
    """Takes each payload as `str`."""

    received = 0
    last: object = None

    def on_ws_frame(self, transport: Any, frame: Any) -> None:
        if frame.msg_type == picows.WSMsgType.TEXT:
            self.last = frame.get_payload_as_utf8_text()
            self.received += 1
        else:
            transport.disconnect()


class _BytesCounter(picows.WSListener):  # type: ignore[misc]
    """Takes each payload as `bytes`."""

    received = 0
    last: object = None

    def on_ws_frame(self, transport: Any, frame: Any) -> None:
        if frame.msg_type == picows.WSMsgType.TEXT:
            self.last = frame.get_payload_as_bytes()
            self.received += 1
        else:
            transport.disconnect()


async def picows_str(url: str) -> int:
    """Run picows, with `str`."""
    transport, counter = await picows.ws_connect(_TextCounter, url)
    await transport.wait_disconnected()
    return int(counter.received)


async def picows_bytes(url: str) -> int:
    """Run picows, with `bytes`."""
    transport, counter = await picows.ws_connect(_BytesCounter, url)
    await transport.wait_disconnected()
    return int(counter.received)


async def websockets_asyncio(url: str) -> int:
    """Run websockets' asyncio client."""
    received = 0
    async with websockets.asyncio.client.connect(url, compression=None) as ws:
        async for _ in ws:
            received += 1
    return received


async def websockets_trio(url: str) -> int:
    """Run websockets' trio client."""
    received = 0
    async with websockets.trio.client.connect(url, compression=None) as ws:
        async for _ in ws:
            received += 1
    return received


async def aiohttp_client(url: str) -> int:
    """Run aiohttp's client."""
    received = 0
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as ws:
        async for message in ws:
            received += message.type is aiohttp.WSMsgType.TEXT
    return received


async def trio_websocket_client(url: str) -> int:
    """Run trio-websocket."""
    received = 0
    async with trio_websocket.open_websocket_url(url) as ws:
        try:
            while True:
                await ws.get_message()
                received += 1
        except trio_websocket.ConnectionClosed:
            return received


@attrs.frozen
class Row:
    """A client in the table.

    Attributes:
        name: What it is called there.
        client: It receives all that a URL has to give, and returns how many messages that was.
        share: Of the frames, how many it gets: slow ones need fewer for a steady rate.
        target: How many times as fast as the table's first row it should be.
    """

    name: str
    client: Client
    share: float = 1.0
    target: float | None = None


# For each event loop, first the row that the others are compared with.
TABLES: dict[str, list[Row]] = {
    "asyncio": [
        Row("picows, bytes", picows_bytes),
        Row("picows, str", picows_str),
        Row("bt_api_base, bytes", ours_bytes, target=0.7),
        Row("bt_api_base, str", ours_str, target=0.7),
        Row("bt_api_base, one by one", ours_one_by_one, 0.5),
        Row("aiohttp", aiohttp_client, 0.4),
        Row("websockets", websockets_asyncio, 0.1),
    ],
    "uvloop": [
        Row("picows, bytes", picows_bytes),
        Row("picows, str", picows_str),
        Row("bt_api_base, bytes", ours_bytes),
        Row("bt_api_base, str", ours_str),
        Row("bt_api_base, one by one", ours_one_by_one, 0.5),
    ],
    "trio": [
        Row("trio-websocket", trio_websocket_client, 0.05),
        Row("websockets", websockets_trio, 0.05),
        Row("bt_api_base, bytes", ours_bytes, target=20),
        Row("bt_api_base, str", ours_str, target=20),
        Row("bt_api_base, one by one", ours_one_by_one, 0.5),
    ],
}


def run(loop: str, client: Client, url: str) -> int:
    """Run a client on an event loop of its own."""
    if loop == "trio":
        return trio.run(client, url)
    factory = uvloop.new_event_loop if loop == "uvloop" else asyncio.SelectorEventLoop
    return anyio.run(client, url, backend="asyncio", backend_options={"loop_factory": factory})


def main() -> None:
    """Measure every client and print a table for each event loop."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=300_000, help="frames for the fast clients, per round")
    parser.add_argument("--rounds", type=int, default=3, help="rounds; the best of each client counts")
    parser.add_argument("--loop", choices=tuple(TABLES), help="this event loop only")
    arguments = parser.parse_args()
    best: dict[tuple[str, str], float] = {}
    loops = [arguments.loop] if arguments.loop else list(TABLES)
    with frame_server(ticker_payloads()) as server:
        # Round by round through all clients, so that a busy moment of the machine does not hit one of them alone.
        for _ in range(arguments.rounds):
            for loop in loops:
                for row in TABLES[loop]:
                    count = int(arguments.frames * row.share)
                    gc.collect()
                    started = time.perf_counter()
                    received = run(loop, row.client, server.url(count))
                    rate = received / (time.perf_counter() - started)
                    if received != count:
                        raise SystemExit(f"{row.name} on {loop} received {received} of {count} frames")
                    best[loop, row.name] = max(rate, best.get((loop, row.name), 0.0))
    for loop in loops:
        report = Report(f"receive, 146-byte text frames, {loop}")
        baseline = best[loop, TABLES[loop][0].name]
        for row in TABLES[loop]:
            report.row(row.name, best[loop, row.name], baseline=baseline, target=row.target)
        report.show()


if __name__ == "__main__":
    main()
