"""From events to the keys of a queue."""

from __future__ import annotations

import pytest
from tests.unit.controller.scripted import kube

from hybridpg.controller._mapping import Mapping
from hybridpg.controller.handlers import enqueue_self
from hybridpg.controller.predicates import Event
from hybridpg.controller.types import ObjectKey
from hybridpg.controller.workqueue import LOW, NORMAL

EVENTS = [Event(None, kube("a")), Event(kube("b", 1), kube("b", 2)), Event(kube("c"), None)]


@pytest.mark.parametrize("predicate", [None, lambda event: True])
@pytest.mark.parametrize(("repeated", "priority"), [(False, NORMAL), (True, LOW)])
def test_the_object_of_each_event_is_added_in_order(predicate, repeated, priority):
    added: list[tuple[ObjectKey, int]] = []
    mapping = Mapping(
        lambda key, priority: added.append((key, priority)), enqueue_self(), predicate
    )
    mapping.on_events(iter(EVENTS), repeated=repeated)
    assert added == [(event.object.key, priority) for event in EVENTS]


def test_a_predicate_is_asked_for_the_object_itself_too():
    added: list[str] = []
    mapping = Mapping(
        lambda key, priority: added.append(key.name),
        enqueue_self(),
        lambda event: event.new is None,
    )
    mapping.on_events(iter(EVENTS), repeated=False)
    assert added == ["c"]
