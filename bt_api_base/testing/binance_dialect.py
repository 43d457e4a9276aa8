"""What Binance's stream endpoints make of a URL and of the requests a client sends, in the venue's own words.

`parse_target` reads the URL, a `BinanceClient` holds what one connection has subscribed to and answers its requests.
The texts are those of the venue's documentation; where that is silent, the comment beside it says what was assumed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar, Final, cast
from urllib.parse import parse_qs, unquote, urlsplit

import attrs
import msgspec
from typing_extensions import override

from bt_api_base.testing.binance_frames import (
    MICROSECONDS,
    MILLISECONDS,
    combined_data,
    is_stream_name,
    shutdown_data,
)
from bt_api_base.testing.dialect import Answer, Dialect, DialectClient, Event, Form, Reply, ReplyKind
from bt_api_base.testing.garbage import GarbageKind, garbage
from bt_api_base.testing.venue_faults import RequestFaults

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bt_api_base.testing.venue_options import VenueOptions

MAX_STREAMS: Final = 1_024
"""Streams that one connection can listen to."""

MAX_MESSAGES_PER_SECOND: Final = 5
"""Messages (JSON, ping and pong alike) that a client may send in a second."""

_METHODS: Final = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")
_TEXT_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,36}")
_METHOD_VALUE: Final = re.compile(r'"method"\s*:\s*("(?:[^"\\]|\\.)*"|[^,}\s]*)')
_MAX_INTEGER: Final = 2**63 - 1


class Target(msgspec.Struct, frozen=True):
    """What the URL of a connection asks for.

    Attributes:
        combined: Whether data come wrapped with the name of their stream.
        streams: Streams to subscribe to at once.
        divisor: Microseconds per unit of the timestamps.
    """

    combined: bool
    streams: tuple[str, ...] = ()
    divisor: int = MILLISECONDS


def parse_target(target: str) -> Target | None:
    """Return what a request target asks for, or None if there is nothing at that path.

    Args:
        target: Path and query, for example "/stream?streams=btcusdt@trade/btcusdt@depth".
    """
    parts = urlsplit(target)
    query = parse_qs(parts.query)
    unit = query.get("timeUnit", ["MILLISECOND"])[-1].upper()
    divisor = MICROSECONDS if unit == "MICROSECOND" else MILLISECONDS
    path = unquote(parts.path)
    if path in {"/stream", "/stream/"}:
        return Target(combined=True, streams=_names("/".join(query.get("streams", []))), divisor=divisor)
    if path == "/ws" or path.startswith("/ws/"):
        return Target(combined=False, streams=_names(path[4:]), divisor=divisor)
    return None


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.split("/") if name)


class BinanceForm(msgspec.Struct, frozen=True):
    """How a connection gets its data.

    Attributes:
        combined: Whether they come wrapped with the name of their stream.
        divisor: Microseconds per unit of the timestamps.
    """

    combined: bool
    divisor: int = MILLISECONDS


class RequestError(Exception):
    """A request that the venue refuses.

    Args:
        code: The venue's code: 0 unknown property, 1 wrong type of value, 2 invalid request, 3 invalid JSON.
        message: The venue's words.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@attrs.define(eq=False)
