"""Binance's account events: the venue that stands in for it, and the whole way from there to consumers."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import anyio
import attrs
import pytest

from bt_api_base.containers import Balance, Fill, Income, Order, OrderStatus, Tick
from bt_api_base.exceptions import AuthenticationError
from bt_api_base.security import Credentials
from bt_api_base.security.recipes import binance_websocket_signature
from bt_api_base.testing.binance_private_dialect import CREDENTIALS, BinanceAccountDialect, BinancePrivateClient
from bt_api_base.testing.binance_private_venue import SimulatedAccountVenue
from bt_api_base.testing.dialect import Answer, ReplyKind
from bt_api_base.testing.leaks import assert_no_leaks
from bt_api_base.testing.venue_faults import RequestFaults
from bt_api_base.venues.binance import BinanceSpotAdapter
from bt_api_base.websocket.adapter import Ack, LoginRefused
from bt_api_base.websocket_manager import WebSocketConfig, WebSocketManager
from tests.test_binance_private import ED25519

if TYPE_CHECKING:
    from collections.abc import Callable

    from bt_api_base.testing import PlantedSecret
    from bt_api_base.websocket_manager import Subscription

NOW_MS = 1_700_000_000_000
SPOT = "BINANCE___SPOT"
PRIVATE_PATH = "/ws-api/v3"


# -- the venue's answers -----------------------------------------------------------------------------


def client_of(credentials: Credentials = CREDENTIALS, faults: RequestFaults | None = None) -> BinancePrivateClient:
    """Return a connection's side at the venue."""
    dialect = BinanceAccountDialect(credentials)
    made = dialect.client(PRIVATE_PATH, {"clock_ns": lambda: NOW_MS * 1_000_000}, faults or RequestFaults())
    assert isinstance(made, BinancePrivateClient)
    return made


def adapter_of(credentials: Credentials = CREDENTIALS, now_ms: int = NOW_MS) -> BinanceSpotAdapter:
    """Return a connection's side here."""
    adapter = BinanceSpotAdapter()
    adapter.endpoint_name = "private"
    adapter.credentials = credentials
    adapter.now_ns = lambda: now_ms * 1_000_000
    return adapter


def ask(client: BinancePrivateClient, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the venue's answer to a request."""
    request = {"id": 1, "method": method} if params is None else {"id": 1, "method": method, "params": params}
    answer: dict[str, Any] = json.loads(client.answer(json.dumps(request).encode()).replies[0].payload)
    return answer


def meaning(adapter: BinanceSpotAdapter, answer: Answer) -> Any:
    """Return what the first reply means to an adapter."""
    return adapter.decode(answer.replies[0].payload)[0]


def test_signed_subscription_is_accepted_once() -> None:
    """A connection has one subscription of an account."""
    client, adapter = client_of(), adapter_of()
    channel = adapter.channel("user", "")
    answer = client.answer(adapter.subscribe_frame(1, [channel]).encode())
    assert (("user",), ReplyKind.ACK, Ack(1)) == (answer.added, answer.replies[0].kind, meaning(adapter, answer))
    again = meaning(adapter, client.answer(adapter.subscribe_frame(2, [channel]).encode()))
    assert Ack(2) == again, "the subscription that was asked for is there"
    assert [{"subscriptionId": 0}] == ask(client, "session.subscriptions")["result"]
    left = client.answer(adapter.unsubscribe_frame(3, [channel]).encode())
    assert (("user",), ()) == (left.removed, client.streams)
    assert [Ack(3), False] == [
        adapter.decode(left.replies[0].payload)[0],
        adapter.decode(left.replies[1].payload)[0].closing,
    ]  # type: ignore[union-attr]
    client.answer(adapter.subscribe_frame(4, [channel]).encode())
    assert 1 == client.subscription_id


@pytest.mark.parametrize(
    ("credentials", "now_ms", "code", "retryable"),
    [
        (Credentials("another-key", CREDENTIALS.secret), NOW_MS, -2015, False),
        (Credentials(CREDENTIALS.api_key, "another-secret"), NOW_MS, -1022, False),
        (CREDENTIALS, NOW_MS - 5_001, -1021, True),
        (CREDENTIALS, NOW_MS + 1_001, -1021, True),
    ],
)
def test_refused_credentials(credentials: Credentials, now_ms: int, code: int, retryable: bool) -> None:
    """A wrong key and a wrong signature are for good; a wrong clock can be put right."""
    adapter = adapter_of(credentials, now_ms)
    refused = meaning(adapter, client_of().answer(adapter.subscribe_frame(1, [adapter.channel("user", "")]).encode()))
    assert isinstance(refused, LoginRefused)
    assert (code, retryable) == (refused.code, refused.retryable)


def test_log_on_with_an_ed25519_key() -> None:
    """Then the subscription is not signed; without the log-on it is refused."""
    credentials = Credentials("binance-test-key", ED25519)
    client, adapter = client_of(credentials), adapter_of(credentials)
    channel = adapter.channel("user", "")
    assert -2015 == ask(client, "userDataStream.subscribe")["error"]["code"]
    frame = adapter.login_frame(1)
    assert frame is not None
    answer = client.answer(frame.encode())
    assert (ReplyKind.LOGIN, Ack(1)) == (answer.replies[0].kind, meaning(adapter, answer))
    assert Ack(2) == meaning(adapter, client.answer(adapter.subscribe_frame(2, [channel]).encode()))


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("userDataStream.subscribe.signature", {}, -1102),
        ("userDataStream.subscribe.signature", {"apiKey": "k", "timestamp": "1", "signature": "s"}, -1100),
        ("session.logon", {}, -4056),
        ("userDataStream.unsubscribe", {}, -2036),
        ("order.place", {}, -1020),
    ],
)
def test_refused_requests(method: str, params: dict[str, Any], code: int) -> None:
    """What is missing or not there is refused in the venue's words."""
    assert code == ask(client_of(), method, params)["error"]["code"]


