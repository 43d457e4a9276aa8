"""Requests on one connection: logging in, subscribing, and asking whether anybody is there.

`Subscriber` makes the venue's subscriptions equal the table's, for as long as a connection lives: what is wanted and
has not been asked for is asked for, what is no longer wanted is given up, a batch at a time and at the venue's pace.
Restoring everything after a reconnection is no code path of its own: a new connection has asked for nothing yet.
"""

from __future__ import annotations

from functools import partial
from itertools import count, islice
from typing import TYPE_CHECKING

import anyio
import attrs

from bt_api_base.exceptions import AuthenticationError, SubscribeError, WebSocketError
from bt_api_base.websocket.adapter import Ack, Channel, LoginRefused, Refusal, StreamAdapter
from bt_api_base.websocket.backoff import Pacer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bt_api_base.websocket.channels import ChannelEntry, ChannelTable
    from bt_api_base.websocket.client import WebSocket
    from bt_api_base.websocket.config import WebSocketConfig

__all__ = ("Subscriber", "SubscriberObserver", "message_pacer", "requests_per_second")

_MOST_ATTEMPTS = 3
"""How often a channel is asked for that the venue does not answer for."""

_LOGIN_ID = 1
"""Id of a log-in, which is a connection's first request."""

_MOST_LATE = 1_000
"""Requests whose late answers are still understood."""


def message_pacer(messages_per_second: float) -> Pacer:
    """Return what keeps requests within a venue's limit of messages.

    Venues count pings and pongs too; those are not ours to time, so one message a second is left for them.
    """
    rate = requests_per_second(messages_per_second)
    return Pacer(1, 1.0 / rate) if rate < 1 else Pacer(int(rate))


def requests_per_second(messages_per_second: float) -> float:
    """Return how many requests a second `message_pacer` lets through."""
    return messages_per_second if messages_per_second < 1 else max(1, int(messages_per_second) - 1)


@attrs.frozen(kw_only=True)
class SubscriberObserver:
    """What a subscriber reports, each called at once and never raising.

    Attributes:
        restored: Every channel of the connection before is settled: how many of how many.
        refused: The venue complains about something that nobody asked: code and text.
        start: Runs a coroutine function in a task of the connection's; its failure ends the connection.
        fail: Ends the connection.
        is_heard: Whether events of a channel have arrived on this connection.
        read_time: When what is acted upon left the socket, nanoseconds since the epoch (UTC).
    """

    restored: Callable[[int, int], None]
    refused: Callable[[Refusal], None]
    start: Callable[..., None]
    fail: Callable[[Exception], None]
    is_heard: Callable[[ChannelEntry], bool]
    read_time: Callable[[], int]


@attrs.define(eq=False)
class _Request:
    """One frame sent, and the channels the venue has yet to answer for."""

    request_id: int
    keys: set[str]
    subscribing: bool
    probing: bool = False
    answer: Ack | Refusal | None = None
    settled: anyio.Event = attrs.field(factory=anyio.Event)


@attrs.define(eq=False)
class _Asked:
    """A channel this connection has asked the venue for."""

    channel: Channel
    confirmed: bool = False
    leaving: bool = False


