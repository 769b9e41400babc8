"""Garbage collection and the end of namespaces and definitions, in one process and at once."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.controller.testing.conftest import DEFINITIONS, SECRETS, Api, Json

pytestmark = pytest.mark.virtual_time
MERGE = "application/merge-patch+json"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
HOLD = "example.com/hold"


def owned_by(*owners: Json, **more: Any) -> list[Json]:
    return [
        {
            "apiVersion": owner["apiVersion"],
            "kind": owner["kind"],
            "name": owner["metadata"]["name"],
            "uid": owner["metadata"]["uid"],
            **more,
        }
        for owner in owners
    ]


async def names(api: Api, path: str = SECRETS) -> list[str]:
    _, answer = await api("GET", path)
    return [item["metadata"]["name"] for item in answer["items"]]


async def release(api: Api, path: str) -> None:
    assert (await api("PATCH", path, {"metadata": {"finalizers": None}}, kind=MERGE))[0] == 200


async def test_a_cascade_reaches_the_dependents_of_dependents(api: Api):
    first = await api.secret("a")
    second = await api.secret("b", ownerReferences=owned_by(first))
    await api.secret("c", ownerReferences=owned_by(second))
    await api.secret("free")
    await api("DELETE", f"{SECRETS}/a")
    assert await names(api) == ["free"]


async def test_a_cascade_crosses_kinds(api: Api):
    owner = await api.secret("a")
    lease = {"metadata": {"name": "l", "ownerReferences": owned_by(owner)}}
    assert (await api("POST", LEASES, lease))[0] == 201
    await api("DELETE", f"{SECRETS}/a")
    assert await names(api, LEASES) == []


async def test_an_owner_that_was_made_anew_does_not_count(api: Api):
    owner = await api.secret("a")
    await api("DELETE", f"{SECRETS}/a")
    await api.secret("a")
    await api.secret("child", ownerReferences=owned_by(owner))
    assert await names(api) == ["a"]


async def test_an_owner_in_another_namespace_does_not_count(api: Api):
    path = "/api/v1/namespaces/kube-public/secrets"
    _, owner = await api("POST", path, {"metadata": {"name": "a"}})
    await api.secret("child", ownerReferences=owned_by(owner))
    assert await names(api) == []


async def test_an_owner_of_the_cluster_counts_everywhere(api: Api):
    _, owner = await api("GET", "/api/v1/namespaces/kube-public")
    await api.secret("child", ownerReferences=owned_by(owner))
    assert await names(api) == ["child"]


async def test_an_owner_of_an_unknown_kind_may_exist(api: Api):
    reference = {"apiVersion": "batch/v1", "kind": "Job", "name": "a", "uid": "u"}
    await api.secret("child", ownerReferences=[reference])
    assert await names(api) == ["child"]


async def test_an_adopted_object_goes_with_its_owner(api: Api):
    owner = await api.secret("a")
    await api.secret("child")
    body = {"metadata": {"ownerReferences": owned_by(owner)}}
    await api("PATCH", f"{SECRETS}/child", body, kind=MERGE)
    await api("DELETE", f"{SECRETS}/a")
    assert await names(api) == []


async def test_an_object_that_was_released_stays(api: Api):
    owner = await api.secret("a")
    await api.secret("child", ownerReferences=owned_by(owner))
    body = {"metadata": {"ownerReferences": None}}
    await api("PATCH", f"{SECRETS}/child", body, kind=MERGE)
    await api("DELETE", f"{SECRETS}/a")
    assert await names(api) == ["child"]


async def test_a_background_delete_does_not_wait_for_dependents(api: Api):
    owner = await api.secret("a")
    await api.secret("child", ownerReferences=owned_by(owner), finalizers=[HOLD])
    status, answer = await api("DELETE", f"{SECRETS}/a", propagationPolicy="Background")
    assert (status, answer["status"]) == (200, "Success")
    _, child = await api("GET", f"{SECRETS}/child")
    assert child["metadata"]["deletionTimestamp"]
    await release(api, f"{SECRETS}/child")
    assert await names(api) == []


async def test_a_foreground_delete_goes_from_the_leaves_up(api: Api):
    owner = await api.secret("a")
    middle = await api.secret("b", ownerReferences=owned_by(owner, blockOwnerDeletion=True))
    await api.secret(
        "c", ownerReferences=owned_by(middle, blockOwnerDeletion=True), finalizers=[HOLD]
    )
    _, deleted = await api("DELETE", f"{SECRETS}/a", propagationPolicy="Foreground")
    assert deleted["metadata"]["finalizers"] == ["foregroundDeletion"]
    assert await names(api) == ["a", "b", "c"]
    start = api.cluster.resource_version
    await release(api, f"{SECRETS}/c")
    seen = await api.events(SECRETS, resourceVersion=start)
    gone = [e["object"]["metadata"]["name"] for e in seen if e["type"] == "DELETED"]
    assert gone == ["c", "b", "a"]


async def test_a_dependent_that_does_not_block_is_not_waited_for(api: Api):
    owner = await api.secret("a")
    await api.secret("child", ownerReferences=owned_by(owner), finalizers=[HOLD])
    await api("DELETE", f"{SECRETS}/a", propagationPolicy="Foreground")
    assert await names(api) == ["child"]


async def test_orphans_of_a_held_owner_are_released_at_once(api: Api):
    owner = await api.secret("a", finalizers=[HOLD])
    await api.secret("child", ownerReferences=owned_by(owner))
    await api("DELETE", f"{SECRETS}/a", {"propagationPolicy": "Orphan"})
    _, held = await api("GET", f"{SECRETS}/a")
    assert held["metadata"]["finalizers"] == [HOLD]
    _, child = await api("GET", f"{SECRETS}/child")
    assert "ownerReferences" not in child["metadata"]
    await release(api, f"{SECRETS}/a")
    assert await names(api) == ["child"]


async def test_a_second_policy_replaces_the_first(api: Api):
    owner = await api.secret("a", finalizers=[HOLD])
    await api.secret(
        "child", ownerReferences=owned_by(owner, blockOwnerDeletion=True), finalizers=[HOLD]
    )
    await api("DELETE", f"{SECRETS}/a", propagationPolicy="Foreground")
    _, again = await api("DELETE", f"{SECRETS}/a", propagationPolicy="Background")
    assert again["metadata"]["finalizers"] == [HOLD]


async def test_a_dry_run_collects_nothing(api: Api):
    owner = await api.secret("a")
    await api.secret("child", ownerReferences=owned_by(owner))
    assert (await api("DELETE", f"{SECRETS}/a", {"dryRun": ["All"]}))[0] == 200
    assert await names(api) == ["a", "child"]


async def test_a_namespace_waits_for_every_kind_in_it(api: Api):
    await api.define({"type": "object"})
    await api("POST", "/api/v1/namespaces", {"metadata": {"name": "end"}})
    place = "namespaces/end"
    thing = {"apiVersion": "example.com/v1", "kind": "Thing"}
    held = {"metadata": {"name": "x", "finalizers": [HOLD]}}
    things = f"/apis/example.com/v1/{place}/things"
    assert (await api("POST", things, {**thing, **held}))[0] == 201
    assert (await api("POST", f"/api/v1/{place}/secrets", held))[0] == 201
    await api("DELETE", "/api/v1/namespaces/end")
    await release(api, f"/api/v1/{place}/secrets/x")
    _, waiting = await api("GET", "/api/v1/namespaces/end")
    assert waiting["status"]["phase"] == "Terminating"
    await release(api, f"{things}/x")
    assert (await api("GET", "/api/v1/namespaces/end"))[0] == 404


async def test_deleting_a_namespace_twice_changes_nothing_more(api: Api):
    await api("POST", "/api/v1/namespaces", {"metadata": {"name": "end"}})
    held = {"metadata": {"name": "x", "finalizers": [HOLD]}}
    await api("POST", "/api/v1/namespaces/end/secrets", held)
    _, first = await api("DELETE", "/api/v1/namespaces/end")
    _, second = await api("DELETE", "/api/v1/namespaces/end")
    assert second["metadata"]["deletionTimestamp"] == first["metadata"]["deletionTimestamp"]
    assert (await api("GET", "/api/v1/namespaces/end/secrets/x"))[0] == 200


async def test_a_namespace_is_ended_by_hand_through_finalize(api: Api):
    await api("POST", "/api/v1/namespaces", {"metadata": {"name": "end"}})
    held = {"metadata": {"name": "x", "finalizers": [HOLD]}}
    await api("POST", "/api/v1/namespaces/end/secrets", held)
    path = "/api/v1/namespaces/end/finalize"
    body = {"metadata": {"name": "end"}, "spec": {"finalizers": []}}
    # while it lives, taking the finalizer away ends nothing
    assert (await api("PUT", path, body))[0] == 200
    assert (await api("GET", "/api/v1/namespaces/end"))[0] == 200
    await api("DELETE", "/api/v1/namespaces/end")
    assert (await api("PUT", path, body))[0] == 200
    assert (await api("GET", "/api/v1/namespaces/end"))[0] == 404


async def test_a_definition_waits_for_its_objects(api: Api):
    things = await api.define({"type": "object"})
    body: Json = {"apiVersion": "example.com/v1", "kind": "Thing"}
    held = {**body, "metadata": {"name": "x", "finalizers": [HOLD]}}
    assert (await api("POST", things, held))[0] == 201
    path = f"{DEFINITIONS}/things.example.com"
    await api("DELETE", path)
    _, waiting = await api("GET", path)
    assert waiting["metadata"]["deletionTimestamp"]
    assert (await api("GET", f"{things}/x"))[1]["metadata"]["deletionTimestamp"]
    await release(api, f"{things}/x")
    assert (await api("GET", path))[0] == 404
    assert (await api("GET", things))[0] == 404


async def test_a_definition_waits_for_finalizers_of_its_own(api: Api):
    await api.define({"type": "object"})
    path = f"{DEFINITIONS}/things.example.com"
    body = {"metadata": {"finalizers": [HOLD]}}
    assert (await api("PATCH", path, body, kind=MERGE))[0] == 200
    await api("DELETE", path)
    assert (await api("GET", path))[0] == 200
    await release(api, path)
    assert (await api("GET", path))[0] == 404


async def test_an_object_made_anew_starts_with_no_past(api: Api):
    first = await api.secret("a", finalizers=[HOLD])
    await api("DELETE", f"{SECRETS}/a")
    await release(api, f"{SECRETS}/a")
    second = await api.secret("a")
    assert second["metadata"]["uid"] != first["metadata"]["uid"]
    assert "deletionTimestamp" not in second["metadata"]
