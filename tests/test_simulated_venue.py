"""The simulated venue, driven by clients that share no code with this package: protocol, books, records, faults."""

from __future__ import annotations

from typing import Any

import anyio
import msgspec
import pytest
import trio_websocket

from bt_api_base.testing.leaks import assert_no_leaks
from bt_api_base.testing.peer import Ending
from bt_api_base.testing.simulated_venue import SimulatedVenue
from tests.venue_peers import Client, PeerClosedError, end_of, memory_client, open_client

pytestmark = pytest.mark.anyio

START_NS = 1_700_000_000 * 1_000_000_000
EVERY_CHANNEL = (
    "btcusdt@trade",
    "btcusdt@aggTrade",
    "btcusdt@bookTicker",
    "btcusdt@depth@100ms",
    "btcusdt@depth",
    "btcusdt@depth5@100ms",
    "btcusdt@depth10",
    "btcusdt@depth20@100ms",
    "btcusdt@kline_1s",
    "btcusdt@kline_1m",
    "btcusdt@ticker",
    "btcusdt@miniTicker",
)


def still_venue(*symbols: str, **options: Any) -> SimulatedVenue:
    """Return a venue that moves only by `step`, with repeatable timestamps."""
    return SimulatedVenue(symbols or ("BTC-USDT",), paused=True, rate=100, start_time_ns=START_NS, **options)


async def collect(venue: SimulatedVenue, client: Client) -> list[dict[str, Any]]:
    """Have the venue close its connections and return all that arrived before, decoded."""
    received: list[dict[str, Any]] = []

    async def read() -> None:
        received.extend([message async for message in client.messages()])

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        await venue.close_with(1000)
    return received


# Protocol.


async def test_subscribe_and_unsubscribe() -> None:
    """A request is acknowledged before the first data; after unsubscribing there are no more."""
    async with still_venue() as venue, open_client(venue.url) as client:
        await client.send('{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":1}')
        assert '{"result":null,"id":1}' == await client.receive()
        await venue.step(40)
        assert "btcusdt@trade" == (await client.receive_json())["stream"]
        assert {"result": None, "id": 2} == await client.request("UNSUBSCRIBE", ["btcusdt@trade"], 2)
        sent = venue.sent_total
        await venue.step(40)
        assert {"result": [], "id": 3} == await client.request("LIST_SUBSCRIPTIONS", request_id=3)
        assert sent == venue.sent_total


@pytest.mark.parametrize(
    ("path", "combined"),
    [("/ws/btcusdt@trade", False), ("/stream?streams=btcusdt@trade", True), ("/ws/btcusdt@trade/x@y", False)],
)
async def test_streams_in_the_url(path: str, combined: bool) -> None:
    """Streams named in the URL need no request, and come raw or combined as the endpoint says."""
    async with still_venue() as venue, open_client(f"ws://127.0.0.1:{venue.port}{path}") as client:
        await venue.step(40)
        message = await client.receive_json()
        assert ["stream", "data"] == list(message) if combined else "trade" == message["e"]


async def test_the_combined_property_changes_the_form() -> None:
    """Data change between raw and combined with the property, from the next frame on."""
    async with still_venue() as venue, open_client(venue.ws_url) as client:
        await client.request("SUBSCRIBE", ["btcusdt@trade"])
        assert {"result": False, "id": 2} == await client.request("GET_PROPERTY", ["combined"], 2)
        await client.request("SET_PROPERTY", ["combined", True], 3)
        await venue.step(40)
        assert "btcusdt@trade" == (await client.receive_json())["stream"]


async def test_microseconds() -> None:
    """`timeUnit=MICROSECOND` in the URL makes every timestamp of the connection one in microseconds."""
    target = "/stream?streams=btcusdt@trade&timeUnit=MICROSECOND"
    async with still_venue() as venue, open_client(f"ws://127.0.0.1:{venue.port}{target}") as client:
        await venue.step(40)
        assert 16 == len(str((await client.receive_json())["data"]["E"]))


