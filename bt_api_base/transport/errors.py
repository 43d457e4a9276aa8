"""What can go wrong on the way out of this machine, told apart because the remedies differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typing_extensions import override

from bt_api_base.exceptions import AuthenticationError, NetworkError

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from bt_api_base.exceptions import ErrorContext

__all__ = ("ConnectError", "NameResolutionError", "ProxyAuthenticationError", "ProxyError", "TlsError")


class NameResolutionError(NetworkError):
    """A host name could not be resolved.

    It is retryable even where the name server says that there is no such name: so do those of a network that is
    only just coming up.
    """

    @override
    def _summary(self) -> str:
        return "name resolution failed"


class ConnectError(NetworkError):
    """There is no TCP connection: refused, unreachable, or not in time."""

    @override
    def _summary(self) -> str:
        return ""  # the detail says it all


class TlsError(NetworkError):
    """TLS failed. It is not retryable where a certificate was not accepted."""

    @override
    def _summary(self) -> str:
        return "TLS failed"


class ProxyError(NetworkError):
    """The proxy was reached, and does not forward.

    Args:
        exchange_name: The venue.
        detail: What happened.
        status: The HTTP status or the SOCKS5 reply code it answered with; ``None`` if it did not answer in order.
        **context: See `BtApiError`.
    """

    def __init__(
        self, exchange_name: str = "", detail: str = "", *, status: int | None = None, **context: Unpack[ErrorContext]
    ) -> None:
        self.status = status
        super().__init__(exchange_name, detail, **context)

    @override
    def _summary(self) -> str:
        return "the proxy does not forward"


class ProxyAuthenticationError(AuthenticationError):
    """The proxy wants a user and a password, or others than those given."""

    @override
    def _summary(self) -> str:
        return "the proxy refused the credentials"
