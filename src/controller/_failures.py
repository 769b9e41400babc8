"""What became of runs that failed: when a key comes again, and what is counted and said of it."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from ._backoff import RETRY_AFTER_CAP
from .errors import ApiError, Conflict, ControllerError
from .protocols import RateLimiter
from .reconcile import Request
from .runstats import ControllerStats
from .types import ObjectKey

logger = logging.getLogger(__name__)

BUGS: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    NameError,
    NotImplementedError,
    RecursionError,
    TypeError,
    asyncio.CancelledError,
)
"""What only a bug of a reconcile function raises: other languages would call it a panic."""

WITHOUT_LIMITER_SECONDS: Final = 30.0
"""Until the next try where the limiter itself failed."""


class Failures:
    """The keys whose last run failed, and what the limiter says of them.

    A limiter is somebody else's code as a reconcile function is: what it raises ends nothing.
    """

    def __init__(self, name: str, limiter: RateLimiter[ObjectKey], stats: ControllerStats) -> None:
        self._name = name
        self._limiter = limiter
        self._stats = stats
        self.keys: set[ObjectKey] = set()
        """Those of which the limiter knows failures; of the others it need not be asked."""

    def count(self, key: ObjectKey) -> int:
        """Return how often a key has failed in a row."""
        try:
            return self._limiter.failures(key)
        except Exception:
            logger.exception("the limiter of %s failed on %s", self._name, key)
            return 1

    def forget(self, key: ObjectKey) -> None:
        """Take note that a key has not failed."""
        if key in self.keys:
            self.keys.remove(key)
            try:
                self._limiter.forget(key)
            except Exception:
                logger.exception("the limiter of %s failed on %s", self._name, key)

    def add(self, request: Request, error: BaseException) -> float:
        """Count and log a failed run; return the seconds until the key is to come again."""
        self._stats.errors += 1
        if isinstance(error, BUGS):
            self._stats.panics += 1
        self.keys.add(request.key)
        delay = self._delay(request.key)
        if isinstance(error, ApiError) and error.retry_after is not None:
            delay = max(delay, min(error.retry_after, RETRY_AFTER_CAP))
        if isinstance(error, Conflict):
            # the ordinary way in which a cache that lags behind is noticed
            logger.info("%s of %s is repeated: %s", self._name, request.key, error)
            return delay
        logger.warning(
            "%s of %s failed, next try in %.3g s: %s",
            self._name,
            request.key,
            delay,
            error or type(error).__name__,
            # the errors of the runtime say enough; of others, only the trace says where from
            exc_info=None if isinstance(error, ControllerError) else error,
        )
        return delay

    def _delay(self, key: ObjectKey) -> float:
        try:
            return self._limiter.when(key)
        except Exception:
            logger.exception("the limiter of %s failed on %s", self._name, key)
            return WITHOUT_LIMITER_SECONDS
