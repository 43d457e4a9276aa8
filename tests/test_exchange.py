"""A simulated exchange: what orders take and leave, what they cost, and what is told of it."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from bt_api_base.containers.enums import InstrumentStatus, OrderStatus, OrderType, PositionSide, Side, TimeInForce
from bt_api_base.testing.exchange import (
    BalancesChanged,
    Exchange,
    ExchangeEvent,
    Holding,
    NewOrder,
    OrderChanged,
    PositionChanged,
    Rejection,
    RejectReason,
    market_instrument,
)
from bt_api_base.testing.market import AggregateTrade, Market, MarketSpec, MarketStep
from bt_api_base.testing.market_bars import MarketTrade

if TYPE_CHECKING:
    from bt_api_base.containers.instrument import Instrument

UNIT = 100_000_000
SPOT = "BTC-USDT"
SWAP = "BTC-USDT-SWAP"
BUY, SELL = Side.BUY, Side.SELL
LIMIT, MARKET, MAKER = OrderType.LIMIT, OrderType.MARKET, OrderType.LIMIT_MAKER


class Bench:
    """An exchange over a market whose book a test writes: asks at 101, 102 and 103, bids at 99, 98 and 97, one each."""

    def __init__(self, symbol: str = SPOT, **options: Any) -> None:
        self.symbol = symbol
        self.market = Market(MarketSpec(symbol, 100_000 * UNIT, UNIT // 100, 1_000_000))
        book = self.market.book
        for side in (book.bids, book.asks):
            for price in tuple(side.quantities):
                book.put(side, price, 0)
        for distance in (1, 2, 3):
            book.put(book.asks, (100 + distance) * UNIT, UNIT)
            book.put(book.bids, (100 - distance) * UNIT, UNIT)
        self.market.best = self.market._touch()
        self.events: list[ExchangeEvent] = []
        self.now_ns = 7
        self.instrument = market_instrument(self.market.spec, "TEST___SPOT", min_notional="5")
        self.exchange = self.make(self.instrument, **options)

    def make(self, instrument: Instrument, **options: Any) -> Exchange:
        """Make an exchange with a thousand USDT and ten BTC."""
        return Exchange(
            {self.symbol: self.market},
            {self.symbol: instrument},
            clock_ns=lambda: self.now_ns,
            balances={"USDT": "1000", "BTC": "10"},
            on_event=self.events.append,
            **options,
        )

    def order(
        self,
        side: Side,
        quantity: str | None,
        price: str | None = None,
        time_in_force: TimeInForce = TimeInForce.GTC,
        **fields: Any,
    ) -> NewOrder:
        """Return a limit order, or a market order where there is no price."""
        kind = fields.pop("order_type", MARKET if price is None else LIMIT)
        return NewOrder(self.symbol, side, kind, quantity, price, time_in_force, **fields)

    def trade(self, price: int, quantity: str) -> None:
        """Let the crowd trade."""
        trade = MarketTrade(1, 1, price * UNIT, int(Decimal(quantity) * UNIT), True)
        self.exchange.on_step(self.symbol, MarketStep(1, False, (trade,), tuple[AggregateTrade, ...](), ()))

    def told(self) -> list[str]:
        """Return what was told since the last call, in short."""
        words = [
            event.execution
            if isinstance(event, OrderChanged)
            else " ".join(event.currencies)
            if isinstance(event, BalancesChanged)
            else event.symbol
            for event in self.events
        ]
        self.events.clear()
        return words


@pytest.fixture
def bench() -> Bench:
    """A spot exchange."""
    return Bench()


def refusal(bench: Bench, order: NewOrder) -> RejectReason:
    """Return why an order is refused, having checked that nothing has changed."""
    before = repr((bench.exchange.balances, bench.exchange.orders, bench.exchange.positions))
    with pytest.raises(Rejection) as caught:
        bench.exchange.place(order)
    assert before == repr((bench.exchange.balances, bench.exchange.orders, bench.exchange.positions))
    assert [] == bench.events
    assert str(caught.value) == caught.value.text
    return caught.value.reason


class TestTaking:
    """What an order does at the moment at which it is placed."""

    def test_a_market_order_takes_level_by_level(self, bench: Bench) -> None:
        """It pays each level's price, and the fee is taken of what it gets."""
        order = bench.exchange.place(bench.order(BUY, "1.5"))
        assert OrderStatus.COMPLETED is order.status
        assert [(Decimal(101), Decimal(1)), (Decimal(102), Decimal("0.5"))] == [
            (fill.price, fill.quantity) for fill in order.fills
        ]
        assert Decimal(152) == order.cum_quote
        assert Decimal("101.33333333") == order.avg_price
        assert Holding(Decimal(848), Decimal(0)) == bench.exchange.balances["USDT"]
        assert Holding(Decimal("11.4985"), Decimal(0)) == bench.exchange.balances["BTC"]
        assert {"BTC": Decimal("0.0015")} == bench.exchange.fees

    def test_a_limit_order_takes_and_rests(self, bench: Bench) -> None:
        """What it does not get at its limit or better waits in the book, and locks what it needs."""
        order = bench.exchange.place(bench.order(BUY, "3", "102"))
        assert (OrderStatus.PARTIAL, Decimal(2)) == (order.status, order.executed)
        assert [order] == bench.exchange.open_orders(SPOT)
        assert Holding(Decimal(1000 - 101 - 102 - 102), Decimal(102)) == bench.exchange.balances["USDT"]

    def test_what_was_taken_is_gone_until_the_level_changes(self, bench: Bench) -> None:
        """A level that the crowd leaves as it is does not come back."""
        bench.exchange.place(bench.order(BUY, "1"))
        assert Decimal(102) == bench.exchange.place(bench.order(BUY, "1")).cum_quote
        book = bench.market.book
        book.put(book.asks, 101 * UNIT, 2 * UNIT)
        assert Decimal(202) == bench.exchange.place(bench.order(BUY, "2")).cum_quote

    def test_a_quote_quantity_buys_what_it_pays_for(self, bench: Bench) -> None:
        """It is spent down to the step size, and not more."""
        order = bench.exchange.place(bench.order(BUY, None, quote_quantity="150"))
        assert (OrderStatus.COMPLETED, Decimal("1.48")) == (order.status, order.quantity)
        assert Decimal("149.96") == order.cum_quote

    def test_a_quote_quantity_sells_what_brings_it(self, bench: Bench) -> None:
        """It is what a sale brings at most."""
        order = bench.exchange.place(bench.order(SELL, None, quote_quantity="50"))
        assert Decimal("49.5") == order.cum_quote

    def test_immediate_or_cancel_leaves_nothing(self, bench: Bench) -> None:
        """It takes what there is, and the rest expires."""
        order = bench.exchange.place(bench.order(SELL, "2", "99", TimeInForce.IOC))
        assert (OrderStatus.EXPIRED, Decimal(1)) == (order.status, order.executed)
        assert [] == bench.exchange.open_orders()
        assert Decimal(0) == bench.exchange.balances["BTC"].locked

    def test_fill_or_kill_is_all_or_nothing(self, bench: Bench) -> None:
        """It takes all of it, or expires without a fill."""
        assert RejectReason.FUNDS is refusal(bench, bench.order(BUY, "30", "102", TimeInForce.FOK))
        killed = bench.exchange.place(bench.order(BUY, "3", "102", TimeInForce.FOK))
        assert (OrderStatus.EXPIRED, Decimal(0)) == (killed.status, killed.executed)
        filled = bench.exchange.place(bench.order(BUY, "2", "102", TimeInForce.FOK))
        assert OrderStatus.COMPLETED is filled.status

    def test_post_only_is_refused_rather_than_take(self, bench: Bench) -> None:
        """It rests, or it is refused."""
        assert RejectReason.WOULD_MATCH is refusal(bench, bench.order(BUY, "1", "101", order_type=MAKER))
        assert RejectReason.WOULD_MATCH is refusal(bench, bench.order(BUY, "1", "101", TimeInForce.GTX))
        assert bench.exchange.place(bench.order(BUY, "1", "100", order_type=MAKER)).is_open

    def test_post_only_can_be_accepted_and_canceled(self) -> None:
        """Some venues cancel what they accepted."""
        bench = Bench(cancel_post_only=True)
        order = bench.exchange.place(bench.order(BUY, "1", "101", TimeInForce.GTX))
        assert OrderStatus.CANCELED is order.status
        assert ["new", "canceled"] == bench.told()
        assert Decimal(1000) == bench.exchange.balances["USDT"].free

    def test_a_market_order_that_empties_the_book_expires(self, bench: Bench) -> None:
        """It takes all there is."""
        order = bench.exchange.place(bench.order(SELL, "5"))
        assert (OrderStatus.EXPIRED, Decimal(3)) == (order.status, order.executed)
        again = bench.exchange.place(bench.order(SELL, "1"))
        assert (OrderStatus.EXPIRED, Decimal(0)) == (again.status, again.executed)


