"""Coroutines for a feed that is written with blocking methods: each call runs in a worker thread."""

from __future__ import annotations

import threading
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import anyio
import anyio.to_thread
import attrs
from anyio.lowlevel import EventLoopToken, current_token

from bt_api_base.logging_factory import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ("AbandonedOrder", "AsyncWrapperMixin")

_MOST_ABANDONED: Final = 1_000


@attrs.define(eq=False)
class AbandonedOrder:
    """An order that was being placed, or canceled, in a thread whose caller was cancelled.

    Attributes:
        method: ``"make_order"``, ``"cancel_order"`` or ``"cancel_all"``.
        symbol: Internal symbol.
        client_order_id: Ours, if it was given one; look the order up by it.
        is_done: Whether the thread has got to its end since.
        result: What the method returned then.
        error: What it raised.
    """

    method: str
    symbol: str | None
    client_order_id: str | None = None
    is_done: bool = False
    result: object = None
    error: BaseException | None = None


@attrs.define(eq=False)
class _Threads:
    """What a feed's worker threads share."""

    abandoned: deque[AbandonedOrder] = attrs.field(factory=lambda: deque[AbandonedOrder](maxlen=_MOST_ABANDONED))
    _loop: EventLoopToken | None = None
    _limiter: anyio.CapacityLimiter | None = None

    def limiter(self, limit: int) -> anyio.CapacityLimiter:
        """Return what bounds the threads on the present event loop; a feed may see several, one after another."""
        loop = current_token()
        if self._limiter is None or self._loop != loop:
            self._loop, self._limiter = loop, anyio.CapacityLimiter(limit)
        return self._limiter


_MAKING: Final = threading.Lock()


