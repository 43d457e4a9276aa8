"""An exception as text."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ("format_exception",)


def format_exception(
    exc_info: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None],
) -> str:
    """Return the traceback as Python would print it, causes and groups included."""
    return "".join(traceback.format_exception(*exc_info)).rstrip("\n")
