"""Thousands of subscriptions in one call: few requests, progress, and a state for each."""

from __future__ import annotations

from contextlib import asynccontextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from bt_api_base.exceptions import AuthenticationError, InvalidSymbolError, SubscribeError, WebSocketError
from bt_api_base.testing.cancellation import sweep_cancellation
from bt_api_base.websocket import events
from bt_api_base.websocket.adapter import StreamLimits
from bt_api_base.websocket.channels import SubscriptionState
from tests.toy_manager import limited, managed, settle
from tests.toy_venue import EXCHANGE, FakeVenue, FakeWebSocket, ToyAdapter, acknowledge, refuse, stay_silent

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from bt_api_base.websocket.adapter import Channel
    from bt_api_base.websocket_manager import Subscription

pytestmark = [pytest.mark.anyio, pytest.mark.virtual_time]

BIG = StreamLimits(
    max_channels_per_connection=400,
    max_channels_per_request=50,
    messages_per_second=5.0,
    max_connects=2,
    connect_window=5.0,
)
"""Of a venue that two thousand channels need five connections and forty requests at."""

A, F, C = SubscriptionState.ACTIVE, SubscriptionState.FAILED, SubscriptionState.CLOSED


def symbols(number: int) -> list[str]:
    """Return names of markets."""
    return [f"S{n}" for n in range(number)]


def states(subscriptions: list[Subscription]) -> list[SubscriptionState]:
    """Return where each stands."""
    return [subscription.state for subscription in subscriptions]


class TestThousands:
    """All is well, and there is much of it."""

    async def test_as_few_requests_as_the_venue_allows(self) -> None:
        """Two thousand channels on five connections are forty frames of fifty; each delivers to its own."""
        async with managed(make=limited(BIG)) as desk:
            subscriptions = await desk.subscribe_many(symbols(2000))
            assert {A} == set(states(subscriptions))
            assert symbols(2000) == [subscription.symbol for subscription in subscriptions]
            frames = [len(request["sub"]) for ws in desk.venue.connections for request in ws.sent]
            assert ([50] * 40, [400] * 5) == (frames, [len(ws.subscribed) for ws in desk.venue.open])
            for number, subscription in ((0, subscriptions[0]), (1999, subscriptions[1999])):
                (ws,) = [ws for ws in desk.venue.open if f"ticker:S{number}" in ws.subscribed]
                ws.tick(f"S{number}", 7)
                assert 7 == (await subscription.receive()).sequence

    async def test_progress_is_told_with_an_estimate_that_holds(self) -> None:
        """Several times on the way, with less and less to come, and never off by more than a factor of two."""
        told: list[tuple[float, events.Subscribing]] = []
        async with managed(make=limited(BIG)) as desk:
            desk.manager.bus.on("ws.subscribing", lambda event: told.append((anyio.current_time(), event)))
            await desk.subscribe_many(symbols(2000))
            end = anyio.current_time()
        assert 10 < len(told) < 40
        for (_, earlier), (_, later) in pairwise(told):
            assert earlier.done <= later.done
        remaining = [event.remaining for _, event in told]
        assert sorted(remaining, reverse=True) == remaining
        for at, event in told[:-1]:
            truth = end - at
            assert truth / 2 - 1.0 <= event.remaining <= truth * 2 + 1.0, f"at {at}: {event.remaining}, not {truth}"
        last = told[-1][1]
        assert (2000, 0, 2000, 0.0) == (last.done, last.failed, last.total, last.remaining)

    async def test_few_are_told_of_once(self) -> None:
        """What is done in no time has one report, of the end."""
        async with managed() as desk:
            await desk.subscribe_many(symbols(3))
            (told,) = desk.of(events.Subscribing)
            assert (3, 0, 3) == (told.done, told.failed, told.total)

    async def test_none_are_no_trouble(self) -> None:
        """An empty list is an empty list."""
        async with managed() as desk:
            assert [] == await desk.subscribe_many([])

    async def test_the_same_symbol_twice_is_two_consumers_of_one_channel(self) -> None:
        """It is asked for once, and both get everything."""
        async with managed() as desk:
            one, two = await desk.subscribe_many(["A", "A"])
            desk.venue.now.tick("A", 1)
            assert [1, 1] == [(await subscription.receive()).sequence for subscription in (one, two)]
            assert 1 == len(desk.venue.now.sent)

    async def test_a_callback_is_given_the_events_of_all(self) -> None:
        """One function for thousands of symbols."""
        seen: list[tuple[str, int]] = []
        async with managed() as desk:
            await desk.manager.subscribe_many(
                EXCHANGE, "ticker", ["A", "B"], lambda tick: seen.append((tick.symbol, tick.sequence))
            )
            desk.venue.now.tick("B", 1)
            desk.venue.now.tick("A", 2)
            await settle()
        assert [("B", 1), ("A", 2)] == seen


