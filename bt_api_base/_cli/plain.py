"""A model as lines of text, for pipes, files and terminals that cannot redraw: no colour, nothing overwritten."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from bt_api_base._cli import format as fmt
from bt_api_base._cli.history import sparkline

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bt_api_base._cli.model import ViewModel
    from bt_api_base._cli.symbol import SymbolState

__all__ = ("PlainReport", "log_lines", "symbol_line", "total_line")

_CHART_WIDTH = 16


@attrs.define(eq=False)
class PlainReport:
    """Turns a model into the lines that are new since the last call.

    Attributes:
        model: What is reported.
    """

    model: ViewModel
    _reported: int = 0

    def lines(self) -> Iterator[str]:
        """Yield what happened to connections since the last call."""
        for number, line in log_lines(self.model, self._reported):
            self._reported = number
            yield line

    def snapshot(self) -> Iterator[str]:
        """Yield the same, and where everything stands."""
        yield from self.lines()
        for state in self.model.symbols.values():
            yield symbol_line(self.model, state)
        yield total_line(self.model)


def log_lines(model: ViewModel, after: int) -> Iterator[tuple[int, str]]:
    """Yield number and text of what happened to connections after the line of that number."""
    for entry in model.log.after(after):
        text = entry.text.replace("\n", " ")
        yield entry.number, f"{fmt.clock(entry.time_ns)} {entry.name} {text}"


def symbol_line(model: ViewModel, state: SymbolState) -> str:
    """Say where a symbol stands, in one line."""
    history = state.recent if model.live else state.whole
    parts = [
        fmt.clock(model.clock_ns),
        f"{state.symbol:<10}",
        f"{fmt.price(state.last_price):>12}",
        f"bid {fmt.price(state.bid_price)}",
        f"ask {fmt.price(state.ask_price)}",
        f"spread {fmt.price(state.spread, like=state.ask_price)}",
        f"{model.rate_of(state):,.0f} ev/s",
    ]
    if model.live and state.last_time:
        parts.append(f"age {fmt.age(model.clock_ns - state.last_time)}")
    parts.append(f"gaps {state.gaps.count}" + (" (down)" if model.is_down(state) else ""))
    parts.append(sparkline(history, _CHART_WIDTH, gap="x"))
    return "  ".join(parts).rstrip()


def total_line(model: ViewModel) -> str:
    """Say how everything flows, in one line."""
    flow = model.flow
    parts = [fmt.clock(model.clock_ns), f"{'total':<10}", f"{model.rate.per_second:,.0f} ev/s"]
    if model.progress is not None:
        share = model.progress.done / model.progress.total if model.progress.total else 1.0
        parts.append(f"{share:.1%} of {model.progress.total:,} frames")
    histogram = model.handover_lag if model.live else model.venue_lag
    parts += [
        f"{model.events:,} events",
        f"lag {fmt.percentiles(histogram)}",
        f"reconnects {flow.reconnects}",
        f"rotations {flow.rotations}",
        f"dropped {flow.dropped}",
        f"bad frames {flow.bad_frames}",
        f"gaps {model.gaps}",
        ",".join(flow.states),
    ]
    return "  ".join(parts).rstrip()
