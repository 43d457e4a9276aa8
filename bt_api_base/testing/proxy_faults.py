"""What a `bt_api_base.testing.FaultyProxy` can be told to do to the connections that go through it, and when.

Faults are data: a test builds them, prints them, and gives them to `FaultyProxy.apply` or, with a moment, to a script::

    script = [
        Step(After(seconds=1.0), Reset()),
        Step(After(frames=500), Drop(3)),
        Step(After(connections=2), Refuse(seconds=0.5)),
    ]
"""

from __future__ import annotations

import enum
import math
import random
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Direction(enum.Flag):
    """Which way bytes go."""

    TO_CLIENT = enum.auto()
    """From the server to the client."""
    TO_SERVER = enum.auto()
    """From the client to the server."""
    BOTH = TO_CLIENT | TO_SERVER
    """Both ways."""

    def __str__(self) -> str:
        return {1: "to client", 2: "to server"}.get(self.value, "both ways")


def _not_negative(_instance: object, attribute: attrs.Attribute[Any], value: float | None) -> None:
    if value is not None and not 0 <= value < math.inf:
        raise ValueError(f"{attribute.name} is {value}, must be finite and not negative")


def _positive(_instance: object, attribute: attrs.Attribute[Any], value: float | None) -> None:
    if value is not None and not 0 < value < math.inf:
        raise ValueError(f"{attribute.name} is {value}, must be finite and more than zero")


def _probability(_instance: object, attribute: attrs.Attribute[Any], value: float) -> None:
    if not 0 < value <= 1:
        raise ValueError(f"{attribute.name} is {value}, must be a probability above 0")


def _count(_instance: object, attribute: attrs.Attribute[Any], value: int | None) -> None:
    if value is not None and value < 1:
        raise ValueError(f"{attribute.name} is {value}, must be at least 1")


# -- whole connections -----------------------------------------------------------------------------


@attrs.frozen
class Refuse:
    """Refuse connections, as a machine on which nobody listens does. Those there are go on.

    Attributes:
        seconds: For how long; None until `Accept`.
    """

    seconds: float | None = attrs.field(default=None, validator=_not_negative)


@attrs.frozen
class Accept:
    """Accept connections again."""


@attrs.frozen
class AcceptThenClose:
    """Accept the next connections and close each at once, without a byte, as an overloaded load balancer does.

    Attributes:
        connections: How many; None for all from now on, until `Accept`.
    """

    connections: int | None = attrs.field(default=1, validator=_count)


@attrs.frozen
class Reset:
    """Reset the connections there are, on both sides: what is in flight is lost.

    Attributes:
        connection: Number of the only connection that it is for; None for all.
    """

    connection: int | None = attrs.field(default=None, kw_only=True)


@attrs.frozen
class HalfClose:
    """End one way of the connections there are, after what is in flight. The other way goes on.

    Attributes:
        direction: Which way.
        connection: As for `Reset`.
    """

    direction: Direction = Direction.TO_CLIENT
    connection: int | None = attrs.field(default=None, kw_only=True)


# -- time ------------------------------------------------------------------------------------------


@attrs.frozen
class Stall:
    """Let nothing through, and keep connections open. What waits comes afterwards, in order.

    Attributes:
        seconds: For how long, from now.
        direction: Which way.
        connection: As for `Reset`; None holds for new connections as well.
    """

    seconds: float = attrs.field(validator=_not_negative)
    direction: Direction = Direction.BOTH
    connection: int | None = attrs.field(default=None, kw_only=True)


@attrs.frozen
class Throttle:
    """Let through so many bytes a second on each connection.

    Attributes:
        bytes_per_second: How many; None for no limit any more.
        direction: Which way.
        connection: As for `Stall`.
    """

    bytes_per_second: float | None = attrs.field(validator=_positive)
    direction: Direction = Direction.BOTH
    connection: int | None = attrs.field(default=None, kw_only=True)


@attrs.frozen
class Delay:
    """Let everything arrive later, in order and without slowing it down, as a long line does.

    Attributes:
        seconds: How much later; 0 for no delay any more.
        direction: Which way.
        jitter: Up to how many seconds more, at random.
        connection: As for `Stall`.
    """

    seconds: float = attrs.field(validator=_not_negative)
    direction: Direction = Direction.BOTH
    jitter: float = attrs.field(default=0.0, validator=_not_negative)
    connection: int | None = attrs.field(default=None, kw_only=True)


