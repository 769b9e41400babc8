"""Server-side apply in every world: who owns what, conflicts, and what goes when nobody wants it.

Where a world differs, FakeCluster is wrong.
"""

from __future__ import annotations

from typing import Any

import pytest
from tests.integration.controller.worlds import Answer, Json, World

MERGE = "application/merge-patch+json"


def owners(answer: Answer) -> dict[tuple[str, str, str], Json]:
    """Return fields by manager, operation and subresource."""
    return {
        (entry["manager"], entry["operation"], entry.get("subresource", "")): entry["fieldsV1"]
        for entry in answer.meta.get("managedFields") or ()
    }


def of(answer: Answer, manager: str, operation: str = "Apply", subresource: str = "") -> Json:
    return owners(answer)[manager, operation, subresource]


async def apply(world: World, manager: str, /, *, force: bool = False, **spec: Any) -> Answer:
    """Apply a widget ``a`` with this spec."""
    manifest = {**world.widget("a"), "spec": {"name": "abc", **spec}}
    query = {"force": "true"} if force else {}
    return await world.apply(f"{world.widgets}/a", manifest, fieldManager=manager, **query)


async def test_an_applier_owns_what_it_names_and_no_defaults(world: World):
    made = await apply(world, "m1", params={"k": "v"}, tags=["x"], rules=[{"name": "r"}])
    assert made.status == 201
    assert made.json["spec"]["size"] == 3
    entry = made.meta["managedFields"][0]
    assert (entry["fieldsType"], entry["apiVersion"]) == ("FieldsV1", f"{world.group}/v1")
    assert of(made, "m1") == {
        "f:spec": {
            "f:name": {},
            "f:params": {"f:k": {}},
            "f:rules": {'k:{"name":"r"}': {".": {}, "f:name": {}}},
            "f:tags": {'v:"x"': {}},
        }
    }


async def test_an_apply_that_changes_nothing_writes_nothing(world: World):
    made = await apply(world, "m1", size=4)
    again = await apply(world, "m1", size=4)
    assert (again.status, again.version) == (200, made.version)
    assert again.meta["managedFields"] == made.meta["managedFields"]


async def test_equal_values_are_owned_together(world: World):
    await apply(world, "m1", size=4)
    both = await apply(world, "m2", size=4)
    assert both.status == 200
    assert of(both, "m1") == of(both, "m2") == {"f:spec": {"f:name": {}, "f:size": {}}}


async def test_a_conflict_names_the_owner_and_the_field(world: World):
    await apply(world, "m1", size=4)
    refused = await apply(world, "m2", size=5)
    assert (refused.status, refused.json["reason"]) == (409, "Conflict")
    text = 'Apply failed with 1 conflict: conflict with "m1": .spec.size'
    assert refused.json["message"] == text
    assert refused.json["details"]["causes"] == [
        {
            "reason": "FieldManagerConflict",
            "message": 'conflict with "m1"',
            "field": ".spec.size",
        }
    ]


async def test_several_conflicts_are_listed_by_owner(world: World):
    await apply(world, "m1", size=4, rules=[{"name": "r", "ip": "1.1.1.1"}])
    await apply(world, "m2", mode="b")
    refused = await apply(world, "m3", size=5, mode="a", rules=[{"name": "r", "ip": "2.2.2.2"}])
    assert refused.json["message"].splitlines() == [
        'Apply failed with 3 conflicts: conflicts with "m1":',
        "- .spec.size",
        '- .spec.rules[name="r"].ip',
        'conflicts with "m2":',
        "- .spec.mode",
    ]


async def test_a_conflict_with_an_updater_names_its_version(world: World):
    await apply(world, "m1", size=4)
    patch = {"spec": {"size": 5}}
    await world.merge(f"{world.widgets}/a", patch, fieldManager="kubectl-edit")
    refused = await apply(world, "m1", size=4)
    owner = f'conflict with "kubectl-edit" using {world.group}/v1'
    assert refused.json["details"]["causes"][0]["message"] == owner


async def test_force_takes_the_field_over(world: World):
    await apply(world, "m1", size=4)
    forced = await apply(world, "m2", force=True, size=5)
    assert forced.json["spec"]["size"] == 5
    assert of(forced, "m1") == {"f:spec": {"f:name": {}}}
    assert of(forced, "m2") == {"f:spec": {"f:name": {}, "f:size": {}}}


async def test_what_the_last_applier_stops_naming_goes(world: World):
    rules = [{"name": "r1", "ip": "1.1.1.1"}, {"name": "r2"}]
    await apply(world, "m1", tags=["x", "y"], params={"a": "1", "b": "2"}, rules=rules)
    await apply(world, "m2", tags=["y"], params={"b": "2"})
    left = await apply(world, "m1", rules=[{"name": "r1"}])
    spec = left.json["spec"]
    assert spec["tags"] == ["y"]
    assert spec["params"] == {"b": "2"}
    assert spec["rules"] == [{"name": "r1"}]
    gone = await apply(world, "m2")
    assert "tags" not in gone.json["spec"]
    assert "params" not in gone.json["spec"]


