"""Sets of fields: how they are spelt, and how objects differ by them."""

from __future__ import annotations

from typing import Any

import pytest

from hybridpg.controller.testing._fieldset import (
    MISSING,
    compare,
    decode,
    encode,
    fields_of,
    shown,
    step_of,
    with_structures,
    without,
)

STRING = {"type": "string"}
PORT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "port": {"type": "integer"},
        "protocol": {**STRING, "default": "TCP"},
        "name": STRING,
    },
}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "size": {"type": "integer"},
        "labels": {"type": "object", "additionalProperties": STRING},
        "nested": {"type": "object", "properties": {"depth": {"type": "integer"}}},
        "atoms": {"type": "array", "items": STRING},
        "set": {"type": "array", "items": STRING, "x-kubernetes-list-type": "set"},
        "whole": {
            "type": "object",
            "properties": {"x": STRING},
            "x-kubernetes-map-type": "atomic",
        },
        "ports": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["port", "protocol"],
            "items": PORT,
        },
    },
}
HTTP = 'k:{"port":80,"protocol":"TCP"}'


def spelt(value: Any) -> dict[str, Any]:
    return encode(frozenset(fields_of(value, SCHEMA)))


@pytest.mark.parametrize(
    ("value", "fields"),
    [
        pytest.param({"size": 1}, {"f:size": {}}, id="scalar"),
        pytest.param({"size": None}, {"f:size": {}}, id="null"),
        pytest.param({"labels": {"a": "b"}}, {"f:labels": {"f:a": {}}}, id="map"),
        pytest.param({"labels": {}}, {"f:labels": {}}, id="empty-map"),
        pytest.param({"nested": {"depth": 1}}, {"f:nested": {"f:depth": {}}}, id="structure"),
        pytest.param({"atoms": ["a"]}, {"f:atoms": {}}, id="atomic-list"),
        pytest.param({"whole": {"x": "y"}}, {"f:whole": {}}, id="atomic-map"),
        pytest.param({"set": ["a"]}, {"f:set": {'v:"a"': {}}}, id="set"),
        pytest.param(
            {"ports": [{"port": 80, "name": "x"}]},
            {"f:ports": {HTTP: {".": {}, "f:name": {}, "f:port": {}}}},
            id="keyed-list",
        ),
        pytest.param(
            {"free": {"x": {"y": 1}}},
            {"f:free": {".": {}, "f:x": {".": {}, "f:y": {}}}},
            id="unknown",
        ),
    ],
)
def test_a_manifest_names_fields_as_deep_as_the_schema_takes_it_apart(
    value: dict[str, Any], fields: dict[str, Any]
):
    assert spelt(value) == fields


def test_a_set_survives_being_spelt():
    value = {"size": 1, "labels": {"a": "b"}, "ports": [{"port": 80}], "set": ["x", "y"]}
    fields = frozenset(fields_of(value, SCHEMA))
    assert decode(encode(fields)) == fields


def test_a_path_is_shown_as_conflicts_name_it():
    assert shown(("f:spec", HTTP, "f:name")) == '.spec[port=80,protocol="TCP"].name'
    assert shown(("f:tags", 'v:"a"')) == '.tags[="a"]'


def test_a_key_without_a_default_must_be_there():
    assert step_of({"port": 80}, SCHEMA["properties"]["ports"]) == HTTP
    with pytest.raises(KeyError):
        step_of({"name": "x"}, SCHEMA["properties"]["ports"])


@pytest.mark.parametrize(
    ("old", "new", "added", "modified", "removed"),
    [
        pytest.param({}, {"size": 1}, {"f:size": {}}, {}, {}, id="added"),
        pytest.param({"size": 1}, {"size": 2}, {}, {"f:size": {}}, {}, id="modified"),
        pytest.param({"size": 1}, {}, {}, {}, {"f:size": {}}, id="removed"),
        pytest.param(
            {}, {"labels": {"a": "b"}}, {"f:labels": {".": {}, "f:a": {}}}, {}, {}, id="new-map"
        ),
        pytest.param(
            {"set": ["a"]},
            {"set": ["b"]},
            {"f:set": {'v:"b"': {}}},
            {},
            {"f:set": {'v:"a"': {}}},
            id="set",
        ),
        pytest.param({"atoms": ["a"]}, {"atoms": ["b"]}, {}, {"f:atoms": {}}, {}, id="atomic"),
        pytest.param({"labels": {}}, {"labels": None}, {}, {"f:labels": {}}, {}, id="empty"),
        pytest.param({"free": [1]}, {"free": {"a": 1}}, {}, {"f:free": {}}, {}, id="another-type"),
        pytest.param(
            {"ports": [{"port": 80}]},
            {"ports": [{"port": 80, "protocol": "TCP"}]},
            {"f:ports": {HTTP: {"f:protocol": {}}}},
            {},
            {},
            id="the-same-item",
        ),
    ],
)
def test_objects_differ_field_by_field(old: Any, new: Any, added: Any, modified: Any, removed: Any):
    difference = compare(old, new, SCHEMA)
    assert [encode(fields) for fields in difference] == [added, modified, removed]


def test_what_is_missing_differs_from_null():
    assert compare(MISSING, None, {}).added == {()}
    assert compare(None, None, {}).added == frozenset()


def test_structures_on_the_way_are_told_from_keys_of_a_map():
    fields = frozenset({("f:nested", "f:depth"), ("f:labels", "f:a", "f:b"), ("f:ports", HTTP)})
    grown = with_structures(fields, SCHEMA) - fields
    assert grown == {("f:nested",), ("f:labels",), ("f:ports",)}


def test_what_is_below_a_prefix_is_left_out():
    fields = frozenset({("f:status",), ("f:status", "f:x"), ("f:spec", "f:status")})
    assert without(fields, [("f:status",)]) == {("f:spec", "f:status")}
    assert without(fields, []) == fields


def test_an_item_without_its_key_is_named_by_its_place():
    added = compare({}, {"ports": [{"name": "x"}]}, SCHEMA).added
    assert ("f:ports", "i:0", "f:name") in added
