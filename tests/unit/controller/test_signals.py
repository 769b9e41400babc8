"""Signals: the first asks, the second forces."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from hybridpg.controller.signals import stop_on_signals


async def until_set(stop: asyncio.Event) -> None:
    async with asyncio.timeout(5):
        await stop.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_first_signal_sets_the_event(number):
    with stop_on_signals() as stop:
        assert not stop.is_set()
        os.kill(os.getpid(), number)
        await until_set(stop)


async def test_the_second_signal_cancels_the_task():
    entered: list[asyncio.Event] = []

    async def main() -> None:
        with stop_on_signals() as stop:
            entered.append(stop)
            os.kill(os.getpid(), signal.SIGTERM)
            await until_set(stop)
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(5)

    task = asyncio.create_task(main())
    await asyncio.wait([task], timeout=5)
    assert task.cancelled()
    assert entered[0].is_set()


async def test_the_handlers_are_gone_afterwards():
    before = signal.getsignal(signal.SIGTERM)
    with stop_on_signals():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before
