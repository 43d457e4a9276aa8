"""Everything a live view can show, kept up to date event by event.

The model is fed with batches of events and with what happens to the connections; it draws nothing, waits for nothing
and reads no clock, so the same input always gives the same model. An event costs a fixed few steps, however many
symbols or events there are; what needs a look at everything happens in `ViewModel.advance`, once per refresh.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import attrs

from bt_api_base._cli.histogram import DurationHistogram
from bt_api_base._cli.log import EventLog
from bt_api_base._cli.symbol import SymbolState
from bt_api_base.containers import Gap, GapReason
from bt_api_base.websocket.events import Connected, ConnectionEvent, Disconnected, Failed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bt_api_base.containers import Event
    from bt_api_base.websocket.connection_stats import ConnectionStats

__all__ = ("Flow", "Progress", "RateMeter", "ViewModel")

_RATE_WINDOW = 2.0


@attrs.define(eq=False)
class RateMeter:
    """A rate over the last couple of seconds, from a count looked at now and then.

    Attributes:
        per_second: The rate at the last look.
    """

    per_second: float = 0.0
    _looks: deque[tuple[float, int]] = attrs.field(factory=deque[tuple[float, int]], repr=False)

    def look(self, now: float, count: int) -> None:
        """Take note of a count.

        Args:
            now: Seconds on a clock that does not jump.
            count: The total so far.
        """
        looks = self._looks
        looks.append((now, count))
        while len(looks) > 2 and looks[1][0] <= now - _RATE_WINDOW:
            looks.popleft()
        (since, before), passed = looks[0], now - looks[0][0]
        if passed > 0.0 and since < now:
            self.per_second = (count - before) / passed


@attrs.frozen
class Progress:
    """How far a run of known length has come.

    Attributes:
        done: Frames done.
        total: Frames there are.
    """

    done: int
    total: int


@attrs.frozen(kw_only=True)
class Flow:
    """Counters of the way from the sockets to the model, summed over connections.

    Attributes:
        frames: Application frames; the sum of the next four.
        data_frames: Frames that carried events to somebody.
        control_frames: Acknowledgements, refusals, heartbeats, notices, unknown kinds.
        unrouted_frames: Data nobody wanted.
        bad_frames: Frames that could not be decoded.
        events: Events delivered.
        duplicates: Events that were dropped because they had come before, over another connection.
        abandoned: Events of connections that were to take over and did not, or that had been replaced.
        gaps: Gaps told, each in its channel.
        connects: Connections made.
        reconnects: Of these, those that replaced a lost one.
        rotations: Of these, those that took over from one that was still there.
        dropped: Events and gaps forgotten by the hand-over to the view.
        states: The connections' states.
    """

    frames: int = 0
    data_frames: int = 0
    control_frames: int = 0
    unrouted_frames: int = 0
    bad_frames: int = 0
    events: int = 0
    duplicates: int = 0
    abandoned: int = 0
    gaps: int = 0
    connects: int = 0
    reconnects: int = 0
    rotations: int = 0
    dropped: int = 0
    states: tuple[str, ...] = ()

    @classmethod
    def of(cls, stats: Sequence[ConnectionStats], *, dropped: int) -> Flow:
        """Sum up connections.

        Args:
            stats: The connections.
            dropped: Events and gaps forgotten by the hand-over to the view.
        """
        return cls(
            frames=sum(s.frames for s in stats),
            data_frames=sum(s.data_frames for s in stats),
            control_frames=sum(s.control_frames for s in stats),
            unrouted_frames=sum(s.unrouted_frames for s in stats),
            bad_frames=sum(s.bad_frames for s in stats),
            events=sum(s.events for s in stats),
            duplicates=sum(s.duplicates for s in stats),
            abandoned=sum(s.abandoned for s in stats),
            gaps=sum(s.gaps for s in stats),
            connects=sum(s.generation for s in stats),
            reconnects=sum(s.reconnects for s in stats),
            rotations=sum(s.rotations for s in stats),
            dropped=dropped,
            states=tuple(s.state.value for s in stats),
        )


@attrs.define(eq=False, kw_only=True)
class ViewModel:
    """What a view shows. See the module's docstring.

    Attributes:
        title: What is running.
        live: Whether events tell of now; if not, the clock shown is theirs.
        bucket_ns: Length of a bar of the live sparklines, nanoseconds.
        symbols: State of each symbol, in order of appearance.
        kinds: Events seen, by container type.
        events: Events seen. Gaps are none.
        venue_lag: From the venue's stamp to the socket, where the venue gives one.
        handover_lag: From the socket to the model, for live events.
        log: What happened to the connections.
        gaps: Gaps told so far, each in its channel.
        down: The connections that are lost now, by exchange and name.
        flow: Counters of connections, as of the last refresh.
        progress: How far a run of known length has come.
        rate: Events per second.
        clock_ns: The time shown, nanoseconds since the epoch (UTC).
        started: When the model's run began, seconds on a clock that does not jump.
        now: The same clock at the last refresh.
    """

    title: str = ""
    live: bool = True
    bucket_ns: int = 500_000_000
    symbols: dict[tuple[str, str], SymbolState] = attrs.field(factory=dict[tuple[str, str], SymbolState])
    kinds: dict[str, int] = attrs.field(factory=dict[str, int])
    events: int = 0
    venue_lag: DurationHistogram = attrs.field(factory=DurationHistogram)
    handover_lag: DurationHistogram = attrs.field(factory=DurationHistogram)
    log: EventLog = attrs.field(factory=EventLog)
    gaps: int = 0
    down: set[tuple[str, str]] = attrs.field(factory=set[tuple[str, str]])
    flow: Flow = attrs.field(factory=Flow)
    progress: Progress | None = None
    rate: RateMeter = attrs.field(factory=RateMeter)
    clock_ns: int = 0
    started: float = 0.0
    now: float = 0.0
    _rates: dict[tuple[str, str], RateMeter] = attrs.field(factory=dict[tuple[str, str], RateMeter], repr=False)

    @property
    def elapsed(self) -> float:
        """Seconds from the start to the last refresh."""
        return self.now - self.started

    def add_symbol(self, exchange_name: str, symbol: str) -> SymbolState:
        """Show a symbol from now on, also while nothing has come for it."""
        key = (exchange_name, symbol)
        state = self.symbols.get(key)
        if state is None:
            state = self.symbols[key] = SymbolState(exchange_name, symbol, bucket_ns=self.bucket_ns)
            self._rates[key] = RateMeter()
        return state

    def feed(self, events: Sequence[Event], now_ns: int) -> None:
        """Take events in.

        Args:
            events: What came, oldest first.
            now_ns: When they were handed over, nanoseconds since the epoch (UTC).
        """
        symbols, kinds = self.symbols, self.kinds
        lag_of_venue = self.venue_lag.add
        local_time = same_time = 0
        gaps = 0
        for event in events:
            if type(event) is Gap:
                gaps += 1
                self._miss(event)
                continue
            state = symbols.get((event.exchange_name, event.symbol))
            if state is None:
                state = self.add_symbol(event.exchange_name, event.symbol)
            if event.local_time != local_time:
                # Frames of one socket read share a stamp: they are filed together.
                self._file(local_time, now_ns, same_time)
                local_time, same_time = event.local_time, 0
            same_time += 1
            if event.server_time and local_time:
                lag_of_venue(event.local_time - event.server_time)
            kind = type(event).__name__
            kinds[kind] = kinds.get(kind, 0) + 1
            state.take(event)
        self._file(local_time, now_ns, same_time)
        self.events += len(events) - gaps
        self.gaps += gaps
        if not self.live:
            self.clock_ns = max((state.last_time for state in symbols.values()), default=0)

    def _file(self, local_time: int, now_ns: int, count: int) -> None:
        if count and self.live:
            self.handover_lag.add(now_ns - local_time, count)

    def _miss(self, gap: Gap) -> None:
        # A gap of a connection to a recording is of the time of the replay, which the recording knows nothing of.
        if gap.symbol and (self.live or gap.reason is not GapReason.DISCONNECTED):
            self.add_symbol(gap.exchange_name, gap.symbol).miss(gap)

    def note(self, event: ConnectionEvent) -> None:
        """Take in what happened to a connection. What is missing for it is told by gaps, in their place."""
        self.log.note(event)
        connection = event.exchange_name, event.connection_id
        if isinstance(event, (Disconnected, Failed)):
            self.down.add(connection)
        elif isinstance(event, Connected):
            self.down.discard(connection)

    def is_down(self, state: SymbolState) -> bool:
        """Whether a connection is lost that may bring a symbol's events."""
        return any(exchange_name == state.exchange_name for exchange_name, _ in self.down)

    def advance(self, now: float, now_ns: int, flow: Flow | None = None) -> None:
        """Let time pass; called once per refresh.

        Args:
            now: Seconds on a clock that does not jump.
            now_ns: Nanoseconds since the epoch (UTC).
            flow: Counters of the connections.
        """
        self.now = now
        if self.live:
            self.clock_ns = now_ns
        if flow is not None:
            self.flow = flow
        self.rate.look(now, self.events)
        for key, state in self.symbols.items():
            self._rates[key].look(now, state.events)
            if self.live:
                state.advance(now_ns)

    def rate_of(self, state: SymbolState) -> float:
        """Return a symbol's events per second."""
        return self._rates[state.exchange_name, state.symbol].per_second
