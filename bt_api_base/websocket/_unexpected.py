"""Exceptions that nobody foresaw: somebody's bug, whose text may say anything."""

from __future__ import annotations

import sys
from typing import cast

from bt_api_base._redaction import redact_text

if sys.version_info < (3, 11):
    from exceptiongroup import BaseExceptionGroup

__all__ = ("showable",)


def showable(error: Exception) -> Exception:
    """Return an exception, or one in its place that tells as much without the secrets that it shows.

    Args:
        error: It may hold, or have been caused by one that holds, what is masked everywhere else.
    """
    if not _shows(error):
        return error
    stand_in = RuntimeError(redact_text(f"{type(error).__name__}: {error}"))
    return stand_in.with_traceback(error.__traceback__)


def _shows(error: BaseException) -> bool:
    """Whether there is a secret in an exception or in what led to it."""
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        text = f"{one!r} {one} {vars(one)!r}"
        if redact_text(text) != text:
            return True
        waiting += (one.__cause__, one.__context__)
        if isinstance(one, BaseExceptionGroup):
            waiting += cast("BaseExceptionGroup[BaseException]", one).exceptions
    return False
