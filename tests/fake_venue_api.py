"""A venue's API in memory, for tests of what feeds make of it: it can lose requests and answers, and be late.

It is a stand-in at the seam `VenueApi`, as simple as it can be: a limit order rests until `FakeVenueApi.fill` fills it,
a market order is filled at once.
"""

# ruff: noqa: D102 - the calls are those of `VenueApi`

from __future__ import annotations

from collections import Counter, deque
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import anyio
import attrs
import msgspec

from bt_api_base.containers import (
    AssetType,
    Balance,
    Bar,
    Event,
    Fill,
    Gap,
    GapReason,
    Instrument,
    Order,
    OrderStatus,
    OrderType,
    Position,
    PositionSide,
    Tick,
)
from bt_api_base.event_stream import EventStream
from bt_api_base.exceptions import DuplicateOrderError, NetworkError, OrderNotFoundError, OrderUnknownError
from bt_api_base.feeds.capability import Capability
from bt_api_base.feeds.native import NativeFeed
from bt_api_base.feeds.order_resolver import ResolvePolicy
from bt_api_base.instrument_manager import InstrumentManager

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from bt_api_base.feeds.order_request import OrderRequest

EXCHANGE = "FAKE___SPOT"
SYMBOL = "BTC-USDT"
SECOND = 1_000_000_000
EPOCH = 1_700_000_000 * SECOND

FAST = ResolvePolicy(settle_time=2.0, timeout=10.0, first_delay=0.1, max_delay=1.0)
"""For virtual time."""


