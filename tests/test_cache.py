"""Caches: what is in them, for how long, and what gives way to what."""

from __future__ import annotations

import gc
import math
import sys
import threading
from collections import OrderedDict
from typing import Any

import anyio
import hypothesis.strategies as st
import pytest
from hypothesis import given
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from bt_api_base.cache import (
    ExchangeInfoCache,
    MarketDataCache,
    SimpleCache,
    get_exchange_info_cache,
    get_market_data_cache,
)
from bt_api_base.exceptions import ConfigurationError


class FakeClock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Return what it was set to."""
        return self.now


class TestValues:
    """What is put in comes out."""

    def test_gives_back_what_was_stored(self) -> None:
        """A value is found under its key, and under no other."""
        cache = SimpleCache()
        cache.set("key", "value", ttl=60)
        assert "value" == cache.get("key")
        assert None is cache.get("other")

    def test_a_default_tells_a_stored_none_from_nothing(self) -> None:
        """None is a value like any other."""
        cache = SimpleCache()
        cache.set("key", None)
        assert None is cache.get("key", "nothing")
        assert "nothing" == cache.get("other", "nothing")

    def test_replaces_what_was_there(self) -> None:
        """The last value counts, and its time to live."""
        clock = FakeClock()
        cache = SimpleCache(clock=clock)
        cache.set("key", 1, ttl=10)
        cache.set("key", 2, ttl=20)
        clock.now += 15
        assert 2 == cache.get("key")
        assert 1 == cache.size()

    def test_deletes(self) -> None:
        """What is deleted is gone; the answer is whether it was there."""
        clock = FakeClock()
        cache = SimpleCache(clock=clock)
        cache.set("key", 1, ttl=10)
        cache.set("old", 1, ttl=1)
        clock.now += 1
        assert [True, False, False] == [cache.delete(key) for key in ("key", "key", "old")]
        assert None is cache.get("key")

    def test_clears_all_but_the_statistics(self) -> None:
        """After a clear there is nothing, and what happened before is still counted."""
        cache = SimpleCache()
        cache.set("key", 1)
        cache.get("key")
        cache.clear()
        assert (0, [], None) == (cache.size(), cache.keys(), cache.get("key"))
        assert (1, 1) == (cache.get_stats()["hits"], cache.get_stats()["misses"])

    def test_refuses_a_key_that_cannot_be_hashed(self) -> None:
        """As a dictionary does."""
        with pytest.raises(TypeError, match="unhashable"):
            SimpleCache().get([])

    def test_shows_neither_keys_nor_values(self) -> None:
        """A repr may end up in a log."""
        cache = SimpleCache(default_ttl=5, max_size=7)
        cache.set("a key", "a value")
        assert "<SimpleCache of 1 entries, at most 7, 5 s>" == repr(cache)

    @pytest.mark.parametrize("options", [{"max_size": 0}, {"default_ttl": math.nan}])
    def test_refuses_settings_that_make_no_sense(self, options: dict[str, Any]) -> None:
        """No room, or a time that is no number."""
        with pytest.raises(ConfigurationError):
            SimpleCache(**options)
        with pytest.raises(ConfigurationError):
            SimpleCache().set("key", 1, ttl=math.nan)


class TestTime:
    """Entries live as long as they were told to."""

    def test_an_entry_is_gone_once_its_time_has_come(self) -> None:
        """It can be got until just before, and not at that moment or later."""
        clock = FakeClock()
        cache = SimpleCache(default_ttl=10, clock=clock)
        cache.set("usual", 1)
        cache.set("short", 1, ttl=0.5)
        cache.set("for ever", 1, ttl=math.inf)
        clock.now += 0.5
        assert ["usual", "for ever"] == cache.keys()
        assert None is cache.get("short")
        clock.now = math.nextafter(110, 0)
        assert 1 == cache.get("usual")
        clock.now = 110
        assert None is cache.get("usual")
        clock.now = 1e300
        assert 1 == cache.get("for ever")

    def test_getting_does_not_prolong(self) -> None:
        """A time to live counts from when it was set."""
        clock = FakeClock()
        cache = SimpleCache(default_ttl=10, clock=clock)
        cache.set("key", 1)
        for _ in range(3):
            clock.now += 4
            found = cache.get("key")
        assert None is found

    @pytest.mark.parametrize("ttl", [0, -1])
    def test_no_time_to_live_stores_nothing(self, ttl: float) -> None:
        """And what was there is gone."""
        cache = SimpleCache()
        cache.set("key", 1)
        cache.set("key", 2, ttl=ttl)
        assert (None, 0) == (cache.get("key"), cache.size())

    def test_expired_entries_are_held_until_somebody_looks(self) -> None:
        """`cleanup` and `get` give their memory back, and count them once."""
        clock = FakeClock()
        cache = SimpleCache(clock=clock)
        for number in range(5):
            cache.set(number, "x", ttl=number + 1)
        clock.now += 3
        assert (5, [3, 4]) == (cache.size(), cache.keys())
        cache.get(0)
        assert (4, 2) == (cache.size(), cache.cleanup())
        assert (2, 3, 0) == (cache.size(), cache.get_stats()["expirations"], cache.cleanup())

    @pytest.mark.anyio
    @pytest.mark.virtual_time
    async def test_follows_the_clock_of_an_event_loop(self) -> None:
        """With its clock, an hour passes in virtual time."""
        cache = SimpleCache(default_ttl=3600, clock=anyio.current_time)
        cache.set("key", 1)
        await anyio.sleep(3599)
        assert 1 == cache.get("key")
        await anyio.sleep(1.001)
        assert None is cache.get("key")


class TestRoom:
    """A cache never holds more than it may."""

    def test_what_was_used_the_longest_ago_goes_first(self) -> None:
        """Getting and setting are uses; peeking is none."""
        cache = SimpleCache(max_size=3)
        for key in "abc":
            cache.set(key, key)
        cache.get("a")
        cache.set("b", "B")
        assert "c" == cache.peek("c", None)
        cache.set("d", "d")
        assert ["a", "b", "d"] == cache.keys()
        assert (1, 0) == (cache.get_stats()["evictions"], cache.get_stats()["expirations"])

    def test_an_expired_entry_that_makes_room_is_not_an_eviction(self) -> None:
        """Evictions tell that a cache is too small; this one does not."""
        clock = FakeClock()
        cache = SimpleCache(max_size=1, clock=clock)
        cache.set("a", 1, ttl=1)
        clock.now += 1
        cache.set("b", 1)
        assert (0, 1) == (cache.get_stats()["evictions"], cache.get_stats()["expirations"])

    def test_statistics(self) -> None:
        """They say what happened."""
        cache = SimpleCache(max_size=2)
        assert 0 == cache.get_stats()["hit_rate"]
        for key in "abc":
            cache.set(key, key)
        for key in "abcc":
            cache.get(key)
        assert {
            "size": 2,
            "max_size": 2,
            "hits": 3,
            "misses": 1,
            "evictions": 1,
            "expirations": 0,
            "hit_rate": 0.75,
        } == cache.get_stats()
        assert (3, 1) == (cache.get_stats()["hits"], cache.get_stats()["misses"])


class Model(RuleBasedStateMachine):
    """A cache does what an ordered dictionary with deadlines does."""

    keys = st.integers(0, 5)

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.cache = SimpleCache[int, int](default_ttl=4, max_size=3, clock=self.clock)
        self.model: OrderedDict[int, tuple[int, float]] = OrderedDict()

    @rule(key=keys, value=st.integers(), ttl=st.none() | st.integers(0, 6))
    def set(self, key: int, value: int, ttl: int | None) -> None:
        """Store a value."""
        self.cache.set(key, value, ttl)
        if ttl == 0:
            self.model.pop(key, None)
            return
        if key not in self.model and len(self.model) == 3:
            self.model.popitem(last=False)
        self.model[key] = value, self.clock.now + (4 if ttl is None else ttl)
        self.model.move_to_end(key)

    @rule(key=keys)
    def get(self, key: int) -> None:
        """Get a value."""
        value, deadline = self.model.get(key, (None, math.inf))
        if deadline <= self.clock.now:
            del self.model[key]
            value = None
        elif key in self.model:
            self.model.move_to_end(key)
        assert value == self.cache.get(key)

    @rule(key=keys)
    def delete(self, key: int) -> None:
        """Delete a value."""
        found = self.model.pop(key, None)
        assert (found is not None and found[1] > self.clock.now) == self.cache.delete(key)

    @rule(seconds=st.integers(1, 3))
    def wait(self, seconds: int) -> None:
        """Let time pass."""
        self.clock.now += seconds

    @rule()
    def cleanup(self) -> None:
        """Remove what has expired."""
        expired = [key for key, (_, deadline) in self.model.items() if deadline <= self.clock.now]
        for key in expired:
            del self.model[key]
        assert len(expired) == self.cache.cleanup()

    @invariant()
    def has_the_same_in_the_same_order(self) -> None:
        """Keys, and their order, agree."""
        assert [key for key, (_, deadline) in self.model.items() if deadline > self.clock.now] == self.cache.keys()
        assert len(self.model) == self.cache.size()


TestModel = Model.TestCase


class TestThreads:
    """Threads share a cache without harm."""

    def test_no_look_up_is_lost(self) -> None:
        """Statistics of several threads add up, and the bound holds all the time."""
        cache = SimpleCache[int, int](max_size=50)
        largest: list[int] = []

        def work(seed: int) -> None:
            for number in range(2000):
                key = (number * 7 + seed) % 80
                if cache.get(key) is None:
                    cache.set(key, number)
                if not number % 500:
                    cache.keys()
                    cache.cleanup()
            largest.append(cache.size())

        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-5)
        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
        try:
            for thread in threads:
                thread.start()
        finally:
            for thread in threads:
                thread.join()
            sys.setswitchinterval(interval)
        stats = cache.get_stats()
        assert 8000 == stats["hits"] + stats["misses"]
        assert all(size <= 50 for size in [*largest, stats["size"]])

    @pytest.mark.parametrize("how", ["evict", "replace", "delete", "clear", "cleanup", "get"])
    def test_what_is_dropped_may_use_the_cache(self, how: str) -> None:
        """A finalizer runs wherever its object happens to be dropped; it must not find the door locked."""
        clock = FakeClock()
        cache = SimpleCache[object, object](max_size=1, clock=clock)
        done: list[str] = []

        class Finalized:
            def __del__(self) -> None:
                cache.get("key")
                cache.set("other", 1)
                done.append(how)

        cache.set("key", Finalized(), ttl=1)
        if how in {"cleanup", "get"}:
            clock.now += 1
        actions: dict[str, Any] = {
            "evict": lambda: cache.set("new", 1),
            "replace": lambda: cache.set("key", 1),
            "delete": lambda: cache.delete("key"),
            "clear": cache.clear,
            "cleanup": cache.cleanup,
            "get": lambda: cache.get("key"),
        }
        thread = threading.Thread(target=actions[how], daemon=True)
        thread.start()
        thread.join(5)
        assert [how] == done

    def test_garbage_may_use_the_cache(self) -> None:
        """So may a finalizer that garbage collection runs in the middle of a call."""
        cache = SimpleCache[int, int]()
        for number in range(20):
            cache.set(number, number)
        done: list[int] = []

        class Finalized:
            def __init__(self) -> None:
                self.itself = self

            def __del__(self) -> None:
                cache.get(1)
                done.append(len(cache.keys()))

        threshold = gc.get_threshold()
        gc.set_threshold(1, 1, 1)
        try:
            for number in range(50):
                Finalized()
                assert 20 == len(cache.keys())
                cache.set(number % 20, number)
        finally:
            gc.set_threshold(*threshold)
        gc.collect()
        assert [20] * 50 == done

    def test_does_not_keep_itself_alive(self) -> None:
        """A cache whose values refer to it is garbage like anything else."""

        class Owner:
            pass

        owner: Any = Owner()
        owner.cache = SimpleCache()
        owner.cache.set("me", owner)
        gone: list[bool] = []

        class Witness:
            def __del__(self) -> None:
                gone.append(True)

        owner.witness = Witness()
        del owner
        gc.collect()
        assert [True] == gone


def test_references_are_counted() -> None:
    """What goes in and out leaves no reference behind, and takes none away: the store is not Python."""
    cache = SimpleCache[object, object](max_size=2)
    key, other, value = object(), object(), object()

    def use() -> None:
        cache.get(other)
        cache.get(other, value)
        cache.set(key, value)
        cache.get(key)
        cache.peek(key, None)
        cache.set(key, None)
        cache.set(other, value)
        cache.set(value, key)
        cache.keys()
        cache.cleanup()
        cache.delete(key)
        cache.delete(other)
        cache.set(key, value, ttl=0)
        cache.clear()

    use()
    things = (None, key, other, value)
    before = [sys.getrefcount(thing) for thing in things]
    for _ in range(200):
        use()
    changes = [sys.getrefcount(thing) - count for thing, count in zip(things, before, strict=True)]
    assert all(abs(change) < 100 for change in changes), changes


class TestVenueCaches:
    """What is kept of venues."""

    def test_trading_pairs(self) -> None:
        """They are kept by venue, for an hour, and nobody can change them from outside."""
        clock = FakeClock()
        cache = ExchangeInfoCache(clock=clock)
        assert None is cache.get_trading_pairs("BINANCE___SPOT")
        cache.set_trading_pairs("BINANCE___SPOT", (symbol for symbol in ("BTC-USDT", "ETH-USDT")))
        found = cache.get_trading_pairs("BINANCE___SPOT")
        assert ["BTC-USDT", "ETH-USDT"] == found
        found.clear()
        assert ["BTC-USDT", "ETH-USDT"] == cache.get_trading_pairs("BINANCE___SPOT")
        assert None is cache.get_trading_pairs("OKX___SPOT")
        clock.now += 3600
        assert None is cache.get_trading_pairs("BINANCE___SPOT")

    def test_information_is_kept_by_venue_and_symbol(self) -> None:
        """And forgotten by venue."""
        cache = ExchangeInfoCache()
        for venue in ("BINANCE___SPOT", "OKX___SPOT"):
            cache.set_exchange_info(venue, "BTC-USDT", venue)
            cache.set_trading_pairs(venue, ["BTC-USDT"])
        cache.clear_exchange("BINANCE___SPOT")
        assert None is cache.get_exchange_info("BINANCE___SPOT", "BTC-USDT")
        assert None is cache.get_trading_pairs("BINANCE___SPOT")
        assert "OKX___SPOT" == cache.get_exchange_info("OKX___SPOT", "BTC-USDT")
        assert ["BTC-USDT"] == cache.get_trading_pairs("OKX___SPOT")
        assert 2 == cache.get_stats()["size"]
        cache.clear()
        assert 0 == cache.get_stats()["size"]

    def test_prices_are_kept_for_seconds(self) -> None:
        """Tickers and books do not get in each other's way."""
        clock = FakeClock()
        cache = MarketDataCache(clock=clock)
        cache.set_ticker("OKX___SPOT", "BTC-USDT", "ticker")
        cache.set_orderbook("OKX___SPOT", "BTC-USDT", "book")
        clock.now += 4.9
        assert "ticker" == cache.get_ticker("OKX___SPOT", "BTC-USDT")
        assert "book" == cache.get_orderbook("OKX___SPOT", "BTC-USDT")
        clock.now += 0.1
        assert None is cache.get_ticker("OKX___SPOT", "BTC-USDT")
        assert None is cache.get_orderbook("OKX___SPOT", "BTC-USDT")

    def test_the_process_shares_one_of_each(self) -> None:
        """Whoever asks gets the same."""
        assert get_exchange_info_cache() is get_exchange_info_cache()
        assert get_market_data_cache() is get_market_data_cache()
        assert (3600.0, 5.0) == (get_exchange_info_cache().ttl, get_market_data_cache().ttl)


@given(st.lists(st.integers(0, 9), max_size=60), st.integers(1, 5))
def test_a_cache_is_a_window_on_the_keys_used_last(keys: list[int], size: int) -> None:
    """After any sequence of uses it holds the last different keys, in the order of their last use."""
    cache = SimpleCache[int, int](max_size=size)
    for key in keys:
        if cache.get(key) is None:
            cache.set(key, key)
    last = list(dict.fromkeys(reversed(keys)))[:size]
    assert last[::-1] == cache.keys()
