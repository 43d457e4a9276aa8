"""The event bus: who gets an event, what becomes of errors, publishing, streams, statistics."""

from __future__ import annotations

import functools
import logging
import sys
from contextlib import asynccontextmanager
from enum import Enum
from typing import TYPE_CHECKING, Any, NoReturn

import anyio
import anyio.lowlevel
import msgspec
import pytest
from hypothesis import given, strategies as st

from bt_api_base.containers import OrderBook, Tick, Trade, event_name
from bt_api_base.event_bus import (
    ErrorHandlerMode,
    ErrorSeverity,
    EventBus,
    Registration,
    Subscription,
    error_severity,
)
from bt_api_base.event_stream import Overflow
from bt_api_base.exceptions import (
    AuthenticationError,
    ConfigurationError,
    InsufficientBalanceError,
    InvalidSymbolError,
    NetworkError,
    OrderError,
    RateLimitError,
    SlowConsumerError,
    SubscribeError,
    WebSocketError,
)
from bt_api_base.testing.cancellation import sweep_cancellation

if sys.version_info < (3, 11):
    from exceptiongroup import ExceptionGroup

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

pytestmark = pytest.mark.anyio

TICK = Tick("BINANCE___SPOT", "BTC-USDT", 1, 2, 100.0, 101.0)
NAME = "tick.BINANCE___SPOT.BTC-USDT"


class Base(msgspec.Struct, frozen=True):
    """A type of event with heirs."""


class Derived(Base, frozen=True):
    """One of the heirs."""


def failing(error: Exception) -> Callable[[object], NoReturn]:
    """Return a handler that raises."""

    def handler(_: object) -> NoReturn:
        raise error

    return handler


async def settle() -> None:
    """Let the other tasks get to where they wait."""
    for _ in range(8):
        await anyio.lowlevel.checkpoint()


