"""Priorities of the work queue: what goes first, and that nothing waits for ever."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hybridpg.controller._lines import AGE_SECONDS, SHARE, SLACK, Lines
from hybridpg.controller.delayqueue import DelayQueue
from hybridpg.controller.testing.clock import VirtualTimeLoop
from hybridpg.controller.workqueue import LOW, NORMAL, WorkQueue

pytestmark = pytest.mark.virtual_time


async def take(queue: WorkQueue[str], count: int) -> list[str]:
    return [await queue.get() for _ in range(count)]


async def drain(queue: WorkQueue[str]) -> str:
    return "".join(await take(queue, len(queue)))


async def test_higher_priorities_go_first_and_each_in_the_order_it_came():
    queue: WorkQueue[str] = WorkQueue()
    for key, priority in (("a", LOW), ("b", NORMAL), ("c", 7), ("d", LOW), ("e", NORMAL), ("f", 7)):
        queue.add(key, priority)
    assert len(queue) == 6
    assert await drain(queue) == "cfbead"


@pytest.mark.parametrize("numbers", [(0,), (-100, 0), (-(10**9), -1, 0, 1, 10**9)])
async def test_any_whole_numbers_are_priorities(numbers):
    queue: WorkQueue[str] = WorkQueue()
    for number in numbers:
        queue.add(str(number), number)
    expected = sorted(numbers, reverse=True)
    assert await take(queue, len(numbers)) == [str(number) for number in expected]


async def test_a_key_that_waits_is_raised_and_goes_behind_those_it_joins():
    queue: WorkQueue[str] = WorkQueue()
    for key, priority in (("a", LOW), ("b", LOW), ("c", NORMAL)):
        queue.add(key, priority)
    queue.add("b", NORMAL)
    assert len(queue) == 3
    assert await drain(queue) == "cba"


async def test_a_key_that_waits_is_not_lowered_and_keeps_its_place():
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a", NORMAL)
    queue.add("b", NORMAL)
    queue.add("a", LOW)
    assert await drain(queue) == "ab"


async def test_a_key_that_was_raised_comes_once_and_may_return_to_where_it_was():
    queue: WorkQueue[str] = WorkQueue()
    for key in "abc":
        queue.add(key, LOW)
    queue.add("a", NORMAL)
    assert await queue.get() == "a"
    queue.done("a")
    queue.add("a", LOW)  # its old place in the line is not its own any more
    assert await drain(queue) == "bca"


async def test_every_key_of_a_line_may_be_raised():
    queue: WorkQueue[str] = WorkQueue()
    for key in "abc":
        queue.add(key, LOW)
    for key in "cab":
        queue.add(key, 5)
    assert queue.depths() == {5: 3}
    assert await drain(queue) == "cab"


async def test_the_highest_wish_of_those_that_come_during_the_work_counts():
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a", 3)
    assert await queue.get() == "a"
    for priority in (LOW, NORMAL, LOW):
        queue.add("a", priority)
    assert queue.priority("a") == 3
    queue.done("a")
    assert queue.priority("a") == NORMAL


async def test_what_was_worked_on_with_a_high_priority_comes_again_with_what_it_was_added_with():
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a", 5)
    queue.add("b", NORMAL)
    assert await queue.get() == "a"
    queue.add("a", LOW)
    queue.done("a")
    assert await drain(queue) == "ba"


async def test_an_unknown_key_has_no_other_priority_than_the_normal_one():
    queue: WorkQueue[str] = WorkQueue()
    assert queue.priority("a") == NORMAL
    queue.add("a", LOW)
    assert queue.priority("a") == LOW


async def test_a_waiting_worker_gets_a_key_of_any_priority():
    queue: WorkQueue[str] = WorkQueue()
    workers = [asyncio.create_task(queue.get()) for _ in range(3)]
    await asyncio.sleep(1)
    for key, priority in (("a", LOW), ("b", 9), ("c", NORMAL)):
        queue.add(key, priority)
    assert sorted(await asyncio.gather(*workers)) == ["a", "b", "c"]


async def test_a_discard_forgets_all_lines():
    queue: WorkQueue[str] = WorkQueue()
    for key, priority in (("a", LOW), ("b", NORMAL), ("c", LOW)):
        queue.add(key, priority)
    queue.add("c", NORMAL)
    queue.discard()
    assert len(queue) == 0
    queue.add("c", LOW)
    assert await drain(queue) == "c"


async def test_a_drain_hands_out_every_line_and_what_comes_again():
    queue: WorkQueue[str] = WorkQueue()
    for key, priority in (("a", LOW), ("b", NORMAL)):
        queue.add(key, priority)
    assert await queue.get() == "b"
    queue.add("b", LOW)
    ended = asyncio.create_task(queue.shutdown_with_drain())
    await asyncio.sleep(0)
    queue.done("b")
    for key in await take(queue, 2):
        assert not ended.done()
        queue.done(key)
    await ended


async def test_a_steady_load_of_what_is_urgent_does_not_starve_the_rest():
    """Each urgent key comes again as soon as it is done: the line above is never empty."""
    queue: WorkQueue[str] = WorkQueue()
    time = asyncio.get_running_loop().time
    patient = [f"low {number}" for number in range(20)]
    for key in patient:
        queue.add(key, LOW)
    for number in range(50):
        queue.add(f"urgent {number}")
    got: dict[str, float] = {}
    while len(got) < len(patient):
        key = await queue.get()
        await asyncio.sleep(0.01)
        if key.startswith("low"):
            got[key] = time()
        else:
            queue.add(key)
        queue.done(key)
    assert list(got) == patient
    # the bound of _lines.py, of which an urgent key may be under way at the end of the wait
    assert max(got.values()) <= AGE_SECONDS + SHARE * len(patient) * 0.01 + 0.02
    assert min(got.values()) >= AGE_SECONDS


async def test_requeues_at_once_do_not_starve_the_first_list():
    """The load that other queues starve under: urgent keys that all ask to come again shortly."""
    queue: WorkQueue[str] = WorkQueue()
    delays: DelayQueue[str] = DelayQueue(queue.add)
    for number in range(200):
        queue.add(f"low {number}", LOW)
    for number in range(40):
        queue.add(f"urgent {number}")
    seen: Counter[str] = Counter()

    async def work() -> None:
        while True:
            key = await queue.get()
            await asyncio.sleep(0.1)
            seen[key.split()[0]] += 1
            if key.startswith("urgent"):
                delays.add_after(key, 0.2)
            queue.done(key)

    workers = [asyncio.create_task(work()) for _ in range(4)]
    await asyncio.sleep(AGE_SECONDS + SHARE * 200 * 0.1 / 4 + 1)
    assert seen["low"] == 200
    assert seen["urgent"] > 5 * seen["low"]
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)


async def test_what_happens_is_not_held_up_by_a_long_first_list():
    """All of the list is old after a second, and still gives way: it has its share, no more."""
    queue: WorkQueue[str] = WorkQueue()
    for number in range(1000):
        queue.add(f"low {number}", LOW)
    waits: list[float] = []
    now = asyncio.get_running_loop().time
    added: dict[str, float] = {}
    for step in range(400):
        if step % 2 == 0:
            added[f"live {step}"] = now()
            queue.add(f"live {step}")
        key = await queue.get()
        if key in added:
            waits.append(now() - added[key])
        await asyncio.sleep(0.1)
        queue.done(key)
    assert len(waits) == 200
    assert max(waits) < 0.15


async def test_the_share_goes_to_whom_has_waited_longest_whatever_their_priorities():
    queue: WorkQueue[str] = WorkQueue()
    queue.add("first", -5)
    await asyncio.sleep(0.1)
    queue.add("second", -50)
    await asyncio.sleep(0.1)
    queue.add("third", -5)
    await asyncio.sleep(AGE_SECONDS)
    got = []
    for number in range(3 * SHARE):
        queue.add(f"urgent {number}")
        got.append(await queue.get())
        queue.done(got[-1])
    late = [(number, key) for number, key in enumerate(got, start=1) if "urgent" not in key]
    assert late == [(SHARE, "first"), (2 * SHARE, "second"), (3 * SHARE, "third")]


async def test_a_line_that_is_overtaken_by_a_new_one_ages_on():
    queue: WorkQueue[str] = WorkQueue()
    queue.add("old")
    await asyncio.sleep(AGE_SECONDS)
    got = []
    for number in range(SHARE):
        queue.add(f"urgent {number}", 1000)
        got.append(await queue.get())
    assert got.index("old") == SHARE - 1


async def test_many_priorities_at_a_time_keep_their_order():
    queue: WorkQueue[str] = WorkQueue()
    for number in range(500):
        queue.add(f"{number}", (number * 7919) % 500)
    got = [int(key) for key in await take(queue, 500)]
    assert [(number * 7919) % 500 for number in got] == list(range(499, -1, -1))


class LinesMachine(RuleBasedStateMachine):
    """Any order of calls against the definition: sorted by priority, then by when it came."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualTimeLoop()
        self.queue: WorkQueue[int] = WorkQueue()
        self.seq = 0
        # key -> (minus priority, sequence)
        self.waiting: dict[int, tuple[int, int]] = {}
        self.processing: dict[int, int] = {}
        self.again: dict[int, int] = {}

    def teardown(self) -> None:
        self.loop.close()

    def model_push(self, key: int, priority: int) -> None:
        self.seq += 1
        self.waiting[key] = (-priority, self.seq)

    @rule(key=st.integers(0, 6), priority=st.sampled_from([LOW, NORMAL, 5]))
    def add(self, key: int, priority: int) -> None:
        self.queue.add(key, priority)
        if key in self.processing:
            self.again[key] = max(priority, self.again.get(key, priority))
        elif key not in self.waiting or priority > -self.waiting[key][0]:
            self.model_push(key, priority)

    @precondition(lambda self: self.waiting)
    @rule()
    def get(self) -> None:
        key = self.loop.run_until_complete(self.queue.get())
        assert key == min(self.waiting, key=self.waiting.__getitem__)
        self.processing[key] = -self.waiting.pop(key)[0]

    @precondition(lambda self: self.processing)
    @rule(data=st.data())
    def done(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.processing)))
        self.queue.done(key)
        del self.processing[key]
        if key in self.again:
            self.model_push(key, self.again.pop(key))

    @precondition(lambda self: len(self.waiting) > 3)
    @rule()
    def discard(self) -> None:
        self.queue.discard()
        self.waiting.clear()
        self.again.clear()

    @invariant()
    def the_numbers_agree(self) -> None:
        wanted = Counter(-minus for minus, _ in self.waiting.values())
        wanted.update(self.again.values())
        assert +Counter(self.queue.depths()) == wanted
        assert len(self.queue) == len(self.waiting)
        assert self.queue.processing == len(self.processing)
        for key, priority in self.processing.items():
            assert self.queue.priority(key) == priority


TestLinesMachine = LinesMachine.TestCase
TestLinesMachine.settings = settings(max_examples=80, stateful_step_count=50, deadline=None)


def test_what_is_void_in_a_line_does_not_grow_without_end():
    lines: Lines[str] = Lines(lambda key: 0.0)
    lines.push("rest", LOW)
    for _ in range(1000):
        lines.push("a", LOW)
        lines.move("a", LOW, NORMAL)
        assert lines.pop(0.0) == "a"
    assert len(lines) == 1
    assert len(lines._below) == 0
    assert len(lines.front) <= 2 * SLACK + 2
