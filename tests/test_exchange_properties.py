"""What holds for a simulated exchange whatever is done to it: money, priority, times in force, and repeatability."""

from __future__ import annotations

from contextlib import suppress
from decimal import ROUND_CEILING, Decimal
from typing import TYPE_CHECKING

import attrs
import pytest
from hypothesis import given, settings, strategies as st

from bt_api_base.containers.decimals import quantize
from bt_api_base.containers.enums import OrderStatus, OrderType, Side, TimeInForce
from bt_api_base.testing.exchange import (
    ATOM,
    Exchange,
    ExchangeEvent,
    ExchangeOrder,
    NewOrder,
    OrderChanged,
    Rejection,
    market_instrument,
)
from bt_api_base.testing.exchange_rules import units
from bt_api_base.testing.market import Market, MarketSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

SPOT = MarketSpec("BTC-USDT", 61_837_63000000, 1_000_000, 1_000, 20)
SWAP = MarketSpec("BTC-USDT-SWAP", 61_837_63000000, 1_000_000, 1_000_000, 20)
DEPOSITS = {"USDT": Decimal(20_000), "BTC": Decimal("0.3")}
ZERO = Decimal(0)


@attrs.frozen
class Action:
    """Something that is done: an order is placed, amended or canceled, or the crowd goes on."""

    kind: str
    side: Side
    ticks: int
    """How far the price is from the touch, to the worse for who waits in the book if negative."""
    lots: int
    time_in_force: TimeInForce
    is_post_only: bool
    reduce_only: bool
    name: str
    steps: int


actions = st.builds(
    Action,
    st.sampled_from(["limit"] * 5 + ["market", "quote", "cancel", "cancel all", "amend", "amend"] + ["crowd"] * 6),
    st.sampled_from(Side),
    st.integers(-30, 30),
    st.integers(1, 25_000),
    st.sampled_from([TimeInForce.GTC, TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK, TimeInForce.GTX]),
    st.sampled_from([False, False, False, True]),
    st.sampled_from([False, False, True]),
    st.sampled_from(["", "", "a", "b", "c"]),
    st.integers(1, 12),
)
scripts = st.lists(actions, min_size=1, max_size=25)


