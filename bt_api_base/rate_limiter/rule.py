"""What a venue allows, as data."""

from __future__ import annotations

import enum
import fnmatch
import re
from typing import TYPE_CHECKING, Any

import attrs

from bt_api_base.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ("DEFAULT_RULE", "RateLimitRule", "RateLimitScope", "RateLimitType", "RateLimitUnit")


class RateLimitType(enum.Enum):
    """How calls are counted over time."""

    SLIDING_WINDOW = "sliding_window"
    """No stretch of time of the interval's length sees more than the limit, wherever it begins."""
    FIXED_WINDOW = "fixed_window"
    """Each window sees no more than the limit; two windows' shares may come close together, around their border."""
    TOKEN_BUCKET = "token_bucket"  # noqa: S105  # no secret
    """A bucket of tokens, one for each unit of weight, is refilled at a steady rate."""


class RateLimitScope(enum.Enum):
    """What a venue counts by."""

    GLOBAL = "global"
    """Everything that the rule matches."""
    ENDPOINT = "endpoint"
    """The calls of the endpoints that the rule names, together."""
    IP = "ip"
    """Everything that comes from one address: never counted by key, so all who share the address must share the
    limiter."""


class RateLimitUnit(enum.Enum):
    """What a rule counts."""

    WEIGHT = "weight"
    """The weights of calls."""
    REQUESTS = "requests"
    """Calls, each as 1."""
    ORDERS = "orders"
    """Orders: of a call that places a batch, each."""


def _globs(value: str | tuple[str, ...] | list[str] | None) -> tuple[str, ...]:
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(value)


def _pattern(glob: str) -> re.Pattern[str]:
    """Compile ``"path"``, ``"METHOD path"`` or ``"METHOD"`` to a pattern of ``"METHOD path"``."""
    method, blank, path = glob.strip().partition(" ")
    if not blank:
        method, path = ("*", glob.strip()) if glob.lstrip()[:1] in {"/", "*", "?", "["} else (method, "*")
    return re.compile(fnmatch.translate(f"{method.upper()} {path.strip()}"))


def _positive(_: object, attribute: attrs.Attribute[Any], value: float) -> None:
    if not value > 0:
        raise ConfigurationError(f"the {attribute.name} of a rate limit must be more than 0: {value!r}")


def _not_negative(_: object, attribute: attrs.Attribute[Any], value: float) -> None:
    if not value >= 0:
        raise ConfigurationError(f"the {attribute.name} of a rate limit cannot be less than 0: {value!r}")


def _none_or_positive(_: object, attribute: attrs.Attribute[Any], value: int | None) -> None:
    if value is not None and not value > 0:
        raise ConfigurationError(f"the {attribute.name} of a rate limit must be more than 0: {value!r}")


