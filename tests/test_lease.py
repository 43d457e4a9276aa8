"""A session lease is there when it is needed, renewed in time, replaced when it is lost, and given back."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import attrs
import pytest

from bt_api_base.exceptions import (
    AuthenticationError,
    BannedError,
    ConfigurationError,
    ExchangeConnectionError,
    RateLimitError,
    RequestFailedError,
    RequestTimeoutError,
)
from bt_api_base.testing import PlantedSecret, assert_no_leaks, sweep_cancellation
from bt_api_base.websocket.lease import LeaseKeeper, SessionLease

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator

pytestmark = [pytest.mark.anyio, pytest.mark.virtual_time]

DOWN = ExchangeConnectionError("VENUE", "down")
REFUSED = AuthenticationError("VENUE", "no such key")
GONE = RequestFailedError("VENUE", detail="this listenKey does not exist", status_code=400)


@attrs.define(eq=False, repr=False)
class FakeLease(SessionLease):
    """A venue that grants leases, and does what a script says.

    Attributes:
        script: What comes of the next requests, in order: an exception, a number of seconds that it takes, or a key;
            after its end, all is granted at once.
        requests: When what was asked for.
    """

    renew_interval: float = 1800.0
    lifetime: float = 3600.0
    script: list[Exception | float | str] = attrs.field(factory=list)
    requests: list[tuple[float, str]] = attrs.field(factory=list)
    granted: int = 0

    async def answer(self, request: str) -> str | None:
        """Note a request, and do what the script says."""
        self.requests.append((round(anyio.current_time(), 3), request))
        await anyio.lowlevel.checkpoint()
        outcome = self.script.pop(0) if self.script else 0.0
        if isinstance(outcome, Exception):
            raise outcome
        if isinstance(outcome, str):
            return outcome
        await anyio.sleep(outcome)
        return None

    async def create(self) -> str:
        """Grant a lease."""
        key = await self.answer("create")
        self.granted += 1
        return key or f"key-{self.granted}"

    async def renew(self, key: str) -> None:
        """Prolong it."""
        await self.answer(f"renew {key}")

    async def close(self, key: str) -> None:
        """Take it back."""
        await self.answer(f"close {key}")


def steadily() -> Iterator[float]:
    """Delays without chance: none, then 10 seconds each."""
    yield 0.0
    while True:
        yield 10.0


@asynccontextmanager
async def kept(lease: FakeLease, **options: Any) -> AsyncGenerator[tuple[LeaseKeeper, list[str]]]:
    """Keep a lease, and note its replacements."""
    replaced: list[str] = []
    async with assert_no_leaks(), LeaseKeeper(lease, on_replaced=replaced.append, delays=steadily, **options) as keeper:
        yield keeper, replaced


# Creating


async def test_nothing_is_asked_for_before_it_is_wanted() -> None:
    """Nor anything given back that was never there."""
    lease = FakeLease()
    async with kept(lease):
        await anyio.sleep(7200)
    assert [] == lease.requests


async def test_all_who_ask_get_the_one_that_is_created() -> None:
    """Whether they ask before, while or after it is."""
    lease = FakeLease(script=[5.0])
    keys: list[tuple[float, str]] = []

    async def ask(keeper: LeaseKeeper, at: float) -> None:
        await anyio.sleep_until(at)
        keys.append((anyio.current_time(), await keeper.key()))

    async with kept(lease) as (keeper, replaced), anyio.create_task_group() as tasks:
        for at in (0.0, 1.0, 4.0, 9.0):
            tasks.start_soon(ask, keeper, at)
    assert ["key-1"] * 4 == [key for _, key in keys]
    assert [(0.0, "create"), (9.0, "close key-1")] == lease.requests
    assert [] == replaced


async def test_a_failed_attempt_reaches_those_who_wait_for_it() -> None:
    """And the next is made all the same, not before its time, however often somebody asks."""
    lease = FakeLease(script=[DOWN, DOWN])
    async with kept(lease) as (keeper, _):
        with pytest.raises(ExchangeConnectionError):
            await keeper.key()
        assert 0.0 == anyio.current_time()
        with pytest.raises(ExchangeConnectionError):
            await keeper.key()
        assert 10.0 == anyio.current_time()
        assert "key-1" == await keeper.key()
    assert [(0.0, "create"), (10.0, "create"), (20.0, "create"), (20.0, "close key-1")] == lease.requests


@pytest.mark.parametrize("failure", [OSError("no route"), ValueError("a fault in an adapter"), TimeoutError()])
async def test_whatever_goes_wrong_is_tried_again(failure: Exception) -> None:
    """A fault in what asks the venue included."""
    lease = FakeLease(script=[failure])
    async with kept(lease) as (keeper, _):
        with pytest.raises(type(failure)):
            await keeper.key()
        assert "key-1" == await keeper.key()


async def test_a_venue_that_does_not_answer_is_asked_again() -> None:
    """After ``request_timeout`` seconds."""
    lease = FakeLease(script=[1000.0])
    async with kept(lease, request_timeout=3.0) as (keeper, _):
        with pytest.raises(RequestTimeoutError, match="within 3 s"):
            await keeper.key()
        assert "key-1" == await keeper.key()
    assert [0.0, 13.0] == [at for at, request in lease.requests if request == "create"]


async def test_a_venue_that_wants_to_be_left_alone_is() -> None:
    """For as long as it says."""
    lease = FakeLease(script=[RateLimitError("VENUE", retry_after=77.0)])
    async with kept(lease) as (keeper, _):
        with pytest.raises(RateLimitError):
            await keeper.key()
        assert "key-1" == await keeper.key()
    assert [0.0, 77.0] == [at for at, request in lease.requests if request == "create"]


@pytest.mark.parametrize("refusal", [REFUSED, BannedError("VENUE", 60.0), ConfigurationError("no credentials")])
async def test_a_refusal_ends_it(refusal: Exception) -> None:
    """It reaches who waits and who asks later; the venue is asked no more, not even to take something back."""
    lease = FakeLease(script=[refusal])
    async with kept(lease) as (keeper, _):
        for _ in range(3):
            with pytest.raises(type(refusal)):
                await keeper.key()
        await anyio.sleep(7200)
    assert [(0.0, "create")] == lease.requests


async def test_a_refusal_ends_run() -> None:
    """So a supervisor gets to know of it."""
    lease = FakeLease(script=["key", REFUSED])
    keeper = LeaseKeeper(lease)
    async with anyio.create_task_group() as tasks:

        async def run() -> None:
            with pytest.raises(AuthenticationError, match="no such key"):
                await keeper.run()

        tasks.start_soon(run)
        assert "key" == await keeper.key()
    assert [(0.0, "create"), (1800.0, "renew key")] == lease.requests
    with pytest.raises(AuthenticationError, match="no such key"):
        await keeper.key()


# Renewing


async def test_a_lease_is_renewed_as_often_as_it_says() -> None:
    """Counted from when the last renewal was asked for."""
    lease = FakeLease(script=[2.0, 3.0, 4.0])
    async with kept(lease) as (keeper, replaced):
        await keeper.key()
        await anyio.sleep_until(5500)
        assert "key-1" == await keeper.key()
    expected = [(0.0, "create"), (1800.0, "renew key-1"), (3600.0, "renew key-1"), (5400.0, "renew key-1")]
    assert [*expected, (5500.0, "close key-1")] == lease.requests
    assert [] == replaced


async def test_a_renewal_that_fails_is_tried_again() -> None:
    """With back-off, while the key stays what it is; afterwards all is as before."""
    lease = FakeLease(script=["key-1", DOWN, DOWN, 0.0])
    async with kept(lease) as (keeper, replaced):
        await keeper.key()
        await anyio.sleep_until(1815)
        assert "key-1" == await keeper.key()
        await anyio.sleep_until(3700)
    expected = [(1800.0, "renew key-1"), (1810.0, "renew key-1"), (1820.0, "renew key-1"), (3620.0, "renew key-1")]
    assert expected == lease.requests[1:-1]
    assert [] == replaced


async def test_a_lease_about_to_run_out_is_replaced() -> None:
    """By a new one, before the end, and the connection is told."""
    lease = FakeLease(renew_interval=30.0, lifetime=60.0, script=["key-1", DOWN, DOWN])
    async with kept(lease) as (keeper, replaced):
        assert "key-1" == await keeper.key()
        await anyio.sleep_until(44.0)
        assert [] == replaced
        await anyio.sleep_until(59.0)
        assert ["key-2"] == replaced
        assert "key-2" == await keeper.key()
        await anyio.sleep_until(80.0)
    # With 13 seconds left, which is a request's time and a twentieth of the lifetime.
    expected = [30.0, 40.0]
    assert expected == [at for at, request in lease.requests if request == "renew key-1"]
    assert [(47.0, "create"), (77.0, "renew key-2"), (80.0, "close key-2")] == lease.requests[3:]


async def test_a_lease_that_is_gone_is_replaced_at_once() -> None:
    """There is nothing left that could be renewed."""
    lease = FakeLease(script=["old", GONE, "new"])
    async with kept(lease) as (keeper, replaced):
        await keeper.key()
        await anyio.sleep_until(1801)
        assert ["new"] == replaced
    assert [(0.0, "create"), (1800.0, "renew old"), (1800.0, "create"), (1801.0, "close new")] == lease.requests


async def test_the_same_key_again_is_no_replacement() -> None:
    """As from venues that prolong an existing key when a new one is asked for."""
    lease = FakeLease(script=["same", GONE, "same"])
    async with kept(lease) as (keeper, replaced):
        await keeper.key()
        await anyio.sleep_until(3601)
        assert "same" == await keeper.key()
    assert [(1800.0, "renew same"), (1800.0, "create"), (3600.0, "renew same")] == lease.requests[1:4]
    assert [] == replaced


async def test_a_renewal_that_is_not_answered_does_not_stop_it() -> None:
    """It counts as failed after ``request_timeout`` seconds."""
    lease = FakeLease(script=["key", 5000.0])
    async with kept(lease) as (keeper, _):
        await keeper.key()
        await anyio.sleep_until(2000)
    assert [1800.0, 1820.0] == [at for at, request in lease.requests if request.startswith("renew")]


# Expiring


async def test_an_expired_key_is_replaced() -> None:
    """At once where it lasted a while; who asks gets the new one, and the connection is told."""
    lease = FakeLease()
    async with kept(lease) as (keeper, replaced):
        assert "key-1" == await keeper.key()
        await anyio.sleep_until(100)
        keeper.expire("key-1")
        assert "key-2" == await keeper.key()
        assert (100.0, ["key-2"]) == (anyio.current_time(), replaced)
        await anyio.sleep_until(200)
        keeper.expire()
        await anyio.sleep(1)
        assert ["key-2", "key-3"] == replaced
    assert ["create", "create", "create", "close key-3"] == [request for _, request in lease.requests]


async def test_a_late_notice_changes_nothing() -> None:
    """It is about a key that has been replaced already; and before there is a key there is nothing to expire."""
    lease = FakeLease()
    async with kept(lease) as (keeper, replaced):
        keeper.expire()
        await keeper.key()
        await anyio.sleep_until(100)
        keeper.expire("key-1")
        assert "key-2" == await keeper.key()
        keeper.expire("key-1")
        await anyio.sleep(100)
        assert ["key-2"] == replaced


async def test_a_lease_in_doubt_is_renewed_and_so_lasts_longer() -> None:
    """A connection was lost: whether the lease still holds is asked at once, and the last moment moves."""
    lease = FakeLease(script=["old", 0.0, DOWN, DOWN, DOWN])
    async with kept(lease) as (keeper, replaced):
        await keeper.key()
        await anyio.sleep_until(1_000)
        await keeper.verify()
        assert (1_000.0, "renew old") == lease.requests[-1]
        assert ("old", []) == (await keeper.key(), replaced)
        await anyio.sleep_until(1_900)
        assert "old" == await keeper.key()


async def test_a_lease_that_ended_without_a_word_is_found_out() -> None:
    """The venue does not know it any more: the connection that asks next gets another."""
    lease = FakeLease(script=["old", GONE])
    async with kept(lease) as (keeper, replaced):
        await keeper.verify()  # there is nothing to verify
        await keeper.key()
        await anyio.sleep_until(100)
        await keeper.verify()
        assert "key-2" == await keeper.key()
        assert ["key-2"] == replaced


async def test_a_venue_that_is_down_leaves_a_lease_in_doubt() -> None:
    """It may well be valid, so it is used."""
    lease = FakeLease(script=["old", DOWN])
    async with kept(lease) as (keeper, replaced):
        await keeper.key()
        await keeper.verify()
        assert ("old", []) == (await keeper.key(), replaced)


async def test_a_key_that_expires_during_its_renewal_is_replaced() -> None:
    """Without waiting for what comes of the renewal."""
    lease = FakeLease(script=["old", 9.0])
    async with kept(lease) as (keeper, replaced):
        await keeper.key()
        await anyio.sleep_until(1805)
        keeper.expire()
        assert "key-2" == await keeper.key()
        assert (1805.0, ["key-2"]) == (anyio.current_time(), replaced)


async def test_leases_that_expire_at_once_are_asked_for_with_back_off() -> None:
    """A venue that takes away what it has just granted is not hammered."""
    lease = FakeLease()
    async with kept(lease) as (keeper, _):
        with anyio.move_on_after(95):
            while True:
                keeper.expire(await keeper.key())
    assert [at * 10.0 for at in range(10)] == [at for at, request in lease.requests if request == "create"]


async def test_a_handler_that_raises_costs_nothing() -> None:
    """The lease is kept on."""

    def handler(key: str) -> None:
        raise ValueError(key)

    lease = FakeLease()
    async with LeaseKeeper(lease, on_replaced=handler) as keeper:
        await keeper.key()
        await anyio.sleep(100)
        keeper.expire()
        assert "key-2" == await keeper.key()
        await anyio.sleep_until(1901)
    assert "renew key-2" in [request for _, request in lease.requests]


# Ending


async def test_giving_back_is_bounded_and_may_fail() -> None:
    """Leaving takes ``close_timeout`` seconds at most."""
    for outcome, expected in ((1000.0, 5.0), (3.0, 3.0), (DOWN, 0.0), (ValueError(), 0.0)):
        lease = FakeLease(script=["key", outcome])
        async with kept(lease) as (keeper, _):
            await keeper.key()
            started = anyio.current_time()
        assert expected == pytest.approx(anyio.current_time() - started)
        assert "close key" == lease.requests[-1][1]


async def test_a_cancelled_keeper_gives_back() -> None:
    """Cancellation waits for it."""
    lease = FakeLease(script=["key", 2.0])
    with anyio.move_on_after(10) as scope:
        async with kept(lease) as (keeper, _):
            await keeper.key()
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert [(0.0, "create"), (10.0, "close key")] == lease.requests
    assert 12.0 == anyio.current_time()


async def test_exceptions_leave_the_block_as_they_are() -> None:
    """Not in a group."""
    lease = FakeLease()
    with pytest.raises(KeyError, match="mine"):
        async with kept(lease) as (keeper, _):
            await keeper.key()
            raise KeyError("mine")
    assert "close key-1" == lease.requests[-1][1]


async def test_who_asks_after_the_end_is_told() -> None:
    """And who waits at the end does not wait on."""
    lease = FakeLease(script=[8.0])
    keeper = LeaseKeeper(lease)
    async with anyio.create_task_group() as tasks:

        async def wait() -> None:
            with pytest.raises(anyio.ClosedResourceError):
                await keeper.key()

        async with keeper:
            tasks.start_soon(wait)
            await anyio.sleep(1)
    with pytest.raises(anyio.ClosedResourceError):
        await keeper.key()
    with pytest.raises(anyio.BusyResourceError):
        await keeper.run()


async def test_who_is_cancelled_while_waiting_costs_the_others_nothing() -> None:
    """The lease is created by the keeper, not by who asked first."""
    lease = FakeLease(script=[5.0])
    async with kept(lease) as (keeper, _):
        with anyio.move_on_after(1):
            await keeper.key()
        assert "key-1" == await keeper.key()
    assert ["create", "close key-1"] == [request for _, request in lease.requests]


async def test_cancelled_anywhere_it_gives_back_what_it_got() -> None:
    """Whatever was granted to the end is given back once; what was not, is not."""

    @asynccontextmanager
    async def scenario() -> AsyncGenerator[Callable[[], Awaitable[object]]]:
        lease = FakeLease(script=["key", 1.0, 1.0, DOWN])
        started = anyio.current_time()

        async def keep() -> None:
            keeper = LeaseKeeper(lease, delays=steadily)
            keeper._wanted.set()
            with anyio.move_on_after(5500):
                await keeper.run()

        yield keep
        requests = [request for _, request in lease.requests]
        assert ["close key"] * lease.granted == [request for request in requests if request.startswith("close")]
        assert anyio.current_time() - started <= 5510

    sweep = await sweep_cancellation(scenario, time_limit=10_000)
    assert sweep.suspensions > 8


@pytest.mark.parametrize(("interval", "lifetime"), [(60.0, 60.0), (0.0, 60.0), (90.0, 60.0)])
async def test_a_lease_that_cannot_be_kept_is_refused(interval: float, lifetime: float) -> None:
    """It would run out between two renewals."""
    with pytest.raises(ConfigurationError, match="cannot be renewed every"):
        LeaseKeeper(FakeLease(renew_interval=interval, lifetime=lifetime))


async def test_keys_show_nowhere(planted_secret: PlantedSecret) -> None:
    """Neither in the log nor in an error, also where the venue repeats them."""
    key = planted_secret.value
    lease = FakeLease(script=[key])
    async with kept(lease) as (keeper, _):
        assert key == await keeper.key()
        planted_secret.check(keeper)
        for retryable in (True, False):
            lease.script.append(RequestFailedError("VENUE", detail=f"no such key {key}", retryable=retryable))
        lease.script.append(ValueError(f"no such key {key}"))
        await anyio.sleep_until(1850)
        planted_secret.check(keeper)
    assert ["renew", "renew", "create", "create"] == [request.split(" ")[0] for _, request in lease.requests[1:-1]]