async def test_nothing_at_other_paths() -> None:
    """Any other path is not found."""
    async with SimulatedVenue() as venue, await anyio.connect_tcp("127.0.0.1", venue.port) as stream:
        await stream.send(
            b"GET /api HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        assert b"HTTP/1.1 404 Not Found" == (await stream.receive()).partition(b"\r\n")[0]
        assert [] == venue.sessions


async def test_unknown_streams_stay_silent() -> None:
    """An unknown symbol, an unknown channel, and a symbol in upper case are acknowledged and never heard of."""
    async with still_venue() as venue, open_client(venue.url) as client:
        names = ["nosuch@trade", "btcusdt@nosuch", "BTCUSDT@trade"]
        assert {"result": None, "id": 1} == await client.request("SUBSCRIBE", names)
        await venue.step(200)
        assert [] == await collect(venue, client)
        assert tuple(venue.sessions[0].streams) == tuple(names)


async def test_refusals_are_counted() -> None:
    """A refused request is answered, recorded, and does not end the connection."""
    async with still_venue() as venue, open_client(venue.url) as client:
        assert 2 == (await client.request("SUBSCRIBE", [7]))["code"]
        assert 3 == (await client.request("LIST_SUBSCRIPTIONS"))["id"] + 2
        assert (2, 1) == (venue.sessions[0].requests, venue.sessions[0].refusals)


@pytest.mark.parametrize("pongs", [0, 3])
async def test_too_many_messages(pongs: int) -> None:
    """The sixth message within a second ends the connection; pongs count like requests."""
    async with SimulatedVenue(rate=1) as venue, open_client(venue.url) as client:
        for _ in range(pongs):
            await client.pong()
        for _ in range(5 - pongs):
            await client.send('{"method":"LIST_SUBSCRIPTIONS","id":1}')
        for _ in range(5 - pongs):
            assert {"result": [], "id": 1} == await client.receive_json()
        await client.send('{"method":"LIST_SUBSCRIPTIONS","id":2}')
        closed = await client.wait_closed()
        assert (1008, "Too many requests") == (closed.code, closed.reason)
        assert 5 - pongs == venue.sessions[0].requests


async def test_the_limits_can_be_set() -> None:
    """A test that sends more messages, or wants fewer streams, says so."""
    async with (
        SimulatedVenue(rate=1, max_messages_per_second=None, max_streams=1) as venue,
        open_client(venue.url) as client,
    ):
        for number in range(20):
            assert number == (await client.request("LIST_SUBSCRIPTIONS", request_id=number))["id"]
        assert "too many parameters" in (await client.request("SUBSCRIBE", ["a@b", "c@d"]))["msg"]


@pytest.mark.virtual_time
async def test_pings_are_answered_or_the_connection_ends() -> None:
    """Every 20 seconds a ping with a payload; without its pong within 60 seconds the connection is closed."""
    async with SimulatedVenue(listen=False, paused=True) as venue:
        good, bad = await memory_client(venue), await memory_client(venue, answers_pings=False)
        begin = anyio.current_time()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(good.wait_closed)
            assert (1008, "Pong timeout") == await bad.wait_closed()
            assert 80 == pytest.approx(anyio.current_time() - begin)
            assert 3 <= len(bad.pings)
            await anyio.sleep(200)
            assert 13 <= len(good.pings)
            assert all(payload.isdigit() for payload in good.pings)
            assert [Ending.OPEN, Ending.CLOSED_BY_VENUE] == [session.ending for session in venue.sessions]
            tasks.cancel_scope.cancel()


@pytest.mark.virtual_time
async def test_virtual_time() -> None:
    """Over bytes in memory, an hour of the market is as long as its frames."""
    async with SimulatedVenue(("BTC-USDT",), rate=0.1, listen=False) as venue:
        client = await memory_client(venue)
        await client.request("SUBSCRIBE", ["btcusdt@kline_1m"])
        await anyio.sleep(600)
        assert 600 == pytest.approx(venue.market_time, abs=0.2)
        venue.pause()
        await anyio.sleep(600)
        assert 600 == pytest.approx(venue.market_time, abs=0.2)


# The market on the wire.


async def every_frame(seed: int) -> list[str]:
    """Return what a connection to all channels receives in a minute of the market."""
    async with still_venue(seed=seed) as venue, open_client(venue.url) as client:
        await client.request("SUBSCRIBE", list(EVERY_CHANNEL))
        await venue.step(800)
        return [msgspec.json.encode(message).decode() for message in await collect(venue, client)]


async def test_same_seed_same_bytes() -> None:
    """The same seed and the same steps give the same frames, timestamps included; another seed gives others."""
    first, second, other = await every_frame(1), await every_frame(1), await every_frame(2)
    assert first == second
    assert first != other
    assert set(EVERY_CHANNEL) == {msgspec.json.decode(frame)["stream"] for frame in first}


def apply(book: dict[str, dict[str, str]], event: dict[str, Any]) -> None:
    """Apply a depth update to a local book as the venue's documentation says."""
    for side in ("b", "a"):
        for price, quantity in event[side]:
            book[side][price] = quantity
            if float(quantity) == 0:
                del book[side][price]


def top(book: dict[str, dict[str, str]], side: str, levels: int) -> list[list[str]]:
    """Return the best levels of a local book's side."""
    return [list(level) for level in sorted(book[side].items(), key=lambda item: float(item[0]), reverse=side == "b")][
        :levels
    ]


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_one_market_behind_all_channels(seed: int) -> None:
    """Partial depth, differences, book ticker, trades and bars of one symbol agree with each other, frame by frame."""
    async with still_venue(seed=seed) as venue, open_client(venue.url) as client:
        await client.request("SUBSCRIBE", list(EVERY_CHANNEL))
        snapshot = venue.markets["BTC-USDT"].depth()
        await venue.step(1_500)
        messages = await collect(venue, client)
    text = msgspec.json.encode(
        [
            [[f"{price / 1e8:.8f}", f"{quantity / 1e8:.8f}"] for price, quantity in side]
            for side in (snapshot.bids, snapshot.asks)
        ]
    )
    bids, asks = msgspec.json.decode(text)
    book = {"b": dict(bids), "a": dict(asks)}
    last_update, ticker, trades = snapshot.last_update_id, None, []
    partials = 0
    for message in messages:
        stream, data = message["stream"], message["data"]
        if stream == "btcusdt@trade":
            assert not trades or trades[-1]["t"] + 1 == data["t"]
            trades.append(data)
        elif stream == "btcusdt@bookTicker":
            ticker = data
        elif stream == "btcusdt@depth@100ms":
            assert last_update + 1 == data["U"]
            last_update = data["u"]
            apply(book, data)
            if ticker is not None:
                assert top(book, "b", 1) == [[ticker["b"], ticker["B"]]]
                assert top(book, "a", 1) == [[ticker["a"], ticker["A"]]]
        elif stream in {"btcusdt@depth5@100ms", "btcusdt@depth20@100ms"}:
            partials += 1
            assert last_update == data["lastUpdateId"]
            assert top(book, "b", len(data["bids"])) == data["bids"]
            assert top(book, "a", len(data["asks"])) == data["asks"]
        elif stream == "btcusdt@kline_1s" and data["k"]["x"]:
            bar = data["k"]
            within = [trade for trade in trades if bar["f"] <= trade["t"] <= bar["L"]]
            assert bar["n"] == len(within)
            assert all(bar["t"] <= trade["T"] <= bar["T"] for trade in within)
            assert bar["v"] == f"{sum(round(float(trade['q']) * 1e8) for trade in within) / 1e8:.8f}"
        elif stream == "btcusdt@ticker":
            assert (data["L"], data["c"]) == (trades[-1]["t"], trades[-1]["p"])
            assert data["n"] == len(trades)
    assert partials > 20


# Pace.


async def test_markets_keep_their_rate() -> None:
    """In real time the markets take their steps, whether or not anybody listens."""
    async with SimulatedVenue(("BTC-USDT", "ETH-USDT"), rate=1_000) as venue:
        before = [market.book.update_id for market in venue.markets.values()]
        with anyio.fail_after(5):
            while venue.market_time < 0.01:  # noqa: ASYNC110 - the venue tells nobody that its time has passed
                await anyio.sleep(0.005)
        after = [market.book.update_id for market in venue.markets.values()]
        assert all(now > then for then, now in zip(before, after, strict=True))
        venue.pause()
        assert venue.is_paused
        stopped = venue.market_time
        await anyio.sleep(0.02)
        assert stopped == venue.market_time
        venue.resume()
        with anyio.fail_after(5):
            while venue.market_time == stopped:  # noqa: ASYNC110 - the same
                await anyio.sleep(0.005)


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_a_rate_must_be_possible(rate: float) -> None:
    """A rate is positive and finite."""
    with pytest.raises(ValueError, match="rate"):
        SimulatedVenue(rate=rate)


@pytest.mark.parametrize("symbols", [(), ("BTC-USDT", "BTC-USDT")])
def test_symbols_must_differ(symbols: tuple[str, ...]) -> None:
    """A venue has at least one market, and no market twice."""
    with pytest.raises(ValueError, match="symbols"):
        SimulatedVenue(symbols)


# Records.


async def test_a_clean_close_makes_the_record_exact() -> None:
    """After the venue has closed and the client has answered, the record is what the client received, to the id."""
    async with still_venue("BTC-USDT", "ETH-USDT", keep_ids=True) as venue, open_client(venue.url) as client:
        await client.request("SUBSCRIBE", ["btcusdt@trade", "ethusdt@bookTicker", "btcusdt@nosuch"])
        await venue.step(300)
        received = await collect(venue, client)
        (session,) = venue.sessions
        await end_of(session)
        assert (Ending.CLOSED_BY_VENUE, 1000, True) == (session.ending, session.close_code, session.is_exact)
        trades = [message["data"]["t"] for message in received if message["stream"] == "btcusdt@trade"]
        quotes = [message["data"]["u"] for message in received if message["stream"] == "ethusdt@bookTicker"]
        assert trades == session.streams["btcusdt@trade"].ids
        assert quotes == session.streams["ethusdt@bookTicker"].ids
        record = session.streams["btcusdt@trade"]
        assert (len(trades), trades[0], trades[-1]) == (record.count, record.first_id, record.last_id)
        assert 0 == session.streams["btcusdt@nosuch"].count
        assert len(received) == session.sent == venue.sent_total
        assert 1 == session.control.count


async def test_a_cut_makes_the_record_an_upper_bound() -> None:
    """After a reset the client has received the first of what is recorded, in order, without a hole."""
    async with still_venue(keep_ids=True) as venue, open_client(venue.url) as client:
        await client.request("SUBSCRIBE", ["btcusdt@trade"])
        await venue.step(300)
        received = [(await client.receive_json())["data"]["t"] for _ in range(10)]
        assert 1 == await venue.disconnect_all()
        received += [message["data"]["t"] async for message in client.messages()]
        (session,) = venue.sessions
        assert (Ending.CUT, None, False) == (session.ending, session.close_code, session.is_exact)
        ids = session.streams["btcusdt@trade"].ids
        assert ids is not None
        assert ids[: len(received)] == received


async def test_a_client_that_closes_is_recorded() -> None:
    """The venue tells a client that closed from one that vanished."""
    async with SimulatedVenue(rate=1) as venue:
        async with open_client(venue.url) as client:
            await client.request("LIST_SUBSCRIPTIONS")
        session = await end_of(venue.sessions[0])
        assert (Ending.CLOSED_BY_CLIENT, 1000) == (session.ending, session.close_code)
        vanishing = await memory_client(venue)
        await vanishing.aclose()
        assert Ending.LOST == (await end_of(venue.sessions[1])).ending
        assert 0 == venue.connections


# Faults.


async def test_reset() -> None:
    """Connections can be reset: no close frame, and the next connection is welcome at once."""
    async with SimulatedVenue() as venue:
        async with open_client(venue.url) as client:
            await venue.disconnect_all()
            assert 1000 != (await client.wait_closed()).code
        async with open_client(venue.url) as client:
            assert 1 == (await client.request("LIST_SUBSCRIPTIONS"))["id"]


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1001, "Going away"), (1011, "boom"), (4321, "näher")])
async def test_close_with_a_code(code: int, reason: str) -> None:
    """Connections can be closed with any code and reason, after what was sent before."""
    async with still_venue() as venue, open_client(f"{venue.url}?streams=btcusdt@trade") as client:
        await venue.step(40)
        closed: list[PeerClosedError] = []

        async def read() -> None:
            closed.append(await client.wait_closed())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            await venue.close_with(code, reason)
        assert [(code, reason)] == [(error.code, error.reason) for error in closed]
        assert venue.sessions[0].is_exact


