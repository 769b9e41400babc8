"""Sessions of the HTTP library, exchanged when the TLS context is.

Requests and the watches that the library reads have one each: a process holds a watch for each
kind, and a pool that both share would run dry.
"""

from __future__ import annotations

import contextlib
import ssl
import weakref
from collections.abc import AsyncIterator
from typing import Final

import aiohttp

from ..errors import TransportError
from ..fence import check_before_sending
from .sockets import KeepaliveSockets

READ_SIZE: Final = 127 * 1024
"""Bytes a read of a watch: blocks from 128 KiB on come from mmap and cost page faults each time."""


class _Request(aiohttp.ClientRequest):
    """A request that asks once more whether it may be sent: it may have waited for a connection."""

    async def send(self, conn: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
        check_before_sending()
        return await super().send(conn)


class SessionPool:
    """One session for new requests, and those before it for as long as they are used."""

    def __init__(self, *, timeout: aiohttp.ClientTimeout, limit: int, user_agent: str) -> None:
        self._timeout = timeout
        self._limit = limit
        self._user_agent = user_agent
        self._session: aiohttp.ClientSession | None = None
        self._context: ssl.SSLContext | None = None  # of that session
        self._users: dict[aiohttp.ClientSession, int] = {}  # and all that are not closed
        # Answers that are being read: closing a connection does not wake their readers.
        self._answers: weakref.WeakSet[aiohttp.ClientResponse] = weakref.WeakSet()
        self._sockets = KeepaliveSockets()
        self._closed = False

    @contextlib.asynccontextmanager
    async def session(self, context: ssl.SSLContext | None) -> AsyncIterator[aiohttp.ClientSession]:
        """Use a session whose new connections have that context, None for no TLS."""
        self._check_open()  # a session that is made now would never be closed
        if self._session is None or self._context is not context:
            former, self._session = self._session, self._make(context)
            self._context = context
            self._users[self._session] = 0
            await self._close_unused(former)
            self._check_open()  # that may have taken its time
        used = self._session
        self._users[used] += 1
        try:
            yield used
        finally:
            self._users[used] -= 1
            await self._close_unused(used)

    def under_way(self, answer: aiohttp.ClientResponse) -> None:
        """Have an answer's reader fail when all is closed."""
        self._answers.add(answer)

    async def close(self) -> None:
        """Close all connections; requests under way fail, and so do further ones."""
        self._closed = True
        for answer in list(self._answers):
            answer.close()
        for session in list(self._users):
            await session.close()
        await self._sockets.end()

    def _check_open(self) -> None:
        if self._closed:
            raise TransportError("the transport is closed")

    async def _close_unused(self, session: aiohttp.ClientSession | None) -> None:
        if session is None or session is self._session or self._users.get(session, 0):
            return
        self._users.pop(session, None)
        await session.close()

    def _make(self, context: ssl.SSLContext | None) -> aiohttp.ClientSession:
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=self._limit,
                ssl=True if context is None else context,
                socket_factory=self._sockets.make,
            ),
            timeout=self._timeout,
            request_class=_Request,
            headers={"user-agent": self._user_agent},
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=READ_SIZE,
        )
        # The library would repeat PUT and DELETE on a broken connection by itself; it has no
        # public switch, so a test with a real socket holds it to this.
        session._retry_connection = False
        return session
