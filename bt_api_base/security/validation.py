"""The usual accidents with keys, found before a venue refuses them.

The texts say what is wrong, and never what was given. A demo or testnet key looks like any other at all of these
venues: only the venue can tell.
"""

from __future__ import annotations

import base64
import re
import unicodedata
from typing import TYPE_CHECKING, Final

import attrs

from bt_api_base.exceptions import ConfigurationError
from bt_api_base.security.accounts import Account
from bt_api_base.security.signing import is_private_key
from bt_api_base.security.venue_templates import VENUE_TEMPLATES, template_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bt_api_base.security.credentials import Credentials
    from bt_api_base.security.venue_templates import CredentialPart, CredentialTemplate

__all__ = ("CredentialProblem", "check_credentials", "find_problems", "mask_credential", "validate_api_key")

_PEM: Final = re.compile(
    r"\s*-----BEGIN (?P<kind>[A-Z0-9 ]+)-----\s*?\n(?P<content>.*?)\n?-----END (?P=kind)-----\s*", re.DOTALL
)
_QUOTES: Final = re.compile(r"""(["'`\u2018\u201c]).*["'`\u2019\u201d]""", re.DOTALL)
_PLACEHOLDER: Final = re.compile(
    r"<.*>|\$?\{.*\}|\$\w+|x{4,}|\*+|\.+|(?:your|insert|enter|paste|replace|change)[ _-].*|.*[ _-]here|changeme|todo",
    re.IGNORECASE,
)


@attrs.frozen
class CredentialProblem:
    """Something that is wrong with credentials, or looks so.

    Attributes:
        part: ``"api_key"``, ``"secret"`` or ``"passphrase"``.
        text: What it is.
        is_certain: Whether no venue can take it; else it only differs from what such keys have looked like so far.
    """

    part: str
    text: str
    is_certain: bool = True


def find_problems(exchange_name: str, credentials: Credentials) -> tuple[CredentialProblem, ...]:
    """Return what is wrong with credentials, or looks so.

    Args:
        exchange_name: The venue, such as ``"BINANCE___SPOT"``; of one that is not known, only what no venue takes is
            found.
        credentials: The credentials.
    """
    template = template_of(Account(exchange_name))
    is_known = template.venue in VENUE_TEMPLATES
    found = (
        *_every_venues(template, credentials, is_known=is_known),
        *(_of_venue(template, credentials) if is_known else ()),
    )
    certain = {problem.part for problem in found if problem.is_certain}
    return tuple(problem for problem in found if problem.is_certain or problem.part not in certain)


def check_credentials(exchange_name: str, credentials: Credentials) -> None:
    """Refuse credentials that no venue can take.

    Args:
        exchange_name: See `find_problems`.
        credentials: The credentials.

    Raises:
        ConfigurationError: Something is certainly wrong with them.
    """
    texts = [f"{one.part} {one.text}" for one in find_problems(exchange_name, credentials) if one.is_certain]
    if texts:
        raise ConfigurationError("; ".join(texts), exchange_name=exchange_name)


def validate_api_key(api_key: str, min_length: int = 16) -> bool:
    """Return whether a text may be an API key: long enough, of visible characters, and neither quoted nor made up.

    Args:
        api_key: The text.
        min_length: The fewest characters it has.
    """
    return len(api_key) >= min_length and not _quirk(api_key)


