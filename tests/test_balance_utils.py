"""Balances and accounts, from the forms that venues have for them to ours: exact, and nothing made up."""

from __future__ import annotations

import decimal
import json
from decimal import Decimal
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from bt_api_base.balance_utils import (
    combine_accounts,
    combine_balances,
    exact_sum,
    names,
    nested_balance_handler,
    normalize_account,
    normalize_balances,
    simple_balance_handler,
)
from bt_api_base.containers import Account, Balance, Position
from bt_api_base.containers.enums import MarginType, PositionSide
from bt_api_base.exceptions import DataParseError
from tests.corpora import corpora_path

D = Decimal
AMOUNTS = st.decimals(min_value=D("-1E15"), max_value=D("1E15"), allow_nan=False, allow_infinity=False, places=18)


class Getters:
    """An account or a balance as plugins have them: nothing is there before `init_data`."""

    def __init__(self, currency: str, margin: Any, available: Any, profit: Any, balances: Any = ()) -> None:
        self._data = currency, margin, available, profit, balances

    def init_data(self) -> None:
        """Read what came."""
        self.currency, self.margin, self.available, self.profit, self.balances = self._data

    def get_account_type(self) -> str:
        """Return the currency of an account that has one."""
        return self.currency

    get_symbol_name = get_account_type

    def get_margin(self) -> Any:
        """Return the total."""
        return self.margin

    def get_available_margin(self) -> Any:
        """Return what is free."""
        return self.available

    def get_unrealized_profit(self) -> Any:
        """Return the profit of open positions."""
        return self.profit

    def get_balances(self) -> Any:
        """Return the balances."""
        return self.balances


def balance(currency: str, *amounts: Any, **fields: Any) -> Balance:
    """Return a balance at no venue in particular."""
    return Balance("X", currency, 0, 0, *[None if amount is None else D(amount) for amount in amounts], **fields)


class TestHandlers:
    """What plugins register: worth and cash by currency."""

    def test_simple(self) -> None:
        """An account is of one currency, which is its type."""
        assert (
            {"USDT": {"value": 2.0}, "BTC": {"value": 0.0}},
            {"USDT": {"cash": 1.0}, "BTC": {"cash": 0.0}},
        ) == simple_balance_handler([Getters("USDT", 1.5, 1.0, 0.5), Getters("BTC", None, None, None)])

    def test_nested(self) -> None:
        """An account has a balance for each currency."""
        balances = [Getters("USDT", 1.5, 1.0, 0.5), Getters("BTC", None, 2.0, 1.0)]
        assert (
            {"USDT": {"value": 2.0}, "BTC": {"value": 1.0}},
            {"USDT": {"cash": 1.0}, "BTC": {"cash": 2.0}},
        ) == nested_balance_handler([Getters("", None, None, None, balances), Getters("", None, None, None, None)])

    def test_several_accounts_add_up(self) -> None:
        """None of them is forgotten."""
        values, cash = simple_balance_handler([Getters("USDT", 1.0, 1.0, 0.0), Getters("USDT", 2.0, 0.5, 1.0)])
        assert ({"value": 4.0}, {"cash": 1.5}) == (values["USDT"], cash["USDT"])

    def test_numbers_keep_their_type(self) -> None:
        """Decimals and text are exact, floats stay floats, and in company a float stands for what it shows."""
        values, cash = simple_balance_handler(
            [Getters("A", D("0.1"), "0.3", D("0.2")), Getters("B", 0.1, 0.1, D("0.2")), Getters("C", 1, 1, 1.5)]
        )
        assert {"A": D("0.3"), "B": D("0.3"), "C": 2.5} == {
            currency: value["value"] for currency, value in values.items()
        }
        assert [D, D, float] == [type(value["value"]) for value in values.values()]
        assert [D, float, float] == [type(value["cash"]) for value in cash.values()]

    @pytest.mark.parametrize("handler", [simple_balance_handler, nested_balance_handler])
    def test_containers(self, handler: Any) -> None:
        """Both take them as well: accounts with balances, accounts with totals, and balances."""
        accounts = [
            Account("X", "", 0, 0, balances=(balance("BTC", "2", "1"), balance("USDT", "10", "7", None, "-1"))),
            Account("X", "USDT", 0, 0, total_wallet_balance=D(5), total_unrealized_profit=D(1)),
            Account("X", "USD", 0, 0, total_margin=D(3), total_unrealized_profit=D(1), total_available_margin=D(2)),
            balance("BTC", "0.5"),
        ]
        values, cash = handler(accounts)
        assert {"BTC": D("2.5"), "USDT": D(15), "USD": D(3)} == {name: each["value"] for name, each in values.items()}
        assert {"BTC": D(1), "USDT": D(7), "USD": D(2)} == {name: each["cash"] for name, each in cash.items()}

    def test_nothing_makes_nothing(self) -> None:
        """No accounts, no currencies."""
        assert ({}, {}) == simple_balance_handler([]) == nested_balance_handler([])


