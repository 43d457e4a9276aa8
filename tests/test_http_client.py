"""Calls over HTTP: what is sent, what is returned, when it is asked again, and what is counted and shown."""

from __future__ import annotations

import gzip
import zlib
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import httpx
import msgspec
import pytest
import stamina

from bt_api_base.exceptions import (
    AuthenticationError,
    BannedError,
    ConfigurationError,
    DataParseError,
    NetworkError,
    RateLimitError,
    RequestFailedError,
    RequestTimeoutError,
)
from bt_api_base.feeds.endpoint import Endpoint, Security
from bt_api_base.feeds.error_table import ErrorKind, ErrorTable
from bt_api_base.feeds.http_client import HttpClient
from bt_api_base.rate_limiter import RateLimiter
from bt_api_base.testing import assert_no_leaks
from tests.http_server import Reply, run_http_server

if TYPE_CHECKING:
    from bt_api_base.feeds.http_hooks import RequestDetails, ResponseDetails

pytestmark = pytest.mark.anyio


class Price(msgspec.Struct):
    """A price."""

    symbol: str
    price: Decimal


GET = Endpoint[Price](method="GET", path="/price", result=Price)
POST = Endpoint[bytes](method="POST", path="/thing", result=bytes)
PRICE = b'{"symbol": "BTCUSDT", "price": "0.10"}'


class Script(httpx.AsyncBaseTransport):
    """A venue in memory: it answers with one reply after the other, and the last one from then on."""

    def __init__(self, *replies: httpx.Response | Exception | float) -> None:
        self.replies = list(replies)
        self.requests: list[httpx.Request] = []
        self.times: list[float] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer; a number is waited for before the next reply."""
        self.requests.append(request)
        self.times.append(anyio.current_time())
        while True:
            reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
            if isinstance(reply, Exception):
                raise reply
            if isinstance(reply, httpx.Response):
                return httpx.Response(reply.status_code, headers=reply.headers, content=reply.content)
            await anyio.sleep(reply)


def scripted(*replies: httpx.Response | Exception | float, **options: Any) -> tuple[Script, HttpClient]:
    """Return a venue in memory and a client of it."""
    script = Script(*replies)
    return script, HttpClient("VENUE", base_url="https://venue.example/base/", transport=script, **options)


def ok(body: bytes = PRICE) -> httpx.Response:
    """Return an answer."""
    return httpx.Response(200, content=body)


async def test_a_call_returns_what_its_endpoint_says() -> None:
    """Over a connection that is kept for the next one, and nothing is left when the client is closed."""
    async with assert_no_leaks(), run_http_server() as server, HttpClient(base_url=server.url) as client:
        server.answer("/price", Reply(PRICE), Reply(PRICE, chunked=True))
        for _ in range(3):
            assert Price("BTCUSDT", Decimal("0.10")) == await client.call(GET, {"symbol": "BTCUSDT"})
        assert 1 == server.connections
        assert ["symbol=BTCUSDT"] * 3 == [seen.query for seen in server.requests]


async def test_a_connection_that_the_venue_has_closed_is_not_used_again() -> None:
    """It is looked at before anything is sent."""
    async with run_http_server() as server, HttpClient(base_url=server.url, attempts=1) as client:
        server.answer("/price", Reply(PRICE, close=True))
        for _ in range(2):
            await client.call(GET)
            await anyio.sleep(0.005)
        assert 2 == server.connections


PARAMETERS = {"b": 1, "a": "x y/ü&", "none": None, "yes": True, "empty": ""}


@pytest.mark.parametrize(
    ("body", "query", "content"),
    [
        ("query", "b=1&a=x%20y%2F%C3%BC%26&yes=true&empty=", b""),
        ("form", "", b"b=1&a=x+y%2F%C3%BC%26&yes=true&empty="),
        ("json", "", '{"b":1,"a":"x y/ü&","yes":true,"empty":""}'.encode()),
    ],
)
async def test_parameters_go_where_the_venue_wants_them(body: str, query: str, content: bytes) -> None:
    """In their order, without those that are None; those of GET are in the query always."""
    script, client = scripted(ok(b"{}"), body=body)
    await client.call(POST, PARAMETERS)
    await client.call(Endpoint(method="GET", path="/x", result=bytes), PARAMETERS)
    first, second = script.requests
    assert (query.encode(), content) == (first.url.query, await first.aread())
    assert b"b=1&a=x%20y%2F%C3%BC%26&yes=true&empty=" == second.url.query
    assert "/base/thing" == first.url.path


async def test_several_sets_of_parameters_are_a_json_list() -> None:
    """As OKX takes several orders at a time."""
    script, client = scripted(ok(b"{}"), body="json")
    await client.call(POST, [{"id": "1", "x": None}, {"id": "2"}])
    assert b'[{"id":"1"},{"id":"2"}]' == await script.requests[0].aread()
    with pytest.raises(TypeError, match="JSON"):
        await client.call(GET, [{"id": "1"}])
    with pytest.raises(TypeError, match="as text"):
        await client.call(GET, {"price": 0.1})  # type: ignore[dict-item]


async def test_credentials_are_missed_before_anything_is_sent() -> None:
    """An endpoint that wants them cannot be asked without."""
    script, client = scripted(ok())
    with pytest.raises(ConfigurationError, match="GET /account needs credentials"):
        await client.call(Endpoint(method="GET", path="/account", result=bytes, security=Security.SIGNED))
    assert [] == script.requests


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        (b'{"symbol": "BTCUSDT", "price": []}', "price", "Expected `decimal`"),
        (b'{"symbol": "BTCUSDT"}', "", "missing required field `price`"),
        (b"<html>", "", "malformed"),
        (b"", "", "truncated"),
        (b'{"symbol": "\xff"', "", ""),
        (b"[" * 100_000, "", ""),
    ],
)
async def test_a_body_that_cannot_be_read_is_named(body: bytes, field: str, words: str) -> None:
    """Venue, endpoint and field; it is not asked for again, as it would be the same."""
    script, client = scripted(ok(body))
    with pytest.raises(DataParseError) as caught:
        await client.call(GET)
    assert ("VENUE", "Price", "GET /price", field) == (
        caught.value.exchange_name, caught.value.container_class, caught.value.channel, caught.value.field,
    )  # fmt: skip
    assert words in str(caught.value)
    assert 1 == len(script.requests)


async def test_errors_may_come_with_status_200() -> None:
    """Where the venue's reader finds them."""

    def read_error(status: int, body: bytes) -> tuple[str, str] | None:
        return ("50011", "too fast") if b"50011" in body else None

    table = ErrorTable({"50011": ErrorKind.RATE_LIMIT}, waits={"50011": 2.0})
    _, client = scripted(ok(b'{"code": "50011"}'), read_error=read_error, errors=table, attempts=1)
    with pytest.raises(RateLimitError, match="too fast") as caught:
        await client.call(GET)
    assert (2.0, 50011) == (caught.value.retry_after, caught.value.venue_code)


