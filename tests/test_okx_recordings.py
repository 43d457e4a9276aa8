"""OKX: what was recorded from the venue, decoded whole.

The values are read a second time with the standard library's JSON decoder, frame by frame, and compared exactly. The
captures are of 2022: their books have no ids yet. Books are rebuilt and compared with the collection's own rebuild.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from bt_api_base.containers import Bar, Order, OrderBook, OrderBookDelta, Side, Tick, Trade
from bt_api_base.exceptions import DataParseError
from bt_api_base.venues.okx import OkxAdapter, OkxFuturesAdapter, OkxSpotAdapter, OkxSwapAdapter
from bt_api_base.websocket.adapter import Ack, LoggedIn, Unrecognized
from tests.corpora import corpora_path
from tests.okx_frames import recorded

MS = 1_000_000
SYMBOLS = ("BTC-USD-220527", "UNI-USD-SWAP", "BTC-USDT")
CAPTURES: dict[str, dict[str, int]] = {
    "tickers": {"BTC-USD-220527": 2, "UNI-USD-SWAP": 1, "BTC-USDT": 25},
    "trades": {"BTC-USD-220527": 4, "UNI-USD-SWAP": 1, "BTC-USDT": 69},
    "books": {"BTC-USD-220527": 99, "UNI-USD-SWAP": 93, "BTC-USDT": 98},
}
EXAMPLES = ("market", "gct_inline", "private_account", "private_trading", "ws_api")


def number(text: str) -> float | None:
    """Read a number that may not apply."""
    return float(text) if text else None


def levels(rows: list[list[str]]) -> tuple[tuple[float, float], ...]:
    """Read price levels from decoded JSON."""
    return tuple((float(row[0]), float(row[1])) for row in rows)


def expected_events(frame: bytes) -> tuple[Any, ...]:
    """Build the events of a captured frame from the standard library's reading of it."""
    message = json.loads(frame)
    symbol = message["arg"]["instId"]
    events: list[Any] = []
    for data in message["data"]:
        head = ("OKX___SPOT", symbol, int(data["ts"]) * MS, 5)
        match message["arg"]["channel"]:
            case "tickers":
                prices = [number(data[name]) for name in ("bidPx", "askPx", "bidSz", "askSz", "last", "lastSz")]
                window = [number(data[name]) for name in ("open24h", "high24h", "low24h", "vol24h")]
                turnover = number(data["volCcy24h"]) if data["instType"] == "SPOT" else None
                events.append(Tick(*head, *prices, *window, turnover))
            case "trades":
                price, volume = float(data["px"]), float(data["sz"])
                events.append(Trade(*head, data["tradeId"], price, volume, Side(data["side"]), head[2]))
            case _:
                sides = levels(data["bids"]), levels(data["asks"])
                first = message["action"] == "snapshot"
                events.append(OrderBook(*head, *sides, 0) if first else OrderBookDelta(*head, *sides, 0, 0, 0))
    return tuple(events)


@pytest.mark.parametrize("asked", [False, True], ids=["replayed", "subscribed"])
@pytest.mark.parametrize("name", CAPTURES)
def test_every_value_is_the_recorded_one(name: str, asked: bool) -> None:
    """Each capture gives exactly these many events, none of whose fields differs from an independent reading."""
    adapter = OkxSpotAdapter()
    if asked:
        for kind, symbol in zip((OkxFuturesAdapter, OkxSwapAdapter, OkxSpotAdapter), SYMBOLS, strict=True):
            adapter.subscribe_frame(1, [kind().channel(name, symbol)])
    found: Counter[str] = Counter()
    for frame in recorded(f"{name}.multi-20220513"):
        key, events = adapter.decode_frame(frame, 5)
        assert key is not None
        assert expected_events(frame) == tuple(events)
        found[key.partition(":")[2]] += 1
    assert CAPTURES[name] == found


def test_recorded_confirmations_name_their_channel() -> None:
    """Each of the recorded confirmations is of one channel."""
    adapter = OkxSpotAdapter()
    answers = [adapter.decode(frame)[0] for frame in recorded("control.multi-20220513")]
    assert all(isinstance(answer, Ack) for answer in answers)
    keys = {answer.key for answer in answers if isinstance(answer, Ack)}
    assert {f"{name}:{symbol}" for name in ("tickers", "trades", "books") for symbol in SYMBOLS} == keys


