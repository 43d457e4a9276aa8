"""Who gets a connection to a simulated venue: limits of attempts and connections, bans, and refusals on request.

It knows clients by their address, as a venue does. All clients on loopback have the same one, and all in memory, too.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final

import attrs
import msgspec

from bt_api_base.testing.peer import HandshakeRefusal

TOO_MANY: Final = 429
"""HTTP status of one attempt or connection too many."""

BANNED: Final = 418
"""HTTP status for an address that is banned, as Binance uses it."""


class RefusedHandshake(msgspec.Struct, frozen=True):
    """A handshake that was refused.

    Attributes:
        at: When, on the event loop's clock.
        host: The client's address.
        target: Path and query.
        status: The HTTP status of the answer.
        retry_after: Seconds that the client was told to wait; None if it was told nothing.
    """

    at: float
    host: str
    target: str
    status: int
    retry_after: int | None


@attrs.define(eq=False, kw_only=True)
class Doorkeeper:
    """Decides about handshakes. Durations are seconds."""

    max_connects: int | None = None
    """Attempts to connect that an address has in `connect_window`; None for no limit."""
    connect_window: float = 300.0
    """What attempts are counted over."""
    max_connections: int | None = None
    """Connections that an address can have at a time; None for no limit."""
    offences_until_ban: int | None = None
    """Connections closed for too many messages before their address is banned; None for no bans."""
    ban_time: float = 120.0
    """How long a ban lasts."""
    refused: list[RefusedHandshake] = attrs.field(factory=list[RefusedHandshake])
    """All handshakes that were refused, the oldest first."""
    _attempts: dict[str, deque[float]] = attrs.field(factory=dict[str, deque[float]])
    _offences: dict[str, int] = attrs.field(factory=dict[str, int])
    _bans: dict[str, tuple[float, int]] = attrs.field(factory=dict[str, tuple[float, int]])
    _refusal: HandshakeRefusal | None = None
    _refusals_left: int | None = 0

    def refuse(self, refusal: HandshakeRefusal, count: int | None) -> None:
        """Refuse the next handshakes, whoever they are from.

        Args:
            refusal: The answer.
            count: How many; None for all from now on, 0 for none.
        """
        self._refusal, self._refusals_left = refusal, count

    def ban(self, host: str, until: float, status: int = BANNED) -> None:
        """Refuse an address.

        Args:
            host: The address.
            until: To when, on the event loop's clock.
            status: The HTTP status of the answer.
        """
        self._bans[host] = (until, status)

    def note_offence(self, host: str, now: float) -> bool:
        """Count a connection that was closed for too many messages.

        Args:
            host: Its client's address.
            now: The time on the event loop's clock.

        Returns:
            Whether the address is banned for it.
        """
        offences = self._offences.get(host, 0) + 1
        banned = self.offences_until_ban is not None and offences >= self.offences_until_ban
        self._offences[host] = 0 if banned else offences
        if banned:
            self.ban(host, now + self.ban_time)
        return banned

    def decide(self, host: str, target: str, connections: int, now: float) -> HandshakeRefusal | None:
        """Return why a handshake is refused, or None. A refusal is recorded.

        Args:
            host: The client's address.
            target: Path and query.
            connections: How many connections the address has.
            now: The time on the event loop's clock.
        """
        refusal = self._reason(host, connections, now)
        if refusal is not None:
            self.refused.append(RefusedHandshake(now, host, target, refusal.status, refusal.retry_after))
        return refusal

    def _reason(self, host: str, connections: int, now: float) -> HandshakeRefusal | None:
        until, status = self._bans.get(host, (-math.inf, BANNED))
        if now < until:
            return HandshakeRefusal(status, "Banned", math.ceil(until - now))
        if self.max_connects is not None:
            attempts = self._attempts.setdefault(host, deque())
            while attempts and attempts[0] <= now - self.connect_window:
                attempts.popleft()
            if len(attempts) >= self.max_connects:
                # Assumed: an attempt that is refused for the limit does not count against it.
                return HandshakeRefusal(
                    TOO_MANY, "Too many connection attempts", math.ceil(attempts[0] + self.connect_window - now)
                )
            attempts.append(now)
        if self._refusal is not None and self._refusals_left != 0:
            if self._refusals_left is not None:
                self._refusals_left -= 1
            return self._refusal
        if self.max_connections is not None and connections >= self.max_connections:
            return HandshakeRefusal(TOO_MANY, "Too many connections")
        return None


__all__ = ("BANNED", "TOO_MANY", "Doorkeeper", "RefusedHandshake")
