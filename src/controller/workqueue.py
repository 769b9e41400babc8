"""The work queue: fair, stingy and re-entrant.

Fair: keys come out in the order they went in. Stingy: a key that is added many times before it is
handed out is handed out once. Re-entrant: a key added while it is being worked on is handed out
again afterwards, and never to two workers at a time.

One dict holds the state of every key that the queue knows; a key is in the line exactly if its
state is queued. That is smaller and faster than the usual three sets, and cannot contradict itself.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Hashable
from typing import Final, Generic, TypeVar

from .errors import QueueClosed

K = TypeVar("K", bound=Hashable)

QUEUED: Final = 0
PROCESSING: Final = 1
DIRTY: Final = 2
"""Being worked on, and to be queued again when that is done."""


class WorkQueue(Generic[K]):
    """A queue of keys for any number of workers on one event loop."""

    def __init__(self) -> None:
        # exactly the keys whose state is QUEUED, each once, oldest first
        self._line: deque[K] = deque()
        # every key that waits or is worked on; absent = idle
        self._state: dict[K, int] = {}
        # workers that wait; a woken one has been removed
        self._getters: deque[asyncio.Future[None]] = deque()
        # those who wait in shutdown_with_drain; only while shut down
        self._drainers: list[asyncio.Future[None]] = []
        self._closed = False

    def __len__(self) -> int:
        """Return how many keys wait to be handed out."""
        return len(self._line)

    @property
    def closed(self) -> bool:
        """Whether the queue was shut down."""
        return self._closed

    @property
    def processing(self) -> int:
        """How many keys are being worked on."""
        return len(self._state) - len(self._line)

    def add(self, key: K) -> None:
        """Mark a key as to be worked on; ignored after a shutdown."""
        if self._closed:
            return
        if key not in self._state:  # as _push, without the call: this is the hottest line there is
            self._state[key] = QUEUED
            self._line.append(key)
            if self._getters:
                self._wake()
        elif self._state[key] == PROCESSING:
            self._state[key] = DIRTY

    async def get(self) -> K:
        """Wait for the next key; whoever gets it must call ``done`` with it.

        Errors: :class:`~.errors.QueueClosed` after a shutdown, once nothing waits any more.
        """
        while not self._line:
            if self._closed:
                raise QueueClosed("the work queue was shut down")
            await self._wait()
        key = self._line.popleft()
        self._state[key] = PROCESSING
        return key

    def done(self, key: K) -> None:
        """Say that the work on a key has ended, however it ended."""
        state = self._state.pop(key)
        if state == DIRTY:
            self._push(key)
        elif state == QUEUED:
            self._state[key] = state
            raise ValueError(f"work on {key} was not begun, so it cannot be done")
        elif self._drainers and not self._state:
            self._release_drainers()

    def shutdown(self) -> None:
        """Take no further keys; what waits is still handed out. Ends a wait for draining."""
        self._close()
        self._release_drainers()

    def discard(self) -> None:
        """Forget everything that is not being worked on, and second rounds of what is.

        For a quick stop: the next process lists everything anyway.
        """
        self._line.clear()
        self._state = dict.fromkeys(
            (key for key, state in self._state.items() if state != QUEUED), PROCESSING
        )
        if not self._state:
            self._release_drainers()

    async def shutdown_with_drain(self) -> None:
        """Shut down and wait until the work on every key has ended, second rounds included."""
        self._close()
        if not self._state:
            return
        drained = asyncio.get_running_loop().create_future()
        self._drainers.append(drained)
        await drained

    def _push(self, key: K) -> None:
        self._state[key] = QUEUED
        self._line.append(key)
        if self._getters:
            self._wake()

    async def _wait(self) -> None:
        getter = asyncio.get_running_loop().create_future()
        self._getters.append(getter)
        try:
            await getter
        except asyncio.CancelledError:
            if not getter.cancelled() and self._line:
                # woken and cancelled at once: the key is for another worker
                self._wake()
            elif getter in self._getters:
                self._getters.remove(getter)
            raise

    def _close(self) -> None:
        self._closed = True
        while self._getters:
            self._wake()

    def _wake(self) -> None:
        while self._getters:
            getter = self._getters.popleft()
            if not getter.done():  # it is done if its worker was cancelled a moment ago
                getter.set_result(None)
                return

    def _release_drainers(self) -> None:
        drainers, self._drainers = self._drainers, []
        for drained in drainers:
            if not drained.done():
                drained.set_result(None)
