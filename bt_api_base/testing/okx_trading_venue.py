"""The account at the simulated OKX, as its streams have it: what happens at its exchange, and what a test pushes.

Spot and contracts share one account. What the exchange does becomes frames of the private channels; what a test pushes
is told the same way, and the exchange does not know of it.
"""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Final

import msgspec
from typing_extensions import Unpack, override

from bt_api_base.testing.okx_account import OkxAccount
from bt_api_base.testing.okx_dialect import CREDENTIALS, UID, OkxDialect, argument_text
from bt_api_base.testing.okx_frames import data_frame, instrument_type
from bt_api_base.testing.rest_venue import TradingVenue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from bt_api_base.containers.instrument import Instrument
    from bt_api_base.security import Credentials
    from bt_api_base.testing.exchange_orders import ExchangeEvent, ExchangePosition
    from bt_api_base.testing.market import MarketSpec
    from bt_api_base.testing.okx_rows import OkxRows
    from bt_api_base.testing.rest_messages import RestDialect
    from bt_api_base.testing.venue_connection import Feed, VenueConnection
    from bt_api_base.testing.venue_options import VenueOptions

_MOST_LOTS: Final = 900_000_000
_CONTRACTS: Final = {"BTC": "0.01", "ETH": "0.1", "": "1"}
_DOLLAR_CONTRACTS: Final = {"BTC": "100", "": "10"}
"""What a contract stands for, by base currency: in it, and in dollars where those are what it is worth."""
_POSITION_FIELDS: Final = (
    "posId",
    "tradeId",
    "instId",
    "instType",
    "mgnMode",
    "posSide",
    "pos",
    "ccy",
    "posCcy",
    "avgPx",
    "uTime",
)
"""What ``balance_and_position`` tells of a position."""


