"""Private channels: the log-in before them, what it means to be refused, and leases beside the connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import msgspec
import pytest

from bt_api_base.containers import Event, Gap, MarkPrice, Tick
from bt_api_base.event_stream import Overflow
from bt_api_base.exceptions import AuthenticationError, ConfigurationError, SubscribeError, WebSocketError
from bt_api_base.security import Credentials
from bt_api_base.websocket import events
from bt_api_base.websocket.adapter import Channel, Decoded, LeaseExpired, LoggedIn, LoginRefused
from bt_api_base.websocket.channels import SubscriptionState
from bt_api_base.websocket.connection import ConnectionState
from bt_api_base.websocket.lease import SessionLease
from tests.toy_manager import Desk, managed, settle
from tests.toy_venue import EXCHANGE, FakeVenue, FakeWebSocket, ToyAdapter, acknowledge, stay_silent, toy_event

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractAsyncContextManager

pytestmark = [pytest.mark.anyio, pytest.mark.virtual_time]

CREDENTIALS = Credentials("the-key", "the-secret")


class AccountAdapter(ToyAdapter):
    """Of a venue with an account, whose only channel mixes two kinds of events.

    ``{"login": api_key, "id": n}`` is answered like any request, by ``{"welcome": 1}``, or by
    ``{"unwelcome": text, "code": n, "again": bool}``; data is ``{"account": n, "of": [kinds]}``.
    """

    def channel(self, topic: str, symbol: str, params: Mapping[str, Any] | None = None) -> Channel:
        """Name a channel of a market, or what is wanted of the account's."""
        wanted: dict[str, tuple[type[Event], ...]] = {"quotes": (Tick,), "marks": (MarkPrice,), "account": ()}
        if topic not in wanted:
            return super().channel(topic, symbol, params)
        return Channel(topic, "", "account", "", private=True, event_types=wanted[topic])

    def login_frame(self, request_id: int) -> str | None:
        """Log in where there is something to log in with."""
        if self.credentials is None:
            return None
        return msgspec.json.encode(
            {"login": self.credentials.api_key.reveal(), "id": request_id, "at": self.now_ns()}
        ).decode()

    def decode_frame(self, frame: bytes | str, local_time: int) -> Decoded:
        """Tell what concerns the account from all the rest."""
        match msgspec.json.decode(frame):
            case {"account": int(number), "of": list(kinds)}:
                return "account", [toy_event(f"{kind}:A", number, local_time) for kind in kinds]
            case {"welcome": _}:
                return None, [LoggedIn()]
            case {"unwelcome": str(text), "code": int(code), "again": bool(again)}:
                return None, [LoginRefused(code, text, retryable=again)]
            case {"lease": "expired"}:
                return None, [LeaseExpired()]
        return super().decode_frame(frame, local_time)


def at_login(*messages: Any, confirm: bool = False) -> Any:
    """Answer log-ins with some messages, in which ``"id"`` stands for the request's; everything else with yes."""

    def answer(ws: FakeWebSocket, request: dict[str, Any]) -> None:
        if "login" in request and not confirm:
            for message in messages:
                ws.push({name: request["id"] if value == "id" else value for name, value in message.items()})
        else:
            acknowledge(ws, request)

    return answer


REFUSE = at_login({"unwelcome": "wrong key", "code": 60005, "again": False})
BUSY = at_login({"unwelcome": "busy", "code": 63999, "again": True})


def account(answer: Any = acknowledge, **settings: Any) -> AbstractAsyncContextManager[Desk]:
    """Run a manager with credentials."""
    return managed(FakeVenue(answer), AccountAdapter, **{"credentials": CREDENTIALS, **settings})


def kinds(ws: FakeWebSocket) -> list[str]:
    """Return what was sent, by the first word."""
    return [next(iter(request)) for request in ws.sent]


