"""The conformance suite's rules about live connections, against the simulated venue."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from bt_api_base.testing import SimulatedVenue, check_stream_adapter_live
from bt_api_base.testing.conformance import ConformanceError
from bt_api_base.venues.binance import BinanceSpotAdapter
from bt_api_base.websocket.adapter import Channel, Continuity, Decoded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

pytestmark = [pytest.mark.anyio, pytest.mark.thorough]

CHANNELS = [("ticker", "BTC-USDT"), ("trade", "ETH-USDT"), ("depth_diff", "BTC-USDT", {"speed": 100})]


class NeverAsks(BinanceSpotAdapter):
    """Its request names another channel, which the venue confirms."""

    def subscribe_frame(self, request_id: int, channels: Sequence[Channel]) -> str:
        """Ask for something else."""
        return super().subscribe_frame(request_id, channels).replace("btcusdt@trade", "ethusdt@trade")


class NeverStops(BinanceSpotAdapter):
    """It asks for the list of channels where it should give one up."""

    def unsubscribe_frame(self, request_id: int, channels: Sequence[Channel]) -> str:
        """Ask for something else."""
        return self.probe_frame(request_id, channels[0])


class Consecutive(BinanceSpotAdapter):
    """It promises what the venue does not."""

    def channel(self, topic: str, symbol: str, params: Mapping[str, Any] | None = None) -> Channel:
        """Name a channel."""
        return msgspec.structs.replace(super().channel(topic, symbol, params), continuity=Continuity.CONSECUTIVE)


class Fussy(BinanceSpotAdapter):
    """It cannot read trades of sellers."""

    def decode_batch(self, frames: Sequence[bytes | str], local_time: int) -> Sequence[Decoded]:
        """Take what a seller sold for damaged."""
        damaged = [b"{" if isinstance(frame, bytes) and b'"m":true' in frame else frame for frame in frames]
        return super().decode_batch(damaged, local_time)


async def check(adapter: type[BinanceSpotAdapter], channels: Any = CHANNELS, **options: Any) -> ConformanceError | None:
    """Run the check against a simulated venue, and return what it raises."""
    async with SimulatedVenue(("BTC-USDT", "ETH-USDT"), rate=400, seed=3) as venue:
        try:
            await check_stream_adapter_live(
                adapter, venue.url, channels=channels, **{"seed": 5, "rounds": 0, **options}
            )
        except ConformanceError as error:
            return error
    return None


@pytest.mark.parametrize("seed", [1, 2])
async def test_binance_spot_lives_through_failures(seed: int) -> None:
    """Every channel is confirmed, delivers, delivers again after each failure, and falls silent; nothing is left."""
    assert await check(BinanceSpotAdapter, seed=seed, rounds=4, events=1) is None


@pytest.mark.parametrize(
    ("number", "adapter", "channels"),
    [
        (81, NeverAsks, [("trade", "BTC-USDT")]),
        (83, Fussy, [("trade", "BTC-USDT")]),
        (84, Consecutive, [("ticker", "BTC-USDT")]),
        (85, NeverStops, [("trade", "BTC-USDT")]),
    ],
)
async def test_broken_rules_are_found(number: int, adapter: type[BinanceSpotAdapter], channels: Any) -> None:
    """An adapter that breaks a rule fails by its number."""
    error = await check(adapter, channels, timeout=1.5, events=4)
    assert error is not None
    assert number in error.numbers


async def test_an_unknown_channel_is_not_confirmed() -> None:
    """What the venue refuses, or the adapter, is a finding of the first rule."""
    error = await check(BinanceSpotAdapter, [("trade", "NOBODY-USDT"), ("funding", "BTC-USDT")], timeout=0.5)
    assert error is not None
    assert 80 in error.numbers


async def test_tls_cannot_be_looked_into() -> None:
    """A URL that no proxy can stand in front of is refused."""
    with pytest.raises(ValueError, match="nothing can stand in the way of TLS"):
        await check_stream_adapter_live(partial(BinanceSpotAdapter), "wss://127.0.0.1:1/", channels=CHANNELS)
