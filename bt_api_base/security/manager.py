"""Credentials of accounts, from wherever they are kept."""

from __future__ import annotations

import base64
import os
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from anyio import to_thread

from bt_api_base.exceptions import ConfigurationError
from bt_api_base.security._hidden import HiddenText
from bt_api_base.security.accounts import Account
from bt_api_base.security.credentials import Credentials
from bt_api_base.security.encrypted_file import EncryptedFile
from bt_api_base.security.encryption import ScryptCost, decrypt, encrypt
from bt_api_base.security.errors import CredentialsNotFoundError, DamagedDataError, UnknownFormatError
from bt_api_base.security.secret import Secret
from bt_api_base.security.sources import CredentialSource, EncryptedFileSource, EnvFileSource, EnvironmentSource
from bt_api_base.security.validation import check_credentials, mask_credential, validate_api_key

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ("CREDENTIALS_FILE_VARIABLE", "CRYPTO_AVAILABLE", "ENCRYPTION_KEY_VARIABLE", "SecureCredentialManager")

CRYPTO_AVAILABLE: Final = find_spec("cryptography") is not None
"""Whether the package ``cryptography`` is there, which encryption and private keys need."""

ENCRYPTION_KEY_VARIABLE: Final = "BT_API_ENCRYPTION_KEY"
"""The environment variable with the passphrase, where none is given."""

CREDENTIALS_FILE_VARIABLE: Final = "BT_API_CREDENTIALS_FILE"
"""The environment variable with the path of the encrypted file, where no sources are given."""

_TOKEN: Final = "bt1."  # noqa: S105 - what encrypted texts begin with


