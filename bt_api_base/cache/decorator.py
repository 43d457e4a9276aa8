"""``@cached``: a function that is called once for each set of arguments, however many ask, and remembers a while."""

from __future__ import annotations

import inspect
import threading
import weakref
from functools import partial, update_wrapper
from typing import TYPE_CHECKING, Any, Concatenate, Final, Generic, ParamSpec, TypeVar, cast, overload

import attrs

from bt_api_base.cache.flights import Flights
from bt_api_base.cache.keys import KeyMaker
from bt_api_base.cache.simple import CacheStats, SimpleCache
from bt_api_base.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

__all__ = ("CachedFunction", "CachedMethod", "cached")

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
S = TypeVar("S")

_NOTHING: Final = object()
_DEFAULT_SIZE = 10_000

_Args = tuple[Any, ...]
_Kwargs = dict[str, Any]


@attrs.frozen(eq=False)
class _Results:
    """What one function returned, or the method of one object.

    Args:
        cache: Where it is kept.
        ttl: Seconds that it is.
        mark: What its keys begin with, in a cache that others use, too; ``None`` in one of its own.
        name: What the function is called.
    """

    cache: SimpleCache[Any, Any]
    ttl: float
    mark: object | None
    name: str
    flights: Flights[Any] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "flights", Flights[Any](self.name, self._find, self._keep))

    def forget(self) -> None:
        """Forget all of it, and what is being fetched at this moment."""
        self.flights.forget()
        if self.mark is None:
            self.cache.clear()
            return
        for key in self.cache.keys():  # noqa: SIM118 - a list, not a dictionary's view
            if type(key) is tuple and cast("tuple[object, ...]", key)[:1] == (self.mark,):
                self.cache.delete(key)

    def _find(self, key: Hashable) -> tuple[Any] | None:
        value = self.cache.peek(key, _NOTHING)
        return None if value is _NOTHING else (value,)

    def _keep(self, key: Hashable, value: object) -> None:
        self.cache.set(key, value, self.ttl)


@attrs.frozen(eq=False)
class _Recipe:
    """How results of a function are fetched and kept.

    Args:
        function: The function.
        ttl: Seconds that a result is kept.
        cache: The cache that others use, too; ``None``: each function and each object's method has its own.
        max_size: How many results a cache of its own holds.
    """

    function: Callable[..., Any]
    ttl: float
    cache: SimpleCache[Any, Any] | None
    max_size: int
    name: str = attrs.field(init=False)
    is_async: bool = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        function: Any = self.function
        if isinstance(function, (classmethod, staticmethod, property)) or not callable(function):
            raise TypeError(f"cached() decorates a function: put it below @{type(self.function).__name__}")
        plain: Any = function
        if not inspect.isroutine(function) and not isinstance(function, partial):
            plain = type(function).__call__
        if inspect.isgeneratorfunction(plain) or inspect.isasyncgenfunction(plain):
            raise TypeError("a generator can be gone through once only: let a cached function return a tuple")
        object.__setattr__(self, "name", getattr(self.function, "__qualname__", repr(self.function)))
        object.__setattr__(self, "is_async", inspect.iscoroutinefunction(plain))

    def results(self) -> _Results:
        """Return a place for results."""
        if self.cache is None:
            return _Results(SimpleCache(self.ttl, self.max_size), self.ttl, None, self.name)
        return _Results(self.cache, self.ttl, object(), self.name)

    def get(self, results: _Results, keys: KeyMaker, first: _Args, args: _Args, kwargs: _Kwargs) -> object:
        """Return what is known, or what the function returns.

        Args:
            results: Where results are.
            keys: Makes keys of the arguments.
            first: Arguments that are no part of the key.
            args: The others.
            kwargs: Those by name.
        """
        key, value = self._look(results, keys, args, kwargs)
        if value is not _NOTHING:
            return value
        return results.flights.fly(key, partial(self._call, *first, *args, **kwargs))

    async def get_async(self, results: _Results, keys: KeyMaker, first: _Args, args: _Args, kwargs: _Kwargs) -> object:
        """Return what is known, or what the coroutine function returns; arguments as for `get`."""
        key, value = self._look(results, keys, args, kwargs)
        if value is not _NOTHING:
            return value
        return await results.flights.fly_async(key, partial(self.function, *first, *args, **kwargs))

    def _look(self, results: _Results, keys: KeyMaker, args: _Args, kwargs: _Kwargs) -> tuple[Hashable, object]:
        key = keys.key(args, kwargs)
        if results.mark is not None:
            key = (results.mark, key)
        try:
            return key, results.cache.get(key, _NOTHING)
        except TypeError as error:
            culprit = keys.unhashable(args, kwargs)
            if not culprit:
                raise
            message = f"{self.name}() is cached by its arguments, and {culprit} cannot be hashed"
            raise TypeError(message) from error

    def _call(self, /, *args: object, **kwargs: object) -> object:
        value = self.function(*args, **kwargs)
        if inspect.iscoroutine(value):
            value.close()
            raise TypeError(
                f"{self.name} returned a coroutine, which can be awaited once only: write it as `async def`"
            )
        return value


