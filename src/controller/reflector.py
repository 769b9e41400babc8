"""Applies what a watcher reports to a store, and tells what that changed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

from ._slices import slices
from .predicates import Event
from .store import Writer
from .types import KubeObject
from .watcher import Changed, Listed


class Reflector:
    """Keeps one scope of a store equal to the API server.

    The store is changed first and ``tell`` called after, in order: whoever hears of an event sees
    a store that is at least as new. The changes of one read are applied, and then told, without a
    step of the event loop between. A list is taken over in slices: it is prepared aside, swapped
    in at once, and told while the ``gate`` keeps every other writer of the store out.
    """

    def __init__(
        self,
        writer: Writer,
        tell: Callable[[Sequence[Event]], None],
        *,
        scope: str = "",
        on_listed: Callable[[], None],
        gate: asyncio.Lock | None = None,
    ) -> None:
        self._writer = writer
        self._tell = tell
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
            self._tell(self._writer.change(update.events))

    async def _replace(self, objects: list[KubeObject]) -> None:
        shard = self._writer.shard()
        for part in slices(objects):
            shard.fill(part)
            await asyncio.sleep(0)
        async with self._gate:
            replaced = self._writer.commit(shard, self._scope)
            # deletes first: a reader that follows events never holds more than there is
            for gone in replaced.gone():
                self._tell([Event(obj, None) for obj in gone])
                await asyncio.sleep(0)
            initial, self._first = self._first, False
            for news in replaced.news(initial=initial):
                self._tell(news)
                await asyncio.sleep(0)
            self._on_listed()
