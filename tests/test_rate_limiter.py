"""A venue's limits together: linked rules, the default, keys, what the venue reports, the gate, and the status."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from bt_api_base.exceptions import BannedError, ConfigurationError, RateLimitError
from bt_api_base.rate_limiter import Permit, RateLimiter, RateLimitScope, RateLimitType, RateLimitUnit
from tests.rate_limits import BUCKET, FIXED, FakeClock, rule

ALL_TYPES = tuple(RateLimitType)


def limiter_of(*rules: Any, clock: FakeClock | None = None, **options: Any) -> RateLimiter:
    """Return a limiter without a default, at a time of our own."""
    clock = clock or FakeClock()
    return RateLimiter(rules, **{"default": None, "clock": clock, "wall_clock": clock, **options})


def permit_of(limiter: RateLimiter, *args: Any, **options: Any) -> Permit:
    """Return a permit that is to be had at once."""
    return limiter.permit(*args, timeout=0, **options)


def count(limiter: RateLimiter, *args: Any, **options: Any) -> int:
    """Return how many such calls go at once."""
    granted = 0
    while granted < 1000 and limiter.acquire(*args, **options):
        granted += 1
    return granted


class TestLinkedRules:
    """A call needs room in every rule that it matches."""

    def test_without_rules_nothing_is_limited(self) -> None:
        """And the status is empty."""
        limiter = RateLimiter()
        assert 1000 == count(limiter, "GET", "/x")
        assert {} == limiter.get_status()

    @pytest.mark.parametrize("kind", ALL_TYPES)
    def test_a_rule_limits(self, kind: RateLimitType) -> None:
        """The three ways of counting alike."""
        assert 7 == count(limiter_of(rule(7, type=kind)), "GET", "/x")

    @pytest.mark.parametrize(("weight", "expected"), [(1, 20), (2, 10)])
    def test_weights_multiply(self, weight: int, expected: int) -> None:
        """A rule's weight for the call, times how many calls at once."""
        assert expected == count(limiter_of(rule(100, weight=5)), "GET", "/x", weight)

    def test_all_or_nothing(self) -> None:
        """What one rule refuses is not counted in another."""
        limiter = limiter_of(rule(100, name="weight"), rule(2, name="orders", endpoint="POST /order"))
        assert 2 == count(limiter, "POST", "/order")
        assert 2 == limiter.get_status()["weight"]["current"]
        assert 98 == count(limiter, "GET", "/order")

    def test_a_call_that_costs_nothing_always_goes(self) -> None:
        """As an order at Binance does that is filled."""
        limiter = limiter_of(rule(1, weight_map={"/free": 0}))
        assert limiter.acquire("GET", "/x")
        assert 1000 == count(limiter, "GET", "/free")
        assert not limiter.acquire("GET", "/x")

    def test_rules_count_weights_requests_or_orders(self) -> None:
        """Each by what the venue counts."""
        limiter = limiter_of(
            rule(100, name="weight"),
            rule(100, name="requests", counts=RateLimitUnit.REQUESTS),
            rule(100, name="orders", counts=RateLimitUnit.ORDERS, endpoint="POST *"),
        )
        permit_of(limiter, "POST", "/batch", 7, orders=5)
        permit_of(limiter, "GET", "/depth", 50)
        used = {name: status["current"] for name, status in limiter.get_status().items()}
        assert {"weight": 57, "requests": 2, "orders": 5} == used

    def test_two_rules_of_one_name_are_refused(self) -> None:
        """The status could not tell them apart."""
        with pytest.raises(ConfigurationError, match="one name"):
            limiter_of(rule(), rule())

    @pytest.mark.parametrize("weight", [-1, -5])
    def test_negative_weights_are_refused(self, weight: int) -> None:
        """They would make room."""
        limiter = limiter_of(rule())
        with pytest.raises(ValueError, match="less than nothing"):
            limiter.acquire("GET", "/x", weight)
        with pytest.raises(ValueError, match="less than nothing"):
            limiter.permit("GET", "/x", weight)


