"""Watches: from a version on, every change that a selector lets through, in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final

from ..types import JsonObject
from ._lists import ListOptions, list_options, too_large
from ._request import Call
from ._status import expired
from ._storage import ADDED, DELETED, MODIFIED, Change, Storage, Subscription

BOOKMARK: Final = "BOOKMARK"
ERROR: Final = "ERROR"
INITIAL_END: Final = "k8s.io/initial-events-end"
LONGEST: Final = 1800.0
"""Seconds after which a watch without ``timeoutSeconds`` ends: the least that the server's default
``min-request-timeout`` allows."""
LAST_BOOKMARK: Final = 2.0
"""Seconds before its end that a watch is told where to go on."""

Event = JsonObject


@dataclass(slots=True, eq=False)
class Watch:
    """One open watch; iterate over ``events`` once, and close it when done."""

    call: Call
    storage: Storage
    bookmark_seconds: float
    _options: ListOptions
    _subscription: Subscription
    _due: list[Event] = field(default_factory=list)
    ended: bool = False

    @classmethod
    def open(cls, call: Call, storage: Storage, bookmark_seconds: float) -> Watch:
        """Check the options and listen from now on; nothing is missed before the first read."""
        options = list_options(call, watch=True)
        watch = cls(call, storage, bookmark_seconds, options, storage.subscribe())
        watch._due = watch._first()
        return watch

    def end(self) -> None:
        """Let the watch end as a server does that closes the connection."""
        self.ended = True
        self._subscription.wake()

    def close(self) -> None:
        """Stop listening."""
        self.end()
        self._subscription.close()

    async def events(self) -> AsyncIterator[list[Event]]:
        """Yield events, as many at a time as there are; end at the timeout or by ``end``."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + (self._options.timeout or LONGEST)
        first, self._due = self._due, []
        if first:
            yield first
        if first and first[-1]["type"] == ERROR:
            return
        while not self.ended:
            left = deadline - loop.time()
            if left <= 0:
                break
            wait = self._wait(left)
            changes = await self._subscription.take(wait)
            batch = [event for change in changes if (event := self._event(change)) is not None]
            ending = self.ended or loop.time() >= deadline
            if not changes and self._options.bookmarks and not ending:
                batch = [self._bookmark()]
            if batch:
                yield batch

    def _wait(self, left: float) -> float:
        """Return how long nothing may happen: until the next bookmark, or the end."""
        if not self._options.bookmarks:
            return left
        last = left - LAST_BOOKMARK
        return min(self.bookmark_seconds, last if last > 0 else left)

    def _first(self) -> list[Event]:
        """Return what is due at once: the present objects, or the changes since a version."""
        version, initial = self._options.resource_version, self._options.send_initial
        if initial and int(version or 0) > self.storage.version:
            return [{"type": ERROR, "object": too_large(int(version), self.storage.version).body}]
        if version in ("", "0") and initial is False:
            return []
        if version in ("", "0") or initial:
            return self._present()
        if int(version) < self.storage.compacted:
            message = f"too old resource version: {version} ({self.storage.compacted + 1})"
            return [{"type": ERROR, "object": expired(message).body}]
        known = self.storage.since(int(version))
        return [event for change in known if (event := self._event(change)) is not None]

    def _present(self) -> list[Event]:
        kind, place = self.call.target.kind, self.call.target.namespace
        batch = []
        for key, obj in self.storage.items(kind.stored_as):
            shown = kind.show(obj)
            if (not place or key.namespace == place) and self._matches(shown):
                batch.append({"type": ADDED, "object": shown})
        if self._options.send_initial and self._options.bookmarks:
            end = self._bookmark()
            end["object"]["metadata"]["annotations"] = {INITIAL_END: "true"}
            batch.append(end)
        return batch

    def _matches(self, shown: JsonObject) -> bool:
        name = self.call.target.name
        return self._options.matches(shown) and (not name or shown["metadata"]["name"] == name)

    def _event(self, change: Change) -> Event | None:
        """Return what this watch sees of a change, if anything.

        An object that begins to match is added to the watcher's view, one that ceases to is
        deleted from it.
        """
        kind, place = self.call.target.kind, self.call.target.namespace
        if change.stored_as != kind.stored_as or (place and change.key.namespace != place):
            return None
        shown = kind.show(change.obj)
        matched = change.before is not None and self._matches(kind.show(change.before))
        if change.type == DELETED:
            return {"type": DELETED, "object": shown} if matched else None
        if self._matches(shown):
            return {"type": MODIFIED if matched else ADDED, "object": shown}
        if not matched or change.before is None:
            return None
        before = kind.show(change.before)
        version = change.obj["metadata"]["resourceVersion"]
        last = {**before, "metadata": {**before["metadata"], "resourceVersion": version}}
        return {"type": DELETED, "object": last}

    def _bookmark(self) -> Event:
        resource = self.call.target.kind.resource
        meta: JsonObject = {"resourceVersion": str(self.storage.version)}
        obj = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": meta}
        return {"type": BOOKMARK, "object": obj}
