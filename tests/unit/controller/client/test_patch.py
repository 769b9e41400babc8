"""The three kinds of patch say what they are and encode to JSON."""

from __future__ import annotations

import json

import pytest

from hybridpg.controller.client import ApplyPatch, JsonPatch, MergePatch

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
