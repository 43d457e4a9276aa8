"""A venue described by data: for JSON venues whose public streams need nothing special.

A `GenericVenue` says how symbols and channels are written, what a request looks like, where in a frame its channel and
its numbers are, and how answers are told. `GenericAdapter` is the adapter of such a description; account streams,
checksums and books that are merged from parts need an adapter of their own.

Example:
    ```python
    BYBIT = GenericVenue(
        exchange_name="BYBIT___SPOT",
        default_url="wss://stream.bybit.com/v5/public/spot",
        limits=StreamLimits(max_channels_per_request=10),
        subscribe={"op": "subscribe", "args": "{arguments}", "req_id": "{id}"},
        unsubscribe={"op": "unsubscribe", "args": "{arguments}", "req_id": "{id}"},
        ping={"op": "ping"},
        frame_keys=("{topic}",),
        topics=(
            GenericTopic(
                name="trade",
                key="publicTrade.{symbol}",
                event_type=Trade,
                symbol="s",
                fields={"server_time": "$.ts", "trade_id": "i", "trade_price": "p", "trade_volume": "v",
                        "trade_side": Field("S", words={"Buy": "buy", "Sell": "sell"}), "trade_time": "T"},
            ),
        ),
        messages=(
            Message(kind="heartbeat", where={"op": ("ping", "pong")}),
            Message(kind="ack", where={"success": True}, request_id="req_id"),
            Message(kind="refusal", where={"success": False}, request_id="req_id", text="ret_msg"),
        ),
    )
    register_stream_adapter(BYBIT.exchange_name, partial(GenericAdapter, BYBIT))
    ```

Paths are steps with dots between: ``"data.0.symbol"``. A field's path begins at the item, or with ``"$."`` at the
frame. A template's ``"{name}"`` that stands alone is replaced by the value itself, else by its text.
"""

from __future__ import annotations

from bt_api_base.venues.generic.adapter import GenericAdapter
from bt_api_base.venues.generic.description import Field, GenericTopic, GenericVenue, Message, TimeUnit

__all__ = ("Field", "GenericAdapter", "GenericTopic", "GenericVenue", "Message", "TimeUnit")
