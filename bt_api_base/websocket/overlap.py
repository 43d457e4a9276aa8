"""A channel that two connections carry for a while: which of the second one's events are new.

While both carry it, the first connection's events are delivered and the second one's are held. Then the second takes
over: what it holds, and what it still sends, is delivered without what the first has delivered already.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import anyio
import attrs
import msgspec

from bt_api_base.websocket.adapter import Continuity
from bt_api_base.websocket.continuity import Thread, position

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bt_api_base.containers import Event

__all__ = ("Overlap",)

_SETTLE = 5.0
"""For how many seconds after the take-over the second connection may still send what the first has delivered: as far
as venues' servers are apart from each other."""


def _content(event: Event) -> Event:
    """Return the event as the venue sent it, whenever it arrived."""
    return msgspec.structs.replace(event, local_time=0)


@attrs.define(eq=False)
class Overlap:
    """One channel, while two connections carry it.

    Attributes:
        thread: What has been delivered.
        before: The overlap that brought in the connection that delivers now, which may still repeat what the one
            before it delivered.
        ends: When the second connection stops repeating, in the event loop's time; ``None`` while the first delivers.
    """

    thread: Thread
    before: Overlap | None = None
    ends: float | None = None
    _delivered: Counter[Event] = attrs.field(factory=Counter["Event"], init=False)

    def take_over(self, held: Sequence[Event]) -> Sequence[Event]:
        """The second connection delivers from now on.

        Args:
            held: Its events so far.

        Returns:
            Those that come after the last one delivered, if that is among them; else all.
        """
        self.before = None
        self.ends = self.thread.overlapping_until = anyio.current_time() + _SETTLE
        beyond = self.beyond(held)
        if beyond is None:
            return held
        # It has come as far as the first connection, and repeats nothing any more: a step back is a new count.
        self.ends = self.thread.overlapping_until = anyio.current_time()
        self.thread.duplicates += len(held) - len(beyond)
        return beyond

    def beyond(self, held: Sequence[Event]) -> Sequence[Event] | None:
        """Return the events of a numbered channel after the last one delivered; ``None`` if that is not among them.

        It is looked for by what it says: numbers alone are no place, should the venue begin to count anew meanwhile.
        """
        last = self.thread.last_event
        if last is None or self.thread.channel.continuity is not Continuity.CONSECUTIVE:
            return None
        number, content = position(last).number, _content(last)
        for at, event in enumerate(held):
            if position(event).number == number and _content(event) == content:
                return held[at + 1 :]
        return None

    @property
    def is_over(self) -> bool:
        """Whether nothing is repeated any more."""
        return self.ends is not None and anyio.current_time() >= self.ends

    def new(self, items: Sequence[Event]) -> Sequence[Event]:
        """Return what is new in the items of the connection that delivers; ``items`` itself if all are."""
        continuity = self.thread.channel.continuity
        if self.ends is None:
            if continuity is Continuity.NONE:
                # Those that only repeat what an earlier connection delivered will come over the second one as well.
                self._delivered.update(map(_content, items))
            if self.before is not None:
                self.before = None if self.before.is_over else self.before
            return items if self.before is None else self.before.new(items)
        if continuity is Continuity.CONSECUTIVE:
            return items  # their numbers are checked in any case
        new = [event for event in items if not self._is_repeated(event, continuity)]
        self.thread.duplicates += len(items) - len(new)
        return items if len(new) == len(items) else new

    def _is_repeated(self, event: Event, continuity: Continuity) -> bool:
        if continuity is Continuity.INCREASING:
            last = self.thread.last_event
            return last is not None and position(event).number <= position(last).number
        content = _content(event)
        if not self._delivered[content]:
            return False
        self._delivered[content] -= 1
        return True

    def connects(self, held: Sequence[Event]) -> bool | None:
        """Tell whether the second connection's events connect to what was delivered without a hole.

        Returns:
            ``None`` if that cannot be told by the events.
        """
        last = self.thread.last_event
        if last is None or not held:
            return None
        continuity = self.thread.channel.continuity
        if continuity is Continuity.NONE:
            return True if self._delivered[_content(held[0])] else None
        follows, number = position(held[0])
        return (number if follows is None else follows) <= position(last).number or self.beyond(held) is not None
