"""Events keep every digit on the wire, in JSON and MessagePack, and say what is wrong with what they cannot read."""

from __future__ import annotations

import copy
import decimal
import enum
import json
import math
import pickle
import typing
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings, strategies as st
from typing_extensions import assert_type

from bt_api_base import containers
from bt_api_base.containers import (
    EVENT_TYPES,
    MONEY_TYPES,
    Account,
    AssetType,
    Balance,
    Bar,
    Event,
    Fill,
    FundingRate,
    Gap,
    GapReason,
    Greeks,
    Income,
    IncomeType,
    Instrument,
    InstrumentStatus,
    Liquidation,
    MarginType,
    MarkPrice,
    Order,
    OrderBook,
    OrderBookDelta,
    OrderStatus,
    OrderType,
    Position,
    PositionSide,
    Side,
    Tick,
    TimeInForce,
    Trade,
    decimal_text,
    decode_json,
    decode_json_lines,
    decode_msgpack,
    decode_msgpack_batch,
    encode_json,
    encode_json_lines,
    encode_msgpack,
    encode_msgpack_batch,
    event_name,
    event_tag,
    to_decimal,
)
from bt_api_base.exceptions import DataParseError

HEAD = ("BINANCE___SPOT", "BTC-USDT", 1_700_000_000_000_000_000, 1_700_000_000_000_000_001)

POSITIONAL = {
    Tick: (*HEAD, 1.0, 2.0, 3.0, 4.0, 1.5, 0.1, 1.0, 2.0, 0.5, 100.0, 150.0, 7),
    Trade: (*HEAD, "12", 1.5, 0.25, Side.SELL, 3, "10", "12"),
    Bar: (*HEAD, "1m", 0, 59_999, 1.0, 2.0, 0.5, 1.5, 10.0, 15.0, 3, 4.0, 6.0, True),
    OrderBook: (*HEAD, ((1.0, 2.0),), ((1.5, 3.0), (2.0, 1.0)), 9),
    OrderBookDelta: (*HEAD, ((1.0, 0.0),), (), 8, 9, 7),
    FundingRate: (*HEAD, 0.0001, 1, 0.0002, 2, 0.0003, 3),
    MarkPrice: (*HEAD, 1.5, 1.4, 1.6),
    Liquidation: (*HEAD, Side.SELL, 1.5, 10.0, 3, PositionSide.LONG),
    Greeks: (*HEAD, 0.5, 0.01, 0.2, -0.1, 0.05),
    Order: (*HEAD, "1", Side.BUY, OrderType.LIMIT, OrderStatus.PARTIAL, Decimal("0.10"), Decimal("1E-8")),
    Fill: (*HEAD, "2", "1", Side.BUY, Decimal("1.50"), Decimal("0.00000010"), 3),
    Position: (*HEAD, PositionSide.NET, Decimal(-3), Decimal("1.50")),
    Balance: ("BINANCE___SPOT", "USDT", 1, 2, Decimal("100.00"), Decimal("99.5"), Decimal("0.5")),
    Account: ("BINANCE___SPOT", "", 1, 2, "id", "SPOT", True, True, False),
    Income: (*HEAD, IncomeType.FUNDING_FEE, Decimal("-0.00000001"), "USDT"),
    Gap: (*HEAD, 1, 2, GapReason.SEQUENCE, True, "trade", 3, 5, 3),
    Instrument: ("BTC-USDT", "BINANCE___SPOT", "BTCUSDT", AssetType.SPOT, "BTC", "USDT", Decimal("0.01")),
}
"""How each event is made positionally; adapters rely on it for speed."""

WIRE_HEAD = '"exchange_name":"V","symbol":"S","server_time":1,"local_time":2'

EXAMPLES = [cls(*arguments) for cls, arguments in POSITIONAL.items()]

FORMS = pytest.mark.parametrize(
    ("encode", "decode"), [(encode_json, decode_json), (encode_msgpack, decode_msgpack)], ids=["json", "msgpack"]
)

numbers = st.decimals(allow_nan=False, allow_infinity=False).filter(lambda value: abs(value.adjusted()) <= 100)

SCALARS: dict[Any, st.SearchStrategy[Any]] = {
    Decimal: numbers,
    float: st.floats(allow_nan=False, allow_infinity=False),
    int: st.integers(0, 2**63 - 1),
    str: st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    bool: st.booleans(),
    type(None): st.none(),
}


