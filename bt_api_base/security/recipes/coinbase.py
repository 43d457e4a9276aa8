"""What Coinbase wants signed: Advanced Trade (web tokens) and Exchange."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from bt_api_base.security.recipes.signed_request import RequestToSign, SignedRequest, passphrase_of
from bt_api_base.security.signing import hmac_base64, json_web_token, load_web_token_key

if TYPE_CHECKING:
    from bt_api_base.security.credentials import Credentials
    from bt_api_base.security.secret import Secret

__all__ = ("coinbase_exchange_request", "coinbase_exchange_signature", "coinbase_request", "coinbase_token")

_LIFETIME_S = 120


def coinbase_request(credentials: Credentials, request: RequestToSign, *, timestamp_ns: int) -> SignedRequest:
    """Return a Coinbase Advanced Trade request with a fresh web token. Only method, host and path are signed.

    Args:
        credentials: The key's name, and its private key: in PEM (elliptic curve P-256, Ed25519), or an Ed25519 key in
            Base64.
        request: What is to be asked, with its host.
        timestamp_ns: See `Recipe`; the token is good for two minutes.
    """
    # https://docs.cdp.coinbase.com/get-started/authentication/jwt-authentication
    uri = f"{request.method.upper()} {request.host}{request.path}"
    headers = {"Authorization": f"Bearer {coinbase_token(credentials, timestamp_ns=timestamp_ns, uri=uri)}"}
    if request.body:
        headers["Content-Type"] = "application/json"
    return SignedRequest(query=request.query, body=request.body, headers=headers)


def coinbase_token(credentials: Credentials, *, timestamp_ns: int, uri: str = "", nonce: str = "") -> str:
    """Return a Coinbase web token, which each request and each message over a WebSocket needs a fresh one of.

    Args:
        credentials: See `coinbase_request`.
        timestamp_ns: See `coinbase_request`.
        uri: Method, host and path, as in ``"GET api.coinbase.com/api/v3/brokerage/accounts"``; empty for a WebSocket.
        nonce: A text that is used once; empty: a random one.
    """
    # https://docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/guides/websocket-authentication
    # Before anything with the key's name in it is made.
    key = load_web_token_key(credentials.secret, credentials.passphrase)
    name, now = credentials.api_key.reveal(), timestamp_ns // 1_000_000_000
    claims: dict[str, object] = {"sub": name, "iss": "cdp", "nbf": now, "exp": now + _LIFETIME_S}
    if uri:
        claims["uri"] = uri
    headers = {"kid": name, "nonce": nonce or secrets.token_hex()}
    return json_web_token(key, claims, headers=headers)


def coinbase_exchange_request(credentials: Credentials, request: RequestToSign, *, timestamp_ns: int) -> SignedRequest:
    """Return a Coinbase Exchange request with its headers.

    Args:
        credentials: The API key, the shared secret in Base64 (HMAC-SHA256), and the passphrase.
        request: What is to be asked; the query belongs to what is signed.
        timestamp_ns: See `Recipe`; the venue allows 30 s of difference.

    Raises:
        ConfigurationError: There is no passphrase, or the secret is not in Base64.
    """
    # https://docs.cdp.coinbase.com/exchange/rest-api/authentication
    timestamp = str(timestamp_ns // 1_000_000_000)
    signature = coinbase_exchange_signature(credentials.secret, timestamp, request.method, request.target, request.body)
    headers = {
        "CB-ACCESS-KEY": credentials.api_key.reveal(),
        "CB-ACCESS-SIGN": signature,
        "CB-ACCESS-TIMESTAMP": timestamp,
        "CB-ACCESS-PASSPHRASE": passphrase_of(credentials, "COINBASE_EXCHANGE").reveal(),
        "Content-Type": "application/json",
    }
    return SignedRequest(query=request.query, body=request.body, headers=headers)


def coinbase_exchange_signature(
    secret: Secret | str, timestamp: str | int, method: str, path: str, body: str = ""
) -> str:
    """Return the signature of a Coinbase Exchange request; of ``GET /users/self/verify`` for its WebSockets.

    Args:
        secret: The shared secret, in Base64.
        timestamp: Seconds since 1970 (UTC), the same as is sent.
        method: The HTTP method.
        path: The path with its query, as it is sent.
        body: The body, as it is sent.

    Raises:
        ConfigurationError: The secret is not in Base64.
    """
    # https://docs.cdp.coinbase.com/exchange/rest-api/authentication
    return hmac_base64(secret, f"{timestamp}{method.upper()}{path}{body}", key_encoding="base64")
