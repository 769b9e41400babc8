"""Tasks of a manager that do not end as they are told to are named."""

from __future__ import annotations

import asyncio
import logging
from itertools import chain, repeat

import pytest
from tests.unit.controller.managers import forever, now

from hybridpg.controller._tasks import TaskSet

pytestmark = pytest.mark.virtual_time


async def test_a_task_that_ignores_its_cancellation_is_given_up_and_named(caplog):
    release = asyncio.Event()

    async def stubborn() -> None:
        for _ in chain([0], repeat(0, 3)):
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    tasks = TaskSet()
    tasks.start("stubborn", stubborn())
    await asyncio.sleep(0)
    with caplog.at_level(logging.ERROR):
        await tasks.cancel(["stubborn"])
    assert now() == 5
    assert "stubborn ignores its cancellation" in caplog.text
    release.set()
    await asyncio.sleep(1)


async def test_a_task_that_fails_while_it_is_cancelled_is_logged(caplog):
    async def messy() -> None:
        try:
            await forever()
        finally:
            raise RuntimeError("clean-up failed")

    tasks = TaskSet()
    tasks.start("messy", messy())
    await asyncio.sleep(0)
    await tasks.cancel(["messy", "unknown"])
    assert "messy failed while it was stopped: RuntimeError: clean-up failed" in caplog.text
    assert tasks.failure() is None
