"""What is known of a connection at one moment."""

from __future__ import annotations

from enum import Enum

import attrs

__all__ = ("ConnectionState", "ConnectionStats")


class ConnectionState(str, Enum):
    """Where a connection stands."""

    DISCONNECTED = "disconnected"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    AUTHENTICATED = "authenticated"
    CLOSED = "closed"
    FAILED = "failed"


@attrs.frozen(kw_only=True)
class ConnectionStats:
    """A connection at one moment.

    Attributes:
        exchange_name: Venue and asset type.
        connection_id: Which of the exchange's connections.
        state: Where it stands.
        generation: Connections made so far.
        reconnects: Of these, those that replaced a lost one.
        rotations: Of these, those that took over from one that was still there.
        consecutive_failures: Failed attempts since data last flowed healthily.
        subscriptions: Channels wanted.
        frames: Application frames; the sum of the next four.
        data_frames: Frames routed to a channel.
        control_frames: Acknowledgements, refusals, heartbeats, notices, unknown kinds.
        unrouted_frames: Data for channels nobody wants.
        bad_frames: Frames that could not be decoded.
        unrecognized: Of the control frames, those of a kind the adapter does not translate.
        events: Events delivered.
        abandoned: Events of a connection that was to take over and did not, or that had been replaced.
        batches: Socket reads.
        duplicates: Events that were dropped because their consumers had them already.
        gaps: Gaps that consumers were told of, those of slow consumers aside.
        handler_errors: Callbacks that raised. Handlers on the bus are counted there.
        last_error: Why the last attempt or connection ended; empty if none has.
    """

    exchange_name: str
    connection_id: str
    state: ConnectionState
    generation: int
    reconnects: int
    rotations: int
    consecutive_failures: int
    subscriptions: int
    frames: int
    data_frames: int
    control_frames: int
    unrouted_frames: int
    bad_frames: int
    unrecognized: int
    events: int
    abandoned: int
    batches: int
    duplicates: int
    gaps: int
    handler_errors: int
    last_error: str
