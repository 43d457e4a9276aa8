"""The commands that ask a venue over REST and trade there, against simulated venues."""

from __future__ import annotations

import csv
import io
import sys
from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec
import pytest
import stamina

from bt_api_base import cli
from bt_api_base.containers import Bar
from bt_api_base.logging_factory import configure_logging
from bt_api_base.security import create_env_template

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

BACKENDS = ("asyncio", "uvloop", "trio")
VENUES = (
    ("BINANCE___SPOT", "BTC-USDT"),
    ("BINANCE___SWAP", "BTC-USDT-SWAP"),
    ("OKX___SPOT", "BTC-USDT"),
    ("OKX___SWAP", "BTC-USDT-SWAP"),
)

every_loop = pytest.mark.parametrize("backend", BACKENDS)
every_venue = pytest.mark.parametrize(("exchange", "symbol"), VENUES)


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Wide tables, nobody's credentials, and logging as it was."""
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.chdir(tmp_path)
    for name in ("BINANCE_API_KEY", "BINANCE_SECRET", "BT_API_CREDENTIALS_FILE", "BT_API_LOG_LEVEL"):
        monkeypatch.delenv(name, raising=False)
    yield
    configure_logging()


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run a command; return its exit status, its output and its complaints."""

    def call(*arguments: str) -> tuple[int, str, str]:
        status = cli.main(arguments)
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return call


@every_venue
def test_ticker(exchange: str, symbol: str, call: Callable[..., tuple[int, str, str]]) -> None:
    """The latest prices, from every venue."""
    status, out, _ = call("ticker", exchange, symbol, "--sim")
    assert 0 == status
    assert symbol in out
    assert f"simulated {exchange}" in out


@every_venue
def test_balance(exchange: str, symbol: str, call: Callable[..., tuple[int, str, str]]) -> None:
    """What the account holds, exactly, as JSON where a program reads it."""
    status, out, _ = call("balance", exchange, "USDT", "--sim", "--json")
    (row,) = [msgspec.json.decode(line) for line in out.splitlines()]
    assert (0, "balance", "USDT", Decimal(100_000)) == (status, row["type"], row["symbol"], Decimal(row["margin"]))


def test_no_open_orders(call: Callable[..., tuple[int, str, str]]) -> None:
    """No orders are no error."""
    status, out, _ = call("orders", "BINANCE___SPOT", "--sim")
    assert 0 == status
    assert "none" in out


class TestKlines:
    """Bars into a file."""

    def test_as_csv(self, call: Callable[..., tuple[int, str, str]]) -> None:
        """The newest ones go to standard output, with a header."""
        status, out, _ = call("klines", "BINANCE___SPOT", "BTC-USDT", "--sim", "--count", "3")
        header, *rows = csv.reader(io.StringIO(out))
        assert (0, 3) == (status, len(rows))
        assert ["exchange_name", "symbol", "period", "open_time"] == header[:4]
        assert 60_000_000_000 == int(rows[1][3]) - int(rows[0][3])

    @every_venue
    def test_as_json_lines(
        self, exchange: str, symbol: str, tmp_path: Path, call: Callable[..., tuple[int, str, str]]
    ) -> None:
        """A day of minutes takes several pages; every minute is there once, and each line has every column."""
        path = tmp_path / "bars.jsonl"
        span = ("--start", "2026-11-20", "--end", "2026-11-21")
        status, out, said = call("klines", exchange, symbol, "--sim", *span, "-o", str(path))
        rows = [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]
        assert (0, "", 1440) == (status, out, len(rows))
        assert "1,440 bars" in said
        opened = [row["open_time"] for row in rows]
        assert list(range(opened[0], opened[0] + 1440 * 60_000_000_000, 60_000_000_000)) == opened
        assert set(Bar.__struct_fields__) - {"server_time", "local_time"} == set(rows[0])
        assert [path] == list(tmp_path.iterdir())

    def test_a_file_is_complete_or_not_there(self, tmp_path: Path, call: Callable[..., tuple[int, str, str]]) -> None:
        """What the venue refuses leaves no file under the name that was asked for."""
        path = tmp_path / "bars.csv"
        status, _, said = call("klines", "BINANCE___SPOT", "NO-SUCH", "--sim", "--period", "7m", "-o", str(path))
        assert 1 == status
        assert said.startswith("error: ")
        assert not path.exists()

    def test_the_format_has_to_be_known(self, tmp_path: Path, call: Callable[..., tuple[int, str, str]]) -> None:
        """Nothing is downloaded for a file that could not be written."""
        status, _, said = call("klines", "BINANCE___SPOT", "BTC-USDT", "--sim", "-o", str(tmp_path / "bars.parquet"))
        assert 1 == status
        assert "*.csv or *.jsonl" in said

    def test_what_is_refused_has_no_output(self, call: Callable[..., tuple[int, str, str]]) -> None:
        """Not even the names of the columns: the next program in a pipe would take them for an answer."""
        status, out, said = call("klines", "BINANCE___SPOT", "BTC-USDT", "--sim", "--period", "7m")
        assert (1, "") == (status, out)
        assert said.startswith("error: ")

    def test_no_bars_are_a_table_without_rows(self, call: Callable[..., tuple[int, str, str]]) -> None:
        """Where a range has none, the columns are there all the same."""
        range_ = ("--start", "2001-01-01", "--end", "2001-01-02")
        status, out, _ = call("klines", "BINANCE___SPOT", "BTC-USDT", "--sim", *range_)
        assert 0 == status
        assert [] == list(csv.DictReader(io.StringIO(out)))
        assert out.startswith("exchange_name,")

    def test_a_range_has_a_start_before_its_end(self, call: Callable[..., tuple[int, str, str]]) -> None:
        """Exchanged by mistake, they are no empty answer."""
        range_ = ("--start", "2026-02-01", "--end", "2026-01-01")
        status, _, said = call("klines", "BINANCE___SPOT", "BTC-USDT", "--sim", *range_)
        assert 1 == status
        assert "--start 2026-02-01T00:00:00 is not before --end 2026-01-01T00:00:00" in said


class TestOrders:
    """Orders are placed and canceled when somebody agrees."""

    @every_loop
    def test_placed(self, backend: str, call: Callable[..., tuple[int, str, str]]) -> None:
        """A market order is filled, and its average price is shown."""
        status, out, _ = call(
            "order", "place", "BINANCE___SPOT", "buy", "BTC-USDT", "0.01", "--sim", "--yes", "--backend", backend
        )
        assert 0 == status
        assert "filled" in out

    @every_venue
    def test_what_became_of_it(self, exchange: str, symbol: str, call: Callable[..., tuple[int, str, str]]) -> None:
        """Also where the venue's answer is nothing but an id."""
        status, out, _ = call("order", "place", exchange, "buy", symbol, "1", "--sim", "--yes", "--json")
        order = msgspec.json.decode(out)
        assert (0, "filled", Decimal(1)) == (status, order["order_status"], Decimal(order["executed_qty"]))

    @every_venue
    def test_at_a_limit(self, exchange: str, symbol: str, call: Callable[..., tuple[int, str, str]]) -> None:
        """A limit order below the market waits."""
        place = ("order", "place", exchange, "buy", symbol, "1", "--price", "100", "--sim", "--yes", "--json")
        status, out, _ = call(*place)
        order = msgspec.json.decode(out)
        assert (0, "new", Decimal(100)) == (status, order["order_status"], Decimal(order["order_price"]))

    @pytest.mark.parametrize(("answer", "status"), [("y\n", 0), ("yes\n", 0), ("n\n", 1), ("\n", 1), ("", 1)])
    def test_asks_before(
        self, answer: str, status: int, monkeypatch: pytest.MonkeyPatch, call: Callable[..., tuple[int, str, str]]
    ) -> None:
        """Only a yes places an order; no answer is none."""
        monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
        place = ("order", "place", "BINANCE___SPOT", "sell", "BTC-USDT", "0.5", "--price", "99999.50", "--sim")
        done, out, asked = call(*place)
        assert status == done
        assert "sell 0.5 BTC-USDT at 99999.50 at the simulated BINANCE___SPOT (no money)" in asked
        assert ("new" in out) is (status == 0)

    def test_says_when_it_is_real(
        self, monkeypatch: pytest.MonkeyPatch, call: Callable[..., tuple[int, str, str]]
    ) -> None:
        """Whoever agrees knows that it is about money."""
        monkeypatch.setattr(sys, "stdin", io.StringIO(""))
        _, _, asked = call("order", "place", "BINANCE___SPOT", "buy", "BTC-USDT", "1")
        assert "REAL money" in asked

    def test_refused(self, call: Callable[..., tuple[int, str, str]]) -> None:
        """What breaks a rule of the instrument is an error that names the rule."""
        status, _, said = call("order", "place", "BINANCE___SPOT", "buy", "BTC-USDT", "0.0000000001", "--sim", "--yes")
        assert 1 == status
        assert "invalid order for BTC-USDT" in said

    @pytest.mark.parametrize("typed", ["abc", "1,5", "NaN", "Infinity", "1e500", ""])
    def test_numbers_are_numbers(self, typed: str, call: Callable[..., tuple[int, str, str]]) -> None:
        """What is none is wrong usage, as quantity and as price."""
        place = ("order", "place", "BINANCE___SPOT", "buy", "BTC-USDT")
        for numbers in ((typed,), ("1", "--price", typed)):
            status, _, said = call(*place, *numbers, "--sim", "--yes")
            assert 2 == status
            assert f'"{typed}" is no number' in said

    def test_canceling_nothing(self, call: Callable[..., tuple[int, str, str]]) -> None:
        """All orders of a symbol may be none; an order that is not there is an error."""
        assert 0 == call("order", "cancel", "BINANCE___SPOT", "BTC-USDT", "--all", "--sim", "--yes")[0]
        status, _, said = call("order", "cancel", "BINANCE___SPOT", "BTC-USDT", "--order-id", "1", "--sim", "--yes")
        assert 1 == status
        assert "order 1 not found" in said

    def test_canceling_what(self, call: Callable[..., tuple[int, str, str]]) -> None:
        """Which order is said once."""
        for which in ((), ("--all", "--order-id", "1")):
            status, _, said = call("order", "cancel", "BINANCE___SPOT", "BTC-USDT", "--sim", "--yes", *which)
            assert 2 == status
            assert "--client-order-id" in said


