"""HTTP to a real API server, over aiohttp.

Watches and requests have connections of their own: a process holds a watch for each kind, and a
pool that both share would run dry. Watches are read as lines by our own framing, without
compression (it delays events), and a silent one is given up.
"""

from __future__ import annotations

import weakref
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final

import aiohttp
from yarl import URL

from ..errors import TransportError
from ..protocols import Response
from ..types import Headers, Query
from .config import Config
from .framing import LineFramer
from .http_errors import FOREIGN, is_reset, translate
from .sockets import keepalive_socket
from .status import api_error

CONNECT_SECONDS: Final = 10.0
"""To connect, TLS included: a server that takes longer is as good as down."""
REQUEST_SECONDS: Final = 75.0
"""For a whole request: the API server gives up by itself after 60 s (``--request-timeout``)."""
SILENCE_SECONDS: Final = 90.0
"""For a watch without a byte: the API server sends a bookmark every minute."""
REQUEST_CONNECTIONS: Final = 100
READ_SIZE: Final = 127 * 1024
"""Bytes a read of a watch: blocks from 128 KiB on come from mmap and cost page faults each time."""
ERROR_BODY_LIMIT: Final = 64 * 1024
"""Bytes of an error's body that are read: a Status is small, whatever else comes is cut."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Limits in seconds: of connecting, of a whole request, of silence on a watch."""

    connect: float = CONNECT_SECONDS
    request: float = REQUEST_SECONDS
    silence: float = SILENCE_SECONDS


