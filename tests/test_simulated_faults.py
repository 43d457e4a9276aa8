"""Faults of single streams and requests of a simulated venue, and the account that it keeps of them."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import anyio
import msgspec
import pytest
from anyio.lowlevel import checkpoint

from bt_api_base.testing.simulated_venue import SimulatedVenue
from bt_api_base.testing.stream_faults import Fate, StreamFaults, StreamNoise
from tests.venue_peers import memory_client

if TYPE_CHECKING:
    from bt_api_base.testing.venue_records import StreamRecord
    from tests.venue_peers import MemoryClient

pytestmark = pytest.mark.anyio

START_NS = 1_700_000_000 * 1_000_000_000
BTC, ETH = "btcusdt@trade", "ethusdt@trade"


def still_venue(**options: Any) -> SimulatedVenue:
    """Return a venue in memory that moves only by `step` and keeps the ids of all events."""
    settings: dict[str, Any] = {"paused": True, "start_time_ns": START_NS, "keep_ids": True, "listen": False}
    return SimulatedVenue(("BTC-USDT", "ETH-USDT"), **{**settings, **options})


async def received(venue: SimulatedVenue, *clients: MemoryClient) -> list[dict[str, list[int]]]:
    """Have the venue close everything, and return the trade ids that each client got of each stream, in order."""
    results: list[dict[str, list[int]]] = [{} for _ in clients]

    async def read(client: MemoryClient, result: dict[str, list[int]]) -> None:
        for message in await client.messages():
            if "data" in message:
                result.setdefault(message["stream"], []).append(message["data"]["t"])

    async with anyio.create_task_group() as tasks:
        for client, result in zip(clients, results, strict=True):
            tasks.start_soon(read, client, result)
        await venue.close_with(1000)
    assert all(session.is_exact for session in venue.sessions)
    return results


def record(venue: SimulatedVenue, stream: str, session: int = 1) -> StreamRecord:
    """Return what was sent of a stream over a connection."""
    return venue.sessions[session - 1].streams[stream]


# Streams.


async def test_a_mute_stream_is_acknowledged_and_silent() -> None:
    """A mute stream is subscribed to like any other and listed, brings nothing, and holds up no other."""
    async with still_venue() as venue:
        venue.mute(BTC)
        client = await memory_client(venue)
        assert {"result": None, "id": 1} == await client.request("SUBSCRIBE", [BTC, ETH])
        assert [BTC, ETH] == (await client.request("LIST_SUBSCRIPTIONS", [], 2))["result"]
        await venue.step(60)
        withheld = record(venue, BTC).withheld
        assert withheld == len(venue.existing_ids(BTC)) == venue.withheld > 5
        venue.unmute(BTC)
        await venue.step(60)
        (got,) = await received(venue, client)
        assert venue.existing_ids(ETH) == got[ETH]
        assert venue.existing_ids(BTC)[withheld:] == got[BTC]
        assert venue.existing_ids(BTC)[:withheld] == venue.missing_ids(BTC)


@pytest.mark.virtual_time
async def test_a_mute_stream_comes_back_by_itself() -> None:
    """A stream can be mute for some time, also for those who come meanwhile."""
    async with SimulatedVenue(("BTC-USDT",), rate=50, listen=False) as venue:
        venue.mute(BTC, 10)
        client = await memory_client(venue)
        await client.request("SUBSCRIBE", [BTC])
        begin = anyio.current_time()
        await client.receive()
        assert 10 <= anyio.current_time() - begin < 12
        await client.aclose()


async def test_a_stream_is_mute_for_one_connection() -> None:
    """A fault can be for one connection only: the others get everything."""
    async with still_venue() as venue:
        one, other = await memory_client(venue), await memory_client(venue)
        for client in (one, other):
            await client.request("SUBSCRIBE", [BTC])
        venue.mute(BTC, connection=1)
        await venue.step(40)
        first, second = await received(venue, one, other)
        assert {} == first
        assert venue.existing_ids(BTC) == second[BTC]
        assert [] == venue.missing_ids(BTC)
        assert {1: [], 2: second[BTC]} == venue.sent_ids(BTC)


async def test_a_gap_in_a_sequence() -> None:
    """Skipped events happen, are numbered, and are never sent."""
    async with still_venue() as venue:
        client = await memory_client(venue)
        await client.request("SUBSCRIBE", [BTC, ETH])
        await venue.step(20)
        before = len(venue.existing_ids(BTC))
        venue.skip(BTC, 3)
        await venue.step(60)
        (got,) = await received(venue, client)
        existing = venue.existing_ids(BTC)
        missing = existing[before : before + 3]
        assert missing == venue.missing_ids(BTC)
        assert 3 == len(missing) == record(venue, BTC).withheld == venue.withheld
        assert [event_id for event_id in existing if event_id not in missing] == got[BTC]
        assert venue.existing_ids(ETH) == got[ETH]


async def test_events_sent_twice() -> None:
    """Repeated events follow themselves, and count twice as sent."""
    async with still_venue() as venue:
        client = await memory_client(venue)
        await client.request("SUBSCRIBE", [BTC])
        venue.repeat(BTC, 2)
        await venue.step(40)
        (got,) = await received(venue, client)
        first, second, *others = venue.existing_ids(BTC)
        assert [first, first, second, second, *others] == got[BTC] == venue.sent_ids(BTC)[1]
        assert 2 == record(venue, BTC).repeated
        assert [] == venue.missing_ids(BTC)


@pytest.mark.parametrize(
    ("distance", "order"), [(1, [1, 0, 3, 2, 4]), (2, [1, 2, 0, 4, 5, 3])], ids=["next", "two later"]
)
async def test_events_out_of_order(distance: int, order: list[int]) -> None:
    """Displaced events are sent after later ones, and nothing is lost."""
    async with still_venue() as venue:
        client = await memory_client(venue)
        await client.request("SUBSCRIBE", [BTC])
        venue.reorder(BTC, 2, distance=distance)
        await venue.step(60)
        (got,) = await received(venue, client)
        existing = venue.existing_ids(BTC)
        assert [existing[position] for position in order] == got[BTC][: len(order)]
        assert sorted(existing) == sorted(got[BTC])
        assert 2 == record(venue, BTC).displaced


async def test_an_event_that_waits_for_the_next_is_withheld_when_the_connection_goes() -> None:
    """What was to be sent late, and had no time left, is recorded as not sent."""
    async with still_venue() as venue:
        client = await memory_client(venue)
        await client.request("SUBSCRIBE", [BTC])
        venue.reorder(BTC, distance=1_000)
        await venue.step(40)
        (got,) = await received(venue, client)
        assert venue.existing_ids(BTC)[1:] == got[BTC]
        assert 1 == record(venue, BTC).withheld == venue.withheld
        assert venue.existing_ids(BTC)[:1] == venue.missing_ids(BTC)


async def disturbed(seed: int) -> tuple[list[int], list[int], StreamRecord]:
    """Return the ids that existed and arrived of a stream with faults at random, and its record."""
    async with still_venue(seed=seed) as venue:
        assert f"seed={seed}" in repr(venue)
        client = await memory_client(venue)
        await client.request("SUBSCRIBE", [BTC])
        venue.disturb(BTC, skip=0.1, repeat=0.1, reorder=0.1)
        await venue.step(300)
        venue.disturb(BTC)
        await venue.step(20)
        (got,) = await received(venue, client)
        return venue.existing_ids(BTC), got[BTC], record(venue, BTC)


async def test_faults_at_random_follow_from_the_seed() -> None:
    """The same seed makes the same faults; the record and the ledger agree with what arrived."""
    (existing, got, account), again, other = await disturbed(1), await disturbed(1), await disturbed(2)
    assert (existing, got) == again[:2]
    assert got != other[1]
    assert min(account.withheld, account.repeated, account.displaced) > 3
    assert len(existing) == len(got) + account.withheld - account.repeated
    assert len(set(existing) - set(got)) == account.withheld


@pytest.mark.parametrize(("skip", "repeat"), [(-0.1, 0.0), (0.6, 0.5), (1.1, 0.0)])
def test_probabilities(skip: float, repeat: float) -> None:
    """Faults at random have probabilities, at most 1 together."""
    with pytest.raises(ValueError, match="probabilities"):
        SimulatedVenue().disturb(BTC, skip=skip, repeat=repeat)


def test_a_fault_waits_for_its_connection() -> None:
    """A fault that is for one connection does not hold up those for others."""
    faults = StreamFaults("a@b", seed=1)
    assert faults.is_idle
    faults.arm(Fate.WITHHELD, 1, connection=7)
    faults.arm(Fate.REPEATED, 1)
    faults.arm(Fate.DISPLACED, 1, distance=1)
    assert Fate.REPEATED is faults.judge([1]).fate
    assert Fate.SENT is faults.judge([1], may_displace=False).fate
    assert (Fate.WITHHELD, 7) == ((verdict := faults.judge([1, 7])).fate, verdict.connection)
    assert Fate.DISPLACED is faults.judge([1]).fate
    assert faults.is_idle
    faults.noise = StreamNoise(reorder=1.0)
    assert Fate.DISPLACED is faults.judge([1]).fate
    assert Fate.SENT is faults.judge([1], may_displace=False).fate


async def test_numbers_begin_anew() -> None:
    """A sequence can be reset: trades, aggregates and book updates go on from a low number, without a hole."""
    async with still_venue() as venue:
        client = await memory_client(venue)
        streams = [BTC, "btcusdt@aggTrade", "btcusdt@depth@100ms", ETH]
        await client.request("SUBSCRIBE", streams)
        await venue.step(100)
        before = {stream: venue.existing_ids(stream) for stream in streams}
        venue.reset_sequence("BTC-USDT")
        await venue.step(100)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(venue.close_with, 1000)
            messages = [message for message in await client.messages() if "data" in message]
        for stream in streams[:2]:
            after = venue.existing_ids(stream)[len(before[stream]) :]
            assert list(range(1, 1 + len(after))) == after
        updates = [message["data"] for message in messages if message["stream"] == streams[2]]
        resets = [number for number, update in enumerate(updates) if update["U"] == 1]
        assert 1 == len(resets)
        for earlier, later in pairwise(updates):
            assert later["U"] in {1, earlier["u"] + 1}
        ids = venue.existing_ids(ETH)
        assert list(range(ids[0], ids[0] + len(ids))) == ids


# The ledger.


async def test_what_nobody_heard_existed_all_the_same() -> None:
    """Between two connections a stream goes on in the ledger: what is missing is exactly what neither of them got."""
    async with still_venue() as venue:
        first = await memory_client(venue)
        await first.request("SUBSCRIBE", [BTC, "btcusdt@bookTicker"])
        await venue.step(40)
        await venue.drain()
        await venue.disconnect_all()
        assert () == venue.subscriptions
        await venue.step(40)
        second = await memory_client(venue)
        await second.request("SUBSCRIBE", [BTC, "btcusdt@bookTicker"])
        await venue.step(40)
        await venue.drain()
        for stream in (BTC, "btcusdt@bookTicker"):
            sent, existing, missing = venue.sent_ids(stream), venue.existing_ids(stream), venue.missing_ids(stream)
            assert existing == sent[1] + missing + sent[2]
            assert min(len(sent[1]), len(missing), len(sent[2])) > 3
        await second.aclose()


async def test_the_ledger_is_optional() -> None:
    """Without `keep_ids` there is no ledger, and nothing is said about an unknown stream."""
    async with still_venue(keep_ids=False) as venue:
        for ask in (venue.existing_ids, venue.sent_ids, venue.missing_ids):
            with pytest.raises(RuntimeError, match="keep_ids"):
                ask(BTC)
    venue = still_venue()
    assert ([], {}, []) == (venue.existing_ids(BTC), venue.sent_ids(BTC), venue.missing_ids(BTC))


# Requests.


async def test_a_refused_stream_refuses_its_request() -> None:
    """A request with a refused stream gets an error and subscribes to nothing; the next one is served."""
    async with still_venue() as venue:
        venue.refuse_stream(BTC, -1_121, "Invalid symbol.")
        client = await memory_client(venue)
        assert {"code": -1_121, "msg": "Invalid symbol.", "id": 1} == await client.request("SUBSCRIBE", [ETH, BTC])
        assert [] == (await client.request("LIST_SUBSCRIPTIONS", [], 2))["result"]
        assert {"result": None, "id": 3} == await client.request("SUBSCRIBE", [BTC], 3)
        assert (3, 1) == (venue.sessions[0].requests, venue.sessions[0].refusals)
        venue.refuse_stream(ETH)
        assert 2 == (await client.request("SUBSCRIBE", [ETH], 4))["code"]
        await client.aclose()


async def test_an_ignored_stream_is_acknowledged_and_not_subscribed_to() -> None:
    """A request can go unheeded for one of its streams; the list of subscriptions tells."""
    async with still_venue() as venue:
        venue.ignore_stream(BTC)
        client = await memory_client(venue)
        assert {"result": None, "id": 1} == await client.request("SUBSCRIBE", [BTC, ETH])
        assert [ETH] == (await client.request("LIST_SUBSCRIPTIONS", [], 2))["result"]
        assert (ETH,) == venue.subscriptions
        await client.request("SUBSCRIBE", [BTC], 3)
        assert (ETH, BTC) == venue.subscriptions
        await client.aclose()


async def test_the_list_of_subscriptions_follows_what_is_subscribed_to() -> None:
    """It names the streams of the URL and of requests, the oldest first, without those left."""
    async with still_venue() as venue:
        client = await memory_client(venue, target=f"/stream?streams={ETH}")
        await client.request("SUBSCRIBE", [BTC, ETH, "!miniTicker@arr"])
        await client.request("UNSUBSCRIBE", [ETH], 2)
        assert [BTC, "!miniTicker@arr"] == (await client.request("LIST_SUBSCRIPTIONS", [], 3))["result"]
        await client.request("SUBSCRIBE", [ETH], 4)
        assert [BTC, "!miniTicker@arr", ETH] == (await client.request("LIST_SUBSCRIPTIONS", [], 5))["result"]
        await client.aclose()


def subscribe(stream: str, request_id: int) -> bytes:
    """Return a request to subscribe."""
    return msgspec.json.encode({"method": "SUBSCRIBE", "params": [stream], "id": request_id})


async def test_missing_acknowledgements() -> None:
    """A withheld acknowledgement is never sent, and its stream brings data."""
    async with still_venue() as venue:
        venue.withhold_acks(2)
        client = await memory_client(venue)
        await client.send(subscribe(BTC, 1))
        await client.send(subscribe(ETH, 2))
        await client.send(subscribe("btcusdt@depth", 3))
        assert {"result": None, "id": 3} == await client.receive_json()
        session = venue.sessions[0]
        assert (1, 2) == (session.acknowledgements, session.withheld_acknowledgements)
        assert (BTC, ETH, "btcusdt@depth") == venue.subscriptions
        await venue.step(20)
        assert "stream" in await client.receive_json()
        await client.aclose()


@pytest.mark.virtual_time
async def test_late_acknowledgements() -> None:
    """A delayed acknowledgement comes after its time, in the order of the requests; data and other replies do not."""
    async with still_venue() as venue:
        venue.delay_acks(3, count=2)
        client = await memory_client(venue)
        begin = anyio.current_time()
        await client.send(subscribe(BTC, 1))
        await client.send(subscribe(ETH, 2))
        await client.send(subscribe("btcusdt@depth", 3))
        assert {"result": None, "id": 3} == await client.receive_json()
        assert [] != (await client.request("LIST_SUBSCRIPTIONS", [], 4))["result"]
        await venue.step(1)
        assert 0 == pytest.approx(anyio.current_time() - begin)
        replies: list[Any] = []
        while len(replies) < 2:
            message = await client.receive_json()
            replies += [message["id"]] if "id" in message else []
        assert [1, 2] == replies
        assert 3 == pytest.approx(anyio.current_time() - begin)
        assert 2 == venue.sessions[0].delayed_acknowledgements
        await client.aclose()


@pytest.mark.virtual_time
async def test_late_acknowledgements_until_further_notice() -> None:
    """All acknowledgements can be late; none is, once told so, and one of a lost connection is forgotten."""
    async with still_venue() as venue:
        venue.delay_acks(1, count=None)
        client, lost = await memory_client(venue), await memory_client(venue)
        begin = anyio.current_time()
        await lost.send(subscribe(BTC, 1))
        await checkpoint()
        await lost.aclose()
        for number in (1, 2):
            assert number == (await client.request("SUBSCRIBE", [BTC], number))["id"]
        venue.delay_acks(0, count=0)
        await client.request("SUBSCRIBE", [ETH], 3)
        assert 2 == pytest.approx(anyio.current_time() - begin)
        await client.aclose()
