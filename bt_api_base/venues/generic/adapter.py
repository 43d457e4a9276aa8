"""The adapter of a described venue."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, cast

import attrs
import msgspec
from typing_extensions import override

from bt_api_base._redaction import excerpt
from bt_api_base.containers import event_tag
from bt_api_base.exceptions import ConfigurationError, DataParseError, InvalidSymbolError, SubscribeError
from bt_api_base.venues.generic.description import Field, GenericTopic, GenericVenue, Message
from bt_api_base.venues.generic.reading import (
    BAD,
    MISSING,
    Converter,
    FieldError,
    converter,
    encode,
    fill,
    getter,
    names_in,
    path_template,
    template_pattern,
)
from bt_api_base.websocket.adapter import (
    Ack,
    Channel,
    Control,
    Decoded,
    Heartbeat,
    Notice,
    Refusal,
    StreamAdapter,
    Unrecognized,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bt_api_base.containers import Event

__all__ = ("GenericAdapter",)

_MOST_ROUTES: Final = 4096
"""Channels learned from frames, at most: several times what one connection may carry."""

_LONGEST_TEXT: Final = 64
_OWN_FIELDS: Final = ("exchange_name", "symbol", "local_time")

# A number that is out of range is infinite here, so that the field it is in can be said.
_decode_json = msgspec.json.Decoder(float_hook=float).decode


@attrs.frozen(eq=False)
class _Plan:
    """A topic, made ready: how its keys are read, and its events made."""

    topic: GenericTopic
    pattern: re.Pattern[str]
    data: Converter
    symbol: Converter | None
    columns: tuple[tuple[str, Converter], ...]
    """Path and converter of each field from ``server_time`` on that has to be given, ``local_time`` left out."""


@attrs.frozen(eq=False)
class _Route:
    """A channel that frames are routed to."""

    plan: _Plan
    symbol: str
    venue_symbol: str
    values: Mapping[str, str]


class GenericAdapter(StreamAdapter):
    """Stream adapter of a described venue.

    Args:
        venue: The description.

    Raises:
        ConfigurationError: It contradicts itself; the text says where.
    """

    def __init__(self, venue: GenericVenue) -> None:
        self.venue = venue
        self.exchange_name = venue.exchange_name
        self.default_url = venue.default_url
        self.limits = venue.limits
        parts = ("(?P<base>[A-Za-z0-9]+)", "(?P<quote>[A-Za-z0-9]+)")
        self._plain = venue.symbol_format.replace("{base}", "").replace("{quote}", "") == ""
        self._symbol_text = template_pattern(venue.symbol_format, {"base": parts[0], "quote": parts[1]})
        self._plans = tuple(self._plan(topic) for topic in venue.topics)
        self._topics = {name: plan for plan in self._plans for name in (plan.topic.name, *plan.topic.other_names)}
        self._messages = tuple(_Recognizer(message) for message in venue.messages)
        self._frame_keys = tuple(map(path_template, venue.frame_keys))
        self._routes: dict[str, _Route] = {}
        if "argument" in names_in(venue.subscribe) and venue.limits.max_channels_per_request != 1:
            raise self._wrong("subscribe names a single {argument}: set limits.max_channels_per_request to 1")

    # -- naming --------------------------------------------------------------------------------

    @override
    def channel(self, topic: str, symbol: str, params: Mapping[str, Any] | None = None) -> Channel:
        plan = self._topics.get(topic)
        if plan is None:
            names = ", ".join(plan.topic.name for plan in self._plans)
            raise SubscribeError(self.exchange_name, f"topics are: {names}", topic=topic, symbol=symbol)
        row = plan.topic
        given = {name: str(value) for name, value in (params or {}).items() if value is not None}
        values = {name: given.pop(name, choices[0]) for name, choices in row.parameters.items()}
        if given or any(value not in row.parameters[name] for name, value in values.items()):
            options = ", ".join(f"{name} ({', '.join(choices)})" for name, choices in row.parameters.items()) or "none"
            raise SubscribeError(
                self.exchange_name, f"parameters of {row.name!r} are: {options}", topic=row.name, symbol=symbol
            )
        internal, venue_symbol = self._parse_symbol(symbol)
        return Channel(
            row.name,
            internal,
            fill(row.key, {**values, "symbol": venue_symbol}),
            f"{event_tag(row.event_type)}.{self.exchange_name}.{internal}",
            continuity=row.continuity,
            quiet_after=row.quiet_after,
            recoverable=row.recoverable,
        )

    def _parse_symbol(self, symbol: str) -> tuple[str, str]:
        base, _, quote = symbol.upper().partition("-")
        if not (symbol.isascii() and base.isalnum() and quote.isalnum()):
            raise InvalidSymbolError(
                self.exchange_name, symbol, 'a symbol is base and quote with a dash between, such as "BTC-USDT"'
            )
        venue_symbol: str = fill(self.venue.symbol_format, {"base": base, "quote": quote})
        return f"{base}-{quote}", venue_symbol.lower() if self.venue.lower_case else venue_symbol

    # -- asking --------------------------------------------------------------------------------

    @override
    def subscribe_frame(self, request_id: int, channels: Sequence[Channel]) -> str:
        for channel in channels:
            route = self._read_key(channel.key)
            if route is not None:
                self._routes[channel.key] = attrs.evolve(route, symbol=channel.symbol)
        return self._request(self.venue.subscribe, request_id, channels)

    @override
    def unsubscribe_frame(self, request_id: int, channels: Sequence[Channel]) -> str:
        # Routes stay: frames may still be under way.
        return self._request(self.venue.unsubscribe, request_id, channels)

    def _request(self, template: object, request_id: int, channels: Sequence[Channel]) -> str:
        arguments: list[Any] = []
        for channel in channels:
            route = self._routes.get(channel.key) or self._read_key(channel.key)
            values = {} if route is None else {**route.values, "symbol": route.venue_symbol}
            arguments.append(fill(self.venue.argument, {"key": channel.key, "topic": channel.topic, **values}))
        return encode(fill(template, {"id": request_id, "arguments": arguments, "argument": arguments[0]}))

    @override
    def ping_frame(self) -> str | None:
        return None if self.venue.ping is None else encode(self.venue.ping)

    # -- decoding ------------------------------------------------------------------------------

    @override
    def decode_frame(self, frame: bytes | str, local_time: int) -> Decoded:
        key, route = "", None
        try:
            encoded = frame if isinstance(frame, bytes) else frame.encode()
            for recognizer in self._messages:
                if recognizer.plain == encoded:
                    return None, (recognizer.read(None),)
            message = _decode_json(encoded)
            key, route = self._find(message)
            data = MISSING if route is None else route.plan.data(message, message)
            if data is message and any(recognizer.fits(message) for recognizer in self._messages):
                data = MISSING  # an answer that names its channel
            if route is not None and data is not MISSING:
                return key, tuple(self._events(route, message, data, local_time))
            return None, (self._control(message, route),)
        except BAD as error:
            failure = DataParseError(
                "frame" if route is None else route.plan.topic.event_type.__name__,
                excerpt(str(error), 400),
                exchange_name=self.exchange_name,
                channel=key,
                field=error.field if isinstance(error, FieldError) else "",
                payload=frame,
            )
        # Outside of the handler: a decoder's exception quotes the frame, and would stay in sight as the cause.
        raise failure

    def _find(self, message: object) -> tuple[str, _Route | None]:
        """Return the key of a frame's channel and how to go on, or none."""
        for fill_in in self._frame_keys:
            key = fill_in(message)
            if key is not None:
                route = self._routes.get(key) or self._read_key(key)
                if route is not None:
                    if len(self._routes) < _MOST_ROUTES:
                        self._routes[key] = route
                    return key, route
        return "", None

    def _read_key(self, key: str) -> _Route | None:
        for plan in self._plans:
            match = plan.pattern.fullmatch(key)
            if match is not None:
                venue_symbol = match["symbol"]
                values = {name: match[name] for name in plan.topic.parameters}
                return _Route(plan, self._internal(venue_symbol), venue_symbol, values)
        return None

    def _internal(self, venue_symbol: str) -> str:
        """Return the internal symbol of a channel nobody has asked for; the venue's, if it cannot be split."""
        match = None if self._plain else self._symbol_text.fullmatch(venue_symbol)
        return venue_symbol if match is None else f"{match['base']}-{match['quote']}".upper()

    def _events(self, route: _Route, message: object, data: object, local_time: int) -> Iterator[Event]:
        plan = route.plan
        make: Any = plan.topic.event_type
        items: list[Any] = cast("Any", data) if isinstance(data, list) else [data]
        if isinstance(data, list) and items and not isinstance(items[0], (dict, list)):
            items = [data]  # one item, which is an array
        for item in items:
            if not isinstance(item, (dict, list)):
                raise FieldError(plan.topic.data, "expected an object or an array of them")
            if plan.symbol is not None and plan.symbol(message, item) != route.venue_symbol:
                raise FieldError(plan.topic.symbol, f"expected {route.venue_symbol!r}, as the channel says")
            values: list[Any] = []
            for path, convert in plan.columns:
                try:
                    values.append(convert(message, item))
                except BAD as error:
                    raise FieldError(path, excerpt(str(error), 200)) from error
            yield make(self.exchange_name, route.symbol, values[0], local_time, *values[1:])

    def _control(self, message: object, route: _Route | None) -> Control:
        for recognizer in self._messages:
            if recognizer.fits(message):
                return recognizer.read(message)
        if route is not None:
            raise FieldError(route.plan.topic.data, "a frame of the channel without its data")
        names = (
            ", ".join(map(str, cast("dict[str, Any]", message)))
            if isinstance(message, dict)
            else type(message).__name__
        )
        return Unrecognized(names[:_LONGEST_TEXT])

    # -- making ready --------------------------------------------------------------------------

    def _plan(self, topic: GenericTopic) -> _Plan:
        missing = topic.parameters.keys() - names_in(topic.key)
        if missing or "{symbol}" not in topic.key:
            raise self._wrong(f"the key of {topic.name!r} has to name the symbol and every parameter: {topic.key!r}")
        symbol = f"(?P<symbol>{re.sub(r'[?]P<[a-z]+>', '?:', self._symbol_text.pattern)})"
        choices = {name: f"(?P<{name}>{'|'.join(map(re.escape, row))})" for name, row in topic.parameters.items()}
        given = {name: Field(row) if isinstance(row, str) else row for name, row in topic.fields.items()}
        columns: list[tuple[str, Converter]] = []
        for info in msgspec.structs.fields(topic.event_type):
            if info.name in _OWN_FIELDS:
                continue
            field = given.pop(info.name, None)
            if field is not None:
                columns.append((field.path, converter(info, field, self.venue.time_unit)))
            elif info.name == "server_time":
                columns.append(("", _constant(0)))
            elif info.required:
                raise self._wrong(f"the fields of {topic.name!r} lack {info.name!r}")
            else:
                columns.append(("", _constant(info.default)))
        if given:
            raise self._wrong(f"{topic.event_type.__name__} has no field {min(given)!r}, which {topic.name!r} gives")
        return _Plan(
            topic,
            template_pattern(topic.key, {**choices, "symbol": symbol}),
            getter(topic.data) if topic.data else _frame,
            getter(topic.symbol) if topic.symbol else None,
            tuple(columns),
        )

    def _wrong(self, detail: str) -> ConfigurationError:
        return ConfigurationError(detail, exchange_name=self.exchange_name)


