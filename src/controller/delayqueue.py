"""Hands keys to a sink after a delay; of several delays of one key the earliest counts.

A key has a priority, which is handed over with it: of several, the highest.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import math
from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

from ._contain import FAILURES
from .workqueue import NORMAL

logger = logging.getLogger(__name__)

K = TypeVar("K", bound=Hashable)

SLACK: Final = 64
"""Outdated heap entries that are tolerated whatever the number of keys."""


class DelayQueue(Generic[K]):
    """A heap of due times with a single timer of the event loop.

    A timer per key would be exact as well, but fills the loop's own heap with entries that are
    cancelled more often than they fire.
    """

    def __init__(self, sink: Callable[[K, int], None]) -> None:
        # how many delays were asked for
        self.retries = 0
        self._sink = sink
        # the due time of every waiting key
        self._due: dict[K, float] = {}
        # holds (due, seq, key) for every entry of _due, besides entries that were brought forward
        self._heap: list[tuple[float, int, K]] = []
        # the priority of every waiting key
        self._priorities: dict[K, int] = {}
        # breaks ties, so that keys are never compared
        self._seq = 0
        # set exactly while _due is not empty; fires at the earliest due time or before
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def __len__(self) -> int:
        """Return how many keys wait."""
        return len(self._due)

    def add_after(self, key: K, delay: float, priority: int = NORMAL) -> None:
        """Hand the key over after ``delay`` seconds; at once where that is not above 0."""
        if self._closed:
            return
        at_once = math.isnan(delay) or delay <= 0
        self.retries += 1
        if at_once:
            self._sink(key, priority)
            return
        due = asyncio.get_running_loop().time() + delay
        if due == math.inf:
            return
        self._priorities[key] = max(priority, self._priorities.get(key, priority))
        if due >= self._due.get(key, math.inf):
            return
        self._due[key] = due
        self._seq += 1
        heapq.heappush(self._heap, (due, self._seq, key))
        if len(self._heap) > 2 * len(self._due) + SLACK:
            self._compact()
        if self._timer is None or due < self._timer.when():
            self._arm()

    def close(self) -> None:
        """Forget all waiting keys and ignore further ones."""
        self._closed = True
        self._due.clear()
        self._priorities.clear()
        self._heap.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        due = self._heap[0][0]
        self._timer = asyncio.get_running_loop().call_at(due, self._fire, due)

    def _fire(self, armed: float) -> None:
        self._timer = None
        # a loop may call back up to the resolution of its clock too early: to take its word for
        # the time that was asked for keeps that from being a timer that is set again and again
        now = max(armed, asyncio.get_running_loop().time())
        heap = self._heap
        while heap and heap[0][0] <= now:
            due, _, key = heapq.heappop(heap)
            if self._due.get(key) == due:
                del self._due[key]
                self._hand_over(key, self._priorities.pop(key))
        if heap and self._timer is None:
            self._arm()

    def _hand_over(self, key: K, priority: int) -> None:
        try:
            self._sink(key, priority)
        except FAILURES:
            # let through, it would leave all other keys without a timer
            logger.exception("%s was due and could not be handed over", key)

    def _compact(self) -> None:
        self._heap = [entry for entry in self._heap if self._due.get(entry[2]) == entry[0]]
        heapq.heapify(self._heap)
