"""Structural schemas: wording of refusals beyond those compared with the real server."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.controller.testing.conftest import Api

from hybridpg.controller.testing import FakeCluster

UNCHECKED = "<nil>: Invalid value: null: some validation rules were not checked"


def spec(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


@pytest.mark.parametrize(
    ("schema", "value", "problems"),
    [
        pytest.param(
            {"type": "integer", "anyOf": [{"minimum": 5}, {"maximum": 1}]},
            3,
            {
                '<nil>: Invalid value: "": "spec.x" must validate at least one schema (anyOf)',
                "spec.x: Invalid value: 3: spec.x in body should be greater than or equal to 5",
            },
            id="anyOf",
        ),
        pytest.param(
            {"type": "integer", "oneOf": [{"minimum": 5}, {"minimum": 7}]},
            8,
            {
                '<nil>: Invalid value: "": "spec.x" must validate one and only one schema (oneOf). '
                "Found 2 valid alternatives"
            },
            id="oneOf",
        ),
        pytest.param(
            {"type": "string", "not": {"enum": ["x"]}},
            "x",
            {'<nil>: Invalid value: "": "spec.x" must not validate the schema (not)'},
            id="not",
        ),
        pytest.param(
            {"type": "integer", "multipleOf": 5},
            7,
            {"spec.x: Invalid value: 7: spec.x in body should be a multiple of 5"},
            id="multiple",
        ),
        pytest.param(
            {"type": "integer", "minimum": 5, "exclusiveMinimum": True},
            5,
            {"spec.x: Invalid value: 5: spec.x in body should be greater than 5"},
            id="exclusive",
        ),
        pytest.param(
            {"type": "array", "minItems": 1, "items": {"type": "string"}},
            [],
            {"spec.x: Invalid value: 0: spec.x in body should have at least 1 items"},
            id="items",
        ),
        pytest.param(
            {"type": "object", "minProperties": 1, "additionalProperties": {"type": "string"}},
            {},
            {"spec.x: Invalid value: 0: spec.x in body should have at least 1 properties"},
            id="properties",
        ),
        pytest.param(
            {"type": "boolean", "enum": [True]},
            False,
            {'spec.x: Unsupported value: false: supported values: "true"'},
            id="enum-of-booleans",
        ),
        pytest.param(
            {
                "type": "object",
                "x-kubernetes-embedded-resource": True,
                "x-kubernetes-preserve-unknown-fields": True,
            },
            {"y": 1},
            {"spec.x.apiVersion: Required value", "spec.x.kind: Required value"},
            id="embedded",
        ),
    ],
)
async def test_what_a_schema_refuses(api: Api, schema: Any, value: Any, problems: set[str]):
    await api.define(spec(x=schema))
    assert await api.problems({"x": value}) == problems


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("date-time", "2026-01-01T00:00:00.5Z", "2026-01-01"),
        ("date", "2026-01-01", "01.01.2026"),
        ("duration", "1h30m", "5x"),
        ("ipv4", "192.0.2.1", "192.0.2.300"),
        ("ipv6", "::1", "192.0.2.1"),
        ("cidr", "192.0.2.0/24", "192.0.2.0"),
        ("hostname", "db.example.com", "-x"),
        ("email", "a@example.com", "example.com"),
        ("uri", "https://example.com", "::"),
        ("uuid", "00000000-0000-4000-8000-000000000000", "zz"),
        ("byte", "YQ==", "!"),
    ],
)
async def test_formats(api: Api, name: str, good: str, bad: str):
    await api.define(spec(x={"type": "string", "format": name}))
    assert (await api.thing({"x": good}))[0] == 201
    refused = f'spec.x: Invalid value: "{bad}": spec.x in body must be of type {name}: "{bad}"'
    assert await api.problems({"x": bad}) == {refused}


async def test_unknown_formats_accept_everything(api: Api):
    await api.define(spec(x={"type": "string", "format": "colour"}))
    assert (await api.thing({"x": "?"}))[0] == 201


async def test_numbers_that_are_whole_are_integers(api: Api):
    await api.define(spec(x={"type": "integer"}, y={"type": "number"}))
    status, made = await api.thing({"x": 10.0, "y": 5})
    assert status == 201
    assert repr(made["spec"]) == "{'x': 10, 'y': 5}"


async def test_defaults_reach_items_and_maps(api: Api):
    item = spec(n={"type": "integer", "default": 1})
    await api.define(
        spec(
            items={"type": "array", "items": item},
            by_name={"type": "object", "additionalProperties": item},
        )
    )
    _, made = await api.thing({"items": [{}, {"n": 2}], "by_name": {"a": {}}})
    assert made["spec"] == {"items": [{"n": 1}, {"n": 2}], "by_name": {"a": {"n": 1}}}


async def test_defaults_are_not_shared_between_objects(api: Api, cluster: FakeCluster):
    things = await api.define(spec(x={"type": "object", "default": {"y": []}, **spec(y=LIST)}))
    await api.thing({}, "a")
    add = [{"op": "add", "path": "/spec/x/y/-", "value": "z"}]
    await api("PATCH", f"{things}/a", add, kind="application/json-patch+json")
    assert (await api.thing({}, "b"))[1]["spec"] == {"x": {"y": []}}


LIST = {"type": "array", "items": {"type": "string"}}


async def test_an_unchanged_value_outlives_a_stricter_schema(api: Api):
    things = await api.define(spec(x={"type": "string"}, y={"type": "integer"}))
    await api.thing({"x": "old"})
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/things.example.com"
    _, definition = await api("GET", path)
    schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    schema["properties"]["spec"]["properties"]["x"]["enum"] = ["new"]
    assert (await api("PUT", path, definition))[0] == 200
    kind = "application/merge-patch+json"
    assert (await api("PATCH", f"{things}/a", {"spec": {"y": 1}}, kind=kind))[0] == 200
    status, answer = await api("PATCH", f"{things}/a", {"spec": {"x": "other"}}, kind=kind)
    assert status == 422
    assert 'Unsupported value: "other": supported values: "new"' in answer["message"]


@pytest.mark.parametrize(
    ("rule", "spec_value", "passes"),
    [
        ("self.size() < 3", {"a": "x"}, True),
        ("self.a.matches('^x+$')", {"a": "xx"}, True),
        ("self.a.matches('^x+$')", {"a": "y"}, False),
        ("has(self.b)", {"a": "x"}, False),
        ("!has(self.b) || self.b.all(i, i > 0)", {"b": [1, 2]}, True),
        ("!has(self.b) || self.b.exists_one(i, i == 1)", {"b": [1, 1]}, False),
        ("has(self.a) ? self.a.startsWith('x') : true", {"a": "y"}, False),
        ("self.foo__dash__bar == 1", {"foo-bar": 1}, True),
        ("isIP(self.a)", {"a": "192.0.2.1"}, True),
        ("isIP(self.a)", {"a": "nowhere"}, False),
        ("self.when > timestamp('2026-01-01T00:00:00Z')", {"when": "2026-02-01T00:00:00Z"}, True),
        ("self.a.split('-').size() == 2", {"a": "x-y"}, True),
        ("self.a.lowerAscii() == 'x'", {"a": "X"}, True),
        ("self.b.sum() == 6", {"b": [1, 2, 3]}, True),
    ],
)
async def test_rules(api: Api, rule: str, spec_value: dict[str, Any], passes: bool):
    schema = spec(
        a={"type": "string"},
        b={"type": "array", "items": {"type": "integer"}},
        when={"type": "string", "format": "date-time"},
        **{"foo-bar": {"type": "integer"}},
    )
    await api.define({**schema, "x-kubernetes-validations": [{"rule": rule}]})
    if passes:
        assert (await api.thing(spec_value))[0] == 201
    else:
        expected = f'spec: Invalid value: "object": failed rule: {rule}'
        assert await api.problems(spec_value) == {expected}


async def test_a_rule_that_cannot_be_evaluated_is_broken(api: Api):
    rule = {"rule": "self.a == 'x'"}
    await api.define({**spec(a={"type": "string"}), "x-kubernetes-validations": [rule]})
    expected = "spec: Invalid value: \"object\": no such key: a evaluating rule: self.a == 'x'"
    assert await api.problems({}) == {expected}


async def test_the_message_of_a_rule_may_be_computed(api: Api):
    rule = {"rule": "self.a < 5", "messageExpression": "'too large: ' + string(self.a)"}
    await api.define({**spec(a={"type": "integer"}), "x-kubernetes-validations": [rule]})
    assert await api.problems({"a": 7}) == {'spec: Invalid value: "object": too large: 7'}


async def test_an_optional_old_self_is_known_on_creation_too(api: Api):
    rule = {
        "rule": "oldSelf.hasValue() || self.a == 1",
        "optionalOldSelf": True,
        "message": "starts at 1",
    }
    things = await api.define({**spec(a={"type": "integer"}), "x-kubernetes-validations": [rule]})
    assert await api.problems({"a": 2}) == {'spec: Invalid value: "object": starts at 1'}
    assert (await api.thing({"a": 1}))[0] == 201
    body, kind = {"spec": {"a": 7}}, "application/merge-patch+json"
    assert (await api("PATCH", f"{things}/a", body, kind=kind))[0] == 200


async def test_rules_wait_until_the_shape_is_right(api: Api):
    rule = {"rule": "self.a < 5"}
    await api.define({**spec(a={"type": "integer"}), "x-kubernetes-validations": [rule]})
    problems = await api.problems({"a": "x"})
    assert any(problem.startswith(UNCHECKED) for problem in problems)
    assert not any("failed rule" in problem for problem in problems)


@pytest.mark.parametrize(
    ("schema", "field", "problem"),
    [
        ({"type": "strin"}, "properties[spec].type", 'Unsupported value: "strin"'),
        ({}, "properties[spec].type", "Required value: must not be empty for specified object"),
        (
            spec(x={"type": "integer", "default": "a"}),
            "properties[spec].properties[x].default",
            'Invalid value: "string":  in body must be of type integer: "string"',
        ),
    ],
)
async def test_definitions_must_be_structural(
    api: Api, schema: dict[str, Any], field: str, problem: str
):
    status, answer = await api.try_define(schema)
    assert status == 422
    assert f"spec.validation.openAPIV3Schema.{field}: {problem}" in answer["message"]


async def test_all_versions_show_the_same_objects(api: Api):
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec(x=LIST)}}}
    versions = [
        {"name": "v1", "served": True, "storage": True, "schema": schema},
        {"name": "v2", "served": True, "storage": False, "schema": schema},
        {"name": "v3", "served": False, "storage": False, "schema": schema},
    ]
    body = {
        "metadata": {"name": "things.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"kind": "Thing", "plural": "things"},
            "versions": versions,
        },
    }
    await api("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", body)
    _, made = await api.thing({"x": ["y"]})
    path = "/apis/example.com/v2/namespaces/default/things/a"
    status, shown = await api("GET", path)
    assert status == 200
    assert shown["apiVersion"] == "example.com/v2"
    assert shown["metadata"]["uid"] == made["metadata"]["uid"]
    assert (await api("GET", path.replace("v2", "v3")))[0] == 404
