"""OKX's bars: what they are called, and when they end.

Source: OKX v5 API documentation, "Candlesticks channel". From six hours up there are two of each: one whose days begin
at midnight in UTC+8 (``candle1D``), and one by UTC (``candle1Dutc``). Here UTC is the default, as it is elsewhere.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ("CANDLES", "INTERVALS", "TIMEZONES", "BarKind", "close_time")

_MINUTE = 60
_HOUR = 3600
_DAY = 86_400

_LENGTHS: Mapping[str, tuple[str, int]] = {
    "1s": ("1s", 1),
    "1m": ("1m", _MINUTE),
    "3m": ("3m", 3 * _MINUTE),
    "5m": ("5m", 5 * _MINUTE),
    "15m": ("15m", 15 * _MINUTE),
    "30m": ("30m", 30 * _MINUTE),
    "1h": ("1H", _HOUR),
    "2h": ("2H", 2 * _HOUR),
    "4h": ("4H", 4 * _HOUR),
    "6h": ("6H", 6 * _HOUR),
    "12h": ("12H", 12 * _HOUR),
    "1d": ("1D", _DAY),
    "2d": ("2D", 2 * _DAY),
    "3d": ("3D", 3 * _DAY),
    "5d": ("5D", 5 * _DAY),
    "1w": ("1W", 7 * _DAY),
    "1M": ("1M", 0),
    "3M": ("3M", 0),
}
"""Intervals in the ecosystem's notation: the venue's own, and their length in seconds; 0: months, of any length."""

_MONTHS = {"1M": 1, "3M": 3}

_SHORTEST_OF_TWO = 6 * _HOUR
"""From this length up, it matters where a day begins."""

INTERVALS = tuple(_LENGTHS)
TIMEZONES = ("UTC", "+08:00")
_SHIFTS = {"UTC": timedelta(), "+08:00": timedelta(hours=8)}

_MS = 1_000_000


@attrs.frozen
class BarKind:
    """An interval, and where its days begin.

    Attributes:
        interval: In the ecosystem's notation: ``"1m"``, ``"4h"``, ``"1d"``.
        timezone: ``"UTC"`` or ``"+08:00"``.
    """

    interval: str
    timezone: str = "UTC"


def _candles() -> dict[tuple[str, ...], str]:
    names: dict[tuple[str, ...], str] = {}
    for interval, (name, length) in _LENGTHS.items():
        has_two = length >= _SHORTEST_OF_TWO or not length
        names[interval, "UTC"] = f"candle{name}utc" if has_two else f"candle{name}"
        names[interval, "+08:00"] = f"candle{name}"
    return names


CANDLES: Mapping[tuple[str, ...], str] = _candles()
"""The venue's channels, by interval and time zone."""


def close_time(kind: BarKind, open_time_ns: int) -> int:
    """Return the last millisecond of a bar, which the venue does not give, nanoseconds since the epoch (UTC)."""
    length = _LENGTHS[kind.interval][1]
    if length:
        return open_time_ns + length * 1_000_000_000 - _MS
    begin = datetime.fromtimestamp(open_time_ns // 1_000_000_000, timezone.utc) + _SHIFTS[kind.timezone]
    month = begin.month - 1 + _MONTHS[kind.interval]
    end = begin.replace(year=begin.year + month // 12, month=month % 12 + 1, day=1, hour=0, minute=0, second=0)
    return int((end - _SHIFTS[kind.timezone]).timestamp()) * 1_000_000_000 - _MS
