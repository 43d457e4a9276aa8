"""No credential shows, wherever it is kept, whatever goes wrong with it, and however closely one looks at the error."""

from __future__ import annotations

import logging
import sys
import traceback
import types
from typing import TYPE_CHECKING, Any

import pytest

from bt_api_base.exceptions import BtApiError
from bt_api_base.logging_factory import get_logger
from bt_api_base.security import (
    Account,
    Credentials,
    EncryptedFile,
    EncryptedFileSource,
    EnvFileSource,
    EnvironmentSource,
    KeyringSource,
    ScryptCost,
    SecureCredentialManager,
    check_credentials,
    encrypted_file,
    load_credentials_from_env_file,
)
from bt_api_base.security.encryption import encrypt
from bt_api_base.security.env_file import parse_env
from bt_api_base.security.recipes import (
    RequestToSign,
    binance_request,
    bybit_request,
    coinbase_request,
    gemini_request,
    htx_request,
    kraken_request,
    okx_request,
)
from bt_api_base.security.signing import ed25519_base64, hmac_hex, rsa_base64

if sys.version_info < (3, 11):
    from exceptiongroup import ExceptionGroup

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bt_api_base.testing import PlantedSecret

CHEAP = ScryptCost(n=2, r=1)
PACKAGE = "bt_api_base"


class Stage:
    """Planted values, and a place for files.

    Attributes:
        planted: The planted values.
        key: An API key.
        secret: A shared secret.
        phrase: A passphrase.
        path: A directory.
    """

    def __init__(self, planted: PlantedSecret, path: Path) -> None:
        self.planted = planted
        self.key, self.secret = planted.plant("a key"), planted.plant("a shared secret", length=64)
        self.phrase = planted.plant("a passphrase")
        self.path = path

    @property
    def credentials(self) -> Credentials:
        """What is planted, as credentials."""
        return Credentials(self.key, self.secret, self.phrase)

    def env_file(self, text: str) -> Path:
        """Return a file of variables."""
        path = self.path / ".env"
        path.write_text(text, encoding="utf-8")
        return path

    def file(self) -> EncryptedFile:
        """Return an encrypted file with the credentials."""
        file = EncryptedFile(self.path / "file", self.phrase, cost=CHEAP)
        file.store("OKX", self.credentials)
        return file

    def manager(self, **variables: str) -> SecureCredentialManager:
        """Return a manager that looks at these variables."""
        return SecureCredentialManager(self.phrase, sources=[EnvironmentSource(variables)], cost=CHEAP)


def damaged_file(stage: Stage) -> Any:
    """Read a file whose last character was changed."""
    file = stage.file()
    text = file.path.read_text()
    file.path.write_text(text[:-2] + ("A" if text[-2] != "A" else "B") + "\n")
    return file.read()


def foreign_content(stage: Stage) -> Any:
    """Read a file that somebody with the passphrase has put something else into."""
    file = stage.file()
    file.path.write_text(encrypt(f'[{{"venue": "OKX", "api_key": "{stage.key}"', stage.phrase, cost=CHEAP))
    return file.read()


def full_disk(stage: Stage) -> Any:
    """Write to a disk that is full."""

    def fail(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encrypted_file.os, "fsync", fail)
        stage.file()


def failing_keyring(stage: Stage, step: str) -> Any:
    """Use a keyring that says too much when it fails."""

    def fail(*args: str) -> None:
        raise RuntimeError(f"{args} {stage.secret}")

    functions = {"get_password": lambda *_: stage.secret, "set_password": fail, "delete_password": fail}
    if step == "find":
        functions["get_password"] = fail
    backend: Any = types.SimpleNamespace(**functions)
    source = KeyringSource(backend=backend)
    if step == "find":
        return source.find(Account("OKX"))
    return source.store(Account("OKX"), stage.credentials)


def pem(stage: Stage) -> str:
    """Return what looks like a private key."""
    return f"-----BEGIN PRIVATE KEY-----\n{stage.secret}\n-----END PRIVATE KEY-----\n"