class TestWaiting:
    """What becomes of an order in the book."""

    def test_the_crowd_fills_by_price_and_time(self, bench: Bench) -> None:
        """A public trade fills the better price first, the older order first, and no more than its quantity."""
        worse = bench.exchange.place(bench.order(BUY, "1", "99.5"))
        first = bench.exchange.place(bench.order(BUY, "1", "100"))
        second = bench.exchange.place(bench.order(BUY, "1", "100"))
        bench.trade(99, "1.3")
        assert [Decimal(1), Decimal("0.3"), 0] == [order.executed for order in (first, second, worse)]
        bench.trade(100, "5")
        assert [Decimal(1), Decimal(1), 0] == [order.executed for order in (first, second, worse)]
        assert Decimal(100) == first.fills[0].price
        assert first.fills[0].is_maker

    def test_a_trade_that_does_not_reach_the_price_fills_nothing(self, bench: Bench) -> None:
        """Neither above a purchase, nor below a sale."""
        orders = [
            bench.exchange.place(bench.order(BUY, "1", "99.5")),
            bench.exchange.place(bench.order(SELL, "1", "100.5")),
        ]
        bench.trade(100, "5")
        assert [0, 0] == [order.executed for order in orders]

    def test_own_orders_meet(self, bench: Bench) -> None:
        """They trade with each other at the price of the older one; each pays its fee."""
        resting = bench.exchange.place(bench.order(SELL, "1", "100"))
        taking = bench.exchange.place(bench.order(BUY, "1", "100.5"))
        assert OrderStatus.COMPLETED is resting.status
        assert Decimal(100) == taking.cum_quote
        assert [(True, "USDT"), (False, "BTC")] == [(fill.is_maker, fill.fee_currency) for fill in bench.exchange.fills]
        assert 2 == len({fill.trade_id for fill in bench.exchange.fills})
        assert Decimal("999.9") == bench.exchange.balances["USDT"].total
        assert Decimal("9.999") == bench.exchange.balances["BTC"].total

    def test_canceling_gives_back(self, bench: Bench) -> None:
        """What was locked is free again; a second time there is nothing to cancel."""
        order = bench.exchange.place(bench.order(BUY, "2", "99.5", client_order_id="mine"))
        bench.trade(99, "0.5")
        assert order is bench.exchange.cancel(SPOT, client_order_id="mine")
        assert (OrderStatus.CANCELED, Decimal("0.5")) == (order.status, order.executed)
        assert Holding(Decimal("950.25"), Decimal(0)) == bench.exchange.balances["USDT"]
        with pytest.raises(Rejection) as caught:
            bench.exchange.cancel(SPOT, order_id=order.order_id)
        assert RejectReason.UNKNOWN_ORDER is caught.value.reason

    def test_canceling_all(self, bench: Bench) -> None:
        """Of a symbol, or all there are."""
        placed = [bench.exchange.place(bench.order(BUY, "1", price)) for price in ("90", "91")]
        assert [] == bench.exchange.cancel_all("ETH-USDT")
        assert placed == bench.exchange.cancel_all(SPOT)
        assert [] == bench.exchange.cancel_all()

    def test_amending_loses_the_turn(self, bench: Bench) -> None:
        """The order is the same, with other numbers, behind the others at its price."""
        first = bench.exchange.place(bench.order(BUY, "1", "99.5"))
        second = bench.exchange.place(bench.order(BUY, "1", "99.5"))
        bench.exchange.amend(SPOT, order_id=first.order_id, quantity="2")
        bench.trade(99, "1")
        assert [0, 1] == [first.executed, second.executed]
        assert Decimal(199) == bench.exchange.balances["USDT"].locked
        bench.exchange.amend(SPOT, order_id=first.order_id, price="101")
        assert (Decimal(1), Decimal(101)) == (first.executed, first.cum_quote)

    def test_a_refused_amendment_changes_nothing(self, bench: Bench) -> None:
        """The order waits on as it was."""
        order = bench.exchange.place(bench.order(BUY, "1", "99.5", order_type=MAKER))
        for change in ({"price": "101"}, {"quantity": "100"}, {"price": "99.501"}, {"quantity": "0"}):
            with pytest.raises(Rejection):
                bench.exchange.amend(SPOT, order_id=order.order_id, **change)
        assert [order] == bench.exchange.open_orders()
        assert (Decimal("99.5"), Decimal(1)) == (order.price, order.quantity)
        assert Decimal("99.5") == bench.exchange.balances["USDT"].locked


