"""A text that does not show, and that is not masked where others show it."""

from __future__ import annotations

__all__ = ("HiddenText",)


class HiddenText:
    """Holds a text that may have secrets in it, so that no frame of a traceback has it among its variables.

    Unlike a `Secret` it makes no log record more expensive: most of such texts are none.

    Args:
        text: The text.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text."""
        return self._text
