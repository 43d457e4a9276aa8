"""What can be wrong with stored credentials."""

from __future__ import annotations

from bt_api_base.exceptions import ConfigurationError

__all__ = (
    "CredentialsNotFoundError",
    "DamagedDataError",
    "EncryptedDataError",
    "UnknownFormatError",
    "WrongPassphraseError",
)


class CredentialsNotFoundError(ConfigurationError):
    """No source has credentials for this account; the text says where they were looked for."""


class EncryptedDataError(ConfigurationError):
    """What was encrypted cannot be read."""


class WrongPassphraseError(EncryptedDataError):
    """The passphrase is not the one it was encrypted with.

    Or its header was changed: without the passphrase nobody can tell that.
    """


class DamagedDataError(EncryptedDataError):
    """It is not what was written: the passphrase is right and the content was changed, or it has another shape."""


class UnknownFormatError(EncryptedDataError):
    """It is something else, of a later version, or asks for more memory or time than is given to it."""
