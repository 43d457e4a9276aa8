"""Something that a venue grants for a while, must be asked to prolong, and may take away: a listen key."""

from __future__ import annotations

from abc import ABC, abstractmethod

__all__ = ("SessionLease",)


class SessionLease(ABC):
    """What must be held to open a private endpoint.

    Attributes:
        renew_interval: Seconds between renewals.
        lifetime: Seconds for which a lease is valid after it was created or renewed.
    """

    renew_interval: float
    lifetime: float

    @abstractmethod
    async def create(self) -> str:
        """Ask the venue for a lease and return its key.

        Raises:
            AuthenticationError: The venue does not accept the credentials.
            BtApiError: It could not be had now.
        """

    @abstractmethod
    async def renew(self, key: str) -> None:
        """Prolong the lease.

        Raises:
            BtApiError: It could not be prolonged, or no longer exists.
        """

    async def close(self, key: str) -> None:  # noqa: B027 - not every venue has something to give back
        """Give the lease back. By default it is left to expire."""
