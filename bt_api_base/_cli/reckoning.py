"""Was everything shown that happened? What a view got, event by event, against what happened at the venue.

Every event that happened must have been shown once, in order, or be missing where a gap says so: nothing may be lost in
silence, and nothing may come twice, over however many connections it came.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Any

import attrs
from rich import box
from rich.table import Column, Table
from rich.text import Text

from bt_api_base._cli.tally import event_id
from bt_api_base.containers import Gap, event_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from bt_api_base.containers import Event
    from bt_api_base.websocket.adapter import Channel

__all__ = ("Reckoning", "StreamReckoning")


@attrs.define(eq=False)
class StreamReckoning:
    """One stream. Its events have numbers that grow.

    Attributes:
        stream: The venue's name of it.
        seen: Events and gaps noted, compared or not.
        shown: Events shown.
        gaps: Gaps told.
        lost: Events that happened and were not shown, where a gap was told.
        untold: The same, where none was.
        problems: What was shown that should not have been, and what is missing untold, in words.
    """

    stream: str
    seen: int = 0
    shown: int = 0
    gaps: int = 0
    lost: int = 0
    untold: int = 0
    problems: list[str] = attrs.field(factory=list[str])
    _happened: deque[int] = attrs.field(factory=deque[int], init=False, repr=False)
    _uncompared: deque[int | None] = attrs.field(factory=deque["int | None"], init=False, repr=False)
    _told: bool = attrs.field(default=False, init=False)

    def see(self, number: int | None) -> None:
        """Take note that an event was shown; ``None``: that a gap was told."""
        self._uncompared.append(number)
        self.seen += 1

    def compare(self, happened: Iterable[int], *, final: bool = False) -> None:
        """Compare what was shown since the last time, and forget it.

        Args:
            happened: Numbers of the events that happened since the last time.
            final: Whether nothing more will be shown.
        """
        self._happened.extend(happened)
        while self._uncompared:
            number = self._uncompared.popleft()
            if number is None:
                self.gaps += 1
                self._told = True
                continue
            self._miss(number)
            if self._happened and self._happened[0] == number:
                self._happened.popleft()
                self.shown += 1
            else:
                self.problems.append(
                    f"{self.stream}: {number} was shown and had not happened, or had been shown before"
                )
            self._told = False
        if final:
            self._miss(math.inf)

    def _miss(self, before: float) -> None:
        """Count what happened before the next event that was shown. Before the very first, nothing is missing."""
        missing: list[int] = []
        while self._happened and self._happened[0] < before:
            missing.append(self._happened.popleft())
        if not missing or not self.shown:
            return
        if self._told:
            self.lost += len(missing)
        else:
            self.untold += len(missing)
            self.problems.append(f"{self.stream}: {len(missing)} from {missing[0]} on are missing, and no gap was told")


class Reckoning:
    """All streams of a venue.

    Args:
        channels: The channels, each of one kind of event.
    """

    def __init__(self, channels: Sequence[Channel]) -> None:
        self.streams = {channel.key: StreamReckoning(channel.key) for channel in channels}
        """By the venue's name."""
        self._by_topic = {(channel.topic, channel.symbol): self.streams[channel.key] for channel in channels}
        self._by_name = {channel.event_name: self.streams[channel.key] for channel in channels}
        self._by_type: dict[tuple[type, str], StreamReckoning] = {}

    def observe(self, events: Sequence[Event]) -> None:
        """Take note of what was shown, gaps included."""
        for event in events:
            if type(event) is Gap:
                self._by_topic[event.topic, event.symbol].see(None)
                continue
            kind = type(event), event.symbol
            stream = self._by_type.get(kind)
            if stream is None:
                stream = self._by_type[kind] = self._by_name[event_name(event)]
            stream.see(event_id(event))

    def compare(self, happened: Callable[[str], Iterable[int]], *, final: bool = False) -> None:
        """Compare what there is to compare, and forget it.

        Args:
            happened: Returns the numbers of the events of a stream that happened since it was asked the last time.
            final: Whether nothing more will be shown.
        """
        for name, stream in self.streams.items():
            stream.compare(happened(name), final=final)

    def _sum(self, name: str) -> int:
        return sum(getattr(stream, name) for stream in self.streams.values())

    @property
    def shown(self) -> int:
        """Events shown."""
        return self._sum("shown")

    @property
    def lost(self) -> int:
        """Events that happened and were not shown, where a gap was told."""
        return self._sum("lost")

    @property
    def untold(self) -> int:
        """The same, where none was."""
        return self._sum("untold")

    @property
    def gaps(self) -> int:
        """Gaps told."""
        return self._sum("gaps")

    @property
    def problems(self) -> list[str]:
        """What does not agree, in words."""
        return [problem for stream in self.streams.values() for problem in stream.problems]

    def table(self) -> Table:
        """Draw it, a row per stream."""
        table = Table(
            "stream",
            *(Column(name, justify="right") for name in ("happened", "shown", "lost", "gaps told")),
            box=box.SIMPLE_HEAD,
            pad_edge=False,
            padding=(0, 1),
            title="happened and shown",
            title_justify="left",
            title_style="bold",
        )
        for name, stream in sorted(self.streams.items()):
            lost = stream.lost + stream.untold
            cells: list[Any] = [f"{stream.shown + lost:,}", f"{stream.shown:,}"]
            cells += [_count(lost, "bold red" if stream.untold else "yellow"), _count(stream.gaps, "yellow")]
            table.add_row(name, *cells)
        return table


def _count(number: int, style: str) -> Text:
    return Text(f"{number:,}", style=style if number else "dim")
