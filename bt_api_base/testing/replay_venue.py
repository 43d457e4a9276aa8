"""A venue that plays recorded frames back: on loopback, in Binance's dialect, in the order of the recording.

Clients connect and subscribe as they do to the venue itself; each frame goes to those who listen to its stream.

Example:
    ```python
    async with ReplayVenue(recorded_frames("trade.jsonl"), start_after=1) as venue:
        ...  # connect to venue.url and subscribe to one stream
        await venue.wait_finished()
    ```
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import anyio
import anyio.lowlevel
import msgspec
from typing_extensions import Unpack, override

from bt_api_base.testing.binance_dialect import BinanceDialect, BinanceForm
from bt_api_base.testing.peer import text_frame
from bt_api_base.testing.recorded_frames import RecordedFrame
from bt_api_base.testing.venue import Venue
from bt_api_base.testing.venue_records import StreamRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from anyio.abc import TaskGroup

    from bt_api_base.testing.dialect import Event, Form
    from bt_api_base.testing.venue_connection import VenueConnection
    from bt_api_base.testing.venue_options import VenueOptions

_FRAMES_PER_TURN: Final = 256
_MOST_PENDING_BYTES: Final = 262_144
_LONGEST_PAUSE: Final = 60.0
"""Recorded seconds without a frame that are kept; what is longer lies between two recordings and is skipped."""

_RAW: Final = ""
"""Name under which frames without the name of a stream are recorded."""


_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What the decoder raises for bytes that are no JSON of the wanted form: recordings may hold such frames."""


class _Combined(msgspec.Struct):
    stream: str
    data: msgspec.Raw


class _Stamped(msgspec.Struct):
    event_time: int | None = msgspec.field(name="E", default=None)


_combined_decoder = msgspec.json.Decoder(_Combined)
_stamped_decoder = msgspec.json.Decoder(_Stamped)


class _RecordedDialect(BinanceDialect):
    """Binance's dialect, with events that make a whole payload from the form: as it was recorded, to the byte."""

    @override
    def payload(self, stream: str, form: Form, event: Event) -> bytes:
        return event if isinstance(event, bytes) else event(form)


