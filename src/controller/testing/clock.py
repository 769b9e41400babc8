"""A virtual-time event loop: hours of back-off pass in milliseconds, and always the same way.

Time stands still while anything is ready to run, and jumps to the next timer when nothing is. It
is for code whose far end is in the same process; with real sockets or threads in play, time would
run ahead of them.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

T = TypeVar("T")

STUCK_AFTER: Final = 5.0
"""Real seconds without any timer after which a test is called stuck: far more than a wake-up from
a thread needs, and short enough that a deadlocked test still says so."""


class _IdleSelector(selectors.DefaultSelector):
    """Advances the clock instead of waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout is not None:
            if not ready and timeout:
                # nanoseconds, so that 0.8 + 1.6 is 2.4 and tests can compare exactly; at least
                # one, or a timer that is due by less would be asked for again for ever
                self.now = round(self.now + max(timeout, 1e-9), 9)
            return ready
        ready = super().select(STUCK_AFTER)
        if not ready:
            raise RuntimeError("virtual time stands still: every task waits for another one")
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose ``time()`` starts at 0 and costs nothing to pass."""

    def __init__(self) -> None:
        self._idle = _IdleSelector()
        super().__init__(self._idle)

    def time(self) -> float:
        """Return the virtual seconds since the loop was made."""
        return self._idle.now


def run_virtual(coro: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end on a loop of its own, in virtual time."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(coro)
