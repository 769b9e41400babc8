"""The stop of a manager: in order, within its grace, and nothing is left behind."""

from __future__ import annotations

import asyncio
import math

import pytest
from tests.unit.controller.managers import forever, idle, make, now, run_for
from tests.unit.controller.scripted import WIDGETS, ScriptedTransport, obj, page, refused

from hybridpg.controller.client.api import Client
from hybridpg.controller.errors import ManagerError
from hybridpg.controller.handlers import enqueue_self
from hybridpg.controller.manager import Manager
from hybridpg.controller.reconcile import Request
from hybridpg.controller.types import ObjectKey, ObjectReference

pytestmark = pytest.mark.virtual_time

ABOUT = ObjectReference("example.org/v1", "Widget", "ns", "a", "uid-a")


class Silent(ScriptedTransport):
    """An API server that takes requests and never answers; ``answers`` are the exceptions."""

    answers: tuple[str, ...] = ()

    async def request(self, method, *args, **options):
        if method not in self.answers:
            await forever()
        return await super().request(method, *args, **options)


async def test_a_stop_ends_a_start_that_waits_for_a_silent_api_server():
    transport = Silent()
    manager = make(transport)
    started: list[str] = []

    async def runnable() -> None:
        started.append("runnable")

    manager.informer(WIDGETS)
    manager.controller("widgets", idle)
    manager.add("sweep", runnable)
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(3, stop.set)
    await manager.run(stop, on_started=lambda: started.append("manager"))
    assert now() == 3
    assert started == []
    assert transport.closed


async def test_a_stop_is_bounded_while_the_api_server_answers_nothing_any_more():
    transport = Silent([page(obj("a"))])
    transport.answers = ("GET",)
    manager = make(transport, grace=5)

    async def reconcile(request: Request) -> None:
        manager.events.event(ABOUT, "Normal", "Begun", "x")
        await manager.client.get(WIDGETS, request.key, subresource="status")

    controller = manager.controller("widgets", reconcile)
    controller.watch(manager.informer(WIDGETS), handler=enqueue_self())
    stop = asyncio.Event()
    task = asyncio.create_task(manager.run(stop))
    await asyncio.sleep(10)
    transport.answers = ()
    controller.enqueue(ObjectKey("ns", "a"))
    await asyncio.sleep(10)
    stop.set()
    await asyncio.wait([task])
    assert now() - 20 < 8
    assert isinstance(task.exception(), ManagerError)
    assert transport.closed
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_whoever_is_cancelled_again_and_again_leaves_nothing_behind():
    transport = Silent()
    transport.answers = ("GET",)
    manager = make(transport)
    manager.informer(WIDGETS)
    task = asyncio.create_task(manager.run(asyncio.Event()))
    await asyncio.sleep(10)
    manager.events.event(ABOUT, "Normal", "Stopped", "keeps the recorder busy")
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0.1)
    await asyncio.wait([task])
    assert task.cancelled()
    assert transport.closed
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_stop_lets_reconciles_finish_and_then_ends_the_watches():
    notes: list[str] = []

    class Noting(ScriptedTransport):
        async def stream(self, path, *, query=(), headers=()):
            if ("sendInitialEvents", "true") in query:
                raise refused(422, "Invalid")
            try:
                await forever()
                yield []
            finally:
                notes.append(f"watch ends at {now():g}")

        async def close(self):
            notes.append(f"client closes at {now():g}")

    async def reconcile(request: Request) -> None:
        await asyncio.sleep(15)
        notes.append(f"reconcile ends at {now():g}")

    async def runnable() -> None:
        try:
            await forever()
        finally:
            notes.append(f"runnable ends at {now():g}")

    manager = make(Noting([page(obj("a"))]))
    controller = manager.controller("widgets", reconcile)
    controller.watch(manager.informer(WIDGETS), handler=enqueue_self())
    manager.add("sweep", runnable)
    await run_for(manager, 10)
    assert notes == [
        "runnable ends at 10",
        "reconcile ends at 15",
        "watch ends at 15",
        "client closes at 15",
    ]


