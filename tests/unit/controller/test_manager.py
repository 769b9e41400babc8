"""The manager: starts in order, stops in order, and never loses a part unnoticed."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, repeat

import pytest
from tests.unit.controller.scripted import (
    GADGETS,
    WIDGETS,
    ScriptedTransport,
    failure,
    obj,
    page,
    refused,
)

from hybridpg.controller._tasks import TaskSet
from hybridpg.controller.client.api import Client
from hybridpg.controller.errors import ManagerError
from hybridpg.controller.handlers import enqueue_self
from hybridpg.controller.manager import Manager
from hybridpg.controller.reconcile import Request
from hybridpg.controller.types import ObjectKey, ObjectReference

pytestmark = pytest.mark.virtual_time

ABOUT = ObjectReference("example.org/v1", "Widget", "ns", "a", "uid-a")


def now() -> float:
    return asyncio.get_running_loop().time()


async def forever() -> None:
    await asyncio.Event().wait()


async def idle(request: Request) -> None:
    return None


def make(transport: ScriptedTransport | None = None, **options) -> Manager:
    return Manager(Client(transport or ScriptedTransport()), name="test", **options)


async def run_for(manager: Manager, seconds: float) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, stop.set)
    await manager.run(stop)


async def test_a_controller_reconciles_what_an_informer_finds_until_it_is_told_to_stop():
    transport = ScriptedTransport([page(obj("a"), obj("b"))])
    manager = make(transport)
    seen: list[str] = []

    async def reconcile(request: Request) -> None:
        seen.append(str(request.key))

    controller = manager.controller("widgets", reconcile, workers=2)
    controller.watch(manager.informer(WIDGETS), handler=enqueue_self())
    await run_for(manager, 10)
    assert seen == ["ns/a", "ns/b"]
    assert now() == 10
    assert transport.closed


async def test_runnables_and_workers_start_when_all_caches_are_complete():
    class Slow(ScriptedTransport):
        async def request(self, *args, **options):
            await asyncio.sleep(20)
            return await super().request(*args, **options)

    manager = make(Slow())
    informer = manager.informer(WIDGETS)
    started: list[tuple[float, bool]] = []

    async def runnable() -> None:
        started.append((now(), informer.synced))
        await forever()

    manager.add("sweep", runnable)
    await run_for(manager, 50)
    assert started == [(20, True)]


async def test_the_same_selection_shares_an_informer_and_another_does_not():
    manager = make()
    one = manager.informer(WIDGETS, namespaces=("b", "a"))
    assert manager.informer(WIDGETS, namespaces=("a", "b", "a")) is one
    others = [
        manager.informer(WIDGETS),
        manager.informer(GADGETS),
        manager.informer(WIDGETS, label_selector="x=y"),
        manager.informer(WIDGETS, field_selector="metadata.name=z"),
    ]
    assert len({id(each) for each in [one, *others]}) == 5


async def test_informers_of_one_kind_with_different_selections_all_run():
    transport = ScriptedTransport()
    manager = make(transport)
    for selector in ("a", "b", "c"):
        manager.informer(WIDGETS, label_selector=selector)
    await run_for(manager, 1)
    selectors = [call.query["labelSelector"] for call in transport.of("WATCH")]
    assert sorted(selectors) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("ending", "text"),
    [
        pytest.param(
            RuntimeError("disk full"), "runnable sweep died: RuntimeError: disk full", id="x"
        ),
        pytest.param(None, "runnable sweep died: it ended without an error", id="returned"),
    ],
)
async def test_a_runnable_that_ends_fails_the_manager_and_is_named(ending, text):
    transport = ScriptedTransport()
    manager = make(transport)

    async def runnable() -> None:
        await asyncio.sleep(5)
        if ending is not None:
            raise ending

    manager.add("other", forever)
    manager.add("sweep", runnable)
    with pytest.raises(ManagerError, match=text) as caught:
        await run_for(manager, 100)
    assert caught.value.__cause__ is ending
    assert now() == 5
    assert transport.closed


async def test_an_informer_that_dies_fails_the_manager_and_is_named():
    class Broken(ScriptedTransport):
        async def stream(self, path, *, query=(), headers=()):
            await asyncio.sleep(5)
            raise ZeroDivisionError("bug in a transport")
            yield []

    manager = make(Broken())
    manager.informer(WIDGETS)
    with pytest.raises(
        ManagerError, match=r"informer widgets\.example\.org died: ZeroDivisionError: bug"
    ):
        await run_for(manager, 100)
    assert now() == 5


async def test_a_part_that_dies_while_caches_fill_ends_the_start():
    class Broken(ScriptedTransport):
        async def request(self, *args, **options):
            raise ZeroDivisionError("bug")

    transport = Broken()
    manager = make(transport)
    manager.informer(WIDGETS)
    with pytest.raises(ManagerError, match="ZeroDivisionError"):
        await run_for(manager, 100)
    assert now() == 0
    assert transport.closed


async def test_caches_that_do_not_fill_end_the_start_and_are_named():
    transport = ScriptedTransport([failure(403, "Forbidden")])
    manager = make(transport, sync_timeout=60)
    manager.informer(WIDGETS)
    with pytest.raises(ManagerError, match=r"not complete after 60 s: widgets\.example\.org"):
        await run_for(manager, 1000)
    assert now() == 60
    assert transport.closed


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


async def test_a_manager_says_when_it_has_started():
    transport = ScriptedTransport([page(obj("a"))])
    manager = make(transport)
    informer = manager.informer(WIDGETS)
    stop = asyncio.Event()
    synced: list[bool] = []

    def started() -> None:
        synced.append(informer.synced)
        stop.set()

    await manager.run(stop, on_started=started)
    assert synced == [True]


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


async def test_two_managers_in_one_process_do_not_know_of_each_other():
    transport = ScriptedTransport([page(obj("a"))])
    seen: list[str] = []

    def build(name: str) -> Manager:
        async def reconcile(request: Request) -> None:
            seen.append(name)
            if name == "bad":
                raise RuntimeError("x")

        async def dies() -> None:
            await asyncio.sleep(5)

        manager = Manager(Client(transport), name=name, close_client=False)
        controller = manager.controller("widgets", reconcile)
        controller.watch(manager.informer(WIDGETS), handler=enqueue_self())
        if name == "bad":
            manager.add("dies", dies)
        return manager

    results = await asyncio.gather(
        run_for(build("good"), 100), run_for(build("bad"), 100), return_exceptions=True
    )
    assert results[0] is None
    assert isinstance(results[1], ManagerError)
    assert now() == 100
    assert seen.count("good") == 1


async def test_the_context_manager_reports_a_death_that_the_block_did_not_see():
    async def dies() -> None:
        await asyncio.sleep(1)

    manager = make()
    manager.add("short", dies)
    with pytest.raises(ManagerError, match="runnable short died"):
        async with manager:
            await asyncio.sleep(5)


async def test_an_error_of_the_block_is_raised_as_it_is_after_an_orderly_stop():
    transport = ScriptedTransport()
    with pytest.raises(ValueError, match="mine"):
        async with make(transport):
            raise ValueError("mine")
    assert transport.closed


async def test_the_scope_is_entered_around_every_reconcile():
    notes: list[str] = []

    @contextmanager
    def scope(request: Request) -> Iterator[None]:
        notes.append(f"{request.key} {request.reconcile_id != ''}")
        yield

    manager = make(ScriptedTransport([page(obj("a"))]), scope=scope)
    controller = manager.controller("widgets", idle)
    controller.watch(manager.informer(WIDGETS), handler=enqueue_self())
    await run_for(manager, 1)
    assert notes == ["ns/a True"]


async def test_misuse_is_named():
    manager = make()
    manager.controller("c", idle)
    manager.add("r", forever)
    with pytest.raises(ManagerError, match="a controller 'c' already"):
        manager.controller("c", idle)
    with pytest.raises(ManagerError, match="a runnable 'r' already"):
        manager.add("r", forever)
    with pytest.raises(ManagerError, match="does not run"):
        await manager.wait(asyncio.Event())
    async with manager:
        for misuse in (
            lambda: manager.controller("late", idle),
            lambda: manager.add("late", forever),
        ):
            with pytest.raises(ManagerError, match="cannot be added any more"):
                misuse()
    with pytest.raises(ManagerError, match="informers cannot be added any more"):
        manager.informer(GADGETS)
    with pytest.raises(ManagerError, match="was started"):
        await manager.run(asyncio.Event())


async def test_a_task_that_ignores_its_cancellation_is_given_up_and_named(caplog):
    release = asyncio.Event()

    async def stubborn() -> None:
        for _ in chain([0], repeat(0, 3)):
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    tasks = TaskSet()
    tasks.start("stubborn", stubborn())
    await asyncio.sleep(0)
    with caplog.at_level(logging.ERROR):
        await tasks.cancel(["stubborn"])
    assert now() == 5
    assert "stubborn ignores its cancellation" in caplog.text
    release.set()
    await asyncio.sleep(1)


async def test_a_task_that_fails_while_it_is_cancelled_is_logged(caplog):
    async def messy() -> None:
        try:
            await forever()
        finally:
            raise RuntimeError("clean-up failed")

    tasks = TaskSet()
    tasks.start("messy", messy())
    await asyncio.sleep(0)
    await tasks.cancel(["messy", "unknown"])
    assert "messy failed while it was stopped: RuntimeError: clean-up failed" in caplog.text
    assert tasks.failure() is None
