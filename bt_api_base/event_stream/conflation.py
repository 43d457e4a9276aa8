"""The latest item of each key, and markers that stay where they were put."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

import attrs

__all__ = ("LatestItems",)

T = TypeVar("T")


class _Frozen:
    """The key of an item that no later one replaces. Equal to nothing but itself."""

    __slots__ = ()


@attrs.define(eq=False)
class LatestItems(Generic[T]):
    """What waits in a stream that conflates.

    A marker says something about its place ("data is missing here"), so nothing that comes after it may take a place
    before it: what waits when a marker comes is frozen, and a later item of the same key goes behind the marker.

    Attributes:
        max_size: Items that may wait. The newest marker has a place of its own besides.
        items: What waits, by key.
    """

    max_size: int
    items: OrderedDict[Hashable, T] = attrs.field(factory=OrderedDict[Hashable, T], init=False)
    _newest_marker: _Frozen = attrs.field(factory=_Frozen, init=False)

    def pop(self) -> T:
        """Take the first item."""
        return self.items.popitem(last=False)[1]

    def first(self) -> T | None:
        """Return the first item, ``None`` if there is none."""
        return next(iter(self.items.values()), None)

    def pop_many(self, count: int) -> list[T]:
        """Take so many of the items, or all if there are fewer."""
        items = self.items
        if count < len(items):
            return [self.pop() for _ in range(count)]
        batch = list(items.values())
        items.clear()
        return batch

    def push(self, item: T) -> None:
        """Put an item before the first one."""
        key = _Frozen()
        self.items[key] = item
        self.items.move_to_end(key, last=False)

    def put_marker(self, marker: T) -> None:
        """Put a marker behind what waits, and freeze that."""
        items = self.items
        thawed: list[T] = []  # the last one first
        while items:
            key, item = items.popitem()
            if type(key) is _Frozen:  # so is all before it
                items[key] = item
                break
            thawed.append(item)
        items.update((_Frozen(), item) for item in reversed(thawed))
        self._newest_marker = _Frozen()
        items[self._newest_marker] = marker

    def drop_excess(self) -> int | None:
        """If one item too many waits, drop the one that has waited longest. The newest marker is never dropped.

        Returns:
            The place where it was, 0 being the first; ``None`` if there was no need.
        """
        items = self.items
        if len(items) <= self.max_size + (self._newest_marker in items):
            return None
        keys = iter(items)
        key, place = next(keys), 0
        if key is self._newest_marker:
            key, place = next(keys), 1
        del items[key]
        return place
