"""Look-up of instruments: internal symbol to venue symbol and back.

An internal symbol such as ``"BTC-USDT"`` is the same at every venue, so an instrument is known by venue *and* internal
symbol, and by venue *and* venue symbol. Venues are named with their asset type, ``"BINANCE___SPOT"``.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import attrs

from bt_api_base.exceptions import InvalidSymbolError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bt_api_base.containers import AssetType, Instrument

__all__ = ("InstrumentManager", "get_instrument_manager")


def _index() -> dict[str, dict[str, Instrument]]:
    return {}


@attrs.define(eq=False, repr=False)
class InstrumentManager:
    """The instruments of any number of venues. Every method may be called from any thread."""

    _by_internal: dict[str, dict[str, Instrument]] = attrs.field(factory=_index, init=False)
    """Internal symbol, then venue."""
    _by_venue: dict[str, dict[str, Instrument]] = attrs.field(factory=_index, init=False)
    """Venue, then venue symbol."""
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.count()} instruments at {len(self.all_venues())} venues>"

    def register(self, instrument: Instrument) -> None:
        """Add an instrument, in place of those with the same internal or venue symbol at its venue."""
        self.register_many((instrument,))

    def register_many(self, instruments: Iterable[Instrument]) -> None:
        """Add instruments as `register` does; other threads see none of them or all."""
        batch = tuple(instruments)
        with self._lock:
            for instrument in batch:
                self._remove(self._by_internal.get(instrument.internal, {}).get(instrument.venue))
                self._remove(self._by_venue.get(instrument.venue, {}).get(instrument.venue_symbol))
                self._by_internal.setdefault(instrument.internal, {})[instrument.venue] = instrument
                self._by_venue.setdefault(instrument.venue, {})[instrument.venue_symbol] = instrument

    def get(self, internal: str, venue: str | None = None) -> Instrument | None:
        """Look an instrument up by its internal symbol.

        Args:
            internal: Such as ``"BTC-USDT"``.
            venue: Such as ``"BINANCE___SPOT"``; ``None`` where only one venue has the symbol.

        Returns:
            The instrument, or ``None`` if it is not registered.

        Raises:
            InvalidSymbolError: Several venues have the symbol, and none is named: a guess could trade at the wrong one.
        """
        with self._lock:
            venues = self._by_internal.get(internal, {})
            if venue is not None:
                return venues.get(venue)
            if len(venues) > 1:
                raise InvalidSymbolError("", internal, f"name the venue: {', '.join(sorted(venues))}")
            return next(iter(venues.values()), None)

    def get_by_venue(self, venue: str, venue_symbol: str) -> Instrument | None:
        """Look an instrument up by what its venue calls it; ``None`` if it is not registered."""
        with self._lock:
            return self._by_venue.get(venue, {}).get(venue_symbol)

    def find(
        self,
        venue: str | None = None,
        underlying: str | None = None,
        asset_type: AssetType | None = None,
        *,
        active_only: bool = True,
        now_ns: int | None = None,
    ) -> list[Instrument]:
        """List the instruments that match everything given, in the order of registration within a venue.

        Args:
            venue: Venue, such as ``"OKX___OPTION"``.
            underlying: Base currency (``"BTC"``), or base and quote currency (``"BTC-USDT"``).
            asset_type: What it is.
            active_only: Leave out what cannot be traded at the time: halted, expired, not yet listed, state unknown.
            now_ns: That time, nanoseconds since the epoch (UTC); ``None``: the computer's clock.
        """
        now = time.time_ns() if now_ns is None else now_ns
        with self._lock:
            groups = self._by_venue.values() if venue is None else (self._by_venue.get(venue, {}),)
            candidates = [instrument for group in groups for instrument in group.values()]
        return [
            instrument
            for instrument in candidates
            if (underlying is None or underlying in _underlyings(instrument))
            and (asset_type is None or asset_type == instrument.asset_type)
            and (not active_only or instrument.is_active(now))
        ]

    def to_internal(self, venue: str, venue_symbol: str) -> str:
        """Translate a venue's symbol into the internal one.

        Raises:
            InvalidSymbolError: The venue has no such instrument here.
        """
        instrument = self.get_by_venue(venue, venue_symbol)
        if instrument is None:
            raise InvalidSymbolError(venue, venue_symbol, "not registered")
        return instrument.internal

    def to_venue_symbol(self, internal: str, venue: str | None = None) -> str:
        """Translate an internal symbol into the venue's.

        Args:
            internal: Such as ``"BTC-USDT"``.
            venue: Such as ``"BINANCE___SPOT"``; ``None`` where only one venue has the symbol.

        Raises:
            InvalidSymbolError: It is not registered, or several venues have it and none is named.
        """
        instrument = self.get(internal, venue)
        if instrument is None:
            raise InvalidSymbolError(venue or "", internal, "not registered")
        return instrument.venue_symbol

    def all_internals(self) -> list[str]:
        """List the internal symbols, sorted, each once."""
        with self._lock:
            return sorted(self._by_internal)

    def all_venues(self) -> list[str]:
        """List the venues that have instruments, sorted."""
        with self._lock:
            return sorted(self._by_venue)

    def count(self) -> int:
        """Return the number of instruments."""
        with self._lock:
            return sum(map(len, self._by_venue.values()))

    def clear(self) -> None:
        """Forget all instruments."""
        with self._lock:
            self._by_internal.clear()
            self._by_venue.clear()

    def _remove(self, instrument: Instrument | None) -> None:
        """Take an instrument out of both indexes, and what became empty with it."""
        if instrument is None:
            return
        for index, outer, inner in (
            (self._by_internal, instrument.internal, instrument.venue),
            (self._by_venue, instrument.venue, instrument.venue_symbol),
        ):
            del index[outer][inner]
            if not index[outer]:
                del index[outer]


def _underlyings(instrument: Instrument) -> tuple[str, str]:
    return instrument.base_currency, f"{instrument.base_currency}-{instrument.quote_currency}"


_MANAGER = InstrumentManager()


def get_instrument_manager() -> InstrumentManager:
    """Return the manager that the whole process shares."""
    return _MANAGER
