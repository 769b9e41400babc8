"""Which events are worth a look."""

from __future__ import annotations

import pytest
from tests.unit.controller.scripted import kube

from hybridpg.controller.metadata import metadata_of
from hybridpg.controller.predicates import (
    Event,
    all_of,
    annotations_changed,
    any_of,
    deletion_changed,
    finalizers_changed,
    generation_changed,
    labels_changed,
    negate,
    resource_version_changed,
    resynced,
)
from hybridpg.controller.types import OwnerReference

OLD = kube("a", 1)
ALL = {
    "generation": generation_changed(),
    "version": resource_version_changed(),
    "labels": labels_changed(),
    "annotations": annotations_changed(),
    "finalizers": finalizers_changed(),
    "deletion": deletion_changed(),
}
CHANGES = {
    "generation": kube("a", 2, generation=2),
    "labels": kube("a", 2, labels={"operator/action": "reset-password"}),
    "annotations": kube("a", 2, annotations={"x": "y"}),
    "finalizers": kube("a", 2, finalizers=["f"]),
    "deletion": kube("a", 2, deletionTimestamp="2026-01-01T00:00:00Z"),
    "status only": kube("a", 2),
}
PASSES = {
    "generation": {"generation", "deletion"},
    "version": set(CHANGES),
    "labels": {"labels"},
    "annotations": {"annotations"},
    "finalizers": {"finalizers", "deletion"},
    "deletion": {"deletion"},
}


@pytest.mark.parametrize("name", ALL)
def test_a_predicate_passes_what_it_is_named_after_and_nothing_else(name):
    """H20."""
    passed = {change for change, new in CHANGES.items() if ALL[name](Event(OLD, new))}
    assert passed == PASSES[name]


def test_the_deletion_of_a_kind_without_generations_is_not_lost():
    old, new = (
        kube("a", version, generation=0, **changes)
        for version, changes in ((1, {}), (2, {"deletionTimestamp": "2026-01-01T00:00:00Z"}))
    )
    assert generation_changed()(Event(old, new))


@pytest.mark.parametrize("name", ALL)
def test_adds_and_deletes_always_pass(name):
    assert ALL[name](Event(None, OLD))
    assert ALL[name](Event(None, OLD, initial=True))
    assert ALL[name](Event(OLD, None))


@pytest.mark.parametrize("name", ALL)
def test_a_resync_is_no_change(name):
    assert not ALL[name](Event(OLD, OLD))


def test_resyncs_can_be_let_through_beside_changes():
    either = any_of(ALL["generation"], resynced())
    assert either(Event(OLD, OLD))
    assert either(Event(OLD, CHANGES["generation"]))
    assert not either(Event(OLD, CHANGES["labels"]))
    others = [Event(None, OLD), Event(None, OLD, initial=True), Event(OLD, None)]
    assert not any(resynced()(event) for event in [*others, Event(OLD, CHANGES["generation"])])


def test_predicates_compose():
    either = any_of(ALL["generation"], ALL["labels"])
    both = all_of(ALL["generation"], ALL["labels"])
    twice = kube("a", 2, generation=2, labels={"a": "b"})
    assert [either(Event(OLD, CHANGES[name])) for name in ("labels", "annotations")] == [
        True,
        False,
    ]
    assert [both(Event(OLD, new)) for new in (CHANGES["labels"], twice)] == [False, True]
    assert negate(ALL["labels"])(Event(OLD, CHANGES["annotations"]))
    assert not negate(ALL["labels"])(Event(OLD, CHANGES["labels"]))


def test_the_object_of_an_event_is_its_newest_state():
    new = CHANGES["labels"]
    assert Event(OLD, new).object is new
    assert Event(OLD, None).object is OLD
    with pytest.raises(ValueError, match="without an object"):
        _ = Event(None, None).object


def test_metadata_that_is_missing_or_null_is_empty():
    assert metadata_of(OLD) == ({}, {}, (), ())
    nulls = kube("a", labels=None, annotations=None, finalizers=None, ownerReferences=None)
    assert metadata_of(nulls) == ({}, {}, (), ())


def test_owner_references_are_decoded_and_may_lack_the_controller_flag():
    references = [
        {"apiVersion": "v1", "kind": "A", "name": "x", "uid": "1", "controller": True},
        {"apiVersion": "v1", "kind": "B", "name": "y", "uid": "2"},
    ]
    assert metadata_of(kube("a", ownerReferences=references)).owners == (
        OwnerReference("v1", "A", "x", "1", controller=True),
        OwnerReference("v1", "B", "y", "2", controller=False),
    )
