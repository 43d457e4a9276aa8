"""The report on the Autobahn test suite counts what the server found, and the page in `docs` holds a full one."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.autobahn.report import (
    BEGIN,
    END,
    SECTIONS,
    CaseResult,
    LoopResult,
    read_results,
    render,
    replace_report,
)

PAGE = Path(__file__).parents[1] / "docs" / "autobahn.md"


@pytest.mark.parametrize(
    ("behavior", "close_behavior", "verdict"),
    [
        ("OK", "OK", "OK"),
        ("NON-STRICT", "OK", "NON-STRICT"),
        ("OK", "NON-STRICT", "NON-STRICT"),
        ("INFORMATIONAL", "OK", "INFORMATIONAL"),
        ("INFORMATIONAL", "INFORMATIONAL", "INFORMATIONAL"),
        ("NON-STRICT", "INFORMATIONAL", "NON-STRICT"),
        ("FAILED", "OK", "FAILED"),
        ("OK", "FAILED", "FAILED"),
        ("OK", "WRONG CODE", "FAILED"),
        ("OK", "UNCLEAN", "FAILED"),
        ("UNIMPLEMENTED", "OK", "FAILED"),
    ],
)
def test_the_worse_verdict_counts(behavior: str, close_behavior: str, verdict: str) -> None:
    """A case is passed only if the messages were right and the connection was closed as it should be."""
    assert verdict == CaseResult("1.1.1", behavior, close_behavior, 1).verdict


def test_results_come_in_the_suites_order(tmp_path: Path) -> None:
    """The server's index sorts cases as text; 10 comes after 9."""
    case = {"behavior": "OK", "behaviorClose": "NON-STRICT", "duration": 7}
    index = tmp_path / "index.json"
    index.write_text(json.dumps({"us": {"1.10.1": case, "1.9.1": case, "10.1.1": case, "2.1": case}, "them": {}}))
    results = read_results(index, "us")
    assert ["1.9.1", "1.10.1", "2.1", "10.1.1"] == [result.case_id for result in results]
    assert CaseResult("1.9.1", "OK", "NON-STRICT", 7) == results[0]


def test_cases_are_counted_by_section_and_named_by_verdict() -> None:
    """A row for each section that has cases, one for all of them, and the cases that are not OK by name."""
    results = [
        CaseResult("6.1.1", "OK", "OK", 200),
        CaseResult("6.4.1", "NON-STRICT", "OK", 2000),
        CaseResult("13.7.18", "OK", "UNCLEAN", 300),
    ]
    loop_result = LoopResult("trio", results, 3.0)
    lines = render([loop_result], suite="a suite", seconds=90.0, processor_seconds=150.0).splitlines()
    assert lines[0].startswith("Server: a suite. Client: bt_api_base ")
    assert lines[0].endswith(" The run took 1.5 minutes, and 2.5 of processor time.")
    assert "| 6 | UTF-8 | 2 | 1 | 1 | 0 | 0 | 2.2 |" in lines
    assert "| 13 | compression with different parameters | 1 | 0 | 0 | 0 | 1 | 0.3 |" in lines
    assert "| | **all** | 3 | 1 | 1 | 0 | 1 | 3.0 |" in lines
    assert "| NON-STRICT | trio | 6.4.1 |" in lines
    assert "| INFORMATIONAL | trio | none |" in lines
    assert "| FAILED | trio | 13.7.18 |" in lines
    assert [results[2]] == loop_result.failed


def test_a_report_takes_the_place_of_the_last_one() -> None:
    """What is outside the marks stays."""
    page = f"# Title\n\n{BEGIN}\n\nold\n\n{END}\n\nmore\n"
    once = replace_report(page, "new")
    assert f"# Title\n\n{BEGIN}\n\nnew\n\n{END}\n\nmore\n" == once
    assert once == replace_report(once, "new")


@pytest.mark.parametrize("page", ["", BEGIN, END, f"{END}{BEGIN}"])
def test_a_page_without_a_place_for_the_report_is_refused(page: str) -> None:
    """Nothing is written where it would not be replaced again."""
    with pytest.raises(ValueError, match="no place for the report"):
        replace_report(page, "report")


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_the_page_shows_every_section_and_no_failure(loop: str) -> None:
    """What the page in the repository says of a loop: all sections were run on it, and no case failed."""
    (tables,) = re.findall(rf"^### {loop}$(.*?)^### ", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in tables.strip().splitlines()[2:]]
    assert [str(section) for section in SECTIONS] == [row[0] for row in rows[:-1]]
    assert [0] * len(rows) == [int(row[6]) for row in rows]
    assert all(int(row[2]) for row in rows)
