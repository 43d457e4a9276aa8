"""A connection that stays: connect, carry, reconnect, restore, or give up and say so.

``DISCONNECTED -> CONNECTING -> CONNECTED -> DISCONNECTED -> ...`` until `SupervisedConnection.run`
is cancelled (``CLOSED``) or the connection is given up (``FAILED``). Connecting, subscribing and
reading are one attempt: whatever fails in it counts, and only a spell of healthy data makes the
back-off start anew, so a venue that accepts and closes is not hammered.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from enum import Enum
from typing import TYPE_CHECKING, Any

import anyio
import attrs

from bt_api_base.exceptions import ConfigurationError, SubscribeError, WebSocketError
from bt_api_base.logging_factory import get_logger
from bt_api_base.websocket import events
from bt_api_base.websocket.adapter import Channel, Notice, StreamAdapter
from bt_api_base.websocket.backoff import reconnect_delays
from bt_api_base.websocket.channels import ChannelEntry, ChannelTable, Consumer
from bt_api_base.websocket.client import WebSocket, open_websocket
from bt_api_base.websocket.config import WebSocketConfig
from bt_api_base.websocket.session import Session, SessionObserver, SessionStats

if TYPE_CHECKING:
    from bt_api_base.event_bus import EventBus

__all__ = ("ConnectionState", "ConnectionStats", "Connector", "SupervisedConnection", "open_connection")

Connector = Callable[[WebSocketConfig, StreamAdapter], AbstractAsyncContextManager[WebSocket]]
"""Opens a WebSocket for a configuration: the seam at which tests put a transport of their own."""


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
        reconnects: Of these, all but the first.
        consecutive_failures: Failed attempts since data last flowed healthily.
        subscriptions: Channels wanted.
        frames: Application frames; the sum of the next four.
        data_frames: Frames routed to a channel.
        control_frames: Acknowledgements, refusals, heartbeats, notices, unknown kinds.
        unrouted_frames: Data for channels nobody wants.
        bad_frames: Frames that could not be decoded.
        unrecognized: Of the control frames, those of a kind the adapter does not translate.
        events: Events delivered.
        batches: Socket reads.
        handler_errors: Callbacks that raised. Handlers on the bus are counted there.
        last_error: Why the last attempt or connection ended; empty if none has.
    """

    exchange_name: str
    connection_id: str
    state: ConnectionState
    generation: int
    reconnects: int
    consecutive_failures: int
    subscriptions: int
    frames: int
    data_frames: int
    control_frames: int
    unrouted_frames: int
    bad_frames: int
    unrecognized: int
    events: int
    batches: int
    handler_errors: int
    last_error: str


def open_connection(config: WebSocketConfig, adapter: StreamAdapter) -> AbstractAsyncContextManager[WebSocket]:
    """Open a WebSocket as ``config`` says, at the endpoint the adapter chooses. The default `Connector`."""
    return open_websocket(
        adapter.endpoint(config.url),
        transport=config.transport,
        headers=config.headers,
        ssl_context=config.ssl_context,
        compression=config.compression,
        max_message_size=config.max_message_size or adapter.limits.max_message_size_bytes,
        connect_timeout=config.connect_timeout,
        close_timeout=config.close_timeout,
    )


def _is_fatal(error: BaseException | None) -> bool:
    """Whether trying again cannot help: the settings are wrong, or the peer is not who it should be."""
    while error is not None:
        if isinstance(error, (ConfigurationError, ssl.SSLCertVerificationError)):
            return True
        error = error.__cause__
    return False


