"""One watch of a kind, shared by everybody in the process who is interested in it.

Handlers are called synchronously, in order, and with a store that already holds the change, and
maybe those after it that came in the same read. One that fails is logged and disturbs neither the
others nor the watch. Whatever takes long (a list, the first calls of a late handler, a resync) is
done in slices, so that it does not hold up the loop.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence

from ._clock import loop_time
from ._slices import slices
from ._source import ListWatch
from .errors import ManagerError
from .indexer import IndexFunction
from .predicates import Event
from .protocols import EventHandler, Now
from .reflector import Reflector
from .registration import Listener, Registration
from .stats import InformerStats
from .store import Store, Writer
from .transforms import Transform
from .types import Resource
from .watcher import Watcher


class Informer:
    """A cache of one kind and the handlers that follow it.

    ``namespaces`` names those that are watched, merged into one store; none, or an empty
    one among them, is all of them. ``transform`` changes objects before they are cached, and
    ``metadata_only`` asks the server for nothing but their metadata.
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
        transform: Transform | None = None,
        metadata_only: bool = False,
        now: Now = loop_time,
        rand: Callable[[], float] = random.random,
    ) -> None:
        self.resource = resource
        self._rand = rand
        self._scopes = tuple(dict.fromkeys(namespaces)) if resource.namespaced else ()
        if not self._scopes or "" in self._scopes:
            self._scopes = ("",)
        self._writer = Writer(str(resource), self._scopes)
        # who is told of every change; whoever comes late is told first what is there
        self._registrations: tuple[Registration, ...] = ()
        # held by whoever changes the store or tells a part of the handlers what is in it
        self._gate = asyncio.Lock()
        # set once each scope was listed and the handlers were called for it
        self._synced = asyncio.Event()
        self._started = False
        # None unless it runs
        self._tasks: asyncio.TaskGroup | None = None
        # the tasks of late handlers and resyncs
        self._followers: dict[Registration, asyncio.Task[None]] = {}
        self._stats = InformerStats()
        self._watchers = [
            Watcher(
                client,
                resource,
                namespace=scope,
                label_selector=label_selector,
                field_selector=field_selector,
                transform=transform,
                metadata_only=metadata_only,
                now=now,
                stats=self._stats,
            )
            for scope in self._scopes
        ]
        self.store: Store = self._writer.reader()

    @property
    def synced(self) -> bool:
        """Whether the store is complete and every handler has seen all of it.

        A handler that was added later has a gate of its own, ``Registration.synced``.
        """
        return self._synced.is_set()

    async def wait_synced(self) -> None:
        """Wait until the store is complete and every handler has seen all of it."""
        await self._synced.wait()

    @property
    def stats(self) -> InformerStats:
        """The counters, up to date at each call; to be read only."""
        self._stats.objects = len(self._writer)
        contacts = [watcher.last_contact for watcher in self._watchers]
        heard = [contact for contact in contacts if contact is not None]
        self._stats.last_contact = min(heard) if len(heard) == len(contacts) else None
        return self._stats

    def freshness(self, now: float) -> float | None:
        """Return the seconds since the API server was last heard of, None if it never was.

        A healthy watch has a bookmark about once a minute, however little changes.
        """
        contact = self.stats.last_contact
        return None if contact is None else now - contact

    def add_index(self, name: str, function: IndexFunction) -> None:
        """Add an index to the store; ``store.by_index(name, value)`` reads it.

        It is complete at once, so the call takes the longer the more is in the store already.
        """
        self._writer.add_index(name, function)

    def add_handler(
        self, handler: EventHandler | Listener, *, resync: float | None = None
    ) -> Registration:
        """Add a handler; one that comes late is first called for everything that is there.

        About ``resync`` seconds apart it is called with every object of the store, as an update
        whose old and new state are the same. That asks nothing of the API server.

        Errors: :class:`~.errors.ManagerError` if the informer has ended.
        """
        if self._started and self._tasks is None:
            raise ManagerError(f"informer of {self.resource} has ended: add the handler to another")
        registration = Registration(handler, str(self.resource), resync)
        if self._tasks is None:
            self._registrations += (registration,)
        else:
            self._follow(registration, self._tasks, late=True)
        return registration

    def remove_handler(self, registration: Registration) -> None:
        """Stop calling a handler."""
        registration.removed = True
        self._registrations = tuple(
            known for known in self._registrations if known is not registration
        )
        follower = self._followers.pop(registration, None)
        if follower is not None:
            follower.cancel()

    async def run(self) -> None:
        """Watch until cancelled; an informer runs once."""
        if self._started:
            raise ManagerError(f"informer of {self.resource} runs already, or did: make another")
        self._started = True
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                for scope, watcher in zip(self._scopes, self._watchers, strict=True):
                    reflector = Reflector(
                        self._writer,
                        self._tell,
                        scope=scope,
                        on_listed=self._on_listed,
                        gate=self._gate,
                    )
                    name = f"watch {self.resource} {scope}".strip()
                    tasks.create_task(reflector.run(watcher.updates()), name=name)
                for registration in self._registrations:
                    if registration.resync is not None:
                        self._follow(registration, tasks, late=False)
        finally:
            self._tasks = None
            self._registrations = ()
            self._followers.clear()

    def _tell(self, events: Sequence[Event]) -> None:
        registrations = self._registrations
        if len(registrations) == 1 or all(each.whole for each in registrations):
            for registration in registrations:
                registration.tell(events)
            return
        for event in events:  # a handler may remove another one, which then hears nothing more
            for registration in registrations:
                registration.tell((event,))

    def _on_listed(self) -> None:
        if self.synced or not self.store.synced:
            return
        for registration in self._registrations:
            registration.mark_synced()
        self._synced.set()

    def _follow(self, registration: Registration, tasks: asyncio.TaskGroup, *, late: bool) -> None:
        task = tasks.create_task(
            self._serve(registration, late=late), name=f"handler of {self.resource}"
        )
        self._followers[registration] = task
        task.add_done_callback(lambda _: self._followers.pop(registration, None))

    async def _serve(self, registration: Registration, *, late: bool) -> None:
        if late:
            await self._join(registration)
        if registration.resync is not None:
            await self._resync(registration, registration.resync)

    async def _join(self, registration: Registration) -> None:
        """Tell a late handler what is there, and then let it hear what the others hear."""
        async with self._gate:
            for part in slices(self._writer.snapshot()):
                registration.tell([Event(None, obj, True) for obj in part])
                await asyncio.sleep(0)
            self._registrations += (registration,)
            if self.synced:
                registration.mark_synced()

    async def _resync(self, registration: Registration, period: float) -> None:
        await self.wait_synced()
        while not registration.removed:
            # a tenth more or less, or all handlers of a process would be called at once
            await asyncio.sleep(period * (0.9 + self._rand() / 5))
            for part in slices(self.store.list()):
                async with self._gate:
                    present = [self.store.get(known.key) for known in part]
                    registration.tell([Event(obj, obj) for obj in present if obj is not None])
                await asyncio.sleep(0)