def strategy_of(annotation: Any) -> st.SearchStrategy[Any]:
    """Any value that a field of this type may hold."""
    if annotation in SCALARS:
        return SCALARS[annotation]
    if isinstance(annotation, enum.EnumMeta):
        return st.sampled_from(annotation)
    if isinstance(annotation, msgspec.StructMeta):
        return events_of(annotation)
    arguments = typing.get_args(annotation)
    if typing.get_origin(annotation) is not tuple:
        return st.one_of(*map(strategy_of, arguments))
    if arguments[-1] is Ellipsis:
        return st.lists(strategy_of(arguments[0]), max_size=3).map(tuple)
    return st.tuples(*map(strategy_of, arguments))


def events_of(cls: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    """Any instance of an event type, made from the types of its fields."""
    fields = {field.name: strategy_of(field.type) for field in msgspec.structs.fields(cls)}
    if cls is Instrument:
        for name in Instrument._NOT_NEGATIVE:
            fields[name] = st.none() | numbers.map(abs)
    return st.builds(cls, **fields)


def decimals_of(event: Any) -> list[Decimal]:
    """All decimals of an event, in order."""
    values = [getattr(event, name) for name in event.__struct_fields__]
    return [value for value in values if isinstance(value, Decimal)] + [
        number for value in values if isinstance(value, tuple) for item in value for number in decimals_of_item(item)
    ]


def decimals_of_item(item: Any) -> list[Decimal]:
    """The decimals of a balance or position inside an account; levels have none."""
    return decimals_of(item) if isinstance(item, msgspec.Struct) else []


# -------------------------------------------------------------------------------- one union, two forms


@FORMS
@pytest.mark.parametrize("cls", EVENT_TYPES, ids=event_tag)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_every_event_survives_the_wire(cls: type[Event], encode: Any, decode: Any, data: st.DataObject) -> None:
    """Encoding and decoding gives an equal event of the same type, its decimals with the same digits."""
    event = data.draw(events_of(cls))
    back = decode(encode(event))
    assert event == back
    assert type(event) is type(back)
    assert list(map(decimal_text, decimals_of(event))) == list(map(str_fixed, decimals_of(back)))


def str_fixed(value: Decimal) -> str:
    """All digits of a decimal, found another way."""
    return f"{value:f}"


def test_the_union_has_all_containers_and_each_its_own_tag() -> None:
    """The tags are the wire's vocabulary: they never change."""
    assert sorted(map(event_tag, EVENT_TYPES)) == [
        "account",
        "balance",
        "bar",
        "fill",
        "funding_rate",
        "gap",
        "greeks",
        "income",
        "instrument",
        "liquidation",
        "mark_price",
        "order",
        "order_book",
        "order_book_delta",
        "position",
        "tick",
        "trade",
    ]
    assert set(EVENT_TYPES) == set(POSITIONAL)


def test_the_json_form_is_small_and_readable() -> None:
    """The type comes first, fields at their default are left out, decimals are text in fixed notation."""
    order = Order("OKX___SPOT", "BTC-USDT", 1, 2, "7", Side.BUY, OrderType.LIMIT, OrderStatus.ACCEPTED, Decimal("1E-8"))
    assert (
        b'{"type":"order","exchange_name":"OKX___SPOT","symbol":"BTC-USDT","server_time":1,"local_time":2,'
        b'"order_id":"7","order_side":"buy","order_type":"limit","order_status":"new","order_size":"0.00000001"}'
    ) == encode_json(order)
    assert b'{"type":"tick","exchange_name":"V","symbol":"S","server_time":1,"local_time":2,"ask_price":0.1}' == (
        encode_json(Tick("V", "S", 1, 2, ask_price=0.1))
    )


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: type(event).__name__)
def test_every_event_says_where_it_is_from_on_the_wire(event: Event) -> None:
    """Whatever the type, a reader in any language finds type, exchange_name and symbol."""
    document = json.loads(encode_json(event))
    assert document["type"] == event_tag(type(event))
    assert document["exchange_name"] == event.exchange_name == event_name(event).split(".")[1]
    assert document["symbol"] == event.symbol


def test_unknown_fields_are_ignored_and_order_does_not_matter() -> None:
    """A newer sender may say more, and another language may say it in another order."""
    line = '{"local_time":2,"new":[1,{}],"server_time":1,"symbol":"S","bid_price":1,"exchange_name":"V","type":"tick"}'
    assert Tick("V", "S", 1, 2, 1.0) == decode_json(line)


