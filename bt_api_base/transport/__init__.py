"""How connections leave this machine: proxies, TLS, local address. The same for WebSocket and REST."""

from __future__ import annotations
