"""Making the connections of one supervised connection, at the venue's pace and with what its endpoint asks for."""

from __future__ import annotations

import math
import random
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import TYPE_CHECKING

import attrs

from bt_api_base.exceptions import AuthenticationError, BannedError, ConfigurationError
from bt_api_base.security import Secret
from bt_api_base.websocket.adapter import StreamAdapter
from bt_api_base.websocket.client import WebSocket, open_websocket
from bt_api_base.websocket.config import WebSocketConfig
from bt_api_base.websocket.lease import LeaseKeeper
from bt_api_base.websocket.leg import Leg

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

    from bt_api_base.websocket.backoff import Pacer

__all__ = ("Connector", "Dialler", "open_connection")

Connector = Callable[[WebSocketConfig, StreamAdapter], AbstractAsyncContextManager[WebSocket]]
"""Opens a WebSocket for a configuration, whose URL is the endpoint's: where tests put a transport of their own."""

_LEAVE_BEFORE = 0.95
"""Part of a venue's own age limit at which a connection is replaced at the latest."""

_AGE_JITTER = 0.1
"""Part of that age by which connections differ, so that they are not replaced all at once."""


def open_connection(config: WebSocketConfig, adapter: StreamAdapter) -> AbstractAsyncContextManager[WebSocket]:
    """Open a WebSocket as ``config`` says. The default `Connector`."""
    return open_websocket(
        config.url,
        transport=config.transport,
        headers=None if config.headers is None else {name: _text(value) for name, value in config.headers.items()},
        policy=config.transport_policy,
        compression=config.compression,
        max_message_size=config.max_message_size or adapter.limits.max_message_size_bytes,
        connect_timeout=config.connect_timeout,
        close_timeout=config.close_timeout,
    )


def _text(value: str | Secret) -> str:
    return value.reveal() if isinstance(value, Secret) else value


@attrs.define(eq=False)
class Dialler:
    """Makes connections to one endpoint.

    Attributes:
        config: How to reach the venue.
        make_adapter: Makes an adapter for each connection.
        connector: Opens a WebSocket.
        pacer: Keeps to the venue's limit of connects.
        on_lease_replaced: Called when another session lease took the place of the one connections were made with.
    """

    config: WebSocketConfig
    make_adapter: Callable[[], StreamAdapter]
    connector: Connector
    pacer: Pacer
    on_lease_replaced: Callable[[], None]
    _lease: LeaseKeeper | None = attrs.field(default=None, init=False)

    def new_leg(self, *, succeeds: bool) -> Leg:
        """Return a connection that is yet to be made."""
        adapter = self.make_adapter()
        return Leg(adapter, succeeds=succeeds, lifetime=self._lifetime(adapter))

    def _lifetime(self, adapter: StreamAdapter) -> float:
        """Return after how many seconds a new connection is to be replaced: before the venue does, not all at once."""
        age = self.config.max_connection_age
        if age is None:
            venues = adapter.limits.max_connection_age
            age = math.inf if venues is None else venues * _LEAVE_BEFORE
        return age * (1.0 - _AGE_JITTER * random.random())  # noqa: S311 - no secret

    @asynccontextmanager
    async def connect(self, leg: Leg, tasks: TaskGroup) -> AsyncGenerator[WebSocket]:
        """Make the connection, when it is its turn.

        Args:
            leg: Which one.
            tasks: Where a session lease is kept from now on, if the endpoint asks for one.

        Raises:
            WebSocketError: It could not be made.
            AuthenticationError: The venue does not grant a session lease for these credentials.
            BtApiError: It could not be had now.

        Cancellation: the socket is released.
        """
        await self.pacer.wait()
        leg.lease_key = await self._lease_key(leg.adapter, tasks)
        key = "" if leg.lease_key is None else leg.lease_key.reveal()
        config = attrs.evolve(self.config, url=leg.adapter.endpoint(self.config.url, key))
        async with self.connector(config, leg.adapter) as websocket:
            yield websocket

    async def _lease_key(self, adapter: StreamAdapter, tasks: TaskGroup) -> Secret | None:
        """Return the key of what must be held to open the endpoint, where it is such an endpoint."""
        if self._lease is None:
            lease = adapter.session_lease(self.config.url)
            if lease is None:
                return None
            self._lease = LeaseKeeper(lease, on_replaced=lambda _: self.on_lease_replaced())
            tasks.start_soon(_keep, self._lease)
        else:
            await self._lease.verify()
        return Secret(await self._lease.key())

    def lease_expired(self, leg: Leg) -> None:
        """The venue says that the lease which a connection was made with is over."""
        if self._lease is not None and leg.lease_key is not None:
            self._lease.expire(leg.lease_key.reveal())


async def _keep(keeper: LeaseKeeper) -> None:
    with suppress(AuthenticationError, BannedError, ConfigurationError):  # which whoever asks for the key gets
        await keeper.run()