def test_lists_of_events() -> None:
    """Many events go as JSON lines or as one MessagePack array."""
    assert EXAMPLES == decode_json_lines(encode_json_lines(EXAMPLES))
    assert EXAMPLES == decode_json_lines(encode_json_lines(EXAMPLES).decode() + "\n\r\n")
    assert EXAMPLES == decode_msgpack_batch(encode_msgpack_batch(EXAMPLES))
    assert [] == decode_json_lines(encode_json_lines([])) == decode_msgpack_batch(encode_msgpack_batch([]))


def test_a_line_separator_inside_a_text_does_not_end_a_json_line() -> None:
    """U+2028 may stand unescaped inside a JSON string."""
    event = Trade("V", "S", 1, 2, "\u2028\x85", 1.0, 1.0, Side.BUY, 1)
    assert [event] == decode_json_lines(encode_json_lines([event]).decode())


# --------------------------------------------------------------------------------------------- numbers


@FORMS
@pytest.mark.parametrize(
    "text",
    ["0.00000001", "0.000000000000000001", "100.00", "0", "-0.10", "123456789012345678901234567890.123456789", "1e-7"],
)
def test_a_decimal_is_exact_from_text_to_text(text: str, encode: Any, decode: Any) -> None:
    """Trailing zeros stay, no exponent appears, and the ambient decimal context has no say."""
    hostile = decimal.Context(prec=2, Emax=3, Emin=-3, traps=[decimal.Inexact, decimal.Rounded, decimal.FloatOperation])
    with decimal.localcontext(hostile):
        income = Income("V", "", 1, 2, IncomeType.REBATE, to_decimal(text), "USDT")
        data = encode(income)
        back = decode(data)
    expected = text if "e" not in text else "0.0000001"
    assert expected == decimal_text(back.income_value)
    assert expected.encode() in data


@pytest.mark.parametrize(("value", "expected"), [("1E+3", "1000"), ("0E-8", "0.00000000"), ("0E+5", "0"), ("-5", "-5")])
def test_decimal_text_is_in_fixed_notation(value: str, expected: str) -> None:
    """Venues refuse exponents."""
    assert expected == decimal_text(Decimal(value))


@given(st.floats(-1e90, 1e90).filter(lambda value: not 0 < abs(value) < 1e-90))
@example(0.1)
@example(1e-90)
def test_a_float_stands_for_its_shortest_text(value: float) -> None:
    """0.1 becomes 0.1, not 0.1000000000000000055511151231257827."""
    assert Decimal(repr(value)) == to_decimal(value)


@pytest.mark.parametrize(
    "junk", ["", "abc", "NaN", "inf", "1_000", " 1", "1e", "٣", "0x10", "1e101", "1e99999", math.nan]
)
def test_what_is_no_finite_number_is_refused(junk: Any) -> None:
    """Python's own constructor takes most of these; an order must not."""
    with pytest.raises(ValueError, match="finite"):
        to_decimal(junk)


@pytest.mark.parametrize("junk", [True, None, b"1", 1j])
def test_what_is_no_number_at_all_is_a_type_error(junk: Any) -> None:
    """A bool is an integer only to Python."""
    with pytest.raises(TypeError):
        to_decimal(junk)


@pytest.mark.parametrize("junk", [Decimal("NaN"), Decimal("sNaN"), Decimal("-Infinity"), Decimal("1E+101")])
def test_money_is_finite(junk: Decimal) -> None:
    """An event with a NaN amount is never made, never written, never read."""
    with pytest.raises(ValueError, match=r"finite decimal .* `\$.margin`"):
        Balance("V", "USDT", 1, 2, junk)
    with pytest.raises(ValueError, match="finite"):
        decimal_text(junk)
    line = f'{{"type":"balance","exchange_name":"V","symbol":"U","server_time":1,"local_time":2,"margin":"{junk}"}}'
    with pytest.raises(DataParseError) as caught:
        decode_json(line)
    assert caught.value.field == "margin"


def test_money_is_never_a_float() -> None:
    """A float in an order has been rounded already."""
    with pytest.raises(TypeError, match=r"Expected `Decimal`, got `float` - at `\$.margin`"):
        Balance("V", "USDT", 1, 2, 0.1)  # type: ignore[arg-type]


