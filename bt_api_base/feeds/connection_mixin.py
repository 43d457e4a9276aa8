"""The connection state of a feed that is written with blocking methods."""

from __future__ import annotations

from bt_api_base.feeds.connection_state import FeedConnectionState

__all__ = ("ConnectionMixin", "FeedConnectionState")


class ConnectionMixin:
    """A feed that has a connection state, and that need not do anything to connect.

    Override `connect` and `disconnect` where there is something to do, and call ``super()``'s when it is done.
    """

    _connection_state: FeedConnectionState = FeedConnectionState.DISCONNECTED

    @property
    def connection_state(self) -> FeedConnectionState:
        """Where the session with the venue stands."""
        return self._connection_state

    def connect(self) -> None:
        """Connect."""
        self._connection_state = FeedConnectionState.CONNECTED

    def disconnect(self) -> None:
        """End the session. Disconnecting again does nothing."""
        self._connection_state = FeedConnectionState.DISCONNECTED

    def is_connected(self) -> bool:
        """Tell whether the feed can be used."""
        return self._connection_state in {FeedConnectionState.CONNECTED, FeedConnectionState.AUTHENTICATED}
