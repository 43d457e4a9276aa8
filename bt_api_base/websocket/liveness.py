"""Subscriptions that the venue has confirmed and then forgotten, as opposed to markets that are quiet.

Three clocks watch a connection. Pings and pongs show that the socket is alive. Application frames show that the venue's
application is (`Session` watches both). This module is the third: a subscription that has been silent for longer than
it should is suspected, and what is done about it escalates with every further spell of silence: the venue is asked
whether it knows the subscription (``probe``), it is subscribed again (``resubscribe``), the connection is replaced
without a break (``rotate``), and then it is reported and left alone (``report``).

How long is too long is given (``quiet_after`` of the settings or of the channel, as the venue documents its pace), or
learned from the subscription's own pace. A learned limit is a guess, and quiet markets are ordinary: it never costs a
connection. Silence is measured at the socket, so slow consumers have no part in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast

import anyio
import attrs

from bt_api_base.websocket import events
from bt_api_base.websocket.adapter import Ack
from bt_api_base.websocket.channels import SubscriptionState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bt_api_base.containers import Event
    from bt_api_base.websocket.channels import ChannelEntry, ChannelTable
    from bt_api_base.websocket.config import WebSocketConfig
    from bt_api_base.websocket.session import Session

__all__ = ("Pace", "SilenceWatch", "WatchedConnection")

_SWEEP = 1.0
"""Seconds between two looks at all subscriptions, and so the resolution of what is measured here."""

_LEAST_LEARNED = 30.0
"""Seconds below which no learned limit goes."""

_LEARNED_FACTOR = 10.0
"""How many times the longest silence so far is suspicious."""

_LEARNED_AFTER = 20
"""Spells of silence after which a subscription's pace is known."""

_ROTATE_EVERY = 600.0
"""Seconds between two rotations for the sake of silent subscriptions."""

_GIVEN = ("probe", "resubscribe", "rotate", "report")
_LEARNED = ("probe", "resubscribe", "report")

_RESUBSCRIBED = 2
"""Step of both after which a silence that ends may have ended because of it."""


class WatchedConnection(Protocol):
    """What is watched, and what can be done about it."""

    @property
    def config(self) -> WebSocketConfig:
        """Limits by topic."""
        ...

    @property
    def channels(self) -> ChannelTable:
        """The subscriptions."""
        ...

    @property
    def session(self) -> Session | None:
        """The connection that delivers, if there is one."""

    def request_rotation(self, reason: str) -> None:
        """Have the connection replaced, make before break."""

    def emit(self, event_type: type[events.ConnectionEvent], **fields: object) -> None:
        """Put an event of the connection on the bus."""


@attrs.define(eq=False)
class Pace:
    """One subscription's silence.

    Attributes:
        heard_at: When it was last heard, or confirmed, in the event loop's time.
        longest: Longest silence so far that ended by itself, seconds.
        spells: How many there were.
        step: How far the escalation has got.
        act_at: When its next step is due.
    """

    session: Session
    heard: Sequence[Event]
    heard_at: float
    longest: float = 0.0
    spells: int = 0
    step: int = 0
    act_at: float = 0.0

    def note(self, heard: Sequence[Event], now: float) -> None:
        """The subscription was heard since the last look."""
        if self.step != _RESUBSCRIBED:
            self.longest = max(self.longest, now - self.heard_at)
        self.spells += 1
        self.heard, self.heard_at, self.step = heard, now, 0

    @property
    def learned_limit(self) -> float | None:
        """The silence that is suspicious by the subscription's own pace; ``None`` while it is not known."""
        return max(_LEAST_LEARNED, _LEARNED_FACTOR * self.longest) if self.spells >= _LEARNED_AFTER else None


@attrs.define(eq=False)
class SilenceWatch:
    """Watches the subscriptions of one connection. See the module's docstring."""

    connection: WatchedConnection
    _paces: dict[str, Pace] = attrs.field(factory=dict[str, Pace], init=False)
    _rotated_at: float = attrs.field(default=-_ROTATE_EVERY, init=False)

    async def run(self) -> None:
        """Look at all subscriptions every second, until cancelled.

        Cancellation: ends it.
        """
        while True:
            await anyio.sleep(_SWEEP)
            session = self.connection.session
            if session is not None:
                self._sweep(session, anyio.current_time())

    def _sweep(self, session: Session, now: float) -> None:
        suspects: dict[str, list[ChannelEntry]] = {}
        entries = self.connection.channels.entries
        for entry in entries.values():
            if entry.state is not SubscriptionState.ACTIVE:
                continue
            key, heard = entry.channel.key, entry.route.last
            pace = self._paces.get(key)
            if pace is None:
                self._paces[key] = Pace(session, heard, now)
            elif pace.session is not session:
                # On a new connection the clock starts anew; an escalation goes on where it was.
                pace.session, pace.heard_at = session, now if not pace.step else pace.heard_at
            elif heard is not pace.heard:
                pace.note(heard, now)
            else:
                action = self._due(entry, pace, now)
                if action:
                    suspects.setdefault(action, []).append(entry)
        if len(self._paces) > len(entries):
            self._paces = {key: pace for key, pace in self._paces.items() if key in entries}
        for action, suspected in suspects.items():
            self._act(action, suspected, session)

    def _due(self, entry: ChannelEntry, pace: Pace, now: float) -> str:
        """Return what is to be done about a silent subscription now, if anything."""
        given = self.connection.config.quiet_after.get(entry.channel.topic, entry.channel.quiet_after)
        limit = pace.learned_limit if given is None else given
        silence = now - pace.heard_at
        actions = _LEARNED if given is None else _GIVEN
        if not limit or silence < limit or pace.step >= len(actions) or (pace.step and now < pace.act_at):
            return ""
        action = actions[pace.step]
        if action == "rotate":
            if 0 < now - self._rotated_at < _ROTATE_EVERY:  # all that are silent at this moment are treated together
                action = "report"
                pace.step += 1
            else:
                self._rotated_at = now
        pace.step += 1
        pace.act_at = now + limit / 2
        self.connection.emit(
            events.Quiet,
            topic=entry.channel.topic,
            symbol=entry.channel.symbol,
            silence=silence,
            limit=limit,
            learned=given is None,
            action=action,
        )
        return action

    def _act(self, action: str, suspects: Sequence[ChannelEntry], session: Session) -> None:
        if action == "probe":
            session.start(self._probe, session, suspects)
        elif action == "resubscribe":
            session.start(self._resubscribe, session, suspects)
        elif action == "rotate":
            self.connection.request_rotation(f"{len(suspects)} subscriptions are silent")

    async def _probe(self, session: Session, suspects: Sequence[ChannelEntry]) -> None:
        """Ask the venue once for all; what it says it does not know is subscribed again at once."""
        answer = await session.subscriber.probe(suspects[0].channel)
        result: object = None if not isinstance(answer, Ack) else answer.result
        if not isinstance(result, list):
            return
        known = cast("list[object]", result)
        for entry in suspects:
            pace = self._paces.get(entry.channel.key)
            if pace is not None and entry.channel.key not in known:
                pace.act_at = 0.0

    async def _resubscribe(self, session: Session, suspects: Sequence[ChannelEntry]) -> None:
        for entry in suspects:
            # The silence may have been a loss, which only numbers could tell.
            entry.interrupt(session.opened_time)
        await session.subscriber.subscribe_again([entry.channel for entry in suspects])
