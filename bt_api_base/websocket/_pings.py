"""Pings that wait for their answers (RFC 6455, 5.5.2 and 5.5.3)."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import anyio
import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable


def ping_payload(payload: bytes | None) -> bytes:
    """Return the payload of a ping: the given one, or one that no other ping has.

    Raises:
        ValueError: It is longer than a control frame may be.
    """
    if payload is None:
        return secrets.token_bytes(4)
    if len(payload) > 125:
        raise ValueError("a ping's payload must fit into 125 bytes")
    return payload


@attrs.define(eq=False)
class Ping:
    """A ping that was sent, and what came of it."""

    payload: bytes
    sent_at: float
    settled: anyio.Event = attrs.field(factory=anyio.Event)
    round_trip: float | None = None


@attrs.define(eq=False)
class Pings:
    """The pings of a connection, in the order in which they were sent.

    Attributes:
        count: Pings sent.
        answers: Pongs received, unsolicited ones included.
    """

    count: int = 0
    answers: int = 0
    _waiting: list[Ping] = attrs.field(factory=list[Ping])

    def sent(self, payload: bytes) -> Ping:
        """Register a ping that is being sent now."""
        ping = Ping(payload, anyio.current_time())
        self._waiting.append(ping)
        self.count += 1
        return ping

    def answered(self, payloads: Iterable[bytes]) -> None:
        """Settle the pings that these pongs answer; a pong that answers none is ignored."""
        now = anyio.current_time()
        for payload in payloads:
            self.answers += 1
            for index, ping in enumerate(self._waiting):
                if ping.payload == payload:
                    # RFC 6455, 5.5.3: a peer may answer only the most recent of several pings.
                    for settled in self._waiting[: index + 1]:
                        settled.round_trip = now - settled.sent_at
                        settled.settled.set()
                    del self._waiting[: index + 1]
                    break

    async def wait(self, ping: Ping) -> float | None:
        """Wait for the answer and return the seconds it took; ``None``: none will come.

        Cancellation:
            The ping is forgotten.
        """
        try:
            await ping.settled.wait()
        finally:
            self.forget(ping)
        return ping.round_trip

    def forget(self, ping: Ping) -> None:
        """Give up waiting for an answer."""
        if ping in self._waiting:
            self._waiting.remove(ping)

    def end(self) -> None:
        """The connection has ended: wake all who wait."""
        for ping in self._waiting:
            ping.settled.set()
        self._waiting.clear()


__all__ = ("Ping", "Pings", "ping_payload")
