"""Venues: where a stream adapter comes from.

The built-in adapters are rows of a table and are imported when first asked for, so that a program
pays for the venues it uses. A plugin adds its own with `register_stream_adapter`.
`bt_api_base.venues.generic` makes an adapter out of a description, where a venue needs nothing special.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from bt_api_base.exceptions import ExchangeNotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bt_api_base.websocket.adapter import StreamAdapter

__all__ = ("register_stream_adapter", "stream_adapter", "stream_adapter_names")

_factories: dict[str, str | Callable[[], StreamAdapter]] = {
    "BINANCE___SPOT": "bt_api_base.venues.binance.spot:BinanceSpotAdapter",
    "BINANCE___SWAP": "bt_api_base.venues.binance.usdm:BinanceUsdmAdapter",
    "OKX___FUTURES": "bt_api_base.venues.okx:OkxFuturesAdapter",
    "OKX___OPTION": "bt_api_base.venues.okx:OkxOptionAdapter",
    "OKX___SPOT": "bt_api_base.venues.okx:OkxSpotAdapter",
    "OKX___SWAP": "bt_api_base.venues.okx:OkxSwapAdapter",
}


def stream_adapter(exchange_name: str) -> StreamAdapter:
    """Return a new stream adapter for a venue.

    Args:
        exchange_name: Venue and asset type, such as ``"BINANCE___SPOT"``; upper and lower case are the same.

    Returns:
        A fresh instance: one adapter serves one connection.

    Raises:
        ExchangeNotFoundError: There is no such adapter; the error lists what there is.
    """
    factory = _factories.get(exchange_name.upper())
    if factory is None:
        raise ExchangeNotFoundError(exchange_name, stream_adapter_names())
    if isinstance(factory, str):
        module_name, _, attribute = factory.partition(":")
        factory = _factories[exchange_name.upper()] = getattr(import_module(module_name), attribute)
    return factory()


def register_stream_adapter(exchange_name: str, factory: str | Callable[[], StreamAdapter]) -> None:
    """Make an adapter known under a name, in place of what the name stood for.

    Args:
        exchange_name: Venue and asset type, such as ``"BYBIT___SPOT"``; upper and lower case are the same.
        factory: A class or function that makes a new adapter, or ``"module:name"`` of one, which is
            imported when first asked for.
    """
    _factories[exchange_name.upper()] = factory


def stream_adapter_names() -> tuple[str, ...]:
    """Return the names that `stream_adapter` knows, in alphabetical order."""
    return tuple(sorted(_factories))
