"""The exceptions: one tree, data as attributes, no secrets, and predicates that look into groups."""

from __future__ import annotations

import copy
import errno
import inspect
import pickle
import re
import socket
import ssl
import sys
import traceback
from decimal import Decimal
from typing import Any

import anyio
import pytest
from hypothesis import given, strategies as st

from bt_api_base import exceptions
from bt_api_base.exceptions import (
    AuthenticationError,
    BannedError,
    BtApiError,
    ConfigurationError,
    CurrencyNotFoundError,
    DataParseError,
    DuplicateOrderError,
    ExchangeConnectionAlias,
    ExchangeConnectionError,
    ExchangeNotFoundError,
    InsufficientBalanceError,
    InvalidOrderError,
    InvalidSymbolError,
    NetworkError,
    NotSupportedError,
    OrderError,
    OrderNotFoundError,
    OrderUnknownError,
    QueueNotInitializedError,
    RateLimitError,
    RequestError,
    RequestFailedError,
    RequestTimeoutError,
    SlowConsumerError,
    SubscribeError,
    TimestampError,
    WebSocketError,
    is_auth_error,
    is_network_error,
    is_order_error,
    is_rate_limit_error,
    is_retryable,
    is_user_recoverable,
)

if sys.version_info < (3, 11):
    from exceptiongroup import BaseExceptionGroup, ExceptionGroup

VENUE = "BINANCE___SPOT"
SECRET = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP"

# class: (its parent, retryable, user_recoverable, arguments that make a full example)
TREE: dict[type[BtApiError], tuple[type[Exception], bool, bool, tuple[tuple[Any, ...], dict[str, Any]]]] = {
    BtApiError: (Exception, False, False, (("it broke",), {"exchange_name": VENUE})),
    ConfigurationError: (BtApiError, False, True, (("no url",), {})),
    ExchangeNotFoundError: (BtApiError, False, True, ((VENUE, ["OKX___SPOT"]), {})),
    NotSupportedError: (BtApiError, False, True, (("cancel_all", VENUE), {"detail": "one by one"})),
    InvalidSymbolError: (BtApiError, False, True, ((VENUE, "BTC-XXX", "delisted"), {})),
    CurrencyNotFoundError: (BtApiError, False, True, ((VENUE, "XXX"), {})),
    ExchangeConnectionError: (BtApiError, True, False, ((VENUE, "maintenance"), {})),
    AuthenticationError: (ExchangeConnectionError, False, True, ((VENUE, "bad key"), {})),
    NetworkError: (BtApiError, True, False, ((VENUE, "no route"), {})),
    RequestTimeoutError: (NetworkError, True, False, ((VENUE, "https://api.test/v3/time", 5.0), {})),
    WebSocketError: (NetworkError, True, False, ((VENUE, "gone"), {"close_code": 1008, "close_reason": "too slow"})),
    RequestError: (BtApiError, False, False, ((VENUE, "https://api.test/v3/time", "cannot be sent"), {})),
    RequestFailedError: (RequestError, False, False, ((VENUE, "https://api.test/v3/x", "no"), {"status_code": 400})),
    TimestampError: (RequestError, True, False, ((VENUE, "", "outside of recvWindow"), {"offset": -1.5})),
    RateLimitError: (BtApiError, True, False, ((VENUE, 1.5, "weight"), {})),
    BannedError: (RateLimitError, False, False, ((VENUE, 120.0, "418"), {})),
    OrderError: (BtApiError, False, False, ((VENUE, "BTC-USDT", "halted"), {})),
    InvalidOrderError: (OrderError, False, True, ((VENUE, "BTC-USDT", "tick size"), {})),
    InsufficientBalanceError: (OrderError, False, True, ((VENUE, "BTC-USDT", Decimal("2.50"), Decimal(1)), {})),
    OrderNotFoundError: (OrderError, False, True, ((VENUE, 42, "BTC-USDT"), {})),
    DuplicateOrderError: (OrderError, False, False, ((VENUE, "BTC-USDT", "my-1"), {})),
    OrderUnknownError: (OrderError, False, False, ((VENUE, "BTC-USDT", "my-1", "timed out"), {})),
    DataParseError: (
        BtApiError,
        False,
        False,
        (
            ("Tick", "not a number"),
            {"exchange_name": VENUE, "channel": "btcusdt@bookTicker", "field": "b", "payload": b'{"b":"x"}'},
        ),
    ),
    QueueNotInitializedError: (DataParseError, False, True, (("data_queue",), {})),
    SubscribeError: (BtApiError, False, False, ((VENUE, "no"), {"topic": "ticker", "symbol": "BTC-USDT"})),
    SlowConsumerError: (BtApiError, False, False, ((VENUE, "ticker"), {"pending": 11, "limit": 10})),
}
CLASSES = tuple(TREE)
VENUE_SAID = {"code": 4001, "venue_code": -1121, "venue_message": "Invalid symbol."}


