"""One client and one fault: a server, the proxy before it, and the client in its own process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.peers.clients import DELETED, RESOURCE
from tests.peers.faults import AFTER, BEFORE, DURING, GONE, MARK, TARGET, Fault, refusal
from tests.proxy.rules import FOR_EVER, WATCHES, Hold
from tests.proxy.server import Proxy

from hybridpg.controller import Client, ObjectKey, Resource
from hybridpg.controller.client import Config
from hybridpg.controller.testing import FakeCluster
from hybridpg.controller.testing.server import FakeClusterServer

ROOT = Path(__file__).parents[2]
CONFIG_MAPS = Resource("", "v1", RESOURCE, "ConfigMap")
NAMESPACE = "default"
KEPT = "kept"
START_SECONDS = 60.0
"""For a client to import what it needs and to watch: a loaded machine takes its time."""
SETTLED = 2.0
"""Seconds of a window that are not counted: the first calls are not the steady rate."""
OBSERVED = 8.0
"""Seconds for which requests are counted at least, also of a client that survived at once."""
LINE_LIMIT = 2**24
STDERR_LIMIT = 2**16
REASON_LIMIT = 120


class NotStarted(Exception):
    """A client did not get as far as the fault: the run says nothing."""


@dataclass(frozen=True)
class Outcome:
    """What became of a client; ``why`` says it in words."""

    survived: bool
    requests_per_s: float
    why: str


@dataclass
class Told:
    """A client's process, and what it was told so far."""

    process: asyncio.subprocess.Process
    events: list[tuple[str, str]] = field(default_factory=list)
    errors: bytes = b""
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    ended: bool = False

    async def listen(self) -> None:
        """Read what the client prints, until it ends."""
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            type_, name = json.loads(line)
            self.events.append((type_, name))
            self.changed.set()
        self.ended = True
        self.changed.set()

    async def collect_errors(self) -> None:
        """Keep the end of what the client logs."""
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.errors = (self.errors + line)[-STDERR_LIMIT:]

    def names(self) -> set[str]:
        """Return the names of what there is, or was."""
        return {name for type_, name in self.events if type_ != DELETED}

    def deleted(self) -> set[str]:
        """Return the names of what was deleted."""
        return {name for type_, name in self.events if type_ == DELETED}

    async def wait_for(self, name: str, seconds: float) -> bool:
        """Wait until the client tells of an object, or ends; return whether it told."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while name not in self.names() and not self.ended:
                    self.changed.clear()
                    await self.changed.wait()
        return name in self.names()

    def last_words(self) -> str:
        """Return the last line of its errors: of a traceback, the exception."""
        lines = self.errors.decode(errors="replace").strip().splitlines()
        return lines[-1][:REASON_LIMIT] if lines else ""


@contextlib.asynccontextmanager
async def started(client: str, url: str, kubeconfig: Path) -> AsyncIterator[Told]:
    """Run a client; yields what it is told."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "ignore", "-m", "tests.peers", "--client", client, url),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,  # nothing comes, but its end: the client's end as well
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=LINE_LIMIT,
        env={**os.environ, "KUBECONFIG": str(kubeconfig)},
    )
    told = Told(process)
    readers = [asyncio.create_task(told.listen()), asyncio.create_task(told.collect_errors())]
    try:
        yield told
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)  # process.kill() may reap it unseen by the loop
        await process.wait()
        await asyncio.gather(*readers)


class World:
    """A server with few objects, and the proxy that all requests go through."""

    def __init__(self, cluster: FakeCluster, proxy: Proxy) -> None:
        self.cluster = cluster
        self.proxy = proxy
        self._client = Client(cluster)

    async def create(self, name: str) -> str:
        """Create an object and return its version."""
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
        made = await self._client.create(CONFIG_MAPS, body, namespace=NAMESPACE)
        version: str = made["metadata"]["resourceVersion"]
        return version

    async def delete(self, name: str) -> None:
        """Delete an object."""
        await self._client.delete(CONFIG_MAPS, ObjectKey(NAMESPACE, name))

    def requests(self) -> int:
        """Return how many requests there were for the objects."""
        return sum(each.call.target.endswith(RESOURCE) for each in self.proxy.record)

    def watched(self) -> bool:
        """Whether a watch of the objects is open."""
        return any(
            each.call.verb in WATCHES and each.call.target.endswith(RESOURCE) and each.status == 200
            for each in self.proxy.record
        )


