"""Binance's market streams: what its spot and futures markets have in common.

Streams come in two forms. A combined stream (``/stream``) names the stream in every frame, and that
is how frames find their channel; so a configured URL that ends in ``/ws`` is connected to as
``/stream``. A raw connection to one stream (``/ws/btcusdt@trade``) is left as it is: its frames are
told apart by their content, as far as that goes (see `BinanceStreamAdapter.decode_frame`).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, cast

import attrs
import msgspec
from typing_extensions import override

from bt_api_base.containers import event_tag
from bt_api_base.exceptions import SubscribeError
from bt_api_base.venues.binance import wire
from bt_api_base.venues.binance.control import SHUTDOWN, read_control, read_event, unrecognized
from bt_api_base.venues.binance.convert import Converter
from bt_api_base.venues.binance.malformed import MALFORMED, FieldError, parse_error
from bt_api_base.venues.binance.private import PRIVATE, PrivateTopics
from bt_api_base.venues.binance.symbols import SymbolTable
from bt_api_base.websocket.adapter import Channel, Continuity, Decoded, StreamAdapter

if TYPE_CHECKING:
    from bt_api_base.venues.binance.table import Topic, TopicTable

__all__ = ("BinanceStreamAdapter", "encode_request")

_Route = tuple[Callable[[bytes], Any], Converter, str, str, str]
"""How to decode a combined frame: its decoder, its converter, its channel's key, its symbol and the venue's."""

_DATA = b'","data":'
"""What stands between a combined frame's stream name and its payload."""

_FEW = 8
"""Frames in a batch below which it is not worth looking whether they are alike."""

_MOST_ROUTES = 4096
"""Routes learned from frames, at most: several times the streams one connection may carry."""

# A number that is out of range is infinite here, so that the typed decoder gets to say which field it is in.
_decode_json = msgspec.json.Decoder(float_hook=float).decode
_encode_json = msgspec.json.Encoder().encode


