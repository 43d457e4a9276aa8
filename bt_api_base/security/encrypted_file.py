"""A file of credentials that only its passphrase opens, in this process and in any other."""

from __future__ import annotations

import json
import os
import secrets
import stat
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from anyio import to_thread

from bt_api_base.exceptions import ConfigurationError
from bt_api_base.security._hidden import HiddenText
from bt_api_base.security.accounts import Account
from bt_api_base.security.credentials import Credentials
from bt_api_base.security.encryption import MAX_ENCRYPTED_BYTES, ScryptCost, decrypt_hidden, encrypt
from bt_api_base.security.errors import DamagedDataError, EncryptedDataError, UnknownFormatError
from bt_api_base.security.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ("EncryptedFile",)


class EncryptedFile:
    """Credentials of accounts in a file, encrypted as `bt_api_base.security.encryption` says.

    It is readable by its owner only, and replaced as a whole: whoever reads it, or goes down while it is written, finds
    the old content or the new one. Of two that write at the same time, the later one wins; so let one program write.

    Reading and writing take as long as deriving a key does, a few tenths of a second; what has been read is kept, for
    as long as the file stays what it was. The coroutines do the same in a worker thread.

    Args:
        path: The file.
        passphrase: What it is encrypted with.
        cost: What deriving the key costs when it is written; ``None``: the default. A reader takes what the file says.
    """

    def __init__(
        self, path: str | os.PathLike[str], passphrase: Secret | str, *, cost: ScryptCost | None = None
    ) -> None:
        self._path = Path(path)
        self._passphrase = passphrase if isinstance(passphrase, Secret) else Secret(passphrase)
        self._cost = cost
        self._lock = threading.RLock()
        self._known: tuple[HiddenText, dict[Account, Credentials]] | None = None

    @property
    def path(self) -> Path:
        """Where the file is."""
        return self._path

    def read(self) -> dict[Account, Credentials]:
        """Return the credentials of all accounts in it; none if there is no such file.

        Raises:
            WrongPassphraseError: The passphrase is wrong, or the header was changed.
            DamagedDataError: It is not what was written.
            UnknownFormatError: It is something else, of a later version, or asks for too much memory or time.
            ConfigurationError: It cannot be read, or ``cryptography`` is not installed.
        """
        with self._lock:
            content = _content(self._path)
            if content is None:
                return {}
            if self._known is None or self._known[0].reveal() != content.reveal():
                self._known = content, self._decrypted(content)
            return dict(self._known[1])

    def write(self, accounts: Mapping[Account, Credentials]) -> None:
        """Replace the whole content.

        Args:
            accounts: The credentials of each account.

        Raises:
            ConfigurationError: It cannot be written, or ``cryptography`` is not installed.
        """
        with self._lock:
            content = HiddenText(encrypt(_plain(accounts), self._passphrase, cost=self._cost))
            _replace(self._path, content.reveal().encode())
            self._known = content, dict(accounts)

    def store(self, exchange_name: str, credentials: Credentials, *, profile: str = "") -> None:
        """Put an account's credentials into it, in place of what it had.

        Args:
            exchange_name: The venue, such as ``"BINANCE"`` or ``"BINANCE___SPOT"``.
            credentials: The credentials.
            profile: The name of one of several accounts.

        Raises:
            ConfigurationError: See `read` and `write`.
        """
        with self._lock:
            self.write({**self.read(), Account(exchange_name, profile): credentials})

    def remove(self, exchange_name: str, *, profile: str = "") -> bool:
        """Take an account out of it, and return whether it was there.

        Args:
            exchange_name: See `store`.
            profile: See `store`.

        Raises:
            ConfigurationError: See `read` and `write`.
        """
        with self._lock:
            accounts = self.read()
            found = accounts.pop(Account(exchange_name, profile), None)
            if found is not None:
                self.write(accounts)
            return found is not None

    async def async_read(self) -> dict[Account, Credentials]:
        """Do `read` in a worker thread.

        Cancellation:
            Not while the thread works, which cannot be stopped: it takes effect at the caller's next await.
        """
        return await to_thread.run_sync(self.read)

    async def async_write(self, accounts: Mapping[Account, Credentials]) -> None:
        """Do `write` in a worker thread.

        Cancellation:
            Not while the thread works: the file is written, and it takes effect at the caller's next await.
        """
        await to_thread.run_sync(self.write, accounts)

    async def async_store(self, exchange_name: str, credentials: Credentials, *, profile: str = "") -> None:
        """Do `store` in a worker thread.

        Cancellation:
            Not while the thread works: the file is written, and it takes effect at the caller's next await.
        """
        await to_thread.run_sync(lambda: self.store(exchange_name, credentials, profile=profile))

    async def async_remove(self, exchange_name: str, *, profile: str = "") -> bool:
        """Do `remove` in a worker thread.

        Cancellation:
            Not while the thread works: the file is written, and it takes effect at the caller's next await.
        """
        return await to_thread.run_sync(lambda: self.remove(exchange_name, profile=profile))

    def _decrypted(self, content: HiddenText) -> dict[Account, Credentials]:
        try:
            plain = decrypt_hidden(content, self._passphrase)
        except EncryptedDataError as error:
            raise type(error)(f"{error.detail} (file {self._path})") from None
        accounts = _accounts(plain)
        if accounts is None:
            raise DamagedDataError(f"what is encrypted are no accounts (file {self._path})")
        return accounts


def _plain(accounts: Mapping[Account, Credentials]) -> HiddenText:
    return HiddenText(
        json.dumps(
            [
                {
                    "venue": account.venue,
                    "profile": account.profile,
                    "api_key": credentials.api_key.reveal(),
                    "secret": credentials.secret.reveal(),
                    "passphrase": credentials.passphrase.reveal() if credentials.passphrase else None,
                }
                for account, credentials in accounts.items()
            ]
        )
    )


def _accounts(plain: HiddenText) -> dict[Account, Credentials] | None:
    with suppress(ValueError, TypeError, KeyError, ConfigurationError, AttributeError):
        return {
            Account(one["venue"], one["profile"]): Credentials(one["api_key"], one["secret"], one["passphrase"])
            for one in cast("list[dict[str, Any]]", json.loads(plain.reveal()))
        }
    return None


def _content(path: Path) -> HiddenText | None:
    try:
        with path.open("rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise UnknownFormatError(f"it is no file ({path})")
            content = file.read(MAX_ENCRYPTED_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror or type(error).__name__}") from error
    if len(content) <= MAX_ENCRYPTED_BYTES:
        # One character for each byte: what is no ASCII is refused with the rest.
        return HiddenText(content.decode("latin-1"))
    content = b""
    raise UnknownFormatError(f"it is too long (file {path})")


def _replace(path: Path, content: bytes) -> None:
    """Write a file for the owner alone, beside the old one, and put it in its place."""
    # A link stays one, and what it leads to is replaced.
    path = Path(os.path.realpath(path))
    new = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            new.replace(path)
        except BaseException:
            with suppress(OSError):
                new.unlink()
            raise
        _synchronize(path.parent)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror or type(error).__name__}") from error


def _synchronize(directory: Path) -> None:
    """Let the new name of a file outlast a failure of the power, where directories can be opened."""
    with suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
