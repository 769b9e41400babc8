"""What a sample takes of its own process: time of processor and wall, memory, pauses."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import time
from typing import Any

Figures = dict[str, float]

TICK_SECONDS = 0.005
"""A stall is seen with this resolution; more often would cost what it measures."""


class Clock:
    """Runs from the first of ``expected`` events to the last, on the wall and in CPU time.

    CPU time is of all threads of this process. Where the server shares the cores with its client,
    only that says what the client costs.
    """

    def __init__(self, expected: int) -> None:
        self._left = expected
        self._begin: tuple[float, float] | None = None
        self.wall = 0.0
        self.cpu = 0.0
        self.done = asyncio.Event()

    def start(self) -> None:
        if self._begin is None:
            self._begin = time.perf_counter(), time.process_time()

    def stop(self) -> None:
        assert self._begin is not None, "the clock was not started"
        wall, cpu = self._begin
        self.wall, self.cpu = time.perf_counter() - wall, time.process_time() - cpu
        self.done.set()

    def tick(self, events: int = 1) -> bool:
        """Count events; returns whether all were seen."""
        if self._begin is None:
            self.start()
        self._left -= events
        return self._left <= 0


class Pauses:
    """The longest time in milliseconds for which nothing else in the process could run."""

    def __init__(self) -> None:
        self.collector = 0.0
        self.loop = 0.0
        self._collecting = 0.0

    async def __aenter__(self) -> Pauses:
        gc.callbacks.append(self._collected)
        self._ticker = asyncio.create_task(self._tick())
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *_: Any) -> None:
        await asyncio.sleep(2 * TICK_SECONDS)  # a stall is seen by the tick after it
        gc.callbacks.remove(self._collected)
        self._ticker.cancel()
        await asyncio.wait({self._ticker})

    def _collected(self, phase: str, _: dict[str, int]) -> None:
        if phase == "start":
            self._collecting = time.perf_counter()
        else:
            self.collector = max(self.collector, (time.perf_counter() - self._collecting) * 1e3)

    async def _tick(self) -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(TICK_SECONDS)
            late = time.perf_counter() - before - TICK_SECONDS
            self.loop = max(self.loop, late * 1e3)


def resident() -> float:
    """KB of memory that this process holds, garbage excepted."""
    gc.collect()
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1024


def peak() -> float:
    """KB of memory that this process held at most."""
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
