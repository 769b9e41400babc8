"""An admin login that its owner rotated: databases that it refuses have their server looked at."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from hybridpg.app.kinds import DATABASES, SERVERS
from hybridpg.app.runtime import QUESTION_SECONDS, ServerDirectory
from hybridpg.backends import (
    AdminLogin,
    Capabilities,
    Change,
    DatabaseRef,
    Denied,
    Endpoint,
    Observed,
    Password,
    Policy,
    Present,
    ServerRef,
    ServerState,
)
from hybridpg.controller import ObjectKey
from hybridpg.crds import ServerSpec

from .memory import MemoryBackend, MemoryTarget, Role, Server
from .world import World

pytestmark = pytest.mark.virtual_time

KEY = ObjectKey("team", "pg")
REFUSED = "cannot log in to team-pg:5433 as postgres: password authentication failed"


class Shared(MemoryBackend):
    """As ``external``: the server is there, and its owner's Secret says how to log in."""

    capabilities = Capabilities(
        server_fields=frozenset({"backendOptions"}),
        deletion_policies=frozenset(Policy),
        publishes_admin=False,
        provisions=False,
    )

    def __init__(self, target: MemoryTarget) -> None:
        super().__init__(target)
        self.told = self.right = "one"
        """What the owner's Secret says, and what the server takes."""
        self.looks = 0

    async def observe_server(self, server: ServerRef) -> Observed[ServerState]:
        self.looks += 1
        if self.told != self.right:
            raise Denied(REFUSED)
        return Present(ServerState(None, True, "", "17.2", "postgres", {}))

    async def endpoint(self, server: ServerRef, observed: ServerState) -> Endpoint:
        endpoint = await super().endpoint(server, observed)
        return replace(endpoint, admin=AdminLogin("postgres", Password(self.told)))

    def plan_server(
        self, server: ServerRef, desired: ServerSpec, observed: Observed[ServerState]
    ) -> tuple[Change, ...]:
        return ()

    def _server(self, database: DatabaseRef) -> Server:
        admin = database.endpoint.admin
        if admin is None or str(admin.password) != self.right:
            raise Denied(REFUSED)
        return super()._server(database)


@asynccontextmanager
async def shared() -> AsyncIterator[tuple[World, Shared]]:
    """Make a running world with two databases that are Ready on a server of somebody else."""
    world = World()
    world.backend = backend = Shared(world.target)
    world.target.servers["team-pg"] = Server(None, Role("one", None))
    await world.prepare()
    async with world.operator():
        await world.server()
        for name in ("app", "other"):
            await world.database(name)
            await world.ready(DATABASES, name)
        yield world, backend


async def touch(world: World, name: str) -> None:
    await world.patch(DATABASES, name, {"metadata": {"annotations": {"touched": "1"}}})


async def test_an_admin_secret_that_its_owner_rotated_is_used_at_once():
    async with shared() as (world, backend):
        backend.told = backend.right = "two"
        await touch(world, "app")
        await asyncio.sleep(3)
        for name in ("app", "other"):
            assert (await world.condition(DATABASES, name))["status"] == "True"


async def test_an_admin_secret_that_is_rotated_after_its_server_is_used_within_a_minute():
    async with shared() as (world, backend):
        backend.right = "two"
        await touch(world, "app")
        await world.reason(DATABASES, "app", "Denied")
        await world.reason(SERVERS, "pg", "Denied")
        await asyncio.sleep(30)
        backend.told = "two"
        await world.ready(SERVERS, "pg", 61)
        await world.ready(DATABASES, "app", 2)


async def test_databases_that_stay_refused_have_their_server_looked_at_once_a_minute():
    async with shared() as (world, backend):
        world.target.fail["observe_database"] = Denied("role hybridpg may not SET ROLE app")
        for name in ("app", "other"):
            await touch(world, name)
            await world.reason(DATABASES, name, "Denied")
        await world.events("app")
        looks, writes = backend.looks, world.writes()
        await asyncio.sleep(3600)
        assert backend.looks - looks <= 3600 / QUESTION_SECONDS + 3600 / 540 + 1
        assert world.writes() == writes


async def test_a_question_is_passed_on_at_once_and_then_after_a_pause():
    directory, asked = ServerDirectory(), list[ObjectKey]()
    directory.on_question(asked.append)
    directory.question(KEY)
    directory.question(KEY)
    directory.question(ObjectKey("team", "other"))
    assert asked == [KEY, ObjectKey("team", "other")]
    await asyncio.sleep(QUESTION_SECONDS)
    directory.question(KEY)
    assert asked[2:] == [KEY]
    directory.forget(KEY)
    directory.question(KEY)
    assert asked[3:] == [KEY], "a new server of that name was never asked about"