ACCIDENTS: dict[str, Callable[[Stage], Any]] = {
    "wrong passphrase": lambda stage: EncryptedFile(stage.file().path, stage.key).read(),
    "damaged file": damaged_file,
    "foreign content": foreign_content,
    "full disk": full_disk,
    "no file": lambda stage: EncryptedFile(stage.path, stage.phrase).read(),
    "plain file": lambda stage: EncryptedFile(stage.env_file(stage.secret), stage.phrase).read(),
    "line that is none": lambda stage: load_credentials_from_env_file(
        stage.env_file(f"OKX_API_KEY={stage.key}\n{stage.secret}\n")
    ),
    "open quotes": lambda stage: EnvFileSource(stage.env_file(f"A='{stage.secret}\nB={stage.key}")).find(Account("A")),
    "line twice": lambda stage: parse_env(f"A_SECRET={stage.secret}\nA_SECRET={stage.key}\n"),
    "missing part": lambda stage: stage.manager(OKX_API_KEY=stage.key).get_exchange_credentials("OKX"),
    "two values": lambda stage: stage.manager(
        OKX_API_KEY=stage.key, OKX_SECRET=stage.secret, OKX_API_SECRET=stage.phrase
    ).get_exchange_credentials("OKX"),
    "value and file": lambda stage: stage.manager(
        OKX_SECRET=stage.secret, OKX_SECRET_FILE=str(stage.env_file(stage.key))
    ).get_exchange_credentials("OKX"),
    "quotes": lambda stage: stage.manager(
        OKX_API_KEY=f"'{stage.key}'", OKX_SECRET=stage.secret, OKX_PASSPHRASE=stage.phrase
    ).get_exchange_credentials("OKX"),
    "white space": lambda stage: stage.manager(
        OKX_API_KEY=f" {stage.key}", OKX_SECRET=stage.secret, OKX_PASSPHRASE=stage.phrase
    ).get_exchange_credentials("OKX"),
    "not encrypted": lambda stage: stage.manager(
        BYBIT_API_KEY=stage.key, BYBIT_SECRET=stage.secret
    ).get_exchange_credentials("BYBIT", encrypted=True),
    "damaged token": lambda stage: stage.manager().decrypt_credential(
        stage.manager().encrypt_credential(stage.secret)[:-3] + "AAA"
    ),
    "no passphrase": lambda stage: SecureCredentialManager(sources=()).encrypt_credential(stage.secret),
    "swapped": lambda stage: check_credentials("OKX", Credentials(pem(stage), stage.key, stage.phrase)),
    "damaged key": lambda stage: check_credentials("BINANCE", Credentials(stage.key, pem(stage)[:-9])),
    "keyring that does not read": lambda stage: failing_keyring(stage, "find"),
    "keyring that does not write": lambda stage: failing_keyring(stage, "store"),
    "unreadable Ed25519 key": lambda stage: ed25519_base64(pem(stage), "payload"),
    "unreadable RSA key": lambda stage: rsa_base64(pem(stage), "payload", password=stage.phrase),
    "unknown algorithm": lambda stage: hmac_hex(stage.secret, "payload", "md5"),
    "no Base64": lambda stage: kraken_request(
        Credentials(stage.key, f"{stage.secret}*"), RequestToSign("POST", "/x"), timestamp_ns=0
    ),
    "no web token": lambda stage: coinbase_request(stage.credentials, RequestToSign("GET", "/x"), timestamp_ns=0),
    "Bybit's key": lambda stage: bybit_request(
        Credentials(stage.key, pem(stage)), RequestToSign("GET", "/x"), timestamp_ns=0
    ),
    "Binance's key": lambda stage: binance_request(
        Credentials(stage.key, pem(stage)), RequestToSign("GET", "/x"), timestamp_ns=0
    ),
    "HTX's key": lambda stage: htx_request(
        Credentials(stage.key, pem(stage)), RequestToSign("GET", "/x", host="h"), timestamp_ns=0
    ),
    "no host": lambda stage: htx_request(stage.credentials, RequestToSign("GET", "/x"), timestamp_ns=0),
    "no object": lambda stage: gemini_request(
        stage.credentials, RequestToSign("POST", "/x", body="[]"), timestamp_ns=0
    ),
    "missing passphrase": lambda stage: okx_request(
        Credentials(stage.key, stage.secret), RequestToSign("GET", "/x"), timestamp_ns=0
    ),
}


