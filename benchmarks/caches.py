"""What a cache costs: a hit, a miss, a store, a hit of `@cached`; against cachetools, cachebox and functools.lru_cache.

python benchmarks/caches.py [--items 100000] [--rounds 5] [--old-python PATH]

The older, synchronous bt_api_base has the same module names, so it runs in an environment of its own, whose interpreter
`--old-python` or the environment variable BT_API_OLD_PYTHON names.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import threading
import time
from functools import lru_cache
from timeit import Timer
from typing import TYPE_CHECKING, Any

import anyio.lowlevel
import cachebox
import cachetools
from _report import Report

from bt_api_base.cache import SimpleCache, cached

if TYPE_CHECKING:
    from collections.abc import Callable

ENTRIES = 1_000
SIZE = 10_000
KEY = "BINANCE___SPOT:BTC-USDT"
OURS, OLDER = "ours", "bt_api_base 0.15.5"

MEASURE = """
from timeit import Timer

def measure(target, argument, items):
    return min(Timer(f"call({argument})", globals={"call": target}).repeat(3, items // 3)) / (items // 3)
"""

OLDER_PROGRAM = (
    MEASURE
    + """
import json, sys
from bt_api_base.cache import SimpleCache, cached
key, items = sys.argv[1], int(sys.argv[2])
cache = SimpleCache(max_size=10000)
for number in range(1000):
    cache.set(f"key {number}", number)
cache.set(key, 1)
assert cache.get(key) == 1
found = {
    "hit": measure(cache.get, repr(key), items),
    "miss": measure(cache.get, "'no such key'", items),
    "set": measure(cache.set, f"{key!r}, 1", items),
}
function = cached(ttl=300)(lambda symbol: symbol)
assert function(key) == key
found["@cached"] = measure(function, repr(key), items)
print(json.dumps(found))
"""
)


def measure(call: Callable[..., Any], argument: str, items: int) -> float:
    """Return the seconds of one call: the best of a few runs, as whatever else happens only adds to it."""
    return min(Timer(f"call({argument})", globals={"call": call}).repeat(3, items // 3)) / (items // 3)


def locked(cache: Any) -> tuple[Callable[[str], Any], Callable[[str, Any], None]]:
    """Return how to get from and store in a cache of cachetools, which leaves locks to its users."""
    lock = threading.Lock()

    def get(key: str) -> Any:
        with lock:
            return cache.get(key)

    def store(key: str, value: Any) -> None:
        with lock:
            cache[key] = value

    return get, store


def older(python: str, items: int) -> dict[str, float] | None:
    """Return what the older package needs."""
    ran = subprocess.run(
        [python, "-I", "-c", OLDER_PROGRAM, KEY, str(items)], capture_output=True, text=True, check=False
    )
    if ran.returncode:
        print(f"{OLDER} is left out: {ran.stderr.strip().splitlines()[-1:]}")
        return None
    found: dict[str, float] = json.loads(ran.stdout)
    return found


def candidates() -> dict[str, tuple[Callable[[str], Any], Callable[[str, Any], Any], Callable[[str], Any]]]:
    """Return for each package how to get, how to store, and a function that remembers."""

    def echo(symbol: str) -> str:
        return symbol

    ours = SimpleCache[str, int](300.0, SIZE)
    boxed = cachebox.VTTLCache[str, Any](SIZE)
    tools = cachetools.TTLCache[str, Any](SIZE, 300.0)
    return {
        OURS: (ours.get, ours.set, cached(ttl=300)(echo)),
        "cachebox, VTTLCache": (
            boxed.get,
            lambda key, value: boxed.insert(key, value, ttl=300.0),
            cachebox.cached(cachebox.TTLCache(SIZE, 300.0))(echo),
        ),
        "cachetools, TTLCache and a lock": (
            *locked(tools),
            cachetools.cached(cachetools.TTLCache(SIZE, 300.0), key=cachetools.keys.typedkey, lock=threading.Lock())(
                echo
            ),
        ),
    }


def measure_all(items: int, rounds: int, old_python: str | None) -> dict[str, dict[str, float]]:
    """Return the seconds of each operation with each package: medians of several rounds through all of them."""
    seconds: dict[str, dict[str, list[float]]] = {}

    def note(name: str, operation: str, taken: float) -> None:
        seconds.setdefault(operation, {}).setdefault(name, []).append(taken)

    made = candidates()
    for get, store, function in made.values():
        for number in range(ENTRIES):
            store(f"key {number}", number)
        store(KEY, 1)
        if get(KEY) != 1 or function(KEY) != KEY:
            raise AssertionError("it does not remember")
    floor = lru_cache(SIZE, typed=True)(lambda symbol: symbol)
    for _ in range(rounds):
        for name, (get, store, function) in made.items():
            note(name, "hit", measure(get, repr(KEY), items))
            note(name, "miss", measure(get, "'no such key'", items))
            note(name, "set", measure(store, f"{KEY!r}, 1", items))
            note(name, "@cached", measure(function, repr(KEY), items))
        note("functools.lru_cache, which never expires", "@cached", measure(floor, repr(KEY), items))
        for operation, taken in ((older(old_python, items) if old_python else None) or {}).items():
            note(OLDER, operation, taken)
    return {
        operation: {name: statistics.median(taken) for name, taken in by_name.items()}
        for operation, by_name in seconds.items()
    }


def show_operations(items: int, rounds: int, old_python: str | None) -> None:
    """Measure and print what each operation costs."""
    titles = {
        "hit": "get, a hit",
        "miss": "get, a miss",
        "set": "set, of a key that is there",
        "@cached": "@cached, a hit with one argument",
    }
    for operation, seconds in measure_all(items, rounds, old_python).items():
        report = Report(f"{titles[operation]} (ours: ratio to the older one; others: to ours)")
        ours, older_one = seconds[OURS], seconds.get(OLDER)
        target = 2 if operation == "hit" and older_one else None
        report.row(OURS, 1 / ours, baseline=None if older_one is None else 1 / older_one, target=target)
        for name, taken in seconds.items():
            if name != OURS:
                report.row(name, 1 / taken, baseline=1 / ours)
        report.show()


async def stampede(tasks: int) -> float:
    """Return the seconds for tasks that all ask for the same at once, of which one call is made."""
    calls = 0

    @cached(ttl=300)
    async def fetch(symbol: str) -> str:
        nonlocal calls
        calls += 1
        await anyio.lowlevel.checkpoint()
        return symbol

    async def ask() -> None:
        await fetch(KEY)

    start = time.perf_counter()
    async with anyio.create_task_group() as group:
        for _ in range(tasks):
            group.start_soon(ask)
    if calls != 1:
        raise AssertionError(f"it was called {calls} times")
    return time.perf_counter() - start


async def no_stampede(tasks: int) -> float:
    """Return the seconds for as many tasks that do nothing."""

    async def nothing() -> None:
        await anyio.lowlevel.checkpoint()

    start = time.perf_counter()
    async with anyio.create_task_group() as group:
        for _ in range(tasks):
            group.start_soon(nothing)
    return time.perf_counter() - start


def show_stampedes(rounds: int) -> None:
    """Measure and print what waiting for another task's call costs."""
    tasks = 1_000
    for backend in ("asyncio", "trio"):
        seconds = {
            name: statistics.median(anyio.run(function, tasks, backend=backend) for _ in range(rounds)) / tasks
            for name, function in (("a task that does nothing", no_stampede), ("a task of a stampede", stampede))
        }
        report = Report(f"1,000 tasks ask for the same, one call, {backend}")
        baseline = 1 / seconds["a task that does nothing"]
        for name, taken in seconds.items():
            report.row(name, 1 / taken, baseline=baseline)
        report.show()


def main() -> None:
    """Run everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=100_000, help="calls per measurement (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each kind (default: %(default)s)")
    parser.add_argument(
        "--old-python",
        default=os.environ.get("BT_API_OLD_PYTHON"),
        help="the interpreter of an environment with bt_api_base 0.15.5 (default: BT_API_OLD_PYTHON)",
    )
    options, _ = parser.parse_known_args()  # `nox -s bench` gives every script the same arguments
    if not options.old_python:
        print(f"{OLDER} is left out: neither --old-python nor BT_API_OLD_PYTHON names its interpreter")
    show_operations(max(3, options.items), options.rounds, options.old_python)
    show_stampedes(options.rounds)


if __name__ == "__main__":
    main()
