"""The three kinds of patch say what they are and encode to JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridpg.controller.client import ApplyPatch, JsonPatch, MergePatch, merge_difference

BODY = {"metadata": {"labels": {"a": None, "ü": "1"}}}
OPERATIONS = (
    {"op": "test", "path": "/metadata/finalizers/0", "value": "ours"},
    {"op": "remove", "path": "/metadata/finalizers/0"},
)


@pytest.mark.parametrize(
    ("patch", "content_type", "body"),
    [
        pytest.param(MergePatch(BODY), "application/merge-patch+json", BODY, id="merge"),
        pytest.param(
            JsonPatch(OPERATIONS), "application/json-patch+json", [*OPERATIONS], id="json"
        ),
        pytest.param(ApplyPatch(BODY), "application/apply-patch+yaml", BODY, id="apply"),
    ],
)
def test_a_patch_carries_its_type_and_its_body(patch, content_type, body):
    assert patch.content_type == content_type
    assert json.loads(patch.encode()) == body


def test_apply_does_not_take_fields_from_others_unless_told():
    assert ApplyPatch(BODY).force is False
    assert ApplyPatch(BODY, force=True).force is True


def test_the_content_type_belongs_to_the_kind_and_cannot_be_passed():
    with pytest.raises(TypeError):
        MergePatch(BODY, content_type="application/json")  # type: ignore[call-arg]


def apply_merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7386, section 2, by the letter."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = apply_merge_patch(result.get(key), value)
    return result


JSON = st.recursive(
    st.booleans() | st.integers() | st.text(max_size=3) | st.lists(st.integers(), max_size=2),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.sampled_from("abc"), JSON, max_size=3)


@given(OBJECTS, OBJECTS)
def test_the_merge_patch_turns_the_old_into_the_new(old: dict[str, Any], new: dict[str, Any]):
    assert apply_merge_patch(old, merge_difference(old, new)) == new


@given(OBJECTS)
def test_equal_objects_need_no_patch(value: dict[str, Any]):
    assert merge_difference(value, value) == {}


@pytest.mark.parametrize(
    ("old", "new", "patch"),
    [
        pytest.param({}, {"a": None}, {}, id="nothing to remove"),
        pytest.param({"a": None}, {}, {}, id="null is as good as missing"),
        pytest.param({"a": 1}, {"a": None}, {"a": None}, id="removed"),
        pytest.param({"a": 1, "b": 2}, {"a": 1}, {"b": None}, id="left out"),
        pytest.param({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}, {"a": {"c": 3}}, id="deep"),
        pytest.param({"a": [1, 2]}, {"a": [1]}, {"a": [1]}, id="a list is a whole"),
        pytest.param({"a": {"b": 1}}, {"a": 1}, {"a": 1}, id="another type"),
    ],
)
def test_the_difference_says_no_more_than_what_differs(old, new, patch):
    assert merge_difference(old, new) == patch