@pytest.mark.parametrize("message", [b"", b"[]", b"{", b'{"method":"ping","params":[]}', b"\xff", b"[" * 100_000])
def test_junk_is_refused(message: bytes) -> None:
    """Any bytes have an answer."""
    (reply,) = client_of().answer(message).replies
    assert {"id": None, "status": 400, "error": {"code": -1135, "msg": "Invalid JSON Request"}} == json.loads(
        reply.payload
    )


def test_receive_window() -> None:
    """The client may narrow it, and widen it up to a minute."""
    for window, age, code in ((100, 101, -1021), (60_000, 59_000, None), (90_000, 60_001, -1021)):
        params = {"apiKey": CREDENTIALS.api_key.reveal(), "recvWindow": window, "timestamp": NOW_MS - age}
        params["signature"] = binance_websocket_signature(CREDENTIALS.secret, params)
        answer = ask(client_of(), "userDataStream.subscribe.signature", params)
        assert code == answer.get("error", {}).get("code")


# -- the whole way -----------------------------------------------------------------------------------


def config(venue: SimulatedAccountVenue, **settings: Any) -> WebSocketConfig:
    """Return settings for the venue."""
    return WebSocketConfig(
        venue.url,
        venue.exchange_name,
        **{"reconnect_interval": 0.05, "credentials": venue.credentials, **settings},
    )


async def next_of(subscription: Subscription, count: int = 1) -> list[Any]:
    """Return the next events of a subscription."""
    with anyio.fail_after(5):
        return [await subscription.receive() for _ in range(count)]


async def until(condition: Callable[[], object]) -> None:
    """Wait for something that a simulated venue does not announce."""
    with anyio.fail_after(5):
        while not condition():  # noqa: ASYNC110 - see above
            await anyio.sleep(0.01)


def private_connections(venue: SimulatedAccountVenue) -> int:
    """Return how many connections for account events there have been."""
    return sum(session.target.startswith(PRIVATE_PATH) for session in venue.sessions)


@pytest.mark.anyio
@pytest.mark.parametrize("secret", [None, ED25519], ids=["hmac", "ed25519"])
async def test_account_events_reach_who_wants_them(secret: str | None) -> None:
    """Topics share one connection and one subscription; each consumer gets its types, and the bus all by name."""
    credentials = CREDENTIALS if secret is None else Credentials("binance-test-key", secret)
    venue = SimulatedAccountVenue(credentials=credentials)
    async with assert_no_leaks(), venue, WebSocketManager() as manager:
        await manager.add_exchange(config(venue))
        orders = await manager.subscribe(SPOT, "order", "")
        fills = await manager.subscribe(SPOT, "fill", "")
        account = await manager.subscribe(SPOT, "account", "")
        everything = await manager.subscribe(SPOT, "user", "")
        with manager.bus.open_stream("fill.*") as on_the_bus:
            assert 1 == venue.push_order(i=7)
            trade = {
                "x": "TRADE",
                "X": "FILLED",
                "l": "1",
                "z": "1",
                "L": "60000.1",
                "t": 5,
                "n": "0.1",
                "N": "BTC",
            }
            venue.push_order(i=7, **trade)
            venue.push_balances(BTC=("0.9", "0.0"), USDT=("1", "2"))
            venue.push_transfer("USDT", "-5.5")
            new, done = await next_of(orders, 2)
            (fill,) = await next_of(fills)
            btc, usdt, transfer = await next_of(account, 3)
            assert [Order, Fill, Order, Balance, Balance, Income] == [type(e) for e in await next_of(everything, 6)]
            assert fill == (await next_of(on_the_bus))[0]  # type: ignore[arg-type]
        assert [OrderStatus.ACCEPTED, OrderStatus.COMPLETED] == [new.order_status, done.order_status]
        assert ("BTC-USDT", Decimal("60000.1"), "5") == (fill.symbol, fill.trade_price, fill.trade_id)
        assert [Decimal("0.9"), Decimal(3), Decimal("-5.5")] == [btc.margin, usdt.margin, transfer.income_value]
        assert (1, ("user",)) == (private_connections(venue), venue.subscriptions)


