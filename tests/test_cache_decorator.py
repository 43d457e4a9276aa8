"""Functions that remember what they returned: which calls are the same, and for how long."""

from __future__ import annotations

import copy
import gc
import inspect
import math
import pickle
import sys
import weakref
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio.lowlevel
import attrs
import hypothesis.strategies as st
import pytest
from hypothesis import given

from bt_api_base.cache import CachedFunction, SimpleCache, cached
from bt_api_base.cache.keys import KeyMaker
from bt_api_base.exceptions import ConfigurationError
from tests.test_cache import FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable


@cached(ttl=60)
def named(number: int, factor: int = 2) -> int:
    """Multiply."""
    return number * factor


def recorder(**options: Any) -> tuple[CachedFunction[..., tuple[Any, ...]], list[tuple[Any, ...]]]:
    """Return a cached function that returns its arguments, and the list of its calls."""
    calls: list[tuple[Any, ...]] = []

    @cached(**options)
    def record(*args: Any, **kwargs: Any) -> tuple[Any, ...]:
        calls.append((*args, *kwargs.items()))
        return calls[-1]

    return record, calls


class TestCalls:
    """Which calls are the same."""

    def test_the_same_arguments_are_one_call(self) -> None:
        """The function is called once, and its result is handed out."""
        record, calls = recorder()
        assert record("a", 1) is record("a", 1)
        assert [("a", 1)] == calls

    @pytest.mark.parametrize(
        "values",
        [
            (1, 1.0, True, "1", Decimal(1)),
            ((1, 2), (1.0, 2), (True, 2), ((1,), 2)),
            (frozenset({1}), frozenset({1.0}), frozenset({True})),
            ("a", b"a", ("a",), ("a", str)),
            (None, 0, False, "", ()),
        ],
    )
    def test_arguments_are_told_apart_by_their_types(self, values: tuple[Any, ...]) -> None:
        """Equal values of different types are different arguments, on the inside of tuples, too."""
        record, calls = recorder()
        for _ in range(2):
            for value in values:
                (result,) = record(value)
                assert type(value) is type(result)
                assert repr(value) == repr(result)
        assert len(values) == len(calls)

    def test_arguments_by_name_are_the_same_as_by_position(self) -> None:
        """So are those left out where they would have been the default."""
        calls: list[tuple[int, ...]] = []

        @cached()
        def add(a: int, b: int = 2, *, c: int = 3) -> int:
            calls.append((a, b, c))
            return a + b + c

        assert {6} == {add(1), add(1, 2), add(1, b=2), add(b=2, a=1), add(a=1, c=3), add(1, 2, c=3)}
        assert 1 == len(calls)
        assert 7 == add(1, c=4)

    def test_any_number_of_arguments(self) -> None:
        """Positions count, names do, and the order of names does not."""
        record, calls = recorder()
        assert record(1, 2, x=3, y=4) is record(1, 2, y=4, x=3)
        record(1, 2, 3, 4)
        record(2, 1, x=3, y=4)
        record(1, x=3, y=4)
        record(1, ("x", 3), ("y", 4))
        assert 5 == len(calls)

    def test_positional_only_names_may_be_other_arguments(self) -> None:
        """A name that cannot be an argument's is free for others."""
        calls: list[Any] = []

        @cached()
        def take(a: int, /, **others: int) -> None:
            calls.append((a, others))

        take(1)
        take(1, a=2)
        take(1, a=2)
        assert [(1, {}), (1, {"a": 2})] == calls

    def test_what_cannot_be_hashed_is_named(self) -> None:
        """The error says which argument it is, and the function is not called."""

        @cached()
        def fetch(symbol: str, options: Any, *, depth: Any = 5) -> None:
            pytest.fail("called")

        with pytest.raises(TypeError, match=r"fetch\(\) is cached by .*argument options of type dict cannot be hashed"):
            fetch("BTC-USDT", {})
        with pytest.raises(TypeError, match="argument depth of type list"):
            fetch("BTC-USDT", None, depth=[])

    def test_a_default_that_cannot_be_hashed_is_no_obstacle(self) -> None:
        """It is always the same one."""

        @cached()
        def fetch(options: dict[str, int] = {"a": 1}) -> list[int]:  # noqa: B006 - on purpose
            return [*options.values()]

        assert fetch() is fetch()

    def test_a_wrong_call_is_an_error_of_the_function(self) -> None:
        """As without a cache, each time."""
        for _ in range(2):
            with pytest.raises(TypeError, match=r"named\(\) missing 1 required positional argument: 'number'"):
                named()  # type: ignore[call-arg]
            with pytest.raises(TypeError, match="unexpected keyword argument 'x'"):
                named(1, x=2)  # type: ignore[call-arg]

    def test_an_error_of_comparing_keys_is_not_hidden(self) -> None:
        """Only what cannot be hashed is explained."""

        class Odd:
            def __hash__(self) -> int:
                return 1

            def __eq__(self, other: object) -> bool:
                raise TypeError("cannot compare")

        record, _ = recorder()
        record(Odd())
        with pytest.raises(TypeError, match="cannot compare"):
            record(Odd())

    @given(st.data())
    def test_however_a_call_is_written_its_key_is_the_same(self, data: st.DataObject) -> None:
        """Each argument may be given by position, by name, or left out where it is the default."""

        def function(a: int, b: int = 1, c: int = 2, *, d: int = 3) -> None:
            """Take four arguments."""

        values = {name: data.draw(st.integers(0, 3), label=name) for name in "abcd"}
        defaults = {"b": 1, "c": 2, "d": 3}
        keys = KeyMaker.of(function)

        def written() -> Any:
            positional = data.draw(st.integers(0, 3))
            args = tuple(values[name] for name in "abc"[:positional])
            names = data.draw(st.permutations("abcd"[positional:]))
            kwargs = {
                name: values[name]
                for name in names
                if defaults.get(name) != values[name] or data.draw(st.booleans(), label=f"leave {name} out")
            }
            return keys.key(args, kwargs)

        assert written() == written()
        assert keys.key((values["a"] + 1,), {}) != written()


