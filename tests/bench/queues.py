"""The work queue beside the queue of asyncio, which neither coalesces nor protects a key."""

from __future__ import annotations

from collections import deque
from collections.abc import Coroutine
from typing import Any

from .figures import Clock, Figures
from .target import Target


async def cycle(client: str, target: Target, count: int) -> Figures:
    """Add, get and done of one key; the bare queue of asyncio has no done."""
    run: dict[str, Any] = {"hybridpg": _ours, "asyncio.Queue": _asyncio, "floor": _deque}
    taken: Coroutine[Any, Any, Clock] = run[client](count)
    return {"queue.cycle": (await taken).cpu / count * 1e6}


async def _ours(count: int) -> Clock:
    from hybridpg.controller import WorkQueue

    queue: WorkQueue[int] = WorkQueue()
    clock = Clock(count)
    clock.start()
    for key in range(count):
        queue.add(key)
    for _ in range(count):
        queue.done(await queue.get())
    clock.stop()
    return clock


async def _asyncio(count: int) -> Clock:
    import asyncio

    queue: asyncio.Queue[int] = asyncio.Queue()
    clock = Clock(count)
    clock.start()
    for key in range(count):
        queue.put_nowait(key)
    for _ in range(count):
        await queue.get()
    clock.stop()
    return clock


async def _deque(count: int) -> Clock:
    queue: deque[int] = deque()
    clock = Clock(count)
    clock.start()
    for key in range(count):
        queue.append(key)
    for _ in range(count):
        queue.popleft()
    clock.stop()
    return clock
