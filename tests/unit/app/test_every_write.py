"""Enumerated: each write to the API server is lost, before and after it is carried out.

An ambiguous answer must be resolved by reading. Whatever write it hits: everything converges, no
password changes but where one was asked for, and nothing is made twice.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from hybridpg.app.kinds import DATABASES, SERVERS
from hybridpg.controller import SECRETS
from hybridpg.controller.testing import Fault

from .world import World

pytestmark = pytest.mark.virtual_time

CREATION, RESET, DELETION = 11, 6, 3
"""How many writes of ours each course takes; a test holds the numbers right."""


@dataclass(slots=True)
class NthWrite(Fault):
    """Loses the n-th write to our kinds and Secrets, whatever it is; events do not count."""

    number: int = 0

    def strikes(self, method: str, path: str) -> bool:
        ours = path.startswith(("/api/v1/namespaces/team/secrets", "/apis/hybridcloud"))
        if method in ("GET", "WATCH") or not ours or self.hits:
            return False
        self.number -= 1
        self.hits = int(self.number < 0)
        return bool(self.hits)


def strike(world: World, number: int, *, after: bool) -> Fault:
    """Lose the n-th write from here on, before or after it is carried out."""
    return world.cluster.faults.add(NthWrite(before=not after, after=after, number=number))


BOTH = pytest.mark.parametrize("after", [False, True], ids=["before", "after"])


async def create(world: World) -> None:
    await world.server(deletionPolicy="Delete")
    await world.database(deletionPolicy="Delete")
    await world.ready(SERVERS, "pg")
    await world.ready(DATABASES, "app")


async def check_logins(world: World) -> None:
    await asyncio.sleep(60)
    server = world.target.servers["team-pg"]
    admin, app = await world.secret("pg-login"), await world.secret("app-login")
    assert server.admin.password == admin["password"]
    assert server.roles["app"].password == app["password"]
    assert admin["password"] in admin["uri"]
    assert app["password"] in app["uri"]


def writes_of_ours(world: World) -> int:
    probe = NthWrite(number=1_000_000)
    for request in world.cluster.requests:
        probe.strikes(request.method, request.path)
    world.cluster.requests.clear()
    return 1_000_000 - probe.number


async def test_the_enumeration_covers_every_write():
    world = World()
    await world.prepare()
    async with world.operator():
        await world.server(deletionPolicy="Delete")
        await world.database(deletionPolicy="Delete")
        world.cluster.requests.clear()
        await world.ready(SERVERS, "pg")
        await world.ready(DATABASES, "app")
        assert writes_of_ours(world) == CREATION
        await world.reset(DATABASES, "app")
        world.cluster.requests.clear()
        await asyncio.sleep(60)
        assert writes_of_ours(world) == RESET
        await world.delete(SERVERS, "pg")
        await world.delete(DATABASES, "app")
        world.cluster.requests.clear()
        await world.gone(SERVERS, "pg")
        assert writes_of_ours(world) == DELETION


@BOTH
@pytest.mark.parametrize("number", range(CREATION))
async def test_a_lost_write_during_creation_changes_no_password(number: int, after: bool):
    world = World()
    await world.prepare()
    async with world.operator():
        await world.server(deletionPolicy="Delete")
        await world.database(deletionPolicy="Delete")
        fault = strike(world, number, after=after)
        await world.ready(SERVERS, "pg")
        await world.ready(DATABASES, "app")
        await check_logins(world)
    assert fault.hits == 1
    server = world.target.servers["team-pg"]
    assert server.admin.verifier_changes == 0
    assert server.roles["app"].verifier_changes == 0
    assert world.target.calls["create_or_update_server"] == 1
    assert world.target.calls["create_or_update_database"] == 1


@BOTH
@pytest.mark.parametrize("number", range(RESET))
async def test_a_lost_write_during_a_reset_changes_the_password_exactly_once(
    number: int, after: bool
):
    """H9, H19."""
    world = World()
    await world.prepare()
    async with world.operator():
        await create(world)
        await world.events("app")
        await world.reset(DATABASES, "app")
        fault = strike(world, number, after=after)

        async def label_is_gone() -> bool:
            return not (await world.get(DATABASES, "app"))["metadata"].get("labels")

        await world.until(label_is_gone)
        await check_logins(world)
    assert fault.hits == 1
    assert world.target.servers["team-pg"].roles["app"].verifier_changes == 1


@BOTH
@pytest.mark.parametrize("number", range(DELETION))
async def test_a_lost_write_during_a_deletion_leaves_nothing_behind(number: int, after: bool):
    """H18, D30."""
    world = World()
    await world.prepare()
    async with world.operator():
        await create(world)
        await world.delete(SERVERS, "pg")
        await world.delete(DATABASES, "app")
        fault = strike(world, number, after=after)
        await world.gone(DATABASES, "app")
        await world.gone(SERVERS, "pg")
    assert fault.hits == 1
    assert world.target.servers == {}
    assert not await world.exists(SECRETS, "app-login")
