"""An exchange that never was: a matching engine and an account, over simulated markets. It does nothing by itself.

The crowd's displayed book is there to be taken, level by level; what the account took of a level stays taken until the
level changes. The account's resting orders are filled, in the order of price and time, when a public trade goes at or
through their price, by at most its quantity; and they meet each other. All arithmetic is exact.

Example:
    ```python
    exchange = Exchange(markets, instruments, clock_ns=time.time_ns, balances={"USDT": "1000"})
    order = exchange.place(NewOrder("BTC-USDT", "buy", "limit", "0.01", "60000", client_order_id="mine"))
    exchange.cancel("BTC-USDT", order_id=order.order_id)
    ```
"""

from __future__ import annotations

from decimal import Decimal
from itertools import count
from typing import TYPE_CHECKING, Final

from bt_api_base.containers.decimals import to_decimal
from bt_api_base.containers.enums import OrderStatus, OrderType, Side, TimeInForce
from bt_api_base.testing.exchange_account import ExchangeAccount
from bt_api_base.testing.exchange_book import MarketBook, Take, plan_takes
from bt_api_base.testing.exchange_ledger import SpotLedger
from bt_api_base.testing.exchange_margin import MarginLedger
from bt_api_base.testing.exchange_orders import (
    ATOM,
    BalancesChanged,
    ExchangeEvent,
    ExchangeFill,
    ExchangeOrder,
    ExchangePosition,
    Execution,
    Holding,
    NewOrder,
    OrderChanged,
    PositionChanged,
    Rejection,
    RejectReason,
)
from bt_api_base.testing.exchange_rules import (
    check_notional,
    check_order,
    exact_arithmetic,
    market_instrument,
    units,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bt_api_base.containers.instrument import Instrument
    from bt_api_base.testing.exchange_ledger import Ledger
    from bt_api_base.testing.market import Market, MarketStep

__all__ = (
    "ATOM",
    "BalancesChanged",
    "Exchange",
    "ExchangeEvent",
    "ExchangeFill",
    "ExchangeOrder",
    "ExchangePosition",
    "Execution",
    "Holding",
    "NewOrder",
    "OrderChanged",
    "PositionChanged",
    "RejectReason",
    "Rejection",
    "market_instrument",
)

_ZERO: Final = Decimal(0)


def _ignore(event: ExchangeEvent) -> None:
    """Tell nobody."""


class Exchange(ExchangeAccount):
    """A matching engine over simulated markets, and one account.

    Args:
        markets: The crowd's markets by internal symbol.
        instruments: Their rules, by the same; see `market_instrument`.
        clock_ns: Returns nanoseconds since the epoch.
        balances: What the account has, by currency.
        derivatives: Whether these are contracts: with positions, and margin instead of payment. None: each instrument
            says so by itself, and they share the account.
        maker_fee: Part of what is received, or of a contract's value, that a maker pays.
        taker_fee: The same for a taker.
        on_event: Called with what happened, when it happens. It must not call the exchange.
        cancel_post_only: Whether a post-only order that would take is accepted and canceled, instead of refused.
        leverage: Value of a position over the margin that it locks.

    Raises:
        ValueError: The leverage is less than 1.
    """

    def __init__(
        self,
        markets: Mapping[str, Market],
        instruments: Mapping[str, Instrument],
        *,
        clock_ns: Callable[[], int],
        balances: Mapping[str, Decimal | str],
        derivatives: bool | None = False,
        maker_fee: Decimal | str = "0.001",
        taker_fee: Decimal | str = "0.001",
        on_event: Callable[[ExchangeEvent], object] = _ignore,
        cancel_post_only: bool = False,
        leverage: int = 10,
    ) -> None:
        super().__init__(
            markets,
            instruments,
            balances=balances,
            derivatives=derivatives,
            maker_fee=maker_fee,
            taker_fee=taker_fee,
            leverage=leverage,
        )
        self.on_event = on_event
        """Called with what happened."""
        self.cancel_post_only = cancel_post_only
        """Whether a post-only order that would take is accepted and canceled."""
        self.orders: dict[int, ExchangeOrder] = {}
        """All orders there ever were, by their number."""
        self.fills: list[ExchangeFill] = []
        """All fills there ever were, in order."""
        self._clock_ns = clock_ns
        self._books = {symbol: MarketBook(market) for symbol, market in markets.items()}
        self._spot = SpotLedger(self)
        self._margin = MarginLedger(self, self._books, clock_ns)
        self._by_client_id: dict[str, ExchangeOrder] = {}
        self._order_ids = count(1_000_001)
        self._trade_ids = count(500_001)
        self._priorities = count(1)

    # What the account does.

    def place(self, new: NewOrder) -> ExchangeOrder:
        """Place an order, and execute what can be executed at once.

        Returns:
            The order: done, or resting.

        Raises:
            Rejection: It is refused, and nothing has changed.
        """
        with exact_arithmetic():
            instrument = self._instrument(new.symbol)
            now = self._clock_ns()
            check_order(instrument, new, now)
            if new.quote_quantity is not None and self.is_derivative(new.symbol):
                raise Rejection(RejectReason.QUANTITY, "derivatives are ordered by quantity")
            same = self._by_client_id.get(new.client_order_id)
            if same is not None and same.is_open:
                raise Rejection(RejectReason.DUPLICATE_ID, f"client order id {new.client_order_id} is in use")
            return self._place(instrument, new, now)

    def cancel(self, symbol: str, *, order_id: int | None = None, client_order_id: str | None = None) -> ExchangeOrder:
        """Take an order out of the book.

        Args:
            symbol: Internal symbol.
            order_id: Its number; or
            client_order_id: what its owner calls it. With both, both must fit.

        Raises:
            Rejection: There is no such order, or it is done.
        """
        order = self._open_order(symbol, order_id, client_order_id)
        with exact_arithmetic():
            self._end(order, OrderStatus.CANCELED, "canceled")
        return order

    def cancel_all(self, symbol: str | None = None) -> list[ExchangeOrder]:
        """Take all orders out of the book, or those of a symbol; the oldest first."""
        orders = self.open_orders(symbol)
        with exact_arithmetic():
            for order in orders:
                self._end(order, OrderStatus.CANCELED, "canceled")
        return orders

    def amend(
        self,
        symbol: str,
        *,
        order_id: int | None = None,
        client_order_id: str | None = None,
        quantity: Decimal | str | None = None,
        price: Decimal | str | None = None,
    ) -> ExchangeOrder:
        """Change quantity or price of an open limit order; it loses its turn, and may be executed at once.

        Args:
            symbol: Internal symbol.
            order_id: Its number; or
            client_order_id: what its owner calls it.
            quantity: The new quantity, of which what was executed is a part; None: as before.
            price: The new limit; None: as before.

        Raises:
            Rejection: There is no such order, or the change is refused, and nothing has changed.
        """
        order = self._open_order(symbol, order_id, client_order_id)
        with exact_arithmetic():
            instrument, now = self._instrument(symbol), self._clock_ns()
            new = NewOrder(
                symbol,
                order.side,
                order.order_type,
                order.quantity if quantity is None else quantity,
                order.price if price is None else price,
                order.time_in_force,
                reduce_only=order.reduce_only,
                client_order_id=order.client_order_id,
            )
            check_order(instrument, new, now)
            if new.quantity is None or new.price is None or new.quantity <= order.executed:
                raise Rejection(RejectReason.QUANTITY, "the new quantity must be more than what was executed")
            self._check_limit_notional(instrument, new)
            self._amend(order, new.quantity, new.price, now)
        return order

    def deposit(self, currency: str, amount: Decimal | str) -> None:
        """Add to what the account holds; a negative amount takes away."""
        with exact_arithmetic():
            self.holding(currency).free += to_decimal(amount)
            self.on_event(BalancesChanged((currency,)))

    # What there is.

    def order(self, symbol: str, *, order_id: int | None = None, client_order_id: str | None = None) -> ExchangeOrder:
        """Return an order, done or not; of those with the same client order id the latest.

        Args:
            symbol: Internal symbol.
            order_id: Its number; or
            client_order_id: what its owner calls it. With both, both must fit.

        Raises:
            Rejection: There is no such order.
        """
        by_client_id = self._by_client_id.get(client_order_id or "")
        order = by_client_id if order_id is None else self.orders.get(order_id)
        if order is None or order.symbol != symbol or client_order_id not in {None, order.client_order_id}:
            raise Rejection(RejectReason.UNKNOWN_ORDER, "there is no such order")
        return order

    def open_orders(self, symbol: str | None = None) -> list[ExchangeOrder]:
        """Return the orders in the book, the oldest first."""
        symbols = self._books if symbol is None else (symbol,) if symbol in self._books else ()
        found = [order for name in symbols for side in Side for order in self._books[name].resting(side)]
        return sorted(found, key=lambda order: order.order_id)

    # What the crowd does.

    def on_step(self, symbol: str, step: MarketStep) -> None:
        """Execute what a step of the crowd's market reaches; to be called after each.

        Args:
            symbol: The market's symbol.
            step: What happened.
        """
        book = self._books[symbol]
        if step.trades and not book.is_empty:
            with exact_arithmetic():
                for trade in step.trades:
                    self._meet(book, units(trade.price), units(trade.quantity))
                self._tidy(symbol)
        book.refresh()

    def _meet(self, book: MarketBook, price: Decimal, quantity: Decimal) -> None:
        """Fill resting orders with a public trade."""
        for side in Side:
            left = quantity
            for order in tuple(book.resting(side)):
                limit = order.price
                if not left or limit is None or (limit < price if side is Side.BUY else limit > price):
                    break
                part = min(left, self.executable(order))
                if part:
                    left -= part
                    self._fill(order, limit, part, is_maker=True)

    # How an order is placed.

    def _place(self, instrument: Instrument, new: NewOrder, now: int) -> ExchangeOrder:
        order = ExchangeOrder(
            order_id=0,
            client_order_id=new.client_order_id,
            symbol=new.symbol,
            side=new.side,
            order_type=new.order_type,
            time_in_force=new.time_in_force,
            quantity=_ZERO if new.quantity is None else new.quantity,
            price=new.price,
            status=OrderStatus.ACCEPTED,
            created_ns=now,
            updated_ns=now,
            reduce_only=new.reduce_only,
            position_side=new.position_side,
            quote_quantity=new.quote_quantity,
        )
        if order.reduce_only and not self.reducible(order):
            raise Rejection(RejectReason.REDUCE_ONLY, "there is no position that the order would make smaller")
        takes = self._takes(instrument, order)
        if new.quote_quantity is not None:
            order.quantity = sum((take.quantity for take in takes), _ZERO)
            if not order.quantity:
                raise Rejection(RejectReason.NOTIONAL, "the quote quantity does not pay for the smallest quantity")
        self._check_notional(instrument, new, takes)
        if new.is_post_only and takes:
            if not self.cancel_post_only:
                raise Rejection(RejectReason.WOULD_MATCH, "the order would be executed at once")
            self._accept(order, (), _ZERO)
            order.reason = RejectReason.WOULD_MATCH
            self._end(order, OrderStatus.CANCELED, "canceled")
            return order
        taken = sum((take.quantity for take in takes), _ZERO)
        if new.time_in_force is TimeInForce.FOK and order.order_type is not OrderType.MARKET and taken < order.quantity:
            takes, taken = [], _ZERO
        rests = order.order_type is not OrderType.MARKET and new.time_in_force in {TimeInForce.GTC, TimeInForce.GTX}
        rest = order.quantity - taken if rests else _ZERO
        # An order that cannot be paid for is refused, even if it would not be executed.
        is_market = order.order_type is OrderType.MARKET
        self._ledger(order).admit(order, takes, _ZERO if is_market else order.quantity - taken)
        self._accept(order, takes, rest)
        self._execute(order, takes)
        if order.is_open:
            if rest:
                self._rest(order)
            else:
                self._end(order, OrderStatus.EXPIRED, "expired")
        self._tidy(order.symbol)
        return order

    def _accept(self, order: ExchangeOrder, takes: Sequence[Take], rest: Decimal) -> None:
        order.order_id = next(self._order_ids)
        order.priority = next(self._priorities)
        self.orders[order.order_id] = order
        if order.client_order_id:
            self._by_client_id[order.client_order_id] = order
        self._tell(OrderChanged(order, "new"), self._ledger(order).open(order, takes, rest))

    def _amend(self, order: ExchangeOrder, quantity: Decimal, price: Decimal, now: int) -> None:
        """Take an order out of the book and let it in again."""
        book, before = self._books[order.symbol], (order.quantity, order.price)
        book.remove(order)
        order.quantity, order.price = quantity, price
        takes = self._takes(self._instrument(order.symbol), order)
        rest = order.remaining - sum((take.quantity for take in takes), _ZERO)
        try:
            if takes and (order.order_type is OrderType.LIMIT_MAKER or order.time_in_force is TimeInForce.GTX):
                raise Rejection(RejectReason.WOULD_MATCH, "the order would be executed at once")
            self._ledger(order).admit(order, takes, rest)
        except Rejection:
            order.quantity, order.price = before
            book.add(order)
            raise
        order.priority, order.updated_ns = next(self._priorities), now
        self._tell(OrderChanged(order, "amended"), self._ledger(order).open(order, takes, rest))
        self._execute(order, takes)
        if order.is_open:
            self._rest(order)
        self._tidy(order.symbol)

    def _takes(self, instrument: Instrument, order: ExchangeOrder) -> list[Take]:
        """Return what an order takes now, as if nothing stood against it."""
        return plan_takes(self._books[order.symbol], order, instrument.step_size or ATOM, self.executable)

    def _execute(self, order: ExchangeOrder, takes: Sequence[Take]) -> None:
        book = self._books[order.symbol]
        for take in takes:
            if take.maker is None:
                book.take(order.side, take)
            else:
                self._fill(take.maker, take.price, take.quantity, is_maker=True)
            self._fill(order, take.price, take.quantity, is_maker=False)

    def _fill(self, order: ExchangeOrder, price: Decimal, quantity: Decimal, *, is_maker: bool) -> None:
        now = self._clock_ns()
        done = self._ledger(order).settle(order, price, quantity, is_maker=is_maker)
        fill = ExchangeFill(
            trade_id=next(self._trade_ids),
            order_id=order.order_id,
            symbol=order.symbol,
            side=order.side,
            price=price,
            quantity=quantity,
            fee=done.fee,
            fee_currency=done.fee_currency,
            is_maker=is_maker,
            time_ns=now,
            realized_pnl=done.realized,
        )
        self.fills.append(fill)
        order.fills.append(fill)
        order.executed += quantity
        order.cum_quote += self.notional(order.symbol, price, quantity)
        order.updated_ns = now
        order.status = OrderStatus.PARTIAL if order.remaining else OrderStatus.COMPLETED
        if not order.remaining:
            self._books[order.symbol].remove(order)
        self._tell(OrderChanged(order, "trade", fill), (*done.currencies, *self._ledger(order).update(order)))
        if self.is_derivative(order.symbol):
            self.on_event(PositionChanged(order.symbol))

    def _end(self, order: ExchangeOrder, status: OrderStatus, execution: Execution) -> None:
        self._books[order.symbol].remove(order)
        order.status = status
        order.updated_ns = self._clock_ns()
        self._tell(OrderChanged(order, execution), self._ledger(order).update(order))

    def _tidy(self, symbol: str) -> None:
        """End the reduce-only orders that have nothing left to reduce."""
        if self.is_derivative(symbol):
            for side in Side:
                for order in tuple(self._books[symbol].resting(side)):
                    if order.reduce_only and not self.reducible(order):
                        self._end(order, OrderStatus.EXPIRED, "expired")

    def _rest(self, order: ExchangeOrder) -> None:
        self._books[order.symbol].add(order)
        self._ledger(order).update(order)

    def _tell(self, event: OrderChanged, currencies: tuple[str, ...]) -> None:
        self.on_event(event)
        if currencies:
            self.on_event(BalancesChanged(tuple(dict.fromkeys(currencies))))

    # Rules that depend on the account or the book.

    def _instrument(self, symbol: str) -> Instrument:
        instrument = self.instruments.get(symbol)
        if instrument is None or symbol not in self._books:
            raise Rejection(RejectReason.SYMBOL, f"there is no market {symbol}")
        return instrument

    def _check_notional(self, instrument: Instrument, new: NewOrder, takes: Sequence[Take]) -> None:
        if new.order_type is not OrderType.MARKET:
            self._check_limit_notional(instrument, new)
        elif takes and not new.reduce_only:
            worth = sum((self.notional(new.symbol, take.price, take.quantity) for take in takes), _ZERO)
            check_notional(instrument, worth)

    def _check_limit_notional(self, instrument: Instrument, new: NewOrder) -> None:
        if new.price is not None and new.quantity is not None and not new.reduce_only:
            check_notional(instrument, self.notional(new.symbol, new.price, new.quantity))

    def _ledger(self, order: ExchangeOrder) -> Ledger:
        return self._margin if self.is_derivative(order.symbol) else self._spot

    def _open_order(self, symbol: str, order_id: int | None, client_order_id: str | None) -> ExchangeOrder:
        order = self.order(symbol, order_id=order_id, client_order_id=client_order_id)
        if not order.is_open:
            raise Rejection(RejectReason.UNKNOWN_ORDER, "the order is done")
        return order
