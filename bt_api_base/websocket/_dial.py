"""From a URL to an open connection: address, TCP, TLS and the opening handshake (RFC 6455, 4.1)."""

from __future__ import annotations

import logging
import re
import ssl
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import unquote, unquote_plus

import anyio
import attrs
from anyio.streams.tls import TLSStream
from websockets.exceptions import InvalidStatus, InvalidURI
from websockets.extensions.permessage_deflate import enable_client_permessage_deflate
from websockets.protocol import State
from websockets.typing import Subprotocol
from websockets.uri import WebSocketURI, parse_uri

from bt_api_base._redaction import LONG_SEGMENT
from bt_api_base.exceptions import AuthenticationError, ConfigurationError, NetworkError, WebSocketError
from bt_api_base.transport.connectors import release_stream
from bt_api_base.transport.policy import default_ssl_context
from bt_api_base.websocket.frames import LenientCloseProtocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from anyio.abc import ByteStream
    from websockets.http11 import Response

    from bt_api_base.transport.connectors import Connector

_MAX_HEAD: Final = 64 * 1024
"""Bytes of a handshake's response before its body; the protocol also limits each line and their number."""

_REFUSAL_BODY_WAIT: Final = 1.0
"""Seconds to wait for the body of a refusal, which may say why."""

_REFUSAL_BODY_SHOWN: Final = 500
"""Characters of it that go into the error."""

_TEMPORARY_REFUSALS: Final = frozenset({403, 408, 418, 425, 429})
"""HTTP statuses below 500 that may pass: besides those that say so, the ones that firewalls use against floods
(Binance: 403 for its web application firewall, 418 for a banned address)."""

_OWN_HEADERS: Final = frozenset({"connection", "upgrade", "content-length", "transfer-encoding"})
_HARMLESS_HEADERS: Final = frozenset({"accept", "accept-language", "host", "origin", "user-agent"})
_HEADER_NAME: Final = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+")
_HEADER_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: ([^\r\n]*))?\r?\n")

# The protocol logs whole frames and the request line at DEBUG level, and those may hold secrets.
_silent = logging.Logger("bt_api_base.websocket.protocol", level=logging.CRITICAL + 1)  # noqa: LOG001  # must not be found, and so switched on, by its name


@attrs.frozen(kw_only=True)
class Dialled:
    """A connection whose opening handshake is done.

    Attributes:
        stream: The byte stream, TLS included.
        protocol: The Sans-I/O protocol, in state OPEN and at the boundary of the first frame.
        first_bytes: What came in one read with the end of the handshake.
        response_headers: Headers of the response, names in lower case.
    """

    stream: ByteStream
    protocol: LenientCloseProtocol
    first_bytes: bytes
    response_headers: Mapping[str, str]


def parse_url(url: str) -> WebSocketURI:
    """Parse a ``ws://`` or ``wss://`` URL.

    Raises:
        ConfigurationError: It is not one. The text leaves out the URL, which may hold secrets.
    """
    uri, problem = _parsed(url)
    if uri is None:
        # Outside of any handler: the library's exception, with the URL in it, would stay in sight as the context.
        raise ConfigurationError(f"not a WebSocket URL: {problem}")
    return uri


def _parsed(url: str) -> tuple[WebSocketURI | None, str]:
    """Return the parsed URL, or what is wrong with it."""
    try:
        uri = parse_uri(url)
        uri.host.encode("idna")
    except InvalidURI as error:
        return None, error.msg
    except ValueError as error:  # from urllib, about the port, or from the codec, about the host
        return None, type(error).__name__
    if re.search(r"[\x00-\x20\x7f]", uri.resource_name):
        return None, "white space or control characters in its path"
    return uri, ""


def safe_url(uri: WebSocketURI) -> str:
    """Return the URL for texts and logs: no user, password or query, and no key-like part of the path.

    Venues put secrets there too: Binance's user data stream has its listen key as the last part of the path.
    """
    host = f"[{uri.host}]" if ":" in uri.host else uri.host
    default = 443 if uri.secure else 80
    port = "" if uri.port == default else f":{uri.port}"
    return f"{'wss' if uri.secure else 'ws'}://{host}{port}{_without_secret_parts(uri).path}"


def _without_secret_parts(uri: WebSocketURI) -> WebSocketURI:
    return WebSocketURI(uri.secure, uri.host, uri.port, LONG_SEGMENT.sub("***", uri.path), "")


