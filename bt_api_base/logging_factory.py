"""Structured logging that keeps secrets to itself and never gets in the way.

::

    logger = get_logger("websocket")
    logger.warning("reconnecting", exchange_name="BINANCE___SPOT", attempt=3)
    logger.info("%d symbols loaded", 1200)

Records are made by structlog, with processors of our own: neither structlog's global configuration nor the
root logger of the application is touched. Secrets are taken out at the end of the chain, where the event's text,
the keys, the values however deeply nested, the exception and its traceback are all there (`register_secret`
names secrets by value; names such as ``apiKey`` and URLs are recognized). What other libraries log about our
connections is filtered too (`protect_third_party_loggers`).

Where records go:

========================  ==============================================================================
``BT_API_LOG_LEVEL``      lowest level that is recorded: ``debug``, ``info`` (default), ``warning`` ...
``BT_API_LOG_FORMAT``     ``console``, ``logfmt`` (key=value) or ``json``; default: ``console`` on a
                          terminal, else ``logfmt``. Files are JSON lines unless ``logfmt`` is asked for.
``BT_API_LOG_DIR``        folder for one rotating file per module; default: no files
========================  ==============================================================================

Standard error shows warnings and worse, and the rest too once a level is set or a logger is made with
``print_info``. A record that cannot be rendered or written is dropped; logging never raises.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, cast, get_args

import attrs
from typing_extensions import override

from bt_api_base._redaction import MASK, forget_secret, redact, redact_text, register_secret
from bt_api_base.exceptions import ConfigurationError

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self


__all__ = (
    "MASK",
    "LogFormat",
    "LogSink",
    "Logger",
    "RedactingFilter",
    "configure_logging",
    "forget_secret",
    "get_logger",
    "protect_third_party_loggers",
    "register_secret",
)

LogFormat: TypeAlias = Literal["auto", "console", "logfmt", "json"]
"""How a record is written; ``"auto"``: ``"console"`` on a terminal, else ``"logfmt"``."""

LogSink: TypeAlias = Callable[[Mapping[str, Any]], object]
"""Takes records as plain data, redacted."""

_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
}
# structlog's and our own names of the parts of a record, which a keyword may not take.
_RESERVED: Final = frozenset({"event", "level", "logger", "timestamp", "self", "method_name"})
# Everything that moves a terminal's cursor or ends a line, but for the line feeds and tabs of a traceback.
_CONTROL: Final = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if code not in {9, 10}}
_MAX_FILE_BYTES: Final = 16 * 1024 * 1024
_OLD_FILES: Final = 4


# -- settings ------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class _Settings:
    """Where records go; `configure_logging` describes them. ``level`` is ``None`` when nobody has set it."""

    level: int | None = None
    format: LogFormat = "auto"
    directory: str | None = None
    sink: LogSink | None = None


def _level_number(level: int | str) -> int | None:
    return level if isinstance(level, int) else _LEVELS.get(level.strip().lower())


def _settings_from_environment(invalid: list[str]) -> _Settings:
    """Read the environment; variables with values that mean nothing are ignored and their names reported."""
    level_name = os.environ.get("BT_API_LOG_LEVEL") or None
    level = None if level_name is None else _level_number(level_name)
    if level_name is not None and level is None:
        invalid.append("BT_API_LOG_LEVEL")
    log_format = (os.environ.get("BT_API_LOG_FORMAT") or "auto").strip().lower()
    if log_format not in get_args(LogFormat):
        invalid.append("BT_API_LOG_FORMAT")
        log_format = "auto"
    return _Settings(
        level=level, format=cast("LogFormat", log_format), directory=os.environ.get("BT_API_LOG_DIR") or None
    )


class _State:
    """The settings in force and what was made under them."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.settings: _Settings | None = None
        self.files: dict[str, logging.Handler | None] = {}
        self.cores: dict[tuple[str, bool], _Core] = {}

    def current(self) -> _Settings:
        with self.lock:
            if self.settings is not None:
                return self.settings
            invalid: list[str] = []
            settings = _settings_from_environment(invalid)
            self.apply(settings)
            for name in invalid:
                get_logger("logging").warning("ignoring a setting that means nothing", variable=name)
            return settings

    def apply(self, settings: _Settings) -> None:
        with self.lock:
            for handler in self.files.values():
                if handler is not None:
                    handler.close()
            self.files.clear()
            self.settings = settings
            for core in self.cores.values():
                core.reset()
        protect_third_party_loggers()


_state: Final = _State()


