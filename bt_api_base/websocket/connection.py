"""A connection that stays: connect, carry, reconnect, restore, or give up and say so.

``DISCONNECTED -> CONNECTING -> CONNECTED -> DISCONNECTED -> ...`` until `SupervisedConnection.run`
is cancelled (``CLOSED``) or the connection is given up (``FAILED``). Connecting, subscribing and
reading are one attempt: whatever fails in it counts, and only a spell of healthy data makes the
back-off start anew, so a venue that accepts and closes is not hammered.
"""

from __future__ import annotations

import ssl
import time
from typing import TYPE_CHECKING, Any

import anyio
import attrs

from bt_api_base._redaction import redact_text
from bt_api_base.event_stream.fresh_error import fresh_error
from bt_api_base.exceptions import (
    AuthenticationError,
    BannedError,
    BtApiError,
    ConfigurationError,
    SubscribeError,
    WebSocketError,
)
from bt_api_base.logging_factory import get_logger
from bt_api_base.websocket import events
from bt_api_base.websocket._unexpected import showable
from bt_api_base.websocket.backoff import Pacer, reconnect_delays
from bt_api_base.websocket.channels import ChannelEntry, ChannelTable, Consumer
from bt_api_base.websocket.connection_stats import ConnectionState, ConnectionStats
from bt_api_base.websocket.dialling import Connector, Dialler, open_connection
from bt_api_base.websocket.liveness import SilenceWatch
from bt_api_base.websocket.rotator import Rotator
from bt_api_base.websocket.session import Session, SessionObserver, SessionStats

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from anyio.abc import TaskGroup

    from bt_api_base.event_bus import EventBus
    from bt_api_base.websocket.adapter import Channel, Notice, StreamAdapter
    from bt_api_base.websocket.config import WebSocketConfig
    from bt_api_base.websocket.leg import Leg
    from bt_api_base.websocket.rotation import Rotation

__all__ = ("SupervisedConnection",)


def _is_fatal(error: BaseException | None) -> bool:
    """Whether trying again cannot help: the settings are wrong, or the peer is not who it should be."""
    while error is not None:
        if isinstance(error, (ConfigurationError, AuthenticationError, BannedError, ssl.SSLCertVerificationError)):
            return True
        error = error.__cause__
    return False


