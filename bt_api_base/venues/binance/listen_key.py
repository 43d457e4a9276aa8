"""The listen key of Binance's USD-M futures: what it takes to be told of an account's events.

Source: Binance USD-M futures API documentation, "Start", "Keepalive" and "Close User Data Stream": a key is valid for
60 minutes after it was made or prolonged, and making one while there is one returns and prolongs the same.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

import msgspec
from typing_extensions import override

from bt_api_base.exceptions import (
    AuthenticationError,
    BannedError,
    BtApiError,
    NetworkError,
    RateLimitError,
    RequestFailedError,
    RequestTimeoutError,
)
from bt_api_base.security import Secret
from bt_api_base.venues.binance.private import NOT_THIS_KEY
from bt_api_base.venues.binance.usdm_convert import EXCHANGE_NAME
from bt_api_base.websocket.lease import SessionLease

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

    from bt_api_base.security import Credentials
    from bt_api_base.transport import TransportPolicy

__all__ = ("ClientFactory", "UsdmListenKeyLease")

ClientFactory: TypeAlias = "Callable[[], httpx.AsyncClient]"
"""Makes an HTTP client, to be closed by whoever uses it."""

_PATH: Final = "/fapi/v1/listenKey"
_LONGEST_KEY: Final = 512


class UsdmListenKeyLease(SessionLease):
    """A listen key, asked for over REST with the API key alone: these requests are not signed.

    The key belongs to the account: every program that asks gets the same one. So it is left to expire by default;
    deleting it would end the events of all the others, and of one's own next connection.

    Args:
        rest_url: The REST host, such as ``"https://fapi.binance.com"``.
        credentials: Only the API key is used.
        policy: How to connect; ``None``: directly.
        client: Makes a client for one request, instead of one that connects as ``policy`` says.
        delete_on_close: Whether to delete the key when it is given back.
    """

    renew_interval = 1_800.0
    lifetime = 3_600.0

    def __init__(
        self,
        rest_url: str,
        credentials: Credentials,
        *,
        policy: TransportPolicy | None = None,
        client: ClientFactory | None = None,
        delete_on_close: bool = False,
    ) -> None:
        self.url = rest_url.rstrip("/") + _PATH
        self._credentials = credentials
        self._client = partial(_client, policy) if client is None else client
        self._delete_on_close = delete_on_close

    @override
    async def create(self) -> str:
        """Ask for the key.

        Raises:
            AuthenticationError: The venue does not accept the API key.
            BannedError: The venue has locked this address out.
            RateLimitError: Too many requests.
            RequestTimeoutError: There was no answer in time.
            NetworkError: The venue could not be reached.
            RequestFailedError: The venue answered with another error, or with no key.

        Cancellation: A key may have been made; it expires.
        """
        answer = await self._request("POST")
        key = answer.get("listenKey")
        if not isinstance(key, str) or not key or len(key) > _LONGEST_KEY:
            raise RequestFailedError(EXCHANGE_NAME, self.url, "the answer has no listen key in it")
        Secret(key)  # from now on it is masked where it shows, whoever holds it
        return key

    @override
    async def renew(self, key: str) -> None:
        """Prolong the key.

        Raises:
            BtApiError: See `create`. A key that no longer exists is a `RequestFailedError` with ``venue_code`` -1125.

        Cancellation: The key may have been prolonged.
        """
        await self._request("PUT")

    @override
    async def close(self, key: str) -> None:
        """Delete the key if that was asked for; else leave it to expire.

        Raises:
            BtApiError: See `create`.

        Cancellation: The key may have been deleted.
        """
        if self._delete_on_close:
            await self._request("DELETE")

    async def _request(self, method: str) -> dict[str, Any]:
        import httpx  # when it is needed: importing it takes longer than all of this package

        # Outside of the handlers: httpx's exceptions hold the request, and that the API key.
        failure: BtApiError
        try:
            async with self._client() as client:
                headers = {"X-MBX-APIKEY": self._credentials.api_key.reveal()}
                response = await client.request(method, self.url, headers=headers)
        except httpx.TimeoutException:
            failure = RequestTimeoutError(EXCHANGE_NAME, self.url)
        except httpx.HTTPError as error:
            failure = NetworkError(EXCHANGE_NAME, f"{method} {self.url}: {type(error).__name__}: {error}")
        else:
            return self._answer(response)
        raise failure

    def _answer(self, response: httpx.Response) -> dict[str, Any]:
        """Return what the venue answered, or raise what it means."""
        try:
            decoded: object = msgspec.json.decode(response.content)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            decoded = None
        answer = cast("dict[str, Any]", decoded) if isinstance(decoded, dict) else {}
        status = response.status_code
        code, message = answer.get("code"), answer.get("msg")
        if status == 200 and not isinstance(message, str):
            return answer
        known: dict[str, Any] = {
            "venue_code": code if isinstance(code, int) else status,
            "venue_message": message if isinstance(message, str) else None,
        }
        detail = f"HTTP status {status}"
        if status == 403 and not isinstance(code, int):
            raise BannedError(
                EXCHANGE_NAME, None, f"{detail}: refused before it reached the venue's application", **known
            )
        if status == 418:
            raise BannedError(EXCHANGE_NAME, _retry_after(response), detail, **known)
        if status == 429 or code == -1003:
            raise RateLimitError(EXCHANGE_NAME, _retry_after(response), detail, **known)
        if status == 401 or code in NOT_THIS_KEY:
            raise AuthenticationError(EXCHANGE_NAME, f"{detail} for the listen key", **known)
        raise RequestFailedError(EXCHANGE_NAME, self.url, status_code=status, **known)


def _client(policy: TransportPolicy | None) -> httpx.AsyncClient:
    from bt_api_base.transport import http_client

    return http_client(policy)


def _retry_after(response: httpx.Response) -> float | None:
    """Return the header of that name, which this venue gives in seconds."""
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isdecimal() else None
