"""What follows what: holes, repetitions, new beginnings, and the gaps that consumers are told of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, strategies as st

from bt_api_base.containers import Event, Gap, GapReason, MarkPrice, OrderBook, OrderBookDelta, Side, Tick, Trade
from bt_api_base.websocket.adapter import Channel, Continuity
from bt_api_base.websocket.continuity import Place, Thread, Verdict, judge, position

if TYPE_CHECKING:
    from collections.abc import Sequence

EXCHANGE, SYMBOL = "TOY___SPOT", "BTC-USDT"
SECOND = 1_000_000_000


def trade(number: int | str, time: int | None = None, local_time: int = 0) -> Trade:
    """Return a trade; without a time, the venue made it at its number."""
    at = int(number) if time is None else time
    return Trade(EXCHANGE, SYMBOL, at, local_time, str(number), 1.0, 1.0, Side.BUY, at)


def spot(first: int, last: int, time: int = 1) -> OrderBookDelta:
    """Return a change of a book whose venue tells the first and the last update contained."""
    return OrderBookDelta(EXCHANGE, SYMBOL, time, 0, (), (), first, last)


def linked(previous: int, last: int, time: int = 1) -> OrderBookDelta:
    """Return a change of a book whose venue tells the update that it follows."""
    return OrderBookDelta(EXCHANGE, SYMBOL, time, 0, (), (), last, last, previous)


def book(sequence: int | None, time: int = 1) -> OrderBook:
    """Return a whole book."""
    return OrderBook(EXCHANGE, SYMBOL, time, 0, (), (), sequence)


def tick(sequence: int | None, time: int = 1) -> Tick:
    """Return a best bid and ask."""
    return Tick(EXCHANGE, SYMBOL, time, 0, sequence=sequence)


def thread(continuity: Continuity = Continuity.CONSECUTIVE, *, recoverable: bool = False) -> Thread:
    """Return the thread of a channel that has delivered nothing yet."""
    return Thread(EXCHANGE, Channel("trade", SYMBOL, "key", "name", continuity=continuity, recoverable=recoverable))


class TestPosition:
    """Where an event stands in its channel."""

    @pytest.mark.parametrize(
        ("event", "place"),
        [
            pytest.param(trade(7), Place(6, 7), id="a trade follows the one below it"),
            pytest.param(trade("a3f", 99), Place(None, 99), id="a trade without a number stands by its time"),
            pytest.param(spot(10, 12), Place(9, 12), id="a change that says what it begins with"),
            pytest.param(linked(9, 12), Place(9, 12), id="a change that says what it follows"),
            pytest.param(book(5, 99), Place(None, 5), id="a book follows nothing"),
            pytest.param(book(None, 99), Place(None, 99), id="a book without a number stands by its time"),
            pytest.param(tick(5, 99), Place(None, 5), id="a tick follows nothing"),
            pytest.param(tick(None, 99), Place(None, 99), id="a tick without a number stands by its time"),
            pytest.param(MarkPrice(EXCHANGE, SYMBOL, 99, 0, 1.0), Place(None, 99), id="all others stand by their time"),
        ],
    )
    def test_depends_on_the_type(self, event: Event, place: Place) -> None:
        """Numbers where there are some, the venue's time elsewhere."""
        assert place == position(event)


F, R, H, N = Verdict.FOLLOWS, Verdict.REPEATS, Verdict.HOLE, Verdict.RESET


