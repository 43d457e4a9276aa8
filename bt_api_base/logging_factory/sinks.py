"""Where records end up: standard error, a file per module, or a function of the application."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from typing_extensions import override

from bt_api_base._redaction import redact_text
from bt_api_base.logging_factory.settings import LEVELS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bt_api_base.logging_factory.settings import LogFormat, LogSink, Settings

__all__ = ("Output", "close_files", "write_stderr")

# Everything that moves a terminal's cursor or ends a line, but for the line feeds and tabs of a traceback.
_CONTROL: Final = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if code not in {9, 10}}
_MAX_FILE_BYTES: Final = 16 * 1024 * 1024
_OLD_FILES: Final = 4

_files: Final[dict[str, logging.Handler | None]] = {}
_files_lock: Final = threading.Lock()


class Output:
    """What structlog writes to: hands a finished record to every sink.

    Args:
        module: The module whose records these are.
        settings: Where they go.
        stderr_threshold: The lowest level that standard error shows.
    """

    def __init__(self, module: str, settings: Settings, stderr_threshold: int) -> None:
        self._module = module
        self._settings = settings
        self._stderr_threshold = stderr_threshold
        self._renderers: dict[str, Callable[..., Any]] = {}

    def debug(self, /, **record: Any) -> None:  # noqa: ANN401 - plain data
        """Write a record of any level; it says its own."""
        settings = self._settings
        if settings.sink is not None:
            _give(settings.sink, record)
        elif LEVELS[record["level"]] >= self._stderr_threshold:
            write_stderr(self._render(_terminal_format(settings.format), record))
        if settings.directory is not None:
            handler = _file_handler(settings.directory, self._module)
            if handler is not None:
                file_format = "logfmt" if settings.format == "logfmt" else "json"
                handler.handle(logging.makeLogRecord({"msg": self._render(file_format, record)}))

    info = warning = error = critical = debug

    def _render(self, log_format: str, record: dict[str, Any]) -> str:
        renderer = self._renderers.get(log_format)
        if renderer is None:
            renderer = self._renderers[log_format] = _make_renderer(log_format)
        if log_format != "json":
            record = {key.translate(_CONTROL): _printable(value) for key, value in record.items()}
        if log_format == "logfmt":
            record = {re.sub(r"[\s=\"]", "_", key) or "_": _flat(value) for key, value in record.items()}
        return cast("str", renderer(None, "", dict(record)))


def _make_renderer(log_format: str) -> Callable[..., Any]:
    import structlog

    if log_format == "console":
        return structlog.dev.ConsoleRenderer(
            colors=not os.environ.get("NO_COLOR"), exception_formatter=structlog.dev.plain_traceback, sort_keys=False
        )
    if log_format == "logfmt":
        return structlog.processors.LogfmtRenderer(
            key_order=("timestamp", "level", "logger", "event"), drop_missing=True
        )
    return structlog.processors.JSONRenderer()


def _printable(value: object) -> object:
    """Keep a venue's words from steering the terminal that shows them."""
    return value.translate(_CONTROL) if isinstance(value, str) else value


def _flat(value: object) -> object:
    return json.dumps(value, default=str) if isinstance(value, (dict, list, tuple)) else value


def _terminal_format(log_format: LogFormat) -> str:
    if log_format != "auto":
        return log_format
    try:
        return "console" if sys.stderr.isatty() else "logfmt"
    except Exception:  # noqa: BLE001 - no standard error at all, or one that is closed
        return "logfmt"


def _give(sink: LogSink, record: Mapping[str, Any]) -> None:
    try:
        sink(record)
    except Exception as error:  # noqa: BLE001 - a sink's trouble is not the caller's
        write_stderr(f"[error] logging: the sink raised {type(error).__name__}")


def write_stderr(line: str) -> None:
    """Write a line to standard error if that is possible at all."""
    # There is nowhere left to report to when this fails.
    with suppress(Exception):
        # Looked up each time, because it may be replaced, and one write per line, because threads share it.
        sys.stderr.write(f"{line}\n")


def _file_handler(directory: str, module: str) -> logging.Handler | None:
    """Return the file of a module, opened once; ``None`` if it cannot be had."""
    name = re.sub(r"[^\w.-]", "_", module).strip(".") or "log"
    with _files_lock:
        if name not in _files:
            _files[name] = None
            try:
                _files[name] = _make_file_handler(directory, name)
            except OSError as error:
                write_stderr(f"[error] logging: no log file in {redact_text(directory)} ({type(error).__name__})")
        return _files[name]


def _make_file_handler(directory: str, name: str) -> logging.Handler:
    from logging.handlers import RotatingFileHandler

    class QuietFileHandler(RotatingFileHandler):
        """A rotating file that keeps its troubles, such as a full disk, to itself."""

        @override
        def handleError(self, record: logging.LogRecord) -> None:
            return

    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    return QuietFileHandler(
        folder / f"{name}.log",
        maxBytes=_MAX_FILE_BYTES,
        backupCount=_OLD_FILES,
        encoding="utf-8",
        errors="backslashreplace",
    )


def close_files() -> None:
    """Close the files; a record that comes later opens its file again."""
    with _files_lock:
        for handler in _files.values():
            if handler is not None:
                handler.close()
        _files.clear()
