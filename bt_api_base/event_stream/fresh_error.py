"""One error, raised in several places."""

from __future__ import annotations

import copy
from typing import Any

__all__ = ("fresh_error",)


def fresh_error(error: Exception) -> Exception:
    """Return a copy of an error, to be raised by one consumer of several, or once of several times.

    An exception collects the traceback of each place it is raised in; the copy starts with that of its origin.
    One that cannot be copied is returned as it is.
    """
    try:
        fresh: Any = copy.copy(error)
    except Exception:  # noqa: BLE001 - a constructor may want anything
        return error
    if type(fresh) is not type(error):
        return error
    fresh.__cause__ = error.__cause__
    fresh.__context__ = error.__context__
    fresh.__suppress_context__ = error.__suppress_context__
    return fresh.with_traceback(error.__traceback__)
