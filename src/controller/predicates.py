"""Which events are worth a look. A predicate is a function, and functions compose.

An event carries no meaning beyond "look at this object again". Predicates only save work: dropping
an event that mattered is a bug, letting a needless one through is not.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from .metadata import Metadata, metadata_of
from .types import KubeObject


class Event(msgspec.Struct, frozen=True, gc=False):
    """A change of one object: ``old`` is None for an add, ``new`` is None for a delete.

    In a resync both are the same object. ``initial`` is set while the first list is delivered.
    """

    old: KubeObject | None
    new: KubeObject | None
    initial: bool = False

    @property
    def object(self) -> KubeObject:
        """The newest state there is."""
        found = self.old if self.new is None else self.new
        if found is None:
            raise ValueError("event without an object")
        return found

    @property
    def repeated(self) -> bool:
        """Whether nothing has happened as far as is known: in the first list and in a resync."""
        old, new = self.old, self.new
        if old is None or new is None:
            return self.initial
        return old is new or old.resource_version == new.resource_version


Predicate = Callable[[Event], bool]
"""Says whether an event is worth a look."""


def generation_changed() -> Predicate:
    """Drop updates that did not touch the spec; adds, deletes and the beginning of one pass.

    Kinds without a generation have no spec: of their updates, nothing else passes.
    """
    return _on_update(
        lambda old, new: (
            old.generation != new.generation or old.deletion_timestamp != new.deletion_timestamp
        )
    )


def resource_version_changed() -> Predicate:
    """Drop resyncs; everything that happened passes."""
    return _on_update(lambda old, new: old.resource_version != new.resource_version)


def resynced() -> Predicate:
    """Let resyncs pass and nothing else, for a source that asked for them.

    ``any_of(generation_changed(), resynced())``: by itself the first drops them as no change.
    """
    return lambda event: event.repeated and event.old is not None


def labels_changed() -> Predicate:
    """Drop updates that left the labels as they were; adds and deletes pass."""
    return _on_metadata(lambda old, new: old.labels != new.labels)


def annotations_changed() -> Predicate:
    """Drop updates that left the annotations as they were; adds and deletes pass."""
    return _on_metadata(lambda old, new: old.annotations != new.annotations)


def finalizers_changed() -> Predicate:
    """Drop updates that left finalizers and deletion as they were; adds and deletes pass."""
    finalizers = _on_metadata(lambda old, new: old.finalizers != new.finalizers)
    return any_of(deletion_changed(), finalizers)


def deletion_changed() -> Predicate:
    """Drop updates that did not begin the deletion; adds and deletes pass."""
    return _on_update(lambda old, new: old.deletion_timestamp != new.deletion_timestamp)


def any_of(*predicates: Predicate) -> Predicate:
    """Let an event through if one of the predicates does."""
    return lambda event: any(predicate(event) for predicate in predicates)


def all_of(*predicates: Predicate) -> Predicate:
    """Let an event through if all of the predicates do."""
    return lambda event: all(predicate(event) for predicate in predicates)


def negate(predicate: Predicate) -> Predicate:
    """Let an event through if the predicate does not."""
    return lambda event: not predicate(event)


def _on_update(changed: Callable[[KubeObject, KubeObject], bool]) -> Predicate:
    def predicate(event: Event) -> bool:
        old, new = event.old, event.new
        return old is None or new is None or changed(old, new)

    return predicate


def _on_metadata(changed: Callable[[Metadata, Metadata], bool]) -> Predicate:
    # the same resourceVersion is the same object: nothing to decode in a resync
    return _on_update(
        lambda old, new: (
            old.resource_version != new.resource_version
            and changed(metadata_of(old), metadata_of(new))
        )
    )
