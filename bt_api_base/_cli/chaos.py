"""A script of faults for a simulated venue: the same seed, the same faults in the same order."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

import anyio
import attrs

from bt_api_base._cli.runtime import CommandError, wait_until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from bt_api_base._cli.log import EventLog
    from bt_api_base._cli.tally import TallyAdapter
    from bt_api_base.testing import SimulatedVenue

__all__ = ("Chaos", "StreamWatch")

_CALM = (0.2, 0.5)
_DEAD = 0.4
_GARBAGE_FRAMES = 5


@attrs.define(eq=False)
class StreamWatch:
    """Knows whether every stream brings data.

    Attributes:
        tally: The client's account.
        streams: The streams there should be, by the venue's names.
        patience: Seconds within which they have to come back.
    """

    tally: TallyAdapter
    streams: frozenset[str]
    patience: float = 10.0

    async def wait_back(self, *, after_attempt: int = 0) -> None:
        """Wait until every stream has brought data over one connection.

        Args:
            after_attempt: Number of the attempt to connect that does not count, nor any before it.

        Raises:
            CommandError: They have not come back in time; names those that are missing.

        Cancellation: nothing changes.
        """

        def missing() -> frozenset[str]:
            current = self.tally.current
            return self.streams if current.number <= after_attempt else self.streams - current.ids.keys()

        if not await wait_until(lambda: not missing(), self.patience):
            raise CommandError(f"streams did not come back within {self.patience:g} s: {', '.join(sorted(missing()))}")


@attrs.define(eq=False)
class Chaos:
    """Breaks a venue's connections again and again, in each way there is before any way comes twice in a round.

    Attributes:
        venue: Is broken.
        watch: Tells when every stream is back, which the next fault waits for.
        log: Is told about each fault.
        silence: Seconds of silence after which the client gives a connection up; a stall lasts half as long again.
        faults: Faults so far.
    """

    venue: SimulatedVenue
    watch: StreamWatch
    log: EventLog
    seed: int
    silence: float
    faults: int = 0
    _random: random.Random = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311 - a repeatable script, no secret

    async def run(self) -> None:
        """Do it.

        Raises:
            CommandError: A stream did not come back.

        Cancellation: the way it ends; a fault that is under way goes on until its time is over.
        """
        for text, breaks, fault in self._script():
            await anyio.sleep(self._random.uniform(*_CALM))
            attempt = self.watch.tally.current.number
            self.faults += 1
            self.log.add(time.time_ns(), "info", text, name="chaos")
            await fault()
            await self.watch.wait_back(after_attempt=attempt if breaks else attempt - 1)

    def _script(self) -> Iterator[tuple[str, bool, Callable[[], Awaitable[object]]]]:
        """Yield each fault: what it is, whether it ends the connection, and how it is done. Without end."""
        faults: list[tuple[str, bool, Callable[[], Awaitable[object]]]] = [
            ("the venue resets the connection", True, self.venue.disconnect_all),
            ("the venue closes the connection", True, self._close),
            (f"the venue is dead for {_DEAD:g} s", True, self._kill),
            (f"the venue sends {_GARBAGE_FRAMES} frames of garbage", False, self._garbage),
            (f"the venue is silent for {self._stall_seconds:g} s", True, self._stall),
            ("the venue announces its shutdown", True, self._announce),
        ]
        while True:
            yield from self._random.sample(faults, len(faults))

    @property
    def _stall_seconds(self) -> float:
        return 1.5 * self.silence

    async def _close(self) -> None:
        await self.venue.disconnect_all(abort=False)

    async def _kill(self) -> None:
        await self.venue.kill(_DEAD)

    async def _garbage(self) -> None:
        self.venue.send_garbage(_GARBAGE_FRAMES)

    async def _stall(self) -> None:
        self.venue.stall(self._stall_seconds)

    async def _announce(self) -> None:
        self.venue.shutdown_notice()
