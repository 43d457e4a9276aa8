"""A venue that never was: OKX's streams on loopback, over seeded markets, with an account to push changes of.

Its public and business endpoints carry the markets. Over REST orders are placed at a matching engine, with spot and
contracts in one account; the private endpoint checks log-ins and carries what becomes of them, and what a test pushes.

Example:
    ```python
    async with SimulatedOkxVenue(("BTC-USDT",), seed=1, rate=100) as venue:
        config = WebSocketConfig(venue.url, venue.exchange_name, credentials=venue.credentials)
        api = OkxSpotApi(venue.credentials, rest_url=venue.rest_url)
        ...
        venue.push_order(ordId="1", state="filled", fillSz="0.1", fillPx="61837.6", tradeId="7", accFillSz="0.1")
    ```
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, cast

import attrs
from typing_extensions import Unpack, override

from bt_api_base.testing.market_book import DepthChange, DepthSnapshot
from bt_api_base.testing.okx_dialect import CREDENTIALS
from bt_api_base.testing.okx_frames import (
    OkxStream,
    candle_frame,
    empty_update_frame,
    funding_rate_frame,
    instrument_type,
    mark_price_frame,
    parse_stream_name,
    single_trade_frame,
    snapshot_frame,
    ticker_frame,
    top_frame,
    trade_frame,
    update_frame,
)
from bt_api_base.testing.okx_trading_venue import OkxTradingVenue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bt_api_base.security import Credentials
    from bt_api_base.testing.market import MarketSpec, MarketStep
    from bt_api_base.testing.market_bars import ClosedBar
    from bt_api_base.testing.market_book import Level
    from bt_api_base.testing.market_hub import Hub, StreamKey
    from bt_api_base.testing.venue_connection import Feed, VenueConnection
    from bt_api_base.testing.venue_options import VenueOptions

_LEVELS: Final = 400
_KEEP_ALIVE_PERIODS: Final = 600
"""A book that nothing has happened to says so after a minute."""
_MARK_PRICE_PERIODS: Final = 100
"""So does a mark price, after ten seconds."""


@attrs.define(eq=False)
class _SentBook:
    """A book as the listeners of ``books`` know it: as it was after the last update that was sent."""

    sequence: int
    bids: dict[int, int]
    asks: dict[int, int]
    quiet_periods: int = 0

    @classmethod
    def of(cls, book: DepthSnapshot) -> _SentBook:
        return cls(book.last_update_id, dict(book.bids), dict(book.asks))

    def apply(self, change: DepthChange) -> DepthChange:
        """Take a change over, and return it without levels that came and went unseen."""
        self.sequence = change.last_update_id
        known: list[tuple[Level, ...]] = []
        for side, levels in ((self.bids, change.bids), (self.asks, change.asks)):
            known.append(tuple([level for level in levels if level[1] or level[0] in side]))
            for price, quantity in known[-1]:
                if quantity:
                    side[price] = quantity
                else:
                    del side[price]
        return DepthChange(change.first_update_id, change.last_update_id, *known)

    def snapshot(self) -> DepthSnapshot:
        return DepthSnapshot(
            self.sequence,
            tuple(sorted(self.bids.items(), reverse=True)[:_LEVELS]),
            tuple(sorted(self.asks.items())[:_LEVELS]),
        )


class SimulatedOkxVenue(OkxTradingVenue):
    """Markets of one's own, and an account, behind OKX's streams.

    Args:
        symbols: The venue's symbols, for example "BTC-USDT" or "BTC-USDT-SWAP", or specifications of markets.
        seed: What everything the markets do, and random faults, follow from.
        rate: Steps per second of each market; see `bt_api_base.testing.market_venue.MarketVenue`.
        paused: Whether to begin without moving, for `step` or `resume`.
        start_time_ns: Nanoseconds since the epoch that timestamps begin at; None stamps with the clock.
        exchange_name: Venue and asset type it stands in for.
        credentials: What log-ins are checked against.
        **options: See `bt_api_base.testing.venue_options.VenueOptions`.

    Raises:
        ValueError: There are no symbols or the same twice, or the rate is not positive.
    """

    def __init__(
        self,
        symbols: Sequence[str | MarketSpec] = ("BTC-USDT", "ETH-USDT"),
        *,
        seed: int = 1,
        rate: float = 20.0,
        paused: bool = False,
        start_time_ns: int | None = None,
        exchange_name: str = "OKX___SPOT",
        credentials: Credentials = CREDENTIALS,
        **options: Unpack[VenueOptions],
    ) -> None:
        super().__init__(
            symbols,
            exchange_name=exchange_name,
            credentials=credentials,
            seed=seed,
            rate=rate,
            paused=paused,
            start_time_ns=start_time_ns,
            **options,
        )
        self._books: dict[Hub, _SentBook] = {}
        self._tickers: dict[Hub, tuple[int, int]] = {}
        self._marks: dict[Hub, tuple[int, int]] = {}

    def push_liquidation(self, **fields: str) -> int:
        """Tell whoever listens that a position of somebody's was closed by force.

        Args:
            **fields: The liquidation in the venue's own names: ``instId``, ``side``, ``posSide``, ``bkPx``, ``sz``.

        Returns:
            The number of listeners.
        """
        details = {"side": "sell", "posSide": "long", "bkPx": "1", "sz": "1", "ts": self._now_ms(), **fields}
        symbol = details.pop("instId", self.symbols[0])
        kind = instrument_type(symbol)
        data = {"details": [details], "instId": symbol, "instType": kind}
        return self._push(data, f"liquidation-orders:{kind}")

    def push_book_reset(self, symbol: str, sequence: int) -> int:
        """Let a book's numbers go back, as the venue does in maintenance.

        The next update follows the last one all the same, and the ones after it count on from the lower number.

        Args:
            symbol: The market's symbol.
            sequence: The number to go back to.

        Returns:
            The number of listeners.
        """
        hub = self._hubs[symbol]
        book = self._books.get(hub)
        if book is None:
            return 0
        self._publish_update(hub, book)
        previous, book.sequence = book.sequence, sequence
        hub.market.book.update_id = sequence
        hub.release("books")
        hub.recorder("books")
        frame = partial(empty_update_frame, previous, sequence, self._stamp_us())
        return sum(self._send(feed, sequence, frame) for feed in hub.feeds.of("books"))

    # What comes first of a stream.

    @override
    def _subscribed(self, connection: VenueConnection, names: tuple[str, ...]) -> None:
        for name in names:
            stream, feed = parse_stream_name(name), self._feeds[name]
            if stream is None:
                continue
            hub = self._hubs.get(stream.symbol)
            if hub is not None:
                self._send_first(hub, stream, feed, connection)
            else:
                self._send_account(feed, connection)

    def _send_first(self, hub: Hub, stream: OkxStream, feed: Feed, connection: VenueConnection) -> None:
        market, time_us = hub.market, self._stamp_us()
        if stream.channel == "books":
            book = self._books[hub]
            self._send(feed, book.sequence, partial(snapshot_frame, book.snapshot(), time_us), connection)
        elif stream.channel in ("books5", "bbo-tbt"):
            top = market.depth(5 if stream.channel == "books5" else 1)
            frame = partial(top_frame, hub.venue_symbol, top, time_us)
            self._send(feed, top.last_update_id, frame, connection)
        elif stream.channel == "candle":
            bar = market.bar(stream.interval)
            if bar is not None:
                self._send(feed, time_us, partial(candle_frame, bar, False), connection)
        elif stream.channel == "tickers":
            day = market.day()
            if day is not None:
                frame = partial(ticker_frame, hub.venue_symbol, day, market.best, time_us)
                self._send(feed, time_us, frame, connection)
        elif stream.channel == "mark-price":
            self._send(feed, time_us, partial(mark_price_frame, hub.venue_symbol, _mark(hub), time_us), connection)
        elif stream.channel == "funding-rate":
            self._send(feed, time_us, partial(funding_rate_frame, hub.venue_symbol, time_us), connection)

    # From market events to frames. Nothing is encoded that nobody listens to.

    @override
    def _parse_stream(self, name: str) -> OkxStream | None:
        return parse_stream_name(name)

    @override
    def _stream_opened(self, hub: Hub, key: StreamKey) -> None:
        if key.channel == "books":
            hub.recorder("books")
            self._books[hub] = _SentBook.of(hub.market.depth())

    @override
    def _stream_closed(self, hub: Hub, key: StreamKey) -> None:
        if key.channel == "books" and not hub.feeds.of("books"):
            hub.release("books")
            del self._books[hub]

    @override
    def _follow_step(self, hub: Hub, step: MarketStep) -> None:
        feeds, symbol, sequence = hub.feeds, hub.venue_symbol, hub.market.book.update_id
        for feed in feeds.of("trades"):
            for fill in step.aggregates:
                self._send(feed, fill.last_trade_id, partial(trade_frame, symbol, fill, sequence))
        for feed in feeds.of("trades-all"):
            for trade in step.trades:
                self._send(feed, trade.id, partial(single_trade_frame, symbol, trade))
        if step.best_changed:
            for feed in feeds.of("bbo-tbt"):
                self._send(feed, sequence, partial(top_frame, symbol, hub.market.depth(1), step.time_us))

    @override
    def _follow_period(self, hub: Hub, number: int) -> None:
        book = self._books.get(hub)
        if book is not None:
            self._publish_update(hub, book)
        time_us, symbol, sequence = hub.market.time_us, hub.venue_symbol, hub.market.book.update_id
        for feed in hub.feeds.of("books5"):
            top = hub.market.depth(5)
            self._send(feed, top.last_update_id, partial(top_frame, symbol, top, time_us))
        day = hub.market.day() if hub.feeds.of("tickers") else None
        state = (sequence, -1 if day is None else day.bar.last_trade_id)
        if day is not None and self._tickers.get(hub) != state:
            self._tickers[hub] = state
            frame = partial(ticker_frame, symbol, day, hub.market.best, time_us)
            for feed in hub.feeds.of("tickers"):
                self._send(feed, time_us, frame)
        if number % 2 == 0:
            self._publish_mark_price(hub, number, time_us)
        if number % 10 == 0:
            for key, feeds in hub.feeds.items("candle"):
                bar = hub.market.bar(cast("OkxStream", key).interval)
                if bar is not None:
                    for feed in feeds:
                        self._send(feed, time_us, partial(candle_frame, bar, False))
        if number % 600 == 0:
            for feed in hub.feeds.of("funding-rate"):
                self._send(feed, time_us, partial(funding_rate_frame, symbol, time_us))

    @override
    def _follow_bars(self, hub: Hub, closed: tuple[ClosedBar, ...]) -> None:
        for key, feeds in hub.feeds.items("candle"):
            for bar in closed:
                if bar.interval == cast("OkxStream", key).interval:
                    for feed in feeds:
                        self._send(feed, hub.market.time_us, partial(candle_frame, bar.bar, True))

    def _publish_update(self, hub: Hub, book: _SentBook) -> None:
        change = hub.recorder("books").take()
        time_us = self._stamp_us()
        if change is not None:
            change = book.apply(change)
            book.quiet_periods = 0
            for feed in hub.feeds.of("books"):
                self._send(feed, change.last_update_id, partial(update_frame, change, time_us))
            return
        book.quiet_periods += 1
        if book.quiet_periods % _KEEP_ALIVE_PERIODS == 0:
            for feed in hub.feeds.of("books"):
                self._send(feed, book.sequence, partial(empty_update_frame, book.sequence, book.sequence, time_us))

    def _publish_mark_price(self, hub: Hub, number: int, time_us: int) -> None:
        price, (last, since) = _mark(hub), self._marks.get(hub, (0, 0))
        if price != last or number - since >= _MARK_PRICE_PERIODS:
            self._marks[hub] = (price, number)
            for feed in hub.feeds.of("mark-price"):
                self._send(feed, time_us, partial(mark_price_frame, hub.venue_symbol, price, time_us))


def _mark(hub: Hub) -> int:
    best = hub.market.best
    return (best.bid_price + best.ask_price) // 2


__all__ = ("SimulatedOkxVenue",)
