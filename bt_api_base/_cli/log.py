"""What happened to the connections, as short lines in words."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Literal

import attrs

from bt_api_base.websocket import events

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ("EventLog", "LogEntry", "Severity", "describe")

Severity = Literal["good", "info", "warning", "error"]

_KEPT = 200

_SEVERITIES: dict[type[events.ConnectionEvent], Severity] = {
    events.Connected: "good",
    events.Resubscribed: "good",
    events.Authenticated: "good",
    events.Rotated: "good",
    events.RotationFailed: "warning",
    events.Quiet: "warning",
    events.Moved: "warning",
    events.Disconnected: "error",
    events.Failed: "error",
    events.Reconnecting: "warning",
    events.Stale: "warning",
    events.BadFrame: "warning",
    events.VenueNotice: "warning",
}


@attrs.define(eq=False)
class LogEntry:
    """One line.

    Attributes:
        number: Its place among all lines ever noted, from 1.
        time_ns: When, nanoseconds since the epoch (UTC).
        severity: How bad it is.
        name: The event's name on the bus, or a word of the command's own.
        text: What happened.
        count: How often in a row.
    """

    number: int
    time_ns: int
    severity: Severity
    name: str
    text: str
    count: int = 1


@attrs.define(eq=False)
class EventLog:
    """The latest lines. Bad frames in a row share one, so that a flood of them hides nothing else.

    Attributes:
        entries: The lines, oldest first.
        total: Lines ever noted.
    """

    entries: deque[LogEntry] = attrs.field(factory=lambda: deque(maxlen=_KEPT))
    total: int = 0

    def note(self, event: events.ConnectionEvent) -> None:
        """Add a line about a connection."""
        name = events.NAMES.get(type(event), type(event).__name__)
        last = self.entries[-1] if self.entries else None
        if isinstance(event, events.BadFrame) and last is not None and last.name == name:
            last.count += 1
            return
        self.add(event.local_time, *describe(event), name=name)

    def add(self, time_ns: int, severity: Severity, text: str, *, name: str) -> None:
        """Add a line about anything."""
        self.total += 1
        self.entries.append(LogEntry(self.total, time_ns, severity, name, text))

    def after(self, number: int) -> Iterator[LogEntry]:
        """Iterate over the lines kept that came after the line of that number."""
        return (entry for entry in self.entries if entry.number > number)


def describe(event: events.ConnectionEvent) -> tuple[Severity, str]:
    """Put a connection's event in words."""
    severity: Severity = _SEVERITIES.get(type(event), "info")
    if isinstance(event, events.Resubscribed) and event.restored < event.total:
        severity = "warning"
    elif isinstance(event, (events.Moved, events.Subscribing)) and event.failed:
        severity = "error"
    return severity, f"{event.connection_id} {_words(event)}"


def _words(event: events.ConnectionEvent) -> str:  # noqa: C901, PLR0911, PLR0912 - a table of cases
    if isinstance(event, events.Connected):
        return "is up" + (f", connection {event.generation}" if event.generation > 1 else "")
    if isinstance(event, events.Disconnected):
        return f"lost connection {event.generation}: {event.reason}"
    if isinstance(event, events.Reconnecting):
        # The loss of a connection that was up has its own line, just before this one.
        reason = "" if event.attempt == 1 else f" (failure {event.attempt}: {event.reason})"
        return f"tries again in {event.delay:.2f} s{reason}"
    if isinstance(event, events.Resubscribed):
        return f"has {event.restored} of {event.total} channels back"
    if isinstance(event, events.Rotated):
        overlap = f"both were open for {event.overlap:.2f} s"
        return f"was taken over by connection {event.generation} ({event.reason}): {event.channels} channels, {overlap}"
    if isinstance(event, events.RotationFailed):
        return f"could not be rotated ({event.reason}); the next attempt comes in {event.delay:.2f} s at the earliest"
    if isinstance(event, events.Authenticated):
        return f"is logged in, connection {event.generation}"
    if isinstance(event, events.Quiet):
        limit = f"limit {event.limit:g} s" + (", learned" if event.learned else "")
        return f"has heard nothing of {event.topic} {event.symbol} for {event.silence:.1f} s ({limit}): {event.action}"
    if isinstance(event, events.Subscribing):
        failed = f", {event.failed} refused" if event.failed else ""
        return f"has {event.done} of {event.total} channels{failed}, {event.remaining:.1f} s to go"
    if isinstance(event, events.Moved):
        failed = f", {event.failed} found no place" if event.failed else ""
        return f"is given up: others carry {event.moved} of its channels{failed}"
    if isinstance(event, events.Stale):
        return f"has been silent for {event.silence:.1f} s and is replaced"
    if isinstance(event, events.Failed):
        return f"is given up after {event.attempts} failures: {event.reason}"
    if isinstance(event, events.BadFrame):
        return f"skipped a frame: {event.reason}"
    if isinstance(event, events.VenueNotice):
        return f"was told by the venue: {event.kind} {event.message}".rstrip()
    return type(event).__name__
