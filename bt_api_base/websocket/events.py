"""What happens to a connection, as typed events for the bus."""

from __future__ import annotations

import msgspec

__all__ = (
    "NAMES",
    "BadFrame",
    "Connected",
    "ConnectionEvent",
    "Disconnected",
    "Failed",
    "Reconnecting",
    "Resubscribed",
    "Stale",
    "VenueNotice",
)


class ConnectionEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Fields that every connection event carries.

    Attributes:
        exchange_name: Venue and asset type.
        connection_id: Which of the exchange's connections.
        local_time: When, nanoseconds since the epoch (UTC).
    """

    exchange_name: str
    connection_id: str
    local_time: int


class Connected(ConnectionEvent, frozen=True, kw_only=True):
    """``ws.connected``: the handshake succeeded.

    Attributes:
        generation: How many connections have been made, this one included.
    """

    generation: int


class Disconnected(ConnectionEvent, frozen=True, kw_only=True):
    """``ws.disconnected``: an established connection ended.

    Attributes:
        generation: Which connection ended.
        reason: Why, in words.
        close_code: The WebSocket close code; 1006 for a connection lost without one.
        last_frame_time: When the last application frame left the socket, nanoseconds since the
            epoch (UTC); 0 if there was none. Data after it is missing.
    """

    generation: int
    reason: str
    close_code: int | None
    last_frame_time: int


class Reconnecting(ConnectionEvent, frozen=True, kw_only=True):
    """``ws.reconnecting``: another attempt follows.

    Attributes:
        attempt: Consecutive failures so far.
        delay: Seconds until the attempt.
        reason: Why the last one failed.
    """

    attempt: int
    delay: float
    reason: str


class Resubscribed(ConnectionEvent, frozen=True, kw_only=True):
    """``ws.resubscribed``: the venue has answered for every channel of the previous connection.

    Attributes:
        generation: Which connection carries them now.
        restored: Channels confirmed.
        total: Channels there were.
    """

    generation: int
    restored: int
    total: int


class Stale(ConnectionEvent, frozen=True, kw_only=True):
    """``ws.stale``: open, but no application frame for ``silence`` seconds; the connection is replaced."""

    silence: float


class Failed(ConnectionEvent, frozen=True, kw_only=True):
    """``ws.failed``: given up. Every consumer of the connection gets the error.

    Attributes:
        attempts: Consecutive failures.
        reason: The last one.
    """

    attempts: int
    reason: str


class BadFrame(ConnectionEvent, frozen=True, kw_only=True):
    """``ws.bad_frame``: a frame could not be decoded and was skipped.

    Attributes:
        reason: What was wrong, and where; payload truncated and redacted.
    """

    reason: str


class VenueNotice(ConnectionEvent, frozen=True, kw_only=True):
    """``ws.notice``: the venue tells something to everybody.

    Attributes:
        kind: The venue's name of the notice.
        message: Its text.
        closing: Whether the venue is about to close the connection.
    """

    kind: str
    message: str
    closing: bool


NAMES: dict[type[ConnectionEvent], str] = {
    Connected: "ws.connected",
    Disconnected: "ws.disconnected",
    Reconnecting: "ws.reconnecting",
    Resubscribed: "ws.resubscribed",
    Stale: "ws.stale",
    Failed: "ws.failed",
    BadFrame: "ws.bad_frame",
    VenueNotice: "ws.notice",
}
"""The name each event goes under on the bus."""
