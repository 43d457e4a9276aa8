"""A client for programs without an event loop: one in a thread of its own, which ends when the client is closed."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Final

import anyio
from anyio.from_thread import BlockingPortal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bt_api_base.feeds.http_client import HttpClient

__all__ = ("BlockingTwin",)

_CLOSE_TIMEOUT: Final = 5.0


class BlockingTwin:
    """Runs the coroutines of a second client, made like the first, for callers that wait.

    It has connections of its own, because those of a client belong to the event loop that opened them. The thread is
    started by the first call. A program that ends without closing does not wait for it.

    Args:
        make_client: Makes the second client.
    """

    def __init__(self, make_client: Callable[[], HttpClient]) -> None:
        self._make_client = make_client
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._started: Future[tuple[BlockingPortal, HttpClient]] | None = None

    @property
    def is_running(self) -> bool:
        """Whether there is a thread."""
        return self._thread is not None

    def run(self, function: Callable[[HttpClient], Awaitable[Any]]) -> Any:  # noqa: ANN401 - what it returns
        """Wait for a coroutine function that is given the client; an interruption from the keyboard cancels it."""
        with self._lock:
            if self._started is None:
                self._started = Future()
                self._thread = threading.Thread(
                    target=anyio.run, args=(self._serve, self._started), name="bt_api_base HTTP", daemon=True
                )
                self._thread.start()
            started = self._started
        portal, client = started.result()
        future = portal.start_task_soon(function, client)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    async def _serve(self, started: Future[tuple[BlockingPortal, HttpClient]]) -> None:
        try:
            async with self._make_client() as client, BlockingPortal() as portal:
                started.set_result((portal, client))
                await portal.sleep_until_stopped()
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)

    def close(self) -> None:
        """End the thread; calls that are on their way are cancelled. Nothing happens if there is none."""
        with self._lock:
            thread, started = self._thread, self._started
            self._thread = self._started = None
        if thread is None or started is None:
            return
        if started.exception() is None:
            portal, _ = started.result()
            portal.start_task_soon(portal.stop, True)  # cancel what is left
        thread.join(_CLOSE_TIMEOUT)
