"""What Gate.io v4 wants signed: REST, and each private subscription."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING
from urllib.parse import unquote

from bt_api_base.security.recipes.signed_request import RequestToSign, SignedRequest
from bt_api_base.security.signing import hmac_hex

if TYPE_CHECKING:
    from bt_api_base.security.credentials import Credentials
    from bt_api_base.security.secret import Secret

__all__ = ("gate_channel_signature", "gate_request")


def gate_request(credentials: Credentials, request: RequestToSign, *, timestamp_ns: int) -> SignedRequest:
    """Return a Gate.io v4 request with its headers.

    Args:
        credentials: The API key and the shared secret (HMAC-SHA512, hexadecimal).
        request: What is to be asked; the path begins with ``/api/v4``, and the query is signed as it is before it is
            percent-encoded.
        timestamp_ns: See `Recipe`; the venue allows 60 s of difference.
    """
    # https://www.gate.com/docs/developers/apiv4/en/#authentication
    timestamp = str(timestamp_ns // 1_000_000_000)
    digest = hashlib.sha512(request.body.encode()).hexdigest()
    payload = f"{request.method.upper()}\n{request.path}\n{unquote(request.query)}\n{digest}\n{timestamp}"
    headers = {
        "KEY": credentials.api_key.reveal(),
        "SIGN": hmac_hex(credentials.secret, payload, "sha512"),
        "Timestamp": timestamp,
        "Content-Type": "application/json",
    }
    return SignedRequest(query=request.query, body=request.body, headers=headers)


def gate_channel_signature(secret: Secret | str, channel: str, event: str, timestamp: int) -> str:
    """Return the signature of a Gate.io WebSocket message.

    Args:
        secret: The shared secret.
        channel: The channel, such as ``"spot.orders"``.
        event: ``"subscribe"`` or ``"unsubscribe"``.
        timestamp: Seconds since 1970 (UTC), the same as is sent.
    """
    # https://www.gate.com/docs/developers/apiv4/ws/en/#authentication
    return hmac_hex(secret, f"channel={channel}&event={event}&time={timestamp}", "sha512")