def configure_logging(
    *,
    level: int | str | None = None,
    format: LogFormat | None = None,  # noqa: A002 - it is what the environment variable calls it
    directory: str | os.PathLike[str] | None = None,
    sink: LogSink | None = None,
) -> None:
    """Say where this package's records go, for every logger there is and will be.

    Without a call the environment decides when the first logger is made; what is not given here is taken from there.
    Calling it early also loads the logging machinery, which the first record would otherwise wait for.

    Args:
        level: Lowest level that is recorded: a name or a number of `logging`.
        format: How records are written.
        directory: Folder for one file per module; it is made if need be.
        sink: Called with each record instead of writing it to standard error; an exception it raises is dropped.

    Raises:
        ConfigurationError: There is no such level or format.
    """
    number = None if level is None else _level_number(level)
    if level is not None and number is None:
        raise ConfigurationError(f"no such log level: {level!r}; there are {', '.join(_LEVELS)}")
    if format is not None and format not in get_args(LogFormat):
        raise ConfigurationError(f"no such log format: {format!r}; there are {', '.join(get_args(LogFormat))}")
    given = _settings_from_environment([])
    _state.apply(
        attrs.evolve(
            given,
            level=given.level if number is None else number,
            format=given.format if format is None else format,
            directory=given.directory if directory is None else os.fspath(directory),
            sink=sink,
        )
    )
    import_module("structlog")


# -- loggers -------------------------------------------------------------------------------------------


def get_logger(module: str, print_info: bool = False) -> Logger:  # noqa: FBT001, FBT002 - the older signature
    """Return the logger of a module, the same one for the same arguments.

    Args:
        module: Its name, which every record carries, and which its file is named after.
        print_info: Whether records below warning go to standard error too.
    """
    _state.current()
    key = (module, print_info)
    core = _state.cores.get(key)
    if core is None:
        with _state.lock:
            core = _state.cores.setdefault(key, _Core(module, print_info=print_info))
    return core.logger


class Logger:
    """Records what happens, as a text with values.

    Every method takes the text first, optionally with ``%`` arguments, then values by keyword. ``exc_info`` adds an
    exception: the one at hand (``True``) or one given. No method raises.
    """

    __slots__ = ("_context", "_core")

    def __init__(self, core: _Core, context: dict[str, object]) -> None:
        self._core = core
        self._context = context

    def __repr__(self) -> str:
        return f"Logger({self._core.module!r}{''.join(f', {key}' for key in self._context)})"

    @property
    def name(self) -> str:
        """The module it was made for."""
        return self._core.module

    def bind(self, **values: object) -> Self:
        """Return a logger whose records carry ``values`` too."""
        return type(self)(self._core, {**self._context, **values})

    def unbind(self, *keys: str) -> Self:
        """Return a logger whose records do not carry the values of ``keys``."""
        return type(self)(self._core, {key: value for key, value in self._context.items() if key not in keys})

    def is_enabled_for(self, level: int | str) -> bool:
        """Return whether records of ``level`` go anywhere."""
        number = _level_number(level)
        return number is not None and number >= self._core.threshold

    def debug(self, event: object, /, *args: object, **values: object) -> None:
        """Record what only somebody who looks for a fault wants to know."""
        if self._core.threshold <= logging.DEBUG:
            self._core.log("debug", event, args, self._context, values)

    def info(self, event: object, /, *args: object, **values: object) -> None:
        """Record what went as it should."""
        if self._core.threshold <= logging.INFO:
            self._core.log("info", event, args, self._context, values)

    def warning(self, event: object, /, *args: object, **values: object) -> None:
        """Record what went wrong and is being taken care of."""
        if self._core.threshold <= logging.WARNING:
            self._core.log("warning", event, args, self._context, values)

    def error(self, event: object, /, *args: object, **values: object) -> None:
        """Record what went wrong."""
        if self._core.threshold <= logging.ERROR:
            self._core.log("error", event, args, self._context, values)

    def exception(self, event: object, /, *args: object, **values: object) -> None:
        """Record what went wrong, with the exception at hand."""
        if self._core.threshold <= logging.ERROR:
            self._core.log("error", event, args, self._context, {"exc_info": True, **values})

    def critical(self, event: object, /, *args: object, **values: object) -> None:
        """Record what the program cannot go on after."""
        if self._core.threshold <= logging.CRITICAL:
            self._core.log("critical", event, args, self._context, values)


class _Core:
    """What the loggers of one module share: a threshold, and the chain of processors made for its first record."""

    def __init__(self, module: str, *, print_info: bool) -> None:
        self.module = module
        self.print_info = print_info
        self.logger = Logger(self, {})
        self.threshold = 0
        self._chain: Any = None
        self.reset()

    def reset(self) -> None:
        """Follow changed settings."""
        settings = _state.current()
        level = logging.INFO if settings.level is None else settings.level
        shown = level if settings.level is not None or self.print_info else max(level, logging.WARNING)
        self.stderr_threshold = shown
        self.threshold = shown if settings.sink is None and settings.directory is None else level
        self._chain = None

    def log(
        self, level: str, event: object, args: tuple[object, ...], context: dict[str, object], values: dict[str, object]
    ) -> None:
        """Make a record and write it."""
        try:
            chain = self._chain
            if chain is None:
                chain = self._chain = self._make_chain()
            text = _interpolated(event, args)
            named = {f"{key}_" if key in _RESERVED else key: value for key, value in (context | values).items()}
            getattr(chain, level)(text, **named)
        except Exception as error:  # noqa: BLE001 - a broken log must not break what it reports on
            # Only the kind: the text of the exception may hold what could not be redacted.
            _write_stderr(f"[{level}] {self.module}: a log record was lost ({type(error).__name__})")

    def _make_chain(self) -> Any:  # noqa: ANN401 - structlog's loggers have no static type
        import structlog

        return structlog.wrap_logger(
            _Output(self),
            processors=[
                structlog.contextvars.merge_contextvars,
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.StackInfoRenderer(),
                structlog.processors.ExceptionRenderer(_format_exception),
                self._stamp,
                _redact_record,
            ],
            wrapper_class=structlog.BoundLogger,
            context_class=dict,
            cache_logger_on_first_use=False,
        ).bind()

    def _stamp(self, _logger: object, _method: str, record: Any) -> Any:  # noqa: ANN401 - structlog's signature
        record["logger"] = self.module
        return record


