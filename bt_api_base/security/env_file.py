r"""Files of variables, as `.env` is one: read strictly, and written as a template.

A line is ``NAME=value``, with ``export`` in front of it or not; empty; or a comment. A value is what it looks like:

* without quotes: to the end of the line, or to a ``#`` behind white space;
* in single quotes: as it is, over several lines if need be;
* in double quotes: the same, with ``\n``, ``\r``, ``\t``, ``\"``, ``\$`` and ``\\`` for what they stand for.

Nothing is put in for a ``$``. What is no such line is an error that says where it is, and never what it says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from typing_extensions import override

from bt_api_base._redaction import MASK, is_sensitive_key
from bt_api_base.exceptions import ConfigurationError
from bt_api_base.security._hidden import HiddenText
from bt_api_base.security.accounts import Account
from bt_api_base.security.secret import Secret
from bt_api_base.security.venue_templates import VENUE_TEMPLATES, CredentialTemplate, template_of

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, MutableMapping

__all__ = (
    "EnvironmentValues",
    "create_env_template",
    "env_template",
    "load_credentials_from_env_file",
    "parse_env",
    "read_text",
)

_MAX_BYTES: Final = 1024 * 1024
_LINE: Final = re.compile(
    r"""[ \t]*(?:
        (?P<comment>\#[^\n]*)?
      | (?:export[ \t]+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*
        (?:
            '(?P<single>[^']*)'
          | "(?P<double>(?:[^"\\]|\\.)*)"
          | (?P<plain>(?:(?<==)\#|[^\s'"\#])[^\n]*?)?
        )
        (?:[ \t]+\#[^\n]*)?
    )[ \t]*(?:\n|\Z)""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t"}


class EnvironmentValues(Mapping[str, str]):
    """Variables and their values. It shows the names only, and is not pickled.

    Values with a name such as ``..._SECRET`` are masked wherever this package writes them, as those of a `Secret` are.

    Args:
        values: The variables.
    """

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = {name: _hidden(name, value) for name, value in values.items()}

    @override
    def __getitem__(self, name: str) -> str:
        return self._values[name].reveal()

    @override
    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    @override
    def __len__(self) -> int:
        return len(self._values)

    @override
    def __repr__(self) -> str:
        return repr(dict.fromkeys(self._values, MASK))

    @override
    def __reduce__(self) -> NoReturn:
        raise TypeError("values of variables cannot be pickled: some of them are secrets")

    def __getstate__(self) -> NoReturn:
        self.__reduce__()


def parse_env(text: str, source: str = "the text") -> EnvironmentValues:
    """Return the variables in a text.

    Args:
        text: The text of such a file.
        source: What it is called in errors.

    Raises:
        ConfigurationError: A line is none, or a variable is there twice.
    """
    hidden = HiddenText(text)
    del text
    return _parsed(hidden, source)


def load_credentials_from_env_file(
    env_file: str | os.PathLike[str] = ".env", *, into: MutableMapping[str, str] | None = None
) -> EnvironmentValues:
    """Return the variables in a file; none if there is no such file. It blocks while it reads.

    Args:
        env_file: The file.
        into: Where they are also put, if they are not there yet: `os.environ`, say, from where every program that is
            started takes them over. ``None``: nowhere.

    Raises:
        ConfigurationError: It cannot be read, or a line of it is none.
    """
    path = Path(env_file)
    text = read_text(path)
    values = EnvironmentValues({}) if text is None else _parsed(text, str(path))
    if into is not None:
        for name, value in values.items():
            into.setdefault(name, value)
    return values


def env_template(venues: Iterable[str] | None = None) -> str:
    """Return the text of a file with the variables of venues, all of them empty.

    Args:
        venues: Their names, as in `Account`; ``None``: all that are known.
    """
    names = VENUE_TEMPLATES if venues is None else venues
    parts = [_HEAD, *(_section(template_of(Account(name))) for name in names), _FOOT]
    return "\n".join(parts)


def create_env_template(
    output_file: str | os.PathLike[str] = ".env.example",
    *,
    venues: Iterable[str] | None = None,
    overwrite: bool = False,
) -> None:
    """Write a file with the variables of venues, all of them empty, for somebody to fill in.

    Args:
        output_file: The file.
        venues: See `env_template`.
        overwrite: Whether a file that is there may be replaced: it may have keys in it.

    Raises:
        ConfigurationError: There is such a file, or it cannot be written.
    """
    try:
        with Path(output_file).open("w" if overwrite else "x", encoding="utf-8", newline="\n") as file:
            file.write(env_template(venues))
    except FileExistsError:
        problem = "it is there already; say overwrite=True to replace it"
    except OSError as error:
        problem = error.strerror or type(error).__name__
    else:
        return
    raise ConfigurationError(f"{output_file} cannot be written: {problem}")


def read_text(path: Path) -> HiddenText | None:
    """Return the text of a file; ``None`` if there is no such file.

    Raises:
        ConfigurationError: It cannot be read, is too long, or is no text.
    """
    try:
        if not path.is_file():
            if not path.exists():
                return None
            problem = "it is no file"
        else:
            with path.open("rb") as file:
                content = file.read(_MAX_BYTES + 1)
            if len(content) <= _MAX_BYTES:
                return HiddenText(content.decode())
            problem = "it is too long"
    except OSError as error:
        problem = error.strerror or type(error).__name__
    except UnicodeDecodeError:
        problem = "it is no text in UTF-8"
    # Without the error of the decoding, and without what was read: both have the content.
    content = b""
    raise ConfigurationError(f"{path} cannot be read: {problem}")


_HEAD: Final = """\
# Fill in what you use, keep this file out of version control, and let nobody but you read it (chmod 600 .env).
# A second account has a name behind two underscores (NAME__HEDGE); a variable with _FILE names a file with the value.
"""
_FOOT: Final = """\
# The passphrase of the encrypted file, and where that is
BT_API_ENCRYPTION_KEY=
BT_API_CREDENTIALS_FILE=
"""


def _section(template: CredentialTemplate) -> str:
    account = Account(template.venue)
    lines = [f"# {template.title}: {', '.join(template.signatures)}"]
    for part in ("api_key", "secret", "passphrase"):
        known = getattr(template, part)
        if known is not None:
            lines.extend((f"# {known.called}", f"{template.variables(part, account)[0]}="))
    lines.extend(f"{name}={example}" for name, example in template.settings)
    return "\n".join(lines) + "\n"


def _parsed(text: HiddenText, source: str) -> EnvironmentValues:
    found = _parse(text.reveal().removeprefix("\ufeff").replace("\r\n", "\n"))
    if not isinstance(found, EnvironmentValues):
        line, problem = found
        raise ConfigurationError(f"{source}, line {line}: it {problem}")
    return found


def _parse(text: str) -> EnvironmentValues | tuple[int, str]:
    """Return the variables, or the number of a line and what is wrong with it: where the text is, nothing is raised."""
    values: dict[str, str] = {}
    position = 0
    while position < len(text):
        match = _LINE.match(text, position)
        line = text.count("\n", 0, position) + 1
        if match is None:
            return line, "is neither a variable nor a comment, or its quotes do not end"
        position, name = match.end(), match["name"]
        if name in values:
            return line, f"sets {name} again"
        if name is not None:
            values[name] = _value(match)
    return EnvironmentValues(values)


def _value(match: re.Match[str]) -> str:
    if match["double"] is not None:
        return _ESCAPED.sub(lambda found: _ESCAPES.get(found[1], found[1]), match["double"])
    return match["single"] if match["single"] is not None else (match["plain"] or "").rstrip()


def _hidden(name: str, value: str) -> Secret | HiddenText:
    return Secret(value) if is_sensitive_key(name) else HiddenText(value)
