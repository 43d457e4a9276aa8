"""The streams of a simulated market that somebody listens to, by what they are of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bt_api_base.testing.market import Market
    from bt_api_base.testing.market_book import DepthRecorder
    from bt_api_base.testing.venue_connection import Feed


class StreamKey(Protocol):
    """What a stream's name means, parsed: hashable, and equal for names that mean the same."""

    @property
    def symbol(self) -> str:
        """The market's symbol as `MarketVenue._market_key` gives it; empty for a stream of all markets."""
        raise NotImplementedError

    @property
    def channel(self) -> str:
        """What is sent, for example "trade"."""
        raise NotImplementedError

    @property
    def period_ms(self) -> int:
        """Milliseconds from one event to the next; 0 where they follow what happens."""
        raise NotImplementedError


@attrs.define(eq=False)
class Feeds:
    """The feeds of one market, or of all together, by what they are of."""

    by_channel: dict[str, dict[StreamKey, list[Feed]]] = attrs.field(factory=dict[str, dict[StreamKey, "list[Feed]"]])
    """Several names can mean the same stream, hence the list."""

    def items(self, channel: str, period_ms: int | None = None) -> Iterator[tuple[StreamKey, list[Feed]]]:
        """Yield the keys of a channel and their feeds.

        Args:
            channel: The channel.
            period_ms: The period they must have; None for any.
        """
        for key, feeds in self.by_channel.get(channel, {}).items():
            if period_ms is None or key.period_ms == period_ms:
                yield key, feeds

    def of(self, channel: str, period_ms: int | None = None) -> list[Feed]:
        """Return the feeds of a channel.

        Args:
            channel: The channel.
            period_ms: The period they must have; None for any.
        """
        if channel not in self.by_channel:
            return []
        return [feed for _, feeds in self.items(channel, period_ms) for feed in feeds]

    def add(self, key: StreamKey, feed: Feed) -> None:
        """Take a feed in."""
        self.by_channel.setdefault(key.channel, {}).setdefault(key, []).append(feed)

    def remove(self, key: StreamKey, feed: Feed) -> None:
        """Take a feed out."""
        keys = self.by_channel[key.channel]
        keys[key].remove(feed)
        if not keys[key]:
            del keys[key]
        if not keys:
            del self.by_channel[key.channel]


@attrs.define(eq=False)
class Hub:
    """One market and the feeds of its streams."""

    market: Market
    venue_symbol: str
    """Its symbol in the venue's spelling."""
    feeds: Feeds = attrs.field(factory=Feeds)
    _recorders: dict[object, DepthRecorder] = attrs.field(factory=dict[object, "DepthRecorder"])

    def recorder(self, key: object) -> DepthRecorder:
        """Return what collects the changes of the book for a purpose, from the first call on.

        Args:
            key: Names the purpose, for example a period in milliseconds.
        """
        recorder = self._recorders.get(key)
        if recorder is None:
            recorder = self._recorders[key] = self.market.record_depth()
        return recorder

    def is_recording(self, key: object) -> bool:
        """Tell whether changes are collected for a purpose."""
        return key in self._recorders

    def release(self, key: object) -> None:
        """Let nothing be collected for a purpose any more."""
        recorder = self._recorders.pop(key, None)
        if recorder is not None:
            self.market.book.forget(recorder)


__all__ = ("Feeds", "Hub", "StreamKey")