class TestForms:
    """The same balances in the forms that venues have for them."""

    @pytest.mark.parametrize(
        "data",
        [
            pytest.param({"BTC": {"free": "1", "locked": "0.5"}, "ETH": {"free": 2, "locked": 0}}, id="flat"),
            pytest.param({"BTC": {"free": 1.0, "used": 0.5, "total": 1.5}, "ETH": {"free": 2, "used": 0}}, id="ccxt"),
            pytest.param(
                {
                    "balances": [
                        {"asset": "BTC", "free": "1", "locked": "0.5"},
                        {"asset": "ETH", "free": "2", "locked": "0"},
                    ]
                },
                id="binance",
            ),
            pytest.param(
                {
                    "code": "0",
                    "data": [
                        {
                            "details": [
                                {"ccy": "BTC", "cashBal": "1.5", "availBal": "1", "frozenBal": "0.5", "upl": ""},
                                {"ccy": "ETH", "cashBal": "2", "availBal": "2", "frozenBal": "0", "eqUsd": "1"},
                            ]
                        }
                    ],
                },
                id="okx",
            ),
            pytest.param(
                [
                    {"ccy": "BTC", "bal": "1.5", "availBal": "1", "frozenBal": "0.5"},
                    {"ccy": "ETH", "availBal": "2", "frozenBal": "0"},
                ],
                id="okx funding",
            ),
            pytest.param(
                {
                    "status": "ok",
                    "data": {
                        "id": 1000001,
                        "type": "spot",
                        "list": [
                            {"currency": "btc", "type": "trade", "balance": "1"},
                            {"currency": "eth", "type": "trade", "balance": "2"},
                            {"currency": "btc", "type": "frozen", "balance": "0.5"},
                            {"currency": "eth", "type": "frozen", "balance": "0"},
                        ],
                    },
                },
                id="htx",
            ),
            pytest.param(
                {
                    "result": {
                        "list": [
                            {
                                "accountType": "SPOT",
                                "coin": [
                                    {"coin": "BTC", "walletBalance": "1.5", "free": "1", "locked": "0.5"},
                                    {"coin": "ETH", "walletBalance": "2", "free": "2", "locked": "0"},
                                ],
                            }
                        ]
                    }
                },
                id="bybit",
            ),
            pytest.param(
                [
                    {"currency": "BTC", "available": "1", "locked": "0.5"},
                    {"currency": "ETH", "available": "2", "locked": "0"},
                ],
                id="gate",
            ),
            pytest.param(
                {
                    "accounts": [
                        {
                            "currency": "BTC",
                            "available_balance": {"value": "1", "currency": "BTC"},
                            "hold": {"value": "0.5"},
                        },
                        {
                            "currency": "ETH",
                            "available_balance": {"value": "2", "currency": "ETH"},
                            "hold": {"value": "0"},
                        },
                    ]
                },
                id="coinbase",
            ),
            pytest.param([balance("BTC", "1.5", "1", "0.5"), balance("ETH", "2", "2", "0")], id="containers"),
        ],
    )
    def test_are_read_alike(self, data: Any) -> None:
        """Total, available, locked."""
        assert [("BTC", D("1.5"), D(1), D("0.5")), ("ETH", D(2), D(2), D(0))] == [
            (each.currency, each.margin, each.available_margin, each.used_margin)
            for each in normalize_balances(data, exchange_name="X")
        ]

    def test_totals_alone(self) -> None:
        """Where nothing else is told, nothing else is there: None, never zero."""
        assert (balance("ETH", "2"), balance("XXBT", "1.5")) == normalize_balances(
            {"result": {"XXBT": "1.5", "ETH": "2"}}, exchange_name="X"
        )

    def test_a_currency_may_be_called_like_a_wrapper(self) -> None:
        """DATA is one."""
        assert (balance("DATA", "3", "1", "2"),) == normalize_balances(
            {"DATA": {"free": "1", "locked": "2"}}, exchange_name="X"
        )

    def test_one_row(self) -> None:
        """A single balance need not be in a list."""
        assert (balance("BTC", "1"),) == normalize_balances({"asset": "BTC", "balance": "1"}, exchange_name="X")

    def test_what_the_caller_knows(self) -> None:
        """Venue, times and account are where they belong; the account of the data goes before that of the caller."""
        options = {"exchange_name": "OKX___SPOT", "server_time": 5, "local_time": 6, "account_id": "me"}
        (first,) = normalize_balances({"BTC": "1"}, **options)  # type: ignore[arg-type]
        (second,) = normalize_balances({"uid": 7, "balances": {"BTC": "1"}}, **options)  # type: ignore[arg-type]
        assert ("OKX___SPOT", 5, 6, "me") == (
            first.exchange_name,
            first.server_time,
            first.local_time,
            first.account_id,
        )
        assert "7" == second.account_id

    def test_futures(self) -> None:
        """Margins, profit, positions; of those, the open ones."""
        account = normalize_account(
            {
                "totalWalletBalance": "100.00000000",
                "totalUnrealizedProfit": "-1.50000000",
                "totalMarginBalance": "98.50000000",
                "totalInitialMargin": "20",
                "totalMaintMargin": "2",
                "totalOpenOrderInitialMargin": "5",
                "totalPositionInitialMargin": "15",
                "availableBalance": "78.5",
                "maxWithdrawAmount": "70",
                "canTrade": True,
                "feeTier": 0,
                "assets": [
                    {
                        "asset": "USDT",
                        "walletBalance": "100.00000000",
                        "unrealizedProfit": "-1.50000000",
                        "marginBalance": "98.49999999",
                        "maintMargin": "2",
                        "initialMargin": "20",
                        "positionInitialMargin": "15",
                        "openOrderInitialMargin": "5",
                        "crossWalletBalance": "100",
                        "crossUnPnl": "-1.4",
                        "availableBalance": "78.5",
                        "maxWithdrawAmount": "70",
                    }
                ],
                "positions": [
                    {"symbol": "ETHUSDT", "positionAmt": "0.000", "positionSide": "BOTH"},
                    {
                        "symbol": "BTCUSDT",
                        "positionAmt": "-0.010",
                        "positionSide": "BOTH",
                        "entryPrice": "68000.1",
                        "unrealizedProfit": "-1.5",
                        "leverage": "10",
                        "marginType": "cross",
                    },
                ],
            },
            exchange_name="BINANCE___SWAP",
            symbol="USDT",
            to_symbol={"BTCUSDT": "BTC-USDT"}.__getitem__,
        )
        expected = Account(
            "BINANCE___SWAP",
            "USDT",
            0,
            0,
            can_trade=True,
            fee_tier="0",
            max_withdraw_amount=D(70),
            total_margin=D("98.5"),
            total_used_margin=D(20),
            total_maintain_margin=D(2),
            total_available_margin=D("78.5"),
            total_open_order_initial_margin=D(5),
            total_position_initial_margin=D(15),
            total_unrealized_profit=D("-1.5"),
            total_wallet_balance=D(100),
            balances=(
                Balance(
                    *("BINANCE___SWAP", "USDT", 0, 0, D(100), D("78.5"), D(20), D("-1.5"), D(2), D(5)),  # type: ignore[arg-type]
                    max_withdraw_amount=D(70),
                    fee_tier="0",
                ),
            ),
            positions=(
                Position(
                    *("BINANCE___SWAP", "BTC-USDT", 0, 0, PositionSide.NET, D("-0.010"), D("68000.1")),  # type: ignore[arg-type]
                    position_unrealized_pnl=D("-1.5"),
                    leverage=D(10),
                    margin_type=MarginType.CROSS,
                ),
            ),
        )
        assert expected == account

    def test_equity_less_profit_is_a_total(self) -> None:
        """Where that is all a venue tells."""
        (found,) = normalize_balances({"USDT": {"equity": "98.5", "unrealised_pnl": "-1.5"}}, exchange_name="X")
        assert balance("USDT", "100", None, None, "-1.5") == found

    def test_positions_alone(self) -> None:
        """An account may hold nothing else."""
        account = normalize_account({"positions": [{"instId": "BTC-USDT-SWAP", "pos": "1", "posSide": "long"}]})
        assert ((), PositionSide.LONG) == (account.balances, account.positions[0].position_side)

    @pytest.mark.parametrize(
        "path", ["okx/GET_api_v5_account_balance", "okx/GET_api_v5_asset_balances", "binance_spot/GET_api_v3_account"]
    )
    def test_recorded_answers(self, path: str) -> None:
        """What venues have sent can be read, each currency of it."""
        for case in json.loads(corpora_path("public", "rest", f"{path}.json").read_text(encoding="utf-8"))["cases"]:
            body = json.loads(case["body"])
            rows = body.get("balances") or [row for data in body["data"] for row in data.get("details", [data])]
            account = normalize_account(body, exchange_name="X")
            assert sorted(row.get("asset") or row["ccy"] for row in rows) == [each.symbol for each in account.balances]
            first = {each.symbol: each for each in account.balances}[rows[0].get("asset") or rows[0]["ccy"]]
            assert D(rows[0].get("availBal") or rows[0]["free"]) == first.available_margin


