"""Random scripts of orders and faults: no order is sent twice, none is lost, and client and venue agree in the end."""

from __future__ import annotations

import pytest

from tests.feed_scripts import VENUES, random_script, run_script


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("venue_name", VENUES)
def test_client_and_venue_agree_after_a_few_scripts(venue_name: str, backend: str) -> None:
    """A handful for every run of the suite."""
    for seed in range(4):
        outcome = run_script(seed, venue_name, backend=backend, length=20)
        assert [] == outcome.problems, outcome


@pytest.mark.thorough
@pytest.mark.timeout(120)
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("venue_name", VENUES)
def test_client_and_venue_agree_after_many_scripts(venue_name: str, backend: str) -> None:
    """More, where there is time; they have met what they are for."""
    outcomes = [run_script(seed, venue_name, backend=backend) for seed in range(1000, 1050)]
    assert [] == [outcome for outcome in outcomes if outcome.problems]
    assert sum(outcome.placed for outcome in outcomes) > 100
    assert sum(outcome.fills for outcome in outcomes) > 100
    assert sum(outcome.unknown for outcome in outcomes) > 30
    assert sum(outcome.reconciliations for outcome in outcomes) > 100


def test_a_seed_makes_the_same_script_every_time() -> None:
    """So that what was found can be looked at."""
    assert random_script(7) == random_script(7)
    assert random_script(7) != random_script(8)
