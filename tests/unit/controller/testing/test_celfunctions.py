"""The server's own functions in rules, each once true and once false."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.controller.testing.conftest import Api, Json

pytestmark = pytest.mark.virtual_time
SCHEMA: Json = {
    "type": "object",
    "properties": {
        "a": {"type": "string"},
        "b": {"type": "array", "items": {"type": "integer"}},
        "c": {"type": "array", "items": {"type": "string"}},
        "n": {"type": "number"},
        "when": {"type": "string", "format": "date-time"},
        "long": {"type": "string", "format": "duration"},
        "map": {"type": "object", "additionalProperties": {"type": "string"}},
        "namespace": {"type": "string"},
        "x-y.z/w__v": {"type": "integer"},
    },
}


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        ("self.b.isSorted()", {"b": [1, 2, 2]}, {"b": [2, 1]}),
        ("self.b.min() == 1", {"b": [3, 1]}, {"b": [3, 2]}),
        ("self.b.max() == 3", {"b": [3, 1]}, {"b": [1, 2]}),
        ("self.b.indexOf(2) == 1", {"b": [1, 2, 2]}, {"b": [1]}),
        ("self.b.lastIndexOf(2) == 2", {"b": [1, 2, 2]}, {"b": [2, 2]}),
        ("self.b.lastIndexOf(2) == -1", {"b": [1]}, {"b": [2]}),
        ("self.a.indexOf('b') == 1", {"a": "abb"}, {"a": "b"}),
        ("self.a.indexOf('b', 2) == 2", {"a": "abb"}, {"a": "ab"}),
        ("self.a.lastIndexOf('b') == 2", {"a": "abb"}, {"a": "ab"}),
        ("self.a.split(',', 2)[1] == 'y,z'", {"a": "x,y,z"}, {"a": "x,y"}),
        ("self.a.substring(1) == 'bc'", {"a": "abc"}, {"a": "abd"}),
        ("self.a.substring(1, 2) == 'b'", {"a": "abc"}, {"a": "acb"}),
        ("self.a.replace('a', 'b') == 'bb'", {"a": "ab"}, {"a": "ac"}),
        ("self.a.replace('a', 'b', 1) == 'ba'", {"a": "aa"}, {"a": "bb"}),
        ("self.c.join('-') == 'x-y'", {"c": ["x", "y"]}, {"c": ["y", "x"]}),
        ("self.c.join() == 'xy'", {"c": ["x", "y"]}, {"c": ["x"]}),
        ("self.a.trim() == 'x'", {"a": " x "}, {"a": " y "}),
        ("self.a.upperAscii() == 'X'", {"a": "x"}, {"a": "y"}),
        ("self.a.charAt(1) == 'b'", {"a": "ab"}, {"a": "ba"}),
        ("isCIDR(self.a)", {"a": "10.0.0.0/8"}, {"a": "10.0.0.0"}),
        ("isCIDR(self.a)", {"a": "::/0"}, {"a": "nowhere/8"}),
        ("isURL(self.a)", {"a": "https://example.com/x"}, {"a": "example.com"}),
        ("self.n < 1.5", {"n": 1}, {"n": 2}),
        ("self.n < 1.5", {"n": 1.25}, {"n": 1.75}),
        ("self.long > duration('1m')", {"long": "2m"}, {"long": "5s"}),
        ("'k' in self.map && self.map['k'] == 'v'", {"map": {"k": "v"}}, {"map": {"k": "w"}}),
        ("self.map.all(k, k.startsWith('x'))", {"map": {"x-1": ""}}, {"map": {"y": ""}}),
        ("self.__namespace__ == 'x'", {"namespace": "x"}, {"namespace": "y"}),
        (
            "self.x__dash__y__dot__z__slash__w__underscores__v == 1",
            {"x-y.z/w__v": 1},
            {"x-y.z/w__v": 2},
        ),
    ],
)
async def test_functions(api: Api, rule: str, good: Json, bad: Json):
    await api.define({**SCHEMA, "x-kubernetes-validations": [{"rule": rule}]})
    assert (await api.thing(good))[0] == 201
    problems = await api.problems(bad)
    assert problems == {f'spec: Invalid value: "object": failed rule: {rule}'}


def item(rule: Json, **more: Any) -> Json:
    return {
        "type": "object",
        "properties": {"k": {"type": "string"}, "v": {"type": "integer"}},
        "x-kubernetes-validations": [rule],
        **more,
    }


GROWS = {"rule": "self.v >= oldSelf.v", "message": "never shrinks"}


async def patched(api: Api, spec: Json) -> set[str]:
    status, answer = await api(
        "PATCH",
        "/apis/example.com/v1/namespaces/default/things/a",
        {"spec": spec},
        kind="application/merge-patch+json",
    )
    causes = answer["details"]["causes"] if status == 422 else ()
    return {f"{c['field']}: {c['message']}" for c in causes}


async def test_items_of_a_keyed_list_are_compared_by_key(api: Api):
    rows = {
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["k"],
        "items": item(GROWS),
    }
    await api.define({"type": "object", "properties": {"rows": rows}})
    await api.thing({"rows": [{"k": "x", "v": 1}, {"k": "y", "v": 5}]})
    assert await patched(api, {"rows": [{"k": "y", "v": 6}, {"k": "z", "v": 0}]}) == set()
    assert await patched(api, {"rows": [{"k": "z", "v": 0}, {"k": "y", "v": 5}]}) == {
        'spec.rows[1]: Invalid value: "object": never shrinks'
    }


async def test_items_of_a_plain_list_have_no_past(api: Api):
    rows = {"type": "array", "items": item(GROWS)}
    await api.define({"type": "object", "properties": {"rows": rows}})
    await api.thing({"rows": [{"v": 5}]})
    assert await patched(api, {"rows": [{"v": 1}]}) == set()


async def test_entries_of_a_map_are_compared_by_name(api: Api):
    by_name = {"type": "object", "additionalProperties": item(GROWS)}
    await api.define({"type": "object", "properties": {"m": by_name}})
    await api.thing({"m": {"x": {"v": 5}}})
    assert await patched(api, {"m": {"y": {"v": 1}}}) == set()
    assert await patched(api, {"m": {"x": {"v": 1}}}) == {
        'spec.m.x: Invalid value: "object": never shrinks'
    }


@pytest.mark.parametrize(
    ("reason", "problem"),
    [
        ("FieldValueInvalid", 'Invalid value: "object": no'),
        ("FieldValueForbidden", "Forbidden: no"),
        ("FieldValueRequired", "Required value: no"),
        ("FieldValueDuplicate", 'Duplicate value: "object"'),
    ],
)
async def test_a_rule_chooses_its_reason(api: Api, reason: str, problem: str):
    rule = {"rule": "self.v > 1", "message": "no", "reason": reason, "fieldPath": ".v"}
    await api.define({"type": "object", "properties": {"x": item(rule)}})
    status, answer = await api.thing({"x": {"v": 1}})
    assert status == 422
    assert answer["details"]["causes"] == [
        {"reason": reason, "message": problem, "field": "spec.x.v"}
    ]


async def test_a_message_that_cannot_be_computed_gives_way_to_the_plain_one(api: Api):
    rule = {"rule": "self.v > 1", "message": "plain", "messageExpression": "self.k"}
    await api.define({"type": "object", "properties": {"x": item(rule)}})
    assert await api.problems({"x": {"v": 1}}) == {'spec.x: Invalid value: "object": plain'}


async def test_a_rule_that_cannot_be_read_is_not_enforced_and_said_so(
    api: Api, caplog: pytest.LogCaptureFixture
):
    rule = {"rule": "self.v >"}
    await api.define({"type": "object", "properties": {"x": item(rule)}})
    assert (await api.thing({"x": {"v": 1}}))[0] == 201
    assert "rule is not enforced, cel-python cannot read it" in caplog.text