async def can_connect(venue: SimulatedVenue) -> bool:
    """Try to connect."""
    try:
        async with open_client(venue.url):
            return True
    except (OSError, trio_websocket.HandshakeError):
        return False


async def test_killed_and_revived() -> None:
    """A dead venue refuses connections, and comes back at the same port."""
    async with SimulatedVenue() as venue:
        port = venue.port
        async with open_client(venue.url) as client:
            assert 1 == await venue.kill()
            await client.wait_closed()
        assert not await can_connect(venue)
        await venue.revive()
        assert port == venue.port
        assert await can_connect(venue)
        await venue.revive()  # once more does no harm


async def test_dead_for_a_while() -> None:
    """A venue killed for some time comes back by itself."""
    async with SimulatedVenue() as venue:
        await venue.kill(0.2)
        assert not await can_connect(venue)
        with anyio.fail_after(5):
            while not await can_connect(venue):  # noqa: ASYNC110 - the venue tells nobody that it is back
                await anyio.sleep(0.02)


async def test_refusing_leaves_connections_alone() -> None:
    """New connections can be refused while old ones go on."""
    async with SimulatedVenue() as venue, open_client(venue.url) as client:
        await venue.refuse()
        assert not await can_connect(venue)
        assert 1 == (await client.request("LIST_SUBSCRIPTIONS"))["id"]


