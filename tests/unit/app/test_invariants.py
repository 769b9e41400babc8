"""Invariants of deletion and identity, at the seam to the API server."""

from __future__ import annotations

import asyncio

import pytest

from hybridpg.app.kinds import DATABASES, SERVERS
from hybridpg.backends import Unknown
from hybridpg.controller.testing import Fault

from .world import World, both_ready

pytestmark = pytest.mark.virtual_time

DATABASE_PATH = "/apis/hybridcloud.maibornwolff.de/v1alpha1/namespaces/team/postgresqldatabases/app"
SERVER_PATH = "/apis/hybridcloud.maibornwolff.de/v1alpha1/namespaces/team/postgresqlservers/pg"


@pytest.mark.parametrize(
    ("name", "path", "call"),
    [("app", DATABASE_PATH, "delete_database"), ("pg", SERVER_PATH, "delete_server")],
)
async def test_nothing_is_destroyed_before_its_object_was_read_live(
    name: str, path: str, call: str
):
    """Invariant 7: the cache may show an earlier object; the live one is read in the same pass."""
    delete = {"deletionPolicy": "Delete"}
    async with both_ready(database=delete, server=delete) as world:
        if name == "pg":
            await world.delete(DATABASES, "app")
            await world.gone(DATABASES, "app")
        kind = DATABASES if name == "app" else SERVERS
        seen: list[int] = []

        def look() -> None:
            reads = [r for r in world.cluster.requests if (r.method, r.path) == ("GET", path)]
            seen.append(len(reads))

        world.cluster.requests.clear()
        world.target.after[call] = look
        await world.delete(kind, name)
        await asyncio.sleep(10)  # to look whether it is gone would be a read, too
        assert seen
        assert seen[0] >= 1
        assert not await world.exists(kind, name)


async def test_a_deletion_that_cannot_read_its_object_destroys_nothing():
    """Invariant 7: no answer of the API server is no permission."""
    async with both_ready(database={"deletionPolicy": "Delete"}) as world:
        fault = world.cluster.faults.error(
            503, "Unavailable", method="GET", path=DATABASE_PATH, times=10_000
        )
        await world.delete(DATABASES, "app")
        await asyncio.sleep(300)
        assert fault.hits > 3
        assert "delete_database" not in world.target.calls
        assert "app" in world.target.servers["team-pg"].databases


async def test_an_old_deletion_never_hits_a_new_object_of_the_same_name():
    """Invariant 8: the finalizer was taken off by hand, and the name given to a new object."""
    async with both_ready(database={"deletionPolicy": "Delete"}) as world:
        world.target.fail["observe_database"] = Unknown("no answer")
        await world.delete(DATABASES, "app")
        await world.reason(DATABASES, "app", "Unreachable")
        await world.patch(DATABASES, "app", {"metadata": {"finalizers": None}})
        await world.gone(DATABASES, "app")
        await world.database("app", credentialsSecret="new-login", deletionPolicy="Delete")
        world.target.fail.clear()
        await world.reason(DATABASES, "app", "Conflict")
        await asyncio.sleep(600)
        assert "delete_database" not in world.target.calls
        assert "app" in world.target.servers["team-pg"].databases


async def test_a_cache_that_shows_the_old_object_deletes_nothing_of_the_new_one():
    """Invariant 8: the watch fell silent after it had shown the deletion of the first object."""
    world = World()
    await world.prepare()
    async with world.operator():
        await world.server()
        await world.database(deletionPolicy="Delete")
        await world.ready(DATABASES, "app")
        world.target.fail["observe_database"] = Unknown("no answer")
        await world.delete(DATABASES, "app")
        await world.reason(DATABASES, "app", "Unreachable")
        world.cluster.faults.add(
            Fault("WATCH", "*/postgresqldatabases", times=1000, seconds=100_000)
        )
        await world.patch(DATABASES, "app", {"metadata": {"finalizers": None}})
        await world.database("app", credentialsSecret="new-login", deletionPolicy="Delete")
        world.target.fail.clear()
        await asyncio.sleep(600)
        assert "delete_database" not in world.target.calls
        assert "app" in world.target.servers["team-pg"].databases
        assert "deletionTimestamp" not in (await world.get(DATABASES, "app"))["metadata"]


@pytest.mark.parametrize(
    "call", ["create_or_update_server", "create_or_update_user", "create_or_update_database"]
)
async def test_an_answer_that_was_lost_is_found_by_looking(call: str):
    """Invariant 17: it was carried out, nobody said so, and nothing is done a second time."""
    world = World()
    await world.prepare()

    def lose() -> None:
        raise Unknown("the connection was lost after the request was sent")

    world.target.after[call] = lose
    async with world.operator():
        await world.server()
        await world.database()
        await world.ready(DATABASES, "app")
    assert call not in world.target.after, "it was lost"
    assert world.target.calls[call] == 1
    role = world.target.servers["team-pg"].roles["app"]
    assert role.verifier_changes == 0
    assert (await world.secret("app-login"))["password"] == role.password
