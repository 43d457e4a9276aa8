"""What other libraries log about our connections, with the secrets taken out."""

from __future__ import annotations

import logging
from typing import Final

from typing_extensions import override

from bt_api_base._redaction import redact_text
from bt_api_base.logging_factory.tracebacks import format_exception

__all__ = ("RedactingFilter", "protect_third_party_loggers")


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
                record.exc_text = format_exception(record.exc_info)
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
