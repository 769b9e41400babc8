"""HTTP to a real API server.

Requests go over aiohttp; those for Leases have connections of their own, because a hundred others
that hang must not cost a leader its lease. So have watches, which are read without compression (it
delays events) and are given up when they fall silent. They are read in place (:mod:`.direct`), and
so are lists (:mod:`.pages`); what that reader cannot do, such as a proxy on the way, aiohttp does
too, with our own framing.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import re
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Final

import aiohttp
from yarl import URL

from ..errors import TransportError
from ..protocols import Response
from ..types import LEASES, Headers, Query
from .config import Config
from .direct import connect, get_request
from .exchange import (
    BODY_LIMIT,
    ERROR_BODY_LIMIT,
    Exchange,
    Login,
    Timeouts,
    accepting,
    answer_of,
    refusal_of,
)
from .framing import LineFramer
from .http_errors import FOREIGN, is_reset, translate
from .httphead import Unsupported
from .linestream import LineStream
from .logins import Logins
from .measured import NO_ANSWER
from .pages import PageReader
from .sessions import READ_SIZE, SessionPool
from .status import api_error
from .tlscontext import TlsContexts

logger = logging.getLogger(__name__)

REQUEST_CONNECTIONS: Final = 100
UNLIMITED: Final = 0
"""Connections for Leases and watches: none of them ever waits for another one."""
_LEASES: Final = f"/apis/{LEASES.api_version}/"
_INTERFACE: Final = re.compile(r"^(\w+://(?:[^/]*@)?\[[^]%/]*)%25")
"""Before the interface of an IPv6 address; a URL has it escaped, and nobody below unescapes it."""


class AiohttpTransport:
    """A :class:`~..protocols.Transport` to the API server of a :class:`Config`.

    Nothing is opened before the first request, which must be made in the event loop that all
    others will be made in. A GET is repeated once where the connection broke before the answer; a
    write never is, because it may have been carried out. Both are repeated once after a 401 if
    there is a new token or client certificate by then, and where the server's certificate is not
    trusted if there is a new authority.

    With ``in_place`` False the library reads watches and lists, too, and lists come compressed.
    """

    def __init__(
        self,
        config: Config,
        *,
        timeouts: Timeouts | None = None,
        user_agent: str = "hybridpg",
        in_place: bool = True,
    ) -> None:
        self._config = config
        self._host = _INTERFACE.sub(r"\1%", config.host)
        self._timeouts = timeouts or Timeouts()
        self._user_agent = user_agent  # one that looks like a browser gets indented JSON
        self._in_place = in_place and not config.proxy
        encrypted = URL(config.host).scheme == "https"
        self._logins = Logins(config, TlsContexts(config.current_tls) if encrypted else None)
        total, connecting = self._timeouts.request, self._timeouts.connect
        self._requests = SessionPool(
            timeout=aiohttp.ClientTimeout(total=total, sock_connect=connecting),
            limit=REQUEST_CONNECTIONS,
            user_agent=user_agent,
        )
        # all of connecting, a proxy's tunnel too: to wait for another one counts, but none does
        self._leases = SessionPool(
            timeout=aiohttp.ClientTimeout(total=total, connect=connecting),
            limit=UNLIMITED,
            user_agent=user_agent,
        )
        self._watches = SessionPool(
            timeout=aiohttp.ClientTimeout(
                total=None, connect=connecting, sock_read=self._timeouts.silence
            ),
            limit=UNLIMITED,
            user_agent=user_agent,
        )
        self._streams: weakref.WeakSet[LineStream] = weakref.WeakSet()
        self._pages = PageReader(limit=BODY_LIMIT, error_limit=ERROR_BODY_LIMIT)
        self._pages_in_place = self._in_place

    @property
    def config(self) -> Config:
        """What this transport was made from."""
        return self._config

    @property
    def retries(self) -> Mapping[tuple[str, str], int]:
        """Requests that were sent once more from here, by code of the first answer and method."""
        return self._logins.retries

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
        exchange = Exchange(method, path, query, headers, body)
        try:
            return await self._logins.logged_in(functools.partial(self._exchange, exchange), method)
        except FOREIGN as error:
            raise translate(error, str(exchange)) from error

    async def stream(
        self, path: str, *, query: Query = (), headers: Headers = ()
    ) -> AsyncIterator[list[bytes]]:
        """GET a stream and yield its complete lines, one list per read.

        It is asked for as JSON unless ``headers`` name another ``accept``.

        Errors: :class:`~..errors.ApiError` where the server refuses; ``TransportError`` where the
        connection breaks, falls silent, or ends in the middle of a line.
        """
        exchange = Exchange("GET", path, query, accepting(headers), None)
        try:
            if (opened := await self._open_in_place(exchange)) is not None:
                try:
                    while lines := await opened.read():
                        yield lines
                finally:
                    opened.close()
                return
            async with contextlib.aclosing(self._library_lines(exchange)) as batches:
                async for lines in batches:
                    yield lines
        except FOREIGN as error:
            raise translate(error, str(exchange)) from error

    async def close(self) -> None:
        """Close all connections; requests and streams under way fail, and so do further ones."""
        self._logins.close()
        self._pages.close()
        for stream in list(self._streams):
            stream.close()
        for pool in (self._requests, self._leases, self._watches):
            await pool.close()
        await self._config.auth.close()  # last: what another one raises must leave nothing open

    # --- requests --------------------------------------------------------------------------------

    async def _exchange(self, exchange: Exchange, login: Login) -> Response:
        try:
            return await self._once(exchange, login)
        except FOREIGN as error:
            if exchange.method != "GET" or not is_reset(error):
                raise
            self._logins.repeats(NO_ANSWER, exchange.method)
            return await self._once(exchange, login)

    async def _once(self, exchange: Exchange, login: Login) -> Response:
        if self._pages_in_place and exchange.is_list:
            try:
                async with asyncio.timeout(self._timeouts.request):
                    return await self._page(exchange, login)
            except Unsupported as reason:
                logger.info("lists are read by the HTTP library from here on: %s", reason)
                self._pages_in_place = False
        pool = self._leases if exchange.path.startswith(_LEASES) else self._requests
        async with pool.session(login.context) as session:
            response = await self._send(session, exchange, login, "gzip")
            pool.under_way(response)
            async with response:
                return await answer_of(response, str(exchange))

    async def _page(self, exchange: Exchange, login: Login) -> Response:
        return await self._pages.get(
            str(exchange),
            self._get(exchange, login),
            context=login.context,
            connect=functools.partial(self._connect, exchange, login, whole=BODY_LIMIT),
        )

    async def _send(
        self, session: aiohttp.ClientSession, exchange: Exchange, login: Login, encoding: str
    ) -> aiohttp.ClientResponse:
        return await session.request(
            exchange.method,
            self._url(exchange),
            headers=login.headers(exchange, encoding),
            data=exchange.body,
            server_hostname=self._config.tls.server_name or None,
            proxy=self._config.proxy or None,
            allow_redirects=False,  # a token must not follow one
        )

    def _url(self, exchange: Exchange) -> URL:
        url = URL(self._host + exchange.path, encoded=True)
        return url.with_query(list(exchange.query)) if exchange.query else url

    # --- streams ---------------------------------------------------------------------------------

    async def _open_in_place(self, exchange: Exchange) -> LineStream | None:
        if not self._in_place:
            return None
        try:
            return await self._logins.logged_in(functools.partial(self._listen, exchange))
        except Unsupported as reason:
            logger.info("watches are read by the HTTP library from here on: %s", reason)
            self._in_place = False
            return None

    async def _listen(self, exchange: Exchange, login: Login) -> LineStream:
        request = self._get(exchange, login)
        stream = await self._connect(exchange, login)
        try:
            stream.send(request)
            head = await stream.head()
            if head.status != 200:
                body = await stream.read_body(ERROR_BODY_LIMIT)
                raise api_error(head.status, head.headers, body)
        except BaseException:
            stream.close()
            raise
        return stream

    async def _connect(self, exchange: Exchange, login: Login, *, whole: int = 0) -> LineStream:
        stream = await connect(
            self._url(exchange),
            str(exchange),
            context=login.context,
            server_name=self._config.tls.server_name,
            within=self._timeouts.connect,
            silence=self._timeouts.silence,
            whole=whole,
        )
        if self._logins.closed:  # meanwhile: nobody would close this one
            stream.close()
            raise TransportError(f"{exchange}: the transport is closed")
        self._streams.add(stream)
        return stream

    def _get(self, exchange: Exchange, login: Login) -> bytes:
        agent = ("user-agent", self._user_agent)
        return get_request(self._url(exchange), [agent, *login.headers(exchange, "identity")])

    async def _library_lines(self, exchange: Exchange) -> AsyncGenerator[list[bytes]]:
        async with contextlib.AsyncExitStack() as stack:
            listen = functools.partial(self._listen_by_library, exchange, stack)
            response = await self._logins.logged_in(listen)
            framer = LineFramer()
            async for chunk in response.content.iter_chunked(READ_SIZE):
                if lines := framer.feed(chunk):
                    yield lines
            if framer.pending:
                raise TransportError(f"{exchange}: the stream ended in the middle of a line")

    async def _listen_by_library(
        self, exchange: Exchange, stack: contextlib.AsyncExitStack, login: Login
    ) -> aiohttp.ClientResponse:
        session = await stack.enter_async_context(self._watches.session(login.context))
        response = await self._send(session, exchange, login, "identity")
        self._watches.under_way(response)
        stack.callback(response.close)  # not released: nobody reads what may still come
        if response.status != 200:
            raise await refusal_of(response)
        return response
