"""A target that gives no answer is asked ever more rarely, and at once believed when it does."""

from __future__ import annotations

import asyncio

import pytest

from hybridpg.app.kinds import SERVERS
from hybridpg.app.patience import UNANSWERED_SECONDS
from hybridpg.backends import Busy, Observed, ServerRef, ServerState, Unknown

from .memory import MemoryBackend
from .world import World

pytestmark = pytest.mark.virtual_time
FIRST, LONGEST = UNANSWERED_SECONDS


class Hanging(MemoryBackend):
    """A server that never answers: most find it slow, and every third is told that it is down."""

    hangs = True

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self.looks: list[float] = []

    async def observe_server(self, ref: ServerRef) -> Observed[ServerState]:
        if not self.hangs:
            return await super().observe_server(ref)
        self.looks.append(asyncio.get_running_loop().time())
        if len(self.looks) % 3:
            raise Busy("it takes long to answer", retry_after=1.0)
        raise Unknown("no answer")


async def hanging() -> tuple[World, Hanging]:
    """Return a world whose only server hangs."""
    world = World()
    backend = Hanging(world.target)
    world.backend = backend
    await world.prepare()
    return world, backend


async def test_a_server_that_hangs_costs_less_and_less_until_a_steady_little():
    """Law 4: fifty that hang must not take the time of those that work."""
    world, backend = await hanging()
    async with world.operator():
        await world.server()
        await world.reason(SERVERS, "pg", "Unreachable")
        began = asyncio.get_running_loop().time()
        await asyncio.sleep(600)
        late = [at for at in backend.looks if at > began + 300]
        # three looks in each round, of which two wait a second and one half to all of the longest
        assert len(late) <= 3 * 300 / (LONGEST / 2 + 2) + 3
        assert len(late) >= 3 * 300 / (LONGEST + 3) - 3


async def test_being_slow_in_between_does_not_begin_the_waits_anew():
    """The queue forgets failures at each pass that merely found the server busy."""
    world, backend = await hanging()
    async with world.operator():
        await world.server()
        await asyncio.sleep(300)
        waits = [b - a for a, b in zip(backend.looks[2::3], backend.looks[3::3], strict=False)]
        assert waits[0] <= 2 * FIRST
        assert min(waits[-3:]) >= LONGEST / 2
        assert max(waits) <= LONGEST + 0.1


async def test_a_server_that_is_back_is_seen_within_the_longest_wait():
    world, backend = await hanging()
    async with world.operator():
        await world.server()
        await asyncio.sleep(600)
        backend.hangs = False
        await world.ready(SERVERS, "pg", LONGEST + 2)


async def test_after_an_answer_the_waits_are_short_again():
    world, backend = await hanging()
    async with world.operator():
        await world.server()
        await asyncio.sleep(300)
        backend.hangs = False
        await world.ready(SERVERS, "pg")
        backend.hangs = True
        backend.looks.clear()
        await world.patch(SERVERS, "pg", {"metadata": {"labels": {"touched": "yes"}}})
        await asyncio.sleep(30)
        assert backend.looks[3] - backend.looks[2] <= 2 * FIRST
