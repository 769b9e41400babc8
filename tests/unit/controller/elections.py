"""Candidates for one Lease on a cluster in memory, each behind a line that a test can disturb."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from hybridpg.controller.client.api import Client
from hybridpg.controller.errors import LeaseLost, TransportError
from hybridpg.controller.leader import LeaderElector
from hybridpg.controller.lease import LeaseConfig
from hybridpg.controller.protocols import Response
from hybridpg.controller.testing import FakeCluster
from hybridpg.controller.types import LEASES, Headers, JsonObject, ObjectKey, Query

KEY = ObjectKey("default", "controller")
LEASE_PATH = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
RUBBISH = {
    "html": Response(200, {"content-type": "text/html"}, b"<html>maintenance</html>"),
    "html error": Response(502, {"content-type": "text/html"}, b"<h1>Bad Gateway</h1>"),
    "server error": Response(500, {}, b'{"kind":"Status","code":500,"message":"etcd"}'),
    "too many": Response(429, {"retry-after": "1"}, b'{"kind":"Status","code":429}'),
    "unauthorized": Response(401, {}, b'{"kind":"Status","code":401}'),
    "forbidden": Response(403, {}, b'{"kind":"Status","code":403,"reason":"Forbidden"}'),
    "truncated": Response(200, {}, b'{"kind":"Lease","metadata":{"resourceVer'),
    "empty": Response(200, {}, b""),
    "no object": Response(200, {}, b"[]"),
    "no lease": Response(200, {}, b'{"kind":"Pod","metadata":{"resourceVersion":"1"}}'),
    "no version": Response(200, {}, b'{"kind":"Lease","metadata":{},"spec":{}}'),
    "wrong types": Response(
        200, {}, b'{"kind":"Lease","metadata":{"resourceVersion":"9"},"spec":{"renewTime":7}}'
    ),
}
"""Answers that no API server should give, and that one gets from what stands before it."""
STALE = Response(
    200, {}, b'{"kind":"Lease","metadata":{"resourceVersion":"9"},"spec":{"holderIdentity":"x"}}'
)
"""A Lease, but not the one that was written."""


def now() -> float:
    return asyncio.get_running_loop().time()


def config(**changes: Any) -> LeaseConfig:
    return LeaseConfig(KEY.namespace, KEY.name, **changes)


class Line:
    """A transport to the cluster that goes wrong as long as ``trouble`` says so.

    ``hang`` and ``reset`` lose the request; ``lost`` carries it out and loses the answer; a key of
    ``RUBBISH`` answers that.
    """

    def __init__(self, cluster: FakeCluster) -> None:
        self.cluster = cluster
        self.trouble = ""
        self.methods: tuple[str, ...] = ("GET", "PUT", "POST", "WATCH")
        self.sent: list[tuple[float, str]] = []

    def troubled(self, method: str) -> str:
        return self.trouble if method in self.methods else ""

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Query = (),
        headers: Headers = (),
        body: bytes | None = None,
    ) -> Response:
        self.sent.append((now(), method))
        trouble = self.troubled(method)
        if trouble == "hang":
            await asyncio.Event().wait()
        if trouble == "reset":
            raise TransportError("connection reset by peer")
        if trouble == "stale" and method != "GET":
            return STALE
        if trouble in RUBBISH:
            return RUBBISH[trouble]
        answer = await self.cluster.request(method, path, query=query, headers=headers, body=body)
        if trouble == "lost":
            raise TransportError("connection reset by peer")
        return answer

    async def stream(
        self, path: str, *, query: Query = (), headers: Headers = ()
    ) -> AsyncIterator[list[bytes]]:
        self.sent.append((now(), "WATCH"))
        if self.troubled("WATCH"):
            raise TransportError("connection reset by peer")
        async for lines in self.cluster.stream(path, query=query, headers=headers):
            yield lines
            if self.troubled("WATCH") == "hang":
                await asyncio.Event().wait()

    async def close(self) -> None:
        """Leave the cluster open: others use it."""


@dataclass
class Wall:
    """A time of day that follows the loop, and can be set."""

    ahead: timedelta = timedelta()
    frozen: datetime | None = None

    def __call__(self) -> datetime:
        start = datetime(2026, 1, 1, tzinfo=UTC)
        return self.frozen or start + timedelta(seconds=now()) + self.ahead


@dataclass
class Candidate:
    """One elector and the times at which it led."""

    cluster: FakeCluster
    name: str
    settings: LeaseConfig = field(default_factory=config)
    watching: bool = True
    chance: float = 0.5

    def __post_init__(self) -> None:
        self.line = Line(self.cluster)
        self.wall = Wall()
        self.client = Client(self.line)
        self.elector = LeaderElector(
            self.client,
            self.settings,
            identity=self.name,
            now=now,
            wall=self.wall,
            rand=lambda: self.chance,
        )
        self.led: float | None = None
        self.lost: tuple[float, LeaseLost] | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> Candidate:
        """Run until stopped."""
        self._tasks = [asyncio.create_task(self._run(), name=f"{self.name} runs")]
        if self.watching:
            self._tasks.append(asyncio.create_task(self.elector.watch(), name="watches"))
        return self

    async def _run(self) -> None:
        def lead() -> None:
            self.led = now()

        try:
            await self.elector.run(lead)
        except LeaseLost as error:
            self.lost = (now(), error)

    async def die(self) -> None:
        """End as a process does that is killed: nothing is said to anybody."""
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)

    async def leads(self, seconds: float = 100) -> float:
        """Wait until it leads; return when that was."""
        async with asyncio.timeout(seconds):
            while self.led is None:
                await asyncio.sleep(0.01)
        return self.led


async def read(cluster: FakeCluster) -> JsonObject:
    lease = await Client(cluster).get(LEASES, KEY)
    spec: JsonObject = lease["spec"]
    return spec


async def renewed(cluster: FakeCluster, after: str = "") -> float:
    """Wait until the Lease is renewed; return when that was."""
    known = after or (await read(cluster))["renewTime"]
    while (await read(cluster))["renewTime"] == known:
        await asyncio.sleep(0.001)
    return now()