def test_every_event_with_decimals_is_money() -> None:
    """The encoder looks for decimals in these types only."""
    with_decimals = {cls for cls in EVENT_TYPES if "Decimal" in str(cls.__annotations__)}
    assert with_decimals == MONEY_TYPES


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_json_refuses_what_it_cannot_say(value: float) -> None:
    """JSON would turn a NaN into a null, that is into "not known"; MessagePack carries it."""
    tick = Tick("V", "S", 1, 2, bid_price=value)
    book = OrderBook("V", "null", 1, 2, ((1.0, 1.0), (1.0, value)), ())
    with pytest.raises(ValueError, match=r"at `\$.bid_price`"):
        encode_json(tick)
    with pytest.raises(ValueError, match=r"at `\$.bids\[1\]\[1\]`"):
        encode_json(book)
    back = decode_msgpack(encode_msgpack(tick))
    assert isinstance(back, Tick)
    assert repr(value) == repr(back.bid_price)


def test_a_text_that_reads_null_is_no_number() -> None:
    """A symbol may be called null."""
    event = Tick("V", "null", 1, 2, 1.0)
    assert event == decode_json(encode_json(event))


# ------------------------------------------------------------------------------------- malformed input


@pytest.mark.parametrize(
    ("data", "container", "field"),
    [
        (b"", "Event", ""),
        (b"[]", "Event", ""),
        (b"\xff\x00", "Event", ""),
        (b'"\xff"', "Event", ""),
        ("nonsense", "Event", ""),
        ('{"symbol":"S"}', "Event", "type"),
        ('{"type":"tik","symbol":"S"}', "Event", "type"),
        ('{"type":7}', "Event", "type"),
        ('{"type":"tick","exchange_name":"V"}', "Tick", "symbol"),
        ('{"type":"tick","exchange_name":"V","symbol":3}', "Tick", "symbol"),
        ('{"type":"order_book_delta","exchange_name":"V","symb', "OrderBookDelta", ""),
        (
            f'{{"type":"order_book",{WIRE_HEAD},"bids":[[1,"x"]]}}',
            "OrderBook",
            "bids[0][1]",
        ),
        (
            f'{{"type":"account",{WIRE_HEAD},"balances":[{{"type":"balance",{WIRE_HEAD},"margin":"NaN"}}]}}',
            "Account",
            "balances[0].margin",
        ),
        (
            f'{{"type":"order",{WIRE_HEAD},"order_id":"1","order_side":"buy","order_type":"x","order_status":"y"}}',
            "Order",
            "order_status",
        ),
    ],
)
def test_malformed_input_is_a_parse_error_that_names_container_and_field(
    data: bytes | str, container: str, field: str
) -> None:
    """Whoever reads the log finds the place without the sender's help."""
    with pytest.raises(DataParseError) as caught:
        decode_json(data)
    assert (container, field) == (caught.value.container_class, caught.value.field)
    assert isinstance(caught.value.__cause__, ValueError)


def test_a_parse_error_keeps_an_excerpt_only() -> None:
    """A long payload does not fill the log; the venue is named where it can be read."""
    with pytest.raises(DataParseError) as caught:
        decode_json('{"type":"tick","exchange_name":"OKX___SPOT","symbol":3,"padding":"' + "x" * 100_000 + '"}')
    assert caught.value.exchange_name == "OKX___SPOT"
    assert len(str(caught.value)) < 2_000


def test_the_wrong_event_of_a_batch_is_named_by_its_place() -> None:
    """The field starts with the index."""
    good, bad = msgspec.to_builtins(EXAMPLES[0]), {**msgspec.to_builtins(EXAMPLES[0]), "bid_price": "high"}
    with pytest.raises(DataParseError) as caught:
        decode_msgpack_batch(msgspec.msgpack.encode([good, bad]))
    assert caught.value.field == "[1].bid_price"


@FORMS
@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: type(event).__name__)
def test_a_truncated_event_is_a_parse_error_that_knows_its_container(event: Event, encode: Any, decode: Any) -> None:
    """Cut off anywhere, an event is refused, and named once its type is there."""
    data = encode(event)
    named = data.index(event_tag(type(event)).encode()) + len(event_tag(type(event)))
    for end in range(len(data)):
        with pytest.raises(DataParseError) as caught:
            decode(data[:end])
        if end > named:
            assert type(event).__name__ == caught.value.container_class


def test_deep_nesting_is_a_parse_error() -> None:
    """Ten megabytes of brackets in a field that nobody reads must not end the program."""
    for deep in ('{"padding":' + "[" * 100_000, b"\x81\xa1p" + b"\x91" * 100_000):
        with pytest.raises(DataParseError):
            decode_json(deep) if isinstance(deep, str) else decode_msgpack(deep)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(EXAMPLES), st.data())
