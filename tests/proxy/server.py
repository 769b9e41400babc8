"""A proxy before an API server that records every call and makes of it what its rules say.

Both sides can be TLS. It stands between a controller and the real kube-apiserver, or any client
and a fake one: what the client sees is what a bad network, a broken load balancer or a restarting
server would make it see, at exactly the call that a rule names.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, Unpack
from urllib.parse import urlencode

import aiohttp
import yaml
from aiohttp import web
from tests.proxy.rules import (
    WATCHES,
    Answer,
    Call,
    CutBody,
    Delay,
    Do,
    Hang,
    Hold,
    Identities,
    Instead,
    Lose,
    Made,
    Meanwhile,
    Rule,
    What,
    Where,
)
from tests.proxy.streams import Broken, Ended, Lines, Stalled, StreamFault, perturbed

from hybridpg.controller.client import Config
from hybridpg.controller.client.sockets import KeepaliveSockets

HOP_BY_HOP = {"host", "connection", "transfer-encoding", "content-length"}
BODY_LIMIT = 2**24
READ_SIZE = 2**16
STOP_SECONDS = 0.5
"""For open requests at the end; all are answers that nobody waits for any more."""
UPSTREAM_FAULTS = (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError)
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER on, 0 s: the socket is closed with RST instead of FIN."""


@dataclass(slots=True)
class Recorded:
    """One call as it arrived; ``status`` is None until it was answered."""

    call: Call
    at: float
    status: int | None = None


