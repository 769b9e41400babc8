"""What a controller records of each run: an id of its own, its length, and how it failed."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.controller.loops import (
    A,
    B,
    C,
    Script,
    make,
    running,
    scope_of_all,  # noqa: F401 - a fixture
)

from hybridpg.controller.errors import TransportError
from hybridpg.controller.reconcile import Request, Result

pytestmark = pytest.mark.virtual_time


async def test_every_run_has_an_id_of_its_own_across_controllers():
    first, second = Script(Result(requeue_after=1), Result(requeue_after=1)), Script()
    controllers = make(first), make(second)
    async with running(*controllers):
        for controller in controllers:
            controller.enqueue(A)
        await asyncio.sleep(10)
    ids = [request.reconcile_id for request in first.requests + second.requests]
    assert len(ids) == len(set(ids)) == 4


async def test_a_bug_is_counted_as_one_and_an_ordinary_failure_is_not():
    bugs = [KeyError("a"), TypeError("b"), AssertionError(), asyncio.CancelledError()]
    reconcile = Script(*bugs, OSError("c"), TransportError("d"), None)
    controller = make(reconcile)
    async with running(controller):
        controller.enqueue(A)
        await asyncio.sleep(500)
    assert (controller.stats.errors, controller.stats.panics) == (6, 4)


async def test_a_run_that_holds_the_loop_is_measured_in_the_queue_as_well():
    loop = asyncio.get_running_loop()

    async def reconcile(request: Request) -> None:
        loop._idle.now += 2  # type: ignore[attr-defined]  # what work on the CPU takes

    controller = make(reconcile)
    async with running(controller):
        controller.enqueue(A)
        controller.enqueue(B)
        await asyncio.sleep(10)
    assert controller.queue.work_duration.sum == 4
    assert controller.stats.durations.sum == 4


async def test_a_run_that_waited_is_measured_in_its_own_bucket_and_one_that_did_not_in_the_first():
    controller = make(Script(None, 0.07, None, 100.0))
    async with running(controller):
        for _ in range(4):
            controller.enqueue(A)
            await asyncio.sleep(200)
    durations = controller.stats.durations
    counted = dict(zip(durations.bounds, durations.counts, strict=False))
    assert {bound: count for bound, count in counted.items() if count} == {0.005: 2, 0.1: 1}
    assert durations.counts[-1] == 1
    assert durations.sum == pytest.approx(100.07)


async def test_a_run_of_a_key_that_has_waited_counts_from_its_own_beginning():
    """A worker looks at the clock once for the end of one run and the beginning of the next."""
    controller = make(Script(2.0, 3.0, None))
    async with running(controller):
        for key in (A, B):
            controller.enqueue(key)
        await asyncio.sleep(50)
        controller.enqueue(C)
        await asyncio.sleep(50)
    assert controller.stats.durations.sum == 5
    assert controller.queue.processing == 0
