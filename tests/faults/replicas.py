"""Two controllers with a lease of one second, in the place of a lane's only one."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from pathlib import Path
from typing import cast

import yaml
from aiohttp import web
from tests.faults.clock import WallClock
from tests.faults.external import wire_of
from tests.faults.kube import LETTER, SEEN, KubeSeam
from tests.faults.lane import CAP_SECONDS, LOOK_SECONDS, Lane, Stuck
from tests.faults.seam import Call, Seen
from tests.faults.workloads import Workload
from tests.faults.zygote import Child
from tests.proxy.server import Proxy, Recorded
from tests.proxy.streams import Lines

from hybridpg.controller import LEASES, Client, NotFound, ObjectKey

LEASE = {"duration_seconds": 1.0, "renew_deadline_seconds": 0.7, "retry_period_seconds": 0.2}
REQUEST_SECONDS = 0.3
"""What a request of these replicas may take: much less than their lease."""
NAME = "hybridpg"
STARTED = "manager hybridpg has started"
WRITTEN = (HTTPStatus.OK, HTTPStatus.CREATED)


class Spurious(Exception):
    """Somebody lost a lease to the load of the machine: the point says nothing."""


class ReplicaSeam(KubeSeam):
    """The API server as one replica sees it. The lease is no part of what is recorded."""

    def __init__(self, lane: Lane, number: int) -> None:
        super().__init__(lane.upstream, lane.trace, lane.names)
        self._number = number
        self.polls = lane.kube.polls

    async def note(self, request: web.Request) -> Recorded:
        """Tell the trace whose call it is."""
        if _is_lease(request.path):
            recorded = await Proxy.note(self, request)
            call = Call(LETTER, recorded.call.verb, recorded.call.target, 0)
            request[SEEN] = Seen(call, recorded.call.writes, False, self._number, recorded.at)
        else:
            recorded = await super().note(request)
            request[SEEN].child = self._number
        return recorded

    def lines_of(self, recorded: Recorded, lines: Lines) -> Lines:
        """Look at the events of all watches but that of the lease."""
        if _is_lease(recorded.call.target):
            return lines
        return super().lines_of(recorded, lines)

    @property
    def knows_lease(self) -> bool:
        """Whether it has read the lease: who never saw one cannot know of its holder."""
        return any(
            each.call.verb == "GET" and _is_lease(each.call.target) and each.status == HTTPStatus.OK
            for each in self.record
        )

    @property
    def leads(self) -> bool:
        """Whether it has written the lease since the beginning."""
        return any(
            each.call.writes and _is_lease(each.call.target) and each.status in WRITTEN
            for each in self.record
        )


@dataclass
class Replica:
    """One controller; it implements :class:`tests.faults.seam.Process`."""

    number: int
    seam: ReplicaSeam
    log: Path
    child: Child

    def kill(self) -> None:
        """End it."""
        self.child.kill()

    def freeze(self) -> None:
        """Stop it where it is."""
        self.child.freeze()

    def thaw(self) -> None:
        """Let it go on."""
        self.child.thaw()

    @property
    def said(self) -> str:
        """Its log."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""