class TestRefusing:
    """What is not accepted, and why."""

    def test_what_breaks_a_rule(self, bench: Bench) -> None:
        """Each rule has its reason."""
        expected = {
            RejectReason.PRICE: [bench.order(BUY, "1", "99.001"), bench.order(BUY, "1", "0")],
            RejectReason.QUANTITY: [
                bench.order(BUY, "0.001", "99"),
                bench.order(BUY, "1.001", "99"),
                bench.order(BUY, None, "99", quote_quantity="10"),
                bench.order(BUY, None, "99"),
            ],
            RejectReason.NOTIONAL: [bench.order(BUY, "0.05", "99"), bench.order(BUY, None, quote_quantity="0.5")],
            RejectReason.FUNDS: [bench.order(BUY, "11", "99"), bench.order(SELL, "11", "99"), bench.order(BUY, "99")],
            RejectReason.ORDER_TYPE: [
                bench.order(BUY, "1", "99", TimeInForce.DAY),
                bench.order(BUY, "1", "99", order_type=OrderType.STOP),
                bench.order(BUY, "1", "99", TimeInForce.IOC, order_type=MAKER),
                bench.order(BUY, "1", "99", position_side=PositionSide.LONG),
            ],
            RejectReason.SYMBOL: [NewOrder("ETH-USDT", BUY, MARKET, "1")],
            RejectReason.REDUCE_ONLY: [bench.order(SELL, "1", reduce_only=True)],
        }
        bench.exchange.deposit("USDT", "-800")
        bench.events.clear()
        for reason, orders in expected.items():
            for order in orders:
                assert reason is refusal(bench, order), order

    def test_client_ids_are_unique_among_open_orders(self, bench: Bench) -> None:
        """An id is free again once its order is done; then it finds the newer one."""
        first = bench.exchange.place(bench.order(BUY, "1", "99", client_order_id="mine"))
        bench.events.clear()
        assert RejectReason.DUPLICATE_ID is refusal(bench, bench.order(BUY, "1", "98", client_order_id="mine"))
        bench.exchange.cancel(SPOT, client_order_id="mine")
        second = bench.exchange.place(bench.order(BUY, "1", "98", client_order_id="mine"))
        assert second is bench.exchange.order(SPOT, client_order_id="mine")
        assert first is bench.exchange.order(SPOT, order_id=first.order_id)

    @pytest.mark.parametrize("find", [{"order_id": 1}, {"client_order_id": "x"}, {}])
    def test_unknown_orders(self, bench: Bench, find: dict[str, int | str]) -> None:
        """An order is found under its symbol and its own ids only."""
        placed = bench.exchange.place(bench.order(BUY, "1", "99", client_order_id="mine"))
        with pytest.raises(Rejection):
            bench.exchange.order(SPOT, **find)
        with pytest.raises(Rejection):
            bench.exchange.order("ETH-USDT", order_id=placed.order_id)
        with pytest.raises(Rejection):
            bench.exchange.order(SPOT, order_id=placed.order_id, client_order_id="other")

    def test_a_halted_market(self, bench: Bench) -> None:
        """Nothing can be placed, and what there is can be canceled."""
        order = bench.exchange.place(bench.order(BUY, "1", "99"))
        bench.exchange.instruments = {SPOT: msgspec.structs.replace(bench.instrument, status=InstrumentStatus.HALTED)}
        bench.events.clear()
        assert RejectReason.SYMBOL is refusal(bench, bench.order(BUY, "1", "99"))
        assert order is bench.exchange.cancel(SPOT, order_id=order.order_id)


