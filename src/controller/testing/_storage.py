"""The versioned store: objects, the log of their changes, and what was forgotten of it.

One counter numbers every write, as etcd's revision does. Stored objects are never changed in
place: a write puts a new dict into the store and the log, so that readers, watches and lists of an
older moment share them without copies.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import msgspec

from ..types import JsonObject, ObjectKey

ADDED: Final = "ADDED"
MODIFIED: Final = "MODIFIED"
DELETED: Final = "DELETED"
LOG_LIMIT: Final = 100_000
"""Changes kept before the oldest half is forgotten: what a real server keeps for some minutes,
and little memory, since a change shares the object with the store."""

StoredAs = tuple[str, str]


class Change(NamedTuple):
    """One write; ``before`` is None for an object that was added."""

    version: int
    type: str
    stored_as: StoredAs
    key: ObjectKey
    obj: JsonObject
    before: JsonObject | None


@dataclass(slots=True)
class Storage:
    """All objects of the cluster.

    Invariants: ``log`` is ordered by version and holds every change after ``compacted``; an object
    in ``objects`` carries the version of its last change as ``metadata.resourceVersion``.
    """

    version: int = 0
    compacted: int = 0
    objects: dict[StoredAs, dict[ObjectKey, JsonObject]] = field(default_factory=dict)
    log: list[Change] = field(default_factory=list)
    observers: list[Callable[[Change], None]] = field(default_factory=list)

    def get(self, stored_as: StoredAs, key: ObjectKey) -> JsonObject | None:
        """Return the stored object, which must not be changed, or None."""
        return self.objects.get(stored_as, {}).get(key)

    def put(self, stored_as: StoredAs, key: ObjectKey, obj: JsonObject) -> JsonObject:
        """Store a new or changed object and return it with its resourceVersion."""
        before = self.get(stored_as, key)
        stored = self._stamped(obj)
        self.objects.setdefault(stored_as, {})[key] = stored
        type_ = ADDED if before is None else MODIFIED
        self._record(Change(self.version, type_, stored_as, key, stored, before))
        return stored

    def remove(self, stored_as: StoredAs, key: ObjectKey, last: JsonObject) -> JsonObject:
        """Remove an object; watchers are given ``last`` at the version of the removal."""
        before = self.objects[stored_as].pop(key)
        gone = self._stamped(last)
        self._record(Change(self.version, DELETED, stored_as, key, gone, before))
        return gone

    def items(self, stored_as: StoredAs) -> Iterator[tuple[ObjectKey, JsonObject]]:
        """Yield all objects of a resource, ordered as lists are."""
        yield from sorted(self.objects.get(stored_as, {}).items())

    def at(self, stored_as: StoredAs, version: int) -> list[tuple[ObjectKey, JsonObject]]:
        """Return the objects of a resource as they were at a version that is still known."""
        past: dict[ObjectKey, JsonObject | None] = dict(self.objects.get(stored_as, {}))
        for change in reversed(self.log):
            if change.version <= version:
                break
            if change.stored_as == stored_as:
                past[change.key] = change.before
        return sorted((key, obj) for key, obj in past.items() if obj is not None)

    def since(self, version: int) -> list[Change]:
        """Return the changes after a version, oldest first."""
        return self.log[bisect_right(self.log, version, key=_version) :]

    def compact(self, version: int | None = None) -> None:
        """Forget the changes up to a version; older watches and tokens then expire."""
        self.compacted = max(self.compacted, self.version if version is None else version)
        self.log = self.since(self.compacted)

    def subscribe(self) -> Subscription:
        """Return every change from now on; close it when done."""
        return Subscription(self)

    def _stamped(self, obj: JsonObject) -> JsonObject:
        self.version += 1
        return {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self.version)}}

    def _record(self, change: Change) -> None:
        self.log.append(change)
        if len(self.log) > LOG_LIMIT:
            self.compact(self.log[LOG_LIMIT // 2].version)
        for observer in tuple(self.observers):
            observer(change)


class Subscription:
    """The changes of a storage as they come, kept until they are taken.

    An open watch reads from here and not from the log, so that compaction expires old versions
    without cutting off watches that are up to date.
    """

    def __init__(self, storage: Storage) -> None:
        self._observers = storage.observers
        self._pending: list[Change] = []
        self._wake: asyncio.Future[None] | None = None
        storage.observers.append(self._add)

    async def take(self, seconds: float | None) -> list[Change]:
        """Return what came since the last call; wait for it up to ``seconds``."""
        if not self._pending:
            self._wake = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._wake], timeout=seconds)
        taken, self._pending = self._pending, []
        return taken

    def wake(self) -> None:
        """Let ``take`` return, with nothing if nothing came."""
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def close(self) -> None:
        """Stop listening."""
        if self._add in self._observers:
            self._observers.remove(self._add)
        self.wake()

    def _add(self, change: Change) -> None:
        self._pending.append(change)
        self.wake()


def _version(change: Change) -> int:
    return change.version


def copy(obj: JsonObject) -> JsonObject:
    """Return a deep copy; JSON values need no more than an encoder and a decoder."""
    copied: JsonObject = msgspec.json.decode(msgspec.json.encode(obj))
    return copied