class TestDefault:
    """What no rule matches is limited all the same."""

    def test_unmatched_calls_share_a_default(self) -> None:
        """Ten in a second, unless told otherwise."""
        clock = FakeClock()
        limiter = RateLimiter([rule(1000, endpoint="/known")], clock=clock)
        assert 1000 == count(limiter, "GET", "/known")
        assert 10 == count(limiter, "GET", "/new") + count(limiter, "GET", "/newer")
        clock.now += 0.5
        assert 5 == count(limiter, "GET", "/new")

    def test_another_default(self) -> None:
        """Any rule can be one, or none."""
        known = rule(1000, endpoint="/known")
        assert 3 == count(limiter_of(known, default=rule(3, name="rest")), "GET", "/new")
        assert 1000 == count(limiter_of(known, default=None), "GET", "/new")

    def test_a_matching_rule_is_enough(self) -> None:
        """The default is for calls without any."""
        limiter = limiter_of(rule(100), default=rule(3, name="rest"))
        assert 100 == count(limiter, "GET", "/x")


class TestScopesAndKeys:
    """What counts together, and what by itself."""

    def test_scopes(self) -> None:
        """The rules of an endpoint leave others alone; those of an address count everything."""
        limiter = limiter_of(
            rule(5, name="depth", scope=RateLimitScope.ENDPOINT, endpoint="/depth*"),
            rule(8, name="address", scope=RateLimitScope.IP),
        )
        assert 5 == count(limiter, "GET", "/depth/a") + count(limiter, "GET", "/depth/b")
        assert 3 == count(limiter, "GET", "/time")

    def test_each_key_has_a_count_of_its_own(self) -> None:
        """As OKX counts orders by instrument."""
        limiter = limiter_of(rule(2, name="orders", per_key=True), rule(5, name="all"))
        for _ in range(2):
            permit_of(limiter, "POST", "/order", key="BTC-USDT")
        with pytest.raises(RateLimitError, match="orders"):
            permit_of(limiter, "POST", "/order", key="BTC-USDT")
        for _ in range(2):
            permit_of(limiter, "POST", "/order", key="ETH-USDT")
        permit_of(limiter, "POST", "/order", key="SOL-USDT")
        with pytest.raises(RateLimitError, match="all"):
            permit_of(limiter, "POST", "/order", key="SOL-USDT")
        assert 3 == limiter.get_status()["orders"]["keys"]

    def test_keys_are_bounded_and_never_forgotten_while_they_count(self) -> None:
        """Those beyond the bound share a count until a key is free."""
        clock = FakeClock()
        limiter = limiter_of(rule(2, 60.0, per_key=True, max_keys=3), clock=clock)
        for key in "abc":
            permit_of(limiter, key=key)
        permit_of(limiter, key="d")
        permit_of(limiter, key="e")
        with pytest.raises(RateLimitError):
            permit_of(limiter, key="d")
        permit_of(limiter, key="a")
        with pytest.raises(RateLimitError):
            permit_of(limiter, key="a")
        clock.now += 60.0
        for key in "defghij" * 2:
            clock.now += 60.0
            permit_of(limiter, key=key)
            permit_of(limiter, key=key)
        assert 3 == limiter.get_status()["rule"]["keys"]

    def test_a_key_that_shared_a_count_takes_it_along(self) -> None:
        """Else it could have both."""
        clock = FakeClock()
        limiter = limiter_of(rule(2, 60.0, per_key=True, max_keys=1), clock=clock)
        permit_of(limiter, key="a")
        clock.now += 30.0
        permit_of(limiter, key="b")  # among the rest, until 90
        clock.now += 30.0
        permit_of(limiter, key="c")  # takes the place of "a"
        with pytest.raises(RateLimitError):
            permit_of(limiter, key="c")

    def test_paths_without_number_are_no_leak(self) -> None:
        """What is remembered of each kind of call is bounded."""
        limiter = limiter_of(rule(1_000_000))
        for number in range(5000):
            limiter.acquire("GET", f"/order/{number}")
        assert len(limiter._known) <= 4096
        assert 5000 == limiter.get_status()["rule"]["current"]