def test_without_credentials(call: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    """It says where they are looked for, and how to do without."""
    status, _, said = call("balance", "BINANCE___SPOT")
    assert 1 == status
    assert "looked for in" in said
    assert said.endswith(". Or try it without an account: --sim\n")
    create_env_template(tmp_path / "example")
    assert "BINANCE" in (tmp_path / "example").read_text()


def test_venues_that_cannot_be_simulated(call: Callable[..., tuple[int, str, str]]) -> None:
    """It says which can."""
    for exchange in ("OKX___OPTION", "NOWHERE___SPOT"):
        status, _, said = call("ticker", exchange, "BTC-USDT", "--sim")
        assert 1 == status
        assert "BINANCE___SPOT" in said


def test_no_network_is_one_line(
    monkeypatch: pytest.MonkeyPatch, call: Callable[..., tuple[int, str, str]], free_tcp_port: int
) -> None:
    """Where nobody listens, the error says so once, however often it was tried; the log has each where it is wanted."""
    ticker = ("ticker", "BINANCE___SPOT", "BTC-USDT", "--rest-url", f"http://127.0.0.1:{free_tcp_port}")
    with stamina.set_testing(True, attempts=3):  # without the pauses
        status, out, said = call(*ticker)
        assert (1, "", 1) == (status, out, said.count("\n"))
        assert f"127.0.0.1:{free_tcp_port}" in said
        monkeypatch.setenv("BT_API_LOG_LEVEL", "warning")
        configure_logging()
        assert 2 == call(*ticker)[2].count("trying again")
