"""The account side of Binance's simulated spot market: its events over the WebSocket API, and its REST side.

What the exchange tells becomes `executionReport` and `outboundAccountPosition`; a test can tell of more.
"""

from __future__ import annotations

from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, Final

import msgspec
from typing_extensions import override

from bt_api_base.testing.binance_private_dialect import (
    CREDENTIALS,
    USER,
    BinanceAccountDialect,
    BinancePrivateClient,
    terminated,
)
from bt_api_base.testing.rest_limits import AlignedWindow
from bt_api_base.testing.rest_venue import TradingVenue

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from typing_extensions import Unpack

    from bt_api_base.security import Credentials
    from bt_api_base.testing.binance_rest import BinanceSpotRest
    from bt_api_base.testing.exchange_orders import ExchangeEvent
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
_TIMES: Final[Mapping[str, None]] = {"T": None, "O": None, "W": None}


class BinanceSpotVenue(TradingVenue):
    """What `bt_api_base.testing.simulated_venue.SimulatedVenue` is built on. See there."""

    def __init__(
        self,
        symbols: Sequence[str | MarketSpec],
        *,
        exchange_name: str,
        seed: int = 1,
        rate: float = 20.0,
        paused: bool = False,
        start_time_ns: int | None = None,
        credentials: Credentials = CREDENTIALS,
        **options: Unpack[VenueOptions],
    ) -> None:
        super().__init__(
            BinanceAccountDialect(credentials),
            symbols,
            exchange_name=exchange_name,
            seed=seed,
            rate=rate,
            paused=paused,
            start_time_ns=start_time_ns,
            **options,
        )
        self.credentials = credentials
        """What log-ins and signatures are checked against."""
        first, second = options.get("order_limits", (50, 160_000))
        self.order_windows = (AlignedWindow(first, 10), AlignedWindow(second, 86_400))
        """The account's orders that are not filled."""
        self.cancel_name = ""
        """What the cancel that is being done is called."""
        self._executions = count(1)

    @override
    def _rest_dialect(self) -> BinanceSpotRest:
        from bt_api_base.testing.binance_rest import BinanceSpotRest

        return BinanceSpotRest(self)

    # What a test tells.

    def push_order(self, **fields: Any) -> int:  # noqa: ANN401 - whatever the venue has in its JSON
        """Tell whoever listens of an order that changed; the exchange knows nothing of it.

        Args:
            **fields: The report in the venue's own names, for example ``X="FILLED"``; others have defaults.

        Returns:
            The number of listeners.
        """
        return self._push("executionReport", {**_ORDER, **fields}, _TIMES, event_id=fields.get("I"))

    def push_balances(self, **holdings: tuple[str, str]) -> int:
        """Tell whoever listens of balances that changed; the exchange knows nothing of it.

        Args:
            **holdings: By asset, what is free and what is locked.

        Returns:
            The number of listeners.
        """
        rows = [{"a": asset, "f": free, "l": locked} for asset, (free, locked) in holdings.items()]
        return self._push("outboundAccountPosition", {"B": rows}, {"u": None})

    def push_transfer(self, asset: str, delta: str) -> int:
        """Tell whoever listens that money came or went; the exchange knows nothing of it.

        Args:
            asset: Of what.
            delta: How much; negative if it went.

        Returns:
            The number of listeners.
        """
        return self._push("balanceUpdate", {"a": asset, "d": delta}, {"T": None})

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

    # What the exchange tells.

    @override
    def _exchange_event(self, event: ExchangeEvent) -> None:
        from bt_api_base.testing.binance_rest_events import execution_report, holding_rows
        from bt_api_base.testing.exchange_orders import BalancesChanged, OrderChanged

        if isinstance(event, OrderChanged):
            order = event.order
            if event.execution == "trade" and not order.is_open:
                for window in self.order_windows:  # only what is not filled counts
                    window.add(-1, self.rest.now_ns())
            if USER not in self._feeds:
                return
            number = next(self._executions)
            fields = execution_report(event, self._venue_symbol(order.symbol), number, self.cancel_name)
            times = {"T": order.updated_ns // 1_000, "O": order.created_ns // 1_000, "W": order.created_ns // 1_000}
            self._push("executionReport", fields, times, event_id=number)
        elif isinstance(event, BalancesChanged) and USER in self._feeds:
            rows = holding_rows(event.currencies, self.exchange.balances)
            self._push("outboundAccountPosition", {"B": rows}, {"u": None})

    def _push(
        self, kind: str, fields: Mapping[str, Any], times: Mapping[str, int | None], *, event_id: int | None = None
    ) -> int:
        """Tell whoever listens; times are microseconds since the epoch, None: now."""
        feed = self._feeds.get(USER)
        if feed is None:
            return 0
        listeners = feed.listeners
        self._publish(feed, event_id, partial(_event, kind, fields, times, self.rest.now_ns() // 1_000))
        return listeners


def _event(kind: str, fields: Mapping[str, Any], times: Mapping[str, int | None], time_us: int, divisor: int) -> bytes:
    stamps = {name: (time_us if stamp is None else stamp) // divisor for name, stamp in times.items()}
    return msgspec.json.encode({"e": kind, "E": time_us // divisor, **stamps, **fields})


__all__ = ("BinanceSpotVenue",)