class TestReports:
    """The venue knows better what it has counted."""

    HEADER = "X-MBX-USED-WEIGHT-1M"

    def make(self, clock: FakeClock | None = None, **options: Any) -> RateLimiter:
        """Return a limiter of 100 in a minute that the venue reports on."""
        return limiter_of(rule(100, 60.0, FIXED, header=self.HEADER, **options), clock=clock)

    def used(self, limiter: RateLimiter) -> float:
        """Return what is used."""
        return limiter.get_status()["rule"]["current"]

    @pytest.mark.parametrize(
        "headers",
        [
            httpx.Headers({"x-mbx-used-weight-1m": "90"}),
            {"X-MBX-USED-WEIGHT-1M": "90"},
            {"x-mbx-used-weight-1m": "90"},
        ],
        ids=["httpx", "as documented", "lower case"],
    )
    @pytest.mark.parametrize("kind", ALL_TYPES)
    def test_somebody_elses_use_counts(self, kind: RateLimitType, headers: Any) -> None:
        """Other programs at the same address use up the same limit."""
        limiter = limiter_of(rule(100, 60.0, kind, header=self.HEADER))
        assert limiter.acquire()
        limiter.report(headers)
        assert 90 == self.used(limiter)
        assert 10 == count(limiter)

    def test_a_lower_figure_without_a_permit_lowers_nothing(self) -> None:
        """Calls that the venue has not seen yet may be under way."""
        limiter = self.make()
        assert 20 == sum(limiter.acquire() for _ in range(20))
        limiter.report({self.HEADER: "5"})
        assert 20 == self.used(limiter)

    def test_a_raise_is_forgotten_with_its_window(self) -> None:
        """The venue's window turns as ours does."""
        clock = FakeClock(1_600_000_020.0)
        limiter = self.make(clock, aligned=True)
        limiter.report({self.HEADER: "90"})
        clock.now += 60.0
        assert 0 == self.used(limiter)
        assert limiter.get_status()["rule"]["reported"] is None

    def test_an_answer_makes_known_what_is_under_way(self) -> None:
        """What the venue says, and what it cannot know yet, is what is used: more or less than we thought."""
        limiter = self.make()
        first, second, third = (permit_of(limiter, "POST", "/order", 4) for _ in range(3))
        first.report({self.HEADER: "0"})  # an order that was filled costs nothing
        assert 8 == self.used(limiter)
        third.report({self.HEADER: "50"})  # somebody else was there
        assert 54 == self.used(limiter)
        second.report({self.HEADER: "50"})
        assert 50 == self.used(limiter)
        second.report({self.HEADER: "50"})
        assert 50 == self.used(limiter)

    def test_calls_that_nobody_answers_for_are_not_taken_back(self) -> None:
        """Those of `acquire`, and answers that say nothing."""
        limiter = self.make()
        assert limiter.acquire(weight=10)
        permit_of(limiter, weight=5).report({self.HEADER: "5"})
        assert 15 == self.used(limiter)
        limiter = self.make()
        permit_of(limiter, weight=5).report({})
        permit_of(limiter, weight=7).report({self.HEADER: "7"})
        assert 12 == self.used(limiter)

    def test_answers_overtake_each_other(self) -> None:
        """The higher figure is the later one."""
        limiter = self.make()
        first, second = permit_of(limiter), permit_of(limiter)
        second.report({self.HEADER: "62"})
        first.report({self.HEADER: "61"})
        assert 62 == self.used(limiter)

    def test_the_venues_window_may_turn_before_ours(self) -> None:
        """A figure far below the last one is of a new window."""
        limiter = self.make()
        permit_of(limiter).report({self.HEADER: "95"})
        permit_of(limiter).report({self.HEADER: "1"})
        assert 1 == self.used(limiter)

    def test_the_answer_of_a_call_of_the_last_window_says_nothing_about_this_one(self) -> None:
        """Else a minute would begin as full as the last one ended."""
        clock = FakeClock()
        limiter = self.make(clock)
        late = permit_of(limiter)
        clock.now += 60.0
        permit_of(limiter)
        late.report({self.HEADER: "100"})
        assert 1 == self.used(limiter)

    def test_a_call_that_was_not_sent_is_not_expected_by_the_venue(self) -> None:
        """Given back, it is not under way."""
        limiter = self.make()
        unsent, sent = permit_of(limiter, weight=30), permit_of(limiter, weight=4)
        unsent.give_back()
        assert 4 == self.used(limiter)
        sent.report({self.HEADER: "4"})
        assert 4 == self.used(limiter)
        unsent.report({self.HEADER: "4"})
        assert not unsent.is_open
        assert 4 == self.used(limiter)

    def test_headers_may_tell_what_is_left(self) -> None:
        """As Bybit's and Gate's do."""
        limiter = limiter_of(rule(100, remaining_header="X-Bapi-Limit-Status"))
        limiter.report({"X-Bapi-Limit-Status": "98"})
        assert 2 == self.used(limiter)

    @pytest.mark.parametrize("figure", ["", "many", "1.5"])
    def test_what_is_no_number_is_ignored(self, figure: str) -> None:
        """A limiter is no place to fail for a header."""
        limiter = self.make()
        assert limiter.acquire()
        limiter.report({self.HEADER: figure})
        assert 1 == self.used(limiter)

    def test_a_figure_counts_for_the_key_of_its_call(self) -> None:
        """Order counts are an account's."""
        limiter = limiter_of(rule(100, 10.0, FIXED, header="X-MBX-ORDER-COUNT-10S", per_key=True))
        permit_of(limiter, key="one").report({"X-MBX-ORDER-COUNT-10S": "100"})
        with pytest.raises(RateLimitError):
            permit_of(limiter, key="one")
        permit_of(limiter, key="two")


