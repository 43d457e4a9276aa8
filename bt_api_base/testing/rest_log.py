"""What a simulated venue's REST side was asked: every request with its end, and counters of them."""

from __future__ import annotations

import enum
from collections import Counter, OrderedDict, deque
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from bt_api_base.testing.rest_messages import RestRequest

_MOST_RECORDS: Final = 10_000
_MOST_IDS: Final = 100_000


class RestEnding(enum.Enum):
    """How a request ended."""

    OPEN = "open"
    """Not yet: it waits, or is being done."""
    ANSWERED = "answered"
    """With a reply."""
    LOST = "lost"
    """Without having been done, and without a reply."""
    REPLY_LOST = "reply lost"
    """Having been done, without a reply."""
    CUT = "cut"
    """With its connection, when the venue died."""


@attrs.define(eq=False)
class RestRecord:
    """One request."""

    number: int
    """Counts the requests, from 1."""
    time_ns: int
    """When it arrived, by the venue's clock."""
    method: str
    path: str
    query: str
    """As it came, without the signature."""
    placed_ids: tuple[str, ...] = ()
    """The client's ids of the orders that it would place."""
    status: int = 0
    """The HTTP status of the answer; 0 without one."""
    is_done: bool = False
    """Whether the venue did what was asked, or refused it by itself."""
    ending: RestEnding = RestEnding.OPEN


@attrs.define(eq=False)
class RestLog:
    """The last requests, and how many there were of each kind."""

    records: deque[RestRecord] = attrs.field(factory=lambda: deque[RestRecord](maxlen=_MOST_RECORDS))
    """The last 10,000 requests, the oldest first."""
    counts: Counter[tuple[str, str]] = attrs.field(factory=Counter[tuple[str, str]])
    """Number of requests by method and path."""
    total: int = 0
    """Number of requests."""
    _placements: OrderedDict[str, int] = attrs.field(factory=OrderedDict[str, int])

    @property
    def placements(self) -> dict[str, int]:
        """How many requests have come to place an order under a client's id, lost ones included.

        Of the last 100,000 ids. More than one is what must not happen while an id is in use.
        """
        return dict(self._placements)

    def placed(self, client_order_id: str) -> int:
        """Return how many requests have come to place an order under a client's id, lost ones included.

        Args:
            client_order_id: The id.
        """
        return self._placements.get(client_order_id, 0)

    def count(self, method: str, path: str) -> int:
        """Return how many requests there were.

        Args:
            method: In upper case.
            path: The path.
        """
        return self.counts[method, path]

    def statuses(self, path: str = "") -> list[int]:
        """Return the statuses of the last answers, the oldest first.

        Args:
            path: Of this path only; empty for all.
        """
        return [record.status for record in self.records if record.status and path in {"", record.path}]

    def open(self, request: RestRequest, time_ns: int, placed_ids: tuple[str, ...]) -> RestRecord:
        """Take a request down.

        Args:
            request: The request.
            time_ns: When it arrived.
            placed_ids: The client's ids of the orders that it would place.
        """
        self.total += 1
        query = "&".join(part for part in request.query.split("&") if not part.startswith("signature="))
        record = RestRecord(self.total, time_ns, request.method, request.path, query, placed_ids)
        self.records.append(record)
        # Paths are whatever clients write: those of junk are counted together.
        known = (request.method, request.path) in self.counts or len(self.counts) < 1_000
        self.counts[(request.method, request.path) if known else ("", "")] += 1
        for client_order_id in placed_ids:
            self._placements[client_order_id] = self._placements.pop(client_order_id, 0) + 1
            if len(self._placements) > _MOST_IDS:
                self._placements.popitem(last=False)
        return record


__all__ = ("RestEnding", "RestLog", "RestRecord")
