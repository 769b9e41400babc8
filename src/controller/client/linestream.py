"""A connection of its own for one watch, or for the pages of a list, read in place.

The library's way from a socket to a line has a buffer, a parser and a queue for each; here the
bytes are cut where they arrive (:mod:`.linebuffer`), and each read is handed on as one list. The
same over TLS is :mod:`.linetls`; both are opened by :mod:`.direct`.
"""

from __future__ import annotations

import asyncio
from typing import Final, cast

from .._prompt import PromptFuture
from ..errors import TransportError
from .answer import Answer
from .httphead import ResponseHead, Unsupported
from .linebuffer import BUFFER_SIZE
from .sockets import keep_alive

UNREAD_LIMIT: Final = 4 * BUFFER_SIZE
"""Bytes that wait for a reader that is busy; then the connection is not read any more."""


class LineStream(asyncio.BufferedProtocol):
    """One GET on a connection of its own; ``what`` names it in errors.

    With ``whole``, bytes that an answer may have, each answer is wanted whole, and the connection
    can be used for one GET after the other.

    After ``silence`` seconds without a byte it fails with ``TimeoutError``. What goes wrong is
    raised by ``head`` and ``read``, after the lines that came before it: an ``OSError``, a
    :class:`~..errors.TransportError`, :class:`~.httphead.Unsupported`.
    """

    def __init__(self, what: str, silence: float, *, whole: int = 0) -> None:
        self._loop = asyncio.get_running_loop()
        self._what = what
        self._silence = silence
        self._answer = Answer(whole)
        self._kept = whole > 0
        self._answered = False  # completely, and the connection waits for another request
        self._transport: asyncio.Transport | None = None
        self._lines: list[bytes] = []  # not yet taken by the reader
        self._unread = 0  # bytes of the reads that they came with
        self._waiter: PromptFuture | None = None  # of the reader, while there is nothing
        self._for_lines = False  # it waits for lines alone, or the end
        self._failure: Exception | None = None  # why nothing more will come
        self._finished = False  # nothing more will come
        self._heard = 0.0  # loop time of the last byte
        self._timer: asyncio.TimerHandle | None = None

    async def opened(self) -> None:
        """Wait until requests can be sent."""

    @property
    def reusable(self) -> bool:
        """Whether another request can be sent: see :meth:`restart`."""
        return self._answered and not self._finished

    def restart(self, what: str) -> None:
        """Get ready for another request, whose answer comes behind the one that was read."""
        self._what, self._answered = what, False
        self._answer.restart()

    def send(self, request: bytes) -> None:
        """Send the request; from here on silence counts."""
        self._write(request)
        if self._timer is not None:
            self._timer.cancel()
        self._heard = self._loop.time()
        self._timer = self._loop.call_later(self._silence, self._check_silence)

    async def head(self) -> ResponseHead:
        """Wait for the head of the answer."""
        while (head := self._answer.head) is None:
            await self._wait()
        return head

    async def read(self) -> list[bytes]:
        """Wait for the next lines and return them all; an empty list is the end."""
        while not self._lines:
            if self._answered or (self._finished and self._failure is None):
                return []
            await self._wait(for_lines=True)
        lines, self._lines, self._unread = self._lines, [], 0
        self._pace()
        return lines

    async def read_body(self, limit: int) -> bytes:
        """Return the body of a short answer, its beginning where it has more than ``limit``."""
        body = bytearray()
        while True:
            lines, self._lines, self._unread = self._lines, [], 0
            body += b"".join(line + b"\n" for line in lines)
            found = body + self._answer.rest
            if self._answer.complete or len(found) > limit:
                return bytes(found[:limit])
            if self._finished and self._failure is None:
                return bytes(found)
            self._pace()
            await self._wait()

    def close(self) -> None:
        """Close the connection; a reader that still waits gets a ``ConnectionError``."""
        self._finish(ConnectionAbortedError("it was closed on this side"))

    # --- what the event loop calls ---------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over a new connection."""
        self._transport = cast(asyncio.Transport, transport)
        keep_alive(transport.get_extra_info("socket"))

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where the next bytes go."""
        return self._answer.space()

    def buffer_updated(self, nbytes: int) -> None:
        """Take over the bytes that came."""
        self._take(nbytes)
        self._hand_on()

    def eof_received(self) -> bool:
        """Take note that the server sends nothing more."""
        if not self._finished:
            self._end()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Take note that the connection is gone."""
        self._finish(exc or ConnectionResetError("the server closed it"))

    # --- parts, for the encrypted one too --------------------------------------------------------

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def _take(self, count: int) -> None:
        """Cut ``count`` bytes in the answer's space into lines, and hand them on."""
        self._heard = self._loop.time()
        if self._answered:
            self._finish(ConnectionResetError("the server sent what was not asked for"))
            return
        try:
            lines = self._answer.fed(count)
        except Unsupported as error:
            self._finish(error)
            return
        except TransportError as error:
            self._finish(TransportError(f"{self._what}: {error}"))
            return
        if lines:
            self._lines = self._lines + lines if self._lines else lines
        if self._lines:  # there is something to take: a line without its end is not waited for
            self._unread += count
        if self._kept and self._answer.reusable:
            self._answered = True
        elif self._answer.complete:
            self._end()
        self._pace()

    def _hand_on(self) -> None:
        """Let the reader take what came, at once; to be called last."""
        waiter = self._waiter
        if waiter is None or waiter.done():
            return
        if self._lines or self._answered or not self._for_lines:
            waiter.finish()

    def _end(self) -> None:
        """The server ended the connection in an orderly way."""
        if self._kept and self._answer.head is None:
            self._finish(ConnectionResetError("it ended before an answer"))
            return
        try:
            self._answer.end()
        except TransportError as error:
            self._finish(TransportError(f"{self._what}: {error}"))
        else:
            self._finish(None)

    def _pace(self) -> None:
        """Read on, or stop reading for a while."""
        if self._transport is None or self._finished:
            return
        if self._may_read():
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def _may_read(self) -> bool:
        return self._unread <= UNREAD_LIMIT

    def _finish(self, failure: Exception | None) -> None:
        """End, the first time for good: with the answer complete, or with a failure."""
        if self._finished:
            return
        self._finished, self._failure = True, failure
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.abort()  # nothing is left to be sent
        self._wake()

    def _check_silence(self) -> None:
        # one timer for as long as the connection lasts: reads only move the time it looks at
        behind = self._unread > UNREAD_LIMIT
        due = (self._loop.time() if behind else self._heard) + self._silence
        if self._loop.time() < due:
            self._timer = self._loop.call_at(due, self._check_silence)
        else:
            self._finish(TimeoutError(f"nothing came for {self._silence:g} s"))

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _wait(self, *, for_lines: bool = False) -> None:
        if self._failure is not None:
            raise self._failure
        self._for_lines = for_lines
        self._waiter = PromptFuture(loop=self._loop)
        try:
            await self._waiter
        finally:
            self._waiter = None
