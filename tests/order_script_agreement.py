"""What client and venue have to agree on when a script of orders and faults has come to its end."""

from __future__ import annotations

from collections import Counter, defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING

import attrs

from bt_api_base.containers import Fill, Order, OrderStatus
from bt_api_base.feeds.orders_tracker import OrderFate
from bt_api_base.testing.rest_clock import START_NS
from bt_api_base.testing.rest_log import RestEnding

if TYPE_CHECKING:
    from bt_api_base.testing.exchange_orders import ExchangeOrder
    from tests.order_script_player import Placing, Player


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
