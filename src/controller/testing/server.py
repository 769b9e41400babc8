"""Serves a FakeCluster over HTTP or HTTPS on loopback, for kubectl and other clients."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ipaddress
import logging
import socket
import ssl
from collections.abc import AsyncGenerator
from types import TracebackType
from typing import Final, Self

from aiohttp import web

from ..errors import TransportError
from ..protocols import Response
from ..types import JsonObject
from . import _answers
from ._status import StatusError
from .cluster import FakeCluster

logger = logging.getLogger(__name__)

BODY_LIMIT: Final = 3 * 1024 * 1024
"""Bytes of a request: what a real server accepts."""
STOP_SECONDS: Final = 0.5
"""For open requests at the end; watches are ended before, so hardly anything needs it."""


class FakeClusterServer:
    """An HTTP server in front of a cluster; ``async with`` starts and stops it.

    Only loopback addresses are accepted: it holds Secrets and checks at most one token. Closing
    the server leaves the cluster open.

    Errors: ValueError for an address that others can reach.
    """

    def __init__(
        self,
        cluster: FakeCluster,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        ssl_context: ssl.SSLContext | None = None,
        token: str = "",
    ) -> None:
        if not ipaddress.ip_address(host).is_loopback:
            raise ValueError(f"the fake cluster serves loopback addresses only, not {host}")
        self._cluster = cluster
        self._host = host
        self._port = port
        self._ssl = ssl_context
        self._token = token
        self._runner: web.AppRunner | None = None
        self._watching: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Listen; ``port`` 0 takes a free one."""
        app = web.Application(client_max_size=BODY_LIMIT)
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=STOP_SECONDS, handler_cancellation=True
        )
        await runner.setup()
        listener = socket.socket(socket.AF_INET6 if ":" in self._host else socket.AF_INET)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((self._host, self._port))
        except OSError:
            listener.close()
            await runner.cleanup()
            raise
        self._port = listener.getsockname()[1]
        await web.SockSite(runner, listener, ssl_context=self._ssl).start()
        self._runner = runner
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End all watches and stop listening."""
        for task in self._watching:
            task.cancel()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return self._port

    @property
    def url(self) -> str:
        """The address for clients."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{'http' if self._ssl is None else 'https'}://{host}:{self._port}"

    def kubeconfig(self, *, certificate_authority: bytes = b"", name: str = "fake") -> JsonObject:
        """Return a kubeconfig for this server; the authority is PEM."""
        cluster: JsonObject = {"server": self.url}
        if certificate_authority:
            encoded = base64.b64encode(certificate_authority).decode()
            cluster["certificate-authority-data"] = encoded
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": name,
            "clusters": [{"name": name, "cluster": cluster}],
            "users": [{"name": name, "user": {"token": self._token} if self._token else {}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        }

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if not self._authorized(request):
            return _sent(_answers.refusal(StatusError(401, "Unauthorized", "Unauthorized")))
        query = tuple(request.query.items())
        headers = tuple(request.headers.items())
        try:
            if self._cluster.is_watch(request.method, request.path, query):
                return await self._watch(request, query, headers)
            body = await request.read() if request.can_read_body else None
            answer = await self._cluster.request(
                request.method, request.path, query=query, headers=headers, body=body
            )
        except TransportError:
            return _aborted(request)
        return _sent(answer)

    def _authorized(self, request: web.Request) -> bool:
        wanted = f"Bearer {self._token}"
        return not self._token or request.headers.get("Authorization") == wanted

    async def _watch(
        self,
        request: web.Request,
        query: tuple[tuple[str, str], ...],
        headers: tuple[tuple[str, str], ...],
    ) -> web.StreamResponse:
        try:
            batches = await self._cluster.open_watch(request.path, query, headers)
        except StatusError as error:
            return _sent(_answers.refusal(error))
        stream = web.StreamResponse(headers={"Content-Type": _answers.JSON})
        await stream.prepare(request)
        # a task of its own, so that the server can end the watch without ending the connection's
        task = asyncio.create_task(_pass_on(batches, stream), name=f"watch {request.path}")
        self._watching.add(task)
        try:
            await asyncio.wait([task])
        finally:
            task.cancel()
            self._watching.discard(task)
        if not task.cancelled():
            task.result()
        return stream


async def _pass_on(batches: AsyncGenerator[list[bytes]], stream: web.StreamResponse) -> None:
    async with contextlib.aclosing(batches) as open_batches:
        # a client that has gone needs no answer
        with contextlib.suppress(ConnectionResetError):
            async for lines in open_batches:
                await stream.write(b"".join(line + b"\n" for line in lines))
            await stream.write_eof()


def _sent(answer: Response) -> web.Response:
    return web.Response(status=answer.status, headers=answer.headers, body=answer.body)


def _aborted(request: web.Request) -> web.StreamResponse:
    """Reset the connection: for the client, the answer never comes."""
    logger.debug("connection is reset by a scripted fault: %s %s", request.method, request.path)
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)