class TestConflicts:
    """What cannot be true is an error that says where it is."""

    @pytest.mark.parametrize(
        ("data", "field", "words"),
        [
            ({"BTC": {"free": "1", "locked": "1", "total": "3"}}, "$.BTC", "total is 3, but free 1 + locked 1 is 2"),
            ([{"ccy": "BTC", "bal": "3", "availBal": "1", "frozenBal": "1"}], "$[0]", "bal is 3, but availBal 1"),
            (
                [{"asset": "A", "balance": "1"}, {"asset": "USDT", "walletBalance": "1", "balance": "2"}],
                "$[1]",
                "walletBalance is 1, but balance is 2",
            ),
            (
                {"assets": [{"asset": "U", "walletBalance": "1", "unrealizedProfit": "1", "marginBalance": "1"}]},
                "$.assets[0]",
                "marginBalance is 1, but walletBalance 1",
            ),
            ({"data": [{"details": [{"ccy": "BTC", "availBal": "1"}]}]}, "$.data[0].details[0]", "neither a total nor"),
            ({"balances": [{"free": "1"}]}, "$.balances[0].free", "an amount without a currency"),
            ({"free": {"BTC": "1"}, "used": {"BTC": "1"}}, "$.free", "an amount without a currency"),
            ([{"currency": "", "balance": "1"}], "$[0]", "a balance without a currency"),
            ({"BTC": {"free": "x", "locked": "1"}}, "$.BTC.free", "not a finite decimal number"),
            ({"BTC": {"free": "NaN", "locked": "1"}}, "$.BTC.free", "not a finite decimal number"),
            ({"BTC": {"total": True}}, "$.BTC.total", "got bool"),
            ({"BTC": None}, "$.BTC", "expected a balance, got NoneType"),
            ("BTC", "$", "expected balances, got str"),
            (5, "$", "expected balances, got int"),
            ({"available_balance": "1", "availableBalance": "2", "asset": "A"}, "$", "but availableBalance is 2"),
            ({"positions": [{"symbol": "BTC"}]}, "$.positions[0]", "a position without size"),
            ({"positions": [{"pos": "1"}]}, "$.positions[0]", "a position without symbol"),
            ({"positions": [5]}, "$.positions[0]", "expected a mapping, got int"),
            ({"canTrade": "yes", "balances": []}, "$.canTrade", "expected true or false, got str"),
            ({"uid": 1.5, "balances": []}, "$.uid", "expected text, got float"),
        ],
    )
    def test_are_refused(self, data: Any, field: str, words: str) -> None:
        """With the place, and with what is said there."""
        with pytest.raises(DataParseError, match=words.replace("+", r"\+").replace("$", r"\$")) as caught:
            normalize_account(data, exchange_name="X")
        assert field == caught.value.field

    def test_what_is_rounded_by_the_venue_is_none(self) -> None:
        """A margin balance and its parts are each rounded for themselves."""
        row = {"asset": "U", "walletBalance": "1", "unrealizedProfit": "0.5", "marginBalance": "1.50000001"}
        assert (balance("U", "1", None, None, "0.5"),) == normalize_balances([row], exchange_name="X")

    def test_okxs_equity_is_none(self) -> None:
        """It has parts of its own."""
        row = {"ccy": "USDT", "cashBal": "10", "eq": "15", "upl": "1", "availBal": "12", "frozenBal": "3"}
        assert (balance("USDT", "10", "12", "3", "1"),) == normalize_balances([row], exchange_name="X")


