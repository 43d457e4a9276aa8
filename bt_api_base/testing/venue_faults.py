"""The faults of a simulated venue that concern requests and streams: what is armed, and what it does next.

A venue's methods arm them; the dialect asks `RequestFaults` before something succeeds.
"""

from __future__ import annotations

from collections import deque

import attrs
import msgspec


class Refused(msgspec.Struct, frozen=True):
    """Why something is refused, in the venue's own terms.

    Attributes:
        code: The venue's code; text where the venue has text. None for the dialect's usual one.
        message: The venue's words; empty for the dialect's usual ones.
    """

    code: int | str | None = None
    message: str = ""


@attrs.define(eq=False)
class RequestFaults:
    """What a dialect asks before it lets a request succeed. Asking uses an armed fault up."""

    _logins: deque[Refused] = attrs.field(factory=deque[Refused])
    _streams: dict[str, deque[Refused]] = attrs.field(factory=dict[str, deque[Refused]])
    _withheld_acks: int = 0
    _ack_delay: float = 0.0
    _delayed_acks: int | None = 0
    _ignored: dict[str, int] = attrs.field(factory=dict[str, int])

    def login_refusal(self) -> Refused | None:
        """Return why a log-in that is correct is refused all the same, or None."""
        return self._logins.popleft() if self._logins else None

    def stream_refusal(self, stream: str) -> Refused | None:
        """Return why a request for a stream is refused, or None.

        Args:
            stream: The stream's name.
        """
        armed = self._streams.get(stream)
        return armed.popleft() if armed else None

    def is_ignored(self, stream: str) -> bool:
        """Tell whether a request for a stream is to go unheeded: not subscribed to, and no error either.

        Args:
            stream: The stream's name.
        """
        left = self._ignored.get(stream, 0)
        if left:
            self._ignored[stream] = left - 1
        return left > 0

    def withholds_ack(self) -> bool:
        """Tell whether the next acknowledgement is not to be sent."""
        if not self._withheld_acks:
            return False
        self._withheld_acks -= 1
        return True

    def ack_delay(self) -> float:
        """Return how many seconds late the next acknowledgement is."""
        if self._delayed_acks is None:
            return self._ack_delay
        if not self._delayed_acks:
            return 0.0
        self._delayed_acks -= 1
        return self._ack_delay

    def withhold_acks(self, count: int) -> None:
        """Withhold the next acknowledgements.

        Args:
            count: How many; 0 for none any more.
        """
        self._withheld_acks = count

    def delay_acks(self, seconds: float, count: int | None) -> None:
        """Send the next acknowledgements late.

        Args:
            seconds: How late.
            count: How many; None for all from now on, 0 for none any more.
        """
        self._ack_delay, self._delayed_acks = seconds, count

    def refuse_logins(self, refused: Refused, count: int) -> None:
        """Refuse the next log-ins.

        Args:
            refused: Why.
            count: How many.
        """
        self._logins.extend([refused] * count)

    def refuse_stream(self, stream: str, refused: Refused, count: int) -> None:
        """Refuse the next requests for a stream.

        Args:
            stream: The stream's name.
            refused: Why.
            count: How many.
        """
        self._streams.setdefault(stream, deque()).extend([refused] * count)

    def ignore_stream(self, stream: str, count: int) -> None:
        """Let the next requests for a stream go unheeded.

        Args:
            stream: The stream's name.
            count: How many.
        """
        self._ignored[stream] = self._ignored.get(stream, 0) + count


__all__ = ("Refused", "RequestFaults")
