"""What a faulty proxy has still to do: the rest of its script, the faults that wait for frames, and its log."""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING

import anyio
import attrs

from bt_api_base.testing.proxy_faults import (
    Corrupt,
    CutFrame,
    Direction,
    Drop,
    Duplicate,
    Fault,
    ProxyEvent,
    ProxyEventKind,
    Reorder,
    Step,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bt_api_base.testing.proxy_faults import FrameFault
    from bt_api_base.testing.proxy_pipe import Pipe


@attrs.define(eq=False)
class Script:
    """The steps of a script that have not happened yet."""

    _steps: list[Step]
    connections: int = attrs.field(default=0, init=False)
    """Connections accepted."""
    bytes: Counter[Direction] = attrs.field(factory=Counter[Direction], init=False)
    """Bytes that came, each way."""
    frames: Counter[Direction] = attrs.field(factory=Counter[Direction], init=False)
    """Data frames that came, each way."""

    def timed(self) -> list[tuple[float, Step]]:
        """Return the steps at times, the first one first."""
        timed = [(step.when.seconds, step) for step in self._steps if step.when.seconds is not None]
        return sorted(timed, key=lambda item: item[0])

    def due(self) -> Iterator[Step]:
        """Take the steps whose moment, other than a time, has come."""
        due = [step for step in self._steps if self._is_due(step)]
        if due:
            self._steps = [step for step in self._steps if step not in due]
        yield from due

    def _is_due(self, step: Step) -> bool:
        when = step.when
        if when.connections is not None:
            return when.connections <= self.connections
        if when.bytes is not None:
            return when.bytes <= self.bytes[when.direction]
        return when.frames is not None and when.frames <= self.frames[when.direction]

    def room_bytes(self, direction: Direction) -> int | None:
        """Return how many bytes may pass before the next moment that is counted in bytes; None for no such moment."""
        came = self.bytes[direction]
        moments = [
            step.when.bytes for step in self._steps if step.when.bytes is not None and step.when.direction is direction
        ]
        return max(1, min(moments) - came) if moments else None


@attrs.define(eq=False)
class _Armed:
    """A fault that waits for frames."""

    fault: FrameFault
    left: int | None


@attrs.define(eq=False)
class FaultBoard:
    """What the connections of a proxy ask and tell: a `bt_api_base.testing.proxy_pipe.PipeWatcher`."""

    script: Script
    log: deque[ProxyEvent]
    apply: Callable[[Fault, Pipe | None], None]
    """Does what the script says: the fault, and where its moment came if it was one of bytes or frames."""
    started: float = 0.0
    """When the proxy started, on the event loop's clock."""
    _armed: list[_Armed] = attrs.field(factory=list[_Armed], init=False)
    _corruptions: list[Corrupt] = attrs.field(factory=list[Corrupt], init=False)

    def arm(self, fault: Drop | Duplicate | Reorder | CutFrame | Corrupt) -> None:
        """Let a fault wait for what it is to happen to."""
        if isinstance(fault, Corrupt):
            self._corruptions.append(fault)
        else:
            self._armed.append(_Armed(fault, 1 if isinstance(fault, CutFrame) else fault.frames))

    def disarm(self) -> None:
        """Forget what waits."""
        self._armed.clear()
        self._corruptions.clear()

    def advance(self, origin: Pipe | None = None) -> None:
        """Do what the script has for now."""
        for step in self.script.due():
            self.apply(step.fault, origin)

    def frame_fault(self, pipe: Pipe) -> FrameFault | None:
        """Return what is to become of the next data frame; None if nothing is armed for it."""
        for armed in self._armed:
            fault = armed.fault
            if pipe.direction not in fault.direction or fault.connection not in {None, pipe.number}:
                continue
            if not isinstance(fault, CutFrame) and fault.chance < 1 and pipe.rng.random() >= fault.chance:
                continue
            if armed.left is not None:
                armed.left -= 1
                if not armed.left:
                    self._armed.remove(armed)
            return fault
        return None

    def corruption(self, pipe: Pipe) -> Corrupt | None:
        """Return what is to be flipped in the next bytes; None if nothing is armed."""
        for fault in self._corruptions:
            if pipe.direction in fault.direction and fault.connection in {None, pipe.number}:
                self._corruptions.remove(fault)
                return fault
        return None

    def room_bytes(self, pipe: Pipe) -> int | None:
        """Return how many bytes may pass before a moment of the script; None if there is none to come."""
        return self.script.room_bytes(pipe.direction)

    def passed(self, pipe: Pipe, count: int) -> None:
        """Take note that bytes came."""
        self.script.bytes[pipe.direction] += count
        self.advance(pipe)

    def framed(self, pipe: Pipe) -> None:
        """Take note that a data frame came."""
        self.script.frames[pipe.direction] += 1
        self.advance(pipe)

    def note(
        self,
        kind: ProxyEventKind,
        connection: int = 0,
        direction: Direction | None = None,
        *,
        frame: int | None = None,
        payload: bytes = b"",
        detail: str = "",
    ) -> None:
        """Add a line to the log."""
        seconds = anyio.current_time() - self.started
        self.log.append(ProxyEvent(kind, seconds, connection, direction, frame, payload, detail))


__all__ = ("FaultBoard", "Script")
