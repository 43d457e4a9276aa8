"""What a venue must say about its streams: the adapter contract.

An adapter turns names into a venue's subscribe frames and a venue's frames into events. It does no
I/O, starts no task and keeps no state beyond sequence numbers and the symbols it was asked for, so
it is tested with bytes in and objects out. One adapter instance serves one connection.

Everything a frame can mean is either an event (`bt_api_base.containers`) or one of the control
messages below. The supervised connection acts on control messages; consumers only see events.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs
import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bt_api_base.containers import Event
    from bt_api_base.security import Credentials
    from bt_api_base.transport import TransportPolicy
    from bt_api_base.websocket.lease import SessionLease

__all__ = (
    "Ack",
    "Channel",
    "Continuity",
    "Control",
    "Decoded",
    "Heartbeat",
    "LeaseExpired",
    "LoggedIn",
    "LoginRefused",
    "Malformed",
    "Notice",
    "Refusal",
    "StreamAdapter",
    "StreamLimits",
    "Unrecognized",
)


class Continuity(str, Enum):
    """What a channel's events say about their order, so that a hole or a repetition can be told.

    Attributes:
        NONE: Nothing. Repetitions are told by content, and after an interruption something may be missing.
        INCREASING: Their position grows from event to event, in steps of any size: repetitions can be told, holes
            cannot.
        CONSECUTIVE: Each follows the one before it without a hole, as trade ids and updates of a book do: both can.

    See `bt_api_base.websocket.continuity.position` for what an event's position is.
    """

    NONE = "none"
    INCREASING = "increasing"
    CONSECUTIVE = "consecutive"


class Channel(msgspec.Struct, frozen=True):
    """One thing a venue lets a client subscribe to.

    Attributes:
        topic: What, in this library's words: ``"ticker"``, ``"trade"``, ``"depth"`` ….
        symbol: Internal symbol, such as ``"BTC-USDT"``; empty for venue-wide channels.
        key: The venue's own name of the channel, which its frames are routed by.
        event_name: Name under which the channel's events go over the bus; empty for a channel that
            mixes events, each of which goes under its own name (`bt_api_base.containers.event_name`).
        endpoint: Which of the venue's endpoints carries it, in the adapter's own word; connections are pooled by it.
        private: Whether it shows an account, and so needs a log-in or a lease.
        continuity: What the order of its events can be told by.
        quiet_after: Seconds of silence that a live subscription never has, as the venue documents its
            pace; ``None`` where a quiet market is silent for as long as it likes.
        recoverable: Whether what is missing can be fetched by other means, or the data after a gap makes up for it.
        event_types: The types of events its consumers want of a channel that mixes them; empty for all.
    """

    topic: str
    symbol: str
    key: str
    event_name: str
    endpoint: str = ""
    private: bool = False
    continuity: Continuity = Continuity.NONE
    quiet_after: float | None = None
    recoverable: bool = False
    event_types: tuple[type[Any], ...] = ()


class Ack(msgspec.Struct, frozen=True, tag=True):
    """The venue accepted a request.

    Attributes:
        request_id: The id our request carried; ``None`` for venues that confirm by channel.
        key: The confirmed channel's key; ``None`` for venues that confirm by request.
        result: What the venue answered with, decoded; ``None`` for a bare confirmation.
    """

    request_id: int | str | None = None
    key: str | None = None
    result: Any = None


class Refusal(msgspec.Struct, frozen=True, tag=True):
    """The venue refused a request, in its own words.

    Attributes:
        request_id: The id our request carried, where the venue repeats it.
        key: The refused channel's key, where the venue names it.
        code: The venue's error code.
        message: The venue's text, verbatim.
    """

    request_id: int | str | None = None
    key: str | None = None
    code: int | str | None = None
    message: str = ""


class Heartbeat(msgspec.Struct, frozen=True, tag=True):
    """A venue's ping or pong inside an ordinary message.

    Attributes:
        reply: The frame to send back, or ``None`` where none is due.
    """

    reply: str | bytes | None = None


class Notice(msgspec.Struct, frozen=True, tag=True):
    """Something the venue tells everybody.

    Attributes:
        kind: The venue's name of the notice.
        message: Its text.
        closing: Whether the venue is about to close this connection.
    """

    kind: str
    message: str = ""
    closing: bool = False


class LoggedIn(msgspec.Struct, frozen=True, tag=True):
    """The venue accepted the log-in. An `Ack` with the log-in's request id says the same."""


class LoginRefused(msgspec.Struct, frozen=True, tag=True):
    """The venue refused the log-in. A `Refusal` with the log-in's request id says the same.

    Attributes:
        code: The venue's error code.
        message: The venue's text, verbatim.
        retryable: Whether trying again can help, as with a venue that is busy; wrong keys are not.
    """

    code: int | str | None = None
    message: str = ""
    retryable: bool = False


class LeaseExpired(msgspec.Struct, frozen=True, tag=True):
    """The session lease that this connection was opened with is no longer valid."""


class Unrecognized(msgspec.Struct, frozen=True, tag=True):
    """A well-formed frame of a kind this adapter does not translate: counted, never lost in silence.

    Attributes:
        kind: What the venue calls it, as far as that can be told.
    """

    kind: str


class Malformed(msgspec.Struct, frozen=True, tag=True):
    """A frame that could not be decoded.

    Attributes:
        error: Why: a `DataParseError`, or whatever a faulty adapter raised.
    """

    error: Exception


Control: TypeAlias = (
    "Ack | Refusal | Heartbeat | Notice | LoggedIn | LoginRefused | LeaseExpired | Unrecognized | Malformed"
)
"""A frame's meaning for the connection, as opposed to its consumers."""

