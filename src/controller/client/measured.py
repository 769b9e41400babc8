"""Counts and times the requests that go through a transport: plain numbers, no library.

A watch is one request: it has a status like others, and its duration ends with the first thing
that the server says on it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Final

from .._clock import loop_time
from .._histogram import REQUEST_BOUNDS, SIZE_BOUNDS, Histogram
from ..errors import ApiError
from ..fence import check_work
from ..protocols import Now, Response, Transport
from ..types import Headers, Query

NO_ANSWER: Final = "<error>"
"""The code of a request without an answer, as client-go has it."""


class RequestStats:
    """Counters of the requests of one method."""

    __slots__ = ("codes", "durations", "received", "sent")

    def __init__(self) -> None:
        # the code of the answer -> how many; codes are numbers of HTTP, so there are few
        self.codes: dict[str, int] = {}
        self.durations = Histogram(REQUEST_BOUNDS)
        # bytes of the bodies; those of watches have no end and are not among them
        self.sent = Histogram(SIZE_BOUNDS)
        self.received = Histogram(SIZE_BOUNDS)

    def count(self, code: str, seconds: float) -> None:
        """Count a request that was answered, or was not."""
        self.codes[code] = self.codes.get(code, 0) + 1
        self.durations.observe(seconds)


class MeasuredTransport:
    """Passes everything on to another transport, and measures it.

    ``host`` names the API server in the metrics. ``stats`` has the counters by HTTP method.
    """

    def __init__(self, transport: Transport, *, host: str = "", now: Now = loop_time) -> None:
        self.host = host
        self.stats: dict[str, RequestStats] = {}
        self._transport = transport
        self._now = now

    @property
    def transport(self) -> Transport:
        """What the requests go through."""
        return self._transport

    @property
    def retries(self) -> Mapping[tuple[str, str], int]:
        """How often the transport sent a request once more by itself, by its first code and method.

        Such a request counts once in ``stats``, with its last answer.
        """
        found: Mapping[tuple[str, str], int] = getattr(self._transport, "retries", {})
        return found

    def check(self, what: str) -> None:
        """Refuse work as the transport does, if it refuses any."""
        check_work(self._transport, what)

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Query = (),
        headers: Headers = (),
        body: bytes | None = None,
    ) -> Response:
        """Send one request and read the whole answer."""
        stats, begun = self._of(method), self._now()
        code = NO_ANSWER
        try:
            response = await self._transport.request(
                method, path, query=query, headers=headers, body=body
            )
            code = str(response.status)
            stats.received.observe(len(response.body))
            return response
        finally:
            stats.count(code, self._now() - begun)
            if body is not None:
                stats.sent.observe(len(body))

    async def stream(
        self, path: str, *, query: Query = (), headers: Headers = ()
    ) -> AsyncGenerator[list[bytes], None]:
        """GET a stream of lines."""
        stats, begun = self._of("GET"), self._now()
        lines = self._transport.stream(path, query=query, headers=headers)
        code = NO_ANSWER
        try:
            try:
                first = await anext(lines, None)
                code = "200"
            except ApiError as error:
                code = str(error.status)
                raise
            finally:
                stats.count(code, self._now() - begun)
            if first is not None:
                yield first
            async for each in lines:
                yield each
        finally:  # not left to the garbage collector: it holds a connection
            if isinstance(lines, AsyncGenerator):
                await lines.aclose()

    async def close(self) -> None:
        """Close all connections; further requests fail."""
        await self._transport.close()

    def _of(self, method: str) -> RequestStats:
        stats = self.stats.get(method)
        if stats is None:
            stats = self.stats[method] = RequestStats()
        return stats
