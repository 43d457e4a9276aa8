"""The conformance suite: sound adapters pass it, and for each rule there is an adapter that breaks it."""

# ruff: noqa: D101, D102 - a broken adapter's name, and the rule above it, say what is wrong with it

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, cast

import msgspec
import pytest

from bt_api_base.containers import Balance, Event, MarkPrice, Side, Tick, Trade
from bt_api_base.exceptions import ConfigurationError, DataParseError, InvalidSymbolError, SubscribeError
from bt_api_base.security.signing import hmac_hex
from bt_api_base.testing import check_stream_adapter, conformance_cases, stream_adapter_test
from bt_api_base.testing.conformance import RULES, ChannelExample, ConformanceError
from bt_api_base.venues.binance import BinanceSpotAdapter
from bt_api_base.websocket.adapter import (
    Ack,
    Channel,
    Continuity,
    Decoded,
    Heartbeat,
    Malformed,
    Notice,
    Refusal,
    StreamAdapter,
    StreamLimits,
    Unrecognized,
)
from tests.binance_frames import handmade
from tests.toy_venue import ToyAdapter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NAME = "SOUND___SPOT"
Milliseconds = Annotated[int, msgspec.Meta(ge=0, lt=2**43)]
Number = Annotated[float, msgspec.Meta(ge=0, lt=1e15)]
Digits = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,20}(\.[0-9]{1,20})?$")]
MALFORMED = (msgspec.DecodeError, ValueError, ArithmeticError, RecursionError, KeyError, TypeError)


class SoundAdapter(StreamAdapter):
    """An invented venue's adapter that keeps every rule: tickers, trades, and an account's balances."""

    exchange_name = NAME
    default_url = "wss://sound.invalid/stream"
    limits = StreamLimits(messages_per_second=10.0, max_channels_per_request=2)

    def __init__(self) -> None:
        self.symbols: dict[str, str] = {}

    def channel(self, topic: str, symbol: str, params: Mapping[str, Any] | None = None) -> Channel:
        """Name a channel."""
        if topic not in {"ticker", "trade", "balance"}:
            raise SubscribeError(NAME, "topics are: ticker, trade, balance", topic=topic, symbol=symbol)
        if params:
            raise SubscribeError(NAME, "there are no parameters", topic=topic, symbol=symbol)
        if topic == "balance":
            return Channel(topic, "", topic, "", "account", private=True, event_types=(Balance,))
        base, _, quote = symbol.partition("-")
        if not (symbol.isascii() and base.isalnum() and quote.isalnum()):
            raise InvalidSymbolError(NAME, symbol, "it is base and quote with a dash between")
        tag = "tick" if topic == "ticker" else topic
        continuity = Continuity.INCREASING if topic == "ticker" else Continuity.CONSECUTIVE
        return Channel(topic, symbol, f"{topic}/{base}{quote}", f"{tag}.{NAME}.{symbol}", continuity=continuity)

    def request(self, word: str, request_id: int, channels: Sequence[Channel]) -> str:
        """Build a request."""
        return msgspec.json.encode({"op": word, "on": [channel.key for channel in channels], "id": request_id}).decode()

    def subscribe_frame(self, request_id: int, channels: Sequence[Channel]) -> str:
        """Ask for channels."""
        self.symbols.update({channel.key: channel.symbol for channel in channels})
        return self.request("sub", request_id, channels)

    def unsubscribe_frame(self, request_id: int, channels: Sequence[Channel]) -> str:
        """Ask for no more of them."""
        return self.request("unsub", request_id, channels)

    def login_frame(self, request_id: int) -> str | None:
        """Show who we are."""
        if self.endpoint_name != "account":
            return None
        if self.credentials is None:
            raise ConfigurationError("an account needs credentials", exchange_name=NAME)
        sign = hmac_hex(self.credentials.secret, str(self.now_ns()))
        key = self.credentials.api_key.reveal()
        return msgspec.json.encode({"op": "login", "id": request_id, "key": key, "sign": sign}).decode()

    def decode_frame(self, frame: bytes | str, local_time: int) -> Decoded:
        """Tell data and answers apart."""
        try:
            return self.decode_message(msgspec.json.decode(frame), local_time)
        except MALFORMED as error:
            raise DataParseError("frame", type(error).__name__, exchange_name=NAME, payload=frame) from error

    def decode_message(self, message: Any, local_time: int) -> Decoded:
        """Tell decoded data and answers apart."""
        match message:
            case {"ch": str(key), **data}:
                return key, (self.event(key, cast("dict[str, Any]", data), local_time),)
            case {"ok": int(request_id)}:
                return None, (Ack(request_id),)
            case {"no": int(request_id), "why": str(why)}:
                return None, (Refusal(request_id, message=why),)
            case {"ping": int(number)}:
                return None, (Heartbeat(f'{{"pong":{number}}}'),)
            case {"bye": str(why)}:
                return None, (Notice("bye", why, closing=True),)
            case _:
                return None, (Unrecognized("message"),)

    def event(self, key: str, data: dict[str, Any], local_time: int) -> Event:
        """Make an event of a channel's data."""
        symbol = self.symbols.get(key, key.partition("/")[2])
        time = self.nanoseconds(data["ts"])
        if key == "balance":
            amount = Decimal(msgspec.convert(data["free"], Digits))
            return Balance(NAME, data["asset"] + "", time, local_time, amount, amount, amount - amount)
        if key.startswith("trade/"):
            price, size = self.number(data["px"]), self.number(data["qty"])
            return Trade(NAME, symbol, time, local_time, f"{data['id']:d}", price, size, Side(data["side"]), time)
        bid, ask = self.number(data["bid"]), self.number(data["ask"])
        return Tick(NAME, symbol, time, local_time, bid, ask, sequence=msgspec.convert(data["id"], int))

    def nanoseconds(self, milliseconds: Any) -> int:
        """Convert a time."""
        return msgspec.convert(milliseconds, Milliseconds) * 1_000_000

    def number(self, text: Any) -> float:
        """Convert a number."""
        return msgspec.convert(text, Number, strict=False)


