"""Recorded frames in files: one JSON frame a line, and beside it, where somebody kept them, the times of arrival.

``trade.jsonl`` holds the frames; line n of ``trade.meta.jsonl`` is ``[number, seconds since the epoch]`` for the frame
in line n. Files are read a line at a time, however long they are.
"""

from __future__ import annotations

import heapq
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator


class RecordedFrame(msgspec.Struct, frozen=True):
    """One frame as it came.

    Attributes:
        payload: Its text.
        time: Seconds since the epoch when it arrived, where that is known.
    """

    payload: bytes
    time: float | None = None


class ArrivalError(ValueError):
    """A file of arrival times does not fit the frames it is about."""


_arrival_decoder = msgspec.json.Decoder(tuple[int, float])


def recorded_frames(*paths: Path | str) -> Iterator[RecordedFrame]:
    """Read recorded frames lazily.

    Args:
        *paths: Files of frames. If the times of arrival are known for all of them, the frames come in the order of
            these times; else file by file.

    Yields:
        The frames, without empty lines.

    Raises:
        OSError: A file cannot be read.
        ArrivalError: A file of times is shorter than its file of frames, or is none.
    """
    files = [Path(path) for path in paths]
    if len(files) > 1 and all(_arrivals(path).exists() for path in files):
        yield from heapq.merge(*(_read(path) for path in files), key=lambda frame: frame.time or 0.0)
    else:
        yield from chain.from_iterable(_read(path) for path in files)


def _arrivals(path: Path) -> Path:
    return path.with_suffix(f".meta{path.suffix}")


def _read(path: Path) -> Iterator[RecordedFrame]:
    with ExitStack() as files:
        frames = files.enter_context(path.open("rb"))
        arrivals = files.enter_context(_arrivals(path).open("rb")) if _arrivals(path).exists() else None
        for number, line in enumerate(frames, start=1):
            time = None
            if arrivals is not None:
                try:
                    _, time = _arrival_decoder.decode(arrivals.readline())
                except msgspec.DecodeError as error:
                    raise ArrivalError(f"{_arrivals(path).name}, line {number}: {error}") from error
            payload = line.strip()
            if payload:
                yield RecordedFrame(payload, time)


__all__ = ("ArrivalError", "RecordedFrame", "recorded_frames")
