"""The two clocks of the runtime, each replaceable by a test."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

ASLEEP_SECONDS: Final = 0.1
"""A machine that slept for less did not sleep: two clocks are never read at quite the same time."""

Clock = Callable[[], float]
WallClock = Callable[[], datetime]
"""The time of day in UTC, for what people read; never used to measure."""


def loop_time() -> float:
    """Return the monotonic time of the running loop, which tests make virtual."""
    return asyncio.get_running_loop().time()


def running_clock() -> Clock:
    """Return the clock of the running loop, for those who ask it for each of many small things."""
    loop = asyncio.get_running_loop()
    # what the loops of asyncio do in a method of their own, which takes longer than the look
    plain = getattr(type(loop), "time", None) is asyncio.BaseEventLoop.time
    return time.monotonic if plain else loop.time


def everywhere(now: Clock) -> Clock:
    """Return a clock like ``now`` that threads can ask, too, once a loop has asked it.

    Only :func:`loop_time` needs a loop; every other clock is returned as it is.
    """
    if now is not loop_time:
        return now
    known: list[Clock] = []

    def clock() -> float:
        if not known:
            known.append(running_clock())
        return known[0]()

    return clock


def wall_time() -> datetime:
    """Return the present time of day in UTC."""
    return datetime.now(UTC)


def time_asleep() -> float:
    """Return the seconds since its start that this machine was suspended, as far as is known.

    The monotonic clock stands still meanwhile, on Linux; elsewhere nothing tells.
    """
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    return 0.0 if boot is None else time.clock_gettime(boot) - time.monotonic()


def through_sleep(now: Clock, asleep: Clock = time_asleep) -> Clock:
    """Return a clock like ``now`` that has gone on while the machine was suspended."""
    before = asleep()

    def clock() -> float:
        slept = asleep() - before
        return now() + (slept if slept >= ASLEEP_SECONDS else 0.0)

    return clock
