"""What venues call things in answers about balances, as data.

Names are compared in lower case and without ``_``, ``-`` and blanks: ``available_balance`` is ``availableBalance``.

For each field there are tiers. Names of one tier mean the same: if there are two, they must agree. A later tier is
looked at only where an earlier one says nothing, because it means something a little different.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from bt_api_base.containers.enums import MarginType, PositionSide

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = (
    "ACCOUNT_FLAGS",
    "ACCOUNT_NUMBERS",
    "ACCOUNT_TEXTS",
    "BALANCE_NUMBERS",
    "BALANCE_TEXTS",
    "CURRENCY",
    "IDENTITIES",
    "KINDS",
    "LISTS_OF_BALANCES",
    "LISTS_OF_POSITIONS",
    "MARGIN_TYPES",
    "POSITION_NUMBERS",
    "POSITION_SIDE",
    "POSITION_SIDES",
    "POSITION_SYMBOL",
    "POSITION_TEXTS",
    "WRAPPERS",
    "Tiers",
    "plain_name",
)

Tiers = tuple[tuple[str, ...], ...]


def plain_name(name: str) -> str:
    """Return a name as the tables have it."""
    return name.lower().translate(_NOT_IN_NAMES)


_NOT_IN_NAMES = str.maketrans("", "", "_- ")

CURRENCY: Tiers = (("asset", "ccy", "currency", "coin", "currencycode"), ("symbol",))
"""What a balance is in."""

_EQUITY = ("marginbalance", "eq", "equity", "accountequity")
_UNREALIZED: Tiers = (
    ("unrealizedprofit", "unrealisedprofit", "upl", "unrealizedpnl", "unrealisedpnl", "unpnl", "pnlunrealized"),
    ("crossunpnl",),
)
_MAINTENANCE: Tiers = (("maintmargin", "mmr", "maintainmargin", "maintenancemargin", "totalpositionmm"),)
_ORDER_MARGIN: Tiers = (
    ("openorderinitialmargin", "ordfrozen", "ordfroz", "ordermargin", "totalorderim", "totalopenorderinitialmargin"),
)
_WITHDRAWABLE: Tiers = (
    ("maxwithdrawamount", "maxwithdraw", "withdrawable", "availableforwithdrawal"),
    ("availabletowithdraw",),
)

BALANCE_NUMBERS: Mapping[str, Tiers] = {
    "margin": (("walletbalance", "cashbal", "bal", "balance", "total", "amount", "totalbalance", "margin"),),
    "equity": (_EQUITY,),
    "available_margin": (
        ("free", "available", "availbal", "availablebalance", "availablemargin", "avail", "marginavailable"),
        ("availeq", "availableequity"),
    ),
    "used_margin": (
        (
            "locked",
            "frozen",
            "frozenbal",
            "used",
            "usedmargin",
            "hold",
            "holds",
            "holdtrade",
            "freeze",
            "frozenbalance",
        ),
        ("initialmargin", "imr"),
        ("positioninitialmargin", "positionmargin", "totalpositionim"),
    ),
    "unrealized_profit": _UNREALIZED,
    "maintain_margin": _MAINTENANCE,
    "open_order_initial_margin": _ORDER_MARGIN,
    "max_withdraw_amount": _WITHDRAWABLE,
    "interest": (("interest", "accruedinterest"),),
}
"""Amounts of a balance, by the field of `Balance`; ``equity`` is only what ``margin`` can be made of."""

BALANCE_TEXTS: Mapping[str, Tiers] = {
    "account_type": (("accounttype",),),
    "account_id": (("accountid", "uid"),),
    "fee_tier": (("feetier",),),
}

IDENTITIES: tuple[tuple[str, tuple[str, ...], Decimal], ...] = (
    ("total", ("free", "locked"), Decimal(0)),
    ("total", ("free", "used"), Decimal(0)),
    ("total", ("available", "locked"), Decimal(0)),
    ("total", ("available", "frozen"), Decimal(0)),
    ("total", ("available", "hold"), Decimal(0)),
    ("balance", ("free", "locked"), Decimal(0)),
    ("balance", ("available", "frozen"), Decimal(0)),
    ("balance", ("available", "hold"), Decimal(0)),
    ("bal", ("availbal", "frozenbal"), Decimal(0)),
    # Each of these is rounded by the venue for itself.
    ("marginbalance", ("walletbalance", "unrealizedprofit"), Decimal("1E-8")),
)
"""A whole, its parts, and by how much they may differ. Only what is so by definition is here: OKX's ``eq`` is not the
sum of its ``cashBal`` and ``upl`` where something of it works for a trading bot."""

KINDS: Mapping[str, str] = {"trade": "available", "available": "available", "frozen": "locked", "locked": "locked"}
"""Rows that hold a part of a balance (HTX): by their ``type``, what their ``balance`` is."""

WRAPPERS = ("data", "result", "accounts", "account")
"""What accounts are wrapped in."""

LISTS_OF_BALANCES = ("balances", "details", "assets", "currencies", "coins", "coin", "list")
"""What an account's balances are in."""

