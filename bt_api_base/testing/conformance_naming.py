"""Rules 1 to 29: what an adapter says about itself, how it names channels, and what it asks the venue with."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from bt_api_base.containers import EVENT_TYPES, event_tag
from bt_api_base.exceptions import InvalidSymbolError, SubscribeError
from bt_api_base.testing.conformance_damage import decoded_json
from bt_api_base.testing.conformance_rules import LOCAL_TIME, Finding, Rule, raised, shown
from bt_api_base.websocket.adapter import Ack, Channel, Refusal, StreamAdapter, StreamLimits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from bt_api_base.testing.conformance_rules import Bench, ChannelExample

_EXCHANGE_NAME: Final = re.compile(r"[A-Z0-9]+(_[A-Z0-9]+)*___[A-Z0-9]+(_[A-Z0-9]+)*")
_TAGS: Final = frozenset(map(event_tag, EVENT_TYPES))

_NO_TOPIC: Final = "no_such_topic_anywhere"
_NO_PARAMETER: Final = "no_such_parameter"
_ODD_SYMBOLS: Final = (
    "",
    " ",
    "-",
    "BTC",
    "BTC-",
    "-USDT",
    "BTC-USDT-",
    'BTC-USDT"}',
    "BTC\nUSDT",
    "测试-USDT",
    "X" * 999,
)

_FIRST_ID: Final = 730_001
_SECOND_ID: Final = 841_009


# -- the adapter -----------------------------------------------------------------------------------


def _is_adapter(bench: Bench) -> Iterator[Finding]:
    first: Any = bench.factory()
    second: Any = bench.factory()
    if not isinstance(first, StreamAdapter):
        yield Finding("the factory", f"returns {shown(first)}", "return an instance of a subclass of StreamAdapter")
    if first is second:
        yield Finding("the factory", "returns the same adapter twice", "return a new one each time")
    for name in ("exchange_name", "default_url"):
        value: object = getattr(first, name, None)
        if not isinstance(value, str) or not value:
            yield Finding(name, f"is {shown(value)}", "set it to a text, as an attribute of the class")
    for endpoint in bench.endpoints:
        limits: object = getattr(bench.adapter(endpoint), "limits", None)
        if not isinstance(limits, StreamLimits):
            yield Finding(f"limits at endpoint {endpoint!r}", f"are {shown(limits)}", "set them to a StreamLimits")


def _exchange_name(bench: Bench) -> Iterator[Finding]:
    name = bench.factory().exchange_name
    if not _EXCHANGE_NAME.fullmatch(name):
        yield Finding("exchange_name", f"is {name!r}", 'write venue and asset type in capitals: "BINANCE___SPOT"')


def _limits(bench: Bench) -> Iterator[Finding]:
    for endpoint in bench.endpoints:
        limits = bench.adapter(endpoint).limits
        for name, least in (
            ("max_channels_per_connection", 1),
            ("max_channels_per_request", 1),
            ("max_connects", 1),
            ("max_message_size_bytes", 1_024),
            ("max_requests", 1),
        ):
            value = getattr(limits, name)
            if value is not None and value < least:
                yield Finding(f"limits.{name}", f"is {value}", f"set it to what the venue documents, at least {least}")
        for name in ("messages_per_second", "request_window", "connect_window", "max_idle", "max_connection_age"):
            value = getattr(limits, name)
            if value is not None and not 0 < value < float("inf"):
                yield Finding(f"limits.{name}", f"is {value}", "set it to a number of seconds or messages above zero")


def _urls(bench: Bench) -> Iterator[Finding]:
    for endpoint in bench.endpoints:
        adapter = bench.adapter(endpoint)
        remedy = "return a ws:// or wss:// URL, and change path and query only where the host is not the venue's own"
        for url in (adapter.default_url, "ws://127.0.0.1:45678/"):
            found = adapter.endpoint(url)
            parts = urlsplit(found)
            where = f"endpoint({url!r}) at {endpoint!r}"
            if parts.scheme not in {"ws", "wss"} or not parts.hostname:
                yield Finding(where, f"returns {shown(found)}", remedy)
            elif "127.0.0.1" in url and parts.netloc != "127.0.0.1:45678":
                yield Finding(where, f"goes to {parts.netloc}, which nobody asked for", remedy)


# -- naming channels -------------------------------------------------------------------------------


def _is_deterministic(bench: Bench) -> Iterator[Finding]:
    for example in bench.examples.channels:
        adapter = bench.adapter()
        try:
            first: Any = adapter.channel(example.topic, example.symbol, example.params)
            again = adapter.channel(example.topic, example.symbol, example.params)
            other = bench.adapter().channel(example.topic, example.symbol, example.params)
        except Exception as error:  # noqa: BLE001 - whatever a faulty adapter raises
            yield Finding(str(example), raised(error), "name the channel: it is one of the examples")
            continue
        if not isinstance(first, Channel):
            yield Finding(str(example), f"returns {shown(first)}", "return a Channel")
        elif not first == again == other:
            different = again if again != first else other
            yield Finding(str(example), f"is {shown(first)} and then {shown(different)}", "return the same each time")
        elif not first.key or first.topic == "":
            yield Finding(str(example), f"is {shown(first)}", "give it a topic, and the venue's name as its key")


def _keys(bench: Bench) -> Iterator[Finding]:
    for key, channels in bench.channels.items():
        first = channels[0]
        for other in channels[1:]:
            if other == first:
                continue
            shared = (first.event_name, first.endpoint, first.private) == (
                other.event_name,
                other.endpoint,
                other.private,
            )
            if first.event_name or not shared:
                yield Finding(
                    f"{_name(first)} and {_name(other)}",
                    f"both have the key {key!r}, with {first.event_name!r} and {other.event_name!r}",
                    "give each its own key; only views of one private channel, whose event_name is empty, share one",
                )


def _event_names(bench: Bench) -> Iterator[Finding]:
    for example, channel in bench.named:
        tag, _, rest = channel.event_name.partition(".")
        expected = f"{bench.factory().exchange_name}.{channel.symbol}"
        if channel.event_name and (tag not in _TAGS or rest != expected):
            yield Finding(
                str(example),
                f"has the event_name {channel.event_name!r}",
                f'write "<tag>.{expected}", where the tag is event_tag(type) of its events, or leave it empty',
            )


def _round_trip(bench: Bench) -> Iterator[Finding]:
    for example, channel in bench.named:
        again = bench.adapter().channel(example.topic, channel.symbol, example.params)
        if again != channel:
            yield Finding(
                str(example),
                f"has the symbol {channel.symbol!r}, and asked for by that is {shown(again)}",
                "return the internal symbol, which names the same channel again",
            )


def _unknown_topic(bench: Bench) -> Iterator[Finding]:
    topics = sorted({channel.topic for _, channel in bench.named})
    for example, channel in bench.named[:1]:
        where = f"channel({_NO_TOPIC!r}, {example.symbol!r})"
        remedy = f"raise SubscribeError with the topics there are, such as {', '.join(topics)}"
        error = _error_of(partial(bench.adapter().channel, _NO_TOPIC, channel.symbol))
        if not isinstance(error, SubscribeError):
            yield Finding(where, raised(error) if error else "is accepted", remedy)
        else:
            missing = [topic for topic in topics if topic not in str(error)]
            if missing:
                yield Finding(where, f"does not say that there is {missing[0]!r}: {shown(str(error))}", remedy)


def _unknown_parameter(bench: Bench) -> Iterator[Finding]:
    for example, _ in bench.named:
        params = {**(example.params or {}), _NO_PARAMETER: 1}
        error = _error_of(partial(bench.adapter().channel, example.topic, example.symbol, params))
        if not isinstance(error, (SubscribeError, InvalidSymbolError)):
            yield Finding(
                f"channel({example.topic!r}, {example.symbol!r}, {params})",
                raised(error) if error else "is accepted, as if it had been understood",
                "raise SubscribeError with the parameters there are",
            )


def _symbols(bench: Bench) -> Iterator[Finding]:
    topics = {example.topic: example for example, channel in bench.named if channel.symbol}
    for example in topics.values():
        for symbol in (*_ODD_SYMBOLS, *bench.examples.bad_symbols):
            where = f"channel({example.topic!r}, {shown(symbol)})"
            error = _error_of(partial(_ask, bench, example, symbol))
            if error is not None and not isinstance(error, (InvalidSymbolError, SubscribeError)):
                yield Finding(where, raised(error), "raise InvalidSymbolError, with what a symbol looks like")
            elif error is None and symbol in bench.examples.bad_symbols:
                yield Finding(where, "is accepted", "raise InvalidSymbolError: it is given as a bad symbol")


def _ask(bench: Bench, example: ChannelExample, symbol: str) -> None:
    """Name a channel and subscribe to it; raise what is raised, and also if the frame is no JSON any more."""
    adapter = bench.adapter()
    channel = adapter.channel(example.topic, symbol, example.params)
    adapter.endpoint_name = channel.endpoint
    frame = adapter.subscribe_frame(1, [channel])
    if frame[:1] in {"{", "["} and decoded_json(frame) is None:
        raise ValueError(f"its subscribe frame is no JSON: {shown(frame)}")


# -- requests --------------------------------------------------------------------------------------


def _requests(bench: Bench) -> Iterator[tuple[str, Callable[[int], Any]]]:
    """Yield every kind of request, with its description."""
    for endpoint in bench.endpoints:
        adapter = bench.subscribed(endpoint)
        for batch in bench.batches(adapter, endpoint):
            of = f"of {', '.join(channel.key for channel in batch)}"
            yield f"subscribe_frame {of}", partial(adapter.subscribe_frame, channels=batch)
            yield f"probe_frame {of}", partial(adapter.probe_frame, channel=batch[0])
            yield f"unsubscribe_frame {of}", partial(adapter.unsubscribe_frame, channels=batch)


def _frames_are_text(bench: Bench) -> Iterator[Finding]:
    limits = bench.factory().limits
    for where, build in _requests(bench):
        frame = build(_FIRST_ID)
        if not isinstance(frame, str) or not frame.strip():
            yield Finding(where, f"is {shown(frame)}", "return the text of one message")
        elif frame[:1] in {"{", "["} and decoded_json(frame) is None:
            yield Finding(where, f"is no JSON: {shown(frame)}", "encode it with a JSON library")
        elif len(frame.encode("utf-8", "replace")) > limits.max_message_size_bytes:
            yield Finding(where, f"has {len(frame)} characters", "lower limits.max_channels_per_request")
    for endpoint in bench.endpoints:
        ping: Any = bench.adapter(endpoint).ping_frame()
        if ping is not None and (not isinstance(ping, str) or not ping):
            yield Finding(
                f"ping_frame at {endpoint!r}", f"is {shown(ping)}", "return a text, or None for WebSocket pings"
            )


def _request_ids(bench: Bench) -> Iterator[Finding]:
    if not _answers_by_id(bench):
        return
    for where, build in _requests(bench):
        first, second = build(_FIRST_ID), build(_SECOND_ID)
        if f"{_FIRST_ID}" not in str(first) or f"{_SECOND_ID}" not in str(second):
            yield Finding(
                where,
                f"does not carry its request id {_FIRST_ID}: {shown(first)}",
                "put the id in, as the venue's answers repeat it",
            )


def _answers_by_id(bench: Bench) -> bool:
    """Return whether the examples of answers name the request they answer."""
    for endpoint in bench.endpoints:
        for frame in (*bench.examples.acks, *bench.examples.refusals):
            try:
                items = bench.subscribed(endpoint).decode(frame, LOCAL_TIME)
            except Exception:  # noqa: BLE001, S112  # reported by the rules about answers
                continue
            if any(isinstance(item, (Ack, Refusal)) and item.request_id is not None for item in items):
                return True
    return False


def _frames_tell_channels_apart(bench: Bench) -> Iterator[Finding]:
    for endpoint in bench.endpoints:
        seen: dict[str, Channel] = {}
        for batch in bench.batches(bench.adapter(endpoint), endpoint):
            for channel in batch:
                frame = bench.adapter(endpoint).subscribe_frame(1, [channel])
                if frame in seen:
                    yield Finding(
                        f"subscribe_frame of {channel.key}",
                        f"is that of {seen[frame].key}: {shown(frame)}",
                        "name the channel in it",
                    )
                seen[frame] = channel
                if bench.adapter(endpoint).unsubscribe_frame(1, [channel]) == frame:
                    yield Finding(
                        f"unsubscribe_frame of {channel.key}",
                        f"is its subscribe_frame: {shown(frame)}",
                        "ask the venue to stop",
                    )
            if len(batch) > 1:
                several = bench.adapter(endpoint).subscribe_frame(1, batch)
                for channel in batch:
                    without = [other for other in batch if other is not channel]
                    if bench.adapter(endpoint).subscribe_frame(1, without) == several:
                        yield Finding(
                            f"subscribe_frame of {len(batch)} channels",
                            f"is the same without {channel.key}: {shown(several)}",
                            "name every channel, or set limits.max_channels_per_request to 1",
                        )


def _asking_changes_no_names(bench: Bench) -> Iterator[Finding]:
    for example, channel in bench.named:
        adapter = bench.subscribed(channel.endpoint)
        after = adapter.channel(example.topic, example.symbol, example.params)
        adapter.unsubscribe_frame(2, [channel])
        left = adapter.channel(example.topic, example.symbol, example.params)
        if not channel == after == left:
            yield Finding(
                str(example),
                f"is {shown(channel)}, and after subscribing and unsubscribing {shown(left)}",
                "name channels by nothing but the arguments",
            )


def _name(channel: Channel) -> str:
    return f"channel({channel.topic!r}, {channel.symbol!r})"


def _error_of(act: Callable[[], object]) -> Exception | None:
    try:
        act()
    except Exception as error:  # noqa: BLE001 - which it is, is the question
        return error
    return None


RULES: Final[Sequence[Rule]] = (
    Rule(1, "an adapter is complete", "each connection gets its own adapter, by its attributes", _is_adapter),
    Rule(
        2, "exchange_name is VENUE___TYPE", "events, plugins and configurations find one another by it", _exchange_name
    ),
    Rule(3, "limits make sense", "connections are paced by them", _limits),
    Rule(
        4, "endpoints are WebSocket URLs, and a foreign host is respected", "a test must never reach production", _urls
    ),
    Rule(
        10, "a channel's name follows from the arguments", "channels are shared and restored by name", _is_deterministic
    ),
    Rule(11, "different channels have different keys", "frames are routed by them", _keys),
    Rule(12, "event_name is <tag>.<exchange_name>.<symbol>", "it is the name on the bus", _event_names),
    Rule(13, "a channel's symbol names the channel again", "restoring a subscription asks by it", _round_trip),
    Rule(14, "unknown topics are refused with a list", "a misspelt topic would be silence", _unknown_topic),
    Rule(15, "unknown parameters are refused", "a misspelt parameter would be other data", _unknown_parameter),
    Rule(16, "bad symbols are refused, and break no frame", "what users type ends up in requests", _symbols),
    Rule(20, "requests are texts of one message", "that is what is sent", _frames_are_text),
    Rule(21, "requests carry their id", "an answer is matched to its request by it", _request_ids),
    Rule(
        22,
        "requests name their channels",
        "a channel that is not named is never subscribed to",
        _frames_tell_channels_apart,
    ),
    Rule(23, "asking changes no names", "a name must mean the same on every connection", _asking_changes_no_names),
)
"""These rules, by number."""


def rules_of(rules: Sequence[Rule]) -> Mapping[int, Rule]:
    """Return rules by their numbers."""
    return {rule.number: rule for rule in rules}


__all__ = ("RULES", "rules_of")
