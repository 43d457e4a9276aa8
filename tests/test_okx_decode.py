"""OKX: from frames to events, field by field."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from bt_api_base.containers import (
    Account,
    Balance,
    Bar,
    Event,
    Fill,
    FundingRate,
    Liquidation,
    LiquidityType,
    MarginType,
    MarkPrice,
    Order,
    OrderBook,
    OrderBookDelta,
    OrderStatus,
    OrderType,
    Position,
    PositionSide,
    Side,
    Tick,
    TimeInForce,
    Trade,
    TriggerPriceType,
)
from bt_api_base.exceptions import DataParseError
from bt_api_base.venues.okx import OkxSpotAdapter, OkxSwapAdapter
from bt_api_base.venues.okx.bars import BarKind, close_time
from tests.okx_frames import handmade

MS = 1_000_000
SPOT = ("OKX___SPOT", "BTC-USDT")
SWAP = ("OKX___SWAP", "BTC-USDT-SWAP")


def at(milliseconds: int) -> tuple[int, int]:
    """Return both times of an event that left the socket at 5: the venue's, given since November 2023, and ours."""
    return (1_700_000_000_000 + milliseconds) * MS, 5


def spot(name: str, line: int) -> tuple[str | None, tuple[Any, ...]]:
    """Decode a hand-made frame as spot."""
    key, items = OkxSpotAdapter().decode_frame(handmade(name)[line], 5)
    return key, tuple(items)


def swap(name: str, line: int) -> tuple[str | None, tuple[Any, ...]]:
    """Decode a hand-made frame as a swap."""
    key, items = OkxSwapAdapter().decode_frame(handmade(name)[line], 5)
    return key, tuple(items)


def test_ticker_of_spot() -> None:
    """Best bid and ask, the last trade, 24 hours; the turnover is in the quote currency."""
    tick = Tick(
        *SPOT, *at(1), 37000.1, 37000.2, 0.25, 1.5, 37000.1, 0.005, 36000.0, 37500.5, 35900.3, 10000.25, 370000000.5
    )
    assert ("tickers:BTC-USDT", (tick,)) == spot("tickers", 0)


def test_ticker_of_a_swap() -> None:
    """What is empty is None; the volume stays in contracts, and there is no turnover in the quote currency."""
    tick = Tick(*SWAP, *at(2), 37009.9, None, 12.0, None, 37010.0, 3.0, 36000.0, 37500.5, 35900.3, 100025.0, None)
    assert ("tickers:BTC-USDT-SWAP", (tick,)) == swap("tickers", 1)


def test_trades_of_one_taker() -> None:
    """Of several trades at one price the venue tells the last one's id; of one, it is the first's too."""
    several = Trade(*SPOT, *at(3), "501", 37000.1, 0.005, Side.BUY, at(3)[0], None, "501")
    one = Trade(*SPOT, *at(4), "502", 37000.0, 0.1, Side.SELL, at(4)[0], "502", "502")
    assert ("trades:BTC-USDT", (several,)) == spot("trades", 0)
    assert ("trades:BTC-USDT", (one,)) == spot("trades", 1)


def test_single_trades() -> None:
    """A trade that is none of several has no first and last."""
    trade = Trade(*SPOT, *at(5), "503", 37000.0, 0.2, Side.SELL, at(5)[0])
    assert ("trades-all:BTC-USDT", (trade,)) == spot("trades", 2)


def test_books_by_differences() -> None:
    """A snapshot, a change, a sign of life, and a change after which the venue counts from a lower number."""
    snapshot = OrderBook(*SPOT, *at(10), ((37000.1, 0.25), (36999.9, 4.0)), ((37000.2, 1.5), (37000.5, 2.0)), 1000)
    change = OrderBookDelta(*SPOT, *at(110), ((37000.3, 0.7),), ((37000.2, 0.0),), 1007, 1007, 1000)
    alive = OrderBookDelta(*SPOT, *at(60_110), (), (), 1007, 1007, 1007)
    reset = OrderBookDelta(*SPOT, *at(60_210), (), ((37000.4, 1.0),), 3, 3, 1007)
    expected: list[Event] = [snapshot, change, alive, reset]
    assert [("books:BTC-USDT", (event,)) for event in expected] == [spot("books", line) for line in range(4)]


def test_best_levels() -> None:
    """Five levels or one; a side may be empty."""
    five = OrderBook(*SPOT, *at(10), ((37000.1, 0.25),), ((37000.2, 1.5),), 1000)
    one = OrderBook(*SPOT, *at(11), (), ((37000.2, 1.5),), 1001)
    assert ("books5:BTC-USDT", (five,)) == spot("books", 4)
    assert ("bbo-tbt:BTC-USDT", (one,)) == spot("books", 5)


