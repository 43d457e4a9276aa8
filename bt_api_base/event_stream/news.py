"""The news that there is something to take, for the one task that waits for it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import finalize

import anyio
import attrs

if TYPE_CHECKING:
    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

__all__ = ("News",)


@attrs.define(eq=False)
class News:
    """A wake-up through a memory object stream of one place, which is only made when somebody waits.

    Unlike an `anyio.Event` it can be used again and again, which is quicker than one event for each wait.

    Attributes:
        channel: The two ends of that stream; ``None`` before the first wait.
    """

    channel: tuple[MemoryObjectSendStream[None], MemoryObjectReceiveStream[None]] | None = attrs.field(
        default=None, init=False
    )

    async def wait(self) -> None:
        """Wait until told, or until there will be no more news.

        Cancellation: news that came at the same moment may be gone, so look before waiting again.
        """
        if self.channel is None:
            self.channel = anyio.create_memory_object_stream[None](1)
            # What nobody closed holds nothing but memory: no reason for the warning of the streams inside.
            # Not in __del__, because a collector of cycles may come to the streams inside first.
            finalize(self, _close, *self.channel).atexit = False
        try:  # noqa: SIM105 - here and below, a context manager would be a good part of a wake-up's cost
            await self.channel[1].receive()
        except (anyio.EndOfStream, anyio.ClosedResourceError):
            pass

    def tell(self) -> None:
        """Wake the task that waits."""
        if self.channel is not None:
            try:  # noqa: SIM105
                self.channel[0].send_nowait(None)
            except anyio.WouldBlock:
                pass  # news for a task that was cancelled may lie there still

    def close(self) -> None:
        """Wake the task that waits, for the last time."""
        if self.channel is not None:
            _close(*self.channel)


def _close(send: MemoryObjectSendStream[None], receive: MemoryObjectReceiveStream[None]) -> None:
    send.close()
    receive.close()
