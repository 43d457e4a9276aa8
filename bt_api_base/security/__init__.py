"""Secrets that do not show, where they are kept, and what is signed with them.

* `Secret` and `Credentials`: values that mask themselves.
* `SecureCredentialManager`: the credentials of accounts, from the environment, `.env`, the keyring or an
  encrypted file.
* `signing`: HMAC, Ed25519 and RSA signatures as pure functions.
* `recipes`: what venues want signed.
"""

from __future__ import annotations

from bt_api_base.security.accounts import Account
from bt_api_base.security.credentials import Credentials
from bt_api_base.security.encrypted_file import EncryptedFile
from bt_api_base.security.encryption import ScryptCost
from bt_api_base.security.env_file import create_env_template, load_credentials_from_env_file
from bt_api_base.security.errors import (
    CredentialsNotFoundError,
    DamagedDataError,
    EncryptedDataError,
    UnknownFormatError,
    WrongPassphraseError,
)
from bt_api_base.security.manager import CRYPTO_AVAILABLE, SecureCredentialManager
from bt_api_base.security.secret import Secret
from bt_api_base.security.sources import (
    CredentialSource,
    EncryptedFileSource,
    EnvFileSource,
    EnvironmentSource,
    KeyringSource,
)
from bt_api_base.security.validation import CredentialProblem, check_credentials, find_problems

__all__ = (
    "CRYPTO_AVAILABLE",
    "Account",
    "CredentialProblem",
    "CredentialSource",
    "Credentials",
    "CredentialsNotFoundError",
    "DamagedDataError",
    "EncryptedDataError",
    "EncryptedFile",
    "EncryptedFileSource",
    "EnvFileSource",
    "EnvironmentSource",
    "KeyringSource",
    "ScryptCost",
    "Secret",
    "SecureCredentialManager",
    "UnknownFormatError",
    "WrongPassphraseError",
    "check_credentials",
    "create_env_template",
    "find_problems",
    "load_credentials_from_env_file",
)
