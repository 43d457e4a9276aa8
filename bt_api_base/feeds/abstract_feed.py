"""What every feed can be asked, in blocking calls and in coroutines.

A feed is written one way and has both: `AsyncWrapperMixin` derives the coroutines from blocking methods,
`BlockingWrapperMixin` derives blocking methods from coroutines. `check_protocol_compliance` says what is missing.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable

from bt_api_base.feeds.async_wrapper import AsyncWrapperMixin
from bt_api_base.feeds.blocking import BlockingWrapperMixin

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from bt_api_base.feeds.capability import Capability

__all__ = ("AbstractVenueFeed", "AsyncWrapperMixin", "BlockingWrapperMixin", "check_protocol_compliance")


@runtime_checkable
class AbstractVenueFeed(Protocol):
    """A venue's market data, orders and account.

    Results are containers. Symbols are internal ones (``"BTC-USDT"``), numbers may be given as `Decimal`, text or
    float, and ``extra_data`` is what older programs pass along; nothing is done with it unless a feed says so. What a
    feed cannot do raises `NotSupportedError`; `capabilities` tells beforehand.

    Each of the blocking methods has a coroutine of the same parameters whose name begins with ``async_``.
    """

    @property
    def capabilities(self) -> AbstractSet[Capability]:
        """What it can do."""
        ...

    def connect(self) -> None:
        """Begin a session with the venue."""
        ...

    def disconnect(self) -> None:
        """End the session."""
        ...

    def is_connected(self) -> bool:
        """Tell whether there is a session."""
        ...

    def get_tick(self, symbol: str, extra_data: Any = None, **kwargs: Any) -> Any:  # noqa: ANN401
        """Return the latest prices of an instrument."""
        ...

    def get_depth(self, symbol: str, count: int = 20, extra_data: Any = None, **kwargs: Any) -> Any:  # noqa: ANN401
        """Return the best ``count`` levels of an instrument's book."""
        ...

    def get_kline(self, symbol: str, period: str, count: int = 20, extra_data: Any = None, **kwargs: Any) -> Any:  # noqa: ANN401
        """Return an instrument's latest ``count`` bars, such as of ``"1m"`` or ``"1d"``, the oldest first."""
        ...

    def make_order(  # noqa: PLR0917 - the order of older programs
        self,
        symbol: str,
        volume: Any,  # noqa: ANN401
        price: Any,  # noqa: ANN401
        order_type: str,
        offset: str = "open",
        post_only: bool = False,  # noqa: FBT001, FBT002 - the order of older programs
        client_order_id: str | None = None,
        extra_data: Any = None,  # noqa: ANN401
        **kwargs: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        """Place an order, and return it as the venue knows it."""
        ...

    def cancel_order(self, symbol: str, order_id: str, extra_data: Any = None, **kwargs: Any) -> Any:  # noqa: ANN401
        """Cancel an order."""
        ...

    def cancel_all(self, symbol: str | None = None, extra_data: Any = None, **kwargs: Any) -> Any:  # noqa: ANN401
        """Cancel all open orders of an instrument, or of all."""
        ...

    def query_order(self, symbol: str, order_id: str, extra_data: Any = None, **kwargs: Any) -> Any:  # noqa: ANN401
        """Return an order."""
        ...

    def get_open_orders(self, symbol: str | None = None, extra_data: Any = None, **kwargs: Any) -> Any:  # noqa: ANN401
        """Return the orders of an instrument, or of all, that can still be filled."""
        ...

    def get_balance(self, symbol: str | None = None, extra_data: Any = None, **kwargs: Any) -> Any:  # noqa: ANN401
        """Return what the account holds of a currency, or of all."""
        ...

    def get_account(self, symbol: str = "ALL", extra_data: Any = None, **kwargs: Any) -> Any:  # noqa: ANN401
        """Return the account as a whole."""
        ...

    def get_position(self, symbol: str | None = None, extra_data: Any = None, **kwargs: Any) -> Any:  # noqa: ANN401
        """Return the open positions in an instrument, or in all."""
        ...

    async def async_get_tick(self, symbol: str, extra_data: Any = None, **kwargs: Any) -> Any:  # noqa: ANN401
        """See `get_tick`."""
        ...

    async def async_get_depth(self, symbol: str, count: int = 20, extra_data: Any = None, **kwargs: Any) -> Any:  # noqa: ANN401
        """See `get_depth`."""
        ...

    async def async_get_kline(
        self,
        symbol: str,
        period: str,
        count: int = 20,
        extra_data: Any = None,  # noqa: ANN401
        **kwargs: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        """See `get_kline`."""
        ...

    async def async_make_order(  # noqa: PLR0917 - the order of older programs
        self,
        symbol: str,
        volume: Any,  # noqa: ANN401
        price: Any,  # noqa: ANN401
        order_type: str,
        offset: str = "open",
        post_only: bool = False,  # noqa: FBT001, FBT002 - the order of older programs
        client_order_id: str | None = None,
        extra_data: Any = None,  # noqa: ANN401
        **kwargs: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        """See `make_order`."""
        ...

    async def async_cancel_order(self, symbol: str, order_id: str, extra_data: Any = None, **kwargs: Any) -> Any:  # noqa: ANN401
        """See `cancel_order`."""
        ...

    async def async_cancel_all(self, symbol: str | None = None, extra_data: Any = None, **kwargs: Any) -> Any:  # noqa: ANN401
        """See `cancel_all`."""
        ...

    async def async_query_order(self, symbol: str, order_id: str, extra_data: Any = None, **kwargs: Any) -> Any:  # noqa: ANN401
        """See `query_order`."""
        ...

    async def async_get_open_orders(self, symbol: str | None = None, extra_data: Any = None, **kwargs: Any) -> Any:  # noqa: ANN401
        """See `get_open_orders`."""
        ...

    async def async_get_balance(self, symbol: str | None = None, extra_data: Any = None, **kwargs: Any) -> Any:  # noqa: ANN401
        """See `get_balance`."""
        ...

    async def async_get_account(self, symbol: str = "ALL", extra_data: Any = None, **kwargs: Any) -> Any:  # noqa: ANN401
        """See `get_account`."""
        ...

    async def async_get_position(self, symbol: str | None = None, extra_data: Any = None, **kwargs: Any) -> Any:  # noqa: ANN401
        """See `get_position`."""
        ...


_MEMBERS: Final = tuple(
    name for name, value in vars(AbstractVenueFeed).items() if inspect.isfunction(value) and not name.startswith("_")
)


def check_protocol_compliance(feed_class: type[Any]) -> list[str]:
    """Say what a class lacks to be an `AbstractVenueFeed`; the empty list if it is one.

    Args:
        feed_class: A class, or an instance of one.

    Returns:
        Problems. A method that is not there at all is given by its bare name (``"get_tick"``), everything else in
        words (``"make_order: parameter 3 is 'amount', not 'price'"``).
    """
    cls = _class_of(feed_class)
    problems = [] if hasattr(cls, "capabilities") else ["capabilities"]
    for name in _MEMBERS:
        found = inspect.getattr_static(cls, name, None)
        if found is None:
            problems.append(name)
            continue
        problems += [f"{name}: {problem}" for problem in _differences(getattr(cls, name), name)]
    return problems


def _class_of(feed: object) -> Any:  # noqa: ANN401 - any class
    return feed if isinstance(feed, type) else type(feed)


def _differences(method: Any, name: str) -> list[str]:  # noqa: ANN401 - whatever a class has under that name
    """Say how a method differs from what programs call."""
    if not callable(method):
        return ["it cannot be called"]
    wanted = inspect.signature(getattr(AbstractVenueFeed, name))
    is_coroutine = inspect.iscoroutinefunction(method)
    problems: list[str] = []
    if name.startswith("async_") and not is_coroutine:
        problems.append("it is no coroutine function")
    if not name.startswith("async_") and is_coroutine:
        problems.append("it is a coroutine function, and has to block")
    try:
        parameters = list(inspect.signature(method).parameters.values())[1:]
    except (TypeError, ValueError):
        return problems
    has_all = any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters)
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    positional = [p for p in parameters if p.kind in {p.POSITIONAL_OR_KEYWORD, p.POSITIONAL_ONLY}]
    expected = [p for p in list(wanted.parameters.values())[1:] if p.kind is p.POSITIONAL_OR_KEYWORD]
    if not has_all:
        for number, parameter in enumerate(expected, 1):
            if number > len(positional):
                if not (takes_any and parameter.default is not parameter.empty):
                    problems.append(f"parameter {number}, {parameter.name!r}, is missing")
            elif positional[number - 1].name != parameter.name:
                problems.append(f"parameter {number} is {positional[number - 1].name!r}, not {parameter.name!r}")
    problems += [
        f"parameter {parameter.name!r} has no default"
        for parameter in parameters
        if parameter.default is parameter.empty
        and parameter.kind not in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}
        and parameter.name not in {p.name for p in expected if p.default is p.empty}
        and not any(parameter is p for p in positional[: len(expected)] if p.name != parameter.name)
    ]
    if expected and not takes_any:
        problems.append("it takes no further keywords (**kwargs)")
    return problems
