"""Random scripts of a trader's calls and of what can go wrong, against simulated venues in virtual time.

Everything follows from a seed: what is asked for and when, what goes wrong, what the markets do, and in which order the
event loop runs its tasks. A seed that fails is run again, with a report, by

    python -m tests.order_scripts SEED [asyncio|trio]

A script has a feed over a venue in memory, and mostly the account's events over a WebSocket in memory as well. In the
end, when nothing goes wrong any more, client and venue have to agree: see `Agreement`.
"""

from __future__ import annotations

import random
import sys
import types
from collections import Counter, defaultdict
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import ROUND_HALF_UP, Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import attrs

from bt_api_base.containers import Fill, Order, OrderStatus
from bt_api_base.containers.decimals import quantize
from bt_api_base.exceptions import BtApiError, DuplicateOrderError, OrderUnknownError
from bt_api_base.feeds import venue_feed
from bt_api_base.feeds.clock import VenueClock
from bt_api_base.feeds.orders_tracker import OrderFate, OrderTracker
from bt_api_base.instrument_manager import InstrumentManager
from bt_api_base.rate_limiter import RateLimiter
from bt_api_base.testing.clock import virtual_backend
from bt_api_base.testing.okx_venue import SimulatedOkxVenue
from bt_api_base.testing.rest_clock import START_NS, LoopClock
from bt_api_base.testing.rest_log import RestEnding
from bt_api_base.testing.simulated_venue import SimulatedVenue
from bt_api_base.testing.usdm_venue import SimulatedUsdmVenue
from bt_api_base.venues.binance.rest_limits import SPOT_RULES, USDM_RULES
from bt_api_base.venues.binance.spot import BinanceSpotAdapter
from bt_api_base.venues.okx.adapter import OkxSpotAdapter
from bt_api_base.venues.okx.rest_endpoints import OKX_RULES
from bt_api_base.websocket import open_websocket
from bt_api_base.websocket_manager import WebSocketConfig, WebSocketManager

if sys.version_info < (3, 11):
    from exceptiongroup import BaseExceptionGroup

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterator

    from anyio.abc import ByteStream, TaskGroup

    from bt_api_base.feeds import NativeFeed, UserData
    from bt_api_base.rate_limiter import RateLimitRule
    from bt_api_base.testing.exchange_orders import ExchangeOrder

ATOMS = Decimal("1e-8")


# -- what is traded, and how it is reached -------------------------------------------------------------


@attrs.frozen
class Market:
    """A venue that a script can be played at.

    Attributes:
        exchange_name: Whose feed trades.
        venue: The simulated venue's class.
        symbols: What is traded.
        rules: The limits that the client keeps.
        adapter: Reads the account's events in memory; ``None``: they cannot be had without sockets.
        stream_path: Where those are.
    """

    exchange_name: str
    venue: type[Any]
    symbols: tuple[str, ...]
    rules: tuple[RateLimitRule, ...]
    adapter: type[Any] | None = None
    stream_path: str = ""


BINANCE = Market("BINANCE___SPOT", SimulatedVenue, ("BTC-USDT", "ETH-USDT"), SPOT_RULES, BinanceSpotAdapter, "/ws-api/v3")
OKX = Market("OKX___SPOT", SimulatedOkxVenue, ("BTC-USDT", "ETH-USDT"), OKX_RULES, OkxSpotAdapter, "/ws/v5/public")
USDM = Market("BINANCE___SWAP", SimulatedUsdmVenue, ("BTC-USDT-SWAP",), USDM_RULES)
MARKETS = (BINANCE, BINANCE, OKX, OKX, USDM)
"""What scripts are played at, in turn."""


class SkewedClock:
    """The clock of the client's machine, nanoseconds: the loop's, and off by as much as a script says."""

    def __init__(self, venue_ns: Callable[[], int]) -> None:
        self._venue_ns = venue_ns
        self.skew = 0.0

    def __call__(self) -> int:
        """Return nanoseconds since the epoch."""
        return self._venue_ns() + round(self.skew * 1e9)


def at_venue_time(adapter: type[Any], now_ns: Callable[[], int]) -> Callable[[str], Any]:
    """Return what makes adapters that log in with the time of a loop, whatever the manager's clock says."""

    class AtVenueTime(adapter):  # type: ignore[misc]
        @property
        def now_ns(self) -> Callable[[], int]:
            return now_ns

        @now_ns.setter
        def now_ns(self, value: Callable[[], int]) -> None:
            """Keep the loop's."""

    return lambda _name: AtVenueTime()