async def test_what_an_updater_wrote_stays_when_an_applier_stops_naming_it(world: World):
    await apply(world, "m1", params={"a": "1"})
    patch = {"spec": {"params": {"b": "2"}}}
    await world.merge(f"{world.widgets}/a", patch, fieldManager="up")
    left = await apply(world, "m1")
    assert left.json["spec"]["params"] == {"b": "2"}


async def test_a_defaulted_field_comes_back_with_its_default(world: World):
    await apply(world, "m1", size=9)
    assert (await apply(world, "m1")).json["spec"]["size"] == 3


async def test_a_free_object_is_taken_apart_and_its_lists_are_not(world: World):
    made = await apply(world, "m1", free={"x": {"y": 1}, "l": [1, 2]})
    fields: Json = {"f:free": {"f:l": {}, "f:x": {".": {}, "f:y": {}}}, "f:name": {}}
    assert of(made, "m1")["f:spec"] == fields


async def test_labels_finalizers_and_owners_are_owned_one_by_one(world: World):
    uid = "11111111-1111-4111-8111-111111111111"
    reference = {"apiVersion": "v1", "kind": "Secret", "name": "gone", "uid": uid}
    manifest = world.widget("a")
    manifest["metadata"] |= {"labels": {"l": "1"}, "finalizers": ["example.com/x"]}
    made = await world.apply(f"{world.widgets}/a", manifest, fieldManager="m1")
    assert of(made, "m1")["f:metadata"] == {
        "f:finalizers": {'v:"example.com/x"': {}},
        "f:labels": {"f:l": {}},
    }
    other = world.widget("a")
    other["metadata"] |= {"finalizers": ["example.com/y"], "ownerReferences": [reference]}
    grown = await world.apply(f"{world.widgets}/a", other, fieldManager="m2")
    assert set(grown.meta["finalizers"]) == {"example.com/x", "example.com/y"}
    assert of(grown, "m2")["f:metadata"]["f:ownerReferences"] == {f'k:{{"uid":"{uid}"}}': {}}
    left = await world.apply(f"{world.widgets}/a", world.widget("a"), fieldManager="m1")
    assert left.meta["finalizers"] == ["example.com/y"]
    assert "labels" not in left.meta
    await world.merge(f"{world.widgets}/a", {"metadata": {"finalizers": None}})


async def test_creates_and_updates_are_recorded_by_manager(world: World):
    body = {"metadata": {"name": "s", "labels": {"a": "b"}}, "stringData": {"x": "y"}}
    made = await world.post(world.secrets, body, fieldManager="c1")
    assert of(made, "c1", "Update") == {
        "f:data": {".": {}, "f:x": {}},
        "f:metadata": {"f:labels": {".": {}, "f:a": {}}},
        "f:type": {},
    }
    more = {"metadata": {"name": "s"}, "data": {"x": "eg==", "z": "eg=="}}
    changed = await world.put(f"{world.secrets}/s", more, fieldManager="c2")
    assert of(changed, "c2", "Update") == {"f:data": {"f:x": {}, "f:z": {}}}
    assert of(changed, "c1", "Update") == {"f:data": {}, "f:type": {}}


async def test_the_user_agent_names_the_manager_where_nothing_else_does(world: World):
    await world.post(world.secrets, {"metadata": {"name": "s"}})
    headers = (("User-Agent", "tester/1.0 (linux)"), ("Content-Type", MERGE))
    body = b'{"metadata": {"labels": {"a": "b"}}}'
    path = f"{world.secrets}/s"
    raw = await world.transport.request("PATCH", path, headers=headers, body=body)
    assert ("tester", "Update", "") in owners(Answer(raw.status, raw.headers, raw.body))


async def test_a_status_is_owned_by_its_endpoint(world: World):
    await apply(world, "m1", size=4)
    manifest = world.widget("a", status={"conditions": [{"type": "Ready", "status": "True"}]})
    path = f"{world.widgets}/a/status"
    done = await world.apply(path, manifest, fieldManager="m1")
    ready: Json = {'k:{"type":"Ready"}': {".": {}, "f:status": {}, "f:type": {}}}
    assert of(done, "m1", subresource="status") == {"f:status": {"f:conditions": ready}}
    other = world.widget("a", status={"conditions": [{"type": "Ready", "status": "False"}]})
    refused = await world.apply(path, other, fieldManager="m2")
    cause = refused.json["details"]["causes"][0]
    assert cause["message"] == 'conflict with "m1" with subresource "status"'
    assert cause["field"] == '.status.conditions[type="Ready"].status'


async def test_a_status_in_the_manifest_of_the_object_is_not_owned(world: World):
    manifest = world.widget("a", status={"observedGeneration": 7})
    made = await world.apply(f"{world.widgets}/a", manifest, fieldManager="m1")
    assert "f:status" not in of(made, "m1")
    assert made.json.get("status", {}).get("observedGeneration") != 7


