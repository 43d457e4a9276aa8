"""What venues answer becomes the exceptions of this package, as their tables say."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import attrs
import httpx
import pytest

from bt_api_base import exceptions
from bt_api_base.feeds.error_table import ErrorKind, ErrorTable
from bt_api_base.feeds.errors import VenueError, make_error, read_json_error, retry_after, wait_of

if TYPE_CHECKING:
    from bt_api_base.exceptions import BtApiError

NOW = 1_700_000_000_000_000_000

CLASSES: dict[ErrorKind, tuple[type[BtApiError], bool]] = {
    ErrorKind.AUTHENTICATION: (exceptions.AuthenticationError, False),
    ErrorKind.TIMESTAMP: (exceptions.TimestampError, True),
    ErrorKind.RATE_LIMIT: (exceptions.RateLimitError, True),
    ErrorKind.BAN: (exceptions.BannedError, False),
    ErrorKind.OVERLOAD: (exceptions.RequestFailedError, True),
    ErrorKind.MAINTENANCE: (exceptions.ExchangeConnectionError, True),
    ErrorKind.FATE_UNKNOWN: (exceptions.RequestTimeoutError, True),
    ErrorKind.REQUEST: (exceptions.RequestFailedError, False),
    ErrorKind.SYMBOL: (exceptions.InvalidSymbolError, False),
    ErrorKind.ORDER: (exceptions.InvalidOrderError, False),
    ErrorKind.FUNDS: (exceptions.InsufficientBalanceError, False),
    ErrorKind.ORDER_NOT_FOUND: (exceptions.OrderNotFoundError, False),
    ErrorKind.DUPLICATE: (exceptions.DuplicateOrderError, False),
    ErrorKind.REFUSED: (exceptions.OrderError, False),
}


@pytest.mark.parametrize("kind", ErrorKind, ids=str)
def test_each_kind_has_its_class(kind: ErrorKind) -> None:
    """With the venue's code and words, and what was asked."""
    error = VenueError(
        kind=kind, exchange_name="VENUE", url="https://x/y", status=503, code="-1", message="so it is", symbol="A-B",
        client_order_id="mine", retry_after=3.0,
    )  # fmt: skip
    made = make_error(error)
    expected, is_retryable = CLASSES[kind]
    assert expected is type(made)
    assert ("VENUE", -1, is_retryable) == (made.exchange_name, made.venue_code, exceptions.is_retryable(made))
    assert "so it is" in str(made)
    assert "A-B" == getattr(made, "symbol", "A-B")
    assert "mine" == getattr(made, "client_order_id", "mine")
    assert 3.0 == getattr(made, "retry_after", 3.0)
    if kind is ErrorKind.FATE_UNKNOWN:
        assert isinstance(make_error(attrs.evolve(error, changes_order=True)), exceptions.OrderUnknownError)


def test_the_most_particular_rule_wins() -> None:
    """Words, then code, then status, then what statuses usually mean."""
    table = ErrorTable(
        {"-1": ErrorKind.REQUEST},
        {"-1": ((re.compile("banned until"), ErrorKind.BAN),), "": ((re.compile("<html>"), ErrorKind.OVERLOAD),)},
        {400: ErrorKind.ORDER},
    )
    assert ErrorKind.BAN is table.kind(429, "-1", "IP banned until 5")
    assert ErrorKind.REQUEST is table.kind(429, "-1", "else")
    assert ErrorKind.ORDER is table.kind(400, "-2")
    assert ErrorKind.OVERLOAD is table.kind(403, "", "<html>")
    usual = {401: "AUTHENTICATION", 403: "BAN", 418: "BAN", 429: "RATE_LIMIT", 408: "FATE_UNKNOWN", 500: "FATE_UNKNOWN"}
    for status, name in {**usual, 599: "FATE_UNKNOWN", 404: "REQUEST", 302: "REQUEST", 200: "REQUEST"}.items():
        assert name == table.kind(status, "-9").name


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, b'{"code": -1021, "msg": "no"}', ("-1021", "no")),
        (400, b'{"code": "x", "message": "no"}', ("x", "no")),
        (400, b'{"msg": "no"}', ("", "no")),
        (200, b'{"code": -1021, "msg": "no"}', None),
        (400, b"{}", None),
        (400, b"<html>", None),
        (400, b'{"code": {}}', None),
        (400, b"[" * 100_000, None),
        (400, b'{"msg": "\xff"}', None),
    ],
)
def test_errors_are_read_from_json(status: int, body: bytes, expected: tuple[str, str] | None) -> None:
    """And from nothing else."""
    assert expected == read_json_error(status, body)


@pytest.mark.parametrize(
    ("value", "date", "expected"),
    [
        ("7", "", 7.0),
        ("0.5", "", 0.5),
        ("-3", "", 0.0),
        ("1e99", "", 7 * 86_400.0),
        ("nan", "", None),
        ("soon", "", None),
        ("", "", None),
        ("Tue, 14 Nov 2023 22:13:50 GMT", "", 30.0),
        ("Tue, 14 Nov 2023 22:13:50 GMT", "Tue, 14 Nov 2023 22:13:40 GMT", 10.0),
        ("Tue, 14 Nov 2023 22:13:00 GMT", "", 0.0),
    ],
)
def test_retry_after_is_a_number_or_a_date(value: str, date: str, expected: float | None) -> None:
    """A date is compared with the answer's own, so that no clock of ours counts."""
    assert expected == retry_after(httpx.Headers({"retry-after": value, "date": date}), NOW)


def test_limits_and_bans_always_have_an_end() -> None:
    """As the header says, or the words, or the table."""
    table = ErrorTable(waits={"50011": 2.0}, until=re.compile(r"banned until (\d{13})"))

    def wait(kind: ErrorKind, code: str = "", message: str = "", **headers: str) -> float | None:
        return wait_of(table, VenueError(kind=kind, code=code, message=message), httpx.Headers(headers), NOW)

    assert 9.0 == wait(ErrorKind.RATE_LIMIT, "50011", **{"Retry-After": "9"})
    assert 2.0 == wait(ErrorKind.RATE_LIMIT, "50011")
    assert 1.0 == wait(ErrorKind.RATE_LIMIT)
    assert 120.0 == wait(ErrorKind.BAN)
    assert 60.0 == wait(ErrorKind.BAN, message="IP banned until 1700000060000.")
    assert wait(ErrorKind.REQUEST) is None
    assert 4.0 == wait(ErrorKind.OVERLOAD, **{"Retry-After": "4"})
