"""What a feed can do, and the plain answer where it cannot."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from bt_api_base.exceptions import NotSupportedError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ("Capability", "CapabilityMixin", "NotSupportedError")


class Capability(str, enum.Enum):
    """Something that a venue's feed may be able to do."""

    GET_TICK = "get_tick"
    GET_DEPTH = "get_depth"
    GET_KLINE = "get_kline"
    GET_FUNDING_RATE = "get_funding_rate"
    GET_MARK_PRICE = "get_mark_price"
    GET_CLEAR_PRICE = "get_clear_price"
    MAKE_ORDER = "make_order"
    CANCEL_ORDER = "cancel_order"
    CANCEL_ALL = "cancel_all"
    CANCEL_ALL_SYMBOL = "cancel_all_symbol"
    QUERY_ORDER = "query_order"
    QUERY_OPEN_ORDERS = "query_open_orders"
    GET_DEALS = "get_deals"
    GET_BALANCE = "get_balance"
    GET_ACCOUNT = "get_account"
    GET_POSITION = "get_position"
    MARKET_STREAM = "market_stream"
    ACCOUNT_STREAM = "account_stream"
    CROSS_MARGIN = "cross_margin"
    ISOLATED_MARGIN = "isolated_margin"
    HEDGE_MODE = "hedge_mode"
    BATCH_ORDER = "batch_order"
    CONDITIONAL_ORDER = "conditional_order"
    TRAILING_STOP = "trailing_stop"
    OCO_ORDER = "oco_order"
    GET_EXCHANGE_INFO = "get_exchange_info"
    GET_SERVER_TIME = "get_server_time"

    def __str__(self) -> str:
        return self.value


class CapabilityMixin:
    """A feed that says what it can do. Override `_capabilities` with a class method that returns a set."""

    exchange_name: str = ""

    @classmethod
    def _capabilities(cls) -> Iterable[Capability]:
        return ()

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What it can do."""
        return frozenset(self._capabilities())

    def has_capability(self, capability: Capability) -> bool:
        """Tell whether it can do something."""
        return capability in self.capabilities

    def require_capability(self, capability: Capability) -> None:
        """Go on if it can do something.

        Raises:
            NotSupportedError: It cannot.
        """
        if not self.has_capability(capability):
            raise NotSupportedError(capability, self.exchange_name)
