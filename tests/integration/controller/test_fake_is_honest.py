"""The same checks over FakeCluster, FakeCluster by HTTP, and a real kube-apiserver: writes.

Where they differ, FakeCluster is wrong. Each ``test_fake_*.py`` beside it has another part.
"""

from __future__ import annotations

from typing import Any

import pytest
from tests.integration.controller.worlds import World


async def test_one_counter_numbers_every_write_and_no_write_that_changes_nothing(world: World):
    """H9."""
    first = await world.post(world.secrets, {"metadata": {"name": "a"}})
    second = await world.post(world.widgets, world.widget("b"))
    again = await world.put(f"{world.secrets}/a", first.json)
    assert int(second.version) > int(first.version)
    assert again.status == 200
    assert again.version == first.version


async def test_a_stale_update_is_a_conflict_and_says_so(world: World):
    old = await world.post(world.widgets, world.widget("a"))
    await world.merge(f"{world.widgets}/a", {"spec": {"size": 4}})
    stale = await world.put(f"{world.widgets}/a", {**old.json, "spec": {"name": "abc", "size": 5}})
    assert (stale.status, stale.json["reason"]) == (409, "Conflict")
    assert stale.json["message"] == (
        f'Operation cannot be fulfilled on widgets.{world.group} "a": the object has been '
        "modified; please apply your changes to the latest version and try again"
    )


async def test_a_merge_patch_with_a_stale_version_is_a_conflict(world: World):
    old = await world.post(world.secrets, {"metadata": {"name": "a"}})
    await world.merge(f"{world.secrets}/a", {"metadata": {"labels": {"x": "y"}}})
    body = {"metadata": {"resourceVersion": old.version, "labels": {"x": "z"}}}
    assert (await world.merge(f"{world.secrets}/a", body)).status == 409


async def test_an_update_of_a_custom_resource_needs_a_version(world: World):
    await world.post(world.widgets, world.widget("a"))
    answer = await world.put(f"{world.widgets}/a", world.widget("a"))
    assert answer.status == 422
    problem = "Invalid value: 0: must be specified for an update"
    assert answer.causes == {("metadata.resourceVersion", problem)}


async def test_a_secret_is_updated_without_a_version_and_a_lease_made_by_an_update(world: World):
    await world.post(world.secrets, {"metadata": {"name": "a"}})
    body = {"metadata": {"name": "a"}, "data": {"k": "YQ=="}}
    answer = await world.put(f"{world.secrets}/a", body)
    assert answer.status == 200
    assert (await world.put(f"{world.secrets}/b", {"metadata": {"name": "b"}})).status == 404
    assert (await world.put(f"{world.leases}/b", {"metadata": {"name": "b"}})).status == 201


async def test_the_server_alone_sets_uid_creation_time_and_generation(world: World):
    body = world.widget("a")
    body["metadata"] |= {"uid": "x", "creationTimestamp": "2020-01-01T00:00:00Z", "generation": 7}
    made = await world.post(world.widgets, body)
    assert made.meta["uid"] != "x"
    assert made.meta["creationTimestamp"] > "2026"
    assert made.meta["generation"] == 1


async def test_the_generation_counts_changes_of_the_spec_only(world: World):
    await world.post(world.widgets, world.widget("a"))
    path = f"{world.widgets}/a"
    labelled = await world.merge(path, {"metadata": {"labels": {"x": "y"}}})
    status = await world.merge(f"{path}/status", {"status": {"conditions": []}})
    changed = await world.merge(path, {"spec": {"size": 4}})
    generations = [answer.meta["generation"] for answer in (labelled, status, changed)]
    assert generations == [1, 1, 2]


async def test_the_status_subresource_writes_status_and_nothing_else(world: World):
    await world.post(world.widgets, world.widget("a", status={"conditions": []}))
    path = f"{world.widgets}/a"
    assert "status" not in (await world.get(path)).json
    conditions = [{"type": "Ready", "status": "True"}]
    body = {
        "status": {"conditions": conditions},
        "spec": {"size": 7},
        "metadata": {"labels": {"x": "y"}, "finalizers": ["a.b/c"]},
    }
    after = await world.merge(f"{path}/status", body)
    assert after.json["status"] == {"conditions": conditions, "observedGeneration": -1}
    assert after.json["spec"]["size"] == 3
    assert "labels" not in after.meta
    assert "finalizers" not in after.meta
    plain = await world.merge(path, {"status": {"conditions": []}, "spec": {"size": 5}})
    assert plain.json["status"]["conditions"] == conditions
    assert plain.json["spec"]["size"] == 5


async def test_nothing_is_made_in_a_namespace_that_is_missing(world: World):
    answer = await world.post("/api/v1/namespaces/missing/secrets", {"metadata": {"name": "a"}})
    assert answer.status == 404
    assert answer.json["message"] == 'namespaces "missing" not found'
    assert (await world.get("/api/v1/namespaces/missing/secrets")).names == []


