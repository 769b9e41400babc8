"""The virtual-time loop: exact, free of charge, and not silent when all are stuck."""

from __future__ import annotations

import asyncio

import pytest

from hybridpg.controller.testing import clock, run_virtual


def test_time_passes_exactly_and_costs_nothing():
    async def wait() -> float:
        await asyncio.sleep(0.8)
        await asyncio.sleep(1.6)
        await asyncio.sleep(3600)
        return asyncio.get_running_loop().time()

    assert run_virtual(wait()) == 3602.4


def test_tasks_that_all_wait_for_each_other_are_an_error(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(clock, "STUCK_AFTER", 0.01)
    with asyncio.Runner(loop_factory=clock.VirtualTimeLoop) as runner:
        loop = runner.get_loop()
        future = loop.create_future()
        with pytest.raises(RuntimeError, match="virtual time stands still"):
            loop.run_until_complete(future)
