"""Frames for the tests of the Binance adapter: hand-made ones beside the tests, and the recordings where they are."""

from __future__ import annotations

from pathlib import Path

from tests.corpora import corpora_path

FIXTURES = Path(__file__).parent / "fixtures"


def read_frames(path: Path) -> list[bytes]:
    """Return the frames of a file: one a line."""
    return path.read_bytes().splitlines()


def handmade(channel: str, market: str = "binance_spot") -> list[bytes]:
    """Return the hand-made frames of a channel."""
    return read_frames(FIXTURES / market / f"{channel}.handmade.jsonl")


def all_handmade(market: str = "binance_spot") -> list[bytes]:
    """Return every hand-made frame of a market."""
    found = (FIXTURES / market).glob("*.jsonl")
    paths = sorted(path for path in found if not path.name.endswith(".meta.jsonl"))
    return [frame for path in paths for frame in read_frames(path)]


def recorded(name: str) -> list[bytes]:
    """Return the frames of a recording, or skip the test where there are none."""
    return read_frames(corpora_path("public", "ws", "binance_spot", f"{name}.jsonl"))
