"""A script of faults for a simulated venue: the same seed, the same faults in the same order."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

import anyio
import attrs

from bt_api_base._cli.runtime import CommandError, wait_until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from bt_api_base._cli.log import EventLog
    from bt_api_base._cli.tally import TallyBook
    from bt_api_base.testing import SimulatedVenue
    from bt_api_base.testing.venue_records import VenueSession

__all__ = ("Chaos", "StreamWatch")

_CALM = (0.2, 0.5)
_DEAD = 0.4
_GARBAGE_FRAMES = 5
_NOTICE = 2.0
"""Seconds in which the client can have another connection take over."""
_SHORT_NOTICE = 0.1
"""Seconds in which it cannot."""


@attrs.define(eq=False)
class StreamWatch:
    """Knows whether every stream brings data.

    Attributes:
        book: The client's account.
        sessions: The venue's record of connections.
        streams: The streams there should be, by the venue's names.
        patience: Seconds within which they have to come back.
    """

    book: TallyBook
    sessions: Sequence[VenueSession]
    streams: frozenset[str]
    patience: float = 10.0

    @property
    def newest(self) -> int:
        """Number of the venue's newest connection, 0 before the first."""
        return len(self.sessions)

    async def wait_back(self, *, after: int = 0) -> None:
        """Wait until every stream has brought data over one connection that is open.

        Args:
            after: Number of the venue's connection that does not count, nor any before it.

        Raises:
            CommandError: They have not come back in time; names those that are missing.

        Cancellation: nothing changes.
        """

        def missing() -> frozenset[str]:
            there = (session for session in self.sessions[after:] if session.closed_at is None)
            ids = (self.book.attempt_of(session.target).ids for session in there)
            return min((self.streams - those.keys() for those in ids), key=len, default=self.streams)

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
        for text, replaces, fault in self._script():
            await anyio.sleep(self._random.uniform(*_CALM))
            newest = self.watch.newest
            self.faults += 1
            self.log.add(time.time_ns(), "info", text, name="chaos")
            await fault()
            await self.watch.wait_back(after=newest if replaces else 0)

    def _script(self) -> Iterator[tuple[str, bool, Callable[[], Awaitable[object]]]]:
        """Yield each fault: what it is, whether another connection follows, and how it is done. Without end."""
        faults: list[tuple[str, bool, Callable[[], Awaitable[object]]]] = [
            ("the venue resets the connection", True, self.venue.disconnect_all),
            ("the venue closes the connection", True, self._close),
            (f"the venue is dead for {_DEAD:g} s", True, self._kill),
            (f"the venue sends {_GARBAGE_FRAMES} frames of garbage", False, self._garbage),
            (f"the venue is silent for {self._stall_seconds:g} s", True, self._stall),
            (f"the venue announces its shutdown, {_NOTICE:g} s ahead", True, self._announce),
            (f"the venue announces its shutdown, {_SHORT_NOTICE:g} s ahead", True, self._announce_late),
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
        self.venue.shutdown_notice(_NOTICE)

    async def _announce_late(self) -> None:
        self.venue.shutdown_notice(_SHORT_NOTICE, abort=True)
