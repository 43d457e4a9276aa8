"""What a signed call costs, against bare httpx in the same run.

The server is a process of its own, which answers each request with the same order; the client is this process, on one
core. All of them sign with the same `httpx.Auth` and decode into the same type. "bare httpx" is an
`httpx.AsyncClient` with httpx's own connections; "over our connections" is the same with those of a transport policy,
which `HttpClient` has too. `HttpClient` also keeps a deadline, counts, asks its rate limiter, translates errors and
knows what it has sent.

A row's ratio is the median of the rounds, each of which goes through all rows.

    python benchmarks/rest.py [--calls 300] [--rounds 9] [--loop asyncio]
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import socket
import statistics
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Iterator

ORDER = (
    b'{"symbol":"BTCUSDT","orderId":28457,"orderListId":-1,"clientOrderId":"6gCrw2kRUAF9CvJDGP16IP",'
    b'"price":"61837.10000000","origQty":"0.01000000","executedQty":"0.01000000","cummulativeQuoteQty":"618.37100000",'
    b'"status":"FILLED","timeInForce":"GTC","type":"LIMIT","side":"SELL","stopPrice":"0.00000000",'
    b'"icebergQty":"0.00000000","time":1507725176595,"updateTime":1507725176595,"isWorking":true,'
    b'"workingTime":1507725176595,"origQuoteOrderQty":"0.00000000","selfTradePreventionMode":"NONE"}'
)
ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json;charset=UTF-8\r\nX-MBX-USED-WEIGHT-1M: 4\r\n"
    b"Content-Length: %d\r\n\r\n" % len(ORDER)
) + ORDER
SECRET = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
PARAMETERS = {"symbol": "BTCUSDT", "origClientOrderId": "6gCrw2kRUAF9CvJDGP16IP", "recvWindow": 5000}


@contextmanager
def order_server() -> Iterator[str]:
    """Start a server in a process of its own, and yield its URL."""
    process = subprocess.Popen([sys.executable, __file__, "--serve"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process, process.stdout:
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


def serve() -> None:
    """Answer whatever is asked, each connection in a thread."""
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)

    def answer(connection: socket.socket) -> None:
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            buffer = b""
            while data := connection.recv(1 << 16):
                buffer += data
                asked = buffer.count(b"\r\n\r\n")
                if asked:
                    buffer = buffer.rpartition(b"\r\n\r\n")[2]
                    connection.sendall(ANSWER * asked)

    while True:
        threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()


def clients(url: str) -> dict[str, Callable[[int], Awaitable[float]]]:
    """Return what is measured: each takes how many calls to make, and returns seconds."""
    import httpx
    import msgspec

    from bt_api_base.feeds.endpoint import Endpoint, Security
    from bt_api_base.feeds.http_client import HttpClient
    from bt_api_base.rate_limiter import RateLimiter, RateLimitRule, RateLimitType
    from bt_api_base.security.signing import hmac_hex
    from bt_api_base.transport import httpx_transport

    class Order(msgspec.Struct):
        symbol: str
        orderId: int  # noqa: N815 - the venue's name
        price: Decimal
        executedQty: Decimal  # noqa: N815 - the venue's name
        status: str

    class Signer(httpx.Auth):
        def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
            query = f"{request.url.query.decode()}&timestamp={time.time_ns() // 1_000_000}"
            signature = hmac_hex(SECRET, query)
            request.url = request.url.copy_with(query=f"{query}&signature={signature}".encode())
            request.headers["X-MBX-APIKEY"] = "key"
            yield request

    decode = msgspec.json.Decoder(Order).decode
    query_order = Endpoint(method="GET", path="/api/v3/order", result=Order, weight=4, security=Security.SIGNED)

    async def bare(count: int, transport: httpx.AsyncBaseTransport | None) -> float:
        async with httpx.AsyncClient(base_url=url, auth=Signer(), transport=transport) as client:
            decode((await client.get("/api/v3/order", params=PARAMETERS)).content)
            started = time.perf_counter()
            for _ in range(count):
                response = await client.get("/api/v3/order", params=PARAMETERS)
                response.raise_for_status()
                decode(response.content)
            return time.perf_counter() - started

    async def ours(count: int) -> float:
        limiter = RateLimiter(
            [RateLimitRule(name="weight", type=RateLimitType.FIXED_WINDOW, limit=10_000_000, interval=60)]
        )
        async with HttpClient("BINANCE___SPOT", base_url=url, auth=Signer(), limiter=limiter) as client:
            await client.call(query_order, PARAMETERS)
            started = time.perf_counter()
            for _ in range(count):
                await client.call(query_order, PARAMETERS)
            return time.perf_counter() - started

    return {
        "bare httpx": lambda count: bare(count, None),
        "bare httpx over our connections": lambda count: bare(count, httpx_transport()),
        "HttpClient.call": ours,
    }


def loop_options(loop: str) -> dict[str, Any]:
    """Return what `anyio.run` is to be given for an event loop."""
    if loop == "trio":
        return {"backend": "trio"}
    import uvloop

    factory = uvloop.new_event_loop if loop == "uvloop" else asyncio.SelectorEventLoop
    return {"backend": "asyncio", "backend_options": {"loop_factory": factory}}


def main() -> None:
    """Measure every client and print a table for each event loop."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--calls", type=int, default=300, help="calls of each client, per round")
    parser.add_argument("--rounds", type=int, default=9, help="rounds")
    parser.add_argument("--loop", choices=("asyncio", "uvloop", "trio"), help="this event loop only")
    arguments = parser.parse_args()
    if arguments.serve:
        serve()
    import anyio
    from _report import Report

    seconds: dict[tuple[str, str], list[float]] = {}
    loops = [arguments.loop] if arguments.loop else ["asyncio", "uvloop", "trio"]
    with order_server() as url:
        measured = clients(url)
        for _ in range(arguments.rounds):
            for loop in loops:
                for name, client in measured.items():
                    gc.collect()
                    took = anyio.run(client, arguments.calls, **loop_options(loop))
                    seconds.setdefault((loop, name), []).append(took)
    for loop in loops:
        report = Report(f"a signed call, answered with an order, {loop}")
        baseline = seconds[loop, "bare httpx"]
        middle = arguments.calls / statistics.median(baseline)
        for name in measured:
            ratio = statistics.median(bare / own for bare, own in zip(baseline, seconds[loop, name], strict=True))
            report.row(name, middle * ratio, baseline=middle, target=1 / 1.15 if name == "HttpClient.call" else None)
        report.show()


if __name__ == "__main__":
    main()