@attrs.define(eq=False, slots=False)
class FakeVenueApi:
    """A venue in memory.

    Attributes:
        script: What happens to the next calls of ``place`` and ``cancel``: ``"ok"`` (also when it is empty),
            ``"lose_reply"`` (done, no answer), ``"lose_request"`` (not done, no answer), ``"late:3"`` (no answer, done
            after 3 s), ``"slow:3"`` (done at once, answered after 3 s), ``"hang"`` (done, never answered),
            ``"refuse"`` (an error that proves that nothing was done), or an exception to raise when it was done.
        queries_fail: How many of the next queries fail.
        hidden_for: Seconds for which an order is not found by queries after it was placed.
        sent: How often an order was sent, by client order id.
        calls: Names of the calls, in order.
    """

    script: deque[Any] = attrs.field(factory=deque, converter=deque)
    queries_fail: int = 0
    hidden_for: float = 0.0
    sent: Counter[str] = attrs.field(factory=Counter)
    calls: list[str] = attrs.field(factory=list)
    book: dict[str, Order] = attrs.field(factory=dict)
    filled: list[Fill] = attrs.field(factory=list)
    held: dict[str, Decimal] = attrs.field(factory=lambda: {"USDT": Decimal(10_000)})
    held_positions: dict[str, Decimal] = attrs.field(factory=dict)
    bars: list[Bar] = attrs.field(factory=list)
    late: list[tuple[float, Callable[[], object]]] = attrs.field(factory=list)
    listeners: list[Callable[[Event], object]] = attrs.field(factory=list)
    placed_at: dict[str, float] = attrs.field(factory=dict)
    client: Any = None
    instruments_error: Exception | None = None

    exchange_name = EXCHANGE
    max_klines = 100
    private_channels = (("user", ""),)
    capabilities = frozenset(Capability)
    _ids: int = 0

    # -- what tests do -----------------------------------------------------------------------------

    def now(self) -> float:
        """Return the time of the loop, and do what is due."""
        now = anyio.current_time()
        due = [entry for entry in self.late if entry[0] <= now]
        self.late = [entry for entry in self.late if entry[0] > now]
        for _, action in due:
            action()
        return now

    def time_ns(self) -> int:
        return EPOCH + round(anyio.current_time() * 1000) * 1_000_000

    def tell(self, *events: Event) -> None:
        for listener in list(self.listeners):
            for event in events:
                listener(event)

    def fill(self, order_id: str, quantity: str | Decimal | None = None) -> Fill:
        """Fill an open order."""
        order = self.book[order_id]
        assert order.order_size is not None
        assert order.executed_qty is not None
        volume = order.order_size - order.executed_qty if quantity is None else Decimal(quantity)
        price = order.order_price or Decimal(50_000)
        executed = order.executed_qty + volume
        now = self.time_ns()
        fill = Fill(EXCHANGE, order.symbol, now, now, str(len(self.filled) + 1), order_id, order.order_side, price,
                    volume, now, client_order_id=order.client_order_id)  # fmt: skip
        self.filled.append(fill)
        status = OrderStatus.COMPLETED if executed == order.order_size else OrderStatus.PARTIAL
        sign = 1 if order.order_side == "buy" else -1
        base, quote = order.symbol.split("-")
        self.held[base] = self.held.get(base, Decimal(0)) + sign * volume
        self.held[quote] = self.held.get(quote, Decimal(0)) - sign * volume * price
        self.tell(fill, self._change(order, order_status=status, executed_qty=executed, trade_id=fill.trade_id))
        self.tell(*[self._balance(currency) for currency in (base, quote)])
        return fill

    def cancel_by_itself(self, order_id: str) -> None:
        """Cancel an order without being asked."""
        self.tell(self._change(self.book[order_id], order_status=OrderStatus.CANCELED))

    def by_client_id(self, client_order_id: str) -> Order:
        """Return the latest order of a client id."""
        return next(o for o in reversed(self.book.values()) if o.client_order_id == client_order_id)

    def _change(self, order: Order, **values: Any) -> Order:
        now = self.time_ns()
        changed = msgspec.structs.replace(order, server_time=now, local_time=now, **values)
        self.book[order.order_id] = changed
        return changed

    def _balance(self, currency: str) -> Balance:
        now = self.time_ns()
        return Balance(EXCHANGE, currency, now, now, self.held[currency], self.held[currency])

    # -- the calls of a venue ----------------------------------------------------------------------

    def new_client_order_id(self) -> str:
        self._ids += 1
        return f"own{self._ids}"

    async def server_time(self) -> int:
        await anyio.lowlevel.checkpoint()
        return self.time_ns()

    async def instruments(self) -> list[Instrument]:
        self.calls.append("instruments")
        await anyio.lowlevel.checkpoint()
        if self.instruments_error is not None:
            raise self.instruments_error
        return [
            Instrument(SYMBOL, EXCHANGE, "BTCUSDT", AssetType.SPOT, "BTC", "USDT", Decimal("0.01"), Decimal("0.001"),
                       Decimal(100), step_size=Decimal("0.001"), min_notional=Decimal(5)),
            Instrument("ETH-USDT", EXCHANGE, "ETHUSDT", AssetType.SPOT, "ETH", "USDT", Decimal("0.01")),
        ]  # fmt: skip

    async def ticker(self, symbol: str) -> Tick:
        await anyio.lowlevel.checkpoint()
        return Tick(EXCHANGE, symbol, self.time_ns(), self.time_ns(), 100.0, 101.0)

    async def klines(
        self, symbol: str, period: str, *, start: int | None = None, end: int | None = None, count: int | None = None
    ) -> list[Bar]:
        self.calls.append("klines")
        await anyio.lowlevel.checkpoint()
        count = min(self.max_klines, self.max_klines if count is None else count)
        bars = [
            bar
            for bar in self.bars
            if (start is None or bar.open_time >= start) and (end is None or bar.open_time < end)
        ]
        return bars[:count] if start is not None else bars[-count:]

    def _do_place(self, request: OrderRequest) -> Order:
        now = self.time_ns()
        self._ids += 1
        order = Order(EXCHANGE, request.symbol, now, now, f"v{self._ids}", request.side, request.order_type,
                      OrderStatus.ACCEPTED, request.quantity, request.price, executed_qty=Decimal(0),
                      client_order_id=request.client_order_id, order_time=now)  # fmt: skip
        self.book[order.order_id] = order
        self.placed_at[order.order_id] = anyio.current_time()
        self.tell(order)
        if request.order_type is OrderType.MARKET:
            self.fill(order.order_id)
        return self.book[order.order_id]

    async def _answer(self, action: Callable[[], Order], unknown: OrderUnknownError) -> Order:
        """Do something as the script says."""
        step = self.script.popleft() if self.script else "ok"
        word, _, seconds = step.partition(":") if isinstance(step, str) else ("raise", "", "")
        self.now()
        await anyio.lowlevel.checkpoint()
        if word == "refuse":
            raise NetworkError(EXCHANGE, "refused")
        if word == "lose_request":
            raise unknown
        if word == "late":
            self.late.append((anyio.current_time() + float(seconds), action))
            raise unknown
        done = action()
        if word == "raise":
            raise step
        if word == "lose_reply":
            raise unknown
        if word == "hang":
            await anyio.sleep_forever()
        await anyio.sleep(float(seconds) if word == "slow" else 0.0)
        return done

    async def place(self, request: OrderRequest) -> Order:
        self.calls.append("place")
        self.sent[request.client_order_id] += 1
        own_id = request.client_order_id
        for order in self.book.values():
            if order.client_order_id == own_id and not order.order_status.is_final:
                raise DuplicateOrderError(EXCHANGE, request.symbol, own_id)
        unknown = OrderUnknownError(EXCHANGE, request.symbol, own_id, "lost")
        return await self._answer(lambda: self._do_place(request), unknown)

    def _find(self, order_id: str, client_order_id: str) -> Order:
        self.now()
        for order in reversed(self.book.values()):
            if order_id == order.order_id or (client_order_id and client_order_id == order.client_order_id):
                return order
        raise OrderNotFoundError(EXCHANGE, order_id or client_order_id)

    async def cancel(self, symbol: str, *, order_id: str = "", client_order_id: str = "") -> Order:
        self.calls.append("cancel")

        def action() -> Order:
            order = self._find(order_id, client_order_id)
            if order.order_status.is_final:
                raise OrderNotFoundError(EXCHANGE, order_id or client_order_id)
            changed = self._change(order, order_status=OrderStatus.CANCELED)
            self.tell(changed)
            return changed

        return await self._answer(action, OrderUnknownError(EXCHANGE, symbol, client_order_id, "cancel lost"))

    async def cancel_all(self, symbol: str | None = None) -> list[Order]:
        self.calls.append("cancel_all")
        canceled: list[Order] = []

        def action() -> Order:
            for order in [o for o in self.book.values() if not o.order_status.is_final]:
                canceled.append(self._change(order, order_status=OrderStatus.CANCELED))
                self.tell(canceled[-1])
            return canceled[-1] if canceled else None  # type: ignore[return-value]

        await self._answer(action, OrderUnknownError(EXCHANGE, symbol or "", "", "cancel lost"))
        return canceled

    async def query(self, symbol: str, *, order_id: str = "", client_order_id: str = "") -> Order:
        self.calls.append("query")
        await anyio.lowlevel.checkpoint()
        if self.queries_fail:
            self.queries_fail -= 1
            raise NetworkError(EXCHANGE, "no way to the venue")
        order = self._find(order_id, client_order_id)
        if anyio.current_time() < self.placed_at[order.order_id] + self.hidden_for:
            raise OrderNotFoundError(EXCHANGE, order_id or client_order_id, symbol, "not shown yet")
        return order

    async def open_orders(self, symbol: str | None = None) -> list[Order]:
        self.calls.append("open_orders")
        self.now()
        await anyio.lowlevel.checkpoint()
        if self.queries_fail:
            self.queries_fail -= 1
            raise NetworkError(EXCHANGE, "no way to the venue")
        return [o for o in self.book.values() if not o.order_status.is_final and symbol in {None, o.symbol}]

    async def orders(self, symbol: str, *, since: int | None = None) -> list[Order]:
        await anyio.lowlevel.checkpoint()
        return [o for o in self.book.values() if o.symbol == symbol and (o.order_time or 0) >= (since or 0)]

    async def fills(self, symbol: str, *, since: int | None = None, order_id: str = "", count: int = 500) -> list[Fill]:
        await anyio.lowlevel.checkpoint()
        found = [f for f in self.filled if f.symbol == symbol and f.trade_time >= (since or 0)]
        found = [f for f in found if order_id in {"", f.order_id}]
        return found[:count] if since is not None else found[-count:]

    async def balances(self) -> list[Balance]:
        await anyio.lowlevel.checkpoint()
        return [self._balance(currency) for currency, amount in self.held.items() if amount]

    async def positions(self, symbol: str | None = None) -> list[Position]:
        await anyio.lowlevel.checkpoint()
        now = self.time_ns()
        return [
            Position(EXCHANGE, name, now, now, PositionSide.NET, volume) for name, volume in self.held_positions.items()
        ]


