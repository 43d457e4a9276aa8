"""Data that cannot be read, subscribed to, or kept up with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bt_api_base._redaction import excerpt
from bt_api_base.exceptions.base import BtApiError, bracketed

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from bt_api_base.exceptions.base import ErrorContext

__all__ = (
    "DataParseError",
    "QueueNotInitializedError",
    "SlowConsumerError",
    "SubscribeError",
)


class DataParseError(BtApiError):
    """The venue sent something that cannot be read.

    Args:
        container_class: What it should have become, say ``"Tick"``.
        detail: What is wrong with it.
        exchange_name: The venue.
        channel: The venue's name of the channel it came by.
        field: The member that is wrong.
        payload: What came. Only an excerpt is kept, with secrets masked.
        **context: See `BtApiError`.
    """

    def __init__(
        self,
        container_class: str = "",
        detail: str = "",
        *,
        exchange_name: str = "",
        channel: str = "",
        field: str = "",
        payload: object = None,
        **context: Unpack[ErrorContext],
    ) -> None:
        self.container_class = container_class
        self.channel = excerpt(str(channel))  # what came may be named by what is broken in it
        self.field = excerpt(str(field))
        self.payload = None if payload is None else excerpt(payload)
        super().__init__(detail, exchange_name=exchange_name, **context)

    def _summary(self) -> str:
        what = f"cannot read {self.container_class or 'data'}"
        channel = f" from {self.channel}" if self.channel else ""
        return f"{what}{channel}{f', field {self.field!r}' if self.field else ''}"

    def __str__(self) -> str:
        return super().__str__() if self.payload is None else f"{super().__str__()} in {self.payload}"


class QueueNotInitializedError(DataParseError):
    """A feed was to deliver data before it was given a queue for it.

    It is a `DataParseError` because plugins catch it as one.
    """

    user_recoverable = True

    def __init__(self, queue_name: str = "", detail: str = "", **context: Unpack[ErrorContext]) -> None:
        self.queue_name = queue_name
        super().__init__("", detail, **context)

    def _summary(self) -> str:
        return f"queue {self.queue_name!r} is not initialized" if self.queue_name else "queue is not initialized"


class SubscribeError(BtApiError):
    """A subscription was refused, or not confirmed in time.

    Args:
        exchange_name: The venue.
        detail: What happened.
        topic: What was to be subscribed to, say ``"ticker"``.
        symbol: Of which instrument.
        **context: See `BtApiError`.
    """

    def __init__(
        self,
        exchange_name: str,
        detail: str = "",
        *,
        topic: str = "",
        symbol: str = "",
        **context: Unpack[ErrorContext],
    ) -> None:
        self.topic = topic
        self.symbol = symbol
        super().__init__(detail, exchange_name=exchange_name, **context)

    def _summary(self) -> str:
        return " ".join(part for part in ("cannot subscribe to", self.topic or "a channel", self.symbol) if part)


class SlowConsumerError(BtApiError):
    """A consumer fell so far behind that its stream was ended rather than let memory grow.

    Args:
        exchange_name: The venue.
        detail: Which stream.
        pending: Items that were waiting when the stream was ended.
        limit: How many may wait.
        **context: See `BtApiError`.
    """

    def __init__(
        self,
        exchange_name: str = "",
        detail: str = "",
        *,
        pending: int | None = None,
        limit: int | None = None,
        **context: Unpack[ErrorContext],
    ) -> None:
        self.pending = pending
        self.limit = limit
        super().__init__(detail, exchange_name=exchange_name, **context)

    def _summary(self) -> str:
        counts = [
            f"{count} {name}"
            for name, count in (("pending", self.pending), ("allowed", self.limit))
            if count is not None
        ]
        return f"consumer too slow{bracketed(counts)}"