def test_requests_are_those_that_were_recorded() -> None:
    """What this adapter would send is what the recording's client sent, apart from the id."""
    recordings = [json.loads(frame) for frame in recorded("sent.multi-20220513")]
    adapters: tuple[OkxAdapter, ...] = (OkxFuturesAdapter(), OkxSwapAdapter(), OkxSpotAdapter())
    channels = [
        adapter.channel(topic, symbol)
        for topic in ("ticker", "trade", "depth_diff")
        for adapter, symbol in zip(adapters, SYMBOLS, strict=True)
    ]
    for recording in recordings:
        sent = json.loads(adapters[0].subscribe_frame(1, channels[: len(recording["args"])]))
        assert recording == {"op": sent["op"], "args": sent["args"]}


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_of_the_documentation_is_read(name: str) -> None:
    """Examples are events, control messages or named as not translated; what they were cut short in is an error."""
    adapter = OkxSwapAdapter()
    errors: list[str] = []
    read = 0
    for frame in recorded(f"{name}.examples"):
        try:
            key, items = adapter.decode_frame(frame, 5)
        except DataParseError as error:
            errors.append(error.channel)
            continue
        read += 1
        assert items
        assert (key is None) == isinstance(items[0], (Ack, LoggedIn, Unrecognized)) or not frame.startswith(b'{"arg"')
    # Two examples of candles stop after the first of nine values.
    assert (["candle1D:ETH-USDT", "candle1H:ETH-USDT"] if name == "market" else []) == errors
    assert read > 20


def test_an_example_of_an_order() -> None:
    """The documentation's order was filled by one fill."""
    adapter = OkxSpotAdapter()
    frames = [frame for frame in recorded("private_trading.examples") if b'"channel":"orders",' in frame]
    (frame,) = (frame for frame in frames if b'"data"' in frame)
    order, fill = adapter.decode(frame)
    assert isinstance(order, Order)
    assert ("452197707845865472", "242589207", "0.001") == (order.order_id, order.trade_id, str(order.executed_qty))
    assert ("242589207", "0.02522168") == (fill.trade_id, str(fill.trade_fee))  # type: ignore[union-attr]


def test_short_candles_of_old() -> None:
    """Candles of seven values have no turnover that could be told."""
    frames = [frame for frame in recorded("gct_inline.examples") if b'"channel":"candle1D"' in frame]
    bars = [OkxSwapAdapter().decode(frame)[0] for frame in frames]
    assert frames
    assert all(isinstance(bar, Bar) and bar.turnover is None for bar in bars)


def test_books_rebuilt_from_the_events_are_the_reference_ones() -> None:
    """Snapshots and changes, applied in order, give the reference books at every checkpoint and at the end."""
    root = corpora_path("public").parent
    checked = 0
    for book in json.loads(corpora_path("public", "expected", "okx.books.json").read_bytes()):
        adapter = OkxSpotAdapter()
        bids: dict[float, float] = {}
        asks: dict[float, float] = {}
        points = {point["after_line"]: point for point in book["checkpoints"]}
        for line, frame in enumerate((root / book["capture"]).read_bytes().splitlines(), 1):
            (event,) = adapter.decode(frame)
            assert isinstance(event, (OrderBook, OrderBookDelta))
            if event.symbol == book["symbol"]:
                for side, changes in ((bids, event.bids), (asks, event.asks)):
                    if isinstance(event, OrderBook):
                        side.clear()
                    side.update(changes)
                    for price, volume in changes:
                        if volume == 0:
                            del side[price]
            if line in points:
                checked += 1
                assert levels(points[line]["bids"]) == tuple(sorted(bids.items(), reverse=True)[:5])
                assert levels(points[line]["asks"]) == tuple(sorted(asks.items())[:5])
        final = book["final"]
        assert (final["n_bids"], final["n_asks"]) == (len(bids), len(asks))
        assert levels(final["bids"]) == tuple(sorted(bids.items(), reverse=True)[:20])
        assert levels(final["asks"]) == tuple(sorted(asks.items())[:20])
    assert checked >= 3
