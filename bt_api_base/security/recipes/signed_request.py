"""What a recipe is given and what it returns, and how the parts of a request are written."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING, NoReturn, Protocol, TypeAlias, cast
from urllib.parse import quote

import attrs
from typing_extensions import override

from bt_api_base._redaction import MASK
from bt_api_base.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bt_api_base.security.credentials import Credentials
    from bt_api_base.security.secret import Secret

__all__ = (
    "ParameterValue",
    "Recipe",
    "RequestToSign",
    "SignedRequest",
    "iso_milliseconds",
    "parameter_text",
    "passphrase_of",
    "percent_encoded",
)

ParameterValue: TypeAlias = "str | int"
"""A parameter as it is signed, booleans as in JSON.

Decimal numbers are given as text: only then is what is signed what is sent.
"""


@attrs.frozen
class RequestToSign:
    """A request as it is about to be sent.

    Attributes:
        method: The HTTP method.
        path: The path, with a leading slash, as it is sent.
        query: The query without the question mark, percent-encoded (`percent_encoded`), as it is sent.
        body: The body, as it is sent.
        host: The host's name, for the venues that sign it, too.
    """

    method: str
    path: str
    query: str = attrs.field(default="", repr=False)
    body: str = attrs.field(default="", repr=False)
    host: str = ""

    @property
    def target(self) -> str:
        """The path with its query, as a request line has it."""
        return f"{self.path}?{self.query}" if self.query else self.path


class SignedRequest:
    """What is to be sent in place of what was signed. It has keys in it, and shows none of them; it is not pickled.

    Attributes:
        query: The whole query without the question mark, percent-encoded.
        body: The whole body.
        headers: Headers to be added.
    """

    __slots__ = ("body", "headers", "query")

    def __init__(self, *, query: str = "", body: str = "", headers: Mapping[str, str] | None = None) -> None:
        self.query = query
        self.body = body
        self.headers: dict[str, str] = {} if headers is None else dict(headers)

    @override
    def __repr__(self) -> str:
        return f"SignedRequest({MASK})"

    @override
    def __reduce__(self) -> NoReturn:
        raise TypeError("a SignedRequest cannot be pickled: it is sent, and nothing else")

    def __getstate__(self) -> NoReturn:
        self.__reduce__()


class Recipe(Protocol):
    """What signs a request the way a venue wants it; some take options of their own, too."""

    def __call__(self, credentials: Credentials, request: RequestToSign, *, timestamp_ns: int) -> SignedRequest:
        """Return what is to be sent.

        Args:
            credentials: The account's.
            request: What is to be asked.
            timestamp_ns: The venue's time, as far as it is known: nanoseconds since 1970 (UTC). Venues that want a
                number that only grows are given it from this, too, unless another is given.
        """
        ...


def percent_encoded(parameters: Mapping[str, ParameterValue] | Iterable[tuple[str, ParameterValue]]) -> str:
    """Return parameters as a query or a form: in their order, everything but letters, digits and ``-._~`` encoded.

    That is RFC 3986, a space as ``%20``: no client finds anything in it to encode again, and what was signed is what is
    sent.

    Raises:
        TypeError: A value is neither text, an integer nor a boolean.
    """
    if isinstance(parameters, Mapping):
        parameters = cast("Mapping[str, ParameterValue]", parameters).items()
    return "&".join(f"{quote(name, '')}={quote(parameter_text(name, value), '')}" for name, value in parameters)


def parameter_text(name: str, value: object) -> str:
    """Return the text of a parameter.

    Args:
        name: Its name, for the error.
        value: Its value.

    Raises:
        TypeError: It is neither text, an integer nor a boolean.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int)):
        return str(value)
    raise TypeError(f"parameter {name!r}: give decimal numbers as text, not as {type(value).__name__}")


def iso_milliseconds(timestamp_ns: int) -> str:
    """Return a time as ISO 8601 has it, UTC, with milliseconds (the rest cut off) and ``Z``."""
    seconds, rest_ns = divmod(timestamp_ns, 1_000_000_000)
    moment = datetime.fromtimestamp(seconds, timezone.utc)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{rest_ns // 1_000_000:03}Z"


def passphrase_of(credentials: Credentials, venue: str) -> Secret:
    """Return the passphrase of credentials.

    Raises:
        ConfigurationError: They have none.
    """
    if credentials.passphrase is None:
        raise ConfigurationError("a key of this venue has a passphrase, and none was given", exchange_name=venue)
    return credentials.passphrase
