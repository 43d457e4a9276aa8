"""The account over REST."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bt_api_base.feeds.capability import Capability
from bt_api_base.feeds.native_core import FeedCore, moment_ns
from bt_api_base.feeds.reconciliation import fills_since

if TYPE_CHECKING:
    from datetime import datetime

    from bt_api_base.containers import Account, Balance, Fill, Position

__all__ = ("AccountMethods",)


class AccountMethods(FeedCore):
    """The calls of a native feed about the account. Each also goes to ``data_queue``, if there is one."""

    async def async_get_balance(
        self,
        symbol: str | None = None,
        extra_data: Any = None,  # noqa: ANN401, ARG002 - passed along by older programs
        **_kwargs: Any,  # noqa: ANN401
    ) -> list[Balance]:
        """Return what the account holds, of one currency or of all it has.

        Raises:
            BtApiError: The venue could not be asked, or refused.

        Cancellation: Nothing is lost.
        """
        balances = await self._require(Capability.GET_BALANCE).balances()
        if symbol not in {None, "", "ALL"}:
            balances = [balance for balance in balances if balance.currency == symbol]
        self._hand_over(balances)
        return balances

    async def async_get_account(
        self,
        symbol: str = "ALL",  # noqa: ARG002 - an account is always returned as a whole
        extra_data: Any = None,  # noqa: ANN401, ARG002 - passed along by older programs
        **_kwargs: Any,  # noqa: ANN401
    ) -> Account:
        """Return the account as a whole, whatever ``symbol`` is.

        Raises:
            BtApiError: The venue could not be asked, or refused.

        Cancellation: Nothing is lost.
        """
        account = await self._require(Capability.GET_ACCOUNT).account()
        self._hand_over((account,))
        return account

    async def async_get_position(
        self,
        symbol: str | None = None,
        extra_data: Any = None,  # noqa: ANN401, ARG002 - passed along by older programs
        **_kwargs: Any,  # noqa: ANN401
    ) -> list[Position]:
        """Return the open positions, in one instrument or in all.

        Raises:
            BtApiError: The venue could not be asked, or refused.

        Cancellation: Nothing is lost.
        """
        positions = await self._require(Capability.GET_POSITION).positions(symbol or None)
        self._hand_over(positions)
        return positions

    async def async_get_deals(
        self,
        symbol: str,
        count: int = 100,
        start_time: int | datetime | None = None,
        end_time: int | datetime | None = None,
        extra_data: Any = None,  # noqa: ANN401, ARG002 - passed along by older programs
        *,
        order_id: str = "",
        **_kwargs: Any,  # noqa: ANN401
    ) -> list[Fill]:
        """Return fills, the oldest first.

        Args:
            symbol: Internal symbol.
            count: How many of the newest; not looked at with ``start_time``.
            start_time: Earliest time, included: an aware datetime, or nanoseconds since the epoch (UTC). All since then
                are fetched, in as many requests as it takes.
            end_time: Times before this, excluded.
            extra_data: Not looked at.
            order_id: Only those of this order.

        Raises:
            BtApiError: The venue could not be asked, or refused.

        Cancellation: Nothing is lost.
        """
        api = self._require(Capability.GET_DEALS)
        since, until = moment_ns(start_time), moment_ns(end_time)
        if since is None or order_id:
            fills = await api.fills(symbol, since=since, order_id=order_id, count=count)
        else:
            fills = await fills_since(api, symbol, since)
        if until is not None:
            fills = [fill for fill in fills if fill.trade_time < until]
        self._hand_over(fills)
        return fills
