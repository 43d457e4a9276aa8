"""Staying within a venue's limits."""

from __future__ import annotations

from bt_api_base.rate_limiter.priority import Priority

__all__ = ("Priority",)
