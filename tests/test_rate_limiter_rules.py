"""A rule: which calls it counts, and what each of them costs."""

from __future__ import annotations

from typing import Any

import pytest

from bt_api_base.exceptions import ConfigurationError
from bt_api_base.rate_limiter import DEFAULT_RULE, RateLimitRule, RateLimitScope, RateLimitType, RateLimitUnit
from tests.rate_limits import BUCKET, FIXED, rule


class TestMatching:
    """Globs of paths and methods say what counts."""

    @pytest.mark.parametrize(
        ("endpoint", "method", "path", "expected"),
        [
            (None, "GET", "/any", True),
            (None, "", "", True),
            ("/api/v3/order", "POST", "/api/v3/order", True),
            ("/api/v3/order", "POST", "/api/v3/order/test", False),
            ("/api/v3/order*", "POST", "/api/v3/order/test", True),
            ("/api/*/order", "POST", "/api/v3/order", True),
            ("POST /api/v3/order", "POST", "/api/v3/order", True),
            ("POST /api/v3/order", "post", "/api/v3/order", True),
            ("POST /api/v3/order", "GET", "/api/v3/order", False),
            ("POST /api/v3/order", "POST", "/api/v3/order?symbol=BTCUSDT", True),
            ("post *", "POST", "/x", True),
            ("DELETE", "DELETE", "/x", True),
            ("DELETE", "GET", "/x", False),
            ("* /x", "GET", "/x", True),
            ("/V3", "GET", "/v3", False),
            (("GET /a", "GET /b"), "GET", "/b", True),
            (("GET /a", "GET /b"), "GET", "/c", False),
            (["/a*"], "GET", "/abc", True),
        ],
    )
    def test_globs(self, endpoint: Any, method: str, path: str, expected: bool) -> None:
        """A glob is a path, a method and a path, or a method; methods have no case, paths have no query."""
        assert expected is rule(endpoint=endpoint).match(method, path)


class TestWeights:
    """What a call costs."""

    @pytest.mark.parametrize(
        ("path", "expected"),
        [("/depth", 50), ("/depth/5", 5), ("/depth/7", 7), ("/other", 3), ("/depth?limit=5000", 50)],
    )
    def test_the_most_particular_weight_counts(self, path: str, expected: int) -> None:
        """One that is spelled as the call goes before globs, globs in their order, and `weight` is for the rest."""
        a_rule = rule(weight_map={"/depth/*5": 5, "/depth/*": 7, "GET /depth": 50}, weight=3)
        assert expected == a_rule.get_weight("GET", path)

    def test_a_method_alone_has_a_weight(self) -> None:
        """So older programs wrote them."""
        assert 10 == rule(weight_map={"GET": 10}).get_weight("GET", "/x")

    @pytest.mark.parametrize(
        ("counts", "expected"),
        [(RateLimitUnit.WEIGHT, 4), (RateLimitUnit.REQUESTS, 1), (RateLimitUnit.ORDERS, 5)],
    )
    def test_a_rule_counts_weights_requests_or_orders(self, counts: RateLimitUnit, expected: int) -> None:
        """A batch of five orders with a weight of 4 is one request."""
        assert expected == rule(counts=counts).cost("POST", "/batch", weight=4, orders=5)

    def test_a_call_may_bring_its_own_weight(self) -> None:
        """It goes before those of the rule; how many calls at once multiplies either."""
        a_rule = rule(weight_map={"/x": 7})
        assert (7, 14, 2, 0) == (
            a_rule.cost("GET", "/x"),
            a_rule.cost("GET", "/x", times=2),
            a_rule.cost("GET", "/x", weight=2),
            a_rule.cost("GET", "/x", weight=0),
        )


class TestConstruction:
    """A rule is data, and wrong data is refused."""

    def test_parameters_have_the_order_of_older_programs(self) -> None:
        """And enums may be given by value, as configuration files do."""
        made = RateLimitRule("orders", "fixed_window", 10, 50, "endpoint", "/order*", {"/order": 2}, 3)  # type: ignore[arg-type]
        assert ("orders", RateLimitType.FIXED_WINDOW, 10, 50) == (made.name, made.type, made.interval, made.limit)
        assert (RateLimitScope.ENDPOINT, "/order*", {"/order": 2}, 3) == (
            made.scope, made.endpoint, made.weight_map, made.weight,
        )  # fmt: skip

    @pytest.mark.parametrize(
        "wrong",
        [
            {"limit": 0},
            {"interval": 0},
            {"interval": -1.0},
            {"weight": -1},
            {"weight_map": {"/x": -1}},
            {"scope": RateLimitScope.IP, "per_key": True},
            {"aligned": True},
            {"type": FIXED, "margin": 1.0},
            {"type": FIXED, "aligned": True, "margin": 20.0},
            {"burst": 20},
            {"type": BUCKET, "burst": 0},
            {"max_keys": 0},
        ],
        ids=str,
    )
    def test_what_makes_no_sense_is_refused(self, wrong: dict[str, Any]) -> None:
        """With an error that says which setting."""
        with pytest.raises(ConfigurationError):
            rule(**wrong)

    @pytest.mark.parametrize("wrong", [{"type": "leaky"}, {"scope": "planet"}])
    def test_unknown_words_are_refused(self, wrong: dict[str, Any]) -> None:
        """An enum says what there is."""
        with pytest.raises(ValueError):
            rule(**wrong)

    def test_rules_with_the_same_data_are_equal(self) -> None:
        """Compiled patterns are no part of it."""
        assert rule(weight_map={"/x": 2}) == rule(weight_map={"/x": 2})
        assert rule(weight_map={"/x": 2}) != rule(weight_map={"/x": 3})
        assert 10 == DEFAULT_RULE.capacity
        assert 20 == rule(type=BUCKET, burst=20).capacity
