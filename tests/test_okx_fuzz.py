"""OKX: damaged frames. Whatever the bytes, decoding raises nothing but `DataParseError`."""

from __future__ import annotations

import math
import random
from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING, Any, get_args

import msgspec
import pytest
from hypothesis import example, given, settings, strategies as st

from bt_api_base.containers import Event, Tick
from bt_api_base.exceptions import DataParseError
from bt_api_base.venues.okx import OkxSpotAdapter
from bt_api_base.websocket.adapter import (
    Ack,
    Heartbeat,
    LoggedIn,
    LoginRefused,
    Malformed,
    Notice,
    Refusal,
    Unrecognized,
)
from tests.okx_frames import all_handmade, recorded
from tests.test_binance_fuzz import JSON, MUTATIONS, SEED, containers_of, mutate

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.thorough

ANSWERS = {"refused", "control", "event"}
CONTROL = (Ack, Heartbeat, LoggedIn, LoginRefused, Malformed, Notice, Refusal, Unrecognized)
MEANINGS = (*get_args(Event), *CONTROL)

WORDS = (
    *("arg", "data", "event", "op", "id", "code", "msg", "channel", "instId", "instType", "action", "details", "ccy"),
    *("ts", "px", "sz", "side", "tradeId", "count", "asks", "bids", "seqId", "prevSeqId", "fillSz", "uid", "state"),
)
VALUES = (
    *("tickers", "books", "books5", "trades", "orders", "account", "positions", "candle1m", "liquidation-orders"),
    *("subscribe", "login", "error", "notice", "channel-conn-count-error", "snapshot", "BTC-USDT", "", "-1", "0", "1"),
)


def sources() -> list[bytes]:
    """Return what is damaged: a sample of the recordings where they are, and the hand-made frames."""
    frames = [frame for frame in all_handmade() if frame != b"pong"]
    try:
        for name in ("tickers.multi-20220513", "trades.multi-20220513", "control.multi-20220513"):
            frames += recorded(name)
        frames += [frame for frame in recorded("books.multi-20220513") if len(frame) < 1_500][:50]
        for name in ("market", "gct_inline", "private_account", "private_trading", "ws_api"):
            frames += recorded(f"{name}.examples")
    except pytest.skip.Exception:
        pass  # without the recordings, the hand-made frames have to do
    return frames


def reword(frame: bytes, rng: random.Random) -> bytes:
    """Use the venue's own words where they do not belong."""
    message = msgspec.json.decode(frame)
    for place in containers_of(message):
        if isinstance(place, dict) and rng.randrange(2):
            key = rng.choice(list(place))
            if rng.randrange(3):
                place[key] = rng.choice(VALUES)
            else:
                place[rng.choice(WORDS)] = place.pop(key)
    return msgspec.json.encode(message)


def finite(value: object) -> bool:
    """Return whether a value, and all it contains, is free of NaN and infinity."""
    if isinstance(value, msgspec.Struct):
        value = msgspec.structs.astuple(value)
    if isinstance(value, tuple):
        return all(map(finite, value))
    if isinstance(value, Decimal):
        return value.is_finite()
    return not isinstance(value, float) or math.isfinite(value)


def check(adapter: OkxSpotAdapter, frame: bytes | str) -> str:
    """Decode a frame and hold the answer to its contract; return what kind of answer it was."""
    items: Sequence[Any]
    try:
        key, items = adapter.decode_frame(frame, 1)
    except DataParseError as error:
        return "refused" if "OKX___SPOT" == error.exchange_name and len(str(error)) < 1_000 else str(error)
    assert isinstance(items, tuple)
    assert all(isinstance(item, MEANINGS) for item in items)
    if key is None:
        assert all(isinstance(item, CONTROL) for item in items)
        return "control"
    assert all(isinstance(item, get_args(Event)) and finite(item) for item in items)
    return "event"


@pytest.mark.timeout(120)
def test_damaged_frames_raise_nothing_but_parse_errors() -> None:
    """100,000 damaged frames, the same ones each time: events, control messages or `DataParseError`."""
    rng = random.Random(SEED)
    frames = sources()
    adapter = OkxSpotAdapter()
    answers: Counter[str] = Counter()
    for number in range(MUTATIONS):
        frame = reword(rng.choice(frames), rng) if rng.randrange(4) == 0 else mutate(frames, rng)
        try:
            answers[check(adapter, frame)] += 1
        except Exception as error:
            raise AssertionError(f"seed {SEED}, mutation {number}: {frame[:400]!r}") from error
        if number % 10_000 == 0:
            adapter = OkxSpotAdapter()
            adapter.subscribe_frame(1, [adapter.channel("depth_diff", "BTC-USDT"), adapter.channel("order", "")])
    print(f"seed {SEED}: {dict(answers)}")  # noqa: T201 - shown with a failure
    assert ANSWERS == answers.keys()
    # The damage is neither so light that nothing is refused, nor so heavy that nothing is read.
    assert min(answers["refused"], answers["event"], answers["control"]) > MUTATIONS / 50


