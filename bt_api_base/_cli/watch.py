"""``watch``: a real venue's market, live, and recorded where asked for."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import anyio
import attrs

from bt_api_base._cli.model import ViewModel
from bt_api_base._cli.pipeline import Pipeline, Wish
from bt_api_base._cli.recording import FrameRecorder, meta_path
from bt_api_base._cli.runtime import Backend, CommandError, Interrupts, interrupts
from bt_api_base._cli.screen import Screen, console
from bt_api_base._cli.taps import RecordingAdapter
from bt_api_base._cli.view import connections_table, market_tables
from bt_api_base.venues import stream_adapter
from bt_api_base.websocket.config import WebSocketConfig

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bt_api_base.websocket.adapter import StreamAdapter

__all__ = ("WatchOptions", "run_watch")


@attrs.frozen(kw_only=True)
class WatchOptions:
    """What to watch.

    Attributes:
        exchange_name: Venue and asset type.
        symbols: Internal symbols.
        topics: Topics of each.
        url: Endpoint; ``None``: the venue's own.
        record: File to record to.
        backend: The event loop, for the title.
        duration: Seconds to run; ``None``: until interrupted.
        attempts: Failed attempts to connect in a row after which to give up; ``None``: never.
        plain: Whether to write lines of text.
    """

    exchange_name: str
    symbols: Sequence[str]
    topics: Sequence[str]
    url: str | None
    record: Path | None
    backend: Backend
    duration: float | None
    attempts: int | None
    plain: bool


async def run_watch(options: WatchOptions) -> int:
    """Watch a venue.

    Returns:
        The exit status.

    Raises:
        BtApiError: There is no such venue, topic or symbol; the venue refuses or was never reached.

    Cancellation: closes the connection; what was recorded is written.
    """
    # This one names the channels; each connection makes one of its own.
    adapter = stream_adapter(options.exchange_name)
    model = ViewModel(title=f"bt-api watch: {adapter.exchange_name} on {options.backend}", bucket_ns=1_000_000_000)
    wishes = [Wish(topic, symbol) for symbol in options.symbols for topic in options.topics]
    for wish in wishes:
        # What the venue cannot have is told before anything is connected.
        model.add_symbol(adapter.exchange_name, adapter.channel(wish.topic, wish.symbol).symbol)
    config = WebSocketConfig(
        options.url or adapter.default_url, adapter.exchange_name, max_reconnect_attempts=options.attempts
    )
    recorder = FrameRecorder(options.record) if options.record is not None else None

    def make_adapter() -> StreamAdapter:
        made = stream_adapter(options.exchange_name)
        return made if recorder is None else RecordingAdapter(made, recorder)

    async with AsyncExitStack() as stack:
        stop = await stack.enter_async_context(interrupts())
        if recorder is not None:
            tasks = await stack.enter_async_context(anyio.create_task_group())
            await tasks.start(recorder.run)
            stack.callback(tasks.cancel_scope.cancel)
        pipeline = await stack.enter_async_context(Pipeline.open(model, config, make_adapter))
        screen = Screen(model, console(), pipeline.poll, plain=options.plain)
        await _play(pipeline, screen, wishes, stop, options.duration)
        pipeline.stop_watching()
        await pipeline.drain()
        screen.refresh()
    screen.finish(market_tables(model, width=screen.out.width), connections_table(model))
    if recorder is not None:
        altered = f" ({recorder.altered:,} of them with line breaks taken out)" if recorder.altered else ""
        screen.finish(
            f"recorded {recorder.frames:,} frames{altered} to {recorder.path}, times to {meta_path(recorder.path)}"
        )
    if not model.flow.connects:
        raise CommandError(f"{adapter.exchange_name} was not reached: is there a network, and is the URL right?")
    return stop.exit_status(bounded=options.duration is not None)


async def _play(
    pipeline: Pipeline, screen: Screen, wishes: Sequence[Wish], stop: Interrupts, duration: float | None
) -> None:
    async def play() -> None:
        await pipeline.subscribe(wishes)
        await pipeline.wait_failed()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(screen.run)
        try:
            await stop.run_until(duration, play)
        finally:
            tasks.cancel_scope.cancel()
