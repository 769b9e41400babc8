"""From an event to the keys that are to be looked at: the object itself, its owner, or others."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from .metadata import metadata_of
from .predicates import Event
from .types import KubeObject, ObjectKey, Resource

Handler = Callable[[Event], Iterable[ObjectKey]]
"""Names the keys that an event concerns; synchronous, and free to read synced stores."""


def enqueue_self() -> Handler:
    """Look at the object of the event."""
    return its_own_key


def its_own_key(event: Event) -> Iterable[ObjectKey]:
    """Name the object of an event: what :func:`enqueue_self` returns, always the same function."""
    return (event.object.key,)


def enqueue_owner(owner: Resource, *, controller_only: bool = True) -> Handler:
    """Look at the owner of the object, as its ownerReferences name it.

    Group and kind must match, the version may differ: an old reference still holds after an
    upgrade. The owners before and after an update are both looked at: a child that changed hands
    concerns the one that lost it.
    """

    def handler(event: Event) -> Iterable[ObjectKey]:
        keys: dict[ObjectKey, None] = {}
        for obj in _states(event):
            for reference in metadata_of(obj).owners:
                group = reference.api_version.rpartition("/")[0]
                if (group, reference.kind) != (owner.group, owner.kind):
                    continue
                if reference.controller or not controller_only:
                    namespace = obj.namespace if owner.namespaced else ""
                    keys[ObjectKey(namespace, reference.name)] = None
        return keys

    return handler


def enqueue_mapped(function: Callable[[KubeObject], Iterable[ObjectKey]]) -> Handler:
    """Look at whatever ``function`` names, for the state before and the one after."""

    def handler(event: Event) -> Iterable[ObjectKey]:
        return dict.fromkeys(key for obj in _states(event) for key in function(obj))

    return handler


def _states(event: Event) -> list[KubeObject]:
    if event.old is event.new:
        return [event.object]
    return [obj for obj in (event.old, event.new) if obj is not None]
