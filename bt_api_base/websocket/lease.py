"""Something that a venue grants for a while, must be asked to prolong, and may take away: a listen key."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Final

import anyio
import anyio.lowlevel

from bt_api_base.exceptions import (
    AuthenticationError,
    BannedError,
    BtApiError,
    ConfigurationError,
    RateLimitError,
    RequestTimeoutError,
)
from bt_api_base.logging_factory import get_logger
from bt_api_base.security import Secret
from bt_api_base.websocket._unexpected import showable
from bt_api_base.websocket.backoff import reconnect_delays

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from types import TracebackType

    from anyio.abc import TaskGroup
    from typing_extensions import Self

__all__ = ("LeaseKeeper", "SessionLease")

_FINAL: Final = (AuthenticationError, BannedError, ConfigurationError)
"""After these, asking again is no use, or makes it worse."""

_SETTLED: Final = 60.0
"""Seconds for which a lease must have lasted for the loss of it not to count as a failed attempt to get one."""


class SessionLease(ABC):
    """What must be held to open a private endpoint.

    Attributes:
        renew_interval: Seconds between renewals.
        lifetime: Seconds for which a lease is valid after it was created or renewed.
    """

    renew_interval: float
    lifetime: float

    @abstractmethod
    async def create(self) -> str:
        """Ask the venue for a lease and return its key.

        Raises:
            AuthenticationError: The venue does not accept the credentials.
            BtApiError: It could not be had now.
        """

    @abstractmethod
    async def renew(self, key: str) -> None:
        """Prolong the lease.

        Raises:
            AuthenticationError: The venue does not accept the credentials.
            BtApiError: It could not be prolonged now; or, if the error is not `retryable`, it no longer exists.
        """

    async def close(self, key: str) -> None:  # noqa: B027 - not every venue has something to give back
        """Give the lease back. By default it is left to expire."""


def _default_delays() -> Iterator[float]:
    return reconnect_delays(1.0, 60.0)


class LeaseKeeper:
    """Keeps one lease: has it created when it is first wanted, renewed in time, and replaced when it is lost.

    It works while `run` runs, or inside ``async with``. Any number of tasks may ask for the key.

    A renewal that fails is tried again, with back-off, until the lease is about to run out; then, or at once where the
    venue says that there is no such lease, a new one is created. A refusal of the credentials ends it: venues lock out
    who goes on trying.

    Args:
        lease: What is kept.
        on_replaced: Called with the new key when another one takes the place of one that was handed out, so that the
            connection can rotate to it.
        delays: Makes the delays, in seconds, before attempts to create or renew; the first is for the first attempt.
        request_timeout: Seconds that the venue may take to create or renew.
        close_timeout: Seconds that giving back may take.
    """

    def __init__(
        self,
        lease: SessionLease,
        *,
        on_replaced: Callable[[str], object] | None = None,
        delays: Callable[[], Iterator[float]] = _default_delays,
        request_timeout: float = 10.0,
        close_timeout: float = 5.0,
    ) -> None:
        if not 0 < lease.renew_interval < lease.lifetime:
            detail = f"a lease of {lease.lifetime:g} s cannot be renewed every {lease.renew_interval:g} s"
            raise ConfigurationError(detail)
        self._lease = lease
        self._on_replaced = on_replaced
        self._delays = delays
        self._request_timeout = request_timeout
        self._close_timeout = close_timeout
        self._key: Secret | None = None
        self._handed_out: Secret | None = None
        self._valid_since = 0.0
        self._wanted = anyio.Event()
        self._settled = anyio.Event()
        self._error: Exception | None = None
        self._ended: Exception | None = None
        self._started = False
        self._keeping: anyio.CancelScope | None = None
        self._tasks: TaskGroup | None = None
        self._log: Any = get_logger("websocket")

    async def key(self) -> str:
        """Return the key of the lease; the first who asks has it created, and all who ask meanwhile wait for that.

        Raises:
            AuthenticationError: The venue does not accept the credentials; also from now on.
            BtApiError: The attempt that was waited for failed. The next one is made in the background, so asking again
                costs the venue nothing.
            anyio.ClosedResourceError: `run` has ended.

        Cancellation:
            The lease is created all the same, for the next who asks.
        """
        await anyio.lowlevel.checkpoint_if_cancelled()
        while True:
            key = self._key
            if key is not None:
                self._handed_out = key
                return key.reveal()
            if self._ended is not None:
                raise copy.copy(self._ended) from self._ended
            self._wanted.set()
            await self._settled.wait()
            if self._error is not None:
                raise self._error.with_traceback(None)

    def expire(self, key: str | None = None) -> None:
        """Drop the key, because the venue said that it has expired, and have a new one created.

        Args:
            key: The one that has; a notice that comes late, about another, changes nothing. ``None``: the present one.
        """
        if self._key is None or (key is not None and key != self._key.reveal()):
            return
        self._log.info("the session lease has expired")
        self._key = None
        if self._keeping is not None:
            self._keeping.cancel()

    async def verify(self) -> None:
        """Renew the lease now, and drop it if the venue says that there is none: it may have ended without a word.

        For a connection that takes the place of one that was lost, because with a dead key it would be open and mute.
        What else goes wrong is left to the next renewal.

        Cancellation:
            The lease may or may not be renewed.
        """
        key, started = self._key, anyio.current_time()
        if key is None:
            return
        try:
            await self._asked("renewed", self._lease.renew(key.reveal()))
        except Exception as error:  # noqa: BLE001 - whatever an adapter's request can raise
            self._log.warning("the session lease was not renewed", error=str(error))
            if isinstance(error, BtApiError) and not error.retryable:
                self.expire(key.reveal())
        else:
            self._valid_since = max(self._valid_since, started)

    async def run(self) -> None:
        """Keep the lease until cancelled.

        Raises:
            AuthenticationError: The venue does not accept the credentials.
            BannedError: It has locked this address out.
            ConfigurationError: The lease cannot be asked for at all.
            anyio.BusyResourceError: It runs, or ran, already.

        Cancellation:
            The lease is given back, within ``close_timeout`` seconds.
        """
        if self._started:
            raise anyio.BusyResourceError("running")
        self._started = True
        ended: Exception = anyio.ClosedResourceError()
        try:
            await self._wanted.wait()
            delays = self._delays()
            while True:
                await self._create(delays)
                began = self._valid_since
                with anyio.CancelScope() as self._keeping:
                    await self._renew_until_lost()
                self._key = None
                # A venue that grants leases and takes them away at once is not to be hammered either.
                if anyio.current_time() - began >= min(_SETTLED, self._lease.renew_interval):
                    delays = self._delays()
        except _FINAL as error:
            # Nothing is given back to who turns us away.
            self._key = None
            ended = error
            raise
        finally:
            await self._end(ended)

    async def __aenter__(self) -> Self:
        tasks = anyio.create_task_group()
        await tasks.__aenter__()
        self._tasks = tasks
        tasks.start_soon(self._run_in_background)
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        tasks, self._tasks = self._tasks, None
        if tasks is not None:
            tasks.cancel_scope.cancel()
            # Without the exception, which the task group would wrap.
            await tasks.__aexit__(None, None, None)

    async def _run_in_background(self) -> None:
        try:
            await self.run()
        except _FINAL as error:
            # Who asks for the key gets it; who does not, has no use for it.
            self._log.error("the session lease is given up", error=str(error))

    async def _create(self, delays: Iterator[float]) -> None:
        """Create a lease, however often it takes."""
        pause = 0.0
        for delay in delays:
            await anyio.sleep(max(delay, pause))
            # From before the venue can have begun to count.
            started = anyio.current_time()
            try:
                key = await self._asked("granted", self._lease.create())
            except _FINAL:
                raise
            except Exception as error:  # noqa: BLE001 - whatever an adapter's request can raise
                self._log.warning("no session lease yet", error=str(error))
                pause = _pause(error)
                self._settle(showable(error))
            else:
                self._valid_since = started
                self._adopt(Secret(key))
                return

    def _adopt(self, key: Secret) -> None:
        before = self._handed_out
        self._key = key
        self._settle(None)
        # Some venues give the same key again, and prolong it.
        if before is None or before == key:
            return
        before.forget()
        self._handed_out = key
        if self._on_replaced is not None:
            try:
                self._on_replaced(key.reveal())
            except Exception:  # noqa: BLE001 - a fault in who is told must not cost the lease
                self._log.exception("the handler of a replaced session lease raised")

    async def _renew_until_lost(self) -> None:
        """Renew the lease again and again; return when a new one is needed."""
        delays: Iterator[float] | None = None
        at = self._valid_since + self._lease.renew_interval
        while True:
            await anyio.sleep_until(at)
            key = self._key
            if key is None:
                return
            started = anyio.current_time()
            if started >= self._last_moment():
                self._log.warning("the session lease could not be renewed in time")
                return
            try:
                await self._asked("renewed", self._lease.renew(key.reveal()))
            except _FINAL:
                raise
            except Exception as error:  # noqa: BLE001 - whatever an adapter's request can raise
                self._log.warning("the session lease was not renewed", error=str(error))
                if isinstance(error, BtApiError) and not error.retryable:
                    return
                if delays is None:
                    delays = self._delays()
                    next(delays)
                wait = max(next(delays), _pause(error))
                at = min(anyio.current_time() + wait, self._last_moment())
            else:
                delays = None
                self._valid_since = started
                at = started + self._lease.renew_interval

    def _last_moment(self) -> float:
        """Return when a renewal would be too late, with some time left to create a new one."""
        lease = self._lease
        reserve = min(0.05 * lease.lifetime + self._request_timeout, (lease.lifetime - lease.renew_interval) / 2)
        return self._valid_since + lease.lifetime - reserve

    async def _asked(self, what: str, request: Awaitable[Any]) -> Any:  # noqa: ANN401 - whatever is asked for
        with anyio.move_on_after(self._request_timeout):
            return await request
        raise RequestTimeoutError("", "", self._request_timeout, f"the session lease was not {what}")

    def _settle(self, error: Exception | None) -> None:
        """Let those who wait know how it went."""
        self._error = error
        settled, self._settled = self._settled, anyio.Event()
        settled.set()

    async def _end(self, error: Exception) -> None:
        key, self._key = self._key, None
        self._ended = error
        self._settle(error)
        if key is None:
            return
        with anyio.move_on_after(self._close_timeout, shield=True) as scope:
            try:
                await self._lease.close(key.reveal())
            except Exception as failure:  # noqa: BLE001 - it expires by itself
                self._log.info("the session lease was not given back", error=str(failure))
        if scope.cancelled_caught:
            self._log.info("the session lease was not given back in time")
        key.forget()


def _pause(error: Exception) -> float:
    """Return for how many seconds the venue wants to be left alone."""
    return error.retry_after or 0.0 if isinstance(error, RateLimitError) else 0.0
