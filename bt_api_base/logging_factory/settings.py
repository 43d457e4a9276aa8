"""Where records go: what the environment and the program say about it."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, TypeAlias, cast, get_args

import attrs

from bt_api_base.exceptions import ConfigurationError

__all__ = (
    "LEVELS",
    "LogFormat",
    "LogSink",
    "Settings",
    "checked_settings",
    "level_number",
    "settings_from_environment",
)

LogFormat: TypeAlias = Literal["auto", "console", "logfmt", "json"]
"""How a record is written; ``"auto"``: ``"console"`` on a terminal, else ``"logfmt"``."""

LogSink: TypeAlias = Callable[[Mapping[str, Any]], object]
"""Takes records as plain data, redacted."""
LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
}
"""The levels' numbers by their names."""


@attrs.frozen(kw_only=True)
class Settings:
    """Where records go; `configure_logging` describes them. ``level`` is ``None`` when nobody has set it."""

    level: int | None = None
    format: LogFormat = "auto"
    directory: str | None = None
    sink: LogSink | None = None


def level_number(level: int | str) -> int | None:
    """Return the number of a level, or ``None`` if there is none of this name."""
    return level if isinstance(level, int) else LEVELS.get(level.strip().lower())


def settings_from_environment(invalid: list[str]) -> Settings:
    """Read the environment; variables with values that mean nothing are ignored and their names reported."""
    level_name = os.environ.get("BT_API_LOG_LEVEL") or None
    level = None if level_name is None else level_number(level_name)
    if level_name is not None and level is None:
        invalid.append("BT_API_LOG_LEVEL")
    log_format = (os.environ.get("BT_API_LOG_FORMAT") or "auto").strip().lower()
    if log_format not in get_args(LogFormat):
        invalid.append("BT_API_LOG_FORMAT")
        log_format = "auto"
    return Settings(
        level=level, format=cast("LogFormat", log_format), directory=os.environ.get("BT_API_LOG_DIR") or None
    )


def checked_settings(
    level: int | str | None,
    log_format: LogFormat | None,
    directory: str | os.PathLike[str] | None,
    sink: LogSink | None,
) -> Settings:
    """Return what the program says, completed by what the environment says.

    Raises:
        ConfigurationError: There is no such level or format.
    """
    number = None if level is None else level_number(level)
    if level is not None and number is None:
        raise ConfigurationError(f"no such log level: {level!r}; there are {', '.join(LEVELS)}")
    if log_format is not None and log_format not in get_args(LogFormat):
        raise ConfigurationError(f"no such log format: {log_format!r}; there are {', '.join(get_args(LogFormat))}")
    given = settings_from_environment([])
    return attrs.evolve(
        given,
        level=given.level if number is None else number,
        format=given.format if log_format is None else log_format,
        directory=given.directory if directory is None else os.fspath(directory),
        sink=sink,
    )