class BinanceClient(DialectClient):
    """One connection's subscriptions and property, changed by its requests."""

    combined: bool
    """Whether data come wrapped with the name of their stream."""
    divisor: int = MILLISECONDS
    """Microseconds per unit of the timestamps."""
    max_streams: int = MAX_STREAMS
    """Streams this connection can listen to."""
    faults: RequestFaults = attrs.field(factory=RequestFaults)
    """Asked before a stream is subscribed to."""
    _streams: dict[str, None] = attrs.field(factory=dict[str, None])

    @property
    @override
    def form(self) -> BinanceForm:
        """Whether data come combined, and the unit of their timestamps."""
        return BinanceForm(self.combined, self.divisor)

    @property
    @override
    def streams(self) -> tuple[str, ...]:
        """The streams subscribed to, the oldest first."""
        return tuple(self._streams)

    def add(self, names: Iterable[str]) -> tuple[str, ...]:
        """Subscribe to streams, as the URL of a connection does.

        Args:
            names: Stream names. Those subscribed to already, those not formed like one, and those beyond the most a
                connection can have, are passed over.

        Returns:
            Those that are new.
        """
        room = self.max_streams - len(self._streams)
        added = tuple(name for name in dict.fromkeys(names) if name not in self._streams and is_stream_name(name))
        self._streams.update(dict.fromkeys(added[:room]))
        return added[:room]

    @override
    def answer(self, message: bytes) -> Answer:
        """Do what a request asks for.

        Args:
            message: The text message from the client.
        """
        request_id: object = msgspec.UNSET
        try:
            request = _parse(message)
            request_id = _request_id(request)
            return self._do(request, request_id, message)
        except RequestError as error:
            reply: dict[str, object] = {"code": error.code, "msg": error.message}
            if request_id is not msgspec.UNSET:
                reply["id"] = request_id
            return Answer((Reply(msgspec.json.encode(reply), ReplyKind.REFUSAL),))

    def _do(self, request: dict[str, object], request_id: object, message: bytes) -> Answer:
        method = request.get("method", msgspec.UNSET)
        if method is msgspec.UNSET:
            raise RequestError(2, f"Invalid request: missing field `method` at line 1 column {_columns(message)}")
        if method == "SUBSCRIBE":
            names = _stream_names(request, message)
            if len(self._streams.keys() | set(names)) > self.max_streams:
                # The documentation names the limit and not what happens: refused as a request with too much in it.
                raise RequestError(2, "Invalid request: too many parameters")
            for name in names:
                refused = self.faults.stream_refusal(name)
                if refused is not None:
                    # The venue refuses a request as a whole, or not at all.
                    code = refused.code if isinstance(refused.code, int) else 2
                    raise RequestError(code, refused.message or "Invalid request: invalid stream")
            added = self.add([name for name in names if not self.faults.is_ignored(name)])
            return Answer((_acknowledgement(request_id),), added=added)
        if method == "UNSUBSCRIBE":
            names = _stream_names(request, message)
            removed = tuple(name for name in dict.fromkeys(names) if name in self._streams)
            for name in removed:
                del self._streams[name]
            return Answer((_acknowledgement(request_id),), removed=removed)
        if method == "LIST_SUBSCRIPTIONS":
            return Answer((_result(list(self._streams), request_id),))
        if method == "SET_PROPERTY":
            return self._set_property(_parameters(request, message, 2), request_id)
        if method == "GET_PROPERTY":
            _property_name(_parameters(request, message, 1))
            return Answer((_result(self.combined, request_id),))
        expected = ", ".join(f"`{known}`" for known in _METHODS)
        raise RequestError(
            2,
            f"Invalid request: unknown variant {method}, expected one of {expected} "
            f"at line 1 column {_method_column(message)}",
        )

    def _set_property(self, parameters: list[object], request_id: object) -> Answer:
        _property_name(parameters)
        value = parameters[1] if len(parameters) > 1 else None
        if not isinstance(value, bool):
            raise RequestError(1, "Invalid value type: expected Boolean")
        self.combined = value
        return Answer((_result(None, request_id),))


