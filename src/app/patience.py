"""How long each object has met a target that gives no answer, or has no time."""

from __future__ import annotations

import asyncio
import random
from typing import Final

from ..controller import ObjectKey

UNANSWERED_SECONDS: Final = (0.1, 20.0)
"""Until a target that gave no answer is asked again, at first and at most: fifty servers that hang
must not take the time of those that work, and one that is back is seen within half a minute."""

SAID_SECONDS: Final = 60.0
"""What a target is busy with may change at each look, and is told of once in this time."""


class Patience:
    """Counts by object; what is counted ends with the first success."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        # loop time of the first of the looks in a row that found the target busy
        self._busy_since: dict[ObjectKey, float] = {}
        # loop time at which status was told of it
        self._said: dict[ObjectKey, float] = {}
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

    def busy(self, key: ObjectKey) -> float:
        """Note that a target had no time; return for how many seconds that is so by now."""
        now = asyncio.get_running_loop().time()
        return now - self._busy_since.setdefault(key, now)

    def said_lately(self, key: ObjectKey) -> bool:
        """Return whether status was told lately of a target that has no time."""
        said = self._said.get(key)
        return said is not None and asyncio.get_running_loop().time() - said < SAID_SECONDS

    def say(self, key: ObjectKey) -> None:
        """Note that status is told of a target that has no time."""
        self._said[key] = asyncio.get_running_loop().time()

    def not_busy(self, key: ObjectKey) -> None:
        """Note that a target had time."""
        self._busy_since.pop(key, None)
        self._said.pop(key, None)

    def forget(self, key: ObjectKey) -> None:
        """Forget an object that is gone."""
        self.answered(key)
        self.not_busy(key)
