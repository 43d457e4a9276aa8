"""Signatures: pure functions from a secret and a payload to a text.

What goes into the payload differs from venue to venue; `bt_api_base.security.recipes` has that.
Private keys need the package ``cryptography`` (``pip install bt_api_base[signing]``), which is loaded when one is used.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from bt_api_base.exceptions import ConfigurationError
from bt_api_base.security._hidden import HiddenText
from bt_api_base.security.private_keys import key_kind, load_ed25519_key, load_private_key, sign
from bt_api_base.security.secret import Secret, as_secret, text_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bt_api_base.security.private_keys import PrivateKey

__all__ = (
    "check_private_key",
    "ed25519_base64",
    "hmac_base64",
    "hmac_hex",
    "is_private_key",
    "json_web_token",
    "load_web_token_key",
    "private_key_base64",
    "rsa_base64",
)

_ALGORITHMS: Final = frozenset({"sha256", "sha384", "sha512"})
_TOKEN_ALGORITHMS: Final = {"EC": "ES256", "Ed25519": "EdDSA"}


def hmac_hex(
    secret: Secret | str, payload: str | bytes, algorithm: str = "sha256", *, key_encoding: str = "utf-8"
) -> str:
    """Return the HMAC of a payload in lower-case hexadecimal.

    Args:
        secret: The shared secret.
        payload: What is signed; text is signed as UTF-8.
        algorithm: The hash: ``"sha256"``, ``"sha384"`` or ``"sha512"``.
        key_encoding: How the key is written: ``"utf-8"``: its bytes are the text's; ``"base64"``: it is decoded.

    Raises:
        ConfigurationError: There is no such algorithm or encoding, or the secret is not in Base64 where it has to be.
    """
    hidden = _hidden(secret)
    del secret
    return _hmac(hidden, payload, algorithm, key_encoding).hex()


def hmac_base64(
    secret: Secret | str, payload: str | bytes, algorithm: str = "sha256", *, key_encoding: str = "utf-8"
) -> str:
    """Return the HMAC of a payload in Base64; see `hmac_hex`."""
    hidden = _hidden(secret)
    del secret
    return base64.b64encode(_hmac(hidden, payload, algorithm, key_encoding)).decode()


def ed25519_base64(private_key: Secret | str, payload: str | bytes, *, password: Secret | str | None = None) -> str:
    """Return the Ed25519 signature of a payload in Base64.

    Args:
        private_key: The key in PEM (PKCS#8).
        payload: What is signed; text is signed as UTF-8.
        password: What the PEM is encrypted with.

    Raises:
        ConfigurationError: It is no such key, or ``cryptography`` is not installed.
    """
    private_key, password = as_secret(private_key), None if password is None else as_secret(password)
    key = load_private_key(private_key, password)
    if key_kind(key) != "Ed25519":
        raise ConfigurationError("the private key is no Ed25519 key")
    return base64.b64encode(sign(key, _bytes(payload))).decode()


def rsa_base64(private_key: Secret | str, payload: str | bytes, *, password: Secret | str | None = None) -> str:
    """Return the RSA signature (RSASSA-PKCS1-v1_5, SHA-256) of a payload in Base64; see `ed25519_base64`."""
    private_key, password = as_secret(private_key), None if password is None else as_secret(password)
    key = load_private_key(private_key, password)
    if key_kind(key) != "RSA":
        raise ConfigurationError("the private key is no RSA key")
    return base64.b64encode(sign(key, _bytes(payload))).decode()


def private_key_base64(private_key: Secret | str, payload: str | bytes, *, password: Secret | str | None = None) -> str:
    """Return the signature of a payload in Base64, Ed25519 or RSA as the key is; see `ed25519_base64`."""
    private_key, password = as_secret(private_key), None if password is None else as_secret(password)
    return base64.b64encode(sign(_request_key(private_key, password), _bytes(payload))).decode()


def check_private_key(private_key: Secret | str, password: Secret | str | None = None) -> None:
    """Refuse what `private_key_base64` cannot sign with, before a payload with a key in it is made.

    Args:
        private_key: A shared secret, which is not looked at, or a private key in PEM.
        password: What the PEM is encrypted with.

    Raises:
        ConfigurationError: See `ed25519_base64`.
    """
    private_key, password = as_secret(private_key), None if password is None else as_secret(password)
    if is_private_key(private_key):
        _request_key(private_key, password)


def load_web_token_key(private_key: Secret | str, password: Secret | str | None = None) -> PrivateKey:
    """Return what `json_web_token` signs with.

    Args:
        private_key: A key in PEM (elliptic curve P-256, Ed25519), or an Ed25519 key in Base64: its 32 bytes, or these
            and the 32 of its public half.
        password: What the PEM is encrypted with.

    Raises:
        ConfigurationError: It is no such key, or ``cryptography`` is not installed.
    """
    private_key, password = as_secret(private_key), None if password is None else as_secret(password)
    key = load_private_key(private_key, password) if is_private_key(private_key) else load_ed25519_key(private_key)
    if key_kind(key) not in _TOKEN_ALGORITHMS:
        raise ConfigurationError("the private key is neither one of the elliptic curve P-256 nor an Ed25519 key")
    return key


def json_web_token(
    key: PrivateKey, claims: Mapping[str, object], *, headers: Mapping[str, object] | None = None
) -> str:
    """Return a signed JSON web token (RFC 7519, 7515): ES256 or EdDSA, as the key is.

    Args:
        key: What `load_web_token_key` returned.
        claims: What is signed, in this order.
        headers: What goes beside ``alg`` and ``typ``.
    """
    parts = ({"alg": _TOKEN_ALGORITHMS[key_kind(key)], "typ": "JWT", **(headers or {})}, claims)
    signed = ".".join(_url_base64(json.dumps(part, separators=(",", ":")).encode()) for part in parts)
    return f"{signed}.{_url_base64(sign(key, signed.encode()))}"


def is_private_key(secret: Secret | HiddenText | str) -> bool:
    """Return whether a secret is a private key in PEM, and so no shared secret."""
    return text_of(secret).lstrip().startswith("-----BEGIN")


def _request_key(private_key: Secret, password: Secret | None) -> PrivateKey:
    key = load_private_key(private_key, password)
    if key_kind(key) == "EC":
        raise ConfigurationError("the private key cannot be used: its algorithm is not supported")
    return key


def _hmac(secret: Secret | HiddenText, payload: str | bytes, algorithm: str, encoding: str) -> bytes:
    if algorithm not in _ALGORITHMS:
        raise ConfigurationError(f"no such algorithm: {algorithm!r}; there are {', '.join(sorted(_ALGORITHMS))}")
    return hmac.digest(_key(secret, encoding), _bytes(payload), getattr(hashlib, algorithm))


def _key(secret: Secret | HiddenText, encoding: str) -> bytes:
    if encoding == "utf-8":
        return text_of(secret).encode()
    if encoding != "base64":
        raise ConfigurationError(f"no such encoding of a key: {encoding!r}; there are base64, utf-8")
    with suppress(ValueError):
        return base64.b64decode(text_of(secret), validate=True)
    # Outside of the handler: the error of the library names characters.
    raise ConfigurationError("the secret is not in Base64, as this venue gives it out")


def _bytes(payload: str | bytes) -> bytes:
    return payload.encode() if isinstance(payload, str) else payload


def _url_base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _hidden(secret: Secret | str) -> Secret | HiddenText:
    """Return a shared secret as what shows in no traceback; unlike a `Secret`, it costs next to nothing."""
    return HiddenText(secret) if isinstance(secret, str) else secret
