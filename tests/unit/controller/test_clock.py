"""The virtual-time loop: time passes at no cost, exactly and in order."""

from __future__ import annotations

import asyncio
import time

import pytest

from hybridpg.controller.testing import clock
from hybridpg.controller.testing.clock import run_virtual

pytestmark = pytest.mark.virtual_time


async def test_a_day_passes_at_once() -> None:
    started = time.monotonic()
    await asyncio.sleep(86_400)
    assert asyncio.get_running_loop().time() == 86_400
    assert time.monotonic() - started < 5


async def test_time_adds_up_exactly() -> None:
    for step in (0.8, 1.6, 0.1, 0.2):
        await asyncio.sleep(step)
    assert asyncio.get_running_loop().time() == 2.7


async def test_timers_fire_in_order_and_at_their_time() -> None:
    loop = asyncio.get_running_loop()
    fired: list[tuple[float, float]] = []

    async def at(delay: float) -> None:
        await asyncio.sleep(delay)
        fired.append((delay, loop.time()))

    await asyncio.gather(at(3), at(1), at(2))
    assert fired == [(1, 1), (2, 2), (3, 3)]


async def test_time_stands_still_while_something_is_ready() -> None:
    loop = asyncio.get_running_loop()
    timer = loop.call_later(1, lambda: None)
    for _ in range(100):
        await asyncio.sleep(0)
    assert loop.time() == 0
    timer.cancel()


async def test_a_timeout_expires_in_virtual_time() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(600):
            await asyncio.Event().wait()
    assert asyncio.get_running_loop().time() == 600


async def test_a_thread_can_wake_the_loop_where_no_timer_waits() -> None:
    assert await asyncio.to_thread(lambda: 7) == 7


def test_run_virtual_returns_the_result_of_a_loop_of_its_own() -> None:
    async def main() -> float:
        await asyncio.sleep(5)
        return asyncio.get_running_loop().time()

    assert [run_virtual(main()), run_virtual(main())] == [5, 5]


def test_a_deadlock_is_named_instead_of_hanging(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "STUCK_AFTER", 0.01)

    async def main() -> float:
        await asyncio.Event().wait()
        return 0

    with pytest.raises(RuntimeError, match="virtual time stands still"):
        run_virtual(main())
