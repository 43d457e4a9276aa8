"""Redaction: secrets are found by value, by name and by shape, and nothing else is."""

from __future__ import annotations

import json
import time
from itertools import islice
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus, urlencode

import httpx
import pytest
from hypothesis import assume, given, strategies as st

from bt_api_base import _redaction
from bt_api_base._redaction import (
    MASK,
    excerpt,
    forget_secret,
    is_sensitive_key,
    redact,
    redact_text,
    register_secret,
)
from tests.corpora import corpora_path

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "2b5eb11e18796d12d88f13dc27dbbd02c2cc51ff7059765ed9821957d82bb4d9"
SENSITIVE = (
    *("apiKey", "api_key", "API-KEY", "X-MBX-APIKEY", "api_secret", "secretKey", "signature", "Signature"),
    *("passphrase", "OK-ACCESS-PASSPHRASE", "OK-ACCESS-KEY", "OK-ACCESS-SIGN", "AccessKeyId", "password", "passwd"),
    *("listenKey", "listen_key", "token", "access_token", "Authorization", "private_key", "API-Sign", "sign", "jwt"),
    *("KEY", "SIGN", "Set-Cookie", "credentials", "pwd"),
)
HARMLESS = (
    *("symbol", "quantity", "price", "order_id", "side", "timestamp", "recvWindow", "key", "channel", "topic"),
    *("exchange_name", "design", "assigned", "signal", "pass", "author", "keys", "monkey", "significant"),
)
# The first letters keep a secret from being, by accident, part of what surrounds it.
secrets = st.text(
    st.characters(min_codepoint=33, max_codepoint=0x2FFF, exclude_categories=("Cs", "Zs")), min_size=9
).map(lambda text: f"9Zq{text}")
keys = st.sampled_from(SENSITIVE)


@pytest.fixture(autouse=True)
def no_secrets_left() -> Iterator[None]:
    """Forget what a test has registered."""
    yield
    _redaction._known.clear()


class TestByName:
    """What stands beside a sensitive name is masked."""

    @pytest.mark.parametrize("key", SENSITIVE)
    def test_sensitive_keys(self, key: str) -> None:
        """Venues spell them in many ways."""
        assert is_sensitive_key(key)
        assert is_sensitive_key(key.encode())

    @pytest.mark.parametrize("key", HARMLESS)
    def test_harmless_keys(self, key: str) -> None:
        """Names of market data, and words that merely contain such letters, are not sensitive."""
        assert not is_sensitive_key(key)

    @pytest.mark.parametrize("key", [None, 1, ("apiKey",)])
    def test_other_keys(self, key: object) -> None:
        """A key that is no text is not sensitive."""
        assert not is_sensitive_key(key)

    @pytest.mark.parametrize("key", SENSITIVE)
    @pytest.mark.parametrize(
        "text",
        [
            '{{"symbol": "BTCUSDT", "{key}": "{secret}", "side": "BUY"}}',
            '{{"symbol":"BTCUSDT","{key}":"{secret}","side":"BUY"}}',
            "{{'symbol': 'BTCUSDT', '{key}': '{secret}', 'side': 'BUY'}}",
            '{{"frame":"{{\\"symbol\\":\\"BTCUSDT\\",\\"{key}\\":\\"{secret}\\",\\"side\\":\\"BUY\\"}}"}}',
            "/api/v3/order?symbol=BTCUSDT&{key}={secret}&side=BUY",
            "Config(symbol='BTCUSDT', {key}='{secret}', side='BUY')",
            "symbol: BTCUSDT, {key}: {secret}, side: BUY",
            "[(b'symbol', b'BTCUSDT'), (b'{key}', b'{secret}'), (b'side', b'BUY')]",
            "[['symbol', 'BTCUSDT'], ['{key}', '{secret}'], ['side', 'BUY']]",
        ],
    )
    def test_in_text(self, key: str, text: str) -> None:
        """JSON, JSON in JSON, reprs, query strings, header lists: the value goes, the rest stays."""
        plain = text.format(key=key, secret=MASK)
        if key == "Set-Cookie":
            plain = plain.replace(f"{MASK}, side: BUY", MASK)  # a cookie's line is masked to its end
        assert plain == redact_text(text.format(key=key, secret=SECRET))

    @given(key=keys, secret=secrets, dumps=st.sampled_from([json.dumps, repr, lambda v: urlencode({"a": 1, **v})]))
    def test_any_value_in_text(self, key: str, secret: str, dumps: Any) -> None:
        """Whatever characters a secret is made of, its escaped form in JSON, a repr or a query string goes."""
        shown = dumps({key: secret})
        encoded = dumps({"x": secret}).partition("x")[2].strip("\"':= }")
        assume(len(encoded) > 8)
        assert encoded not in redact_text(shown)
        assert secret not in redact_text(shown)

    @pytest.mark.parametrize(
        "text",
        [
            "Signature for this request is not valid.",
            "Invalid API-key, IP, or permissions for action.",
            "Mandatory parameter 'signature' was not sent, was empty/null, or malformed.",
            "btcusdt@bookTicker key=btcusdt@trade",
            "api_key=None",
            '{"token": null}',
            "InvalidSignatureError: no",
            "RateLimitType.TOKEN_BUCKET: 1200 in 60 s",
            "https://api.binance.com/api/v3/ticker/bookTicker?symbol=BTCUSDT&limit=1000",
        ],
    )
    def test_harmless_text(self, text: str) -> None:
        """Talking about secrets is not telling them."""
        assert text == redact_text(text)

    def test_recorded_market_data(self) -> None:
        """No frame of a venue's market data loses anything."""
        for file in sorted(corpora_path("public", "ws").rglob("*.jsonl")):
            with file.open(encoding="utf-8") as frames:
                for frame in islice(frames, 500):
                    if "apiKey" not in frame and "private" not in file.name:
                        assert frame == redact_text(frame)

    @given(st.text())
    def test_any_text_twice(self, text: str) -> None:
        """Redacting what is redacted changes nothing that was secret, and no text breaks it."""
        once = redact_text(f"apiKey={SECRET} {text}")
        assert SECRET not in once
        assert SECRET not in redact_text(once)


