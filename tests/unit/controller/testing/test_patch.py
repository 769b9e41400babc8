"""Patches beyond those compared with the real server."""

from __future__ import annotations

from typing import Any

import pytest

from hybridpg.controller.testing._patch import (
    json_patch,
    merge_patch,
    strategic_merge,
)
from hybridpg.controller.testing._status import StatusError


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": 1}, {"a": None, "b": 2}, {"b": 2}),
        ({"a": {"b": 1}}, {"a": {"c": 2}}, {"a": {"b": 1, "c": 2}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": "x"}, {"a": {"b": {"c": None}}}, {"a": {"b": {}}}),
    ],
)
def test_merge_patches(target: Any, patch: Any, result: Any):
    assert merge_patch(target, patch) == result


@pytest.mark.parametrize(
    ("operations", "result"),
    [
        ([{"op": "add", "path": "/l/-", "value": 3}], {"l": [1, 2, 3], "m": {"k/~": 0}}),
        ([{"op": "add", "path": "/l/0", "value": 0}], {"l": [0, 1, 2], "m": {"k/~": 0}}),
        ([{"op": "remove", "path": "/m/k~1~0"}], {"l": [1, 2], "m": {}}),
        ([{"op": "move", "from": "/l/0", "path": "/n"}], {"l": [2], "m": {"k/~": 0}, "n": 1}),
        (
            [{"op": "copy", "from": "/l", "path": "/n"}],
            {"l": [1, 2], "m": {"k/~": 0}, "n": [1, 2]},
        ),
    ],
)
def test_json_patches(operations: Any, result: Any):
    before = {"l": [1, 2], "m": {"k/~": 0}}
    assert json_patch(before, operations) == result
    assert before == {"l": [1, 2], "m": {"k/~": 0}}


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "add", "path": "/l/7", "value": 1},
        {"op": "remove", "path": "/l/x"},
        {"op": "test", "path": "/b", "value": 1},
        {"op": "test", "path": "/l/0", "value": True},
        {"path": "/l"},
    ],
)
def test_json_patches_that_fail_change_nothing(operation: Any):
    before = {"l": [1, 2], "b": True}
    with pytest.raises(StatusError) as caught:
        json_patch(before, [{"op": "remove", "path": "/b"}, operation])
    assert caught.value.status == 422
    assert before == {"l": [1, 2], "b": True}


def test_strategic_patches_merge_what_has_keys():
    target = {
        "finalizers": ["a/b"],
        "ownerReferences": [{"uid": "1", "name": "x"}, {"uid": "2", "name": "y"}],
        "labels": {"k": "v"},
    }
    patch = {
        "finalizers": ["c/d"],
        "$setElementOrder/finalizers": ["a/b", "c/d"],
        "ownerReferences": [{"uid": "1", "name": "z"}, {"uid": "2", "$patch": "delete"}],
        "labels": {"$patch": "replace", "n": "w"},
    }
    assert strategic_merge(target, patch) == {
        "finalizers": ["a/b", "c/d"],
        "ownerReferences": [{"uid": "1", "name": "z"}],
        "labels": {"n": "w"},
    }
    fewer = {"$deleteFromPrimitiveList/finalizers": ["a/b"]}
    assert strategic_merge(target, fewer)["finalizers"] == []
