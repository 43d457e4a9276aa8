"""Internal symbols of contracts and Binance's.

The perpetual ``"BTC-USDT-SWAP"`` is ``"BTCUSDT"``; the delivery contract ``"BTC-USDT-260626"`` is ``"BTCUSDT_260626"``.
"""

from __future__ import annotations

import re

from bt_api_base.exceptions import InvalidSymbolError
from bt_api_base.venues.binance.symbols import SymbolTable, split_venue_symbol

__all__ = ("ContractTable", "parse_contract", "split_contract")

_PERPETUAL = "SWAP"
_COIN_MARGINED_PERPETUAL = "PERP"
_DATE = re.compile(r"[0-9]{6}")


def split_contract(venue_symbol: str) -> str:
    """Turn ``"BTCUSDT"`` into ``"BTC-USDT-SWAP"``, ``"BTCUSDT_260626"`` into ``"BTC-USDT-260626"``.

    What has no known quote asset is returned unchanged.
    """
    pair, _, expiry = venue_symbol.partition("_")
    split = split_venue_symbol(pair)
    if split == pair:
        return venue_symbol
    return f"{split}-{_PERPETUAL if expiry in ('', _COIN_MARGINED_PERPETUAL) else expiry}"


def parse_contract(exchange_name: str, symbol: str) -> tuple[str, str]:
    """Read a contract's symbol as a user wrote it.

    Args:
        exchange_name: The venue, for the error.
        symbol: ``"BTC-USDT-SWAP"``, or ``"BTC-USDT"`` for the same perpetual, or ``"BTC-USDT-260626"`` for a delivery
            contract; in upper or lower case. Binance's own ``"BTCUSDT"`` and ``"BTCUSDT_260626"`` are understood too.

    Returns:
        The internal symbol and the venue's, both in upper case.

    Raises:
        InvalidSymbolError: It is none of these.
    """
    text = symbol.upper()
    if "-" not in text:
        pair, underscore, expiry = text.partition("_")
        if pair.isalnum() and (_DATE.fullmatch(expiry) if underscore else True):
            return split_contract(text), text
    else:
        base, quote, *rest = text.split("-")
        expiry = rest[0] if rest else _PERPETUAL
        if base.isalnum() and quote.isalnum() and len(rest) <= 1:
            if expiry == _PERPETUAL:
                return f"{base}-{quote}-{_PERPETUAL}", base + quote
            if _DATE.fullmatch(expiry):
                return f"{base}-{quote}-{expiry}", f"{base}{quote}_{expiry}"
    raise InvalidSymbolError(
        exchange_name,
        symbol,
        'a contract is base, quote and "SWAP" or a date, such as "BTC-USDT-SWAP" or "BTC-USDT-260626"',
    )


class ContractTable(SymbolTable):
    """Venue symbols and the internal ones they stand for; a miss is split as a contract."""

    split = staticmethod(split_contract)
