"""How connections leave this machine, as one value for WebSocket and REST alike."""

from __future__ import annotations

import math
import os
import re
import ssl
from functools import lru_cache
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import unquote, urlsplit

import attrs
from typing_extensions import override

from bt_api_base.exceptions import ConfigurationError
from bt_api_base.security import Secret

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from typing_extensions import Self

__all__ = ("Proxy", "ProxyScheme", "TransportPolicy", "default_ssl_context")

ProxyScheme = Literal["http", "https", "socks5"]
"""How a proxy is spoken to: HTTP CONNECT, the same over TLS, or SOCKS5."""

_DEFAULT_PORTS: Final[Mapping[ProxyScheme, int]] = {"http": 80, "https": 443, "socks5": 1080}
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


@attrs.frozen(kw_only=True)
class Proxy:
    """A proxy, and what it wants to know before it forwards. Neither user nor password shows.

    Attributes:
        scheme: How it is spoken to.
        host: Its name or address.
        port: Its port.
        username: The user, where it asks for one.
        password: The password that goes with it.
    """

    scheme: ProxyScheme
    host: str
    port: int
    username: Secret | None = None
    password: Secret | None = None

    @classmethod
    def from_url(cls, url: str) -> Proxy:
        """Read ``http://…``, ``https://…``, ``socks5://…`` or ``socks5h://…``, with ``user:password@`` where needed.

        User and password are percent-decoded. ``socks5`` means the same as ``socks5h``: the proxy resolves the names.

        Raises:
            ConfigurationError: It is none of these. The text leaves out the URL, which may hold a password.
        """
        proxy, problem = cls._parsed(url)
        if proxy is None:
            # Outside of any handler: the library's exception, with the URL in it, would stay in sight as the context.
            raise ConfigurationError(f"not the URL of a proxy: {problem}")
        return proxy

    @classmethod
    def _parsed(cls, url: str) -> tuple[Proxy | None, str]:
        """Return the proxy, or what is wrong with the URL."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
            host.encode("idna")
        except ValueError as error:
            return None, type(error).__name__
        scheme: ProxyScheme = "https" if parts.scheme == "https" else "http" if parts.scheme == "http" else "socks5"
        username, password = unquote(parts.username or ""), unquote(parts.password or "")
        if _CONTROL.search(url) or " " in url:
            problem = "white space or control characters"
        elif parts.scheme not in {scheme, "socks5h"}:
            problem = "it begins with none of http://, https://, socks5://, socks5h://"
        elif not host or port == 0:
            problem = "no host" if not host else "port 0"
        elif parts.path not in {"", "/"} or parts.query or parts.fragment:
            problem = "something follows the host"
        else:
            problem = _credentials_problem(scheme, username, password)
        if problem:
            return None, problem
        return cls(
            scheme=scheme,
            host=host,
            port=port or _DEFAULT_PORTS[scheme],
            username=Secret(username) if username else None,
            password=Secret(password) if username else None,
        ), ""

    @override
    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def _credentials_problem(scheme: ProxyScheme, username: str, password: str) -> str:
    """Return why user and password cannot be told to a proxy; nothing if they can."""
    if _CONTROL.search(username + password):
        return "control characters in user or password"
    if password and not username:
        return "a password without a user"
    if scheme == "socks5":
        if username and not password:
            return "a user without a password, which SOCKS5 does not know"
        if not (username + password).isascii() or max(len(username), len(password)) > 255:
            return "SOCKS5 takes user and password in ASCII, of at most 255 characters"
    elif ":" in username:
        return "a colon in the user"
    return ""


def _as_proxy(value: str | Proxy | None) -> Proxy | None:
    return Proxy.from_url(value) if isinstance(value, str) else value


def _as_names(value: Iterable[str]) -> tuple[str, ...]:
    names = value.split(",") if isinstance(value, str) else value
    return tuple(name.strip().lower().lstrip(".") for name in names if name.strip(" ."))


def _shown_context(context: ssl.SSLContext | None) -> str:
    if context is None:
        return "None"
    return f"<SSLContext {context.verify_mode.name}{', host name checked' if context.check_hostname else ''}>"


def _positive(_instance: object, attribute: attrs.Attribute[Any], value: float) -> None:
    if not (value > 0 and math.isfinite(value)):
        raise ConfigurationError(f"{attribute.name} has to be a positive number of seconds, not {value!r}")


def _address(_instance: object, attribute: attrs.Attribute[Any], value: str | None) -> None:
    if value is None:
        return
    try:
        ip_address(value)
    except ValueError:
        raise ConfigurationError(f"{attribute.name} has to be an IP address, not {value!r}") from None


@attrs.frozen(kw_only=True)
class TransportPolicy:
    """How connections leave this machine. One value serves WebSocket and REST, so that both take the same way.

    There is no switch that turns the verification of certificates off. A context that was made without verification
    is taken as it is, because whoever made it wrote that down in a program of their own; it shows in the repr.

    Attributes:
        proxy: The proxy, given as a URL: ``http://user:password@host:port``, ``https://…``, ``socks5://…`` or
            ``socks5h://…``. It is given host names, not addresses: names are resolved where the proxy is. Of the two
            kinds, SOCKS5 needs ``pip install bt_api_base[proxy]``.
        no_proxy: Hosts that are reached without it: names (with everything below them), addresses, or ``"*"``; a text
            is split at its commas.
        ssl_context: TLS settings towards the venue; ``None``: the system's certificates, host names verified.
        proxy_ssl_context: The same towards an ``https://`` proxy.
        local_address: IP address to connect from.
        connect_timeout: Seconds for name look-up, TCP and the proxy together.
        happy_eyeballs_delay: Seconds after which the next address of a host is tried beside the one before.
    """

    proxy: Proxy | None = attrs.field(default=None, converter=_as_proxy)
    no_proxy: tuple[str, ...] = attrs.field(default=(), converter=_as_names)
    ssl_context: ssl.SSLContext | None = attrs.field(default=None, repr=_shown_context)
    proxy_ssl_context: ssl.SSLContext | None = attrs.field(default=None, repr=_shown_context)
    local_address: str | None = attrs.field(default=None, validator=_address)
    connect_timeout: float = attrs.field(default=10.0, validator=_positive)
    happy_eyeballs_delay: float = attrs.field(default=0.25, validator=_positive)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Return a policy with the proxy that the environment names. Nothing else reads the environment.

        It is taken from ``HTTPS_PROXY``, or else from ``ALL_PROXY``, and what is excepted from ``NO_PROXY``; each name
        in lower case comes first. To add to it: ``attrs.evolve(TransportPolicy.from_environment(), …)``.

        Args:
            environ: The environment; ``None``: this process's.

        Raises:
            ConfigurationError: What is there is not the URL of a proxy.
        """
        found = os.environ if environ is None else environ

        def value(*names: str) -> str:
            return next((found[name].strip() for name in names if found.get(name, "").strip()), "")

        url = value("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
        if url and "://" not in url:
            url = f"http://{url}"
        return cls(proxy=url or None, no_proxy=value("no_proxy", "NO_PROXY"))

    def proxy_for(self, host: str) -> Proxy | None:
        """Return the proxy on the way to a host; ``None`` if the way is direct."""
        name = host.lower().rstrip(".")
        excepted = any(entry in {"*", name} or name.endswith(f".{entry}") for entry in self.no_proxy)
        return None if excepted else self.proxy


@lru_cache(maxsize=1)
def default_ssl_context() -> ssl.SSLContext:
    """Return the TLS settings of those who give none: the system's certificates, host names verified."""
    # Reading the system's certificates takes some ten milliseconds: once, not at each reconnection.
    return ssl.create_default_context()
