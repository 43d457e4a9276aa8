"""From Binance's REST answers to containers, where both markets tell the same, and for spot.

What the venue's words mean is in the tables of the streams (`bt_api_base.venues.binance.spot_private`), so that an
order is the same whether it was asked for or came by itself.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from bt_api_base.containers import (
    Account,
    AssetType,
    Balance,
    Bar,
    Fill,
    Instrument,
    InstrumentStatus,
    LiquidityType,
    Order,
    OrderBook,
    OrderType,
    Side,
    Tick,
    TimeInForce,
    Trade,
)
from bt_api_base.venues.binance.convert import EXCHANGE_NAME, nanoseconds
from bt_api_base.venues.binance.private import choose, exact_sum, optional_amount
from bt_api_base.venues.binance.spot_private import ORDER_TYPES, SIDES, STATUSES, STOPS, TAKE_PROFITS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bt_api_base.venues.binance import rest_wire as wire
    from bt_api_base.venues.binance.symbols import SymbolTable

__all__ = (
    "account",
    "aggregate_trade",
    "balances",
    "bar",
    "book_ticker",
    "fill",
    "filters",
    "instrument",
    "order",
    "order_book",
    "order_fills",
    "order_moment",
    "ticker_24h",
    "trade",
)

_SPOT_STATUSES: Mapping[str, InstrumentStatus] = {
    "TRADING": InstrumentStatus.ACTIVE,
    "PRE_TRADING": InstrumentStatus.PENDING,
    "HALT": InstrumentStatus.HALTED,
    "BREAK": InstrumentStatus.HALTED,
    "CANCEL_ONLY": InstrumentStatus.HALTED,
    "POST_TRADING": InstrumentStatus.HALTED,
    "END_OF_DAY": InstrumentStatus.HALTED,
    "AUCTION_MATCH": InstrumentStatus.HALTED,
}


def filters(rows: Iterable[wire.Filter]) -> dict[str, wire.Filter]:
    """Return a symbol's filters by their type."""
    return {row.filter_type: row for row in rows}


def instrument(data: wire.SymbolInfo, server_time: int, local_time: int) -> Instrument:
    """Convert a symbol of spot. A rule that is switched off (zero) is ``None``."""
    rules = filters(data.filters)
    price, lot = rules.get("PRICE_FILTER"), rules.get("LOT_SIZE")
    notional = rules.get("NOTIONAL") or rules.get("MIN_NOTIONAL")
    return Instrument(
        f"{data.base_asset}-{data.quote_asset}",
        EXCHANGE_NAME,
        data.symbol,
        AssetType.SPOT,
        data.base_asset,
        data.quote_asset,
        tick_size=optional_amount(price.tick_size) if price else None,
        min_qty=optional_amount(lot.min_qty) if lot else None,
        max_qty=optional_amount(lot.max_qty) if lot else None,
        status=_SPOT_STATUSES.get(data.status, InstrumentStatus.UNKNOWN),
        step_size=optional_amount(lot.step_size) if lot else None,
        min_notional=optional_amount(notional.min_notional) if notional else None,
        max_notional=optional_amount(notional.max_notional) if notional else None,
        min_price=optional_amount(price.min_price) if price else None,
        max_price=optional_amount(price.max_price) if price else None,
        server_time=server_time,
        local_time=local_time,
    )


def ticker_24h(data: wire.Ticker24h, exchange_name: str, symbol: str, local_time: int) -> Tick:
    """The last trade and the last 24 hours, and on spot the best bid and ask."""
    return Tick(
        exchange_name,
        symbol,
        nanoseconds(data.close_time),
        local_time,
        data.bid_price,
        data.ask_price,
        data.bid_qty,
        data.ask_qty,
        data.last_price,
        data.last_qty,
        data.open_price,
        data.high_price,
        data.low_price,
        data.volume,
        data.quote_volume,
    )


def book_ticker(data: wire.BookTicker, exchange_name: str, symbol: str, local_time: int) -> Tick:
    """Best bid and ask."""
    return Tick(
        exchange_name,
        symbol,
        nanoseconds(data.time),
        local_time,
        data.bid_price,
        data.ask_price,
        data.bid_qty,
        data.ask_qty,
    )


def order_book(data: wire.Depth, exchange_name: str, symbol: str, count: int, local_time: int) -> OrderBook:
    """The best levels, at most this many."""
    return OrderBook(
        exchange_name,
        symbol,
        nanoseconds(data.event_time),
        local_time,
        data.bids[:count],
        data.asks[:count],
        data.update_id,
    )


def bar(row: wire.KlineRow, exchange_name: str, symbol: str, period: str, local_time: int, *, now_ns: int) -> Bar:
    """One bar. It is closed once ``now_ns``, the time at the venue, is past its last millisecond."""
    close_time = nanoseconds(row.close_time)
    return Bar(
        exchange_name,
        symbol,
        0,
        local_time,
        period,
        nanoseconds(row.open_time),
        close_time,
        row.open_price,
        row.high_price,
        row.low_price,
        row.close_price,
        row.volume,
        row.turnover,
        row.trade_count,
        row.taker_buy_volume,
        row.taker_buy_turnover,
        now_ns > close_time,
    )


