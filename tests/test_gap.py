"""The event that says where data is missing."""

from __future__ import annotations

import pytest

from bt_api_base.containers import (
    Gap,
    GapReason,
    decode_json,
    decode_msgpack,
    encode_json,
    encode_msgpack,
    event_name,
)

HEAD = ("BINANCE___SPOT", "BTC-USDT", 0, 5, 3, 5)


def test_what_is_not_known_is_left_out() -> None:
    """A gap after an interruption knows when and why, and the wire carries no more than that."""
    gap = Gap(*HEAD, GapReason.DISCONNECTED)
    assert (
        b'{"type":"gap","exchange_name":"BINANCE___SPOT","symbol":"BTC-USDT","server_time":0,"local_time":5,"since":3,'
        b'"until":5,"reason":"disconnected"}'
    ) == encode_json(gap)
    assert (False, "", None, None, None) == (
        gap.recoverable,
        gap.topic,
        gap.first_missing,
        gap.last_missing,
        gap.missing,
    )


@pytest.mark.parametrize("reason", GapReason)
def test_survives_both_forms(reason: GapReason) -> None:
    """Each reason and every field, as text and as MessagePack."""
    gap = Gap(*HEAD, reason, True, "trade", 7, 9, 3)
    assert gap == decode_json(encode_json(gap)) == decode_msgpack(encode_msgpack(gap))


def test_a_reason_of_tomorrow_can_be_read_today() -> None:
    """That data is missing counts more than why."""
    line = encode_json(Gap(*HEAD, GapReason.SEQUENCE)).replace(b'"sequence"', b'"solar flare"')
    gap = decode_json(line)
    assert isinstance(gap, Gap)
    assert GapReason.UNKNOWN is gap.reason


def test_goes_over_the_bus_beside_the_data() -> None:
    """Whoever listens to one market's gaps knows the name."""
    gap = Gap(*HEAD, GapReason.OVERFLOW)
    assert "gap.BINANCE___SPOT.BTC-USDT" == event_name(gap)
