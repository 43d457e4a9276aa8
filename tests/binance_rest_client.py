"""A client of Binance's REST API for tests of the venue: it signs, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import httpx

from bt_api_base.security.recipes import binance_query_signature

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

    from bt_api_base.security import Credentials


class SignedClient:
    """Asks a venue in memory, or over its port."""

    def __init__(self, venue: Any, *, in_memory: bool = True, now_ns: Callable[[], int] | None = None) -> None:
        self.credentials: Credentials = venue.credentials
        self.now_ns = now_ns or venue.rest.now_ns
        transport = venue.rest_transport() if in_memory else None
        self.http = httpx.AsyncClient(transport=transport, base_url=venue.rest_url, timeout=5)

    async def __aenter__(self) -> Self:
        await self.http.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.http.__aexit__(*error)

    async def get(self, path: str, **params: Any) -> Any:
        """Return the JSON of a public endpoint."""
        reply = await self.http.get(path, params=params)
        return reply.json()

    async def signed(self, method: str, path: str, *, in_body: bool = False, **params: Any) -> httpx.Response:
        """Ask a signed endpoint."""
        params.setdefault("timestamp", self.now_ns() // 1_000_000)
        text = urlencode(params)
        signature = binance_query_signature(self.credentials.secret, text)
        text = f"{text}&{urlencode({'signature': signature})}"
        headers = {"X-MBX-APIKEY": self.credentials.api_key.reveal()}
        if in_body:
            return await self.http.request(method, path, content=text, headers=headers)
        return await self.http.request(method, f"{path}?{text}", headers=headers)

    async def json(self, method: str, path: str, **params: Any) -> Any:
        """Return the JSON of a signed endpoint."""
        return (await self.signed(method, path, **params)).json()

    async def error(self, method: str, path: str, **params: Any) -> tuple[int, int, str]:
        """Return status, code and words of what is refused."""
        reply = await self.signed(method, path, **params)
        body = reply.json()
        return reply.status_code, body["code"], body["msg"]
