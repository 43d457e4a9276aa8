"""Orders over HTTP: sent once, and never lost sight of, wherever the call is cut, cancelled or late."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import httpx
import msgspec
import pytest
import trustme

from bt_api_base.exceptions import (
    InvalidOrderError,
    NetworkError,
    OrderUnknownError,
    RateLimitError,
    RequestTimeoutError,
    TimestampError,
    is_retryable,
)
from bt_api_base.feeds.clock import VenueClock
from bt_api_base.feeds.endpoint import Endpoint, Security
from bt_api_base.feeds.error_table import ErrorKind, ErrorTable
from bt_api_base.feeds.http_call import CallInfo
from bt_api_base.feeds.http_client import HttpClient
from bt_api_base.rate_limiter import RateLimiter, RateLimitRule, RateLimitType
from bt_api_base.testing import FaultyProxy, assert_no_leaks, sweep_cancellation
from bt_api_base.testing.proxy_faults import Direction
from bt_api_base.transport import TransportPolicy, httpx_transport
from tests.http_server import HttpServer, Reply, run_http_server
from tests.test_transport import client_context, server_context

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator

pytestmark = pytest.mark.anyio


class Placed(msgspec.Struct):
    """An order as the server confirms it."""

    id: int


class Signer(httpx.Auth):
    """Signs with the number of requests it has signed, to be told apart."""

    def __init__(self) -> None:
        self.signed = 0

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Sign what is to be signed."""
        if CallInfo.of(request).security is Security.SIGNED:
            self.signed += 1
            request.headers["signed"] = str(self.signed)
        yield request


PLACE = Endpoint[Placed](method="POST", path="/order", result=Placed, security=Security.SIGNED, changes_order=True)
QUERY = Endpoint[Placed](method="GET", path="/order", result=Placed, security=Security.SIGNED)
ERRORS = ErrorTable(
    {
        "-1021": ErrorKind.TIMESTAMP,
        "-1003": ErrorKind.RATE_LIMIT,
        "-1007": ErrorKind.FATE_UNKNOWN,
        "-1013": ErrorKind.ORDER,
    }
)
PLACED = Reply(b'{"id": 7}')


def new_limiter() -> RateLimiter:
    """Return a limiter of 1,000 requests an hour."""
    return RateLimiter([RateLimitRule("all", RateLimitType.SLIDING_WINDOW, 3600, 1000)])


def used(limiter: RateLimiter) -> int:
    """Return how many of them were used."""
    return int(limiter.get_status()["all"]["current"])


class Desk:
    """A client that notes which orders it does not know the fate of."""

    def __init__(self, url: str, **options: Any) -> None:
        self.unknown: list[str] = []
        self.limiter = new_limiter()
        options = {"errors": ERRORS, "auth": Signer(), "limiter": self.limiter, "timeout": 2.0} | options
        self.client = HttpClient("VENUE", base_url=url, on_unknown=self.note, **options)

    def note(self, info: CallInfo) -> None:
        """Note an order."""
        self.unknown.append(info.client_order_id)

    async def place(self, **options: Any) -> Placed:
        """Place an order."""
        return await self.client.call(PLACE, {"price": "1.5"}, symbol="BTC-USDT", client_order_id="mine", **options)


@asynccontextmanager
async def desk(
    *replies: Reply, ssl_context: ssl.SSLContext | None = None, **options: Any
) -> AsyncGenerator[tuple[HttpServer, Desk]]:
    """Run a server that answers orders with replies, and a client of it."""
    async with run_http_server(ssl_context) as server:
        server.answer("/order", *replies)
        made = Desk(server.url, **options)
        async with made.client:
            yield server, made


async def test_an_order_is_placed() -> None:
    """Signed once, permitted once, its parameters in their order."""
    async with assert_no_leaks(), desk(PLACED) as (server, trader):
        assert Placed(7) == await trader.place()
        (seen,) = server.requests
        assert ("POST", "price=1.5", "1") == (seen.method, seen.query, seen.headers["signed"])
        assert 1 == used(trader.limiter)
        assert [] == trader.unknown