@pytest.mark.anyio
async def test_market_and_account_are_two_connections_of_one_exchange() -> None:
    """One configured URL leads to both endpoints."""
    async with SimulatedAccountVenue(rate=200.0) as venue, WebSocketManager() as manager:
        await manager.add_exchange(config(venue))
        ticks = await manager.subscribe(SPOT, "ticker", "BTC-USDT")
        orders = await manager.subscribe(SPOT, "order", "")
        assert isinstance((await next_of(ticks))[0], Tick)
        venue.push_order()
        assert isinstance((await next_of(orders))[0], Order)
        assert {"/stream", PRIVATE_PATH} == {session.target for session in venue.sessions}


@pytest.mark.anyio
async def test_account_events_go_on_after_a_cut() -> None:
    """The new connection is signed anew, and a gap stands where orders may have changed unseen."""
    async with SimulatedAccountVenue() as venue, WebSocketManager() as manager:
        await manager.add_exchange(config(venue))
        orders = await manager.subscribe(SPOT, "order", "")
        venue.push_order(i=1)
        assert "1" == (await next_of(orders))[0].order_id
        await venue.kill(0.05)
        await until(lambda: venue.push_order(i=2))
        gap, order = await next_of(orders, 2)
        assert ("disconnected", True, "2") == (gap.reason, gap.recoverable, order.order_id)
        assert 2 == private_connections(venue)


@pytest.mark.anyio
@pytest.mark.parametrize(("wrong", "code"), [("api_key", -2015), ("secret", -1022)])
async def test_wrong_credentials_are_not_tried_again(wrong: str, code: int, planted_secret: PlantedSecret) -> None:
    """The consumer gets the venue's words, and the venue is left alone: trying again ends in a ban."""
    credentials = attrs.evolve(planted_secret.credentials, **{wrong: planted_secret.value})
    venue = SimulatedAccountVenue(credentials=planted_secret.credentials)
    async with venue, WebSocketManager() as manager:
        await manager.add_exchange(config(venue, credentials=credentials))
        with pytest.raises(AuthenticationError) as caught:
            await manager.subscribe(SPOT, "order", "")
        assert code == caught.value.venue_code
        planted_secret.check(caught.value, manager.get_stats())
        planted_secret.check_reachable(caught.value, manager)
        await anyio.sleep(0.05)
        assert 1 == private_connections(venue)


@pytest.mark.anyio
async def test_busy_venue_is_asked_again() -> None:
    """A refusal that passes is no reason to give up."""
    async with SimulatedAccountVenue() as venue, WebSocketManager() as manager:
        venue.refuse_logins(code=-1008, message="Server is currently overloaded with other requests.")
        await manager.add_exchange(config(venue))
        orders = await manager.subscribe(SPOT, "order", "")
        venue.push_order()
        assert isinstance((await next_of(orders))[0], Order)
        assert 2 == private_connections(venue)


@pytest.mark.anyio
async def test_terminated_subscription_is_made_anew() -> None:
    """The venue ends a subscription and keeps the connection: it is replaced by one that has another."""
    async with SimulatedAccountVenue() as venue, WebSocketManager() as manager:
        await manager.add_exchange(config(venue, rotation_overlap=0.0))
        orders = await manager.subscribe(SPOT, "order", "")
        assert 1 == venue.terminate()
        await until(lambda: venue.push_order(i=3))
        with anyio.fail_after(5):
            while not isinstance(event := await orders.receive(), Order):
                pass
        assert "3" == event.order_id


@pytest.mark.anyio
async def test_last_consumer_unsubscribes() -> None:
    """Nothing private is sent to somebody who no longer wants it."""
    async with SimulatedAccountVenue() as venue, WebSocketManager() as manager:
        await manager.add_exchange(config(venue))
        orders = await manager.subscribe(SPOT, "order", "")
        fills = await manager.subscribe(SPOT, "fill", "")
        await orders.aclose()
        assert ("user",) == venue.subscriptions
        await fills.aclose()
        await until(lambda: not venue.subscriptions)
        again = await manager.subscribe(SPOT, "order", "")
        venue.push_order()
        assert isinstance((await next_of(again))[0], Order)
