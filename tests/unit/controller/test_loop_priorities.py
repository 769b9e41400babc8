"""Priorities of keys: what happens goes before what was there, and a key keeps its own."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.controller.loops import (
    A,
    B,
    Script,
    make,
    running,
    scope_of_all,  # noqa: F401 - a fixture
)
from tests.unit.controller.scripted import WIDGETS, ScriptedTransport, line, obj, page

from hybridpg.controller.client.api import Client
from hybridpg.controller.handlers import enqueue_self
from hybridpg.controller.informer import Informer
from hybridpg.controller.reconcile import Result
from hybridpg.controller.workqueue import LOW, NORMAL

pytestmark = pytest.mark.virtual_time


async def test_what_was_there_before_is_looked_at_after_what_happens():
    transport = ScriptedTransport(
        [page(*(obj(f"old{number}") for number in range(3)))],
        [[1.0, [line("ADDED", obj("new", 101))], [line("MODIFIED", obj("old2", 102))], 60.0]],
    )
    informer = Informer(Client(transport), WIDGETS)
    reconcile = Script(5.0)
    controller = make(reconcile)
    controller.watch(informer, handler=enqueue_self())
    async with running(informer, controller):
        await asyncio.sleep(50)
    assert [name for _, name in reconcile.calls] == ["old0", "new", "old2", "old1"]
    assert [request.priority for request in reconcile.requests] == [LOW, NORMAL, NORMAL, LOW]


async def test_what_a_resync_repeats_has_the_low_priority():
    informer = Informer(Client(ScriptedTransport([page(obj("a"))])), WIDGETS, rand=lambda: 0.5)
    reconcile = Script()
    controller = make(reconcile)
    controller.watch(informer, handler=enqueue_self(), resync=10)
    async with running(informer, controller):
        await asyncio.sleep(15)
    assert reconcile.calls == [(0, "a"), (10, "a")]
    assert [request.priority for request in reconcile.requests] == [LOW, LOW]


async def test_a_deletion_is_no_repetition():
    transport = ScriptedTransport([page(obj("a"))], [[5.0, [line("DELETED", obj("a", 101))], 60.0]])
    informer = Informer(Client(transport), WIDGETS)
    reconcile = Script()
    controller = make(reconcile)
    controller.watch(informer, handler=enqueue_self())
    async with running(informer, controller):
        await asyncio.sleep(15)
    assert [request.priority for request in reconcile.requests] == [LOW, NORMAL]


async def test_what_comes_again_keeps_its_priority_unless_the_result_says_otherwise():
    reconcile = Script(
        RuntimeError("x"), Result(requeue_after=1), Result(requeue_after=1, priority=7), None
    )
    controller = make(reconcile)
    async with running(controller):
        controller.enqueue(A, LOW)
        await asyncio.sleep(50)
    assert [request.priority for request in reconcile.requests] == [LOW, LOW, LOW, 7]


async def test_a_key_for_later_comes_with_its_priority():
    reconcile = Script()
    controller = make(reconcile)
    async with running(controller):
        controller.enqueue_after(A, 10, 3)
        controller.enqueue_after(A, 20, LOW)
        controller.enqueue_after(B, 0, LOW)
        await asyncio.sleep(50)
    assert [request.priority for request in reconcile.requests] == [LOW, 3]


@pytest.mark.parametrize("priority", ["high", 1.5])
async def test_a_priority_that_is_none_is_a_failure_of_its_key_alone(priority):
    reconcile = Script(Result(requeue_after=1, priority=priority), None, None)
    controller = make(reconcile)
    async with running(controller):
        controller.enqueue(A)
        controller.enqueue(B)
        await asyncio.sleep(50)
    assert sorted(reconcile.calls) == [(0, "a"), (0, "b"), (1, "a")]
    assert controller.stats.errors == 1
