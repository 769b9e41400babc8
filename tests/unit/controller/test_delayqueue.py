"""Delayed keys: exact in time, the earliest counts, one timer for all."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridpg.controller.delayqueue import SLACK, DelayQueue
from hybridpg.controller.testing.clock import VirtualTimeLoop, run_virtual
from hybridpg.controller.workqueue import LOW, NORMAL

pytestmark = pytest.mark.virtual_time


class Sink:
    """Records what is handed over, and when."""

    def __init__(self) -> None:
        self.got: list[tuple[float, str]] = []
        self.delays: DelayQueue[str] = DelayQueue(self.take)

    def take(self, key: str, priority: int) -> None:
        self.got.append((asyncio.get_running_loop().time(), key))


async def test_keys_are_handed_over_when_they_are_due_in_order_of_time():
    sink = Sink()
    for key, delay in (("c", 3.0), ("a", 1.0), ("b", 2.0)):
        sink.delays.add_after(key, delay)
    assert len(sink.delays) == 3
    await asyncio.sleep(10)
    assert sink.got == [(1, "a"), (2, "b"), (3, "c")]
    assert len(sink.delays) == 0


@pytest.mark.parametrize("delay", [0, -1, -math.inf, math.nan])
async def test_no_delay_means_now(delay):
    sink = Sink()
    sink.delays.add_after("a", delay)
    assert sink.got == [(0, "a")]


async def test_an_earlier_time_replaces_a_later_one():
    sink = Sink()
    sink.delays.add_after("a", 10)
    sink.delays.add_after("a", 2)
    await asyncio.sleep(20)
    assert sink.got == [(2, "a")]


async def test_a_later_time_does_not_replace_an_earlier_one():
    sink = Sink()
    sink.delays.add_after("a", 2)
    sink.delays.add_after("a", 10)
    await asyncio.sleep(20)
    assert sink.got == [(2, "a")]


async def test_a_key_may_wait_again_after_it_was_handed_over():
    sink = Sink()
    sink.delays.add_after("a", 1)
    await asyncio.sleep(2)
    sink.delays.add_after("a", 1)
    await asyncio.sleep(2)
    assert sink.got == [(1, "a"), (3, "a")]


async def test_a_time_that_was_replaced_does_not_come_back():
    sink = Sink()
    sink.delays.add_after("a", 10)
    sink.delays.add_after("a", 2)
    await asyncio.sleep(5)
    sink.delays.add_after("a", 15)
    await asyncio.sleep(30)
    assert sink.got == [(2, "a"), (20, "a")]


async def test_a_key_due_at_once_leaves_the_waiting_entry_alone():
    sink = Sink()
    sink.delays.add_after("a", 5)
    sink.delays.add_after("a", 0)
    await asyncio.sleep(10)
    assert sink.got == [(0, "a"), (5, "a")]


async def test_a_closed_queue_hands_over_nothing_and_takes_nothing():
    sink = Sink()
    sink.delays.add_after("a", 1)
    sink.delays.close()
    sink.delays.add_after("b", 1)
    sink.delays.add_after("c", 0)
    await asyncio.sleep(5)
    assert sink.got == []


async def test_a_sink_may_add_again_from_within():
    got: list[float] = []
    loop = asyncio.get_running_loop()

    def take(key: str, priority: int) -> None:
        got.append(loop.time())
        if len(got) < 3:
            delays.add_after(key, 1)

    delays: DelayQueue[str] = DelayQueue(take)
    delays.add_after("a", 1)
    await asyncio.sleep(10)
    assert got == [1, 2, 3]


@pytest.mark.parametrize("failure", [ValueError("no"), asyncio.CancelledError()])
async def test_a_key_that_cannot_be_handed_over_holds_up_no_other(failure, caplog):
    got: list[tuple[float, str]] = []
    now = asyncio.get_running_loop().time

    def take(key: str, priority: int) -> None:
        if key == "bad":
            raise failure
        got.append((now(), key))

    delays: DelayQueue[str] = DelayQueue(take)
    for key, delay in (("bad", 1), ("b", 1), ("c", 5)):
        delays.add_after(key, delay)
    await asyncio.sleep(20)
    assert got == [(1, "b"), (5, "c")]
    assert caplog.messages == ["bad was due and could not be handed over"]


async def test_a_key_that_is_brought_forward_again_and_again_does_not_grow_the_heap():
    sink = Sink()
    for step in range(10_000):
        sink.delays.add_after("a", 20_000 - step)
    assert len(sink.delays._heap) <= 2 + SLACK
    await asyncio.sleep(30_000)
    assert sink.got == [(10_001, "a")]


async def test_a_key_is_handed_over_with_the_highest_of_its_priorities():
    got: list[tuple[float, str, int]] = []
    now = asyncio.get_running_loop().time
    delays: DelayQueue[str] = DelayQueue(lambda key, priority: got.append((now(), key, priority)))
    delays.add_after("a", 5, LOW)
    delays.add_after("a", 9, 3)
    delays.add_after("a", 7, NORMAL)
    delays.add_after("b", 0, LOW)
    await asyncio.sleep(6)
    delays.add_after("a", 1, LOW)
    await asyncio.sleep(6)
    assert got == [(0, "b", LOW), (5, "a", 3), (7, "a", LOW)]


async def test_a_key_that_is_never_due_does_not_wait():
    sink = Sink()
    sink.delays.add_after("a", math.inf, 7)
    assert len(sink.delays) == 0
    sink.delays.add_after("a", 1)
    await asyncio.sleep(5)
    assert sink.got == [(1, "a")]


async def test_every_delay_that_is_asked_for_is_counted_until_the_end():
    sink = Sink()
    for delay in (5, 9, 0, 2):
        sink.delays.add_after("a", delay)
    sink.delays.close()
    sink.delays.add_after("a", 1)
    assert sink.delays.retries == 4


class Hasty(VirtualTimeLoop):
    """Calls back four milliseconds too early, as loops with a coarse clock may."""

    timers = 0

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> Any:  # type: ignore[override]
        self.timers += 1
        assert self.timers < 100, "the timer is set again and again"
        return super().call_at(when - 0.004, callback, *args, context=context)


def test_a_loop_that_calls_back_too_early_is_not_asked_again():
    async def run() -> list[tuple[float, str]]:
        sink = Sink()
        sink.delays.add_after("a", 0.1 + 0.2)
        sink.delays.add_after("b", 1)
        await asyncio.sleep(2)
        return sink.got

    loop = Hasty()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        assert runner.run(run()) == [(0.296, "a"), (0.996, "b")]
    assert loop.timers == 3


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 50)), max_size=80))
def test_each_key_comes_exactly_once_and_at_its_earliest_time(orders):
    async def run() -> list[tuple[float, str]]:
        sink = Sink()
        for key, delay in orders:
            sink.delays.add_after(key, delay)
        await asyncio.sleep(100)
        return sink.got

    earliest: dict[str, int] = {}
    for key, delay in orders:
        earliest[key] = min(delay, earliest.get(key, delay))
    assert sorted(run_virtual(run())) == sorted((due, key) for key, due in earliest.items())
