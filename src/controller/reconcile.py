"""What a reconcile function is given and what it answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from .types import ObjectKey


@dataclass(frozen=True, slots=True)
class Request:
    """The order to make the world match one object.

    ``reconcile_id`` is unique per run; ``attempt`` counts the failures since the last success.
    """

    key: ObjectKey
    reconcile_id: str = ""
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Result:
    """What happens next: nothing, or another look after ``requeue_after`` seconds.

    A requeue is not a failure: it forgets the failures counted so far and is not rate limited.
    Failures are raised.
    """

    requeue_after: float | None = None


Reconcile = Callable[[Request], Awaitable[Result | None]]
"""A reconcile function; None is the same as ``Result()``."""
