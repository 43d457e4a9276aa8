"""An order in the words of older programs (``"buy-limit"``, ``offset="close"``) and in those of today."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bt_api_base.containers import Offset, OrderType, PositionSide, Side, TimeInForce
from bt_api_base.exceptions import InvalidOrderError
from bt_api_base.feeds.order_request import OrderRequest

if TYPE_CHECKING:
    from decimal import Decimal

__all__ = ("order_request",)

_CLOSING: Final = frozenset({Offset.CLOSE, Offset.CLOSE_TODAY, Offset.CLOSE_YESTERDAY})

_OPTIONS: Final = frozenset({"parameters", "position_side", "quote_quantity", "reduce_only", "side", "time_in_force"})

_POST_ONLY: Final = frozenset({"limit_maker", "post_only", "postonly"})


def order_request(  # noqa: PLR0917 - the order of older programs
    exchange_name: str,
    symbol: str,
    volume: Decimal | str | float | None,
    price: Decimal | str | float | None,
    order_type: OrderType | str,
    offset: Offset | str = Offset.OPEN,
    *,
    post_only: bool = False,
    client_order_id: str = "",
    has_positions: bool = False,
    **options: Any,  # noqa: ANN401 - each is checked by the request
) -> OrderRequest:
    """Return what is asked for.

    Args:
        exchange_name: The venue, for errors.
        symbol: Internal symbol.
        volume: In the venue's quantity unit; ``None`` or 0 with ``quote_quantity``.
        price: In the quote currency; not looked at for a market order.
        order_type: ``"buy-limit"``, ``"sell-market"``, ``"buy-post_only"``, …; or an `OrderType`, or its value,
            together with ``side``.
        offset: ``"open"``, or one of ``"close"``, ``"close_today"``, ``"close_yesterday"``: where there are positions,
            a closing order is reduce-only, unless ``reduce_only`` or ``position_side`` says more.
        post_only: Whether it is to be refused rather than take.
        client_order_id: The id by which it is found again.
        has_positions: Whether the market has positions, as opposed to a spot market.
        **options: ``side``, ``time_in_force``, ``reduce_only``, ``position_side``, ``quote_quantity``, ``parameters``;
            see `OrderRequest`.

    Raises:
        InvalidOrderError: A word or an option is not known, or a number is missing or none.
    """

    def refused(detail: str) -> InvalidOrderError:
        return InvalidOrderError(exchange_name, symbol, detail)

    unknown = sorted(options.keys() - _OPTIONS)
    if unknown:
        # An option that is misspelt and left out can open a position that it was to close.
        raise refused(f"there is no option {', '.join(map(repr, unknown))}; options are {', '.join(sorted(_OPTIONS))}")
    side, kind = _side_and_type(order_type, options.pop("side", None), refused)
    if post_only:
        if kind not in {OrderType.LIMIT, OrderType.LIMIT_MAKER}:
            raise refused(f"a {kind.value} order cannot be post-only")
        kind = OrderType.LIMIT_MAKER
    is_market = kind is OrderType.MARKET
    if has_positions:
        _close(Offset(offset), options)
    try:
        for name, enum in (("time_in_force", TimeInForce), ("position_side", PositionSide)):
            if options.get(name) is not None:
                options[name] = enum(options[name])
        request = OrderRequest(
            symbol=symbol,
            side=side,
            order_type=kind,
            quantity=volume or None,
            price=None if is_market else (price or None),
            client_order_id=client_order_id,
            **{name: value for name, value in options.items() if value is not None},
        )
    except (TypeError, ValueError) as error:
        raise refused(str(error)) from error
    for name in ("time_in_force", "position_side"):
        value = getattr(request, name)
        if value is not None and value.name == "UNKNOWN":
            raise refused(f"{name} is not known")
    _check_numbers(request, refused)
    return request


def _side_and_type(order_type: OrderType | str, side: Any, refused: Any) -> tuple[Side, OrderType]:  # noqa: ANN401
    """Read ``"buy-limit"``, or a type beside a side."""
    word = order_type.value if isinstance(order_type, OrderType) else order_type
    if not isinstance(word, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # programs are not all checked
        raise refused(f"the order type is {type(word).__name__}, not text")
    text = word.lower().replace(" ", "")
    named, _, rest = text.partition("-")
    if named in {"buy", "sell"}:
        if side is not None and str(getattr(side, "value", side)).lower() != named:
            raise refused(f"{word!r} and side {str(side)!r} contradict each other")
        side, text = named, rest or "limit"
    try:
        direction = Side(str(getattr(side, "value", side)).lower())
    except ValueError:
        raise refused("there is no side: write 'buy-limit', or give side='buy'") from None
    text = "limit_maker" if text.replace("-", "_") in _POST_ONLY else text.replace("-", "_")
    kind = OrderType(text)
    if kind in {OrderType.UNKNOWN, OrderType.LIQUIDATION}:
        raise refused(f"there is no order type {word!r}")
    return direction, kind


def _close(offset: Offset, options: dict[str, Any]) -> None:
    """Say in the words of venues with positions that an order closes."""
    if offset not in _CLOSING:
        return
    if options.get("position_side") is None and options.get("reduce_only") is None:
        options["reduce_only"] = True


def _check_numbers(request: OrderRequest, refused: Any) -> None:  # noqa: ANN401 - makes an error
    if request.quantity is None and request.quote_quantity is None:
        raise refused("there is neither a quantity nor a quote quantity")
    if request.quantity is not None and request.quote_quantity is not None:
        raise refused("there are both a quantity and a quote quantity")
    for name in ("quantity", "quote_quantity", "price"):
        value = getattr(request, name)
        if value is not None and value <= 0:
            raise refused(f"{name.replace('_', ' ')} {value} is not above zero")
    if request.price is None and request.order_type in {OrderType.LIMIT, OrderType.LIMIT_MAKER}:
        raise refused(f"a {request.order_type.value} order needs a price")
