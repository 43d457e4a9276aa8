"""One WebSocket connection: frames, transports, supervision, and the contract for venues' adapters.

`open_websocket` opens a single connection. `bt_api_base.websocket_manager` keeps many of them up.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bt_api_base.websocket.client import (
        Batches as Batches,
        WebSocket as WebSocket,
        WebSocketState as WebSocketState,
        WebSocketStatistics as WebSocketStatistics,
        open_websocket as open_websocket,
    )

_CLIENT = ("Batches", "WebSocket", "WebSocketState", "WebSocketStatistics", "open_websocket")


def __getattr__(name: str) -> object:
    """Load a public name on its first use (PEP 562), so that adapters need no transport."""
    if name not in _CLIENT:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.client"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the lazy names too."""
    return sorted({*globals(), *_CLIENT})


__all__ = ("Batches", "WebSocket", "WebSocketState", "WebSocketStatistics", "open_websocket")
