"""A request and a reply, as a simulated venue's REST side sees them, and what makes the one of the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol
from urllib.parse import parse_qsl

import msgspec

JSON: tuple[str, str] = ("content-type", "application/json;charset=UTF-8")


class RestRequest(msgspec.Struct, frozen=True):
    """What a client asks.

    Attributes:
        method: In upper case.
        path: The path, still percent-encoded.
        query: What follows the question mark, as it came.
        headers: By name in lower case.
        body: As it came.
        host: The client's address.
    """

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])
    body: bytes = b""
    host: str = "127.0.0.1"

    @property
    def target(self) -> str:
        """Path and query, as a request line has them."""
        return f"{self.path}?{self.query}" if self.query else self.path

    def header(self, name: str) -> str:
        """Return a header, empty where there is none.

        Args:
            name: Its name in any case.
        """
        return self.headers.get(name.lower(), "")

    def params(self) -> dict[str, str]:
        """Return the parameters of query and form body, decoded; of several with one name the first."""
        pairs = parse_qsl(self.query, keep_blank_values=True)
        if self.body and not self.body.lstrip().startswith((b"{", b"[")):
            pairs += parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True)
        params: dict[str, str] = {}
        for name, value in pairs:
            params.setdefault(name, value)
        return params


class RestReply(msgspec.Struct, frozen=True):
    """What a client is answered.

    Attributes:
        status: The HTTP status.
        body: As it goes out.
        headers: Names and values; the length is not among them.
    """

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()

    @classmethod
    def json(cls, value: object, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> RestReply:
        """Return a reply with a JSON body.

        Args:
            value: What msgspec can encode.
            status: The HTTP status.
            headers: More headers.
        """
        return cls(status, msgspec.json.encode(value), (JSON, *headers))


class RestDialect(Protocol):
    """How a venue answers REST requests. Nothing in it waits: a request is done at once, in one piece."""

    def answer(self, request: RestRequest) -> RestReply:
        """Do what a request asks for, checks of signature, clock and limits included, and answer it.

        Args:
            request: The request.
        """
        ...

    def limited(self, seconds: float, *, banned: bool) -> RestReply:
        """Return the venue's refusal of who asks too much.

        Args:
            seconds: How long that is going to last.
            banned: Whether it is a ban.
        """
        ...

    def failed(self, status: int) -> RestReply:
        """Return how the venue says that it has a problem of its own.

        Args:
            status: The HTTP status, for example 503.
        """
        ...

    def placed_ids(self, request: RestRequest) -> tuple[str, ...]:
        """Return the client's ids of the orders that a request would place.

        Args:
            request: The request.
        """
        ...


__all__ = ("JSON", "RestDialect", "RestReply", "RestRequest")
