"""Background work, one task a server: a reconcile function starts it and never waits for it.

A failure is kept, reported with the server's state, and tried again with growing pauses. Nothing
here is durable: after a crash the next look finds what is missing and starts the job again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from ..errors import BackendError, Busy
from .failures import as_backend_error

Job = Callable[[], Coroutine[Any, Any, None]]

logger = logging.getLogger(__name__)

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0  # a full disk or a taken port is noticed within a minute of its repair


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why the last job of a server failed, and when the next may start."""

    error: BackendError
    count: int
    not_before: float


class Jobs:
    """The running jobs and the latest failures, by server."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._troubles: dict[str, Trouble] = {}

    def running(self, name: str) -> bool:
        """Return whether a job of this server is under way."""
        return name in self._tasks

    def trouble(self, name: str) -> Trouble | None:
        """Return why the last job of this server failed; None where it did not."""
        return self._troubles.get(name)

    def forgive(self, name: str) -> None:
        """Forget a failure: something else is wanted of this server now."""
        self._troubles.pop(name, None)

    def start(self, name: str, job: Job) -> None:
        """Start a job unless one is under way or a failure's pause is not over yet."""
        loop = asyncio.get_running_loop()
        trouble = self._troubles.get(name)
        if name in self._tasks or (trouble and loop.time() < trouble.not_before):
            return
        task = loop.create_task(job(), name=f"local server {name}")
        self._tasks[name] = task
        task.add_done_callback(lambda done: self._ended(name, done))

    def cancel(self, name: str) -> None:
        """Cancel the job of a server that has to make way; the next start waits for its end."""
        if name in self._tasks:
            self._tasks[name].cancel()

    async def close(self) -> None:
        """Cancel all jobs and wait until they are gone; a later start finishes their work."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, name: str, task: asyncio.Task[None]) -> None:
        del self._tasks[name]
        if task.cancelled():
            return
        error = task.exception()
        if error is None:
            self._troubles.pop(name, None)
            return
        known = as_backend_error(error)
        if known is None:
            logger.error("work on local server %s failed", name, exc_info=error)
            known = BackendError(f"unexpected {type(error).__name__}; see the controller's log")
        else:
            logger.warning("work on local server %s failed: %s", name, known)
        count = self._troubles[name].count if name in self._troubles else 0
        if isinstance(known, Busy):  # nothing failed: somebody else works on it
            pause = known.retry_after
        else:
            count += 1
            pause = min(FIRST_PAUSE * 2.0 ** min(count - 1, 10), LONGEST_PAUSE)
        not_before = task.get_loop().time() + pause
        self._troubles[name] = Trouble(known, count, not_before)
