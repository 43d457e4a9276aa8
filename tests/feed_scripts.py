"""Random scripts of orders and faults, played by a feed against a simulated venue, and both books compared in the end.

A script is a list of steps made from a seed: orders that rest or take, with the market moving on between them; cancels,
queries, callers that are cancelled; replies and requests that are lost, late, or answered with errors; cut streams,
dead venues, limits. It runs in virtual time and in memory, so one takes about a tenth of a second, whatever it waits
for.

`play` returns an `Outcome`; `Outcome.problems` says what is wrong with it. Drive it with any number of seeds::

    for seed in range(10_000):
        outcome = run_script(seed)  # on asyncio; backend="trio" for the other loop
        assert not outcome.problems, outcome
"""

from __future__ import annotations

import random
import time
from collections import Counter
from contextlib import asynccontextmanager, suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import anyio
import attrs

from bt_api_base.containers import Balance, Fill, Order, OrderStatus
from bt_api_base.event_bus import EventBus
from bt_api_base.exceptions import BtApiError, WebSocketError
from bt_api_base.feeds import venue_feed
from bt_api_base.feeds.order_resolver import ResolvePolicy
from bt_api_base.feeds.orders_tracker import OrderFate
from bt_api_base.instrument_manager import InstrumentManager
from bt_api_base.rate_limiter import RateLimiter
from bt_api_base.testing.clock import virtual_backend
from bt_api_base.testing.okx_venue import SimulatedOkxVenue
from bt_api_base.testing.rest_clock import LoopClock
from bt_api_base.testing.rest_log import RestEnding
from bt_api_base.testing.simulated_venue import SimulatedVenue
from bt_api_base.websocket.client import open_websocket
from bt_api_base.websocket.config import WebSocketConfig
from bt_api_base.websocket_manager import WebSocketManager

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable

    from bt_api_base.feeds.native import NativeFeed
    from bt_api_base.testing.rest_log import RestRecord
    from bt_api_base.testing.rest_messages import RestRequest
    from bt_api_base.websocket.adapter import StreamAdapter

SYMBOL = "BTC-USDT"
POLICY = ResolvePolicy(settle_time=8.0, timeout=20.0)
"""Requests of a script are at most 6 s late."""

VENUES: dict[str, tuple[type[Any], str]] = {
    "binance": (SimulatedVenue, "BINANCE___SPOT"),
    "okx": (SimulatedOkxVenue, "OKX___SPOT"),
}


@attrs.frozen
class Step:
    """One step of a script.

    Attributes:
        kind: What is done; a method of `_Player` of that name with ``do_`` before it.
        values: With what.
    """

    kind: str
    values: tuple[Any, ...] = ()


@attrs.define
class Outcome:
    """What became of a script.

    Attributes:
        seed: What it was made from.
        steps: What was done.
        problems: What is wrong; empty if client and venue agree.
        placed: Orders at the venue.
        fills: Fills at the venue.
        unknown: Orders whose fate was unknown at some time.
        reconciliations: How often the stream was compared with REST.
    """

    seed: int
    steps: list[Step] = attrs.field(repr=False)
    problems: list[str] = attrs.field(factory=list)
    placed: int = 0
    fills: int = 0
    unknown: int = 0
    reconciliations: int = 0


def random_script(seed: int, length: int = 30) -> list[Step]:
    """Return the script of a seed: about a third of the steps are faults."""
    source = random.Random(seed)
    steps: list[Step] = []
    for _ in range(length):
        roll = source.random()
        if roll < 0.30:
            cancel_after = source.choice((None, None, None, 0.0, 0.05, 1.0))
            terms = (source.random() < 0.5, source.choice((-30, -3, -1, 0, 1, 30)), source.randint(1, 40))
            steps.append(
                Step("place", (*terms, source.choice(("limit", "limit", "market", "ioc", "maker")), cancel_after))
            )
        elif roll < 0.42:
            steps.append(Step("cancel", (source.random(), source.random() < 0.5, source.choice((None, None, 0.05)))))
        elif roll < 0.45:
            steps.append(Step("cancel_all"))
        elif roll < 0.50:
            steps.append(Step("query", (source.random(),)))
        elif roll < 0.62:
            steps.append(Step("market", (source.randint(1, 30),)))
        elif roll < 0.70:
            steps.append(Step("wait", (source.choice((0.01, 0.2, 3.0)),)))
        else:
            fault = source.choice((
                "lose_replies", "lose_replies", "lose_requests", "delay", "delay_before", "fail", "fail_done", "limit",
                "cut_streams", "kill", "cut_rest",
            ))  # fmt: skip
            steps.append(Step(fault, (source.randint(1, 3), source.choice((0.05, 1.0, 6.0)))))
    return steps


