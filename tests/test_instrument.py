"""An instrument rounds to its venue's rules exactly, and knows when it lives."""

from __future__ import annotations

import decimal
from datetime import datetime, timedelta, timezone
from decimal import (
    ROUND_05UP,
    ROUND_CEILING,
    ROUND_DOWN,
    ROUND_FLOOR,
    ROUND_HALF_DOWN,
    ROUND_HALF_EVEN,
    ROUND_HALF_UP,
    ROUND_UP,
    Decimal,
)
from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st

from bt_api_base.containers import AssetType, Instrument, InstrumentStatus, decode_json, encode_json, utc_ns
from bt_api_base.exceptions import ConfigurationError, InvalidOrderError

MODES = (
    ROUND_05UP,
    ROUND_CEILING,
    ROUND_DOWN,
    ROUND_FLOOR,
    ROUND_HALF_DOWN,
    ROUND_HALF_EVEN,
    ROUND_HALF_UP,
    ROUND_UP,
)

HOSTILE = decimal.Context(prec=1, rounding=ROUND_UP, Emax=1, Emin=-1, traps=[decimal.Inexact, decimal.FloatOperation])


def instrument(tick_size: Any = "0.01", step_size: Any = "0.001", **others: Any) -> Instrument:
    """A spot instrument with these rules."""
    return Instrument(
        "BTC-USDT", "BINANCE___SPOT", "BTCUSDT", AssetType.SPOT, tick_size=tick_size, step_size=step_size, **others
    )


# ----------------------------------------------------------------------------------------------------------- quantizing


@pytest.mark.parametrize(
    ("tick", "price", "rounding", "expected"),
    [
        ("0.01", "50000.129", ROUND_FLOOR, "50000.12"),
        ("0.01", "50000.121", ROUND_CEILING, "50000.13"),
        ("0.01", "50000", ROUND_FLOOR, "50000.00"),
        ("0.01000000", "1.239", ROUND_DOWN, "1.23"),
        ("0.25", "4200.30", ROUND_HALF_EVEN, "4200.25"),
        ("0.25", "4200.375", ROUND_HALF_EVEN, "4200.50"),
        ("0.25", "4200.125", ROUND_HALF_EVEN, "4200.00"),
        ("0.05", "0.074", ROUND_HALF_UP, "0.05"),
        ("0.05", "0.075", ROUND_HALF_UP, "0.10"),
        ("0.05", "0.075", ROUND_HALF_DOWN, "0.05"),
        ("0.5", "3", ROUND_UP, "3.0"),
        ("5", "12.4", ROUND_CEILING, "15"),
        ("1E+2", "12345", ROUND_HALF_EVEN, "12300"),
        ("1E-8", "0.000000019", ROUND_DOWN, "0.00000001"),
        ("0.00000001", "3E-7", ROUND_DOWN, "0.00000030"),
        ("0.01", "-37.635", ROUND_FLOOR, "-37.64"),
        ("0.01", "-0.001", ROUND_CEILING, "0.00"),
        (
            "0.01",
            "123456789012345678901234567890123.129",
            ROUND_DOWN,
            "123456789012345678901234567890123.12",
        ),
        ("1E-20", "98765432109876543210.123456789012345678915", ROUND_UP, "98765432109876543210.12345678901234567892"),
        ("0.3", "1", ROUND_HALF_EVEN, "0.9"),
        ("0.01", 1.005, ROUND_HALF_EVEN, "1.00"),
        ("0.01", 0.29, ROUND_DOWN, "0.29"),
        ("0.01", 7, ROUND_DOWN, "7.00"),
        ("0.01", Decimal("0.29"), ROUND_DOWN, "0.29"),
    ],
)
def test_a_price_becomes_a_multiple_of_the_tick(tick: str, price: Any, rounding: str, expected: str) -> None:
    """Any tick, any size, any way of giving the number, in fixed notation and whatever the decimal context."""
    rules = instrument(tick)
    with decimal.localcontext(HOSTILE):
        assert expected == rules.format_price(price, rounding)
        quantized = rules.quantize_price(price, rounding)
    assert Decimal(expected).as_tuple() == quantized.as_tuple()


def test_a_quantity_is_rounded_down_unless_told_otherwise() -> None:
    """Never more than was asked for; the result may be zero."""
    rules = instrument(step_size="0.001")
    assert rules.quantize_quantity("1.2399") == Decimal("1.239")
    assert rules.format_quantity("0.0009") == "0.000"
    assert rules.format_quantity("1.2391", ROUND_UP) == "1.240"
    assert rules.format_quantity(0) == "0.000"


