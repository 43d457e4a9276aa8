"""What the parts of a native feed share: the venue, the queue of older programs, the instruments."""

from __future__ import annotations

import queue
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

import anyio

from bt_api_base.containers import utc_ns
from bt_api_base.exceptions import ConfigurationError, InvalidSymbolError, NotSupportedError
from bt_api_base.feeds.capability import Capability
from bt_api_base.logging_factory import get_logger

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bt_api_base.containers import Event, Instrument
    from bt_api_base.feeds.order_desk import OrderDesk
    from bt_api_base.feeds.venue_api import VenueApi
    from bt_api_base.instrument_manager import InstrumentManager

__all__ = ("DataQueue", "FeedCore", "moment_ns")


class DataQueue(Protocol):
    """Where older programs have containers put: a `queue.Queue`, or anything with its method."""

    def put_nowait(self, item: Any, /) -> object:  # noqa: ANN401 - any container
        """Take an item at once, or raise `queue.Full`."""
        ...


def moment_ns(moment: int | datetime | None) -> int | None:
    """Return a moment as nanoseconds since the epoch (UTC)."""
    return utc_ns(moment) if isinstance(moment, datetime) else moment


class FeedCore:
    """A native feed without its calls. `NativeFeed` describes the parameters.

    Attributes:
        data_queue: Where containers are put besides being returned; ``None``: nowhere.
        instruments: What the venue lists, once it has been asked.
        queue_overflows: Containers that the queue had no room for.
    """

    data_queue: DataQueue | None
    instruments: InstrumentManager
    exchange_info_ttl: float
    queue_overflows: int = 0

    def _init_core(self) -> None:
        self._log: Any = get_logger("feed")
        self._api: VenueApi | None = None
        self._desk: OrderDesk | None = None
        self._listed: list[Instrument] = []
        self._listed_at: float | None = None
        self._listing = anyio.Lock()

    @property
    def exchange_name(self) -> str:
        """The venue, such as ``"BINANCE___SPOT"``."""
        raise NotImplementedError

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What the venue can do."""
        raise NotImplementedError

    @property
    def api(self) -> VenueApi:
        """The venue's API, while the feed is in use.

        Raises:
            ConfigurationError: The feed is not in use.
        """
        if self._api is None:
            name = type(self).__name__
            raise ConfigurationError(f"{name} is not connected: use it inside 'async with', or connect() it")
        return self._api

    @property
    def _orders(self) -> OrderDesk:
        desk = self._desk
        if desk is None:
            self.api  # noqa: B018 - raises
            raise ConfigurationError("the feed is being left")
        return desk

    def has_capability(self, capability: Capability) -> bool:
        """Tell whether the venue can do something."""
        return capability in self.capabilities

    def require_capability(self, capability: Capability) -> None:
        """Go on if the venue can do something.

        Raises:
            NotSupportedError: It cannot.
        """
        if capability not in self.capabilities:
            raise NotSupportedError(capability, self.exchange_name)

    def _require(self, capability: Capability) -> VenueApi:
        """Return the venue's API if it can do something."""
        self.require_capability(capability)
        return self.api

    def _hand_over(self, events: Iterable[Event]) -> None:
        """Put containers into the queue of older programs. What happened at the venue is no less true if it is full."""
        target = self.data_queue
        if target is None:
            return
        for event in events:
            try:
                target.put_nowait(event)
            except (queue.Full, anyio.WouldBlock):
                self.queue_overflows += 1
                count = self.queue_overflows
                if not count & (count - 1):  # the first, the second, the fourth…: nobody reads a line for each
                    kind = type(event).__name__
                    self._log.warning("the data queue is full: containers are left out", kind=kind, count=count)

    # -- what is listed ----------------------------------------------------------------------------

    async def async_get_server_time(self) -> int:
        """Return the venue's clock, nanoseconds since the epoch (UTC).

        Raises:
            BtApiError: The venue could not be asked.

        Cancellation: Nothing is lost.
        """
        return await self._require(Capability.GET_SERVER_TIME).server_time()

    async def async_get_exchange_info(self, *, refresh: bool = False) -> list[Instrument]:
        """Return all that can be traded; `instruments` has it afterwards, too.

        The venue is asked once, by one of those who ask at the same time, and again when ``exchange_info_ttl`` is over.

        Args:
            refresh: Whether to ask in any case.

        Raises:
            BtApiError: The venue could not be asked.

        Cancellation: Nothing is lost; the next who waits asks.
        """
        api = self._require(Capability.GET_EXCHANGE_INFO)
        async with self._listing:
            now = anyio.current_time()
            if refresh or self._listed_at is None or now - self._listed_at >= self.exchange_info_ttl:
                listed = await api.instruments()
                self.instruments.register_many(listed)
                self._listed, self._listed_at = listed, now
            return list(self._listed)

    async def async_get_instrument(self, symbol: str) -> Instrument:
        """Return an instrument by its internal symbol; the venue is asked if that has not been done.

        Raises:
            InvalidSymbolError: The venue does not list it.
            BtApiError: The venue could not be asked.

        Cancellation: Nothing is lost.
        """
        found = None if self._listed_at is None else self.instruments.get(symbol, self.exchange_name)
        if found is None:
            await self.async_get_exchange_info()
            found = self.instruments.get(symbol, self.exchange_name)
        if found is None:
            raise InvalidSymbolError(self.exchange_name, symbol, "the venue does not list it")
        return found
