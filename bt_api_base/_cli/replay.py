"""``replay``: recorded frames, served on loopback and taken through connection, decoder, bus and view once more."""

from __future__ import annotations

from collections import deque
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import anyio
import attrs
import msgspec
from rich.console import Group
from rich.table import Column, Table
from rich.text import Text
from typing_extensions import override

from bt_api_base._cli.model import Progress, ViewModel
from bt_api_base._cli.pipeline import Pipeline, Wish
from bt_api_base._cli.runtime import EXIT_FAILURE, Backend, CommandError, Interrupts, interrupts
from bt_api_base._cli.screen import Screen, console
from bt_api_base._cli.tally import TallyAdapter, TallyBook
from bt_api_base._cli.view import connections_table, market_tables
from bt_api_base.containers import event_name
from bt_api_base.event_stream import Overflow
from bt_api_base.exceptions import DataParseError
from bt_api_base.testing.recorded_frames import ArrivalError, RecordedFrame, recorded_frames
from bt_api_base.testing.replay_venue import ReplayVenue
from bt_api_base.venues import stream_adapter
from bt_api_base.websocket.adapter import Channel, Decoded, Notice, StreamAdapter
from bt_api_base.websocket.config import WebSocketConfig

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from rich.console import RenderableType

__all__ = ("Recording", "ReplayAdapter", "ReplayBook", "ReplayOptions", "run_replay")

_SETTLE_TIMEOUT = 5.0
_MOST_WAITING = 50_000_000
"""Events that may wait for the view: more than come, as nothing may be dropped here."""


class _Named(msgspec.Struct):
    stream: str


_named_decoder = msgspec.json.Decoder(_Named)


@attrs.frozen(kw_only=True)
class ReplayOptions:
    """What to replay.

    Attributes:
        files: Files of frames.
        exchange_name: Venue and asset type that sent them.
        backend: The event loop, for the title.
        speed: How many times faster than recorded; ``None``: as fast as it goes.
        plain: Whether to write lines of text.
    """

    files: Sequence[Path]
    exchange_name: str
    backend: Backend
    speed: float | None
    plain: bool


# -- what there is to replay -----------------------------------------------------------------------


@attrs.define
class Recording:
    """Frames in files, looked through once.

    Attributes:
        files: The files.
        frames: Frames in them.
        channels: The channels they belong to, by the venue's name, in order of appearance.
    """

    files: Sequence[Path]
    frames: int = 0
    channels: dict[str, Channel] = attrs.field(factory=dict[str, Channel])

    @classmethod
    def scan(cls, files: Sequence[Path], adapter: StreamAdapter) -> Recording:
        """Find out what there is in files.

        A channel is named by its frames, or, where they do not say, by what the adapter makes of them.

        Args:
            files: The files.
            adapter: The venue's adapter.

        Raises:
            CommandError: A file cannot be read.
        """
        recording = cls(files)
        for frame in recording.read():
            recording.frames += 1
            try:
                named: str | None = _named_decoder.decode(frame.payload).stream
            except msgspec.DecodeError:
                named = None
            known = recording.channels.get(named) if named is not None else None
            if known is not None and known.symbol:
                continue
            try:
                key, items = adapter.decode_frame(frame.payload, 0)
            except DataParseError:
                key, items = None, ()
            name = named or key
            if name is None:
                continue
            if key is None or not items:
                # Whatever it is: it is subscribed to, so that it is served and seen.
                recording.channels.setdefault(name, Channel(name, "", name, f"unknown.{adapter.exchange_name}.{name}"))
            else:
                event: Any = items[0]
                recording.channels[name] = Channel(name, event.symbol, name, event_name(event))
        return recording

    def read(self) -> Iterator[RecordedFrame]:
        """Read the frames, in order.

        Raises:
            CommandError: A file cannot be read.
        """
        try:
            yield from recorded_frames(*self.files)
        except OSError as error:
            raise CommandError(f"cannot read {error.filename}: {error.strerror}") from error
        except ArrivalError as error:
            raise CommandError(str(error)) from error


