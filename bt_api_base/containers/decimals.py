"""Exact decimal numbers: in from text without rounding, out as text in fixed notation.

``str(Decimal("0.00000001"))`` is ``"1E-8"``, which venues refuse, and arithmetic rounds to whatever the ambient decimal
context says. The functions here do neither: they read and write every digit, whatever the context.
"""

from __future__ import annotations

import decimal
import re
from decimal import Decimal
from functools import lru_cache

__all__ = ("MAX_MAGNITUDE", "decimal_text", "is_reasonable", "quantize", "to_decimal")

MAX_MAGNITUDE = 100
"""Largest accepted power of ten, either way. A 256-bit integer has 78 digits; ``1E+999999`` is an attack on memory."""

_NUMBER_TYPES = (Decimal, str, int)

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,4})?", re.ASCII)

_ROUNDING_MODES = frozenset(name for name in dir(decimal) if name.startswith("ROUND_"))

_CONTEXT = decimal.Context(prec=9, traps=[])
"""For rounding a single digit: its precision is never reached."""


def is_reasonable(value: Decimal) -> bool:
    """Tell whether a decimal is finite and of a magnitude up to ``10 ** MAX_MAGNITUDE`` either way."""
    return value.is_finite() and -MAX_MAGNITUDE <= value.adjusted() <= MAX_MAGNITUDE


def to_decimal(value: Decimal | str | float) -> Decimal:
    """Convert a number without rounding it.

    Args:
        value: A decimal; an integer; text as venues write it (digits, at most one point, an optional exponent); or a
            float, which stands for the shortest text that reads back as the same float: 0.1 becomes exactly 0.1.

    Returns:
        The same number, with its trailing zeros.

    Raises:
        TypeError: It is none of these; a ``bool`` is not a number.
        ValueError: It is not a number, is not finite, or is beyond ``10 ** MAX_MAGNITUDE``.
    """
    if type(value) not in _NUMBER_TYPES and not isinstance(value, float):
        raise TypeError(f"expected Decimal, str, int or float, got {type(value).__name__}")
    # numpy's float64 is a float with a repr of its own.
    text = float.__repr__(value) if isinstance(value, float) else value
    if isinstance(text, str) and not _NUMBER.fullmatch(text):
        raise ValueError(f"not a finite decimal number: {text[:40]!r}")
    number = Decimal(text)
    if not is_reasonable(number):
        raise ValueError(f"not a finite decimal number within 1E±{MAX_MAGNITUDE}: {str(number)[:40]}")
    return number


def decimal_text(value: Decimal) -> str:
    """Write a decimal with all its digits and no exponent: ``"0.00000001"``, never ``"1E-8"``.

    Raises:
        ValueError: It is NaN, infinite, or beyond ``10 ** MAX_MAGNITUDE``.
    """
    if not is_reasonable(value):
        raise ValueError(f"not a finite decimal number within 1E±{MAX_MAGNITUDE}: {str(value)[:40]}")
    return format(value, "f")


@lru_cache(maxsize=4096)
def _scaled(step: Decimal) -> tuple[int, int, int, int]:
    """Return a step as numerator and denominator, and as the smallest ``coefficient / 10 ** places``."""
    numerator, denominator = step.as_integer_ratio()
    places = 0
    while (10**places) % denominator:
        places += 1
    return numerator, denominator, numerator * 10**places // denominator, places


def quantize(value: Decimal, step: Decimal, rounding: str) -> Decimal:
    """Round a number to a multiple of a step.

    The arithmetic is on integers, hence exact for numbers of any size and any step (0.25 and 0.05 as well as 0.01) and
    independent of the decimal context.

    Args:
        value: Any finite number.
        step: A positive number.
        rounding: One of the `decimal` module's rounding modes, such as ``decimal.ROUND_FLOOR``.

    Returns:
        The multiple, with as many decimal places as the step needs; never negative zero.

    Raises:
        ValueError: The rounding mode is unknown.
    """
    if rounding not in _ROUNDING_MODES:
        raise ValueError(f"unknown rounding mode {rounding!r}: use one of {', '.join(sorted(_ROUNDING_MODES))}")
    step_numerator, step_denominator, coefficient, places = _scaled(step)
    numerator, denominator = value.as_integer_ratio()
    denominator *= step_numerator
    multiple, remainder = divmod(abs(numerator) * step_denominator, denominator)
    # Every rounding mode looks at the sign, the last digit, and where the rest lies relative to one half.
    rest = 0 if not remainder else 5 + (2 * remainder > denominator) - (2 * remainder < denominator)
    sign = "-" if numerator < 0 else ""
    last_digit = multiple % 10
    rounded = Decimal(f"{sign}{last_digit}.{rest}").to_integral_value(rounding, _CONTEXT)
    multiple += abs(int(rounded)) - last_digit
    return Decimal(f"{sign if multiple else ''}{multiple * coefficient}E-{places}")