@attrs.define(eq=False)
class Subscriber:
    """The requests of one connection. See the module's docstring.

    Attributes:
        successor: Whether another connection still carries the channels, so that one that is refused here is no reason
            to fail its consumers.
    """

    ws: WebSocket
    config: WebSocketConfig
    adapter: StreamAdapter
    table: ChannelTable
    observer: SubscriberObserver
    successor: bool = False
    _asked: dict[str, _Asked] = attrs.field(factory=dict[str, _Asked], init=False)
    _requests: dict[int, _Request] = attrs.field(factory=dict[int, _Request], init=False)
    _late: dict[int, tuple[str, ...]] = attrs.field(factory=dict[int, tuple[str, ...]], init=False)
    _request_ids: count[int] = attrs.field(factory=lambda: count(1), init=False)
    _restoring: dict[str, bool | None] = attrs.field(factory=dict[str, "bool | None"], init=False)
    _attempts: dict[str, int] = attrs.field(factory=dict[str, int], init=False)
    _dirty: dict[str, None] = attrs.field(factory=dict[str, None], init=False)
    _login: anyio.Event = attrs.field(factory=anyio.Event, init=False)
    _login_id: int = attrs.field(default=0, init=False)
    _pacers: tuple[Pacer, ...] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        limits = self.adapter.limits
        self._pacers = (message_pacer(limits.messages_per_second),)
        if limits.max_requests is not None:
            self._pacers += (Pacer(limits.max_requests, limits.request_window),)

    # -- logging in ----------------------------------------------------------------------------

    async def log_in(self) -> bool:
        """Log in where the endpoint needs it; return whether it does.

        Raises:
            AuthenticationError: The venue refused.
            WebSocketError: It did not answer within ``subscribe_timeout``.

        Cancellation: the log-in may or may not take effect.
        """
        frame = self.adapter.login_frame(_LOGIN_ID)
        if frame is None:
            return False
        self._login_id = next(self._request_ids)
        await self._wait_turn()
        await self.ws.send(frame)
        with anyio.move_on_after(self.config.subscribe_timeout):
            await self._login.wait()
            return True
        raise WebSocketError(
            self.config.exchange_name, f"the log-in was not answered within {self.config.subscribe_timeout:g} s"
        )

    def logged_in(self) -> None:
        """The venue accepted the log-in."""
        self._login.set()

    @property
    def is_logged_in(self) -> bool:
        """Whether it has."""
        return self._login.is_set()

    def login_error(self, refusal: LoginRefused | Refusal) -> Exception:
        """Return what a refused log-in means: an error that is worth another attempt, or one that is not."""
        exchange_name = self.config.exchange_name
        if isinstance(refusal, LoginRefused) and refusal.retryable:
            return WebSocketError(exchange_name, f"the venue refused the log-in: {refusal.code} {refusal.message}")
        return AuthenticationError(
            exchange_name,
            f"the venue refused the log-in: {refusal.code} {refusal.message}",
            venue_code=refusal.code,
            venue_message=refusal.message,
        )

    # -- making the venue's subscriptions equal the table's --------------------------------------

    async def run(self) -> None:
        """Ask for what is wanted and give up what is not, until cancelled.

        Cancellation: a request may or may not have been sent.
        """
        self._restoring = {entry.channel.key: None for entry in self.table if entry.was_active}
        self._dirty = dict.fromkeys(entry.channel.key for entry in self.table)
        unwatch = self.table.watch(self._note)
        try:
            while True:
                changed = self.table.changed
                self._check_restored()
                if not await self._ask_for_changes():
                    await changed.wait()
        finally:
            unwatch()
            # Nothing is subscribed on a connection that is gone; whoever waits for that need not wait longer.
            self._asked.clear()
            self.table.notify()

    def _note(self, key: str) -> None:
        self._dirty[key] = None

    async def _ask_for_changes(self) -> bool:
        """Send what has become due; return whether anything had."""
        dirty, self._dirty = self._dirty, {}
        surplus = [self._asked[key].channel for key in dirty if self._is_due(key, subscribing=False)]
        missing = [self.table.entries[key].channel for key in dirty if self._is_due(key, subscribing=True)]
        for key in dirty:
            self._activate_if_confirmed(key)
        most = self.adapter.limits.max_channels_per_request
        for subscribing, channels in ((False, surplus), (True, missing)):
            remaining = iter(channels)
            while part := list(islice(remaining, most)):
                await self._ask(part, subscribing=subscribing)
        return bool(dirty)

    def _is_due(self, key: str, *, subscribing: bool) -> bool:
        """Whether the venue is still to be asked for a channel, or to be told to stop it."""
        asked = self._asked.get(key)
        if subscribing:
            return key in self.table.entries and asked is None
        return key not in self.table.entries and asked is not None and not asked.leaving

    async def _ask(self, channels: Sequence[Channel], *, subscribing: bool, again: bool = False) -> None:
        """Send one subscribe or unsubscribe frame; a task of its own waits for the answer."""
        await self._wait_turn()
        # What was wanted when the wait began may have been withdrawn, refused or confirmed since.
        if again:
            channels = [c for c in channels if (a := self._asked.get(c.key)) and not a.confirmed and not a.leaving]
        else:
            channels = [channel for channel in channels if self._is_due(channel.key, subscribing=subscribing)]
        if not channels:
            return
        request = self._new_request({channel.key for channel in channels}, subscribing=subscribing)
        if subscribing:
            self._asked.update((channel.key, _Asked(channel)) for channel in channels)
            frame = self.adapter.subscribe_frame(request.request_id, channels)
        else:
            for key in request.keys:
                self._asked[key].leaving = True
            frame = self.adapter.unsubscribe_frame(request.request_id, channels)
        self.observer.start(self._await_answer, request)
        await self.ws.send(frame)

    def _new_request(self, keys: set[str], *, subscribing: bool, probing: bool = False) -> _Request:
        request = _Request(next(self._request_ids), keys, subscribing, probing)
        self._requests[request.request_id] = request
        return request

    async def _await_answer(self, request: _Request) -> None:
        with anyio.move_on_after(self.config.subscribe_timeout):
            await request.settled.wait()
            return
        # An answer that comes late is an answer nevertheless.
        keys = self._late[request.request_id] = tuple(request.keys)
        if len(self._late) > _MOST_LATE:
            del self._late[next(iter(self._late))]
        if request.subscribing:
            for key in keys:
                self._unanswered(key)
        self._settle(request, *keys)

    def _unanswered(self, key: str) -> None:
        """The venue has not answered for a channel in time: ask again, a few times."""
        entry = self.table.entries.get(key)
        if entry is not None and self.observer.is_heard(entry):
            self._confirm(key)  # it does not say so, but it sends
            return
        asked = self._asked.get(key)
        if asked is not None and asked.confirmed:
            return  # by the answer to another request
        self._asked.pop(key, None)
        self._dirty[key] = None
        attempts = self._attempts[key] = self._attempts.get(key, 0) + 1
        if entry is None or attempts < _MOST_ATTEMPTS:
            return
        detail = f"not acknowledged within {self.config.subscribe_timeout:g} s, {attempts} times"
        if not any(asked.confirmed for asked in self._asked.values()):
            # Nothing at all was answered for: it is not the channel, but the connection.
            raise WebSocketError(self.config.exchange_name, f"subscription to {key!r} {detail}")
        self._give_up(
            key,
            entry,
            SubscribeError(self.config.exchange_name, detail, topic=entry.channel.topic, symbol=entry.channel.symbol),
        )

    async def _wait_turn(self) -> None:
        """Wait until the venue's limits allow one more request."""
        for pacer in self._pacers:
            await pacer.wait()

    # -- answers -------------------------------------------------------------------------------

    def acknowledged(self, ack: Ack) -> None:
        """The venue accepted a request."""
        if self._is_login(ack):
            self.logged_in()
            return
        request = self._request_of(ack)
        if request is None:
            for key in self._late.pop(_number(ack.request_id), ()):
                self._confirm(key)
            return
        request.answer = ack
        keys = tuple(request.keys) if ack.key is None else (ack.key,)
        if request.subscribing and not request.probing:
            for key in keys:
                self._confirm(key)
        self._settle(request, *keys)

    def refused(self, refusal: Refusal) -> None:
        """The venue refused a request."""
        if self._is_login(refusal):
            self.observer.fail(self.login_error(refusal))
            return
        request = self._request_of(refusal)
        if request is None:
            if refusal.key is not None and refusal.key in self._asked:
                self._refuse_channel(refusal.key, refusal)  # the venue takes back what it had confirmed
            else:
                self.observer.refused(refusal)
            return
        request.answer = refusal
        keys = list(request.keys) if refusal.key is None else [refusal.key]
        if request.subscribing and not request.probing:
            if len(keys) == 1:
                self._refuse_channel(keys[0], refusal)
            else:
                self._ask_by_halves(keys)
        self._settle(request, *keys)

    def _ask_by_halves(self, keys: Sequence[str]) -> None:
        """The venue refused a whole request for one of its channels and does not say which: ask for each half.

        Asked for one by one, hundreds would take longer than their subscribers wait.
        """
        channels = [self._asked[key].channel for key in keys if key in self._asked]
        middle = len(channels) // 2
        for half in (channels[:middle], channels[middle:]):
            if half:
                self.observer.start(self._ask_again, half)

    async def _ask_again(self, channels: Sequence[Channel]) -> None:
        await self._ask(channels, subscribing=True, again=True)

    def _is_login(self, answer: Ack | Refusal) -> bool:
        return not self._login.is_set() and self._login_id > 0 and _number(answer.request_id) == self._login_id

    def _confirm(self, key: str) -> None:
        if key in self._asked:
            self._asked[key].confirmed = True
        if key in self._restoring:
            self._restoring[key] = True
        self._attempts.pop(key, None)
        self._activate_if_confirmed(key)

    def _activate_if_confirmed(self, key: str) -> None:
        asked, entry = self._asked.get(key), self.table.entries.get(key)
        if entry is not None and asked is not None and asked.confirmed and not asked.leaving and not self.successor:
            entry.activate(self.observer.read_time())

    def activate_confirmed(self) -> None:
        """Make every channel active that is confirmed here: this connection carries them now."""
        self.successor = False
        for key in self._asked:
            self._activate_if_confirmed(key)

    def _refuse_channel(self, key: str, refusal: Refusal) -> None:
        self._asked.pop(key, None)
        entry = self.table.entries.get(key)
        if entry is not None:
            self._give_up(
                key,
                entry,
                SubscribeError(
                    self.config.exchange_name,
                    refusal.message,
                    topic=entry.channel.topic,
                    symbol=entry.channel.symbol,
                    venue_code=refusal.code,
                    venue_message=refusal.message,
                ),
            )

    def _give_up(self, key: str, entry: ChannelEntry, error: SubscribeError) -> None:
        if self.successor and entry.was_active:
            # Another connection carries the channel, and this one cannot take over from it.
            self.observer.fail(error)
            return
        if key in self._restoring:
            self._restoring[key] = False
        entry.fail(error)
        self.table.discard(entry)

    def _request_of(self, answer: Ack | Refusal) -> _Request | None:
        if answer.request_id is not None:
            return self._requests.get(_number(answer.request_id))
        if answer.key is not None:
            return next((r for r in self._requests.values() if answer.key in r.keys), None)
        # An answer that names nothing: venues answer in order, so it belongs to the oldest request.
        return next(iter(self._requests.values()), None)

    def _settle(self, request: _Request, *keys: str) -> None:
        """The venue has said, or failed to say in time, what there is to say about ``keys``."""
        request.keys.difference_update(keys)
        for key in keys:
            if not request.subscribing:
                self._asked.pop(key, None)
            self._dirty[key] = None
        if not request.keys:
            self._requests.pop(request.request_id, None)
            request.settled.set()
        self._check_restored()
        self.table.notify()

    # -- what is known -------------------------------------------------------------------------

    def is_confirmed(self, key: str) -> bool:
        """Whether the venue has confirmed a channel on this connection."""
        asked = self._asked.get(key)
        return asked is not None and asked.confirmed

    def _check_restored(self) -> None:
        """Report once that every channel of the connection before is confirmed, given up or no longer wanted."""
        if any(done is None and key in self.table.entries for key, done in self._restoring.items()):
            return
        outcomes = [done for done in self._restoring.values() if done is not None]
        self._restoring = {}
        if outcomes:
            self.observer.restored(sum(outcomes), len(outcomes))

    async def wait_stopped(self, key: str) -> None:
        """Wait until the venue no longer has ``key`` subscribed, or somebody wants it again.

        Cancellation: nothing changes.
        """
        while key in self._asked and key not in self.table.entries:
            await self.table.changed.wait()

    # -- asking whether anybody is there ---------------------------------------------------------

    async def probe(self, channel: Channel) -> Ack | Refusal | None:
        """Send a harmless request and return the venue's answer, ``None`` if there is none in time.

        Cancellation: the answer is ignored.
        """
        return await self._request_about([channel], lambda number: self.adapter.probe_frame(number, channel))

    async def subscribe_again(self, channels: Sequence[Channel]) -> None:
        """Subscribe to channels that are subscribed already, and wait for the answers as long as for any.

        Cancellation: the answers are ignored.
        """
        remaining = iter(channels)
        while part := list(islice(remaining, self.adapter.limits.max_channels_per_request)):
            await self._request_about(part, partial(self._subscribe_frame, part))

    def _subscribe_frame(self, channels: Sequence[Channel], request_id: int) -> str:
        return self.adapter.subscribe_frame(request_id, channels)

    async def _request_about(self, channels: Sequence[Channel], build: Callable[[int], str]) -> Ack | Refusal | None:
        await self._wait_turn()
        request = self._new_request({channel.key for channel in channels}, subscribing=True, probing=True)
        try:
            await self.ws.send(build(request.request_id))
            with anyio.move_on_after(self.config.subscribe_timeout):
                await request.settled.wait()
        finally:
            self._requests.pop(request.request_id, None)
        return request.answer


def _number(request_id: int | str | None) -> int:
    """Return the number that a venue repeats of a request's, 0 if it is none of ours."""
    text = str(request_id)
    return int(text) if text.isdecimal() else 0
