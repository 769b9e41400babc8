"""Keeps the state of a cluster in a file, so that a local run goes on where it stopped.

As with a real API server, a write is kept before it is answered: whoever was told that a Secret
exists finds it again, even if this process is killed the moment after. The file is a journal, a
line for each change, rewritten as a snapshot at every start and when it has grown. It holds
Secrets, so nobody but its owner may read it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import msgspec

from ..types import JsonObject, ObjectKey
from ._storage import DELETED, Change, Storage

SNAPSHOT_AFTER: Final = 10_000
"""Changes appended until the file is rewritten: some 30 MB, read in a second."""
FILE_MODE: Final = 0o600


class Entry(msgspec.Struct):
    """One line: the new state of an object, None for one that is gone."""

    version: int
    group: str
    plural: str
    namespace: str
    name: str
    object: JsonObject | None


_decode = msgspec.json.Decoder(Entry).decode


def read(path: Path) -> Storage | None:
    """Return the storage that a file holds, or None where there is no file.

    Its history is forgotten: a watch from before the restart expires, as after any compaction. A
    last line that was cut off was never answered and does not count.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    storage = Storage()
    for line in raw.split(b"\n")[:-1]:
        entry = _decode(line)
        objects = storage.objects.setdefault((entry.group, entry.plural), {})
        key = ObjectKey(entry.namespace, entry.name)
        if entry.object is None:
            objects.pop(key, None)
        else:
            objects[key] = entry.object
        storage.version = max(storage.version, entry.version)
    storage.compacted = storage.version
    return storage


class Journal:
    """Appends every change to the file before the write that made it is answered."""

    def __init__(self, path: Path, storage: Storage) -> None:
        self._path = path
        self._storage = storage
        self._appended = 0
        self._handle = self._snapshot()
        storage.observers.append(self._changed)

    def close(self) -> None:
        """Stop following."""
        if self._handle >= 0:
            self._storage.observers.remove(self._changed)
            os.close(self._handle)
            self._handle = -1

    def _snapshot(self) -> int:
        """Write the whole state, all of it or nothing, and return the file to append to."""
        entries = [
            _line(self._storage.version, stored_as, key, obj)
            for stored_as, objects in self._storage.objects.items()
            for key, obj in objects.items()
        ]
        self._path.parent.mkdir(parents=True, exist_ok=True)
        partial = self._path.with_name(f"{self._path.name}.partial")
        partial.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        handle = os.open(partial, flags, FILE_MODE)
        _write(handle, b"".join(entries))
        os.fsync(handle)
        partial.replace(self._path)
        self._appended = 0
        return handle

    def _changed(self, change: Change) -> None:
        obj = None if change.type == DELETED else change.obj
        _write(self._handle, _line(change.version, change.stored_as, change.key, obj))
        self._appended += 1
        if self._appended >= SNAPSHOT_AFTER:
            os.close(self._handle)
            self._handle = self._snapshot()


def _line(
    version: int, stored_as: tuple[str, str], key: ObjectKey, obj: JsonObject | None
) -> bytes:
    return msgspec.json.encode(Entry(version, *stored_as, key.namespace, key.name, obj)) + b"\n"


def _write(handle: int, data: bytes) -> None:
    """Write all of it: the kernel may take less at a time."""
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]