def example(kind: type[BtApiError], **context: Any) -> BtApiError:
    """Return an exception of ``kind`` with every argument of its example."""
    args, keywords = TREE[kind][3]
    return kind(*args, **keywords, **context)


def state(error: BtApiError) -> tuple[object, ...]:
    """Return all that tells two exceptions apart."""
    return type(error), vars(error), error.args, str(error), repr(error), error.retryable


def pickled(value: Any, protocol: int = pickle.HIGHEST_PROTOCOL) -> Any:
    """Return ``value`` as another process would get it."""
    return pickle.loads(pickle.dumps(value, protocol))  # noqa: S301 - our own bytes


def every_class() -> list[type[BtApiError]]:
    """Return the exception classes that the module defines."""
    found = (value for name, value in vars(exceptions).items() if inspect.isclass(value) and not name.startswith("_"))
    return [value for value in dict.fromkeys(found) if issubclass(value, BtApiError)]


class TestTree:
    """What there is, and what it derives from."""

    def test_table_above_lists_every_class(self) -> None:
        """No class escapes the tests that walk through the table."""
        assert set(every_class()) == set(TREE)
        assert len(TREE) >= 20

    @pytest.mark.parametrize("kind", CLASSES)
    def test_parent(self, kind: type[BtApiError]) -> None:
        """Each class has the one parent that the tree gives it."""
        assert (TREE[kind][0],) == kind.__bases__

    @pytest.mark.parametrize("kind", CLASSES)
    def test_public_place(self, kind: type[BtApiError]) -> None:
        """A traceback names each class where programs import it from."""
        assert kind.__module__ == "bt_api_base.exceptions"
        assert kind is getattr(exceptions, kind.__name__)

    def test_docstring_draws_the_tree(self) -> None:
        """The drawing at the top of the module has every class below its parent."""
        parents: list[str] = []
        drawn = {}
        assert exceptions.__doc__ is not None
        for line in exceptions.__doc__.splitlines():
            match = re.match(r"    ([│├└─ ]*)(\w+Error)\b", line)
            if match is None:
                continue
            depth = len(match[1]) // 4
            del parents[depth:]
            drawn[match[2]] = parents[-1] if parents else "Exception"
            parents.append(match[2])
        assert {kind.__name__: kind.__bases__[0].__name__ for kind in CLASSES} == drawn

    def test_alias(self) -> None:
        """`ExchangeConnectionAlias` is another name of `ExchangeConnectionError`, not another class."""
        assert ExchangeConnectionError is ExchangeConnectionAlias


