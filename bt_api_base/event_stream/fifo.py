"""Items in the order of their arrival."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

import attrs

__all__ = ("Fifo",)

T = TypeVar("T")


@attrs.define(eq=False)
class Fifo(Generic[T]):
    """What waits in a stream that keeps every item until it is full.

    Attributes:
        items: What waits, the first one first.
    """

    items: deque[T] = attrs.field(factory=deque[T], init=False)

    def first(self) -> T | None:
        """Return the first item, ``None`` if there is none."""
        return self.items[0] if self.items else None

    def push(self, item: T) -> None:
        """Put an item before the first one."""
        self.items.appendleft(item)

    def pop_many(self, count: int) -> list[T]:
        """Take so many of the items, or all if there are fewer."""
        items = self.items
        if count < len(items):
            return [items.popleft() for _ in range(count)]
        batch = list(items)
        items.clear()
        return batch
