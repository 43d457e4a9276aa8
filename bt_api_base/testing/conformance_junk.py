"""Rules 50 to 59: what an adapter makes of damaged frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from bt_api_base.containers import EVENT_TYPES
from bt_api_base.exceptions import DataParseError
from bt_api_base.testing.conformance_damage import damaged_frames, is_finite
from bt_api_base.testing.conformance_rules import CONTROLS, LOCAL_TIME, Finding, Rule, encoded, outcome, raised, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bt_api_base.testing.conformance_rules import Bench, Frame
    from bt_api_base.websocket.adapter import StreamAdapter

_MEANINGS: Final = (*EVENT_TYPES, *CONTROLS)

_LONGEST_ERROR: Final = 2_000


def _damage(bench: Bench, name: str) -> Iterator[tuple[int, StreamAdapter, Frame]]:
    """Yield damaged frames, with their number and the adapter to try them on."""
    number = 0
    for endpoint in bench.endpoints:
        frames = [encoded(frame) for frame, end in bench.frames if end == endpoint]
        frames += [encoded(frame) for frame in bench.examples.control_frames]
        adapter = bench.subscribed(endpoint)
        count = bench.examples.mutations // len(bench.endpoints)
        for frame in damaged_frames(frames, bench.rng(f"damage/{name}/{endpoint}"), count):
            number += 1
            yield number, adapter, frame
            if number % 500 == 0:
                adapter = bench.adapter(endpoint) if number % 1_000 else bench.subscribed(endpoint)


def _only_parse_errors(bench: Bench) -> Iterator[Finding]:
    remedy = "raise DataParseError for whatever cannot be read: wrong types, bad UTF-8, huge numbers, deep nesting"
    for number, adapter, frame in _damage(bench, "errors"):
        where = f"decode_frame({shown(frame)}), damaged frame {number}"
        try:
            result: Any = adapter.decode_frame(frame, LOCAL_TIME)
        except DataParseError:
            continue
        except Exception as error:  # noqa: BLE001 - the question
            yield Finding(where, raised(error), remedy)
            continue
        what = _what_is_wrong_with(result)
        if what:
            yield Finding(where, what, "return a key or None, and a sequence of events or control messages")


def _what_is_wrong_with(result: Any) -> str:  # noqa: ANN401 - whatever a faulty adapter returns
    if not isinstance(result, tuple) or len(cast("tuple[object, ...]", result)) != 2:
        return f"returns {shown(cast('object', result))}"
    key, items = cast("tuple[object, Any]", result)
    if key is not None and not isinstance(key, str):
        return f"returns the key {shown(key)}"
    strange = [item for item in items if not isinstance(item, _MEANINGS)]
    if strange:
        return f"returns {shown(strange[0])}"
    if key is None and any(isinstance(item, EVENT_TYPES) for item in items):
        return "returns events without the key of their channel"
    return ""


def _errors_are_useful(bench: Bench) -> Iterator[Finding]:
    exchange_name = bench.factory().exchange_name
    for number, adapter, frame in _damage(bench, "texts"):
        try:
            adapter.decode_frame(frame, LOCAL_TIME)
        except DataParseError as error:
            text = f"{error!s} {error!r}"
            where = f"the error of decode_frame({shown(frame)}), damaged frame {number}"
            if error.exchange_name != exchange_name:
                yield Finding(
                    where, f"is of {error.exchange_name!r}", "raise it with exchange_name=, and field= if known"
                )
            if len(text) > 2 * _LONGEST_ERROR:
                yield Finding(where, f"has {len(str(error))} characters", "give the frame as payload=, which is cut")
        except Exception:  # noqa: BLE001, S112  # reported by the rule before
            continue


def _errors_show_no_secrets(bench: Bench) -> Iterator[Finding]:
    secret = bench.planted.plant("listen_key", length=64)
    for frame, endpoint in (
        *bench.frames,
        *((frame, end) for frame in bench.examples.control_frames for end in bench.endpoints),
    ):
        for broken in (
            encoded(frame)[:-1] + b',"listenKey":"' + secret.encode() + b'",',
            b'{"listenKey":"' + secret.encode() + b'","apiKey":"' + secret.encode() + b'",' + encoded(frame)[1:-1],
        ):
            try:
                bench.subscribed(endpoint).decode_frame(broken, LOCAL_TIME)
            except Exception as error:  # noqa: BLE001 - the question
                shows = [str(error), repr(error), *map(repr, error.args), *map(repr, vars(error).values())]
                if any(bench.planted.find(text) for text in shows):
                    yield Finding(
                        f"the {type(error).__name__} of a frame with a listen key in it",
                        "shows the key",
                        "give the frame as payload=, which is redacted, and no part of it in the text",
                    )


def _survives(bench: Bench) -> Iterator[Finding]:
    for endpoint in bench.endpoints:
        sound = bench.public_frames(endpoint)
        adapter = bench.subscribed(endpoint)
        expected = [outcome(bench.subscribed(endpoint), frame) for frame in sound]
        rng = bench.rng(f"survives/{endpoint}")
        for frame in damaged_frames([encoded(frame) for frame in sound], rng, bench.examples.mutations // 4):
            outcome(adapter, frame)
        for frame, before in zip(sound, expected, strict=True):
            after = outcome(adapter, frame)
            if after != before:
                yield Finding(
                    f"decode_frame({shown(frame)}) after damaged frames",
                    f"is {shown(after)}, and was {shown(before)}",
                    "let a damaged frame change nothing",
                )


def _stays_finite(bench: Bench) -> Iterator[Finding]:
    for number, adapter, frame in _damage(bench, "numbers"):
        try:
            _, items = adapter.decode_frame(frame, LOCAL_TIME)
        except Exception:  # noqa: BLE001, S112  # reported by other rules
            continue
        for item in items:
            if isinstance(item, EVENT_TYPES) and not is_finite(item):
                yield Finding(
                    f"decode_frame({shown(frame)}), damaged frame {number}",
                    f"is {shown(item)}",
                    "raise DataParseError for NaN and infinity",
                )


RULES: Final[Sequence[Rule]] = (
    Rule(
        50,
        "damaged frames raise DataParseError and nothing else",
        "one frame must not end a connection",
        _only_parse_errors,
    ),
    Rule(51, "errors say which venue, in a few words", "they are logged, thousands of them", _errors_are_useful),
    Rule(52, "errors show no secret", "logs are read by many", _errors_show_no_secrets),
    Rule(53, "damaged frames change nothing", "the next frame is sound again", _survives),
    Rule(54, "no NaN and no infinity gets through", "every comparison with them is wrong", _stays_finite),
)
"""These rules, by number."""

__all__ = ("RULES",)
