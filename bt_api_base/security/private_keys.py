"""Private keys: read once, and told apart.

They need the package ``cryptography`` (``pip install bt_api_base[signing]``), which is loaded when one is used.
"""

from __future__ import annotations

import base64
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

from bt_api_base.exceptions import ConfigurationError
from bt_api_base.security.secret import Secret, as_secret

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

__all__ = ("PrivateKey", "key_kind", "load_ed25519_key", "load_private_key", "sign")

PrivateKey: TypeAlias = "Ed25519PrivateKey | EllipticCurvePrivateKey | RSAPrivateKey"
"""A key of one of the kinds that venues take."""

_COORDINATE_BYTES = 32
"""Of the curve P-256."""


def load_private_key(private_key: Secret | str, password: Secret | str | None = None) -> PrivateKey:
    """Return a key that can sign: Ed25519, RSA, or of the elliptic curve P-256.

    Args:
        private_key: The key in PEM.
        password: What the PEM is encrypted with.

    Raises:
        ConfigurationError: It is no such key, or ``cryptography`` is not installed.
    """
    # As secrets, so that they do not show in whatever lists the arguments of a call, the cache among them.
    private_key, password = as_secret(private_key), None if password is None else as_secret(password)
    return _load(private_key, password)


def load_ed25519_key(private_key: Secret | str) -> Ed25519PrivateKey:
    """Return an Ed25519 key from Base64, as a few venues give it out.

    Args:
        private_key: 32 bytes, the seed; or 64, the seed and the public half.

    Raises:
        ConfigurationError: It is not, or ``cryptography`` is not installed.
    """
    private_key = as_secret(private_key)
    return _decode(private_key)


def key_kind(key: PrivateKey) -> str:
    """Return what a key is: ``"Ed25519"``, ``"RSA"`` or ``"EC"`` (the elliptic curve P-256)."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    if isinstance(key, Ed25519PrivateKey):
        return "Ed25519"
    return "RSA" if isinstance(key, RSAPrivateKey) else "EC"


def sign(key: PrivateKey, payload: bytes) -> bytes:
    """Return a signature.

    RSA: RSASSA-PKCS1-v1_5 with SHA-256. Elliptic curve: ECDSA with SHA-256, both numbers one after the other as
    RFC 7518 has it, and different each time.
    """
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
    from cryptography.hazmat.primitives.hashes import SHA256

    if isinstance(key, RSAPrivateKey):
        return key.sign(payload, PKCS1v15(), SHA256())
    if isinstance(key, EllipticCurvePrivateKey):
        numbers = decode_dss_signature(key.sign(payload, ECDSA(SHA256())))
        return b"".join(number.to_bytes(_COORDINATE_BYTES, "big") for number in numbers)
    return key.sign(payload)


@lru_cache(maxsize=16)
def _load(private_key: Secret, password: Secret | None) -> PrivateKey:
    """Read a key once: it is checked while it is read, which takes RSA longer than to sign."""
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ImportError as error:
        raise _missing() from error
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
    if isinstance(key, (Ed25519PrivateKey, RSAPrivateKey)):
        return key
    if isinstance(key, EllipticCurvePrivateKey) and isinstance(key.curve, SECP256R1):
        return key
    # Outside of the handlers: the library's exception would stay in sight as the context.
    raise ConfigurationError(f"the private key cannot be used: {problem}")


@lru_cache(maxsize=16)
def _decode(private_key: Secret) -> Ed25519PrivateKey:
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    except ImportError as error:
        raise _missing() from error
    problem = "it is neither a PEM nor in Base64"
    try:
        key = base64.b64decode(private_key.reveal(), validate=True)
    except ValueError:
        key = b""
    else:
        problem = f"an Ed25519 key has 32 or 64 bytes, not {len(key)}"
        if len(key) in {_COORDINATE_BYTES, 2 * _COORDINATE_BYTES}:
            return Ed25519PrivateKey.from_private_bytes(key[:_COORDINATE_BYTES])
    del key
    raise ConfigurationError(f"the private key cannot be used: {problem}")


def _missing() -> ConfigurationError:
    return ConfigurationError("private keys need the package cryptography: pip install bt_api_base[signing]")