async def test_a_later_kill_outlasts_an_earlier_one() -> None:
    """The timer of an earlier, shorter death does not revive a venue that was killed again for good."""
    async with SimulatedVenue() as venue:
        await venue.kill(0.01)
        await venue.kill()
        await anyio.sleep(0.03)
        assert not await can_connect(venue)


async def test_a_stall_is_open_and_silent() -> None:
    """In a stall nothing arrives, neither data nor replies; afterwards replies come late and data are missing."""
    async with still_venue(keep_ids=True) as venue, open_client(venue.url) as client:
        await client.request("SUBSCRIBE", ["btcusdt@trade"])
        venue.stall(0.3)  # long enough for all that follows, however busy the machine
        await venue.step(100)
        withheld = venue.withheld
        assert withheld > 0
        await client.send('{"method":"LIST_SUBSCRIPTIONS","id":9}')
        with anyio.move_on_after(0.02) as silence:
            await client.receive()
        assert silence.cancelled_caught
        assert 9 == (await client.receive_json())["id"]
        await venue.step(100)
        received = await collect(venue, client)
        assert len(received) == venue.sent_total
        assert withheld == venue.withheld


@pytest.mark.virtual_time
async def test_a_stall_holds_up_handshakes_and_keeps_connections() -> None:
    """A new connection gets no answer while the venue is stalled, and pings missed in it end nothing."""
    async with SimulatedVenue(listen=False, paused=True) as venue:
        client = await memory_client(venue)
        begin = anyio.current_time()
        venue.stall(5)
        await memory_client(venue)
        assert 5 == pytest.approx(anyio.current_time() - begin)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.wait_closed)
            await anyio.sleep(20)
            venue.stall(100)
            venue.stall(1)
            await anyio.sleep(150)
            assert 2 == venue.connections
            tasks.cancel_scope.cancel()