def _is_order(request: RestRequest) -> bool:
    return request.method in {"POST", "DELETE"}


@attrs.define(eq=False)
class _Player:
    """Plays the steps, with what it needs for them."""

    venue: Any
    feed: NativeFeed
    tasks: Any
    own_ids: list[str] = attrs.field(factory=list)
    problems: list[str] = attrs.field(factory=list)
    dead_until: float = -1.0
    unknown: set[str] = attrs.field(factory=set)

    async def _bounded(self, call: Callable[[], Any], cancel_after: float | None) -> None:
        """Make a call whose failure is the venue's business, perhaps cancelled after a while."""
        with anyio.move_on_after(float("inf") if cancel_after is None else cancel_after):
            try:
                await call()
            except BtApiError:
                pass
            except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
                self.problems.append(f"{type(error).__name__}: {error}")
        self.unknown.update(entry.client_order_id for entry in self.feed.unknown_orders)

    async def do_place(self, buys: bool, ticks: int, lots: int, kind: str, cancel_after: float | None) -> None:
        market = self.venue.markets[SYMBOL]
        instrument = self.venue.instruments[SYMBOL]
        side = market.book.asks if buys else market.book.bids
        price = Decimal(side.best + ticks * market.spec.tick).scaleb(-8)
        volume = instrument.step_size * lots + instrument.quantize_quantity("0.0005")
        own_id = self.feed.new_client_order_id()
        self.own_ids.append(own_id)
        word = "market" if kind == "market" else "post_only" if kind == "maker" else "limit"
        options = {"time_in_force": "ioc"} if kind == "ioc" else {}

        async def call() -> None:
            await self.feed.async_make_order(
                SYMBOL, volume, price, f"{'buy' if buys else 'sell'}-{word}", client_order_id=own_id, **options
            )

        self.tasks.start_soon(self._bounded, call, cancel_after)
        await anyio.sleep(0.001)

    def _chosen(self, where: float) -> str | None:
        return self.own_ids[int(where * len(self.own_ids))] if self.own_ids else None

    async def do_cancel(self, where: float, by_venue_id: bool, cancel_after: float | None) -> None:
        own_id = self._chosen(where)
        if own_id is None:
            return
        entry = self.feed.tracker.get(own_id)
        order_id = entry.order.order_id if by_venue_id and entry is not None and entry.order is not None else None

        async def call() -> None:
            await self.feed.async_cancel_order(SYMBOL, order_id, client_order_id=None if order_id else own_id)

        self.tasks.start_soon(self._bounded, call, cancel_after)
        await anyio.sleep(0.001)

    async def do_cancel_all(self) -> None:
        self.tasks.start_soon(self._bounded, lambda: self.feed.async_cancel_all(SYMBOL), None)
        await anyio.sleep(0.001)

    async def do_query(self, where: float) -> None:
        own_id = self._chosen(where)
        if own_id is not None:
            call = lambda: self.feed.async_query_order(SYMBOL, client_order_id=own_id)  # noqa: E731 - one line
            self.tasks.start_soon(self._bounded, call, None)

    async def do_market(self, steps: int) -> None:
        await self.venue.step(steps)

    async def do_wait(self, seconds: float) -> None:
        await anyio.sleep(seconds)

    async def do_lose_replies(self, count: int, _seconds: float) -> None:
        self.venue.rest.lose_replies(count, match=_is_order)

    async def do_lose_requests(self, count: int, _seconds: float) -> None:
        self.venue.rest.lose_requests(count, match=_is_order)

    async def do_delay(self, count: int, seconds: float) -> None:
        self.venue.rest.delay(2 * seconds, count, match=_is_order)

    async def do_delay_before(self, count: int, seconds: float) -> None:
        self.venue.rest.delay(seconds, count, match=_is_order, before=True)

    async def do_fail(self, count: int, _seconds: float) -> None:
        self.venue.rest.fail(503, count)

    async def do_fail_done(self, count: int, _seconds: float) -> None:
        self.venue.rest.fail(503, count, match=_is_order, done=True)

    async def do_limit(self, _count: int, seconds: float) -> None:
        self.venue.rest.limit(seconds)

    async def do_cut_streams(self, _count: int, _seconds: float) -> None:
        await self.venue.disconnect_all()

    async def do_cut_rest(self, _count: int, _seconds: float) -> None:
        await self.venue.rest.disconnect_all()

    async def do_kill(self, _count: int, seconds: float) -> None:
        self.dead_until = anyio.current_time() + seconds
        await self.venue.kill(seconds)


