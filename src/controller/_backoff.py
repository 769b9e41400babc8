"""Jittered exponential back-off of one source that is asked again and again."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

from ._clock import loop_time
from .protocols import Now

FIRST: Final = 0.8
"""Seconds before the first retry: an API server that restarts is not back sooner."""
FACTOR: Final = 2.0
CAP: Final = 30.0
"""With the jitter a steady failure costs one attempt every 30 to 60 s."""
RESET_AFTER: Final = 120.0
"""Seconds without a failure after which the next one counts as the first: twice the longest
delay, so that the delays themselves never look like quiet."""
RETRY_AFTER_CAP: Final = 300.0
"""Whatever the server says in ``Retry-After``, nothing waits for longer without another try."""


class Backoff:
    """Hands out delays that grow with every failure and start anew after a quiet time."""

    def __init__(
        self,
        *,
        first: float = FIRST,
        cap: float = CAP,
        now: Now = loop_time,
        rand: Callable[[], float] = random.random,
    ) -> None:
        self._first = first
        self._cap = cap
        self._now = now
        self._rand = rand
        self._delay = first
        self._consulted = float("-inf")

    def next(self) -> float:
        """Return the seconds to wait now: uniform between the delay and twice the delay."""
        now = self._now()
        if now - self._consulted >= RESET_AFTER:
            self._delay = self._first
        self._consulted = now
        delay = self._delay
        self._delay = min(self._cap, delay * FACTOR)
        return delay * (1.0 + self._rand())
