"""A former Secret that may not be deleted: named to the user, tried ever more rarely."""

from __future__ import annotations

import asyncio

import pytest

from hybridpg.app.kinds import DATABASES, SERVERS
from hybridpg.controller import SECRETS, Resource
from hybridpg.controller.testing import Fault

from .world import World, both_ready

pytestmark = pytest.mark.virtual_time

HOUR = 3600.0
OBJECTS = [pytest.param(SERVERS, "pg", id="server"), pytest.param(DATABASES, "app", id="database")]


def forbid(world: World, method: str, secret: str) -> Fault:
    path = f"/api/v1/namespaces/team/secrets/{secret}"
    return world.cluster.faults.error(403, "Forbidden", method=method, path=path, times=100_000)


async def rename(world: World, kind: Resource, name: str, secret: str) -> None:
    await world.patch(kind, name, {"spec": {"credentialsSecret": secret}})

    async def moved() -> bool:
        return bool((await world.get(kind, name))["status"]["binding"] == {"name": secret})

    await world.until(moved)


def reads(world: World, secret: str) -> int:
    """Count the whole reads; the sweep looks at published Secrets only."""
    path = f"/api/v1/namespaces/team/secrets/{secret}"
    return sum(r.method == "GET" and r.path == path for r in world.cluster.requests)


@pytest.mark.parametrize(("kind", "name"), OBJECTS)
async def test_a_refused_deletion_of_a_former_secret_is_not_sent_at_each_look(
    kind: Resource, name: str
):
    async with both_ready() as world:
        fault = forbid(world, "DELETE", f"{name}-login")
        await rename(world, kind, name, "new-login")
        await asyncio.sleep(60)
        assert fault.hits == 1
        world.cluster.requests.clear()
        await asyncio.sleep(0.9 * HOUR)
        assert fault.hits == 1
        assert reads(world, f"{name}-login") == 0
        await asyncio.sleep(0.3 * HOUR)
        assert fault.hits == 2


async def test_the_pauses_double_up_to_a_day():
    async with both_ready() as world:
        fault = forbid(world, "DELETE", "app-login")
        await rename(world, DATABASES, "app", "new-login")
        await asyncio.sleep(7.5 * HOUR)  # after 1, 3 and 7 hours
        assert fault.hits == 4
        await asyncio.sleep(60 * HOUR)  # after 15, 31 and 55 hours, at the first look after each
        assert fault.hits == 7


async def test_a_touch_tries_again_at_once_and_what_stays_is_looked_at_as_before():
    async with both_ready() as world:
        fault = forbid(world, "DELETE", "app-login")
        await rename(world, DATABASES, "app", "new-login")
        await asyncio.sleep(60)
        await world.patch(DATABASES, "app", {"metadata": {"annotations": {"touched": "1"}}})
        await asyncio.sleep(60)
        assert fault.hits == 2
        world.cluster.faults.clear()
        await world.patch(DATABASES, "app", {"metadata": {"annotations": {"touched": "2"}}})
        await world.gone(SECRETS, "app-login", 5)


@pytest.mark.parametrize(("kind", "name"), OBJECTS)
async def test_ready_names_a_former_secret_as_long_as_it_stays(kind: Resource, name: str):
    async with both_ready() as world:
        forbid(world, "DELETE", f"{name}-login")
        await rename(world, kind, name, "new-login")
        ready = await world.condition(kind, name)
        assert ready["status"] == "True"
        assert f"former secret {name}-login stays" in ready["message"]
        assert f"may not delete secret team/{name}-login" in ready["message"]
        await asyncio.sleep(60)
        writes = world.writes()
        await asyncio.sleep(0.9 * HOUR)
        assert world.writes() == writes, "said once"
        world.cluster.faults.clear()
        await asyncio.sleep(0.3 * HOUR)
        assert not await world.exists(SECRETS, f"{name}-login")
        assert "former" not in (await world.condition(kind, name))["message"]


async def test_a_former_secret_that_may_not_even_be_read_is_not_said_to_lack_the_right_to_delete():
    async with both_ready() as world:
        forbid(world, "DELETE", "app-login")
        await rename(world, DATABASES, "app", "new-login")
        world.cluster.faults.clear()
        forbid(world, "GET", "app-login")
        await world.patch(DATABASES, "app", {"metadata": {"annotations": {"touched": "1"}}})
        await asyncio.sleep(5)
        message = (await world.condition(DATABASES, "app"))["message"]
        assert "may not get secret team/app-login" in message
        assert "may not delete" not in message


async def test_two_former_secrets_are_warned_of_when_they_come_and_not_in_turns():
    async with both_ready() as world:
        forbid(world, "DELETE", "app-login")
        forbid(world, "DELETE", "new-login")
        await rename(world, DATABASES, "app", "new-login")
        await rename(world, DATABASES, "app", "third-login")
        await asyncio.sleep(2 * HOUR)
        told = [e for e in await world.events("app") if e[1] == "FormerSecretKept"]
        assert len(told) == 2
        status = (await world.get(DATABASES, "app"))["status"]
        assert status["secretNames"] == ["app-login", "new-login", "third-login"]
