"""The manager: starts in order, and never loses a part unnoticed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.unit.controller.managers import forever, idle, make, now, run_for
from tests.unit.controller.scripted import GADGETS, WIDGETS, ScriptedTransport, failure, obj, page

from hybridpg.controller.client.api import Client
from hybridpg.controller.errors import ManagerError
from hybridpg.controller.handlers import enqueue_self
from hybridpg.controller.manager import Manager
from hybridpg.controller.reconcile import Request

pytestmark = pytest.mark.virtual_time


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