def in_memory(connect: Callable[[], ByteStream]) -> Any:
    """Return what opens real WebSockets over streams in memory."""

    async def dial(host: str, port: int) -> ByteStream:
        return connect()

    @asynccontextmanager
    async def connector(config: WebSocketConfig, adapter: Any) -> AsyncGenerator[Any]:
        async with open_websocket(config.url, connector=dial, close_timeout=config.close_timeout) as websocket:
            yield websocket

    return connector


# -- cancelling at any await ---------------------------------------------------------------------------


@types.coroutine
def cancelled_at(
    suspension: int, scope: anyio.CancelScope, coroutine: Coroutine[Any, Any, Any]
) -> Generator[Any, Any, Any]:
    """Run a coroutine, and cancel its scope at one of its suspensions; it may be over before."""
    step: Callable[[Any], Any] = coroutine.send
    value: Any = None
    try:
        while True:
            try:
                trap = step(value)
            except StopIteration as stop:
                return stop.value
            suspension -= 1
            if not suspension:
                scope.cancel()
            try:
                value = yield trap
                step = coroutine.send
            except GeneratorExit:
                raise
            except BaseException as error:  # noqa: BLE001 - goes to the coroutine, which decides
                step, value = coroutine.throw, error
    finally:
        coroutine.close()


# -- scripts -------------------------------------------------------------------------------------------

CALLS = {
    "place": 30, "cancel": 12, "replace": 6, "query": 5, "cancel_all": 2, "open": 1, "balance": 2, "fills": 1,
    "market": 16, "wait": 4, "restart": 0.5,
}  # fmt: skip
"""What a trader does, and how often."""

FAULTS = {
    "lose_reply": 6, "lose_request": 5, "fail": 4, "fail_done": 4, "slow_reply": 4, "slow_request": 4, "limit": 1.5,
    "ban": 0.7, "kill": 1.5, "kill_rest": 1.5, "cut_streams": 2, "cut_rest": 1, "skew": 1.5,
    "repeat": 1, "reorder": 1, "skip": 0.5, "stall": 0.7, "slow_acks": 0.5,
}  # fmt: skip
"""What goes wrong, and how often."""

PAUSES = (0.0, 0.0, 0.0, 0.001, 0.05, 0.3, 1.0, 4.0)
"""Seconds from one step to the next."""


@attrs.frozen
class Step:
    """One step of a script: what, and the numbers between 0 and 1 that the rest follows from."""

    kind: str
    pause: float
    chances: tuple[float, ...]

    def pick(self, number: int, choices: tuple[Any, ...]) -> Any:
        """Return one of several, by one of the numbers."""
        return choices[int(self.chances[number] * len(choices))]


@attrs.frozen
class Script:
    """What is played.

    Attributes:
        seed: What all of it follows from.
        market: Where.
        streams: Whether the account's events are listened to.
        is_strict: Whether the venue allows less requests and orders than the client thinks.
        timeout: Of the client's calls, seconds.
        steps: What happens.
    """

    seed: int
    market: Market
    streams: bool
    is_strict: bool
    timeout: float
    steps: tuple[Step, ...]


def make_script(seed: int) -> Script:
    """Return the script of a seed."""
    rng = random.Random(seed)
    market = MARKETS[seed % len(MARKETS)]
    faults = rng.choice((0.0, 0.3, 1.0, 2.0))
    weights = {**CALLS, **{kind: faults * weight for kind, weight in FAULTS.items()}}
    steps = tuple(
        Step(kind, rng.choice(PAUSES), tuple(rng.random() for _ in range(8)))
        for kind in rng.choices(tuple(weights), tuple(weights.values()), k=rng.randint(5, 40))
    )
    return Script(
        seed,
        market,
        streams=market.adapter is not None and rng.random() < 0.7,
        is_strict=rng.random() < 0.2,
        timeout=rng.choice((10.0, 10.0, 10.0, 1.5)),
        steps=steps,
    )


# -- playing -------------------------------------------------------------------------------------------