@attrs.define(eq=False)
class SupervisedConnection:
    """One connection to a venue, kept alive. Its owner runs `run` in a task group.

    Attributes:
        config: How to reach the venue.
        make_adapter: Makes an adapter, which says what the venue's frames mean, for each connection that is made.
        bus: Where connection events and data go.
        connection_id: A name for logs and events.
        connector: Opens a WebSocket.
        connect_pacer: Keeps to the venue's limit of connects; by default for this connection alone.
        delays: Makes the delays between attempts.
        on_failed: Called when the connection is given up, while its consumers can still be saved.
        adapter: An adapter for naming channels, without a connection.
        state: Where the connection stands.
    """

    config: WebSocketConfig
    make_adapter: Callable[[], StreamAdapter]
    bus: EventBus
    connection_id: str
    connector: Connector = attrs.field(default=open_connection, kw_only=True)
    connect_pacer: Pacer | None = attrs.field(default=None, kw_only=True)
    delays: Callable[[WebSocketConfig], Iterator[float]] = attrs.field(
        default=lambda config: reconnect_delays(config.reconnect_interval, config.max_reconnect_interval),
        kw_only=True,
    )
    on_failed: Callable[[SupervisedConnection], None] | None = attrs.field(default=None, kw_only=True)
    state: ConnectionState = attrs.field(default=ConnectionState.DISCONNECTED, init=False)
    adapter: StreamAdapter = attrs.field(init=False)
    _table: ChannelTable = attrs.field(init=False)
    _stats: SessionStats = attrs.field(factory=SessionStats, init=False)
    _dialler: Dialler = attrs.field(init=False)
    _leg: Leg | None = attrs.field(default=None, init=False)
    _rotator: Rotator = attrs.field(init=False)
    _generation: int = attrs.field(default=0, init=False)
    _reconnects: int = attrs.field(default=0, init=False)
    _rotations: int = attrs.field(default=0, init=False)
    _failures: int = attrs.field(default=0, init=False)
    _handler_errors: int = attrs.field(default=0, init=False)
    _last_error: Exception | None = attrs.field(default=None, init=False)
    _tasks: TaskGroup = attrs.field(init=False)
    _log: Any = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._log = get_logger("websocket")
        self.adapter = self.make_adapter()
        self._table = ChannelTable(self.bus, self.config.exchange_name)
        self._rotator = Rotator(self, lambda: self.delays(self.config))
        limits = self.adapter.limits
        self._dialler = Dialler(
            self.config,
            self.make_adapter,
            self.connector,
            self.connect_pacer or Pacer(limits.max_connects, limits.connect_window),
            self._lease_replaced,
        )

    # -- supervision -----------------------------------------------------------------------------

    async def run(self) -> None:
        """Connect and stay connected until cancelled, or until the connection is given up.

        Giving up is not an exception here, so that one venue does not end the others: it is the
        state ``FAILED``, the event ``ws.failed``, and the error at every consumer.

        Cancellation: closes the socket within ``close_timeout`` and ends every subscription.
        """
        try:
            async with anyio.create_task_group() as self._tasks:
                self._tasks.start_soon(self._rotator.run)
                self._tasks.start_soon(SilenceWatch(self).run)
                await self._supervise()
                self._tasks.cancel_scope.cancel()
        finally:
            if self.state is not ConnectionState.FAILED:
                self.state = ConnectionState.CLOSED
            self._rotator.end()
            self._table.end_all()

    async def _supervise(self) -> None:
        """Replace each connection that ends by another one, until it is given up."""
        delays = self.delays(self.config)
        while True:
            leg = self._leg or self._start(succeeds=False)
            await leg.ended.wait()
            if leg is not self._leg:
                continue  # another has taken over
            succeeded = self._lost(leg)
            error = self._last_error = leg.failure
            self._forgive_failures(leg)
            if not self._failures:
                delays = self.delays(self.config)
            if succeeded:
                continue
            self._failures += 1
            limit = self.config.max_reconnect_attempts
            if _is_fatal(error) or (limit is not None and self._failures > limit):
                self._give_up(error)
                return
            # A venue that turns connections away may say when it will not.
            delay = max(next(delays), getattr(error, "retry_after", None) or 0.0)
            self.emit(events.Reconnecting, attempt=self._failures, delay=delay, reason=str(error))
            await anyio.sleep(delay)

    def _forgive_failures(self, leg: Leg) -> None:
        """If data flowed over a connection for a while, what failed before it no longer counts."""
        if leg.is_healthy(self.config.healthy_after):
            self._failures = 0

    def _start(self, *, succeeds: bool) -> Leg:
        leg = self._dialler.new_leg(succeeds=succeeds)
        if not succeeds:
            self._leg = leg
            self.state = ConnectionState.CONNECTING
        self._tasks.start_soon(self._carry, leg)
        return leg

    async def _carry(self, leg: Leg) -> None:
        """Connect once and carry the connection to its end."""
        try:
            with leg.scope:
                await self._connect_and_run(leg)
        except (BtApiError, OSError, anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
            leg.error = error
            if isinstance(error, WebSocketError) and not error.exchange_name:
                error.exchange_name = self.config.exchange_name  # which the transport does not know
        except Exception as error:  # noqa: BLE001 - a bug in an adapter must reach this venue's consumers, and only them
            self._log.exception("connection failed unexpectedly", connection=self.connection_id)
            leg.error = WebSocketError(self.config.exchange_name, f"internal failure: {type(error).__name__}: {error}")
            leg.error.__cause__ = showable(error)
        finally:
            if leg.session is not None:
                leg.session.abandon_held()
            leg.ended.set()
            self._rotator.notify()

    async def _connect_and_run(self, leg: Leg) -> None:
        async with self._dialler.connect(leg, self._tasks) as ws:
            leg.session = Session(
                ws,
                self.config,
                leg.adapter,
                self._table,
                self._stats,
                self._observer(leg),
                held={} if leg.succeeds else None,
            )
            self._generation += 1
            leg.generation = self._generation
            if not leg.succeeds:
                self._reconnects += leg.generation > 1
                self._connected(leg)
            self._rotator.notify()
            await leg.session.run()

    def _connected(self, leg: Leg) -> None:
        # One that was to take over may have logged in before.
        logged_in = leg.session is not None and leg.session.subscriber.is_logged_in
        self.state = ConnectionState.AUTHENTICATED if logged_in else ConnectionState.CONNECTED
        self.emit(events.Connected, generation=leg.generation)

    def _lost(self, leg: Leg) -> bool:
        """The connection that delivered has ended: let the one that was to take over do so; return if there is one."""
        rotation = self._rotator.interrupt()
        successor = None if rotation is None or rotation.new.ended.is_set() else rotation.new
        self._leg = successor
        self.state = ConnectionState.DISCONNECTED if successor is None else ConnectionState.CONNECTING
        session = leg.session
        if session is not None:
            self.emit(
                events.Disconnected,
                generation=leg.generation,
                reason=str(leg.failure),
                close_code=getattr(leg.failure, "close_code", None),
                last_frame_time=session.last_frame_time,
            )
        if rotation is not None and successor is None:
            rotation.abandon()
        if successor is None or successor.session is None:
            self._table.suspend_all(
                time.time_ns() if session is None else session.last_frame_time or session.opened_time
            )
        if rotation is not None and successor is not None:
            successor.succeeds = False
            if successor.session is None:
                rotation.abandon()
            else:
                self._stats.events += rotation.take_over()
                self._reconnects += 1
                self._connected(successor)
        self._rotator.notify()
        return successor is not None

    def _give_up(self, cause: Exception) -> None:
        error = self._failure(cause)
        self.state = ConnectionState.FAILED
        self._last_error = error
        self.emit(events.Failed, attempts=self._failures, reason=str(cause))
        if self.on_failed is not None and not isinstance(error, AuthenticationError):
            self.on_failed(self)
        for entry in self._table:
            entry.fail(error)
            self._table.discard(entry)

    def _failure(self, cause: Exception) -> BtApiError:
        attempts = f"{self._failures} attempt" + "s" * (self._failures != 1)
        text = f"connection {self.connection_id} given up after {attempts}: {cause}"
        error: BtApiError
        if isinstance(cause, AuthenticationError):
            error = AuthenticationError(
                self.config.exchange_name, text, venue_code=cause.venue_code, venue_message=cause.venue_message
            )
        else:
            error = WebSocketError(self.config.exchange_name, text, close_code=getattr(cause, "close_code", None))
        error.__cause__ = cause
        return error

    @property
    def failure(self) -> Exception | None:
        """Why the connection has been given up, if it has."""
        return self._last_error if self.state is ConnectionState.FAILED else None

    # -- rotation --------------------------------------------------------------------------------

    async def rotate(self, reason: str = "on request") -> None:
        """Replace the connection by a new one, make before break.

        Raises:
            WebSocketError: It is not connected, or the new connection could not take over; the old one goes on then.

        Cancellation: the rotation goes on.
        """
        if self.session is None:
            raise WebSocketError(self.config.exchange_name, f"{self.connection_id} is not connected: nothing to rotate")
        await self._rotator.rotate(reason)

    def request_rotation(self, reason: str) -> None:
        """Have the connection replaced, make before break, and do not wait for it."""
        self._rotator.request(reason)

    def start_successor(self) -> Leg:
        """Begin to make the connection that is to take over. For the rotator."""
        return self._start(succeeds=True)

    def succeed(self, rotation: Rotation) -> None:
        """Let the new connection take over, and close the old one. For the rotator."""
        old, new = rotation.old, rotation.new
        self._forgive_failures(old)
        self._leg = new
        new.succeeds = False
        self._stats.events += rotation.take_over()
        self._rotations += 1
        if old.session is not None:
            old.session.retire()  # it may read once more before the cancellation reaches it
        old.scope.cancel()
        self._rotator.notify()

    # -- subscriptions ---------------------------------------------------------------------------

    def want(self, channel: Channel, consumer: Consumer) -> ChannelEntry:
        """Deliver a channel's events to ``consumer`` from when the venue confirms it, and do not wait for that.

        A channel that another consumer has already is joined without asking the venue again.

        Raises:
            BtApiError: The connection has been given up; why.
        """
        if self.failure is not None:
            raise fresh_error(self.failure)
        entry = self._table.add(channel, consumer)
        entry.carrier = self
        return entry

    async def subscribe(self, channel: Channel, consumer: Consumer) -> ChannelEntry:
        """Deliver a channel's events to ``consumer``, and return once the venue has confirmed it.

        Raises:
            SubscribeError: The venue refused, in its own words, or did not answer in time.
            BtApiError: The connection has been given up; why.

        Cancellation: the wish is withdrawn; the venue is told to stop if it had been asked.
        """
        entry = self.want(channel, consumer)
        try:
            with anyio.fail_after(self.config.subscribe_timeout):
                await entry.wait_settled()
        except TimeoutError:
            entry.drop(consumer)
            raise self.unanswered(channel) from self._last_error
        except BaseException:
            entry.drop(consumer)
            raise
        return entry

    def unsubscribe(self, entry: ChannelEntry, consumer: Consumer) -> None:
        """Stop delivering to ``consumer``. When it was the channel's last, the venue is told to stop."""
        self._table.remove(entry, consumer)

    def adopt(self, entry: ChannelEntry) -> None:
        """Carry a channel, with its consumers, that another connection carried until now."""
        entry.suspend(time.time_ns())
        entry.carrier = self
        self._table.adopt(entry)

    async def wait_unsubscribed(self, entry: ChannelEntry) -> None:
        """Wait until the venue has confirmed that it stopped sending the entry's channel.

        Returns at once when somebody else still wants the channel, or nothing is connected.

        Cancellation: nothing changes.
        """
        if self._leg is not None and self._leg.session is not None:
            await self._leg.session.subscriber.wait_stopped(entry.channel.key)

    def unanswered(self, channel: Channel) -> SubscribeError:
        """Return the error for a channel that the venue has not confirmed in time."""
        waited = f"no acknowledgement within {self.config.subscribe_timeout:g} s"
        if self.session is None:
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
            reconnects=self._reconnects,
            rotations=self._rotations,
            duplicates=self._table.duplicates,
            gaps=self._table.gaps,
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
    def leg(self) -> Leg | None:
        """The connection that delivers, or is to."""
        return self._leg

    @property
    def session(self) -> Session | None:
        """The session that delivers, if there is one."""
        return self._leg.session if self._leg is not None and self._leg.is_open else None

    @property
    def channels(self) -> ChannelTable:
        """The wanted channels."""
        return self._table

    def handler_error(self, error: Exception) -> None:
        """Count and log an exception of a consumer's callback or of a handler on the bus."""
        self._handler_errors += 1
        self._log.error("handler raised", connection=self.connection_id, exc_info=error)

    def _observer(self, leg: Leg) -> SessionObserver:
        return SessionObserver(
            bad_frame=lambda error: self.emit(events.BadFrame, reason=str(error)),
            notice=lambda notice: self._noticed(leg, notice),
            restored=lambda restored, total: self._restored(leg, restored, total),
            stale=lambda silence: self.emit(events.Stale, silence=silence),
            logged_in=lambda: self._logged_in(leg),
            lease_expired=lambda: self._lease_expired(leg),
        )

    def _restored(self, leg: Leg, restored: int, total: int) -> None:
        if not leg.succeeds:
            self.emit(events.Resubscribed, generation=leg.generation, restored=restored, total=total)

    def _logged_in(self, leg: Leg) -> None:
        if leg is self._leg:
            self.state = ConnectionState.AUTHENTICATED
        self.emit(events.Authenticated, generation=leg.generation)

    def _lease_replaced(self) -> None:
        if self.session is not None:  # else the next connection is made with the new one in any case
            self.request_rotation("another session lease took the place of the last")

    def _lease_expired(self, leg: Leg) -> None:
        self._dialler.lease_expired(leg)
        if leg.session is not None:
            leg.session.fail(WebSocketError(self.config.exchange_name, "the session lease expired"))

    def _noticed(self, leg: Leg, notice: Notice) -> None:
        self.emit(events.VenueNotice, kind=notice.kind, message=notice.message, closing=notice.closing)
        if not notice.closing or leg.session is None:
            return
        if leg is self._leg:
            self.request_rotation(f"the venue announced {notice.kind}")
        else:
            leg.session.fail(WebSocketError(self.config.exchange_name, f"the venue announced {notice.kind}"))

    def emit(self, event_type: type[events.ConnectionEvent], **fields: object) -> None:
        """Put an event of the connection on the bus."""
        event = event_type(
            exchange_name=self.config.exchange_name,
            connection_id=self.connection_id,
            local_time=time.time_ns(),
            # A venue's words may repeat what it was told, and the bus leads anywhere.
            **{name: redact_text(value) if isinstance(value, str) else value for name, value in fields.items()},
        )
        try:
            self.bus.emit(events.NAMES[event_type], event)
        except Exception as error:  # noqa: BLE001 - a bus that raises must not end the supervision
            self.handler_error(error)