class TestJudge:
    """What one event is to the one before it."""

    @pytest.mark.parametrize(
        ("last", "event", "verdict"),
        [
            (trade(5), trade(6), F),
            (trade(5), trade(5), R),
            (trade(5), trade(4), R),
            (trade(5), trade(7), H),
            pytest.param(trade(5, time=50), trade(6, time=50), F, id="two trades of the same moment"),
            pytest.param(trade(5, time=50), trade(6, time=40), F, id="numbers, not times, tell what follows"),
            pytest.param(trade(5000, time=50), trade(1, time=51), N, id="a lower number at a later time"),
            pytest.param(trade(5000, time=50), trade(1, time=50), R, id="a lower number at the same time"),
            pytest.param(trade(5, time=50), trade(5, time=60), F, id="the same number at a later time says nothing"),
            pytest.param(trade(50_000, time=0), trade(49_990, time=0), R, id="without times: a few steps back"),
            pytest.param(trade(50_000, time=0), trade(1, time=0), N, id="without times: far back"),
        ],
    )
    def test_trades(self, last: Trade, event: Trade, verdict: Verdict) -> None:
        """Trades are numbered one by one."""
        assert verdict is judge(last, event)

    @pytest.mark.parametrize(
        ("last", "event", "verdict"),
        [
            (spot(1, 10), spot(11, 12), F),
            pytest.param(spot(1, 10), spot(8, 12), F, id="it contains what was known and more"),
            (spot(1, 10), spot(5, 10), R),
            (spot(1, 10), spot(12, 15), H),
            (linked(9, 10), linked(10, 14), F),
            pytest.param(linked(9, 10), linked(8, 14), F, id="it follows something known and goes beyond"),
            (linked(9, 10), linked(9, 10), R),
            (linked(9, 10), linked(12, 14), H),
            pytest.param(linked(9, 10), linked(10, 3), F, id="a step back of the numbers that is linked to the last"),
            pytest.param(linked(9, 10), linked(2, 3, time=2), N, id="a step back that is not"),
            pytest.param(linked(9, 10), linked(10, 10, time=2), F, id="a sign of life: nothing has changed"),
            pytest.param(linked(10, 3), linked(3, 5), F, id="on from the step back"),
        ],
    )
    def test_changes_of_a_book(self, last: OrderBookDelta, event: OrderBookDelta, verdict: Verdict) -> None:
        """They say what they follow, and a venue may even count backwards as long as they do."""
        assert verdict is judge(last, event)

    @pytest.mark.parametrize(
        ("last", "event", "verdict"),
        [
            pytest.param(book(10), spot(11, 12), F, id="a change that follows a book"),
            pytest.param(book(10), spot(9, 12), F, id="a change that reaches over a book"),
            pytest.param(book(10), spot(5, 9), R, id="a change that the book contains"),
            pytest.param(book(10), spot(12, 13), H, id="a change that a book is too old for"),
            pytest.param(linked(9, 10), book(10, time=2), F, id="a book that says what is known"),
            pytest.param(linked(9, 10), book(10), R, id="a book from the same moment"),
            pytest.param(linked(9, 10), book(8), R, id="a book from before"),
            pytest.param(linked(9, 10), book(15, time=2), H, id="a book that changes are missing before"),
            pytest.param(linked(9, 10), book(3, time=2), N, id="a book of a new count"),
        ],
    )
    def test_a_book_among_its_changes(self, last: Event, event: Event, verdict: Verdict) -> None:
        """A book makes up for changes that are missing; that they are missing is told all the same."""
        assert verdict is judge(last, event)

    @pytest.mark.parametrize("event", [trade(4, time=99), trade(1, time=99), linked(2, 3, time=99)])
    def test_while_two_connections_overlap_nothing_begins_anew(self, event: Event) -> None:
        """The second connection is behind the first one: older numbers are what is to be expected of it."""
        assert (N, R) == (judge(trade(5), event), judge(trade(5), event, overlapping=True))


