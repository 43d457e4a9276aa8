"""What every event has: where it is from, what it is about, and two clocks."""

from __future__ import annotations

import re

import msgspec

__all__ = ("EventBase",)


def _tag(class_name: str) -> str:
    """Turn a class name into its wire tag: ``OrderBookDelta`` becomes ``order_book_delta``."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", class_name).lower()


class EventBase(msgspec.Struct, frozen=True, gc=False, tag=_tag, tag_field="type"):
    """Fields that every event carries, in this order.

    Construct events positionally where speed matters: it is about twice as fast as by keyword.
    ``gc=False`` is safe because no event can hold a reference to itself: fields are scalars,
    strings, and tuples of those.

    Attributes:
        exchange_name: Venue and asset type, such as ``"BINANCE___SPOT"``.
        symbol: Internal symbol, such as ``"BTC-USDT"``; empty where an event has none.
        server_time: When the venue says it happened, nanoseconds since the epoch (UTC);
            0 where the venue does not say.
        local_time: When the bytes left the socket here, nanoseconds since the epoch (UTC).
    """

    exchange_name: str
    symbol: str
    server_time: int
    local_time: int
