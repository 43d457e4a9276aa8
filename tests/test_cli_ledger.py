"""The comparison of what a venue sent with what a client received."""

from __future__ import annotations

from contextlib import suppress
from io import StringIO

import pytest
from rich.console import Console

from bt_api_base._cli.ledger import Ledger
from bt_api_base._cli.tally import TallyAdapter, TallyBook, attempt_number
from bt_api_base._cli.verdict import counted, verdict
from bt_api_base.exceptions import DataParseError
from bt_api_base.testing.peer import Ending
from bt_api_base.testing.venue_records import StreamRecord, VenueSession
from bt_api_base.venues import stream_adapter

STREAM = "btcusdt@trade"
TRADE = (
    b'{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":%d,"p":"61837.63000000",'
    b'"q":"0.02000000","T":1723161255342,"m":true,"M":true}}'
)


def adapter_of(book: TallyBook) -> TallyAdapter:
    """Make the adapter of one more connection."""
    adapter = TallyAdapter(stream_adapter("BINANCE___SPOT"), book)
    adapter.endpoint("ws://127.0.0.1/stream")
    return adapter


def client_of(*received: list[int]) -> TallyBook:
    """Make the account of a client that has received frames with these ids, an attempt to connect each."""
    book = TallyBook(keep_ids=True)
    for ids in received:
        adapter = adapter_of(book)
        for number in ids:
            adapter.decode_frame(TRADE % number, 1)
    return book


def session_of(number: int, ids: list[int], *, ending: Ending = Ending.CUT, exact: bool = False) -> VenueSession:
    """Make a venue's record of a connection over which it sent frames with these ids."""
    record = StreamRecord(STREAM, ids=[])
    for event_id in ids:
        record.note(event_id)
    return VenueSession(
        number=number,
        target=f"/stream?attempt={number}",
        opened_at=0.0,
        closed_at=None if ending is Ending.OPEN else 1.0,
        ending=ending,
        is_exact=exact,
        streams={STREAM: record},
    )


def settled(client: TallyBook, *sessions: VenueSession) -> Ledger:
    """Compare everything."""
    ledger = Ledger(sessions, client)
    ledger.compare()
    return ledger


def test_a_connection_closed_in_good_order_must_be_complete() -> None:
    """Equal is fine, less is not."""
    whole = settled(client_of([1, 2, 3]), session_of(1, [1, 2, 3], ending=Ending.CLOSED_BY_VENUE, exact=True))
    assert whole.agrees
    assert (3, 3, 0) == (whole.total.sent, whole.total.received, whole.total.unreceived)
    less = settled(client_of([1, 2]), session_of(1, [1, 2, 3], ending=Ending.CLOSED_BY_VENUE, exact=True))
    assert less.problems == [
        "connection 1, btcusdt@trade: 2 frames arrived of 3 sent, although it was closed by venue in good order"
    ]


def test_a_cut_loses_the_end_and_nothing_else() -> None:
    """The beginning must have arrived; a hole is no cut."""
    cut = settled(client_of([1, 2]), session_of(1, [1, 2, 3, 4]))
    assert (True, 2) == (cut.agrees, cut.total.unreceived)
    hole = settled(client_of([1, 3]), session_of(1, [1, 2, 3]))
    assert hole.problems == ["connection 1, btcusdt@trade: 2 was sent, 3 arrived"]


def test_what_was_not_sent_may_not_arrive() -> None:
    """Neither more frames of a stream, nor frames of a stream nobody subscribed to."""
    more = settled(client_of([1, 2, 3]), session_of(1, [1, 2]))
    assert more.problems == [
        "connection 1, btcusdt@trade: 3 was never sent",
        "connection 1, btcusdt@trade: 3 frames arrived of 2 sent",
    ]
    session = session_of(1, [])
    session.streams.clear()
    strange = settled(client_of([1]), session)
    assert strange.problems == ["connection 1, btcusdt@trade: arrived and was never subscribed to"]


def test_connections_are_matched_by_attempt() -> None:
    """An attempt that the venue never saw through has no session, and shifts nothing."""
    ledger = settled(client_of([1], [], [2, 3]), session_of(1, [1]), session_of(3, [2, 3, 4]))
    assert ledger.agrees
    assert (2, 4, 3) == (ledger.connections, ledger.total.sent, ledger.total.received)


def test_a_session_the_client_knows_nothing_of_received_nothing() -> None:
    """Its handshake was answered, and the answer lost in a cut."""
    ledger = settled(client_of([1]), session_of(1, [1]), session_of(9, [2]))
    assert (True, 1) == (ledger.agrees, ledger.total.unreceived)


def test_connections_that_overlap_are_compared_apart() -> None:
    """Each has its own adapter, and what comes over one is not held against the other."""
    book = TallyBook(keep_ids=True)
    old, new = adapter_of(book), adapter_of(book)
    for number, adapters in ((1, [old]), (2, [old, new]), (3, [new, old]), (4, [new])):
        for adapter in adapters:
            adapter.decode_frame(TRADE % number, 1)
    left = session_of(1, [1, 2, 3, 4], ending=Ending.CLOSED_BY_CLIENT)
    ledger = settled(book, left, session_of(2, [2, 3, 4], ending=Ending.CLOSED_BY_VENUE, exact=True))
    assert (True, 7, 6) == (ledger.agrees, ledger.total.sent, ledger.total.received)
    assert (6, 6) == (book.events, book.frames)


