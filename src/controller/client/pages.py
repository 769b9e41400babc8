"""Reads lists in place, on connections that are kept from one page to the next.

A page has a megabyte or two. The HTTP library hands it on in pieces, each in new memory, which
costs more than decoding it; here it is read into one buffer that stays for the next page. Lists are
asked for without compression, as watches are: to unpack a page takes longer than to decode it.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from ..errors import TransportError
from ..protocols import Response
from .httphead import UNTIL_CLOSED, Unsupported
from .linestream import LineStream

KEPT_SECONDS: Final = 5.0
"""For the next page, which is asked for at once; its buffer is as large as a page."""
KEPT: Final = 4
"""Connections: so many kinds are listed at a time when a program starts."""

Connect = Callable[[], Awaitable[LineStream]]


class _Kept(NamedTuple):
    stream: LineStream
    context: ssl.SSLContext | None
    timer: asyncio.TimerHandle


class PageReader:
    """Sends GETs and reads their answers, each of ``limit`` bytes at most."""

    def __init__(self, *, limit: int, error_limit: int) -> None:
        self._limit = limit
        self._error_limit = error_limit
        self._kept: list[_Kept] = []  # those that wait for a request, used last come last

    async def get(
        self, what: str, request: bytes, *, context: ssl.SSLContext | None, connect: Connect
    ) -> Response:
        """Send a request over a connection that is kept, or is made with ``connect``.

        Errors: an ``OSError``; :class:`~..errors.TransportError` for an answer that is cut or is
        none; :class:`~.httphead.Unsupported`.
        """
        stream = self._take(context)
        if stream is None:
            stream = await connect()
        else:
            stream.restart(what)
        try:
            response = await self._answer(stream, what, request)
        except BaseException:
            stream.close()
            self.close()  # they are as old, and may be as dead
            raise
        self._keep(stream, context)
        return response

    def close(self) -> None:
        """Close the connections that wait for a request."""
        kept, self._kept = self._kept, []
        for each in kept:
            each.timer.cancel()
            each.stream.close()

    async def _answer(self, stream: LineStream, what: str, request: bytes) -> Response:
        stream.send(request)
        head = await stream.head()
        if head.status >= 400:
            body = await stream.read_body(self._error_limit)
            return Response(head.status, head.headers, body.removesuffix(b"\n"))
        if head.length == UNTIL_CLOSED:
            raise Unsupported("a list has no length")
        try:
            return Response(head.status, head.headers, await self._whole(stream, what))
        except ConnectionError as error:  # too late to be repeated: the answer had begun
            raise TransportError(f"{what}: the connection broke: {error}") from error

    async def _whole(self, stream: LineStream, what: str) -> bytes:
        lines: list[bytes] = []
        size = 0
        while came := await stream.read():
            lines += came
            size += sum(map(len, came))
            if size > self._limit:
                raise TransportError(f"{what}: the answer has more than {self._limit} bytes")
        return lines[0] if len(lines) == 1 else b"\n".join(lines)

    def _take(self, context: ssl.SSLContext | None) -> LineStream | None:
        while self._kept:
            kept = self._kept.pop()
            kept.timer.cancel()
            if kept.context is context and kept.stream.reusable:
                return kept.stream
            kept.stream.close()
        return None

    def _keep(self, stream: LineStream, context: ssl.SSLContext | None) -> None:
        if not stream.reusable or len(self._kept) >= KEPT:
            stream.close()
            return
        timer = asyncio.get_running_loop().call_later(KEPT_SECONDS, self._let_go, stream)
        self._kept.append(_Kept(stream, context, timer))

    def _let_go(self, stream: LineStream) -> None:
        """Close a connection that was not needed again, and hold its buffer no longer."""
        self._kept = [each for each in self._kept if each.stream is not stream]
        stream.close()
