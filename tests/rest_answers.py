"""Answers of venues' REST APIs: hand-made ones beside the tests, and the recordings where they are.

Both have one file for each endpoint, with its cases: ``{"endpoint": …, "cases": [{"status", "body", "headers"?, …}]}``.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import httpx
from typing_extensions import override

from tests.corpora import corpora_path

FIXTURES = Path(__file__).parent / "fixtures" / "rest"


class Answer:
    """One answer of a venue.

    Attributes:
        endpoint: The file's name, such as ``"GET_api_v3_time"``.
        index: Which case of the file it is.
        status: The HTTP status.
        headers: The headers, where they are known.
        text: The body.
    """

    def __init__(self, endpoint: str, index: int, case: dict[str, Any]) -> None:
        self.endpoint = endpoint
        self.index = index
        self.status: int = case["status"]
        self.headers: dict[str, str] = dict(case.get("headers") or {})
        self.text: str = case["body"]
        self.expected: str = case.get("expected", "")

    def __repr__(self) -> str:
        return f"{self.endpoint}[{self.index}]"

    @property
    def json(self) -> Any:
        """The body as the standard library reads it."""
        return json.loads(self.text)


@lru_cache(maxsize=256)
def _read(path: Path) -> tuple[Answer, ...]:
    document = json.loads(path.read_text("utf-8"))
    return tuple(Answer(path.stem, index, case) for index, case in enumerate(document["cases"]))


def handmade(venue: str, endpoint: str) -> tuple[Answer, ...]:
    """Return the hand-made answers of an endpoint."""
    return _read(FIXTURES / venue / f"{endpoint}.json")


def all_handmade(venue: str) -> list[Answer]:
    """Return all hand-made answers of a venue."""
    return [answer for path in sorted((FIXTURES / venue).glob("*.json")) for answer in _read(path)]


def all_recorded(venue: str) -> list[Answer]:
    """Return all recorded answers of a venue, or skip the test where there are none."""
    root = corpora_path("public", "rest", venue)
    return [answer for path in sorted(root.glob("*.json")) for answer in _read(path)]


def expectations(venue: str, kind: str) -> dict[tuple[str, int], Any]:
    """Return what another library makes of the recordings, by endpoint and index; or skip the test."""
    path = corpora_path("public", "expected", f"{venue}.{kind}.ccxt.jsonl")
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return {(Path(row["file"]).stem, row["case"]): row for row in rows}


def instruments_of_another_library(venue: str = "binance_spot") -> list[dict[str, Any]]:
    """Return what another library makes of the recorded instruments of a venue, or skip the test."""
    path = corpora_path("public", "expected", f"{venue}.instruments.ccxt.jsonl")
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


class FakeTransport(httpx.AsyncBaseTransport):
    """Answers requests with what it was given, one after the other, the last one again and again."""

    def __init__(self, *answers: Answer | str | tuple[int, str]) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Answer):
            return httpx.Response(answer.status, headers=answer.headers, text=answer.text)
        status, text = (200, answer) if isinstance(answer, str) else answer
        return httpx.Response(status, text=text)

    @property
    def asked(self) -> list[str]:
        """Method, path and query of each request, without what is different every time."""
        return [_asked(request) for request in self.requests]

    def params(self, index: int = -1) -> dict[str, str]:
        """The parameters in the query of a request."""
        return dict(self.requests[index].url.params)

    def body(self, index: int = -1) -> Any:
        """The JSON body of a request."""
        return json.loads(self.requests[index].content)


def _asked(request: httpx.Request) -> str:
    volatile = ("timestamp", "signature", "recvWindow")
    query = "&".join(f"{name}={value}" for name, value in request.url.params.items() if name not in volatile)
    return f"{request.method} {request.url.path}" + (f"?{query}" if query else "")
