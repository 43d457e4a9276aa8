"""Emitting very many events of a few names: the route is looked up when it changes, not for each event."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bt_api_base.event_bus.errors import ErrorSink
    from bt_api_base.event_bus.routes import RouteTable

__all__ = ("Outlet", "Producer", "Publisher", "PublisherCounts", "Publishers")


@attrs.define(eq=False)
class Outlet:
    """What takes the events of one or more names off a producer's hands. It does not raise.

    Attributes:
        deliver: What the events are handed to.
        copies: How many streams take each event, without anybody counting it for the bus.
        taken: How many events came this way.
    """

    deliver: Callable[[Sequence[Any]], object]
    copies: int = 0
    taken: int = 0

    def take(self, items: Sequence[Any]) -> None:
        """Hand several events to whoever wants them, in order."""
        self.deliver(items)
        self.taken += len(items)


class Producer(Protocol):
    """Whatever holds an outlet for the events of a name, so that it need not be looked up: see `EventBus.attach`.

    Attributes:
        name: The events' name.
        outlet: Takes the events. Replaced by the bus when handlers come or go.
    """

    name: str
    outlet: Outlet


@attrs.define(eq=False)
class Publisher:
    """Where the events of one name go, for a producer of very many of them. From `EventBus.publisher`.

    Giving events to the outlet is the same as `EventBus.emit` for each, without a look-up for each; what the mode
    ``RAISE`` would raise is logged. Names that reach the same streams share an outlet, so that a producer of several
    names can collect what goes the same way and hand it over at once, in order.

    Attributes:
        name: The events' name.
        outlet: Takes the events, in the thread of the bus's event loop. Replaced when handlers come or go, so look
            here for every event.
    """

    name: str
    outlet: Outlet


class PublisherCounts(NamedTuple):
    """What went to streams by way of publishers.

    Attributes:
        emitted: Events.
        delivered: Times that a stream took one.
    """

    emitted: int
    delivered: int


@attrs.define(eq=False)
class Publishers:
    """The publishers of a bus, by name.

    Args:
        table: Who wants events.
        emit: Emits an event that a handler wants, and counts it.
        errors: Takes what ``emit`` raises.
    """

    _table: RouteTable
    _emit: Callable[[object, object], object]
    _errors: ErrorSink
    _publishers: dict[str, Publisher] = attrs.field(factory=dict[str, Publisher], init=False)
    _producers: dict[int, Producer] = attrs.field(factory=dict[int, Producer], init=False)
    _outlets: dict[tuple[object, ...], Outlet] = attrs.field(factory=dict[tuple[object, ...], Outlet], init=False)
    _counts: PublisherCounts = attrs.field(default=PublisherCounts(0, 0), init=False)

    def __attrs_post_init__(self) -> None:
        self._table.on_change = self._handlers_changed

    def publisher(self, name: str) -> Publisher:
        """Return the publisher of a name, which is always the same."""
        publisher = self._publishers.get(name)
        if publisher is None:
            publisher = self._publishers[name] = Publisher(name, self.find_outlet(name))
            self._producers[id(publisher)] = publisher
        return publisher

    def attach(self, producer: Producer) -> None:
        """Give a producer its outlet, and another one whenever handlers come or go, until `detach`."""
        self._producers[id(producer)] = producer
        producer.outlet = self.find_outlet(producer.name)

    def detach(self, producer: Producer) -> None:
        """Forget a producer, which has no more events."""
        self._producers.pop(id(producer), None)

    def counts(self) -> PublisherCounts:
        """Return what went to streams. Events that went through ``emit`` are counted there."""
        emitted, delivered = self._counts
        for outlet in self._outlets.values():
            emitted += outlet.taken
            delivered += outlet.taken * outlet.copies
            outlet.taken = 0
        self._counts = PublisherCounts(emitted, delivered)
        return self._counts

    def _handlers_changed(self) -> None:
        """Let every producer look anew when it has its next events, as there may be thousands of them."""
        self.counts()
        self._outlets.clear()
        for producer in tuple(self._producers.values()):
            producer.outlet = Outlet(partial(self._look_anew, producer))

    def _look_anew(self, producer: Producer, items: Sequence[object]) -> None:
        producer.outlet = self.find_outlet(producer.name)
        producer.outlet.take(items)

    def find_outlet(self, name: str) -> Outlet:
        """Return what takes a name's events now: the way straight to the streams that want them, if only those do."""
        entries = self._table.entries
        wanting = tuple(entry for entry in entries if entry.wants(name, ()))
        # Handlers for other names do not matter; those for a type do, because any data may be of that type.
        by_name = all(isinstance(entry.event, str) for entry in entries)
        if not by_name or any(entry.stream is None for entry in wanting):
            return Outlet(partial(self._emit_each, name))
        streams = tuple(entry.stream for entry in wanting)
        outlet = self._outlets.get(streams)
        if outlet is None:
            offers = tuple(stream.offer_many for stream in streams if stream is not None)
            deliver = offers[0] if len(offers) == 1 else partial(_offer_to_all, offers)
            outlet = self._outlets[streams] = Outlet(deliver, copies=len(offers))
        return outlet

    def _emit_each(self, name: str, items: Sequence[object]) -> None:
        for item in items:
            try:
                self._emit(name, item)
            except Exception as error:  # noqa: BLE001 - the producer's other consumers go on
                self._errors.log(name, "of a published event", error)


def _offer_to_all(offers: tuple[Callable[[Sequence[object]], None], ...], items: Sequence[object]) -> None:
    for offer_many in offers:
        offer_many(items)