@attrs.define(eq=False)
class ReplayBook(TallyBook):
    """What is served and received of a recording, over however many connections.

    Attributes:
        recording: What is replayed.
        received: Recorded frames received.
        own_frames: Frames received besides, which answer our own requests.
        all_received: Set with the last frame.
    """

    recording: Recording
    received: int = 0
    own_frames: int = 0
    all_received: anyio.Event = attrs.field(factory=anyio.Event)
    _times: deque[int] = attrs.field(factory=deque[int])

    def serve(self) -> Iterator[RecordedFrame]:
        """Yield the frames for the venue, remembering when each was recorded."""
        for frame in self.recording.read():
            self._times.append(0 if frame.time is None else int(frame.time * 1e9))
            yield frame

    def receive(self) -> int:
        """Count a recorded frame, and return when it was recorded; 0 if that is not known."""
        self.received += 1
        if self.received == self.recording.frames:
            self.all_received.set()
        return self._times.popleft() if self._times else 0


class ReplayAdapter(TallyAdapter):
    """Decodes recorded frames as of the time they were recorded, and knows their channels by name.

    Args:
        inner: The venue's adapter.
        book: Where it counts, and what knows the recording.
    """

    def __init__(self, inner: StreamAdapter, book: ReplayBook) -> None:
        super().__init__(inner, book)
        self._replay = book
        self._unanswered = 0

    @override
    def channel(self, topic: str, symbol: str, params: Mapping[str, Any] | None = None) -> Channel:
        return self._replay.recording.channels[topic]

    @override
    def subscribe_frame(self, request_id: int, channels: Sequence[Channel]) -> str:
        self._unanswered += 1
        return super().subscribe_frame(request_id, channels)

    @override
    def decode_frame(self, frame: bytes | str, local_time: int) -> Decoded:
        if self._unanswered:
            # The replay begins when all channels are subscribed to, so the answers come before anything recorded.
            self._unanswered -= 1
            self._replay.own_frames += 1
            return super().decode_frame(frame, local_time)
        key, items = decoded = super().decode_frame(frame, self._replay.receive())
        if key is None and any(isinstance(item, Notice) for item in items):
            # The venue that said so is long gone: its last words must not end this connection.
            return None, [msgspec.structs.replace(i, closing=False) if isinstance(i, Notice) else i for i in items]
        return decoded


# -- the command -----------------------------------------------------------------------------------


async def run_replay(options: ReplayOptions) -> int:
    """Replay a recording.

    Returns:
        The exit status: 1 if a frame is not accounted for.

    Raises:
        CommandError: A file cannot be read.

    Cancellation: ends the replay.
    """
    adapter = stream_adapter(options.exchange_name)
    recording = Recording.scan(options.files, adapter)
    if not any(channel.symbol for channel in recording.channels.values()):
        files = ", ".join(map(str, options.files))
        raise CommandError(f"no market data of {adapter.exchange_name} in {files} (frames: {recording.frames:,})")
    if len(recording.channels) > adapter.limits.max_channels_per_connection:
        raise CommandError(
            f"{len(recording.channels)} channels are more than one connection carries"
            f" ({adapter.limits.max_channels_per_connection}): replay fewer files at a time"
        )
    count = len(options.files)
    speed = "max" if options.speed is None else f"{options.speed:g}x"
    title = f"bt-api replay: {count} file{'s' * (count != 1)} at speed {speed} on {options.backend}"
    model = ViewModel(title=title, live=False, progress=Progress(0, recording.frames))
    for channel in recording.channels.values():
        if channel.symbol:
            model.add_symbol(adapter.exchange_name, channel.symbol)
    async with AsyncExitStack() as stack:
        stop = await stack.enter_async_context(interrupts())
        book = ReplayBook(recording)
        venue = await stack.enter_async_context(
            ReplayVenue(
                book.serve(),
                speed=options.speed,
                start_after=len(recording.channels),
                exchange_name=adapter.exchange_name,
                max_messages_per_second=None,
            )
        )
        config = WebSocketConfig(
            venue.url,
            adapter.exchange_name,
            compression=False,
            stale_after=None,
            reconnect_interval=0.1,
            # A recording may be silent for as long as it likes, and no request is to come between its frames.
            quiet_after=dict.fromkeys(recording.channels, 0.0),
        )
        pipeline = await stack.enter_async_context(
            Pipeline.open(
                model,
                config,
                # A new one: the one above has learned from the frames already, a connection's has not.
                lambda: ReplayAdapter(stream_adapter(options.exchange_name), book),
                overflow=Overflow.BLOCK,
                buffer_size=_MOST_WAITING,
            )
        )
        screen = Screen(model, console(), pipeline.poll, plain=options.plain)
        replay = _Replay(book, venue, pipeline, screen)
        finished = await replay.play(stop)
        replay.show_progress()
        screen.refresh()
        agrees, account = replay.account(finished=finished)
    screen.finish(market_tables(model, width=screen.out.width), connections_table(model), account)
    if not finished:
        return stop.exit_status(bounded=True)
    return stop.exit_status(bounded=True) if agrees else EXIT_FAILURE


