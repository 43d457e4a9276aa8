"""Planted secrets are found wherever they leak to, and nowhere else; and the code that is given them leaks none."""

from __future__ import annotations

import base64
import copy
import json
import logging
import pickle
import re
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

import anyio
import attrs
import msgspec
import pytest

from bt_api_base.exceptions import AuthenticationError, ConfigurationError, WebSocketError
from bt_api_base.logging_factory import get_logger
from bt_api_base.security import Credentials, Secret
from bt_api_base.security.recipes import binance_websocket_signature, okx_login_signature
from bt_api_base.security.signing import hmac_hex, private_key_base64
from bt_api_base.testing import LeakedSecretError, PlantedSecret
from bt_api_base.transport import TransportPolicy, connector
from bt_api_base.transport.policy import Proxy
from bt_api_base.websocket import open_websocket
from tests.proxies import run_proxy
from tests.websocket_server import ServerConnection, echo, serve, serve_streams

if sys.version_info < (3, 11):
    from exceptiongroup import ExceptionGroup

if TYPE_CHECKING:
    from collections.abc import Iterable

    from anyio.abc import ByteStream


@attrs.define
class Attrs:
    """Shows its field."""

    field: object


class Hidden:
    """Shows nothing in its text, and all in its pickle."""

    def __init__(self, value: str) -> None:
        self.value = value

    def __repr__(self) -> str:
        return "Hidden()"


class Struct(msgspec.Struct):
    """Shows its field."""

    field: object

    def __repr__(self) -> str:
        return "Struct()"


def chained(value: str, how: str) -> BaseException:
    """Return an exception in whose surroundings a value is."""
    try:
        try:
            raise KeyError(value)
        except KeyError as inner:
            if how == "cause":
                raise ValueError from inner
            if how == "suppressed context":
                raise ValueError from None
            raise ValueError  # noqa: B904  # that is the point
    except ValueError as outer:
        return outer


def with_attribute(value: str) -> BaseException:
    """Return an exception that has a value as an attribute."""
    error = ValueError("text")
    error.request = {"deep": [Attrs(value)]}  # type: ignore[attr-defined]
    return error


def with_note(value: str) -> BaseException:
    """Return an exception with a note."""
    error = ValueError("text")
    error.__notes__ = [value]  # what add_note makes, since Python 3.11
    return error


LEAKS: dict[str, Any] = {
    "text": str,
    "bytes": str.encode,
    "in a text": lambda value: f"before {value} after",
    "bytearray": lambda value: bytearray(value.encode()),
    "URL-quoted": lambda value: f"ws://host/?key={quote(value)}&b=1",
    "URL-quoted completely": lambda value: quote(value, safe=""),
    "URL-quoted plus": quote_plus,
    "Base64": lambda value: base64.b64encode(value.encode()).decode(),
    "Base64 in Basic": lambda value: "Basic " + base64.b64encode(f"user:{value}".encode()).decode(),
    "Base64 with what follows": lambda value: base64.b64encode(f"a{value}zz".encode()).decode(),
    "Base64 bytes": lambda value: base64.urlsafe_b64encode(f"ab{value}".encode()),
    "hexadecimal": lambda value: value.encode().hex(),
    "HEXADECIMAL": lambda value: value.encode().hex().upper(),
    "another case": str.swapcase,
    "lower case": str.lower,
    "backwards": lambda value: value[::-1],
    "JSON": lambda value: json.dumps({"a": value}),
    "repr in repr": lambda value: repr(repr([value])),
    "cut": lambda value: f"{value[:14]}...",
    "the end": lambda value: f"...{value[-14:]}",
    "list": lambda value: [1, [value]],
    "mapping": lambda value: {"a": {"b": value}},
    "key of a mapping": lambda value: {value: 1},
    "exception": ValueError,
    "exception's second argument": lambda value: ValueError(1, value),
    "attribute of an exception": with_attribute,
    "note": with_note,
    "cause": lambda value: chained(value, "cause"),
    "context": lambda value: chained(value, "context"),
    "suppressed context": lambda value: chained(value, "suppressed context"),
    "group": lambda value: ExceptionGroup("text", [TypeError(), ExceptionGroup("text", [KeyError(value)])]),
    "attrs": Attrs,
    "attrs in attrs": lambda value: Attrs(Attrs(Hidden(value))),
    "pickle": Hidden,
    "struct": Struct,
    "struct in a list": lambda value: [Struct(Hidden(value))],
    "unicode error": lambda value: UnicodeEncodeError("ascii", value, 0, 1, "no"),
    "policy": lambda value: Attrs(f"http://user:{value}@host"),
}


