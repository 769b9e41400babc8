"""A watch's connection over TLS, read in batches while much comes.

API servers send records of about 4 KB, each in a packet of its own. Woken for each, a process
spends more on being woken than on decrypting. While a stream runs at a few megabytes a second or
more, the kernel is therefore asked to wake us for a batch of them only (``SO_RCVLOWAT``), or after
two milliseconds for whatever came, and then all of it is decrypted and cut in one go. Where half a
megabyte has come like that it is a list, of which nobody sees a part, or a flood: then it is ten
milliseconds. A stream that is faster is not slowed down, and a lone event after a quiet spell is
handed on at once.

The event loop's own TLS reads record by record whatever the socket holds. So TLS is done between
two memory buffers here.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Final, cast

from .linestream import LineStream

CUT: Final = "UNEXPECTED_EOF_WHILE_READING"
"""OpenSSL's reason where a connection ends without TLS's goodbye; a class of its own since Python
3.11.4."""
RECORD_SIZE: Final = 16 * 1024
"""The largest record that TLS allows."""
PAUSE: Final = 0.002
"""Seconds for which a part of a batch waits for the rest while much comes: no one notices."""
LONG_PAUSE: Final = 0.01
"""The same in a list or a flood; half of the processor time of a list is saved by it."""
FLOOD: Final = 512 * 1024
"""Bytes at that speed, without a slower moment, that are one."""
WINDOW: Final = 0.001
"""Seconds over which the speed of a stream is measured."""
QUIET: Final = 0.02
"""Seconds without a byte after which the measuring begins anew."""
LEAST_BATCH: Final = 10 * 1024
"""Bytes within a pause for which waiting pays: a busy API server sends a list at 6 MB/s."""
BATCH: Final = 256 * 1024
"""Bytes that are not waited any longer for: being woken costs next to nothing then."""
LARGE_SIZE: Final = 256 * 1024
"""Bytes of a read while much comes."""
IDLE_SIZE: Final = 16 * 1024
"""Bytes of a read while little comes: a process has dozens of watches, nearly all idle."""


class TlsLineStream(LineStream):
    """One GET over TLS; the server is verified as the context and ``server_name`` say."""

    def __init__(
        self,
        what: str,
        silence: float,
        context: ssl.SSLContext,
        server_name: str,
        *,
        whole: int = 0,
    ) -> None:
        super().__init__(what, silence, whole=whole)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_name)
        self._records = memoryview(bytearray(IDLE_SIZE))
        self._secured = False  # the handshake is done
        self._patient = False  # the kernel wakes us for a batch only
        self._came_at = 0.0  # loop time of the last read
        self._since = 0.0  # loop time at which the measuring began
        self._came = 0  # bytes since then
        self._flood = 0  # bytes since it was last slow

    async def opened(self) -> None:
        """Wait for the end of the handshake."""
        while not self._secured:
            await self._wait()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over a new connection and begin the handshake."""
        super().connection_made(transport)
        self._socket = transport.get_extra_info("socket")
        self._shake_hands()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where the next encrypted bytes go."""
        return self._records

    def buffer_updated(self, nbytes: int) -> None:
        """Take over the encrypted bytes that came."""
        self._incoming.write(self._records[:nbytes])
        if nbytes == IDLE_SIZE == len(self._records):  # more is waiting
            self._records = memoryview(bytearray(LARGE_SIZE))
        if not self._secured:
            self._shake_hands()
        if self._secured:
            self._measure(nbytes)
            self._decrypt()
            self._hand_on()

    def eof_received(self) -> bool:
        """Take note that nothing more comes: cut off, unless TLS was told so before."""
        self._incoming.write_eof()
        if not self._secured:
            self._shake_hands()
        elif not self._finished:
            self._decrypt()
            self._hand_on()
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
            self._finish(self._cut(error) if error.reason == CUT else error)
        else:
            self._flush()
            if closed:
                self._end()

    def _cut(self, error: ssl.SSLError) -> OSError:
        """Return what the end of a connection without TLS's goodbye is."""
        # before an answer there is none to be cut: the kept connection had got stale
        if self._kept and self._answer.head is None:
            return ConnectionResetError("it ended before an answer")
        return ssl.SSLEOFError(*error.args)

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
        """Have the kernel collect a batch if the stream is fast enough for that."""
        now = self._came_at = self._loop.time()
        elapsed = now - self._since
        if elapsed > QUIET:
            self._since, self._came, self._flood = now, 0, 0
            if count < IDLE_SIZE < len(self._records):
                self._records = memoryview(bytearray(IDLE_SIZE))
            return
        self._came += count
        if elapsed < WINDOW:
            return
        fast = self._came * PAUSE >= LEAST_BATCH * elapsed
        self._flood = self._flood + self._came if fast else 0
        self._since, self._came = now, 0
        if fast and not self._patient and self._wake_for(BATCH):
            self._patient = True
            self._loop.call_later(self._pause(), self._look)

    def _pause(self) -> float:
        # the end of a page holds up the request for the next one
        return PAUSE if self._kept or self._flood < FLOOD else LONG_PAUSE

    def _look(self) -> None:
        """Take what came if it is no batch within the pause."""
        # one timer for many batches: reads only move the time it looks at
        due = self._came_at + self._pause()
        if self._finished:
            return
        if self._loop.time() < due:
            self._loop.call_at(due, self._look)
        else:
            self._patient = False
            self._wake_for(1)

    def _wake_for(self, count: int) -> bool:
        """Be woken for so many bytes and no less; return False where the system cannot do that."""
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, count)
        except OSError:  # then each record wakes us, which costs more and changes nothing else
            return False
        return True
