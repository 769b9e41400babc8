"""Apply's merge of a manifest into an object, and the removal of fields."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.controller.testing.test_fieldset import SCHEMA

from hybridpg.controller.testing._fieldset import decode
from hybridpg.controller.testing._merge import merge, remove


@pytest.mark.parametrize(
    ("live", "manifest", "merged"),
    [
        pytest.param(
            {"size": 1}, {"labels": {"a": "b"}}, {"size": 1, "labels": {"a": "b"}}, id="+"
        ),
        pytest.param(
            {"labels": {"a": "b"}},
            {"labels": {"c": "d"}},
            {"labels": {"a": "b", "c": "d"}},
            id="map",
        ),
        pytest.param({"size": 1}, {"size": None}, {}, id="null"),
        pytest.param({"atoms": ["a"]}, {"atoms": ["b"]}, {"atoms": ["b"]}, id="atomic-list"),
        pytest.param({"whole": {"x": "a"}}, {"whole": {}}, {"whole": {}}, id="atomic-map"),
        pytest.param({"set": ["a"]}, {"set": ["b", "a"]}, {"set": ["b", "a"]}, id="set"),
        pytest.param({"labels": "x"}, {"labels": {"a": "b"}}, {"labels": {"a": "b"}}, id="type"),
        pytest.param(
            {"ports": [{"port": 1}, {"port": 2, "name": "two"}]},
            {"ports": [{"port": 2, "name": "zwei"}, {"port": 3}]},
            {"ports": [{"port": 1}, {"port": 2, "name": "zwei"}, {"port": 3}]},
            id="keyed-list",
        ),
    ],
)
def test_a_manifest_is_merged_by_the_schema(live: Any, manifest: Any, merged: Any):
    assert merge(live, manifest, SCHEMA) == merged


@pytest.mark.parametrize(
    ("live", "manifest", "merged"),
    [
        ("ab", "ba", "ba"),
        ("axb", "ba", "xba"),
        ("ab", "cab", "cab"),
        ("abc", "x", "abcx"),
        ("", "ba", "ba"),
        ("abcd", "db", "acdb"),
    ],
)
def test_the_order_of_the_manifest_wins_among_its_own_items(live: str, manifest: str, merged: str):
    found = merge({"set": list(live)}, {"set": list(manifest)}, SCHEMA)
    assert "".join(found["set"]) == merged


@pytest.mark.parametrize(
    ("value", "fields", "left"),
    [
        pytest.param({"size": 1, "atoms": ["a"]}, {"f:size": {}}, {"atoms": ["a"]}, id="field"),
        pytest.param({"size": 1}, {"f:size": {}}, None, id="last-field"),
        pytest.param({"labels": {"a": "b"}}, {"f:labels": {"f:a": {}}}, {"labels": None}, id="map"),
        pytest.param({"set": ["a", "b"]}, {"f:set": {'v:"a"': {}}}, {"set": ["b"]}, id="set"),
        pytest.param({"atoms": ["a"]}, {"f:other": {}}, {"atoms": ["a"]}, id="nothing"),
        pytest.param(
            {"ports": [{"port": 1, "name": "x"}]},
            {"f:ports": {'k:{"port":1,"protocol":"TCP"}': {"f:name": {}}}},
            {"ports": [{"port": 1}]},
            id="field-of-an-item",
        ),
    ],
)
def test_fields_are_taken_out(value: Any, fields: Any, left: Any):
    assert remove(value, decode(fields), SCHEMA) == left