async def test_managed_fields_may_be_emptied_and_are_then_not_kept(world: World):
    await apply(world, "m1", size=4)
    path = f"{world.widgets}/a"
    emptied = await world.merge(path, {"metadata": {"managedFields": [{}]}})
    assert "managedFields" not in emptied.meta
    changed = await world.merge(path, {"spec": {"size": 5}}, fieldManager="up")
    assert "managedFields" not in changed.meta


async def test_everything_before_the_first_apply_has_an_owner_of_that_name(world: World):
    await world.post(world.secrets, {"metadata": {"name": "s"}, "data": {"k": "YQ=="}})
    path = f"{world.secrets}/s"
    await world.merge(path, {"metadata": {"managedFields": [{}]}})
    manifest = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}
    applied = await world.apply(path, {**manifest, "data": {"n": "YQ=="}}, fieldManager="m1")
    assert of(applied, "m1") == {"f:data": {"f:n": {}}}
    first = of(applied, "before-first-apply", "Update")
    assert first["f:data"] == {".": {}, "f:k": {}}


async def test_managed_fields_left_out_or_unreadable_stay(world: World):
    made = await apply(world, "m1", size=4)
    path = f"{world.widgets}/a"
    bare = {**made.json, "metadata": {**made.meta, "managedFields": []}}
    assert (await world.put(path, bare)).meta["managedFields"] == made.meta["managedFields"]
    bad = {"op": "replace", "path": "/metadata/managedFields/0/operation", "value": "Foo"}
    kept = await world.patch(path, bad)
    assert owners(kept).keys() == owners(made).keys()


async def test_the_oldest_of_too_many_updaters_are_merged(world: World):
    await world.post(world.secrets, {"metadata": {"name": "s"}}, fieldManager="maker")
    for at in range(12):
        body = {"metadata": {"labels": {f"l{at}": "x"}}}
        last = await world.merge(f"{world.secrets}/s", body, fieldManager=f"u{at:02}")
    updaters = {name for name, _, _ in owners(last)}
    assert len(updaters) == 10
    assert "ancient-changes" in updaters


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ({"bogus": 1}, ".spec.bogus: field not declared in schema"),
        ({"size": "x"}, ".spec.size: expected numeric (int or float), got string"),
        ({"rules": {}}, ".spec.rules: expected list, got &{map[]}"),
        ({"tags": ["a", "a"]}, '.spec.tags: duplicate entries for key [="a"]'),
        ({"rules": [{"name": "a"}] * 2}, '.spec.rules: duplicate entries for key [name="a"]'),
        ({"rules": [{"ip": "1.1.1.1"}]}, ".spec.rules: element 0: associative list with keys has"),
    ],
)
async def test_a_manifest_must_fit_the_schema(world: World, spec: Json, problem: str):
    refused = await apply(world, "m1", **spec)
    start = f"failed to create typed patch object (/a; {world.group}/v1, Kind=Widget): {problem}"
    assert refused.status == 500
    assert refused.json["message"].startswith(start)


async def test_managed_fields_in_a_manifest_are_refused(world: World):
    manifest = world.widget("a")
    manifest["metadata"]["managedFields"] = [{"manager": "x"}]
    refused = await world.apply(f"{world.widgets}/a", manifest)
    assert (refused.status, refused.json["message"]) == (400, "metadata.managedFields must be nil")


async def test_an_invalid_result_is_refused_as_for_any_write(world: World):
    refused = await apply(world, "m1", size=11)
    assert (refused.status, refused.json["reason"]) == (422, "Invalid")
    assert (await world.get(f"{world.widgets}/a")).status == 404


async def test_a_stale_version_in_a_manifest_is_a_conflict(world: World):
    made = await apply(world, "m1")
    await apply(world, "m1", size=4)
    manifest = world.widget("a")
    manifest["metadata"]["resourceVersion"] = made.version
    refused = await world.apply(f"{world.widgets}/a", manifest, fieldManager="m1")
    assert refused.status == 409
    assert "the object has been modified" in refused.json["message"]


async def test_a_status_cannot_be_applied_to_what_is_not_there(world: World):
    manifest = world.widget("a", status={"observedGeneration": 1})
    assert (await world.apply(f"{world.widgets}/a/status", manifest)).status == 404


@pytest.mark.parametrize(
    ("manager", "problem"),
    [
        ("u" * 129, "Too long: may not be more than 128 bytes"),
        ("u\x01", 'Invalid value: "u\\x01": invalid character U+0001 (at position 1)'),
    ],
)
async def test_a_manager_has_a_printable_name_of_some_length(
    world: World, manager: str, problem: str
):
    await world.post(world.secrets, {"metadata": {"name": "s"}})
    body = {"metadata": {"labels": {"a": "b"}}}
    refused = await world.merge(f"{world.secrets}/s", body, fieldManager=manager)
    assert refused.causes == {("fieldManager", problem)}
