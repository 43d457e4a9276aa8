"""What can go wrong with a simulated venue's requests and streams, on request: methods of every venue.

A stream is given by the name that clients subscribe with. Faults for "the next" events are used up by events that
somebody would have got; several of them are used in the order in which they were armed.
"""

from __future__ import annotations

import math

import anyio

from bt_api_base.testing.stream_faults import Fate, StreamFaults, StreamNoise
from bt_api_base.testing.venue_core import VenueCore
from bt_api_base.testing.venue_faults import Refused


class StreamControls(VenueCore):
    """Breaks requests and single streams. Part of `bt_api_base.testing.venue.Venue`."""

    # What happens is not what is sent.

    def mute(self, stream: str, seconds: float | None = None, *, connection: int | None = None) -> None:
        """Send nothing of a stream, whoever subscribes to it, while requests for it are acknowledged as ever.

        Args:
            stream: The stream's name.
            seconds: For how long, from now; None until `unmute`.
            connection: Number of the only connection that it is for; None for all, those to come included.
        """
        until = math.inf if seconds is None else anyio.current_time() + seconds
        self._faults_of(stream).mute(until, connection)

    def unmute(self, stream: str) -> None:
        """Send a stream again.

        Args:
            stream: The stream's name.
        """
        self._faults_of(stream).unmute()

    def skip(self, stream: str, count: int = 1, *, connection: int | None = None) -> None:
        """Never send the next events of a stream: a gap in its sequence.

        Args:
            stream: The stream's name.
            count: How many events.
            connection: Number of the only connection that it is for; None for all.
        """
        self._faults_of(stream).arm(Fate.WITHHELD, count, connection=connection)

    def repeat(self, stream: str, count: int = 1, *, connection: int | None = None) -> None:
        """Send each of the next events of a stream twice.

        Args:
            stream: The stream's name.
            count: How many events.
            connection: Number of the only connection that it is for; None for all.
        """
        self._faults_of(stream).arm(Fate.REPEATED, count, connection=connection)

    def reorder(self, stream: str, count: int = 1, *, distance: int = 1, connection: int | None = None) -> None:
        """Send the next event of a stream after the one that follows it, and so on with those after them.

        Args:
            stream: The stream's name.
            count: How many events are sent too late.
            distance: How many events overtake each of them.
            connection: Number of the only connection that it is for; None for all.
        """
        self._faults_of(stream).arm(Fate.DISPLACED, count, distance=distance, connection=connection)

    def disturb(self, stream: str, *, skip: float = 0.0, repeat: float = 0.0, reorder: float = 0.0) -> None:
        """Let faults happen at random, which follow from the venue's seed and the stream; all 0 for none any more.

        Args:
            stream: The stream's name.
            skip: Probability that an event is never sent.
            repeat: Probability that an event is sent twice.
            reorder: Probability that an event is sent after one to three later ones.

        Raises:
            ValueError: They are no probabilities, or more than 1 together.
        """
        noise = StreamNoise(skip, repeat, reorder)
        self._faults_of(stream).noise = noise if skip or repeat or reorder else None

    # Requests that do not lead where they should.

    def withhold_acks(self, count: int = 1) -> None:
        """Do what is asked for, and never say so.

        Args:
            count: How many acknowledgements of subscriptions or log-ins are not sent; 0 for none any more.
        """
        self._request_faults.withhold_acks(count)

    def delay_acks(self, seconds: float, *, count: int | None = 1) -> None:
        """Do what is asked for, and say so late: data may come first.

        Args:
            seconds: How late.
            count: How many acknowledgements; None for all from now on, 0 for none any more.
        """
        self._request_faults.delay_acks(seconds, count)

    def refuse_logins(self, code: int | str | None = None, message: str = "", *, count: int = 1) -> None:
        """Refuse log-ins that are correct.

        Args:
            code: The venue's code; None for its code of a wrong key or signature.
            message: The venue's words; empty for its usual ones.
            count: How many log-ins.
        """
        self._request_faults.refuse_logins(Refused(code, message), count)

    def refuse_stream(self, stream: str, code: int | str | None = None, message: str = "", *, count: int = 1) -> None:
        """Refuse requests for a stream, on whatever connection; where a venue refuses requests as a whole, all of it.

        Args:
            stream: The stream's name.
            code: The venue's code; None for the usual one.
            message: The venue's words; empty for its usual ones.
            count: How many requests.
        """
        self._request_faults.refuse_stream(stream, Refused(code, message), count)

    def ignore_stream(self, stream: str, *, count: int = 1) -> None:
        """Let requests for a stream go unheeded: nothing is subscribed to, and nothing refused.

        A venue that acknowledges a request as a whole acknowledges it all the same; one that acknowledges each stream
        says nothing about this one.

        Args:
            stream: The stream's name.
            count: How many requests.
        """
        self._request_faults.ignore_stream(stream, count)

    def _faults_of(self, stream: str) -> StreamFaults:
        faults = self._stream_faults.get(stream)
        if faults is None:
            faults = self._stream_faults[stream] = StreamFaults(stream, self.seed)
        return faults


__all__ = ("StreamControls",)
