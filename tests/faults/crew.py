"""Lanes as processes: each is told what to do next as soon as it is free."""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import multiprocessing
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from tests.faults.actions import EXTERNAL, LOCAL
from tests.faults.disturbed import disturbed
from tests.faults.experiment import Result, experiment, record
from tests.faults.external import ExternalLane
from tests.faults.lane import Lane
from tests.faults.leaders import replaced
from tests.faults.locallane import MAJOR, LocalLane
from tests.faults.recording import Recording
from tests.faults.reverted import reverted
from tests.faults.seam import LEADERS, SPEC, USER, Point
from tests.faults.stale import RECREATIONS
from tests.faults.workloads import WORKLOADS
from tests.faults.zygote import Zygote, die_with_parent
from tests.fix_postgres import running_server


@dataclass(frozen=True)
class Record:
    """Run a workload undisturbed."""

    workload: str


@dataclass(frozen=True)
class Strike:
    """Run one point."""

    point: Point
    recording: Recording
    mutant: str = ""
    """The defect of the controller, if any."""


Job = Record | Strike
Answer = tuple[Recording | None, Result]


class Crew:
    """Processes that wait for jobs."""

    def __init__(self, connections: Sequence[Connection]) -> None:
        self._connections = list(connections)

    def work(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, Answer]]:
        """Have all jobs done and yield them as they end."""
        left, busy = list(reversed(jobs)), dict[Connection, Job]()
        while left or busy:
            for connection in self._connections:
                if left and connection not in busy:
                    busy[connection] = left.pop()
                    connection.send(busy[connection])
            for ready in wait(list(busy)):
                assert isinstance(ready, Connection)
                answer = ready.recv()
                if isinstance(answer, str):
                    print(answer, flush=True)
                    raise RuntimeError(f"a lane broke at {busy[ready]}")
                yield busy.pop(ready), answer


@contextmanager
def crew(lanes: int, kubeconfig: Path, *, first: int = 0) -> Iterator[Crew]:
    """Start lanes; they end with the block. This process must have no threads yet."""
    context = multiprocessing.get_context("fork")
    with ExitStack() as stack:
        connections: list[Connection] = []
        processes = []
        for number in range(first, first + lanes):
            ours, theirs = context.Pipe()
            process = context.Process(
                target=_lane,
                args=(number, kubeconfig, theirs, [*connections, ours], os.getpid()),
                name=f"lane {number}",
            )
            process.start()
            stack.callback(process.join)
            processes.append(process)
            theirs.close()
            stack.callback(ours.close)
            connections.append(ours)
        try:
            yield Crew(connections)
        except BaseException:
            for process in processes:
                process.terminate()  # it may be in the middle of a point
            raise


def _lane(
    number: int,
    kubeconfig: Path,
    orders: Connection,
    others: Sequence[Connection],
    parent: int,
) -> None:
    for other in others:
        other.close()  # the end of orders is seen only when nobody else holds the other side
    die_with_parent(parent)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    faulthandler.register(signal.SIGUSR1)
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # connections break here on purpose
    zygote = Zygote()
    with (
        tempfile.TemporaryDirectory(prefix="hybridpg-faults-") as folder,
        running_server(MAJOR) as pg,
    ):
        places = [Path(folder, name) for name in (EXTERNAL, LOCAL)]
        for place in places:
            place.mkdir()
        of_external = ExternalLane(number, kubeconfig, places[0], zygote, pg=pg)
        of_local = LocalLane(number, kubeconfig, places[1], zygote)
        asyncio.run(_work((of_external, of_local), orders))
    zygote.close()


async def _work(lanes: Sequence[Lane], orders: Connection) -> None:
    """Do what is ordered, each on the lane of its backend, which begins with its first order."""
    begun: dict[str, Lane] = {}
    try:
        async with AsyncExitStack() as stack:
            while True:
                job = await asyncio.to_thread(orders.recv)
                backend = WORKLOADS[_workload(job)].backend
                if backend not in begun:
                    lane = next(each for each in lanes if each.backend == backend)
                    begun[backend] = await stack.enter_async_context(lane)
                orders.send(await _do(begun[backend], job))
    except EOFError:
        return  # nothing is left to do
    except Exception:  # noqa: BLE001  # whoever ordered it has to know
        orders.send(traceback.format_exc())


def _workload(job: Job) -> str:
    return job.workload if isinstance(job, Record) else job.point.workload


async def _do(lane: Lane, job: Any) -> Answer:
    if isinstance(job, Record):
        lane.mutant = ""
        return await record(lane, job.workload)
    lane.mutant = job.mutant
    return None, await _runner(job.point)(lane, job.point, job.recording)


def _runner(point: Point) -> Callable[[Lane, Point, Recording], Awaitable[Result]]:
    """Return what runs points of this kind."""
    if point.fault.group == USER or point.fault in RECREATIONS:
        return disturbed
    if point.fault.group == SPEC:
        return reverted
    return replaced if point.fault.group == LEADERS else experiment