@dataclass
class Pair:
    """Both, as a lane sees them: something that lives, so that it starts no third one."""

    lane: Lane
    leader: Replica
    standby: Replica
    clock: WallClock
    """That of the leader."""
    struck: Replica | None = None
    """Whoever something is held back of."""
    alive: bool = True
    let_go: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when what is under way may go on."""

    def kill(self) -> None:
        """End both."""
        self.leader.kill()
        self.standby.kill()

    def strike(self, replica: Replica | None) -> None:
        """Say whose calls are held back, so that nobody waits for their answers."""
        self.struck = replica
        wire_of(self.lane).unheard = 0 if replica is None else replica.number

    @property
    def running(self) -> bool:
        """Whether one of them works at this moment."""
        return self.leader.child.running or self.standby.child.running

    def command_line(self) -> bytes:
        """Return what everybody on the machine can read of the one that leads in the end."""
        return self.standby.child.command_line()

    def over(self, workload: Workload) -> bool:
        """Return whether a workload is, and whoever finishes it has nothing left to do.

        Errors: :class:`Spurious` if there is nobody left to finish it.
        """
        if not self.standby.child.alive:
            raise Spurious("the new leader lost its lease as well")
        if any(each.waited_for for each in self.finishing):
            self.lane.trace.stir()
        return workload.over(self.lane) and self.lane.quiet()

    @property
    def finishing(self) -> tuple[ReplicaSeam, ...]:
        """The seams that no point holds anything back at."""
        return tuple(each.seam for each in (self.leader, self.standby) if each is not self.struck)


@asynccontextmanager
async def two_replicas(lane: Lane) -> AsyncIterator[Pair]:
    """Start a leader and a standby, both of which have complete caches."""
    single = lane.order
    assert single is not None
    document = yaml.safe_load(Path(single.config).read_text())
    document["controller"]["lease"] = {"namespace": lane.platform, "name": NAME, **LEASE}
    config = lane.folder / "replicas.yaml"
    config.write_text(yaml.safe_dump(document))
    await _forget_lease(lane.client, lane.platform)
    started: list[Replica] = []

    def child_of(connection: tuple[int, int]) -> int:
        inode = inode_of(*connection)
        found = (each.number for each in started if inode in sockets(each.child.pid))
        return next(found, 0)

    async with AsyncExitStack() as stack:
        wire_of(lane).child_of = child_of

        async def replica(variables: Mapping[str, str]) -> Replica:
            lane.starts += 1
            seam = await stack.enter_async_context(ReplicaSeam(lane, lane.starts))
            folder = lane.folder / f"replica-{lane.starts}"
            folder.mkdir()
            log = folder / "log"
            order = replace(
                single,
                config=str(config),
                api=seam.url,
                log=str(log),
                request_seconds=REQUEST_SECONDS,
                variables={**single.variables, **variables},
            )
            made = Replica(lane.starts, seam, log, lane.zygote.spawn(order))
            stack.callback(made.kill)
            started.append(made)
            return made

        clock = WallClock(lane.folder / "clock")
        leader = await replica(clock.variables)
        await _until(lambda: leader.seam.leads, "the first election", leader)
        standby = await replica({})
        await _until(lambda: STARTED in standby.said, "the start of the standby", standby)
        await _until(lambda: standby.seam.knows_lease, "its look at the lease", standby)
        pair = Pair(lane, leader, standby, clock)
        lane.child = cast(Child, pair)
        try:
            yield pair
        finally:
            pair.strike(None)
            wire_of(lane).child_of = None
            pair.let_go.set()
            lane.kill()


async def _until(condition: Callable[[], bool], what: str, replica: Replica) -> None:
    deadline = time.monotonic() + CAP_SECONDS
    while not condition():
        if time.monotonic() > deadline or not replica.child.alive:
            raise Stuck(f"{what} does not come: {replica.said[-1000:]}")
        await asyncio.sleep(LOOK_SECONDS)


async def _forget_lease(client: Client, namespace: str) -> None:
    """Remove the lease of earlier replicas, which nobody gave back."""
    try:
        await client.delete(LEASES, ObjectKey(namespace, NAME))
    except NotFound:
        return


def _is_lease(path: str) -> bool:
    return LEASES.plural in path.split("/")


def inode_of(port: int, far_port: int) -> str:
    """Return the socket on this machine that connects from one port of it to another."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, near, far, *_, inode = line.split()[:10]
        if near.endswith(f":{port:04X}") and far.endswith(f":{far_port:04X}"):
            return inode
    return ""


def sockets(pid: int) -> set[str]:
    """Return the sockets of a process; none if it has gone."""
    links = []
    with contextlib.suppress(FileNotFoundError):
        for entry in os.scandir(f"/proc/{pid}/fd"):
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                links.append(os.readlink(entry.path))
    return {link[8:-1] for link in links if link.startswith("socket:[")}
