"""Where credentials are found, in which order, and what is said when they are not."""

from __future__ import annotations

import os
import pickle
import re
import sys
import threading
import types
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, strategies as st

from bt_api_base.exceptions import ConfigurationError
from bt_api_base.security import (
    CRYPTO_AVAILABLE,
    Account,
    Credentials,
    CredentialsNotFoundError,
    EncryptedFile,
    EncryptedFileSource,
    EnvFileSource,
    EnvironmentSource,
    KeyringSource,
    ScryptCost,
    SecureCredentialManager,
    create_env_template,
    load_credentials_from_env_file,
)
from bt_api_base.security.env_file import env_template, parse_env
from bt_api_base.security.venue_templates import VENUE_TEMPLATES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CHEAP = ScryptCost(n=2, r=1)
KEY, SECRET = "k" * 32 + "1" * 32, "s" * 32 + "2" * 32
VARIABLES = {"BINANCE_API_KEY": KEY, "BINANCE_SECRET": SECRET}
OKX_VARIABLES = {"OKX_API_KEY": "okx-key", "OKX_SECRET": "okx-secret", "OKX_PASSPHRASE": "a phrase"}


def revealed(credentials: Credentials | None) -> tuple[str | None, ...]:
    """Return the parts of credentials."""
    assert credentials is not None
    parts = (credentials.api_key, credentials.secret, credentials.passphrase)
    return tuple(part and part.reveal() for part in parts)


