"""Feeds: everything between a strategy and a venue's REST API."""

from __future__ import annotations
