"""Signals: the first asks, the second forces, and all who have entered hear them."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator

import pytest

from hybridpg.controller.signals import STOP_SIGNALS, stop_on_signals


@pytest.fixture
def before() -> Iterator[list[int]]:
    """What a handler of the program's own hears, which was there first."""
    heard: list[int] = []
    kept = {
        number: signal.signal(number, lambda number, _: heard.append(number))
        for number in STOP_SIGNALS
    }
    yield heard
    for number, handler in kept.items():
        signal.signal(number, handler)


class Program:
    """A part of a program that stops when it is told to, and only then."""

    def __init__(self) -> None:
        self.stops: list[asyncio.Event] = []
        self.leave = asyncio.Event()
        self.task = asyncio.create_task(self._run())

    @property
    def asked(self) -> bool:
        return any(stop.is_set() for stop in self.stops)

    async def _run(self) -> None:
        with stop_on_signals() as stop:
            self.stops.append(stop)
            await self.leave.wait()

    async def end(self) -> None:
        self.leave.set()
        await asyncio.wait([self.task], timeout=5)


async def programs(count: int) -> list[Program]:
    """So many, all of which have entered."""
    made = [Program() for _ in range(count)]
    await asyncio.sleep(0)
    assert all(each.stops for each in made)
    return made


async def send(number: int) -> None:
    """Send a signal to this process, and let the loop take it."""
    os.kill(os.getpid(), number)
    for _ in range(5):
        await asyncio.sleep(0)


async def until_set(stop: asyncio.Event) -> None:
    async with asyncio.timeout(5):
        await stop.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_first_signal_sets_the_event(number):
    with stop_on_signals() as stop:
        assert not stop.is_set()
        os.kill(os.getpid(), number)
        await until_set(stop)


async def test_the_second_signal_cancels_the_task():
    entered: list[asyncio.Event] = []

    async def main() -> None:
        with stop_on_signals() as stop:
            entered.append(stop)
            os.kill(os.getpid(), signal.SIGTERM)
            await until_set(stop)
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(5)

    task = asyncio.create_task(main())
    await asyncio.wait([task], timeout=5)
    assert task.cancelled()
    assert entered[0].is_set()


async def test_the_handlers_are_gone_afterwards():
    before = signal.getsignal(signal.SIGTERM)
    with stop_on_signals():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


async def test_all_who_have_entered_hear_the_first_signal_and_are_cancelled_by_the_second(before):
    three = await programs(3)
    await send(signal.SIGTERM)
    assert [each.asked for each in three] == [True] * 3
    assert not any(each.task.done() for each in three)
    await send(signal.SIGINT)
    await asyncio.wait([each.task for each in three], timeout=5)
    assert all(each.task.cancelled() for each in three)
    assert before == []


@pytest.mark.parametrize("leaves", [0, 1], ids=["the first", "the last"])
async def test_who_is_left_still_hears_the_signal_when_another_one_has_gone(before, leaves):
    two = await programs(2)
    await two.pop(leaves).end()
    await send(signal.SIGTERM)
    assert two[0].asked
    assert before == []
    await two[0].end()


async def test_what_was_there_before_hears_the_signal_again_when_the_last_one_has_gone(before):
    for each in await programs(2):
        assert before == []
        await each.end()
    for number in STOP_SIGNALS:
        await send(number)
    assert before == [*STOP_SIGNALS]


async def test_a_handler_that_the_loop_had_before_is_still_there_afterwards(before):
    heard = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, heard.set)
    with stop_on_signals() as stop:
        await send(signal.SIGTERM)
        await until_set(stop)
    heard.clear()
    await send(signal.SIGTERM)
    await until_set(heard)
    loop.remove_signal_handler(signal.SIGTERM)


async def test_what_goes_on_though_it_is_forced_is_ended_by_a_third_signal(before):
    ends = asyncio.Event()

    async def stubborn() -> None:
        with stop_on_signals():
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                await ends.wait()

    def handlers() -> list[object]:
        return [signal.getsignal(number) for number in STOP_SIGNALS]

    own = handlers()
    task = asyncio.create_task(stubborn())
    (willing,) = await programs(1)
    for _ in range(2):
        await send(signal.SIGTERM)
    assert willing.task.cancelled()
    assert handlers() == [signal.SIG_DFL, signal.default_int_handler]
    ends.set()
    await asyncio.wait([task], timeout=5)
    assert handlers() == own


async def test_signals_that_come_faster_than_they_are_heard_are_the_first_and_the_second(before):
    (one,) = await programs(1)
    for _ in range(3):
        os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait([one.task], timeout=5)
    assert one.asked
    assert one.task.cancelled()


async def test_who_enters_after_a_signal_is_asked_before_being_forced(before):
    (early,) = await programs(1)
    await send(signal.SIGTERM)
    (late,) = await programs(1)
    await send(signal.SIGTERM)
    assert (early.task.cancelled(), late.task.done(), late.asked) == (True, False, True)
    await send(signal.SIGTERM)
    assert late.task.cancelled()
    assert before == []


def test_a_loop_that_was_closed_within_the_block_leaves_nothing_behind(before):
    block = stop_on_signals()

    async def enter() -> None:
        block.__enter__()

    loop = asyncio.new_event_loop()
    loop.run_until_complete(enter())
    loop.close()
    for _ in range(2):
        os.kill(os.getpid(), signal.SIGTERM)
    assert before == [signal.SIGTERM]
