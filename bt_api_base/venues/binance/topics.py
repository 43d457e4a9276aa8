"""The topics of Binance spot: a table from which channels are named and frames are decoded.

A row gives a topic's stream name with its parameters, the payload's type, and the converter. All
stream names a row can produce are spelled out once, at import, so that a frame's stream leads to
its row by one look-up.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import attrs
import msgspec

from bt_api_base.containers import Bar, Event, OrderBook, OrderBookDelta, Tick, Trade
from bt_api_base.venues.binance import convert, wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = (
    "EVENT_TYPES",
    "INTERVALS",
    "STREAMS",
    "STREAMS_OF_ALL",
    "TOPICS",
    "WINDOWS",
    "Parameter",
    "Topic",
    "find_topic",
)

INTERVALS = ("1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M")
WINDOWS = ("1h", "4h", "1d")


@attrs.frozen
class Parameter:
    """A part of a stream name that the user chooses.

    Attributes:
        default: The choice of who does not choose.
        choices: What may be chosen, and the text it puts into the stream name.
        other_names: Further names of the parameter.
        unit: Suffix that may follow a choice: ``"ms"`` makes ``"100ms"`` the same as ``100``.
    """

    default: str
    choices: Mapping[str, str]
    other_names: tuple[str, ...] = ()
    unit: str = ""


@attrs.define(eq=False)
class Topic:
    """A row of the table; not to be changed.

    Attributes:
        name: What users call it.
        template: Stream name behind ``<symbol>@``, with the parameters in braces.
        payload: Type of the payload.
        converter: From a payload to events.
        event_type: What the events are.
        event_name: The venue's name of the payload's type (``e``); ``None`` where the payload has none.
        parameters: What the user may choose.
        variant: Name of the parameter by which frames without a stream name can be told apart.
        other_names: Further names of the topic; case and underscores do not matter.
        all_symbols: Stream name of all symbols at once, where there is one.
        decode: Decodes a combined frame.
        decode_alike: Decodes several combined frames of the topic that were joined to a JSON array.
        decode_raw: Decodes a frame without a stream name.
        decode_list: Decodes a combined frame of all symbols.
        decode_raw_list: Decodes a frame of all symbols without a stream name.
        list_converter: From the payloads of all symbols to events.
    """

    name: str
    template: str
    payload: type[msgspec.Struct]
    converter: convert.Converter
    event_type: type[Event]
    event_name: str | None = None
    parameters: Mapping[str, Parameter] = attrs.field(factory=dict[str, Parameter], kw_only=True)
    variant: str = attrs.field(default="", kw_only=True)
    other_names: tuple[str, ...] = attrs.field(default=(), kw_only=True)
    all_symbols: str = attrs.field(default="", kw_only=True)
    decode: Callable[[bytes], Any] = attrs.field(init=False, repr=False)
    decode_alike: Callable[[bytes], Any] = attrs.field(init=False, repr=False)
    decode_raw: Callable[[bytes], Any] = attrs.field(init=False, repr=False)
    decode_list: Callable[[bytes], Any] = attrs.field(init=False, repr=False)
    decode_raw_list: Callable[[bytes], Any] = attrs.field(init=False, repr=False)
    list_converter: convert.Converter = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        payload: Any = self.payload  # a type that is a value here, which type checkers cannot follow
        self.decode = _decoder(wire.Combined[payload])
        self.decode_alike = _decoder(list[wire.Named[payload]])
        self.decode_raw = _decoder(payload)
        self.decode_list = _decoder(wire.Combined[list[payload]])
        self.decode_raw_list = _decoder(list[payload])
        self.list_converter = convert.each(self.converter)

    @property
    def names_symbol(self) -> bool:
        """Whether the payload says which symbol it is about."""
        return "symbol" in self.payload.__struct_fields__

    def stream_names(self) -> Iterator[tuple[str, str]]:
        """Yield every stream name of the row, without its symbol, and what it chooses for ``variant``."""
        names = tuple(self.parameters)
        for chosen in product(*(self.parameters[name].choices for name in names)):
            values = dict(zip(names, chosen, strict=True))
            yield self.stream_name(values), values.get(self.variant, "")

    def stream_name(self, values: Mapping[str, str]) -> str:
        """Return the stream name for chosen parameters, without its symbol."""
        return self.template.format_map({name: self.parameters[name].choices[value] for name, value in values.items()})

    def default_stream_name(self, variant: str) -> str:
        """Return the stream name for default parameters and a variant that the venue may have invented since."""
        texts = {name: row.choices[row.default] for name, row in self.parameters.items()}
        if self.variant:
            texts[self.variant] = variant
        return self.template.format_map(texts)


def _decoder(payload_type: object) -> Callable[[bytes], Any]:
    """Return the decode method of a decoder that reads numbers from strings, as the venue writes them."""
    return msgspec.json.Decoder(payload_type, strict=False).decode


_SPEED = Parameter("1000", {"1000": "", "100": "@100ms"}, ("speed_ms",), "ms")

TOPICS: Mapping[str, Topic] = {
    topic.name: topic
    for topic in (
        Topic(
            "ticker",
            "bookTicker",
            wire.BookTicker,
            convert.book_ticker,
            Tick,
            other_names=("bookTicker", "bbo", "tick"),
        ),
        Topic(
            "ticker_24h",
            "ticker",
            wire.Ticker24h,
            convert.ticker_24h,
            Tick,
            "24hrTicker",
            other_names=("24hrTicker", "ticker24hr"),
        ),
        Topic(
            "mini_ticker",
            "miniTicker",
            wire.MiniTicker,
            convert.window_ticker,
            Tick,
            "24hrMiniTicker",
            other_names=("24hrMiniTicker",),
            all_symbols="!miniTicker@arr",
        ),
        *(
            Topic(
                f"ticker_{window}",
                f"ticker_{window}",
                wire.WindowTicker,
                convert.window_ticker,
                Tick,
                f"{window}Ticker",
                other_names=(f"{window}Ticker",),
                all_symbols=f"!ticker_{window}@arr",
            )
            for window in WINDOWS
        ),
        Topic(
            "trade",
            "trade",
            wire.Trade,
            convert.trade,
            Trade,
            "trade",
            other_names=("trades",),
        ),
        Topic(
            "agg_trade",
            "aggTrade",
            wire.AggregateTrade,
            convert.aggregate_trade,
            Trade,
            "aggTrade",
            other_names=("aggTrades", "aggregateTrade"),
        ),
        Topic(
            "depth",
            "depth{levels}{speed}",
            wire.PartialDepth,
            convert.partial_depth,
            OrderBook,
            parameters={
                "levels": Parameter("20", {"5": "5", "10": "10", "20": "20"}, ("level",)),
                "speed": _SPEED,
            },
            other_names=("orderbook", "book", "partialDepth"),
        ),
        Topic(
            "depth_diff",
            "depth{speed}",
            wire.DepthUpdate,
            convert.depth_update,
            OrderBookDelta,
            "depthUpdate",
            parameters={"speed": _SPEED},
            other_names=("depthUpdate", "diffDepth", "orderbookDelta"),
        ),
        Topic(
            "kline",
            "kline_{interval}{timezone}",
            wire.Kline,
            convert.kline,
            Bar,
            "kline",
            parameters={
                "interval": Parameter("1m", {name: name for name in INTERVALS}, ("period",)),
                "timezone": Parameter("UTC", {"UTC": "", "+08:00": "@+08:00"}),
            },
            variant="interval",
            other_names=("bar", "candle", "candlestick", "klines"),
        ),
    )
}
"""The table, by the topic's name."""

