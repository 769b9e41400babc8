"""What is measured: each scenario knows its clients, its unit and how one sample is taken.

A sample runs in a process of its own, which prints one JSON object of figures by row name.
"""

import asyncio
import gc
import os
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from .clients import LISTERS, WATCHES
from .ready import by_hand, by_operator
from .replay import replay

OBJECTS = 50_000
EVENTS = 100_000
KEYS = 10_000
CYCLES = 200_000

Figures = dict[str, float]
Sample = Callable[[str, int], Coroutine[Any, Any, Figures]]
"""(client, port of the replay server) -> figure by row."""


@dataclass(frozen=True)
class Scenario:
    """One thing to measure; ``units`` has its rows, ``served`` is what the replay server holds."""

    sample: Sample
    clients: tuple[str, ...]
    units: dict[str, str]
    served: dict[str, int] | None = None

    @contextmanager
    def server(self) -> Iterator[int]:
        """Run what the clients talk to; yields its port, 0 where there is none."""
        if self.served is None:
            yield 0
            return
        with replay(**self.served) as port:
            yield port


def resident() -> float:
    """KB of memory that this process holds, garbage excepted."""
    gc.collect()
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1024


async def watch(client: str, port: int) -> Figures:
    """From the bytes of a watch to a cache and a queue of keys."""
    seconds = await WATCHES[client](port, EVENTS)
    return {"watch.events": seconds / EVENTS * 1e6}


async def listing(client: str, port: int) -> Figures:
    """From the bytes of a list to a cache; memory is what the cache holds afterwards."""
    before = resident()
    seconds, cache = await LISTERS[client](port, OBJECTS)
    # the floor of memory is the bytes themselves
    held = cache / 1024 if isinstance(cache, int) else resident() - before
    return {"list.50k": seconds / OBJECTS * 1e6, "list.50k.memory": held / OBJECTS}


async def queue(client: str, port: int) -> Figures:
    """Add, get and done of one key."""
    run = {"hybridpg": _work_queue, "asyncio.Queue": _asyncio_queue, "floor": _deque}[client]
    return {"queue.cycle": await run() / CYCLES * 1e6}


async def _work_queue() -> float:
    from hybridpg.controller import WorkQueue

    made: WorkQueue[int] = WorkQueue()
    begin = time.perf_counter()
    for key in range(CYCLES):
        made.add(key)
    for _ in range(CYCLES):
        made.done(await made.get())
    return time.perf_counter() - begin


async def _asyncio_queue() -> float:
    made: asyncio.Queue[int] = asyncio.Queue()
    begin = time.perf_counter()
    for key in range(CYCLES):
        made.put_nowait(key)
    for _ in range(CYCLES):
        await made.get()
        made.task_done()
    return time.perf_counter() - begin


async def _deque() -> float:
    made: deque[int] = deque()
    begin = time.perf_counter()
    for key in range(CYCLES):
        made.append(key)
    for _ in range(CYCLES):
        made.popleft()
    return time.perf_counter() - begin


async def ready(client: str, port: int) -> Figures:
    """From applying a server and a database to the login of an application."""
    run = {"hybridpg": by_operator, "floor": by_hand}[client]
    return {"apply.ready": await run()}


PEERS = ("kopf", "kubernetes-asyncio", "lightkube")
SCENARIOS = {
    "watch": Scenario(
        watch,
        ("hybridpg", "floor", *PEERS),
        {"watch.events": "µs"},
        {"events": EVENTS, "keys": KEYS},
    ),
    "list": Scenario(
        listing,
        ("hybridpg", "floor", *PEERS),
        {"list.50k": "µs", "list.50k.memory": "KB"},
        {"listed": OBJECTS},
    ),
    "queue": Scenario(queue, ("hybridpg", "floor", "asyncio.Queue"), {"queue.cycle": "µs"}),
    "ready": Scenario(ready, ("hybridpg", "floor"), {"apply.ready": "s"}),
}