def test_damaged_input_raises_parse_errors_only(event: Event, data: st.DataObject) -> None:
    """One changed stretch of bytes gives an event or a DataParseError, nothing else."""
    for encode, decode in ((encode_json, decode_json), (encode_msgpack, decode_msgpack)):
        wire = encode(event)
        start = data.draw(st.integers(0, len(wire)))
        end = data.draw(st.integers(start, min(len(wire), start + 4)))
        damaged = wire[:start] + data.draw(st.binary(max_size=6)) + wire[end:]
        try:
            assert isinstance(decode(damaged), EVENT_TYPES)
        except DataParseError as error:
            pickle.dumps(error)


# ------------------------------------------------------------------------------------------- behaviour


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: type(event).__name__)
def test_events_are_values(event: Event) -> None:
    """They are equal by content, hashable, immutable, and survive copy and pickle."""
    for other in (copy.copy(event), copy.deepcopy(event), pickle.loads(pickle.dumps(event))):  # noqa: S301  (our own)
        assert event == other
        assert hash(event) == hash(other)
    with pytest.raises(AttributeError):
        event.server_time = 5  # type: ignore[misc]


@pytest.mark.parametrize("cls", EVENT_TYPES, ids=event_tag)
def test_the_order_of_fields_is_a_promise(cls: type[Event]) -> None:
    """Fast code makes events positionally."""
    arguments = POSITIONAL[cls]
    made = cls(*arguments)
    assert list(arguments) == [getattr(made, name) for name in cls.__struct_fields__[: len(arguments)]]
    names = msgspec.structs.fields(cls)
    keywords = {field.name: value for field, value in zip(names, arguments, strict=False)}
    assert made == cls(**keywords)


MARKET_FIELDS = {
    Tick: "bid_price ask_price bid_volume ask_volume last_price last_volume open_price high_price low_price volume "
    "turnover sequence",
    Trade: "trade_id trade_price trade_volume trade_side trade_time first_trade_id last_trade_id",
    Bar: "period open_time close_time open_price high_price low_price close_price volume turnover trade_count "
    "taker_buy_volume taker_buy_turnover is_closed",
    OrderBook: "bids asks sequence",
    OrderBookDelta: "bids asks first_sequence last_sequence previous_sequence",
    Order: "order_id order_side order_type order_status order_size order_price order_avg_price executed_qty cum_quote",
    Fill: "trade_id order_id trade_side trade_price trade_volume trade_time",
    Position: "position_side position_volume avg_price",
    Balance: "margin available_margin used_margin unrealized_profit",
    FundingRate: "current_funding_rate current_funding_time",
    MarkPrice: "mark_price index_price settlement_price",
    Liquidation: "liquidation_side liquidation_price liquidation_volume liquidation_time",
    Income: "income_type income_value income_asset",
    Gap: "since until reason recoverable topic first_missing last_missing missing",
}


