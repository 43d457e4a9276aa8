"""Secrets that show nowhere, and signatures that venues accept."""

from __future__ import annotations

import copy
import dataclasses
import json
import logging
import pickle
import subprocess
import sys
import traceback
from typing import Any

import attrs
import msgspec
import pytest

from bt_api_base.exceptions import ConfigurationError, WebSocketError
from bt_api_base.security import Credentials, Secret
from bt_api_base.security.recipes import (
    binance_query_signature,
    binance_websocket_payload,
    binance_websocket_signature,
    okx_login_signature,
    okx_signature,
)
from bt_api_base.security.signing import (
    ed25519_base64,
    hmac_base64,
    hmac_hex,
    is_private_key,
    private_key_base64,
    rsa_base64,
)
from tests.corpora import corpora_path

VALUE = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP"

# Made for this file, and used nowhere else.
ED25519 = """-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f
-----END PRIVATE KEY-----
"""


@dataclasses.dataclass
class Account:
    """A program's own settings, with a secret in them."""

    name: str
    secret: Secret


@pytest.fixture
def secret() -> Any:
    """A secret, which is not masked by its value after the test."""
    secret = Secret(VALUE)
    yield secret
    secret.forget()


class TestSecret:
    """A text that only `reveal` gives."""

    def test_reveals_what_it_was_made_of(self, secret: Secret) -> None:
        """That is what it is for."""
        assert VALUE == secret.reveal()

    @pytest.mark.parametrize(
        "show",
        [
            str,
            repr,
            ascii,
            format,
            lambda secret: f"{secret}{secret!r}{secret:>50}",
            lambda secret: "%s %r" % (secret, secret),  # noqa: UP031  # as older programs and logging do
            lambda secret: f"{[secret]} { {secret: secret} } {(secret,)}",
            lambda secret: str(vars(Account("a", secret))),
            lambda secret: str(dataclasses.asdict(Account("a", secret))),
            lambda secret: str(attrs.asdict(Credentials(secret, secret, secret))),
            lambda secret: str(attrs.astuple(Credentials(secret, secret, secret))),
            lambda secret: repr(Credentials(secret, secret, secret)),
            lambda secret: json.dumps([secret], default=str),
            lambda secret: json.dumps({"s": secret}, default=repr),
            lambda secret: msgspec.json.encode(Credentials(secret, secret), enc_hook=str).decode(),
            lambda secret: msgspec.msgpack.encode(Credentials(secret, secret), enc_hook=repr).decode("latin-1"),
            lambda secret: str(msgspec.to_builtins(Credentials(secret, secret), enc_hook=str)),
            lambda secret: str(secret.__doc__) + str(dir(secret)),
        ],
    )
    def test_shows_in_no_text(self, secret: Secret, show: Any) -> None:
        """Whatever makes a text of it, or of what holds it."""
        assert VALUE not in show(secret)

    @pytest.mark.parametrize(
        "serialize",
        [
            *(lambda value, protocol=protocol: pickle.dumps(value, protocol) for protocol in range(6)),
            json.dumps,
            msgspec.json.encode,
            msgspec.msgpack.encode,
            msgspec.yaml.encode if hasattr(msgspec.yaml, "yaml") else msgspec.toml.encode,
            lambda value: value.__getstate__() if isinstance(value, Secret) else value.secret.__getstate__(),
        ],
    )
    def test_is_not_serialized(self, secret: Secret, serialize: Any) -> None:
        """Neither it nor what holds it; the error says nothing of it."""
        for value in (secret, Credentials(secret, secret)):
            with pytest.raises((TypeError, ImportError)) as caught:
                serialize(value)
            assert VALUE not in "".join(traceback.format_exception(caught.value))

    def test_copies_are_the_object_itself(self, secret: Secret) -> None:
        """So settings with secrets in them can be copied."""
        assert copy.copy(secret) is secret
        assert copy.deepcopy({"a": [secret]})["a"][0] is secret
        assert copy.deepcopy(Credentials(secret, secret)) == Credentials(secret, secret)

    def test_is_equal_to_secrets_only(self, secret: Secret) -> None:
        """A comparison with the text would invite to write it down."""
        assert secret == Secret(VALUE)
        assert hash(secret) == hash(Secret(VALUE))
        assert secret != Secret(VALUE + "x")
        assert secret != VALUE
        assert Secret("é") == Secret("é")
        assert (True, False) == (bool(secret), bool(Secret("")))

    def test_has_no_place_for_anything_else(self, secret: Secret) -> None:
        """Nor a ``__dict__`` that a debugger or a serializer would list."""
        with pytest.raises(AttributeError):
            secret.other = 1  # type: ignore[attr-defined]
        assert not hasattr(secret, "__dict__")

    def test_is_made_from_text(self) -> None:
        """What else is given does not show in the error."""
        with pytest.raises(TypeError, match="not from bytes") as caught:
            Secret(VALUE.encode())  # type: ignore[arg-type]
        assert VALUE not in str(caught.value)

    def test_is_masked_where_somebody_else_repeats_it(self, secret: Secret) -> None:
        """A venue that quotes the key in its answer does not bring it into an exception."""
        error = WebSocketError("VENUE", f"no such key: {secret.reveal()}", venue_message=f"<{secret.reveal()}>")
        assert VALUE not in f"{error!r} {error}"

    def test_is_masked_until_it_is_forgotten(self, secret: Secret) -> None:
        """A session key that has expired is no secret, and need not make every record more expensive."""
        secret.forget()
        assert VALUE in WebSocketError("", f"<{VALUE}>").detail
        secret.forget()
        assert "<***>" == WebSocketError("", f"<{Secret(VALUE).reveal()}>").detail

    def test_only_the_newest_are_masked(self, secret: Secret) -> None:
        """However many are made, the cost of a record stays bounded."""
        many = [Secret(f"number-{number:05}") for number in range(64)]
        assert f"<{VALUE}> ***" == WebSocketError("", f"<{VALUE}> number-00000").detail
        for one in many:
            one.forget()

    def test_short_ones_mask_nothing(self) -> None:
        """Or every second word would be missing."""
        Secret("password")
        assert "a password" == WebSocketError("", "a password").detail