async def test_garbage() -> None:
    """Bad frames of each kind go to every connection and are recorded apart from data."""
    async with still_venue() as venue, open_client(f"{venue.url}?streams=btcusdt@trade") as client:
        assert 6 == venue.send_garbage(6, kinds=("text", "truncated", "types", "shape"))
        frames = [await client.receive() for _ in range(6)]
        assert "<html>" in str(frames[0])
        with pytest.raises(msgspec.DecodeError):
            msgspec.json.decode(frames[1])
        assert "btcusdt@trade" == msgspec.json.decode(frames[2])["stream"]
        assert frames[0] == frames[4]
        assert (6, 0) == (venue.sessions[0].garbage.count, venue.sent_total)


@pytest.mark.virtual_time
async def test_text_that_is_no_utf8() -> None:
    """Garbage of the kind "utf8" is a text frame that cannot be decoded."""
    async with still_venue(listen=False) as venue:
        client = await memory_client(venue)
        venue.send_garbage(kinds=["utf8"])
        with pytest.raises(UnicodeDecodeError):
            (await client.receive()).decode()


async def test_shutdown_notice() -> None:
    """The notice comes raw or combined, like data."""
    async with still_venue() as venue, open_client(venue.url) as combined, open_client(venue.ws_url) as raw:
        assert 2 == venue.shutdown_notice()
        message = await combined.receive_json()
        assert ("!serverShutdown", "serverShutdown") == (message["stream"], message["data"]["e"])
        assert ["e", "E"] == list(await raw.receive_json())