def test_what_has_been_compared_is_forgotten() -> None:
    """So that a demo can run for days."""
    book = TallyBook(keep_ids=True)
    client, session = adapter_of(book), session_of(1, [1, 2, 3], ending=Ending.OPEN)
    client.decode_frame(TRADE % 1, 1)
    client.decode_frame(TRADE % 2, 1)
    ledger = Ledger([session], book)
    ledger.compare(1_000.0)
    assert ([3], [], 0) == (session.streams[STREAM].ids, client.tally.ids[STREAM], ledger.connections)
    client.decode_frame(TRADE % 3, 1)
    ledger.compare()
    assert (True, 3) == (ledger.agrees, ledger.total.received)


def test_a_session_is_settled_when_both_sides_are_done_with_it() -> None:
    """The venue has recorded its end, and the client has had the time to take what was under way."""
    book = TallyBook(keep_ids=True)
    client, session = adapter_of(book), session_of(1, [1, 2])
    client.decode_frame(TRADE % 1, 1)
    ledger = Ledger([session], book)
    ledger.compare(1.5)
    assert ledger.connections == 0
    client.decode_frame(TRADE % 2, 1)
    ledger.compare(10.0)
    assert (1, 0) == (ledger.connections, ledger.total.unreceived)


def test_a_connection_that_outlives_its_successor_is_settled_first() -> None:
    """The one that was to take over and failed waits for it."""
    sessions = [session_of(1, [1, 2], ending=Ending.OPEN), session_of(2, [2], ending=Ending.CLOSED_BY_CLIENT)]
    ledger = Ledger(sessions, client_of([1, 2], [2]))
    ledger.compare(1_000.0)
    assert ledger.connections == 0
    sessions[0].ending, sessions[0].closed_at = Ending.CUT, 1_000.0
    ledger.compare(2_000.0)
    assert (2, True) == (ledger.connections, ledger.agrees)


def test_answers_and_garbage_are_accounted_for() -> None:
    """A frame that is rejected must be one that was sent to be rejected."""
    book = TallyBook(keep_ids=True)
    client = adapter_of(book)
    session = session_of(1, [], ending=Ending.CLOSED_BY_VENUE, exact=True)
    client.decode_frame(b'{"result":null,"id":1}', 1)
    session.control.note(None)
    for frame in (b"<html>", b"[1]"):
        session.garbage.note(None)
        with suppress(DataParseError):
            client.decode_frame(frame, 1)
    assert settled(book, session).agrees
    with pytest.raises(DataParseError):
        client.decode_frame(b"nonsense", 1)
    assert (1, 3, 4) == (client.tally.control_frames, client.tally.rejected_frames, book.frames)
    assert settled(book, session).problems == ["connection 1, garbage: 3 frames arrived of 2 sent"]


def test_the_report_names_streams_and_endings() -> None:
    """What was sent and what was received of each."""
    ledger = settled(client_of([1, 2], [3]), session_of(1, [1, 2, 9]), session_of(2, [3], ending=Ending.LOST))
    out = Console(width=100, color_system=None, record=True, file=StringIO())
    out.print(ledger.report())
    text = out.export_text()
    assert ["btcusdt@trade", "4", "3", "1"] in [line.split() for line in text.splitlines()]
    assert ["cut", "1", "3", "2", "1"] in [line.split() for line in text.splitlines()]
    assert ["lost", "1", "1", "1", "0"] in [line.split() for line in text.splitlines()]


def test_a_verdict_does_not_drown_in_problems() -> None:
    """The first few say it."""
    text = verdict([f"problem {number}" for number in range(20)], "everything agrees").plain
    assert text.startswith("MISMATCH: \n  problem 0\n")
    assert text.endswith("problem 7\n  and 12 more")


def test_a_verdict_says_what_was_verified() -> None:
    """A line each, one below the other."""
    assert verdict([], "one", "two").plain == "verified: one\n          two"
    assert ["1 gap", "0 gaps", "1,200 gaps"] == [counted(number, "gap") for number in (1, 0, 1_200)]


def test_attempts_are_numbered_in_the_url() -> None:
    """What was in the URL stays."""
    book = TallyBook()
    one, two = (TallyAdapter(stream_adapter("BINANCE___SPOT"), book) for _ in range(2))
    assert one.endpoint("ws://h/stream?timeUnit=MICROSECOND") == "ws://h/stream?timeUnit=MICROSECOND&attempt=1"
    assert two.endpoint("ws://h/ws") == "ws://h/stream?attempt=2"
    assert [2, 0, 0] == [attempt_number(t) for t in ("/stream?attempt=2", "/stream", "/stream?attempt=x")]
    assert [one.tally, two.tally] == book.attempts == [book.attempt_of(f"/?attempt={n}") for n in (1, 2)]
    assert (2, 0) == (book.newest, book.attempt_of("/stream").number)


def test_an_adapter_that_only_names_channels_has_no_page() -> None:
    """One is made that never connects."""
    book = TallyBook()
    TallyAdapter(stream_adapter("BINANCE___SPOT"), book).channel("trade", "BTC-USDT")
    assert book.newest == 0
