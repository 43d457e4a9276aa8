"""From the REST answers of Binance's USD-M futures to containers, where they differ from the spot market's."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from bt_api_base.containers import (
    Account,
    AssetType,
    Balance,
    Fill,
    Instrument,
    InstrumentStatus,
    LiquidityType,
    MarginType,
    Order,
    OrderType,
    Position,
    PositionSide,
    TimeInForce,
    TriggerPriceType,
)
from bt_api_base.venues.binance.convert import nanoseconds
from bt_api_base.venues.binance.private import choose, optional_amount
from bt_api_base.venues.binance.rest_convert import filters, order_moment
from bt_api_base.venues.binance.spot_private import SIDES
from bt_api_base.venues.binance.usdm_convert import EXCHANGE_NAME, STATUSES
from bt_api_base.venues.binance.usdm_private import ORDER_TYPES, POSITION_SIDES, STOPS, TAKE_PROFITS, TRIGGERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bt_api_base.venues.binance import rest_wire as wire
    from bt_api_base.venues.binance.symbols import SymbolTable

__all__ = ("account", "balance", "fill", "instrument", "order", "position")

_NEVER_MS = 4_133_404_800_000
"""Delivery date of contracts that are not delivered: the last day of the century."""

_STATUSES: Mapping[str, InstrumentStatus] = {
    "TRADING": InstrumentStatus.ACTIVE,
    "PENDING_TRADING": InstrumentStatus.PENDING,
    "PRE_DELIVERING": InstrumentStatus.SETTLING,
    "DELIVERING": InstrumentStatus.SETTLING,
    "PRE_SETTLE": InstrumentStatus.SETTLING,
    "SETTLING": InstrumentStatus.SETTLING,
    "DELIVERED": InstrumentStatus.EXPIRED,
    "CLOSE": InstrumentStatus.DELISTED,
}


def _amount(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def instrument(data: wire.SymbolInfo, local_time: int) -> Instrument:
    """Convert a contract. One unit of quantity is one of the base asset; a rule that is switched off is ``None``."""
    rules = filters(data.filters)
    price, lot, notional = rules.get("PRICE_FILTER"), rules.get("LOT_SIZE"), rules.get("MIN_NOTIONAL")
    _, is_dated, expiry = data.symbol.partition("_")
    return Instrument(
        f"{data.base_asset}-{data.quote_asset}-{expiry if is_dated else 'SWAP'}",
        EXCHANGE_NAME,
        data.symbol,
        AssetType.FUTURE if is_dated else AssetType.SWAP,
        data.base_asset,
        data.quote_asset,
        tick_size=optional_amount(price.tick_size) if price else None,
        min_qty=optional_amount(lot.min_qty) if lot else None,
        max_qty=optional_amount(lot.max_qty) if lot else None,
        # A perpetual gets another date than the last one when it is to be delisted.
        expiry=nanoseconds(data.delivery_date) if data.delivery_date and data.delivery_date < _NEVER_MS else None,
        status=_STATUSES.get(data.status, InstrumentStatus.UNKNOWN),
        step_size=optional_amount(lot.step_size) if lot else None,
        min_notional=optional_amount(notional.notional) if notional else None,
        min_price=optional_amount(price.min_price) if price else None,
        max_price=optional_amount(price.max_price) if price else None,
        settle_currency=data.margin_asset,
        contract_unit=data.base_asset,
        listing_time=nanoseconds(data.onboard_date) if data.onboard_date else None,
        local_time=local_time,
    )


def order(data: wire.OrderRow, symbols: SymbolTable, local_time: int, *, placed: bool = False) -> Order:
    """Convert an order.

    Args:
        data: The order.
        symbols: What the venue's symbols are called here.
        local_time: When the answer arrived, nanoseconds since the epoch (UTC).
        placed: Whether it is the answer to placing it: then the time of the answer is the order's.

    Raises:
        FieldError: Its side or its status is a word that nobody knows.
    """
    order_type = ORDER_TYPES.get(data.order_type, OrderType.UNKNOWN)
    origin = ORDER_TYPES.get(data.original_type, OrderType.UNKNOWN) if data.original_type else None
    kind = order_type if origin is None else origin
    stop_price = optional_amount(data.stop_price)
    trigger = TRIGGERS.get(data.working_type, TriggerPriceType.UNKNOWN) if data.working_type else None
    trails = kind is OrderType.TRAILING_STOP
    order_time = data.updated_at if placed else data.order_time
    rate = optional_amount(data.callback_rate) if data.callback_rate is not None and trails else None
    return Order(
        EXCHANGE_NAME,
        symbols[data.symbol],
        order_moment(data),
        local_time,
        str(data.order_id),
        choose(SIDES, data.side, "side"),
        order_type,
        choose(STATUSES, data.status, "status"),
        order_size=optional_amount(data.quantity),
        order_price=optional_amount(data.price),
        order_avg_price=optional_amount(data.average_price),
        executed_qty=Decimal(data.filled_quantity),
        cum_quote=_amount(data.usdm_filled_quote),
        client_order_id=data.client_id or None,
        order_time=nanoseconds(order_time) if order_time >= 0 else None,
        order_time_in_force=TimeInForce(data.time_in_force) if data.time_in_force else None,
        origin_order_type=origin,
        position_side=POSITION_SIDES.get(data.position_side, PositionSide.UNKNOWN) if data.position_side else None,
        reduce_only=data.reduce_only,
        close_position=data.close_position,
        trailing_stop_trigger_price=optional_amount(data.activation_price) if trails else None,
        trailing_stop_callback_rate=None if rate is None else rate.scaleb(-2),
        trailing_stop_trigger_price_type=trigger if trails else None,
        stop_loss_trigger_price=stop_price if kind in STOPS else None,
        stop_loss_trigger_price_type=trigger if kind in STOPS else None,
        take_profit_trigger_price=stop_price if kind in TAKE_PROFITS else None,
        take_profit_trigger_price_type=trigger if kind in TAKE_PROFITS else None,
    )


def fill(row: wire.UsdmFill, symbols: SymbolTable, local_time: int) -> Fill:
    """One of the account's trades. The venue does not repeat the order's client id.

    Raises:
        FieldError: Its side is a word that nobody knows.
    """
    time = nanoseconds(row.time)
    return Fill(
        EXCHANGE_NAME,
        symbols[row.symbol],
        time,
        local_time,
        str(row.id),
        str(row.order_id),
        choose(SIDES, row.side, "side"),
        Decimal(row.price),
        Decimal(row.qty),
        time,
        trade_fee=Decimal(row.commission),
        trade_fee_symbol=row.commission_asset,
        trade_type=LiquidityType.MAKER if row.maker else LiquidityType.TAKER,
        position_side=POSITION_SIDES.get(row.position_side, PositionSide.UNKNOWN),
        realized_pnl=_amount(row.realized_pnl),
    )


def balance(row: wire.UsdmBalance, local_time: int) -> Balance:
    """What the account holds of one asset."""
    return Balance(
        EXCHANGE_NAME,
        row.asset,
        nanoseconds(max(row.update_time, 0)),
        local_time,
        Decimal(row.wallet),
        Decimal(row.available),
        unrealized_profit=_amount(row.unrealized),
        max_withdraw_amount=_amount(row.max_withdraw),
    )


def _asset(row: wire.UsdmAsset, local_time: int) -> Balance:
    return Balance(
        EXCHANGE_NAME,
        row.asset,
        nanoseconds(max(row.update_time, 0)),
        local_time,
        Decimal(row.wallet_balance),
        Decimal(row.available_balance),
        _amount(row.initial_margin),
        _amount(row.unrealized_profit),
        _amount(row.maint_margin),
        _amount(row.open_order_initial_margin),
        max_withdraw_amount=_amount(row.max_withdraw_amount),
    )


def position(row: wire.UsdmPosition, symbols: SymbolTable, local_time: int) -> Position:
    """Convert a position. It is taken for an isolated one if it has a wallet of its own: the venue does not say.

    Raises:
        FieldError: Its side is a word that nobody knows.
    """
    unrealized = row.un_realized_profit if row.un_realized_profit is not None else row.unrealized_profit
    is_isolated = any(amount is not None and optional_amount(amount) for amount in _own_money(row))
    return Position(
        EXCHANGE_NAME,
        symbols[row.symbol],
        nanoseconds(max(row.update_time, 0)),
        local_time,
        choose(POSITION_SIDES, row.position_side, "positionSide"),
        Decimal(row.position_amt),
        optional_amount(row.entry_price) if row.entry_price is not None else None,
        optional_amount(row.mark_price) if row.mark_price is not None else None,
        optional_amount(row.liquidation_price) if row.liquidation_price is not None else None,
        _amount(unrealized),
        margin_type=MarginType.ISOLATED if is_isolated else MarginType.CROSS,
        initial_margin=_amount(row.initial_margin),
        maintain_margin=_amount(row.maint_margin),
        position_initial_margin=_amount(row.position_initial_margin),
        open_order_initial_margin=_amount(row.open_order_initial_margin),
    )


def _own_money(row: wire.UsdmPosition) -> tuple[str | None, str | None]:
    return row.isolated_wallet, row.isolated_margin


def account(data: wire.UsdmAccount, symbols: SymbolTable, local_time: int) -> Account:
    """The account as a whole; its totals are in dollars.

    Raises:
        FieldError: The side of a position is a word that nobody knows.
    """
    balances = [_asset(row, local_time) for row in data.assets]
    positions = [position(row, symbols, local_time) for row in data.positions]
    moments = [event.server_time for event in (*balances, *positions)]
    return Account(
        EXCHANGE_NAME,
        "USD",
        max(moments, default=0),
        local_time,
        max_withdraw_amount=Decimal(data.max_withdraw_amount),
        total_margin=Decimal(data.total_margin_balance),
        total_used_margin=Decimal(data.total_initial_margin),
        total_maintain_margin=Decimal(data.total_maint_margin),
        total_available_margin=Decimal(data.available_balance),
        total_open_order_initial_margin=Decimal(data.total_open_order_initial_margin),
        total_position_initial_margin=Decimal(data.total_position_initial_margin),
        total_unrealized_profit=Decimal(data.total_unrealized_profit),
        total_wallet_balance=Decimal(data.total_wallet_balance),
        balances=tuple(balance for balance in balances if balance.margin),
        positions=tuple(position for position in positions if position.position_volume),
    )
