"""Takes secrets out of text and data before anybody reads them: exceptions and logging share it.

Three nets, each catching what the others let through:

* **by value**: secrets the program knows and has registered, wherever and however they are spelled;
* **by name**: whatever stands beside a name such as ``apiKey``, ``signature`` or ``listenKey``, in a
  mapping, a query string, JSON, a header list or the repr of an object;
* **by shape**: credentials in URLs, opaque path segments, bearer tokens, JSON web tokens, private keys.

Masking too much costs a look at the source; masking too little costs an account. So in doubt it masks.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Set as AbstractSet
from typing import Any, Final, cast
from urllib.parse import unquote_plus

__all__ = (
    "LONG_SEGMENT",
    "MASK",
    "MIN_SECRET_LENGTH",
    "excerpt",
    "forget_secret",
    "is_sensitive_key",
    "redact",
    "redact_text",
    "register_secret",
)

MASK: Final = "***"
"""What stands in place of a secret."""

MIN_SECRET_LENGTH: Final = 4
"""Shorter values are not masked by value: they occur in every second word."""

_SHORTEST_REST: Final = 8
"""Characters of the beginning of a secret, at the end of a text, that are masked: there the text was cut off."""

_EXCERPT_WINDOW: Final = 1024
_MAX_DEPTH: Final = 16

# -- by name -----------------------------------------------------------------------------------------

_SENSITIVE_PARTS: Final = (
    "apikey",
    "secret",
    "signature",
    "passphrase",
    "password",
    "passwd",
    "listenkey",
    "privatekey",
    "accesskey",
    "signingkey",
    "token",
    "authorization",
    "credential",
    "cookie",
    "jwt",
    "mnemonic",
)
_SENSITIVE_WORDS: Final = frozenset({"sign", "sig", "pwd", "otp"})
_WORD: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_NOT_ALPHANUMERIC: Final = re.compile(r"[\W_]+")


def is_sensitive_key(key: object) -> bool:
    """Return whether what stands beside ``key`` is a secret.

    Args:
        key: A mapping's key, a header's or a parameter's name, in any case and spelling.
    """
    if isinstance(key, bytes):
        key = key.decode("latin-1")
    if not isinstance(key, str):
        return False
    flat = _NOT_ALPHANUMERIC.sub("", key).lower()
    if any(part in flat for part in _SENSITIVE_PARTS):
        return True
    # Gate.io's headers are called KEY and SIGN; "key" in lower case means a hundred other things.
    return key == "KEY" or any(word.lower() in _SENSITIVE_WORDS for word in _WORD.findall(key))


_NAME: Final = (
    r"(?:(?:api|listen|private|access|signing)[ _-]?keys?|secrets?|signature|pass[ _-]?phrase|passw(?:or)?d"
    r"|tokens?|authorization|credentials?|cookies?|jwt|mnemonic|(?<![a-z])(?:sign|sig|pwd|otp)|(?<![A-Za-z])(?-i:KEY))"
    r"(?:[_-]?(?:key|id|value))?"
)
_NAMED: Final = re.compile(
    rf"""(?P<lead>{_NAME}\\*["']?\s*(?:=>|[=:])\s*)
    (?!None\b|null\b|true\b|false\b|True\b|False\b)
    (?:
        (?P<escape>\\+)(?P<inner>["']).*?(?:(?<!\\)(?P=escape)(?P=inner)|\Z)
      | b?(?P<double>")(?:[^"\\]|\\.)*(?:"|\\?\Z)
      | b?(?P<single>')(?:[^'\\]|\\.)*(?:'|\\?\Z)
      | (?:Bearer|Basic|Digest|Token)\s+[^\s"',;]+
      | [\[({{][^\])}}]*(?:[\])}}]|\Z)
      | [^\s&"'<>,;)}}\]|\\]+
    )""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
_PAIRED: Final = re.compile(
    rf"""(?P<lead>[\[(]\s*b?(["'])[\w-]{{0,40}}?{_NAME}\2\s*,\s*b?)(?P<quote>["'])(?:(?!(?P=quote))[^\\]|\\.)*""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
# A header as it goes over the wire: everything to the end of the line, because its values have names of their own.
_COOKIE: Final = re.compile(r"""(?P<lead>cookie\s*:\s*)(?!\\*["'])[^\r\n]+""", re.IGNORECASE)
_HAS_NAME: Final = re.compile(
    r"key|secret|signature|pass|token|authorization|credential|jwt|mnemonic|sign|sig|pwd|otp|cookie", re.IGNORECASE
)

# -- by shape ----------------------------------------------------------------------------------------

_PRIVATE_KEY: Final = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL)
_SCHEME: Final = re.compile(r"\b(?P<lead>(?:Bearer|Basic)\s+)[A-Za-z0-9._~+/=-]{8,}")
_WEB_TOKEN: Final = re.compile(r"\beyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?")
_URL: Final = re.compile(
    r"(?P<scheme>\b[a-z][a-z0-9+.-]{1,15}://)(?P<authority>[^\s/?#\"'<>\\]*)(?P<rest>[^\s\"'<>\\]*)",
    re.IGNORECASE,
)
LONG_SEGMENT: Final = re.compile(r"(?<=/)[0-9A-Za-z_=.~%+:,;&$-]{32,}(?=/|$)")
"""A part of a URL's path that may be a key. The names of channels, which can be as long, have an ``@`` in them."""

# A listen key or a token as a path segment or an unnamed parameter: long, with letters and digits.
_OPAQUE: Final = re.compile(r"(?<![\w-])(?=[A-Za-z_-]*\d)(?=[\d_-]*[A-Za-z])[A-Za-z0-9_-]{32,}")
_PARAMETER: Final = re.compile(r"(?<=[?&;#])(?P<name>[^=&;#]+)=(?P<value>[^&;#]*)")

# -- by value ----------------------------------------------------------------------------------------


class _KnownSecrets:
    """The registered values, and one pattern that finds them in all their spellings.

    The pattern is compiled when it is first asked for: with many long values that takes longer than all else here, and
    most values are registered when nothing is logged yet. A reader that finds it compiled takes no lock.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._patterns: dict[str, tuple[str, ...]] = {}
        self._compiled: re.Pattern[str] | None = None
        self._is_stale = False
        self.longest = 0
        self.values: tuple[str, ...] = ()

    @property
    def pattern(self) -> re.Pattern[str] | None:
        """What finds them all; ``None`` if there are none."""
        if self._is_stale:
            with self._lock:
                if self._is_stale:
                    self._compile()
        return self._compiled

    def add(self, value: str) -> None:
        with self._lock:
            if value not in self._patterns:
                # A PEM block is often shown line by line.
                lines = (line for line in value.splitlines() if len(line) >= 16 and not line.startswith("-----"))
                self._patterns[value] = tuple(map(_any_spelling, dict.fromkeys((value, *lines))))
                self._changed()

    def remove(self, value: str) -> None:
        with self._lock:
            if self._patterns.pop(value, None) is not None:
                self._changed()

    def clear(self) -> None:
        with self._lock:
            self._patterns.clear()
            self._changed()

    def _changed(self) -> None:
        self.values = tuple(
            line for value in self._patterns for line in value.splitlines() if len(line) > _SHORTEST_REST
        )
        self._is_stale = True

    def _compile(self) -> None:
        every = {pattern for patterns in self._patterns.values() for pattern in patterns}
        # The longest first, so that no secret leaves the tail of another standing.
        ordered = sorted(every, key=len, reverse=True)
        self.longest = len(ordered[0]) if ordered else 0
        self._compiled = re.compile("|".join(ordered)) if ordered else None
        # Last: whoever finds it false takes what is compiled without asking again.
        self._is_stale = False

    def without_cut_off(self, text: str) -> str:
        """Mask the beginning of a secret at the end of a text: a close frame, say, has room for 123 bytes only."""
        for value in self.values:
            start = text.rfind(value[:_SHORTEST_REST], max(0, len(text) - len(value)))
            if start >= 0 and value.startswith(text[start:]):
                return text[:start] + MASK
        return text


def _any_spelling(value: str) -> str:
    """Return a pattern for ``value`` as it looks in text, JSON, a repr, a URL, and in one inside the other.

    Each character may be escaped or not, because programs differ in what they escape. The pattern is longer than
    what it matches, unless that has been escaped many times over.
    """
    return "".join(map(_any_spelling_of_character, value))


_BACKSLASH: Final = r"(?:\\|%5[Cc])"


def _any_spelling_of_character(character: str) -> str:
    if character.isascii() and character.isalnum():
        return character
    percent = "".join(f"%(?i:{byte:02x})" for byte in character.encode("utf-8", "surrogatepass"))
    plain = f"(?:{re.escape(character)}|{percent})"
    if character in "\"'/":
        return f"{_BACKSLASH}*{plain}"
    if character == "\\":
        return f"{_BACKSLASH}+"
    spellings = [plain]
    if character == " ":
        spellings.append(r"\+")
    elif not (character.isascii() and character.isprintable()):
        utf16 = character.encode("utf-16-be", "surrogatepass")
        units = (utf16[i : i + 2].hex() for i in range(0, len(utf16), 2))
        spellings.append("".join(f"{_BACKSLASH}+u(?i:{unit})" for unit in units))
        code = ord(character)
        spellings.append(f"{_BACKSLASH}+(?:x(?i:{code:02x})|u(?i:{code:04x})|U(?i:{code:08x}))")
        short = {"\n": "n", "\r": "r", "\t": "t", "\b": "b", "\f": "f"}.get(character)
        if short is not None:
            spellings.append(f"{_BACKSLASH}+{short}")
    return f"(?:{'|'.join(spellings)})"


_known: Final = _KnownSecrets()


def register_secret(value: str | bytes | None) -> None:
    """Mask ``value`` from now on, wherever it shows up in a log record or in an exception's text.

    Args:
        value: The secret. ``None`` and values shorter than `MIN_SECRET_LENGTH` are ignored.
    """
    text = _text_of(value).strip() if value is not None else ""
    if len(text) >= MIN_SECRET_LENGTH:
        _known.add(text)


def forget_secret(value: str | bytes | None) -> None:
    """Undo `register_secret`, say for a session key that has expired."""
    if value is not None:
        _known.remove(_text_of(value).strip())


# -- all three ---------------------------------------------------------------------------------------


def redact_text(text: str) -> str:
    """Return ``text`` with every secret masked that can be told by its value, its name or its shape."""
    known = _known.pattern
    if known is not None:
        text = _known.without_cut_off(known.sub(MASK, text))
    if "://" in text:
        text = _URL.sub(_redact_url_match, text)
    if "PRIVATE KEY" in text:
        text = _PRIVATE_KEY.sub(MASK, text)
    if _HAS_NAME.search(text) is not None:
        text = _COOKIE.sub(rf"\g<lead>{MASK}", text)
        text = _NAMED.sub(_redact_named, text)
        text = _PAIRED.sub(rf"\g<lead>\g<quote>{MASK}", text)
    text = _SCHEME.sub(rf"\g<lead>{MASK}", text)
    return _WEB_TOKEN.sub(MASK, text)


def _redact_named(match: re.Match[str]) -> str:
    mark = match["double"] or match["single"] or (f"{match['escape']}{match['inner']}" if match["inner"] else "")
    return f"{match['lead']}{mark}{MASK}{mark}"


def _redact_url_match(match: re.Match[str]) -> str:
    authority, rest = match["authority"], match["rest"]
    user, at, host = authority.rpartition("@")
    if user:
        authority = f"{MASK}{at}{host}"
    return match["scheme"] + authority + _OPAQUE.sub(MASK, _PARAMETER.sub(_redact_parameter, rest))


def _redact_parameter(match: re.Match[str]) -> str:
    # The name may hide behind percent signs, so it is compared unquoted.
    return f"{match['name']}={MASK}" if is_sensitive_key(unquote_plus(match["name"])) else match[0]


def redact(value: object, _depth: int = 0) -> Any:  # noqa: ANN401, PLR0911 - plain data of any kind, told apart here
    """Return ``value`` as plain data without secrets.

    Mappings, lists, tuples and sets keep their shape; what stands under a sensitive key is masked as a
    whole; numbers, booleans and ``None`` stay, unless they are a registered secret; bytes become text, and
    any other object its redacted repr.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, (int, float)):
        known = _known.pattern
        return MASK if known is not None and known.search(repr(value)) is not None else value
    if isinstance(value, (bytes, bytearray, memoryview)):
        return redact_text(_text_of(cast("bytes", value)))
    if _depth >= _MAX_DEPTH:
        # Deeper than any payload of a venue; also where a structure contains itself.
        return "..."
    if isinstance(value, Mapping):
        mapping = cast("Mapping[object, object]", value)
        return {
            _redact_key(key): MASK if item is not None and is_sensitive_key(key) else redact(item, _depth + 1)
            for key, item in mapping.items()
        }
    if isinstance(value, (list, tuple)):
        items = [redact(item, _depth + 1) for item in _unpaired(cast("list[object] | tuple[object, ...]", value))]
        return items if isinstance(value, list) else tuple(items)
    if isinstance(value, AbstractSet):
        return [redact(item, _depth + 1) for item in cast("AbstractSet[object]", value)]
    return redact_text(_repr_of(value))


def _unpaired(items: list[object] | tuple[object, ...]) -> list[object] | tuple[object, ...]:
    """Mask the second item where the first names it: headers and parameters often come as pairs."""
    if len(items) == 2 and isinstance(items[0], (str, bytes)) and is_sensitive_key(items[0]):
        return (items[0], MASK)
    return items


def _redact_key(key: object) -> str:
    return redact_text(key if isinstance(key, str) else _text_of(key) if isinstance(key, bytes) else _repr_of(key))


def _repr_of(value: object) -> str:
    try:
        return repr(value)
    except Exception as error:  # noqa: BLE001 - a foreign __repr__ must not break a report
        return f"<{type(value).__name__}: repr() raised {type(error).__name__}>"


def _text_of(value: str | bytes | bytearray | memoryview) -> str:
    return value if isinstance(value, str) else bytes(value).decode("utf-8", "backslashreplace")


def excerpt(payload: object, limit: int = 200) -> str:
    """Return the beginning of a payload for a message: redacted first, then cut.

    Args:
        payload: Text, bytes, or anything with a repr.
        limit: Longest excerpt, characters.
    """
    known = _known.pattern
    window = _EXCERPT_WINDOW + _known.longest
    if isinstance(payload, (bytes, bytearray, memoryview)):
        text = _text_of(cast("bytes", payload)[: window + 1])
    else:
        text = payload if isinstance(payload, str) else _repr_of(payload)
    whole = len(text) <= window
    if not whole:
        text = text[:window]
    if known is not None:
        text = known.sub(MASK, text)
        if not whole:
            # The window may have cut a registered secret in two: its first half is not recognized.
            text = text[: max(0, len(text) - _known.longest)]
    text = redact_text(text)
    return text if whole and len(text) <= limit else f"{text[:limit]}..."