class TestResults:
    """What is remembered, and how long."""

    def test_none_is_a_result(self) -> None:
        """A function that returns None is not called again for it."""
        calls: list[int] = []

        @cached()
        def find(number: int) -> None:
            calls.append(number)

        assert [None, None] == [find(1), find(1)]
        assert [1] == calls

    def test_an_exception_is_forgotten(self) -> None:
        """The next call tries again."""
        calls: list[int] = []

        @cached()
        def fail_first() -> int:
            calls.append(1)
            if len(calls) == 1:
                raise OSError("not now")
            return 7

        with pytest.raises(OSError, match="not now"):
            fail_first()
        assert 7 == fail_first()

    def test_failing_calls_cost_no_good_result(self) -> None:
        """A full cache keeps what it has, however many calls fail."""

        @cached(maxsize=2)
        def fetch(number: int) -> int:
            if number > 2:
                raise LookupError(number)
            return number

        fetch(1)
        fetch(2)
        for number in range(3, 10):
            with pytest.raises(LookupError):
                fetch(number)
        assert 2 == fetch.cache_stats()["size"]
        fetch(1)
        fetch(2)
        assert (2, 9, 0) == tuple(fetch.cache_stats()[name] for name in ("hits", "misses", "evictions"))  # type: ignore[literal-required]

    def test_results_expire(self) -> None:
        """After the time to live, the function is called again."""
        clock = FakeClock()
        record, calls = recorder(ttl=10, cache_instance=SimpleCache(clock=clock))
        record(1)
        clock.now += 9
        record(1)
        assert 1 == len(calls)
        clock.now += 1
        record(1)
        assert 2 == len(calls)

    def test_no_time_to_live_remembers_nothing(self) -> None:
        """Only those that ask at the same time share a call."""
        record, calls = recorder(ttl=0)
        record(1)
        record(1)
        assert 2 == len(calls)

    def test_is_bounded(self) -> None:
        """The result used the longest ago makes room."""
        record, calls = recorder(maxsize=2)
        for number in (1, 2, 1, 3, 1, 2):
            record(number)
        assert [(1,), (2,), (3,), (2,)] == calls
        assert 2 == record.cache.size()

    def test_clearing_forgets(self) -> None:
        """And keeps the statistics."""
        record, calls = recorder()
        record(1)
        record(1)
        record.clear_cache()
        record(1)
        assert 2 == len(calls)
        assert (1, 2) == (record.cache_stats()["hits"], record.cache_info()["misses"])

    def test_functions_may_share_a_cache(self) -> None:
        """Their results do not mix, and clearing one leaves the others."""
        shared = SimpleCache[Any, Any]()
        first, first_calls = recorder(cache_instance=shared)
        second, second_calls = recorder(cache_instance=shared)
        shared.set(1, "something else")
        for _ in range(2):
            first(1)
            second(1)
        assert (1, 1, 3) == (len(first_calls), len(second_calls), shared.size())
        first.clear_cache()
        first(1)
        second(1)
        assert (2, 1, "something else") == (len(first_calls), len(second_calls), shared.get(1))
        assert first.cache is second.cache is shared

    def test_a_function_that_clears_its_own_cache_is_not_remembered(self) -> None:
        """What was fetched before a clear must not come back after it."""
        calls: list[int] = []

        @cached()
        def fetch() -> int:
            calls.append(1)
            if len(calls) == 1:
                fetch.clear_cache()
            return len(calls)

        assert [1, 2, 2] == [fetch(), fetch(), fetch()]


