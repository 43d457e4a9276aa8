"""A text that does not show."""

from __future__ import annotations

import hmac
import threading
from typing import TYPE_CHECKING, Any, Final, NoReturn

from typing_extensions import Self, override

from bt_api_base._redaction import MASK, forget_secret, register_secret

if TYPE_CHECKING:
    from bt_api_base.security._hidden import HiddenText

__all__ = ("Secret", "as_secret", "text_of")

_MIN_MASKED: Final = 12
"""Shorter texts are not masked by value: they may be words, as the ``password`` of an example is."""

_MAX_MASKED: Final = 64
"""Texts that are masked by value at a time: each makes every log record a little more expensive."""

_masked: Final[dict[str, None]] = {}
_lock: Final = threading.Lock()


def _mask(value: str) -> None:
    """Mask a text from now on, in place of the oldest one if there are many."""
    with _lock:
        if value in _masked:
            return
        register_secret(value)
        _masked[value] = None
        if len(_masked) > _MAX_MASKED:
            oldest = next(iter(_masked))
            del _masked[oldest]
            forget_secret(oldest)


class Secret:
    """A text that shows in no repr, format, log, pickle or serialization; `reveal` is the only way to it.

    From its creation on the text is also masked wherever it turns up in the exceptions and log records of this package,
    say because a venue repeats an API key in its answer. That holds for texts of twelve characters and more, for the
    64 newest of them, and until `forget`.

    A copy is the object itself. It cannot be pickled: what goes to another process is revealed on purpose, or read
    there from where it was read here.

    Args:
        value: The text.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        if not isinstance(value, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # programs are not all checked
            # Only the kind: what was given may be the secret in another form.
            raise TypeError(f"a Secret is made from text, not from {type(value).__name__}")
        self._value = value
        if len(value) >= _MIN_MASKED:
            _mask(value)

    def reveal(self) -> str:
        """Return the text, for the one place that needs it."""
        return self._value

    def forget(self) -> None:
        """Mask the text no longer where others show it: a session key, say, that has expired."""
        with _lock:
            _masked.pop(self._value, None)
            forget_secret(self._value)

    @override
    def __repr__(self) -> str:
        return f"Secret({MASK!r})"

    @override
    def __str__(self) -> str:
        return MASK

    @override
    def __format__(self, format_spec: str) -> str:
        return format(MASK, format_spec)

    @override
    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        mine, theirs = (text.encode("utf-8", "surrogatepass") for text in (self._value, other._value))
        return hmac.compare_digest(mine, theirs)

    @override
    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __bool__(self) -> bool:
        return bool(self._value)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    @override
    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret cannot be pickled: reveal it where it is needed, and nowhere else")

    def __getstate__(self) -> NoReturn:
        # Since Python 3.11 every object has it, and hands out its slots, also to those that serialize without pickle.
        self.__reduce__()


def as_secret(text: Secret | str) -> Secret:
    """Return a secret of a text that may be one already."""
    return text if isinstance(text, Secret) else Secret(text)


def text_of(secret: Secret | HiddenText | str) -> str:
    """Return the text of a secret that may be plain text already."""
    return secret if isinstance(secret, str) else secret.reveal()
