"""What the keys of each venue are made of: a table that templates, sources and checks are made from."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import attrs

from bt_api_base.security import recipes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bt_api_base.security.accounts import Account
    from bt_api_base.security.recipes import Recipe

__all__ = ("VENUE_TEMPLATES", "CredentialPart", "CredentialTemplate", "template_of")


@attrs.frozen(kw_only=True)
class CredentialPart:
    """One part of a key.

    Attributes:
        called: What the venue calls it.
        variables: What its variable is called behind the name of the venue; the first is the one to use, others are
            read, too.
        shape: What such parts have looked like so far; ``None``: nothing is known of it.
        is_base64: Whether it has to be in Base64 for the venue's signatures.
        is_password: Whether it was chosen by a person, and may be anything.
    """

    called: str
    variables: tuple[str, ...]
    shape: re.Pattern[str] | None = None
    is_base64: bool = False
    is_password: bool = False


@attrs.frozen(kw_only=True)
class CredentialTemplate:
    """What the keys of a venue are made of.

    Attributes:
        venue: The venue's name, as in `Account`.
        title: What the venue calls itself.
        signatures: The kinds of signatures it takes.
        api_key: Who asks.
        secret: What is signed with: a shared secret; or a private key, where a signature is of one.
        passphrase: The third part, if keys have one.
        takes_private_key: Whether the secret may be a private key in PEM, whose password is then the passphrase.
        recipe: What signs its requests; ``None``: this package has none.
        settings: What else such an account needs and is no secret, with an example.
    """

    venue: str
    title: str
    signatures: tuple[str, ...]
    api_key: CredentialPart
    secret: CredentialPart
    passphrase: CredentialPart | None = None
    takes_private_key: bool = False
    recipe: Recipe | None = None
    settings: tuple[tuple[str, str], ...] = ()

    def variables(self, part: str, account: Account) -> tuple[str, ...]:
        """Return the names of the variables of a part; the first is the one to use.

        Args:
            part: ``"api_key"``, ``"secret"`` or ``"passphrase"``.
            account: Whose.
        """
        known: CredentialPart | None = getattr(self, part)
        return tuple(account.variable(name) for name in (known.variables if known else (part.upper(),)))


def _key(called: str = "API key", shape: str = "", *also: str) -> CredentialPart:
    return CredentialPart(called=called, variables=("API_KEY", *also), shape=re.compile(shape) if shape else None)


def _secret(called: str, shape: str = "", *also: str, is_base64: bool = False) -> CredentialPart:
    pattern = re.compile(shape) if shape else None
    return CredentialPart(called=called, variables=("SECRET", "API_SECRET", *also), shape=pattern, is_base64=is_base64)


def _phrase(called: str = "passphrase") -> CredentialPart:
    return CredentialPart(called=called, variables=("PASSPHRASE", "API_PASSPHRASE"))


_UUID: Final = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"

_TEMPLATES: Final = (
    CredentialTemplate(
        venue="BINANCE",
        title="Binance",
        signatures=("HMAC-SHA256 (hexadecimal)", "Ed25519", "RSA"),
        api_key=_key("API key", "[A-Za-z0-9]{64}"),
        secret=_secret("secret key, or the private key in PEM", "[A-Za-z0-9]{64}", "PRIVATE_KEY"),
        takes_private_key=True,
        recipe=recipes.binance_request,
    ),
    CredentialTemplate(
        venue="OKX",
        title="OKX",
        signatures=("HMAC-SHA256 (Base64)",),
        api_key=_key("API key", _UUID),
        secret=_secret("secret key", "[0-9A-F]{32}"),
        passphrase=_phrase(),
        recipe=recipes.okx_request,
    ),
    CredentialTemplate(
        venue="BYBIT",
        title="Bybit",
        signatures=("HMAC-SHA256 (hexadecimal)", "RSA"),
        api_key=_key("API key", "[A-Za-z0-9]{18}"),
        secret=_secret("API secret, or the private key in PEM", "[A-Za-z0-9]{36}", "PRIVATE_KEY"),
        takes_private_key=True,
        recipe=recipes.bybit_request,
    ),
    CredentialTemplate(
        venue="GATE",
        title="Gate.io",
        signatures=("HMAC-SHA512 (hexadecimal)",),
        api_key=_key("API key", "[0-9a-f]{32}"),
        secret=_secret("API secret", "[0-9a-f]{64}"),
        recipe=recipes.gate_request,
    ),
    CredentialTemplate(
        venue="HTX",
        title="HTX",
        signatures=("HMAC-SHA256 (Base64)", "Ed25519"),
        api_key=_key("access key", "[0-9a-z]+(?:-[0-9a-z]+){3}", "ACCESS_KEY"),
        secret=_secret("secret key, or the private key in PEM", "[0-9a-z]+(?:-[0-9a-z]+){3}", "PRIVATE_KEY"),
        takes_private_key=True,
        recipe=recipes.htx_request,
    ),
    CredentialTemplate(
        venue="GEMINI",
        title="Gemini",
        signatures=("HMAC-SHA384 (hexadecimal)",),
        api_key=_key("API key", "(?:account|master)-[A-Za-z0-9]{20}"),
        secret=_secret("API secret", "[A-Za-z0-9]{27,28}"),
        recipe=recipes.gemini_request,
    ),
    CredentialTemplate(
        venue="KRAKEN",
        title="Kraken",
        signatures=("HMAC-SHA512 (Base64)",),
        api_key=_key("API key", "[A-Za-z0-9+/]{56}"),
        secret=_secret("private key, which is a shared secret", "[A-Za-z0-9+/]{86}==", "PRIVATE_KEY", is_base64=True),
        recipe=recipes.kraken_request,
    ),
    CredentialTemplate(
        venue="COINBASE",
        title="Coinbase Advanced Trade",
        signatures=("JSON web token: ES256", "JSON web token: EdDSA"),
        api_key=_key("key name", f"(?:organizations/{_UUID}/apiKeys/)?{_UUID}", "KEY_NAME"),
        secret=_secret("private key: PEM, or Ed25519 in Base64", "[A-Za-z0-9+/]{86}==", "PRIVATE_KEY"),
        takes_private_key=True,
        recipe=recipes.coinbase_request,
    ),
    CredentialTemplate(
        venue="COINBASE_EXCHANGE",
        title="Coinbase Exchange",
        signatures=("HMAC-SHA256 (Base64)",),
        api_key=_key("API key", "[0-9a-f]{32}"),
        secret=_secret("secret", "[A-Za-z0-9+/]{86}==", is_base64=True),
        passphrase=_phrase(),
        recipe=recipes.coinbase_exchange_request,
    ),
    CredentialTemplate(
        venue="HYPERLIQUID",
        title="Hyperliquid",
        signatures=("secp256k1 over EIP-712",),
        api_key=_key("address of the account", "0x[0-9a-fA-F]{40}", "WALLET_ADDRESS"),
        secret=_secret("private key of the API wallet", "(?:0x)?[0-9a-fA-F]{64}", "PRIVATE_KEY"),
    ),
    CredentialTemplate(
        venue="CTP",
        title="CTP",
        signatures=("log-in",),
        api_key=CredentialPart(called="user", variables=("USER_ID", "API_KEY")),
        secret=CredentialPart(called="password", variables=("PASSWORD", "SECRET"), is_password=True),
        settings=(
            ("CTP_BROKER_ID", "9999"),
            ("CTP_MD_FRONT", "tcp://front.example:10211"),
            ("CTP_TD_FRONT", "tcp://front.example:10201"),
        ),
    ),
    CredentialTemplate(
        venue="IB",
        title="Interactive Brokers",
        signatures=("log-in",),
        api_key=CredentialPart(called="user name", variables=("USERNAME", "API_KEY")),
        secret=CredentialPart(called="password", variables=("PASSWORD", "SECRET"), is_password=True),
        settings=(("IB_ACCOUNT_ID", "U0000000"),),
    ),
)

VENUE_TEMPLATES: Final[Mapping[str, CredentialTemplate]] = MappingProxyType({one.venue: one for one in _TEMPLATES})
"""The templates, by name of the venue."""


def template_of(account: Account) -> CredentialTemplate:
    """Return the template of an account's venue; for one that is not in the table, that of a key and a secret."""
    known = VENUE_TEMPLATES.get(account.venue)
    return known or CredentialTemplate(
        venue=account.venue,
        title=account.venue.replace("_", " ").title(),
        signatures=("unknown",),
        api_key=_key(),
        secret=_secret("secret", "", "PRIVATE_KEY"),
        takes_private_key=True,
    )
