"""Logging: structured records, redacted at the end of the chain, and nothing a log does ever raises."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx
import pytest
import structlog
from hypothesis import HealthCheck, assume, given, settings, strategies as st

from bt_api_base.exceptions import ConfigurationError, RequestFailedError
from bt_api_base.logging_factory import (
    Logger,
    RedactingFilter,
    configure_logging,
    forget_secret,
    get_logger,
    protect_third_party_loggers,
    register_secret,
    sinks,
)

if sys.version_info < (3, 11):
    from exceptiongroup import ExceptionGroup

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

SECRET = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP"
LEVELS = ("debug", "info", "warning", "error", "critical")
FORMATS = ("console", "logfmt", "json")


@pytest.fixture(autouse=True)
def clean_settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Begin and end with what an empty environment gives."""
    for name in ("BT_API_LOG_LEVEL", "BT_API_LOG_FORMAT", "BT_API_LOG_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    configure_logging()
    yield
    monkeypatch.undo()
    configure_logging()
    forget_secret(SECRET)


@pytest.fixture
def records() -> list[Mapping[str, Any]]:
    """The records that are made, of every level."""
    made: list[Mapping[str, Any]] = []
    configure_logging(level="debug", sink=made.append)
    return made


class TestGetLogger:
    """The loggers of a program."""

    def test_same_logger_for_the_same_arguments(self) -> None:
        """Loggers are made once per module and ``print_info``."""
        assert get_logger("feed") is get_logger("feed", False)
        assert get_logger("feed") is not get_logger("feed", True)
        assert get_logger("feed") is not get_logger("venue")
        assert get_logger("feed").name == "feed"

    def test_same_logger_in_every_thread(self) -> None:
        """Threads that ask at the same time get the same one."""
        found: list[Logger] = []
        threads = [threading.Thread(target=lambda: found.append(get_logger("of_threads"))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert {get_logger("of_threads")} == set(found)

    def test_application_is_left_alone(self, records: list[Any]) -> None:
        """Neither structlog's configuration nor the root logger changes."""
        before = (structlog.get_config(), structlog.is_configured(), logging.root.handlers[:], logging.root.level)
        get_logger("feed").warning("x")
        after = (structlog.get_config(), structlog.is_configured(), logging.root.handlers[:], logging.root.level)
        assert before == after
        assert len(records) == 1

    def test_importing_and_making_a_logger_does_not_load_structlog(self) -> None:
        """What a program never logs does not cost it the import of structlog."""
        code = (
            "import sys; from bt_api_base.logging_factory import get_logger; logger = get_logger('x');"
            "logger.debug('not shown'); assert 'structlog' not in sys.modules;"
            "logger.warning('shown'); assert 'structlog' in sys.modules"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)  # noqa: S603
        assert (done.returncode, done.stdout) == (0, "")
        assert "event=shown" in done.stderr


class TestRecords:
    """What a record has in it."""

    @pytest.mark.parametrize("level", LEVELS)
    def test_parts(self, level: str, records: list[Any]) -> None:
        """Text, level, module, time in UTC, and the values by name."""
        getattr(get_logger("feed"), level)("hello", symbol="BTC-USDT", n=3)
        (record,) = records
        assert record["timestamp"].endswith("Z")
        expected = {"event": "hello", "level": level, "logger": "feed", "symbol": "BTC-USDT", "n": 3}
        assert expected == {name: value for name, value in record.items() if name != "timestamp"}

    @pytest.mark.parametrize(
        ("event", "args", "expected"),
        [
            ("plain 100%", (), "plain 100%"),
            ("%s of %d", ("a", 2), "a of 2"),
            ("%(a)s", ({"a": 1},), "1"),
            ("%s", ({},), "{}"),
            ("%d", ("x",), "%d ('x',)"),
            ("no place", (1, 2), "no place (1, 2)"),
            ("%(b)s", ({"a": 1},), "%(b)s ({'a': 1},)"),
            (ValueError("as it is"), (), "as it is"),
            (3, (), "3"),
        ],
    )
    def test_percent_arguments(
        self, event: object, args: tuple[object, ...], expected: str, records: list[Any]
    ) -> None:
        """Arguments go into the text as `logging` does it; those that do not fit are shown beside it."""
        get_logger("feed").info(event, *args)
        assert expected == records[0]["event"]

    @pytest.mark.parametrize("name", ["event", "level", "logger", "timestamp", "self", "method_name"])
    def test_values_cannot_replace_the_parts(self, name: str, records: list[Any]) -> None:
        """A value with the name of a part keeps its value under another name."""
        get_logger("feed").info("hello", **{name: "mine"})
        assert records[0]["event"] == "hello"
        assert records[0][f"{name}_"] == "mine"

    def test_bound_values(self, records: list[Any]) -> None:
        """A bound logger's records carry its values; the logger it came from does not change."""
        logger = get_logger("feed")
        bound = logger.bind(venue="OKX", n=1).bind(n=2)
        bound.info("a", m=3)
        bound.unbind("n", "x").info("b")
        logger.info("c")
        found = [{name: record[name] for name in ("venue", "n", "m") if name in record} for record in records]
        assert [{"venue": "OKX", "n": 2, "m": 3}, {"venue": "OKX"}, {}] == found

    def test_values_of_the_context(self, records: list[Any]) -> None:
        """Values that the application has bound to the context with structlog are in the records."""
        with structlog.contextvars.bound_contextvars(strategy="s1"):
            get_logger("feed").info("a")
        assert records[0]["strategy"] == "s1"

    @pytest.mark.parametrize("how", ["exception", "exc_info=True", "exc_info=error", "exc_info=tuple"])
    def test_exceptions(self, how: str, records: list[Any]) -> None:
        """The exception at hand, or one that is given, is recorded with its traceback."""
        logger = get_logger("feed")
        try:
            raise ValueError("it broke")
        except ValueError as error:
            if how == "exception":
                logger.exception("oh")
            else:
                exc_info = {"exc_info=True": True, "exc_info=error": error, "exc_info=tuple": sys.exc_info()}[how]
                logger.error("oh", exc_info=exc_info)
        assert records[0]["level"] == "error"
        assert records[0]["exception"].startswith("Traceback")
        assert records[0]["exception"].endswith("ValueError: it broke")

    def test_no_exception_at_hand(self, records: list[Any]) -> None:
        """`exception` outside of a handler is an error without one."""
        get_logger("feed").exception("oh")
        assert "exception" not in records[0]

    def test_stack(self, records: list[Any]) -> None:
        """``stack_info`` adds the way here."""
        get_logger("feed").info("oh", stack_info=True)
        assert "test_stack" in records[0]["stack"]

    def test_repr_shows_no_values(self) -> None:
        """What is bound may be secret, so a logger's repr has the names only."""
        assert repr(get_logger("feed").bind(api_key=SECRET)) == "Logger('feed', api_key)"


class TestLevelsAndFormats:
    """The environment and `configure_logging` say what is shown, where and how."""

    def shown(self, capsys: pytest.CaptureFixture[str], *, print_info: bool = False) -> list[str]:
        """Return the levels that reach standard error."""
        logger = get_logger("feed", print_info)
        for level in LEVELS:
            getattr(logger, level)("hello")
        lines = capsys.readouterr().err.splitlines()
        assert [logger.is_enabled_for(level) for level in LEVELS].count(True) == len(lines)
        return [level for level in LEVELS for line in lines if f"level={level} " in line]

    def test_default(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Warnings and worse are shown; with ``print_info`` information too."""
        assert ["warning", "error", "critical"] == self.shown(capsys)
        assert ["info", "warning", "error", "critical"] == self.shown(capsys, print_info=True)

    @pytest.mark.parametrize("level", LEVELS)
    def test_level(self, level: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        """A level that is set decides alone, whether by the environment or by the program."""
        expected = list(LEVELS[LEVELS.index(level) :])
        monkeypatch.setenv("BT_API_LOG_LEVEL", level.upper())
        configure_logging()
        assert expected == self.shown(capsys)
        monkeypatch.delenv("BT_API_LOG_LEVEL")
        configure_logging(level=level)
        assert expected == self.shown(capsys)
        configure_logging(level=getattr(logging, level.upper()))
        assert expected == self.shown(capsys)

    def test_program_before_environment(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What the program says goes before what the environment says."""
        monkeypatch.setenv("BT_API_LOG_LEVEL", "debug")
        configure_logging(level="critical")
        assert ["critical"] == self.shown(capsys)

    def test_unknown_level(self) -> None:
        """A level by an unknown name does not exist, and is not enabled."""
        with pytest.raises(ConfigurationError, match="'loud'; there are debug, info"):
            configure_logging(level="loud")
        assert not get_logger("feed").is_enabled_for("loud")

    def test_unknown_format(self) -> None:
        """A format by an unknown name is refused, with those there are."""
        with pytest.raises(ConfigurationError, match="'xml'; there are auto, console, logfmt, json"):
            configure_logging(format="xml")  # type: ignore[arg-type]

    def test_environment_that_means_nothing(self) -> None:
        """A mistyped variable does not stop the program; the log says that it was ignored."""
        environment = {**os.environ, "BT_API_LOG_LEVEL": "loud", "BT_API_LOG_FORMAT": "xml"}
        code = "from bt_api_base.logging_factory import get_logger; get_logger('x')"
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
        )
        assert [True, True] == [f"variable=BT_API_LOG_{name}" in done.stderr for name in ("LEVEL", "FORMAT")]

    def test_json(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        """JSON is one object a line."""
        monkeypatch.setenv("BT_API_LOG_FORMAT", "json")
        configure_logging()
        get_logger("feed").warning("two\nlines", values={"a": [1, 2.5, None]}, text="ä")
        (line,) = capsys.readouterr().err.splitlines()
        record = json.loads(line)
        assert (record["event"], record["values"], record["text"]) == ("two\nlines", {"a": [1, 2.5, None]}, "ä")

    def test_logfmt(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Away from a terminal it is key=value on one line, which begins with when, how bad, who and what."""
        get_logger("feed").warning("two\nlines", values={"a": 1}, **{"odd key": "x y"})
        (line,) = capsys.readouterr().err.splitlines()
        names = [part.partition("=")[0] for part in line.split(" ")]
        assert ["timestamp", "level", "logger", "event"] == names[:4]
        assert line.endswith(r'event=two\nlines values="{\"a\": 1}" odd_key="x y"')

    def test_console_on_a_terminal(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """On a terminal it is laid out for people."""

        class FakeTerminal(io.StringIO):
            def isatty(self) -> bool:
                return True

        terminal = FakeTerminal()
        monkeypatch.setattr(sys, "stderr", terminal)
        get_logger("feed").warning("hello", n=1)
        assert "[warning  ] hello" in terminal.getvalue()

    @pytest.mark.parametrize("log_format", FORMATS)
    def test_no_control_over_the_terminal(self, log_format: Any, capsys: pytest.CaptureFixture[str]) -> None:
        """A venue's words cannot move the cursor, clear the screen or forge the line after them."""
        configure_logging(format=log_format)
        words = "\x1b[2J\r\x9b2Jforged"
        get_logger("feed").warning(words, text=words, nested=[words], **{words: 1})
        shown = capsys.readouterr().err
        assert {"\x1b", "\r", "\x9b"}.isdisjoint(shown)
        assert len(shown.splitlines()) == 1


class TestFiles:
    """One file per module in the folder that is configured."""

    def test_file_per_module(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each module's records are JSON lines in a file named after it; the folder is made."""
        monkeypatch.setenv("BT_API_LOG_DIR", str(tmp_path / "deep" / "logs"))
        configure_logging()
        get_logger("feed").info("for the file")
        get_logger("../venue/x").info("elsewhere", key=1)
        assert {"feed.log", "_venue_x.log"} == {path.name for path in (tmp_path / "deep" / "logs").iterdir()}
        assert json.loads((tmp_path / "deep" / "logs" / "feed.log").read_text())["event"] == "for the file"

    def test_file_gets_what_standard_error_does_not_show(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Information goes to the file; warnings go to both."""
        configure_logging(directory=tmp_path)
        logger = get_logger("feed")
        logger.debug("a")
        logger.info("b")
        logger.warning("c")
        lines = (tmp_path / "feed.log").read_text().splitlines()
        assert ["b", "c"] == [json.loads(line)["event"] for line in lines]
        assert "event=b" not in capsys.readouterr().err

    def test_bound_loggers_share_the_file(self, tmp_path: Path) -> None:
        """Loggers of one module write to one file, whoever made them."""
        configure_logging(directory=tmp_path, format="logfmt")
        get_logger("feed").bind(n=1).warning("a")
        get_logger("feed", True).warning("b")
        assert ["a", "b"] == [
            line.partition("event=")[2].split()[0] for line in (tmp_path / "feed.log").read_text().splitlines()
        ]

    def test_file_grows_within_bounds(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A program that runs for weeks does not fill the disk."""
        monkeypatch.setattr(sinks, "_MAX_FILE_BYTES", 1000)
        configure_logging(directory=tmp_path)
        for number in range(100):
            get_logger("feed").info("hello", number=number)
        sizes = [path.stat().st_size for path in tmp_path.iterdir()]
        assert len(sizes) == 5
        assert max(sizes) <= 1000


class TestNothingRaises:
    """Whatever is wrong with a log, the program goes on."""

    def test_folder_that_cannot_be_made(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """It is reported once, and the records still reach standard error."""
        (tmp_path / "file").write_text("")
        configure_logging(directory=tmp_path / "file" / "logs")
        get_logger("feed").warning("one")
        get_logger("feed").warning("two")
        shown = capsys.readouterr().err
        assert shown.count("no log file") == 1
        assert "event=one" in shown
        assert "event=two" in shown

    def test_file_that_cannot_be_written(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """A full disk costs the line, not the program."""
        configure_logging(directory=tmp_path)
        get_logger("feed").warning("one")
        handler = sinks._files["feed"]
        assert isinstance(handler, logging.FileHandler)
        handler.stream.close()
        get_logger("feed").warning("two")
        handler.stream = None  # type: ignore[assignment]
        assert "event=two" in capsys.readouterr().err

    @pytest.mark.parametrize("log_format", ["auto", *FORMATS])
    @pytest.mark.parametrize("stream", [None, "closed", "broken"])
    def test_no_standard_error(self, stream: str | None, log_format: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """No standard error, a closed one, or one that fails: nothing happens."""

        class FakeBrokenPipe(io.StringIO):
            def write(self, text: str) -> int:
                raise BrokenPipeError

        closed = io.StringIO()
        closed.close()
        configure_logging(format=log_format)
        monkeypatch.setattr(sys, "stderr", {None: None, "closed": closed, "broken": FakeBrokenPipe()}[stream])
        get_logger("feed").warning("hello")

    def test_sink_that_raises(self, capsys: pytest.CaptureFixture[str]) -> None:
        """A sink's trouble is reported by kind; its text could hold a secret."""

        def sink(record: Mapping[str, Any]) -> None:
            raise RuntimeError(SECRET)

        configure_logging(sink=sink)
        get_logger("feed").warning("hello")
        assert capsys.readouterr().err == "[error] logging: the sink raised RuntimeError\n"

    def test_text_that_cannot_be_made(self, capsys: pytest.CaptureFixture[str]) -> None:
        """A record that cannot be rendered is dropped and its loss reported, without its content."""

        class Broken:
            def __str__(self) -> str:
                raise RuntimeError(SECRET)

        get_logger("feed").warning(Broken())
        get_logger("feed").warning("%s", Broken(), secret=SECRET)
        shown = capsys.readouterr().err
        assert ["[warning] feed: a log record was lost (RuntimeError)"] * 2 == shown.splitlines()

    @pytest.mark.parametrize("log_format", FORMATS)
    @given(event=st.text(), values=st.dictionaries(st.text(), st.none() | st.text() | st.floats() | st.binary()))
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
    def test_any_text_and_values(
        self, log_format: Any, event: str, values: dict[str, Any], capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Any text and any values make a record, none is lost."""
        assume(not {"exc_info", "stack_info"} & set(values))
        configure_logging(format=log_format)
        get_logger("feed").warning(event, **values)
        shown = capsys.readouterr().err
        assert shown.endswith("\n")
        assert "was lost" not in shown


class Carrier:
    """An object that shows a secret in its repr, as settings do."""

    def __init__(self, value: object) -> None:
        self.value = value

    def __repr__(self) -> str:
        return f"Carrier(api_key={self.value!r})"


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    """Return ``error`` with a traceback and a cause."""
    try:
        raise error from cause
    except BaseException as caught:  # noqa: BLE001 - whatever it is, it is handed back
        return caught


BY_NAME: dict[str, Any] = {
    "text": lambda log, s: log(f'got {{"apiKey":"{s}"}}'),
    "argument": lambda log, s: log("got %s", {"apiKey": s}),
    "value": lambda log, s: log("x", api_secret=s),
    "nested value": lambda log, s: log("x", a=[{"b": ({"passphrase": s},)}]),
    "bytes": lambda log, s: log("x", frame=f'{{"op":"login","args":[{{"sign":"{s}"}}]}}'.encode()),
    "headers": lambda log, s: log("x", headers=[("X-MBX-APIKEY", s), (b"OK-ACCESS-SIGN", s.encode())]),
    "url": lambda log, s: log("x", url=httpx.URL("https://api.test/v3/order", params={"signature": s})),
    "url in text": lambda log, s: log(f"GET {httpx.URL('https://api.test/x', params={'listenKey': s})}"),
    "object": lambda log, s: log("x", config=Carrier(s)),
    "exception argument": lambda log, s: log("x", exc_info=raised(ValueError({"secretKey": s}))),
    "cause": lambda log, s: log("x", exc_info=raised(ValueError(), KeyError({"token": s}))),
    "group": lambda log, s: log("x", exc_info=raised(ExceptionGroup("g", [raised(ValueError({"token": s}))]))),
    "exception as a value": lambda log, s: log("x", error=ValueError({"password": s})),
    "exception of ours": lambda log, s: log("x", exc_info=RequestFailedError("V", f"https://a.test/?token={s}")),
}
BY_VALUE: dict[str, Any] = {
    "text": lambda log, s: log(f"got {s}"),
    "argument": lambda log, s: log("got %s", s),
    "value": lambda log, s: log("x", a=s),
    "key": lambda log, s: log("x", **{s: 1}),
    "nested key": lambda log, s: log("x", a=[{s: 1}]),
    "nested value": lambda log, s: log("x", a=[{"b": ({"c": s},)}, {s}]),
    "bytes": lambda log, s: log("x", a=s.encode()),
    "object": lambda log, s: log("x", a=Carrier([s])),
    "url path": lambda log, s: log("x", url=httpx.URL(f"wss://a.test/ws/{quote(s, safe='')}")),
    "exception": lambda log, s: log("x", exc_info=raised(ValueError(s), KeyError(s))),
    "bound": lambda log, s: get_logger("feed").bind(a=s).error("x"),
}
# The first letters keep a secret from being, by accident, a word that any record has.
unnamed_secrets = st.from_regex(r"9Zq[a-zA-Z0-9+/=._-]{7,60}", fullmatch=True)
ordinary = st.characters(min_codepoint=33, max_codepoint=0x24F, exclude_categories=("Cs", "Zs"))


class TestSecrets:
    """No secret is ever shown, wherever it hides."""

    @pytest.mark.parametrize("log_format", FORMATS)
    @pytest.mark.parametrize("place", BY_NAME)
    @given(secret=unnamed_secrets)
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
    def test_by_name(self, place: str, log_format: Any, secret: str, capsys: pytest.CaptureFixture[str]) -> None:
        """A secret of which the log knows nothing but the name beside it."""
        configure_logging(format=log_format)
        BY_NAME[place](get_logger("feed").error, secret)
        shown = capsys.readouterr().err
        assert secret not in shown
        assert "***" in shown

    @pytest.mark.parametrize("log_format", FORMATS)
    @pytest.mark.parametrize("place", BY_VALUE)
    @given(secret=st.text(ordinary, min_size=10))
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
    def test_by_value(self, place: str, log_format: Any, secret: str, capsys: pytest.CaptureFixture[str]) -> None:
        """A secret that has been registered, of any characters, in any place."""
        configure_logging(format=log_format)
        register_secret(secret)
        BY_VALUE[place](get_logger("feed").error, secret)
        forget_secret(secret)
        shown = capsys.readouterr().err
        for spelling in (secret, json.dumps(secret)[1:-1], repr(secret)[1:-1]):
            assert spelling not in shown
        assert "***" in shown

    def test_in_files_and_sinks(self, tmp_path: Path, records: list[Any]) -> None:
        """Redaction comes before every sink."""
        configure_logging(sink=records.append, directory=tmp_path)
        get_logger("feed").warning("x", api_key=SECRET)
        assert records[0]["api_key"] == "***"
        assert SECRET not in (tmp_path / "feed.log").read_text()


class TestThirdParties:
    """What other libraries log about our connections."""

    @pytest.fixture
    def lines(self) -> Iterator[io.StringIO]:
        """What the application's own root handler shows."""
        shown = io.StringIO()
        handler = logging.StreamHandler(shown)
        level = logging.root.level
        logging.root.addHandler(handler)
        logging.root.setLevel(logging.DEBUG)
        yield shown
        logging.root.removeHandler(handler)
        logging.root.setLevel(level)

    def test_httpx(self, lines: io.StringIO) -> None:
        """Of a request's whole URL, which httpx logs at INFO, the request stays and its secrets go."""
        transport = httpx.MockTransport(lambda request: httpx.Response(200))
        with httpx.Client(transport=transport) as client:
            client.get(f"https://api.test/api/v3/order?symbol=BTCUSDT&listenKey=abc&signature={SECRET}")
        (line,) = [line for line in lines.getvalue().splitlines() if "HTTP Request" in line]
        expected = (
            "HTTP Request: GET https://api.test/api/v3/order?symbol=BTCUSDT&listenKey=***&signature=***"
            ' "HTTP/1.1 200 OK"'
        )
        assert expected == line

    @pytest.mark.parametrize("name", ["httpcore.http11", "httpcore.connection", "websockets.client", "hpack"])
    def test_loggers_below(self, name: str, lines: io.StringIO) -> None:
        """A logger's filter does not see what the loggers below it log, so each has one."""
        logging.getLogger(name).debug("send_headers %r", [(b"X-MBX-APIKEY", SECRET.encode()), (b"Host", b"api.test")])
        assert lines.getvalue() == "send_headers [(b'X-MBX-APIKEY', b'***'), (b'Host', b'api.test')]\n"

    def test_loggers_that_come_later(self, lines: io.StringIO) -> None:
        """Calling it again covers new loggers of the same libraries, and adds no filter twice."""
        logger = logging.getLogger("httpcore.of_tomorrow")
        protect_third_party_loggers()
        protect_third_party_loggers()
        logger.warning("token=%s", SECRET)
        assert len(logger.filters) == 1
        assert lines.getvalue() == "token=***\n"

    def test_application_is_not_filtered(self, lines: io.StringIO) -> None:
        """The application's own loggers are its own business."""
        logging.getLogger("application").warning("token=abc")
        assert lines.getvalue() == "token=abc\n"

    def test_filter_on_a_handler(self, lines: io.StringIO) -> None:
        """An application can put the filter on a handler, to cover everything."""
        (handler,) = [h for h in logging.root.handlers if getattr(h, "stream", None) is lines]
        handler.addFilter(RedactingFilter())
        try:
            raise raised(ValueError({"secret": SECRET}), KeyError(f"https://me:{SECRET}@api.test"))
        except ValueError:
            logging.getLogger("application").exception("oh %s", {"token": SECRET}, stack_info=True)
        shown = lines.getvalue()
        assert SECRET not in shown
        assert "oh {'token': '***'}" in shown
        assert "ValueError: {'secret': '***'}" in shown
        assert "Stack (most recent call last)" in shown

    def test_arguments_that_do_not_fit(self) -> None:
        """A record that cannot be formatted is shown without its arguments, and nothing is raised."""
        record = logging.makeLogRecord({"msg": "%d of", "args": (SECRET, SECRET)})
        assert RedactingFilter().filter(record)
        assert record.getMessage() == "%d of (its arguments do not fit)"

    def test_objects_that_cannot_be_shown(self) -> None:
        """Neither does a message or an exception whose text fails."""

        class BrokenError(Exception):
            def __str__(self) -> str:
                raise RuntimeError(SECRET)

        error = BrokenError()
        record = logging.makeLogRecord({"msg": error, "exc_info": (BrokenError, error, None)})
        assert RedactingFilter().filter(record)
        assert record.getMessage() == "(unreadable)"
        assert record.exc_info is None
        assert SECRET not in str(record.exc_text)