class TestEveryClass:
    """What holds for each class."""

    @pytest.mark.parametrize("kind", CLASSES)
    def test_default_remedies(self, kind: type[BtApiError]) -> None:
        """A class says whether trying again helps, and whether the caller can put it right."""
        error = example(kind)
        assert TREE[kind][1:3] == (error.retryable, error.user_recoverable)

    @pytest.mark.parametrize("kind", CLASSES)
    def test_carries_what_the_venue_said(self, kind: type[BtApiError]) -> None:
        """Venue, code, and the venue's own code and words are attributes, and the venue's are in the text."""
        error = example(kind, **VENUE_SAID)
        assert error.exchange_name in {VENUE, ""}
        assert VENUE_SAID == {name: getattr(error, name) for name in VENUE_SAID}
        assert "-1121" in str(error)
        assert "Invalid symbol." in str(error)
        assert str(error) == error.message

    @pytest.mark.parametrize("kind", [kind for kind in CLASSES if kind is not OrderUnknownError])
    @pytest.mark.parametrize("retryable", [True, False])
    def test_retryable_can_be_told(self, kind: type[BtApiError], retryable: bool) -> None:
        """Whoever raises may know better than the class whether trying again helps."""
        assert retryable is example(kind, retryable=retryable).retryable

    @pytest.mark.parametrize("kind", CLASSES)
    def test_text_names_the_venue_and_the_values(self, kind: type[BtApiError]) -> None:
        """The text is built from the attributes: each text and number given is in it."""
        error = example(kind)
        args, keywords = TREE[kind][3]
        for value in (*args, *keywords.values()):
            for part in value if isinstance(value, list) else [value]:
                text = (
                    part.decode() if isinstance(part, bytes) else f"{part:g}" if isinstance(part, float) else str(part)
                )
                assert text in str(error)

    @pytest.mark.parametrize("kind", CLASSES)
    def test_text_follows_the_attributes(self, kind: type[BtApiError]) -> None:
        """A layer above may add the venue to an exception that went through it."""
        error = example(kind)
        error.exchange_name = "OKX___SWAP"
        assert str(error).startswith("OKX___SWAP: ")

    @pytest.mark.parametrize("kind", CLASSES)
    def test_repr_shows_class_and_attributes(self, kind: type[BtApiError]) -> None:
        """The repr has every attribute that says something."""
        error = example(kind, **VENUE_SAID)
        assert repr(error).startswith(f"{kind.__name__}(")
        for name, value in vars(error).items():
            assert (f"{name}={value!r}" in repr(error)) is (value not in (None, "", ()))

    @pytest.mark.parametrize("kind", CLASSES)
    def test_text_is_never_empty(self, kind: type[BtApiError]) -> None:
        """An exception without any detail still says what it is."""
        required = [
            parameter
            for parameter in inspect.signature(kind).parameters.values()
            if parameter.default is parameter.empty and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        ]
        assert str(kind(*("" for _ in required))).strip()

    @pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
    @pytest.mark.parametrize("kind", CLASSES)
    def test_pickles(self, kind: type[BtApiError], protocol: int) -> None:
        """An exception comes out of a pickle with equal attributes, text and notes, whatever caused it."""
        error = example(kind, **VENUE_SAID)
        error.__notes__ = ["while it rained"]
        error.__cause__ = OSError(lambda: None)  # a cause that could not be pickled
        assert state(error) == state(pickled(error, protocol))

    @pytest.mark.parametrize("kind", CLASSES)
    def test_pickles_in_a_group(self, kind: type[BtApiError]) -> None:
        """An exception comes through a pickled exception group unchanged."""
        error = example(kind, **VENUE_SAID)
        group = ExceptionGroup("two venues", [error, ExceptionGroup("one more", [error])])
        again = pickled(group)
        assert state(error) == state(again.exceptions[0])
        assert state(error) == state(again.exceptions[1].exceptions[0])

    @pytest.mark.parametrize("kind", CLASSES)
    def test_copies(self, kind: type[BtApiError]) -> None:
        """An exception can be copied, flat and deep."""
        error = example(kind, **VENUE_SAID)
        assert state(error) == state(copy.copy(error)) == state(copy.deepcopy(error))

    @pytest.mark.parametrize("kind", CLASSES)
    def test_reads_well_in_a_group(self, kind: type[BtApiError]) -> None:
        """The traceback of a group shows each exception's own text."""
        error = example(kind)
        shown = "".join(traceback.format_exception(ExceptionGroup("two venues", [error])))
        assert f"{kind.__module__}.{kind.__name__}: {error}" in shown

    @pytest.mark.parametrize("kind", CLASSES)
    def test_subclass_with_other_parameters_pickles(self, kind: type[BtApiError], monkeypatch: Any) -> None:
        """A venue's own subclass may take other arguments without having to think of pickling."""
        args, keywords = TREE[kind][3]

        class Venues(kind):  # type: ignore[misc, valid-type]
            def __init__(self, number: int) -> None:
                self.number = number
                super().__init__(*args, **keywords)

        Venues.__qualname__ = "Venues"
        monkeypatch.setattr(sys.modules[__name__], "Venues", Venues, raising=False)
        error = Venues(3)
        assert state(error) == state(pickled(error))

    @given(text=st.text(max_size=40), code=st.integers() | st.text(max_size=10) | st.none())
    def test_any_words_of_a_venue_pickle(self, text: str, code: int | str | None) -> None:
        """Whatever a venue says, the exception that repeats it pickles with the same text."""
        for kind in CLASSES:
            error = example(kind, venue_code=code, venue_message=text)
            assert state(error) == state(pickled(error))


