"""Streams that fall silent are given up on time, and nothing else is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from hybridpg.controller._silence import Silence

pytestmark = pytest.mark.virtual_time


def now() -> float:
    return asyncio.get_running_loop().time()


async def after(*pauses: float) -> AsyncIterator[float]:
    """An item after each pause."""
    for pause in pauses:
        await asyncio.sleep(pause)
        yield pause


async def test_items_that_come_in_time_pass_and_then_the_end():
    silence = Silence(after(5, 9, 9, 0), 10)
    assert [await silence.next() for _ in range(5)] == [5, 9, 9, 0, None]
    silence.stop()


@pytest.mark.parametrize("before", [(), (3,), (9.5, 9.5), (0, 0, 0)])
async def test_a_silence_is_noticed_to_the_second(before):
    silence = Silence(after(*before, 3600), 10)
    for _ in before:
        await silence.next()
    with pytest.raises(TimeoutError, match="10 s"):
        await silence.next()
    assert now() == sum(before) + 10
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_consumer_that_takes_its_time_is_not_the_streams_silence():
    silence = Silence(after(0, 1), 10)
    await silence.next()
    await asyncio.sleep(100)
    assert await silence.next() == 1
    silence.stop()


async def test_a_cancellation_by_others_stays_one():
    silence = Silence(after(3600), 10)
    task = asyncio.create_task(silence.next())
    await asyncio.sleep(5)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    silence.stop()


async def test_a_cancellation_in_the_same_moment_is_not_swallowed():
    silence = Silence(after(3600), 10)
    task = asyncio.create_task(silence.next())
    asyncio.get_running_loop().call_at(10, task.cancel)
    await asyncio.wait([task])
    assert task.cancelled()
    silence.stop()


async def test_one_that_was_stopped_cancels_nobody():
    silence = Silence(after(20), 10)
    silence.stop()
    assert await silence.next() == 20


async def test_it_is_read_by_tasks_only():
    silence = Silence(after(1), 10)
    errors: list[RuntimeError] = []

    def read_from_a_callback() -> None:
        try:
            silence.next().send(None)
        except RuntimeError as error:
            errors.append(error)

    asyncio.get_running_loop().call_soon(read_from_a_callback)
    await asyncio.sleep(0)
    assert "a task only" in str(errors[0])
    silence.stop()