class FakeKeyring:
    """A keyring in memory."""

    def __init__(self, entries: Mapping[str, str] | None = None) -> None:
        self.entries = {("bt_api", name): value for name, value in (entries or {}).items()}

    def get_password(self, service: str, username: str) -> str | None:
        """Return a value."""
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        """Keep a value."""
        self.entries[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        """Keep a value no more."""
        del self.entries[service, username]


class TestAccount:
    """Which account is meant."""

    def test_markets_of_a_venue_share_it(self) -> None:
        """And names are the same in any case."""
        assert Account("BINANCE") == Account("binance___spot") == Account("BINANCE___SWAP", "")
        assert Account("OKX", "hedge") == Account("okx", "HEDGE") != Account("OKX")

    def test_variables_of_a_profile_have_its_name_at_the_end(self) -> None:
        """Behind two underscores, so that no profile is taken for another venue."""
        assert "OKX_API_KEY" == Account("OKX").variable("API_KEY")
        assert "OKX_API_KEY__MARKET_MAKER" == Account("OKX", "market_maker").variable("API_KEY")
        assert ("OKX", "OKX (profile A)") == (str(Account("OKX")), str(Account("OKX", "a")))

    @pytest.mark.parametrize(
        ("venue", "profile"), [("", ""), ("O KX", ""), ("../x", ""), ("OKX", "a b"), ("OKX", "a__b"), ("OKX", "=")]
    )
    def test_other_characters_are_refused(self, venue: str, profile: str) -> None:
        """They could not be part of a variable."""
        with pytest.raises(ConfigurationError, match="letters, digits and single underscores"):
            Account(venue, profile)


class TestEnvironment:
    """Variables of the process, or of a mapping."""

    def test_finds_both_parts(self) -> None:
        """Or three, where a venue has them."""
        assert (KEY, SECRET, None) == revealed(EnvironmentSource(VARIABLES).find(Account("BINANCE___SPOT")))
        assert ("okx-key", "okx-secret", "a phrase") == revealed(EnvironmentSource(OKX_VARIABLES).find(Account("OKX")))

    def test_finds_profiles(self) -> None:
        """Each with its own variables, and none of the others'."""
        source = EnvironmentSource({**VARIABLES, "BINANCE_API_KEY__B": "key-b", "BINANCE_SECRET__B": "secret-b"})
        assert ("key-b", "secret-b", None) == revealed(source.find(Account("BINANCE", "b")))
        assert (KEY, SECRET, None) == revealed(source.find(Account("BINANCE")))
        assert source.find(Account("BINANCE", "c")) is None

    def test_reads_the_process_when_it_is_asked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """And an empty variable is none."""
        source = EnvironmentSource()
        monkeypatch.setenv("SOMEVENUE_API_KEY", "")
        assert source.find(Account("SOMEVENUE")) is None
        monkeypatch.setenv("SOMEVENUE_API_KEY", "a-key")
        monkeypatch.setenv("SOMEVENUE_SECRET", "a-secret")
        assert ("a-key", "a-secret", None) == revealed(source.find(Account("SOMEVENUE")))

    def test_reads_other_usual_names(self) -> None:
        """Unless they contradict each other."""
        other = {"KRAKEN_API_KEY": "key", "KRAKEN_PRIVATE_KEY": "c2VjcmV0"}
        assert ("key", "c2VjcmV0", None) == revealed(EnvironmentSource(other).find(Account("KRAKEN")))
        same = {**other, "KRAKEN_SECRET": "c2VjcmV0"}
        assert EnvironmentSource(same).find(Account("KRAKEN")) is not None
        with pytest.raises(ConfigurationError, match="both KRAKEN_SECRET and KRAKEN_PRIVATE_KEY, and they differ"):
            EnvironmentSource({**other, "KRAKEN_SECRET": "b3RoZXI="}).find(Account("KRAKEN"))

    @pytest.mark.parametrize(
        ("variables", "text"),
        [
            ({"OKX_API_KEY": "key"}, "has OKX_API_KEY, but OKX_SECRET and OKX_PASSPHRASE not"),
            ({"OKX_API_KEY": "k", "OKX_SECRET": "s"}, "has OKX_API_KEY and OKX_SECRET, but OKX_PASSPHRASE not"),
            ({"OKX_PASSPHRASE": "phrase"}, "has OKX_PASSPHRASE, but OKX_API_KEY and OKX_SECRET not"),
        ],
    )
    def test_a_missing_part_is_named(self, variables: dict[str, str], text: str) -> None:
        """As the variable that it is looked for in."""
        with pytest.raises(ConfigurationError, match=text):
            EnvironmentSource(variables).find(Account("OKX"))

    def test_a_variable_may_name_a_file(self, tmp_path: Path) -> None:
        """As containers are given secrets, and as a private key is kept; its last line end is no part of it."""
        (tmp_path / "secret").write_bytes(b"from-a-file\r\n")
        variables = {"BYBIT_API_KEY": "key", "BYBIT_SECRET_FILE": str(tmp_path / "secret")}
        assert ("key", "from-a-file", None) == revealed(EnvironmentSource(variables).find(Account("BYBIT")))
        with pytest.raises(ConfigurationError, match="both BYBIT_SECRET and BYBIT_SECRET_FILE are set"):
            EnvironmentSource({**variables, "BYBIT_SECRET": "x"}).find(Account("BYBIT"))
        (tmp_path / "secret").unlink()
        with pytest.raises(ConfigurationError, match="BYBIT_SECRET_FILE names a file that is not there"):
            EnvironmentSource(variables).find(Account("BYBIT"))


class TestEnvFile:
    """Files of variables."""

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("", {}),
            ("\n\n  \n# comment\n   # another\n", {}),
            ("A=1", {"A": "1"}),
            ("A=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
            ("\ufeffA=1\n", {"A": "1"}),
            ("export A=1\n  B = 2  \n", {"A": "1", "B": "2"}),
            ("A=\nB= \nC=''\n", {"A": "", "B": "", "C": ""}),
            ("A=a b # comment\nB=a#b\nC=#c\nD= # d\n", {"A": "a b", "B": "a#b", "C": "#c", "D": ""}),
            ("A='a # \"$B\" \\n'  # c\n", {"A": 'a # "$B" \\n'}),
            ('A="a # \'$B\' \\n\\t\\r\\"\\\\\\$\\x"', {"A": "a # '$B' \n\t\r\"\\$x"}),
            ("A='two\nlines'\nB=\"two\nlines\"\n", {"A": "two\nlines", "B": "two\nlines"}),
            ("A=it's=fine\n", {"A": "it's=fine"}),
        ],
    )
    def test_values_are_what_they_look_like(self, text: str, expected: dict[str, str]) -> None:
        """Nothing is put in for a dollar sign, and quotes are none of it."""
        assert expected == dict(parse_env(text))

    @pytest.mark.parametrize(
        ("text", "where"),
        [
            ("A=1\nplanted-junk-line\n", "line 2: it is neither"),
            ("A='planted-junk-line\nB=2\n", "line 1: it is neither"),
            ('\n\nA="planted-junk-line', "line 3: it is neither"),
            ("A='planted'junk-line\n", "line 1: it is neither"),
            ("=planted-junk-line\n", "line 1: it is neither"),
            ("1A=planted-junk-line\n", "line 1: it is neither"),
            ("A=x\nA=planted-junk-line\n", "line 2: it sets A again"),
        ],
    )
    def test_what_is_no_line_is_refused(self, text: str, where: str) -> None:
        """With its number, and without what it says."""
        with pytest.raises(ConfigurationError, match=where) as caught:
            parse_env(text, "the file")
        assert "planted" not in f"{caught.value!r}"

    @given(st.dictionaries(st.from_regex(r"[A-Za-z_][A-Za-z0-9_]*", fullmatch=True), st.text()))
    def test_whatever_is_quoted_comes_back(self, values: dict[str, str]) -> None:
        """In double quotes, with what has to be escaped escaped."""
        values = {name: value.replace("\r\n", "\n") for name, value in values.items()}
        escaped = {name: value.replace("\\", r"\\").replace('"', r"\"") for name, value in values.items()}
        text = "".join(f'{name}="{value}"\n' for name, value in escaped.items())
        assert values == dict(parse_env(text))

    @given(st.text())
    def test_junk_is_refused_or_read(self, text: str) -> None:
        """And nothing else happens."""
        with suppress(ConfigurationError):
            parse_env(text)

    def test_loads_a_file_and_leaves_the_environment_alone(self, tmp_path: Path) -> None:
        """Unless it is asked to put them somewhere, where they are not yet."""
        path = tmp_path / ".env"
        assert {} == dict(load_credentials_from_env_file(path))
        path.write_text("BT_API_TEST_SECRET='a value of it'\nBT_API_TEST_NAME=x\n")
        values = load_credentials_from_env_file(path)
        assert ("a value of it", "x") == (values["BT_API_TEST_SECRET"], values["BT_API_TEST_NAME"])
        assert 2 == len(values)
        assert "BT_API_TEST_SECRET" not in os.environ
        into = {"BT_API_TEST_NAME": "mine"}
        load_credentials_from_env_file(path, into=into)
        assert {"BT_API_TEST_NAME": "mine", "BT_API_TEST_SECRET": "a value of it"} == into

    def test_shows_the_names_only(self) -> None:
        """And is not pickled."""
        values = parse_env("SOME_SECRET=the-value-of-it\nPLAIN=the-other-value")
        assert "{'SOME_SECRET': '***', 'PLAIN': '***'}" == f"{values}" == f"{values!r}"
        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(values)

    def test_what_cannot_be_read_is_named(self, tmp_path: Path) -> None:
        """With the reason, and without what was read."""
        path = tmp_path / ".env"
        path.write_bytes(b"A=planted\xff")
        with pytest.raises(ConfigurationError, match="no text in UTF-8") as caught:
            load_credentials_from_env_file(path)
        assert caught.value.__context__ is None
        path.write_bytes(b"#" * (1024 * 1024 + 1))
        with pytest.raises(ConfigurationError, match="too long"):
            load_credentials_from_env_file(path)
        with pytest.raises(ConfigurationError, match="no file"):
            load_credentials_from_env_file(tmp_path)

    def test_is_a_source(self, tmp_path: Path) -> None:
        """Which is read anew each time, and has the files that it names beside it."""
        path = tmp_path / ".env"
        source = EnvFileSource(path)
        assert source.find(Account("BYBIT")) is None
        (tmp_path / "key.pem").write_text("from-a-file\n")
        path.write_text("BYBIT_API_KEY=key\nBYBIT_PRIVATE_KEY_FILE=key.pem\n")
        assert ("key", "from-a-file", None) == revealed(source.find(Account("BYBIT")))


