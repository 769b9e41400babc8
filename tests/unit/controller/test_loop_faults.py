"""Whatever goes wrong within a run or around it costs the key of that run, and no other."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.unit.controller.loops import (
    A,
    B,
    Script,
    make,
    running,
    scope_of_all,  # noqa: F401 - a fixture
)

from hybridpg.controller.errors import TooManyRequests
from hybridpg.controller.ratelimit import ExponentialLimiter
from hybridpg.controller.reconcile import Request, Result
from hybridpg.controller.types import ObjectKey

pytestmark = pytest.mark.virtual_time


async def test_a_reconcile_that_takes_too_long_is_cut_off_and_is_a_failure(caplog):
    reconcile = Script(60.0)
    controller = make(reconcile, reconcile_timeout=10)
    with caplog.at_level(logging.WARNING):
        async with running(controller):
            controller.enqueue(A)
            await asyncio.sleep(100)
    assert reconcile.times == [0, 11]
    assert "reconcile took longer than 10 s" in caplog.text


async def test_a_timeout_of_something_within_is_not_taken_for_our_own(caplog):
    reconcile = Script(TimeoutError("database"))
    controller = make(reconcile, reconcile_timeout=10)
    with caplog.at_level(logging.WARNING):
        async with running(controller):
            controller.enqueue(A)
            await asyncio.sleep(5)
    assert reconcile.times == [0, 1]
    assert "database" in caplog.text


async def test_a_cancellation_that_leaks_out_of_a_reconcile_does_not_kill_the_worker():
    reconcile = Script(asyncio.CancelledError(), None)
    controller = make(reconcile)
    async with running(controller):
        controller.enqueue(A)
        await asyncio.sleep(10)
    assert reconcile.times == [0, 1]


async def test_a_reconcile_that_cancels_its_own_task_costs_no_worker():
    runs: list[str] = []

    async def cancel(request: Request) -> None:
        runs.append(request.key.name)
        task = asyncio.current_task()
        if len(runs) <= 2:
            assert task is not None
            task.cancel()

    controller = make(cancel, workers=1)
    async with running(controller):
        for key in (A, B, A):
            controller.enqueue(key)
            await asyncio.sleep(10)
    assert runs == ["a", "b", "a"]


async def test_a_limiter_that_fails_costs_no_worker(caplog):
    class Broken:
        def when(self, item: ObjectKey) -> float:
            raise OverflowError("numerical result out of range")

        def forget(self, item: ObjectKey) -> None:
            raise KeyError(item)

        def failures(self, item: ObjectKey) -> int:
            raise KeyError(item)

    reconcile = Script(OSError("x"), None, None)
    controller = make(reconcile, limiter=Broken())
    with caplog.at_level(logging.ERROR):
        async with running(controller):
            controller.enqueue(A)
            await asyncio.sleep(50)
            controller.enqueue(A)
            await asyncio.sleep(1)
    assert reconcile.times == [0, 30, 50]
    assert reconcile.requests[1].attempt == 1
    assert "the limiter of test failed on ns/a" in caplog.text


@pytest.mark.parametrize(("asked", "waited"), [(20, 20), (0, 1), (100_000, 300)])
async def test_a_server_that_sheds_load_is_asked_again_when_it_says(asked: int, waited: int):
    reconcile = Script(TooManyRequests(429, "TooManyRequests", "later", retry_after=asked), None)
    controller = make(reconcile)
    async with running(controller):
        controller.enqueue(A)
        await asyncio.sleep(1000)
    assert reconcile.times == [0, waited]


async def test_a_task_group_that_fails_within_a_reconcile_is_a_failure_like_any_other():
    runs: list[float] = []

    async def fail() -> None:
        raise RuntimeError("one of several")

    async def reconcile(request: Request) -> None:
        runs.append(asyncio.get_running_loop().time())
        if len(runs) == 3:
            raise asyncio.CancelledError
        if len(runs) < 5:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(fail())

    controller = make(reconcile, limiter=ExponentialLimiter(base=1, cap=100))
    async with running(controller):
        controller.enqueue(A)
        await asyncio.sleep(100)
    assert runs == [0, 1, 3, 7, 15]


async def test_a_worker_whose_cancellation_was_swallowed_takes_no_further_key():
    taken: list[str] = []

    async def reconcile(request: Request) -> None:
        taken.append(request.key.name)
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            controller.enqueue(B)

    controller = make(reconcile)
    async with running(controller):
        controller.enqueue(A)
        await asyncio.sleep(10)
    assert taken == ["a"]
    assert asyncio.get_running_loop().time() == 10


@pytest.mark.parametrize("rubbish", [True, "later", Result(requeue_after="5")])  # type: ignore[arg-type]
async def test_a_result_that_is_none_is_a_failure_of_its_key_alone(rubbish, caplog):
    reconcile = Script(rubbish, rubbish, None)
    controller = make(reconcile)
    with caplog.at_level(logging.WARNING):
        async with running(controller):
            controller.enqueue(A)
            await asyncio.sleep(10)
            controller.enqueue(B)
            await asyncio.sleep(10)
    assert reconcile.calls == [(0, "a"), (1, "a"), (3, "a"), (10, "b")]
    assert "test of ns/a failed, next try in 2 s" in caplog.text


async def test_the_scope_is_entered_around_each_run_and_left_after_a_failure():
    notes: list[str] = []

    @contextmanager
    def scope(request: Request) -> Iterator[None]:
        notes.append(f"enter {request.key}")
        yield
        notes.append(f"leave {request.key}")

    controller = make(Script(RuntimeError("x"), None), scope=scope)
    async with running(controller):
        controller.enqueue(A)
        await asyncio.sleep(10)
    assert notes == ["enter ns/a", "leave ns/a"] * 2


@pytest.mark.parametrize("place", ["entering", "leaving"])
async def test_a_scope_that_fails_is_a_failure_of_its_key_alone(place, caplog):
    broken = {"a"}

    @contextmanager
    def scope(request: Request) -> Iterator[None]:
        if place == "entering" and request.key.name in broken:
            raise ValueError("no span")
        yield
        if request.key.name in broken:
            raise ValueError("no span")

    reconcile = Script()
    controller = make(reconcile, scope=scope)
    with caplog.at_level(logging.WARNING):
        async with running(controller):
            controller.enqueue(A)
            controller.enqueue(B)
            await asyncio.sleep(0.5)
            broken.clear()
            await asyncio.sleep(10)
    assert reconcile.calls[-2:] == [(0, "b"), (1, "a")]
    assert "test of ns/a failed, next try in 1 s: no span" in caplog.text
