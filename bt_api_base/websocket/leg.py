"""One connection of a supervised connection, from its dial to its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import attrs

from bt_api_base.exceptions import WebSocketError

if TYPE_CHECKING:
    from bt_api_base.security import Secret
    from bt_api_base.websocket.adapter import StreamAdapter
    from bt_api_base.websocket.session import Session

__all__ = ("Leg",)


@attrs.define(eq=False)
class Leg:
    """One of the connections that follow, and for a moment overlap, each other.

    Attributes:
        adapter: What its frames mean.
        lifetime: Seconds after which it is to be replaced.
        succeeds: Whether it is to take over from another that still delivers.
        lease_key: What it was opened with, where its endpoint asks for something.
        generation: Its number among the connections that were established; 0 before it is.
        session: Its tasks, once it is established.
        error: Why it ended.
        ended: Set when it has.
        scope: Cancelling it closes the connection.
    """

    adapter: StreamAdapter
    lifetime: float
    succeeds: bool = False
    lease_key: Secret | None = None
    generation: int = 0
    session: Session | None = None
    error: Exception | None = None
    ended: anyio.Event = attrs.field(factory=anyio.Event)
    scope: anyio.CancelScope = attrs.field(factory=anyio.CancelScope)

    @property
    def failure(self) -> Exception:
        """Why it ended, or that it did."""
        return self.error or WebSocketError(self.adapter.exchange_name, "the connection ended")

    @property
    def is_open(self) -> bool:
        """Whether it is established and has not ended."""
        return self.session is not None and not self.ended.is_set()

    def is_healthy(self, healthy_after: float) -> bool:
        """Whether data flowed for at least ``healthy_after`` seconds."""
        session = self.session
        if session is None or session.first_event_at is None:
            return False
        return session.last_event_at - session.first_event_at >= healthy_after