class TestByShape:
    """What looks like a credential is one."""

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            (f"wss://stream.test:9443/ws/{SECRET}", f"wss://stream.test:9443/ws/{MASK}"),
            (f"wss://stream.test/stream?streams={SECRET}/a@b", f"wss://stream.test/stream?streams={MASK}/a@b"),
            (f"https://me:{SECRET}@api.test/x", f"https://{MASK}@api.test/x"),
            (f"https://api.test/x?%73ignature={SECRET[:8]}&b=1", f"https://api.test/x?%73ignature={MASK}&b=1"),
            (f"https://api.test/x#access_token={SECRET[:8]}", f"https://api.test/x#access_token={MASK}"),
            (f"sent Bearer {SECRET} to it", f"sent Bearer {MASK} to it"),
            ("got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", f"got {MASK}"),
            (f"-----BEGIN RSA PRIVATE KEY-----\n{SECRET}\n-----END RSA PRIVATE KEY----- end", f"{MASK} end"),
            (f"-----BEGIN PRIVATE KEY-----\n{SECRET}", MASK),
            ("Cookie: session=abc; other=def\nHost: x", f"Cookie: {MASK}\nHost: x"),
        ],
    )
    def test_shapes(self, text: str, expected: str) -> None:
        """Listen keys in paths, users in URLs, bearer and web tokens, private keys, cookies."""
        assert expected == redact_text(text)


class TestByValue:
    """What has been registered is masked wherever it shows up."""

    @given(secret=secrets, before=st.text(max_size=5), after=st.text(max_size=5))
    def test_any_spelling(self, secret: str, before: str, after: str) -> None:
        """As it is, in JSON, in a repr, in a URL: a registered secret is found in each of its spellings."""
        register_secret(secret)
        spellings = [
            *(
                secret,
                repr(secret),
                ascii(secret),
                quote(secret),
                quote_plus(secret),
                str(httpx.QueryParams({"": secret})),
            ),
            *(json.dumps(secret), json.dumps(secret, ensure_ascii=False), json.dumps(json.dumps({"a": secret}))),
            *(
                repr(repr(secret)),
                json.dumps(repr(secret)),
                quote(json.dumps(secret)),
                quote(secret, safe="!$&'()*+,;=:@"),
            ),
        ]
        for spelling in spellings:
            shown = redact_text(f"{before}\n{spelling}\n{after}")
            assert MASK in shown
            assert spelling.strip("\"'=") not in shown.replace(before, "")
        forget_secret(secret)

    def test_forgotten(self) -> None:
        """A secret that has been forgotten is ordinary text."""
        register_secret("hunter22")
        assert redact_text("say hunter22") == f"say {MASK}"
        forget_secret("hunter22")
        forget_secret("hunter22")
        assert redact_text("say hunter22") == "say hunter22"

    def test_longest_first(self) -> None:
        """A secret that begins with another leaves no tail behind."""
        register_secret("hunter22")
        register_secret("hunter22-and-more")
        assert redact_text("say hunter22-and-more") == f"say {MASK}"

    def test_bytes_are_the_same_as_text(self) -> None:
        """A secret may be registered as bytes and show up as text, and the other way round."""
        register_secret(b"hunter22")
        assert [MASK, MASK] == redact(["hunter22", b"hunter22"])

    def test_lines_of_a_key(self) -> None:
        """A key of many lines is found line by line."""
        register_secret(f"-----BEGIN OPENSSH-----\n{SECRET}\n{SECRET[::-1]}\n-----END OPENSSH-----")
        assert redact_text(f"line 2 is {SECRET[::-1]}") == f"line 2 is {MASK}"

    @pytest.mark.parametrize("value", [None, "", b"", "a", "abc"])
    def test_too_short(self, value: str | bytes | None) -> None:
        """What is too short to be told from ordinary text is not registered."""
        register_secret(value)
        assert redact_text("abc a") == "abc a"


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8).map(lambda t: "v" + t),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(HARMLESS), inner, max_size=4),
    max_leaves=20,
)