async def test_the_page_of_a_firewall_is_an_error_too() -> None:
    """Its beginning is shown."""
    _, client = scripted(httpx.Response(403, text="<html>Forbidden" + "x" * 10_000))
    with pytest.raises(BannedError, match="<html>Forbidden") as caught:
        await client.call(GET)
    assert len(str(caught.value)) < 400


@pytest.mark.virtual_time
@pytest.mark.parametrize("failure", [httpx.Response(503), httpx.ReadError(""), httpx.ConnectError("refused")])
async def test_what_can_be_repeated_is_asked_again(failure: httpx.Response | Exception) -> None:
    """After a growing pause, and at most so often."""
    script, client = scripted(failure, failure, ok())
    assert Price("BTCUSDT", Decimal("0.10")) == await client.call(GET)
    first, second, third = script.times
    assert 0.1 <= second - first <= 0.3
    assert 0.2 <= third - second <= 0.4
    assert 2 == client.get_stats().retries
    script, client = scripted(failure, attempts=2)
    with pytest.raises((NetworkError, RequestTimeoutError)):
        await client.call(GET)
    assert 2 == len(script.requests)


@pytest.mark.virtual_time
async def test_what_cannot_be_repeated_is_asked_once() -> None:
    """Whatever the failure."""
    script, client = scripted(httpx.ConnectError("refused"))
    with pytest.raises(NetworkError):
        await client.call(POST)
    assert 1 == len(script.requests)
    script, client = scripted(httpx.Response(400))
    with pytest.raises(RequestFailedError):
        await client.call(GET)
    assert 1 == len(script.requests)


@pytest.mark.virtual_time
async def test_a_pause_that_the_venue_asks_for_is_kept() -> None:
    """Unless it is longer than there is time: then that is said at once."""
    limited = httpx.Response(429, headers={"Retry-After": "5"})
    script, client = scripted(limited, ok())
    await client.call(GET)
    assert [0.0, 5.0] == script.times
    script, client = scripted(limited, timeout=3.0)
    started = anyio.current_time()
    with pytest.raises(RateLimitError) as caught:
        await client.call(GET)
    assert 5.0 == caught.value.retry_after
    assert started == anyio.current_time()