class Recorder:
    """Remembers what it was called with."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def __call__(self, data: object) -> None:
        """Handle an event."""
        self.seen.append(data)


@pytest.fixture
def bus() -> EventBus:
    """A bus that keeps errors to itself."""
    return EventBus(error_mode=ErrorHandlerMode.COLLECT)


@pytest.fixture
def seen() -> Recorder:
    """A handler."""
    return Recorder()


def test_the_first_program(capsys: pytest.CaptureFixture[str]) -> None:
    """The bus works as the first page of the documentation says."""
    from bt_api_base.event_bus import ErrorHandlerMode, EventBus

    bus = EventBus(error_mode=ErrorHandlerMode.LOG)
    bus.on("order_filled", lambda data: print(f"Order filled: {data}"))  # noqa: T201
    errors = bus.emit("order_filled", {"order_id": "123", "filled": 0.5})
    assert [] == errors
    assert "Order filled: {'order_id': '123', 'filled': 0.5}\n" == capsys.readouterr().out


class TestRouting:
    """An event reaches who registered for its name, a pattern of it, or its type."""

    @pytest.mark.parametrize(
        ("key", "reached"),
        [
            (NAME, True),
            ("tick.*", True),
            ("*", True),
            ("*.BTC-USDT", True),
            ("tick.*.BTC-*", True),
            (Tick, True),
            (msgspec.Struct, True),
            (object, True),
            ("tick", False),
            ("tick.", False),
            ("trade.*", False),
            ("tick.BINANCE___SPOT.ETH-*", False),
            ("tick?BINANCE___SPOT?BTC-USDT", False),
            (Trade, False),
        ],
    )
    @pytest.mark.parametrize("form", ["name", "type", "data"])
    def test_a_container_by_each_kind_of_key(
        self, bus: EventBus, seen: Recorder, key: str | type, reached: bool, form: str
    ) -> None:
        """However a container is emitted, it has its name and its type."""
        bus.on(key, seen)
        assert reached == bus.has_handlers(NAME) or isinstance(key, type)
        for _ in range(2):  # found, and then remembered
            bus.emit(*{"name": (NAME, TICK), "type": (Tick, TICK), "data": (TICK,)}[form])
        assert [TICK] * 2 * reached == seen.seen

    def test_a_type_without_names(self, bus: EventBus) -> None:
        """A class of one's own reaches handlers for it, for what it inherits from, and for everything."""
        order: list[str] = []
        for key in (Derived, Base, "*", "derived"):
            bus.on(key, lambda _, key=key: order.append(key if isinstance(key, str) else key.__name__))
        bus.emit(Derived())
        assert ["Derived", "Base", "*"] == order
        order.clear()
        bus.emit(Base, Derived())
        assert ["Derived", "Base", "*"] == order
        order.clear()
        bus.emit(Base())
        assert ["Base", "*"] == order

    def test_a_type_with_data_of_another_kind(self, bus: EventBus, seen: Recorder) -> None:
        """The type that is named counts, and so does the data's own."""
        bus.on(Base, seen)
        bus.on(dict, seen)
        bus.emit(Base, {"raw": 1})
        assert [{"raw": 1}] * 2 == seen.seen

    def test_one_name_with_data_of_several_types(self, bus: EventBus) -> None:
        """What is remembered for a name with one type of data is not used for another."""
        texts, numbers, all_of_them = Recorder(), Recorder(), Recorder()
        bus.on(str, texts)
        bus.on(int, numbers)
        bus.on("news", all_of_them)
        for data in ("a", 1, "b", 2, 2.5):
            bus.emit("news", data)
        assert (["a", "b"], [1, 2], ["a", 1, "b", 2, 2.5]) == (texts.seen, numbers.seen, all_of_them.seen)

    def test_an_event_without_data(self, bus: EventBus, seen: Recorder) -> None:
        """A name alone is an event; its data is ``None``."""
        bus.on("shutdown", seen)
        bus.emit("shutdown")
        assert [None] == seen.seen

    def test_a_member_of_an_enumeration_is_its_value(self, bus: EventBus, seen: Recorder) -> None:
        """Names may come from an enumeration of strings, on either side."""

        class Names(str, Enum):
            FILLED = "order_filled"

        bus.on(Names.FILLED, seen)
        bus.emit("order_filled", 1)
        bus.emit(Names.FILLED, 2)
        assert [1, 2] == seen.seen

    def test_what_is_no_event_is_refused(self, bus: EventBus) -> None:
        """A handler is for a name or a type; data that is the event has no other data."""
        with pytest.raises(TypeError, match="not for a Tick"):
            bus.on(TICK, print)  # type: ignore[call-overload]
        with pytest.raises(TypeError, match="not for a int"):
            bus.on(3)  # type: ignore[call-overload]
        with pytest.raises(ValueError, match="empty"):
            bus.on("", print)
        with pytest.raises(TypeError, match="Tick and more data"):
            bus.emit(TICK, TICK)

    def test_ever_new_names_take_no_memory_for_ever(self, bus: EventBus, seen: Recorder) -> None:
        """What is remembered about names is bounded."""
        bus.on("order.*", seen)
        for number in range(25_000):
            bus.emit(f"order.{number}", number)
        assert len(bus._table.routes) <= 10_001
        assert 25_000 == len(seen.seen)

    @given(name=st.text("a.*+[]", min_size=1), pattern=st.text("a.*+[]", min_size=1))
    def test_a_star_is_any_text_and_nothing_else_is_special(self, name: str, pattern: str) -> None:
        """Patterns match as the textbook's recursive definition says."""

        def matches(pattern: str, text: str) -> bool:
            if not pattern:
                return not text
            if pattern[0] == "*":
                return any(matches(pattern[1:], text[i:]) for i in range(len(text) + 1))
            return bool(text) and text[0] == pattern[0] and matches(pattern[1:], text[1:])

        bus, seen = EventBus(), Recorder()
        bus.on(pattern, seen)
        bus.emit(name, 1)
        assert matches(pattern, name) == bool(seen.seen)


