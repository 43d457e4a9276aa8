"""What a full stream does, and what it counts."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = ("EventStreamStatistics", "Overflow", "conflation_key")


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
    max_buffer_size: int
    hard_limit: int
    overflow: Overflow
    tasks_waiting_send: int
    is_over: bool


def conflation_key(item: object) -> Hashable:
    """Return what `Overflow.CONFLATE` tells items apart by: type, venue, symbol, and a bar's period.

    An item that is no container is told apart by its type alone.
    """
    get = getattr
    return type(item), get(item, "exchange_name", None), get(item, "symbol", None), get(item, "period", None)