@attrs.define(eq=False)
class _Replay:
    """The parts of a running replay."""

    book: ReplayBook
    venue: ReplayVenue
    pipeline: Pipeline
    screen: Screen

    async def play(self, stop: Interrupts) -> bool:
        """Play the recording; return whether it came to its end."""
        finished = False
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._follow)
            tasks.start_soon(self.screen.run)
            finished = await stop.run_until(None, self._play)
            await self.pipeline.drain()
            tasks.cancel_scope.cancel()
        return finished

    async def _play(self) -> None:
        await self.pipeline.subscribe([Wish(key, "") for key in self.book.recording.channels])
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._give_up)
            await self.book.all_received.wait()
            tasks.cancel_scope.cancel()
        self.pipeline.stop_watching()

    async def _give_up(self) -> None:
        """Wait no longer for frames that should have come by now."""
        await self.venue.wait_finished()
        await anyio.sleep(_SETTLE_TIMEOUT)
        self.book.all_received.set()

    async def _follow(self) -> None:
        while True:
            self.show_progress()
            await anyio.sleep(0.1)

    def show_progress(self) -> None:
        """Tell the model how far it has come."""
        self.screen.model.progress = Progress(self.book.received, self.book.recording.frames)

    def account(self, *, finished: bool) -> tuple[bool, RenderableType]:
        """Account for every frame of the recording.

        Returns:
            Whether it adds up, and the account.
        """
        flow, model, book = self.screen.model.flow, self.screen.model, self.book
        recorded = book.recording.frames
        rejected = flow.bad_frames
        control = flow.control_frames - book.own_frames
        rows = [
            ("in the files", recorded),
            ("served", self.venue.frames_sent),
            ("not served, nobody subscribed", self.venue.frames_skipped),
            ("received", book.received),
            ("of these data", flow.data_frames),
            ("of these control, or of no known kind", control),
            ("of these bad", rejected),
            ("of these for nobody", flow.unrouted_frames),
            ("besides, answers to subscriptions", book.own_frames),
        ]
        table = Table.grid(Column(style="dim"), Column(justify="right"), padding=(0, 3, 0, 0))
        for name, number in rows:
            table.add_row(name, f"{number:,}")
        problems: list[str] = []
        if self.venue.frames_sent + self.venue.frames_skipped != recorded:
            problems.append("not every frame was served")
        if book.received != self.venue.frames_sent:
            problems.append("not every frame that was served arrived")
        if flow.data_frames + control + rejected + flow.unrouted_frames != book.received:
            problems.append("data, control, bad and unrouted frames are not all frames")
        if book.events != model.events + flow.duplicates + flow.abandoned or flow.dropped:
            problems.append(f"{book.events:,} events were decoded and {model.events:,} reached the view")
        if not finished:
            verdict = Text(f"interrupted after {book.received:,} of {recorded:,} frames", "yellow")
        elif problems:
            verdict = Text.assemble(("MISMATCH", "bold red"), ": ", "; ".join(problems))
        else:
            verdict = Text.assemble(
                ("verified", "bold green"),
                f": every one of {recorded:,} frames is accounted for, {model.events:,} events",
            )
        return not problems, Group(Text("\nframes", style="bold"), table, Text(), verdict)