ticks = st.builds(
    lambda coefficient, exponent: Decimal(f"{coefficient}E{exponent}"), st.integers(1, 10**9), st.integers(-18, 6)
)
prices = st.builds(
    lambda coefficient, exponent: Decimal(f"{coefficient}E{exponent}"),
    st.integers(-(10**40), 10**40),
    st.integers(-24, 12),
)


@given(ticks, prices, st.sampled_from(MODES))
def test_rounding_does_what_the_mode_says(tick: Decimal, price: Decimal, rounding: str) -> None:
    """A multiple of the tick, less than one tick away, on the side the mode names, and left alone the second time."""
    rules = instrument(tick)
    quantized = rules.quantize_price(price, rounding)
    exact, result, step = Fraction(price), Fraction(quantized), Fraction(tick)
    multiple, before = result / step, exact / step
    assert multiple.denominator == 1
    assert abs(result - exact) < step
    assert quantized == rules.quantize_price(quantized, rounding)
    # The decimal module itself is the reference, where the quotient is short enough to be exact.
    with decimal.localcontext(decimal.Context(prec=500)):
        if (2**300 * 5**300) % before.denominator == 0:
            quotient = Decimal(before.numerator) / Decimal(before.denominator)
            assert int(quotient.to_integral_value(rounding)) == multiple
    directions = {
        ROUND_FLOOR: result <= exact,
        ROUND_CEILING: result >= exact,
        ROUND_DOWN: abs(result) <= abs(exact),
        ROUND_UP: abs(result) >= abs(exact),
    }
    assert directions.get(rounding, True)
    if "HALF" in rounding:
        assert 2 * abs(result - exact) <= step


@given(ticks, prices)
def test_the_text_has_no_exponent_and_reads_back(tick: Decimal, price: Decimal) -> None:
    """What goes to the venue is the number, written with digits and at most one point."""
    rules = instrument(tick)
    text = rules.format_price(price, ROUND_FLOOR)
    assert not set(text) - set("-.0123456789")
    assert not text.startswith("-0") or float(text) != 0
    assert rules.quantize_price(price, ROUND_FLOOR) == Decimal(text)


@pytest.mark.parametrize("tick", [None, "0", "0.000"])
def test_without_a_rule_there_is_nothing_to_round_to(tick: str | None) -> None:
    """Venues say "no rule" with a zero or not at all: sending the number as it is must be the caller's decision."""
    rules = instrument(tick, tick)
    with pytest.raises(ConfigurationError, match="BINANCE___SPOT BTC-USDT has no tick_size"):
        rules.quantize_price("1", ROUND_DOWN)
    with pytest.raises(ConfigurationError, match="step_size"):
        rules.quantize_quantity("1")


@pytest.mark.parametrize("junk", ["NaN", "abc", "", "1e999", float("nan"), float("inf"), Decimal("sNaN")])
def test_junk_is_an_invalid_order(junk: Any) -> None:
    """The error names venue and symbol."""
    with pytest.raises(InvalidOrderError, match="price is not a finite") as caught:
        instrument().quantize_price(junk, ROUND_DOWN)
    assert (caught.value.exchange_name, caught.value.symbol) == ("BINANCE___SPOT", "BTC-USDT")
    with pytest.raises(InvalidOrderError, match="quantity is not a finite"):
        instrument().format_quantity(junk)


def test_quantities_are_not_negative() -> None:
    """Direction is the side's business."""
    with pytest.raises(InvalidOrderError, match=r"quantity -0\.00000001 is negative"):
        instrument().quantize_quantity("-1E-8")


@pytest.mark.parametrize("junk", [True, None, [1]])
def test_what_is_no_number_is_a_type_error(junk: Any) -> None:
    """A mistake in the program, not in the order."""
    with pytest.raises(TypeError):
        instrument().quantize_price(junk, ROUND_DOWN)


@pytest.mark.parametrize("rounding", [None, "", "DOWN", 1])
def test_an_unknown_rounding_mode_is_refused(rounding: Any) -> None:
    """Above all None, which the decimal module takes for the ambient context's mode."""
    with pytest.raises(ValueError, match="ROUND_CEILING"):
        instrument().quantize_price("1", rounding)


# ------------------------------------------------------------------------------------------------------------ life span

HOUR = 3_600_000_000_000
LISTED, EXPIRY = 10 * HOUR, 20 * HOUR


