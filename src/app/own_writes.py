"""What we wrote to each object, until the cache shows it.

The watch tells of a write some milliseconds after the API server has answered it. What a pass would
decide meanwhile was decided already, and each of its writes would be refused as stale.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Final, NamedTuple

from ..controller import Event, KubeObject, ObjectKey, is_older_version
from .subject import Subject

CATCH_UP_LIMIT: Final = 30.0
"""After that the cache is believed all the same: versions go backwards where an administrator puts
an older state of the API server's database back, and no object may wait for ever."""


class _Written(NamedTuple):
    """The version that we wrote, and when; ``superseded``: the one that our write was made on."""

    uid: str
    resource_version: str
    at: float
    superseded: bool

    def shown_by(self, uid: str, resource_version: str) -> bool:
        """Return whether the cache is as far as our write, or shows another object by now."""
        if uid != self.uid:
            return True
        mine = self.resource_version
        if self.superseded and resource_version == mine:
            return False
        return not is_older_version(resource_version, mine)


class OwnWrites:
    """Our last write to each object of a kind.

    As a handler of the informer it forgets what the cache shows: of ten thousand objects nothing
    is left then.
    """

    def __init__(self) -> None:
        self._written: dict[ObjectKey, _Written] = {}

    def __len__(self) -> int:
        """Return how many writes the cache does not show yet, as far as is known."""
        return len(self._written)

    def note(
        self, subject: Subject, cached: KubeObject | None, *, superseded: bool = False
    ) -> None:
        """Remember a write, unless the cache shows it already.

        ``subject`` is the object as our write left it, or with ``superseded`` as it was before.
        """
        now = asyncio.get_running_loop().time()
        written = _Written(subject.uid, subject.resource_version, now, superseded)
        if cached is not None and written.shown_by(cached.uid, cached.resource_version):
            self._written.pop(subject.key, None)
        else:
            self._written[subject.key] = written

    def behind(self, cached: KubeObject) -> float | None:
        """Return for how long the cache has not shown our own last write; None where it does."""
        written = self._written.get(cached.key)
        if written is None:
            return None
        behind = asyncio.get_running_loop().time() - written.at
        if behind < CATCH_UP_LIMIT and not written.shown_by(cached.uid, cached.resource_version):
            return behind
        del self._written[cached.key]
        return None

    def forget(self, key: ObjectKey) -> None:
        """Forget an object that is gone."""
        self._written.pop(key, None)

    def on_events(self, events: Iterator[Event], *, repeated: bool) -> None:
        """Take note of what the cache shows."""
        for event in events:
            obj = event.object
            written = self._written.get(obj.key)
            if written is None:
                continue
            if event.new is None or written.shown_by(obj.uid, obj.resource_version):
                del self._written[obj.key]
