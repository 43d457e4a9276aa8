"""How a connection ended, put into a close code, a reason and an error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs
from websockets.exceptions import PayloadTooBig, ProtocolError
from websockets.frames import CLOSE_CODE_EXPLANATIONS

from bt_api_base._redaction import redact_text
from bt_api_base.exceptions import WebSocketError
from bt_api_base.websocket._interface import NORMAL_CLOSE_CODES

if TYPE_CHECKING:
    from typing_extensions import Self
    from websockets.client import ClientProtocol

_FAILURE_CODES: Final[tuple[tuple[type[Exception], int], ...]] = (
    (ProtocolError, 1002),
    (UnicodeDecodeError, 1007),
    (PayloadTooBig, 1009),
)
"""RFC 6455, 7.4.1: what the peer is told when it sent something wrong."""


def check_close(code: int, reason: str) -> None:
    """Check what is to go into a close frame (RFC 6455, 5.5.1, 7.4).

    Raises:
        ValueError: The code must not be sent, or the reason does not fit.
    """
    if not (1000 <= code <= 1014 and code not in (1004, 1005, 1006)) and not 3000 <= code <= 4999:
        raise ValueError(f"close code {code} may not be sent: use 1000-1003, 1007-1014 or 3000-4999")
    if len(reason.encode()) > 123:
        raise ValueError("the reason of a close must fit into 123 bytes of UTF-8")


@attrs.frozen
class Ending:
    """Why a connection ended: the first cause, which later ones do not replace.

    Attributes:
        code: RFC 6455, 7.4; 1006 where the peer did not say.
        reason: The text that goes with the code.
        detail: What happened, in words.
        cause: The exception behind it, if any.
        failed: Whether this side failed the connection because of what the peer sent.
    """

    code: int
    reason: str
    detail: str
    cause: BaseException | None
    failed: bool = False

    @classmethod
    def of(
        cls,
        protocol: ClientProtocol,
        invalid_text: UnicodeDecodeError | None,
        *,
        lost: tuple[str, BaseException | None] | None,
    ) -> Self:
        """Say how a connection ended.

        Args:
            protocol: Its protocol, as far as it has come.
            invalid_text: Why a text message was refused, if one was.
            lost: What happened to the byte stream, first, and the exception behind it.
        """
        failure = invalid_text or protocol.parser_exc
        if failure is not None and not isinstance(failure, EOFError):
            code = next((code for kind, code in _FAILURE_CODES if isinstance(failure, kind)), 1011)
            reason = str(failure)
            if isinstance(failure, UnicodeDecodeError):
                # Its text would quote the message.
                reason = f"{failure.reason} at position {failure.start}"
            return cls(code, reason, "what the peer sent was refused", failure, failed=True)
        detail, cause = lost or ("closed without an answer from the peer", None)
        received = protocol.close_rcvd
        if received is None:
            return cls(1006, "", detail, cause)
        # Peers that turn somebody away say why, and may repeat what they were told.
        code, reason = int(received.code), redact_text(received.reason)
        return cls(code, reason, CLOSE_CODE_EXPLANATIONS.get(code, ""), cause)

    @property
    def normal(self) -> bool:
        """Whether an iteration over messages ends without an error."""
        return not self.failed and self.code in NORMAL_CLOSE_CODES

    def error(self, url: str) -> WebSocketError:
        """Return a new error that tells it."""
        error = WebSocketError("", self.detail, close_code=self.code, close_reason=self.reason, url=url)
        error.__cause__ = self.cause
        return error


__all__ = ("Ending", "check_close")