TICKERS = (
    b'{"ch":"ticker/BTCUSDT","id":5,"bid":"1.5","ask":"1.6","ts":1700000000000}',
    b'{"ch":"ticker/BTCUSDT","id":9,"bid":"1.5","ask":"1.7","ts":1700000000100}',
)
TRADES = (
    b'{"ch":"trade/BTCUSDT","id":7,"px":"1.5","qty":"2","side":"buy","ts":1700000000000}',
    b'{"ch":"trade/BTCUSDT","id":8,"px":"1.6","qty":"1","side":"sell","ts":1700000000000}',
)
BALANCES = (b'{"ch":"balance","asset":"BTC","free":"1.50","ts":1700000000000}',)
CHANNELS = [("ticker", "BTC-USDT"), ("trade", "BTC-USDT"), ChannelExample("balance", frames=BALANCES)]
EXAMPLES: dict[str, Any] = {
    "channels": CHANNELS,
    "frames": TICKERS + TRADES,
    "acks": ['{"ok":1}'],
    "refusals": ['{"no":2,"why":"no such channel"}'],
    "heartbeats": ['{"ping":3}'],
    "notices": ['{"bye":"maintenance"}'],
    "bad_symbols": ["BTC/USDT"],
    "seed": 1,
    "mutations": 600,
}


class Broken(SoundAdapter):
    """Base of adapters that break a rule."""


BROKEN: list[tuple[int, type[SoundAdapter]]] = []


def breaks(number: int) -> Any:
    """Mark an adapter as one that breaks a rule."""

    def mark(adapter: type[SoundAdapter]) -> type[SoundAdapter]:
        BROKEN.append((number, adapter))
        return adapter

    return mark


@breaks(1)
class NoUrl(Broken):
    default_url = ""


@breaks(1)
class Shared(Broken):
    def __new__(cls) -> Shared:  # noqa: PYI034 - the fault
        cls.one = cls.__dict__.get("one") or super().__new__(cls)
        return cls.one


@breaks(2)
class OddName(Broken):
    exchange_name = "Sound Spot"


@breaks(3)
class NoPace(Broken):
    limits = StreamLimits(messages_per_second=0)


@breaks(4)
class Elsewhere(Broken):
    def endpoint(self, url: str, lease_key: str = "") -> str:
        return "wss://production.invalid/account" if self.endpoint_name else url


@breaks(10)
class Restless(Broken):
    count = 0

    def channel(self, topic: str, symbol: str, params: Mapping[str, Any] | None = None) -> Channel:
        self.count += 1
        return msgspec.structs.replace(super().channel(topic, symbol, params), quiet_after=float(self.count))


@breaks(11)
class OneKey(Broken):
    def channel(self, topic: str, symbol: str, params: Mapping[str, Any] | None = None) -> Channel:
        channel = super().channel(topic, symbol, params)
        return msgspec.structs.replace(channel, key=channel.key.replace("trade/", "ticker/"))


