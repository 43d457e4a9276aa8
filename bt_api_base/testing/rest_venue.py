"""A market venue that can be traded at: a REST side, an exchange behind it, and an account.

A subclass says how its REST side speaks, and makes events of what the exchange tells. Nothing of it is made before it
is asked for: a venue whose streams only are listened to is as light as one without.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from typing_extensions import override

from bt_api_base.testing.market_venue import MarketVenue
from bt_api_base.testing.rest_side import RestSide

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anyio.abc import TaskGroup
    from typing_extensions import Unpack

    from bt_api_base.testing.dialect import Dialect
    from bt_api_base.testing.market import MarketSpec
    from bt_api_base.testing.rest_messages import RestDialect
    from bt_api_base.testing.rest_transport import RestTransport
    from bt_api_base.testing.venue_options import VenueOptions


class TradingVenue(MarketVenue):
    """Markets of one's own with a REST side.

    Args:
        dialect: How it speaks over WebSocket.
        symbols: See `MarketVenue`.
        exchange_name: See there.
        seed: See there.
        rate: See there.
        paused: See there.
        start_time_ns: See there.
        **options: See `bt_api_base.testing.venue_options.VenueOptions`.
    """

    def __init__(
        self,
        dialect: Dialect,
        symbols: Sequence[str | MarketSpec],
        *,
        exchange_name: str,
        seed: int = 1,
        rate: float = 20.0,
        paused: bool = False,
        start_time_ns: int | None = None,
        **options: Unpack[VenueOptions],
    ) -> None:
        super().__init__(
            dialect,
            symbols,
            exchange_name=exchange_name,
            seed=seed,
            rate=rate,
            paused=paused,
            start_time_ns=start_time_ns,
            **options,
        )
        self.rest = RestSide(
            self._rest_dialect,
            self._clock_ns,
            host=options.get("host", "127.0.0.1"),
            listen=options.get("listen", True),
        )
        """What the REST side was asked, and what is to go wrong with it."""

    @property
    def rest_url(self) -> str:
        """Base URL of the REST side; it listens from when this is first asked for.

        Raises:
            RuntimeError: The venue is not running.
        """
        return self.rest.url

    def rest_transport(self) -> RestTransport:
        """Return a transport for `httpx.AsyncClient` that asks this venue in memory; it suits virtual time."""
        return self.rest.transport()

    def _rest_dialect(self) -> RestDialect:
        """Return what answers REST requests."""
        raise NotImplementedError

    @override
    def _start(self, tasks: TaskGroup) -> None:
        super()._start(tasks)
        self.rest.start(tasks)

    @override
    def _stopped(self) -> None:
        super()._stopped()
        self.rest.stop()

    @override
    async def kill(self, seconds: float | None = None) -> int:
        """Die, as streams and as REST: reset every connection and refuse new ones.

        Args:
            seconds: How long to stay dead; None until `revive`.

        Returns:
            The number of connections of streams.

        Cancellation:
            New connections are refused all the same; some old ones may live.
        """
        await self.rest.kill(seconds)
        return await super().kill(seconds)

    @override
    async def revive(self) -> None:
        """Accept connections again, at the same ports.

        Cancellation:
            Either it does or it does not.
        """
        self.rest.revive()
        await super().revive()


__all__ = ("TradingVenue",)