async def test_a_generated_name_is_the_prefix_and_five_letters(world: World):
    body = {"metadata": {"generateName": "gen-"}}
    names = {(await world.post(world.secrets, body)).meta["name"] for _ in range(5)}
    assert len(names) == 5
    assert all(name.startswith("gen-") and len(name) == 9 for name in names)


@pytest.mark.parametrize("name", ["Upper", "under_score", "-dash", "a..b", "x" * 254])
async def test_names_must_be_subdomains(world: World, name: str):
    answer = await world.post(world.secrets, {"metadata": {"name": name}})
    assert answer.status == 422
    assert {field for field, _ in answer.causes} == {"metadata.name"}


async def test_what_exists_is_not_made_again(world: World):
    await world.post(world.widgets, world.widget("a"))
    answer = await world.post(world.widgets, world.widget("a"))
    assert (answer.status, answer.json["reason"]) == (409, "AlreadyExists")
    assert answer.json["details"] == {"name": "a", "group": world.group, "kind": "widgets"}


@pytest.mark.parametrize(
    "operation",
    [
        pytest.param({"op": "test", "path": "/spec/size", "value": 9}, id="test"),
        pytest.param({"op": "remove", "path": "/metadata/labels/x"}, id="remove-missing"),
        pytest.param({"op": "add", "path": "/spec/tags/0", "value": "a"}, id="no-parent"),
    ],
)
async def test_a_json_patch_that_does_not_fit_is_422_and_says_no_more(
    world: World, operation: dict[str, Any]
):
    """All that a guarded patch can tell a conflict by."""
    await world.post(world.widgets, world.widget("a"))
    answer = await world.patch(f"{world.widgets}/a", operation)
    assert (answer.status, answer.json["reason"]) == (422, "Invalid")
    expected = "the server rejected our request due to an error in our request"
    assert answer.json["message"] == expected
    assert answer.json["details"] == {}


async def test_a_json_patch_guards_and_adds_in_one_write(world: World):
    """H9: how a finalizer is added."""
    await world.post(world.widgets, world.widget("a"))
    path = f"{world.widgets}/a"
    guard = {"op": "test", "path": "/metadata/finalizers", "value": None}
    add = {"op": "add", "path": "/metadata/finalizers", "value": ["example.com/hold"]}
    assert (await world.patch(path, guard, add)).meta["finalizers"] == ["example.com/hold"]
    assert (await world.patch(path, guard, add)).status == 422
    here = {"op": "test", "path": "/metadata/finalizers/0", "value": "example.com/hold"}
    remove = {"op": "remove", "path": "/metadata/finalizers/0"}
    assert "finalizers" not in (await world.patch(path, here, remove)).meta


@pytest.mark.parametrize(
    ("operation", "status"),
    [
        pytest.param({"op": "remove", "path": "/spec/nope"}, 422, id="remove-missing"),
        pytest.param({"op": "replace", "path": "/spec/nope", "value": 1}, 200, id="replace"),
        pytest.param({"op": "test", "path": "/spec/nope", "value": None}, 200, id="test-missing"),
        pytest.param({"op": "add", "path": "/spec/tags/0", "value": "a"}, 422, id="no-parent"),
        pytest.param({"op": "wish", "path": "/spec"}, 422, id="unknown"),
    ],
)
async def test_json_patch_operations_at_missing_places(
    world: World, operation: dict[str, Any], status: int
):
    await world.post(world.widgets, world.widget("a"))
    assert (await world.patch(f"{world.widgets}/a", operation)).status == status


async def test_a_strategic_patch_is_for_built_in_kinds_only(world: World):
    await world.post(world.widgets, world.widget("a"))
    await world.post(world.secrets, {"metadata": {"name": "a"}})
    kind = "application/strategic-merge-patch+json"
    body = {"metadata": {"labels": {"x": "y"}}}
    refused = await world.call("PATCH", f"{world.widgets}/a", body, kind=kind)
    done = await world.call("PATCH", f"{world.secrets}/a", body, kind=kind)
    assert (refused.status, refused.json["reason"]) == (415, "UnsupportedMediaType")
    assert done.meta["labels"] == {"x": "y"}


async def test_an_apply_creates_then_merges(world: World):
    path = f"{world.widgets}/a"
    made = await world.apply(path, world.widget("a", rules=[{"name": "one"}]))
    assert made.status == 201
    manifest = world.widget("a", rules=[{"name": "one"}, {"name": "two"}], size=5)
    merged = await world.apply(path, manifest)
    assert merged.status == 200
    assert [rule["name"] for rule in merged.json["spec"]["rules"]] == ["one", "two"]
    assert merged.json["spec"]["size"] == 5
    assert merged.meta["uid"] == made.meta["uid"]


async def test_an_apply_needs_a_manager(world: World):
    answer = await world.apply(f"{world.widgets}/a", world.widget("a"), fieldManager="")
    assert answer.status == 422
    problem = "Required value: is required for apply patch"
    assert answer.causes == {("fieldManager", problem)}
