"""The verbs: dry runs, options, metadata that is refused, applies and collections."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.controller.testing.conftest import DEFINITIONS, SECRETS, THINGS, Api, Json

from hybridpg.controller.testing import FakeCluster

pytestmark = pytest.mark.virtual_time
MERGE = "application/merge-patch+json"
PATCH = "application/json-patch+json"
APPLY = "application/apply-patch+yaml"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
MAPS = "/api/v1/namespaces/default/configmaps"
EVENTS = "/apis/events.k8s.io/v1/namespaces/default/events"
IMMUTABLE = "field is immutable when `immutable` is set"


async def merge(api: Api, path: str, body: Any, **query: str) -> tuple[int, Json]:
    return await api("PATCH", path, body, kind=MERGE, **query)


async def test_dry_runs_answer_as_if_and_write_nothing(api: Api, cluster: FakeCluster):
    await api.secret("a")
    version = cluster.resource_version
    new: Json = {"metadata": {"name": "b"}}
    changed = {"metadata": {"name": "a", "labels": {"x": "y"}}}
    applied = {"apiVersion": "v1", "kind": "Secret", **new}
    assert (await api("POST", SECRETS, new, dryRun="All"))[1]["metadata"]["uid"]
    for status, answer in (
        await api("PUT", f"{SECRETS}/a", changed, dryRun="All"),
        await merge(api, f"{SECRETS}/a", changed, dryRun="All"),
    ):
        assert (status, answer["metadata"]["labels"]) == (200, {"x": "y"})
    query = {"dryRun": "All", "fieldManager": "m"}
    assert (await api("PATCH", f"{SECRETS}/b", applied, kind=APPLY, **query))[0] == 201
    assert (await api("DELETE", f"{SECRETS}/a", dryRun="All"))[1]["status"] == "Success"
    assert (await api("DELETE", SECRETS, dryRun="All"))[0] == 200
    assert cluster.resource_version == version
    assert (await api("GET", f"{SECRETS}/b"))[0] == 404
    assert "labels" not in (await api("GET", f"{SECRETS}/a"))[1]["metadata"]


async def test_a_dry_run_is_refused_for_the_same_reasons(api: Api):
    await api.secret("a")
    assert (await api("POST", SECRETS, {"metadata": {"name": "a"}}, dryRun="All"))[0] == 409
    assert (await api("POST", SECRETS, {"metadata": {"name": "A"}}, dryRun="All"))[0] == 422


@pytest.mark.parametrize(
    ("meta", "field", "problem"),
    [
        (
            {"deletionTimestamp": "2026-01-01T00:00:00Z"},
            "metadata.deletionTimestamp",
            'Invalid value: "2026-01-01T00:00:00Z": field is immutable',
        ),
        ({"uid": "u"}, "metadata.uid", 'Invalid value: "u": field is immutable'),
        ({"labels": {"a b": ""}}, "metadata.labels", 'Invalid value: "a b": name part must'),
        ({"labels": {"a": "b c"}}, "metadata.labels", 'Invalid value: "b c": a valid label must'),
        ({"annotations": {"a b": ""}}, "metadata.annotations", 'Invalid value: "a b": name part'),
        (
            {"annotations": {"a": "x" * 262_144}},
            "metadata.annotations",
            "Too long: may not be more than 262144 bytes",
        ),
        ({"finalizers": ["a/b/c"]}, "metadata.finalizers", 'Invalid value: "a/b/c": a qualified'),
    ],
)
async def test_metadata_that_is_refused(api: Api, meta: Json, field: str, problem: str):
    await api.secret("a")
    status, answer = await merge(api, f"{SECRETS}/a", {"metadata": meta})
    assert (status, answer["details"]["causes"][0]["field"]) == (422, field)
    assert answer["details"]["causes"][0]["message"].startswith(problem)


async def test_owner_references_must_be_complete(api: Api):
    status, answer = await api(
        "POST", SECRETS, {"metadata": {"name": "a", "ownerReferences": [{"uid": "u"}]}}
    )
    assert status == 422
    assert {(c["field"], c["message"]) for c in answer["details"]["causes"]} == {
        ("metadata.ownerReferences.apiVersion", 'Invalid value: "": version must not be empty'),
        ("metadata.ownerReferences.kind", 'Invalid value: "": must not be empty'),
        ("metadata.ownerReferences.name", 'Invalid value: "": must not be empty'),
    }


async def test_only_one_owner_controls(api: Api):
    references = [
        {"apiVersion": "v1", "kind": "X", "name": name, "uid": name, "controller": True}
        for name in "ab"
    ]
    body = {"metadata": {"name": "c", "ownerReferences": references}}
    status, answer = await api("POST", SECRETS, body)
    assert status == 422
    assert answer["message"].endswith(
        "]: Only one reference can have Controller set to true. Found "
        '"true" in references for X/a and X/b'
    )


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"metadata": {"name": "b"}}, 400),
        ({"metadata": {"name": ""}}, 400),
        ({"metadata": {"namespace": "b"}}, 400),
        ({"metadata": {"resourceVersion": "x"}}, 500),
        ({"metadata": {"resourceVersion": "1"}}, 409),
        ({"apiVersion": "v2"}, 422),
        ({"kind": "X"}, 422),
        ({"metadata": {"generation": 7, "creationTimestamp": None, "selfLink": "x"}}, 200),
    ],
)
async def test_what_a_patch_may_say_about_identity(api: Api, change: Json, status: int):
    made = await api.secret("a")
    found, answer = await merge(api, f"{SECRETS}/a", change)
    assert found == status, answer
    assert (await api("GET", f"{SECRETS}/a"))[1] == made


async def test_an_update_of_another_uid_is_a_conflict(api: Api):
    await api.secret("a")
    status, answer = await api("PUT", f"{SECRETS}/a", {"metadata": {"name": "a", "uid": "u"}})
    assert (status, answer["reason"]) == (409, "Conflict")
    assert "Precondition failed: UID in precondition: u, UID in object meta: " in answer["message"]


@pytest.mark.parametrize(
    ("operations", "status", "message"),
    [
        ([1], 400, "cannot unmarshal number into Go value of type handlers.jsonPatchOp"),
        ({"op": "add"}, 400, "cannot unmarshal object into Go value of type []handlers.json"),
        ("x", 400, "cannot unmarshal string into Go value of type []handlers.jsonPatchOp"),
        ([{"op": "remove", "path": ""}], 422, "the server rejected our request"),
        ([{"op": "add", "path": "", "value": {}}], 422, "the server rejected our request"),
        ([{"op": "add", "path": "data", "value": {}}], 422, "the server rejected our request"),
        ([{"op": "move", "from": "/nope", "path": "/data"}], 422, "the server rejected our"),
        ([{"op": "add", "value": 1}], 422, "the server rejected our request"),
        ([{"path": "/data", "value": {}}], 422, "the server rejected our request"),
    ],
)
async def test_json_patches_that_are_refused(api: Api, operations: Any, status: int, message: str):
    made = await api.secret("a")
    found, answer = await api("PATCH", f"{SECRETS}/a", operations, kind=PATCH)
    assert (found, message in answer["message"]) == (status, True), answer
    assert (await api("GET", f"{SECRETS}/a"))[1] == made


async def test_what_a_json_patch_leaves_out_is_null(api: Api):
    await api.secret("a", labels={"x": "y"})
    for operation in (
        {"op": "add", "path": "/metadata/labels"},
        {"op": "copy", "from": "/nope", "path": "/metadata/labels"},
    ):
        status, answer = await api("PATCH", f"{SECRETS}/a", [operation], kind=PATCH)
        assert (status, "labels" in answer["metadata"]) == (200, False)


@pytest.mark.parametrize(
    ("body", "status", "problem"),
    [
        (b"a: b: c", 400, "error decoding YAML: "),
        (b"[1]", 400, "invalid object type"),
        (b"{kind: Zz, apiVersion: v1}", 400, "invalid object type: v1, Kind=Zz"),
        (
            b"{kind: Secret, apiVersion: v1, metadata: {name: z}}",
            400,
            "the name of the object (z) does not match the name on the URL (a)",
        ),
    ],
)
async def test_applies_that_are_refused(api: Api, body: bytes, status: int, problem: str):
    found, answer = await api("PATCH", f"{SECRETS}/a", body, kind=APPLY, fieldManager="m")
    assert (found, answer["message"].startswith(problem)) == (status, True), answer


async def test_an_apply_may_leave_the_name_to_the_url(api: Api):
    body = b"{kind: Secret, apiVersion: v1}"
    status, made = await api("PATCH", f"{SECRETS}/a", body, kind=APPLY, fieldManager="m")
    assert (status, made["metadata"]["name"]) == (201, "a")


async def test_force_is_for_applies_only(api: Api):
    await api.secret("a")
    status, answer = await merge(api, f"{SECRETS}/a", {}, force="true")
    assert (status, "may not be specified for non-apply patch" in answer["message"]) == (422, True)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", SECRETS),
        ("POST", f"{SECRETS}/a"),
        ("DELETE", "/api/v1/namespaces"),
        ("DELETE", "/api/v1/secrets"),
        ("POST", "/api/v1/secrets"),
        ("DELETE", "/api/v1/namespaces/default/status"),
    ],
)
async def test_verbs_that_a_path_has_not(api: Api, method: str, path: str):
    assert (await api(method, path, {}))[1]["reason"] == "MethodNotAllowed"


async def test_subresources_that_a_kind_has_not(api: Api):
    await api.secret("a")
    for name in ("status", "scale", "finalize"):
        assert (await api("GET", f"{SECRETS}/a/{name}"))[0] == 404


async def test_a_status_write_may_take_the_status_away(api: Api):
    await api.define({"type": "object"}, subresources={"status": {}})
    await api.thing({})
    assert (await merge(api, f"{THINGS}/a/status", {"status": None}))[0] == 200


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ({"leaseDurationSeconds": 0}, "must be greater than 0"),
        ({"leaseTransitions": -1}, "must be greater than or equal to 0"),
        ({"renewTime": "2026-01-01T00:00:00Z"}, 'parsing time "2026-01-01T00:00:00Z"'),
        ({"renewTime": "soon"}, 'parsing time "soon"'),
    ],
)
async def test_leases_that_are_refused(api: Api, spec: Json, problem: str):
    body = {"metadata": {"name": "a"}, "spec": spec}
    status, answer = await api("POST", LEASES, body)
    assert status in (400, 422)
    assert problem in answer["message"]


async def test_a_lease_is_made_by_an_update_under_its_own_name_only(api: Api):
    body: Json = {"metadata": {"name": "b"}, "spec": {"renewTime": "2026-01-01T00:00:00.5Z"}}
    assert (await api("PUT", f"{LEASES}/a", body))[0] == 400
    assert (await api("PUT", f"{LEASES}/b", body))[0] == 201


async def test_what_is_immutable_stays(api: Api):
    body: Json = {"metadata": {"name": "a"}, "immutable": True, "data": {"k": "YQ=="}}
    for path, change in ((SECRETS, {"data": {"k": "Yg=="}}), (MAPS, {"binaryData": {"z": "YQ=="}})):
        assert (await api("POST", path, body))[0] == 201
        for fields in (change, {"immutable": False}):
            status, answer = await merge(api, f"{path}/a", fields)
            assert (status, IMMUTABLE in answer["message"]) == (422, True)
        assert (await merge(api, f"{path}/a", {"metadata": {"labels": {"x": "y"}}}))[0] == 200


@pytest.mark.parametrize(
    ("fields", "status", "problem"),
    [
        ({"data": {"a": "1"}, "binaryData": {"a": "YQ=="}}, 422, "duplicate of key present in"),
        ({"binaryData": {"a": "!"}}, 400, "illegal base64 data at input byte 0"),
        ({"data": {"a b": "1"}}, 422, "a valid config key must consist of"),
    ],
)
async def test_config_maps_that_are_refused(api: Api, fields: Json, status: int, problem: str):
    found, answer = await api("POST", MAPS, {"metadata": {"name": "a"}, **fields})
    assert (found, problem in answer["message"]) == (status, True)


async def test_an_event_of_the_newer_api_is_complete_and_stays_as_it_is(api: Api):
    event = {
        "metadata": {"name": "a"},
        "eventTime": "2026-01-01T00:00:00.000000Z",
        "reportingController": "c",
        "reportingInstance": "i",
        "action": "act",
        "reason": "because",
        "type": "Normal",
    }
    for field in ("eventTime", "reportingController", "reportingInstance", "action", "reason"):
        less = {key: value for key, value in event.items() if key != field}
        status, answer = await api("POST", EVENTS, less)
        assert (status, f"{field}: Required value" in answer["message"]) == (422, True)
    status, answer = await api("POST", EVENTS, {**event, "type": "Odd"})
    assert (status, "has invalid value: Odd" in answer["message"]) == (422, True)
    assert (await api("POST", EVENTS, event))[0] == 201
    status, answer = await merge(api, f"{EVENTS}/a", {"note": "x"})
    assert (status, "field is immutable" in answer["message"]) == (422, True)
    series = {"count": 2, "lastObservedTime": "2026-01-01T00:00:00.000000Z"}
    assert (await merge(api, f"{EVENTS}/a", {"series": series}))[0] == 200


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        ("/metadata/name", "wrong", "metadata.name"),
        ("/spec/scope", "Both", "spec.scope"),
        ("/spec/group", "A_b", "spec.group"),
        ("/spec/group", "", "spec.group"),
        ("/spec/names/plural", "", "spec.names.plural"),
        ("/spec/versions/0/storage", False, "spec.versions"),
        ("/spec/versions/0/schema", None, "spec.versions[0].schema.openAPIV3Schema"),
    ],
)
async def test_definitions_that_are_refused(api: Api, path: str, value: Any, field: str):
    await api.define({"type": "object"})
    _, body = await api("GET", f"{DEFINITIONS}/things.example.com")
    await api("DELETE", f"{DEFINITIONS}/things.example.com")
    body["metadata"] = {"name": "things.example.com"}
    target: Any = body
    *steps, last = path.strip("/").split("/")
    for step in steps:
        target = target[int(step) if step.isdigit() else step]
    target[last] = value
    status, answer = await api("POST", DEFINITIONS, body)
    assert status == 422
    assert field in {cause["field"] for cause in answer["details"]["causes"]}


@pytest.mark.parametrize(("field", "value"), [("scope", "Cluster"), ("group", "b.example.com")])
async def test_what_a_definition_may_not_change(api: Api, field: str, value: str):
    await api.define({"type": "object"})
    path = f"{DEFINITIONS}/things.example.com"
    status, answer = await merge(api, path, {"spec": {field: value}})
    assert status == 422
    assert f'spec.{field}: Invalid value: "{value}": field is immutable' in answer["message"]
