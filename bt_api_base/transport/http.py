"""An HTTP client that leaves this machine the same way as the WebSockets do."""

from __future__ import annotations

from typing import Any, Final

import anyio
import httpcore
import httpx
from typing_extensions import override

from bt_api_base.exceptions import ConfigurationError
from bt_api_base.transport._network_backend import PolicyBackend, reason_of
from bt_api_base.transport.policy import TransportPolicy, default_ssl_context

__all__ = ("http_client", "httpx_transport")

_POLICY_DECIDES: Final = frozenset({"cert", "mounts", "proxy", "transport", "trust_env", "verify"})
"""Options of httpx that say how to connect."""

_TIMEOUT: Final = 10.0


def httpx_transport(
    policy: TransportPolicy | None = None, *, limits: httpx.Limits | None = None
) -> httpx.AsyncHTTPTransport:
    """Return a transport for `httpx.AsyncClient` that connects as a policy wants it.

    It runs on every event loop, opens its connections with the same code as `open_websocket`, and takes nothing from
    the environment. Through an HTTP proxy everything goes by CONNECT, plain ``http://`` too.

    Its errors are those of httpx: `httpx.ConnectError`, `httpx.ConnectTimeout`, and `httpx.ProxyError` where the proxy
    does not forward. Their cause is one of `bt_api_base.transport`, where the way is to blame.

    Args:
        policy: The policy; ``None``: direct connections.
        limits: How many connections are kept.
    """
    return _PolicyTransport(TransportPolicy() if policy is None else policy, limits or httpx.Limits())


def http_client(policy: TransportPolicy | None = None, **options: Any) -> httpx.AsyncClient:  # noqa: ANN401 - httpx's
    """Return an HTTP client that connects as a policy wants it; to be closed by ``async with`` or ``aclose()``.

    Args:
        policy: The policy; ``None``: direct connections.
        **options: Of `httpx.AsyncClient`, such as ``base_url``, ``headers``, ``timeout`` and ``limits``.

    Raises:
        ConfigurationError: An option would say again how to connect.
    """
    chosen = TransportPolicy() if policy is None else policy
    taken = sorted(_POLICY_DECIDES & options.keys())
    if taken:
        raise ConfigurationError(f"how to connect is for the transport policy to say, not for {', '.join(taken)}")
    options.setdefault("timeout", httpx.Timeout(_TIMEOUT, connect=chosen.connect_timeout))
    transport = httpx_transport(chosen, limits=options.pop("limits", None))
    return httpx.AsyncClient(transport=transport, trust_env=False, **options)


class _PolicyTransport(httpx.AsyncHTTPTransport):
    """httpx's own transport over a pool that opens its connections in another way.

    httpx has no public place for the pool, but all that its transport does is to translate for it.
    """

    def __init__(self, policy: TransportPolicy, limits: httpx.Limits) -> None:
        context = policy.ssl_context or default_ssl_context()
        super().__init__(verify=context, trust_env=False)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=context,
            max_connections=limits.max_connections,
            max_keepalive_connections=limits.max_keepalive_connections,
            keepalive_expiry=limits.keepalive_expiry,
            network_backend=PolicyBackend(policy),
        )

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        try:
            return await super().handle_async_request(request)
        except httpx.TransportError as error:
            reason = reason_of(error.__cause__)
            if reason is None:
                raise
            raise error from reason
        except BaseException:
            await self._close_abandoned()
            raise

    async def _close_abandoned(self) -> None:
        """Close connections that are open, were never used, and that nobody waits for.

        A cancellation that comes just after a connection was made leaves it in httpcore's pool as one that somebody is
        about to use. It would stay there for ever, and with it one of the connections that there may be.
        """
        pool = self._pool
        wanted = {id(request.connection) for request in pool._requests}  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
        abandoned = [
            connection
            for connection in pool.connections
            if id(connection) not in wanted and not (connection.is_idle() or connection.is_closed())
        ]
        if not abandoned:
            return
        with anyio.CancelScope(shield=True):
            for connection in abandoned:
                await connection.aclose()
            # Who waits for a connection can have one now.
            unused = pool._assign_requests_to_connections()  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
            await pool._close_connections(unused)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
