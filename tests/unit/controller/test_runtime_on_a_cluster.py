"""The whole runtime over an API server in memory: what a controller's author relies on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from tests.unit.controller.scripted import GADGETS, WIDGETS

from hybridpg.controller import (
    CUSTOM_RESOURCE_DEFINITIONS,
    EVENTS,
    Client,
    Conflict,
    Informer,
    JsonObject,
    KubeObject,
    Manager,
    MergePatch,
    NotFound,
    ObjectKey,
    ObjectReference,
    Request,
    Resource,
    Result,
    enqueue_owner,
    enqueue_self,
    ensure_finalizer,
    generation_changed,
    labels_changed,
    remove_finalizer,
    set_condition,
)
from hybridpg.controller.predicates import any_of
from hybridpg.controller.testing import FakeCluster

pytestmark = pytest.mark.virtual_time

CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
FINALIZER = "example.org/finalizer"
NS = "default"


def definition(resource: Resource) -> JsonObject:
    free = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": CUSTOM_RESOURCE_DEFINITIONS.api_version,
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{resource.plural}.{resource.group}"},
        "spec": {
            "group": resource.group,
            "scope": "Namespaced",
            "names": {
                "plural": resource.plural,
                "singular": resource.kind.lower(),
                "kind": resource.kind,
                "listKind": f"{resource.kind}List",
            },
            "versions": [
                {
                    "name": resource.version,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "properties": {"spec": free, "status": free},
                        }
                    },
                }
            ],
        },
    }


def widget(name: str, **spec: object) -> JsonObject:
    return {
        "apiVersion": WIDGETS.api_version,
        "kind": WIDGETS.kind,
        "metadata": {"name": name, "namespace": NS},
        "spec": spec or {"size": 1},
    }


@pytest.fixture
async def cluster() -> AsyncIterator[FakeCluster]:
    fake = FakeCluster(seed=1)
    client = Client(fake)
    for resource in (WIDGETS, GADGETS):
        await client.create(CUSTOM_RESOURCE_DEFINITIONS, definition(resource))
    yield fake
    await fake.close()


class WidgetController:
    """The controller of a tutorial: a ConfigMap for each widget, a finalizer and a status."""

    def __init__(self, cluster: FakeCluster) -> None:
        self.client = Client(cluster)
        self.manager = Manager(self.client, name="widgets", close_client=False)
        self.widgets = self.manager.informer(WIDGETS)
        self.maps = self.manager.informer(CONFIG_MAPS)
        self.cleaned: list[str] = []
        self.runs = 0
        controller = self.manager.controller("widgets", self.reconcile, workers=4)
        controller.watch(
            self.widgets,
            handler=enqueue_self(),
            predicate=any_of(generation_changed(), labels_changed()),
        )
        controller.watch(self.maps, handler=enqueue_owner(WIDGETS))

    async def reconcile(self, request: Request) -> Result | None:
        self.runs += 1
        found = self.widgets.store.get(request.key)
        if found is None:
            return None
        if found.deleting:
            self.cleaned.append(found.name)
            await remove_finalizer(self.client, WIDGETS, found, FINALIZER)
            return None
        if await ensure_finalizer(self.client, WIDGETS, found, FINALIZER):
            return Result(requeue_after=0.01)
        await self.ensure_map(found)
        await self.write_status(found)
        return None

    async def ensure_map(self, found: KubeObject) -> None:
        if self.maps.store.get(found.key) is not None:
            return
        reference = {
            "apiVersion": WIDGETS.api_version,
            "kind": WIDGETS.kind,
            "name": found.name,
            "uid": found.uid,
            "controller": True,
        }
        metadata = {"name": found.name, "namespace": NS, "ownerReferences": [reference]}
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
        await self.client.create(CONFIG_MAPS, body, namespace=NS)
        about = ObjectReference(WIDGETS.api_version, WIDGETS.kind, NS, found.name, found.uid)
        self.manager.events.event(about, "Normal", "Created", f"config map {found.name} made")

    async def write_status(self, found: KubeObject) -> None:
        before = found.decode().get("status", {}).get("conditions", [])
        after = set_condition(
            before, "Ready", "True", reason="Available", observed_generation=found.generation
        )
        if after != before:
            body = {
                "metadata": {"resourceVersion": found.resource_version},
                "status": {"conditions": after},
            }
            await self.client.patch(WIDGETS, found.key, MergePatch(body), subresource="status")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with self.manager:
            yield


async def ready(client: Client, name: str) -> bool:
    found = await client.get(WIDGETS, ObjectKey(NS, name))
    return bool(found.get("status", {}).get("conditions"))


async def test_a_widget_gets_its_map_its_finalizer_its_status_and_an_event(cluster):
    """H18."""
    client, controller = Client(cluster), WidgetController(cluster)
    async with controller.running():
        await client.create(WIDGETS, widget("a"), namespace=NS)
        await asyncio.sleep(5)
        found = await client.get(WIDGETS, ObjectKey(NS, "a"))
        assert found["metadata"]["finalizers"] == [FINALIZER]
        assert found["status"]["conditions"][0]["observedGeneration"] == 1
        assert await client.get(CONFIG_MAPS, ObjectKey(NS, "a"))
        (event,) = (await client.list(EVENTS, namespace=NS)).items
        assert event.decode()["note"] == "config map a made"
        assert event.decode()["regarding"]["uid"] == found["metadata"]["uid"]


async def test_when_all_is_done_nothing_is_written_any_more(cluster):
    client, controller = Client(cluster), WidgetController(cluster)
    for number in range(20):
        await client.create(WIDGETS, widget(f"w{number}"), namespace=NS)
    async with controller.running():
        await asyncio.sleep(60)
        settled = len(cluster.writes)
        await asyncio.sleep(3600)
        assert len(cluster.writes) == settled
    restarted = WidgetController(cluster)
    async with restarted.running():
        await asyncio.sleep(60)
    assert restarted.runs == 20
    assert len(cluster.writes) == settled


async def test_an_owned_object_that_is_deleted_comes_back(cluster):
    client, controller = Client(cluster), WidgetController(cluster)
    await client.create(WIDGETS, widget("a"), namespace=NS)
    async with controller.running():
        await asyncio.sleep(5)
        first = await client.get(CONFIG_MAPS, ObjectKey(NS, "a"))
        await client.delete(CONFIG_MAPS, ObjectKey(NS, "a"))
        await asyncio.sleep(5)
        second = await client.get(CONFIG_MAPS, ObjectKey(NS, "a"))
        assert first["metadata"]["uid"] != second["metadata"]["uid"]


async def test_a_deletion_during_downtime_is_completed_after_the_restart(cluster):
    """H18."""
    client, controller = Client(cluster), WidgetController(cluster)
    await client.create(WIDGETS, widget("a"), namespace=NS)
    async with controller.running():
        await asyncio.sleep(5)
    await client.delete(WIDGETS, ObjectKey(NS, "a"))
    await asyncio.sleep(3600)
    assert await client.get(WIDGETS, ObjectKey(NS, "a"))
    restarted = WidgetController(cluster)
    async with restarted.running():
        await asyncio.sleep(5)
        with pytest.raises(NotFound):
            await client.get(WIDGETS, ObjectKey(NS, "a"))
    assert restarted.cleaned == ["a"]


async def test_a_changed_label_brings_the_object_back_once(cluster):
    """H20."""
    client, controller = Client(cluster), WidgetController(cluster)
    await client.create(WIDGETS, widget("a"), namespace=NS)
    async with controller.running():
        await asyncio.sleep(5)
        before = controller.runs
        labels = {"metadata": {"labels": {"operator/action": "reset-password"}}}
        await client.patch(WIDGETS, ObjectKey(NS, "a"), MergePatch(labels))
        await asyncio.sleep(5)
        assert controller.runs == before + 1


async def test_a_finalizer_is_not_added_to_an_object_that_changed_hands_meanwhile(cluster):
    client = Client(cluster)
    old = await client.create(WIDGETS, widget("a"), namespace=NS)
    await client.delete(WIDGETS, ObjectKey(NS, "a"))
    await client.create(WIDGETS, widget("a"), namespace=NS)
    with pytest.raises(Conflict):
        await ensure_finalizer(client, WIDGETS, old, FINALIZER)


async def test_a_finalizer_of_somebody_else_survives_ours(cluster):
    client = Client(cluster)
    stale = await client.create(WIDGETS, widget("a"), namespace=NS)
    assert await ensure_finalizer(client, WIDGETS, stale, "other.org/first")
    with pytest.raises(Conflict):
        await ensure_finalizer(client, WIDGETS, stale, FINALIZER)
    fresh = await client.get(WIDGETS, ObjectKey(NS, "a"))
    assert await ensure_finalizer(client, WIDGETS, fresh, FINALIZER)
    both = await client.get(WIDGETS, ObjectKey(NS, "a"))
    await remove_finalizer(client, WIDGETS, fresh | {"metadata": both["metadata"]}, FINALIZER)
    left = await client.get(WIDGETS, ObjectKey(NS, "a"))
    assert left["metadata"]["finalizers"] == ["other.org/first"]


def lose_history(cluster: FakeCluster) -> None:
    cluster.compact()
    cluster.drop_watches()


FAULTS: dict[str, Callable[[FakeCluster], object]] = {
    "none": lambda cluster: None,
    "watch cut": lambda cluster: cluster.faults.cut_watch(after=2, times=5),
    "watch reset": lambda cluster: cluster.faults.cut_watch(after=1, reset=True, times=5),
    "watch expired": lambda cluster: cluster.faults.expire_watch(after=1, times=3),
    "history gone": lose_history,
    "watches dropped": FakeCluster.drop_watches,
    "refused": lambda cluster: cluster.faults.refused(times=7),
    "too many": lambda cluster: cluster.faults.too_many_requests(retry_after=3, times=5),
    "server errors": lambda cluster: cluster.faults.server_error(times=5),
    "conflicts": lambda cluster: cluster.faults.conflict(method="PATCH", times=5),
    "lost requests": lambda cluster: cluster.faults.lost_before(times=5),
    "lost answers": lambda cluster: cluster.faults.lost_after(times=5),
    "slow": lambda cluster: cluster.faults.delay(20, times=10),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_under_every_fault_all_widgets_become_ready_and_all_deleted_ones_go(cluster, fault):
    """H19."""
    client, controller = Client(cluster), WidgetController(cluster)
    for number in range(4):
        await client.create(WIDGETS, widget(f"old{number}"), namespace=NS)
    async with controller.running():
        await asyncio.sleep(5)
        for number in range(4):
            cluster.faults.clear()  # they are for the controller, not for its user
            await client.create(WIDGETS, widget(f"new{number}"), namespace=NS)
            await client.delete(WIDGETS, ObjectKey(NS, f"old{number}"))
            FAULTS[fault](cluster)
            await asyncio.sleep(0.5)
        await asyncio.sleep(900)
        cluster.faults.clear()
        left = {found.name for found in (await client.list(WIDGETS, namespace=NS)).items}
        assert left == {f"new{number}" for number in range(4)}
        assert all([await ready(client, name) for name in sorted(left)])
        assert same(controller.widgets, (await client.list(WIDGETS)).items)
        assert same(controller.maps, (await client.list(CONFIG_MAPS)).items)


async def test_a_cache_that_was_away_while_history_was_lost_is_equal_again_after(cluster):
    client = Client(cluster)
    manager = Manager(client, close_client=False)
    informer = manager.informer(WIDGETS)
    for name in ("stays", "goes", "comes back"):
        await client.create(WIDGETS, widget(name.replace(" ", "-")), namespace=NS)
    async with manager:
        cluster.faults.refused(method="WATCH", path="*/widgets", times=3)
        cluster.faults.refused(method="GET", path="*/widgets", times=3)
        cluster.drop_watches()
        await asyncio.sleep(0)
        await client.delete(WIDGETS, ObjectKey(NS, "goes"))
        await client.delete(WIDGETS, ObjectKey(NS, "comes-back"))
        await client.create(WIDGETS, widget("comes-back"), namespace=NS)
        cluster.compact()
        await asyncio.sleep(300)
        cluster.faults.clear()
        assert same(informer, (await client.list(WIDGETS)).items)
        assert informer.store.get(ObjectKey(NS, "goes")) is None


async def test_a_large_collection_is_listed_in_pages_where_lists_are_not_streamed(cluster):
    client = Client(cluster)
    cluster.faults.error(422, "Invalid", method="WATCH")
    for number in range(1200):
        await client.create(CONFIG_MAPS, config_map(number), namespace=NS)
    manager = Manager(client, close_client=False)
    informer = manager.informer(CONFIG_MAPS)
    async with manager:
        assert len(informer.store.list()) == 1200
    lists = [each for each in cluster.requests if each.path.endswith("/api/v1/configmaps")]
    assert [each.method for each in lists] == ["WATCH", *["GET"] * 3, "WATCH"]


async def test_an_idle_hour_costs_watches_only(cluster):
    manager = Manager(Client(cluster), close_client=False)
    manager.informer(WIDGETS)
    async with manager:
        before = len(cluster.requests)
        await asyncio.sleep(3600)
        extra = cluster.requests[before:]
    assert {each.method for each in extra} == {"WATCH"}
    assert len(extra) <= 12


def config_map(number: int) -> JsonObject:
    metadata = {"name": f"m{number}", "namespace": NS}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}


def same(informer: Informer, truth: list[KubeObject]) -> bool:
    cached = {(each.key, each.uid, each.resource_version) for each in informer.store.list()}
    return cached == {(each.key, each.uid, each.resource_version) for each in truth}
