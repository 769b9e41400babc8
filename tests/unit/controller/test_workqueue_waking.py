"""As many workers wake as there is work for, and none sleeps while a key waits."""

from __future__ import annotations

import asyncio
import random

import pytest

from hybridpg.controller.workqueue import WorkQueue

pytestmark = pytest.mark.virtual_time

WORKERS = 10


class Workers:
    """Tasks that take keys; each run lasts ``seconds``, or not at all."""

    def __init__(self, queue: WorkQueue[int], seconds: float | None = None) -> None:
        self.taken: list[int] = []
        self.who: set[int] = set()
        self.busy = self.most = 0
        self._queue = queue
        self._seconds = seconds
        self.tasks = [asyncio.create_task(self._work(number)) for number in range(WORKERS)]

    async def _work(self, number: int) -> None:
        while True:
            key = await self._queue.get()
            self.taken.append(key)
            self.who.add(number)
            self.busy += 1
            self.most = max(self.most, self.busy)
            try:
                if self._seconds is not None:
                    await asyncio.sleep(self._seconds)
            finally:
                self.busy -= 1
                self._queue.done(key)

    async def end(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.wait(self.tasks)


async def test_one_worker_does_what_takes_no_time():
    queue: WorkQueue[int] = WorkQueue()
    workers = Workers(queue)
    await asyncio.sleep(1)
    for key in range(100):
        queue.add(key)
    await asyncio.sleep(1)
    assert workers.taken == [*range(100)]
    assert len(workers.who) == 1
    await workers.end()


@pytest.mark.parametrize("keys", [2, WORKERS, 10 * WORKERS])
async def test_all_workers_that_have_something_to_do_work_at_the_same_time(keys):
    queue: WorkQueue[int] = WorkQueue()
    workers = Workers(queue, 1.0)
    await asyncio.sleep(1)
    begun = asyncio.get_running_loop().time()
    for key in range(keys):
        queue.add(key)
    while len(workers.taken) < keys or workers.busy:
        await asyncio.sleep(0.5)
    assert workers.taken == [*range(keys)]
    assert workers.most == min(keys, WORKERS)
    assert asyncio.get_running_loop().time() - begun <= max(1, keys / WORKERS) + 0.5
    await workers.end()


async def test_a_key_that_comes_back_wakes_another_worker():
    queue: WorkQueue[int] = WorkQueue()
    workers = Workers(queue, 1.0)
    await asyncio.sleep(1)
    queue.add(1)
    await asyncio.sleep(0.5)
    queue.add(1)
    queue.add(2)
    await asyncio.sleep(0.25)
    assert workers.taken == [1, 2]
    await asyncio.sleep(0.5)
    assert workers.taken == [1, 2, 1]
    await workers.end()


@pytest.mark.parametrize("seed", range(40))
async def test_no_key_waits_while_a_worker_does_however_workers_end(seed):
    dice = random.Random(seed)
    queue: WorkQueue[int] = WorkQueue()
    workers = Workers(queue, None if seed % 2 else 0.01)
    added = 0
    for _ in range(60):
        for _ in range(dice.randrange(4)):
            queue.add(added)
            added += 1
        if len(workers.tasks) > 2 and dice.random() < 0.15:
            workers.tasks.pop(dice.randrange(len(workers.tasks))).cancel()
        for _ in range(dice.randrange(3)):
            await asyncio.sleep(0)
        if dice.random() < 0.2:
            await asyncio.sleep(0.01)
    await asyncio.sleep(1)
    assert len(queue) == queue.processing == 0
    assert sorted(workers.taken) == [*range(added)]
    await workers.end()
