"""A venue that never was: Binance's USD-M futures on loopback, over seeded markets, with an account.

Its REST side gives listen keys, and takes orders, which an exchange executes against the markets.

Example:
    ```python
    async with SimulatedUsdmVenue(("BTC-USDT-SWAP",), seed=1, rate=100) as venue:
        config = WebSocketConfig(venue.url, venue.exchange_name, credentials=venue.credentials)
        ...
        venue.push_order(x="TRADE", X="FILLED", l="0.1", z="0.1", L="60000.1", t=7)
    ```
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

import msgspec
from typing_extensions import override

from bt_api_base.testing.binance_frames import aggregate_trade_data, array_data, kline_data, mini_ticker_data
from bt_api_base.testing.binance_private_dialect import CREDENTIALS
from bt_api_base.testing.rest_venue import TradingVenue
from bt_api_base.testing.usdm_dialect import LISTEN_KEY_PATH, ListenKeys, UsdmDialect, UsdmPrivateClient
from bt_api_base.testing.usdm_frames import (
    UsdmStream,
    book_ticker_data,
    depth_data,
    mark_price_data,
    parse_stream_name,
    partial_depth_data,
    ticker_data,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from decimal import Decimal

    from typing_extensions import Unpack

    from bt_api_base.security import Credentials
    from bt_api_base.testing.exchange_orders import ExchangeEvent
    from bt_api_base.testing.market import MarketSpec, MarketStep
    from bt_api_base.testing.market_bars import ClosedBar, MarketBar
    from bt_api_base.testing.market_hub import Hub, StreamKey
    from bt_api_base.testing.usdm_rest import UsdmRest
    from bt_api_base.testing.venue_connection import Feed
    from bt_api_base.testing.venue_options import VenueOptions

_DEPTH_PERIODS_MS: Final = (100, 250, 500)
_DEPTH_CHANNELS: Final = ("depth", "partialDepth")
_STATES: Final = ("ticker", "miniTicker", "markPrice")

_ORDER: Final[Mapping[str, Any]] = {
    "s": "BTCUSDT",
    "c": "test-1",
    "S": "BUY",
    "o": "LIMIT",
    "f": "GTC",
    "q": "1",
    "p": "60000",
    "ap": "0",
    "sp": "0",
    "x": "NEW",
    "X": "NEW",
    "i": 1,
    "l": "0",
    "z": "0",
    "L": "0",
    "t": 0,
    "b": "0",
    "a": "0",
    "m": False,
    "R": False,
    "wt": "CONTRACT_PRICE",
    "ot": "LIMIT",
    "ps": "BOTH",
    "cp": False,
    "rp": "0",
}
_POSITION: Final = {"s": "BTCUSDT", "pa": "0", "ep": "0", "cr": "0", "up": "0", "mt": "cross", "iw": "0", "ps": "BOTH"}
_LIQUIDATION: Final[Mapping[str, str]] = {
    "s": "BTCUSDT",
    "S": "SELL",
    "o": "LIMIT",
    "f": "IOC",
    "q": "0.1",
    "p": "59000",
    "ap": "59010",
    "X": "FILLED",
    "l": "0.1",
    "z": "0.1",
}


class SimulatedUsdmVenue(TradingVenue):
    """Markets of one's own, and an account, behind the endpoints of Binance's USD-M futures.

    Args:
        symbols: Internal symbols, for example "BTC-USDT-SWAP", or specifications of markets.
        seed: What everything the markets do, and random faults, follow from.
        rate: Steps per second of each market; see `bt_api_base.testing.market_venue.MarketVenue`.
        paused: Whether to begin without moving, for `step` or `resume`.
        start_time_ns: Nanoseconds since the epoch that timestamps begin at; None stamps with the clock.
        credentials: What signatures are checked against, and whose API key listen keys are given for.
        **options: See `bt_api_base.testing.venue_options.VenueOptions`.

    Raises:
        ValueError: There are no symbols or the same twice, or the rate is not positive.
    """

    period_ms: ClassVar[int] = 50
    derivatives: ClassVar[bool | None] = True
    fees: ClassVar[tuple[str, str]] = ("0.0002", "0.0005")

    def __init__(
        self,
        symbols: Sequence[str | MarketSpec] = ("BTC-USDT-SWAP", "ETH-USDT-SWAP"),
        *,
        seed: int = 1,
        rate: float = 20.0,
        paused: bool = False,
        start_time_ns: int | None = None,
        credentials: Credentials = CREDENTIALS,
        **options: Unpack[VenueOptions],
    ) -> None:
        self.listen_keys = ListenKeys(credentials)
        """The account's listen keys."""
        super().__init__(
            UsdmDialect(self.listen_keys),
            symbols,
            exchange_name="BINANCE___SWAP",
            seed=seed,
            rate=rate,
            paused=paused,
            start_time_ns=start_time_ns,
            **options,
        )
        self.credentials = credentials
        """What signatures are checked against, and whose API key listen keys are given for."""
        self._wallets: dict[str, Decimal] = {}
        """What was told of them last."""
        self._has_traded = False
        """Whether an order was told to be filled, and not yet what that changed."""

    @override
    def _rest_dialect(self) -> UsdmRest:
        from bt_api_base.testing.usdm_rest import UsdmRest

        return UsdmRest(self)

    # The account: what a test tells of it.

    def answer_listen_key(self, method: str, path: str, headers: Mapping[str, str]) -> tuple[int, dict[str, object]]:
        """Answer a request for a listen key, without its way through the REST side.

        Args:
            method: "POST", "PUT" or "DELETE".
            path: Its path.
            headers: Its headers.

        Returns:
            The status and the decoded body.
        """
        if path != LISTEN_KEY_PATH or method not in {"POST", "PUT", "DELETE"}:
            return 404, {"code": -5000, "msg": f"Path {path}, Method {method} is invalid"}
        return self.listen_keys.answer(method, headers)

    def expire_listen_key(self, *, tell: bool = True) -> None:
        """Let the listen key be valid no more: connections stay open, and silent.

        Args:
            tell: Whether they are told.
        """
        if tell:
            self._push("listenKeyExpired", {"listenKey": self.listen_keys.current})
        self.listen_keys.expire()
        for connection in tuple(self._connections):
            if isinstance(connection.client, UsdmPrivateClient):
                connection.client.events = ()
                for name in tuple(connection.forms):
                    self._leave(connection, name)

    def push_order(self, **fields: Any) -> int:  # noqa: ANN401 - whatever the venue has in its JSON
        """Tell whoever listens of an order that changed.

        Args:
            **fields: The order in the venue's own names, for example ``X="FILLED"``; others have defaults.

        Returns:
            The number of listeners.
        """
        now = self._stamp_us() // 1_000
        return self._push("ORDER_TRADE_UPDATE", {"T": now, "o": {**_ORDER, "T": now, **fields}})

    def push_account(
        self, reason: str = "ORDER", *, balances: Mapping[str, tuple[str, str]] | None = None, **position: str
    ) -> int:
        """Tell whoever listens of balances and a position that changed.

        Args:
            reason: Why, in the venue's words.
            balances: By asset, the wallet balance, and the change other than by trading.
            **position: A position in the venue's own names, for example ``s="BTCUSDT", pa="0.1"``.

        Returns:
            The number of listeners.
        """
        wallets = [{"a": asset, "wb": held, "cw": held, "bc": by} for asset, (held, by) in (balances or {}).items()]
        body = {"m": reason, "B": wallets, "P": [{**_POSITION, **position}] if position else []}
        return self._push("ACCOUNT_UPDATE", {"T": self._stamp_us() // 1_000, "a": body})

    def push_liquidation(self, **fields: str) -> int:
        """Tell whoever listens that a position of somebody's was closed by force.

        Args:
            **fields: The order in the venue's own names; others have defaults.

        Returns:
            The number of listeners.
        """
        now = self._stamp_us() // 1_000
        order = {**_LIQUIDATION, **fields}
        data = msgspec.json.encode({"e": "forceOrder", "E": now, "o": {**order, "T": now}, "st": 1})
        names = (f"{order['s'].lower()}@forceOrder", "!forceOrder@arr")
        return sum(self._send(self._feeds[name], None, data) for name in names if name in self._feeds)

    # The account: what the exchange tells of it.

    @override
    def _exchange_event(self, event: ExchangeEvent) -> None:
        from bt_api_base.testing.exchange_orders import BalancesChanged, OrderChanged
        from bt_api_base.testing.usdm_rest import UsdmRest

        rest = self.rest.dialect
        if not isinstance(rest, UsdmRest):  # pragma: no cover  # it is made here
            return
        now = self.rest.now_ns() // 1_000_000
        if isinstance(event, OrderChanged):
            self._has_traded |= event.execution == "trade"
            order = rest.state.order_update(event)
            self._push("ORDER_TRADE_UPDATE", {"T": order["T"], "o": order})
        elif isinstance(event, BalancesChanged):
            if not self._has_traded:
                changes = self._wallet_rows(moved=True)
                if changes:  # locking margin changes no wallet
                    self._push("ACCOUNT_UPDATE", {"T": now, "a": {"m": "DEPOSIT", "B": changes, "P": []}})
        else:
            self._has_traded = False
            position = rest.state.position_update(event.symbol)
            account = {"m": "ORDER", "B": self._wallet_rows(moved=False), "P": [position]}
            self._push("ACCOUNT_UPDATE", {"T": now, "a": account})

    def _wallet_rows(self, *, moved: bool) -> list[dict[str, str]]:
        """Return the wallets that are not what was told of them last."""
        from bt_api_base.testing.binance_rest_words import plain

        rows: list[dict[str, str]] = []
        for currency, holding in self.exchange.balances.items():
            held = holding.total
            before = self._wallets.get(currency)
            self._wallets[currency] = held
            if held != before:
                by = plain(held - before) if moved and before is not None else "0"
                rows.append({"a": currency, "wb": plain(held), "cw": plain(held), "bc": by})
        return rows

    def _push(self, kind: str, fields: Mapping[str, Any]) -> int:
        feed = self._feeds.get(f"!{kind}")
        if feed is None or not self.listen_keys.is_valid(self.listen_keys.current):
            return 0
        return self._send(feed, None, msgspec.json.encode({"e": kind, "E": self._stamp_us() // 1_000, **fields}))

    def _send(self, feed: Feed, event_id: int | None, data: bytes) -> int:
        listeners = feed.listeners
        self._publish(feed, event_id, data)
        return listeners

    # From market events to frames. Nothing is encoded that nobody listens to.

    @override
    def _venue_symbol(self, symbol: str) -> str:
        base, quote, *expiry = symbol.upper().split("-")
        return base + quote + "".join(f"_{date}" for date in expiry if date != "SWAP")

    @override
    def _market_key(self, venue_symbol: str) -> str:
        return venue_symbol.lower()

    @override
    def _parse_stream(self, name: str) -> StreamKey | None:
        return parse_stream_name(name)

    @override
    def _follow_step(self, hub: Hub, step: MarketStep) -> None:
        for feed in hub.feeds.of("aggTrade"):
            for fill in step.aggregates:
                self._publish(feed, fill.id, partial(aggregate_trade_data, hub.venue_symbol, fill))
        if step.best_changed:
            best = hub.market.best
            for feed in hub.feeds.of("bookTicker"):
                self._publish(feed, best.update_id, partial(book_ticker_data, hub.venue_symbol, best, step.time_us))

    @override
    def _follow_period(self, hub: Hub, number: int) -> None:
        elapsed_ms = number * self.period_ms
        for period_ms in _DEPTH_PERIODS_MS:
            if elapsed_ms % period_ms == 0 and hub.is_recording(period_ms):
                self._publish_depth(hub, period_ms)
        if elapsed_ms % 250 == 0:
            for key, feeds in hub.feeds.items("kline"):
                bar = hub.market.bar(cast("UsdmStream", key).interval)
                if bar is not None:
                    self._publish_bar(hub, feeds, cast("UsdmStream", key).interval, bar, closed=False)
        for channel in _STATES:
            for key, feeds in hub.feeds.items(channel):
                event = _state(channel, hub) if elapsed_ms % key.period_ms == 0 else None
                for feed in feeds if event is not None else ():
                    self._publish(feed, hub.market.time_us, cast("Callable[[int], bytes]", event))

    def _publish_depth(self, hub: Hub, period_ms: int) -> None:
        change = hub.recorder(period_ms).take()
        if change is None:
            return
        symbol, time_us = hub.venue_symbol, hub.market.time_us
        for feed in hub.feeds.of("depth", period_ms):
            self._publish(feed, change.last_update_id, partial(depth_data, symbol, change, time_us))
        for key, feeds in hub.feeds.items("partialDepth", period_ms):
            book = hub.market.depth(cast("UsdmStream", key).levels)
            event = partial(partial_depth_data, symbol, book.last_update_id, book.bids, book.asks, time_us)
            for feed in feeds:
                self._publish(feed, book.last_update_id, event)

    @override
    def _stream_opened(self, hub: Hub, key: StreamKey) -> None:
        if key.channel in _DEPTH_CHANNELS:
            hub.recorder(key.period_ms)

    @override
    def _stream_closed(self, hub: Hub, key: StreamKey) -> None:
        if not any(hub.feeds.of(channel, key.period_ms) for channel in _DEPTH_CHANNELS):
            hub.release(key.period_ms)

    @override
    def _follow_all_markets(self, number: int) -> None:
        for channel in _STATES:
            for key, feeds in self._all_markets.items(channel):
                if number * self.period_ms % key.period_ms:
                    continue
                events = [event for hub in self._order if (event := _state(channel, hub)) is not None]
                for feed in feeds if events else ():
                    self._publish(feed, self._stamp_us(), partial(array_data, events))

    @override
    def _follow_bars(self, hub: Hub, closed: tuple[ClosedBar, ...]) -> None:
        for key, feeds in hub.feeds.items("kline"):
            for bar in closed:
                if bar.interval == cast("UsdmStream", key).interval:
                    self._publish_bar(hub, feeds, bar.interval, bar.bar, closed=True)

    def _publish_bar(self, hub: Hub, feeds: list[Feed], interval: str, bar: MarketBar, *, closed: bool) -> None:
        time_us = hub.market.time_us
        for feed in feeds:
            self._publish(feed, time_us, partial(kline_data, hub.venue_symbol, interval, bar, time_us, closed=closed))


def _state(channel: str, hub: Hub) -> Callable[[int], bytes] | None:
    """Return what makes the data of what a market is now, or None before its first trade."""
    market, symbol = hub.market, hub.venue_symbol
    if channel == "markPrice":
        best = market.best
        return partial(mark_price_data, symbol, (best.bid_price + best.ask_price) // 2, market.time_us)
    day = market.day()
    if day is None:
        return None
    return partial(ticker_data if channel == "ticker" else mini_ticker_data, symbol, day, market.time_us)


__all__ = ("SimulatedUsdmVenue",)
