"""The cache of one kind: a writer for the one who watches, a reader for everybody else.

Objects are held by namespace and then name, so that the list of one namespace costs no scan, and a
relist of one namespace swaps one dict. All changes happen between two steps of the event loop:
readers never see half of one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from .errors import ControllerError, NotSynced
from .indexer import Index, IndexFunction
from .types import KubeObject, ObjectKey


class Replaced(NamedTuple):
    """What a relist changed: objects that are gone, and (old or None, new) for those that are."""

    gone: list[KubeObject]
    present: list[tuple[KubeObject | None, KubeObject]]


class _State:
    """What writer and reader share."""

    __slots__ = ("indexes", "namespaces", "title", "unsynced")

    def __init__(self, title: str, scopes: Iterable[str]) -> None:
        self.title = title
        # objects by namespace and name; never holds an empty namespace
        self.namespaces: dict[str, dict[str, KubeObject]] = {}
        self.indexes: dict[str, Index] = {}
        # the scopes whose first list is not complete; only ever shrinks
        self.unsynced = set(scopes)


class Store:
    """The readers' side: a :class:`~.protocols.ReadStore`.

    Reading before the first list is complete raises :class:`~.errors.NotSynced`: an object that
    is merely not known yet must not look absent.
    """

    def __init__(self, state: _State) -> None:
        self._state = state

    @property
    def synced(self) -> bool:
        """Whether the first list was taken over completely."""
        return not self._state.unsynced

    def get(self, key: ObjectKey) -> KubeObject | None:
        """Return the newest known object of that key, or None."""
        self._check()
        objects = self._state.namespaces.get(key.namespace)
        return None if objects is None else objects.get(key.name)

    def list(self, namespace: str = "") -> Sequence[KubeObject]:
        """Return all objects, or those of one namespace."""
        self._check()
        return _objects(self._state, namespace)

    def by_index(self, index: str, value: str) -> Sequence[KubeObject]:
        """Return the objects that the named index function maps to ``value``."""
        self._check()
        found = self._state.indexes.get(index)
        if found is None:
            raise ControllerError(f"store of {self._state.title} has no index {index!r}: add it")
        namespaces = self._state.namespaces
        return [namespaces[key.namespace][key.name] for key in found.keys(value)]

    def _check(self) -> None:
        if self._state.unsynced:
            raise NotSynced(f"{self._state.title} not listed yet: wait until the cache is synced")


class Writer:
    """The writer's side; there is one, and only it can make a reader.

    ``scopes`` are the namespaces that are listed one by one, or ``("",)`` for all at once. The
    store is synced when each was replaced once.
    """

    def __init__(self, title: str = "objects", scopes: Iterable[str] = ("",)) -> None:
        self._state = _State(title, scopes)

    def reader(self) -> Store:
        """Return a readers' handle."""
        return Store(self._state)

    def add_index(self, name: str, function: IndexFunction) -> None:
        """Add an index function; objects that are there already are taken in."""
        if name in self._state.indexes:
            raise ControllerError(f"store of {self._state.title} has an index {name!r} already")
        index = self._state.indexes[name] = Index(name, function)
        for obj in self.snapshot():
            index.put(obj.key, obj)

    def snapshot(self, namespace: str = "") -> list[KubeObject]:
        """Return what is there, synced or not."""
        return _objects(self._state, namespace)

    def put(self, obj: KubeObject) -> KubeObject | None:
        """Store an object and return the one it replaces."""
        objects = self._state.namespaces.get(obj.namespace)
        if objects is None:
            objects = self._state.namespaces[obj.namespace] = {}
        old = objects.get(obj.name)
        objects[obj.name] = obj
        for index in self._state.indexes.values():
            index.put(obj.key, obj)
        return old

    def remove(self, key: ObjectKey) -> KubeObject | None:
        """Take an object out and return it."""
        objects = self._state.namespaces.get(key.namespace)
        old = None if objects is None else objects.pop(key.name, None)
        if old is None:
            return None
        if not objects:
            del self._state.namespaces[key.namespace]
        for index in self._state.indexes.values():
            index.remove(key)
        return old

    def replace(self, items: Iterable[KubeObject], scope: str = "") -> Replaced:
        """Swap everything in a scope for the items of a complete list, at once.

        What was there under the same key but with another UID was deleted meanwhile, and counts
        as gone.
        """
        before = {obj.key: obj for obj in self.snapshot(scope)}
        present: list[tuple[KubeObject | None, KubeObject]] = []
        after: dict[str, dict[str, KubeObject]] = {}
        for obj in items:
            after.setdefault(obj.namespace, {})[obj.name] = obj
            old = before.get(obj.key)
            same = old is not None and old.uid == obj.uid
            present.append((before.pop(obj.key) if same else None, obj))
        self._swap(scope, after)
        self._reindex(before, present)
        self._state.unsynced.discard(scope)
        return Replaced(list(before.values()), present)

    def _swap(self, scope: str, after: dict[str, dict[str, KubeObject]]) -> None:
        if not scope:
            self._state.namespaces = after
        elif scope in after:
            self._state.namespaces[scope] = after[scope]
        else:
            self._state.namespaces.pop(scope, None)

    def _reindex(
        self,
        gone: dict[ObjectKey, KubeObject],
        present: list[tuple[KubeObject | None, KubeObject]],
    ) -> None:
        for index in self._state.indexes.values():
            for key in gone:
                index.remove(key)
            for _, obj in present:
                index.put(obj.key, obj)


def _objects(state: _State, namespace: str) -> list[KubeObject]:
    if namespace:
        return list(state.namespaces.get(namespace, {}).values())
    return [obj for objects in state.namespaces.values() for obj in objects.values()]
