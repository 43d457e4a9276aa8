"""What Binance's private channels have in common: topics, the channel they share, exact numbers.

A stream of account events is one channel at the venue. Topics are views of it: each names the types
of events that its consumers want.
"""

from __future__ import annotations

import decimal
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import msgspec
from msgspec import Meta

from bt_api_base._redaction import excerpt
from bt_api_base.containers import Balance, Event, Fill, Income, Order, Position
from bt_api_base.exceptions import SubscribeError
from bt_api_base.venues.binance.malformed import FieldError
from bt_api_base.websocket.adapter import Channel, LoginRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from bt_api_base.venues.binance.symbols import SymbolTable
    from bt_api_base.websocket.adapter import Refusal

__all__ = (
    "NOT_THIS_KEY",
    "PRIVATE",
    "USER",
    "Amount",
    "PrivateConverter",
    "PrivateDecoders",
    "PrivateTopics",
    "choose",
    "exact_sum",
    "login_refused",
    "optional_amount",
)

PRIVATE = "private"
"""The endpoint of account events."""

USER = "user"
"""Key of the channel of account events. A listen key is not one: it is a secret, and changes."""

Amount = Annotated[str, Meta(pattern=r"^[+-]?[0-9]{1,60}(\.[0-9]{0,60})?$", max_length=100)]
"""A number about money, as the venue writes it: text, which becomes a `Decimal` digit by digit."""

PrivateConverter: TypeAlias = "Callable[[Any, SymbolTable, int], tuple[Event, ...]]"
"""From a payload to events, given the table of symbols and the local time."""

_EXACT = decimal.Context(prec=130, traps=[])
"""Enough for the sum of any two amounts."""

_TYPES: Mapping[str, tuple[tuple[type[Event], ...], tuple[str, ...]]] = {
    "order": ((Order,), ("orders",)),
    "fill": ((Fill,), ("fills", "myTrades", "userTrades")),
    "balance": ((Balance,), ("balances",)),
    "position": ((Position,), ("positions",)),
    "income": ((Income,), ()),
    "account": ((Balance, Position, Income), ("accounts",)),
    USER: ((), ("userData", "private")),
}

# Error codes, Binance spot API documentation, "Error codes", and USD-M, "Error Code".
NOT_THIS_KEY = frozenset({-1002, -1022, -1099, -2014, -2015, -2017, -4056, -4057})
"""Error codes of credentials that will not do."""

_NOT_NOW = frozenset({-1000, -1001, -1003, -1006, -1007, -1008, -1016, -1021, -1034, 429, 500, 503})
_CLOCK = -1021


class PrivateTopics:
    """The topics of one market's account events.

    Args:
        exchange_name: Venue and asset type.
        event_types: What the market's account events become.
    """

    def __init__(self, exchange_name: str, event_types: Iterable[type[Event]]) -> None:
        there_are = frozenset(event_types)
        self._exchange_name = exchange_name
        self._topics = {
            name: (tuple(kind for kind in kinds if kind in there_are), other_names)
            for name, (kinds, other_names) in _TYPES.items()
            if not kinds or there_are.intersection(kinds)
        }
        self._names = {_fold(name): topic for topic, (_, others) in self._topics.items() for name in (topic, *others)}

    @property
    def names(self) -> tuple[str, ...]:
        """What there is to ask for."""
        return tuple(self._topics)

    def channel(self, topic: str, symbol: str, params: Mapping[str, Any] | None) -> Channel | None:
        """Name the channel of a topic; ``None`` if it is no private one.

        Raises:
            SubscribeError: A symbol or a parameter was given: there are none.
        """
        name = self._names.get(_fold(topic))
        if name is None:
            return None
        if symbol:
            raise SubscribeError(
                self._exchange_name,
                f"{name!r} is of the whole account: ask for it with the empty symbol, and look at the events' own",
                topic=name,
                symbol=symbol,
            )
        if params and any(value is not None for value in params.values()):
            raise SubscribeError(self._exchange_name, f"{name!r} has no parameters", topic=name)
        return Channel(name, "", USER, "", PRIVATE, private=True, recoverable=True, event_types=self._topics[name][0])


class PrivateDecoders:
    """Decoders of account events in one kind of envelope.

    Args:
        rows: Payload type and converter, by the venue's name of the event.
        wrap: Makes the type of a whole frame out of a payload's.
        unwrap: Takes the payload out of a frame.
    """

    def __init__(
        self,
        rows: Mapping[str, tuple[type[msgspec.Struct], PrivateConverter]],
        *,
        wrap: Callable[[Any], Any],
        unwrap: Callable[[Any], Any],
    ) -> None:
        self._unwrap = unwrap
        self._rows = {name: (_decoder(wrap(kind)), convert) for name, (kind, convert) in rows.items()}

    def decode(self, name: object, frame: bytes, symbols: SymbolTable, local_time: int) -> tuple[Event, ...] | None:
        """Decode a frame with an event of a name; ``None`` if events of that name are not translated.

        Raises:
            MsgspecError: The frame is malformed.
            ValueError: The same.
        """
        row = self._rows.get(name) if isinstance(name, str) else None
        if row is None:
            return None
        decode, convert = row
        return convert(self._unwrap(decode(frame)), symbols, local_time)


def exact_sum(first: str, second: str) -> Decimal:
    """Add two amounts without rounding."""
    return _EXACT.add(Decimal(first), Decimal(second))


def optional_amount(text: str) -> Decimal | None:
    """Read an amount for which the venue writes zero where there is none."""
    value = Decimal(text)
    return value or None


def choose(table: Mapping[str, Any], word: str, field: str) -> Any:  # noqa: ANN401 - whatever the table holds
    """Look a word up that decides what a program does next.

    Raises:
        FieldError: The word is not in the table.
    """
    try:
        return table[word]
    except KeyError:
        raise FieldError(field, f"unknown word {excerpt(word, 40)!r}") from None


def login_refused(refusal: Refusal, *, logging_in: bool) -> LoginRefused | None:
    """Tell whether a refusal is one of the credentials; ``None`` if it is not.

    Args:
        refusal: What the venue refused.
        logging_in: Whether the refused request was to show who we are.
    """
    code = refusal.code
    if code in NOT_THIS_KEY or code == _CLOCK or (logging_in and code in _NOT_NOW):
        return LoginRefused(code, refusal.message, retryable=code in _NOT_NOW)
    return None


def _decoder(frame_type: Any) -> Callable[[bytes], Any]:  # noqa: ANN401 - a type that is a value here
    return msgspec.json.Decoder(frame_type).decode


def _fold(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()
