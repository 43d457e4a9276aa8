"""What Binance wants signed: spot, USD-M futures, and their WebSocket APIs."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from bt_api_base.security.recipes.signed_request import ParameterValue, RequestToSign, SignedRequest, parameter_text
from bt_api_base.security.signing import hmac_hex, is_private_key, private_key_base64

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bt_api_base.security.credentials import Credentials
    from bt_api_base.security.secret import Secret

__all__ = (
    "binance_query_signature",
    "binance_request",
    "binance_websocket_payload",
    "binance_websocket_signature",
)


def binance_request(
    credentials: Credentials, request: RequestToSign, *, timestamp_ns: int, recv_window_ms: int | None = 5000
) -> SignedRequest:
    """Return a Binance REST request with ``recvWindow``, ``timestamp`` and ``signature``, and the header for the key.

    They are added to the query, or to the body where there is one.

    Args:
        credentials: The API key with a shared secret (HMAC), or with a private key in PEM (RSA, Ed25519) whose
            password, if it has one, is the passphrase.
        request: What is to be asked; what is sent has to be percent-encoded already.
        timestamp_ns: See `Recipe`.
        recv_window_ms: How long the request may be under way until it is refused, milliseconds; ``None``: the venue's
            default, which is 5,000.
    """
    # https://github.com/binance/binance-spot-api-docs/blob/master/rest-api.md#signed-endpoint-security
    window = "" if recv_window_ms is None else f"recvWindow={recv_window_ms}&"
    added = f"{window}timestamp={timestamp_ns // 1_000_000}"
    query, body = request.query, request.body
    if body:
        body = f"{body}&{added}"
    else:
        query = f"{query}&{added}" if query else added
    # One after the other without a separator: so the venue has it.
    signature = quote(binance_query_signature(credentials.secret, query + body, password=credentials.passphrase), "")
    if body:
        body = f"{body}&signature={signature}"
    else:
        query = f"{query}&signature={signature}"
    return SignedRequest(query=query, body=body, headers={"X-MBX-APIKEY": credentials.api_key.reveal()})


def binance_query_signature(secret: Secret | str, payload: str | bytes, *, password: Secret | str | None = None) -> str:
    """Return the signature of a Binance REST request.

    The signature of a private key is yet to be percent-encoded, as every parameter.

    Args:
        secret: A shared secret (HMAC-SHA256, hexadecimal), or a private key in PEM (RSA, Ed25519; Base64).
        payload: Query and body, one after the other without a separator, percent-encoded and in the order they are
            sent in, without ``signature``.
        password: What the PEM is encrypted with.
    """
    # https://github.com/binance/binance-spot-api-docs/blob/master/rest-api.md#signed-endpoint-security
    if is_private_key(secret):
        return private_key_base64(secret, payload, password=password)
    return hmac_hex(secret, payload)


def binance_websocket_payload(params: Mapping[str, ParameterValue]) -> str:
    """Return what is signed of the parameters of a Binance WebSocket API request: sorted by name, and not encoded.

    Args:
        params: All of them, ``apiKey`` included; ``signature`` is left out.

    Raises:
        TypeError: A value is neither text, an integer nor a boolean.
    """
    return "&".join(
        f"{name}={parameter_text(name, value)}" for name, value in sorted(params.items()) if name != "signature"
    )


def binance_websocket_signature(
    secret: Secret | str, params: Mapping[str, ParameterValue], *, password: Secret | str | None = None
) -> str:
    """Return the signature of a Binance WebSocket API request, as it goes into the JSON.

    Args:
        secret: See `binance_query_signature`.
        params: See `binance_websocket_payload`.
        password: See `binance_query_signature`.
    """
    # https://github.com/binance/binance-spot-api-docs/blob/master/web-socket-api.md#request-security
    return binance_query_signature(secret, binance_websocket_payload(params), password=password)
