"""Through a SOCKS5 proxy (RFC 1928, RFC 1929), spoken to by python-socks."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import anyio

from bt_api_base.exceptions import ConfigurationError
from bt_api_base.transport.errors import ConnectError, NameResolutionError, ProxyAuthenticationError, ProxyError

if TYPE_CHECKING:
    from anyio.abc import ByteStream

    from bt_api_base.transport.policy import Proxy, TransportPolicy

__all__ = ("open_through_socks",)

_FINAL_CODES = frozenset({2, 7, 8})
"""Reply codes that come again: forbidden by the proxy's rules, command or kind of address not supported."""


async def open_through_socks(policy: TransportPolicy, proxy: Proxy, host: str, port: int) -> ByteStream:
    """Connect to a host through a SOCKS5 proxy; the proxy resolves the name.

    Raises:
        NameResolutionError: The proxy's own name could not be resolved.
        ConnectError: The proxy could not be reached.
        ProxyError: It does not forward.
        ProxyAuthenticationError: It does not accept the credentials.
        ConfigurationError: python-socks is not installed.

    Cancellation:
        The socket is released.
    """
    try:
        import python_socks
        from python_socks.async_.anyio.v2 import Proxy as SocksProxy
    except ImportError as error:
        detail = "SOCKS5 needs the package python-socks: pip install bt_api_base[proxy]"
        raise ConfigurationError(detail) from error
    socks = SocksProxy(
        python_socks.ProxyType.SOCKS5,
        proxy.host,
        proxy.port,
        username=None if proxy.username is None else proxy.username.reveal(),
        password=None if proxy.password is None else proxy.password.reveal(),
        rdns=True,
    )
    try:
        connected = await socks.connect(
            host,
            port,
            # The deadline is the caller's; this one only has to be no earlier.
            timeout=2 * policy.connect_timeout,
            local_host=policy.local_address,
            happy_eyeballs_delay=policy.happy_eyeballs_delay,
        )
    except python_socks.ProxyConnectionError as error:
        reason = error.__cause__ or error
        if isinstance(reason, socket.gaierror):
            raise NameResolutionError("", f"the proxy {proxy}: {reason.strerror or reason}") from reason
        raise ConnectError("", f"the proxy {proxy}: {reason.__cause__ or reason}") from reason
    except python_socks.ProxyError as error:
        raise _refusal(proxy, error) from error
    except (OSError, anyio.BrokenResourceError, anyio.EndOfStream, ValueError) as error:
        raise ProxyError("", f"{proxy} hung up, or does not speak SOCKS5") from error
    return connected.anyio_stream


def _refusal(proxy: Proxy, error: Exception) -> ProxyError | ProxyAuthenticationError:
    """Describe an answer that is no consent."""
    code, text = getattr(error, "error_code", None), str(error)
    # The library tells these from others by their text only.
    if "authentication failure" in text:
        return ProxyAuthenticationError("", f"{proxy} does not accept user and password")
    if "No acceptable authentication" in text:
        wanted = "wants a user and a password" if proxy.username is None else "does not take a user and a password"
        return ProxyAuthenticationError("", f"{proxy} {wanted}")
    if code is None:
        return ProxyError("", f"{proxy} hung up, or does not speak SOCKS5: {text}")
    return ProxyError("", f"{proxy} answered: {text}", status=code, retryable=code not in _FINAL_CODES)