LISTS_OF_POSITIONS = ("positions", "position")
"""What its positions are in."""

ACCOUNT_NUMBERS: Mapping[str, Tiers] = {
    "total_margin": (("totalmarginbalance", "totaleq", "totalequity", "totalmargin"), _EQUITY),
    "total_used_margin": (("totalinitialmargin", "imr", "totalusedmargin"),),
    "total_maintain_margin": (("totalmaintmargin", "totalmaintenancemargin", "totalmaintainmargin"), *_MAINTENANCE),
    "total_available_margin": (("totalavailablebalance", "availablebalance", "totalavailablemargin", "availeq"),),
    "total_open_order_initial_margin": _ORDER_MARGIN,
    "total_position_initial_margin": (("totalpositioninitialmargin",),),
    "total_unrealized_profit": (("totalunrealizedprofit", "totalunrealisedpnl", "totalperpupl"), *_UNREALIZED),
    "total_wallet_balance": (("totalwalletbalance",),),
    "max_withdraw_amount": _WITHDRAWABLE,
}
"""Amounts of an account, by the field of `Account`."""

ACCOUNT_FLAGS: Mapping[str, Tiers] = {
    "can_deposit": (("candeposit",),),
    "can_trade": (("cantrade",),),
    "can_withdraw": (("canwithdraw",),),
}
ACCOUNT_TEXTS: Mapping[str, Tiers] = {
    "account_id": (("accountid", "uid"), ("id",)),
    "account_type": (("accounttype",), ("type",)),
    "fee_tier": (("feetier",),),
}

POSITION_SYMBOL: Tiers = (("symbol", "instid", "contract", "instrument", "instrumentid"),)
POSITION_SIDE: Tiers = (("positionside", "posside", "side", "direction"),)
POSITION_SIDES: Mapping[str, PositionSide] = {
    "long": PositionSide.LONG,
    "buy": PositionSide.LONG,
    "short": PositionSide.SHORT,
    "sell": PositionSide.SHORT,
    "both": PositionSide.NET,
    "net": PositionSide.NET,
    "": PositionSide.NET,
    "none": PositionSide.NET,
}
POSITION_NUMBERS: Mapping[str, Tiers] = {
    "position_volume": (("positionamt", "pos", "size", "volume", "positionvolume", "contracts", "positionamount"),),
    "avg_price": (("entryprice", "avgpx", "avgprice", "averageprice"),),
    "mark_price": (("markprice", "markpx"),),
    "liquidation_price": (("liquidationprice", "liqpx", "liqprice"),),
    "position_unrealized_pnl": (_UNREALIZED[0],),
    "position_realized_pnl": (("realizedpnl", "realisedpnl", "realizedprofit", "curealisedpnl"),),
    "leverage": (("leverage", "lever"),),
    "initial_margin": (("initialmargin", "imr", "positionim"),),
    "maintain_margin": (("maintmargin", "mmr", "maintenancemargin", "positionmm"),),
    "position_initial_margin": (("positioninitialmargin",),),
    "open_order_initial_margin": (("openorderinitialmargin",),),
}
POSITION_TEXTS: Mapping[str, Tiers] = {
    "margin_type": (("margintype", "mgnmode", "marginmode"),),
    "position_id": (("positionid", "posid"),),
}
MARGIN_TYPES: Mapping[str, MarginType] = {
    "cross": MarginType.CROSS,
    "crossed": MarginType.CROSS,
    "isolated": MarginType.ISOLATED,
    "cash": MarginType.CASH,
}