@attrs.frozen
class RateLimitRule:
    """One limit of a venue.

    Globs are those of a shell: ``*`` stands for any text, slashes included. Each is ``"path"``, ``"METHOD path"`` or
    ``"METHOD"``, as in ``"GET /api/v3/*"``.

    Attributes:
        name: What it is called; unique within a limiter.
        type: How calls are counted over time.
        interval: The length of the window in seconds; a token bucket gets `limit` tokens in it.
        limit: What may be used within an interval.
        scope: What the venue counts by.
        endpoint: The globs of the calls that count; ``None``: all.
        weight_map: The weights of calls by glob. One that is spelled exactly as the call goes first, then the first
            that matches.
        weight: The weight of a call that `weight_map` does not name. 0: it is not counted.
        counts: What is counted.
        per_key: Whether calls are counted for each ``key`` (an instrument, an account) by itself.
        max_keys: How many keys are counted by themselves. Those that come when so many are in use share one more count.
        burst: How many tokens a bucket holds; ``None``: `limit`.
        aligned: Whether windows of `RateLimitType.FIXED_WINDOW` begin when the wall clock's time since the epoch is a
            multiple of the interval, as at Binance. Else a window begins with the first call after the last one.
        margin: How far the venue's clock may be from ours, the way of a call included, seconds; of aligned windows.
            What is granted so close to the turn counts in both windows.
        header: The header in which the venue reports what is used.
        remaining_header: The header in which the venue reports what is left.
    """

    name: str
    type: RateLimitType = attrs.field(converter=RateLimitType)
    interval: float = attrs.field(validator=_positive)
    limit: int = attrs.field(validator=_positive)
    scope: RateLimitScope = attrs.field(default=RateLimitScope.GLOBAL, converter=RateLimitScope)
    endpoint: str | tuple[str, ...] | list[str] | None = None
    weight_map: Mapping[str, int] | None = attrs.field(default=None, eq=lambda value: value and dict(value))
    weight: int = attrs.field(default=1, validator=_not_negative)
    counts: RateLimitUnit = attrs.field(default=RateLimitUnit.WEIGHT, converter=RateLimitUnit, kw_only=True)
    per_key: bool = attrs.field(default=False, kw_only=True)
    max_keys: int = attrs.field(default=1000, validator=_positive, kw_only=True)
    burst: int | None = attrs.field(default=None, validator=_none_or_positive, kw_only=True)
    aligned: bool = attrs.field(default=False, kw_only=True)
    margin: float = attrs.field(default=0.0, validator=_not_negative, kw_only=True)
    header: str = attrs.field(default="", kw_only=True)
    remaining_header: str = attrs.field(default="", kw_only=True)
    _patterns: tuple[re.Pattern[str], ...] = attrs.field(init=False, eq=False, repr=False)
    _weights: tuple[tuple[re.Pattern[str], int], ...] = attrs.field(init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "_patterns", tuple(map(_pattern, _globs(self.endpoint))))
        weights = tuple((_pattern(glob), weight) for glob, weight in (self.weight_map or {}).items())
        object.__setattr__(self, "_weights", weights)
        if any(weight < 0 for _, weight in weights):
            raise ConfigurationError(f"a weight of rate limit {self.name!r} is less than 0")
        if self.scope is RateLimitScope.IP and self.per_key:
            raise ConfigurationError(f"rate limit {self.name!r} counts by address, which no key divides")
        if self.aligned and self.type is not RateLimitType.FIXED_WINDOW:
            raise ConfigurationError(f"rate limit {self.name!r} has no fixed windows that could be aligned")
        if self.margin and not (self.aligned and 4 * self.margin <= self.interval):
            raise ConfigurationError(
                f"the margin of rate limit {self.name!r} needs aligned windows of at least four times its length"
            )
        if self.burst is not None and self.type is not RateLimitType.TOKEN_BUCKET:
            raise ConfigurationError(f"rate limit {self.name!r} has no bucket that could hold a burst")

    @property
    def capacity(self) -> int:
        """What can be used at once."""
        return self.limit if self.burst is None else self.burst

    @property
    def is_reported(self) -> bool:
        """Whether the venue tells what is used."""
        return bool(self.header or self.remaining_header)

    def match(self, method: str, path: str) -> bool:
        """Return whether a call counts here."""
        if not self._patterns:
            return True
        call = _call(method, path)
        return any(pattern.match(call) for pattern in self._patterns)

    def get_weight(self, method: str, path: str) -> int:
        """Return the weight of a call by the rule's own account, whether or not it counts here."""
        if not self._weights:
            return self.weight
        call = _call(method, path)
        weight_map: Mapping[str, int] = self.weight_map or {}
        for name in (call, path):
            if name in weight_map:
                return weight_map[name]
        return next((weight for pattern, weight in self._weights if pattern.match(call)), self.weight)

    def cost(self, method: str, path: str, *, weight: int | None = None, times: int = 1, orders: int = 1) -> int:
        """Return what a call uses up here.

        Args:
            method: Its HTTP method.
            path: Its path.
            weight: Its own weight; ``None``: as `get_weight` says.
            times: How many calls at once.
            orders: How many orders each of them places.
        """
        if self.counts is RateLimitUnit.WEIGHT:
            return times * (self.get_weight(method, path) if weight is None else weight)
        return times * (orders if self.counts is RateLimitUnit.ORDERS else 1)

    def used(self, header: Callable[[str], str | None]) -> int | None:
        """Return what the venue says is used.

        Args:
            header: Finds a header's value by its name.

        Returns:
            The figure; ``None`` if the venue does not report it, or in no way we know.
        """
        try:
            if self.header and (text := header(self.header)) is not None:
                return max(0, int(text))
            if self.remaining_header and (text := header(self.remaining_header)) is not None:
                return max(0, self.limit - int(text))
        except ValueError:
            pass
        return None


def _call(method: str, path: str) -> str:
    return f"{method.upper()} {path.partition('?')[0]}"


DEFAULT_RULE = RateLimitRule("default", RateLimitType.TOKEN_BUCKET, 1.0, 10)
"""What limits the calls that no other rule matches, unless a limiter is told otherwise: 10 in a second."""
