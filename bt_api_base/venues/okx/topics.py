"""The topics of OKX: a table from which channels are named and frames are decoded.

A row gives a topic's channels with the parameters that choose between them, the endpoint that carries them, how their
frames are read, and what their order can be told by. Every channel is in one row.

Source: OKX v5 API documentation, "WebSocket" and the section of each channel. Where a row says when silence is odd
(``quiet_after``), it is the documented pace with a margin; a configuration can say otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import msgspec

from bt_api_base.containers import (
    Account,
    Balance,
    Bar,
    Event,
    Fill,
    FundingRate,
    Liquidation,
    MarkPrice,
    Order,
    OrderBook,
    OrderBookDelta,
    Position,
    Tick,
    Trade,
)
from bt_api_base.venues.okx import convert, private, private_wire, wire
from bt_api_base.venues.okx.bars import CANDLES, INTERVALS, TIMEZONES, BarKind
from bt_api_base.websocket.adapter import Continuity

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = (
    "BUSINESS",
    "CHANNELS",
    "LOGGED_IN",
    "PRIVATE",
    "PUBLIC",
    "TOPICS",
    "Parameter",
    "Topic",
    "channel_key",
    "channel_name",
    "find_topic",
)

PUBLIC = "public"
BUSINESS = "business"
PRIVATE = "private"
LOGGED_IN = "public+login"
"""The public endpoint with a log-in, which the books of every change ask for."""


@attrs.frozen
class Parameter:
    """Something that the user chooses.

    Attributes:
        default: The choice of who does not choose.
        choices: What may be chosen.
        other_names: Further names of the parameter.
        unit: Suffix that may follow a choice: ``"ms"`` makes ``"100ms"`` the same as ``100``.
    """

    default: str
    choices: tuple[str, ...]
    other_names: tuple[str, ...] = ()
    unit: str = ""


def _decoder(frame_type: object) -> Callable[[bytes], Any]:
    """Return the decode method of a decoder that reads numbers from strings, as the venue writes them."""
    return msgspec.json.Decoder(frame_type, strict=False).decode


@attrs.frozen(eq=False, kw_only=True)
class Topic:
    """A row of the table.

    Attributes:
        name: What users call it.
        channels: The venue's channel for each choice of parameters, in the parameters' order.
        parameters: What the user may choose.
        frame: Type of the frames.
        converter: Makes what turns a frame into events, for a choice of parameters.
        event_types: What the events are; more than one for a channel that mixes them.
        wanted: Those of them that this topic is about; empty: all.
        arguments: What identifies a channel besides its name, in this order; the last may be missing.
        endpoint: The endpoint that carries it; `LOGGED_IN` where ``logged_in`` says so.
        logged_in: Those of the channels that need a log-in on the public endpoint.
        continuity: What the order of its events can be told by.
        quiet_after: Seconds of silence that a live channel never has.
        recoverable: Whether what is missing can be fetched, or what follows makes up for it.
        other_names: Further names of the topic; case and underscores do not matter.
        decode: Decodes a frame.
        decode_alike: Decodes several frames of the topic that were joined to a JSON array.
    """

    name: str
    channels: Mapping[tuple[str, ...], str]
    parameters: Mapping[str, Parameter] = attrs.field(factory=dict[str, Parameter])
    frame: object
    converter: Callable[[tuple[str, ...]], convert.Converter]
    event_types: tuple[type[Event], ...]
    wanted: tuple[type[Event], ...] = ()
    arguments: tuple[str, ...] = ("instId",)
    endpoint: str = PUBLIC
    logged_in: tuple[str, ...] = ()
    continuity: Continuity = Continuity.NONE
    quiet_after: float | None = None
    recoverable: bool = True
    other_names: tuple[str, ...] = ()
    decode: Callable[[bytes], Any] = attrs.field(init=False, repr=False)
    decode_alike: Callable[[bytes], Any] = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        frame: Any = self.frame  # a type that is a value here, which type checkers cannot follow
        object.__setattr__(self, "decode", _decoder(frame))
        object.__setattr__(self, "decode_alike", _decoder(list[frame]))

    @property
    def is_private(self) -> bool:
        """Whether it shows an account."""
        return self.endpoint == PRIVATE

    def endpoint_of(self, channel: str) -> str:
        """Return the endpoint of one of the channels."""
        return LOGGED_IN if channel in self.logged_in else self.endpoint


def _always(converter: convert.Converter) -> Callable[[tuple[str, ...]], convert.Converter]:
    return lambda _: converter


_ALIVE = 90.0
"""Seconds. A book that nothing happens to is sent again about once a minute ("Order book channel")."""

_PRIVATE: dict[str, Any] = {"endpoint": PRIVATE, "arguments": ("instType", "instId")}
_ORDERS: dict[str, Any] = {
    **_PRIVATE,
    "channels": {(): "orders"},
    "frame": private_wire.PrivateFrame[private_wire.OrderData],
    "converter": _always(private.orders),
    "event_types": (Order, Fill),
}
_ACCOUNT: dict[str, Any] = {
    "endpoint": PRIVATE,
    "arguments": ("ccy",),
    "channels": {(): "account"},
    "frame": private_wire.PrivateFrame[private_wire.AccountData],
    "converter": _always(private.accounts),
    "event_types": (Account, Balance),
}

TOPICS: Mapping[str, Topic] = {
    topic.name: topic
    for topic in (
        Topic(
            name="ticker",
            channels={(): "tickers"},
            frame=wire.Frame[wire.Ticker],
            converter=_always(convert.tickers),
            event_types=(Tick,),
            other_names=("tickers", "ticker_24h", "bookTicker", "bbo", "tick"),
        ),
        # "Trades channel": messages of one taker may come in any order of their ids, as those of different sources are
        # apart; so neither of the two channels promises an order.
        Topic(
            name="trade",
            channels={(): "trades"},
            frame=wire.Frame[wire.Trade],
            converter=_always(convert.trades),
            event_types=(Trade,),
            other_names=("trades", "agg_trade", "aggTrades"),
        ),
        Topic(
            name="trade_all",
            channels={(): "trades-all"},
            frame=wire.Frame[wire.Trade],
            converter=_always(convert.trades),
            event_types=(Trade,),
            endpoint=BUSINESS,
            other_names=("trades-all", "all_trades"),
        ),
        Topic(
            name="depth",
            channels={("1",): "bbo-tbt", ("5",): "books5"},
            parameters={"levels": Parameter("5", ("1", "5"), ("level",))},
            frame=wire.Frame[wire.BookData],
            converter=_always(convert.books),
            event_types=(OrderBook,),
            continuity=Continuity.INCREASING,
            quiet_after=_ALIVE,
            other_names=("orderbook", "book", "partialDepth"),
        ),
        Topic(
            name="depth_diff",
            channels={("400", "100"): "books", ("400", "10"): "books-l2-tbt", ("50", "10"): "books50-l2-tbt"},
            parameters={
                "levels": Parameter("400", ("400", "50"), ("level",)),
                "speed": Parameter("100", ("100", "10"), ("speed_ms",), "ms"),
            },
            frame=wire.BookFrame,
            converter=_always(convert.book_differences),
            event_types=(OrderBookDelta, OrderBook),
            logged_in=("books-l2-tbt", "books50-l2-tbt"),
            continuity=Continuity.CONSECUTIVE,
            quiet_after=_ALIVE,
            other_names=("depthUpdate", "diffDepth", "orderbookDelta"),
        ),
        Topic(
            name="kline",
            channels=CANDLES,
            parameters={
                "interval": Parameter("1m", INTERVALS, ("period", "bar")),
                "timezone": Parameter("UTC", TIMEZONES),
            },
            frame=wire.Frame[wire.Candle],
            converter=lambda chosen: convert.bars(BarKind(*chosen)),
            event_types=(Bar,),
            endpoint=BUSINESS,
            other_names=("bar", "candle", "candles", "candlestick", "klines"),
        ),
        Topic(
            name="mark_price",
            channels={(): "mark-price"},
            frame=wire.Frame[wire.MarkPrice],
            converter=_always(convert.mark_prices),
            event_types=(MarkPrice,),
            quiet_after=30.0,  # every 10 s where nothing changes
        ),
        Topic(
            name="funding_rate",
            channels={(): "funding-rate"},
            frame=wire.Frame[wire.FundingRate],
            converter=_always(convert.funding_rates),
            event_types=(FundingRate,),
            quiet_after=240.0,  # every 30 to 90 s
            other_names=("funding",),
        ),
        Topic(
            name="liquidation",
            channels={(): "liquidation-orders"},
            frame=wire.Frame[wire.Liquidations],
            converter=_always(convert.liquidations),
            event_types=(Liquidation,),
            arguments=("instType",),
            recoverable=False,
            other_names=("liquidations", "liquidationOrders", "forceOrder"),
        ),
        Topic(name="order", wanted=(Order,), other_names=("orders",), **_ORDERS),
        Topic(name="fill", wanted=(Fill,), other_names=("fills", "myTrades", "userTrades"), **_ORDERS),
        Topic(name="account", other_names=("accounts",), **_ACCOUNT),
        Topic(name="balance", wanted=(Balance,), other_names=("balances",), **_ACCOUNT),
        Topic(
            name="position",
            channels={(): "positions"},
            frame=private_wire.PrivateFrame[private_wire.PositionData],
            converter=_always(private.positions),
            event_types=(Position,),
            other_names=("positions",),
            **_PRIVATE,
        ),
        Topic(
            name="balance_and_position",
            channels={(): "balance_and_position"},
            frame=private_wire.PrivateFrame[private_wire.BalanceAndPosition],
            converter=_always(private.balances_and_positions),
            event_types=(Balance, Position),
            endpoint=PRIVATE,
            arguments=(),
        ),
    )
}
"""The table, by the topic's name."""

