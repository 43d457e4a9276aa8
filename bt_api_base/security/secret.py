"""A text that does not show."""

from __future__ import annotations

from typing import NoReturn

from typing_extensions import override

__all__ = ("Secret",)


class Secret:
    """A text that shows in no repr, log, format or pickle; `reveal` is the only way to it.

    Args:
        value: The text.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the text, for the one place that needs it."""
        return self._value

    @override
    def __repr__(self) -> str:
        return "Secret('***')"

    @override
    def __str__(self) -> str:
        return "***"

    @override
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    @override
    def __hash__(self) -> int:
        return hash(self._value)

    def __bool__(self) -> bool:
        return bool(self._value)

    @override
    def __reduce__(self) -> NoReturn:
        msg = "a Secret cannot be pickled: reveal it where it is needed, and nowhere else"
        raise TypeError(msg)
