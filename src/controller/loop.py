"""The controller: sources fill a queue, bounded workers empty it into a reconcile function.

Errors are data here: an exception of the reconcile function, whatever it is, means that the key is
looked at again later, with growing delays, and that everything else goes on.
"""

from __future__ import annotations

import asyncio
import logging
import operator
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from ._clock import running_clock
from ._failures import Failures
from ._ids import unique_ids
from ._mapping import Mapping, Watch
from .delayqueue import DelayQueue
from .errors import ControllerError, ManagerError, QueueClosed, TerminalError
from .handlers import Handler
from .informer import Informer
from .predicates import Predicate
from .protocols import RateLimiter
from .ratelimit import ExponentialLimiter
from .reconcile import Reconcile, Request, Result
from .runstats import ControllerStats
from .types import ObjectKey
from .workqueue import NORMAL, WorkQueue

logger = logging.getLogger(__name__)

SYNC_SECONDS: Final = 120.0
"""A cache that is not complete after that will not be without somebody's help."""

SLICE_SECONDS: Final = 0.002
SLICE_RUNS: Final = 256
"""After so long or so many runs a worker lets others have the event loop: a run that waits for
nothing never does so by itself, and ten workers with a full queue must not stop the watches."""

NOTICED_SECONDS: Final = 0.0001
"""Runs that take longer tell the queue the time: to do so after each would double its cost."""

_SETTLED: Final = Result()
"""Stands for an outcome that was counted already."""

Scope = Callable[[Request], AbstractContextManager[object]]
"""Entered around each run of a reconcile function: binds log context, opens a span."""