@attrs.define(eq=False)
class Placing:
    """One call that placed an order, and what the caller was told.

    Attributes:
        own_id: Its client order id.
        outcome: ``"placed"``, ``"refused"`` (nothing was placed), ``"duplicate"`` (nothing was sent), ``"unknown"``,
            or ``"cancelled"``.
        order_id: The venue's id, if it was told.
        error: What the caller got.
    """

    own_id: str
    outcome: str = "cancelled"
    order_id: str = ""
    error: BaseException | None = None


@attrs.define(eq=False)
class Session:
    """What one stream of the account's events told."""

    events: list[Any] = attrs.field(factory=list[Any])


@attrs.define(eq=False)
class Player:
    """Plays a script, and knows what came of it."""

    script: Script
    venue: Any
    make_feed: Callable[[OrderTracker], NativeFeed]
    machine: SkewedClock
    limiter: RateLimiter
    feed: Any = None
    tasks: TaskGroup | None = None
    placings: list[Placing] = attrs.field(factory=list[Placing])
    sessions: list[Session] = attrs.field(factory=list[Session])
    stream: UserData | None = None
    log: list[str] = attrs.field(factory=list[str])
    counts: Counter[str] = attrs.field(factory=Counter[str])
    calling: int = 0

    def note(self, text: str) -> None:
        """Write down what happens, for the report of a script that fails."""
        self.log.append(f"{anyio.current_time():9.3f} {text}")

    # What is wanted.

    def price(self, symbol: str, fraction: float) -> Decimal:
        """Return a price that is off the middle by a part of it, on the grid."""
        best = self.venue.markets[symbol].best
        middle = (best.bid_price + best.ask_price) * ATOMS / 2
        tick = self.venue.instruments[symbol].tick_size
        return quantize(middle * (1 + Decimal(fraction)), tick, ROUND_HALF_UP)

    def known_id(self, step: Step, number: int) -> Placing | None:
        """Return an order that was asked for earlier, mostly a late one."""
        if not self.placings:
            return None
        back = int(step.chances[number] ** 2 * len(self.placings))
        return self.placings[-1 - back]

    async def play(self) -> None:
        """Do all steps, each in its time, without waiting for the ones before; and see that all agree in the end.

        At a restart the feed is left in the middle of whatever is under way. The next one knows its orders.
        """
        steps = iter(self.script.steps)
        tracker, goes_on = OrderTracker(), True
        while goes_on:
            async with self.make_feed(tracker) as self.feed, anyio.create_task_group() as self.tasks:
                if self.script.streams:
                    self.tasks.start_soon(self.follow)
                    if not self.sessions:
                        while self.stream is None:  # noqa: ASYNC110 - nobody tells when
                            await anyio.sleep(0.01)
                goes_on = await self.play_until_restart(steps)
                if not goes_on:
                    await self.come_to_rest()
                    await Agreement(self).check()
                self.tasks.cancel_scope.cancel()

    async def play_until_restart(self, steps: Iterator[Step]) -> bool:
        """Do steps up to a restart; return whether there was one."""
        assert self.tasks is not None
        for step in steps:
            await anyio.sleep(step.pause)
            self.counts[step.kind] += 1
            if step.kind == "restart":
                self.note("the feed is left")
                return True
            method = getattr(self, f"do_{step.kind}")
            if step.kind in CALLS and step.kind not in {"market", "wait"}:
                self.calling += 1
                self.tasks.start_soon(self.call, step, method)
                await anyio.lowlevel.checkpoint()
            else:
                self.note(step.kind)
                await method(step)
        return False

    async def call(self, step: Step, method: Callable[[Step], Coroutine[Any, Any, None]]) -> None:
        """Make a call, which may be cancelled: at one of its awaits, or after a time."""
        chance = step.chances[0]
        try:
            with anyio.CancelScope() as scope:
                if chance < 0.12:
                    suspension = 1 + int(step.chances[1] ** 2 * 20)
                    self.note(f"{step.kind}, to be cancelled at its await {suspension}")
                    await cancelled_at(suspension, scope, method(step))
                else:
                    if chance < 0.2:
                        scope.deadline = anyio.current_time() + 15.0 * step.chances[1] ** 2
                    await method(step)
        except BtApiError as error:
            self.note(f"{step.kind}: {error!r}")
            self.counts[type(error).__name__] += 1
        finally:
            self.calling -= 1

    # The trader's calls.

    async def do_place(self, step: Step) -> None:
        """Place an order of any kind; now and then with an id that was used before."""
        symbol = step.pick(2, self.script.market.symbols)
        instrument = self.venue.instruments[symbol]
        own_id = f"own{len(self.placings)}"
        before = self.known_id(step, 7)
        if before is not None and step.chances[3] < 0.08:
            own_id = before.own_id
        side = step.pick(4, ("buy", "sell"))
        kind = step.pick(5, ("limit", "limit", "limit", "far", "far", "market", "post_only", "ioc", "fok", "odd"))
        fraction = (step.chances[6] - 0.5) * 0.002
        if kind in {"far", "post_only"}:
            fraction = -abs(fraction) * (5 if kind == "far" else 1) * (1 if side == "buy" else -1)
        lots = 1 + int(step.chances[7] * 400)
        least = max(instrument.step_size, instrument.min_qty or instrument.step_size)
        price = self.price(symbol, fraction)
        volume = quantize(least * lots + 20 / price / (instrument.contract_multiplier or 1), least, ROUND_HALF_UP)
        options: dict[str, Any] = {"client_order_id": own_id}
        word = "market" if kind == "market" else "limit"
        if kind in {"ioc", "fok"}:
            options["time_in_force"] = kind
        elif kind == "odd":  # more than there is
            volume *= 1_000
        placing = Placing(own_id)
        self.placings.append(placing)
        self.note(f"place {own_id} {symbol} {side} {kind} {volume} at {price}")
        try:
            order = await self.feed.async_make_order(
                symbol,
                volume,
                None if word == "market" else price,
                f"{side}-{word}",
                post_only=kind == "post_only",
                resolve=step.chances[1] < 0.7 or step.chances[0] < 0.2,
                **options,
            )
        except OrderUnknownError as error:
            placing.outcome, placing.error = "unknown", error
            raise
        except DuplicateOrderError as error:
            # Of those that the feed itself refuses nothing was sent; of the venue's it makes no difference here.
            placing.outcome, placing.error = "refused", error
            raise
        except BtApiError as error:
            placing.outcome, placing.error = "refused", error
            raise
        placing.outcome, placing.order_id = "placed", order.order_id
        self.note(f"placed {own_id} as {order.order_id}: {order.order_status.value}")

    async def do_cancel(self, step: Step) -> None:
        """Cancel an order of before, by either id."""
        placing = self.known_id(step, 3)
        if placing is None:
            return
        entry = self.feed.tracker.get(placing.own_id)
        symbol = self.script.market.symbols[0] if entry is None else entry.symbol
        self.note(f"cancel {placing.own_id} {placing.order_id}")
        by_number = step.chances[4] < 0.5 and placing.order_id
        order = await self.feed.async_cancel_order(
            symbol,
            placing.order_id if by_number else None,
            client_order_id=None if by_number else placing.own_id,
        )
        assert order.order_status.is_final, order
        self.note(f"{placing.own_id} is {order.order_status.value}")

    async def do_replace(self, step: Step) -> None:
        """Cancel an order, and place another one if that worked."""
        await self.do_cancel(step)
        await self.do_place(step)

    async def do_query(self, step: Step) -> None:
        """Ask for an order of before."""
        placing = self.known_id(step, 3)
        if placing is not None:
            entry = self.feed.tracker.get(placing.own_id)
            symbol = self.script.market.symbols[0] if entry is None else entry.symbol
            await self.feed.async_query_order(symbol, client_order_id=placing.own_id)

    async def do_cancel_all(self, step: Step) -> None:
        """Cancel everything, of one instrument or of all."""
        await self.feed.async_cancel_all(step.pick(3, (*self.script.market.symbols, None)))

    async def do_open(self, step: Step) -> None:
        """Ask for the open orders."""
        await self.feed.async_get_open_orders()

    async def do_balance(self, step: Step) -> None:
        """Ask for the balances."""
        await self.feed.async_get_balance()

    async def do_fills(self, step: Step) -> None:
        """Ask for fills."""
        await self.feed.async_get_deals(step.pick(3, self.script.market.symbols))

    async def do_market(self, step: Step) -> None:
        """Let the markets move."""
        await self.venue.step(1 + int(step.chances[3] * 60))

    async def do_wait(self, step: Step) -> None:
        """Let time pass."""
        await anyio.sleep(30.0 * step.chances[3] ** 2)

    # What goes wrong.

    def match(self, step: Step) -> str | None:
        """Return which requests it is that something happens to."""
        return step.pick(2, (None, "POST *", "POST *", "POST *", "DELETE *", "GET *order*"))

    def count(self, step: Step) -> int:
        """Return how many."""
        return step.pick(3, (1, 1, 1, 2, 3, 8))

    async def do_lose_reply(self, step: Step) -> None:
        self.venue.rest.lose_replies(self.count(step), match=self.match(step))

    async def do_lose_request(self, step: Step) -> None:
        self.venue.rest.lose_requests(self.count(step), match=self.match(step))

    async def do_fail(self, step: Step, *, done: bool = False) -> None:
        status = step.pick(4, (500, 502, 503, 504))
        self.venue.rest.fail(status, self.count(step), match=self.match(step), done=done)

    async def do_fail_done(self, step: Step) -> None:
        await self.do_fail(step, done=True)

    async def do_slow_reply(self, step: Step) -> None:
        self.venue.rest.delay(20.0 * step.chances[4] ** 2, self.count(step), match=self.match(step))

    async def do_slow_request(self, step: Step) -> None:
        self.venue.rest.delay(12.0 * step.chances[4] ** 2, self.count(step), match=self.match(step), before=True)

    async def do_limit(self, step: Step) -> None:
        self.venue.rest.limit(20.0 * step.chances[4] ** 2)

    async def do_ban(self, step: Step) -> None:
        self.venue.rest.limit(150.0 * step.chances[4], banned=True)

    async def do_kill(self, step: Step) -> None:
        await self.venue.kill(20.0 * step.chances[4] ** 2)

    async def do_kill_rest(self, step: Step) -> None:
        await self.venue.rest.kill(20.0 * step.chances[4] ** 2)

    async def do_cut_rest(self, step: Step) -> None:
        await self.venue.rest.disconnect_all()

    async def do_cut_streams(self, step: Step) -> None:
        await self.venue.disconnect_all()
        if step.chances[4] < 0.5:
            self.venue.refuse_handshakes(count=1 + int(step.chances[5] * 4))

    async def do_skew(self, step: Step) -> None:
        """Let the client's clock jump."""
        self.machine.skew += (step.chances[4] - 0.5) * step.pick(5, (2.0, 20.0, 200.0))

    async def do_repeat(self, step: Step) -> None:
        for stream in self.venue.subscriptions:
            self.venue.repeat(stream, self.count(step))

    async def do_reorder(self, step: Step) -> None:
        for stream in self.venue.subscriptions:
            self.venue.reorder(stream, self.count(step))

    async def do_skip(self, step: Step) -> None:
        for stream in self.venue.subscriptions:
            self.venue.skip(stream, self.count(step))

    async def do_stall(self, step: Step) -> None:
        self.venue.stall(150.0 * step.chances[4] ** 2, answers_pings=step.chances[5] < 0.5)

    async def do_slow_acks(self, step: Step) -> None:
        self.venue.delay_acks(20.0 * step.chances[4] ** 2, count=self.count(step))

    # The account's events.

    async def follow(self) -> None:
        """Take what the account's stream tells; open it again where it fails, as a program does."""
        pause = 0.0
        while True:
            await anyio.sleep(pause)
            pause = 5.0
            session = Session()
            try:
                async with self.feed.user_data(since=0, symbols=self.script.market.symbols) as stream:
                    self.sessions.append(session)
                    self.stream = stream
                    async for event in stream:
                        session.events.append(event)
            except BtApiError as error:
                self.note(f"the account's stream failed: {error!r}")
                self.counts["stream failed"] += 1
            finally:
                self.stream = None

    def be_strict(self, strict: bool) -> None:
        """Let the venue allow less than it usually does, or as much again."""
        dialect = self.venue.rest.dialect
        if self.script.market is OKX:
            dialect.allow(0.2 if strict else 1.0)
        else:
            dialect.weights.window.limit = 200 if strict else 6_000
            dialect.order_windows[0].limit = 6 if strict else 50

    # The end.

    async def come_to_rest(self) -> None:
        """Let nothing go wrong any more, and wait until all is known."""
        self.note("the end: nothing goes wrong from here on")
        self.venue.rest.clear()
        self.venue.refuse_handshakes(count=0)
        self.be_strict(False)
        for stream in self.venue.subscriptions:
            self.venue.disturb(stream)
        await self.venue.revive()
        with anyio.fail_after(3_600.0):
            while self.calling:
                await anyio.sleep(1.0)
            await anyio.sleep(self.limiter.closed_for)
        left = await self.feed.resolve_unknown(3_600.0)
        assert not left, f"of unknown fate after an hour: {left}"
        if self.script.streams:
            with anyio.fail_after(3_600.0):
                while self.stream is None:
                    await anyio.sleep(1.0)
            await anyio.sleep(240.0)
            assert self.stream is not None
            if self.counts["skip"] or self.counts["stall"] or self.counts["reorder"]:
                await self.stream.reconcile()  # nothing else tells of what a venue does not send
                await anyio.sleep(1.0)
        else:
            await anyio.sleep(90.0)
            for entry in self.feed.tracker.open:
                await self.feed.async_query_order(entry.symbol, client_order_id=entry.client_order_id)


