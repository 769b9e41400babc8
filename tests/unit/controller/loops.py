"""Controllers for the tests of the loop, and reconcile functions that play a script."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, nullcontext
from typing import Any

import pytest

from hybridpg.controller.informer import Informer
from hybridpg.controller.loop import Controller
from hybridpg.controller.ratelimit import ExponentialLimiter
from hybridpg.controller.reconcile import Reconcile, Request, Result
from hybridpg.controller.types import ObjectKey

A, B, C = (ObjectKey("ns", name) for name in "abc")


class Script:
    """A reconcile function that plays a list of outcomes, and notes when it was called."""

    def __init__(self, *outcomes: Result | BaseException | float | None) -> None:
        self.outcomes = list(outcomes)
        self.calls: list[tuple[float, str]] = []
        self.requests: list[Request] = []
        self.running = self.most = 0

    @property
    def times(self) -> list[float]:
        return [at for at, _ in self.calls]

    async def __call__(self, request: Request) -> Result | None:
        self.calls.append((round(asyncio.get_running_loop().time(), 6), request.key.name))
        self.requests.append(request)
        outcome = self.outcomes.pop(0) if self.outcomes else None
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            if isinstance(outcome, float):
                await asyncio.sleep(outcome)
                return None
            if isinstance(outcome, BaseException):
                raise outcome
            return outcome
        finally:
            self.running -= 1


@asynccontextmanager
async def running(*parts: Controller | Informer) -> AsyncIterator[None]:
    """Run them as tasks, and cancel them at the end."""
    tasks = [asyncio.create_task(part.run()) for part in parts]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


@pytest.fixture(autouse=True, params=[None, nullcontext], ids=["plain", "scoped"])
def scope_of_all(request: pytest.FixtureRequest) -> Iterator[None]:
    """Runs without a scope take a shorter way, on which nothing may be different."""
    OPTIONS["scope"] = request.param
    yield
    OPTIONS.clear()


OPTIONS: dict[str, Any] = {}
"""What all controllers of a test are made with."""


def make(reconcile: Reconcile, **options: Any) -> Controller:
    """A controller that waits whole seconds after failures, unless told otherwise."""
    options.setdefault("limiter", ExponentialLimiter(base=1, cap=100))
    return Controller("test", reconcile, **OPTIONS | options)
