"""Applies what a watcher reports to a store, and tells a handler what that changed."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from .decode import DELETED, WatchEvent
from .protocols import EventHandler
from .store import Writer
from .types import KubeObject
from .watcher import Changed, Listed


class Reflector:
    """Keeps one scope of a store equal to the API server.

    The store is changed first and the handler called after, in order, without a step of the event
    loop between: whoever is called sees a store that is at least as new as the event.
    """

    def __init__(
        self,
        writer: Writer,
        handler: EventHandler,
        *,
        scope: str = "",
        on_listed: Callable[[], None],
    ) -> None:
        self._writer = writer
        self._handler = handler
        self._scope = scope
        self._on_listed = on_listed
        # no list was applied yet; what the first one holds is delivered as initial
        self._first = True

    async def run(self, updates: AsyncGenerator[Listed | Changed, None]) -> None:
        """Apply updates for as long as they come."""
        async with aclosing(updates):
            async for update in updates:
                self.apply(update)
                del update  # a list must not live on until the next event

    def apply(self, update: Listed | Changed) -> None:
        """Apply one update."""
        if isinstance(update, Changed):
            for event in update.events:
                self._change(event)
        else:
            self._replace(update.objects)

    def _replace(self, objects: list[KubeObject]) -> None:
        gone, present = self._writer.replace(objects, self._scope)
        initial, self._first = self._first, False
        # deletes first: a reader that follows events never holds more than there is
        for obj in gone:
            self._handler.on_delete(obj)
        for old, obj in present:
            if old is None:
                self._handler.on_add(obj, initial=initial)
            elif old.resource_version != obj.resource_version:
                self._handler.on_update(old, obj)
        self._on_listed()

    def _change(self, event: WatchEvent) -> None:
        obj = event.object
        if event.type == DELETED:
            known = self._writer.remove(obj.key)
            if known is not None:
                # the event holds the last state, unless it is of a namesake
                self._handler.on_delete(obj if obj.uid == known.uid else known)
            return
        old = self._writer.put(obj)
        if old is None:
            self._handler.on_add(obj, initial=False)
        elif old.uid != obj.uid:
            self._handler.on_delete(old)
            self._handler.on_add(obj, initial=False)
        else:
            self._handler.on_update(old, obj)
