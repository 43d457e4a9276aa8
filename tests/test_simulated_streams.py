"""More of what the simulated venue sends: windows, averages, arrays of all symbols, and thousands of streams."""

from __future__ import annotations

from typing import Any

import anyio
import msgspec
import pytest

from bt_api_base.testing.market import MarketSpec
from bt_api_base.testing.simulated_venue import SimulatedVenue
from tests.venue_peers import MemoryClient, memory_client

pytestmark = pytest.mark.anyio

START_NS = 1_700_000_000 * 1_000_000_000
SYMBOLS = ("BTC-USDT", "ETH-USDT", "SOL-USDT")


async def messages_of(venue: SimulatedVenue, *clients: MemoryClient) -> list[list[Any]]:
    """Have the venue close everything, and return the data that each client got."""
    results: list[list[Any]] = [[] for _ in clients]

    async def read(client: MemoryClient, result: list[Any]) -> None:
        result += [message for message in await client.messages() if "data" in message]

    async with anyio.create_task_group() as tasks:
        for client, result in zip(clients, results, strict=True):
            tasks.start_soon(read, client, result)
        await venue.close_with(1000)
    return results


async def seconds_of(streams: list[str], seconds: int, *, rate: int = 20) -> list[Any]:
    """Return what a client of some streams gets in so many seconds of the market."""
    async with SimulatedVenue(SYMBOLS, paused=True, rate=rate, start_time_ns=START_NS, listen=False) as venue:
        client = await memory_client(venue)
        await client.request("SUBSCRIBE", streams)
        for _ in range(seconds):
            await venue.step(rate)
            await venue.drain()
        (messages,) = await messages_of(venue, client)
    return messages


async def test_windows_and_averages() -> None:
    """Tickers of a window agree with each other and the trades, and begin with a minute."""
    messages = await seconds_of(["btcusdt@ticker_1h", "btcusdt@ticker_1d", "btcusdt@avgPrice", "btcusdt@trade"], 5)
    hours, days, averages = (
        [message["data"] for message in messages if message["stream"] == f"btcusdt@{channel}"]
        for channel in ("ticker_1h", "ticker_1d", "avgPrice")
    )
    assert 4 <= len(hours) == len(days) == len(averages)
    assert {("1hTicker", "BTCUSDT")} == {(hour["e"], hour["s"]) for hour in hours}
    assert {"1dTicker"} == {day["e"] for day in days}
    for hour, day, average in zip(hours, days, averages, strict=True):
        same = ("h", "l", "o", "c", "v", "q", "w", "n", "E", "C", "F", "L")
        assert [hour[name] for name in same] == [day[name] for name in same]
        assert 0 == hour["O"] % 60_000 == day["O"] % 60_000
        assert 3_600_000 <= hour["C"] - hour["O"] < 3_660_000
        assert hour["w"] == average["w"]
    trades = [message["data"] for message in messages if message["stream"] == "btcusdt@trade"]
    assert trades[0]["t"] == hours[0]["F"]
    assert {average["T"] for average in averages} <= {trade["T"] for trade in trades}


async def test_arrays_hold_the_symbols_that_changed() -> None:
    """An array of tickers has each symbol that has traded since the last one, as the symbol's own stream has it."""
    singles = [f"{symbol.replace('-', '').lower()}@miniTicker" for symbol in SYMBOLS]
    messages = await seconds_of([*singles, "!miniTicker@arr", "!ticker_1h@arr", "!ticker@arr"], 20, rate=2)
    own: dict[tuple[str, int], Any] = {}
    arrays: dict[str, list[Any]] = {"!miniTicker@arr": [], "!ticker_1h@arr": []}
    for message in messages:
        if message["stream"] in singles:
            own[message["data"]["s"], message["data"]["E"]] = message["data"]
        else:
            arrays[message["stream"]].append(message["data"])
    minis = arrays["!miniTicker@arr"]
    assert 9 < len(minis) == len(arrays["!ticker_1h@arr"])
    assert all(0 < len(array) <= 3 for array in minis)
    assert any(len(array) < 3 for array in minis)
    assert all(ticker == own[ticker["s"], ticker["E"]] for array in minis for ticker in array)
    assert [[one["s"] for one in array] for array in minis] == [
        [one["s"] for one in array] for array in arrays["!ticker_1h@arr"]
    ]


async def test_bars_of_utc_8() -> None:
    """Bars of UTC+8 begin at that midnight; those of an hour are the same as ever."""
    streams = ["btcusdt@kline_1d", "btcusdt@kline_1d@+08:00", "btcusdt@kline_1h", "btcusdt@kline_1h@+08:00"]
    messages = await seconds_of(streams, 5)
    bars = {message["stream"]: message["data"]["k"] for message in messages}
    assert set(streams) == set(bars)
    assert [0, 16 * 3_600_000] == [bars[stream]["t"] % 86_400_000 for stream in streams[:2]]
    assert {"1d"} == {bars[stream]["i"] for stream in streams[:2]}
    assert bars[streams[2]] == bars[streams[3]]


async def test_depth_goes_on_where_it_was_left() -> None:
    """Who unsubscribes and comes back gets differences from then on, in the numbers of the book."""
    async with SimulatedVenue(("BTC-USDT",), paused=True, rate=50, start_time_ns=START_NS, listen=False) as venue:
        client = await memory_client(venue)
        book = venue.markets["BTC-USDT"].book
        expected: list[int] = []
        for number in range(2):
            await client.request("SUBSCRIBE", ["btcusdt@depth@100ms"], 2 * number)
            expected.append(book.update_id + 1)
            await venue.step(5)
            expected.append(book.update_id)
            update = (await client.receive_json())["data"]
            assert expected[-2:] == [update["U"], update["u"]]
            await client.request("UNSUBSCRIBE", ["btcusdt@depth@100ms"], 2 * number + 1)
            await venue.step(50)
        await client.aclose()


async def test_thousands_of_streams() -> None:
    """A venue with 5,000 markets serves a stream of each over five connections, and loses none of their events."""
    specs = [MarketSpec.of(f"C{number}-USDT", levels=20) for number in range(5_000)]
    async with SimulatedVenue(specs, paused=True, rate=0.5, start_time_ns=START_NS, listen=False) as venue:
        clients = [await memory_client(venue) for _ in range(5)]
        for position, client in enumerate(clients):
            names = [f"c{number}usdt@bookTicker" for number in range(position, 5_000, 5)]
            assert {"result": None, "id": 1} == await client.request("SUBSCRIBE", names)
        assert 5_000 == len(venue.subscriptions)
        await venue.step(2)
        results = await messages_of(venue, *clients)
        symbols = {message["data"]["s"] for messages in results for message in messages}
        assert sum(map(len, results)) == venue.sent_total
        assert len(symbols) > 4_000


async def test_the_most_streams_in_one_request() -> None:
    """A request for more streams than a connection can have is refused as a whole."""
    async with SimulatedVenue(("BTC-USDT",), paused=True, listen=False) as venue:
        client = await memory_client(venue)
        names = [f"a{number}@trade" for number in range(1_025)]
        assert 2 == (await client.request("SUBSCRIBE", names))["code"]
        assert {"result": None, "id": 1} == await client.request("SUBSCRIBE", names[1:])
        await client.send(msgspec.json.encode({"method": "LIST_SUBSCRIPTIONS", "id": 2}))
        assert names[1:] == (await client.receive_json())["result"]
        await client.aclose()