async def dial(
    uri: WebSocketURI,
    *,
    subprotocols: Sequence[str],
    headers: Mapping[str, str] | None,
    ssl_context: ssl.SSLContext | None,
    compression: bool,
    max_message_size: int | None,
    connect_timeout: float,
    connector: Connector,
) -> Dialled:
    """Connect and shake hands, within ``connect_timeout`` seconds in all; see `open_websocket`.

    Raises:
        WebSocketError: No connection, no TLS, no valid handshake, or none of it in time.
        ConfigurationError: The headers cannot be sent.

    Cancellation:
        The socket is released.
    """
    protocol = LenientCloseProtocol(
        uri,
        extensions=enable_client_permessage_deflate(None) if compression else None,
        subprotocols=[Subprotocol(name) for name in subprotocols] or None,
        max_size=max_message_size,
        logger=_silent,
    )
    request = protocol.connect()
    for name, value in checked_headers(headers):
        if name.lower() == "host":
            del request.headers["Host"]
        request.headers[name] = value
    if "User-Agent" not in request.headers:
        from bt_api_base import __version__

        request.headers["User-Agent"] = f"bt_api_base/{__version__}"
    protocol.send_request(request)
    # The request is made: nobody who looks at the connection later need find what it was made with.
    protocol.uri = _without_secret_parts(uri)

    stream: ByteStream | None = None
    phase = "connecting"
    try:
        with anyio.move_on_after(connect_timeout):
            stream = await connector(uri.host, uri.port)
            if uri.secure:
                phase = "in the TLS handshake"
                stream = await TLSStream.wrap(
                    stream,
                    server_side=False,
                    hostname=uri.host,
                    ssl_context=ssl_context or default_ssl_context(),
                    # The closing handshake of WebSocket tells a cut from an end; many servers skip that of TLS.
                    standard_compatible=False,
                )
            phase = "in the opening handshake"
            first_bytes, response_headers = await _shake_hands(stream, protocol, uri, headers or {})
            return Dialled(stream=stream, protocol=protocol, first_bytes=first_bytes, response_headers=response_headers)
        raise _error(uri, f"no answer within {connect_timeout:g} s while {phase}", TimeoutError())
    except BaseException as error:
        if stream is not None:
            await release_stream(stream)
        if isinstance(error, ssl.SSLError):
            raise tls_error(uri, error) from error
        translated = connect_error(uri, phase, error)
        if translated is not None:
            raise translated from error
        raise


def connect_error(uri: WebSocketURI, phase: str, error: BaseException) -> WebSocketError | None:
    """Return what ended an attempt as a `WebSocketError`; ``None`` where it is none of the network's doing."""
    if isinstance(error, WebSocketError):
        return None
    if isinstance(error, (NetworkError, AuthenticationError)):
        detail = f"connection failed while {phase}: {error}"
        return WebSocketError("", detail, url=safe_url(uri), retryable=error.retryable)
    if isinstance(error, (OSError, anyio.BrokenResourceError, anyio.EndOfStream)):
        return WebSocketError("", f"connection failed while {phase}: {_words(error)}", url=safe_url(uri))
    return None


async def _shake_hands(
    stream: ByteStream, protocol: LenientCloseProtocol, uri: WebSocketURI, sent: Mapping[str, str]
) -> tuple[bytes, Mapping[str, str]]:
    """Send the request and read the response; return what came after it, and its headers."""
    await stream.send(b"".join(protocol.data_to_send()))
    head = bytearray()
    while True:
        searched = max(0, len(head) - 3)
        try:
            head += await stream.receive()
        except anyio.EndOfStream as error:
            raise _error(uri, "the server hung up in the opening handshake", error) from error
        end = head.find(b"\r\n\r\n", searched)
        # The end is where the protocol sees it: it accepts no line without CR LF.
        if end >= 0:
            break
        if len(head) > _MAX_HEAD:
            raise _error(uri, f"the handshake's response has no end within {_MAX_HEAD} bytes")
        if b"\n" in head and _STATUS_LINE.match(head) is None:
            raise _error(uri, "the answer to the opening handshake is not HTTP")
    end += 4
    protocol.receive_data(bytes(head[:end]))
    rest = bytes(head[end:])
    if protocol.state is State.OPEN:
        (response,) = protocol.events_received()
        return rest, _flat_headers(cast("Response", response))
    await _read_refusal(stream, protocol, rest)
    # Not "from" the protocol's exception: its repr has the whole response, and the response may repeat a secret.
    raise _refusal(uri, protocol, bytes(head[:end]), sent) from None


async def _read_refusal(stream: ByteStream, protocol: LenientCloseProtocol, rest: bytes) -> None:
    """Feed the protocol the body of a response that is no 101, as far as it comes soon."""
    with anyio.move_on_after(_REFUSAL_BODY_WAIT):
        while protocol.handshake_exc is None:
            if rest:
                protocol.receive_data(rest)
                rest = b""
                continue
            try:
                rest = await stream.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError, OSError):
                protocol.receive_eof()
                return


