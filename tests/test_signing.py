"""Whole requests signed the way venues want them, checked against what they publish and what others compute."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import pickle
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote

import httpx
import pytest
from hypothesis import given, strategies as st

from bt_api_base.exceptions import ConfigurationError
from bt_api_base.security import Credentials, Secret, recipes
from bt_api_base.security.private_keys import key_kind, load_ed25519_key, load_private_key
from bt_api_base.security.recipes import (
    Nonce,
    RequestToSign,
    SignedRequest,
    binance_request,
    bybit_request,
    coinbase_exchange_request,
    coinbase_exchange_signature,
    coinbase_request,
    coinbase_token,
    gate_channel_signature,
    gemini_request,
    htx_request,
    iso_milliseconds,
    kraken_request,
    okx_request,
    percent_encoded,
)
from bt_api_base.security.signing import hmac_base64, hmac_hex, load_web_token_key, private_key_base64
from bt_api_base.security.venue_templates import VENUE_TEMPLATES
from tests.corpora import corpora_path

if TYPE_CHECKING:
    from collections.abc import Generator

    from bt_api_base.testing import PlantedSecret

FIXTURES = json.loads((Path(__file__).parent / "fixtures" / "signing" / "requests.json").read_text(encoding="utf-8"))
NOW_NS = 1_700_000_000_123_456_789
PLAIN = "not!base64-at-all"
SHARED = base64.b64encode(bytes(range(64))).decode()

# Made for this file, and used nowhere else.
ED25519 = """-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f
-----END PRIVATE KEY-----
"""


def credentials_of(vector: dict[str, Any]) -> Credentials:
    """Return the credentials of a vector."""
    return Credentials(vector["api_key"], vector["secret"], vector.get("passphrase"))


def decoded(segment: str) -> Any:
    """Return what a part of a web token says."""
    return json.loads(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))


class TestVectors:
    """What venues publish, what other libraries compute, and what the recordings have, comes out exactly."""

    @pytest.mark.parametrize("vector", FIXTURES["requests"], ids=lambda vector: vector["id"])
    def test_requests(self, vector: dict[str, Any]) -> None:
        """Query, body and headers, as they are sent."""
        request = RequestToSign(*(vector[name] for name in ("method", "path", "query", "body", "host")))
        recipe = getattr(recipes, vector["recipe"])
        signed = recipe(credentials_of(vector), request, timestamp_ns=vector["timestamp_ns"])
        assert vector["signed_query"] == signed.query
        assert vector["signed_body"] == signed.body
        assert vector["headers"] == {name: signed.headers[name] for name in vector["headers"]}

    @pytest.mark.parametrize("vector", FIXTURES["signatures"], ids=lambda vector: vector["id"])
    def test_signatures(self, vector: dict[str, Any]) -> None:
        """Of a payload that is spelled in another way than here."""
        assert vector["signature"] == hmac_hex(vector["secret"], vector["payload"], vector["algorithm"])

    def test_recorded_binance_requests(self) -> None:
        """Whole requests, from their parameters to the signature behind them."""
        seen = 0
        for vector in json.loads(corpora_path("public", "signing", "binance.json").read_text())["vectors"]:
            params = vector.get("params")
            if not isinstance(params, list):
                continue
            seen += 1
            window, timestamp = (dict(params)[name] for name in ("recvWindow", "timestamp"))
            query = percent_encoded((name, value) for name, value in params if name not in {"recvWindow", "timestamp"})
            signed = binance_request(
                Credentials(vector["key"], vector["secret"]),
                RequestToSign(vector["method"], vector["path"], query),
                timestamp_ns=int(timestamp) * 1_000_000,
                recv_window_ms=int(window),
            )
            assert f"{vector['payload']}&signature={vector['signature']}" == signed.query
            assert vector["headers"] == signed.headers
        assert 2 == seen

    def test_recorded_binance_keys(self) -> None:
        """With private keys, encrypted ones among them: the signature is percent-encoded behind the query."""
        seen = 0
        for vector in json.loads(corpora_path("public", "signing", "binance.json").read_text())["vectors"]:
            if "private_key_pem" not in vector:
                continue
            seen += 1
            payload = vector["payload"]
            assert vector["signature"] == recipes.binance_query_signature(
                vector["private_key_pem"], payload, password=vector["password"]
            )
            credentials = Credentials("key", vector["private_key_pem"], vector["password"])
            signed = binance_request(credentials, RequestToSign("GET", "/"), timestamp_ns=0, recv_window_ms=None)
            expected = private_key_base64(vector["private_key_pem"], "timestamp=0", password=vector["password"])
            assert f"timestamp=0&signature={quote(expected, '')}" == signed.query
        assert 2 == seen

    def test_recorded_okx_requests(self) -> None:
        """Whole requests, with all of their headers."""
        seen = 0
        for vector in json.loads(corpora_path("public", "signing", "okx.json").read_text())["vectors"]:
            if "headers" not in vector:
                continue
            seen += 1
            path, _, query = vector["path"].partition("?")
            credentials = Credentials(vector["key"], vector["secret"], vector["passphrase"])
            request = RequestToSign(vector["method"], path, query, vector["body"])
            signed = okx_request(credentials, request, timestamp_ns=1_607_418_537_715_000_000)
            assert {**vector["headers"], "Content-Type": "application/json"} == signed.headers
        assert 3 == seen

    @pytest.mark.parametrize(
        ("algorithm", "expected"),
        [
            ("sha256", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
            (
                "sha384",
                "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649",
            ),
            (
                "sha512",
                (
                    "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fd"
                    "caeab1a34d4a6b4b636e070a38bce737"
                ),
            ),
        ],
    )
    def test_hmac_is_that_of_rfc_4231(self, algorithm: str, expected: str) -> None:
        """Test case 2, with the key as text and in Base64."""
        payload = "what do ya want for nothing?"
        assert expected == hmac_hex("Jefe", payload, algorithm)
        assert expected == hmac_hex("SmVmZQ==", payload, algorithm, key_encoding="base64")
        assert expected == base64.b64decode(hmac_base64("Jefe", payload, algorithm)).hex()


class TestBinance:
    """Spot and USD-M futures."""

    @given(
        st.dictionaries(
            st.text(min_size=1, max_size=8), st.text(max_size=8) | st.integers() | st.booleans(), min_size=1, max_size=5
        )
    )
    def test_what_is_signed_is_what_httpx_sends(self, parameters: dict[str, Any]) -> None:
        """Whatever is in the parameters: nothing is encoded again on its way."""
        parameters = {name.replace("\ud800", "?"): value for name, value in parameters.items()}
        query = percent_encoded(parameters)
        signed = binance_request(Credentials("key", "secret"), RequestToSign("GET", "/x", query), timestamp_ns=NOW_NS)
        url = httpx.URL("https://venue.example/x").copy_with(query=signed.query.encode())
        assert signed.query == url.query.decode()
        payload, _, signature = signed.query.rpartition("&signature=")
        assert hmac.digest(b"secret", payload.encode(), "sha256").hex() == signature
        shown = {True: "true", False: "false"}
        expected = [
            (name, shown[value] if value is True or value is False else str(value))
            for name, value in parameters.items()
        ]
        assert expected == parse_qsl(query, keep_blank_values=True)

    def test_a_window_can_be_left_to_the_venue(self) -> None:
        """And a request need not have any parameter."""
        signed = binance_request(
            Credentials("key", "secret"), RequestToSign("GET", "/x"), timestamp_ns=NOW_NS, recv_window_ms=None
        )
        assert f"timestamp=1700000000123&signature={hmac_hex('secret', 'timestamp=1700000000123')}" == signed.query


class TestOthers:
    """What the vectors leave open."""

    def test_bybit_takes_private_keys(self) -> None:
        """In Base64 then, of the same payload; what is no GET has its body signed."""
        request = RequestToSign("POST", "/v5/order/create", body='{"category":"spot"}')
        signed = bybit_request(Credentials("key", ED25519), request, timestamp_ns=NOW_NS, recv_window_ms=9000)
        expected = private_key_base64(ED25519, '1700000000123key9000{"category":"spot"}')
        assert expected == signed.headers["X-BAPI-SIGN"]

    def test_gate_signs_each_subscription(self) -> None:
        """Channel, event and time."""
        expected = hmac.digest(b"s", b"channel=spot.orders&event=subscribe&time=1700000000", "sha512").hex()
        assert expected == gate_channel_signature("s", "spot.orders", "subscribe", 1_700_000_000)

    def test_htx_takes_private_keys_and_signs_the_host(self) -> None:
        """Which therefore has to be known."""
        signed = htx_request(
            Credentials("key", ED25519),
            RequestToSign("get", "/v1/x", "b=%2C&B=1", host="API.huobi.pro"),
            timestamp_ns=0,
        )
        query, _, signature = signed.query.rpartition("&Signature=")
        assert (
            "AccessKeyId=key&B=1&SignatureMethod=Ed25519&SignatureVersion=2&Timestamp=1970-01-01T00%3A00%3A00&b=%2C"
            == query
        )
        assert quote(private_key_base64(ED25519, f"GET\napi.huobi.pro\n/v1/x\n{query}"), "") == signature
        with pytest.raises(ConfigurationError, match="name of the host"):
            htx_request(Credentials("key", "secret"), RequestToSign("GET", "/v1/x"), timestamp_ns=0)

    def test_htx_sorts_by_name(self) -> None:
        """And not by name, equals sign and value: "=" would come behind a digit."""
        signed = htx_request(Credentials("k", "s"), RequestToSign("GET", "/", "a1=x&a=y", host="h"), timestamp_ns=0)
        assert "&a=y&a1=x&" in signed.query

    @pytest.mark.parametrize(
        ("body", "expected"),
        [
            ("", {"request": "/v1/x", "nonce": 7}),
            ("{}", {"request": "/v1/x", "nonce": 7}),
            ('{"price": "0.10", "n": 1.10}', {"request": "/v1/x", "nonce": 7, "price": "0.10", "n": 1.1}),
        ],
    )
    def test_geminis_body_becomes_a_header(self, body: str, expected: dict[str, Any]) -> None:
        """What is sent has none; numbers keep their spelling."""
        signed = gemini_request(
            Credentials("key", "1234abcd"), RequestToSign("POST", "/v1/x", body=body), timestamp_ns=0, nonce=7
        )
        payload = signed.headers["X-GEMINI-PAYLOAD"]
        assert expected == json.loads(base64.b64decode(payload))
        assert (b"1.10" in base64.b64decode(payload)) is ("1.10" in body)
        assert hmac.digest(b"1234abcd", payload.encode(), "sha384").hex() == signed.headers["X-GEMINI-SIGNATURE"]
        assert ("", "0") == (signed.body, signed.headers["Content-Length"])

    def test_gemini_takes_nothing_but_objects(self) -> None:
        """There is no place for the nonce in anything else."""
        with pytest.raises(ValueError, match="JSON object"):
            gemini_request(Credentials("key", "secret"), RequestToSign("POST", "/v1/x", body="[1]"), timestamp_ns=0)

    def test_krakens_nonce_is_signed_twice(self) -> None:
        """In front of the form, and in it."""
        signed = kraken_request(
            Credentials("key", SHARED), RequestToSign("POST", "/0/private/X"), timestamp_ns=0, nonce=7
        )
        assert "nonce=7" == signed.body
        payload = b"/0/private/X" + hashlib.sha256(b"7nonce=7").digest()
        expected = base64.b64encode(hmac.digest(bytes(range(64)), payload, "sha512")).decode()
        assert expected == signed.headers["API-Sign"]

    def test_a_secret_has_to_be_in_base64_where_venues_give_it_out_so(self) -> None:
        """The error says so, and nothing of it."""
        credentials = Credentials("key", PLAIN)
        with pytest.raises(ConfigurationError, match="not in Base64") as caught:
            kraken_request(credentials, RequestToSign("POST", "/0/private/X"), timestamp_ns=0)
        assert PLAIN not in "".join(traceback.format_exception(caught.value))
        with pytest.raises(ConfigurationError, match="there are base64, utf-8"):
            hmac_hex("secret", "", key_encoding="hex")

    @pytest.mark.parametrize("recipe", [okx_request, coinbase_exchange_request])
    def test_a_missing_passphrase_is_named(self, recipe: Any) -> None:
        """Before anything is sent."""
        with pytest.raises(ConfigurationError, match="has a passphrase, and none was given"):
            recipe(Credentials("key", SHARED), RequestToSign("GET", "/x"), timestamp_ns=0)

    def test_coinbase_exchange_signs_its_log_in_the_same_way(self) -> None:
        """GET of a path that is asked by nobody."""
        expected = hmac.digest(bytes(range(64)), b"1700000000GET/users/self/verify", "sha256")
        assert base64.b64encode(expected).decode() == coinbase_exchange_signature(
            SHARED, 1_700_000_000, "get", "/users/self/verify"
        )


class TestWebTokens:
    """JSON web tokens, as Coinbase takes them."""

    def test_of_an_ed25519_key(self) -> None:
        """In PEM, or as the bytes of seed and public half in Base64: the same."""
        key = load_private_key(ED25519)
        assert "Ed25519" == key_kind(key)
        seed = bytes(range(32))
        public: Any = key.public_key()
        both = base64.b64encode(seed + public.public_bytes_raw()).decode()
        request = RequestToSign("get", "/api/v3/brokerage/accounts", "limit=5", host="api.coinbase.com")
        expected = {
            "sub": "organizations/a/apiKeys/b",
            "iss": "cdp",
            "nbf": 1_700_000_000,
            "exp": 1_700_000_120,
            "uri": "GET api.coinbase.com/api/v3/brokerage/accounts",
        }
        for secret in (ED25519, both, base64.b64encode(seed).decode()):
            signed = coinbase_request(Credentials(str(expected["sub"]), secret), request, timestamp_ns=NOW_NS)
            kind, _, token = signed.headers["Authorization"].partition(" ")
            header, claims, signature = token.split(".")
            assert ("Bearer", "limit=5", expected) == (kind, signed.query, decoded(claims))
            assert {"alg": "EdDSA", "typ": "JWT", "kid": expected["sub"]}.items() <= decoded(header).items()
            public.verify(base64.urlsafe_b64decode(signature + "=="), f"{header}.{claims}".encode())

    def test_of_an_elliptic_curve(self) -> None:
        """Both numbers one after the other, as RFC 7518 has it; without an address, for a WebSocket."""
        from cryptography.hazmat.primitives.asymmetric import ec, utils
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
        token = coinbase_token(Credentials("name", pem), timestamp_ns=NOW_NS, nonce="once")
        header, claims, signature = token.split(".")
        assert {"alg": "ES256", "typ": "JWT", "kid": "name", "nonce": "once"} == decoded(header)
        assert "uri" not in decoded(claims)
        numbers = base64.urlsafe_b64decode(signature + "==")
        assert 64 == len(numbers)
        encoded = utils.encode_dss_signature(int.from_bytes(numbers[:32], "big"), int.from_bytes(numbers[32:], "big"))
        key.public_key().verify(encoded, f"{header}.{claims}".encode(), ec.ECDSA(SHA256()))
        with pytest.raises(ConfigurationError, match="its algorithm is not supported"):
            private_key_base64(pem, "")

    def test_every_token_is_another(self) -> None:
        """A venue may take each once."""
        made = {coinbase_token(Credentials("name", ED25519), timestamp_ns=NOW_NS) for _ in range(3)}
        assert 3 == len(made)

    @pytest.mark.parametrize("secret", ["no Base64!", "c2hvcnQ=", SHARED + SHARED[:4]])
    def test_what_is_no_key_is_refused(self, secret: str) -> None:
        """Without a word of it."""
        with pytest.raises(ConfigurationError, match="cannot be used") as caught:
            load_ed25519_key(secret)
        assert secret not in "".join(traceback.format_exception(caught.value))

    def test_rsa_is_not_taken(self) -> None:
        """No venue of such tokens does."""
        from cryptography.hazmat.primitives.asymmetric import rsa
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

        key = rsa.generate_private_key(65537, 2048)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        assert "RSA" == key_kind(load_private_key(pem))
        with pytest.raises(ConfigurationError, match="P-256 nor an Ed25519"):
            load_web_token_key(pem)


class TestParts:
    """How parameters, times and numbers are written."""

    def test_parameters_are_percent_encoded(self) -> None:
        """As RFC 3986 has it, in their order; from a mapping or from pairs."""
        assert "b=%20%2B%2F~._-&a=1&f=true&%C3%A9=%EF%BC%91" == percent_encoded(
            {"b": " +/~._-", "a": 1, "f": True, "é": "\uff11"}
        )
        assert "a=1&a=2" == percent_encoded([("a", 1), ("a", "2")])
        with pytest.raises(TypeError, match="'price': give decimal numbers as text, not as float"):
            percent_encoded({"price": 0.1})  # type: ignore[dict-item]

    def test_times_are_cut_to_milliseconds(self) -> None:
        """And not rounded: that could be the future."""
        assert "2023-11-14T22:13:20.123Z" == iso_milliseconds(NOW_NS)
        assert "1970-01-01T00:00:00.000Z" == iso_milliseconds(999_999)

    def test_a_nonce_grows(self) -> None:
        """Also where the clock stands still or goes back."""
        nonce = Nonce(last=5)
        assert [10, 11, 12, 20] == [nonce.next(10), nonce.next(10), nonce.next(3), nonce.next(20)]

    def test_a_target_has_the_query_if_there_is_one(self) -> None:
        """As in a request line."""
        assert ("/a", "/a?b=1") == (RequestToSign("GET", "/a").target, RequestToSign("GET", "/a", "b=1").target)


class SignedAuth(httpx.Auth):
    """Whatever recipe, in the few lines that an HTTP client needs for it."""

    requires_request_body = True

    def __init__(self, recipe: Any, credentials: Credentials) -> None:
        self._recipe = recipe
        self._credentials = credentials

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Sign, and send."""
        url = request.url
        plain = RequestToSign(request.method, url.path, url.query.decode(), request.content.decode(), url.host)
        signed = self._recipe(self._credentials, plain, timestamp_ns=NOW_NS)
        request.url = url.copy_with(query=signed.query.encode())
        request.headers.update(signed.headers)
        yield request