class TestTelling:
    """What is told, and when."""

    def test_the_life_of_an_order(self, bench: Bench) -> None:
        """First of the order, then of the money; each fill by itself."""
        bench.exchange.place(bench.order(BUY, "3", "102", client_order_id="mine"))
        assert ["new", "USDT", "trade", "BTC USDT", "trade", "BTC USDT"] == bench.told()
        bench.exchange.cancel(SPOT, client_order_id="mine")
        assert ["canceled", "USDT"] == bench.told()
        bench.exchange.deposit("EUR", "5")
        assert ["EUR"] == bench.told()
        bench.exchange.place(bench.order(BUY, "5", "100", TimeInForce.FOK))
        assert ["new", "expired"] == bench.told()

    def test_fills_carry_the_time(self, bench: Bench) -> None:
        """Orders and fills are stamped by the clock that the exchange was given."""
        order = bench.exchange.place(bench.order(BUY, "1", "99.5"))
        bench.now_ns = 9
        bench.trade(99, "1")
        assert (7, 9, 9) == (order.created_ns, order.updated_ns, order.fills[0].time_ns)


class TestDerivatives:
    """Positions, profit and margin."""

    @pytest.fixture
    def bench(self) -> Bench:
        """A derivatives exchange, contracts of one BTC, ten times as much position as margin, and no fees."""
        return Bench(SWAP, derivatives=True, maker_fee="0", taker_fee="0")

    def test_a_position_is_opened_enlarged_and_closed(self, bench: Bench) -> None:
        """Profit is realized as the position gets smaller; the margin is the position's cost over the leverage."""
        exchange = bench.exchange
        exchange.place(bench.order(BUY, "2"))
        position = exchange.positions[SWAP]
        assert (Decimal(2), Decimal("101.5")) == (position.volume, position.avg_price)
        assert Holding(Decimal("979.7"), Decimal("20.3")) == exchange.balances["USDT"]
        bench.told()
        closing = exchange.place(bench.order(SELL, "2", "110", reduce_only=True))
        bench.trade(110, "0.5")
        assert Decimal("4.25") == closing.fills[0].realized_pnl == position.realized
        assert (Decimal("1.5"), Decimal("101.5")) == (position.volume, position.avg_price)
        bench.trade(110, "9")
        assert Holding(Decimal(1017), Decimal(0)) == exchange.balances["USDT"]
        assert (Decimal(0), Decimal(0)) == (position.volume, position.avg_price)
        assert ["new", "trade", "USDT", SWAP, "trade", "USDT", SWAP] == bench.told()

    def test_a_position_is_turned_around(self, bench: Bench) -> None:
        """An order beyond the position closes it, and opens the other side at its own price."""
        bench.exchange.place(bench.order(BUY, "1"))
        bench.exchange.place(bench.order(SELL, "1.5"))
        position = bench.exchange.positions[SWAP]
        assert (Decimal("-0.5"), Decimal(98)) == (position.volume, position.avg_price)
        assert Decimal(-2) == position.realized

    def test_closing_locks_nothing(self, bench: Bench) -> None:
        """Orders against the position need no margin up to its size, and beyond it they do."""
        bench.exchange.place(bench.order(BUY, "2"))
        locked = bench.exchange.balances["USDT"].locked
        bench.exchange.place(bench.order(SELL, "2", "110"))
        assert locked == bench.exchange.balances["USDT"].locked
        bench.exchange.place(bench.order(SELL, "1", "120"))
        assert locked + 12 == bench.exchange.balances["USDT"].locked

    def test_reduce_only_ends_with_the_position(self, bench: Bench) -> None:
        """It never opens one, and expires when there is nothing left to reduce."""
        bench.exchange.place(bench.order(BUY, "1"))
        waiting = bench.exchange.place(bench.order(SELL, "1", "110", reduce_only=True))
        done = bench.exchange.place(bench.order(SELL, "2", reduce_only=True))
        assert (OrderStatus.EXPIRED, Decimal(1)) == (done.status, done.executed)
        assert OrderStatus.EXPIRED is waiting.status
        assert Decimal(0) == bench.exchange.positions[SWAP].volume

    def test_margin_is_needed(self, bench: Bench) -> None:
        """Orders beyond what the margin allows are refused, and those that close are not."""
        bench.exchange.deposit("USDT", "-990")
        bench.events.clear()
        assert RejectReason.FUNDS is refusal(bench, bench.order(BUY, "1.02", "99"))
        bench.exchange.place(bench.order(BUY, "0.98"))
        bench.exchange.deposit("USDT", "-0.1")
        assert OrderStatus.COMPLETED is bench.exchange.place(bench.order(SELL, "0.98")).status

    def test_contracts_have_a_size(self) -> None:
        """The value of a contract is the price times what it stands for; of an inverse one, divided by the price."""
        bench = Bench(SWAP, derivatives=True)
        linear = market_instrument(bench.market.spec, "TEST___SWAP", contract_multiplier="0.1")
        bench.exchange = bench.make(linear, derivatives=True, maker_fee="0", taker_fee="0")
        bench.exchange.place(bench.order(BUY, "1"))
        assert Decimal("1.01") == bench.exchange.balances["USDT"].locked
        assert Decimal(101) == bench.exchange.positions[SWAP].avg_price

    def test_inverse_contracts(self) -> None:
        """They are worth a fixed amount of the quote currency, and win in the base currency when the price rises."""
        bench = Bench("BTC-USD-SWAP")
        inverse = market_instrument(bench.market.spec, "TEST___SWAP", contract_multiplier="100")
        bench.exchange = bench.make(inverse, derivatives=True, maker_fee="0", taker_fee="0")
        bench.exchange.place(bench.order(BUY, "1"))
        assert Decimal("0.09900990") == bench.exchange.balances["BTC"].locked
        closing = bench.exchange.place(bench.order(SELL, "1", "110"))
        bench.trade(110, "1")
        assert Decimal("0.09900990") - Decimal("0.09090909") == closing.fills[0].realized_pnl / 10
        assert any(isinstance(event, PositionChanged) for event in bench.events)

    def test_there_is_one_position_for_a_symbol(self, bench: Bench) -> None:
        """A long and a short side by side do not exist here, and neither do quote quantities."""
        assert RejectReason.ORDER_TYPE is refusal(bench, bench.order(BUY, "1", position_side=PositionSide.LONG))
        assert RejectReason.QUANTITY is refusal(bench, bench.order(BUY, None, quote_quantity="100"))

    def test_spot_and_contracts_in_one_account(self) -> None:
        """Each instrument says what it is; what is free is free for both."""
        swap, spot = Bench(SWAP), Bench()
        exchange = Exchange(
            {SWAP: swap.market, SPOT: spot.market},
            {SWAP: swap.instrument, SPOT: spot.instrument},
            clock_ns=lambda: 1,
            balances={"USDT": "1000"},
            derivatives=None,
            maker_fee="0",
            taker_fee="0",
        )
        exchange.place(swap.order(BUY, "1"))
        exchange.place(spot.order(BUY, "1"))
        exchange.place(spot.order(BUY, "1", "100"))
        assert Holding(Decimal("788.9"), Decimal("110.1")) == exchange.balances["USDT"]
        assert (Decimal(1), [SWAP]) == (exchange.balances["BTC"].free, list(exchange.positions))

    def test_a_leverage_below_one(self) -> None:
        """A position cannot lock more than it is worth."""
        with pytest.raises(ValueError, match="leverage"):
            Bench(SWAP, derivatives=True, leverage=0)