STREAMS: Mapping[str, tuple[Topic, str]] = {
    name: (topic, variant) for topic in TOPICS.values() for name, variant in topic.stream_names()
}
"""Every stream name behind ``<symbol>@``: its topic, and its variant."""

STREAMS_OF_ALL: Mapping[str, Topic] = {topic.all_symbols: topic for topic in TOPICS.values() if topic.all_symbols}
"""Stream names of all symbols at once, and their topics."""

EVENT_TYPES: Mapping[str, Topic] = {topic.event_name: topic for topic in TOPICS.values() if topic.event_name}
"""Topics by the venue's name of their payload."""


def _fold(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


_NAMES: Mapping[str, Topic] = {
    _fold(name): topic for topic in TOPICS.values() for name in (topic.name, *topic.other_names)
}


def find_topic(name: str) -> tuple[Topic, str | None] | None:
    """Find the topic a user means.

    Args:
        name: A topic or another name of one, or the part of a stream name behind ``<symbol>@``.
            Where both exist, such as ``"ticker"`` and ``"depth"``, this library's meaning wins.

    Returns:
        The topic, and the stream name behind the symbol where that is what was given; ``None`` if
        there is nothing of the name.
    """
    topic = _NAMES.get(_fold(name))
    if topic is not None:
        return topic, None
    stream = STREAMS.get(name)
    return None if stream is None else (stream[0], name)