class TestSecrets:
    """No exception holds a secret that can be told by its name, in any of its free texts."""

    LEAKS = (
        f'{{"symbol":"BTCUSDT","apiKey":"{SECRET}"}}',
        f"{{'secret': '{SECRET}', 'n': 1}}",
        f"https://api.test/v3/order?symbol=BTCUSDT&timestamp=1&signature={SECRET}",
        f"https://api.test/v3/userDataStream?listenKey={SECRET}",
        f"wss://stream.test/ws/{SECRET}",
        f"wss://user:{SECRET}@stream.test/ws",
        f"/api/v5/order?passphrase={SECRET}&token={SECRET}",
        f"[(b'X-MBX-APIKEY', b'{SECRET}'), (b'Host', b'api.test')]",
        f"Authorization: Bearer {SECRET}",
        f"-----BEGIN PRIVATE KEY-----\n{SECRET}\n-----END PRIVATE KEY-----",
    )

    @pytest.mark.parametrize("leak", LEAKS)
    @pytest.mark.parametrize("kind", CLASSES)
    def test_planted_secret_is_nowhere(self, kind: type[BtApiError], leak: str) -> None:
        """A secret in any free text, URL or payload is gone from attributes, text, repr, args and pickle."""
        free = {"message", "detail", "url", "payload", "close_reason", "channel", "venue_message"}
        texts = {name: leak for name in inspect.signature(kind).parameters if name in free}
        identifiers = {
            name: "X"
            for name in ("exchange_name", "symbol", "currency", "order_id")
            if name in inspect.signature(kind).parameters
        }
        error = kind(**{**identifiers, **texts, "venue_message": leak})
        for shown in (str(error), repr(error), repr(error.args), repr(vars(error)), repr(pickle.dumps(error))):
            assert SECRET not in shown
        assert "***" in str(error)

    def test_payload_is_cut(self) -> None:
        """A large payload is kept as a short excerpt."""
        error = DataParseError("Tick", payload=b'{"e":"' + b"x" * 1_000_000)
        assert error.payload is not None
        assert error.payload.startswith('{"e":"xxx')
        assert len(error.payload) < 300

    @given(before=st.integers(0, 5000), after=st.integers(0, 200))
    def test_secret_at_the_cut(self, before: int, after: int) -> None:
        """Redaction comes before cutting, so no half of a secret is left at any place of the cut."""
        payload = "y" * before + f'","secretKey":"{SECRET}","z":"' + "z" * after
        excerpt = DataParseError(payload=payload).payload
        assert excerpt is not None
        assert SECRET[:4] not in excerpt

    def test_order_ids_stay(self) -> None:
        """Identifiers are needed to look an order up, so they are kept as they are, however opaque."""
        identifier = "x-R4BD3S82-9b1deb4d3b7d4bad9bdd2b0d7b3dcb6d"
        assert identifier == OrderUnknownError(VENUE, "BTC-USDT", identifier).client_order_id

    def test_plain_words_of_a_venue_stay(self) -> None:
        """Talking about a signature is not telling one."""
        for words in ("Signature for this request is not valid.", "Invalid API-key, IP, or permissions for action."):
            assert words == AuthenticationError(VENUE, venue_message=words).venue_message