class TestPartialFailure:
    """One that fails does not undo the others."""

    async def test_one_refused_among_many_fails_alone(self) -> None:
        """Though the venue refuses the whole request without a word about which, and takes few messages a second."""
        venue = FakeVenue(refuse("no such market", "ticker:S77"))
        async with managed(venue, limited(BIG)) as desk:
            subscriptions = await desk.subscribe_many(symbols(200))
            assert [F if number == 77 else A for number in range(200)] == states(subscriptions)
            error = subscriptions[77].error
            assert isinstance(error, SubscribeError)
            assert ("no such market", "S77") == (error.venue_message, error.symbol)
            with pytest.raises(SubscribeError, match="no such market"):
                await subscriptions[77].receive()
            told = desk.of(events.Subscribing)[-1]
            assert (199, 1, 200) == (told.done, told.failed, told.total)

    async def test_the_refused_one_is_found_by_halves(self) -> None:
        """Fifty channels in a request that is refused do not become fifty requests."""
        venue = FakeVenue(refuse("no such market", "ticker:S77"))
        async with managed(venue, limited(BIG)) as desk:
            await desk.subscribe_many(symbols(200))
            assert len(desk.venue.now.sent) < 4 + 2 * 7

    async def test_what_is_not_answered_fails_after_the_deadline(self) -> None:
        """The others have long been active; the venue is told to stop what it may have begun."""

        def answer(ws: FakeWebSocket, request: dict[str, Any]) -> None:
            if "ticker:S60" not in request.get("sub", ()):
                acknowledge(ws, request)

        async with managed(FakeVenue(answer), limited(BIG), subscribe_timeout=3.0) as desk:
            subscriptions = await desk.subscribe_many(symbols(120))
            assert [F if 50 <= number < 100 else A for number in range(120)] == states(subscriptions)
            with pytest.raises(SubscribeError, match="no acknowledgement within 3 s"):
                await subscriptions[60].receive()
            await anyio.sleep(3.0)
            assert 70 == len(desk.venue.now.subscribed) == desk.stats[0].subscriptions
            told = desk.of(events.Subscribing)[-1]
            assert (70, 50, 120) == (told.done, told.failed, told.total)

    async def test_a_connection_that_never_comes_fails_all(self) -> None:
        """Each says why."""
        async with managed(FakeVenue(refusing=True), subscribe_timeout=3.0) as desk:
            subscriptions = await desk.subscribe_many(symbols(3))
            assert [F] * 3 == states(subscriptions)
            assert "connection refused" in str(subscriptions[2].error)

    async def test_a_connection_that_was_given_up_meanwhile_fails_what_it_was_to_carry(self) -> None:
        """The call ends at once, as nothing more can come of it."""
        async with managed(FakeVenue(refusing=True), max_reconnect_attempts=1, subscribe_timeout=100.0) as desk:
            subscriptions = await desk.subscribe_many(symbols(3))
            assert (True, [F] * 3) == (anyio.current_time() < 10.0, states(subscriptions))
            assert all(isinstance(subscription.error, WebSocketError) for subscription in subscriptions)

    async def test_a_wrong_symbol_is_known_before_anything_is_sent(self) -> None:
        """What the adapter can tell needs no venue."""

        class PickyAdapter(ToyAdapter):
            def channel(self, topic: str, symbol: str, params: Mapping[str, Any] | None = None) -> Channel:
                if not symbol.isalnum():
                    raise InvalidSymbolError(EXCHANGE, symbol)
                return super().channel(topic, symbol, params)

        async with managed(make=PickyAdapter) as desk:
            await desk.venue.wait_connections(1)
            with pytest.raises(InvalidSymbolError):
                await desk.subscribe_many(["A", "B", "?"])
            await settle()
            assert ([], 0) == (desk.venue.now.sent, desk.stats[0].subscriptions)


