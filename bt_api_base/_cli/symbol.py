"""What is known about one symbol: prices, spread, counts, and of which times something is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from bt_api_base._cli.history import PriceHistory
from bt_api_base._cli.interruptions import Interruptions
from bt_api_base.containers import Bar, OrderBook, Tick, Trade

if TYPE_CHECKING:
    from bt_api_base.containers import Event, Gap

__all__ = ("PriceRange", "SymbolState")

_RECENT_BUCKETS = 64
_WHOLE_BUCKETS = 256
_WHOLE_BUCKET_NS = 100_000_000


@attrs.define(eq=False)
class PriceRange:
    """First, last, lowest, highest and mean of values that come one by one.

    Attributes:
        count: Values so far; the others mean nothing while it is 0.
        first: The first one.
        last: The last one.
        low: The lowest.
        high: The highest.
        total: Their sum.
    """

    count: int = 0
    first: float = 0.0
    last: float = 0.0
    low: float = 0.0
    high: float = 0.0
    total: float = 0.0

    def add(self, value: float) -> None:
        """Take a value in."""
        if not self.count:
            self.first = self.low = self.high = value
        elif value < self.low:
            self.low = value
        elif value > self.high:
            self.high = value
        self.count += 1
        self.total += value
        self.last = value

    @property
    def mean(self) -> float:
        """Their arithmetic mean."""
        return self.total / self.count if self.count else 0.0


@attrs.define(eq=False)
class SymbolState:
    """One symbol of one venue.

    The price that is drawn is the middle between bid and ask, or, where no quotes come, that of the last trade or bar.

    Attributes:
        exchange_name: Venue and asset type.
        symbol: Internal symbol.
        bucket_ns: Length of a bar of the live sparkline, nanoseconds.
        bid_price: Best bid.
        ask_price: Best ask.
        trades: Prices of trades.
        mids: Middles of the quotes.
        spreads: Differences of the quotes.
        volume: Traded quantity.
        events: Events of all kinds; gaps are none.
        first_time: Stamp of the first event, nanoseconds since the epoch (UTC).
        last_time: Stamp of the last one.
        gaps: The times of which something is missing, as far as it has been told.
        recent: Prices of the last while.
        whole: Prices since the start.
    """

    exchange_name: str
    symbol: str
    bucket_ns: int = attrs.field(default=500_000_000, kw_only=True)
    bid_price: float | None = None
    ask_price: float | None = None
    trades: PriceRange = attrs.field(factory=PriceRange)
    mids: PriceRange = attrs.field(factory=PriceRange)
    spreads: PriceRange = attrs.field(factory=PriceRange)
    volume: float = 0.0
    events: int = 0
    first_time: int = 0
    last_time: int = 0
    gaps: Interruptions = attrs.field(factory=Interruptions)
    recent: PriceHistory = attrs.field(init=False, repr=False)
    whole: PriceHistory = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self.recent = PriceHistory(_RECENT_BUCKETS, self.bucket_ns)
        self.whole = PriceHistory(_WHOLE_BUCKETS, _WHOLE_BUCKET_NS, whole=True)

    @property
    def last_price(self) -> float | None:
        """Price of the last trade, or without one the middle of the quotes."""
        if self.trades.count:
            return self.trades.last
        return self.mids.last if self.mids.count else None

    @property
    def spread(self) -> float | None:
        """Best ask less best bid."""
        if self.bid_price is None or self.ask_price is None:
            return None
        return self.ask_price - self.bid_price

    def take(self, event: Event) -> None:
        """Take one event in."""
        # Recordings without times have the venue's stamps at best, and else no time at all.
        time_ns = event.local_time or event.server_time
        self.events += 1
        if not self.first_time:
            self.first_time = time_ns
        self.last_time = time_ns or self.last_time
        if type(event) is Tick:
            if event.bid_price is not None and event.ask_price is not None:
                self._quote(time_ns, event.bid_price, event.ask_price)
            if event.last_price is not None and not self.trades.count:
                self._price(time_ns, event.last_price)
        elif type(event) is Trade:
            self.trades.add(event.trade_price)
            self.volume += event.trade_volume
            self._price(time_ns, event.trade_price)
        elif type(event) is OrderBook:
            if event.bids and event.asks:
                self._quote(time_ns, event.bids[0][0], event.asks[0][0])
        elif type(event) is Bar:
            self._price(time_ns, event.close_price)

    def _quote(self, time_ns: int, bid: float, ask: float) -> None:
        self.bid_price = bid
        self.ask_price = ask
        mid = (bid + ask) / 2
        self.mids.add(mid)
        self.spreads.add(ask - bid)
        self.recent.add(time_ns, mid)
        self.whole.add(time_ns, mid)

    def _price(self, time_ns: int, price: float) -> None:
        if not self.mids.count:
            self.recent.add(time_ns, price)
            self.whole.add(time_ns, price)

    def advance(self, now_ns: int) -> None:
        """Let time pass, so that what is drawn moves on while nothing comes."""
        if self.first_time:
            self.recent.advance(now_ns)

    def miss(self, gap: Gap) -> None:
        """Take note that something is missing, in a time that is over: it is drawn where it is."""
        since = gap.since or gap.until
        self.gaps.add(since, gap.until)
        self.recent.mark_gap(since, gap.until)
        self.whole.mark_gap(since, gap.until)
