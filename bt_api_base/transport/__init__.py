"""How connections leave this machine: proxies, TLS, local address. The same for WebSocket and REST.

* `policy`: `TransportPolicy`, one value that says it all.
* `connectors`: byte streams as a policy wants them, for `bt_api_base.websocket.open_websocket` and others.
* `http`: an HTTP client, `httpx.AsyncClient`, that goes the same way.
* `errors`: what can go wrong on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bt_api_base._lazy import lazy_names

if TYPE_CHECKING:
    from bt_api_base.transport.connectors import Connector as Connector, connector as connector
    from bt_api_base.transport.errors import (
        ConnectError as ConnectError,
        NameResolutionError as NameResolutionError,
        ProxyAuthenticationError as ProxyAuthenticationError,
        ProxyError as ProxyError,
        TlsError as TlsError,
    )
    from bt_api_base.transport.http import http_client as http_client, httpx_transport as httpx_transport
    from bt_api_base.transport.policy import Proxy as Proxy, TransportPolicy as TransportPolicy

_MODULES = {
    "ConnectError": "errors",
    "Connector": "connectors",
    "connector": "connectors",
    "NameResolutionError": "errors",
    "Proxy": "policy",
    "ProxyAuthenticationError": "errors",
    "ProxyError": "errors",
    "TlsError": "errors",
    "TransportPolicy": "policy",
    "http_client": "http",
    "httpx_transport": "http",
}
"""The module that each lazy name comes from."""

if not TYPE_CHECKING:
    # So that a WebSocket loads no HTTP client.
    __getattr__, __dir__ = lazy_names(__name__, _MODULES)

__all__ = (
    "ConnectError",
    "Connector",
    "NameResolutionError",
    "Proxy",
    "ProxyAuthenticationError",
    "ProxyError",
    "TlsError",
    "TransportPolicy",
    "connector",
    "http_client",
    "httpx_transport",
)
