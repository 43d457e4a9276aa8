"""Credentials encrypted with a passphrase: readable by whoever has it, by nobody else, and never half of them."""

from __future__ import annotations

import base64
import json
import os
import re
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio.from_thread
import anyio.lowlevel
import pytest
from hypothesis import given, settings, strategies as st

from bt_api_base.exceptions import ConfigurationError
from bt_api_base.security import (
    Account,
    Credentials,
    DamagedDataError,
    EncryptedDataError,
    EncryptedFile,
    ScryptCost,
    Secret,
    SecureCredentialManager,
    UnknownFormatError,
    WrongPassphraseError,
    encrypted_file,
)
from bt_api_base.security.encryption import MAX_ENCRYPTED_BYTES, decrypt, decrypt_hidden, encrypt

if TYPE_CHECKING:
    from collections.abc import Callable

    from bt_api_base.testing import PlantedSecret

CHEAP = ScryptCost(n=2, r=1)
PHRASE = "correct horse battery staple"
BINANCE = Credentials("binance-api-key-1", "binance-shared-secret-1")
OKX = Credentials("okx-api-key-2", "okx-shared-secret-2", "okx phrase 2 é")

# Made by an independent program, from the description in the documentation; its passphrase and text are these.
KNOWN_PHRASE = "pass phrase é"
KNOWN_TEXT = "a text, \u00fc"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a file is to be."""
    return tmp_path / "credentials"


@pytest.fixture
def file(path: Path) -> EncryptedFile:
    """A file that is not there yet, and costs next to nothing."""
    return EncryptedFile(path, PHRASE, cost=CHEAP)


def refused(text: str, phrase: str = PHRASE) -> EncryptedDataError:
    """Return why a text is not decrypted."""
    with pytest.raises(EncryptedDataError) as caught:
        decrypt(text, phrase)
    return caught.value


def with_header(text: str, **changes: Any) -> str:
    """Return an encrypted text with another header, spelled as it has to be."""
    first, header, content = text.splitlines()
    parts = {**json.loads(header), **changes}
    return f"{first}\n{json.dumps(parts, separators=(',', ':'))}\n{content}\n"


class TestEncryption:
    """One text."""

    @given(st.text(), st.text(min_size=1))
    def test_comes_back_with_the_passphrase(self, plain: str, phrase: str) -> None:
        """Whatever is in it."""
        assert plain == decrypt(encrypt(plain, phrase, cost=CHEAP), phrase).reveal()

    @given(st.data())
    @settings(max_examples=50)
    def test_a_changed_character_is_refused(self, data: st.DataObject) -> None:
        """Wherever it is, and whatever it becomes."""
        text = encrypt("plain", PHRASE, cost=CHEAP)
        index = data.draw(st.integers(0, len(text) - 1))
        other = data.draw(st.characters(max_codepoint=255).filter(lambda one: one != text[index]))
        refused(text[:index] + other + text[index + 1 :])

    def test_each_flipped_bit_is_refused(self) -> None:
        """One after the other."""
        encoded = encrypt("plain", PHRASE, cost=CHEAP).encode()
        kinds = set()
        for index in range(len(encoded)):
            for bit in range(8):
                damaged = bytearray(encoded)
                damaged[index] ^= 1 << bit
                kinds.add(type(refused(damaged.decode("latin-1"))))
        assert {DamagedDataError, UnknownFormatError, WrongPassphraseError} == kinds

    @given(st.data())
    @settings(max_examples=50)
    def test_what_is_cut_off_or_added_is_refused(self, data: st.DataObject) -> None:
        """A file that was written to half is one of these."""
        text = encrypt("plain", PHRASE, cost=CHEAP)
        refused(text[: data.draw(st.integers(0, len(text) - 1))])
        refused(text + data.draw(st.text(min_size=1, max_size=4)))

    def test_the_parts_of_two_texts_do_not_mix(self) -> None:
        """The content is bound to its header."""
        one, other = (encrypt(plain, PHRASE, cost=CHEAP).splitlines() for plain in ("first", "other"))
        assert isinstance(refused("\n".join((*one[:2], other[2], ""))), DamagedDataError)

    def test_a_wrong_passphrase_is_told_from_damage(self) -> None:
        """The one is an hour of search in a notebook, the other in the backups."""
        text = encrypt("plain", PHRASE, cost=CHEAP)
        assert isinstance(refused(text, "another"), WrongPassphraseError)
        content = text.splitlines()[2]
        damaged = text.replace(content, ("B" if content[0] == "A" else "A") + content[1:])
        assert isinstance(refused(damaged), DamagedDataError)

    def test_is_another_each_time(self) -> None:
        """With a salt and a nonce of its own, so that nobody sees that two texts are the same."""
        texts = [encrypt("plain", PHRASE, cost=CHEAP) for _ in range(8)]
        for name in ("salt", "nonce", "check"):
            assert 8 == len({json.loads(text.splitlines()[1])[name] for text in texts})

    def test_says_what_it_takes_to_decrypt_it(self) -> None:
        """Function, parameters, salt and cipher; nothing of the passphrase or the text."""
        text = encrypt("a plain text", PHRASE, cost=ScryptCost(n=4, r=2, p=3))
        assert "bt_api-encrypted 1" == text.splitlines()[0]
        header = json.loads(text.splitlines()[1])
        expected = {"kdf": "scrypt", "n": 4, "r": 2, "p": 3, "cipher": "AES-256-GCM"}
        assert expected.items() <= header.items()
        assert (16, 12, 32) == tuple(len(base64.b64decode(header[name])) for name in ("salt", "nonce", "check"))

    def test_can_be_decrypted_by_others(self) -> None:
        """With nothing but the description: scrypt, HMAC-SHA256, AES-256-GCM."""
        import hashlib
        import hmac

        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        text = encrypt(KNOWN_TEXT, KNOWN_PHRASE, cost=ScryptCost(n=8, r=2))
        first, header, content = text.splitlines()
        parts = json.loads(header)
        salt, nonce = (base64.b64decode(parts[name]) for name in ("salt", "nonce"))
        key = hashlib.scrypt(KNOWN_PHRASE.encode(), salt=salt, n=parts["n"], r=parts["r"], p=parts["p"], dklen=64)
        head = f"{first}\n{header}"
        checked = re.sub(',"check":"[^"]*"', "", head)
        assert parts["check"] == base64.b64encode(hmac.digest(key[32:], checked.encode(), "sha256")).decode()
        plain = AESGCM(key[:32]).decrypt(nonce, base64.b64decode(content), head.encode())
        assert KNOWN_TEXT == plain.decode()

    def test_the_default_is_what_is_recommended(self) -> None:
        """128 MiB: that of OWASP's cheat sheet on storing passwords."""
        assert (131_072, 8, 1, 128 * 1024 * 1024) == (
            ScryptCost().n,
            ScryptCost().r,
            ScryptCost().p,
            ScryptCost().memory_bytes,
        )

    @pytest.mark.parametrize(
        ("changes", "kind"),
        [
            ({"n": 2**40}, UnknownFormatError),
            ({"n": 2**20, "r": 8}, UnknownFormatError),
            ({"n": 2, "r": 2**30}, UnknownFormatError),
            ({"p": 2**30}, UnknownFormatError),
            ({"n": 3}, UnknownFormatError),
            ({"n": 0}, UnknownFormatError),
            ({"n": -2}, UnknownFormatError),
            ({"r": 0}, UnknownFormatError),
            ({"p": -1}, UnknownFormatError),
            ({"n": True}, DamagedDataError),
            ({"n": 2.0}, DamagedDataError),
            ({"n": "2"}, DamagedDataError),
            ({"n": None}, DamagedDataError),
            ({"salt": "AAAA"}, DamagedDataError),
            ({"salt": [1]}, DamagedDataError),
            ({"nonce": ""}, DamagedDataError),
            ({"kdf": "md5"}, UnknownFormatError),
            ({"cipher": "none"}, UnknownFormatError),
            ({"more": 1}, DamagedDataError),
            ({"check": ""}, WrongPassphraseError),
        ],
    )
    def test_a_hostile_header_costs_nothing(
        self, changes: dict[str, Any], kind: type[Exception], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Neither memory nor time is spent before it is clear how much of it."""
        import hashlib

        costs: list[int] = []
        derive: Callable[..., bytes] = hashlib.scrypt

        def counted(*args: Any, **options: Any) -> bytes:
            costs.append(options["n"] * options["r"] * options["p"])
            return derive(*args, **options)

        text = encrypt("plain", PHRASE, cost=CHEAP)
        monkeypatch.setattr(hashlib, "scrypt", counted)
        assert kind is type(refused(with_header(text, **changes)))
        assert all(cost <= 2 for cost in costs)

    @pytest.mark.parametrize(
        ("text", "kind"),
        [
            ("", UnknownFormatError),
            ("-----BEGIN PGP MESSAGE-----\n", UnknownFormatError),
            ("bt_api-encrypted 2\n{}\nAAAA\n", UnknownFormatError),
            ("bt_api-encrypted 01\n{}\nAAAA\n", UnknownFormatError),
            ("bt_api-encrypted 1\n[]\nAAAA\n", DamagedDataError),
            ("bt_api-encrypted 1\n{}\nAAAA\n", DamagedDataError),
            (f"bt_api-encrypted 1\n{'[' * 900}\nAAAA\n", DamagedDataError),
            (f"bt_api-encrypted 1\n{' ' * 5000}\nAAAA\n", DamagedDataError),
            (f"bt_api-encrypted 1\n{'9' * 1000}\nAAAA\n", DamagedDataError),
            ("bt_api-encrypted 1\n" + "A" * MAX_ENCRYPTED_BYTES, UnknownFormatError),
        ],
    )
    def test_what_is_none_is_refused(self, text: str, kind: type[Exception]) -> None:
        """Another file, one of a later version, or junk."""
        assert kind is type(refused(text))

    def test_a_later_version_is_named(self) -> None:
        """So that one knows to install a newer package."""
        assert "version 2; this package reads version 1" in str(refused("bt_api-encrypted 2\n"))

    @pytest.mark.parametrize("cost", [{"n": 3}, {"n": 1}, {"n": 0}, {"n": 2**23}, {"n": 2**19, "r": 8, "p": 9}])
    def test_what_would_not_be_read_again_is_not_written(self, cost: dict[str, int]) -> None:
        """More memory or time than a reader gives, or no parameters of scrypt."""
        with pytest.raises(ConfigurationError):
            ScryptCost(**cost)

    def test_needs_a_passphrase_and_a_library(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Both are named."""
        with pytest.raises(ConfigurationError, match="passphrase is empty"):
            encrypt("plain", "", cost=CHEAP)
        monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers.aead", None)
        with pytest.raises(ConfigurationError, match=r"pip install bt_api_base\[signing\]"):
            encrypt("plain", PHRASE, cost=CHEAP)


class TestFile:
    """The credentials of several accounts."""

    def test_has_what_was_stored(self, file: EncryptedFile, path: Path) -> None:
        """By venue and profile, also for another object with the same passphrase."""
        assert {} == file.read()
        file.store("BINANCE___SPOT", BINANCE)
        file.store("okx", OKX, profile="hedge")
        expected = {Account("BINANCE"): BINANCE, Account("OKX", "HEDGE"): OKX}
        assert expected == file.read() == EncryptedFile(path, Secret(PHRASE)).read()

    def test_another_process_reads_it(self, file: EncryptedFile) -> None:
        """With nothing but the path and the passphrase."""
        file.store("OKX", OKX)
        script = (
            "import os, sys\n"
            "from bt_api_base.security import SecureCredentialManager\n"
            "found = SecureCredentialManager().get_exchange_credentials('OKX')\n"
            "sys.exit(0 if found.secret.reveal() == 'okx-shared-secret-2'"
            " and found.passphrase.reveal() == 'okx phrase 2 \\xe9' else 1)"
        )
        environment = {**os.environ, "BT_API_CREDENTIALS_FILE": str(file.path), "BT_API_ENCRYPTION_KEY": PHRASE}
        subprocess.run([sys.executable, "-c", script], check=True, env=environment, cwd=file.path.parent)  # noqa: S603

    def test_what_another_process_wrote_is_read(self, file: EncryptedFile, path: Path) -> None:
        """And what was kept of the old content is not used any more."""
        file.store("BINANCE", BINANCE)
        script = (
            "import sys\n"
            "from bt_api_base.security import Credentials, EncryptedFile, ScryptCost\n"
            "file = EncryptedFile(sys.argv[1], sys.argv[2], cost=ScryptCost(n=2, r=1))\n"
            "file.store('KRAKEN', Credentials('kraken-key', 'kraken-secret'), profile='two')\n"
        )
        subprocess.run([sys.executable, "-c", script, str(path), PHRASE], check=True)  # noqa: S603
        assert {Account("BINANCE"), Account("KRAKEN", "TWO")} == set(file.read())

    def test_shows_no_credentials(self, file: EncryptedFile, path: Path, planted_secret: PlantedSecret) -> None:
        """Neither in itself nor in what reads it."""
        file.store("OKX", planted_secret.credentials)
        planted_secret.check(path.read_bytes(), file, file.read())
        planted_secret.check_reachable(file)

    def test_is_for_its_owner_alone(self, file: EncryptedFile, path: Path) -> None:
        """Whatever the one that it replaces was, and whatever the process lets others do."""
        path.write_text("")
        path.chmod(0o644)
        before = os.umask(0)
        try:
            file.write({Account("OKX"): OKX})
        finally:
            os.umask(before)
        assert 0o600 == stat.S_IMODE(path.stat().st_mode)
        assert [path] == list(path.parent.iterdir())

    def test_a_link_stays_one(self, file: EncryptedFile, path: Path, tmp_path: Path) -> None:
        """What it leads to is replaced."""
        target = tmp_path / "elsewhere"
        path.symlink_to(target)
        file.store("OKX", OKX)
        assert path.is_symlink()
        assert {Account("OKX"): OKX} == EncryptedFile(target, PHRASE).read()

    @pytest.mark.parametrize("step", ["fsync", "replace"])
    def test_is_whole_whatever_happens(
        self, file: EncryptedFile, path: Path, step: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A disk that is full, or a process that goes down, leaves the old content."""
        file.store("BINANCE", BINANCE)

        def full(*_args: object) -> None:
            raise OSError(28, "No space left on device")

        owner: Any = encrypted_file.os if step == "fsync" else Path
        monkeypatch.setattr(owner, step, full)
        with pytest.raises(ConfigurationError, match="cannot be written: No space left"):
            file.store("OKX", OKX)
        monkeypatch.undo()
        assert {Account("BINANCE"): BINANCE} == file.read() == EncryptedFile(path, PHRASE).read()
        assert [path] == list(path.parent.iterdir())

    def test_is_decrypted_once(self, file: EncryptedFile, monkeypatch: pytest.MonkeyPatch) -> None:
        """As long as it stays the same: a program that asks for ten accounts waits once."""
        file.store("OKX", OKX)
        decrypted: list[object] = []

        def counted(text: Any, phrase: Secret) -> Any:
            decrypted.append(text)
            return decrypt_hidden(text, phrase)

        monkeypatch.setattr(encrypted_file, "decrypt_hidden", counted)
        other = EncryptedFile(file.path, PHRASE)
        for _ in range(3):
            assert OKX == other.read()[Account("OKX")]
        assert 1 == len(decrypted)
        file.store("OKX", BINANCE)
        assert BINANCE == other.read()[Account("OKX")]

    def test_an_account_can_be_removed(self, file: EncryptedFile) -> None:
        """Only that one."""
        file.store("OKX", OKX)
        file.store("OKX", OKX, profile="b")
        assert file.remove("OKX")
        assert not file.remove("OKX")
        assert {Account("OKX", "B"): OKX} == file.read()

    def test_a_passphrase_can_be_changed(self, file: EncryptedFile, path: Path) -> None:
        """By writing what was read with another."""
        file.store("OKX", OKX)
        EncryptedFile(path, "another phrase", cost=CHEAP).write(file.read())
        with pytest.raises(WrongPassphraseError, match=re.escape(str(path))):
            file.read()

    def test_what_it_cannot_read_is_named(self, file: EncryptedFile, path: Path) -> None:
        """With the reason."""
        path.write_bytes(b"\xff\xfe")
        with pytest.raises(UnknownFormatError, match=re.escape(str(path))):
            file.read()
        path.write_text(encrypt("[1]", PHRASE, cost=CHEAP))
        with pytest.raises(DamagedDataError, match="no accounts"):
            file.read()
        path.write_bytes(b"A" * (MAX_ENCRYPTED_BYTES + 1))
        with pytest.raises(UnknownFormatError, match="too long"):
            file.read()
        path.unlink()
        path.mkdir()
        with pytest.raises(ConfigurationError, match="cannot be read: Is a directory"):
            file.read()
        with pytest.raises(UnknownFormatError, match="no file"):
            EncryptedFile("/dev/null", PHRASE).read()

    def test_threads_do_not_lose_each_others_accounts(self, file: EncryptedFile) -> None:
        """Those that share one object."""
        threads = [threading.Thread(target=file.store, args=(f"VENUE{number}", OKX)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert {Account(f"VENUE{number}") for number in range(8)} == set(file.read())


@pytest.mark.anyio
class TestAsync:
    """The same without holding up the loop."""

    async def test_coroutines_do_the_same(self, file: EncryptedFile) -> None:
        """In a worker thread."""
        await file.async_store("OKX", OKX)
        await file.async_store("BINANCE", BINANCE, profile="b")
        assert await file.async_remove("OKX")
        await file.async_write({**await file.async_read(), Account("BYBIT"): OKX})
        assert {Account("BINANCE", "B"): BINANCE, Account("BYBIT"): OKX} == file.read()

    async def test_the_loop_goes_on(self, file: EncryptedFile, monkeypatch: pytest.MonkeyPatch) -> None:
        """While a key is derived, others have their turn; and a cancelled writer has written."""
        started, goes_on = anyio.Event(), threading.Event()

        def slow(plain: Any, phrase: Secret, *, cost: ScryptCost | None) -> str:
            anyio.from_thread.run_sync(started.set)
            assert goes_on.wait(10)
            return encrypt(plain, phrase, cost=cost)

        monkeypatch.setattr(encrypted_file, "encrypt", slow)
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:

                async def other() -> None:
                    await started.wait()
                    scope.cancel()
                    goes_on.set()

                group.start_soon(other)
                await file.async_store("OKX", OKX)
                await anyio.lowlevel.checkpoint()
        assert scope.cancelled_caught
        assert {Account("OKX"): OKX} == file.read()


class TestTokens:
    """Single texts, as the manager encrypts them."""

    def test_are_one_word_that_comes_back(self) -> None:
        """For a variable or a configuration; also to another manager."""
        token = SecureCredentialManager(PHRASE, cost=CHEAP).encrypt_credential(Secret("the plain text é"))
        assert re.fullmatch(r"[A-Za-z0-9._-]+", token)
        assert "the plain text é" == SecureCredentialManager(Secret(PHRASE)).decrypt_credential(token)

    def test_the_passphrase_may_be_a_variable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is read when it is needed, and missed by name."""
        manager = SecureCredentialManager(cost=CHEAP)
        with pytest.raises(ConfigurationError, match="BT_API_ENCRYPTION_KEY"):
            manager.encrypt_credential("plain")
        monkeypatch.setenv("BT_API_ENCRYPTION_KEY", PHRASE)
        assert "plain" == SecureCredentialManager(PHRASE).decrypt_credential(manager.encrypt_credential("plain"))

    @given(st.data())
    @settings(max_examples=30)
    def test_a_changed_character_is_refused(self, data: st.DataObject) -> None:
        """As in a file."""
        manager = SecureCredentialManager(PHRASE, cost=CHEAP)
        token = manager.encrypt_credential("plain")
        index = data.draw(st.integers(0, len(token) - 1))
        other = data.draw(st.characters(max_codepoint=255).filter(lambda one: one != token[index]))
        with pytest.raises(EncryptedDataError):
            manager.decrypt_credential(token[:index] + other + token[index + 1 :])

    @pytest.mark.anyio
    async def test_coroutines_do_the_same(self) -> None:
        """In a worker thread."""
        manager = SecureCredentialManager(PHRASE, cost=CHEAP)
        token = await manager.async_encrypt_credential("plain")
        assert "plain" == await manager.async_decrypt_credential(token)
