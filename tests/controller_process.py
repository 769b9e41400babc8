"""The controller as a process that dies when a test says so, exactly there.

It speaks to the API server through a proxy of ours, which counts its writes. A kill before a
write: the request left the controller and reached nobody. A kill after it: the API server keeps
the change, and nobody was told.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp
import yaml
from aiohttp import ClientConnectionResetError, web
from tests.fix_operator import Stage

from hybridpg.controller import load_kubeconfig
from hybridpg.controller.client import Config

SOURCES = str(Path(__file__).parents[1] / "hack" / "import")
STOP_SECONDS = 10
"""H18: a stop of the controller takes less."""
HOP_BY_HOP = {"host", "connection", "transfer-encoding", "content-length", "content-encoding"}


@dataclass
class Kill:
    """An order to kill: at which write of the process, and on which side of it."""

    at: int
    committed: bool
    done: asyncio.Event = field(default_factory=asyncio.Event)


class Controller:
    """``hybridpg run`` behind a counting proxy."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.folder = stage.site.path / "controller"
        self.log = self.folder / "log.jsonl"
        self.process: subprocess.Popen[bytes] | None = None
        self.order: Kill | None = None
        self.writes: list[str] = []
        """The writes of this process, without its events: those are lost without harm."""
        self.refused = 0
        """How many of them were based on an object that had changed meanwhile."""
        self.starts = 0

    @property
    def made(self) -> int:
        """How many writes of this process were carried out."""
        return len(self.writes) - self.refused

    async def __aenter__(self) -> Self:
        """Listen; the controller itself is not started yet."""
        self.folder.mkdir()
        upstream = await load_kubeconfig(self.stage.env.kubeconfig)
        self._upstream: Config = upstream
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=upstream.tls.context()),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
        )
        app = web.Application(client_max_size=2**24)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=1.0, handler_cancellation=True
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = self._runner.addresses[0][1]
        (self.folder / "kubeconfig").write_text(_kubeconfig(f"http://127.0.0.1:{port}"))
        (self.folder / "config.yaml").write_text(yaml.safe_dump(self.stage.config()))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Kill what still runs."""
        self.kill()
        await self._runner.cleanup()
        await self._session.close()

    def arm(self, at: int, *, committed: bool) -> Kill:
        """Order the kill at a write, counted from now: 1 is the next one."""
        self.order = Kill(len(self.writes) + at, committed)
        return self.order

    def start(self) -> None:
        """Start the controller, with no order to kill it."""
        assert self.process is None
        self.order = None
        self.writes = []
        self.refused = 0
        self.starts += 1
        variables = {k: v for k, v in os.environ.items() if not k.startswith("HYBRIDCLOUD_")}
        paths = [SOURCES, variables.get("PYTHONPATH", "")]
        command = [sys.executable, "-m", "hybridpg", "run"]
        command += ["--config", str(self.folder / "config.yaml")]
        command += ["--kubeconfig", str(self.folder / "kubeconfig")]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                cwd=self.folder,
                env={**variables, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def kill(self) -> None:
        """End the controller as the kernel does when memory runs out."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    async def stop(self) -> int:
        """End the controller as Kubernetes does; return its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        try:
            return await asyncio.to_thread(self.process.wait, STOP_SECONDS)
        finally:
            self.kill()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if request.query.get("watch"):
            return await self._watch(request)
        body = await request.read()
        if request.method != "GET" and "/events" not in request.path:
            self.writes.append(f"{request.method} {request.path}")
            order = self.order
            if order is not None and len(self.writes) == order.at:
                if order.committed:
                    await self._forward(request, body)
                self.kill()
                order.done.set()
                return web.Response(status=503)  # nobody reads it
        return await self._forward(request, body)

    async def _forward(self, request: web.Request, body: bytes) -> web.Response:
        async with self._upstream_request(request, body) as answer:
            self.refused += answer.status == web.HTTPConflict.status_code
            headers = {k: v for k, v in answer.headers.items() if k.lower() not in HOP_BY_HOP}
            if "Content-Encoding" in answer.headers:
                headers["Content-Encoding"] = answer.headers["Content-Encoding"]
            return web.Response(status=answer.status, headers=headers, body=await answer.read())

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        async with self._upstream_request(request, b"") as answer:
            stream = web.StreamResponse(status=answer.status, headers={"Content-Type": JSON})
            with contextlib.suppress(ClientConnectionResetError):  # it is dead
                await stream.prepare(request)
                async for chunk in answer.content.iter_any():
                    await stream.write(chunk)
                await stream.write_eof()
            return stream

    def _upstream_request(
        self, request: web.Request, body: bytes
    ) -> aiohttp.client._RequestContextManager:
        headers = {k: v for k, v in request.headers.items() if k.lower() not in HOP_BY_HOP}
        return self._session.request(
            request.method,
            f"{self._upstream.host}{request.path_qs}",
            headers=headers,
            data=body or None,
        )


JSON = "application/json"


def _kubeconfig(url: str) -> str:
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": url}}],
            "users": [{"name": "test", "user": {}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        }
    )