@asynccontextmanager
async def ground(seed: int, venue_name: str = "binance") -> AsyncIterator[tuple[Any, NativeFeed, list[float]]]:
    """Run a venue that stands still unless it is stepped, and a feed of it; all of it in memory and virtual time."""
    make_venue, exchange_name = VENUES[venue_name]
    clock = LoopClock(time.time_ns())
    dead_until = [-1.0]
    venue = make_venue((SYMBOL,), seed=seed, paused=True, listen=False, clock_ns=clock,
                       max_connects=None, max_messages_per_second=None)  # fmt: skip
    async with venue, WebSocketManager(EventBus()) as manager:

        async def dial(host: str, port: int) -> Any:
            if anyio.current_time() < dead_until[0]:
                raise ConnectionRefusedError
            return venue.connect_in_memory()

        @asynccontextmanager
        async def connector(config: WebSocketConfig, adapter: StreamAdapter) -> AsyncGenerator[Any]:
            # Log-ins are signed with this machine's time, which stands still while the venue's goes on.
            manager.set_clock_offset(exchange_name, time.time_ns() - venue.rest.now_ns())
            async with open_websocket(config.url, connector=dial, close_timeout=config.close_timeout) as websocket:
                yield websocket

        url = "ws://memory.invalid/stream" if venue_name == "binance" else "ws://memory.invalid/ws/v5/public"
        config = WebSocketConfig(url, exchange_name, credentials=venue.credentials, reconnect_interval=0.5,
                                 max_reconnect_interval=2.0)  # fmt: skip
        await manager.add_exchange(config, connector=connector)
        feed = venue_feed(
            exchange_name, venue.credentials, rest_url=venue.rest_url, transport=venue.rest_transport(),
            limiter=RateLimiter((), default=None, clock=anyio.current_time), manager=manager, policy=POLICY,
            instruments=InstrumentManager(),
        )  # fmt: skip
        async with feed:
            # The time of the venue, which is virtual.
            feed.api.clock._base_ns, feed.api.clock._monotonic_ns = 0, venue.rest.now_ns
            yield venue, feed, dead_until


