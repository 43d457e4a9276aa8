"""Names for types of HTTP, for modules that do not speak it themselves."""

from __future__ import annotations

from typing import TypeAlias

import httpx

__all__ = ("Transport",)

Transport: TypeAlias = httpx.AsyncBaseTransport
"""What sends requests and brings their answers."""
