"""What Binance's USD-M futures tell of an account: over REST, and in events when the exchange tells of something."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from bt_api_base.testing.binance_rest_words import (
    eight,
    milliseconds,
    plain,
    side_word,
    status_word,
    time_word,
    type_word,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bt_api_base.testing.exchange import Exchange
    from bt_api_base.testing.exchange_orders import ExchangePosition, OrderChanged
    from bt_api_base.testing.rest_venue import TradingVenue

_ZERO: Final = Decimal(0)
_EXECUTIONS: Final = {
    "new": "NEW",
    "trade": "TRADE",
    "canceled": "CANCELED",
    "expired": "EXPIRED",
    "amended": "AMENDMENT",
}


class UsdmState:
    """What follows from what an exchange holds, in the venue's terms.

    Wallets have all that is free and locked. What is available is what the exchange lets orders have: profits that are
    not realized are no part of it.

    Args:
        venue: Whose exchange it is.
    """

    def __init__(self, venue: TradingVenue) -> None:
        self._venue = venue

    @property
    def _exchange(self) -> Exchange:
        return self._venue.exchange

    def unrealized(self, position: ExchangePosition) -> Decimal:
        """Return what closing a position at the mark price would bring."""
        if not position.volume:
            return _ZERO
        worth = self._exchange.notional(
            position.symbol, self._exchange.reference_price(position.symbol), abs(position.volume)
        )
        gain = worth - position.value
        gains = (position.volume > 0) is not self._exchange.instruments[position.symbol].is_inverse
        return gain if gains else -gain

    def margin(self, position: ExchangePosition) -> Decimal:
        """Return what a position locks."""
        leverage = self._venue.options.get("leverage", 10)
        return position.value / leverage

    def _positions(self, currency: str) -> list[ExchangePosition]:
        instruments = self._exchange.instruments
        return [
            position
            for position in self._exchange.positions.values()
            if instruments[position.symbol].settle_currency == currency
        ]

    def totals(self, currency: str) -> dict[str, Decimal]:
        """Return what there is of a currency."""
        holding, positions = self._exchange.balances[currency], self._positions(currency)
        used = sum((self.margin(position) for position in positions), _ZERO)
        return {
            "wallet": holding.total,
            "free": holding.free,
            "unrealized": sum((self.unrealized(position) for position in positions), _ZERO),
            "initial": holding.locked,
            "position": used,
            "orders": holding.locked - used,
        }

    def balance_rows(self, now_ns: int) -> list[dict[str, Any]]:
        """Return the rows of ``balance``."""
        rows: list[dict[str, Any]] = []
        for currency in self._exchange.balances:
            totals = self.totals(currency)
            available = eight(max(_ZERO, totals["free"]))
            rows.append(
                {
                    "accountAlias": "SgsR",
                    "asset": currency,
                    "balance": eight(totals["wallet"]),
                    "crossWalletBalance": eight(totals["wallet"]),
                    "crossUnPnl": eight(totals["unrealized"]),
                    "availableBalance": available,
                    "maxWithdrawAmount": available,
                    "marginAvailable": True,
                    "updateTime": milliseconds(now_ns),
                }
            )
        return rows

    def account(self, now_ns: int) -> dict[str, Any]:
        """Return the account as a whole; its totals are sums over currencies, which are all worth a dollar."""
        assets = {currency: self.totals(currency) for currency in self._exchange.balances}

        def total(name: str) -> Decimal:
            return sum((totals[name] for totals in assets.values()), _ZERO)

        available = eight(max(_ZERO, total("free")))
        return {
            "totalInitialMargin": eight(total("initial")),
            "totalMaintMargin": eight(None),
            "totalWalletBalance": eight(total("wallet")),
            "totalUnrealizedProfit": eight(total("unrealized")),
            "totalMarginBalance": eight(total("wallet") + total("unrealized")),
            "totalPositionInitialMargin": eight(total("position")),
            "totalOpenOrderInitialMargin": eight(total("orders")),
            "totalCrossWalletBalance": eight(total("wallet")),
            "totalCrossUnPnl": eight(total("unrealized")),
            "availableBalance": available,
            "maxWithdrawAmount": available,
            "assets": [_asset(currency, totals, now_ns) for currency, totals in assets.items()],
            "positions": [
                self._account_position(position) for position in self._exchange.positions.values() if position.volume
            ],
        }

    def _account_position(self, position: ExchangePosition) -> dict[str, Any]:
        return {
            "symbol": self._venue.venue_symbol_of(position.symbol),
            "positionSide": "BOTH",
            "positionAmt": plain(position.volume),
            "unrealizedProfit": eight(self.unrealized(position)),
            "isolatedMargin": "0",
            "notional": eight(self._notional(position)),
            "isolatedWallet": "0",
            "initialMargin": eight(self.margin(position)),
            "maintMargin": "0",
            "updateTime": milliseconds(position.updated_ns),
        }

    def position_rows(self, symbols: Iterable[str]) -> list[dict[str, Any]]:
        """Return the rows of ``positionRisk``: of the symbols that have a position or an order."""
        rows: list[dict[str, Any]] = []
        for symbol in symbols:
            position = self._exchange.positions.get(symbol)
            if (position is None or not position.volume) and not self._exchange.open_orders(symbol):
                continue
            rows.append(self._position_row(symbol, position))
        return rows

    def _position_row(self, symbol: str, position: ExchangePosition | None) -> dict[str, Any]:
        instrument = self._exchange.instruments[symbol]
        has = position is not None and bool(position.volume)
        margin = eight(self.margin(position)) if position is not None else "0"
        return {
            "symbol": self._venue.venue_symbol_of(symbol),
            "positionSide": "BOTH",
            "positionAmt": plain(position.volume if position else None),
            "entryPrice": plain(position.avg_price if position else None),
            "breakEvenPrice": plain(position.avg_price if position else None),
            "markPrice": eight(self._exchange.reference_price(symbol)),
            "unRealizedProfit": eight(self.unrealized(position)) if position else "0",
            "liquidationPrice": "0",
            "isolatedMargin": "0",
            "notional": eight(self._notional(position)) if position is not None and has else "0",
            "marginAsset": instrument.settle_currency,
            "isolatedWallet": "0",
            "initialMargin": margin,
            "maintMargin": "0",
            "positionInitialMargin": margin,
            "openOrderInitialMargin": "0",
            "adl": 0,
            "bidNotional": "0",
            "askNotional": "0",
            "updateTime": milliseconds(position.updated_ns if position else 0),
        }

    def _notional(self, position: ExchangePosition) -> Decimal:
        price = self._exchange.reference_price(position.symbol)
        worth = self._exchange.notional(position.symbol, price, abs(position.volume))
        return worth if position.volume > 0 else -worth

    # Events.

    def order_update(self, event: OrderChanged) -> dict[str, Any]:
        """Return the order of an ``ORDER_TRADE_UPDATE``."""
        order, fill = event.order, event.fill
        update: dict[str, Any] = {
            "s": self._venue.venue_symbol_of(order.symbol),
            "c": order.client_order_id,
            "S": side_word(order.side),
            "o": type_word(order),
            "f": time_word(order.time_in_force),
            "q": plain(order.quantity),
            "p": plain(order.price),
            "ap": plain(order.avg_price),
            "sp": "0",
            "x": _EXECUTIONS[event.execution],
            "X": status_word(order),
            "i": order.order_id,
            "l": plain(fill.quantity if fill else None),
            "z": plain(order.executed),
            "L": plain(fill.price if fill else None),
            "T": milliseconds(order.updated_ns),
            "t": fill.trade_id if fill else 0,
            "b": "0",
            "a": "0",
            "m": fill.is_maker if fill else False,
            "R": order.reduce_only,
            "wt": "CONTRACT_PRICE",
            "ot": type_word(order),
            "ps": "BOTH",
            "cp": False,
            "rp": plain(fill.realized_pnl if fill else None),
            "pP": False,
            "si": 0,
            "ss": 0,
            "V": "EXPIRE_MAKER",
            "pm": "NONE",
            "gtd": 0,
        }
        if fill is not None:
            update |= {"N": fill.fee_currency, "n": plain(fill.fee)}
        return update

    def position_update(self, symbol: str) -> dict[str, str]:
        """Return a position of an ``ACCOUNT_UPDATE``."""
        position = self._exchange.positions[symbol]
        return {
            "s": self._venue.venue_symbol_of(symbol),
            "pa": plain(position.volume),
            "ep": plain(position.avg_price),
            "bep": plain(position.avg_price),
            "cr": plain(position.realized),
            "up": plain(self.unrealized(position)),
            "mt": "cross",
            "iw": "0",
            "ps": "BOTH",
        }


def _asset(currency: str, totals: dict[str, Decimal], now_ns: int) -> dict[str, Any]:
    available = eight(max(_ZERO, totals["free"]))
    return {
        "asset": currency,
        "walletBalance": eight(totals["wallet"]),
        "unrealizedProfit": eight(totals["unrealized"]),
        "marginBalance": eight(totals["wallet"] + totals["unrealized"]),
        "maintMargin": "0",
        "initialMargin": eight(totals["initial"]),
        "positionInitialMargin": eight(totals["position"]),
        "openOrderInitialMargin": eight(totals["orders"]),
        "crossWalletBalance": eight(totals["wallet"]),
        "crossUnPnl": eight(totals["unrealized"]),
        "availableBalance": available,
        "maxWithdrawAmount": available,
        "updateTime": milliseconds(now_ns),
    }


__all__ = ("UsdmState",)
