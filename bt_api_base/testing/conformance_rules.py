"""What the rules of conformance are made of, and what they are checked on: an adapter's examples."""

from __future__ import annotations

import random
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs

from bt_api_base.exceptions import BtApiError
from bt_api_base.testing.planted_secret import PlantedSecret
from bt_api_base.websocket.adapter import (
    Ack,
    Channel,
    Heartbeat,
    LeaseExpired,
    LoggedIn,
    LoginRefused,
    Malformed,
    Notice,
    Refusal,
    StreamAdapter,
    Unrecognized,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence

    from bt_api_base.security import Credentials
    from bt_api_base.websocket.adapter import Decoded

Frame: TypeAlias = "bytes | str"
"""The payload of a message."""

LOCAL_TIME: Final = 1_777_777_777_123_456_789
"""When the examples left the socket, nanoseconds since the epoch; a number that stands for nothing else."""

CONTROLS: Final = (
    Ack,
    Refusal,
    Heartbeat,
    Notice,
    LoggedIn,
    LoginRefused,
    LeaseExpired,
    Unrecognized,
    Malformed,
)
"""What a frame means that is no event."""

_LONGEST_SHOWN: Final = 160
_MOST_SHOWN: Final = 3


@attrs.frozen
class ChannelExample:
    """Something to subscribe to, and what comes of it.

    Attributes:
        topic: The topic.
        symbol: The internal symbol; empty for what has none.
        params: Its parameters.
        frames: Frames of the channel, in the order in which the venue sent them.
    """

    topic: str
    symbol: str = ""
    params: Mapping[str, Any] | None = None
    frames: tuple[Frame, ...] = attrs.field(default=(), converter=tuple, repr=False)

    def __str__(self) -> str:
        params = f", {dict(self.params)}" if self.params else ""
        return f"channel({self.topic!r}, {self.symbol!r}{params})"


@attrs.frozen(kw_only=True)
class Examples:
    """What an adapter is tried out on; see `bt_api_base.testing.check_stream_adapter`."""

    channels: tuple[ChannelExample, ...]
    frames: tuple[Frame, ...] = ()
    acks: tuple[Frame, ...] = ()
    refusals: tuple[Frame, ...] = ()
    heartbeats: tuple[Frame, ...] = ()
    notices: tuple[Frame, ...] = ()
    bad_symbols: tuple[str, ...] = ()
    credentials: Credentials | None = None
    seed: int = 0
    mutations: int = 3_000

    @property
    def control_frames(self) -> tuple[Frame, ...]:
        """The frames that are no data."""
        return (*self.acks, *self.refusals, *self.heartbeats, *self.notices)


@attrs.frozen
class Finding:
    """Something that is not as a rule has it.

    Attributes:
        where: Which call, frame or attribute.
        what: What it does.
        remedy: What to do about it.
    """

    where: str
    what: str
    remedy: str


@attrs.frozen
class Rule:
    """Something that holds for every adapter.

    Attributes:
        number: Its number, which stays.
        title: What it says.
        reason: What goes wrong without it.
        check: Yields what breaks it.
    """

    number: int
    title: str
    reason: str
    check: Callable[[Bench], Iterable[Finding]] = attrs.field(repr=False)

    def __str__(self) -> str:
        return f"rule {self.number}: {self.title}"


class ConformanceError(AssertionError):
    """An adapter breaks rules.

    Attributes:
        failures: Each broken rule, with what was found.
    """

    def __init__(self, name: str, seed: int, failures: Mapping[Rule, Sequence[Finding]], checked: int) -> None:
        self.failures = dict(failures)
        lines = [f"{name} breaks {len(failures)} of {checked} rules (seed={seed})"]
        for rule, findings in failures.items():
            lines += ["", f"{rule}", f"  because {rule.reason}"]
            for finding in findings[:_MOST_SHOWN]:
                lines += [f"  - where: {finding.where}", f"    what:  {finding.what}", f"    do:    {finding.remedy}"]
            if len(findings) > _MOST_SHOWN:
                lines.append(f"  - and {len(findings) - _MOST_SHOWN} more of the kind")
        super().__init__("\n".join(lines))

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers of the broken rules."""
        return tuple(rule.number for rule in self.failures)


class Bench:
    """One adapter's factory and examples, and fresh adapters in the states that rules want."""

    def __init__(self, factory: Callable[[], StreamAdapter], examples: Examples) -> None:
        self.factory = factory
        self.examples = examples
        self._planted: PlantedSecret | None = None

    @contextmanager
    def planting(self) -> Generator[None]:
        """Forget what was planted when the block ends: as long as it is masked, that costs time."""
        try:
            yield
        finally:
            if self._planted is not None:
                self._planted.forget()
                self._planted = None

    @property
    def planted(self) -> PlantedSecret:
        """What must not show: the credentials of adapters, unless there are examples of them."""
        if self._planted is None:
            self._planted = PlantedSecret()
        return self._planted

    @property
    def credentials(self) -> Credentials:
        """What adapters are to sign with."""
        return self.examples.credentials or self.planted.credentials

    def rng(self, name: str) -> random.Random:
        """Return a source of chance for one purpose."""
        return random.Random(f"{self.examples.seed}/{name}")  # noqa: S311  # repeatable, no secret

    def adapter(self, endpoint: str = "", *, credentials: bool | None = None) -> StreamAdapter:
        """Return a fresh adapter, as it is before it is used.

        Args:
            endpoint: The endpoint that its connection goes to.
            credentials: Whether it has any; ``None``: if there are private channels at the endpoint.
        """
        adapter = self.factory()
        adapter.endpoint_name = endpoint
        if credentials is None:
            credentials = any(channel.private for _, channel in self.named if channel.endpoint == endpoint)
        adapter.credentials = self.credentials if credentials else None
        adapter.now_ns = lambda: LOCAL_TIME
        return adapter

    def subscribed(self, endpoint: str = "", *, credentials: bool | None = None) -> StreamAdapter:
        """Return a fresh adapter that has asked for every channel of an endpoint; see `adapter`."""
        adapter = self.adapter(endpoint, credentials=credentials)
        for batch in self.batches(adapter, endpoint):
            adapter.subscribe_frame(1, batch)
        return adapter

    def batches(self, adapter: StreamAdapter, endpoint: str) -> Iterator[list[Channel]]:
        """Yield the channels of an endpoint, as many as one request may name."""
        channels = list({channel.key: channel for _, channel in self.named if channel.endpoint == endpoint}.values())
        size = max(1, adapter.limits.max_channels_per_request)
        for start in range(0, len(channels), size):
            yield channels[start : start + size]

    @cached_property
    def named(self) -> tuple[tuple[ChannelExample, Channel], ...]:
        """The examples that the adapter has a channel for; rule 10 reports the others."""
        named: list[tuple[ChannelExample, Channel]] = []
        for example in self.examples.channels:
            try:
                channel: Any = self.adapter(credentials=False).channel(example.topic, example.symbol, example.params)
            except Exception:  # noqa: BLE001, S112  # reported by the rule about naming
                continue
            if isinstance(channel, Channel):
                named.append((example, channel))
        return tuple(named)

    @cached_property
    def channels(self) -> dict[str, list[Channel]]:
        """The channels, by their keys; several views may share one."""
        channels: dict[str, list[Channel]] = {}
        for _, channel in self.named:
            channels.setdefault(channel.key, []).append(channel)
        return channels

    @cached_property
    def endpoints(self) -> tuple[str, ...]:
        """The endpoints of the channels."""
        endpoints = {channel.endpoint: None for _, channel in self.named}
        return tuple(endpoints) if endpoints else ("",)

    @cached_property
    def frames(self) -> tuple[tuple[Frame, str], ...]:
        """The frames of data, each with the endpoint that it comes by."""
        frames = [(frame, channel.endpoint) for example, channel in self.named for frame in example.frames]
        frames.extend((frame, self._endpoint_of(frame)) for frame in self.examples.frames)
        return tuple(frames)

    def _endpoint_of(self, frame: Frame) -> str:
        """Return the endpoint of a frame's channel, as far as the adapters know it."""
        for endpoint in self.endpoints:
            try:
                key, _ = self.subscribed(endpoint).decode_frame(frame, LOCAL_TIME)
            except Exception:  # noqa: BLE001, S112  # another endpoint's, or reported by the rules about decoding
                continue
            if key in self.channels:
                return self.channels[key][0].endpoint  # an adapter may understand another endpoint's frames, too
        return self.endpoints[0]

    def public_frames(self, endpoint: str) -> list[Frame]:
        """Return the frames of an endpoint; of a private one none: repeated account events may be left out."""
        if any(channel.private for _, channel in self.named if channel.endpoint == endpoint):
            return []
        return [frame for frame, end in self.frames if end == endpoint]

    def decoded(self) -> Iterator[tuple[Frame, Decoded]]:
        """Yield each frame of data that can be decoded, with what it says; rule 30 reports the others."""
        adapters: dict[str, StreamAdapter] = {}
        for frame, endpoint in self.frames:
            adapter = adapters.get(endpoint)
            if adapter is None:
                adapter = adapters[endpoint] = self.subscribed(endpoint)
            try:
                result: Any = adapter.decode_frame(frame, LOCAL_TIME)
                key, items = result
                yield frame, (key, tuple(items))
            except Exception:  # noqa: BLE001, S112
                continue


def encoded(frame: Frame) -> bytes:
    """Return a frame as bytes."""
    return frame.encode("utf-8", "replace") if isinstance(frame, str) else frame


def outcome(adapter: StreamAdapter, frame: Frame) -> tuple[object, ...] | str:
    """Return what comes of a frame, in a form that can be compared."""
    try:
        return comparable(adapter.decode_frame(frame, LOCAL_TIME))
    except Exception as error:  # noqa: BLE001 - part of what is compared
        return f"raised {type(error).__name__}"


def comparable(decoded: Decoded) -> tuple[object, ...] | str:
    """Return what `decode_frame` or a place in a batch says, in the same form."""
    key, items = decoded
    if len(items) == 1 and isinstance(items[0], Malformed):
        return f"raised {type(items[0].error).__name__}"
    return key, tuple(items)


def shown(value: object) -> str:
    """Return the beginning of a value's repr."""
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def raised(error: BaseException) -> str:
    """Say that something was raised."""
    kind = type(error).__name__
    text = error.detail if isinstance(error, BtApiError) else str(error)
    return f"raised {kind}: {text[:_LONGEST_SHOWN]}"


def check_rule(rule: Rule, bench: Bench) -> list[Finding]:
    """Return what breaks a rule. An exception that the rule did not expect is a finding, too."""
    findings: list[Finding] = []
    try:
        findings.extend(rule.check(bench))
    except Exception as error:  # noqa: BLE001 - whatever a faulty adapter raises
        findings.append(
            Finding(
                "while this was tried out", raised(error), "see to it that the methods of the contract do not raise"
            )
        )
    return findings


__all__ = (
    "CONTROLS",
    "LOCAL_TIME",
    "Bench",
    "ChannelExample",
    "ConformanceError",
    "Examples",
    "Finding",
    "Frame",
    "Rule",
    "check_rule",
    "comparable",
    "encoded",
    "outcome",
    "raised",
    "shown",
)
