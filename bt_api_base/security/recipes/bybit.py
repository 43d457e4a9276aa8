"""What Bybit v5 wants signed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bt_api_base.security.recipes.signed_request import RequestToSign, SignedRequest
from bt_api_base.security.signing import check_private_key, hmac_hex, is_private_key, private_key_base64

if TYPE_CHECKING:
    from bt_api_base.security.credentials import Credentials

__all__ = ("bybit_request",)


def bybit_request(
    credentials: Credentials, request: RequestToSign, *, timestamp_ns: int, recv_window_ms: int = 5000
) -> SignedRequest:
    """Return a Bybit v5 request with its headers.

    Args:
        credentials: The API key with a shared secret (HMAC-SHA256, hexadecimal), or with a private key in PEM (RSA,
            Base64) whose password, if it has one, is the passphrase.
        request: What is to be asked; signed is its query, or its body where it is no GET.
        timestamp_ns: See `Recipe`.
        recv_window_ms: How long the request may be under way until it is refused, milliseconds.
    """
    # https://bybit-exchange.github.io/docs/v5/guide#authentication
    check_private_key(credentials.secret, credentials.passphrase)
    timestamp, key = str(timestamp_ns // 1_000_000), credentials.api_key.reveal()
    signed = request.query if request.method.upper() == "GET" else request.body
    payload = f"{timestamp}{key}{recv_window_ms}{signed}"
    if is_private_key(credentials.secret):
        signature = private_key_base64(credentials.secret, payload, password=credentials.passphrase)
    else:
        signature = hmac_hex(credentials.secret, payload)
    headers = {
        "X-BAPI-API-KEY": key,
        "X-BAPI-TIMESTAMP": timestamp,
        "X-BAPI-RECV-WINDOW": str(recv_window_ms),
        "X-BAPI-SIGN": signature,
    }
    if request.body:
        headers["Content-Type"] = "application/json"
    return SignedRequest(query=request.query, body=request.body, headers=headers)
