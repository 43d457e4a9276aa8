"""What the REST APIs of venues have in common: the client's life, ids for orders, answers that cannot be read."""

from __future__ import annotations

import secrets
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar, NoReturn

from bt_api_base._redaction import excerpt
from bt_api_base.exceptions import (
    ConfigurationError,
    DataParseError,
    InvalidOrderError,
    OrderNotFoundError,
    OrderUnknownError,
)

if TYPE_CHECKING:
    import re
    from collections.abc import Generator, Mapping
    from types import TracebackType

    from typing_extensions import Self

    from bt_api_base.feeds.capability import Capability
    from bt_api_base.feeds.clock import VenueClock
    from bt_api_base.feeds.http_client import HttpClient
    from bt_api_base.feeds.order_request import OrderRequest

__all__ = ("RestApi", "first_ms", "last_ms_before")

_MS = 1_000_000


class RestApi:
    """Base of the venues' `VenueApi` classes.

    An instance owns its client: ``async with`` opens and closes it.

    Attributes:
        client: What asks the venue.
        clock: The venue's time, as far as it is known.
    """

    exchange_name: ClassVar[str]
    capabilities: ClassVar[frozenset[Capability]]
    client_order_ids: ClassVar[re.Pattern[str]]
    """The form of client order ids that the venue takes."""
    identifying: ClassVar[frozenset[str]] = frozenset()
    """Parameters by which an order is found again: they are always those of the request."""

    client: HttpClient
    clock: VenueClock

    async def __aenter__(self) -> Self:
        """Open the client.

        Cancellation: Nothing is left open.
        """
        await self.client.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the client.

        Cancellation: The client is closed nevertheless.
        """
        await self.client.__aexit__(kind, error, traceback)

    def new_client_order_id(self) -> str:
        """Return an id that no other order has: 25 letters and digits, of which 96 bits are random.

        Every venue takes such. It is too short to be taken for a key where texts are masked.
        """
        return f"b{secrets.token_hex(12)}"

    def _check_id(self, request: OrderRequest) -> None:
        """Refuse a client order id that the venue would, and parameters under which the order would not be found.

        Raises:
            InvalidOrderError: It has another form, or there are such parameters.
        """
        others = sorted(self.identifying.intersection(request.parameters))
        if others:
            self._refuse(request, f"parameters cannot be {', '.join(others)}: that is for the order itself to say")
        if not self.client_order_ids.fullmatch(request.client_order_id):
            raise InvalidOrderError(
                self.exchange_name,
                request.symbol,
                f"client order id {excerpt(request.client_order_id, 80)!r} is not {self.client_order_ids.pattern}",
            )

    def _refuse(self, request: OrderRequest, detail: str) -> NoReturn:
        raise InvalidOrderError(self.exchange_name, request.symbol, detail)

    def _one_id(self, symbol: str, order_id: str, client_order_id: str) -> None:
        """Raise if there is nothing to find an order by.

        Raises:
            InvalidOrderError: Both are empty.
        """
        if not order_id and not client_order_id:
            raise InvalidOrderError(self.exchange_name, symbol, "give the order's id or its client order id")

    @contextmanager
    def _about(self, order_id: str) -> Generator[None]:
        """Name the order in the error about one that is not there, where the venue's id is all there was."""
        try:
            yield
        except OrderNotFoundError as error:
            error.order_id = error.order_id or order_id
            raise

    def _period(self, periods: Mapping[str, str], period: str) -> str:
        """Return what the venue calls a bar's interval.

        Raises:
            ConfigurationError: It has no such bars.
        """
        try:
            return periods[period]
        except KeyError:
            raise ConfigurationError(
                f"no bars of {period!r} here; there are {', '.join(periods)}", exchange_name=self.exchange_name
            ) from None

    @contextmanager
    def _reading(self, what: str, *, changed: tuple[str, str] | None = None) -> Generator[int]:
        """Convert an answer in this context; it yields the local time, nanoseconds since the epoch (UTC).

        Args:
            what: What the answer becomes.
            changed: Symbol and client order id, if it is the answer to the change of an order.

        Raises:
            DataParseError: The answer is well-formed, and says what cannot be.
            OrderUnknownError: The same, in answer to the change of an order: it was done, and nobody knows how.
        """
        try:
            yield time.time_ns()
        except (ValueError, TypeError, OverflowError, IndexError) as error:
            unread = DataParseError(
                what, excerpt(str(error), 400), exchange_name=self.exchange_name, field=getattr(error, "field", "")
            )
            if changed is None:
                raise unread from error
            symbol, client_order_id = changed
            raise OrderUnknownError(
                self.exchange_name, symbol, client_order_id, "the venue's answer cannot be read"
            ) from unread


def first_ms(time_ns: int | None) -> int | None:
    """Return the first millisecond that is not before a time."""
    return None if time_ns is None else -(-time_ns // _MS)


def last_ms_before(time_ns: int | None) -> int | None:
    """Return the last millisecond before a time."""
    return None if time_ns is None else -(-time_ns // _MS) - 1
