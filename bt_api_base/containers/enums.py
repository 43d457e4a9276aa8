"""Enumerations shared by several containers."""

from __future__ import annotations

from enum import Enum

__all__ = ("Side",)


class Side(str, Enum):
    """Direction of a trade or an order."""

    BUY = "buy"
    SELL = "sell"

    def __str__(self) -> str:
        return self.value