LOST: dict[str, Reply] = {
    "cut after the request": Reply(cut="after request"),
    "cut in the head": Reply(cut="in head"),
    "cut in the body": Reply(b'{"id": 7}' * 100, cut="in body"),
    "no HTTP": Reply(raw=b"SSH-2.0-OpenSSH_9.6\r\n"),
    "a chunk of nonsense": Reply(raw=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n"),
    "a body of nonsense": Reply(b'{"id": "seven"}'),
    "no gzip": Reply(b'{"id": 7}', headers=(("content-encoding", "gzip"),)),
    "an empty body": Reply(b""),
    "too long": Reply(b'{"id": 7}' + b" " * 2000),
    "too long in chunks": Reply(b'{"id": 7}' + b" " * 200_000, chunked=True),
    "500": Reply(b"", status=500),
    "502 of a proxy": Reply(b"<html>Bad Gateway</html>", status=502),
    "408": Reply(b"", status=408),
    "the venue does not know": Reply(b'{"code": -1007, "msg": "Timeout waiting for response"}', status=400),
}


@pytest.mark.parametrize("name", LOST)
async def test_an_order_without_an_answer_is_of_unknown_fate(name: str) -> None:
    """It is neither sent again nor forgotten, and its permit is used."""
    async with assert_no_leaks(), desk(LOST[name], max_body_bytes=1000) as (server, trader):
        with pytest.raises(OrderUnknownError) as caught:
            await trader.place()
        assert ("mine", "BTC-USDT", "VENUE") == (
            caught.value.client_order_id,
            caught.value.symbol,
            caught.value.exchange_name,
        )
        assert not is_retryable(caught.value)
        assert 1 == len(server.requests)
        assert 1 == used(trader.limiter)
        assert ["mine"] == trader.unknown
        assert 1 == trader.client.get_stats().unknown_orders


async def test_a_late_answer_leaves_an_order_of_unknown_fate() -> None:
    """The deadline is over all of the call."""
    async with assert_no_leaks(), desk(Reply(stall=True)) as (server, trader):
        with pytest.raises(OrderUnknownError, match=r"no answer within 0\.05 s"):
            await trader.place(timeout=0.05)
        assert 1 == len(server.requests)
        assert ["mine"] == trader.unknown


async def test_a_cancelled_order_is_noted_and_the_cancellation_goes_on() -> None:
    """The hook is called before the scope is left."""
    async with assert_no_leaks(), desk(Reply(stall=True)) as (server, trader):
        arrived = server.arrived
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(trader.place)
            await arrived.wait()
            assert [] == trader.unknown
            tasks.cancel_scope.cancel()
        assert ["mine"] == trader.unknown
        assert 1 == used(trader.limiter)


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(b'{"code": -1013, "msg": "Filter failure: PRICE_FILTER"}', status=400), InvalidOrderError),
        (Reply(b"", status=429), RateLimitError),
        (Reply(b'{"code": -1003, "msg": "Too many requests."}', status=429), RateLimitError),
        (Reply(b'{"code": -1021, "msg": "outside of the recvWindow"}', status=400), TimestampError),
    ],
)
async def test_a_refused_order_is_known_to_be_none(reply: Reply, error: type[Exception]) -> None:
    """It is not sent again either: that is for the caller to decide."""
    async with desk(reply) as (server, trader):
        with pytest.raises(error):
            await trader.place()
        assert 1 == len(server.requests)
        assert [] == trader.unknown


async def test_nothing_was_sent_where_nobody_listens() -> None:
    """That is not an order of unknown fate, and it costs no permit."""
    async with run_http_server() as server:
        url = server.url
    trader = Desk(url)
    async with assert_no_leaks(), trader.client:
        with pytest.raises(NetworkError, match="nothing was sent") as caught:
            await trader.place()
        assert is_retryable(caught.value)
        assert [] == trader.unknown
        assert 0 == used(trader.limiter)


async def test_nothing_was_sent_while_connecting() -> None:
    """A deadline that passes before the first byte, here in the TLS handshake, leaves no order behind."""
    async with assert_no_leaks(), run_http_server() as server:
        trader = Desk(server.url.replace("http://", "https://"), timeout=0.05)
        async with trader.client:
            server.is_mute = True
            with pytest.raises(RequestTimeoutError, match="nothing was sent"):
                await trader.place()
        assert [] == trader.unknown
        assert 0 == used(trader.limiter)


async def test_nothing_was_sent_while_waiting_for_a_connection() -> None:
    """The only connection is taken by a call that stalls."""
    async with assert_no_leaks(), desk(Reply(stall=True), max_connections=1) as (server, trader):
        arrived = server.arrived
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(trader.client.call, QUERY)
            await arrived.wait()
            with pytest.raises(RequestTimeoutError, match="nothing was sent"):
                await trader.place(timeout=0.05)
            tasks.cancel_scope.cancel()
        assert [] == trader.unknown
        assert 1 == used(trader.limiter)
        server.answer("/order", PLACED)
        assert Placed(7) == await trader.place()


async def test_nothing_was_sent_while_waiting_for_a_permit() -> None:
    """A closed gate opens too late: that is said at once."""
    async with desk(PLACED) as (server, trader):
        trader.limiter.close_gate(60.0, reason="test")
        with pytest.raises(RateLimitError):
            await trader.place()
        assert [] == server.requests
        assert [] == trader.unknown


