"""Guarded patches: each change tests what it rests on, and a conflict is told from a mistake."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.controller.scripted import WIDGETS, ScriptedTransport, failure, kube, obj, unfit

from hybridpg.controller.client.api import Client
from hybridpg.controller.errors import Conflict, Forbidden, Invalid
from hybridpg.controller.guarded import GuardedPatch, pointer

pytestmark = pytest.mark.virtual_time

UID_TEST = {"op": "test", "path": "/metadata/uid", "value": "uid-a"}
DENIED = 'admission webhook "no.example.com" denied the request: the label is not allowed'


def operations(patch: GuardedPatch) -> list[dict[str, Any]]:
    """What a patch does, without the test of the UID that comes first."""
    first, *rest = patch.build().operations
    assert first == UID_TEST
    return rest


def test_a_field_is_replaced_if_it_is_still_as_observed():
    patch = GuardedPatch(obj("a", spec={"size": 1})).set(("spec", "size"), 2)
    assert operations(patch) == [
        {"op": "test", "path": "/spec/size", "value": 1},
        {"op": "replace", "path": "/spec/size", "value": 2},
    ]


def test_a_missing_field_is_added_if_it_is_still_missing():
    patch = GuardedPatch(obj("a", spec={"size": 1})).set(("spec", "colour"), "red")
    assert operations(patch) == [
        {"op": "test", "path": "/spec/colour", "value": None},
        {"op": "add", "path": "/spec/colour", "value": "red"},
    ]


def test_the_objects_around_a_missing_field_are_made_where_they_are_missing():
    patch = GuardedPatch(obj("a")).set(("status", "network", "port"), 5432)
    assert operations(patch) == [
        {"op": "test", "path": "/status", "value": None},
        {"op": "add", "path": "/status", "value": {"network": {"port": 5432}}},
    ]


def test_a_second_change_rests_on_the_first_one():
    patch = GuardedPatch(obj("a")).label("one", "1").label("two", "2")
    assert operations(patch) == [
        {"op": "test", "path": "/metadata/labels", "value": None},
        {"op": "add", "path": "/metadata/labels", "value": {"one": "1"}},
        {"op": "test", "path": "/metadata/labels/two", "value": None},
        {"op": "add", "path": "/metadata/labels/two", "value": "2"},
    ]


def test_names_with_slash_and_tilde_are_escaped():
    """A label of a domain, and a name that would be another one if escaped the wrong way round."""
    patch = GuardedPatch(obj("a", annotations={"x": "y"})).annotation("example.org/a~1b", "z")
    assert operations(patch)[1]["path"] == "/metadata/annotations/example.org~1a~01b"


@pytest.mark.parametrize(
    ("path", "text"),
    [((), ""), (("a", 0, "b"), "/a/0/b"), (("a/b~c",), "/a~1b~0c"), (("",), "/")],
)
def test_a_pointer_is_what_the_standard_says(path, text):
    assert pointer(path) == text


def test_what_is_there_already_changes_nothing():
    there = obj("a", labels={"x": "y"}, finalizers=["f"], spec={"size": 1})
    patch = GuardedPatch(there).label("x", "y").annotation("z", None).set(("spec", "size"), 1)
    patch.add_finalizer("f").remove_finalizer("g").remove(("spec", "colour"))
    assert patch.empty
    assert operations(patch) == []


def test_a_removed_field_must_be_as_it_was():
    patch = GuardedPatch(obj("a", labels={"x": "y"})).label("x", None)
    assert operations(patch) == [
        {"op": "test", "path": "/metadata/labels/x", "value": "y"},
        {"op": "remove", "path": "/metadata/labels/x"},
    ]


def test_an_item_is_removed_where_it_was_seen():
    patch = GuardedPatch(obj("a", finalizers=["x", "y", "z"])).remove_finalizer("y")
    patch.remove_finalizer("z")
    assert operations(patch) == [
        {"op": "test", "path": "/metadata/finalizers/1", "value": "y"},
        {"op": "remove", "path": "/metadata/finalizers/1"},
        {"op": "test", "path": "/metadata/finalizers/1", "value": "z"},
        {"op": "remove", "path": "/metadata/finalizers/1"},
    ]


def test_an_item_is_added_to_the_list_that_was_seen():
    patch = GuardedPatch(obj("a", finalizers=["x"])).add_finalizer("y").add_finalizer("z")
    assert operations(patch) == [
        {"op": "test", "path": "/metadata/finalizers", "value": ["x"]},
        {"op": "add", "path": "/metadata/finalizers/-", "value": "y"},
        {"op": "test", "path": "/metadata/finalizers", "value": ["x", "y"]},
        {"op": "add", "path": "/metadata/finalizers/-", "value": "z"},
    ]


@pytest.mark.parametrize(
    ("path", "test"),
    [
        pytest.param(("spec", "size"), {"path": "/spec/size", "value": 1}, id="there"),
        pytest.param(("spec", "x"), {"path": "/spec/x", "value": None}, id="missing"),
        pytest.param(("status", "a", "b"), {"path": "/status", "value": None}, id="far away"),
    ],
)
def test_what_is_expected_is_tested_and_changes_nothing(path, test):
    patch = GuardedPatch(obj("a", spec={"size": 1})).expect(path)
    assert operations(patch) == [{"op": "test", **test}]
    assert patch.empty


@pytest.mark.parametrize(
    "path", [("spec", "size", "x"), ("spec", "items", 3), ("spec", "items", "x")]
)
def test_a_path_that_leads_nowhere_is_a_mistake_that_says_where(path):
    there = obj("a", spec={"size": 1, "items": [1]})
    with pytest.raises(ValueError, match=r"leads nowhere in ns/a: /spec/(size|items) has no"):
        GuardedPatch(there).set(path, 2)


def test_the_object_given_is_left_as_it_was():
    there = obj("a", labels={"x": "y"})
    GuardedPatch(there).label("x", "z").label("v", "w")
    assert there == obj("a", labels={"x": "y"})


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(("spec",), id="replaced"),
        pytest.param(("status",), id="added"),
        pytest.param(("status", "network"), id="added with what is around it"),
    ],
)
def test_a_value_given_is_left_as_it_was(path):
    value = {"a": 1}
    GuardedPatch(obj("a")).set(path, value).set((*path, "b"), 2)
    assert value == {"a": 1}


def test_an_item_given_is_left_as_it_was():
    item = {"a": 1}
    patch = GuardedPatch(obj("a", spec={"items": []})).append(("spec", "items"), item)
    patch.set(("spec", "items", 0, "b"), 2)
    assert item == {"a": 1}


def test_a_value_that_its_owner_changes_later_counts_as_it_was_given():
    value = {"size": 2}
    patch = GuardedPatch(obj("a")).set(("spec",), value)
    before = operations(patch)
    value["size"] = 3
    assert operations(patch.set(("spec", "size"), 2)) == before


async def test_a_patch_is_sent_once_to_the_object_that_was_observed():
    transport = ScriptedTransport()
    await (
        GuardedPatch(kube("a"))
        .label("x", "y")
        .send(Client(transport), WIDGETS, subresource="status", dry_run=True)
    )
    (call,) = transport.calls
    assert call.path == "/apis/example.org/v1/namespaces/ns/widgets/a/status"
    assert call.query["dryRun"] == "All"
    assert call.body[0] == UID_TEST
    assert call.body[-1] == {"op": "add", "path": "/metadata/labels", "value": {"x": "y"}}


async def test_an_empty_patch_is_not_sent():
    transport = ScriptedTransport()
    patch = GuardedPatch(kube("a")).expect(("spec", "size"))
    assert await patch.send(Client(transport), WIDGETS) is None
    assert transport.calls == []


async def test_a_test_that_fails_is_a_conflict_that_names_the_object():
    transport = ScriptedTransport(writes=[unfit()])
    with pytest.raises(Conflict, match=r"widgets\.example\.org ns/a is no longer as it was obs"):
        await GuardedPatch(kube("a")).label("x", "y").send(Client(transport), WIDGETS)


async def test_a_value_that_is_not_valid_stays_a_mistake():
    causes = [{"reason": "FieldValueInvalid", "field": "metadata.labels", "message": "no"}]
    transport = ScriptedTransport(writes=[failure(422, "Invalid", causes=causes)])
    with pytest.raises(Invalid):
        await GuardedPatch(kube("a")).label("x y", "z").send(Client(transport), WIDGETS)


async def test_what_a_webhook_denies_is_no_conflict_and_keeps_its_message():
    transport = ScriptedTransport(writes=[failure(422, "Invalid", DENIED)])
    with pytest.raises(Invalid, match="the label is not allowed"):
        await GuardedPatch(kube("a")).label("x", "y").send(Client(transport), WIDGETS)


async def test_other_errors_pass_as_they_are():
    transport = ScriptedTransport(writes=[failure(403, "Forbidden")])
    with pytest.raises(Forbidden):
        await GuardedPatch(kube("a")).label("x", "y").send(Client(transport), WIDGETS)
