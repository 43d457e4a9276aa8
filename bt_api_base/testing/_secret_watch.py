"""Under every test: whatever is made a `Secret` shows in nothing that the test gives off.

It is on where the ini option ``bt_api_planted_secrets`` is ``all``. A test need not ask for anything, and hardly
notices: secrets are noted when they are made, what is logged, printed and warned about when it is, and the one is only
looked for in the other where there is both. Of exceptions that ``pytest.raises`` expected, those of this package are
searched; and whatever can be reached from a manager with credentials, when it is left. Whole values are looked for, as
the secrets of tests have words in them that may well show; `bt_api_base.testing.PlantedSecret` has none, and finds
parts.
"""

from __future__ import annotations

import logging
from contextlib import ExitStack, asynccontextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

import pytest

from bt_api_base.exceptions import BtApiError
from bt_api_base.logging_factory import sinks
from bt_api_base.security import Credentials, Secret
from bt_api_base.testing._needles import needles
from bt_api_base.testing._planted_fixture import listening_to_warnings
from bt_api_base.testing._reachable import reachable
from bt_api_base.testing._shown_texts import shown_shortly
from bt_api_base.transport import Proxy
from bt_api_base.websocket_manager import WebSocketManager

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Mapping

__all__ = ("MAY_SHOW", "SecretWatch", "search_report")

MAY_SHOW: Final = "bt_api_secrets_may_show"
"""Marker of the tests of which that is not asked."""

_MIN_LENGTH: Final = 12
_MIN_VARIETY: Final = 6
"""Different characters of a value that is not found by chance, as a row of zeros would be."""

