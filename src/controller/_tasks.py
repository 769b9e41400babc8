"""A named set of tasks, none of which may die unnoticed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterable
from typing import Any, Final

from .errors import ManagerError

logger = logging.getLogger(__name__)

CANCEL_SECONDS: Final = 5.0
"""How long a cancelled task may take to clean up before it is given up and named in the log."""


class TaskSet:
    """Owns tasks by name; whoever owns the set has to watch :meth:`died`."""

    def __init__(self) -> None:
        # every task that was started and not stopped, ended or not
        self._tasks: dict[str, asyncio.Task[None]] = {}
        # those of them that were told to end; once, or their clean-up would be interrupted
        self._told: set[asyncio.Task[None]] = set()
        # set when a task has ended that was not told to
        self._ended = asyncio.Event()

    def start(self, name: str, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a task that is not expected to end by itself."""
        task = asyncio.create_task(coroutine, name=name)
        self._tasks[name] = task
        task.add_done_callback(self._notice)
        return task

    def _notice(self, task: asyncio.Task[None]) -> None:
        if task in self._tasks.values() and task not in self._told:
            self._ended.set()

    async def died(self) -> None:
        """Wait until a task ends that should not have."""
        await self._ended.wait()

    def failure(self) -> ManagerError | None:
        """Return what ended a task that should not have, naming it; chained to its exception."""
        for name, task in self._tasks.items():
            if not task.done() or task in self._told:
                continue
            cause = None if task.cancelled() else task.exception()
            text = _describe(cause) if cause is not None else "it ended without an error"
            error = ManagerError(f"{name} died: {text}")
            error.__cause__ = cause
            return error
        return None

    def error(self, name: str) -> BaseException | None:
        """Return what a task has ended with, if it has."""
        task = self._tasks.get(name)
        if task is None or not task.done() or task.cancelled():
            return None
        return task.exception()

    def abort(self, names: Iterable[str]) -> None:
        """Begin to cancel tasks, at once and without waiting; :meth:`cancel` has to follow."""
        for name in names:
            task = self._tasks.get(name)
            if task is not None and task not in self._told:
                self._told.add(task)
                task.cancel()

    async def cancel(self, names: Iterable[str]) -> list[str]:
        """Cancel tasks, wait until they have cleaned up, and forget them.

        Returns the names of those that ignore it and were given up. Where the wait itself is
        cancelled, none is forgotten: the next call waits for them.
        """
        tasks = {name: task for name in names if (task := self._tasks.get(name))}
        self.abort(tasks)
        if tasks:
            await asyncio.wait(tasks.values(), timeout=CANCEL_SECONDS)
        for name, task in tasks.items():
            if self._tasks.get(name) is task:  # another call may have waited as well
                del self._tasks[name]
            self._told.discard(task)
        given_up = [name for name, task in tasks.items() if not task.done()]
        for name, task in tasks.items():
            if not task.done():
                logger.error("%s ignores its cancellation and is given up", name)
            elif not task.cancelled() and (error := task.exception()) is not None:
                logger.warning("%s failed while it was stopped: %s", name, _describe(error))
        return given_up

    @property
    def names(self) -> list[str]:
        """The names of all tasks of the set, in the order of their start."""
        return list(self._tasks)


def _describe(error: BaseException) -> str:
    """Name the first leaf of an exception group: that is where it began."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
