"""What a reconcile function is given and what it answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import msgspec

from .types import ObjectKey
from .workqueue import NORMAL


class Request(msgspec.Struct, frozen=True, gc=False):
    """The order to make the world match one object.

    ``reconcile_id`` is unique per run; ``attempt`` counts the failures since the last success.
    ``priority`` is the one with which the key waited: below 0 where nothing has happened to the
    object as far as is known.
    """

    key: ObjectKey
    reconcile_id: str = ""
    attempt: int = 0
    priority: int = NORMAL


@dataclass(frozen=True, slots=True)
class Result:
    """What happens next: nothing, or another look after ``requeue_after`` seconds.

    A requeue is not a failure: it forgets the failures counted so far and is not rate limited.
    Failures are raised. What comes again, a failure included, has the priority that it had this
    time; ``priority`` is another one for a requeue.
    """

    requeue_after: float | None = None
    priority: int | None = None


Reconcile = Callable[[Request], Awaitable[Result | None]]
"""A reconcile function; None is the same as ``Result()``."""
