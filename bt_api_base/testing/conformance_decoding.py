"""Rules 30 to 49: what an adapter makes of sound frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from bt_api_base.containers import EVENT_TYPES, OrderBook, OrderBookDelta, decode_json, encode_json, event_tag
from bt_api_base.testing.conformance_damage import damaged_frames, is_finite
from bt_api_base.testing.conformance_rules import (
    CONTROLS,
    LOCAL_TIME,
    Finding,
    Rule,
    comparable,
    encoded,
    outcome,
    raised,
    shown,
)
from bt_api_base.websocket.adapter import Continuity
from bt_api_base.websocket.continuity import Verdict, judge, position

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bt_api_base.containers import Event
    from bt_api_base.testing.conformance_rules import Bench, Frame
    from bt_api_base.websocket.adapter import Channel

_EARLIEST: Final = 1_230_768_000_000_000_000  # 2009, in nanoseconds: what is smaller was given in another unit
_LATEST: Final = 4_102_444_800_000_000_000  # 2100

_MANY: Final = 64


def _frames_are_data(bench: Bench) -> Iterator[Finding]:
    for frame, endpoint in bench.frames:
        where = f"decode_frame({shown(frame)})"
        try:
            key, items = bench.subscribed(endpoint).decode_frame(frame, LOCAL_TIME)
        except Exception as error:  # noqa: BLE001 - whatever a faulty adapter raises
            yield Finding(where, raised(error), "decode it: it is one of the examples")
            continue
        if key is None or not items or any(isinstance(item, CONTROLS) for item in items):
            yield Finding(where, f"is {shown(items)} of {key!r}", "return the channel's key, and at least one event")
        elif key not in bench.channels:
            yield Finding(
                where, f"belongs to {key!r}", f"return the key of its channel: one of {shown([*bench.channels])}"
            )


def _channels_have_frames(bench: Bench) -> Iterator[Finding]:
    kinds: dict[str, set[type]] = {}
    for _, (key, items) in bench.decoded():
        if key is not None:
            kinds.setdefault(key, set()).update(map(type, items))
    for example, channel in bench.named:
        found = kinds.get(channel.key)
        if found is None or (channel.event_types and not found.intersection(channel.event_types)):
            names = " or ".join(kind.__name__ for kind in channel.event_types) or "anything"
            yield Finding(
                str(example),
                f"gets nothing from the examples: no frame of {channel.key!r} has {names} in it",
                "give one of its frames, as the venue sent it",
            )


def _origin(bench: Bench) -> Iterator[Finding]:
    exchange_name = bench.factory().exchange_name
    for frame, channel, event in _events(bench):
        expected = {"exchange_name": exchange_name, "local_time": LOCAL_TIME}
        if channel.symbol and not channel.private:
            expected["symbol"] = channel.symbol
        for name, value in expected.items():
            if getattr(event, name) != value:
                yield Finding(
                    f"{name} of the {type(event).__name__} in {shown(frame)}",
                    f"is {getattr(event, name)!r}",
                    f"set it to {value!r}",
                )


def _times(bench: Bench) -> Iterator[Finding]:
    for frame, _, event in _events(bench):
        for name in event.__struct_fields__:
            value = getattr(event, name)
            if not name.endswith("_time") or name == "local_time" or value in {0, None}:
                continue
            if not isinstance(value, int) or not _EARLIEST <= value < _LATEST:
                yield Finding(
                    f"{name} of the {type(event).__name__} in {shown(frame)}",
                    f"is {value!r}",
                    "give nanoseconds since the epoch: milliseconds times 1_000_000",
                )


def _types(bench: Bench) -> Iterator[Finding]:
    for frame, channel, event in _events(bench):
        kind = type(event)
        if channel.event_name:
            tag = channel.event_name.partition(".")[0]
            # A book's channel may begin with a snapshot.
            if event_tag(kind) != tag and not (kind is OrderBook and tag == event_tag(OrderBookDelta)):
                yield Finding(
                    shown(frame),
                    f"is a {kind.__name__} in a channel of {channel.event_name!r}",
                    "make event_name say what the channel's events are, or leave it empty where they are mixed",
                )


def _events_are_sound(bench: Bench) -> Iterator[Finding]:
    for frame, _, event in _events(bench):
        where = f"the {type(event).__name__} in {shown(frame)}"
        remedy = "give each field what its type says: float, int, str, Side, Decimal, and tuples instead of lists"
        if not is_finite(event):
            yield Finding(
                where, f"has a number that is none: {shown(event)}", "raise DataParseError for NaN and infinity"
            )
            continue
        try:
            again = decode_json(encode_json(event))
        except Exception as error:  # noqa: BLE001 - whatever a field of the wrong type leads to
            yield Finding(where, raised(error), remedy)
            continue
        if again != event or msgspec.to_builtins(again) != msgspec.to_builtins(event) or repr(again) != repr(event):
            yield Finding(where, f"is {shown(event)}, and written and read again {shown(again)}", remedy)


def _text_and_bytes(bench: Bench) -> Iterator[Finding]:
    for frame, endpoint in (
        *bench.frames,
        *((frame, end) for frame in bench.examples.control_frames for end in bench.endpoints),
    ):
        try:
            text = frame if isinstance(frame, str) else frame.decode()
        except UnicodeDecodeError:
            continue  # a binary message
        first = outcome(bench.subscribed(endpoint), text.encode())
        second = outcome(bench.subscribed(endpoint), text)
        if first != second:
            yield Finding(
                f"decode_frame({shown(text)})",
                f"is {shown(second)}, and of the same bytes {shown(first)}",
                "encode text before anything else: frame.encode()",
            )


def _batches(bench: Bench) -> Iterator[Finding]:
    for endpoint in bench.endpoints:
        sound: list[Frame] = [frame for frame, end in bench.frames if end == endpoint]
        rng = bench.rng(f"batches/{endpoint}")
        damaged = list(damaged_frames([encoded(frame) for frame in sound], rng, 50))
        mixed: list[Frame] = [*sound, *bench.examples.control_frames, *damaged]
        rng.shuffle(mixed)
        batches: list[list[Frame]] = [sound, mixed, [], *([frame] * _MANY for frame in sound)]
        batches += [[frame] * _MANY + [b"{"] + [frame] * _MANY for frame in sound[:8]]
        for batch in batches:
            adapter = bench.subscribed(endpoint)
            expected = [outcome(adapter, frame) for frame in batch]
            result = list(bench.subscribed(endpoint).decode_batch(batch, LOCAL_TIME))
            found = [comparable(one) for one in result]
            if len(found) != len(batch):
                yield Finding(
                    f"decode_batch of {len(batch)} frames", f"has {len(found)} results", "return one for each frame"
                )
                continue
            for frame, one, other in zip(batch, expected, found, strict=True):
                if one != other:
                    yield Finding(
                        f"decode_batch of {len(batch)} frames, at {shown(frame)}",
                        f"is {shown(other)}, and decode_frame has {shown(one)}",
                        "decode one by one what is not all alike; Malformed stands for what is raised",
                    )
                    break


def _continuity(bench: Bench) -> Iterator[Finding]:
    last: dict[str, tuple[Frame, Event]] = {}
    for frame, channel, event in _events(bench):
        before = last.get(channel.key)
        last[channel.key] = (frame, event)
        if before is None or channel.continuity is Continuity.NONE:
            continue
        places = f"{position(before[1])} and then {position(event)}"
        where = f"the {type(event).__name__} in {shown(frame)}"
        verdict = judge(before[1], event)
        if position(event).number <= position(before[1]).number and verdict is not Verdict.FOLLOWS:
            yield Finding(
                where,
                f"does not come after the one before it: positions {places}",
                f"give frames in their order; if they are, {channel.topic!r} is not {channel.continuity.name}",
            )
        elif channel.continuity is Continuity.CONSECUTIVE and verdict is not Verdict.FOLLOWS:
            yield Finding(
                where,
                f"does not follow the one before it: positions {places}",
                f"give frames without a hole; if they are, {channel.topic!r} is not CONSECUTIVE but INCREASING",
            )


def _repeatable(bench: Bench) -> Iterator[Finding]:
    for endpoint in bench.endpoints:
        adapter = bench.subscribed(endpoint)
        frames = bench.public_frames(endpoint)
        first = [outcome(adapter, frame) for frame in frames]
        second = [outcome(adapter, frame) for frame in reversed(frames)][::-1]
        for frame, one, other in zip(frames, first, second, strict=True):
            if one != other:
                yield Finding(
                    f"decode_frame({shown(frame)})",
                    f"is {shown(one)}, and later {shown(other)}",
                    "let a frame mean the same whatever came before: continuity is not the adapter's to check",
                )


def _late_frames(bench: Bench) -> Iterator[Finding]:
    for frame, endpoint in bench.frames:
        adapter = bench.subscribed(endpoint)
        for batch in bench.batches(adapter, endpoint):
            adapter.unsubscribe_frame(2, batch)
        expected = outcome(bench.subscribed(endpoint), frame)
        found = outcome(adapter, frame)
        if found != expected and not (isinstance(found, tuple) and found[0] is None):
            yield Finding(
                f"decode_frame({shown(frame)}) after unsubscribing",
                f"is {shown(found)}, and was {shown(expected)}",
                "decode it as before, or report it as Unrecognized: it may have been under way",
            )


def _events(bench: Bench) -> Iterator[tuple[Frame, Channel, Event]]:
    for frame, (key, items) in bench.decoded():
        if key in bench.channels:
            for item in items:
                if isinstance(item, EVENT_TYPES):
                    yield frame, bench.channels[key][0], item


RULES: Final[Sequence[Rule]] = (
    Rule(30, "frames of data become events of their channel", "anything else is lost", _frames_are_data),
    Rule(31, "every channel has a frame among the examples", "what is not tried is not known", _channels_have_frames),
    Rule(32, "events say where they are from, of what, and when they came", "consumers go by it", _origin),
    Rule(33, "times are nanoseconds", "a thousandfold error is a plausible number", _times),
    Rule(34, "events are of the types that their channel says", "consumers are given them by type and name", _types),
    Rule(35, "events hold what their types say", "a text in a price breaks its consumer, far away", _events_are_sound),
    Rule(36, "text and bytes are decoded alike", "a connection delivers either", _text_and_bytes),
    Rule(37, "a batch is decoded as its frames are", "under load, frames come in batches", _batches),
    Rule(38, "positions grow as the channel declares", "gaps and repetitions are told by them", _continuity),
    Rule(39, "a frame means the same whenever it comes", "connections are replaced at any moment", _repeatable),
    Rule(40, "frames that come after unsubscribing do no harm", "some are always under way", _late_frames),
)
"""These rules, by number."""

__all__ = ("RULES",)
