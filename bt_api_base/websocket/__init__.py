"""One WebSocket connection: frames, transports, supervision, and the contract for venues' adapters.

`open_websocket` opens a single connection. `bt_api_base.websocket_manager` keeps many of them up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bt_api_base._lazy import lazy_names

if TYPE_CHECKING:
    from bt_api_base.websocket.client import (
        Batches as Batches,
        WebSocket as WebSocket,
        WebSocketState as WebSocketState,
        WebSocketStatistics as WebSocketStatistics,
        open_websocket as open_websocket,
    )

__all__ = ("Batches", "WebSocket", "WebSocketState", "WebSocketStatistics", "open_websocket")

if not TYPE_CHECKING:
    # So that adapters, which need the contract only, load no transport.
    __getattr__, __dir__ = lazy_names(__name__, dict.fromkeys(__all__, "client"))
