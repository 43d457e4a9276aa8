"""Secrets that do not show, and what is signed with them.

* `Secret` and `Credentials`: values that mask themselves.
* `signing`: HMAC, Ed25519 and RSA signatures as pure functions.
* `recipes`: what venues want signed.
"""

from __future__ import annotations

from bt_api_base.security.credentials import Credentials
from bt_api_base.security.secret import Secret

__all__ = ("Credentials", "Secret")
