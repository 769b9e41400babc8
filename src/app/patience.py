"""How long each object has met a target that gives no answer, or has no time."""

from __future__ import annotations

import asyncio
import random
from typing import Final

from ..controller import ObjectKey

UNANSWERED_SECONDS: Final = (0.1, 20.0)
"""Until a target that gave no answer is asked again, at first and at most: fifty servers that hang
must not take the time of those that work, and one that is back is seen within half a minute."""

BUSY_SECONDS: Final = 5.0
"""A target that is busy for less is not worth a write; a deletion never waits silently for more."""


class Patience:
    """Counts by object; what is counted ends with the first success."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        # loop time of the first of the looks in a row that found the target busy
        self._busy_since: dict[ObjectKey, float] = {}
        # how often in a row nobody answered
        self._unanswered: dict[ObjectKey, int] = {}

    def unanswered(self, key: ObjectKey) -> float:
        """Count that a target gave no answer, and return the seconds until it is asked again.

        The queue would begin with milliseconds each time that the target was only slow meanwhile.
        """
        times = self._unanswered[key] = self._unanswered.get(key, 0) + 1
        first, last = UNANSWERED_SECONDS
        longest = min(last, first * 2.0 ** min(times, 30))
        return longest * self._chance.uniform(0.5, 1.0)

    def answered(self, key: ObjectKey) -> None:
        """Note that a target answered."""
        self._unanswered.pop(key, None)

    def busy(self, key: ObjectKey) -> bool:
        """Note that a target had no time; return whether that is so for long by now."""
        now = asyncio.get_running_loop().time()
        return now - self._busy_since.setdefault(key, now) >= BUSY_SECONDS

    def not_busy(self, key: ObjectKey) -> None:
        """Note that a target had time."""
        self._busy_since.pop(key, None)

    def forget(self, key: ObjectKey) -> None:
        """Forget an object that is gone."""
        self.answered(key)
        self.not_busy(key)
