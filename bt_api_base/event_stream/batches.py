"""A stream, taken several items at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

import anyio
import attrs

if TYPE_CHECKING:
    from typing_extensions import Self

    from bt_api_base.event_stream.stream import EventStream

__all__ = ("Batches",)

T = TypeVar("T")


@attrs.define(eq=False)
class Batches(Generic[T]):
    """What `EventStream.batches` returns. No generator: leaving the loop early leaves nothing to be closed."""

    _stream: EventStream[T]
    _max_items: int | None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[T]:
        try:
            return await self._stream.receive_batch(self._max_items)
        except anyio.EndOfStream:
            raise StopAsyncIteration from None
