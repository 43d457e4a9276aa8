"""The feed protocol: written with blocking methods or with coroutines, a feed has both."""

# ruff: noqa: D102, PLR0917 - methods of a feed are as the protocol has them

from __future__ import annotations

import signal
import threading
from typing import Any

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest

from bt_api_base.containers import OrderStatus, Tick
from bt_api_base.exceptions import ConfigurationError, NetworkError, OrderError
from bt_api_base.feeds.abstract_feed import (
    AbstractVenueFeed,
    AsyncWrapperMixin,
    BlockingWrapperMixin,
    check_protocol_compliance,
)
from bt_api_base.feeds.capability import Capability, CapabilityMixin
from bt_api_base.feeds.connection_mixin import ConnectionMixin, FeedConnectionState
from bt_api_base.feeds.native import NativeFeed
from bt_api_base.feeds.order_resolver import ResolvePolicy
from tests.fake_venue_api import SYMBOL, FakeVenueApi, make_feed

QUICK = ResolvePolicy(settle_time=0.05, timeout=2.0, first_delay=0.01)


class BlockingFeed(AsyncWrapperMixin, ConnectionMixin, CapabilityMixin):
    """Written with blocking methods, as plugins are."""

    exchange_name = "OLD___SPOT"

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.gate = threading.Event()
        self.entered = threading.Event()

    @classmethod
    def _capabilities(cls) -> set[Capability]:
        return {Capability.GET_TICK}

    def get_tick(self, symbol: str, extra_data: Any = None, **kwargs: Any) -> Any:
        self.calls.append(("get_tick", symbol, extra_data, kwargs))
        if symbol == "BAD":
            raise NetworkError(self.exchange_name)
        return symbol, threading.current_thread() is threading.main_thread()

    def get_depth(self, symbol: str, count: int = 20, extra_data: Any = None, **kwargs: Any) -> Any:
        return symbol, count

    def get_kline(self, symbol: str, period: str, count: int = 20, extra_data: Any = None, **kwargs: Any) -> Any:
        return symbol, period, count

    def make_order(
        self,
        symbol: str,
        volume: Any,
        price: Any,
        order_type: str,
        offset: str = "open",
        post_only: bool = False,
        client_order_id: str | None = None,
        extra_data: Any = None,
        **kwargs: Any,
    ) -> Any:
        self.entered.set()
        self.gate.wait(5)
        if price == 0:
            raise OrderError(self.exchange_name)
        return symbol, volume, price, order_type, offset, post_only, client_order_id

    def cancel_order(self, symbol: str, order_id: str, extra_data: Any = None, **kwargs: Any) -> Any:
        return symbol, order_id

    def cancel_all(self, symbol: str | None = None, extra_data: Any = None, **kwargs: Any) -> Any:
        return symbol

    def query_order(self, symbol: str, order_id: str, extra_data: Any = None, **kwargs: Any) -> Any:
        return symbol, order_id

    def get_open_orders(self, symbol: str | None = None, extra_data: Any = None, **kwargs: Any) -> Any:
        return symbol

    def get_balance(self, symbol: str | None = None, extra_data: Any = None, **kwargs: Any) -> Any:
        return symbol

    def get_account(self, symbol: str = "ALL", extra_data: Any = None, **kwargs: Any) -> Any:
        return symbol

    def get_position(self, symbol: str | None = None, extra_data: Any = None, **kwargs: Any) -> Any:
        return symbol


# -- compliance ----------------------------------------------------------------------------------------


def test_feeds_written_either_way_comply() -> None:
    """Nothing is missing, and both are feeds at run time, too."""
    assert [] == check_protocol_compliance(BlockingFeed)
    assert [] == check_protocol_compliance(NativeFeed)
    assert isinstance(BlockingFeed(), AbstractVenueFeed)
    assert isinstance(make_feed(FakeVenueApi()), AbstractVenueFeed)
    assert not isinstance(object(), AbstractVenueFeed)


def test_what_is_missing_is_given_by_its_bare_name() -> None:
    """As older programs expect; an instance is looked at like its class."""
    missing = check_protocol_compliance(object)
    assert {"get_tick", "async_make_order", "capabilities", "connect"} <= set(missing)
    assert missing == check_protocol_compliance(object())  # type: ignore[arg-type]


