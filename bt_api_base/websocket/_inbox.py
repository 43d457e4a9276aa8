"""Messages that were read but not yet returned, in the form in which they were read or that another reader wants."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import attrs

if TYPE_CHECKING:
    from bt_api_base.websocket.frames import Decode


@attrs.define(eq=False)
class Inbox:
    """Messages that were read but not returned: the rest of a read's messages, or those of a cancelled call."""

    payloads: list[str | bytes] = attrs.field(factory=list[str | bytes])
    position: int = 0
    decode: Decode = None
    binary_at: frozenset[int] = frozenset()

    def __bool__(self) -> bool:
        return self.position < len(self.payloads)

    def put(self, payloads: list[str | bytes], decode: Decode, binary_at: list[int]) -> None:
        """Fill an empty inbox with what `FrameReader.feed` returned."""
        self.payloads, self.position, self.decode, self.binary_at = payloads, 0, decode, frozenset(binary_at)

    def pop(self) -> str | bytes:
        payload = self.payloads[self.position]
        self.position += 1
        return payload

    def pop_all(self) -> list[str | bytes]:
        rest = self.payloads[self.position :] if self.position else self.payloads
        self.payloads, self.position = [], 0
        return rest

    def convert(self, decode: Decode) -> UnicodeDecodeError | None:
        """Bring the rest into the form that another reader wants; what follows invalid text is dropped."""
        if decode is self.decode:
            return None
        converted: list[str | bytes] = []
        binary_at: set[int] = set()
        failure: UnicodeDecodeError | None = None
        for index in range(self.position, len(self.payloads)):
            payload = self.payloads[index]
            if decode is None:
                if index not in self.binary_at:
                    try:
                        payload = cast("bytes", payload).decode()
                    except UnicodeDecodeError as error:
                        failure = error
                        break
            elif isinstance(payload, str):
                payload = payload.encode()
            else:
                binary_at.add(len(converted))
            converted.append(payload)
        self.payloads, self.position, self.decode, self.binary_at = converted, 0, decode, frozenset(binary_at)
        return failure


__all__ = ("Inbox",)