def _refusal(uri: WebSocketURI, protocol: LenientCloseProtocol, head: bytes, sent: Mapping[str, str]) -> WebSocketError:
    """Describe a handshake that failed after a response had come."""
    status_line = _STATUS_LINE.match(head)
    if status_line is None:
        return _error(uri, "the answer to the opening handshake is not HTTP")
    status, phrase = int(status_line[1]), (status_line[2] or b"").decode("latin-1")
    if status == 101:
        detail = f"the server's handshake is invalid: {protocol.handshake_exc}"
        return _error(uri, _without_secrets(detail, uri, sent))
    if not isinstance(protocol.handshake_exc, InvalidStatus):
        return refusal_error(uri, status, phrase, b"", {}, sent)
    response = protocol.handshake_exc.response
    return refusal_error(uri, status, phrase, bytes(response.body), _flat_headers(response), sent)


def refusal_error(  # noqa: PLR0917 - the parts of a response, in their order
    uri: WebSocketURI, status: int, phrase: str, body: bytes, headers: Mapping[str, str], sent: Mapping[str, str]
) -> WebSocketError:
    """Describe a handshake that the server refused with an HTTP response.

    Args:
        uri: Where the connection was to lead.
        status: The response's status,
        phrase: its reason phrase,
        body: its body,
        headers: and its headers, their names in lower case.
        sent: The caller's own headers of the request; what a server repeats of their values is blanked out.
    """
    phrase = _without_secrets(phrase, uri, sent)
    detail = f"the server refused the connection with HTTP {status} {phrase}".rstrip()
    if 300 <= status < 400:
        # To follow it would be to send credentials wherever the server points to.
        detail += "; redirects are not followed"
    # Cut last: half a secret would not be recognized.
    words = _without_secrets(body.decode(errors="replace"), uri, sent)[:_REFUSAL_BODY_SHOWN]
    return WebSocketError(
        "",
        detail,
        url=safe_url(uri),
        venue_code=status,
        venue_message=words or None,
        retryable=status >= 500 or status in _TEMPORARY_REFUSALS,
        retry_after=_retry_after(headers),
    )


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that ``Retry-After`` asks to wait (RFC 9110, section 10.2.3); ``None`` if it does not."""
    value = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,9}", value):
        return float(value)
    until = _http_date(value)
    if until is None:
        return None
    # By the server's own clock where it shows it: ours may be wrong.
    now = _http_date(headers.get("date", ""))
    return max(0.0, until - (time.time() if now is None else now))


def _http_date(value: str) -> float | None:
    try:
        return parsedate_to_datetime(value).timestamp()
    except (ValueError, OverflowError):
        return None


def tls_error(uri: WebSocketURI, error: ssl.SSLError) -> WebSocketError:
    """Describe a TLS handshake that failed."""
    # A certificate that does not fit now will not fit in a minute.
    hopeless = isinstance(error, ssl.SSLCertVerificationError)
    detail = f"TLS failed: {getattr(error, 'verify_message', '') or error.reason or error}"
    return WebSocketError("", detail, url=safe_url(uri), retryable=not hopeless)


def _without_secrets(text: str, uri: WebSocketURI, sent: Mapping[str, str]) -> str:
    """Blank out what a server may repeat of a request: of the URL what `safe_url` leaves out, and of its headers."""
    parts = {uri.query, *re.split(r"[&=]", uri.query), *LONG_SEGMENT.findall(uri.path)}
    parts.update(part for part in (uri.username, uri.password) if part)
    for name, value in sent.items():
        if name.lower() not in _HARMLESS_HEADERS:
            parts.update((value, *value.split()))
    secrets = {spelling for part in parts if len(part) > 3 for spelling in (part, unquote(part), unquote_plus(part))}
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "***")
    return " ".join(text.split())


def checked_headers(headers: Mapping[str, str] | None) -> list[tuple[str, str]]:
    """Return the caller's headers, all fit to be sent."""
    items = list(headers.items()) if headers else []
    for name, value in items:
        # The value stays out of the text: it may be a token.
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
            raise ConfigurationError(f"header {name!r} has characters that HTTP does not allow")
        if name.lower() in _OWN_HEADERS or name.lower().startswith("sec-websocket-"):
            raise ConfigurationError(f"header {name!r} belongs to the WebSocket handshake")
    return items


def _flat_headers(response: Response) -> Mapping[str, str]:
    headers: dict[str, str] = {}
    for name, value in response.headers.raw_items():
        key = name.lower()
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    return headers


def _error(uri: WebSocketURI, detail: str, cause: BaseException | None = None) -> WebSocketError:
    error = WebSocketError("", detail, url=safe_url(uri))
    error.__cause__ = cause
    return error


def _words(error: BaseException) -> str:
    """Return an exception's text, or that of its cause where it has none."""
    return str(error) or (str(error.__cause__) if error.__cause__ else "") or type(error).__name__


__all__ = (
    "Dialled",
    "checked_headers",
    "connect_error",
    "dial",
    "parse_url",
    "refusal_error",
    "safe_url",
    "tls_error",
)
