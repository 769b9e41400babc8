"""A target that has no time: nothing is said for a moment of it, and the cause once it lasts."""

from __future__ import annotations

import asyncio

import pytest

from hybridpg.app.errors import Underway
from hybridpg.app.kinds import DATABASES, SERVERS
from hybridpg.app.waiting import BUSY_SECONDS
from hybridpg.backends import (
    Busy,
    Credentials,
    DatabaseRef,
    Observed,
    Outcome,
    Pending,
    ServerRef,
    ServerState,
)

from .memory import MemoryBackend
from .world import World, both_ready, running

pytestmark = pytest.mark.virtual_time

FULL = "cannot log in to shared:5432: FATAL:  sorry, too many clients already"
CALLS = ["observe_database", "create_or_update_user", "update_user_password"]


def fill(world: World, call: str) -> None:
    world.target.fail[call] = Busy(FULL, retry_after=1.0)
    if call == "update_user_password":
        world.target.refuse = True


def drain(world: World) -> None:
    world.target.fail.clear()
    world.target.refuse = False


@pytest.mark.parametrize("call", CALLS)
async def test_a_new_database_on_a_server_that_stays_full_says_why_it_is_not_made(call: str):
    async with running() as world:
        await world.server()
        await world.ready(SERVERS, "pg")
        fill(world, call)
        await world.database()
        await asyncio.sleep(BUSY_SECONDS - 10)
        assert (await world.condition(DATABASES, "app"))["reason"] == "Creating"
        condition = await world.reason(DATABASES, "app", "Unreachable")
        assert condition["status"] == "False"
        assert condition["message"] == FULL
        drain(world)
        await world.ready(DATABASES, "app", 5)


@pytest.mark.parametrize("call", ["observe_database", "update_user_password"])
async def test_a_usable_database_on_a_server_that_stays_full_does_not_stay_ready(call: str):
    async with both_ready() as world:
        fill(world, call)
        await world.reset(DATABASES, "app")
        condition = await world.reason(DATABASES, "app", "Unreachable")
        assert condition["message"] == FULL
        drain(world)
        await world.ready(DATABASES, "app", 5)


async def test_a_new_server_that_stays_full_says_so_and_its_database_waits_for_it():
    async with running() as world:
        world.target.fail["observe_server"] = Busy(FULL, retry_after=1.0)
        await world.server()
        await world.database()
        assert (await world.reason(SERVERS, "pg", "Unreachable"))["message"] == FULL
        assert (await world.condition(DATABASES, "app"))["reason"] == "WaitingForServer"
        drain(world)
        await world.ready(DATABASES, "app")


async def test_a_target_without_time_for_half_a_minute_costs_no_write():
    async with both_ready() as world:
        await world.events("app")
        fill(world, "observe_database")
        await world.patch(DATABASES, "app", {"metadata": {"annotations": {"touched": "1"}}})
        before = world.writes()
        await asyncio.sleep(BUSY_SECONDS / 2)
        drain(world)
        await asyncio.sleep(BUSY_SECONDS)
        assert world.writes() == before
        assert (await world.condition(DATABASES, "app"))["status"] == "True"


async def test_a_target_that_is_busy_with_something_else_at_each_look_costs_one_write_a_minute():
    """The looks come each second, and a count in a message would be written as often."""

    class Counting(MemoryBackend):
        looks = 0

        async def observe_server(self, ref: ServerRef) -> Observed[ServerState]:
            self.looks += 1
            raise Busy(f"{self.looks} sessions are in the way", retry_after=1.0)

    world = World()
    world.backend = backend = Counting(world.target)
    await world.prepare()
    async with world.operator():
        await world.server()
        await world.reason(SERVERS, "pg", "Unreachable")
        await world.events("pg")
        before, looks = world.writes(), backend.looks
        await asyncio.sleep(600)
        assert backend.looks > looks + 300, "it is asked as often as before"
        assert world.writes() - before <= 10


class Slow(MemoryBackend):
    """As a cloud, which is asked for a password and sets it in minutes."""

    slow = True

    async def update_user_password(self, database: DatabaseRef, login: Credentials) -> Outcome:
        if self.slow:
            return Pending("Updating", "the password is being set", 1.0)
        return await super().update_user_password(database, login)


async def test_a_backend_that_works_on_for_minutes_is_no_target_without_time():
    """The published password works all the time: the database is not taken out of use."""
    world = World()
    world.backend = backend = Slow(world.target)
    await world.prepare()
    async with world.operator():
        await world.server()
        await world.database()
        await world.ready(DATABASES, "app")
        world.target.refuse = True
        await world.reset(DATABASES, "app")
        await asyncio.sleep(3 * BUSY_SECONDS)
        assert (await world.condition(DATABASES, "app"))["status"] == "True"
        going = await world.condition(DATABASES, "app", "Reconciling")
        assert going["message"] == "the password is being set"
        assert going["reason"] == "PasswordReset"
        backend.slow = world.target.refuse = False

        async def done() -> bool:
            return "passwordReset" not in (await world.get(DATABASES, "app"))["status"]

        await world.until(done)


def test_what_goes_on_without_us_says_when_to_come_again():
    assert Underway("being set", retry_after=3.0).retry_after == 3.0
