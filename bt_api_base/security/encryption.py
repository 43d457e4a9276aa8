r"""Authenticated encryption with a passphrase: three lines of text that anybody with the passphrase can read, anywhere.

```text
bt_api-encrypted 1
{"kdf":"scrypt","n":131072,"r":8,"p":1,"salt":"...","cipher":"AES-256-GCM","nonce":"...","check":"..."}
<Base64>
```

The key is derived with scrypt (RFC 7914), whose parameters and salt are in the second line, and which makes 64 bytes:
half of them encrypt (AES-256-GCM, RFC 5116; the lines before are authenticated, too), and the other half makes the
``check``, the HMAC-SHA256 of the first two lines without it: so a wrong passphrase is told from a damaged content. Salt
and nonce are new each time something is encrypted. Texts have to be spelled exactly as they were written: no changed
byte goes unnoticed.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets
from typing import Any, Final, NoReturn, cast

import attrs

from bt_api_base.exceptions import ConfigurationError
from bt_api_base.security._hidden import HiddenText
from bt_api_base.security.errors import DamagedDataError, EncryptedDataError, UnknownFormatError, WrongPassphraseError
from bt_api_base.security.secret import Secret, as_secret

__all__ = ("MAX_ENCRYPTED_BYTES", "ScryptCost", "decrypt", "decrypt_hidden", "encrypt")

MAX_ENCRYPTED_BYTES: Final = 4 * 1024 * 1024
"""The longest text that is looked at."""

_MAGIC: Final = "bt_api-encrypted"
_VERSION: Final = 1
_CIPHER: Final = "AES-256-GCM"
_SALT_BYTES: Final = 16
_NONCE_BYTES: Final = 12
_KEY_BYTES: Final = 32
_FIELDS: Final = ("kdf", "n", "r", "p", "salt", "cipher", "nonce", "check")
_MAX_HEADER: Final = 1024
_MAX_MEMORY_BYTES: Final = 512 * 1024 * 1024
_MAX_WORK: Final = 2**25
"""Of n * r * p, to which time is proportional: about 10 s. That of the default is 2**20."""


def _is_power_of_two(_instance: object, attribute: attrs.Attribute[Any], value: int) -> None:
    if value < 2 or value & (value - 1):
        raise ConfigurationError(f"{attribute.name} has to be a power of two, not {value}")


@attrs.frozen(kw_only=True)
class ScryptCost:
    """What deriving a key costs (scrypt, RFC 7914): memory is ``128 * n * r`` bytes, time grows with ``n * r * p``.

    The default takes 128 MiB and a few tenths of a second, as OWASP's Password Storage Cheat Sheet recommends. Less is
    for tests.

    Attributes:
        n: The cost, a power of two.
        r: The block size.
        p: How often it is done.

    Raises:
        ConfigurationError: It is more than is read again: 512 MiB, or about 10 s.
    """

    n: int = attrs.field(default=2**17, validator=_is_power_of_two)
    r: int = attrs.field(default=8, validator=attrs.validators.ge(1))
    p: int = attrs.field(default=1, validator=attrs.validators.ge(1))

    def __attrs_post_init__(self) -> None:
        if self.memory_bytes > _MAX_MEMORY_BYTES or self.n * self.r * self.p > _MAX_WORK:
            raise ConfigurationError(f"deriving a key with {self} takes too much memory or time")

    @property
    def memory_bytes(self) -> int:
        """How much memory it takes, bytes."""
        return 128 * self.n * self.r


def encrypt(plain: Secret | HiddenText | str, passphrase: Secret | str, *, cost: ScryptCost | None = None) -> str:
    """Return a text encrypted, as three lines.

    It takes as long as `ScryptCost` says, and lets other threads run meanwhile.

    Args:
        plain: The text.
        passphrase: What it can be decrypted with.
        cost: What deriving the key costs; ``None``: the default.

    Raises:
        ConfigurationError: The passphrase is empty, or ``cryptography`` is not installed.
    """
    plain, passphrase = HiddenText(plain) if isinstance(plain, str) else plain, as_secret(passphrase)
    cost = cost or ScryptCost()
    salt, nonce = secrets.token_bytes(_SALT_BYTES), secrets.token_bytes(_NONCE_BYTES)
    parts: dict[str, str | int] = {
        "kdf": "scrypt",
        **attrs.asdict(cost),
        "salt": base64.b64encode(salt).decode(),
        "cipher": _CIPHER,
        "nonce": base64.b64encode(nonce).decode(),
    }
    keys = _Keys(passphrase, salt, cost)
    parts["check"] = keys.check(parts)
    head = _head(parts)
    return f"{head}\n{base64.b64encode(keys.encrypted(nonce, plain, head)).decode()}\n"


def decrypt(text: HiddenText | str, passphrase: Secret | str) -> Secret:
    """Return a text that was encrypted.

    It takes as long as the text's own `ScryptCost` says, within its bounds.

    Args:
        text: What `encrypt` returned.
        passphrase: What it was encrypted with.

    Raises:
        UnknownFormatError: It is something else, of a later version, or asks for too much memory or time.
        WrongPassphraseError: The passphrase is wrong, or the header was changed.
        DamagedDataError: It is not what was written.
        ConfigurationError: The passphrase is empty, or ``cryptography`` is not installed.
    """
    text, passphrase = HiddenText(text) if isinstance(text, str) else text, as_secret(passphrase)
    return Secret(decrypt_hidden(text, passphrase).reveal())


def decrypt_hidden(text: HiddenText, passphrase: Secret) -> HiddenText:
    """Return a text that was encrypted, which is not masked where others show it; see `decrypt`."""
    parts, content, salt, nonce = _read_or_refused(text)
    keys = _Keys(passphrase, salt, _cost_of(parts))
    given = parts.pop("check")
    if not hmac.compare_digest(keys.check(parts), str(given)):
        raise WrongPassphraseError("the passphrase is wrong, or the header was changed")
    plain = keys.decrypted(nonce, content, _head({**parts, "check": given}))
    if plain is None:
        raise DamagedDataError("the content was changed after it was encrypted")
    return plain


class _Keys:
    """What was derived from a passphrase. It shows nothing of it."""

    __slots__ = ("_cipher", "_mac")

    def __init__(self, passphrase: Secret, salt: bytes, cost: ScryptCost) -> None:
        if not passphrase:
            raise ConfigurationError("the passphrase is empty")
        try:
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        except ImportError as error:
            detail = "encryption needs the package cryptography: pip install bt_api_base[signing]"
            raise ConfigurationError(detail) from error
        # What it takes besides, too: OpenSSL counts its own.
        memory = cost.memory_bytes + 128 * cost.r * (cost.p + 2) + 1024 * 1024
        key = HiddenText(
            hashlib.scrypt(
                passphrase.reveal().encode("utf-8", "surrogatepass"),
                salt=salt,
                n=cost.n,
                r=cost.r,
                p=cost.p,
                maxmem=memory,
                dklen=2 * _KEY_BYTES,
            ).hex()
        )
        self._cipher = AESGCM(bytes.fromhex(key.reveal())[:_KEY_BYTES])
        self._mac: hmac.HMAC = hmac.new(bytes.fromhex(key.reveal())[_KEY_BYTES:], digestmod="sha256")

    def check(self, parts: dict[str, str | int]) -> str:
        """Return what tells a right passphrase from a wrong one."""
        mac = self._mac.copy()
        mac.update(_head(parts).encode())
        return base64.b64encode(mac.digest()).decode()

    def encrypted(self, nonce: bytes, plain: Secret | HiddenText, head: str) -> bytes:
        return self._cipher.encrypt(nonce, plain.reveal().encode("utf-8", "surrogatepass"), head.encode())

    def decrypted(self, nonce: bytes, content: bytes, head: str) -> HiddenText | None:
        from cryptography.exceptions import InvalidTag

        try:
            return HiddenText(self._cipher.decrypt(nonce, content, head.encode()).decode("utf-8", "surrogatepass"))
        except (InvalidTag, ValueError):  # the second: no text, so nothing that was encrypted here
            return None


def _head(parts: dict[str, str | int]) -> str:
    return f"{_MAGIC} {_VERSION}\n{json.dumps(parts, separators=(',', ':'))}"


def _read_or_refused(text: HiddenText) -> tuple[dict[str, str | int], bytes, bytes, bytes]:
    try:
        parts, content = _read(text.reveal())
        return parts, content, _binary(parts, "salt", _SALT_BYTES), _binary(parts, "nonce", _NONCE_BYTES)
    except EncryptedDataError as error:
        problem = error
    # Without the frames that it comes from: a text that is something else may be a secret itself.
    raise problem.with_traceback(None)


def _read(text: str) -> tuple[dict[str, str | int], bytes]:
    """Return the header's parts and the encrypted content, if all is spelled as it is written."""
    if len(text) > MAX_ENCRYPTED_BYTES:
        raise UnknownFormatError("it is too long")
    first, _, rest = text.partition("\n")
    version = re.fullmatch(rf"{_MAGIC} (\d{{1,4}})", first)
    if version is None:
        raise UnknownFormatError(f"it does not begin with {_MAGIC!r}: it is something else, or its beginning is lost")
    if version[1] != str(_VERSION):
        raise UnknownFormatError(f"it is of version {version[1]}; this package reads version {_VERSION}")
    header, _, content = rest.partition("\n")
    parts = _parts(header)
    if _head(parts) != f"{first}\n{header}":
        _damaged("its header is spelled in another way")
    return parts, _decoded(content.removesuffix("\n") if content.endswith("\n") else "?", "content")


