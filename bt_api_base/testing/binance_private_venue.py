"""A venue that never was, with an account: Binance's spot market on loopback, and the events of its WebSocket API.

What happens to the account is told by a test: there is no matching engine.

Example:
    ```python
    async with SimulatedAccountVenue(("BTC-USDT",), seed=1) as venue:
        config = WebSocketConfig(venue.url, venue.exchange_name, credentials=venue.credentials)
        ...
        venue.push_order(x="TRADE", X="FILLED", l="1.0", z="1.0", L="60000.1", t=7, n="0.001", N="BTC")
    ```
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import msgspec

from bt_api_base.testing.binance_private_dialect import (
    CREDENTIALS,
    USER,
    BinanceAccountDialect,
    BinancePrivateClient,
    terminated,
)
from bt_api_base.testing.simulated_venue import SimulatedVenue

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from typing_extensions import Unpack

    from bt_api_base.security import Credentials
    from bt_api_base.testing.market import MarketSpec
    from bt_api_base.testing.venue_options import VenueOptions

_ORDER: Final[Mapping[str, Any]] = {
    "s": "BTCUSDT",
    "c": "test-1",
    "S": "BUY",
    "o": "LIMIT",
    "f": "GTC",
    "q": "1.00000000",
    "p": "60000.00000000",
    "P": "0.00000000",
    "F": "0.00000000",
    "g": -1,
    "C": "",
    "x": "NEW",
    "X": "NEW",
    "r": "NONE",
    "i": 1,
    "l": "0.00000000",
    "z": "0.00000000",
    "L": "0.00000000",
    "n": "0",
    "N": None,
    "t": -1,
    "I": 1,
    "w": True,
    "m": False,
    "M": False,
    "Z": "0.00000000",
    "Y": "0.00000000",
    "Q": "0.00000000",
    "V": "NONE",
}
_TIMES: Final = ("T", "O", "W")


class SimulatedAccountVenue(SimulatedVenue):
    """A `SimulatedVenue` with an account, whose events come from the WebSocket API.

    Args:
        symbols: See `SimulatedVenue`.
        seed: See there.
        rate: See there.
        paused: See there.
        credentials: What log-ins and signatures are checked against. With a private key in PEM, connections can log on.
        **options: See `bt_api_base.testing.venue_options.VenueOptions`.
    """

    def __init__(
        self,
        symbols: Sequence[str | MarketSpec] = ("BTC-USDT", "ETH-USDT"),
        *,
        seed: int = 1,
        rate: float = 20.0,
        paused: bool = False,
        credentials: Credentials = CREDENTIALS,
        **options: Unpack[VenueOptions],
    ) -> None:
        super().__init__(symbols, seed=seed, rate=rate, paused=paused, **options)
        self.dialect = BinanceAccountDialect(credentials)
        self.credentials = credentials
        """What log-ins and signatures are checked against."""

    def push_order(self, **fields: Any) -> int:  # noqa: ANN401 - whatever the venue has in its JSON
        """Tell whoever listens of an order that changed.

        Args:
            **fields: The report in the venue's own names, for example ``X="FILLED"``; others have defaults.

        Returns:
            The number of listeners.
        """
        return self._push("executionReport", {**_ORDER, **fields}, _TIMES, event_id=fields.get("I"))

    def push_balances(self, **holdings: tuple[str, str]) -> int:
        """Tell whoever listens of balances that changed.

        Args:
            **holdings: By asset, what is free and what is locked.

        Returns:
            The number of listeners.
        """
        rows = [{"a": asset, "f": free, "l": locked} for asset, (free, locked) in holdings.items()]
        return self._push("outboundAccountPosition", {"B": rows}, ("u",))

    def push_transfer(self, asset: str, delta: str) -> int:
        """Tell whoever listens that money came or went.

        Args:
            asset: Of what.
            delta: How much; negative if it went.

        Returns:
            The number of listeners.
        """
        return self._push("balanceUpdate", {"a": asset, "d": delta}, ("T",))

    def terminate(self) -> int:
        """End every subscription to account events, as the venue does when a key is deleted.

        Returns:
            The number of subscriptions.
        """
        ended = 0
        for connection in tuple(self._connections):
            client = connection.client
            if isinstance(client, BinancePrivateClient) and client.subscription_id is not None:
                connection.send_control(terminated(client.subscription_id, self._clock_ns() // 1_000_000))
                self._leave(connection, USER)
                client.subscription_id = None
                ended += 1
        return ended

    def _push(self, kind: str, fields: Mapping[str, Any], times: Sequence[str], *, event_id: int | None = None) -> int:
        feed = self._feeds.get(USER)
        if feed is None:
            return 0
        listeners = feed.listeners
        self._publish(feed, event_id, partial(_event, kind, fields, times, self._clock_ns() // 1_000))
        return listeners


def _event(kind: str, fields: Mapping[str, Any], times: Sequence[str], time_us: int, divisor: int) -> bytes:
    now = time_us // divisor
    return msgspec.json.encode({"e": kind, "E": now, **dict.fromkeys(times, now), **fields})


__all__ = ("SimulatedAccountVenue",)