class TestRegistering:
    """on, once, off, and changes while an event is on its way."""

    def test_on_returns_what_cancels_it(self, bus: EventBus, seen: Recorder) -> None:
        """A registration takes exactly itself off the bus, as often as one likes."""
        registration = bus.on("x", seen)
        bus.on("x", seen)
        assert isinstance(registration, Registration)
        assert ("x", seen) == (registration.event, registration.handler)
        registration.cancel()
        registration.cancel()
        bus.emit("x", 1)
        assert [1] == seen.seen

    def test_a_registration_may_last_for_a_block(self, bus: EventBus, seen: Recorder) -> None:
        """Leaving the block takes the handler off the bus."""
        with bus.on("x", seen):
            bus.emit("x", 1)
        bus.emit("x", 2)
        assert [1] == seen.seen

    def test_decorators(self, bus: EventBus) -> None:
        """As decorators, on and once leave the function what it is."""
        calls: list[tuple[str, object]] = []

        @bus.on("x")
        @bus.once("y")
        def handler(data: object) -> None:
            calls.append(("handler", data))

        bus.emit("x", 1)
        bus.emit("y", 2)
        bus.emit("y", 3)
        handler(4)
        assert [("handler", 1), ("handler", 2), ("handler", 4)] == calls

    def test_every_registration_counts(self, bus: EventBus, seen: Recorder) -> None:
        """A handler that is registered twice, or under two keys, is called as often."""
        for key in ("x", "x", "*"):
            bus.on(key, seen)
        bus.emit("x", 1)
        assert [1, 1, 1] == seen.seen

    def test_handlers_run_in_the_order_of_their_registration(self, bus: EventBus) -> None:
        """Names, patterns and types do not take precedence over each other."""
        order: list[int] = []
        for number, key in enumerate(["*", NAME, Tick, "tick.*", NAME]):
            bus.on(key, lambda _, number=number: order.append(number))
        bus.emit(TICK)
        assert [0, 1, 2, 3, 4] == order

    def test_off(self, bus: EventBus, seen: Recorder) -> None:
        """One handler of a key, then all of it; other keys keep theirs."""
        other = Recorder()
        for key, handler in (("x", seen), ("x", seen), ("x", other), ("y", seen), (Tick, seen)):
            bus.on(key, handler)
        assert 2 == bus.off("x", seen)
        assert 0 == bus.off("x", seen)
        bus.emit("x", 1)
        assert ([], [1]) == (seen.seen, other.seen)
        assert 1 == bus.off("x")
        assert 1 == bus.off(Tick)
        bus.emit("x", 2)
        bus.emit("y", 3)
        assert ([3], [1]) == (seen.seen, other.seen)

    def test_off_knows_bound_methods(self, bus: EventBus) -> None:
        """Each access to a method makes a new object, and they are equal."""
        recorder: list[object] = []
        bus.on("x", recorder.append)
        assert 1 == bus.off("x", recorder.append)

    def test_off_takes_once_handlers_too(self, bus: EventBus, seen: Recorder) -> None:
        """A handler is found whatever it was registered with."""
        bus.once("x", seen)
        assert 1 == bus.off("x", seen)
        bus.emit("x", 1)
        assert [] == seen.seen

    def test_has_handlers_and_clear(self, bus: EventBus, seen: Recorder) -> None:
        """Whether anybody listens is known, also through patterns and types; afterwards nobody does."""
        bus.on("tick.*", seen)
        bus.on(Base, seen)
        assert [True, False, True, True, False] == [
            bus.has_handlers(key) for key in (NAME, "trade.x", Derived, Base, Tick)
        ]
        bus.clear()
        assert not bus.has_handlers(NAME)
        bus.emit(TICK)
        assert [] == seen.seen

    def test_a_change_during_an_event_counts_from_the_next_one(self, bus: EventBus) -> None:
        """An event on its way reaches the handlers there were when it set out."""
        calls: list[str] = []
        added = lambda _: calls.append("added")  # noqa: E731
        removed = lambda _: calls.append("removed")  # noqa: E731

        def changing(_: object) -> None:
            calls.append("changing")
            bus.off("x", removed)
            bus.on("x", added)
            bus.off("x", changing)

        bus.on("x", changing)
        bus.on("x", removed)
        bus.emit("x")
        assert ["changing", "removed"] == calls
        calls.clear()
        bus.emit("x")
        assert ["added"] == calls

    def test_once_is_once_although_the_handler_emits(self, bus: EventBus) -> None:
        """A handler that emits the very event it waited for is not called again."""
        calls: list[int] = []

        def handler(depth: int) -> None:
            calls.append(depth)
            bus.emit("x", depth + 1)

        bus.once("x", handler)
        bus.emit("x", 0)
        bus.emit("x", 9)
        assert [0] == calls
        assert not bus.has_handlers("x")

    def test_once_in_an_event_that_is_on_its_way_twice(self, bus: EventBus, seen: Recorder) -> None:
        """An earlier handler that emits again gives the inner event to the once handler, and only that one."""
        bus.on("x", lambda depth: bus.emit("x", depth + 1) if depth == 0 else None)
        bus.once("x", seen)
        bus.emit("x", 0)
        assert [1] == seen.seen

    def test_once_can_be_cancelled(self, bus: EventBus, seen: Recorder) -> None:
        """What has not happened yet can be called off."""
        bus.once("x", seen).cancel()
        bus.emit("x", 1)
        assert [] == seen.seen

    def test_once_that_raises_is_over_too(self, bus: EventBus) -> None:
        """An exception does not give the handler a second chance."""
        bus.once("x", failing(ValueError("no")))
        assert [1, 0] == [len(bus.emit("x")), len(bus.emit("x"))]


