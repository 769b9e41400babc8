"""Conflict retry: read anew, write again, five times, and only where that can help."""

from __future__ import annotations

import asyncio

import pytest

from hybridpg.controller.errors import (
    AlreadyExists,
    ApplyConflict,
    Conflict,
    NotFound,
    TransportError,
)
from hybridpg.controller.retry import retry_on_conflict

pytestmark = pytest.mark.virtual_time


class Shared:
    """An object that somebody else changes the first times that it is read."""

    def __init__(self, *, rivals: int, error: Exception | None = None) -> None:
        self.version = 0
        self.rivals = rivals
        self.error = error or Conflict(409, "Conflict", "changed")
        self.tries: list[float] = []

    async def read(self) -> int:
        return self.version

    async def write(self, seen: int) -> str:
        self.tries.append(asyncio.get_running_loop().time())
        if self.rivals:
            self.rivals -= 1
            self.version += 1
        if seen != self.version:
            raise self.error
        return f"written on {seen}"


async def test_without_a_conflict_it_is_one_read_and_one_write():
    shared = Shared(rivals=0)
    assert await retry_on_conflict(shared.read, shared.write) == "written on 0"
    assert shared.tries == [0]


async def test_each_try_rests_on_what_was_read_anew():
    shared = Shared(rivals=4)
    assert await retry_on_conflict(shared.read, shared.write) == "written on 4"


async def test_the_fifth_conflict_in_a_row_is_raised_as_it_is():
    shared = Shared(rivals=5)
    with pytest.raises(Conflict, match="changed"):
        await retry_on_conflict(shared.read, shared.write)
    assert len(shared.tries) == 5


@pytest.mark.parametrize(("rand", "pause"), [(0.0, 0.010), (1.0, 0.011)])
async def test_the_pause_is_ten_milliseconds_and_up_to_a_tenth_more(rand, pause):
    shared = Shared(rivals=4)
    await retry_on_conflict(shared.read, shared.write, rand=lambda: rand)
    assert shared.tries == pytest.approx([pause * each for each in range(5)])


@pytest.mark.parametrize(
    "error",
    [
        AlreadyExists(409, "AlreadyExists", "taken"),
        ApplyConflict("not ours", owners={".spec": ("kubectl",)}),
        NotFound(404, "NotFound", "gone"),
        TransportError("reset"),
        RuntimeError("a mistake"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_what_a_repetition_does_not_cure_is_raised_at_once(error):
    shared = Shared(rivals=1, error=error)
    with pytest.raises(type(error)):
        await retry_on_conflict(shared.read, shared.write)
    assert len(shared.tries) == 1


async def test_a_read_that_fails_is_not_repeated():
    async def gone() -> int:
        raise NotFound(404, "NotFound", "gone")

    with pytest.raises(NotFound):
        await retry_on_conflict(gone, Shared(rivals=0).write)


async def test_cancelling_ends_the_wait():
    shared = Shared(rivals=5)
    task = asyncio.create_task(retry_on_conflict(shared.read, shared.write))
    await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(shared.tries) == 1
