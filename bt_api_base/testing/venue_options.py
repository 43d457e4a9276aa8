"""The options that simulated venues have in common."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypedDict

from bt_api_base.testing.peer import DEFAULT_MAX_OUTGOING_BYTES, ServerSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class VenueOptions(TypedDict, total=False):
    """What venues have in common. Durations are seconds.

    A dialect has its own defaults, see `bt_api_base.testing.dialect.Dialect.default_options`; those named here are
    Binance's spot market's, or everybody's.
    """

    host: str
    """Address to listen at. Default "127.0.0.1"."""
    port: int
    """Port to listen at. Default 0: the system chooses."""
    listen: bool
    """Whether to listen; without it, connections are made in memory only. Default True."""
    keep_ids: bool
    """Whether the records keep the id of every frame, and the venue that of every event, for
    `bt_api_base.testing.venue.Venue.sent_ids` and its like. Default False."""
    clock_ns: Callable[[], int]
    """Returns nanoseconds since the epoch, for timestamps. Default `time.time_ns`."""
    max_messages_per_second: int | None
    """Messages a client may send in a second. Default 5; None for no limit."""
    offences_until_ban: int | None
    """Connections closed for too many messages before their address is banned. Default 3, which is assumed: the venue
    says "repeatedly"; None for no bans."""
    ban_time: float
    """How long a ban lasts. Default 120."""
    max_streams: int
    """Streams a connection can listen to. Default 1024."""
    max_connects: int | None
    """Attempts to connect that an address has in `connect_window`. Default 300; None for no limit."""
    connect_window: float
    """What attempts to connect are counted over. Default 300."""
    max_connections: int | None
    """Connections that an address can have at a time. Default None: no limit."""
    max_connection_age: float | None
    """From the handshake to the end of a connection, whatever goes on. Default 86,400; None for no limit."""
    idle_timeout: float | None
    """From the last frame, in whatever direction, to the end of a connection. Default None: no limit."""
    ping_interval: float
    """From one ping to the next. Default 20."""
    pong_timeout: float
    """From a ping to the pong that echoes its payload. Default 60."""
    close_timeout: float
    """From a close frame to the end of a connection. Default 1."""
    max_outgoing_bytes: int
    """What may collect for a client before it is cut off. Default 8 MiB."""
    send_buffer_bytes: int | None
    """Size of the operating system's send buffer. Default None: the system's."""
    compression: bool
    """Whether permessage-deflate is accepted. Default False."""
    balances: Mapping[str, str]
    """What the account has to begin with, by currency. Default 100,000 of what prices are in, and of margins, and 10 of
    everything else."""
    maker_fee: str
    """Part that a maker pays. Default the venue's."""
    taker_fee: str
    """The same for a taker."""
    leverage: int
    """Value of a position over the margin that it locks, of contracts. Default 10."""
    rest_port: int
    """Port to answer REST requests at. Default 0: the system chooses."""
    weight_limit: int
    """Weight of requests that an address has in a minute. Default the venue's: 6,000, 2,400 for USD-M futures."""
    order_limits: tuple[int, int]
    """Orders that the account has in the venue's two windows. Default the venue's: 50 in 10 seconds and 160,000 in a
    day, 300 in 10 seconds and 1,200 in a minute for USD-M futures."""


def server_settings(options: VenueOptions) -> ServerSettings:
    """Return what a venue's options mean for its connections."""
    clock_ns = options.get("clock_ns", time.time_ns)
    return ServerSettings(
        ping_interval=options.get("ping_interval", 20.0),
        pong_timeout=options.get("pong_timeout", 60.0),
        close_timeout=options.get("close_timeout", 1.0),
        max_outgoing_bytes=options.get("max_outgoing_bytes", DEFAULT_MAX_OUTGOING_BYTES),
        send_buffer_bytes=options.get("send_buffer_bytes"),
        compression=options.get("compression", False),
        ping_payload=lambda: str(clock_ns() // 1_000_000).encode(),
    )


__all__ = ("VenueOptions", "server_settings")