def _interpolated(event: object, args: tuple[object, ...]) -> str:
    """Return ``event % args`` as `logging` would, and something readable where they do not fit."""
    text = event if isinstance(event, str) else str(event)
    if not args:
        return text
    try:
        # logging's rule: a single mapping fills named places.
        return text % (args[0] if len(args) == 1 and isinstance(args[0], Mapping) and args[0] else args)
    except (TypeError, ValueError, KeyError):
        return f"{text} {args!r}"


def _format_exception(
    exc_info: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None],
) -> str:
    return "".join(traceback.format_exception(*exc_info)).rstrip("\n")


def _redact_record(_logger: object, _method: str, record: Any) -> Any:  # noqa: ANN401 - structlog's signature
    """Take the secrets out, last of all processors, when everything has become part of the record."""
    return redact(record)


# -- sinks ---------------------------------------------------------------------------------------------


class _Output:
    """What structlog writes to: hands a finished record to every sink."""

    def __init__(self, core: _Core) -> None:
        self._core = core
        self._renderers: dict[str, Callable[..., Any]] = {}

    def debug(self, /, **record: Any) -> None:  # noqa: ANN401 - plain data
        """Write a record of any level; it says its own."""
        settings = _state.current()
        if settings.sink is not None:
            _give(settings.sink, record)
        elif _LEVELS[record["level"]] >= self._core.stderr_threshold:
            _write_stderr(self._render(_terminal_format(settings.format), record))
        if settings.directory is not None:
            handler = _file_handler(settings.directory, self._core.module)
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
        _write_stderr(f"[error] logging: the sink raised {type(error).__name__}")


def _write_stderr(line: str) -> None:
    # There is nowhere left to report to when this fails.
    with suppress(Exception):
        # Looked up each time, because it may be replaced, and one write per line, because threads share it.
        sys.stderr.write(f"{line}\n")


def _file_handler(directory: str, module: str) -> logging.Handler | None:
    """Return the file of a module, opened once; ``None`` if it cannot be had."""
    name = re.sub(r"[^\w.-]", "_", module).strip(".") or "log"
    with _state.lock:
        if name not in _state.files:
            _state.files[name] = None
            try:
                _state.files[name] = _make_file_handler(directory, name)
            except OSError as error:
                _write_stderr(f"[error] logging: no log file in {redact_text(directory)} ({type(error).__name__})")
        return _state.files[name]


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


# -- other libraries -----------------------------------------------------------------------------------


class RedactingFilter(logging.Filter):
    """Takes the secrets out of standard `logging` records: text, arguments, exception and stack.

    It lets every record pass. Add it to a logger, or to a handler to cover everything that goes through it.
    """

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        """Redact ``record`` in place. What cannot be redacted is not shown."""
        try:
            text = record.getMessage()
        except Exception:  # noqa: BLE001 - arguments that do not fit, or whose repr fails
            text = f"{record.msg} (its arguments do not fit)" if isinstance(record.msg, str) else "(unreadable)"
        record.msg, record.args = redact_text(text), None
        try:
            if record.exc_info and record.exc_text is None:
                record.exc_text = _format_exception(record.exc_info)
        except Exception:  # noqa: BLE001 - an exception that cannot be formatted
            record.exc_text = "(unreadable exception)"
        # Formatters prefer the text; the exception itself would be formatted anew, with its secrets.
        record.exc_info = None
        if record.exc_text:
            record.exc_text = redact_text(record.exc_text)
        if record.stack_info:
            record.stack_info = redact_text(record.stack_info)
        return True


_THIRD_PARTY: Final = (
    "httpx",  # logs each request's full URL at INFO
    "httpcore",
    "httpcore.connection",
    "httpcore.http11",
    "httpcore.http2",
    "httpcore.proxy",
    "httpcore.socks",
    "hpack",  # logs headers at DEBUG
    "trio-websocket",
    "websockets",
    "websockets.client",  # logs each frame at DEBUG
    "websockets.server",
    "websockets.protocol",
)
_redacting_filter: Final = RedactingFilter()


def protect_third_party_loggers() -> None:
    """Redact what the libraries that carry our requests log; may be called again without harm.

    A logger's filter sees only what is logged there, not in the loggers below it, so each is given one by name.
    """
    families = tuple(f"{name}." for name in _THIRD_PARTY if "." not in name)
    existing = [name for name in tuple(logging.root.manager.loggerDict) if name.startswith(families)]
    for name in (*_THIRD_PARTY, *existing):
        logging.getLogger(name).addFilter(_redacting_filter)
