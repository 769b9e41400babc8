"""The clocks: a machine that was suspended has aged, although its monotonic clock stood still."""

from __future__ import annotations

import asyncio
import time

import pytest

from hybridpg.controller._clock import everywhere, loop_time, through_sleep, time_asleep


def test_time_goes_on_while_the_machine_sleeps():
    running, slept = 100.0, 5000.0
    clock = through_sleep(lambda: running, lambda: slept)
    assert clock() == 100.0, "what it slept before does not count"
    running, slept = 101.0, 5060.0
    assert clock() == 161.0


@pytest.mark.virtual_time
async def test_the_clock_of_the_loop_that_asked_first_can_be_asked_in_threads():
    await asyncio.sleep(5)
    clock = everywhere(loop_time)
    assert [clock(), await asyncio.to_thread(clock)] == [5, 5]


def test_a_clock_that_needs_no_loop_stays_as_it_is():
    assert everywhere(time.monotonic) is time.monotonic


def test_what_two_clocks_differ_by_between_two_looks_is_no_sleep():
    offsets = iter((0.0, 0.00001, -0.00001, 0.09))
    clock = through_sleep(lambda: 1.0, lambda: next(offsets))
    assert [clock() for _ in range(3)] == [1.0, 1.0, 1.0]


def test_the_sleep_of_this_machine_does_not_change_while_it_runs():
    first = time_asleep()
    time.sleep(0.01)
    assert time_asleep() == pytest.approx(first, abs=0.005)


def test_where_nothing_tells_of_sleep_none_is_assumed(monkeypatch):
    monkeypatch.delattr(time, "CLOCK_BOOTTIME", raising=False)
    assert time_asleep() == 0.0
