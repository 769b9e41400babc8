"""Repeats a read and the write that rests on it where somebody else wrote in between.

For writes that are not part of a reconcile, where the queue already does this better: it gives the
worker back while it waits.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from .errors import AlreadyExists, ApplyConflict, Conflict

TRIES: Final = 5
PAUSE: Final = 0.010
"""Seconds: the other writer is done by then, and its object is at the API server."""
JITTER: Final = 0.1
"""Share of the pause by which it varies: two writers that collided must not do so again."""

T = TypeVar("T")
R = TypeVar("R")


async def retry_on_conflict(
    read: Callable[[], Awaitable[T]],
    write: Callable[[T], Awaitable[R]],
    *,
    rand: Callable[[], float] = random.random,
) -> R:
    """Call ``write`` with what ``read`` returns; after a conflict both again, five times in all.

    ``read`` must ask the API server: a cache may not have seen yet what caused the conflict.

    Errors: :class:`~.errors.Conflict` of the last try. What a repetition cannot cure is raised at
    once: a name that is taken, and fields that belong to other field managers.
    """
    for _ in range(TRIES - 1):
        try:
            return await write(await read())
        except (AlreadyExists, ApplyConflict):
            raise
        except Conflict:
            await asyncio.sleep(PAUSE * (1 + JITTER * rand()))
    return await write(await read())
