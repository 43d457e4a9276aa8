"""The fixture of planted secrets: it listens to all that a test gives off, and searches it at the end."""

from __future__ import annotations

import logging
import sys
import warnings
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final, TextIO, cast

from bt_api_base.logging_factory import configure_logging
from bt_api_base.testing._shown_texts import shown_texts
from bt_api_base.testing.planted_secret import PlantedSecret, RecordingHandler

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    import pytest

    Note = Callable[[str, "str | bytes"], None]

__all__ = ("listening_to_warnings", "watched")

_CAPTURES: Final = ("capsys", "capfd", "capsysbinary", "capfdbinary", "capteesys")


def watched(request: pytest.FixtureRequest) -> Generator[PlantedSecret]:
    """Plant secrets; afterwards fail if one of them was given off."""
    given_off: dict[str | bytes, str] = {}

    def note(place: str, text: str | bytes) -> None:
        given_off.setdefault(text, place)

    planted = PlantedSecret()
    with ExitStack() as stack:
        stack.callback(planted.forget)
        # Outermost, so that it hears what the ending of the others gives off.
        stack.enter_context(_listening_to_output(request, note))
        stack.enter_context(listening_to_warnings(note))
        stack.enter_context(_listening_to_logging(note))
        yield planted
    # All is searched only now, because values may be planted at any time.
    for text, place in given_off.items():
        planted.check_text(text, place)


@contextmanager
def _listening_to_logging(note: Note) -> Generator[None]:
    """Hear every record of every level: of standard logging, and of this package's loggers."""

    def sink(record: Mapping[str, Any]) -> None:
        for place, text in shown_texts([dict(record)]):
            note(f"a record of the logger {record.get('logger')!r}, {place}", text)

    root = logging.getLogger()
    level, handler = root.level, RecordingHandler(note)
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    configure_logging(level="debug", sink=sink)
    try:
        yield
    finally:
        configure_logging()
        root.setLevel(level)
        root.removeHandler(handler)


@contextmanager
def listening_to_warnings(note: Note) -> Generator[None]:
    """Hear every warning that is shown."""
    show = warnings.showwarning

    def noted(  # noqa: PLR0917 - the order of what it stands for
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        for place, text in shown_texts([message]):
            note(f"a warning, {place}", text)
        show(message, category, filename, lineno, file, line)

    warnings.showwarning = noted
    try:
        yield
    finally:
        warnings.showwarning = show


@contextmanager
def _listening_to_output(request: pytest.FixtureRequest, note: Note) -> Generator[None]:
    """Hear standard output and standard error, whichever way of capturing it the test itself has asked for."""
    if not request.config.pluginmanager.hasplugin("capture"):
        with _copying_streams(note):
            yield
        return
    own = next((name for name in _CAPTURES if name in request.fixturenames), "capfd")
    capture = cast("pytest.CaptureFixture[Any]", request.getfixturevalue(own))
    read = capture.readouterr

    def noted() -> Any:  # noqa: ANN401 - pytest does not name the type
        captured = read()
        note("standard output", captured.out)
        note("standard error", captured.err)
        return captured

    # A test that reads takes away what it reads.
    vars(capture)["readouterr"] = noted
    yield
    captured = capture.readouterr()
    for stream, text in ((sys.stdout, captured.out), (sys.stderr, captured.err)):
        if isinstance(text, str):
            stream.write(text)  # it belongs into the report of the test


class _Copy:
    """A text stream that notes what is written to it."""

    def __init__(self, stream: TextIO, write: Callable[[str], object]) -> None:
        self._stream = stream
        self._noted = write

    def write(self, text: str) -> int:
        self._noted(text)
        return self._stream.write(text)

    def writelines(self, lines: list[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the stream has
        return getattr(self._stream, name)


@contextmanager
def _copying_streams(note: Note) -> Generator[None]:
    streams = sys.stdout, sys.stderr
    written: tuple[list[str], list[str]] = [], []
    sys.stdout = cast("TextIO", _Copy(streams[0], written[0].append))
    sys.stderr = cast("TextIO", _Copy(streams[1], written[1].append))
    try:
        yield
    finally:
        sys.stdout, sys.stderr = streams
        # Joined, because a secret may be written in pieces.
        note("standard output", "".join(written[0]))
        note("standard error", "".join(written[1]))
