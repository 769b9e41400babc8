"""Bodies: JSON, YAML and protobuf; unknown, duplicate and mistyped fields at every level."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.controller.testing.conftest import SECRETS, THINGS, Api, Json

from hybridpg.controller.testing import FakeCluster

MERGE = "application/merge-patch+json"
SPEC: Json = {
    "type": "object",
    "properties": {
        "a": {"type": "string"},
        "items": {
            "type": "array",
            "items": {"type": "object", "properties": {"b": {"type": "integer"}}},
        },
    },
}
THING: Json = {"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "a"}}
CANNOT = 'Secret in version "v1" cannot be handled as a Secret: json: cannot unmarshal '


async def warned(cluster: FakeCluster, body: bytes, method: str = "POST", **query: str) -> str:
    path, kind = (THINGS, "application/json") if method == "POST" else (f"{THINGS}/a", MERGE)
    answer = await cluster.request(
        method, path, query=tuple(query.items()), headers=(("Content-Type", kind),), body=body
    )
    assert answer.status in (200, 201), answer.body
    return answer.headers.get("warning", "")


@pytest.fixture
async def things(api: Api) -> str:
    return await api.define(SPEC)


async def test_warnings_name_every_unknown_field_by_its_path(cluster: FakeCluster, things: str):
    body = {**THING, "x": 1, "spec": {"y": 1, "items": [{"b": 1}, {"z": 1}]}}
    body["metadata"] = {"name": "a", "colour": "red"}
    assert await warned(cluster, json.dumps(body).encode()) == (
        '299 - "unknown field \\"x\\"", 299 - "unknown field \\"spec.y\\"", '
        '299 - "unknown field \\"spec.items[1].z\\"", '
        '299 - "unknown field \\"metadata.colour\\""'
    )


async def test_duplicates_are_warned_of_and_the_last_one_counts(
    cluster: FakeCluster, api: Api, things: str
):
    spec = '{"a": "1", "a": "2", "items": [{"b": 1, "b": 2}]}'
    body = f'{json.dumps(THING)[:-1]}, "spec": {spec}}}'
    assert await warned(cluster, body.encode()) == (
        '299 - "duplicate field \\"spec.a\\"", 299 - "duplicate field \\"spec.items[0].b\\""'
    )
    assert (await api("GET", f"{things}/a"))[1]["spec"] == {"a": "2", "items": [{"b": 2}]}


async def test_patches_are_warned_of_alike(cluster: FakeCluster, api: Api, things: str):
    await api.thing({})
    body = b'{"spec": {"a": "1", "a": "2", "y": 1}}'
    assert await warned(cluster, body, "PATCH") == (
        '299 - "duplicate field \\"spec.a\\"", 299 - "unknown field \\"spec.y\\""'
    )
    assert await warned(cluster, body, "PATCH", fieldValidation="Ignore") == ""


async def test_a_short_finalizer_is_warned_of_on_create_and_patch(
    cluster: FakeCluster, api: Api, things: str
):
    body = {**THING, "metadata": {"name": "a", "finalizers": ["short", "example.com/long"]}}
    expected = (
        '299 - "metadata.finalizers: \\"short\\": prefer a domain-qualified finalizer name to '
        'avoid accidental conflicts with other finalizer writers"'
    )
    assert await warned(cluster, json.dumps(body).encode()) == expected
    patch = {"metadata": {"finalizers": ["short"]}}
    assert await warned(cluster, json.dumps(patch).encode(), "PATCH") == expected


async def test_strict_validation_lists_all_in_one_refusal(api: Api, things: str):
    status, answer = await api("POST", things, {**THING, "x": 1, "y": 2}, fieldValidation="Strict")
    assert (status, answer["message"]) == (
        400,
        'Thing in version "v1" cannot be handled as a Thing: strict decoding error: unknown field '
        '"x", unknown field "y"',
    )


async def test_a_strict_patch_is_refused_as_invalid(api: Api, things: str):
    await api.thing({})
    body = {"spec": {"y": 1}}
    status, answer = await api("PATCH", f"{things}/a", body, kind=MERGE, fieldValidation="Strict")
    assert (status, answer["reason"]) == (422, "Invalid")
    assert answer["message"].endswith('strict decoding error: unknown field "spec.y"')
    assert answer["details"]["causes"][0]["field"] == "patch"


@pytest.mark.parametrize(
    ("method", "options"), [("POST", "CreateOptions"), ("PUT", "UpdateOptions")]
)
async def test_unknown_levels_and_dry_runs_are_refused(api: Api, method: str, options: str):
    path = SECRETS if method == "POST" else f"{SECRETS}/a"
    body = {"metadata": {"name": "a"}}
    for field, value, allowed in (
        ("fieldValidation", '"Bad"', '"", "Ignore", "Strict", "Warn"'),
        ("dryRun", '["Bad"]', '"All"'),
    ):
        status, answer = await api(method, path, body, **{field: "Bad"})
        assert (status, answer["message"]) == (
            422,
            f'{options}.meta.k8s.io "" is invalid: {field}: Unsupported value: {value}: '
            f"supported values: {allowed}",
        )


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "json parse error: unexpected end of JSON input (<empty>)"),
        (b"{", "json parse error: unexpected end of JSON input ({)"),
        (b"[1]", "json parse error: json: cannot unmarshal array into Go value"),
        (b'"x"', "json parse error: json: cannot unmarshal string into Go value"),
        (b'{"metadata": {}}', "Object 'Kind' is missing in '{\"metadata\": {}}'"),
    ],
)
async def test_what_is_no_object(api: Api, things: str, body: bytes, problem: str):
    status, answer = await api("POST", things, body)
    assert status == 400
    start = "the object provided is unrecognized (must be of type Thing): "
    assert answer["message"].startswith(start)
    assert problem in answer["message"]


@pytest.mark.parametrize(
    ("change", "status", "problem"),
    [
        (
            {"apiVersion": "x/v1"},
            400,
            "the API version in the data (x/v1) does not match the expected API version "
            "(example.com/v1)",
        ),
        ({"kind": "X"}, 422, 'X.example.com "a" is invalid: kind: Invalid value: "X": must be Th'),
        ({"metadata": []}, 400, 'Thing in version "v1" cannot be handled as a Thing: json: can'),
        ({"metadata": None}, 422, "name or generateName is required"),
        ({"metadata": {"name": "A"}}, 422, "a lowercase RFC 1123 subdomain must consist of"),
        (
            {"metadata": {"name": "a", "namespace": "b"}},
            400,
            "the namespace of the provided object does not match the namespace sent on the request",
        ),
        ({"spec": []}, 422, 'spec: Invalid value: "array": spec in body must be of type object'),
    ],
)
async def test_what_is_another_object(
    api: Api, things: str, change: Json, status: int, problem: str
):
    found, answer = await api("POST", things, {**THING, **change})
    assert (found, problem in answer["message"]) == (status, True), answer


async def test_unknown_media_types_are_refused_with_those_that_would_do(api: Api):
    for method, path in (("POST", SECRETS), ("PATCH", f"{SECRETS}/a")):
        status, answer = await api(method, path, {}, kind="text/plain")
        assert (status, answer["reason"]) == (415, "UnsupportedMediaType")
        assert "application/" in answer["message"]


async def test_yaml_is_read(api: Api, things: str):
    body = b"apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: b}\nspec: {a: text}\n"
    status, made = await api("POST", things, body, kind="application/yaml")
    assert (status, made["spec"]) == (201, {"a": "text"})
    status, answer = await api("POST", things, b"a: b: c", kind="application/yaml")
    assert (status, "mapping values are not allowed" in answer["message"]) == (400, True)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"type": 1}, f"{CANNOT}number into Go struct field Secret.type of type string"),
        ({"immutable": "x"}, f"{CANNOT}string into Go struct field Secret.immutable of type bool"),
        (
            {"metadata": {"name": "a", "labels": {"x": 1}}},
            f"{CANNOT}number into Go struct field ObjectMeta.labels of type string",
        ),
        (
            {"metadata": {"name": "a", "labels": "x"}},
            f"{CANNOT}string into Go struct field ObjectMeta.labels of type object",
        ),
        (
            {"metadata": {"name": "a", "finalizers": "x"}},
            f"{CANNOT}string into Go struct field ObjectMeta.finalizers of type []interface {{}}",
        ),
    ],
)
async def test_wrong_types_in_built_in_fields(api: Api, fields: Json, problem: str):
    status, answer = await api("POST", SECRETS, {"metadata": {"name": "a"}, **fields})
    assert (status, answer["message"]) == (400, problem)


@pytest.mark.parametrize(("labels", "found"), [({"x": 1}, "number"), ("x", "string")])
async def test_wrong_types_by_a_patch_are_invalid(api: Api, labels: Any, found: str):
    await api.secret("a")
    body = {"metadata": {"labels": labels}}
    status, answer = await api("PATCH", f"{SECRETS}/a", body, kind=MERGE)
    assert (status, answer["details"]["causes"][0]["field"]) == (422, "patch")
    assert f"cannot unmarshal {found} into Go struct field ObjectMeta.labels" in answer["message"]


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"[1]", "json: cannot unmarshal array into Go value of type map[string]interface {}"),
        (b"5", "json: cannot unmarshal number into Go value of type map[string]interface {}"),
        (b"", "unexpected end of JSON input"),
    ],
)
async def test_merge_patches_that_are_none(api: Api, body: bytes, problem: str):
    await api.secret("a")
    status, answer = await api("PATCH", f"{SECRETS}/a", body, kind=MERGE)
    assert (status, answer["message"]) == (400, f"error decoding patch: {problem}")


async def test_nulls_in_built_in_fields_are_as_if_missing(api: Api):
    body = {"metadata": {"name": "a", "labels": None}, "data": {"k": None}, "stringData": None}
    status, made = await api("POST", SECRETS, body)
    assert (status, made["data"]) == (201, {"k": ""})
    assert "labels" not in made["metadata"]
