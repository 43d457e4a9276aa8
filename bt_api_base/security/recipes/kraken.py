"""What Kraken wants signed."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from bt_api_base.security.recipes.signed_request import RequestToSign, SignedRequest
from bt_api_base.security.signing import hmac_base64

if TYPE_CHECKING:
    from bt_api_base.security.credentials import Credentials

__all__ = ("kraken_request",)


def kraken_request(
    credentials: Credentials, request: RequestToSign, *, timestamp_ns: int, nonce: int | None = None
) -> SignedRequest:
    """Return a Kraken spot REST request: its form begins with the nonce, its headers have key and signature.

    Args:
        credentials: The API key and the private key, which is a shared secret in Base64 (HMAC-SHA512).
        request: What is to be asked; the body is a form (`percent_encoded`), or empty.
        timestamp_ns: See `Recipe`.
        nonce: A number that grows with each request of a key (`Nonce`). ``None``: the milliseconds of the time.

    Raises:
        ConfigurationError: The secret is not in Base64.
    """
    # https://docs.kraken.com/api/docs/guides/spot-rest-auth
    number = timestamp_ns // 1_000_000 if nonce is None else nonce
    body = f"nonce={number}&{request.body}" if request.body else f"nonce={number}"
    digest = hashlib.sha256(f"{number}{body}".encode()).digest()
    payload = request.path.encode() + digest
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "API-Key": credentials.api_key.reveal(),
        "API-Sign": hmac_base64(credentials.secret, payload, "sha512", key_encoding="base64"),
    }
    return SignedRequest(query=request.query, body=body, headers=headers)