class TestSearch:
    """What `PlantedSecret.check` finds."""

    @pytest.mark.parametrize("leak", LEAKS.values(), ids=LEAKS)
    @pytest.mark.parametrize("which", ["value", "api_key", "secret", "passphrase"])
    def test_finds_a_value_wherever_it_is(self, leak: Any, which: str) -> None:
        """In any spelling, at any depth; the error itself shows nothing of it."""
        planted = PlantedSecret()
        revealed = planted.value if which == "value" else getattr(planted.credentials, which).reveal()
        with pytest.raises(LeakedSecretError, match=f"^a planted secret shows: {which} ") as caught:
            planted.check(leak(revealed))
        assert not planted.find(str(caught.value))
        planted.forget()

    @pytest.mark.parametrize("leak", [leak for name, leak in LEAKS.items() if name != "struct"])
    def test_finds_nothing_where_nothing_is(self, leak: Any) -> None:
        """Another secret, or the same made a `Secret`, is no leak."""
        planted, other = PlantedSecret(), PlantedSecret()
        planted.check(leak(other.value))
        planted.check(Attrs(planted.credentials), [planted.credentials.secret], {"a": Secret(planted.value)})
        Secret(planted.value).forget()
        planted.forget()
        other.forget()

    def test_takes_further_values(self) -> None:
        """Those that came about in the test, if they are long enough not to be found by chance."""
        planted = PlantedSecret()
        assert "listen-key-0123456789" == planted.plant("listen key", "listen-key-0123456789")
        with pytest.raises(LeakedSecretError, match="listen key"):
            planted.check("wss://host/ws/listen-key-0123456789")
        planted.forget()
        with pytest.raises(ValueError, match="at least 16 characters"):
            planted.plant("short", "BTC")

    def test_values_differ_between_tests(self) -> None:
        """So that one test's leak is not taken for another's."""
        one, another = PlantedSecret(), PlantedSecret()
        assert one.value != another.value
        one.forget()
        another.forget()

    def test_ends_in_what_contains_itself(self) -> None:
        """Structures of any shape can be searched."""
        planted = PlantedSecret()
        endless: list[Any] = [planted.value[:3]]
        endless.append({"again": endless})
        planted.check(endless)
        endless.append(planted.value)
        with pytest.raises(LeakedSecretError):
            planted.check(endless)
        planted.forget()


LEAKING_TESTS = {
    "log": "logging.getLogger('any').debug('with %s', planted_secret.value)",
    "log argument": "logging.getLogger('any').info('with', extra={'key': planted_secret.value})",
    "log exception": (
        "try:\n        raise ValueError(planted_secret.value)\n"
        "    except ValueError:\n        logging.getLogger('any').exception('failed')"
    ),
    "structured log": "get_logger('any').debug('with', other=planted_secret.value)",
    "print": "print(planted_secret.value)",
    "print in pieces": "print(planted_secret.value[:20], end=''); print(planted_secret.value[20:])",
    "error": "sys.stderr.write(planted_secret.credentials.secret.reveal())",
    "file descriptor": "os.write(1, planted_secret.value.encode())",
    "subprocess": "subprocess.run([sys.executable, '-c', 'print(input())'], input=planted_secret.value.encode())",
    "warning": "warnings.warn(planted_secret.value)",
    "late": "print('listen-key-0123456789'); planted_secret.plant('late', 'listen-key-0123456789')",
    "in an encoding": "print(planted_secret.value.encode().hex())",
    "check": "planted_secret.check([planted_secret.value])",
}


