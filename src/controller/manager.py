"""Owns everything that runs: starts it in order, notices when a part dies, stops it in order.

Start: event recorder, informers, and when their caches are complete controllers and runnables.
Stop: runnables and controllers (runs in progress may finish), informers, event recorder, client.
There is no global state: several managers in one process do not know of each other.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from types import TracebackType
from typing import Any, Final, Self

from ._clock import WallClock, loop_time, wall_time
from ._tasks import TaskSet
from .client.api import Client
from .errors import ManagerError
from .events import EventRecorder
from .informer import Informer
from .loop import SYNC_SECONDS, Controller, Scope
from .protocols import EventSink, Now, RateLimiter, Runnable
from .reconcile import Reconcile
from .types import ObjectKey, Resource

logger = logging.getLogger(__name__)

GRACE_SECONDS: Final = 30.0
"""What runs in progress get to finish: the time that Kubernetes gives a pod."""
FLUSH_SECONDS: Final = 2.0
"""What the last events get to be written."""

_InformerKey = tuple[Resource, tuple[str, ...], str, str]


class Manager:
    """The one thing to run; see :meth:`run`, or use it as a context manager.

    The client is closed at the end unless ``close_client`` is false. ``scope`` is entered around
    every run of every controller's reconcile function.
    """

    def __init__(
        self,
        client: Client,
        *,
        name: str = "hybridpg",
        now: Now = loop_time,
        wall: WallClock = wall_time,
        grace: float = GRACE_SECONDS,
        sync_timeout: float = SYNC_SECONDS,
        scope: Scope | None = None,
        close_client: bool = True,
    ) -> None:
        self.name = name
        self.client = client
        self._now = now
        self._grace = grace
        self._sync_timeout = sync_timeout
        self._scope = scope
        self._close_client = close_client
        self._recorder = EventRecorder(client, controller=name, now=now, wall=wall)
        self._informers: dict[_InformerKey, Informer] = {}
        self._controllers: dict[str, Controller] = {}
        self._runnables: dict[str, Runnable] = {}
        # empty before the start and after the stop
        self._tasks = TaskSet()
        self._started = False
        # ends a start that waits for caches; of ``run`` only
        self._stop = asyncio.Event()

    @property
    def events(self) -> EventSink:
        """Where reconcile functions record events."""
        return self._recorder

    def informer(
        self,
        resource: Resource,
        *,
        namespaces: Sequence[str] = (),
        label_selector: str = "",
        field_selector: str = "",
    ) -> Informer:
        """Return the shared informer of a kind and selection; the same arguments share it."""
        key = (resource, tuple(sorted(set(namespaces))), label_selector, field_selector)
        informer = self._informers.get(key)
        if informer is None:
            self._not_started("informers")
            informer = self._informers[key] = Informer(
                self.client,
                resource,
                namespaces=key[1],
                label_selector=label_selector,
                field_selector=field_selector,
                now=self._now,
            )
        return informer

    def controller(
        self,
        name: str,
        reconcile: Reconcile,
        *,
        workers: int = 1,
        reconcile_timeout: float | None = None,
        limiter: RateLimiter[ObjectKey] | None = None,
    ) -> Controller:
        """Add a controller; its sources are added to what this returns."""
        self._not_started("controllers")
        if name in self._controllers:
            raise ManagerError(f"manager {self.name} has a controller {name!r} already")
        controller = self._controllers[name] = Controller(
            name,
            reconcile,
            workers=workers,
            reconcile_timeout=reconcile_timeout,
            limiter=limiter,
            sync_timeout=self._sync_timeout,
            scope=self._scope,
        )
        return controller

    def add(self, name: str, runnable: Runnable) -> None:
        """Add a task that runs from when the caches are complete until it is cancelled."""
        self._not_started("runnables")
        if name in self._runnables:
            raise ManagerError(f"manager {self.name} has a runnable {name!r} already")
        self._runnables[name] = runnable

    async def run(
        self, stop: asyncio.Event, *, on_started: Callable[[], None] | None = None
    ) -> None:
        """Start everything, and stop it when ``stop`` is set; cancelling stops it without grace.

        A stop also ends a start that still waits for caches. ``on_started`` is called when they
        are complete.

        Errors: :class:`~.errors.ManagerError` if a part died, could not start or did not stop in
        time; it names the part.
        """
        self._stop = stop
        async with self:
            if on_started is not None and not stop.is_set():
                on_started()
            await self.wait(stop)

    async def wait(self, stop: asyncio.Event) -> None:
        """Wait until ``stop`` is set.

        Errors: :class:`~.errors.ManagerError` if a part dies before.
        """
        if not self._tasks.names:
            raise ManagerError(f"manager {self.name} does not run")
        await _either(stop.wait(), self._tasks.died())
        _raise_failure(self._tasks)

    async def __aenter__(self) -> Self:
        """Start everything; the caches are complete afterwards.

        Errors: :class:`~.errors.ManagerError` if they are not in time.
        """
        self._not_started("another run")
        self._started = True
        try:
            await self._start()
        except BaseException:
            await self._finish()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop everything; without grace where the block was cancelled.

        Errors: :class:`~.errors.ManagerError` if a part died or did not stop in time.
        """
        failure = self._tasks.failure()
        late: list[str] = []
        try:
            if not isinstance(error, asyncio.CancelledError):
                late = await self._drain()
        finally:
            await self._finish()
        if error is not None:
            return
        if failure is not None:
            raise failure
        if late:
            raise ManagerError(f"{', '.join(late)} did not stop within {self._grace:g} s")

    async def _start(self) -> None:
        tasks = self._tasks
        tasks.start("event recorder", self._recorder.run())
        for informer in self._informers.values():
            tasks.start(_unique(tasks, f"informer {informer.resource}"), informer.run())
        await self._wait_synced()
        if self._stop.is_set():
            return
        for name, controller in self._controllers.items():
            tasks.start(f"controller {name}", controller.run())
        for name, runnable in self._runnables.items():
            tasks.start(f"runnable {name}", _call(runnable))
        logger.info("manager %s has started", self.name)

    async def _wait_synced(self) -> None:
        async def all_synced() -> None:
            for informer in self._informers.values():
                await informer.wait_synced()

        try:
            async with asyncio.timeout(self._sync_timeout):
                await _either(all_synced(), self._tasks.died(), self._stop.wait())
        except TimeoutError as error:
            missing = [str(each.resource) for each in self._informers.values() if not each.synced]
            raise ManagerError(
                f"caches not complete after {self._sync_timeout:g} s: {', '.join(missing)}"
            ) from error
        _raise_failure(self._tasks)

    async def _drain(self) -> list[str]:
        """Let runs in progress finish; return the names of what did not in time."""
        logger.info("manager %s is stopping", self.name)
        await self._tasks.cancel([f"runnable {name}" for name in self._runnables])
        stops = {
            asyncio.create_task(controller.stop(), name=f"stop {name}"): f"controller {name}"
            for name, controller in self._controllers.items()
        }
        if not stops:
            return []
        try:
            _, late = await asyncio.wait(stops, timeout=self._grace)
        finally:
            for stop in stops:
                stop.cancel()
        return [stops[stop] for stop in late]

    async def _finish(self) -> None:
        """Stop what still runs; who is cancelled meanwhile does not leave anything behind."""
        halt = asyncio.create_task(self._halt(), name=f"halt {self.name}")
        cancelled: asyncio.CancelledError | None = None
        while not halt.done():
            try:
                await asyncio.wait([halt])
            except asyncio.CancelledError as error:
                cancelled = error
        halt.result()
        if cancelled is not None:
            raise cancelled

    async def _halt(self) -> None:
        """Stop what still runs, in order."""
        tasks = self._tasks
        first = [name for name in tasks.names if name.startswith(("runnable ", "controller "))]
        await tasks.cancel(first)
        await tasks.cancel([name for name in tasks.names if name.startswith("informer ")])
        try:
            async with asyncio.timeout(FLUSH_SECONDS):
                await self._recorder.flush()
        except TimeoutError:
            logger.warning("manager %s stops before all events were written", self.name)
        await tasks.cancel(tasks.names)
        if self._close_client:
            await self.client.close()
        logger.info("manager %s has stopped", self.name)

    def _not_started(self, what: str) -> None:
        if self._started:
            raise ManagerError(f"manager {self.name} was started: {what} cannot be added any more")


def _raise_failure(tasks: TaskSet) -> None:
    failure = tasks.failure()
    if failure is not None:
        raise failure


async def _call(runnable: Runnable) -> None:
    await runnable()


def _unique(tasks: TaskSet, name: str) -> str:
    """Tell apart informers of one kind with different selections."""
    taken = sum(each == name or each.startswith(f"{name} #") for each in tasks.names)
    return f"{name} #{taken + 1}" if taken else name


async def _either(*coroutines: Coroutine[Any, Any, object]) -> None:
    """Return or raise as the first of them does; the others are cancelled."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()