class TestLoggingIn:
    """Before anything private is asked for."""

    @pytest.mark.parametrize("answer", [acknowledge, at_login({"welcome": 1})])
    async def test_comes_before_the_subscriptions(self, answer: Any) -> None:
        """Whichever way the venue says yes; the state and an event tell."""
        async with account(answer) as desk:
            subscription = await desk.subscribe("", "account")
            assert ["login", "sub"] == kinds(desk.venue.now)
            assert ("the-key", SubscriptionState.ACTIVE) == (desk.venue.now.sent[0]["login"], subscription.state)
            assert [1] == [event.generation for event in desk.of(events.Authenticated)]
            assert ConnectionState.AUTHENTICATED is desk.stats[0].state

    async def test_is_waited_for(self) -> None:
        """Until the venue has answered it, nothing else is sent."""
        async with account(stay_silent, subscribe_timeout=5.0) as desk, anyio.create_task_group() as tasks:
            tasks.start_soon(desk.subscribe, "", "account")
            ws = await desk.venue.wait_connections(1)
            await anyio.sleep(3.0)
            assert (["login"], ConnectionState.CONNECTED) == (kinds(ws), desk.stats[0].state)
            ws.answer = acknowledge
            ws.push({"welcome": 1})

    async def test_is_repeated_on_each_new_connection(self) -> None:
        """After a reconnection and for a rotation alike, and never twice on the same."""
        async with account(rotation_overlap=0.1) as desk:
            subscription = await desk.subscribe("", "account")
            desk.venue.now.cut()
            await desk.wait_for(events.Resubscribed)
            assert ConnectionState.AUTHENTICATED is desk.stats[0].state
            await desk.manager.rotate(EXCHANGE)
            assert [["login", "sub"]] * 3 == [kinds(ws) for ws in desk.venue.connections]
            assert [1, 2, 3] == [event.generation for event in desk.of(events.Authenticated)]
            assert (ConnectionState.AUTHENTICATED, SubscriptionState.ACTIVE) == (
                desk.stats[0].state,
                subscription.state,
            )

    async def test_is_stamped_with_the_venues_time(self) -> None:
        """As far as it is known: venues refuse signatures that are too old or from the future."""
        async with account() as desk:
            desk.manager.set_clock_offset(EXCHANGE, 10**18)
            ws = await desk.venue.wait_connections(1)
            await settle()
            assert ws.sent[0]["at"] < 10**18

    async def test_a_connection_that_takes_over_early_is_logged_in_already(self) -> None:
        """The old one is lost while the new one gets ready: its state is that of the new one."""
        async with account(rotation_overlap=5.0) as desk:
            await desk.subscribe("", "account")
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(desk.manager.rotate, EXCHANGE)
                await desk.venue.wait_connections(2)
                await settle()
                assert 2 == len(desk.of(events.Authenticated))
                desk.venue.connections[0].cut()
            assert ConnectionState.AUTHENTICATED is desk.stats[0].state


class TestRefused:
    """Whoever goes on trying with wrong keys is locked out."""

    @pytest.mark.parametrize("answer", [REFUSE, at_login({"no": "id", "text": "wrong key"})])
    async def test_is_an_error_at_who_waits_and_not_tried_again(self, answer: Any) -> None:
        """One attempt, the venue's words, and a state that says so; each later wish fails at once."""
        async with account(answer) as desk:
            for _ in range(2):
                started = anyio.current_time()
                with pytest.raises(AuthenticationError, match="wrong key") as caught:
                    await desk.subscribe("", "account")
                assert caught.value.venue_code in {60005, -1}
                assert anyio.current_time() - started < 0.1
            await anyio.sleep(3600.0)
            assert ([["login"]], 1) == ([kinds(ws) for ws in desk.venue.connections], len(desk.venue.attempts))
            assert (ConnectionState.FAILED, 1) == (desk.stats[0].state, len(desk.of(events.Failed)))

    async def test_after_a_reconnection_it_ends_the_consumers(self) -> None:
        """What had arrived is still handed out, and then the error."""
        async with account() as desk:
            subscription = await desk.subscribe("", "account")
            desk.venue.now.push({"account": 1, "of": ["ticker"]})
            await settle()
            desk.venue.answer = REFUSE
            desk.venue.now.cut()
            assert isinstance(await subscription.receive(), Tick)
            with pytest.raises(AuthenticationError, match="wrong key"):
                await subscription.receive()
            await anyio.sleep(3600.0)
            assert (2, SubscriptionState.FAILED) == (len(desk.venue.attempts), subscription.state)

    async def test_its_channels_are_not_moved_elsewhere(self) -> None:
        """Another connection would be refused as well."""
        async with account(max_channels_per_connection=1) as desk:
            await desk.subscribe("", "account")
            other = await desk.subscribe("A")
            desk.venue.answer = REFUSE
            desk.venue.connections[0].cut()
            await desk.wait_for(events.Failed)
            assert ([], SubscriptionState.ACTIVE) == (desk.of(events.Moved), other.state)

    async def test_a_venue_that_is_busy_is_asked_again_with_growing_delays(self) -> None:
        """Its own trouble is no refusal of ours; whoever subscribes waits for it to pass."""
        async with account(BUSY, subscribe_timeout=3600.0) as desk, anyio.create_task_group() as tasks:
            tasks.start_soon(desk.subscribe, "", "account")
            await anyio.sleep(60.0)
            assert 2 < len(desk.venue.attempts) < 20
            assert "busy" in desk.of(events.Reconnecting)[-1].reason
            desk.venue.answer = acknowledge
        assert ["login", "sub"] == kinds(desk.venue.now)

    async def test_one_that_is_not_answered_costs_the_connection(self) -> None:
        """It is no refusal: another connection is made, with back-off."""
        async with account(stay_silent, subscribe_timeout=5.0) as desk:
            with pytest.raises(SubscribeError):
                await desk.subscribe("", "account")
            await desk.wait_for(events.Reconnecting, 3)
            assert "log-in was not answered within 5 s" in desk.of(events.Disconnected)[-1].reason
            assert {"login"} == {kind for ws in desk.venue.connections for kind in kinds(ws)}
            assert ConnectionState.FAILED is not desk.stats[0].state

    async def test_being_logged_out_is_being_refused(self) -> None:
        """The venue takes the log-in back, and says that trying again is of no use."""
        async with account() as desk:
            subscription = await desk.subscribe("", "account")
            desk.venue.now.push({"unwelcome": "key deleted", "code": 1, "again": False})
            with pytest.raises(AuthenticationError, match="key deleted"):
                await subscription.receive()
            assert 1 == len(desk.venue.attempts)

    async def test_on_the_connection_that_was_to_take_over_it_is_not_hammered(self) -> None:
        """The old one goes on as if nothing had been; the next attempt is long after."""
        async with account() as desk:
            subscription = await desk.subscribe("", "account")
            desk.venue.answer = REFUSE
            with pytest.raises(AuthenticationError, match="wrong key"):
                await desk.manager.rotate(EXCHANGE)
            for _ in range(2):
                with anyio.move_on_after(300.0):
                    await desk.manager.rotate(EXCHANGE)
            assert 2 == len(desk.venue.attempts)
            assert desk.of(events.RotationFailed)[0].delay >= 900.0
            desk.venue.open[0].push({"account": 1, "of": ["ticker"]})
            assert isinstance(await subscription.receive(), Tick)
            desk.venue.answer = acknowledge
            await desk.wait_for(events.Rotated)
            assert 3 == len(desk.venue.attempts)