class TestFunctions:
    """What is decorated is still a function."""

    def test_looks_like_the_function(self) -> None:
        """Name, documentation and signature are those of the function."""
        assert ("named", "Multiply.", __name__) == (named.__name__, named.__doc__, named.__module__)  # type: ignore[attr-defined]
        assert "(number: 'int', factor: 'int' = 2) -> 'int'" == str(inspect.signature(named))
        assert 6 == named.__wrapped__(3)  # type: ignore[attr-defined]
        assert "<cached named>" == repr(named)

    def test_pickles_by_its_name(self) -> None:
        """As any function of a module, and copies of it are itself."""
        assert named is pickle.loads(pickle.dumps(named))  # noqa: S301 - made here
        assert named is copy.deepcopy(named)

    @pytest.mark.skipif(sys.version_info < (3, 12), reason="cannot be told before")
    def test_a_coroutine_function_says_so(self) -> None:
        """Those who ask find out what to do with what it returns."""

        @cached()
        async def fetch() -> None:
            """Do nothing."""

        assert inspect.iscoroutinefunction(fetch)
        assert not inspect.iscoroutinefunction(named)

    def test_other_callables_can_be_cached(self) -> None:
        """Built-in functions, partial ones and objects that can be called."""

        class Doubler:
            def __call__(self, number: int) -> int:
                return 2 * number

        assert 5.0 == cached()(math.hypot)(3, 4)
        assert 2 == cached()(max)(1, 2)
        assert 6 == cached()(partial(named, factor=3))(2)
        assert 8 == cached()(Doubler())(4)

    @pytest.mark.anyio
    async def test_partial_coroutine_functions_can_be_cached(self) -> None:
        """They are seen for what they are."""

        async def add(a: int, b: int) -> int:
            await anyio.lowlevel.checkpoint()
            return a + b

        class Adder:
            async def __call__(self, a: int) -> int:
                return await add(a, 2)

        assert 3 == await cached()(partial(add, 2))(1)
        assert 3 == await cached()(Adder())(1)

    @pytest.mark.parametrize("decorate", [staticmethod, classmethod, property])
    def test_goes_below_other_decorators(self, decorate: Callable[..., Any]) -> None:
        """They make something of a function that is none."""
        with pytest.raises(TypeError, match=f"put it below @{decorate.__name__}"):
            cached()(decorate(named))

    def test_generators_are_refused(self) -> None:
        """The second one to get it would find it used up."""

        def numbers() -> Any:
            yield 1

        async def numbers_later() -> Any:
            yield 1

        for function in (numbers, numbers_later):
            with pytest.raises(TypeError, match="let a cached function return a tuple"):
                cached()(function)

    def test_a_function_that_returns_a_coroutine_is_refused(self) -> None:
        """It can be awaited once, so it cannot be handed out; the function should have been `async def`."""

        async def fetch() -> None:
            """Do nothing."""

        with pytest.raises(TypeError, match="write it as `async def`"):
            cached()(lambda: fetch())()  # noqa: PLW0108 - that is what it is about

    def test_needs_parentheses(self) -> None:
        """Without them the function would be a time to live."""
        with pytest.raises(ConfigurationError, match="with parentheses"):
            cached(named)  # type: ignore[arg-type, type-var]

    @pytest.mark.parametrize(
        "options", [{"ttl": math.nan}, {"maxsize": 0}, {"maxsize": 5, "cache_instance": SimpleCache()}]
    )
    def test_refuses_settings_that_make_no_sense(self, options: dict[str, Any]) -> None:
        """Before anything is called."""
        with pytest.raises(ConfigurationError):
            cached(**options)


@attrs.define
class Venue:
    """Has methods that remember. Equal to others of the same name, and not hashable."""

    name: str
    calls: list[Any] = attrs.field(factory=list, eq=False)

    @cached(ttl=60)
    def fetch(self, symbol: str = "BTC-USDT") -> str:
        """Fetch something."""
        self.calls.append(symbol)
        return f"{self.name} {symbol}"

    @cached(ttl=60)
    async def fetch_later(self, symbol: str) -> str:
        """Fetch something."""
        await anyio.lowlevel.checkpoint()
        self.calls.append(symbol)
        return f"{self.name} {symbol}"

    @classmethod
    @cached(ttl=60)
    def kind(cls, number: int) -> tuple[str, int]:
        """Say what it is."""
        return cls.__name__, number

    @staticmethod
    @cached(ttl=60)
    def double(number: int) -> list[int]:
        """Double a number."""
        return [2 * number]