class Witness:
    """An exchange, and who looks at everything that it does.

    Args:
        spec: Its market.
        seed: The market's.
    """

    def __init__(self, spec: MarketSpec, seed: int) -> None:
        self.symbol = spec.symbol
        self.market = Market(spec, seed=seed)
        self.now_ns = 1_000
        self.events: list[str] = []
        self.amended: set[int] = set()
        self.exchange = Exchange(
            {self.symbol: self.market},
            {self.symbol: market_instrument(spec, "TEST___SPOT", contract_multiplier="0.01")},
            clock_ns=lambda: self.now_ns,
            balances=DEPOSITS,
            derivatives=spec is SWAP,
            maker_fee="0.0007",
            taker_fee="0.0013",
            on_event=self.see,
            leverage=3,
        )

    def see(self, event: ExchangeEvent) -> None:
        """Check what holds at each moment at which something is told."""
        self.events.append(repr(event))
        if not isinstance(event, OrderChanged):
            return
        order = event.order
        assert ZERO <= order.executed <= order.quantity
        if event.fill is not None and event.fill.is_maker:
            for other in self.exchange.open_orders(order.symbol):
                assert other.side is not order.side or other is order or not came_before(other, order)

    def run(self, script: list[Action]) -> Iterator[None]:
        """Do what a script says, and stop after each action."""
        for action in script:
            self.now_ns += 1_000_000
            with suppress(Rejection):
                self.do(action)
            yield

    def pick(self, action: Action) -> int:
        """Choose one of the open orders, or name one that does not exist."""
        orders = self.exchange.open_orders(self.symbol)
        return orders[action.lots % len(orders)].order_id if orders else 1

    def do(self, action: Action) -> None:
        """Do one thing."""
        exchange, symbol = self.exchange, self.symbol
        step = exchange.instruments[symbol].step_size or ATOM
        quantity = step * action.lots
        best = self.market.best
        touch = best.bid_price if action.side is Side.BUY else best.ask_price
        price = units(touch + (action.ticks if action.side is Side.BUY else -action.ticks) * self.market.spec.tick)
        if action.kind == "limit":
            kind = OrderType.LIMIT_MAKER if action.is_post_only else OrderType.LIMIT
            time = TimeInForce.GTC if action.is_post_only else action.time_in_force
            exchange.place(
                NewOrder(
                    symbol,
                    action.side,
                    kind,
                    quantity,
                    price,
                    time,
                    reduce_only=action.reduce_only and exchange.derivatives,
                    client_order_id=action.name,
                )
            )
        elif action.kind == "market":
            exchange.place(NewOrder(symbol, action.side, OrderType.MARKET, quantity, client_order_id=action.name))
        elif action.kind == "quote":
            quote = Decimal(action.lots)
            exchange.place(NewOrder(symbol, action.side, OrderType.MARKET, quote_quantity=quote))
        elif action.kind == "cancel":
            exchange.cancel(symbol, order_id=self.pick(action))
        elif action.kind == "cancel all":
            exchange.cancel_all(symbol)
        elif action.kind == "amend":
            order_id = self.pick(action)
            self.amended.add(order_id)
            exchange.amend(symbol, order_id=order_id, quantity=quantity, price=price)
        else:
            for _ in range(action.steps):
                self.now_ns += 1_000_000
                exchange.on_step(symbol, self.market.step(self.now_ns // 1_000))


def came_before(order: ExchangeOrder, other: ExchangeOrder) -> bool:
    """Tell whether an open order has a right to be filled before another of its side."""
    assert order.price is not None
    assert other.price is not None
    better = order.price > other.price if order.side is Side.BUY else order.price < other.price
    return better or (order.price == other.price and order.priority < other.priority)


def needed_at_spot(exchange: Exchange) -> dict[str, Decimal]:
    """Return what the open orders of a spot market need, by currency."""
    needed = {"USDT": ZERO, "BTC": ZERO}
    for order in exchange.open_orders():
        assert order.price is not None
        if order.side is Side.BUY:
            needed["USDT"] += order.price * order.remaining
        else:
            needed["BTC"] += order.remaining
    return needed


def needed_margin(exchange: Exchange, symbol: str) -> Decimal:
    """Return what the position and the open orders of a symbol lock, by the rule in words."""
    position = exchange.positions.get(symbol)
    value, volume = (ZERO, ZERO) if position is None else (position.value, position.volume)
    opening = ZERO
    for side, against in ((Side.BUY, max(ZERO, -volume)), (Side.SELL, max(ZERO, volume))):
        closing = against
        first = [order for order in exchange.open_orders(symbol) if order.side is side]
        first.sort(key=lambda order: -(order.price or ZERO) if order.side is Side.BUY else (order.price or ZERO))
        for order in first:
            assert order.price is not None
            covered = min(closing, order.remaining)
            closing -= covered
            if not order.reduce_only:
                opening += order.price * (order.remaining - covered) * Decimal("0.01")
    return quantize((value + opening) / 3 + opening * Decimal("0.0013"), ATOM, ROUND_CEILING)


@settings(max_examples=60, deadline=None)
@given(scripts, st.integers(1, 1_000))
def test_a_spot_account_is_exact(script: list[Action], seed: int) -> None:
    """No money comes or goes, what is locked is what open orders need, and nothing is ever negative."""
    witness = Witness(SPOT, seed)
    exchange = witness.exchange
    for _ in witness.run(script):
        needed = needed_at_spot(exchange)
        for currency, deposit in DEPOSITS.items():
            holding = exchange.balances[currency]
            elsewhere = exchange.crowd.get(currency, ZERO) + exchange.fees.get(currency, ZERO)
            assert deposit == holding.total + elsewhere
            assert needed[currency] == holding.locked
            assert holding.free >= 0


@settings(max_examples=60, deadline=None)
@given(scripts, st.integers(1, 1_000))
def test_a_derivatives_account_is_exact(script: list[Action], seed: int) -> None:
    """What it has is what it deposited, won and paid in fees; what is locked is the margin; positions are its fills."""
    witness = Witness(SWAP, seed)
    exchange, symbol = witness.exchange, witness.symbol
    for _ in witness.run(script):
        holding, fills = exchange.balances["USDT"], exchange.fills
        won = sum((fill.realized_pnl for fill in fills), ZERO)
        paid = sum((fill.fee for fill in fills), ZERO)
        assert DEPOSITS["USDT"] + won - paid == holding.total
        assert paid == exchange.fees.get("USDT", ZERO)
        assert needed_margin(exchange, symbol) == holding.locked
        signed = [fill.quantity if fill.side is Side.BUY else -fill.quantity for fill in fills]
        position = exchange.positions.get(symbol)
        assert sum(signed, ZERO) == (ZERO if position is None else position.volume)
        assert position is None or won == position.realized
        # Profits, and what is still open at its cost, are what was paid and got: nothing is rounded away.
        flow = sum((-fill.price * quantity for fill, quantity in zip(fills, signed, strict=True)), ZERO) / 100
        if position is not None:
            cost = position.value if position.volume > 0 else -position.value
            assert flow + cost == won


@settings(max_examples=60, deadline=None)
@given(scripts, st.integers(1, 1_000), st.sampled_from([SPOT, SWAP]))
def test_orders_keep_their_promises(script: list[Action], seed: int, spec: MarketSpec) -> None:
    """All or nothing, now or never, never a taker, and never more than the position; every number is used once."""
    witness = Witness(spec, seed)
    exchange = witness.exchange
    for _ in witness.run(script):
        pass
    names = [order.client_order_id for order in exchange.open_orders() if order.client_order_id]
    assert len(set(names)) == len(names)
    assert len({fill.trade_id for fill in exchange.fills}) == len(exchange.fills)
    volume = ZERO
    for fill in exchange.fills:
        signed = fill.quantity if fill.side is Side.BUY else -fill.quantity
        if exchange.orders[fill.order_id].reduce_only:
            assert volume * signed < 0
            assert abs(signed) <= abs(volume)
        volume += signed
    for number, order in exchange.orders.items():
        assert number == order.order_id
        assert order.executed == sum((fill.quantity for fill in order.fills), ZERO)
        assert (order.status is OrderStatus.COMPLETED) == (order.remaining == 0)
        if order.order_type is OrderType.LIMIT_MAKER or order.time_in_force is TimeInForce.GTX:
            assert all(fill.is_maker for fill in order.fills)
        elif order.order_type is OrderType.MARKET or order.time_in_force is TimeInForce.IOC:
            assert not order.is_open
            assert not any(fill.is_maker for fill in order.fills)
        elif order.time_in_force is TimeInForce.FOK:
            assert order.executed in {ZERO, order.quantity}
        for fill in order.fills:
            assert order.price is None or number in witness.amended or came_within(fill.price, order)


def came_within(price: Decimal, order: ExchangeOrder) -> bool:
    """Tell whether a price is no worse than an order's limit."""
    assert order.price is not None
    return order.order_type is not OrderType.MARKET and (
        price <= order.price if order.side is Side.BUY else price >= order.price
    )


@settings(max_examples=10, deadline=None)
@given(scripts, st.integers(1, 1_000), st.sampled_from([SPOT, SWAP]))
def test_the_same_seed_gives_the_same_events(script: list[Action], seed: int, spec: MarketSpec) -> None:
    """Whatever is done is repeated exactly, down to the last event."""
    first, second = Witness(spec, seed), Witness(spec, seed)
    for _ in first.run(script):
        pass
    for _ in second.run(script):
        pass
    assert first.events == second.events


@pytest.mark.thorough
@settings(max_examples=1_000, deadline=None)
@given(scripts, st.integers(1, 1_000), st.sampled_from([SPOT, SWAP]))
def test_all_of_it_in_a_longer_search(script: list[Action], seed: int, spec: MarketSpec) -> None:
    """The same, with more of it."""
    exact = test_a_spot_account_is_exact if spec is SPOT else test_a_derivatives_account_is_exact
    exact.hypothesis.inner_test(script, seed)
    test_orders_keep_their_promises.hypothesis.inner_test(script, seed, spec)
