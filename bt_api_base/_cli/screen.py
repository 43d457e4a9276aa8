"""Showing a model while it changes: redrawn in place on a terminal, as lines of text elsewhere."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import anyio
import attrs
from rich.console import Console
from rich.live import Live
from typing_extensions import override

from bt_api_base._cli.plain import PlainReport
from bt_api_base._cli.view import live_view

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import RenderableType

    from bt_api_base._cli.model import Flow, ViewModel

__all__ = ("Screen", "console")

_REDRAWS_PER_SECOND = 6
_LOOK_INTERVAL = 0.2
_SNAPSHOT_INTERVAL = 1.0
_LEAST_WIDTH = 120


class _Output(Console):
    """A console that says so when its reader has gone, instead of ending the program."""

    @override
    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def console() -> Console:
    """Return standard output as a console. What is no terminal gets a width that tables need, unless COLUMNS is set."""
    out = _Output(highlight=False)
    if not out.is_terminal and "COLUMNS" not in os.environ:
        out.width = max(out.width, _LEAST_WIDTH)
    return out


@attrs.define(eq=False)
class Screen:
    """Shows a model until cancelled.

    Attributes:
        model: What is shown.
        out: Where.
        poll: Returns the counters of the connections.
        plain: Whether to write lines of text instead of redrawing.
    """

    model: ViewModel
    out: Console
    poll: Callable[[], Flow]
    plain: bool = attrs.field(kw_only=True)
    _report: PlainReport = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._report = PlainReport(self.model)
        self.model.started = anyio.current_time()
        self.refresh()

    def refresh(self) -> None:
        """Bring the model up to now."""
        self.model.advance(anyio.current_time(), time.time_ns(), self.poll())

    async def run(self) -> None:
        """Show the model, again and again.

        Cancellation: the way it ends; a terminal is left as it was found.
        """
        if self.plain:
            await self._run_plain()
        else:
            await self._run_live()

    async def _run_plain(self) -> None:
        next_snapshot = anyio.current_time() + _SNAPSHOT_INTERVAL
        while True:
            await anyio.sleep(_LOOK_INTERVAL)
            if anyio.current_time() < next_snapshot:
                self._write(*self._report.lines())
            else:
                next_snapshot += _SNAPSHOT_INTERVAL
                self.refresh()
                self._write(*self._report.snapshot())

    async def _run_live(self) -> None:
        # No thread of rich's own: what is drawn changes only between two awaits of this task's loop.
        with Live(console=self.out, screen=True, auto_refresh=False) as live:
            while True:
                self.refresh()
                size = self.out.size
                live.update(live_view(self.model, width=size.width, height=size.height), refresh=True)
                await anyio.sleep(1 / _REDRAWS_PER_SECOND)

    def finish(self, *parts: RenderableType) -> None:
        """Write what has not been shown yet, and then what is left to say."""
        if self.plain:
            self._write(*self._report.lines())
        for part in parts:
            self.out.print(part)

    def _write(self, *lines: str) -> None:
        self.out.file.write("".join(f"{line}\n" for line in lines))
        self.out.file.flush()