class _Recognizer:
    """A message that is no data, made ready."""

    def __init__(self, message: Message) -> None:
        self.message = message
        where = message.where
        self.plain = where.encode() if isinstance(where, str) else None
        self._tests: tuple[tuple[Converter, Any], ...] = ()
        if not isinstance(where, str):
            self._tests = tuple((getter(path), expected) for path, expected in where.items())
        self._key = path_template(message.key) if message.key else None
        paths = (message.request_id, message.code, message.text)
        self._request_id, self._code, self._text = (getter(path) if path else _constant(MISSING) for path in paths)

    def fits(self, message: object) -> bool:
        """Tell whether a frame is such a message."""
        return bool(self._tests) and all(_is(get(message, message), expected) for get, expected in self._tests)

    def read(self, message: object) -> Control:
        """Return what the message means."""
        row = self.message
        request_id, code = (_word(get(message, message)) for get in (self._request_id, self._code))
        text = _word(self._text(message, message))
        key = None if self._key is None else self._key(message)
        if row.kind == "ack":
            return Ack(request_id, key)
        if row.kind == "refusal":
            return Refusal(request_id, key, code, "" if text is None else str(text))
        if row.kind == "notice":
            kind = row.where if isinstance(row.where, str) else str(code or text or "notice")
            return Notice(kind, "" if text is None else str(text), closing=row.closing)
        if row.reply is None:
            return Heartbeat()
        values = {path: _word(getter(path)(message, message)) for path in names_in(row.reply)}
        return Heartbeat(encode(fill(row.reply, values)))


def _is(value: object, expected: object) -> bool:
    if expected is ...:
        return value is not MISSING
    if isinstance(expected, tuple):
        return any(_is(value, one) for one in cast("tuple[object, ...]", expected))
    return type(value) is type(expected) and value == expected


def _word(value: object) -> int | str | None:
    """Return a text or a number of the venue's; ``None`` where there is none, and nothing that is neither."""
    if value is MISSING or value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise TypeError("expected a text or a number")
    return value


def _frame(message: object, _: object) -> object:
    """Return the frame itself."""
    return message


def _constant(value: object) -> Converter:
    return lambda _message, _item: value
