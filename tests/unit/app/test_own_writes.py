"""The cache shows our own writes late: nothing is decided twice on what it still shows."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest

from hybridpg.app.database import DatabaseReconciler
from hybridpg.app.kinds import DATABASES
from hybridpg.app.own_writes import CATCH_UP_LIMIT, OwnWrites
from hybridpg.app.reconciler import CATCH_UP_SECONDS
from hybridpg.app.subject import Subject
from hybridpg.controller import Event, KubeObject, MergePatch, ObjectKey, ReadStore, Request, Result
from hybridpg.controller.decode import decode_object

from .memory import Role
from .world import NAMESPACE, World, both_ready

pytestmark = pytest.mark.virtual_time
KEY = ObjectKey(NAMESPACE, "app")


@dataclass
class Lagging:
    """A cache that shows one object as it was, until told to show it as it is."""

    newest: ReadStore
    shown: KubeObject | None
    synced: bool = True

    def get(self, key: ObjectKey) -> KubeObject | None:
        """Return the object as it was."""
        return self.shown if self.shown is not None else self.newest.get(key)

    def list(self, namespace: str = "") -> Sequence[KubeObject]:
        """Return what the other cache returns."""
        return self.newest.list(namespace)

    def by_index(self, index: str, value: str) -> Sequence[KubeObject]:
        """Return what the other cache returns."""
        return self.newest.by_index(index, value)


async def lagging(world: World) -> tuple[DatabaseReconciler, Lagging]:
    """Return a reconciler that has just written status, and its cache that does not show it."""
    assert world.runtime is not None
    await world.client.patch(
        DATABASES, KEY, MergePatch({"status": {"conditions": None}}), subresource="status"
    )
    await asyncio.sleep(1)
    shown = world.runtime.databases.get(KEY)
    assert shown is not None
    assert "conditions" not in shown.decode()["status"]
    cache = Lagging(world.runtime.databases, shown)
    reconciler = DatabaseReconciler(replace(world.runtime, databases=cache))
    await reconciler(Request(KEY))
    assert await world.condition(DATABASES, "app")
    world.cluster.requests.clear()
    return reconciler, cache


async def test_a_pass_on_what_was_before_our_own_write_is_put_off_without_a_request():
    """It would decide the same again, and its write would be refused as stale."""
    async with both_ready() as world:
        reconciler, _ = await lagging(world)
        assert await reconciler(Request(KEY)) == Result(requeue_after=CATCH_UP_SECONDS)
        assert world.cluster.requests == []


async def test_a_cache_that_stays_behind_is_asked_ever_less_often_and_believed_in_the_end():
    """Versions go backwards where the API server's database is restored from a backup."""
    async with both_ready() as world:
        reconciler, _ = await lagging(world)
        looks, waited = 0, 0.0
        while not world.cluster.requests:
            result = await reconciler(Request(KEY))
            looks += 1
            if world.cluster.requests:
                break
            assert result.requeue_after is not None
            waited += result.requeue_after
            await asyncio.sleep(result.requeue_after)
        assert CATCH_UP_LIMIT <= waited < 3 * CATCH_UP_LIMIT
        assert looks < 15


async def test_once_the_cache_shows_the_write_passes_go_on_and_write_nothing():
    async with both_ready() as world:
        reconciler, cache = await lagging(world)
        await asyncio.sleep(1)
        cache.shown = None
        again = await reconciler(Request(KEY))
        assert again.requeue_after is not None
        assert again.requeue_after > CATCH_UP_SECONDS
        assert world.writes() == 0


async def test_a_new_object_of_the_name_is_not_taken_for_an_old_version():
    """Invariant 8: only the versions of one object can be compared."""
    async with both_ready() as world:
        reconciler, cache = await lagging(world)
        assert cache.shown is not None
        obj = cache.shown.decode()
        obj["metadata"] |= {"uid": "another", "resourceVersion": "1"}
        cache.shown = decode_object(json.dumps(obj).encode())
        await reconciler(Request(KEY))
        assert world.cluster.requests


