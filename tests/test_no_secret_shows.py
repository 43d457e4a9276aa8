"""End to end, no secret shows: whatever the venue, the proxy and the network do with it, and however often."""

from __future__ import annotations

import copy
import gc
import logging
import math
import pickle
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import anyio
import attrs
import httpx
import pytest
from typing_extensions import override

from bt_api_base.containers import Order, Tick
from bt_api_base.exceptions import (
    AuthenticationError,
    BannedError,
    ConfigurationError,
    RequestFailedError,
    SubscribeError,
    WebSocketError,
)
from bt_api_base.security import Credentials
from bt_api_base.testing.binance_private_venue import SimulatedAccountVenue
from bt_api_base.testing.okx_venue import SimulatedOkxVenue
from bt_api_base.testing.usdm_venue import SimulatedUsdmVenue
from bt_api_base.transport import TransportPolicy
from bt_api_base.venues.binance import BinanceUsdmAdapter, UsdmListenKeyLease
from bt_api_base.websocket.adapter import Ack
from bt_api_base.websocket_manager import WebSocketConfig
from tests.proxies import run_proxy
from tests.secret_scenes import HELD_WHILE_OPEN, event_of, scene, until
from tests.websocket_server import serve_streams

if TYPE_CHECKING:
    from collections.abc import Callable

    from anyio.abc import ByteStream

    from bt_api_base.testing import PlantedSecret

    Venue = SimulatedAccountVenue | SimulatedOkxVenue | SimulatedUsdmVenue

pytestmark = [pytest.mark.anyio, pytest.mark.thorough]

USDM = "BINANCE___SWAP"
FAST: dict[str, Any] = {"reconnect_interval": 0.02, "rotation_overlap": 0.0, "subscribe_timeout": 5.0}


@pytest.fixture(autouse=True)
def _servers_own_log(caplog: pytest.LogCaptureFixture) -> None:
    """Leave out what the venue's end of a connection logs: it is no part of what is tested."""
    caplog.set_level(logging.CRITICAL, "websockets.server")