@pytest.mark.bt_api_secrets_may_show("it tests tests that leak")
class TestFixture:
    """What the fixture of a test makes of a leak."""

    def run(self, pytester: pytest.Pytester, bodies: Iterable[str], arguments: str = "planted_secret") -> Any:
        """Run tests in a project of their own."""
        # Or a temporary directory below this repository would take its configuration.
        pytester.makeini("[pytest]\nfilterwarnings = default")
        pytester.makepyfile(
            "import logging, os, subprocess, sys, warnings\n"
            "import anyio, pytest\n"
            "from bt_api_base.logging_factory import get_logger\n"
            + "".join(f"def test_{number}({arguments}):\n    {body}\n" for number, body in enumerate(bodies))
        )
        return pytester.runpytest_inprocess(
            "--disable-plugin-autoload", "-p", "anyio", "-p", "bt_api", "-p", "no:cacheprovider", "--tb=line"
        )

    @pytest.mark.parametrize(
        "arguments",
        ["planted_secret", "planted_secret, capsys", "capfd, planted_secret", "planted_secret, capsysbinary"],
    )
    def test_fails_every_test_that_leaks(self, pytester: pytest.Pytester, arguments: str) -> None:
        """Whichever way it leaks, and however it captures output itself."""
        bodies = {**LEAKING_TESTS}
        if "capsys" in arguments:  # which does not see file descriptors
            del bodies["file descriptor"], bodies["subprocess"]
        if "," in arguments:
            capture = arguments.replace("planted_secret", "").strip(" ,")
            bodies["read by the test"] = f"print(planted_secret.value); assert {capture}.readouterr().out"
        result = self.run(pytester, bodies.values(), arguments)
        outcomes = result.parseoutcomes()
        # The one that calls check itself fails; the others pass, and fail when it comes to the fixture.
        assert (len(bodies) - 1, len(bodies) - 1, 1) == (outcomes["passed"], outcomes["errors"], outcomes["failed"])
        found = [line for line in result.outlines if re.match(r"(E |/).*Error: a planted secret shows: ", line)]
        assert len(bodies) <= len(found)

    def test_passes_a_test_that_does_not_leak(self, pytester: pytest.Pytester) -> None:
        """What it prints is in its report as ever, and the loggers are as before."""
        result = self.run(
            pytester,
            [
                (
                    "print('words'); logging.getLogger('any').debug(planted_secret.credentials); "
                    "get_logger('any').debug('with', one=planted_secret.credentials, apiKey=planted_secret.value); "
                    "warnings.warn(str(planted_secret.credentials)); assert not sys.argv"
                )
            ],
        )
        result.assert_outcomes(failed=1, warnings=1)
        result.stdout.fnmatch_lines(["*words*"])
        level = logging.getLogger().level
        result = self.run(pytester, ["pass"])
        result.assert_outcomes(passed=1)
        assert level == logging.getLogger().level

    def test_works_without_capture(self, pytester: pytest.Pytester) -> None:
        """Where pytest captures nothing, and where it cannot."""
        pytester.makeini("[pytest]")
        pytester.makepyfile("def test_it(planted_secret):\n    print(planted_secret.value)\n")
        for option in (["-s"], ["-p", "no:capture"]):
            result = pytester.runpytest_inprocess("--disable-plugin-autoload", "-p", "bt_api", *option)
            assert (1, 1) == (result.parseoutcomes()["passed"], result.parseoutcomes()["errors"])