async def test_nothing_is_written_about_an_object_that_just_got_its_finalizer():
    """It is a newer object then: the write would be refused, and it comes again by itself."""
    async with both_ready() as world:
        assert world.runtime is not None
        await world.database("late", "nobody")
        await asyncio.sleep(5)
        statuses = [r for r in world.cluster.requests if r.path.endswith("late/status")]
        finalizers = [r for r in world.cluster.requests if r.path.endswith("/late") and r.writes]
        assert (len(finalizers), len(statuses)) == (1, 1)


async def test_a_finalizer_is_added_once_while_the_cache_does_not_show_it():
    async with both_ready() as world:
        assert world.runtime is not None
        shown = world.runtime.databases.get(KEY)
        assert shown is not None
        obj = shown.decode()
        obj["metadata"].pop("finalizers")
        await world.patch(DATABASES, "app", {"metadata": {"finalizers": None}})
        version = (await world.get(DATABASES, "app"))["metadata"]["resourceVersion"]
        obj["metadata"]["resourceVersion"] = version
        cache = Lagging(world.runtime.databases, decode_object(json.dumps(obj).encode()))
        reconciler = DatabaseReconciler(replace(world.runtime, databases=cache))
        assert await reconciler(Request(KEY)) == Result()
        world.cluster.requests.clear()
        assert await reconciler(Request(KEY)) == Result(requeue_after=CATCH_UP_SECONDS)
        assert world.cluster.requests == []


async def test_a_database_in_conflict_is_left_alone_by_the_next_start():
    """O8: what status says must not depend on which way a pass ended."""
    async with both_ready() as world:
        world.target.servers["team-pg"].roles["taken"] = Role("theirs", None)
        await world.database("taken")
        await world.reason(DATABASES, "taken", "Conflict")
        await asyncio.sleep(1)
        shown = (await world.get(DATABASES, "taken"))["status"]["effective"]
        assert shown == {"deletionPolicy": "Retain"}
    world.cluster.requests.clear()
    async with world.operator():
        await asyncio.sleep(30)
        assert world.writes() == 0


def cached(version: int, uid: str = "u") -> KubeObject:
    return KubeObject(NAMESPACE, "app", uid, str(version))


def written(version: int) -> Subject:
    metadata = {"namespace": NAMESPACE, "name": "app", "uid": "u", "resourceVersion": str(version)}
    return Subject(DATABASES, {"metadata": metadata})


async def test_nothing_is_remembered_of_writes_that_the_cache_shows():
    """Ten thousand objects wait for something, each with a status that we wrote."""
    async with both_ready() as world:
        for number in range(5):
            await world.database(f"late-{number}", "nobody")
        await asyncio.sleep(5)
        assert world.writes() > 5
        held = [len(each) for each in gc.get_objects() if isinstance(each, OwnWrites)]
        assert len(held) >= 2
        assert sum(held) == 0


@pytest.mark.parametrize(
    ("shown", "left"),
    [
        pytest.param(Event(None, cached(5)), 0, id="the version that we wrote"),
        pytest.param(Event(cached(5), cached(6)), 0, id="a later one"),
        pytest.param(Event(cached(3), cached(4)), 1, id="an earlier one"),
        pytest.param(Event(cached(4), None), 0, id="the deletion"),
        pytest.param(Event(None, cached(1, "v")), 0, id="a new object of the name"),
    ],
)
async def test_a_write_is_remembered_until_an_event_shows_it(shown, left):
    writes = OwnWrites()
    writes.note(written(5), cached(4))
    writes.on_events(iter([shown]), repeated=False)
    assert len(writes) == left


async def test_a_write_that_the_cache_shows_before_it_is_answered_is_not_remembered():
    writes = OwnWrites()
    writes.note(written(5), cached(5))
    assert len(writes) == 0
    writes.note(written(5), cached(5), superseded=True)
    assert writes.behind(cached(5)) == 0.0
    assert writes.behind(cached(6)) is None
