"""Make before break: a new connection takes over from the one that carries the channels.

The new connection subscribes to everything while the old one still delivers; its events are held. It may take over
when the venue has confirmed every channel on it, when both have been open for a while and whatever the old one had
under way has arrived, when the new one has brought something of every channel that the old one has meanwhile, and when
the numbers of what is held connect to what was delivered. Then, in one step, what is held is delivered without what had
been delivered already, and the old connection is closed. Until that step the new connection can fail at no cost; and if
the old one ends first, the new one takes over as it is.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import anyio
import attrs

from bt_api_base.exceptions import WebSocketError
from bt_api_base.websocket.adapter import Continuity
from bt_api_base.websocket.channels import SubscriptionState
from bt_api_base.websocket.continuity import position

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bt_api_base.containers import Event
    from bt_api_base.websocket.channels import ChannelEntry, ChannelTable
    from bt_api_base.websocket.config import WebSocketConfig
    from bt_api_base.websocket.leg import Leg

__all__ = ("Rotation",)

_POLL = 0.02
"""Seconds between two looks at how far a rotation has got."""

_POLL_EACH = 1e-5
"""The same for each event that is held, as each look goes through them: about a twentieth of the time is spent so."""

_MOST_HELD = 200_000
"""Events that may be held of all channels together."""

_TRIM_FROM = 1_000
"""Held events of one channel from which on those are forgotten that were delivered."""


@attrs.define(eq=False)
class Rotation:
    """One attempt to replace a connection. See the module's docstring.

    Attributes:
        config: Time limits.
        table: The channels that are to be carried over.
        old: The connection that delivers.
        new: The one that is to take over.
    """

    config: WebSocketConfig
    table: ChannelTable
    old: Leg
    new: Leg
    _connected: set[str] = attrs.field(factory=set[str], init=False)
    _drained: set[str] = attrs.field(factory=set[str], init=False)
    _before: dict[str, Sequence[Event]] = attrs.field(factory=dict[str, "Sequence[Event]"], init=False)
    _unwatch: Callable[[], None] = attrs.field(default=lambda: None, init=False)

    async def prepare(self) -> None:
        """Wait until the new connection may take over, or the old one has ended.

        Raises:
            WebSocketError: The new connection failed, or did not get so far in time.

        Cancellation: `abandon` is up to the caller.
        """
        for entry in self.table:
            entry.begin_overlap()
        self._unwatch = self.table.watch(self._follow)
        try:
            with anyio.fail_after(self.config.rotation_timeout):
                await self._until(self._is_confirmed)
                await self._compare()
        except TimeoutError:
            raise WebSocketError(
                self.config.exchange_name,
                f"the new connection was not ready within {self.config.rotation_timeout:g} s",
            ) from None
        # If the numbers never connect, something is missing on the old connection or held back by it; what exactly is
        # told by a gap. Channels may be subscribed meanwhile, and have to be drained as well.
        with anyio.move_on_after(self.config.rotation_timeout):
            await self._drain()
            await self._until(lambda: self._connects() and self._is_confirmed() and not self._silent())
            while not (self.old.ended.is_set() or self._is_drained()):
                await self._drain()
        if self.new.ended.is_set():
            raise self.new.failure
        silent = self._silent()
        if silent and not self.old.ended.is_set():
            raise WebSocketError(
                self.config.exchange_name,
                f"the new connection is silent where the old one is not: {len(silent)} channels, {silent[0]!r} first",
            )

    def take_over(self) -> int:
        """Let the new connection deliver from now on; return how many events it had held."""
        self._end()
        session = self.new.session
        if session is None:
            raise AssertionError("take_over before the new connection was established")
        held, silent, events, now = session.held or {}, self._silent(), 0, time.time_ns()
        for entry in self.table:
            key = entry.channel.key
            items = held.pop(key, ())
            confirmed = session.subscriber.is_confirmed(key)
            if not confirmed:
                entry.suspend(now)
            drained = key in self._drained and key not in silent
            proven = confirmed and (drained or entry.connects(items) is True)
            events += entry.take_over(items, now, proven=proven)
        session.take_over()
        return events

    def abandon(self) -> None:
        """Let everything be as it was before."""
        self._end()
        for entry in self.table:
            entry.abandon_overlap()

    def _end(self) -> None:
        """Channels that come from now on are carried by one connection."""
        self._unwatch()
        self._unwatch = lambda: None

    def _follow(self, key: str) -> None:
        """A channel that is subscribed meanwhile is asked for on both connections; one that is given up, on none."""
        entry = self.table.entries.get(key)
        self._connected.discard(key)
        self._drained.discard(key)
        self._before.pop(key, None)
        if entry is not None:
            entry.begin_overlap()
        elif self.new.session is not None:
            # Should it be wanted again, this is from before.
            self.new.session.abandon_held(key)

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            if self.new.ended.is_set():
                raise self.new.failure
            if self.old.ended.is_set():
                return
            session = self.new.session
            await anyio.sleep(max(_POLL, _POLL_EACH * (0 if session is None else session.held_events)))

    async def _compare(self) -> None:
        """Let both connections be open for a while, and note from where on they are sent the same."""
        with anyio.move_on_after(self.config.rotation_overlap):
            keys = await self._flush()
            self._before = {key: self.table.entries[key].route.last for key in keys if key in self.table.entries}
            await self.old.ended.wait()

    def _silent(self) -> list[str]:
        """Return the channels that the old connection has been heard of since, and the new one has not at all."""
        held = None if self.new.session is None else self.new.session.held
        if held is None:
            return []
        entries = self.table.entries
        return [
            key
            for key, last in self._before.items()
            if key not in held and key in entries and entries[key].route.last is not last
        ]

    def _is_confirmed(self) -> bool:
        session = self.new.session
        if session is None:
            return False
        self._trim()
        is_confirmed = session.subscriber.is_confirmed
        return all(is_confirmed(e.channel.key) for e in self.table if e.state is SubscriptionState.ACTIVE)

    async def _drain(self) -> None:
        """Wait until the old connection has sent all that the new one is not sent as well.

        Nothing can be lost of these channels any more, whatever becomes of the old connection.
        """
        self._drained = await self._flush() or self._drained

    async def _flush(self) -> set[str]:
        """Wait until everything has arrived that the old connection was sent before now: answers come in order.

        Returns:
            The channels that had been confirmed on the new connection by now: what the venue sends after now comes over
            it as well. None where the old connection does not answer.
        """
        old, new = self.old.session, self.new.session
        if old is None or new is None:
            return set()
        is_confirmed = new.subscriber.is_confirmed
        confirmed = {key: entry for key, entry in self.table.entries.items() if key is not None and is_confirmed(key)}
        with anyio.move_on_after(self.config.heartbeat_timeout):
            try:
                await old.ws.ping()
            except (WebSocketError, anyio.BrokenResourceError, anyio.ClosedResourceError):
                await self.old.ended.wait()  # its own task finds that as well
            else:
                # What was given up and is wanted again began after now.
                return {key for key, entry in confirmed.items() if self.table.entries.get(key) is entry}
        return set()

    def _is_drained(self) -> bool:
        return all(e.channel.key in self._drained for e in self.table if e.state is SubscriptionState.ACTIVE)

    def _connects(self) -> bool:
        """Whether no channel's numbers show that the old connection has yet to deliver something."""
        session = self.new.session
        if session is None or session.held is None:
            return True
        self._trim()
        for entry in self.table:
            key = entry.channel.key
            if entry.channel.continuity is not Continuity.CONSECUTIVE or key in self._connected:
                continue
            if entry.connects(session.held.get(key, ())) is False:
                return False
            self._connected.add(key)
        return True

    def _trim(self) -> None:
        """Forget held events that were delivered already, where they are many.

        Raises:
            WebSocketError: There are too many nevertheless.
        """
        session = self.new.session
        if session is None or session.held is None or session.held_events < _TRIM_FROM:
            return
        for entry in self.table:
            held = session.held.get(entry.channel.key, [])
            if len(held) >= _TRIM_FROM and entry.connects(held):
                self._connected.add(entry.channel.key)
                session.held[entry.channel.key] = beyond = _beyond(entry, held)
                entry.duplicates += len(held) - len(beyond)
        session.held_events = sum(map(len, session.held.values()))
        if session.held_events > _MOST_HELD:
            raise WebSocketError(
                self.config.exchange_name, f"the old connection fell behind the new one by {_MOST_HELD} events"
            )


def _beyond(entry: ChannelEntry, held: Sequence[Event]) -> list[Event]:
    """Return the last event delivered, if it is among them, and those beyond it."""
    last = entry.last_event
    if last is None or entry.channel.continuity is Continuity.NONE:
        return list(held)
    beyond = entry.beyond(held)
    if beyond is not None:
        return list(held[len(held) - len(beyond) - 1 :])
    return [event for event in held if position(event).number > position(last).number]