@pytest.mark.parametrize(("cls", "names"), MARKET_FIELDS.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_field_names_and_their_order(cls: type[Event], names: str) -> None:
    """Pinned by name too, so that two fields of one type cannot change places."""
    expected = ("exchange_name", "symbol", "server_time", "local_time", *names.split())
    assert expected == cls.__struct_fields__[: len(expected)]


def test_events_name_themselves_for_the_bus() -> None:
    """The name is type, venue and symbol."""
    assert event_name(EXAMPLES[0]) == "tick.BINANCE___SPOT.BTC-USDT"
    assert event_name(POSITION) == "position.BINANCE___SPOT.BTC-USDT"
    assert event_name(EXAMPLES[-1]) == "instrument.BINANCE___SPOT.BTC-USDT"


POSITION = Position(*HEAD, PositionSide.LONG, Decimal(1), margin_type=MarginType.ISOLATED)


def test_derived_values() -> None:
    """Other names of what is there already."""
    assert POSITION.is_isolated is True
    assert msgspec.structs.replace(POSITION, margin_type=MarginType.CROSS).is_isolated is False
    assert msgspec.structs.replace(POSITION, margin_type=None).is_isolated is None
    assert Balance("V", "USDT", 1, 2, Decimal(1)).currency == "USDT"
    book = OrderBook(*HEAD, ((2.0, 5.0), (1.0, 6.0)), ((3.0, 7.0),))
    assert ([2.0, 1.0], [5.0, 6.0]) == (book.bid_price_list, book.bid_volume_list)
    assert ([3.0], [7.0]) == (book.ask_price_list, book.ask_volume_list)


def test_decoding_is_typed() -> None:
    """Checkers know what comes out."""
    assert_type(decode_json(encode_json(POSITION)), Event)
    assert_type(decode_msgpack_batch(b"\x90"), list[Event])
    assert_type(event_name(POSITION), str)


# ----------------------------------------------------------------------------------------------- enums


@pytest.mark.parametrize(
    "cls",
    [cls for cls in vars(containers).values() if isinstance(cls, type) and issubclass(cls, enum.Enum)],
    ids=lambda cls: cls.__name__,
)
def test_enumerations_are_texts(cls: Any) -> None:
    """Members compare and print as their value; descriptive ones take any word in any case, strict ones do not."""
    for member in cls:
        assert str(member) == member == member.value == f"{member}"
        assert pickle.loads(pickle.dumps(member)) is member  # noqa: S301  (our own)
    strict = cls in {Side, OrderStatus}
    if strict:
        with pytest.raises(ValueError, match="nonsense"):
            cls("nonsense")
    else:
        assert cls("nonsense") is cls.UNKNOWN
        assert cls(7) is cls.UNKNOWN
        assert all(cls(member.name) is member for member in cls)


def test_a_word_of_tomorrow_does_not_break_a_stream() -> None:
    """A descriptive enumeration reads an unknown word as UNKNOWN, on the wire too."""
    line = encode_json(Order(*POSITIONAL[Order], order_time_in_force=TimeInForce.GTC)).replace(b'"gtc"', b'"gtz"')
    order = decode_json(line)
    assert isinstance(order, Order)
    assert order.order_time_in_force is TimeInForce.UNKNOWN


STATUS_VALUES = {
    "SUBMITTED": "submitted",
    "ACCEPTED": "new",
    "PARTIAL": "partially_filled",
    "COMPLETED": "filled",
    "CANCELED": "canceled",
    "REJECTED": "rejected",
    "MARGIN": "margin",
    "EXPIRED": "expired",
    "MMP_CANCELED": "mmp_canceled",
    "EXPIRED_IN_MATCH": "expired_in_match",
    "UNKNOWN": "unknown",
    "LIVE": "new",
    "PARTIALLY_FILLED": "partially_filled",
    "FILLED": "filled",
}


def test_order_status_has_the_ecosystems_names_and_values() -> None:
    """Plugins rely on names, aliases and values."""
    assert {name: member.value for name, member in OrderStatus.__members__.items()} == STATUS_VALUES
    assert OrderStatus.LIVE is OrderStatus.ACCEPTED
    assert OrderStatus.PARTIALLY_FILLED is OrderStatus.PARTIAL
    assert OrderStatus.FILLED is OrderStatus.COMPLETED


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ([None, "REJECTED"], OrderStatus.REJECTED),
        (["submitted"], OrderStatus.SUBMITTED),
        (["new", "live", "accepted", "NEW"], OrderStatus.ACCEPTED),
        (["partially_filled", "PARTIALLY_FILLED"], OrderStatus.PARTIAL),
        (["filled", "FILLED"], OrderStatus.COMPLETED),
        (["canceled", "CANCELED"], OrderStatus.CANCELED),
        (["margin"], OrderStatus.MARGIN),
        (["mmp_canceled"], OrderStatus.MMP_CANCELED),
        (["EXPIRED"], OrderStatus.EXPIRED),
        (["EXPIRED_IN_MATCH"], OrderStatus.EXPIRED_IN_MATCH),
    ],
)
def test_order_status_reads_the_words_of_venues(words: list[str | None], status: OrderStatus) -> None:
    """The words that plugins pass on."""
    assert [status] * len(words) == list(map(OrderStatus.from_value, words))


@pytest.mark.parametrize(
    "word", ["rejected", "expired", "expired_in_match", "unknown", "Filled", "LIVE", "", "cancelled"]
)
def test_order_status_is_strict(word: str) -> None:
    """A state that nobody thought of is an error, never a guess."""
    with pytest.raises(ValueError, match="unknown order status"):
        OrderStatus.from_value(word)


def test_an_order_of_unknown_fate_is_not_final() -> None:
    """It may still be filled; so may those that are working."""
    unfinished = {status for status in OrderStatus if not status.is_final}
    assert unfinished == {OrderStatus.SUBMITTED, OrderStatus.ACCEPTED, OrderStatus.PARTIAL, OrderStatus.UNKNOWN}


def test_public_names_exist() -> None:
    """Everything that the package promises is there, sorted the way its lint wants it."""
    for name in containers.__all__:
        assert getattr(containers, name) is not None
    assert InstrumentStatus.ACTIVE in InstrumentStatus
