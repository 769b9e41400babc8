"""What somebody uses goes before what nobody uses yet."""

from __future__ import annotations

import asyncio
import gc

import pytest

from hybridpg.app.kinds import DATABASES, SERVERS
from hybridpg.app.status import StatusDraft
from hybridpg.backends import Busy, Change, DatabaseRef, Outcome

from .memory import MemoryBackend
from .world import World

pytestmark = pytest.mark.virtual_time

CREATION_SECONDS = 0.3
CROWD = 300


class SlowBackend(MemoryBackend):
    """A backend that takes its time to make a database."""

    async def create_or_update_database(
        self, database: DatabaseRef, changes: tuple[Change, ...]
    ) -> Outcome:
        await asyncio.sleep(CREATION_SECONDS)
        return await super().create_or_update_database(database, changes)


async def handled(world: World, name: str, policy: str) -> float:
    """Edit a database; returns after how many seconds its status says that it was looked at."""
    began = asyncio.get_running_loop().time()
    edited = await world.patch(DATABASES, name, {"spec": {"deletionPolicy": policy}})
    generation = edited["metadata"]["generation"]

    async def seen() -> bool:
        status = (await world.get(DATABASES, name))["status"]
        return bool(status["observedGeneration"] == generation)

    await world.until(seen)
    return asyncio.get_running_loop().time() - began


async def test_an_edit_does_not_wait_for_a_crowd_of_new_databases():
    world = World()
    world.backend = SlowBackend(world.target)
    await world.prepare()
    async with world.operator():
        await world.server()
        await world.database("app")
        await world.ready(DATABASES, "app")
        for number in range(CROWD):
            await world.database(f"new-{number}")

        took = [await handled(world, "app", policy) for policy in 6 * ("Delete", "Retain")]

        workers = world.config.controller.workers
        assert CROWD * CREATION_SECONDS / workers > sum(took), "the crowd was there all the time"
        assert max(took) < 3 * CREATION_SECONDS
        await world.ready(DATABASES, f"new-{CROWD - 1}")


async def test_a_lone_database_is_made_as_soon_as_there_is_a_worker():
    world = World()
    await world.prepare()
    async with world.operator():
        await world.server()
        await world.database("app")
        began = asyncio.get_running_loop().time()
        await world.ready(DATABASES, "app")

        assert asyncio.get_running_loop().time() - began < 1.0


class BusyBackend(MemoryBackend):
    """A backend whose target has no time at first."""

    refusals = 50

    async def create_or_update_database(
        self, database: DatabaseRef, changes: tuple[Change, ...]
    ) -> Outcome:
        if self.refusals:
            self.refusals -= 1
            raise Busy("no session is free", retry_after=0.1)
        return await super().create_or_update_database(database, changes)


async def test_a_pass_that_is_turned_away_leaves_no_garbage():
    """A crowd is turned away by the thousand, and the collector runs rarely."""
    world = World()
    world.backend = backend = BusyBackend(world.target)
    await world.prepare()
    async with world.operator():
        await world.server()
        await world.ready(SERVERS, "pg")
        await world.database("app")
        gc.collect()
        gc.disable()
        gc.set_debug(gc.DEBUG_SAVEALL)
        try:
            await world.ready(DATABASES, "app")
            gc.collect()
            left = [each for each in gc.garbage if isinstance(each, StatusDraft)]
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()
    assert backend.refusals == 0
    assert left == []
