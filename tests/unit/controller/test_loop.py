"""The controller loop: when a key is reconciled, when again, and what a failure costs."""

from __future__ import annotations

import asyncio
import logging

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

from hybridpg.controller.errors import Conflict, TerminalError, TransportError
from hybridpg.controller.reconcile import Request, Result
from hybridpg.controller.types import ObjectKey

pytestmark = pytest.mark.virtual_time


async def test_a_key_is_reconciled_once_and_then_left_alone():
    reconcile = Script()
    controller = make(reconcile)
    async with running(controller):
        controller.enqueue(A)
        controller.enqueue(A)
        await asyncio.sleep(1000)
    assert reconcile.calls == [(0, "a")]


async def test_a_failure_is_retried_with_growing_pauses_until_it_succeeds():
    """H19."""
    reconcile = Script(RuntimeError("1"), TransportError("2"), ValueError("3"))
    controller = make(reconcile)
    async with running(controller):
        controller.enqueue(A)
        await asyncio.sleep(1000)
    assert reconcile.times == [0, 1, 3, 7]
    assert [request.attempt for request in reconcile.requests] == [0, 1, 2, 3]


async def test_a_success_forgets_the_failures():
    reconcile = Script(RuntimeError("x"), RuntimeError("x"), None, RuntimeError("x"))
    controller = make(reconcile)
    async with running(controller):
        controller.enqueue(A)
        await asyncio.sleep(100)
        controller.enqueue(A)
        await asyncio.sleep(100)
    assert reconcile.times == [0, 1, 3, 100, 101]


async def test_a_requeue_is_no_failure_and_is_not_rate_limited():
    again = Result(requeue_after=10)
    reconcile = Script(RuntimeError("x"), again, again, RuntimeError("x"))
    controller = make(reconcile)
    async with running(controller):
        controller.enqueue(A)
        await asyncio.sleep(100)
    assert reconcile.times == [0, 1, 11, 21, 22]


async def test_a_requeue_after_nothing_comes_at_once():
    reconcile = Script(Result(requeue_after=0), Result())
    controller = make(reconcile)
    async with running(controller):
        controller.enqueue(A)
        await asyncio.sleep(100)
    assert reconcile.times == [0, 0]


async def test_a_terminal_error_is_not_retried_until_the_key_comes_again(caplog):
    reconcile = Script(TerminalError("spec is wrong"), RuntimeError("x"))
    controller = make(reconcile)
    with caplog.at_level(logging.ERROR):
        async with running(controller):
            controller.enqueue(A)
            await asyncio.sleep(100)
            controller.enqueue(A)
            await asyncio.sleep(100)
    assert reconcile.times == [0, 100, 101]
    assert "gives up until it changes: spec is wrong" in caplog.text


async def test_a_terminal_error_does_not_forget_earlier_failures():
    reconcile = Script(RuntimeError("x"), TerminalError("y"), RuntimeError("z"))
    controller = make(reconcile)
    async with running(controller):
        controller.enqueue(A)
        await asyncio.sleep(10)
        controller.enqueue(A)
        await asyncio.sleep(100)
    assert reconcile.times == [0, 1, 10, 12]


async def test_a_conflict_is_retried_and_is_not_worth_a_warning(caplog):
    reconcile = Script(Conflict(409, "Conflict", "changed"))
    controller = make(reconcile)
    with caplog.at_level(logging.WARNING):
        async with running(controller):
            controller.enqueue(A)
            await asyncio.sleep(10)
    assert reconcile.times == [0, 1]
    assert caplog.records == []


async def test_an_unexpected_error_is_logged_with_its_trace_and_one_of_ours_without(caplog):
    reconcile = Script(KeyError("spec"), TransportError("reset"))
    controller = make(reconcile)
    with caplog.at_level(logging.WARNING):
        async with running(controller):
            controller.enqueue(A)
            await asyncio.sleep(10)
    assert [record.exc_info is not None for record in caplog.records] == [True, False]
    assert "test of ns/a failed, next try in 2 s: reset" in caplog.text


async def test_one_failing_key_does_not_stop_the_others():
    reconcile = Script(RuntimeError("x"), None, None)
    controller = make(reconcile)
    async with running(controller):
        for key in (A, B, C):
            controller.enqueue(key)
        await asyncio.sleep(0.5)
    assert [name for _, name in reconcile.calls] == ["a", "b", "c"]


async def test_keys_that_fail_again_and_again_do_not_delay_the_others():
    waits: list[float] = []
    now = asyncio.get_running_loop().time

    async def reconcile(request: Request) -> None:
        await asyncio.sleep(0.01)
        if request.key.name.startswith("poison"):
            raise RuntimeError("always")
        waits.append(now() - float(request.key.name))

    controller = make(reconcile, workers=2)
    async with running(controller):
        for number in range(50):
            controller.enqueue(ObjectKey("ns", f"poison{number}"))
        await asyncio.sleep(10)
        for _ in range(100):
            controller.enqueue(ObjectKey("ns", f"{now()}"))
            await asyncio.sleep(0.1)
    assert len(waits) == 100
    # 50 of them in their tenth round come every two seconds or so: the worst case is all at once
    assert max(waits) <= 0.3
    assert sorted(waits)[50] == pytest.approx(0.01)


async def test_a_requeue_that_never_comes_is_not_waited_for():
    reconcile = Script(Result(requeue_after=float("inf")))
    controller = make(reconcile)
    async with running(controller):
        controller.enqueue(A)
        await asyncio.sleep(1000)
    assert reconcile.times == [0]
    assert len(controller._delays) == 0


class Counting:
    """A limiter for all keys together: it knows of no key how often it failed."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def when(self, item: ObjectKey) -> float:
        self.calls.append(f"when {item.name}")
        return 1.0

    def forget(self, item: ObjectKey) -> None:
        self.calls.append(f"forget {item.name}")

    def failures(self, item: ObjectKey) -> int:
        self.calls.append(f"failures {item.name}")
        return 0


async def test_a_limiter_is_asked_about_keys_that_have_failed_only():
    limiter = Counting()
    controller = make(Script(None, OSError("x"), OSError("y"), None), limiter=limiter)
    async with running(controller):
        for key in (A, B):
            controller.enqueue(key)
            await asyncio.sleep(10)
        controller.enqueue(B)
        await asyncio.sleep(10)
    once = ["when b", "failures b"]
    assert limiter.calls == [*once, *once, "forget b"]