# -- what has to be true in the end --------------------------------------------------------------------


def same_status(one: OrderStatus, other: OrderStatus) -> bool:
    """Tell whether two states are the same, where some venues have one word for two."""
    ended = {OrderStatus.CANCELED, OrderStatus.EXPIRED}
    return one is other or {one, other} <= ended


@attrs.define(eq=False)
class Agreement:
    """What client and venue have to agree on."""

    player: Player
    problems: list[str] = attrs.field(factory=list[str])

    def expect(self, holds: bool, problem: str) -> None:
        """Note a problem unless something holds."""
        if not holds:
            self.problems.append(problem)

    async def check(self) -> None:
        """Compare all.

        Raises:
            AssertionError: Something differs.
        """
        self.sent_once()
        self.none_lost()
        self.states_agree()
        if self.player.script.streams:
            self.told_once()
        await self.rest_agrees()
        self.nothing_left()
        assert not self.problems, "\n".join(self.problems)

    @property
    def placed(self) -> dict[str, list[ExchangeOrder]]:
        """The venue's orders by client order id."""
        found: dict[str, list[ExchangeOrder]] = defaultdict(list)
        for order in self.player.venue.exchange.orders.values():
            found[order.client_order_id].append(order)
        return found

    def sent_once(self) -> None:
        """No call has sent more than one request, unless the ones before were plainly refused."""
        calls = Counter(placing.own_id for placing in self.player.placings)
        requests: Counter[str] = Counter()
        # What is refused because of its time stamp is sent again with another one.
        is_untimely = self.player.counts["skew"] or self.player.counts["slow_request"]
        for record in self.player.venue.rest.log.records:
            refused = record.ending is RestEnding.ANSWERED and 400 <= record.status < 500
            for own_id in record.placed_ids:
                requests[own_id] += not (refused and is_untimely)
        for own_id, number in requests.items():
            self.expect(number <= calls[own_id], f"{own_id} was sent {number} times in {calls[own_id]} calls")

    def none_lost(self) -> None:
        """What callers were told of their orders is true."""
        placed = self.placed
        by_id: dict[str, list[Placing]] = defaultdict(list)
        for placing in self.player.placings:
            by_id[placing.own_id].append(placing)
        for own_id in placed:
            self.expect(own_id in by_id, f"nobody asked for {own_id}, which is at the venue")
        for own_id, placings in by_id.items():
            orders = placed.get(own_id, [])
            told = [placing for placing in placings if placing.outcome == "placed"]
            vague = [placing for placing in placings if placing.outcome in {"unknown", "cancelled"}]
            outcomes = [placing.outcome for placing in placings]
            known = {str(order.order_id) for order in orders}
            for placing in told:
                self.expect(placing.order_id in known, f"{own_id} was told to be {placing.order_id}, one of {known}")
            numbers = {placing.order_id for placing in told}
            self.expect(len(numbers) == len(told), f"{own_id}: two calls were told of the same order: {outcomes}")
            least, most = len(told), len(told) + len(vague)
            self.expect(least <= len(orders) <= most, f"{own_id}: {outcomes}, but {len(orders)} at the venue")
            entry = self.player.feed.tracker.get(own_id)
            if len(placings) == 1 and vague:
                if entry is None:
                    self.expect(not orders, f"{own_id} is at the venue, and the feed has never heard of it")
                else:
                    fate = OrderFate.PLACED if orders else OrderFate.NOT_PLACED
                    self.expect(entry.fate is fate, f"{own_id} is taken for {entry.fate}, it is {fate}")

    def states_agree(self) -> None:
        """The latest order of each id is known in the state that it is in."""
        tracker = self.player.feed.tracker
        for own_id, orders in self.placed.items():
            entry, order = tracker.get(own_id), orders[-1]
            if entry is not None and entry.fate is OrderFate.NOT_PLACED and str(order.order_id) in entry.earlier_ids:
                self.expect(not order.is_open, f"{own_id} is open, and its id was used again")
                continue
            if entry is None or entry.order is None:
                self.expect(False, f"{own_id} is at the venue, and not in the tracker")
                continue
            known = entry.order
            self.expect(str(order.order_id) == known.order_id, f"{own_id} is {order.order_id}, not {known.order_id}")
            status = same_status(order.status, known.order_status)
            self.expect(status, f"{own_id} is {order.status.value}, not {known.order_status.value}")
            executed = known.executed_qty or Decimal(0)
            self.expect(order.executed == executed, f"{own_id} is filled {order.executed}, not {executed}")
            self.expect(order.is_open == entry.is_open, f"{own_id}: open {order.is_open}, taken for {entry.is_open}")
        for entry in tracker.all():
            self.expect(entry.is_settled, f"{entry.client_order_id} is {entry.fate} in the end")
            if entry.fate is OrderFate.PLACED:
                self.expect(entry.client_order_id in self.placed, f"{entry.client_order_id} is not at the venue")

    def told_once(self) -> None:
        """The account's stream told of every fill once, and of every order's end."""
        exchange = self.player.venue.exchange
        fills = {str(fill.trade_id): fill for fill in exchange.fills}
        for number, session in enumerate(self.player.sessions, 1):
            told = Counter(event.trade_id for event in session.events if isinstance(event, Fill))
            twice = [trade_id for trade_id, times in told.items() if times > 1]
            self.expect(not twice, f"stream {number} told fills twice: {twice}")
            ended: set[str] = set()
            executed: dict[str, Decimal] = {}
            for event in session.events:
                if isinstance(event, Order):
                    filled = event.executed_qty or Decimal(0)
                    self.expect(filled >= executed.get(event.order_id, Decimal(0)), f"{event.order_id} went backwards")
                    executed[event.order_id] = filled
                    self.expect(event.order_id not in ended, f"{event.order_id} was told of after its end")
                    if event.order_status.is_final:
                        ended.add(event.order_id)
        if not self.player.sessions:
            return
        events = self.player.sessions[-1].events
        heard = {event.trade_id: event for event in events if isinstance(event, Fill)}
        self.expect(not fills.keys() - heard.keys(), f"fills were not told: {sorted(fills.keys() - heard.keys())}")
        self.expect(not heard.keys() - fills.keys(), f"fills were made up: {sorted(heard.keys() - fills.keys())}")
        for trade_id in fills.keys() & heard.keys():
            fill, event = fills[trade_id], heard[trade_id]
            is_told = (event.order_id, event.trade_price, event.trade_volume, event.trade_fee)
            happened = (str(fill.order_id), fill.price, fill.quantity, fill.fee)
            self.expect(happened == is_told, f"fill {trade_id} is {happened}, not {is_told}")
        orders = {event.order_id: event for event in events if isinstance(event, Order)}
        for order in exchange.orders.values():
            event = orders.get(str(order.order_id))
            if event is None:
                self.expect(False, f"order {order.order_id} was not told")
                continue
            self.expect(
                same_status(order.status, event.order_status),
                f"order {order.order_id} is {order.status.value}, and {event.order_status.value} was told last",
            )

    async def rest_agrees(self) -> None:
        """What the venue answers over REST is what its exchange has."""
        feed, exchange = self.player.feed, self.player.venue.exchange
        orders = await feed.async_get_open_orders()
        expected = {str(order.order_id) for order in exchange.open_orders()}
        self.expect(expected == {order.order_id for order in orders}, "the open orders differ")
        held = {balance.currency: balance for balance in await feed.async_get_balance()}
        for currency, holding in exchange.balances.items():
            balance = held.get(currency)
            total = Decimal(0) if balance is None else balance.margin
            self.expect(holding.total == total, f"{currency}: {holding.total} is held, not {total}")
            if balance is not None and balance.available_margin is not None:
                free = balance.available_margin
                self.expect(holding.free == free, f"{currency}: {holding.free} is free, not {free}")
        for symbol in self.player.script.market.symbols:
            fills = await feed.async_get_deals(symbol, start_time=START_NS)
            known = [str(fill.trade_id) for fill in exchange.fills if fill.symbol == symbol]
            self.expect(known == [fill.trade_id for fill in fills], f"the fills of {symbol} differ")

    def nothing_left(self) -> None:
        """Nobody waits, and nothing is on its way."""
        player = self.player
        self.expect(not player.venue.rest.connections, "requests are on their way")
        self.expect(not player.limiter.waiting, f"somebody waits for the limiter: {player.limiter.waiting}")
        stats = player.feed.api.client.get_stats()
        self.expect(not stats.in_flight, f"{stats.in_flight} calls are under way")
        self.expect(not player.feed.unknown_orders, "orders are of unknown fate")


