"""What an account at a venue is accessed with."""

from __future__ import annotations

import attrs

from bt_api_base.security.secret import Secret

__all__ = ("Credentials",)


def _secret(value: str | Secret | None) -> Secret | None:
    return Secret(value) if isinstance(value, str) else value


def _required(value: str | Secret) -> Secret:
    return Secret(value) if isinstance(value, str) else value


@attrs.frozen
class Credentials:
    """An API key and what goes with it. None of it shows in a repr, a log or a pickle.

    Attributes:
        api_key: The key's name, which venues call API key; not public either.
        secret: What requests are signed with: a shared secret (HMAC), or a private key in PEM (RSA, Ed25519).
        passphrase: The third part that some venues ask for, such as OKX.
    """

    api_key: Secret = attrs.field(converter=_required)
    secret: Secret = attrs.field(converter=_required)
    passphrase: Secret | None = attrs.field(default=None, converter=_secret)