class BinanceDialect(Dialect):
    """The market streams of Binance's spot market.

    An event is the data of a frame, or what makes them from the divisor of a connection's timestamps.
    """

    default_options: ClassVar[VenueOptions] = {
        "max_messages_per_second": MAX_MESSAGES_PER_SECOND,
        "max_streams": MAX_STREAMS,
        "max_connects": 300,
        "connect_window": 300.0,
        "max_connection_age": 86_400.0,
        "offences_until_ban": 3,
        "ping_interval": 20.0,
        "pong_timeout": 60.0,
    }
    path: ClassVar[str] = "/stream"

    @override
    def client(self, target: str, options: VenueOptions, faults: RequestFaults) -> BinanceClient | None:
        wanted = parse_target(target)
        if wanted is None:
            return None
        client = BinanceClient(wanted.combined, wanted.divisor, options.get("max_streams", MAX_STREAMS), faults)
        client.add(wanted.streams)
        return client

    @override
    def payload(self, stream: str, form: Form, event: Event) -> bytes:
        form = cast("BinanceForm", form)
        data = event if isinstance(event, bytes) else event(form.divisor)
        return combined_data(stream, data) if form.combined else data

    @override
    def shutdown_notice(self, client: DialectClient, time_us: int) -> bytes:
        form = cast("BinanceClient", client).form
        data = shutdown_data(time_us, form.divisor)
        return combined_data("!serverShutdown", data) if form.combined else data

    @override
    def garbage(self, client: DialectClient, kind: GarbageKind) -> bytes:
        stream = next(iter(client.streams), "btcusdt@trade")
        return garbage(kind, stream, combined=cast("BinanceClient", client).combined)


def _parse(message: bytes) -> dict[str, object]:
    try:
        request: object = msgspec.json.decode(message)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        # The position is where the parser of this process stopped; the venue's may stop a character later.
        position = re.search(r"byte (\d+)", str(error))
        column = int(position[1]) + 1 if position else len(message)
        text = "EOF while parsing a value" if not message.strip() else "expected value"
        raise RequestError(3, f"Invalid JSON: {text} at line 1 column {column if message.strip() else 0}") from error
    if not isinstance(request, dict):
        raise RequestError(2, "Invalid request: request must be an object")  # assumed: not documented
    return cast("dict[str, object]", request)


def _request_id(request: dict[str, object]) -> object:
    """Return the id of a request, null where it has none."""
    value = request.get("id")
    if value is None or (isinstance(value, str) and _TEXT_ID.fullmatch(value)):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and -_MAX_INTEGER - 1 <= value <= _MAX_INTEGER:
        return value
    # Still the documented words, older than the rule itself: text and null are fine by now.
    raise RequestError(2, "Invalid request: request ID must be an unsigned integer")


def _parameters(request: dict[str, object], message: bytes, most: int | None = None) -> list[object]:
    value = request.get("params", msgspec.UNSET)
    if value is msgspec.UNSET:
        raise RequestError(2, f"Invalid request: missing field `params` at line 1 column {_columns(message)}")
    if not isinstance(value, list):
        raise RequestError(2, "Invalid request: params must be a sequence")  # assumed: not documented
    parameters = cast("list[object]", value)
    if most is not None and len(parameters) > most:
        raise RequestError(2, "Invalid request: too many parameters")
    return parameters


def _stream_names(request: dict[str, object], message: bytes) -> list[str]:
    names: list[str] = []
    for parameter in _parameters(request, message):
        if not isinstance(parameter, str) or not is_stream_name(parameter):
            raise RequestError(2, "Invalid request: invalid stream")  # assumed: not documented for spot
        names.append(parameter)
    return names


def _property_name(parameters: list[object]) -> None:
    if not parameters or not isinstance(parameters[0], str):
        raise RequestError(2, "Invalid request: property name must be a string")
    if parameters[0] != "combined":
        raise RequestError(0, "Unknown property")


def _result(value: object, request_id: object, kind: ReplyKind = ReplyKind.OTHER) -> Reply:
    return Reply(msgspec.json.encode({"result": value, "id": request_id}), kind)


def _acknowledgement(request_id: object) -> Reply:
    return _result(None, request_id, ReplyKind.ACK)


def _columns(message: bytes) -> int:
    return len(message.rstrip())


def _method_column(message: bytes) -> int:
    found = _METHOD_VALUE.search(message.decode(errors="replace"))
    return found.end(1) if found else _columns(message)


__all__ = (
    "MAX_MESSAGES_PER_SECOND",
    "MAX_STREAMS",
    "BinanceClient",
    "BinanceDialect",
    "BinanceForm",
    "RequestError",
    "Target",
    "parse_target",
)