# -- frames ----------------------------------------------------------------------------------------


@attrs.frozen
class Drop:
    """Drop data frames. What is left is a well-formed WebSocket, with a hole.

    Attributes:
        frames: How many; None for no end.
        chance: How likely each data frame is to be one of them.
        direction: Which way.
        connection: Number of the only connection that it is for; None for whichever a frame comes by.
    """

    frames: int | None = attrs.field(default=1, validator=_count)
    chance: float = attrs.field(default=1.0, validator=_probability)
    direction: Direction = Direction.TO_CLIENT
    connection: int | None = attrs.field(default=None, kw_only=True)


@attrs.frozen
class Duplicate:
    """Send data frames twice, one right after the other.

    Attributes:
        frames: As for `Drop`.
        chance: As for `Drop`.
        direction: Which way.
        connection: As for `Drop`.
    """

    frames: int | None = attrs.field(default=1, validator=_count)
    chance: float = attrs.field(default=1.0, validator=_probability)
    direction: Direction = Direction.TO_CLIENT
    connection: int | None = attrs.field(default=None, kw_only=True)


@attrs.frozen
class Reorder:
    """Send data frames after later ones.

    Attributes:
        frames: As for `Drop`.
        distance: How many later data frames go first. Where fewer come, it is sent after ``patience``, and always
            before a close frame or the end.
        patience: Seconds.
        chance: As for `Drop`.
        direction: Which way.
        connection: As for `Drop`.
    """

    frames: int | None = attrs.field(default=1, validator=_count)
    distance: int = attrs.field(default=1, validator=_count)
    patience: float = attrs.field(default=0.5, validator=_not_negative)
    chance: float = attrs.field(default=1.0, validator=_probability)
    direction: Direction = Direction.TO_CLIENT
    connection: int | None = attrs.field(default=None, kw_only=True)


# -- bytes -----------------------------------------------------------------------------------------


