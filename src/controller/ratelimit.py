"""How long a failed item waits. Limiters are combined by wrapping, not by subclassing."""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Final, Generic, TypeVar

from ._clock import loop_time
from .protocols import Now, RateLimiter

K = TypeVar("K", bound=Hashable)

BASE_DELAY: Final = 0.005
"""Seconds after the first failure: a conflict with our own cache is over in milliseconds."""
MAX_DELAY: Final = 1000.0
"""Seconds at most: about a quarter of an hour, so that a repaired cause is noticed the same day."""


class ExponentialLimiter(Generic[K]):
    """Doubles the delay with each failure of the same item."""

    def __init__(self, base: float = BASE_DELAY, cap: float = MAX_DELAY) -> None:
        if not 0 < base <= cap < math.inf:
            raise ValueError(f"delays from {base} s to {cap} s: give 0 < base <= cap")
        self._base = base
        self._cap = cap
        # exponents above this one exceed the cap: floats never overflow
        self._max_exponent = max(0, math.ceil(math.log2(cap / base)))
        # items that failed since they were last forgotten; never holds a 0
        self._failures: dict[K, int] = {}

    def when(self, item: K) -> float:
        """Count a failure and return the seconds to wait."""
        failures = self._failures.get(item, 0)
        self._failures[item] = failures + 1
        return float(min(self._cap, self._base * 2.0 ** min(failures, self._max_exponent)))

    def forget(self, item: K) -> None:
        """Forget the failures of an item."""
        self._failures.pop(item, None)

    def failures(self, item: K) -> int:
        """Return the failures counted since the last ``forget``."""
        return self._failures.get(item, 0)


class FastSlowLimiter(Generic[K]):
    """Waits ``fast`` seconds after each of the first failures of an item, then ``slow`` ones."""

    def __init__(self, fast: float, slow: float, attempts: int) -> None:
        if not 0 <= fast <= slow < math.inf:
            raise ValueError(f"{fast} s and then {slow} s: give 0 <= fast <= slow")
        if attempts < 0:
            raise ValueError(f"{attempts} fast attempts: give 0 or more")
        self._fast = fast
        self._slow = slow
        self._attempts = attempts
        # items that failed since they were last forgotten; never holds a 0
        self._failures: dict[K, int] = {}

    def when(self, item: K) -> float:
        """Count a failure and return the seconds to wait."""
        failures = self._failures[item] = self._failures.get(item, 0) + 1
        return self._fast if failures <= self._attempts else self._slow

    def forget(self, item: K) -> None:
        """Forget the failures of an item."""
        self._failures.pop(item, None)

    def failures(self, item: K) -> int:
        """Return the failures counted since the last ``forget``."""
        return self._failures.get(item, 0)


class BucketLimiter(Generic[K]):
    """Limits all items together: a bucket of ``burst`` tokens, ``rate`` new ones a second.

    Each call reserves a token, so that the delays of a burst add up instead of ending together.
    """

    __slots__ = ("_burst", "_now", "_rate", "_tokens", "_updated")

    def __init__(self, rate: float = 10.0, burst: int = 100, *, now: Now = loop_time) -> None:
        if not (0 < rate < math.inf and burst >= 1):
            raise ValueError(f"a bucket of {burst} with {rate} a second lets nothing through")
        self._rate = rate
        self._burst = float(burst)
        self._now = now
        # may be negative: tokens reserved ahead of their time
        self._tokens = float(burst)
        self._updated: float | None = None

    def when(self, item: K) -> float:
        """Reserve a token and return the seconds until it is there."""
        self._refill()
        self._tokens -= 1.0
        return max(0.0, -self._tokens / self._rate)

    def take(self) -> bool:
        """Take a token if there is one now, and say whether there was."""
        self._refill()
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True

    def forget(self, item: K) -> None:
        """Do nothing: tokens belong to no item."""

    def failures(self, item: K) -> int:
        """Return 0: the bucket does not know items."""
        return 0

    def _refill(self) -> None:
        now = self._now()
        elapsed = 0.0 if self._updated is None else now - self._updated
        self._updated = now
        self._tokens = min(self._burst, self._tokens + elapsed * self._rate)


class MaxOfLimiter(Generic[K]):
    """Waits for the slowest of several limiters."""

    def __init__(self, *limiters: RateLimiter[K]) -> None:
        if not limiters:
            raise ValueError("the slowest of no limiters: give one at least")
        self._limiters = limiters

    def when(self, item: K) -> float:
        """Count a failure in all of them and return the longest wait."""
        return max(limiter.when(item) for limiter in self._limiters)

    def forget(self, item: K) -> None:
        """Forget the failures of an item in all of them."""
        for limiter in self._limiters:
            limiter.forget(item)

    def failures(self, item: K) -> int:
        """Return the largest count of any of them."""
        return max(limiter.failures(item) for limiter in self._limiters)


class MaxWaitLimiter(Generic[K]):
    """Never waits longer than ``max_wait``, whatever the wrapped limiter says."""

    def __init__(self, limiter: RateLimiter[K], max_wait: float) -> None:
        if not max_wait >= 0:
            raise ValueError(f"a longest wait of {max_wait} s: give 0 or more")
        self._limiter = limiter
        self._max_wait = max_wait

    def when(self, item: K) -> float:
        """Count a failure and return the shortened wait."""
        return min(self._max_wait, self._limiter.when(item))

    def forget(self, item: K) -> None:
        """Forget the failures of an item."""
        self._limiter.forget(item)

    def failures(self, item: K) -> int:
        """Return the failures that the wrapped limiter counted."""
        return self._limiter.failures(item)
