"""Market data over REST."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bt_api_base.feeds.capability import Capability
from bt_api_base.feeds.native_core import FeedCore, moment_ns
from bt_api_base.feeds.paging import KlinePages, PagingProgress, newest_bars

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from bt_api_base.containers import Bar, OrderBook, Tick, Trade

__all__ = ("MarketMethods",)


class MarketMethods(FeedCore):
    """The calls of a native feed about the market. Each also goes to ``data_queue``, if there is one."""

    async def async_get_tick(self, symbol: str, extra_data: Any = None, **_kwargs: Any) -> Tick:  # noqa: ANN401, ARG002
        """Return the latest prices.

        Raises:
            BtApiError: The venue could not be asked, or refused.

        Cancellation: Nothing is lost.
        """
        tick = await self._require(Capability.GET_TICK).ticker(symbol)
        self._hand_over((tick,))
        return tick

    async def async_get_depth(
        self,
        symbol: str,
        count: int = 20,
        extra_data: Any = None,  # noqa: ANN401, ARG002 - passed along by older programs
        **_kwargs: Any,  # noqa: ANN401
    ) -> OrderBook:
        """Return the best ``count`` levels of the book.

        Raises:
            BtApiError: The venue could not be asked, or refused.

        Cancellation: Nothing is lost.
        """
        book = await self._require(Capability.GET_DEPTH).depth(symbol, count)
        self._hand_over((book,))
        return book

    async def async_get_kline(
        self,
        symbol: str,
        period: str,
        count: int = 20,
        extra_data: Any = None,  # noqa: ANN401, ARG002 - passed along by older programs
        *,
        start: int | datetime | None = None,
        end: int | datetime | None = None,
        on_progress: Callable[[PagingProgress], object] | None = None,
        **_kwargs: Any,  # noqa: ANN401
    ) -> list[Bar]:
        """Return bars, the oldest first, in as many requests as it takes.

        Args:
            symbol: Internal symbol.
            period: Such as ``"1m"``, ``"4h"``, ``"1d"``.
            count: How many of the newest; not looked at with ``start``.
            extra_data: Not looked at.
            start: Earliest open time, included: an aware datetime, or nanoseconds since the epoch (UTC).
            end: Open times before this, excluded; ``None``: up to the bar that is open now.
            on_progress: With ``start``, called after each request.

        Raises:
            BtApiError: The venue could not be asked, or refused.

        Cancellation: What has arrived is thrown away; iterate over `kline_pages` to keep it.
        """
        api = self._require(Capability.GET_KLINE)
        first, last = moment_ns(start), moment_ns(end)
        if first is None:
            bars = await newest_bars(api, symbol, period, count, last)
        else:
            if last is None:
                last = await api.server_time()
            pages = self.kline_pages(symbol, period, start=first, end=last, on_progress=on_progress)
            bars = [bar async for page in pages for bar in page]
        self._hand_over(bars)
        return bars

    def kline_pages(
        self,
        symbol: str,
        period: str,
        *,
        start: int | datetime,
        end: int | datetime,
        on_progress: Callable[[PagingProgress], object] | None = None,
        page_size: int | None = None,
    ) -> KlinePages:
        """Return an async iterator over pages of bars, the oldest first: for ranges that are too long for a list.

        Each bar comes once, and none is left out between two pages. The iterator ends when the range is complete or the
        venue has no more; a page that failed, or was cancelled, is asked for again with the next step.

        Args:
            symbol: Internal symbol.
            period: Such as ``"1m"``, ``"4h"``, ``"1d"``.
            start: Earliest open time, included: an aware datetime, or nanoseconds since the epoch (UTC).
            end: Open times before this, excluded.
            on_progress: Called after each page.
            page_size: Bars per page; ``None``: as many as the venue gives.
        """
        api = self._require(Capability.GET_KLINE)
        first, last = moment_ns(start), moment_ns(end)
        if first is None or last is None:
            raise TypeError("kline_pages needs a start and an end")
        return KlinePages(api, symbol, period, first, last, on_progress, page_size)

    async def async_get_trades(
        self,
        symbol: str,
        count: int = 100,
        extra_data: Any = None,  # noqa: ANN401, ARG002 - passed along by older programs
        **_kwargs: Any,  # noqa: ANN401
    ) -> list[Trade]:
        """Return the latest public trades, the oldest first.

        Raises:
            BtApiError: The venue could not be asked, or refused.

        Cancellation: Nothing is lost.
        """
        trades = await self.api.trades(symbol, count)
        self._hand_over(trades)
        return trades
