"""The simulated OKX, driven by clients that share no code with this package: log-ins, requests, books, heartbeats."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from bt_api_base.testing.garbage import GARBAGE_KINDS
from bt_api_base.testing.okx_dialect import CREDENTIALS
from bt_api_base.testing.okx_venue import SimulatedOkxVenue
from tests.venue_peers import Client, MemoryClient, end_of, memory_client, open_client

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = pytest.mark.anyio

START = 1_700_000_000


def still_venue(*symbols: str, **options: Any) -> SimulatedOkxVenue:
    """Return a venue that moves only by `step`, with repeatable timestamps."""
    options = {
        "paused": True,
        "rate": 100,
        "start_time_ns": START * 10**9,
        "clock_ns": lambda: START * 10**9,
        **options,
    }
    return SimulatedOkxVenue(symbols or ("BTC-USDT",), **options)


def private(venue: SimulatedOkxVenue) -> str:
    """Return where accounts are."""
    return venue.url_of("/ws/v5/private")


async def ask(client: Client, operation: str, *arguments: Mapping[str, str], request_id: str = "1") -> Any:
    """Send a request and return the first answer."""
    await client.send(json.dumps({"id": request_id, "op": operation, "args": arguments}))
    return await client.receive_json()


def login(**changes: str) -> dict[str, str]:
    """Return the argument of a log-in that succeeds, changed."""
    timestamp = changes.get("timestamp", str(START))
    parts = CREDENTIALS
    assert parts.passphrase is not None
    sign = hmac.digest(parts.secret.reveal().encode(), f"{timestamp}GET/users/self/verify".encode(), hashlib.sha256)
    words = {"apiKey": parts.api_key.reveal(), "passphrase": parts.passphrase.reveal(), "timestamp": timestamp}
    return {**words, "sign": base64.b64encode(sign).decode(), **changes}


# -- requests ---------------------------------------------------------------------------------------


async def test_each_argument_is_answered_by_itself() -> None:
    """One confirmation for each channel, with the request's id; what does not exist is refused alone."""
    async with still_venue() as venue, open_client(venue.url) as client:
        good, bad = {"channel": "trades", "instId": "BTC-USDT"}, {"channel": "trades", "instId": "FOO-BAR"}
        refused = await ask(client, "subscribe", bad, good)
        confirmed = await client.receive_json()
        assert ("1", "error", "60018") == (refused["id"], refused["event"], refused["code"])
        assert "channel:trades,instId:FOO-BAR doesn't exist" in refused["msg"]
        assert {"id": "1", "event": "subscribe", "arg": good, "connId": confirmed["connId"]} == confirmed
        assert ("trades:BTC-USDT",) == venue.subscriptions
        assert "unsubscribe" == (await ask(client, "unsubscribe", good))["event"]
        assert () == venue.subscriptions


@pytest.mark.parametrize(
    ("path", "argument", "code"),
    [
        ("public", {"channel": "candle1m", "instId": "BTC-USDT"}, "60018"),
        ("business", {"channel": "trades", "instId": "BTC-USDT"}, "60018"),
        ("public", {"channel": "orders", "instType": "SPOT"}, "60018"),
        ("private", {"channel": "orders", "instType": "SPOT"}, "60011"),
        ("public", {"channel": "books-l2-tbt", "instId": "BTC-USDT"}, "60011"),
        ("public", {"channel": "trades"}, "60018"),
        ("public", {"instId": "BTC-USDT"}, "60012"),
    ],
)
async def test_a_channel_has_its_place(path: str, argument: dict[str, str], code: str) -> None:
    """Channels exist on one endpoint each; accounts and the fastest books ask for a log-in."""
    async with still_venue() as venue, open_client(venue.url_of(f"/ws/v5/{path}")) as client:
        assert code == (await ask(client, "subscribe", argument))["code"]
        assert () == venue.subscriptions


@pytest.mark.parametrize(
    "message", ["", "pong", "{", "[]", '{"op":"dance","args":[]}', '{"op":"subscribe","args":[7]}']
)
async def test_what_is_no_request_is_refused(message: str) -> None:
    """The venue repeats what it did not understand, and stays."""
    async with still_venue() as venue, open_client(venue.url) as client:
        await client.send(message)
        answer = await client.receive_json()
        assert ("error", "60012", f"Invalid request: {message}") == (answer["event"], answer["code"], answer["msg"])
        await client.send("ping")
        assert "pong" == await client.receive()
        assert (1, 1) == (venue.sessions[0].requests, venue.sessions[0].refusals)


