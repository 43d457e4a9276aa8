"""What makes one simulated venue speak differently from another.

A `Dialect` belongs to a venue; for each connection it makes a `DialectClient`, which holds what the client has
subscribed to and answers its messages. Neither knows of sockets, markets or time. Everything else is shared:

* `venue.Venue` runs the server, the connections, the faults and the records. It takes a dialect.
* `market_venue.MarketVenue` is a `Venue` over seeded markets at their own pace; override `_follow_step` and
  `_follow_period` to turn what happens in a market into events, and `_parse_stream` to say what a stream's name means.

To add a dialect: (1) subclass `Dialect`: `default_options` (limits, pings), `path`, `client` (which parses the target
of the handshake; None is HTTP 404), `payload` (how an event of a stream is framed), `shutdown_notice`, `garbage`.
(2) Subclass `DialectClient`: `answer` returns an `Answer` with one `Reply` for each message to send, and the streams
that were added and removed. Ask `faults.login_refusal()` before a log-in succeeds, `faults.stream_refusal(name)` before
a stream is added, and leave out what `faults.is_ignored(name)` says: then every fault works in the dialect, too.
(3) Subclass `MarketVenue` (or `Venue`) and call `self._publish(feed, event_id, event)`.

A stream is named by any text, for example "btcusdt@trade" or "trades:BTC-USDT"; an event is encoded once for each
`form` in which connections get it, and only if somebody listens.
"""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import msgspec

if TYPE_CHECKING:
    from bt_api_base.testing.garbage import GarbageKind
    from bt_api_base.testing.venue_faults import RequestFaults
    from bt_api_base.testing.venue_options import VenueOptions

Form: TypeAlias = Hashable
"""How a connection gets its data, for example wrapped or not; what has the same form gets the same bytes."""

Event: TypeAlias = bytes | Callable[[Any], bytes]
"""One event of a stream: its data, or what makes them when somebody listens; the dialect knows from what."""


class ReplyKind(enum.Enum):
    """What a reply means, for faults and records."""

    ACK = "ack"
    """Says that streams were subscribed to or left."""
    LOGIN = "login"
    """Says that a log-in succeeded."""
    REFUSAL = "refusal"
    """Refuses a request, or a part of it, or a log-in."""
    HEARTBEAT = "heartbeat"
    """Answers a ping in the form of text; such a message is no request."""
    OTHER = "other"
    """Anything else, for example a list."""


class Reply(msgspec.Struct, frozen=True):
    """One message that answers another.

    Attributes:
        payload: The payload of the text frame to send.
        kind: What it means.
    """

    payload: bytes
    kind: ReplyKind = ReplyKind.OTHER


class Answer(msgspec.Struct, frozen=True):
    """What a message of a client leads to.

    Attributes:
        replies: What to send, in order, before any data of what was added.
        added: Streams that are subscribed to from now on.
        removed: Streams that are not subscribed to any more.
        close: Close code and reason, where the venue closes the connection after its replies.
    """

    replies: tuple[Reply, ...]
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    close: tuple[int, str] | None = None

    @property
    def is_request(self) -> bool:
        """Whether the message was more than a heartbeat."""
        return not self.replies or any(reply.kind is not ReplyKind.HEARTBEAT for reply in self.replies)

    @property
    def refusals(self) -> int:
        """Number of replies that refuse."""
        return sum(reply.kind is ReplyKind.REFUSAL for reply in self.replies)


class DialectClient(ABC):
    """One connection's subscriptions, changed by its messages. Nothing here may block."""

    @property
    @abstractmethod
    def streams(self) -> tuple[str, ...]:
        """The streams subscribed to, the oldest first. Those there from the start are the target's."""

    @property
    def form(self) -> Form:
        """How it gets its data; may change with a message."""
        return None

    @abstractmethod
    def answer(self, message: bytes) -> Answer:
        """Do what a message asks for.

        Args:
            message: The text message from the client; it may be anything.
        """


class Dialect(ABC):
    """What one kind of venue makes of targets, messages and events."""

    default_options: ClassVar[VenueOptions] = {}
    """The venue's own limits and times, where no option says otherwise."""
    path: ClassVar[str] = "/"
    """Path of the URL that a venue gives as its own."""
    flood_close: ClassVar[tuple[int, str]] = (1008, "Too many requests")
    """Close code and reason for a client that sends too many messages."""
    age_close: ClassVar[tuple[int, str]] = (1001, "Connection too old")
    """Close code and reason for a connection that has reached its age."""
    idle_close: ClassVar[tuple[int, str]] = (1001, "Connection idle")
    """Close code and reason for a connection that has been idle for too long."""

    @abstractmethod
    def client(self, target: str, options: VenueOptions, faults: RequestFaults) -> DialectClient | None:
        """Return a new connection's client, or None if there is nothing at that path.

        Args:
            target: Path and query of the handshake.
            options: The venue's options, with the dialect's defaults.
            faults: What to ask before something succeeds.
        """

    def payload(self, stream: str, form: Form, event: Event) -> bytes:
        """Return the payload of an event's frame.

        Args:
            stream: The stream's name.
            form: The form in which it is wanted.
            event: The event; by default its data are the payload, and what makes them is called with the form.
        """
        del stream
        return event if isinstance(event, bytes) else event(form)

    @abstractmethod
    def shutdown_notice(self, client: DialectClient, time_us: int) -> bytes:
        """Return the payload that says that the server is about to go.

        Args:
            client: Whom to tell.
            time_us: Now, in microseconds since the epoch.
        """

    @abstractmethod
    def garbage(self, client: DialectClient, kind: GarbageKind) -> bytes:
        """Return the payload of a frame that the venue should not send.

        Args:
            client: Who gets it.
            kind: What is wrong with it.
        """


__all__ = ("Answer", "Dialect", "DialectClient", "Event", "Form", "Reply", "ReplyKind")