class Controller:
    """Runs one reconcile function for the keys that its sources name.

    Never two at a time for the same key, at most ``workers`` in all. Constructing it starts
    nothing: :meth:`run` does, and the manager calls that.
    """

    def __init__(
        self,
        name: str,
        reconcile: Reconcile,
        *,
        workers: int = 1,
        reconcile_timeout: float | None = None,
        limiter: RateLimiter[ObjectKey] | None = None,
        sync_timeout: float = SYNC_SECONDS,
        scope: Scope | None = None,
    ) -> None:
        if workers < 1:
            raise ValueError(f"controller {name}: {workers} workers do nothing, give it 1 or more")
        if reconcile_timeout is not None and not reconcile_timeout > 0:
            raise ValueError(
                f"controller {name}: in {reconcile_timeout} s nothing can be reconciled, "
                "give it more or None"
            )
        self.name = name
        self.workers = workers
        self.stats = ControllerStats()
        self._reconcile = reconcile
        self._timeout = reconcile_timeout
        self._failures = Failures(
            name, limiter if limiter is not None else ExponentialLimiter[ObjectKey](), self.stats
        )
        self._sync_timeout = sync_timeout
        self._scope: Scope = scope or nullcontext
        self._call = reconcile if reconcile_timeout is None else self._within_timeout
        self._run = self._call if scope is None else self._scoped
        self._queue: WorkQueue[ObjectKey] = WorkQueue(name)
        self._delays: DelayQueue[ObjectKey] = DelayQueue(self._queue.add)
        self._watches: list[Watch] = []
        # of workers and of watches that come late; None unless it works
        self._tasks: asyncio.TaskGroup | None = None
        # watches that came late and wait for their informer
        self._late: set[asyncio.Task[None]] = set()
        # set before workers are cancelled. What a worker can see of that itself is not enough: a
        # reconcile function may swallow it, raise CancelledError for reasons of its own, or leave
        # ``Task.cancelling`` counted up, as a TaskGroup of Python 3.11 does
        self._ended = False
        # reconcile ids are unique in the logs of all processes, and cheap
        self._ids = unique_ids()

    @property
    def queue(self) -> WorkQueue[ObjectKey]:
        """The keys that wait for a worker; to look at, not to take from."""
        return self._queue

    @property
    def retries(self) -> int:
        """How many keys were to come again later: after failures, and because they asked to."""
        return self._delays.retries

    def watch(
        self,
        informer: Informer,
        *,
        handler: Handler,
        predicate: Predicate | None = None,
        resync: float | None = None,
    ) -> None:
        """Let the events of an informer name keys to look at.

        Workers start when the informer is synced; before that nothing is mapped, so that handler
        and predicate may read the stores of all informers of the manager. What was there before,
        and what a resync repeats, has a lower priority than what happens.
        """
        watch = Watch(informer, Mapping(self._queue.add, handler, predicate), resync)
        self._watches.append(watch)
        if self._tasks is not None:
            self._follow_late(self._tasks, watch)

    def enqueue(self, key: ObjectKey, priority: int = NORMAL) -> None:
        """Look at a key as soon as a worker is free."""
        self._queue.add(key, priority)

    def enqueue_after(self, key: ObjectKey, delay: float, priority: int = NORMAL) -> None:
        """Look at a key after ``delay`` seconds; of several delays the earliest counts."""
        self._delays.add_after(key, delay, priority)

    async def run(self) -> None:
        """Wait for the sources, then work until :meth:`stop` or cancellation."""
        await self._wait_synced()
        try:
            registrations = [watch.follow() for watch in self._watches]
            for registration in registrations:
                await registration.wait_synced()  # so that a key of several sources runs once
            async with asyncio.TaskGroup() as self._tasks:
                for watch in self._watches[len(registrations) :]:
                    self._follow_late(self._tasks, watch)
                await self._work_on(self._tasks)
        finally:
            self._ended = True
            self._tasks = None
            # who is cancelled is not stopped, and a timer would keep all keys until it is due
            self._delays.close()
            self._queue.discard()

    async def _work_on(self, tasks: asyncio.TaskGroup) -> None:
        workers = [
            tasks.create_task(self._work(), name=f"{self.name} worker {number}")
            for number in range(self.workers)
        ]
        try:
            await asyncio.wait(workers)
        finally:
            self._ended = True
            for task in self._late:
                task.cancel()

    def _follow_late(self, tasks: asyncio.TaskGroup, watch: Watch) -> None:
        name = f"watch of {watch.informer.resource} by {self.name}"
        task = tasks.create_task(self._followed(watch), name=name)
        self._late.add(task)
        task.add_done_callback(self._late.discard)

    async def _followed(self, watch: Watch) -> None:
        try:
            await watch.follow_synced()
        except Exception:
            self._ended = True
            raise

    async def stop(self) -> None:
        """Begin nothing new and wait for the runs in progress.

        Keys that wait are dropped: the next process lists everything anyway.
        """
        self._delays.close()
        self._queue.discard()
        await self._queue.shutdown_with_drain()

    async def _wait_synced(self) -> None:
        try:
            async with asyncio.timeout(self._sync_timeout):
                for watch in self._watches:
                    await watch.informer.wait_synced()
        except TimeoutError as error:
            informers = [watch.informer for watch in self._watches]
            missing = [str(each.resource) for each in informers if not each.synced]
            raise ManagerError(
                f"controller {self.name}: caches not complete after {self._sync_timeout:g} s: "
                f"{', '.join(missing)}"
            ) from error

    async def _work(self) -> None:
        queue, failing, ids, run = self._queue, self._failures.keys, self._ids, self._run
        stats, durations, time = self.stats, self.stats.durations, running_clock()
        counts, shortest = durations.counts, durations.bounds[0]
        left, now = 0, 0.0
        until = now
        while not self._ended:
            try:
                key = queue.get_nowait()  # to await each key would cost as much as to take it
            except asyncio.QueueEmpty:
                if (found := await self._next()) is None:
                    return
                key, left = found, 0
            if not left:
                left, now = SLICE_RUNS, time()
                until = now + SLICE_SECONDS
            begun = now
            failed = bool(failing) and key in failing
            attempt = self._failures.count(key) if failed else 0
            request = Request(key, next(ids), attempt, queue.taken.priority)
            try:
                result = await run(request)
                if result is None and not failed:
                    stats.successes += 1
                elif result is not _SETTLED:
                    self._succeeded(request, result)
            except BaseException as error:  # noqa: BLE001 - one key must not stop the others
                self._unsuccessful(request, error)
            finally:
                now = time()
                took = now - begun
                if took <= shortest:
                    counts[0] += 1
                    durations.sum += took
                else:
                    durations.observe(took)
                queue.done(key, now if took > NOTICED_SECONDS else None)
            left -= 1
            if not left or now >= until:
                await self._let_others_run()
                left = 0

    async def _next(self) -> ObjectKey | None:
        """Wait for a key; None is the end."""
        while True:
            try:
                return await self._queue.get()
            except QueueClosed:
                return None
            except asyncio.CancelledError:
                self._survive()

    async def _let_others_run(self) -> None:
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            self._survive()

    def _survive(self) -> None:
        """Go on after a cancellation that was not for the worker.

        A reconcile function can cancel the task that it runs in, and that comes out of the next
        thing that is waited for.
        """
        task = asyncio.current_task()
        if self._ended or task is None:
            raise asyncio.CancelledError
        task.uncancel()
        logger.warning("a worker of %s was cancelled by what it ran, and goes on", self.name)

    async def _scoped(self, request: Request) -> Result | None:
        """Run within the scope, what is logged of the outcome included."""
        with self._scope(request):
            try:
                self._succeeded(request, await self._call(request))
            except BaseException as error:  # noqa: BLE001 - as in ``_work``
                self._unsuccessful(request, error)
        return _SETTLED

    async def _within_timeout(self, request: Request) -> Result | None:
        try:
            async with asyncio.timeout(self._timeout) as deadline:
                return await self._reconcile(request)
        except TimeoutError as error:
            if deadline.expired():
                self.stats.timeouts += 1
                raise ControllerError(f"reconcile took longer than {self._timeout} s") from error
            raise

    def _succeeded(self, request: Request, result: Result | None) -> None:
        # a result that is none is a failure, and must not be forgotten with those before
        if result is not None and result.requeue_after is not None:
            priority = request.priority if result.priority is None else result.priority
            self._delays.add_after(request.key, result.requeue_after, operator.index(priority))
            self.stats.requeues += 1
        else:
            self.stats.successes += 1
        self._failures.forget(request.key)

    def _unsuccessful(self, request: Request, error: BaseException) -> None:
        if isinstance(error, TerminalError):
            self.stats.errors += 1
            self.stats.terminal += 1
            logger.error("%s of %s gives up until it changes: %s", self.name, request.key, error)
        elif isinstance(error, asyncio.CancelledError):
            if self._ended:
                raise error
            self._failed(request, error)
        elif isinstance(error, Exception):
            self._failed(request, error)
        else:
            raise error

    def _failed(self, request: Request, error: BaseException) -> None:
        delay = self._failures.add(request, error)
        self._delays.add_after(request.key, delay, request.priority)