class Proxy:
    """A proxy on loopback; ``async with`` starts and stops it.

    ``upstream`` is what it forwards to, with the client certificate that is configured there; an
    ``Authorization`` header is passed on. With ``tls`` it serves that context.
    """

    def __init__(
        self,
        upstream: Config,
        *,
        tls: ssl.SSLContext | None = None,
        authority: Path | None = None,
        aliases: Mapping[str, str] | None = None,
    ) -> None:
        self._upstream = upstream
        self._tls = tls
        self._authority = authority
        self._aliases = aliases or {}
        self._identities = Identities(self._aliases)
        self._rules: list[Rule] = []
        self._port = 0
        self.record: list[Recorded] = []

    async def __aenter__(self) -> Self:
        """Listen on a free port."""
        encrypted = self._upstream.host.startswith("https:")
        self._sockets = KeepaliveSockets()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0,
                ssl=self._upstream.tls.context() if encrypted else True,
                socket_factory=self._sockets.make,
            ),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
        )
        app = web.Application(client_max_size=BODY_LIMIT)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=STOP_SECONDS, handler_cancellation=True
        )
        await self._runner.setup()
        await self.up()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Reset what is open and stop listening."""
        self._reset_all()
        await self._runner.cleanup()
        await self._session.close()
        await self._sockets.end()

    async def up(self) -> None:
        """Listen again, on the same port."""
        self._site = web.TCPSite(
            self._runner, "127.0.0.1", self._port, ssl_context=self._tls, reuse_address=True
        )
        await self._site.start()
        self._port = self._runner.addresses[0][1]

    async def down(self) -> None:
        """Reset all connections and refuse new ones: the API server has gone."""
        await self._site.stop()
        self._reset_all()

    @property
    def url(self) -> str:
        """The address for clients."""
        return f"{'http' if self._tls is None else 'https'}://127.0.0.1:{self._port}"

    def write_kubeconfig(self, path: Path, *, token: str = "") -> Path:
        """Write a kubeconfig that leads here and return its path."""
        cluster = {"server": self.url}
        if self._authority is not None:
            cluster["certificate-authority"] = str(self._authority)
        named = {
            "clusters": [{"name": "proxy", "cluster": cluster}],
            "users": [{"name": "proxy", "user": {"token": token} if token else {}}],
            "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "proxy"}}],
        }
        head = {"apiVersion": "v1", "kind": "Config", "current-context": "proxy"}
        path.write_text(yaml.safe_dump({**head, **named}))
        return path

    def add(self, what: What, **where: Unpack[Where]) -> Rule:
        """Add a rule and return it, so that a test can await that it ``struck``.

        A rule holds for calls that come after it, and for those that are held when it comes; of
        several that strike one call the first with an end decides.
        """
        return self.add_rule(Rule(what, **where))

    def add_rule(self, rule: Rule) -> Rule:
        """Add a rule as it is and return it."""
        self._rules.append(rule)
        return rule

    def clear(self) -> None:
        """Let all go well again, for calls to come."""
        self._rules.clear()

    def calls(self, *verbs: str) -> list[Call]:
        """Return the calls of some verbs in the order in which they came."""
        return [each.call for each in self.record if each.call.verb in verbs]

    async def note(self, request: web.Request) -> Recorded:
        """Record a call that just arrived; a proxy of another kind may note more of it."""
        call = self._identities.of(request.method, request.path, request.query)
        self.record.append(Recorded(call, asyncio.get_running_loop().time()))
        return self.record[-1]

    def lines_of(self, recorded: Recorded, lines: Lines) -> Lines:
        """Return the lines of a watch as they come; a proxy of another kind may look at them."""
        return lines

    def forget(self) -> None:
        """Count and record anew, as if nothing had been called before."""
        self._identities = Identities(self._aliases)
        self.record.clear()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        recorded = await self.note(request)
        call = recorded.call
        known = tuple(self._rules)
        struck = [rule for rule in known if rule.takes(call, request.query)]
        try:
            if await _held(struck):
                later = [rule for rule in self._rules if all(rule is not each for each in known)]
                struck += [rule for rule in later if rule.takes(call, request.query)]
            answer = await self._answer(request, struck, recorded)
        except Broken as broken:
            answer = _broken(request.transport, reset=broken.reset)
        except Stalled:
            answer = await asyncio.Future()  # ends by cancellation, when the client has gone
        except UPSTREAM_FAULTS:
            answer = _broken(request.transport, reset=True)
        return answer

    async def _answer(
        self, request: web.Request, struck: list[Rule], recorded: Recorded
    ) -> web.StreamResponse:
        for rule in struck:
            if isinstance(rule.what, StreamFault):
                continue
            rule.strike()
            if (answer := await self._instead(rule.what, request)) is not None:
                recorded.status = answer.status
                return answer
        if recorded.call.verb in WATCHES:
            return await self._watch(request, struck, recorded)
        answer = await self._forward(request, recorded)
        for rule in struck:
            await _afterwards(rule.what, request, answer)
        return answer

    async def _forward(self, request: web.Request, recorded: Recorded) -> web.Response:
        async with self._ask(request, request.headers) as theirs:
            recorded.status = theirs.status
            body = await theirs.read()
            return web.Response(status=theirs.status, headers=_kept(theirs.headers), body=body)

    async def _instead(self, what: What, request: web.Request) -> web.Response | None:
        """Return what a rule answers before the request goes further, None where it goes."""
        match what:
            case Delay(seconds):
                await asyncio.sleep(seconds)
            case Answer(status, body, headers):
                return web.Response(status=status, body=body, headers=headers)
            case Made(make):
                made = make()
                return web.Response(status=made.status, body=made.body, headers=made.headers)
            case Instead(query):
                async with self._ask(request, request.headers, query) as theirs:
                    body = await theirs.read()
                    return web.Response(
                        status=theirs.status, headers=_kept(theirs.headers), body=body
                    )
            case Lose(committed=False):
                raise Broken
            case Hang(committed=False):
                raise Stalled
            case Do(action, committed=False):
                action()
                return web.Response(status=503)
        return None

    async def _watch(
        self, request: web.Request, struck: list[Rule], recorded: Recorded
    ) -> web.StreamResponse:
        # lines can only be told apart where nothing compresses them
        plain = {**request.headers, "Accept-Encoding": "identity"}
        async with self._ask(request, plain) as theirs:
            recorded.status = theirs.status
            stream = web.StreamResponse(status=theirs.status, headers=_kept(theirs.headers))
            await stream.prepare(request)
            lines = self.lines_of(recorded, _lines(theirs))
            for rule in struck:
                if isinstance(rule.what, StreamFault):
                    lines = perturbed(
                        lines,
                        rule.what,
                        behind=rule.behind,
                        after=rule.after,
                        strike=rule.strike,
                    )
            try:
                async for line in lines:
                    await stream.write(line)
            except Ended:
                await stream.write_eof()
            return stream

    @contextlib.asynccontextmanager
    async def _ask(
        self,
        request: web.Request,
        headers: Mapping[str, str],
        query: Mapping[str, str] | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        target = request.path_qs if query is None else f"{request.path}?{urlencode(query)}"
        async with self._session.request(
            request.method,
            f"{self._upstream.host}{target}",
            headers=_kept(headers),
            data=await request.read() or None,
            server_hostname=self._upstream.tls.server_name or None,
            allow_redirects=False,
        ) as theirs:
            yield theirs

    def _reset_all(self) -> None:
        assert self._runner.server is not None
        for connection in self._runner.server.connections:
            _abort(connection.transport, reset=True)


async def _held(struck: list[Rule]) -> bool:
    """Wait for as long as rules hold a call; return whether any did."""
    holds = [rule for rule in struck if isinstance(rule.what, Hold)]
    for rule in holds:
        assert isinstance(rule.what, Hold)
        rule.strike()
        await rule.what.until.wait()
        struck.remove(rule)
    return bool(holds)


async def _afterwards(what: What, request: web.Request, answer: web.Response) -> None:
    """Do what a rule says once the request was carried out."""
    match what:
        case Lose():
            raise Broken
        case Hang():
            raise Stalled
        case Do(action):
            action()
        case Meanwhile(action):
            await action()
        case CutBody():
            body = answer.body
            assert isinstance(body, bytes)
            stream = web.StreamResponse(status=answer.status, headers=answer.headers)
            stream.content_length = len(body)
            await stream.prepare(request)
            await stream.write(body[: len(body) // 2])
            raise Broken(reset=False)


async def _lines(answer: aiohttp.ClientResponse) -> Lines:
    rest = b""
    async for chunk in answer.content.iter_chunked(READ_SIZE):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line + b"\n"
    if rest:
        yield rest


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in HOP_BY_HOP}


def _broken(transport: asyncio.BaseTransport | None, *, reset: bool) -> web.StreamResponse:
    """Break the connection; what is returned cannot be sent any more."""
    _abort(transport, reset=reset)
    return web.Response(status=503)


def _abort(transport: asyncio.BaseTransport | None, *, reset: bool) -> None:
    if not isinstance(transport, asyncio.Transport):  # it is gone already
        return
    connection = transport.get_extra_info("socket")
    if reset and connection is not None:
        with contextlib.suppress(OSError):  # it is closed already
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    transport.abort()