class TestGate:
    """When a venue says stop, everybody stops."""

    def test_a_ban_stops_all_callers_until_the_time_it_names(self) -> None:
        """Whatever they call, with or without a rule for it."""
        clock = FakeClock()
        limiter = limiter_of(rule(100, endpoint="/x"), clock=clock, exchange_name="BINANCE___SPOT")
        limiter.close_gate(120.0, banned=True, reason="Way too many requests; IP banned")
        assert limiter.is_banned
        assert 120.0 == limiter.closed_for
        for seconds in (0.0, 60.0, 59.5):
            clock.now += seconds
            assert not limiter.acquire("GET", "/x")
            assert not limiter.acquire("GET", "/unmatched")
            assert not limiter.wait_and_acquire("GET", "/x", timeout=0)
        with pytest.raises(BannedError, match="IP banned") as caught, limiter.slot("GET", "/x", timeout=0.25):
            pass
        assert ("BINANCE___SPOT", 0.5) == (caught.value.exchange_name, caught.value.retry_after)
        clock.now += 0.5
        assert not limiter.is_banned
        assert 0.0 == limiter.closed_for
        assert limiter.acquire("GET", "/x")

    def test_a_gate_without_a_ban_is_a_rate_limit(self) -> None:
        """It passes, and one may try again."""
        limiter = limiter_of(rule())
        limiter.close_gate(3.0)
        with pytest.raises(RateLimitError) as caught:
            permit_of(limiter)
        assert not isinstance(caught.value, BannedError)
        assert 3.0 == caught.value.retry_after

    def test_the_longest_time_counts(self) -> None:
        """A later, shorter one changes nothing; a longer one does, and a ban stays a ban."""
        limiter = limiter_of(rule())
        limiter.close_gate(0.0)
        limiter.close_gate(-5.0)
        assert 0.0 == limiter.closed_for
        limiter.close_gate(10.0, banned=True)
        limiter.close_gate(5.0)
        assert 10.0 == limiter.closed_for
        limiter.close_gate(20.0)
        assert 20.0 == limiter.closed_for
        assert limiter.is_banned

    def test_the_gate_can_be_opened(self) -> None:
        """By somebody who knows better."""
        limiter = limiter_of(rule())
        limiter.close_gate(1e6, banned=True)
        limiter.open_gate()
        assert limiter.acquire()
        assert not limiter.is_banned