# -- running -------------------------------------------------------------------------------------------


async def run_script(script: Script, log: list[str] | None = None) -> Counter[str]:
    """Play a script, and see that client and venue agree in the end; return what happened how often.

    Raises:
        AssertionError: They do not.
    """
    market = script.market
    before = {task.id for task in anyio.get_running_tasks()}
    now_ns = LoopClock()
    now_ns()
    machine = SkewedClock(now_ns)
    limiter = RateLimiter(market.rules, clock=anyio.current_time, wall_clock=lambda: now_ns() / 1e9)
    random.seed(script.seed)  # what the back-offs are drawn from
    async with AsyncExitStack() as stack:
        venue = await stack.enter_async_context(
            market.venue(
                market.symbols, seed=script.seed, listen=False, paused=True, clock_ns=now_ns, max_connects=None
            )
        )
        manager = None
        if script.streams:
            manager = await stack.enter_async_context(WebSocketManager())
            config = WebSocketConfig(
                f"ws://memory.invalid{market.stream_path}", market.exchange_name, credentials=venue.credentials
            )
            assert market.adapter is not None
            await manager.add_exchange(
                config,
                adapter=at_venue_time(market.adapter, now_ns),
                connector=in_memory(venue.connect_in_memory),
            )

        def make_feed(tracker: OrderTracker) -> NativeFeed:
            feed: NativeFeed = venue_feed(
                market.exchange_name,
                venue.credentials,
                rest_url="https://venue.invalid",
                transport=venue.rest_transport(),
                limiter=limiter,
                manager=manager,
                tracker=tracker,
                timeout=script.timeout,
                instruments=InstrumentManager(),
                api_options={"clock": VenueClock(monotonic_ns=machine, wall_ns=machine)},
            )
            return feed

        player = Player(script, venue, make_feed, machine, limiter, log=[] if log is None else log)
        player.be_strict(script.is_strict)
        await player.play()
    left = [task.name for task in anyio.get_running_tasks() if task.id not in before]
    assert not left, f"tasks are left: {left}"
    player.counts.update(placing.outcome for placing in player.placings)
    player.counts["fills"] += len(venue.exchange.fills)
    return player.counts


