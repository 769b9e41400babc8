"""The order in which the parts of a manager start, and in which they stop.

Start: health server, event recorder, informers, runnables for every replica; and once this one
holds the lease (or at once, where there is none) controllers and the other runnables.
Stop: runnables and controllers (runs in progress may finish), informers, health server; then the
lease is given back, because nothing works any more; event recorder, client.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from ._tasks import TaskSet
from .errors import ControllerError, LeaseLost, ManagerError
from .events import EventRecorder
from .health import HealthServer
from .informer import Informer
from .leader import LeaderElector
from .loop import Controller
from .protocols import Runnable

logger = logging.getLogger(__name__)

FLUSH_SECONDS: Final = 2.0
"""What the last events get to be written."""
RELEASE_SECONDS: Final = 3.0
"""What giving the lease back may take: where that fails, the others wait until it expires."""
ELECTION: Final = "leader election"


class Added(NamedTuple):
    """A runnable, and whether it runs in the leader alone."""

    runnable: Runnable
    leader_only: bool


@dataclass
class Parts:
    """What a manager owns; the manager adds to it, the lifecycle runs it."""

    name: str
    recorder: EventRecorder
    close: Callable[[], Coroutine[Any, Any, None]] | None
    grace: float
    sync_timeout: float
    elector: LeaderElector | None = None
    health: HealthServer | None = None
    informers: list[Informer] = field(default_factory=list)
    controllers: dict[str, Controller] = field(default_factory=dict)
    runnables: dict[str, Added] = field(default_factory=dict)


class Lifecycle:
    """One run of a manager's parts, from their start to their end."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        # empty before the start and after the stop
        self.tasks = TaskSet()
        # the names of the tasks of informers that run
        self._watching: dict[Informer, str] = {}
        # from then on nothing is started any more
        self._stopping = False
        # whether the parts of the leader were started
        self._leading = False
        # the names of work that ignored its cancellation and may go on
        self.stuck: list[str] = []

    @property
    def running(self) -> bool:
        """Whether parts may be started now."""
        return bool(self.tasks.names) and not self._stopping

    @property
    def lost(self) -> bool:
        """Whether others may work now in place of this process: no grace for what still runs."""
        elector = self._parts.elector
        return self._leading and elector is not None and not elector.is_leader

    def failure(self) -> ControllerError | None:
        """Return what ended a part that should not have ended, naming it.

        In a stop all parts end; only the loss of the lease is a failure then.
        """
        loss = self.tasks.error(ELECTION)
        if isinstance(loss, LeaseLost):
            return loss
        error = None if self._stopping else self.tasks.failure()
        # whoever meets it first, in the process the lease is what was lost
        if error is not None and isinstance(error.__cause__, LeaseLost):
            return error.__cause__
        return error

    async def start(self, stop: asyncio.Event) -> None:
        """Start what runs in every replica, and wait until the caches are complete or ``stop``.

        Errors: :class:`~.errors.ManagerError` naming what is not.
        """
        parts, tasks = self._parts, self.tasks
        if parts.health is not None:
            await parts.health.start()
        tasks.start("event recorder", parts.recorder.run())
        for informer in parts.informers:
            self.start_informer(informer)
        await self._wait_synced(stop)
        if stop.is_set():
            return
        self._start_runnables(leader_only=False)
        if parts.elector is None:
            self._lead()
        else:
            tasks.start("lease watch", parts.elector.watch())
            election = tasks.start(ELECTION, parts.elector.run(self._lead))
            election.add_done_callback(lambda _: self._abort())
        logger.info("manager %s has started", parts.name)

    def start_informer(self, informer: Informer) -> None:
        """Run an informer."""
        name = self._unique(f"informer {informer.resource}")
        self._watching[informer] = name
        self.tasks.start(name, informer.run())

    async def stop_informer(self, informer: Informer) -> None:
        """End an informer, if it runs."""
        name = self._watching.pop(informer, None)
        if name is not None:
            await self.tasks.cancel([name])

    async def drain(self) -> list[str]:
        """Let runs in progress finish; return the names of what did not in time.

        Where the lease is lost meanwhile, they are cancelled.
        """
        parts = self._parts
        logger.info("manager %s is stopping", parts.name)
        await self._resign()
        self.stuck += await self.tasks.cancel([f"runnable {name}" for name in parts.runnables])
        stops = {
            asyncio.create_task(controller.stop(), name=f"stop {name}"): f"controller {name}"
            for name, controller in parts.controllers.items()
        }
        if not stops:
            return []
        try:
            _, late = await asyncio.wait(stops, timeout=parts.grace)
        finally:
            for stop in stops:
                stop.cancel()
        return [stops[stop] for stop in late]

    async def finish(self) -> None:
        """Stop what still runs; who is cancelled meanwhile does not leave anything behind."""
        halt = asyncio.create_task(self._halt(), name=f"halt {self._parts.name}")
        cancelled: asyncio.CancelledError | None = None
        while not halt.done():
            try:
                await asyncio.wait([halt])
            except asyncio.CancelledError as error:
                cancelled = error
        halt.result()
        if cancelled is not None:
            raise cancelled

    async def _wait_synced(self, stop: asyncio.Event) -> None:
        informers = tuple(self._parts.informers)

        async def all_synced() -> None:
            for informer in informers:
                await informer.wait_synced()

        seconds = self._parts.sync_timeout
        try:
            async with asyncio.timeout(seconds):
                await either(all_synced(), self.tasks.died(), stop.wait())
        except TimeoutError as error:
            missing = ", ".join(str(each.resource) for each in informers if not each.synced)
            raise ManagerError(f"caches not complete after {seconds:g} s: {missing}") from error
        failure = self.failure()
        if failure is not None:
            raise failure

    def _lead(self) -> None:
        """Start what only the leader runs."""
        if self._stopping:
            return
        self._leading = True
        for name, controller in self._parts.controllers.items():
            self.tasks.start(f"controller {name}", controller.run())
        self._start_runnables(leader_only=True)

    def _start_runnables(self, *, leader_only: bool) -> None:
        for name, added in self._parts.runnables.items():
            if added.leader_only is leader_only:
                self.tasks.start(f"runnable {name}", _call(added.runnable))

    def _abort(self) -> None:
        """End the work at once: the election has ended, so that others may begin theirs."""
        leading = [name for name, added in self._parts.runnables.items() if added.leader_only]
        self.tasks.abort(f"runnable {name}" for name in leading)
        self.tasks.abort(f"controller {name}" for name in self._parts.controllers)

    async def _resign(self) -> None:
        """Be a candidate no longer, unless leading: then the lease is held until all is done."""
        self._stopping = True
        if not self._leading:
            await self.tasks.cancel([ELECTION])

    async def _halt(self) -> None:
        """Stop what still runs, in order."""
        parts, tasks = self._parts, self.tasks
        self._stopping = True
        work = [name for name in tasks.names if name.startswith(("runnable ", "controller "))]
        self.stuck += await tasks.cancel(work)
        await tasks.cancel([name for name in tasks.names if name.startswith("informer ")])
        if parts.health is not None:
            await parts.health.stop()
        await self._release()
        try:
            async with asyncio.timeout(FLUSH_SECONDS):
                await parts.recorder.flush()
        except TimeoutError:
            logger.warning("manager %s stops before all events were written", parts.name)
        await tasks.cancel(tasks.names)
        if parts.close is not None:
            await parts.close()
        logger.info("manager %s has stopped", parts.name)

    async def _release(self) -> None:
        """Give the lease back, unless something may still work."""
        elector = self._parts.elector
        if elector is None:
            return
        await self.tasks.cancel([ELECTION, "lease watch"])
        if self.stuck:
            going_on = ", ".join(self.stuck)
            logger.error("lease %s is not released: %s goes on", elector.config.key, going_on)
            return
        await elector.release(min(RELEASE_SECONDS, elector.config.renew_deadline))

    def _unique(self, name: str) -> str:
        """Tell apart informers of one kind with different selections."""
        taken, names = 1, self.tasks.names
        unique = name
        while unique in names:
            taken += 1
            unique = f"{name} #{taken}"
        return unique


async def either(*coroutines: Coroutine[Any, Any, object]) -> None:
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


async def _call(runnable: Runnable) -> None:
    await runnable()
