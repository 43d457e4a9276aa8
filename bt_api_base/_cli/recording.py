"""Writing recordings of raw frames, which `bt_api_base.testing.recorded_frames` reads.

A recording is a file of one frame a line, exactly as it was received. Beside it, ``<name>.meta.jsonl`` has a line
``[number, t]`` for each frame: its place in the recording, from 0, and when it was received, seconds since the epoch
(UTC) with nine decimals.
"""

from __future__ import annotations

import time
from typing import IO, TYPE_CHECKING

import anyio
import attrs

from bt_api_base._cli.runtime import CommandError

if TYPE_CHECKING:
    from pathlib import Path

    from anyio.abc import TaskStatus

__all__ = ("FrameRecorder", "meta_path")

_NS_PER_SECOND = 1_000_000_000


def meta_path(path: Path) -> Path:
    """Return where the times of a recording are: ``trades.meta.jsonl`` for ``trades.jsonl``."""
    return path.with_suffix(f".meta{path.suffix}")


@attrs.define(eq=False)
class FrameRecorder:
    """Writes a recording without ever making the event loop wait for a disk.

    Attributes:
        path: The file of frames. Neither it nor the file of times may exist.
        frames: Frames recorded.
        altered: Of these, how many had a line break within, which became a space.
        flush_interval: Seconds between two writes.
    """

    path: Path
    frames: int = 0
    altered: int = 0
    flush_interval: float = attrs.field(default=0.25, kw_only=True)
    _lines: list[bytes] = attrs.field(factory=list[bytes])
    _times: list[bytes] = attrs.field(factory=list[bytes])

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

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
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
                        await anyio.sleep(self.flush_interval)
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
