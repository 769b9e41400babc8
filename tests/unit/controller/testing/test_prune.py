"""Pruning and defaulting, at every depth, as the real server does them."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.controller.testing.conftest import Json

from hybridpg.controller.testing._prune import fill_defaults, prune

TEXT = {"type": "string"}
FREE = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def spec(**properties: Any) -> Json:
    return {"type": "object", "properties": properties}


def pruned(value: Json, schema: Json) -> tuple[Json, list[str]]:
    lost = prune(value, schema)
    return value, lost


@pytest.mark.parametrize(
    ("schema", "value", "left", "lost"),
    [
        pytest.param(spec(a=TEXT), {"a": "1", "b": 2}, {"a": "1"}, ["b"], id="unknown"),
        pytest.param(
            spec(a=spec(b=TEXT)), {"a": {"b": "1", "c": 1}}, {"a": {"b": "1"}}, ["a.c"], id="deep"
        ),
        pytest.param(
            spec(a={"type": "array", "items": spec(b=TEXT)}),
            {"a": [{"b": "1"}, {"c": 1}, "x"]},
            {"a": [{"b": "1"}, {}, "x"]},
            ["a[1].c"],
            id="items",
        ),
        pytest.param(
            spec(a={"type": "array", "items": {"type": "array", "items": spec()}}),
            {"a": [[{"c": 1}]]},
            {"a": [[{}]]},
            ["a[0][0].c"],
            id="items of items",
        ),
        pytest.param(
            spec(a={"type": "object", "additionalProperties": spec(b=TEXT)}),
            {"a": {"x": {"b": "1", "c": 1}}},
            {"a": {"x": {"b": "1"}}},
            ["a.x.c"],
            id="map",
        ),
        pytest.param(
            spec(a={"type": "object", "additionalProperties": True}),
            {"a": {"x": {"y": 1}}},
            {"a": {"x": {"y": 1}}},
            [],
            id="open map",
        ),
        pytest.param(spec(a=FREE), {"a": {"x": {"y": 1}}}, {"a": {"x": {"y": 1}}}, [], id="free"),
        pytest.param(
            spec(a={**FREE, "properties": {"known": spec(b=TEXT)}}),
            {"a": {"x": 1, "known": {"b": "1", "c": 1}}},
            {"a": {"x": 1, "known": {"b": "1"}}},
            ["a.known.c"],
            id="free but for what is known",
        ),
        pytest.param(
            spec(a={**FREE, "x-kubernetes-embedded-resource": True}),
            {"a": {"kind": "X", "metadata": {"name": "x", "colour": "red"}, "data": 1}},
            {"a": {"kind": "X", "metadata": {"name": "x"}, "data": 1}},
            ["a.metadata.colour"],
            id="embedded",
        ),
        pytest.param(
            spec(a={"type": "array"}), {"a": [{"x": 1}]}, {"a": [{"x": 1}]}, [], id="no items"
        ),
        pytest.param(
            spec(),
            {"kind": "X", "metadata": {"y": 1}},
            {"kind": "X", "metadata": {"y": 1}},
            [],
            id="the root keeps its type and metadata",
        ),
    ],
)
def test_pruning(schema: Json, value: Json, left: Json, lost: list[str]):
    assert pruned(value, schema) == (left, lost)


ONE = {"type": "integer", "default": 1}


@pytest.mark.parametrize(
    ("schema", "value", "filled"),
    [
        pytest.param(spec(a=ONE), {}, {"a": 1}, id="missing"),
        pytest.param(spec(a=ONE), {"a": 0}, {"a": 0}, id="zero is a value"),
        pytest.param(spec(a=ONE), {"a": None}, {"a": 1}, id="null is missing"),
        pytest.param(
            spec(a={**ONE, "nullable": True}), {"a": None}, {"a": None}, id="null may be a value"
        ),
        pytest.param(spec(a=TEXT), {"a": None}, {}, id="null without a default goes"),
        pytest.param(spec(a=spec(b=ONE)), {}, {}, id="no default, no object"),
        pytest.param(spec(a=spec(b=ONE)), {"a": {}}, {"a": {"b": 1}}, id="deep"),
        pytest.param(
            spec(a={**spec(b=ONE), "default": {}}), {}, {"a": {"b": 1}}, id="default of a default"
        ),
        pytest.param(
            spec(a={"type": "array", "items": {"type": "array", "items": spec(b=ONE)}}),
            {"a": [[{}], [{"b": 2}, {}]]},
            {"a": [[{"b": 1}], [{"b": 2}, {"b": 1}]]},
            id="items of items",
        ),
        pytest.param(
            spec(a={"type": "object", "additionalProperties": spec(b=ONE)}),
            {"a": {"x": {}, "y": None}},
            {"a": {"x": {"b": 1}}},
            id="map, and its nulls go",
        ),
        pytest.param(
            spec(a={"type": "object", "additionalProperties": {**ONE, "nullable": True}}),
            {"a": {"x": None}},
            {"a": {"x": None}},
            id="nullable entries of a map",
        ),
        pytest.param(
            spec(a={"type": "array", "items": TEXT}), {"a": [None]}, {"a": [None]}, id="null item"
        ),
    ],
)
def test_defaults(schema: Json, value: Json, filled: Json):
    fill_defaults(value, schema)
    assert value == filled