class TestTemplate:
    """The file to be filled in."""

    def test_has_the_variables_that_are_read(self) -> None:
        """Of every venue, all of them empty but for settings that are no secrets."""
        values = parse_env(env_template())
        settings = {name for template in VENUE_TEMPLATES.values() for name, _ in template.settings}
        assert settings == {name for name, value in values.items() if value}
        for template in VENUE_TEMPLATES.values():
            account = Account(template.venue)
            filled = {
                name: "x"
                for part in ("api_key", "secret", "passphrase")
                for name in template.variables(part, account)[:1]
                if name in values
            }
            assert EnvironmentSource(filled).find(account) is not None
        assert {"BT_API_ENCRYPTION_KEY", "BT_API_CREDENTIALS_FILE", "BINANCE_SECRET"} <= values.keys()

    def test_can_be_of_some_venues(self) -> None:
        """Also of one that is not known."""
        names = parse_env(env_template(["OKX", "somewhere"])).keys()
        assert ["OKX_API_KEY", "OKX_SECRET", "OKX_PASSPHRASE", "SOMEWHERE_API_KEY", "SOMEWHERE_SECRET"] == list(names)[
            :-2
        ]

    def test_does_not_replace_a_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """It may have been filled in."""
        monkeypatch.chdir(tmp_path)
        create_env_template(venues=["OKX"])
        path = tmp_path / ".env.example"
        assert env_template(["OKX"]) == path.read_text()
        with pytest.raises(ConfigurationError, match="overwrite=True"):
            create_env_template()
        create_env_template(path, overwrite=True)
        assert env_template() == path.read_text()
        with pytest.raises(ConfigurationError, match="cannot be written: No such file or directory"):
            create_env_template(tmp_path / "nowhere" / "file")