@pytest.mark.anyio
@pytest.mark.virtual_time
class TestCheck:
    """What consumers get of events that came."""

    def started(self, *numbers: int) -> Thread:
        """Return a thread that has delivered numbered trades."""
        begun = thread(recoverable=True)
        begun.route.last = [trade(number, local_time=number * SECOND) for number in numbers]
        return begun

    async def test_what_follows_is_handed_on_as_it_is(self) -> None:
        """No list is made where nothing has to be changed."""
        items = [trade(6), trade(7), trade(8)]
        assert items is self.started(4, 5).check(items)

    async def test_the_first_events_follow_nothing(self) -> None:
        """Before the first event nothing can be missing."""
        items = [trade(100), trade(101)]
        assert items is thread().check(items)

    async def test_repetitions_are_dropped_and_counted(self) -> None:
        """Each number is delivered once."""
        begun = self.started(5)
        assert ["6", "7"] == [item.trade_id for item in begun.check([trade(n) for n in (5, 6, 6, 4, 7)])]
        assert (3, 0) == (begun.duplicates, begun.gaps)

    async def test_a_hole_is_a_gap_that_names_what_is_missing(self) -> None:
        """It stands before the event that it was found by, and says which numbers, how many, and since when."""
        begun = self.started(5)
        gap, event = begun.check([trade(9, local_time=9 * SECOND)])
        assert isinstance(gap, Gap)
        assert (6, 8, 3) == (gap.first_missing, gap.last_missing, gap.missing)
        assert (GapReason.SEQUENCE, True, "trade") == (gap.reason, gap.recoverable, gap.topic)
        assert (5 * SECOND, 9 * SECOND, 9) == (gap.since, gap.until, gap.server_time)
        assert ("9", 1) == (event.trade_id, begun.gaps)

    async def test_an_event_that_comes_too_late_stays_away(self) -> None:
        """Its gap has been told; what comes after that stays in order."""
        items = self.started(5).check([trade(n) for n in (7, 6, 8)])
        assert [GapReason.SEQUENCE, "7", "8"] == [getattr(i, "reason", None) or i.trade_id for i in items]

    async def test_a_new_count_is_a_gap_of_its_own_kind(self) -> None:
        """How much is missing between two counts, nobody can tell."""
        begun = self.started(5000)
        gap, event = begun.check([trade(1, time=5001)])
        assert isinstance(gap, Gap)
        assert (GapReason.RESET, None, None) == (gap.reason, gap.first_missing, gap.missing)
        assert "1" == event.trade_id

    async def test_of_a_books_missing_updates_no_number_of_events_is_claimed(self) -> None:
        """A book's numbers count changes, of which an event holds many."""
        begun = thread()
        begun.route.last = [spot(1, 10)]
        gap, _ = begun.check([spot(15, 20)])
        assert isinstance(gap, Gap)
        assert (11, 14, None) == (gap.first_missing, gap.last_missing, gap.missing)

    async def test_of_what_a_new_book_makes_up_for_only_the_fact_is_known(self) -> None:
        """A book does not say what it follows, so which changes were missed stays unknown."""
        begun = thread(recoverable=True)
        begun.route.last = [linked(9, 10)]
        gap, event = begun.check([book(15, time=2)])
        assert isinstance(gap, Gap)
        assert (GapReason.SEQUENCE, None, True) == (gap.reason, gap.first_missing, gap.recoverable)
        assert isinstance(event, OrderBook)

    async def test_a_sign_of_life_is_delivered_and_no_gap(self) -> None:
        """A change of nothing, whose number is the last one again, is an event like others."""
        begun = thread()
        begun.route.last = [linked(9, 10)]
        beat = [linked(10, 10, time=2)]
        assert beat is begun.check(beat)

    async def test_after_an_interruption_the_numbers_tell_whether_anything_is_missing(self) -> None:
        """The next number follows: nothing was missed. It does not: a gap says that it was the connection."""
        unharmed, harmed = self.started(5), self.started(5)
        for begun in (unharmed, harmed):
            begun.interrupt(5 * SECOND)
            assert (True, None) == (begun.tells, begun.resume(8 * SECOND))
        assert [trade(6)] == unharmed.check([trade(6)])
        gap, _ = harmed.check([trade(8)])
        assert isinstance(gap, Gap)
        assert (GapReason.DISCONNECTED, 6, 7) == (gap.reason, gap.first_missing, gap.last_missing)

    async def test_an_interruption_explains_one_hole_only(self) -> None:
        """A hole that follows later is the venue's."""
        begun = self.started(5)
        begun.interrupt(5 * SECOND)
        reasons = [item.reason for item in begun.check([trade(8), trade(10)]) if isinstance(item, Gap)]
        assert [GapReason.DISCONNECTED, GapReason.SEQUENCE] == reasons

    async def test_what_is_repeated_after_an_interruption_does_not_end_it(self) -> None:
        """The venue begins with what it had sent before: whether something is missing, the first new one tells."""
        begun = self.started(5)
        begun.interrupt(5 * SECOND)
        gap, _ = begun.check([trade(4), trade(5), trade(8)])
        assert isinstance(gap, Gap)
        assert (GapReason.DISCONNECTED, 6, 2) == (gap.reason, gap.first_missing, begun.duplicates)


