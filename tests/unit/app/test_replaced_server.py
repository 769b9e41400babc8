"""A server of the same name is not the same server: nothing is made anew there unasked."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from hybridpg.app.kinds import ACCEPT_SERVER, ADOPT, DATABASES, SERVERS
from hybridpg.controller import SECRETS, MergePatch, ObjectKey

from .memory import MemoryBackend, MemoryTarget
from .world import NAMESPACE, World

pytestmark = pytest.mark.virtual_time


class Second(MemoryBackend):
    """A backend elsewhere."""

    capabilities = replace(MemoryBackend.capabilities, name_pattern="second-{namespace}-{name}")


@asynccontextmanager
async def with_former_gone(policy: str = "Retain", *, deleted: bool = False):
    """A database whose server's object was deleted by force; yields the second target as well."""
    world = World({"backend": "memory", "allowed_backends": ["memory", "memory2"]})
    first, second = world.target, MemoryTarget()
    world.others["memory2"] = Second(second, "memory2")
    here = first.login

    async def login(endpoint: Any, credentials: Any, database: str) -> Any:
        there = endpoint.host.startswith("second")
        return await (second.login if there else here)(endpoint, credentials, database)

    first.login = login  # type: ignore[method-assign]  # both targets are in one network
    await world.prepare()
    async with world.operator():
        await world.server()
        await world.database(deletionPolicy=policy)
        await world.ready(DATABASES, "app")
        await world.delete(SERVERS, "pg")
        await world.reason(SERVERS, "pg", "DeletionBlocked")
        await world.patch(SERVERS, "pg", {"metadata": {"finalizers": None}})
        await world.gone(SERVERS, "pg")
        if deleted:
            await world.delete(DATABASES, "app")
            await world.reason(DATABASES, "app", "ServerGone")
        else:
            await world.reason(DATABASES, "app", "ServerNotFound")
        yield world, second


async def uid_of_server(world: World) -> str:
    return str((await world.get(SERVERS, "pg"))["metadata"]["uid"])


async def annotate(world: World, key: str, value: str) -> None:
    await world.patch(DATABASES, "app", {"metadata": {"annotations": {key: value}}})


async def test_the_server_that_a_database_was_made_on_is_recorded():
    async with with_former_gone() as (world, _):
        await world.server(annotations={ADOPT: "team-pg"})
        await world.ready(DATABASES, "app")
        status = (await world.get(DATABASES, "app"))["status"]
        assert status["serverUID"] == await uid_of_server(world)


@pytest.mark.parametrize("policy", ["Retain", "Delete"])
async def test_a_server_that_was_replaced_is_not_taken_for_the_former(policy: str):
    """Law 1: the database is not made anew, and its Secret still says where the data is."""
    async with with_former_gone(policy) as (world, second):
        secret = await world.secret("app-login")
        await world.server(backend="memory2")
        await world.ready(SERVERS, "pg")
        condition = await world.reason(DATABASES, "app", "ServerGone")
        assert f"{ACCEPT_SERVER}: {await uid_of_server(world)}" in condition["message"]
        assert await world.condition(DATABASES, "app", "Stalled")
        assert (await world.condition(DATABASES, "app", "ServerReady"))["status"] == "False"
        status = (await world.get(DATABASES, "app"))["status"]
        assert status["backend"] == "memory"
        await asyncio.sleep(30)
        before = world.writes()
        await asyncio.sleep(7200)
        assert world.writes() == before, "to say the same again costs no write"
        assert second.servers["second-team-pg"].databases == {}
        assert await world.secret("app-login") == secret


async def test_a_database_is_made_anew_on_another_server_once_its_owner_says_so():
    async with with_former_gone() as (world, second):
        await world.server(backend="memory2")
        await world.ready(SERVERS, "pg")
        await annotate(world, ACCEPT_SERVER, "some-other-uid")
        await world.reason(DATABASES, "app", "ServerGone")
        uid = await uid_of_server(world)
        await annotate(world, ACCEPT_SERVER, uid)
        await world.ready(DATABASES, "app")
        status = (await world.get(DATABASES, "app"))["status"]
        assert (status["backend"], status["serverUID"]) == ("memory2", uid)
        server = second.servers["second-team-pg"]
        assert "app" in server.databases
        assert (await world.secret("app-login"))["password"] == server.roles["app"].password


