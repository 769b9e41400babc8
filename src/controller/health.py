"""The HTTP server for whoever watches the process: is it alive, is it ready, what does it count.

``/healthz`` fails where only a restart helps, ``/readyz`` where the process should not be relied
on; both name what is wrong, and with ``?verbose`` also what is not. ``/metrics`` is the text
format of Prometheus. Nothing here tells about objects or their contents.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, NamedTuple

from aiohttp import web

from .errors import ManagerError

logger = logging.getLogger(__name__)

STOP_SECONDS: Final = 1.0
"""What answers under way get at the end: a scrape takes milliseconds."""
IDLE_SECONDS: Final = 30.0
"""How long a connection is kept for the next request: Prometheus asks that often."""
BODY_LIMIT: Final = 1024
"""Bytes of a request's body: none of ours has one."""
METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class Address(NamedTuple):
    """Where a server listens: port 0 takes any that is free, no host all addresses."""

    host: str
    port: int


class Check(NamedTuple):
    """One part of the process: what is wrong with it, if anything, and else what it does."""

    name: str
    problem: str = ""
    note: str = ""

    def __str__(self) -> str:
        """Return one line of an answer."""
        sign, text = ("-", self.problem) if self.problem else ("+", self.note or "ok")
        return f"[{sign}] {self.name}: {text}"


Checks = Callable[[], Iterable[Check]]
"""Looks at the process; called for every request, so it must neither wait nor take long."""

_Handler = Callable[[web.Request], Awaitable[web.Response]]


class HealthServer:
    """Serves the checks of one process.

    ``live`` and ``ready`` are looked at for every request, ``metrics`` returns the whole page.
    """

    def __init__(
        self,
        address: Address,
        *,
        live: Checks,
        ready: Checks,
        metrics: Callable[[], bytes] | None = None,
    ) -> None:
        self._address = address
        self._live = live
        self._ready = ready
        self._metrics = metrics
        self._runner: web.AppRunner | None = None

    @property
    def port(self) -> int:
        """The port it listens on."""
        if self._runner is None or not self._runner.addresses:
            return self._address.port
        return int(self._runner.addresses[0][1])

    async def start(self) -> None:
        """Listen.

        Errors: :class:`~.errors.ManagerError` where the address is not to be had.
        """
        host, port = self._address
        app = web.Application(client_max_size=BODY_LIMIT)
        app.router.add_get("/healthz", _checked(self._live))
        app.router.add_get("/readyz", _checked(self._ready))
        if self._metrics is not None:
            app.router.add_get("/metrics", _scrape(self._metrics))
        self._runner = web.AppRunner(
            app, access_log=None, keepalive_timeout=IDLE_SECONDS, shutdown_timeout=STOP_SECONDS
        )
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host or None, port).start()
        except OSError as error:
            await self.stop()
            raise ManagerError(
                f"the health server cannot listen on {host}:{port}: {error.strerror}"
            ) from error
        logger.info("health and metrics on port %d of %s", self.port, host or "all addresses")

    async def stop(self) -> None:
        """Close all connections."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None


def _scrape(metrics: Callable[[], bytes]) -> _Handler:
    async def answer(request: web.Request) -> web.Response:
        # in this thread: the counters are those of the loop
        return web.Response(body=metrics(), headers={"content-type": METRICS_TYPE})

    return answer


def _checked(checks: Checks) -> _Handler:
    async def answer(request: web.Request) -> web.Response:
        found = list(checks())
        failed = [check for check in found if check.problem]
        shown = found if "verbose" in request.query else failed
        lines = [str(check) for check in shown] + ["failed" if failed else "ok"]
        return web.Response(
            status=503 if failed else 200,
            text="\n".join(lines) + "\n",
            headers={"cache-control": "no-store", "x-content-type-options": "nosniff"},
        )

    return answer