class TestCredentials:
    """What is needed, and by whom."""

    async def test_without_them_nothing_private_is_asked_for(self) -> None:
        """The error says where they go; what is public works."""
        async with managed(make=AccountAdapter) as desk:
            await desk.subscribe("A")
            with pytest.raises(ConfigurationError, match=r"'account' is private: WebSocketConfig needs Credentials"):
                await desk.subscribe("", "account")
            with pytest.raises(ConfigurationError, match="private"):
                await desk.subscribe_many([""], "account")
            assert ["sub"] == kinds(desk.venue.now)


class TestMixedChannel:
    """An account's events come over one channel, and go to who wants them."""

    async def test_consumers_get_their_kinds_in_order_and_the_bus_all(self) -> None:
        """The channel is subscribed once."""
        seen: list[tuple[str, Any]] = []
        async with account() as desk:
            for name in ("tick", "mark_price"):
                desk.manager.bus.on(f"{name}.{EXCHANGE}.A", lambda event, name=name: seen.append((name, event)))
            quotes, marks, both = [await desk.subscribe("", topic) for topic in ("quotes", "marks", "account")]
            ws = desk.venue.now
            ws.push({"account": 1, "of": ["ticker", "mark"]}, {"account": 2, "of": ["mark"]})
            ws.push({"account": 3, "of": ["mark", "ticker", "mark"]})
            await settle()
            of = {s.topic: await s.receive_batch() for s in (quotes, marks, both)}
            assert ["login", "sub"] == kinds(ws)
        assert [1, 3] == [event.sequence for event in of["quotes"]]
        assert [1.0, 2.0, 3.0, 3.0] == [event.mark_price for event in of["marks"]]
        assert [Tick, MarkPrice, MarkPrice, MarkPrice, Tick, MarkPrice] == [type(event) for event in of["account"]]
        names = {Tick: "tick", MarkPrice: "mark_price"}
        assert [(names[type(event)], event) for event in of["account"]] == seen

    async def test_a_callback_is_not_called_with_what_it_did_not_ask_for(self) -> None:
        """Nor does a frame that holds nothing for it disturb anything."""
        seen: list[Any] = []
        async with account() as desk:
            await desk.subscribe("", "quotes", seen.append)
            desk.venue.now.push({"account": 1, "of": ["mark"]}, {"account": 2, "of": ["mark", "ticker"]})
            desk.venue.now.push({"account": 3, "of": []})
            await settle()
            assert ([2], []) == ([event.sequence for event in seen], desk.of(events.Disconnected))
            assert 0 == desk.stats[0].handler_errors

    async def test_every_consumer_is_told_of_a_gap(self) -> None:
        """Whatever it wants of the channel, something of it may be missing."""
        async with account() as desk:
            subscriptions = [await desk.subscribe("", topic) for topic in ("quotes", "marks")]
            desk.venue.now.cut()
            await desk.wait_for(events.Resubscribed)
            assert [Gap, Gap] == [type(await subscription.receive()) for subscription in subscriptions]

    async def test_loses_nothing_by_default(self) -> None:
        """Private events wait for a slow consumer; market data gives way."""
        async with account() as desk:
            private, public = await desk.subscribe("", "account"), await desk.subscribe("A")
            chosen = await desk.subscribe("", "quotes", overflow=Overflow.DROP_OLDEST)
            assert [Overflow.BLOCK, Overflow.DROP_OLDEST, Overflow.DROP_OLDEST] == [
                subscription.overflow for subscription in (private, public, chosen)
            ]


