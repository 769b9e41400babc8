"""The future that lets its task go on at once: done, cancelled and failed as any other."""

from __future__ import annotations

import asyncio

import pytest

from hybridpg.controller._prompt import PromptFuture


async def waiting(future: PromptFuture, seen: list[str]) -> None:
    await future
    seen.append("went on")


async def test_a_task_goes_on_within_the_callback_that_finishes_what_it_waits_for():
    future, seen = PromptFuture(), list[str]()
    task = asyncio.create_task(waiting(future, seen))
    await asyncio.sleep(0)

    def callback() -> None:
        future.finish()
        seen.append("callback returned")

    asyncio.get_running_loop().call_soon(callback)
    await task
    assert seen == ["went on", "callback returned"]


async def test_a_task_that_finishes_it_is_not_interrupted():
    future, seen = PromptFuture(), list[str]()
    task = asyncio.create_task(waiting(future, seen))
    await asyncio.sleep(0)
    future.finish()
    assert seen == []
    await task
    assert seen == ["went on"]


async def test_what_the_task_raises_is_raised_by_the_task_and_not_by_the_callback():
    future, returned = PromptFuture(), list[str]()

    async def failing() -> None:
        await future
        raise ValueError("of the task")

    task = asyncio.create_task(failing())
    await asyncio.sleep(0)

    def callback() -> None:
        future.finish()
        returned.append("callback")

    asyncio.get_running_loop().call_soon(callback)
    with pytest.raises(ValueError, match="of the task"):
        await task
    assert returned == ["callback"]


async def test_a_task_that_waits_for_it_can_be_cancelled():
    future, seen = PromptFuture(), list[str]()
    task = asyncio.create_task(waiting(future, seen))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert future.cancelled()
    assert seen == []


async def test_what_is_finished_before_anybody_waits_is_not_waited_for():
    future, seen = PromptFuture(), list[str]()
    future.finish()
    await waiting(future, seen)
    assert seen == ["went on"]
