"""The test ground, for everybody whose code is built on this package.

* `clock`: virtual time on asyncio and trio.
* `leaks`: the assertion that no task, socket or thread is left.
* `planted_secret`: credentials that must not turn up in anything that is shown.
* `cancellation`: an operation cancelled at each of its suspensions.
* `streams`: byte streams in memory, with scripted faults.
* `simulated_venue`: a venue on loopback, over markets of its own, with streams, a REST side, and an exchange that
  executes orders; `usdm_venue` and `okx_venue`: others; `replay_venue`: one that plays recordings back.
* `rest_clock`: a venue's clock that goes as fast as virtual time does.
* `faulty_proxy`: a TCP proxy that breaks connections on request, `proxy_faults` being what it can be told.
* `conformance`: the rules that every stream adapter keeps, checked with one line.
* `pytest_plugin`: all of it as pytest fixtures and markers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bt_api_base._lazy import lazy_names

if TYPE_CHECKING:
    from bt_api_base.testing.cancellation import (
        CancellationSweep as CancellationSweep,
        sweep_cancellation as sweep_cancellation,
    )
    from bt_api_base.testing.clock import (
        VIRTUAL_BACKENDS as VIRTUAL_BACKENDS,
        VirtualTimeLoop as VirtualTimeLoop,
        virtual_backend as virtual_backend,
    )
    from bt_api_base.testing.conformance import (
        check_stream_adapter as check_stream_adapter,
        conformance_cases as conformance_cases,
        stream_adapter_test as stream_adapter_test,
    )
    from bt_api_base.testing.conformance_live import check_stream_adapter_live as check_stream_adapter_live
    from bt_api_base.testing.faulty_proxy import FaultyProxy as FaultyProxy
    from bt_api_base.testing.leaks import LeakError as LeakError, assert_no_leaks as assert_no_leaks
    from bt_api_base.testing.market import Market as Market, MarketSpec as MarketSpec
    from bt_api_base.testing.okx_venue import SimulatedOkxVenue as SimulatedOkxVenue
    from bt_api_base.testing.peer import Ending as Ending
    from bt_api_base.testing.planted_secret import (
        LeakedSecretError as LeakedSecretError,
        PlantedSecret as PlantedSecret,
    )
    from bt_api_base.testing.recorded_frames import (
        RecordedFrame as RecordedFrame,
        recorded_frames as recorded_frames,
    )
    from bt_api_base.testing.replay_venue import ReplayVenue as ReplayVenue
    from bt_api_base.testing.rest_clock import LoopClock as LoopClock
    from bt_api_base.testing.simulated_venue import SimulatedVenue as SimulatedVenue
    from bt_api_base.testing.streams import (
        MemoryByteStream as MemoryByteStream,
        memory_stream_pair as memory_stream_pair,
    )
    from bt_api_base.testing.venue_records import StreamRecord as StreamRecord, VenueSession as VenueSession

_MODULES = {
    "CancellationSweep": "cancellation",
    "Ending": "peer",
    "FaultyProxy": "faulty_proxy",
    "LeakError": "leaks",
    "LeakedSecretError": "planted_secret",
    "LoopClock": "rest_clock",
    "Market": "market",
    "MarketSpec": "market",
    "MemoryByteStream": "streams",
    "PlantedSecret": "planted_secret",
    "RecordedFrame": "recorded_frames",
    "ReplayVenue": "replay_venue",
    "SimulatedOkxVenue": "okx_venue",
    "SimulatedVenue": "simulated_venue",
    "StreamRecord": "venue_records",
    "VIRTUAL_BACKENDS": "clock",
    "VenueSession": "venue_records",
    "VirtualTimeLoop": "clock",
    "assert_no_leaks": "leaks",
    "check_stream_adapter": "conformance",
    "check_stream_adapter_live": "conformance_live",
    "conformance_cases": "conformance",
    "memory_stream_pair": "streams",
    "recorded_frames": "recorded_frames",
    "stream_adapter_test": "conformance",
    "sweep_cancellation": "cancellation",
    "virtual_backend": "clock",
}
"""The module that each lazy name comes from."""

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_names(__name__, _MODULES)

__all__ = (
    "VIRTUAL_BACKENDS",
    "CancellationSweep",
    "Ending",
    "FaultyProxy",
    "LeakError",
    "LeakedSecretError",
    "LoopClock",
    "Market",
    "MarketSpec",
    "MemoryByteStream",
    "PlantedSecret",
    "RecordedFrame",
    "ReplayVenue",
    "SimulatedOkxVenue",
    "SimulatedVenue",
    "StreamRecord",
    "VenueSession",
    "VirtualTimeLoop",
    "assert_no_leaks",
    "check_stream_adapter",
    "check_stream_adapter_live",
    "conformance_cases",
    "memory_stream_pair",
    "recorded_frames",
    "stream_adapter_test",
    "sweep_cancellation",
    "virtual_backend",
)
