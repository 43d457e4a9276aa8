"""From the parameters of a call to its query or its body."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias, cast
from urllib.parse import quote, quote_plus

import msgspec

__all__ = ("BodyStyle", "Parameter", "Parameters", "encode_json", "encode_query")

Parameter: TypeAlias = "str | int | bool | None"
"""The value of a parameter: decimal numbers as text, so that what is meant is what is sent."""

Parameters: TypeAlias = "Mapping[str, Parameter] | Sequence[Mapping[str, Parameter]]"
"""The parameters of a call; a sequence for venues that take several at a time as JSON."""


class BodyStyle(str, enum.Enum):
    """Where the parameters of methods that have a body go: those of GET and DELETE are always in the query."""

    QUERY = "query"
    """In the query all the same, as Binance recommends."""
    FORM = "form"
    """In the body, as a web form."""
    JSON = "json"
    """In the body, as JSON."""

    def __str__(self) -> str:
        return self.value


_json: Final = msgspec.json.Encoder()


def encode_query(params: Parameters, *, plus: bool = False) -> str:
    """Return parameters as a query string, percent-encoded, in their order and without those that are ``None``.

    Args:
        params: The parameters.
        plus: Write spaces as plus signs, as web forms do.

    Raises:
        TypeError: They are several sets at once, which only JSON can say, or a value is of another type.
    """
    if not isinstance(params, Mapping):
        raise TypeError("several sets of parameters at once go into a JSON body only")
    quoted = quote_plus if plus else quote
    return "&".join(
        f"{quoted(name, safe='')}={quoted(_text(name, value), safe='')}"
        for name, value in params.items()
        if value is not None
    )


def encode_json(params: Parameters) -> bytes:
    """Return parameters as compact JSON, in their order and without those that are ``None``."""
    if isinstance(params, Mapping):
        return _json.encode(_given(params))
    return _json.encode([_given(one) for one in params])


def _given(params: Mapping[str, Parameter]) -> dict[str, Parameter]:
    return {name: value for name, value in params.items() if value is not None}


def _text(name: str, value: Parameter) -> str:
    if type(value) is str:
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, str):
        return cast("str", getattr(value, "value", value))
    raise TypeError(f"parameter {name!r}: give decimal numbers as text, not as {type(value).__name__}")
