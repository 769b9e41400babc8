"""A schema refuses, fills in and prunes; FakeCluster says so in the words of a real server."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.integration.controller.worlds import World

UNCHECKED = (
    "<nil>",
    "Invalid value: null: some validation rules were not checked because the object was invalid; "
    "correct the existing errors to complete validation",
)


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