class TestCredentials:
    """What an account is accessed with."""

    def test_texts_become_secrets(self) -> None:
        """And secrets stay what they are."""
        credentials = Credentials("key-name", Secret("the-secret"), passphrase="pass")
        assert ("key-name", "the-secret", "pass") == tuple(
            part.reveal() for part in (credentials.api_key, credentials.secret, credentials.passphrase) if part
        )
        assert Credentials("a", "b").passphrase is None

    @pytest.mark.parametrize(
        ("parts", "text"),
        [
            (("", "b"), "api_key is empty"),
            (("a", ""), "secret is empty"),
            (("a", "b", ""), "passphrase is empty"),
            ((VALUE + "\n", "b"), "api_key begins or ends with white space"),
            (("a", f" {VALUE}"), "secret begins or ends with white space"),
            (("a", VALUE.encode()), "secret has to be text or a Secret, not bytes"),
        ],
    )
    def test_accidents_are_found(self, parts: Any, text: str) -> None:
        """A line end read from a file costs an hour of search otherwise; what was read is not in the error."""
        with pytest.raises(ConfigurationError, match=text) as caught:
            Credentials(*parts)
        assert VALUE not in "".join(traceback.format_exception(caught.value))

    def test_a_pem_ends_with_its_line_end(self) -> None:
        """As every file does."""
        assert ED25519 == Credentials("a", ED25519).secret.reveal()

    def test_are_frozen(self) -> None:
        """A change would not be seen by who has them already."""
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            Credentials("a", "b").secret = Secret("c")  # type: ignore[misc]

    def test_do_not_show_in_a_log_record(self, caplog: pytest.LogCaptureFixture) -> None:
        """Also where somebody logs the whole object."""
        caplog.set_level(logging.DEBUG)
        logging.getLogger("program").debug("connecting with %s %r", Credentials(VALUE, VALUE), Credentials("a", VALUE))
        assert VALUE not in caplog.text


