"""Enumerations shared by several containers.

Two kinds. A *descriptive* enumeration tells more about a thing: a word it does not know becomes ``UNKNOWN`` and case
does not matter, so that a venue's new word never breaks a stream. A *strict* one decides what a program does next
(`Side`, `OrderStatus`): an unknown word is an error.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = (
    "AssetType",
    "GapReason",
    "IncomeType",
    "InstrumentStatus",
    "LiquidityType",
    "MarginType",
    "Offset",
    "OptionType",
    "OrderStatus",
    "OrderType",
    "PositionSide",
    "Side",
    "TimeInForce",
    "TriggerPriceType",
)


class _Text(str, Enum):
    """A strict enumeration of texts; a member is its value wherever a text is wanted."""

    def __str__(self) -> str:
        return str.__str__(self)


class _Descriptive(_Text):
    """An enumeration with a member for what it does not know. Every subclass has ``UNKNOWN``."""

    @classmethod
    def _missing_(cls, value: object) -> Self:
        member = cls._value2member_map_.get(value.lower()) if isinstance(value, str) else None
        return member if isinstance(member, cls) else cls["UNKNOWN"]


class Side(_Text):
    """Direction of a trade or an order."""

    BUY = "buy"
    SELL = "sell"


class OrderStatus(_Text):
    """Where an order is in its life.

    ``UNKNOWN`` is a fact about an order (its fate could not be learned: ask the venue, never resend), not a word for
    states that nobody thought of: those are errors.
    """

    SUBMITTED = "submitted"
    """Sent; the venue has not answered."""
    ACCEPTED = "new"
    """In the venue's book, nothing filled."""
    PARTIAL = "partially_filled"
    """In the venue's book, filled in part."""
    COMPLETED = "filled"
    """Filled in full."""
    CANCELED = "canceled"
    """Taken out of the book on request; a part may have been filled."""
    REJECTED = "rejected"
    """Refused by the venue."""
    MARGIN = "margin"
    """Refused for lack of margin."""
    EXPIRED = "expired"
    """Ended by its time in force."""
    MMP_CANCELED = "mmp_canceled"
    """Taken out by the venue's market-maker protection."""
    EXPIRED_IN_MATCH = "expired_in_match"
    """Ended by self-trade prevention."""
    UNKNOWN = "unknown"
    """Sent, and its fate could not be learned."""

    LIVE = "new"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"

    @property
    def is_final(self) -> bool:
        """Whether the order can change no more. An order of unknown fate may still be filled."""
        return self not in _UNFINISHED

    @classmethod
    def from_value(cls, value: str | None) -> OrderStatus:
        """Read a status in the words that venues and older programs use.

        Args:
            value: ``submitted``, ``new``, ``live``, ``accepted``, ``partially_filled``, ``filled``, ``canceled``,
                ``margin``, ``mmp_canceled``, or in upper case ``NEW``, ``PARTIALLY_FILLED``, ``FILLED``, ``CANCELED``,
                ``REJECTED``, ``EXPIRED``, ``EXPIRED_IN_MATCH``; ``None`` stands for a refused order.

        Raises:
            ValueError: It is another word. A refused or expired order is known in upper case only.
        """
        if value is None:
            return cls.REJECTED
        try:
            return _STATUS_WORDS[value]
        except KeyError:
            raise ValueError(f"unknown order status {value!r}") from None


_UNFINISHED = frozenset({OrderStatus.SUBMITTED, OrderStatus.ACCEPTED, OrderStatus.PARTIAL, OrderStatus.UNKNOWN})

_STATUS_WORDS = {
    "submitted": OrderStatus.SUBMITTED,
    "new": OrderStatus.ACCEPTED,
    "live": OrderStatus.ACCEPTED,
    "accepted": OrderStatus.ACCEPTED,
    "partially_filled": OrderStatus.PARTIAL,
    "filled": OrderStatus.COMPLETED,
    "canceled": OrderStatus.CANCELED,
    "margin": OrderStatus.MARGIN,
    "mmp_canceled": OrderStatus.MMP_CANCELED,
    "NEW": OrderStatus.ACCEPTED,
    "PARTIALLY_FILLED": OrderStatus.PARTIAL,
    "FILLED": OrderStatus.COMPLETED,
    "CANCELED": OrderStatus.CANCELED,
    "REJECTED": OrderStatus.REJECTED,
    "EXPIRED": OrderStatus.EXPIRED,
    "EXPIRED_IN_MATCH": OrderStatus.EXPIRED_IN_MATCH,
}