class TestErrors:
    """What becomes of an exception that a handler raises."""

    @pytest.mark.parametrize(
        ("error", "severity"),
        [
            (ConfigurationError("no such setting"), ErrorSeverity.USER_ERROR),
            (AuthenticationError("X", "bad key"), ErrorSeverity.USER_ERROR),
            (InvalidSymbolError("X", "FOO-BAR"), ErrorSeverity.USER_ERROR),
            (InsufficientBalanceError("X", "BTC-USDT"), ErrorSeverity.USER_ERROR),
            (ExceptionGroup("both", [ConfigurationError("a"), InvalidSymbolError("X", "y")]), ErrorSeverity.USER_ERROR),
            (OrderError("X", "BTC-USDT", "market closed"), ErrorSeverity.BUSINESS_ERROR),
            (RateLimitError("X", 1.0), ErrorSeverity.BUSINESS_ERROR),
            (SubscribeError("X", "unknown stream"), ErrorSeverity.BUSINESS_ERROR),
            (NetworkError("X", "reset"), ErrorSeverity.SYSTEM_ERROR),
            (WebSocketError("X", "gone"), ErrorSeverity.SYSTEM_ERROR),
            (SlowConsumerError("X"), ErrorSeverity.SYSTEM_ERROR),
            (ZeroDivisionError(), ErrorSeverity.SYSTEM_ERROR),
            (ExceptionGroup("mixed", [ConfigurationError("a"), OSError()]), ErrorSeverity.SYSTEM_ERROR),
        ],
        ids=lambda value: value.value if isinstance(value, ErrorSeverity) else type(value).__name__,
    )
    def test_severity(self, error: Exception, severity: ErrorSeverity) -> None:
        """Whose matter an exception is: the user's, the venue's, or the system's."""
        assert severity is error_severity(error)

    @pytest.mark.parametrize("mode", ErrorHandlerMode)
    def test_every_handler_gets_the_event(self, mode: ErrorHandlerMode, seen: Recorder) -> None:
        """In every mode the handlers after a failing one are called, and the failure is returned or raised."""
        error = ValueError("no")
        bus = EventBus(logging.getLogger("test.silent"), mode)
        bus._logger.disabled = True
        bus.on("x", failing(error))
        bus.on("x", seen)
        if mode is ErrorHandlerMode.RAISE:
            with pytest.raises(ValueError, match="no") as caught:
                bus.emit("x", 1)
            assert error is caught.value
        else:
            assert [error] == bus.emit("x", 1)
        assert [1] == seen.seen

    def test_the_mode_can_be_changed(self, bus: EventBus) -> None:
        """What holds from now on is what was set last."""
        bus.on("x", failing(ValueError("no")))
        bus.error_mode = ErrorHandlerMode.RAISE
        assert bus.error_mode is ErrorHandlerMode.RAISE
        with pytest.raises(ValueError, match="no"):
            bus.emit("x")
        assert [] == bus.get_last_errors()

    def test_raise_groups_several(self) -> None:
        """Two failures are raised together, in order."""
        bus = EventBus(error_mode=ErrorHandlerMode.RAISE)
        bus.on("x", failing(ValueError("1")))
        bus.on("x", failing(KeyError("2")))
        with pytest.raises(ExceptionGroup) as caught:
            bus.emit("x")
        assert [ValueError, KeyError] == list(map(type, caught.value.exceptions))

    def test_collect_keeps_the_last_ones(self) -> None:
        """The errors are kept up to a bound, and can be cleared."""
        bus = EventBus(error_mode="collect", max_errors=2)  # type: ignore[arg-type]
        errors = [ValueError(number) for number in range(3)]
        for error in errors:
            bus.once("x", failing(error))
            bus.emit("x")
        assert errors[1:] == bus.get_last_errors()
        bus.clear_errors()
        assert [] == bus.get_last_errors()

    def test_log_says_which_handler_failed_on_what(self, caplog: pytest.LogCaptureFixture) -> None:
        """A user's error is a warning, the others are errors; each with its traceback, and none is kept."""
        bus = EventBus(logging.getLogger("test.bus"))
        bus.on("x", failing(ConfigurationError("no such setting")))
        bus.on("x", failing(ZeroDivisionError("oh")))
        bus.emit("x", {"api_key": "never shown"})
        assert [logging.WARNING, logging.ERROR] == [record.levelno for record in caplog.records]
        assert all(record.exc_info for record in caplog.records)
        assert [
            "handler failing.<locals>.handler failed on event x: user_error",
            "handler failing.<locals>.handler failed on event x: system_error",
        ] == caplog.messages
        assert "never shown" not in "".join(caplog.messages)
        assert [] == bus.get_last_errors()

    def test_log_redacts_by_default(self, capsys: pytest.CaptureFixture[str]) -> None:
        """The package's own logger takes secrets out of the exception."""
        bus = EventBus()
        bus.on("x", failing(ValueError("GET https://api.example.com/?signature=abcdef0123456789abcdef")))
        bus.emit("x")
        printed = capsys.readouterr().err
        assert "failed on event x" in printed
        assert "abcdef0123456789abcdef" not in printed

    @pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
    def test_what_ends_programs_is_not_caught(self, bus: EventBus, error: type[BaseException]) -> None:
        """The bus does not stand in the way of Ctrl-C."""

        def handler(_: object) -> NoReturn:
            raise error

        bus.on("x", handler)
        with pytest.raises(error):
            bus.emit("x")

    @pytest.mark.parametrize("wrap", [lambda f: f, functools.partial])
    def test_a_coroutine_in_emit_is_an_error_and_never_silent(self, bus: EventBus, wrap: Any) -> None:
        """Nothing awaits what a coroutine function returns to emit: it says so, and leaves no warning behind."""

        async def handler(_: object) -> None:
            raise AssertionError

        bus.on("x", wrap(handler))
        (error,) = bus.emit("x")
        assert isinstance(error, ConfigurationError)
        assert "publish" in str(error)

    def test_what_a_handler_returns_does_not_matter(self, bus: EventBus) -> None:
        """Only coroutines are a mistake."""
        bus.on("x", lambda data: [data])
        assert [] == bus.emit("x", 1)


