"""Take every case that a fuzzing server has, on one event loop, and have the server write its reports."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import quote

import anyio
from typing_extensions import assert_never

from bt_api_base.exceptions import WebSocketError
from bt_api_base.websocket import open_websocket

if TYPE_CHECKING:
    from collections.abc import Callable

Loop = Literal["asyncio", "uvloop", "trio"]

LARGEST: Final = 16 * 1024 * 1024
"""Bytes of the largest messages there are, in section 9."""

_CASE_TIMEOUT: Final = 600.0
"""Seconds for one case. The suite's own limit for its slowest ones is 480."""

_PROGRESS_EVERY: Final = 10
"""Cases for each of which one line is printed, if nothing is remarkable about the others."""


def run_cases(loop: Loop, url: str, agent: str, say: Callable[[str], object]) -> None:
    """Run all of a server's cases, and have it write its reports.

    Args:
        loop: The event loop to run on.
        url: Where the fuzzing server listens.
        agent: The name under which it reports on this client.
        say: Takes a line of text about the progress.

    Raises:
        WebSocketError: The server is gone, or refuses to speak about a case.
        TimeoutError: A case hung.
    """
    if loop == "asyncio":
        anyio.run(_run_cases, url, agent, say, backend="asyncio")
    elif loop == "uvloop":
        anyio.run(_run_cases, url, agent, say, backend="asyncio", backend_options={"use_uvloop": True})
    elif loop == "trio":
        anyio.run(_run_cases, url, agent, say, backend="trio")
    else:
        assert_never(loop)


async def _run_cases(url: str, agent: str, say: Callable[[str], object]) -> None:
    agent_query = f"agent={quote(agent)}"
    count = await _ask(f"{url}/getCaseCount")
    for number in range(1, count + 1):
        query = f"case={number}&{agent_query}"
        case = await _ask(f"{url}/getCaseInfo?{query}")
        started = time.perf_counter()
        with anyio.fail_after(_CASE_TIMEOUT):
            await _echo(f"{url}/runCase?{query}")
            status = await _ask(f"{url}/getCaseStatus?{query}")
        if status["behavior"] != "OK" or number % _PROGRESS_EVERY == 0 or number == count:
            seconds = time.perf_counter() - started
            say(f"{agent}: case {number} of {count}, {case['id']}: {status['behavior']}, {seconds:.2f} s")
    # The server closes the connection once they are written.
    await _echo(f"{url}/updateReports?{agent_query}")


async def _echo(url: str) -> None:
    """Send every message back, text as text and binary as binary; the server judges how this goes and ends."""
    try:
        async with open_websocket(url, max_message_size=LARGEST, max_send_size=LARGEST, connect_timeout=60.0) as ws:
            async for batch in ws.batches():
                for message in batch:
                    await ws.send(message)
    except WebSocketError:
        # Most cases are a breach of the protocol. One that is none and ends like this fails by the server's verdict.
        pass


async def _ask(url: str) -> Any:
    """Return the server's answer to a question, which is the URL."""
    async with open_websocket(url, connect_timeout=60.0) as ws:
        return json.loads(await ws.receive())


__all__ = ("LARGEST", "Loop", "run_cases")