async def test_a_server_that_was_adopted_by_a_new_object_is_the_same_server():
    """The mark of the database itself is there: nothing is reset, and nobody is asked."""
    async with with_former_gone() as (world, _):
        calls = world.target.calls["create_or_update_database"]
        await world.server(annotations={ADOPT: "team-pg"})
        await world.ready(DATABASES, "app")
        assert world.target.calls["create_or_update_database"] == calls
        assert world.target.servers["team-pg"].roles["app"].verifier_changes == 0


async def test_a_status_of_an_earlier_version_is_filled_in_without_any_reset():
    async with with_former_gone() as (world, _):
        await world.server(annotations={ADOPT: "team-pg"})
        await world.ready(DATABASES, "app")
        calls = world.target.calls.copy()
        await world.client.patch(
            DATABASES,
            ObjectKey(NAMESPACE, "app"),
            MergePatch({"status": {"serverUID": None}}),
            subresource="status",
        )
        await annotate(world, "touched", "1")
        await asyncio.sleep(5)
        status = (await world.get(DATABASES, "app"))["status"]
        assert status["serverUID"] == await uid_of_server(world)
        assert (await world.condition(DATABASES, "app"))["status"] == "True"
        assert world.target.calls == calls


async def test_objects_that_were_restored_from_a_backup_say_how_they_go_on():
    """Every UID is a new one, and the status is the old one."""
    async with with_former_gone() as (world, _):
        status = (await world.get(DATABASES, "app"))["status"]
        await world.patch(DATABASES, "app", {"metadata": {"finalizers": None}})
        await world.delete(DATABASES, "app")
        await world.gone(DATABASES, "app")
        await world.database()
        await world.client.patch(
            DATABASES,
            ObjectKey(NAMESPACE, "app"),
            MergePatch({"status": status}),
            subresource="status",
        )
        await world.server(annotations={ADOPT: "team-pg"})
        await world.ready(SERVERS, "pg")
        condition = await world.reason(DATABASES, "app", "Conflict")
        assert f"{ADOPT}: app" in condition["message"]
        await annotate(world, ADOPT, "app")
        await world.ready(DATABASES, "app")
        status = (await world.get(DATABASES, "app"))["status"]
        assert status["serverUID"] == await uid_of_server(world)


async def test_a_deletion_waits_where_its_server_was_replaced():
    """The data is on the former: nothing that is absent from the new one proves that it went."""
    async with with_former_gone("Delete", deleted=True) as (world, _):
        await world.server(backend="memory2")
        await world.ready(SERVERS, "pg")
        await asyncio.sleep(60)
        condition = await world.condition(DATABASES, "app")
        assert condition["reason"] == "ServerGone"
        assert "Retain" in condition["message"]
        await world.patch(DATABASES, "app", {"spec": {"deletionPolicy": "Retain"}})
        await world.gone(DATABASES, "app")
        events = {e[1]: e[0] for e in await world.events("app")}
        assert (events["Retained"], events["ServerGone"]) == ("Normal", "Warning")
        assert await world.exists(SECRETS, "app-login")
        assert "app" in world.target.servers["team-pg"].databases


async def test_a_deletion_goes_on_where_the_new_server_is_the_former():
    async with with_former_gone("Delete", deleted=True) as (world, _):
        await world.server(annotations={ADOPT: "team-pg"})
        await world.gone(DATABASES, "app")
        assert world.target.servers["team-pg"].roles == {}


async def test_a_deletion_goes_on_without_the_former_server_once_its_owner_says_so():
    async with with_former_gone("Delete", deleted=True) as (world, _):
        await world.server(backend="memory2")
        await world.ready(SERVERS, "pg")
        await annotate(world, ACCEPT_SERVER, await uid_of_server(world))
        await world.gone(DATABASES, "app")
        assert "app" in world.target.servers["team-pg"].databases


async def test_a_new_server_that_is_gone_did_not_take_the_data_of_the_former_with_it():
    """Its object is deleted as well, and its place is proven empty."""
    async with with_former_gone("Delete", deleted=True) as (world, second):
        await world.server(backend="memory2")
        await world.ready(SERVERS, "pg")
        second.servers.clear()
        await world.delete(SERVERS, "pg")
        await asyncio.sleep(60)
        assert (await world.condition(DATABASES, "app"))["reason"] == "ServerGone"
