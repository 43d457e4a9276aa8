"""What a consumer has been told of an account, so that it is told everything once.

The same change can be heard of twice: from a stream, and from a query after the stream was interrupted. The ledger
tells which is new. Its memory is bounded: what is done is forgotten, the oldest first.
"""

from __future__ import annotations

from collections import OrderedDict
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import attrs
import msgspec

from bt_api_base.containers import Balance, Event, Fill, Order, Position
from bt_api_base.feeds.order_states import is_later, order_key, with_known

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ("AccountLedger",)


@attrs.define(eq=False)
class AccountLedger:
    """The latest state of orders, balances and positions that was told, and which fills were.

    Attributes:
        max_done: Orders that are done, and fills, that are remembered.
        watermark: The latest venue time of an order or fill that was told, nanoseconds since the epoch (UTC). Balances
            and positions come over other channels, which can be ahead.
        forgotten_until: Venue time up to which fills have been forgotten because there were too many: all of them were
            told.
        symbols: What the account was seen to trade, the latest last.
    """

    max_done: int = 10_000
    watermark: int = 0
    forgotten_until: int = 0
    symbols: OrderedDict[str, None] = attrs.field(factory=OrderedDict[str, None], init=False)
    _open: dict[tuple[str, str], Order] = attrs.field(factory=dict[tuple[str, str], Order], init=False)
    _done: OrderedDict[tuple[str, str], Order] = attrs.field(factory=OrderedDict[tuple[str, str], Order], init=False)
    _fills: OrderedDict[tuple[str, str, str], int] = attrs.field(
        factory=OrderedDict[tuple[str, str, str], int], init=False
    )
    _balances: dict[str, Balance] = attrs.field(factory=dict[str, Balance], init=False)
    _positions: dict[tuple[str, str], Position] = attrs.field(factory=dict[tuple[str, str], Position], init=False)

    @property
    def open_orders(self) -> tuple[Order, ...]:
        """Orders that can still be filled, as they were told last."""
        return tuple(self._open.values())

    def knows(self, order_key: tuple[str, str]) -> bool:
        """Tell whether something was told of an order."""
        return order_key in self._open or order_key in self._done

    def take(self, event: Event) -> Event | None:
        """Return an event that is to be told, or ``None`` if it, or something later, was told already."""
        if isinstance(event, Order):
            return self._take_order(event)
        if isinstance(event, Fill):
            return self._take_fill(event)
        if isinstance(event, Balance):
            return self._take_balance(event)
        if isinstance(event, Position):
            return self._take_position(event)
        return event

    def closed(self, balances: Iterable[Balance], positions: Iterable[Position] | None) -> list[Event]:
        """Return, as zero, what was told before and is not there any more, given all there is now.

        Args:
            balances: What the account holds.
            positions: Its open positions; ``None``: it was not asked.
        """
        held = {balance.currency for balance in balances}
        gone: list[Event] = [
            _emptied(known, margin=Decimal(0), available_margin=Decimal(0), used_margin=Decimal(0))
            for currency, known in self._balances.items()
            if currency not in held and known.margin
        ]
        if positions is not None:
            there = {_position_key(position) for position in positions}
            gone += [
                _emptied(known, position_volume=Decimal(0), position_unrealized_pnl=Decimal(0))
                for key, known in self._positions.items()
                if key not in there and known.position_volume
            ]
        return gone

    def _take_order(self, order: Order) -> Order | None:
        key = order_key(order)
        known = self._open.get(key) or self._done.get(key)
        if known is not None:
            if not is_later(known, order):
                return None
            order = with_known(known, order)
        self._note(order.symbol, order.server_time)
        if order.order_status.is_final:
            self._open.pop(key, None)
            self._done[key] = order
            while len(self._done) > self.max_done:
                self._done.popitem(last=False)
        else:
            self._open[key] = order
        return order

    def _take_fill(self, fill: Fill) -> Fill | None:
        # A trade between two orders of the account has one id, and is a fill of each.
        key = fill.symbol, fill.trade_id, fill.order_id
        if key in self._fills or fill.trade_time <= self.forgotten_until:
            return None
        self._note(fill.symbol, fill.trade_time)
        self._fills[key] = fill.trade_time
        while len(self._fills) > self.max_done:
            _, self.forgotten_until = self._fills.popitem(last=False)
            while self._fills and next(iter(self._fills.values())) <= self.forgotten_until:
                self._fills.popitem(last=False)  # of the same moment, so that a time tells them all
        return fill

    def _take_balance(self, balance: Balance) -> Balance | None:
        known = self._balances.get(balance.currency)
        if known is not None and (_is_older(balance, known) or _same(balance, known)):
            return None
        self._balances[balance.currency] = balance
        return balance

    def _take_position(self, position: Position) -> Position | None:
        key = _position_key(position)
        known = self._positions.get(key)
        if known is None and not position.position_volume:
            return None
        if known is not None and (_is_older(position, known) or _same(position, known)):
            return None
        if position.position_volume:
            self._positions[key] = position
        else:
            self._positions.pop(key, None)
        self._trade(position.symbol)
        return position

    def _note(self, symbol: str, time_ns: int) -> None:
        self.watermark = max(self.watermark, time_ns)
        self._trade(symbol)

    def _trade(self, symbol: str) -> None:
        self.symbols[symbol] = None
        self.symbols.move_to_end(symbol)
        while len(self.symbols) > self.max_done:
            self.symbols.popitem(last=False)


_TIMES = frozenset({"server_time", "local_time"})
_MARKET = frozenset(
    {"mark_price", "position_unrealized_pnl", "unrealized_profit", "liquidation_price", "max_withdraw_amount"}
)
"""What moves with the market, and is no change of the account."""


def _is_older(told: Event, known: Event) -> bool:
    return bool(told.server_time) and told.server_time < known.server_time


def _same(told: Event, known: Event) -> bool:
    """Tell whether two states say the same, as far as both say something."""
    for name in told.__struct_fields__:
        if name in _TIMES or name in _MARKET:
            continue
        new, old = getattr(told, name), getattr(known, name)
        if new is not None and old is not None and new != old:
            return False
    return True


def _position_key(position: Position) -> tuple[str, str]:
    return position.symbol, position.position_side.value


def _emptied(known: Any, **zeros: Decimal) -> Event:  # noqa: ANN401 - a balance or a position
    """Return a state with zeros where the one before had numbers."""
    present = {name: zero for name, zero in zeros.items() if getattr(known, name) is not None}
    emptied: Event = msgspec.structs.replace(known, **present)
    return emptied
