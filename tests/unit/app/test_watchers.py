"""What wakes objects without an event of theirs: the Secret sweep and the inventories."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from hybridpg.app.inventory import InventoryLoop
from hybridpg.app.sweep import MAX_READS_PER_SECOND, SecretSweep
from hybridpg.app.verification import PublishedSecret, PublishedSecrets
from hybridpg.backends import Owner, Unknown
from hybridpg.controller import SECRETS, Client, MergePatch, ObjectKey
from hybridpg.controller.testing import FakeCluster

pytestmark = pytest.mark.virtual_time

OWNER = Owner("cluster-1", "uid", "team", "pg")
KEY = ObjectKey("team", "pg")


class Shelf:
    """An inventory whose content a test sets."""

    interval = 2.0

    def __init__(self) -> None:
        self.things: dict[str, tuple[Owner | None, object]] = {}
        self.problem: Exception | None = None

    async def sweep(self) -> Mapping[str, tuple[Owner | None, object]]:
        if self.problem:
            raise self.problem
        return dict(self.things)


def loop_over(shelf: Shelf) -> tuple[InventoryLoop, list[ObjectKey]]:
    woken: list[ObjectKey] = []
    return InventoryLoop(shelf, "cluster-1", woken.append), woken


async def test_the_first_sweep_only_remembers():
    shelf = Shelf()
    shelf.things["pg"] = (OWNER, "running")
    loop, woken = loop_over(shelf)
    await loop.sweep()
    assert woken == []


@pytest.mark.parametrize(
    "after",
    [
        pytest.param({"pg": (OWNER, "dead")}, id="changed"),
        pytest.param({}, id="gone"),
    ],
)
async def test_drift_wakes_the_owner(after: dict[str, Any]):
    shelf = Shelf()
    shelf.things["pg"] = (OWNER, "running")
    loop, woken = loop_over(shelf)
    await loop.sweep()
    shelf.things = after
    await loop.sweep()
    assert set(woken) == {KEY}


async def test_something_new_wakes_its_owner():
    shelf = Shelf()
    loop, woken = loop_over(shelf)
    await loop.sweep()
    shelf.things["pg"] = (OWNER, "running")
    await loop.sweep()
    assert woken == [KEY]


async def test_a_thing_that_changed_hands_wakes_both_owners():
    shelf = Shelf()
    shelf.things["pg"] = (OWNER, "running")
    loop, woken = loop_over(shelf)
    await loop.sweep()
    shelf.things["pg"] = (Owner("cluster-1", "u", "other", "pg"), "running")
    await loop.sweep()
    assert set(woken) == {KEY, ObjectKey("other", "pg")}


async def test_things_of_another_cluster_wake_nobody():
    shelf = Shelf()
    loop, woken = loop_over(shelf)
    await loop.sweep()
    shelf.things = {"a": (Owner("cluster-2", "u", "team", "pg"), 1), "b": (None, 1)}
    await loop.sweep()
    assert woken == []


async def test_what_did_not_change_wakes_nobody_and_a_failed_sweep_is_no_change():
    """An inventory that cannot be read says nothing about what it held."""
    shelf = Shelf()
    shelf.things["pg"] = (OWNER, "running")
    loop, woken = loop_over(shelf)
    await loop.sweep()
    shelf.problem = Unknown("no answer")
    await loop.sweep()
    shelf.problem = None
    await loop.sweep()
    assert woken == []


async def test_the_loop_sweeps_at_its_interval():
    shelf = Shelf()
    loop, woken = loop_over(shelf)
    task = asyncio.create_task(loop.run())
    await asyncio.sleep(1)
    shelf.things["pg"] = (OWNER, "running")
    await asyncio.sleep(0.5)
    assert woken == []
    await asyncio.sleep(1)
    assert woken == [KEY]
    task.cancel()


class Swept:
    """A cluster with Secrets, what was published of them, and who was woken."""

    def __init__(self) -> None:
        self.cluster = FakeCluster(seed=1)
        self.client = Client(self.cluster)
        self.published = PublishedSecrets()
        self.woken: list[ObjectKey] = []
        self.others: list[ObjectKey] = []  # of the other kind, that were woken
        wake = {"Kind": self.woken.append, "Other": self.others.append}
        self.sweep = SecretSweep(self.client, self.published, wake, interval=30)

    async def add(self, name: str, kind: str = "Kind") -> None:
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}}
        obj = await self.client.create(SECRETS, body, namespace="default")
        seen = PublishedSecret("default", name, obj["metadata"]["resourceVersion"])
        self.published.record(kind, ObjectKey("default", f"owner-of-{name}"), seen)


async def test_an_untouched_secret_wakes_nobody_and_is_never_listed():
    swept = Swept()
    await swept.add("a")
    await swept.sweep.sweep()
    assert swept.woken == []
    reads = [r for r in swept.cluster.requests if r.method == "GET"]
    assert [r.path for r in reads] == ["/api/v1/namespaces/default/secrets/a"]


async def test_a_sweep_reads_no_password_and_costs_etcd_nothing():
    """Thousands of Secrets are looked at, again and again."""
    swept = Swept()
    await swept.add("a")
    swept.cluster.requests.clear()
    await swept.sweep.sweep()
    (asked,) = swept.cluster.requests
    assert asked.query == (("resourceVersion", "0"),)
    assert asked.accept.startswith("application/json;as=PartialObjectMetadata;")


async def test_an_edited_and_a_deleted_secret_wake_their_objects():
    swept = Swept()
    for name in ("a", "b", "c"):
        await swept.add(name)
    await swept.client.delete(SECRETS, ObjectKey("default", "a"))
    edit = MergePatch({"metadata": {"labels": {"x": "y"}}})
    await swept.client.patch(SECRETS, ObjectKey("default", "b"), edit)
    await swept.sweep.sweep()
    assert swept.woken == [ObjectKey("default", "owner-of-a"), ObjectKey("default", "owner-of-b")]


@pytest.mark.parametrize("status", [403, 429, 500])
async def test_a_secret_that_cannot_be_read_wakes_nobody(status: int):
    """D17."""
    swept = Swept()
    await swept.add("a")
    swept.cluster.faults.error(status, "Any", method="GET", times=10)
    await swept.sweep.sweep()
    assert swept.woken == []


async def test_each_kind_has_its_own_wake():
    swept = Swept()
    await swept.add("a")
    await swept.add("b", "Other")
    for name in ("a", "b"):
        await swept.client.delete(SECRETS, ObjectKey("default", name))
    await swept.sweep.sweep()
    assert swept.woken == [ObjectKey("default", "owner-of-a")]
    assert swept.others == [ObjectKey("default", "owner-of-b")]


async def test_the_reads_of_all_kinds_together_are_spread_below_the_limit():
    swept = Swept()
    for number in range(100):
        await swept.add(str(number), "Kind" if number % 2 else "Other")
    start = asyncio.get_running_loop().time()
    await swept.sweep.sweep()
    elapsed = asyncio.get_running_loop().time() - start
    assert 100 / elapsed <= MAX_READS_PER_SECOND * 1.001


async def test_the_sweep_comes_round_every_interval():
    swept = Swept()
    await swept.add("a")
    task = asyncio.create_task(swept.sweep.run())
    await swept.client.delete(SECRETS, ObjectKey("default", "a"))
    await asyncio.sleep(29)
    assert swept.woken == []
    await asyncio.sleep(2)
    assert swept.woken == [ObjectKey("default", "owner-of-a")]
    task.cancel()