class TestPublishers:
    """Emitting very many events of one name."""

    async def test_streams_get_what_emit_would_give_them(self, bus: EventBus) -> None:
        """Names, patterns and types: everybody gets every event, in order, and it is counted."""
        publisher = bus.publisher(NAME)
        assert publisher is bus.publisher(NAME)
        publisher.outlet.take([0])
        with bus.open_stream(NAME, 10) as by_name, bus.open_stream("tick.*", 10) as by_pattern:
            publisher.outlet.take([1, 2])
            with bus.open_stream(int, 10) as by_type:
                publisher.outlet.take([3])
                assert [3] == await by_type.receive_batch()
            publisher.outlet.take([4])
            assert [1, 2, 3, 4] == await by_name.receive_batch() == await by_pattern.receive_batch()
            publisher.outlet.take([])
        publisher.outlet.take([5])
        assert (6, 9) == (bus.statistics().emitted, bus.statistics().delivered)

    async def test_handlers_get_them_too(self, bus: EventBus, seen: Recorder) -> None:
        """A handler beside a stream changes nothing for either."""
        publisher = bus.publisher(NAME)
        with bus.open_stream("tick.*", 10) as stream, bus.on(NAME, seen):
            publisher.outlet.take([1, 2])
            bus.once("*", seen)
            publisher.outlet.take([3])
            assert [1, 2, 3] == await stream.receive_batch()
        publisher.outlet.take([4])
        assert [1, 2, 3, 3] == seen.seen
        assert (4, 7) == (bus.statistics().emitted, bus.statistics().delivered)

    async def test_names_that_go_the_same_way_share_it(self, bus: EventBus) -> None:
        """A producer can hand over at once what reaches the same streams; handlers for other names do not matter."""
        bus.on("ws.*", print)
        ticks, more_ticks, trades = map(bus.publisher, ("tick.a", "tick.b", "trade.a"))
        with bus.open_stream("tick.*", 10) as stream:
            for publisher in (ticks, more_ticks, trades):
                publisher.outlet.take([publisher.name])
            assert ticks.outlet is more_ticks.outlet
            assert ticks.outlet is not trades.outlet
            assert ["tick.a", "tick.b"] == await stream.receive_batch()

    def test_nobody_is_there_to_be_raised_to(self, seen: Recorder, capsys: pytest.CaptureFixture[str]) -> None:
        """A failing handler does not reach the producer, whatever the mode; the others get every event."""
        bus = EventBus(error_mode=ErrorHandlerMode.RAISE)
        bus.on("x", failing(ValueError("handler failed")))
        bus.on("x", seen)
        bus.publisher("x").outlet.take([1, 2])
        assert [1, 2] == seen.seen
        assert 2 == bus.statistics().errors
        assert "handler failed" in capsys.readouterr().err


