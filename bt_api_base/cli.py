"""The command line: ``python -m bt_api_base`` or ``bt-api``.

Exit status: 0 done, 1 failed or did not add up, 2 wrong usage, 130 or 143 interrupted before its own end (Ctrl-C or
SIGTERM; a run without an end of its own ends with 0). A failure that is no fault of the program is one line on standard
error.
"""

from __future__ import annotations

import sys
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, CycloptsError, Parameter, validators

from bt_api_base import __version__
from bt_api_base._cli.commands import register
from bt_api_base._cli.runtime import (
    EXIT_FAILURE,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_PIPE,
    EXIT_USAGE,
    Backend,
    discard_output,
    expected_errors,
    leaves,
    run,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ("app", "demo", "main", "replay", "watch")

_SYMBOLS = ("BTC-USDT", "ETH-USDT", "BNB-USDT", "SOL-USDT", "XRP-USDT")
_DURATION_ELSEWHERE = 10.0

_Switch = Parameter(negative=(), show_default=False)
_List = Parameter(negative=(), show_default=", ".join)
_Positive = validators.Number(gt=0)

app = App(
    name="bt-api",
    help="Market data of exchanges, live, simulated or recorded, as typed events; and orders and balances.",
    version=f"bt-api-base {__version__}",
    version_format="plaintext",
    suppress_keyboard_interrupt=False,
)


def _websocket_url(_: type, value: str | None) -> None:
    if value is not None and not value.startswith(("ws://", "wss://")):
        raise ValueError("Must start with ws:// or wss://.")


def _speed(_: type, value: float | str) -> None:
    if value != "max" and not (isinstance(value, (int, float)) and value > 0):
        raise ValueError("Must be > 0, or max.")


def _is_terminal() -> bool:
    return sys.stdout.isatty()


@app.command
def demo(
    *,
    backend: Backend = "asyncio",
    duration: Annotated[float | None, Parameter(validator=_Positive)] = None,
    chaos: Annotated[bool, _Switch] = False,
    rotate_every: Annotated[float | None, Parameter(validator=validators.Number(gte=1))] = None,
    plain: Annotated[bool, _Switch] = False,
    symbols: Annotated[tuple[str, ...], _List, Parameter(consume_multiple=True)] = _SYMBOLS,
    rate: Annotated[float, Parameter(validator=validators.Number(gte=1, lte=20_000))] = 50.0,
    seed: int = 1,
) -> int:
    """Stream a simulated market, on this machine and without a network.

    Starts a simulated venue, subscribes to ticker, trades and depth of several symbols through manager and event bus,
    shows them, and in the end compares every frame that arrived with what the venue sent, and every event that was
    shown with what happened there.

    Args:
        backend: Event loop to run on.
        duration: Seconds to run. Default: until Ctrl-C, or 10 seconds where there is no terminal.
        chaos: Break the connection again and again: resets, closes, dead venue, garbage, silence, shutdown notices.
        rotate_every: Have a new connection take over every so many seconds, make before break. Default: never.
        plain: Write lines instead of redrawing. Always so where standard output is no terminal.
        symbols: Symbols to stream.
        rate: Steps of each market per second; a step makes between none and a handful of frames.
        seed: What markets and faults follow from: the same seed, the same prices.
    """
    from bt_api_base._cli.demo import DemoOptions, run_demo

    terminal = _is_terminal()
    if duration is None and not terminal:
        duration = _DURATION_ELSEWHERE
    options = DemoOptions(
        symbols=symbols,
        backend=backend,
        duration=duration,
        chaos=chaos,
        rotate_every=rotate_every,
        plain=plain or not terminal,
        rate=rate,
        seed=seed,
    )
    return run(backend, run_demo, options)


@app.command
def watch(
    exchange: str,
    /,
    *symbols: Annotated[str, Parameter(required=True)],
    topic: Annotated[tuple[str, ...], _List] = ("ticker", "trade"),
    url: Annotated[str | None, Parameter(validator=_websocket_url)] = None,
    record: Path | None = None,
    backend: Backend = "asyncio",
    duration: Annotated[float | None, Parameter(validator=_Positive)] = None,
    attempts: Annotated[int, Parameter(validator=validators.Number(gte=0))] = 5,
    plain: Annotated[bool, _Switch] = False,
) -> int:
    """Stream a real venue's market data.

    Reconnects whenever the connection is lost, until it has failed --attempts times in a row.

    Args:
        exchange: Venue and asset type, such as BINANCE___SPOT.
        symbols: Symbols, such as BTC-USDT.
        topic: What to subscribe to for each symbol; may be repeated.
        url: Endpoint to connect to in place of the venue's own.
        record: Write every frame as it was received to this file, one a line, and its time to a file beside it.
        backend: Event loop to run on.
        duration: Seconds to run. Default: until Ctrl-C.
        attempts: Failed attempts to connect, in a row, after which to give up; 0: never.
        plain: Write lines instead of redrawing. Always so where standard output is no terminal.
    """
    from bt_api_base._cli.watch import WatchOptions, run_watch

    options = WatchOptions(
        exchange_name=exchange,
        symbols=symbols,
        topics=topic,
        url=url,
        record=record,
        backend=backend,
        duration=duration,
        attempts=attempts or None,
        plain=plain or not _is_terminal(),
    )
    return run(backend, run_watch, options)


@app.command
def replay(
    *files: Annotated[Path, Parameter(required=True)],
    speed: Annotated[float | Literal["max"], Parameter(validator=_speed)] = "max",
    exchange: str = "BINANCE___SPOT",
    backend: Backend = "asyncio",
    plain: Annotated[bool, _Switch] = False,
) -> int:
    """Serve recorded frames on this machine and take them through connection, decoder and bus once more.

    A file has one frame a line. Where the times are beside it (FILE.meta.jsonl beside FILE.jsonl), several files are
    merged into one session, and the clock shows the recorded time. In the end every frame is accounted for.

    Args:
        files: Files of frames.
        speed: How many times faster than recorded, or max.
        exchange: Venue and asset type that sent the frames.
        backend: Event loop to run on.
        plain: Write lines instead of redrawing. Always so where standard output is no terminal.
    """
    from bt_api_base._cli.replay import ReplayOptions, run_replay

    options = ReplayOptions(
        files=files,
        exchange_name=exchange,
        backend=backend,
        speed=None if speed == "max" else speed,
        plain=plain or not _is_terminal(),
    )
    return run(backend, run_replay, options)


register(app)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: What follows the program's name; by default what it was started with.

    Returns:
        The exit status.
    """
    try:
        return _call(sys.argv[1:] if arguments is None else list(arguments))
    except CycloptsError as error:
        command = " ".join((app.name[0], *(error.command_chain or ())))
        return _complain(f"{command}: {' '.join(str(error).split())} See: {command} --help", EXIT_USAGE)
    except BaseException as error:
        kinds = {type(leaf) for leaf in leaves(error)}
        if BrokenPipeError in kinds:
            # Whoever read our output has seen enough, as in: bt-api demo | head
            discard_output()
            return EXIT_PIPE
        if KeyboardInterrupt in kinds:
            return EXIT_INTERRUPTED
        lines = expected_errors(error)
        if lines is None:
            raise
        more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
        return _complain(lines[0] + more, EXIT_FAILURE)


def _call(arguments: list[str]) -> int:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # Charts are no ASCII; where they cannot be written, a question mark is better than no output.
            stream.reconfigure(errors="replace")
    result: Any = app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    return result if isinstance(result, int) else EXIT_OK


def _complain(text: str, status: int) -> int:
    print(f"error: {text}", file=sys.stderr)
    return status
