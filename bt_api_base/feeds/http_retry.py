"""Asking again, where that is safe, with the waits that the venue asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from bt_api_base.exceptions import BtApiError, OrderUnknownError, is_retryable
from bt_api_base.logging_factory import get_logger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractContextManager

    from stamina.instrumentation import RetryDetails, RetryHook

__all__ = ("repeat_after",)

T = TypeVar("T")

_INITIAL_WAIT: Final = 0.1
_LONGEST_WAIT: Final = 5.0
_JITTER: Final = 0.2

# stamina's own hooks that write to a log, arguments and all.
_LOGGING_HOOKS: Final = frozenset({"stamina.instrumentation._structlog", "stamina.instrumentation._logging"})


async def repeat_after(
    failure: BtApiError,
    again: Callable[[], Awaitable[T]],
    *,
    attempts: int,
    wait: Callable[[BtApiError], float | None],
) -> T:
    """Go on after a first attempt that failed: wait, try again, and so on.

    The first attempt is made before this is called, so that calls that succeed at once pay nothing for it. Who
    switches stamina off (`stamina.set_active`) switches this off too.

    Args:
        failure: What the first attempt raised.
        again: Makes another attempt.
        attempts: How many there may be, the first one included.
        wait: Returns how long to wait after a failure at least, seconds: 0 leaves it to the back-off, and ``None``
            is for failures that would only repeat themselves, or that there is no time left to wait for.

    Raises:
        BtApiError: What the last attempt raised.

    Cancellation:
        Ends the wait or the attempt at hand.
    """
    import stamina

    _install_hook()

    def pause(error: Exception) -> bool | float:
        # Cancellations come by here too, and go on.
        if not isinstance(error, BtApiError) or isinstance(error, OrderUnknownError) or not is_retryable(error):
            return False
        seconds = wait(error)
        return False if seconds is None else seconds or True

    async for attempt in stamina.retry_context(
        on=pause,
        attempts=attempts,
        timeout=None,  # the deadline of the call is over all of it, and in the event loop's time
        wait_initial=_INITIAL_WAIT,
        wait_max=_LONGEST_WAIT,
        wait_jitter=_JITTER,
    ):
        with attempt:
            if attempt.num == 1:
                raise failure
            return await again()
    raise failure  # stamina raises what failed last


def _install_hook() -> None:
    """Let our logger say what is repeated, instead of stamina's default, which shows arguments and writes to stdout.

    Hooks that a program has chosen are left alone, and are called for our attempts too; there are no arguments in it.
    """
    from stamina.instrumentation import get_on_retry_hooks, set_on_retry_hooks

    hooks = get_on_retry_hooks()
    if any(_is_default(hook) for hook in hooks):
        set_on_retry_hooks([_redacting(hook) if _is_default(hook) else hook for hook in hooks])


def _is_default(hook: RetryHook) -> bool:
    return getattr(hook, "__module__", "") in _LOGGING_HOOKS


def _redacting(hook: RetryHook) -> RetryHook:
    logger = get_logger("http")

    def log_retry(details: RetryDetails) -> AbstractContextManager[None] | None:
        if not isinstance(details.caused_by, BtApiError):
            return hook(details)
        logger.warning(
            "trying again",
            attempt=details.retry_num + 1,
            wait=round(details.wait_for, 3),
            reason=str(details.caused_by),
        )
        return None

    return log_retry