async def test_a_ban_stops_all_callers() -> None:
    """Without another request, until it is over."""
    limiter = RateLimiter(exchange_name="VENUE")
    script, client = scripted(httpx.Response(418, headers={"Retry-After": "60"}), limiter=limiter)
    with pytest.raises(BannedError):
        await client.call(GET)
    for endpoint in (GET, POST):
        with pytest.raises(BannedError):
            await client.call(endpoint)
    assert 1 == len(script.requests)


@pytest.mark.virtual_time
async def test_one_deadline_is_over_everything() -> None:
    """Answers, pauses and repetitions together; the last failure is the cause."""
    script, client = scripted(2.0, httpx.Response(502), timeout=5.0, attempts=100)
    started = anyio.current_time()
    with pytest.raises(RequestTimeoutError) as caught:
        await client.call(GET)
    assert 5.0 == anyio.current_time() - started
    assert isinstance(caught.value.__cause__, RequestTimeoutError)
    assert len(script.requests) > 1
    started = anyio.current_time()
    _, client = scripted(3600.0, ok())
    with pytest.raises(RequestTimeoutError, match=r"https://venue\.example/base/price"):
        await client.call(GET, {"symbol": "X"}, timeout=1.0)
    assert 1.0 == anyio.current_time() - started


async def test_a_program_may_switch_repetitions_off() -> None:
    """With stamina's own switch, and without them being slow in its test mode."""
    script, client = scripted(httpx.Response(502))
    stamina.set_active(False)
    try:
        with pytest.raises(RequestTimeoutError):
            await client.call(GET)
    finally:
        stamina.set_active(True)
    assert 1 == len(script.requests)


async def test_repetitions_are_logged_by_our_logger(capsys: pytest.CaptureFixture[str]) -> None:
    """Stamina's own hook would write to stdout."""
    _, client = scripted(httpx.Response(502), ok())
    await client.call(GET)
    output = capsys.readouterr()
    assert "" == output.out
    assert "trying again" in output.err


BODIES = {
    "gzip": gzip.compress(PRICE, mtime=0),
    "deflate": zlib.compress(PRICE),
    "Deflate, GZIP": gzip.compress(zlib.compress(PRICE), mtime=0),
    "identity": PRICE,
}


@pytest.mark.parametrize("encoding", BODIES)
async def test_bodies_may_be_compressed(encoding: str) -> None:
    """In the ways that were asked for."""
    async with run_http_server() as server, HttpClient(base_url=server.url) as client:
        server.answer("/price", Reply(BODIES[encoding], headers=(("content-encoding", encoding),)))
        assert "BTCUSDT" == (await client.call(GET)).symbol
        assert "gzip, deflate" == server.requests[0].headers["accept-encoding"]


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(b"[" * 10_000_000, mtime=0)),
        ("gzip", BODIES["gzip"][:-9]),
        ("br", PRICE),
        ("deflate", PRICE),
    ],
)
async def test_bombs_and_damaged_bodies_are_refused(encoding: str, body: bytes) -> None:
    """A few kilobytes do not become megabytes."""
    async with run_http_server() as server, HttpClient(base_url=server.url, max_body_bytes=1000, attempts=1) as client:
        server.answer("/price", Reply(body, headers=(("content-encoding", encoding),)))
        with pytest.raises((RequestFailedError, NetworkError)):
            await client.call(GET)


async def test_hooks_see_requests_and_answers() -> None:
    """What they raise changes nothing."""
    seen: list[RequestDetails | ResponseDetails] = []

    def note(details: RequestDetails | ResponseDetails) -> None:
        seen.append(details)
        raise ValueError("a bug in the hook")

    _, client = scripted(ok(), on_request=note, on_response=note)
    await client.call(GET, {"symbol": "X"}, symbol="X-Y")
    request, answer = seen
    assert "https://venue.example/base/price?symbol=X" == request.url == answer.url
    assert "X-Y" == request.info.symbol
    assert (200, PRICE.decode()) == (answer.status, answer.body)
    with pytest.raises(TypeError):
        request.headers["x"] = "y"  # type: ignore[index]


