"""Whether a run agrees with itself, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ("counted", "verdict")

_VERIFIED = "verified: "
_MOST_PROBLEMS = 8


def counted(number: int, noun: str) -> str:
    """Return a number and what it is of: ``"1 rotation"``, ``"2 rotations"``."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def verdict(problems: Sequence[str], *lines: str) -> Text:
    """Say that everything agrees, or what does not.

    Args:
        problems: What does not; the first few say it.
        *lines: What was verified, if everything agrees.
    """
    if not problems:
        text = f"\n{' ' * len(_VERIFIED)}".join(lines)
        return Text.assemble((_VERIFIED[:-2], "bold green"), _VERIFIED[-2:], text)
    shown = "".join(f"\n  {problem}" for problem in problems[:_MOST_PROBLEMS])
    more = len(problems) - _MOST_PROBLEMS
    return Text.assemble(("MISMATCH", "bold red"), f": {shown}", f"\n  and {more} more" if more > 0 else "")
