"""The REST side of simulated venues: connections over sockets and in memory, faults, the log."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
import httpx
import pytest

from bt_api_base.testing.rest_log import RestEnding
from bt_api_base.testing.rest_messages import RestReply, RestRequest
from bt_api_base.testing.rest_side import RestSide

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

pytestmark = pytest.mark.anyio

BOTH = pytest.mark.parametrize("in_memory", [False, True], ids=["sockets", "memory"])


class FakeDialect:
    """Answers every request with what it asked, and remembers it."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def answer(self, request: RestRequest) -> RestReply:
        """Echo."""
        self.done.append(request.target)
        value = {"method": request.method, "path": request.path, "params": request.params()}
        return RestReply.json(value, headers=(("x-key", request.header("X-KEY")),))

    def limited(self, seconds: float, *, banned: bool) -> RestReply:
        """Say how long."""
        return RestReply(418 if banned else 429, b"{}", (("retry-after", str(round(seconds))),))

    def failed(self, status: int) -> RestReply:
        """Say the status."""
        return RestReply.json({"failed": status}, status)

    def placed_ids(self, request: RestRequest) -> tuple[str, ...]:
        """Whatever is called an id."""
        name = request.params().get("id")
        return (name,) if name and request.method == "POST" else ()


class Ground:
    """A REST side and a client of it."""

    def __init__(self, rest: RestSide, dialect: FakeDialect, client: httpx.AsyncClient) -> None:
        self.rest, self.dialect, self.client = rest, dialect, client


@asynccontextmanager
async def ground(*, in_memory: bool) -> AsyncGenerator[Ground]:
    """Run a REST side, over sockets or in memory."""
    dialect = FakeDialect()
    rest = RestSide(lambda: dialect, lambda: 5, listen=not in_memory)
    async with anyio.create_task_group() as tasks:
        rest.start(tasks)
        transport = rest.transport() if in_memory else httpx.AsyncHTTPTransport()
        async with httpx.AsyncClient(transport=transport, base_url=rest.url, timeout=5) as client:
            yield Ground(rest, dialect, client)
        tasks.cancel_scope.cancel()
    rest.stop()


@BOTH
async def test_requests_are_answered_over_one_connection(in_memory: bool) -> None:
    """Method, path, query, form body and headers arrive; replies come with status, headers and body."""
    async with ground(in_memory=in_memory) as here:
        first = await here.client.post("/a/b?x=1&y=%2F", content="z=2", headers={"X-Key": "k"})
        assert 200 == first.status_code
        assert {"method": "POST", "path": "/a/b", "params": {"x": "1", "y": "/", "z": "2"}} == first.json()
        assert "k" == first.headers["x-key"]
        for _ in range(3):
            assert 200 == (await here.client.get("/c")).status_code
        assert (0 if in_memory else 1) == here.rest.connections
        assert 3 == here.rest.log.count("GET", "/c")
        assert [200] * 4 == here.rest.log.statuses()


@BOTH
async def test_a_lost_reply_leaves_the_thing_done(in_memory: bool) -> None:
    """The client sees an error of the transport, the venue has done what was asked, and the log has both."""
    async with ground(in_memory=in_memory) as here:
        here.rest.lose_replies(match="POST /order")
        await here.client.get("/order")
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
            await here.client.post("/order?id=a")
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
            here.rest.lose_requests()
            await here.client.post("/order?id=b")
        assert ["/order", "/order?id=a"] == here.dialect.done
        endings = [record.ending for record in here.rest.log.records]
        assert [RestEnding.ANSWERED, RestEnding.REPLY_LOST, RestEnding.LOST] == endings
        assert {"a": 1, "b": 1} == here.rest.log.placements
        assert 200 == (await here.client.get("/order")).status_code
        assert 0 == here.rest.faults.armed


@BOTH
async def test_a_client_that_gives_up_has_asked_all_the_same(in_memory: bool) -> None:
    """What a client does not wait for is done, at its time."""
    async with ground(in_memory=in_memory) as here:
        here.rest.delay(0.05, before=True)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(here.client.get, "/slow")
            with anyio.fail_after(5):
                while not here.rest.log.total:  # noqa: ASYNC110 - nobody tells
                    await anyio.sleep(0.001)
            tasks.cancel_scope.cancel()
        assert [] == here.dialect.done
        with anyio.fail_after(5):
            while not here.dialect.done:  # noqa: ASYNC110 - nobody tells
                await anyio.sleep(0.005)
        here.rest.delay(0.5)
        with pytest.raises(httpx.ReadTimeout):
            await here.client.get("/late", timeout=httpx.Timeout(5, read=0.05))
        assert "/late" in here.dialect.done


