"""A model as something to look at: pure functions from a `ViewModel` to what rich draws."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.console import Group
from rich.measure import Measurement
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Column, Table
from rich.text import Text

from bt_api_base._cli import format as fmt
from bt_api_base._cli.history import PriceHistory, sparkline

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

    from bt_api_base._cli.log import LogEntry, Severity
    from bt_api_base._cli.model import Progress, ViewModel
    from bt_api_base._cli.symbol import SymbolState

__all__ = ("Chart", "connections_table", "live_view", "market_tables")

_STYLES: dict[Severity, str] = {"good": "green", "info": "", "warning": "yellow", "error": "bold red"}
_QUIET_AFTER_NS = 5_000_000_000
_CHART_WIDTHS = (8, 48)
_COLUMNS = {
    "symbol": 0, "price": 0, "bid": 100, "ask": 100, "spread": 64, "chart": 40, "ev/s": 56, "age": 72, "gaps": 48,
}  # fmt: skip
"""What is shown of a symbol, and from how many columns of the terminal on."""

_WHEN = {
    "symbol": 0, "from (UTC)": 0, "to (UTC)": 60, "lasted": 70, "events": 0, "trades": 100, "volume": 112, "gaps": 80,
    "longest": 112,
}  # fmt: skip
_PRICES = {
    "symbol": 0, "first": 100, "low": 70, "high": 70, "last": 0, "spread": 80, "widest": 100, "": 0,
}  # fmt: skip
"""The same, for the tables at the end."""
_LEFT = ("symbol", "from (UTC)", "to (UTC)")
_FRAME_LINES = 3
_TOTALS_LINES = 6
_LEAST_LOG_LINES = 3


def live_view(model: ViewModel, *, width: int, height: int) -> RenderableType:
    """Draw a running model.

    Args:
        model: What to draw.
        width: Columns there are.
        height: Lines there are; the log takes what the rest leaves of them.
    """
    fixed = 1 + _FRAME_LINES + 1 + _TOTALS_LINES + 2 + (model.progress is not None)
    rows = max(1, min(len(model.symbols), height - fixed - _LEAST_LOG_LINES))
    parts: list[RenderableType] = [_header(model), _symbols_table(model, width, rows)]
    parts.append(Panel(_totals(model), title="flow", title_align="left", box=box.ROUNDED, border_style="dim"))
    if model.progress is not None:
        parts.append(_progress(model.progress))
    parts.append(_log(model, max(1, height - fixed - rows)))
    return Group(*parts)


def _header(model: ViewModel) -> RenderableType:
    grid = Table.grid(Column(no_wrap=True, ratio=1), Column(justify="right", no_wrap=True), expand=True)
    when = fmt.timestamp(model.clock_ns) if not model.live else fmt.clock(model.clock_ns)
    label = "recorded " if not model.live else ""
    grid.add_row(
        Text(model.title, style="bold", no_wrap=True, overflow="ellipsis"),
        Text(f"{label}{when} UTC   running {fmt.seconds(model.elapsed)}", style="cyan", no_wrap=True),
    )
    return grid


def _symbols_table(model: ViewModel, width: int, rows: int) -> RenderableType:
    columns = [name for name, least_width in _COLUMNS.items() if width >= least_width]
    table = Table(box=box.SIMPLE_HEAD, expand=True, pad_edge=False, padding=(0, 1, 0, 0), border_style="dim")
    for name in columns:
        if name == "chart":
            table.add_column(ratio=1)
        else:
            table.add_column(name, no_wrap=True, justify="left" if name == "symbol" else "right")
    states = list(model.symbols.values())
    shown = states if len(states) <= rows else states[: max(0, rows - 1)]
    for state in shown:
        cells = _symbol_cells(model, state)
        table.add_row(*(cells[name] for name in columns))
    if len(states) > len(shown):
        table.add_row(Text(f"+ {len(states) - len(shown)}", style="dim"))
    return table


def _symbol_cells(model: ViewModel, state: SymbolState) -> dict[str, RenderableType]:
    history = state.recent if model.live else state.whole
    return {
        "symbol": Text(state.symbol, style="bold red" if model.is_down(state) else "bold"),
        "price": Text(fmt.price(state.last_price), style=_direction(history)),
        "bid": fmt.price(state.bid_price),
        "ask": fmt.price(state.ask_price),
        "spread": fmt.price(state.spread, like=state.ask_price),
        "chart": Chart(history),
        "ev/s": f"{model.rate_of(state):,.0f}",
        "age": _age(model, state),
        "gaps": _gaps(state),
    }


class Chart:
    """A sparkline in colour, gaps in red, in as many columns as there are for it.

    Args:
        history: What to draw.
    """

    def __init__(self, history: PriceHistory) -> None:
        self._history = history

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        line = Text(sparkline(self._history, options.max_width), style=_direction(self._history), no_wrap=True)
        line.highlight_regex("×+", "bold red")
        yield line

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        least, most = _CHART_WIDTHS
        return Measurement(min(least, options.max_width), min(most, options.max_width))


def _direction(history: PriceHistory) -> str:
    known = [price for price in history.prices if price is not None]
    if not known or known[0] == known[-1]:
        return ""
    return "green" if known[-1] > known[0] else "red"


def _age(model: ViewModel, state: SymbolState) -> Text:
    if not state.last_time:
        return Text("waiting", style="yellow")
    age_ns = model.clock_ns - state.last_time
    style = "bold red" if model.is_down(state) else "yellow" if age_ns > _QUIET_AFTER_NS else "dim"
    return Text(fmt.age(age_ns), style=style)


def _gaps(state: SymbolState) -> Text:
    if not state.gaps.count:
        return Text("0", style="dim")
    return Text(f"{state.gaps.count} ({state.gaps.total_ns / 1e9:.1f} s)", style="yellow")


def _totals(model: ViewModel) -> RenderableType:
    flow = model.flow
    grid = Table.grid(
        Column(style="dim", no_wrap=True),
        Column(no_wrap=True, ratio=1),
        Column(style="dim", no_wrap=True),
        Column(no_wrap=True, min_width=9),
        expand=True,
        padding=(0, 2, 0, 0),
    )
    states = ", ".join(flow.states) or "-"
    grid.add_row(
        "messages/s", Text(f"{model.rate.per_second:,.0f}", style="bold"),
        "connection", Text(states, style="green" if set(flow.states) == {"connected"} else "bold red"),
    )  # fmt: skip
    twice = f", {flow.duplicates:,} twice" if flow.duplicates else ""
    again = Text.assemble(_count(flow.reconnects, "yellow"), ", ", _count(flow.rotations, ""), " rotated")
    grid.add_row("events", f"{model.events:,} in {flow.data_frames:,} frames{twice}", "reconnects", again)
    lags = [(_lag_label(model), model.venue_lag)]
    if model.live:
        lags.append(("lag to view", model.handover_lag))
    right: list[tuple[str, Text]] = [
        ("dropped", _count(flow.dropped, "bold red")),
        ("bad, gaps", Text.assemble(_count(flow.bad_frames, "yellow"), ", ", _count(model.gaps, "yellow"))),
    ]
    for (label, histogram), (name, count) in zip(lags, right, strict=False):
        grid.add_row(label, fmt.percentiles(histogram), name, count)
    if len(lags) < len(right):
        grid.add_row("", "", *right[1])
    return grid


def _lag_label(model: ViewModel) -> str:
    return "lag to socket" if model.live else "lag to recorder"


def _count(number: int, style: str) -> Text:
    return Text(f"{number:,}", style=style if number else "dim")


def _progress(progress: Progress) -> RenderableType:
    done, total = progress.done, progress.total
    grid = Table.grid(Column(), Column(ratio=1), Column(justify="right"), expand=True, padding=(0, 1, 0, 0))
    share = done / total if total else 1.0
    grid.add_row(f"{share:6.1%}", ProgressBar(total=max(1, total), completed=done), f"{done:,} of {total:,} frames")
    return grid


def _log(model: ViewModel, lines: int) -> RenderableType:
    entries = list(model.log.entries)[-lines:]
    text = Text("\n", no_wrap=True, overflow="ellipsis").join(_log_line(entry) for entry in entries)
    text.append("\n" * (lines - max(1, len(entries))))
    return Panel(text, title="connections", title_align="left", box=box.ROUNDED, border_style="dim")


def _log_line(entry: LogEntry) -> Text:
    text = entry.text.replace("\n", " ")
    if entry.count > 1:
        text += f" (and {entry.count - 1:,} more)"
    return Text.assemble(
        (fmt.clock(entry.time_ns), "dim"), " ", (f"{entry.name:<16}", _STYLES[entry.severity]), " ", text
    )


def market_tables(model: ViewModel, *, width: int) -> RenderableType:
    """Draw the market as it was, a row per symbol in each of two tables, for the end of a run.

    Args:
        model: What to draw.
        width: Columns there are; where they are few, the tables have fewer.
    """
    when = _summary_table("market", [name for name, least in _WHEN.items() if width >= least])
    prices = _summary_table("prices", [name for name, least in _PRICES.items() if width >= least])
    for state in model.symbols.values():
        for table, cells in ((when, _when_cells(state)), (prices, _price_cells(state))):
            table.add_row(*(cells[str(column.header)] for column in table.columns))
    return Group(when, prices)


def _when_cells(state: SymbolState) -> dict[str, RenderableType]:
    return {
        "symbol": state.symbol,
        "from (UTC)": fmt.timestamp(state.first_time)[:19],
        "to (UTC)": fmt.timestamp(state.last_time)[11:19] or "-",
        "lasted": fmt.seconds((state.last_time - state.first_time) / 1e9),
        "events": f"{state.events:,}",
        "trades": f"{state.trades.count:,}",
        "volume": fmt.quantity(state.volume),
        "gaps": _gaps(state),
        "longest": fmt.duration(state.gaps.longest_ns) if state.gaps.count else "-",
    }


def _price_cells(state: SymbolState) -> dict[str, RenderableType]:
    # Where there are trades the prices are theirs, and otherwise the middles of the quotes.
    seen, spreads = state.trades if state.trades.count else state.mids, state.spreads
    known, quoted = seen.count > 0, spreads.count > 0
    return {
        "symbol": state.symbol,
        "first": fmt.price(seen.first if known else None),
        "low": fmt.price(seen.low if known else None),
        "high": fmt.price(seen.high if known else None),
        "last": fmt.price(seen.last if known else None),
        "spread": fmt.price(spreads.mean if quoted else None, like=state.ask_price),
        "widest": fmt.price(spreads.high if quoted else None, like=state.ask_price),
        "": Chart(state.whole),
    }


def _summary_table(title: str, names: Sequence[str]) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), title=title, title_justify="left", title_style="bold"
    )
    for name in names:
        if name:
            table.add_column(name, no_wrap=True, justify="left" if name in _LEFT else "right")
        else:
            table.add_column(name)
    return table


def connections_table(model: ViewModel) -> RenderableType:
    """Draw totals and lags, for the end of a run."""
    flow = model.flow
    grid = Table.grid(Column(style="dim", no_wrap=True), Column(), padding=(0, 3, 0, 0))
    seconds = max(model.elapsed, 1e-9)
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(model.kinds.items())) or "none"
    grid.add_row("ran", f"{fmt.seconds(model.elapsed)}, {model.events / seconds:,.0f} events/s")
    grid.add_row("events", f"{model.events:,}: {kinds}")
    grid.add_row(
        "frames",
        f"{flow.frames:,}: {flow.data_frames:,} data, {flow.control_frames:,} control, "
        f"{flow.bad_frames:,} bad, {flow.unrouted_frames:,} unrouted",
    )
    for label, histogram in ((_lag_label(model), model.venue_lag), ("lag to view", model.handover_lag)):
        if histogram.count:
            grid.add_row(label, f"{fmt.percentiles(histogram)}, at most {fmt.duration(histogram.largest_ns)}")
    grid.add_row(
        "connections", f"{flow.connects:,} made, {flow.reconnects:,} of them again, {flow.rotations:,} by rotation"
    )
    if flow.duplicates or flow.abandoned:
        grid.add_row("came over two", f"{flow.duplicates:,} events, shown once; {flow.abandoned:,} others left unused")
    grid.add_row("lost in hand-over", f"{flow.dropped:,} events")
    if model.live:
        interruptions = sum(state.gaps.count for state in model.symbols.values())
        grid.add_row("gaps", f"{model.gaps:,} told: {interruptions:,} interruptions of {len(model.symbols):,} symbols")
    return grid
