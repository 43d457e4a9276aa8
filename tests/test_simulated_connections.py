"""Connections of a simulated venue that are refused, silent, too old, banned or announced to end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from websockets.exceptions import InvalidStatus

from bt_api_base.testing.peer import Ending
from bt_api_base.testing.simulated_venue import SimulatedVenue
from tests.venue_peers import end_of, memory_client, open_client

if TYPE_CHECKING:
    from bt_api_base.testing.venue import Venue
    from tests.venue_peers import MemoryClient

pytestmark = pytest.mark.anyio

STREAM = "btcusdt@trade"
TARGET = f"/stream?streams={STREAM}"


def memory_venue(**options: Any) -> SimulatedVenue:
    """Return a venue in memory with one market at a steady pace."""
    return SimulatedVenue(("BTC-USDT",), listen=False, **{"rate": 20, "keep_ids": True, **options})


async def refusal(venue: Venue) -> tuple[int, str | None]:
    """Connect, and return status and "Retry-After" of the refusal."""
    with pytest.raises(InvalidStatus) as caught:
        await memory_client(venue)
    response = caught.value.response
    return response.status_code, response.headers.get("Retry-After")


# Handshakes.


async def test_refused_handshakes() -> None:
    """Handshakes can be refused with any status, so many of them, with a time to wait or without, and on record."""
    async with memory_venue() as venue:
        venue.refuse_handshakes(503, retry_after=7, count=2, reason="Maintenance")
        assert (503, "7") == await refusal(venue)
        assert (503, "7") == await refusal(venue)
        client = await memory_client(venue)
        venue.refuse_handshakes(403, count=None)
        assert (403, None) == await refusal(venue)
        venue.refuse_handshakes(count=0)
        other = await memory_client(venue)
        assert [(503, 7), (503, 7), (403, None)] == [(one.status, one.retry_after) for one in venue.refused_handshakes]
        assert {("memory", "/stream")} == {(one.host, one.target) for one in venue.refused_handshakes}
        assert 2 == len(venue.sessions)
        await client.aclose()
        await other.aclose()


async def test_a_refused_handshake_over_a_socket() -> None:
    """Over a socket the answer is HTTP with status, header and text, and the connection ends."""
    async with SimulatedVenue() as venue:
        venue.refuse_handshakes(429, retry_after=30, reason="Slow down")
        async with await anyio.connect_tcp("127.0.0.1", venue.port) as stream:
            await stream.send(
                b"GET /stream HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            )
            response = b""
            with pytest.raises(anyio.EndOfStream):
                while True:
                    response += await stream.receive()
        assert b"HTTP/1.1 429 Too Many Requests\r\n" == response[:32]
        assert b"\r\nRetry-After: 30\r\n" in response
        assert b"\r\n\r\nSlow down\n" == response[-14:]
        assert "127.0.0.1" == venue.refused_handshakes[0].host


@pytest.mark.virtual_time
async def test_slow_handshakes() -> None:
    """A handshake can take its time, even longer than the venue would wait for a request."""
    async with memory_venue() as venue:
        venue.slow_handshakes(60)
        begin = anyio.current_time()
        client = await memory_client(venue, target=TARGET)
        assert 60 == pytest.approx(anyio.current_time() - begin)
        await client.receive()
        quick = await memory_client(venue)
        assert 60 == pytest.approx(anyio.current_time() - begin, abs=1)
        venue.slow_handshakes(2, count=None)
        for number in (1, 2):
            slow = await memory_client(venue)
            assert 60 + 2 * number == pytest.approx(anyio.current_time() - begin, abs=1)
            await slow.aclose()
        for one in (client, quick):
            await one.aclose()


@pytest.mark.virtual_time
async def test_attempts_to_connect_are_counted() -> None:
    """An address has so many attempts in so much time; the next is told when there is room again."""
    async with memory_venue(max_connects=3, connect_window=300) as venue:
        for _ in range(3):
            client = await memory_client(venue)
            await client.aclose()
            await anyio.sleep(10)
        assert (429, "270") == await refusal(venue)
        await anyio.sleep(269)
        assert (429, "1") == await refusal(venue)
        await anyio.sleep(1)
        client = await memory_client(venue)
        assert (429, "10") == await refusal(venue)
        await client.aclose()


def test_the_limits_are_the_venue_s() -> None:
    """Without options, attempts, ages and bans are those of the venue that is stood in for."""
    options = SimulatedVenue()._options
    assert (300, 300.0, 86_400.0) == (
        options.get("max_connects"),
        options.get("connect_window"),
        options.get("max_connection_age"),
    )
    assert 3 == options.get("offences_until_ban")


async def test_connections_of_an_address_are_counted() -> None:
    """No more than so many connections at a time; when one has gone, there is room again."""
    async with memory_venue(max_connections=2) as venue:
        clients = [await memory_client(venue), await memory_client(venue)]
        assert (429, None) == await refusal(venue)
        await clients.pop().aclose()
        with anyio.fail_after(5):
            while venue.connections > 1:
                await checkpoint()
        clients.append(await memory_client(venue))
        for client in clients:
            await client.aclose()


# Bans.


@pytest.mark.virtual_time
async def test_repeated_floods_are_banned() -> None:
    """Who floods connection after connection is banned: all connections end, and handshakes are refused for a while."""
    async with memory_venue(paused=True, offences_until_ban=2, ban_time=120) as venue:
        bystander = await memory_client(venue)
        for flood in (1, 2):
            client = await memory_client(venue)
            for _ in range(6):
                await client.send(b'{"method":"LIST_SUBSCRIPTIONS","id":1}')
            assert (1008, "Too many requests") == await client.wait_closed()
            await end_of(venue.sessions[flood])
            if flood == 1:
                assert {"result": [], "id": 1} == await bystander.request("LIST_SUBSCRIPTIONS", [])
        assert (1008, "Too many requests") == await bystander.wait_closed()
        assert (418, "120") == await refusal(venue)
        await anyio.sleep(119.5)
        assert (418, "1") == await refusal(venue)
        await anyio.sleep(0.5)
        await (await memory_client(venue)).aclose()


@pytest.mark.virtual_time
async def test_a_ban_on_request() -> None:
    """An address can be banned without having done anything."""
    async with memory_venue(paused=True) as venue:
        client = await memory_client(venue)
        assert 1 == venue.ban(60, status=403)
        assert 1008 == (await client.wait_closed())[0]
        assert (403, "60") == await refusal(venue)
        await anyio.sleep(60)
        await (await memory_client(venue)).aclose()


async def test_one_connection_of_many_can_end() -> None:
    """A single connection can be reset or closed; the others go on."""
    async with memory_venue(paused=True) as venue:
        clients = [await memory_client(venue) for _ in range(3)]
        assert venue.disconnect(1)
        assert venue.disconnect(2, abort=False, code=1012, reason="restart")
        assert (1012, "restart") == await clients[1].wait_closed()
        with anyio.fail_after(5):
            while venue.connections > 1:
                await checkpoint()
        assert [Ending.CUT, Ending.CLOSED_BY_VENUE, Ending.OPEN] == [session.ending for session in venue.sessions]
        assert not venue.disconnect(1)
        assert {"result": [], "id": 1} == await clients[2].request("LIST_SUBSCRIPTIONS", [])
        for client in clients:
            await client.aclose()


# The end of a connection's life.


async def ids_to_the_end(client: MemoryClient) -> list[int]:
    """Return the ids of all trades that a client gets before its connection ends."""
    return [message["data"]["t"] for message in await client.messages() if message["stream"] == STREAM]


@pytest.mark.virtual_time
async def test_connections_have_an_age() -> None:
    """A connection ends at its age, each at its own, and has got all that happened before."""
    async with memory_venue(max_connection_age=30) as venue:
        first = await memory_client(venue, target=TARGET)
        await anyio.sleep(10)
        second = await memory_client(venue, target=TARGET)
        got: list[list[int]] = [[], []]

        async def read(number: int, client: MemoryClient) -> None:
            got[number] = await ids_to_the_end(client)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read, 0, first)
            tasks.start_soon(read, 1, second)
        ages = [(session.closed_at or 0) - session.opened_at for session in venue.sessions]
        assert [30, 30] == pytest.approx(ages, abs=0.1)
        assert [1001, 1001] == [session.close_code for session in venue.sessions]
        assert dict(enumerate(got, start=1)) == venue.sent_ids(STREAM)
        assert [] == [event for event in venue.missing_ids(STREAM) if event <= got[1][-1]]


@pytest.mark.virtual_time
@pytest.mark.parametrize("abort", [False, True])
async def test_connections_can_be_aged(abort: bool) -> None:
    """All connections can come to the end of their lives on request; new ones live on."""
    async with memory_venue() as venue:
        old = await memory_client(venue)
        assert 1 == venue.age_connections(5, abort=abort)
        new = await memory_client(venue)
        begin = anyio.current_time()
        if abort:
            with pytest.raises((anyio.BrokenResourceError, anyio.EndOfStream)):
                await old.receive()
        else:
            assert 1001 == (await old.wait_closed())[0]
        assert 5 == pytest.approx(anyio.current_time() - begin)
        assert (Ending.CUT if abort else Ending.CLOSED_BY_VENUE) is (await end_of(venue.sessions[0])).ending
        assert 1 == venue.connections
        await new.aclose()


@pytest.mark.virtual_time
async def test_a_shutdown_notice_leaves_time_to_move() -> None:
    """Between the notice and the end, the old connection gets everything, and so does one made meanwhile."""
    async with memory_venue() as venue:
        old = await memory_client(venue, target=TARGET)
        assert 1 == venue.shutdown_notice(10)
        begin = anyio.current_time()
        notice = await old.receive_json()
        while notice["stream"] == STREAM:
            notice = await old.receive_json()
        assert "serverShutdown" == notice["data"]["e"]
        await anyio.sleep(5)
        new = await memory_client(venue, target=TARGET)
        before = await ids_to_the_end(old)
        assert 10 == pytest.approx(anyio.current_time() - begin, abs=0.1)
        assert (await end_of(venue.sessions[0])).is_exact
        await anyio.sleep(5)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(venue.close_with, 1000)
            after = await ids_to_the_end(new)
        assert [] == venue.missing_ids(STREAM)
        assert len(set(before) & set(after)) > 3
        assert venue.existing_ids(STREAM)[-1] == after[-1] > before[-1]


@pytest.mark.virtual_time
async def test_a_notice_may_have_no_consequence() -> None:
    """Without a lead, nothing follows the notice."""
    async with memory_venue(paused=True) as venue:
        client = await memory_client(venue)
        venue.shutdown_notice()
        await anyio.sleep(30)
        assert "!serverShutdown" == (await client.receive_json())["stream"]
        assert {"result": [], "id": 1} == await client.request("LIST_SUBSCRIPTIONS", [])
        await client.aclose()


@pytest.mark.virtual_time
async def test_idle_connections_end() -> None:
    """Where a venue ends idle connections, traffic in either direction keeps them."""
    async with memory_venue(paused=True, idle_timeout=30, ping_interval=1_000) as venue:
        clients = [await memory_client(venue) for _ in range(3)]
        idle, asking, listening = clients
        await listening.request("SUBSCRIBE", [STREAM])
        ends: dict[MemoryClient, tuple[float, str]] = {}
        begin = anyio.current_time()

        async def read(client: MemoryClient) -> None:
            _, reason = await client.wait_closed()
            ends[client] = (round(anyio.current_time() - begin), reason)

        async with anyio.create_task_group() as tasks:
            for client in clients:
                tasks.start_soon(read, client)
            for _ in range(4):
                await anyio.sleep(10)
                await asking.send(b'{"method":"LIST_SUBSCRIPTIONS","id":1}')
                await venue.step(40)
        expected = {idle: (30, "Connection idle"), asking: (70, "Connection idle"), listening: (70, "Connection idle")}
        assert expected == ends


# Silence.


@pytest.mark.virtual_time
async def test_a_connection_can_look_alive_and_be_silent() -> None:
    """In such a silence pings and handshakes are answered, and there are no data and no replies until it is over."""
    async with memory_venue(ping_interval=2, pong_timeout=5) as venue:
        client = await memory_client(venue, target=TARGET)
        await anyio.sleep(1)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.messages)
            await venue.drain()
            sent = venue.sent_total
            venue.stall(20, answers_pings=True)
            venue.stall(1, answers_pings=True)
            begin = anyio.current_time()
            other = await memory_client(venue)
            assert begin == anyio.current_time()
            await other.send(b'{"method":"LIST_SUBSCRIPTIONS","id":7}')
            assert {"result": [], "id": 7} == await other.receive_json()
            assert 20 == pytest.approx(anyio.current_time() - begin)
            withheld = venue.withheld
            assert withheld > 20
            await anyio.sleep(1)
            assert (withheld, withheld) == (venue.withheld, venue.sessions[0].streams[STREAM].withheld)
            assert venue.sent_total > sent
            tasks.start_soon(venue.close_with, 1000)
            await other.wait_closed()
        assert 9 <= min(len(client.pings), len(other.pings))
        assert withheld == len(venue.missing_ids(STREAM))


async def test_a_silence_ends_with_the_venue() -> None:
    """A venue can be left in the middle of a silence, and runs again without it."""
    venue = SimulatedVenue(("BTC-USDT",), paused=True)
    async with venue, open_client(venue.url) as client:
        venue.stall(60, answers_pings=True)
        await client.send('{"method":"LIST_SUBSCRIPTIONS","id":7}')
    async with venue, open_client(venue.url) as client:
        assert {"result": [], "id": 1} == await client.request("LIST_SUBSCRIPTIONS")
    with pytest.raises(RuntimeError, match="async with"):
        venue.stall(1, answers_pings=True)
