"""What an apply refuses about its manifest before it looks at the object."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.controller.testing.test_fieldset import SCHEMA

from hybridpg.controller import SECRETS, ObjectKey
from hybridpg.controller.testing._status import StatusError
from hybridpg.controller.testing._typed import check_manifest

ROOT = {
    "type": "object",
    "properties": {
        "metadata": {"type": "object", "properties": {"name": {"type": "string"}}},
        "spec": SCHEMA,
        "any": {"x-kubernetes-int-or-string": True},
        "on": {"type": "boolean"},
        "text": {"type": "string"},
    },
}


def problem_of(**manifest: Any) -> str:
    manifest.setdefault("metadata", {"name": "a"})
    with pytest.raises(StatusError) as caught:
        check_manifest(manifest, ROOT, SECRETS, ObjectKey("default", "a"))
    assert caught.value.status == 500
    return caught.value.message.split("Kind=Secret): ")[1]


@pytest.mark.parametrize(
    ("manifest", "problem"),
    [
        ({"spec": {"size": 1, "labels": {"a": "b"}, "free": None}}, ".spec.free: field not"),
        ({"spec": {"size": "x"}}, ".spec.size: expected numeric (int or float), got string"),
        ({"spec": {"size": True}}, ".spec.size: expected numeric (int or float), got bool"),
        ({"spec": {"labels": [1]}}, ".spec.labels: expected map, got &{[1]}"),
        ({"spec": {"labels": "x"}}, ".spec.labels: expected map, got &{x}"),
        ({"spec": {"set": {"b": 1, "a": {}}}}, ".spec.set: expected list, got &{map[a:map[] b:1]}"),
        ({"spec": {"set": ["a", "a"]}}, '.spec.set: duplicate entries for key [="a"]'),
        (
            {"spec": {"ports": [{"name": "x"}]}},
            ".spec.ports: element 0: associative list with keys",
        ),
        ({"spec": {"ports": [{"port": 1, "x": 1}]}}, '.spec.ports[port=1,protocol="TCP"].x: field'),
        ({"spec": {"atoms": [1]}}, ".spec.atoms[0]: expected string"),
        ({"on": "true"}, ".on: expected boolean"),
        ({"text": {}}, ".text: expected string, got &{map[]}"),
        ({"text": []}, ".text: expected string, got &{[]}"),
    ],
)
def test_what_does_not_fit_is_named(manifest: dict[str, Any], problem: str):
    assert problem_of(**manifest).startswith(problem)


@pytest.mark.parametrize("value", [1, "1", None])
def test_a_number_or_a_text_fits_where_both_may_be(value: Any):
    spec = {"ports": [{"port": 1}], "set": ["a", "b"]}
    manifest = {"metadata": {"name": "a"}, "any": value, "spec": spec}
    with pytest.raises(StatusError, match="on: expected boolean"):
        check_manifest({**manifest, "on": 1}, ROOT, SECRETS, ObjectKey("default", "a"))
    check_manifest(manifest, ROOT, SECRETS, ObjectKey("default", "a"))


def test_several_problems_are_listed():
    text = problem_of(on=1, text=2)
    assert text.startswith("errors:\n  .on: expected boolean")
    assert text.count("\n") == 2
