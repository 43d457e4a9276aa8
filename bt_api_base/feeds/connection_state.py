"""Where a feed's session with its venue stands."""

from __future__ import annotations

import enum

__all__ = ("FeedConnectionState",)


class FeedConnectionState(str, enum.Enum):
    """Whether a feed can be used."""

    DISCONNECTED = "disconnected"
    """It has not been connected, or was disconnected."""
    CONNECTING = "connecting"
    CONNECTED = "connected"
    """It can be used."""
    AUTHENTICATED = "authenticated"
    """It can be used, and the venue has accepted its credentials."""
    ERROR = "error"
    """It could not be connected."""

    def __str__(self) -> str:
        return self.value