class CachedFunction(Generic[P, R]):
    """A function that remembers. See `cached`.

    In a class body it is a method: every object has results of its own, which go when the object does.
    """

    def __init__(self, recipe: _Recipe) -> None:
        self._recipe = recipe
        self._get = recipe.get_async if recipe.is_async else recipe.get
        self._keys = KeyMaker.of(recipe.function)
        self._method_keys: KeyMaker | None = None
        self._results = recipe.results()
        self._objects: dict[int, tuple[weakref.ref[Any], _Results]] = {}
        self._lock = threading.RLock()  # reentrant, as an object may die while it is held
        update_wrapper(self, recipe.function)
        mark: Callable[[object], object] | None = getattr(inspect, "markcoroutinefunction", None)
        if recipe.is_async and mark is not None:  # Python 3.12 and later can be told
            mark(self)

    @property
    def cache(self) -> SimpleCache[Any, Any]:
        """Where results are kept: the cache that was given, or its own."""
        return self._results.cache

    def __set_name__(self, owner: type, name: str) -> None:
        self._method_keys = self._keys.without_first()

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Return what the function returned for these arguments, or call it.

        Cancellation:
            Of a coroutine function: a task that waits for another one's call is gone; if it is the one that runs the
            function, the one that has waited longest runs it anew.
        """
        if self._method_keys is not None and args:  # the method through its class: Class.method(object, ...)
            return self.call_method(args[0], args[1:], kwargs)
        return cast("R", self._get(self._results, self._keys, (), args, kwargs))

    @overload
    def __get__(self, instance: None, owner: type | None = None, /) -> CachedFunction[P, R]: ...
    @overload
    def __get__(
        self: CachedFunction[Concatenate[S, Q], R], instance: S, owner: type | None = None, /
    ) -> CachedMethod[Q, R]: ...
    def __get__(self, instance: object, owner: type | None = None, /) -> Any:
        return self if instance is None else CachedMethod(self, instance)

    def __reduce__(self) -> str:
        return self._recipe.name  # a function is pickled by its name

    def __repr__(self) -> str:
        return f"<cached {self._recipe.name}>"

    def clear_cache(self) -> None:
        """Forget all results, of a method those of every object. What is being fetched at this moment is not kept."""
        for results in self._all_results():
            results.forget()

    def cache_stats(self) -> CacheStats:
        """Return what happened so far, of a method with every object that is still there.

        Where the function shares a cache, these are the numbers of that cache.
        """
        return _total([results.cache for results in self._all_results()])

    cache_info = cache_stats

    def call_method(self, instance: object, args: _Args, kwargs: _Kwargs) -> R:
        """Call it as a method of an object."""
        if self._method_keys is None:  # it was made a method later than in the class's body
            self._method_keys = self._keys.without_first()
        return cast("R", self._get(self.results_of(instance), self._method_keys, (instance,), args, kwargs))

    def results_of(self, instance: object) -> _Results:
        """Return the place for the results of an object's method."""
        with self._lock:
            found = self._objects.get(id(instance))
            if found is None or found[0]() is not instance:
                try:
                    reference = weakref.ref(instance, partial(_forget, self._objects, id(instance)))
                except TypeError:
                    raise TypeError(
                        f"{self._recipe.name} keeps results for as long as its object lives, and objects of type "
                        f"{type(instance).__name__} allow no weak references"
                    ) from None
                found = self._objects[id(instance)] = (reference, self._recipe.results())
            return found[1]

    def _all_results(self) -> list[_Results]:
        with self._lock:
            objects = self._objects.copy()  # an object may die while they are gone through
        return [self._results, *(results for _, results in objects.values())]