class TestKeyring:
    """The keyring of the system."""

    def test_finds_entries_with_the_names_of_variables(self) -> None:
        """So they can be put there with its own command."""
        source = KeyringSource(backend=FakeKeyring(OKX_VARIABLES))
        assert ("okx-key", "okx-secret", "a phrase") == revealed(source.find(Account("OKX")))
        assert source.find(Account("BINANCE")) is None

    def test_keeps_and_forgets(self) -> None:
        """All parts, and no part of what was there before."""
        keyring = FakeKeyring({"BINANCE_API_SECRET": "old", "BINANCE_PASSPHRASE": "old", "OTHER": "x"})
        source, account = KeyringSource(backend=keyring), Account("BINANCE", "")
        source.store(account, Credentials(KEY, SECRET))
        assert (KEY, SECRET, None) == revealed(source.find(account))
        source.remove(account)
        assert {("bt_api", "OTHER"): "x"} == keyring.entries

    def test_works_with_the_package(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """With whatever backend it has chosen."""
        keyring = pytest.importorskip("keyring")
        from keyring.backend import KeyringBackend

        class InMemory(FakeKeyring, KeyringBackend):
            priority: Any = 1

        before = keyring.get_keyring()
        keyring.set_keyring(InMemory(OKX_VARIABLES))
        try:
            assert KeyringSource().find(Account("OKX")) is not None
        finally:
            keyring.set_keyring(before)

    def test_a_system_without_one_is_told(self) -> None:
        """As a server is."""
        pytest.importorskip("keyring")
        from keyring.backends.fail import Keyring

        with pytest.raises(ConfigurationError, match="this system has none"):
            KeyringSource(backend=Keyring()).find(Account("OKX"))

    def test_a_missing_package_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """With the command that installs it."""
        monkeypatch.setitem(sys.modules, "keyring", None)
        with pytest.raises(ConfigurationError, match=r"pip install bt_api_base\[keyring\]"):
            KeyringSource().find(Account("OKX"))

    def test_an_error_of_a_backend_is_not_shown(self) -> None:
        """Nobody knows what is in it."""

        def fail(*args: str) -> None:
            raise RuntimeError(f"refused: {args}")

        backend: Any = types.SimpleNamespace(get_password=lambda *_: None, set_password=fail, delete_password=fail)
        with pytest.raises(ConfigurationError, match="cannot be written: RuntimeError") as caught:
            KeyringSource(backend=backend).store(Account("BINANCE"), Credentials(KEY, SECRET))
        assert caught.value.__context__ is None


class TestManager:
    """All of them, one after the other."""

    def test_the_first_source_that_has_any_part_counts(self, tmp_path: Path) -> None:
        """The order is that of the sources, and parts are never mixed."""
        file = EncryptedFile(tmp_path / "file", "phrase", cost=CHEAP)
        file.store("BINANCE", Credentials("from-the-file", SECRET))
        file.store("OKX", Credentials("from-the-file", "okx-secret", "phrase"))
        keyring = KeyringSource(backend=FakeKeyring({"OKX_API_KEY": "from-the-keyring"}))
        manager = SecureCredentialManager(sources=[EnvironmentSource(VARIABLES), keyring, EncryptedFileSource(file)])
        assert KEY == manager.get_exchange_credentials("BINANCE___SPOT").api_key.reveal()
        with pytest.raises(ConfigurationError, match="parts of different sources are not mixed"):
            manager.get_exchange_credentials("OKX")
        assert 3 == len(manager.sources)

    def test_says_where_it_looked(self, tmp_path: Path) -> None:
        """For each account of a profile that is nowhere."""
        file = EncryptedFileSource(EncryptedFile(tmp_path / "file", "phrase"))
        sources = [EnvironmentSource({}), EnvFileSource(tmp_path / ".env"), KeyringSource(backend=FakeKeyring()), file]
        places = f"the environment, {tmp_path}/.env, the keyring (service 'bt_api'), {tmp_path}/file"
        text = f"no credentials for OKX (profile A); looked for in {places}"
        with pytest.raises(CredentialsNotFoundError, match=re.escape(text)):
            SecureCredentialManager(sources=sources).get_exchange_credentials("OKX", profile="a")
        with pytest.raises(CredentialsNotFoundError, match="nowhere"):
            SecureCredentialManager(sources=()).get_exchange_credentials("OKX")

    def test_looks_in_the_environment_then_in_a_file_then_in_the_encrypted_one(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Without any sources given."""
        monkeypatch.chdir(tmp_path)
        file = EncryptedFile(tmp_path / "file", "the phrase", cost=CHEAP)
        file.store("BYBIT", Credentials("from-the-file", "the-secret"))
        monkeypatch.setenv("BT_API_CREDENTIALS_FILE", "file")
        monkeypatch.setenv("BT_API_ENCRYPTION_KEY", "the phrase")
        assert "from-the-file" == SecureCredentialManager().get_exchange_credentials("BYBIT").api_key.reveal()
        (tmp_path / ".env").write_text("BYBIT_API_KEY=from-dot-env\nBYBIT_SECRET=the-secret")
        manager = SecureCredentialManager()
        assert "from-dot-env" == manager.get_exchange_credentials("BYBIT").api_key.reveal()
        monkeypatch.setenv("BYBIT_API_KEY", "from-the-process")
        monkeypatch.setenv("BYBIT_SECRET", "the-secret")
        assert "from-the-process" == manager.get_exchange_credentials("BYBIT").api_key.reveal()
        monkeypatch.delenv("BT_API_ENCRYPTION_KEY")
        with pytest.raises(ConfigurationError, match="BT_API_ENCRYPTION_KEY"):
            SecureCredentialManager()

    def test_finds_accidents(self) -> None:
        """Before a venue does."""
        source = EnvironmentSource({"OKX_API_KEY": "'quoted-key'", "OKX_SECRET": "s", "OKX_PASSPHRASE": "p"})
        with pytest.raises(ConfigurationError, match="OKX: api_key is in quotes"):
            SecureCredentialManager(sources=[source]).get_exchange_credentials("OKX")

    def test_decrypts_what_is_kept_encrypted(self) -> None:
        """Each part, with one passphrase."""
        manager = SecureCredentialManager("the phrase", sources=(), cost=CHEAP)
        variables = {name: manager.encrypt_credential(value) for name, value in OKX_VARIABLES.items()}
        manager = SecureCredentialManager("the phrase", sources=[EnvironmentSource(variables)], cost=CHEAP)
        assert ("okx-key", "okx-secret", "a phrase") == revealed(manager.get_exchange_credentials("OKX", True))
        variables = {name: manager.encrypt_credential(value) for name, value in VARIABLES.items()}
        manager = SecureCredentialManager("the phrase", sources=[EnvironmentSource(variables)], cost=CHEAP)
        assert (KEY, SECRET, None) == revealed(manager.get_exchange_credentials("BINANCE", encrypted=True))

    def test_keeps_the_older_helpers(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Of the class, or of an object."""
        monkeypatch.delenv("BT_API_TEST", raising=False)
        assert (None, "x") == tuple(SecureCredentialManager.load_from_env("BT_API_TEST", one) for one in (None, "x"))
        monkeypatch.setenv("BT_API_TEST", "value")
        assert "value" == SecureCredentialManager().load_from_env("BT_API_TEST", "x")
        assert "abcd********mnop" == SecureCredentialManager.mask_credential("abcdefghijklmnop")
        assert "****" == SecureCredentialManager.mask_credential(None)
        assert SecureCredentialManager.validate_api_key("a" * 15 + "b")
        assert not SecureCredentialManager.validate_api_key(None)
        assert CRYPTO_AVAILABLE

    @pytest.mark.anyio
    async def test_a_coroutine_does_the_same(self) -> None:
        """In a worker thread: a keyring may ask its user."""
        threads: list[int] = []

        class Slow(EnvironmentSource):
            def find(self, account: Account) -> Credentials | None:
                threads.append(threading.get_ident())
                return super().find(account)

        manager = SecureCredentialManager(sources=[Slow(VARIABLES)])
        found = await manager.async_get_exchange_credentials("BINANCE___SWAP")
        assert (KEY, SECRET, None) == revealed(found)
        assert threading.get_ident() not in threads
        with pytest.raises(CredentialsNotFoundError):
            await manager.async_get_exchange_credentials("OKX", profile="b")
