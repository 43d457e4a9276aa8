"""The client's own account of every frame it decoded, connection by connection."""

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

__all__ = ("AttemptTally", "TallyAdapter", "attempt_number")

_PARAMETER = "attempt"

_FRAME_ID: dict[type, Callable[[Any], int]] = {
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


class TallyAdapter(AdapterTap):
    """Counts what it decodes, and tells the venue in the URL which attempt a connection belongs to.

    Args:
        inner: The venue's adapter.
        keep_ids: Whether to keep the id of every data frame until it has been compared.
    """

    def __init__(self, inner: StreamAdapter, *, keep_ids: bool = False) -> None:
        super().__init__(inner)
        self._keep_ids = keep_ids
        self.attempts: list[AttemptTally] = []
        self.current = AttemptTally(0)

    @override
    def endpoint(self, url: str, lease_key: str = "") -> str:
        """Return the URL to connect to, numbered. Called once for each attempt."""
        self.current = AttemptTally(len(self.attempts) + 1)
        self.attempts.append(self.current)
        parts = urlsplit(self.inner.endpoint(url, lease_key))
        query = f"{parts.query}&" if parts.query else ""
        return urlunsplit(parts._replace(query=f"{query}{_PARAMETER}={self.current.number}"))

    @override
    def decode_frame(self, frame: bytes | str, local_time: int) -> Decoded:
        tally = self.current
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
            first = items[0]
            ids.append(_FRAME_ID[type(first)](first))
        return decoded


def attempt_number(target: str) -> int:
    """Return which attempt a request target belongs to; 0 if it does not say."""
    values = parse_qs(urlsplit(target).query).get(_PARAMETER, ["0"])
    return int(values[-1]) if values[-1].isdecimal() else 0
