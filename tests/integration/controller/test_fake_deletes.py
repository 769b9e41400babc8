"""A delete, what it waits for and what goes with it: in FakeCluster as on a real kube-apiserver."""

from __future__ import annotations

import asyncio

import pytest
from tests.integration.controller.worlds import DEFINITIONS, World, define

from hybridpg.controller.testing import eventually


async def test_a_finalizer_holds_an_object_that_is_deleted(world: World):
    """H9, C30."""
    body = world.widget("a")
    body["metadata"]["finalizers"] = ["example.com/hold"]
    await world.post(world.widgets, body)
    path = f"{world.widgets}/a"
    deleted = await world.delete(path)
    assert deleted.status == 200
    assert deleted.meta["deletionTimestamp"]
    assert deleted.meta["generation"] == 2
    assert (await world.delete(path)).version == deleted.version
    more = await world.merge(path, {"metadata": {"finalizers": ["example.com/hold", "b.c/d"]}})
    assert more.status == 422
    assert "no new finalizers can be added" in more.json["message"]
    assert (await world.merge(path, {"metadata": {"finalizers": None}})).status == 200
    assert (await world.get(path)).status == 404


@pytest.mark.parametrize(
    ("preconditions", "problem"),
    [
        pytest.param({"uid": "other"}, "the UID in the precondition (other)", id="uid"),
        pytest.param(
            {"resourceVersion": "1"}, "the ResourceVersion in the precondition (1)", id="version"
        ),
    ],
)
async def test_a_delete_checks_its_preconditions(
    world: World, preconditions: dict[str, str], problem: str
):
    await world.post(world.widgets, world.widget("a"))
    answer = await world.delete(f"{world.widgets}/a", {"preconditions": preconditions})
    assert answer.status == 409
    assert problem in answer.json["message"]
    assert (await world.get(f"{world.widgets}/a")).status == 200


async def test_a_delete_that_takes_effect_answers_with_a_status(world: World):
    made = await world.post(world.secrets, {"metadata": {"name": "a"}})
    answer = await world.delete(f"{world.secrets}/a", {"preconditions": {"uid": made.meta["uid"]}})
    assert answer.json["status"] == "Success"
    assert answer.json["details"] == {"name": "a", "kind": "secrets", "uid": made.meta["uid"]}


async def test_unknown_propagation_policies_are_refused(world: World):
    await world.post(world.secrets, {"metadata": {"name": "a"}})
    answer = await world.delete(f"{world.secrets}/a", {"propagationPolicy": "Whatever"})
    assert answer.status == 422
    assert answer.json["details"]["causes"][0]["field"] == "propagationPolicy"


async def test_dependents_of_a_deleted_owner_are_collected(world: World):
    """C30."""
    collecting(world)
    owner = await world.post(world.secrets, {"metadata": {"name": "owner"}})
    await world.post(world.secrets, world.owned("mine", owner.json))
    await world.post(world.secrets, {"metadata": {"name": "free"}})
    await world.delete(f"{world.secrets}/owner")
    await eventually(lambda: gone(world, f"{world.secrets}/mine"), seconds=30)
    assert (await world.get(f"{world.secrets}/free")).status == 200


async def test_a_dependent_of_an_owner_that_is_long_gone_is_collected(world: World):
    collecting(world)
    owner = await world.post(world.secrets, {"metadata": {"name": "owner"}})
    await world.delete(f"{world.secrets}/owner")
    await world.post(world.secrets, world.owned("late", owner.json))
    await eventually(lambda: gone(world, f"{world.secrets}/late"), seconds=30)


async def test_a_dependent_with_another_owner_stays_and_loses_the_reference(world: World):
    collecting(world)
    first = await world.post(world.secrets, {"metadata": {"name": "first"}})
    second = await world.post(world.secrets, {"metadata": {"name": "second"}})
    body = world.owned("shared", first.json)
    references = world.owned("shared", second.json)["metadata"]["ownerReferences"]
    body["metadata"]["ownerReferences"] += references
    await world.post(world.secrets, body)
    await world.delete(f"{world.secrets}/first")

    async def released() -> bool:
        left = (await world.get(f"{world.secrets}/shared")).meta["ownerReferences"]
        return [reference["name"] for reference in left] == ["second"]

    await eventually(released, seconds=30)


