"""A raw WebSocket server in a process of its own, which sends prebuilt frames as fast as the client takes them.

Use it from a benchmark; several connections may run against one server, one after the other or at once::

    payloads = [f'{{"price": {i}}}'.encode() for i in range(1000)]  # the distinct frames, sent in turn
    with frame_server(payloads) as server:
        url = server.url(count=1_000_000)  # that many frames, then close 1000

It costs its core next to nothing (whole megabytes of frames are handed to the kernel), so what is measured is the
client. It reads the client's messages only to the degree that `frame_server` describes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import socket
import struct
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_BLOCK_BYTES = 1 << 20


def ticker_payloads(symbols: Sequence[str] = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT")) -> list[bytes]:
    """Return book tickers as Binance sends them on a combined stream: 1,000, of 146 bytes each, symbols in turn."""
    payloads: list[bytes] = []
    for i in range(1000):
        symbol = symbols[i % len(symbols)]
        payloads.append(
            f'{{"stream":"{symbol.lower()}@bookTicker","data":{{"u":{50093239212 + i},"s":"{symbol}",'
            f'"b":"{61837 + i / 100:.8f}","B":"{1 + i % 797 / 100:.8f}",'
            f'"a":"{61837.01 + i / 100:.8f}","A":"{1 + i % 89 / 11:.8f}"}}}}'.encode()
        )
    assert {len(payload) for payload in payloads} == {146}
    return payloads


def frame(payload: bytes, *, opcode: int = 1) -> bytes:
    """Return a complete, unmasked frame (RFC 6455, 5.2)."""
    head = 0x80 | opcode
    if len(payload) < 126:
        return struct.pack("!BB", head, len(payload)) + payload
    if len(payload) < 1 << 16:
        return struct.pack("!BBH", head, 126, len(payload)) + payload
    return struct.pack("!BBQ", head, 127, len(payload)) + payload


@dataclass(frozen=True)
class FrameServer:
    """A running server."""

    port: int

    def url(self, count: int) -> str:
        """Return where to connect to for ``count`` frames and then a close with code 1000."""
        return f"ws://127.0.0.1:{self.port}/ws?count={count}"


@contextmanager
def frame_server(
    payloads: Sequence[bytes], *, opcode: int = 1, acknowledge: bool = False, start_after: int = 0
) -> Iterator[FrameServer]:
    """Start a server that sends ``payloads`` in turn to each client, and stop it at the end of the block.

    Args:
        payloads: The distinct payloads.
        opcode: 1: text, 2: binary.
        acknowledge: Answer each of the client's JSON messages with ``{"result": null, "id": <its id>}``, as Binance
            answers requests.
        start_after: Begin to send frames after this many messages of the client.
    """
    settings = {
        "payloads": [payload.hex() for payload in payloads],
        "opcode": opcode,
        "acknowledge": acknowledge,
        "start_after": start_after,
    }
    process = subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    with process, process.stdin, process.stdout:
        process.stdin.write(json.dumps(settings) + "\n")
        process.stdin.flush()
        try:
            yield FrameServer(int(process.stdout.readline()))
        finally:
            process.kill()


# From here on: the server's process.


class _Client:
    """One connection, served by blocking calls in a thread."""

    def __init__(self, connection: socket.socket, frames: list[bytes], *, acknowledge: bool, start_after: int) -> None:
        self._connection = connection
        self._frames = frames
        self._acknowledge = acknowledge
        self._start_after = start_after
        self._buffer = bytearray()
        self._sending = threading.Lock()

    def serve(self) -> None:
        with self._connection:
            try:
                count = self._shake_hands()
                for _ in range(self._start_after):
                    self._handle_message()
                reader = threading.Thread(target=self._handle_messages, daemon=True)
                reader.start()
                self._blast(count)
                self._send(frame(struct.pack("!H", 1000), opcode=8))
                reader.join(10)
            except (OSError, EOFError):
                pass

    def _shake_hands(self) -> int:
        while b"\r\n\r\n" not in self._buffer:
            self._fill()
        head, _, rest = bytes(self._buffer).partition(b"\r\n\r\n")
        self._buffer = bytearray(rest)
        key = re.search(rb"(?i)sec-websocket-key: *(\S+)", head)
        count = re.search(rb"count=(\d+)", head)
        assert key is not None
        accept = base64.b64encode(hashlib.sha1(key[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
        self._send(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        return int(count[1]) if count else 0

    def _blast(self, count: int) -> None:
        frames = self._frames
        per_block = max(len(frames), _BLOCK_BYTES * len(frames) // sum(map(len, frames)) // len(frames) * len(frames))
        block = b"".join(frames[i % len(frames)] for i in range(per_block))
        while count >= per_block:
            self._send(block)
            count -= per_block
        self._send(b"".join(frames[i % len(frames)] for i in range(count)))

    def _handle_messages(self) -> None:
        try:
            while self._handle_message():
                pass
        except (OSError, EOFError):
            pass

    def _handle_message(self) -> bool:
        """Read one frame of the client; tell whether more may come."""
        first, second = self._take(2)
        length = second & 0x7F
        if length > 125:
            length = int.from_bytes(self._take(2 if length == 126 else 8), "big")
        mask = self._take(4)
        payload = bytes(byte ^ mask[i % 4] for i, byte in enumerate(self._take(length)))
        opcode = first & 0x0F
        if opcode == 9:
            self._send(frame(payload, opcode=10))
        elif opcode < 8 and self._acknowledge:
            self._send(frame(json.dumps({"result": None, "id": json.loads(payload).get("id")}).encode()))
        return opcode != 8

    def _take(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._fill()
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def _fill(self) -> None:
        data = self._connection.recv(1 << 16)
        if not data:
            raise EOFError
        self._buffer += data

    def _send(self, data: bytes) -> None:
        with self._sending:
            self._connection.sendall(data)


def _main() -> None:
    settings = json.loads(sys.stdin.readline())
    frames = [frame(bytes.fromhex(payload), opcode=settings["opcode"]) for payload in settings["payloads"]]
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    while True:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client = _Client(connection, frames, acknowledge=settings["acknowledge"], start_after=settings["start_after"])
        threading.Thread(target=client.serve, daemon=True).start()


if __name__ == "__main__":
    _main()