def ed25519_credentials(planted: PlantedSecret) -> Credentials:
    """Return credentials with a new private key, all of it planted."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    # The first characters of the line say what kind of key it is, and are the same in each.
    planted.plant("private_key", pem.splitlines()[1][22:])
    return Credentials(planted.credentials.api_key, pem)


def key_and_secret(planted: PlantedSecret) -> Credentials:
    """Return credentials without a passphrase."""
    return Credentials(planted.credentials.api_key, planted.credentials.secret)


def talkative(planted: PlantedSecret) -> str:
    """Return words of a venue that repeats everything it was told."""
    parts = planted.credentials
    assert parts.passphrase is not None
    key, secret, phrase = (part.reveal() for part in (parts.api_key, parts.secret, parts.passphrase))
    return f"Invalid request: key {key!r}, pass {phrase!r}, {secret}"


KINDS: dict[str, tuple[Callable[..., Any], Callable[[PlantedSecret], Credentials]]] = {
    "spot-hmac": (SimulatedAccountVenue, key_and_secret),
    "spot-ed25519": (SimulatedAccountVenue, ed25519_credentials),
    "okx": (SimulatedOkxVenue, lambda planted: planted.credentials),
}


@pytest.fixture(params=KINDS)
def account(request: pytest.FixtureRequest, planted_secret: PlantedSecret) -> tuple[Venue, Credentials]:
    """A venue, not yet running, and what opens its account."""
    make, credentials_of = KINDS[request.param]
    credentials = credentials_of(planted_secret)
    planted_secret.check(credentials, attrs.asdict(credentials))
    return make(("BTC-USDT",), credentials=credentials, max_connects=None), credentials


def config(venue: Venue, credentials: Credentials | None = None, **settings: Any) -> WebSocketConfig:
    """Return settings for a venue."""
    given = {**FAST, "credentials": credentials or venue.credentials, **settings}
    return WebSocketConfig(venue.url, venue.exchange_name, **given)


def push(venue: Venue) -> int:
    """Let something happen to the account."""
    return venue.push_order(ordId="7") if isinstance(venue, SimulatedOkxVenue) else venue.push_order(i=7)


# -- with keys that log in or sign -------------------------------------------------------------------


async def test_not_from_an_account_that_works(
    account: tuple[Venue, Credentials], planted_secret: PlantedSecret
) -> None:
    """While it delivers, after a rotation, after a cut, and when all is over."""
    venue, _ = account
    async with venue, scene(planted_secret) as stage:
        settings = config(venue)
        planted_secret.check(settings)
        await stage.manager.add_exchange(settings)
        orders = await stage.manager.subscribe(venue.exchange_name, "order", "")
        push(venue)
        await event_of(orders, Order)
        assert HELD_WHILE_OPEN <= stage.search(orders)
        await stage.manager.rotate(venue.exchange_name)
        await venue.disconnect_all()
        await until(lambda: push(venue))
        await event_of(orders, Order)
        stage.search(orders)
        venue.shutdown_notice()
        venue.send_garbage(8)
        await stage.hears("BadFrame")


async def test_not_from_a_refused_log_in(account: tuple[Venue, Credentials], planted_secret: PlantedSecret) -> None:
    """Each part of the credentials being wrong, and the venue saying so in words that repeat them."""
    venue, right = account
    wrong = planted_secret.plant("wrong")
    attempts = [Credentials(wrong, right.secret, right.passphrase), Credentials(right.api_key, wrong, right.passphrase)]
    if isinstance(venue, SimulatedOkxVenue):
        attempts.append(Credentials(right.api_key, right.secret, wrong))
    async with venue:
        for number, credentials in enumerate([*attempts, right]):
            if number == len(attempts):
                code = "60009" if isinstance(venue, SimulatedOkxVenue) else -2015
                venue.refuse_logins(code=code, message=talkative(planted_secret))
            async with scene(planted_secret) as stage:
                await stage.manager.add_exchange(config(venue, credentials))
                with stage.raises(AuthenticationError):
                    await stage.manager.subscribe(venue.exchange_name, "order", "")
                await stage.hears("Failed")


async def test_not_from_a_venue_that_is_busy(account: tuple[Venue, Credentials], planted_secret: PlantedSecret) -> None:
    """A log-in that is put off, a handshake that is turned away and one that is cut; then all is well."""
    venue, _ = account
    async with venue, scene(planted_secret) as stage:
        code = "63999" if isinstance(venue, SimulatedOkxVenue) else -1008
        venue.refuse_logins(code=code, message=talkative(planted_secret))
        venue.refuse_handshakes(503, reason=talkative(planted_secret))
        await stage.manager.add_exchange(config(venue))
        orders = await stage.manager.subscribe(venue.exchange_name, "order", "")
        await stage.hears("Reconnecting")
        await venue.kill(0.05)
        await until(lambda: push(venue))
        await event_of(orders, Order)


async def test_not_from_a_refused_channel(account: tuple[Venue, Credentials], planted_secret: PlantedSecret) -> None:
    """The venue's words about a subscription, about nothing that was asked, and at the end, repeat the keys."""
    venue, _ = account
    words = talkative(planted_secret)
    stream = "orders:ANY" if isinstance(venue, SimulatedOkxVenue) else "user"
    async with venue, scene(planted_secret) as stage:
        await stage.manager.add_exchange(config(venue))
        fills = await stage.manager.subscribe(venue.exchange_name, "fill", "")
        await fills.aclose()
        for name in {stream, "orders:SPOT", "orders:MARGIN"}:
            venue.refuse_stream(name, -1020 if stream == "user" else "60012", words)
        with stage.raises(SubscribeError):
            await stage.manager.subscribe(venue.exchange_name, "order", "")
        await venue.close_with(4001, words[:60])
        await stage.hears("Disconnected")


def say(venue: Venue, frame: bytes) -> None:
    """Send a frame to whoever listens to the account."""
    for connection in tuple(venue._connections):
        connection.send_control(frame)


