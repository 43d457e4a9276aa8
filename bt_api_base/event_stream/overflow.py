"""What a full stream does, and what it counts."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = ("EventStreamStatistics", "Overflow", "conflation_key", "effective_limit")


class Overflow(str, Enum):
    """What a full stream does with one more item.

    Attributes:
        BLOCK: Lose nothing: `EventStream.send` waits for room, `EventStream.offer` goes on up to ``hard_limit``, and a
            consumer that has fallen behind as far as that gets a `SlowConsumerError` after the items that wait.
        DROP_OLDEST: Forget the item that has waited longest.
        DROP_NEWEST: Forget the item that was offered.
        CONFLATE: Keep the latest item of each key, in the place of the one it replaces. Of more keys than
            ``max_buffer_size``, the one that has waited longest is dropped. Not for deltas, whose every item counts.
    """

    BLOCK = "block"
    DROP_OLDEST = "drop_oldest"
    DROP_NEWEST = "drop_newest"
    CONFLATE = "conflate"


@attrs.frozen(kw_only=True)
class EventStreamStatistics:
    """A stream at one moment. ``offered`` is the sum of the next five.

    Attributes:
        offered: Items offered while the stream was open.
        delivered: Items the consumer took.
        pending: Items that wait.
        dropped: Items forgotten because the stream was full.
        conflated: Items replaced by a later one of the same key before the consumer took them.
        discarded: Items that waited when the consumer closed the stream.
        markers: Markers the stream made where items were dropped, and the consumer took; in none of the others.
        max_buffer_size: Items the stream holds.
        hard_limit: Items a lossless stream holds before it fails; elsewhere the same as ``max_buffer_size``.
        overflow: What a full stream does with one more item.
        tasks_waiting_send: Tasks in `EventStream.send` or `EventStream.wait_room`.
        is_over: Whether the stream was closed, ended or failed.
    """

    offered: int
    delivered: int
    pending: int
    dropped: int
    conflated: int
    discarded: int
    markers: int
    max_buffer_size: int
    hard_limit: int
    overflow: Overflow
    tasks_waiting_send: int
    is_over: bool


_MIN_HARD_LIMIT = 1_000


def effective_limit(overflow: Overflow, max_buffer_size: int, hard_limit: int | None) -> int:
    """Return how many items may wait at all: for a lossless stream its hard limit, or the default of that.

    Raises:
        ValueError: The limits do not make sense.
    """
    if max_buffer_size < 1:
        msg = f"max_buffer_size must be at least 1, not {max_buffer_size}: a stream that holds nothing loses it all"
        raise ValueError(msg)
    if overflow is not Overflow.BLOCK:
        return max_buffer_size
    if hard_limit is None:
        return max(10 * max_buffer_size, _MIN_HARD_LIMIT)
    if hard_limit < max_buffer_size:
        raise ValueError(f"hard_limit must be at least max_buffer_size ({max_buffer_size}), not {hard_limit}")
    return hard_limit


def conflation_key(item: object) -> Hashable:
    """Return what `Overflow.CONFLATE` tells items apart by: type, venue, symbol, and a bar's period.

    An item that is no container is told apart by its type alone.
    """
    get = getattr
    return type(item), get(item, "exchange_name", None), get(item, "symbol", None), get(item, "period", None)
