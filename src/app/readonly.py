"""A transport that cannot write: whatever goes through it only looks."""

from __future__ import annotations

from collections.abc import AsyncIterator

from ..controller import Client, Headers, Query, Response, Transport
from .errors import WriteRefused


class ReadOnlyTransport:
    """Passes reads on and refuses everything else, before anything is sent."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def check(self, what: str) -> None:
        """Refuse work as the transport does, if it refuses any."""
        Client(self._transport).check(what)

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Query = (),
        headers: Headers = (),
        body: bytes | None = None,
    ) -> Response:
        """Send a GET and read the whole answer.

        Raises:
            WriteRefused: it is no GET.
        """
        if method != "GET":
            raise WriteRefused(f"{method} {path} is refused: nothing is written here")
        return await self._transport.request(method, path, query=query, headers=headers, body=body)

    def stream(
        self, path: str, *, query: Query = (), headers: Headers = ()
    ) -> AsyncIterator[list[bytes]]:
        """GET a stream of lines."""
        return self._transport.stream(path, query=query, headers=headers)

    async def close(self) -> None:
        """Close all connections."""
        await self._transport.close()
