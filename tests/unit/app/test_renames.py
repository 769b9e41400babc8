"""Renames of ``credentialsSecret``: whichever name it has, the password is the one used last."""

from __future__ import annotations

from typing import Any

import pytest

from hybridpg.app.kinds import DATABASES, PAUSED, SERVERS
from hybridpg.controller import SECRETS

from .world import ready_and_stopped, running

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
