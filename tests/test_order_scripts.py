"""Through any script of orders and faults, each order is sent once and none is lost: client and venue agree."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from bt_api_base.testing import SimulatedVenue
from bt_api_base.testing.clock import VIRTUAL_BACKENDS
from bt_api_base.testing.rest_clock import LoopClock
from tests.order_script_player import Player
from tests.order_script_text import make_script
from tests.order_scripts import play

if TYPE_CHECKING:
    from collections.abc import Callable

SCRIPTS = int(os.environ.get("BT_API_SCHEDULES", "250"))
"""Scripts for each loop of the longer search; set the variable to search for longer."""

IN_EVERY_RUN = 30
"""Scripts for each loop in every run."""


@pytest.fixture(params=VIRTUAL_BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    """Each script has an event loop of its own, so that nothing but its seed decides what happens."""
    name: str = request.param
    return name


def play_all(seeds: range, backend: str) -> Counter[str]:
    """Play scripts one after the other; return what happened, and how often."""
    counts: Counter[str] = Counter()
    for seed in seeds:
        counts.update(play(seed, backend))
    return counts


def test_client_and_venue_agree_in_the_end(backend: str) -> None:
    """A few scripts of those that the search below has."""
    counts = play_all(range(IN_EVERY_RUN), backend)
    assert counts["placed"] > 2 * IN_EVERY_RUN
    assert counts["fills"] > IN_EVERY_RUN
    assert counts["unknown"] + counts["cancelled"] > 5


@pytest.mark.thorough
@pytest.mark.timeout(3_600)
def test_no_order_is_sent_twice_and_none_is_lost_through_any_script(backend: str) -> None:
    """Hundreds of scripts, with everything that can go wrong, and other ones on each loop."""
    first = 100_000 if backend == "asyncio" else 200_000
    counts = play_all(range(first, first + SCRIPTS), backend)
    for outcome in ("placed", "refused", "unknown", "cancelled", "fills", "restart", "ban", "kill"):
        assert counts[outcome], f"no script had {outcome!r}"


def test_a_seed_repeats_itself(backend: str) -> None:
    """What is done, when, and what comes of it: all of it follows from the seed."""
    logs: list[list[str]] = []
    for _ in range(2):
        logs.append([])
        for seed in (1_226, 2_915, 6_470):
            play(seed, backend, logs[-1])
    assert logs[0] == logs[1]
    assert 50 < len(logs[0])
    assert make_script(1) == make_script(1)


# -- that a script would notice --------------------------------------------------------------------------


def sends_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Orders whose answer is lost are sent again, as in many other programs."""
    from bt_api_base.exceptions import OrderUnknownError
    from bt_api_base.venues.binance.rest_spot import BinanceSpotApi

    place = BinanceSpotApi.place

    async def place_again(self: BinanceSpotApi, request: object) -> object:
        try:
            return await place(self, request)  # type: ignore[arg-type]
        except OrderUnknownError:
            return await place(self, request)  # type: ignore[arg-type]

    monkeypatch.setattr(BinanceSpotApi, "place", place_again)


def believes_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first "no such order" is believed, although the order is under way."""
    from bt_api_base.feeds.order_resolver import ResolvePolicy
    from bt_api_base.venues.binance.feed import BinanceSpotFeed
    from bt_api_base.venues.okx.feed import OkxFeed

    for feed in (BinanceSpotFeed, OkxFeed):
        monkeypatch.setattr(feed, "default_policy", ResolvePolicy(settle_time=0.0))


def forgets_the_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who gives a call up is taken to have placed nothing."""
    from bt_api_base.feeds.order_desk import OrderDesk

    monkeypatch.setattr(OrderDesk, "sent", lambda self, client_order_id: None)


def does_not_reconcile(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a stream missed is not asked for."""
    from bt_api_base.feeds.reconciliation import Reconciler

    async def nothing(self: Reconciler) -> list[object]:
        return []

    monkeypatch.setattr(Reconciler, "missed", nothing)


def tells_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fills are told as often as they are heard of."""
    from bt_api_base.feeds.account_ledger import AccountLedger

    monkeypatch.setattr(AccountLedger, "_take_fill", lambda self, fill: fill)


@pytest.mark.thorough
@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "mistake",
    [sends_again, believes_at_once, forgets_the_cancelled, does_not_reconcile, tells_twice],
    ids=lambda mistake: mistake.__name__,
)
def test_a_feed_that_breaks_a_promise_is_found_out(
    mistake: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scripts are worth as much as what they would notice."""
    mistake(monkeypatch)
    with pytest.raises(AssertionError, match="AssertionError"):
        play_all(range(200), "asyncio")


# -- what scripts have found -----------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.virtual_time
async def test_a_venue_in_memory_that_is_dead_accepts_nobody() -> None:
    """Killed and alive again it does as it did before, and listens no more than before."""
    async with SimulatedVenue(listen=False, paused=True, clock_ns=LoopClock()) as venue:
        for _ in range(2):
            await venue.kill()
            with pytest.raises(ConnectionRefusedError):
                venue.connect_in_memory()
            await venue.revive()
            await venue.connect_in_memory().aclose()
            assert 0 == venue.port


def test_a_player_knows_all_that_a_script_can_say() -> None:
    """Each kind of step has its method."""
    kinds = {step.kind for seed in range(300) for step in make_script(seed).steps} - {"restart"}
    assert [] == [kind for kind in kinds if not hasattr(Player, f"do_{kind}")]