def play(seed: int, backend: str = "asyncio", log: list[str] | None = None) -> Counter[str]:
    """Play the script of a seed in an event loop of its own.

    Raises:
        AssertionError: Client and venue do not agree in the end; the message names the seed.
    """
    name, options = virtual_backend(backend)  # type: ignore[arg-type]
    if backend == "trio":
        import trio._core._run as trio_run

        trio_run._ALLOW_DETERMINISTIC_SCHEDULING = True  # type: ignore[attr-defined]
        trio_run._r.seed(seed)
    try:
        return anyio.run(partial(run_script, make_script(seed), log), backend=name, backend_options=options)
    except Exception as error:
        cause = error
        while isinstance(cause, BaseExceptionGroup) and len(cause.exceptions) == 1:
            cause = cause.exceptions[0]
        raise AssertionError(f"seed {seed} on {backend}: {cause!r}") from error


def main(arguments: list[str]) -> None:
    """Play a script and print what happens."""
    seed = int(arguments[0])
    backend = arguments[1] if len(arguments) > 1 else "asyncio"
    script = make_script(seed)
    log: list[str] = []
    print(f"{script.market.exchange_name}, streams: {script.streams}, strict: {script.is_strict}")
    try:
        print(dict(play(seed, backend, log)))
    finally:
        print("\n".join(log))


if __name__ == "__main__":
    main(sys.argv[1:])
