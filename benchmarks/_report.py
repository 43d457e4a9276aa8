"""Tables of rates and ratios, under a line that says what they were measured with.

A rate says little about another machine; the ratio of two rates of one run does. So each table has a baseline, and
each row says how many times as fast it is, and with which target::

    report = Report("queue mode, trio")
    report.row("plain async for", 160_000)
    report.row("batches()", 5_200_000, baseline=160_000, target=10)
    report.show()
"""

from __future__ import annotations

import os
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import attrs
from rich.console import Console
from rich.table import Table

__all__ = ("Report", "print_environment")

PACKAGES = (
    "bt_api_base", "anyio", "trio", "uvloop", "msgspec", "websockets", "trio-websocket", "picows", "aiohttp", "pyee",
    "httpx", "aiolimiter", "limits", "pyrate-limiter", "throttled-py", "cachetools", "cachebox",
)  # fmt: skip


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _installed(package: str) -> str | None:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return None


@cache  # once per run is enough
def print_environment() -> None:
    """Print the interpreter, the processor, how busy it is, and the versions of everything measured here."""
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    print(f"{platform.python_implementation()} {platform.python_version()} on {_cpu()} x {os.cpu_count()}{load}")
    print(", ".join(filter(None, map(_installed, PACKAGES))))


def _rate(per_second: float) -> str:
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if per_second >= size:
            return f"{per_second / size:,.2f} {unit}/s"
    return f"{per_second:,.1f} /s"


@attrs.define
class Report:
    """A table of rates.

    Attributes:
        title: What was measured, and on which event loop.
    """

    title: str
    _rows: list[tuple[str, str, str, str, str]] = attrs.field(factory=list, init=False)

    def row(self, name: str, rate: float, *, baseline: float | None = None, target: float | None = None) -> Report:
        """Add a row.

        Args:
            name: What was measured.
            rate: How often per second.
            baseline: The rate it is compared with.
            target: How many times the baseline it should be, at least.
        """
        ratio = None if baseline is None else rate / baseline
        verdict = ""
        if target is not None and ratio is not None:
            verdict = f">= {target:g} x: {'yes' if ratio >= target else 'NO'}"
        self._rows.append(
            (name, _rate(rate), f"{1e9 / rate:,.0f} ns", "" if ratio is None else f"{ratio:,.2f} x", verdict)
        )
        return self

    def show(self) -> None:
        """Print the table, and before the first one what it was measured with."""
        print_environment()
        table = Table(title=self.title, title_justify="left")
        table.add_column("what")
        for heading in ("rate", "each", "ratio"):
            table.add_column(heading, justify="right")
        table.add_column("target")
        for row in self._rows:
            table.add_row(*row)
        Console().print(table)
