"""The work queue: fair, stingy, re-entrant, and its invariants under any order of calls."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hybridpg.controller.errors import QueueClosed
from hybridpg.controller.testing.clock import VirtualTimeLoop
from hybridpg.controller.workqueue import WorkQueue

pytestmark = pytest.mark.virtual_time


async def take(queue: WorkQueue[str], count: int) -> list[str]:
    return [await queue.get() for _ in range(count)]


async def test_keys_come_out_in_the_order_they_went_in():
    queue: WorkQueue[str] = WorkQueue()
    for key in "cab":
        queue.add(key)
    assert await take(queue, 3) == ["c", "a", "b"]


async def test_a_key_added_many_times_comes_out_once_and_keeps_its_place():
    queue: WorkQueue[str] = WorkQueue()
    for key in "abaaba":
        queue.add(key)
    assert len(queue) == 2
    assert await take(queue, 2) == ["a", "b"]


async def test_a_key_added_while_it_is_worked_on_comes_again_after_that():
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    await queue.get()
    queue.add("a")
    queue.add("a")
    assert len(queue) == 0
    queue.done("a")
    assert await take(queue, 1) == ["a"]
    queue.done("a")
    assert (len(queue), queue.processing) == (0, 0)


async def test_a_worker_waits_until_there_is_a_key():
    queue: WorkQueue[str] = WorkQueue()
    worker = asyncio.create_task(queue.get())
    await asyncio.sleep(5)
    assert not worker.done()
    queue.add("a")
    assert await worker == "a"


async def test_each_key_wakes_one_worker():
    queue: WorkQueue[str] = WorkQueue()
    workers = [asyncio.create_task(queue.get()) for _ in range(3)]
    await asyncio.sleep(0)
    queue.add("a")
    queue.add("b")
    await asyncio.sleep(1)
    assert [worker.done() for worker in workers] == [True, True, False]
    workers[2].cancel()


async def test_a_cancelled_worker_leaves_the_line_to_others():
    queue: WorkQueue[str] = WorkQueue()
    first, second = (asyncio.create_task(queue.get()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    queue.add("a")
    assert await second == "a"


async def test_a_worker_cancelled_as_it_is_woken_passes_the_key_on():
    queue: WorkQueue[str] = WorkQueue()
    first, second = (asyncio.create_task(queue.get()) for _ in range(2))
    await asyncio.sleep(0)
    queue.add("a")
    first.cancel()
    async with asyncio.timeout(1):
        assert await second == "a"
    assert first.cancelled()


async def test_a_worker_cancelled_a_moment_before_does_not_swallow_the_wake_up():
    queue: WorkQueue[str] = WorkQueue()
    first, second = (asyncio.create_task(queue.get()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    queue.add("a")
    async with asyncio.timeout(1):
        assert await second == "a"
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_the_only_worker_may_be_cancelled_as_it_is_woken():
    queue: WorkQueue[str] = WorkQueue()
    worker = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.add("a")
    worker.cancel()
    await asyncio.wait([worker])
    assert await queue.get() == "a"


async def test_no_key_is_lost_when_a_key_is_stolen_from_a_woken_worker():
    queue: WorkQueue[str] = WorkQueue()
    sleeper = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.add("a")
    assert await queue.get() == "a"
    await asyncio.sleep(0)
    queue.add("b")
    assert await sleeper == "b"


async def test_done_for_a_key_that_nobody_took_is_an_error_and_changes_nothing():
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    with pytest.raises(ValueError, match="not begun"):
        queue.done("a")
    assert await take(queue, 1) == ["a"]
    with pytest.raises(KeyError):
        queue.done("b")


async def test_after_a_shutdown_what_waits_is_handed_out_and_nothing_is_added():
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    queue.shutdown()
    queue.add("b")
    assert queue.closed
    assert await take(queue, 1) == ["a"]
    with pytest.raises(QueueClosed):
        await queue.get()


async def test_a_shutdown_releases_all_waiting_workers():
    queue: WorkQueue[str] = WorkQueue()
    workers = [asyncio.create_task(queue.get()) for _ in range(3)]
    await asyncio.sleep(0)
    queue.shutdown()
    results = await asyncio.gather(*workers, return_exceptions=True)
    assert [type(result) for result in results] == [QueueClosed] * 3


async def test_a_drain_waits_for_the_line_for_the_work_and_for_second_rounds():
    queue: WorkQueue[str] = WorkQueue()
    for key in "ab":
        queue.add(key)
    assert await queue.get() == "a"
    queue.add("a")
    drain = asyncio.create_task(queue.shutdown_with_drain())
    await asyncio.sleep(1)
    queue.done("a")
    for key in ("b", "a"):
        assert await queue.get() == key
        await asyncio.sleep(1)
        assert not drain.done()
        queue.done(key)
    await drain
    assert asyncio.get_running_loop().time() == 3


async def test_a_drain_of_an_idle_queue_ends_at_once():
    queue: WorkQueue[str] = WorkQueue()
    await queue.shutdown_with_drain()
    assert queue.closed


async def test_a_plain_shutdown_ends_the_wait_of_a_drain():
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    drain = asyncio.create_task(queue.shutdown_with_drain())
    await asyncio.sleep(1)
    queue.shutdown()
    await drain
    assert len(queue) == 1


async def test_two_may_wait_for_the_same_drain():
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    await queue.get()
    drains = [asyncio.create_task(queue.shutdown_with_drain()) for _ in range(2)]
    await asyncio.sleep(1)
    assert not any(drain.done() for drain in drains)
    queue.done("a")
    await asyncio.gather(*drains)


async def test_a_discard_forgets_the_line_and_second_rounds_but_not_the_work():
    queue: WorkQueue[str] = WorkQueue()
    for key in "abc":
        queue.add(key)
    await queue.get()
    queue.add("a")
    queue.discard()
    assert (len(queue), queue.processing) == (0, 1)
    queue.done("a")
    assert (len(queue), queue.processing) == (0, 0)


async def test_a_discard_may_be_what_completes_a_drain():
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    drain = asyncio.create_task(queue.shutdown_with_drain())
    await asyncio.sleep(0)
    queue.discard()
    async with asyncio.timeout(1):
        await drain


async def test_never_two_workers_on_one_key_and_every_change_is_seen():
    queue: WorkQueue[int] = WorkQueue()
    wanted = dict.fromkeys(range(5), 0)
    seen = dict.fromkeys(range(5), 0)
    busy: set[int] = set()

    async def work() -> None:
        while True:
            key = await queue.get()
            assert key not in busy
            busy.add(key)
            observed = wanted[key]
            await asyncio.sleep(0.1 * (key + 1))
            seen[key] = observed
            busy.remove(key)
            queue.done(key)

    workers = [asyncio.create_task(work()) for _ in range(4)]
    for step in range(1, 101):
        wanted[step % 5] = step
        queue.add(step % 5)
        await asyncio.sleep(0.03)
    await asyncio.sleep(10)
    assert seen == wanted
    for worker in workers:
        worker.cancel()
    results = await asyncio.gather(*workers, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results)


class QueueMachine(RuleBasedStateMachine):
    """Any order of calls against the definition: a line, a dirty set and a processing set."""

    keys = st.integers(0, 4)

    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualTimeLoop()
        self.queue: WorkQueue[int] = WorkQueue()
        self.line: list[int] = []
        self.dirty: set[int] = set()
        self.processing: set[int] = set()
        self.closed = False

    def teardown(self) -> None:
        self.loop.close()

    @rule(key=keys)
    def add(self, key: int) -> None:
        self.queue.add(key)
        if self.closed or key in self.dirty:
            return
        self.dirty.add(key)
        if key not in self.processing:
            self.line.append(key)

    @precondition(lambda self: self.line)
    @rule()
    def get(self) -> None:
        key = self.loop.run_until_complete(self.queue.get())
        assert key == self.line.pop(0)
        self.dirty.remove(key)
        self.processing.add(key)

    @precondition(lambda self: self.processing)
    @rule(data=st.data())
    def done(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.processing)))
        self.queue.done(key)
        self.processing.remove(key)
        if key in self.dirty:
            self.line.append(key)

    @rule()
    def discard(self) -> None:
        self.queue.discard()
        self.line, self.dirty = [], set()

    @precondition(lambda self: len(self.processing) > 2)
    @rule()
    def shutdown(self) -> None:
        self.queue.shutdown()
        self.closed = True

    @invariant()
    def the_numbers_agree(self) -> None:
        assert len(self.queue) == len(self.line)
        assert self.queue.processing == len(self.processing)

    @invariant()
    def the_line_is_what_is_dirty_and_not_worked_on(self) -> None:
        assert set(self.line) == self.dirty - self.processing
        assert len(set(self.line)) == len(self.line)


TestQueueMachine = QueueMachine.TestCase
TestQueueMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
