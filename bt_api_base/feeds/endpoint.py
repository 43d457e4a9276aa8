"""What a REST endpoint is, as data: a venue's API is a table of these."""

from __future__ import annotations

import enum
from typing import Any, Generic, TypeVar

import attrs

from bt_api_base.rate_limiter import Priority

__all__ = ("Endpoint", "Security")

T = TypeVar("T")


class Security(enum.Enum):
    """What a venue wants to know of who asks."""

    PUBLIC = "public"
    """Nothing."""
    KEY = "key"
    """The API key, unsigned."""
    SIGNED = "signed"
    """The API key and a signature."""


@attrs.frozen(kw_only=True)
class Endpoint(Generic[T]):
    """One endpoint of a venue.

    Attributes:
        method: The HTTP method, in upper case.
        path: The path, with a leading slash.
        result: What a successful body is decoded into; any type that msgspec decodes.
        weight: What a call costs by default, in the venue's weight unit.
        security: What the venue wants to know of who asks.
        priority: Its lane where calls wait for the rate limit.
        repeatable: Whether a call may be repeated when its answer was lost; ``None``: if the method is GET.
        changes_order: Whether it places or changes an order: then a lost answer leaves an order of unknown fate.
    """

    method: str
    path: str
    result: Any
    weight: int = 1
    security: Security = Security.PUBLIC
    priority: Priority = Priority.QUERY
    repeatable: bool | None = None
    changes_order: bool = False

    @property
    def is_repeatable(self) -> bool:
        """Whether a call may be repeated when its answer was lost."""
        return self.method == "GET" if self.repeatable is None else self.repeatable
