"""Blocking methods for a feed that is written with coroutines: its event loop runs in a thread of its own."""

from __future__ import annotations

import threading
from contextlib import AbstractAsyncContextManager, ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

import anyio
import anyio.from_thread
import attrs
from anyio.lowlevel import EventLoopToken, current_token

from bt_api_base.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType

    from anyio.from_thread import BlockingPortal
    from typing_extensions import Self

__all__ = ("BlockingWrapperMixin",)


@attrs.define(eq=False)
class _Thread:
    """A feed's own event loop, if it has been started, and what is open on it."""

    lock: threading.RLock = attrs.field(factory=threading.RLock)
    portal: BlockingPortal | None = None
    calls: set[anyio.CancelScope] = attrs.field(factory=set[anyio.CancelScope])
    stack: ExitStack = attrs.field(factory=ExitStack)

    async def run(self, call: Callable[[], Awaitable[Any]]) -> Any:  # noqa: ANN401 - whatever it returns
        """Await a call that `cancel` can end."""
        with anyio.CancelScope() as scope:
            self.calls.add(scope)
            try:
                return await call()
            finally:
                self.calls.discard(scope)
        raise anyio.ClosedResourceError

    def cancel(self) -> None:
        """End all calls."""
        for scope in self.calls:
            scope.cancel()


_MAKING: Final = threading.Lock()


