"""The client against a real API server: every verb, and the answers that code depends on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.fix_testenv import TestEnv
from tests.requirements import require

from hybridpg.controller.client import (
    ApplyPatch,
    Client,
    JsonPatch,
    MergePatch,
    find_resource,
    is_served,
)
from hybridpg.controller.decode import BOOKMARK, WatchEvent, decode_event
from hybridpg.controller.errors import (
    AlreadyExists,
    ApiError,
    BadRequest,
    Conflict,
    Invalid,
    NotFound,
)
from hybridpg.controller.types import LEASES, NAMESPACES, JsonObject, ObjectKey, Resource

pytestmark = pytest.mark.testenv

CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
REPLICATION = Resource("apps", "v1", "deployments", "Deployment")


def config_map(name: str, **data: str) -> JsonObject:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "labels": {"name": name}},
        "data": data,
    }


def deployment(name: str) -> JsonObject:
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "main", "image": "none"}]},
            },
        },
    }


async def watch_until(
    client: Client, namespace: str, done: Callable[[list[WatchEvent]], bool], **options: Any
) -> list[WatchEvent]:
    events: list[WatchEvent] = []
    stream = client.watch(CONFIG_MAPS, namespace=namespace, timeout_seconds=20, **options)
    async for lines in stream:
        events += [decode_event(line) for line in lines]
        if done(events):
            break
    await stream.aclose()  # type: ignore[attr-defined]  # it is an async generator
    return events


@pytest.fixture
def create(real_client: Client, namespace: str) -> Callable[..., Awaitable[JsonObject]]:
    async def make(name: str, **data: str) -> JsonObject:
        return await real_client.create(CONFIG_MAPS, config_map(name, **data), namespace=namespace)

    return make


async def test_an_object_is_created_read_replaced_and_deleted(real_client, namespace, create):
    key = ObjectKey(namespace, "a")
    created = await create("a", x="1")
    assert created["metadata"]["uid"]
    assert await real_client.get(CONFIG_MAPS, key) == created

    created["data"] = {"x": "2"}
    updated = await real_client.update(CONFIG_MAPS, key, created)
    assert updated["data"] == {"x": "2"}
    assert updated["metadata"]["resourceVersion"] != created["metadata"]["resourceVersion"]

    await real_client.delete(CONFIG_MAPS, key)
    with pytest.raises(NotFound) as caught:
        await real_client.get(CONFIG_MAPS, key)
    assert caught.value.details["name"] == "a"


async def test_writes_are_recorded_under_our_field_manager(create):
    created = await create("a", x="1")

    assert [entry["manager"] for entry in created["metadata"]["managedFields"]] == [
        "hybridpg-tests"
    ]


async def test_a_name_that_is_taken_is_told_apart_from_a_conflict(create):
    await create("a")

    with pytest.raises(AlreadyExists):
        await create("a")


async def test_a_stale_update_is_a_conflict_and_changes_nothing(real_client, namespace, create):
    key = ObjectKey(namespace, "a")
    stale = await create("a", x="1")
    await real_client.patch(CONFIG_MAPS, key, MergePatch({"data": {"x": "2"}}))

    with pytest.raises(Conflict) as caught:
        await real_client.update(CONFIG_MAPS, key, {**stale, "data": {"x": "3"}})
    assert not isinstance(caught.value, AlreadyExists)
    assert (await real_client.get(CONFIG_MAPS, key))["data"] == {"x": "2"}


async def test_a_field_that_the_schema_does_not_know_is_refused(real_client, namespace):
    with pytest.raises(BadRequest, match=r"strict decoding error.*datta"):
        await real_client.create(CONFIG_MAPS, {**config_map("a"), "datta": {}}, namespace=namespace)


async def test_an_object_that_breaks_a_rule_is_invalid_with_the_field(real_client, namespace):
    with pytest.raises(Invalid) as caught:
        await real_client.create(CONFIG_MAPS, config_map("Not_A_Name"), namespace=namespace)

    assert caught.value.details["causes"][0]["field"] == "metadata.name"


# --- patches -----------------------------------------------------------------------------------


async def test_a_merge_patch_sets_and_removes_fields(real_client, namespace, create):
    await create("a", x="1", y="2")

    patched = await real_client.patch(
        CONFIG_MAPS, ObjectKey(namespace, "a"), MergePatch({"data": {"x": None, "z": "3"}})
    )

    assert patched["data"] == {"y": "2", "z": "3"}


async def test_a_merge_patch_can_be_bound_to_a_version(real_client, namespace, create):
    created = await create("a", x="1")
    key = ObjectKey(namespace, "a")
    bound = MergePatch({"metadata": {"resourceVersion": created["metadata"]["resourceVersion"]}})
    await real_client.patch(CONFIG_MAPS, key, MergePatch({"data": {"x": "2"}}))

    with pytest.raises(Conflict):
        await real_client.patch(CONFIG_MAPS, key, bound)


async def test_a_json_patch_whose_test_fails_changes_nothing(real_client, namespace, create):
    await create("a", x="1")
    key = ObjectKey(namespace, "a")

    def replace(expected: str) -> JsonPatch:
        return JsonPatch(
            (
                {"op": "test", "path": "/data/x", "value": expected},
                {"op": "replace", "path": "/data/x", "value": "2"},
            )
        )

    with pytest.raises(Invalid):
        await real_client.patch(CONFIG_MAPS, key, replace("other"))
    assert (await real_client.patch(CONFIG_MAPS, key, replace("1")))["data"] == {"x": "2"}


async def test_apply_creates_then_owns_its_fields(real_client, namespace, testenv, create):
    key = ObjectKey(namespace, "a")
    applied = await real_client.patch(CONFIG_MAPS, key, ApplyPatch(config_map("a", x="1")))
    assert applied["metadata"]["managedFields"][0]["operation"] == "Apply"
    other = Client(real_client.transport, field_manager="somebody")

    with pytest.raises(Conflict, match="hybridpg-tests"):
        await other.patch(CONFIG_MAPS, key, ApplyPatch(config_map("a", x="2")))
    forced = await other.patch(CONFIG_MAPS, key, ApplyPatch(config_map("a", x="2"), force=True))

    assert forced["data"] == {"x": "2"}


# --- deletion ----------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["uid", "resource_version"])
async def test_a_deletion_with_a_wrong_precondition_is_a_conflict(
    real_client, namespace, create, field: str
):
    await create("a")
    key = ObjectKey(namespace, "a")

    with pytest.raises(Conflict):
        await real_client.delete(CONFIG_MAPS, key, **{field: "1"})
    await real_client.get(CONFIG_MAPS, key)


async def test_a_deletion_with_the_right_preconditions_succeeds(real_client, namespace, create):
    meta = (await create("a"))["metadata"]
    key = ObjectKey(namespace, "a")

    await real_client.delete(
        CONFIG_MAPS, key, uid=meta["uid"], resource_version=meta["resourceVersion"]
    )

    with pytest.raises(NotFound):
        await real_client.delete(CONFIG_MAPS, key)


async def test_what_an_object_owns_goes_with_it(
    real_client: Client, namespace: str, create, testenv: TestEnv
):
    require(testenv.collects_garbage, "no kube-controller-manager here to collect garbage")
    owner = await create("owner")
    reference = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "name": "owner",
        "uid": owner["metadata"]["uid"],
    }
    owned = config_map("owned")
    owned["metadata"]["ownerReferences"] = [reference]
    await real_client.create(CONFIG_MAPS, owned, namespace=namespace)

    version = (await real_client.list(CONFIG_MAPS, namespace=namespace)).resource_version
    await real_client.delete(CONFIG_MAPS, ObjectKey(namespace, "owner"), propagation="Background")
    events = await watch_until(
        real_client, namespace, lambda seen: len(seen) >= 2, resource_version=version
    )

    assert [(event.type, event.object.name) for event in events] == [
        ("DELETED", "owner"),
        ("DELETED", "owned"),
    ]


async def test_a_deleted_namespace_is_emptied_and_goes(
    real_client: Client, namespace: str, create, testenv: TestEnv
):
    require(testenv.collects_garbage, "no kube-controller-manager here to empty namespaces")
    await create("a")
    await real_client.delete(NAMESPACES, ObjectKey("", namespace))

    async with asyncio.timeout(20):
        while (await real_client.list(CONFIG_MAPS, namespace=namespace)).items:
            await asyncio.sleep(0.02)


# --- subresources ------------------------------------------------------------------------------


async def test_status_and_spec_are_written_apart(real_client: Client, namespace: str):
    key = ObjectKey(namespace, "a")
    await real_client.create(REPLICATION, deployment("a"), namespace=namespace)

    patched = await real_client.patch(
        REPLICATION,
        key,
        MergePatch({"spec": {"replicas": 5}, "status": {"observedGeneration": 7}}),
        subresource="status",
    )

    assert patched["status"]["observedGeneration"] == 7
    assert patched["spec"]["replicas"] == 1
    assert patched["metadata"]["generation"] == 1
    patched["status"]["observedGeneration"] = 8
    updated = await real_client.update(REPLICATION, key, patched, subresource="status")
    assert updated["status"]["observedGeneration"] == 8
    main = await real_client.patch(REPLICATION, key, MergePatch({"status": {"replicas": 3}}))
    assert main["status"] == updated["status"]


async def test_scale_is_read_and_written_as_a_kind_of_its_own(real_client: Client, namespace: str):
    key = ObjectKey(namespace, "a")
    await real_client.create(REPLICATION, deployment("a"), namespace=namespace)

    scale = await real_client.get(REPLICATION, key, subresource="scale")
    scale["spec"]["replicas"] = 3
    await real_client.update(REPLICATION, key, scale, subresource="scale")

    assert scale["kind"] == "Scale"
    assert (await real_client.get(REPLICATION, key))["spec"]["replicas"] == 3


async def test_a_lease_is_taken_by_only_one_of_two(real_client: Client, namespace: str):
    key = ObjectKey(namespace, "leader")
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "leader"},
        "spec": {"holderIdentity": "", "leaseDurationSeconds": 15},
    }
    seen = await real_client.create(LEASES, lease, namespace=namespace)

    async def take(identity: str) -> str:
        taken = {**seen, "spec": {**seen["spec"], "holderIdentity": identity}}
        await real_client.update(LEASES, key, taken)
        return identity

    results = await asyncio.gather(take("a"), take("b"), return_exceptions=True)

    assert sum(isinstance(result, Conflict) for result in results) == 1
    [winner] = [result for result in results if isinstance(result, str)]
    assert (await real_client.get(LEASES, key))["spec"]["holderIdentity"] == winner


# --- lists -------------------------------------------------------------------------------------


async def test_a_list_comes_in_pages_of_one_state(real_client: Client, namespace: str, create):
    for name in "abcde":
        await create(name)

    first = await real_client.list(CONFIG_MAPS, namespace=namespace, limit=2)
    await create("later")
    names = [item.name for item in first.items]
    page = first
    while page.continue_token:
        page = await real_client.list(
            CONFIG_MAPS, namespace=namespace, limit=2, continue_token=page.continue_token
        )
        names += [item.name for item in page.items]

    assert first.remaining == 3
    assert names == [*"abcde"]
    assert page.resource_version == first.resource_version


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"label_selector": "name in (a,b)"}, ["a", "b"]),
        ({"label_selector": "name!=a,name"}, ["b", "c"]),
        ({"field_selector": "metadata.name=c"}, ["c"]),
        ({"label_selector": "none=x"}, []),
    ],
)
async def test_a_list_is_selected_by_labels_and_fields(
    real_client, namespace, create, options, names
):
    for name in "abc":
        await create(name)

    page = await real_client.list(CONFIG_MAPS, namespace=namespace, **options)

    assert [item.name for item in page.items] == names


async def test_a_list_across_namespaces_holds_this_one(real_client: Client, namespace: str, create):
    await create("a")

    page = await real_client.list(CONFIG_MAPS, label_selector="name=a")

    assert ObjectKey(namespace, "a") in {item.key for item in page.items}


async def test_a_cached_list_is_not_older_than_asked(real_client: Client, namespace: str, create):
    version = (await create("a"))["metadata"]["resourceVersion"]

    page = await real_client.list(
        CONFIG_MAPS,
        namespace=namespace,
        resource_version=version,
        resource_version_match="NotOlderThan",
    )

    assert [item.name for item in page.items] == ["a"]
    assert int(page.resource_version) >= int(version)


async def test_a_large_list_comes_whole_although_it_is_compressed(real_client, namespace, create):
    for number in range(8):
        await create(f"big-{number}", data=f"{number}" * 500_000)

    page = await real_client.list(CONFIG_MAPS, namespace=namespace)

    assert [item.decode()["data"]["data"][:2] for item in page.items] == [
        f"{number}" * 2 for number in range(8)
    ]


# --- watches -----------------------------------------------------------------------------------


async def test_a_watch_tells_every_change_after_a_version(real_client, namespace, create):
    version = (await real_client.list(CONFIG_MAPS, namespace=namespace)).resource_version
    await create("a", x="1")
    await real_client.patch(
        CONFIG_MAPS, ObjectKey(namespace, "a"), MergePatch({"data": {"x": "2"}})
    )
    await real_client.delete(CONFIG_MAPS, ObjectKey(namespace, "a"))

    events = await watch_until(
        real_client, namespace, lambda seen: len(seen) == 3, resource_version=version
    )

    assert [event.type for event in events] == ["ADDED", "MODIFIED", "DELETED"]
    versions = [int(event.object.resource_version) for event in events]
    assert versions == sorted(versions)


async def test_a_watch_brings_the_list_first_and_marks_its_end(real_client, namespace, create):
    await create("a")
    await create("b")

    events = await watch_until(
        real_client,
        namespace,
        lambda seen: seen[-1].type == BOOKMARK,
        send_initial_events=True,
    )

    assert [event.object.name for event in events[:-1]] == ["a", "b"]
    annotations = events[-1].object.decode()["metadata"]["annotations"]
    assert annotations == {"k8s.io/initial-events-end": "true"}


async def test_a_watch_ends_by_itself_after_its_time(real_client: Client, namespace: str):
    stream = real_client.watch(CONFIG_MAPS, namespace=namespace, timeout_seconds=1, bookmarks=False)

    async with asyncio.timeout(10):
        assert [lines async for lines in stream] == []


async def test_an_event_of_more_than_a_megabyte_comes_whole(real_client, namespace, create):
    version = (await real_client.list(CONFIG_MAPS, namespace=namespace)).resource_version
    await create("big", data="x" * 1_040_000)

    [event] = await watch_until(
        real_client, namespace, lambda seen: len(seen) == 1, resource_version=version
    )

    assert len(event.object.decode()["data"]["data"]) == 1_040_000


# --- discovery ---------------------------------------------------------------------------------


async def test_kinds_are_discovered(real_client: Client):
    transport = real_client.transport

    assert await find_resource(transport, "v1", "ConfigMap") == CONFIG_MAPS
    assert await find_resource(transport, "apps/v1", "Deployment") == REPLICATION
    assert await is_served(transport, LEASES)
    assert await find_resource(transport, "v1", "PostgreSQLServer") is None
    assert await find_resource(transport, "example.com/v1", "Thing") is None


async def test_a_resource_that_is_not_served_is_not_found(real_client: Client):
    unknown = Resource("example.com", "v1", "things", "Thing")

    with pytest.raises(ApiError) as caught:
        await real_client.list(unknown)
    assert isinstance(caught.value, NotFound)