@breaks(12)
class OddEventName(Broken):
    def channel(self, topic: str, symbol: str, params: Mapping[str, Any] | None = None) -> Channel:
        channel = super().channel(topic, symbol, params)
        return msgspec.structs.replace(channel, event_name=channel.event_name.replace("tick.", "ticker."))


@breaks(13)
class VenueSymbol(Broken):
    def channel(self, topic: str, symbol: str, params: Mapping[str, Any] | None = None) -> Channel:
        channel = super().channel(topic, symbol, params)
        symbol = channel.symbol.replace("-", "")
        return msgspec.structs.replace(channel, symbol=symbol, event_name=channel.event_name.replace("C-U", "CU"))


@breaks(14)
class AnyTopic(Broken):
    def channel(self, topic: str, symbol: str, params: Mapping[str, Any] | None = None) -> Channel:
        if topic not in {"ticker", "trade", "balance"}:
            raise SubscribeError(NAME, "no such topic", topic=topic)
        return super().channel(topic, symbol, params)


@breaks(15)
class AnyParameter(Broken):
    def channel(self, topic: str, symbol: str, params: Mapping[str, Any] | None = None) -> Channel:
        return super().channel(topic, symbol)


@breaks(16)
class AnySymbol(Broken):
    def channel(self, topic: str, symbol: str, params: Mapping[str, Any] | None = None) -> Channel:
        return super().channel(topic, symbol.replace("/", "-"), params)


@breaks(16)
class OddError(Broken):
    def channel(self, topic: str, symbol: str, params: Mapping[str, Any] | None = None) -> Channel:
        if topic != "balance":
            base, quote = symbol.split("-")
            assert base
            assert quote
        return super().channel(topic, symbol, params)


@breaks(20)
class BytesFrames(Broken):
    def request(self, word: str, request_id: int, channels: Sequence[Channel]) -> str:
        return cast("str", super().request(word, request_id, channels).encode())


@breaks(20)
class BadJson(Broken):
    def request(self, word: str, request_id: int, channels: Sequence[Channel]) -> str:
        return super().request(word, request_id, channels).replace('"op"', "'op'")


@breaks(21)
class NoId(Broken):
    def request(self, word: str, request_id: int, channels: Sequence[Channel]) -> str:
        return super().request(word, 1, channels)


@breaks(22)
class FirstOnly(Broken):
    def request(self, word: str, request_id: int, channels: Sequence[Channel]) -> str:
        return super().request(word, request_id, channels[:1])


@breaks(22)
class NeverStops(Broken):
    def unsubscribe_frame(self, request_id: int, channels: Sequence[Channel]) -> str:
        return self.request("sub", request_id, channels)


@breaks(23)
class NamesByState(Broken):
    def channel(self, topic: str, symbol: str, params: Mapping[str, Any] | None = None) -> Channel:
        channel = super().channel(topic, symbol, params)
        return msgspec.structs.replace(channel, recoverable=channel.key in self.symbols)


@breaks(30)
class OddKey(Broken):
    def decode_message(self, message: Any, local_time: int) -> Decoded:
        key, items = super().decode_message(message, local_time)
        return key and key.lower(), items