class TestPublish:
    """Publishing awaits handlers and waits for room."""

    async def test_awaits_handlers_one_after_another(self, bus: EventBus) -> None:
        """Plain functions and coroutine functions take turns in the order of their registration."""
        order: list[str] = []

        async def slow(data: str) -> None:
            order.append(f"slow {data}")
            await settle()
            order.append("slow is done")

        bus.on("x", lambda data: order.append(f"first {data}"))
        bus.on("*", slow)
        bus.once("x", slow)
        bus.on(str, lambda data: order.append(f"last {data}"))
        assert [] == await bus.publish("x", "1")
        assert ["first 1", "slow 1", "slow is done", "slow 1", "slow is done", "last 1"] == order

    async def test_takes_the_same_forms_as_emit(self, bus: EventBus, seen: Recorder) -> None:
        """A name, a type, or the container itself."""
        bus.on("tick.*", seen)
        for arguments in ((NAME, TICK), (Tick, TICK), (TICK,)):
            await bus.publish(*arguments)
        assert [TICK] * 3 == seen.seen

    async def test_errors_are_treated_like_those_of_emit(self) -> None:
        """Every handler gets the event, and the mode decides."""

        async def fail(data: object) -> NoReturn:
            await anyio.lowlevel.checkpoint()
            raise ValueError(data)

        collecting, raising = (EventBus(error_mode=mode) for mode in (ErrorHandlerMode.COLLECT, ErrorHandlerMode.RAISE))
        for bus in (collecting, raising):
            bus.on("x", fail)
            bus.on("x", failing(KeyError("k")))
        errors = await collecting.publish("x", 1)
        assert [ValueError, KeyError] == list(map(type, errors))
        assert errors == collecting.get_last_errors()
        with pytest.raises(ExceptionGroup):
            await raising.publish("x", 1)

    async def test_waits_for_room_in_lossless_streams(self, bus: EventBus) -> None:
        """A full lossless stream holds the publisher back until its consumer takes something."""
        published: list[int] = []

        async def publish() -> None:
            for number in range(4):
                await bus.publish("x", number)
                published.append(number)

        async with bus.open_stream("x", 2) as stream, anyio.create_task_group() as tasks:
            tasks.start_soon(publish)
            await settle()
            assert [0, 1] == published
            assert [0, 1] == await stream.receive_batch()
            await settle()
            assert [0, 1, 2, 3] == published

    async def test_goes_on_when_a_full_stream_is_closed(self, bus: EventBus, seen: Recorder) -> None:
        """A consumer that leaves holds nobody back, and its leaving is no error."""
        stream = bus.open_stream("x", 1)
        bus.on("x", seen)
        await bus.publish("x", 0)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bus.publish, "x", 1)
            await settle()
            assert [0] == seen.seen
            await stream.aclose()
        assert [0, 1] == seen.seen
        assert 0 == bus.statistics().errors

    async def test_a_handler_cannot_swallow_the_cancellation(self, bus: EventBus, seen: Recorder) -> None:
        """A handler that catches the cancellation does not keep the publisher going."""

        async def stubborn(_: object) -> None:
            try:
                await anyio.sleep_forever()
            except anyio.get_cancelled_exc_class():
                return

        bus.on("x", stubborn)
        bus.on("x", seen)
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(bus.publish, "x")
                await settle()
                scope.cancel()
        assert [] == seen.seen
        assert (0, []) == (bus.statistics().errors, bus.get_last_errors())

    async def test_cancelled_anywhere_it_leaves_the_bus_whole(self) -> None:
        """Wherever publishing is cancelled, handlers before that place had the event and those after it did not."""

        @asynccontextmanager
        async def scenario() -> AsyncGenerator[Callable[[], Awaitable[object]]]:
            bus = EventBus(error_mode=ErrorHandlerMode.COLLECT)
            order: list[str] = []

            async def handler(_: object) -> None:
                order.append("begun")
                await anyio.lowlevel.checkpoint()
                order.append("done")

            bus.on("x", handler)
            async with bus.open_stream("x", 1) as stream:
                bus.on("x", lambda _: order.append("last"))
                stream.offer(0)

                async def operation() -> None:
                    async with anyio.create_task_group() as tasks:
                        tasks.start_soon(take)
                        await bus.publish("x", 1)

                async def take() -> None:
                    with anyio.CancelScope(shield=True):
                        await settle()
                        taken.append(await stream.receive())

                taken: list[int] = []
                yield operation
                received = [*taken, *(stream.receive_nowait() for _ in range(stream.pending))]
                assert received in ([0], [0, 1])
                assert order == ["begun", "done", "last"][: len(order)]
                assert ("last" in order) == (received == [0, 1])
                assert 0 == stream.statistics().tasks_waiting_send
                with anyio.fail_after(1):
                    await bus.publish("x", 2)
                assert 2 == await stream.receive()
            assert 0 == bus.statistics().errors

        sweep = await sweep_cancellation(scenario)
        assert sweep.suspensions >= 3


