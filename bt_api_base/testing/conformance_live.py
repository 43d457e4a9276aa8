"""Rules 80 to 89: a stream adapter with a venue at the other end, and a network that fails."""

from __future__ import annotations

import random
import secrets
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import anyio
import attrs

from bt_api_base.containers import Event, Gap, GapReason
from bt_api_base.exceptions import BtApiError
from bt_api_base.testing.conformance_rules import ChannelExample, ConformanceError, Finding, Rule, raised, shown
from bt_api_base.testing.faulty_proxy import FaultyProxy
from bt_api_base.testing.leaks import LeakError, assert_no_leaks
from bt_api_base.testing.proxy_faults import AcceptThenClose, CutFrame, HalfClose, Refuse, Reset, Stall
from bt_api_base.websocket_manager import WebSocketConfig, WebSocketManager

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from bt_api_base.testing.proxy_faults import Fault
    from bt_api_base.websocket.adapter import StreamAdapter
    from bt_api_base.websocket_manager import Subscription

_FAULTS: Final[tuple[tuple[Fault, ...], ...]] = (
    (Reset(),),
    (HalfClose(),),
    (CutFrame(),),
    (CutFrame(reset=False),),
    (Stall(0.1),),
    (AcceptThenClose(2), Reset()),
    (Refuse(0.1), Reset()),
)
"""What can happen to connections; nothing that a venue over TLS could not do."""

_SETTINGS: Final[Mapping[str, Any]] = {"reconnect_interval": 0.02, "max_reconnect_interval": 0.2}

_QUIET: Final = 0.1
"""Seconds in which a venue that was told to stop may still send what was under way, and then as many to see."""


def _rule(number: int, title: str, reason: str) -> Rule:
    return Rule(number, title, reason, lambda _bench: ())


RULES: Final[Mapping[int, Rule]] = {
    rule.number: rule
    for rule in (
        _rule(80, "every channel is confirmed", "a subscription waits for the venue's answer"),
        _rule(81, "every channel delivers", "a confirmed channel that is silent looks like a quiet market"),
        _rule(82, "every channel delivers again after a failure", "networks fail every day"),
        _rule(83, "no frame is malformed", "what the venue sends is to be understood"),
        _rule(84, "no gap and no repetition without a failure", "consumers start over at every gap"),
        _rule(85, "a channel that is given up falls silent", "the venue would go on sending, and counting it"),
        _rule(86, "nothing is left behind", "programs run for weeks"),
    )
}
"""These rules, by their numbers."""


@attrs.define(eq=False)
class _Listener:
    """A subscription, and what it got."""

    example: ChannelExample
    subscription: Subscription
    items: list[Event] = attrs.field(factory=list[Event])
    error: BtApiError | None = None

    @property
    def count(self) -> int:
        return sum(not isinstance(item, Gap) for item in self.items)

    async def run(self, news: Callable[[], None]) -> None:
        try:
            async for item in self.subscription:
                self.items.append(item)
                news()
        except BtApiError as error:
            self.error = error
            news()
        except anyio.ClosedResourceError:
            pass  # unsubscribed


