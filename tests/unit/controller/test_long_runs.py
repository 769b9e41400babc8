"""What a process that runs for months must not do: grow, and keep busy while nothing happens."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
from collections.abc import AsyncIterator

import pytest
from tests.unit.controller.scripted import WIDGETS, ScriptedTransport, line, obj, page, refused

from hybridpg.controller import Client, ControllerError, Manager, ObjectReference
from hybridpg.controller.handlers import enqueue_self
from hybridpg.controller.protocols import Response
from hybridpg.controller.reconcile import Request, Result
from hybridpg.controller.testing import FakeCluster
from hybridpg.controller.types import SECRETS, Headers, Query
from hybridpg.controller.workqueue import WorkQueue

pytestmark = pytest.mark.virtual_time

EACH_SECOND = 20


class Churn(ScriptedTransport):
    """Objects of ever new names that come, and are deleted ten seconds later."""

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Query = (),
        headers: Headers = (),
        body: bytes | None = None,
    ) -> Response:
        return page() if method == "GET" else Response(201, {}, b"{}")

    async def stream(
        self, path: str, *, query: Query = (), headers: Headers = ()
    ) -> AsyncIterator[list[bytes]]:
        if ("sendInitialEvents", "true") in query:
            raise refused(422, "Invalid")
        for second in range(1_000_000):
            made = range(second * EACH_SECOND, (second + 1) * EACH_SECOND)
            yield [line("ADDED", obj(f"w{number}", number + 1000)) for number in made]
            if second >= 10:
                ended = [number - 10 * EACH_SECOND for number in made]
                yield [line("DELETED", obj(f"w{number}", number + 1001)) for number in ended]
            await asyncio.sleep(1)


async def test_objects_that_come_and_go_leave_nothing_behind(caplog):
    """Whatever remembers objects forgets them: store, queue, delays, limiter, events.

    Of ten million the benchmark counts the memory; here the first five thousand fill what is
    bounded by a number, and two thousand more must not add anything.
    """
    caplog.set_level(logging.CRITICAL, "hybridpg")  # or the records are what grows
    manager = Manager(Client(Churn()), metrics=True)
    runs = 0

    async def reconcile(request: Request) -> Result:
        nonlocal runs
        runs += 1
        about = ObjectReference("v1", "Widget", "ns", request.key.name, "uid")
        manager.events.event(about, "Normal", "Seen", f"{request.key.name} was seen")
        if request.attempt == 0:
            raise ControllerError("once in vain")
        return Result(requeue_after=3.0 if informer.store.get(request.key) else None)

    informer = manager.informer(WIDGETS)
    manager.controller("widgets", reconcile, workers=4).watch(informer, handler=enqueue_self())
    async with manager:
        await asyncio.sleep(250.5)
        held = blocks()
        await asyncio.sleep(100)
        grown = blocks() - held
    assert runs > 350 * EACH_SECOND
    assert grown < 500, "less than one block of memory for every fourth of them"


def blocks() -> int:
    gc.collect()
    return sys.getallocatedblocks()


async def test_fifty_idle_caches_ask_for_nothing_but_new_watches():
    """An hour of fifty kinds: what costs nothing per second costs no core."""
    cluster = FakeCluster(seed=1)
    manager = Manager(Client(cluster), close_client=False)
    for number in range(50):
        manager.informer(SECRETS, label_selector=f"kind={number}")
    async with manager:
        await asyncio.sleep(60)
        started = len(cluster.requests)
        tasks = len(asyncio.all_tasks())
        await asyncio.sleep(3600)
        asked = [request.path for request in cluster.requests[started:]]
        assert len(asked) <= 50 * 3600 / 300, "a watch lasts five minutes at least"
        assert len(asyncio.all_tasks()) == tasks
    await cluster.close()


async def test_keys_that_come_together_wake_a_worker_once():
    queue: WorkQueue[int] = WorkQueue()
    taken: list[int] = []
    turns = 0

    async def work() -> None:
        while True:
            key = await queue.get()
            taken.append(key)
            queue.done(key)

    worker = asyncio.create_task(work())
    await asyncio.sleep(1)
    for key in range(1000):
        queue.add(key)
    while len(taken) < 1000:
        turns += 1
        await asyncio.sleep(0)
    assert turns <= 2, "not one for each key"
    assert taken == list(range(1000))
    worker.cancel()
    await asyncio.wait([worker])


async def test_a_manager_leaves_the_garbage_collector_to_its_host():
    before = (gc.isenabled(), gc.get_threshold(), gc.get_freeze_count())
    async with Manager(Client(ScriptedTransport([page(obj("a"))]))) as manager:
        await manager.informer(WIDGETS).wait_synced()
        assert (gc.isenabled(), gc.get_threshold(), gc.get_freeze_count()) == before
    assert (gc.isenabled(), gc.get_threshold(), gc.get_freeze_count()) == before