class ToyLease(SessionLease):
    """A lease whose keys are numbered."""

    renew_interval = 1800.0
    lifetime = 3600.0

    def __init__(self) -> None:
        self.created = 0
        self.renewed = 0
        self.closed: list[str] = []
        self.error: Exception | None = None

    async def create(self) -> str:
        """Grant the next key, or refuse."""
        await anyio.lowlevel.checkpoint()
        if self.error is not None:
            raise self.error
        self.created += 1
        return f"key-{self.created}"

    async def renew(self, key: str) -> None:
        """Prolong it."""
        await anyio.lowlevel.checkpoint()
        self.renewed += 1

    async def close(self, key: str) -> None:
        """Take it back."""
        await anyio.lowlevel.checkpoint()
        self.closed.append(key)


def leased(lease: ToyLease, **settings: Any) -> AbstractAsyncContextManager[Desk]:
    """Run a manager at an endpoint that asks for a lease."""

    class LeasedAdapter(AccountAdapter):
        def login_frame(self, request_id: int) -> str | None:
            return None

        def session_lease(self, url: str) -> SessionLease:
            return lease

        def endpoint(self, url: str, lease_key: str = "") -> str:
            return f"{url}/{lease_key}"

    return managed(FakeVenue(), LeasedAdapter, **{"credentials": CREDENTIALS, **settings})


class TestLease:
    """Some endpoints are opened with a key that is lent for a while."""

    async def test_is_had_before_the_connection_and_given_back_at_the_end(self) -> None:
        """Its key is part of where the connection goes; it is renewed in time."""
        lease = ToyLease()
        async with leased(lease) as desk:
            await desk.subscribe("", "account")
            assert ["ws://toy.invalid/ws/key-1"] == [ws.url for ws in desk.venue.connections]
            await anyio.sleep(3 * 3600.0)
            assert (1, 1, True) == (lease.created, len(desk.venue.connections), lease.renewed >= 5)
        assert ["key-1"] == lease.closed

    async def test_is_used_again_for_the_next_connection(self) -> None:
        """A reconnection is no reason for a new one."""
        lease = ToyLease()
        async with leased(lease) as desk:
            await desk.subscribe("", "account")
            desk.venue.now.cut()
            await desk.wait_for(events.Resubscribed)
            assert ["ws://toy.invalid/ws/key-1"] * 2 == [ws.url for ws in desk.venue.connections]

    async def test_that_expired_is_replaced_and_the_connection_with_it(self) -> None:
        """The venue says so, and sends nothing over the old connection any more; the consumer has a gap and goes on."""
        lease = ToyLease()
        async with leased(lease) as desk:
            subscription = await desk.subscribe("", "account")
            desk.venue.now.push({"lease": "expired"})
            await desk.wait_for(events.Resubscribed)
            assert ["key-1", "key-2"] == [ws.url.rpartition("/")[2] for ws in desk.venue.connections]
            assert isinstance(await subscription.receive(), Gap)
            desk.venue.now.push({"account": 1, "of": ["ticker"]})
            assert isinstance(await subscription.receive(), Tick)

    async def test_that_is_refused_is_an_error_and_not_asked_for_again(self) -> None:
        """Wrong keys are wrong keys."""
        lease = ToyLease()
        lease.error = AuthenticationError(EXCHANGE, "invalid api key")
        async with leased(lease) as desk:
            with pytest.raises(AuthenticationError, match="invalid api key"):
                await desk.subscribe("", "account")
            lease.error = None
            await anyio.sleep(3600.0)
            assert ([], 0) == (desk.venue.connections, lease.created)

    async def test_that_cannot_be_had_now_is_waited_for(self) -> None:
        """As for any attempt to connect that fails."""
        lease = ToyLease()
        lease.error = WebSocketError(EXCHANGE, "server busy")
        async with leased(lease, subscribe_timeout=3600.0) as desk, anyio.create_task_group() as tasks:
            tasks.start_soon(desk.subscribe, "", "account")
            await anyio.sleep(30.0)
            assert [] == desk.venue.connections
            lease.error = None
        assert ["key-1"] == [ws.url.rpartition("/")[2] for ws in desk.venue.connections]