@attrs.define(eq=False)
class BinanceStreamAdapter(StreamAdapter):
    """Base of the adapters of Binance's markets: names channels and decodes frames by a table of topics.

    Attributes:
        table: The market's topics.
        private_topics: What there is to see of an account.
    """

    table: ClassVar[TopicTable]
    private_topics: ClassVar[PrivateTopics]

    _routes: dict[bytes, _Route] = attrs.field(init=False, factory=dict[bytes, _Route])
    _routes_by_name: dict[str, _Route] = attrs.field(init=False, factory=dict[str, _Route])
    _symbols: SymbolTable = attrs.field(
        init=False, default=attrs.Factory(lambda adapter: adapter.new_symbol_table(), takes_self=True)
    )
    _keys: dict[tuple[str, str, str], tuple[str, ...]] = attrs.field(
        init=False, factory=dict[tuple[str, str, str], tuple[str, ...]]
    )

    @staticmethod
    def new_symbol_table() -> SymbolTable:
        """Return what turns the venue's symbols into internal ones."""
        return SymbolTable()

    # -- naming channels -----------------------------------------------------------------------

    @override
    def channel(self, topic: str, symbol: str, params: Mapping[str, Any] | None = None) -> Channel:
        private = self.private_topics.channel(topic, symbol, params)
        if private is not None:
            return private
        found = self.table.find(topic)
        if found is None:
            raise SubscribeError(
                self.exchange_name, f"no topic {topic!r}; there are {self._topic_names()}", topic=topic, symbol=symbol
            )
        row, stream = found
        given = {} if params is None else {name: value for name, value in params.items() if value is not None}
        if not symbol and row.all_symbols and stream is None and not given.keys() - row.parameters.keys():
            internal, key = "", row.fill(row.all_symbols, self._choose(row, stream, given, symbol))
        else:
            internal, venue_symbol = self._parse_symbol(symbol)
            if stream is None or given:
                stream = row.fill(row.template, self._choose(row, stream, given, symbol))
            key = f"{venue_symbol.lower()}@{stream}"
        return Channel(
            row.name,
            internal,
            key,
            "" if row.mixed else f"{event_tag(row.event_type)}.{self.exchange_name}.{internal}",
            row.endpoint,
            continuity=row.continuity if internal else Continuity.NONE,
            quiet_after=row.quiet_after,
            recoverable=row.recoverable,
            event_types=(row.event_type,) if row.mixed else (),
        )

    @abstractmethod
    def _parse_symbol(self, symbol: str) -> tuple[str, str]:
        """Read a symbol a user wrote: return the internal one and the venue's."""

    def _topic_names(self) -> str:
        """Return the topics there are, for an error."""
        return ", ".join((*self.table.topics, *self.private_topics.names))

    def _choose(self, topic: Topic, stream: str | None, given: Mapping[str, Any], symbol: str) -> dict[str, str]:
        """Return a value for every parameter of a topic, in the table's spelling."""
        options = ", ".join(f"{name} ({', '.join(row.choices)})" for name, row in topic.parameters.items()) or "none"
        if stream is not None:
            raise SubscribeError(
                self.exchange_name,
                f"the stream name {stream!r} says everything; give parameters with the topic {topic.name!r}: {options}",
                topic=topic.name,
                symbol=symbol,
            )
        names = {other: name for name, row in topic.parameters.items() for other in (name, *row.other_names)}
        values = {name: row.default for name, row in topic.parameters.items()}
        for other, value in given.items():
            name = names.get(other)
            row = topic.parameters.get(name) if name is not None else None
            choice = str(value) if row is None else str(value).removesuffix(row.unit)
            if name is None or row is None or choice not in row.choices:
                raise SubscribeError(
                    self.exchange_name,
                    f"no {topic.name} with {other}={value!r}; parameters are {options}",
                    topic=topic.name,
                    symbol=symbol,
                )
            values[name] = choice
        return values

    @override
    def subscribe_frame(self, request_id: int, channels: Sequence[Channel]) -> str:
        for channel in channels:
            self._remember(channel)
        return encode_request("SUBSCRIBE", request_id, [channel.key for channel in channels])

    @override
    def probe_frame(self, request_id: int, channel: Channel) -> str:
        """Build a request for the list of subscriptions, which changes nothing."""
        return encode_request("LIST_SUBSCRIPTIONS", request_id)

    @override
    def unsubscribe_frame(self, request_id: int, channels: Sequence[Channel]) -> str:
        for channel in channels:
            self._forget(channel)
        return encode_request("UNSUBSCRIBE", request_id, [channel.key for channel in channels])

    def _remember(self, channel: Channel) -> None:
        """Prepare for the frames of a channel, so that the first of them is as fast as the last."""
        route = self._route(channel.key, channel.symbol)
        if route is None:
            return
        self._learn(route)
        if channel.symbol:
            self._symbols[_venue_symbol(channel.key)] = channel.symbol
        identity = self._identity(channel.key)
        keys = self._keys.get(identity, ())
        if channel.key not in keys:
            self._keys[identity] = (*keys, channel.key)

    def _learn(self, route: _Route) -> None:
        key = route[2]
        self._routes[_head(key)] = self._routes_by_name[key] = route

    def _forget(self, channel: Channel) -> None:
        """Drop what `_remember` prepared, except the symbol: its frames may still be under way."""
        self._routes.pop(_head(channel.key), None)
        self._routes_by_name.pop(channel.key, None)
        identity = self._identity(channel.key)
        keys = tuple(key for key in self._keys.get(identity, ()) if key != channel.key)
        if keys:
            self._keys[identity] = keys
        else:
            self._keys.pop(identity, None)

    # -- decoding ------------------------------------------------------------------------------

    @override
    def decode_frame(self, frame: bytes | str, local_time: int) -> Decoded:
        """Decode one frame, on the hot path.

        A frame of a raw stream does not name its channel. It is matched by its content: event type,
        symbol and interval. Where that cannot decide between two subscribed channels (two speeds of
        one depth; partial depths, whose frames do not even name the symbol) it is refused, and the
        error says to use the combined endpoint.

        Args:
            frame: The payload of one message.
            local_time: When it left the socket, nanoseconds since the epoch (UTC).

        Returns:
            The key of the channel it belongs to (``None`` for control messages), and what it says.

        Raises:
            DataParseError: The frame is malformed. No other exception leaves this method,
                whatever the bytes.
        """
        try:
            encoded = frame if type(frame) is bytes else _encoded(frame)
            decode, convert, key, symbol, venue_symbol = self._routes[encoded.partition(_DATA)[0]]
            return key, convert(decode(encoded).data, symbol, venue_symbol, self._symbols, local_time)
        except (KeyError, *MALFORMED):
            pass  # anything but well-formed data of a known stream
        return self._decode_any(frame, local_time)

    @property
    def _is_private(self) -> bool:
        """Whether the connection is to an endpoint that shows an account."""
        return self.endpoint_name == PRIVATE

    @override
    def decode_batch(self, frames: Sequence[bytes | str], local_time: int) -> Sequence[Decoded]:
        """Decode a batch of frames, on the hot path.

        In a flood most batches hold frames of one kind. Those are decoded as one JSON array and then turned into
        events all together, which takes a quarter less time than one frame after the other: decoder and interpreter
        do not push each other out of the processor's caches for every frame.
        """
        decoded = self._decode_alike(frames, local_time) if len(frames) >= _FEW else None
        return super().decode_batch(frames, local_time) if decoded is None else decoded

    def _decode_alike(self, frames: Sequence[bytes | str], local_time: int) -> list[Decoded] | None:
        """Decode frames that are all of one kind; ``None`` if they are not, or if anything is wrong with any."""
        try:
            batch = cast("Sequence[bytes]", frames)
            first, middle, last = (
                self._routes[batch[index].partition(_DATA)[0]][0] for index in (0, len(batch) // 2, -1)
            )
            if not first is middle is last:
                return None
            messages = self.table.decode_alike[first](b"[" + b",".join(batch) + b"]")
            routes, symbols = self._routes_by_name, self._symbols
            decoded: list[Decoded] = [
                (key, convert(message.data, symbol, venue_symbol, symbols, local_time))
                for message in messages
                for decode, convert, key, symbol, venue_symbol in (routes[message.stream],)
                if decode is first  # a stream's name may contradict the payload, which was read as the first one's
            ]
            return decoded if len(decoded) == len(batch) else None
        except (KeyError, TypeError, *MALFORMED):
            return None  # a control frame, a stream not seen before, text, or a bad frame: one by one finds out

    def _decode_any(self, frame: bytes | str, local_time: int) -> Decoded:
        """Decode a frame of any kind, in its own time, and say precisely what is wrong with a bad one."""
        try:
            encoded = _encoded(frame)
            message = _decode_json(encoded)
            if isinstance(message, dict):
                return self._decode_object(encoded, cast("dict[str, Any]", message), local_time)
            if isinstance(message, list):
                return self._decode_list(encoded, message, local_time)  # pyright: ignore[reportUnknownArgumentType] - foreign
            raise FieldError("", "expected a JSON object")
        except MALFORMED as error:
            failure = parse_error(self.table, frame, error, private=self._is_private)
        # Outside of the handler: a decoder's exception quotes the frame, and would stay in sight as the cause.
        raise failure

    def _decode_object(self, frame: bytes, message: dict[str, Any], local_time: int) -> Decoded:
        if self._is_private:
            return self._decode_private(frame, message, local_time)
        if "stream" in message:
            stream = message["stream"]
            if not isinstance(stream, str):
                raise FieldError("stream", "expected the name of a stream")
            if "data" not in message:
                raise FieldError("data", "a frame of a combined stream has data")
            return self._decode_combined(frame, stream, message["data"], local_time)
        topic = self._raw_topic(message)
        if topic is None:
            return None, (read_control(message),)
        data = topic.decode_raw(frame)
        key = self._raw_key(topic, data)
        venue_symbol = _venue_symbol(key)
        return key, topic.converter(data, self._symbols[venue_symbol], venue_symbol, self._symbols, local_time)

    @abstractmethod
    def _decode_private(self, frame: bytes, message: dict[str, Any], local_time: int) -> Decoded:
        """Decode a frame of the endpoint that shows an account."""

    def _raw_topic(self, message: Mapping[str, Any]) -> Topic | None:
        """Return the topic of a frame of a raw stream; ``None`` if it is no market data."""
        event = message.get("e")
        return self.table.event_types.get(event) if isinstance(event, str) else None

    def _decode_combined(self, frame: bytes, stream: str, data: object, local_time: int) -> Decoded:
        if stream == "!serverShutdown":
            return None, (SHUTDOWN,)
        event = cast("dict[str, Any]", data).get("e") if isinstance(data, dict) else None
        if isinstance(event, str) and event not in self.table.event_types:
            return None, (read_event(cast("dict[str, Any]", data)),)
        route = self._route(stream, "")
        if route is None and isinstance(event, str):
            # A stream name that is not in the table, such as another time zone's, with a payload that is.
            topic = self.table.event_types[event]
            route = (topic.decode, topic.converter, stream, "", "")
        if route is None:
            return None, (unrecognized(stream),)
        decode, convert, key, symbol, venue_symbol = route
        events = convert(decode(frame).data, symbol, venue_symbol, self._symbols, local_time)
        if len(self._routes) < _MOST_ROUTES:
            self._learn(route)
        return key, events

    def _decode_list(self, frame: bytes, message: list[Any], local_time: int) -> Decoded:
        """Decode a frame of a raw stream of all symbols."""
        first = message[0] if message else None
        event = cast("dict[str, Any]", first).get("e") if isinstance(first, dict) else None
        topic = self.table.event_types.get(event) if isinstance(event, str) else None
        if topic is None or not topic.all_symbols or not topic.all_listed:
            return None, (unrecognized(f"array of {event}" if isinstance(event, str) else "array"),)
        data = topic.decode_raw_all(frame)
        names = [name for name, row in self.table.streams_of_all.items() if row is topic]
        key = next((name for name in names if name in self._routes_by_name), names[0])
        return key, topic.all_converter(data, "", "", self._symbols, local_time)

    def _route(self, key: str, symbol: str) -> _Route | None:
        """Return how to decode the frames of a stream; ``None`` if it is not in the table.

        Args:
            key: The stream's name.
            symbol: Its internal symbol; empty if nobody has said.
        """
        topic = self.table.streams_of_all.get(key)
        if topic is not None:
            return topic.decode_all, topic.all_converter, key, "", ""
        _, _, name = key.partition("@")
        found = self.table.streams.get(name)
        if found is None:
            return None
        venue_symbol = _venue_symbol(key)
        return found[0].decode, found[0].converter, key, symbol or self._symbols[venue_symbol], venue_symbol

    def _raw_key(self, topic: Topic, data: msgspec.Struct) -> str:
        """Return the key of the channel that a frame of a raw stream belongs to.

        Raises:
            FieldError: It could be several, or the frame does not say and nobody has asked for one.
        """
        symbol: str = getattr(data, "symbol", "").lower()
        variant = data.body.interval if isinstance(data, wire.Kline) else ""
        keys = self._keys.get((topic.name, variant, symbol), ())
        if len(keys) == 1:
            return keys[0]
        if keys or not topic.names_symbol:
            raise FieldError(
                "stream",
                f"the frame does not say of which stream it is: {' or '.join(keys) or 'none of its kind is subscribed'}"
                "; connect to the combined endpoint (/stream), whose frames name their stream",
            )
        return f"{symbol}@{topic.default_stream_name(variant)}"

    def _identity(self, key: str) -> tuple[str, str, str]:
        """Return all that frames of a raw stream say about their channel: topic, variant and symbol."""
        symbol, _, name = key.partition("@")
        found = self.table.streams.get(name)
        if found is None:
            return key, "", ""
        return found[0].name, found[1], symbol if found[0].names_symbol else ""


def encode_request(method: str, request_id: int, params: object = None) -> str:
    """Write a request."""
    request = {"method": method, "id": request_id} if params is None else {"method": method, "params": params}
    return _encode_json(request | {"id": request_id}).decode()


def _encoded(frame: bytes | str) -> bytes:
    return frame.encode() if isinstance(frame, str) else bytes(frame)


def _head(stream: str) -> bytes:
    """Return how the venue begins the frames of a stream, up to the payload."""
    return b'{"stream":"' + stream.encode()


def _venue_symbol(key: str) -> str:
    return key.partition("@")[0].upper()