async def play(seed: int, venue_name: str = "binance", length: int = 30) -> Outcome:
    """Play the script of a seed; return how it ended."""
    steps = random_script(seed, length)
    outcome = Outcome(seed, steps)
    told: list[Any] = []
    async with ground(seed, venue_name) as (venue, feed, dead_until):
        await venue.step(5)
        async with feed.user_data() as user, anyio.create_task_group() as listening:

            async def listen() -> None:
                async for event in user:
                    told.append(event)  # noqa: PERF401 - what was told is there whenever this is cancelled

            listening.start_soon(listen)
            async with anyio.create_task_group() as tasks:
                player = _Player(venue, feed, tasks)
                for step in steps:
                    await getattr(player, f"do_{step.kind}")(*step.values)
                    dead_until[0] = player.dead_until
                venue.rest.clear()
                await anyio.sleep(10.0)
            with suppress(WebSocketError):
                left = await feed.resolve_unknown(60.0)
                outcome.problems += [f"{entry.client_order_id} is unknown for ever" for entry in left]
            await anyio.sleep(20.0)  # streams are back, and were checked again
            await user.reconcile()
            await anyio.sleep(1.0)
            listening.cancel_scope.cancel()
        outcome.unknown = len(player.unknown)
        outcome.reconciliations = user.get_stats().reconciliations
        outcome.problems += player.problems
        _compare(outcome, venue, feed, player.own_ids, told)
    return outcome


def _was_refused(record: RestRecord) -> bool:
    """Whether the client was told that nothing was done, as with a wrong time stamp: it may sign and send anew then."""
    return record.ending is RestEnding.ANSWERED and 400 <= record.status < 500


def _compare(outcome: Outcome, venue: Any, feed: NativeFeed, own_ids: list[str], told: list[Any]) -> None:
    """Compare the client's books with the venue's."""
    problems, exchange = outcome.problems, venue.exchange
    sent = Counter(
        own_id for record in venue.rest.log.records for own_id in record.placed_ids if not _was_refused(record)
    )
    if sent and max(sent.values()) > 1:
        problems.append(f"sent more than once: {[own_id for own_id, count in sent.items() if count > 1]}")
    at_venue = {order.client_order_id: order for order in exchange.orders.values()}
    outcome.placed, outcome.fills = len(at_venue), len(exchange.fills)
    if len(at_venue) != len(exchange.orders):
        problems.append("the venue has several orders of one id")
    states: dict[str, Order] = {e.client_order_id or "": e for e in told if isinstance(e, Order)}
    for own_id in own_ids:
        entry, order = feed.tracker.get(own_id), at_venue.get(own_id)
        if order is None:
            if entry is not None and entry.fate is not OrderFate.NOT_PLACED:
                # A caller that was cancelled before it came to sending leaves no trace.
                problems.append(f"{own_id} is {entry.fate.value} here, and not at the venue")
        elif entry is None or entry.order is None:
            problems.append(f"{own_id} is at the venue, and not known here")
        else:
            for name, known in (("tracker", entry.order), ("stream", states.get(own_id))):
                problems += _differences(name, own_id, known, order)
    fills = Counter(event.trade_id for event in told if isinstance(event, Fill))
    expected = Counter(str(fill.trade_id) for fill in exchange.fills)
    if fills != expected:
        problems.append(f"fills told too often: {fills - expected}, not told: {expected - fills}")
    balances = {event.currency: event for event in told if isinstance(event, Balance)}
    for currency, holding in exchange.balances.items():
        total = holding.free + holding.locked
        known = balances[currency].margin if currency in balances else 0
        if known != total:
            problems.append(f"{currency}: {known} here, {total} at the venue")


def _differences(where: str, own_id: str, known: Order | None, order: Any) -> list[str]:
    if known is None:
        return [f"{own_id} was never told by the {where}"]
    is_open = not order.status.is_final
    same = known.order_status is order.status or (is_open and not known.order_status.is_final)
    if not same and {known.order_status, order.status} <= {OrderStatus.CANCELED, OrderStatus.EXPIRED}:
        same = True  # venues differ in what they call an order whose time in force ended
    if same and (known.executed_qty or 0) == order.executed:
        return []
    here = f"{known.order_status.value} with {known.executed_qty} in the {where}"
    return [f"{own_id} is {here}, {order.status.value} with {order.executed} at the venue"]


def run_script(seed: int, venue_name: str = "binance", *, backend: str = "asyncio", length: int = 30) -> Outcome:
    """Play the script of a seed on an event loop of its own, in virtual time."""
    name, options = virtual_backend(backend)  # type: ignore[arg-type]
    return anyio.run(play, seed, venue_name, length, backend=name, backend_options=options)
