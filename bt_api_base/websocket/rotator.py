"""When a connection is replaced, make before break, and who hears of it."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Protocol

import anyio
import attrs

from bt_api_base.event_stream.fresh_error import fresh_error
from bt_api_base.exceptions import AuthenticationError, BtApiError, WebSocketError
from bt_api_base.websocket import events
from bt_api_base.websocket.rotation import Rotation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bt_api_base.websocket.channels import ChannelTable
    from bt_api_base.websocket.config import WebSocketConfig
    from bt_api_base.websocket.leg import Leg

__all__ = ("RotatedConnection", "Rotator")

_AFTER_REFUSED_LOGIN = 900.0
"""Seconds until the next attempt where the venue refused the log-in: going on quickly would lead to a ban."""


class RotatedConnection(Protocol):
    """What is rotated."""

    @property
    def config(self) -> WebSocketConfig:
        """Time limits."""
        ...

    @property
    def channels(self) -> ChannelTable:
        """What is carried over."""
        ...

    @property
    def leg(self) -> Leg | None:
        """The connection that delivers."""

    def start_successor(self) -> Leg:
        """Begin to make the connection that is to take over."""
        ...

    def succeed(self, rotation: Rotation) -> None:
        """Let the new connection take over, and close the old one."""

    def emit(self, event_type: type[events.ConnectionEvent], **fields: object) -> None:
        """Put an event of the connection on the bus."""


@attrs.define(eq=False)
class _Outcome:
    """What a rotation that somebody waits for came to."""

    known: anyio.Event = attrs.field(factory=anyio.Event)
    error: Exception | None = None


@attrs.define(eq=False)
class Rotator:
    """Replaces a connection when it has become old, when the venue announces its end, and on request.

    Attributes:
        connection: What is rotated.
        delays: Makes the delays between attempts that fail.
    """

    connection: RotatedConnection
    delays: Callable[[], Iterator[float]]
    _reason: str = attrs.field(default="", init=False)
    _outcomes: list[_Outcome] = attrs.field(factory=list["_Outcome"], init=False)
    _rotation: Rotation | None = attrs.field(default=None, init=False)
    _news: anyio.Event = attrs.field(factory=anyio.Event, init=False)

    # -- what others say ---------------------------------------------------------------------------

    def notify(self) -> None:
        """A connection has come or gone."""
        self._news.set()
        self._news = anyio.Event()

    def request(self, reason: str) -> None:
        """Have the connection replaced, and do not wait for it."""
        self._reason = self._reason or reason
        self.notify()

    async def rotate(self, reason: str) -> None:
        """Have the connection replaced, and wait for it.

        Raises:
            WebSocketError: The new connection could not take over; the old one goes on, if it is still there.

        Cancellation: the rotation goes on.
        """
        outcome = _Outcome()
        self._outcomes.append(outcome)
        self.request(reason)
        await outcome.known.wait()
        if outcome.error is not None:
            raise fresh_error(outcome.error)

    def end(self) -> None:
        """The connection is over, and so are all rotations."""
        self._finish(WebSocketError(self.connection.config.exchange_name, "the connection is closed"))

    def interrupt(self) -> Rotation | None:
        """The connection that delivered is lost: return the rotation that was under way, which is the caller's now."""
        rotation, self._rotation = self._rotation, None
        self._reason = ""
        if rotation is None:
            self._finish(self._lost())  # what was asked for and has not begun, the reconnection has done
        return rotation

    # -- the task ----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Rotate whenever it is due, until cancelled.

        Cancellation: the connection that was to take over is its owner's to close.
        """
        delays = self._later_delays()
        while True:
            reason = await self._wait_due()
            started, asked_for = anyio.current_time(), bool(self._outcomes)
            age = self._age()
            error = await self._rotate(reason, started)
            self._finish(error)
            if error is not None:
                await self._wait_after(error, reason, next(delays))
            elif age >= self.connection.config.healthy_after:
                delays = self._later_delays()
            elif not asked_for:
                # A venue that announces the end of each new connection is not to be hammered either.
                await self._wait_or_asked(next(delays))

    async def _wait_after(self, error: Exception, reason: str, delay: float) -> None:
        """Say why a rotation failed, and wait for the next attempt."""
        # A venue that turns connections away may say when it will not.
        imposed = getattr(error, "retry_after", None) or 0.0
        if isinstance(error, AuthenticationError):
            imposed = max(imposed, _AFTER_REFUSED_LOGIN)
        delay = max(delay, imposed)
        self.connection.emit(events.RotationFailed, reason=f"{reason}: {error}", delay=delay)
        await anyio.sleep(imposed)
        await self._wait_or_asked(delay - imposed)

    async def _wait_or_asked(self, delay: float) -> None:
        """Wait, but not while somebody waits for a rotation."""
        with anyio.move_on_after(delay):
            while not self._outcomes:
                await self._news.wait()

    def _age(self) -> float:
        """Return for how many seconds the connection that delivers has been there."""
        leg = self.connection.leg
        return 0.0 if leg is None or leg.session is None else anyio.current_time() - leg.session.opened_at

    def _finish(self, error: Exception | None) -> None:
        """Tell those who wait what it came to."""
        outcomes, self._outcomes = self._outcomes, []
        for outcome in outcomes:
            outcome.error = error
            outcome.known.set()

    def _lost(self) -> WebSocketError:
        return WebSocketError(self.connection.config.exchange_name, "the old connection was lost meanwhile")

    def _later_delays(self) -> Iterator[float]:
        """Return the delays without the first, which is none: the old connection is there, so nothing is urgent."""
        return islice(self.delays(), 1, None)

    async def _wait_due(self) -> str:
        """Wait until the connection that delivers is to be replaced, and return why."""
        while True:
            news, leg = self._news, self.connection.leg
            if leg is None or leg.session is None or leg.ended.is_set():
                await news.wait()
                continue
            if self._reason:
                return self._reason
            due = leg.session.opened_at + leg.lifetime
            if anyio.current_time() >= due:
                return "age"
            with anyio.move_on_after(due - anyio.current_time()):
                await news.wait()

    async def _rotate(self, reason: str, started: float) -> Exception | None:
        """Replace the connection that delivers; return why that failed, if it did."""
        connection = self.connection
        old = connection.leg
        if old is None:
            return self._lost()
        new = connection.start_successor()
        rotation = self._rotation = Rotation(connection.config, connection.channels, old, new)
        try:
            await rotation.prepare()
        except (BtApiError, OSError, anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
            if self._rotation is rotation:
                self._rotation = None
                new.scope.cancel()
                rotation.abandon()
            return error
        if old.ended.is_set():
            # Whoever replaces lost connections lets the new one take over as it is.
            while self._rotation is rotation:
                await anyio.lowlevel.checkpoint()
        if self._rotation is not rotation:
            return None if connection.leg is new else self._lost()
        self._rotation, self._reason = None, ""
        connection.succeed(rotation)
        connection.emit(
            events.Rotated,
            generation=new.generation,
            reason=reason,
            channels=len(connection.channels),
            overlap=anyio.current_time() - started,
        )
        return None