class FakeManager:
    """Hands a venue's events to subscribers, while it is connected; a `Gap` when it is connected again."""

    def __init__(self, api: FakeVenueApi) -> None:
        self.api = api
        self.is_connected = True
        self.streams: list[EventStream[Event]] = []
        self.since = 0
        api.listeners.append(self._take)

    def _take(self, event: Event) -> None:
        if self.is_connected:
            for stream in self.streams:
                stream.offer(event)

    def get_stats(self) -> dict[str, list[object]]:
        return {EXCHANGE: []}

    async def subscribe(self, exchange_name: str, topic: str, symbol: str) -> EventStream[Event]:
        assert (EXCHANGE, "user", "") == (exchange_name, topic, symbol)
        stream: EventStream[Event] = EventStream(1000)
        self.streams.append(stream)
        await anyio.lowlevel.checkpoint()
        return stream

    def cut(self) -> None:
        """Lose what happens from now on."""
        self.is_connected = False
        self.since = self.api.time_ns()

    def mend(self, until: int = 10**19) -> None:
        """Be connected again; ``until`` is in local time, which is real, and later than anything as it is."""
        self.is_connected = True
        gap = Gap(EXCHANGE, "", 0, until, self.since, until, GapReason.DISCONNECTED, recoverable=True, topic="user")
        for stream in self.streams:
            stream.offer_marker(gap)


def make_feed(api: FakeVenueApi, **options: Any) -> NativeFeed:
    """Return a feed over a fake."""
    options.setdefault("policy", FAST)
    options.setdefault("instruments", InstrumentManager())
    return NativeFeed(api=api, **options)  # type: ignore[arg-type]


@asynccontextmanager
async def open_feed(api: FakeVenueApi, **options: Any) -> AsyncIterator[NativeFeed]:
    """Enter a feed over a fake."""
    async with make_feed(api, **options) as feed:
        yield feed
