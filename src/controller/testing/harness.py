"""Waiting in tests: until something holds, or until nothing happens any more.

A manager needs no harness to run in a test: it is a context manager.

::

    async with manager:
        await eventually(lambda: ready(cluster, "teamfoo"))
        await settled(cluster)
        assert not cluster.writes[before:]
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar, overload

from ..errors import ApiError
from .cluster import FakeCluster

T = TypeVar("T")

SECONDS: Final = 10.0
"""Longer than anything that is not stuck takes, also on a slow machine."""
INTERVAL: Final = 0.02
"""Short enough that waiting costs less than what is waited for."""
QUIET_SECONDS: Final = 1.0
"""Nothing in the runtime is delayed for as long, back-off after repeated errors apart."""


@overload
async def eventually(
    check: Callable[[], Awaitable[T]], *, seconds: float = ..., interval: float = ...
) -> T: ...


@overload
async def eventually(
    check: Callable[[], T], *, seconds: float = ..., interval: float = ...
) -> T: ...


async def eventually(
    check: Callable[[], object], *, seconds: float = SECONDS, interval: float = INTERVAL
) -> object:
    """Return the first true result of ``check``, which may raise while it does not hold yet.

    Assertions and errors of the API count as "not yet"; other errors are passed on. Time is that
    of the loop, so on a virtual-time loop waiting is free.

    Errors: AssertionError, with what was wrong last, if it never holds.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while True:
        problem: object
        try:
            result = check()
            value: object = await result if inspect.isawaitable(result) else result
            if value:
                return value
            problem = f"last result: {value!r}"
        except (AssertionError, ApiError) as error:
            problem = error
        if loop.time() >= deadline:
            raise AssertionError(f"does not hold after {seconds:g} s: {problem}")
        await asyncio.sleep(interval)


async def settled(
    cluster: FakeCluster, *, quiet: float = QUIET_SECONDS, seconds: float = SECONDS
) -> None:
    """Wait until no request has arrived for ``quiet`` seconds.

    Errors: AssertionError, with the last requests, if the cluster is never left alone.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    seen = -1
    while seen != len(cluster.requests):
        if loop.time() >= deadline:
            recent = ", ".join(f"{r.method} {r.path}" for r in cluster.requests[-3:])
            raise AssertionError(f"not settled after {seconds:g} s; last requests: {recent}")
        seen = len(cluster.requests)
        await asyncio.sleep(quiet)
