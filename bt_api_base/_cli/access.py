"""How a command reaches an account at a venue, real or simulated."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import attrs

from bt_api_base._cli.runtime import CommandError
from bt_api_base.exceptions import ConfigurationError
from bt_api_base.feeds import venue_feed, venue_feed_names
from bt_api_base.security import CredentialsNotFoundError, SecureCredentialManager

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from bt_api_base._cli.runtime import Backend
    from bt_api_base.feeds import NativeFeed
    from bt_api_base.security import Credentials

__all__ = ("Access", "open_feed", "simulated_venue")

_SIMULATED_SYMBOLS = ("BTC-USDT", "ETH-USDT", "BNB-USDT", "SOL-USDT", "XRP-USDT")


@attrs.frozen(kw_only=True)
class Access:
    """Which venue, and how.

    Attributes:
        exchange_name: Venue and asset type.
        simulated: Whether to use a simulated venue in this process.
        account: Name of one of several accounts; empty: the only one.
        demo: Whether to use the venue's demonstration environment.
        rest_url: Where the REST API is; ``None``: the venue's usual host.
        timeout: Seconds that a call may take.
        backend: The event loop.
        seed: What the simulated venue follows from.
    """

    exchange_name: str
    simulated: bool = False
    account: str = ""
    demo: bool = False
    rest_url: str | None = None
    timeout: float = 10.0
    backend: Backend = "asyncio"
    seed: int = 1

    @property
    def place(self) -> str:
        """Where that is, for a person who is about to spend money there."""
        if self.simulated:
            return f"the simulated {self.exchange_name} (no money)"
        return f"{self.exchange_name} ({'demonstration account' if self.demo else 'REAL money'})"


@asynccontextmanager
async def open_feed(access: Access, symbols: Sequence[str] = (), *, private: bool) -> AsyncGenerator[NativeFeed]:
    """Open a feed, with the account's credentials where they are needed.

    Args:
        access: Which venue, and how.
        symbols: What a simulated venue has to list.
        private: Whether the account is needed.

    Raises:
        ConfigurationError: There are no credentials.
        BtApiError: There is no such venue.

    Cancellation: everything is closed.
    """
    async with AsyncExitStack() as stack:
        options: dict[str, Any] = {"timeout": access.timeout}
        if access.simulated:
            venue = await stack.enter_async_context(simulated_venue(access, symbols))
            credentials, options["rest_url"] = venue.credentials, venue.rest_url
        else:
            credentials = await _credentials(access) if private else None
            options |= {"demo": access.demo, "rest_url": access.rest_url}
        feed: NativeFeed = venue_feed(access.exchange_name, credentials, **options)
        yield await stack.enter_async_context(feed)


async def _credentials(access: Access) -> Credentials:
    try:
        return await SecureCredentialManager().async_get_exchange_credentials(
            access.exchange_name, profile=access.account
        )
    except CredentialsNotFoundError as error:
        raise CommandError(f"{error}. Or try it without an account: --sim") from None


def simulated_venue(access: Access, symbols: Sequence[str] = ()) -> Any:  # noqa: ANN401 - one of several classes
    """Return a simulated venue that is not running yet.

    Args:
        access: Which venue it is to be like.
        symbols: What it lists, besides a few usual ones.

    Raises:
        ConfigurationError: There is no simulated venue of that kind.
    """
    from bt_api_base.testing import MarketSpec, SimulatedOkxVenue, SimulatedVenue
    from bt_api_base.testing.usdm_venue import SimulatedUsdmVenue

    name = access.exchange_name.upper()
    swap = name.endswith("___SWAP")
    usual = [f"{symbol}-SWAP" if swap else symbol for symbol in _SIMULATED_SYMBOLS]
    # A swap has the prices of what it is a swap of.
    listed = [
        attrs.evolve(MarketSpec.of(symbol.removesuffix("-SWAP")), symbol=symbol)
        for symbol in dict.fromkeys([*symbols, *usual])
    ]
    if name == "BINANCE___SPOT":
        return SimulatedVenue(listed, seed=access.seed)
    if name == "BINANCE___SWAP":
        return SimulatedUsdmVenue(listed, seed=access.seed)
    if name in {"OKX___SPOT", "OKX___SWAP"}:
        return SimulatedOkxVenue(listed, seed=access.seed, exchange_name=name)
    known = name in venue_feed_names()
    what = "cannot be simulated" if known else "is not known"
    raise ConfigurationError(
        f"{access.exchange_name} {what}; there are BINANCE___SPOT, BINANCE___SWAP, OKX___SPOT and OKX___SWAP"
    )