@pytest.mark.parametrize(
    "template", [one for one in VENUE_TEMPLATES.values() if one.recipe is not None], ids=lambda one: one.venue
)
class TestEveryRecipe:
    """What holds for each."""

    def test_signs_what_httpx_sends(self, template: Any) -> None:
        """A GET with a query that has to be encoded arrives as it was signed."""
        secret = ED25519 if template.venue == "COINBASE" else SHARED
        sent: list[httpx.Request] = []

        def answer(request: httpx.Request) -> httpx.Response:
            sent.append(request)
            return httpx.Response(200)

        credentials = Credentials("the-key", secret, "phrase" if template.passphrase else None)
        with httpx.Client(
            transport=httpx.MockTransport(answer), auth=SignedAuth(template.recipe, credentials)
        ) as client:
            client.get(f"https://venue.example/x?{percent_encoded({'ccy': 'BTC,ETH', 'text': 'a b+é'})}")
        plain = RequestToSign("GET", "/x", "ccy=BTC%2CETH&text=a%20b%2B%C3%A9", host="venue.example")
        expected = template.recipe(credentials, plain, timestamp_ns=NOW_NS)
        assert expected.query == sent[0].url.query.decode()
        for name, value in expected.headers.items():
            if name != "Authorization":  # a random number is in it
                assert value == sent[0].headers[name]

    def test_shows_nothing(self, template: Any, planted_secret: PlantedSecret) -> None:
        """Neither does what it returns, nor an error on the way."""
        parts = planted_secret.credentials
        secret = parts.secret
        if template.venue == "COINBASE":
            secret = Secret(ED25519)
        elif template.secret.is_base64:
            secret = Secret(planted_secret.plant("shared", base64.b64encode(parts.secret.reveal().encode()).decode()))
        credentials = Credentials(parts.api_key, secret, parts.passphrase if template.passphrase else None)
        signed = template.recipe(credentials, RequestToSign("POST", "/x", host="h"), timestamp_ns=NOW_NS)
        assert isinstance(signed, SignedRequest)
        planted_secret.check(signed, [signed], {"signed": signed})
        with pytest.raises(TypeError, match="cannot be pickled") as caught:
            pickle.dumps(signed)
        planted_secret.check(caught.value)
