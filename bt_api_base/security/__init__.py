"""Secrets that do not show, and what is signed with them."""

from __future__ import annotations

from bt_api_base.security.credentials import Credentials
from bt_api_base.security.secret import Secret

__all__ = ("Credentials", "Secret")
