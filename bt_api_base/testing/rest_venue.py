"""A market venue that can be traded at: a REST side, an exchange behind it, and an account.

A subclass says how its REST side speaks, and makes events of what the exchange tells. Nothing of it is made before it
is asked for: a venue whose streams only are listened to is as light as one without.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, ClassVar, Final

import msgspec
from typing_extensions import override

from bt_api_base.testing.market_venue import MarketVenue
from bt_api_base.testing.rest_records import MarketRecords
from bt_api_base.testing.rest_side import RestSide

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from anyio.abc import TaskGroup
    from typing_extensions import Unpack

    from bt_api_base.containers.instrument import Instrument
    from bt_api_base.testing.dialect import Dialect
    from bt_api_base.testing.exchange import Exchange, ExchangeEvent
    from bt_api_base.testing.market import MarketSpec, MarketStep
    from bt_api_base.testing.market_bars import ClosedBar
    from bt_api_base.testing.market_hub import Hub
    from bt_api_base.testing.rest_messages import RestDialect
    from bt_api_base.testing.rest_transport import RestTransport
    from bt_api_base.testing.venue_options import VenueOptions

_DOLLARS: Final = ("USDT", "USDC", "USD", "FDUSD", "BUSD", "DAI")
_MOST_LOTS: Final = 900_000_000


class TradingVenue(MarketVenue):
    """Markets of one's own with a REST side, an exchange and an account.

    Args:
        dialect: How it speaks over WebSocket.
        symbols: See `MarketVenue`.
        exchange_name: See there.
        seed: See there.
        rate: See there.
        paused: See there.
        start_time_ns: See there.
        **options: See `bt_api_base.testing.venue_options.VenueOptions`.
    """

    derivatives: ClassVar[bool | None] = False
    """Whether contracts are traded; None: each instrument says so by itself."""
    fees: ClassVar[tuple[str, str]] = ("0.001", "0.001")
    """What makers and takers pay by default."""
    cancels_post_only: ClassVar[bool] = False
    """Whether a post-only order that would take is accepted and canceled, instead of refused."""

    def __init__(
        self,
        dialect: Dialect,
        symbols: Sequence[str | MarketSpec],
        *,
        exchange_name: str,
        seed: int = 1,
        rate: float = 20.0,
        paused: bool = False,
        start_time_ns: int | None = None,
        **options: Unpack[VenueOptions],
    ) -> None:
        super().__init__(
            dialect,
            symbols,
            exchange_name=exchange_name,
            seed=seed,
            rate=rate,
            paused=paused,
            start_time_ns=start_time_ns,
            **options,
        )
        self.rest = RestSide(
            self._rest_dialect,
            self._clock_ns,
            host=options.get("host", "127.0.0.1"),
            port=options.get("rest_port", 0),
            listen=options.get("listen", True),
        )
        """What the REST side was asked, and what is to go wrong with it."""
        self.records: Mapping[str, MarketRecords] = {
            symbol: MarketRecords(market, seed) for symbol, market in self.markets.items()
        }
        """What the markets did, by internal symbol."""
        self._instruments: Mapping[str, Instrument] | None = None
        self._exchange: Exchange | None = None

    # Where it is, as REST.

    @property
    def rest_url(self) -> str:
        """Base URL of the REST side; it listens from when this is first asked for.

        Raises:
            RuntimeError: The venue is not running.
        """
        return self.rest.url

    def rest_transport(self) -> RestTransport:
        """Return a transport for `httpx.AsyncClient` that asks this venue in memory; it suits virtual time."""
        return self.rest.transport()

    # What is traded.

    @property
    def options(self) -> VenueOptions:
        """What it was made with, and the dialect's defaults."""
        return self._options

    @property
    def instruments(self) -> Mapping[str, Instrument]:
        """What can be traded, by internal symbol."""
        if self._instruments is None:
            self._instruments = {symbol: self._instrument(market.spec) for symbol, market in self.markets.items()}
        return self._instruments

    @property
    def exchange(self) -> Exchange:
        """The matching engine, and the account."""
        if self._exchange is None:
            from bt_api_base.testing.exchange import Exchange

            maker_fee, taker_fee = self.fees
            self._exchange = Exchange(
                self.markets,
                self.instruments,
                clock_ns=self.rest.now_ns,
                balances=self._options.get("balances", self._default_balances()),
                derivatives=self.derivatives,
                maker_fee=self._options.get("maker_fee", maker_fee),
                taker_fee=self._options.get("taker_fee", taker_fee),
                leverage=self._options.get("leverage", 10),
                on_event=self._exchange_event,
                cancel_post_only=self.cancels_post_only,
            )
        return self._exchange

    def symbol_of(self, venue_symbol: str) -> str | None:
        """Return the internal symbol of a market, None where there is none.

        Args:
            venue_symbol: In the venue's spelling.
        """
        hub = self._hubs.get(self._market_key(venue_symbol))
        return hub.market.symbol if hub is not None and hub.venue_symbol == venue_symbol else None

    def venue_symbol_of(self, symbol: str) -> str:
        """Return a symbol in the venue's spelling.

        Args:
            symbol: Internal symbol.
        """
        return self._venue_symbol(symbol)

    def market_time_us(self) -> int:
        """Return the time that events of the markets are stamped with now, microseconds since the epoch."""
        return self._stamp_us()

    # What a subclass says.

    def _rest_dialect(self) -> RestDialect:
        """Return what answers REST requests."""
        raise NotImplementedError

    def _instrument(self, spec: MarketSpec) -> Instrument:
        """Return what a market trades."""
        from bt_api_base.testing.exchange_rules import market_instrument

        quote = spec.symbol.split("-")[1] if "-" in spec.symbol else ""
        instrument = market_instrument(
            spec,
            self.exchange_name,
            self._venue_symbol(spec.symbol),
            min_notional="5" if quote in _DOLLARS else "0.0001",
        )
        return msgspec.structs.replace(
            instrument,
            min_price=instrument.tick_size,
            max_price=Decimal(spec.price // spec.tick * 1_000 * spec.tick).scaleb(-8),
            max_qty=Decimal(spec.lot * _MOST_LOTS).scaleb(-8),
        )

    def _exchange_event(self, event: ExchangeEvent) -> None:
        """Tell the account's owner what happened to it."""

    def _default_balances(self) -> dict[str, str]:
        instruments = self.instruments.values()
        if self.derivatives:
            return {instrument.settle_currency: "100000" for instrument in instruments}
        bases = {instrument.base_currency: "10" for instrument in instruments}
        return {**bases, **{instrument.quote_currency: "100000" for instrument in instruments}}

    # What happens.

    @override
    def _take_step(self, hub: Hub) -> MarketStep:
        step = super()._take_step(hub)
        if step.trades or step.closed_bars:
            self.records[hub.market.symbol].note_step(step)
        if self._exchange is not None:
            self._exchange.on_step(hub.market.symbol, step)
        return step

    @override
    def _note_bars(self, hub: Hub, closed: tuple[ClosedBar, ...]) -> None:
        self.records[hub.market.symbol].note_bars(closed)

    @override
    def _start(self, tasks: TaskGroup) -> None:
        super()._start(tasks)
        for records in self.records.values():
            records.begin(self._stamp_us())
        self.rest.start(tasks)

    @override
    def _stopped(self) -> None:
        super()._stopped()
        self.rest.stop()

    # Faults of streams and REST together.

    @override
    async def kill(self, seconds: float | None = None) -> int:
        """Die, as streams and as REST: reset every connection and refuse new ones.

        Args:
            seconds: How long to stay dead; None until `revive`.

        Returns:
            The number of connections of streams.

        Cancellation:
            New connections are refused all the same; some old ones may live.
        """
        await self.rest.kill(seconds)
        return await super().kill(seconds)

    @override
    async def revive(self) -> None:
        """Accept connections again, at the same ports.

        Cancellation:
            Either it does or it does not.
        """
        self.rest.revive()
        await super().revive()


__all__ = ("TradingVenue",)
