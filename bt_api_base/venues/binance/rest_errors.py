"""What the error codes of Binance mean, on spot and on USD-M.

Sources: Binance spot API documentation, "Error codes" and "REST API", section "HTTP return codes"; USD-M futures API
documentation, "Error Code" and "General Info". A code without a row means what its HTTP status means.

An order whose answer is one of `ErrorKind.FATE_UNKNOWN` may have been placed; after any other it was not.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from bt_api_base.feeds.error_table import ErrorKind, ErrorTable

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ("SPOT_ERRORS", "USDM_ERRORS")


def _says(*rows: tuple[str, ErrorKind]) -> tuple[tuple[re.Pattern[str], ErrorKind], ...]:
    return tuple((re.compile(pattern, re.IGNORECASE), kind) for pattern, kind in rows)


def _codes(kinds: Mapping[ErrorKind, tuple[int, ...]]) -> dict[str, ErrorKind]:
    return {str(code): kind for kind, codes in kinds.items() for code in codes}


_COMMON: Final = _codes({
    ErrorKind.AUTHENTICATION: (-1002, -1022, -1099, -2014, -2015, -2017),
    ErrorKind.TIMESTAMP: (-1021,),
    ErrorKind.RATE_LIMIT: (-1003, -1015, -1034),
    # "An unknown error occurred", "Internal error; unable to process", "An unexpected response", "Timeout waiting for
    # response from backend server", "This service is no longer available": the venue's parts may not have heard of each
    # other.
    ErrorKind.FATE_UNKNOWN: (-1000, -1001, -1006, -1007, -1016),
    ErrorKind.REQUEST: (
        -1100, -1101, -1102, -1103, -1104, -1105, -1106, -1108, -1118, -1119, -1120, -1125, -1127, -1128, -1130, -1135,
    ),
    ErrorKind.SYMBOL: (-1121, -1122, -1220),
    ErrorKind.ORDER: (-1013, -1014, -1111, -1112, -1114, -1115, -1116, -1117),
    ErrorKind.ORDER_NOT_FOUND: (-2013, -2026),
})  # fmt: skip

_BANNED: Final = _says((r"banned until", ErrorKind.BAN))
_UNTIL: Final = re.compile(r"banned until (\d{10,16})", re.IGNORECASE)
_BAN_WAIT: Final = 120.0
"""Seconds; bans last from two minutes to three days."""

_UNKNOWN_ORDER: Final = _says(
    (r"unknown order", ErrorKind.ORDER_NOT_FOUND),
    (r"order does not exist", ErrorKind.ORDER_NOT_FOUND),
)

SPOT_ERRORS: Final = ErrorTable(
    {
        **_COMMON,
        **_codes(
            {
                # "Server is currently overloaded": it comes with a status of 5xx, after which an order may be there.
                ErrorKind.FATE_UNKNOWN: (-1008,),
                ErrorKind.REFUSED: (-2010, -2011, -2016, -2021, -2022, -2023, -2025),
                ErrorKind.ORDER: (-2038, -2039),
            }
        ),
    },
    messages={
        "-1003": _BANNED,
        # "Messages for -1010 ERROR_MSG_RECEIVED, -2010 NEW_ORDER_REJECTED, and -2011 CANCEL_REJECTED"
        "-2010": _says(
            (r"insufficient balance", ErrorKind.FUNDS),
            (r"duplicate order", ErrorKind.DUPLICATE),
            (r"would immediately (?:match|trigger)", ErrorKind.ORDER),
            (r"would trigger immediately", ErrorKind.ORDER),
            (r"is not (?:valid|enabled|supported)", ErrorKind.ORDER),
            (r"unsupported order combination", ErrorKind.ORDER),
            (r"market is closed", ErrorKind.SYMBOL),
        ),
        "-2011": _UNKNOWN_ORDER,
        "-1010": _says((r"insufficient balance", ErrorKind.FUNDS), (r"unknown order", ErrorKind.ORDER_NOT_FOUND)),
    },
    until=_UNTIL,
    ban_wait=_BAN_WAIT,
)
"""Spot. Its -2010, -2011 and -1013 are told apart only by their words."""

_USDM_OVERLOAD: Final = _says(
    # "503 ... there are three different messages": of the first the fate is unknown, the others failed.
    (r"unknown error, please check your request", ErrorKind.FATE_UNKNOWN),
    (r"service unavailable", ErrorKind.OVERLOAD),
    (r"internal error; unable to process", ErrorKind.OVERLOAD),
    (r"throttled|overload", ErrorKind.OVERLOAD),
)

_USDM_WORDS: Final = _says(
    # Without a code they count only if they are all there is: the pages of gateways have the same words, and a gateway
    # may have handed the order on.
    (r"\A\W*service unavailable\W*\Z", ErrorKind.OVERLOAD),
    (r"\A\W*internal error; unable to process your request(\W+please try again)?\W*\Z", ErrorKind.OVERLOAD),
)

USDM_ERRORS: Final = ErrorTable(
    {
        **_COMMON,
        **_codes({
            ErrorKind.OVERLOAD: (-1008,),
            ErrorKind.AUTHENTICATION: (-4056, -4057, -4087, -4088, -4109),
            ErrorKind.TIMESTAMP: (-5028,),
            ErrorKind.SYMBOL: (-4140, -4141, -4144),
            ErrorKind.ORDER: (
                -1013, -4001, -4002, -4003, -4004, -4005, -4013, -4014, -4015, -4016, -4023, -4024, -4061, -4062,
                -4118, -4120, -4131, -4142, -4164, -4183, -4184, -2021, -2022, -5021, -5022,
            ),
            ErrorKind.FUNDS: (-2018, -2019, -2024, -2027, -4050, -4051),
            ErrorKind.DUPLICATE: (-4116,),
            ErrorKind.REFUSED: (-2010, -2011, -2020, -2023, -2025, -4045, -4192, -4400, -4401, -5026, -5027, -5043),
        }),
    },
    messages={
        "-1003": _BANNED,
        "-1000": _USDM_OVERLOAD,
        "-1001": _USDM_OVERLOAD,
        "-2011": _UNKNOWN_ORDER,
        "-4015": _says((r"client order id.*(?:duplicate|not unique)", ErrorKind.DUPLICATE)),
        "": _USDM_WORDS,
    },
    until=_UNTIL,
    ban_wait=_BAN_WAIT,
)  # fmt: skip
"""USD-M futures. -2021 and -2022 mean something else than on spot."""
