"""Binance spot: what was recorded from the venue, decoded whole.

The expected numbers are of the recordings in shared/corpora; the values are read a second time with
the standard library's JSON decoder, frame by frame, and compared exactly.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from bt_api_base.containers import Bar, OrderBookDelta, Side, Tick, Trade
from bt_api_base.exceptions import DataParseError
from bt_api_base.venues.binance import BinanceSpotAdapter
from bt_api_base.venues.binance.symbols import split_venue_symbol
from tests.binance_frames import recorded
from tests.corpora import corpora_path

MS = 1_000_000

CAPTURES: dict[str, tuple[type, dict[str, int]]] = {
    "aggTrade.multi-20211012": (Trade, {"nknusdt@aggTrade": 1, "lrcbtc@aggTrade": 1}),
    "aggTrade.us-20211012": (Trade, {"omgbusd@aggTrade": 11}),
    "bookTicker.btcusdt-20240808": (Tick, {"btcusdt@bookTicker": 8824}),
    "bookTicker.multi-20211012": (Tick, {"nknusdt@bookTicker": 74, "lrcbtc@bookTicker": 9, "blzeth@bookTicker": 1}),
    "bookTicker.us-20211012": (
        Tick,
        {"omgbusd@bookTicker": 58, "compusdt@bookTicker": 44, "zrxusdt@bookTicker": 15, "crvusdt@bookTicker": 11},
    ),
    "depth.btcusdt-20240808": (OrderBookDelta, {"btcusdt@depth@100ms": 1097}),
    "depth.multi-20211012": (
        OrderBookDelta,
        {"nknusdt@depth@100ms": 150, "lrcbtc@depth@100ms": 15, "blzeth@depth@100ms": 10, "runeeur@depth@100ms": 2},
    ),
    "depth.us-20211012": (
        OrderBookDelta,
        {"omgbusd@depth@100ms": 159, "compusdt@depth@100ms": 107, "zrxusdt@depth@100ms": 41, "crvusdt@depth@100ms": 29},
    ),
    "kline_1m.multi-20211012": (Bar, {"nknusdt@kline_1m": 1, "lrcbtc@kline_1m": 1}),
    "kline_1m.us-20211012": (Bar, {"omgbusd@kline_1m": 5}),
    "trade.btcusdt-20240808": (Trade, {"btcusdt@trade": 2329}),
}


def test_captures_have_their_12995_frames() -> None:
    """The tests below cover every recorded market-data frame."""
    assert 12_995 == sum(len(recorded(name)) for name in CAPTURES)
    assert 12_995 == sum(sum(keys.values()) for _, keys in CAPTURES.values())


@pytest.mark.parametrize("asked", [False, True], ids=["replayed", "subscribed"])
@pytest.mark.parametrize("name", CAPTURES)
def test_every_recorded_frame_is_one_event(name: str, asked: bool) -> None:
    """Each capture gives exactly these many events of exactly one type, under exactly these keys."""
    event_type, keys = CAPTURES[name]
    adapter = BinanceSpotAdapter()
    if asked:
        channels = [adapter.channel(key.partition("@")[2], key.partition("@")[0]) for key in keys]
        assert keys.keys() == {channel.key for channel in channels}
        adapter.subscribe_frame(1, channels)
    found: Counter[str | None] = Counter()
    for frame in recorded(name):
        key, events = adapter.decode_frame(frame, 5)
        found[key] += 1
        assert [event_type] == [type(event) for event in events]
    assert keys == found


def levels(rows: list[list[str]]) -> tuple[tuple[float, float], ...]:
    """Read price levels from decoded JSON."""
    return tuple((float(price), float(volume)) for price, volume in rows)


def expected_event(frame: bytes) -> Any:
    """Build the event of a frame from the standard library's reading of it."""
    message = json.loads(frame)
    data = message["data"]
    head = ("BINANCE___SPOT", split_venue_symbol(data["s"]), data.get("E", 0) * MS, 5)
    match message["stream"].partition("@")[2]:
        case "bookTicker":
            return Tick(
                *head,
                bid_price=float(data["b"]),
                bid_volume=float(data["B"]),
                ask_price=float(data["a"]),
                ask_volume=float(data["A"]),
                sequence=data["u"],
            )
        case "trade" | "aggTrade":
            aggregate = data["e"] == "aggTrade"
            return Trade(
                *head,
                trade_id=str(data["a" if aggregate else "t"]),
                trade_price=float(data["p"]),
                trade_volume=float(data["q"]),
                trade_side=Side.SELL if data["m"] else Side.BUY,
                trade_time=data["T"] * MS,
                first_trade_id=str(data["f"]) if aggregate else None,
                last_trade_id=str(data["l"]) if aggregate else None,
            )
        case "depth@100ms":
            return OrderBookDelta(
                *head,
                bids=levels(data["b"]),
                asks=levels(data["a"]),
                first_sequence=data["U"],
                last_sequence=data["u"],
            )
        case _:
            bar = data["k"]
            return Bar(
                *head,
                period=bar["i"],
                open_time=bar["t"] * MS,
                close_time=bar["T"] * MS,
                open_price=float(bar["o"]),
                high_price=float(bar["h"]),
                low_price=float(bar["l"]),
                close_price=float(bar["c"]),
                volume=float(bar["v"]),
                turnover=float(bar["q"]),
                trade_count=bar["n"],
                taker_buy_volume=float(bar["V"]),
                taker_buy_turnover=float(bar["Q"]),
                is_closed=bar["x"],
            )