class CachedMethod(Generic[P, R]):
    """A method that remembers, of one object. See `cached`."""

    __slots__ = ("__self__", "__wrapped__")

    def __init__(self, function: CachedFunction[..., R], instance: object) -> None:
        self.__wrapped__ = function
        self.__self__ = instance

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Return what the method returned for these arguments, or call it. Cancellation: as for a function."""
        return self.__wrapped__.call_method(self.__self__, args, kwargs)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - attributes of a function: its name, for instance
        return getattr(self.__wrapped__, name)

    def __repr__(self) -> str:
        return f"<{self.__wrapped__!r} of {type(self.__self__).__name__}>"

    @property
    def __signature__(self) -> inspect.Signature:
        signature = inspect.signature(self.__wrapped__)
        return signature.replace(parameters=[*signature.parameters.values()][1:])

    @property
    def cache(self) -> SimpleCache[Any, Any]:
        """Where results are kept: the cache that was given, or this object's own."""
        return self.__wrapped__.results_of(self.__self__).cache

    def clear_cache(self) -> None:
        """Forget the results of this object's method. What is being fetched at this moment is not kept."""
        self.__wrapped__.results_of(self.__self__).forget()

    def cache_stats(self) -> CacheStats:
        """Return what happened so far with this object, or with all of a shared cache."""
        return self.cache.get_stats()

    cache_info = cache_stats


def _forget(objects: dict[int, tuple[weakref.ref[Any], _Results]], number: int, reference: weakref.ref[Any]) -> None:
    """Drop the results of an object that is gone, unless another one has its number by now."""
    found = objects.get(number)
    if found is not None and found[0] is reference:
        del objects[number]


def _total(caches: list[SimpleCache[Any, Any]]) -> CacheStats:
    """Add up the statistics of caches, each once."""
    every = [cache.get_stats() for cache in dict.fromkeys(caches)]
    hits, misses = sum(stats["hits"] for stats in every), sum(stats["misses"] for stats in every)
    return CacheStats(
        size=sum(stats["size"] for stats in every),
        max_size=max(stats["max_size"] for stats in every),
        hits=hits,
        misses=misses,
        evictions=sum(stats["evictions"] for stats in every),
        expirations=sum(stats["expirations"] for stats in every),
        hit_rate=hits / (hits + misses) if hits else 0.0,
    )


def cached(
    ttl: float = 300.0, cache_instance: SimpleCache[Any, Any] | None = None, maxsize: int | None = None
) -> Callable[[Callable[P, R]], CachedFunction[P, R]]:
    """Make a decorator by which a function remembers what it returned, for each set of arguments.

    It is for functions and coroutine functions alike, on any event loop, in any number of threads and event loops at
    once. Where many ask for the same that nobody knows yet, one calls the function and the others wait. An exception
    reaches all of those, and is forgotten. When the one that runs the function is cancelled, another one runs it.

    - Arguments must be hashable, and are compared with their types: 1, 1.0 and True are different ones.
    - ``None`` is a result like any other.
    - A result is handed out to everybody as it is, not as a copy.
    - A hit does not give way to other tasks, and is no point where a task can be cancelled.
    - A function that waits for its own result, even by way of other tasks or threads, is a `RecursionError`.
    - It calls the function with the context variables of the one that asked first.
    - Of a method each object has its own results, which do not keep it alive unless they refer to it.

    Args:
        ttl: Seconds that a result is remembered. Zero or less: only while others wait for it.
        cache_instance: Where to keep results, a cache that may have other uses; ``None``: a new one, and for a method a
            new one for each object.
        maxsize: How many results a new cache holds; ``None``: 10,000.

    Returns:
        A decorator. What it returns has ``clear_cache()``, ``cache_stats()``, ``cache`` and ``__wrapped__``.

    Raises:
        ConfigurationError: The time to live is NaN, the size is less than one, or is given beside a cache.
    """
    if callable(ttl):
        raise ConfigurationError("write `@cached()`, with parentheses")
    if cache_instance is not None and maxsize is not None:
        raise ConfigurationError("maxsize is for a new cache: the one that was given has a size already")
    size = _DEFAULT_SIZE if maxsize is None else maxsize
    SimpleCache[Any, Any](ttl, size)  # refuses now what would be refused later

    def decorate(function: Callable[P, R]) -> CachedFunction[P, R]:
        return CachedFunction(_Recipe(function, ttl, cache_instance, size))

    return decorate
