"""The lines of a work queue: one for each priority, first in first out, and none that starves.

Higher priorities go first. A steady load of them would keep the others waiting for ever, so keys
that are passed over age: once the one that waits longest has waited :data:`AGE_SECONDS`, at least
each :data:`SHARE`-th key that is handed out is one of them, the oldest first, whatever their
priorities.

The bound that follows: of a key that begins to wait when the queue knows n keys, the turn comes at
the latest :data:`AGE_SECONDS` and then :data:`SHARE` x n hand-outs later, whatever is added after
it. Time alone would be no good rule: where a long first list takes minutes, all of it would be old,
and changes that happen meanwhile would wait for the end of it. With a share, they are slowed down
by an eighth at most.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)

AGE_SECONDS: Final = 1.0
"""Nobody notices a second; most bursts of what is urgent are over by then."""
SHARE: Final = 8
"""One in so many hand-outs is for what has aged: an eighth of the workers' time at most."""

SLACK: Final = 64
"""Void entries that are tolerated whatever the number of keys."""


class Line(Generic[K]):
    """The keys of one priority."""

    __slots__ = ("ghosts", "keys", "void")

    def __init__(self) -> None:
        # oldest first; the first one is no ghost
        self.keys: deque[K] = deque()
        # how many of the entries of a key are void, because it was moved; these are its oldest
        self.ghosts: dict[K, int] = {}
        # how many entries are void in all
        self.void = 0

    def __len__(self) -> int:
        """Return how many keys wait in this line."""
        return len(self.keys) - self.void

    def remove(self, key: K) -> None:
        """Void the entry of a key: to search for it would take longer than to skip it later."""
        self.ghosts[key] = self.ghosts.get(key, 0) + 1
        self.void += 1
        if self.void > SLACK and 2 * self.void > len(self.keys):
            self.keys = deque(key for key in self.keys if not self._exorcised(key))
        self.trim()

    def trim(self) -> None:
        """Drop what is void at the front."""
        while self.void and self._exorcised(self.keys[0]):
            self.keys.popleft()

    def clear(self) -> None:
        """Forget all keys."""
        self.keys.clear()
        self.ghosts.clear()
        self.void = 0

    def _exorcised(self, key: K) -> bool:
        """Whether the oldest entry of a key was void, which is forgotten then."""
        count = self.ghosts.pop(key, 0)
        if count > 1:
            self.ghosts[key] = count - 1
        self.void -= count > 0
        return count > 0


class Lines(Generic[K]):
    """All lines of a queue. ``since`` says from when on a waiting key has been waiting.

    ``front`` and ``priority`` are those of the highest line that is not empty. While ``plain``
    is true there is no other and nothing in it is void: then whoever is in a hurry may append to
    and pop from ``front`` directly.
    """

    def __init__(self, since: Callable[[K], float], priority: int = 0) -> None:
        self._since = since
        self._front: Line[K] = Line()
        # the lines below the front; none of them is empty
        self._below: dict[int, Line[K]] = {}
        # their priorities, ascending
        self._order: list[int] = []
        # keys that were handed out while others were passed over, since the last of those
        self._passed = 0
        # none of those that are passed over is old enough before that time
        self._aged_at = 0.0
        self.priority = priority
        self.front = self._front.keys
        self.plain = True

    def __len__(self) -> int:
        """Return how many keys wait."""
        return len(self._front) + sum(map(len, self._below.values()))

    def push(self, key: K, priority: int) -> None:
        """Put a key at the end of the line of its priority."""
        if priority == self.priority:
            self.front.append(key)
            return
        if not self.front:  # then the lines below are empty as well
            self._front, self.priority = Line(), priority
        elif priority > self.priority:
            self._lower(self._front, self.priority)
            self._front, self.priority = Line(), priority
        else:
            self._line(priority).keys.append(key)
            self._look()
            return
        self._front.keys.append(key)
        self._look()

    def pop(self, now: float) -> K:
        """Take out the key whose turn it is; there must be one."""
        line, priority = self._front, self.priority
        if self._below:
            self._passed += 1
            if self._passed >= SHARE and now >= self._aged_at:
                oldest = min(self._below, key=self._age)
                self._aged_at = self._age(oldest) + AGE_SECONDS
                if now >= self._aged_at:
                    line, priority = self._below[oldest], oldest
                    self._passed = 0
        key = line.keys.popleft()
        self._settle(line, priority)
        return key

    def move(self, key: K, old: int, new: int) -> None:
        """Put a key that waits to the end of the line of another priority."""
        line = self._front if old == self.priority else self._below[old]
        line.remove(key)
        self._settle(line, old)
        self.push(key, new)

    def clear(self) -> None:
        """Forget all keys."""
        self._front.clear()
        self._below.clear()
        self._order.clear()
        self._look()

    def depths(self) -> dict[int, int]:
        """Return how many keys wait, by priority."""
        lines = {self.priority: self._front, **self._below}
        return {priority: len(line) for priority, line in lines.items()}

    def _line(self, priority: int) -> Line[K]:
        line = self._below.get(priority)
        if line is None:
            line = Line()
            self._lower(line, priority)
        return line

    def _lower(self, line: Line[K], priority: int) -> None:
        """Put a line below the front."""
        self._below[priority] = line
        insort(self._order, priority)
        self._aged_at = 0.0  # it may be the oldest

    def _settle(self, line: Line[K], priority: int) -> None:
        """Put everything right after something was taken out of a line."""
        line.trim()
        if not line.keys:
            if line is not self._front:
                del self._below[priority]
                self._order.remove(priority)
            elif self._order:
                self.priority = self._order.pop()
                self._front = self._below.pop(self.priority)
        self._look()

    def _look(self) -> None:
        """Take over what is in front."""
        self.front = self._front.keys
        self.plain = not self._below and not self._front.void

    def _age(self, priority: int) -> float:
        return self._since(self._below[priority].keys[0])