class TestSums:
    """Several accounts are one."""

    def test_currencies_add_up(self) -> None:
        """Each by itself, exactly, in their order."""
        accounts = [
            {"balances": {"BTC": {"free": "0.1", "locked": "0"}, "USDT": {"free": "1", "locked": "0"}}},
            {"balances": {"BTC": {"free": "0.2", "locked": "1E-18"}}},
        ]
        assert (balance("BTC", "0.300000000000000001", "0.3", "1E-18"), balance("USDT", "1", "1", "0")) == (
            normalize_balances(accounts, exchange_name="X")
        )

    def test_what_one_does_not_tell_is_not_known(self) -> None:
        """Neither zero nor the other one's."""
        both = combine_balances(
            [balance("BTC", "1", "1", account_id="a"), balance("BTC", "2", None, "1", account_id="b")]
        )
        assert (balance("BTC", "3"),) == both

    def test_what_they_agree_on_stays(self) -> None:
        """Names, and the latest of their times."""
        first = Balance("X", "BTC", 5, 9, D(1), account_id="a", account_type="SPOT")
        second = Balance("X", "BTC", 7, 8, D(1), account_id="b", account_type="SPOT")
        assert (Balance("X", "BTC", 7, 9, D(2), account_type="SPOT"),) == combine_balances([first, second])

    def test_accounts_add_up(self) -> None:
        """Totals and balances are added, positions kept, rates and rights only where they are the same."""
        position = Position("X", "BTC-USDT", 0, 0, PositionSide.LONG, D(1))
        first = Account(
            *("X", "USD", 1, 2),  # type: ignore[arg-type]
            can_trade=True,
            total_margin=D("0.1"),
            total_wallet_balance=D(1),
            spot_maker_commission_rate=D("0.001"),
            spot_taker_commission_rate=D("0.001"),
            balances=(balance("BTC", "1"),),
            positions=(position,),
        )
        second = Account(
            *("X", "USD", 2, 1),  # type: ignore[arg-type]
            can_trade=False,
            total_margin=D("0.2"),
            spot_maker_commission_rate=D("0.001"),
            spot_taker_commission_rate=D("0.002"),
            balances=(balance("BTC", "2"),),
        )
        assert Account(
            *("X", "USD", 2, 2),  # type: ignore[arg-type]
            total_margin=D("0.3"),
            spot_maker_commission_rate=D("0.001"),
            balances=(balance("BTC", "3"),),
            positions=(position,),
        ) == combine_accounts([first, second])

    def test_different_totals_do_not_add_up(self) -> None:
        """Dollars and coins, or two venues."""
        with pytest.raises(DataParseError, match="totals of X in BTC cannot be added to those of X in USD"):
            combine_accounts([Account("X", "USD", 0, 0), Account("X", "BTC", 0, 0)])
        with pytest.raises(DataParseError, match="there is no account"):
            combine_accounts([])

    @given(st.lists(AMOUNTS))
    def test_amounts_add_up_exactly(self, amounts: list[Decimal]) -> None:
        """As integers do, whatever the decimal context says."""
        with decimal.localcontext() as context:
            context.prec = 3
            total = exact_sum(amounts)
        assert sum(map(_units, amounts)) == _units(total)

    @given(
        st.lists(
            st.dictionaries(st.sampled_from(["BTC", "ETH", "USDT"]), st.tuples(AMOUNTS, AMOUNTS)),
            min_size=1,
            max_size=6,
        ),
        st.randoms(use_true_random=False),
    )
    def test_totals_are_exact_in_any_order(
        self, accounts: list[dict[str, tuple[Decimal, Decimal]]], random: Any
    ) -> None:
        """Whatever the accounts hold, and in whatever order they and their balances come."""
        expected: dict[str, list[int]] = {}
        for account in accounts:
            for currency, (free, locked) in account.items():
                total = expected.setdefault(currency, [0, 0, 0])
                for at, units in enumerate((_units(free) + _units(locked), _units(free), _units(locked))):
                    total[at] += units
        rows = [
            {
                "balances": [
                    {"asset": name, "free": str(free), "locked": format(locked, "f")} for name, (free, locked) in held
                ]
            }
            for held in ([*account.items()] for account in accounts)
        ]
        found = normalize_account(rows, exchange_name="X")
        assert expected == {
            each.symbol: [
                _units(amount)
                for amount in (each.margin, each.available_margin, each.used_margin)
                if amount is not None
            ]
            for each in found.balances
        }
        random.shuffle(rows)
        for row in rows:
            random.shuffle(row["balances"])
        assert found == normalize_account(rows, exchange_name="X")
        parts = [each for row in rows for each in normalize_balances(row, exchange_name="X")]
        random.shuffle(parts)
        assert found.balances == combine_balances(parts)


def _units(amount: Decimal) -> int:
    """Return an amount in units of 1E-18."""
    numerator, denominator = amount.as_integer_ratio()
    return numerator * 10**18 // denominator


def test_the_tables_are_sound() -> None:
    """Names are written as they are compared, once each, and fields are those of the containers."""
    tables: dict[type, list[Any]] = {
        Balance: [names.BALANCE_NUMBERS, names.BALANCE_TEXTS],
        Account: [names.ACCOUNT_NUMBERS, names.ACCOUNT_FLAGS, names.ACCOUNT_TEXTS],
        Position: [names.POSITION_NUMBERS, names.POSITION_TEXTS],
    }
    for kind, parts in tables.items():
        used: list[str] = []
        for part in parts:
            assert set() == set(part) - {*kind.__struct_fields__, "equity"}  # type: ignore[attr-defined]
            used += [name for tiers in part.values() for tier in tiers for name in tier]
        assert used == [names.plain_name(name) for name in used]
        assert len(used) == len(set(used))
