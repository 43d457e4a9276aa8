"""What it costs to ask a rate limiter, at limits from 10 to 100,000, against other packages' limiters.

python benchmarks/rate_limiter.py [--rounds 3] [--old-python PATH]

Each measurement fills fresh limiters to their limit, or to 20,000 calls. The older, synchronous bt_api_base has the
same module names, so it runs in an environment of its own, whose interpreter `--old-python` or the environment variable
BT_API_OLD_PYTHON names.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import subprocess
import time
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any

import aiolimiter
import anyio
import pyrate_limiter
import throttled
from _report import Report
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter, MovingWindowRateLimiter

from bt_api_base.rate_limiter import RateLimiter, RateLimitRule, RateLimitType

LIMITS = (10, 1_000, 6_000, 100_000)
MOST_CALLS = 20_000  # of one measurement
MOST_CALLS_OF_THE_OLDER = 6_000  # it takes time with each call that it remembers
CALLS = 2_000  # at least, over several limiters
TARGET_NS = 1_000

Acquire = Callable[[], Any]
"""Asks for one call."""

SLIDING, FIXED, BUCKET = RateLimitType
STORAGE = MemoryStorage()  # of limits: one for all, because each runs a thread
IDENTIFIERS = count()


def ours(kind: RateLimitType, limit: int) -> Acquire:
    """Return what asks a limiter of ours with one rule."""
    return partial(RateLimiter([RateLimitRule("minute", kind, 60.0, limit)]).acquire, "GET", "/api/v3/depth")


def two_linked(kind: RateLimitType, limit: int) -> Acquire:
    """Return what asks a limiter of ours with two rules, both of which have to agree."""
    rules = (RateLimitRule("minute", kind, 60.0, limit), RateLimitRule("day", kind, 86_400.0, 10 * limit))
    return partial(RateLimiter(rules).acquire, "GET", "/api/v3/depth")


def limits(kind: RateLimitType, limit: int) -> Acquire | None:
    """Return what asks a limiter of limits."""
    if kind is BUCKET:
        return None
    strategy = MovingWindowRateLimiter if kind is SLIDING else FixedWindowRateLimiter
    identifier = f"GET /api/v3/depth {next(IDENTIFIERS)}"
    return partial(strategy(STORAGE).hit, RateLimitItemPerMinute(limit), identifier)


def pyrate(kind: RateLimitType, limit: int) -> Acquire:
    """Return what asks a limiter of pyrate-limiter."""
    rates = [pyrate_limiter.Rate(limit, pyrate_limiter.Duration.MINUTE)]
    bucket: Any
    if kind is BUCKET:
        bucket = pyrate_limiter.StateBucket(rates, pyrate_limiter.TokenBucket())
    else:
        algorithm = pyrate_limiter.FixedWindow() if kind is FIXED else pyrate_limiter.SlidingWindowLog()
        bucket = pyrate_limiter.InMemoryBucket(rates, algorithm)
    return partial(pyrate_limiter.Limiter(bucket).try_acquire, "GET /api/v3/depth", blocking=False)


def throttled_py(kind: RateLimitType, limit: int) -> Acquire:
    """Return what asks a limiter of throttled-py."""
    limiter = throttled.Throttled(
        key="GET /api/v3/depth",
        using=kind.value,
        quota=throttled.per_min(limit, burst=limit),
        store=throttled.MemoryStore(),
    )
    return limiter.limit


PEERS: dict[str, Callable[[RateLimitType, int], Acquire | None]] = {
    "ours": ours,
    "ours, two linked rules": two_linked,
    "limits": limits,
    "pyrate-limiter": pyrate,
    "throttled-py": throttled_py,
}

OLDER = """
import json, sys, time
from bt_api_base.rate_limiter import RateLimiter, RateLimitRule, RateLimitScope, RateLimitType
kind, limit, calls, limiters = sys.argv[1], *map(int, sys.argv[2:])
made = [
    RateLimiter([RateLimitRule("minute", RateLimitType(kind), 60, limit, RateLimitScope.GLOBAL)])
    for _ in range(limiters)
]
seconds = 0.0
for limiter in made:
    acquire = limiter.acquire
    assert acquire("GET", "/api/v3/depth")
    start = time.perf_counter()
    for _ in range(calls - 1):
        granted = acquire("GET", "/api/v3/depth")
    seconds += time.perf_counter() - start
    assert granted
    assert calls < limit or not acquire("GET", "/api/v3/depth"), "it grants more than the limit"
