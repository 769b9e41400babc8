"""What a controller watches: it starts with complete caches, and events become keys."""

from __future__ import annotations

import asyncio
import logging

import pytest
from tests.unit.controller.loops import (
    Script,
    make,
    running,
    scope_of_all,  # noqa: F401 - a fixture
)
from tests.unit.controller.scripted import GADGETS, WIDGETS, ScriptedTransport, line, obj, page

from hybridpg.controller.client.api import Client
from hybridpg.controller.errors import ManagerError, NotSynced
from hybridpg.controller.handlers import enqueue_mapped, enqueue_self
from hybridpg.controller.informer import Informer
from hybridpg.controller.predicates import generation_changed
from hybridpg.controller.types import KubeObject, ObjectKey

pytestmark = pytest.mark.virtual_time


class Slow(ScriptedTransport):
    """A server that takes twenty seconds for an answer."""

    async def request(self, *args, **options):
        await asyncio.sleep(20)
        return await super().request(*args, **options)


async def test_workers_start_when_all_sources_are_synced():
    fast = Informer(Client(ScriptedTransport([page(obj("a"))])), WIDGETS)
    slow = Informer(Client(Slow([page(obj("b"))])), GADGETS)
    reconcile = Script()
    controller = make(reconcile)
    controller.watch(fast, handler=enqueue_self())
    controller.watch(slow, handler=enqueue_self())
    async with running(fast, slow, controller):
        await asyncio.sleep(50)
    assert reconcile.calls == [(20, "a"), (20, "b")]


async def test_a_cache_that_never_fills_fails_the_controller_and_is_named():
    informer = Informer(Client(ScriptedTransport()), WIDGETS)
    controller = make(Script())
    controller.watch(informer, handler=enqueue_self())
    with pytest.raises(ManagerError, match=r"test: caches not complete.*widgets\.example\.org"):
        await controller.run()
    assert asyncio.get_running_loop().time() == 120


async def test_events_of_a_source_pass_its_predicate_and_become_keys():
    transport = ScriptedTransport(
        [page(obj("a"))],
        [
            [
                5.0,
                [line("MODIFIED", obj("a", 101))],
                5.0,
                [line("MODIFIED", obj("a", 102, generation=2))],
                5.0,
                [line("DELETED", obj("a", 103))],
                60.0,
            ]
        ],
    )
    informer = Informer(Client(transport), WIDGETS)
    reconcile = Script()
    controller = make(reconcile)
    controller.watch(informer, handler=enqueue_self(), predicate=generation_changed())
    async with running(informer, controller):
        await asyncio.sleep(50)
    assert reconcile.times == [0, 10, 15]


async def test_a_mapping_may_read_the_stores_of_other_sources():
    widgets = Informer(Client(ScriptedTransport([page(obj("w"))])), WIDGETS)
    gadgets = Informer(Client(Slow([page(obj("a"), obj("b"))])), GADGETS)
    reconcile = Script()
    controller = make(reconcile)
    mapped = enqueue_mapped(lambda _: [found.key for found in gadgets.store.list()])
    controller.watch(widgets, handler=mapped)
    controller.watch(gadgets, handler=enqueue_mapped(lambda _: []))
    async with running(widgets, gadgets, controller):
        await asyncio.sleep(50)
    assert reconcile.calls == [(20, "a"), (20, "b")]


async def test_a_predicate_may_read_them_as_well():
    widgets = Informer(Client(ScriptedTransport([page(obj("a"), obj("b"))])), WIDGETS)
    gadgets = Informer(Client(Slow([page(obj("a"))])), GADGETS)
    reconcile = Script()
    controller = make(reconcile)
    controller.watch(
        widgets,
        handler=enqueue_self(),
        predicate=lambda event: gadgets.store.get(event.object.key) is not None,
    )
    controller.watch(gadgets, handler=enqueue_mapped(lambda _: []))
    async with running(widgets, gadgets, controller):
        await asyncio.sleep(50)
    assert reconcile.calls == [(20, "a")]


async def test_a_mapping_that_fails_at_the_start_costs_that_event_alone(caplog):
    def map_first(found: KubeObject) -> list[ObjectKey]:
        key = gadgets.store.list()[0].key
        if found.name == "a":
            raise RuntimeError("no mapping")
        return [key]

    widgets = Informer(Client(ScriptedTransport([page(obj("a"), obj("b"))])), WIDGETS)
    gadgets = Informer(Client(Slow([page(obj("g"))])), GADGETS)
    reconcile = Script()
    controller = make(reconcile)
    controller.watch(widgets, handler=enqueue_mapped(map_first))
    controller.watch(gadgets, handler=enqueue_mapped(lambda _: []))
    async with running(widgets, gadgets, controller):
        await asyncio.sleep(50)
    assert reconcile.calls == [(20, "g")]
    assert "failed on ns/a" in caplog.text


async def test_a_mapping_that_is_never_ready_is_an_error_of_the_handler(caplog):
    def unready(_: object) -> list[ObjectKey]:
        raise NotSynced("other store")

    transport = ScriptedTransport([page()], [[5.0, [line("ADDED", obj("a", 101))], 60.0]])
    informer = Informer(Client(transport), WIDGETS)
    controller = make(Script())
    controller.watch(informer, handler=enqueue_mapped(unready))
    with caplog.at_level(logging.ERROR):
        async with running(informer, controller):
            await asyncio.sleep(20)
    assert "failed on ns/a" in caplog.text


async def test_a_source_that_comes_while_it_works_is_mapped_once_it_is_complete():
    widgets = Informer(Client(ScriptedTransport([page(obj("w"))])), WIDGETS)
    gadgets = Informer(Client(Slow([page(obj("a"), obj("b"))])), GADGETS)
    reconcile = Script()
    controller = make(reconcile)
    controller.watch(widgets, handler=enqueue_self())
    async with running(widgets, gadgets, controller):
        await asyncio.sleep(1)
        controller.watch(gadgets, handler=enqueue_mapped(lambda _: [gadgets.store.list()[-1].key]))
        await asyncio.sleep(50)
    assert reconcile.calls == [(0, "w"), (20, "b")]


async def test_a_late_source_that_has_ended_ends_the_controller_and_is_named():
    gadgets = Informer(Client(ScriptedTransport([page(obj("a"))])), GADGETS)
    async with running(gadgets):
        await asyncio.sleep(1)
    controller = make(Script())
    task = asyncio.create_task(controller.run())
    await asyncio.sleep(1)
    controller.watch(gadgets, handler=enqueue_self())
    with pytest.raises(ExceptionGroup) as caught:
        await task
    (error,) = caught.value.exceptions
    assert isinstance(error, ManagerError)
    assert "gadgets" in str(error)


async def test_a_controller_ends_although_a_late_source_is_never_complete():
    class Silent(ScriptedTransport):
        async def request(self, *args, **options):
            await asyncio.Event().wait()

    gadgets = Informer(Client(Silent()), GADGETS)
    controller = make(Script())
    task = asyncio.create_task(controller.run())
    await asyncio.sleep(1)
    controller.watch(gadgets, handler=enqueue_self())
    async with running(gadgets):
        await asyncio.sleep(1)
        await controller.stop()
        await asyncio.wait_for(task, 1)
