"""SIGTERM and SIGINT: the first asks for an orderly stop, the second forces one."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final, TypeAlias

logger = logging.getLogger(__name__)

STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
_Action: TypeAlias = Callable[[int, FrameType | None], Any] | int | signal.Handlers
_ENDS: Final[dict[signal.Signals, _Action]] = {
    signal.SIGTERM: signal.SIG_DFL,
    signal.SIGINT: signal.default_int_handler,
}
"""What ends a process, as Python has it when it starts."""


@contextmanager
def stop_on_signals() -> Iterator[asyncio.Event]:
    """Yield an event that the first signal sets.

    The second one cancels the task that entered the block, which ends the grace of everything
    that still stops. A third ends the process. Several tasks may be in such blocks, and each hears
    the signals; what handled them before does so again when the last one has left. Only the main
    thread can handle signals.
    """
    block = _Block()
    try:
        block.enter()
        yield block.stop
    finally:
        block.leave()


class _Block:
    """One block that a task has entered."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.forced = False
        self.loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._handlers = [_handler(number) for number in STOP_SIGNALS]

    def enter(self) -> None:
        for handler in self._handlers:
            handler.add(self)

    def leave(self) -> None:
        for handler in self._handlers:
            handler.remove(self)

    def received(self, number: signal.Signals) -> None:
        if not self.stop.is_set():
            logger.info("%s received, stopping", number.name)
            self.stop.set()
            return
        logger.warning("%s received again, stopping without grace", number.name)
        self.forced = True
        for handler in self._handlers:
            handler.settle()
        if self._task is not None:
            self._task.cancel(f"{number.name} received twice")


class _Handler:
    """What the process calls at one signal: it tells all blocks.

    A second block finds it in the process's own table of handlers, so no other list is kept. It is
    not one of the loop's handlers: those cannot be asked for, so what was there could not be put
    back.
    """

    def __init__(self, number: signal.Signals) -> None:
        self._number = number
        # None is a handler that Python does not know, and cannot put back
        self._before = signal.getsignal(number) or signal.SIG_DFL
        # those that were entered and not left
        self._blocks: list[_Block] = []

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Leave it to the loops: what is executed at this moment may be anything."""
        for block in tuple(self._blocks):
            if block.loop.is_closed():  # nothing can leave its block any more
                self.remove(block)
            else:
                block.loop.call_soon_threadsafe(self._tell, block)

    def add(self, block: _Block) -> None:
        signal.signal(self._number, self)
        self._blocks.append(block)

    def remove(self, block: _Block) -> None:
        if block in self._blocks:
            self._blocks.remove(block)
            self.settle()

    def settle(self) -> None:
        """Handle the signal for as long as there is somebody to hear it."""
        end = _ENDS[self._number]
        if signal.getsignal(self._number) not in (self, end):
            return  # somebody else handles it by now
        forced = all(block.forced for block in self._blocks)
        wanted = self._before if not self._blocks else end if forced else self
        signal.signal(self._number, wanted)

    def _tell(self, block: _Block) -> None:
        if block in self._blocks and not block.forced:  # it may have been left meanwhile
            block.received(self._number)


def _handler(number: signal.Signals) -> _Handler:
    found = signal.getsignal(number)
    return found if isinstance(found, _Handler) else _Handler(number)
