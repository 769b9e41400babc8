"""SIGTERM and SIGINT: the first asks for an orderly stop, the second forces one."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

logger = logging.getLogger(__name__)

STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def stop_on_signals() -> Iterator[asyncio.Event]:
    """Yield an event that the first signal sets.

    The second one cancels the task that entered the block, which ends the grace of everything
    that still stops. A third finds the handlers removed and ends the process. Only the main
    thread can handle signals.
    """
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    stop = asyncio.Event()

    def received(number: signal.Signals) -> None:
        if not stop.is_set():
            logger.info("%s received, stopping", number.name)
            stop.set()
            return
        logger.warning("%s received again, stopping without grace", number.name)
        restore()
        if task is not None:
            task.cancel(f"{number.name} received twice")

    def restore() -> None:
        for number in STOP_SIGNALS:
            loop.remove_signal_handler(number)

    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, received, number)
    try:
        yield stop
    finally:
        restore()
