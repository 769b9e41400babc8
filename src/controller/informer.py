"""One watch of a kind, shared by everybody in the process who is interested in it.

Handlers are called synchronously, in order, and with a store that already holds the change. One
that fails is logged and disturbs neither the others nor the watch.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from ._clock import loop_time
from .errors import ManagerError
from .indexer import IndexFunction
from .protocols import EventHandler, Now
from .reflector import Reflector
from .store import Store, Writer
from .types import KubeObject, Resource
from .watcher import ListWatch, Watcher

logger = logging.getLogger(__name__)

MIN_RESYNC: Final = 1.0
"""Seconds between two resyncs at least: a shorter period would be a busy loop."""
RESYNC_SLICE: Final = 500
"""Objects of a resync that are delivered before other tasks get their turn."""
_FAILED: Final = "handler of %s failed on %s and misses the event"


class Registration:
    """One handler of an informer; contains whatever the handler raises."""

    def __init__(self, handler: EventHandler, title: str, resync: float | None) -> None:
        self.resync = None if resync is None else max(MIN_RESYNC, resync)
        self._handler = handler
        self._title = title
        self._synced = False

    @property
    def synced(self) -> bool:
        """Whether the handler was called for everything in the first list."""
        return self._synced

    def mark_synced(self) -> None:
        """Say that everything of the first list was delivered."""
        self._synced = True

    def on_add(self, obj: KubeObject, *, initial: bool) -> None:
        """Tell the handler that an object appeared."""
        try:
            self._handler.on_add(obj, initial=initial)
        except Exception:
            logger.exception(_FAILED, self._title, obj.key)

    def on_update(self, old: KubeObject, new: KubeObject) -> None:
        """Tell the handler that an object changed."""
        try:
            self._handler.on_update(old, new)
        except Exception:
            logger.exception(_FAILED, self._title, new.key)

    def on_delete(self, obj: KubeObject) -> None:
        """Tell the handler that an object is gone."""
        try:
            self._handler.on_delete(obj)
        except Exception:
            logger.exception(_FAILED, self._title, obj.key)


class Informer:
    """A cache of one kind and the handlers that follow it.

    ``namespaces`` names those that are watched, merged into one store; none, or an empty
    one among them, is all of them.
    Constructing it starts nothing: :meth:`run` does, and the manager calls that.
    """

    def __init__(
        self,
        client: ListWatch,
        resource: Resource,
        *,
        namespaces: Sequence[str] = (),
        label_selector: str = "",
        field_selector: str = "",
        now: Now = loop_time,
    ) -> None:
        self.resource = resource
        self._scopes = tuple(dict.fromkeys(namespaces)) if resource.namespaced else ()
        if not self._scopes or "" in self._scopes:
            self._scopes = ("",)
        self._writer = Writer(str(resource), self._scopes)
        self._registrations: list[Registration] = []
        # set once each scope was listed and the handlers were called for it
        self._synced = asyncio.Event()
        self._started = False
        self._watchers = [
            Watcher(
                client,
                resource,
                namespace=scope,
                label_selector=label_selector,
                field_selector=field_selector,
                now=now,
            )
            for scope in self._scopes
        ]
        self.store: Store = self._writer.reader()

    @property
    def synced(self) -> bool:
        """Whether the store is complete and every handler has seen all of it."""
        return self._synced.is_set()

    async def wait_synced(self) -> None:
        """Wait until the store is complete and every handler has seen all of it."""
        await self._synced.wait()

    def add_index(self, name: str, function: IndexFunction) -> None:
        """Add an index to the store; ``store.by_index(name, value)`` reads it."""
        self._writer.add_index(name, function)

    def add_handler(self, handler: EventHandler, *, resync: float | None = None) -> Registration:
        """Add a handler; one that comes late is called at once for everything that is there.

        ``resync`` seconds apart it is called with every object of the store, as an update whose
        old and new state are the same. That asks nothing of the API server. The period has to be
        given before the informer runs.
        """
        if resync is not None and self._started:
            raise ManagerError(f"informer of {self.resource} runs already: add resyncs before")
        registration = Registration(handler, str(self.resource), resync)
        self._registrations.append(registration)
        for obj in self._writer.snapshot():
            registration.on_add(obj, initial=True)
        if self.synced:
            registration.mark_synced()
        return registration

    def remove_handler(self, registration: Registration) -> None:
        """Stop calling a handler."""
        self._registrations.remove(registration)

    async def run(self) -> None:
        """Watch until cancelled."""
        if self._started:
            raise ManagerError(f"informer of {self.resource} runs already")
        self._started = True
        async with asyncio.TaskGroup() as tasks:
            for scope, watcher in zip(self._scopes, self._watchers, strict=True):
                reflector = Reflector(self._writer, self, scope=scope, on_listed=self._on_listed)
                tasks.create_task(
                    reflector.run(watcher.updates()), name=f"watch {self.resource} {scope}".strip()
                )
            for registration in self._registrations:
                if registration.resync is not None:
                    tasks.create_task(
                        self._resync(registration, registration.resync),
                        name=f"resync {self.resource}",
                    )

    def on_add(self, obj: KubeObject, *, initial: bool) -> None:
        """Tell all handlers that an object appeared."""
        for registration in tuple(self._registrations):
            registration.on_add(obj, initial=initial)

    def on_update(self, old: KubeObject, new: KubeObject) -> None:
        """Tell all handlers that an object changed."""
        for registration in tuple(self._registrations):
            registration.on_update(old, new)

    def on_delete(self, obj: KubeObject) -> None:
        """Tell all handlers that an object is gone."""
        for registration in tuple(self._registrations):
            registration.on_delete(obj)

    def _on_listed(self) -> None:
        if self.synced or not self.store.synced:
            return
        for registration in self._registrations:
            registration.mark_synced()
        self._synced.set()

    async def _resync(self, registration: Registration, period: float) -> None:
        await self.wait_synced()
        while registration in self._registrations:
            await asyncio.sleep(period)
            for count, known in enumerate(self.store.list(), start=1):
                if registration not in self._registrations:
                    return
                obj = self.store.get(known.key)
                if obj is not None:
                    registration.on_update(obj, obj)
                if count % RESYNC_SLICE == 0:
                    await asyncio.sleep(0)