def test_what_differs_is_told_in_words() -> None:
    """Names, order and number of parameters, and coroutine or not."""

    class Wrong(BlockingFeed):
        def get_tick(self, ticker: str, **kwargs: Any) -> Any: ...  # type: ignore[override]
        def get_depth(self, symbol: str, count: int, levels: int) -> Any: ...  # type: ignore[override]
        def get_kline(self, symbol: str) -> Any: ...  # type: ignore[override]
        async def get_balance(self, *args: Any, **kwargs: Any) -> Any: ...
        def async_get_tick(self, *args: Any, **kwargs: Any) -> Any: ...  # type: ignore[override]

        get_account = 5  # type: ignore[assignment]

    problems = check_protocol_compliance(Wrong)
    assert "get_tick: parameter 1 is 'ticker', not 'symbol'" in problems
    assert "get_depth: parameter 3 is 'levels', not 'extra_data'" in problems
    assert "get_depth: it takes no further keywords (**kwargs)" in problems
    assert "get_kline: parameter 2, 'period', is missing" in problems
    assert "get_balance: it is a coroutine function, and has to block" in problems
    assert "async_get_tick: it is no coroutine function" in problems
    assert "get_account: it cannot be called" in problems


# -- coroutines of blocking methods --------------------------------------------------------------------


@pytest.mark.anyio
async def test_coroutines_call_the_blocking_methods_in_threads() -> None:
    """With the arguments as they were given; errors come through as they are."""
    feed = BlockingFeed()
    feed.gate.set()
    assert (SYMBOL, False) == await feed.async_get_tick(SYMBOL, "extra", more=1)
    assert [("get_tick", SYMBOL, "extra", {"more": 1})] == feed.calls
    assert (SYMBOL, 5) == await feed.async_get_depth(SYMBOL, 5)
    assert (SYMBOL, "1m", 20) == await feed.async_get_kline(SYMBOL, "1m")
    given = (SYMBOL, 1, 2, "buy-limit", "open", True, "c1")
    assert given == await feed.async_make_order(*given)
    assert (SYMBOL, "7") == await feed.async_cancel_order(SYMBOL, "7")
    assert (SYMBOL, "7") == await feed.async_query_order(SYMBOL, "7")
    results = [
        await feed.async_cancel_all(), await feed.async_get_open_orders(), await feed.async_get_balance(),
        await feed.async_get_account(), await feed.async_get_position(SYMBOL),
    ]  # fmt: skip
    assert [None, None, None, "ALL", SYMBOL] == results
    with pytest.raises(NetworkError):
        await feed.async_get_tick("BAD")
    assert () == feed.abandoned_orders


@pytest.mark.anyio
async def test_an_order_whose_caller_was_cancelled_goes_on_and_is_remembered() -> None:
    """The thread cannot be stopped: what it did in the end is kept."""
    feed = BlockingFeed()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(feed.async_make_order, SYMBOL, 1, 2, "buy-limit", "open", False, "c1")
        await anyio.to_thread.run_sync(feed.entered.wait)
        tasks.cancel_scope.cancel()
    [abandoned] = feed.abandoned_orders
    assert ("make_order", SYMBOL, "c1", False) == (
        abandoned.method, abandoned.symbol, abandoned.client_order_id, abandoned.is_done,
    )  # fmt: skip
    feed.gate.set()
    with anyio.fail_after(5):
        while not abandoned.is_done:  # noqa: ASYNC110 - a thread sets it
            await anyio.sleep(0.001)
    assert abandoned.result == (SYMBOL, 1, 2, "buy-limit", "open", False, "c1")


@pytest.mark.anyio
async def test_cancelled_before_its_thread_began_nothing_is_sent() -> None:
    """A call that waits for a thread is withdrawn."""
    feed = BlockingFeed()
    feed.max_threads = 1
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(feed.async_make_order, SYMBOL, 1, 2, "buy-limit", "open", False, "first")
        await anyio.to_thread.run_sync(feed.entered.wait)
        with anyio.move_on_after(0.02) as scope:
            await feed.async_make_order(SYMBOL, 1, 2, "buy-limit", client_order_id="second")
        assert scope.cancelled_caught
        feed.gate.set()
    assert () == feed.abandoned_orders


def test_one_feed_serves_one_loop_after_another() -> None:
    """What it shares between threads is made for each."""
    feed = BlockingFeed()
    for backend in ("asyncio", "trio", "asyncio"):
        assert (SYMBOL, False) == anyio.run(feed.async_get_tick, SYMBOL, backend=backend)


def test_the_connection_state_of_a_blocking_feed() -> None:
    """It follows connect and disconnect."""
    feed = BlockingFeed()
    assert FeedConnectionState.DISCONNECTED is feed.connection_state
    feed.connect()
    assert feed.is_connected()
    assert "connected" == str(feed.connection_state)
    feed.disconnect()
    assert not feed.is_connected()