def damaged_frames(venue: Venue, planted: PlantedSecret) -> list[bytes]:
    """Return frames with keys in them, each wrong in its own way."""
    key = planted.credentials.secret.reveal().encode()  # the longest of them: what cuts it off shows a part
    if isinstance(venue, SimulatedOkxVenue):
        order = (
            b'{"arg":{"channel":"orders","instType":"SPOT","uid":"1"},"data":[{"instType":"SPOT","instId":"BTC-USDT",'
            b'"ordId":"%s","clOrdId":"%s","side":"%s","state":"%s","px":"%s","sz":"1","uTime":"%s"}]}'
        )
        places = 6
    else:
        order = (
            b'{"subscriptionId":0,"event":{"e":"executionReport","E":1,"s":"BTCUSDT","c":"%s","S":"%s","o":"%s",'
            b'"X":"%s","x":"NEW","q":"%s","p":"%s","i":1,"T":"%s","apiKey":"%s"}}'
        )
        places = 8
    sound = [b"BUY"] * places
    return [
        *(order % (*sound[:place], key, *sound[place + 1 :]) for place in range(places)),
        order % ((key,) * places),
        (order % ((key,) * places))[:-3],
        order % (b"\xff\xfe" + key, *(key,) * (places - 1)),
        b'{"%s":' % key,
        b'["%s"]' % key,
        key,
        b'{"arg":{"channel":"%s"},"event":"%s","code":{},"msg":["%s"]}' % (key, key, key),
        b'{"arg":"%s","data":[1]}' % key,
        b'{"stream":"%s","data":{"e":"%s"}}' % (key, key),
        b'{"e":"%s"}' % key,
        b'{"event":{"e":"%s"}}' % key,
        b'{"event":"%s"}' % key,
        b'{"method":"%s"}' % key,
        b'{"%s":1,"a":{"%s":2}}' % (key, key),
        b'{"id":1,"result":{"apiKey":"%s"}}' % key,
        b'{"id":null,"op":"order","code":"1","msg":"%s","data":[{"sCode":"1","sMsg":"%s"}]}' % (key, key),
    ]


async def test_not_from_what_the_venue_says_unasked(
    account: tuple[Venue, Credentials], planted_secret: PlantedSecret
) -> None:
    """Complaints, notices, frames of unknown kinds and damaged ones, all with a key in them."""
    venue, _ = account
    words = planted_secret.credentials.api_key.reveal()
    async with venue, scene(planted_secret) as stage:
        await stage.manager.add_exchange(config(venue))
        orders = await stage.manager.subscribe(venue.exchange_name, "order", "")
        for frame in (
            b'{"event":"error","code":"60012","msg":"Illegal request: {\\"apiKey\\":\\"%s\\", %s}"}',
            b'{"event":"notice","code":"1","msg":"%s %s"}',
            b'{"id":null,"status":400,"error":{"code":-1100,"msg":"Illegal characters in %s %s"}}',
            b'{"code":2,"msg":"Invalid request: %s %s"}',
        ):
            say(venue, frame % (words.encode(), words.encode()))
        await stage.hears("VenueNotice", 2)
        adapter = stage.connections[-1].adapter
        for frame in damaged_frames(venue, planted_secret):
            say(venue, frame)
            try:
                said = adapter.decode(frame)
            except Exception as error:  # noqa: BLE001 - any of them could show something
                planted_secret.check(error)
                planted_secret.check_reachable(error)
            else:
                planted_secret.check(*(one for one in said if isinstance(one, Ack)))
        await stage.hears("BadFrame", 3)
        push(venue)
        with anyio.fail_after(10):
            while (await event_of(orders, Order)).order_id != "7":
                pass


# -- with a listen key -------------------------------------------------------------------------------


