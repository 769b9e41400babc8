"""What stays when its object goes, for whatever reason, keeps the password that logs in to it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from hybridpg.app.kinds import ADOPT, DATABASES, RETAINED_FROM, SERVERS
from hybridpg.backends import Unknown
from hybridpg.controller import SECRETS, Resource

from .world import World, ready_and_stopped

pytestmark = pytest.mark.virtual_time

KINDS = [
    pytest.param(SERVERS, "pg", "team-pg", id="server"),
    pytest.param(DATABASES, "app", "app", id="database"),
]


async def prepared(kind: Resource, policy: str) -> World:
    """A world with what is to be deleted alone, and no controller running."""
    world = await ready_and_stopped(
        database={"deletionPolicy": policy}, server={"deletionPolicy": policy}
    )
    if kind is SERVERS:
        await world.patch(DATABASES, "app", {"metadata": {"finalizers": None}})
        await world.delete(DATABASES, "app")
    return world


async def check_kept(world: World, name: str, external_name: str) -> None:
    """The Secret belongs to nobody, says whose it was, and logs in."""
    secret = await world.get(SECRETS, f"{name}-login")
    assert "ownerReferences" not in secret["metadata"]
    assert secret["metadata"]["annotations"][RETAINED_FROM] == external_name
    server = world.target.servers["team-pg"]
    role = server.admin if name == "pg" else server.roles[name]
    assert (await world.secret(f"{name}-login"))["password"] == role.password


@pytest.mark.parametrize(("kind", "name", "external_name"), KINDS)
async def test_a_policy_that_changes_to_delete_once_a_thing_is_retained_comes_too_late(
    kind: Resource, name: str, external_name: str
):
    """The mark says retained, and the Secret could not be released yet."""
    world = await prepared(kind, "Retain")
    path = f"/api/v1/namespaces/team/secrets/{name}-login"
    world.cluster.faults.error(500, "InternalError", method="PATCH", path=path, times=10_000)
    await world.delete(kind, name)
    async with world.operator():
        await asyncio.sleep(10)
        await world.patch(kind, name, {"spec": {"deletionPolicy": "Delete"}})
        await asyncio.sleep(10)
        world.cluster.faults.clear()
        await world.gone(kind, name)
        told = [e for e in await world.events(name) if e[1] == "Retained"]
    assert f"secret {name}-login stay" in told[-1][2]
    await check_kept(world, name, external_name)


@pytest.mark.parametrize("policy", ["Delete", "Retain"])
@pytest.mark.parametrize(("kind", "name", "external_name"), KINDS)
async def test_what_is_left_alone_keeps_its_password(
    kind: Resource, name: str, external_name: str, policy: str
):
    """The cluster id changed: the data stays, and the Secret may be the only copy of a password."""
    world = await prepared(kind, policy)
    server = world.target.servers["team-pg"]
    thing = server if kind is SERVERS else server.roles[name]
    assert thing.owner is not None
    thing.owner = replace(thing.owner, cluster_id="former")
    await world.delete(kind, name)
    async with world.operator():
        await world.gone(kind, name)
        told = [e for e in await world.events(name) if e[1] == "LeftAlone"]
    assert told[0][0] == "Warning"
    assert f"secret {name}-login" in told[0][2]
    await check_kept(world, name, external_name)


async def silent_server(world: World, *, restart: bool) -> None:
    for call in ("observe_server", "observe_database"):
        world.target.fail[call] = Unknown("no answer")
    if not restart:
        await world.patch(SERVERS, "pg", {"metadata": {"annotations": {"touched": "1"}}})


@pytest.mark.parametrize("restart", [False, True])
async def test_retain_is_the_way_out_of_waiting_for_a_server(restart: bool):
    """Law 5: as documented; nothing of the data is touched, and the password stays."""
    world = World()
    await world.prepare()
    async with world.operator():
        await world.server()
        await world.database(deletionPolicy="Delete")
        await world.ready(DATABASES, "app")
        if not restart:
            await silent_server(world, restart=False)
            await check_way_out(world, "Unreachable")
            return
    await silent_server(world, restart=True)
    async with world.operator():
        await check_way_out(world, "WaitingForServer")


async def check_way_out(world: World, reason: str) -> None:
    role = world.target.servers["team-pg"].roles["app"]
    owner, calls = role.owner, world.target.calls.copy()
    await world.delete(DATABASES, "app")
    await world.reason(DATABASES, "app", reason)
    await asyncio.sleep(600)
    assert await world.exists(DATABASES, "app"), "Delete waits as long as it takes"
    await world.patch(DATABASES, "app", {"spec": {"deletionPolicy": "Retain"}})
    await world.gone(DATABASES, "app", 1)
    told = {e[1]: e for e in await world.events("app") if "retained misses it" in e[2]}
    assert told[reason][0] == "Warning"
    assert (role.owner, world.target.calls) == (owner, calls)
    await check_kept(world, "app", "app")


async def test_a_short_silence_costs_a_retained_database_no_mark():
    world = await ready_and_stopped()
    async with world.operator():
        await world.ready(DATABASES, "app")
        await silent_server(world, restart=False)
        await world.delete(DATABASES, "app")
        await asyncio.sleep(240)
        assert await world.exists(DATABASES, "app")
        world.target.fail.clear()
        await world.gone(DATABASES, "app")
    owner = world.target.servers["team-pg"].roles["app"].owner
    assert owner is not None
    assert owner.retained


async def test_what_is_let_go_of_unmarked_is_taken_over_by_annotation():
    world = await ready_and_stopped()
    async with world.operator():
        await world.ready(DATABASES, "app")
        await silent_server(world, restart=False)
        await world.delete(DATABASES, "app")
        await world.gone(DATABASES, "app", 400)
        world.target.fail.clear()
        await world.database(annotations={ADOPT: "app"})
        await world.ready(DATABASES, "app", 900)
    assert world.target.servers["team-pg"].roles["app"].verifier_changes == 0
