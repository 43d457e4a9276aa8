"""Does what arrived agree with what was sent? A comparison, frame by frame, of the venue's record with the client's.

On a connection that the venue closed and the client confirmed, the two must be equal. On any other, what arrived must
be the beginning of what was sent, and the rest was under way when the connection was cut, or left because another had
taken over. Nothing may ever arrive that was not sent.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import attrs
from rich import box
from rich.console import Group
from rich.table import Column, Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from bt_api_base._cli.tally import AttemptTally, TallyBook
    from bt_api_base.testing.venue_records import StreamRecord, VenueSession

__all__ = ("Account", "Ledger")

_CONTROL = "answers, notices"
_GARBAGE = "garbage"
_GRACE = 5.0
"""Seconds after the end of a connection by which its client has taken whatever arrived over it."""


@attrs.define(eq=False)
class Account:
    """Frames of one kind.

    Attributes:
        sent: Frames that the venue handed to its operating system.
        received: Frames that the client decoded or rejected.
        sessions: Connections they went over.
    """

    sent: int = 0
    received: int = 0
    sessions: int = 0

    @property
    def unreceived(self) -> int:
        """Frames that were under way when their connection ended."""
        return self.sent - self.received

    def add(self, sent: int, received: int) -> None:
        """Add one connection's frames."""
        self.sent += sent
        self.received += received
        self.sessions += 1


@attrs.define(eq=False)
class Ledger:
    """The venue's sessions and the client's attempts, compared. What has been compared is forgotten.

    Attributes:
        sessions: The venue's record.
        client: The client's.
        streams: Frames by stream.
        endings: Frames by the way in which their connection ended.
        problems: What does not agree, in words.
        connections: Connections compared to their end.
    """

    sessions: Sequence[VenueSession]
    client: TallyBook
    streams: dict[str, Account] = attrs.field(factory=dict[str, Account])
    endings: dict[str, Account] = attrs.field(factory=dict[str, Account])
    problems: list[str] = attrs.field(factory=list[str])
    connections: int = 0
    _received: dict[tuple[int, str], int] = attrs.field(factory=dict[tuple[int, str], int])
    _settled: int = 0

    @property
    def total(self) -> Account:
        """All frames."""
        total = Account()
        for account in self.endings.values():
            total.add(account.sent, account.received)
        return total

    @property
    def agrees(self) -> bool:
        """Whether no difference was found."""
        return not self.problems

    def compare(self, now: float = math.inf) -> None:
        """Compare what there is to compare, in order.

        Args:
            now: The event loop's time, by which connections that ended a while ago are compared to their end; by
                default all are, since the client has ended.
        """
        pending = self.sessions[self._settled :]
        for session in pending:
            attempt = self.client.attempt_of(session.target)
            for record in session.streams.values():
                self._compare_ids(session, record, attempt)
            over = now == math.inf or (session.closed_at is not None and session.closed_at + _GRACE < now)
            # One may outlive its successor, which failed. The order is that of the connections all the same.
            if over and self.sessions[self._settled] is session:
                self._settle(session, attempt)
                self._settled += 1

    def _compare_ids(self, session: VenueSession, record: StreamRecord, attempt: AttemptTally) -> None:
        received = attempt.ids.get(record.stream, [])
        sent = record.ids if record.ids is not None else []
        size = min(len(sent), len(received))
        if sent[:size] != received[:size]:
            at = next(i for i, (a, b) in enumerate(zip(sent, received, strict=False)) if a != b)
            self.problems.append(
                f"connection {session.number}, {record.stream}: {sent[at]} was sent, {received[at]} arrived"
            )
        key = (session.number, record.stream)
        self._received[key] = self._received.get(key, 0) + size
        del sent[:size], received[:size]

    def _settle(self, session: VenueSession, attempt: AttemptTally) -> None:
        ending = self.endings.setdefault(session.ending.value, Account())
        ending.sessions += 1
        for stream, record in session.streams.items():
            received = self._received.pop((session.number, stream), 0)
            if attempt.ids.get(stream):
                self.problems.append(f"connection {session.number}, {stream}: {attempt.ids[stream][0]} was never sent")
                received += len(attempt.ids[stream])
            self._account(session, stream, record.count, received)
        for stream in attempt.ids.keys() - session.streams.keys():
            self.problems.append(f"connection {session.number}, {stream}: arrived and was never subscribed to")
        self._account(session, _CONTROL, session.control.count, attempt.control_frames)
        self._account(session, _GARBAGE, session.garbage.count, attempt.rejected_frames)
        attempt.ids.clear()
        self.connections += 1

    def _account(self, session: VenueSession, stream: str, sent: int, received: int) -> None:
        if received > sent:
            self.problems.append(f"connection {session.number}, {stream}: {received} frames arrived of {sent} sent")
        elif session.is_exact and received < sent:
            self.problems.append(
                f"connection {session.number}, {stream}: {received} frames arrived of {sent} sent,"
                f" although it was {session.ending.value} in good order"
            )
        self.streams.setdefault(stream, Account()).add(sent, received)
        ending = self.endings[session.ending.value]
        ending.sent += sent
        ending.received += received

    # -- report --------------------------------------------------------------------------------

    def report(self) -> RenderableType:
        """Draw the comparison."""
        by_stream = _table("sent and received", "stream")
        for stream, account in sorted(self.streams.items(), key=lambda item: ("@" not in item[0], item[0])):
            _row(by_stream, stream, account)
        by_ending = _table("by how the connection ended", "ending", "connections")
        for ending, account in self.endings.items():
            _row(by_ending, ending, account, f"{account.sessions:,}")
        return Group(by_stream, by_ending)


def _table(title: str, *names: str) -> Table:
    numbers = (Column(name, justify="right") for name in (*names[1:], "sent", "received", "under way at its end"))
    return Table(
        names[0],
        *numbers,
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1),
        title=title,
        title_justify="left",
        title_style="bold",
    )


def _row(table: Table, name: str, account: Account, *more: str) -> None:
    unreceived = Text(f"{account.unreceived:,}", style="yellow" if account.unreceived else "dim")
    table.add_row(name, *more, f"{account.sent:,}", f"{account.received:,}", unreceived)
