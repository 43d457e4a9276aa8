"""``klines``: bars of any time range, into a file."""

from __future__ import annotations

import csv
import sys
from contextlib import aclosing, contextmanager
from datetime import datetime, timezone
from typing import IO, TYPE_CHECKING

import attrs
import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from bt_api_base._cli.access import open_feed
from bt_api_base._cli.runtime import EXIT_OK, CommandError, interrupts
from bt_api_base.containers import Bar, utc_ns
from bt_api_base.feeds.paging import period_ns

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Sequence
    from pathlib import Path

    from bt_api_base._cli.access import Access
    from bt_api_base._cli.commands import FileFormat
    from bt_api_base.feeds import NativeFeed

__all__ = ("KlinesOptions", "run_klines")

_SUFFIXES: dict[str, FileFormat] = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}

_COLUMNS = (
    "exchange_name",
    "symbol",
    "period",
    "open_time",
    "close_time",
    "open_price",
    "high_price",
    "low_price",
    "close_price",
    "volume",
    "turnover",
    "trade_count",
    "taker_buy_volume",
    "taker_buy_turnover",
    "is_closed",
)
"""The same in each row, and each of one type: a file of them can be read into columns."""


@attrs.frozen(kw_only=True)
class KlinesOptions:
    """What to download.

    Attributes:
        symbol: Internal symbol.
        period: Such as ``"1m"``.
        start: Earliest open time, included; ``None``: the newest.
        end: Open times before this; ``None``: now.
        count: How many of the newest, without a start.
        output: The file; ``None``: standard output.
        file_format: Its format; ``None``: by its suffix, and CSV on standard output.
    """

    symbol: str
    period: str
    start: datetime | None = None
    end: datetime | None = None
    count: int = 100
    output: Path | None = None
    file_format: FileFormat | None = None

    @property
    def chosen_format(self) -> FileFormat:
        """The format that is written."""
        if self.file_format is not None:
            return self.file_format
        if self.output is None:
            return "csv"
        chosen = _SUFFIXES.get(self.output.suffix.lower())
        if chosen is None:
            raise CommandError(f"{self.output}: which format? Name it *.csv or *.jsonl, or say --format")
        return chosen


async def run_klines(access: Access, options: KlinesOptions) -> int:
    """Download bars, page by page, and write them as they come.

    A file is complete or not there: it is written under another name, which it loses in the end.

    Raises:
        CommandError: The format of the file is not known, or the range is none.
        BtApiError: The venue refuses, or cannot be reached.

    Cancellation: What has come stays in the file with the other name.
    """
    chosen = options.chosen_format
    if options.start is not None:
        start, end = _range(options.start, options.end)
        if start >= end:
            raise CommandError(f"--start {start:%Y-%m-%dT%H:%M:%S} is not before --end {end:%Y-%m-%dT%H:%M:%S}")
    written = 0
    async with interrupts() as stop, open_feed(access, (options.symbol,), private=False) as feed:
        with _target(options.output) as (stream, finish):
            write = _writer(stream, chosen)

            async def download() -> None:
                nonlocal written
                with _progress(options, quiet=options.output is None) as report:
                    async with aclosing(_pages(feed, options, report)) as pages:
                        async for bars in pages:
                            write(bars)
                            written += len(bars)

            if not await stop.run_until(None, download):
                _say(f"interrupted after {written:,} bars")
                return stop.exit_status(bounded=True)
            write(())
            finish()
    if options.output is not None:
        _say(f"{written:,} bars of {options.symbol}, {options.period}, in {options.output}")
    return EXIT_OK


async def _pages(
    feed: NativeFeed, options: KlinesOptions, report: Callable[[int, float], None]
) -> AsyncGenerator[list[Bar]]:
    """Iterate over what is wanted, a page after the other."""
    if options.start is None:
        yield await feed.async_get_kline(options.symbol, options.period, options.count, end=_utc(options.end))
        return
    start, end = _range(options.start, options.end)
    pages = feed.kline_pages(
        options.symbol,
        options.period,
        start=start,
        end=end,
        on_progress=lambda progress: report(progress.bars, progress.fraction),
    )
    async for page in pages:
        yield page


def _range(start: datetime, end: datetime | None) -> tuple[datetime, datetime]:
    """Return first and last moment with their time zone: UTC where none was typed."""
    return _utc(start) or start, _utc(end) or datetime.now(timezone.utc)


def _utc(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=timezone.utc) if moment is not None and moment.tzinfo is None else moment


@contextmanager
def _target(path: Path | None) -> Generator[tuple[IO[str], Callable[[], object]]]:
    """Open what is written to, and what to call when it is complete."""
    if path is None:
        yield sys.stdout, sys.stdout.flush
        return
    part = path.with_name(f"{path.name}.part")
    with part.open("w", encoding="utf-8", newline="") as stream:

        def finish() -> None:
            stream.flush()
            part.replace(path)

        yield stream, finish


def _writer(stream: IO[str], file_format: FileFormat) -> Callable[[Sequence[Bar]], None]:
    if file_format == "csv":
        rows = csv.writer(stream, lineterminator="\n")
        head = [_COLUMNS]

        def write_csv(bars: Sequence[Bar]) -> None:
            # Not before the venue has answered: what it refuses has no output.
            while head:
                rows.writerow(head.pop())
            rows.writerows([getattr(bar, column) for column in _COLUMNS] for bar in bars)

        return write_csv

    def write_json(bars: Sequence[Bar]) -> None:
        for bar in bars:
            row = {column: getattr(bar, column) for column in _COLUMNS}
            stream.write(f"{msgspec.json.encode(row).decode()}\n")

    return write_json


@contextmanager
def _progress(options: KlinesOptions, *, quiet: bool) -> Generator[Callable[[int, float], None]]:
    """Show on standard error how far it has got, where somebody looks."""
    out = Console(stderr=True)
    if quiet or options.start is None or not out.is_terminal:
        yield lambda _bars, _fraction: None
        return
    start, end = _range(options.start, options.end)
    total = max(1, (utc_ns(end) - utc_ns(start)) // period_ns(options.period))
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=out) as progress:
        task = progress.add_task(f"{options.symbol} {options.period}", total=total)
        yield lambda _bars, fraction: progress.update(task, completed=round(fraction * total))


def _say(text: str) -> None:
    print(text, file=sys.stderr)
