"""The client's own account of every frame it decoded, connection by connection.

Each connection has an adapter of its own, and two connections overlap while one takes over from the other; so each
adapter has a page of its own, an `AttemptTally`, in a `TallyBook` that all of them share.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit, urlunsplit

import attrs
from typing_extensions import override

from bt_api_base._cli.taps import AdapterTap
from bt_api_base.containers import Bar, OrderBook, OrderBookDelta, Tick, Trade
from bt_api_base.websocket.adapter import Decoded, Unrecognized

if TYPE_CHECKING:
    from collections.abc import Callable

    from bt_api_base.websocket.adapter import StreamAdapter

__all__ = ("AttemptTally", "TallyAdapter", "TallyBook", "attempt_number", "event_id")

_PARAMETER = "attempt"

_IDS: dict[type, Callable[[Any], int]] = {
    Tick: lambda tick: tick.sequence or 0,
    Trade: lambda trade: int(trade.trade_id),
    OrderBook: lambda book: book.sequence or 0,
    OrderBookDelta: lambda delta: delta.last_sequence,
    Bar: lambda bar: bar.server_time // 1_000,
}
"""What the simulated venue numbers the frames of each kind by."""


@attrs.define(eq=False)
class AttemptTally:
    """What came over the connection of one attempt to connect.

    Attributes:
        number: Counts the attempts, from 1.
        ids: Ids of the data frames, by channel, as far as they have not been compared yet.
        data_frames: Data frames.
        events: Events in them.
        control_frames: Answers and notices.
        rejected_frames: Frames that could not be decoded or are of no known kind.
    """

    number: int
    ids: dict[str, list[int]] = attrs.field(factory=dict[str, list[int]])
    data_frames: int = 0
    events: int = 0
    control_frames: int = 0
    rejected_frames: int = 0

    @property
    def frames(self) -> int:
        """All of them."""
        return self.data_frames + self.control_frames + self.rejected_frames


@attrs.define(eq=False)
class TallyBook:
    """What came over all connections.

    Attributes:
        keep_ids: Whether to keep the id of every data frame until it has been compared.
        attempts: Every attempt to connect, in order.
    """

    attempts: list[AttemptTally] = attrs.field(factory=list[AttemptTally], init=False)
    keep_ids: bool = attrs.field(default=False, kw_only=True)

    def open_page(self) -> AttemptTally:
        """Begin the account of one more attempt."""
        self.attempts.append(AttemptTally(len(self.attempts) + 1))
        return self.attempts[-1]

    def attempt_of(self, target: str) -> AttemptTally:
        """Return the account of the connection with that request target; an empty one if there is none."""
        number = attempt_number(target)
        return self.attempts[number - 1] if 1 <= number <= len(self.attempts) else AttemptTally(0)

    @property
    def newest(self) -> int:
        """The number of the newest attempt, 0 before the first."""
        return len(self.attempts)

    @property
    def frames(self) -> int:
        """Frames of all connections."""
        return sum(attempt.frames for attempt in self.attempts)

    @property
    def events(self) -> int:
        """Events of all connections, those that came over two of them twice."""
        return sum(attempt.events for attempt in self.attempts)


class TallyAdapter(AdapterTap):
    """Counts what it decodes, and tells the venue in the URL which attempt its connection belongs to.

    Args:
        inner: The venue's adapter.
        book: Where it counts. It has a page there from `endpoint` on, when a connection is about to be made.
    """

    def __init__(self, inner: StreamAdapter, book: TallyBook) -> None:
        super().__init__(inner)
        self.book = book
        self.tally = AttemptTally(0)
        self._keep_ids = book.keep_ids

    @override
    def endpoint(self, url: str, lease_key: str = "") -> str:
        """Return the URL to connect to, numbered."""
        self.tally = self.book.open_page()
        parts = urlsplit(self.inner.endpoint(url, lease_key))
        query = f"{parts.query}&" if parts.query else ""
        return urlunsplit(parts._replace(query=f"{query}{_PARAMETER}={self.tally.number}"))

    @override
    def decode_frame(self, frame: bytes | str, local_time: int) -> Decoded:
        tally = self.tally
        try:
            key, items = decoded = self.decode_inner(frame, local_time)
        except Exception:
            tally.rejected_frames += 1
            raise
        if key is None:
            if any(isinstance(item, Unrecognized) for item in items):
                tally.rejected_frames += 1
            else:
                tally.control_frames += 1
            return decoded
        tally.data_frames += 1
        tally.events += len(items)
        ids = tally.ids.get(key)
        if ids is None:
            ids = tally.ids[key] = []
        if self._keep_ids:
            ids.append(event_id(items[0]))
        return decoded


def event_id(event: object) -> int:
    """Return what the simulated venue numbers an event by."""
    return _IDS[type(event)](event)


def attempt_number(target: str) -> int:
    """Return which attempt a request target belongs to; 0 if it does not say."""
    values = parse_qs(urlsplit(target).query).get(_PARAMETER, ["0"])
    return int(values[-1]) if values[-1].isdecimal() else 0