_OF_EVERY_RECORD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class SecretWatch:
    """A plugin of pytest's."""

    def __init__(self) -> None:
        self._lasting: dict[str, None] = {}
        self._made: dict[str, None] = self._lasting  # until the first test begins: by the modules of tests
        self._given_off: dict[str, str] = {}
        self._told: set[tuple[str, str]] = set()
        self._handler = _TextHandler(self._note)
        self._undo = ExitStack()

    def start(self) -> None:
        """Begin to note the secrets that are made."""
        made: Callable[[Secret, str], None] = Secret.__init__
        capture: Any = pytest.CaptureFixture  # pytest does not name what it returns
        read = capture.readouterr
        give: Callable[[Any, Mapping[str, Any]], None] = getattr(sinks, "_give")  # noqa: B009 - nobody else may use it

        @wraps(made)
        def noted(secret: Secret, value: str) -> None:
            made(secret, value)
            if len(value) >= _MIN_LENGTH and len(set(value)) >= _MIN_VARIETY:
                self._made[value] = None

        @wraps(read)
        def read_and_noted(fixture: Any) -> Any:  # noqa: ANN401 - see above
            captured = read(fixture)
            for text in (captured.out, captured.err):
                self._note("what the test itself captured", text)
            return captured

        @wraps(give)
        def given_and_noted(sink: Any, record: Mapping[str, Any]) -> None:  # noqa: ANN401 - whatever takes records
            self._note(f"a record of the logger {record.get('logger')!r}", repr(record))
            give(sink, record)

        caught: Any = pytest.ExceptionInfo
        fill = caught.fill_unfilled

        @wraps(fill)
        def filled_and_noted(info: Any, exc_info: tuple[Any, BaseException, Any]) -> None:  # noqa: ANN401 - see above
            fill(info, exc_info)
            self._note_exception(exc_info[1])

        manager: Any = WebSocketManager
        run = manager.__asynccontextmanager__

        @asynccontextmanager
        @wraps(run)
        async def run_and_searched(one: WebSocketManager) -> AsyncGenerator[WebSocketManager]:
            async with run(one):
                yield one
                self._note_reachable(one)

        self._replace(manager, "__asynccontextmanager__", run_and_searched)
        self._replace(caught, "fill_unfilled", filled_and_noted)
        self._replace(Secret, "__init__", noted)
        self._replace(capture, "readouterr", read_and_noted)
        self._replace(sinks, "_give", given_and_noted)

    def stop(self) -> None:
        """Leave everything as it was."""
        self._undo.close()

    def _replace(self, owner: object, name: str, replacement: object) -> None:
        self._undo.callback(setattr, owner, name, getattr(owner, name))
        setattr(owner, name, replacement)

    def _note(self, place: str, text: str | bytes) -> None:
        if text:
            self._given_off.setdefault(text if isinstance(text, str) else text.decode("utf-8", "replace"), place)

    def _note_exception(self, error: BaseException | None) -> None:
        """Note an exception that a test has expected, and what led to it."""
        while isinstance(error, BtApiError) and (self._made or self._lasting):
            self._note(f"a {type(error).__name__} that was expected", f"{error!r} {error}")
            error = error.__cause__

    def _note_reachable(self, manager: WebSocketManager) -> None:
        """Note what can be reached from a manager that is used no more, if it has been given secrets."""
        if not self._made and not self._lasting:
            return
        found = list(reachable([manager]))
        if not any(isinstance(one, (Credentials, Proxy)) for _, one in found):
            return
        for place, one in found:
            if isinstance(one, str):
                self._note(place, one)
            elif not isinstance(one, (bytes, bytearray, memoryview)):
                for name, text in shown_shortly(one):
                    self._note(f"the {name} of {place}", text)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self) -> Generator[None, object, object]:
        """Listen while a test is set up, runs and is torn down."""
        self._made = {}
        self._given_off.clear()
        self._told.clear()
        root = logging.getLogger()
        root.addHandler(self._handler)
        try:
            with listening_to_warnings(self._note):
                return (yield)
        finally:
            root.removeHandler(self._handler)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Fail a test that has given off a secret, and keep it out of the report."""
        report = yield
        if (report.failed or report.sections or self._given_off) and item.get_closest_marker(MAY_SHOW) is None:
            self._search(report)
        return report

    def _search(self, report: pytest.TestReport) -> None:
        folded = {value: needles(value) for value in (*self._lasting, *self._made)}

        def find(text: str) -> str:
            text = text.casefold()
            return next((spelling for one in folded.values() if (spelling := one.find(text))), "")

        def masked(text: str) -> str:
            for one in folded.values():
                if one.find(text.casefold()):
                    text = one.masked(text)
            return text

        found = [f"{spelling} in {place}" for text, place in self._given_off.items() if (spelling := find(text))]
        self._given_off.clear()
        search_report(report, find, masked, also=found, told=self._told)


def search_report(
    report: pytest.TestReport,
    find: Callable[[str], str],
    masked: Callable[[str], str],
    *,
    also: Iterable[str] = (),
    told: set[tuple[str, str]] | None = None,
) -> None:
    """Mask the secrets in a report, and say that they were there.

    Args:
        report: Of the set-up, the call or the tear-down of a test.
        find: Returns what shows in a text; nothing if nothing does.
        masked: Returns a text without it.
        also: What was found elsewhere.
        told: The sections that another report of the same test has been failed for, to be added to. ``None``: one that
            has passed is not failed for them.
    """
    places = list(also)
    if report.failed:
        spelling = find(report.longreprtext)
        if spelling:
            places.append(f"{spelling} in what pytest shows of the failure")
            report.longrepr = masked(report.longreprtext)
    for number, (title, text) in enumerate(report.sections):
        spelling = find(text)
        if not spelling:
            continue
        report.sections[number] = (title, masked(text))
        if told is not None and (title, text) not in told:
            told.add((title, text))
            places.append(f"{spelling} in {title!r}")
    if places and (report.failed or told is not None):
        before = f"{report.longreprtext}\n\n" if report.failed else ""
        report.outcome = "failed"
        report.longrepr = before + "\n".join(f"a secret shows: {place}" for place in places)


class _TextHandler(logging.Handler):
    """Notes the text of each record, and what a program has added to it."""

    def __init__(self, note: Callable[[str, str | bytes], None]) -> None:
        super().__init__(logging.NOTSET)
        self._note = note
        self._formatter = logging.Formatter()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = self._formatter.format(record)
        except Exception as error:  # noqa: BLE001 - arguments that do not fit
            text = repr(error)
        added = {name: value for name, value in vars(record).items() if name not in _OF_EVERY_RECORD}
        self._note(f"a log record of {record.name!r}", f"{text} {added!r}" if added else text)