def test_bars() -> None:
    """A bar ends with its last millisecond, which is ours to compute; it is closed when the venue confirms it."""
    numbers = (37000.0, 37010.5, 36990.0, 37005.0, 12.5, 462000.25)
    open_bar = Bar(*SPOT, 0, 5, "1m", 1700000040000 * MS, 1700000099999 * MS, *numbers)
    assert ("candle1m:BTC-USDT", (open_bar,)) == spot("candles", 0)
    numbers = (36500.0, 37500.0, 36000.0, 37000.0, 1000.0, 370000.0)
    day = Bar(*SWAP, 0, 5, "1d", 1699920000000 * MS, 1700006399999 * MS, *numbers, is_closed=True)
    assert ("candle1Dutc:BTC-USDT-SWAP", (day,)) == swap("candles", 1)


@pytest.mark.parametrize(
    ("kind", "opened", "closed"),
    [
        (BarKind("1s"), 1700000000000, 1700000000999),
        (BarKind("4h"), 1699992000000, 1700006399999),
        (BarKind("1w"), 1699833600000, 1700438399999),
        (BarKind("1M"), 1706745600000, 1709251199999),  # February 2024
        (BarKind("3M"), 1696118400000, 1704067199999),  # the last quarter of 2023
        (BarKind("1M", "+08:00"), 1706716800000, 1709222399999),
    ],
)
def test_bars_end_with_the_calendar(kind: BarKind, opened: int, closed: int) -> None:
    """Months have the length they have, in the time zone that the venue counts them in."""
    assert closed * MS == close_time(kind, opened * MS)


def test_derivatives() -> None:
    """Mark price, funding rate and liquidations."""
    assert ("mark-price:BTC-USDT-SWAP", (MarkPrice(*SWAP, *at(20), 37001.5),)) == swap("derivatives", 0)
    rate = FundingRate(
        *SWAP,
        *at(30),
        -0.0001,
        1700006400000 * MS,
        next_funding_time=1700035200000 * MS,
        settlement_funding_rate=0.00015,
        settlement_status="settled",
        max_funding_rate=0.00375,
        min_funding_rate=-0.00375,
        method="current_period",
    )
    assert ("funding-rate:BTC-USDT-SWAP", (rate,)) == swap("derivatives", 1)
    name = ("OKX___SWAP", "FOO-USDT-SWAP")
    liquidations = (
        Liquidation(*name, *at(40), Side.BUY, 0.0078, 13.0, at(40)[0], PositionSide.SHORT),
        Liquidation(*name, *at(41), Side.SELL, 0.0079, 2.0, at(41)[0], PositionSide.NET),
    )
    assert ("liquidation-orders:SWAP", liquidations) == swap("derivatives", 2)


def test_a_new_order() -> None:
    """A post-only limit order with a stop loss at market; nothing is filled, so there is no average price."""
    order = Order(
        *SPOT,
        *at(101),
        "900",
        Side.BUY,
        OrderType.LIMIT_MAKER,
        OrderStatus.ACCEPTED,
        Decimal("0.5"),
        Decimal("37000.1"),
        executed_qty=Decimal(0),
        client_order_id="mine1",
        order_time=at(100)[0],
        order_time_in_force=TimeInForce.GTX,
        reduce_only=False,
        stop_loss_trigger_price=Decimal(36000),
        stop_loss_trigger_price_type=TriggerPriceType.MARK,
    )
    assert ("orders:SPOT", (order,)) == spot("orders", 0)


def test_a_fill_follows_its_order() -> None:
    """What was traded comes after the order's new state; a fee that was charged is positive here."""
    key, (order, fill) = spot("orders", 1)
    assert "orders:SPOT" == key
    assert (OrderStatus.PARTIAL, Decimal("0.2"), Decimal("37000.1"), "7001") == (
        order.order_status,
        order.executed_qty,
        order.order_avg_price,
        order.trade_id,
    )
    expected = Fill(
        *SPOT,
        *at(201),
        "7001",
        "900",
        Side.BUY,
        Decimal("37000.1"),
        Decimal("0.2"),
        at(200)[0],
        "mine1",
        Decimal("0.00002"),
        "BTC",
        LiquidityType.MAKER,
        trade_accumulate_volume=Decimal("0.2"),
        realized_pnl=Decimal(0),
    )
    assert expected == fill


def test_an_order_of_the_venues_own() -> None:
    """A liquidation is told by its category; a rebate is a negative fee; market orders have no price."""
    key, (order, fill) = swap("orders", 2)
    assert "orders:SWAP" == key
    assert (OrderType.LIQUIDATION, None, Decimal(3), True, PositionSide.LONG) == (
        order.order_type,
        order.order_price,
        order.order_size,
        order.reduce_only,
        order.position_side,
    )
    assert (Decimal("-0.01"), LiquidityType.TAKER, Decimal("1.5")) == (
        fill.trade_fee,
        fill.trade_type,
        fill.realized_pnl,
    )