# -- blocking methods of coroutines --------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_blocking_methods_run_on_a_loop_of_the_feeds_own(backend: str) -> None:
    """One thread for any number of calls, joined at the end; it can be used again."""
    api = FakeVenueApi(script=["lose_reply"])
    feed = make_feed(api, policy=QUICK)
    feed.blocking_backend = backend
    threads = threading.active_count()
    for _ in range(2):
        with feed:
            assert feed.is_connected()
            assert threads + 1 == threading.active_count()
            assert isinstance(feed.get_tick(SYMBOL), Tick)
            order = feed.make_order(SYMBOL, "0.01", "50000", "buy-limit")
            assert OrderStatus.ACCEPTED is feed.query_order(SYMBOL, order.order_id).order_status
            assert 1 == len(feed.get_open_orders())
            assert OrderStatus.CANCELED is feed.cancel_order(SYMBOL, order.order_id).order_status
            assert [] == feed.cancel_all(SYMBOL)
            assert {"USDT"} == {balance.currency for balance in feed.get_balance()}
            assert [] == feed.get_position()
            assert [] == feed.get_kline(SYMBOL, "1m")
        assert threads == threading.active_count()
        assert not feed.is_connected()


def test_a_loop_is_started_by_the_first_call_and_shared_by_threads() -> None:
    """Without `connect`; all callers get their own answers."""
    feed = make_feed(FakeVenueApi())
    answers: list[Any] = []
    callers = [threading.Thread(target=lambda: answers.append(feed.get_tick(SYMBOL))) for _ in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    feed.close()
    feed.disconnect()
    assert 8 == len(answers)


def test_disconnecting_ends_the_calls_of_other_threads() -> None:
    """Whoever waits is told that the feed was closed."""

    class Endless(BlockingWrapperMixin):
        def __init__(self) -> None:
            self.is_entered = threading.Event()

        async def async_get_tick(self, *_args: Any, **_kwargs: Any) -> None:
            self.is_entered.set()
            await anyio.sleep_forever()

    feed, errors = Endless(), list[BaseException]()

    def call() -> None:
        try:
            feed.get_tick(SYMBOL)
        except anyio.ClosedResourceError as error:
            errors.append(error)

    caller = threading.Thread(target=call)
    with feed:
        caller.start()
        feed.is_entered.wait(5)
    caller.join(5)
    assert 1 == len(errors)


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="there are no such signals here")
def test_an_interrupted_call_is_cancelled() -> None:
    """Ctrl-C while it waits leaves nothing running behind."""

    class Endless(BlockingWrapperMixin):
        is_cancelled = False

        async def async_get_tick(self, *_args: Any, **_kwargs: Any) -> None:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            try:
                await anyio.sleep_forever()
            finally:
                self.is_cancelled = True

    feed = Endless()
    # Where the tests were started in the background, the signal is ignored.
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with feed, pytest.raises(KeyboardInterrupt):
            feed.get_tick(SYMBOL)
    finally:
        signal.signal(signal.SIGINT, usual)
    assert feed.is_cancelled


@pytest.mark.anyio
async def test_a_blocking_call_in_an_event_loops_thread_is_refused() -> None:
    """It would stop the loop that it is called from; the error says what to do instead."""
    feed = make_feed(FakeVenueApi())
    with pytest.raises(ConfigurationError, match="await async_get_tick"):
        feed.get_tick(SYMBOL)
    with pytest.raises(ConfigurationError, match="async with feed"):
        feed.connect()
    feed.disconnect()
    async with feed:
        with pytest.raises(ConfigurationError, match="await async_get_tick"):
            feed.get_tick(SYMBOL)


@pytest.mark.anyio
async def test_a_feed_in_use_on_a_loop_serves_worker_threads_there() -> None:
    """No second loop is started."""
    async with make_feed(FakeVenueApi()) as feed:
        threads = threading.active_count()
        tick = await anyio.to_thread.run_sync(feed.get_tick, SYMBOL)
        assert isinstance(tick, Tick)
        assert threading.active_count() <= threads + 1
        await anyio.to_thread.run_sync(feed.disconnect)
        assert feed.is_connected()


def test_a_feed_that_cannot_be_entered_leaves_no_thread() -> None:
    """The error comes through, and the next attempt starts anew."""

    def broken() -> Any:
        raise NetworkError("FAKE___SPOT", "no way")

    feed = NativeFeed(api=broken)
    threads = threading.active_count()
    for _ in range(2):
        with pytest.raises(NetworkError):
            feed.connect()
        assert threads == threading.active_count()
        assert FeedConnectionState.ERROR is feed.connection_state