@BOTH
async def test_failures_come_done_or_undone(in_memory: bool) -> None:
    """A 5xx tells nothing of what was done; its body is the venue's, or the test's."""
    async with ground(in_memory=in_memory) as here:
        here.rest.fail(503, match="/a*")
        here.rest.fail(500, done=True, body="<html>", match=lambda request: request.path == "/b")
        first, second = await here.client.get("/abc"), await here.client.get("/b")
        assert (503, {"failed": 503}) == (first.status_code, first.json())
        assert (500, "<html>") == (second.status_code, second.text)
        assert ["/b"] == here.dialect.done


@BOTH
async def test_a_limit_is_for_all_requests(in_memory: bool) -> None:
    """429 and 418 tell how long, until all is clear."""
    async with ground(in_memory=in_memory) as here:
        here.rest.limit(30)
        assert (429, "30") == ((reply := await here.client.get("/")).status_code, reply.headers["retry-after"])
        here.rest.limit(60, banned=True)
        assert 418 == (await here.client.get("/")).status_code
        here.rest.clear()
        assert 200 == (await here.client.get("/")).status_code


@BOTH
async def test_a_dead_venue_refuses_and_comes_back_at_its_port(in_memory: bool) -> None:
    """What was being done is cut; new connections are refused; later they are accepted again."""
    async with ground(in_memory=in_memory) as here:
        url = here.rest.url
        here.rest.delay(5)
        async with anyio.create_task_group() as tasks:

            @tasks.start_soon
            async def ask() -> None:
                with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
                    await here.client.get("/cut")

            with anyio.fail_after(5):
                while not here.dialect.done:  # noqa: ASYNC110 - nobody tells
                    await anyio.sleep(0.005)
            assert 1 == await here.rest.kill()
        with pytest.raises(httpx.ConnectError):
            await here.client.get("/refused")
        assert RestEnding.CUT is here.rest.log.records[-1].ending
        here.rest.revive()
        assert url == here.rest.url
        assert 200 == (await here.client.get("/")).status_code
        await here.rest.kill(0.01)
        with anyio.fail_after(5):
            while True:
                try:
                    await here.client.get("/")
                except httpx.TransportError:
                    await anyio.sleep(0.005)
                else:
                    break


async def test_what_is_no_http_is_refused() -> None:
    """Junk, endless headers and endless bodies are answered with a status and the end of the connection."""
    async with ground(in_memory=False) as here:
        port = int(here.rest.url.rpartition(":")[2])
        for data, status in (
            (b"\x00\x01\r\n\r\n", b"400"),
            (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 100_000, b"431"),
            (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n" + b"a" * 1_100_000, b"413"),
        ):
            async with await anyio.connect_tcp("127.0.0.1", port) as stream:
                try:
                    await stream.send(data)
                    reply = await stream.receive()
                except (anyio.BrokenResourceError, anyio.EndOfStream):
                    continue  # it was reset while the rest was on its way
                assert reply.startswith(b"HTTP/1.1 " + status)
        assert [] == here.dialect.done


async def test_nothing_listens_before_the_address_is_asked_for() -> None:
    """A venue that nobody asks over REST has no second port."""
    dialect = FakeDialect()
    rest = RestSide(lambda: dialect, lambda: 0)
    with pytest.raises(RuntimeError):
        _ = rest.url
    async with httpx.AsyncClient(transport=rest.transport(), base_url="http://x") as client:
        with pytest.raises(httpx.ConnectError):
            await client.get("/")


def test_the_clock_can_be_wrong() -> None:
    """A skew is what the venue's clock is ahead, until all is cleared."""
    rest = RestSide(FakeDialect, lambda: 7_000_000_000)
    rest.skew(-1.5)
    assert 5_500_000_000 == rest.now_ns()
    rest.clear()
    assert 7_000_000_000 == rest.now_ns()
