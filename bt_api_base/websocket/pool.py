"""An exchange's connections, and which of them carries what.

Connections are pooled by endpoint: a channel goes to the first connection to its endpoint that has room, and another
connection is opened when none has, up to ``max_connections`` for each endpoint.
"""

from __future__ import annotations

import math
import time
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

import attrs

from bt_api_base.event_stream.fresh_error import fresh_error
from bt_api_base.exceptions import BtApiError, ConfigurationError, RateLimitError, WebSocketError
from bt_api_base.websocket import events
from bt_api_base.websocket.backoff import Pacer
from bt_api_base.websocket.channels import SubscriptionState
from bt_api_base.websocket.connection import SupervisedConnection
from bt_api_base.websocket.connection_stats import ConnectionState
from bt_api_base.websocket.dialling import Connector, open_connection
from bt_api_base.websocket.subscribing import requests_per_second

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from bt_api_base.event_bus import EventBus
    from bt_api_base.websocket.adapter import Channel, StreamAdapter
    from bt_api_base.websocket.config import WebSocketConfig

__all__ = ("ConnectionPool",)


@attrs.define(eq=False)
class ConnectionPool:
    """The connections of one exchange. Their tasks are the owner's.

    Attributes:
        config: Settings of all of them.
        make_adapter: Makes an adapter.
        bus: Where events go.
        connector: Opens a WebSocket.
        run: Runs a connection in the owner's task group; ``None`` while there is none.
        connections: In the order in which they were opened, those that were given up included.
        naming: An adapter for naming channels, without a connection.
        clock_offset_ns: How far this machine's clock is ahead of the venue's, nanoseconds; 0 while it is not known.
    """

    config: WebSocketConfig
    make_adapter: Callable[[], StreamAdapter]
    bus: EventBus
    connector: Connector = open_connection
    run: Callable[[SupervisedConnection], None] | None = None
    connections: list[SupervisedConnection] = attrs.field(factory=list[SupervisedConnection], init=False)
    naming: StreamAdapter = attrs.field(init=False)
    clock_offset_ns: int = attrs.field(default=0, init=False)
    _connect_pacer: Pacer = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.naming = self.make_adapter()
        limits = self.naming.limits
        self._connect_pacer = Pacer(limits.max_connects, limits.connect_window)
        self._open(self.naming.endpoint_name)

    # -- choosing a connection -------------------------------------------------------------------

    def connection_for(self, channel: Channel) -> SupervisedConnection:
        """Return the connection that carries, or is to carry, ``channel``; opens one if need be.

        Raises:
            RateLimitError: ``subscription_limits`` are used up, or all connections are full.
            ConfigurationError: The channel is private, and there are no credentials.
            BtApiError: All connections to the channel's endpoint have been given up; why.
        """
        if channel.private and self.config.credentials is None:
            msg = (
                f"{self.config.exchange_name} {channel.topic!r} is private: "
                "WebSocketConfig needs Credentials(api_key, secret) as its credentials"
            )
            raise ConfigurationError(msg)
        group = [c for c in self.connections if c.adapter.endpoint_name == channel.endpoint]
        for connection in group:
            if channel.key in connection.channels.entries:
                return connection
        self.check_limits([channel])
        live = [connection for connection in group if connection.state is not ConnectionState.FAILED]
        for connection in live:
            if len(connection.channels) < self._capacity(connection.adapter):
                return connection
        if group and not live and group[-1].failure is not None:
            raise fresh_error(group[-1].failure)
        if len(live) < self.config.max_connections:
            return self._open(channel.endpoint)
        raise self._full(len(live), self._capacity(live[0].adapter))

    def check_room(self, channels: Iterable[Channel]) -> None:
        """Check that there is room for all of some channels, before any of them is asked for.

        Raises:
            RateLimitError: ``subscription_limits`` or the connections leave no room for all of them.
        """
        channels = tuple(channels)
        self.check_limits(channels)
        keys: defaultdict[str, set[str]] = defaultdict(set)
        for channel in channels:
            keys[channel.endpoint].add(channel.key)
        for endpoint, wanted in keys.items():
            group = [c for c in self.connections if c.adapter.endpoint_name == endpoint]
            live = [connection for connection in group if connection.state is not ConnectionState.FAILED]
            for connection in group:
                wanted.difference_update(connection.channels.entries)
            capacity = self._capacity(group[0].adapter if group else self._adapter_for(endpoint))
            free = sum(max(0, capacity - len(connection.channels)) for connection in live)
            if len(wanted) > free + capacity * (self.config.max_connections - len(live)):
                raise self._full(self.config.max_connections, capacity, f"; {len(wanted)} more were asked for")

    def _full(self, connections: int, capacity: int, addition: str = "") -> RateLimitError:
        return RateLimitError(
            self.config.exchange_name,
            None,
            f"{connections} connections carry {capacity} channels each, which is all that max_connections"
            f" and the limit of channels for each connection allow{addition}",
        )

    def check_limits(self, channels: Iterable[Channel]) -> None:
        """Check that ``subscription_limits`` leave room for further channels.

        Raises:
            RateLimitError: They do not.
        """
        limits = self.config.subscription_limits
        wanted: Counter[str] = Counter()
        for key, topic in {channel.key: channel.topic for channel in channels if channel.topic in limits}.items():
            if not any(key in connection.channels.entries for connection in self.connections):
                wanted[topic] += 1
        for topic, number in wanted.items():
            carried = sum(connection.channels.topics[topic] for connection in self.connections)
            if carried + number > limits[topic]:
                raise RateLimitError(
                    self.config.exchange_name,
                    None,
                    f"subscription_limits allow {limits[topic]} {topic!r} channels; {carried} are subscribed,"
                    f" {number} more were asked for",
                )

    def _capacity(self, adapter: StreamAdapter) -> int:
        venues = adapter.limits.max_channels_per_connection
        chosen = self.config.max_channels_per_connection
        return venues if chosen is None else min(venues, chosen)

    # -- opening and losing connections ------------------------------------------------------------

    def _open(self, endpoint: str) -> SupervisedConnection:
        connection = SupervisedConnection(
            self.config,
            lambda: self._adapter_for(endpoint),
            self.bus,
            f"{self.config.exchange_name}-{len(self.connections) + 1}",
            connector=self.connector,
            connect_pacer=self._connect_pacer,
            on_failed=self._move_channels,
        )
        self.connections.append(connection)
        if self.run is not None:
            self.run(connection)
        return connection

    def _adapter_for(self, endpoint: str) -> StreamAdapter:
        adapter = self.make_adapter()
        adapter.endpoint_name = endpoint
        adapter.credentials = self.config.credentials
        adapter.transport_policy = self.config.transport_policy
        adapter.now_ns = self._now_ns
        return adapter

    def _now_ns(self) -> int:
        """Return the venue's time, as far as it is known."""
        return time.time_ns() - self.clock_offset_ns

    def start(self, run: Callable[[SupervisedConnection], None]) -> None:
        """Run every connection, and those that are opened later."""
        self.run = run
        for connection in self.connections:
            run(connection)

    def _move_channels(self, failed: SupervisedConnection) -> None:
        """Let other connections to the same endpoint carry what a connection that was given up carried."""
        others = [
            connection
            for connection in self.connections
            if connection.session is not None and connection.adapter.endpoint_name == failed.adapter.endpoint_name
        ]
        if not others or not len(failed.channels):
            return
        moved = 0
        for entry in failed.channels:
            target = next((c for c in others if len(c.channels) < self._capacity(c.adapter)), None)
            if target is None:
                break
            failed.channels.release(entry)
            target.adopt(entry)
            moved += 1
        failed.emit(events.Moved, moved=moved, failed=len(failed.channels))

    async def rotate(self) -> None:
        """Replace every connection that is open, one after another, make before break.

        Raises:
            WebSocketError: None is open.
            BtApiError: One could not be replaced; the others have been.

        Cancellation: a rotation under way goes on; no other is begun.
        """
        connections = [connection for connection in self.connections if connection.session is not None]
        if not connections:
            raise WebSocketError(self.config.exchange_name, "not connected: nothing to rotate")
        failure: BtApiError | None = None
        for connection in connections:
            try:
                await connection.rotate()
            except BtApiError as error:
                failure = error
        if failure is not None:
            raise failure

    # -- how long it takes -----------------------------------------------------------------------

    def estimate_remaining(self) -> float:
        """Return the seconds until every channel is confirmed, as far as the venue's limits tell."""
        live = [connection for connection in self.connections if connection.state is not ConnectionState.FAILED]
        connecting = sum(connection.session is None for connection in live)
        seconds = 0.0
        for connection in live:
            limits = connection.adapter.limits
            pending = sum(entry.state is SubscriptionState.PENDING for entry in connection.channels)
            requests = math.ceil(pending / limits.max_channels_per_request)
            seconds = max(seconds, requests / requests_per_second(limits.messages_per_second))
        return seconds + self._connect_pacer.estimate(connecting)