class TestStreams:
    """Queue mode."""

    async def test_iterates_over_what_is_emitted(self, bus: EventBus) -> None:
        """A stream takes events by name, pattern and type until the bus is cleared."""
        names, types = bus.open_stream("tick.*", 10), bus.open_stream(Tick, 10)
        assert isinstance(names, Subscription)
        assert ("tick.*", Tick) == (names.event, types.event)
        other = OrderBook("BINANCE___SPOT", "BTC-USDT", 1, 2, (), ())
        for event in (TICK, other):
            bus.emit(event)
        bus.emit("tick.raw", {"raw": 1})
        bus.clear()
        assert [TICK, {"raw": 1}] == [data async for data in names]
        assert [[TICK]] == [batch async for batch in types.batches()]

    @pytest.mark.parametrize(
        ("overflow", "received", "lost"),
        [
            (Overflow.BLOCK, [0, 1, 2, 3], 0),
            (Overflow.DROP_OLDEST, [2, 3], 2),
            (Overflow.DROP_NEWEST, [0, 1], 2),
            (Overflow.CONFLATE, [3], 3),
        ],
    )
    async def test_overflow(self, bus: EventBus, overflow: Overflow, received: list[int], lost: int) -> None:
        """The policy is the stream's, and its losses are in the statistics of the bus."""
        async with bus.open_stream("x", max_buffer_size=2, overflow=overflow) as stream:
            for number in range(4):
                assert [] == bus.emit("x", number)
            ((event, statistics),) = bus.statistics().streams
            assert ("x", lost) == (event, statistics.dropped + statistics.conflated)
            assert received == await stream.receive_batch()

    async def test_conflates_by_a_key_of_ones_own(self, bus: EventBus) -> None:
        """The latest of each kind that the consumer tells apart."""
        async with bus.open_stream("x", 5, overflow=Overflow.CONFLATE, key=lambda data: data % 2) as stream:
            for number in range(5):
                bus.emit("x", number)
            assert [4, 3] == await stream.receive_batch()

    async def test_a_closed_stream_is_off_the_bus(self, bus: EventBus) -> None:
        """Closing, ending and failing all take the stream out of the events' way."""
        closed, ended = bus.open_stream("x", 1), bus.open_stream("x", 1)
        slow = bus.open_stream("x", 1, hard_limit=1)
        assert 3 == len(bus.statistics().streams)
        await closed.aclose()
        ended.end()
        for number in range(2):
            bus.emit("x", number)
        assert () == bus.statistics().streams
        assert not bus.has_handlers("x")
        assert 0 == await slow.receive()
        with pytest.raises(SlowConsumerError, match="x"):
            await slow.receive()

    async def test_leaving_the_bus_ends_its_streams(self) -> None:
        """As a context manager the bus ends its streams, so that no consumer waits for what cannot come."""
        received: list[int] = []

        async def consume(stream: Subscription[int]) -> None:
            received.extend([number async for number in stream])

        async with anyio.create_task_group() as tasks, EventBus() as bus:
            tasks.start_soon(consume, bus.open_stream("x", 10))
            await settle()
            bus.emit("x", 1)
        assert [1] == received

    async def test_a_consumer_may_leave_its_loop(self, bus: EventBus) -> None:
        """After a ``break``, the stream goes on taking events."""
        async with bus.open_stream("x", 10) as stream:
            bus.emit("x", 0)
            async for _ in stream:
                break
            bus.emit("x", 1)
            assert 1 == stream.pending

    def test_needs_an_event_loop(self, bus: EventBus) -> None:
        """A stream belongs to an event loop, so there has to be one."""
        with pytest.raises(ConfigurationError, match="event loop"):
            bus.open_stream("x", 1)
        assert not bus.has_handlers("x")

    async def test_a_buffer_of_nothing_is_refused(self, bus: EventBus) -> None:
        """The refusal leaves nothing on the bus."""
        with pytest.raises(ValueError, match="max_buffer_size"):
            bus.open_stream("x", 0)
        assert not bus.has_handlers("x")