@attrs.define(eq=False)
class SupervisedConnection:
    """One connection to a venue, kept alive. Its owner runs `run` in a task group.

    Attributes:
        config: How to reach the venue.
        adapter: What the venue's frames mean.
        bus: Where connection events and data go.
        connection_id: A name for logs and events.
        state: Where the connection stands.
    """

    config: WebSocketConfig
    adapter: StreamAdapter
    bus: EventBus
    connection_id: str
    connector: Connector = attrs.field(default=open_connection, kw_only=True)
    delays: Callable[[WebSocketConfig], Iterator[float]] = attrs.field(
        default=lambda config: reconnect_delays(config.reconnect_interval, config.max_reconnect_interval),
        kw_only=True,
    )
    state: ConnectionState = attrs.field(default=ConnectionState.DISCONNECTED, init=False)
    _table: ChannelTable = attrs.field(init=False)
    _stats: SessionStats = attrs.field(factory=SessionStats, init=False)
    _session: Session | None = attrs.field(default=None, init=False)
    _generation: int = attrs.field(default=0, init=False)
    _failures: int = attrs.field(default=0, init=False)
    _handler_errors: int = attrs.field(default=0, init=False)
    _last_error: Exception | None = attrs.field(default=None, init=False)
    _log: Any = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._log = get_logger("websocket")
        self._table = ChannelTable(self.bus)

    # -- supervision -----------------------------------------------------------------------------

    async def run(self) -> None:
        """Connect and stay connected until cancelled, or until the connection is given up.

        Giving up is not an exception here, so that one venue does not end the others: it is the
        state ``FAILED``, the event ``ws.failed``, and a `WebSocketError` at every consumer.

        Cancellation: closes the socket within ``close_timeout`` and ends every subscription.
        """
        delays = self.delays(self.config)
        try:
            while True:
                error, healthy = await self._attempt()
                self._last_error = error
                if healthy:
                    self._failures = 0
                    delays = self.delays(self.config)
                self._failures += 1
                limit = self.config.max_reconnect_attempts
                if _is_fatal(error) or (limit is not None and self._failures > limit):
                    self._give_up(error)
                    return
                delay = next(delays)
                self._emit(events.Reconnecting, attempt=self._failures, delay=delay, reason=str(error))
                await anyio.sleep(delay)
        finally:
            if self.state is not ConnectionState.FAILED:
                self.state = ConnectionState.CLOSED
            self._table.end_all()

    async def _attempt(self) -> tuple[Exception, bool]:
        """Connect once and carry the connection to its end; return why it ended, and whether data flowed well."""
        self.state = ConnectionState.CONNECTING
        session: Session | None = None
        error: Exception = WebSocketError(self.config.exchange_name, "the session ended")
        try:
            async with self.connector(self.config, self.adapter) as ws:
                session = self._session = Session(
                    ws, self.config, self.adapter, self._table, self._stats, self._observer()
                )
                self._generation += 1
                self.state = ConnectionState.CONNECTED
                self._emit(events.Connected, generation=self._generation)
                await session.run()
        except (WebSocketError, ConfigurationError, OSError, anyio.BrokenResourceError, anyio.ClosedResourceError) as e:
            error = e
            if isinstance(e, WebSocketError) and not e.exchange_name:
                e.exchange_name = self.config.exchange_name  # which the transport does not know
        except Exception as e:  # noqa: BLE001 - a bug in an adapter must reach this venue's consumers, and only them
            self._log.exception("connection failed unexpectedly", connection=self.connection_id)
            error = WebSocketError(self.config.exchange_name, f"internal failure: {type(e).__name__}: {e}")
            error.__cause__ = e
        finally:
            self._session = None
            self.state = ConnectionState.DISCONNECTED
            self._table.suspend_all()
        if session is None:
            return error, False
        self._emit(
            events.Disconnected,
            generation=self._generation,
            reason=str(error),
            close_code=getattr(error, "close_code", None),
            last_frame_time=session.last_frame_time,
        )
        if session.first_event_at is None:
            return error, False
        return error, session.last_event_at - session.first_event_at >= self.config.healthy_after

    def _give_up(self, cause: Exception) -> None:
        error = self._failure(cause)
        self.state = ConnectionState.FAILED
        self._last_error = error
        self._emit(events.Failed, attempts=self._failures, reason=str(cause))
        for entry in self._table:
            entry.fail(error)
            self._table.discard(entry)

    def _failure(self, cause: Exception) -> WebSocketError:
        attempts = f"{self._failures} attempt" + "s" * (self._failures != 1)
        error = WebSocketError(
            self.config.exchange_name,
            f"connection {self.connection_id} given up after {attempts}: {cause}",
            close_code=getattr(cause, "close_code", None),
        )
        error.__cause__ = cause
        return error

    # -- subscriptions ---------------------------------------------------------------------------

    async def subscribe(self, channel: Channel, consumer: Consumer) -> ChannelEntry:
        """Deliver a channel's events to ``consumer``, and return once the venue has confirmed it.

        A channel that another consumer has already is joined without asking the venue again.

        Raises:
            SubscribeError: The venue refused, in its own words, or did not answer in time.
            WebSocketError: The connection has been given up.

        Cancellation: the wish is withdrawn; the venue is told to stop if it had been asked.
        """
        if self.state is ConnectionState.FAILED and self._last_error is not None:
            raise self._last_error
        entry = self._table.add(channel, consumer)
        try:
            with anyio.fail_after(self.config.subscribe_timeout):
                await entry.wait_settled()
        except TimeoutError:
            self._table.remove(entry, consumer)
            raise self._unanswered(channel) from self._last_error
        except BaseException:
            self._table.remove(entry, consumer)
            raise
        return entry

    def unsubscribe(self, entry: ChannelEntry, consumer: Consumer) -> None:
        """Stop delivering to ``consumer``. When it was the channel's last, the venue is told to stop."""
        self._table.remove(entry, consumer)

    async def wait_unsubscribed(self, entry: ChannelEntry) -> None:
        """Wait until the venue has confirmed that it stopped sending the entry's channel.

        Returns at once when somebody else still wants the channel, or nothing is connected.

        Cancellation: nothing changes.
        """
        if self._session is not None:
            await self._session.wait_stopped(entry.channel.key)

    def _unanswered(self, channel: Channel) -> SubscribeError:
        waited = f"no acknowledgement within {self.config.subscribe_timeout:g} s"
        if self.state is not ConnectionState.CONNECTED:
            waited = f"not connected within {self.config.subscribe_timeout:g} s"
            if self._last_error is not None:
                waited += f"; the last attempt ended with: {self._last_error}"
        return SubscribeError(self.config.exchange_name, waited, topic=channel.topic, symbol=channel.symbol)

    # -- reports ---------------------------------------------------------------------------------

    def get_stats(self) -> ConnectionStats:
        """Return the connection's state and counters."""
        return ConnectionStats(
            exchange_name=self.config.exchange_name,
            connection_id=self.connection_id,
            state=self.state,
            generation=self._generation,
            reconnects=max(0, self._generation - 1),
            consecutive_failures=self._failures,
            subscriptions=len(self._table),
            handler_errors=self._handler_errors,
            last_error="" if self._last_error is None else str(self._last_error),
            data_frames=self._stats.frames
            - self._stats.control_frames
            - self._stats.unrouted_frames
            - self._stats.bad_frames,
            **attrs.asdict(self._stats),
        )

    @property
    def channels(self) -> ChannelTable:
        """The wanted channels."""
        return self._table

    def handler_error(self, error: Exception) -> None:
        """Count and log an exception of a consumer's callback or of a handler on the bus."""
        self._handler_errors += 1
        self._log.error("handler raised", connection=self.connection_id, exc_info=error)

    def _observer(self) -> SessionObserver:
        return SessionObserver(
            bad_frame=lambda error: self._emit(events.BadFrame, reason=str(error)),
            notice=self._noticed,
            restored=lambda restored, total: self._emit(
                events.Resubscribed, generation=self._generation, restored=restored, total=total
            ),
            stale=lambda silence: self._emit(events.Stale, silence=silence),
        )

    def _noticed(self, notice: Notice) -> None:
        self._emit(events.VenueNotice, kind=notice.kind, message=notice.message, closing=notice.closing)
        if notice.closing and self._session is not None:
            # The venue is about to hang up: leaving first is quicker than waiting for it.
            self._session.fail(WebSocketError(self.config.exchange_name, f"the venue announced {notice.kind}"))

    def _emit(self, event_type: type[events.ConnectionEvent], **fields: object) -> None:
        event = event_type(
            exchange_name=self.config.exchange_name,
            connection_id=self.connection_id,
            local_time=time.time_ns(),
            **fields,
        )
        try:
            self.bus.emit(events.NAMES[event_type], event)
        except Exception as error:  # noqa: BLE001 - a bus that raises must not end the supervision
            self.handler_error(error)