class TestData:
    """Nested data keeps its shape."""

    @given(plain)
    def test_harmless_data_is_unchanged(self, value: Any) -> None:
        """Data without secrets comes out equal, with the types it went in with."""
        assume("=" not in str(value) and ":" not in json.dumps(value, separators=(",", ";")))
        assert repr(value) == repr(redact(value))

    @given(st.data(), plain, keys, secrets)
    def test_planted_secret_is_nowhere(self, data: st.DataObject, value: Any, key: str, secret: str) -> None:
        """A secret under a sensitive key, at any depth and beside anything, is gone."""
        assume(secret not in repr(value))
        planted: Any = {key: data.draw(st.sampled_from([secret, [secret], {"x": secret}, secret.encode()]))}
        for _ in range(data.draw(st.integers(0, 5))):
            wrap = data.draw(st.sampled_from(["list", "tuple", "dict", "pair"]))
            planted = {
                "list": [value, planted],
                "tuple": (planted, value, 1),
                "dict": {"a": planted, "b": value},
                "pair": [planted, (key, secret)],
            }[wrap]
        shown = redact(planted)
        assert secret not in repr(shown)
        assert repr(secret)[1:-1] not in repr(shown)

    def test_none_under_a_sensitive_key_stays(self) -> None:
        """That there is no key is worth knowing, and no secret."""
        assert redact({"api_key": None}) == {"api_key": None}

    def test_number_that_is_a_secret(self) -> None:
        """A registered PIN is masked as a number too, and other numbers stay."""
        register_secret("12345678")
        assert {"n": MASK, "m": 1234} == redact({"n": 12345678, "m": 1234})

    def test_secret_as_a_key(self) -> None:
        """Keys are redacted like values."""
        register_secret("hunter22")
        assert {MASK: 1, "1": 2, "b": 3} == redact({"hunter22": 1, 1: 2, b"b": 3})

    def test_objects_become_text(self) -> None:
        """Any other object is shown as its repr, redacted; one whose repr fails is named."""

        class Broken:
            def __repr__(self) -> str:
                raise RuntimeError(SECRET)

        assert (
            redact(httpx.URL(f"https://api.test/?signature={SECRET}")) == f"URL('https://api.test/?signature={MASK}')"
        )
        assert redact(Broken()) == "<Broken: repr() raised RuntimeError>"
        assert redact({1}) == [1]

    def test_structure_that_contains_itself(self) -> None:
        """It is cut, not followed for ever."""
        circle: list[object] = []
        circle.append(circle)
        assert "..." in repr(redact(circle))


class TestExcerpt:
    """The beginning of a payload, for a message."""

    @pytest.mark.parametrize("payload", ["abc", b"abc", bytearray(b"abc"), memoryview(b"abc")])
    def test_short(self, payload: object) -> None:
        """A short payload is shown whole, bytes as text."""
        assert excerpt(payload) == "abc"

    def test_other_objects(self) -> None:
        """Anything else is shown by its repr."""
        assert excerpt({"apiKey": SECRET, "n": 1}) == "{'apiKey': '***', 'n': 1}"

    def test_bytes_that_are_no_text(self) -> None:
        """Bytes that are not UTF-8 are shown escaped."""
        assert excerpt(b"a\xff") == "a\\xff"

    def test_cut(self) -> None:
        """A long payload is cut, and says so."""
        assert excerpt("x" * 300, limit=10) == "x" * 10 + "..."

    @pytest.mark.parametrize("kept", range(8, len(SECRET)))
    def test_registered_secret_that_is_cut_off(self, kept: int) -> None:
        """Of a secret that the end of a text cuts in two, as a close frame's does, no part is shown."""
        register_secret(SECRET)
        assert "wrong key: ***" == redact_text(f"wrong key: {SECRET[:kept]}")
        assert f"{SECRET[:7]} is a word" == redact_text(f"{SECRET[:7]} is a word")

    @given(start=st.integers(_redaction._EXCERPT_WINDOW - 110, _redaction._EXCERPT_WINDOW + 20))
    def test_registered_secret_at_the_end_of_the_window(self, start: int) -> None:
        """Of a secret that the window cuts in two, no part is shown."""
        register_secret(SECRET)
        shown = excerpt(" " * start + SECRET + " " * 500, limit=5000)
        assert SECRET[:8] not in shown


@pytest.mark.parametrize(
    "text",
    [
        "key" * 20_000,
        "apikey" * 10_000,
        "secret:" * 10_000,
        '"secret":"' + "\\" * 50_000,
        '\\"secret\\":\\"' * 5_000,
        "('" * 30_000,
        "https://" * 10_000,
        "https://a/" + "a-" * 30_000,
        "eyJabcdefg." * 5_000,
        "-----BEGIN PRIVATE KEY" * 3_000,
        "?a=" * 20_000,
    ],
    ids=lambda text: text[:20],
)
def test_hostile_text_takes_no_time(text: str) -> None:
    """No venue can make a log line cost seconds: the patterns take time in proportion to the text."""
    started = time.perf_counter()
    redact_text(text)
    assert time.perf_counter() - started < 1