class TestStatistics:
    """Counters."""

    async def test_counts(self, bus: EventBus) -> None:
        """Events, deliveries and errors by severity; handlers and streams."""
        bus.on("x", lambda _: None)
        bus.on("x", failing(ConfigurationError("a")))
        bus.on("*", failing(OrderError("X")))
        bus.on("y", failing(OSError()))
        async with bus.open_stream("x", 10):
            bus.emit("x", 1)
            await bus.publish("x", 2)
            bus.emit("y", 3)
            statistics = bus.statistics()
        assert (3, 4, 6) == (statistics.emitted, statistics.delivered, statistics.errors)
        assert (2, 3, 1) == (statistics.user_errors, statistics.business_errors, statistics.system_errors)
        assert (4, 1, 2) == (statistics.handlers, len(statistics.streams), statistics.streams[0][1].offered)
        assert (0, 0, 0) == (statistics.thread_handled, statistics.thread_pending, statistics.thread_dropped)
        with pytest.raises(AttributeError):
            statistics.emitted = 0  # type: ignore[misc]

    def test_shows_itself_without_its_data(self, bus: EventBus) -> None:
        """What is printed of a bus says what it is for."""
        bus.on("x", print)
        assert "<EventBus collect entries=1 emitted=0>" == repr(bus)
        assert event_name(TICK) == NAME
