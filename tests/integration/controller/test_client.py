"""The client against a real API server: objects, patches, subresources and discovery."""

from __future__ import annotations

import asyncio

import pytest
from tests.integration.controller.client_objects import CONFIG_MAPS, config_map

from hybridpg.controller.client import (
    ApplyPatch,
    Client,
    JsonPatch,
    MergePatch,
    find_resource,
    is_served,
)
from hybridpg.controller.errors import (
    AlreadyExists,
    ApiError,
    BadRequest,
    Conflict,
    Invalid,
    NotFound,
)
from hybridpg.controller.types import LEASES, JsonObject, ObjectKey, Resource

pytestmark = pytest.mark.testenv

REPLICATION = Resource("apps", "v1", "deployments", "Deployment")


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
