"""What an account at a venue is accessed with."""

from __future__ import annotations

from typing import Any

import attrs

from bt_api_base.exceptions import ConfigurationError
from bt_api_base.security.secret import Secret

__all__ = ("Credentials",)


def _optional(value: str | Secret | None) -> Secret | None:
    return Secret(value) if isinstance(value, str) else value


def _required(value: str | Secret) -> Secret:
    return Secret(value) if isinstance(value, str) else value


def _checked(_instance: object, attribute: attrs.Attribute[Any], value: Secret | None) -> None:
    """Find the usual accidents of reading a key from a file or a variable; the text never says what was read."""
    if value is None:
        return
    if not isinstance(value, Secret):  # pyright: ignore[reportUnnecessaryIsInstance]  # programs are not all checked
        raise ConfigurationError(f"{attribute.name} has to be text or a Secret, not {type(value).__name__}")
    problem = _problem(value.reveal())
    if problem:
        # Not where the text is: a traceback may show the variables of its frames.
        raise ConfigurationError(f"{attribute.name} {problem}")


def _problem(text: str) -> str:
    if not text:
        return "is empty"
    if text != text.strip() and not text.lstrip().startswith("-----BEGIN"):
        return "begins or ends with white space"
    return ""


@attrs.frozen
class Credentials:
    """An API key and what goes with it. None of it shows in a repr, a log or a pickle.

    Texts are made into `Secret` values.

    Attributes:
        api_key: The key's name, which venues call API key; not public either.
        secret: What requests are signed with: a shared secret (HMAC), or a private key in PEM (RSA, Ed25519).
        passphrase: The third part that some venues ask for, such as OKX.

    Raises:
        ConfigurationError: A part is empty, or begins or ends with white space that no venue puts there.
    """

    api_key: Secret = attrs.field(converter=_required, validator=_checked)
    secret: Secret = attrs.field(converter=_required, validator=_checked)
    passphrase: Secret | None = attrs.field(default=None, converter=_optional, validator=_checked)
