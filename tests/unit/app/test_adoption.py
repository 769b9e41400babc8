"""What an annotation takes over: of another cluster, and after a change of the cluster's own id."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from hybridpg.app.kinds import ADOPT, DATABASES, SERVERS
from hybridpg.backends import Owner

from .memory import Role
from .world import both_ready, running

pytestmark = pytest.mark.virtual_time


async def test_a_live_database_of_another_cluster_is_not_adopted():
    """M1: a namespace of the same name there is another tenant's."""
    async with running() as world:
        await world.server()
        await world.ready(SERVERS, "pg")
        server = world.target.servers["team-pg"]
        theirs = Owner("cluster-2", "uid-there", "team", "app")
        server.roles["app"] = Role("their password", theirs)
        server.databases["app"] = frozenset()
        await world.database(annotations={ADOPT: "app"})

        condition = await world.reason(DATABASES, "app", "Conflict")

        assert "of the cluster with id 'cluster-2', which may still use it" in condition["message"]
        await asyncio.sleep(60)
        assert server.roles["app"] == Role("their password", theirs)


async def test_a_retained_database_of_another_cluster_is_adopted():
    """Its object was deleted with that policy, so nobody uses it there."""
    async with running() as world:
        await world.server()
        await world.ready(SERVERS, "pg")
        server = world.target.servers["team-pg"]
        left = Owner("cluster-2", "uid-there", "team", "app", retained=True)
        server.roles["app"] = Role("their password", left)
        server.databases["app"] = frozenset()
        await world.database(annotations={ADOPT: "app"})
        await world.ready(DATABASES, "app")

        owner = server.roles["app"].owner
        assert owner is not None
        assert owner.cluster_id == "cluster-1"


@pytest.mark.parametrize(
    ("kind", "name"), [(DATABASES, "app"), (SERVERS, "pg")], ids=["db", "server"]
)
async def test_after_a_change_of_the_cluster_id_the_way_back_is_said(kind, name):
    """Not that the object should be deleted because of itself; a copy has the same UID, too."""
    async with both_ready() as world:
        server = world.target.servers["team-pg"]
        marked = server if kind == SERVERS else server.roles["app"]
        ours = marked.owner
        assert ours is not None
        marked.owner = replace(ours, cluster_id="former")
        external = (await world.get(kind, name))["status"]["externalName"]
        await world.patch(kind, name, {"metadata": {"annotations": {ADOPT: external}}})

        condition = await world.reason(kind, name, "Conflict")

        assert "which still exists" not in condition["message"]
        assert "'former'" in condition["message"]
        assert "set controller.cluster_id to it" in condition["message"]
        await asyncio.sleep(60)
        assert marked.owner.cluster_id == "former"
        marked.owner = ours  # as if the id had been set
        await world.ready(kind, name)
