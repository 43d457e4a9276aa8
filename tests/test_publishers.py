"""Publishers: the short way onto the bus for producers of very many events of a few names."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from hypothesis import given, strategies as st

from bt_api_base.containers import Tick
from bt_api_base.event_bus import ErrorHandlerMode, EventBus


def tick(number: int) -> Tick:
    """Return a numbered tick."""
    return Tick("TOY___SPOT", "BTC-USDT", 0, 0, sequence=number)


@pytest.mark.anyio
async def test_what_is_published_reaches_streams_and_handlers_as_if_emitted() -> None:
    """By name, by pattern and by type, in order."""
    bus, seen = EventBus(), list[tuple[str, int | None]]()
    with bus.open_stream("tick.*") as by_pattern, bus.open_stream(Tick) as by_type:
        bus.on("tick.A", lambda event: seen.append(("name", event.sequence)))
        bus.on(Tick, lambda event: seen.append(("type", event.sequence)))
        bus.publisher("tick.A").outlet.take([tick(1), tick(2)])
        bus.publisher("tick.B").outlet.take([tick(3)])
        assert [("name", 1), ("type", 1), ("name", 2), ("type", 2), ("type", 3)] == seen
        assert [1, 2, 3] == [event.sequence for event in await by_pattern.receive_batch()]
        assert [1, 2, 3] == [event.sequence for event in await by_type.receive_batch()]


@pytest.mark.anyio
async def test_the_outlet_follows_who_comes_and_goes() -> None:
    """A publisher made early finds the handlers registered late, and forgets those that left."""
    bus, seen = EventBus(), list[Any]()
    publisher = bus.publisher("tick.A")
    publisher.outlet.take([tick(1)])
    registration = bus.on("tick.A", seen.append)
    publisher.outlet.take([tick(2)])
    registration.cancel()
    publisher.outlet.take([tick(3)])
    with bus.open_stream("tick.A") as stream:
        publisher.outlet.take([tick(4)])
        assert ([2], [4]) == ([e.sequence for e in seen], [e.sequence for e in await stream.receive_batch()])


@pytest.mark.anyio
async def test_names_that_reach_the_same_streams_share_an_outlet() -> None:
    """A producer may collect what goes the same way, whatever its name."""
    bus = EventBus()
    with bus.open_stream("tick.*"), bus.open_stream("tick.C"):
        a, b, c = (bus.publisher(f"tick.{name}") for name in "ABC")
        assert (True, False) == (a.outlet is b.outlet, a.outlet is c.outlet)
        assert a is bus.publisher("tick.A")


@pytest.mark.anyio
@pytest.mark.parametrize("mode", list(ErrorHandlerMode))
async def test_a_handler_that_raises_does_not_reach_the_producer(mode: ErrorHandlerMode) -> None:
    """Whatever the mode, the producer goes on and the error is counted."""
    bus = EventBus(error_mode=mode)
    bus.on("tick.A", lambda event: 1 // 0)
    bus.publisher("tick.A").outlet.take([tick(1), tick(2)])
    assert 2 == bus.statistics().errors


@given(
    st.lists(
        st.one_of(
            st.sampled_from(["publish A", "publish B", "emit A", "emit B", "handler", "no handler"]),
            st.sampled_from(["stream", "no stream", "type handler"]),
        )
    )
)
def test_the_counters_say_the_same_as_for_emit(actions: list[str]) -> None:
    """Through any order of changes, `emitted` and `delivered` are those of a bus that only emits."""

    async def counters(*, publish: bool) -> tuple[int, int]:
        bus, streams = EventBus(), []
        for number, action in enumerate(actions):
            what, _, name = action.partition(" ")
            if what == "publish" and publish:
                bus.publisher(f"tick.{name}").outlet.take([tick(number)])
            elif what in {"publish", "emit"}:
                bus.emit(f"tick.{name}", tick(number))
            elif action == "handler":
                bus.on("tick.A", id)
            elif action == "type handler":
                bus.on(Tick, id)
            elif action == "no handler":
                bus.off("tick.A")
            elif action == "stream":
                streams.append(bus.open_stream("tick.*"))
            elif streams:
                streams.pop().close()
        for stream in streams:
            stream.end()
        statistics = bus.statistics()
        return statistics.emitted, statistics.delivered

    async def compare() -> None:
        assert await counters(publish=False) == await counters(publish=True)

    anyio.run(compare)
