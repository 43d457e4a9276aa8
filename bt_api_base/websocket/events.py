"""What happens to a connection, as typed events for the bus."""

from __future__ import annotations

import msgspec

__all__ = (
    "NAMES",
    "Authenticated",
    "BadFrame",
    "Connected",
    "ConnectionEvent",
    "Disconnected",
    "Failed",
    "Moved",
    "Quiet",
    "Reconnecting",
    "Resubscribed",
    "Rotated",
    "RotationFailed",
    "Stale",
    "Subscribing",
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


class Authenticated(ConnectionEvent, frozen=True, kw_only=True):
    """``ws.authenticated``: the venue accepted the log-in; private channels follow.

    Attributes:
        generation: Which connection it is.
    """

    generation: int


class Rotated(ConnectionEvent, frozen=True, kw_only=True):
    """``ws.rotated``: a new connection took over from the one before, which is closed. Nothing was interrupted.

    Attributes:
        generation: Which connection carries the channels now.
        reason: Why.
        channels: How many it carries.
        overlap: For how many seconds both were open.
    """

    generation: int
    reason: str
    channels: int
    overlap: float


class RotationFailed(ConnectionEvent, frozen=True, kw_only=True):
    """``ws.rotation_failed``: the new connection could not take over; the old one goes on, and another attempt follows.

    Attributes:
        reason: Why it was tried, and why it failed.
        delay: Seconds until the next attempt.
    """

    reason: str
    delay: float


class Quiet(ConnectionEvent, frozen=True, kw_only=True):
    """``ws.quiet``: a confirmed subscription has been silent for longer than it should.

    Attributes:
        topic: Which one.
        symbol: The same.
        silence: Seconds since its last event, or since it was confirmed.
        limit: Seconds of silence that are expected of it.
        learned: Whether the limit was learned from its own pace, as opposed to given.
        action: What is done about it: ``"probe"``, ``"resubscribe"``, ``"rotate"``, and in the end ``"report"``:
            nothing more, as the market is taken to be quiet.
    """

    topic: str
    symbol: str
    silence: float
    limit: float
    learned: bool
    action: str


class Subscribing(ConnectionEvent, frozen=True, kw_only=True):
    """``ws.subscribing``: how far opening many subscriptions has got.

    Attributes:
        done: Subscriptions that are confirmed.
        failed: Subscriptions that were refused.
        total: Subscriptions asked for.
        remaining: Estimate of the seconds left.
    """

    done: int
    failed: int
    total: int
    remaining: float


class Moved(ConnectionEvent, frozen=True, kw_only=True):
    """``ws.moved``: a connection failed for good, and others carry its channels now.

    Attributes:
        moved: Channels that another connection took.
        failed: Channels that no other connection had room for; their consumers got the error.
    """

    moved: int
    failed: int


class Stale(ConnectionEvent, frozen=True, kw_only=True):
    """``ws.stale``: open, but no frame for ``silence`` seconds, nor an answer; the connection is replaced."""

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
    Authenticated: "ws.authenticated",
    Rotated: "ws.rotated",
    RotationFailed: "ws.rotation_failed",
    Quiet: "ws.quiet",
    Subscribing: "ws.subscribing",
    Moved: "ws.moved",
    Stale: "ws.stale",
    Failed: "ws.failed",
    BadFrame: "ws.bad_frame",
    VenueNotice: "ws.notice",
}
"""The name each event goes under on the bus."""