class _Usdm:
    """A venue whose listen key is planted, and its REST side, which can misbehave.

    Attributes:
        answers: What the next requests are answered with, in place of what is right: a status and a body, or an
            exception.
    """

    def __init__(self, planted: PlantedSecret, **adapter: Any) -> None:
        self.venue = SimulatedUsdmVenue(("BTC-USDT-SWAP",), credentials=key_and_secret(planted))
        self.planted = planted
        self.answers: list[tuple[int, Any] | Exception] = []
        self._options = adapter
        self.renew_key()

    def renew_key(self) -> None:
        """Have another listen key for who asks next."""
        keys = self.venue.listen_keys
        keys.current, keys._expires_at = self.planted.plant(f"listen key {len(keys.requests)}", length=64), math.inf

    def adapter(self, _: str = "") -> BinanceUsdmAdapter:
        """Return an adapter that asks this venue for listen keys."""
        return _OftenRenewed(client=self.client, **self._options)

    def client(self) -> httpx.AsyncClient:
        """Return an HTTP client that this venue answers."""
        return httpx.AsyncClient(transport=httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if self.answers:
            answer = self.answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return httpx.Response(answer[0], json=answer[1])
        headers = {"X-MBX-APIKEY": request.headers.get("X-MBX-APIKEY", "")}
        status, body = self.venue.answer_listen_key(request.method, request.url.path, headers)
        return httpx.Response(status, json=body)


class _OftenRenewed(BinanceUsdmAdapter):
    """An adapter whose listen keys are renewed all the time, and not every half an hour."""

    @override
    def session_lease(self, url: str) -> UsdmListenKeyLease | None:
        lease = super().session_lease(url)
        if lease is not None:
            lease.renew_interval = 0.05
        return lease


in_either_way = pytest.mark.parametrize("in_url", [False, True], ids=["subscribed", "in the URL"])


@in_either_way
async def test_not_from_a_listen_key_that_works(in_url: bool, planted_secret: PlantedSecret) -> None:
    """While it is renewed, when it expires and another takes its place, and when renewing fails."""
    stand_in = _Usdm(planted_secret, listen_key_in_url=in_url)
    venue = stand_in.venue
    async with venue, scene(planted_secret) as stage:
        await stage.manager.add_exchange(config(venue), adapter=stand_in.adapter)
        orders = await stage.manager.subscribe(USDM, "order", "")
        await until(lambda: push(venue))
        await event_of(orders, Order)
        reached = stage.search(orders)
        assert {*HELD_WHILE_OPEN, "LeaseKeeper", "UsdmListenKeyLease", "_OftenRenewed"} <= reached
        stand_in.answers += [(500, {"code": -1000, "msg": talkative(planted_secret)}), httpx.ConnectError("no")]
        await until(lambda: not stand_in.answers and venue.listen_keys.requests.count("PUT") > 1)
        venue.expire_listen_key()
        stand_in.renew_key()
        await stage.hears("Connected", 3)
        await until(lambda: push(venue))
        await event_of(orders, Order)
        stage.search(orders)


@in_either_way
async def test_not_from_a_refused_lease(in_url: bool, planted_secret: PlantedSecret) -> None:
    """Whatever is wrong with the key, with the way to the venue or with the venue's answer."""
    words = talkative(planted_secret)
    key = planted_secret.credentials.api_key.reveal()
    gc.collect()  # not within the time that a subscription has below
    request = httpx.Request("POST", f"http://user:{key}@venue/?listenKey={key}", headers={"X-MBX-APIKEY": key})
    for answer, kind in (
        ((401, {"code": -2015, "msg": words}), AuthenticationError),
        ((418, {"code": -1003, "msg": words}), WebSocketError),
        ((403, words), WebSocketError),
        ((429, {"code": -1003, "msg": words}), SubscribeError),
        ((500, {"code": -1000, "msg": words}), SubscribeError),
        ((200, {"listenKey": [key]}), SubscribeError),
        ((200, words), SubscribeError),
        (httpx.ConnectError(f"{request.url} is not there", request=request), SubscribeError),
        (httpx.ReadTimeout(f"{request.url} is slow", request=request), SubscribeError),
        (ValueError(f"a bug about {key}"), SubscribeError),
    ):
        stand_in = _Usdm(planted_secret, listen_key_in_url=in_url)
        stand_in.answers += [answer] * 9
        async with stand_in.venue, scene(planted_secret) as stage:
            settings = config(stand_in.venue, subscribe_timeout=0.05)
            await stage.manager.add_exchange(settings, adapter=stand_in.adapter)
            with stage.raises((kind, BannedError, RequestFailedError)):
                await stage.manager.subscribe(USDM, "order", "")


async def test_not_from_a_refused_handshake_with_a_listen_key(planted_secret: PlantedSecret) -> None:
    """The server turns the connection away, and says to whom."""
    stand_in = _Usdm(planted_secret, listen_key_in_url=True)
    venue = stand_in.venue
    key = venue.listen_keys.current
    async with venue, scene(planted_secret) as stage:
        venue.refuse_handshakes(401, reason=f"no stream /private/ws?listenKey={key}", count=None)
        settings = config(venue, max_reconnect_attempts=2)
        await stage.manager.add_exchange(settings, adapter=stand_in.adapter)
        with stage.raises(WebSocketError):
            await stage.manager.subscribe(USDM, "order", "")
        await stage.hears("Failed")


# -- with secrets in the settings --------------------------------------------------------------------


@pytest.fixture(params=["anyio", "trio-websocket"])
def transport(request: pytest.FixtureRequest, anyio_backend_name: str) -> Any:
    """Each transport that there is."""
    if request.param == "trio-websocket" and anyio_backend_name != "trio":
        pytest.skip("trio-websocket runs on trio")
    return request.param


def telling(planted: PlantedSecret, url: str, *, in_path: bool = True, **settings: Any) -> WebSocketConfig:
    """Return settings with a secret in each part of the URL that can have one, and in the headers."""
    phrase = planted.credentials.passphrase
    assert phrase is not None
    odd, value = quote(phrase.reveal(), safe=""), planted.value
    scheme, _, rest = url.partition("://")
    host, _, path = rest.partition("/")
    path = f"{path}/{value}/{odd}" if in_path else path
    url = f"{scheme}://user:{odd}@{host}/{path}?listenKey={value}&other={odd}"
    headers = {"Authorization": f"Bearer {value}", "X-Other": phrase.reveal().encode("ascii", "ignore").decode()}
    return WebSocketConfig(url, "BINANCE___SPOT", headers=headers, **{**FAST, **settings})


def test_not_from_settings(planted_secret: PlantedSecret) -> None:
    """They show neither what is in their URL nor their headers, and refuse to be pickled."""
    settings = telling(planted_secret, "wss://host:9/ws", credentials=planted_secret.credentials)
    for changed in (settings, attrs.evolve(settings, credentials=None), attrs.evolve(settings, headers=None)):
        planted_secret.check(repr(changed), str(changed), f"{changed}", [repr([changed])])
        for copied in (copy.copy(changed), copy.deepcopy(changed), attrs.evolve(changed)):
            assert changed == copied
        with pytest.raises(TypeError, match="cannot be pickled") as refused:
            pickle.dumps(changed)
        planted_secret.check(refused.value)
    assert "wss://***@host:9/ws/***/***" in repr(settings)
    plain = WebSocketConfig("wss://host:9/ws", "BINANCE___SPOT", headers={"User-Agent": "a program"})
    assert pickle.loads(pickle.dumps(attrs.evolve(plain, headers=None))) == attrs.evolve(plain, headers=None)  # noqa: S301
    for url in (f"http://{planted_secret.value}@host", planted_secret.value, f"//{planted_secret.value}"):
        with pytest.raises(ConfigurationError) as caught:
            WebSocketConfig(url, "BINANCE___SPOT")
        planted_secret.check(caught.value)


async def test_not_from_a_url_and_headers(planted_secret: PlantedSecret, transport: Any) -> None:
    """A server that has them, one that repeats them all in its refusal, and one that is not there."""
    requests: list[bytes] = []

    async def repeat(stream: ByteStream) -> None:
        async with stream:
            requests.append(await stream.receive())
            head = b"HTTP/1.1 403 Forbidden\r\nX-Was: %s\r\nContent-Length: %d\r\n\r\n"
            first = requests[-1].split(b"\r\n")[0]
            await stream.send(head % (first, len(requests[-1])) + requests[-1])

    async with SimulatedAccountVenue(("BTC-USDT",), rate=200.0) as venue:
        settings = telling(planted_secret, venue.url, in_path=False, transport=transport)
        async with scene(planted_secret, given=(settings,)) as stage:
            await stage.manager.add_exchange(settings)
            ticks = await stage.manager.subscribe("BINANCE___SPOT", "ticker", "BTC-USDT")
            await event_of(ticks, Tick)
            assert HELD_WHILE_OPEN <= stage.search(ticks)
            await stage.manager.rotate("BINANCE___SPOT")
            await venue.disconnect_all()
            await stage.hears("Resubscribed")
            stage.search(ticks)
        port = venue.url.split(":")[2].split("/")[0]
    async with serve_streams(repeat) as server:
        for url, attempts in ((server.url, 2), (f"ws://127.0.0.1:{port}/", 1), ("ws://[::1]:1/", 1)):
            settings = telling(
                planted_secret, url.rstrip("/"), transport=transport, max_reconnect_attempts=attempts, connect_timeout=2
            )
            async with scene(planted_secret, given=(settings,)) as stage:
                await stage.manager.add_exchange(settings)
                with stage.raises(WebSocketError):
                    await stage.manager.subscribe("BINANCE___SPOT", "ticker", "BTC-USDT")
    assert all(planted_secret.find(request) for request in requests)
    assert len(requests) == 3


async def test_not_from_a_name_that_is_none(
    planted_secret: PlantedSecret, monkeypatch: pytest.MonkeyPatch, transport: Any
) -> None:
    """A host that cannot be found, in a URL with a user and a password."""

    async def unknown(*arguments: Any, **options: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(anyio, "getaddrinfo", unknown)
    monkeypatch.setattr("anyio._core._sockets.getaddrinfo", unknown)
    settings = telling(planted_secret, "ws://venue.test", transport=transport, max_reconnect_attempts=1)
    async with scene(planted_secret, given=(settings,)) as stage:
        await stage.manager.add_exchange(settings)
        with stage.raises(WebSocketError) as caught:
            await stage.manager.subscribe("BINANCE___SPOT", "ticker", "BTC-USDT")
        assert "venue.test" in str(caught.value)


@pytest.mark.parametrize("scheme", ["http", "socks5"])
async def test_not_from_a_proxy(scheme: str, planted_secret: PlantedSecret, transport: Any) -> None:
    """It lets through who knows the password; it does not know it, says no, hangs up, hangs, or talks nonsense."""
    password = planted_secret.value
    venue = SimulatedAccountVenue(("BTC-USDT",), credentials=key_and_secret(planted_secret))
    async with venue, run_proxy(scheme, credentials=("user", password)) as proxy:
        policy = TransportPolicy(proxy=proxy.url_for("user", password))
        planted_secret.check(policy, policy.proxy)
        planted_secret.check_reachable(policy)
        settings = config(venue, transport=transport, transport_policy=policy, max_reconnect_attempts=1)
        planted_secret.check(settings)
        async with scene(planted_secret) as stage:
            await stage.manager.add_exchange(settings)
            orders = await stage.manager.subscribe("BINANCE___SPOT", "order", "")
            push(venue)
            await event_of(orders, Order)
            assert {*HELD_WHILE_OPEN, "TransportPolicy", "Proxy"} <= stage.search(orders)
            assert ("user", password) in proxy.authorizations
        secret_bytes = password.encode()
        for trouble in (
            {"credentials": ("user", "another")},
            {"answer": b"HTTP/1.1 500 %b\r\nX: %b\r\n\r\n" % (secret_bytes, secret_bytes)},
            {"answer": b"\x05\x02\x00\x03%c%b\x00\x00" % (len(secret_bytes), secret_bytes)},
            {"answer": secret_bytes},
            {"answer": b""},
            {"hangs": True},
        ):
            for name, value in {"credentials": ("user", password), "answer": None, "hangs": False, **trouble}.items():
                setattr(proxy, name, value)
            async with scene(planted_secret) as stage:
                await stage.manager.add_exchange(attrs.evolve(settings, connect_timeout=0.2))
                with stage.raises(WebSocketError):
                    await stage.manager.subscribe("BINANCE___SPOT", "order", "")
