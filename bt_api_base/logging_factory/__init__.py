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

from bt_api_base._redaction import MASK, forget_secret, register_secret
from bt_api_base.logging_factory.loggers import Logger, configure_logging, get_logger
from bt_api_base.logging_factory.settings import LogFormat, LogSink
from bt_api_base.logging_factory.third_party import RedactingFilter, protect_third_party_loggers

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