class TestMethods:
    """Objects have results of their own."""

    def test_each_object_has_its_own_results(self) -> None:
        """Equal objects are two objects, and need not be hashable."""
        first, second = Venue("one"), Venue("one")
        for venue in (first, second, first):
            assert "one BTC-USDT" == venue.fetch("BTC-USDT") == venue.fetch(symbol="BTC-USDT") == venue.fetch()
        assert [["BTC-USDT"]] * 2 == [first.calls, second.calls]

    def test_a_method_may_be_called_through_its_class(self) -> None:
        """It is the same method."""
        venue = Venue("one")
        assert venue.fetch("x") == Venue.fetch(venue, "x")
        assert ["x"] == venue.calls

    def test_an_object_is_not_kept_alive(self) -> None:
        """Nor are its results: they go with it."""

        class Result:
            pass

        class Owner:
            @cached(ttl=math.inf)
            def get(self) -> Result:
                return Result()

        owner = Owner()
        references = [weakref.ref(owner), weakref.ref(owner.get())]
        assert 1 == Owner.get.cache_stats()["size"]
        del owner
        gc.collect()
        assert [None, None] == [reference() for reference in references]
        assert 0 == Owner.get.cache_stats()["size"]

    def test_shared_caches_do_not_keep_objects_alive_either(self) -> None:
        """And a later object at the same address does not get their results."""
        shared = SimpleCache[Any, Any]()

        class Owner:
            @cached(cache_instance=shared)
            def get(self, number: int) -> object:
                return object()

        seen: list[object] = []
        for _ in range(20):
            owner = Owner()
            seen.append(owner.get(1))
            assert seen[-1] is owner.get(1)
            del owner
        assert 20 == len(set(map(id, seen)))

    def test_statistics_and_clearing_by_object_and_class(self) -> None:
        """Of a method: this object's. Of the function in the class: those of every object that is there."""

        class Owner:
            @cached(maxsize=5)
            def get(self) -> object:
                return object()

        first, second = Owner(), Owner()
        kept, lost = second.get(), first.get()
        first.get()
        assert (1, 1, 5) == tuple(first.get.cache_stats()[name] for name in ("hits", "size", "max_size"))  # type: ignore[literal-required]
        assert (1, 2, 2) == tuple(Owner.get.cache_stats()[name] for name in ("hits", "misses", "size"))  # type: ignore[literal-required]
        first.get.clear_cache()
        assert lost is not first.get()
        assert kept is second.get()
        Owner.get.clear_cache()
        assert kept is not second.get()

    def test_class_and_static_methods(self) -> None:
        """Below their decorators; a class has its own results, and a static method has those of a function."""

        class Other(Venue):
            """Another class."""

        assert [("Venue", 1), ("Other", 1)] == [Venue.kind(1), Other.kind(1)]
        assert Venue.kind(1) is Venue.kind(1)
        assert Venue("a").double(1) is Venue.double(1)

    def test_subclasses_have_the_method(self) -> None:
        """And can call it from their own."""

        class Loud(Venue):
            @cached(ttl=60)
            def fetch(self, symbol: str = "BTC-USDT") -> str:
                return super().fetch(symbol).upper()

        venue = Loud("one")
        assert "ONE X" == venue.fetch("x") == venue.fetch("x")
        assert ["x"] == venue.calls

    @pytest.mark.anyio
    async def test_coroutine_methods(self) -> None:
        """The same for those."""
        venue = Venue("one")
        assert "one x" == await venue.fetch_later("x") == await venue.fetch_later(symbol="x")
        assert ["x"] == venue.calls

    def test_a_method_looks_like_one(self) -> None:
        """Its name, its object, its signature."""
        venue = Venue("one")
        method: Any = venue.fetch
        assert ("fetch", venue) == (method.__name__, method.__self__)
        assert "(symbol: 'str' = 'BTC-USDT') -> 'str'" == str(inspect.signature(method))
        assert "<<cached Venue.fetch> of Venue>" == repr(method)
        assert method.cache is venue.fetch.cache

    def test_an_object_without_weak_references_is_refused(self) -> None:
        """Nobody could tell when it is gone. Looking at the method is no error yet."""

        class Slotted:
            __slots__ = ()

            @cached()
            def get(self) -> int:
                return 1

        assert callable(Slotted().get)
        with pytest.raises(TypeError, match="objects of type Slotted allow no weak references"):
            Slotted().get()

    def test_a_function_can_become_a_method_later(self) -> None:
        """Even then its object is no argument."""

        class Plain:
            pass

        Plain.get = cached()(lambda self, number: [number])  # type: ignore[attr-defined]
        plain: Any = Plain()
        assert plain.get(1) is plain.get(1)
        reference = weakref.ref(plain)
        del plain
        assert None is reference()