class TestErrors:
    """Why a call cannot go is said in words and numbers."""

    def test_which_rule_and_when(self) -> None:
        """The one with the longest wait decides when."""
        clock = FakeClock()
        limiter = limiter_of(
            rule(1, 60.0, name="minute"), rule(1, 10.0, name="seconds"), rule(5, name="other"), clock=clock
        )
        permit_of(limiter)
        clock.now += 4.0
        with pytest.raises(RateLimitError, match="'minute', 'seconds'") as caught:
            permit_of(limiter)
        assert 56.0 == caught.value.retry_after
        assert caught.value.retryable

    def test_what_never_fits_is_refused_at_once(self) -> None:
        """Nobody waits for it, and trying again is no use."""
        limiter = limiter_of(rule(10))
        assert not limiter.acquire(weight=11)
        assert not limiter.wait_and_acquire(weight=11)
        with pytest.raises(RateLimitError, match="never fits") as caught:
            limiter.permit(weight=11)
        assert not caught.value.retryable


class TestLimitsThatChange:
    """Venues tell their limits, and change them."""

    @pytest.mark.parametrize("kind", ALL_TYPES)
    @pytest.mark.parametrize(("limit", "expected"), [(20, 15), (7, 2), (3, 0), (1000, 995)])
    def test_what_is_used_stays_used(self, kind: RateLimitType, limit: int, expected: int) -> None:
        """Only the limit is another."""
        limiter = limiter_of(rule(10, type=kind))
        assert limiter.acquire(weight=5)
        limiter.set_limit("rule", limit)
        assert expected == count(limiter)
        assert limit == limiter.get_status()["rule"]["limit"]

    def test_new_keys_have_the_new_limit(self) -> None:
        """As those have that are there."""
        limiter = limiter_of(rule(1, per_key=True))
        permit_of(limiter, key="a")
        limiter.set_limit("rule", 2)
        permit_of(limiter, key="a")
        permit_of(limiter, key="b")
        permit_of(limiter, key="b")

    @pytest.mark.parametrize(("name", "limit"), [("other", 5), ("rule", 0), ("rule", -1)])
    def test_what_makes_no_sense_is_refused(self, name: str, limit: int) -> None:
        """No such rule, or no such limit."""
        with pytest.raises(ConfigurationError):
            limiter_of(rule()).set_limit(name, limit)


class TestStatus:
    """How each rule stands."""

    def test_every_rule_is_listed(self) -> None:
        """With what older programs read, and more."""
        clock = FakeClock()
        limiter = limiter_of(rule(10), rule(5, 1.0, BUCKET, name="bucket"), clock=clock)
        assert limiter.acquire(weight=2)
        clock.now += 15.0
        expected = {
            "type": "sliding_window", "scope": "global", "counts": "weight", "interval": 60.0, "limit": 10,
            "current": 2, "remaining": 8, "resets_in": 45.0, "reported": None, "waiting": 0, "keys": 0,
        }  # fmt: skip
        assert expected == limiter.get_status()["rule"]
        assert {"rule", "bucket"} == limiter.get_status().keys()
        assert (0, 0.0) == tuple(limiter.get_status()["bucket"][name] for name in ("current", "resets_in"))  # type: ignore[literal-required]

    def test_it_says_what_it_is(self) -> None:
        """In a debugger."""
        assert "<RateLimiter of OKX___SPOT: rule>" == repr(limiter_of(rule(), exchange_name="OKX___SPOT"))

    def test_context_managers_count(self) -> None:
        """A `with` that only looks like a limit is worse than none."""
        limiter = limiter_of(rule(10))
        with limiter, limiter.slot("GET", "/x", 3) as permit:
            permit.give_back()
        with limiter.slot("GET", "/x", 4):
            pass
        assert 5 == limiter.get_status()["rule"]["current"]