@pytest.mark.parametrize("name", CAPTURES)
def test_every_value_is_the_recorded_one(name: str) -> None:
    """Not one field of one event differs from an independent reading of the frame."""
    adapter = BinanceSpotAdapter()
    for frame in recorded(name):
        assert (expected_event(frame),) == adapter.decode_frame(frame, 5)[1]


def test_first_and_last_events() -> None:
    """Spot checks, written out."""
    adapter = BinanceSpotAdapter()
    frames = recorded("bookTicker.btcusdt-20240808")
    first, last = adapter.decode(frames[0], 5)[0], adapter.decode(frames[-1], 5)[0]
    book = ("BINANCE___SPOT", "BTC-USDT", 0, 5)
    nothing = (None,) * 7
    assert Tick(*book, 61837.63, 61837.64, 3.78826, 1.54698, *nothing, 50093239212) == first
    assert Tick(*book, 61765.99, 61766.0, 4.68234, 1.20613, *nothing, 50093291268) == last

    frames = recorded("trade.btcusdt-20240808")
    first, last = adapter.decode(frames[0], 5)[0], adapter.decode(frames[-1], 5)[0]
    head = ("BINANCE___SPOT", "BTC-USDT")
    assert (
        Trade(
            *head,
            1723161255343 * MS,
            5,
            "3735683259",
            61837.63,
            0.02,
            trade_side=Side.SELL,
            trade_time=1723161255342 * MS,
        )
        == first
    )
    assert (
        Trade(
            *head,
            1723161365182 * MS,
            5,
            "3735685587",
            61766.0,
            0.00011,
            trade_side=Side.BUY,
            trade_time=1723161365181 * MS,
        )
        == last
    )


@pytest.mark.parametrize("name", [name for name in CAPTURES if name.startswith("depth.")])
def test_recorded_books_have_no_gap(name: str) -> None:
    """Each symbol's deltas follow one another: U is the previous u + 1."""
    adapter = BinanceSpotAdapter()
    last: dict[str, int] = {}
    for frame in recorded(name):
        (delta,) = adapter.decode(frame)
        assert isinstance(delta, OrderBookDelta)
        assert delta.first_sequence <= delta.last_sequence
        assert delta.first_sequence == last.get(delta.symbol, delta.first_sequence - 1) + 1
        last[delta.symbol] = delta.last_sequence


def test_trade_ids_of_a_recording_are_consecutive() -> None:
    """No trade is missing from the recording, and none is decoded out of order."""
    adapter = BinanceSpotAdapter()
    trades = [adapter.decode(frame)[0] for frame in recorded("trade.btcusdt-20240808")]
    ids = [int(trade.trade_id) for trade in trades if isinstance(trade, Trade)]
    assert list(range(3735683259, 3735685588)) == ids


def test_books_rebuilt_from_the_events_are_the_reference_ones() -> None:
    """The deltas, applied to the recorded snapshots, give the reference books at every checkpoint."""
    root = corpora_path("public").parent
    checked = 0
    for book in json.loads(corpora_path("public", "expected", "binance_spot.books.json").read_bytes()):
        source = book["snapshot"]
        case = json.loads((root / source["file"]).read_bytes())["cases"][source["case"]]
        snapshot = json.loads(case["body"]) if isinstance(case["body"], str) else case["body"]
        bids, asks = dict(levels(snapshot["bids"])), dict(levels(snapshot["asks"]))
        checkpoints = {point["after_line"]: point for point in book["checkpoints"]}
        adapter = BinanceSpotAdapter()
        for number, frame in enumerate((root / book["capture"]).read_bytes().splitlines(), 1):
            (delta,) = adapter.decode(frame)
            assert isinstance(delta, OrderBookDelta)
            if delta.symbol != split_venue_symbol(book["symbol"]) or delta.last_sequence <= snapshot["lastUpdateId"]:
                continue
            for side, changes in ((bids, delta.bids), (asks, delta.asks)):
                side.update(changes)
                for price, volume in changes:
                    if volume == 0:
                        del side[price]
            if number in checkpoints:
                point = checkpoints[number]
                assert point["update_id"] == delta.last_sequence
                assert levels(point["bids"]) == tuple(sorted(bids.items(), reverse=True)[:5])
                assert levels(point["asks"]) == tuple(sorted(asks.items())[:5])
                checked += 1
    assert checked >= 9


