"""The work queue: fair, stingy and re-entrant, with priorities that starve nobody.

Fair: keys of one priority come out in the order they went in; see ``_lines.py`` for how keys of
several priorities share the workers. Stingy: a key that is added many times before it is handed out
is handed out once. Re-entrant: a key added while it is being worked on is handed out again
afterwards, and never to two workers at a time.

One dict holds the state of every key that the queue knows. That is smaller and faster than the
usual three sets, and cannot contradict itself.

Every key is counted and measured. What counts is exact; the time is looked at once in each turn of
the event loop, because a look costs as much as half of the rest: a key that is added, or taken, in
the middle of a turn is taken for one at its beginning. So a duration is wrong by what the loop was
busy in that turn, at most. Work that holds the loop itself is in ``done(key, at=...)``, for workers
that know the time anyway.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Hashable
from typing import Final, Generic, TypeVar

import msgspec

from ._histogram import QUEUE_BOUNDS, Histogram
from ._lines import Lines
from .errors import QueueClosed

K = TypeVar("K", bound=Hashable)

NORMAL: Final = 0
"""The priority of what happens now."""
LOW: Final = -100
"""The priority of what was there before and of resyncs."""


RUN: Final = 512
"""Keys that are looked ahead at a time: more would save nothing that can be measured."""


def _now() -> float:
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:  # before the loop runs; this is the clock it will have
        return time.monotonic()


class Mark(msgspec.Struct, gc=False):
    """What all keys have in common that were added, or taken, in one turn with one priority."""

    priority: int
    at: float
    working: bool


_NONE: Final = Mark(NORMAL, math.nan, True)


class WorkQueue(Generic[K]):
    """A queue of keys for any number of workers on one event loop."""

    def __init__(self, name: str = "") -> None:
        self.name = name
        # every key that waits or is worked on; absent = idle
        self._marks: dict[K, Mark] = {}
        # exactly the keys that wait, each once
        self._lines: Lines[K] = Lines(lambda key: self._marks[key].at)
        # the line of all that wait while there is but one; empty while there are several
        self._front: deque[K] = self._lines.front
        # the priority of that line if a mark for it was made in this turn and the queue is not
        # shut down; and that mark. Keys of one mark stand side by side
        self._quick: int | None = None
        self._added = _NONE
        # keys that are being worked on and are to be queued again when that is done
        self._again: dict[K, Mark] = {}
        # workers that wait; a woken one has been removed
        self._getters: deque[asyncio.Future[None]] = deque()
        # a worker was woken and has not run since: it wakes the next one if there is more to do. To
        # wake one for each key would wake all of them where the first can do all
        self._woken = False
        # those who wait in shutdown_with_drain; only while shut down
        self._drainers: list[asyncio.Future[None]] = []
        self._closed = False
        # the time of this turn of the event loop; None if nobody asked in this turn
        self._now: float | None = None
        self.taken = _NONE
        """The mark of what was handed out last, for whoever has just got it."""
        # that mark if it was made in this turn: work that ends meanwhile took no time
        self._fresh = _NONE
        # a run: keys of one mark, taken in this turn, have waited equally long. So many of them
        # there are, of which so many are still the next ones in _front
        self._run_of: Mark | None = None
        self._run = self._left = 0
        self._run_waited = 0.0
        self._waits = Histogram(QUEUE_BOUNDS)
        # without those, since somebody looked, that began and ended in the same turn
        self._works = Histogram(QUEUE_BOUNDS)
        self._dropped = 0

    def __len__(self) -> int:
        """Return how many keys wait to be handed out."""
        return len(self._lines)

    @property
    def closed(self) -> bool:
        """Whether the queue was shut down."""
        return self._closed

    @property
    def processing(self) -> int:
        """How many keys are being worked on."""
        return len(self._marks) - len(self._lines)

    def add(self, key: K, priority: int = NORMAL) -> None:
        """Mark a key as to be worked on; ignored after a shutdown.

        One that waits with a lower priority already is raised to this one, behind those that
        wait with it.
        """
        if key in self._marks:
            self._add_known(key, priority)
        elif priority == self._quick:  # the hottest lines there are: no call that can be saved
            self._marks[key] = self._added
            self._front.append(key)
            if self._getters and not self._woken:
                self._wake()
        elif not self._closed:
            self._add_first(key, priority)

    async def get(self) -> K:
        """Wait for the next key; whoever gets it must call ``done`` with it.

        Errors: :class:`~.errors.QueueClosed` after a shutdown, once nothing waits any more.
        """
        left = self._left
        if left and not self._getters:  # what get_nowait does, without a call for each key
            self._left = left - 1
            key = self._front.popleft()
            self._marks[key] = self.taken
            return key
        while not self._left and not self._lines.front:
            if self._closed:
                raise QueueClosed("the work queue was shut down")
            await self._wait()
        key = self.get_nowait()
        if self._getters and not self._woken and (self._left or self._lines.front):
            self._wake()
        return key

    def get_nowait(self) -> K:
        """Return the next key if there is one; whoever gets it must call ``done`` with it.

        Errors: ``asyncio.QueueEmpty`` if nothing waits.
        """
        left = self._left
        if left:
            self._left = left - 1
            key = self._front.popleft()
        elif self._lines.front:
            key = self._pop()
        else:
            raise asyncio.QueueEmpty
        self._marks[key] = self.taken
        return key

    def priority(self, key: K) -> int:
        """Return the priority with which a key waits, or was handed out; NORMAL if it is idle."""
        mark = self._marks.get(key)
        return NORMAL if mark is None else mark.priority

    def done(self, key: K, at: float | None = None) -> None:
        """Say that the work on a key has ended, however it ended.

        ``at`` is the present time of the event loop, for those who have looked already.
        """
        mark = self._marks.pop(key)
        if mark is not self._fresh or at is not None:
            self._end_work(key, mark, at)
        if self._again and (again := self._again.pop(key, None)) is not None:
            self._push(key, again)
        elif self._drainers and not self._marks:
            self._release_drainers()

    def shutdown(self) -> None:
        """Take no further keys; what waits is still handed out. Ends a wait for draining."""
        self._close()
        self._release_drainers()

    def discard(self) -> None:
        """Forget everything that is not being worked on, and second rounds of what is.

        For a quick stop: the next process lists everything anyway.
        """
        self._dropped += len(self._lines) + len(self._again)
        self._lines.clear()
        self._look()
        self._again.clear()
        self._marks = {key: mark for key, mark in self._marks.items() if mark.working}
        if not self._marks:
            self._release_drainers()

    async def shutdown_with_drain(self) -> None:
        """Shut down and wait until the work on every key has ended, second rounds included."""
        self._close()
        if not self._marks:
            return
        drained = asyncio.get_running_loop().create_future()
        self._drainers.append(drained)
        await drained

    # -- what was counted: read when somebody wants to know, and worked out then

    @property
    def adds(self) -> int:
        """Keys that were added and not known yet, or known to be worked on only."""
        return self.queue_duration.count + len(self._lines) + len(self._again) + self._dropped

    @property
    def queue_duration(self) -> Histogram:
        """Seconds that keys waited until they were handed out."""
        self._end_run()
        return self._waits

    @property
    def work_duration(self) -> Histogram:
        """Seconds that keys were worked on."""
        ended = self.queue_duration.count - self.processing
        self._works.observe(0.0, ended - self._works.count)
        return self._works

    def depths(self) -> dict[int, int]:
        """Return how many keys wait, or will when the work on them is done, by priority."""
        depths = self._lines.depths()
        for mark in self._again.values():
            depths[mark.priority] = depths.get(mark.priority, 0) + 1
        return depths

    def under_way(self, now: float) -> list[float]:
        """Return for how many seconds each key is being worked on."""
        if not self.processing:
            return []
        return [max(0.0, now - mark.at) for mark in self._marks.values() if mark.working]

    def _add_known(self, key: K, priority: int) -> None:
        """Let a key come again that is being worked on; raise one that waits."""
        if self._closed:
            return
        mark = self._marks[key]
        if mark.working:
            again = self._again.get(key)
            since = self._time() if again is None else again.at
            if again is None or priority > again.priority:
                self._again[key] = Mark(priority, since, False)
        elif priority > mark.priority:
            self._marks[key] = Mark(priority, mark.at, False)
            self._lines.move(key, mark.priority, priority)
            self._look()

    def _push(self, key: K, mark: Mark) -> None:
        self._marks[key] = mark
        self._lines.push(key, mark.priority)
        self._look()
        if self._getters and not self._woken:
            self._wake()

    def _look(self) -> None:
        """Take notice of what has become of the lines."""
        self._end_run()
        self._front = self._lines.front if self._lines.plain else deque()
        self._quick = None

    def _add_first(self, key: K, priority: int) -> None:
        """Add the first key of a turn, or of a priority; further ones take the short way."""
        mark = Mark(priority, self._time(), False)
        lines = self._lines
        if priority != lines.priority or not lines.plain:
            self._push(key, mark)
            return
        self._marks[key] = mark
        self._front.append(key)
        if self._now is not None:
            self._quick, self._added = priority, mark
        if self._getters and not self._woken:
            self._wake()

    def _pop(self) -> K:
        """Take out the key whose turn it is, and see how many come after it that are like it."""
        self._run -= self._left  # a worker that waited comes here in the middle of a run
        self._left = 0
        plain = self._lines.plain
        # a lone key, as most are that come: to have the turn's end noted would cost another turn
        lone = plain and len(self._front) == 1 and self._now is None
        now = _now() if lone else self._time()
        key = self._front.popleft() if plain else self._lines.pop(now)
        mark = self._marks[key]
        if mark is not self._run_of:
            self._end_run()
            self._run_of, self._run_waited = mark, max(0.0, now - mark.at)
            if self.taken.at != now or self.taken.priority != mark.priority:
                self.taken = Mark(mark.priority, now, True)
                self._fresh = _NONE if lone else self.taken
        if not plain:
            self._look()
        else:
            ahead = min(len(self._front), RUN)
            while ahead and self._marks[self._front[ahead - 1]] is not mark:
                ahead //= 8
            self._left = ahead  # those between are like the one that was looked at
        self._run += 1 + self._left
        if lone:
            self._end_run()
        return key

    def _end_run(self) -> None:
        if self._run:
            self._waits.observe(self._run_waited, self._run - self._left)
        self._run = self._left = 0
        self._run_of = None

    def _end_work(self, key: K, mark: Mark, at: float | None) -> None:
        if not mark.working:
            self._marks[key] = mark
            raise ValueError(f"work on {key} was not begun, so it cannot be done")
        if at is None:
            now = _now() if self._now is None else self._now
        else:
            now = at
            if self._now is not None and at != self._now:  # the turn has lasted for a while
                self._turn()
                self._now = at
        self._works.observe(max(0.0, now - mark.at))

    def _time(self) -> float:
        """Return the time of this turn of the event loop."""
        if self._now is not None:
            return self._now
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # added before the loop runs; this is the clock it will have
            return time.monotonic()
        loop.call_soon(self._turn)
        self._now = loop.time()
        return self._now

    def _turn(self) -> None:
        """Forget what belongs to a turn of the event loop that is over."""
        self._end_run()
        self._now = self._quick = None
        self.taken = self._fresh = _NONE

    async def _wait(self) -> None:
        getter = asyncio.get_running_loop().create_future()
        self._getters.append(getter)
        try:
            await getter
            self._woken = False
        except asyncio.CancelledError:
            if getter.done() and not getter.cancelled():
                # woken and cancelled at once: the key is for another worker
                self._woken = False
                if len(self._lines):
                    self._wake()
            elif getter in self._getters:
                self._getters.remove(getter)
            raise

    def _close(self) -> None:
        self._closed = True
        self._quick = None
        while self._getters:
            self._wake()

    def _wake(self) -> None:
        while self._getters:
            getter = self._getters.popleft()
            if not getter.done():  # it is done if its worker was cancelled a moment ago
                getter.set_result(None)
                self._woken = True
                return

    def _release_drainers(self) -> None:
        drainers, self._drainers = self._drainers, []
        for drained in drainers:
            if not drained.done():
                drained.set_result(None)