def test_a_repeated_fill_has_the_same_ids() -> None:
    """The venue may repeat a message at another time: a fill is told by its order and trade."""
    adapter = OkxSwapAdapter()
    frame = handmade("orders")[2]
    fills = [adapter.decode(one, 5)[1] for one in (frame, frame.replace(b"1700000000301", b"1700000000305"))]
    assert fills[0] != fills[1]
    assert 1 == len({(fill.symbol, fill.order_id, fill.trade_id) for fill in fills if isinstance(fill, Fill)})


@pytest.mark.parametrize(
    ("fields", "size"),
    [
        ({"ordType": "market", "side": "buy"}, None),
        ({"ordType": "market", "side": "buy", "tgtCcy": "quote_ccy"}, None),
        ({"ordType": "market", "side": "buy", "tgtCcy": "base_ccy"}, Decimal("0.5")),
        ({"ordType": "market", "side": "sell"}, Decimal("0.5")),
        ({"ordType": "market", "side": "buy", "instType": "SWAP"}, Decimal("0.5")),
        ({"ordType": "limit", "side": "buy"}, Decimal("0.5")),
    ],
)
def test_an_amount_is_no_quantity(fields: dict[str, str], size: Decimal | None) -> None:
    """A market buy of spot is by amount unless it says otherwise: then there is no ordered quantity."""
    message = json.loads(handmade("orders")[0])
    message["data"][0].update(fields)
    order = OkxSpotAdapter().decode(json.dumps(message))[0]
    assert isinstance(order, Order)
    assert size == order.order_size


@pytest.mark.parametrize(
    ("word", "order_type", "time_in_force"),
    [
        ("market", OrderType.MARKET, None),
        ("limit", OrderType.LIMIT, TimeInForce.GTC),
        ("fok", OrderType.LIMIT, TimeInForce.FOK),
        ("ioc", OrderType.LIMIT, TimeInForce.IOC),
        ("optimal_limit_ioc", OrderType.MARKET, TimeInForce.IOC),
        ("a_new_type", OrderType.UNKNOWN, None),
    ],
)
def test_kinds_of_orders(word: str, order_type: OrderType, time_in_force: TimeInForce | None) -> None:
    """The time in force is part of the venue's type; a type nobody knows yet is no error."""
    frame = handmade("orders")[0].replace(b"post_only", word.encode())
    order = OkxSpotAdapter().decode(frame)[0]
    assert isinstance(order, Order)
    assert (order_type, time_in_force) == (order.order_type, order.order_time_in_force)


def test_an_unknown_state_of_an_order_is_an_error() -> None:
    """What a program acts on is never guessed."""
    with pytest.raises(DataParseError, match="unknown state of an order: 'melted'") as caught:
        OkxSpotAdapter().decode(handmade("orders")[0].replace(b'"live"', b'"melted"'))
    assert ("orders", "state") == (caught.value.channel, caught.value.field)


def test_an_account() -> None:
    """The totals in dollars with the balances inside, then each balance by itself, exact to the last digit."""
    key, (account, bitcoin, dollars) = spot("account", 0)
    assert "account" == key
    assert (
        Balance(
            "OKX___SPOT",
            "BTC",
            *at(390),
            Decimal("1.00000001"),
            Decimal("0.9"),
            Decimal("0.1"),
            Decimal(0),
            open_order_initial_margin=Decimal("0.05"),
            account_id="42",
        )
        == bitcoin
    )
    assert Decimal("4750.426970691436") == dollars.margin
    expected = Account(
        "OKX___SPOT",
        "USD",
        *at(400),
        "42",
        total_margin=Decimal("41624.32"),
        total_used_margin=Decimal("4162.33"),
        total_maintain_margin=Decimal(4),
        total_open_order_initial_margin=Decimal("10.5"),
        total_unrealized_profit=Decimal("-1.25"),
        balances=(bitcoin, dollars),
    )
    assert expected == account


def test_positions() -> None:
    """A short position of hedge mode has a positive size; fees paid are positive, funding paid is negative."""
    expected = Position(
        *SWAP,
        *at(500),
        PositionSide.SHORT,
        Decimal(3),
        Decimal(37000),
        Decimal("37001.5"),
        Decimal("41000.25"),
        Decimal("-0.045"),
        Decimal("0.5"),
        Decimal("0.3"),
        Decimal("-0.02"),
        Decimal(10),
        MarginType.ISOLATED,
        initial_margin=Decimal("11.1"),
        maintain_margin=Decimal("0.4"),
        position_id="307",
        account_id="42",
    )
    assert ("positions:SWAP", (expected,)) == swap("positions", 0)


