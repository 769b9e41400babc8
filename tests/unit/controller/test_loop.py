"""The controller loop: what runs when, what a failure costs, and what it never does."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from typing import Any

import pytest
from tests.unit.controller.scripted import (
    GADGETS,
    WIDGETS,
    ScriptedTransport,
    line,
    obj,
    page,
)

from hybridpg.controller.client.api import Client
from hybridpg.controller.errors import (
    Conflict,
    ManagerError,
    NotSynced,
    TerminalError,
    TransportError,
)
from hybridpg.controller.handlers import enqueue_mapped, enqueue_self
from hybridpg.controller.informer import Informer
from hybridpg.controller.loop import Controller
from hybridpg.controller.predicates import generation_changed
from hybridpg.controller.ratelimit import ExponentialLimiter
from hybridpg.controller.reconcile import Reconcile, Request, Result
from hybridpg.controller.types import KubeObject, ObjectKey
from hybridpg.controller.workqueue import LOW, NORMAL

pytestmark = pytest.mark.virtual_time

A, B, C = (ObjectKey("ns", name) for name in "abc")


class Script:
    """A reconcile function that plays a list of outcomes, and notes when it was called."""

    def __init__(self, *outcomes: Result | BaseException | float | None) -> None:
        self.outcomes = list(outcomes)
        self.calls: list[tuple[float, str]] = []
        self.requests: list[Request] = []
        self.running = self.most = 0

    @property
    def times(self) -> list[float]:
        return [at for at, _ in self.calls]

    async def __call__(self, request: Request) -> Result | None:
        self.calls.append((round(asyncio.get_running_loop().time(), 6), request.key.name))
        self.requests.append(request)
        outcome = self.outcomes.pop(0) if self.outcomes else None
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            if isinstance(outcome, float):
                await asyncio.sleep(outcome)
                return None
            if isinstance(outcome, BaseException):
                raise outcome
            return outcome
        finally:
            self.running -= 1


@asynccontextmanager
async def running(*parts: Controller | Informer) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(part.run()) for part in parts]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


@pytest.fixture(autouse=True, params=[None, nullcontext], ids=["plain", "scoped"])
def scope_of_all(request: pytest.FixtureRequest) -> Iterator[None]:
    """Runs without a scope take a shorter way, on which nothing may be different."""
    OPTIONS["scope"] = request.param
    yield
    OPTIONS.clear()


OPTIONS: dict[str, Any] = {}
"""What all controllers of a test are made with."""


def make(reconcile: Reconcile, **options: Any) -> Controller:
    options.setdefault("limiter", ExponentialLimiter(base=1, cap=100))
    return Controller("test", reconcile, **OPTIONS | options)


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


async def test_a_key_can_be_enqueued_for_later():
    reconcile = Script()
    controller = make(reconcile)
    async with running(controller):
        controller.enqueue_after(A, 30)
        controller.enqueue_after(A, 10)
        await asyncio.sleep(100)
    assert reconcile.times == [10]


async def test_every_run_has_an_id_of_its_own_across_controllers():
    first, second = Script(Result(requeue_after=1), Result(requeue_after=1)), Script()
    controllers = make(first), make(second)
    async with running(*controllers):
        for controller in controllers:
            controller.enqueue(A)
        await asyncio.sleep(10)
    ids = [request.reconcile_id for request in first.requests + second.requests]
    assert len(ids) == len(set(ids)) == 4


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


async def test_workers_start_when_all_sources_are_synced():
    class Slow(ScriptedTransport):
        async def request(self, *args, **options):
            await asyncio.sleep(20)
            return await super().request(*args, **options)

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


async def test_a_mapping_that_reads_a_store_too_early_is_asked_again_when_it_is_complete():
    class Slow(ScriptedTransport):
        async def request(self, *args, **options):
            await asyncio.sleep(20)
            return await super().request(*args, **options)

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


async def test_a_predicate_that_reads_a_store_too_early_is_asked_again_as_well():
    class Slow(ScriptedTransport):
        async def request(self, *args, **options):
            await asyncio.sleep(20)
            return await super().request(*args, **options)

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


async def test_a_mapping_that_came_too_early_and_then_fails_costs_that_event_alone(caplog):
    class Slow(ScriptedTransport):
        async def request(self, *args, **options):
            await asyncio.sleep(20)
            return await super().request(*args, **options)

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
    assert "mapping of ns/a failed" in caplog.text


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
    informer = Informer(Client(ScriptedTransport([page(obj("a"))])), WIDGETS)
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
