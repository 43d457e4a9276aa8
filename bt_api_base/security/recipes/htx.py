"""What HTX wants signed."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING
from urllib.parse import quote

from bt_api_base.exceptions import ConfigurationError
from bt_api_base.security.recipes.signed_request import RequestToSign, SignedRequest, percent_encoded
from bt_api_base.security.signing import check_private_key, hmac_base64, is_private_key, private_key_base64

if TYPE_CHECKING:
    from bt_api_base.security.credentials import Credentials

__all__ = ("htx_request",)


def htx_request(credentials: Credentials, request: RequestToSign, *, timestamp_ns: int) -> SignedRequest:
    """Return an HTX request with its key, time and signature in the query, sorted.

    Args:
        credentials: The access key with a shared secret (HMAC-SHA256), or with a private key in PEM (Ed25519) whose
            password, if it has one, is the passphrase.
        request: What is to be asked. The host is signed, too; the body is not.
        timestamp_ns: See `Recipe`; the venue allows 5 minutes of difference.

    Raises:
        ConfigurationError: There is no host.
    """
    # https://www.htx.com/en-us/opend/newApiPages/?id=419
    if not request.host:
        raise ConfigurationError("this venue signs the name of the host, and none was given", exchange_name="HTX")
    check_private_key(credentials.secret, credentials.passphrase)
    secret, has_private_key = credentials.secret, is_private_key(credentials.secret)
    added = percent_encoded(
        {
            "AccessKeyId": credentials.api_key.reveal(),
            "SignatureMethod": "Ed25519" if has_private_key else "HmacSHA256",
            "SignatureVersion": "2",
            "Timestamp": f"{datetime.fromtimestamp(timestamp_ns // 1_000_000_000, timezone.utc):%Y-%m-%dT%H:%M:%S}",
        }
    )
    # Of the names themselves: the "=" behind one would come before a digit at the end of another.
    parameters = [parameter.partition("=") for parameter in f"{request.query}&{added}".split("&") if parameter]
    query = "&".join("".join(parameter) for parameter in sorted(parameters))
    payload = f"{request.method.upper()}\n{request.host.lower()}\n{request.path}\n{query}"
    if has_private_key:
        signature = private_key_base64(secret, payload, password=credentials.passphrase)
    else:
        signature = hmac_base64(secret, payload)
    headers = {"Content-Type": "application/json"} if request.body else {}
    return SignedRequest(query=f"{query}&Signature={quote(signature, '')}", body=request.body, headers=headers)