class TestParticular:
    """What single classes add."""

    @pytest.mark.parametrize(
        ("kind", "parameters"),
        [
            (AuthenticationError, "exchange_name, detail"),
            (ConfigurationError, "detail"),
            (CurrencyNotFoundError, "exchange_name, currency"),
            (DataParseError, "container_class, detail"),
            (ExchangeConnectionError, "exchange_name, detail"),
            (ExchangeNotFoundError, "exchange_name, available"),
            (InsufficientBalanceError, "exchange_name, symbol, required, available"),
            (InvalidOrderError, "exchange_name, symbol, detail"),
            (InvalidSymbolError, "exchange_name, symbol, detail"),
            (NetworkError, "exchange_name, detail"),
            (OrderError, "exchange_name, symbol, detail"),
            (OrderNotFoundError, "exchange_name, order_id, symbol"),
            (QueueNotInitializedError, "queue_name, detail"),
            (RateLimitError, "exchange_name, retry_after, detail"),
            (RequestError, "exchange_name, url, detail"),
            (RequestFailedError, "exchange_name, url, detail, venue, message, status_code"),
            (RequestTimeoutError, "exchange_name, url, timeout"),
            (SubscribeError, "exchange_name, detail"),
            (WebSocketError, "exchange_name, detail"),
        ],
    )
    def test_parameters_keep_their_order(self, kind: type[BtApiError], parameters: str) -> None:
        """Programs written for the older package raise them with the same arguments."""
        assert ", ".join(inspect.signature(kind).parameters).startswith(parameters)

    def test_refused_subscription_reads_like_a_sentence(self) -> None:
        """Venue, what was wanted, and the venue's words once, though given twice."""
        error = SubscribeError(
            VENUE, "Invalid symbol.", topic="ticker", symbol="X-Y", venue_code=-1121, venue_message="Invalid symbol."
        )
        expected = "BINANCE___SPOT: cannot subscribe to ticker X-Y: Invalid symbol. (venue code -1121)"
        assert expected == str(error)

    def test_unknown_exchange_lists_what_there_is(self) -> None:
        """Whoever mistyped a name sees the right one."""
        error = ExchangeNotFoundError("BINANCE", (name for name in ["BINANCE___SPOT", "OKX___SPOT"]))
        assert error.available == ("BINANCE___SPOT", "OKX___SPOT")
        assert str(error) == "BINANCE: no such exchange; available: BINANCE___SPOT, OKX___SPOT"

    def test_request_failed_takes_both_spellings(self) -> None:
        """``venue`` and ``message`` say the same as ``exchange_name`` and ``detail``."""
        error = RequestFailedError(venue="IB_WEB", message="no", status_code=500)
        assert ("IB_WEB", "IB_WEB", "no", 500) == (error.exchange_name, error.venue, error.detail, error.status_code)

    @pytest.mark.parametrize(
        ("status_code", "retryable"),
        [(None, False), (400, False), (401, False), (404, False), (408, True), (418, False), (429, True), (500, True)],
    )
    def test_status_decides_on_a_retry(self, status_code: int | None, retryable: bool) -> None:
        """The statuses that mean "later" are retryable."""
        assert retryable is RequestFailedError(VENUE, status_code=status_code).retryable

    def test_capability_of_an_enumeration(self) -> None:
        """`NotSupportedError` keeps the capability as given, and says its value."""

        class Capability:
            value = "oco_order"

        error = NotSupportedError(Capability, VENUE)
        assert Capability is error.capability
        assert VENUE == error.venue
        assert str(error) == "BINANCE___SPOT: oco_order is not supported"

    def test_order_of_unknown_fate_is_never_retryable(self) -> None:
        """Not even when it is told to be, or a caller sets it."""
        error = OrderUnknownError(VENUE, "BTC-USDT", "my-1", retryable=True)
        assert error.retryable is False
        error.retryable = True
        assert not is_retryable(error)

    def test_order_of_unknown_fate_names_the_order(self) -> None:
        """Its client order id is what to look the order up by."""
        error = OrderUnknownError(VENUE, "BTC-USDT", "my-1")
        assert str(error) == "BINANCE___SPOT: fate of order my-1 unknown for BTC-USDT"


PREDICATES = {
    is_network_error: (
        *(ExchangeConnectionError(VENUE), NetworkError(VENUE), WebSocketError(VENUE), RequestTimeoutError(VENUE)),
        *(ConnectionResetError(), TimeoutError(), BrokenPipeError(), socket.gaierror(-2, "no such host")),
        *(OSError(errno.ENETUNREACH, "no network"), OSError("all attempts failed"), ssl.SSLError(1, "bad record")),
        *(anyio.BrokenResourceError(), anyio.ConnectionFailed("all attempts failed")),
    ),
    is_auth_error: (AuthenticationError(VENUE), RequestFailedError(VENUE, status_code=401)),
    is_rate_limit_error: (
        *(RateLimitError(VENUE), BannedError(VENUE)),
        *(RequestFailedError(VENUE, status_code=429), RequestFailedError(VENUE, status_code=418)),
    ),
    is_order_error: tuple(example(kind) for kind in CLASSES if issubclass(kind, OrderError)),
    is_user_recoverable: tuple(example(kind) for kind in CLASSES if TREE[kind][2]),
    is_retryable: (
        *(example(kind) for kind in CLASSES if TREE[kind][1]),
        *(RequestFailedError(VENUE, status_code=503), ConnectionRefusedError(), TimeoutError()),
        *(anyio.BrokenResourceError(), OSError(errno.ENETUNREACH, "no network"), OSError("all attempts failed")),
    ),
}
OTHERS = (
    *(ValueError(), KeyError(), Exception(), KeyboardInterrupt(), GeneratorExit()),
    *(FileNotFoundError(errno.ENOENT, "no file"), PermissionError(errno.EACCES, "no"), OSError(errno.ENOSPC, "full")),
    *(anyio.ClosedResourceError(), anyio.EndOfStream(), anyio.WouldBlock(), BtApiError("x"), DataParseError("Tick")),
)
CASES = [(predicate, error) for predicate, errors in PREDICATES.items() for error in errors]


