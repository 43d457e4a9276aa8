"""Single flight: of all that want the same at the same time one goes and gets it, and the others wait for it.

A flight has one leader, who runs the function, and seats for those who wait: threads, or tasks of any event loop. It
ends in one of three ways. It lands with a value, and all have it. It lands with an exception, and all raise that. Or
its leader is cancelled: then the one who has waited longest leads in its place and runs the function anew, and nobody
else notices. Where a leader waits for its own flight, by whatever detour, that is an error rather than a deadlock.

One lock guards all flights, for the few steps between two states; nothing waits while it holds it.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable
from contextlib import suppress
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import anyio
import anyio.lowlevel
import attrs
from typing_extensions import Self, override

from bt_api_base.event_stream.fresh_error import fresh_error

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ("Flights",)

R = TypeVar("R")

_LOCK = threading.RLock()
"""Reentrant, as garbage collection may run a finalizer that calls a cached function, too."""


class _Seat:
    """One that wants a result: it leads the flight, or waits for it."""

    __slots__ = ("error", "value")

    def __init__(self) -> None:
        self.value: Any = None
        self.error: Exception | None = None

    def result(self) -> Any:  # noqa: ANN401 - whatever the function returns
        """Return what the flight brought, or raise it."""
        if self.error is not None:
            raise fresh_error(self.error)
        return self.value

    def wake(self) -> bool:
        """Tell the one that waits to look; return whether there is still somebody to tell."""
        return True


class _ThreadSeat(_Seat):
    """A thread that waits."""

    __slots__ = ("_event", "wait")

    def __init__(self) -> None:
        super().__init__()
        self._event = threading.Event()
        self.wait = self._event.wait

    @override
    def wake(self) -> bool:
        self._event.set()
        return True


class _TaskSeat(_Seat):
    """A task that waits, in an event loop of any thread."""

    __slots__ = ("_event", "_loop", "wait")

    def __init__(self) -> None:
        super().__init__()
        self._event = anyio.Event()
        self.wait = self._event.wait
        self._loop: Any = anyio.lowlevel.current_token().native_token

    @override
    def wake(self) -> bool:
        loop = self._loop
        try:
            if _running_loop() is loop:
                self._event.set()
            # The one name is asyncio's (and uvloop's), the other one trio's.
            elif hasattr(loop, "call_soon_threadsafe"):
                loop.call_soon_threadsafe(self._event.set)
            else:
                loop.run_sync_soon(self._event.set)
        except RuntimeError:  # the event loop is closed
            return False
        return True


def _running_loop() -> object:
    try:
        return anyio.lowlevel.current_token().native_token
    except Exception:  # noqa: BLE001 - of another type in every other version of anyio
        return None


@attrs.define(eq=False)
class _Flight:
    """One run of a function, or several one after another if leaders are cancelled.

    Attributes:
        key: What it gets.
        leader: Who runs the function; ``None`` once it has landed.
        waiting: Who waits, in the order in which they came.
        waits_for: Other flights that its leader, or a task of its leader, waits for.
    """

    key: Hashable
    leader: _Seat | None
    waiting: dict[_Seat, None] = attrs.field(factory=dict[_Seat, None])
    waits_for: list[_Flight] = attrs.field(factory=list["_Flight"])

    def leads_to(self, goals: tuple[_Flight, ...]) -> bool:
        """Tell whether it is one of some flights, or waits for one, directly or not."""
        seen: set[_Flight] = set()
        rest = [self]
        while rest:
            flight = rest.pop()
            if flight in goals:
                return True
            if flight not in seen:
                seen.add(flight)
                rest += flight.waits_for
        return False


_ABOARD: ContextVar[tuple[_Flight, ...]] = ContextVar("bt_api_base_flights", default=())
"""The flights that are led here: by this thread or task, or by the one that started it."""


@attrs.define(eq=False)
class _Trip(Generic[R]):
    """What one caller goes through to get a result: a context manager around its waiting and leading.

    However it is left, nobody goes on waiting for it: an exception of the function lands the flight, and anything else,
    cancellation above all, makes another one lead.
    """

    flights: Flights[R]
    flight: _Flight | None
    seat: _Seat
    aboard: tuple[_Flight, ...]
    is_leading: bool = False
    _token: Token[tuple[_Flight, ...]] | None = None

    def leads(self) -> bool:
        """Tell whether this caller has to run the function, now that there is nothing to wait for."""
        self._stand_up()
        if self.flight is None or self.flight.leader is not self.seat:
            return False
        self.is_leading = True
        self._token = _ABOARD.set((*self.aboard, self.flight))
        return True

    def bring(self, value: R) -> None:
        """Land with a value."""
        self.seat.value = value
        self.flights.land(self.flight, self.seat)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if self._token is not None:
            with suppress(ValueError):  # a coroutine that is thrown away may end in another context
                _ABOARD.reset(self._token)
        if error is None or self.flight is None:
            return
        self._stand_up()
        if self.is_leading and isinstance(error, Exception):
            self.seat.error = error
            self.flights.land(self.flight, self.seat)
        else:
            self.flights.leave(self.flight, self.seat)

    def _stand_up(self) -> None:
        """Wait for nothing any more."""
        if self.aboard and isinstance(self.seat, (_ThreadSeat, _TaskSeat)):
            with _LOCK:
                for other in self.aboard:
                    if self.flight in other.waits_for:
                        other.waits_for.remove(self.flight)


@attrs.define(eq=False)
class Flights(Generic[R]):
    """The flights of one function.

    Args:
        name: What the function is called.
        find: Returns what is known under a key, in a tuple; ``None`` where nothing is.
        keep: Keeps a value under a key.
    """

    name: str
    _find: Callable[[Hashable], tuple[R] | None]
    _keep: Callable[[Hashable, R], None]
    _flights: dict[Hashable, _Flight] = attrs.field(factory=dict[Hashable, _Flight], init=False)

    def fly(self, key: Hashable, function: Callable[[], R]) -> R:
        """Call a function, or wait for the thread that does.

        Raises:
            RecursionError: This thread would wait for itself.
        """
        with self._board(key, _ThreadSeat) as trip:
            if isinstance(trip.seat, _ThreadSeat):
                trip.seat.wait()
            if trip.leads():
                trip.bring(function())
        return cast("R", trip.seat.result())

    async def fly_async(self, key: Hashable, function: Callable[[], Awaitable[R]]) -> R:
        """Await a function, or the task that does.

        Cancellation:
            A task that only waits is gone. In the place of one that runs the function, the one that has waited longest
            runs it anew.

        Raises:
            RecursionError: This task would wait for itself.
        """
        with self._board(key, _TaskSeat) as trip:
            if isinstance(trip.seat, _TaskSeat):
                await trip.seat.wait()
            if trip.leads():
                trip.bring(await function())
        return cast("R", trip.seat.result())

    def forget(self) -> None:
        """Keep nothing that the flights under way bring; who asks from now on does not join them."""
        with _LOCK:
            self._flights.clear()

    def _board(self, key: Hashable, make_seat: Callable[[], _Seat]) -> _Trip[R]:
        """Wait for the flight that is under way, or lead one, unless somebody has landed just now."""
        aboard = _ABOARD.get()
        seat = _Seat()
        fresh = _Flight(key, seat)
        with _LOCK:
            flight = self._flights.get(key)
            if flight is None:
                found = self._find(key)
                if found is not None:
                    (seat.value,) = found
                    return _Trip(self, None, seat, aboard)
                self._flights[key] = fresh
                return _Trip(self, fresh, seat, aboard)
            if aboard and flight.leads_to(aboard):
                raise RecursionError(f"{self.name} waits for its own result")
            seat = make_seat()
            flight.waiting[seat] = None
            for other in aboard:
                other.waits_for.append(flight)
            return _Trip(self, flight, seat, aboard)

    def land(self, flight: _Flight | None, seat: _Seat) -> None:
        """End a flight with what its leader has, and keep the value unless all was forgotten meanwhile."""
        if flight is None:
            return
        with _LOCK:
            waiting = list(flight.waiting)
            flight.waiting.clear()
            flight.leader = None
            for other in waiting:
                other.value, other.error = seat.value, seat.error
            try:
                if self._flights.get(flight.key) is flight:
                    del self._flights[flight.key]
                    if seat.error is None:
                        self._keep(flight.key, seat.value)
            finally:
                for other in waiting:
                    other.wake()

    def leave(self, flight: _Flight, seat: _Seat) -> None:
        """Give up a seat. If it was the leader's, the one who has waited longest leads from now on."""
        with _LOCK:
            flight.waiting.pop(seat, None)
            if flight.leader is not seat:
                return
            while flight.waiting:
                flight.leader = next(iter(flight.waiting))
                del flight.waiting[flight.leader]
                if flight.leader.wake():
                    return
            flight.leader = None
            if self._flights.get(flight.key) is flight:
                del self._flights[flight.key]
