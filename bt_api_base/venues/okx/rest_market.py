"""OKX over REST: what everyone may ask."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final, cast

from msgspec.structs import replace

from bt_api_base.venues.okx import convert, rest_endpoints as endpoints
from bt_api_base.venues.okx.bars import CANDLES, INTERVALS, BarKind, close_time
from bt_api_base.venues.okx.rest_client import okx_client
from bt_api_base.venues.okx.rest_convert import instrument
from bt_api_base.venues.okx.symbols import parse_symbol
from bt_api_base.venues.rest_api import RestApi, first_ms, last_ms_before

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bt_api_base.containers import Bar, Instrument, OrderBook, Tick, Trade
    from bt_api_base.feeds.clock import VenueClock
    from bt_api_base.feeds.endpoint import Endpoint
    from bt_api_base.feeds.http_types import Transport
    from bt_api_base.rate_limiter import RateLimiter
    from bt_api_base.security import Credentials
    from bt_api_base.transport import TransportPolicy
    from bt_api_base.venues.okx import wire
    from bt_api_base.venues.okx.rest_wire import Envelope

__all__ = ("OkxMarketApi",)

_MS: Final = 1_000_000
_MONTH_MS: Final = 31 * 86_400_000
_MONTHS: Final = {"1M": 1, "3M": 3}
_RECENT_ROWS: Final = 1_400
"""``candles`` has the last 1,440; what is older is in ``history-candles``."""
_DEEPEST_BOOK: Final = 400
_MOST_TRADES: Final = 500
_COARSE: Final = ("1M", "1d", "1h")
"""Bars by which the first one of an instrument is found: each of the first fit into a page of the next."""


class OkxMarketApi(RestApi):
    """Base of OKX's REST APIs; see `bt_api_base.feeds.venue_api.VenueApi` for the methods.

    Args:
        credentials: Of the account, with the passphrase; ``None``: public endpoints only.
        rest_url: Where the API is; ``None``: the venue's global host.
        policy: How to connect; ``None``: directly.
        transport: What sends the requests, instead of connections that the policy wants.
        limiter: Keeps within the limits; ``None``: one of its own. Whoever has several APIs at one address or for one
            account gives them the same.
        recv_window_ms: Not used: the venue allows 30 s. It is there because other venues have it.
        timeout: How long a call may take in all, seconds.
        demo: Whether to trade in the venue's demonstration environment, which wants keys of its own.
        clock: The venue's clock, which several APIs can share; ``None``: one of its own.
    """

    rest_url: ClassVar[str] = "https://openapi.okx.com"
    instrument_type: ClassVar[str]
    """The venue's word for what is traded here."""
    max_klines: ClassVar[int] = 300
    periods: ClassVar[Mapping[str, str]] = {
        interval: CANDLES[interval, "UTC"].removeprefix("candle") for interval in INTERVALS
    }

    def __init__(
        self,
        credentials: Credentials | None = None,
        *,
        rest_url: str | None = None,
        policy: TransportPolicy | None = None,
        transport: Transport | None = None,
        limiter: RateLimiter | None = None,
        recv_window_ms: int = 5000,  # noqa: ARG002 - venues are made alike
        timeout: float = 10.0,
        demo: bool = False,
        clock: VenueClock | None = None,
    ) -> None:
        self.client = okx_client(
            self.exchange_name,
            rest_url or self.rest_url,
            credentials,
            limiter=limiter,
            policy=policy,
            transport=transport,
            timeout=timeout,
            demo=demo,
            clock=clock,
        )
        self.client.server_time = self.server_time
        self.clock = self.client.clock

    def _parse(self, symbol: str) -> str:
        return parse_symbol(self.exchange_name, self.instrument_type, symbol)

    async def server_time(self) -> int:
        """Return the venue's clock, nanoseconds since the epoch (UTC).

        Cancellation: Nothing is changed.
        """
        answer = await self.client.call(endpoints.SERVER_TIME)
        with self._reading("server time"):
            return answer.data[0].time * _MS

    async def instruments(self) -> list[Instrument]:
        """Return all that can be traded. Options are asked for by underlying, one after the other.

        Cancellation: Nothing is changed.
        """
        kind = self.instrument_type
        underlyings: list[str | None] = [None]
        if kind == "OPTION":
            answer = await self.client.call(endpoints.UNDERLYINGS, {"instType": kind})
            underlyings = [name for names in answer.data for name in names]
        found: list[Instrument] = []
        for underlying in underlyings:
            rows = await self.client.call(endpoints.INSTRUMENTS, {"instType": kind, "uly": underlying})
            with self._reading("Instrument") as local_time:
                found += [instrument(row, self.exchange_name, local_time) for row in rows.data]
        return found

    async def ticker(self, symbol: str) -> Tick:
        """Return the best bid and ask, the last trade, and the last 24 hours.

        Cancellation: Nothing is changed.
        """
        internal = self._parse(symbol)
        answer = await self.client.call(endpoints.TICKER, {"instId": internal}, symbol=internal)
        with self._reading("Tick") as local_time:
            return cast("Tick", convert.tickers(answer, self.exchange_name, internal, local_time)[0])

    async def depth(self, symbol: str, count: int = 20) -> OrderBook:
        """Return the best levels of the book: at most 400 of now, or 5,000 that are up to a second old.

        Cancellation: Nothing is changed.
        """
        internal = self._parse(symbol)
        endpoint = endpoints.BOOKS if count <= _DEEPEST_BOOK else endpoints.BOOKS_FULL
        answer = await self.client.call(endpoint, {"instId": internal, "sz": count}, symbol=internal)
        with self._reading("OrderBook") as local_time:
            book = cast("OrderBook", convert.books(answer, self.exchange_name, internal, local_time)[0])
        return book if book.sequence else replace(book, sequence=None)

    async def trades(self, symbol: str, count: int = 100) -> list[Trade]:
        """Return the latest public trades, oldest first, at most 500.

        Cancellation: Nothing is changed.
        """
        internal = self._parse(symbol)
        answer = await self.client.call(
            endpoints.TRADES, {"instId": internal, "limit": min(count, _MOST_TRADES)}, symbol=internal
        )
        with self._reading("Trade") as local_time:
            trades = cast("tuple[Trade, ...]", convert.trades(answer, self.exchange_name, internal, local_time))
        return list(reversed(trades))

    async def klines(
        self, symbol: str, period: str, *, start: int | None = None, end: int | None = None, count: int | None = None
    ) -> list[Bar]:
        """Return one page of bars, oldest first; see `VenueApi.klines`. Days begin at midnight UTC.

        A page from before an instrument was listed begins with its first bar.

        Raises:
            ConfigurationError: The venue has no bars of this period.

        Cancellation: Nothing is changed.
        """
        internal = self._parse(symbol)
        self._period(self.periods, period)
        most = self.max_klines if count is None else max(1, min(count, self.max_klines))
        first, last = first_ms(start), last_ms_before(end)
        if first is None:
            rows = await self._candles(internal, period, most, None, last)
        elif last is not None and last < first:
            return []
        else:
            rows = await self._candles_from(internal, period, first, last, most)
        kind = BarKind(period)
        with self._reading("Bar") as local_time:
            bars = cast("tuple[Bar, ...]", convert.bars(kind)(rows, self.exchange_name, internal, local_time))
        # The venue's pages begin with the newest.
        return [bar for bar in reversed(bars) if start is None or bar.open_time >= start][:most]

    async def _candles_from(
        self, internal: str, period: str, first: int, last: int | None, most: int
    ) -> Envelope[wire.Candle]:
        """Return a page that begins at a time, or with the first bar there is."""
        span = most * _length_ms(period)
        now = self.clock.now_ms()
        stop = min(now, last) if last is not None else now
        rows = await self._candles(internal, period, self._rows(period, most), first, min(first + span - 1, stop))
        if rows.data or first + span > stop:
            return rows
        # The venue tells the newest of a range, so a range before the listing is empty.
        begin = await self._first_bar(internal, first, stop)
        if begin is None:
            return rows
        return await self._candles(internal, period, self._rows(period, most), begin, min(begin + span - 1, stop))

    def _rows(self, period: str, most: int) -> int:
        # Months have no length, so a range may have more than were counted.
        return self.max_klines if period in _MONTHS else most

    async def _first_bar(self, internal: str, first: int, stop: int) -> int | None:
        """Return about when the first bar after a time begins, milliseconds; ``None`` if there is none."""
        for period in _COARSE:
            rows = await self._candles(
                internal, period, self.max_klines, first, stop, endpoint=endpoints.HISTORY_CANDLES
            )
            if not rows.data:
                return None
            first = max(first, rows.data[-1].open_time)
            stop = min(stop, rows.data[-1].open_time + _length_ms(period))
        return first

    async def _candles(
        self,
        internal: str,
        period: str,
        limit: int,
        first: int | None,
        last: int | None,
        *,
        endpoint: Endpoint[Envelope[wire.Candle]] | None = None,
    ) -> Envelope[wire.Candle]:
        """Ask for the newest bars that begin within a range, both ends included."""
        if endpoint is None:
            oldest = self.clock.now_ms() - _RECENT_ROWS * _length_ms(period)
            reach = first if first is not None else None if last is None else last - limit * _length_ms(period)
            endpoint = endpoints.CANDLES if reach is None or reach >= oldest else endpoints.HISTORY_CANDLES
        return await self.client.call(
            endpoint,
            {
                "instId": internal,
                "bar": self.periods[period],
                "after": None if last is None else last + 1,
                "before": None if first is None else first - 1,
                "limit": limit,
            },
            symbol=internal,
        )


def _length_ms(period: str) -> int:
    """Return how long a bar is, milliseconds; of months, the longest."""
    months = _MONTHS.get(period)
    return months * _MONTH_MS if months else close_time(BarKind(period), 0) // _MS + 1
