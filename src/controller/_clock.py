"""The two clocks of the runtime, each replaceable by a test."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

WallClock = Callable[[], datetime]
"""The time of day in UTC, for what people read; never used to measure."""


def loop_time() -> float:
    """Return the monotonic time of the running loop, which tests make virtual."""
    return asyncio.get_running_loop().time()


def wall_time() -> datetime:
    """Return the present time of day in UTC."""
    return datetime.now(UTC)
