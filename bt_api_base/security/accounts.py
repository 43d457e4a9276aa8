"""The name of an account: a venue, and a profile where there are several."""

from __future__ import annotations

import re

import attrs

from bt_api_base.exceptions import ConfigurationError

__all__ = ("Account",)

_VENUE = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*")
_PROFILE = re.compile(r"(?:[A-Z0-9]+(?:_[A-Z0-9]+)*)?")


def _venue(name: str) -> str:
    return name.partition("___")[0].upper()


def _upper(name: str) -> str:
    return name.upper()


@attrs.frozen
class Account:
    """Which account credentials are of. Both names are kept in upper case.

    Attributes:
        venue: The venue, such as ``"BINANCE"``. All markets of one share it: of ``"BINANCE___SPOT"`` the rest is cut
            off.
        profile: The name of one of several accounts; empty for the one that needs none.

    Raises:
        ConfigurationError: A name has other characters than letters, digits and single underscores.
    """

    venue: str = attrs.field(converter=_venue)
    profile: str = attrs.field(default="", converter=_upper)

    def __attrs_post_init__(self) -> None:
        for what, pattern, name in (("a venue", _VENUE, self.venue), ("a profile", _PROFILE, self.profile)):
            if not pattern.fullmatch(name):
                detail = f"{name!r} cannot be the name of {what}: it is made of letters, digits and single underscores"
                raise ConfigurationError(detail)

    def variable(self, suffix: str) -> str:
        """Return the name of a variable of this account, such as ``BINANCE_API_KEY`` or ``BINANCE_API_KEY__HEDGE``."""
        return f"{self.venue}_{suffix}{self._ending}"

    @property
    def _ending(self) -> str:
        # Two underscores, so that no profile of one venue can be taken for the variable of another.
        return f"__{self.profile}" if self.profile else ""

    def __str__(self) -> str:
        return f"{self.venue} (profile {self.profile})" if self.profile else self.venue