def case_id(value: Any) -> str:
    """Name a case by what is asked and of what."""
    return getattr(value, "__name__", type(value).__name__)


class TestPredicates:
    """The questions a program asks of what it caught."""

    @pytest.mark.parametrize(("predicate", "error"), CASES, ids=case_id)
    def test_yes(self, predicate: Any, error: BaseException) -> None:
        """It says yes to what qualifies, alone and in groups of groups."""
        assert predicate(error) is True
        assert predicate(BaseExceptionGroup("", [error])) is True
        assert predicate(BaseExceptionGroup("", [error, BaseExceptionGroup("", [error, error])])) is True

    @pytest.mark.parametrize("predicate", PREDICATES, ids=case_id)
    @pytest.mark.parametrize("error", OTHERS, ids=case_id)
    def test_no(self, predicate: Any, error: BaseException) -> None:
        """It says no to what has nothing to do with the question."""
        assert predicate(error) is False

    @pytest.mark.parametrize("predicate", PREDICATES, ids=case_id)
    def test_no_to_every_other_class(self, predicate: Any) -> None:
        """Of our own classes it says yes to those listed and to no other."""
        listed = {type(error) for error in PREDICATES[predicate]}
        said_yes = {kind for kind in CLASSES if predicate(example(kind))}
        assert said_yes <= listed

    @pytest.mark.parametrize(("predicate", "error"), CASES, ids=case_id)
    @pytest.mark.parametrize("other", [ValueError(), KeyboardInterrupt()], ids=case_id)
    def test_one_that_does_not_qualify_spoils_the_group(
        self, predicate: Any, error: BaseException, other: BaseException
    ) -> None:
        """Every exception in a group has to qualify, at whatever depth."""
        assert predicate(BaseExceptionGroup("", [error, other])) is False
        assert predicate(BaseExceptionGroup("", [error, BaseExceptionGroup("", [error, other])])) is False

    @given(
        st.recursive(
            st.sampled_from([TimeoutError(), NetworkError(VENUE), RateLimitError(VENUE), ConnectionResetError()]),
            lambda leaf: st.lists(leaf, min_size=1, max_size=4).map(lambda found: BaseExceptionGroup("", found)),
        ),
        st.integers(0, 4),
    )
    def test_unknown_order_spoils_any_group(self, error: BaseException, depth: int) -> None:
        """However deep an order of unknown fate is buried among what may be retried, the group may not."""
        assert is_retryable(error)
        unknown: BaseException = OrderUnknownError(VENUE, client_order_id="my-1")
        for _ in range(depth):
            unknown = BaseExceptionGroup("", [unknown])
        assert not is_retryable(BaseExceptionGroup("", [error, unknown]))

    def test_certificate_that_does_not_verify(self) -> None:
        """It is a failure of the way there, but the next attempt would meet the same certificate."""
        error = ssl.SSLCertVerificationError(1, "certificate verify failed")
        assert is_network_error(error)
        assert not is_retryable(error)

    def test_deep_groups_do_not_exhaust_the_stack(self) -> None:
        """A group nested deeper than the recursion limit is still looked through."""
        error: BaseException = TimeoutError()
        for _ in range(5 * sys.getrecursionlimit()):
            error = BaseExceptionGroup("", [error])
        assert is_retryable(error)

    def test_cause_does_not_count(self) -> None:
        """An order of unknown fate is one although a time limit caused it; what was raised decides."""
        error = OrderUnknownError(VENUE)
        error.__cause__ = TimeoutError()
        assert not is_network_error(error)
        assert not is_retryable(error)