# -- an independent reading ----------------------------------------------------------------------------


def test_trades_and_quotes_agree_with_another_library() -> None:
    """Symbols, sides, times, prices and quantities are those that ccxt makes of the same frames."""
    root = corpora_path("public").parent
    expectations = corpora_path("public", "expected", "binance_spot.ws.ccxt.jsonl").read_bytes().splitlines()
    adapter = BinanceSpotAdapter()
    compared: Counter[str] = Counter()
    for line in expectations:
        expected = json.loads(line)
        frame = (root / expected["frame_file"]).read_bytes().splitlines()[expected["line"] - 1]
        (event,) = adapter.decode(frame)
        topic, value = expected["normalized"][0]["hash"], expected["normalized"][0]["value"]
        match event:
            case Trade():
                (theirs,) = value
                assert (theirs["symbol"].replace("/", "-"), theirs["id"]) == (event.symbol, event.trade_id)
                assert (theirs["side"], theirs["timestamp"] * MS) == (event.trade_side.value, event.trade_time)
                assert (theirs["price"], theirs["amount"]) == (event.trade_price, event.trade_volume)
            case Tick() if topic.startswith("bidask:"):
                assert value["symbol"].replace("/", "-") == event.symbol
                assert (value["bid"], value["bidVolume"]) == (event.bid_price, event.bid_volume)
                assert (value["ask"], value["askVolume"]) == (event.ask_price, event.ask_volume)
            case Tick():
                assert value["symbol"].replace("/", "-") == event.symbol
                assert (value["last"], value["open"]) == (event.last_price, event.open_price)
                assert (value["high"], value["low"]) == (event.high_price, event.low_price)
                assert (value["baseVolume"], value["quoteVolume"]) == (event.volume, event.turnover)
            case Bar():
                assert (value[0].replace("/", "-"), value[1]) == (event.symbol, event.period)
                theirs = (
                    event.open_time // MS,
                    event.open_price,
                    event.high_price,
                    event.low_price,
                    event.close_price,
                    event.volume,
                )
                assert tuple(value[2][0]) == theirs
            case _:
                continue  # private events are not translated
        compared[type(event).__name__] += 1
    assert {"Trade": 44, "Tick": 84, "Bar": 3} == compared


def test_symbols_split_as_the_venue_lists_them() -> None:
    """For every pair in the venue's recorded lists, splitting gives its own base and quote asset."""
    cases = json.loads(corpora_path("public", "rest", "binance_spot", "GET_api_v3_exchangeInfo.json").read_bytes())
    pairs = {
        (row["symbol"], f"{row['baseAsset']}-{row['quoteAsset']}")
        for case in cases["cases"]
        if isinstance(case["body"], str) and case["body"].startswith("{")
        for row in json.loads(case["body"]).get("symbols", ())
    }
    assert 1_400 < len(pairs)
    assert set() == {pair for pair in pairs if split_venue_symbol(pair[0]) != pair[1]}


# -- examples from documentation -----------------------------------------------------------------------


def received(name: str) -> list[bytes]:
    """Return the frames of an example file that the venue sends."""
    meta = [json.loads(line)["dir"] for line in recorded(f"{name}.meta")]
    return [frame for frame, direction in zip(recorded(name), meta, strict=True) if direction == "recv"]


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("control_frames.examples", {"Ack": 5, "Refusal": 19, "Unrecognized": 6}),
        ("user_data.examples", {"Ack": 6, "Unrecognized": 6}),
        ("ws_api.examples", {"Ack": 27}),
        ("market.examples", {"Ack": 10, "Trade": 2, "Tick": 4, "OrderBook": 1, "Bar": 1, "refused": 2}),
    ],
)
def test_documented_frames_decode(name: str, kinds: dict[str, int]) -> None:
    """Every documented frame is an event or a control message; two kline stubs have no prices and are refused."""
    adapter = BinanceSpotAdapter()
    found: Counter[str] = Counter()
    for frame in received(name):
        if b'"k":{"t":123400000}}' in frame:
            with pytest.raises(DataParseError) as caught:
                adapter.decode(frame)
            assert "k.T" == caught.value.field
            found["refused"] += 1
        else:
            found.update(type(item).__name__ for item in adapter.decode(frame))
    assert kinds == found