Decoded: TypeAlias = "tuple[str | None, Sequence[Event | Control]]"
"""A frame's channel key, and its events or control messages."""


@attrs.frozen(kw_only=True)
class StreamLimits:
    """Limits of a venue's stream connections; each value in an adapter cites its source.

    Attributes:
        max_channels_per_connection: Channels one connection may carry.
        max_channels_per_request: Channels one subscribe frame may name.
        messages_per_second: Messages a client may send on a connection.
        max_requests: Subscribe, unsubscribe and log-in requests per ``request_window`` seconds and connection;
            ``None``: no limit besides ``messages_per_second``.
        request_window: See there.
        max_connects: Connection attempts per ``connect_window`` seconds and address.
        connect_window: See there.
        max_idle: Seconds without a message from the client after which the venue closes a connection; pings are sent
            in half of it. ``None``: it does not.
        max_connection_age: Seconds until the venue closes a connection; ``None``: no fixed limit.
        max_message_size_bytes: Largest message this venue sends.
    """

    max_channels_per_connection: int = 1024
    max_channels_per_request: int = 200
    messages_per_second: float = 5.0
    max_requests: int | None = None
    request_window: float = 3600.0
    max_connects: int = 60
    connect_window: float = 60.0
    max_idle: float | None = None
    max_connection_age: float | None = None
    max_message_size_bytes: int = 8 * 1024 * 1024


class StreamAdapter(ABC):
    """Base class of a venue's stream adapter.

    Attributes:
        exchange_name: Venue and asset type, such as ``"BINANCE___SPOT"``.
        limits: The venue's limits.
        default_url: The venue's production endpoint.
        endpoint_name: Which of the venue's endpoints this instance's connection goes to; set before it is used.
        credentials: What private channels and log-ins are signed with; set before it is used.
        transport_policy: How requests for a session lease leave this machine; set before it is used.
        now_ns: The venue's time as far as it is known, nanoseconds since the epoch (UTC), for signatures.
    """

    exchange_name: str
    default_url: str
    limits: StreamLimits = StreamLimits()
    endpoint_name: str = ""
    credentials: Credentials | None = None
    transport_policy: TransportPolicy | None = None
    now_ns: Callable[[], int] = staticmethod(time.time_ns)

    def endpoint(self, url: str, lease_key: str = "") -> str:  # noqa: ARG002
        """Return the URL to connect to for a configured ``url``, at `endpoint_name`; by default the same.

        Args:
            url: What the user configured, by default `default_url`.
            lease_key: The key of the lease that `session_lease` returned, where it returned one.
        """
        return url

    def session_lease(self, url: str) -> SessionLease | None:  # noqa: ARG002
        """Return what must be held to open `endpoint_name`, such as a listen key; ``None``: nothing.

        Args:
            url: What the user configured.
        """
        return None

    def login_frame(self, request_id: int) -> str | None:  # noqa: ARG002
        """Build the frame that logs in at `endpoint_name`, signed with `credentials`; ``None``: none is needed."""
        return None

    def probe_frame(self, request_id: int, channel: Channel) -> str:
        """Build a harmless request that a live venue answers, to tell a quiet market from a dead application.

        By default it subscribes to ``channel``, which is subscribed already, once more.
        """
        return self.subscribe_frame(request_id, [channel])

    @abstractmethod
    def channel(self, topic: str, symbol: str, params: Mapping[str, Any] | None = None) -> Channel:
        """Name the channel for a topic and an internal symbol.

        Raises:
            SubscribeError: The venue has no such topic, or a parameter is unknown or out of range;
                the text lists what there is.
            InvalidSymbolError: The symbol cannot be one of this venue's.
        """

    @abstractmethod
    def subscribe_frame(self, request_id: int, channels: Sequence[Channel]) -> str:
        """Build the frame that subscribes to ``channels``.

        From here on `decode` resolves these channels' symbols to the internal names they were asked by.
        """

    @abstractmethod
    def unsubscribe_frame(self, request_id: int, channels: Sequence[Channel]) -> str:
        """Build the frame that unsubscribes from ``channels``."""

    @abstractmethod
    def decode_frame(self, frame: bytes | str, local_time: int) -> Decoded:
        """Decode one frame, on the hot path.

        Args:
            frame: The payload of one message.
            local_time: When it left the socket, nanoseconds since the epoch (UTC).

        Returns:
            The key of the channel it belongs to (``None`` for control messages), and what it says.

        Raises:
            DataParseError: The frame is malformed. No other exception leaves this method,
                whatever the bytes.
        """

    def decode_batch(self, frames: Sequence[bytes | str], local_time: int) -> Sequence[Decoded]:
        """Decode the frames of one socket read, on the hot path. An adapter may know a quicker way than this one.

        Args:
            frames: The payloads of the messages, in order.
            local_time: When they left the socket, nanoseconds since the epoch (UTC).

        Returns:
            For each frame what `decode_frame` returns, or `Malformed` with what it raised. No frame, and no fault of
            an adapter, is a reason to end a connection.
        """
        decode = self.decode_frame
        decoded: list[Decoded] = []
        for frame in frames:
            try:
                decoded.append(decode(frame, local_time))
            except Exception as error:  # noqa: BLE001 - see above
                decoded.append((None, (Malformed(error),)))
        return decoded

    def decode(self, frame: bytes | str, local_time: int = 0) -> Sequence[Event | Control]:
        """Decode one frame and return its events and control messages.

        Raises:
            DataParseError: The frame is malformed.
        """
        return self.decode_frame(frame, local_time)[1]

    def ping_frame(self) -> str | None:
        """Return the message that keeps a connection alive, or ``None`` to use WebSocket pings."""
        return None