async def test_nothing_at_other_paths() -> None:
    """Any other path is not found."""
    async with SimulatedOkxVenue() as venue, await anyio.connect_tcp("127.0.0.1", venue.port) as stream:
        await stream.send(
            b"GET /ws/v5/secret HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        assert b"HTTP/1.1 404 Not Found" == (await stream.receive()).partition(b"\r\n")[0]


async def test_requests_are_counted_over_an_hour() -> None:
    """The 481st subscription of an hour is refused."""
    argument = {"channel": "trades", "instId": "BTC-USDT"}
    async with still_venue() as venue, open_client(venue.url) as client:
        for _ in range(480):
            assert "subscribe" == (await ask(client, "subscribe", argument))["event"]
        assert "60014" == (await ask(client, "subscribe", argument))["code"]


# -- log-ins ----------------------------------------------------------------------------------------


async def test_a_login_opens_the_account() -> None:
    """After it the private channels are there, and the venue counts their connections."""
    async with still_venue() as venue, open_client(private(venue)) as client:
        assert ("login", "0") == ((answer := await ask(client, "login", login()))["event"], answer["code"])
        assert "subscribe" == (await ask(client, "subscribe", {"channel": "orders", "instType": "SPOT"}))["event"]
        counted = await client.receive_json()
        assert ("channel-conn-count", "orders", "1") == (counted["event"], counted["channel"], counted["connCount"])
        assert 1 == venue.push_order(ordId="5", state="canceled")
        order = await client.receive_json()
        assert {"channel": "orders", "uid": "1000001", "instType": "SPOT"} == order["arg"]
        assert ("5", "canceled") == (order["data"][0]["ordId"], order["data"][0]["state"])


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"apiKey": "x"}, "60005"),
        ({"sign": "x"}, "60007"),
        ({"passphrase": "x"}, "60024"),
        ({"timestamp": str(START - 31)}, "60006"),
        ({"timestamp": str(START + 31)}, "60006"),
        ({"timestamp": f"{START}000"}, "60004"),
        ({"timestamp": "2023-11-14T22:13:20.000Z"}, "60004"),
    ],
)
async def test_a_wrong_login_ends_the_connection(changes: dict[str, str], code: str) -> None:
    """Key, signature, passphrase and time are each looked at; the connection is closed with the venue's code."""
    async with still_venue() as venue, open_client(private(venue)) as client:
        answer = await ask(client, "login", login(**changes))
        assert ("error", code) == (answer["event"], answer["code"])
        assert 4001 == (await client.wait_closed()).code


async def test_a_login_happens_once() -> None:
    """A second one is refused, and the first stays."""
    async with still_venue() as venue, open_client(private(venue)) as client:
        await ask(client, "login", login())
        assert "60031" == (await ask(client, "login", login()))["code"]
        assert "subscribe" == (await ask(client, "subscribe", {"channel": "account"}))["event"]


# -- books ------------------------------------------------------------------------------------------

BOOK = {"channel": "books", "instId": "BTC-USDT"}


def apply(book: dict[str, dict[str, str]], frame: dict[str, Any]) -> None:
    """Take a frame of a book over."""
    (data,) = frame["data"]
    for side in ("asks", "bids"):
        if "snapshot" == frame["action"]:
            book[side] = {}
        for price, quantity, _, _ in data[side]:
            if "0" == quantity:
                del book[side][price]
            else:
                book[side][price] = quantity


async def test_books_of_two_clients_are_the_same() -> None:
    """Whenever a client came, its snapshot and the updates since give the book; numbers follow one another."""
    async with still_venue() as venue, open_client(venue.url) as early:
        books: list[dict[str, dict[str, str]]] = [{}, {}]
        await ask(early, "subscribe", BOOK)
        await venue.step(77)
        async with open_client(venue.url) as late:
            await ask(late, "subscribe", BOOK)
            await venue.step(133)
            end = venue.sessions[0].streams["books:BTC-USDT"].last_id
            for client, book in zip((early, late), books, strict=True):
                last = -1
                while last != end:
                    frame = await client.receive_json()
                    apply(book, frame)
                    (data,) = frame["data"]
                    assert ("snapshot" == frame["action"]) == (-1 == last)
                    assert last == data["prevSeqId"]
                    assert 0 == data["checksum"]
                    last = data["seqId"]
        assert books[0] == books[1]
        assert len(books[0]["bids"]) >= 60