def _parts(header: str) -> dict[str, str | int]:
    try:
        found: object = json.loads(header) if len(header) <= _MAX_HEADER else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        _damaged("its header is no JSON")
    parts = cast("dict[str, str | int]", found)
    if tuple(parts) != _FIELDS:
        _damaged("its header has other fields")
    if parts["kdf"] != "scrypt" or parts["cipher"] != _CIPHER:
        raise UnknownFormatError(f"it is encrypted in another way than scrypt and {_CIPHER}")
    return parts


def _cost_of(parts: dict[str, str | int]) -> ScryptCost:
    numbers = {name: parts[name] for name in ("n", "r", "p")}
    if not all(type(number) is int for number in numbers.values()):
        _damaged("its header has other fields")
    try:
        return ScryptCost(**cast("dict[str, int]", numbers))
    except (ConfigurationError, ValueError):
        pass
    # Before any of it is spent: whoever writes a file must not decide what reading it costs.
    raise UnknownFormatError("deriving its key takes too much memory or time, or its parameters are none")


def _binary(parts: dict[str, str | int], name: str, size: int) -> bytes:
    found = _decoded(str(parts[name]), name)
    if len(found) != size:
        _damaged(f"its {name} has {len(found)} bytes, not {size}")
    return found


def _decoded(text: str, name: str) -> bytes:
    try:
        found = base64.b64decode(text, validate=True)
    except ValueError:
        found = b""
    # Base64 has bits to spare at its end: with others in them it would be the same content in another spelling.
    if base64.b64encode(found).decode() != text or not found:
        _damaged(f"its {name} is no Base64")
    return found


def _damaged(why: str) -> NoReturn:
    raise DamagedDataError(f"it is damaged: {why}")