class AiohttpTransport:
    """A :class:`~..protocols.Transport` to the API server of a :class:`Config`.

    Nothing is opened before the first request, which must be made in the event loop that all
    others will be made in. A GET is repeated once where the connection broke before the answer; a
    write never is, because it may have been carried out. Both are repeated once after a 401 if
    there is a new token by then.
    """

    def __init__(
        self, config: Config, *, timeouts: Timeouts | None = None, user_agent: str = "hybridpg"
    ) -> None:
        self._config = config
        self._timeouts = timeouts or Timeouts()
        self._user_agent = user_agent  # one that looks like a browser gets indented JSON
        self._requests: aiohttp.ClientSession | None = None
        self._watches: aiohttp.ClientSession | None = None
        # Answers that are being read: closing a connection does not wake their readers.
        self._answers: weakref.WeakSet[aiohttp.ClientResponse] = weakref.WeakSet()
        self._closed = False

    @property
    def config(self) -> Config:
        """What this transport was made from."""
        return self._config

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Query = (),
        headers: Headers = (),
        body: bytes | None = None,
    ) -> Response:
        """Send one request and read the whole answer; an error status is an answer."""
        authorization = await self._config.auth.header()
        exchange = _Exchange(method, path, query, headers, body)
        response = await self._exchange(exchange, authorization)
        if response.status == 401 and await self._config.auth.rejected(authorization):
            response = await self._exchange(exchange, await self._config.auth.header())
        return response

    async def stream(
        self, path: str, *, query: Query = (), headers: Headers = ()
    ) -> AsyncIterator[list[bytes]]:
        """GET a stream and yield its complete lines, one list per read.

        It is asked for as JSON unless ``headers`` name another ``accept``.

        Errors: :class:`~..errors.ApiError` where the server refuses; ``TransportError`` where the
        connection breaks, falls silent, or ends in the middle of a line.
        """
        exchange = _Exchange("GET", path, query, _accepting(headers), None)
        try:
            response = await self._listen(exchange)
            try:
                if response.status != 200:
                    raise api_error(response.status, _headers(response), await _capped(response))
                async for lines in _lines(response, str(exchange)):
                    yield lines
            finally:
                response.close()  # not released: nobody reads what may still come
        except FOREIGN as error:
            raise translate(error, str(exchange)) from error

    async def close(self) -> None:
        """Close all connections; requests and streams under way fail, and so do further ones."""
        self._closed = True
        for answer in list(self._answers):
            answer.close()
        for session in (self._requests, self._watches):
            if session is not None:
                await session.close()

    async def _exchange(self, exchange: _Exchange, authorization: str) -> Response:
        try:
            try:
                return await self._once(exchange, authorization)
            except FOREIGN as error:
                if exchange.method != "GET" or not is_reset(error):
                    raise
                return await self._once(exchange, authorization)
        except FOREIGN as error:
            raise translate(error, str(exchange)) from error

    async def _once(self, exchange: _Exchange, authorization: str) -> Response:
        if self._requests is None:
            total = aiohttp.ClientTimeout(
                total=self._timeouts.request, sock_connect=self._timeouts.connect
            )
            self._requests = self._session(total, limit=REQUEST_CONNECTIONS)
        async with await self._send(self._requests, exchange, authorization, "gzip") as response:
            failed = response.status >= 400
            body = await (_capped(response) if failed else response.read())
            return Response(response.status, _headers(response), body)

    async def _listen(self, exchange: _Exchange) -> aiohttp.ClientResponse:
        if self._watches is None:
            silence = aiohttp.ClientTimeout(
                total=None, sock_connect=self._timeouts.connect, sock_read=self._timeouts.silence
            )
            self._watches = self._session(silence, limit=0)
        authorization = await self._config.auth.header()
        response = await self._send(self._watches, exchange, authorization, "identity")
        if response.status == 401 and await self._config.auth.rejected(authorization):
            response.close()
            authorization = await self._config.auth.header()
            response = await self._send(self._watches, exchange, authorization, "identity")
        return response

    async def _send(
        self,
        session: aiohttp.ClientSession,
        exchange: _Exchange,
        authorization: str,
        encoding: str,
    ) -> aiohttp.ClientResponse:
        if self._closed:
            raise TransportError(f"{exchange}: the transport is closed")
        headers = [*exchange.headers, ("accept-encoding", encoding)]
        if authorization:
            headers.append(("authorization", authorization))
        url = URL(self._config.host + exchange.path, encoded=True)
        answer = await session.request(
            exchange.method,
            url.with_query(list(exchange.query)) if exchange.query else url,
            headers=headers,
            data=exchange.body,
            server_hostname=self._config.tls.server_name or None,
            proxy=self._config.proxy or None,
            allow_redirects=False,  # a token must not follow one
        )
        self._answers.add(answer)
        return answer

    def _session(self, timeout: aiohttp.ClientTimeout, *, limit: int) -> aiohttp.ClientSession:
        if self._closed:  # one that is made now would never be closed
            raise TransportError("the transport is closed")
        encrypted = URL(self._config.host).scheme == "https"
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=limit,
                ssl=self._config.tls.context() if encrypted else True,
                socket_factory=keepalive_socket,
            ),
            timeout=timeout,
            headers={"user-agent": self._user_agent},
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=READ_SIZE,
        )
        # The library would repeat PUT and DELETE on a broken connection by itself; it has no
        # public switch, so a test with a real socket holds it to this.
        session._retry_connection = False
        return session


@dataclass(frozen=True, slots=True)
class _Exchange:
    method: str
    path: str
    query: Query
    headers: Headers
    body: bytes | None = field(repr=False)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def _accepting(headers: Headers) -> Headers:
    if any(name.lower() == "accept" for name, _ in headers):
        return headers
    return (("accept", "application/json"), *headers)


async def _lines(response: aiohttp.ClientResponse, what: str) -> AsyncIterator[list[bytes]]:
    framer = LineFramer()
    async for chunk in response.content.iter_chunked(READ_SIZE):
        if lines := framer.feed(chunk):
            yield lines
    if framer.pending:
        raise TransportError(f"{what}: the stream ended in the middle of a line")


async def _capped(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_chunked(ERROR_BODY_LIMIT):
        body += chunk
        if len(body) > ERROR_BODY_LIMIT:
            response.close()  # what is left unread makes the connection useless
            break
    return bytes(body[:ERROR_BODY_LIMIT])


def _headers(response: aiohttp.ClientResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}