@attrs.frozen
class Corrupt:
    """Flip a bit in each of some bytes.

    Attributes:
        count: In how many.
        span_bytes: Each is one of this many that come next, at random.
        payload: Whether only bytes of data frames' payloads count, so that what arrives is a well-formed WebSocket
            with damaged messages. Otherwise any byte does, the handshake's and the frames' heads included.
        direction: Which way.
        connection: As for `Drop`.
    """

    count: int = attrs.field(default=1, validator=_count)
    span_bytes: int = attrs.field(default=256, validator=_count)
    payload: bool = True
    direction: Direction = Direction.TO_CLIENT
    connection: int | None = attrs.field(default=None, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if self.count > self.span_bytes:
            raise ValueError(f"cannot choose {self.count} of {self.span_bytes} bytes")


@attrs.frozen
class CutFrame:
    """Let only the beginning of the next data frame through, and nothing after it.

    Attributes:
        keep_bytes: How many bytes of the frame, its head included; None for a number at random.
        reset: Whether the connection is reset; else this way ends as if all had been said.
        direction: Which way.
        connection: As for `Drop`.
    """

    keep_bytes: int | None = attrs.field(default=None, validator=_not_negative)
    reset: bool = True
    direction: Direction = Direction.TO_CLIENT
    connection: int | None = attrs.field(default=None, kw_only=True)


FrameFault: TypeAlias = Drop | Duplicate | Reorder | CutFrame
"""A fault that waits for data frames."""

Fault: TypeAlias = (
    Accept
    | AcceptThenClose
    | Corrupt
    | CutFrame
    | Delay
    | Drop
    | Duplicate
    | HalfClose
    | Refuse
    | Reorder
    | Reset
    | Stall
    | Throttle
)
"""Anything that can be done to connections."""


# -- when ------------------------------------------------------------------------------------------


@attrs.frozen
class After:
    """A moment in the life of a proxy: exactly one of these, counted from its start.

    Attributes:
        seconds: So many seconds.
        bytes: So many bytes in ``direction``, over all connections. The fault is there for the byte that follows.
        frames: So many data frames in ``direction``, over all connections, likewise.
        connections: So many connections accepted. The fault is there for the last of them already.
        direction: Of bytes and frames: one way.
    """

    seconds: float | None = attrs.field(default=None, kw_only=True, validator=_not_negative)
    bytes: int | None = attrs.field(default=None, kw_only=True, validator=_not_negative)
    frames: int | None = attrs.field(default=None, kw_only=True, validator=_not_negative)
    connections: int | None = attrs.field(default=None, kw_only=True, validator=_not_negative)
    direction: Direction = attrs.field(default=Direction.TO_CLIENT, kw_only=True)

    def __attrs_post_init__(self) -> None:
        given = [value for value in (self.seconds, self.bytes, self.frames, self.connections) if value is not None]
        if len(given) != 1:
            raise ValueError("give exactly one of seconds, bytes, frames and connections")
        if self.direction is Direction.BOTH:
            raise ValueError("bytes and frames are counted one way: give TO_CLIENT or TO_SERVER")


@attrs.frozen
class Step:
    """One line of a script.

    Attributes:
        when: The moment.
        fault: What happens then.
    """

    when: After
    fault: Fault


# -- what happened ---------------------------------------------------------------------------------

ProxyEventKind: TypeAlias = Literal[
    "accepted",
    "accepting",
    "refusing",
    "accept-then-close",
    "upstream-failed",
    "closed",
    "reset",
    "half-closed",
    "stalled",
    "throttled",
    "delayed",
    "dropped",
    "duplicated",
    "reordered",
    "corrupted",
    "cut",
]
"""What a line of a proxy's log is about."""


@attrs.frozen
class ProxyEvent:
    """Something a proxy did.

    Attributes:
        kind: What.
        seconds: When: seconds since the proxy's start.
        connection: Number of the connection, from 1; 0 if it is no connection's.
        direction: Which way; None for a whole connection.
        frame: The data frame that it happened to, counted from 0 on its connection and way; None for no frame.
        payload: That frame's payload as its sender sent it, unmasked.
        detail: More, for people.
    """

    kind: ProxyEventKind
    seconds: float
    connection: int = 0
    direction: Direction | None = None
    frame: int | None = None
    payload: bytes = attrs.field(default=b"", repr=False)
    detail: str = ""


_RANDOM_FAULTS: tuple[Callable[[random.Random], Fault], ...] = (
    lambda _: Reset(),
    lambda _: HalfClose(),
    lambda rng: Stall(rng.uniform(0.01, 0.2), rng.choice((Direction.TO_CLIENT, Direction.BOTH))),
    lambda rng: Refuse(rng.uniform(0.01, 0.2)),
    lambda rng: AcceptThenClose(rng.randint(1, 3)),
    lambda rng: Delay(rng.uniform(0.0, 0.05), Direction.BOTH, rng.uniform(0.0, 0.02)),
    lambda rng: CutFrame(reset=rng.random() < 0.5),
    lambda rng: Drop(rng.randint(1, 5)),
    lambda rng: Duplicate(rng.randint(1, 5)),
    lambda rng: Reorder(rng.randint(1, 3), rng.randint(1, 3), 0.05),
    lambda rng: Corrupt(rng.randint(1, 3)),
)


def random_script(seed: int, *, seconds: float, faults: int) -> Sequence[Step]:
    """Make up a script: the same for the same arguments.

    Args:
        seed: What it follows from.
        seconds: Over how many seconds the faults are spread.
        faults: How many.

    Returns:
        The steps, in order. A throttle is not among them: it would decide how long a test takes.
    """
    rng = random.Random(f"{seed}/script")  # noqa: S311  # repeatable, no secret
    moments = sorted(rng.uniform(0, seconds) for _ in range(faults))
    return tuple(Step(After(seconds=moment), rng.choice(_RANDOM_FAULTS)(rng)) for moment in moments)


__all__ = (
    "Accept",
    "AcceptThenClose",
    "After",
    "Corrupt",
    "CutFrame",
    "Delay",
    "Direction",
    "Drop",
    "Duplicate",
    "Fault",
    "FrameFault",
    "HalfClose",
    "ProxyEvent",
    "ProxyEventKind",
    "Refuse",
    "Reorder",
    "Reset",
    "Stall",
    "Step",
    "Throttle",
    "random_script",
)