class TestSigning:
    """Signatures as others compute them."""

    def test_hmac_is_that_of_rfc_4231(self) -> None:
        """Test case 2 of the RFC."""
        expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        payload = "what do ya want for nothing?"
        assert expected == hmac_hex("Jefe", payload)
        assert expected == hmac_hex(Secret("Jefe"), payload.encode())
        assert "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM=" == hmac_base64("Jefe", payload)
        assert hmac_hex("Jefe", payload, "sha512").startswith("164b7a7bfcf819e2e395fbe73b56e0a3")

    def test_an_unknown_algorithm_is_refused(self) -> None:
        """By name, and those that are no longer safe are not there."""
        for algorithm in ("md5", "sha1", "SHA256", "new"):
            with pytest.raises(ConfigurationError, match="there are sha256, sha384, sha512"):
                hmac_hex("secret", "payload", algorithm)

    def test_ed25519_is_that_of_rfc_8032(self) -> None:
        """Test 2 of section 7.1: one byte."""
        seed = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
        pem = _pem(seed)
        expected = "kqAJqfDUyrhyDoILX2QlQKKye1QWUD+Ps3YiI+vbadoIWsHkPhWZbkWPNhPQ8R2MOHsurrQwKu6wDSkWErsMAA=="
        assert expected == ed25519_base64(pem, b"\x72")
        assert expected == private_key_base64(Secret(pem), "r")

    def test_rsa_signatures_verify(self) -> None:
        """With the public key, over exactly the payload, and are the same each time."""
        import base64

        from cryptography.hazmat.primitives.asymmetric import padding, rsa
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

        key = rsa.generate_private_key(65537, 2048)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"word")).decode()
        signature = rsa_base64(pem, "a=1&b=\uff12", password="word")
        key.public_key().verify(base64.b64decode(signature), "a=1&b=\uff12".encode(), padding.PKCS1v15(), SHA256())
        assert signature == private_key_base64(Secret(pem), "a=1&b=\uff12", password=Secret("word"))
        with pytest.raises(ConfigurationError, match="no Ed25519 key"):
            ed25519_base64(pem, "", password="word")
        with pytest.raises(ConfigurationError, match="encrypted, and no password"):
            rsa_base64(pem, "")
        with pytest.raises(ConfigurationError, match="or the password is wrong"):
            rsa_base64(pem, "", password="other")

    @pytest.mark.parametrize(
        ("pem", "text"),
        [
            ("-----BEGIN PRIVATE KEY-----\n" + VALUE + "\n-----END PRIVATE KEY-----\n", "no PEM"),
            (VALUE, "no PEM"),
            (ED25519, "no RSA key"),
        ],
    )
    def test_what_is_no_key_is_refused(self, pem: str, text: str) -> None:
        """Without a word of it, also in what the error came from."""
        with pytest.raises(ConfigurationError, match=text) as caught:
            rsa_base64(pem, "payload")
        assert VALUE not in "".join(traceback.format_exception(caught.value))
        assert caught.value.__context__ is None

    def test_a_key_of_another_kind_is_refused(self) -> None:
        """No venue takes signatures of elliptic curves other than Ed25519 this way."""
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        with pytest.raises(ConfigurationError, match="algorithm is not supported"):
            private_key_base64(pem, "")

    def test_a_missing_library_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """With the command that installs it."""
        pem = _pem(bytes(32))
        monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.serialization", None)
        with pytest.raises(ConfigurationError, match=r"pip install bt_api_base\[signing\]"):
            ed25519_base64(pem, "")

    def test_shared_secrets_need_no_library(self) -> None:
        """HMAC is Python's own; nothing else is loaded."""
        script = (
            "import sys; from bt_api_base.security.recipes import okx_login_signature as sign; sign('a', 1);"
            "assert 'cryptography' not in sys.modules"
        )
        subprocess.run([sys.executable, "-c", script], check=True)  # noqa: S603  # this interpreter

    def test_private_keys_are_told_from_shared_secrets(self) -> None:
        """By the first line of a PEM."""
        assert (True, False) == (is_private_key(Secret(ED25519)), is_private_key(VALUE))


