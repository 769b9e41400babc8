"""What the work queue counts and measures: exact, whatever way the keys took."""

from __future__ import annotations

import asyncio
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridpg.controller._histogram import QUEUE_BOUNDS, Histogram
from hybridpg.controller.testing.clock import run_virtual
from hybridpg.controller.workqueue import LOW, NORMAL, WorkQueue

pytestmark = pytest.mark.virtual_time


def buckets(histogram: Histogram) -> dict[float, int]:
    """The buckets that hold something, by their upper bound."""
    bounds = (*histogram.bounds, float("inf"))
    return {bound: count for bound, count in zip(bounds, histogram.counts, strict=True) if count}


def test_the_buckets_are_those_that_dashboards_know():
    assert QUEUE_BOUNDS[0] == 1e-8
    assert QUEUE_BOUNDS[-1] == 1e3
    assert len(QUEUE_BOUNDS) == 12


def test_a_value_on_a_bound_belongs_to_the_bucket_below():
    histogram = Histogram((1.0, 2.0))
    for value in (0.0, 1.0, 1.5, 2.0, 9.0):
        histogram.observe(value)
    histogram.observe(2.0, 3)
    assert histogram.counts == [2, 5, 1]
    assert (histogram.count, histogram.sum) == (8, 19.5)


async def test_the_time_that_keys_wait_is_measured_from_the_add_to_the_get():
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    await asyncio.sleep(5)
    queue.add("b")
    await asyncio.sleep(0.5)
    for _ in range(2):
        await queue.get()
    assert buckets(queue.queue_duration) == {10.0: 1, 1.0: 1}
    assert queue.queue_duration.sum == 6


async def test_adding_again_does_not_begin_the_wait_anew():
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a", LOW)
    await asyncio.sleep(5)
    queue.add("a", LOW)
    queue.add("a", NORMAL)
    await asyncio.sleep(1)
    await queue.get()
    assert queue.queue_duration.sum == 6


async def test_a_second_round_waits_from_the_first_wish_for_it():
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a", LOW)
    await queue.get()
    queue.add("a", LOW)
    await asyncio.sleep(4)
    queue.add("a", NORMAL)
    queue.done("a")
    await asyncio.sleep(1)
    await queue.get()
    assert queue.queue_duration.sum == 5


async def test_the_time_of_the_work_is_measured_from_the_get_to_the_end():
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    queue.add("b")
    await queue.get()
    await asyncio.sleep(3)
    queue.done("a")
    await queue.get()
    queue.done("b")
    assert buckets(queue.work_duration) == {10.0: 1, 1e-8: 1}
    assert queue.work_duration.sum == 3


async def test_work_that_took_time_in_one_turn_is_measured_if_the_worker_says_so():
    queue: WorkQueue[str] = WorkQueue()
    now = asyncio.get_running_loop().time()
    for key in "abc":
        queue.add(key)
    await queue.get()
    queue.done("a", now + 2)
    await queue.get()  # begins where the one before has ended
    queue.done("b", now + 2.5)
    assert queue.work_duration.sum == 2.5
    assert queue.queue_duration.sum == 2


async def test_what_one_turn_is_told_does_not_reach_the_next_ones():
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    await queue.get()
    await asyncio.sleep(1)
    queue.done("a", asyncio.get_running_loop().time())
    await asyncio.sleep(10)
    queue.add("b")
    await asyncio.sleep(1)
    await queue.get()
    assert queue.queue_duration.sum == 1


async def test_keys_that_are_taken_by_workers_who_waited_are_counted_once_each():
    queue: WorkQueue[str] = WorkQueue()

    async def work() -> None:
        while True:
            queue.done(await queue.get())
            await asyncio.sleep(0)

    workers = [asyncio.create_task(work()) for _ in range(3)]
    for number in range(1, 20):
        await asyncio.sleep(1)
        for key in "abcdefg"[: number % 8]:
            queue.add(key)
    await asyncio.sleep(1)
    expected = sum(number % 8 for number in range(1, 20))
    assert queue.queue_duration.count == queue.work_duration.count == queue.adds == expected
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)


async def test_adds_count_what_was_not_known_already():
    queue: WorkQueue[str] = WorkQueue()
    for key in "aab":
        queue.add(key)
    assert queue.adds == 2
    await queue.get()
    queue.add("a")
    queue.add("a")
    assert queue.adds == 3
    queue.done("a")
    assert queue.adds == 3
    queue.add("b", 5)  # raised, not added
    queue.discard()
    queue.shutdown()
    queue.add("c")
    assert queue.adds == 3


