"""A manager whose every showing is searched for planted secrets: the stage of ``test_no_secret_shows``."""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

import anyio
import attrs
import pytest

from bt_api_base.websocket_manager import WebSocketManager

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator

    from bt_api_base.testing import PlantedSecret
    from bt_api_base.websocket.connection import SupervisedConnection
    from bt_api_base.websocket_manager import Subscription, WebSocketConfig

HELD_WHILE_OPEN = {
    "ConnectionPool",
    "Dialler",
    "Leg",
    "SupervisedConnection",
    "Session",
    "Subscriber",
    "WebSocketConfig",
    "EventBus",
}
"""Types that the search has to have come by, or it is none."""


@attrs.define(eq=False)
class Scene:
    """A manager that runs, and what it has told.

    Attributes:
        planted: The secrets that must not show.
        manager: The manager.
        given: Settings that a test has put a planted value into, where it stays.
        heard: Every event that went over the bus.
        errors: Every exception that was raised.
    """

    planted: PlantedSecret
    manager: WebSocketManager
    given: tuple[WebSocketConfig, ...] = ()
    heard: list[Any] = attrs.field(factory=list)
    errors: list[BaseException] = attrs.field(factory=list)

    @property
    def connections(self) -> list[SupervisedConnection]:
        """Every connection there is or was."""
        return [one for exchange in self.manager._exchanges.values() for one in exchange.pool.connections]

    def search(self, *others: object) -> set[str]:
        """Search all that can be reached, and return the names of the types that were come by."""
        planted, manager = self.planted, self.manager
        statistics = [manager.get_stats(), manager.bus.statistics()]
        statistics += [manager.get_subscription_stats(name) for name in manager._exchanges]
        planted.check(statistics, self.heard, *self.errors)
        everything = (manager, self.connections, statistics, self.heard, self.errors, *others)
        return set(planted.check_reachable(*everything, given=self.given))

    @contextmanager
    def raises(self, kind: type[BaseException]) -> Generator[pytest.ExceptionInfo[Any]]:
        """Expect an exception, and search it."""
        with pytest.raises(kind) as caught:
            yield caught
        self.errors.append(caught.value)
        self.search()

    async def hears(self, name: str, count: int = 1) -> Any:
        """Wait for connection events of a name, and return the last of them."""
        found: list[Any] = []

        def told() -> bool:
            found[:] = [event for event in self.heard if type(event).__name__ == name]
            return len(found) >= count

        await until(told)
        return found[-1]


async def until(condition: Callable[[], object]) -> None:
    """Wait for something that nobody announces."""
    with anyio.fail_after(10):
        while not condition():  # noqa: ASYNC110 - see above
            await anyio.sleep(0.005)


async def event_of(subscription: Subscription, kind: type) -> Any:
    """Return the next event of a type."""
    with anyio.fail_after(10):
        while not isinstance(event := await subscription.receive(), kind):
            pass
    return event


@asynccontextmanager
async def scene(planted: PlantedSecret, *, given: tuple[WebSocketConfig, ...] = ()) -> AsyncGenerator[Scene]:
    """Run a manager; search it before and after it has ended."""
    async with WebSocketManager() as manager:
        stage = Scene(planted, manager, given)
        for name in ("ws.*", "order.*", "fill.*", "balance.*", "gap.*"):
            manager.bus.on(name, stage.heard.append)
        yield stage
        stage.search()
    stage.search()