async def test_a_reconcile_that_outlasts_the_grace_is_cancelled_and_named():
    cancelled: list[float] = []

    async def reconcile(request: Request) -> None:
        try:
            await forever()
        finally:
            cancelled.append(now())

    manager = make(ScriptedTransport([page(obj("a"))]))
    controller = manager.controller("widgets", reconcile)
    controller.watch(manager.informer(WIDGETS), handler=enqueue_self())
    with pytest.raises(ManagerError, match="controller widgets did not stop within 30 s"):
        await run_for(manager, 10)
    assert cancelled == [40]


@pytest.mark.parametrize("grace", [-1, math.nan])
def test_a_grace_that_is_no_time_is_refused(grace):
    with pytest.raises(ValueError, match="give it 0 or more, or inf"):
        Manager(Client(ScriptedTransport()), grace=grace)


@pytest.mark.parametrize(("grace", "done"), [(0, False), (math.inf, True)])
async def test_the_grace_may_be_none_or_without_end(grace, done):
    ended: list[float] = []

    async def reconcile(request: Request) -> None:
        await asyncio.sleep(100_000)
        ended.append(now())

    manager = Manager(Client(ScriptedTransport([page(obj("a"))])), grace=grace)
    controller = manager.controller("widgets", reconcile)
    controller.watch(manager.informer(WIDGETS), handler=enqueue_self())
    if done:
        await run_for(manager, 10)
    else:
        with pytest.raises(ManagerError, match="did not stop within 0 s"):
            await run_for(manager, 10)
    assert ended == ([100_000] if done else [])


async def test_cancelling_the_manager_stops_without_grace():
    async def reconcile(request: Request) -> None:
        await forever()

    transport = ScriptedTransport([page(obj("a"))])
    manager = make(transport)
    controller = manager.controller("widgets", reconcile)
    controller.watch(manager.informer(WIDGETS), handler=enqueue_self())
    task = asyncio.create_task(manager.run(asyncio.Event()))
    await asyncio.sleep(10)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert now() == 10
    assert transport.closed


async def test_cancelling_a_stop_ends_its_grace():
    async def reconcile(request: Request) -> None:
        await forever()

    transport = ScriptedTransport([page(obj("a"))])
    manager = make(transport)
    controller = manager.controller("widgets", reconcile)
    controller.watch(manager.informer(WIDGETS), handler=enqueue_self())
    stop = asyncio.Event()
    task = asyncio.create_task(manager.run(stop))
    await asyncio.sleep(10)
    stop.set()
    await asyncio.sleep(5)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert now() == 15
    assert transport.closed


async def test_the_last_events_are_written_before_the_client_closes():
    transport = ScriptedTransport([page(obj("a"))])
    manager = make(transport)

    async def reconcile(request: Request) -> None:
        await asyncio.sleep(15)
        manager.events.event(ABOUT, "Normal", "Stopped", "at the last moment")

    controller = manager.controller("widgets", reconcile)
    controller.watch(manager.informer(WIDGETS), handler=enqueue_self())
    await run_for(manager, 10)
    (call,) = transport.of("POST")
    assert (call.at, call.body["reason"], call.body["reportingController"]) == (
        15,
        "Stopped",
        "test",
    )


async def test_events_that_nobody_takes_do_not_hold_up_the_stop(caplog):
    class Hanging(ScriptedTransport):
        async def request(self, method, *args, **options):
            if method == "POST":
                await forever()
            return await super().request(method, *args, **options)

    manager = make(Hanging())
    async with manager:
        manager.events.event(ABOUT, "Normal", "Stopped", "x")
        await asyncio.sleep(10)
    assert now() == 12
    assert "before all events were written" in caplog.text


async def test_the_client_stays_open_where_it_is_shared():
    transport = ScriptedTransport()
    await run_for(make(transport, close_client=False), 1)
    assert not transport.closed