def trade(row: wire.Trade, exchange_name: str, symbol: str, local_time: int) -> Trade:
    """One public trade."""
    time = nanoseconds(row.time)
    return Trade(
        exchange_name,
        symbol,
        time,
        local_time,
        str(row.trade_id),
        row.price,
        row.volume,
        Side.SELL if row.buyer_is_maker else Side.BUY,
        time,
    )


def aggregate_trade(row: wire.AggregateTrade, exchange_name: str, symbol: str, local_time: int) -> Trade:
    """Several trades of one taker order, with the ids of the first and the last."""
    time = nanoseconds(row.time)
    return Trade(
        exchange_name,
        symbol,
        time,
        local_time,
        str(row.aggregate_id),
        row.price,
        row.volume,
        Side.SELL if row.buyer_is_maker else Side.BUY,
        time,
        str(row.first_trade_id),
        str(row.last_trade_id),
    )


def order_moment(data: wire.OrderRow) -> int:
    """Return when the order was as the answer says, nanoseconds since the epoch (UTC); 0 if it does not say."""
    return nanoseconds(max(data.updated_at, data.transacted_at, data.order_time, 0))


def order(data: wire.OrderRow, symbols: SymbolTable, local_time: int, *, placed: bool = False) -> Order:
    """Convert an order of spot.

    Args:
        data: The order.
        symbols: What the venue's symbols are called here.
        local_time: When the answer arrived, nanoseconds since the epoch (UTC).
        placed: Whether it is the answer to placing it: then the time of the answer is the order's.

    Raises:
        FieldError: Its side or its status is a word that nobody knows.
    """
    order_type = ORDER_TYPES.get(data.order_type, OrderType.UNKNOWN)
    stop_price = optional_amount(data.stop_price)
    order_time = data.transacted_at if placed else data.order_time
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
        executed_qty=Decimal(data.filled_quantity),
        cum_quote=_filled_quote(data.filled_quote),
        client_order_id=data.original_client_id or data.client_id or None,
        order_time=nanoseconds(order_time) if order_time >= 0 else None,
        order_time_in_force=TimeInForce(data.time_in_force) if data.time_in_force else None,
        # In hundredths of a percent.
        trailing_stop_callback_rate=None if data.trailing_delta is None else Decimal(data.trailing_delta).scaleb(-4),
        stop_loss_trigger_price=stop_price if order_type in STOPS else None,
        take_profit_trigger_price=stop_price if order_type in TAKE_PROFITS else None,
    )


def _filled_quote(text: str | None) -> Decimal | None:
    """Read the filled amount, which is negative for orders of before the venue kept it."""
    if text is None:
        return None
    amount = Decimal(text)
    return amount if amount >= 0 else None


def order_fills(data: wire.OrderRow, symbols: SymbolTable, local_time: int) -> tuple[Fill, ...]:
    """The fills in the answer to a new order: what it took on arriving.

    Raises:
        FieldError: Its side is a word that nobody knows.
    """
    side: Side = choose(SIDES, data.side, "side")
    time = order_moment(data)
    return tuple(
        Fill(
            EXCHANGE_NAME,
            symbols[data.symbol],
            time,
            local_time,
            str(row.trade_id),
            str(data.order_id),
            side,
            Decimal(row.price),
            Decimal(row.qty),
            time,
            client_order_id=data.client_id or None,
            trade_fee=Decimal(row.commission),
            trade_fee_symbol=row.commission_asset,
            trade_type=LiquidityType.TAKER,
        )
        for row in data.fills
    )


def fill(row: wire.FillRow, symbols: SymbolTable, local_time: int) -> Fill:
    """One of the account's trades. The venue does not repeat the order's client id."""
    time = nanoseconds(row.time)
    return Fill(
        EXCHANGE_NAME,
        symbols[row.symbol],
        time,
        local_time,
        str(row.id),
        str(row.order_id),
        Side.BUY if row.is_buyer else Side.SELL,
        Decimal(row.price),
        Decimal(row.qty),
        time,
        trade_fee=Decimal(row.commission),
        trade_fee_symbol=row.commission_asset,
        trade_type=LiquidityType.MAKER if row.is_maker else LiquidityType.TAKER,
    )


def balances(data: wire.AccountInfo, local_time: int) -> list[Balance]:
    """What the account holds, by currency, without those it has nothing of."""
    time = nanoseconds(max(data.update_time, 0))
    account_id = None if data.uid is None else str(data.uid)
    rows = (
        Balance(
            EXCHANGE_NAME,
            row.asset,
            time,
            local_time,
            exact_sum(row.free, row.locked),
            Decimal(row.free),
            Decimal(row.locked),
            account_type=data.account_type or None,
            account_id=account_id,
        )
        for row in data.balances
    )
    return [balance for balance in rows if balance.margin]


def account(data: wire.AccountInfo, local_time: int) -> Account:
    """The account as a whole."""
    rates = data.commission_rates
    return Account(
        EXCHANGE_NAME,
        "",
        nanoseconds(max(data.update_time, 0)),
        local_time,
        None if data.uid is None else str(data.uid),
        data.account_type or None,
        data.can_deposit,
        data.can_trade,
        data.can_withdraw,
        spot_maker_commission_rate=None if rates is None else Decimal(rates.maker),
        spot_taker_commission_rate=None if rates is None else Decimal(rates.taker),
        balances=tuple(balances(data, local_time)),
    )
