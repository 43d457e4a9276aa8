"""Where credentials are kept: the environment, a file of variables, the keyring of the system, an encrypted file."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from bt_api_base.exceptions import ConfigurationError
from bt_api_base.security.credentials import Credentials
from bt_api_base.security.env_file import load_credentials_from_env_file, read_text
from bt_api_base.security.secret import Secret
from bt_api_base.security.venue_templates import template_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from bt_api_base.security.accounts import Account
    from bt_api_base.security.encrypted_file import EncryptedFile

    _Read = Callable[[str], "Secret | None"]

__all__ = (
    "CredentialSource",
    "EncryptedFileSource",
    "EnvFileSource",
    "EnvironmentSource",
    "KeyringBackend",
    "KeyringSource",
)

T = TypeVar("T")

_PARTS = ("api_key", "secret", "passphrase")


class CredentialSource(Protocol):
    """Where credentials are looked for."""

    @property
    def name(self) -> str:
        """What it is called in errors."""
        ...

    def find(self, account: Account) -> Credentials | None:
        """Return an account's credentials; ``None`` if it has none of them. It may block.

        Args:
            account: The account.

        Raises:
            ConfigurationError: It has only some of the parts, or cannot be read.
        """
        ...


class EnvironmentSource:
    """Variables such as ``BINANCE_API_KEY`` and ``BINANCE_SECRET``, or ``..._FILE`` with the name of a file.

    Args:
        variables: The variables; ``None``: those of this process, as they are when they are asked for.
    """

    def __init__(self, variables: Mapping[str, str] | None = None) -> None:
        self._variables = variables

    @property
    def name(self) -> str:
        """What it is called in errors."""
        return "the environment"

    def find(self, account: Account) -> Credentials | None:
        """See `CredentialSource.find`."""
        return _assembled(account, _with_files(self._get, Path()), self.name)

    def _get(self, name: str) -> str | None:
        return (os.environ if self._variables is None else self._variables).get(name)


class EnvFileSource:
    """The same variables in a file, which is read each time; nothing of it gets into the environment.

    Args:
        path: The file. Names of files in it are relative to where it is.
    """

    def __init__(self, path: str | os.PathLike[str] = ".env") -> None:
        self._path = Path(path)

    @property
    def name(self) -> str:
        """What it is called in errors."""
        return str(self._path)

    def find(self, account: Account) -> Credentials | None:
        """See `CredentialSource.find`."""
        variables = load_credentials_from_env_file(self._path)
        return _assembled(account, _with_files(variables.get, self._path.parent), self.name)


class KeyringBackend(Protocol):
    """What is used of the package ``keyring`` and of its backends."""

    def get_password(self, service: str, username: str, /) -> str | None:
        """Return a value."""
        ...

    def set_password(self, service: str, username: str, password: str, /) -> None:
        """Keep a value."""
        ...

    def delete_password(self, service: str, username: str, /) -> None:
        """Keep a value no more."""
        ...


class KeyringSource:
    """The keyring of the system, by way of the package ``keyring`` (``pip install bt_api_base[keyring]``).

    Each part is an entry of its own, named after the variable that it would be: ``keyring set bt_api BINANCE_SECRET``.
    The system may ask its user before it answers.

    Args:
        service: The name of the service in the keyring.
        backend: What to ask; ``None``: the backend that ``keyring`` has chosen.
    """

    def __init__(self, service: str = "bt_api", *, backend: KeyringBackend | None = None) -> None:
        self._service = service
        self._backend = backend

    @property
    def name(self) -> str:
        """What it is called in errors."""
        return f"the keyring (service {self._service!r})"

    def find(self, account: Account) -> Credentials | None:
        """See `CredentialSource.find`."""
        keyring = self._keyring()
        return _assembled(account, partial(self._get, keyring), self.name)

    def store(self, account: Account, credentials: Credentials) -> None:
        """Put an account's credentials into the keyring, in place of what it had. It blocks.

        Raises:
            ConfigurationError: The keyring refuses, or there is none.
        """
        keyring, template = self._keyring(), template_of(account)
        for part in _PARTS:
            value: Secret | None = getattr(credentials, part)
            name, *others = template.variables(part, account)
            if value is None:
                others.append(name)
            else:
                self._asked("written", partial(self._set, keyring, name, value))
            # Or the next one to read would find parts of the old credentials.
            self._delete(keyring, others)

    def remove(self, account: Account) -> None:
        """Take an account's credentials out of the keyring. It blocks.

        Raises:
            ConfigurationError: The keyring refuses, or there is none.
        """
        keyring, template = self._keyring(), template_of(account)
        for part in _PARTS:
            self._delete(keyring, template.variables(part, account))

    def _get(self, keyring: KeyringBackend, name: str) -> Secret | None:
        return self._asked("read", partial(self._get_unasked, keyring, name))

    def _get_unasked(self, keyring: KeyringBackend, name: str) -> Secret | None:
        found = keyring.get_password(self._service, name)
        return Secret(found) if found else None

    def _set(self, keyring: KeyringBackend, name: str, value: Secret) -> None:
        keyring.set_password(self._service, name, value.reveal())

    def _delete(self, keyring: KeyringBackend, names: Iterable[str]) -> None:
        for name in names:
            if self._get(keyring, name) is not None:
                self._asked("written", partial(keyring.delete_password, self._service, name))

    def _keyring(self) -> KeyringBackend:
        if self._backend is not None:
            return self._backend
        try:
            import keyring
        except ImportError as error:
            detail = "the keyring needs the package keyring: pip install bt_api_base[keyring]"
            raise ConfigurationError(detail) from error
        return keyring.get_keyring()

    def _asked(self, what: str, ask: Callable[[], T]) -> T:
        problem = ""
        try:
            return ask()
        except Exception as error:  # noqa: BLE001 - each backend has its own
            problem = type(error).__name__
            if problem == "NoKeyringError":
                problem += ": this system has none, or none that works without a desktop session"
        # Outside of the handler: nobody knows what a backend puts into its error, or into the frames it came from.
        raise ConfigurationError(f"{self.name} cannot be {what}: {problem}")


class EncryptedFileSource:
    """An encrypted file.

    Args:
        file: The file.
    """

    def __init__(self, file: EncryptedFile) -> None:
        self._file = file

    @property
    def name(self) -> str:
        """What it is called in errors."""
        return str(self._file.path)

    def find(self, account: Account) -> Credentials | None:
        """See `CredentialSource.find`."""
        return self._file.read().get(account)


def _assembled(account: Account, read: _Read, source: str) -> Credentials | None:
    """Return the credentials that variables make up."""
    template = template_of(account)
    found: dict[str, Secret] = {}
    names: dict[str, str] = {}
    for part in _PARTS:
        for name in template.variables(part, account):
            value = read(name)
            if value is None:
                continue
            if part in found and found[part] != value:
                detail = f"{source} has both {names[part]} and {name}, and they differ"
                raise ConfigurationError(detail, exchange_name=account.venue)
            found.setdefault(part, value)
            names.setdefault(part, name)
    if not found:
        return None
    needed = [part for part in _PARTS if part != "passphrase" or template.passphrase is not None]
    missing = [template.variables(part, account)[0] for part in needed if part not in found]
    if missing:
        has = " and ".join(names.values())
        detail = f"{source} has {has}, but {' and '.join(missing)} not, and parts of different sources are not mixed"
        raise ConfigurationError(detail, exchange_name=account.venue)
    return Credentials(found["api_key"], found["secret"], found.get("passphrase"))


def _with_files(get: Callable[[str], str | None], directory: Path) -> _Read:
    """Return what reads a variable, or the file that it names."""

    def read(name: str) -> Secret | None:
        path = get(f"{name}_FILE")
        if not path:
            value = get(name)
            return Secret(value) if value else None
        if get(name):
            raise ConfigurationError(f"both {name} and {name}_FILE are set")
        text = read_text(directory / path)
        if text is None:
            raise ConfigurationError(f"{name}_FILE names a file that is not there")
        # Every editor ends the last line.
        return Secret(text.reveal().rstrip("\r\n"))

    return read
