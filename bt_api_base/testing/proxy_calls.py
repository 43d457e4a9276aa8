"""The faults of a proxy as methods: what `bt_api_base.testing.proxy_faults` has as data."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from bt_api_base.testing.proxy_faults import (
    Accept,
    AcceptThenClose,
    Corrupt,
    CutFrame,
    Delay,
    Direction,
    Drop,
    Duplicate,
    HalfClose,
    Refuse,
    Reorder,
    Reset,
    Stall,
    Throttle,
)

if TYPE_CHECKING:
    from bt_api_base.testing.proxy_faults import Fault


class FaultCalls(ABC):
    """A method for each fault. They take effect at once, and none of them waits."""

    @abstractmethod
    def apply(self, fault: Fault) -> None:
        """Do what a fault says."""

    def refuse(self, seconds: float | None = None) -> None:
        """Refuse connections; see `Refuse`."""
        self.apply(Refuse(seconds))

    def accept(self) -> None:
        """Accept connections again; see `Accept`."""
        self.apply(Accept())

    def accept_then_close(self, connections: int | None = 1) -> None:
        """Accept the next connections and close them at once; see `AcceptThenClose`."""
        self.apply(AcceptThenClose(connections))

    def reset(self, *, connection: int | None = None) -> None:
        """Reset the connections there are; see `Reset`."""
        self.apply(Reset(connection=connection))

    def half_close(self, direction: Direction = Direction.TO_CLIENT, *, connection: int | None = None) -> None:
        """End one way of the connections there are; see `HalfClose`."""
        self.apply(HalfClose(direction, connection=connection))

    def stall(self, seconds: float, direction: Direction = Direction.BOTH, *, connection: int | None = None) -> None:
        """Let nothing through for a time; see `Stall`."""
        self.apply(Stall(seconds, direction, connection=connection))

    def throttle(
        self, bytes_per_second: float | None, direction: Direction = Direction.BOTH, *, connection: int | None = None
    ) -> None:
        """Let through so many bytes a second; see `Throttle`."""
        self.apply(Throttle(bytes_per_second, direction, connection=connection))

    def delay(
        self,
        seconds: float,
        direction: Direction = Direction.BOTH,
        *,
        jitter: float = 0.0,
        connection: int | None = None,
    ) -> None:
        """Let everything arrive later; see `Delay`."""
        self.apply(Delay(seconds, direction, jitter, connection=connection))

    def drop(
        self,
        frames: int | None = 1,
        *,
        chance: float = 1.0,
        direction: Direction = Direction.TO_CLIENT,
        connection: int | None = None,
    ) -> None:
        """Drop data frames; see `Drop`."""
        self.apply(Drop(frames, chance, direction, connection=connection))

    def duplicate(
        self,
        frames: int | None = 1,
        *,
        chance: float = 1.0,
        direction: Direction = Direction.TO_CLIENT,
        connection: int | None = None,
    ) -> None:
        """Send data frames twice; see `Duplicate`."""
        self.apply(Duplicate(frames, chance, direction, connection=connection))

    def reorder(
        self,
        frames: int | None = 1,
        *,
        distance: int = 1,
        patience: float = 0.5,
        chance: float = 1.0,
        direction: Direction = Direction.TO_CLIENT,
        connection: int | None = None,
    ) -> None:
        """Send data frames after later ones; see `Reorder`."""
        self.apply(Reorder(frames, distance, patience, chance, direction, connection=connection))

    def corrupt(
        self,
        count: int = 1,
        *,
        span_bytes: int = 256,
        payload: bool = True,
        direction: Direction = Direction.TO_CLIENT,
        connection: int | None = None,
    ) -> None:
        """Flip a bit in each of some bytes; see `Corrupt`."""
        self.apply(Corrupt(count, span_bytes, payload, direction, connection=connection))

    def cut_frame(
        self,
        keep_bytes: int | None = None,
        *,
        reset: bool = True,
        direction: Direction = Direction.TO_CLIENT,
        connection: int | None = None,
    ) -> None:
        """Let only the beginning of the next data frame through; see `CutFrame`."""
        self.apply(CutFrame(keep_bytes, reset, direction, connection=connection))


__all__ = ("FaultCalls",)
