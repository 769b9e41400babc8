"""What controllers of a real cluster do on their own.

They collect garbage, end namespaces and establish definitions.
They run between requests, as soon as the loop comes round: never in the middle of the write that
made them necessary, so clients see the same order of events as from a real cluster.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field

from ..types import JsonObject, ObjectKey
from . import _crds, _meta
from ._kinds import Kind
from ._objects import NAMESPACES, Objects
from ._request import DeleteOptions
from ._storage import DELETED, Change, StoredAs

Place = tuple[StoredAs, ObjectKey]

DEFINITIONS = (_crds.RESOURCE.group, _crds.RESOURCE.plural)


@dataclass(slots=True)
class Controllers:
    """The controllers of the cluster, driven by its changes.

    ``dependents`` maps a uid to every object that has ever named it as owner.
    """

    objects: Objects
    queue: deque[Place] = field(default_factory=deque)
    dependents: dict[str, set[Place]] = field(default_factory=dict)
    scheduled: bool = False

    def start(self) -> None:
        """Take over the present objects and follow every change."""
        storage = self.objects.storage
        storage.observers.append(self._observe)
        for stored_as, objects in storage.objects.items():
            for key, obj in objects.items():
                self._index((stored_as, key), obj)
                if self._concerns(stored_as, obj):
                    self.queue.append((stored_as, key))
                if stored_as == DEFINITIONS and _crds.established(obj):
                    self._serve(obj)

    def _observe(self, change: Change) -> None:
        place = (change.stored_as, change.key)
        self._index(place, change.obj)
        if change.type == DELETED:
            self.queue.extend(sorted(self.dependents.pop(change.obj["metadata"]["uid"], ())))
            self._look_up(change)
        elif self._concerns(change.stored_as, change.obj):
            self.queue.append(place)
        self.schedule()

    def _index(self, place: Place, obj: JsonObject) -> None:
        for reference in obj["metadata"].get("ownerReferences") or ():
            self.dependents.setdefault(reference["uid"], set()).add(place)

    def _concerns(self, stored_as: StoredAs, obj: JsonObject) -> bool:
        meta = obj["metadata"]
        return bool(
            stored_as in (DEFINITIONS, NAMESPACES)
            or meta.get("ownerReferences")
            or meta.get("deletionTimestamp")
        )

    def _look_up(self, change: Change) -> None:
        """Look again at what may have waited for this object to go."""
        if change.key.namespace:
            self.queue.append((NAMESPACES, ObjectKey("", change.key.namespace)))
        group, plural = change.stored_as
        self.queue.append((DEFINITIONS, ObjectKey("", f"{plural}.{group}")))
        for reference in change.obj["metadata"].get("ownerReferences") or ():
            kind = self._owner_kind(reference)
            if kind is not None:
                self.queue.append((kind.stored_as, _owner_key(kind, reference, change.key)))

    def schedule(self) -> None:
        """Let the controllers work as soon as the loop comes round, if there is anything to do."""
        if self.queue and not self.scheduled:
            self.scheduled = True
            asyncio.get_running_loop().call_soon(self._settle)

    def _settle(self) -> None:
        """Work until nothing is left to do."""
        self.scheduled = False
        while self.queue:
            stored_as, key = self.queue.popleft()
            obj = self.objects.storage.get(stored_as, key)
            if obj is not None:
                self._look_at(stored_as, key, obj)

    def _look_at(self, stored_as: StoredAs, key: ObjectKey, obj: JsonObject) -> None:
        deleting = bool(obj["metadata"].get("deletionTimestamp"))
        if stored_as == DEFINITIONS:
            self._definition(key, obj, deleting)
        elif stored_as == NAMESPACES and deleting:
            self._end_namespace(key)
        else:
            self._collect(self._kind(stored_as), key, obj, deleting)

    def _kind(self, stored_as: StoredAs) -> Kind:
        return self.objects.registry.of_storage(stored_as)

    def _definition(self, key: ObjectKey, obj: JsonObject, deleting: bool) -> None:
        kind = self._kind(DEFINITIONS)
        if deleting:
            self._end_definition(kind, key, obj)
        elif not _crds.established(obj):
            status = _crds.accepted_status(obj, self.objects.stamps.time())
            self.objects.storage.put(kind.stored_as, key, {**obj, "status": status})
            self._serve(obj)
        else:
            self._serve(obj)

    def _serve(self, definition: JsonObject) -> None:
        spec = definition["spec"]
        self.objects.registry.remove(spec["group"], spec["names"]["plural"])
        for kind in _crds.kinds_of(definition):
            self.objects.registry.add(kind)

    def _end_definition(self, kind: Kind, key: ObjectKey, obj: JsonObject) -> None:
        spec = obj["spec"]
        stored_as = (spec["group"], spec["names"]["plural"])
        if self._delete_all(stored_as, namespace=""):
            return
        left = [name for name in obj["metadata"].get("finalizers") or () if name != _crds.CLEANUP]
        if left:
            return
        self.objects.drop(kind, key)
        self.objects.registry.remove(*stored_as)

    def _end_namespace(self, key: ObjectKey) -> None:
        waiting = False
        for stored_as in list(self.objects.storage.objects):
            waiting |= self._delete_all(stored_as, namespace=key.name)
        if not waiting:
            self.objects.drop(self._kind(NAMESPACES), key)

    def _delete_all(self, stored_as: StoredAs, *, namespace: str) -> bool:
        """Delete the objects of a kind (in a namespace) and return whether some still wait."""
        waiting = False
        for key, _ in list(self.objects.storage.items(stored_as)):
            if not namespace or key.namespace == namespace:
                kind = self._kind(stored_as)
                waiting |= self.objects.delete(kind, key, DeleteOptions()) is not None
        return waiting

    def _collect(self, kind: Kind, key: ObjectKey, obj: JsonObject, deleting: bool) -> None:
        finalizers = obj["metadata"].get("finalizers") or ()
        if deleting and _meta.ORPHAN in finalizers:
            self._orphan_dependents(obj)
            self._unhold(kind, key, _meta.ORPHAN)
        elif deleting and _meta.FOREGROUND in finalizers:
            if not self._delete_dependents(obj):
                self._unhold(kind, key, _meta.FOREGROUND)
        elif not deleting and obj["metadata"].get("ownerReferences"):
            self._collect_dependent(kind, key, obj)

    def _collect_dependent(self, kind: Kind, key: ObjectKey, obj: JsonObject) -> None:
        references = obj["metadata"]["ownerReferences"]
        dangling = [reference for reference in references if self._gone(reference, key)]
        if not dangling:
            return
        if len(dangling) == len(references):
            uid = obj["metadata"]["uid"]
            self.objects.delete(kind, key, DeleteOptions(uid=uid, propagation="Background"))
        else:
            self._release(kind, key, {reference["uid"] for reference in dangling})

    def _gone(self, reference: JsonObject, key: ObjectKey) -> bool:
        """Whether an owner is proven absent; one of a kind that is not served may exist."""
        kind = self._owner_kind(reference)
        if kind is None:
            return False
        owner = self.objects.storage.get(kind.stored_as, _owner_key(kind, reference, key))
        return owner is None or owner["metadata"]["uid"] != reference["uid"]

    def _owner_kind(self, reference: JsonObject) -> Kind | None:
        return self.objects.registry.owner_kind(reference["apiVersion"], reference["kind"])

    def _dependents_of(self, obj: JsonObject) -> list[tuple[Place, JsonObject, JsonObject]]:
        """Return place, object and reference of everything that names the object as owner."""
        found = []
        uid = obj["metadata"]["uid"]
        for place in sorted(self.dependents.get(uid, ())):
            dependent = self.objects.storage.get(*place)
            references = (dependent or {}).get("metadata", {}).get("ownerReferences") or ()
            if dependent is not None:
                found += [(place, dependent, ref) for ref in references if ref["uid"] == uid]
        return found

    def _delete_dependents(self, owner: JsonObject) -> bool:
        """Delete the dependents and return whether one still blocks its owner."""
        blocked = False
        for (stored_as, key), dependent, reference in self._dependents_of(owner):
            options = DeleteOptions()
            if not dependent["metadata"].get("deletionTimestamp"):
                options = DeleteOptions(propagation="Foreground")
            left = self.objects.delete(self._kind(stored_as), key, options)
            blocked |= left is not None and bool(reference.get("blockOwnerDeletion"))
        return blocked

    def _orphan_dependents(self, owner: JsonObject) -> None:
        for (stored_as, key), _, reference in self._dependents_of(owner):
            self._release(self._kind(stored_as), key, {reference["uid"]})

    def _release(self, kind: Kind, key: ObjectKey, owners: set[str]) -> None:
        def without(obj: JsonObject) -> JsonObject:
            meta = obj["metadata"]
            references = meta.get("ownerReferences") or ()
            meta["ownerReferences"] = [ref for ref in references if ref["uid"] not in owners]
            return obj

        self.objects.update(kind, key, without)

    def _unhold(self, kind: Kind, key: ObjectKey, finalizer: str) -> None:
        def without(obj: JsonObject) -> JsonObject:
            meta = obj["metadata"]
            meta["finalizers"] = [name for name in meta["finalizers"] if name != finalizer]
            return obj

        self.objects.update(kind, key, without)


def _owner_key(kind: Kind, reference: JsonObject, dependent: ObjectKey) -> ObjectKey:
    namespace = dependent.namespace if kind.resource.namespaced else ""
    return ObjectKey(namespace, reference["name"])