class TestCredentialsDoNotLeak:
    """Secrets and what is done with them."""

    def test_not_from_credentials(self, planted_secret: PlantedSecret) -> None:
        """However they are shown, logged, copied, compared or serialized."""
        credentials = planted_secret.credentials
        planted_secret.check(credentials, copy.deepcopy(credentials), [credentials.secret], {credentials.api_key: 1})
        planted_secret.check(f"{credentials} {credentials!r}", attrs.asdict(credentials))
        logging.getLogger("program").error("with %s", credentials, extra={"credentials": credentials})
        get_logger("program").error("with %r", credentials, credentials=credentials)
        print(credentials)  # noqa: T201  # as a program may
        for serialize in (pickle.dumps, json.dumps, msgspec.json.encode):
            with pytest.raises(TypeError) as caught:
                serialize(credentials)
            planted_secret.check(caught.value)

    def test_not_from_accidents_with_them(self, planted_secret: PlantedSecret) -> None:
        """A key with a line end, bytes in place of text, a key that is none."""
        for make in (
            lambda: Credentials(f"{planted_secret.value}\n", "b"),
            lambda: Credentials("a", planted_secret.value.encode()),  # type: ignore[arg-type]
            lambda: Secret(planted_secret.value.encode()),  # type: ignore[arg-type]
            lambda: private_key_base64(planted_secret.value, "payload"),
            lambda: private_key_base64(f"-----BEGIN PRIVATE KEY-----\n{planted_secret.value}", "payload"),
            lambda: hmac_hex(planted_secret.value, "payload", planted_secret.value[:3]),
        ):
            with pytest.raises((ConfigurationError, TypeError)) as caught:
                make()
            planted_secret.check(caught.value)

    def test_not_from_signing(self, planted_secret: PlantedSecret) -> None:
        """A signature tells nothing of what it was made with."""
        secret = planted_secret.credentials.secret
        planted_secret.check(okx_login_signature(secret, 1), binance_websocket_signature(secret, {"a": 1}))

    def test_not_from_an_exception_that_quotes_them(self, planted_secret: PlantedSecret) -> None:
        """A venue that repeats the key does not bring it into our exceptions and logs."""
        key = planted_secret.credentials.api_key.reveal()
        phrase = planted_secret.credentials.passphrase
        assert phrase is not None
        error = WebSocketError("", f"no such key {key}", venue_message=f"{quote(phrase.reveal())} is wrong")
        planted_secret.check(error)
        get_logger("websocket").error("refused", exc_info=error, answer=f"{{'key': '{key}'}}")


@pytest.fixture(params=["anyio", "trio-websocket"])
def transport(request: pytest.FixtureRequest, anyio_backend_name: str) -> Any:
    """Each transport that there is."""
    if request.param == "trio-websocket" and anyio_backend_name != "trio":
        pytest.skip("trio-websocket runs on trio")
    return request.param


