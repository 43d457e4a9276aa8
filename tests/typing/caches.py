"""What type checkers make of caches. Never run: mypy and pyright read it in the ``types`` session."""

from __future__ import annotations

from typing import Any

from typing_extensions import assert_type

from bt_api_base.cache import CacheStats, SimpleCache, cached


@cached(ttl=60)
def multiply(number: int, *, factor: int = 2) -> float:
    """Keeps its parameters and what it returns."""
    return number * factor


@cached()
async def fetch(symbol: str) -> bytes:
    """Keeps being a coroutine function."""
    return symbol.encode()


class Venue:
    """Has a method."""

    @cached(maxsize=5)
    async def lot_size(self, symbol: str) -> int:
        """Is called without the object."""
        return len(symbol)


async def functions(venue: Venue) -> None:
    """What is decorated has the types of the function."""
    assert_type(multiply(1, factor=3), float)
    assert_type(await fetch("x"), bytes)
    assert_type(await venue.lot_size("x"), int)
    assert_type(await Venue.lot_size(venue, "x"), int)
    assert_type(multiply.cache_stats(), CacheStats)
    venue.lot_size.clear_cache()
    multiply("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await venue.lot_size(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def caches() -> None:
    """A cache may have types, and need not."""
    cache = SimpleCache[str, int]()
    assert_type(cache.get("x"), int | None)
    assert_type(cache.get("x", "nothing"), int | str)
    assert_type(SimpleCache().get("x"), Any | None)
    cache.set("x", "y")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