def locals_of_the_package(error: BaseException | None) -> list[str]:
    """Return what a debugger would list of the variables in this package's frames, of an error and what led to it."""
    found: list[str] = []
    while error is not None:
        step = error.__traceback__
        while step is not None:
            frame = step.tb_frame
            if frame.f_globals.get("__name__", "").startswith(PACKAGE):
                found.append(
                    f"{frame.f_code.co_qualname if sys.version_info >= (3, 11) else frame.f_code.co_name}: "
                    f"{dict(frame.f_locals)!r}"
                )
            step = step.tb_next
        error = error.__cause__ or error.__context__
    return found


@pytest.mark.parametrize("accident", ACCIDENTS)
def test_accidents_show_nothing(
    accident: str, planted_secret: PlantedSecret, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither in the error, in a group or a log record of it, nor in the variables of this package's frames."""
    monkeypatch.chdir(tmp_path)
    stage = Stage(planted_secret, tmp_path)
    with pytest.raises((BtApiError, ValueError)) as caught:
        ACCIDENTS[accident](stage)
    error = caught.value
    planted_secret.check(error, ExceptionGroup("several", [error]))
    planted_secret.check_text("".join(traceback.format_exception(error)), "the traceback")
    for text in locals_of_the_package(error):
        planted_secret.check_text(text, f"variables of a frame ({text.partition(':')[0]})")
    logging.getLogger("program").error("no credentials", exc_info=error)
    get_logger("program").error("no credentials", exc_info=error)


def test_what_holds_credentials_shows_nothing(planted_secret: PlantedSecret, tmp_path: Path) -> None:
    """A manager with all its sources, after each of them was asked."""
    stage = Stage(planted_secret, tmp_path)
    env_file = stage.env_file(f"BYBIT_API_KEY={stage.key}\nBYBIT_SECRET={stage.secret}\n")
    manager = SecureCredentialManager(
        stage.phrase, sources=[EnvFileSource(env_file), EncryptedFileSource(stage.file())], cost=CHEAP
    )
    found = [manager.get_exchange_credentials("OKX"), manager.get_exchange_credentials("BYBIT")]
    token = manager.encrypt_credential(stage.secret)
    planted_secret.check(manager, found, token, f"{load_credentials_from_env_file(env_file)!r}")
    reached = planted_secret.check_reachable(manager, *found)
    assert {"SecureCredentialManager", "EncryptedFile", "Credentials", "EnvFileSource"} <= set(reached)


def test_what_was_read_is_masked_in_what_others_say(planted_secret: PlantedSecret, tmp_path: Path) -> None:
    """As a venue that repeats a key: what a manager has handed out is known."""
    stage = Stage(planted_secret, tmp_path)
    stage.manager(BYBIT_API_KEY=stage.key, BYBIT_SECRET=stage.secret).get_exchange_credentials("BYBIT")
    for value in (stage.key, stage.secret):
        planted_secret.check(BtApiError(f"refused: <{value}>"))


def test_plain_arguments_stay_with_the_caller(planted_secret: PlantedSecret) -> None:
    """Keys given as text are turned into secrets before anything can fail."""
    value = planted_secret.plant("text")
    with pytest.raises(BtApiError) as caught:
        SecureCredentialManager(value, sources=()).get_exchange_credentials("OKX")
    for text in locals_of_the_package(caught.value):
        planted_secret.check_text(text, "variables of a frame")
