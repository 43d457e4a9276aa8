"""Instruments are found by internal symbol and by venue symbol, and both always agree."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given, strategies as st

from bt_api_base.containers import AssetType, Instrument, InstrumentStatus
from bt_api_base.exceptions import InvalidSymbolError
from bt_api_base.instrument_manager import InstrumentManager, get_instrument_manager

SPOT = Instrument("BTC-USDT", "BINANCE___SPOT", "BTCUSDT", AssetType.SPOT, "BTC", "USDT")
SWAP = Instrument("BTC-USDT-SWAP", "BINANCE___SWAP", "BTCUSDT", AssetType.SWAP, "BTC", "USDT")
FUTURE = Instrument("BTC-USD-260626", "OKX___FUTURE", "BTC-USD-260626", AssetType.FUTURE, "BTC", "USD", expiry=1_000)
HALTED = Instrument("ETH-USDT", "OKX___SPOT", "ETH-USDT", AssetType.SPOT, "ETH", "USDT", status=InstrumentStatus.HALTED)
OKX_SPOT = Instrument("BTC-USDT", "OKX___SPOT", "BTC-USDT", AssetType.SPOT, "BTC", "USDT")


@pytest.fixture
def manager() -> InstrumentManager:
    """A manager with four instruments, whose internal symbols differ."""
    manager = InstrumentManager()
    manager.register_many([SPOT, SWAP, FUTURE, HALTED])
    return manager


def test_an_instrument_is_found_by_either_name(manager: InstrumentManager) -> None:
    """The same venue symbol at two venues names two instruments."""
    assert SPOT == manager.get("BTC-USDT")
    assert SPOT == manager.get_by_venue("BINANCE___SPOT", "BTCUSDT")
    assert SWAP == manager.get_by_venue("BINANCE___SWAP", "BTCUSDT")
    assert manager.to_internal("BINANCE___SWAP", "BTCUSDT") == "BTC-USDT-SWAP"
    assert manager.to_venue_symbol("BTC-USDT-SWAP") == "BTCUSDT"


def test_an_unknown_name_is_none_to_get_and_an_error_to_translate(manager: InstrumentManager) -> None:
    """Looking asks a question; translating needs an answer."""
    assert manager.get("DOGE-USDT") is None
    assert manager.get("BTC-USDT", "OKX___SPOT") is None
    assert manager.get_by_venue("BINANCE___SPOT", "DOGEUSDT") is None
    with pytest.raises(InvalidSymbolError, match="DOGEUSDT"):
        manager.to_internal("BINANCE___SPOT", "DOGEUSDT")
    with pytest.raises(InvalidSymbolError, match="DOGE-USDT"):
        manager.to_venue_symbol("DOGE-USDT", "BINANCE___SPOT")


def test_a_symbol_of_two_venues_needs_the_venue(manager: InstrumentManager) -> None:
    """The manager never guesses at which venue to trade."""
    manager.register(OKX_SPOT)
    assert manager.to_venue_symbol("BTC-USDT", "OKX___SPOT") == "BTC-USDT"
    assert manager.to_venue_symbol("BTC-USDT", "BINANCE___SPOT") == "BTCUSDT"
    for ambiguous in (manager.get, manager.to_venue_symbol):
        with pytest.raises(InvalidSymbolError, match="BINANCE___SPOT, OKX___SPOT"):
            ambiguous("BTC-USDT")


def test_registering_again_replaces_both_indexes() -> None:
    """A renamed instrument is no longer found by its old name, from either side."""
    manager = InstrumentManager()
    manager.register(SPOT)
    renamed = Instrument("BTC-USDT", "BINANCE___SPOT", "XBTUSDT", AssetType.SPOT)
    manager.register(renamed)
    assert manager.get_by_venue("BINANCE___SPOT", "BTCUSDT") is None
    assert renamed == manager.get("BTC-USDT")
    moved = Instrument("XBT-USDT", "BINANCE___SPOT", "XBTUSDT", AssetType.SPOT)
    manager.register(moved)
    assert manager.get("BTC-USDT") is None
    assert moved == manager.get_by_venue("BINANCE___SPOT", "XBTUSDT")
    assert manager.count() == 1
    assert manager.all_internals() == ["XBT-USDT"]


def test_listing_and_clearing(manager: InstrumentManager) -> None:
    """Names are listed sorted and once; clearing leaves nothing."""
    manager.register(OKX_SPOT)
    assert manager.all_internals() == ["BTC-USD-260626", "BTC-USDT", "BTC-USDT-SWAP", "ETH-USDT"]
    assert manager.all_venues() == ["BINANCE___SPOT", "BINANCE___SWAP", "OKX___FUTURE", "OKX___SPOT"]
    assert manager.count() == 5
    assert repr(manager) == "<InstrumentManager: 5 instruments at 4 venues>"
    manager.clear()
    assert (manager.count(), manager.all_internals(), manager.all_venues()) == (0, [], [])


@pytest.mark.parametrize(
    ("criteria", "expected"),
    [
        ({}, [SPOT, SWAP]),
        ({"active_only": False}, [SPOT, SWAP, FUTURE, HALTED]),
        ({"now_ns": 999}, [SPOT, SWAP, FUTURE]),
        ({"venue": "OKX___SPOT", "active_only": False}, [HALTED]),
        ({"venue": "NOWHERE"}, []),
        ({"underlying": "BTC", "now_ns": 0}, [SPOT, SWAP, FUTURE]),
        ({"underlying": "BTC-USD", "now_ns": 0}, [FUTURE]),
        ({"asset_type": AssetType.SWAP}, [SWAP]),
        ({"venue": "BINANCE___SPOT", "asset_type": AssetType.SWAP}, []),
    ],
)
def test_find_combines_its_criteria(manager: InstrumentManager, criteria: dict, expected: list[Instrument]) -> None:
    """Everything given must match; what cannot be traded is left out by default."""
    assert expected == manager.find(**criteria)


names = st.sampled_from("abc")


@given(st.lists(st.builds(Instrument, names, names, names, st.just(AssetType.SPOT))))
def test_the_two_indexes_agree(instruments: list[Instrument]) -> None:
    """Whatever is registered in whatever order: each instrument is found under both names, and only there."""
    manager = InstrumentManager()
    for instrument in instruments:
        manager.register(instrument)
    found = manager.find()
    assert len(found) == manager.count()
    for instrument in found:
        assert instrument is manager.get(instrument.internal, instrument.venue)
        assert instrument is manager.get_by_venue(instrument.venue, instrument.venue_symbol)
    assert sorted({instrument.internal for instrument in found}) == manager.all_internals()
    assert sorted({instrument.venue for instrument in found}) == manager.all_venues()
    if instruments:
        assert instruments[-1] in found


def test_threads_may_register_and_look_up_together() -> None:
    """Every thread's instruments are all there in the end, and readers never meet a half-made index."""
    manager = InstrumentManager()
    errors: list[Exception] = []

    def work(venue: str) -> None:
        try:
            for number in range(200):
                manager.register(Instrument(f"S{number}", venue, str(number), AssetType.SPOT))
                assert manager.to_internal(venue, str(number)) == f"S{number}"
                manager.find(venue)
        except Exception as error:  # noqa: BLE001  (handed to the main thread)
            errors.append(error)

    threads = [threading.Thread(target=work, args=(f"V{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert manager.count() == 800


def test_the_process_shares_one_manager() -> None:
    """Everybody who asks gets the same manager."""
    assert get_instrument_manager() is get_instrument_manager()
