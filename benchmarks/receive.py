"""How many WebSocket messages per second reach a program, against other libraries in the same run.

The server is a process of its own and sends ready-made 146-byte book tickers as text frames; the client is this
process, on one core. Every client hands each payload to the program as the same type (`str` or `bytes`) and counts it.

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
import picows
import trio
import trio_websocket
import uvloop
import websockets.asyncio.client
import websockets.trio.client
from _server import frame_server, ticker_payloads

from bt_api_base.websocket import open_websocket

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Client = Callable[[str], Awaitable[int]]


async def ours_str(url: str) -> int:
    received = 0
    async with open_websocket(url) as ws:
        async for batch in ws.batches():
            received += len(batch)
    return received


async def ours_bytes(url: str) -> int:
    received = 0
    async with open_websocket(url) as ws:
        async for batch in ws.batches(decode=False):
            received += len(batch)
    return received


async def ours_one_by_one(url: str) -> int:
    received = 0
    async with open_websocket(url) as ws:
        try:
            while True:
                await ws.receive()
                received += 1
        except Exception:  # noqa: BLE001  # the end; the count tells whether it was the right one
            return received


class _Counter(picows.WSListener):  # type: ignore[misc]
    def __init__(self) -> None:
        self.received = 0
        self.last: object = None

    def on_ws_frame(self, transport: Any, frame: Any) -> None:
        if frame.msg_type == picows.WSMsgType.CLOSE:
            transport.send_close(picows.WSCloseCode.OK)
            transport.disconnect()
        else:
            self.last = self.payload(frame)
            self.received += 1

    def payload(self, frame: Any) -> object:
        raise NotImplementedError


class _TextCounter(_Counter):
    def on_ws_frame(self, transport: Any, frame: Any) -> None:
        if frame.msg_type == picows.WSMsgType.TEXT:
            self.last = frame.get_payload_as_utf8_text()
            self.received += 1
        else:
            transport.disconnect()


class _BytesCounter(_Counter):
    def on_ws_frame(self, transport: Any, frame: Any) -> None:
        if frame.msg_type == picows.WSMsgType.TEXT:
            self.last = frame.get_payload_as_bytes()
            self.received += 1
        else:
            transport.disconnect()


async def picows_str(url: str) -> int:
    transport, counter = await picows.ws_connect(_TextCounter, url)
    await transport.wait_disconnected()
    return int(counter.received)


async def picows_bytes(url: str) -> int:
    transport, counter = await picows.ws_connect(_BytesCounter, url)
    await transport.wait_disconnected()
    return int(counter.received)


async def websockets_asyncio(url: str) -> int:
    received = 0
    async with websockets.asyncio.client.connect(url, compression=None) as ws:
        async for _ in ws:
            received += 1
    return received


async def websockets_trio(url: str) -> int:
    received = 0
    async with websockets.trio.client.connect(url, compression=None) as ws:
        async for _ in ws:
            received += 1
    return received


async def aiohttp_client(url: str) -> int:
    received = 0
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as ws:
        async for message in ws:
            received += message.type is aiohttp.WSMsgType.TEXT
    return received


async def trio_websocket_client(url: str) -> int:
    received = 0
    async with trio_websocket.open_websocket_url(url) as ws:
        try:
            while True:
                await ws.get_message()
                received += 1
        except trio_websocket.ConnectionClosed:
            return received


# Name, event loop, client, and the share of the frames that it is given: the slow ones need fewer for a steady figure.
CLIENTS: list[tuple[str, str, Client, float]] = [
    ("picows, bytes", "asyncio", picows_bytes, 1.0),
    ("picows, str", "asyncio", picows_str, 1.0),
    ("bt_api_base, bytes", "asyncio", ours_bytes, 1.0),
    ("bt_api_base, str", "asyncio", ours_str, 1.0),
    ("bt_api_base, receive()", "asyncio", ours_one_by_one, 0.5),
    ("aiohttp", "asyncio", aiohttp_client, 0.4),
    ("websockets", "asyncio", websockets_asyncio, 0.1),
    ("picows, bytes", "uvloop", picows_bytes, 1.0),
    ("picows, str", "uvloop", picows_str, 1.0),
    ("bt_api_base, bytes", "uvloop", ours_bytes, 1.0),
    ("bt_api_base, str", "uvloop", ours_str, 1.0),
    ("trio-websocket", "trio", trio_websocket_client, 0.05),
    ("websockets", "trio", websockets_trio, 0.05),
    ("bt_api_base, bytes", "trio", ours_bytes, 1.0),
    ("bt_api_base, str", "trio", ours_str, 1.0),
    ("bt_api_base, receive()", "trio", ours_one_by_one, 0.5),
]

BASELINES = {"asyncio": "picows, bytes", "uvloop": "picows, bytes", "trio": "trio-websocket"}


def run(loop: str, client: Client, url: str) -> int:
    """Run a client on an event loop."""
    if loop == "trio":
        return trio.run(client, url)
    factory = uvloop.new_event_loop if loop == "uvloop" else asyncio.SelectorEventLoop
    return anyio.run(client, url, backend="asyncio", backend_options={"loop_factory": factory})


def main() -> None:
    """Measure every client and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=300_000, help="frames for the fast clients, per round")
    parser.add_argument("--rounds", type=int, default=3, help="rounds; the best of each client counts")
    parser.add_argument("--only", default="", help="clients whose name or loop contains this")
    arguments = parser.parse_args()
    clients = [client for client in CLIENTS if arguments.only in f"{client[0]} {client[1]}"]
    best: dict[tuple[str, str], float] = {}
    with frame_server(ticker_payloads()) as server:
        for _ in range(arguments.rounds):
            for name, loop, client, share in clients:
                count = int(arguments.frames * share)
                gc.collect()
                started = time.perf_counter()
                received = run(loop, client, server.url(count))
                rate = received / (time.perf_counter() - started)
                if received != count:
                    raise SystemExit(f"{name} on {loop} received {received} of {count} frames")
                best[name, loop] = max(rate, best.get((name, loop), 0.0))
    for (name, loop), rate in best.items():
        baseline = best.get((BASELINES[loop], loop), float("nan"))
        print(f"{loop:8} {name:24} {rate / 1e6:7.3f} M/s {rate / baseline:7.2f} x {BASELINES[loop]}")


if __name__ == "__main__":
    main()