def test_balances_and_positions() -> None:
    """What an event changed: balances first, then positions, whose net size has a sign."""
    key, (balance, position) = swap("positions", 1)
    assert "balance_and_position" == key
    assert ("USDT", Decimal(100), at(590)[0]) == (balance.currency, balance.margin, balance.server_time)
    assert (PositionSide.NET, Decimal(-2), at(591)[0]) == (
        position.position_side,
        position.position_volume,
        position.server_time,
    )


# -- who a frame is for -----------------------------------------------------------------------------


def test_an_account_number_does_not_hide_the_channel() -> None:
    """Private frames name the account beside the channel, in whatever order: the key is the one that was asked for."""
    adapter = OkxSwapAdapter()
    channel = adapter.channel("order", "BTC-USDT")
    adapter.subscribe_frame(1, [channel])
    frame = handmade("orders")[2]
    arguments = (
        b'{"channel":"orders","instType":"SWAP","instId":"BTC-USDT-SWAP","uid":"42"}',
        b'{"uid":"42","instId":"BTC-USDT-SWAP","instType":"SWAP","channel":"orders"}',
        b'{ "channel": "orders", "instType": "SWAP", "instId": "BTC-USDT-SWAP" }',
    )
    for argument in arguments * 2:
        one = frame.replace(b'{"channel":"orders","instType":"SWAP","uid":"42"}', argument)
        assert one != frame
        assert channel.key == adapter.decode_frame(one, 5)[0]


def test_a_payload_about_another_instrument_keeps_its_name() -> None:
    """Numbers are never passed off as those of the channel's instrument."""
    adapter = OkxSpotAdapter()
    adapter.subscribe_frame(1, [adapter.channel("trade", "ETH-USDT")])
    frame = handmade("trades")[0].replace(b'"instId":"BTC-USDT"}', b'"instId":"ETH-USDT"}', 1)
    key, (trade,) = adapter.decode_frame(frame, 5)
    assert ("trades:ETH-USDT", "BTC-USDT") == (key, trade.symbol)  # type: ignore[union-attr]


def test_text_is_as_good_as_bytes() -> None:
    """A frame may come as text."""
    for name in ("tickers", "trades", "books", "orders", "control"):
        for frame in handmade(name):
            assert OkxSpotAdapter().decode_frame(frame, 5) == OkxSpotAdapter().decode_frame(frame.decode(), 5)


def test_a_second_frame_is_read_as_the_first() -> None:
    """What an adapter learns from a frame changes nothing about the next."""
    for name in ("tickers", "trades", "books", "candles", "derivatives", "account", "positions"):
        adapter = OkxSwapAdapter()
        for frame in handmade(name):
            assert adapter.decode_frame(frame, 5) == adapter.decode_frame(frame, 5)


# -- what is wrong ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        (b'"37000.1"', b'"nan"', "px"),
        (b'"37000.1"', b'"-1"', "px"),
        (b'"37000.1"', b'"1e31"', "px"),
        (b'"buy"', b'"both"', "side"),
        (b'"1700000000003"', b'"soon"', "ts"),
        (b'"tradeId":"501",', b"", "tradeId"),
        (b'"501"', b"501", "tradeId"),
    ],
)
def test_the_error_names_channel_and_field(old: bytes, new: bytes, field: str) -> None:
    """A bad frame is an error that says where it is bad, and shows how it begins."""
    frame = handmade("trades")[0].replace(old, new)
    with pytest.raises(DataParseError) as caught:
        OkxSpotAdapter().decode(frame)
    assert ("OKX___SPOT", "trades:BTC-USDT", field) == (
        caught.value.exchange_name,
        caught.value.channel,
        caught.value.field,
    )


@pytest.mark.parametrize(
    ("name", "line", "old", "new", "field"),
    [
        ("orders", 1, b'"sz":"0.5"', b'"sz":"NaN"', "sz"),
        ("orders", 1, b'"fillPx":"37000.1"', b'"fillPx":""', "fillPx"),
        ("orders", 1, b'"avgPx":"37000.1"', b'"avgPx":"1e999"', "avgPx"),
        ("account", 0, b'"1.00000001"', b'""', "cashBal"),
        ("positions", 0, b'"pos":"3"', b'"pos":"three"', "pos"),
    ],
)
def test_money_is_exact_or_an_error(name: str, line: int, old: bytes, new: bytes, field: str) -> None:
    """No number about money is guessed, rounded or left out."""
    with pytest.raises(DataParseError) as caught:
        OkxSpotAdapter().decode(handmade(name)[line].replace(old, new))
    assert field == caught.value.field