async def test_the_depth_counts_what_waits_and_what_is_to_come_again():
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a", 5)
    queue.add("b", LOW)
    queue.add("c", LOW)
    assert queue.depths() == {5: 1, LOW: 2}
    await queue.get()
    queue.add("a", NORMAL)
    assert queue.depths() == {NORMAL: 1, LOW: 2}


async def test_work_under_way_is_as_old_as_it_is():
    queue: WorkQueue[str] = WorkQueue()
    now = asyncio.get_running_loop().time
    assert queue.under_way(now()) == []
    for key in "abc":
        queue.add(key)
    await queue.get()
    await asyncio.sleep(4)
    await queue.get()
    await asyncio.sleep(1)
    assert sorted(queue.under_way(now())) == [1, 5]
    queue.done("a")
    assert queue.under_way(now()) == [1]


async def test_no_key_has_waited_for_less_than_no_time():
    queue: WorkQueue[str] = WorkQueue()
    await asyncio.to_thread(queue.add, "a")  # no loop runs there
    assert await queue.get() == "a"
    assert queue.queue_duration.count == 1
    assert queue.queue_duration.sum >= 0


PRIORITIES = st.sampled_from([LOW, NORMAL, 5])
STEPS = st.one_of(
    st.tuples(st.just("add"), st.integers(0, 30).map(lambda key: range(key, key + 1)), PRIORITIES),
    st.tuples(st.just("add"), st.integers(0, 2000).map(range), PRIORITIES),
    st.tuples(st.just("get"), st.integers(1, 700), st.none()),
    st.tuples(st.just("done"), st.integers(1, 700), st.none()),
    st.tuples(st.just("sleep"), st.sampled_from([0.0, 0.25, 4.0]), st.none()),
    st.tuples(st.just("ask"), st.none(), st.none()),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(STEPS, max_size=40))
def test_every_single_wait_and_work_is_counted_at_its_length(steps):
    """Against a model that notes the times of each key; runs of keys are an optimisation only."""

    async def play() -> None:
        queue: WorkQueue[int] = WorkQueue()
        now = asyncio.get_running_loop().time
        waits, works = Histogram(QUEUE_BOUNDS), Histogram(QUEUE_BOUNDS)
        added: dict[int, float] = {}
        begun: dict[int, float] = {}
        for what, argument, priority in steps:
            if what == "add":
                for key in argument:
                    queue.add(key, priority)
                    added.setdefault(key, now())
            elif what == "get":
                for _ in range(min(argument, len(queue))):
                    key = await queue.get()
                    waits.observe(now() - added.pop(key))
                    begun[key] = now()
            elif what == "done":
                for key in list(begun)[:argument]:
                    queue.done(key)
                    works.observe(now() - begun.pop(key))
            elif what == "sleep":
                await asyncio.sleep(argument)
            else:
                assert queue.queue_duration.counts == waits.counts
        assert queue.queue_duration.counts == waits.counts
        assert queue.queue_duration.sum == waits.sum
        assert queue.work_duration.counts == works.counts
        assert queue.work_duration.sum == works.sum
        assert queue.adds == waits.count + len(added)
        assert sum(queue.depths().values()) == len(added)

    run_virtual(play())


def test_a_cycle_with_its_metrics_costs_less_than_that_of_a_plain_asyncio_queue():
    keys = range(50_000)

    async def plain() -> float:
        queue: asyncio.Queue[int] = asyncio.Queue()
        started = time.process_time()
        for key in keys:
            queue.put_nowait(key)
        for _ in keys:
            await queue.get()
            queue.task_done()
        return time.process_time() - started

    async def ours() -> float:
        queue: WorkQueue[int] = WorkQueue()
        started = time.process_time()
        for key in keys:
            queue.add(key)
        for _ in keys:
            queue.done(await queue.get())
        ended = time.process_time()
        assert queue.queue_duration.count == queue.work_duration.count == len(keys)
        return ended - started

    # interleaved, and the best of each: what else the machine does only ever adds to it
    rounds = [(asyncio.run(plain()), asyncio.run(ours())) for _ in range(7)]
    assert min(own for _, own in rounds) < min(other for other, _ in rounds)
