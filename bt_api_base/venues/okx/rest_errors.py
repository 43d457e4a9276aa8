"""What the error codes of OKX mean, and where in an answer they are.

Source: OKX v5 API documentation, "Error Code". Many errors come with HTTP status 200, so every answer is looked at. A
code without a row means what its HTTP status means: with 200, that the request was refused.

An order whose answer is one of `ErrorKind.FATE_UNKNOWN` may have been placed; after any other it was not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from bt_api_base.feeds.error_table import ErrorKind, ErrorTable
from bt_api_base.venues.okx.rest_wire import Failure, ItemFailure

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ("OKX_ERRORS", "read_okx_error")

_SUCCESS: Final = b'{"code":"0",'
_ALL_FAILED: Final = "1"
_SOME_FAILED: Final = "2"

_decode = msgspec.json.Decoder(Failure, strict=False).decode
_decode_items = msgspec.json.Decoder(list[ItemFailure], strict=False).decode


def read_okx_error(status: int, body: bytes) -> tuple[str, str] | None:
    """Find the code and the words of an error; an `ErrorReader`.

    Where one order was asked for, its own code is what counts. Of several, each answers for itself.
    """
    if status == 200 and body.startswith(_SUCCESS):
        return None
    try:
        answer = _decode(body)
        if answer.code in (_ALL_FAILED, _SOME_FAILED):
            items = _decode_items(answer.data)
            if len(items) > 1 or (items and items[0].code == "0"):
                return None
            if items and items[0].code:
                return items[0].code, items[0].msg
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return None if answer.code in ("", "0") else (str(answer.code), answer.msg)


def _codes(kinds: Mapping[ErrorKind, tuple[int, ...]]) -> dict[str, ErrorKind]:
    return {str(code): kind for kind, codes in kinds.items() for code in codes}


OKX_ERRORS: Final = ErrorTable(
    _codes({
        ErrorKind.AUTHENTICATION: (
            50030, 50100, 50101, 50103, 50104, 50105, 50106, 50107, 50110, 50111, 50113, 50114, 50119, 50120,
        ),
        ErrorKind.TIMESTAMP: (50102, 50112),
        ErrorKind.RATE_LIMIT: (50011, 50040, 50061),
        # "Endpoint request timeout", "Order timed out", "Request timed out", "Cancel timed out"; and where the venue
        # says that it is busy, offline or had an error of its own: it may have got as far as the order.
        ErrorKind.FATE_UNKNOWN: (50001, 50004, 50005, 50013, 50026, 50046, 51054, 51149, 51412, 63999, 64007),
        ErrorKind.REQUEST: (50002, 50014, 50015, 50016, 50024, 50025, 51000, 51111),
        ErrorKind.SYMBOL: (51001, 51002, 51014, 51015, 51021, 51022, 51027, 51028, 51029, 51030),
        ErrorKind.ORDER: (
            51005, 51006, 51007, 51010, 51020, 51023, 51101, 51116, 51120, 51121, 51122, 51135, 51136, 51137, 51138,
            51150, 51169, 51170, 51201, 51202, 51203, 51205,
        ),
        ErrorKind.FUNDS: (51004, 51008, 51017, 51127, 51131),
        ErrorKind.ORDER_NOT_FOUND: (51400, 51401, 51402, 51405, 51410, 51503, 51509, 51510, 51603),
        ErrorKind.DUPLICATE: (50071, 51011, 51016),
        # Restrictions of the account, too many open orders, past the expiry that the request had.
        ErrorKind.REFUSED: (
            50007, 50012, 50027, 50028, 50029, 50032, 50033, 50036, 50037, 51009, 51024, 51025, 51102, 51103, 51155,
            51174,
        ),
    }),
    limit_wait=2.0,  # there is no Retry-After; all windows are of two seconds
)  # fmt: skip
"""All of OKX."""