class SecureCredentialManager:
    """Finds the credentials of accounts, and encrypts and decrypts single texts.

    Sources are asked in their order, and the first that has any part of an account's credentials has to have all of
    them: parts are never mixed. Without any given, these are the environment, ``.env`` in the current directory, and
    the encrypted file that ``BT_API_CREDENTIALS_FILE`` names, if it is set. Nothing is kept but what an `EncryptedFile`
    keeps, and nothing is put into the environment.

    Files and keyrings are read, and keys derived, in the calling thread; the coroutines do the same in a worker thread.

    Args:
        encryption_key: The passphrase of what is encrypted here, and of the encrypted file that a variable names;
            ``None``: that of the environment variable ``BT_API_ENCRYPTION_KEY``, when it is needed.
        sources: Where credentials are looked for, first come first served; ``None``: see above.
        cost: What deriving a key costs where something is encrypted; ``None``: the default.
    """

    def __init__(
        self,
        encryption_key: Secret | str | None = None,
        *,
        sources: Sequence[CredentialSource] | None = None,
        cost: ScryptCost | None = None,
    ) -> None:
        encryption_key = Secret(encryption_key) if isinstance(encryption_key, str) else encryption_key
        self._passphrase = encryption_key
        self._cost = cost
        self._sources = self._default_sources() if sources is None else tuple(sources)

    @property
    def sources(self) -> tuple[CredentialSource, ...]:
        """Where credentials are looked for, in this order."""
        return self._sources

    def get_exchange_credentials(self, exchange: str, encrypted: bool = False, *, profile: str = "") -> Credentials:  # noqa: FBT001, FBT002 - the older name has it in this place
        """Return an account's credentials, from the first source that has them.

        Args:
            exchange: The venue, such as ``"BINANCE"`` or ``"BINANCE___SPOT"``.
            encrypted: Whether each part has been encrypted by `encrypt_credential`.
            profile: The name of one of several accounts.

        Raises:
            CredentialsNotFoundError: No source has them.
            ConfigurationError: A source has only some of the parts or cannot be read, or something is certainly wrong
                with them (`find_problems`).
        """
        account = Account(exchange, profile)
        for source in self._sources:
            found = source.find(account)
            if found is not None:
                credentials = self._decrypted(found) if encrypted else found
                check_credentials(account.venue, credentials)
                return credentials
        places = ", ".join(source.name for source in self._sources) or "nowhere: there are no sources"
        raise CredentialsNotFoundError(f"there are no credentials for {account}; looked for in {places}")

    async def async_get_exchange_credentials(
        self,
        exchange: str,
        encrypted: bool = False,  # noqa: FBT001, FBT002 - as above
        *,
        profile: str = "",
    ) -> Credentials:
        """Do `get_exchange_credentials` in a worker thread.

        Cancellation:
            Not while the thread works, as neither a key that is being derived nor a keyring that asks its user can be
            stopped: it takes effect at the caller's next await.
        """
        return await to_thread.run_sync(lambda: self.get_exchange_credentials(exchange, encrypted, profile=profile))

    def encrypt_credential(self, credential: Secret | str) -> str:
        """Return a text encrypted, as one word that fits into a variable or a configuration.

        Any other process can decrypt it with the passphrase. It takes a few tenths of a second.

        Args:
            credential: The text.

        Raises:
            ConfigurationError: There is no passphrase, or ``cryptography`` is not installed.
        """
        credential = Secret(credential) if isinstance(credential, str) else credential
        text = encrypt(credential, self._needed_passphrase(), cost=self._cost)
        return _TOKEN + base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    def decrypt_credential(self, encrypted_credential: str) -> str:
        """Return a text that `encrypt_credential` has encrypted; it is masked from now on, as a `Secret` is.

        Args:
            encrypted_credential: What it returned.

        Raises:
            EncryptedDataError: The passphrase is wrong, or it is not what was returned.
            ConfigurationError: There is no passphrase, or ``cryptography`` is not installed.
        """
        # A plain text that was given in its place is in no traceback, either.
        hidden = HiddenText(encrypted_credential)
        del encrypted_credential
        return decrypt(_unwrapped(hidden), self._needed_passphrase()).reveal()

    async def async_encrypt_credential(self, credential: Secret | str) -> str:
        """Do `encrypt_credential` in a worker thread.

        Cancellation:
            Not while the thread works, which cannot be stopped: it takes effect at the caller's next await.
        """
        return await to_thread.run_sync(self.encrypt_credential, credential)

    async def async_decrypt_credential(self, encrypted_credential: str) -> str:
        """Do `decrypt_credential` in a worker thread.

        Cancellation:
            Not while the thread works, which cannot be stopped: it takes effect at the caller's next await.
        """
        return await to_thread.run_sync(self.decrypt_credential, encrypted_credential)

    @staticmethod
    def load_from_env(key: str, default: str | None = None) -> str | None:
        """Return an environment variable; it is masked from now on, as a `Secret` is.

        Args:
            key: Its name.
            default: What is returned if it is not set.
        """
        value = os.environ.get(key)
        return default if value is None else Secret(value).reveal()

    @staticmethod
    def mask_credential(credential: Secret | str | None, visible_chars: int = 4) -> str:
        """Return a text with only its ends left; see `bt_api_base.security.validation.mask_credential`."""
        text = credential.reveal() if isinstance(credential, Secret) else credential
        return mask_credential(text or "", visible_chars)

    @staticmethod
    def validate_api_key(api_key: Secret | str | None, min_length: int = 16) -> bool:
        """Return whether a text may be an API key; see `bt_api_base.security.validation.validate_api_key`."""
        text = api_key.reveal() if isinstance(api_key, Secret) else api_key
        return validate_api_key(text or "", min_length)

    def _default_sources(self) -> tuple[CredentialSource, ...]:
        sources: tuple[CredentialSource, ...] = (EnvironmentSource(), EnvFileSource())
        path = os.environ.get(CREDENTIALS_FILE_VARIABLE)
        if path:
            sources += (EncryptedFileSource(EncryptedFile(path, self._needed_passphrase(), cost=self._cost)),)
        return sources

    def _needed_passphrase(self) -> Secret:
        if self._passphrase is not None:
            return self._passphrase
        given = os.environ.get(ENCRYPTION_KEY_VARIABLE)
        if not given:
            raise ConfigurationError(
                f"a passphrase is needed, as encryption_key or in the variable {ENCRYPTION_KEY_VARIABLE}"
            )
        return Secret(given)

    def _decrypted(self, found: Credentials) -> Credentials:
        passphrase = self._needed_passphrase()

        def opened(part: Secret) -> Secret:
            return decrypt(_unwrapped(part), passphrase)

        phrase = None if found.passphrase is None else opened(found.passphrase)
        return Credentials(opened(found.api_key), opened(found.secret), phrase)


def _unwrapped(token: Secret | HiddenText) -> HiddenText:
    """Return the three lines of an encrypted text."""
    if not token.reveal().startswith(_TOKEN):
        raise UnknownFormatError("it is nothing that encrypt_credential has returned")
    text = _decoded(token.reveal()[len(_TOKEN) :])
    if text is None:
        raise DamagedDataError("it is damaged: it is not what encrypt_credential has returned")
    return text


def _decoded(encoded: str) -> HiddenText | None:
    try:
        found = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
    except ValueError:
        return None
    # Base64 has several spellings of the same.
    if base64.urlsafe_b64encode(found).decode().rstrip("=") != encoded:
        return None
    return HiddenText(found.decode("latin-1"))
