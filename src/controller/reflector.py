"""Applies what a watcher reports to a store, and tells a handler what that changed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from ._slices import slices
from .decode import DELETED, WatchEvent
from .protocols import EventHandler
from .store import Change, Writer
from .types import KubeObject
from .watcher import Changed, Listed


class Reflector:
    """Keeps one scope of a store equal to the API server.

    The store is changed first and the handler called after, in order: whoever is called sees a
    store that is at least as new as the event. The changes of one read are applied without a step
    of the event loop between. A list is taken over in slices: it is prepared aside, swapped in at
    once, and told to the handler while the ``gate`` keeps every other writer of the store out.
    """

    def __init__(
        self,
        writer: Writer,
        handler: EventHandler,
        *,
        scope: str = "",
        on_listed: Callable[[], None],
        gate: asyncio.Lock | None = None,
    ) -> None:
        self._writer = writer
        self._handler = handler
        self._scope = scope
        self._on_listed = on_listed
        self._gate = gate or asyncio.Lock()
        # no list was applied yet; what the first one holds is delivered as initial
        self._first = True

    async def run(self, updates: AsyncGenerator[Listed | Changed, None]) -> None:
        """Apply updates for as long as they come."""
        async with aclosing(updates):
            async for update in updates:
                await self.apply(update)
                del update  # a list must not live on until the next event

    async def apply(self, update: Listed | Changed) -> None:
        """Apply one update."""
        if isinstance(update, Listed):
            await self._replace(update.objects)
            return
        async with self._gate:
            for event in update.events:
                self._change(event)

    async def _replace(self, objects: list[KubeObject]) -> None:
        shard = self._writer.shard()
        for part in slices(objects):
            for obj in part:
                shard.put(obj)
            await asyncio.sleep(0)
        async with self._gate:
            replaced = self._writer.commit(shard, self._scope)
            # deletes first: a reader that follows events never holds more than there is
            for gone in replaced.gone():
                for obj in gone:
                    self._handler.on_delete(obj)
                await asyncio.sleep(0)
            initial, self._first = self._first, False
            for present in replaced.present():
                for change in present:
                    self._tell(change, initial=initial)
                await asyncio.sleep(0)
            self._on_listed()

    def _tell(self, change: Change, *, initial: bool) -> None:
        old, obj = change
        if old is None:
            self._handler.on_add(obj, initial=initial)
        elif old.resource_version != obj.resource_version:
            self._handler.on_update(old, obj)

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
        elif old.resource_version != obj.resource_version:
            # the same state once more is no news, and would look like a resync
            self._handler.on_update(old, obj)
