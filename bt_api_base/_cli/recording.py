"""Recordings of raw frames: how they are written, found and read.

A recording is a file of one frame a line, exactly as it was received. Beside it, ``<name>.meta.jsonl`` has a line
``[seq, t]`` for each frame: its place in the recording, and when it was received, seconds since the epoch (UTC) with
nine decimals. A recording may be spread over several files with a common clock, for example one per channel.
"""

from __future__ import annotations

import heapq
import time
from contextlib import ExitStack
from typing import IO, TYPE_CHECKING

import anyio
import attrs
import msgspec

from bt_api_base._cli.runtime import CommandError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

__all__ = ("FrameRecorder", "RecordedFrame", "meta_path", "read_frames")

_FLUSH_INTERVAL = 0.25
_NS_PER_SECOND = 1_000_000_000


def meta_path(path: Path) -> Path:
    """Return where the times of a recording are: ``trades.meta.jsonl`` for ``trades.jsonl``."""
    return path.with_name(path.name.removesuffix(".jsonl") + ".meta.jsonl")


class RecordedFrame(msgspec.Struct, frozen=True, gc=False):
    """One frame of a recording.

    Attributes:
        payload: The frame, byte for byte.
        time_ns: When it was received, nanoseconds since the epoch (UTC); 0 where nobody wrote that down.
    """

    payload: bytes
    time_ns: int


# -- reading ---------------------------------------------------------------------------------------


def read_frames(paths: Iterable[Path]) -> Iterator[RecordedFrame]:
    """Read the frames of a recording in the order in which they were received.

    Files that have their times beside them are merged on time and place; those without follow each other as given.
    Only one line of each file is held at a time.

    Raises:
        CommandError: A file cannot be read, or the times beside it are not its own.
    """
    timed: list[Iterator[tuple[int, int, bytes]]] = []
    plain: list[Path] = []
    with ExitStack() as files:
        for path in paths:
            if meta_path(path).is_file():
                timed.append(_timed_lines(_open(path, files), _open(meta_path(path), files), path))
            else:
                plain.append(path)
        # Merging keeps the order within each file, even where a clock was set back.
        for time_ns, _, line in heapq.merge(*timed, key=lambda frame: frame[:2]):
            yield RecordedFrame(line, time_ns)
        for path in plain:
            yield from (RecordedFrame(line, 0) for line in _lines(_open(path, files)) if line)


def _open(path: Path, files: ExitStack) -> IO[bytes]:
    try:
        return files.enter_context(path.open("rb"))
    except OSError as error:
        raise CommandError(f"cannot read {path}: {error.strerror}") from error


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    return (line.rstrip(b"\r\n") for line in file)


def _timed_lines(frames: IO[bytes], meta: IO[bytes], path: Path) -> Iterator[tuple[int, int, bytes]]:
    times = _lines(meta)
    number = 0
    for number, line in enumerate(_lines(frames), 1):  # noqa: B007 - said where the files end
        entry = next(times, None)
        if entry is None:
            raise CommandError(f"{meta_path(path)} ends before line {number} of {path.name}")
        yield *_time_of(entry, path, number), line
    if next(times, None) is not None:
        raise CommandError(f"{meta_path(path)} has more lines than {path.name} has frames ({number})")


def _time_of(entry: bytes, path: Path, number: int) -> tuple[int, int]:
    """Return time (nanoseconds) and place that a line beside a recording gives."""
    try:
        # The digits are taken as they stand: a float would round the nanoseconds.
        place, moment = msgspec.json.decode(entry, type=tuple[int, msgspec.Raw])
        whole, _, fraction = bytes(moment).decode().partition(".")
        return int(whole) * _NS_PER_SECOND + int(fraction.ljust(9, "0")[:9]), place
    except (msgspec.MsgspecError, ValueError):
        raise CommandError(f"{meta_path(path)}, line {number}: expected [place, seconds]") from None


# -- writing ---------------------------------------------------------------------------------------


@attrs.define(eq=False)
class FrameRecorder:
    """Writes a recording without ever making the event loop wait for a disk.

    Attributes:
        path: The file of frames. Neither it nor the file of times may exist.
        frames: Frames recorded.
        altered: Of these, how many had a line break within, which became a space.
    """

    path: Path
    frames: int = 0
    altered: int = 0
    _lines: list[bytes] = attrs.field(factory=list)
    _times: list[bytes] = attrs.field(factory=list)

    def take(self, frame: bytes | str, time_ns: int) -> None:
        """Record a frame; returns at once."""
        line = frame.encode() if isinstance(frame, str) else frame
        if b"\n" in line or b"\r" in line:
            # Between JSON tokens a space means the same, and inside a string there can be neither.
            line = line.replace(b"\n", b" ").replace(b"\r", b" ")
            self.altered += 1
        seconds, rest = divmod(time_ns or time.time_ns(), _NS_PER_SECOND)
        self._lines.append(line)
        self._times.append(b"[%d,%d.%09d]" % (self.frames, seconds, rest))
        self.frames += 1

    async def run(self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Write what was taken, several times a second.

        Raises:
            CommandError: The files exist or cannot be written.

        Cancellation: the way it ends; what was taken so far is written first.
        """
        try:
            with self.path.open("xb") as frames, meta_path(self.path).open("xb") as times:
                task_status.started()
                try:
                    while True:
                        await anyio.sleep(_FLUSH_INTERVAL)
                        # The thread gets batches that nobody adds to any more.
                        await anyio.to_thread.run_sync(_write, frames, times, *self._take_batch())
                finally:
                    _write(frames, times, *self._take_batch())
        except FileExistsError as error:
            raise CommandError(f"{error.filename} exists already; a recording never overwrites another") from error
        except OSError as error:
            raise CommandError(f"cannot record to {self.path}: {error.strerror}") from error

    def _take_batch(self) -> tuple[list[bytes], list[bytes]]:
        batch = self._lines, self._times
        self._lines, self._times = [], []
        return batch


def _write(frames: IO[bytes], times: IO[bytes], lines: list[bytes], entries: list[bytes]) -> None:
    for file, batch in ((frames, lines), (times, entries)):
        file.write(b"".join([line + b"\n" for line in batch]))
        file.flush()