class OkxTradingVenue(TradingVenue):
    """Markets of one's own with OKX's REST side, and its private channels.

    Args:
        symbols: See `bt_api_base.testing.okx_venue.SimulatedOkxVenue`.
        seed: See there.
        rate: See there.
        paused: See there.
        start_time_ns: See there.
        exchange_name: See there.
        credentials: See there.
        **options: See `bt_api_base.testing.venue_options.VenueOptions`.
    """

    derivatives: ClassVar[bool | None] = None
    fees: ClassVar[tuple[str, str]] = ("0.0008", "0.001")
    cancels_post_only: ClassVar[bool] = True

    def __init__(
        self,
        symbols: Sequence[str | MarketSpec],
        *,
        exchange_name: str,
        credentials: Credentials = CREDENTIALS,
        seed: int = 1,
        rate: float = 20.0,
        paused: bool = False,
        start_time_ns: int | None = None,
        **options: Unpack[VenueOptions],
    ) -> None:
        names = tuple(symbol if isinstance(symbol, str) else symbol.symbol for symbol in symbols)
        super().__init__(
            OkxDialect(names, credentials),
            symbols,
            exchange_name=exchange_name,
            seed=seed,
            rate=rate,
            paused=paused,
            start_time_ns=start_time_ns,
            **options,
        )
        self.credentials = credentials
        """What log-ins and signatures are checked against."""
        self._account = OkxAccount()
        self._rows: OkxRows | None = None

    # The exchange, and what becomes of what happens at it.

    @property
    def rows(self) -> OkxRows:
        """Prints what the exchange has."""
        if self._rows is None:
            from bt_api_base.testing.okx_rows import OkxRows

            self._rows = OkxRows(self.exchange, self.rest.now_ns)
        return self._rows

    @override
    def _rest_dialect(self) -> RestDialect:
        from bt_api_base.testing.okx_rest import OkxRest

        return OkxRest(self, self.rows, self.credentials, UID)

    @override
    def _instrument(self, spec: MarketSpec) -> Instrument:
        from bt_api_base.testing.exchange_rules import market_instrument

        base, quote = spec.symbol.split("-")[:2]
        kind = instrument_type(spec.symbol)
        sizes = _DOLLAR_CONTRACTS if quote == "USD" else _CONTRACTS
        return msgspec.structs.replace(
            market_instrument(
                spec,
                f"{self.exchange_name.partition('___')[0]}___{'FUTURE' if kind == 'FUTURES' else kind}",
                contract_multiplier="1" if kind == "SPOT" else sizes.get(base, sizes[""]),
            ),
            max_price=Decimal(spec.price // spec.tick * 1_000 * spec.tick).scaleb(-8),
            max_qty=Decimal(spec.lot * _MOST_LOTS).scaleb(-8),
        )

    @override
    def _default_balances(self) -> dict[str, str]:
        balances: dict[str, str] = {}
        for instrument in self.instruments.values():
            if instrument.settle_currency:
                balances.setdefault(instrument.settle_currency, "10" if instrument.is_inverse else "100000")
            else:
                balances.setdefault(instrument.base_currency, "10")
                balances[instrument.quote_currency] = "100000"
        return balances

    @override
    def _exchange_event(self, event: ExchangeEvent) -> None:
        from bt_api_base.testing.exchange import BalancesChanged, OrderChanged

        if isinstance(event, OrderChanged):
            order = event.order
            self.rows.note(order)
            kind = instrument_type(order.symbol)
            names = ("orders:ANY", f"orders:{kind}", f"orders:{kind}:{order.symbol}")
            if self._listens(*names):
                self._push(self.rows.order_event(order, event.fill), *names, event_id=order.order_id)
        elif isinstance(event, BalancesChanged):
            if self._listens("account"):
                self._push(self.rows.account(event.currencies), "account")
            for currency in event.currencies:
                if self._listens(f"account:{currency}"):
                    self._push(self.rows.account([currency]), f"account:{currency}")
            if self._listens("balance_and_position"):
                self._push(self._changes(event.currencies, ()), "balance_and_position")
        else:
            position = self.exchange.positions[event.symbol]
            kind = instrument_type(event.symbol)
            names = ("positions:ANY", f"positions:{kind}", f"positions:{kind}:{event.symbol}")
            if self._listens(*names):
                self._push(self.rows.position(position), *names)
            if self._listens("balance_and_position"):
                self._push(self._changes((), (position,)), "balance_and_position")

    def _listens(self, *names: str) -> bool:
        return any(name in self._feeds for name in names)

    def _changes(
        self, currencies: Iterable[str], positions: Iterable[ExchangePosition], event: str = "filled"
    ) -> dict[str, object]:
        """Return the payload of ``balance_and_position``."""
        now = str(self.rest.now_ns() // 1_000_000)
        balances = [self.rows.balance(currency) for currency in currencies]
        rows = [self.rows.position(position) for position in positions]
        return {
            "pTime": now,
            "eventType": event,
            "balData": [{name: balance[name] for name in ("ccy", "cashBal", "uTime")} for balance in balances],
            "posData": [{name: row[name] for name in _POSITION_FIELDS} for row in rows],
            "trades": [],
        }

    # The account, as a test tells of it. The exchange does not know.

    def push_order(self, **fields: str) -> int:
        """Tell whoever listens to orders of one.

        Args:
            **fields: The order in the venue's own names, for example ``state="filled"``; others have defaults.

        Returns:
            The number of listeners.
        """
        order = self._account.order(self._now_ms(), fields)
        kind, symbol = order["instType"], order["instId"]
        return self._push(order, f"orders:{kind}", f"orders:{kind}:{symbol}", event_id=int(order["ordId"]))

    def push_balance(self, **fields: str) -> int:
        """Change what the account holds of a currency, and tell whoever listens.

        Args:
            **fields: The balance in the venue's own names, for example ``ccy="USDT", cashBal="100"``.

        Returns:
            The number of listeners.
        """
        balance = self._account.balance(self._now_ms(), fields)
        data = self._account.totals(self._now_ms(), [balance])
        return self._push(data, "account", f"account:{balance['ccy']}")

    def push_position(self, **fields: str) -> int:
        """Change a position, and tell whoever listens.

        Args:
            **fields: The position in the venue's own names, for example ``posId="1", pos="3"``.

        Returns:
            The number of listeners.
        """
        position = self._account.position(self._now_ms(), fields)
        kind, symbol = position["instType"], position["instId"]
        return self._push(position, f"positions:{kind}", f"positions:{kind}:{symbol}")

    # From an account to frames.

    def _send_account(self, feed: Feed, to: VenueConnection) -> None:
        """Send what comes first of a private channel, if it begins with something."""
        channel, *words = feed.name.split(":")
        if channel == "account":
            self._send_data(feed, self._account_snapshot(words[0] if words else ""), to)
        elif channel == "positions":
            kind, symbol = (*words, "", "")[:2]
            for position in self._position_snapshot():
                if kind in ("ANY", position["instType"]) and symbol in ("", position["instId"]):
                    self._send_data(feed, position, to)
        elif channel == "balance_and_position" and not self._account.is_told:
            currencies = [name for name, holding in self.exchange.balances.items() if holding.total]
            self._send_data(feed, self._changes(currencies, self.rows.open_positions(), "snapshot"), to)

    def _account_snapshot(self, chosen: str) -> Mapping[str, object]:
        """Return what the account has: as a test told it, or as the exchange has it."""
        if self._account.is_told:
            balances = [one for one in self._account.balances.values() if chosen in ("", one["ccy"])]
            return self._account.totals(self._now_ms(), balances)
        return self.rows.account([chosen] if chosen else None)

    def _position_snapshot(self) -> list[Mapping[str, object]]:
        if self._account.is_told:
            return [*self._account.positions.values()]
        return [self.rows.position(one) for one in self.rows.open_positions()]

    def _now_ms(self) -> str:
        return str(self._stamp_us() // 1_000)

    def _push(self, data: object, *names: str, event_id: int | None = None) -> int:
        feeds = [self._feeds[name] for name in names if name in self._feeds]
        frame = partial(data_frame, msgspec.json.encode(data).decode())
        return sum(self._send(feed, event_id, frame) for feed in feeds)

    def _send(
        self, feed: Feed, event_id: int | None, frame: Callable[[str], bytes], to: VenueConnection | None = None
    ) -> int:
        """Publish a frame that is made from its ``arg``; return the number of listeners."""
        self._publish(feed, event_id, lambda _: frame(argument_text(feed.name)), to=to)
        return feed.listeners

    def _send_data(self, feed: Feed, data: object, to: VenueConnection) -> None:
        self._send(feed, None, partial(data_frame, msgspec.json.encode(data).decode()), to)


__all__ = ("OkxTradingVenue",)
