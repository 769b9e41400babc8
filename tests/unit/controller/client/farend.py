"""The far end of a connection without a socket: what the event loop would tell a protocol."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from typing import Any

from hybridpg.controller.client.linestream import LineStream

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class FarEnd(asyncio.Transport):
    """A transport whose other side is the test: it keeps what was written and does as told."""

    def __init__(self, stream: LineStream) -> None:
        super().__init__()
        self.written = bytearray()
        self.reading = True
        self.aborted = False
        self.pauses = 0
        self._stream = stream
        self._socket = socket.socket()
        stream.connection_made(self)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._socket if name == "socket" else default

    @property
    def wakes_for(self) -> int:
        """How many bytes must have come before the kernel wakes the event loop."""
        return self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def pause_reading(self) -> None:
        self.pauses += self.reading
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def abort(self) -> None:
        self.aborted = True
        self._socket.close()

    def send(self, data: bytes) -> None:
        """Have bytes arrive, in as many reads as they need."""
        while data and not self.aborted:
            assert self.reading, "the event loop does not read now"
            space = memoryview(self._stream.get_buffer(-1)).cast("B")
            taken = min(len(space), len(data))
            space[:taken] = data[:taken]
            self._stream.buffer_updated(taken)
            data = data[taken:]

    def end(self) -> None:
        """Have the connection end as the kernel tells it."""
        self._stream.eof_received()

    def lose(self, error: Exception | None = None) -> None:
        """Have the connection break."""
        self._stream.connection_lost(error)


async def read_to_the_end(stream: LineStream) -> list[bytes]:
    """Return all lines up to the clean end."""
    lines: list[bytes] = []
    while batch := await stream.read():
        lines += batch
    return lines


class TlsFarEnd(FarEnd):
    """The same with a TLS server behind it; what is ``send`` is encrypted first."""

    def __init__(self, stream: LineStream, context: ssl.SSLContext) -> None:
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._in, self._out, server_side=True)
        super().__init__(stream)

    def shake_hands(self) -> None:
        """Carry the handshake through, in as many turns as it takes."""
        for _ in range(4):
            self.hear()
            with contextlib.suppress(ssl.SSLWantReadError):
                self.tls.do_handshake()
            self.deliver()

    def hear(self) -> None:
        """Take over what the client wrote."""
        self._in.write(bytes(self.written))
        self.written.clear()

    def request(self) -> bytes:
        """Return the request in clear."""
        self.hear()
        return self.tls.read(65536)

    def encrypted(self, data: bytes, *, record: int = 4096) -> bytes:
        """Return records of that size, as an API server makes them."""
        for start in range(0, len(data), record):
            self.tls.write(data[start : start + record])
        return self._out.read()

    def deliver(self) -> None:
        """Have arrive what TLS itself has to say."""
        super().send(self._out.read())

    def send(self, data: bytes) -> None:
        super().send(self.encrypted(data))

    def say_goodbye(self) -> None:
        """Send TLS's own end of the connection."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        self.deliver()
