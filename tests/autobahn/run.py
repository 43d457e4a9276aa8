"""Run the Autobahn test suite against `open_websocket`, on several event loops.

    nox -s autobahn                                                     # all of it, and docs/autobahn.md is written
    nox -s autobahn -- --loop trio --section 7                          # some of it
    python -m tests.autobahn.run --python2 ENVIRONMENT/bin/python       # without nox

For each event loop there is a fuzzing server of its own on the loopback interface, and a client in a process of its
own; two of these pairs run at a time, and each keeps about one processor busy. The exit status is 0 if no case failed.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio

from bt_api_base.websocket import open_websocket
from tests.autobahn.client import Loop, run_cases
from tests.autobahn.report import SECTIONS, LoopResult, read_results, render, replace_report

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

LOOPS: Final[tuple[Loop, ...]] = ("asyncio", "trio", "uvloop")
COMPRESSION: Final = frozenset({12, 13})
"""Nearly all of the time goes into these sections. They test what no event loop has a part in, so that two loops do."""

_SERVER: Final = Path(__file__).with_name("server.py")
_PAIRS: Final = 2
_END_TIMEOUT: Final = 10.0


@contextmanager
def fuzzing_server(python2: Path, sections: Sequence[int], reports: Path) -> Generator[str]:
    """Run a fuzzing server on a free port of the loopback interface, and yield its URL.

    Args:
        python2: A Python 2.7 that has the test suite installed.
        sections: The sections whose cases it is to run.
        reports: An existing directory for its reports and its log.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        url = f"ws://127.0.0.1:{listener.getsockname()[1]}"
        specification = {
            "url": url,
            "outdir": str(reports),
            "cases": [f"{section}.*" for section in sections],
            "exclude-cases": [],
            "exclude-agent-cases": {},
        }
        with (reports / "server.log").open("wb") as log:
            server = subprocess.Popen(  # noqa: S603 - the interpreter is the caller's choice
                [python2, _SERVER, json.dumps(specification), str(listener.fileno())],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                pass_fds=[listener.fileno()],
            )
    # The listener is the server's alone now: should that end, connections are refused.
    try:
        yield url
    finally:
        try:
            server.communicate(timeout=_END_TIMEOUT)
        except subprocess.TimeoutExpired:
            server.kill()
            server.communicate()


def run_loop(loop: Loop, python2: Path, sections: Sequence[int], reports: Path) -> tuple[LoopResult, str]:
    """Run the suite on one event loop; return the verdicts and the server's name for itself."""
    reports = reports / loop
    reports.mkdir(parents=True, exist_ok=True)
    agent = f"bt_api_base {loop}"
    started = time.perf_counter()
    try:
        with fuzzing_server(python2, sections, reports) as url:
            suite = anyio.run(_name_of, url)
            run_cases(loop, url, agent, _say)
    except Exception:
        _say((reports / "server.log").read_text(encoding="utf-8", errors="replace")[-2000:])
        raise
    seconds = time.perf_counter() - started
    return LoopResult(loop, read_results(reports / "index.json", agent), seconds), suite


async def _name_of(url: str) -> str:
    async with open_websocket(f"{url}/getCaseCount", connect_timeout=60.0) as ws:
        return ws.response_headers["server"]


def _say(line: str) -> None:
    # In one write: lines of several processes must not get mixed up.
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def run(python2: Path, loops: Sequence[Loop], sections: Sequence[int], reports: Path) -> tuple[bool, str]:
    """Run the suite; tell whether no case failed, and return the report.

    Args:
        python2: A Python 2.7 that has the test suite installed.
        loops: The event loops.
        sections: Sections of the suite; none: all of them, without those about compression on uvloop.
        reports: A directory for the server's own reports.
    """
    started = time.perf_counter()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(_PAIRS, mp_context=context) as pool:
        futures = [pool.submit(run_loop, loop, python2, sections or _all_sections(loop), reports) for loop in loops]
        results = [future.result() for future in futures]
    loop_results = [loop_result for loop_result, _ in results]
    suite = results[0][1]
    for loop_result in loop_results:
        for case in loop_result.failed:
            _say(f"FAILED on {loop_result.loop}: {case.case_id}: {case.behavior}, closing {case.close_behavior}")
    passed = not any(loop_result.failed for loop_result in loop_results)
    # The pool has ended: its processes, and the servers they waited for, are counted.
    times = os.times()
    report = render(
        loop_results,
        suite=suite,
        seconds=time.perf_counter() - started,
        processor_seconds=times.children_user + times.children_system,
    )
    return passed, report


def _all_sections(loop: Loop) -> Sequence[int]:
    return [section for section in SECTIONS if loop != "uvloop" or section not in COMPRESSION]


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.autobahn.run",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--python2", type=Path, required=True, help="Python 2.7 with tests/autobahn/requirements.txt")
    parser.add_argument("--loop", choices=LOOPS, action="append", help="an event loop; repeatable (default: all)")
    parser.add_argument(
        "--section", type=int, choices=SECTIONS, action="append", metavar="N", help="repeatable (default: all)"
    )
    parser.add_argument("--reports", type=Path, help="directory for the server's reports (default: a temporary one)")
    parser.add_argument("--page", type=Path, help="page to put the report into; only where everything is run")
    options = parser.parse_args()
    if options.page and (options.loop or options.section):
        parser.error("--page: not the report of a part")
    reports = options.reports or Path(tempfile.mkdtemp(prefix="autobahn-"))
    passed, report = run(options.python2, options.loop or LOOPS, options.section or (), reports.absolute())
    _say(f"\n{report}\n\nThe server's reports: {reports}/*/index.html")
    if options.page:
        page = options.page.read_text(encoding="utf-8")
        options.page.write_text(replace_report(page, report), encoding="utf-8")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
