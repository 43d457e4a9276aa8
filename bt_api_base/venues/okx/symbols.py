"""Internal symbols and OKX's: the same texts, once they are spelled in full.

OKX's ``instId`` is what this library calls an instrument anyway: ``"BTC-USDT"``, ``"BTC-USDT-SWAP"``,
``"BTC-USDT-260626"``, ``"BTC-USD-260626-60000-C"``. So nothing is translated in either direction, and a symbol that
nobody asked for needs no table. Swaps may be asked for by their underlying alone.
"""

from __future__ import annotations

import re

from bt_api_base.exceptions import InvalidSymbolError

__all__ = ("parse_symbol",)

_PAIR = r"[^\W_]+-[^\W_]+(_UM)?"  # BTC-USD_UM-SWAP is margined in dollars

_FORMS = {
    "SPOT": (re.compile(r"[^\W_]+-[^\W_]+"), 'base and quote currency, such as "BTC-USDT"'),
    "SWAP": (re.compile(f"{_PAIR}-SWAP"), 'the underlying, such as "BTC-USDT-SWAP" or "BTC-USDT"'),
    "FUTURES": (re.compile(f"{_PAIR}-[0-9]{{6}}"), 'the underlying and the day, such as "BTC-USDT-260626"'),
    "OPTION": (
        re.compile(f"{_PAIR}-[0-9]{{6}}-[0-9.]+-[CP]"),
        'the underlying, the day, the strike and the kind, such as "BTC-USD-260626-60000-C"',
    ),
}
_UNDERLYING = re.compile(_PAIR)


def parse_symbol(exchange_name: str, instrument_type: str, symbol: str) -> str:
    """Read a symbol a user wrote.

    Args:
        exchange_name: The venue, for the error.
        instrument_type: ``"SPOT"``, ``"SWAP"``, ``"FUTURES"`` or ``"OPTION"``.
        symbol: In upper or lower case.

    Returns:
        The internal symbol, which is the venue's too.

    Raises:
        InvalidSymbolError: It cannot be one of this type.
    """
    form, description = _FORMS[instrument_type]
    name = symbol.upper()
    if instrument_type == "SWAP" and _UNDERLYING.fullmatch(name):
        name += "-SWAP"
    if not form.fullmatch(name):
        raise InvalidSymbolError(exchange_name, symbol, f"a symbol of {instrument_type} is {description}")
    return name
