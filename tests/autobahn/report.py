"""What the fuzzing server found, as tables for ``docs/autobahn.md``."""

from __future__ import annotations

import json
import platform
from collections import Counter
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

SECTIONS: Final[Mapping[int, str]] = {
    1: "framing",
    2: "pings and pongs",
    3: "reserved bits",
    4: "opcodes",
    5: "fragmentation",
    6: "UTF-8",
    7: "closing",
    9: "limits and large messages, up to 16 MiB",
    10: "automatic fragmentation",
    12: "compression of different payloads",
    13: "compression with different parameters",
}
"""Section of the suite -> what its cases are about. Sections 8 and 11 do not exist."""

PASSED: Final = ("OK", "NON-STRICT", "INFORMATIONAL")
"""The suite's verdicts with which a case is passed. All others count as failed, ``UNIMPLEMENTED`` among them."""

BEGIN: Final = "<!-- autobahn report: begin. `nox -s autobahn` replaces what is between these marks. -->"
END: Final = "<!-- autobahn report: end -->"

_PACKAGES: Final = ("bt_api_base", "anyio", "trio", "uvloop", "websockets")


@attrs.frozen
class CaseResult:
    """The server's verdict on one case.

    Attributes:
        case_id: Such as ``7.1.5``.
        behavior: The verdict on the messages.
        close_behavior: The verdict on how the connection was closed.
        duration_ms: How long the case took.
    """

    case_id: str
    behavior: str
    close_behavior: str
    duration_ms: int

    @property
    def section(self) -> int:
        """The section it belongs to."""
        return int(self.case_id.partition(".")[0])

    @property
    def verdict(self) -> str:
        """The worse one of both verdicts: ``FAILED`` unless both are among those with which a case is passed."""
        if self.behavior in PASSED and self.close_behavior in PASSED:
            return max(self.behavior, self.close_behavior, key=("OK", "INFORMATIONAL", "NON-STRICT").index)
        return "FAILED"


@attrs.frozen
class LoopResult:
    """All verdicts on one event loop.

    Attributes:
        loop: The event loop's name.
        results: One for each case, in the suite's order.
        seconds: How long all of it took.
    """

    loop: str
    results: Sequence[CaseResult]
    seconds: float

    @property
    def failed(self) -> Sequence[CaseResult]:
        """The cases that failed."""
        return [result for result in self.results if result.verdict == "FAILED"]


def read_results(index: Path, agent: str) -> list[CaseResult]:
    """Read the index of the reports that the server wrote.

    Args:
        index: The file ``index.json``.
        agent: The name under which the server reports on the client.
    """
    cases = json.loads(index.read_text(encoding="utf-8"))[agent]
    results = [
        CaseResult(case_id, case["behavior"], case["behaviorClose"], case["duration"])
        for case_id, case in cases.items()
    ]
    return sorted(results, key=lambda result: [int(number) for number in result.case_id.split(".")])


def render(loop_results: Iterable[LoopResult], *, suite: str, seconds: float, processor_seconds: float) -> str:
    """Return the report as Markdown.

    Args:
        loop_results: The verdicts, for each event loop.
        suite: What ran the cases, with versions.
        seconds: How long the whole run took.
        processor_seconds: How long processors were busy with it.
    """
    ours = ", ".join(f"{package} {version(package)}" for package in _PACKAGES)
    interpreter = f"{platform.python_implementation()} {platform.python_version()}"
    took = f"The run took {seconds / 60:.1f} minutes, and {processor_seconds / 60:.1f} of processor time"
    parts = [f"Server: {suite}. Client: {ours}, on {interpreter}. {took}."]
    loop_results = list(loop_results)
    for loop_result in loop_results:
        parts.append(f"### {loop_result.loop}")
        parts.append("\n".join(_table(loop_result)))
    parts.append("### Not plainly OK")
    parts.append("\n".join(_remarkable(loop_results)))
    return "\n\n".join(parts)


def _table(loop_result: LoopResult) -> Iterable[str]:
    yield "| section | about | cases | OK | NON-STRICT | INFORMATIONAL | FAILED | seconds |"
    yield "|---:|---|---:|---:|---:|---:|---:|---:|"
    for section, about in SECTIONS.items():
        results = [result for result in loop_result.results if result.section == section]
        if results:
            seconds = sum(result.duration_ms for result in results) / 1000
            yield f"| {section} | {about} | {_counts(results)} | {seconds:.1f} |"
    yield f"| | **all** | {_counts(loop_result.results)} | {loop_result.seconds:.1f} |"


def _counts(results: Sequence[CaseResult]) -> str:
    verdicts = Counter(result.verdict for result in results)
    return " | ".join(str(count) for count in (len(results), *(verdicts[verdict] for verdict in (*PASSED, "FAILED"))))


def _remarkable(loop_results: Sequence[LoopResult]) -> Iterable[str]:
    """Name the cases with another verdict than OK, by verdict and event loop."""
    yield "| verdict | event loop | cases |"
    yield "|---|---|---|"
    for verdict in ("NON-STRICT", "INFORMATIONAL", "FAILED"):
        for loop_result in loop_results:
            cases = ", ".join(result.case_id for result in loop_result.results if result.verdict == verdict)
            yield f"| {verdict} | {loop_result.loop} | {cases or 'none'} |"


def replace_report(page: str, report: str) -> str:
    """Put a report in place of the one that stands between the marks of a page.

    Raises:
        ValueError: The page lacks a mark.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"no place for the report: the page needs the lines {BEGIN!r} and {END!r}")
    return f"{before}{BEGIN}\n\n{report}\n\n{END}{after}"


__all__ = (
    "BEGIN",
    "END",
    "PASSED",
    "SECTIONS",
    "CaseResult",
    "LoopResult",
    "read_results",
    "render",
    "replace_report",
)