class TestRecipes:
    """What venues want signed, checked against what they publish."""

    def test_binance_rest(self) -> None:
        """The example of the venue's documentation, where the payload is percent-encoded."""
        secret = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
        payload = (
            "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000"
            "&timestamp=1499827319559"
        )
        expected = "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71"
        assert expected == binance_query_signature(Secret(secret), payload)

    def test_binance_websocket_parameters_are_sorted_and_raw(self) -> None:
        """By name, whatever order they are sent in; without the signature; booleans as in JSON."""
        params = {
            "timestamp": 1,
            "apiKey": "k",
            "symbol": "\uff11\uff12",
            "signature": "old",
            "flag": True,
            "off": False,
        }
        assert "apiKey=k&flag=true&off=false&symbol=\uff11\uff12&timestamp=1" == binance_websocket_payload(params)
        assert hmac_hex("s", "apiKey=k") == binance_websocket_signature("s", {"apiKey": "k"})
        assert ed25519_base64(ED25519, "apiKey=k") == binance_websocket_signature(ED25519, {"apiKey": "k"})

    def test_a_float_is_refused(self) -> None:
        """The text of a float depends on who writes it, and then the signature is wrong once in a while."""
        with pytest.raises(TypeError, match="'price': give decimal numbers as text, not as float"):
            binance_websocket_payload({"price": 0.1})  # type: ignore[dict-item]

    def test_okx(self) -> None:
        """A request with a query, and the log-in of a WebSocket."""
        secret = Secret("22582BD0CFF14C41EDBF1AB98506286D")
        expected = "HiZhvSfMtWJA3uUIVXV3a/bSXNPCWvYFXoGCVS8V4zY="
        assert expected == okx_signature(secret, "2020-12-08T09:08:57.715Z", "get", "/api/v5/account/balance?ccy=BTC")
        assert "5/36BgGV6m/6pmdc20zdqk0mzF5ZalmzzPD2fo3wavU=" == okx_login_signature(secret, 1704876947)
        assert "5/36BgGV6m/6pmdc20zdqk0mzF5ZalmzzPD2fo3wavU=" == okx_login_signature(secret, "1704876947")

    def test_binance_vectors(self) -> None:
        """Those published by the venue and by others, of all three algorithms."""
        seen = set()
        for vector in json.loads(corpora_path("public", "signing", "binance.json").read_text())["vectors"]:
            algorithm = vector["algorithm"].split()[0]
            seen.add(algorithm)
            if algorithm == "HMAC-SHA256":
                assert vector["signature"] == binance_query_signature(Secret(vector["secret"]), vector["payload"])
            elif algorithm == "Ed25519":
                pem = Secret(vector["private_key_pem"])
                assert vector["signature"] == ed25519_base64(pem, vector["payload"], password=vector["password"])
                assert vector["signature"] == private_key_base64(pem, vector["payload"], password=vector["password"])
            else:
                pem = Secret(vector["private_key_pem"])
                assert vector["signature"] == rsa_base64(pem, vector["payload"], password=vector["password"])
            if isinstance(vector.get("params"), dict):
                assert vector["payload"] == binance_websocket_payload(vector["params"])
                assert vector["signature"] == binance_websocket_signature(vector["secret"], vector["params"])
        assert {"HMAC-SHA256", "Ed25519", "RSASSA-PKCS1-v1_5-SHA256"} == seen

    def test_okx_vectors(self) -> None:
        """Requests with and without body and query, and the log-in."""
        for vector in json.loads(corpora_path("public", "signing", "okx.json").read_text())["vectors"]:
            expected, secret, timestamp = vector["signature"], vector["secret"], vector["timestamp"]
            body = vector.get("body", "")
            assert expected == okx_signature(secret, timestamp, vector["method"], vector["path"], body)
            if vector["id"] == "ws-login":
                assert expected == okx_login_signature(secret, timestamp)


def _pem(seed: bytes) -> str:
    """Return an Ed25519 key in PEM."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = Ed25519PrivateKey.from_private_bytes(seed)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
