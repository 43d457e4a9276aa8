"""What Gemini wants signed."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

from bt_api_base.security.recipes.signed_request import RequestToSign, SignedRequest
from bt_api_base.security.signing import hmac_hex

if TYPE_CHECKING:
    from bt_api_base.security.credentials import Credentials

__all__ = ("gemini_request",)


def gemini_request(
    credentials: Credentials, request: RequestToSign, *, timestamp_ns: int, nonce: int | None = None
) -> SignedRequest:
    """Return a Gemini request: its body becomes a header, and what is sent has none.

    Args:
        credentials: The API key and the shared secret (HMAC-SHA384, hexadecimal).
        request: What is to be asked; the body is a JSON object of its parameters, or empty.
        timestamp_ns: See `Recipe`.
        nonce: A number that grows with each request of a key (`Nonce`); for a key with a time-based nonce, the seconds
            since 1970. ``None``: the milliseconds of the time.

    Raises:
        ValueError: The body is no JSON object.
    """
    # https://docs.gemini.com/authentication/api-key
    body = request.body.strip() or "{}"
    if not (body.startswith("{") and body.endswith("}")):
        raise ValueError("the body has to be a JSON object: the payload is made of it")
    # Put in as text: decoded and encoded again, a number could change.
    number = timestamp_ns // 1_000_000 if nonce is None else nonce
    parameters = body[1:-1].strip()
    more = f",{parameters}" if parameters else ""
    payload = base64.b64encode(f'{{"request":{json.dumps(request.path)},"nonce":{number}{more}}}'.encode()).decode()
    headers = {
        "Content-Type": "text/plain",
        "Content-Length": "0",
        "Cache-Control": "no-cache",
        "X-GEMINI-APIKEY": credentials.api_key.reveal(),
        "X-GEMINI-PAYLOAD": payload,
        "X-GEMINI-SIGNATURE": hmac_hex(credentials.secret, payload, "sha384"),
    }
    return SignedRequest(query=request.query, headers=headers)
