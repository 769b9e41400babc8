"""Workers: how many run at a time, on which keys, and how a stop ends them."""

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

from hybridpg.controller.reconcile import Request, Result
from hybridpg.controller.types import ObjectKey

pytestmark = pytest.mark.virtual_time


async def test_reconciles_that_wait_for_nothing_leave_room_for_others():
    """Each comes again at once and never gives up the event loop by itself."""
    runs = 0

    async def reconcile(request: Request) -> Result:
        nonlocal runs
        runs += 1
        assert runs < 10_000, "nobody else gets a turn"
        return Result(requeue_after=0)

    controller = make(reconcile, workers=2)
    async with running(controller):
        controller.enqueue(A)
        controller.enqueue(B)
        for _ in range(10):
            await asyncio.sleep(0)
    assert runs > 10


async def test_so_many_run_at_a_time_as_there_are_workers():
    reconcile = Script(*[1.0] * 10)
    controller = make(reconcile, workers=3)
    async with running(controller):
        for number in range(10):
            controller.enqueue(ObjectKey("ns", f"n{number}"))
        await asyncio.sleep(100)
    assert reconcile.most == 3
    assert sorted(reconcile.times) == [0] * 3 + [1] * 3 + [2] * 3 + [3]


async def test_a_key_is_never_reconciled_twice_at_a_time_and_comes_again_after():
    reconcile = Script(10.0, None)
    controller = make(reconcile, workers=3)
    async with running(controller):
        controller.enqueue(A)
        await asyncio.sleep(5)
        controller.enqueue(A)
        await asyncio.sleep(100)
    assert reconcile.most == 1
    assert reconcile.times == [0, 10]


async def test_a_controller_that_is_cancelled_keeps_no_key_and_no_timer():
    """Its loop may be somebody else's, and go on for days."""

    async def reconcile(request: Request) -> Result:
        return Result(requeue_after=36_000)

    controller = make(reconcile)
    task = asyncio.create_task(controller.run())
    controller.enqueue(A)
    await asyncio.sleep(1)
    assert controller.retries == 1
    task.cancel()
    await asyncio.wait([task])
    controller.enqueue_after(B, 1.0)
    assert controller.retries == 1, "it takes no more"
    await asyncio.sleep(40_000)
    assert len(controller.queue) == 0


async def test_a_key_can_be_enqueued_for_later():
    reconcile = Script()
    controller = make(reconcile)
    async with running(controller):
        controller.enqueue_after(A, 30)
        controller.enqueue_after(A, 10)
        await asyncio.sleep(100)
    assert reconcile.times == [10]


async def test_a_stop_lets_runs_finish_and_drops_what_waits():
    reconcile = Script(10.0)
    controller = make(reconcile)
    task = asyncio.create_task(controller.run())
    controller.enqueue(A)
    controller.enqueue(B)
    controller.enqueue_after(C, 1)
    await asyncio.sleep(5)
    controller.enqueue(A)
    await controller.stop()
    await task
    assert asyncio.get_running_loop().time() == 10
    assert reconcile.calls == [(0, "a")]


async def test_a_failure_during_the_stop_is_not_retried():
    async def failing(request: Request) -> None:
        await asyncio.sleep(5)
        raise RuntimeError("too late")

    controller = make(failing)
    task = asyncio.create_task(controller.run())
    controller.enqueue(A)
    await asyncio.sleep(1)
    await controller.stop()
    await task
    assert asyncio.get_running_loop().time() == 5


@pytest.mark.parametrize("workers", [0, -1])
def test_a_controller_without_workers_is_refused_when_it_is_made(workers):
    with pytest.raises(ValueError, match=f"controller test: {workers} workers do nothing, give it"):
        make(Script(), workers=workers)


@pytest.mark.parametrize("timeout", [0, -1.0, float("nan")])
def test_a_timeout_in_which_nothing_can_be_done_is_refused(timeout):
    with pytest.raises(ValueError, match=r"controller test: in .* nothing can be reconciled"):
        make(Script(), reconcile_timeout=timeout)