@breaks(32)
class OddOrigin(Broken):
    def event(self, key: str, data: dict[str, Any], local_time: int) -> Event:
        return msgspec.structs.replace(super().event(key, data, local_time), local_time=local_time // 1_000_000)


@breaks(32)
class ForgetsSymbols(Broken):
    def event(self, key: str, data: dict[str, Any], local_time: int) -> Event:
        event = super().event(key, data, local_time)
        return msgspec.structs.replace(event, symbol=event.symbol.replace("-", ""))


@breaks(33)
class Milliseconds13(Broken):
    def nanoseconds(self, milliseconds: Any) -> int:
        return super().nanoseconds(milliseconds) // 1_000_000


@breaks(34)
class OddType(Broken):
    def event(self, key: str, data: dict[str, Any], local_time: int) -> Event:
        event = super().event(key, data, local_time)
        if not isinstance(event, Tick):
            return event
        return MarkPrice(event.exchange_name, event.symbol, event.server_time, local_time, event.bid_price or 0.0)


@breaks(35)
class TextPrices(Broken):
    def number(self, text: Any) -> float:
        super().number(text)
        return text  # type: ignore[no-any-return]


@breaks(36)
class BytesOnly(Broken):
    def decode_frame(self, frame: bytes | str, local_time: int) -> Decoded:
        if isinstance(frame, str):
            return None, (Unrecognized("text"),)
        return super().decode_frame(frame, local_time)


@breaks(37)
class LosesInBatches(Broken):
    def decode_batch(self, frames: Sequence[bytes | str], local_time: int) -> Sequence[Decoded]:
        decoded = super().decode_batch(frames, local_time)
        return [one for one in decoded if not isinstance(one[1][0], Malformed)]


@breaks(37)
class FirstOfBatch(Broken):
    def decode_batch(self, frames: Sequence[bytes | str], local_time: int) -> Sequence[Decoded]:
        decoded = super().decode_batch(frames, local_time)
        return [(decoded[0][0], one[1]) for one in decoded]


@breaks(38)
class Consecutive(Broken):
    def channel(self, topic: str, symbol: str, params: Mapping[str, Any] | None = None) -> Channel:
        channel = super().channel(topic, symbol, params)
        return msgspec.structs.replace(channel, continuity=Continuity.CONSECUTIVE)

    def event(self, key: str, data: dict[str, Any], local_time: int) -> Event:
        event = super().event(key, data, local_time)
        return msgspec.structs.replace(event, trade_id="2" + event.trade_id * 2) if isinstance(event, Trade) else event


@breaks(38)
class Shrinking(Broken):
    def event(self, key: str, data: dict[str, Any], local_time: int) -> Event:
        event = super().event(key, data, local_time)
        return msgspec.structs.replace(event, sequence=-data["id"]) if isinstance(event, Tick) else event


@breaks(39)
class DropsRepetitions(Broken):
    def __init__(self) -> None:
        super().__init__()
        self.seen: set[bytes | str] = set()

    def decode_frame(self, frame: bytes | str, local_time: int) -> Decoded:
        key, items = super().decode_frame(frame, local_time)
        if frame in self.seen and key != "balance":
            return None, (Unrecognized("repetition"),)
        self.seen.add(frame)
        return key, items


@breaks(40)
class RaisesAfterwards(Broken):
    def unsubscribe_frame(self, request_id: int, channels: Sequence[Channel]) -> str:
        for channel in channels:
            self.symbols[channel.key] = "gone"
        return super().unsubscribe_frame(request_id, channels)

    def event(self, key: str, data: dict[str, Any], local_time: int) -> Event:
        if self.symbols.get(key) == "gone":
            raise ValueError("unknown channel")
        return super().event(key, data, local_time)


@breaks(50)
class Careless(Broken):
    def decode_frame(self, frame: bytes | str, local_time: int) -> Decoded:
        try:
            return self.decode_message(msgspec.json.decode(frame), local_time)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise DataParseError("frame", "no JSON", exchange_name=NAME) from error


@breaks(50)
class OddResult(Broken):
    def decode_message(self, message: Any, local_time: int) -> Decoded:
        if not isinstance(message, dict):
            return None, (message,)
        return super().decode_message(message, local_time)


@breaks(51)
class Anonymous(Broken):
    def decode_frame(self, frame: bytes | str, local_time: int) -> Decoded:
        try:
            return super().decode_frame(frame, local_time)
        except DataParseError as error:
            raise DataParseError("frame", error.detail) from None


@breaks(51)
class Talkative(Broken):
    def decode_frame(self, frame: bytes | str, local_time: int) -> Decoded:
        try:
            return super().decode_frame(frame, local_time)
        except DataParseError:
            raise DataParseError("frame", f"cannot read {len(frame) * 'x'}", exchange_name=NAME) from None


@breaks(52)
class Indiscreet(Broken):
    def decode_frame(self, frame: bytes | str, local_time: int) -> Decoded:
        try:
            return super().decode_frame(frame, local_time)
        except DataParseError as error:
            error.args = (frame,)
            raise


@breaks(53)
class Shaken(Broken):
    def decode_frame(self, frame: bytes | str, local_time: int) -> Decoded:
        try:
            return super().decode_frame(frame, local_time)
        except DataParseError:
            self.symbols.clear()
            raise


@breaks(54)
class NotFinite(Broken):
    def number(self, text: Any) -> float:
        return float(text)


@breaks(60)
class NoAcks(Broken):
    def decode_message(self, message: Any, local_time: int) -> Decoded:
        if isinstance(message, dict) and "ok" in message:
            return None, (Unrecognized("ok"),)
        return super().decode_message(message, local_time)


@breaks(60)
class EmptyAcks(Broken):
    def decode_message(self, message: Any, local_time: int) -> Decoded:
        if isinstance(message, dict) and "ok" in message:
            return None, (Ack(),)
        return super().decode_message(message, local_time)


@breaks(61)
class SilentRefusals(Broken):
    def decode_message(self, message: Any, local_time: int) -> Decoded:
        if isinstance(message, dict) and "no" in message:
            return None, (Refusal(request_id=1),)
        return super().decode_message(message, local_time)


@breaks(62)
class NoHeartbeats(Broken):
    def decode_message(self, message: Any, local_time: int) -> Decoded:
        if isinstance(message, dict) and "ping" in message:
            return None, (Heartbeat(reply=""),)
        return super().decode_message(message, local_time)


@breaks(63)
class NoNotices(Broken):
    def decode_message(self, message: Any, local_time: int) -> Decoded:
        if isinstance(message, dict) and "bye" in message:
            return None, (Unrecognized("bye"),)
        return super().decode_message(message, local_time)


@breaks(70)
class SharedSymbols(Broken):
    everybodys: dict[str, str] = {}  # noqa: RUF012 - the fault

    def __init__(self) -> None:
        self.symbols = self.everybodys


@breaks(71)
class SendsSecret(Broken):
    def login_frame(self, request_id: int) -> str | None:
        frame = super().login_frame(request_id)
        return frame and frame.replace("sign", (self.credentials and self.credentials.secret.reveal()) or "")


@breaks(71)
class ShowsKey(Broken):
    def login_frame(self, request_id: int) -> str | None:
        self.key = self.credentials and self.credentials.api_key.reveal()
        return super().login_frame(request_id)


@breaks(72)
class NeedsCredentials(Broken):
    def login_frame(self, request_id: int) -> str | None:
        if self.endpoint_name != "account":
            return None
        return super().login_frame(request_id) if self.credentials is not None else self.credentials["key"]


class TestSound:
    """Adapters that keep the rules pass."""

    def test_an_adapter_of_ones_own(self) -> None:
        """All rules are kept, private channel included, whatever the seed."""
        check_stream_adapter(SoundAdapter, **EXAMPLES)
        check_stream_adapter(SoundAdapter, **{**EXAMPLES, "seed": None})

    def test_the_toy_venue(self) -> None:
        """The adapter that the connection's tests use is one by the rules."""
        check_stream_adapter(
            ToyAdapter,
            channels=[("ticker", "BTC-USDT"), ("ticker", "ETH-USDT")],
            frames=[b'{"ch":"ticker:BTC-USDT","n":1}', b'{"ch":"ticker:ETH-USDT","n":1}'],
            acks=['{"ok":1}'],
            refusals=['{"no":1,"text":"no such channel"}'],
            heartbeats=['{"ping":1}', '{"pong":1}'],
            notices=['{"bye":"x"}'],
            seed=1,
        )


BINANCE: dict[str, Any] = {
    "channels": [
        ("ticker", "BTC-USDT"),
        ("trade", "BTC-USDT"),
        ("agg_trade", "BTC-USDT"),
        ("depth", "BTC-USDT", {"levels": 20}),
        ("depth_diff", "BTC-USDT"),
        ("kline", "BTC-USDT", {"interval": "1m"}),
        ("ticker_24h", "BTC-USDT"),
        ("mini_ticker", "BTC-USDT"),
        ("mini_ticker", ""),
        ("ticker_1h", "BTC-USDT"),
    ],
    "acks": [b'{"result":null,"id":1}'],
    "refusals": [b'{"code":2,"msg":"Invalid request: unknown stream","id":4}'],
    "notices": [b'{"e":"serverShutdown","E":1700000000000}'],
    "bad_symbols": ["BTC/USDT", "BTC USDT"],
    "seed": 1,
    "mutations": 2_000,
}


def binance_frames() -> list[bytes]:
    """Return frames of those channels."""
    keys = (
        b"bookTicker",
        b"trade",
        b"aggTrade",
        b"depth20",
        b"depth",
        b"kline_1m",
        b"ticker",
        b"miniTicker",
        b"ticker_1h",
    )
    heads = (*tuple(b'{"stream":"btcusdt@%s"' % key for key in keys), b'{"stream":"!miniTicker@arr","data":[{')
    names = (
        "bookTicker",
        "trade",
        "aggTrade",
        "depth",
        "depth_partial",
        "kline",
        "ticker",
        "miniTicker",
        "ticker_window",
    )
    return [frame for name in names for frame in handmade(name) if frame.startswith(heads)]


test_binance_spot = stream_adapter_test(BinanceSpotAdapter, frames=binance_frames(), **BINANCE)


class TestBroken:
    """Adapters that break a rule fail by its number."""

    @pytest.mark.parametrize(("number", "adapter"), BROKEN, ids=lambda value: getattr(value, "__name__", value))
    def test_a_broken_rule_is_found(self, number: int, adapter: type[SoundAdapter]) -> None:
        """The rule that an adapter breaks is among those that it fails by."""
        with pytest.raises(ConformanceError) as caught:
            check_stream_adapter(adapter, **EXAMPLES)
        assert number in caught.value.numbers
        assert f"{adapter.__name__} breaks" in str(caught.value)
        assert f"rule {number}: {RULES[number].title}" in str(caught.value)

    def test_there_is_a_broken_adapter_for_each_rule(self) -> None:
        """No rule is only said to be checked; rule 31 is about the examples themselves."""
        assert set(RULES) - {31} == {number for number, _ in BROKEN}

    def test_examples_have_to_cover_the_channels(self) -> None:
        """A channel without a frame is not tried, and that is said."""
        with pytest.raises(ConformanceError, match=r"no frame of 'trade/BTCUSDT' has anything in it") as caught:
            check_stream_adapter(SoundAdapter, **{**EXAMPLES, "frames": TICKERS})
        assert (31,) == caught.value.numbers


class TestReport:
    """What an author is told."""

    def test_the_report_says_where_what_and_what_to_do(self) -> None:
        """One error lists every broken rule with its number, and names the seed."""
        with pytest.raises(ConformanceError) as caught:
            check_stream_adapter(AnyTopic, **{**EXAMPLES, "seed": 4711})
        assert str(caught.value).splitlines() == [
            "AnyTopic breaks 1 of 38 rules (seed=4711)",
            "",
            "rule 14: unknown topics are refused with a list",
            "  because a misspelt topic would be silence",
            "  - where: channel('no_such_topic_anywhere', 'BTC-USDT')",
            (
                "    what:  does not say that there is 'balance': 'SOUND___SPOT: cannot subscribe to"
                " no_such_topic_anywhere: no such topic'"
            ),
            "    do:    raise SubscribeError with the topics there are, such as balance, ticker, trade",
        ]

    def test_many_findings_of_a_kind_are_counted(self) -> None:
        """The report stays short however often a rule is broken."""
        with pytest.raises(ConformanceError, match=r"and \d+ more of the kind") as caught:
            check_stream_adapter(Careless, **EXAMPLES)
        assert len(str(caught.value)) < 5_000

    def test_the_same_seed_finds_the_same(self) -> None:
        """A failure can be had again by its seed."""

        def report(seed: int) -> str:
            with pytest.raises(ConformanceError) as caught:
                check_stream_adapter(Careless, **{**EXAMPLES, "seed": seed})
            return str(caught.value)

        assert report(1) == report(1)
        assert report(1) != report(2)

    def test_rules_can_be_excepted(self) -> None:
        """A rule that does not hold for a venue is left out, by its number and with a reason."""
        check_stream_adapter(AnyTopic, **EXAMPLES, exceptions={14: "the venue's topics cannot be listed"})
        with pytest.raises(ValueError, match="there is no rule 99"):
            check_stream_adapter(AnyTopic, **EXAMPLES, exceptions={99: "?"})

    def test_cases_are_named_after_their_rules(self) -> None:
        """A test of each rule says which."""
        cases = conformance_cases(SoundAdapter, **EXAMPLES)
        assert [*RULES] == [case.rule.number for case in cases]
        assert "rule-33-times-are-nanoseconds" in [str(case) for case in cases]

    def test_rules_are_numbered_and_described(self) -> None:
        """Each rule has a number of its own, a title and a reason."""
        assert sorted(RULES) == [*RULES]
        assert all(rule.title and rule.reason for rule in RULES.values())


def test_one_line_in_a_plugin(pytester: pytest.Pytester) -> None:
    """A plugin's whole test module is an import and a line, and pytest shows every rule."""
    pytester.makepyfile(
        test_plugin="""
        from bt_api_base.testing import stream_adapter_test
        from tests.test_conformance import EXAMPLES, SoundAdapter

        test_adapter = stream_adapter_test(SoundAdapter, **EXAMPLES)
        """
    )
    pytester.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(passed=len(RULES))