async def test_an_order_is_signed_anew_with_the_right_time_once() -> None:
    """A refused time stamp means that nothing was done; the venue's clock is asked for, and the order sent again."""
    clock = VenueClock()

    async def server_time() -> int:
        return clock.local_ns() + 5_000_000_000

    refusal = Reply(b'{"code": -1021, "msg": "Timestamp for this request is outside of the recvWindow."}', status=400)
    async with desk(refusal, PLACED, clock=clock, server_time=server_time) as (server, trader):
        assert Placed(7) == await trader.place()
        assert ["1", "2"] == [seen.headers["signed"] for seen in server.requests]
        assert 5.0 == pytest.approx(clock.offset_ns / 1e9, abs=0.01)
        assert 1 == trader.client.get_stats().resynchronizations
        server.answer("/order", refusal)
        with pytest.raises(TimestampError) as caught:
            await trader.place()
        assert 5.0 == pytest.approx(caught.value.offset, abs=0.01)
        assert 4 == len(server.requests)
        assert [] == trader.unknown


async def test_calls_that_are_refused_together_ask_for_the_time_once() -> None:
    """The others wait for the answer, and are signed anew with it."""
    asked = 0
    clock = VenueClock()

    async def server_time() -> int:
        nonlocal asked
        asked += 1
        await anyio.lowlevel.checkpoint()
        return clock.local_ns()

    def venue(_request: httpx.Request) -> httpx.Response:
        if clock.synchronizations:
            return httpx.Response(200, json={"id": 7})
        return httpx.Response(400, json={"code": -1021, "msg": ""})

    trader = Desk("https://x", clock=clock, server_time=server_time, transport=httpx.MockTransport(venue))
    async with trader.client, anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(trader.place)
    stats = trader.client.get_stats()
    assert (5, 10, 1) == (stats.succeeded, stats.requests, stats.resynchronizations)
    assert 5 == asked


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """A certificate authority of our own."""
    return trustme.CA()


@pytest.mark.parametrize(
    ("reply", "secure"),
    [
        (PLACED, False),
        (PLACED, True),
        (Reply(b'{"id": 7}', chunked=True), False),
        (Reply(b"", status=503), False),
    ],
)
async def test_an_order_may_be_cancelled_at_any_await(reply: Reply, secure: bool, authority: trustme.CA) -> None:
    """It is noted if the server may have got it; no connection, permit or waiter is left, and the client goes on."""
    ssl_context = server_context(authority, "localhost") if secure else None
    policy = TransportPolicy(ssl_context=client_context(authority))

    @asynccontextmanager
    async def scenario() -> AsyncGenerator[Callable[[], Awaitable[object]]]:
        pool = httpx_transport(policy, limits=httpx.Limits(max_connections=1))
        async with desk(reply, ssl_context=ssl_context, transport=pool) as (server, trader):
            ended: list[object] = []

            async def operation() -> None:
                try:
                    ended.append(await trader.place())
                except OrderUnknownError as error:
                    ended.append(error)

            yield operation
            await anyio.sleep(0.002)
            known = [outcome for outcome in ended if isinstance(outcome, Placed)]
            assert len(server.requests) <= len(known) + len(trader.unknown) <= 1
            assert used(trader.limiter) == len(known) + len(trader.unknown)
            assert 0 == trader.client.get_stats().in_flight
            assert [] == [str(connection) for connection in pool._pool.connections if not connection.is_idle()]
            assert [] == pool._pool._requests
            server.answer("/order", PLACED)
            assert Placed(7) == await trader.place()

    sweep = await sweep_cancellation(scenario)
    assert sweep.suspensions >= 4
    assert len(sweep.cancelled) >= 4


async def test_a_query_may_be_cancelled_while_it_waits_for_a_permit() -> None:
    """Its place in the line is given up, and what it would have used is free."""

    @asynccontextmanager
    async def scenario() -> AsyncGenerator[Callable[[], Awaitable[object]]]:
        limiter = RateLimiter([RateLimitRule("all", RateLimitType.TOKEN_BUCKET, 0.02, 1)])
        async with desk(PLACED, limiter=limiter) as (server, trader):
            await trader.client.call(QUERY)
            yield lambda: trader.client.call(QUERY)
            with anyio.fail_after(1):
                await trader.client.call(QUERY)
            assert len(server.requests) <= 3

    sweep = await sweep_cancellation(scenario)
    assert len(sweep.cancelled) >= 4


async def test_the_network_loses_the_answer() -> None:
    """The venue has placed the order; nothing of its answer gets through, and then the connection breaks."""
    async with assert_no_leaks(), run_http_server() as server, FaultyProxy("127.0.0.1", server.port) as proxy:
        server.answer("/order", PLACED)
        trader = Desk(proxy.url_for(server.url))
        async with trader.client:
            assert Placed(7) == await trader.place()
            arrived = server.arrived
            proxy.stall(60.0, Direction.TO_CLIENT)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(expect_unknown, trader)
                await arrived.wait()
                proxy.reset()
            proxy.heal()
            assert Placed(7) == await trader.place()
        assert ["mine"] == trader.unknown
        assert 3 == len(server.requests)


async def expect_unknown(trader: Desk) -> None:
    """Place an order of unknown fate."""
    with pytest.raises(OrderUnknownError):
        await trader.place()