@pytest.mark.anyio
class TestConnectionsDoNotLeak:
    """Connections that are given secrets, when all goes well and when it does not."""

    def places(self, planted: PlantedSecret, url: str) -> tuple[str, dict[str, str]]:
        """Return a URL and headers with a secret in each place that can have one."""
        value = planted.value
        phrase = planted.credentials.passphrase
        assert phrase is not None
        url = url.replace("://", f"://user:{quote(phrase.reveal(), safe='')}@")
        return f"{url}ws/{value}?listenKey={value}&other={quote(phrase.reveal())}#".rstrip("#"), {
            "Authorization": f"Bearer {value}",
            "X-Other": value,
        }

    async def test_not_from_a_connection_that_works(
        self, planted_secret: PlantedSecret, transport: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        """User information, path, query and headers are sent, and shown nowhere."""
        requests: list[Any] = []
        # The server's end, which is no part of what is tested, logs what it is asked.
        caplog.set_level(logging.CRITICAL, "websockets.server")

        async def handler(connection: ServerConnection) -> None:
            requests.append(connection.request)
            await echo(connection)

        async with serve(handler) as server:
            url, headers = self.places(planted_secret, server.url)
            async with open_websocket(url, headers=headers, transport=transport) as ws:
                planted_secret.check(ws, ws.url, ws.statistics(), ws.response_headers, ws.state)
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(ws.run_writer)
                    await ws.send("text")
                    assert "text" == await ws.receive()
                    await ws.close()
                with pytest.raises(WebSocketError) as caught:
                    await ws.send("text")
                planted_secret.check(caught.value, ws)
        assert planted_secret.find(requests[0].path)
        assert planted_secret.value in requests[0].headers["X-Other"]

    @pytest.mark.parametrize(
        "answer",
        [
            b"HTTP/1.1 401 Unauthorized\r\nContent-Length: %d\r\n\r\n%s",
            b"HTTP/1.1 302 Found\r\nLocation: /%.0d%s\r\n\r\n",
            b"HTTP/1.1 400 %.0d%s\r\n\r\n",
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: %.0d%s\r\nConnection: Upgrade\r\n\r\n",
            b"%.0d%s\r\n\r\n",
            b"",
        ],
    )
    async def test_not_from_a_refusal_that_repeats_the_request(
        self, planted_secret: PlantedSecret, answer: bytes, transport: Any
    ) -> None:
        """Whatever part of the request, in whichever part of the answer."""
        if transport == "trio-websocket" and not answer.startswith(b"HTTP/1.1 401"):
            pytest.skip("its errors for these are the library's own")

        async def handler(stream: ByteStream) -> None:
            async with stream:
                request = await stream.receive()
                target = request.split(b" ")[1]
                with_text = answer % (len(target), target) if answer else b""
                await stream.send(with_text) if with_text else None

        async with serve_streams(handler) as server:
            url, headers = self.places(planted_secret, server.url)
            with pytest.raises(WebSocketError) as caught:
                async with open_websocket(url, headers=headers, transport=transport):
                    pytest.fail("connected")
        planted_secret.check(caught.value)

    async def test_not_from_what_cannot_be_sent(self, planted_secret: PlantedSecret, transport: Any) -> None:
        """URLs and headers that are refused before anything is done."""
        value = planted_secret.value
        for url, headers in (
            (f"http://user:{value}@host/", None),
            (f"ws://user:{value}@host:port/", None),
            (f"ws://user:{value}@/", None),
            (f"ws://host/a b{value}", None),
            (f"ws://[{value}/", None),
            (f"ws://host/#{value}", None),
            ("ws://host/", {"a": f"{value}\n"}),
            ("ws://host/", {"a": f"{value}€"}),
        ):
            with pytest.raises(ConfigurationError) as caught:
                async with open_websocket(url, headers=headers, transport=transport):
                    pytest.fail("connected")
            planted_secret.check(caught.value)

    @pytest.mark.parametrize("scheme", ["http", "socks5"])
    async def test_not_from_a_proxy(self, planted_secret: PlantedSecret, scheme: str, transport: Any) -> None:
        """Neither where its password is right, nor where it is wrong, nor where it is none."""
        password = planted_secret.value
        async with serve(echo) as server, run_proxy(scheme, credentials=("user", password)) as proxy:
            policy = TransportPolicy(proxy=proxy.url_for("user", password))
            planted_secret.check(policy, policy.proxy, str(policy), attrs.asdict(policy), attrs.astuple(policy))
            async with open_websocket(server.url, policy=policy, transport=transport) as ws:
                planted_secret.check(ws, connector(policy))
            assert [("user", password)] == proxy.authorizations
            proxy.credentials = ("user", "another")
            with pytest.raises(WebSocketError) as caught:
                async with open_websocket(server.url, policy=policy, transport=transport):
                    pytest.fail("connected")
            assert isinstance(caught.value.__cause__, AuthenticationError)
            planted_secret.check(caught.value)
            proxy.hangs = True
            with pytest.raises(WebSocketError) as caught:
                async with open_websocket(server.url, policy=policy, transport=transport, connect_timeout=0.05):
                    pytest.fail("connected")
            planted_secret.check(caught.value)

    def test_not_from_a_url_that_is_no_proxys(self, planted_secret: PlantedSecret) -> None:
        """Whatever is wrong with it."""
        value = planted_secret.value
        for url in (
            f"ftp://user:{value}@host",
            f"user:{value}@host",
            f"http://user:{value}@host:port",
            f"http://user:{value}@[host",
            f"http://user:{value}@",
            f"http://user:{value}@host/path",
            f"http://user:{value}%0a@host",
            f"http://user:{value} @host",
            f"socks5://user:{value}%c3%a9@host",
            f"http://us%3aer:{value}@host",
            f"http://:{value}@host",
            f"socks5://{value}@host",
            f"http://user:{value}@host..name",
        ):
            with pytest.raises(ConfigurationError) as caught:
                Proxy.from_url(url)
            planted_secret.check(caught.value)
            with pytest.raises(ConfigurationError) as caught:
                TransportPolicy.from_environment({"ALL_PROXY": url.replace("user:", "us er:")})
            planted_secret.check(caught.value)
