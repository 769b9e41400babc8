"""Nothing is made for an object that the cache still shows and the API server does not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hybridpg.app.database import DatabaseReconciler
from hybridpg.app.kinds import DATABASES, SERVERS
from hybridpg.app.reconciler import STALE_RETRY_SECONDS
from hybridpg.app.server import ServerReconciler
from hybridpg.controller import SECRETS, ObjectKey, Request, Result

from .test_own_writes import Lagging
from .world import NAMESPACE, World, both_ready

pytestmark = pytest.mark.virtual_time
KEY = ObjectKey(NAMESPACE, "app")


async def shown_after_its_end(world: World) -> DatabaseReconciler:
    """Delete the database and return a reconciler whose cache shows it as it was before."""
    assert world.runtime is not None
    shown = world.runtime.databases.get(KEY)
    assert shown is not None
    await world.delete(DATABASES, "app")
    await world.gone(DATABASES, "app")
    world.cluster.requests.clear()
    cache = Lagging(world.runtime.databases, shown)
    return DatabaseReconciler(replace(world.runtime, databases=cache))


async def test_a_database_that_is_gone_is_not_made_again_from_a_cache_that_lags():
    """T1: nobody would ever remove it, and its password would be nowhere."""
    async with both_ready({"deletionPolicy": "Delete"}) as world:
        reconciler = await shown_after_its_end(world)
        assert await reconciler(Request(KEY)) == Result(requeue_after=STALE_RETRY_SECONDS)
        assert world.writes() == 0
        assert "app" not in world.target.servers["team-pg"].databases
        assert "app" not in world.target.servers["team-pg"].roles


async def test_a_lost_secret_is_not_made_anew_for_a_database_that_is_being_deleted():
    """Invariant 5: a new password needs a live object that is to stay."""
    async with both_ready() as world:
        assert world.runtime is not None
        shown = world.runtime.databases.get(KEY)
        assert shown is not None
        await world.patch(DATABASES, "app", {"metadata": {"finalizers": ["held/by-others"]}})
        await world.delete(SECRETS, "app-login")
        await world.delete(DATABASES, "app")
        cache = Lagging(world.runtime.databases, shown)
        reconciler = DatabaseReconciler(replace(world.runtime, databases=cache))
        verifiers = world.target.servers["team-pg"].roles["app"].verifier_changes
        await reconciler(Request(KEY))
        assert not await world.exists(SECRETS, "app-login")
        assert world.target.servers["team-pg"].roles["app"].verifier_changes == verifiers


async def test_a_secret_that_an_earlier_spec_named_is_not_made_again():
    """T1: it would get a password of its own, and the published one would log in no more."""
    async with both_ready() as world:
        assert world.runtime is not None
        shown = world.runtime.databases.get(KEY)
        assert shown is not None
        await world.patch(DATABASES, "app", {"spec": {"credentialsSecret": "other-login"}})
        await world.gone(SECRETS, "app-login")
        await world.ready(DATABASES, "app")
        verifiers = world.target.servers["team-pg"].roles["app"].verifier_changes
        world.cluster.requests.clear()
        cache = Lagging(world.runtime.databases, shown)
        reconciler = DatabaseReconciler(replace(world.runtime, databases=cache))
        assert await reconciler(Request(KEY)) == Result(requeue_after=STALE_RETRY_SECONDS)
        assert world.writes() == 0
        assert not await world.exists(SECRETS, "app-login")
        assert world.target.servers["team-pg"].roles["app"].verifier_changes == verifiers


async def test_a_server_that_is_gone_is_not_made_again_from_a_cache_that_lags():
    """T1: a machine or a bill that nobody sees any more."""
    async with both_ready({"deletionPolicy": "Delete"}, {"deletionPolicy": "Delete"}) as world:
        assert world.runtime is not None
        key = ObjectKey(NAMESPACE, "pg")
        shown = world.runtime.servers.get(key)
        assert shown is not None
        for kind, name in ((DATABASES, "app"), (SERVERS, "pg")):
            await world.delete(kind, name)
            await world.gone(kind, name)
        world.cluster.requests.clear()
        cache = Lagging(world.runtime.servers, shown)
        reconciler = ServerReconciler(replace(world.runtime, servers=cache))
        assert await reconciler(Request(key)) == Result(requeue_after=STALE_RETRY_SECONDS)
        assert (world.writes(), world.target.servers) == (0, {})