class TestCancelling:
    """Whoever stops waiting wants none of them."""

    async def test_withdraws_all_at_the_venue(self) -> None:
        """Those that were confirmed, those that were asked for, and those that were not yet."""
        async with managed(make=limited(BIG)) as desk:
            with anyio.move_on_after(5.5):
                await desk.subscribe_many(symbols(2000))
            assert 0 < sum(len(ws.subscribed) for ws in desk.venue.open)
            await anyio.sleep(30.0)
            assert set() == set().union(*(ws.subscribed for ws in desk.venue.open))
            assert 0 == sum(stats.subscriptions for stats in desk.stats)

    async def test_leaves_others_who_want_the_same_what_they_have(self) -> None:
        """A channel that somebody else holds stays subscribed."""
        async with managed(FakeVenue(stay_silent)) as desk:
            ws = await desk.venue.wait_connections(1)
            ws.answer = acknowledge
            held = await desk.subscribe("A")
            ws.answer = stay_silent
            with anyio.move_on_after(1.0):
                await desk.subscribe_many(["A", "B"])
            await settle()
            ws.tick("A", 1)
            assert (1, {"ticker:A"}) == ((await held.receive()).sequence, ws.subscribed)

    async def test_at_any_await(self) -> None:
        """All are held at the end, or none is left."""

        @asynccontextmanager
        async def scenario() -> AsyncGenerator[Any]:
            async with managed(make=limited(BIG)) as desk:
                held: list[Subscription] = []

                async def operation() -> None:
                    held.extend(await desk.subscribe_many(symbols(120)))

                yield operation
                await anyio.sleep(5.0)
                assert len(held) == sum(len(ws.subscribed) for ws in desk.venue.open)

        await sweep_cancellation(scenario, leaks=False)


class TestStates:
    """From the wish to the end, as the consumer sees it."""

    async def test_a_subscription_that_was_closed_says_so(self) -> None:
        """Also where others still hold the channel."""
        async with managed() as desk:
            one, two = await desk.subscribe_many(["A", "A"])
            await one.aclose()
            assert (C, A) == (one.state, two.state)
            await two.aclose()
            assert (C, C) == (one.state, two.state)

    async def test_leaving_the_manager_closes_all(self) -> None:
        """Nothing has failed: it is over."""
        async with managed() as desk:
            subscriptions = await desk.subscribe_many(["A", "B"])
        assert [C, C] == states(subscriptions)

    async def test_a_failure_stays_a_failure(self) -> None:
        """Closing what has failed does not make it well."""
        async with managed(FakeVenue(refuse("no", "ticker:A"))) as desk:
            (subscription,) = await desk.subscribe_many(["A"])
            await subscription.aclose()
            assert F is subscription.state
            assert not isinstance(subscription.error, AuthenticationError)

    async def test_while_the_connection_is_lost_all_are_pending(self) -> None:
        """And active again once the venue has confirmed anew."""
        async with managed() as desk:
            subscriptions = await desk.subscribe_many(["A", "B"])
            desk.venue.refusing = True
            desk.venue.now.cut()
            await settle()
            assert [SubscriptionState.PENDING] * 2 == states(subscriptions)
            desk.venue.refusing = False
            await desk.wait_for(events.Resubscribed)
            assert [A, A] == states(subscriptions)
