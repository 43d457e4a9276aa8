"""A cache: bounded, each entry with a time to live of its own, for any number of threads.

What is stored lives in cachebox's least-recently-used cache, which is a third of what the same costs in pure Python. It
guards itself with a lock of its own that no caller sees, so a hit takes no other one. Two rules come with that lock. It
does not let the same thread in twice, and an object's finalizer may do anything, this cache included: so nothing here
is ever dropped inside of it. Each entry refers to its key, is taken out before it is let go, and lists are made of a
copy.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any, Generic, TypedDict, cast, overload

import attrs
import cachebox
from typing_extensions import TypeVar

from bt_api_base.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ("CacheStats", "SimpleCache")

K = TypeVar("K", bound=Hashable, default=Any)
V = TypeVar("V", default=Any)
D = TypeVar("D")


class CacheStats(TypedDict):
    """What a cache has done so far.

    Attributes:
        size: Entries it holds, those that have expired and not been looked at since included.
        max_size: Entries it can hold.
        hits: Look-ups that found something.
        misses: Look-ups that did not.
        evictions: Entries that had to make room for others.
        expirations: Entries that were removed because their time was over.
        hit_rate: Hits among all look-ups, 0 to 1; 0 before the first one.
    """

    size: int
    max_size: int
    hits: int
    misses: int
    evictions: int
    expirations: int
    hit_rate: float


def _checked_ttl(ttl: float) -> float:
    """Return a time to live, or refuse what is not a number of seconds.

    Raises:
        ConfigurationError: It is NaN.
    """
    if math.isnan(ttl):
        raise ConfigurationError("a time to live is a number of seconds, not NaN")
    return ttl


def _checked_size(_: object, __: object, max_size: int) -> None:
    if max_size < 1:
        raise ConfigurationError(f"max_size must be at least 1, not {max_size}")


@attrs.define(eq=False, on_setattr=attrs.setters.NO_OP)  # a hook would be run for each look-up
class SimpleCache(Generic[K, V]):
    """A bounded cache of which each entry has a time to live of its own.

    Threads may share it. It needs no event loop, starts no thread, and looks at its clock only when it is used: an
    entry that has expired is gone for everybody who asks for it, and its memory is given back when somebody does, when
    it makes room for another, or by `cleanup`.

    Keys are compared as in a dictionary, where 1, 1.0 and True are one key. Comparing two keys must not use the cache.

    Args:
        default_ttl: Seconds that an entry lives unless `set` says otherwise; ``math.inf`` is for ever.
        max_size: Entries it holds. One more, and the one that was used the longest ago goes.
        clock: Returns the time in seconds; must not go back. `anyio.current_time`, for instance, where a cache is to
            follow an event loop's virtual time.

    Raises:
        ConfigurationError: There is no room for anything, or the time to live is NaN.
    """

    default_ttl: float = attrs.field(default=300.0, converter=_checked_ttl)
    max_size: int = attrs.field(default=10_000, validator=_checked_size)
    clock: Callable[[], float] = attrs.field(default=time.monotonic, kw_only=True)
    _store: cachebox.LRUCache[K, tuple[V, float, K]] = attrs.field(init=False)
    _find: Callable[[K], tuple[V, float, K] | None] = attrs.field(init=False)
    _peek: Callable[[K], tuple[V, float, K] | None] = attrs.field(init=False)
    _insert: Callable[[K, tuple[V, float, K]], tuple[V, float, K] | None] = attrs.field(init=False)
    _lock: threading.RLock = attrs.field(factory=threading.RLock, init=False, repr=False)
    _hits: int = attrs.field(default=0, init=False, repr=False)
    _misses: int = attrs.field(default=0, init=False, repr=False)
    _evictions: int = attrs.field(default=0, init=False, repr=False)
    _expirations: int = attrs.field(default=0, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._begin()

    def __repr__(self) -> str:
        # Neither keys nor values: nobody knows what is in them.
        return f"<SimpleCache of {self.size()} entries, at most {self.max_size}, {self.default_ttl:g} s>"

    @overload
    def get(self, key: K) -> V | None: ...
    @overload
    def get(self, key: K, default: D) -> V | D: ...
    def get(self, key: K, default: Any = None) -> Any:
        """Return what is stored under a key, and make that the entry used last.

        Args:
            key: Any hashable object.
            default: What to return where nothing is stored, or it has expired. Pass an object of your own where
                ``None`` may be stored.
        """
        entry = self._find(key)
        if entry is not None:
            if self.clock() < entry[1]:
                self._hits += 1  # threads take turns at calls and loops: never between these steps
                return entry[0]
            self._expire(entry)
        self._misses += 1
        return default

    def peek(self, key: K, default: D) -> V | D:
        """Return the same as `get`, but leave statistics and order alone."""
        entry = self._peek(key)
        return default if entry is None or self.clock() >= entry[1] else entry[0]

    def set(self, key: K, value: V, ttl: float | None = None) -> None:
        """Store a value, in place of the one that was there.

        Args:
            key: Any hashable object.
            value: Any object.
            ttl: Seconds that it lives; ``None``: `default_ttl`. Zero or less forgets what was there.

        Raises:
            ConfigurationError: The time to live is NaN.
            TypeError: The key is not hashable.
        """
        lifetime = self.default_ttl if ttl is None else _checked_ttl(ttl)
        if lifetime <= 0:
            self.delete(key)
            return
        deadline = self.clock() + lifetime
        dropped: object = None  # let go of after the lock is: a finalizer may do anything
        with self._lock:
            before = self._peek(key)
            if before is not None:
                dropped = self._insert(key, (value, deadline, before[2]))
            else:
                if self.size() >= self.max_size:
                    dropped = self._make_room()
                self._insert(key, (value, deadline, key))
        del before, dropped

    def delete(self, key: K) -> bool:
        """Forget what is stored under a key; return whether there was anything that had not expired."""
        with self._lock:
            entry: tuple[V, float, K] | None = self._store.pop(key, None)
        return entry is not None and self.clock() < entry[1]

    def clear(self) -> None:
        """Forget everything except the statistics."""
        with self._lock:
            before = self._store
            self._begin()
        del before  # and with it, outside of any lock, all that was stored

    def cleanup(self) -> int:
        """Remove all entries that have expired, and return how many did. Takes time in proportion to the size."""
        now = self.clock()
        with self._lock:
            expired = [entry for entry in self._entries() if now >= entry[1]]
            for entry in expired:
                self._store.pop(entry[2])
            self._expirations += len(expired)
        return len(expired)

    def size(self) -> int:
        """Return how many entries there are, those that have expired and not been looked at since included."""
        return len(self._store)

    def keys(self) -> list[K]:
        """List the keys under which something can be got, from the one used the longest ago to the last."""
        now = self.clock()
        with self._lock:
            return [entry[2] for entry in self._entries() if now < entry[1]]

    def get_stats(self) -> CacheStats:
        """Return what happened since the cache was made."""
        with self._lock:
            hits, misses = self._hits, self._misses
            return CacheStats(
                size=len(self._store),
                max_size=self.max_size,
                hits=hits,
                misses=misses,
                evictions=self._evictions,
                expirations=self._expirations,
                hit_rate=hits / (hits + misses) if hits else 0.0,
            )

    def _begin(self) -> None:
        """Start with nothing. The bound is kept here: cachebox would drop what it evicts inside of its lock."""
        self._store = cachebox.LRUCache(0)
        self._find = self._store.get
        self._peek = self._store.peek
        self._insert = self._store.insert

    def _entries(self) -> list[tuple[V, float, K]]:
        # Of a copy: to walk through the original makes objects inside of its lock, which may start garbage collection.
        return list(self._store.copy().values())

    def _make_room(self) -> object:
        """Take out what was used the longest ago, and return it for others to drop."""
        taken: list[object] = []
        while self.size() >= self.max_size:
            key = cast("K", self._store.least_recently_used())
            entry = self._store.pop(key)
            if self.clock() < entry[1]:
                self._evictions += 1
            else:
                self._expirations += 1
            taken.append(entry)
        return taken

    def _expire(self, entry: tuple[V, float, K]) -> None:
        """Remove an entry, unless another one has taken its place."""
        with self._lock:
            if self._peek(entry[2]) is entry:
                self._store.pop(entry[2])
                self._expirations += 1
