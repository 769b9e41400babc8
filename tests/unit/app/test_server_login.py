"""The admin login of a server on its way out: the databases that go first need one that works."""

from __future__ import annotations

import asyncio
import base64

import pytest

from hybridpg.app.kinds import DATABASES, PAUSED, SERVERS
from hybridpg.backends import DatabaseRef, Denied, Unknown
from hybridpg.controller import SECRETS

from .memory import MemoryBackend, Server
from .world import World

pytestmark = pytest.mark.virtual_time


class Strict(MemoryBackend):
    """As a cloud: whoever works on databases logs in with the published admin login."""

    def _server(self, database: DatabaseRef) -> Server:
        found, admin = super()._server(database), database.endpoint.admin
        if admin is None or str(admin.password) != found.admin.password:
            raise Denied("cannot log in as postgres: password authentication failed")
        return found


async def stopped(server: str = "Delete") -> World:
    """A world with both kinds, and no controller running."""
    world = World()
    world.backend = Strict(world.target)
    await world.prepare()
    async with world.operator():
        await world.server(deletionPolicy=server)
        await world.database(deletionPolicy="Delete")
        await world.ready(DATABASES, "app")
    return world


async def edit(world: World, password: str | None) -> None:
    data = None if password is None else base64.b64encode(password.encode()).decode()
    await world.patch(SECRETS, "pg-login", {"data": {"password": data}})


async def delete_both(world: World) -> None:
    await world.delete(SERVERS, "pg")
    await world.delete(DATABASES, "app")


async def test_an_admin_secret_that_was_edited_does_not_block_a_deletion():
    """The Secret is the truth: a password that was set in it while nobody looked is applied."""
    world = await stopped("Retain")
    admin = world.target.servers["team-pg"].admin
    await edit(world, "edited-by-hand")
    await delete_both(world)
    async with world.operator():
        await world.gone(DATABASES, "app")
        await world.gone(SERVERS, "pg")
    assert (await world.secret("pg-login"))["password"] == "edited-by-hand" == admin.password
    assert admin.verifier_changes == 1


async def test_an_admin_secret_that_was_not_edited_is_tried_and_sets_nothing():
    world = await stopped("Retain")
    await delete_both(world)
    async with world.operator():
        await world.gone(SERVERS, "pg")
    assert world.target.servers["team-pg"].admin.verifier_changes == 0


async def test_a_login_without_a_clear_answer_sets_nothing():
    """Law 1."""
    world = await stopped("Retain")
    await edit(world, "edited-by-hand")
    await delete_both(world)
    world.target.fail["login"] = Unknown("no answer")
    async with world.operator():
        await world.reason(SERVERS, "pg", "Unreachable")
        await asyncio.sleep(60)
        assert world.target.servers["team-pg"].admin.verifier_changes == 0
        world.target.fail.clear()
        await world.gone(SERVERS, "pg")


async def test_an_admin_secret_without_a_password_counts_as_lost_in_a_deletion():
    world = await stopped()
    await edit(world, None)
    await delete_both(world)
    async with world.operator():
        await world.gone(DATABASES, "app")
        await world.gone(SERVERS, "pg")
    assert world.target.servers == {}


async def test_a_paused_server_has_no_password_set():
    """It is to be left alone."""
    world = await stopped()
    await edit(world, "edited-by-hand")
    await world.patch(SERVERS, "pg", {"metadata": {"annotations": {PAUSED: "true"}}})
    async with world.operator():
        await asyncio.sleep(60)
    assert world.target.servers["team-pg"].admin.verifier_changes == 0
