"""What OKX wants signed: REST, and the log-in of its WebSockets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bt_api_base.security.recipes.signed_request import RequestToSign, SignedRequest, iso_milliseconds, passphrase_of
from bt_api_base.security.signing import hmac_base64

if TYPE_CHECKING:
    from bt_api_base.security.credentials import Credentials
    from bt_api_base.security.secret import Secret

__all__ = ("okx_login_signature", "okx_request", "okx_signature")


def okx_request(credentials: Credentials, request: RequestToSign, *, timestamp_ns: int) -> SignedRequest:
    """Return an OKX REST request with its headers.

    Args:
        credentials: The API key, the shared secret and the passphrase.
        request: What is to be asked; the query belongs to what is signed, exactly as it is sent.
        timestamp_ns: See `Recipe`; the venue allows 30 s of difference.

    Raises:
        ConfigurationError: There is no passphrase.
    """
    # https://www.okx.com/docs-v5/en/#overview-rest-authentication-making-requests
    timestamp = iso_milliseconds(timestamp_ns)
    headers = {
        "OK-ACCESS-KEY": credentials.api_key.reveal(),
        "OK-ACCESS-SIGN": okx_signature(credentials.secret, timestamp, request.method, request.target, request.body),
        "OK-ACCESS-TIMESTAMP": timestamp,
        "OK-ACCESS-PASSPHRASE": passphrase_of(credentials, "OKX").reveal(),
        "Content-Type": "application/json",
    }
    return SignedRequest(query=request.query, body=request.body, headers=headers)


def okx_signature(secret: Secret | str, timestamp: str, method: str, path: str, body: str = "") -> str:
    """Return the signature of an OKX request: Base64 of HMAC-SHA256.

    Args:
        secret: The secret key.
        timestamp: The same as is sent: UTC, ISO 8601 with milliseconds and ``Z`` for REST; seconds for the log-in.
        method: ``"GET"`` or ``"POST"``.
        path: The path with its query, as it is sent.
        body: The body as it is sent; empty for GET.
    """
    # https://www.okx.com/docs-v5/en/#overview-rest-authentication-signature
    return hmac_base64(secret, f"{timestamp}{method.upper()}{path}{body}")


def okx_login_signature(secret: Secret | str, timestamp: str | int) -> str:
    """Return the signature of an OKX WebSocket log-in.

    Args:
        secret: The secret key.
        timestamp: Seconds since 1970 (UTC), the same as is sent; the venue allows 30 s of difference.
    """
    # https://www.okx.com/docs-v5/en/#overview-websocket-login
    return okx_signature(secret, str(timestamp), "GET", "/users/self/verify")
