"""From topics, symbols and parameters to OKX's channels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import attrs

from bt_api_base.containers import event_tag
from bt_api_base.exceptions import SubscribeError
from bt_api_base.venues.okx.symbols import parse_symbol
from bt_api_base.venues.okx.topics import TOPICS, Topic, channel_key, find_topic
from bt_api_base.websocket.adapter import Channel

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ("ChannelNames",)


@attrs.frozen
class ChannelNames:
    """Names the channels of one type of instrument.

    Attributes:
        exchange_name: Venue and asset type, such as ``"OKX___SPOT"``.
        instrument_type: The venue's word for it, such as ``"SPOT"``.
        account_types: Types that its orders and positions may have at the venue; the first is the default for orders,
            the last for positions.
    """

    exchange_name: str
    instrument_type: str
    account_types: tuple[str, ...]

    def channel(self, topic: str, symbol: str, params: Mapping[str, Any] | None = None) -> Channel:
        """Name a channel; see `bt_api_base.websocket.adapter.StreamAdapter.channel`.

        Raises:
            SubscribeError: There is no such topic, or a parameter is unknown or out of range.
            InvalidSymbolError: The symbol cannot be one of this type.
        """
        found = find_topic(topic)
        if found is None:
            raise SubscribeError(
                self.exchange_name, f"no topic {topic!r}; there are {', '.join(TOPICS)}", topic=topic, symbol=symbol
            )
        row, name = found
        given = {} if params is None else {key: value for key, value in params.items() if value is not None}
        arg = {}
        if "instType" in row.arguments:
            arg["instType"] = self._instrument_type(row, symbol, given)
        internal = self._symbol(row, symbol)
        if internal:
            arg["ccy" if "ccy" in row.arguments else "instId"] = internal
        if name is None or given:
            name = self._choose(row, name, given, symbol)
        key = cast("str", channel_key({"channel": name, **arg}))
        event_type, *others = row.event_types
        mixes = row.is_private and bool(others)
        return Channel(
            row.name,
            internal,
            key,
            "" if mixes or not internal else f"{event_tag(event_type)}.{self.exchange_name}.{internal}",
            row.endpoint_of(name),
            row.is_private,
            row.continuity,
            row.quiet_after,
            row.recoverable,
            row.wanted,
        )

    def _instrument_type(self, row: Topic, symbol: str, given: dict[str, Any]) -> str:
        types = self.account_types
        default = next(iter(types if row.name in ("order", "fill") else reversed(types)))
        chosen = given.pop("instrument_type", default)
        if chosen not in types:
            raise SubscribeError(
                self.exchange_name,
                f"no {row.name} with instrument_type={chosen!r}; there are {', '.join(types)}",
                topic=row.name,
                symbol=symbol,
            )
        return cast("str", chosen)

    def _symbol(self, row: Topic, symbol: str) -> str:
        """Read the symbol, or the currency, or that there is none."""
        if "ccy" in row.arguments:
            return symbol.upper()
        if "instId" in row.arguments:
            return (
                parse_symbol(self.exchange_name, self.instrument_type, symbol) if symbol or not row.is_private else ""
            )
        if symbol:
            raise SubscribeError(
                self.exchange_name,
                f"{row.name} is for all instruments at once: give no symbol",
                topic=row.name,
                symbol=symbol,
            )
        return ""

    def _choose(self, row: Topic, name: str | None, given: Mapping[str, Any], symbol: str) -> str:
        """Return the venue's channel for chosen parameters."""
        parameters = row.parameters
        options = ", ".join(f"{key} ({', '.join(one.choices)})" for key, one in parameters.items()) or "none"
        values = {key: one.default for key, one in parameters.items()}
        names = {other: key for key, one in parameters.items() for other in (key, *one.other_names)}
        for other, value in given.items():
            key = names.get(other)
            choice = "" if key is None else str(value).removesuffix(parameters[key].unit)
            if key is None or choice not in parameters[key].choices or name is not None:
                reason = f"the channel {name!r} says everything; " if name is not None else ""
                raise SubscribeError(
                    self.exchange_name,
                    f"{reason}no {row.name} with {other}={value!r}; parameters are {options}",
                    topic=row.name,
                    symbol=symbol,
                )
            values[key] = choice
        channel = row.channels.get(tuple(values.values()))
        if channel is None:
            described = " and ".join(f"{key} {value}" for key, value in values.items())
            there_are = ", ".join(" and ".join(choice) for choice in row.channels)
            raise SubscribeError(
                self.exchange_name,
                f"no {row.name} with {described}; of {' and '.join(values)}, there are {there_are}",
                topic=row.name,
                symbol=symbol,
            )
        return channel
