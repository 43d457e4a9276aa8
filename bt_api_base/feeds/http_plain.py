"""Requests as plugins make them: any URL, JSON back, and no table of errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import httpx
import msgspec

from bt_api_base.exceptions import AuthenticationError, ConfigurationError, RateLimitError, RequestFailedError
from bt_api_base.feeds.errors import retry_after, words_of
from bt_api_base.feeds.http_call import CallInfo, PendingCall
from bt_api_base.transport import TransportPolicy

__all__ = ("plain_call", "plain_reply", "policy_of")

_GONE: Final = frozenset({404, 410})


def plain_call(  # noqa: PLR0917 - the order of older programs
    method: str,
    url: str,
    headers: Mapping[str, str] | None,
    params: Any,  # noqa: ANN401 - whatever httpx takes
    json_data: Any,  # noqa: ANN401 - whatever is JSON
    data: Any,  # noqa: ANN401 - text, bytes or a form
    cookies: Mapping[str, str] | None,
    timeout: float,
) -> PendingCall:
    """Return a call of no endpoint.

    Raises:
        ConfigurationError: It is not the URL of anything that HTTP reaches.
    """
    body: dict[str, Any] = {"content": data} if isinstance(data, (str, bytes)) else {"data": data}
    if json_data is not None:
        body = {"json": json_data}
    problem = ""
    try:
        # httpx would put the parameters in the place of those in the URL.
        whole = httpx.URL(url).copy_merge_params(params) if params else url
        draft = httpx.Request(method.upper(), whole, headers=headers, cookies=_plain(cookies), **body)
    except httpx.InvalidURL as error:
        problem = str(error)
        draft = httpx.Request("GET", "")
    if problem or not draft.url.host:
        raise ConfigurationError(f"not a URL that can be asked: {problem or url}")
    sent = httpx.Headers(headers)
    for name in ("Content-Type", "Cookie"):
        if name in draft.headers:
            sent[name] = draft.headers[name]
    return PendingCall(
        info=CallInfo(path=draft.url.path),
        method=draft.method,
        url=str(draft.url),
        plain_url=str(draft.url.copy_with(query=None, fragment=None)),
        timeout=timeout,
        content=draft.read() or None,
        headers=sent,
    )


def _plain(cookies: Mapping[str, str] | None) -> dict[str, str] | None:
    return None if cookies is None else dict(cookies)


def plain_reply(exchange_name: str, call: PendingCall, response: httpx.Response, body: bytes, *, now_ns: int) -> Any:  # noqa: ANN401 - JSON
    """Return the JSON of an answer, of errors too: a venue says there what is wrong.

    Returns:
        The JSON; for a success that is none, its ``text`` and ``status_code``.

    Raises:
        RateLimitError: Status 429, and no JSON.
        AuthenticationError: Status 401 or 403, and no JSON.
        RequestFailedError: Another error without JSON, any status of 500 and more, and 404 and 410 always.
    """
    status = response.status_code
    reply: Any = msgspec.UNSET
    try:
        reply = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        if status < 400:
            return {"text": body.decode("utf-8", "replace"), "status_code": status}
    if status < 400 or (reply is not msgspec.UNSET and status < 500 and status not in _GONE):
        return reply
    words = words_of(body)
    if status == 429:
        raise RateLimitError(exchange_name, retry_after(response.headers, now_ns), words)
    if status in {401, 403}:
        raise AuthenticationError(exchange_name, words)
    raise RequestFailedError(exchange_name, call.plain_url, words, status_code=status)


def policy_of(
    policy: TransportPolicy | None, *, verify: bool, proxies: str | Mapping[str, str] | None
) -> TransportPolicy | None:
    """Return the transport policy for the options of older programs.

    Args:
        policy: The policy, where there is one.
        verify: Has to be true.
        proxies: The URL of a proxy, or a mapping to one from ``"https"``, ``"http"`` or ``"all"``, also ``"https://"``.

    Raises:
        ConfigurationError: Certificates were not to be verified, or there is a policy already.
    """
    if verify is not True:
        raise ConfigurationError(
            "certificates are always verified; authorities of your own go into TransportPolicy(ssl_context=...)"
        )
    if isinstance(proxies, Mapping):
        found = {scheme.removesuffix("://"): url for scheme, url in proxies.items() if url}
        proxies = next((found[scheme] for scheme in ("https", "http", "all") if scheme in found), None)
    if not proxies:
        return policy
    if policy is not None:
        raise ConfigurationError("the proxy is said by a policy or by proxies, not by both")
    return TransportPolicy(proxy=proxies)
