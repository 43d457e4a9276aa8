"""What goes wrong with the events of a stream: some are never sent, some twice, some too late.

`StreamFaults` holds what is armed for one stream and decides, event by event; it sends nothing itself. What is random
follows from the seed and the stream's name only, so that the same events meet the same faults however many other
streams there are.
"""

from __future__ import annotations

import enum
import random
from collections import deque
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Container


class Fate(enum.Enum):
    """What becomes of an event."""

    SENT = "sent"
    """It is sent, as it should be."""
    WITHHELD = "withheld"
    """It is never sent."""
    REPEATED = "repeated"
    """It is sent twice."""
    DISPLACED = "displaced"
    """It is sent after events that happened later."""


@attrs.define(eq=False)
class _Armed:
    """A fault for the next events."""

    fate: Fate
    left: int
    """How many events."""
    distance: int = 0
    """How many later events are sent first."""
    connection: int | None = None
    """Number of the only connection that it is for."""


@attrs.define(eq=False)
class _Mute:
    until: float
    connection: int | None


@attrs.define(eq=False)
class StreamNoise:
    """How often events meet a fault at random; each a probability."""

    skip: float = 0.0
    repeat: float = 0.0
    reorder: float = 0.0

    def __attrs_post_init__(self) -> None:
        if min(self.skip, self.repeat, self.reorder) < 0 or self.skip + self.repeat + self.reorder > 1:
            raise ValueError("skip, repeat and reorder are probabilities, and all of them together at most 1")


@attrs.frozen
class Verdict:
    """What is to be done with an event.

    Attributes:
        fate: What becomes of it.
        connection: Number of the only connection that it is for; all others get the event as they should. None for
            all.
        distance: For a displaced event, how many later ones are sent before it.
    """

    fate: Fate
    connection: int | None = None
    distance: int = 0


_SENT = Verdict(Fate.SENT)


@attrs.define(eq=False)
class StreamFaults:
    """The faults of one stream.

    Args:
        stream: The stream's name.
        seed: What those at random follow from.
    """

    stream: str
    seed: int
    noise: StreamNoise | None = None
    """Faults at random, for events that no other fault is armed for."""
    _armed: deque[_Armed] = attrs.field(factory=deque[_Armed])
    _mutes: list[_Mute] = attrs.field(factory=list[_Mute])
    _random: random.Random = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._random = random.Random(f"{self.seed}/faults/{self.stream}")  # noqa: S311  # repeatable, no secret

    @property
    def is_idle(self) -> bool:
        """Whether nothing is armed: then there is no need to ask."""
        return not (self._armed or self._mutes or self.noise)

    def arm(self, fate: Fate, count: int, *, distance: int = 0, connection: int | None = None) -> None:
        """Arm a fault for the next events, after those armed before.

        Args:
            fate: What becomes of them.
            count: How many events.
            distance: For displaced events, how many later ones are sent first.
            connection: Number of the only connection that it is for; None for all.
        """
        if count > 0:
            self._armed.append(_Armed(fate, count, distance, connection))

    def mute(self, until: float, connection: int | None) -> None:
        """Withhold every event.

        Args:
            until: To when, on the event loop's clock.
            connection: Number of the only connection that it is for; None for all.
        """
        self._mutes = [mute for mute in self._mutes if mute.connection != connection]
        self._mutes.append(_Mute(until, connection))

    def unmute(self) -> None:
        """Withhold no more."""
        self._mutes.clear()

    def is_muted(self, now: float, connection: int) -> bool:
        """Tell whether a connection gets nothing of the stream.

        Args:
            now: The time on the event loop's clock.
            connection: The connection's number.
        """
        if self._mutes:
            self._mutes = [mute for mute in self._mutes if mute.until > now]
        return any(mute.connection in {None, connection} for mute in self._mutes)

    def judge(self, listeners: Container[int], *, may_displace: bool = True) -> Verdict:
        """Decide about the next event; mutes are asked about apart.

        Args:
            listeners: Numbers of the connections that would get it.
            may_displace: Whether it may be sent later; not while another event waits for one to be sent before it.
        """
        for armed in self._armed:
            if armed.fate is Fate.DISPLACED and not may_displace:
                continue
            if armed.connection is None or armed.connection in listeners:
                armed.left -= 1
                if not armed.left:
                    self._armed.remove(armed)
                return Verdict(armed.fate, armed.connection, armed.distance)
        verdict = self._random_verdict()
        return _SENT if verdict.fate is Fate.DISPLACED and not may_displace else verdict

    def _random_verdict(self) -> Verdict:
        noise = self.noise
        if noise is None:
            return _SENT
        draw = self._random.random()
        if draw < noise.skip:
            return Verdict(Fate.WITHHELD)
        if draw < noise.skip + noise.repeat:
            return Verdict(Fate.REPEATED)
        if draw < noise.skip + noise.repeat + noise.reorder:
            return Verdict(Fate.DISPLACED, distance=self._random.randrange(1, 4))
        return _SENT


__all__ = ("Fate", "StreamFaults", "StreamNoise", "Verdict")
