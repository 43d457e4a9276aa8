"""No secret of a signed call shows: not in logs of any library, hooks, statistics, reprs or exceptions."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import httpx
import pytest

from bt_api_base.exceptions import BtApiError
from bt_api_base.feeds.endpoint import Endpoint, Security
from bt_api_base.feeds.http_client import HttpClient
from bt_api_base.security.signing import hmac_hex
from bt_api_base.testing import PlantedSecret
from tests.http_server import Reply, run_http_server

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from bt_api_base.security import Credentials

pytestmark = pytest.mark.anyio

ACCOUNT = Endpoint[bytes](method="POST", path="/account", result=bytes, security=Security.SIGNED, changes_order=True)


class Signer(httpx.Auth):
    """Signs as Binance wants it, and sends the secret itself, as no venue wants it."""

    def __init__(self, credentials: Credentials) -> None:
        self.credentials = credentials
        self.signatures: list[str] = []

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Sign."""
        signature = hmac_hex(self.credentials.secret, request.url.query)
        self.signatures.append(signature)
        request.url = request.url.copy_with(query=request.url.query + f"&signature={signature}".encode())
        request.headers["X-MBX-APIKEY"] = self.credentials.api_key.reveal()
        request.headers["OK-ACCESS-PASSPHRASE"] = self.credentials.secret.reveal()
        yield request


@pytest.fixture
def everything_logged() -> Iterator[list[str]]:
    """Logging as a program configures it for itself: every record of every library, with a handler of its own."""
    lines: list[str] = []

    class Keeper(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    keeper, root = Keeper(logging.DEBUG), logging.getLogger()
    before = root.level
    root.addHandler(keeper)
    root.setLevel(logging.DEBUG)
    yield lines
    root.setLevel(before)
    root.removeHandler(keeper)


REPLIES = {
    "done": Reply(b"{}"),
    "repeated by the venue": Reply(b'{"code": -1022, "msg": "API-key %s, secret %s"}', status=400),
    "a page that repeats it": Reply(b"<html>%s %s", status=502),
    "cut": Reply(cut="after request"),
}


@pytest.mark.parametrize("name", REPLIES)
async def test_no_secret_of_a_signed_call_shows(name: str, everything_logged: list[str]) -> None:
    """Whatever is logged, by whomever, and whatever the venue answers."""
    credentials = PlantedSecret().credentials
    key, secret = credentials.api_key.reveal(), credentials.secret.reveal()
    auth = Signer(credentials)
    shown: list[str] = []
    reply = REPLIES[name]
    if b"%s" in reply.body:
        reply = Reply(reply.body % (key.encode(), secret.encode()), status=reply.status)
    async with run_http_server() as server:
        server.answer("/account", reply)

        def show(details: object) -> None:
            shown.append(repr(details))

        client = HttpClient("VENUE", base_url=server.url, auth=auth, body="json", on_request=show, on_response=show)
        async with client:
            try:
                await client.call(ACCOUNT, {"apiKey": key, "note": secret})
            except BtApiError as error:
                shown += [repr(error), str(error), repr(error.__cause__), repr(error.__context__)]
        shown += [repr(client), repr(client.get_stats())]
    text = "\n".join([*everything_logged, *shown])
    assert "send_request_headers.complete" in text
    assert any("HTTP Request: POST" in line for line in everything_logged) or name == "cut"
    for planted in (key, secret, *auth.signatures):
        assert planted not in text
