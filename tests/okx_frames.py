"""Frames for the tests of the OKX adapter: hand-made ones beside the tests, and the recordings where they are."""

from __future__ import annotations

from pathlib import Path

from tests.corpora import corpora_path

HANDMADE = Path(__file__).parent / "fixtures" / "okx"


def handmade(name: str) -> list[bytes]:
    """Return the hand-made frames of a file."""
    return (HANDMADE / f"{name}.handmade.jsonl").read_bytes().splitlines()


def all_handmade() -> list[bytes]:
    """Return every hand-made frame."""
    names = sorted(path.name for path in HANDMADE.glob("*.handmade.jsonl"))
    return [frame for name in names for frame in handmade(name.partition(".")[0])]


def recorded(name: str) -> list[bytes]:
    """Return the frames of a recording, or skip the test where there are none."""
    return corpora_path("public", "ws", "okx", f"{name}.jsonl").read_bytes().splitlines()