async def test_orphans_stay_without_their_reference(world: World):
    collecting(world)
    owner = await world.post(world.secrets, {"metadata": {"name": "owner"}})
    await world.post(world.secrets, world.owned("child", owner.json))
    # a real collector learns of the dependent by its own watch
    await asyncio.sleep(0 if world.in_memory else 1)
    await world.delete(f"{world.secrets}/owner", {"propagationPolicy": "Orphan"})
    await eventually(lambda: gone(world, f"{world.secrets}/owner"), seconds=30)
    assert "ownerReferences" not in (await world.get(f"{world.secrets}/child")).meta


async def test_a_foreground_delete_waits_for_the_dependents_that_block_it(world: World):
    collecting(world)
    owner = await world.post(world.secrets, {"metadata": {"name": "owner"}})
    child = world.owned("child", owner.json, blockOwnerDeletion=True)
    child["metadata"]["finalizers"] = ["example.com/hold"]
    await world.post(world.secrets, child)
    await asyncio.sleep(0 if world.in_memory else 1)
    deleted = await world.delete(f"{world.secrets}/owner", propagationPolicy="Foreground")
    assert deleted.meta["finalizers"] == ["foregroundDeletion"]

    async def child_is_deleted() -> bool:
        return "deletionTimestamp" in (await world.get(f"{world.secrets}/child")).meta

    await eventually(child_is_deleted, seconds=30)
    assert (await world.get(f"{world.secrets}/owner")).status == 200
    await world.merge(f"{world.secrets}/child", {"metadata": {"finalizers": None}})
    await eventually(lambda: gone(world, f"{world.secrets}/owner"), seconds=30)


async def test_the_end_of_a_namespace_takes_its_contents_and_waits_for_finalizers(world: World):
    collecting(world)
    name = f"{world.namespace}-end"
    await world.post("/api/v1/namespaces", {"metadata": {"name": name}})
    secrets = f"/api/v1/namespaces/{name}/secrets"
    held = {"metadata": {"name": "held", "finalizers": ["example.com/hold"]}}
    assert (await world.post(secrets, held)).status == 201
    assert (await world.post(secrets, {"metadata": {"name": "free"}})).status == 201
    ending = await world.delete(f"/api/v1/namespaces/{name}")
    assert ending.json["status"]["phase"] == "Terminating"
    refused = await world.post(secrets, {"metadata": {"name": "late"}})
    assert refused.status == 403
    assert refused.json["details"]["causes"][0]["reason"] == "NamespaceTerminating"
    await eventually(lambda: gone(world, f"{secrets}/free"), seconds=30)
    assert (await world.get(f"/api/v1/namespaces/{name}")).status == 200
    await world.merge(f"{secrets}/held", {"metadata": {"finalizers": None}})
    await eventually(lambda: gone(world, f"/api/v1/namespaces/{name}"), seconds=30)


@pytest.mark.parametrize("name", ["default", "kube-system"])
async def test_the_namespaces_of_the_cluster_cannot_be_deleted(world: World, name: str):
    answer = await world.delete(f"/api/v1/namespaces/{name}")
    assert (answer.status, answer.json["reason"]) == (403, "Forbidden")
    assert (await world.get(f"/api/v1/namespaces/{name}")).meta["uid"]


def collecting(world: World) -> None:
    if not world.collects_garbage:
        pytest.skip("this control plane has no controller manager")


async def gone(world: World, path: str) -> bool:
    return (await world.get(path)).status == 404


async def test_the_objects_of_a_definition_go_with_it(world: World):
    world.use_group(f"{world.namespace}.example.com")
    await define(world)
    await world.post(world.widgets, world.widget("a"))
    path = f"{DEFINITIONS}/widgets.{world.group}"
    deleted = await world.delete(path)
    assert deleted.meta["finalizers"] == ["customresourcecleanup.apiextensions.k8s.io"]
    await eventually(lambda: gone(world, path), seconds=30)
    await eventually(lambda: gone(world, world.widgets), seconds=30)
