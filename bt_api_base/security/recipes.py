"""What venues want signed: pure functions from credentials and a request's parts to its signature.

They are here, and not with the venues' stream adapters, because logging in over a WebSocket and asking over REST take
the same ones. A recipe is named after the venue that published it; others use it too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from bt_api_base.security.signing import hmac_base64, hmac_hex, is_private_key, private_key_base64

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bt_api_base.security.secret import Secret

__all__ = (
    "ParameterValue",
    "binance_query_signature",
    "binance_websocket_payload",
    "binance_websocket_signature",
    "okx_login_signature",
    "okx_signature",
)

ParameterValue: TypeAlias = "str | int"
"""A parameter as it is signed, booleans as in JSON.

Decimal numbers are given as text: only then is what is signed what is sent.
"""


def binance_query_signature(secret: Secret | str, payload: str | bytes) -> str:
    """Return the signature of a Binance REST request.

    The signature of a private key is yet to be percent-encoded, as every parameter.

    Args:
        secret: A shared secret (HMAC-SHA256, hexadecimal), or a private key in PEM (RSA, Ed25519; Base64).
        payload: Query and body, one after the other without a separator, percent-encoded and in the order they are
            sent in, without ``signature``.
    """
    # https://github.com/binance/binance-spot-api-docs/blob/master/rest-api.md#signed-endpoint-security
    return private_key_base64(secret, payload) if is_private_key(secret) else hmac_hex(secret, payload)


def binance_websocket_payload(params: Mapping[str, ParameterValue]) -> str:
    """Return what is signed of the parameters of a Binance WebSocket API request: sorted by name, and not encoded.

    Args:
        params: All of them, ``apiKey`` included; ``signature`` is left out.

    Raises:
        TypeError: A value is neither text, an integer nor a boolean.
    """
    return "&".join(f"{name}={_shown(name, value)}" for name, value in sorted(params.items()) if name != "signature")


def binance_websocket_signature(secret: Secret | str, params: Mapping[str, ParameterValue]) -> str:
    """Return the signature of a Binance WebSocket API request, as it goes into the JSON.

    Args:
        secret: See `binance_query_signature`.
        params: See `binance_websocket_payload`.
    """
    # https://github.com/binance/binance-spot-api-docs/blob/master/web-socket-api.md#request-security
    return binance_query_signature(secret, binance_websocket_payload(params))


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


def _shown(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int)):
        return str(value)
    raise TypeError(f"parameter {name!r}: give decimal numbers as text, not as {type(value).__name__}")
