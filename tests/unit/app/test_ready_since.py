"""Ready means a login since whatever may have changed it: an outage, a repair, a lost Secret."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from hybridpg.app.kinds import DATABASES, SERVERS
from hybridpg.backends import Credentials, Denied, Outcome, Pending, ServerRef, Unknown
from hybridpg.backends.values import Change
from hybridpg.controller import SECRETS, Resource

from .memory import MemoryBackend, Role
from .world import World, both_ready, running

pytestmark = pytest.mark.virtual_time

LOOK = {"metadata": {"labels": {"look": "again"}}}


def role(world: World) -> Role:
    return world.target.servers["team-pg"].roles["app"]


async def test_after_an_outage_a_database_is_ready_once_it_was_logged_in_to():
    """Law 6: what answers again may be a backup, with another password."""
    async with both_ready() as world:
        world.target.fail["observe_database"] = Unknown("no answer")
        await world.patch(DATABASES, "app", LOOK)
        await world.reason(DATABASES, "app", "Unreachable")
        role(world).password = "of the backup"
        del world.target.fail["observe_database"]
        await world.ready(DATABASES, "app")
        assert (await world.secret("app-login"))["password"] == role(world).password


async def test_after_an_outage_of_its_server_a_database_is_ready_once_it_was_logged_in_to():
    """Law 6."""
    async with both_ready() as world:
        world.target.servers["team-pg"].passes_left = 5
        await world.patch(SERVERS, "pg", LOOK)
        await world.reason(DATABASES, "app", "WaitingForServer")
        role(world).password = "of the backup"
        await world.ready(DATABASES, "app")
        assert (await world.secret("app-login"))["password"] == role(world).password


async def test_a_database_that_was_made_anew_is_ready_once_it_was_logged_in_to():
    """Law 6: the login that worked before was another role's."""
    async with both_ready() as world:
        server = world.target.servers["team-pg"]
        world.target.refuse = True
        del server.databases["app"], server.roles["app"]
        await world.patch(DATABASES, "app", LOOK)
        await asyncio.sleep(60)
        assert "app" in server.databases
        assert (await world.condition(DATABASES, "app"))["status"] == "False"


class Growing(MemoryBackend):
    """Takes as long as it likes to change a server."""

    async def create_or_update_server(
        self, server: ServerRef, changes: tuple[Change, ...], admin: Credentials
    ) -> Outcome:
        if server.external_name in self.target.servers:
            return Pending("Updating", "it grows", 5.0)
        return await super().create_or_update_server(server, changes, admin)


async def test_a_server_that_grows_is_not_ready_with_a_secret_that_was_made_meanwhile():
    """Law 6: nobody has logged in with it."""
    world = World()
    world.backend = Growing(world.target)
    await world.prepare()
    async with world.operator():
        await world.server()
        await world.ready(SERVERS, "pg")
        await world.patch(SERVERS, "pg", {"spec": {"size": {"storageGB": 50}}})
        await asyncio.sleep(20)
        assert (await world.condition(SERVERS, "pg"))["status"] == "True"
        await world.delete(SECRETS, "pg-login")
        await asyncio.sleep(60)
        assert (await world.condition(SERVERS, "pg"))["status"] == "False"


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        pytest.param(SERVERS, "pg", id="server"),
        pytest.param(DATABASES, "app", id="database"),
    ],
)
async def test_a_deletion_that_somebody_must_help_costs_no_write(kind: Resource, name: str):
    """Law 5: what is dropped and said again in one pass did not change."""
    async with running({"deletion": {"databases": "Delete", "servers": "Delete"}}) as world:
        await world.server()
        if kind is DATABASES:
            await world.database()
        await world.ready(kind, name)
        call = "delete_server" if kind is SERVERS else "delete_database"
        world.target.fail[call] = Denied("no right to drop")
        await world.delete(kind, name)
        await world.reason(kind, name, "Denied")
        await world.events(name)
        before = world.writes()
        for minute in range(1, 31):
            world.ahead = timedelta(minutes=minute)
            await asyncio.sleep(60)
        assert world.writes() == before
