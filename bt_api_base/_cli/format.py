"""Numbers, times and durations as people read them."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bt_api_base._cli.histogram import DurationHistogram

__all__ = ("age", "clock", "duration", "percentiles", "price", "price_decimals", "quantity", "seconds", "timestamp")

_NS_PER_SECOND = 1_000_000_000
_UNITS = (("ns", 1), ("µs", 1_000), ("ms", 1_000_000))
_PERCENTS = (50, 95, 99)
_NONE = "-"


def price_decimals(value: float) -> int:
    """Return how many decimals make six significant digits of a price: at least 2, at most 8."""
    if value == 0.0 or not math.isfinite(value):
        return 2
    return min(8, max(2, 5 - math.floor(math.log10(abs(value)))))


def price(value: float | None, *, like: float | None = None) -> str:
    """Format a price, or a difference of prices with the decimals of the price it is ``like``."""
    if value is None:
        return _NONE
    return f"{value:,.{price_decimals(value if like is None else like)}f}"


def quantity(value: float) -> str:
    """Format a quantity with six digits, or all in front of the point."""
    return f"{value:,.6g}" if value < 100_000 else f"{value:,.0f}"


def age(value_ns: int) -> str:
    """Format how long ago something was, given in nanoseconds, in tenths of a second."""
    return f"{max(0, value_ns) / _NS_PER_SECOND:,.1f} s"


def _unit(value_ns: float) -> tuple[str, int]:
    """Return the unit a duration is best read in, and the nanoseconds it has."""
    size = abs(value_ns)
    return next(((unit, ns) for unit, ns in _UNITS if size < 999.5 * ns), ("s", _NS_PER_SECOND))


def duration(value_ns: float) -> str:
    """Format a duration given in nanoseconds with three digits and its unit: ``"12.3 µs"``."""
    if abs(value_ns) >= 100 * _NS_PER_SECOND:
        return seconds(value_ns / _NS_PER_SECOND)
    unit, unit_ns = _unit(value_ns)
    return f"{value_ns / unit_ns:.3g} {unit}"


def seconds(value: float) -> str:
    """Format a duration given in seconds: ``"0:00:07.5"``."""
    hours, rest = divmod(value, 3600)
    minutes, rest = divmod(rest, 60)
    return f"{int(hours)}:{int(minutes):02}:{math.floor(rest * 10) / 10:04.1f}"


def percentiles(histogram: DurationHistogram) -> str:
    """Format the median and the slow end of durations in one unit: ``"p50 12.1  p95 40.6  p99 97.2 µs"``."""
    values = [histogram.percentile_ns(percent) for percent in _PERCENTS]
    if values[-1] is None:
        return _NONE
    if 2 * histogram.negative > histogram.count:
        return "below zero: clocks disagree"
    unit, unit_ns = _unit(values[-1])
    shown = "  ".join(
        f"p{percent} {(value or 0) / unit_ns:.3g}" for percent, value in zip(_PERCENTS, values, strict=True)
    )
    return f"{shown} {unit}"


def clock(time_ns: int) -> str:
    """Format the time of day (UTC) of a stamp, to the millisecond."""
    return "--:--:--" if not time_ns else _strftime("%H:%M:%S", time_ns)


def timestamp(time_ns: int) -> str:
    """Format date and time (UTC) of a stamp, to the millisecond."""
    return _NONE if not time_ns else _strftime("%Y-%m-%d %H:%M:%S", time_ns)


def _strftime(pattern: str, time_ns: int) -> str:
    whole, rest = divmod(time_ns, _NS_PER_SECOND)
    return f"{time.strftime(pattern, time.gmtime(whole))}.{rest // 1_000_000:03}"
