"""What a script of orders and faults says, and how it follows from a seed."""

from __future__ import annotations

import random
from typing import Any

import attrs

from tests.order_script_venues import MARKETS, Market

CALLS = {
    "place": 30, "cancel": 12, "replace": 6, "query": 5, "cancel_all": 2, "open": 1, "balance": 2, "fills": 1,
    "market": 16, "wait": 4, "restart": 0.5,
}  # fmt: skip
"""What a trader does, and how often."""

FAULTS = {
    "lose_reply": 6, "lose_request": 5, "fail": 4, "fail_done": 4, "slow_reply": 4, "slow_request": 4, "limit": 1.5,
    "ban": 0.7, "kill": 1.5, "kill_rest": 1.5, "cut_streams": 2, "cut_rest": 1, "skew": 1.5,
    "repeat": 1, "reorder": 1, "skip": 0.5, "stall": 0.7, "slow_acks": 0.5,
}  # fmt: skip
"""What goes wrong, and how often."""

PAUSES = (0.0, 0.0, 0.0, 0.001, 0.05, 0.3, 1.0, 4.0)
"""Seconds from one step to the next."""


@attrs.frozen
class Step:
    """One step of a script: what, and the numbers between 0 and 1 that the rest follows from."""

    kind: str
    pause: float
    chances: tuple[float, ...]

    def pick(self, number: int, choices: tuple[Any, ...]) -> Any:
        """Return one of several, by one of the numbers."""
        return choices[int(self.chances[number] * len(choices))]


@attrs.frozen
class Script:
    """What is played.

    Attributes:
        seed: What all of it follows from.
        market: Where.
        streams: Whether the account's events are listened to.
        is_strict: Whether the venue allows less requests and orders than the client thinks.
        timeout: Of the client's calls, seconds.
        steps: What happens.
    """

    seed: int
    market: Market
    streams: bool
    is_strict: bool
    timeout: float
    steps: tuple[Step, ...]


def make_script(seed: int) -> Script:
    """Return the script of a seed."""
    rng = random.Random(seed)
    market = MARKETS[seed % len(MARKETS)]
    faults = rng.choice((0.0, 0.3, 1.0, 2.0))
    weights = {**CALLS, **{kind: faults * weight for kind, weight in FAULTS.items()}}
    steps = tuple(
        Step(kind, rng.choice(PAUSES), tuple(rng.random() for _ in range(8)))
        for kind in rng.choices(tuple(weights), tuple(weights.values()), k=rng.randint(5, 40))
    )
    return Script(
        seed,
        market,
        streams=market.adapter is not None and rng.random() < 0.7,
        is_strict=rng.random() < 0.2,
        timeout=rng.choice((10.0, 10.0, 10.0, 1.5)),
        steps=steps,
    )