class AsyncWrapperMixin:
    """Derives the coroutines of a feed from its blocking methods.

    Each call runs in a worker thread; a feed has at most `max_threads` at once, so its methods have to be safe to call
    from several threads.

    Cancelling a coroutine is done at once, but the blocking call in the thread cannot be interrupted: it goes on to its
    end, and its result is thrown away. That does not matter where something is asked for. An order that was being
    placed or canceled is then of unknown fate: it is among `abandoned_orders`, with what the call returned or raised in
    the end, and it must be looked up before anything else is done about it.

    Attributes:
        max_threads: Calls that run at the same time; further ones wait.
    """

    max_threads: int = 8
    __threads: _Threads | None = None

    @property
    def abandoned_orders(self) -> tuple[AbandonedOrder, ...]:
        """Orders that were being placed or canceled when their caller was cancelled, the latest thousand."""
        threads = self.__threads
        return () if threads is None else tuple(threads.abandoned)

    async def async_get_tick(self, symbol: str, extra_data: Any = None, **kwargs: Any) -> Any:  # noqa: ANN401
        """Call ``get_tick`` in a thread.

        Cancellation: The call goes on in its thread, and its result is thrown away.
        """
        return await self.__call("get_tick", symbol, extra_data=extra_data, **kwargs)

    async def async_get_depth(self, symbol: str, count: int = 20, extra_data: Any = None, **kwargs: Any) -> Any:  # noqa: ANN401
        """Call ``get_depth`` in a thread.

        Cancellation: As for `async_get_tick`.
        """
        return await self.__call("get_depth", symbol, count, extra_data=extra_data, **kwargs)

    async def async_get_kline(
        self,
        symbol: str,
        period: str,
        count: int = 20,
        extra_data: Any = None,  # noqa: ANN401
        **kwargs: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        """Call ``get_kline`` in a thread.

        Cancellation: As for `async_get_tick`.
        """
        return await self.__call("get_kline", symbol, period, count, extra_data=extra_data, **kwargs)

    async def async_make_order(  # noqa: PLR0917 - the order of older programs
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
        """Call ``make_order`` in a thread.

        Cancellation: The call goes on in its thread: the order is of unknown fate, and among `abandoned_orders`. Before
        the thread has started, nothing is sent.
        """
        given = (symbol, volume, price, order_type, offset, post_only, client_order_id)
        order = AbandonedOrder("make_order", symbol, client_order_id)
        return await self.__call("make_order", *given, abandoned=order, extra_data=extra_data, **kwargs)

    async def async_cancel_order(self, symbol: str, order_id: str, extra_data: Any = None, **kwargs: Any) -> Any:  # noqa: ANN401
        """Call ``cancel_order`` in a thread.

        Cancellation: As for `async_make_order`.
        """
        order = AbandonedOrder("cancel_order", symbol, kwargs.get("client_order_id"))
        return await self.__call("cancel_order", symbol, order_id, abandoned=order, extra_data=extra_data, **kwargs)

    async def async_cancel_all(self, symbol: str | None = None, extra_data: Any = None, **kwargs: Any) -> Any:  # noqa: ANN401
        """Call ``cancel_all`` in a thread.

        Cancellation: As for `async_make_order`.
        """
        order = AbandonedOrder("cancel_all", symbol)
        return await self.__call("cancel_all", symbol, abandoned=order, extra_data=extra_data, **kwargs)

    async def async_query_order(self, symbol: str, order_id: str, extra_data: Any = None, **kwargs: Any) -> Any:  # noqa: ANN401
        """Call ``query_order`` in a thread.

        Cancellation: As for `async_get_tick`.
        """
        return await self.__call("query_order", symbol, order_id, extra_data=extra_data, **kwargs)

    async def async_get_open_orders(self, symbol: str | None = None, extra_data: Any = None, **kwargs: Any) -> Any:  # noqa: ANN401
        """Call ``get_open_orders`` in a thread.

        Cancellation: As for `async_get_tick`.
        """
        return await self.__call("get_open_orders", symbol, extra_data=extra_data, **kwargs)

    async def async_get_balance(self, symbol: str | None = None, extra_data: Any = None, **kwargs: Any) -> Any:  # noqa: ANN401
        """Call ``get_balance`` in a thread.

        Cancellation: As for `async_get_tick`.
        """
        return await self.__call("get_balance", symbol, extra_data=extra_data, **kwargs)

    async def async_get_account(self, symbol: str = "ALL", extra_data: Any = None, **kwargs: Any) -> Any:  # noqa: ANN401
        """Call ``get_account`` in a thread.

        Cancellation: As for `async_get_tick`.
        """
        return await self.__call("get_account", symbol, extra_data=extra_data, **kwargs)

    async def async_get_position(self, symbol: str | None = None, extra_data: Any = None, **kwargs: Any) -> Any:  # noqa: ANN401
        """Call ``get_position`` in a thread.

        Cancellation: As for `async_get_tick`.
        """
        return await self.__call("get_position", symbol, extra_data=extra_data, **kwargs)

    def __shared(self) -> _Threads:
        # Feeds of plugins need not call this class's __init__, so there is none.
        with _MAKING:
            if self.__threads is None:
                self.__threads = _Threads()
            return self.__threads

    async def __call(self, name: str, *args: Any, abandoned: AbandonedOrder | None = None, **kwargs: Any) -> Any:  # noqa: ANN401
        """Run a blocking method in a thread, and keep what was going on if the caller is cancelled meanwhile."""
        threads = self.__shared()
        method: Callable[..., Any] = partial(getattr(self, name), *args, **kwargs)
        call = _Call(method, abandoned)
        limiter = threads.limiter(self.max_threads)
        try:
            return await anyio.to_thread.run_sync(call.run, abandon_on_cancel=True, limiter=limiter)
        except Exception:
            raise
        except BaseException:
            if abandoned is not None and call.abandon():
                threads.abandoned.append(abandoned)
                get_logger("feed").warning(
                    "an order was given up while it was being sent: its fate is unknown",
                    method=name,
                    symbol=abandoned.symbol,
                    order=abandoned.client_order_id,
                )
            raise


@attrs.define(eq=False)
class _Call:
    """A blocking call, and whether anybody still waits for it."""

    method: Callable[[], Any]
    order: AbandonedOrder | None
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)
    _is_started: bool = attrs.field(default=False, init=False)
    _is_given_up: bool = attrs.field(default=False, init=False)

    def run(self) -> Any:  # noqa: ANN401 - whatever the method returns
        """Call the method, unless it was given up before it began."""
        with self._lock:
            if self._is_given_up:
                return None
            self._is_started = True
        try:
            result = self.method()
        except BaseException as error:
            self._end(None, error)
            raise
        self._end(result, None)
        return result

    def _end(self, result: object, error: BaseException | None) -> None:
        if self.order is not None:
            with self._lock:
                self.order.result, self.order.error, self.order.is_done = result, error, True

    def abandon(self) -> bool:
        """Give the call up; tell whether it had begun."""
        with self._lock:
            self._is_given_up = True
            return self._is_started
