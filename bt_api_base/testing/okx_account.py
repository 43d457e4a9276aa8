"""An account at the simulated OKX as a test tells of it: what it holds, as the venue prints it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_ORDER: Final[dict[str, str]] = {
    "instType": "SPOT",
    "instId": "BTC-USDT",
    "ordId": "1",
    "clOrdId": "",
    "side": "buy",
    "ordType": "limit",
    "state": "live",
    "px": "60000",
    "sz": "1",
    "tgtCcy": "",
    "tdMode": "cash",
    "accFillSz": "0",
    "avgPx": "0",
    "tradeId": "",
    "fillPx": "",
    "fillSz": "0",
    "fillTime": "",
    "fillFee": "0",
    "fillFeeCcy": "",
    "fillPnl": "0",
    "execType": "",
    "posSide": "",
    "reduceOnly": "false",
    "category": "normal",
    "code": "0",
    "msg": "",
}
_BALANCE: Final = {"ccy": "USDT", "cashBal": "0", "eq": "0", "availBal": "0", "frozenBal": "0", "ordFrozen": "0"}
_POSITION: Final = {
    "instType": "SWAP",
    "instId": "BTC-USDT-SWAP",
    "posId": "1",
    "posSide": "net",
    "pos": "0",
    "avgPx": "",
    "markPx": "",
    "liqPx": "",
    "upl": "0",
    "lever": "3",
    "mgnMode": "cross",
    "imr": "",
    "mmr": "",
}


@attrs.define(eq=False)
class OkxAccount:
    """Balances and positions by their ids, in the venue's own names. Orders are told and not kept."""

    balances: dict[str, dict[str, str]] = attrs.field(factory=dict[str, dict[str, str]])
    """By currency."""
    positions: dict[str, dict[str, str]] = attrs.field(factory=dict[str, dict[str, str]])
    """Open positions, by the venue's id."""
    is_told: bool = False
    """Whether a test has told anything of it: then it is what there is, and what the exchange has is not."""

    def order(self, now_ms: str, fields: Mapping[str, str]) -> dict[str, str]:
        """Return an order; what is not given has a default."""
        order = {**_ORDER, "cTime": now_ms, "uTime": now_ms, **fields}
        if order["tradeId"] and not order["fillTime"]:
            order["fillTime"] = now_ms
        return order

    def balance(self, now_ms: str, fields: Mapping[str, str]) -> dict[str, str]:
        """Change what is held of a currency, and return it."""
        self.is_told = True
        before = self.balances.get(fields.get("ccy", _BALANCE["ccy"]), _BALANCE)
        balance = {**before, **fields, "uTime": now_ms}
        self.balances[balance["ccy"]] = balance
        return balance

    def position(self, now_ms: str, fields: Mapping[str, str]) -> dict[str, str]:
        """Change a position, and return it; it is forgotten once it is closed."""
        self.is_told = True
        before = self.positions.get(fields.get("posId", _POSITION["posId"]), _POSITION)
        position = {**before, **fields, "uTime": now_ms}
        self.positions[position["posId"]] = position
        if float(position["pos"]) == 0:
            del self.positions[position["posId"]]
        return position

    def totals(self, now_ms: str, balances: Sequence[dict[str, str]]) -> dict[str, object]:
        """Return the payload of ``account`` with some balances."""
        return {"uTime": now_ms, "totalEq": "", "imr": "", "mmr": "", "upl": "", "details": list(balances)}


__all__ = ("OkxAccount",)
