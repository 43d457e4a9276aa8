"""A dialect made up for this test, on all that venues share: what a new one has to say, and that faults work in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import anyio
import attrs
import msgspec
import pytest
from typing_extensions import override

from bt_api_base.testing.dialect import Answer, Dialect, DialectClient, Reply, ReplyKind
from bt_api_base.testing.market_venue import MarketVenue
from tests.venue_peers import MemoryClient, memory_client

if TYPE_CHECKING:
    from bt_api_base.testing.garbage import GarbageKind
    from bt_api_base.testing.market import MarketStep
    from bt_api_base.testing.market_hub import Hub
    from bt_api_base.testing.venue import Venue
    from bt_api_base.testing.venue_connection import VenueConnection
    from bt_api_base.testing.venue_faults import RequestFaults
    from bt_api_base.testing.venue_options import VenueOptions

pytestmark = pytest.mark.anyio


def encode(**message: object) -> bytes:
    """Return a message."""
    return msgspec.json.encode(message)


@attrs.define(eq=False)
class CornerClient(DialectClient):
    """Speaks like this: text "ping", {"login": key}, {"want": [streams]}, each stream acknowledged for itself."""

    faults: RequestFaults
    _streams: dict[str, None] = attrs.field(factory=dict[str, None])
    _is_known: bool = False

    @property
    @override
    def streams(self) -> tuple[str, ...]:
        return tuple(self._streams)

    @override
    def answer(self, message: bytes) -> Answer:
        if message == b"ping":
            return Answer((Reply(b"pong", ReplyKind.HEARTBEAT),))
        request: dict[str, Any] = msgspec.json.decode(message)
        if "login" in request:
            refused = self.faults.login_refusal()
            if refused is not None:
                return Answer(
                    (Reply(encode(no=refused.code, why=refused.message), ReplyKind.REFUSAL),), close=(4001, "out")
                )
            self._is_known = True
            return Answer((Reply(encode(hello=request["login"]), ReplyKind.LOGIN),))
        replies, added = list[Reply](), list[str]()
        for name in request["want"]:
            refused = self.faults.stream_refusal(name)
            if refused is not None:
                replies.append(Reply(encode(no=refused.code, stream=name), ReplyKind.REFUSAL))
            elif not self.faults.is_ignored(name):
                replies.append(Reply(encode(ok=name), ReplyKind.ACK))
                added.append(name)
        self._streams.update(dict.fromkeys(added))
        return Answer(tuple(replies), added=tuple(added))


class CornerDialect(Dialect):
    """Its frames are {"of": stream, "is": data}."""

    default_options: ClassVar[VenueOptions] = {"max_messages_per_second": None}
    path: ClassVar[str] = "/corner"

    @override
    def client(self, target: str, options: VenueOptions, faults: RequestFaults) -> DialectClient | None:
        return CornerClient(faults) if target == self.path else None

    @override
    def payload(self, stream: str, form: object, event: Any) -> bytes:
        return b'{"of":"%b","is":%b}' % (stream.encode(), super().payload(stream, form, event))

    @override
    def shutdown_notice(self, client: DialectClient, time_us: int) -> bytes:
        return encode(bye=time_us)

    @override
    def garbage(self, client: DialectClient, kind: GarbageKind) -> bytes:
        return kind.encode()


@attrs.frozen
class CornerKey:
    """A stream's name is "trade SYMBOL"."""

    channel: str
    symbol: str
    period_ms: int = 0


class CornerVenue(MarketVenue):
    """Seeded markets, told on the corner, with a greeting first."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            CornerDialect(),
            ("BTC-USDT", "ETH-USDT"),
            exchange_name="CORNER___SPOT",
            paused=True,
            listen=False,
            **options,
        )

    @override
    def _parse_stream(self, name: str) -> CornerKey | None:
        return CornerKey(*name.split()) if name.startswith("trade ") else None

    @override
    def _follow_step(self, hub: Hub, step: MarketStep) -> None:
        for feed in hub.feeds.of("trade"):
            for trade in step.trades:
                self._publish(feed, trade.id, b"%d" % trade.id)

    @override
    def _subscribed(self, connection: VenueConnection, names: tuple[str, ...]) -> None:
        for name in names:
            self._publish(self._feeds[name], None, b'"welcome"', to=connection)


BTC, ETH = "trade BTC-USDT", "trade ETH-USDT"


async def connected(venue: Venue) -> MemoryClient:
    """Connect."""
    return await memory_client(venue, target="/corner")


async def test_requests_of_another_dialect() -> None:
    """Messages get the dialect's replies, streams begin with what comes first, and heartbeats are no requests."""
    async with CornerVenue() as venue:
        assert f"ws://127.0.0.1:{venue.port}/corner" == venue.url
        client = await connected(venue)
        await client.send(b"ping")
        assert b"pong" == await client.receive()
        await client.send(encode(want=[BTC, ETH]))
        expected = [{"ok": BTC}, {"ok": ETH}, {"of": BTC, "is": "welcome"}, {"of": ETH, "is": "welcome"}]
        assert expected == [await client.receive_json() for _ in range(4)]
        assert (1, 2) == (venue.sessions[0].requests, venue.sessions[0].acknowledgements)
        await client.aclose()


async def test_faults_in_another_dialect() -> None:
    """Partial acknowledgements, refusals, missing ones, gaps and repetitions need nothing of the dialect but to ask."""
    async with CornerVenue(keep_ids=True) as venue:
        client = await connected(venue)
        venue.refuse_stream(BTC, "60018")
        await client.send(encode(want=[BTC, ETH]))
        expected = [{"no": "60018", "stream": BTC}, {"ok": ETH}, {"of": ETH, "is": "welcome"}]
        assert expected == [await client.receive_json() for _ in range(3)]
        venue.ignore_stream(BTC)
        await client.send(encode(want=[BTC]))
        venue.withhold_acks()
        await client.send(encode(want=[BTC]))
        assert {"of": BTC, "is": "welcome"} == await client.receive_json()
        venue.skip(BTC)
        venue.repeat(ETH)
        await venue.step(40)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(venue.close_with, 1000)
            data = await client.messages()
        for stream in (BTC, ETH):
            assert venue.sent_ids(stream)[1] == [message["is"] for message in data if message["of"] == stream]
        first, *others = venue.existing_ids(BTC)
        assert others == venue.sent_ids(BTC)[1]
        assert [first] == venue.missing_ids(BTC)
        assert 1 == venue.sessions[0].streams[ETH].repeated


async def test_a_refused_log_in() -> None:
    """A correct log-in can be refused; the dialect says how, and whether the connection ends."""
    async with CornerVenue() as venue:
        venue.refuse_logins("60009", "Login failed.", count=1)
        client = await connected(venue)
        await client.send(encode(login="key"))
        assert {"no": "60009", "why": "Login failed."} == await client.receive_json()
        assert (4001, "out") == await client.wait_closed()
        other = await connected(venue)
        venue.shutdown_notice()
        venue.send_garbage(kinds=["shape"])
        await other.send(encode(login="key"))
        assert "bye" in await other.receive_json()
        assert b"shape" == await other.receive()
        assert {"hello": "key"} == await other.receive_json()
        assert (1, 1) == (venue.sessions[0].refusals, venue.sessions[1].acknowledgements)
        await other.aclose()
