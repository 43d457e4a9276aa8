"""Internal symbols and Binance's: ``"BTC-USDT"`` and ``"BTCUSDT"``.

Joining is easy; splitting is not, since Binance writes no separator. A symbol somebody asked for is
remembered as it was asked for; any other is split at the longest quote asset it ends with.
"""

from __future__ import annotations

from bt_api_base.exceptions import InvalidSymbolError

__all__ = ("QUOTE_ASSETS", "SymbolTable", "parse_symbol", "split_venue_symbol")

# fmt: off
QUOTE_ASSETS = frozenset((
    "BTC", "ETH", "BNB", "SOL", "XRP", "TRX", "DOT", "DOGE",
    "USDT", "USDC", "FDUSD", "TUSD", "USD1", "BUSD", "USDP", "USDS", "PAX", "DAI", "VAI", "EURI",
    "USD", "EUR", "GBP", "AUD", "JPY", "TRY", "BRL", "ARS", "COP", "CZK", "MXN", "NGN", "PLN", "RON", "RUB", "UAH",
    "ZAR", "BIDR", "BKRW", "BVND", "GYEN", "IDRT",
))
# fmt: on
"""Assets that something is or was quoted in on Binance spot. Base assets that end like one of these
with a letter before it (AEUR) are left out: ADAEUR is ADA in EUR."""

_LENGTHS = tuple(sorted({len(asset) for asset in QUOTE_ASSETS}, reverse=True))

_MOST_LEARNED = 16384
"""Symbols learned from frames, at most: several times what the venue lists, and a bound if it sends nonsense."""


def split_venue_symbol(venue_symbol: str) -> str:
    """Turn ``"BTCUSDT"`` into ``"BTC-USDT"`` by the longest known quote asset; else return it unchanged."""
    for length in _LENGTHS:
        if venue_symbol[-length:] in QUOTE_ASSETS and len(venue_symbol) > length:
            return f"{venue_symbol[:-length]}-{venue_symbol[-length:]}"
    return venue_symbol


def parse_symbol(exchange_name: str, symbol: str) -> tuple[str, str]:
    """Read a symbol a user wrote.

    Args:
        exchange_name: The venue, for the error.
        symbol: ``"BTC-USDT"``, in upper or lower case; Binance's own ``"BTCUSDT"`` is understood too.

    Returns:
        The internal symbol and the venue's, both in upper case.

    Raises:
        InvalidSymbolError: It is neither.
    """
    base, dash, quote = symbol.upper().partition("-")
    if not base.isalnum() or (dash and not quote.isalnum()):
        raise InvalidSymbolError(
            exchange_name, symbol, 'a spot symbol is base and quote asset with a dash between, such as "BTC-USDT"'
        )
    if not dash:
        return split_venue_symbol(base), base
    return f"{base}-{quote}", base + quote


class SymbolTable(dict[str, str]):
    """Venue symbols and the internal ones they stand for; a miss is split, and remembered."""

    split = staticmethod(split_venue_symbol)

    def __missing__(self, venue_symbol: str) -> str:
        symbol = self.split(venue_symbol)
        if len(self) < _MOST_LEARNED:
            self[venue_symbol] = symbol
        return symbol
