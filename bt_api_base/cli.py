"""The command line: ``python -m bt_api_base`` or ``bt-api``.

Exit status: 0 done, 1 failed or did not add up, 2 wrong usage, 130 or 143 interrupted before its own end (Ctrl-C or
SIGTERM; a run without an end of its own ends with 0). A failure that is no fault of the program is one line on standard
error.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, CycloptsError, Parameter, validators

from bt_api_base import __version__
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

__all__ = ("app", "main")

_SYMBOLS = ("BTC-USDT", "ETH-USDT", "BNB-USDT", "SOL-USDT", "XRP-USDT")
_DURATION_ELSEWHERE = 10.0

_Switch = Parameter(negative=())
_Positive = validators.Number(gt=0)

app = App(
    name="bt-api",
    help="Market data of exchanges, live, simulated or recorded, as typed events.",
    version=f"bt-api-base {__version__}",
    version_format="plaintext",
)


def _is_terminal() -> bool:
    return sys.stdout.isatty()


@app.command
def demo(
    *,
    backend: Backend = "asyncio",
    duration: Annotated[float | None, Parameter(validator=_Positive)] = None,
    chaos: Annotated[bool, _Switch] = False,
    plain: Annotated[bool, _Switch] = False,
    symbols: Annotated[tuple[str, ...], Parameter(consume_multiple=True, negative=())] = _SYMBOLS,
    rate: Annotated[float, Parameter(validator=validators.Number(gte=1, lte=20_000))] = 50.0,
    seed: int = 1,
) -> int:
    """Stream a simulated market, on this machine and without a network.

    Starts a simulated venue, subscribes to ticker, trades and depth of several symbols through manager and event bus,
    shows them, and in the end compares every frame that arrived with what the venue sent.

    Args:
        backend: Event loop to run on.
        duration: Seconds to run. Default: until Ctrl-C, or 10 seconds where there is no terminal.
        chaos: Break the connection again and again: resets, closes, dead venue, garbage, silence.
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
        plain=plain or not terminal,
        rate=rate,
        seed=seed,
    )
    return run(backend, run_demo, options)


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
        return _complain("; ".join(lines), EXIT_FAILURE)


def _call(arguments: list[str]) -> int:
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # Charts are no ASCII; where they cannot be written, a question mark is better than no output.
            stream.reconfigure(errors="replace")
    result: Any = app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    return result if isinstance(result, int) else EXIT_OK


def _complain(text: str, status: int) -> int:
    print(f"error: {text}", file=sys.stderr)
    return status


