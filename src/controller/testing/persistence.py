"""Keeps the state of a cluster in a file, so that a local run goes on where it stopped.

The file is written whole and swapped in, some moments after a change and at the end; it holds
Secrets, so nobody but its owner may read it.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Final

import msgspec

from ..types import JsonObject, ObjectKey
from ._storage import Change, Storage

SAVE_AFTER: Final = 0.2
"""Seconds from a change to its file: one write for a burst, and little lost by a kill."""
FILE_MODE: Final = 0o600


class StoredObject(msgspec.Struct):
    """One object in the file, with the place that it is stored at."""

    group: str
    plural: str
    object: JsonObject


class State(msgspec.Struct):
    """The whole file."""

    version: int
    objects: list[StoredObject]


def read(path: Path) -> Storage | None:
    """Return the storage that a file holds, or None where there is no file.

    Its history is forgotten: a watch from before the restart expires, as after any compaction.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    state = msgspec.json.decode(raw, type=State)
    storage = Storage(version=state.version, compacted=state.version)
    for entry in state.objects:
        meta = entry.object["metadata"]
        key = ObjectKey(meta.get("namespace", ""), meta["name"])
        storage.objects.setdefault((entry.group, entry.plural), {})[key] = entry.object
    return storage


def write(path: Path, storage: Storage) -> None:
    """Write the file, all of it or nothing."""
    objects = [
        StoredObject(group, plural, obj)
        for (group, plural), stored in storage.objects.items()
        for obj in stored.values()
    ]
    raw = msgspec.json.encode(State(storage.version, objects))
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    partial.unlink(missing_ok=True)
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
    with os.fdopen(handle, "wb") as file:
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


class Autosave:
    """Writes the file some moments after a change, and at the end."""

    def __init__(self, path: Path, storage: Storage) -> None:
        self._path = path
        self._storage = storage
        self._timer: asyncio.TimerHandle | None = None
        self._saved = -1
        storage.observers.append(self._changed)

    def flush(self) -> None:
        """Write what is not yet written."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._saved != self._storage.version:
            write(self._path, self._storage)
            self._saved = self._storage.version

    def close(self) -> None:
        """Write a last time and stop following."""
        self.flush()
        self._storage.observers.remove(self._changed)

    def _changed(self, change: Change) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SAVE_AFTER, self.flush)