@pytest.mark.virtual_time
async def test_everything_is_counted() -> None:
    """Calls, requests, answers, bytes, errors and how long they took."""
    script, client = scripted(2.0, ok(), httpx.Response(400, json={"code": 1, "msg": "no"}), timeout=10.0)
    script.replies.insert(2, 4.0)
    await client.call(GET)
    with pytest.raises(RequestFailedError):
        await client.call(GET)
    stats = client.get_stats()
    assert (2, 1, 2, 0) == (stats.calls, stats.succeeded, stats.requests, stats.in_flight)
    assert {200: 1, 400: 1} == stats.statuses
    assert {"RequestFailedError": 1} == stats.errors
    assert (2, 2.0, 4.0) == (stats.latency.count, stats.latency.p50, stats.latency.max)
    assert stats.bytes_received > len(PRICE)
    assert 2 * len("GET /price") == stats.bytes_sent


async def test_a_closed_client_says_so() -> None:
    """It was closed by the program itself."""
    _, client = scripted(ok())
    await client.aclose()
    await client.aclose()
    with pytest.raises(anyio.ClosedResourceError):
        await client.call(GET)


async def test_options_that_contradict_each_other_are_refused() -> None:
    """And certificates are always verified."""
    with pytest.raises(ConfigurationError, match="certificates are always verified"):
        HttpClient(verify=False)
    with pytest.raises(ConfigurationError, match="not by both"):
        scripted(ok(), proxies="http://127.0.0.1:1")
    _, client = scripted(ok())
    with pytest.raises(ConfigurationError, match="not a URL"):
        await client.call(GET, path="/a\nb")


# -- as plugins ask ------------------------------------------------------------------------------------


async def test_plugins_get_the_json_of_an_answer() -> None:
    """Of an error too, as the venue says there what is wrong; text for what is none."""
    script, client = scripted(ok(b'{"a": 1}'), httpx.Response(400, json={"code": 5}), ok(b"pong"))
    assert {"a": 1} == await client.async_request("get", "https://venue.example/x?y=1", {"H": "v"}, {"z": 1.5})
    assert {"code": 5} == await client.async_request("POST", "/thing", json_data={"q": [1]}, cookies={"c": "d"})
    assert {"text": "pong", "status_code": 200} == await client.async_request("POST", "/thing", data={"f": "g"})
    first, second, third = script.requests
    assert ("GET", "https://venue.example/x?y=1&z=1.5", "v") == (first.method, str(first.url), first.headers["H"])
    assert ("https://venue.example/base/thing", b'{"q":[1]}', "c=d") == (
        str(second.url), await second.aread(), second.headers["Cookie"],
    )  # fmt: skip
    assert (b"f=g", "application/x-www-form-urlencoded") == (await third.aread(), third.headers["Content-Type"])


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (httpx.Response(404, json={}), RequestFailedError),
        (httpx.Response(500, json={}), RequestFailedError),
        (httpx.Response(400, text="no"), RequestFailedError),
        (httpx.Response(429, headers={"Retry-After": "3"}), RateLimitError),
        (httpx.Response(401), AuthenticationError),
        (httpx.Response(403, text="no"), AuthenticationError),
        (httpx.ReadError(""), RequestFailedError),
    ],
)
async def test_plugins_get_the_older_errors(reply: httpx.Response | Exception, error: type[Exception]) -> None:
    """A request is made once."""
    script, client = scripted(reply)
    with pytest.raises(error) as caught:
        await client.async_request("GET", "/x")
    assert 1 == len(script.requests)
    assert 3.0 == getattr(caught.value, "retry_after", 3.0)
    with pytest.raises(ConfigurationError, match="not a URL"):
        await HttpClient().async_request("GET", "/relative")


async def test_programs_without_an_event_loop_wait() -> None:
    """In a thread of the client's own, which ends with it."""

    def program(url: str) -> list[object]:
        with HttpClient("VENUE", 2.0, base_url=url) as client:
            return [client.request("GET", "/price"), client.request("GET", f"{url}/price", timeout=1.0)]

    def failing(url: str) -> None:
        with HttpClient("VENUE", 2.0) as client:
            client.request("GET", url)

    async with assert_no_leaks(), run_http_server() as server:
        server.answer("/price", Reply(b"[1]"))
        assert [[1], [1]] == await anyio.to_thread.run_sync(program, server.url)
        assert 1 == server.connections
        with pytest.raises(RequestFailedError, match="404"):
            await anyio.to_thread.run_sync(failing, f"{server.url}/nothing")
    HttpClient().close()