class OrderType(_Descriptive):
    """How an order finds its price."""

    MARKET = "market"
    LIMIT = "limit"
    LIMIT_MAKER = "limit_maker"
    """A limit order that is refused rather than take."""
    STOP = "stop"
    """Becomes a market order at its stop price."""
    STOP_LIMIT = "stop_limit"
    TAKE_PROFIT = "take_profit"
    """Becomes a market order at its take-profit price."""
    TAKE_PROFIT_LIMIT = "take_profit_limit"
    TRAILING_STOP = "trailing_stop"
    LIQUIDATION = "liquidation"
    """Sent by the venue itself, to close a position."""
    UNKNOWN = "unknown"


class TimeInForce(_Descriptive):
    """How long an order stays."""

    GTC = "gtc"
    """Until canceled."""
    IOC = "ioc"
    """Fill what can be filled at once, cancel the rest."""
    FOK = "fok"
    """All at once or nothing."""
    GTD = "gtd"
    """Until a date."""
    GTX = "gtx"
    """Until canceled, and never as a taker (post only)."""
    DAY = "day"
    """Until the session ends."""
    UNKNOWN = "unknown"


class PositionSide(_Descriptive):
    """Which position an order or a position event is about."""

    LONG = "long"
    SHORT = "short"
    NET = "net"
    """One position per instrument, whose volume has a sign (one-way mode; Binance calls it ``BOTH``)."""
    UNKNOWN = "unknown"


class Offset(_Descriptive):
    """Whether an order opens or closes, on venues where it must say so (CTP)."""

    OPEN = "open"
    CLOSE = "close"
    CLOSE_TODAY = "close_today"
    CLOSE_YESTERDAY = "close_yesterday"
    UNKNOWN = "unknown"


class MarginType(_Descriptive):
    """What secures a position."""

    CROSS = "cross"
    ISOLATED = "isolated"
    CASH = "cash"
    UNKNOWN = "unknown"


class LiquidityType(_Descriptive):
    """Whether a fill took from the book or had been waiting in it."""

    MAKER = "maker"
    TAKER = "taker"
    UNKNOWN = "unknown"


class TriggerPriceType(_Descriptive):
    """Which price sets a conditional order off."""

    LAST = "last"
    MARK = "mark"
    INDEX = "index"
    UNKNOWN = "unknown"


class IncomeType(_Descriptive):
    """Why money came or went."""

    REALIZED_PNL = "realized_pnl"
    FUNDING_FEE = "funding_fee"
    COMMISSION = "commission"
    REBATE = "rebate"
    INTEREST = "interest"
    LIQUIDATION_FEE = "liquidation_fee"
    TRANSFER = "transfer"
    DEPOSIT = "deposit"
    WITHDRAWAL = "withdrawal"
    UNKNOWN = "unknown"


class AssetType(_Descriptive):
    """What an instrument is."""

    SPOT = "spot"
    MARGIN = "margin"
    SWAP = "swap"
    """A future without expiry (perpetual)."""
    FUTURE = "future"
    OPTION = "option"
    STOCK = "stock"
    FUND = "fund"
    BOND = "bond"
    FOREX = "forex"
    COMMODITY = "commodity"
    CFD = "cfd"
    INDEX = "index"
    """Not tradable itself."""
    UNKNOWN = "unknown"


class OptionType(_Descriptive):
    """Right to buy or right to sell."""

    CALL = "call"
    PUT = "put"
    UNKNOWN = "unknown"


class InstrumentStatus(_Descriptive):
    """Whether an instrument can be traded."""

    PENDING = "pending"
    """Announced, not listed yet."""
    ACTIVE = "active"
    HALTED = "halted"
    """Listed, and trading is interrupted."""
    SETTLING = "settling"
    """Trading has ended; being settled or delivered."""
    EXPIRED = "expired"
    DELISTED = "delisted"
    UNKNOWN = "unknown"


class GapReason(_Descriptive):
    """Why data is missing from a stream."""

    DISCONNECTED = "disconnected"
    """The connection was interrupted, and the events do not tell what was missed, or whether anything was."""
    SEQUENCE = "sequence"
    """The venue's own numbers have a hole."""
    RESET = "reset"
    """The venue began to count anew: nobody can tell what lies between."""
    OVERFLOW = "overflow"
    """The consumer was too slow, and its own stream had to forget."""
    UNKNOWN = "unknown"