def one_by_one(adapter: OkxSpotAdapter, frames: Sequence[bytes | str]) -> list[Any]:
    """Return what each frame means by itself; a bad one's error as text."""
    decoded: list[Any] = []
    for frame in frames:
        try:
            decoded.append(adapter.decode_frame(frame, 1))
        except DataParseError as error:
            decoded.append(str(error))
    return decoded


def test_batches_mean_what_their_frames_mean() -> None:
    """Frames of one kind that are decoded together, with damaged ones among them or not, are read as one by one."""
    rng = random.Random(SEED + 3)
    frames = sources()
    alike = [frame for frame in frames if frame.startswith(b'{"arg":{"channel":"trades"')]
    for number in range(1_000):
        batch: list[bytes | str] = list(rng.choices(alike if number % 2 else frames, k=rng.randrange(8, 24)))
        if number % 3 == 0:
            batch[rng.randrange(len(batch))] = mutate(frames, rng)
        first, second = OkxSpotAdapter(), OkxSpotAdapter()
        for adapter in (first, second):
            adapter.subscribe_frame(1, [adapter.channel("trade", "BTC-USDT")])
            adapter.decode_batch(alike, 1)
        decoded = first.decode_batch(batch, 1)
        texts = [
            str(items[0].error) if key is None and isinstance(items[0], Malformed) else (key, items)
            for key, items in decoded
        ]
        assert one_by_one(second, batch) == texts


def test_undamaged_frames_decode_after_all_that() -> None:
    """An adapter that has seen junk still reads what is sound."""
    rng = random.Random(SEED + 1)
    frames = sources()
    adapter = OkxSpotAdapter()
    sound = b'{"arg":{"channel":"tickers","instId":"A-B"},"data":[{"instId":"A-B","last":"2.5","askPx":"","ts":"3"}]}'
    expected = ("tickers:A-B", (Tick("OKX___SPOT", "A-B", 3_000_000, 9, last_price=2.5),))
    for _ in range(2_000):
        check(adapter, mutate(frames, rng))
        assert expected == adapter.decode_frame(sound, 9)


@given(st.one_of(st.binary(), st.text(), st.text(alphabet=st.characters(categories=["Cs", "L", "P"]))))
@example(b"")
@example("\ud800")
@example(b"pong")
@example(b'{"arg":{"channel":"trades","instId":"BTC-USDT"')
@example(b'{"arg":{"channel":"trades","instId":"},"},"data":[]}')
def test_arbitrary_bytes_and_text(frame: bytes | str) -> None:
    """No bytes and no text, however made, break the promise."""
    assert check(OkxSpotAdapter(), frame) in ANSWERS


@settings(max_examples=300)
@given(
    st.dictionaries(
        st.sampled_from(WORDS),
        JSON | st.sampled_from(VALUES) | st.dictionaries(st.sampled_from(WORDS), JSON | st.sampled_from(VALUES)),
        max_size=6,
    )
)
def test_arbitrary_objects_of_the_venues_words(message: dict[str, Any]) -> None:
    """Objects made of the venue's own words, in no order the venue would use, are read or refused."""
    assert check(OkxSpotAdapter(), msgspec.json.encode(message)) in ANSWERS


def test_a_brace_in_a_name_does_not_mislead() -> None:
    """What looks like the end of a frame's beginning inside a text is learned by nobody."""
    adapter = OkxSpotAdapter()
    frame = b'{"arg":{"channel":"books5","instId":"A},"},"data":[{"asks":[],"bids":[],"ts":"1"}]}'
    other = frame.replace(b'"A},"}', b'"A},","x":"y"}')
    assert other != frame
    for one, symbol in ((frame, "A},"), (other, "A},"), (frame, "A},")):
        key, (book,) = adapter.decode_frame(one, 1)
        assert (f"books5:{symbol}", symbol) == (key, book.symbol)  # type: ignore[union-attr]
    assert not adapter._routes


def test_memory_stays_bounded_under_damage() -> None:
    """Junk leaves no more behind than the adapter's limits allow."""
    rng = random.Random(SEED + 2)
    adapter = OkxSpotAdapter()
    frame = b'{"arg":{"channel":"books5","instId":"%x"},"data":[{"asks":[],"bids":[],"ts":"1"}]}'
    for _ in range(20_000):
        check(adapter, frame % rng.getrandbits(64))
    assert len(adapter._routes) <= 4_096
    assert len(adapter._routes_by_key) <= 4_096
