"""What somebody holds who may send a call."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from bt_api_base.rate_limiter.limiter import RateLimiter
    from bt_api_base.rate_limiter.line import Charges
    from bt_api_base.rate_limiter.meters import Meter, Ticket
    from bt_api_base.rate_limiter.priority import Priority

__all__ = ("Permit", "Slot")


@attrs.define(eq=False)
class Permit:
    """The permission to send one call. There is nothing to close: what was sent counts until its window is over.

    Attributes:
        key: What the call is counted by.
        is_open: Whether neither an answer nor a `give_back` has settled it.
    """

    _limiter: RateLimiter = attrs.field(repr=False)
    _charges: Charges = attrs.field(repr=False)
    _tickets: tuple[Ticket, ...] = attrs.field(repr=False)
    key: str = ""
    is_open: bool = attrs.field(default=True, init=False)

    def give_back(self) -> None:
        """Say that the call was not sent, and never will be. Safe to repeat; without effect after `report`."""
        self._limiter.give_back(self)

    def report(self, headers: Mapping[str, str]) -> None:
        """Say what the call's answer says about what is used.

        That is better than `RateLimiter.report`, because it is known then which calls the venue's figure cannot hold
        yet: it may lower what is used, and what it says of a window that is over is not taken for the present one's.
        """
        self._limiter.report(headers, permit=self)

    def settle(self) -> dict[Meter, tuple[Ticket, float]]:
        """Return what was granted, once. Called by the limiter."""
        if not self.is_open:
            return {}
        self.is_open = False
        return {meter: (ticket, cost) for (meter, cost), ticket in zip(self._charges, self._tickets, strict=True)}


@attrs.define(eq=False)
class Slot:
    """A context manager, of both kinds, that waits for a permit. It may be entered repeatedly."""

    _limiter: RateLimiter
    _method: str
    _path: str
    _weight: int | None
    _priority: Priority
    _timeout: float | None
    _key: str
    _orders: int

    def __enter__(self) -> Permit:
        return self._limiter.permit(
            self._method,
            self._path,
            self._weight,
            priority=self._priority,
            timeout=self._timeout,
            key=self._key,
            orders=self._orders,
        )

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_value: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    async def __aenter__(self) -> Permit:
        return await self._limiter.async_permit(
            self._method,
            self._path,
            self._weight,
            priority=self._priority,
            timeout=self._timeout,
            key=self._key,
            orders=self._orders,
        )

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_value: BaseException | None, traceback: TracebackType | None
    ) -> None: ...
