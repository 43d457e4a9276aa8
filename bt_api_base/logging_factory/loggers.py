"""Loggers, and the chain of processors that makes a record of what they are told."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from bt_api_base._redaction import redact
from bt_api_base.logging_factory.settings import checked_settings, level_number, settings_from_environment
from bt_api_base.logging_factory.sinks import Output, close_files, write_stderr
from bt_api_base.logging_factory.third_party import protect_third_party_loggers
from bt_api_base.logging_factory.tracebacks import format_exception

if TYPE_CHECKING:
    import os

    from typing_extensions import Self

    from bt_api_base.logging_factory.settings import LogFormat, LogSink, Settings

__all__ = ("Logger", "configure_logging", "get_logger")

# structlog's and our own names of the parts of a record, which a keyword may not take.
_RESERVED: Final = frozenset({"event", "level", "logger", "timestamp", "self", "method_name"})


class _State:
    """The settings in force and what was made under them."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.settings: Settings | None = None
        self.cores: dict[tuple[str, bool], _Core] = {}

    def current(self) -> Settings:
        with self.lock:
            if self.settings is not None:
                return self.settings
            invalid: list[str] = []
            settings = settings_from_environment(invalid)
            self.apply(settings)
            for name in invalid:
                get_logger("logging").warning("ignoring a setting that means nothing", variable=name)
            return settings

    def apply(self, settings: Settings) -> None:
        with self.lock:
            close_files()
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
    _state.apply(checked_settings(level, format, directory, sink))
    import_module("structlog")


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
        number = level_number(level)
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
        settings = self.settings = _state.current()
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
            write_stderr(f"[{level}] {self.module}: a log record was lost ({type(error).__name__})")

    def _make_chain(self) -> Any:  # noqa: ANN401 - structlog's loggers have no static type
        import structlog

        return structlog.wrap_logger(
            Output(self.module, self.settings, self.stderr_threshold),
            processors=[
                structlog.contextvars.merge_contextvars,
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.StackInfoRenderer(),
                structlog.processors.ExceptionRenderer(format_exception),
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


def _redact_record(_logger: object, _method: str, record: Any) -> Any:  # noqa: ANN401 - structlog's signature
    """Take the secrets out, last of all processors, when everything has become part of the record."""
    return redact(record)