print(json.dumps(seconds / ((calls - 1) * limiters)))
"""


def measure(make: Callable[[], Acquire], calls: int) -> float:
    """Return the seconds of a call, each of which is granted."""
    limiters = [make() for _ in range(max(1, CALLS // calls))]
    for acquire in limiters:
        acquire()
    gc.collect()
    gc.disable()
    try:
        start = time.perf_counter()
        for acquire in limiters:
            for _ in range(calls - 1):
                acquire()
        return (time.perf_counter() - start) / ((calls - 1) * len(limiters))
    finally:
        gc.enable()


def measure_older(python: str, kind: RateLimitType, calls: int, limit: int) -> float | None:
    """Return the seconds of a call of the older package; ``None``: it does not limit in this way."""
    arguments = (kind.value, str(limit), str(calls), str(max(1, CALLS // calls)))
    ran = subprocess.run(
        [python, "-c", OLDER, *arguments], capture_output=True, text=True, check=False, timeout=120, cwd="/"
    )
    if ran.returncode:
        print(f"bt_api_base 0.15.5 is left out of {kind.value}: {ran.stderr.strip().splitlines()[-1]}")
        return None
    return float(json.loads(ran.stdout))


def show_kind(kind: RateLimitType, rounds: int, old_python: str | None) -> float:
    """Measure and print one way of counting; return the most seconds that a call of ours took."""
    report = Report(f"acquire, {kind.value.replace('_', ' ')}")
    slowest = 0.0
    for limit in LIMITS:
        calls = min(limit, MOST_CALLS)
        makers = {name: partial(make, kind, limit) for name, make in PEERS.items() if make(kind, limit) is not None}
        seconds: dict[str, list[float]] = {name: [] for name in makers}
        for _ in range(rounds):
            for name, make in makers.items():
                seconds[name].append(measure(make, calls))  # type: ignore[arg-type]
            if old_python and limit <= MOST_CALLS_OF_THE_OLDER:
                older = measure_older(old_python, kind, calls, limit)
                if older is None:
                    old_python = None
                else:
                    seconds.setdefault("bt_api_base 0.15.5", []).append(older)
        rates = {name: 1 / statistics.median(taken) for name, taken in seconds.items()}
        slowest = max(slowest, 1 / rates["ours"])
        older_rate = rates.get("bt_api_base 0.15.5")
        # Of the older one, only the sliding window takes longer the more it has granted.
        target = 10 if limit == 6_000 and kind is SLIDING and older_rate else None
        for name, rate in rates.items():
            if name == "ours":
                report.row(f"{limit:,}: ours", rate, baseline=older_rate, target=target)
            else:
                report.row(f"{limit:,}: {name}", rate, baseline=rates["ours"])
    report.show()
    return slowest


async def _acquire_in_a_loop(make: Callable[[], Any], calls: int) -> float:
    limiter = make()
    acquire = limiter.async_acquire if isinstance(limiter, RateLimiter) else limiter.acquire
    await acquire()
    start = time.perf_counter()
    for _ in range(calls - 1):
        await acquire()
    return (time.perf_counter() - start) / (calls - 1)


def show_loops(rounds: int) -> None:
    """Measure and print what a task pays that does not have to wait."""
    report = Report("async_acquire with room, limit 6,000 (ratio to aiolimiter)")
    makers: dict[str, tuple[str, Callable[[], Any]]] = {
        "aiolimiter, asyncio": ("asyncio", lambda: aiolimiter.AsyncLimiter(6_000, 60)),
        "ours, asyncio": ("asyncio", lambda: RateLimiter([RateLimitRule("minute", SLIDING, 60.0, 6_000)])),
        "ours, trio": ("trio", lambda: RateLimiter([RateLimitRule("minute", SLIDING, 60.0, 6_000)])),
    }
    seconds: dict[str, list[float]] = {name: [] for name in makers}
    for _ in range(rounds):
        for name, (backend, make) in makers.items():
            seconds[name].append(anyio.run(_acquire_in_a_loop, make, 6_000, backend=backend))
    baseline = 1 / statistics.median(seconds["aiolimiter, asyncio"])
    for name, taken in seconds.items():
        report.row(name, 1 / statistics.median(taken), baseline=None if name.startswith("aio") else baseline)
    report.show()


def main() -> None:
    """Run everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each kind (default: %(default)s)")
    parser.add_argument(
        "--old-python",
        default=os.environ.get("BT_API_OLD_PYTHON"),
        help="the interpreter of an environment with bt_api_base 0.15.5 (default: BT_API_OLD_PYTHON)",
    )
    options, _ = parser.parse_known_args()  # `nox -s bench` gives every script the same arguments
    if not options.old_python:
        print("bt_api_base 0.15.5 is left out: neither --old-python nor BT_API_OLD_PYTHON names its interpreter")
    slowest = max(show_kind(kind, options.rounds, options.old_python) for kind in RateLimitType)
    verdict = "yes" if slowest * 1e9 <= TARGET_NS else "NO"
    print(f"ours takes at most 1 µs at any limit: {verdict} (at most {slowest * 1e9:,.0f} ns)")
    show_loops(options.rounds)


if __name__ == "__main__":
    main()
