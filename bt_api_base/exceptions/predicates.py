"""What a program asks of what it caught. All of them look into exception groups."""

from __future__ import annotations

import errno
import socket
import ssl
import sys
from typing import TYPE_CHECKING, cast

from bt_api_base.exceptions.base import BtApiError
from bt_api_base.exceptions.connection import (
    AuthenticationError,
    ExchangeConnectionError,
    NetworkError,
    RateLimitError,
    RequestFailedError,
)
from bt_api_base.exceptions.orders import OrderError, OrderUnknownError

if TYPE_CHECKING:
    from collections.abc import Iterator

if sys.version_info < (3, 11):
    from exceptiongroup import BaseExceptionGroup

__all__ = (
    "is_auth_error",
    "is_network_error",
    "is_order_error",
    "is_rate_limit_error",
    "is_retryable",
    "is_user_recoverable",
)


_NETWORK_ERRNO = frozenset(
    getattr(errno, name)
    for name in (
        "EADDRNOTAVAIL",
        "ECONNABORTED",
        "ECONNREFUSED",
        "ECONNRESET",
        "EHOSTDOWN",
        "EHOSTUNREACH",
        "ENETDOWN",
        "ENETRESET",
        "ENETUNREACH",
        "ENOTCONN",
        "EPIPE",
        "ETIMEDOUT",
    )
    if hasattr(errno, name)
)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """Yield the exceptions in a group of groups, or the one that is no group."""
    waiting: list[BaseException] = [error]
    while waiting:
        found = waiting.pop()
        if isinstance(found, BaseExceptionGroup):
            waiting.extend(cast("BaseExceptionGroup[BaseException]", found).exceptions)
        else:
            yield found


def _is_foreign_network_error(error: BaseException) -> bool:
    """Tell the network failures of Python and anyio from their other errors."""
    if isinstance(error, (ConnectionError, TimeoutError, socket.gaierror, socket.herror, ssl.SSLError)):
        return True
    if isinstance(error, OSError):
        # A file that is missing is an OSError too. Connecting to several addresses in vain raises one
        # without a number.
        return error.errno in _NETWORK_ERRNO or (error.errno is None and type(error) is OSError) or _is_anyio(error)
    return _is_anyio(error)


def _is_anyio(error: BaseException) -> bool:
    """Tell whether ``error`` is anyio's word for a failed or broken connection.

    Who never imported anyio cannot have one of its exceptions, so it is not imported for the comparison.
    """
    anyio = sys.modules.get("anyio")
    if anyio is None:
        return False
    kinds = (getattr(anyio, name, None) for name in ("BrokenResourceError", "ConnectionFailed"))
    return isinstance(error, tuple(kind for kind in kinds if isinstance(kind, type)))


def is_network_error(error: BaseException) -> bool:
    """Return whether the way to the venue failed: connection, name resolution, TLS, a time limit.

    Besides our own classes this knows Python's `ConnectionError`, `TimeoutError`, the `OSError` of sockets,
    `ssl.SSLError`, and anyio's `BrokenResourceError` and `ConnectionFailed`. For a group, every exception in
    it has to qualify.
    """
    return all(
        isinstance(leaf, NetworkError)
        or (isinstance(leaf, ExchangeConnectionError) and not isinstance(leaf, AuthenticationError))
        or _is_foreign_network_error(leaf)
        for leaf in _leaves(error)
    )


def is_auth_error(error: BaseException) -> bool:
    """Return whether the venue refused the credentials. For a group, every exception in it has to qualify."""
    return all(
        isinstance(leaf, AuthenticationError) or (isinstance(leaf, RequestFailedError) and leaf.status_code == 401)
        for leaf in _leaves(error)
    )


def is_rate_limit_error(error: BaseException) -> bool:
    """Return whether a limit was exceeded, bans included. For a group, every exception in it has to qualify."""
    return all(
        isinstance(leaf, RateLimitError) or (isinstance(leaf, RequestFailedError) and leaf.status_code in {418, 429})
        for leaf in _leaves(error)
    )


def is_order_error(error: BaseException) -> bool:
    """Return whether it is about an order. For a group, every exception in it has to qualify."""
    return all(isinstance(leaf, OrderError) for leaf in _leaves(error))


def is_user_recoverable(error: BaseException) -> bool:
    """Return whether the caller can put it right by changing what was asked for, or a setting.

    For a group, every exception in it has to qualify.
    """
    return all(isinstance(leaf, BtApiError) and leaf.user_recoverable for leaf in _leaves(error))


def is_retryable(error: BaseException) -> bool:
    """Return whether the same attempt may succeed later.

    An order of unknown fate never is, nor is a group that holds one. A certificate that does not verify
    is not either: the next attempt would meet the same one. For a group, every exception in it has to qualify.
    """
    return all(_is_retryable(leaf) for leaf in _leaves(error))


def _is_retryable(error: BaseException) -> bool:
    if isinstance(error, BtApiError):
        return error.retryable and not isinstance(error, OrderUnknownError)
    return _is_foreign_network_error(error) and not isinstance(error, ssl.SSLCertVerificationError)
