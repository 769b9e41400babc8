"""The same checks over FakeCluster, FakeCluster by HTTP, and a real kube-apiserver.

Where they differ, FakeCluster is wrong.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from tests.integration.controller.worlds import DEFINITIONS, World, define

from hybridpg.controller.testing import eventually

UNCHECKED = (
    "<nil>",
    "Invalid value: null: some validation rules were not checked because the object was invalid; "
    "correct the existing errors to complete validation",
)


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
    ("spec", "field", "problem", "blocks"),
    [
        pytest.param(
            {"name": "a"},
            "spec.name",
            'Invalid value: "a": spec.name in body should be at least 2 chars long',
            False,
            id="short",
        ),
        pytest.param(
            {"name": "ABC"},
            "spec.name",
            "Invalid value: \"ABC\": spec.name in body should match '^[a-z]+$'",
            False,
            id="pattern",
        ),
        pytest.param(
            {"name": "abcdefghijk"},
            "spec.name",
            "Too long: may not be more than 10 bytes",
            True,
            id="long",
        ),
        pytest.param({"name": None}, "spec.name", "Required value", True, id="required"),
        pytest.param(
            {"size": 0},
            "spec.size",
            "Invalid value: 0: spec.size in body should be greater than or equal to 1",
            False,
            id="minimum",
        ),
        pytest.param(
            {"size": "x"},
            "spec.size",
            'Invalid value: "string": spec.size in body must be of type integer: "string"',
            True,
            id="type",
        ),
        pytest.param(
            {"size": 1.5},
            "spec.size",
            'Invalid value: "number": spec.size in body must be of type integer: "number"',
            True,
            id="fraction",
        ),
        pytest.param(
            {"mode": "z"},
            "spec.mode",
            'Unsupported value: "z": supported values: "a", "b"',
            True,
            id="enum",
        ),
        pytest.param(
            {"when": "yesterday"},
            "spec.when",
            'Invalid value: "yesterday": spec.when in body must be of type date-time: "yesterday"',
            True,
            id="format",
        ),
        pytest.param(
            {"any": 1.5},
            "spec.any",
            'Invalid value: "number": spec.any in body must be of type integer,string: "number"',
            True,
            id="int-or-string",
        ),
        pytest.param(
            {"params": {"a": 1}},
            "spec.params.a",
            'Invalid value: "integer": spec.params.a in body must be of type string: "integer"',
            True,
            id="map",
        ),
        pytest.param(
            {"rules": [{"name": "a"}, {"name": "a"}]},
            "spec.rules[1]",
            'Duplicate value: {"name":"a"}',
            False,
            id="keys",
        ),
        pytest.param(
            {"tags": ["a", "b", "a"]}, "spec.tags[2]", 'Duplicate value: "a"', False, id="set"
        ),
        pytest.param(
            {"rules": [{"name": str(n)} for n in range(4)]},
            "spec.rules",
            "Too many: 4: must have at most 3 items",
            True,
            id="items",
        ),
        pytest.param({"rules": [{}]}, "spec.rules[0].name", "Required value", True, id="nested"),
        pytest.param(
            {"maybe": "no"},
            "spec.maybe",
            'Invalid value: "object": maybe must not be no',
            False,
            id="rule",
        ),
        pytest.param({"size": 10}, "spec", "Forbidden: too large", False, id="rule-reason"),
    ],
)
async def test_a_spec_that_is_wrong_is_refused_in_the_same_words(
    world: World, spec: dict[str, Any], field: str, problem: str, blocks: bool
):
    answer = await world.post(world.widgets, world.widget("a", **spec))
    assert (answer.status, answer.json["reason"]) == (422, "Invalid")
    assert answer.causes == ({(field, problem), UNCHECKED} if blocks else {(field, problem)})
    assert answer.json["message"].startswith(f'Widget.{world.group} "a" is invalid: ')


async def test_defaults_are_filled_in_at_every_depth(world: World):
    made = await world.post(world.widgets, world.widget("a", nested=None, maybe=None))
    assert made.json["spec"] == {
        "name": "abc",
        "size": 3,
        "mode": "a",
        "nested": {"depth": 1},
        "maybe": None,
    }


async def test_unknown_fields_are_pruned_with_a_warning(world: World):
    body = world.widget("a", foo=1, free={"kept": 1}, nested={"bar": 2})
    made = await world.post(world.widgets, body)
    assert made.json["spec"]["free"] == {"kept": 1}
    assert "foo" not in made.json["spec"]
    assert made.json["spec"]["nested"] == {"depth": 1}
    assert r"unknown field \"spec" in made.headers["warning"]


async def test_strict_validation_refuses_unknown_and_duplicate_fields(world: World):
    body = world.widget("a", foo=1, nested={"bar": 2})
    answer = await world.post(world.widgets, body, fieldValidation="Strict")
    assert answer.status == 400
    assert answer.json["message"] == (
        'Widget in version "v1" cannot be handled as a Widget: strict decoding error: '
        'unknown field "spec.foo", unknown field "spec.nested.bar"'
    )
    raw = json.dumps(world.widget("a")).replace('"name": "abc"', '"name": "abc", "name": "abd"')
    twice = await world.post(world.widgets, raw.encode(), fieldValidation="Strict")
    assert twice.status == 400
    assert twice.json["message"].endswith('strict decoding error: duplicate field "spec.name"')


async def test_ignored_validation_says_nothing(world: World):
    made = await world.post(world.widgets, world.widget("a", foo=1), fieldValidation="Ignore")
    assert made.status == 201
    assert "warning" not in made.headers


async def test_a_transition_rule_sees_the_old_object(world: World):
    await world.post(world.widgets, world.widget("a"))
    answer = await world.merge(f"{world.widgets}/a", {"spec": {"name": "abd"}})
    assert answer.causes == {("spec.name", 'Invalid value: "string": name is immutable')}


async def test_a_failed_test_of_a_json_patch_is_422_and_says_no_more(world: World):
    await world.post(world.widgets, world.widget("a"))
    test = {"op": "test", "path": "/spec/size", "value": 9}
    answer = await world.patch(f"{world.widgets}/a", test)
    assert (answer.status, answer.json["reason"]) == (422, "Invalid")
    expected = "the server rejected our request due to an error in our request"
    assert answer.json["message"] == expected


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


async def test_string_data_is_folded_into_data(world: World):
    body = {"metadata": {"name": "a"}, "data": {"k": "YQ=="}, "stringData": {"t": "b"}}
    made = await world.post(world.secrets, body)
    assert made.json["data"] == {"k": "YQ==", "t": "Yg=="}
    assert "stringData" not in made.json
    assert made.json["type"] == "Opaque"


async def test_what_a_secret_refuses(world: World):
    bad = await world.post(world.secrets, {"metadata": {"name": "a"}, "data": {"k": "!!"}})
    assert bad.status == 400
    assert "illegal base64 data at input byte 0" in bad.json["message"]
    await world.post(world.secrets, {"metadata": {"name": "a"}, "immutable": True})
    path = f"{world.secrets}/a"
    retyped = await world.merge(path, {"type": "other"})
    assert ("type", 'Invalid value: "other": field is immutable') in retyped.causes
    changed = await world.merge(path, {"data": {"k": "YQ=="}})
    problem = "Forbidden: field is immutable when `immutable` is set"
    assert changed.causes == {("data", problem)}


NEW_EVENT = {
    "metadata": {"name": "new"},
    "reason": "Created",
    "note": "it is there",
    "type": "Normal",
    "eventTime": "2026-01-01T00:00:00.000000Z",
    "action": "Create",
    "reportingController": "tests",
    "reportingInstance": "tests-1",
}


async def test_events_are_one_object_with_two_faces(world: World):
    about = {"kind": "Widget", "name": "a", "namespace": world.namespace, "uid": "u"}
    made = await world.post(world.new_events, {**NEW_EVENT, "regarding": about})
    assert made.status == 201
    old = await world.get(f"{world.events}/new")
    assert old.json["involvedObject"] == about
    assert old.json["message"] == "it is there"
    assert old.json["reportingComponent"] == "tests"
    found = await world.get(
        world.events, fieldSelector="involvedObject.name=a,involvedObject.uid=u"
    )
    assert found.names == ["new"]
    assert (await world.get(world.events, fieldSelector="involvedObject.name=b")).names == []
    series = {"count": 2, "lastObservedTime": "2026-01-01T00:00:01.000000Z"}
    again = await world.merge(f"{world.new_events}/new", {"series": series})
    assert again.json["series"] == series
    fixed = await world.merge(f"{world.new_events}/new", {"note": "changed"})
    assert fixed.causes == {("message", 'Invalid value: "changed": field is immutable')}


async def test_a_lease_checks_its_numbers(world: World):
    spec = {"leaseDurationSeconds": 0, "leaseTransitions": -1}
    answer = await world.post(world.leases, {"metadata": {"name": "a"}, "spec": spec})
    assert answer.status == 422
    fields = {field for field, _ in answer.causes}
    assert fields == {"spec.leaseDurationSeconds", "spec.leaseTransitions"}


async def labelled(world: World) -> None:
    for name in ("a", "b", "c"):
        labels: dict[str, str] = {"n": name} if name == "b" else {"n": name, "odd": "y"}
        await world.post(world.secrets, {"metadata": {"name": name, "labels": labels}})


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("odd", ["a", "c"]),
        ("!odd", ["b"]),
        ("n=a", ["a"]),
        ("n==a", ["a"]),
        ("n!=a,odd", ["c"]),
        ("n in (a,b)", ["a", "b"]),
        ("n notin (a, b)", ["c"]),
        ("n in ()", []),
        ("n>1", []),
    ],
)
async def test_label_selectors(world: World, selector: str, names: list[str]):
    await labelled(world)
    assert (await world.get(world.secrets, labelSelector=selector)).names == names


@pytest.mark.parametrize(
    ("selector", "problem"),
    [
        ("n=a=b", "found '=', expected: ',' or 'end of string'"),
        ("n in a", "unable to parse requirement: found 'a' expected: '('"),
        (",", "found ',', expected: !, identifier, or 'end of string'"),
    ],
)
async def test_label_selectors_that_do_not_parse(world: World, selector: str, problem: str):
    answer = await world.get(world.secrets, labelSelector=selector)
    assert (answer.status, answer.json["message"]) == (400, problem)


async def test_field_selectors(world: World):
    await labelled(world)
    assert (await world.get(world.secrets, fieldSelector="metadata.name=a")).names == ["a"]
    assert (await world.get(world.secrets, fieldSelector="metadata.name!=a")).names == ["b", "c"]
    assert (await world.get(world.secrets, fieldSelector="type=other")).names == []
    unknown = await world.get(world.widgets, fieldSelector="spec.size=3")
    assert unknown.json["message"] == "field label not supported: spec.size"
    rubbish = await world.get(world.widgets, fieldSelector="nope")
    assert rubbish.json["message"] == "invalid selector: 'nope'; can't understand 'nope'"


async def test_pages_show_one_moment(world: World):
    await labelled(world)
    first = await world.get(world.secrets, limit="2")
    assert first.names == ["a", "b"]
    assert first.meta["remainingItemCount"] == 1
    await world.delete(f"{world.secrets}/c")
    rest = await world.get(world.secrets, **{"limit": "2", "continue": first.meta["continue"]})
    assert rest.names == ["c"]
    assert rest.version == first.version
    assert not rest.meta.get("continue")


async def test_a_list_at_a_version_shows_that_version(world: World):
    made = await world.post(world.secrets, {"metadata": {"name": "a"}})
    await world.post(world.secrets, {"metadata": {"name": "b"}})
    exact = {"resourceVersion": made.version, "resourceVersionMatch": "Exact"}
    assert (await world.get(world.secrets, **exact)).names == ["a"]
    newer = {"resourceVersion": made.version, "resourceVersionMatch": "NotOlderThan"}
    assert (await world.get(world.secrets, **newer)).names == ["a", "b"]


@pytest.mark.parametrize(
    ("query", "status", "problem"),
    [
        ({"continue": "abc"}, 400, "invalid continue token: continue key is not valid"),
        ({"limit": "x"}, 400, 'strconv.ParseInt: parsing "x": invalid syntax'),
        ({"resourceVersion": "abc"}, 400, "invalid resource version"),
        ({"resourceVersionMatch": "Exact"}, 422, "forbidden unless resourceVersion is provided"),
        ({"resourceVersion": "1", "resourceVersionMatch": "Foo"}, 422, 'Unsupported value: "Foo"'),
        ({"resourceVersion": "0", "resourceVersionMatch": "Exact"}, 422, "is forbidden for"),
    ],
)
async def test_list_options_that_make_no_sense(
    world: World, query: dict[str, str], status: int, problem: str
):
    answer = await world.get(world.secrets, **query)
    assert answer.status == status
    assert problem in answer.json["message"]


async def test_a_watch_from_a_version_sees_every_change_after_it(world: World):
    made = await world.post(world.secrets, {"metadata": {"name": "a"}})
    await world.merge(f"{world.secrets}/a", {"metadata": {"labels": {"x": "y"}}})
    await world.post(world.secrets, {"metadata": {"name": "b"}})
    await world.delete(f"{world.secrets}/a")
    seen = await world.watched(world.secrets, resourceVersion=made.version)
    assert seen == [("MODIFIED", "a"), ("ADDED", "b"), ("DELETED", "a")]


async def test_a_watch_without_a_version_begins_with_what_is_there(world: World):
    await world.post(world.secrets, {"metadata": {"name": "a"}})
    assert await world.watched(world.secrets) == [("ADDED", "a")]


async def test_a_selective_watch_sees_objects_come_and_go(world: World):
    made = await world.post(world.secrets, {"metadata": {"name": "a"}})
    await world.merge(f"{world.secrets}/a", {"metadata": {"labels": {"x": "y"}}})
    await world.merge(f"{world.secrets}/a", {"metadata": {"labels": {"x": None}}})
    seen = await world.watched(world.secrets, resourceVersion=made.version, labelSelector="x")
    assert seen == [("ADDED", "a"), ("DELETED", "a")]


async def test_a_deletion_carries_a_version_of_its_own(world: World):
    made = await world.post(world.secrets, {"metadata": {"name": "a"}})
    await world.delete(f"{world.secrets}/a")
    query = {"resourceVersion": made.version, "timeoutSeconds": "1"}
    events = [event async for event in world.watch(world.secrets, **query)]
    assert [event["type"] for event in events] == ["DELETED"]
    assert int(events[0]["object"]["metadata"]["resourceVersion"]) > int(made.version)


async def test_a_streaming_list_ends_with_a_marked_bookmark(world: World):
    await world.post(world.widgets, world.widget("a"))
    query = {
        "timeoutSeconds": "2",
        "sendInitialEvents": "true",
        "resourceVersionMatch": "NotOlderThan",
        "allowWatchBookmarks": "true",
    }
    events = [event async for event in world.watch(world.widgets, **query)]
    assert [event["type"] for event in events[:2]] == ["ADDED", "BOOKMARK"]
    bookmark = events[1]["object"]
    assert bookmark["kind"] == "Widget"
    assert bookmark["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ({"sendInitialEvents": "true"}, "requires setting resourceVersionMatch to NotOlderThan"),
        ({"resourceVersionMatch": "NotOlderThan"}, "unless sendInitialEvents is provided"),
    ],
)
async def test_watch_options_that_make_no_sense(world: World, query: dict[str, str], problem: str):
    answer = await world.get(world.secrets, watch="true", timeoutSeconds="1", **query)
    assert answer.status == 422
    assert problem in answer.json["message"]


async def test_a_table_has_the_columns_of_the_definition(world: World):
    await world.post(world.widgets, world.widget("a", size=4))
    status = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    await world.merge(f"{world.widgets}/a/status", status)
    answer = await world.transport.request(
        "GET", world.widgets, headers=(("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io"),)
    )
    table = json.loads(answer.body)
    assert table["kind"] == "Table"
    assert [column["name"] for column in table["columnDefinitions"]] == ["Name", "Size", "Ready"]
    assert table["rows"][0]["cells"] == ["a", 4, "True"]
    assert table["rows"][0]["object"]["metadata"]["name"] == "a"


async def test_discovery_names_the_new_kind(world: World):
    answer = await world.get(f"/apis/{world.group}/v1")
    names = {entry["name"]: entry for entry in answer.json["resources"]}
    assert set(names) == {"widgets", "widgets/status"}
    assert names["widgets"]["shortNames"] == ["wi"]
    assert names["widgets"]["singularName"] == "widget"
    group = await world.get(f"/apis/{world.group}")
    assert group.json["preferredVersion"] == {"groupVersion": f"{world.group}/v1", "version": "v1"}


async def test_a_definition_is_established(world: World):
    path = f"{DEFINITIONS}/widgets.{world.group}"
    answer = await world.get(path)
    conditions = {c["type"]: c["status"] for c in answer.json["status"]["conditions"]}
    assert conditions == {"NamesAccepted": "True", "Established": "True"}
    assert answer.json["status"]["storedVersions"] == ["v1"]
    assert answer.json["spec"]["names"]["listKind"] == "WidgetList"


async def test_the_objects_of_a_definition_go_with_it(world: World):
    world.use_group(f"{world.namespace}.example.com")
    await define(world)
    await world.post(world.widgets, world.widget("a"))
    path = f"{DEFINITIONS}/widgets.{world.group}"
    deleted = await world.delete(path)
    assert deleted.meta["finalizers"] == ["customresourcecleanup.apiextensions.k8s.io"]
    await eventually(lambda: gone(world, path), seconds=30)
    await eventually(lambda: gone(world, world.widgets), seconds=30)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/apis/nope.example.com/v1/things", 404),
        ("/api/v1/nopes", 404),
        ("/nope", 404),
        ("/readyz", 200),
    ],
)
async def test_paths_beside_the_objects(world: World, path: str, status: int):
    assert (await world.get(path)).status == status


async def test_a_collection_is_deleted_by_selector(world: World):
    await labelled(world)
    answer = await world.delete(world.secrets, labelSelector="odd")
    assert answer.status == 200
    assert (await world.get(world.secrets)).names == ["b"]
