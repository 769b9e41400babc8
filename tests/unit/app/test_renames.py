"""Renames of ``credentialsSecret``: whichever name it has, the password is the one used last."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hybridpg.app.kinds import ACTION_LABEL, DATABASES, PAUSED, SERVERS
from hybridpg.controller import SECRETS, Resource

from .memory import Role
from .world import World, both_ready, ready_and_stopped, running

pytestmark = pytest.mark.virtual_time

RENAMED: dict[str, Any] = {"spec": {"credentialsSecret": "new-login"}}


async def test_a_renamed_secret_of_a_deleted_server_is_not_taken_for_a_lost_one():
    """Law 3: the Secret that Retain keeps still logs in, whatever happened between the starts."""
    world = await ready_and_stopped(
        database={"deletionPolicy": "Delete"}, server={"deletionPolicy": "Retain"}
    )
    before = (await world.secret("pg-login"))["password"]
    await world.patch(SERVERS, "pg", RENAMED)
    await world.delete(SERVERS, "pg")
    await world.delete(DATABASES, "app")
    async with world.operator():
        await world.gone(DATABASES, "app")
        await world.gone(SERVERS, "pg")
    admin = world.target.servers["team-pg"].admin
    assert (await world.secret("pg-login"))["password"] == before == admin.password
    assert admin.verifier_changes == 0


async def test_a_foreign_secret_of_the_new_name_does_not_make_the_former_a_lost_one():
    world = await ready_and_stopped(
        database={"deletionPolicy": "Delete"}, server={"deletionPolicy": "Retain"}
    )
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "new-login"}}
    await world.client.create(SECRETS, body, namespace="team")
    await world.patch(SERVERS, "pg", RENAMED)
    await world.delete(SERVERS, "pg")
    await world.delete(DATABASES, "app")
    async with world.operator():
        await world.gone(DATABASES, "app")
        await world.gone(SERVERS, "pg")
    admin = world.target.servers["team-pg"].admin
    assert (await world.secret("pg-login"))["password"] == admin.password
    assert (await world.get(SECRETS, "new-login")).get("data") is None


async def test_a_paused_server_with_a_renamed_secret_serves_its_databases_after_a_restart():
    async with running() as world:
        await world.server()
        await world.ready(SERVERS, "pg")
    await world.patch(SERVERS, "pg", {"metadata": {"annotations": {PAUSED: "true"}}, **RENAMED})
    async with world.operator():
        await world.database()
        await world.ready(DATABASES, "app")
    assert not await world.exists(SECRETS, "new-login")


KINDS = [pytest.param(SERVERS, "pg", id="server"), pytest.param(DATABASES, "app", id="database")]


def role(world: World, name: str) -> Role:
    server = world.target.servers["team-pg"]
    return server.admin if name == "pg" else server.roles[name]


def keep_former(world: World, name: str, status: int) -> None:
    """The controller may not delete this Secret, or cannot."""
    path = f"/api/v1/namespaces/team/secrets/{name}"
    world.cluster.faults.error(status, "Any", method="DELETE", path=path, times=10_000)


async def renamed(world: World, kind: Resource, name: str, secret: str, *, reset: bool = False):
    labels = {"labels": {ACTION_LABEL: "reset-password"}} if reset else {}
    body = {"spec": {"credentialsSecret": secret}, "metadata": labels}
    await world.patch(kind, name, body)

    async def done() -> bool:
        obj = await world.get(kind, name)
        return ACTION_LABEL not in (obj["metadata"].get("labels") or {}) and (
            await world.exists(SECRETS, secret)
        )

    await world.until(done)
    await asyncio.sleep(5)


@pytest.mark.parametrize(("kind", "name"), KINDS)
async def test_a_password_that_was_rotated_away_does_not_come_back_with_a_former_name(
    kind: Resource, name: str
):
    """D25: what a Secret holds that could not be deleted is not the truth any more."""
    async with both_ready() as world:
        keep_former(world, f"{name}-login", 403)
        leaked = (await world.secret(f"{name}-login"))["password"]
        await renamed(world, kind, name, "new-login")
        await renamed(world, kind, name, "new-login", reset=True)
        password = role(world, name).password
        assert password != leaked
        await renamed(world, kind, name, f"{name}-login")
        await asyncio.sleep(60)
        assert (await world.secret(f"{name}-login"))["password"] == password
        assert role(world, name).password == password
        assert role(world, name).verifier_changes == 1
        assert not await world.exists(SECRETS, "new-login")
        assert "secretNames" not in (await world.get(kind, name))["status"]


@pytest.mark.parametrize(("kind", "name"), KINDS)
async def test_a_rotation_and_a_rename_at_once_that_are_reverted_bring_no_old_password_back(
    kind: Resource, name: str
):
    """One edit renames and resets; the former Secret cannot be deleted yet; the edit is undone."""
    async with both_ready() as world:
        keep_former(world, f"{name}-login", 500)
        leaked = (await world.secret(f"{name}-login"))["password"]
        await renamed(world, kind, name, "new-login", reset=True)
        await renamed(world, kind, name, f"{name}-login")
        world.cluster.faults.clear()
        await asyncio.sleep(120)
        assert (await world.secret(f"{name}-login"))["password"] == role(world, name).password
        assert role(world, name).password != leaked
        assert role(world, name).verifier_changes == 1


async def test_what_is_rotated_after_a_name_came_back_is_not_undone_by_the_name_between():
    """Neither name can be cleared away, so each pass sees both."""
    async with both_ready() as world:
        for former in ("app-login", "new-login"):
            keep_former(world, former, 500)
        seen = {role(world, "app").password}
        for secret in ("new-login", "app-login", "new-login", "app-login"):
            await renamed(world, DATABASES, "app", secret)
            await world.reset(DATABASES, "app")
            await renamed(world, DATABASES, "app", secret)
            await asyncio.sleep(120)
            password = role(world, "app").password
            assert (await world.secret(secret))["password"] == password
            assert password not in seen
            seen.add(password)
        assert role(world, "app").verifier_changes == 4


async def test_a_reset_under_way_goes_on_under_the_name_that_came_back():
    async with both_ready() as world:
        keep_former(world, "app-login", 403)
        await renamed(world, DATABASES, "app", "new-login")
        world.target.fail["update_user_password"] = OSError("cut off")
        await world.reset(DATABASES, "app")
        await asyncio.sleep(5)
        staged = (await world.secret("new-login"))["next-password"]
        await world.patch(DATABASES, "app", {"spec": {"credentialsSecret": "app-login"}})
        await asyncio.sleep(5)
        world.target.fail.clear()
        await world.gone(SECRETS, "new-login", 300)
        await world.ready(DATABASES, "app")
        secret = await world.secret("app-login")
        assert secret["password"] == staged == role(world, "app").password
        assert "next-password" not in secret
        assert role(world, "app").verifier_changes == 1
