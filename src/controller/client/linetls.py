"""A watch's connection over TLS, read in batches while much comes.

API servers send records of about 4 KB, each in a packet of its own. Woken for each, a process
spends more on being woken than on decrypting. While a stream runs at a few megabytes a second or
more, the socket is therefore left alone for two milliseconds after a read, and then all records
that came are decrypted and cut in one go. A lone event after a quiet spell is handed on at once.

The event loop's own TLS cannot do that: pausing it does not pause the socket below. So TLS is
done between two memory buffers here.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Final, cast

from .linestream import LineStream

RECORD_SIZE: Final = 16 * 1024
"""The largest record that TLS allows."""
PAUSE: Final = 0.002
"""Seconds between two reads while much comes: five fold fewer wake-ups, and no one notices."""
SHORTEST_PAUSE: Final = 0.0005
"""A stream that is so fast that less would do is never short of bytes: each read is large."""
WINDOW: Final = 0.001
"""Seconds over which the speed of a stream is measured."""
QUIET: Final = 0.02
"""Seconds without a byte after which the measuring begins anew."""
LEAST_BATCH: Final = 16 * 1024
"""Bytes for which a pause pays: four records."""
LARGEST_BATCH: Final = 128 * 1024
"""Bytes that a socket takes while nobody reads it; a longer pause would slow the stream down."""
IDLE_SIZE: Final = 16 * 1024
"""Bytes of a read while little comes: a process has dozens of watches, nearly all idle."""


class TlsLineStream(LineStream):
    """One GET over TLS; the server is verified as the context and ``server_name`` say."""

    def __init__(
        self, what: str, silence: float, context: ssl.SSLContext, server_name: str
    ) -> None:
        super().__init__(what, silence)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_name)
        self._records = memoryview(bytearray(IDLE_SIZE))
        self._secured = False  # the handshake is done
        self._resting = False  # between two reads of a fast stream
        self._since = 0.0  # loop time at which the measuring began
        self._came = 0  # bytes since then

    async def opened(self) -> None:
        """Wait for the end of the handshake."""
        while not self._secured:
            await self._wait()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over a new connection and begin the handshake."""
        super().connection_made(transport)
        self._shake_hands()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where the next encrypted bytes go."""
        return self._records

    def buffer_updated(self, nbytes: int) -> None:
        """Take over the encrypted bytes that came."""
        self._incoming.write(self._records[:nbytes])
        if nbytes == IDLE_SIZE == len(self._records):  # more is waiting
            self._records = memoryview(bytearray(LARGEST_BATCH))
        if not self._secured:
            self._shake_hands()
        if self._secured:
            self._measure(nbytes)
            self._decrypt()

    def eof_received(self) -> bool:
        """Take note that nothing more comes: cut off, unless TLS was told so before."""
        self._incoming.write_eof()
        if not self._secured:
            self._shake_hands()
        elif not self._finished:
            self._decrypt()
        return False

    def _write(self, data: bytes) -> None:
        self._tls.write(data)
        self._flush()

    def _flush(self) -> None:
        if self._outgoing.pending:
            super()._write(self._outgoing.read())

    def _shake_hands(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
        except ssl.SSLError as error:
            self._flush()  # the server is told what we do not like
            self._finish(error)
        else:
            self._secured = True
            self._flush()
            self._wake()

    def _decrypt(self) -> None:
        """Decrypt and cut all that came; TLS's own messages are answered on the way."""
        try:
            closed = self._read_records()
        except ssl.SSLError as error:
            self._finish(error)
        else:
            self._flush()
            if closed:
                self._end()

    def _read_records(self) -> bool:
        """Return whether the server said by TLS that nothing more comes."""
        space, filled, closed = self._answer.space(), 0, False
        try:
            while not self._finished and not closed:
                if len(space) - filled < RECORD_SIZE:
                    self._take(filled)
                    space, filled = self._answer.space(), 0
                # with a buffer it returns a number, which its annotation does not know
                count = cast(int, self._tls.read(len(space) - filled, space[filled:]))
                filled += count
                closed = count == 0
        except ssl.SSLWantReadError:
            closed = False
        finally:
            if filled:
                self._take(filled)
        return closed

    def _measure(self, count: int) -> None:
        """Begin a pause if the stream is fast enough to be read in batches."""
        now = self._loop.time()
        elapsed = now - self._since
        if elapsed > QUIET:
            self._since, self._came = now, 0
            if count < IDLE_SIZE < len(self._records):
                self._records = memoryview(bytearray(IDLE_SIZE))
            return
        self._came += count
        if elapsed < WINDOW:
            return
        speed = self._came / elapsed
        self._since, self._came = now, 0
        pause = min(PAUSE, LARGEST_BATCH / speed)
        if pause >= SHORTEST_PAUSE and pause * speed >= LEAST_BATCH:
            self._resting = True
            self._loop.call_later(pause, self._read_on)

    def _read_on(self) -> None:
        self._resting = False
        self._pace()

    def _may_read(self) -> bool:
        return not self._resting and super()._may_read()