async def test_a_slow_client_is_cut_off_and_stops_nobody() -> None:
    """A client that does not read is cut off when too much has collected; market and others go on without waiting."""
    async with still_venue(max_outgoing_bytes=200_000) as venue:
        slow = await memory_client(venue)
        await slow.request("SUBSCRIBE", ["btcusdt@depth20@100ms"])
        async with open_client(f"{venue.url}?streams=btcusdt@trade") as quick:
            received = []
            with anyio.fail_after(10):
                while venue.sessions[0].closed_at is None:
                    trades = venue.sessions[1].sent
                    await venue.step(100)
                    while len(received) < trades:
                        received.append(await quick.receive_json())
            session = venue.sessions[0]
            assert (Ending.OVERFLOW, False) == (session.ending, session.is_exact)
            assert 1 == venue.connections
            received += await collect(venue, quick)
            assert len(received) == venue.sessions[1].sent


@pytest.mark.virtual_time
@pytest.mark.parametrize("accepted", [True, False])
async def test_compression_on_request(accepted: bool) -> None:
    """A venue that accepts permessage-deflate sends the same data, compressed for each connection."""
    async with still_venue(listen=False, compression=accepted) as venue:
        client = await memory_client(venue, compression=True)
        assert accepted == client.is_compressed
        await client.request("SUBSCRIBE", ["btcusdt@depth20@100ms"])
        await venue.step(100)
        messages = [msgspec.json.decode(await client.receive()) for _ in range(5)]
        assert {"btcusdt@depth20@100ms"} == {message["stream"] for message in messages}


# Lifetime.


async def test_leaving_closes_everything() -> None:
    """After the block no task, socket or thread is left, and clients were told with code 1001."""
    async with assert_no_leaks():
        async with SimulatedVenue(rate=500) as venue:
            client_closed: list[PeerClosedError] = []

            async def listen(*, task_status: Any) -> None:
                async with open_client(f"{venue.url}?streams=btcusdt@trade") as client:
                    task_status.started()
                    client_closed.append(await client.wait_closed())

            async with anyio.create_task_group() as tasks:
                await tasks.start(listen)
                await anyio.sleep(0.01)
                await venue.close_with(1001, "Server shutting down")
        assert [1001] == [error.code for error in client_closed]


async def test_leaving_says_goodbye() -> None:
    """Connections that are open when the block ends are closed with code 1001."""
    closed: list[tuple[int, str]] = []
    async with anyio.create_task_group() as tasks, SimulatedVenue(listen=False) as venue:
        client = await memory_client(venue)

        async def read() -> None:
            closed.append(await client.wait_closed())

        tasks.start_soon(read)
    assert [(1001, "Server shutting down")] == closed


async def test_an_error_in_the_block_comes_out_as_it_is() -> None:
    """The venue does not wrap the block's error, and closes everything at once."""
    async with assert_no_leaks():
        with pytest.raises(ZeroDivisionError):
            async with SimulatedVenue() as venue:
                client = await memory_client(venue)
                raise ZeroDivisionError
        await client.aclose()


async def test_cancellation() -> None:
    """A cancelled block ends at once and leaves nothing, also while the venue is dead or stalled."""
    async with assert_no_leaks():
        for fault in (None, "kill", "stall"):
            with anyio.move_on_after(0.03) as scope:
                async with SimulatedVenue(rate=2_000) as venue, open_client(venue.url):
                    if fault == "kill":
                        await venue.kill(30)
                    elif fault == "stall":
                        venue.stall(30)
                    await anyio.sleep_forever()
            assert scope.cancelled_caught


async def test_a_venue_can_run_again() -> None:
    """After its block, even one that failed while it was stalled, a venue can be entered again, at the same port."""
    venue = SimulatedVenue()
    with pytest.raises(ZeroDivisionError):
        async with venue:
            venue.stall(30)
            port = venue.port
            raise ZeroDivisionError
    async with venue, open_client(venue.url) as client:
        assert 1 == (await client.request("LIST_SUBSCRIPTIONS"))["id"]
        assert port == venue.port


async def test_faults_need_a_running_venue() -> None:
    """Outside its block a venue has no connections to break."""
    venue = SimulatedVenue()
    with pytest.raises(RuntimeError, match="async with"):
        venue.stall(1)
