"""What can be traded: names, rules and life span of one instrument."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from decimal import ROUND_DOWN, Decimal
from enum import Enum
from typing import ClassVar

import msgspec

from bt_api_base.containers._base import check_money
from bt_api_base.containers.decimals import decimal_text, quantize, to_decimal
from bt_api_base.containers.enums import AssetType, InstrumentStatus, OptionType
from bt_api_base.exceptions import ConfigurationError, InvalidOrderError

__all__ = ("AssetType", "Instrument", "InstrumentStatus", "OptionType", "utc_ns")

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def utc_ns(moment: datetime) -> int:
    """Convert an aware datetime to nanoseconds since the epoch (UTC), exactly.

    Raises:
        ValueError: The datetime has no time zone, so it names no moment.
    """
    if moment.utcoffset() is None:
        raise ValueError(f"{moment.isoformat()} has no time zone: pass an aware datetime")
    elapsed = moment - _EPOCH
    return ((elapsed.days * 86_400 + elapsed.seconds) * 1_000_000 + elapsed.microseconds) * 1_000


class Instrument(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, tag="instrument", tag_field="type"):
    """An instrument at one venue. On the wire it is an event like the others.

    Numbers may also be given as text, integers or floats: 0.01 becomes exactly ``Decimal("0.01")``. Venues switch a
    rule off with a zero; zero and ``None`` both mean that there is no such rule.

    Attributes:
        internal: Internal symbol: ``"BTC-USDT"``, ``"BTC-USDT-SWAP"``, ``"BTC-USDT-260626"``, options as at the venue.
            On the wire it is called ``symbol``.
        venue: Venue and asset type, such as ``"BINANCE___SPOT"``. On the wire it is called ``exchange_name``.
        venue_symbol: What the venue calls it, such as ``"BTCUSDT"``.
        asset_type: What it is.
        base_currency: What is bought or sold; for an option or future, its underlying.
        quote_currency: What prices are in.
        tick_size: Prices are multiples of this.
        min_qty: Smallest quantity of an order.
        max_qty: Largest quantity of an order.
        expiry: End of trading, nanoseconds since the epoch (UTC; see `utc_ns`); ``None``: never.
        status: What the venue said about it; `state` combines this with the clock.
        step_size: Quantities are multiples of this (lot size).
        min_notional: Smallest amount (price times quantity) of an order, in the quote currency.
        max_notional: Largest amount of an order, in the quote currency.
        min_price: Lowest price of an order.
        max_price: Highest price of an order.
        settle_currency: What profits are paid in.
        contract_multiplier: How much one unit of quantity stands for, in ``contract_unit``.
        contract_unit: Currency of the multiplier; empty: the base currency.
        is_inverse: Whether the contract is worth a fixed amount of the quote currency and settled in the base currency.
        strike_price: For options.
        option_type: For options.
        listing_time: Start of trading, nanoseconds since the epoch (UTC); ``None``: listed already, or not known.
        server_time: When the venue described it, nanoseconds since the epoch (UTC); 0 where it does not say.
        local_time: When the description arrived here, nanoseconds since the epoch (UTC).
    """

    internal: str = msgspec.field(name="symbol")
    venue: str = msgspec.field(name="exchange_name")
    venue_symbol: str
    asset_type: AssetType
    base_currency: str = ""
    quote_currency: str = ""
    tick_size: Decimal | None = None
    min_qty: Decimal | None = None
    max_qty: Decimal | None = None
    expiry: int | None = None
    status: InstrumentStatus = InstrumentStatus.ACTIVE
    step_size: Decimal | None = None
    min_notional: Decimal | None = None
    max_notional: Decimal | None = None
    min_price: Decimal | None = None
    max_price: Decimal | None = None
    settle_currency: str = ""
    contract_multiplier: Decimal = Decimal(1)
    contract_unit: str = ""
    is_inverse: bool = False
    strike_price: Decimal | None = None
    option_type: OptionType | None = None
    listing_time: int | None = None
    server_time: int = 0
    local_time: int = 0

    _NUMBERS: ClassVar[tuple[str, ...]] = (
        "contract_multiplier",
        "max_notional",
        "max_price",
        "min_price",
        "strike_price",
    )
    _NOT_NEGATIVE: ClassVar[tuple[str, ...]] = ("tick_size", "step_size", "min_qty", "max_qty", "min_notional")
    _ENUMS: ClassVar[tuple[tuple[str, type[Enum]], ...]] = (("asset_type", AssetType), ("status", InstrumentStatus))

    def __post_init__(self) -> None:
        for name in self._NUMBERS + self._NOT_NEGATIVE:
            value = getattr(self, name)
            if value is not None and type(value) is not Decimal:
                msgspec.structs.force_setattr(self, name, to_decimal(value))
        for name, enum in self._ENUMS:
            value = getattr(self, name)
            if type(value) is not enum:
                msgspec.structs.force_setattr(self, name, enum(value))
        for name in ("expiry", "listing_time"):
            value = getattr(self, name)
            if value is not None and type(value) is not int:
                raise TypeError(f"Expected nanoseconds since the epoch as `int` (see utc_ns) - at `$.{name}`")
        check_money(self)
        for name in self._NOT_NEGATIVE:
            value = getattr(self, name)
            if value is not None and value < 0:
                raise ValueError(f"Expected a number not below zero - at `$.{name}`")

    @property
    def symbol(self) -> str:
        """The internal symbol, under the name that every event has."""
        return self.internal

    @property
    def exchange_name(self) -> str:
        """The venue, under the name that every event has."""
        return self.venue

    def state(self, now_ns: int | None = None) -> InstrumentStatus:
        """Tell whether it can be traded: the venue's word, corrected by listing time and expiry.

        Args:
            now_ns: Nanoseconds since the epoch (UTC); ``None``: the computer's clock.
        """
        now = time.time_ns() if now_ns is None else now_ns
        if self.status in _ENDED:
            return self.status
        if self.expiry is not None and now >= self.expiry:
            return InstrumentStatus.EXPIRED
        if self.listing_time is not None:
            if now < self.listing_time:
                return InstrumentStatus.PENDING
            if self.status is InstrumentStatus.PENDING:
                return InstrumentStatus.ACTIVE
        return self.status

    def is_expired(self, now_ns: int | None = None) -> bool:
        """Tell whether its life is over; ``now_ns`` as in `state`."""
        return self.state(now_ns) in _ENDED

    def is_listed(self, now_ns: int | None = None) -> bool:
        """Tell whether the venue lists it, tradable at the moment or not; ``now_ns`` as in `state`."""
        return self.state(now_ns) in _LISTED

    def is_active(self, now_ns: int | None = None) -> bool:
        """Tell whether orders can be placed; ``now_ns`` as in `state`."""
        return self.state(now_ns) is InstrumentStatus.ACTIVE

    def quantize_price(self, price: Decimal | str | float, rounding: str) -> Decimal:
        """Round a price to the tick size.

        Args:
            price: In the quote currency; a float stands for its shortest text (see `decimals.to_decimal`).
            rounding: One of the `decimal` module's modes. There is no default, for it decides who pays: a buyer who
                must not pay more takes ``ROUND_FLOOR``, a seller who must not get less ``ROUND_CEILING``.

        Returns:
            An exact multiple of the tick size, whatever the decimal context.

        Raises:
            InvalidOrderError: The price is not a finite number.
            ConfigurationError: The instrument has no tick size.
            ValueError: The rounding mode is unknown.
        """
        return self._quantize("tick_size", self.tick_size, self._number("price", price), rounding)

    def quantize_quantity(self, quantity: Decimal | str | float, rounding: str = ROUND_DOWN) -> Decimal:
        """Round a quantity to the step size.

        Args:
            quantity: In the venue's quantity unit, not negative; a float stands for its shortest text.
            rounding: One of the `decimal` module's modes; by default never more than was asked for.

        Returns:
            An exact multiple of the step size, whatever the decimal context. It may be zero or below ``min_qty``.

        Raises:
            InvalidOrderError: The quantity is negative or not a finite number.
            ConfigurationError: The instrument has no step size.
            ValueError: The rounding mode is unknown.
        """
        number = self._number("quantity", quantity)
        if number < 0:
            raise InvalidOrderError(self.venue, self.internal, f"quantity {decimal_text(number)} is negative")
        return self._quantize("step_size", self.step_size, number, rounding)

    def format_price(self, price: Decimal | str | float, rounding: str) -> str:
        """Round a price as `quantize_price` does, and write it in fixed notation: never ``"1E-8"``."""
        return decimal_text(self.quantize_price(price, rounding))

    def format_quantity(self, quantity: Decimal | str | float, rounding: str = ROUND_DOWN) -> str:
        """Round a quantity as `quantize_quantity` does, and write it in fixed notation."""
        return decimal_text(self.quantize_quantity(quantity, rounding))

    def _number(self, name: str, value: Decimal | str | float) -> Decimal:
        try:
            return to_decimal(value)
        except ValueError as error:
            raise InvalidOrderError(self.venue, self.internal, f"{name} is {error}") from error

    def _quantize(self, name: str, step: Decimal | None, number: Decimal, rounding: str) -> Decimal:
        if not step:
            raise ConfigurationError(f"{self.venue} {self.internal} has no {name}: it cannot be rounded to")
        return quantize(number, step, rounding)


_ENDED = frozenset({InstrumentStatus.SETTLING, InstrumentStatus.EXPIRED, InstrumentStatus.DELISTED})
_LISTED = frozenset({InstrumentStatus.ACTIVE, InstrumentStatus.HALTED, InstrumentStatus.UNKNOWN})
