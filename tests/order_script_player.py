"""Plays a script of orders and faults: a trader's calls, and what goes wrong meanwhile."""

from __future__ import annotations

from collections import Counter
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import attrs

from bt_api_base.containers.decimals import quantize
from bt_api_base.exceptions import BtApiError, OrderUnknownError
from bt_api_base.feeds.orders_tracker import OrderTracker
from tests.order_script_agreement import Agreement
from tests.order_script_text import CALLS, Script, Step
from tests.order_script_venues import OKX, SkewedClock, cancelled_at

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from anyio.abc import TaskGroup

    from bt_api_base.feeds import NativeFeed, UserData
    from bt_api_base.rate_limiter import RateLimiter

ATOMS = Decimal("1e-8")


@attrs.define(eq=False)
class Placing:
    """One call that placed an order, and what the caller was told.

    Attributes:
        own_id: Its client order id.
        outcome: ``"placed"``, ``"refused"`` (nothing was placed), ``"unknown"``, or ``"cancelled"``.
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
        """Do what is asked, and lose the answers."""
        self.venue.rest.lose_replies(self.count(step), match=self.match(step))

    async def do_lose_request(self, step: Step) -> None:
        """Lose requests."""
        self.venue.rest.lose_requests(self.count(step), match=self.match(step))

    async def do_fail(self, step: Step, *, done: bool = False) -> None:
        """Answer that something went wrong."""
        status = step.pick(4, (500, 502, 503, 504))
        self.venue.rest.fail(status, self.count(step), match=self.match(step), done=done)

    async def do_fail_done(self, step: Step) -> None:
        """The same, and do what was asked."""
        await self.do_fail(step, done=True)

    async def do_slow_reply(self, step: Step) -> None:
        """Answer late."""
        self.venue.rest.delay(20.0 * step.chances[4] ** 2, self.count(step), match=self.match(step))

    async def do_slow_request(self, step: Step) -> None:
        """Do things late."""
        self.venue.rest.delay(12.0 * step.chances[4] ** 2, self.count(step), match=self.match(step), before=True)

    async def do_limit(self, step: Step) -> None:
        """Say that there were too many requests."""
        self.venue.rest.limit(20.0 * step.chances[4] ** 2)

    async def do_ban(self, step: Step) -> None:
        """Lock the client's address out."""
        self.venue.rest.limit(150.0 * step.chances[4], banned=True)

    async def do_kill(self, step: Step) -> None:
        """Let the venue be dead for a while."""
        await self.venue.kill(20.0 * step.chances[4] ** 2)

    async def do_kill_rest(self, step: Step) -> None:
        """Let its REST side be dead for a while."""
        await self.venue.rest.kill(20.0 * step.chances[4] ** 2)

    async def do_cut_rest(self, step: Step) -> None:
        """Cut what is under way over REST."""
        await self.venue.rest.disconnect_all()

    async def do_cut_streams(self, step: Step) -> None:
        """Cut the streams, and now and then refuse them for a while."""
        await self.venue.disconnect_all()
        if step.chances[4] < 0.5:
            self.venue.refuse_handshakes(count=1 + int(step.chances[5] * 4))

    async def do_skew(self, step: Step) -> None:
        """Let the client's clock jump."""
        self.machine.skew += (step.chances[4] - 0.5) * step.pick(5, (2.0, 20.0, 200.0))

    async def do_repeat(self, step: Step) -> None:
        """Send account events twice."""
        for stream in self.venue.subscriptions:
            self.venue.repeat(stream, self.count(step))

    async def do_reorder(self, step: Step) -> None:
        """Send account events in another order."""
        for stream in self.venue.subscriptions:
            self.venue.reorder(stream, self.count(step))

    async def do_skip(self, step: Step) -> None:
        """Never send some account events."""
        for stream in self.venue.subscriptions:
            self.venue.skip(stream, self.count(step))

    async def do_stall(self, step: Step) -> None:
        """Let open streams be silent."""
        self.venue.stall(150.0 * step.chances[4] ** 2, answers_pings=step.chances[5] < 0.5)

    async def do_slow_acks(self, step: Step) -> None:
        """Acknowledge requests of streams late."""
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
            while self.calling:  # noqa: ASYNC110 - nobody tells when
                await anyio.sleep(1.0)
            await anyio.sleep(self.limiter.closed_for)
        left = await self.feed.resolve_unknown(3_600.0)
        assert not left, f"of unknown fate after an hour: {left}"
        if self.script.streams:
            with anyio.fail_after(3_600.0):
                while self.stream is None:  # noqa: ASYNC110 - the same
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