@contextlib.asynccontextmanager
async def world() -> AsyncIterator[World]:
    """Run a server with two objects."""
    cluster = FakeCluster()
    async with FakeClusterServer(cluster) as server, Proxy(Config(server.url)) as proxy:
        made = World(cluster, proxy)
        for name in (KEPT, GONE):
            await made.create(name)
        yield made
    await cluster.close()


async def run(client: str, fault: Fault) -> Outcome:
    """Put a client through a fault.

    Errors: :class:`NotStarted` where it did not get that far.
    """
    with tempfile.TemporaryDirectory(prefix="hybridpg-peers-") as path:
        async with world() as place:
            kubeconfig = place.proxy.write_kubeconfig(Path(path) / "kubeconfig", token="peer")
            async with started(client, place.proxy.url, kubeconfig) as told:
                return await _put_through(place, fault, told)


async def _put_through(place: World, fault: Fault, told: Told) -> Outcome:
    first = place.proxy.add(fault.first, verbs=WATCHES, target=TARGET, behind=MARK)
    if not await told.wait_for(KEPT, START_SECONDS):
        raise NotStarted(told.last_words() or "nothing was listed")
    async with asyncio.timeout(START_SECONDS):
        while not place.watched():
            await asyncio.sleep(0.01)
        await place.create(BEFORE)
        await first.struck.wait()
    # at once: who comes back must find what is prepared
    released = asyncio.Event()
    place.proxy.clear()
    place.proxy.add(Hold(released), target=TARGET, times=FOR_EVER)
    rules = [place.proxy.add(what, **where) for what, where in fault.then]
    began, requests = time.monotonic(), place.requests()
    await _move_on(place, fault)
    if not await told.wait_for(BEFORE, START_SECONDS):
        raise NotStarted(told.last_words() or "the watch tells of nothing")
    released.set()
    rate = await _hold_out(place, fault)
    await place.create(AFTER)
    survived = await told.wait_for(AFTER, fault.patience)
    if survived and not all(rule.hits for rule in rules):
        raise NotStarted("the fault did not strike")
    if rate is None:
        if not told.ended:
            await asyncio.sleep(max(0.0, began + OBSERVED - time.monotonic()))
        rate = (place.requests() - requests) / max(OBSERVED, time.monotonic() - began)
    return _outcome(fault, told, survived=survived, rate=rate)


async def _hold_out(place: World, fault: Fault) -> float | None:
    """Let a fault last as long as it says; return the rate of requests in its window."""
    if fault.outage:
        await place.proxy.down()
        await asyncio.sleep(fault.outage)
        await place.proxy.up()
    if not fault.window:
        return None
    await asyncio.sleep(SETTLED)
    before = place.requests()
    await asyncio.sleep(fault.window)
    rate = (place.requests() - before) / fault.window
    place.proxy.clear()
    return rate


async def _move_on(place: World, fault: Fault) -> None:
    version = place.cluster.resource_version
    if fault.during:
        await place.create(DURING)
    if fault.deletes:
        await place.delete(GONE)
    if fault.forgets:
        place.cluster.compact()
    if fault.as_status:
        expired = refusal(410, "Expired")
        query = {"resourceVersion": version}
        place.proxy.add(expired, verbs=["WATCH"], target=TARGET, query=query, times=FOR_EVER)


def _outcome(fault: Fault, told: Told, *, survived: bool, rate: float) -> Outcome:
    if not survived:
        why = "deaf" if not told.ended else f"dies: {told.last_words() or 'without a word'}"
    elif fault.deletes and GONE not in told.deleted():
        survived, why = False, "the delete is not told"
    else:
        why = "survived"
    return Outcome(survived, round(rate, 3), why)
