"""The class that all others derive from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, TypedDict

from bt_api_base._redaction import redact_text

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = (
    "BtApiError",
    "ErrorContext",
    "bracketed",
)


class ErrorContext(TypedDict, total=False):
    """Keywords that every class takes; `BtApiError` describes them."""

    code: int | str | None
    venue_code: int | str | None
    venue_message: str | None
    retryable: bool | None


class BtApiError(Exception):
    """Base class of everything this package raises on purpose.

    Args:
        message: What happened.
        exchange_name: The venue, such as ``"BINANCE___SPOT"``; empty where none is concerned.
        code: This ecosystem's code of the error, where one has been assigned.
        venue_code: The venue's own code.
        venue_message: The venue's own words, verbatim but for secrets.
        retryable: Whether the same attempt may succeed later; ``None``: what is usual for the class.

    Attributes:
        detail: The ``message`` (the ``detail`` of the subclasses).
        exchange_name: As above.
        code: As above.
        venue_code: As above.
        venue_message: As above; ``None`` if the venue said nothing.
        retryable: Whether a retry can help.
        user_recoverable: Whether the caller can put it right: a setting, a symbol, an order, a key.
    """

    retryable: bool = False
    user_recoverable: ClassVar[bool] = False

    def __init__(
        self,
        message: str = "",
        *,
        exchange_name: str | None = "",
        code: int | str | None = None,
        venue_code: int | str | None = None,
        venue_message: str | None = None,
        retryable: bool | None = None,
    ) -> None:
        self.detail = redact_text(str(message))
        super().__init__(self.detail)
        self.exchange_name = exchange_name or ""
        self.code = code
        self.venue_code = venue_code
        self.venue_message = None if venue_message is None else redact_text(str(venue_message))
        if retryable is not None:
            self.retryable = retryable

    def _summary(self) -> str:
        """Return what happened, from the attributes of the class and without `detail`."""
        return ""

    @property
    def message(self) -> str:
        """The whole text, as `str` gives it."""
        return str(self)

    def __str__(self) -> str:
        text = ": ".join(part for part in (self.exchange_name, self._summary(), self.detail) if part)
        venue = "" if self.venue_code is None else f"venue code {self.venue_code}"
        if self.venue_message and self.venue_message not in text:
            venue = f"{venue}: {self.venue_message}" if venue else f"venue: {self.venue_message}"
        if venue:
            text = f"{text} ({venue})" if text else venue
        return text or type(self).__name__

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in vars(self).items() if not _is_void(name, value))
        return f"{type(self).__name__}({given})"

    def __reduce__(self) -> tuple[Callable[..., BtApiError], tuple[Any, ...]]:
        # Subclasses differ in their parameters, and __init__ has redacted already: restore the state alone.
        return _restore, (type(self), self.args, dict(vars(self)))


def _is_void(name: str, value: object) -> bool:
    return name.startswith("__") or value is None or value in ("", ())


def _restore(cls: type[BtApiError], args: tuple[object, ...], state: dict[str, Any]) -> BtApiError:
    """Make an exception again from its pickled state."""
    error = cls.__new__(cls, *args)
    error.args = args
    vars(error).update(state)
    return error


def bracketed(parts: list[str]) -> str:
    """Return what is known in brackets, after a space; nothing where nothing is known."""
    return f" ({', '.join(parts)})" if parts else ""