CHANNELS: Mapping[str, tuple[Topic, tuple[str, ...]]] = {
    channel: (topic, chosen)
    for topic in reversed(
        tuple(TOPICS.values())
    )  # of two topics with one channel, and of two choices, the first is named
    for chosen, channel in reversed(tuple(topic.channels.items()))
}
"""Every channel: its topic, and what was chosen to get it."""


def _fold(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


_NAMES: Mapping[str, Topic] = {
    _fold(name): topic for topic in TOPICS.values() for name in (topic.name, *topic.other_names)
}


def find_topic(name: str) -> tuple[Topic, str | None] | None:
    """Find the topic a user means.

    Args:
        name: A topic or another name of one, or a channel of the venue's, such as ``"books5"`` or ``"candle4H"``.

    Returns:
        The topic, and the channel where that is what was given; ``None`` if there is nothing of the name.
    """
    topic = _NAMES.get(_fold(name))
    if topic is not None:
        return topic, None
    found = CHANNELS.get(name)
    return None if found is None else (found[0], name)


def channel_key(arg: Mapping[str, Any]) -> str | None:
    """Return the key of the channel that an ``arg`` names, ``None`` if it names none of the table.

    Whose account it is (``uid``) is no part of the channel, nor are settings of the subscription.
    """
    name = arg.get("channel")
    if not isinstance(name, str) or name not in CHANNELS:
        return None
    values = [arg.get(argument) for argument in CHANNELS[name][0].arguments]
    return ":".join((name, *(value for value in values if isinstance(value, str) and value)))


def channel_name(key: str) -> dict[str, str]:
    """Return the ``arg`` of a channel's key: the other way round."""
    name, _, values = key.partition(":")
    arguments = CHANNELS[name][0].arguments
    split = values.split(":", len(arguments) - 1) if values else ()
    return {"channel": name, **dict(zip(arguments, split, strict=False))}
