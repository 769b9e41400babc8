"""What happens at the wrong moment: two things at once, a restart in between, a stale cache."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest

from hybridpg.app.kinds import ACTION_LABEL, ADOPT, DATABASES, SERVERS
from hybridpg.backends import Busy
from hybridpg.controller import SECRETS, ObjectKey
from hybridpg.controller.testing import Fault

from .world import NAMESPACE, World, both_ready, ready_and_stopped, running

pytestmark = pytest.mark.virtual_time


async def test_a_paused_server_serves_its_databases_after_a_restart():
    """Paused means no writes to the server, not that its databases wait."""
    world = World()
    await world.prepare()
    async with world.operator():
        await world.server()
        await world.ready(SERVERS, "pg")
    paused = {"hybridcloud.maibornwolff.de/paused": "true"}
    await world.patch(SERVERS, "pg", {"metadata": {"annotations": paused}})
    async with world.operator():
        await world.database()
        await world.ready(DATABASES, "app")


async def test_a_server_knows_of_databases_that_its_cache_does_not_show():
    """D33: a watch that says nothing must not cost the data of a database."""
    world = World()
    await world.prepare()
    path = "/apis/hybridcloud.maibornwolff.de/v1alpha1/postgresqldatabases"
    world.cluster.faults.add(Fault("WATCH", path, times=1000, seconds=100_000))
    async with world.operator():
        await world.server(deletionPolicy="Delete")
        await world.ready(SERVERS, "pg")
        await world.database()
        await world.delete(SERVERS, "pg")
        condition = await world.reason(SERVERS, "pg", "DeletionBlocked")
        assert condition["message"].endswith(": app")
        await asyncio.sleep(100)
        assert "team-pg" in world.target.servers


async def test_a_retained_database_keeps_the_secret_that_was_just_to_be_renamed():
    """Invariant: the only copy of a password is never lost."""
    world = await ready_and_stopped()
    await world.patch(DATABASES, "app", {"spec": {"credentialsSecret": "new-login"}})
    await world.delete(DATABASES, "app")
    async with world.operator():
        await world.gone(DATABASES, "app")
        await asyncio.sleep(5)
        password = world.target.servers["team-pg"].roles["app"].password
        assert (await world.secret("app-login"))["password"] == password


async def test_another_secret_name_is_a_way_out_of_a_secret_conflict():
    """The message of the conflict says so."""
    async with both_ready() as world:
        await world.delete(SECRETS, "app-login")
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "app-login", "namespace": NAMESPACE},
            "data": {"password": base64.b64encode(b"theirs").decode()},
        }
        await world.client.create(SECRETS, body, namespace=NAMESPACE)
        condition = await world.reason(DATABASES, "app", "SecretConflict")
        assert "name another one" in condition["message"]
        await world.patch(DATABASES, "app", {"spec": {"credentialsSecret": "new-login"}})
        await world.ready(DATABASES, "app")
        assert (await world.secret("app-login")) == {"password": "theirs"}
        role = world.target.servers["team-pg"].roles["app"]
        assert (await world.secret("new-login"))["password"] == role.password


@pytest.mark.parametrize("writes", range(8))
async def test_a_secret_renamed_twice_quickly_keeps_its_password(writes: int):
    """D25: whatever the first rename has got to by then, nothing is left behind."""
    async with both_ready() as world:
        before = (await world.secret("app-login"))["password"]
        world.cluster.requests.clear()
        await world.patch(DATABASES, "app", {"spec": {"credentialsSecret": "second"}})
        started = world.writes()
        for _ in range(1000):
            if world.writes() >= started + writes:
                break
            await asyncio.sleep(0)
        await world.patch(DATABASES, "app", {"spec": {"credentialsSecret": "third"}})
        await world.ready(DATABASES, "app")
        await asyncio.sleep(60)
        role = world.target.servers["team-pg"].roles["app"]
        assert (await world.secret("third"))["password"] == before == role.password
        assert role.verifier_changes == 0
        assert not await world.exists(SECRETS, "app-login")
        assert not await world.exists(SECRETS, "second")


async def test_a_reset_asked_for_again_at_once_is_a_second_reset():
    """H9: the label that comes back before the status is written counts."""
    async with both_ready() as world:
        path = "*/postgresqldatabases/app/status"
        world.cluster.faults.delay(5, method="PATCH", path=path, skip=1)
        await world.reset(DATABASES, "app")

        async def label_is_gone() -> bool:
            return not (await world.get(DATABASES, "app"))["metadata"].get("labels")

        await world.until(label_is_gone)
        await world.reset(DATABASES, "app")
        await world.until(label_is_gone)
        await asyncio.sleep(60)
        assert world.target.servers["team-pg"].roles["app"].verifier_changes == 2
        assert len([e for e in await world.events("app") if e[1] == "PasswordReset"]) >= 1


async def test_two_objects_that_adopt_the_same_thing_do_not_take_it_from_each_other():
    """What a live object owns is not adopted away from it."""
    async with running() as world:
        await world.server()
        spec: dict[str, Any] = {"database": {"name": "shared"}, "annotations": {ADOPT: "shared"}}
        await world.database("one", **spec)
        await world.ready(DATABASES, "one")
        await world.database("two", **spec)
        condition = await world.reason(DATABASES, "two", "Conflict")
        assert "team/one" in condition["message"]
        await asyncio.sleep(3600)
        assert world.target.servers["team-pg"].roles["shared"].verifier_changes == 0
        await world.ready(DATABASES, "one", 1)


async def test_a_server_of_another_namespace_is_not_adopted():
    """M1: ``a-b/c`` and ``a/b-c`` make one name, and only its own namespace may take it over."""
    async with running() as world:
        await world.namespace("team-a")
        await world.server("a-b")
        await world.ready(SERVERS, "a-b")
        victim = world.target.servers["team-a-b"].owner
        name = "team-a-b"
        await world.server("b", namespace="team-a", annotations={ADOPT: name})

        async def refused() -> bool:
            status = (await world.get(SERVERS, "b", "team-a")).get("status") or {}
            ready = [c for c in status.get("conditions") or [] if c["type"] == "Ready"]
            return bool(ready and ready[0]["reason"] == "Conflict")

        await world.until(refused)
        assert world.target.servers["team-a-b"].owner == victim


async def test_what_is_remembered_of_an_object_goes_with_it():
    """A thousand databases that come and go leave nothing in memory."""
    async with both_ready(database={"deletionPolicy": "Delete"}) as world:
        runtime = world.runtime
        assert runtime is not None
        await world.patch(DATABASES, "app", {"metadata": {"labels": {ACTION_LABEL: "dance"}}})
        await asyncio.sleep(5)
        assert len(runtime.logins) == 2
        await world.delete(DATABASES, "app")
        await world.gone(DATABASES, "app")
        assert len(runtime.logins) == 1
        assert not list(runtime.published.of_kind(DATABASES.kind))
        await world.delete(SERVERS, "pg")
        await world.gone(SERVERS, "pg")
        await asyncio.sleep(1)
        assert len(runtime.logins) == 0
        assert not runtime.directory.seen(ObjectKey(NAMESPACE, "pg"))


async def test_a_deletion_that_finds_the_target_busy_says_what_it_waits_for():
    """D8, D35: a prepared transaction holds a database for as long as it likes."""
    async with both_ready(database={"deletionPolicy": "Delete"}) as world:
        message = "database is being used by prepared transactions"
        world.target.fail["delete_database"] = Busy(message, retry_after=1.0)
        await world.delete(DATABASES, "app")
        condition = await world.reason(DATABASES, "app", "Deleting")
        await asyncio.sleep(10)
        condition = await world.condition(DATABASES, "app")
        assert message in condition["message"]
        before = world.writes()
        await asyncio.sleep(45)
        assert world.writes() == before
        condition = await world.reason(DATABASES, "app", "Unreachable")
        assert condition["message"] == f"the deletion waits: {message}"
        await asyncio.sleep(60)
        before = world.writes()
        await asyncio.sleep(600)
        assert world.writes() == before
        world.target.fail.clear()
        await world.gone(DATABASES, "app")


async def test_a_server_is_gone_only_when_what_is_left_of_it_is_cleared_away():
    """D41: absent from its place is not yet the end of a deletion."""
    async with running() as world:
        await world.server(deletionPolicy="Delete")
        await world.ready(SERVERS, "pg")
        world.target.servers.clear()
        world.target.clearing_passes = 5
        await world.delete(SERVERS, "pg")
        await asyncio.sleep(2)
        assert await world.exists(SERVERS, "pg")
        await world.gone(SERVERS, "pg")
        assert world.target.clearing_passes == 0


async def test_a_retained_database_whose_mark_was_lost_keeps_its_secret():
    """Policy Retain never costs the only copy of a password."""
    async with both_ready() as world:
        role = world.target.servers["team-pg"].roles["app"]
        role.owner = None
        await world.delete(DATABASES, "app")
        await world.gone(DATABASES, "app")
        await asyncio.sleep(5)
        assert (await world.secret("app-login"))["password"] == role.password


@pytest.mark.parametrize("password", [b"a\0b", b"\0", b"\xff\xfe", b""], ids=repr)
async def test_a_password_that_nobody_could_use_is_replaced(password: bytes):
    """D19: cut at the NUL, the published password would be another one than the real."""
    async with both_ready() as world:
        data = {"password": base64.b64encode(password).decode()}
        await world.patch(SECRETS, "app-login", {"data": data})

        async def settled() -> bool:
            secret = await world.get(SECRETS, "app-login")
            published = base64.b64decode(secret["data"]["password"])
            role = world.target.servers["team-pg"].roles["app"]
            return published != password and published.decode() == role.password

        await world.until(settled, 60)
        await world.ready(DATABASES, "app")