@attrs.define(eq=False)
class _Trial:
    """One adapter at one venue."""

    factory: Callable[[], StreamAdapter]
    proxy: FaultyProxy
    timeout: float
    findings: dict[Rule, list[Finding]]
    listeners: list[_Listener] = attrs.field(factory=list[_Listener], init=False)
    _news: anyio.Event = attrs.field(factory=anyio.Event, init=False)

    def found(self, number: int, where: object, what: str, remedy: str) -> None:
        self.findings.setdefault(RULES[number], []).append(Finding(str(where), what, remedy))

    async def run(self, config: WebSocketConfig, examples: Sequence[ChannelExample], rounds: int, events: int) -> None:
        async with anyio.create_task_group() as tasks, WebSocketManager() as manager:
            await manager.add_exchange(config, adapter=lambda _name: self.factory())
            for example in examples:
                await self._subscribe(manager, config.exchange_name, example)
            for listener in self.listeners:
                tasks.start_soon(listener.run, self._has_news)
            await self._deliver(81, events, "name the channel in subscribe_frame, and return its key from decode_frame")
            self._check_undisturbed(manager)
            rng = random.Random(f"{self.proxy.seed}/live")  # noqa: S311  # repeatable, no secret
            for _ in range(rounds if self.listeners else 0):
                faults = rng.choice(_FAULTS)
                for fault in faults:
                    self.proxy.apply(fault)
                await self._deliver(82, events, "let subscribe_frame build the same request again", after=faults)
            await self._give_up(manager)
            tasks.cancel_scope.cancel()

    async def _subscribe(self, manager: WebSocketManager, exchange_name: str, example: ChannelExample) -> None:
        remedy = "see to it that the venue understands the request, and that decode_frame returns an Ack for its answer"
        try:
            with anyio.fail_after(self.timeout):
                subscribe = partial(manager.subscribe, exchange_name, example.topic, example.symbol)
                subscription = await subscribe(params=example.params)
        except (BtApiError, TimeoutError) as error:
            self.found(80, example, raised(error), remedy)
        else:
            self.listeners.append(_Listener(example, subscription))

    async def _deliver(self, number: int, events: int, remedy: str, after: Sequence[Fault] = ()) -> None:
        """Wait until each channel has delivered so many events more."""
        wanted = [(listener, listener.count + events) for listener in self.listeners if listener.error is None]
        with anyio.move_on_after(self.timeout):
            while any(listener.count < count and listener.error is None for listener, count in wanted):
                self._news = anyio.Event()
                await self._news.wait()
        for listener, count in wanted:
            behind = f" after {', '.join(map(repr, after))}" if after else ""
            if listener.error is not None:
                self.found(number, listener.example, raised(listener.error) + behind, remedy)
            elif listener.count < count:
                got = listener.count + events - count
                what = f"delivered {got} of {events} events within {self.timeout} s{behind}"
                self.found(number, listener.example, what, remedy)

    def _check_undisturbed(self, manager: WebSocketManager) -> None:
        for stats in (one for exchange in manager.get_stats().values() for one in exchange):
            where = f"connection {stats.connection_id}"
            if stats.bad_frames:
                what = f"got {stats.bad_frames} frames that could not be decoded"
                self.found(83, where, what, "decode them, or return Unrecognized for what is of no use")
            if stats.duplicates:
                what = f"dropped {stats.duplicates} events as repetitions"
                self.found(84, where, what, "declare Continuity.NONE where positions do not grow")
        for listener in self.listeners:
            gaps = [item for item in listener.items if isinstance(item, Gap)]
            broken = [gap for gap in gaps if gap.reason in {GapReason.SEQUENCE, GapReason.RESET}]
            if broken:
                what = f"has {len(broken)} gaps: {shown(broken[0])}"
                self.found(84, listener.example, what, "declare CONSECUTIVE only where each follows the one before it")

    async def _give_up(self, manager: WebSocketManager) -> None:
        remedy = "let unsubscribe_frame name the channel as subscribe_frame does"
        for listener in self.listeners:
            with anyio.move_on_after(self.timeout) as scope:
                await listener.subscription.aclose()
            if scope.cancelled_caught:
                self.found(85, listener.example, f"was not given up within {self.timeout} s", remedy)
        await anyio.sleep(_QUIET)
        before = self.proxy.frames_to_client
        await anyio.sleep(_QUIET)
        more = self.proxy.frames_to_client - before
        if more and self.listeners and not any(_subscriptions(manager)):
            self.found(85, "the connection", f"got {more} frames in {_QUIET} s without a subscription", remedy)

    def _has_news(self) -> None:
        self._news.set()


def _subscriptions(manager: WebSocketManager) -> Iterable[int]:
    """Yield how many channels each of a manager's connections is to carry."""
    return (one.subscriptions for exchange in manager.get_stats().values() for one in exchange)


async def check_stream_adapter_live(
    adapter_factory: Callable[[], StreamAdapter],
    url: str,
    *,
    channels: Iterable[ChannelExample | tuple[Any, ...]],
    seed: int | None = None,
    rounds: int = 4,
    events: int = 3,
    timeout: float = 10.0,  # noqa: ASYNC109 - each wait's, and no limit of the whole
    **settings: Any,  # noqa: ANN401 - whatever the configuration has
) -> None:
    """Hold a stream adapter to the rules about live connections, through a network that fails.

    Nothing else is to run in the event loop meanwhile, as it is watched for what is left behind. Time is real.

    Args:
        adapter_factory: The adapter's class, or whatever makes a new adapter.
        url: The venue, ``ws://…``: a simulated one, or one through a local tunnel.
        channels: What to subscribe to, as for `bt_api_base.testing.check_stream_adapter`; each has to be lively.
        seed: What failures follow from; by default another one each time.
        rounds: How many failures.
        events: How many events each channel is to deliver at first, and after each failure.
        timeout: Seconds to wait for them.
        **settings: What else the `WebSocketConfig` is to have, such as ``credentials``.

    Raises:
        ConformanceError: It breaks rules.
        ValueError: The URL is no ``ws://`` URL.

    Cancellation:
        Connections are closed, and there is no verdict.
    """
    parts = urlsplit(url)
    if parts.scheme != "ws" or parts.hostname is None:
        raise ValueError(f"expected a ws:// URL, not {url!r}: nothing can stand in the way of TLS")
    seed = secrets.randbelow(1 << 32) if seed is None else seed
    examples = [one if isinstance(one, ChannelExample) else ChannelExample(*one) for one in channels]
    findings: dict[Rule, list[Finding]] = {}
    name = adapter_factory().exchange_name
    try:
        async with assert_no_leaks(), FaultyProxy(parts.hostname, parts.port or 80, seed=seed) as proxy:
            options: dict[str, Any] = {"compression": False, "subscribe_timeout": timeout, **_SETTINGS, **settings}
            config = WebSocketConfig(proxy.url_for(url), name, **options)
            await _Trial(adapter_factory, proxy, timeout, findings).run(config, examples, rounds, events)
    except LeakError as error:
        findings[RULES[86]] = [Finding("the adapter", str(error), "start no task and open nothing in it")]
    if findings:
        kind = getattr(adapter_factory, "__name__", name)
        raise ConformanceError(
            str(kind), seed, dict(sorted(findings.items(), key=lambda one: one[0].number)), len(RULES)
        )


__all__ = ("RULES", "check_stream_adapter_live")