class BlockingWrapperMixin:
    """Derives the blocking methods of a feed from its coroutines.

    The first call, or `connect`, starts one event loop in one thread, and enters the feed there if it is an async
    context manager. `disconnect` (or `close`, or leaving ``with``) leaves it, ends the loop and joins the thread. The
    feed can be connected again then. Any number of threads may call at the same time.

    A feed that is in use on an event loop already (``async with feed:``) gets no loop of its own: a blocking call from
    a worker thread runs there.

    From inside an event loop's thread a blocking call would stop that loop, so it is refused: await the coroutine.

    Attributes:
        blocking_backend: The event loop that is started, ``"asyncio"`` or ``"trio"``.
        blocking_backend_options: Its options, as `anyio.run` takes them.
    """

    blocking_backend: str = "asyncio"
    blocking_backend_options: dict[str, Any] | None = None
    __thread: _Thread | None = None

    # -- the session -------------------------------------------------------------------------------

    def connect(self) -> None:
        """Start the event loop and enter the feed. Connecting again does nothing.

        Raises:
            ConfigurationError: It is called in an event loop's own thread.
            BtApiError: The feed cannot be entered.
        """
        self.__portal()

    def disconnect(self) -> None:
        """Leave the feed, end its event loop and wait for the thread. Disconnecting again does nothing.

        Calls of other threads are cancelled, and raise `anyio.ClosedResourceError` there.

        Raises:
            ConfigurationError: It is called in an event loop's own thread.
        """
        if self.__shared().portal is None:
            return
        _refuse_in_event_loop("disconnect")
        thread = self.__shared()
        with thread.lock:
            portal, thread.portal = thread.portal, None
            stack, thread.stack = thread.stack, ExitStack()
            with stack:
                if portal is not None:
                    portal.call(thread.cancel)

    def close(self) -> None:
        """Disconnect."""
        self.disconnect()

    def is_connected(self) -> bool:
        """Tell whether the event loop runs."""
        return self.__shared().portal is not None

    def __enter__(self) -> Self:
        self.connect()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.disconnect()

    # -- calls -------------------------------------------------------------------------------------

    def get_tick(self, symbol: str, extra_data: Any = None, **kwargs: Any) -> Any:  # noqa: ANN401
        """Run ``async_get_tick``."""
        return self._call_blocking("async_get_tick", symbol, extra_data=extra_data, **kwargs)

    def get_depth(self, symbol: str, count: int = 20, extra_data: Any = None, **kwargs: Any) -> Any:  # noqa: ANN401
        """Run ``async_get_depth``."""
        return self._call_blocking("async_get_depth", symbol, count, extra_data=extra_data, **kwargs)

    def get_kline(self, symbol: str, period: str, count: int = 20, extra_data: Any = None, **kwargs: Any) -> Any:  # noqa: ANN401
        """Run ``async_get_kline``."""
        return self._call_blocking("async_get_kline", symbol, period, count, extra_data=extra_data, **kwargs)

    def make_order(  # noqa: PLR0917 - the order of older programs
        self,
        symbol: str,
        volume: Any,  # noqa: ANN401
        price: Any,  # noqa: ANN401
        order_type: str,
        offset: str = "open",
        post_only: bool = False,  # noqa: FBT001, FBT002 - the order of older programs
        client_order_id: str | None = None,
        extra_data: Any = None,  # noqa: ANN401
        **kwargs: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        """Run ``async_make_order``. If it is interrupted (Ctrl-C), the coroutine is cancelled."""
        given = (symbol, volume, price, order_type, offset, post_only, client_order_id)
        return self._call_blocking("async_make_order", *given, extra_data=extra_data, **kwargs)

    def cancel_order(self, symbol: str, order_id: str, extra_data: Any = None, **kwargs: Any) -> Any:  # noqa: ANN401
        """Run ``async_cancel_order``."""
        return self._call_blocking("async_cancel_order", symbol, order_id, extra_data=extra_data, **kwargs)

    def cancel_all(self, symbol: str | None = None, extra_data: Any = None, **kwargs: Any) -> Any:  # noqa: ANN401
        """Run ``async_cancel_all``."""
        return self._call_blocking("async_cancel_all", symbol, extra_data=extra_data, **kwargs)

    def query_order(self, symbol: str, order_id: str, extra_data: Any = None, **kwargs: Any) -> Any:  # noqa: ANN401
        """Run ``async_query_order``."""
        return self._call_blocking("async_query_order", symbol, order_id, extra_data=extra_data, **kwargs)

    def get_open_orders(self, symbol: str | None = None, extra_data: Any = None, **kwargs: Any) -> Any:  # noqa: ANN401
        """Run ``async_get_open_orders``."""
        return self._call_blocking("async_get_open_orders", symbol, extra_data=extra_data, **kwargs)

    def get_balance(self, symbol: str | None = None, extra_data: Any = None, **kwargs: Any) -> Any:  # noqa: ANN401
        """Run ``async_get_balance``."""
        return self._call_blocking("async_get_balance", symbol, extra_data=extra_data, **kwargs)

    def get_account(self, symbol: str = "ALL", extra_data: Any = None, **kwargs: Any) -> Any:  # noqa: ANN401
        """Run ``async_get_account``."""
        return self._call_blocking("async_get_account", symbol, extra_data=extra_data, **kwargs)

    def get_position(self, symbol: str | None = None, extra_data: Any = None, **kwargs: Any) -> Any:  # noqa: ANN401
        """Run ``async_get_position``."""
        return self._call_blocking("async_get_position", symbol, extra_data=extra_data, **kwargs)

    # -- inside ------------------------------------------------------------------------------------

    def _event_loop(self) -> EventLoopToken | None:
        """Return the event loop that the feed is in use on, other than one of its own; ``None`` if there is none."""
        return None

    def _call_blocking(self, name: str, /, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - of any of the methods
        """Run a coroutine of the feed to its end, from any thread but an event loop's.

        Raises:
            ConfigurationError: It is called in an event loop's own thread.
        """
        call: Callable[[], Awaitable[Any]] = partial(getattr(self, name), *args, **kwargs)
        loop = self._event_loop()
        if loop is not None and self.__shared().portal is None:
            _refuse_in_event_loop(name.removeprefix("async_"))
            return anyio.from_thread.run(_awaited, call, token=loop)
        portal = self.__portal(name.removeprefix("async_"))
        future = portal.start_task_soon(self.__shared().run, call)
        try:
            return future.result()
        except BaseException:
            future.cancel()  # where this thread was interrupted, and not the coroutine
            raise

    def __shared(self) -> _Thread:
        with _MAKING:
            if self.__thread is None:
                self.__thread = _Thread()
            return self.__thread

    def __portal(self, name: str = "connect") -> BlockingPortal:
        """Return the way to the feed's own event loop, which is started if it does not run."""
        thread = self.__shared()
        _refuse_in_event_loop(name)
        with thread.lock:
            if thread.portal is None:
                with ExitStack() as stack:
                    portal = stack.enter_context(
                        anyio.from_thread.start_blocking_portal(
                            self.blocking_backend, self.blocking_backend_options, name=f"{type(self).__name__}-loop"
                        )
                    )
                    if isinstance(self, AbstractAsyncContextManager):
                        feed = cast("AbstractAsyncContextManager[Any]", self)
                        stack.enter_context(portal.wrap_async_context_manager(feed))
                    thread.stack, thread.portal = stack.pop_all(), portal
            return thread.portal


async def _awaited(call: Callable[[], Awaitable[Any]]) -> Any:  # noqa: ANN401 - whatever the coroutine returns
    return await call()


def _refuse_in_event_loop(name: str) -> None:
    try:
        current_token()
    except anyio.NoEventLoopError:
        return
    raise ConfigurationError(
        f"{name}() would stop the event loop that runs in this thread: await async_{name}() instead,"
        " or call it in a worker thread (anyio.to_thread.run_sync)"
        if name not in {"connect", "disconnect"}
        else f"{name}() would stop the event loop that runs in this thread: use 'async with feed:' instead"
    )
