"""From events to the keys that are looked at."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.controller.scripted import GADGETS, kube

from hybridpg.controller.handlers import enqueue_mapped, enqueue_owner, enqueue_self
from hybridpg.controller.predicates import Event
from hybridpg.controller.types import KubeObject, ObjectKey, Resource

CLUSTER_GADGETS = Resource("example.org", "v1", "gadgets", "Gadget", namespaced=False)


def owned(*names: str, version: int = 1, **fields: Any) -> KubeObject:
    reference = {"apiVersion": "example.org/v1", "kind": "Gadget", "controller": True, **fields}
    return kube("child", version, ownerReferences=[{**reference, "name": name} for name in names])


def keys(handler, event: Event) -> list[str]:
    return [str(key) for key in handler(event)]


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(Event(None, kube("a")), id="add"),
        pytest.param(Event(kube("a"), kube("a", 2)), id="update"),
        pytest.param(Event(kube("a"), None), id="delete"),
    ],
)
def test_an_object_is_looked_at_itself_whatever_happened(event):
    assert keys(enqueue_self(), event) == ["ns/a"]


def test_the_owner_is_looked_at_on_add_and_delete():
    handler = enqueue_owner(GADGETS)
    assert keys(handler, Event(None, owned("x"))) == ["ns/x"]
    assert keys(handler, Event(owned("x"), None)) == ["ns/x"]


def test_the_owners_before_and_after_a_change_are_both_looked_at():
    event = Event(owned("x"), owned("y", version=2))
    assert keys(enqueue_owner(GADGETS), event) == ["ns/x", "ns/y"]


def test_an_owner_that_stayed_is_looked_at_once():
    assert keys(enqueue_owner(GADGETS), Event(owned("x"), owned("x", version=2))) == ["ns/x"]


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"kind": "Widget"}, id="other kind"),
        pytest.param({"apiVersion": "other.org/v1"}, id="other group"),
        pytest.param({"apiVersion": "v1"}, id="core group"),
        pytest.param({"controller": False}, id="owner that is no controller"),
    ],
)
def test_other_owners_are_not_ours(fields):
    assert keys(enqueue_owner(GADGETS), Event(None, owned("x", **fields))) == []


def test_another_version_of_the_owner_is_the_same_owner():
    event = Event(None, owned("x", apiVersion="example.org/v1beta7"))
    assert keys(enqueue_owner(GADGETS), event) == ["ns/x"]


def test_plain_owners_count_where_that_is_asked_for():
    event = Event(None, owned("x", controller=False))
    assert keys(enqueue_owner(GADGETS, controller_only=False), event) == ["ns/x"]


def test_a_cluster_scoped_owner_has_no_namespace():
    assert keys(enqueue_owner(CLUSTER_GADGETS), Event(None, owned("x"))) == ["x"]


def test_a_mapping_is_asked_for_both_states_and_duplicates_go():
    def mapped(obj: KubeObject) -> list[ObjectKey]:
        return [ObjectKey("ns", "all"), ObjectKey("ns", obj.decode()["spec"]["server"])]

    event = Event(kube("a", spec={"server": "x"}), kube("a", 2, spec={"server": "y"}))
    assert keys(enqueue_mapped(mapped), event) == ["ns/all", "ns/x", "ns/y"]


def test_a_mapping_is_asked_once_in_a_resync():
    asked: list[str] = []

    def mapped(obj: KubeObject) -> list[ObjectKey]:
        asked.append(obj.name)
        return []

    same = kube("a")
    assert keys(enqueue_mapped(mapped), Event(same, same)) == []
    assert asked == ["a"]