async def test_a_book_is_sent_again_to_who_asks_again() -> None:
    """A repeated subscription is confirmed, and followed by a snapshot, as recorded from the venue."""
    async with still_venue() as venue, open_client(venue.url) as client:
        for _ in range(2):
            assert "subscribe" == (await ask(client, "subscribe", BOOK))["event"]
            assert "snapshot" == (await client.receive_json())["action"]


async def test_the_same_seed_gives_the_same_frames() -> None:
    """Frames depend on the seed and the steps only, byte for byte."""
    sessions: list[list[str | bytes]] = []
    for _ in range(2):
        async with still_venue(seed=7) as venue, open_client(venue.url) as client:
            for channel in ("books", "books5", "bbo-tbt", "tickers", "trades", "mark-price"):
                await client.send(json.dumps({"op": "subscribe", "args": [{"channel": channel, "instId": "BTC-USDT"}]}))
                while "connId" not in str(await client.receive()):
                    pass
            await venue.step(100)
            await venue.drain()
            assert venue.sent_total > 20
            sessions.append([await client.receive() for _ in range(20)])
    assert sessions[0] == sessions[1]


@pytest.mark.virtual_time
async def test_a_book_that_rests_says_so_once_a_minute() -> None:
    """An empty update with unchanged numbers shows that the book is alive."""
    venue = SimulatedOkxVenue(("BTC-USDT",), listen=False, rate=1e-6)
    async with venue, anyio.create_task_group() as tasks:
        client = await memory(venue)
        await client.send(json.dumps({"op": "subscribe", "args": [BOOK]}).encode())
        await client.receive_json()
        sequence = (await client.receive_json())["data"][0]["seqId"]
        tasks.start_soon(keep_alive, client)
        started = anyio.current_time()
        (data,) = (await next_frame(client))["data"]
        assert 59 < anyio.current_time() - started < 61
        assert ([], [], sequence, sequence) == (data["asks"], data["bids"], data["prevSeqId"], data["seqId"])
        tasks.cancel_scope.cancel()
        await client.aclose()


@pytest.mark.virtual_time
async def test_who_is_silent_is_cut_off() -> None:
    """Thirty seconds without a frame in either direction end a connection; pings keep it."""
    async with SimulatedOkxVenue(("BTC-USDT",), listen=False, paused=True) as venue:
        client = await memory(venue)
        for _ in range(3):
            await anyio.sleep(20)
            await client.send(b"ping")
            assert b"pong" == await client.receive()
        started = anyio.current_time()
        assert (4004, "No data received in 30s.") == await client.wait_closed()
        assert 29 < anyio.current_time() - started < 31
        await end_of(venue.sessions[0])


async def memory(venue: SimulatedOkxVenue) -> MemoryClient:
    """Return a client in memory, for virtual time."""
    return await memory_client(venue, target="/ws/v5/public")


async def keep_alive(client: MemoryClient) -> None:
    """Send pings for ever."""
    while True:
        await anyio.sleep(15)
        await client.send(b"ping")


async def next_frame(client: MemoryClient) -> Any:
    """Return the next message that is no pong."""
    while (message := await client.receive()) == b"pong":
        pass
    return json.loads(message)


# -- other things that happen -----------------------------------------------------------------------


async def test_garbage_of_every_kind() -> None:
    """Each kind is sent, and none of it is a frame of a channel that could be read."""
    async with still_venue() as venue, open_client(venue.url) as client:
        await ask(client, "subscribe", {"channel": "trades", "instId": "BTC-USDT"})
        kinds = [kind for kind in GARBAGE_KINDS if kind != "utf8"]
        assert len(kinds) == venue.send_garbage(len(kinds), kinds=kinds)
        assert len(kinds) == len([await client.receive() for _ in kinds])


async def test_the_notice_of_an_upgrade() -> None:
    """Everybody is told that the connection will be closed."""
    async with still_venue() as venue, open_client(venue.url) as client:
        await client.send("ping")
        await client.receive()
        assert 1 == venue.shutdown_notice()
        notice = await client.receive_json()
        assert ("notice", "64008") == (notice["event"], notice["code"])
