"""The values that cross the borders between modules: what they promise whoever holds many."""

from __future__ import annotations

import gc

import pytest
from tests.unit.controller.scripted import kube

from hybridpg.controller import Event, ObjectKey, Request

A, B = ObjectKey("ns", "a"), ObjectKey("ns", "b")


def test_keys_are_equal_by_what_they_name():
    assert ObjectKey("ns", "a") == A != B
    assert {A: 1}[ObjectKey("n" + "s", "a")] == 1
    assert len({A, B, ObjectKey("ns", "a")}) == 2


def test_keys_are_ordered_by_namespace_and_then_by_name():
    others = [ObjectKey("", "z"), ObjectKey("other", "a")]
    assert sorted([*others, B, A]) == [others[0], A, B, others[1]]


def test_a_key_is_taken_apart_into_namespace_and_name():
    namespace, name = A
    assert (namespace, name) == ("ns", "a")


def test_a_key_is_written_as_kubectl_does():
    assert (str(A), str(ObjectKey("", "node"))) == ("ns/a", "node")


def test_a_key_cannot_be_changed():
    with pytest.raises(AttributeError):
        A.name = "other"  # type: ignore[misc]


def test_the_collector_sees_no_key_no_request_and_no_event():
    """Tens of thousands may wait, and it would look at each of them again and again."""
    values = (ObjectKey("ns", "a"), Request(A), Event(None, kube("a")))
    assert [gc.is_tracked(value) for value in values] == [False] * 3