@pytest.mark.parametrize(
    ("now", "status", "state", "is_listed", "is_expired"),
    [
        (LISTED - 1, "active", "pending", False, False),
        (LISTED, "active", "active", True, False),
        (LISTED, "pending", "active", True, False),
        (EXPIRY - 1, "active", "active", True, False),
        (EXPIRY - 1, "halted", "halted", True, False),
        (EXPIRY - 1, "unknown", "unknown", True, False),
        (EXPIRY, "active", "expired", False, True),
        (EXPIRY, "halted", "expired", False, True),
        (EXPIRY, "settling", "settling", False, True),
        (LISTED, "delisted", "delisted", False, True),
        (LISTED - 1, "delisted", "delisted", False, True),
    ],
)
def test_the_state_is_the_venues_word_corrected_by_the_clock(
    now: int, status: str, state: str, is_listed: bool, is_expired: bool
) -> None:
    """Listing time belongs to the life, expiry no longer."""
    rules = instrument(listing_time=LISTED, expiry=EXPIRY, status=InstrumentStatus(status))
    assert InstrumentStatus(state) is rules.state(now)
    assert (is_listed, is_expired) == (rules.is_listed(now), rules.is_expired(now))
    assert rules.is_active(now) is (state == "active")


def test_without_dates_the_venues_word_stands() -> None:
    """Also when it says that the instrument is not listed yet, and by the computer's clock."""
    assert instrument().is_active()
    assert not instrument().is_expired()
    assert instrument(status=InstrumentStatus.PENDING).state() is InstrumentStatus.PENDING
    assert instrument(expiry=1).is_expired()


def test_moments_are_exact_in_any_time_zone() -> None:
    """A datetime names a moment only with its zone; nanoseconds are found without floats."""
    east = timezone(timedelta(hours=8))
    assert utc_ns(datetime(2026, 6, 26, 16, tzinfo=east)) == 1_782_460_800_000_000_000
    assert utc_ns(datetime(2026, 6, 26, 8, 0, 0, 1, tzinfo=timezone.utc)) == 1_782_460_800_000_001_000
    assert utc_ns(datetime(1969, 12, 31, 23, 59, 59, tzinfo=timezone.utc)) == -1_000_000_000
    with pytest.raises(ValueError, match="no time zone"):
        utc_ns(datetime(2026, 6, 26))  # noqa: DTZ001  (the mistake this is about)


# -------------------------------------------------------------------------------------------------------- construction


def test_the_positional_order_is_the_ecosystems() -> None:
    """Plugins make instruments by these names, in this order."""
    assert Instrument.__struct_fields__[:11] == (
        "internal",
        "venue",
        "venue_symbol",
        "asset_type",
        "base_currency",
        "quote_currency",
        "tick_size",
        "min_qty",
        "max_qty",
        "expiry",
        "status",
    )


def test_numbers_and_words_may_be_given_loosely() -> None:
    """Text, integers and floats become exact decimals, and words become members."""
    loose = Instrument("BTC-USDT", "V", "BTCUSDT", "SPOT", tick_size=0.1, min_qty=1, max_qty="9000.0", status="active")  # type: ignore[arg-type]
    strict = Instrument(
        "BTC-USDT",
        "V",
        "BTCUSDT",
        AssetType.SPOT,
        tick_size=Decimal("0.1"),
        min_qty=Decimal(1),
        max_qty=Decimal(9000),
        status=InstrumentStatus.ACTIVE,
    )
    assert strict == loose
    assert [type(loose.tick_size), type(loose.asset_type)] == [Decimal, AssetType]
    assert loose == decode_json(encode_json(loose))
    assert msgspec.structs.replace(loose, tick_size="0.5").format_price("1.3", ROUND_DOWN) == "1.0"


@pytest.mark.parametrize("name", ["tick_size", "step_size", "min_qty", "max_qty", "min_notional"])
def test_rules_are_not_negative(name: str) -> None:
    """A negative tick would round the wrong way."""
    with pytest.raises(ValueError, match=rf"not below zero - at `\$.{name}`"):
        Instrument("A-B", "V", "AB", AssetType.SPOT, **{name: "-1"})  # type: ignore[arg-type]


@pytest.mark.parametrize("moment", [1.5, "260626", datetime(2026, 6, 26, tzinfo=timezone.utc)])
def test_expiry_is_in_nanoseconds(moment: Any) -> None:
    """Anything else is refused with the name of the converter."""
    with pytest.raises(TypeError, match=r"utc_ns\) - at `\$.expiry`"):
        instrument(expiry=moment)


def test_an_instrument_is_called_like_every_event() -> None:
    """Symbol and exchange_name are other names of internal and venue."""
    assert (instrument().symbol, instrument().exchange_name) == ("BTC-USDT", "BINANCE___SPOT")
