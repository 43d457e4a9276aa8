"""A table of topics, from which channels are named and frames are decoded.

A row gives a topic's stream name with its parameters, the payload's type, and the converter. All
stream names a row can produce are spelled out once, at import, so that a frame's stream leads to
its row by one look-up.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import attrs
import msgspec

from bt_api_base.venues.binance import convert, wire
from bt_api_base.websocket.adapter import Continuity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from bt_api_base.containers import Event

__all__ = ("Parameter", "Topic", "TopicTable")


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
        event_type: What the events are, or of several types the one that the topic is about.
        event_name: The venue's name of the payload's type (``e``); ``None`` where the payload has none.
        parameters: What the user may choose.
        variant: Name of the parameter by which frames without a stream name can be told apart.
        other_names: Further names of the topic; case and underscores do not matter.
        all_symbols: Template of the stream name of all symbols at once, where there is one.
        all_listed: Whether a frame of all symbols is a list of payloads, and not a single one.
        all_converter: From a frame of all symbols to events; by default each payload by itself.
        endpoint: Which endpoint carries it.
        mixed: Whether its frames become events of several types.
        continuity: What the order of its events can be told by; of all symbols at once, there is no order.
        quiet_after: Seconds of silence that a live stream never has; ``None``: a quiet market is silent.
        recoverable: Whether what is missing can be fetched, or made up for by what follows.
        decode: Decodes a combined frame.
        decode_alike: Decodes several combined frames of the topic that were joined to a JSON array.
        decode_raw: Decodes a frame without a stream name.
        decode_all: Decodes a combined frame of all symbols.
        decode_raw_all: Decodes a frame of all symbols without a stream name.
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
    all_listed: bool = attrs.field(default=True, kw_only=True)
    all_converter: convert.Converter = attrs.field(
        default=attrs.Factory(lambda topic: topic.default_all_converter(), takes_self=True), kw_only=True
    )
    endpoint: str = attrs.field(default="", kw_only=True)
    mixed: bool = attrs.field(default=False, kw_only=True)
    continuity: Continuity = attrs.field(default=Continuity.NONE, kw_only=True)
    quiet_after: float | None = attrs.field(default=None, kw_only=True)
    recoverable: bool = attrs.field(default=False, kw_only=True)
    decode: Callable[[bytes], Any] = attrs.field(init=False, repr=False)
    decode_alike: Callable[[bytes], Any] = attrs.field(init=False, repr=False)
    decode_raw: Callable[[bytes], Any] = attrs.field(init=False, repr=False)
    decode_all: Callable[[bytes], Any] = attrs.field(init=False, repr=False)
    decode_raw_all: Callable[[bytes], Any] = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        payload: Any = self.payload  # a type that is a value here, which type checkers cannot follow
        self.decode = _decoder(wire.Combined[payload])
        self.decode_alike = _decoder(list[wire.Named[payload]])
        self.decode_raw = _decoder(payload)
        self.decode_all = _decoder(wire.Combined[list[payload]]) if self.all_listed else self.decode
        self.decode_raw_all = _decoder(list[payload]) if self.all_listed else self.decode_raw

    def default_all_converter(self) -> convert.Converter:
        """Return what makes events of a frame of all symbols: the converter, for each payload there is."""
        return convert.each(self.converter) if self.all_listed else self.converter

    @property
    def names_symbol(self) -> bool:
        """Whether the payload says which symbol it is about."""
        return "symbol" in self.payload.__struct_fields__

    def stream_names(self, template: str) -> Iterator[tuple[str, str]]:
        """Yield every name that a template of the row gives, and what it chooses for ``variant``."""
        names = tuple(self.parameters)
        for chosen in product(*(self.parameters[name].choices for name in names)):
            values = dict(zip(names, chosen, strict=True))
            yield self.fill(template, values), values.get(self.variant, "")

    def fill(self, template: str, values: Mapping[str, str]) -> str:
        """Return the name that a template gives for chosen parameters."""
        return template.format_map({name: self.parameters[name].choices[value] for name, value in values.items()})

    def default_stream_name(self, variant: str) -> str:
        """Return the stream name for default parameters and a variant that the venue may have invented since."""
        texts = {name: row.choices[row.default] for name, row in self.parameters.items()}
        if self.variant:
            texts[self.variant] = variant
        return self.template.format_map(texts)


def _decoder(payload_type: object) -> Callable[[bytes], Any]:
    """Return the decode method of a decoder that reads numbers from strings, as the venue writes them."""
    return msgspec.json.Decoder(payload_type, strict=False).decode


def _fold(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


class TopicTable:
    """A market's topics, and the ways to look them up.

    Attributes:
        exchange_name: Venue and asset type.
        topics: The rows, by the topic's name.
        streams: Every stream name behind ``<symbol>@``: its topic, and its variant.
        streams_of_all: Stream names of all symbols at once, and their topics.
        event_types: Topics by the venue's name of their payload; of several, the last.
        decode_alike: By the decoder of one frame, the decoder of several of the same kind.
    """

    def __init__(self, exchange_name: str, rows: Iterable[Topic]) -> None:
        self.exchange_name = exchange_name
        self.topics: Mapping[str, Topic] = {topic.name: topic for topic in rows}
        # Where two topics are of one stream, the first one's events are all there is to decode.
        self.streams: Mapping[str, tuple[Topic, str]] = {
            name: (topic, variant)
            for topic in reversed(self.topics.values())
            for name, variant in topic.stream_names(topic.template)
        }
        self.streams_of_all: Mapping[str, Topic] = {
            name: topic
            for topic in reversed(self.topics.values())
            if topic.all_symbols
            for name, _ in topic.stream_names(topic.all_symbols)
        }
        self.event_types: Mapping[str, Topic] = {
            topic.event_name: topic for topic in self.topics.values() if topic.event_name
        }
        self.decode_alike = {topic.decode: topic.decode_alike for topic in self.topics.values()}
        self._names: Mapping[str, Topic] = {
            _fold(name): topic for topic in self.topics.values() for name in (topic.name, *topic.other_names)
        }

    def find(self, name: str) -> tuple[Topic, str | None] | None:
        """Find the topic a user means.

        Args:
            name: A topic or another name of one, or the part of a stream name behind ``<symbol>@``.
                Where both exist, such as ``"ticker"`` and ``"depth"``, this library's meaning wins.

        Returns:
            The topic, and the stream name behind the symbol where that is what was given; ``None`` if
            there is nothing of the name.
        """
        topic = self._names.get(_fold(name))
        if topic is not None:
            return topic, None
        stream = self.streams.get(name)
        return None if stream is None else (stream[0], name)
