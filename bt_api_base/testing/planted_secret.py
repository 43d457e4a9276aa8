"""Credentials that must not turn up anywhere, and the search for them.

A test asks for the fixture `planted_secret`, gives what it returns to the code under test, and goes on as any test.
When it is over, everything that was logged, printed or warned about is searched, and the test fails if a planted value
is found, in plain or in one of the spellings that hide it from a plain search: quoted for a URL, Base64 (also in the
middle of something longer, as in HTTP's Basic), hexadecimal, escaped, in another case, backwards, or a part of it.

Example:
    ```python
    async def test_a_refused_key_is_not_shown(planted_secret):
        with pytest.raises(AuthenticationError) as caught:
            await log_in(planted_secret.credentials)
        planted_secret.check(caught.value)
    ```

It finds what is handed to it. A core dump, a debugger or a traceback with local variables shows more.
"""

from __future__ import annotations

import logging
import secrets
from collections import Counter
from typing import TYPE_CHECKING, Final, cast

from bt_api_base.security import Credentials
from bt_api_base.testing._needles import Needles
from bt_api_base.testing._reachable import reachable
from bt_api_base.testing._shown_texts import shown_shortly, shown_texts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ("LeakedSecretError", "PlantedSecret", "RecordingHandler")

_MIN_LENGTH: Final = 16
"""A shorter value could be found by chance."""


class LeakedSecretError(AssertionError):
    """A planted value was found. The text says which, in which spelling and where, and never what it is."""


class PlantedSecret:
    """Fake credentials, new for each test, and the search for them.

    Attributes:
        value: A planted value like others, for wherever one is enough.
        credentials: An API key, a secret and a passphrase; all planted.
    """

    def __init__(self) -> None:
        self._planted: dict[str, Needles] = {}
        self.value = self.plant("value")
        # Like real ones: letters and digits; more of them; and characters that every encoding treats in its own way.
        key, secret, phrase = self.plant("api_key"), self.plant("secret", length=64), self.plant("passphrase", odd=True)
        self.credentials = Credentials(key, secret, phrase)

    def plant(self, name: str, value: str | None = None, *, length: int = 40, odd: bool = False) -> str:
        """Return a value that must not turn up from now on.

        Args:
            name: What the error is to call it.
            value: A value that came about elsewhere, such as a session key; ``None``: a new one at random.
            length: Characters of a new one.
            odd: Whether a new one has characters in it that are quoted in URLs, JSON and elsewhere.
        """
        if value is None:
            value = secrets.token_hex(length)[: length - 1]
            # In both cases, so that a change of case shows; and beginning with a letter, as a number would be another.
            value = "k" + "".join(one.upper() if secrets.randbelow(2) else one for one in value)
            if odd:
                value = f"{value[:8]} +{value[8:16]}/&={value[16:24]}%\"'{value[24:]}\\é"
        elif len(value) < _MIN_LENGTH:
            raise ValueError(f"a planted value has at least {_MIN_LENGTH} characters, or it would be found by chance")
        self._planted[name] = Needles(value)
        return value

    def find(self, text: str | bytes) -> str:
        """Return the name and the spelling of a planted value in a text; nothing if there is none."""
        if isinstance(text, bytes):
            # Each byte as one character, and again as what they may be text in.
            found = self.find(text.decode("latin-1"))
            return found if found or text.isascii() else self.find(text.decode("utf-8", "ignore"))
        folded = text.casefold()
        for name, spellings in self._planted.items():
            spelling = spellings.find(folded)
            if spelling:
                return f"{name} ({spelling})"
        return ""

    def masked(self, text: str) -> str:
        """Return a text without the planted values in it."""
        for spellings in self._planted.values():
            if spellings.find(text.casefold()):
                text = spellings.masked(text)
        return text

    def check(self, *objects: object) -> None:
        """Look for the planted values in whatever shows of objects.

        Searched are, of each: its `repr`, `str` and `format`; its pickle; how json, msgspec and attrs serialize it; of
        a text or of bytes, itself; of collections, every item; of an exception, its traceback as Python prints it, its
        arguments, attributes and notes, and all of that of its cause, its context (also where it is suppressed) and
        the exceptions in a group.

        Raises:
            LeakedSecretError: One was found.
        """
        for place, text in shown_texts(objects):
            self._fail_if_found(text, place)

    def check_text(self, text: str | bytes, place: str) -> None:
        """Look for the planted values in a text.

        Args:
            text: The text.
            place: Where it is from, for the error.

        Raises:
            LeakedSecretError: One was found.
        """
        self._fail_if_found(text, place)

    def check_reachable(self, *roots: object, given: Iterable[object] = ()) -> Counter[str]:
        """Look for the planted values in whatever can be reached from objects, however deep inside of them.

        Texts and bytes are searched, and of everything else that is reached its `repr`, `str` and pickle. What is
        reached are attributes, slots and items, what functions have closed over, and the causes of exceptions; not what
        is inside of a `Secret`, the one place for a secret.

        Args:
            *roots: Where to begin: a manager, a connection, an exception.
            given: What a test has itself put a planted value into, such as settings whose URL has one: of these there
                is searched what they show, and not what they are made of.

        Returns:
            How many objects were reached, by the name of their type, for a test to see that it got to where it wanted.

        Raises:
            LeakedSecretError: One was found.
        """
        reached: Counter[str] = Counter()
        searched: set[str | bytes] = set()
        for place, one in reachable(roots, closed=given):
            reached[type(one).__name__] += 1
            if isinstance(one, (str, bytes, bytearray, memoryview)):
                self._fail_if_found(one if isinstance(one, str) else bytes(cast("bytes", one)), place)
            else:
                for name, text in shown_shortly(one):
                    if text not in searched:
                        searched.add(text)
                        self._fail_if_found(text, f"the {name} of {place}")
        return reached

    def _fail_if_found(self, text: str | bytes, place: str) -> None:
        found = self.find(text)
        if found:
            # Not the text: the report of a failed test is read by many. Raised outside of any handler, as the context
            # of an exception would show it too.
            raise LeakedSecretError(f"a planted secret shows: {found} in {place}")

    def forget(self) -> None:
        """Let the planted values no longer be masked by this package; for the end of a test."""
        credentials = self.credentials
        for part in (credentials.api_key, credentials.secret, credentials.passphrase):
            if part is not None:
                part.forget()


class RecordingHandler(logging.Handler):
    """Keeps what shows of each record of standard logging.

    Args:
        note: Told a place and a text.
    """

    def __init__(self, note: Callable[[str, str | bytes], None]) -> None:
        super().__init__(logging.NOTSET)
        self._note = note
        self._formatter = logging.Formatter()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the record's text, arguments and exception."""
        place = f"a log record of {record.name!r}"
        try:
            self._note(place, self._formatter.format(record))
        except Exception as error:  # noqa: BLE001 - a record that cannot be formatted: what it is made of is kept below
            self._note(place, repr(error))
        for shown_place, text in shown_texts((vars(record),)):
            self._note(f"{place}, {shown_place}", text)
