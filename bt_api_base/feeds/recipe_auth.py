"""Signing requests the way a venue's recipe says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
from typing_extensions import override

from bt_api_base.exceptions import ConfigurationError
from bt_api_base.feeds.endpoint import Security
from bt_api_base.feeds.http_call import CallInfo
from bt_api_base.security.recipes import RequestToSign

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from bt_api_base.feeds.clock import VenueClock
    from bt_api_base.security import Credentials
    from bt_api_base.security.recipes import Recipe

__all__ = ("RecipeAuth",)


class RecipeAuth(httpx.Auth):
    """Signs what an endpoint wants signed, at the moment it is sent, with the venue's time.

    Args:
        recipe: The venue's.
        credentials: Of the account; ``None``: endpoints that want any cannot be asked.
        clock: Tells the venue's time.
        exchange_name: The venue, for errors.
        key_header: Header for the key where an endpoint wants no more than that.
    """

    requires_request_body = True

    def __init__(
        self,
        recipe: Recipe,
        credentials: Credentials | None,
        clock: VenueClock,
        *,
        exchange_name: str = "",
        key_header: str = "",
    ) -> None:
        self._recipe = recipe
        self._credentials = credentials
        self._clock = clock
        self._exchange_name = exchange_name
        self._key_header = key_header

    @override
    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Sign a request, if its endpoint wants that.

        Raises:
            ConfigurationError: It does, and there are no credentials, or none that fit into a header.
        """
        security = CallInfo.of(request).security
        if security is Security.PUBLIC:
            yield request
            return
        credentials = self._credentials
        if credentials is None:
            raise ConfigurationError(
                f"{request.method} {request.url.path} needs credentials", exchange_name=self._exchange_name
            )
        if security is Security.KEY:
            self._add_headers(request, {self._key_header: credentials.api_key.reveal()})
            yield request
            return
        url = request.url
        plain = RequestToSign(
            request.method,
            url.raw_path.partition(b"?")[0].decode("ascii"),
            url.query.decode("ascii"),
            request.content.decode(),
            url.host,
        )
        signed = self._recipe(credentials, plain, timestamp_ns=self._clock.now_ns())
        if signed.body != plain.body:
            raise ConfigurationError("this recipe changes the body: send parameters in the query instead")
        request.url = url.copy_with(query=signed.query.encode("ascii") or None)
        self._add_headers(request, signed.headers)
        yield request

    def _add_headers(self, request: httpx.Request, headers: Mapping[str, str]) -> None:
        try:
            request.headers.update(headers)
        except UnicodeEncodeError:
            pass  # it repeats what it was about, which is the key or the passphrase
        else:
            return
        problem = "the key or the passphrase has characters that are none of a header: was all of it copied right?"
        raise ConfigurationError(problem, exchange_name=self._exchange_name)