class TestInterruption:
    """Channels whose events do not tell what is missing: something may be."""

    def test_is_a_gap_from_the_last_event_to_the_next_confirmation(self) -> None:
        """It does not say what is missing, as nobody knows."""
        quiet = thread(Continuity.NONE)
        quiet.route.last = [trade(1, local_time=3 * SECOND)]
        quiet.interrupt(5 * SECOND)
        gap = quiet.resume(9 * SECOND)
        assert gap is not None
        assert (3 * SECOND, 9 * SECOND, GapReason.DISCONNECTED) == (gap.since, gap.until, gap.reason)
        assert (None, None, None) == (gap.first_missing, gap.last_missing, gap.missing)

    def test_is_told_once(self) -> None:
        """Interrupted again before it is over, it is the same interruption."""
        quiet = thread(Continuity.INCREASING)
        quiet.interrupt(5 * SECOND)
        quiet.interrupt(7 * SECOND)
        gap = quiet.resume(9 * SECOND)
        assert gap is not None
        assert (5 * SECOND, None) == (gap.since, quiet.resume(10 * SECOND))

    def test_gaps_of_a_channel_without_events_do_not_overlap(self) -> None:
        """Twice interrupted without an event in between, the second gap begins where the first one ended."""
        quiet = thread(Continuity.NONE)
        gaps: list[Gap | None] = []
        for lost, back in ((5, 9), (6, 12)):
            quiet.interrupt(lost * SECOND)
            gaps.append(quiet.resume(back * SECOND))
        assert [(5, 9), (9, 12)] == [(gap.since // SECOND, gap.until // SECOND) for gap in gaps if gap is not None]

    def test_before_the_first_event_numbers_tell_nothing(self) -> None:
        """A numbered channel that has delivered nothing yet has nothing to compare with."""
        begun = thread(Continuity.CONSECUTIVE)
        begun.interrupt(5 * SECOND)
        assert begun.resume(9 * SECOND) is not None


def check_in_batches(items: Sequence[Event], sizes: Sequence[int]) -> tuple[list[Event], int]:
    """Check events a few at a time, as they would arrive; return what is delivered, and how many were dropped."""
    begun, out, at = thread(), list[Event](), 0
    for size in [*sizes, len(items)]:
        batch = items[at : at + size]
        at += size
        if batch:
            checked = begun.check(batch)
            out += checked
            begun.route.last = [event for event in checked if not isinstance(event, Gap)][-1:] or begun.route.last
    return out, begun.duplicates


@st.composite
def trades_through_faults(draw: st.DrawFn) -> list[Trade]:
    """Return trades in the order in which they arrive: some lost, some twice, some swapped, counts begun anew."""
    arriving: list[Trade] = []
    time = 1
    for _ in range(draw(st.integers(1, 3))):  # counts
        number = draw(st.integers(1, 1000))
        count: list[Trade] = []
        for fate in draw(st.lists(st.sampled_from(["well", "well", "well", "lost", "twice", "swapped"]), max_size=12)):
            event = trade(number, time)
            number, time = number + 1, time + 1
            if fate == "swapped" and count:
                count.insert(-1, event)
            elif fate != "lost":
                count += [event] * (1 + (fate == "twice"))
        arriving += count
    return arriving


@pytest.mark.anyio
@pytest.mark.virtual_time
@given(arriving=trades_through_faults(), sizes=st.lists(st.integers(1, 5), max_size=10))
async def test_whatever_arrives_what_is_delivered_explains_itself(arriving: list[Trade], sizes: list[int]) -> None:
    """Between two events is nothing missing, or a gap says what; nothing comes twice, and nothing disappears."""
    out, duplicates = check_in_batches(arriving, sizes)
    delivered = [item for item in out if isinstance(item, Trade)]
    assert len(arriving) == len(delivered) + duplicates
    assert len(delivered) == len({(event.trade_id, event.server_time) for event in delivered})
    last: Trade | None = None
    gap: Gap | None = None
    for item in out:
        if isinstance(item, Gap):
            assert gap is None, "two gaps in a row"
            gap = item
            continue
        assert isinstance(item, Trade)
        if last is None:
            assert gap is None, "a gap before the first event"
        else:
            step = int(item.trade_id) - int(last.trade_id)
            if gap is None:
                assert 1 == step or (0 == step and item.server_time > last.server_time)
            elif gap.reason is GapReason.RESET:
                assert step <= 0
                assert item.server_time > last.server_time
            else:
                missing = (int(last.trade_id) + 1, int(item.trade_id) - 1, step - 1)
                assert missing == (gap.first_missing, gap.last_missing, gap.missing)
        last, gap = item, None
    assert gap is None, "a gap with nothing after it"
