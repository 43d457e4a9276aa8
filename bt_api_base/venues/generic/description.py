"""How a venue is described."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import attrs

from bt_api_base.websocket.adapter import Continuity, StreamLimits

if TYPE_CHECKING:
    from bt_api_base.containers import Event

__all__ = ("Field", "GenericTopic", "GenericVenue", "Message", "TimeUnit")

TimeUnit: TypeAlias = Literal["s", "ms", "us", "ns", "iso"]
"""What a venue's times are in; ``"iso"``: text such as ``"2026-01-02T03:04:05.678Z"``."""


@attrs.frozen
class Field:
    """Where a field of an event comes from.

    Attributes:
        path: Where it is.
        unit: What a time is in; by default the venue's.
        words: What the venue's words mean, where they mean something.
        level: For the levels of a book, where price and quantity are in each.
    """

    path: str
    unit: TimeUnit | None = attrs.field(default=None, kw_only=True)
    words: Mapping[str, Any] | None = attrs.field(default=None, kw_only=True)
    level: tuple[str, str] = attrs.field(default=("0", "1"), kw_only=True)


@attrs.frozen(kw_only=True)
class GenericTopic:
    """Something to subscribe to.

    Attributes:
        name: The topic, in this library's words.
        key: Template of the venue's name of the channel, with ``{symbol}`` and the parameters.
        event_type: What its frames become: one event for each item.
        fields: Where the event's fields are, by their names; what is not named keeps its default.
        data: Path of the item, or of the list of items; empty where the frame itself is the item.
        symbol: Path of the venue's symbol in an item, to be checked; empty for none.
        parameters: What there is to choose from, by the parameter's name; the first is the default.
        other_names: What else the topic may be called, such as the venue's own word.
        continuity: See `Channel`.
        quiet_after: See `Channel`.
        recoverable: See `Channel`.
    """

    name: str
    key: str
    event_type: type[Event]
    fields: Mapping[str, str | Field]
    data: str = "data"
    symbol: str = ""
    parameters: Mapping[str, Sequence[str]] = attrs.field(factory=dict[str, Sequence[str]])
    other_names: tuple[str, ...] = ()
    continuity: Continuity = Continuity.NONE
    quiet_after: float | None = None
    recoverable: bool = False


@attrs.frozen(kw_only=True)
class Message:
    """A frame that is no data, and how it is told.

    Attributes:
        kind: What it is.
        where: What has to be at which paths: a value, several of them, or ``...`` for anything at all. A text instead
            is the whole frame.
        request_id: Path of the id of the request that it answers.
        key: Template of the key of the channel that it answers for, with paths in braces.
        code: Path of the venue's code.
        text: Path of the venue's text.
        reply: Template of the answer to a heartbeat, with paths in braces.
        closing: Whether it announces that the venue closes the connection.
    """

    kind: Literal["ack", "refusal", "heartbeat", "notice"]
    where: Mapping[str, Any] | str
    request_id: str = ""
    key: str = ""
    code: str = ""
    text: str = ""
    reply: Any = None
    closing: bool = False


@attrs.frozen(kw_only=True)
class GenericVenue:
    """A venue's public streams.

    Attributes:
        exchange_name: Venue and asset type.
        default_url: The venue's endpoint.
        topics: What there is to subscribe to.
        subscribe: Template of a request, in JSON or as text, with ``{id}`` and either ``{arguments}`` for the list of
            channels or ``{argument}`` for the only one.
        unsubscribe: Likewise.
        argument: Template of a channel in a request, with ``{key}``, ``{symbol}`` as the venue writes it, ``{topic}``
            and the topic's parameters.
        frame_keys: Templates of a frame's channel, with paths in braces: the first that makes a known key counts.
        messages: Frames that are no data: the first that fits counts.
        ping: What keeps a connection alive; ``None`` for WebSocket pings.
        limits: The venue's limits.
        symbol_format: How the venue writes ``BTC-USDT``, with ``{base}`` and ``{quote}``.
        lower_case: Whether the venue writes symbols in lower case.
        time_unit: What times are in.
    """

    exchange_name: str
    default_url: str
    topics: tuple[GenericTopic, ...]
    subscribe: Any
    unsubscribe: Any
    argument: Any = "{key}"
    frame_keys: tuple[str, ...]
    messages: tuple[Message, ...] = ()
    ping: Any = None
    limits: StreamLimits = attrs.field(factory=StreamLimits)
    symbol_format: str = "{base}{quote}"
    lower_case: bool = False
    time_unit: TimeUnit = "ms"
