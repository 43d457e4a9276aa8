"""What can go wrong between a client and a simulated venue's REST side: what is armed, and what it does next."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, TypeAlias

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable

    from bt_api_base.testing.rest_messages import RestReply, RestRequest

Match: TypeAlias = "str | Callable[[RestRequest], bool] | None"
"""Which requests are meant: all (``None``), those of a path or of a method and path ("POST /api/v3/order"), both with
wildcards, or those that a function says."""


@attrs.define(eq=False)
class RequestFate:
    """What is going to happen to one request."""

    delay_before: float = 0.0
    """Seconds until it is done."""
    delay_after: float = 0.0
    """Seconds from there until it is answered."""
    is_lost: bool = False
    """Whether it is not done, and not answered."""
    is_reply_lost: bool = False
    """Whether it is done, and not answered."""
    failure: RestReply | None = None
    """What it is answered instead."""
    is_done: bool = True
    """Whether it is done before it is answered a failure."""


@attrs.define(eq=False)
class _Armed:
    apply: Callable[[RequestFate], None]
    left: int | None
    match: Match


@attrs.define(eq=False)
class RestFaults:
    """The faults that are armed. Each concerns the next requests that match; several can concern the same one."""

    _armed: list[_Armed] = attrs.field(factory=list[_Armed])

    def arm(self, apply: Callable[[RequestFate], None], count: int | None, match: Match) -> None:
        """Arm a fault.

        Args:
            apply: Changes the fate of a request.
            count: How many requests it concerns; ``None`` for all from now on.
            match: Which.
        """
        if count is None or count > 0:
            self._armed.append(_Armed(apply, count, match))

    def clear(self) -> None:
        """Disarm all."""
        self._armed.clear()

    @property
    def armed(self) -> int:
        """Number of faults that are armed."""
        return len(self._armed)

    def fate(self, request: RestRequest) -> RequestFate:
        """Return what is going to happen to a request; this uses the faults up.

        Args:
            request: The request.
        """
        fate = RequestFate()
        if not self._armed:
            return fate
        for armed in [armed for armed in self._armed if matches(armed.match, request)]:
            armed.apply(fate)
            if armed.left is not None:
                armed.left -= 1
                if not armed.left:
                    self._armed.remove(armed)
        return fate


def matches(match: Match, request: RestRequest) -> bool:
    """Tell whether a request is meant.

    Args:
        match: See `Match`.
        request: The request.
    """
    if match is None:
        return True
    if not isinstance(match, str):
        return match(request)
    return fnmatchcase(f"{request.method} {request.path}" if " " in match else request.path, match)


__all__ = ("Match", "RequestFate", "RestFaults", "matches")