class ReplayVenue(Venue):
    """Recorded frames behind Binance's spot market streams.

    A frame goes, as it was recorded, to every connection that listens to its stream; one in the form of a raw stream,
    which does not tell its name, to the oldest connection. The venue never goes faster than its clients read, and when
    a stream has lost its listener, it waits for the next. At the end it closes the connections with code 1000.

    Args:
        frames: What to send, in order. Read one by one as they are sent.
        speed: How many times faster than recorded; None for as fast as the clients read. Frames whose time of arrival
            is not known are timed by the venue's own stamp in them, or follow the one before at once.
        start_after: Number of streams that must be subscribed to before it starts by itself; None to wait for
            `start_replay`.
        seed: What random faults follow from.
        exchange_name: Venue and asset type it stands in for.
        **options: See `bt_api_base.testing.venue_options.VenueOptions`.

    Raises:
        ValueError: The speed is not positive.
    """

    def __init__(
        self,
        frames: Iterable[RecordedFrame | bytes | str],
        *,
        speed: float | None = None,
        start_after: int | None = None,
        seed: int = 1,
        exchange_name: str = "BINANCE___SPOT",
        **options: Unpack[VenueOptions],
    ) -> None:
        super().__init__(_RecordedDialect(), exchange_name=exchange_name, seed=seed, **options)
        if speed is not None and not speed > 0:
            raise ValueError(f"speed is {speed}, must be greater than 0 or None")
        self.frames_sent = 0
        """Frames that went to at least one connection."""
        self.frames_skipped = 0
        """Frames whose stream nobody had subscribed to."""
        self._frames = frames
        self._speed = speed
        self._start_after = start_after
        self._heard: set[str] = set()
        self._is_started = start_after == 0
        self._is_finished = False
        self._changed = anyio.Event()

    @property
    def ws_url(self) -> str:
        """Where to connect for raw streams, ``ws://127.0.0.1:port/ws``."""
        return self.url_of("/ws")

    @property
    def is_finished(self) -> bool:
        """Whether all frames have been sent and the connections closed."""
        return self._is_finished

    async def start_replay(self) -> None:
        """Start, whatever is subscribed to by now.

        Cancellation:
            Safe: it has started all the same.
        """
        self._is_started = True
        self._wake()
        await anyio.lowlevel.checkpoint()

    async def wait_finished(self) -> None:
        """Wait until all frames have been sent and the connections closed.

        Cancellation:
            Safe.
        """
        while not self._is_finished:
            await self._changed.wait()

    @override
    def _start(self, tasks: TaskGroup) -> None:
        tasks.start_soon(self._replay)

    @override
    def _subscribed(self, connection: VenueConnection, names: tuple[str, ...]) -> None:
        self._heard.update(names)
        if self._start_after is not None and len(self._heard) >= self._start_after:
            self._is_started = True
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    async def _replay(self) -> None:
        while not self._is_started:
            await self._changed.wait()
        due, last_time = anyio.current_time(), None
        for number, frame in enumerate(self._recorded(), start=1):
            combined = _combined(frame.payload)
            if self._speed is not None:
                time = _time(frame, combined)
                if time is not None and last_time is not None and 0 < time - last_time < _LONGEST_PAUSE:
                    due += (time - last_time) / self._speed
                last_time = last_time if time is None else time
                if due > anyio.current_time():
                    await anyio.sleep_until(due)
            elif number % _FRAMES_PER_TURN == 0:
                await anyio.lowlevel.checkpoint()
            await self._deliver(frame.payload, combined)
        await self.drain()
        await self.close_with(1000, "Replay finished")
        self._is_finished = True
        self._wake()

    def _recorded(self) -> Iterator[RecordedFrame]:
        for frame in self._frames:
            if isinstance(frame, RecordedFrame):
                yield frame
            else:
                yield RecordedFrame(frame.encode() if isinstance(frame, str) else frame)

    async def _deliver(self, payload: bytes, combined: _Combined | None) -> None:
        """Send a frame to whoever listens to its stream, as soon as somebody does and keeps up."""
        name = _RAW if combined is None else combined.stream
        if combined is not None and name not in self._heard:
            self.frames_skipped += 1
            return
        while True:
            await self._wait_not_silent()
            listeners = [connection for connection in self._listeners(name) if connection.peer.is_open]
            if not listeners:
                await self._changed.wait()
                continue
            busy = [listener for listener in listeners if listener.peer.pending_bytes > _MOST_PENDING_BYTES]
            if not busy:
                break
            await busy[0].peer.drain()
        if combined is None:
            (listener,) = listeners
            listener.session.streams.setdefault(name, StreamRecord(name))
            listener.send(name, text_frame(payload), None)
        else:
            self._publish(self._feeds[name], None, partial(_payload, payload, combined))
        self.frames_sent += 1

    def _listeners(self, name: str) -> Iterator[VenueConnection]:
        if name == _RAW:
            yield from list(self._connections)[:1]
        elif name in self._feeds:
            for group in self._feeds[name].groups.values():
                yield from group


def _payload(payload: bytes, combined: _Combined, form: BinanceForm) -> bytes:
    """Return a recorded frame in the form in which a connection wants it."""
    return payload if form.combined else bytes(combined.data)


def _combined(payload: bytes) -> _Combined | None:
    """Return a frame of a combined stream taken apart, or None for any other."""
    try:
        return _combined_decoder.decode(payload)
    except _UNREADABLE:
        return None


def _time(frame: RecordedFrame, combined: _Combined | None) -> float | None:
    """Return when a frame arrived, or was stamped by the venue, in seconds; None if nothing tells."""
    if frame.time is not None:
        return frame.time
    try:
        event_time = _stamped_decoder.decode(frame.payload if combined is None else combined.data).event_time
    except _UNREADABLE:
        return None
    return None if event_time is None else event_time / 1_000


__all__ = ("ReplayVenue",)
