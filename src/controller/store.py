"""The cache of one kind: a writer for the one who watches, a reader for everybody else.

What is listed in one piece is a shard: all of the kind, or one namespace of those that are watched
one by one. A relist builds a new shard aside, as slowly as it has to, and then puts it in the place
of the old one at once. Readers never see half of it, and the event loop is not held up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from ._slices import slices
from .decode import DELETED, WatchEvent
from .errors import ControllerError, NotSynced
from .indexer import Index, IndexFunction
from .predicates import Event
from .types import KubeObject, ObjectKey


class Shard:
    """Objects by namespace and name, and their indexes.

    Namespaces are dicts of their own, so that the list of one costs no scan, and so that no key is
    an object of its own for each object held.
    """

    __slots__ = ("indexes", "namespaces")

    def __init__(self) -> None:
        # never holds an empty namespace
        self.namespaces: dict[str, dict[str, KubeObject]] = {}
        self.indexes: dict[str, Index] = {}

    def get(self, namespace: str, name: str) -> KubeObject | None:
        """Return an object, or None."""
        objects = self.namespaces.get(namespace)
        return None if objects is None else objects.get(name)

    def put(self, obj: KubeObject) -> KubeObject | None:
        """Store an object and return the one it replaces."""
        objects = self.namespaces.get(obj.namespace)
        if objects is None:
            objects = self.namespaces[obj.namespace] = {}
        old = objects.get(obj.name)
        objects[obj.name] = obj
        for index in self.indexes.values():
            index.put(obj)
        return old

    def fill(self, objects: Iterable[KubeObject]) -> None:
        """Store objects: what ``put`` does, in half the time for a long list without indexes."""
        if self.indexes:
            for obj in objects:
                self.put(obj)
            return
        namespaces = self.namespaces
        for obj in objects:
            namespace = obj.namespace
            if namespace in namespaces:
                namespaces[namespace][obj.name] = obj
            else:
                namespaces[namespace] = {obj.name: obj}

    def remove(self, key: ObjectKey) -> KubeObject | None:
        """Take an object out and return it."""
        objects = self.namespaces.get(key.namespace)
        old = None if objects is None else objects.pop(key.name, None)
        if old is None:
            return None
        if not objects:
            del self.namespaces[key.namespace]
        for index in self.indexes.values():
            index.remove(key)
        return old

    def list(self, namespace: str = "") -> list[KubeObject]:
        """Return all objects, or those of one namespace."""
        if namespace:
            return list(self.namespaces.get(namespace, {}).values())
        return [obj for objects in self.namespaces.values() for obj in objects.values()]

    def add_index(self, name: str, function: IndexFunction) -> None:
        """Add an index and take in what is there."""
        index = self.indexes[name] = Index(name, function)
        for obj in self.list():
            index.put(obj)

    def __len__(self) -> int:
        """Count the objects."""
        return sum(map(len, self.namespaces.values()))


class Replaced:
    """What a relist changed; iterate over ``gone``, then over ``news``, once each.

    Both yield lists, some of them empty, so that others can run between two of them however few
    objects have changed. What was there is let go on the way: tens of thousands of objects that die
    together would hold up the event loop, too.
    """

    def __init__(self, before: Shard, after: Shard) -> None:
        self._before = before.namespaces
        self._after = after

    def gone(self) -> Iterator[list[KubeObject]]:
        """Yield what is not there any more, a namesake with another UID included."""
        names = ((objects, name) for objects in self._before.values() for name in tuple(objects))
        for part in slices(names):
            yield [objects.pop(name) for objects, name in part if self._lost(objects[name])]

    def news(self, *, initial: bool = False) -> Iterator[list[Event]]:
        """Yield an event for everything that is new or has changed.

        The same state once more is none, and would look like a resync.
        """
        for part in slices(self._after.list()):
            yield (
                self._changed(part, initial)
                if self._before
                else [Event(None, obj, initial) for obj in part]
            )

    def _changed(self, part: list[KubeObject], initial: bool) -> list[Event]:
        events = []
        for obj in part:
            objects = self._before.get(obj.namespace)
            old = None if objects is None else objects.pop(obj.name, None)
            if old is None or old.resource_version != obj.resource_version:
                events.append(Event(old, obj, initial))
        return events

    def _lost(self, old: KubeObject) -> bool:
        new = self._after.get(old.namespace, old.name)
        return new is None or new.uid != old.uid


class _State:
    """What writer and reader share."""

    __slots__ = ("functions", "scopes", "shards", "title", "unsynced")

    def __init__(self, title: str, scopes: Iterable[str]) -> None:
        self.title = title
        self.scopes = tuple(scopes)
        # one for each scope
        self.shards: dict[str, Shard] = {scope: Shard() for scope in self.scopes}
        # by name; every shard has an index for each
        self.functions: dict[str, IndexFunction] = {}
        # the scopes whose first list is not complete; only ever shrinks
        self.unsynced = set(self.scopes)

    def shard(self, namespace: str) -> Shard:
        """Return where objects of a namespace are."""
        found = self.shards.get(namespace)
        return self.shards[self.scopes[0]] if found is None else found

    def list(self, namespace: str) -> list[KubeObject]:
        """Return all objects, or those of one namespace."""
        if namespace or len(self.scopes) == 1:
            return self.shard(namespace).list(namespace)
        return [obj for shard in self.shards.values() for obj in shard.list()]


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
        return self._state.shard(key.namespace).get(key.namespace, key.name)

    def list(self, namespace: str = "") -> Sequence[KubeObject]:
        """Return all objects, or those of one namespace."""
        self._check()
        return self._state.list(namespace)

    def by_index(self, index: str, value: str) -> Sequence[KubeObject]:
        """Return the objects that the named index function maps to ``value``."""
        self._check()
        if index not in self._state.functions:
            raise ControllerError(f"store of {self._state.title} has no index {index!r}: add it")
        shards = self._state.shards.values()
        return [obj for shard in shards for obj in shard.indexes[index].objects(value)]

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
        if name in self._state.functions:
            raise ControllerError(f"store of {self._state.title} has an index {name!r} already")
        self._state.functions[name] = function
        for shard in self._state.shards.values():
            shard.add_index(name, function)

    def snapshot(self) -> list[KubeObject]:
        """Return what is there, synced or not."""
        return self._state.list("")

    def put(self, obj: KubeObject) -> KubeObject | None:
        """Store an object and return the one it replaces."""
        return self._state.shard(obj.namespace).put(obj)

    def change(self, events: Iterable[WatchEvent]) -> list[Event]:
        """Take over what happened, in order, and return what that changed.

        The same state once more is no news. Of a deletion, the event holds the last state.
        """
        changed: list[Event] = []
        only = self._state.shards[self._state.scopes[0]] if len(self._state.scopes) == 1 else None
        for event in events:
            obj = event.object
            shard = self._state.shard(obj.namespace) if only is None else only
            if event.type == DELETED:
                old = shard.remove(obj.key)
                if old is not None:
                    changed.append(Event(obj if obj.uid == old.uid else old, None))
                continue
            objects = shard.namespaces.get(obj.namespace)
            if objects is None or shard.indexes:
                old = shard.put(obj)
            else:  # what ``put`` does, without a call for each object
                old = objects.get(obj.name)
                objects[obj.name] = obj
            if old is None:
                changed.append(Event(None, obj))
            elif old.uid != obj.uid:
                changed += (Event(old, None), Event(None, obj))
            elif old.resource_version != obj.resource_version:
                changed.append(Event(old, obj))
        return changed

    def remove(self, key: ObjectKey) -> KubeObject | None:
        """Take an object out and return it."""
        return self._state.shard(key.namespace).remove(key)

    def shard(self) -> Shard:
        """Return an empty shard with all indexes, to be filled and then committed."""
        shard = Shard()
        _complete(shard, self._state.functions)
        return shard

    def commit(self, shard: Shard, scope: str = "") -> Replaced:
        """Swap everything in a scope for a filled shard, at once."""
        # an index may have been added since the shard was made
        _complete(shard, self._state.functions)
        before, self._state.shards[scope] = self._state.shards[scope], shard
        self._state.unsynced.discard(scope)
        return Replaced(before, shard)

    def replace(self, items: Iterable[KubeObject], scope: str = "") -> Replaced:
        """Swap everything in a scope for the items of a complete list."""
        shard = self.shard()
        shard.fill(items)
        return self.commit(shard, scope)

    def __len__(self) -> int:
        """Count the objects."""
        return sum(map(len, self._state.shards.values()))


def _complete(shard: Shard, functions: Mapping[str, IndexFunction]) -> None:
    for name, function in functions.items():
        if name not in shard.indexes:
            shard.add_index(name, function)
