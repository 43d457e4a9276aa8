"""bt_api_base: the async-first base package of the bt_api ecosystem.

The names below are loaded when they are first used, so importing the package costs next to nothing and a program pays
only for the parts it works with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bt_api_base._lazy import lazy_names

if TYPE_CHECKING:
    from bt_api_base.containers import (
        Account as Account,
        AssetType as AssetType,
        Balance as Balance,
        Bar as Bar,
        Event as Event,
        Fill as Fill,
        FundingRate as FundingRate,
        Gap as Gap,
        GapReason as GapReason,
        Greeks as Greeks,
        Income as Income,
        Instrument as Instrument,
        Liquidation as Liquidation,
        MarkPrice as MarkPrice,
        Order as Order,
        OrderBook as OrderBook,
        OrderBookDelta as OrderBookDelta,
        Position as Position,
        Tick as Tick,
        Trade as Trade,
        event_name as event_name,
    )
    from bt_api_base.event_bus import (
        ErrorHandlerMode as ErrorHandlerMode,
        EventBus as EventBus,
    )
    from bt_api_base.event_stream import (
        EventStream as EventStream,
        Overflow as Overflow,
    )
    from bt_api_base.exceptions import (
        AuthenticationError as AuthenticationError,
        BtApiError as BtApiError,
        ConfigurationError as ConfigurationError,
        DataParseError as DataParseError,
        ExchangeNotFoundError as ExchangeNotFoundError,
        InvalidSymbolError as InvalidSymbolError,
        NetworkError as NetworkError,
        OrderError as OrderError,
        RateLimitError as RateLimitError,
        SlowConsumerError as SlowConsumerError,
        SubscribeError as SubscribeError,
        WebSocketError as WebSocketError,
        is_network_error as is_network_error,
        is_rate_limit_error as is_rate_limit_error,
        is_retryable as is_retryable,
        is_user_recoverable as is_user_recoverable,
    )
    from bt_api_base.logging_factory import get_logger as get_logger
    from bt_api_base.testing import SimulatedVenue as SimulatedVenue
    from bt_api_base.venues import stream_adapter as stream_adapter
    from bt_api_base.websocket import open_websocket as open_websocket
    from bt_api_base.websocket_manager import (
        WebSocketConfig as WebSocketConfig,
        WebSocketManager as WebSocketManager,
    )

__version__ = "0.20.0"

_MODULES = {
    "Account": "containers",
    "AssetType": "containers",
    "Balance": "containers",
    "Bar": "containers",
    "Event": "containers",
    "Fill": "containers",
    "FundingRate": "containers",
    "Gap": "containers",
    "GapReason": "containers",
    "Greeks": "containers",
    "Income": "containers",
    "Instrument": "containers",
    "Liquidation": "containers",
    "MarkPrice": "containers",
    "Order": "containers",
    "OrderBook": "containers",
    "OrderBookDelta": "containers",
    "Position": "containers",
    "Tick": "containers",
    "Trade": "containers",
    "event_name": "containers",
    "ErrorHandlerMode": "event_bus",
    "EventBus": "event_bus",
    "EventStream": "event_stream",
    "Overflow": "event_stream",
    "AuthenticationError": "exceptions",
    "BtApiError": "exceptions",
    "ConfigurationError": "exceptions",
    "DataParseError": "exceptions",
    "ExchangeNotFoundError": "exceptions",
    "InvalidSymbolError": "exceptions",
    "NetworkError": "exceptions",
    "OrderError": "exceptions",
    "RateLimitError": "exceptions",
    "SlowConsumerError": "exceptions",
    "SubscribeError": "exceptions",
    "WebSocketError": "exceptions",
    "is_network_error": "exceptions",
    "is_rate_limit_error": "exceptions",
    "is_retryable": "exceptions",
    "is_user_recoverable": "exceptions",
    "get_logger": "logging_factory",
    "SimulatedVenue": "testing",
    "stream_adapter": "venues",
    "open_websocket": "websocket",
    "WebSocketConfig": "websocket_manager",
    "WebSocketManager": "websocket_manager",
}
"""The module that each lazy name comes from."""

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_names(__name__, _MODULES)

__all__ = (
    "Account",
    "AssetType",
    "AuthenticationError",
    "Balance",
    "Bar",
    "BtApiError",
    "ConfigurationError",
    "DataParseError",
    "ErrorHandlerMode",
    "Event",
    "EventBus",
    "EventStream",
    "ExchangeNotFoundError",
    "Fill",
    "FundingRate",
    "Gap",
    "GapReason",
    "Greeks",
    "Income",
    "Instrument",
    "InvalidSymbolError",
    "Liquidation",
    "MarkPrice",
    "NetworkError",
    "Order",
    "OrderBook",
    "OrderBookDelta",
    "OrderError",
    "Overflow",
    "Position",
    "RateLimitError",
    "SimulatedVenue",
    "SlowConsumerError",
    "SubscribeError",
    "Tick",
    "Trade",
    "WebSocketConfig",
    "WebSocketError",
    "WebSocketManager",
    "__version__",
    "event_name",
    "get_logger",
    "is_network_error",
    "is_rate_limit_error",
    "is_retryable",
    "is_user_recoverable",
    "open_websocket",
    "stream_adapter",
)