def mask_credential(credential: str, visible_chars: int = 4) -> str:
    """Return a text with only its ends left, for a person to tell keys apart.

    At least half of it is masked. A private key, and a text of fewer than eight characters, is masked as a whole.

    Args:
        credential: The text.
        visible_chars: How many characters at each end are left.
    """
    shown = min(visible_chars, len(credential) // 4)
    if len(credential) < 8 or shown < 1 or is_private_key(credential):
        return "****"
    return f"{credential[:shown]}{'*' * (len(credential) - 2 * shown)}{credential[-shown:]}"


def _every_venues(
    template: CredentialTemplate, credentials: Credentials, *, is_known: bool
) -> Iterator[CredentialProblem]:
    api_key, secret, phrase = credentials.api_key, credentials.secret, credentials.passphrase
    if is_private_key(api_key):
        yield CredentialProblem("api_key", "is a private key, and is perhaps the secret")
    elif quirk := _quirk(api_key.reveal()):
        yield CredentialProblem("api_key", quirk, is_known)
    if is_private_key(secret):
        if problem := _pem_problem(secret.reveal()):
            yield CredentialProblem("secret", problem)
    elif not template.secret.is_password and (quirk := _quirk(secret.reveal())):
        yield CredentialProblem("secret", quirk, is_known)
    if phrase is not None and _QUOTES.fullmatch(phrase.reveal()):
        yield CredentialProblem("passphrase", "is in quotes: are they part of it?", is_certain=False)
    if api_key == secret:
        yield CredentialProblem("secret", "is the same as the api_key")
    elif phrase is not None and phrase in {api_key, secret}:
        yield CredentialProblem("passphrase", "is the same as another part")


def _of_venue(template: CredentialTemplate, credentials: Credentials) -> Iterator[CredentialProblem]:
    key, secret = credentials.api_key.reveal(), credentials.secret.reveal()
    has_private_key = is_private_key(secret)
    if has_private_key and not template.takes_private_key:
        yield CredentialProblem("secret", f"is a private key, which {template.title} does not take")
    if template.passphrase is not None and credentials.passphrase is None:
        yield CredentialProblem("passphrase", f"is missing: keys of {template.title} have one")
    if template.passphrase is None and credentials.passphrase is not None and not has_private_key:
        yield CredentialProblem("passphrase", f"is of no use: keys of {template.title} have none", is_certain=False)
    if not has_private_key and template.secret.is_base64 and not _is_base64(secret):
        yield CredentialProblem("secret", f"is not in Base64, as {template.title} gives it out")
    if has_private_key or (_fits(template.api_key, key) and _fits(template.secret, secret)):
        yield from _doubt(template, "api_key", key)
    elif _is_swapped(template, key, secret):
        yield CredentialProblem("secret", "and api_key have changed places")
    else:
        yield from _doubt(template, "api_key", key)
        yield from _doubt(template, "secret", secret)


def _doubt(template: CredentialTemplate, name: str, text: str) -> Iterator[CredentialProblem]:
    if not _fits(getattr(template, name), text):
        yield CredentialProblem(name, f"does not look like one of {template.title}", is_certain=False)


def _is_swapped(template: CredentialTemplate, key: str, secret: str) -> bool:
    known = template.api_key.shape is not None and template.secret.shape is not None
    return known and _fits(template.api_key, secret) and _fits(template.secret, key)


def _fits(part: CredentialPart, text: str) -> bool:
    return part.shape is None or part.shape.fullmatch(text) is not None


def _quirk(text: str) -> str:
    """Return what no key or secret is like."""
    if _QUOTES.fullmatch(text):
        return "is in quotes"
    if any(character.isspace() for character in text):
        return "has white space in it"
    if not text.isascii() or not text.isprintable():
        names = {
            unicodedata.name(one, "a control character") for one in text if not one.isascii() or not one.isprintable()
        }
        return f"has a character in it that keys do not have: {min(names)}"
    if _PLACEHOLDER.fullmatch(text):
        return "is a placeholder"
    if text.startswith(("http://", "https://")):
        return "is a URL"
    return ""


def _pem_problem(text: str) -> str:
    """Return what is wrong with a private key in PEM."""
    if "\\n" in text:
        return r"is a PEM with \n in place of its line ends: put it in double quotes, or name its file"
    match = _PEM.fullmatch(text)
    if match is None:
        return "is a PEM that is not whole: its line ends or its last line are lost"
    if not match["kind"].endswith("PRIVATE KEY"):
        return "is a PEM of something else than a private key"
    lines = [line.strip() for line in match["content"].splitlines()]
    # Keys of an older form have headers, then an empty line.
    if not _is_base64("".join(lines[lines.index("") + 1 :] if "" in lines else lines)):
        return "is a PEM that was changed: it is no Base64"
    return ""


def _is_base64(text: str) -> bool:
    try:
        return bool(base64.b64decode(text, validate=True))
    except ValueError:
        return False
