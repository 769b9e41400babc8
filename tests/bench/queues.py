"""The work queue beside the queue of asyncio, which neither coalesces nor protects a key.

Keys come in batches, one for each turn of the event loop, as the reads of a watch bring them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine
from typing import Any

from .figures import Clock, Figures
from .target import Target

BATCH = 100
"""About as many events as one read of a watch holds."""


async def cycle(client: str, target: Target, count: int) -> Figures:
    """Add, get and done of one key; the bare queue of asyncio has no done."""
    run: dict[str, Any] = {"hybridpg": _ours, "asyncio.Queue": _asyncio, "floor": _deque}
    taken: Coroutine[Any, Any, Clock] = run[client](count)
    return {"queue.cycle": (await taken).cpu / count * 1e6}


async def _ours(count: int) -> Clock:
    from hybridpg.controller import WorkQueue

    queue: WorkQueue[int] = WorkQueue("bench")
    clock = Clock(count)
    clock.start()
    for first in range(0, count, BATCH):
        for key in range(first, first + BATCH):
            queue.add(key)
        for _ in range(BATCH):
            queue.done(await queue.get())
        await asyncio.sleep(0)
    clock.stop()
    return clock


async def _asyncio(count: int) -> Clock:
    queue: asyncio.Queue[int] = asyncio.Queue()
    clock = Clock(count)
    clock.start()
    for first in range(0, count, BATCH):
        for key in range(first, first + BATCH):
            queue.put_nowait(key)
        for _ in range(BATCH):
            await queue.get()
        await asyncio.sleep(0)
    clock.stop()
    return clock


async def _deque(count: int) -> Clock:
    queue: deque[int] = deque()
    clock = Clock(count)
    clock.start()
    for first in range(0, count, BATCH):
        for key in range(first, first + BATCH):
            queue.append(key)
        for _ in range(BATCH):
            queue.popleft()
        await asyncio.sleep(0)
    clock.stop()
    return clock
