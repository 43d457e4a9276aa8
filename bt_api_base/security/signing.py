"""Signatures: pure functions from a secret and a payload to a text.

What goes into the payload differs from venue to venue; `bt_api_base.security.recipes` has that.
Private keys need the package ``cryptography`` (``pip install bt_api_base[signing]``), which is loaded when one is used.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from bt_api_base.exceptions import ConfigurationError
from bt_api_base.security.secret import Secret

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

__all__ = ("ed25519_base64", "hmac_base64", "hmac_hex", "is_private_key", "private_key_base64", "rsa_base64")

_ALGORITHMS: Final = frozenset({"sha256", "sha384", "sha512"})


def hmac_hex(secret: Secret | str, payload: str | bytes, algorithm: str = "sha256") -> str:
    """Return the HMAC of a payload in lower-case hexadecimal.

    Args:
        secret: The shared secret; its UTF-8 bytes are the key.
        payload: What is signed; text is signed as UTF-8.
        algorithm: The hash: ``"sha256"``, ``"sha384"`` or ``"sha512"``.
    """
    return _hmac(secret, payload, algorithm).hex()


def hmac_base64(secret: Secret | str, payload: str | bytes, algorithm: str = "sha256") -> str:
    """Return the HMAC of a payload in Base64; see `hmac_hex`."""
    return base64.b64encode(_hmac(secret, payload, algorithm)).decode()


def ed25519_base64(private_key: Secret | str, payload: str | bytes, *, password: Secret | str | None = None) -> str:
    """Return the Ed25519 signature of a payload in Base64.

    Args:
        private_key: The key in PEM (PKCS#8).
        payload: What is signed; text is signed as UTF-8.
        password: What the PEM is encrypted with.

    Raises:
        ConfigurationError: It is no such key, or ``cryptography`` is not installed.
    """
    key = _private_key(private_key, password)
    if not _is_ed25519(key):
        raise ConfigurationError("the private key is no Ed25519 key")
    return base64.b64encode(_signed(key, payload)).decode()


def rsa_base64(private_key: Secret | str, payload: str | bytes, *, password: Secret | str | None = None) -> str:
    """Return the RSA signature (RSASSA-PKCS1-v1_5, SHA-256) of a payload in Base64; see `ed25519_base64`."""
    key = _private_key(private_key, password)
    if _is_ed25519(key):
        raise ConfigurationError("the private key is no RSA key")
    return base64.b64encode(_signed(key, payload)).decode()


def private_key_base64(private_key: Secret | str, payload: str | bytes, *, password: Secret | str | None = None) -> str:
    """Return the signature of a payload in Base64, Ed25519 or RSA as the key is; see `ed25519_base64`."""
    return base64.b64encode(_signed(_private_key(private_key, password), payload)).decode()


def is_private_key(secret: Secret | str) -> bool:
    """Return whether a secret is a private key in PEM, and so no shared secret."""
    return _text(secret).lstrip().startswith("-----BEGIN")


def _hmac(secret: Secret | str, payload: str | bytes, algorithm: str) -> bytes:
    if algorithm not in _ALGORITHMS:
        raise ConfigurationError(f"no such algorithm: {algorithm!r}; there are {', '.join(sorted(_ALGORITHMS))}")
    return hmac.digest(_text(secret).encode(), _bytes(payload), getattr(hashlib, algorithm))


def _signed(key: Ed25519PrivateKey | RSAPrivateKey, payload: str | bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.hashes import SHA256

    if isinstance(key, RSAPrivateKey):
        return key.sign(_bytes(payload), PKCS1v15(), SHA256())
    return key.sign(_bytes(payload))


def _is_ed25519(key: Ed25519PrivateKey | RSAPrivateKey) -> bool:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return isinstance(key, Ed25519PrivateKey)


def _private_key(private_key: Secret | str, password: Secret | str | None) -> Ed25519PrivateKey | RSAPrivateKey:
    # As secrets, so that they do not show in whatever lists the arguments of a call, the cache among them.
    secret = private_key if isinstance(private_key, Secret) else Secret(private_key)
    return _load(secret, Secret(password) if isinstance(password, str) else password)


@lru_cache(maxsize=16)
def _load(private_key: Secret, password: Secret | None) -> Ed25519PrivateKey | RSAPrivateKey:
    """Read a key once: it is checked while it is read, which takes RSA longer than to sign."""
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ImportError as error:
        detail = "private keys need the package cryptography: pip install bt_api_base[signing]"
        raise ConfigurationError(detail) from error
    key: object = None
    problem = "its algorithm is not supported"
    try:
        key = load_pem_private_key(
            private_key.reveal().encode(), None if password is None else password.reveal().encode()
        )
    except TypeError:
        # The library's way to say it.
        problem = "it is encrypted, and no password was given" if password is None else "it is not encrypted"
    except UnsupportedAlgorithm:
        pass
    except ValueError:
        problem = "it is no PEM, or the password is wrong"
    if not isinstance(key, (Ed25519PrivateKey, RSAPrivateKey)):
        # Outside of the handlers: the library's exception would stay in sight as the context.
        raise ConfigurationError(f"the private key cannot be used: {problem}")
    return key


def _text(secret: Secret | str) -> str:
    return secret.reveal() if isinstance(secret, Secret) else secret


def _bytes(payload: str | bytes) -> bytes:
    return payload.encode() if isinstance(payload, str) else payload
